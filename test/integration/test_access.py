# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may join which group, and what one client can do to the others: real hagcds, clients of other users."""

import os
import pwd
import re
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hagcd_lab import Lab, Member, program  # noqa: E402

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
