# SPDX-License-Identifier: LGPL-2.1-or-later
"""A node's watchdog: outside of the container, so that it runs on while that is paused. Once it was petted it resets the
node when it is petted no more, as one of hardware does; `V` ends its watch."""

import os
import select
import socket
import threading

from .system import boottime


class Watchdog:
    def __init__(self, node, path, seconds):
        self.node, self.seconds = node, seconds
        self.process = None
        if os.path.exists(path):
            os.unlink(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)

    def start(self, process):
        """Watch over one life of the node, that process."""
        self.process = process
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        deadline = None
        with self.socket:
            while self.process.poll() is None:
                left = 0.5 if deadline is None else max(0, deadline - boottime())
                # What has come counts first: this process may have slept.
                if select.select([self.socket], [], [], left)[0]:
                    deadline = None if self.socket.recv(16) == b"V" else boottime() + self.seconds
                elif deadline is not None and boottime() >= deadline:
                    self.node.bitten(self.process)
                    return
