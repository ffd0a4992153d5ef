# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel offers and Python's library does not: namespaces, loop devices, file system shutdown, cgroups."""

import ctypes
import errno
import fcntl
import os
import select
import struct
import subprocess
import threading
import time

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something the lab cannot do, in a sentence for the person in front of it."""


def _check(result, what):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, "%s: %s" % (what, os.strerror(code)))
    return result


def unshare(flags):
    _check(_libc.unshare(flags), "unshare")


def mount(source, target, fstype=None, flags=0, data=None):
    encode = lambda text: None if text is None else os.fsencode(text)
    _check(
        _libc.mount(encode(source), encode(target), encode(fstype), ctypes.c_ulong(flags), encode(data)),
        "mount on " + str(target),
    )


def unmount(target, flags=0):
    _check(_libc.umount2(os.fsencode(target), flags), "unmount " + str(target))


def die_with_parent():
    PR_SET_PDEATHSIG = 1
    _libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)


def boottime():
    """Seconds of CLOCK_BOOTTIME, the lab's only clock, the same for every process on this machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def in_thread(work):
    """Run work() in a thread of its own, which may change its namespaces, and hand back its result."""
    outcome = {}

    def body():
        try:
            outcome["result"] = work()
        except BaseException as error:  # handed to the caller
            outcome["error"] = error

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def new_network():
    """A new network namespace, kept alive by the descriptor that is returned and by nothing else."""

    def work():
        unshare(CLONE_NEWNET)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    return in_thread(work)


def in_network(fd, work):
    """Run work() inside a network namespace. Sockets that it opens stay in there."""

    def inside():
        _check(_libc.setns(fd, CLONE_NEWNET), "setns")
        return work()

    return in_thread(inside)


def run(*command, stdin=None, pass_fds=(), check=True, timeout=60):
    """Run a program to its end. Returns (status, stdout, stderr); a failure is a LabError with what it said."""
    done = subprocess.run(
        [str(word) for word in command],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        errors="replace",
        pass_fds=pass_fds,
        timeout=timeout,
    )
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise LabError("%s failed (status %d): %s" % (" ".join(map(str, command)), done.returncode, said))
    return done.returncode, done.stdout, done.stderr


def ip_batch(netns_fd, lines, pass_fds=()):
    """Carry out lines of ip(8) inside a network namespace."""
    run(
        "nsenter", "--net=/proc/self/fd/%d" % netns_fd, "ip", "-batch", "-",
        stdin="\n".join(lines) + "\n", pass_fds=(netns_fd,) + tuple(pass_fds),
    )


# Loop devices

LOOP_CTL_GET_FREE, LOOP_CONFIGURE = 0x4C82, 0x4C0A
LO_FLAGS_AUTOCLEAR, LO_FLAGS_DIRECT_IO = 4, 16


def loop_attach(path):
    """Give a file a loop device with direct I/O. Returns (descriptor, device path). The device goes by itself with
    the last descriptor and mount on it, so that nothing is left behind however the lab ends."""
    backing = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(50):
            device = "/dev/loop%d" % fcntl.ioctl(control, LOOP_CTL_GET_FREE)
            if not os.path.exists(device):
                os.mknod(device, 0o600 | 0o060000, os.makedev(7, int(device[9:])))
            fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            config = struct.pack("<II", backing, 0) + struct.pack(
                "<5Q4I64s64s32s2Q", 0, 0, 0, 0, 0, 0, 0, 0,
                LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO, os.fsencode(path)[:63], b"", b"", 0, 0,
            ) + bytes(64)
            try:
                fcntl.ioctl(fd, LOOP_CONFIGURE, config)
                return fd, device
            except OSError as error:
                os.close(fd)
                if error.errno != errno.EBUSY:  # another lab was faster
                    raise
        raise LabError("no free loop device")
    finally:
        os.close(control)
        os.close(backing)


def device_is_free(device):
    """Whether nobody has this block device mounted."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC))
        return True
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise


FS_IOC_SHUTDOWN = 0x8004587D
SHUTDOWN_NOLOGFLUSH = 2


def shut_file_systems_down(pid, devices):
    """Stop the file systems on these devices (numbers "7:0") that process pid sees, without flushing their logs, as a
    power cut does. A killed container would unmount, and so write after its death, which no dead server does."""
    found = 0
    try:
        with open("/proc/%d/mountinfo" % pid, encoding="utf-8", errors="surrogateescape") as table:
            mounts = [line.split() for line in table]
    except OSError:
        return 0
    for fields in mounts:
        if fields[2] not in devices:
            continue
        where = fields[4].encode("utf-8", "surrogateescape").decode("unicode_escape")
        try:
            fd = os.open("/proc/%d/root%s" % (pid, where), os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("<I", SHUTDOWN_NOLOGFLUSH))
                found += 1
            finally:
                os.close(fd)
        except OSError:
            pass  # gone meanwhile
    return found


# Control groups

CGROUP_ROOT = "/sys/fs/cgroup"


def cgroup_hierarchies():
    """(the unified hierarchy, others that systemd-nspawn wants to find its process in)."""
    if os.path.exists(CGROUP_ROOT + "/cgroup.controllers"):
        return CGROUP_ROOT, []
    if not os.path.exists(CGROUP_ROOT + "/unified/cgroup.procs"):
        raise LabError("no unified cgroup hierarchy on %s or %s/unified" % (CGROUP_ROOT, CGROUP_ROOT))
    return CGROUP_ROOT + "/unified", [CGROUP_ROOT + "/systemd"]


class Cgroup:
    """A control group of our own, in the unified hierarchy and, on a hybrid machine, in systemd's too."""

    def __init__(self, name):
        unified, others = cgroup_hierarchies()
        self.name = name
        self.path = os.path.join(unified, name)
        self.paths = [self.path] + [os.path.join(other, name) for other in others]

    def make(self):
        for path in self.paths:
            os.makedirs(path, exist_ok=True)

    def events(self):
        try:
            with open(self.path + "/cgroup.events", encoding="ascii") as file:
                return dict(line.split() for line in file)
        except OSError:
            return {}

    def populated(self):
        return self.events().get("populated") == "1"

    def freeze(self, frozen, timeout=5):
        with open(self.path + "/cgroup.freeze", "w", encoding="ascii") as file:
            file.write("1" if frozen else "0")
        self._await("frozen", "1" if frozen else "0", timeout)

    def kill(self, timeout=10):
        """End everything in it at once, frozen or not, and wait until nothing is left."""
        try:
            with open(self.path + "/cgroup.kill", "w", encoding="ascii") as file:
                file.write("1")
        except FileNotFoundError:
            return
        self._await("populated", "0", timeout)

    def _await(self, key, value, timeout):
        deadline = boottime() + timeout
        try:
            file = open(self.path + "/cgroup.events", "rb", buffering=0)
        except FileNotFoundError:
            return
        with file:
            poller = select.poll()
            poller.register(file, select.POLLPRI)
            while True:
                file.seek(0)
                try:
                    events = dict(line.split() for line in file.read(4096).decode().splitlines())
                except OSError:
                    return  # removed: nothing is in it
                if events.get(key) == value:
                    return
                left = deadline - boottime()
                if left <= 0:
                    raise LabError("cgroup %s: %s did not become %s within %g s" % (self.name, key, value, timeout))
                poller.poll(left * 1000)

    def remove(self):
        for path in self.paths:
            for folder, _, _ in os.walk(path, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
