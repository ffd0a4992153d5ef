#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prints the C files of a compile database, each once."""

import json
import os
import sys

with open(sys.argv[1]) as f:
    for path in sorted({os.path.normpath(os.path.join(e["directory"], e["file"])) for e in json.load(f)}):
        if path.endswith(".c"):
            print(path)
