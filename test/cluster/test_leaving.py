# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a node that leaves says of what it runs."""

from hamgrlab.cluster import at_once
from hamgrlab.lab import boottime


def test_R09_a_manager_that_was_told_nothing_does_not_say_that_nothing_runs(trio):
    """hamgr ends on the owner and the next oldest, the third has none: forming. Then the owner's hagcd is stopped."""
    lab = trio.lab
    since = boottime()
    trio.await_group("shop")
    owner = trio.group("shop")["node"]
    other, away = [node for node in trio.nodes() if node != owner]
    lab.run(away, "systemctl", "stop", "hamgr.service", timeout=60)
    for group in ("blue", "green"):
        trio.await_group(group, not_on=away)
    at_once(*(lambda n=n: lab.run(n, "systemctl", "kill", "-s", "KILL", "hamgr.service") for n in (owner, other)))
    try:
        lab.until("the cluster to be forming", lambda: "forming" in trio.hactl("status", node=owner), 15)
        lab.run(owner, "systemctl", "stop", "hagcd.service", timeout=60)
        trio.await_node(owner, "detached", node=other)
        lab.run(away, "systemctl", "start", "hamgr.service")
        trio.await_group("shop", "blocked", node=other)
        assert lab.run(owner, "systemctl", "is-active", "shop.service").strip() == "active"
    finally:
        lab.run(away, "systemctl", "start", "hamgr.service")
        lab.run(owner, "systemctl", "start", "hagcd.service", "hamgr.service")
    trio.await_up()
    trio.await_group("shop", on=owner)
    assert lab.crimes(since) == []


def test_F06_order_that_waits_for_a_stopped_hamgr_names_it(trio):
    lab = trio.lab
    hasty = "/etc/systemd/system/hamgr.service.d/hasty.conf"

    def new_hamgr():
        """On n1, and by that nothing else is changed (D21)."""
        lab.run("n1", "sh", "-c", "systemctl daemon-reload && systemctl kill -s KILL hamgr.service")
        trio.await_up()

    try:
        lab.write("n1", hasty, "[Service]\nExecStart=\nExecStart=/usr/sbin/hamgr --order-timeout=2\n")
        new_hamgr()
        lab.run("n3", "systemctl", "stop", "hamgr.service", timeout=60)
        assert "hamgr is stopped there" in trio.hactl("status", node="n1")
        done = trio.hactl("node", "standby", "n3", node="n1", check=False)
        assert done["status"] == 1, done
        assert "within 2 s: waiting for n3 (hamgr does not run there; start it: systemctl start hamgr)" in done["err"], done
    finally:
        lab.run("n3", "systemctl", "start", "hamgr.service")
        lab.unlink("n1", hasty)
        new_hamgr()
    assert "stopped there" not in trio.hactl("status", node="n1")
    trio.hactl("node", "unstandby", "n3", node="n1")


def test_A21_a_node_that_shuts_down_votes_until_it_has_left(trio):
    """It needs its store for that, while what runs on it takes its time to stop: another node dies meanwhile."""
    lab = trio.lab
    since = boottime()
    trio.await_group("green", on="n3")
    lab.run("n3", "sh", "-c", "mkdir -p /run/systemd/system/web@8002.service.d && cd /run/systemd/system/web@8002.service.d"
            " && printf '[Service]\\nExecStop=/usr/bin/sleep 8\\n' > slow.conf && systemctl daemon-reload")
    lab.run("n3", "systemctl", "poweroff", check=False)
    trio.await_group("green", "stopping", node="n1")
    lab.kill("n2")
    trio.await_node("n2", "down", node="n1", timeout=5)
    assert trio.group("green", "n1")["state"] == "stopping"
    lab.await_node("n3", "off", timeout=40)
    assert not trio.power_orders("n3", since)


def test_R09_restarting_hagcd_of_a_pair_resets_nobody(duo):
    """A node that restarts hagcd is detached for a moment, and the other is half of the cluster: it waits for it."""
    lab = duo.lab
    since = boottime()
    boots = {node: lab.boots(node) for node in duo.nodes()}
    for node in ("n2", "n1"):
        lab.run(node, "systemctl", "restart", "hagcd.service", timeout=60)
        duo.await_up(timeout=40)
        duo.await_group("left", on="n1", timeout=40)
        duo.await_group("right", on="n2", timeout=40)
    assert {node: lab.boots(node) for node in duo.nodes()} == boots
    assert lab.power_orders(since) == []
