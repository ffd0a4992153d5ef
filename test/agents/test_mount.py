# SPDX-License-Identifier: LGPL-2.1-or-later
"""ha-mount on real file systems on loop devices."""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import time

import pytest

from support import LIMIT_SEC, run, wait_until

HA_MOUNT = os.environ.get("HA_MOUNT", "ha-mount")
EXIT_FAILED, EXIT_USAGE, EXIT_MISSING, EXIT_CONFLICT, EXIT_LOST, EXIT_LEFTOVER = 1, 2, 3, 4, 5, 6
FS_IOC_SHUTDOWN = 0x8004587D

HOLD = {
    "file": "f = open(path + '/data', 'rb')",
    "folder": "os.chdir(path)",
    "mapping": "f = open(path + '/data', 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); f.close()",
    "root": "os.chroot(path)",
}


@pytest.fixture
def hold():
    """hold(how, path) begins a process that holds the file system there; it says so before it goes on."""
    processes = []

    def begin(how, path, stubborn=False):
        code = "import mmap, os, signal, sys, time\npath = sys.argv[1]\n"
        if stubborn:
            code += "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        code += HOLD[how] + "\nprint('holding', flush=True)\ntime.sleep(60)\n"
        p = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
        processes.append(p)
        assert p.stdout.readline() == "holding\n"
        return p

    yield begin
    for p in processes:
        if p.poll() is None:
            p.kill()
        p.wait(LIMIT_SEC)
        p.stdout.close()


def put_data(disk):
    with open(os.path.join(disk.where, "data"), "wb") as f:
        f.write(b"order 4711\n" * 1000)
        f.flush()
        os.fsync(f.fileno())


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_mounts_and_unmounts(make_disk, start, kind):
    disk = make_disk(kind)
    agent = start(*disk.command("--type", kind, "--options", "noatime"))
    ready = agent.ready()
    assert disk.is_mounted()
    put_data(disk)
    status, seconds = agent.stop()
    assert status == 0 and not disk.is_mounted()
    print(f"{kind}: start {ready * 1000:.1f} ms, stop {seconds * 1000:.1f} ms")
    again = start(*disk.command())  # the type is found out
    again.ready()
    with open(os.path.join(disk.where, "data"), "rb") as f:
        assert f.read(10) == b"order 4711"
    assert again.stop()[0] == 0


def test_found_by_uuid(disk, start):
    uuid = run("blkid", "-p", "-s", "UUID", "-o", "value", disk.device).strip()
    agent = start(HA_MOUNT, "--what", f"UUID={uuid}", "--where", disk.where)
    agent.ready()
    assert disk.is_mounted()
    assert agent.stop()[0] == 0


def test_fsck_repairs_and_lets_pass(disk, start):
    run("debugfs", "-w", "-R", "set_super_value free_blocks_count 1", disk.device)
    agent = start(*disk.command("--type", "ext4", "--fsck"))
    ready = agent.ready()
    print(f"with fsck: start {ready * 1000:.1f} ms")
    assert agent.stop()[0] == 0


def test_fsck_that_fails_keeps_it_unmounted(disk, start):
    with open(disk.device, "r+b", buffering=0) as f:
        f.write(bytes(1 << 20))
        os.fsync(f.fileno())
    agent = start(*disk.command("--type", "ext4", "--fsck"))
    assert agent.wait() == EXIT_FAILED
    assert "is not mounted: fsck" in agent.text()
    assert not disk.is_mounted()


def test_what_cannot_be_mounted_says_why(disk, start):
    with open(disk.device, "r+b", buffering=0) as f:
        f.write(bytes(1 << 20))
        os.fsync(f.fileno())
    agent = start(*disk.command("--type", "ext4"))
    assert agent.wait() == EXIT_FAILED
    assert "cannot mount" in agent.text() and "journalctl -k" in agent.text()


def test_killed_is_adopted(disk, start):
    agent = start(*disk.command())
    agent.ready()
    agent.kill()
    assert disk.is_mounted()
    agent = start(*disk.command())
    agent.ready()
    assert "is mounted at" in agent.text() and "keeping it" in agent.text()
    assert agent.stop()[0] == 0
    assert not disk.is_mounted()


def test_killed_is_removed(disk, start, hold):
    agent = start(*disk.command())
    agent.ready()
    put_data(disk)
    agent.kill()
    holder = hold("file", disk.where)
    run(*disk.command("--remove"))
    assert not disk.is_mounted()
    assert holder.wait(LIMIT_SEC) == -signal.SIGTERM
    run(*disk.command("--remove"))


def test_probe_ends_with_its_parent(disk, start):
    agent = start(*disk.command())
    agent.ready()
    children = run("ps", "-o", "pid=", "--ppid", str(agent.process.pid)).split()
    assert len(children) == 1
    agent.kill()
    wait_until(lambda: not os.path.exists(f"/proc/{children[0]}/fd"), 2, "the end of the child")
    run(*disk.command("--remove"))


def test_something_else_mounted_there_is_refused(make_disk, start):
    disk, other = make_disk(), make_disk()
    run("mount", other.device, disk.where)
    agent = start(*disk.command())
    assert agent.wait() == EXIT_CONFLICT
    assert other.device in agent.text()
    run(*disk.command("--remove"))
    assert disk.is_mounted()  # not ours


def test_mounted_elsewhere_on_this_node_is_refused(disk, start):
    run("mount", disk.device, disk.other)
    agent = start(*disk.command())
    assert agent.wait() == EXIT_CONFLICT
    assert disk.other in agent.text()
    assert not disk.is_mounted() and disk.is_mounted(disk.other)


def in_own_namespace(command, ready):
    """A process in a mount namespace of its own that got a copy of all mounts, and none of what came after."""
    p = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", f"{command}; echo {ready}; exec sleep 60"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert p.stdout.readline() == f"{ready}\n"
    return p


def end(process):
    process.kill()
    process.wait(LIMIT_SEC)
    process.stdout.close()


def test_mounted_in_another_namespace_is_refused(disk, start):
    p = in_own_namespace(f"mount {disk.device} {disk.other}", "mounted")
    try:
        assert not disk.is_mounted(disk.other)
        agent = start(*disk.command())
        assert agent.wait() == EXIT_CONFLICT
        assert "in use on this node" in agent.text()
    finally:
        end(p)


def test_copy_in_another_namespace_is_no_success(disk, start):
    agent = start(*disk.command("--stop-timeout", "500ms"))
    agent.ready()
    p = in_own_namespace("true", "copied")
    try:
        assert agent.stop()[0] == EXIT_LEFTOVER
        assert "mount namespace of sleep" in agent.text() and str(p.pid) in agent.text()
    finally:
        end(p)


@pytest.mark.parametrize("how", HOLD)
def test_holders_are_freed(disk, start, hold, how):
    agent = start(*disk.command())
    agent.ready()
    put_data(disk)
    holder = hold(how, disk.where)
    status, seconds = agent.stop()
    assert status == 0 and not disk.is_mounted()
    assert holder.wait(LIMIT_SEC) == -signal.SIGTERM
    assert f"({holder.pid}, " in agent.text()
    print(f"stop with a holder: {seconds * 1000:.1f} ms")


def test_running_program_is_a_holder(disk, start):
    agent = start(*disk.command())
    agent.ready()
    program = os.path.join(disk.where, "program")
    run("cp", "/bin/sleep", program)
    p = subprocess.Popen([program, "60"])
    assert agent.stop()[0] == 0
    assert p.wait(LIMIT_SEC) == -signal.SIGTERM


def test_stubborn_holder_is_killed(disk, start, hold):
    agent = start(*disk.command("--stop-timeout", "3s"))
    agent.ready()
    put_data(disk)
    holder = hold("file", disk.where, stubborn=True)
    status, seconds = agent.stop()
    assert status == 0 and not disk.is_mounted()
    assert holder.wait(LIMIT_SEC) == -signal.SIGKILL
    assert 1.2 < seconds < 3.5


def test_holders_of_other_file_systems_live(make_disk, start, hold):
    disk, other = make_disk(), make_disk()
    agents = [start(*d.command()) for d in (disk, other)]
    for agent, d in zip(agents, (disk, other)):
        agent.ready()
        put_data(d)
    bystanders = [hold(how, other.where) for how in HOLD] + [hold("folder", disk.folder)]
    holder = hold("file", disk.where)
    assert agents[0].stop()[0] == 0
    assert holder.wait(LIMIT_SEC) == -signal.SIGTERM
    time.sleep(0.05)
    assert [p.poll() for p in bystanders] == [None] * len(bystanders)
    assert other.is_mounted()


def test_what_stays_is_named(disk, start):
    agent = start(*disk.command("--stop-timeout", "300ms"))
    agent.ready()
    below = os.path.join(disk.where, "below")
    os.mkdir(below)
    run("mount", "-t", "tmpfs", "none", below)
    assert agent.stop()[0] == EXIT_LEFTOVER
    assert below in agent.text()
    assert disk.is_mounted()
    run("umount", below)
    run(*disk.command("--remove"))


def test_unmounted_by_somebody_else(disk, start):
    agent = start(*disk.command())
    agent.ready()
    begin = time.monotonic()
    run("umount", disk.where)
    assert agent.wait() == EXIT_LOST
    print(f"noticed after {(time.monotonic() - begin) * 1000:.1f} ms")
    assert "unmounted" in agent.text()


def test_remounted_read_only(disk, start):
    agent = start(*disk.command())
    agent.ready()
    run("mount", "-o", "remount,ro", disk.where)
    assert agent.wait() == EXIT_LOST
    assert "read-only" in agent.text()
    assert not disk.is_mounted()


def test_read_only_on_purpose_is_kept(disk, start):
    agent = start(*disk.command("--options", "ro", "--check-interval", "50ms"))
    agent.ready()
    time.sleep(0.2)
    assert agent.process.poll() is None
    assert agent.stop()[0] == 0


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_file_system_that_shut_itself_down(make_disk, start, kind):
    disk = make_disk(kind)
    agent = start(*disk.command("--check-interval", "100ms"))
    agent.ready()
    fd = os.open(disk.where, os.O_RDONLY)
    fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", 2))
    os.close(fd)
    assert agent.wait() == EXIT_LOST
    assert not disk.is_mounted()


def test_disk_that_hangs(disk, start):
    agent = start(*disk.command("--check-interval", "50ms", "--check-timeout", "300ms"))
    agent.ready()
    child = int(run("ps", "-o", "pid=", "--ppid", str(agent.process.pid)))
    os.kill(child, signal.SIGSTOP)  # as one that waits for a disk does not answer either
    assert agent.wait() == EXIT_LOST
    assert "has not answered for 300ms" in agent.text()
    assert disk.is_mounted()
    run(*disk.command("--remove"))


def test_watchdog_is_fed_by_the_loop(disk, start):
    agent = start(*disk.command(), watchdog_usec=400000)
    agent.ready()
    agent.listen("WATCHDOG=1", 1)
    agent.listen("WATCHDOG=1", 1)


@pytest.mark.parametrize("bad", ["source", "device", "target", "folder"])
def test_missing_things_are_named(disk, start, bad):
    what = {"source": "/dev/no-such-disk", "device": disk.image}.get(bad, disk.device)
    where = {"target": disk.folder + "/nowhere", "folder": disk.image}.get(bad, disk.where)
    agent = start(HA_MOUNT, "--what", what, "--where", where)
    assert agent.wait() == EXIT_MISSING
    assert (what if bad in ("source", "device") else where) in agent.text()
    run(HA_MOUNT, "--remove", "--what", what, "--where", where)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--what", "/dev/sda"),
        ("--what", "/dev/sda", "--where", "srv"),
        ("--what", "/dev/sda", "--where", "/srv", "--stop-timeout", "soon"),
        ("--what", "/dev/sda", "--where", "/srv", "more"),
        ("--what", "", "--where", "/srv"),
        ("--wat", "/dev/sda"),
        ("--what", "/srv", "--where", "/srv", "--options", "ro,bind"),
    ],
)
def test_wrong_command_line_is_refused(arguments):
    done = subprocess.run((HA_MOUNT, *arguments), capture_output=True, text=True, timeout=LIMIT_SEC, check=False)
    assert done.returncode == EXIT_USAGE
    assert done.stderr
    assert "--stop-timeout" in run(HA_MOUNT, "--help")
