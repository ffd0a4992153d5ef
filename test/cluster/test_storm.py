# SPDX-License-Identifier: LGPL-2.1-or-later
"""A short storm; the long ones are for `./check --full`. And one that has to fail."""

import os
import subprocess
import sys

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "storm")


def storm(*arguments):
    return subprocess.run([sys.executable, "-B", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=600, env=dict(os.environ, LAB="storm%d" % os.getpid()))


def test_D01_nothing_is_wrong_after_a_storm():
    done = storm("--faults=6", "--seed=3")
    assert done.returncode == 0, done.stdout
    assert "nothing was wrong" in done.stdout and "promised and numbered" in done.stdout


def test_D01_storm_cries_when_there_are_two_owners():
    done = storm("--faults=1", "--kinds=kill_app", "--seed=1", "--two-owners")
    assert done.returncode == 1 and "two owners: address 192.0.2.100" in done.stdout, done.stdout
