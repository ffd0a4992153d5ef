#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds libhagcs.so to its promises: it exports what hagcs.h declares, each symbol with the version that
libhagcs.sym gives it, calls nothing that ends, stops or talks over the process that it is part of, and has no variables
of its own, so that handles of different threads have nothing in common. Each function is called in some test.

Usage: check-libhagcs.py SOURCE_ROOT LIBRARY
"""

import pathlib
import re
import subprocess
import sys

from hagcs_header import Header

# A function that is not here is not wrong as such: think of whether it ends the process (exit, abort, assert), blocks,
# logs, starts a thread, takes a signal, or changes what belongs to the whole process, and then add it.
CALLS = set("""
    __errno_location calloc close connect fcntl fcntl64 free malloc memchr memcmp memcpy memmove memset realloc recv
    sendmsg snprintf socket strlen
""".split())
# What the compiler adds: start and end of a library, sanitizers, hardening.
COMPILER = re.compile(r"^(_ITM_\w+|__cxa_finalize|__gmon_start__|__(asan|ubsan|sanitizer|gcov)_\w+|__stack_chk_fail)$")

VARIABLES = re.compile(r"^(_DYNAMIC|_GLOBAL_OFFSET_TABLE_|__TMC_END__|__dso_handle|completed\.\d+|"
                       r"__do_global_dtors_aux_fini_array_entry|__frame_dummy_init_array_entry)$")


def judge_calls(undefined):
    called = {re.sub(r"^__(\w+)_chk$", r"\1", name.partition("@")[0]) for name in undefined
              if not COMPILER.match(name.partition("@")[0])}
    return [f"the library calls {name}()" for name in sorted(called - CALLS)]


def judge_exports(functions, script, exported):
    """exported: name@@VERSION, as nm prints it."""
    wanted = {}
    for version, names in re.findall(r"^(HAGCS_\d+) \{\s*global:(.*?)^(?:local:|\})", script, re.MULTILINE | re.DOTALL):
        for name in re.findall(r"[^\s;]+", names):
            wanted[name] = version
    complaints = [f"{name} is in hagcs.h and not in libhagcs.sym" for name in sorted(set(functions) - set(wanted))]
    complaints += [f"{name} is in libhagcs.sym and not in hagcs.h" for name in sorted(set(wanted) - set(functions))]
    given = dict(name.split("@@") for name in exported if "@@" in name)
    for name in sorted(set(given) | set(functions)):
        if given.get(name) != wanted.get(name, "none"):
            complaints.append(f"{name} has version {given.get(name)} in the library, {wanted.get(name)} in libhagcs.sym")
    return complaints


def judge_variables(lines):
    """Lines of nm."""
    found = [line.split()[-1] for line in lines if re.search(r" [bBdDcCsSgG] ", line)]
    return [f"the library has a variable, {name}" for name in sorted(found) if not VARIABLES.match(name)]


def judge_tests(functions, in_c, in_python):
    return [f"no test calls {name}()" for name in functions
            if not re.search(rf"\b{name}\b[(,]", in_c)
            and not re.search(rf"\.{name.removeprefix('hagcs_')}\(", in_python)]


def nm(library, *options):
    return subprocess.run(["nm", *options, library], check=True, capture_output=True, text=True).stdout.splitlines()


def symbols(library, *options):
    return [line.split()[-1] for line in nm(library, "-D", *options) if " A " not in line]


def main():
    root, library = pathlib.Path(sys.argv[1]), sys.argv[2]
    header = Header((root / "src/libhagcs/hagcs.h").read_text())
    script = (root / "src/libhagcs/libhagcs.sym").read_text()
    results = {
        "exports-what-the-header-declares": judge_exports(header.functions, script, symbols(library, "--defined-only")),
        "ends-no-process": judge_calls(symbols(library, "--undefined-only")),
        "every-function-is-tested": judge_tests(
            header.functions, "".join(file.read_text() for file in root.glob("test/unit/*.c")),
            (root / "test/integration/test_libhagcs.py").read_text()),
        "has-no-variables": judge_variables(nm(library)),
    }

    print(f"1..{len(results)}")
    for i, (name, complaints) in enumerate(results.items(), 1):
        for complaint in complaints:
            print(complaint, file=sys.stderr)
        print(f"{'not ' if complaints else ''}ok {i} /structure/libhagcs/{name}")
    sys.exit(1 if any(results.values()) else 0)


if __name__ == "__main__":
    main()
