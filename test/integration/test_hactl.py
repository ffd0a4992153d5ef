# SPDX-License-Identifier: LGPL-2.1-or-later
"""What hactl says to a hand that slipped, before it asks anybody: what, why, and what to do."""

import os
import pty
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hagcd_lab import program  # noqa: E402


def hactl(*arguments):
    environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent/bus")
    done = subprocess.run([program("hactl", "hactl"), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=environment, check=False, timeout=20)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments,said", [
    (["stop", "web"], 'hactl: there is no verb "stop"; is "hactl group stop" meant?\n'),
    (["standby", "n1"], 'hactl: there is no verb "standby"; is "hactl node standby" meant?\n'),
    (["confirm", "n1"], 'hactl: there is no verb "confirm"; is "hactl fence confirm" meant?\n'),
    (["resource", "list"], 'hactl: there is no verb "resource"; "hactl --help" shows them all\n'),
    (["GROUP"], 'hactl: there is no verb "GROUP"; "hactl --help" shows them all\n'),
    ([""], 'hactl: there is no verb ""; "hactl --help" shows them all\n'),
    (["status", "web", "db"], "hactl: usage: hactl status [GROUP|NODE]\n"),
    (["group", "move"], "hactl: usage: hactl group start|stop|cleanup GROUP, hactl group move GROUP [NODE]\n"),
])
def test_wrong_words_are_refused_with_the_right_ones(arguments, said):
    assert hactl(*arguments) == (2, said)


def test_unknown_option_is_refused_with_where_they_stand():
    status, said = hactl("apply", "--force")
    assert status == 2 and "'--force'" in said and said.endswith('hactl: "hactl --help" shows all options\n')


def test_bus_that_is_not_there_is_told():
    assert hactl("status") == (
        3, "hactl: cannot reach the system bus: No such file or directory; is dbus.service running?\n")


def test_who_is_not_sure_is_told_that_nothing_was_done():
    outer, inner = pty.openpty()
    with os.fdopen(outer, "rb+", buffering=0):
        os.write(outer, b"y\n")
        done = subprocess.run([program("hactl", "hactl"), "init", "--recreate-store"], stdin=inner,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=20)
        os.close(inner)
    assert done.returncode == 1 and done.stderr == "hactl: not confirmed: nothing was done\n"
