# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nodes for bench/membership: each a network namespace on one bridge, which lies in a namespace too, and processes that
stand ready in it and all begin at one instant.

All of it hangs on the mounts of a namespace that is this program's own: when the program ends, however it ends, nothing
of it is left but a folder."""

import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
NETNS = "/run/netns"

# What stands ready: says so, waits at the gate (an end of file), and becomes the daemon under the same process id.
READY = 'eval "$1"; fd=$2; shift 2; echo >&"$fd"; exec {fd}>&-; read -r _; exec "$@" </dev/null'
READY_TIMEOUT_SEC = 30.0


def libc(name, *arguments):
    if getattr(LIBC, name)(*arguments) < 0:
        error = ctypes.get_errno()
        raise OSError(error, "%s: %s" % (name, os.strerror(error)))


def run(*command, text=None):
    subprocess.run(command, check=True, input=text, text=True, stdin=None if text else subprocess.DEVNULL)


def address(number):
    return "10.76.0.%d" % number


def private_mounts():
    """From here on what is mounted, namespaces of ip-netns among it, is seen by this program and its children only."""
    os.makedirs(NETNS, exist_ok=True)
    libc("unshare", CLONE_NEWNS)
    libc("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    for folder in (NETNS, "/dev/shm"):
        libc("mount", b"tmpfs", folder.encode(), b"tmpfs", 0, None)


def enter_network(name):
    """Of the calling thread."""
    fd = os.open(os.path.join(NETNS, name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc("setns", fd, CLONE_NEWNET)
    finally:
        os.close(fd)


class Network:
    """Nodes 1 to n, of which each run uses the first so many."""

    def __init__(self, n_nodes):
        self.folder = tempfile.mkdtemp(prefix="hamgr-bench-", dir="/var/tmp")
        private_mounts()
        names = ["hub"] + [self.name(i) for i in range(1, n_nodes + 1)]
        run("ip", "-batch", "-", text="".join("netns add %s\n" % name for name in names))
        hub = ["link add br0 type bridge", "link set br0 addrgenmode none", "link set br0 up"]
        for i in range(1, n_nodes + 1):
            hub += ["link add p%d type veth peer name eth0 netns %s" % (i, self.name(i)),
                    "link set p%d addrgenmode none" % i,
                    "link set p%d master br0 up" % i]
        run("ip", "-n", "hub", "-batch", "-", text="\n".join(hub) + "\n")
        for i in range(1, n_nodes + 1):
            # Without addresses that the kernel makes up: it would talk about them when nothing else does.
            inside = ["link set lo up", "link set eth0 addrgenmode none",
                      "addr add %s/24 dev eth0" % address(i), "link set eth0 up"]
            run("ip", "-n", self.name(i), "-batch", "-", text="\n".join(inside) + "\n")

    @staticmethod
    def name(number):
        return "n%d" % number

    def close(self):
        if os.environ.get("HAMGR_KEEP"):
            print("left in %s" % self.folder, file=sys.stderr)
            return
        shutil.rmtree(self.folder, ignore_errors=True)


class Gate:
    """Opens for all that wait at it at once."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        self.ready_reader, self.ready_writer = os.pipe()
        self.n_waiting = 0

    def await_ready(self):
        os.close(self.ready_writer)
        while self.n_waiting > 0:
            if not select.select([self.ready_reader], [], [], READY_TIMEOUT_SEC)[0]:
                raise TimeoutError("%d processes are not ready after %d s" % (self.n_waiting, READY_TIMEOUT_SEC))
            n = len(os.read(self.ready_reader, 4096))
            if n == 0:
                raise RuntimeError("%d processes ended before they were started; see their logs" % self.n_waiting)
            self.n_waiting -= n

    def open(self):
        """Returns the time."""
        self.await_ready()
        os.close(self.ready_reader)
        os.close(self.reader)
        now = time.monotonic()
        os.close(self.writer)
        return now


class Process:
    """A daemon of a node: begins when the gate opens."""

    def __init__(self, gate, node, command, log, prepare=":", pass_fds=(), separate=()):
        environment = {key: value for key, value in os.environ.items() if key not in ("JOURNAL_STREAM", "NOTIFY_SOCKET")}
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(
                ["nsenter", "--net=%s/%s" % (NETNS, Network.name(node)), "setpriv", "--pdeathsig", "KILL", *separate,
                 "bash", "-c", READY, "bash", prepare, str(gate.ready_writer), *command],
                stdin=gate.reader, stdout=out, stderr=out, env=environment, pass_fds=[gate.ready_writer, *pass_fds])
        gate.n_waiting += 1

    def kill(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGKILL)

    def wait(self):
        self.popen.wait()

    def ended(self):
        return self.popen.poll() is not None

    def read(self, file):
        with open("/proc/%d/%s" % (self.popen.pid, file), encoding="ascii", errors="replace") as f:
            return f.read()

    def cpu_sec(self):
        """Of all its threads, so far; stat counts in ticks, and a daemon at rest needs less than one a second."""
        tasks = os.listdir("/proc/%d/task" % self.popen.pid)
        return sum(int(self.read("task/%s/schedstat" % task).split()[0]) for task in tasks) / 1e9

    def resident_mib(self):
        return int(re.search(r"VmRSS:\s+(\d+) kB", self.read("status")).group(1)) / 1024

    def packets(self):
        """Sent and received by its node, so far."""
        fields = re.search(r"eth0:\s*(.*)", self.read("net/dev")).group(1).split()
        return int(fields[1]) + int(fields[9])
