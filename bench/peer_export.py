#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""peer_export - writes MODEL.onnx for the peers that read it: static shape, BatchNorm folded, boxes decoded.

usage: peer_export.py MODEL OUT.onnx [--batch 1] [--imgsz 640] [--nc 80]       e.g. yolov8s-DynamicConv s.onnx"""
import argparse
import warnings

import torch

import peer_model

p = argparse.ArgumentParser()
p.add_argument("model")
p.add_argument("out")
for name, default in ("batch", 1), ("imgsz", 640), ("nc", 80):
    p.add_argument("--" + name, type=int, default=default)
a = p.parse_args()
torch.manual_seed(0)
warnings.simplefilter("ignore")
net = peer_model.load(a.model, a.nc)
peer_model.settle(net)
peer_model.fold(net.eval())
with torch.no_grad():
    torch.onnx.export(net, (torch.rand(a.batch, 3, a.imgsz, a.imgsz),), a.out, opset_version=17, input_names=["images"],
                      output_names=["output0"], do_constant_folding=True, dynamo=False)
