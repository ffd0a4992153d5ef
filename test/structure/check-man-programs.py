#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the manual pages of programs and files to what they are about: verbs and options to what --help says and the
program takes, sections and keys to the tables of the parsers, messages to those that are logged. Nothing is missing,
and nothing is told of that does not exist. Whoever is referred to has a page.

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


def known_settings(text):
    """({Section: {Key}}, complaints) of the tables of ConfSectionType and ConfKey in C."""
    def names(body):
        return set(re.findall(r'\{[\s\\]*"(\w+)",', body))

    macros = {m[1]: names(m[2]) for m in re.finditer(r"^#define (\w+)\s((?:.*\\\n)*.*\n)", text, re.MULTILINE)}
    kinds = set()
    for body in re.findall(r"\bConfSectionType \w+\[\] = \{(.*?)^\};", text, re.MULTILINE | re.DOTALL):
        kinds |= names(body)
    settings = {}
    for table, body in re.findall(r"\bConfKey (\w+)_keys\[\] = \{(.*?)^\};", text, re.MULTILINE | re.DOTALL):
        settings[table.capitalize()] = names(body).union(*(macros.get(word, set()) for word in re.findall(r"\w+", body)))
    complaints = [f"the section {s} has no table of ConfKey by the name of {s.lower()}_keys[]" for s in kinds - set(settings)]
    return {kind: settings.get(kind, set()) for kind in kinds}, complaints


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
    known, complaints = {}, []
    for page, pattern in PARSERS.items():
        known[page], more = known_settings("".join(file.read_text() for file in sorted(root.glob(pattern))))
        complaints += more
    keys = set().union(*(keys for sections in known.values() for keys in sections.values()))

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
        "every-message": lambda: [line for page in LOGGERS for line in judge_messages(page, text.get(page, ""), logged(page))],
    }, files)


if __name__ == "__main__":
    main()
