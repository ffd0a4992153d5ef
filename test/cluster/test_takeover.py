# SPDX-License-Identifier: LGPL-2.1-or-later
"""Takeover, seen from outside the cluster."""

import re
import time

from hamgrlab import config
from hamgrlab.lab import boottime

ADDRESS = config.SHOP_ADDRESS


def neighbour(lab, address):
    """The hardware address that the client has for an address."""
    text = lab.from_client("ip", "neighbour", "show", "to", address)["out"]
    found = re.search(r"lladdr (\S+)", text)
    return found.group(1) if found else None


def hardware(lab, node):
    return lab.run(node, "cat", "/sys/class/net/public/address", check=False)["out"].strip() or re.search(
        r"link/ether (\S+)", lab.run(node, "ip", "link", "show", "dev", "public")).group(1)


def test_E01_address_answers_from_the_survivor_and_neighbours_learn_it(trio):
    lab = trio.lab
    v6 = "2001:db8:2::100"
    trio.apply({"six": config.group("six", ["n1", "n2", "n3"], address=v6 + "/64", unit="web@8006.service")}, node="n2")
    trio.await_group("six", on="n1")
    lab.watch_shop()
    lab.watch_shop("six", v6, 8006)
    lab.first_answer(boottime())
    lab.first_answer(boottime(), "six")
    macs = {node: re.search(r"link/ether (\S+)", lab.run(node, "ip", "link", "show", "dev", "public")).group(1) for node in trio.nodes()}
    for address in (ADDRESS, v6):
        assert neighbour(lab, address) == macs["n1"]
    event = lab.kill("n1")
    for name, address in (("shop", ADDRESS), ("six", v6)):
        answer = lab.first_answer(event + 0.1, name)
        assert answer["server"] in ("n2", "n3")
        assert answer["time"] - event < 5
        assert neighbour(lab, address) == macs[answer["server"]]
    lab.client("forget", name="six")


def test_E05_file_system_appears_with_all_synced_data(trio):
    lab = trio.lab
    lab.watch_shop()
    lab.first_answer(boottime())
    lab.ordering(True)
    for act in (lab.kill, lab.pause):
        node = trio.await_group("shop")["node"]
        lab.order("just before %s of %s" % (act.__name__, node))
        event = act(node)
        outage, server = lab.outage(event, moved_from=node)
        assert server != node and outage < 5
        trio.await_up(timeout=40)
    node = trio.await_group("shop")["node"]
    event = boottime()
    trio.move("shop", next(name for name in trio.nodes() if name != node))
    lab.outage(event, moved_from=node)
    lab.ordering(False)
    assert not lab.lost_orders()
    assert lab.crimes() == []


def test_E06_both_of_two_work_and_the_survivor_runs_both(duo):
    lab = duo.lab
    assert duo.group("left")["node"] == "n1" and duo.group("right")["node"] == "n2"
    lab.watch_shop("left", "192.0.2.101", 8001)
    lab.watch_shop("right", "192.0.2.102", 8002)
    assert lab.first_answer(boottime(), "left")["server"] == "n1"
    assert lab.first_answer(boottime(), "right")["server"] == "n2"
    lab.power("n2", "off-only")  # it would be back, and its group with it, before one has looked
    event = lab.kill("n2")  # n1 is the tie-breaker
    outage, server = lab.outage(event, "right", moved_from="n2")
    assert server == "n1" and outage < 5
    assert duo.group("left", "n1")["node"] == "n1"
    assert lab.interruptions("left", event) == []
    # What a half does is ordered nowhere, and remembered all the same.
    assert re.search(r" n2 +off +n1 .* exactly half of the votes needed its proof", duo.hactl("fence", "history", node="n1"))
    lab.power("n2", "normal")
    lab.on("n2")
    duo.await_up(timeout=40)
    assert "n2 was rebooted: it was fenced by n1" in lab.journal("n2", "--unit=hamgr", "--boot")


def test_E06_the_other_of_two_survives_too(duo):
    """Without the tie-breaker the survivor waits longer, and then goes on: the dead one was switched off."""
    lab = duo.lab
    lab.power("n1", "off-only")
    event = lab.kill("n1")
    duo.await_group("left", on="n2", node="n2", timeout=40)
    assert duo.group("right", "n2")["node"] == "n2"
    assert boottime() - event < 30
    lab.power("n1", "normal")
    lab.on("n1")
    duo.await_up(timeout=40)


def test_E06_active_and_standby(trio):
    lab = trio.lab
    assert trio.group("shop")["node"] == "n1"
    lab.kill("n1")
    assert trio.await_group("shop", not_on="n1", node="n2")["node"] == "n2"


def test_E07_the_standby_takes_the_work_of_any_one(quad):
    lab = quad.lab
    for name, node in (("two", "n2"), ("three", "n3")):
        other = "n1"
        lab.power(node, "off-only")
        lab.kill(node)
        quad.await_group(name, on="n4", node=other)
        for rest in ("one", "two", "three"):
            if rest != name:
                assert quad.group(rest, other)["node"] != "n4"
        lab.power(node, "normal")
        lab.off(node)
        lab.on(node)
        quad.await_up(timeout=40)
        quad.await_group(name)
        if quad.group(name)["node"] != node:
            quad.move(name, node)


def test_E07_with_two_failures_the_policy_decides(quad):
    """StandbyLoad=1: the standby takes one group, the second waits and says so; with 0 it takes all."""
    lab = quad.lab
    quad.await_group("one", on="n1")
    # n4 was made to take one: a second lost node's group stays without a node.
    for node in ("n2", "n3"):
        lab.power(node, "off-only")
    lab.kill("n2")
    quad.await_group("two", on="n4", node="n1")
    quad.hactl("node", "standby", "n3", "--no-block", node="n1")
    group = quad.await_group("three", "failed", node="n1")
    assert group["node"] == "" and "StandbyLoad" in group["reason"]
    quad.hactl("node", "unstandby", "n3", node="n1")
    quad.await_group("three", on="n3", node="n1")


def test_E10_address_in_use_elsewhere_is_not_claimed(trio):
    """The client's machine has the address: every node refuses it, and says who has it."""
    lab = trio.lab
    taken = "192.0.2.150"
    lab.from_client("ip", "address", "add", taken + "/24", "dev", "public")
    try:
        trio.apply({"taken": config.group("taken", ["n1", "n2", "n3"], address=taken + "/24")}, node="n1", check=False)

        def refused():
            group = trio.group("taken")
            return group if group["state"] not in ("running", "starting") and group["reason"] else None

        lab.until("the group to fail", refused, 30)
        assert lab.owners("address " + taken) == []
    finally:
        lab.from_client("ip", "address", "del", taken + "/24", "dev", "public")


def test_E10_address_that_somebody_removed_comes_back(trio):
    lab = trio.lab
    node = trio.group("shop")["node"]
    lab.watch_shop()
    lab.first_answer(boottime())
    event = boottime()
    lab.run(node, "ip", "address", "del", ADDRESS + "/24", "dev", "public")
    lab.until("it to be back", lambda: lab.owners("address " + ADDRESS) == [node], 5)
    assert lab.first_answer(boottime())["server"] == node
    outage, server = lab.outage(event)
    assert outage < 2 and server == node


def test_E10_healed_network_is_told_again(trio):
    """While the public network of the owner is cut the client learns a wrong hardware address; after it the right one."""
    lab = trio.lab
    lab.watch_shop()
    node = lab.first_answer(boottime())["server"]
    mac = neighbour(lab, ADDRESS)
    lab.carrier(node, "public", False)
    lab.from_client("ip", "neighbour", "replace", ADDRESS, "lladdr", "02:00:00:00:99:99", "dev", "public", "nud", "stale")
    time.sleep(0.3)
    lab.carrier(node, "public", True)
    lab.until("the neighbours to be told", lambda: neighbour(lab, ADDRESS) not in (None, "02:00:00:00:99:99"), 10)
    server = lab.first_answer(boottime())["server"]
    assert server != node or neighbour(lab, ADDRESS) == mac
