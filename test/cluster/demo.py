# SPDX-License-Identifier: LGPL-2.1-or-later
"""Three servers keep a shop open while one of them dies.

Builds hamgr, makes three servers (containers with a real systemd each) with a disk they share, two networks and a power
switch, and lets hamgr keep a shop on them: a file system, an address, a web service. Then the server that runs it is
killed."""

import argparse
import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from hamgrlab import config, image, progress  # noqa: E402
from hamgrlab.cluster import Cluster  # noqa: E402
from hamgrlab.lab import Lab, LabError, boottime, names  # noqa: E402

NAME = os.environ.get("LAB", "demo")
LAB_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lab")


def title(text):
    print("\n== " + text, flush=True)


def show(text):
    print("\n".join("   " + line for line in text.rstrip().splitlines()), flush=True)


def run_lab(*arguments):
    return subprocess.call([sys.executable, "-B", LAB_PROGRAM] + list(arguments), env=dict(os.environ, LAB=NAME))


def milliseconds(seconds):
    return "%.0f ms" % (seconds * 1000)


class Demo:
    def __init__(self, once):
        self.once = once
        self.cluster = None
        self.wrong = []

    def expect(self, good, what):
        if not good:
            self.wrong.append(what)
            print("   WRONG: " + what, flush=True)

    def run(self):
        title("1. Three servers")
        print("   systemd containers over one cached Debian, a shared disk, a private and a public network,")
        print("   a power switch that hamgr may use; in /var/cache/hamgr-lab and /var/lib/hamgr-lab.", flush=True)
        self.cluster = Cluster.start(
            3, groups={"shop": config.shop(3)}, boot=False, name=NAME, owned=self.once
        )
        began = boottime()
        self.cluster.boot()
        print("   three servers are one cluster %s after the power was switched on" % milliseconds(boottime() - began))
        self.open_shop()
        self.kill_server()
        self.come_back()
        self.move()
        self.verdict()

    def open_shop(self):
        title("2. The shop opens")
        show(self.cluster.lab.read("n1", "/etc/hamgr/shop.group"))
        began = boottime()
        self.cluster.lab.watch_shop()
        show("# hactl apply\n" + self.cluster.hactl("apply", node="n1"))
        answer = self.cluster.lab.first_answer(began)
        print("   first page for the client %s later, from %s" % (milliseconds(answer["time"] - began), answer["server"]))
        self.cluster.await_group("shop")
        show("# hactl status\n" + self.cluster.hactl("status"))

    def kill_server(self):
        lab = self.cluster.lab
        victim = self.cluster.group("shop")["node"]
        title("3. The server that runs it dies: %s" % victim)
        order = "one book, ordered at %s" % time.strftime("%H:%M:%S")
        lab.order(order)
        print("   the client ordered \"%s\"; the shop wrote, synced and confirmed it" % order, flush=True)
        event = lab.kill(victim)
        print("   %s is killed (SIGKILL for all of it, nothing flushed)" % victim, flush=True)
        outage, server = lab.outage(event)
        print("   %s took over; the client was without an answer for %s" % (server, milliseconds(outage)))
        page = lab.from_client("/usr/bin/python3", "-c", "import urllib.request as u; print(u.urlopen('http://%s/', timeout=5).read().decode())" % config.SHOP_ADDRESS)["out"]
        show("the page now:\n" + page)
        self.expect(server not in (victim, None), "the shop is still served by %s" % victim)
        self.expect(order in page, "the order is not on the page")
        self.victim = victim

    def come_back(self):
        title("4. The dead server comes back")
        print("   hamgr had it switched off (so that nothing of it can still run) and on again", flush=True)
        with progress.step("%s boots and joins" % self.victim):
            self.cluster.await_up(timeout=60)
            self.cluster.await_steady("shop")
        show("# hactl status\n" + self.cluster.hactl("status"))

    def move(self):
        lab = self.cluster.lab
        here = self.cluster.group("shop")["node"]
        there = next(name for name in self.cluster.nodes() if name != here)
        title("5. An operator moves the shop from %s to %s" % (here, there))
        event = boottime()
        show("# hactl group move shop %s\n" % there + self.cluster.hactl("group", "move", "shop", there))
        outage, server = lab.outage(event, moved_from=here)
        print("   the client was without an answer for %s" % milliseconds(outage))
        self.expect(server == there, "the shop is served by %s" % server)

    def verdict(self):
        title("6. What the witnesses outside say")
        crimes, lost = self.cluster.lab.crimes(), self.cluster.lab.lost_orders()
        print("   two servers with the same address, disk or service at once: %s" % ("; ".join(crimes) or "never"))
        print("   confirmed orders that are lost: %s" % (", ".join(lost) or "none"), flush=True)
        self.expect(not crimes, "there were two owners")
        self.expect(not lost, "orders were lost")


def explain_leaving():
    print("""
The cluster stays up. Explore:
   ./demo shell n1         a shell on a server: hactl status, systemctl status shop, journalctl -u hamgr
   ./demo status           hactl status
   ./demo lab VERB ...     kill, pause, cut, heal, power, ... (./demo lab --help)
   ./demo stop             end it""")


def play(once):
    if NAME in names():
        raise LabError("it is up already: ./demo status, ./demo shell n1, ./demo stop")
    demo = Demo(once)
    left_up = False
    try:
        image.install_tools()
        demo.run()
        left_up = not once
    finally:
        if demo.cluster and not left_up:
            with progress.step("ending the servers"):
                demo.cluster.lab.down()
    if left_up:
        explain_leaving()
    print("\n" + ("FAILED: " + "; ".join(demo.wrong) if demo.wrong else "All of it worked."), flush=True)
    return 1 if demo.wrong else 0


def main():
    parser = argparse.ArgumentParser(prog="./demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="end the servers afterwards; the exit status is the verdict")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verbs.add_parser("shell", help="a shell on a server").add_argument("node", nargs="?", default="n1")
    verbs.add_parser("status", help="hactl status")
    verbs.add_parser("stop", help="end the servers")
    verbs.add_parser("lab", help="a verb of the lab").add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.verb == "shell":
        return run_lab("shell", options.node)
    if options.verb == "status":
        cluster = Cluster(Lab.attach(NAME))
        print(cluster.hactl("status"), end="")
        return 0
    if options.verb == "stop":
        Lab.attach(NAME).down()
        return 0
    if options.verb == "lab":
        return run_lab(*options.arguments)
    return play(options.once)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except LabError as error:
        print("demo: %s" % error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        sys.exit(130)
