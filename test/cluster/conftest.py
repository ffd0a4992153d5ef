# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the cluster tests share: one cluster at a time, kept for as long as the next test wants the same."""

import os
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

os.environ.setdefault("LAB", "test%d" % os.getpid())

from hamgrlab import config, progress  # noqa: E402
from hamgrlab.cluster import Cluster  # noqa: E402
from hamgrlab.lab import LabError, boottime  # noqa: E402

progress.quiet = True


# A fencing is given up soon, since some are meant to fail, and devices are checked often.
REDFISH_CONF = config.cluster_conf(3, redfish=True, fence_keys=["TimeoutSec=2s", "CheckSec=1s", "PowerOn=yes"])

# Each kind of cluster that tests want: its number of nodes, its groups, and what else Cluster.start() is told.
KINDS = {
    # The shop and two small groups, everything at its default.
    "trio": (3, {
        "shop": config.shop(3), "blue": config.web("blue", ["n2", "n3", "n1"], 1), "green": config.web("green", ["n3", "n1", "n2"], 2),
    }, {}),
    # Two nodes, each with a shop of its own, each the other's backup.
    "duo": (2, {
        "left": config.group("left", ["n1", "n2"], "dual_active", mount=("/dev/shared", "/srv/left", "xfs"),
                             address="192.0.2.101/24", unit="web@8001.service"),
        "right": config.group("right", ["n2", "n1"], "dual_active", mount=("/dev/shared2", "/srv/right", "xfs"),
                              address="192.0.2.102/24", unit="web@8002.service"),
    }, {"disks": 2}),
    # Three nodes that work, and one that waits for any of them.
    "quad": (4, {
        name: config.web(name, [node], number, "n_by_1", ["n4"])
        for number, (name, node) in enumerate((("one", "n1"), ("two", "n2"), ("three", "n3")), 1)
    }, {}),
    # Four nodes and a fifth that is disabled. Fencing is given up after 2 s, so the half without the tie-breaker waits 3 s.
    "even": (5, {"one": config.web("one", ["n1", "n3"], 1), "three": config.web("three", ["n3", "n1"], 2)}, {
        "conf": config.cluster_conf(5, cluster=["UnseenFenceSec=8s"], node={"n5": ["Enabled=no"]},
                                    fence_keys=["TimeoutSec=2s", "PowerOn=yes"]),
        "disabled": ("n5",),
    }),
    "five": (5, {"blue": config.web("blue", ["n1", "n2", "n3", "n4", "n5"], 1)}, {}),
    # Three of four nodes: the fourth is not named in cluster.conf yet.
    "growing": (4, {"shop": config.shop(3, domain=["n1", "n2"])}, {
        "conf": config.cluster_conf(3), "disabled": ("n4",),
    }),
    # Without a fence device: each node has a watchdog, and resets itself.
    "resetting": (3, {
        "shop": config.shop(3),
        "slow": config.group("slow", ["n1", "n2", "n3"], address="192.0.2.119/24", unit="slow@8009.service"),
    }, {
        "conf": config.cluster_conf(3, fence=False, node={
            name: ["Watchdog=vouched", "WatchdogSec=1s"] for name in ("n1", "n2", "n3")
        }),
        "watchdog": 1.0,
    }),
    # Fenced by its nodes' management controllers.
    "redfish": (3, {"shop": config.shop(3)}, {"conf": REDFISH_CONF, "bmcs": True}),
    # Nodes that are off: the test says how many it wants.
    "eight": (8, {}, {"boot": False}),
}


class Keeper:
    """Keeps one cluster up. A test that finds it not whole gets a new one."""

    def __init__(self):
        self.kind = self.cluster = self.groups = self.version = None

    def get(self, kind):
        if self.kind == kind and self.cluster:
            if kind == "eight":
                return self.cluster
            try:
                self.restore()
                return self.cluster
            except LabError as error:
                print("the last test left a cluster that does not become whole again: %s" % error)
        self.drop()
        nodes, self.groups, options = KINDS[kind]
        self.cluster = Cluster.start(nodes, self.groups, **options)
        self.kind = kind
        if kind != "eight":
            self.put_in_force()
            self.settle()
        return self.cluster

    def put_in_force(self):
        self.cluster.apply(self.groups, node="n1", clear=True)
        self.version = self.cluster.view("n1")["configuration_version"]

    def restore(self):
        """Whole, with its own configuration in force, and every group where it belongs."""
        self.cluster.make_whole()
        view = self.cluster.view()
        for name, node in view["nodes"].items():
            if node["standby"]:
                self.cluster.hactl("node", "unstandby", name)
        for name, group in view["groups"].items():
            if group["wanted"] == "stopped":
                self.cluster.hactl("group", "start", name)
            if group["state"] in ("failed", "blocked"):
                self.cluster.hactl("group", "cleanup", name)
        if view["configuration_version"] != self.version:
            for name in view["groups"]:
                if name not in self.groups:
                    self.cluster.hactl("group", "stop", name)
            self.put_in_force()
        self.settle()
        self.cluster.lab.checker("forgive")

    def settle(self):
        """Every group runs, and on the first node of its domain."""
        def all_run(view):
            return all(group["state"] == "running" for group in view["groups"].values())

        view = self.cluster.await_view("all groups running", all_run, timeout=30)
        for name, group in view["groups"].items():
            if group["node"] != group["domain"][0]:
                self.cluster.move(name, group["domain"][0])

    def drop(self):
        if self.cluster:
            self.cluster.lab.down()
        self.kind = self.cluster = None


@pytest.fixture(scope="session")
def keeper():
    one = Keeper()
    yield one
    one.drop()


def fixture_of(kind):
    @pytest.fixture(name=kind)
    def give(keeper):
        cluster = keeper.get(kind)
        since = boottime()
        yield cluster
        if keeper.cluster is cluster:
            # D01, whatever the test was about.
            assert cluster.lab.crimes(since) == []

    return give


trio, duo, quad, even, five, growing, resetting, redfish, eight = map(
    fixture_of, ("trio", "duo", "quad", "even", "five", "growing", "resetting", "redfish", "eight"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failure: what happened to the nodes, and the end of their journals."""
    outcome = yield
    report = outcome.get_result()
    keeper = item.funcargs.get("keeper")
    if not report.failed or keeper is None or keeper.cluster is None:
        return
    lab = keeper.cluster.lab
    try:
        report.sections.append((
            "lab", "\n".join("%.3f %s %s" % tuple(entry) for entry in lab.history(boottime() - 60))
            + "\ncrimes: %s\n" % lab.crimes()
        ))
        for node in lab.nodes():
            text = lab.journal(node, "--lines=60", "--output=short-precise", "--unit=hagcd", "--unit=hamgr", "--unit=init.scope")
            report.sections.append(("journal of " + node, text))
    except (LabError, OSError) as error:
        report.sections.append(("lab", "cannot say more: %s" % error))
