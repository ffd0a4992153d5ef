# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ownership checker, outside the cluster: it watches which node holds which address, has which shared disk mounted
and runs which unit, and cries when two living nodes have one thing at once.

Addresses and mounts are pushed by the kernel (rtnetlink, poll on mountinfo), units are sampled. A node's holdings end
when it lets go of them or when nothing of it is alive any more; a paused node is alive: it is not dead before it is
killed, and what was taken from it while it was only paused was taken too early. Before it cries the checker looks
again at the first owner, so that two changes read in the wrong order are no crime; an overlap shorter than its own
delay (reported as late_max) can escape it."""

import fnmatch
import gc
import json
import os
import selectors
import sys

from . import wire
from .network import AddressWatch
from .system import boottime, die_with_parent

SAMPLE = 0.005
UNITS = ("shop.service", "web@*.service", "app_*.service", "hamgr-*-*.service")


class Node:
    """One life of a node, from boot to death."""

    def __init__(self, name, pid, cgroup, disks, own_addresses):
        self.name, self.cgroup = name, cgroup
        self.disks = disks  # device number to name of the shared disk
        self.own_addresses = set(own_addresses)
        self.addresses = AddressWatch(os.open("/proc/%d/ns/net" % pid, os.O_RDONLY | os.O_CLOEXEC))
        self.mountinfo = os.open("/proc/%d/mountinfo" % pid, os.O_RDONLY | os.O_CLOEXEC)

    def address_things(self):
        return {
            "address " + address for address in self.addresses.now()
            if address not in self.own_addresses and not address.startswith(("127.", "fe80:")) and address != "::1"
        }

    def mount_things(self):
        os.lseek(self.mountinfo, 0, os.SEEK_SET)
        pieces = []
        while True:
            piece = os.read(self.mountinfo, 1 << 16)
            if not piece:
                break
            pieces.append(piece)
        devices = {line.split()[2].decode() for line in b"".join(pieces).splitlines()}
        return {"disk " + name for device, name in self.disks.items() if device in devices}

    def unit_things(self):
        found = set()
        slices = [self.cgroup + "/system.slice"]
        while slices:
            folder = slices.pop()
            try:
                names = os.listdir(folder)
            except OSError:
                continue
            for name in names:
                if name.startswith("system-") and name.endswith(".slice"):
                    slices.append(folder + "/" + name)
                elif any(fnmatch.fnmatchcase(name, pattern) for pattern in UNITS):
                    try:
                        with open(folder + "/" + name + "/cgroup.events", encoding="ascii") as file:
                            if "populated 1" in file.read():
                                found.add("unit " + name)
                    except OSError:
                        pass  # just gone
        return found

    def close(self):
        self.addresses.close()
        os.close(self.mountinfo)


class Checker:
    def __init__(self, path):
        self.selector = selectors.EpollSelector()
        self.listener = wire.listen(path)
        self.selector.register(self.listener, selectors.EVENT_READ, self.on_control)
        self.nodes = {}
        self.holds = {}  # (thing, node) to since when
        self.intervals = []
        self.crimes = []
        self.next_sample = boottime()
        self.late_max = 0.0
        self.samples = 0

    def look(self, node, kind):
        return getattr(node, kind + "_things")()

    def update(self, node, kind, now_held):
        """What node holds of this kind has been read anew."""
        moment = boottime()
        prefix = {"address": "address ", "mount": "disk ", "unit": "unit "}[kind]
        before = {thing for thing, owner in self.holds if owner == node.name and thing.startswith(prefix)}
        for thing in before - now_held:
            self.let_go(thing, node.name, moment)
        for thing in now_held - before:
            self.take(thing, node, kind, moment)

    def take(self, thing, node, kind, moment):
        for other in [owner for held, owner in self.holds if held == thing and owner != node.name]:
            if self.really_holds(self.nodes[other], thing, kind):
                self.crimes.append({
                    "thing": thing, "time": moment, "nodes": [other, node.name],
                    "text": "%s was taken by %s while %s had it (since %.3f s before)"
                    % (thing, node.name, other, moment - self.holds[thing, other]),
                })
            else:
                self.let_go(thing, other, moment)
        self.holds[thing, node.name] = moment

    def really_holds(self, node, thing, kind):
        try:
            return thing in self.look(node, kind)
        except OSError:
            return False  # its last process has just gone

    def let_go(self, thing, name, moment):
        since = self.holds.pop((thing, name), None)
        if since is not None:
            self.intervals.append([thing, name, since, moment])

    def refresh(self, node, kind):
        try:
            self.update(node, kind, self.look(node, kind))
        except OSError:
            pass  # dying: told by op_dead

    def on_addresses(self, node):
        for added, address in node.addresses.changes():
            if added and address not in node.own_addresses:
                # An address that came and went at once is seen too.
                thing = "address " + address
                if (thing, node.name) not in self.holds and not address.startswith("fe80:"):
                    self.take(thing, node, "address", boottime())
        self.refresh(node, "address")

    def op_boot(self, node, pid, cgroup, disks, addresses):
        self.op_dead(node)
        try:
            new = Node(node, pid, cgroup, disks, addresses)
        except OSError:
            return  # died at once
        self.nodes[node] = new
        self.selector.register(new.addresses, selectors.EVENT_READ, lambda: self.on_addresses(new))
        # mountinfo says a change by EPOLLPRI and EPOLLERR; the selector hides the first, the second is always on.
        self.selector.register(new.mountinfo, selectors.EVENT_WRITE, lambda: self.refresh(new, "mount"))
        self.selector._selector.modify(new.mountinfo, 0x2)  # EPOLLPRI
        for kind in ("address", "mount", "unit"):
            self.refresh(new, kind)

    def op_dead(self, node, time=None):
        gone = self.nodes.pop(node, None)
        if gone:
            self.selector.unregister(gone.addresses)
            self.selector.unregister(gone.mountinfo)
            gone.close()
        moment = time if time is not None else boottime()
        for thing in [thing for thing, owner in self.holds if owner == node]:
            self.let_go(thing, node, moment)

    def op_report(self, since=0):
        return {
            "crimes": [crime for crime in self.crimes if crime["time"] >= since],
            "owners": [[thing, owner, start] for (thing, owner), start in sorted(self.holds.items())],
            "intervals": [interval for interval in self.intervals if interval[3] >= since],
            "late_max": self.late_max, "samples": self.samples,
        }

    def op_forgive(self):
        """Forget the crimes: a test committed them on purpose."""
        self.crimes.clear()

    def on_control(self):
        link, _ = self.listener.accept()
        link.settimeout(2)
        try:
            with link, link.makefile("rb") as lines:
                request = json.loads(lines.readline())
                try:
                    answer = {"result": getattr(self, "op_" + request.pop("op"))(**request)}
                except (KeyError, TypeError, AttributeError) as error:
                    answer = {"error": "the checker cannot do that: %r" % error}
                link.sendall(wire.encode(answer))
        except (OSError, ValueError):
            pass  # who asked went away

    def run(self):
        while True:
            now = boottime()
            for key, _ in self.selector.select(max(0, self.next_sample - now)):
                key.data()
            now = boottime()
            if now >= self.next_sample:
                self.late_max = max(self.late_max, now - self.next_sample) if self.samples else 0.0
                for node in list(self.nodes.values()):
                    self.refresh(node, "unit")
                self.samples += 1
                self.next_sample = boottime() + SAMPLE


if __name__ == "__main__":
    die_with_parent()
    gc.disable()
    Checker(sys.argv[1]).run()
