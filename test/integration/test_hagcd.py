# SPDX-License-Identifier: LGPL-2.1-or-later
"""hagcd as a whole: real processes, real sockets, no systemd."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hagcd_lab import DEADLINE, Lab, program  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")


@pytest.fixture
def lab():
    with Lab(3) as made:
        yield made


def start_all(lab):
    lab.start()
    for node in lab.nodes.values():
        node.wait_members(1, 2, 3)


def join_all(lab, *options):
    members = [lab.nodes[i].member("talk", f"m{i}", *options) for i in (1, 2, 3)]
    for member in members:
        member.wait(r"view members( m\d@n\d){3}\b")
    return members


def order(lines):
    """The messages of a member as (place in the order, text)."""
    return [m.groups() for m in (re.search(r"^(\S+/\d+) message \S+ (.*)$", line) for line in lines) if m]


def test_three_form_one_membership(lab):
    start_all(lab)
    mids = {re.search(r"membership (\S+): nodes \{1 2 3\}", "\n".join(n.lines.seen)).group(1)
            for n in lab.nodes.values()}
    assert len(mids) == 1


def test_members_see_one_order(lab):
    start_all(lab)
    members = join_all(lab)
    for k in range(50):
        for i, member in enumerate(members):
            member.send(f"text-{i}-{k}")
    for i in range(3):
        members[i].send(f"last-{i}")
    seen = []
    for member in members:
        left = {"last-0", "last-1", "last-2"}
        while left:
            _, match = member.wait(r" message \S+ (last-\d)$")
            left.discard(match.group(1))
        seen.append(order(member.lines.seen))
    assert len(seen[0]) == 153
    assert seen[0] == seen[1] == seen[2]
    for i in range(3):
        assert [t for _, t in seen[0] if t.startswith(f"text-{i}-")] == [f"text-{i}-{k}" for k in range(50)]


def test_long_message_arrives_whole(lab):
    start_all(lab)
    members = join_all(lab)
    text = "".join(chr(97 + i * 7 % 26) for i in range(1000)) * 500
    members[1].send(text)
    for member in members:
        _, match = member.wait(r" message \S+ ([a-z]{500000})$")
        assert match.group(1) == text


def test_last_line_needs_no_end(lab):
    start_all(lab)
    other = lab.nodes[1].member("talk", "other")
    other.wait(r"view members other@n1")
    member = lab.nodes[2].member("talk", "m2")
    member.process.stdin.write("one\ntwo")
    member.process.stdin.close()
    other.wait(r"message m2@n2 one$")
    other.wait(r"message m2@n2 two$")
    other.wait(r"left m2@n2\(unregistered\)")
    assert member.process.wait(timeout=5) == 0


def test_killed_daemon_is_seen_leaving(lab):
    start_all(lab)
    members = join_all(lab)
    begin = lab.nodes[3].kill()
    for i in (0, 1):
        when, match = members[i].wait(r"view members m\d@n\d m\d@n\d left m3@n3\(node lost\) nodes .*n3=(\w+)")
        assert match.group(1) == "unknown"
        assert when - begin < 1.5
    members[0].send("after")
    members[1].wait(r"message m1@n1 after$")


def test_last_gasp_is_faster_than_silence(lab):
    start_all(lab)
    begin = lab.nodes[3].kill()
    lab.nodes[3].hagcd.wait()
    lab.nodes[3].last_gasp("signal")
    for i in (1, 2):
        when, _ = lab.nodes[i].wait(r"node n3 is lost \((\S+)\)")
        assert when - begin < 0.3


def test_clean_stop_is_a_farewell(lab):
    start_all(lab)
    begin = lab.nodes[3].kill(signal.SIGTERM)
    for i in (1, 2):
        lab.nodes[i].wait(r"node n3 is inactive \(farewell\)")
    assert lab.nodes[3].hagcd.wait(timeout=5) == 0
    assert time.monotonic() - begin < 2


def test_R09_who_leaves_while_a_critical_member_is_there_may_run_something(lab):
    """It may have in its socket what it was told in order, and do it yet. Of others nobody waits for a word."""
    start_all(lab)
    lab.nodes[2].member("db", "boss", "--critical", "--stay").wait("registered")
    lab.nodes[3].member("db", "guest", "--stay").wait("registered")
    lab.nodes[2].kill(signal.SIGTERM)
    lab.nodes[2].wait("saying farewell, with a critical member that may start something")
    lab.nodes[3].kill(signal.SIGTERM)
    lab.nodes[3].wait("saying farewell, nothing runs here")
    lab.nodes[1].wait(r"node n2 is detached \(farewell\)")


def test_killed_and_restarted_daemon_joins_again(lab):
    start_all(lab)
    lab.nodes[2].kill()
    lab.nodes[2].hagcd.wait()
    lab.nodes[2].start()
    lab.nodes[2].wait_members(1, 2, 3)
    for i in (1, 3):
        lab.nodes[i].wait_members(1, 2, 3)


def test_third_crash_holds_a_node_off_until_it_is_restarted_on_purpose():
    with Lab(3, 1, "RejoinHoldSec=5min\n") as lab:
        start_all(lab)
        n3 = lab.nodes[3]

        def end_and_start(sig=signal.SIGKILL):
            n3.kill(sig)
            n3.hagcd.wait()
            n3.start()

        for _ in range(2):
            end_and_start()
            n3.wait_members(1, 2, 3)
        end_and_start()
        n3.wait(r"this node crashed 3 times within RejoinHoldSec=5min")
        n3.wait(r"^hagcd: held off: it crashed 3 times within 5min; joins at ")
        lab.nodes[1].wait(r"node n3: held off: it crashed 3 times within 5min; joins at ")

        # One that was armed in this boot may run something.
        mark = f"{n3.folder}/run/armed"
        open(mark, "w").close()
        end_and_start()
        n3.wait_members(1, 2, 3)
        os.unlink(mark)

        end_and_start()
        n3.wait(r"^hagcd: held off: ")
        end_and_start(signal.SIGTERM)
        n3.wait_members(1, 2, 3)


def test_short_silence_is_no_failure_and_long_silence_is(lab):
    start_all(lab)
    for node in lab.nodes.values():
        node.status_until(r"quorate n1=up n2=up n3=up$")
    lab.nodes[3].kill(signal.SIGSTOP)
    time.sleep(0.2)
    lab.nodes[3].kill(signal.SIGCONT)
    time.sleep(1)
    for node in lab.nodes.values():
        assert not [x for x in node.lines.drain()[1:] if "is lost" in x]
    lab.nodes[3].kill(signal.SIGSTOP)
    lab.nodes[1].wait_members(1, 2)
    lab.nodes[3].kill(signal.SIGCONT)
    lab.nodes[1].wait_members(1, 2, 3)
    lab.nodes[3].wait_members(1, 2, 3)


def test_one_lost_link_of_two_changes_nothing(lab):
    start_all(lab)
    members = join_all(lab)
    for k in range(300):
        if k == 100:
            for i in (1, 2, 3):
                lab.nodes[i].link(0, "down")
        if k == 200:
            for i in (1, 2, 3):
                lab.nodes[i].link(0, "up")
        members[k % 3].send(f"text-{k}")
        time.sleep(0.005)
    seen = []
    for member in members:
        left = {f"text-{k}" for k in range(300)}
        while left:
            _, match = member.wait(r" message \S+ (text-\d+)$")
            left.discard(match.group(1))
        seen.append(order(member.lines.seen))
        assert not [x for x in member.lines.seen if " left " in x or x == "frozen"]
    assert seen[0] == seen[1] == seen[2]


def test_minority_delivers_nothing_and_joins_afresh(lab):
    start_all(lab)
    members = join_all(lab)
    for link in (0, 1):
        lab.nodes[3].link(link, "down")
    members[0].wait(r"view members m\d@n\d m\d@n\d left m3@n3")
    members[2].send("lost")
    members[0].send("kept")
    members[1].wait(r"message m1@n1 kept$")
    members[2].wait(r"^(frozen|shut out)$")
    for link in (0, 1):
        lab.nodes[3].link(link, "up")
    members[2].wait(r"view members( m\d@n\d){3}\b")
    for member in members:
        assert not [x for x in member.lines.drain() if x.endswith(" lost") and "message" in x]


FORGER = """if True:
    import os, socket, struct, sys, time
    own, victim, key_id, seconds = int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3]), float(sys.argv[4])
    raw = [socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) for _ in range(2)]
    for i in range(2):
        raw[i].bind((f"10.{77 + i}.0.{own}", 0))
    clear = bytes([0xfe, 0xfd] + 8 * [0])
    hello = bytes([22]) + clear + bytes([0, 60, 1, 0, 0, 48] + 5 * [0] + [48, 0xfe, 0xfd] + 46 * [1])
    alert = bytes([21]) + clear + bytes([0, 2, 2, 40])
    n = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        n += 1
        short = bytes([23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, n // 256 % 256, n % 256, 0, n % 24]) + bytes(n % 24)
        for i in range(2):
            for kind, key, data in ((2, key_id, b""), (1, key_id, short), (1, key_id, hello), (1, key_id, alert),
                                    (1, key_id, os.urandom(n % 1400)), (1, b"none", short), (3, key_id, bytes(32))):
                for cls in range(2):
                    data = bytes([0x48, 3, kind, cls, own, victim, i, 0]) + key + data
                    head = struct.pack("!HHHH", 7700 + i, 7700 + i, 8 + len(data), 0)
                    raw[i].sendto(head + data, (f"10.{77 + i}.0.{victim}", 0))
        time.sleep(0.005)
"""


def forge(node, victim, seconds):
    """Sends to the victim whatever can be written without the key, in the name of this node."""
    with open(f"{node.folder}/run/last-gasp", encoding="ascii") as f:
        key_id = f.readline().split()[3][16:24]
    forger = subprocess.Popen(["ip", "netns", "exec", node.ns, sys.executable, "-c", FORGER, str(node.number),
                               str(victim.number), key_id, str(seconds)])
    node.lab.processes.append(forger)
    return forger


def test_forged_datagrams_change_nothing(lab):
    start_all(lab)
    members = join_all(lab)
    for node in lab.nodes.values():
        node.status_until(r"quorate n1=up n2=up n3=up$")
    told = {i: len(node.lines.drain()) for i, node in lab.nodes.items()}
    forgers = [forge(lab.nodes[a], lab.nodes[b], 3) for a, b in ((1, 2), (2, 1))]
    for k in range(200):
        members[k % 3].send(f"text-{k}")
        time.sleep(0.01)
    for forger in forgers:
        assert forger.wait(timeout=DEADLINE) == 0
    for member in members:
        left = {f"text-{k}" for k in range(200)}
        while left:
            _, match = member.wait(r" message \S+ (text-\d+)$")
            left.discard(match.group(1))
        assert not [x for x in member.lines.seen if " left " in x or x == "frozen"]
    for i, node in lab.nodes.items():
        lines = node.lines.drain()[told[i]:]
        forged = [x for x in lines if "that are no part of what it says" in x]
        # Said by those whom they came to, once for each link in ten seconds, and nothing else by anybody.
        assert lines == forged
        assert bool(forged) == (i != 3)
        assert len({re.search(r"link \d", x).group() for x in forged}) == len(forged)


def test_wrong_key_is_told_on_both_sides(lab):
    lab.write_key(os.path.join(lab.folder, "other.key"))
    os.replace(os.path.join(lab.folder, "other.key"), lab.nodes[3].key)
    lab.start()
    lab.nodes[1].wait_members(1, 2)
    lab.nodes[1].lines.drain()
    status = {i: lab.nodes[i].status_until(r"key mismatch") for i in (1, 2, 3)}
    assert re.search(r"n3=\w+\(key mismatch", status[1])
    assert re.search(r"n3=\w+\(key mismatch", status[2])
    assert re.search(r"n[12]=\w+\(key mismatch", status[3])


def test_different_configuration_is_told_on_both_sides(lab):
    with open(lab.nodes[3].conf, "a") as f:
        f.write("Votes=2\n")
    lab.start()
    lab.nodes[1].wait_members(1, 2)
    status = {i: lab.nodes[i].status_until(r"differs") for i in (1, 2, 3)}
    assert re.search(r"n3=\w+\(its cluster.conf differs from ours in a \[Node\]", status[1])
    assert re.search(r"n3=\w+\(its cluster.conf differs from ours in a \[Node\]", status[2])
    assert re.search(r"n[12]=\w+\(its cluster.conf differs from ours in a \[Node\]", status[3])


def test_other_version_is_told(lab):
    for i in (1, 2):
        lab.nodes[i].start()
    lab.nodes[1].wait_members(1, 2)
    stranger = "10.77.0.99"
    subprocess.run(["ip", "-n", lab.nodes[3].ns, "addr", "add", f"{stranger}/24", "dev", "eth0"], check=True)
    send = ("import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], int(sys.argv[2])));\n"
            "for k in range(30):\n"
            "    s.sendto(bytes([0x48, 99]) + bytes(30), ('10.77.0.1', 7700))\n"
            "    s.sendto(bytes([0x48, 3, 1, 0, int(sys.argv[3]), 1, 0, 0]) + b'none', ('10.77.0.1', 7700))\n")
    for i, address, port in ((2, lab.address(2, 0), 7799), (3, stranger, 7700), (3, lab.address(3, 0), 7700)):
        subprocess.run(["ip", "netns", "exec", lab.nodes[i].ns, sys.executable, "-c", send, address, str(port), str(i)],
                       check=True)
    lab.nodes[1].membership_until(r"^node n3 .* problem key mismatch")
    lab.nodes[1].wait(r"n3: key mismatch")
    told = [line for line in lab.nodes[1].lines.drain() if "another version" in line or "key mismatch" in line]
    # Of one who is heard nobody else says so, and who says now this and now that is told of once. Who sends from an
    # address that is no node's may be a node all the same.
    assert len(told) == 3, told
    assert f"from {stranger}, port 7700, which is no node of this cluster and speaks another version" in told[0]
    assert "n3: speaks another version" in told[1] and "n3: key mismatch" in told[2]


def link_received(node, peer):
    return int(re.search(rf"^link {peer} 0 .* received (\d+) ", node.membership(), re.MULTILINE).group(1))


def links(text, node):
    """State, round-trip time and losses of each link to a node."""
    return [(m[1], m[2], int(m[3])) for m in re.finditer(
        rf"^link {node} \d (\S+) age \S+ rtt (\S+) received \d+ lost (\d+) longest \d+$", text, re.MULTILINE)]


def test_membership_shows_links_losses_and_the_last_changes(lab):
    start_all(lab)
    n1, n2, n3 = lab.nodes.values()
    text = n1.membership_until(r"^link n2 1 good .* rtt \d+ .*\nnode n3 (.*\n){2}link n3 1 good .* rtt \d+ ")
    assert re.search(r"^membership \d+\.\d stable members n1 n2 n3 awaited$", text, re.MULTILINE)
    assert all(state == "good" and 0 < int(rtt) < 1000000 for node in ("n2", "n3") for state, rtt, _ in links(text, node))
    before = links(text, "n2")

    n2.unplug(1)
    text = n1.membership_until(r"^link n2 1 silent age \d+ rtt - ")
    assert [state for state, _, _ in links(text, "n2")] == ["good", "silent"]
    assert [state for state, _, _ in links(text, "n3")] == ["good", "good"]
    assert re.search(r"^node n2 up  heard hears-us hears n1 n3$", text, re.MULTILINE)
    text = n2.membership_until(r"^link n1 1 silent .*\n(.*\n){3}link n3 1 silent ")
    assert [state for state, _, _ in links(text, "n1") + links(text, "n3")] == ["good", "silent"] * 2
    n1.wait(r"warning: link 1 to node n2: nothing is heard on it any more; going on")
    n2.plug(1)
    n1.wait(r"link 1 to node n2: carries both ways again$")
    text = n1.membership_until(r"^link n2 1 good .* rtt \d+ ")
    assert links(text, "n2")[1][2] > before[1][2] and links(text, "n2")[0][2] == before[0][2]

    n2.link(1, "down")
    n2.membership_until(r"^link n1 1 no-carrier .*\n(.*\n){3}link n3 1 no-carrier ")
    # Who misses it first tells the other, who may hear of that before missing it.
    n3.kill()
    text = n1.membership_until(r"^change .* n3 left\((silence|connectivity)\)")
    assert re.search(r"^node n3 unknown (silence|connectivity) hears ", text, re.MULTILINE)
    # Without quorum it is wanted most.
    n2.kill()
    n1.membership_until(r"^change .* n2 left\(silence\)")
    assert "problem not heard on any link" in n1.membership()


def test_snapshot_is_handed_to_a_newcomer(lab):
    start_all(lab)
    first = lab.nodes[1].member("talk", "first", "--snapshot")
    first.wait(r"view members first@n1")
    first.send("state")
    first.wait(r"message first@n1 state$")
    second = lab.nodes[2].member("talk", "second", "--snapshot")
    second.wait(r"snapshot state$")
    first.send("more")
    second.wait(r"message first@n1 more$")


def test_dead_critical_member_ends_the_daemon(lab):
    start_all(lab)
    member = lab.nodes[3].member("talk", "m3", "--critical")
    member.wait(r"view members m3@n3")
    member.kill()
    assert lab.nodes[3].hagcd.wait(timeout=5) == 1


def test_successor_within_the_grace_keeps_the_daemon(lab):
    start_all(lab)
    other = lab.nodes[1].member("talk", "other")
    other.wait(r"view members other@n1")
    for _ in range(3):
        member = lab.nodes[3].member("talk", "m3", "--critical", "--grace=2s")
        other.wait(r"joined m3@n3")
        member.kill()
        other.wait(r"left m3@n3\(exited\)")
    member = lab.nodes[3].member("talk", "m3", "--critical", "--grace=2s")
    other.wait(r"joined m3@n3")
    # Three were within the limit; this is one too many.
    member.kill()
    assert lab.nodes[3].hagcd.wait(timeout=5) == 1


def test_successor_may_leave_without_quorum(lab):
    start_all(lab)
    member = lab.nodes[3].member("talk", "m3", "--critical", "--grace=500ms")
    member.wait(r"view members m3@n3")
    member.kill()
    member.process.wait()  # the name is free once it is dead, and not when that was asked for
    member = lab.nodes[3].member("talk", "m3", "--critical", "--grace=500ms")
    member.wait(r"view members m3@n3")
    for link in (0, 1):
        lab.nodes[3].link(link, "down")
    member.wait(r"^frozen$")
    member.kill(signal.SIGTERM)
    time.sleep(0.2)
    member.kill(signal.SIGTERM)  # nobody answers: goes without
    assert member.process.wait(timeout=5) == 0
    time.sleep(1)
    assert lab.nodes[3].hagcd.poll() is None


def test_grace_without_successor_ends_the_daemon(lab):
    start_all(lab)
    member = lab.nodes[3].member("talk", "m3", "--critical", "--grace=300ms")
    member.wait(r"view members m3@n3")
    member.kill()
    begin = time.monotonic()
    assert lab.nodes[3].hagcd.wait(timeout=5) == 1
    assert time.monotonic() - begin > 0.25


def test_silent_critical_member_is_killed_and_ends_the_daemon(lab):
    start_all(lab)
    member = lab.nodes[3].member("talk", "m3", "--critical", "--liveliness=300ms")
    member.wait(r"view members m3@n3")
    member.kill(signal.SIGSTOP)
    assert lab.nodes[3].hagcd.wait(timeout=5) == 1


def test_silent_member_is_seen_leaving(lab):
    start_all(lab)
    other = lab.nodes[1].member("talk", "other")
    other.wait(r"view members other@n1")
    member = lab.nodes[3].member("talk", "m3", "--liveliness=300ms")
    other.wait(r"joined m3@n3")
    member.kill(signal.SIGSTOP)
    other.wait(r"left m3@n3\(unresponsive\)")
    assert lab.nodes[3].hagcd.poll() is None


def test_unregistered_critical_member_ends_nothing(lab):
    start_all(lab)
    other = lab.nodes[1].member("talk", "other")
    other.wait(r"view members other@n1")
    member = lab.nodes[3].member("talk", "m3", "--critical")
    other.wait(r"joined m3@n3")
    member.kill(signal.SIGTERM)
    other.wait(r"left m3@n3\(unregistered\)")
    assert member.process.wait(timeout=5) == 0
    time.sleep(0.3)
    assert lab.nodes[3].hagcd.poll() is None


def test_wrong_configuration_is_refused_with_its_line(lab):
    with open(lab.nodes[1].conf, "a") as f:
        f.write("Adress=10.0.0.9\n")
    done = subprocess.run([program("hagcd", "hagcd"), *lab.nodes[1].options(), "--check-start"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"cluster\.conf:\d+: .*Adress", done.stdout)


def edit(node, old, new):
    with open(node.conf) as f:
        text = f.read()
    assert old in text
    with open(node.conf, "w") as f:
        f.write(text.replace(old, new))


def test_changed_configuration_that_is_wrong_changes_nothing(lab):
    start_all(lab)
    node = lab.nodes[1]
    before = node.membership()
    for old, new, refused in ((f"Id=2\n", "Id=2\nVote=2\n", r"cluster\.conf:\d+: .*Vote"),
                              ("Name=lab", "Name=other", r"cluster\.conf:2: Name=other: the cluster that runs is named lab"),
                              ("Id=1\n", "Id=9\n", r"cluster\.conf:\d+: node n1 has Id=9, and runs as 1"),
                              ("[Node n1]", "[Node m1]", r"there is no \[Node n1\], and hagcd runs on it"),
                              ("Name=lab", "Name=lab\0", r"zero byte")):
        edit(node, old, new)
        assert re.search(refused, node.reload())
        # The signal has the same outcome: a line in the journal.
        node.kill(signal.SIGHUP)
        node.wait(refused)
        edit(node, new, old)
    os.rename(node.conf, node.conf + ".away")
    assert "cannot be read: No such file" in node.reload()
    os.rename(node.conf + ".away", node.conf)
    assert node.reload() == ""
    assert node.membership().splitlines()[:2] == before.splitlines()[:2]
    assert "waits" not in node.membership()


def test_nodes_come_and_go_while_the_others_run():
    with Lab(4) as lab:
        whole = {}
        for i in (1, 2, 3):
            with open(lab.nodes[i].conf) as f:
                whole[i] = f.read()
            edit(lab.nodes[i], whole[i][whole[i].index("[Node n4]"):], "")
            lab.nodes[i].start()
        for i in (1, 2, 3):
            lab.nodes[i].wait_members(1, 2, 3)
        members = [lab.nodes[i].member("talk", f"m{i}") for i in (1, 2, 3)]
        for member in members:
            member.wait(r"view members( m\d@n\d){3}\b")
        received = link_received(lab.nodes[1], "n2")
        lab.nodes[4].start()
        # One that was told waits for the others, and says so.
        for i in (1, 2, 3):
            with open(lab.nodes[i].conf, "w") as f:
                f.write(whole[i])
        assert lab.nodes[1].reload() == ""
        lab.nodes[1].membership_until(r"^configuration \w+ wanted \w+ waits members-differ for n2 n3$")
        for i in (2, 3):
            assert lab.nodes[i].reload() == ""
        for i in (1, 2, 3, 4):
            lab.nodes[i].wait_members(1, 2, 3, 4)
        lab.nodes[1].membership_until(r"^configuration \w+$")
        # Sessions with those that stayed went on.
        assert link_received(lab.nodes[1], "n2") > received
        joined = lab.nodes[4].member("talk", "m4")
        joined.wait(r"view members( m\d@n\d){4}\b")
        members[0].send("four of us")
        joined.wait(r"message m1@n1 four of us")

        # Taken out again: first it is stopped, and nobody talks to it any more.
        for i in (1, 2, 3):
            edit(lab.nodes[i], whole[i][whole[i].index("[Node n4]"):], "")
            assert lab.nodes[i].reload() == ""
        lab.nodes[2].membership_until(r"^configuration \w+ wanted \w+ waits (members-differ|not-stopped) for n4$")
        # One that is started again meanwhile hears n4 on, which its file does not name any more.
        with open(lab.nodes[1].conf + ".former", "w") as f:
            f.write(whole[1])
        lab.nodes[1].kill(signal.SIGTERM)
        lab.nodes[2].wait_members(2, 3, 4)
        lab.nodes[1].start()
        lab.nodes[1].wait_members(1, 2, 3, 4)
        lab.nodes[1].membership_until(r"^configuration \w+ wanted \w+ waits (members-differ|not-stopped) for n4$")
        members[0] = lab.nodes[1].member("talk", "m1")
        members[0].wait(r"view members( m\d@n\d){4}\b")
        lab.nodes[4].kill(signal.SIGTERM)
        for i in (1, 2, 3):
            lab.nodes[i].wait(r"cluster\.conf as it was read last is in force: 3 nodes, 3 votes")
            assert "n4" not in lab.nodes[i].membership().split("change", maxsplit=1)[0]
            assert lab.nodes[i].hagcd.poll() is None
        with open(os.path.join(lab.nodes[1].folder, "run", "last-gasp")) as f:
            assert lab.address(4, 0) not in f.read()
        # Should it come back with its old file, it is told.
        lab.nodes[4].start()
        lab.nodes[4].wait(r"node n[123]: by its cluster.conf this server is none of the cluster")
        lab.nodes[4].status_until(r"n1=unknown\(by its cluster.conf this server is none of the cluster")
        lab.nodes[1].wait(rf"came from {lab.address(4, 0)}, port 7700, which is no node of this cluster")
        members[1].send("three of us")
        members[2].wait(r"message m2@n2 three of us")


def test_end_that_the_store_does_not_learn_of_is_told():
    """Or else the third deliberate stop would count as a third crash, and nobody would know why."""
    with Lab(1, 1) as lab:
        lab.start()
        n1 = lab.nodes[1]
        n1.wait_members(1)
        n1.store.kill()
        n1.wait(r"lost the connection to hagcd-store")
        n1.kill(signal.SIGTERM)
        n1.wait(r"cannot tell hagcd-store at \S+ that this end is no crash: .*; the next start counts as one after a crash")
        assert n1.hagcd.wait(timeout=5) == 0


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def test_store_of_a_newer_hagcd_is_told_as_such(lab):
    """Whoever went back to an older version reads what that costs and how to go on, and not that his disk is bad."""
    n1 = lab.nodes[1]
    with open(f"{n1.folder}/store", "r+b") as f:
        slot = f.read().find(b"hagslot1")
        f.seek(slot)
        head = bytearray(f.read(20))
        payload = bytearray(f.read(int.from_bytes(head[16:20], "little")))
        payload[0] += 1
        f.seek(slot)
        f.write(head + payload + crc32c(head + payload).to_bytes(4, "little"))
    n1.start_store()
    for options, status in (("--check-start",), 0), (("--init-store",), 1):
        done = subprocess.run([program("hagcd", "hagcd"), *n1.options(), *options],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == status, done.stdout
        assert re.search(r"was written by a newer hamgr, .*nstall the newer hamgr.*older.*--recreate", done.stdout)


def test_store_lost_while_running_is_found_again(lab):
    start_all(lab)
    lab.nodes[2].store.kill()
    lab.nodes[2].store.wait()  # its sockets close before it is gone
    lab.nodes[2].wait(r"lost the connection to hagcd-store")
    lab.nodes[2].start_store()
    lab.nodes[2].wait(r"hagcd-store is back")
    lab.nodes[1].kill()
    lab.nodes[2].wait_members(2, 3)


def test_store_replaced_while_running_is_written(lab):
    """What is promised stands in the file that the next start reads, not in the one that was moved aside."""
    start_all(lab)
    lab.nodes[2].init_store("--recreate")
    lab.nodes[1].kill()
    lab.nodes[2].wait_members(2, 3)
    with open(f"{lab.nodes[2].folder}/store", "rb") as f:
        slots = f.read()
    half = len(slots) // 2
    assert max(int.from_bytes(slots[at + 8:at + 16], "little") for at in (0, half)) > 1


# Between hagcd and hagcd-store. While the flag stands, whatever has a new history of gcs in it fails or hangs.
STORE_THAT_GOES_BAD = """if True:
    import os, socket, sys, time
    path, real, flag, mode = sys.argv[1:]
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path + ".making")
    listener.listen()
    os.rename(path + ".making", path)
    client, _ = listener.accept()
    store = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    store.connect(real)
    history, bad = None, False
    while frame := client.recv(4096):
        if frame[0] == 3:  # WRITE
            bad = os.path.exists(flag) and (bad or frame[-12:] != history)
            history = frame[-12:]
        if bad and mode == "fail":
            client.send(bytes([4]) + frame[1:9] + (5).to_bytes(4, "little") + bytes(4))  # STORED: EIO
            continue
        while bad and os.path.exists(flag):
            time.sleep(0.01)
        store.send(frame)
        client.send(store.recv(4096))
"""


@pytest.mark.parametrize("mode", ["fail", "hang"])
def test_store_that_goes_bad_before_the_flush_holds_up_nobody(mode):
    """R3: the membership is agreed upon, and n3 cannot write that it holds what was ordered before."""
    with Lab(5) as lab:
        bad = lab.nodes[3]
        flag = f"{bad.folder}/bad"
        bad.start_store()
        os.rename(f"{bad.folder}/store.sock", f"{bad.folder}/real.sock")
        bad.store = subprocess.Popen([sys.executable, "-c", STORE_THAT_GOES_BAD, f"{bad.folder}/store.sock",
                                      f"{bad.folder}/real.sock", flag, mode])
        lab.processes.append(bad.store)
        lab.until(lambda: os.path.exists(f"{bad.folder}/store.sock"), "the store listens")
        lab.start()
        for node in lab.nodes.values():
            node.wait_members(1, 2, 3, 4, 5)
        first, other = (lab.nodes[i].member("talk", f"m{i}") for i in (1, 4))
        other.wait(r"view members( m\d@n\d){2}\b")
        with open(flag, "w", encoding="ascii"):
            lab.nodes[2].kill()
        lab.nodes[1].wait_members(1, 3, 4, 5)
        begin = time.monotonic()
        lab.nodes[1].wait_members(1, 4, 5)
        lab.nodes[1].wait(r"node n3 is lost \(no-answer\)")
        first.send("after")
        other.wait(r"message m1@n1 after$")
        assert time.monotonic() - begin < 5
        assert "n3=unknown(cannot write its store" in lab.nodes[1].status_until(r"quorate ")
        os.unlink(flag)
        lab.nodes[1].wait_members(1, 3, 4, 5)
        bad.member("talk", "m3").wait(r"view members( m\d@n\d){3}\b")
