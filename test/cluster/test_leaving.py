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
