#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Explores all states of a formal model with spin: none breaks a rule; with each fault switched on, one does.

Usage: check-model.py membership|delta|resend [--full]

--full also explores what takes some minutes and 4 GB.
"""

import os
import re
import subprocess
import sys
import tempfile

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Model:
    def __init__(self, optimise, names, right, right_full, broken):
        self.optimise = optimise      # what pays for itself: gcc takes longer than pan where states are few
        self.names = names            # of the bounds
        self.right = right            # bounds within which all is well
        self.right_full = right_full
        self.broken = broken          # bounds, and the faults that are found within them


MODELS = {
    "membership": Model(
        "-O2",
        ["CALLS", "CRASHES", "WIPES"],
        [(2, 2, 1), (3, 0, 0)],
        [(3, 1, 1)],
        [((2, 1, 1), ["ANSWER_BEFORE_WRITE", "COMMIT_SKIPS_NODE", "EPOCH_NOT_STORED", "INCARNATION_IGNORED",
                      "LOWER_ACKNOWLEDGED", "NO_RECORD_COUNTS", "NUMBER_USED_TWICE", "QUORUM_OFF_BY_ONE"])],
    ),
    "delta": Model(
        "-O1",
        ["CHANGES", "CRASHES", "RESTARTS", "ANY_RANK", "SENDS_0", "SENDS_1"],
        [(0, 0, 0, 0, 2, 2), (1, 1, 0, 1, 1, 2), (2, 1, 0, 0, 1, 1), (2, 1, 1, 0, 0, 1)],
        [(2, 1, 0, 1, 1, 1), (2, 1, 1, 0, 1, 1), (2, 1, 1, 1, 0, 1)],
        [((1, 1, 0, 0, 1, 2), ["COMMIT_EARLY", "DELIVERED_WHEN_PROPOSED", "FLUSH_EARLY", "GAP_TAKEN", "NO_STREAM_CHECK",
                               "NUMBER_USED_TWICE", "OWN_COMMIT_ONLY", "PENDING_NOT_SENT_AGAIN", "PROPOSAL_DROPPED",
                               "QUEUE_KEPT", "RING_EARLY", "SHORTEST_BUFFER", "STALE_TAKEN"]),
         ((2, 1, 1, 0, 0, 1), ["ACK_BEFORE_STORE", "MINORITY", "OLDER_HISTORY", "SHUT_OUT_DONATES",
                               "STREAMS_NOT_DONATED"])],
    ),
    "resend": Model(
        "-O0",
        ["FLUSH", "FANOUT", "LOSSES", "DOUBLES", "SENDS_0", "SENDS_2"],
        [(0, 0, 2, 1, 1, 1), (0, 1, 2, 0, 1, 1), (1, 0, 2, 0, 0, 1), (1, 1, 2, 0, 0, 1)],
        [(0, 1, 2, 1, 1, 1), (1, 0, 1, 0, 1, 1)],
        [((0, 0, 1, 0, 1, 1), ["COMMIT_NOT_SENT_AGAIN", "HELD_NOT_PASSED_ON", "PASSED_ON_UNHELD",
                               "SUBMIT_NOT_SENT_AGAIN"]),
         ((1, 0, 1, 0, 0, 1), ["FETCH_NOT_SENT_AGAIN", "PLAN_NOT_SENT_AGAIN"])],
    ),
}


def explore(name, bounds, *faults):
    """(states, megabytes, the assertion that failed or None)."""
    defines = ["-D%s=%d" % pair for pair in zip(MODELS[name].names, bounds)] + ["-D" + fault for fault in faults]
    with tempfile.TemporaryDirectory(prefix="hamgr-model-") as folder:
        def run(*command):
            return subprocess.run(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
            ).stdout

        run("spin", *defines, "-a", os.path.join(FOLDER, name + ".pml"))
        run("gcc", "-w", "-O0" if faults else MODELS[name].optimise, "-DSAFETY", "-DNOREDUCE", "-DMEMLIM=12000", "-o", "pan", "pan.c")
        said = run("./pan", "-m200000", "-w22" if faults else "-w25")
    violated = re.search(r"assertion violated (.*) \(at depth", said)
    if not violated and re.search(r"error: |out of memory|max search depth too small", said):
        raise RuntimeError(said)
    states = int(re.search(r"(\d+) states, stored", said).group(1))
    memory = float(re.search(r"([\d.]+)\s+total actual memory usage", said).group(1))
    return states, memory, violated.group(1) if violated else None


def property_of(violated):
    """Its name, where the model gives one: (name||(condition))."""
    named = re.match(r"\((\w+)\|\|", violated)
    return named.group(1) if named else violated


def told_bounds(model, bounds):
    return "-".join("%d-%s" % (bound, name.lower().replace("_", "-")) for name, bound in zip(model.names, bounds))


def main():
    name = sys.argv[1]
    model = MODELS[name]
    right = model.right + (model.right_full if "--full" in sys.argv[2:] else [])
    broken = [(bounds, fault) for bounds, faults in model.broken for fault in faults]
    print("1..%d" % (len(right) + len(broken)))
    failed = 0
    for number, bounds in enumerate(right, 1):
        states, memory, violated = explore(name, bounds)
        failed += violated is not None
        print("%sok %d /model/%s/%s # %d states, %d MB%s" % (
            "not " if violated else "", number, name, told_bounds(model, bounds), states, memory,
            ", broken: " + property_of(violated) if violated else ""), flush=True)
    for number, (bounds, fault) in enumerate(broken, len(right) + 1):
        states, _, violated = explore(name, bounds, fault)
        failed += violated is None
        said = "caught after %d states: %s" % (states, property_of(violated)) if violated else "missed in %d states" % states
        print("%sok %d /model/%s/broken/%s # %s" % (
            "" if violated else "not ", number, name, fault.lower().replace("_", "-"), said), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
