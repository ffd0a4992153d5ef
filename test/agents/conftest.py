# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures: network namespaces with a bridge, file systems on loop devices. All is undone at the end of each test."""

import ctypes
import os
import shutil
import tempfile

import pytest

from support import Agent, run, wait_until


CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def pytest_sessionstart(session):
    """In a mount namespace of our own: one that somebody else makes meanwhile ("ip netns exec" does) would have copies of
    what the tests mount, and an agent rightly calls that left over."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None) != 0:
        raise OSError(ctypes.get_errno(), "cannot have a mount namespace of its own")


def pytest_collection_modifyitems(config, items):
    why = None
    if os.geteuid() != 0:
        why = "needs root: network namespaces, loop devices and mounts"
    elif not os.environ.get("HA_IP") or not os.environ.get("HA_MOUNT"):
        why = "HA_IP and HA_MOUNT must name the programs to test"
    if why:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture
def start():
    """start(program, options...) starts an agent that is ended with the test."""
    agents = []

    def begin(*command, **options):
        agents.append(Agent(*command, **options))
        return agents[-1]

    yield begin
    for agent in agents:
        agent.close()


class Network:
    """Two hosts, a and b, each a namespace with eth0, on one bridge in a third namespace."""

    def __init__(self):
        self.base = f"hamgr-{os.getpid()}"
        self.hosts = ("a", "b")
        run("ip", "netns", "add", f"{self.base}-bridge")
        self.ip("bridge", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        self.ip("bridge", "link", "set", "br0", "up")
        for host in self.hosts:
            run("ip", "netns", "add", f"{self.base}-{host}")
            self.ip(
                "bridge", "link", "add", f"port-{host}", "type", "veth",
                "peer", "name", "eth0", "netns", f"{self.base}-{host}",
            )
            self.ip("bridge", "link", "set", f"port-{host}", "master", "br0", "up")
            self.ip(host, "link", "set", "lo", "up")
            self.ip(host, "link", "set", "eth0", "up")
        self.ip("a", "address", "add", "192.0.2.1/24", "dev", "eth0")
        self.ip("b", "address", "add", "192.0.2.2/24", "dev", "eth0")
        for host in self.hosts:
            wait_until(lambda h=host: "LOWER_UP" in self.ip(h, "link", "show", "eth0"), what="carrier")
            port = f"port-{host}"
            wait_until(
                lambda p=port: "state forwarding" in self.ip("bridge", "-d", "link", "show", p), what="forwarding"
            )

    def ip(self, host, *arguments):
        return run("ip", "-n", f"{self.base}-{host}", *arguments)

    def on(self, host):
        """What to put before a command so that it runs on that host."""
        return ("ip", "netns", "exec", f"{self.base}-{host}")

    def path(self, host):
        return f"/run/netns/{self.base}-{host}"

    def has(self, host, address):
        return f" {address}/" in self.ip(host, "address", "show", "dev", "eth0")

    def mac(self, host):
        words = self.ip(host, "link", "show", "eth0").split()
        return words[words.index("link/ether") + 1]

    def close(self):
        for host in (*self.hosts, "bridge"):
            run("ip", "netns", "delete", f"{self.base}-{host}", check=False)


@pytest.fixture
def network():
    n = Network()
    yield n
    n.close()


class Disk:
    """A file, a loop device on it, a file system in it, and places to mount it."""

    def __init__(self, kind):
        self.kind = kind
        self.folder = tempfile.mkdtemp(prefix="hamgr-disk-")
        self.image = os.path.join(self.folder, "image")
        self.where = os.path.join(self.folder, "where")
        self.other = os.path.join(self.folder, "other")
        os.mkdir(self.where)
        os.mkdir(self.other)
        with open(self.image, "wb") as f:
            f.truncate((320 if kind == "xfs" else 32) << 20)
        run(f"mkfs.{kind}", "-q", self.image)
        self.device = run("losetup", "--find", "--show", self.image).strip()

    def command(self, *more):
        return (os.environ["HA_MOUNT"], "--what", self.device, "--where", self.where, *more)

    def is_mounted(self, where=None):
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            return any(line.split()[4] == (where or self.where) for line in f)

    def close(self):
        for where in (os.path.join(self.where, "below"), self.where, self.where, self.other):
            run("umount", "--lazy", where, check=False)
        run("losetup", "--detach", self.device, check=False)
        shutil.rmtree(self.folder)


@pytest.fixture
def make_disk():
    disks = []

    def make(kind="ext4"):
        disks.append(Disk(kind))
        return disks[-1]

    yield make
    for disk in disks:
        disk.close()


@pytest.fixture
def disk(make_disk):
    return make_disk()
