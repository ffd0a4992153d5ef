#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the includes of src/ to the table of rooms. Usage: check-includes.py SOURCE_ROOT"""

import pathlib
import re
import sys

# room: (rooms or single headers of ours it may include, outside headers beyond libc)
HAMGR = ["hamgr/state", "hamgr/engine", "hamgr/drive", "hamgr/fence", "hamgr/api"]
ROOMS = {
    "basic": ([], []),
    "cms": (["basic"], []),
    "gcs": (["basic", "cms/membership.h"], []),
    "shared": (["basic"], ["glib", "systemd", "curl"]),
    "libhagcs": (["basic"], []),
    "hagcd": (["basic", "shared", "cms", "gcs", "keeper/page.h", "libhagcs/gather.h", "libhagcs/proto.h"],
              ["glib", "systemd", "openssl"]),
    "keeper": (["basic", "shared/log.h", "hagcd/gasp.h", "hagcd/realtime.h"], []),
    "hamgr/state": (["basic"], ["glib"]),
    "hamgr/engine": (["basic", "hamgr/state"], ["glib"]),
    "hamgr/drive": (["basic", "shared", "hamgr/state"], ["glib", "systemd"]),
    "hamgr/fence": (["basic", "shared", "hamgr/state"], ["glib", "systemd", "jansson"]),
    "hamgr/api": (["basic", "shared", "hamgr/state"], ["glib", "systemd"]),
    "hamgr": (["basic", "shared", "libhagcs", "keeper/page.h", *HAMGR], ["glib", "systemd"]),
    "hactl": (["basic", "shared"], ["glib", "systemd", "jansson"]),
    "resource-agents": (["basic", "shared"], ["glib", "systemd"]),
    "resource-agents/ip": (["basic", "shared", "resource-agents"], ["glib", "systemd", "libmnl"]),
    "resource-agents/mount": (["basic", "shared", "resource-agents"], ["glib", "systemd", "libmount"]),
    # Shares with drive how the guard list is written and read, nothing more.
    "generator": (["basic", "shared", "hamgr/drive/guard-list.h"], []),
}

# Libraries that one file of a room alone may know.
ONE_FILE = {("hagcd", "openssl"), ("shared", "curl")}

# How outside headers are told from libc's.
OUTSIDE = {"glib": r"^(glib|gio)", "systemd": r"^systemd/", "openssl": r"^openssl/", "curl": r"^curl/",
           "libmnl": r"^libmnl/", "libmount": r"^libmount", "jansson": r"^jansson"}


def room_of(path):
    """The deepest room that holds a file given by its path below src/."""
    folder = pathlib.PurePosixPath(path).parent
    while str(folder) not in (".", ""):
        if str(folder) in ROOMS:
            return str(folder)
        folder = folder.parent
    return None


def judge(path, text, seen):
    """Complaints about one file. seen: {(room, library): files}, filled in here."""
    room = room_of(path)
    if room is None:
        return [f"src/{path}: is in no room of the table"]

    complaints = []
    may, outside = ROOMS[room]
    for n, line in enumerate(text.splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if not m:
            continue
        name = m[2]
        if m[1] == '"':
            other = room_of(name)
            if other is None:
                complaints.append(f'src/{path}:{n}: "{name}" does not name its room')
            elif other != room and other not in may and name not in may:
                complaints.append(f'src/{path}:{n}: {room} may not include "{name}"')
            continue
        for library, pattern in OUTSIDE.items():
            if not re.match(pattern, name):
                continue
            if library not in outside:
                complaints.append(f"src/{path}:{n}: {room} may not include <{name}>")
            seen.setdefault((room, library), set()).add(path)
    return complaints


def judge_seen(seen):
    """Complaints about libraries that more than one file knows."""
    return [f"{room}: {library} is known to more than one file: {', '.join(sorted(files))}"
            for (room, library), files in sorted(seen.items()) if (room, library) in ONE_FILE and len(files) > 1]


def main():
    src = pathlib.Path(sys.argv[1]) / "src"
    seen, complaints = {}, []
    for path in sorted([*src.rglob("*.c"), *src.rglob("*.h")]):
        complaints += judge(str(path.relative_to(src)), path.read_text(), seen)
    complaints += judge_seen(seen)

    print("1..1")
    for c in complaints:
        print(c, file=sys.stderr)
    print(f"{'not ' if complaints else ''}ok 1 /structure/includes")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
