# SPDX-License-Identifier: LGPL-2.1-or-later
"""Groups of processes on a cluster: libhagcs(3) for Python.

The names are those of hagcs.h without their prefix: hagcs_open() is hagcs.open(), hagcs_send() is the method send() of
what it returns, HAGCS_EVENT_VIEW is hagcs.EVENT_VIEW, and fields are called as in C. A negative errno is an OSError;
-EAGAIN is a BlockingIOError. What dispatch() returns is a copy that stays valid.

    with hagcs.open() as h:
        h.register("talk", "me", hagcs.WANT_SNAPSHOT)
        while True:
            event = h.wait()
            if event.type == hagcs.EVENT_MESSAGE:
                print(event.sender.name, event.data)

A handle that is not closed stays open as long as the process lives: nothing is closed behind its back, as for a critical
member that is its death."""

import ctypes
import enum
import os
import select
import time
import types
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint, c_uint8, c_uint32, c_uint64, c_void_p
from typing import NamedTuple

# ---- Constants ----

NAME_MAX = 32
NODES_MAX = 64
LINKS_MAX = 8
CHANGES_MAX = 32
USEC_UNKNOWN = 2**64 - 1
MESSAGE_MAX = 1 << 20
SNAPSHOT_MAX = 16 << 20

flags = enum.IntFlag("flags", {"CRITICAL": 1, "WANT_SNAPSHOT": 2})
node_state = enum.IntEnum(
    "node_state", ["NODE_UNKNOWN", "NODE_UP", "NODE_DOWN", "NODE_INACTIVE", "NODE_DETACHED"], start=0)
quorum = enum.IntEnum("quorum", ["QUORUM_NONE", "QUORUM_HALF", "QUORUM_YES"], start=0)
reason = enum.IntEnum(
    "reason", ["LEFT_UNREGISTERED", "LEFT_EXITED", "LEFT_UNRESPONSIVE", "LEFT_EXPELLED", "LEFT_NODE_LOST",
               "LEFT_SHUT_OUT"], start=0)
link_state = enum.IntEnum("link_state", ["LINK_GOOD", "LINK_SILENT", "LINK_ONE_WAY", "LINK_NO_CARRIER", "LINK_NARROW",
                                         "LINK_TOO_NARROW"], start=0)
move = enum.IntEnum("move", ["MOVE_JOINED", "MOVE_LEFT", "MOVE_PROVEN"], start=0)
event_type = enum.IntEnum(
    "event_type", ["EVENT_REGISTERED", "EVENT_VIEW", "EVENT_MESSAGE", "EVENT_SNAPSHOT_REQUEST", "EVENT_SNAPSHOT",
                   "EVENT_FROZEN", "EVENT_SHUT_OUT", "EVENT_CLUSTER", "EVENT_WRITABLE", "EVENT_UNREGISTERED",
                   "EVENT_DISCONNECTED", "EVENT_MEMBERSHIP", "EVENT_RELOADED", "EVENT_GROUP"])

for _type in (flags, node_state, quorum, reason, link_state, move, event_type):
    globals().update(_type.__members__)


class Mid(NamedTuple):
    """A membership of nodes; only grows."""
    epoch: int
    node_id: int


# ---- Structs, as the library has them ----


class _Struct(ctypes.Structure):
    _enums_ = {}  # field: type
    _lists_ = {}  # field: the field with its length

    def copy(self):
        record = types.SimpleNamespace()
        for field in self._fields_:
            if field[0] not in self._lists_.values():
                setattr(record, field[0], self._copy_field(field[0]))
        return record

    def _copy_field(self, name):
        value = getattr(self, name)
        if name in self._lists_:
            return [value[i].copy() for i in range(getattr(self, self._lists_[name]))]
        if name in self._enums_:
            try:
                return self._enums_[name](value)
            except ValueError:  # of a newer library
                return value
        if isinstance(value, _Struct):
            return value.copy()
        if isinstance(value, ctypes.Array):
            return bytes(value)
        return value.decode(errors="replace") if isinstance(value, bytes) else value


class _mid(_Struct):
    _fields_ = [("epoch", c_uint64), ("node_id", c_uint32)]

    def copy(self):
        return Mid(self.epoch, self.node_id)


class _node(_Struct):
    _fields_ = [("id", c_uint32), ("name", c_char_p), ("state", c_int), ("enabled", c_bool), ("armed", c_bool),
                ("heard", c_bool), ("proven", c_bool), ("votes", c_uint32), ("n_links", c_uint32),
                ("links_heard", c_uint64), ("incarnation", c_uint64), ("boot_id", c_uint8 * 16), ("last_mid", _mid),
                ("reason", c_char_p), ("problem", c_char_p)]
    _enums_ = {"state": node_state}


class _cluster(_Struct):
    _fields_ = [("name", c_char_p), ("node_id", c_uint32), ("incarnation", c_uint64), ("mid", _mid),
                ("members", c_uint64), ("quorum", c_int), ("coordinator", c_uint32), ("tie_breaker", c_uint32),
                ("frozen", c_bool), ("shut_out", c_bool), ("nodes", POINTER(_node)), ("n_nodes", c_size_t)]
    _enums_ = {"quorum": quorum}
    _lists_ = {"nodes": "n_nodes"}


class _configuration(_Struct):
    _fields_ = [("hash", c_uint64), ("mid", _mid), ("wanted", c_uint64), ("why", c_char_p), ("waits_for", c_uint64),
                ("text", c_char_p)]


class _link(_Struct):
    _fields_ = [("index", c_uint32), ("state", c_int), ("heard_age_usec", c_uint64), ("rtt_usec", c_uint64),
                ("n_received", c_uint64), ("n_lost", c_uint64), ("longest_bytes", c_uint32)]
    _enums_ = {"state": link_state}


class _peer(_Struct):
    _fields_ = [("id", c_uint32), ("name", c_char_p), ("state", c_int), ("reason", c_char_p), ("enabled", c_bool),
                ("votes", c_uint32), ("incarnation", c_uint64), ("heard", c_bool), ("hears_us", c_bool),
                ("armed", c_bool), ("mid", _mid), ("quorate", c_bool), ("hears", c_uint64),
                ("hears_age_usec", c_uint64), ("heartbeats_lost", c_uint64), ("problem", c_char_p),
                ("n_links", c_uint32)]
    _enums_ = {"state": node_state}


class _moved(_Struct):
    _fields_ = [("node_id", c_uint32), ("move", c_int), ("state", c_int), ("reason", c_char_p)]
    _enums_ = {"move": move, "state": node_state}


class _change(_Struct):
    _fields_ = [("time_usec", c_uint64), ("mid", _mid), ("quorum", c_int), ("members", c_uint64),
                ("n_moved", c_uint32)]
    _enums_ = {"quorum": quorum}


class _membership(_Struct):
    _fields_ = [("cluster", c_char_p), ("node_id", c_uint32), ("incarnation", c_uint64), ("phase", c_char_p),
                ("awaited", c_uint64), ("mid", _mid), ("promised", _mid), ("quorum", c_int), ("shut_out", c_bool),
                ("no_record", c_bool), ("cannot_write", c_bool), ("members", c_uint64), ("hears", c_uint64),
                ("target", c_uint64), ("coordinator", c_uint32), ("tie_breaker", c_uint32),
                ("heartbeat_usec", c_uint64), ("failure_usec", c_uint64), ("n_peers", c_size_t),
                ("n_changes", c_size_t)]
    _enums_ = {"quorum": quorum}


class _member_counts(_Struct):
    _fields_ = [("node_id", c_uint32), ("incarnation", c_uint64), ("number", c_uint64), ("seniority", c_uint64),
                ("name", c_char_p), ("critical", c_bool), ("here", c_bool), ("pid", c_uint32),
                ("sent_messages", c_uint64), ("sent_bytes", c_uint64), ("delivered_messages", c_uint64),
                ("delivered_bytes", c_uint64), ("waiting_messages", c_uint64), ("waiting_bytes", c_uint64),
                ("waiting_usec", c_uint64), ("window_messages", c_uint64), ("window_bytes", c_uint64),
                ("window_usec", c_uint64), ("n_full", c_uint64), ("snapshots_given", c_uint64),
                ("snapshots_received", c_uint64)]


class _group(_Struct):
    _fields_ = [("name", c_char_p), ("mid", _mid), ("sequence", c_uint64), ("messages", c_uint64), ("bytes", c_uint64),
                ("views", c_uint64), ("sent_messages", c_uint64), ("sent_bytes", c_uint64), ("n_full", c_uint64),
                ("snapshots_given", c_uint64), ("snapshots_received", c_uint64), ("n_expelled", c_uint64),
                ("n_members", c_size_t)]


class _member(_Struct):
    _fields_ = [("node_id", c_uint32), ("incarnation", c_uint64), ("number", c_uint64), ("seniority", c_uint64),
                ("critical", c_bool), ("own", c_bool), ("name", c_char_p), ("reason", c_int)]
    _enums_ = {"reason": reason}


class _view(_Struct):
    _fields_ = [("members", POINTER(_member)), ("n_members", c_size_t), ("joined", POINTER(_member)),
                ("n_joined", c_size_t), ("left", POINTER(_member)), ("n_left", c_size_t), ("node_set", c_uint64),
                ("nodes", POINTER(_node)), ("n_nodes", c_size_t), ("formation", c_bool), ("fresh", c_bool)]
    _lists_ = {"members": "n_members", "joined": "n_joined", "left": "n_left", "nodes": "n_nodes"}


class _event(_Struct):
    _fields_ = [("type", c_int), ("mid", _mid), ("sequence", c_uint64), ("view", _view), ("sender", _member),
                ("cookie", c_uint64), ("data", c_void_p), ("size", c_size_t), ("error", c_int), ("text", c_char_p)]
    _enums_ = {"type": event_type}

    def copy(self):
        record = super().copy()
        record.data = ctypes.string_at(self.data, self.size) if self.size > 0 else b""
        return record


class _registration(_Struct):
    _fields_ = [("group", c_char_p), ("name", c_char_p), ("flags", c_uint), ("liveliness_usec", c_uint64),
                ("grace_usec", c_uint64)]


# ---- Functions ----

# name: (what it returns, arguments...)
_FUNCTIONS = {
    "open": (c_int, c_char_p, POINTER(c_void_p)),
    "open_fd": (c_int, c_int, POINTER(c_void_p)),
    "close": (c_void_p, c_void_p),
    "get_fd": (c_int, c_void_p),
    "get_events": (c_int, c_void_p),
    "dispatch": (c_int, c_void_p, POINTER(POINTER(_event))),
    "register": (c_int, c_void_p, POINTER(_registration)),
    "unregister": (c_int, c_void_p),
    "hand_over": (c_int, c_void_p),
    "send": (c_int, c_void_p, c_char_p, c_size_t, c_uint64),
    "give_snapshot": (c_int, c_void_p, c_uint64, c_char_p, c_size_t),
    "set_armed": (c_int, c_void_p, c_bool),
    "confirm_down": (c_int, c_void_p, c_uint32, c_uint64, _mid),
    "get_cluster": (POINTER(_cluster), c_void_p),
    "reload": (c_int, c_void_p),
    "get_configuration": (POINTER(_configuration), c_void_p),
    "ask_groups": (c_int, c_void_p),
    "get_group": (POINTER(_group), c_void_p),
    "group_member": (POINTER(_member_counts), c_void_p, c_size_t),
    "ask_membership": (c_int, c_void_p),
    "get_membership": (POINTER(_membership), c_void_p),
    "membership_peer": (POINTER(_peer), c_void_p, c_size_t),
    "membership_link": (POINTER(_link), c_void_p, c_size_t, c_size_t),
    "membership_change": (POINTER(_change), c_void_p, c_size_t),
    "membership_moved": (POINTER(_moved), c_void_p, c_size_t, c_size_t),
    "node_state_to_string": (c_char_p, c_int),
    "reason_to_string": (c_char_p, c_int),
    "link_state_to_string": (c_char_p, c_int),
    "quorum_to_string": (c_char_p, c_int),
    "move_to_string": (c_char_p, c_int),
}
_library = None


def _call(name, *arguments):
    global _library
    if _library is None:
        library = ctypes.CDLL("libhagcs.so.0")
        for function, (returned, *taken) in _FUNCTIONS.items():
            symbol = getattr(library, f"hagcs_{function}")
            symbol.restype, symbol.argtypes = returned, taken
        _library = library
    result = getattr(_library, f"hagcs_{name}")(*arguments)
    if _FUNCTIONS[name][0] is c_int and result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def open(path=None):
    """Connects to hagcd."""
    handle = c_void_p()
    _call("open", None if path is None else os.fsencode(path), ctypes.byref(handle))
    return Hagcs(handle)


def open_fd(fd):
    """Takes over a connected seqpacket socket, which is the handle's from then on."""
    handle = c_void_p()
    _call("open_fd", fd, ctypes.byref(handle))
    return Hagcs(handle)


def node_state_to_string(value):
    return _call("node_state_to_string", value).decode()


def reason_to_string(value):
    return _call("reason_to_string", value).decode()


def link_state_to_string(value):
    return _call("link_state_to_string", value).decode()


def quorum_to_string(value):
    return _call("quorum_to_string", value).decode()


def move_to_string(value):
    return _call("move_to_string", value).decode()


class Hagcs:
    """A handle, made by open(). One thread at a time."""

    def __init__(self, handle):
        self._handle = handle

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    @property
    def _h(self):
        if self._handle is None:
            raise ValueError("the handle is closed")
        return self._handle

    def close(self):
        handle, self._handle = self._handle, None
        if handle is not None:
            _call("close", handle)

    def get_fd(self):
        return _call("get_fd", self._h)

    fileno = get_fd

    def get_events(self):
        return _call("get_events", self._h)

    def dispatch(self):
        """The next event, or None. The descriptor shows nothing of events that came together with one taken: go on
        until None."""
        event = POINTER(_event)()
        return event.contents.copy() if _call("dispatch", self._h, ctypes.byref(event)) > 0 else None

    def wait(self, timeout=None):
        """The next event, waiting for it; None when there was none in so many seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            event = self.dispatch()
            left = None if end is None else max(0.0, end - time.monotonic())
            if event is not None or left == 0:
                return event
            poll = select.poll()
            poll.register(self.get_fd(), self.get_events())
            poll.poll(None if left is None else left * 1000)

    def register(self, group, name, flags=0, liveliness_usec=0, grace_usec=0):
        registration = _registration(group.encode(), name.encode(), flags, liveliness_usec, grace_usec)
        _call("register", self._h, ctypes.byref(registration))

    def unregister(self):
        _call("unregister", self._h)

    def hand_over(self):
        _call("hand_over", self._h)

    def send(self, data, cookie=0):
        _call("send", self._h, bytes(data), len(data), cookie)

    def give_snapshot(self, id, data):
        _call("give_snapshot", self._h, id, bytes(data), len(data))

    def set_armed(self, armed):
        _call("set_armed", self._h, armed)

    def confirm_down(self, node_id, incarnation, mid):
        _call("confirm_down", self._h, node_id, incarnation, _mid(*mid))

    def get_cluster(self):
        return _call("get_cluster", self._h).contents.copy()

    def reload(self):
        _call("reload", self._h)

    def get_configuration(self):
        return _call("get_configuration", self._h).contents.copy()

    def ask_groups(self):
        _call("ask_groups", self._h)

    def get_group(self):
        """Of the EVENT_GROUP just seen, with members; None: that was all."""
        found = self._part("get_group")
        if found is not None:
            found.members = [self.group_member(i) for i in range(found.n_members)]
        return found

    def group_member(self, member):
        return self._part("group_member", member)

    def ask_membership(self):
        _call("ask_membership", self._h)

    def get_membership(self):
        """None until EVENT_MEMBERSHIP; then with peers, their links, changes, and what moved in them."""
        found = self._part("get_membership")
        if found is not None:
            found.peers = [self.membership_peer(i) for i in range(found.n_peers)]
            found.changes = [self.membership_change(i) for i in range(found.n_changes)]
        return found

    def membership_peer(self, peer):
        found = self._part("membership_peer", peer)
        if found is not None:
            found.links = [self.membership_link(peer, i) for i in range(found.n_links)]
        return found

    def membership_link(self, peer, link):
        return self._part("membership_link", peer, link)

    def membership_change(self, change):
        found = self._part("membership_change", change)
        if found is not None:
            found.moved = [self.membership_moved(change, i) for i in range(found.n_moved)]
        return found

    def membership_moved(self, change, moved):
        return self._part("membership_moved", change, moved)

    def _part(self, name, *indices):
        found = _call(name, self._h, *indices)
        return found.contents.copy() if found else None
