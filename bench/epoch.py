#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""epoch - runs a training and prints the milliseconds of an epoch, validation included, from the `time` column of its
results.csv; the first and the last epoch are left out (start, cache; closing work). Works for any command that knows
project=, name= and exist_ok= and writes that file.

usage: epoch.py FOLDER COMMAND...      e.g. epoch.py /tmp build/dynyolo train model=yolov8n.pt data=bccd.yaml epochs=4"""
import csv
import json
import os
import shutil
import subprocess
import sys

folder, command = sys.argv[1], sys.argv[2:]
name = f"epoch-{os.getpid()}"
run = os.path.join(folder, name)
try:
    subprocess.run([*command, f"project={folder}", f"name={name}", "exist_ok=True"], check=True, stdout=sys.stderr)
    with open(os.path.join(run, "results.csv")) as f:
        seconds = [float(row["time"]) for row in csv.DictReader(f, skipinitialspace=True)]
finally:
    shutil.rmtree(run, ignore_errors=True)
if len(seconds) < 3:
    sys.exit("epoch: at least three epochs are wanted")
print(json.dumps({"epochs": len(seconds), "ms_per_epoch": 1000 * (seconds[-2] - seconds[0]) / (len(seconds) - 2)}))
