# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who has no key changes nothing, costs little, and is told of without filling the journal: a host in the private network
that is no node, with its own address or a node's, sends random bytes, well-formed datagrams, and recorded ones. (A node
with the wrong key: test_F03_wrong_key_is_told_on_both_sides.)"""

import random
import re
import struct

from hamgrlab.lab import boottime
from hamgrlab.network import PREFIX, STRANGER_ADDRESS
from test_bad_input import Journal, nothing_changes

PORT = 7700
SECONDS, RATE = 1, 20000

# What a flood may cost hagcd. Memory: nothing is kept of a datagram, and of a peer one unfinished handshake a channel.
# Processor: a datagram's share, and what hagcd needs anyway in that time.
MEMORY_KIB = 2048
DATAGRAM_USEC = 20
REST_USEC = 300000
# Lines: for each link one of strangers and one of forgeries in ten seconds.
LINES = 2

MAGIC, VERSION = 0x48, 1
DTLS, KNOCK, LAST_GASP = 1, 2, 3
ALERT, HANDSHAKE, DATA = 21, 22, 23


def address(node):
    return PREFIX["private"] + node[1:]


def header(kind, link_class, source, target, key_id, link=0):
    return bytes([MAGIC, VERSION, kind, link_class, source, target, link, 0]) + key_id


def record(kind, epoch, number, body):
    return struct.pack("!BHH", kind, 0xFEFD, epoch) + number.to_bytes(6, "big") + struct.pack("!H", len(body)) + body


def hello(dice, cookie):
    """A ClientHello that could be one of ours."""
    extensions = bytes.fromhex("000a00040002001d" "000b00020100" "00170000")
    body = bytes.fromhex("fefd") + dice.randbytes(32) + b"\0" + bytes([len(cookie)]) + cookie + bytes.fromhex("0002ccac0100")
    body += struct.pack("!H", len(extensions)) + extensions
    size = len(body).to_bytes(3, "big")
    return record(HANDSHAKE, 0, 0, b"\1" + size + struct.pack("!H", 1 if cookie else 0) + bytes(3) + size + body)


def bodies(dice):
    """(kind, bytes) as they could stand in a datagram."""
    yield DTLS, record(DATA, 1, dice.randrange(1 << 47), dice.randbytes(dice.randrange(17, 1200)))
    yield DTLS, record(DATA, 1, dice.randrange(1 << 20), dice.randbytes(8))
    yield DTLS, record(ALERT, 0, 0, b"\2\x28")
    yield DTLS, hello(dice, b"")
    yield DTLS, hello(dice, dice.randbytes(32))
    yield DTLS, dice.randbytes(dice.randrange(1, 1400))
    yield KNOCK, b""
    yield LAST_GASP, dice.randbytes(32)


def well_formed(dice, source, target, key_id, count=512):
    found = []
    while len(found) < count:
        for kind, body in bodies(dice):
            for key in key_id, dice.randbytes(4):
                found.append(header(kind, dice.randrange(2), source, target, key) + body)
    return found


def random_bytes(dice, count=256):
    return [dice.randbytes(dice.randrange(0, 1472)) for _ in range(count)]


def cost(lab, node):
    """Memory (KiB) and processor time (us) of hagcd so far, and the datagrams that this node's sockets took."""
    text = lab.run(
        node, "sh", "-c",
        "p=$(systemctl show --value --property=MainPID hagcd); cat /proc/$p/schedstat /proc/$p/status /proc/net/snmp",
    )
    taken = re.search(r"Udp: InDatagrams .*\nUdp: (\d+)", text)
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)), int(text.split()[0]) / 1000, int(taken.group(1))


class Told(Journal):
    """What hagcd says on a node in the meantime, line by line."""

    def lines(self):
        return [line for line in self.text().splitlines() if not line.startswith("-- ")]


class Hostile:
    """What is sent to the nodes of a cluster, what it cost them, and what they said of it."""

    def __init__(self, cluster):
        self.cluster, self.lab = cluster, cluster.lab
        self.begin = boottime()
        self.told = {node: Told(cluster, node) for node in cluster.nodes()}

    def send(self, source, target, payloads, seconds=SECONDS):
        """Each payload once, then all over and over, with this source address."""
        datagrams = [[source, PORT, address(target), PORT, payload.hex()] for payload in payloads]
        memory, processor, taken = cost(self.lab, target)
        count = self.lab.stranger_sends(datagrams)["sent"]
        count += self.lab.stranger_sends(datagrams, seconds, RATE)["sent"]
        more, later, took = cost(self.lab, target)
        print("%s to %s: %d datagrams, %d taken, %.1f us of processor time each, %+d KiB" % (
            source, target, count, took - taken, (later - processor) / count, more - memory,
        ))
        assert took - taken >= count * 0.9
        assert more - memory <= MEMORY_KIB
        assert later - processor <= count * DATAGRAM_USEC + REST_USEC

    def await_line(self, node, words):
        self.lab.until("%s to say: %s" % (node, words), lambda: re.search(words, self.told[node].text()), 5)

    def check_lines(self):
        """No hagcd said anything but of datagrams, and seldom."""
        most = LINES * (1 + int((boottime() - self.begin) / 10))
        for node, journal in self.told.items():
            lines = journal.lines()
            assert len(lines) <= most, lines
            for line in lines:
                assert re.match(r"link 0: .* datagrams? ", line), line


def heard_from(lab, node, source, at_least=20):
    """What this node was told by another."""
    found = []

    def enough():
        found.extend(
            bytes.fromhex(one[4]) for one in lab.heard(node) if one[0] == address(source) and one[2] == address(node)
        )
        return len(found) >= at_least

    lab.until("%s to hear %s" % (node, source), enough, 10)
    return found


def key_id_of(datagram):
    return datagram[8:12]


FORGED = r"from %s, the address of node %s"


def test_stranger_changes_nothing_costs_little_and_is_told(trio):
    lab, dice = trio.lab, random.Random(1)
    lab.listen("n1")
    lab.listen("n3")
    with nothing_changes(trio):
        mids = {node: trio.mid(node) for node in trio.nodes()}
        hostile = Hostile(trio)
        to_n1, to_n3 = heard_from(lab, "n1", "n3"), heard_from(lab, "n3", "n1")
        key_id = key_id_of(to_n1[0])

        hostile.send(STRANGER_ADDRESS, "n1", random_bytes(dice) + well_formed(dice, 2, 1, key_id) + to_n1)
        hostile.await_line("n1", r"from %s, port %d, which is no node of this" % (STRANGER_ADDRESS, PORT))

        # Who has the lower id begins a handshake, so both sides of one are tried.
        hostile.send(address("n1"), "n3", random_bytes(dice) + well_formed(dice, 1, 3, key_id))
        hostile.await_line("n3", FORGED % (address("n1"), "n1"))
        hostile.send(address("n3"), "n1", random_bytes(dice) + well_formed(dice, 3, 1, key_id))
        hostile.await_line("n1", FORGED % (address("n3"), "n3"))

        hostile.send(address("n1"), "n3", to_n3)
        assert {node: trio.mid(node) for node in trio.nodes()} == mids
        hostile.check_lines()


def test_recorded_datagrams_are_of_no_use_after_a_restart(trio):
    """All that n3 and n1 said to each other before and while n3 came again, handshakes among it."""
    lab = trio.lab
    lab.listen("n1")
    lab.listen("n3")
    heard_from(lab, "n3", "n1")
    lab.run("n3", "systemctl", "restart", "hagcd.service", "hamgr.service", timeout=60)
    trio.await_up()
    to_n1, to_n3 = heard_from(lab, "n1", "n3"), heard_from(lab, "n3", "n1")
    with nothing_changes(trio):
        hostile = Hostile(trio)
        for source, target, heard in ("n3", "n1", to_n1), ("n1", "n3", to_n3):
            assert any(one[12] == HANDSHAKE for one in heard if len(one) > 12)
            hostile.send(address(source), target, heard, 0.5)
        # n1 may have told of others just before.
        hostile.await_line("n3", FORGED % (address("n1"), "n1"))
        hostile.check_lines()
