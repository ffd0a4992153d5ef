# SPDX-License-Identifier: LGPL-2.1-or-later
"""The power controller: answers on the out-of-band network and really switches nodes. It can be told to misbehave:
`fail` answers every order with an error, `hang` never answers, `lie` says "ok" and does nothing, `lie-off` too but
tells the truth when it is asked for the state, `slow=SECONDS` takes its time, `off-only` cannot switch on."""

import threading
import time

from .network import CONTROLLER_ADDRESS, CONTROLLER_PORT
from .system import LabError


class Controller:
    def __init__(self, lab):
        self.lab = lab
        self.modes = {}
        self.lies = {}  # what was claimed of nodes that were lied about
        self.orders = []
        self.listener = lab.switch.listen(CONTROLLER_ADDRESS, CONTROLLER_PORT)
        threading.Thread(target=self._accept, daemon=True).start()

    def set_mode(self, node, mode):
        word = mode.partition("=")[0]
        if word not in ("normal", "fail", "hang", "lie", "lie-off", "slow", "off-only"):
            raise LabError("the power controller knows no mode " + mode)
        self.modes[node] = mode
        self.lies.pop(node, None)

    def _accept(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link):
        with link:
            link.settimeout(30)
            try:
                action, _, plug = link.makefile("r").readline().strip().partition(" ")
                answer = self._obey(action, plug)
                if answer is None:
                    link.recv(1)  # never answers: wait until the other side gives up
                else:
                    link.sendall(answer.encode() + b"\n")
            except OSError:
                pass  # who asked gave up

    def _obey(self, action, plug):
        if action in ("monitor", "list"):
            return "ok " + " ".join(self.lab.nodes)
        node = self.lab.nodes.get(plug)
        if node is None:
            return "error there is no plug " + plug
        mode, _, value = self.modes.get(plug, "normal").partition("=")
        self.orders.append([time.clock_gettime(time.CLOCK_BOOTTIME), action, plug, mode])
        if action != "status":
            self.lab.note(plug, "power controller told: %s (%s)" % (action, mode))
        if mode == "hang":
            return None
        if mode == "fail" or (mode == "off-only" and action in ("on", "reboot")):
            return "error the controller has a fault"
        if mode == "slow":
            time.sleep(float(value))
        if mode == "lie":
            if action != "status":
                self.lies[plug] = "off" if action == "off" else "on"
            return "ok " + self.lies.get(plug, "on")
        if mode == "lie-off" and action != "status":
            return "ok " + ("off" if action == "off" else "on")
        return self.switch(node, action)

    def switch(self, node, action):
        """Really do it, or say how the node is."""
        if action == "status":
            return "ok off" if node.state == "off" else "ok on"
        try:
            if action in ("off", "reboot"):
                node.kill(power_off=True)
            if action in ("on", "reboot"):
                node.on()
        except (LabError, OSError) as error:
            return "error %s" % error
        return "ok off" if action == "off" else "ok on"

    def close(self):
        self.listener.close()
