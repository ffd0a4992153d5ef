# SPDX-License-Identifier: LGPL-2.1-or-later
"""A cluster of real daemons of one kind, each on a node of its own, and what its nodes say of their membership."""

import os
import shutil
import tempfile
import time

from nodes import Gate
from watch import Board, Watcher


class Unstable(Exception):
    """What is measured does not hold still."""


class Cluster:
    """One run of n daemons."""

    def __init__(self, network, kind, n_nodes):
        self.kind, self.members = kind, frozenset(range(1, n_nodes + 1))
        self.board, self.gate = Board(), Gate()
        self.processes, self.watchers = {}, []
        self.folder = tempfile.mkdtemp(dir=network.folder)
        try:
            kind.configure(n_nodes)
            for node in sorted(self.members):
                self.prepare(network, node)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def prepare(self, network, node):
        name = network.name(node)
        folder = os.path.join(self.folder, name)
        os.makedirs(os.path.join(folder, "run"))
        self.processes[node] = self.kind.ready(self.gate, node, folder)
        self.watchers.append(Watcher(self.board, node, name, lambda: self.kind.connect(folder)))

    def agreed(self, members, since, what):
        """Milliseconds until all members said that they are in a membership of just these."""
        when = self.board.wait(members, members, self.kind.patience_sec)
        if when is None:
            raise Unstable("%s: not within %.0f s" % (what, self.kind.patience_sec))
        return (when - since) * 1000

    def start(self):
        return self.agreed(self.members, self.gate.open(), "start to quorate")

    def settle(self, seconds):
        """Nothing happens to it, so its membership stays what it was."""
        changes = self.board.n_changes
        time.sleep(seconds)
        if self.board.n_changes != changes:
            raise Unstable("at rest: the membership changed")

    def every(self):
        return [process for processes in self.processes.values() for process in processes]

    def close(self):
        for process in self.every():
            process.kill()
        for process in self.every():
            process.wait()
        # After that: a thread may be waiting for the answer of a daemon.
        for watcher in self.watchers:
            watcher.stop()
        self.kind.clean()
        if not os.environ.get("HAMGR_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)
