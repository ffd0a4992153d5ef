# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who knows what, and since when: a thread for each node listens to its daemon through the daemon's own library."""

import collections
import ctypes
import os
import select
import threading
import time

from nodes import enter_network

# How often one who is not there yet is asked for; from then on all comes as events.
ASK_SEC = 0.01

State = collections.namedtuple("State", "quorate members number")


class NotThere(Exception):
    """The daemon cannot be reached."""


class Board:
    """What each node says of its membership, and when it began to say so."""

    def __init__(self):
        self.changed = threading.Condition()
        self.states, self.since = {}, {}
        self.n_changes = 0  # also of a membership into one of the same nodes

    def tell(self, node, now, state):
        with self.changed:
            former = self.states.get(node)
            if state == former:
                return
            self.states[node] = state
            self.n_changes += 1
            if not former or former[:2] != state[:2]:
                self.since[node] = now
            self.changed.notify_all()

    def is_agreed(self, nodes, members):
        return all(node in self.states and self.states[node][:2] == (True, members) for node in nodes)

    def wait(self, nodes, members, timeout):
        """When the last of the nodes began to say that it is in a quorate membership of just these members; None when
        they do not say so in time."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.is_agreed(nodes, members), timeout):
                return None
            return max(self.since[node] for node in nodes)


class Watcher(threading.Thread):
    def __init__(self, board, node, name, connect):
        super().__init__(daemon=True)
        self.board, self.node, self.name, self.connect = board, node, name, connect
        self.waker, self.stopped = os.pipe()
        self.start()

    def stop(self):
        os.close(self.stopped)
        self.join()
        os.close(self.waker)

    def is_stopped(self, seconds):
        return bool(select.select([self.waker], [], [], seconds)[0])

    def run(self):
        enter_network(self.name)
        # A time is read when its event comes, whatever else the machine is doing.
        try:
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        except OSError:
            pass
        client = None
        while not client and not self.is_stopped(ASK_SEC):
            try:
                client = self.connect()
            except NotThere:
                continue
            self.listen(client)

    def listen(self, client):
        try:
            while True:
                for state in client.dispatch():
                    self.board.tell(self.node, time.monotonic(), state)
                if self.waker in select.select([self.waker, client.fd], [], [])[0]:
                    return
        except NotThere:
            return
        finally:
            client.close()


# ---- hagcd ----

class HagcsMid(ctypes.Structure):
    _fields_ = [("epoch", ctypes.c_uint64), ("node_id", ctypes.c_uint32)]


class HagcsCluster(ctypes.Structure):
    """The beginning of hagcs_cluster in hagcs.h."""

    _fields_ = [("name", ctypes.c_char_p), ("node_id", ctypes.c_uint32), ("incarnation", ctypes.c_uint64),
                ("mid", HagcsMid), ("members", ctypes.c_uint64), ("quorum", ctypes.c_int),
                ("coordinator", ctypes.c_uint32), ("tie_breaker", ctypes.c_uint32), ("frozen", ctypes.c_bool),
                ("shut_out", ctypes.c_bool)]


HAGCS_QUORUM_YES = 2


def load_hagcs(path):
    library = ctypes.CDLL(path)
    library.hagcs_close.argtypes = library.hagcs_get_fd.argtypes = library.hagcs_get_cluster.argtypes = [ctypes.c_void_p]
    library.hagcs_dispatch.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
    library.hagcs_get_cluster.restype = ctypes.POINTER(HagcsCluster)
    library.hagcs_close.restype = ctypes.c_void_p
    return library


class HagcsClient:
    def __init__(self, library, path):
        self.library = library
        self.handle = ctypes.c_void_p()
        if library.hagcs_open(path.encode(), ctypes.byref(self.handle)) < 0:
            raise NotThere
        self.fd = library.hagcs_get_fd(self.handle)

    def dispatch(self):
        event = ctypes.c_void_p()
        while True:
            result = self.library.hagcs_dispatch(self.handle, ctypes.byref(event))
            if result < 0:
                raise NotThere
            if result == 0:
                break
        cluster = self.library.hagcs_get_cluster(self.handle).contents
        if not cluster.frozen:
            number = (cluster.mid.epoch, cluster.mid.node_id)
            yield State(cluster.quorum == HAGCS_QUORUM_YES, node_set(cluster.members), number)

    def close(self):
        self.library.hagcs_close(self.handle)


def node_set(bits):
    return frozenset(i + 1 for i in range(64) if bits >> i & 1)


# ---- Corosync ----

CS_OK = 1
CS_DISPATCH_ALL = 2
CS_TRACK_CURRENT, CS_TRACK_CHANGES = 1, 2

QUORUM_NOTIFICATION = ctypes.CFUNCTYPE(
    None, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32))


def load_quorum():
    """None: Corosync's library is not installed."""
    try:
        library = ctypes.CDLL("libquorum.so.5")
    except OSError:
        return None
    library.quorum_fd_get.argtypes = [ctypes.c_uint64, ctypes.POINTER(ctypes.c_int)]
    library.quorum_trackstart.argtypes = [ctypes.c_uint64, ctypes.c_uint]
    library.quorum_dispatch.argtypes = [ctypes.c_uint64, ctypes.c_int]
    library.quorum_finalize.argtypes = [ctypes.c_uint64]
    return library


class QuorumClient:
    def __init__(self, library):
        self.library = library
        self.told = []
        self.callback = QUORUM_NOTIFICATION(self.on_notification)
        self.handle = ctypes.c_uint64()
        kind, fd = ctypes.c_uint32(), ctypes.c_int()
        if library.quorum_initialize(ctypes.byref(self.handle), ctypes.byref(self.callback), ctypes.byref(kind)) != CS_OK:
            raise NotThere
        if (library.quorum_fd_get(self.handle, ctypes.byref(fd)) != CS_OK
                or library.quorum_trackstart(self.handle, CS_TRACK_CURRENT | CS_TRACK_CHANGES) != CS_OK):
            self.close()
            raise NotThere
        self.fd = fd.value

    def on_notification(self, _handle, quorate, ring, n_members, members):
        self.told.append(State(bool(quorate), frozenset(members[i] for i in range(n_members)), ring))

    def dispatch(self):
        if self.library.quorum_dispatch(self.handle, CS_DISPATCH_ALL) != CS_OK:
            raise NotThere
        told, self.told = self.told, []
        return told

    def close(self):
        self.library.quorum_finalize(self.handle)
