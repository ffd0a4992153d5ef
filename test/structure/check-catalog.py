#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the catalog to the message ids: each has a text, and no text is without an id. Usage: check-catalog.py ROOT"""

import pathlib
import re
import sys


def judge(header, catalog):
    """Complaints, from the text of message-ids.h and of all catalog files."""
    ids = dict((m[2], m[1]) for m in re.finditer(r'#define (HAMGR_MESSAGE_\w+) "([0-9a-f]{32})"', header))
    entries = {}
    for part in re.split(r"^-- ", catalog, flags=re.MULTILINE)[1:]:
        first, _, body = part.partition("\n")
        entries[first.split()[0]] = body

    complaints = []
    if len(ids) != header.count("#define HAMGR_MESSAGE_"):
        complaints.append("message-ids.h: an id is given twice or is not 32 hex digits")
    for i, name in ids.items():
        if i not in entries:
            complaints.append(f"{name}: has no text in the catalog")
        elif not re.search(r"^Subject: \S", entries[i], re.MULTILINE) or len(entries[i].strip().splitlines()) < 4:
            complaints.append(f"{name}: its text has no subject or says too little")
    complaints += [f"the catalog has a text for {i}, which is no message id" for i in entries if i not in ids]
    return complaints


def main():
    root = pathlib.Path(sys.argv[1])
    complaints = judge((root / "src/shared/message-ids.h").read_text(),
                       "".join(p.read_text() for p in sorted((root / "units").glob("*.catalog"))))

    print("1..1")
    for c in complaints:
        print(c, file=sys.stderr)
    print(f"{'not ' if complaints else ''}ok 1 /structure/catalog")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
