# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real hagcds, each in a network namespace of its own, on bridges in one more: no systemd, no container.

Everything that is started is ended by close(), by process id."""

import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

BUILD = os.environ.get("HAMGR_BUILD", "build")
DEADLINE = 20.0


def program(*parts):
    path = os.path.join(BUILD, "src", *parts)
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: build first, and set HAMGR_BUILD to the build folder")
    return os.path.abspath(path)


def run(*args):
    subprocess.run(args, check=True, stdin=subprocess.DEVNULL)


def listens(path):
    """A socket that is there, and not listened at yet, refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        return probe.connect_ex(path) == 0


class Lines:
    """The lines that a process prints, with the time of each."""

    def __init__(self, stream, copy):
        self.seen = []
        self.queue = queue.Queue()
        self.thread = threading.Thread(target=self.read, args=(stream, copy), daemon=True)
        self.thread.start()

    def read(self, stream, copy):
        with stream, open(copy, "w", buffering=1) as out:
            for line in stream:
                out.write(f"{time.monotonic():.6f} {line}")
                self.queue.put((time.monotonic(), line.rstrip("\n")))
        self.queue.put((time.monotonic(), None))

    def wait(self, pattern, timeout=DEADLINE):
        """The next line, from where the last wait() ended, that matches; returns (time, match)."""
        end = time.monotonic() + timeout
        while True:
            try:
                when, line = self.queue.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line matches {pattern!r}; last lines: {self.seen[-8:]}") from None
            if line is None:
                raise AssertionError(f"ended before a line matched {pattern!r}; last lines: {self.seen[-8:]}")
            self.seen.append(line)
            match = re.search(pattern, line)
            if match:
                return when, match

    def drain(self):
        while not self.queue.empty():
            _, line = self.queue.get()
            if line is not None:
                self.seen.append(line)
        return self.seen


class Member:
    """A hagcs tool in a group."""

    tool = None  # the one that was built
    before = ()  # a program that runs it

    def __init__(self, node, group, name, *options):
        self.node = node
        self.process = subprocess.Popen(
            [*self.before, self.tool or program("libhagcs", "hagcs"), f"--socket={node.folder}/run/hagcd.sock", f"--name={name}",
             "--no-status", *options, group],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.lines = Lines(self.process.stdout, f"{node.folder}/member-{name}.log")
        node.lab.processes.append(self.process)

    def send(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def wait(self, pattern, timeout=DEADLINE):
        return self.lines.wait(pattern, timeout)

    def kill(self, sig=signal.SIGKILL):
        self.process.send_signal(sig)


class Node:
    def __init__(self, lab, number):
        self.lab = lab
        self.number = number
        self.name = f"n{number}"
        self.ns = f"{lab.prefix}{self.name}"
        self.folder = os.path.join(lab.folder, self.name)
        self.hagcd = None
        self.store = None
        self.lines = None
        os.makedirs(os.path.join(self.folder, "run"))
        shutil.copy(lab.conf, self.conf)
        shutil.copy(lab.key, self.key)
        os.chmod(self.key, 0o600)

    @property
    def conf(self):
        return os.path.join(self.folder, "cluster.conf")

    @property
    def key(self):
        return os.path.join(self.folder, "cluster.key")

    def options(self):
        return [f"--node={self.name}", f"--config={self.conf}", f"--key={self.key}",
                f"--run-folder={self.folder}/run", f"--store={self.folder}/store",
                f"--store-socket={self.folder}/store.sock"]

    def init_store(self, *options):
        run(program("hagcd", "hagcd"), *self.options(), "--init-store", *options)

    def start_store(self):
        if self.store is None or self.store.poll() is not None:
            if os.path.exists(f"{self.folder}/store.sock"):
                os.unlink(f"{self.folder}/store.sock")
            self.store = subprocess.Popen([program("hagcd", "hagcd-store"), f"--store={self.folder}/store",
                                           f"--socket={self.folder}/store.sock"], stdin=subprocess.DEVNULL)
            self.lab.processes.append(self.store)
            self.lab.until(lambda: listens(f"{self.folder}/store.sock"), "hagcd-store listens")

    def start(self):
        self.start_store()
        env = dict(os.environ, HAMGR_LOG_LEVEL=os.environ.get("HAMGR_LOG_LEVEL", "info"))
        env.pop("JOURNAL_STREAM", None)
        self.hagcd = subprocess.Popen(
            ["ip", "netns", "exec", self.ns, program("hagcd", "hagcd"), *self.options(), "--no-realtime"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
        self.lab.processes.append(self.hagcd)
        self.lines = Lines(self.hagcd.stdout, f"{self.folder}/hagcd-{self.hagcd.pid}.log")

    def wait(self, pattern, timeout=DEADLINE):
        return self.lines.wait(pattern, timeout)

    def wait_members(self, *numbers, timeout=DEADLINE):
        return self.wait(r"membership \S+: nodes \{%s\}, quorate" % " ".join(map(str, numbers)), timeout)

    def kill(self, sig=signal.SIGKILL):
        self.hagcd.send_signal(sig)
        return time.monotonic()

    def last_gasp(self, result):
        env = dict(os.environ, SERVICE_RESULT=result)
        subprocess.run(["ip", "netns", "exec", self.ns, program("hagcd", "hagcd-last-gasp"),
                        f"{self.folder}/run/last-gasp"], check=True, env=env)

    def rss_kib(self):
        with open(f"/proc/{self.hagcd.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def link(self, link, state):
        """Cuts or heals a link of this node where the node does not see it: at the bridge."""
        run("ip", "-n", self.lab.hub, "link", "set", f"p{link}n{self.number}", state)

    def unplug(self, link):
        """Takes a link of this node off the bridge: it keeps its carrier, and what is sent is lost."""
        run("ip", "-n", self.lab.hub, "link", "set", f"p{link}n{self.number}", "nomaster")

    def plug(self, link):
        run("ip", "-n", self.lab.hub, "link", "set", f"p{link}n{self.number}", "master", f"br{link}")

    def status_until(self, pattern, timeout=DEADLINE):
        """What clients are told of the cluster, once it matches. Who looks is in no group: nobody is told of its end."""
        process = subprocess.Popen(
            [program("libhagcs", "hagcs"), f"--socket={self.folder}/run/hagcd.sock", "--status"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lab.processes.append(process)
        _, match = Lines(process.stdout, f"{self.folder}/status.log").wait(r"^cluster .*" + pattern + ".*$", timeout)
        process.kill()
        return match.group(0)

    def membership(self):
        """What `hagcs --membership` prints here."""
        return subprocess.run(
            [program("libhagcs", "hagcs"), f"--socket={self.folder}/run/hagcd.sock", "--membership"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True, timeout=DEADLINE).stdout

    def reload(self):
        """Has hagcd read cluster.conf anew; what it says is wrong with it, or ""."""
        done = subprocess.run(
            [program("libhagcs", "hagcs"), f"--socket={self.folder}/run/hagcd.sock", "--reload"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, timeout=DEADLINE)
        assert (done.returncode == 0) == (done.stderr == ""), done
        return done.stderr.strip()

    def membership_until(self, pattern):
        shown = [""]

        def look():
            shown[0] = self.membership()
            return re.search(pattern, shown[0], re.MULTILINE)

        try:
            self.lab.until(look, f"{self.name} shows {pattern!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the last was:\n{shown[0]}") from None
        return shown[0]

    def member(self, group, name, *options):
        return Member(self, group, name, *options)


class Lab:
    def __init__(self, n_nodes=3, n_links=2, conf=""):
        self.prefix = f"hg{os.getpid()}x"
        self.hub = f"{self.prefix}hub"
        self.n_links = n_links
        self.processes = []
        self.namespaces = []
        self.folder = tempfile.mkdtemp(prefix="hagcd-lab-")
        self.conf = os.path.join(self.folder, "cluster.conf")
        self.key = os.path.join(self.folder, "cluster.key")
        self.nodes = {}
        try:
            self.write_conf(n_nodes, conf)
            self.write_key(self.key)
            self.make_network(n_nodes)
            for i in range(1, n_nodes + 1):
                self.nodes[i] = Node(self, i)
                self.nodes[i].init_store()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def address(self, number, link):
        return f"10.{77 + link}.0.{number}"

    def write_conf(self, n_nodes, extra):
        with open(self.conf, "w") as f:
            f.write("[Cluster]\nName=lab\n" + extra)
            for i in range(1, n_nodes + 1):
                addresses = " ".join(self.address(i, link) for link in range(self.n_links))
                f.write(f"[Node n{i}]\nId={i}\nAddress={addresses}\n")

    def write_key(self, path):
        run(program("..", "test", "integration", "make-key"), path)

    def make_network(self, n_nodes):
        self.namespace(self.hub)
        for link in range(self.n_links):
            run("ip", "-n", self.hub, "link", "add", f"br{link}", "type", "bridge")
            run("ip", "-n", self.hub, "link", "set", f"br{link}", "up")
        for i in range(1, n_nodes + 1):
            ns = f"{self.prefix}n{i}"
            self.namespace(ns)
            run("ip", "-n", ns, "link", "set", "lo", "up")
            for link in range(self.n_links):
                port = f"p{link}n{i}"
                run("ip", "-n", self.hub, "link", "add", port, "type", "veth", "peer", "name", f"eth{link}", "netns", ns)
                run("ip", "-n", self.hub, "link", "set", port, "master", f"br{link}", "up")
                run("ip", "-n", ns, "addr", "add", f"{self.address(i, link)}/24", "dev", f"eth{link}")
                run("ip", "-n", ns, "link", "set", f"eth{link}", "up")

    def namespace(self, name):
        run("ip", "netns", "add", name)
        self.namespaces.append(name)

    def start(self):
        begin = time.monotonic()
        for node in self.nodes.values():
            node.start()
        return begin

    def until(self, condition, what, timeout=DEADLINE):
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"not within {timeout} s: {what}")
            time.sleep(0.01)

    def close(self):
        for p in self.processes:
            if p.poll() is None:
                p.send_signal(signal.SIGCONT)
                p.kill()
        for p in self.processes:
            p.wait()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False)
        if not os.environ.get("HAMGR_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)
