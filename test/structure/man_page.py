# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all checks of manual pages need: what mandoc and groff say of them, and results as TAP."""

import shutil
import subprocess
import sys

MANDOC = ["mandoc", "-Tlint", "-Wstyle"]
GROFF = ["groff", "-mandoc", "-ww", "-z", "-Tutf8", "-Kutf8"]


def said_by(command, files):
    complaints = []
    for file in files:
        done = subprocess.run([*command, str(file)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        # Our own pages are not installed yet; references between them are checked apart.
        complaints += [line for line in done.stdout.splitlines()
                       if "referenced manual not found" not in line and "mandoc.db" not in line]
    return complaints


def run(folder, checks, files):
    """checks: {name: function that returns complaints}; files: the pages."""
    checks = {
        **checks,
        "mandoc-has-nothing-to-say": lambda: said_by(MANDOC, files),
        "groff-has-nothing-to-say": lambda: said_by(GROFF, files),
    }
    failed = False
    print(f"1..{len(checks)}")
    for i, (name, check) in enumerate(checks.items(), 1):
        program = name.partition("-")[0]
        if program in ("mandoc", "groff") and not shutil.which(program):
            print(f"ok {i} /structure/{folder}/{name} # SKIP {program} is not installed")
            continue
        complaints = check()
        failed = failed or bool(complaints)
        for complaint in complaints:
            print(complaint, file=sys.stderr)
        print(f"{'not ' if complaints else ''}ok {i} /structure/{folder}/{name}")
    sys.exit(1 if failed else 0)
