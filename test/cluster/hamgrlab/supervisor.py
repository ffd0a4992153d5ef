# SPDX-License-Identifier: LGPL-2.1-or-later
"""The process that holds one lab together and answers for it on a Unix socket.

It lives in a mount and a process namespace of its own. So whatever becomes of it, a SIGKILL too, the kernel ends
everything it started, unmounts what it mounted, and its networks and loop devices go with their last descriptors; only
empty control groups and a folder can remain, which the next lab of that name removes."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

from . import bmc, stranger, wire
from .network import Switch
from .node import Node, ask_quietly
from .power import Controller
from .system import (
    CLONE_NEWNS, CLONE_NEWPID, MS_PRIVATE, MS_REC, Cgroup, LabError, boottime, die_with_parent, in_network, mount, run, unshare,
)

RUN = "/run/hamgr-lab"
LIB = "/var/lib/hamgr-lab"
PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run_folder(name):
    return os.path.join(RUN, name)


def control_path(name):
    return os.path.join(run_folder(name), "control")


class Supervisor:
    def __init__(self, options):
        self.name = options["name"]
        self.options = options
        self.run_folder = run_folder(self.name)
        self.folder = os.path.join(LIB, self.name)
        self.history = []
        self.ending = False
        self.nodes = {}
        self.disks = []
        self.switch = self.controller = self.bmcs = self.client_netns = self.stranger_netns = None
        self.helpers = []
        self.listening = {}

    def note(self, node, what):
        self.history.append([boottime(), node, what])
        print("%.3f %s %s" % (boottime(), node, what), flush=True)

    def tell_checker(self, **request):
        ask_quietly(os.path.join(self.run_folder, "checker"), **request)

    # Up and down

    def build(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.switch = Switch()
        self._make_disks()
        for number in range(1, self.options["nodes"] + 1):
            self.nodes["n%d" % number] = Node(self, "n%d" % number, number)
        for node in self.nodes.values():
            node.prepare([self.options["layer"], self.options["base"]])
        self.controller = Controller(self)
        if self.options["bmcs"]:
            self.bmcs = bmc.Room(self)
        self._configure()
        self.client_netns = self.switch.plug_client()
        self._start_helper("checker")
        self._start_helper("client", self.client_netns)

    def _make_disks(self):
        for index in range(self.options["disks"]):
            path = os.path.join(self.folder, "disk%d.img" % (index + 1))
            with open(path, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, self.options["disk_bytes"])
            kind = self.options["filesystem"]
            if kind == "xfs":
                run("mkfs.xfs", "-q", "-f", "-L", "shared%d" % (index + 1), path)
            else:
                run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", path)
            self.disks.append(path)

    def _configure(self):
        """The files of the cluster on each node, its key and store (as an administrator makes them), units on."""
        for node in self.nodes.values():
            for path, text in self.options["files"].items():
                node.write(path, text)
            if self.bmcs:
                self.bmcs.configure(node)
        first = next(iter(self.nodes.values()))
        if not os.path.exists(first.root + "/usr/bin/hactl"):
            return
        first.chroot("hactl", "init")
        key = first.read("/etc/hamgr/cluster.key")
        for node in self.nodes.values():
            if node is not first:
                node.write("/etc/hamgr/cluster.key", key, 0o600)
                node.chroot("hactl", "init")
            units = [
                unit for unit in self.options["enable"]
                if os.path.exists(node.root + "/usr/lib/systemd/system/" + unit)
            ]
            if units:
                run("systemctl", "--root=" + node.root, "--quiet", "enable", *units)

    def _start_helper(self, name, netns=None):
        command = [sys.executable, "-B", "-m", "hamgrlab." + name, os.path.join(self.run_folder, name)]
        if netns is not None:
            command = ["nsenter", "--net=/proc/self/fd/%d" % netns] + command
        log = open(os.path.join(self.folder, name + ".log"), "ab")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=PACKAGE_ROOT,
            pass_fds=() if netns is None else (netns,),
        )
        log.close()
        self.helpers.append(process)
        deadline = boottime() + 15
        while not os.path.exists(os.path.join(self.run_folder, name)):
            if process.poll() is not None or boottime() > deadline:
                raise LabError("the lab's %s did not start, see %s/%s.log" % (name, self.folder, name))
            time.sleep(0.005)

    def teardown(self):
        self.ending = True
        for node in self.nodes.values():
            try:
                node.kill(power_off=True)
            except (LabError, OSError, subprocess.TimeoutExpired) as error:
                self.note(node.name, "cannot end it: %s" % error)
        for process in self.helpers:
            process.kill()
            process.wait()
        if self.controller:
            self.controller.close()
        if self.bmcs:
            self.bmcs.close()
        for node in self.nodes.values():
            node.dismantle()
        Cgroup("hamgr-lab-" + self.name).remove()

    # Requests

    def op_ping(self):
        return "up"

    def op_status(self):
        return {
            "name": self.name, "nodes": {node.name: node.show() for node in self.nodes.values()},
            "power": self.controller.modes, "time": boottime(), "folder": self.folder,
            "bmcs": {name: one.mode for name, one in self.bmcs.bmcs.items()} if self.bmcs else {},
        }

    def op_journal(self, node, arguments):
        """A node's journal, read from outside: of a dead one too."""
        where = self.node(node).root + "/var/log/journal"
        return run("journalctl", "--directory=" + where, "--no-pager", "--quiet", *arguments, check=False)[1]

    def op_history(self, since=0):
        return [entry for entry in self.history if entry[0] >= since]

    def node(self, name):
        if name not in self.nodes:
            raise LabError("there is no node %s, only %s" % (name, " ".join(self.nodes)))
        return self.nodes[name]

    def op_on(self, nodes):
        moment = boottime()
        for name in nodes:
            self.node(name).on()
        return moment

    def op_off(self, node):
        return self.node(node).kill(power_off=True)

    def op_kill(self, node):
        return self.node(node).kill()

    def op_pause(self, node):
        return self.node(node).pause()

    def op_resume(self, node):
        return self.node(node).resume()

    def op_await(self, node, states, timeout=30):
        self.node(node).await_state(states, timeout)

    def op_signal(self, node, unit, signal="KILL"):
        return self.node(node).signal_unit(unit, signal)

    def op_processes(self, node, unit):
        return self.node(node).unit_processes(unit)

    def op_memory(self, node, unit):
        return self.node(node).memory(unit)

    def op_exec(self, node, command, stdin=None, timeout=60):
        return self.node(node).execute(command, stdin, timeout)

    def op_chroot(self, node, command, timeout=60):
        """Run a command on a node's root file system, while the node is off."""
        if self.node(node).state in ("on", "booting"):
            raise LabError("%s is on" % node)
        return self.node(node).chroot(*command)[1]

    def op_write(self, node, path, text, mode=0o644):
        self.node(node).write(path, text, mode)

    def op_read(self, node, path, offset=0):
        return self.node(node).read(path, offset)

    def op_unlink(self, node, path):
        where = self.node(node).root + path
        if os.path.lexists(where):
            os.unlink(where)

    def op_cut(self, node, network=None, peer=None, direction="both"):
        self.node(node)
        self.switch.cut(node, network, peer, direction)
        self.note(node, "cut %s %s %s" % (network or "all", direction, peer or ""))
        return boottime()

    def op_split(self, halves, networks):
        self.switch.split(halves, networks)
        self.note("-", "split " + " | ".join(" ".join(half) for half in halves))
        return boottime()

    def op_cut_one_way(self, pairs, networks):
        self.switch.cut_one_way(pairs, networks)
        self.note("-", "cut " + " ".join("%s>%s" % tuple(pair) for pair in pairs))
        return boottime()

    def op_narrow(self, node, peer, longest, networks):
        self.switch.narrow(node, peer, longest, networks)
        self.note(node, "sends %s no more than %d bytes on %s" % (peer, longest, " ".join(networks)))
        return boottime()

    def op_lose(self, node, percent, networks):
        self.switch.lose(node, percent, networks)
        self.note(node, "loses %g %% both ways on %s" % (percent, " ".join(networks)))
        return boottime()

    def op_capture(self, seconds):
        return self.switch.capture(seconds)

    def op_heal(self):
        self.switch.heal()
        self.note("-", "healed")
        return boottime()

    def op_carrier(self, node, network, up):
        self.switch.carrier(node, network, up)
        return boottime()

    def op_power(self, node, mode):
        self.node(node)
        self.controller.set_mode(node, mode)

    def op_bmc(self, node, mode):
        self.node(node)
        if self.bmcs is None:
            raise LabError("this lab was made without management controllers")
        self.bmcs.bmcs[node].set_mode(mode)

    def op_bmc_requests(self, node, since=0):
        return self.bmcs.requests(node, since)

    def op_orders(self, since=0):
        return [order for order in self.controller.orders if order[0] >= since]

    def op_from_client(self, command, timeout=30):
        """Run a command where the client is."""
        done = subprocess.run(
            ["nsenter", "--net=/proc/self/fd/%d" % self.client_netns] + command, pass_fds=(self.client_netns,),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=timeout, check=False,
        )
        return {"status": done.returncode, "out": done.stdout, "err": done.stderr}

    def op_stranger_sends(self, request, timeout=60):
        """See stranger.py."""
        if self.stranger_netns is None:
            self.stranger_netns = self.switch.plug_stranger()
        fd = self.stranger_netns
        done = run(
            "nsenter", "--net=/proc/self/fd/%d" % fd, "env", "--chdir=" + PACKAGE_ROOT, sys.executable, "-B", "-m",
            "hamgrlab.stranger", stdin=json.dumps(request), pass_fds=(fd,), timeout=timeout,
        )
        return json.loads(done[1])

    def op_listen(self, node, network):
        interface = "%s-%s" % (node, network)
        self.listening[interface] = in_network(self.switch.fd, lambda: stranger.listen(interface))

    def op_heard(self, node, network, port):
        return stranger.datagrams(self.listening["%s-%s" % (node, network)], port)

    def op_down(self):
        self.ending = True
        os.kill(os.getpid(), signal.SIGTERM)

    def serve(self, link):
        with link:
            try:
                request = json.loads(link.makefile("rb").readline() or b"{}")
                method = getattr(self, "op_" + str(request.pop("op", "")), None)
                if method is None:
                    answer = {"error": "the lab knows no such request"}
                else:
                    try:
                        answer = {"result": method(**request)}
                    except LabError as error:
                        answer = {"error": str(error)}
                    except (OSError, TypeError, ValueError, AttributeError, subprocess.TimeoutExpired) as error:
                        traceback.print_exc()
                        answer = {"error": "%s: %s" % (type(error).__name__, error)}
                link.sendall(wire.encode(answer))
            except (OSError, ValueError):
                pass  # who asked went away

    def answer_requests(self, listener):
        while True:
            link, _ = listener.accept()
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()


def _watch_owner(fd):
    """End when the process that started the lab does: the other end of this pipe closes then."""
    os.read(fd, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def supervise(options, say):
    """Runs as a child of process 1 of the lab's process namespace."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    lab = Supervisor(options)
    status = 1
    try:
        lab.build()
        if options.get("owner_fd") is not None:
            threading.Thread(target=_watch_owner, args=(options["owner_fd"],), daemon=True).start()
        # Whoever is told that the lab is up may ask at once.
        listener = wire.listen(control_path(lab.name))
        threading.Thread(target=lab.answer_requests, args=(listener,), daemon=True).start()
        say({"result": {"pid": os.getpid()}})
        while True:
            signal.pause()
    except SystemExit:
        status = 0
    except LabError as error:
        say({"error": str(error)})
    except Exception as error:  # told to whoever waits for the lab, and to its log
        traceback.print_exc()
        say({"error": "%s: %s" % (type(error).__name__, error)})
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        lab.teardown()
        if status == 0 and not options.get("keep_folder"):
            shutil.rmtree(lab.folder, ignore_errors=True)
        shutil.rmtree(lab.run_folder, ignore_errors=True)
    return status


def reap(child):
    """Process 1 of the namespace: passes SIGTERM on, takes the orphans, ends with the supervisor."""
    def forward(*_):
        os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return 1
        except InterruptedError:
            continue
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def main():
    """Options come as one JSON line on standard input; the answer goes to descriptor `say_fd`."""
    options = json.loads(sys.stdin.readline())

    def say(message):
        os.write(options["say_fd"], wire.encode(message))

    os.umask(0o022)
    os.makedirs(RUN, exist_ok=True)
    lock_path = os.path.join(RUN, options["name"] + ".lock")
    while True:
        lock_fd = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say({"error": "a lab named %s is up already (LAB=NAME in the environment names another)" % options["name"]})
            return 1
        if os.path.exists(lock_path) and os.stat(lock_path).st_ino == os.fstat(lock_fd).st_ino:
            break
        os.close(lock_fd)  # the one before removed it just now
    # What a lab of this name that was killed may have left.
    shutil.rmtree(run_folder(options["name"]), ignore_errors=True)
    os.makedirs(run_folder(options["name"]))
    Cgroup("hamgr-lab-" + options["name"]).remove()
    unshare(CLONE_NEWNS | CLONE_NEWPID)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    init = os.fork()
    if init == 0:
        die_with_parent()
        mount("proc", "/proc", "proc")
        child = os.fork()
        if child == 0:
            os._exit(supervise(options, say))
        os._exit(reap(child))
    with open(os.path.join(run_folder(options["name"]), "pid"), "w", encoding="ascii") as file:
        file.write("%d\n" % init)
    os.close(options["say_fd"])
    if options.get("owner_fd") is not None:
        os.close(options["owner_fd"])
    signal.signal(signal.SIGTERM, lambda *_: os.kill(init, signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, status = os.waitpid(init, 0)
    # The processes of the namespace are gone now, so the last groups are empty.
    Cgroup("hamgr-lab-" + options["name"]).remove()
    shutil.rmtree(run_folder(options["name"]), ignore_errors=True)
    os.unlink(lock_path)
    if status == 0:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(LIB, options["name"] + ".log"))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
