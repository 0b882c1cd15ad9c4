#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden values for tests/test_yaml.c from PyYAML's safe loader.

  tools/golden_yaml.py          writes tests/data/yaml_scalars.txt: "kind<TAB>value<TAB>text" for plain scalars
  tools/golden_yaml.py --check  reads tests/data/yaml_written.yaml (what our writer makes, see test_yaml.c) with PyYAML
                                and compares it with the values that the test wrote
"""
import math
import sys

import yaml

TEXTS = """0 7 -7 +7 1_000 0x1F 0b101 017 08 0x -0x10 9223372036854775807 -9223372036854775808 12a 1.5 -1.5 .5 5.
1.0e-5 1.0E+5 1e 1.5e e5 .e1 . .. -. .inf -.inf +.inf .Inf .INF inf nan .nan .NaN infinity 1.2.3 1_0.5 _1 0_7 true True
TRUE tRUE yes Yes no No NO on off Off y n Y N null Null NULL ~ nULL nil none hello nn.Conv2d a:b a#b 0.33 1024 0.937
-1 v8 8.0.0 @x""".split()
WRITTEN = {"task": "detect", "lr0": 0.01, "tiny": 1e-5, "big": 1e22, "third": 1 / 3, "epochs": 100, "cos_lr": False,
           "cfg": None, "name": "yes", "number": "007", "empty": "", "colon": "a: b", "hash": "a #b", "star": "*.jpg",
           "lines": "a\nb", "accent": "caf\u00e9", "path": "C:\\x", "space": " x ", "quote": "it's", "inf": math.inf,
           "scales": {"n": [0.33, 0.25, 1024], "empty": []}, "names": {0: "person", 1: "no"},
           "rows": [[-1, 1, "Conv", [64, 3, 2]], [[-1, 6], 1, "Concat", [1]]], "maps": [{"a": 1}, {"b": [1, 2]}],
           "nothing": {}, "dash": "- x", "exp": "1e5", "None": "None", "tilde": "~"}


def line(text):
    try:
        v = yaml.safe_load(text)
    except yaml.YAMLError:
        return f"error\t-\t{text}"
    kind = {type(None): "null", bool: "bool", int: "int", float: "float", str: "string"}.get(type(v), "other")
    return f"{kind}\t{v!r}\t{text}" if kind != "string" else f"string\t{v}\t{text}"


if sys.argv[1:] == ["--check"]:
    got = yaml.safe_load(open("tests/data/yaml_written.yaml", encoding="utf-8"))
    assert list(got) == list(WRITTEN), (list(got), list(WRITTEN))
    for k, v in WRITTEN.items():
        assert got[k] == v and type(got[k]) is type(v), (k, got[k], v)
    print("PyYAML reads what we write")
else:
    with open("tests/data/yaml_scalars.txt", "w", encoding="utf-8") as f:
        f.write("\n".join(line(t) for t in TEXTS) + "\n")
