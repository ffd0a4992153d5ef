#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prints "passed failed" for the log of a step of ./check.

A log with TAP lines or a pytest summary is counted test by test; any other step counts as one. A step that ended with
a failure has failed at least once, whatever its log says.
"""

import re
import sys


def count(text, status):
    _, divider, tap = text.partition("== TAP of all tests ==")
    # Where there is a log of all tests, what was shown of the failed ones before it is in there too.
    text = tap if divider else text
    passed = failed = 0
    found = False

    # Each TAP test is told once in the log that meson keeps.
    for line in tap.splitlines():
        m = re.match(r"(not )?ok \d+(?:\s|$)(.*)", line)
        if not m:
            continue
        found = True
        if "# SKIP" in m[2].upper():
            continue
        if m[1]:
            failed += 1
        else:
            passed += 1

    # "3 passed, 1 failed, 2 errors in 1.2s"
    summaries = re.findall(r"^(?:=+ )?((?:\d+ \w+(?:, )?)+) in [\d.]+s", text, re.MULTILINE)
    for summary in summaries:
        found = True
        for n, word in re.findall(r"(\d+) (\w+)", summary):
            if word == "passed":
                passed += int(n)
            elif word in ("failed", "error", "errors"):
                failed += int(n)

    if not found:
        passed = 1 if status == 0 else 0
    if status != 0:
        failed = max(failed, 1)
    return passed, failed


def main():
    with open(sys.argv[1], errors="replace") as f:
        print(*count(f.read(), int(sys.argv[2])))


if __name__ == "__main__":
    main()
