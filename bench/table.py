#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""table - measures the gates of gates.py, ours and the peers in turn, and writes one table.

usage: table.py [--rows 'infer*'] [--rounds N] [--out bench-out] [--list]        (make bench ROWS='infer*' ROUNDS=3)
Rows are chosen by patterns on the name of their group or row. In a round each measure of a group is taken once, one after
the other, so that all of them meet the same machine; the median over the rounds counts. bench-out/table.md and table.csv
keep the rows of earlier calls; a row that is measured again is replaced. Peers are found through the environment:
PEER_PYTHON (a Python with torch, onnx, onnxruntime, openvino, pyyaml), REF (the reference package's command); a row whose
peer is missing is left out and says so. B: build folder; DYN_SHARED: where data/weights, data/coco128, data/bccd lie."""
import argparse
import csv
import fnmatch
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

import gates
from gates import Sweep

COLUMNS = "group", "work", "ours", "peer", "unit", "ratio", "gate", "met", "note", "rounds", "when"
MODULES = {"ort": "onnxruntime onnx torch yaml", "openvino": "openvino onnx torch yaml", "torch": "torch yaml"}
PIP = {"ort": "torch onnx onnxruntime pyyaml", "openvino": "torch onnx openvino pyyaml", "torch": "torch pyyaml",
       "reference": "ultralytics==8.3.166"}


class Failed(Exception):
    pass


# ---- one figure -----------------------------------------------------------------------------------------------------

def run(command):
    """-> what it printed, wall milliseconds, peak resident megabytes"""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        try:
            child = subprocess.Popen(shlex.split(command), stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        except OSError as e:
            raise Failed(f"{command}: {e.strerror}")
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = 1e3 * (time.perf_counter() - start)
        text = ""
        for f in err, out:
            f.seek(0)
            text += f.read().decode(errors="replace")
    if child.returncode:
        raise Failed(f"{command}: exit status {child.returncode}: {' '.join(text.strip().splitlines()[-1:])}")
    return text, wall, used.ru_maxrss / 1024


def take(measure):
    for path, make in measure.files:
        if not os.path.exists(path):
            made = subprocess.run(make, shell=True, capture_output=True, text=True)
            if made.returncode or not os.path.exists(path):
                raise Failed(f"{make}: {' '.join(made.stderr.strip().splitlines()[-1:])}")
    text, wall, rss = run(measure.command)
    if measure.figure in ("wall_ms", "rss_mb"):
        return wall if measure.figure == "wall_ms" else rss
    found = re.findall(measure.figure, text)
    if not found:
        raise Failed(f"{measure.command}: no figure in what it printed")
    return float(found[-1])


# ---- who is there ---------------------------------------------------------------------------------------------------

def available(kind, known={"": True}):
    if kind not in known:
        test = ([gates.REFERENCE, "version"] if kind == "reference" else
                [gates.PYTHON, "-c", "import " + ", ".join(MODULES[kind].split())])
        try:
            known[kind] = subprocess.run(test, capture_output=True).returncode == 0
        except OSError:
            known[kind] = False
    return known[kind]


# ---- a group --------------------------------------------------------------------------------------------------------

def measures_of(row):
    return [m for _, m, _ in row.points] if isinstance(row, Sweep) else [row.ours, row.peer]


def rounds_of(rows, rounds):
    """-> {command: [figure of each round]}; a command that failed has its message instead"""
    wanted = {}
    for row in rows:
        for m in measures_of(row):
            if available(m.kind):
                wanted[m.command, m.figure] = m
    figures = {k: [] for k in wanted}
    for r in range(rounds):
        for key, m in wanted.items():
            if isinstance(figures[key], str):
                continue
            print(f"\r{rows[0].group}: round {r + 1}/{rounds} ", end="", file=sys.stderr, flush=True)
            try:
                figures[key].append(take(m))
            except Failed as e:
                figures[key] = str(e)
                print(f"\n{e}", file=sys.stderr)
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    return figures


def row_of(group, work, ours, peer, unit, limit, more_is_better, note):
    ratio = ours / peer
    met = None if limit is None else ratio >= limit if more_is_better else ratio <= limit
    return {"group": group, "work": work, "ours": f"{ours:.4g}", "peer": f"{peer:.4g}", "unit": unit,
            "ratio": f"{ratio:.3f}", "gate": "" if limit is None else f"{'>=' if more_is_better else '<='} {limit:g}",
            "met": "" if met is None else "yes" if met else "no", "note": note}


def gate_rows(g, figures):
    mine, theirs = (figures.get((m.command, m.figure)) for m in (g.ours, g.peer))
    if isinstance(mine, str) or isinstance(theirs, str):
        print(f"{g.work}: left out, a command failed", file=sys.stderr)
    elif theirs is not None:
        yield row_of(g.group, g.work, statistics.median(mine), statistics.median(theirs), g.unit, g.limit, g.more_is_better,
                     "")
    elif g.fallback:
        yield row_of(g.group, g.work, statistics.median(mine), g.fallback, g.unit, g.limit, g.more_is_better,
                     "not side by side")
    else:
        print(f"{g.work}: left out, peer not installed: pip install {PIP[g.peer.kind]}", file=sys.stderr)


def sweep_rows(s, figures):
    cost = {name: statistics.median(v) / units for name, m, units in s.points
            if isinstance(v := figures.get((m.command, m.figure)), list)}
    for name, ms in cost.items():
        yield row_of(s.group, f"{name} : best of its kind", ms, min(cost.values()), s.unit, s.limit, False, "")


# ---- the table ------------------------------------------------------------------------------------------------------

def read(path):
    if not os.path.exists(path):
        return {}
    with open(path, newline="") as f:
        return {row["work"]: row for row in csv.DictReader(f)}


def processor():
    with open("/proc/cpuinfo") as f:
        names = re.findall(r"model name\s*: (.*)", f.read())
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def version(kind):
    if kind == "reference":
        return "ultralytics " + subprocess.run([gates.REFERENCE, "version"], capture_output=True, text=True).stdout.strip()
    name = {"ort": "onnxruntime"}.get(kind, kind)
    code = f"import {name}; print('{name}', {name}.__version__)"
    return subprocess.run([gates.PYTHON, "-c", code], capture_output=True, text=True).stdout.strip()


def write(out, rows):
    order = {}
    for row in gates.GATES:
        for work in [f"{name} : best of its kind" for name, _, _ in row.points] if isinstance(row, Sweep) else [row.work]:
            order.setdefault(work, len(order))
    rows = sorted(rows.values(), key=lambda r: order.get(r["work"], len(order)))
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "table.csv"), "w", newline="") as f:
        w = csv.DictWriter(f, COLUMNS)
        w.writeheader()
        w.writerows(rows)
    with open(os.path.join(out, "table.md"), "w") as f:
        peers = [version(k) for k in ("ort", "openvino", "torch", "reference") if available(k)]
        f.write(f"{processor()}, {gates.THREADS} threads. Peers: {', '.join(peers) or 'none'}.\n\n")
        f.write("| work | peer | ours | peer's | unit | ratio | gate | met |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
        for r in rows:
            work, peer = r["work"].split(" : ")
            note = f" ({r['note']})" if r["note"] else ""
            f.write(f"| {work} | {peer}{note} | {r['ours']} | {r['peer']} | {r['unit']} | {r['ratio']} | {r['gate']} | {r['met']} |\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", default="*", help="patterns, separated by spaces")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--out", default="bench-out")
    p.add_argument("--list", action="store_true", help="name the rows, measure nothing")
    a = p.parse_args()
    chosen = {}
    for row in gates.GATES:
        name = row.group if isinstance(row, Sweep) else row.work
        if any(fnmatch.fnmatch(n, pattern) for pattern in a.rows.split() for n in (row.group, name)):
            chosen.setdefault(row.group, []).append(row)
    if not chosen:
        sys.exit(f"bench: no row is called {a.rows}; --list names them")
    if a.list:
        for group, rows in chosen.items():
            for row in rows:
                print(f"{group:20} {'; '.join(n for n, _, _ in row.points) if isinstance(row, Sweep) else row.work}")
        return
    os.makedirs(gates.SCRATCH, exist_ok=True)
    path = os.path.join(a.out, "table.csv")
    table, bad = read(path), 0
    for group, rows in chosen.items():
        figures = rounds_of(rows, a.rounds)
        for row in rows:
            for r in (sweep_rows if isinstance(row, Sweep) else gate_rows)(row, figures):
                r.update(rounds=a.rounds, when=time.strftime("%Y-%m-%d %H:%M"))
                table[r["work"]] = r
                bad += r["met"] == "no"
                print(f"{r['work']:75} {r['ours']:>9} {r['peer']:>9} {r['unit']:12} {r['ratio']:>7} {r['gate']:8} {r['met']}")
        write(a.out, table)
    print(f"{a.out}/table.md, {path}; {bad} gates not met")


if __name__ == "__main__":
    main()
