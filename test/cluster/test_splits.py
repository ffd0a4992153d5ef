# SPDX-License-Identifier: LGPL-2.1-or-later
"""Partitions on real nodes: who goes on, who is fenced, and how it heals."""

import itertools
import random
import re
import time

from hamgrlab.cluster import parse_mid
from hamgrlab.lab import boottime
from test_membership import members

FAILURE_SEC = 0.4  # the default
SPLIT = (["n1", "n2"], ["n3", "n4", "n5"])


def await_members(cluster, node, wanted, timeout=20):
    return cluster.await_view(
        "a membership of %s" % " ".join(sorted(wanted)),
        lambda view: view["quorate"] and members(view) == set(wanted), node, timeout,
    )


def await_no_quorum(cluster, *nodes):
    for node in nodes:
        cluster.await_view("no quorum", lambda view: not view["quorate"], node)


def set_power(cluster, mode, *nodes):
    for node in nodes:
        cluster.lab.power(node, mode)


def installed(cluster, node, after):
    """What a node installed after that membership, by its journal: (mid, nodes, verdict)."""
    found = []
    for line in cluster.log(node, "--output=cat").splitlines():
        match = re.match(r"membership (\d+\.\d+): nodes \{([\d ]+)\}, (quorate|exactly half|not quorate)$", line)
        if match and parse_mid(match[1]) > after:
            found.append((parse_mid(match[1]), frozenset("n" + id for id in re.findall(r"\d+", match[2])), match[3]))
    return found


def check_histories(cluster, after):
    """Every number names one set everywhere, numbers only grow, and of the quorate sets each has more than half."""
    sets = {}
    for node in cluster.enabled():
        history = installed(cluster, node, after)
        assert [one[0] for one in history] == sorted({one[0] for one in history}), (node, history)
        for mid, nodes, verdict in history:
            assert node in nodes, (node, mid, nodes)
            assert sets.setdefault(mid, (nodes, verdict)) == (nodes, verdict), (node, mid, nodes, sets[mid])
            assert verdict != "quorate" or 2 * len(nodes) > len(cluster.enabled()), (mid, nodes)


def largest_meshes(nodes, cuts):
    """The largest sets in which everyone hears everyone."""
    broken = {frozenset(pair) for pair in cuts}
    for count in range(len(nodes), 0, -1):
        found = [
            set(some) for some in itertools.combinations(nodes, count)
            if not any(frozenset(pair) in broken for pair in itertools.combinations(some, 2))
        ]
        if found:
            return found
    return []


def test_A10_one_way_cuts_settle_on_one_fully_connected_set(five):
    """One cut, then meshes with ever more holes, and last one that leaves no three together. Fencing fails, so that whoever is shut out lives on beside the others."""
    lab = five.lab
    nodes = five.nodes()
    set_power(five, "fail", *nodes)
    dice = random.Random(10)
    links = list(itertools.permutations(nodes, 2))
    for cuts in [("n1", "n2")], dice.sample(links, 3), dice.sample(links, 5):
        after = max(five.mid(node) for node in nodes)
        best = [mesh for mesh in largest_meshes(nodes, cuts) if len(mesh) >= 3] or [set()]
        lab.cut_one_way(*cuts)

        def agreed():
            views = {node: five.view(node) for node in nodes}
            quorate = [node for node in nodes if views[node]["quorate"]]
            numbers = {views[node]["membership"] for node in quorate}
            if set(quorate) not in best or len(numbers) > 1 or any(members(views[node]) != set(quorate) for node in quorate):
                return None
            return numbers or "no quorum"

        settled = lab.until("one of %s to be the membership after %s" % (best, cuts), agreed, 15)
        # And there it stays, although those outside hear some of it.
        deadline = boottime() + 2 * FAILURE_SEC
        while boottime() < deadline:
            assert agreed() == settled, (cuts, settled)
        check_histories(five, after)
        lab.heal()
        five.await_up()


def test_A11_three_of_five_go_on_and_two_do_not(five):
    lab = five.lab
    set_power(five, "fail", *five.nodes())  # a fenced node would come back as a new one, and hide what it did before
    lab.split(*SPLIT)
    await_members(five, "n4", SPLIT[1])
    await_no_quorum(five, "n1", "n2")
    time.sleep(1)
    assert all(not five.view(node)["quorate"] for node in ("n1", "n2"))
    assert len({five.membership(node) for node in SPLIT[1]}) == 1


def test_A11_A18_without_more_than_half_nobody_goes_on_until_it_heals(five):
    """Nobody is fenced then either, and once it heals all is as before without an operator."""
    lab = five.lab
    since = boottime()
    lab.split(["n1", "n2"], ["n3", "n4"], ["n5"])
    await_no_quorum(five, *five.nodes())
    time.sleep(1)
    for node in five.nodes():
        assert not five.view(node)["quorate"]
    assert [order for order in lab.power_orders(since) if order[1] != "status"] == []
    lab.heal()
    five.await_up(timeout=30)
    five.await_group("blue", on="n1")


def test_A14_A18_every_excluded_node_is_fenced_once_and_comes_back_by_itself(five):
    lab = five.lab
    since = boottime()
    after = five.mid("n1")
    boots = {node: lab.boots(node) for node in five.nodes()}
    lab.split(*SPLIT)
    for node in SPLIT[0]:
        five.await_node(node, "down", "n4")
    five.await_group("blue", node="n4", not_on="n1")
    # They are switched on again, and find themselves two of five still.
    for node in SPLIT[0]:
        lab.await_node(node, "on")
        five.await_view("no quorum", lambda view: not view["quorate"], node)
    lab.heal()
    five.await_up()
    five.await_group("blue")
    for node in five.nodes():
        lost = node in SPLIT[0]
        assert len(five.power_orders(node, since)) == lost, (node, lab.power_orders(since))
        assert lab.boots(node) == boots[node] + lost, node
    check_histories(five, after)


def test_A20_crash_in_the_middle_of_a_change_ends_in_one_membership(five):
    """A node dies and is given up at its last gasp; then, while that is agreed upon, whoever coordinates."""
    lab = five.lab
    for offset in (0, 0.03, 0.06):
        after = five.mid("n1")
        coordinator = "n%d" % after[1]
        other = next(node for node in reversed(five.nodes()) if node != coordinator)
        rest = [node for node in five.nodes() if node not in (other, coordinator)]
        lab.signal(other, "hagcd.service")
        time.sleep(offset)
        lab.signal(coordinator, "hagcd.service")

        def agreed():
            last = {(installed(five, node, after) or [None])[-1] for node in rest}
            return len(last) == 1 and None not in last and last.pop()[1:] == (frozenset(rest), "quorate")

        lab.until("%s to agree after the loss of %s and %s" % (rest, other, coordinator), agreed, 10)
        check_histories(five, after)
        lab.until("all nodes on", lambda: all(one["state"] == "on" for one in lab.status()["nodes"].values()), 20)
        five.await_up(timeout=30)


def test_A12_A16_half_goes_on_with_the_tie_breaker_only(even):
    """n1, the lowest enabled id, is the tie-breaker by default; its half fences the other at once (A13). The disabled node
    is neither counted, or it would be two against three, nor fenced."""
    lab = even.lab
    assert even.view("n1")["nodes"]["n5"]["state"] == "inactive"
    since = boottime()
    set_power(even, "off-only", "n3", "n4")
    moment = lab.split(*SPLIT)
    await_members(even, "n1", SPLIT[0])
    even.await_group("three", on="n1", node="n1")
    for node in ("n3", "n4"):
        orders = even.power_orders(node, since)
        assert len(orders) == 1, orders
        assert orders[0][0] - moment < FAILURE_SEC + 1
        assert lab.node(node)["state"] == "off"
    for node in ("n1", "n2", "n5"):
        assert not even.power_orders(node, since), node
    assert even.view("n1")["nodes"]["n5"]["state"] == "inactive"
    assert not even.view("n5")["quorate"]


def test_A13_half_without_the_tie_breaker_fences_later_and_nobody_goes_on_before(even):
    lab = even.lab
    since = boottime()
    set_power(even, "fail", *even.nodes())
    moment = lab.split(*SPLIT)
    orders = {}
    for node, other in (("n3", "n4"), ("n1", "n2")):
        lab.until("%s and %s to be fenced" % (node, other),
                  lambda: even.power_orders(node, since) and even.power_orders(other, since), 10)
        orders[node] = even.power_orders(node, since)[0][0] - moment
    # At once, and after a delay longer than the other half's whole time limit.
    assert orders["n3"] < FAILURE_SEC + 1 and orders["n1"] > FAILURE_SEC / 2 + 3, orders
    # Neither worked, so neither half goes on, and nothing is taken over.
    for node in even.enabled():
        view = even.view(node)
        assert not view["quorate"], node
    assert lab.run("n1", "systemctl", "is-active", "web@8001.service").strip() == "active"
    assert lab.run("n3", "systemctl", "is-active", "web@8002.service").strip() == "active"
    # Then the devices of the tie-breaker's half work, and only these.
    set_power(even, "off-only", "n1", "n2")
    await_members(even, "n3", ["n3", "n4"])
    even.await_group("one", on="n3", node="n3")
    assert [lab.node(node)["state"] for node in even.nodes()] == ["off", "off", "on", "on", "on"]
    assert not even.power_orders("n5", since)


def test_R06_half_proves_anew_who_was_down_before(even):
    """n3 and n4 are fenced and stay off; n3 comes back and dies. Now n4 has to be proven down once more, or nobody goes
    on: it was fenced in a split that is over."""
    lab = even.lab
    set_power(even, "off-only", "n3", "n4")
    for node in ("n3", "n4"):
        lab.kill(node)
    await_members(even, "n1", ["n1", "n2"])
    lab.power("n3", "normal")
    lab.on("n3")
    await_members(even, "n1", ["n1", "n2", "n3"])
    since = boottime()
    lab.power("n3", "off-only")
    lab.kill("n3")
    await_members(even, "n1", ["n1", "n2"])
    assert len(even.power_orders("n3", since)) == len(even.power_orders("n4", since)) == 1, lab.power_orders(since)
    assert not even.power_orders("n5", since)


def test_R06_ring_of_four_goes_on_and_is_no_war_of_resets(even):
    """n1-n2, n2-n3, n3-n4, n4-n1: no three hear each other, and each half hears one of the other, which seems to be on its
    way. Nobody is fenced while it is waited for; then the half with the tie-breaker fences both, and goes on."""
    lab = even.lab
    set_power(even, "off-only", *even.nodes())
    cut = boottime()

    def switched_off():
        return [order for order in lab.power_orders(cut) if order[1] == "off"]

    lab.cut_one_way(*itertools.chain(*(((a, b), (b, a)) for a, b in (("n1", "n3"), ("n2", "n4")))))
    # By chance three go on for a moment and fence the fourth, and either neighbour is with n1 in the end; both are over
    # when its half says that it waits.
    lab.until("n1 to wait", lambda: "is heard: waiting for it to join" in even.log("n1", "--lines=20"), 10)
    waits = boottime()
    outside = sorted(set(even.enabled()) - set(even.membership_seen("n1")["members"]))
    assert len(outside) == 2 and "n3" in outside
    await_members(even, "n1", set(even.enabled()) - set(outside))
    orders = switched_off()
    assert sorted({order[2] for order in orders}) == outside, orders
    assert min(order[0] for order in orders if order[0] > waits) - waits > 6, (waits, orders)
    # They are back, hear that somebody works, and leave it at that; nobody is fenced any more.
    for node in outside:
        lab.on(node)
        even.await_view("no quorum", lambda view: not view["quorate"], node)
    time.sleep(2)
    assert switched_off() == orders
    assert even.view("n1")["quorate"]
    lab.heal()
    even.await_up()
