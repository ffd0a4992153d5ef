# SPDX-License-Identifier: LGPL-2.1-or-later
"""No fence device: a node that is lost is proven dead by time, since it has reset itself by then."""

import json

import pytest

from hamgrlab.lab import boottime

# What a machine on which much else runs may add to a bound, between what happens and who writes down when. What must not
# happen before something else has no such allowance.
BUSY_SEC = 1
# From the proof to the first answer: the file system of a dead node, its address, the service; likewise.
START_SEC = 3


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
    return lab.until("%s to end" % node, lambda: (lab.node(node)["death_time"] or 0) >= since and lab.node(node)["death_time"])


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
    assert down - event < bound + BUSY_SEC
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
    assert down - event > bound - 0.3
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
    lab.heal()
    resetting.await_up()
    assert lab.resets(node) == resets


def test_A14_cut_off_node_that_cannot_stop_is_reset_when_its_lease_ends(resetting):
    lab = resetting.lab
    node = running(resetting, "slow")
    bound = promise(resetting, node)
    resets = lab.resets(node)
    lab.run(node, "touch", "/run/slow")
    event = lab.cut(node)
    ended = death(resetting, node, event)
    down = taken_over(resetting, node, event, bound, "slow")
    assert lab.resets(node) == resets + 1
    assert event + 1.8 < ended < event + 2.1 + BUSY_SEC
    assert ended < down
    lab.client("forget", name="slow")


def test_F07_restart_of_hagcd_is_no_end_of_its_lease(resetting):
    """All others heard the farewell: the groups run on, and nobody is reset."""
    lab = resetting.lab
    node = running(resetting)
    resets = lab.resets()
    event = boottime()
    lab.run(node, "systemctl", "restart", "hagcd")
    resetting.await_up()
    lab.until("the lease of before to end", lambda: boottime() > event + 2.2, 5)
    assert lab.resets() == resets
    assert lab.interruptions("shop", event) == []


@pytest.mark.parametrize("noticed", [False, True], ids=["at-once", "without-quorum"])
def test_D01_restart_of_hagcd_does_not_lengthen_a_lease(resetting, noticed):
    """The farewell is not heard, so the others count on the end of the lease, which the next hagcd knows nothing of. Nor is
    it heard by anybody who counts when the node is alone, and everybody in its membership has heard it."""
    lab = resetting.lab
    node = running(resetting)
    bound = promise(resetting, node)
    if noticed:
        lab.run(node, "touch", "/run/slow")  # what cannot be stopped meanwhile
    event = lab.cut(node)
    if noticed:
        resetting.await_view("no quorum", lambda view: not view["quorate"], node, 5)
    lab.run(node, "systemctl", "restart", "hagcd", check=False)
    ended = death(resetting, node, event)
    down = taken_over(resetting, node, event, bound)
    assert ended < event + 2.1 + BUSY_SEC
    assert ended < down


@pytest.mark.parametrize("signal, within", [("KILL", 0.35), ("STOP", 0.3 + 0.35)])
def test_B05_killed_or_hung_keeper_resets_its_node(resetting, signal, within):
    """The second link, with the bounds that `hactl budget` has of it; whether something runs here or not."""
    lab = resetting.lab
    event = lab.signal("n3", "hagcd-keeper.service", signal)
    assert death(resetting, "n3", event) - event < within + BUSY_SEC
    resetting.await_up()


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
