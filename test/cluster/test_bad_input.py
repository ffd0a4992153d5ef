# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input is refused and changes nothing; what the administrator reads then, word for word."""

import contextlib
import re

import pytest

from hamgrlab import config
from hamgrlab.lab import LabError, boottime

CONF = "/etc/hamgr/cluster.conf"
KEY = "/etc/hamgr/cluster.key"
RECORDS = "/var/lib/hamgr/record-a", "/var/lib/hamgr/record-b"
STORE = "/var/lib/hagcd/store"
SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


# What must not change

def agreed(cluster, nodes):
    """What `hactl status --json` says on each of these nodes, which must be the same."""
    seen = []

    def same():
        seen[:] = [cluster.view(node) for node in nodes]
        for view in seen:
            view.pop("node_name")
        return all(view == seen[0] for view in seen)

    cluster.lab.until("the same status on %s" % " ".join(nodes), same, 5)
    return seen[0]


@contextlib.contextmanager
def nothing_changes(cluster, without=None):
    """Status and configuration on every node, the running shop, the boots of the nodes: all as before. The node
    `without` may come and go. Nobody interrupts the shop."""
    lab = cluster.lab
    nodes = [node for node in cluster.nodes() if node != without]

    def state():
        view = agreed(cluster, nodes)
        if without:
            view = {key: view[key] for key in ("groups", "configuration_version", "quorate")}
        return view, {node: (shown["boots"], shown["resets"]) for node, shown in lab.status()["nodes"].items()}

    lab.watch_shop()
    lab.first_answer(boottime())
    # What a node that was just stopped ran runs elsewhere first.
    cluster.await_view("all groups running", lambda view: all(
        group["state"] == "running" and group["may_run_on"] == [group["node"]] for group in view["groups"].values()
    ), nodes[0])
    before, since = state(), boottime()
    yield
    # A node that came back has to say first that it runs nothing of what may run there.
    with contextlib.suppress(LabError):
        lab.until("all to be as before", lambda: state() == before, 5 if without else 0)
    assert state() == before
    assert lab.interruptions("shop", since) == []
    assert lab.crimes(since) == []
    assert [order for order in lab.power_orders(since) if order[1] != "status"] == []


class Journal:
    """What the programs of a node log from now on."""

    UNITS = "--unit=hagcd", "--unit=hamgr", "--unit=hagcd-store"

    def __init__(self, cluster, node):
        self.lab, self.node = cluster.lab, node
        # Of their own lines: after a cursor at another unit's journalctl of systemd 252 passes over the first that matches.
        shown = self.lab.run(node, "journalctl", "--lines=0", "--show-cursor", *self.UNITS)
        self.cursor = re.search(r"cursor: (\S+)", shown).group(1)

    def text(self):
        return self.lab.run(
            self.node, "journalctl", "--no-pager", "--output=cat", "--after-cursor=" + self.cursor, *self.UNITS)

    def wait(self, words):
        self.lab.until('"%s" in the journal of %s' % (words, self.node), lambda: words in self.text(), 10)


def test_F03_hamgr_by_hand_beside_the_service_says_so_and_ends(trio):
    with nothing_changes(trio):
        done = trio.lab.run("n3", "timeout", "10", "hamgr", check=False)
        assert done["status"] == 1, done
        assert done["err"].count("hamgr runs on this server already") == 1, done


# Groups and policies

def refused(cluster, lines, node="n1"):
    """`hactl apply` is refused with exactly these lines."""
    done = cluster.hactl("apply", node=node, check=False)
    assert done["status"] == 1, done
    assert done["out"] == ""
    assert done["err"] == "hactl: " + "\n".join(lines) + "\n"


@contextlib.contextmanager
def file_on(cluster, node, name, text):
    cluster.lab.write(node, "/etc/hamgr/" + name, text)
    try:
        yield
    finally:
        cluster.lab.unlink(node, "/etc/hamgr/" + name)


def twice(place, what, value, kind):
    return (
        'shop.group:%s of group "shop" has the %s %s, which [%s] of group "bad" has too (bad.group:5); '
        "one of them only can have it" % (place, what, value, kind)
    )


WEB = "web@8010.service"
WRONG = {
    "unit nowhere": (config.group("bad", ["n1"], unit="no-such.service"), [
        "n1: bad.group:5: Unit=no-such.service: this node has no such unit; install it here, or leave this node out of "
        "the group"]),
    "address twice": (config.group("bad", ["n1"], address=config.SHOP_ADDRESS + "/24"), [
        twice("11: [Address vip]", "address", config.SHOP_ADDRESS, "Address vip")]),
    "mount point twice": (config.group("bad", ["n1"], mount=("/dev/null", "/srv/shop", "xfs")), [
        twice("5: [Mount data]", "mount point", "/srv/shop", "Mount data")]),
    "device twice": (config.group("bad", ["n1"], mount=("/dev/shared", "/srv/left", "xfs")), [
        twice("5: [Mount data]", "device", "/dev/shared", "Mount data")]),
    "unit twice": (config.group("bad", ["n1"], unit="shop.service"), [
        twice("15: [Unit app]", "unit", "shop.service", "Unit app")]),
    "policy unknown": (config.group("bad", ["n1"], "activ_standby", unit=WEB), [
        "bad.group:4: Policy=activ_standby: there is no such policy (no activ_standby.policy); "
        'is "active_standby" meant?']),
    "node unknown": (config.group("bad", ["n1", "n9"], unit=WEB), [
        'bad.group:3: Domain= names "n9", which is no node of cluster.conf']),
    "key misspelled": (config.group("bad", ["n1"], unit=WEB) + "StartSecs=5s\n", [
        'bad.group:7: unknown key StartSecs= in [Unit]; did you mean "StartSec"?']),
    "key from elsewhere": (config.group("bad", ["n1"], unit=WEB) + "Colour=red\n", [
        "bad.group:7: unknown key Colour= in [Unit]; known are Unit, WatchdogSec, StartSec, StopSec"]),
    "section misspelled": (config.group("bad", ["n1"], unit=WEB) + "\n[Adress vip]\n", [
        'bad.group:8: unknown section [Adress]; did you mean "Address"?']),
    "bad duration": (config.group("bad", ["n1"], unit=WEB) + "StartSec=soon\n", [
        "bad.group:7: StartSec=soon: must be a duration from 1ms to 1h, such as 400ms, 5s or 10min"]),
    "bad address": (config.group("bad", ["n1"], address="192.0.2.500/24"), [
        "bad.group:6: Address=192.0.2.500/24: an address with its prefix is meant, such as 192.0.2.10/24"]),
    "nothing to run": ("[Group]\nDomain=n1\n", [
        "bad.group:1: the group has nothing to run: at least one [Unit ...], [Mount ...] or [Address ...] is meant"]),
    "no assignment": (config.group("bad", ["n1"], unit=WEB) + "StartSec 5s\n", [
        'bad.group:7: "StartSec 5s" is neither Key=value, nor [Section], nor a comment']),
    "three at once": ("[Group]\nDomain=n1 n7\n[Unit app]\nUnti=%s\nUnit=%s\nStopSec=-1\n" % (WEB, WEB), [
        'bad.group:2: Domain= names "n7", which is no node of cluster.conf',
        'bad.group:4: unknown key Unti= in [Unit]; did you mean "Unit"?',
        "bad.group:6: StopSec=-1: must be a duration from 1ms to 1h, such as 400ms, 5s or 10min"]),
}


def test_F03_wrong_groups_are_refused_with_line_and_meaning(trio):
    for what, (text, lines) in WRONG.items():
        print(what)
        with nothing_changes(trio), file_on(trio, "n1", "bad.group", text):
            refused(trio, lines)
            done = trio.hactl("check", node="n1", check=False)
            assert done["status"] == 1 and [line.removeprefix("n1: ") for line in lines] == done["err"].split("\n")[:-1], done


def test_F03_wrong_policy_is_refused(trio):
    with nothing_changes(trio), file_on(trio, "n1", "bad.policy", "[Policy]\nFailback=sometimes\n"):
        refused(trio, ["bad.policy:2: Failback=sometimes: must be one of automatic, controlled, never"])


@pytest.mark.parametrize("making,words", [
    (r"printf '[Group]\nDomain=n1\nDescription=caf\351\n' > $0", "is not UTF-8 text"),
    (r"printf '[Group]\nDomain=n1\n\0' > $0", "contains a NUL byte; is it a text file?"),
    ("head -c 300000 /dev/zero | tr '\\0' '#' > $0", "is larger than 256 KiB; is it a configuration file?"),
    ("mkdir $0", "is a folder; a file is meant"),
], ids=["Latin-1", "NUL", "huge", "folder"])
def test_F03_what_is_no_text_is_refused(trio, making, words):
    path = "/etc/hamgr/bad.group"
    with nothing_changes(trio):
        trio.lab.run("n1", "sh", "-c", making, path)
        try:
            refused(trio, ["%s %s" % (path, words)])
            assert trio.hactl("check", node="n1", check=False) == {
                "status": 1, "out": "", "err": "%s %s\n" % (path, words)}
        finally:
            trio.lab.run("n1", "rm", "-r", path)


def test_F03_what_one_node_of_the_domain_has_not_is_refused(trio):
    """A unit, an interface and a device that n1 and n3 have and n2 has not; applied from n1."""
    lab, all_three = trio.lab, ["n1", "n2", "n3"]
    for node in ("n1", "n3"):
        lab.write(node, "/etc/systemd/system/elsewhere_only.service", SERVICE)
        lab.run(node, "sh", "-c", "systemctl daemon-reload; ip link add only8 type veth peer only9; mkdir /srv/only; "
                "mknod /dev/only b 7 250")
    cases = [
        (config.group("bad", all_three, unit="elsewhere_only.service"), [
            "n2: bad.group:5: Unit=elsewhere_only.service: this node has no such unit; install it here, or leave this node "
            "out of the group"]),
        (config.group("bad", all_three, address="192.0.2.160/24").replace("Interface=public", "Interface=only8"), [
            "n2: bad.group:5: Interface=only8: this node has no such interface; name one that every node of the group "
            "has"]),
        (config.group("bad", all_three, mount=("/dev/only", "/srv/only", "xfs")), [
            "n2: bad.group:5: What=/dev/only: /dev/only: No such file or directory; every node of the group must see "
            "this device",
            "bad.group:5: Where=/srv/only: No such file or directory: make the folder on every node of the group"]),
    ]
    try:
        for text, lines in cases:
            with nothing_changes(trio), file_on(trio, "n1", "bad.group", text):
                refused(trio, lines)
    finally:
        for node in ("n1", "n3"):
            lab.run(node, "sh", "-c", "rm -r /etc/systemd/system/elsewhere_only.service /srv/only /dev/only; "
                    "ip link del only8; systemctl daemon-reload")


def test_F03_unit_that_systemd_starts_at_boot_is_refused(trio):
    lab = trio.lab
    for node in trio.nodes():
        lab.write(node, "/etc/systemd/system/app_boot.service", SERVICE)
        lab.run(node, "systemctl", "enable" if node == "n2" else "daemon-reload", *["app_boot.service"] * (node == "n2"))
    try:
        text = config.group("bad", trio.nodes(), unit="app_boot.service")
        with nothing_changes(trio), file_on(trio, "n1", "bad.group", text):
            refused(trio, ["n2: bad.group:5: Unit=app_boot.service is enabled, so that systemd would start it at boot: "
                           "systemctl disable app_boot.service"])
    finally:
        lab.run("n2", "systemctl", "disable", "app_boot.service")
        for node in trio.nodes():
            lab.run(node, "sh", "-c", "rm /etc/systemd/system/app_boot.service; systemctl daemon-reload")


def test_F03_group_that_may_still_run_is_not_forgotten(trio):
    with nothing_changes(trio):
        text = trio.lab.read("n1", "/etc/hamgr/blue.group")
        trio.lab.unlink("n1", "/etc/hamgr/blue.group")
        try:
            done = trio.hactl("apply", "--remove", node="n1", check=False)
            assert done["status"] == 1
            assert ('group "blue": [Unit app] is removed, and may still run on n2; stop it first: hactl group stop blue'
                    in done["err"]), done
        finally:
            trio.lab.write("n1", "/etc/hamgr/blue.group", text)


def test_F03_node_without_the_files_removes_nothing(trio):
    with nothing_changes(trio):
        text = trio.lab.read("n2", "/etc/hamgr/blue.group")
        trio.lab.unlink("n2", "/etc/hamgr/blue.group")
        refused(trio, [
            "blue.group is in force, and not among the files that n2 applies",
            'hactl: nothing was changed: put the missing files into /etc/hamgr ("hactl cat" shows them, "hactl cat --write" '
            "writes them to /etc/hamgr), or remove them from the cluster with --remove"], node="n2")
        assert trio.hactl("cat", "blue", node="n2") == "# blue.group\n" + text
        assert trio.hactl("cat", "--write", node="n2") == "/etc/hamgr/blue.group written\n"
        assert trio.lab.read("n2", "/etc/hamgr/blue.group") == text
        assert trio.hactl("apply", node="n2").endswith(" is in force on the whole cluster already.\n")
        trio.lab.write("n2", "/etc/hamgr/blue.group", text + "# mine\n")
        done = trio.hactl("cat", "blue", "--write", node="n2", check=False)
        assert done["status"] == 1 and "differs from what is in force" in done["err"], done
        trio.hactl("cat", "blue", "--write", "--yes", node="n2")
        assert trio.lab.read("n2", "/etc/hamgr/blue.group") == text


# cluster.conf

WRONG_CONF = {
    "id twice": ("Id=2", "Id=1", ["10: Id=1: node n1 has this id already (line 5); each node needs its own"]),
    "address twice": ("10.77.1.2", "10.77.1.1", [
        "11: Address=10.77.1.1 192.0.2.2: node n1 has 10.77.1.1 already (line 5)"]),
    "unknown key": ("Name=lab", "Name=lab\nHeartbeatSecs=1s", [
        '3: unknown key HeartbeatSecs= in [Cluster]; did you mean "HeartbeatSec"?']),
    "FailureSec too small": ("Name=lab", "Name=lab\nHeartbeatSec=200ms\nFailureSec=400ms", [
        "4: FailureSec=400ms: FailureSec must be at least three times HeartbeatSec, here 600ms"]),
    "HeartbeatSec too large for the default": ("Name=lab", "Name=lab\nHeartbeatSec=200ms", [
        "3: HeartbeatSec=200ms: FailureSec must be at least three times HeartbeatSec, here 600ms"]),
    "FailureSec against FailoverWithinSec": ("Name=lab", "Name=lab\nFailoverWithinSec=1s\nFailureSec=800ms", [
        "4: FailureSec=800ms: a failover may take twice FailureSec and twice HeartbeatSec, here 1s 800ms, and "
        "FailoverWithinSec=1s is less; leave them out, and they are FailureSec=400ms and HeartbeatSec=100ms"]),
    "bad duration": ("TimeoutSec=5s", "TimeoutSec=5 sek", [
        "21: TimeoutSec=5 sek: must be a duration from 100ms to 10min, such as 400ms, 5s or 10min"]),
    "links of one node": ("10.77.1.2 192.0.2.2", "10.77.1.2", [
        "11: Address=10.77.1.2: 1 addresses, but node n1 has 2; every node has one for each link"]),
    "name for an address": ("10.77.1.2", "n2", [
        '11: Address=n2 192.0.2.2: "n2" is no address; write numbers such as 10.1.0.1 or fd00::1, not names']),
    "unknown section": ("[Fence power]", "[Fense power]", ['17: unknown section [Fense]; did you mean "Fence"?']),
    "tie-breaker": ("Name=lab", "Name=lab\nTieBreaker=n8", [
        '3: TieBreaker=n8: there is no [Node n8]; did you mean "n1"?']),
}


def stop(cluster, node):
    cluster.lab.run(node, "systemctl", "stop", "hamgr.service", "hagcd.service", timeout=60)
    cluster.await_node(node, "inactive", "n1")


def start(cluster, node):
    cluster.lab.run(node, "systemctl", "reset-failed", check=False)
    return cluster.lab.run(node, "systemctl", "start", "hagcd.service", "hamgr.service", check=False)


@contextlib.contextmanager
def stopped(cluster, node, path):
    """A node outside the cluster, whose file the test may change; with the old file it joins again."""
    lab = cluster.lab
    before = lab.read(node, path)
    stop(cluster, node)
    try:
        with nothing_changes(cluster, without=node):
            yield before
    finally:
        lab.run(node, "systemctl", "stop", "hamgr.service", "hagcd.service", timeout=60)
        lab.write(node, path, before, 0o600 if path == KEY else 0o644)
        start(cluster, node)
    cluster.await_up()


def test_F03_wrong_cluster_conf_is_refused_with_line_and_meaning(trio):
    """The node that has the wrong file goes on with the one it started with."""
    lab = trio.lab
    good = lab.read("n3", CONF)
    try:
        with nothing_changes(trio):
            for what, (old, new, lines) in WRONG_CONF.items():
                print(what)
                assert old in good
                lab.write("n3", CONF, good.replace(old, new, 1))
                done = trio.hactl("check", node="n3", check=False)
                assert done["status"] == 1
                wanted = ["%s:%s" % (CONF, line) for line in lines]
                assert done["err"].split("\n")[: len(lines)] == wanted, done
                done = lab.run("n3", "hagcd", "--check-start", check=False)
                assert done["status"] == 1
                assert done["err"].split("\n")[: len(lines)] == ["hagcd: error: " + line for line in wanted], done
            lab.run("n3", "sh", "-c", r"printf '[Cluster]\nName=caf\351\n' > " + CONF)
            done = trio.hactl("check", node="n3", check=False)
            assert done["status"] == 1 and CONF + ":2: " in done["err"], done
    finally:
        lab.write("n3", CONF, good)
    assert trio.hactl("check", node="n3") == (
        "cluster.conf gives: FailoverWithinSec=1s FailureSec=400ms HeartbeatSec=100ms RejoinHoldSec=0\nNo errors found.\n")


def test_F03_node_that_is_out_claims_to_know_nothing(trio):
    """Without hagcd a hamgr that has just started does not know the configuration, and says so."""
    lab = trio.lab
    with stopped(trio, "n3", CONF):
        lab.run("n3", "systemctl", "start", "hamgr")
        try:
            def shown():
                text = trio.hactl("status", node="n3", check=False)["out"]
                return "cannot act" in text and text

            text = lab.until("hamgr of n3 on its bus", shown, 10)
            assert "Configuration not known here\nThis server (n3) cannot act: hagcd is not reachable" in text, text
            assert "Which groups there are is not known here; ask another server." in text, text
        finally:
            lab.run("n3", "systemctl", "stop", "hamgr")


def test_F07_hagcd_does_not_start_with_a_wrong_file_and_resets_nothing(trio):
    lab = trio.lab
    with stopped(trio, "n3", CONF) as good:
        told = Journal(trio, "n3")
        lab.write("n3", CONF, good.replace("Id=2", "Id=1"))
        start(trio, "n3")
        told.wait(CONF + ":10: Id=1: node n1 has this id already (line 5); each node needs its own")
        shown = lab.run("n3", "systemctl", "show", "hagcd.service", "--property=ActiveState,Result")
        assert shown == "Result=exec-condition\nActiveState=inactive\n"
        assert "each node needs its own" in lab.run("n3", "journalctl", "--unit=hagcd.service", "--lines=20")
        done = trio.hactl("status", node="n3", check=False)
        assert done["status"] != 0 and "systemctl status hagcd hamgr" in done["err"], done


@pytest.mark.parametrize("old,new", [
    ("Name=lab", "Name=lab\nHeartbeatSec=90ms"),
    ("Id=3\n", "Id=3\nVotes=2\n"),
    ("TimeoutSec=5s", "TimeoutSec=6s"),
], ids=["cluster", "node", "fence"])
def test_F03_cluster_conf_that_differs_is_told_on_both_sides(trio, old, new):
    """What is in force counts for all of them, so the node is in."""
    lab = trio.lab
    words = "its cluster.conf differs from ours; what is in force counts for both"
    with stopped(trio, "n3", CONF) as good:
        journals = Journal(trio, "n1"), Journal(trio, "n3")
        lab.write("n3", CONF, good.replace(old, new, 1))
        start(trio, "n3")
        for journal, other in zip(journals, ("n3", "n1")):
            journal.wait("node %s: %s" % (other, words))
        for here, other in (("n1", "n3"), ("n3", "n1")):
            assert trio.membership_seen(here)["nodes"][other]["problem"] == words
        assert trio.view("n3")["quorate"]
        assert trio.view("n1")["nodes"]["n3"]["state"] == "up"


def test_F03_wrong_key_is_told_on_both_sides(trio):
    lab = trio.lab
    words = "key mismatch: its cluster key is not ours; copy /etc/hamgr/cluster.key from one node to all"
    with stopped(trio, "n3", KEY) as good:
        journals = Journal(trio, "n1"), Journal(trio, "n3")
        lab.run("n3", "sh", "-c", "rm %s && hactl init" % KEY)
        assert lab.read("n3", KEY) != good
        start(trio, "n3")
        for here, other in (("n1", "n3"), ("n3", "n1")):
            trio.await_view("the reason at " + here, lambda view: view["nodes"][other]["note"] == words, here)
        for journal, other in zip(journals, ("n3", "n1")):
            journal.wait("node %s: %s" % (other, words))
        assert words in trio.view("n3")["trouble"]
        assert trio.view("n1")["nodes"]["n3"]["state"] == "inactive"


def test_F03_key_that_is_open_or_not_whole_is_refused(trio):
    lab = trio.lab
    with stopped(trio, "n3", KEY) as good:
        for text, mode, words in (
            (good, 0o640, KEY + ' has mode 0640, so others may know the key; run "chmod 0600 %s", and make a new key if '
             "somebody may have read it" % KEY),
            (good[:-20], 0o600, KEY + " holds no whole cluster key; copy it again from a node that works, byte by byte"),
        ):
            told = Journal(trio, "n3")
            lab.write("n3", KEY, text, mode)
            assert trio.hactl("check", node="n3", check=False) == {"status": 1, "out": "", "err": words + "\n"}
            start(trio, "n3")
            told.wait(words)
            assert lab.run("n3", "systemctl", "is-active", "hagcd.service", check=False)["out"] == "inactive\n"


# State files

def pid_of(cluster, node, unit):
    return cluster.lab.run(node, "systemctl", "show", "--property=MainPID", "--value", unit).strip()


@pytest.mark.parametrize("damaged", [RECORDS[:1], RECORDS], ids=["one", "both"])
def test_F03_truncated_record_is_kept_aside_and_fetched_from_the_others(trio, damaged):
    lab = trio.lab
    trio.await_group("green", on="n3")
    web_of_green = pid_of(trio, "n3", "web@8002.service")
    told = Journal(trio, "n3")
    lab.run("n3", "sh", "-c", "rm -f /var/lib/hamgr/*.damaged")
    # Both slots are there after two more changes.
    for act in ("standby", "unstandby"):
        trio.hactl("node", act, "n2", node="n1")
    trio.await_group("blue")
    trio.move("blue", "n2")
    with nothing_changes(trio):
        for path in damaged:
            lab.run("n3", "truncate", "--size=40", path)
        lab.run("n3", "systemctl", "restart", "hamgr.service")
        for path in damaged:
            told.wait("%s is damaged and was kept aside as %s.damaged; the configuration is taken from the other slot "
                      "or from the other nodes" % (path, path))
            assert lab.run("n3", "stat", "--format=%s", path + ".damaged") == "40\n"
        trio.await_up()
    # What it knows now is stored again.
    lab.until("a whole record", lambda: any(
        int(lab.run("n3", "stat", "--format=%s", path)) > 100 for path in RECORDS
        if lab.run("n3", "test", "-e", path, check=False)["status"] == 0), 5)
    assert pid_of(trio, "n3", "web@8002.service") == web_of_green


@pytest.mark.parametrize("damage,words", [
    ("dd if=/dev/urandom of=%s bs=16 seek=1 count=1 conv=notrunc status=none",
     "one of the two slots of /var/lib/hagcd/store is damaged, as by a write that a power cut tore; the other one is "
     "used, and a copy was kept aside as /var/lib/hagcd/store.damaged"),
    ("truncate --size=4096 %s",
     "/var/lib/hagcd/store is damaged, both slots or its end; this node votes again after a quorate membership of the "
     "others has taken it in; a copy was kept aside as /var/lib/hagcd/store.damaged"),
    ("dd if=/dev/urandom of=%s bs=4096 count=2 conv=notrunc status=none",
     "/var/lib/hagcd/store is damaged, both slots or its end; this node votes again after a quorate membership of the "
     "others has taken it in; a copy was kept aside as /var/lib/hagcd/store.damaged"),
], ids=["one slot", "cut short", "both slots"])
def test_F03_damaged_store_is_told_and_kept_aside(trio, damage, words):
    """R8: a node that forgot what it promised votes again when the others have taken it in."""
    lab = trio.lab
    lost = "one of" not in words
    stop(trio, "n3")
    try:
        with nothing_changes(trio, without="n3"):
            lab.run("n3", "sh", "-c", damage % STORE)
            bad = lab.run("n3", "sha256sum", STORE).split()[0]
            told = Journal(trio, "n3")
            if lost:
                done = lab.run("n3", "hactl", "init", check=False)
                assert done["status"] != 0 and "let the others take it in" in done["err"], done
                lab.cut_cluster("n3")
            start(trio, "n3")
            told.wait(words)
            if lost:
                trio.await_view("its own words", lambda view: view["nodes"]["n3"]["note"].startswith(
                    "has no stored record and waits until more than half"), "n3")
                assert not trio.view("n3")["quorate"]
                lab.heal()
            trio.await_up()
            assert lab.run("n3", "sha256sum", STORE + ".damaged").split()[0] == bad
    finally:
        lab.heal()
    # Its record is whole again.
    stop(trio, "n3")
    told = Journal(trio, "n3")
    start(trio, "n3")
    trio.await_up()
    assert "damaged" not in told.text()


# Fence devices

def test_D06_nothing_is_taken_over_while_the_fence_device_fails_hangs_or_lies(trio):
    lab = trio.lab
    repair = "Repair the device, or make sure that it is off, then: hactl fence confirm n1"
    journal = Journal(trio, "n2")
    lab.power("n1", "fail")
    lab.kill("n1")
    for mode, reason in (
        ("fail", 'power: "off" exited with status 1: fence_lab: the controller has a fault'),
        ("lie-off", 'power: "off" said that it worked, but "status" says that the node is still on'),
        ("hang", 'power: "off" did not end in time and was killed after 5s'),
    ):
        lab.power("n1", mode)

        def told(view):
            shown = view["groups"]["shop"]["reason"]
            return re.match(r"waiting for node n1 to be fenced; \d+ attempts? failed: " + re.escape(reason), shown) and (
                shown.endswith(repair))

        for node in ("n2", "n3"):
            view = trio.await_view('"%s" at %s' % (reason, node), told, node, timeout=30)
            assert view["groups"]["shop"]["state"] == "blocked" and view["groups"]["shop"]["node"] == "n1"
            assert {resource["state"] for resource in view["groups"]["shop"]["resources"]} == {"unknown"}
            assert view["nodes"]["n1"]["state"] == "unknown" and view["nodes"]["n1"]["note"]
        assert lab.owners("disk shared") in ([], ["n1"])
        journal.wait("fencing of n1 failed, attempt")
    # An order to a blocked group stands, and that is no error.
    done = trio.hactl("group", "stop", "shop", node="n2", check=False)
    assert done["status"] == 4, done
    assert done["err"].startswith("hactl: the order stands, and waits: group shop is blocked: waiting for node n1 to be fenced"), done
    trio.hactl("group", "start", "shop", "--no-block", node="n2")
    # A node that is up is not confirmed to be off, nor one that nobody knows, nor without a yes.
    for arguments, words in (
        (["n3", "--yes"], "node n3 is up; only one that is out of the membership and not proven dead can be confirmed"),
        (["n9", "--yes"], 'there is no node "n9" in cluster.conf'),
        (["n9"], 'there is no node "n9" in cluster.conf'),
        (["n1"], "not confirmed: this needs a terminal to ask on, or --yes"),
    ):
        done = trio.hactl("fence", "confirm", *arguments, node="n2", check=False)
        assert done == {"status": 1, "out": "", "err": "hactl: %s\n" % words}
    assert trio.group("shop", "n2")["state"] == "blocked"
    lab.off("n1")
    trio.hactl("fence", "confirm", "n1", "--yes", node="n2")
    assert trio.await_group("shop", not_on="n1", node="n2")["node"] in ("n2", "n3")
    assert trio.view("n3")["nodes"]["n1"]["state"] == "down"


# What to do next

NOBODY = ("setpriv", "--reuid=65534", "--clear-groups", "hactl")


def test_F03_refusals_say_what_to_do_next(trio):
    lab = trio.lab

    def said(*arguments, status=1):
        done = trio.hactl(*arguments, node="n1", check=False)
        assert (done["status"], done["out"]) == (status, ""), done
        return done["err"]

    with nothing_changes(trio), file_on(trio, "n1", "later.group", config.group("later", ["n1"], unit=WEB)):
        not_yet = 'hactl: /etc/hamgr/later.group is not in force yet; to put it in force: hactl apply\n'
        assert said("group", "start", "later") == 'hactl: there is no group "later"\n' + not_yet
        assert said("status", "later") == (
            'hactl: there is no group and no node named "later"; "hactl status" shows all\n' + not_yet)
        assert said("group", "cleanup", "never") == (
            'hactl: there is no group "never"\nhactl: "hactl status" shows all groups\n')
        assert said("group", "move", "n2", "shop", status=2) == (
            "hactl: n2 is a node; the group comes first: hactl group move shop n2\n")
        for verb in ("apply", "check"):
            assert "/nonexistent does not exist; name the folder that holds the files\n" in said(verb, "/nonexistent")
        for verb in ("check", "init"):
            done = lab.run("n1", *NOBODY, verb, check=False)
            assert done["status"] == 1 and done["err"].endswith(
                "cannot read /etc/hamgr/cluster.key: Permission denied; only root may know the cluster key\n"), done


def test_F03_check_warns_of_what_makes_a_server_deaf(trio):
    """Of no address and no store, which a file from another server and a forgotten "hactl init" look like."""
    lab = trio.lab
    with stopped(trio, "n3", CONF) as before:
        lab.write("n3", CONF, before.replace("10.77.1.3 ", "10.77.1.33 "))
        lab.run("n3", "mv", STORE, STORE + ".away")
        try:
            done = trio.hactl("check", node="n3", check=False)
            # Whoever started it before reads what is left to do; and whoever has a store is told nothing of it.
            restart = "Where hagcd runs already, for the store that is new: systemctl restart hagcd\n"
            assert restart in trio.hactl("init", node="n3")
            assert restart not in trio.hactl("init", node="n3")
        finally:
            lab.run("n3", "mv", STORE + ".away", STORE)
        assert done["status"] == 0 and done["err"] == (
            "Warning: this server is n3 by its name, but no interface here has 10.77.1.33, its address on link 0; nothing "
            "is heard on that link until one has\n"
            "Warning: there is no store at /var/lib/hagcd/store: in a new cluster run \"hactl init\" here, or this server "
            "is not counted until others with more than half of the votes have taken it in\n"), done
