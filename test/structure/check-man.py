#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the manual pages of libhagcs to hagcs.h: each function has a page that shows it as the header does and is
installed under its name, each constant and each field of a struct is told of somewhere, and mandoc and man have
nothing to say.

Usage: check-man.py SOURCE_ROOT
"""

import pathlib
import re
import shlex
import sys

import man_page
from hagcs_header import Header, words


def named_in(text):
    """Names of the section NAME."""
    section = re.search(r"^\.Sh NAME\n(.*?)^\.Nd", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^\.Nm (\w+)", section[1], re.MULTILINE) if section else []


def shown_in(text):
    """{name: (type, [argument, ...])} of the section SYNOPSIS."""
    section = re.search(r"^\.Sh SYNOPSIS\n(.*?)^\.Sh", text, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^\.Ft (.*)\n\.Fn (.*)$", section[1] if section else "", re.MULTILINE)
    return {shlex.split(call)[0]: (words(kind), [words(a) for a in shlex.split(call)[1:]]) for kind, call in lines}


def judge_functions(header, pages, installed):
    """pages: {name of file without .3: text}; installed: {page: [other name, ...]}."""
    complaints, seen = [], {}
    for page, text in pages.items():
        shown = shown_in(text)
        names = [page, *installed.get(page, [])]
        if page not in installed:
            complaints.append(f"{page}.3 is not installed")
        if page != "libhagcs" and not set(shown) == set(names) == set(named_in(text)):
            complaints.append(f"{page}.3 names {named_in(text)}, shows {list(shown)} and is installed as {names}")
        seen.update(shown)
        for reference in re.findall(r"^\.Xr (\w+) 3", text, re.MULTILINE):
            if reference not in ("libhagcs", *header.functions):
                complaints.append(f"{page}.3 refers to {reference}(3), which does not exist")
    for name in sorted(set(header.functions) | set(seen)):
        if seen.get(name) != header.functions.get(name):
            complaints.append(f"{name}: the header has {header.functions.get(name)}, the pages have {seen.get(name)}")
    return complaints


def judge_words(header, pages):
    text = re.sub(r"^\.Dt .*", "", "\n".join(pages.values()), flags=re.MULTILINE)
    constants = set(re.findall(r"\bHAGCS_[A-Z_]+\b", text))
    fields = set(re.findall(r"\bFa (\w+)", text))
    complaints = [f"no page tells of {c}" for c in header.constants if c not in constants]
    complaints += [f"pages tell of {c}, which does not exist" for c in sorted(constants - set(header.constants))]
    complaints += [f"no page tells of {struct}.{field}" for struct, names in header.structs.items() for field in names
                   if field not in fields]
    return complaints


def installed_by(text):
    return {page: re.findall(r"'(\w+)'", others)
            for page, others in re.findall(r"^    '(\w+)' : \[(.*?)\]", text, re.MULTILINE | re.DOTALL)}


def main():
    root = pathlib.Path(sys.argv[1])
    header = Header((root / "src/libhagcs/hagcs.h").read_text())
    files = [root / "man" / f"{page}.3" for page in installed_by((root / "man/meson.build").read_text())]
    files = sorted({*files, *(root / "man").glob("*hagcs*.3")})
    pages = {file.stem: file.read_text() for file in files}
    checks = {
        "every-function-as-in-the-header": lambda: judge_functions(
            header, pages, installed_by((root / "man/meson.build").read_text())),
        "every-constant-and-field": lambda: judge_words(header, pages),
    }
    man_page.run("man", checks, files)


if __name__ == "__main__":
    main()
