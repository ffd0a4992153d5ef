# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab proves itself: what it says it does to a node is what becomes of the node, its witnesses see what they are
for, and nothing of it is left behind. Without hamgr."""

import glob
import os
import signal
import subprocess
import time

import pytest

from hamgrlab.cluster import at_once
from hamgrlab.lab import Lab, LabError, boottime
from hamgrlab.network import CLIENT_ADDRESS
from hamgrlab.supervisor import control_path, run_folder

ADDRESS = "192.0.2.100"


@pytest.fixture(scope="module")
def lab(keeper):
    keeper.drop()
    with Lab.start(nodes=2, project=False) as one:
        one.on()
        yield one


@pytest.fixture(autouse=True)
def whole(request):
    """Each test finds both nodes on, connected and with nothing of the shop running."""
    if "lab" not in request.fixturenames:
        yield
        return
    lab = request.getfixturevalue("lab")
    lab.heal()
    for node in lab.nodes():
        lab.power(node, "normal")
        lab.off(node)
    lab.on()
    lab.checker("forgive")
    yield


def mount(lab, node):
    lab.run(node, "mount", "-o", "nouuid", "/dev/shared", "/srv/shop")


def take_all(lab, node):
    mount(lab, node)
    lab.run(node, "ip", "address", "add", ADDRESS + "/24", "dev", "public")
    lab.run(node, "arping", "-c", "1", "-U", "-I", "public", ADDRESS, check=False)
    lab.run(node, "systemctl", "start", "shop.service")


def reaches(lab, node, address):
    return lab.run(node, "ping", "-c", "1", "-W", "0.3", address, check=False)["status"] == 0


def fence(lab, node, action, plug, timeout=20):
    return lab.run(
        node, "fence_lab", stdin="action=%s\nip=10.77.9.254\nplug=%s\n" % (action, plug), check=False, timeout=timeout
    )


def test_node_is_a_whole_systemd_machine(lab):
    assert lab.run("n1", "systemctl", "is-system-running").strip() == "running"
    assert lab.run("n1", "cat", "/proc/1/comm").strip() == "systemd"
    assert lab.run("n1", "hostname").strip() == "n1"
    assert lab.run("n1", "busctl", "--system", "list", "--no-pager").count("org.freedesktop.systemd1")


def test_each_boot_has_its_boot_id_and_keeps_its_disk(lab):
    before = lab.run("n1", "cat", "/proc/sys/kernel/random/boot_id")
    other = lab.run("n2", "cat", "/proc/sys/kernel/random/boot_id")
    lab.run("n1", "sh", "-c", "echo kept > /var/lib/kept; sync; echo gone > /run/gone")
    lab.kill("n1")
    lab.off("n1")
    lab.on("n1")
    assert len({before, other, lab.run("n1", "cat", "/proc/sys/kernel/random/boot_id")}) == 3
    assert lab.run("n1", "cat", "/var/lib/kept") == "kept\n"
    assert lab.run("n1", "test", "-e", "/run/gone", check=False)["status"] == 1


def test_killed_node_is_silent_and_stays_dead(lab):
    assert reaches(lab, "n2", "192.0.2.1")
    lab.kill("n1")
    assert lab.node("n1")["state"] == "crashed"
    assert not reaches(lab, "n2", "192.0.2.1")
    with pytest.raises(LabError):
        lab.run("n1", "true")
    assert lab.crimes() == []


def test_killed_node_writes_nothing_any_more(lab):
    mount(lab, "n1")
    lab.run("n1", "sh", "-c", "echo synced > /srv/shop/synced; sync -f /srv/shop; echo lost > /srv/shop/unsynced")
    lab.kill("n1")
    mount(lab, "n2")
    assert lab.run("n2", "cat", "/srv/shop/synced") == "synced\n"
    assert lab.run("n2", "test", "-s", "/srv/shop/unsynced", check=False)["status"] == 1


def test_reset_from_inside_is_counted_and_boots_again(lab):
    resets, boots = lab.resets("n1"), lab.boots("n1")
    # The way in which systemd does it for FailureAction=reboot-immediate.
    lab.run("n1", "systemctl", "reboot", "--force", "--force", check=False)
    lab.until("the reset", lambda: lab.resets("n1") == resets + 1)
    lab.await_node("n1", "on")
    assert lab.boots("n1") == boots + 1


def test_power_off_from_inside_stays_off(lab):
    resets = lab.resets("n1")
    lab.run("n1", "systemctl", "poweroff", check=False)
    lab.await_node("n1", "off")
    assert lab.resets("n1") == resets
    assert fence(lab, "n2", "status", "n1")["status"] == 2


def test_power_that_is_cut_at_once_ends_the_boot(lab):
    """Also of a node whose process has not come as far as its control group."""
    for _ in range(5):
        lab.off("n1")
        lab.on("n1", wait=False)
        lab.off("n1")
        assert lab.status()["nodes"]["n1"]["state"] == "off"
    lab.on("n1")
    assert lab.run("n1", "systemctl", "is-system-running").strip() == "running"


def test_power_that_is_switched_on_during_its_cut_boots(lab):
    """A fence device and a test may both order; whoever is second waits for the first."""
    for _ in range(4):
        at_once(lambda: lab.off("n1"), lambda: lab.on("n1", wait=False))
        lab.on("n1")


def test_paused_node_does_nothing_and_goes_on(lab):
    lab.run("n1", "systemd-run", "--unit=ticker", "sh", "-c", "while :; do date +%s%N >> /var/lib/ticks; sleep 0.02; done")
    lab.until("ticks", lambda: lab.read("n1", "/var/lib/ticks"))
    lab.pause("n1")
    ticks = lab.read("n1", "/var/lib/ticks")
    time.sleep(0.3)
    assert lab.read("n1", "/var/lib/ticks") == ticks
    lab.resume("n1")
    lab.until("more ticks", lambda: lab.read("n1", "/var/lib/ticks") != ticks)


def test_paused_node_can_be_killed(lab):
    lab.pause("n1")
    assert fence(lab, "n2", "off", "n1")["status"] == 0
    assert lab.node("n1")["state"] == "off"


@pytest.mark.parametrize("network,prefix", [("private", "10.77.1."), ("public", "192.0.2.")])
def test_one_network_is_cut_and_healed(lab, network, prefix):
    other = {"private": "192.0.2.", "public": "10.77.1."}[network]
    lab.cut("n1", network)
    assert not reaches(lab, "n1", prefix + "2")
    assert not reaches(lab, "n2", prefix + "1")
    assert reaches(lab, "n1", other + "2")
    lab.heal()
    lab.until("the way back", lambda: reaches(lab, "n1", prefix + "2"))


def test_cut_of_one_way(lab):
    def gets_through(sender, receiver):
        """Whether one of many datagrams arrives within half a second."""
        lab.run(
            sender, "systemd-run", "--collect", "--quiet", "bash", "-c",
            "for i in $(seq 30); do echo x > /dev/udp/10.77.1.%s/5000; sleep 0.02; done" % receiver[1:],
        )
        program = "import _socket as s; l = s.socket(s.AF_INET, s.SOCK_DGRAM); l.bind(('', 5000)); l.settimeout(0.5); l.recv(9)"
        return lab.run(receiver, "python3", "-c", program, check=False)["status"] == 0

    # Neighbours know each other, so that a missing ARP answer does not make it two ways.
    assert reaches(lab, "n1", "10.77.1.2") and reaches(lab, "n2", "10.77.1.1")
    lab.cut("n1", "private", direction="out")
    assert gets_through("n2", "n1")
    assert not gets_through("n1", "n2")


def test_cut_between_two(lab):
    lab.cut("n1", "private", peer="n2")
    assert not reaches(lab, "n1", "10.77.1.2")
    assert reaches(lab, "n1", "192.0.2.2")
    assert reaches(lab, "n1", "10.77.9.254")


def test_carrier(lab):
    def carrier():
        return lab.run("n1", "cat", "/sys/class/net/private/carrier", check=False)["out"].strip()

    # /sys of a container belongs to the networks of its maker, so ask by netlink.
    def lower_up():
        return "LOWER_UP" in lab.run("n1", "ip", "link", "show", "dev", "private")

    assert lower_up()
    lab.carrier("n1", "private", False)
    lab.until("no carrier", lambda: not lower_up())
    lab.carrier("n1", "private", True)
    lab.until("a carrier", lower_up)


def test_power_controller_obeys_and_misbehaves(lab):
    boots = lab.boots("n1")
    assert fence(lab, "n2", "status", "n1")["status"] == 0
    assert fence(lab, "n2", "off", "n1")["status"] == 0
    assert fence(lab, "n2", "status", "n1")["status"] == 2
    assert fence(lab, "n2", "on", "n1")["status"] == 0
    lab.await_node("n1", "on")
    assert lab.boots("n1") == boots + 1

    lab.power("n1", "fail")
    assert fence(lab, "n2", "off", "n1")["status"] == 1
    lab.power("n1", "lie")
    assert fence(lab, "n2", "off", "n1")["status"] == 0
    assert fence(lab, "n2", "status", "n1")["status"] == 2
    assert lab.node("n1")["state"] == "on" and lab.boots("n1") == boots + 1
    lab.power("n1", "lie-off")
    assert fence(lab, "n2", "off", "n1")["status"] == 0
    assert fence(lab, "n2", "status", "n1")["status"] == 0
    lab.power("n1", "hang")
    with pytest.raises(LabError):
        fence(lab, "n2", "off", "n1", timeout=1)
    assert lab.node("n1")["state"] == "on"


def test_fence_agent_speaks_the_protocol(lab):
    assert "<actions>" in fence(lab, "n2", "metadata", "n1")["out"]
    assert fence(lab, "n2", "explode", "n1")["status"] == 1
    assert lab.run("n2", "fence_lab", stdin="action=off\nip=10.77.9.254\n", check=False)["status"] == 1
    lab.cut("n2", "oob")
    assert fence(lab, "n2", "list", "n1", timeout=20)["status"] == 1


def test_unit_can_be_killed_and_hung(lab):
    lab.run("n1", "systemctl", "start", "web@8001.service")
    lab.signal("n1", "web@8001.service", "STOP")
    pid = lab.run("n1", "systemctl", "show", "--value", "--property=MainPID", "web@8001.service").strip()
    assert "T (stopped)" in lab.run("n1", "cat", "/proc/%s/status" % pid)
    lab.signal("n1", "web@8001.service", "KILL")
    lab.until("systemd to see it", lambda: lab.run("n1", "systemctl", "is-failed", "web@8001.service", check=False)["out"].strip() == "failed")


def test_client_measures_an_outage_and_no_synced_order_is_lost(lab):
    take_all(lab, "n1")
    lab.watch_shop()
    lab.first_answer(0)
    lab.ordering(True)
    lab.order("before the crash")
    event = lab.kill("n1")
    time.sleep(0.4)
    take_all(lab, "n2")
    outage, server = lab.outage(event)
    lab.ordering(False)
    assert server == "n2"
    assert 0.4 < outage < 3
    assert not lab.lost_orders()
    assert "before the crash" in lab.client("acknowledged", name="shop")
    assert lab.crimes() == []


# Each of the two processes says to the network what it has written and synced.
WRITERS = """
import os, socket, sys
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
number = 0 if os.fork() else 1
with open("/srv/shop/%d" % number, "ab", buffering=0) as file:
    for i in range(1, 1 << 20):
        file.write(b"%d\\n" % i)
        os.fdatasync(file.fileno())
        link.sendto(b"%d %d" % (number, i), (sys.argv[1], 7799))
"""


def test_power_cut_takes_nothing_that_was_confirmed(lab):
    # A file system that is shut down under an fdatasync() may let it succeed and have written nothing: so the network
    # must be gone before, or a server would be heard to confirm what no dead server could. With the two the other way
    # round, about one cut in twenty confirmed too much.
    for _ in range(5):
        mount(lab, "n1")
        lab.listen("client", "public")
        lab.run("n1", "systemd-run", "--quiet", "python3", "-c", WRITERS, CLIENT_ADDRESS)
        confirmed = {}

        def both_are_at_work():
            confirmed.update(heard(lab))
            return len(confirmed) == 2 and min(confirmed.values()) >= 5

        lab.until("both writers to be at work", both_are_at_work)
        lab.kill("n1")
        confirmed.update(heard(lab))
        mount(lab, "n2")
        for number, last in confirmed.items():
            kept = lab.run("n2", "tail", "-n", "1", "/srv/shop/%d" % number)
            assert int(kept) >= last, "writer %d" % number
        lab.run("n2", "sh", "-c", "rm /srv/shop/*; umount /srv/shop")
        lab.off("n1")
        lab.on("n1")


def heard(lab):
    """What the writers have confirmed since the last time: the newest of each."""
    return dict(sorted(tuple(map(int, bytes.fromhex(one[4]).split())) for one in lab.heard("client", "public", 7799)))


def test_client_sees_a_lost_order(lab):
    take_all(lab, "n1")
    lab.watch_shop("forgetful")
    lab.first_answer(0, "forgetful")
    lab.order("will be forgotten", "forgetful")
    lab.run("n1", "truncate", "-s", "0", "/srv/shop/orders")
    assert list(lab.lost_orders("forgetful")) == ["will be forgotten"]


def test_checker_follows_a_move_without_a_cry(lab):
    take_all(lab, "n1")
    things = ["address " + ADDRESS, "disk shared", "unit shop.service"]
    lab.until("all seen at n1", lambda: all(lab.owners(thing) == ["n1"] for thing in things))
    lab.run("n1", "systemctl", "stop", "shop.service")
    lab.run("n1", "ip", "address", "del", ADDRESS + "/24", "dev", "public")
    lab.run("n1", "umount", "/srv/shop")
    take_all(lab, "n2")
    lab.until("all seen at n2", lambda: all(lab.owners(thing) == ["n2"] for thing in things))
    assert lab.crimes() == []


@pytest.mark.parametrize("crime", ["address", "disk", "unit", "short address"])
def test_checker_cries_at_two_owners(lab, crime):
    address = ["ip", "address", "add", ADDRESS + "/24", "dev", "public"]
    since = boottime()
    for node in ("n1", "n2"):
        if crime.endswith("address"):
            lab.run(node, *address)
            if crime.startswith("short") and node == "n2":
                lab.run(node, "ip", "address", "del", ADDRESS + "/24", "dev", "public")
        elif crime == "disk":
            mount(lab, node)
        else:
            lab.run(node, "systemctl", "start", "web@8001.service")
    lab.until("the cry", lambda: lab.crimes(since), timeout=3)
    text = lab.crimes(since)[0]
    assert "n1" in text and "n2" in text and crime.split()[-1] in text
    lab.checker("forgive")


def test_checker_cries_when_a_paused_node_is_robbed(lab):
    mount(lab, "n1")
    lab.pause("n1")
    since = boottime()
    mount(lab, "n2")
    lab.until("the cry", lambda: lab.crimes(since), timeout=3)
    lab.checker("forgive")


def test_checker_is_quiet_when_a_dead_node_is_succeeded(lab):
    take_all(lab, "n1")
    lab.pause("n1")
    assert fence(lab, "n2", "off", "n1")["status"] == 0
    take_all(lab, "n2")
    lab.until("seen at n2", lambda: lab.owners("disk shared") == ["n2"])
    assert lab.crimes() == []


# Nothing stays behind


def remains(name):
    """What is still there of a lab."""
    found = glob.glob("/sys/fs/cgroup/*/hamgr-lab-" + name) + glob.glob("/sys/fs/cgroup/hamgr-lab-" + name)
    found += [line for line in subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True).stdout.splitlines()
              if "/hamgr-lab/%s/" % name in line]
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "/%s/" % name in command and ("hamgrlab" in command or "systemd-nspawn" in command):
            found.append(command)
    return found


def test_nothing_stays_after_down():
    name = os.environ["LAB"] + "a"
    lab = Lab.start(nodes=1, name=name, project=False)
    lab.on()
    assert remains(name)
    lab.down()
    assert remains(name) == []
    assert not os.path.exists(run_folder(name)) and not os.path.exists("/var/lib/hamgr-lab/" + name)


def test_nothing_runs_after_the_lab_was_killed():
    """SIGKILL to the lab's own process: the kernel ends the rest, and the next lab of that name starts."""
    name = os.environ["LAB"] + "b"
    lab = Lab.start(nodes=1, name=name, project=False)
    lab.on()
    lab.process.kill()
    lab.process.wait()
    deadline = time.monotonic() + 10
    while [one for one in remains(name) if not one.startswith("/sys")] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [one for one in remains(name) if not one.startswith("/sys")] == []
    with Lab.start(nodes=1, name=name, project=False) as again:
        again.on()
    assert remains(name) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_lab_ends_with_the_process_that_made_it(how):
    name = os.environ["LAB"] + "c"
    program = "import sys, time; sys.path.insert(0, %r)\nfrom hamgrlab.lab import Lab\nlab = Lab.start(nodes=1, name=%r, project=False)\nlab.on()\nprint('on', flush=True)\ntime.sleep(60)" % (
        os.path.dirname(os.path.abspath(__file__)), name)
    owner = subprocess.Popen(["/usr/bin/python3", "-B", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                             # A shell that runs the tests in the background has them ignore SIGINT.
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert owner.stdout.readline() == "on\n"
    owner.send_signal(how)
    owner.wait(10)
    deadline = time.monotonic() + 15
    while (remains(name) or os.path.exists(run_folder(name))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert remains(name) == []
    assert not os.path.exists(control_path(name))


def test_two_labs_side_by_side(lab):
    with Lab.start(nodes=1, name=os.environ["LAB"] + "d", project=False) as other:
        other.on()
        take_all(lab, "n1")
        take_all(other, "n1")
        lab.run("n1", "sh", "-c", "echo here > /srv/shop/note; sync -f /srv/shop")
        assert other.run("n1", "test", "-e", "/srv/shop/note", check=False)["status"] == 1
        assert not reaches(lab, "n2", "192.0.2.3")
        assert other.crimes() == [] and lab.crimes() == []
    assert lab.run("n1", "cat", "/srv/shop/note") == "here\n"
