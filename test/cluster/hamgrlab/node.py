# SPDX-License-Identifier: LGPL-2.1-or-later
"""One server: a container with systemd as process 1, its cables, its disks, its power. Its root file system stays over
crashes and resets, as a server's disk does; everything else of it is made anew at each boot.

    off --on--> booting --> on --kill--> crashed --off--> off
                   ^        |
                   +-reset--+   (reboot, or a forced one, or by its watchdog: the node comes back by itself)
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
import uuid

from . import watchdog, wire
from .network import NETWORKS, PREFIX, PREFIX6
from .system import (
    Cgroup, LabError, boottime, device_is_free, loop_attach, mount, run, shut_file_systems_down, unmount,
)

CAPABILITIES = "CAP_IPC_LOCK,CAP_SYS_NICE,CAP_NET_ADMIN,CAP_NET_RAW,CAP_SYS_ADMIN,CAP_SYS_BOOT,CAP_LINUX_IMMUTABLE"
NSPAWN_REBOOT = 133


class Node:
    def __init__(self, lab, name, number):
        self.lab, self.name, self.number = lab, name, number
        self.cgroup = Cgroup("hamgr-lab-%s/%s" % (lab.name, name))
        self.folder = os.path.join(lab.folder, name)
        self.root = os.path.join(self.folder, "root")
        self.loops = []
        self.lock = threading.RLock()
        self.changed = threading.Condition()
        self.state = "off"
        self.frozen = False
        self.pid = None
        self.process = None
        self.netns = None
        self.boots = self.resets = self.crashes = 0
        self.boot_time = self.death_time = None
        self.boot_took = None
        self.cleared = threading.Event()  # nothing is left of its last life
        self.cleared.set()

    # Its disks

    def prepare(self, lowers):
        """Lay its root file system over the image, and a loop device on each shared disk."""
        for name in ("upper", "work", "root"):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        mount(
            "overlay", self.root, "overlay", 0,
            "lowerdir=%s,upperdir=%s/upper,workdir=%s/work" % (":".join(lowers), self.folder, self.folder),
        )
        self.write("/etc/hostname", self.name + "\n")
        self.write("/etc/machine-id", uuid.uuid5(uuid.NAMESPACE_DNS, self.lab.name + self.name).hex + "\n")
        hosts = "127.0.0.1 localhost\n"
        for node in self.lab.nodes.values():
            hosts += "%s%d %s\n" % (PREFIX["private"], node.number, node.name)
        self.write("/etc/hosts", hosts)
        for disk in self.lab.disks:
            self.loops.append(loop_attach(disk))

    def write(self, path, text, mode=0o644):
        """Write a file of its root file system, running or not."""
        where = self.root + path
        os.makedirs(os.path.dirname(where), exist_ok=True)
        with open(where + ".new", "w", encoding="utf-8") as file:
            os.chmod(where + ".new", mode)
            file.write(text)
        os.rename(where + ".new", where)

    def read(self, path, offset=0):
        """A file of its root file system, from so many bytes on."""
        with open(self.root + path, "rb") as file:
            file.seek(offset)
            return file.read().decode(errors="replace")

    def chroot(self, *command):
        return run("chroot", self.root, *command)

    def disk_numbers(self):
        """Device number to name of disk."""
        numbers = {}
        for index, (fd, _) in enumerate(self.loops):
            device = os.fstat(fd).st_rdev
            numbers["%d:%d" % (os.major(device), os.minor(device))] = "shared%s" % (index + 1 if index else "")
        return numbers

    def own_addresses(self):
        return [PREFIX[network] + str(self.number) for network in NETWORKS] + [
            "%s%x" % (prefix, self.number) for prefix in PREFIX6.values()
        ]

    # Its life

    def enter(self, state):
        with self.changed:
            self.state = state
            self.changed.notify_all()
        self.lab.note(self.name, state)

    def await_state(self, states, timeout):
        with self.changed:
            if not self.changed.wait_for(lambda: self.state in states, timeout):
                raise LabError("%s is %s and did not become %s within %g s" % (self.name, self.state, "/".join(states), timeout))

    def on(self):
        """Switch it on. Returns at once; a node that is on stays as it is, a crashed one boots."""
        while True:
            with self.lock:
                if self.state in ("on", "booting"):
                    return
                if self.cleared.is_set():
                    self._boot()
                    return
            if not self.cleared.wait(30):
                raise LabError("%s: the last life of it is not cleared away" % self.name)

    def _boot(self):
        self._await_disks()
        self.cleared.clear()
        self.cgroup.make()
        self.netns = self.lab.switch.plug_node(self.name, self.number)
        notify_path = os.path.join(self.lab.run_folder, self.name + ".notify")
        if os.path.exists(notify_path):
            os.unlink(notify_path)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(notify_path)
        dog = None
        if self.lab.options["watchdog"]:
            dog = watchdog.Watchdog(self, self._watchdog_path(), self.lab.options["watchdog"])
        self.pid = None
        self.frozen = False
        self.boots += 1
        self.boot_time = boottime()
        self.enter("booting")
        console = open(os.path.join(self.folder, "console.log"), "ab")
        self.process = subprocess.Popen(
            ["sh", "-c", self._launcher()], stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            pass_fds=(self.netns,), start_new_session=True,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                "NOTIFY_SOCKET": notify_path, "SYSTEMD_LOG_LEVEL": "notice",
            },
        )
        console.close()
        if dog:
            dog.start(self.process)
        threading.Thread(target=self._listen, args=(notify, self.process), daemon=True).start()
        threading.Thread(target=self._watch, args=(self.process,), daemon=True).start()

    def _watchdog_path(self):
        return os.path.join(self.lab.run_folder, self.name + ".watchdog")

    def _await_disks(self, timeout=10):
        """Until its last life, whose mounts end some moments after its processes, has nothing under way to a disk."""
        deadline = boottime() + timeout
        for _, device in self.loops:
            while not device_is_free(device):
                if boottime() > deadline:
                    raise LabError("%s: %s is still in use by its last boot" % (self.name, device))
                time.sleep(0.002)

    def _launcher(self):
        command = [
            "systemd-nspawn", "--quiet", "--directory=" + self.root, "--boot",
            "--machine=%s-%s" % (self.lab.name, self.name), "--hostname=" + self.name,
            "--register=no", "--keep-unit", "--notify-ready=yes", "--settings=no", "--console=pipe",
            "--network-namespace-path=/proc/self/fd/%d" % self.netns, "--link-journal=no",
            "--resolv-conf=off", "--timezone=off", "--capability=" + CAPABILITIES,
        ]
        for index, (_, device) in enumerate(self.loops):
            command.append("--bind=%s:/dev/shared%s" % (device, index + 1 if index else ""))
        if self.lab.options["watchdog"]:
            command.append("--bind=%s:/dev/lab-watchdog" % self._watchdog_path())
        joins = ["echo $$ > %s/cgroup.procs" % shlex.quote(path) for path in self.cgroup.paths]
        return " && ".join(joins) + " && exec " + shlex.join(command)

    def _listen(self, notify, process):
        """Hear from the container: its process 1 is there, its boot is finished."""
        with notify:
            notify.settimeout(0.5)
            while process.poll() is None:
                try:
                    text = notify.recv(4096).decode()
                except TimeoutError:
                    continue
                leader = re.search(r"^X_NSPAWN_LEADER_PID=(\d+)", text, re.MULTILINE)
                with self.lock:
                    if self.process is not process:
                        return
                    if leader:
                        self.pid = int(leader.group(1))
                        self.lab.tell_checker(
                            op="boot", node=self.name, pid=self.pid, cgroup=self.cgroup.path + "/payload",
                            disks=self.disk_numbers(), addresses=self.own_addresses(),
                        )
                    if "READY=1" in text.splitlines() and self.state == "booting":
                        self.boot_took = boottime() - self.boot_time
                        self.enter("on")
                        return

    def _watch(self, process):
        """Wait for the end of this life, clear it away, and boot again after a reset."""
        status = process.wait()
        with self.lock:
            killed = self.state in ("off", "crashed")
            if not killed:
                self._end_life()
            os.close(self.netns)
            self.process = self.netns = None
            self.cgroup.remove()
            self.cleared.set()
            if killed:
                return
            if status == NSPAWN_REBOOT and not self.lab.ending:
                self.enter("reset")
                self.resets += 1
                try:
                    self._boot()
                except (LabError, OSError) as error:
                    self.lab.note(self.name, "cannot boot: %s" % error)
                    self.enter("off")
            else:
                self.enter("off" if status == 0 else "crashed")

    def _end_life(self):
        """Pull its cables, then kill what lives of it: the kernel answers for its addresses as long as its network is
        there. And what it says between the end of its file systems and its own is not said by a dead machine: an
        fdatasync() that the end meets half-way may succeed and have written nothing."""
        self.lab.switch.unplug_node(self.number)
        if self.pid is not None:
            shut_file_systems_down(self.pid, self.disk_numbers())
        self.process.kill()  # it may not have entered its control group yet
        self.cgroup.kill()
        self.pid = None
        self.frozen = False
        self.death_time = boottime()
        self.lab.tell_checker(op="dead", node=self.name, time=self.death_time)

    def kill(self, power_off=False):
        """Cut its power, or crash it: nothing of it runs, writes or answers any more when this returns. A crashed node
        keeps its power and stays dead until its power is switched off and on. Returns the moment of it."""
        with self.lock:
            if self.state not in ("on", "booting"):
                if power_off and self.state != "off":
                    self.enter("off")
                return None
            moment = boottime()
            self._end_life()
            self._await_disks()
            self.crashes += not power_off
            self.enter("off" if power_off else "crashed")
        return moment

    def bitten(self, process):
        """Its watchdog was not petted in time in that life: reset it."""
        with self.lock:
            if self.process is not process or self.lab.ending or self.kill() is None:
                return
            self.resets += 1
        self.lab.note(self.name, "reset by its watchdog")
        self.on()

    def pause(self):
        """Stop everything in it at one instant; it is not told, and not asked."""
        with self.lock:
            self._must_be_on()
            moment = boottime()
            Cgroup(self.cgroup.name + "/payload").freeze(True)
            self.frozen = True
        self.lab.note(self.name, "paused")
        return moment

    def resume(self):
        with self.lock:
            self._must_be_on()
            Cgroup(self.cgroup.name + "/payload").freeze(False)
            self.frozen = False
        self.lab.note(self.name, "resumed")
        return boottime()

    def _must_be_on(self):
        if self.process is None or self.pid is None:
            raise LabError("%s is %s" % (self.name, self.state))

    # What runs in it

    def unit_cgroup(self, unit):
        base = self.cgroup.path + "/payload"
        for folder, folders, _ in os.walk(base):
            if unit in folders:
                return os.path.join(folder, unit)
        return None

    def unit_processes(self, unit):
        """The processes of a unit, as they are numbered here, outside."""
        where = self.unit_cgroup(unit)
        found = []
        for folder, _, _ in os.walk(where) if where else []:
            with open(folder + "/cgroup.procs", encoding="ascii") as file:
                found += [int(line) for line in file]
        return found

    def signal_unit(self, unit, name):
        """Send every process of a unit a signal, from outside, as a bug would: the node's systemd is not asked."""
        self._must_be_on()
        processes = self.unit_processes(unit)
        if not processes:
            raise LabError("%s runs no process of %s" % (self.name, unit))
        moment = boottime()
        for pid in processes:
            os.kill(pid, getattr(signal, "SIG" + name))
        return {"time": moment, "processes": len(processes)}

    def memory(self, unit):
        """What the processes of a unit hold now, each as {"Pid": ..., "VmRSS": bytes, "VmHWM": bytes, ...}."""
        found = []
        for pid in self.unit_processes(unit):
            try:
                with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as file:
                    shown = re.findall(r"^(Pid|Vm\w+):\s+(\d+)( kB)?$", file.read(), re.MULTILINE)
            except (FileNotFoundError, ProcessLookupError):
                continue  # just ended
            found.append({name: int(value) * (1024 if unit_ else 1) for name, value, unit_ in shown})
        return found

    def execute(self, command, stdin=None, timeout=60):
        """Run a command in it, as root would over ssh. Returns status, stdout, stderr."""
        self._must_be_on()
        cgroup = self.cgroup.path + "/payload/lab-exec"
        try:
            os.makedirs(cgroup, exist_ok=True)
        except OSError as error:
            raise LabError("%s just went down: %s" % (self.name, error)) from None
        enter = "echo $$ > %s/cgroup.procs && exec " % cgroup + shlex.join(
            ["nsenter", "--target=%d" % self.pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"] + command
        )
        try:
            done = subprocess.run(
                ["sh", "-c", enter], input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True, text=True, errors="replace", timeout=timeout, cwd="/", check=False,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root", "TERM": "dumb"},
            )
        except subprocess.TimeoutExpired:
            raise LabError("%s: %s did not end within %g s" % (self.name, shlex.join(command), timeout)) from None
        return {"status": done.returncode, "out": done.stdout, "err": done.stderr}

    def show(self):
        return {
            "state": self.state, "paused": self.frozen, "boots": self.boots, "resets": self.resets,
            "crashes": self.crashes, "pid": self.pid, "boot_time": self.boot_time, "boot_took": self.boot_took,
            "death_time": self.death_time, "root": self.root, "cgroup": self.cgroup.path,
        }

    def dismantle(self):
        self.cleared.wait(30)
        for fd, _ in self.loops:
            os.close(fd)
        self.loops = []
        try:
            unmount(self.root, 2)
        except OSError:
            pass  # was not mounted
        self.cgroup.remove()


def ask_quietly(path, **request):
    """Tell a helper process something; it may not be there yet or any more."""
    try:
        return wire.ask(path, request, timeout=5)
    except (LabError, OSError):
        return None
