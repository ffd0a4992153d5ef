# SPDX-License-Identifier: LGPL-2.1-or-later
"""HAMGR_BUILD names the build directory (default: the lab's own, which is built if need be)."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from container import Container, image  # noqa: E402

SHOP_GROUP = """[Group]
Domain=n1

[Mount data]
What=/dev/shared
Where=/srv/shop
Type=ext4

[Address vip]
Address=192.0.2.10/24
Interface=eth0

[Unit app]
Unit=shop.service
StopSec=2s
"""

SHOP_UNIT = """[Service]
ExecStart=/bin/sleep 1000000
ExecStop=/bin/sh -c 'findmnt -n /srv/shop >/srv/shop/seen-at-stop; ip -o -4 addr show eth0 >>/srv/shop/seen-at-stop'
Restart=always
RestartSec=0
"""


def build_directory():
    given = os.environ.get("HAMGR_BUILD")
    if given:
        return given
    with image.locked("layer"):
        return image.build()


def group(unit, **settings):
    lines = ["[Group]", "Domain=n1", "", "[Unit app]", "Unit=" + unit]
    return "\n".join(lines + ["%s=%s" % item for item in settings.items()]) + "\n"


@pytest.fixture(scope="session")
def node():
    if os.geteuid() != 0:
        pytest.fail("the tests of the drive need root")
    container = Container(build_directory())
    try:
        container.prepare()
        container.write("/etc/drive-test/shop.group", SHOP_GROUP)
        container.write("/etc/systemd/system/shop.service", SHOP_UNIT)
        units = {
            # does not end when asked, but can be killed
            "stubborn": "ExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'\nTimeoutStopSec=60s\n",
            # fails to start
            "broken": "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'exit 7'\n",
            # is never ready
            "slow": "Type=notify\nExecStart=/bin/sleep 1000\nTimeoutStartSec=60s\n",
            # leaves a process behind when it is stopped
            "untidy": "KillMode=process\nExecStart=/bin/sh -c 'sleep 1000 & sleep 1001; true'\n",
            # two that are killed and timed
            "fast": "ExecStart=/bin/sleep 1000\n",
            # never pets its watchdog
            "hung": "ExecStart=/bin/sleep 1000\n",
            # does not start when it is told not to
            "moody": "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c '! test -e /run/moody'\n"
                     "ExecStop=/bin/sleep 0.5\n",
            # goes when another goes
            "bound": "ExecStart=/bin/sleep 1000\n[Unit]\nBindsTo=base.service\nAfter=base.service\n",
            # with the default time limits
            "patient": "ExecStart=/bin/sleep 1000\n",
        }
        for name, text in units.items():
            container.write("/etc/systemd/system/%s.service" % name, "[Service]\n" + text)
            settings = {} if name in ("moody", "patient") else {"StartSec": "1s", "StopSec": "1s"}
            if name == "hung":
                settings["WatchdogSec"] = "300ms"
            container.write("/etc/drive-test/%s.group" % name, group(name + ".service", **settings))
        container.write("/etc/systemd/system/base.service", "[Service]\nExecStart=/bin/sleep 1000\n")
        os.makedirs(container.root + "/srv/shop", exist_ok=True)
        container.boot()
        yield container
        said = container.journal("-u", "hamgr.service")
        assert "Sanitizer" not in said and "runtime error" not in said, said
    finally:
        container.remove()


@pytest.fixture
def driver(node):
    """A connection, with every group stopped before and after."""
    node.driver.connect()
    _stop_all(node)
    yield node.driver
    _stop_all(node)


def _stop_all(node):
    for name in sorted(os.listdir(node.root + "/etc/drive-test")):
        name = name.removesuffix(".group")
        if node.driver.settled(name) == "stopped":
            continue
        if node.driver.order("state", name) != "stopping":
            node.driver.order("stop", name, 999)
        node.driver.wait("STOPPED", group=name)
