#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds hagcs.py to hagcs.h, which the compiler is asked about: functions and what they take, where each field of each
struct is, the value of each constant.

Usage: check-python.py SOURCE_ROOT COMPILER...
"""

import ctypes
import importlib.util
import pathlib
import re
import subprocess
import sys
import tempfile

from hagcs_header import Header

TYPES = {"int": ctypes.c_int, "size_t": ctypes.c_size_t, "bool": ctypes.c_bool, "uint32_t": ctypes.c_uint32,
         "uint64_t": ctypes.c_uint64, "const char *": ctypes.c_char_p, "const void *": ctypes.c_char_p,
         "hagcs *": ctypes.c_void_p, "hagcs **": ctypes.POINTER(ctypes.c_void_p)}


def load(path):
    spec = importlib.util.spec_from_file_location("hagcs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def type_of(module, header, declared):
    """A type of C as ctypes has it."""
    declared = declared.strip()
    if declared in TYPES:
        return TYPES[declared]
    name = re.search(r"hagcs_(\w+)", declared)[1]
    if f"hagcs_{name}" in header.enums:
        return ctypes.c_int
    found = getattr(module, f"_{name}", None)
    if found is None:
        return f"no _{name}"  # which is equal to no type
    for _ in range(declared.count("*")):
        found = ctypes.POINTER(found)
    return found


def judge_functions(module, header):
    complaints = []
    for name, (returned, arguments) in header.functions.items():
        short = name.removeprefix("hagcs_")
        declared = [returned, *(re.match(r"(.*?)\w+$", a)[1] for a in arguments)]
        if module._FUNCTIONS.get(short) != tuple(type_of(module, header, d) for d in declared):
            complaints.append(f"{name} is {module._FUNCTIONS.get(short)} in hagcs.py")
        if not callable(getattr(module.Hagcs, short, None) or getattr(module, short, None)):
            complaints.append(f"{name} cannot be called in hagcs.py")
    complaints += [f"hagcs_{name} is not in hagcs.h" for name in module._FUNCTIONS
                   if f"hagcs_{name}" not in header.functions]
    return complaints


def judge_structs(module, header, facts):
    complaints = []
    for struct, fields in header.structs.items():
        found = getattr(module, struct.replace("hagcs", "", 1), None)
        if not found:
            complaints.append(f"{struct} is not in hagcs.py")
            continue
        if [f[0] for f in found._fields_] != fields or ctypes.sizeof(found) != facts[struct]:
            complaints.append(f"{struct} has other fields or another size in hagcs.py")
            continue
        for field in fields:
            d = getattr(found, field)
            if (d.offset, d.size) != (facts[f"{struct}.{field} offset"], facts[f"{struct}.{field} size"]):
                complaints.append(f"{struct}.{field} is at {d.offset}, {d.size} bytes, in hagcs.py")
    return complaints


def judge_constants(module, header, facts):
    return [f"{c} is {facts[c]} and {getattr(module, c.removeprefix('HAGCS_'), None)} in hagcs.py"
            for c in header.constants if getattr(module, c.removeprefix("HAGCS_"), None) != facts[c]]


def ask_compiler(root, compiler, header):
    """{struct or "struct.field offset" or constant: number}."""
    asked = [(s, f"sizeof({s})") for s in header.structs]
    asked += [(f"{s}.{f} offset", f"offsetof({s}, {f})") for s, fields in header.structs.items() for f in fields]
    asked += [(f"{s}.{f} size", f"sizeof((({s} *) 0)->{f})") for s, fields in header.structs.items() for f in fields]
    asked += [(c, c) for c in header.constants]
    lines = "".join(f'printf("%s\\t%llu\\n", "{name}", (unsigned long long) {value});\n' for name, value in asked)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "ask.c"
        file.write_text(f'#include <stdio.h>\n#include "libhagcs/hagcs.h"\nint main(void) {{\n{lines}return 0;\n}}\n')
        subprocess.run([*compiler, f"-I{root}/src", "-o", f"{folder}/ask", str(file)], check=True)
        said = subprocess.run([f"{folder}/ask"], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split("\t") for line in said.splitlines())}


def main():
    root, compiler = pathlib.Path(sys.argv[1]), sys.argv[2:]
    header = Header((root / "src/libhagcs/hagcs.h").read_text())
    module = load(root / "src/libhagcs/hagcs.py")
    facts = ask_compiler(root, compiler, header)
    results = {
        "functions": judge_functions(module, header),
        "structs": judge_structs(module, header, facts),
        "constants": judge_constants(module, header, facts),
    }

    print(f"1..{len(results)}")
    for i, (name, complaints) in enumerate(results.items(), 1):
        for complaint in complaints:
            print(complaint, file=sys.stderr)
        print(f"{'not ' if complaints else ''}ok {i} /structure/python/{name}-as-in-the-header")
    sys.exit(1 if any(results.values()) else 0)


if __name__ == "__main__":
    main()
