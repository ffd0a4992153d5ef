#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compiles each header alone, twice. Usage: check-headers.py SOURCE_ROOT COMPILER..."""

import pathlib
import subprocess
import sys
import tempfile

FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", '-DHAMGR_VERSION="test"', "-Wall", "-Wextra", "-Wno-unused-parameter",
         "-Wno-unused-function", "-Werror", "-fsyntax-only", "-Isrc"]
PACKAGES = ["glib-2.0", "libsystemd", "openssl", "libmnl", "mount", "jansson", "libcurl"]


def complaint(root, compiler, packages, header):
    """What the compiler says of a file that includes the header only, or None."""
    with tempfile.TemporaryDirectory() as folder:
        alone = pathlib.Path(folder) / "alone.c"
        # Twice: a header that lacks its guard shows.
        alone.write_text(f'#include "{header}"\n#include "{header}"\nint alone;\n')
        r = subprocess.run([*compiler, *FLAGS, *packages, str(alone)], cwd=root, capture_output=True, text=True)
    return None if r.returncode == 0 else r.stderr


def main():
    root, compiler = pathlib.Path(sys.argv[1]), sys.argv[2:]
    packages = subprocess.run(["pkg-config", "--cflags", *PACKAGES], check=True, capture_output=True,
                              text=True).stdout.split()
    headers = sorted(p.relative_to(root / "src") for p in (root / "src").rglob("*.h"))
    failed = False

    print(f"1..{len(headers)}")
    for i, header in enumerate(headers, 1):
        text = complaint(root, compiler, packages, header)
        if text:
            failed = True
            print(text, file=sys.stderr)
        print(f"{'not ' if text else ''}ok {i} /structure/header/{header}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
