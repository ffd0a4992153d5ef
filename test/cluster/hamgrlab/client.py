# SPDX-License-Identifier: LGPL-2.1-or-later
"""The client outside the cluster: asks each of its shops for the page every 10 ms, whatever became of the requests
before, and writes down when it got a good answer and from which server. It also sends orders and remembers which were
acknowledged, and when; each is given a number, which has to be above all that were given before it was sent. A process of its own in a network namespace of its own; asked over a Unix socket."""

import collections
import errno
import gc
import json
import os
import re
import selectors
import socket
import sys

from . import wire
from .system import boottime, die_with_parent

INTERVAL = 0.010
PAGE_LIMIT = 0.300
ORDER_INTERVAL = 0.050
ORDER_LIMIT = 3.0
SERVED_BY = re.compile(rb"served by: ([^<]+)<")


class Request:
    """One connection: connect, send, read to the end."""

    def __init__(self, shop, data, limit, done):
        self.shop, self.data, self.done = shop, data, done
        self.answer = bytearray()
        self.sent = False
        self.deadline = boottime() + limit
        self.socket = socket.socket(shop.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self.error = self.socket.connect_ex((shop.address, shop.port))

    def ready(self):
        """Go on. True when it is over."""
        try:
            if not self.sent:
                code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, os.strerror(code))
                self.socket.sendall(self.data)
                self.sent = True
                return False
            piece = self.socket.recv(1 << 20)
        except BlockingIOError:
            return False
        except OSError as error:
            self.error = error.errno
            self.answer.clear()
            return True
        self.answer += piece
        return not piece

    def good(self):
        head, _, body = bytes(self.answer).partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        return head.startswith(b"HTTP/1.0 200") and length is not None and len(body) == int(length.group(1))


class Shop:
    """One service that is watched."""

    def __init__(self, name, address, port):
        self.name, self.address, self.port = name, address, port
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.times, self.servers = [], []
        self.next_ask = boottime()
        self.ordering = False
        self.order_interval = ORDER_INTERVAL
        self.next_order = 0.0
        self.n_orders = 0
        self.acknowledged = {}  # text: when
        self.highest = 0  # number given to an order
        self.back = []  # orders that were given no higher one
        self.failures = collections.Counter()

    def good_answer(self, request):
        match = SERVED_BY.search(request.answer)
        self.times.append(boottime())
        self.servers.append(match.group(1).decode() if match else "?")

    def gaps(self, since, until, shortest):
        """Times without an answer that reach past `since`: [from, to, server before, server after]; the last has no
        end when there is no answer yet."""
        found = []
        last_time, last_server = None, None
        for moment, server in zip(self.times, self.servers):
            if moment > until:
                break
            if moment >= since and last_time is not None and moment - last_time >= shortest:
                found.append([last_time, moment, last_server, server])
            elif moment >= since and last_time is None and moment - since >= shortest:
                found.append([None, moment, None, server])
            last_time, last_server = moment, server
        end = min(boottime(), until)
        if end - (last_time or since) >= shortest + 0.05:
            found.append([last_time, None, last_server, None])
        return found


class Client:
    def __init__(self, path):
        self.selector = selectors.EpollSelector()
        self.shops = {}
        self.requests = set()
        self.listener = wire.listen(path)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ, self.on_control)
        self.late_max = 0.0

    def begin(self, shop, data, limit, done):
        try:
            request = Request(shop, data, limit, done)
        except OSError as error:
            shop.failures[errno.errorcode.get(error.errno, "?")] += 1
            return
        if request.error not in (0, errno.EINPROGRESS):
            shop.failures[errno.errorcode.get(request.error, "?")] += 1
            request.socket.close()
            return
        self.requests.add(request)
        self.selector.register(request.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, request)

    def end(self, request):
        self.selector.unregister(request.socket)
        request.socket.close()
        self.requests.discard(request)
        if request.good():
            request.done(request)
        else:
            request.shop.failures[errno.errorcode.get(request.error, "time-out")] += 1

    def on_timer(self):
        now = boottime()
        for shop in self.shops.values():
            if now >= shop.next_ask:
                self.late_max = max(self.late_max, now - shop.next_ask)
                self.begin(shop, b"GET / HTTP/1.0\r\n\r\n", PAGE_LIMIT, shop.good_answer)
                shop.next_ask = max(shop.next_ask + INTERVAL, now)
            if shop.ordering and now >= shop.next_order:
                self.order(shop, "order %d" % shop.n_orders)
                shop.next_order = now + shop.order_interval
        for request in [request for request in self.requests if now > request.deadline]:
            request.error = errno.ETIMEDOUT
            request.answer.clear()
            self.end(request)

    def order(self, shop, text):
        shop.n_orders += 1
        body = text.encode()
        data = b"POST /order HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body

        highest = shop.highest

        def taken(request):
            shop.acknowledged[text] = boottime()
            number = int(request.answer.split()[-1])
            if number <= highest:
                shop.back.append("%s was given %d, after %d had been" % (text, number, highest))
            shop.highest = max(shop.highest, number)

        self.begin(shop, data, ORDER_LIMIT, taken)

    def on_control(self):
        try:
            link, _ = self.listener.accept()
        except BlockingIOError:
            return
        link.settimeout(2)
        try:
            with link, link.makefile("rb") as lines:
                request = json.loads(lines.readline())
                try:
                    answer = {"result": getattr(self, "op_" + request.pop("op"))(**request)}
                except (KeyError, TypeError, AttributeError) as error:
                    answer = {"error": "the client cannot do that: %r" % error}
                link.sendall(wire.encode(answer))
        except (OSError, ValueError):
            pass  # who asked went away

    def op_watch(self, name, address, port=80):
        self.shops[name] = Shop(name, address, port)

    def op_forget(self, name):
        del self.shops[name]

    def op_last(self, name):
        shop = self.shops[name]
        if not shop.times:
            return None
        return {"time": shop.times[-1], "server": shop.servers[-1], "answers": len(shop.times)}

    def op_first_after(self, name, time):
        shop = self.shops[name]
        for moment, server in zip(reversed(shop.times), reversed(shop.servers)):
            if moment <= time:
                break
            found = {"time": moment, "server": server}
        else:
            return {"time": shop.times[0], "server": shop.servers[0]} if shop.times else None
        return found if shop.times[-1] > time else None

    def op_gaps(self, name, since, until=None, shortest=0.05):
        return self.shops[name].gaps(since, until if until is not None else float("inf"), shortest)

    def op_ordering(self, name, on, interval=ORDER_INTERVAL):
        self.shops[name].ordering = on
        self.shops[name].order_interval = interval

    def op_order(self, name, text):
        self.order(self.shops[name], text)

    def op_acknowledged(self, name):
        return self.shops[name].acknowledged

    def op_numbers(self, name):
        shop = self.shops[name]
        return {"given": len(shop.acknowledged), "highest": shop.highest, "back": shop.back}

    def op_figures(self, name):
        shop = self.shops[name]
        return {"answers": len(shop.times), "failures": shop.failures, "orders": shop.n_orders,
                "acknowledged": len(shop.acknowledged), "late_max": self.late_max}

    def run(self):
        while True:
            now = boottime()
            due = min((min(shop.next_ask, shop.next_order) if shop.ordering else shop.next_ask
                       for shop in self.shops.values()), default=now + 1)
            for key, _ in self.selector.select(max(0, due - now)):
                if isinstance(key.data, Request):
                    if key.data in self.requests:
                        self.on_request(key.data)
                else:
                    key.data()
            self.on_timer()

    def on_request(self, request):
        was_sent = request.sent
        if request.ready():
            self.end(request)
        elif request.sent and not was_sent:
            self.selector.modify(request.socket, selectors.EVENT_READ, request)


if __name__ == "__main__":
    die_with_parent()
    gc.disable()  # a pause of the collector would look like one of the shop; nothing here makes cycles
    Client(sys.argv[1]).run()
