# SPDX-License-Identifier: LGPL-2.1-or-later
"""Management controllers: one for each node, at an address of its own on the out-of-band network. They speak Redfish
over TLS, with certificates of an authority made for this lab, and switch the nodes as the power controller does.

Each can be told to misbehave: `fail` answers everything with 500, `dead` takes connections and says nothing on them, `lie`
says yes to an order and does nothing, `says-off` says of a node that it is off, and does nothing, `slow=SECONDS` takes its time for every answer, `expired` and `other-ca` show a
certificate that nobody should trust, `sessions` takes no name and password without a session, `no-sessions` has none."""

import base64
import hmac
import http.server
import json
import os
import secrets
import socket
import ssl
import threading
import time

from .network import BMC_PORT, bmc_address
from .system import LabError, run

SYSTEM = "/redfish/v1/Systems/1"
SESSIONS = "/redfish/v1/SessionService/Sessions"
RESET = SYSTEM + "/Actions/ComputerSystem.Reset"
USER = "hamgr"
MODES = ("normal", "fail", "dead", "lie", "says-off", "slow", "expired", "other-ca", "sessions", "no-sessions")
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """Keys and certificates in a folder, made by openssl."""

    def __init__(self, folder, addresses):
        self.folder = folder
        os.makedirs(folder)
        for name in ("ca", "other-ca"):
            run("openssl", "req", "-x509", *NEW_KEY, "-keyout", self.path(name + ".key"), "-out",
                self.path(name + ".pem"), "-subj", "/CN=hamgr lab " + name, "-days", "2")
        run("openssl", "req", "-new", *NEW_KEY, "-keyout", self.path("bmc.key"), "-out", self.path("bmc.csr"),
            "-subj", "/CN=bmc", "-addext", "subjectAltName=" + ",".join("IP:" + address for address in addresses))
        self._sign("normal", "ca", 2)
        self._sign("expired", "ca", -1)
        self._sign("other-ca-bmc", "other-ca", 2)
        self.contexts = {
            "normal": self._context("normal"), "expired": self._context("expired"),
            "other-ca": self._context("other-ca-bmc"),
        }

    def path(self, name):
        return os.path.join(self.folder, name)

    def _sign(self, name, issuer, days):
        run("openssl", "x509", "-req", "-in", self.path("bmc.csr"), "-CA", self.path(issuer + ".pem"), "-CAkey",
            self.path(issuer + ".key"), "-CAcreateserial", "-out", self.path(name + ".crt"), "-days", str(days),
            "-copy_extensions", "copy")

    def _context(self, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(name + ".crt"), self.path("bmc.key"))
        return context

    def text(self):
        with open(self.path("ca.pem"), encoding="ascii") as file:
            return file.read()


class Bmc:
    """The controller of one node."""

    def __init__(self, room, node):
        self.room = room
        self.node = node
        self.mode = "normal"
        self.value = ""
        self.sessions = {}
        self.requests = []
        listener = room.lab.switch.listen(bmc_address(node.number), BMC_PORT)
        self.server = Server(self, listener)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def set_mode(self, mode):
        word, _, value = mode.partition("=")
        if word not in MODES:
            raise LabError("a management controller knows no mode " + mode)
        self.mode, self.value = word, value
        self.sessions.clear()

    def context(self):
        return self.room.authority.contexts.get(self.mode, self.room.authority.contexts["normal"])

    # What it says: (status, headers, object or None)

    def answer(self, method, path, headers, body):
        self.requests.append([time.clock_gettime(time.CLOCK_BOOTTIME), method, path, self.mode])
        if self.mode == "slow":
            time.sleep(float(self.value))
        if self.mode == "fail":
            return 500, {}, error("the controller has a fault")
        if (method, path) == ("GET", "/redfish/v1/"):
            return 200, {}, self._root()
        if (method, path) == ("POST", SESSIONS) and self.mode != "no-sessions":
            return self._login(body)
        if not self._is_authorized(headers):
            return 401, {}, error("who are you?")
        if method == "DELETE" and self.sessions.pop(path, None):
            return 204, {}, None
        if (method, path) == ("GET", "/redfish/v1/Systems"):
            return 200, {}, {"Members": [{"@odata.id": SYSTEM}], "Members@odata.count": 1}
        if (method, path) == ("GET", SYSTEM):
            return 200, {}, self._system()
        if (method, path) == ("GET", SYSTEM + "/ResetActionInfo"):
            return 200, {}, {"Parameters": [{"Name": "ResetType", "AllowableValues": ["On", "ForceOff", "ForceRestart"]}]}
        if (method, path) == ("POST", RESET):
            return self._reset(body)
        return 404, {}, error("there is no " + path)

    def _root(self):
        root = {"Systems": {"@odata.id": "/redfish/v1/Systems"}, "RedfishVersion": "1.6.0"}
        if self.mode != "no-sessions":
            root["Links"] = {"Sessions": {"@odata.id": SESSIONS}}
        return root

    def _login(self, body):
        if body.get("UserName") != USER or not hmac.compare_digest(body.get("Password", ""), self.room.password):
            return 401, {}, error("wrong name or password")
        path, token = SESSIONS + "/" + secrets.token_hex(4), secrets.token_hex(16)
        self.sessions[path] = token
        return 201, {"X-Auth-Token": token, "Location": path}, {"@odata.id": path}

    def _is_authorized(self, headers):
        basic = "Basic " + base64.b64encode(("%s:%s" % (USER, self.room.password)).encode()).decode()
        if headers.get("Authorization") == basic:
            return self.mode != "sessions"
        return headers.get("X-Auth-Token") in self.sessions.values()

    def _power(self):
        return "Off" if self.mode == "says-off" or self.node.state == "off" else "On"

    def _system(self):
        return {
            "@odata.id": SYSTEM, "Name": self.node.name, "PowerState": self._power(),
            "Actions": {"#ComputerSystem.Reset": {"target": RESET, "@Redfish.ActionInfo": SYSTEM + "/ResetActionInfo"}},
        }

    def _reset(self, body):
        action = {"ForceOff": "off", "On": "on"}.get(body.get("ResetType"))
        if action is None:
            return 400, {}, error("no such ResetType")
        self.room.lab.note(self.node.name, "management controller told: %s (%s)" % (action, self.mode))
        if self.mode not in ("lie", "says-off"):
            # As a real one, which says yes before it has done it.
            threading.Thread(target=self.room.lab.controller.switch, args=(self.node, action), daemon=True).start()
        return 204, {}, None


def error(text):
    return {"error": {"code": "Base.1.8.GeneralError", "message": text}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def setup(self):
        if self.server.bmc.mode == "dead":
            self.request.settimeout(60)
            self.request.recv(1)
            while self.request.recv(4096):
                pass
            raise ConnectionAbortedError
        self.request.settimeout(self.timeout)
        self.request = self.server.bmc.context().wrap_socket(self.request, server_side=True)
        super().setup()

    def _serve(self):
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        except ValueError:
            body = {}
        status, headers, answer = self.server.bmc.answer(self.command, self.path, self.headers, body)
        data = json.dumps(answer).encode() if answer is not None else b""
        self.send_response(status)
        for name, value in dict(headers, **{"Content-Type": "application/json", "Content-Length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _serve

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, bmc, listener):
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.bmc = bmc

    def get_request(self):
        link, where = self.socket.accept()
        # An answer goes out as head and body.
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link, where

    def handle_error(self, request, client_address):
        pass  # who asked went away, or did not like the certificate


class Room:
    """All controllers of a lab."""

    def __init__(self, lab):
        self.lab = lab
        self.password = secrets.token_urlsafe(12)
        lab.switch.add_bmcs([node.number for node in lab.nodes.values()])
        self.authority = Authority(
            os.path.join(lab.folder, "bmc"), [bmc_address(node.number) for node in lab.nodes.values()])
        self.bmcs = {node.name: Bmc(self, node) for node in lab.nodes.values()}

    def configure(self, node):
        """What an administrator puts on a node."""
        node.write("/etc/hamgr/bmc-ca.pem", self.authority.text())
        node.write("/etc/hamgr/bmc.secret", "username=%s\npassword=%s\n" % (USER, self.password), 0o600)

    def requests(self, node, since):
        return [request for request in self.bmcs[node].requests if request[0] >= since]

    def close(self):
        for bmc in self.bmcs.values():
            bmc.server.socket.close()
