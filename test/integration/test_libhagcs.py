# SPDX-License-Identifier: LGPL-2.1-or-later
"""What programs make of libhagcs: the examples, and scripts by hagcs.py, each on real hagcds."""

import ctypes
import errno
import os
import select
import signal
import subprocess
import sys
import time

import pytest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/libhagcs")]
import hagcs  # noqa: E402
from hagcd_lab import DEADLINE, Lab, Lines, program  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")


@pytest.fixture(scope="module")
def lab():
    # The module asks for libhagcs.so.0, and finds the one that is loaded already.
    ctypes.CDLL(program("libhagcs", "libhagcs.so.0"))
    with Lab(3) as made:
        made.start()
        for node in made.nodes.values():
            node.wait_members(1, 2, 3)
        yield made


@pytest.fixture(scope="module")
def leaders():
    return {}


class Example:
    """A running example on a node."""

    def __init__(self, node, example, *arguments):
        self.name = arguments[0] if arguments else example
        self.process = subprocess.Popen(
            [program("..", "examples", example), *arguments, f"{node.folder}/run/hagcd.sock"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
        node.lab.processes.append(self.process)
        self.lines = Lines(self.process.stdout, f"{node.folder}/{example}-{self.process.pid}.log")

    def say(self, *lines):
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def wait(self, pattern):
        return self.lines.wait(pattern)[1]

    def wait_time(self, pattern):
        return self.lines.wait(pattern)[0]

    def leave(self):
        """The end of its input; it has to leave cleanly."""
        self.process.stdin.close()
        assert self.process.wait(timeout=DEADLINE) == 0

    def kill(self):
        self.process.kill()
        self.process.wait()


def open_at(node):
    return hagcs.open(f"{node.folder}/run/hagcd.sock")


def take(h, *types, turning=()):
    """The next event of one of these types. What other handles wait to write goes out by their loops, which turn too."""
    before = []
    end = time.monotonic() + DEADLINE
    while True:
        while (event := h.dispatch()) is not None:
            if event.type in types:
                return event
            before.append(event)
        for other in turning:
            while other.dispatch() is not None:
                pass
        poll = select.poll()
        for each in (h, *turning):
            poll.register(each, each.get_events())
        assert poll.poll(max(0.0, end - time.monotonic()) * 1000), f"none of {types} came, but {before}"


def turn_until(seen, condition):
    """Turns the loops of all handles, {handle: [event, ...]}, until something is so."""
    end = time.monotonic() + DEADLINE
    while True:
        for h, events in seen.items():
            while (not events or events[-1].type != hagcs.EVENT_DISCONNECTED) and (event := h.dispatch()) is not None:
                events.append(event)
        if condition():
            return
        poll = select.poll()
        for h, events in seen.items():
            if not events or events[-1].type != hagcs.EVENT_DISCONNECTED:
                poll.register(h, h.get_events())
        assert poll.poll(max(0.0, end - time.monotonic()) * 1000), "it did not come to be"


def n_members(events):
    views = [e.view for e in events if e.type == hagcs.EVENT_VIEW]
    return len(views[-1].members) if views else 0


def history(events, n_all):
    """What is ordered, from the first view of so many members on."""
    ordered = [(e.type.name, e.mid, e.sequence, e.data, sorted((m.name, m.reason) for m in e.view.left), e.sender.name)
               if e.type != hagcs.EVENT_VIEW or len(e.view.members) != n_all else "all here"
               for e in events if e.type in (hagcs.EVENT_VIEW, hagcs.EVENT_MESSAGE)]
    return ordered[ordered.index("all here"):]


def join(h, group, name, flags=0):
    h.register(group, name, flags)
    event = take(h, hagcs.EVENT_REGISTERED)
    assert event.error == 0, event.text
    view = take(h, hagcs.EVENT_VIEW)
    assert view.view.fresh
    return view


# ---- hagcs.py ----


def test_python_members_see_one_order(lab):
    handles = [open_at(lab.nodes[i]) for i in (1, 2, 3)]
    for i, h in enumerate(handles, 1):
        view = join(h, "python", f"p{i}").view
        assert [(m.name, m.node_id, m.own) for m in view.members] == [(f"p{k}", k, k == i) for k in range(1, i + 1)]
        assert [n.state for n in view.nodes] == [hagcs.NODE_UP] * 3
        assert view.node_set == 0b111
    for k in range(20):
        for i, h in enumerate(handles, 1):
            h.send(f"{i} {k}\0".encode(), cookie=100 * i + k)
    orders = []
    for i, h in enumerate(handles, 1):
        events = [take(h, hagcs.EVENT_MESSAGE) for _ in range(60)]
        orders.append([(e.mid, e.sequence, e.sender.name, e.data) for e in events])
        assert [e.cookie for e in events if e.sender.own] == [100 * i + k for k in range(20)]
    assert orders[0] == orders[1] == orders[2]
    # Of pieces of one batch the place is one; it never goes back.
    assert [o[:2] for o in orders[0]] == sorted(o[:2] for o in orders[0])
    handles[2].close()
    left = [take(h, hagcs.EVENT_VIEW).view.left for h in handles[:2]]
    while not left[0]:
        left[0] = take(handles[0], hagcs.EVENT_VIEW).view.left
    while not left[1]:
        left[1] = take(handles[1], hagcs.EVENT_VIEW).view.left
    for gone in left:
        assert [(m.name, m.reason) for m in gone] == [("p3", hagcs.LEFT_EXITED)]
    for h in handles[:2]:
        h.unregister()
        take(h, hagcs.EVENT_UNREGISTERED)
        h.close()


def test_python_snapshot_is_given(lab):
    state = bytes(range(256)) * 1000
    with open_at(lab.nodes[1]) as old, open_at(lab.nodes[2]) as new:
        join(old, "state", "old", hagcs.WANT_SNAPSHOT)
        nothing = take(old, hagcs.EVENT_SNAPSHOT)
        assert (nothing.error, nothing.data) == (-errno.ENODATA, b"")
        new.register("state", "new", hagcs.WANT_SNAPSHOT)
        request = take(old, hagcs.EVENT_SNAPSHOT_REQUEST)
        assert request.sender.name == "new"
        old.give_snapshot(request.cookie, state)
        view = take(new, hagcs.EVENT_VIEW)
        given = take(new, hagcs.EVENT_SNAPSHOT, turning=[old])
        assert (given.error, given.data, given.mid, given.sequence) == (0, state, view.mid, view.sequence)
        with pytest.raises(FileNotFoundError):
            old.give_snapshot(request.cookie, state)


def test_python_errors_are_exceptions(lab):
    with pytest.raises(FileNotFoundError):
        hagcs.open("/nowhere/hagcd.sock")
    with open_at(lab.nodes[1]) as h:
        with pytest.raises(OSError) as raised:
            h.send(b"early")
        assert raised.value.errno == errno.ENOTCONN
        h.register("Not Valid", "x")
        assert take(h, hagcs.EVENT_REGISTERED).error == -errno.EINVAL
        join(h, "errors", "x")
        with pytest.raises(OSError) as raised:
            h.send(bytes(hagcs.MESSAGE_MAX + 1))
        assert raised.value.errno == errno.EMSGSIZE
        with pytest.raises(BlockingIOError):
            while True:
                h.send(bytes(hagcs.MESSAGE_MAX))
        take(h, hagcs.EVENT_WRITABLE)
        h.send(b"room")
    with pytest.raises(ValueError):
        h.dispatch()


def test_python_shows_the_cluster_and_its_membership(lab):
    with open_at(lab.nodes[2]) as h:
        assert h.wait(DEADLINE).type == hagcs.EVENT_CLUSTER
        cluster = h.get_cluster()
        assert (cluster.name, cluster.node_id, cluster.quorum) == ("lab", 2, hagcs.QUORUM_YES)
        assert [(n.id, n.name) for n in cluster.nodes] == [(1, "n1"), (2, "n2"), (3, "n3")]
        assert h.get_membership() is None
        h.ask_membership()
        take(h, hagcs.EVENT_MEMBERSHIP)
        membership = h.get_membership()
        assert (membership.phase, membership.mid, membership.members) == ("stable", cluster.mid, 0b111)
        assert [(p.name, len(p.links)) for p in membership.peers] == [("n1", 2), ("n2", 0), ("n3", 2)]
        assert {link.state for p in membership.peers for link in p.links} == {hagcs.LINK_GOOD}
        assert {link.longest_bytes for p in membership.peers for link in p.links} == {1452}
        assert {m.move for c in membership.changes for m in c.moved} == {hagcs.MOVE_JOINED}
        assert h.membership_peer(3) is None
        assert h.get_configuration().text == ""
        assert h.wait(0) is None
    assert hagcs.node_state_to_string(hagcs.NODE_UP) == "up"
    assert hagcs.quorum_to_string(hagcs.QUORUM_YES) == "quorate"
    assert hagcs.reason_to_string(99) == "invalid"


def test_C20_message_reaches_every_local_member(lab):
    seen = {open_at(lab.nodes[i]): [] for i in (1, 2, 3) for _ in range(8)}
    for k, h in enumerate(seen):
        h.register("many", f"m{k}")
    turn_until(seen, lambda: all(n_members(events) == 24 for events in seen.values()))
    for k, h in enumerate(seen):
        h.send(str(k).encode())
    turn_until(seen, lambda: all(sum(e.type == hagcs.EVENT_MESSAGE for e in events) == 24 for events in seen.values()))
    orders = [[(e.sender.name, e.data) for e in events if e.type == hagcs.EVENT_MESSAGE] for events in seen.values()]
    assert all(order == orders[0] for order in orders)
    assert sorted(orders[0]) == sorted((f"m{k}", str(k).encode()) for k in range(24))
    for h in seen:
        h.close()


def test_C17_same_messages_between_the_same_views(lab):
    """All send while a node dies: survivors see the same before and after, and what the dead one saw they saw too."""
    seen = {open_at(lab.nodes[i]): [] for i in (1, 2, 3)}
    handles = list(seen)
    for i, h in enumerate(handles, 1):
        h.register("same", f"m{i}")
    turn_until(seen, lambda: all(n_members(events) == 3 for events in seen.values()))
    for k in range(300):
        if k == 200:
            lab.nodes[3].kill()
            lab.nodes[3].hagcd.wait()
        for i, h in enumerate(handles if k < 200 else handles[:2], 1):
            h.send(f"{i} {k}".encode())
        turn_until(seen, lambda: True)
    for h in handles[:2]:
        h.send(b"end")
    turn_until({h: seen[h] for h in handles[:2]},
               lambda: all(sum(e.data == b"end" for e in seen[h]) == 2 for h in handles[:2]))
    turn_until({handles[2]: seen[handles[2]]}, lambda: seen[handles[2]][-1].type == hagcs.EVENT_DISCONNECTED)
    first, second, dead = (history(seen[h], 3) for h in handles)
    assert first == second
    assert dead == first[:len(dead)]
    assert any(("m3", hagcs.LEFT_NODE_LOST) in what[4] for what in first[1:])
    for i in (1, 2):
        assert [w[3] for w in first[1:] if w[5] == f"m{i}"] == [f"{i} {k}".encode() for k in range(300)] + [b"end"]
    mine = [w[3] for w in first[1:] if w[5] == "m3"]
    assert mine == [f"3 {k}".encode() for k in range(len(mine))]
    for h in handles:
        h.close()
    lab.nodes[3].start()
    lab.nodes[3].wait_members(1, 2, 3)


# ---- The examples ----


def test_chat(lab):
    ann = Example(lab.nodes[1], "chat", "ann")
    ann.wait("ann is here")
    bob = Example(lab.nodes[2], "chat", "bob")
    bob.wait("ann is here")
    ann.wait("bob came")
    eve = Example(lab.nodes[3], "chat", "eve")
    bob.wait("eve came")
    bob.say("hello", "ann")
    eve.wait("<bob> hello")
    eve.wait("<bob> ann")
    eve.kill()
    ann.wait("eve left: exited")
    bob.process.stdin.write("the end")  # of a line without one
    bob.leave()
    ann.wait("<bob> the end")
    ann.wait("bob left: unregistered")
    ann.leave()


def test_counter(lab):
    first = Example(lab.nodes[1], "counter")
    first.say("5", "7")
    first.wait("adds 7: 12")
    second = Example(lab.nodes[2], "counter")
    second.wait("the sum is 12")
    second.say("-2")
    first.wait("adds -2: 10")
    first.process.stdin.write("1")
    first.leave()
    second.wait("adds 1: 11")
    second.leave()


def test_counter_newcomer_misses_and_repeats_nothing(lab):
    """It joins while another adds: a sum shows what it had twice, or not at all."""
    first = Example(lab.nodes[1], "counter")
    first.wait("1 members")
    first.say(*(["1"] * 300))
    first.wait(": 100$")
    second = Example(lab.nodes[2], "counter")
    first.say(*(["1"] * 300), "0")
    second.wait("the sum is")
    first.say(*(["1"] * 300), "1000")
    for counter in (first, second):
        counter.wait("adds 1000: 1900$")
    first.leave()
    second.leave()


def test_map_survives_kills(lab):
    """While one is killed and started again, in turn, another writes; nothing that was confirmed is lost."""
    writer = Example(lab.nodes[1], "map", "writer")
    writer.wait("the map is new")
    victims = {i: Example(lab.nodes[i], "map", f"victim{i}") for i in (2, 3)}
    for victim in victims.values():
        victim.wait("the map was handed over")
    n = 0
    for i in (2, 3, 2, 3):
        writer.say(*(f"set key{n + k} value {n + k}" for k in range(50)), f"get key{n}")
        victims[i].kill()
        writer.wait(f"key{n} = value {n}")
        victims[i] = Example(lab.nodes[i], "map", f"victim{i}")
        victims[i].wait("the map was handed over")
        n += 50
    # The one that was there from the beginning dies too, and what it said last is known to those it left.
    writer.say("set last word", "get last")
    writer.wait("last = word")
    writer.kill()
    for victim in victims.values():
        victim.say(*(f"get key{k}" for k in range(n)), "get last", "get none")
        for k in range(n):
            assert victim.wait(r"^key(\d+) = (.*)$").groups() == (str(k), f"value {k}")
        victim.wait("last = word")
        victim.wait(r"none = \(nothing\)")
        victim.leave()


def test_leader_is_one_and_takes_its_node_along(lab, leaders):
    for i in (1, 2, 3):
        leaders[i] = Example(lab.nodes[i], "leader", f"leader{i}")
        leaders[i].wait("leading" if i == 1 else "following node 1")
    # Asked to stop it leaves, and the next leads at once.
    leaders[1].process.send_signal(signal.SIGTERM)
    leaders[1].wait("stopped: asked to")
    leaders[2].wait("leading")
    assert leaders[1].process.wait(timeout=DEADLINE) == 0
    # One that hangs takes its node along. Nobody leads before it is certain that it does not any more.
    leaders[2].process.send_signal(signal.SIGSTOP)
    assert lab.nodes[2].hagcd.wait(timeout=DEADLINE) != 0
    leaders[3].wait("waiting: node 2 is neither proven dead nor back")
    with open_at(lab.nodes[3]) as h:
        lost = join(h, "watch", "watch").view
        while lost.nodes[1].state == hagcs.NODE_UP:
            lost = take(h, hagcs.EVENT_VIEW).view
        assert lost.nodes[1].state == hagcs.NODE_UNKNOWN
        assert not [line for line in leaders[3].lines.drain() if line.startswith("leading")]
        # The reset.
        leaders[2].kill()
        lab.nodes[2].start()
        leaders[3].wait("leading")
        back = take(h, hagcs.EVENT_VIEW).view.nodes[1]
        assert (back.state, back.incarnation != lost.nodes[1].incarnation) == (hagcs.NODE_UP, True)
    leaders[2] = Example(lab.nodes[2], "leader", "leader2")
    leaders[2].wait("following node 3")


def test_leader_that_was_shut_out_stops_before_another_leads(lab, leaders):
    """Goes on where the last one ended: 3 leads, and 2 follows."""
    for link in range(2):
        lab.nodes[3].unplug(link)
    stopped = leaders[3].wait_time("stopped: ")
    leaders[2].wait("waiting: node 3 is neither proven dead nor back")
    assert not [line for line in leaders[2].lines.drain() if line.startswith("leading")]
    for link in range(2):
        lab.nodes[3].plug(link)
    assert stopped < leaders[2].wait_time("leading")
    leaders[3].wait("following node 2")
