# SPDX-License-Identifier: LGPL-2.1-or-later
"""The networks: one namespace is the switch and holds a bridge for each network, and every node hangs on each by a
cable (a veth pair). Cables are cut by nftables in the switch, or lose their carrier by taking its end down."""

import os
import socket
import struct
import time

from .system import in_network, ip_batch, new_network, run

NETWORKS = ("private", "public", "oob")
PREFIX = {"private": "10.77.1.", "public": "192.0.2.", "oob": "10.77.9."}
PREFIX6 = {"private": "fd77:1::", "public": "2001:db8:2::"}
CLIENT_ADDRESS = "192.0.2.200"
CLIENT_ADDRESS6 = "2001:db8:2::200"
STRANGER_NUMBER = 66
STRANGER_ADDRESS = PREFIX["private"] + str(STRANGER_NUMBER)
CONTROLLER_ADDRESS = "10.77.9.254"
CONTROLLER_PORT = 9000
BMC_PORT = 443
CABLES = 100  # and the node's number: the group of its ports



def bmc_address(number):
    """Of the management controller of a node."""
    return PREFIX["oob"] + str(200 + number)


# Traffic is dropped by what comes in from a port, what goes out of it, or from one port to another.
RULES = """
table bridge lab {
  set from { type ifname; }
  set to { type ifname; }
  set pair { type ifname . ifname; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname @from drop
    oifname @to drop
    iifname . oifname @pair drop
    jump narrow
  }
  chain narrow {
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname @from drop
  }
  chain output {
    type filter hook output priority 0; policy accept;
    oifname @to drop
  }
}
"""

# What a server has: systemd sets these at boot, but in a container they are read-only.
SYSCTLS = {
    "net/unix/max_dgram_qlen": "512",
    "net/ipv4/conf/all/promote_secondaries": "1",
    "net/ipv4/conf/default/promote_secondaries": "1",
    "net/ipv4/conf/default/rp_filter": "2",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/default/accept_dad": "0",
}


def set_sysctls(fd, settings):
    def write():
        for name, value in settings.items():
            try:
                with open("/proc/sys/" + name, "w", encoding="ascii") as file:
                    file.write(value)
            except FileNotFoundError:
                pass  # a kernel without it

    in_network(fd, write)


ETH_P_ALL = 3
PROTOCOLS = {socket.IPPROTO_UDP: "udp", socket.IPPROTO_TCP: "tcp"}


def _kind_of(frame):
    """The protocol of an Ethernet frame, and its destination port when it is IPv4."""
    if frame[12:14] != b"\x08\x00" or frame[23] not in PROTOCOLS:
        return ("other", 0)
    transport = 14 + (frame[14] & 15) * 4
    return (PROTOCOLS[frame[23]], int.from_bytes(frame[transport + 2 : transport + 4], "big"))


class Switch:
    def __init__(self):
        self.fd = new_network()
        self.dark = set()  # (node, network) whose carrier was taken away
        lines = ["link set lo up"]
        for network in NETWORKS:
            lines += [
                # An address of its own: left alone a bridge takes that of a port, another one when a node's port goes, and
                # whoever talks to the power controller on it would wait for ARP to notice.
                "link add %s address 02:00:00:00:ff:%02x type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
                % (network, NETWORKS.index(network) + 1),
                "link set %s up" % network,
            ]
        lines.append("addr add %s/24 dev oob" % CONTROLLER_ADDRESS)
        ip_batch(self.fd, lines)
        self._nft(RULES)

    def _nft(self, text):
        run("nsenter", "--net=/proc/self/fd/%d" % self.fd, "nft", "-f", "-", stdin=text, pass_fds=(self.fd,))

    def cable(self, port, fd, name, network, number):
        """Lines of ip(8) that lay a cable from a port of the switch to an interface inside namespace fd."""
        mac = "02:00:00:00:%02x:%02x" % (NETWORKS.index(network), number)
        return [
            "link add %s type veth peer name %s address %s netns /proc/self/fd/%d" % (port, name, mac, fd),
            # The group lets the kernel take all cables of a node away at once.
            "link set %s master %s group %d up" % (port, network, CABLES + number),
        ]

    def plug_node(self, node, number):
        """A new network namespace for one boot of a node, on all networks. Returns its descriptor."""
        fd = new_network()
        set_sysctls(fd, SYSCTLS)
        lines = []
        for network in NETWORKS:
            lines += self.cable("%s-%s" % (node, network), fd, network, network, number)
        ip_batch(self.fd, lines, pass_fds=(fd,))
        lines = ["link set lo up"]
        for network in NETWORKS:
            # As a wire does: one datagram at a time, each of which the switch looks at, passes or loses.
            lines.append("link set %s gso_max_segs 1 up" % network)
            lines.append("addr add %s%d/24 dev %s" % (PREFIX[network], number, network))
            if network in PREFIX6:
                lines.append("addr add %s%x/64 dev %s nodad" % (PREFIX6[network], number, network))
        ip_batch(fd, lines)
        return fd

    def unplug_node(self, number):
        """Take a node's cables away: a machine without power neither answers nor has a carrier."""
        run(
            "nsenter", "--net=/proc/self/fd/%d" % self.fd, "ip", "link", "del", "group", CABLES + number,
            pass_fds=(self.fd,), check=False,
        )

    def plug_client(self):
        fd = new_network()
        ip_batch(self.fd, self.cable("client-public", fd, "public", "public", 200), pass_fds=(fd,))
        ip_batch(
            fd,
            [
                "link set lo up",
                "link set public up",
                "addr add %s/24 dev public" % CLIENT_ADDRESS,
                "addr add %s/64 dev public nodad" % CLIENT_ADDRESS6,
            ],
        )
        return fd

    def plug_stranger(self):
        """A host in the private network that is no node."""
        fd = new_network()
        ip_batch(self.fd, self.cable("stranger", fd, "private", "private", STRANGER_NUMBER), pass_fds=(fd,))
        ip_batch(fd, ["link set lo up", "link set private up", "addr add %s/24 dev private" % STRANGER_ADDRESS])
        return fd

    def cut(self, node, network=None, peer=None, direction="both"):
        """Drop what node sends (out), is sent (in), or both; on one network or on all that connect nodes; with one
        peer or with everybody."""
        self._nft(self._cut_lines(node, network, peer, direction))

    def split(self, halves, networks):
        """Cut every link between these sets of nodes on these networks, all at one instant."""
        self._nft("".join(
            self._cut_lines(node, network, peer, "both")
            for index, half in enumerate(halves) for other in halves[index + 1 :]
            for node in half for peer in other for network in networks
        ))

    def cut_one_way(self, pairs, networks):
        """Drop what the first of each pair of nodes sends to the second, all at one instant."""
        self._nft("".join(
            self._cut_lines(node, network, peer, "out") for node, peer in pairs for network in networks
        ))

    def narrow(self, node, peer, longest, networks):
        """Drop what node sends to peer when the packet is longer than so many bytes, as a switch with a small MTU does: without
        a word."""
        self._nft("".join(
            'add rule bridge lab narrow iifname "%s-%s" oifname "%s-%s" meta length > %d drop\n'
            % (node, network, peer, network, longest) for network in networks
        ))

    def lose(self, node, percent, networks):
        """Drop what node sends and is sent by chance. Cables carry datagrams one by one, so each has a chance of its own."""
        self._nft("".join(
            'add rule bridge lab narrow %s "%s-%s" numgen random mod 10000 < %d drop\n'
            % (way, node, network, round(percent * 100)) for network in networks for way in ("iifname", "oifname")
        ))

    def capture(self, seconds):
        """What nodes and the client send in the next seconds: for each (network, protocol, destination port) the number of packets
        and of bytes, where protocol is udp, tcp or other."""
        tap = in_network(self.fd, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
        tap.settimeout(0.05)
        seen = {}
        deadline = time.monotonic() + seconds
        with tap:
            while time.monotonic() < deadline:
                try:
                    frame, source = tap.recvfrom(65536)
                except TimeoutError:
                    continue
                network = source[0].partition("-")[2]
                if network in NETWORKS and source[2] != socket.PACKET_OUTGOING:
                    entry = seen.setdefault((network,) + _kind_of(frame), [0, 0])
                    entry[0] += 1
                    entry[1] += len(frame)
        return [list(kind) + entry for kind, entry in sorted(seen.items())]

    def _cut_lines(self, node, network, peer, direction):
        lines = []
        for name in [network] if network else NETWORKS:
            port = "%s-%s" % (node, name)
            other = "%s-%s" % (peer, name)
            if direction in ("both", "out"):
                lines.append(
                    'add element bridge lab pair { "%s" . "%s" }' % (port, other) if peer
                    else 'add element bridge lab from { "%s" }' % port
                )
            if direction in ("both", "in"):
                lines.append(
                    'add element bridge lab pair { "%s" . "%s" }' % (other, port) if peer
                    else 'add element bridge lab to { "%s" }' % port
                )
        return "\n".join(lines) + "\n"

    def heal(self):
        """End every cut, and give every interface its carrier back."""
        for node, network in sorted(self.dark):
            self.carrier(node, network, True)
        self._nft("".join("flush set bridge lab %s\n" % name for name in ("from", "to", "pair")) + "flush chain bridge lab narrow\n")

    def carrier(self, node, network, up):
        """Take the switch's end of a cable down, or up again."""
        (self.dark.discard if up else self.dark.add)((node, network))
        run(
            "nsenter", "--net=/proc/self/fd/%d" % self.fd, "ip", "link", "set", "%s-%s" % (node, network),
            "up" if up else "down", pass_fds=(self.fd,), check=not up,
        )

    def add_bmcs(self, numbers):
        ip_batch(self.fd, ["addr add %s/24 dev oob" % bmc_address(number) for number in numbers])

    def listen(self, address, port):
        def work():
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(16)
            return listener

        return in_network(self.fd, work)

    def close(self):
        os.close(self.fd)


# A little rtnetlink, for the ownership checker: which addresses are there, and tell me when that changes.

RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
NLMSG_DONE = 3
RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x10, 0x100
IFA_ADDRESS, IFA_LOCAL = 1, 2


def _addresses_of(data):
    """(message type, address) for each message in a datagram of rtnetlink."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("<IH", data)
        if length < 16:
            return
        if kind == NLMSG_DONE:
            yield kind, None
            return
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            family = data[16]
            offset, found = 24, {}
            while offset + 4 <= length:
                size, attribute = struct.unpack_from("<HH", data, offset)
                if size < 4:
                    break
                found[attribute] = data[offset + 4 : offset + size]
                offset += (size + 3) & ~3
            raw = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS)
            if raw:
                yield kind, socket.inet_ntop(family, raw)
        data = data[(length + 3) & ~3 :]


class AddressWatch:
    """The addresses of one network namespace. changes() is to be called when fileno() is readable."""

    def __init__(self, netns_fd):
        self.changes_socket, self.ask_socket = in_network(netns_fd, self._open)

    @staticmethod
    def _open():
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        changes = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        changes.bind((0, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
        changes.setblocking(False)
        ask = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        ask.bind((0, 0))
        ask.settimeout(5)
        return changes, ask

    def fileno(self):
        return self.changes_socket.fileno()

    def changes(self):
        """Each change since the last call, oldest first: (True for added, address)."""
        while True:
            try:
                data = self.changes_socket.recv(65536)
            except BlockingIOError:
                return
            for kind, address in _addresses_of(data):
                yield kind == RTM_NEWADDR, address

    def now(self):
        """All addresses there are."""
        self.ask_socket.send(struct.pack("<IHHII", 24, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + bytes(8))
        found = set()
        while True:
            for kind, address in _addresses_of(self.ask_socket.recv(65536)):
                if kind == NLMSG_DONE:
                    return found
                found.add(address)

    def close(self):
        self.changes_socket.close()
        self.ask_socket.close()
