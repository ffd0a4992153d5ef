# SPDX-License-Identifier: LGPL-2.1-or-later
"""What hagcs.h declares: functions, structs, constants."""

import re


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


def words(text):
    """One space between words, and none after a star."""
    return re.sub(r"\* ", "*", " ".join(text.split()))


class Header:
    def __init__(self, text):
        text = without_comments(text)
        # name: (type, [argument, ...])
        self.functions = {
            m[2]: (words(m[1]), [] if m[3].strip() == "void" else [words(a) for a in m[3].split(",")])
            for m in re.finditer(r"^((?:const )?\w+ \**)(hagcs_\w+)\(([^;]*?)\);", text, re.MULTILINE | re.DOTALL)}
        # name: [field, ...]
        self.structs = {
            m[2]: re.findall(r"(\w+)(?:\[\w+\])?\s*[,;]", m[1])
            for m in re.finditer(r"^typedef struct hagcs_\w+ \{(.*?)^\} (hagcs_\w+);", text, re.MULTILINE | re.DOTALL)}
        # name: [enumerator, ...]
        self.enums = {
            m[1]: re.findall(r"\bHAGCS_\w+", m[2])
            for m in re.finditer(r"^(?:typedef )?enum (hagcs_\w+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL)}
        self.macros = re.findall(r"^#define (HAGCS_\w+)", text, re.MULTILINE)

    @property
    def constants(self):
        return [*self.macros, *(c for names in self.enums.values() for c in names)]
