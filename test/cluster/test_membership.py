# SPDX-License-Identifier: LGPL-2.1-or-later
"""Membership on real nodes."""

import re
import threading
import time

from hamgrlab import config
from hamgrlab.cluster import Cluster, Member, parse_mid
from hamgrlab.lab import boottime


def mids(cluster, nodes=None):
    """The membership each node is in; all the same once it is quiet."""
    return {node: cluster.view(node)["membership"] for node in nodes or cluster.nodes()}


def members(view):
    return {name for name, node in view["nodes"].items() if node["state"] == "up"}


def await_lost(cluster, node, lost, timeout=20):
    return cluster.await_view(
        "%s out" % lost, lambda view: view["quorate"] and view["nodes"][lost]["state"] != "up", node, timeout
    )


def test_A01_one_to_eight_nodes_form_one_membership(eight):
    lab = eight.lab
    for count in range(1, 9):
        nodes = ["n%d" % number for number in range(1, count + 1)]
        eight.forget_everything(nodes)
        for node in nodes:
            lab.write(node, "/etc/hamgr/cluster.conf", config.cluster_conf(count))
        lab.on(*nodes)
        eight.await_up(nodes, timeout=40)
        lab.until("one number everywhere", lambda: len(set(mids(eight, nodes).values())) == 1, 10)
        for node in nodes:
            assert members(eight.view(node)) == set(nodes)
        for node in nodes:
            lab.off(node)


def test_A02_all_see_one_set_under_one_number_that_grows(trio):
    lab = trio.lab
    seen = {node: trio.mid(node) for node in trio.nodes()}

    def look():
        sets = {}
        for node in trio.nodes():
            view = trio.view(node)
            number = parse_mid(view["membership"])
            assert number >= seen[node], "%s went back from %s to %s" % (node, seen[node], number)
            seen[node] = number
            sets.setdefault(number, set()).add(frozenset(members(view)))
        assert all(len(one) == 1 for one in sets.values()), sets

    for act in (
        lambda: (lab.kill("n2"), lab.off("n2"), lab.on("n2")),
        lambda: (lab.cut_cluster("n3"), await_lost(trio, "n1", "n3"), lab.heal()),
        lambda: (lab.kill("n1"), lab.off("n1"), lab.on("n1")),
        lambda: lab.signal("n3", "hagcd.service", "KILL"),
    ):
        act()
        lab.until("all nodes on", lambda: all(one["state"] == "on" for one in lab.status()["nodes"].values()), 20)
        trio.make_whole()
        look()


def test_A03_killed_hagcd_is_a_failed_node_and_resets_it(trio):
    lab = trio.lab
    resets = lab.resets("n3")
    before = trio.mid("n1")
    lab.signal("n3", "hagcd.service", "KILL")
    lab.until("the reset", lambda: lab.resets("n3") + lab.boots("n3") > resets + 1, 10)
    assert lab.resets("n3") == resets + 1 or trio.power_orders("n3")
    trio.await_up(timeout=30)
    assert trio.mid("n1") > before
    assert re.search(r"n3", trio.log("n1"))


def test_A04_paused_node_is_missed_after_failure_sec_and_not_before(trio):
    """FailureSec is 0.4 s, and a node is heard every 0.1 s: a pause of less than 0.3 s changes nothing."""
    lab = trio.lab
    lab.power("n3", "fail")  # so that it lives to see what became of it
    before = mids(trio)
    n_short = 0
    for _ in range(20):
        moment = boottime()
        lab.pause("n3")
        time.sleep(0.24)
        lab.resume("n3")
        # On a machine that has much to do it may have taken longer than it should.
        if boottime() - moment > 0.29:
            trio.await_up()
            before = mids(trio)
            continue
        n_short += 1
        time.sleep(0.6)
        assert mids(trio) == before
        if n_short == 2:
            break
    assert n_short == 2
    moment = lab.pause("n3")
    lost = await_lost(trio, "n1", "n3")
    assert 0.3 < boottime() - moment < 1.5
    assert lost["nodes"]["n3"]["state"] == "unknown"
    assert re.search(r"node n3 is lost \(silence\)", trio.log("n1", "--lines=40"))
    lab.resume("n3")
    trio.await_up()
    assert trio.mid("n3") > parse_mid(before["n3"])


def test_A05_the_private_link_carries_the_cluster_and_clients_do_not_need_it(trio):
    lab = trio.lab
    lab.watch_shop()
    lab.first_answer(boottime())
    seen = []
    capture = threading.Thread(target=lambda: seen.extend(lab.capture(1)))
    capture.start()
    while capture.is_alive():
        trio.hactl("node", "standby", "n3", "--no-block", node="n1")
        trio.hactl("node", "unstandby", "n3", node="n2")
    private = {(protocol, port): sizes for network, protocol, port, *sizes in seen if network == "private"}
    public = {(protocol, port): sizes for network, protocol, port, *sizes in seen if network == "public"}
    # Only hagcd on the private link: heartbeats of each node to each, and what is ordered.
    assert set(private) - {("other", 0)} == {("udp", 7700)}, private
    assert private["udp", 7700][0] >= 40 and public["udp", 7701][0] >= 40, (private, public)
    # The public one has the heartbeats too, and nothing else of the cluster; and it has the clients.
    assert private["udp", 7700][1] > 1.5 * public["udp", 7701][1], (private, public)
    assert public["tcp", 80][0] > 0, public
    before = mids(trio)
    moment = boottime()
    for node in trio.nodes():
        lab.cut(node, "private")
    time.sleep(1)
    assert lab.interruptions("shop", moment) == []
    assert mids(trio) == before


def test_A06_one_of_two_links_lost_changes_nothing(trio):
    lab = trio.lab
    for network in ("private", "public"):
        before = mids(trio)
        since = boottime()
        lab.cut("n2", network)
        deadline = boottime() + 2
        while boottime() < deadline:
            # Orders go on through the other link.
            trio.hactl("node", "standby", "n3", "--no-block", node="n1")
            trio.hactl("node", "unstandby", "n3", node="n2")
        assert mids(trio) == before
        lab.heal()
        time.sleep(1)
        assert mids(trio) == before
        assert not trio.power_orders("n2", since)


def test_A06_one_link_losing_its_carrier_changes_nothing(trio):
    before = mids(trio)
    trio.lab.carrier("n2", "private", False)
    time.sleep(1.5)
    assert mids(trio) == before
    trio.lab.carrier("n2", "private", True)
    time.sleep(1)
    assert mids(trio) == before


def await_link(cluster, node, peer, link, *wanted):
    """Until the node sees that link to the peer in one of these states; returns what it sees of it."""
    def look():
        seen = cluster.membership_seen(node)["nodes"][peer]["links"][link]
        return seen if seen["state"] in wanted else None

    return cluster.lab.until("%s to see link %d to %s as %s" % (node, link, peer, wanted), look, 10)


def test_A06_link_that_loses_what_is_long_gets_shorter_segments(trio):
    """A switch on the private network passes heartbeats from n1 to n2 and loses what is longer than 1100 bytes, without a
    word. Messages go on, in shorter segments, and nobody is left out; n2 does not notice. Then it is repaired."""
    lab = trio.lab
    before = mids(trio)
    sender, receiver = Member(trio, "n1", "long", "anna"), Member(trio, "n2", "long", "bert")
    try:
        lab.narrow("n1", "n2", 1100, "private")
        lab.narrow("n1", "n3", 1100, "private")  # the other way round the ring
        for number in range(1, 4):
            sender.send("%d" % number + "x" * 5000)
            for one in (sender, receiver):
                one.await_messages(number)
        seen = await_link(trio, "n1", "n2", 0, "narrow")
        lab.until("it to be told", lambda: "link 0 to node n2: long datagrams that we send are lost; going on with 976 bytes" in trio.log("n1"), 10)
        assert await_link(trio, "n1", "n2", 0, "narrow")["longest_bytes"] == 976 and seen["longest_bytes"] <= 976
        assert "link 0 to n2: loses datagrams of more than 976 bytes from here" in trio.hactl("status", node="n1")
        assert [link["state"] for link in trio.membership_seen("n2")["nodes"]["n1"]["links"]] == ["good", "good"]
        lab.cut("n1", "public")  # nothing else is left
        sender.send("4" + "x" * 5000)
        for one in (sender, receiver):
            one.await_messages(4)
        lab.heal()
        assert await_link(trio, "n1", "n2", 0, "good")["longest_bytes"] == 1452
        lab.until("that to be told", lambda: "link 0 to node n2: carries datagrams of 1452 bytes again" in trio.log("n1"), 10)
        assert receiver.messages() == sender.messages() and len(sender.messages()) == 4
    finally:
        sender.end()
        receiver.end()
    assert mids(trio) == before


def test_A10_pair_that_passes_heartbeats_only_is_parted(trio):
    """From n1 to n2 nothing of use gets through on any link, though both hear each other. One of them is left out."""
    lab = trio.lab
    for node in trio.nodes():
        lab.power(node, "fail")  # whoever is left out lives on, and is heard
    lab.narrow("n1", "n2", 400)
    view = trio.await_view("one of n1 and n2 to be out", lambda view: view["quorate"] and len(members(view)) == 2, "n3", 10)
    assert members(view) in ({"n1", "n3"}, {"n2", "n3"})
    for link in (0, 1):
        await_link(trio, "n1", "n2", link, "too-narrow")
        said = "link %d to node n2: heartbeats come through" % link
        lab.until("it to be told", lambda: said in trio.log("n1"), 10)
    lab.heal()
    trio.await_up()


def test_A15_states_of_nodes(trio):
    lab = trio.lab
    lab.power("n3", "fail")
    lab.kill("n3")
    assert trio.await_node("n3", "unknown", "n1")["note"]
    change = trio.membership_seen("n1")["changes"][-1]
    assert change["membership"] == trio.membership("n1") and change["members"] == ["n1", "n2"]
    reason = change["moved"][0]["reason"]
    # Who misses it first tells the other, who may hear of that before missing it.
    assert reason in ("silence", "connectivity")
    assert change["moved"] == [{"node": "n3", "move": "left", "state": "unknown", "reason": reason}]
    assert re.search(r"^\d{4}-.* yes +2 +n3 left: %s$" % reason, trio.hactl("membership", node="n1"), re.M)
    lab.power("n3", "off-only")
    trio.await_node("n3", "down", "n1", timeout=40)
    lab.power("n3", "normal")
    lab.off("n3")
    lab.on("n3")
    trio.await_up()
    lab.run("n3", "systemctl", "stop", "hamgr.service", "hagcd.service", timeout=60)
    trio.await_node("n3", "inactive", "n1")
    lab.run("n3", "systemctl", "start", "hagcd.service", "hamgr.service")
    trio.await_node("n3", "up", "n1")


def test_A17_restart_faster_than_detection_is_seen_as_leave_then_join(keeper):
    """With FailureSec=5s a node is back long before it would be missed."""
    keeper.drop()
    conf = config.cluster_conf(3, cluster=["FailureSec=5s"])
    with Cluster.start(3, {"blue": config.web("blue", ["n1", "n2", "n3"], 1)}, conf=conf) as cluster:
        lab = cluster.lab
        cluster.apply(node="n1")
        before = cluster.mid("n1")
        witness = Member(cluster, "n2", "stories", "witness")
        Member(cluster, "n3", "stories", "hero")
        witness.await_line("the hero", lambda line: " joined hero@n3" in line)
        event = lab.kill("n3")
        lab.off("n3")
        lab.on("n3")
        cluster.await_up()
        assert boottime() - event < 5
        assert cluster.mid("n1") > before
        # Out first, with all that was there, then in again.
        witness.await_line("the hero lost", lambda line: " left hero@n3(node lost)" in line)
        told = [line for line in cluster.log("n2", "--output=cat").splitlines() if re.search(r"\bn3 (is|left)\b", line)]
        lost = max(index for index, line in enumerate(told) if "lost" in line or "left" in line)
        assert any(re.search(r"n3 is (up|a member)", line) for line in told[lost:]), told



def test_A19_third_crash_within_the_time_keeps_a_node_out(keeper):
    """Each crash is followed by fencing, which boots it. The others go on without it, all say why, and a restart of
    its hagcd by hand lets it in."""
    keeper.drop()
    conf = config.cluster_conf(3, cluster=["RejoinHoldSec=5min"])
    with Cluster.start(3, {"blue": config.web("blue", ["n3", "n1", "n2"], 1)}, conf=conf) as cluster:
        lab = cluster.lab
        cluster.apply(node="n1")
        cluster.await_group("blue")
        for _ in range(2):
            lab.kill("n3")
            await_lost(cluster, "n1", "n3")
            cluster.await_up(timeout=40)
        lab.kill("n3")
        why = r"held off: it crashed 3 times within 5min; joins at [-0-9]+ [:0-9]+, or once hagcd\.service is restarted there"

        def told(view):
            return re.match(why, view["nodes"]["n3"]["note"])

        for node in ("n1", "n2"):
            cluster.await_view("why n3 is out", told, node, timeout=40)
        cluster.await_view("why it is out, on n3", told, "n3", timeout=20)
        cluster.await_group("blue", on="n1")
        since, whole = boottime(), cluster.log("n1").count("nodes {1 2 3}")
        assert re.search("n3: " + why, cluster.log("n1"))
        log = cluster.log("n3")
        assert "crashed 3 times within RejoinHoldSec=5min" in log and re.search(why, log)
        assert re.search('Status: "' + why, lab.run("n3", "systemctl", "status", "hagcd.service"))
        time.sleep(2)
        assert cluster.log("n1").count("nodes {1 2 3}") == whole
        assert members(cluster.view("n1")) == {"n1", "n2"}
        assert not cluster.view("n3")["quorate"]
        assert not cluster.power_orders("n3", since)

        lab.run("n3", "systemctl", "restart", "hagcd.service")
        cluster.await_up()
        assert cluster.view("n1")["nodes"]["n3"]["note"].startswith("was rebooted: it was fenced by n")
        assert lab.crimes() == []

def test_A21_clean_stop_is_not_fenced_and_power_off_then_is_no_failure(trio):
    lab = trio.lab
    since = boottime()
    before = trio.mid("n1")
    lab.run("n3", "systemctl", "stop", "hamgr.service", "hagcd.service", timeout=60)
    trio.await_node("n3", "inactive", "n1")
    # What ran there runs elsewhere.
    trio.await_group("green", on="n1")
    assert trio.mid("n1") > before
    lab.off("n3")
    time.sleep(1.5)
    assert trio.view("n1")["nodes"]["n3"]["state"] == "inactive"
    assert [order for order in lab.power_orders(since) if order[1] != "status"] == []
    assert lab.resets("n3") == 0 or trio.view("n1")["quorate"]


def test_A21_shutdown_of_the_machine_is_a_clean_leave(trio):
    lab = trio.lab
    since = boottime()
    lab.run("n3", "systemctl", "poweroff", check=False)
    lab.await_node("n3", "off", timeout=40)
    trio.await_node("n3", "inactive", "n1")
    trio.await_group("green", not_on="n3")
    assert not trio.power_orders("n3", since)


def test_B05_killed_or_hung_hagcd_resets_its_node(trio):
    lab = trio.lab
    for signal in ("KILL", "STOP"):
        for node in trio.nodes():
            lab.power(node, "fail")  # so that a reset is the node's own
        resets, moment = lab.resets("n3"), boottime()
        lab.signal("n3", "hagcd.service", signal)
        lab.until("the reset after SIG" + signal, lambda: lab.resets("n3") == resets + 1, 10, 0.005)
        took = boottime() - moment
        assert took < (0.6 if signal == "KILL" else 3), took
        trio.make_whole()


def test_R17_killed_store_process_is_started_again_however_often(trio):
    lab = trio.lab
    for _ in range(8):
        before = lab.processes("n3", "hagcd-store.service")
        lab.signal("n3", "hagcd-store.service")
        lab.until("another hagcd-store", lambda: set(lab.processes("n3", "hagcd-store.service")) - set(before), 5)
    assert lab.run("n3", "systemctl", "is-active", "hagcd-store.service", "hagcd-store.socket").split() == ["active"] * 2
    # It writes what it is told: here, that n3 promised a ballot.
    before = trio.mid("n3")
    lab.run("n2", "systemctl", "restart", "hagcd.service", timeout=60)
    trio.await_up()
    assert trio.mid("n3") > before
