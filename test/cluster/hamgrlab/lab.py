# SPDX-License-Identifier: LGPL-2.1-or-later
"""A lab, as tests, benches and the command line use it. Lab.start() makes one, Lab.attach() finds one that is up.

    with Lab.start(nodes=3) as lab:
        lab.on()
        lab.kill("n1")
"""

import json
import os
import select
import subprocess
import sys
import time

from . import config, image, progress, wire
from .supervisor import LIB, PACKAGE_ROOT, RUN, control_path, run_folder
from .system import LabError, boottime

__all__ = ["Lab", "LabError", "boottime"]


def default_name():
    return os.environ.get("LAB", "main")


def names():
    """Labs that are up."""
    try:
        return sorted(name for name in os.listdir(RUN) if os.path.exists(control_path(name)))
    except FileNotFoundError:
        return []


class Lab:
    def __init__(self, name, owner=None, process=None):
        self.name = name
        self.owner = owner  # the pipe that keeps the lab up
        self.process = process

    # Up and down

    @classmethod
    def start(cls, nodes=3, name=None, disks=1, filesystem="xfs", disk_mib=320, files=None, project=True, owned=True,
              enable=("hagcd-store.socket", "hagcd.service", "hamgr.service"), keep_folder=False, bmcs=False,
              watchdog=None):
        """Make a lab; its nodes are off until on() is called. When owned, it ends with this process, however that
        ends. files: more files for every node (path to text), beside the cluster.conf of config.py. bmcs: with a management
        controller for each node, which cluster.conf then names. watchdog: each node has one, of so many seconds."""
        if os.geteuid() != 0:
            raise LabError("the lab makes containers and networks: run it as root")
        name = name or default_name()
        if os.path.exists(control_path(name)):
            try:
                wire.ask(control_path(name), {"op": "ping"}, timeout=5)
            except LabError:
                pass  # what a killed lab left
            else:
                raise LabError("a lab named %s is up already (LAB=NAME in the environment names another)" % name)
        image.install_tools()
        base = image.base_image()
        layer, keep = image.project_layer(project)
        all_files = {"/etc/hamgr/cluster.conf": config.cluster_conf(nodes, redfish=bmcs)}
        all_files.update(files or {})
        owner_read, owner_write = os.pipe()
        say_read, say_write = os.pipe()
        options = {
            "name": name, "nodes": nodes, "disks": disks, "filesystem": filesystem, "disk_bytes": disk_mib << 20,
            "base": base, "layer": layer, "files": all_files, "enable": list(enable) + (["lab-watchdog.service"] if watchdog else []),
            "say_fd": say_write,
            "owner_fd": owner_read if owned else None, "keep_folder": keep_folder,
            "bmcs": bmcs, "watchdog": watchdog,
        }
        os.makedirs(LIB, exist_ok=True)
        with open(os.path.join(LIB, name + ".log"), "w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-B", "-m", "hamgrlab.supervisor"], stdin=subprocess.PIPE, stdout=log, stderr=log,
                cwd=PACKAGE_ROOT, start_new_session=True,
                # The layer's descriptor keeps it from being removed while this lab uses it.
                pass_fds=[say_write, keep] + ([owner_read] if owned else []),
            )
        process.stdin.write(json.dumps(options).encode() + b"\n")
        process.stdin.close()
        for fd in (say_write, owner_read, keep):
            os.close(fd)
        if not owned:
            os.close(owner_write)
        lab = cls(name, owner_write if owned else None, process)
        try:
            with progress.step("wiring up %d nodes" % nodes):
                lab._await_start(say_read)
        except BaseException:
            lab.down()
            raise
        finally:
            os.close(say_read)
        return lab

    def _await_start(self, fd):
        data = b""
        deadline = time.monotonic() + 120
        while not data.endswith(b"\n"):
            if not select.select([fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise LabError("the lab did not start within 120 s, see %s/%s.log" % (LIB, self.name))
            piece = os.read(fd, 65536)
            if not piece:
                raise LabError("the lab ended while it started, see %s/%s.log" % (LIB, self.name))
            data += piece
        answer = json.loads(data)
        if "error" in answer:
            raise LabError(answer["error"])

    @classmethod
    def attach(cls, name=None):
        lab = cls(name or default_name())
        if not os.path.exists(control_path(lab.name)):
            raise LabError("no lab named %s is up%s" % (lab.name, "; up are: " + " ".join(names()) if names() else ""))
        lab.ask("ping")
        return lab

    def down(self):
        """End everything of it. Never fails because something is gone already."""
        try:
            wire.ask(control_path(self.name), {"op": "down"}, timeout=10)
        except (LabError, OSError):
            pass
        if self.owner is not None:
            os.close(self.owner)
            self.owner = None
        if self.process is not None:
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()  # the kernel ends the rest
                self.process.wait()
            self.process = None
        else:
            deadline = time.monotonic() + 60
            while os.path.exists(run_folder(self.name)) and time.monotonic() < deadline:
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    # What can be done to it

    def ask(self, op, **request):
        """One request to the supervisor; a request's own time limit is its to keep."""
        return wire.ask(control_path(self.name), dict(request, op=op), request.get("timeout", 60) + 60)

    def status(self):
        return self.ask("status")

    def nodes(self):
        return sorted(self.status()["nodes"], key=lambda name: int(name[1:]))

    def node(self, name):
        return self.status()["nodes"][name]

    def on(self, *nodes, wait=True):
        """Switch nodes on (all, when none is named); returns the moment of it, when systemd has booted them."""
        nodes = list(nodes) or self.nodes()
        moment = self.ask("on", nodes=nodes)
        if wait:
            for name in nodes:
                self.await_node(name, "on")
        return moment

    def off(self, node):
        return self.ask("off", node=node)

    def kill(self, node):
        """Crash it. Returns the moment of it."""
        return self.ask("kill", node=node)

    def pause(self, node):
        return self.ask("pause", node=node)

    def resume(self, node):
        return self.ask("resume", node=node)

    def await_node(self, node, *states, timeout=30):
        self.ask("await", node=node, states=list(states), timeout=timeout)

    def resets(self, node=None):
        """How often the node (or each) was reset from inside."""
        shown = {name: what["resets"] for name, what in self.status()["nodes"].items()}
        return shown[node] if node else shown

    def boots(self, node):
        return self.node(node)["boots"]

    def signal(self, node, unit, name="KILL"):
        """Send all processes of a unit a signal, past its systemd. Returns the moment of it."""
        return self.ask("signal", node=node, unit=unit, signal=name)["time"]

    def processes(self, node, unit):
        return self.ask("processes", node=node, unit=unit)

    def memory(self, node, unit):
        """The memory of each process of a unit: {"Pid": ..., "VmRSS": bytes, "VmHWM": bytes, ...}."""
        return self.ask("memory", node=node, unit=unit)

    def run(self, node, *command, stdin=None, timeout=60, check=True):
        """Run a command in a node, as root. Returns its standard output, or with check=False status, out and err."""
        done = self.ask("exec", node=node, command=[str(word) for word in command], stdin=stdin, timeout=timeout)
        if not check:
            return done
        if done["status"] != 0:
            raise LabError("%s: %s: status %d: %s" % (node, " ".join(map(str, command)), done["status"], (done["err"] or done["out"]).strip()))
        return done["out"]

    def write(self, node, path, text, mode=0o644):
        self.ask("write", node=node, path=path, text=text, mode=mode)

    def write_all(self, path, text, mode=0o644):
        for node in self.nodes():
            self.write(node, path, text, mode)

    def read(self, node, path, offset=0):
        """A file of a node, dead or alive, from so many bytes on."""
        return self.ask("read", node=node, path=path, offset=offset)

    def unlink(self, node, path):
        self.ask("unlink", node=node, path=path)

    def cut(self, node, network=None, peer=None, direction="both"):
        return self.ask("cut", node=node, network=network, peer=peer, direction=direction)

    def cut_cluster(self, node, peer=None, direction="both"):
        """Cut a node's two links to the other nodes, and leave it its power controller."""
        for network in ("private", "public"):
            moment = self.cut(node, network, peer, direction)
        return moment

    def split(self, *halves):
        """Cut every link between the halves, all at one instant: lab.split(["n1", "n2"], ["n3"])."""
        return self.ask("split", halves=halves, networks=["private", "public"])

    def cut_one_way(self, *pairs):
        """Drop what the first of each pair of nodes sends to the second, all at one instant."""
        return self.ask("cut_one_way", pairs=pairs, networks=["private", "public"])

    def narrow(self, node, peer, longest, *networks):
        """Lose what node sends to peer in packets of more than so many bytes, on these networks."""
        return self.ask("narrow", node=node, peer=peer, longest=longest, networks=networks or ["private", "public"])

    def lose(self, node, percent, *networks):
        """Lose so many of a hundred datagrams that node sends or is sent, by chance, on these networks."""
        return self.ask("lose", node=node, percent=percent, networks=networks or ["private", "public"])

    def capture(self, seconds):
        """What nodes and the client send in that time, as (network, protocol, destination port, packets, bytes)."""
        return [tuple(one) for one in self.ask("capture", seconds=seconds)]

    def heal(self):
        return self.ask("heal")

    def carrier(self, node, network, up):
        return self.ask("carrier", node=node, network=network, up=up)

    def power(self, node, mode):
        """How the power controller treats this node: normal, fail, hang, lie, lie-off, slow=SECONDS, off-only."""
        self.ask("power", node=node, mode=mode)

    def bmc(self, node, mode):
        """How a node's management controller behaves; see bmc.py."""
        self.ask("bmc", node=node, mode=mode)

    def bmc_requests(self, node, since=0):
        """What a node's management controller was asked: [time, method, path, mode]."""
        return self.ask("bmc_requests", node=node, since=since)

    def power_orders(self, since=0):
        return self.ask("orders", since=since)

    def history(self, since=0):
        return self.ask("history", since=since)

    def journal(self, node, *arguments):
        """What is in a node's journal, of a dead node too."""
        return self.ask("journal", node=node, arguments=list(arguments))

    def from_client(self, *command, timeout=30):
        return self.ask("from_client", command=list(command), timeout=timeout)

    def stranger_sends(self, datagrams, seconds=None, rate=None):
        """What a host in the private network that is no node sends; see stranger.py."""
        request = {"interface": "private", "datagrams": datagrams, "seconds": seconds, "rate": rate}
        return self.ask("stranger_sends", request=request)

    def listen(self, node, network="private"):
        """From now on what a node says and is told on a network is kept, for heard()."""
        self.ask("listen", node=node, network=network)

    def heard(self, node, network="private", port=7700):
        """The datagrams to this port since the last time, as stranger.py has them."""
        return self.ask("heard", node=node, network=network, port=port)

    def until(self, what, condition, timeout=20, interval=0.03):
        """Wait until condition() is true, and return what it gave. A LabError inside counts as not yet."""
        deadline = boottime() + timeout
        last = None
        while True:
            try:
                result = condition()
                if result:
                    return result
            except LabError as error:
                last = error
            if boottime() > deadline:
                raise LabError("not within %g s: %s%s" % (timeout, what, " (last: %s)" % last if last else ""))
            time.sleep(interval)

    # The client and the checker

    def client(self, op, **request):
        return wire.ask(os.path.join(run_folder(self.name), "client"), dict(request, op=op), timeout=20)

    def watch_shop(self, name="shop", address=config.SHOP_ADDRESS, port=80):
        self.client("watch", name=name, address=address, port=port)

    def first_answer(self, after, name="shop", timeout=30):
        """The first good answer after a moment: {"time", "server"}."""
        return self.until(
            "an answer of %s" % name, lambda: self.client("first_after", name=name, time=after), timeout, 0.02
        )

    def outage(self, event, name="shop", settle=0.5, timeout=30, moved_from=None):
        """How long the client was without an answer because of what happened at `event`: from the last good answer
        before to the first good one after, the longest such gap. Waits until answers come steadily again for
        `settle` seconds (from another node than moved_from, when given). Returns (seconds, server)."""
        deadline = boottime() + timeout
        while True:
            gaps = self.client("gaps", name=name, since=event, shortest=0.0)
            last = self.client("last", name=name)
            end = gaps[-1][1] if gaps else None
            broken = [gap for gap in gaps if gap[1] is None or gap[1] - (gap[0] or event) > 0.05]
            steady_since = max([event] + [gap[1] or boottime() for gap in broken])
            if end and boottime() - steady_since > settle and last and last["server"] != moved_from:
                longest = max(gap[1] - (gap[0] or event) for gap in gaps)
                return longest, last["server"]
            if boottime() > deadline:
                raise LabError("%s did not answer steadily within %g s of the event" % (name, timeout))
            time.sleep(0.05)

    def order(self, text, name="shop", timeout=10):
        """Send one order and wait until the shop has promised to keep it."""
        self.client("order", name=name, text=text)
        self.until("the order to be taken", lambda: text in self.client("acknowledged", name=name), timeout, 0.005)

    def ordering(self, on, name="shop", **more):
        """Send orders all the time, or no more. interval: seconds between two of them."""
        self.client("ordering", name=name, on=on, **more)

    def interruptions(self, name, since):
        """Gaps without an answer, but for those that a busy machine makes by itself. That nothing was moved or started
        anew is shown by processes and boots."""
        return self.client("gaps", name=name, since=since, shortest=1)

    def lost_orders(self, name="shop", address=config.SHOP_ADDRESS, port=80):
        """Orders that were acknowledged, so synced, and are not in the shop any more: {text: when it was acknowledged}."""
        acknowledged = self.client("acknowledged", name=name)
        page = self.from_client(
            sys.executable, "-c",
            "import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen('http://%s:%d/orders', timeout=10).read())" % (address, port),
        )
        if page["status"] != 0:
            raise LabError("the orders cannot be read: " + page["err"].strip()[-300:])
        kept = set(page["out"].splitlines())
        return {text: moment for text, moment in acknowledged.items() if text not in kept}

    def checker(self, op, **request):
        return wire.ask(os.path.join(run_folder(self.name), "checker"), dict(request, op=op), timeout=20)

    def crimes(self, since=0):
        return [crime["text"] for crime in self.checker("report", since=since)["crimes"]]

    def owners(self, thing):
        return [owner for held, owner, _ in self.checker("report")["owners"] if held == thing]
