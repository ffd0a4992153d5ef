# SPDX-License-Identifier: LGPL-2.1-or-later
"""The drive against real systemd."""

import os
import re
import signal
import statistics
import subprocess
import time

from container import REBOOT, system

STARTED = ("STARTED", "START_FAILED")
STOPPED = ("STOPPED", "STOP_FAILED")


def start(driver, group, number=1):
    driver.order("start", group, number)
    event = driver.wait(*STARTED, group=group)
    assert event["type"] == "STARTED" and event["assignment"] == str(number), event
    return event


def stop(driver, group, number=2):
    driver.order("stop", group, number)
    event = driver.wait(*STOPPED, group=group)
    assert event["type"] == "STOPPED" and event["assignment"] == str(number), event
    return event


def until(condition, what, limit=5):
    """Asks until it is so; for what nobody tells us of."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, what + " did not come"
        time.sleep(0.002)


def show(what, seconds):
    figures = [1000 * s for s in seconds]
    print("%s: min %.1f median %.1f max %.1f ms of %d" % (
        what, min(figures), statistics.median(figures), max(figures), len(figures)))
    return statistics.median(figures)


def order_of(node, since, *patterns):
    """The places in the journal at which the patterns occur, which must all be there."""
    text = node.journal("--after-cursor", since)
    places = []
    for pattern in patterns:
        match = re.search(pattern, text)
        assert match, "%s is not in\n%s" % (pattern, text)
        places.append(match.start())
    return places


def ignores(process, number):
    with open("/proc/%d/status" % process, encoding="ascii") as file:
        mask = int(re.search(r"SigIgn:\s*(\w+)", file.read()).group(1), 16)
    return mask >> (number - 1) & 1


def cursor(node):
    return node.run("journalctl", "-n", "0", "--show-cursor").stdout.split("cursor: ")[1].strip()


def test_starts_in_order_and_stops_in_reverse(node, driver):
    """D04"""
    since = cursor(node)
    start(driver, "shop")
    places = order_of(node, since, "Started hamgr-shop-data", "Started hamgr-shop-vip", "Started shop.service")
    assert places == sorted(places)
    assert "192.0.2.10/24" in node.run("ip", "addr").stdout
    assert node.run("findmnt", "-n", "/srv/shop").returncode == 0

    since = cursor(node)
    stop(driver, "shop")
    places = order_of(node, since, "Stopped shop.service", "Stopped hamgr-shop-vip", "Stopped hamgr-shop-data")
    assert places == sorted(places)
    assert "192.0.2.10/24" not in node.run("ip", "addr").stdout
    assert node.run("findmnt", "-n", "/srv/shop", check=False).returncode != 0


def test_how_long_a_start_and_a_stop_take(node, driver):
    starts, stops = [], []
    for number in range(1, 11):
        before = system.boottime()
        starts.append(start(driver, "fast", number)["time"] - before)
        before = system.boottime()
        stops.append(stop(driver, "fast", number)["time"] - before)
    assert show("start of one unit", starts) < 100
    assert show("proven stop of one unit", stops) < 100
    starts, stops = [], []
    for number in range(1, 6):
        before = system.boottime()
        starts.append(start(driver, "shop", number)["time"] - before)
        before = system.boottime()
        stops.append(stop(driver, "shop", number)["time"] - before)
    show("start of mount, address and unit", starts)
    show("proven stop of them", stops)


def test_orders_that_repeat_themselves_succeed(node, driver):
    """D16"""
    start(driver, "shop", 1)
    processes = node.unit_processes("shop.service")
    start(driver, "shop", 2)
    assert node.unit_processes("shop.service") == processes
    stop(driver, "shop", 3)
    stop(driver, "shop", 4)


def test_a_start_that_fails_is_told_with_its_reason(node, driver):
    """D12"""
    driver.order("start", "broken", 1)
    event = driver.wait(*STARTED, group="broken")
    assert (event["type"], event["resource"], event["reason"], event["status"]) == (
        "START_FAILED", "app", "exit-code", "7")
    assert "broken.service exited with status 7" in event["text"]
    assert driver.order("state", "broken") == "failed"
    stop(driver, "broken")


def test_a_start_that_takes_too_long_is_told(node, driver):
    """D12"""
    before = time.monotonic()
    driver.order("start", "slow", 1)
    event = driver.wait(*STARTED, group="slow")
    assert event["type"] == "START_FAILED" and event["reason"] == "timeout"
    assert 0.9 < time.monotonic() - before < 2
    stop(driver, "slow")
    assert node.active("slow.service") == "inactive" or not node.unit_processes("slow.service")


def test_a_stop_ends_a_start_in_progress(node, driver):
    driver.order("start", "slow", 1)
    stop(driver, "slow", 2)


def test_a_stop_that_hangs_is_helped_by_sigkill(node, driver):
    """D13"""
    start(driver, "stubborn")
    process, = node.unit_processes("stubborn.service")[:1]
    until(lambda: ignores(process, signal.SIGTERM), "the shell's trap")
    before = time.monotonic()
    stop(driver, "stubborn")
    assert 0.9 < time.monotonic() - before < 2.5
    assert not node.unit_processes("stubborn.service")


def test_a_stop_that_nothing_helps_is_told(node, driver):
    """D13: the file system lives on in a mount namespace of somebody else."""
    start(driver, "shop")
    keeper = subprocess.Popen(node.command("unshare", "--mount", "--propagation", "private", "sleep", "1000"))
    try:
        until(lambda: node.run("pgrep", "-x", "-f", "sleep 1000", check=False).stdout, "the keeper's own namespace")
        driver.order("stop", "shop", 2)
        event = driver.wait(*STOPPED, group="shop")
        assert (event["type"], event["resource"], event["reason"]) == ("STOP_FAILED", "data", "leftover"), event
        assert driver.order("state", "shop") == "stop-failed"
        driver.order("start", "shop", 3, ok=False)
    finally:
        node.run("pkill", "-f", "^sleep 1000$", check=False)
        keeper.wait(10)
    stop(driver, "shop", 4)


def test_processes_left_behind_are_killed(node, driver):
    start(driver, "untidy")
    until(lambda: len(node.unit_processes("untidy.service")) >= 2, "the process that is left behind")
    stop(driver, "untidy")
    assert not node.unit_processes("untidy.service")


def test_a_killed_service_is_told_within_milliseconds(node, driver):
    start(driver, "fast")
    told, back = [], []
    for number in range(2, 22):
        moment = node.kill_unit("fast.service")
        event = driver.wait("RESOURCE_FAILED")
        assert (event["resource"], event["reason"], event["status"]) == ("app", "signal", "9"), event
        told.append(event["time"] - moment)
        driver.order("restart", "fast", number, "app")
        back.append(driver.wait(*STARTED)["time"] - moment)
    assert show("kill -9 to the event", told) < 20
    assert show("kill -9 to restarted in place", back) < 50


def test_a_restart_takes_what_comes_after(node, driver):
    start(driver, "shop")
    since = cursor(node)
    address_pid, mount_pid = node.unit_processes("hamgr-shop-vip.service"), node.unit_processes("hamgr-shop-data.service")
    node.kill_unit("hamgr-shop-vip.service")
    event = driver.wait("RESOURCE_FAILED")
    assert event["resource"] == "vip"
    driver.order("restart", "shop", 2, "vip")
    assert driver.wait(*STARTED)["type"] == "STARTED"
    places = order_of(node, since, "Stopped shop.service", "Started hamgr-shop-vip", "Started shop.service")
    assert places == sorted(places)
    assert node.unit_processes("hamgr-shop-vip.service") != address_pid
    assert node.unit_processes("hamgr-shop-data.service") == mount_pid


def test_a_missed_watchdog_is_told(node, driver):
    start(driver, "hung")
    event = driver.wait("RESOURCE_FAILED", group="hung", timeout=5)
    assert event["reason"] == "watchdog"


def test_the_guard_refuses_what_is_not_owned(node, driver):
    """D19"""
    for unit in ("shop.service", "fast.service"):
        refused = node.run("systemctl", "start", unit, check=False)
        assert refused.returncode != 0 and "ssert" in refused.stderr
        assert node.active(unit) != "active"
    text = node.run("systemctl", "cat", "shop.service").stdout
    assert "AssertPathExists=/run/hamgr/owned/shop" in text and "AssertPathIsMountPoint=/srv/shop" in text
    start(driver, "fast")
    assert node.run("systemctl", "start", "fast.service", check=False).returncode == 0
    assert node.run("systemctl", "show", "-P", "Restart", "shop.service").stdout.strip() == "no"
    assert node.run("systemctl", "show", "-P", "WatchdogUSec", "hung.service").stdout.strip() == "300ms"


def test_an_operators_stop_is_told_apart(node, driver):
    """D20"""
    for number in range(1, 6):
        start(driver, "fast", number)
        node.run("systemctl", "stop", "fast.service")
        event = driver.wait("OPERATOR_STOPPED", "RESOURCE_FAILED")
        assert event["type"] == "OPERATOR_STOPPED" and event["resource"] == "app"
        assert driver.order("state", "fast") == "failed"
    start(driver, "fast", 6)
    node.kill_unit("fast.service", signal.SIGTERM)  # systemd takes that for a clean end; nobody asked for it
    event = driver.wait("OPERATOR_STOPPED", "RESOURCE_FAILED")
    assert event["type"] == "RESOURCE_FAILED" and event["reason"] == "signal"


def test_a_hand_that_stopped_it_starts_it_again(node, driver):
    """D20"""
    start(driver, "fast", 1)
    node.run("systemctl", "stop", "fast.service")
    driver.wait("OPERATOR_STOPPED")
    node.run("systemctl", "start", "fast.service")
    assert driver.wait(*STARTED, group="fast")["assignment"] == "1"
    node.kill_unit("fast.service")
    assert driver.wait("OPERATOR_STOPPED", "RESOURCE_FAILED")["type"] == "RESOURCE_FAILED"


def test_an_operators_restart_is_nothing(node, driver):
    start(driver, "fast")
    node.run("systemctl", "restart", "fast.service")
    driver.quiet(("RESOURCE_FAILED", "OPERATOR_STOPPED"), 0.3)
    assert driver.order("state", "fast") == "running"


def test_an_operators_restart_that_fails_is_a_failure(node, driver):
    """Whoever wants it restarted wants it to run."""
    start(driver, "moody")
    node.run("touch", "/run/moody")
    try:
        assert node.run("systemctl", "restart", "moody.service", check=False).returncode != 0
    finally:
        node.run("rm", "/run/moody")
    event = driver.wait("OPERATOR_STOPPED", "RESOURCE_FAILED")
    assert (event["type"], event["reason"]) == ("RESOURCE_FAILED", "exit-code"), event


def test_a_stop_by_systemd_itself_is_a_failure(node, driver):
    """What the unit is bound to failed; stopped by hand, it is a stop by hand."""
    start(driver, "bound", 1)
    node.kill_unit("base.service")
    event = driver.wait("OPERATOR_STOPPED", "RESOURCE_FAILED")
    assert (event["type"], event["reason"]) == ("RESOURCE_FAILED", "dependency"), event
    assert "because base.service, which it is bound to, failed" in event["text"]
    start(driver, "bound", 2)
    node.run("systemctl", "stop", "base.service")
    assert driver.wait("OPERATOR_STOPPED", "RESOURCE_FAILED")["type"] == "OPERATOR_STOPPED"


def test_an_operators_stop_is_not_guessed(node, driver):
    """As long as systemd does not say whether the machine shuts down."""
    start(driver, "moody")
    node.run("systemctl", "stop", "--no-block", "moody.service")
    until(lambda: node.active("moody.service") == "deactivating", "the stop")
    driver.order("state", "moody")  # by now it knows what job that is
    node.kill_unit("hamgr.service", signal.SIGSTOP)
    until(lambda: node.active("moody.service") == "inactive", "the end of the stop")
    os.kill(node.pid, signal.SIGSTOP)
    try:
        node.kill_unit("hamgr.service", signal.SIGCONT)
        driver.quiet(("OPERATOR_STOPPED", "RESOURCE_FAILED"), 3)
    finally:
        os.kill(node.pid, signal.SIGCONT)
    assert driver.wait("OPERATOR_STOPPED", "RESOURCE_FAILED")["type"] == "OPERATOR_STOPPED"


def test_what_runs_is_adopted(node, driver):
    """D21"""
    start(driver, "shop", 5)
    before = [node.unit_processes(unit) for unit in ("shop.service", "hamgr-shop-vip.service", "hamgr-shop-data.service")]
    node.kill_unit("hamgr.service")
    driver.connect()
    driver.settled("shop")
    driver.order("adopt", "shop", 5)
    assert driver.wait(*STARTED, "RESOURCE_FAILED", group="shop")["type"] == "STARTED"
    after = [node.unit_processes(unit) for unit in ("shop.service", "hamgr-shop-vip.service", "hamgr-shop-data.service")]
    assert before == after and all(after)
    node.kill_unit("shop.service")
    assert driver.wait("RESOURCE_FAILED")["resource"] == "app"


def test_a_restart_of_our_unit_leaves_everything(node, driver):
    start(driver, "shop", 5)
    before = node.unit_processes("shop.service")
    node.run("systemctl", "restart", "hamgr.service")
    driver.connect()
    assert node.unit_processes("shop.service") == before


def test_what_failed_meanwhile_is_found(node, driver):
    start(driver, "shop", 5)
    node.run("systemctl", "kill", "-s", "STOP", "hamgr.service")
    node.kill_unit("shop.service")
    node.kill_unit("hamgr.service")
    driver.connect()
    driver.settled("shop")
    driver.order("adopt", "shop", 6)
    event = driver.wait("RESOURCE_FAILED", "STARTED", group="shop")
    assert (event["type"], event["resource"]) == ("RESOURCE_FAILED", "app")


def test_a_stray_start_is_told(node, driver):
    """The ownership file made by hand: then systemd does start it, and it is told."""
    node.run("sh", "-c", "mkdir -p /run/hamgr/owned && touch /run/hamgr/owned/fast")
    node.run("systemctl", "start", "fast.service")
    assert driver.wait("STRAY")["group"] == "fast"


def test_leftovers_of_a_killed_agent_are_removed(node, driver):
    """Its ExecStopPost= fails too, since the program is away."""
    start(driver, "shop")
    for unit, program in (("hamgr-shop-vip.service", "ha-ip"), ("hamgr-shop-data.service", "ha-mount")):
        path = node.root + "/usr/lib/hamgr/" + program
        os.rename(path, path + ".away")
        node.kill_unit(unit)
        while node.active(unit) != "failed":
            time.sleep(0.01)
        os.rename(path + ".away", path)
    assert "192.0.2.10" in node.run("ip", "addr").stdout
    assert node.run("findmnt", "-n", "/srv/shop").returncode == 0
    driver.wait("RESOURCE_FAILED")
    stop(driver, "shop")
    assert "192.0.2.10" not in node.run("ip", "addr").stdout
    assert node.run("findmnt", "-n", "/srv/shop", check=False).returncode != 0


def test_an_address_that_somebody_else_added_is_a_stop_that_failed(node, driver):
    """As long as the node answers for it, nobody else may take it."""
    node.run("ip", "addr", "add", "192.0.2.10/24", "dev", "eth0")
    driver.order("stop", "shop", 2)
    event = driver.wait(*STOPPED, group="shop")
    node.run("ip", "addr", "del", "192.0.2.10/24", "dev", "eth0")
    assert (event["type"], event["resource"], event["reason"]) == ("STOP_FAILED", "vip", "leftover")
    stop(driver, "shop", 3)


def test_a_start_goes_on_after_systemd_is_reexecuted(node, driver):
    start(driver, "fast")
    node.run("systemctl", "daemon-reexec")
    moment = node.kill_unit("fast.service")
    event = driver.wait("RESOURCE_FAILED", timeout=5)
    assert event["time"] - moment < 2
    start(driver, "fast", 3)


def test_a_call_that_was_lost_with_systemds_connection_is_made_again(node, driver):
    os.kill(node.pid, signal.SIGSTOP)
    driver.order("start", "shop", 1)  # waits in the socket of a systemd that is re-executed before it reads it
    os.kill(node.pid, signal.SIGTERM)
    os.kill(node.pid, signal.SIGCONT)
    event = driver.wait(*STARTED, group="shop", timeout=15)
    assert event["type"] == "STARTED", event
    stop(driver, "shop")


def test_with_a_bus_that_stands_still_it_goes_on(node, driver):
    """Calls over it are given up, and so are connections that it accepts and does not serve."""
    bus = node.unit_processes("dbus.service")
    number = 0
    try:
        for pid in bus:
            os.kill(pid, signal.SIGSTOP)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            number += 2
            start(driver, "patient", number)
            stop(driver, "patient", number + 1)
            time.sleep(0.2)
    finally:
        for pid in bus:
            os.kill(pid, signal.SIGCONT)


def test_without_the_bus_it_still_stops(node, driver):
    start(driver, "shop")
    node.run("sh", "-c", "systemctl stop dbus.socket dbus.service 2>&1; true")
    assert driver.wait("CONNECTED", timeout=15)["text"].endswith("without the system bus")
    stop(driver, "shop")
    start(driver, "fast", 8)
    node.kill_unit("fast.service")
    assert driver.wait("RESOURCE_FAILED")["reason"] == "signal"
    node.run("systemctl", "start", "dbus.socket")
    event = driver.wait("CONNECTED", timeout=20)
    assert event["text"].endswith("over the system bus")


def test_validation_names_what_is_wrong(node, driver):
    node.write("/etc/drive-test-bad/bad.group", """[Group]
Domain=n1

[Mount data]
What=/dev/disk/by-label/nowhere
Where=/srv/nowhere
Type=ext4

[Address vip]
Address=192.0.2.77/24
Interface=eth7

[Unit app]
Unit=missing.service

[Unit enabled]
Unit=enabled.service

[Unit once]
Unit=once.service
""")
    node.write("/etc/systemd/system/enabled.service", "[Service]\nExecStart=/bin/sleep 9\n[Install]\nWantedBy=rescue.target\n")
    node.write("/etc/systemd/system/once.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
    node.run("systemctl", "enable", "enabled.service")
    node.run("ip", "addr", "add", "192.0.2.77/24", "dev", "lo")
    node.write("/etc/fstab", "/dev/disk/by-label/nowhere /srv/nowhere ext4 defaults 0 0\n")
    driver.order("validate", "/etc/drive-test-bad")
    text = driver.answer("validated")
    node.write("/etc/fstab", "")
    node.run("ip", "addr", "del", "192.0.2.77/24", "dev", "lo")
    node.run("systemctl", "disable", "enabled.service")
    for words in ("bad.group:4: What=", "bad.group:4: Where=/srv/nowhere", "noauto", "no such interface",
                  "is configured on lo", "missing.service: this node has no such unit", "enabled.service is enabled",
                  "once.service has Type=oneshot"):
        assert words in text, (words, text)

    driver.order("validate", "/etc/drive-test")
    assert "errors= warnings=" in driver.answer("validated")


def test_a_configuration_taken_away_stops_being_guarded(node, driver):
    node.write("/etc/systemd/system/extra.service", "[Service]\nExecStart=/bin/sleep 1000\n")
    node.write("/etc/drive-test/extra.group", "[Group]\nDomain=n1\n\n[Unit app]\nUnit=extra.service\n")
    try:
        driver.order("configure")
        assert driver.wait("GUARDED", "GUARD_FAILED")["type"] == "GUARDED"
        driver.settled("extra")
        assert node.run("systemctl", "start", "extra.service", check=False).returncode != 0
        start(driver, "extra")
    finally:
        os.unlink(node.root + "/etc/drive-test/extra.group")
    driver.order("configure")
    driver.wait("GUARDED")
    stop(driver, "extra", 3)  # known until it is stopped
    driver.wait("GUARDED")
    node.run("systemctl", "start", "extra.service")
    node.run("systemctl", "stop", "extra.service")


def test_why_we_are_stopped(node, driver):
    driver.order("leaving")
    assert driver.answer("leaving") == "leaving answer=not"


def test_a_reboot_stops_in_the_right_order(node, driver):
    """D20: the drain of the node, not an operator's wish. Last: it ends the container."""
    start(driver, "shop", 7)
    since = cursor(node)
    moment = time.monotonic()
    node.run("systemctl", "reboot", check=False)
    assert node.ended(timeout=30) == REBOOT
    took = time.monotonic() - moment
    print("reboot with a group running: %.2f s" % took)
    assert took < 10

    node.boot()
    text = node.journal("-b", "-1", "--after-cursor", since)
    places = [text.find(words) for words in (
        "leaving: shutdown", "Stopped shop.service", "Stopped hamgr-shop-vip", "Stopped hamgr-shop-data", "drained",
        "Stopped hamgr.service")]
    assert -1 not in places and places == sorted(places), (places, text)
    assert "OPERATOR_STOPPED" not in text and "RESOURCE_FAILED" not in text

    # The service could still see its address and its mount when it was stopped.
    start(node.driver, "shop", 8)
    seen = node.run("cat", "/srv/shop/seen-at-stop").stdout
    assert "/srv/shop" in seen and "192.0.2.10/24" in seen
    stop(node.driver, "shop", 9)
