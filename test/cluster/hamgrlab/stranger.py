# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody in the network of the cluster who is none of it: sends what he likes, from whatever address he likes, and
hears what passes a port of the switch. As a program it sends: told what as one JSON object on standard input, it answers
with one on standard output. A datagram is [source, port, destination, port, bytes in hex]."""

import json
import select
import socket
import struct
import sys

from .system import boottime

ETH_P_ALL, ETH_P_IP = 3, 0x0800
SO_RCVBUFFORCE = 33
BURST_SECONDS = 0.005


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(own, datagram):
    """An Ethernet frame for the node that has the destination address. From the stranger's own station, so that the
    switch does not send the node's frames to him whose address he pretends to have."""
    source, source_port, destination, port, data = datagram
    data = bytes.fromhex(data)
    node = int(destination.rsplit(".", 1)[1])
    ethernet = bytes([2, 0, 0, 0, 0, node]) + own + struct.pack("!H", ETH_P_IP)
    ip = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 28 + len(data), 0, 0x4000, 64, socket.IPPROTO_UDP, 0, socket.inet_aton(source),
        socket.inet_aton(destination),
    )
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    # A checksum of 0 means none.
    return ethernet + ip + struct.pack("!HHHH", source_port, port, 8 + len(data), 0) + data


def send(interface, datagrams, seconds=None, rate=None):
    """Each once; or, with seconds, one after the other over and over, so many a second."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind((interface, 0))
    own = link.getsockname()[4]
    frames = [frame(own, datagram) for datagram in datagrams]
    begin, sent = boottime(), 0
    wanted = len(frames) if seconds is None else int(seconds * rate)
    while sent < wanted:
        due = wanted if seconds is None else min(wanted, int((boottime() - begin) * rate))
        while sent < due:
            link.send(frames[sent % len(frames)])
            sent += 1
        if sent < wanted:
            select.select([], [], [], BURST_SECONDS)
    return {"sent": sent, "seconds": boottime() - begin}


def listen(interface):
    """From now on everything that passes this interface is kept, for datagrams()."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
    link.bind((interface, ETH_P_ALL))
    link.setblocking(False)
    return link


def datagrams(link, port):
    """Those to a UDP port among what passed since the last time."""
    found = []
    while True:
        try:
            data = link.recv(65536)
        except BlockingIOError:
            return found
        if len(data) < 42 or data[12:14] != struct.pack("!H", ETH_P_IP) or data[23] != socket.IPPROTO_UDP:
            continue
        head = 14 + 4 * (data[14] & 15)
        source_port, to_port, size = struct.unpack_from("!HHH", data, head)
        if to_port == port:
            found.append([
                socket.inet_ntoa(data[26:30]), source_port, socket.inet_ntoa(data[30:34]), to_port,
                data[head + 8 : head + size].hex(),
            ])


def main():
    request = json.load(sys.stdin)
    json.dump(send(**request), sys.stdout)


if __name__ == "__main__":
    main()
