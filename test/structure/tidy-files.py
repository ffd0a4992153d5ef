#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes a compile database with each C file once into a folder, and prints the files.

clang-tidy reads a file again for each program that it is compiled for, and most of those differ in nothing that it
could see: a main() that all fuzz targets have would be read once for each. The first is the product's."""

import json
import os
import sys

source, folder = sys.argv[1:]
entries = {}
with open(source) as f:
    for entry in json.load(f):
        path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
        if path.endswith(".c"):
            entries.setdefault(path, entry)
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "compile_commands.json"), "w") as f:
    json.dump(list(entries.values()), f)
print("\n".join(sorted(entries)))
