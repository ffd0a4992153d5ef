# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hamgr cluster in a lab: what an administrator does and sees there, for tests, benches and the demo."""

import json
import os
import subprocess
import threading

from . import config, progress
from .lab import Lab, LabError, boottime

STORES = "/var/lib/hagcd /var/lib/hamgr"


class Cluster:
    def __init__(self, lab, disabled=()):
        self.lab = lab
        self.disabled = disabled  # nodes that are no part of it, by cluster.conf

    @classmethod
    def start(cls, nodes=3, groups=None, policies=None, conf=None, boot=True, disabled=(), **options):
        """A lab with hamgr on every node. groups and policies: name to text; put in force by apply(). disabled: those
        that conf disables."""
        files = {}
        for name, text in (groups or {}).items():
            files["/etc/hamgr/%s.group" % name] = text
        for name, text in (policies or {}).items():
            files["/etc/hamgr/%s.policy" % name] = text
        if conf:
            files["/etc/hamgr/cluster.conf"] = conf
        cluster = cls(Lab.start(nodes, files=files, **options), disabled)
        if boot:
            try:
                cluster.boot()
            except BaseException:
                cluster.lab.down()
                raise
        return cluster

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lab.down()

    def nodes(self):
        return self.lab.nodes()

    def enabled(self):
        return [node for node in self.nodes() if node not in self.disabled]

    def boot(self, *nodes):
        """Switch nodes on and wait until they are one cluster, managed. Returns the moment of the switch."""
        nodes = list(nodes) or self.nodes()
        with progress.step("booting %s" % " ".join(nodes)):
            moment = self.lab.on(*nodes)
            self.await_up([node for node in nodes if node not in self.disabled], timeout=40)
        return moment

    # What hactl says

    def hactl(self, *arguments, node=None, check=True, timeout=90, stdin=None):
        """Run hactl on a node (any that answers). Returns its output, or with check=False status, out and err."""
        return self.lab.run(node or self.somebody(), "hactl", *arguments, check=check, timeout=timeout, stdin=stdin)

    def somebody(self):
        """A node that runs, and one that is not paused."""
        for name, shown in self.lab.status()["nodes"].items():
            if shown["state"] == "on" and not shown["paused"]:
                return name
        raise LabError("no node is on")

    def view(self, node=None):
        """The cluster as a node sees it: `hactl status --json`, with nodes and groups by their names."""
        seen = json.loads(self.hactl("status", "--json", node=node, timeout=10))
        for kind in ("nodes", "groups"):
            seen[kind] = {one["name"]: one for one in seen.get(kind, [])}
        return seen

    def group(self, name, node=None):
        view = self.view(node)
        if name not in view["groups"]:
            raise LabError("no group %s" % name)
        return view["groups"][name]

    def membership(self, node=None):
        return self.view(node)["membership"]

    def mid(self, node=None):
        """The number of the membership as something that compares: (epoch, node)."""
        return parse_mid(self.membership(node))

    def membership_seen(self, node=None):
        """`hactl membership --json`, with nodes by their names."""
        seen = json.loads(self.hactl("membership", "--json", node=node, timeout=10))
        seen["nodes"] = {one["name"]: one for one in seen["nodes"]}
        return seen

    # Waiting

    def await_view(self, what, condition, node=None, timeout=20):
        """Wait until condition(view of that node) holds; returns the view."""
        last = {}

        def look():
            last["view"] = self.view(node)
            return condition(last["view"])

        try:
            self.lab.until(what, look, timeout, 0.03)
        except LabError as error:
            raise LabError("%s; seen last: %s" % (error, brief(last.get("view")))) from None
        return last["view"]

    def await_up(self, nodes=None, timeout=20):
        """Each of these nodes sees all of them up and managed, in one quorate membership."""
        nodes = nodes or self.enabled()

        def whole(view):
            return view["quorate"] and not view["trouble"] and all(
                name in view["nodes"] and view["nodes"][name]["state"] == "up" and view["nodes"][name]["managed"]
                for name in nodes
            )

        for node in nodes:
            self.await_view("%s up, as %s sees it" % (" ".join(nodes), node), whole, node, timeout)

    def await_node(self, name, state, node=None, timeout=20):
        return self.await_view(
            "node %s %s" % (name, state), lambda view: view["nodes"][name]["state"] == state, node, timeout
        )["nodes"][name]

    def await_group(self, name, state="running", on=None, not_on=None, node=None, timeout=20):
        def there(view):
            group = view["groups"].get(name)
            return (
                group is not None and group["state"] == state and (on is None or group["node"] == on)
                and (not_on is None or group["node"] != not_on)
            )

        what = "group %s %s%s" % (name, state, " on " + on if on else "")
        return self.await_view(what, there, node, timeout)["groups"][name]

    def await_steady(self, name, seconds=1.0, timeout=60):
        """Wait until a group has run on one node for so long, so that no failback is to come. Returns the node."""
        seen = {"node": None, "since": boottime()}

        def steady():
            group = self.group(name)
            if group["state"] != "running" or group["node"] != seen["node"]:
                seen.update(node=group["node"], since=boottime())
            return boottime() - seen["since"] > seconds

        self.lab.until("group %s to stay where it is" % name, steady, timeout)
        return seen["node"]

    # What an administrator does

    def apply(self, groups=None, policies=None, node=None, check=True, clear=False):
        """Write files on a node, and put all that is there in force on the cluster. clear: and nothing else."""
        node = node or self.somebody()
        if clear:
            self.lab.run(node, "sh", "-c", "rm -f /etc/hamgr/*.group /etc/hamgr/*.policy")
        for name, text in (groups or {}).items():
            self.lab.write(node, "/etc/hamgr/%s.group" % name, text)
        for name, text in (policies or {}).items():
            self.lab.write(node, "/etc/hamgr/%s.policy" % name, text)
        return self.hactl("apply", *(["--remove"] if clear else []), node=node, check=check)

    def move(self, group, node=None):
        self.hactl("group", "move", group, *([node] if node else []))

    def make_whole(self, timeout=30):
        """Heal, resume and boot whatever is not well, and wait until all are one cluster again."""
        self.lab.heal()
        status = self.lab.status()
        for name, shown in status["nodes"].items():
            self.lab.power(name, "normal")
            if name in status["bmcs"]:
                self.lab.bmc(name, "normal")
            if shown["paused"]:
                self.lab.resume(name)
            if shown["state"] == "crashed":
                self.lab.off(name)
        self.lab.on()
        self.await_up(timeout=timeout)

    def forget_everything(self, nodes=None):
        """Switch nodes off and make them new: no stored record, no configuration in force."""
        nodes = nodes or self.nodes()
        for node in nodes:
            self.lab.off(node)
        for node in nodes:
            self.lab.ask("chroot", node=node, command=["sh", "-c", "rm -rf %s; hactl init" % STORES])

    def power_orders(self, node, since=0, action="off"):
        """Orders of one kind that the power controller got for a node."""
        return [order for order in self.lab.power_orders(since) if order[1] == action and order[2] == node]

    def save_logs(self, folder):
        """Everything that tells what happened: the lab's history, the checker's report, each node's journal."""
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "history"), "w", encoding="utf-8") as file:
            file.writelines("%.3f %s %s\n" % tuple(entry) for entry in self.lab.history())
        with open(os.path.join(folder, "checker.json"), "w", encoding="utf-8") as file:
            json.dump(self.lab.checker("report"), file, indent=2)
        for node in self.nodes():
            with open(os.path.join(folder, node + ".journal"), "w", encoding="utf-8") as file:
                file.write(self.lab.journal(node, "--output=short-precise"))
        return folder

    def log(self, node, *arguments):
        """The journal of hagcd and hamgr on a node, this boot's and those before."""
        return self.lab.journal(node, "--unit=hagcd", "--unit=hamgr", "--output=short-precise", *arguments)


def parse_mid(text):
    epoch, _, node = text.partition(".")
    return int(epoch or 0), int(node or 0)


def brief(view):
    if not view:
        return "nothing"
    nodes = ", ".join("%s %s" % (name, node["state"] + (" (" + node["note"] + ")" if node.get("note") else "")) for name, node in view["nodes"].items())
    groups = ", ".join("%s %s %s (%s)" % (name, group["state"], group["node"], group["reason"]) for name, group in view["groups"].items())
    return "membership %s%s; %s; %s%s" % (
        view["membership"] or "none", "" if view["quorate"] else ", not quorate", nodes, groups or "no groups",
        "; trouble: " + view["trouble"] if view.get("trouble") else "",
    )


class Member:
    """A member of a GCS group: `hagcs` in a node, as a shell script would use it. Lines it prints are collected."""

    def __init__(self, cluster, node, group, name, *options):
        self.lab, self.node, self.name = cluster.lab, node, name
        self.unit = "member-%s-%s.service" % (group, name)
        self.fifo = "/run/member-%s-%s" % (group, name)
        self.output = "/var/lib/member-%s-%s.out" % (group, name)
        command = "exec hagcs --name=%s %s %s < %s > %s 2>&1" % (name, " ".join(options), group, self.fifo, self.output)
        self.lab.run(node, "sh", "-c", "rm -f %s %s; mkfifo %s" % (self.fifo, self.output, self.fifo))
        # A keeper holds the pipe open for writing, so that input does not end between two lines.
        self.lab.run(
            node, "systemd-run", "--quiet", "--collect", "--unit=" + self.unit, "--property=KillMode=mixed",
            "sh", "-c", "sleep infinity > %s & %s" % (self.fifo, command),
        )
        self.lab.until("%s to register" % name, lambda: "registered" in self.lines(), 10)

    def lines(self):
        try:
            return self.lab.read(self.node, self.output).splitlines()
        except LabError:
            return []

    def send(self, text):
        self.lab.run(self.node, "sh", "-c", "echo '%s' > %s" % (text, self.fifo))

    def messages(self):
        """(sender, text) of each message delivered, in the order of delivery."""
        return [tuple(line.split(" ", 3)[2:4]) for line in self.lines() if " message " in line]

    def events(self):
        """Messages and views, as they were delivered."""
        return [line for line in self.lines() if " message " in line or " view " in line]

    def views(self):
        return [line for line in self.lines() if " view " in line]

    def await_line(self, what, condition, timeout=10):
        return self.lab.until(what, lambda: next((line for line in self.lines() if condition(line)), None), timeout)

    def await_messages(self, count, timeout=15):
        self.lab.until("%d messages at %s" % (count, self.name), lambda: len(self.messages()) >= count, timeout)

    def signal(self, name):
        """A signal for hagcs itself, not for the shell that keeps its input open."""
        self.lab.run(self.node, "pkill", "-" + name, "-f", "^hagcs --name=%s " % self.name)

    def leave(self):
        self.signal("TERM")

    def end(self):
        self.lab.run(self.node, "systemctl", "stop", self.unit, check=False)


def at_once(*works):
    """Run functions at the same time; the first error is raised when all are done."""
    errors = []

    def body(work):
        try:
            work()
        except (LabError, OSError, subprocess.SubprocessError, AssertionError) as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def start_shop(cluster):
    """Put the shop in force and wait for its first answer. Returns the moment of the answer."""
    cluster.apply({"shop": config.shop(len(cluster.nodes()))})
    cluster.lab.watch_shop()
    began = boottime()
    return cluster.lab.first_answer(began)["time"]
