# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where groups run, how they start and stop, and what is done when they fail."""

import time

import pytest

from hamgrlab import config
from hamgrlab.lab import boottime


def unit(lab, node, name, what):
    return lab.run(node, "systemctl", "show", "--value", "--property=" + what, name).strip()


def running_since(lab, node, name):
    """When the main process of a unit was started, and which it is: the same for as long as nobody restarted it."""
    return unit(lab, node, name, "MainPID"), unit(lab, node, name, "ExecMainStartTimestampMonotonic")


def job_times(lab, node, names, what):
    """When systemd entered (or left) the active state of each unit, in microseconds, in the order of the names."""
    return [int(unit(lab, node, name, what + "TimestampMonotonic") or 0) for name in names]


def shop_units():
    return ["hamgr-shop-data.service", "hamgr-shop-vip.service", "shop.service"]


def assert_one_owner_each(cluster, group, address, disk=None, service=None):
    lab = cluster.lab
    node = cluster.group(group)["node"]
    for thing in ["address " + address] + (["disk " + disk] if disk else []) + (["unit " + service] if service else []):
        lab.until("%s at %s only" % (thing, node), lambda: lab.owners(thing) == [node], 3)


def test_D01_one_owner_at_any_time(trio):
    """A storm of failures; the checker watches throughout (as it does in every other test)."""
    lab = trio.lab
    since = boottime()
    for act in ("kill", "pause", "cut", "service", "hagcd"):
        node = trio.await_group("shop")["node"]
        if act == "kill":
            lab.kill(node)
        elif act == "pause":
            lab.pause(node)
        elif act == "cut":
            lab.cut_cluster(node)
        else:
            lab.signal(node, {"service": "shop", "hagcd": "hagcd"}[act] + ".service", "KILL")
        if act in ("kill", "pause", "cut"):
            other = next(name for name in trio.nodes() if name != node)
            trio.await_group("shop", not_on=node, node=other)
            lab.heal()
        trio.await_up(timeout=40)
    trio.await_group("shop")
    assert_one_owner_each(trio, "shop", config.SHOP_ADDRESS, "shared", "shop.service")
    report = lab.checker("report", since=since)
    assert report["crimes"] == []
    assert len({owner for thing, owner, _, _ in report["intervals"] if thing == "disk shared"}) > 1


def test_D04_starts_in_order_and_stops_in_reverse(trio):
    lab = trio.lab
    trio.hactl("group", "stop", "shop")
    trio.await_group("shop", "stopped")
    trio.hactl("group", "start", "shop")
    node = trio.await_group("shop")["node"]
    started = job_times(lab, node, shop_units(), "ActiveEnter")
    assert all(started) and started == sorted(started)
    since = boottime()
    trio.hactl("group", "stop", "shop")
    trio.await_group("shop", "stopped")
    report = lab.checker("report", since=since)
    ended = {thing: end for thing, owner, _, end in report["intervals"] if owner == node}
    # Units are sampled by the checker, a few ms late; systemd knows to the microsecond when it stopped one.
    stopped = job_times(lab, node, ["shop.service"], "InactiveEnter")[0]
    assert since <= stopped / 1e6
    assert stopped / 1e6 < ended["address " + config.SHOP_ADDRESS] < ended["disk shared"]


def test_D04_groups_start_in_parallel(trio):
    """A group whose start takes two seconds holds up no other."""
    lab = trio.lab
    slow = "[Unit]\nDescription=Slow\n[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'sleep 2; systemd-notify --ready; exec sleep infinity'\n"
    lab.write_all("/etc/systemd/system/app_slow.service", slow)
    for node in trio.nodes():
        lab.run(node, "systemctl", "daemon-reload")
    groups = {"slow": config.group("slow", ["n1", "n2", "n3"], unit="app_slow.service"), "quick": config.web("quick", ["n1", "n2", "n3"], 5)}
    trio.apply(groups, node="n1")
    trio.await_group("quick", timeout=5)
    assert trio.group("slow")["state"] == "starting"
    trio.await_group("slow")


def test_D05_group_goes_to_the_first_usable_node_of_its_domain(trio):
    lab = trio.lab
    assert trio.group("blue")["node"] == "n2"  # n2 n3 n1
    trio.hactl("node", "standby", "n2")
    trio.await_group("blue", on="n3")
    lab.power("n3", "off-only")
    lab.kill("n3")
    trio.await_group("blue", on="n1", node="n1")


def test_D06_nothing_moves_while_the_node_is_unknown(trio):
    lab = trio.lab
    lab.watch_shop("green", "192.0.2.112", 8002)
    lab.first_answer(boottime(), "green")
    lab.power("n3", "fail")
    event = lab.kill("n3")
    trio.await_node("n3", "unknown", "n1")
    time.sleep(2)
    group = trio.group("green", "n1")
    assert group["state"] != "running" or group["node"] == "n3"
    assert "n3" in group["may_run_on"]
    assert lab.client("first_after", name="green", time=event + 0.1) is None
    assert lab.owners("address 192.0.2.112") == []
    assert "n3" in group["reason"] or "fenc" in group["reason"]
    # The device works again: the node becomes down, and only then does the group start elsewhere.
    lab.power("n3", "off-only")
    trio.await_node("n3", "down", "n1", timeout=40)
    trio.await_group("green", on="n1", node="n1")


def test_D06_device_that_hangs_is_given_up_and_tried_again(trio):
    lab = trio.lab
    lab.power("n3", "hang")
    lab.kill("n3")
    trio.await_node("n3", "unknown", "n1")
    lab.until("an order to the device", lambda: trio.power_orders("n3"), 10)
    time.sleep(1)
    assert trio.group("green", "n1")["node"] in ("", "n3")
    lab.power("n3", "off-only")
    trio.await_node("n3", "down", "n1", timeout=40)
    trio.await_group("green", on="n1", node="n1")


def test_D06_device_that_lies_about_its_exit_is_not_believed(trio):
    """`off` exits with success and switches nothing: the state that is asked for afterwards decides."""
    lab = trio.lab
    lab.power("n3", "lie-off")
    since = boottime()
    lab.kill("n3")
    trio.await_node("n3", "unknown", "n1")
    lab.until("the device to be asked for the state", lambda: trio.power_orders("n3", since, "status"), 10)
    time.sleep(1)
    view = trio.view("n1")
    assert view["nodes"]["n3"]["state"] == "unknown" and "n3" in view["groups"]["green"]["may_run_on"]
    lab.power("n3", "off-only")
    trio.await_node("n3", "down", "n1", timeout=40)
    trio.await_group("green", on="n1", node="n1")


def test_D07_failure_of_one_group_moves_no_other(trio):
    lab = trio.lab
    # shop and one more on n1.
    trio.hactl("node", "standby", "n2")
    trio.hactl("node", "standby", "n3")
    for name in ("shop", "blue", "green"):
        trio.await_group(name, on="n1")
    trio.hactl("node", "unstandby", "n2")
    trio.hactl("node", "unstandby", "n3")
    here = {name: trio.await_group(name)["node"] for name in ("shop", "blue", "green")}
    node = here["shop"]
    others = {name: (here[name], running_since(lab, here[name], "web@%d.service" % port)) for name, port in (("blue", 8001), ("green", 8002))}
    before = running_since(lab, node, "shop.service")
    lab.signal(node, "shop.service", "KILL")
    lab.until("the shop to be started again", lambda: running_since(lab, node, "shop.service") != before and trio.group("shop")["state"] == "running")
    for name, port in (("blue", 8001), ("green", 8002)):
        assert trio.group(name)["node"] == others[name][0]
        assert running_since(lab, others[name][0], "web@%d.service" % port) == others[name][1]


def test_D08_so_many_restarts_in_place_then_a_move(trio):
    """The default: three restarts in place within ten minutes, then another node."""
    lab = trio.lab
    node = trio.group("blue")["node"]
    for number in range(1, 4):
        before = running_since(lab, node, "web@8001.service")
        lab.signal(node, "web@8001.service", "KILL")
        lab.until("restart %d in place" % number, lambda: running_since(lab, node, "web@8001.service")[0] not in ("0", before[0]), 10, 0.01)
        assert trio.await_group("blue")["node"] == node
    lab.signal(node, "web@8001.service", "KILL")
    assert trio.await_group("blue", not_on=node)["node"] != node


def test_D08_hung_service_is_seen_by_its_watchdog(trio):
    trio.apply({"hung": config.group("hung", ["n1", "n2", "n3"], unit="web@8009.service").replace("Unit=web@8009.service", "Unit=web@8009.service\nWatchdogSec=1s")}, node="n1")
    node = trio.await_group("hung")["node"]
    before = running_since(trio.lab, node, "web@8009.service")
    trio.lab.signal(node, "web@8009.service", "STOP")
    trio.lab.until("a restart", lambda: running_since(trio.lab, node, "web@8009.service")[0] not in ("0", before[0]), 15)
    trio.await_group("hung")


@pytest.mark.parametrize("failback", ["automatic", "controlled", "never"])
def test_D11_failback(quad, failback):
    """N x 1: n4 takes over for n1; what happens when n1 is back is the policy's."""
    lab = quad.lab
    policy = "[Policy]\nDescription=Test\nPlacement=ordered\nFailback=%s\nStandbyLoad=1\n" % failback
    groups = {"one": config.web("one", ["n1"], 1, "back_" + failback, ["n4"])}
    quad.apply(groups, {"back_" + failback: policy}, node="n2")
    quad.await_group("one", on="n1")
    lab.kill("n1")
    quad.await_group("one", on="n4", node="n2")
    quad.await_up(timeout=40)
    if failback == "automatic":
        quad.await_group("one", on="n1")
        return
    time.sleep(2)
    assert quad.group("one")["node"] == "n4"
    quad.hactl("group", "move", "one", "n1")
    quad.await_group("one", on="n1")


def test_D03_group_that_runs_on_two_nodes_is_told_and_the_stray_is_stopped(trio):
    """Past the guard, with an ownership file made by hand. What was ordered stays."""
    lab = trio.lab
    assert trio.group("blue")["node"] == "n2"
    process = lab.processes("n2", "web@8001.service")
    lab.run("n3", "sh", "-c", "mkdir -p /run/hamgr/owned && touch /run/hamgr/owned/blue")
    lab.run("n3", "systemctl", "start", "web@8001.service")
    lab.until("the stray to be stopped", lambda: unit(lab, "n3", "web@8001.service", "ActiveState") == "inactive", 20)
    for node in trio.nodes():
        log = lab.until("%s to tell" % node, lambda n=node: [
            line for line in lab.journal(n, "--unit=hamgr", "--boot").splitlines() if "group_conflict blue" in line], 10)
        assert "found running on n2, n3 at once; nothing more of it is started" in log[0], log
    assert "its group was not started here; stopping it here" in lab.journal("n3", "--unit=hamgr", "--boot")
    trio.await_group("blue", on="n2")
    assert lab.processes("n2", "web@8001.service") == process
    lab.checker("forgive")  # it saw what was done by hand


def hold_file_system(lab, node):
    """Somebody else has the shop's file system in a mount namespace of his own, so that no unmount ends it."""
    lab.run(node, "systemd-run", "--quiet", "--unit=holder", "unshare", "--mount", "--propagation", "private", "sleep", "1000")
    lab.until("it to be held", lambda: lab.run(node, "pgrep", "-x", "-f", "sleep 1000", check=False)["out"], 10)


def test_D13_node_on_which_a_stop_fails_is_fenced_before_another_starts(trio):
    lab = trio.lab
    hold_file_system(lab, "n1")
    boots = lab.boots("n1")
    trio.hactl("group", "move", "shop", "n2", "--no-block", node="n2")
    trio.await_group("shop", on="n2", node="n2", timeout=40)
    assert "shop cannot be stopped on n1" in trio.hactl("fence", "history", node="n2")
    trio.await_up(timeout=40)
    assert lab.boots("n1") == boots + 1


def test_D13_stop_that_fails_blocks_the_group_where_the_policy_says_so(trio):
    lab = trio.lab
    trio.apply({"shop": config.shop(3, "careful")}, {"careful": "[Policy]\nOnStopFailure=block\n"}, node="n1")
    hold_file_system(lab, "n1")
    boots = lab.boots("n1")
    trio.hactl("group", "move", "shop", "n2", "--no-block")
    group = trio.await_group("shop", "blocked", timeout=40)
    assert group["node"] == "n1" and "stop failed on n1" in group["reason"], group
    assert lab.owners("disk shared") in (["n1"], []) and lab.boots("n1") == boots
    lab.run("n1", "systemctl", "stop", "holder.service")
    trio.hactl("group", "cleanup", "shop")
    trio.await_group("shop", timeout=40)


def test_D14_group_without_a_usable_node_says_so_and_starts_when_one_returns(trio):
    for node in trio.nodes():
        trio.hactl("node", "standby", node)
    group = trio.await_group("blue", "failed")
    assert group["node"] == "" and "no node is left that could run it" in group["reason"], group
    assert all(node in group["reason"] for node in trio.nodes()), group
    trio.hactl("node", "unstandby", "n3")
    trio.await_group("blue", on="n3")


def test_D16_starting_what_runs_and_stopping_what_is_stopped_succeeds(trio):
    lab = trio.lab
    node = trio.group("blue")["node"]
    before = running_since(lab, node, "web@8001.service")
    for _ in range(2):
        trio.hactl("group", "start", "blue")
    assert running_since(lab, node, "web@8001.service") == before
    for _ in range(2):
        trio.hactl("group", "stop", "blue")
    trio.await_group("blue", "stopped")
    trio.hactl("group", "start", "blue")
    trio.await_group("blue")


def test_D19_systemd_itself_refuses_a_managed_unit_elsewhere(trio):
    lab = trio.lab
    owner = trio.group("shop")["node"]
    for node in trio.nodes():
        if node == owner:
            continue
        done = lab.run(node, "systemctl", "start", "shop.service", check=False)
        assert done["status"] != 0
        assert "ssert" in done["err"], done["err"]
        assert unit(lab, node, "shop.service", "ActiveState") == "inactive"
        assert lab.run(node, "systemctl", "start", "--job-mode=ignore-dependencies", "shop.service", check=False)["status"] != 0
    # The guard stands at boot, before anything is decided.
    lab.off(owner)
    lab.on(owner)
    done = lab.run(owner, "systemctl", "start", "shop.service", check=False)
    assert done["status"] != 0 or trio.group("shop")["node"] == owner


@pytest.mark.parametrize("how", ["KILL", "restart"])
def test_D21_nothing_is_restarted_with_hamgr(trio, how):
    lab = trio.lab
    node = trio.group("shop")["node"]
    boots = lab.boots(node)
    before = {name: running_since(lab, node, name) for name in shop_units()}
    lab.watch_shop("unbroken")
    lab.first_answer(0, "unbroken")
    event = boottime()
    pid = unit(lab, node, "hamgr.service", "MainPID")
    if how == "KILL":
        lab.signal(node, "hamgr.service", "KILL")
    else:
        lab.run(node, "systemctl", "restart", "hamgr.service")
    lab.until("hamgr again", lambda: unit(lab, node, "hamgr.service", "MainPID") not in ("0", pid), 10)
    trio.await_up()
    trio.await_group("shop", on=node)
    time.sleep(0.5)
    assert {name: running_since(lab, node, name) for name in shop_units()} == before
    assert lab.boots(node) == boots
    assert lab.interruptions("unbroken", event) == []
    lab.client("forget", name="unbroken")
    # And it is managed again.
    lab.signal(node, "shop.service", "KILL")
    lab.until("a new process", lambda: running_since(lab, node, "shop.service")[0] not in ("0", before["shop.service"][0]), 10)


def test_D21_hamgr_is_restarted_as_often_as_one_likes(trio):
    """Deaths of a critical member are bounded, restarts are not; none of them looks like a failure."""
    lab = trio.lab
    node = trio.group("shop")["node"]
    boots, before = lab.boots(node), running_since(lab, node, "shop.service")
    since = lab.run(node, "date", "+%s.%N").strip()
    for _ in range(6):
        lab.run(node, "systemctl", "restart", "hamgr.service")
        trio.await_up()
    assert lab.boots(node) == boots and running_since(lab, node, "shop.service") == before
    said = lab.journal(node, "--unit=hamgr.service", "--since=@" + since)
    assert "is being restarted" in said and "Failed with result" not in said, said


@pytest.mark.parametrize("how", ["KILL", "restart"])
def test_D21_hamgr_does_not_wait_for_a_unit_that_takes_its_time(trio, how):
    """A restart that waited for what hamgr manages would last longer than its grace, and the node would be reset."""
    lab = trio.lab
    trio.await_group("green", on="n3")
    boots = lab.boots("n3")
    trio.hactl("group", "stop", "green")
    lab.run("n3", "sh", "-c", "mkdir -p /run/systemd/system/web@8002.service.d && cd /run/systemd/system/web@8002.service.d"
            " && printf '[Service]\nExecStartPre=/usr/bin/sleep 8\n' > slow.conf && systemctl daemon-reload")
    try:
        trio.hactl("--no-block", "group", "start", "green")
        lab.until("the slow start", lambda: unit(lab, "n3", "web@8002.service", "ActiveState") == "activating", 10)
        pid = unit(lab, "n3", "hamgr.service", "MainPID")
        if how == "KILL":
            lab.signal("n3", "hamgr.service", "KILL")
        else:
            lab.run("n3", "systemctl", "restart", "hamgr.service")
        lab.until("hamgr again", lambda: unit(lab, "n3", "hamgr.service", "MainPID") not in ("0", pid), 4)
        assert unit(lab, "n3", "web@8002.service", "ActiveState") == "activating"
        trio.await_group("green", on="n3")
    finally:
        lab.run("n3", "sh", "-c", "rm -f /run/systemd/system/web@8002.service.d/slow.conf; systemctl daemon-reload")
    assert lab.boots("n3") == boots


def test_D21_hamgr_begins_without_the_bus_and_comes_to_it_later(trio):
    """A node whose hamgr needs D-Bus to begin would be reset for the want of it."""
    lab = trio.lab
    node = trio.group("shop")["node"]
    boots = lab.boots(node)
    before = running_since(lab, node, "shop.service")
    pid = unit(lab, node, "hamgr.service", "MainPID")
    lab.run(node, "systemctl", "stop", "dbus.socket", "dbus.service")
    lab.signal(node, "hamgr.service", "KILL")
    lab.until("hamgr again", lambda: unit(lab, node, "hamgr.service", "MainPID") not in ("0", pid), 10)
    other = next(name for name in trio.nodes() if name != node)
    trio.await_node(node, "up", node=other)
    # It acts.
    lab.signal(node, "shop.service", "KILL")
    lab.until("a new process", lambda: running_since(lab, node, "shop.service")[0] not in ("0", before[0]), 10)
    lab.run(node, "systemctl", "start", "dbus.socket")
    lab.until("hactl", lambda: trio.hactl("status", node=node, check=False)["status"] == 0, 10)
    lab.run(node, "systemctl", "restart", "dbus.service")
    lab.until("hactl", lambda: trio.hactl("status", node=node, check=False)["status"] == 0, 10)
    assert lab.boots(node) == boots
    trio.await_up()


def test_D20_what_an_operator_stopped_stays_stopped_until_somebody_starts_it(trio):
    """Also when hamgr begins anew meanwhile; a start by hand ends it as well as one by hactl."""
    lab = trio.lab
    node = trio.group("blue")["node"]
    service = "web@8001.service"
    lab.run(node, "systemctl", "stop", service)
    trio.await_group("blue", "held", on=node)
    lab.run(node, "systemctl", "restart", "hamgr.service")
    trio.await_up()
    time.sleep(1)
    assert trio.await_group("blue", "held")["node"] == node
    assert unit(lab, node, service, "ActiveState") == "inactive"
    lab.run(node, "systemctl", "start", service)
    trio.await_group("blue", on=node)
    # And it is managed again.
    before = running_since(lab, node, service)[0]
    lab.signal(node, service, "KILL")
    lab.until("a new process", lambda: running_since(lab, node, service)[0] not in ("0", before), 10)

    lab.run(node, "systemctl", "stop", service)
    trio.await_group("blue", "held", on=node)
    lab.run(node, "systemctl", "stop", "hamgr-blue-vip.service")
    lab.until("the address to be shown stopped", lambda: [r["state"] for r in trio.group("blue")["resources"]] == ["stopped", "stopped"], 5)
    refused = trio.hactl("group", "move", "blue", check=False)
    assert refused["status"] == 1 and "is held" in refused["err"] and "hactl group start blue" in refused["err"], refused
    trio.hactl("group", "start", "blue")
    trio.await_group("blue", on=node)
