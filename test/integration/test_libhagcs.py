# SPDX-License-Identifier: LGPL-2.1-or-later
"""What programs make of libhagcs: scripts by hagcs.py on real hagcds."""

import ctypes
import errno
import os
import select
import sys
import time

import pytest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/libhagcs")]
import hagcs  # noqa: E402
from hagcd_lab import DEADLINE, Lab, program  # noqa: E402

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


def join(h, group, name, flags=0):
    h.register(group, name, flags)
    event = take(h, hagcs.EVENT_REGISTERED)
    assert event.error == 0, event.text
    view = take(h, hagcs.EVENT_VIEW)
    assert view.view.fresh
    return view


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
        assert {m.move for c in membership.changes for m in c.moved} == {hagcs.MOVE_JOINED}
        assert h.membership_peer(3) is None
        assert h.wait(0) is None
    assert hagcs.node_state_to_string(hagcs.NODE_UP) == "up"
    assert hagcs.quorum_to_string(hagcs.QUORUM_YES) == "quorate"
    assert hagcs.reason_to_string(99) == "invalid"
