# SPDX-License-Identifier: LGPL-2.1-or-later
"""No fence device: a node that is lost is proven dead by time, since it has reset itself by then."""

import json

import pytest

from hamgrlab.lab import boottime

# What is promised counts from the last heartbeat that was echoed, and that of a node that is killed is echoed up to
# HeartbeatSec= (0.1 s) later; then the proof is ordered, and written down. What process 1 of a node promises, which has no
# real-time priority, likewise; and the lab, which sees the end of a container, and may be one of four. What must not happen
# before something else has no such allowance.
ORDER_SEC = 0.25
# From the proof to the first answer: the file system of a dead node, its address, the service, each by process 1.
START_SEC = 2
# As in src/shared/budget.c.
LEASE_SEC, KEEPER_SEC = 2, 0.05


def promise(cluster, node):
    """What `hactl budget` promises on a node, in seconds."""
    budget = json.loads(cluster.hactl("budget", "--json", node=node))
    assert budget["counts"], budget
    assert sum(link["usec"] for link in budget["links"]) == budget["sum_usec"]
    return budget["sum_usec"] / 1e6


def running(cluster, group="shop"):
    """The node with a group, which is watched."""
    node = cluster.await_group(group)["node"]
    cluster.lab.watch_shop(*(() if group == "shop" else (group, "192.0.2.119", 8009)))
    cluster.lab.first_answer(boottime(), group)
    return node


def death(cluster, node, since):
    """The moment at which a node ended, whatever ended it."""
    lab = cluster.lab
    ended = lab.until("%s to end" % node, lambda: (lab.node(node)["death_time"] or 0) >= since and lab.node(node)["death_time"])
    print("%s ended after %.3f s" % (node, ended - since))
    return ended


def proof(cluster, node, survivor, since):
    """The moment at which the others knew that it is down."""
    def look():
        lines = cluster.lab.journal(survivor, "--output=json", "HAMGR_EVENT=node_down", "HAMGR_NODE=" + node).splitlines()
        times = [int(json.loads(line)["__MONOTONIC_TIMESTAMP"]) / 1e6 for line in lines]
        return next((time for time in times if time > since), None)

    return cluster.lab.until("%s to be down" % node, look)


def taken_over(cluster, node, event, bound, group="shop"):
    """By another node, as soon as it was promised. Returns the moment of the proof."""
    outage, server = cluster.lab.outage(event, group, moved_from=node)
    down = proof(cluster, node, server, event)
    assert server != node
    print("promised %.3f s, proven after %.3f s, answered after %.3f s" % (bound, down - event, outage))
    assert down - event < bound + ORDER_SEC
    assert outage < bound + START_SEC
    return down


def test_A14_killed_node_is_taken_over_by_time(resetting):
    """It stays dead, so nothing but the time says so. Nor too early: the wait is for a node that lives."""
    lab = resetting.lab
    node = running(resetting)
    bound = promise(resetting, node)
    assert bound <= 4  # with everything at its default
    event = lab.kill(node)
    down = taken_over(resetting, node, event, bound)
    assert down - event > bound - 0.2  # a heartbeat earlier, and what its age may add
    assert resetting.view()["nodes"][node]["state"] == "down"


def test_D01_hung_node_is_reset_by_its_watchdog_before_another_takes_over(resetting):
    """Everything in it hangs, systemd too; only what is outside of it goes on. Cut off too, so that nobody hears of its
    next boot, which would prove as much."""
    lab = resetting.lab
    node = running(resetting)
    bound = promise(resetting, node)
    lab.cut(node)
    event = lab.pause(node)
    down = taken_over(resetting, node, event, bound)
    assert event + 0.5 < death(resetting, node, event) < down


def test_A14_cut_off_node_stops_its_groups_and_lives(resetting):
    """OnQuorumLoss=stop, the default without fence devices: there is time for it until the lease ends."""
    lab = resetting.lab
    node = running(resetting)
    resets = lab.resets(node)
    bound = promise(resetting, node)
    event = lab.cut(node)
    taken_over(resetting, node, event, bound)
    assert lab.run(node, "systemctl", "is-active", "shop.service", check=False)["out"].strip() == "inactive"
    # A hamgr that begins does not know yet that nothing runs here; that is no reason to be reset either.
    lab.run(node, "systemctl", "restart", "hamgr")
    # There is nobody to hand anything to, and nothing to stop: that keeps nobody from leaving.
    lab.run(node, "systemctl", "stop", "hagcd", timeout=20)
    lab.run(node, "systemctl", "start", "hagcd", "hamgr")
    lab.heal()
    resetting.await_up()
    assert lab.resets(node) == resets


def test_A14_cut_off_node_that_cannot_stop_is_reset_when_its_lease_ends(resetting):
    lab = resetting.lab
    node = running(resetting, "slow")
    bound = promise(resetting, node)
    resets = lab.resets(node)
    lab.run(node, "touch", "/run/slow")
    event, cut = lab.cut(node), boottime()
    ended = death(resetting, node, event)
    down = taken_over(resetting, node, event, bound, "slow")
    assert lab.resets(node) == resets + 1
    assert event + LEASE_SEC - 0.2 < ended < cut + LEASE_SEC + KEEPER_SEC + ORDER_SEC
    assert ended < down
    lab.client("forget", name="slow")


def test_A14_server_that_runs_something_is_not_sent_to_sleep(resetting):
    """R12: it would wake up with all that it ran, while others have taken it over."""
    lab = resetting.lab
    node = running(resetting)

    def kept_awake(name):
        lines = lab.run(name, "systemd-inhibit", "--list", "--no-legend", "--no-pager").splitlines()
        return any("hamgr" in line and "sleep" in line and "block" in line for line in lines)

    lab.until("%s to be kept awake" % node, lambda: kept_awake(node), 5)
    resetting.hactl("node", "standby", node)
    lab.until("%s to run nothing" % node, lambda: not kept_awake(node), 10)
    resetting.hactl("node", "unstandby", node)


def test_F07_hagcd_that_leaves_alone_takes_no_group_along(resetting):
    """Asked by a signal, so that hamgr does not empty the node first. All others heard the farewell: the groups run on, nobody
    is reset, and no time says anything of the node (R9)."""
    lab = resetting.lab
    node = running(resetting)
    resets = lab.resets()
    bound = promise(resetting, node)
    event = boottime()
    lab.signal(node, "hagcd.service", "TERM")
    lab.until("all that is waited for by time", lambda: boottime() > event + bound + 0.2, 10)
    survivor = next(name for name in ("n1", "n2") if name != node)
    assert resetting.view(survivor)["nodes"][node]["state"] == "detached"
    lab.run(node, "systemctl", "start", "hagcd")
    resetting.await_up()
    assert lab.resets() == resets
    assert lab.interruptions("shop", event) == []


def test_F07_restart_of_the_keeper_leaves_groups_running(resetting):
    """As in an upgrade: hagcd is restarted with it, and all others hear that; the next keeper knows no lease of before."""
    lab = resetting.lab
    node = running(resetting)
    resets = lab.resets()
    event = boottime()
    lab.run(node, "systemctl", "restart", "hagcd-keeper")
    resetting.await_up()
    lab.until("the lease of before to end", lambda: boottime() > event + 2.2, 5)
    assert lab.resets() == resets
    assert lab.interruptions("shop", event) == []


@pytest.mark.parametrize("noticed, what", [
    (False, "hagcd"), (True, "hagcd"), (False, "hagcd-keeper"),
], ids=["at-once", "without-quorum", "keeper-too"])
def test_D01_restart_of_hagcd_does_not_lengthen_a_lease(resetting, noticed, what):
    """The farewell is not heard, so the others count on the end of the lease, which the next hagcd knows nothing of, nor the
    next keeper. Nor is it heard by anybody who counts when the node is alone, and everybody in its membership has heard it."""
    lab = resetting.lab
    node = running(resetting)
    bound = promise(resetting, node)
    if noticed:
        lab.run(node, "touch", "/run/slow")  # what cannot be stopped meanwhile
    event, cut = lab.cut(node), boottime()
    if noticed:
        resetting.await_view("no quorum", lambda view: not view["quorate"], node, 5)
    lab.run(node, "systemctl", "restart", what, check=False)
    ended = death(resetting, node, event)
    down = taken_over(resetting, node, event, bound)
    assert ended < cut + LEASE_SEC + KEEPER_SEC + ORDER_SEC
    assert ended < down


@pytest.mark.parametrize("signal, within", [("KILL", 0.35), ("STOP", 0.3 + 0.35)])
def test_B05_killed_or_hung_keeper_resets_its_node(resetting, signal, within):
    """The second link, with the bounds that `hactl budget` has of it; whether something runs here or not."""
    lab = resetting.lab
    event = lab.signal("n3", "hagcd-keeper.service", signal)
    assert death(resetting, "n3", event) - event < within + ORDER_SEC
    resetting.await_up()


@pytest.mark.parametrize("signal", ["TERM", "HUP", "INT"])
def test_B05_keeper_is_not_asked_to_end_by_a_signal(resetting, signal):
    """To systemd who ends by one of these has not failed, so nothing would reset the node then, and nobody end its lease."""
    lab = resetting.lab

    def shown(key):
        return int(lab.run("n3", "systemctl", "show", "--value", "-p", key, "hagcd-keeper.service"))

    process = shown("MainPID")
    event = lab.signal("n3", "hagcd-keeper.service", signal)
    lab.until("a sign of life since", lambda: shown("WatchdogTimestampMonotonic") > event * 1e6, 5)
    assert shown("MainPID") == process


def test_A14_virtual_machine_needs_somebody_who_vouches_for_its_watchdog(resetting):
    """What runs in a container, or a virtual machine, can be paused together with its watchdog."""
    lab = resetting.lab
    path = "/etc/hamgr/cluster.conf"
    text = lab.read("n3", path)
    assert "it has reset itself within 3s 758ms" in resetting.hactl("check", node="n3")
    lab.write("n3", path, text.replace("Watchdog=vouched\nWatchdogSec=1s", "Watchdog=hardware"))
    try:
        checked = resetting.hactl("check", node="n3", check=False)
        budget = json.loads(resetting.hactl("budget", "--json", node="n3"))
    finally:
        lab.write("n3", path, text)
    assert checked["status"] == 1
    assert "does not count" in checked["err"] and "systemd-nspawn" in checked["err"]
    assert not budget["counts"] and "Watchdog=vouched" in budget["reason"]


def test_A14_hamgr_promises_no_more_than_its_hagcd_was_started_for(resetting):
    """The keeper acts by the cluster.conf that hagcd was started with, whatever hamgr has read since."""
    lab = resetting.lab
    path = "/etc/hamgr/cluster.conf"
    text = lab.read("n3", path)

    def said():
        return "not for the end of a lease" in lab.journal("n3", "--unit=hamgr.service", "--boot")

    assert not said()
    lab.write("n3", path, text.replace("[Cluster]\n", "[Cluster]\nOnQuorumLoss=freeze\n"))
    try:
        lab.run("n3", "systemctl", "restart", "hagcd")
    finally:
        lab.write("n3", path, text)
    lab.run("n3", "systemctl", "restart", "hamgr")
    lab.until("hamgr to promise nothing", said, 10)
    lab.run("n3", "systemctl", "restart", "hagcd")
    resetting.await_up()
