# SPDX-License-Identifier: LGPL-2.1-or-later
"""Members of groups that talk all the time (teller/teller.c), and the comparison of what they were told.

What is compared: a place in the order, that is a view of a group, is the same for all who were there: as many messages
delivered before it, the same ones in the same order (by a hash), the same members in it. What follows it is the same view
for all. Between two views the same holds every so many messages, and nobody was told more there than those who go on: what a
member saw last before it died is known to those it left. A newcomer goes on from its snapshot, and so is compared like all others."""

import collections
import re

from .lab import LabError

PROGRAM = "/usr/lib/hamgr-lab/teller"
UNIT = """[Unit]
Description=Teller %(name)s of %(group)s
StartLimitIntervalSec=0

[Service]
ExecStart=%(command)s
Restart=always
RestartSec=100ms
TimeoutStopSec=5s

[Install]
WantedBy=multi-user.target
"""


class Teller:
    """One on a node. lasting: it is started again whenever it ends, and when its node boots."""

    def __init__(self, lab, node, group, name, *options, lasting=False):
        self.lab, self.node, self.group, self.name, self.lasting = lab, node, group, name, lasting
        self.unit = "teller-%s-%s.service" % (group, name)
        self.file = "/var/lib/teller/%s-%s" % (group, name)
        self.offset, self.rest = 0, ""
        self.seen, self.without_marks = [], []
        self.command = [PROGRAM, *map(str, options), group, name, self.file]
        if lasting:
            text = UNIT % {"name": name, "group": group, "command": " ".join(self.command)}
            lab.write(node, "/etc/systemd/system/" + self.unit, text)
            lab.run(node, "systemctl", "daemon-reload")
            lab.run(node, "systemctl", "--quiet", "enable", "--now", self.unit)
        else:
            lab.run(node, "systemd-run", "--quiet", "--collect", "--unit=" + self.unit, "--property=TimeoutStopSec=10s",
                     *self.command)

    def read(self):
        """The lines since the last time, each as a list of words."""
        try:
            text = self.rest + self.lab.read(self.node, self.file, self.offset)
        except LabError:
            return []  # it did not begin yet
        self.offset += len(text) - len(self.rest)
        whole, _, self.rest = text.rpartition("\n")
        # A kill may cut a line short.
        return [line.split()[:-1] for line in whole.splitlines() if line.endswith(" .")]

    def lines(self, kind=None):
        """All lines so far but the marks, which are many; or all of a kind but these."""
        new = self.read()
        self.seen += new
        self.without_marks += [line for line in new if line[1] != "mark"]
        return [line for line in self.without_marks if kind is None or line[1] == kind]

    def count(self):
        """How many messages the group had by its latest sum."""
        sums = self.lines("sum")
        return int(sums[-1][2]) if sums else 0

    def await_line(self, what, condition, timeout=15):
        return self.lab.until(
            "%s at %s" % (what, self.name), lambda: next((line for line in self.lines() if condition(line)), None), timeout)

    def await_count(self, more, timeout=20):
        """Wait until so many more messages were delivered to it."""
        goal = self.count() + more
        self.lab.until("message %d at %s" % (goal, self.name), lambda: self.count() >= goal, timeout)

    def await_left(self, other, timeout=15):
        """Wait for the view without another; returns the reason that it gives."""
        mark = re.compile(r"(?:^|,)%s@%s:\d+=([^,]+)" % (other.name, other.node[1:]))
        line = self.await_line("%s gone" % other.name, lambda line: line[1] == "view" and mark.search(line[6]), timeout)
        return mark.search(line[6]).group(1)

    def signal(self, name):
        self.lab.run(self.node, "systemctl", "kill", "--signal=" + name, self.unit, check=False)

    def end(self):
        """Have it see back what it sent, and leave."""
        self.lab.run(self.node, "systemctl", "stop", self.unit, check=False)

    def rate(self, since, until, what=2):
        """Messages of the group delivered to it in a second; or another number of its sums."""
        sums = [(float(line[0]), int(line[what])) for line in self.lines("sum") if since <= float(line[0]) <= until]
        if len(sums) < 2 or sums[-1][0] == sums[0][0]:
            return 0.0
        return (sums[-1][1] - sums[0][1]) / (sums[-1][0] - sums[0][0])


class Life:
    """What one process of a teller said so far."""

    def __init__(self, who):
        self.who = who
        self.place = None  # of the view it saw last
        self.began = self.count = self.before = 0  # before: told before it began once more
        self.sent = self.back = 0


class Comparison:
    """Takes the lines of all tellers and finds where two of them differ."""

    def __init__(self):
        self.views = collections.defaultdict(lambda: collections.defaultdict(set))  # place: {what: who}
        self.marks = collections.defaultdict(lambda: collections.defaultdict(set))
        self.following = collections.defaultdict(lambda: collections.defaultdict(set))  # place: {next place: who}
        self.most = collections.defaultdict(dict)  # place: {who: the highest count while that was its view}
        self.newest = {}  # group: (place as numbers, members) of its latest view
        self.complaints = []
        self.lives = []
        self.current = {}
        self.n_lines = collections.Counter()

    def take(self, node, group, name, lines):
        who = "%s@%s" % (name, node)
        key = (node, group, name)
        for line in lines:
            kind, words = line[1], line[2:]
            self.n_lines[kind] += 1
            if kind == "start" or key not in self.current:
                self.current[key] = Life((node, who))
                self.lives.append(self.current[key])
            life = self.current[key]
            handler = getattr(self, "_" + kind.replace("-", "_"), None)
            if handler:
                handler(life, group, words)

    def take_all(self, tellers):
        for teller in tellers:
            teller.lines()
            self.take(teller.node, teller.group, teller.name, teller.seen)
        return self

    def _reached(self, life, group, words):
        place, count, digest, members = (group, words[0]), int(words[1]), words[2], words[3]
        self.views[place][(count, digest, members)].add(life.who)
        life.place, life.count = place, count
        self._told(life, group, count)
        latest = (tuple(map(int, re.split("[./]", words[0]))), members)
        self.newest[group] = max(latest, self.newest.get(group, latest))
        return place

    def _told(self, life, _group, count):
        life.count = max(life.count, count)
        if life.place:
            most = self.most[life.place]
            most[life.who] = max(count, most.get(life.who, 0))

    def _begin(self, life, group, words):
        life.before += life.count - life.began
        self._reached(life, group, words)
        life.began = life.count

    def _view(self, life, group, words):
        before = life.place
        place = self._reached(life, group, words)
        self.following[before][place].add(life.who)

    def _mark(self, life, group, words):
        self._told(life, group, int(words[1]))
        self.marks[(group, words[0], int(words[1]))][words[2]].add(life.who)

    def _sum(self, life, group, words):
        self._told(life, group, int(words[0]))
        life.sent, life.back = max(life.sent, int(words[1])), max(life.back, int(words[2]))

    def _end(self, life, group, words):
        self._mark(life, group, [life.place[1], words[0], words[1]])
        if words[2] != words[3]:
            self.complaints.append(
                "%s of %s left with %s of %s messages seen back" % (life.who[1], group, words[3], words[2]))

    def _wrong(self, life, group, words):
        self.complaints.append("%s of %s: %s" % (life.who[1], group, " ".join(words)))

    def differences(self):
        """All that is wrong, in sentences."""
        found = list(self.complaints)
        for table, what in ((self.views, "at view %s of %s"), (self.marks, "after view %s of %s"),
                            (self.following, "in what follows view %s of %s")):
            for place, values in table.items():
                if len(values) > 1:
                    found.append("differ %s: %s" % (what % (place[1], place[0]), "; ".join(
                        "%s: %s" % (" ".join(sorted(one[1] for one in who)), value) for value, who in values.items())))
        for place, following in self.following.items():
            count = min(what[0] for after in following for what in self.views[after])
            found += ["%s was told %d messages more after view %s of %s than those that went on"
                      % (who[1], most - count, place[1], place[0])
                      for who, most in self.most[place].items() if most > count]
        return found

    @staticmethod
    def _shared(table):
        """How many of these were seen on two nodes or more."""
        return sum(len({node for who in values.values() for node, _ in who}) > 1 for values in table.values())

    def figures(self):
        return {
            "views": len(self.views), "views_compared": self._shared(self.views),
            "steps_compared": self._shared(self.following), "marks_compared": self._shared(self.marks),
            "lives": len(self.lives), "sent": sum(life.back for life in self.lives),
            "delivered": sum(life.before + life.count - life.began for life in self.lives),
            "shut_out": self.n_lines["shut-out"], "frozen": self.n_lines["frozen"],
            "disconnected": self.n_lines["disconnected"],
        }
