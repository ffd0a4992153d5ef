# SPDX-License-Identifier: LGPL-2.1-or-later
"""Groups in which everybody talks all the time while nodes and members die, hang and come: what one was told, all were
told, in one order (hamgrlab/teller.py compares it)."""

import itertools
import threading

import pytest

from hamgrlab.lab import boottime
from hamgrlab.teller import Comparison, Teller

_number = itertools.count(1)
MIB = 1 << 20


class Talk:
    """A group of tellers."""

    def __init__(self, lab):
        self.lab = lab
        self.group = "tell%d" % next(_number)
        self.tellers = []

    def start(self, node, name, *options):
        self.tellers.append(Teller(self.lab, node, self.group, name, "--mark=64", *options))
        return self.tellers[-1]

    def all_talk(self, *tellers):
        """Wait until each has all of them in its view, and a good many messages."""
        for one in tellers:
            one.await_line("all in its view", lambda line: line[1] in ("begin", "view") and all(
                "%s@" % other.name in line[5] for other in tellers))
        for one in tellers:
            one.await_count(1500)

    def compare(self, *alive):
        """Ends those that live, one after the other: each end is a view in which the others are compared."""
        for one in alive:
            one.end()
            one.await_line("its end", lambda line: line[1] == "end")
        comparison = Comparison().take_all(self.tellers)
        assert comparison.differences() == []
        return comparison.figures()

    def close(self):
        for one in self.tellers:
            shown = self.lab.node(one.node)
            if shown["state"] == "on" and not shown["paused"]:
                one.signal("KILL")


@pytest.fixture
def talk(trio):
    one = Talk(trio.lab)
    yield one
    one.close()


def test_member_that_diverges_is_found(trio, talk):
    """One counts a message that nobody sent: the comparison that all others here rest upon sees it."""
    tellers = [talk.start("n1", "well"), talk.start("n2", "well_too"), talk.start("n3", "odd", "--diverge=700")]
    talk.all_talk(*tellers)
    for one in tellers:
        one.end()
    differences = Comparison().take_all(tellers).differences()
    assert any("well@n1 well_too@n2: " in one for one in differences), differences
    assert all("; odd@n3: " in one or ": odd@n3: " in one for one in differences), differences


def coordinator(cluster):
    return cluster.membership_seen("n1")["coordinator"]


def lose(talk, victim, how):
    """Take a node away in the middle of the talk. Its members are gone in one view, and the others go on."""
    lab = talk.lab
    dead = [one for one in talk.tellers if one.node == victim]
    alive = [one for one in talk.tellers if one.node != victim]
    if how == "power":
        lab.kill(victim)
    else:
        lab.signal(victim, "hagcd.service", "KILL")
    for one in alive:
        assert {one.await_left(other) for other in dead} == {"node-lost"}
        views = [line for line in one.lines("view") if "node-lost" in line[6]]
        assert len(views) == 1, views
    return dead, alive


def test_C14_initiator_dies_and_what_it_proposed_is_delivered_by_all(trio, talk):
    """Only the node that dies sends: short messages, and long ones in pieces of which the last may be missing."""
    victim = next(name for name in trio.nodes() if name != coordinator(trio))
    others = [talk.start(node, "ear_" + node, "--silent") for node in trio.nodes() if node != victim]
    senders = [talk.start(victim, "short"), talk.start(victim, "long", "--size=200000")]
    talk.all_talk(*others, *senders)
    dead, alive = lose(talk, victim, "power")
    assert dead == senders
    figures = talk.compare(*alive)
    # Of the dead ones too: what they saw, the others saw.
    assert figures["steps_compared"] >= 1 and figures["marks_compared"] >= 5


@pytest.mark.parametrize("how", ["power", "daemon"])
def test_C15_coordinator_dies_and_survivors_have_one_order(trio, talk, how):
    tellers = [talk.start(node, "%s_%s" % (name, node)) for node in trio.nodes() for name in ("one", "two")]
    talk.all_talk(*tellers)
    _, alive = lose(talk, coordinator(trio), how)
    for one in alive:
        one.await_count(1000)
    figures = talk.compare(*alive)
    assert figures["steps_compared"] >= 3 and figures["marks_compared"] >= 5


def test_C16_participant_dies_comes_back_and_the_rest_go_on(trio, talk):
    """Its member joins again under load, from a snapshot, and is compared with those that never left."""
    victim = next(name for name in reversed(trio.nodes()) if name != coordinator(trio))
    tellers = [talk.start(node, "one_" + node) for node in trio.nodes()]
    talk.all_talk(*tellers)
    _, alive = lose(talk, victim, "daemon")
    for one in alive:
        one.await_count(1000)
    trio.await_up()
    back = talk.start(victim, "again")
    talk.all_talk(*alive, back)
    assert back.lines("begin")[0][6] == "snapshot"
    figures = talk.compare(*alive, back)
    assert figures["steps_compared"] >= 3


def test_C17_shut_out_node_and_the_others_compare(trio, talk):
    """A node is cut off and comes back: what its member saw before is what they saw, and it begins again as they are."""
    victim = next(name for name in trio.nodes() if name != coordinator(trio))
    for node in trio.nodes():
        trio.lab.power(node, "fail")  # so that it lives to come back
    tellers = [talk.start(node, "one_" + node) for node in trio.nodes()]
    talk.all_talk(*tellers)
    cut = next(one for one in tellers if one.node == victim)
    trio.lab.cut_cluster(victim)
    for one in tellers:
        if one is not cut:
            assert one.await_left(cut) == "node-lost"
            one.await_count(500)
    trio.lab.heal()
    cut.await_line("the others went on", lambda line: line[1] == "shut-out")
    cut.lab.until("a second beginning", lambda: len(cut.lines("begin")) == 2, 15)
    cut.await_count(1000)
    figures = talk.compare(*tellers)
    assert figures["shut_out"] == 1 and figures["steps_compared"] >= 3


def test_C21_stopped_reader_slows_its_senders_and_is_expelled(trio, talk):
    lab = trio.lab
    tellers = [talk.start(node, "one_" + node, "--size=4000") for node in trio.nodes()]
    stopped = talk.start("n2", "stopped", "--size=4000")
    talk.all_talk(*tellers, stopped)
    before = {node: lab.memory(node, "hagcd.service")[0]["VmRSS"] for node in trio.nodes()}
    mid = trio.mid("n1")
    moment = boottime()
    stopped.signal("STOP")
    most = dict.fromkeys(before, 0)
    ended = threading.Event()

    def measure():
        while not ended.wait(0.1):
            for node in before:
                most[node] = max(most[node], lab.memory(node, "hagcd.service")[0]["VmRSS"])

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        for one in tellers:
            assert one.await_left(stopped) == "expelled"
    finally:
        ended.set()
        thread.join()
    gone = float(next(line for line in tellers[0].lines("view") if "=expelled" in line[6])[0])
    # It was waited for: the senders were refused, and nothing went on but what there is room for.
    assert gone - moment > 4
    for one in tellers:
        assert one.rate(moment + 1, gone - 0.1) < one.rate(moment - 1, moment) / 20
    for node in before:
        assert most[node] - before[node] < 32 * MIB, (node, before, most)
    for one in tellers:
        one.await_count(1000)
    stopped.signal("CONT")
    stopped.await_line("that it is out", lambda line: line[1] == "disconnected")
    assert trio.mid("n1") == mid
    talk.compare(*tellers)


def test_C22_newcomers_under_load_miss_and_repeat_nothing(trio, talk):
    """They come one after the other, each with a large state to be given; one that gives is killed in the middle of it."""
    tellers = [talk.start(node, "old_" + node, "--state=4000000") for node in trio.nodes()]
    talk.all_talk(*tellers)
    giver = min(tellers, key=lambda one: float(one.lines("begin")[0][0]))
    for number in range(6):
        newcomer = talk.start(trio.nodes()[number % 3], "new%d" % number, "--state=4000000")
        if number == 3:
            giver.signal("KILL")
            tellers.remove(giver)
        newcomer.await_line("its state", lambda line: line[1] == "begin")
        tellers.append(newcomer)
    for one in tellers:
        one.await_count(1000)
    # All there was from the beginning is in what it was given.
    assert all(line[6] == "snapshot" for one in talk.tellers for line in one.lines("begin") if one.name.startswith("new"))
    figures = talk.compare(*tellers)
    assert figures["steps_compared"] >= 10
