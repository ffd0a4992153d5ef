# SPDX-License-Identifier: LGPL-2.1-or-later
"""cluster.conf changes on real nodes, while the shop runs and a client asks and orders all the time."""

import pytest

from hamgrlab import config
from hamgrlab.cluster import STORES, at_once
from hamgrlab.lab import boottime

CONF = "/etc/hamgr/cluster.conf"
NEXT = "/root/cluster.conf"  # anywhere
THREE = config.cluster_conf(3)


def without(text, number):
    """cluster.conf without that node."""
    head, _, rest = text.partition("[Node n%d]" % number)
    return (head + rest[rest.index("["):]).replace(" n%d" % number, "", 1)


def with_line(text, node, line):
    return text.replace("[Node %s]\n" % node, "[Node %s]\n%s\n" % (node, line))


def apply(cluster, text, node="n1", check=True):
    cluster.lab.write(node, NEXT, text)
    return cluster.hactl("apply", NEXT, node=node, check=check)


def refused(cluster, text, why):
    """Nothing changes anywhere."""
    lab = cluster.lab
    nodes = [name for name, shown in cluster.view()["nodes"].items() if shown["state"] == "up"]
    before = [lab.read(node, CONF) for node in nodes]
    done = apply(cluster, text, check=False)
    assert done["status"] == 1 and why in done["err"], done
    assert [lab.read(node, CONF) for node in nodes] == before
    assert cluster.view()["cluster_conf_waits"] == ""


def shop_pid(lab):
    return lab.run("n1", "systemctl", "show", "--property=MainPID", "shop.service").strip()


def start(cluster, node):
    cluster.lab.run(node, "systemctl", "start", "hagcd-store.socket", "hagcd.service", "hamgr.service")


def join(cluster, node):
    """What an administrator does on a server that is added."""
    lab = cluster.lab
    lab.run(node, "sh", "-c", "rm -rf %s/*" % STORES.replace(" ", "/* "))
    lab.write(node, CONF, lab.read("n1", CONF))
    lab.run(node, "hactl", "init", "--join")
    start(cluster, node)


def test_A22_A16_nodes_are_added_weighted_disabled_and_removed_while_the_shop_runs(growing):
    lab = growing.lab
    growing.await_group("shop", on="n1")
    lab.watch_shop()
    began = boottime()
    lab.first_answer(began)
    pid = shop_pid(lab)
    lab.ordering(True)

    # What is wrong, or would take out a node that may run something, changes nothing.
    refused(growing, THREE.replace("Id=2", "Id=2\nVote=3"), NEXT + ":")
    refused(growing, THREE.replace("Name=lab", "Name=other"), NEXT + ":2: Name=other: the cluster that runs is named lab")
    refused(growing, without(THREE, 3), "n3 is a member of the cluster and cannot be taken out")
    refused(growing, with_line(THREE, "n2", "Enabled=no"), "n2 is a member of the cluster and cannot be disabled")

    # A file that was changed on one node only waits, and says for whom.
    lab.write("n2", CONF, with_line(THREE, "n1", "Votes=3"))
    lab.run("n2", "systemctl", "reload", "hagcd.service")
    growing.await_view("it waits", lambda view: "n1, n3" in view["cluster_conf_waits"], node="n2")
    assert "cluster.conf as it is on this server is not in force: cluster.conf says something else on n1, n3" in growing.hactl(
        "membership", node="n2")
    assert growing.membership_seen("n2")["conf_waits_for"] == ["n1", "n3"]
    assert growing.view("n1")["nodes"]["n1"]["votes"] == 1

    # A hamgr that begins with such a file works with what is in force.
    lab.run("n2", "systemctl", "restart", "hamgr.service")
    growing.await_up()
    assert growing.view("n2")["nodes"]["n1"]["votes"] == 1

    # Another weight, and a fourth node.
    assert "node n1: Votes=3, was 1" in apply(growing, with_line(THREE, "n1", "Votes=3"))
    assert growing.view("n3")["nodes"]["n1"]["votes"] == 3
    assert "node n1: Votes=1, was 3\nnode n4: added" in apply(growing, config.cluster_conf(4))
    for node in ("n1", "n2", "n3"):
        assert lab.read(node, CONF) == config.cluster_conf(4)
        assert lab.read(node, CONF + ".former") == with_line(THREE, "n1", "Votes=3")
    assert growing.view("n2")["nodes"]["n4"]["state"] == "unknown"
    done = lab.run("n4", "hactl", "init", "--join", check=False)
    assert done["status"] == 1 and 'the configuration has no [Node n4]' in done["err"], done
    join(growing, "n4")
    growing.await_up(["n1", "n2", "n3", "n4"])
    growing.apply({"shop": config.shop(4, domain=["n1", "n2", "n4"])}, node="n1")

    # n3 is stopped, then disabled: it is neither counted, or n1 and n2 would be half of four, nor fenced.
    lab.run("n3", "systemctl", "stop", "hagcd.service", timeout=60)
    growing.await_node("n3", "inactive")
    assert "node n3: disabled" in apply(growing, with_line(config.cluster_conf(4), "n3", "Enabled=no"))
    assert growing.view("n1")["nodes"]["n3"]["state"] == "inactive"
    lab.kill("n4")
    growing.await_view("n4 fenced", lambda view: view["quorate"] and view["nodes"]["n4"]["state"] == "down", node="n2")
    assert growing.power_orders("n4", began)
    assert not growing.power_orders("n3", began)

    # Then it is removed.
    assert "node n3: removed" in apply(growing, without(config.cluster_conf(4), 3))
    assert "n3" not in growing.view("n2")["nodes"]
    lab.until("n4 on", lambda: lab.node("n4")["state"] == "on", 20)
    growing.await_view("n4 to be told", lambda view: "differs from" in view["trouble"], node="n4")
    growing.await_view("the others as well", lambda view: "differs from" in view["nodes"]["n4"]["note"], node="n1")
    lab.write("n4", CONF, lab.read("n1", CONF))
    lab.run("n4", "systemctl", "reload", "hagcd.service")
    growing.await_up(["n1", "n2", "n4"], timeout=30)

    # The same process has answered all the time; no gap is a takeover's, or a restart's, only a busy machine's.
    lab.ordering(False)
    assert shop_pid(lab) == pid
    assert [gap for gap in lab.client("gaps", name="shop", since=began, shortest=0.05) if gap[2] != "n1" or gap[3] != "n1"] == []
    assert lab.interruptions("shop", began) == []
    assert not lab.lost_orders()
    assert lab.crimes(began) == []

    # As it was, for the next test.
    lab.run("n4", "systemctl", "stop", "hagcd.service", timeout=60)
    growing.await_node("n4", "inactive")
    growing.apply({"shop": config.shop(3, domain=["n1", "n2"])}, node="n1")
    apply(growing, THREE)
    join(growing, "n3")
    growing.await_up()


def test_A22_a_dead_node_is_removed_by_an_operators_word_and_not_let_in_again(growing):
    """The server that died for good is what nodes are removed for. This one comes back, with its old file."""
    lab = growing.lab
    lab.kill("n3")
    growing.await_node("n3", "unknown", node="n1")
    refused(growing, without(THREE, 3), "hactl fence confirm n3")
    growing.hactl("fence", "confirm", "n3", "--yes", node="n1")
    assert "node n3: removed" in apply(growing, without(THREE, 3))
    assert "n3" not in growing.view("n1")["nodes"]
    lab.on("n3")
    lab.until("the others to say who is there", lambda: config.PREFIX["private"] + "3, port 7700, which is no node of this cluster"
              in growing.log("n1"), 20)
    growing.await_view("n3 to be told", lambda view: "this server is none of the cluster" in view["trouble"], node="n3")
    lab.run("n3", "systemctl", "stop", "hagcd.service", timeout=60)
    apply(growing, THREE)
    join(growing, "n3")
    growing.await_up()


@pytest.mark.parametrize("step", ["is given to every node", "every node has agreed"])
def test_A22_power_loss_of_all_in_the_middle_of_an_apply_leaves_one_cluster_conf(growing, step):
    """Some may have written it by then, and others not."""
    lab = growing.lab
    log = growing.log("n1").count(step)
    text = with_line(THREE, "n1", "Votes=2")
    lab.write("n1", NEXT, text)
    lab.run("n1", "systemd-run", "--quiet", "--collect", "hactl", "apply", NEXT)
    lab.until("it was begun", lambda: growing.log("n1").count(step) > log, 10, 0.01)
    at_once(*(lambda n=n: lab.kill(n) for n in ("n1", "n2", "n3")))
    growing.boot("n1", "n2", "n3")

    def one_conf():
        files = {lab.read(node, CONF) for node in ("n1", "n2", "n3")}
        views = [growing.view(node) for node in ("n1", "n2", "n3")]
        votes = 2 if files == {text} else 1
        return files in ({text}, {THREE}) and all(
            view["cluster_conf_waits"] == "" and view["nodes"]["n1"]["votes"] == votes for view in views)

    lab.until("one cluster.conf on all, and in force", one_conf, 20)
    apply(growing, THREE)


def test_A22_a_node_that_dies_between_its_word_and_its_file_finishes_it(growing):
    """n3 agrees, cannot write, and dies. The others go on, and let it in when its file says the same."""
    lab = growing.lab
    text = with_line(THREE, "n1", "Votes=2")
    lab.run("n3", "sh", "-c", "rm -f %s.former && mkdir %s.former" % (CONF, CONF))
    lab.write("n1", NEXT, text)
    lab.run("n1", "systemd-run", "--quiet", "--collect", "hactl", "apply", NEXT)
    growing.await_view("it waits", lambda view: "n3" in view["cluster_conf_waits"], node="n1")
    lab.kill("n3")
    growing.await_view("it is in force", lambda view: view["nodes"]["n1"]["votes"] == 2, node="n2")
    lab.off("n3")
    lab.ask("chroot", node="n3", command=["rmdir", CONF + ".former"])
    assert lab.read("n3", CONF) == THREE
    lab.on("n3")
    growing.await_up()
    assert lab.read("n3", CONF) == text
    apply(growing, THREE)


def test_access_is_applied_to_all_without_a_membership_and_to_who_was_away(growing):
    """Memberships do not compare the [Access] sections, so a node that was away is let in with others."""
    lab = growing.lab
    first, second = (THREE + "[Access db_*]\nJoin=%s\n" % who for who in ("root", "root @nogroup"))
    before = growing.view("n1")["membership"]
    assert "[Access] sections: changed" in apply(growing, first)
    for node in ("n1", "n2", "n3"):
        lab.until(node + " has the file", lambda n=node: lab.read(n, CONF) == first, 10)
    assert growing.view("n1")["membership"] == before
    assert "whole cluster already" in apply(growing, first, node="n2")
    lab.run("n3", "systemctl", "stop", "hamgr.service", "hagcd.service", timeout=60)
    growing.await_node("n3", "inactive", node="n1")
    assert "[Access] sections: changed" in apply(growing, second)
    assert lab.read("n3", CONF) == first
    start(growing, "n3")
    growing.await_up()
    lab.until("n3 has taken the file of the others", lambda: lab.read("n3", CONF) == second, 10)
    assert "changed while this node was away: taking those of the others" in growing.log("n3")
    # One that somebody edited meanwhile is left alone, and that is told.
    edited = THREE + "[Access db_*]\nJoin=@nogroup\n"
    lab.write("n3", CONF, edited)
    lab.run("n3", "systemctl", "restart", "hamgr.service", timeout=60)
    lab.until("it is told", lambda: "are neither those that were applied" in growing.log("n3"), 20)
    assert lab.read("n3", CONF) == edited
    growing.await_up()
    apply(growing, THREE)
