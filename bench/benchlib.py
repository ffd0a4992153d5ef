# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the programs under bench/ share: their options, their table, their verdict."""

import argparse
import json
import os
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "test/cluster"))


class Figure:
    """One thing that is measured again and again; limit is what its median must not exceed. It must be below the
    medians of its rivals as well, so far as these could be measured: below so much of them; or, where more is better,
    at least so many times."""

    def __init__(self, name, unit="ms", limit=None, digits=0, rivals=(), needed=True, times=1.0, more_is_better=False):
        self.name, self.unit, self.limit, self.digits = name, unit, limit, digits
        self.rivals = list(rivals)
        self.needed = needed
        self.times, self.more_is_better = times, more_is_better
        self.values = []

    def median(self):
        return statistics.median(self.values)

    def text(self, value):
        return "%.*f" % (self.digits, value)

    def short(self):
        """Why it is not good enough; None when it is."""
        if not self.values:
            return "%s: nothing was measured" % self.name if self.needed else None
        median = self.median()
        if self.limit is not None and median > self.limit:
            return "%s: median %s %s, must be at most %s" % (self.name, self.text(median), self.unit, self.text(self.limit))
        for rival in self.rivals:
            if rival.values and not self.beats(rival):
                return "%s: median %s %s, %s %s: %s" % (
                    self.name, self.text(median), self.unit,
                    "no better than" if self.times == 1 else "must be %g times that of" % self.times,
                    rival.name, rival.text(rival.median()))
        return None

    def beats(self, rival):
        bound = rival.median() * self.times
        return self.median() >= bound if self.more_is_better else self.median() < bound


def options(description, rounds, more=()):
    """The options that all benches have, and more: (flag, keywords of add_argument())."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, metavar="N",
                        help="how often (default %s)" % (rounds or "by what is measured"))
    parser.add_argument("--json", metavar="FILE", help="write all values there")
    parser.add_argument("--assert", dest="asserted", action="store_true", help="exit with 1 when a figure falls short")
    for flag, keywords in more:
        parser.add_argument(flag, **keywords)
    return parser.parse_args()


def table(figures):
    lines = [("", "min", "median", "max", "rounds", "at most")]
    for figure in figures:
        numbers = ("-", "-", "-")
        if figure.values:
            numbers = tuple(figure.text(value) for value in (min(figure.values), figure.median(), max(figure.values)))
        limit = figure.text(figure.limit) if figure.limit is not None else ""
        lines.append(("%s, %s" % (figure.name, figure.unit),) + numbers + (str(len(figure.values)), limit))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if not index else cell.rjust(width) for index, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines
    )


def finish(chosen, figures, wrong=(), show=table):
    """Print the table, write the file, name what falls short on the last line. Returns the exit status."""
    print(show(figures), flush=True)
    short = [text for text in (figure.short() for figure in figures) if text] + list(wrong)
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(
                {"figures": {f.name: {"unit": f.unit, "limit": f.limit, "values": f.values} for f in figures}, "short": short},
                file, indent=2,
            )
            file.write("\n")
    if short:
        print("falls short: " + "; ".join(short))
    return 1 if short and chosen.asserted else 0
