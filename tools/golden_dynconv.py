# SPDX-License-Identifier: Apache-2.0
"""golden_dynconv - dynamic convolutions for golden_modules.py, written from sections A and B of the specification."""
MODULES = {}
