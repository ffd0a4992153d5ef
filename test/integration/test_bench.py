# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench/membership and bench/groups measure what they say: three nodes, once, without Corosync. A death is known in
time; what is sent to a group is delivered on all nodes."""

import json
import os
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

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
    assert figure(1, times=0.5, rivals=[figure(3)]).short() is None
    assert "must be 0.5 times that of figure: 2" in figure(1, times=0.5, rivals=[figure(2)]).short()
    assert figure(6, times=3, more_is_better=True, rivals=[figure(2)]).short() is None
    assert "must be 3 times that of figure: 2" in figure(5, times=3, more_is_better=True, rivals=[figure(2)]).short()


def measure(tmp_path, *command):
    """The values of one round."""
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, os.path.join(BENCH, command[0]), *command[1:], "--nodes=3", "--rounds=1", "--without-corosync",
         "--assert", f"--json={file}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    return {name: figure["values"][0] for name, figure in json.loads(file.read_text())["figures"].items()}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")
def test_three_nodes_see_a_death_in_time(tmp_path):
    figures = measure(tmp_path, "membership", "--rest-sec=1")
    value = {name.partition(",")[0]: value for name, value in figures.items()}
    # Sooner than three heartbeats nobody can know.
    assert value["kill to new membership"] > 250
    # Each of three nodes sends to two others, and hears them, ten times a second.
    assert 30 < value["packets at rest"] < 60
    assert value["CPU at rest"] > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")
def test_three_nodes_deliver_what_all_of_them_send(tmp_path):
    value = measure(tmp_path, "groups", "--sizes=64,64K,1M", "--senders=all", "--seconds=0.2")
    assert len(value) == 3 * 9
    assert value["throughput, 3 nodes, all send, 64 B: hagcd"] > value["throughput, 3 nodes, all send, 1 MiB: hagcd"] > 1
    # A part of what they send is slower than the half, and it took them no longer than the test.
    for load in "single", "half load":
        p50, p99, p999 = (value[f"{part}, {load}, 3 nodes, all send, 64 B: hagcd"] for part in ("p50", "p99", "p99.9"))
        assert 10 < p50 <= p99 <= p999 < 60e6


def test_what_differs_is_found():
    loader = SourceFileLoader("groups", os.path.join(BENCH, "groups"))
    groups = module_from_spec(spec_from_loader("groups", loader))
    loader.exec_module(groups)
    good = {"wrong": "", "n": 2, "order": "1"}
    groups.verify({1: good, 2: good})
    for bad in {"wrong": "lost"}, {"n": 1}, {"order": "2"}:
        with pytest.raises(groups.Wrong):
            groups.verify({1: good, 2: {**good, **bad}})
