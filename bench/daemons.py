# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the daemons that bench/membership and bench/groups compare are configured and started on a node."""

import os
import shutil
import socket
import subprocess

from nodes import Process, address, run
from watch import HagcsClient, QuorumClient, load_hagcs, load_quorum

COROSYNC = "/usr/sbin/corosync"


def built(build, *parts):
    path = os.path.join(build, *parts)
    if not os.path.exists(path):
        raise FileNotFoundError("%s: build first, and set HAMGR_BUILD to the build folder" % path)
    return path


class Hagcd:
    """As its units run it: with real-time priority, and its store in a process of its own, whose socket listens before."""

    name = "hagcd"
    patience_sec = 30.0

    def __init__(self, network, build, failure_msec):
        self.network, self.failure_msec = network, failure_msec
        self.build = os.path.abspath(build)
        self.library = load_hagcs(self.program("libhagcs", "libhagcs.so.0"))
        self.key = os.path.join(network.folder, "cluster.key")
        run(os.path.join(self.build, "test/integration/make-key"), self.key)

    def program(self, *parts):
        return built(self.build, "src", *parts)

    def configure(self, n_nodes):
        self.conf = os.path.join(self.network.folder, "cluster.conf")
        with open(self.conf, "w", encoding="ascii") as file:
            file.write("[Cluster]\nName=bench\nFailureSec=%dms\n" % self.failure_msec)
            for i in range(1, n_nodes + 1):
                file.write("[Node n%d]\nId=%d\nAddress=%s\n" % (i, i, address(i)))

    def options(self, node, folder):
        return ["--node=n%d" % node, "--config=" + self.conf, "--key=" + self.key, "--run-folder=%s/run" % folder,
                "--store=%s/store" % folder, "--store-socket=%s/store.sock" % folder]

    def ready(self, gate, node, folder):
        """Its processes; the first is the one that a node lives and dies with."""
        hagcd = [self.program("hagcd", "hagcd"), *self.options(node, folder)]
        run(*hagcd, "--init-store")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind("%s/store.sock" % folder)
            listener.listen()
            fd = listener.fileno()
            store = Process(gate, node, [self.program("hagcd", "hagcd-store"), "--store=%s/store" % folder],
                            "%s/log" % folder, pass_fds=[fd],
                            prepare="exec 3<&%d; export LISTEN_FDS=1 LISTEN_PID=$$" % fd)
        return [Process(gate, node, hagcd, "%s/log" % folder), store]

    def connect(self, folder):
        return HagcsClient(self.library, "%s/run/hagcd.sock" % folder)

    def load(self, node, n_nodes, folder):
        """What sends to the node's group, and listens to it."""
        return [built(self.build, "bench/group-load-hagcs"), str(node), str(n_nodes), "%s/run/hagcd.sock" % folder]

    def clean(self):
        pass


class Corosync:
    """failure_msec is its token time-out, the silence after which it begins to look for a new membership, as FailureSec=
    is for hagcd; None leaves that to its defaults."""

    def __init__(self, network, failure_msec=None):
        self.network, self.failure_msec = network, failure_msec
        # Its defaults take 50 s to see a death at 32 nodes.
        self.patience_sec = 120.0 if failure_msec is None else 30.0
        self.name = "corosync, defaults" if failure_msec is None else "corosync, token %d ms" % failure_msec
        self.library = load_quorum()
        self.key = os.path.join(network.folder, "authkey")
        with open(self.key, "wb") as file:
            file.write(os.urandom(256))
        os.chmod(self.key, 0o400)

    @staticmethod
    def version():
        """None: it is not installed."""
        if not os.path.exists(COROSYNC) or not load_quorum():
            return None
        done = subprocess.run([COROSYNC, "-v"], stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.split("'")[1]

    def configure(self, n_nodes):
        self.nodes = "".join(
            "node {\nnodeid: %d\nname: n%d\nring0_addr: %s\n}\n" % (i, i, address(i)) for i in range(1, n_nodes + 1))

    def write_conf(self, folder):
        tuned = "" if self.failure_msec is None else "token: %d\ntoken_coefficient: 0\n" % self.failure_msec
        with open("%s/corosync.conf" % folder, "w", encoding="ascii") as file:
            file.write(
                "totem {\nversion: 2\ncluster_name: bench\ntransport: knet\ncrypto_cipher: aes256\ncrypto_hash: sha256\n"
                "keyfile: %s\n%s}\n"
                "quorum {\nprovider: corosync_votequorum\n}\n"
                "logging {\nto_stderr: yes\nto_syslog: no\ntimestamp: hires\n}\n"
                "system {\nstate_dir: %s\nmove_to_root_cgroup: no\n}\n"
                "nodelist {\n%s}\n" % (self.key, tuned, folder, self.nodes))

    def ready(self, gate, node, folder):
        self.write_conf(folder)
        return [Process(gate, node, [COROSYNC, "-f", "-c", "%s/corosync.conf" % folder], "%s/log" % folder,
                        separate=["unshare", "--mount", "--ipc"],
                        # Its lock file is always there.
                        prepare='mount --bind "%s/run" /run' % folder)]

    def connect(self, _folder):
        return QuorumClient(self.library)

    @staticmethod
    def load(node, n_nodes, _folder):
        return [built(os.environ.get("HAMGR_BUILD", "build"), "bench/group-load-cpg"), str(node), str(n_nodes)]

    def clean(self):
        """What a killed one leaves in shared memory."""
        for entry in os.listdir("/dev/shm"):
            path = os.path.join("/dev/shm", entry)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
