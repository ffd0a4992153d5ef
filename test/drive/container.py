# SPDX-License-Identifier: LGPL-2.1-or-later
"""One container with real systemd and the drive in it, driven by the test driver program. It stands on the lab's base
image and primitives, but has no network, no hagcd and no hamgr: what is tested is the drive against systemd alone."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cluster"))

from hamgrlab import image, system  # noqa: E402

CAPABILITIES = "CAP_NET_ADMIN,CAP_NET_RAW,CAP_SYS_ADMIN,CAP_SYS_BOOT,CAP_SYS_NICE,CAP_IPC_LOCK,CAP_LINUX_IMMUTABLE"
SOCKET = "/run/drive-driver.sock"
REBOOT = 133

DRIVER_UNIT = """[Service]
Type=notify
ExecStart=
ExecStart=/usr/lib/hamgr-test/drive-driver /etc/drive-test %s
WatchdogSec=0
TimeoutStopSec=60s
""" % SOCKET


class Event(dict):
    """type, group, assignment, resource, reason, status, found, owned, text; time in seconds of CLOCK_BOOTTIME."""

    @classmethod
    def parse(cls, line):
        head, _, text = line.partition(" text=")
        event = cls(word.split("=", 1) for word in head.split()[1:])
        event["text"] = text
        event["time"] = int(event["time"]) / 1e6
        return event


class Gone(Exception):
    """The driver program ended."""


class Driver:
    """A connection to the driver program inside."""

    def __init__(self, container):
        self.container = container
        self.socket = None
        self.events = []
        self.answers = []

    def connect(self, timeout=10):
        """To the driver that answers: one that was killed may still seem to listen."""
        deadline = time.monotonic() + timeout
        while True:
            self.close()
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.socket.settimeout(0.1)
            try:
                self.socket.connect(self.container.inside(SOCKET))
                self.order("state", "shop")
                self.events, self.answers = [], []
                return self
            except (OSError, Gone) as error:
                assert time.monotonic() < deadline, "the driver does not answer: %s" % error
                time.sleep(0.01)

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def _read(self):
        try:
            line = self.socket.recv(65536).decode()
        except TimeoutError:
            return
        if not line:
            raise Gone("the driver went away")
        if line.startswith("event "):
            self.events.append(Event.parse(line))
        else:
            self.answers.append(line)

    def order(self, *words, ok=True):
        """Give an order. Returns what is answered beside "ok", such as the state."""
        self.answers = []
        self.socket.send(" ".join(map(str, words)).encode())
        deadline = time.monotonic() + 10
        while not any(line == "ok" or line.startswith("error") for line in self.answers):
            assert time.monotonic() < deadline, "no answer to %s" % (words,)
            self._read()
        last = [line for line in self.answers if line == "ok" or line.startswith("error")][0]
        assert (last == "ok") == ok, "%s: %s" % (words, last)
        rest = [line for line in self.answers if line != last]
        return rest[0] if rest else last

    def settled(self, group):
        """The state of a group, once it was looked at."""
        deadline = time.monotonic() + 10
        while True:
            state = self.order("state", group)
            if state != "unread":
                return state
            assert time.monotonic() < deadline, "%s is not looked at" % group
            time.sleep(0.005)

    def answer(self, prefix, timeout=10):
        deadline = time.monotonic() + timeout
        while not any(line.startswith(prefix) for line in self.answers):
            assert time.monotonic() < deadline, "no %s" % prefix
            self._read()
        return [line for line in self.answers if line.startswith(prefix)][0]

    def wait(self, *types, group=None, timeout=20):
        """The next event of one of these types; earlier ones are forgotten."""
        deadline = time.monotonic() + timeout
        seen = []
        while True:
            while self.events:
                event = self.events.pop(0)
                seen.append("%s %s" % (event["type"], event["text"]))
                if event["type"] in types and group in (None, event["group"]):
                    return event
            assert time.monotonic() < deadline, "no %s within %g s, but %s" % ("/".join(types), timeout, seen)
            self._read()

    def quiet(self, types, seconds):
        """That no event of these types comes for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._read()
        assert not [event for event in self.events if event["type"] in types]


class Container:
    def __init__(self, build):
        self.build = build
        self.folder = tempfile.mkdtemp(prefix="hamgr-drive-")
        self.root = os.path.join(self.folder, "root")
        self.cgroup = system.Cgroup("hamgr-drive-%d" % os.getpid())
        self.process = self.pid = self.netns = self.loop = None
        self.driver = Driver(self)

    # Software

    def prepare(self):
        for name in ("upper", "work", "root"):
            os.makedirs(os.path.join(self.folder, name))
        system.mount("overlay", self.root, "overlay", 0, "lowerdir=%s,upperdir=%s/upper,workdir=%s/work" % (
            image.base_image(), self.folder, self.folder))
        self.write("/etc/hostname", "n1\n")
        self.write("/etc/machine-id", uuid.uuid4().hex + "\n")
        self.install("test/drive/drive-driver", "/usr/lib/hamgr-test/drive-driver")
        self.install("src/generator/hamgr-generator", "/usr/lib/systemd/system-generators/hamgr-generator")
        self.install("src/resource-agents/ip/ha-ip", "/usr/lib/hamgr/ha-ip")
        self.install("src/resource-agents/mount/ha-mount", "/usr/lib/hamgr/ha-mount")
        source = os.path.dirname(os.path.dirname(HERE))
        for path in ("hamgr.service", "hamgr-managed.target", "hamgr-.service.d/10-hamgr.conf"):
            with open(os.path.join(source, "units", path), encoding="utf-8") as file:
                self.write("/usr/lib/systemd/system/" + path, file.read())
        self.write("/etc/systemd/system/hamgr.service.d/driver.conf", DRIVER_UNIT)
        self.enable("hamgr.service")
        disk = os.path.join(self.folder, "disk")
        with open(disk, "wb") as file:
            file.truncate(64 << 20)
        system.run("mkfs.ext4", "-q", "-L", "shop", disk)
        self.loop, self.device = system.loop_attach(disk)
        return self

    def install(self, built, target):
        target = self.root + target
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(os.path.join(self.build, built), target)

    def write(self, path, text):
        where = self.root + path
        os.makedirs(os.path.dirname(where), exist_ok=True)
        with open(where, "w", encoding="utf-8") as file:
            file.write(text)

    def enable(self, unit):
        wants = self.root + "/etc/systemd/system/multi-user.target.wants"
        os.makedirs(wants, exist_ok=True)
        os.symlink("/usr/lib/systemd/system/" + unit, os.path.join(wants, unit))

    # Life

    def boot(self):
        self.cgroup.make()
        self.netns = system.new_network()
        system.ip_batch(self.netns, [
            "link set lo up", "link add eth0 type veth peer name cable", "link set cable up", "link set eth0 up"])
        notify_path = os.path.join(self.folder, "notify")
        if os.path.exists(notify_path):
            os.unlink(notify_path)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(notify_path)
        notify.settimeout(0.5)
        deadline = time.monotonic() + 60
        joins = ["echo $$ > %s/cgroup.procs" % path for path in self.cgroup.paths]
        command = "exec systemd-nspawn --quiet --directory=%s --boot --machine=%s --hostname=n1 --register=no" \
            " --keep-unit --notify-ready=yes --settings=no --console=pipe --link-journal=no --resolv-conf=off" \
            " --timezone=off --capability=%s --network-namespace-path=/proc/self/fd/%d --bind=%s:/dev/shared" % (
                self.root, self.cgroup.name, CAPABILITIES, self.netns, self.device)
        console = open(os.path.join(self.folder, "console.log"), "ab")
        self.process = subprocess.Popen(
            ["sh", "-c", " && ".join(joins + [command])], stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            pass_fds=(self.netns,), start_new_session=True,
            env={"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "NOTIFY_SOCKET": notify_path})
        console.close()
        self.pid, ready = None, False
        with notify:
            while not (self.pid and ready):
                assert self.process.poll() is None, "it did not boot: " + self.console()
                assert time.monotonic() < deadline, "it does not come up: " + self.console()
                try:
                    text = notify.recv(4096).decode()
                except TimeoutError:
                    continue
                leader = re.search(r"^X_NSPAWN_LEADER_PID=(\d+)", text, re.MULTILINE)
                self.pid = int(leader.group(1)) if leader else self.pid
                ready = ready or "READY=1" in text.splitlines()
        self.run("journalctl", "--flush")  # the image's journal stays in /run until it is asked
        self.driver.connect()
        return self

    def console(self):
        with open(os.path.join(self.folder, "console.log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def inside(self, path):
        return "/proc/%d/root%s" % (self.pid, path)

    def command(self, *command):
        """The command line, for outside, of a command inside."""
        path = self.cgroup.path + "/payload/test"
        os.makedirs(path, exist_ok=True)
        return ["sh", "-c", "echo $$ > %s/cgroup.procs; exec \"$@\"" % path, "sh", "nsenter", "--target=%d" % self.pid,
                "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--", *command]

    def run(self, *command, check=True, timeout=60):
        done = subprocess.run(
            self.command(*command), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, "%s: %s%s" % (command, done.stdout, done.stderr)
        return done

    def unit_processes(self, unit):
        for folder, folders, _ in os.walk(self.cgroup.path):
            if unit in folders:
                with open(os.path.join(folder, unit, "cgroup.procs"), encoding="ascii") as file:
                    return [int(line) for line in file]
        return []

    def kill_unit(self, unit, how=signal.SIGKILL):
        processes = self.unit_processes(unit)
        assert processes, "no process of %s" % unit
        moment = system.boottime()
        for pid in processes:
            os.kill(pid, how)
        return moment

    def active(self, unit):
        return self.run("systemctl", "is-active", unit, check=False).stdout.strip()

    def journal(self, *arguments):
        return self.run("journalctl", "--no-pager", "-o", "short-monotonic", *arguments).stdout

    def ended(self, timeout=60):
        """Wait for the container's own end. Returns nspawn's status: 133 for a reboot."""
        status = self.process.wait(timeout)
        self.process = None
        self.driver.close()
        os.close(self.netns)
        self.netns = None
        return status

    def remove(self):
        self.driver.close()
        if self.process:
            self.cgroup.kill()
            self.process.wait(20)
        self.cgroup.remove()
        if self.netns is not None:
            os.close(self.netns)
        if self.loop is not None:
            os.close(self.loop)
        try:
            system.unmount(self.root, system.MNT_DETACH)
        except OSError:
            pass
        shutil.rmtree(self.folder, ignore_errors=True)
