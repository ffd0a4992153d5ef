#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds test/behaviours.tsv to the list of behaviours and to the tests that exist.

Usage: check-behaviours.py SOURCE_ROOT [BUILD_FOLDER_OF_CHECK]

Fails when a behaviour has no line, a line has neither a test nor a reason, a behaviour that is due has only a reason,
a named test does not exist, or (with the results of ./check) was skipped or not run.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

NUMBERS = {"A": 22, "B": 5, "C": 22, "D": 21, "E": 10, "F": 9}
DUE = """
    A01 A02 A03 A04 A05 A06 A07 A08 A09 A10 A11 A12 A13 A14 A15 A16 A17 A18 A19 A20 A21 B01 B02 B03
    B04 B05 C01 C02 C03 C04 C06 C18 D01 D04 D05 D06 D07 D08 D11 D16 D19 D21
    E01 E05 E06 E07 E10 F03 F06
""".split()
KINDS = ("unit", "sim", "engine", "dbus", "agents", "integration", "drive", "cluster")
ON_NODES = ("drive", "cluster")  # run by ./check itself, not in its quick mode


def behaviours():
    return [f"{letter}{n:02}" for letter, count in NUMBERS.items() for n in range(1, count + 1)]


def read_table(text):
    """Lines of the table as (number, id, kind, test, reason), and complaints about their form."""
    rows, complaints = [], []
    for n, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [c.strip() for c in line.split("\t")]
        if len(cells) > 4 or len(cells) < 3:
            complaints.append(f"line {n}: has {len(cells)} cells; id, kind, test, reason why not yet")
            continue
        rows.append((n, *cells, *[""] * (4 - len(cells))))
    return rows, complaints


def judge(rows, existing):
    """Complaints about the table. existing(kind, test) says whether there is such a test."""
    known, complaints, shown, listed = set(behaviours()), [], set(), set()
    for n, behaviour, kind, test, reason in rows:
        listed.add(behaviour)
        if behaviour not in known:
            complaints.append(f"line {n}: there is no behaviour {behaviour}")
        if bool(test) == bool(reason):
            complaints.append(f"line {n}: {behaviour} needs either a test or a reason why it has none yet")
        elif test and kind not in KINDS:
            complaints.append(f"line {n}: \"{kind}\" is no kind of test; kinds are {', '.join(KINDS)}")
        elif test and not existing(kind, test):
            complaints.append(f"line {n}: there is no {kind} test {test}")
        elif test:
            shown.add(behaviour)
    for behaviour in sorted(known - listed):
        complaints.append(f"{behaviour} has no line")
    for behaviour in DUE:
        if behaviour in listed and behaviour not in shown:
            complaints.append(f"{behaviour} is due and no test shows it")
    return complaints


def exists_in(root):
    """Tests of C name themselves by a path in a string, tests of Python by file::function."""
    strings = {}
    for kind in KINDS:
        folder = root / "test" / kind
        text = "".join(p.read_text(errors="replace") for p in sorted(folder.rglob("*.[ch]"))) if folder.is_dir() else ""
        strings[kind] = text

    def existing(kind, test):
        if "::" in test:
            file, _, function = test.partition("::")
            path = root / "test" / kind / file
            return path.is_file() and re.search(rf"^\s*def {re.escape(function.split('[')[0])}\(", path.read_text(),
                                                re.MULTILINE) is not None
        if test.endswith((".scenario", ".story", ".conf")):
            return (root / "test" / kind / test).is_file()
        return f'"{test}"' in strings[kind]

    return existing


def results(folder):
    """{test: "passed" | "skipped" | "failed"} of a run of ./check; cluster tests as file::function."""
    found = {}
    for log in folder.glob("plain/meson-logs/testlog*.txt"):
        for m in re.finditer(r"^(not )?ok \d+ (?:- )?(\S+)([^\n]*)", log.read_text(errors="replace"), re.MULTILINE):
            found[m[2]] = "failed" if m[1] else "skipped" if "# SKIP" in m[3].upper() else "passed"
    for report in sorted(folder.glob("*.xml")):
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname').split('.')[-1]}.py::{case.get('name').split('[')[0]}"
            bad = case.find("failure") is not None or case.find("error") is not None
            state = "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"
            if found.get(name) != "failed":
                found[name] = state if found.get(name) != "passed" or state == "failed" else "passed"
    return found


def judge_results(rows, found, ran_cluster):
    complaints = []
    for n, behaviour, kind, test, _ in rows:
        if not test or (kind in ON_NODES and not ran_cluster):
            continue
        name = test.split("[")[0].split("/")[-1] if kind in ON_NODES else test
        if found.get(name) == "skipped":
            complaints.append(f"line {n}: {test}, which shows {behaviour}, was skipped")
        elif name not in found and kind in ("unit", *ON_NODES):
            complaints.append(f"line {n}: {test}, which shows {behaviour}, was not run")
    return complaints


def main():
    root = pathlib.Path(sys.argv[1])
    rows, complaints = read_table((root / "test" / "behaviours.tsv").read_text())
    complaints += judge(rows, exists_in(root))
    if len(sys.argv) > 2:
        folder = pathlib.Path(sys.argv[2])
        complaints += judge_results(rows, results(folder), (folder / "cluster.xml").is_file())

    for c in complaints:
        print(f"test/behaviours.tsv: {c}")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
