# SPDX-License-Identifier: LGPL-2.1-or-later
"""ha-ip on real interfaces: two hosts on a bridge, with a capture at the other host."""

import ctypes
import os
import select
import socket
import struct
import subprocess
import time

import pytest

from support import LIMIT_SEC, run, wait_until

HA_IP = os.environ.get("HA_IP", "ha-ip")
VIP = "192.0.2.10"
VIP6 = "2001:db8::10"
ETH_P_ARP, ETH_P_IPV6 = 0x0806, 0x86DD
EXIT_USAGE, EXIT_MISSING, EXIT_CONFLICT, EXIT_LOST = 2, 3, 4, 5
CLONE_NEWNET = 0x40000000


def vip(*more, address=f"{VIP}/24", interface="eth0"):
    return (HA_IP, "--address", address, "--interface", interface, *more)


def in_namespace(path, action):
    """A socket belongs to the namespace in which it was made."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", "rb") as own, open(path, "rb") as other:
        assert libc.setns(other.fileno(), CLONE_NEWNET) == 0
        try:
            return action()
        finally:
            assert libc.setns(own.fileno(), CLONE_NEWNET) == 0


class Wire:
    """A raw socket at a host's eth0: hears what arrives there, and says what no decent host would."""

    def __init__(self, network, host, protocol=ETH_P_ARP):
        def make():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
            s.bind(("eth0", protocol))
            return s

        self.socket = in_namespace(network.path(host), make)

    def frames(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                data, sender = self.socket.recvfrom(2048)
                if sender[2] != socket.PACKET_OUTGOING:
                    yield data

    def first(self, condition, seconds=LIMIT_SEC):
        for data in self.frames(seconds):
            if condition(data):
                return data
        raise AssertionError("no such frame came")

    def close(self):
        self.socket.close()


@pytest.fixture
def wire(network):
    wires = []

    def make(host="b", protocol=ETH_P_ARP):
        wires.append(Wire(network, host, protocol))
        return wires[-1]

    yield make
    for w in wires:
        w.close()


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def arp(operation, sender_mac, sender, target, destination=b"\xff" * 6):
    return (
        destination + sender_mac + struct.pack("!H", ETH_P_ARP) + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
        + sender_mac + socket.inet_aton(sender) + bytes(6) + socket.inet_aton(target)
    )


def announces(data, operation, mac):
    return data[20:22] == struct.pack("!H", operation) and data[22:28] == mac and (
        data[28:32] == data[38:42] == socket.inet_aton(VIP)
    )


def test_takes_announces_and_removes(network, start, wire):
    ear, mac = wire(), mac_bytes(network.mac("a"))
    agent = start(*vip(), prefix=network.on("a"))
    ready = agent.ready()
    assert network.has("a", VIP)
    assert 0.06 <= ready < 0.5
    heard = list(ear.frames(1.3))
    probes = [f for f in heard if f[28:32] == bytes(4) and f[38:42] == socket.inet_aton(VIP)]
    requests = [f for f in heard if announces(f, 1, mac)]
    replies = [f for f in heard if announces(f, 2, mac)]
    assert (len(probes), len(requests), len(replies)) == (3, 3, 3)
    assert all(f[0:6] == b"\xff" * 6 for f in heard if f[22:28] == mac)
    status, seconds = agent.stop()
    assert status == 0 and not network.has("a", VIP)
    print(f"start {ready * 1000:.1f} ms, stop {seconds * 1000:.1f} ms")


def test_neighbours_cache_is_refreshed(network, start):
    network.ip("b", "neighbour", "replace", VIP, "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "stale")
    start(*vip(), prefix=network.on("a")).ready()
    mac = network.mac("a")
    wait_until(lambda: mac in network.ip("b", "neighbour", "show", VIP), 1, "the new entry")


def test_address_of_another_host_is_refused(network, start):
    network.ip("b", "address", "add", f"{VIP}/24", "dev", "eth0")
    agent = start(*vip(), prefix=network.on("a"))
    assert agent.wait() == EXIT_CONFLICT
    assert network.mac("b") in agent.text()
    assert not network.has("a", VIP)
    assert not agent.told("READY=1")


def test_two_that_begin_at_once_do_not_both_take_it(network, start):
    agents = [start(*vip(), prefix=network.on(host)) for host in ("a", "b")]
    assert EXIT_CONFLICT in [agent.wait() for agent in agents if not took_it(agent)]
    assert not (network.has("a", VIP) and network.has("b", VIP))


def took_it(agent):
    try:
        agent.ready()
    except AssertionError:
        return False
    return True


def test_removed_by_somebody_else_comes_back(network, start):
    agent = start(*vip(), prefix=network.on("a"))
    agent.ready()
    network.ip("a", "address", "delete", f"{VIP}/24", "dev", "eth0")
    begin = time.monotonic()
    wait_until(lambda: network.has("a", VIP), 1, "the address")
    print(f"back after at most {(time.monotonic() - begin) * 1000:.1f} ms")
    wait_until(lambda: "removed from eth0 by somebody else" in agent.text(), 1, "the log")
    for _ in range(20):
        network.ip("a", "address", "flush", "to", f"{VIP}/32", "dev", "eth0")
        wait_until(lambda: network.has("a", VIP), 1, "the address")
    assert agent.text().count("put back") <= 5


def test_conflict_is_defended_at_a_bounded_rate(network, start, wire):
    agent = start(*vip(), prefix=network.on("a"))
    agent.ready()
    ear, mac, stranger = wire(), mac_bytes(network.mac("a")), b"\x02\0\0\0\0\x66"
    list(ear.frames(1.2))  # the first announcements
    for _ in range(30):
        ear.socket.send(arp(1, stranger, VIP, VIP))
    defences = [f for f in ear.frames(0.5) if announces(f, 1, mac)]
    assert len(defences) == 1
    assert agent.text().count("02:00:00:00:00:66") == 1
    assert agent.process.poll() is None and network.has("a", VIP)


def test_without_carrier_is_refused(network, start):
    network.ip("bridge", "link", "set", "port-a", "down")
    wait_until(lambda: "NO-CARRIER" in network.ip("a", "link", "show", "eth0"), what="loss of carrier")
    agent = start(*vip(), prefix=network.on("a"))
    assert agent.wait() == EXIT_MISSING
    assert "no carrier" in agent.text()
    network.ip("a", "link", "set", "eth0", "down")
    agent = start(*vip(), prefix=network.on("a"))
    assert agent.wait() == EXIT_MISSING
    assert "ip link set eth0 up" in agent.text()


def test_lost_carrier_ends_it_after_the_grace(network, start):
    agent = start(*vip("--carrier-grace", "300ms"), prefix=network.on("a"))
    agent.ready()
    begin = time.monotonic()
    network.ip("bridge", "link", "set", "port-a", "down")
    agent.listen("lost its carrier")
    assert agent.wait() == EXIT_LOST
    assert 0.25 < time.monotonic() - begin < 1
    assert not network.has("a", VIP)


def test_short_loss_of_carrier_is_borne_and_announced(network, start, wire):
    agent = start(*vip("--carrier-grace", "5s"), prefix=network.on("a"))
    agent.ready()
    ear, mac = wire(), mac_bytes(network.mac("a"))
    list(ear.frames(1.2))
    network.ip("bridge", "link", "set", "port-a", "down")
    agent.listen("lost its carrier")
    network.ip("bridge", "link", "set", "port-a", "up")
    agent.listen("STATUS=holding")
    ear.first(lambda f: announces(f, 1, mac), 2)
    assert agent.stop()[0] == 0


def test_lost_interface_ends_it(network, start):
    agent = start(*vip(), prefix=network.on("a"))
    agent.ready()
    network.ip("a", "link", "delete", "eth0")
    assert agent.wait() == EXIT_LOST
    assert "eth0" in agent.text()


def test_killed_leaves_it_and_remove_takes_it_away(network, start):
    agent = start(*vip(), prefix=network.on("a"))
    agent.ready()
    agent.kill()
    assert network.has("a", VIP)
    for _ in range(2):
        run(*network.on("a"), *vip("--remove"))
        assert not network.has("a", VIP)


def test_killed_is_adopted_by_its_successor(network, start):
    agent = start(*vip(), prefix=network.on("a"))
    agent.ready()
    agent.kill()
    agent = start(*vip(), prefix=network.on("a"))
    agent.ready()
    assert "left by an earlier run" in agent.text()
    assert agent.stop()[0] == 0
    assert not network.has("a", VIP)


def test_address_that_is_not_ours_is_left_alone(network, start):
    network.ip("a", "address", "add", f"{VIP}/24", "dev", "eth0")
    agent = start(*vip(), prefix=network.on("a"))
    assert agent.wait() == EXIT_CONFLICT
    assert "put there by somebody else" in agent.text()
    run(*network.on("a"), *vip("--remove"))
    assert network.has("a", VIP)


def test_removing_the_first_address_keeps_the_others(network, start):
    network.ip("a", "address", "flush", "dev", "eth0")
    first = start(*vip(), prefix=network.on("a"))
    first.ready()
    second = start(*vip(address="192.0.2.11/24"), prefix=network.on("a"))
    second.ready()
    assert first.stop()[0] == 0
    time.sleep(0.05)  # it must stay, not come back
    assert network.has("a", "192.0.2.11") and not network.has("a", VIP)
    assert "put back" not in second.text()


def test_ipv6(network, start, wire):
    ear, mac = wire("b", ETH_P_IPV6), mac_bytes(network.mac("a"))
    target = socket.inet_pton(socket.AF_INET6, VIP6)
    agent = start(*vip(address=f"{VIP6}/64"), prefix=network.on("a"))
    assert agent.ready() < 0.5
    shown = network.ip("a", "address", "show", "dev", "eth0", "to", VIP6)
    assert "nodad" in shown and "tentative" not in shown
    data = ear.first(lambda f: f[20] == 58 and f[54] == 136 and f[62:78] == target, 2)
    assert data[58] & 0x20 and data[80:86] == mac and data[21] == 255
    other = start(*vip(address=f"{VIP6}/64"), prefix=network.on("b"))
    assert other.wait() == EXIT_CONFLICT
    assert network.mac("a") in other.text()
    network.ip("a", "address", "delete", f"{VIP6}/64", "dev", "eth0")
    wait_until(lambda: network.has("a", VIP6), 1, "the address")
    assert agent.stop()[0] == 0
    assert not network.has("a", VIP6)


def test_ipv6_comes_back_with_the_link(network, start):
    agent = start(*vip("--carrier-grace", "5s", address=f"{VIP6}/64"), prefix=network.on("a"))
    agent.ready()
    network.ip("a", "link", "set", "eth0", "down")
    agent.listen("lost its carrier")
    network.ip("a", "link", "set", "eth0", "up")
    wait_until(lambda: network.has("a", VIP6), 2, "the address")
    assert agent.process.poll() is None


def test_watchdog_is_fed_by_the_loop(network, start):
    agent = start(*vip(), prefix=network.on("a"), watchdog_usec=400000)
    agent.ready()
    agent.listen("WATCHDOG=1", 1)
    agent.listen("WATCHDOG=1", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--address", "192.0.2.10"),
        ("--address", "192.0.2.10", "--interface", "eth0"),
        ("--address", "192.0.2.0/24", "--interface", "eth0"),
        ("--address", "192.0.2.10/24", "--interface", "a/b"),
        ("--address", "192.0.2.10/24", "--interface", "eth0", "--probe-count", "-1"),
        ("--address", "192.0.2.10/24", "--interface", "eth0", "--probe-window", "soon"),
        ("--address", "192.0.2.10/24", "--interface", "eth0", "more"),
        ("--adress", "192.0.2.10/24"),
    ],
)
def test_wrong_command_line_is_refused(arguments):
    done = subprocess.run((HA_IP, *arguments), capture_output=True, text=True, timeout=LIMIT_SEC, check=False)
    assert done.returncode == EXIT_USAGE
    assert done.stderr


def test_unknown_interface_and_help(network, start):
    agent = start(*vip(interface="eth9"), prefix=network.on("a"))
    assert agent.wait() == EXIT_MISSING
    assert "eth9" in agent.text()
    assert "--carrier-grace" in run(HA_IP, "--help")
