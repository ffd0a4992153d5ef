# SPDX-License-Identifier: LGPL-2.1-or-later
"""What administrators do, and what is refused."""

import json
import re

import pytest

from hamgrlab import config
from hamgrlab.lab import boottime


def configuration(cluster, node="n1"):
    text = cluster.lab.run(
        node, "busctl", "--json=short", "call", "org.hamgr1", "/org/hamgr1", "org.hamgr1.Manager", "GetConfiguration"
    )
    return json.loads(text)["data"]


# File name, text, and what the refusal must name.
BAD = {
    "unknown unit": ("bad.group", config.group("bad", ["n1", "n2"], unit="no-such.service"), ["bad.group", "no-such.service"]),
    "unknown interface": ("bad.group", config.group("bad", ["n1"], address="192.0.2.160/24").replace("public", "eth77"), ["bad.group", "eth77"]),
    "unknown device": ("bad.group", config.group("bad", ["n1", "n2"], mount=("/dev/nothing", "/srv/left", "xfs")), ["bad.group", "/dev/nothing"]),
    "address twice": ("bad.group", config.group("bad", ["n1"], address=config.SHOP_ADDRESS + "/24"), ["bad.group", config.SHOP_ADDRESS]),
    "unknown policy": ("bad.group", config.group("bad", ["n1"], "no_such_policy", unit="web@8010.service"), ["bad.group", "no_such_policy"]),
    "unknown node": ("bad.group", config.group("bad", ["n1", "n9"], unit="web@8010.service"), ["bad.group", "n9"]),
    "unknown key": ("bad.group", config.group("bad", ["n1"], unit="web@8010.service") + "Colour=red\n", ["bad.group:7", "Colour"]),
    "bad value": ("bad.group", config.group("bad", ["n1"], address="192.0.2.500/24"), ["bad.group:6", "192.0.2.500"]),
    "unknown section": ("bad.group", "[Group]\nDomain=n1\n\n[Unti app]\nUnit=web@8010.service\n", ["bad.group:4", "Unti"]),
    "bad policy": ("bad.policy", "[Policy]\nFailback=sometimes\n", ["bad.policy:2", "sometimes"]),
}


@pytest.mark.parametrize("what", list(BAD))
def test_F03_wrong_file_is_refused_and_changes_nothing(trio, what):
    lab = trio.lab
    name, text, named = BAD[what]
    before = configuration(trio)
    since = boottime()
    owners = {group: one["node"] for group, one in trio.view()["groups"].items()}
    lab.write("n1", "/etc/hamgr/" + name, text)
    try:
        done = trio.hactl("apply", node="n1", check=False)
        assert done["status"] == 1, done
        for word in named:
            assert word in done["err"], done["err"]
        assert configuration(trio) == before
        for node in ("n2", "n3"):
            assert configuration(trio, node)[0] == before[0]
        assert {group: one["node"] for group, one in trio.view()["groups"].items()} == owners
        assert lab.crimes(since) == []
    finally:
        lab.unlink("n1", "/etc/hamgr/" + name)


def test_F03_what_does_not_exist_on_one_node_of_the_domain_is_refused(trio):
    lab = trio.lab
    before = configuration(trio)
    lab.write("n2", "/etc/systemd/system/app_only.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    lab.run("n2", "systemctl", "daemon-reload")
    lab.write("n2", "/etc/hamgr/only.group", config.group("only", ["n2", "n3"], unit="app_only.service"))
    try:
        done = trio.hactl("apply", node="n2", check=False)
        assert done["status"] == 1 and "n3" in done["err"] and "app_only.service" in done["err"], done
        assert configuration(trio) == before
    finally:
        lab.unlink("n2", "/etc/hamgr/only.group")


@pytest.mark.parametrize("change,named", [
    (("Id=2", "Id=1"), ["cluster.conf:", "Id"]),
    (("HeartbeatSec=100ms", "HeartbeatSec=quick"), ["cluster.conf:4", "HeartbeatSec"]),
    (("HeartbeatSec=100ms", "Heartbeet=100ms"), ["cluster.conf:4", "Heartbeet"]),
    (("Address=10.77.1.2 192.0.2.2", "Address=10.77.1.2"), ["cluster.conf:", "Address"]),
    (("Address=10.77.1.2 192.0.2.2", "Address=n2 192.0.2.2"), ["cluster.conf:", "n2"]),
])
def test_F03_wrong_cluster_conf_is_refused_by_check(trio, change, named):
    lab = trio.lab
    good = lab.read("n3", "/etc/hamgr/cluster.conf")
    try:
        text = config.cluster_conf(3, cluster=["", "HeartbeatSec=100ms"][1:]).replace("Name=lab\n", "Name=lab\n# comment\n")
        assert change[0] in text
        lab.write("n3", "/etc/hamgr/cluster.conf", text.replace(*change))
        done = trio.hactl("check", node="n3", check=False)
        assert done["status"] == 1, done
        for word in named:
            assert word in done["err"], done["err"]
    finally:
        lab.write("n3", "/etc/hamgr/cluster.conf", good)


def test_F03_wrong_cluster_conf_keeps_hagcd_from_starting_without_a_reset_loop(trio):
    lab = trio.lab
    good = lab.read("n3", "/etc/hamgr/cluster.conf")
    lab.run("n3", "systemctl", "stop", "hamgr.service", "hagcd.service", timeout=60)
    boots = lab.boots("n3")
    try:
        lab.write("n3", "/etc/hamgr/cluster.conf", good.replace("[Cluster]", "[Cluster]\nColour=red"))
        lab.run("n3", "systemctl", "start", "hagcd.service", check=False)
        lab.until("the reason", lambda: "Colour" in lab.journal("n3", "--unit=hagcd"), 10)
        assert lab.run("n3", "systemctl", "is-active", "hagcd.service", check=False)["out"].strip() != "active"
        assert lab.boots("n3") == boots
    finally:
        lab.write("n3", "/etc/hamgr/cluster.conf", good)
    lab.run("n3", "systemctl", "reset-failed", check=False)
    lab.run("n3", "systemctl", "start", "hagcd.service", "hamgr.service")
    trio.await_up()


def restart_with(cluster, node, path, text, mode=0o644):
    """Stop a node's cluster, change a file, start it again. Returns what the file was."""
    lab = cluster.lab
    before = lab.read(node, path)
    lab.run(node, "systemctl", "stop", "hamgr.service", "hagcd.service", timeout=60)
    lab.write(node, path, text, mode)
    lab.run(node, "systemctl", "start", "hagcd.service", "hamgr.service", check=False)
    return before


def test_F03_differing_cluster_conf_is_told_on_both_sides(trio):
    lab = trio.lab
    path = "/etc/hamgr/cluster.conf"
    text = lab.read("n3", path)
    before = restart_with(trio, "n3", path, text.replace("[Cluster]", "[Cluster]\nHeartbeatSec=90ms"))
    try:
        # What is in force counts for both (R7): it is in, and does not work with what its file says.
        for here, other in (("n1", "n3"), ("n3", "n1")):
            lab.until("%s to tell" % here, lambda: "cluster.conf differs from ours; what is in force counts" in
                      trio.membership_seen(here)["nodes"][other]["problem"], 15)
        assert trio.view("n1")["nodes"]["n3"]["state"] == "up"
        assert trio.membership_seen("n3")["quorum"] == "yes"
    finally:
        restart_with(trio, "n3", path, before)
    trio.await_up()


def test_F03_wrong_key_is_told_and_does_not_join(trio):
    lab = trio.lab
    path = "/etc/hamgr/cluster.key"
    before = lab.read("n3", path)
    lab.run("n3", "systemctl", "stop", "hamgr.service", "hagcd.service", timeout=60)
    try:
        lab.run("n3", "sh", "-c", "rm %s; hactl init" % path)
        assert lab.read("n3", path) != before
        lab.run("n3", "systemctl", "start", "hagcd.service", "hamgr.service", check=False)
        lab.until("the reason at n1", lambda: re.search(r"n3.*key|key.*n3", trio.log("n1", "--lines=40")), 15)
        assert trio.view("n1")["nodes"]["n3"]["state"] != "up"
    finally:
        lab.run("n3", "systemctl", "stop", "hamgr.service", "hagcd.service", timeout=60)
        lab.write("n3", path, before, 0o600)
        lab.run("n3", "systemctl", "start", "hagcd.service", "hamgr.service")
    trio.await_up()


def test_F03_key_that_others_may_read_is_refused(trio):
    lab = trio.lab
    lab.run("n3", "systemctl", "stop", "hamgr.service", "hagcd.service", timeout=60)
    boots = lab.boots("n3")
    try:
        lab.run("n3", "chmod", "0644", "/etc/hamgr/cluster.key")
        assert trio.hactl("check", node="n3", check=False)["status"] == 1
        lab.run("n3", "systemctl", "start", "hagcd.service", check=False)
        lab.until("the reason", lambda: "cluster.key" in lab.journal("n3", "--unit=hagcd", "--lines=20"), 10)
        assert lab.boots("n3") == boots
    finally:
        lab.run("n3", "chmod", "0600", "/etc/hamgr/cluster.key")
        lab.run("n3", "systemctl", "reset-failed", check=False)
        lab.run("n3", "systemctl", "start", "hagcd.service", "hamgr.service")
    trio.await_up()


def test_F03_truncated_state_file_is_kept_aside_and_fetched_from_the_others(trio):
    lab = trio.lab
    before = configuration(trio, "n3")
    lab.run("n3", "systemctl", "stop", "hamgr.service", timeout=60)
    files = [name for name in lab.run("n3", "ls", "/var/lib/hamgr").split()]
    assert files
    for name in files:
        lab.run("n3", "truncate", "-s", "7", "/var/lib/hamgr/" + name)
    lab.run("n3", "systemctl", "start", "hamgr.service")
    trio.await_up()
    assert configuration(trio, "n3") == before
    assert len(lab.run("n3", "ls", "/var/lib/hamgr").split()) > len(files)
    assert re.search(r"/var/lib/hamgr", trio.log("n3", "--lines=60"))


def test_F03_truncated_store_is_reported_and_the_node_taken_in_by_the_others(trio):
    lab = trio.lab
    lab.run("n3", "systemctl", "stop", "hamgr.service", "hagcd.service", "hagcd-store.service", timeout=60)
    before = trio.mid("n1")
    boots = lab.boots("n3")
    lab.run("n3", "truncate", "-s", "100", "/var/lib/hagcd/store")
    lab.run("n3", "systemctl", "start", "hagcd.service", "hamgr.service", check=False)
    trio.await_up(timeout=30)
    assert trio.mid("n3") > before
    assert lab.boots("n3") == boots
    assert "/var/lib/hagcd/store" in lab.journal("n3", "--unit=hagcd", "--unit=hagcd-store", "--lines=40")
    assert len(lab.run("n3", "ls", "/var/lib/hagcd").split()) > 1


def test_F06_status_is_the_same_on_every_node(trio):
    def same():
        texts = {trio.hactl("status", node=node) for node in trio.nodes()}
        return len(texts) == 1 and texts.pop()

    text = trio.lab.until("one answer everywhere", same, 10)
    for word in ("quorate", "n1", "n2", "n3", "shop", "blue", "green", "running"):
        assert word in text
    for what in ("shop", "n2"):
        assert len({trio.hactl("status", what, node=node) for node in trio.nodes()}) == 1
    managed = {
        node: trio.lab.run(node, "busctl", "--json=short", "call", "org.hamgr1", "/org/hamgr1",
                           "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        for node in trio.nodes()
    }
    trees = []
    for text in managed.values():
        tree = json.loads(text)["data"][0]
        for path in tree:
            tree[path].get("org.hamgr1.Manager", {}).pop("NodeName", None)
        trees.append(tree)
    assert trees[0] == trees[1] == trees[2]
    assert "/org/hamgr1/group/shop" in trees[0]


def link_states(cluster, node):
    """State of each link from a node to the others: {"n2": ["good", "good"], ...}."""
    seen = cluster.membership_seen(node)["nodes"]
    return {name: [link["state"] for link in one["links"]] for name, one in seen.items() if name != node}


def await_links(cluster, node, **wanted):
    expected = {name: ["good", wanted.get(name, "good")] for name in cluster.nodes() if name != node}
    cluster.lab.until("%s to see %s" % (node, expected), lambda: link_states(cluster, node) == expected, 10)


def test_groups_shows_what_is_said_and_by_whom(trio):
    """hamgr's own group is one of them."""
    lab = trio.lab
    shown = trio.hactl("groups", node="n1")
    assert "Groups as n1 sees them:" in shown and re.search(r"^hamgr +3 +1 +\d+ \(", shown, re.MULTILINE), shown
    one = trio.hactl("groups", "hamgr", node="n1")
    assert re.search(r"^Group hamgr as n1 sees it: 3 members, last \S+/\d+$", one, re.MULTILINE), one
    assert re.search(r"^hamgr \(critical\) +n1 +\d+ +\d+ \(", one, re.MULTILINE), one
    assert re.search(r"^hamgr \(critical\) +n2 +- +- ", one, re.MULTILINE), one
    before, = json.loads(trio.hactl("groups", "--json", node="n1"))["groups"]
    trio.hactl("node", "standby", "n3", node="n1")
    trio.hactl("node", "unstandby", "n3", node="n1")
    after = json.loads(trio.hactl("groups", "hamgr", "--json", node="n1"))
    assert after["messages"] >= before["messages"] + 2 and after["bytes"] > before["bytes"]
    here, = (m for m in after["members"] if m["here"])
    assert here["pid"] == int(lab.run("n1", "systemctl", "show", "--value", "--property=MainPID", "hamgr"))
    done = trio.hactl("groups", "shop", node="n1", check=False)
    assert done["status"] == 1 and 'no process is in a group named "shop"' in done["err"]
    # Everybody may look.
    assert "Group hamgr as n1" in lab.run("n1", "setpriv", "--reuid=65534", "--clear-groups", "hactl", "groups", "hamgr")


def test_membership_shows_which_link_is_dead_and_at_which_end(trio):
    lab = trio.lab
    for node in trio.nodes():
        await_links(trio, node)
        assert "see \"hactl membership\"" not in trio.hactl("status", node=node)
    seen = trio.membership_seen("n1")
    assert seen["quorum"] == "yes" and seen["phase"] == "stable" and seen["awaited_from"] == [] and seen["node"] == "n1"
    assert seen["membership"] == trio.membership("n1") and seen["members"] == trio.nodes()
    assert seen["nodes"]["n2"]["hears"] == ["n1", "n3"]
    assert all(0 < link["rtt_usec"] < 1000000 for name in ("n2", "n3") for link in seen["nodes"][name]["links"])
    assert "WHO HEARS WHOM" not in trio.hactl("membership", node="n1")
    assert "WHO HEARS WHOM" in trio.hactl("membership", "--all", node="n1")
    # Looking is for everybody.
    assert "as n1 sees it: quorate, 3 of 3 votes" in lab.run("n1", "setpriv", "--reuid=65534", "--clear-groups", "hactl", "membership")

    lab.cut("n2", "public")
    await_links(trio, "n1", n2="silent")
    await_links(trio, "n2", n1="silent", n3="silent")
    await_links(trio, "n3", n2="silent")
    assert re.search(r"^As n1 sees it, link 1 to n2: not heard for \S+; see \"hactl membership\"$", trio.hactl("status", node="n1"), re.M)
    assert re.search(r"^As n2 sees it, link 1 to n1: .* \(and 1 more\); see", trio.hactl("status", node="n2"), re.M)
    assert re.search(r"^n2 +up +1 +no +- +\S+ +- +\d+ of \d+ +not heard for \S+$", trio.hactl("membership", node="n1"), re.M)
    assert trio.membership("n1") == seen["membership"]
    lab.heal()
    # Of a link that carries one way only, its two ends say different things.
    lab.cut("n2", "public", peer="n1", direction="out")
    await_links(trio, "n1", n2="silent")
    await_links(trio, "n2", n1="one-way")
    await_links(trio, "n3")
    assert "link 1 to n1: it does not hear this server" in trio.hactl("status", node="n2")
    lab.heal()
    await_links(trio, "n1")
    assert trio.membership_seen("n1")["nodes"]["n2"]["links"][1]["lost"] > seen["nodes"]["n2"]["links"][1]["lost"]
    assert "see \"hactl membership\"" not in trio.hactl("status", node="n1")


def test_F03_what_is_no_name_is_refused_at_once(trio):
    before = boottime()
    for arguments, said in (
        (("group", "stop", "Web Shop"), 'there is no group "Web Shop"'),
        (("group", "move", "x" * 200, "n1"), 'there is no group "xxx'),
        (("group", "stop", ""), 'there is no group ""'),
        (("node", "standby", ""), 'there is no node ""'),
        (("fence", "confirm", "", "--yes"), 'there is no node ""'),
    ):
        done = trio.hactl(*arguments, node="n1", check=False)
        assert done["status"] == 1 and said in done["err"], done
    assert boottime() - before < 10


def test_fence_node_by_order_is_remembered_and_told_to_the_node(trio):
    lab = trio.lab
    boots = lab.boots("n3")
    assert "needs a terminal" in trio.hactl("fence", "node", "n3", node="n1", check=False)["err"]
    rows = trio.hactl("fence", "test", node="n1").splitlines()
    assert [line.split()[:4] for line in rows[1:]] == [[name, "1", "power", "on"] for name in trio.nodes()], rows
    said = trio.hactl("fence", "node", "n3", "--yes", node="n1")
    assert re.search(r"^Node n3 is off, \S+ confirms it\.$", said, re.M), said
    trio.await_up()
    assert lab.boots("n3") == boots + 1
    for node in trio.nodes():
        newest = json.loads(trio.hactl("fence", "history", "--json", node=node))["fencings"][0]
        assert (newest["node"], newest["outcome"], newest["reason"]) == ("n3", "off", "an operator ordered it")
        assert newest["begun_usec"] < newest["ended_usec"]
        told = r"n3 was rebooted: it was fenced by %s \(\S+\): an operator ordered it" % newest["fencer"]
        assert re.search(told, lab.journal(node, "--unit=hamgr", "--boot"))
        assert re.search(r"^n3 +up .* was rebooted: it was fenced by", trio.hactl("status", node=node), re.M)
    # What is cleanly gone is not switched off.
    lab.run("n3", "systemctl", "stop", "hagcd")
    refused = trio.hactl("fence", "node", "n3", "--yes", node="n1", check=False)
    assert refused["status"] == 1 and "n3 is inactive" in refused["err"], refused
    lab.run("n3", "systemctl", "start", "hagcd", "hamgr")
    trio.await_up()
    assert lab.boots("n3") == boots + 1


def test_hactl_tells_when_hamgr_ended_meanwhile(trio):
    lab = trio.lab
    lab.signal("n3", "hamgr.service", "STOP")  # which is noticed, and it is killed
    done = trio.hactl("status", node="n3", check=False)
    assert done["status"] == 1 and "ended before it answered" in done["err"], done
    trio.await_up()
