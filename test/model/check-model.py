#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Explores all states of the formal model with spin: none breaks a rule; with each fault switched on, one does.

Usage: check-model.py [--full]

--full also explores three ballots with a crash and the loss of a record, which takes some minutes and 4 GB.
"""

import os
import re
import subprocess
import sys
import tempfile

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "membership.pml")

# Ballots, crashes, lost records.
RIGHT = [(2, 2, 1), (3, 0, 0)]
RIGHT_FULL = [(3, 1, 1)]
BROKEN = (2, 1, 1)
FAULTS = [
    "ANSWER_BEFORE_WRITE", "COMMIT_SKIPS_NODE", "EPOCH_NOT_STORED", "INCARNATION_IGNORED", "LOWER_ACKNOWLEDGED",
    "NO_RECORD_COUNTS", "NUMBER_USED_TWICE", "QUORUM_OFF_BY_ONE",
]


def explore(bounds, *defines):
    """(states, the assertion that failed or None)."""
    names = ["-D%s=%d" % pair for pair in zip(("CALLS", "CRASHES", "WIPES"), bounds)] + ["-D" + name for name in defines]
    with tempfile.TemporaryDirectory(prefix="hamgr-model-") as folder:
        def run(*command):
            return subprocess.run(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
            ).stdout

        run("spin", *names, "-a", MODEL)
        run("gcc", "-w", "-O2", "-DSAFETY", "-DNOREDUCE", "-DMEMLIM=12000", "-o", "pan", "pan.c")
        said = run("./pan", "-m200000", "-w25")
    violated = re.search(r"assertion violated (.*) \(at depth", said)
    if not violated and re.search(r"error: |out of memory|max search depth too small", said):
        raise RuntimeError(said)
    return int(re.search(r"(\d+) states, stored", said).group(1)), violated.group(1) if violated else None


def main():
    right = RIGHT + (RIGHT_FULL if "--full" in sys.argv[1:] else [])
    print("1..%d" % (len(right) + len(FAULTS)))
    failed = 0
    for number, bounds in enumerate(right, 1):
        states, violated = explore(bounds)
        failed += violated is not None
        print("%sok %d /model/membership/%d-ballots-%d-crashes-%d-lost-records # %d states%s" % (
            "not " if violated else "", number, *bounds, states, ", broken: " + violated if violated else ""), flush=True)
    for number, fault in enumerate(FAULTS, len(right) + 1):
        states, violated = explore(BROKEN, fault)
        failed += violated is None
        print("%sok %d /model/membership/broken/%s # caught after %d states: %s" % (
            "" if violated else "not ", number, fault.lower().replace("_", "-"), states, violated), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
