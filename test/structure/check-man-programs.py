#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the manual pages of programs and files to what they are about: verbs and options to what --help says and the
program takes, sections and keys with their limits to the tables of the parsers, messages to those that are logged.
Nothing is missing, and nothing is told of that does not exist. Whoever is referred to has a page.

Usage: check-man-programs.py SOURCE_ROOT PROGRAM...
"""

import pathlib
import re
import subprocess
import sys

import man_page

# Where the options are taken.
MAIN_FILES = {"hactl": "src/hactl/main.c", "hagcd": "src/hagcd/main.c", "hagcs": "src/libhagcs/hagcs-tool.c",
              "hamgr": "src/hamgr/main.c"}
# Where keys are converted, and where messages are logged.
PARSERS = {"cluster.conf.5": "src/shared/cluster-*.c", "hamgr.group.5": "src/hamgr/state/config*.c"}
LOGGERS = {"hagcd.8": ["src/hagcd/*.c"], "hamgr.8": ["src/hamgr/**/*.c", "src/resource-agents/**/*.c"]}

OPTION = re.compile(r"(?<![\w-])(--?[a-z][a-z-]*)(?:=([A-Z]+))?")


def differences(page, what, shown, known):
    return ([f"{page} does not tell of {what} {x}" for x in sorted(known - shown)]
            + [f"{page} tells of {what} {x}, which does not exist" for x in sorted(shown - known)])


# ---- What is there ----

def options_in_help(text):
    """{option with its argument, as "--node=NAME"}"""
    options = {}
    for name, argument in OPTION.findall(text):
        options[name] = argument or options.get(name, "")
    return {f"{name}={argument}" if argument else name for name, argument in options.items()}


def options_taken(source):
    """{"--node"} of the table for getopt_long()"""
    return {f"--{name}" for name in re.findall(r'\{ "([a-z-]+)", (?:no|required)_argument,', source)}


def verbs_in_help(text):
    """{"status", "group start"} of the paragraph that begins with Verbs:"""
    paragraph = re.search(r"^Verbs:\n(.*?)^$", text, re.MULTILINE | re.DOTALL)
    verbs = set()
    for name, arguments in re.findall(r"^  (\w+) +(\S.*?)(?:  .*)?$", paragraph[1] if paragraph else "", re.MULTILINE):
        words = re.findall(r"(?<![\w-])[a-z]+", arguments)
        verbs |= {f"{name} {word}" for word in words} or {name}
    return verbs


def tables(text, kind):
    """{name: body} of the arrays of that type in C, with macros in place of their names."""
    macros = dict(re.findall(r"^#define (\w+_KEYS)\s((?:.*\\\n)*.*\n)", text, re.MULTILINE))
    return {name: re.sub(r"\b\w+_KEYS\b", lambda m: macros[m[0]], body).replace("\\\n", "\n") for name, body in
            re.findall(rf"\b{kind} (\w+)\[\w*\] = \{{(.*?)^\}};", text, re.MULTILINE | re.DOTALL)}


def known_settings(text):
    """({Section: {Key}}, complaints) of the tables of ConfSectionType and ConfKey."""
    names = {table: set(re.findall(r'\{\s*"(\w+)",', body)) for kind in ("ConfSectionType", "ConfKey")
             for table, body in tables(text, kind).items()}
    kinds = set().union(*(names[table] for table in tables(text, "ConfSectionType")))
    return ({kind: names.get(f"{kind.lower()}_keys", set()) for kind in kinds},
            [f"[{kind}] has no table {kind.lower()}_keys[] of ConfKey" for kind in kinds if f"{kind.lower()}_keys" not in names])


def value(expression, constants):
    """Of an integer expression in C, of numbers and macros."""
    while re.search(r"[A-Za-z]", expression):
        short = re.sub(r"\bUINT64_C\((\d+)\)|\b(\d+)U?L*\b", lambda m: m[1] or m[2], expression)
        short = re.sub(r"\b[A-Z]\w*\b", lambda m: f"({constants[m[0]]})", short)
        if short == expression:
            raise ValueError(f"{expression} is not understood")
        expression = short
    return eval(expression, {"__builtins__": {}})


def duration(usec):
    for unit, size in (("d", 86400e6), ("h", 3600e6), ("min", 60e6), ("s", 1e6), ("ms", 1e3)):
        if usec >= size and usec % size == 0:
            return f"{usec / size:.0f}{unit}"
    return f"{usec:.0f}us"


def known_limits(text, headers):
    """{(Section, Key): (required, [what its page has to tell])} of the tables of ConfKey."""
    constants = {"UINT16_MAX": "65535", **dict(re.findall(r"^#define (\w+) +([^\n/]+)", headers, re.MULTILINE))}
    ranges = dict(re.findall(r"\bConfRange (\w+) = \{ (.*?) \};", text))
    choices = dict(re.findall(r"\bConfChoice (\w+) = \{ (\w+),", text))
    words = {name: re.findall(r'= "(\w+)"', body) for name, body in tables(text, r"char \*const").items()}
    limits = {}
    for table, body in tables(text, "ConfKey").items():
        for key, convert, flags, limit in re.findall(
                r'\{\s*"(\w+)",\s*(\w+),\s*offsetof\([^)]*\),\s*([^,]*),\s*&?(\w+)\s*\}', body):
            told = words[choices[limit]] if limit in choices else []
            if limit in ranges:
                numbers = [value(part, constants) for part in ranges[limit].split(", ")]
                told = [duration(n) if "duration" in convert else str(n) for n in numbers if n > 0]
            limits[table.removesuffix("_keys").capitalize(), key] = ("CONF_REQUIRED" in flags, told)
    return limits


def messages_logged(header, source):
    ids = dict(re.findall(r'#define (HAMGR_MESSAGE_\w+) "([0-9a-f]{32})"', header))
    return {ids[name] for name in re.findall(r"\bHAMGR_MESSAGE_\w+", source) if name in ids}


# ---- What the pages say ----

def options_shown(text):
    lines = "\n".join(re.findall(r"^\.It Fl .*", text, re.MULTILINE))
    return {f"-{name}={argument}" if argument else f"-{name}"
            for name, argument in re.findall(r"\bFl (\S+)(?: Ns = Ns Ar ([A-Z]+))?", lines)}


def verbs_shown(text):
    return set(re.findall(r"^\.It Ic ([a-z]+(?: [a-z]+)*)", text, re.MULTILINE))


def settings_shown(text):
    parts = re.split(r"^\.S[hs] ", text, flags=re.MULTILINE)
    return {part[1:].split("]")[0].split()[0]:
            set(re.findall(r"(\w+)=", " ".join(re.findall(r"^\.It Li .*", part, re.MULTILINE))))
            for part in parts if part.startswith("[")}


def items_shown(text):
    """{(Section, Key): text}; of keys that are told of outside of a section it is \"\"."""
    items = {}
    for part in re.split(r"^\.S[hs] ", text, flags=re.MULTILINE):
        section = part[1:].split("]")[0].split()[0] if part.startswith("[") else ""
        for first, body in re.findall(r"^\.It Li (.*)\n((?:(?!\.It |\.El).*\n)*)", part, re.MULTILINE):
            items.update({(section, key): body for key in re.findall(r"(\w+)=", first)})
    return items


def settings_named(text):
    lines = " ".join(re.findall(r"^\.(?:It )?Li .*", text, re.MULTILINE))
    return set(re.findall(r"\b([A-Z][a-z]\w*)=", lines))


# ---- Both ----

def judge_program(name, text, help_text, source):
    known = options_in_help(help_text)
    page = next((p for p in (f"{name}.1", f"{name}.8") if p in text), None)
    if not page:
        return [f"{name} has no page"]
    complaints = differences(page, "the option", options_shown(text[page]), known)
    complaints += differences(f"{name} --help", "the option",
                              {o.partition("=")[0] for o in known if o.startswith("--")}, options_taken(source))
    mentioned = {f"-{o}" for o in re.findall(r"\bFl (\S+)", text[page])}
    complaints += [f"{page} mentions the option {o}, which does not exist"
                   for o in sorted(mentioned - {o.partition("=")[0] for o in known})]
    verbs = verbs_in_help(help_text)
    return complaints + (differences(page, "the verb", verbs_shown(text[page]), verbs) if verbs else [])


def judge_settings(page, text, known):
    shown = settings_shown(text)
    complaints = differences(page, "the section", set(shown), set(known))
    for section in sorted(set(shown) & set(known)):
        complaints += differences(page, "the key", *({f"{key}= of [{section}]" for key in side[section]}
                                                     for side in (shown, known)))
    return complaints


def judge_limits(page, text, limits):
    items, complaints = items_shown(text), []
    for (section, key), (required, told) in limits.items():
        item = items.get((section, key), "")
        if required != item.startswith("Required."):
            complaints.append(f"{page}: {key}= of [{section}] is {'' if required else 'not '}required")
        item += items.get(("", key), "")
        complaints += [f"{page}: {key}= of [{section}] does not tell of its limit {word}"
                       for word in told if not re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", item)]
    return complaints


def judge_understood(page, known, limits):
    return [f"{page}: what the parser says of {key}= of [{section}] is not understood"
            for section, keys in known.items() for key in sorted(keys) if (section, key) not in limits]


def judge_names(pages, known):
    """known: keys of all parsers."""
    return [f"{page} names the key {key}=, which does not exist"
            for page, text in pages.items() for key in sorted(settings_named(text) - known)]


def judge_messages(page, text, logged):
    return differences(page, "the message", set(re.findall(r"^\.It Li ([0-9a-f]{32})$", text, re.MULTILINE)), logged)


def judge_references(pages, links, others):
    """pages, others: {name of file: text}; links: other names of pages."""
    there = {*pages, *links}
    complaints = []
    for file, text in {**pages, **others}.items():
        found = set(re.findall(r"\bman:([\w.-]+)\((\d)\)", text))
        found |= set(re.findall(r"(?<![\w.-])((?:hactl|hagc|hamgr|libhagcs|cluster\.conf)[a-z.-]*)\((\d)\)", text))
        found |= {(name, section) for name, section in re.findall(r"^\.(?:It |Pq )?Xr (\S+) (\d)", text, re.MULTILINE)
                  if re.match(r"ha(ctl|gc|mgr)|libhagcs|cluster\.conf", name)}
        complaints += [f"{file} refers to {name}({section}), which does not exist"
                       for name, section in sorted(found) if f"{name}.{section}" not in there]
    return complaints


def judge_installed(meson, pages):
    """pages: names of files in man/ that are not of libhagcs."""
    installed = {name for call in re.findall(r"\binstall_man\((.*?)\)", meson, re.DOTALL)
                 for name in re.findall(r"'(\w[\w.]*\.\d)'", call)}
    return ([f"{page} is not installed" for page in sorted(set(pages) - installed)]
            + [f"{page} is to be installed and is not there" for page in sorted(installed - set(pages))])


def links_in(meson):
    return re.findall(r"\binstall_symlink\('([\w.]+)'", meson)


def main():
    root, programs = pathlib.Path(sys.argv[1]), sys.argv[2:]
    files = sorted(file for section in "158" for file in (root / "man").glob(f"*.{section}"))
    text = {file.name: file.read_text() for file in files}
    libhagcs = {file.name: file.read_text() for file in (root / "man").glob("*.3")}
    meson = (root / "man/meson.build").read_text()
    others = {str(file.relative_to(root)): file.read_text() for pattern in
              ("units/*.service", "units/*.socket", "units/*.target", "src/**/*.[ch]", "README.md", "docs/*", "policy/*.policy")
              for file in root.glob(pattern)}
    links = [*links_in(meson), *(f"{name}.3" for name in re.findall(r"\bhagcs_\w+", meson))]
    headers = "".join(file.read_text() for folder in ("basic", "shared", "hamgr/state")
                      for file in sorted((root / "src" / folder).glob("*.h")))
    parsers = {page: "".join(file.read_text() for file in sorted(root.glob(pattern))) for page, pattern in PARSERS.items()}
    known, complaints = {}, []
    for page, parser in parsers.items():
        known[page], more = known_settings(parser)
        complaints += more
    keys = set().union(*(keys for sections in known.values() for keys in sections.values()))

    def check_limits(page, parser):
        limits = known_limits(parser, headers)
        return judge_limits(page, text.get(page, ""), limits) + judge_understood(page, known[page], limits)

    def logged(page):
        return messages_logged(
            (root / "src/shared/message-ids.h").read_text(),
            "".join(file.read_text() for pattern in LOGGERS[page] for file in sorted(root.glob(pattern))))

    def check_program(program):
        name = pathlib.Path(program).name
        done = subprocess.run([program, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        return judge_program(name, text, done.stdout, (root / MAIN_FILES[name]).read_text())

    man_page.run("man-programs", {
        "every-page-is-installed": lambda: judge_installed(meson, text),
        "whoever-is-referred-to-has-a-page": lambda: judge_references({**text, **libhagcs}, links, others),
        "every-verb-and-option": lambda: [line for program in programs for line in check_program(program)],
        "every-section-and-key": lambda: complaints + judge_names(text, keys) + [
            line for page in PARSERS for line in judge_settings(page, text.get(page, ""), known[page])],
        "every-limit": lambda: [line for page, parser in parsers.items() for line in check_limits(page, parser)],
        "every-message": lambda: [line for page in LOGGERS for line in judge_messages(page, text.get(page, ""), logged(page))],
    }, files)


if __name__ == "__main__":
    main()
