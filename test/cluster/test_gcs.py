# SPDX-License-Identifier: LGPL-2.1-or-later
"""Groups and ordered messages between programs on real nodes, through the hagcs tool."""

import itertools
import re

import pytest

from hamgrlab.cluster import Member, at_once

_number = itertools.count(1)


@pytest.fixture
def join(trio):
    """join(node, name, *options, group=...) makes a member, which leaves at the end of the test."""
    members = []
    here = "talk%d" % next(_number)

    def make(node, name, *options, group=here):
        member = Member(trio, node, group, name, *options)
        members.append(member)
        return member

    yield make
    for member in members:
        if trio.lab.node(member.node)["state"] == "on" and not trio.lab.node(member.node)["paused"]:
            member.end()


def left(name, node):
    """Matches a view that tells of a member's leaving; the reason is its first group."""
    return re.compile(r" left .*?\b%s@%s\(([^)]+)\)" % (name, node))


def await_left(witness, name, node, timeout=15):
    pattern = left(name, node)
    line = witness.await_line("%s gone" % name, pattern.search, timeout)
    return pattern.search(line).group(1)


def test_C01_members_see_each_other_join_and_leave(trio, join):
    first = join("n1", "anna")
    second = join("n2", "bert")
    first.await_line("bert to join", lambda line: " joined bert@n2" in line)
    third = join("n3", "carl")
    for one in (first, second):
        one.await_line("carl to join", lambda line: " joined carl@n3" in line)
    view = third.views()[-1]
    assert all(name in view for name in ("anna@n1", "bert@n2", "carl@n3"))
    second.leave()
    for one in (first, third):
        assert await_left(one, "bert", "n2") == "unregistered"
    first.send("hello")
    for one in (first, third):
        one.await_messages(1)
        assert one.messages() == [("anna@n1", "hello")]


def test_C02_killed_member_is_seen_with_the_reason_and_its_node_stays(trio, join):
    boots = trio.lab.boots("n2")
    witness = join("n1", "anna")
    join("n2", "bert").signal("KILL")
    assert await_left(witness, "bert", "n2") == "exited"
    join("n2", "carl", "--liveliness=500ms").signal("STOP")
    assert await_left(witness, "carl", "n2") == "unresponsive"
    assert trio.lab.boots("n2") == boots
    assert trio.view("n1")["nodes"]["n2"]["state"] == "up"


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_C03_critical_member_takes_its_node_along(trio, join, signal):
    lab = trio.lab
    for node in trio.nodes():
        lab.power(node, "fail")  # so that a reset is the node's own
    resets = lab.resets("n3")
    witness = join("n1", "anna")
    join("n3", "carl", "--critical", "--liveliness=500ms").signal(signal)
    lab.until("the reset", lambda: lab.resets("n3") == resets + 1, 15)
    await_left(witness, "carl", "n3")


def test_C04_critical_member_that_unregisters_resets_nothing(trio, join):
    lab = trio.lab
    boots = lab.boots("n3")
    witness = join("n1", "anna")
    join("n3", "carl", "--critical").leave()
    assert await_left(witness, "carl", "n3") == "unregistered"
    before = trio.mid("n1")
    witness.send("still there?")
    witness.await_messages(1)
    assert lab.boots("n3") == boots and trio.mid("n1") == before


def test_C05_groups_do_not_mix(trio, join):
    reds = [join("n1", "red1", group="red"), join("n1", "red2", group="red"), join("n2", "red3", group="red")]
    blues = [join("n1", "blue1", group="blue"), join("n3", "blue2", group="blue")]
    reds[1].send("to the reds")
    blues[1].send("to the blues")
    for red in reds:
        red.await_messages(1)
    for blue in blues:
        blue.await_messages(1)
    assert all(red.messages() == [("red2@n1", "to the reds")] for red in reds)
    assert all(blue.messages() == [("blue2@n3", "to the blues")] for blue in blues)


def test_C06_one_order_for_all(trio, join):
    """Six members on three nodes talk at once; each delivers the same messages and views in the same order."""
    count = 150
    members = [join(node, "m%d%s" % (number, node)) for node in trio.nodes() for number in (1, 2)]
    for member in members:
        member.await_line("all six", lambda line: all(other.name + "@" in line for other in members))

    def talk(member):
        return lambda: member.lab.run(
            member.node, "sh", "-c", "i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; done > %s" % (count, member.fifo)
        )

    at_once(*[talk(member) for member in members])
    for member in members:
        member.await_messages(count * len(members), 40)
    first = members[0].messages()
    for member in members[1:]:
        assert member.messages() == first
    for member in members:
        sent = [text for sender, text in first if sender == "%s@%s" % (member.name, member.node)]
        assert sent == [str(number) for number in range(1, count + 1)]


def test_C18_lost_node_takes_its_members_out_of_all_groups_at_once(trio, join):
    witnesses = {group: join("n1", "anna" + group, group=group) for group in ("red", "blue")}
    for group in witnesses:
        for name in ("carl", "cora"):
            join("n3", name + group, group=group)
    trio.lab.kill("n3")
    for group, witness in witnesses.items():
        names = ["carl" + group, "cora" + group]
        for name in names:
            assert await_left(witness, name, "n3") == "node lost"
        # In one change of the group, not in two.
        assert sum(" left " in line for line in witness.views()) == 1, witness.views()
