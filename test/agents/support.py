# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the resource agents share: running an agent as systemd would, with bounds on everything."""

import os
import select
import signal
import socket
import subprocess
import tempfile
import time

LIMIT_SEC = 30.0


def run(*command, check=True):
    """Runs a short command and returns its standard output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SEC, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}: {done.stderr}")
    return done.stdout


def wait_until(condition, limit_sec=LIMIT_SEC, what="the condition"):
    """Asks until it is so; for what nobody tells us of."""
    end = time.monotonic() + limit_sec
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError(f"{what} did not come within {limit_sec} s")


class Agent:
    """One run of an agent, with a notification socket and a journal of its own."""

    def __init__(self, *command, prefix=(), watchdog_usec=None):
        self.folder = tempfile.TemporaryDirectory(prefix="hamgr-agent-")
        path = os.path.join(self.folder.name, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.said = []
        environment = dict(os.environ, NOTIFY_SOCKET=path)
        if watchdog_usec:
            environment["WATCHDOG_USEC"] = str(watchdog_usec)
        self.log = open(os.path.join(self.folder.name, "log"), "w+", encoding="utf-8")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*prefix, *command], env=environment, stdin=subprocess.DEVNULL, stderr=self.log, stdout=self.log
        )

    def listen(self, word, limit_sec=LIMIT_SEC):
        """Waits for a notification that contains the word; returns how long after the start it came."""
        end = time.monotonic() + limit_sec
        while time.monotonic() < end:
            readable, _, _ = select.select([self.socket], [], [], 0.05)
            if readable:
                text = self.socket.recv(4096).decode()
                self.said.append(text)
                if word in text:
                    return time.monotonic() - self.started
            elif self.process.poll() is not None:
                break
        raise AssertionError(f"no {word}; said {self.said}, logged:\n{self.text()}")

    def ready(self):
        return self.listen("READY=1")

    def text(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as f:
            return f.read()

    def wait(self, limit_sec=LIMIT_SEC):
        """Its exit status, or minus the signal. Listens meanwhile, as process 1 does: a socket holds ten messages here,
        and whoever sends the eleventh waits."""
        if self.process.returncode is None:
            pidfd = os.pidfd_open(self.process.pid)
            end = time.monotonic() + limit_sec
            try:
                while pidfd not in (readable := select.select([pidfd, self.socket], [], [], max(0, end - time.monotonic()))[0]):
                    if not readable:
                        raise AssertionError(f"it did not end within {limit_sec} s, logged:\n{self.text()}")
                    self.said.append(self.socket.recv(4096).decode())
            finally:
                os.close(pidfd)
        return self.process.wait(limit_sec)

    def told(self, word):
        """Whether it has sent a notification that contains the word, by now."""
        while select.select([self.socket], [], [], 0)[0]:
            self.said.append(self.socket.recv(4096).decode())
        return any(word in text for text in self.said)

    def stop(self):
        """Stops it as systemd does. Returns exit status and seconds."""
        begin = time.monotonic()
        self.process.terminate()
        return self.wait(), time.monotonic() - begin

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(LIMIT_SEC)
        self.socket.close()
        self.log.close()
        self.folder.cleanup()
