# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench/membership measures what it says, and a death is known in time: three nodes, once, without Corosync."""

import json
import os
import subprocess
import sys

import pytest

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench")
sys.path.insert(0, BENCH)
from benchlib import Figure  # noqa: E402


def figure(*values, **options):
    made = Figure("figure", **options)
    made.values += values
    return made


def test_figure_falls_short_of_its_limit_or_of_a_rival():
    assert figure(1, 2, 9, limit=2).short() is None
    assert "must be at most 2" in figure(1, 3, 9, limit=2).short()
    assert "nothing was measured" in figure(limit=2).short()
    assert figure(needed=False).short() is None
    assert figure(1, rivals=[figure(2), figure()]).short() is None
    assert "no better than figure: 1" in figure(1, rivals=[figure(2), figure(1)]).short()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")
def test_three_nodes_see_a_death_in_time(tmp_path):
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, os.path.join(BENCH, "membership"), "--nodes=3", "--rounds=1", "--rest-sec=1",
         "--without-corosync", "--assert", f"--json={file}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    figures = json.loads(file.read_text())["figures"]
    value = {name.partition(",")[0]: figure["values"][0] for name, figure in figures.items()}
    # Sooner than three heartbeats nobody can know.
    assert value["kill to new membership"] > 250
    # Each of three nodes sends to two others, and hears them, ten times a second.
    assert 30 < value["packets at rest"] < 60
    assert value["CPU at rest"] > 0
