# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may join which group, and what one client can do to the others: real hagcds, clients of other users."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hagcd_lab import Lab, Lines, Member, program  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")

USER = pwd.getpwnam("nobody").pw_uid
OTHER = 4242
OPEN_GROUP = 4343  # that may open the socket


@pytest.fixture
def lab():
    with Lab(2, 1) as made:
        os.chmod(made.folder, 0o755)
        # The build folder may be nobody's but root's.
        shutil.copy(program("libhagcs", "hagcs"), made.folder)
        shutil.copy(program("libhagcs", "libhagcs.so.0"), made.folder)
        for node in made.nodes.values():
            os.chmod(node.folder, 0o755)
            os.chown(f"{node.folder}/run", 0, OPEN_GROUP)
        yield made


def start_all(lab):
    lab.start()
    for node in lab.nodes.values():
        node.wait_members(*lab.nodes)


def apply(lab, sections):
    """What `hactl apply` does on each node: the file, and a word to hagcd."""
    for node in lab.nodes.values():
        with open(lab.conf) as base, open(node.conf, "w") as f:
            f.write(base.read() + sections)
        assert node.reload() == ""


class User(Member):
    """A member that is another user, in the group of the socket and in those named."""

    def __init__(self, node, uid, groups, group, name, *options):
        self.tool = f"{node.lab.folder}/hagcs"
        self.before = ["setpriv", f"--reuid={uid}", f"--regid={uid}",
                       "--groups=" + ",".join(map(str, [OPEN_GROUP, *groups]))]
        super().__init__(node, group, name, *options)


def mid(node):
    return re.search(r"^membership (\S+)", node.membership(), re.MULTILINE).group(1)


def test_access_is_safe_by_default(lab):
    start_all(lab)
    node = lab.nodes[1]
    User(node, OTHER, [], "talk", "a").wait("registered")
    User(node, OTHER, [], "hamgr", "hamgr").wait(
        rf"cannot join hamgr: user {OTHER} may not join group hamgr: groups named hamgr... are for root")
    User(node, OTHER, [], "talk", "b", "--critical").wait(
        rf"cannot join talk: user {OTHER} may not be a critical member of group talk: only root may, no \[Access\]")
    node.wait(rf"process \d+, as member b: user {OTHER} may not be a critical member of group talk")
    assert node.hagcd.poll() is None


def test_access_changes_without_a_membership_and_spares_who_is_in(lab):
    start_all(lab)
    node = lab.nodes[1]
    inside = User(node, OTHER, [], "db_main", "inside")
    inside.wait("registered")
    before = mid(node)
    apply(lab, "[Access db_*]\nJoin=nobody @77 ghost\n[Access db_main]\nCritical=nobody\nJoin=@78\n")
    node.wait(r"cluster\.conf:\d+: \[Access db_\*\] names ghost, and this node has no such user in /etc/passwd")
    node.wait(r"cluster\.conf as it was read last is in force")
    for uid, groups, group, option, said in (
            (USER, [], "db_log", "--stay", "registered"),
            (OTHER, [], "db_log", "--stay",
             rf"cannot join db_log: user {OTHER} may not join group db_log: "
             r"\[Access db_\*\] of cluster.conf has Join=nobody @77 ghost"),
            (OTHER, [77], "db_log", "--stay", "registered"),
            (OTHER, [77], "db_main", "--stay", r"may not join group db_main: \[Access db_main\].* has Join=@78"),
            (OTHER, [78], "db_main", "--critical", r"may not be a critical member.* has Critical=nobody"),
            (USER, [], "db_main", "--critical", "registered")):
        User(node, uid, groups, group, f"m{uid}_{len(groups)}", option).wait(said)
    # Who is in stays in, and no membership was formed for all that.
    inside.send("still here")
    inside.wait(r"message inside@n1 still here")
    assert mid(node) == before
    # Once it leaves it is asked as anybody is.
    inside.process.stdin.close()
    inside.process.wait()
    User(node, OTHER, [], "db_main", "inside").wait(r"may not join group db_main")


def test_groups_are_counted_on_each_node(lab):
    start_all(lab)
    members = [lab.nodes[i].member("talk", f"m{i}") for i in lab.nodes]
    for member in members:
        member.wait(r"view members( m\d@n\d){2}\b")
    for k in range(5):
        members[0].send(f"text-{k}")
    for member in members:
        member.wait(r"message m1@n1 text-4")
    last = set()
    for i, node in lab.nodes.items():
        shown = subprocess.run([program("libhagcs", "hagcs"), f"--socket={node.folder}/run/hagcd.sock", "--groups"],
                               stdout=subprocess.PIPE, text=True, check=True).stdout
        group = re.search(r"^group talk members 2 last (\S+) messages 5 bytes 30 views \d sent (\d)", shown, re.MULTILINE)
        assert group and group.group(2) == ("5" if i == 1 else "0"), shown
        last.add(group.group(1))
        here = re.search(rf"^member m{i}@n{i} pid (\d+) sent \d bytes \d+ delivered 5 bytes 30 waiting 0 bytes 0 usec 0 "
                         "window 0 bytes 0 usec 0 full 0", shown, re.MULTILINE)
        assert here and int(here.group(1)) == members[i - 1].process.pid, shown
        assert re.search(rf"^member m{3 - i}@n{3 - i}$", shown, re.MULTILINE), shown
    assert len(last) == 1


def test_access_that_is_wrong_is_refused_with_its_line(lab):
    start_all(lab)
    node = lab.nodes[1]
    with open(node.conf, "a") as f:
        f.write("[Access talk]\nCritical=*\n")
    lines = open(node.conf).read().count("\n")
    assert re.search(rf'cluster\.conf:{lines}: Critical=\*: "\*" would let anybody reset the node', node.reload())
    User(node, OTHER, [], "talk", "a").wait("registered")
    # What a node makes of the file is shown by the program that hagcd has read it.
    with open(node.conf, "w") as f:
        f.write(open(lab.conf).read() + "[Access talk]\nJoin=nobody ghost\n")
    shown = subprocess.run([program("hagcd", "hagcd"), *node.options(), "--print-config"],
                           stdout=subprocess.PIPE, text=True, check=True).stdout
    assert shown.endswith(f"\n# Accounts of this node:\n# nobody={USER}\n")


# ---- A client that misbehaves ----

# It runs as another user: the protocol by hand, without the library. {...}: filled in below.
RUDE = """
import os, socket, struct, sys, time

def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(10)
    s.connect({path!r})
    return s

def hello(s):
    s.send(struct.pack("<BI", 1, {version}))
    s.recv(65536)
    return s

def text(t):
    return struct.pack("<H", len(t)) + t.encode()

def frames(packet):
    # One, or several behind their lengths.
    if packet[:1] != b"\\xff":
        return [packet]
    found, packet = [], packet[1:]
    while packet:
        n, = struct.unpack_from("<I", packet)
        found.append(packet[4:4 + n])
        packet = packet[4 + n:]
    return found

def joined(name):
    s = hello(connect())
    s.send(struct.pack("<B", 2) + text("talk") + text(name) + struct.pack("<IQQ", 0, 0, 0))
    while True:
        for frame in frames(s.recv(65536)):
            if frame[0] == 66:  # REGISTERED, with the generation
                return s, frame[1:5]

def until_closed(s, frames):
    try:
        for frame in frames:
            s.send(frame)
    except OSError:
        pass

def garbage():
    for n in range(200):
        for s in (connect(), hello(connect())):
            until_closed(s, [os.urandom(1 + n * 37 % 5000)])
            s.close()
    for kind in range(256):
        s = hello(connect())
        until_closed(s, [bytes([kind]), bytes([kind]) + os.urandom(60)])
        s.close()

def halves():
    # Messages that never end, that are longer than any may be, that begin in the middle; and cut frames.
    for n in range(3):
        s, generation = joined("half%d" % n)
        s.setblocking(False)
        sent, end = 0, time.monotonic() + 0.3
        while time.monotonic() < end:
            try:
                later = 0 if n == 2 else sent > 0
                s.send(struct.pack("<B", 4) + generation + bytes([1 | 2 * later if n != 1 else 3]) + bytes(50000))
                sent += 1
            except BlockingIOError:
                try:
                    s.recv(65536)
                except OSError:
                    pass
            except OSError:
                break
        s.close()
    s = hello(connect())
    until_closed(s, [struct.pack("<B", 2) + text("talk")[:4]])
    s.close()

def flood():
    # What costs no credit: questions, words that nobody waits for, joining again and again where it may not.
    refused = struct.pack("<B", 2) + text("hamgr") + text("x") + struct.pack("<IQQ", 0, 0, 0)
    for frame in (bytes([10]), bytes([12]), bytes([6]) + bytes(8), bytes([11]), refused):
        sockets = [hello(connect()) for _ in range(8)]
        for s in sockets:
            s.setblocking(False)
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            for k, s in enumerate(sockets):
                try:
                    for _ in range(50):
                        s.send(frame)
                    if k % 2:
                        while s.recv(65536):
                            pass
                except OSError:
                    pass
        for s in sockets:
            s.close()

def thousand():
    # Most are sent away, with a reason.
    sockets = []
    for _ in range(1000):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.setblocking(False)
        try:
            s.connect({path!r})
            sockets.append(s)
        except OSError:
            s.close()
            time.sleep(0.001)
    reasons = 0
    end = time.monotonic() + 10
    for s in sockets:
        s.settimeout(0.001)
        try:
            frame = s.recv(65536)
        except OSError:
            continue
        reasons += b"and no user may have more" in frame
    print("sent away", reasons, "of", len(sockets), flush=True)
    sys.stdin.read()

for name in sys.argv[1:]:
    print("begins", name, flush=True)
    globals()[name]()
    print("ends", name, flush=True)
"""


class Talk:
    """Two members that say something to each other all the time, by the clock of the slower answer."""

    def __init__(self, lab):
        self.a, self.b = lab.nodes[1].member("quiet", "a"), lab.nodes[2].member("quiet", "b")
        for member in (self.a, self.b):
            member.wait(r"view members( \w@n\d){2}\b")
        self.n, self.worst = 0, 0.0

    def once(self):
        self.n += 1
        begin = time.monotonic()
        self.a.send(f"text-{self.n}")
        self.b.wait(rf"message a@n1 text-{self.n}$")
        self.a.wait(rf"message a@n1 text-{self.n}$")
        self.worst = max(self.worst, time.monotonic() - begin)


def protocol_version():
    header = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "libhagcs", "proto.h")
    with open(header) as f:
        return re.search(r"#define PROTO_VERSION (\d+)", f.read()).group(1)


def test_client_that_misbehaves_harms_no_other(lab):
    start_all(lab)
    node = lab.nodes[1]
    before, rss, talk = mid(node), node.rss_kib(), Talk(lab)
    # One that is in the same group as it, and is critical: it must not be harmed either.
    beside = node.member("talk", "beside", "--critical", "--stay")
    beside.wait("registered")
    # An ordinary user's connections, before and while all of that.
    witness = User(node, USER, [], "other", "witness", "--stay")
    witness.wait("registered")
    script = RUDE.replace("{path!r}", repr(f"{node.folder}/run/hagcd.sock")).replace("{version}", protocol_version())
    for what in ("garbage", "halves", "flood", "thousand"):
        rude = subprocess.Popen(
            ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", f"--groups={OPEN_GROUP}", "/usr/bin/python3", "-c", script,
             what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        lab.processes.append(rude)
        said = Lines(rude.stdout, f"{node.folder}/rude.log")
        said.wait(f"begins {what}")
        end = time.monotonic() + 60
        while not any(line.startswith(("ends", "sent away")) for line in said.drain()):
            assert rude.poll() is None and time.monotonic() < end, said.seen
            talk.once()
        assert node.hagcd.poll() is None, what
        if what == "thousand":
            # While it still has as many as it may.
            away, all_of_it = map(int, re.search(r"sent away (\d+) of (\d+)", said.seen[-1]).groups())
            assert all_of_it > 100 and away >= all_of_it - 32, said.seen
            node.wait(rf"process \d+ may not connect: user {OTHER} has 32 connections to hagcd")
            User(node, USER, [], "other", "late", "--stay").wait("registered")
            node.member("other", "root", "--stay").wait("registered")
        rude.stdin.close()
        assert rude.wait() == 0, said.drain()
        talk.once()
    witness.send("undisturbed")
    witness.wait("message witness@n1 undisturbed")
    beside.send("alive")
    beside.wait("message beside@n1 alive")
    assert mid(node) == before
    assert node.rss_kib() < rss + 32 * 1024
    print(f"{node.rss_kib()} KiB, {talk.n} messages, at most {talk.worst * 1000:.0f} ms each")
    assert talk.worst < 2
