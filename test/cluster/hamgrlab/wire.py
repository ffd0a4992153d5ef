# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests and answers between the processes of the lab: one JSON object a line, over Unix sockets."""

import json
import os
import socket

from .system import LabError


def listen(path, backlog=16):
    """Once something is at the path it answers: a socket that is bound and not listened at yet refuses."""
    making = path + ".making"
    try:
        os.unlink(making)
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(making)
    listener.listen(backlog)
    os.rename(making, path)
    return listener


def encode(message):
    return json.dumps(message).encode() + b"\n"


def ask(path, request, timeout=None):
    """Send one request, return its result; what it refuses is a LabError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout)
        try:
            link.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            raise LabError("nobody answers at %s: is the lab up?" % path) from None
        link.sendall(encode(request))
        data = bytearray()
        while not data.endswith(b"\n"):
            piece = link.recv(1 << 20)
            if not piece:
                raise LabError("the lab went away while it was asked to " + str(request.get("op")))
            data += piece
    answer = json.loads(data)
    if "error" in answer:
        raise LabError(answer["error"])
    return answer.get("result")
