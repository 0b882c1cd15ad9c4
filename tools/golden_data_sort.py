#!/usr/bin/env python3
"""Order in which NumPy 1.24's argsort leaves ties, for tests/test_ratio_sort.c.  usage: golden_data_sort.py > tests/data/ratio_sort.txt

Each line: n, then n keys (small integers, many equal), then n indices. From NumPy 1.25 on CPUs with AVX-512 sort otherwise."""
import numpy as np
assert np.__version__.startswith("1.24"), np.__version__
r = np.random.default_rng(0)
for n, kinds in [(1, 1), (2, 1), (16, 3), (17, 2), (18, 1), (40, 4), (128, 7), (128, 1), (300, 5), (300, 300)]:
    k = r.integers(0, kinds, n).astype(np.float64)
    print(n, *(int(v) for v in k), *np.argsort(k))
k = np.concatenate([np.arange(150), np.arange(150)[::-1]]).astype(np.float64)
print(300, *(int(v) for v in k), *np.argsort(k))
