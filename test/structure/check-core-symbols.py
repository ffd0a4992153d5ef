#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lists what a core library calls and refuses what a core must not: clocks, files, output, chance, hash order.

Usage: check-core-symbols.py CORE ARCHIVE [ARCHIVE...]

The first archive is the core; what the others define (the cores it rests on, and basic) it may call as well, except
for what of basic reads the clock. Everything else must be in the list below.
"""

import fnmatch
import subprocess
import sys

# Memory and text, nothing that asks the machine for anything.
LIBC = """
    memcpy memmove memset memcmp memchr memrchr mempcpy explicit_bzero bcmp
    strlen strnlen strcmp strncmp strcasecmp strncasecmp strchr strchrnul strrchr strstr strspn strcspn strpbrk
    strcpy stpcpy strncpy strcat strdup strndup
    malloc calloc realloc reallocarray free qsort qsort_r bsearch abs
    abort __assert_fail __errno_location __stack_chk_fail __*_chk
    __popcountdi2 __udivti3 __umodti3
    __asan_* __ubsan_* __sanitizer_* _GLOBAL_OFFSET_TABLE_
""".split()

# Cores that hamgr runs may make text, read addresses from text, and use GLib's containers.
TEXT = "snprintf vsnprintf asprintf vasprintf inet_pton inet_ntop".split()
GLIB = """
    g_malloc* g_realloc* g_free g_clear_pointer g_memdup* g_new* g_slice_* g_steal_pointer
    g_ptr_array_* g_array_* g_byte_array_* g_bytes_* g_list_* g_slist_* g_queue_* g_sequence_* g_tree_*
    g_hash_table_* g_str_hash g_str_equal g_int_hash g_int_equal g_int64_hash g_int64_equal
    g_string_* g_str* g_ascii_* g_utf8_* g_qsort_with_data g_snprintf g_vasprintf
    g_assertion_message* g_return_if_fail_warning g_abort g_once_*
""".split()

# In the patterns above and all the same refused, with the reason.
REFUSED = {
    "now_boottime_usec": "reads a clock; time comes with the event",
    "now_realtime_usec": "reads a clock; time comes with the event",
    "__printf_chk": "writes output",
    "__fprintf_chk": "writes output",
    "__vfprintf_chk": "writes output",
    "__vprintf_chk": "writes output",
    "__read_chk": "reads a descriptor",
    "__poll_chk": "waits",
    "__ppoll_chk": "waits",
    "__fdelt_chk": "waits",
    "__open_2": "opens a file",
    "__open64_2": "opens a file",
    "__recv_chk": "reads a descriptor",
    "__recvfrom_chk": "reads a descriptor",
    "__fgets_chk": "reads a file",
    "__getcwd_chk": "asks the file system",
    "__realpath_chk": "asks the file system",
    "__gethostname_chk": "asks the machine",
    "g_direct_hash": "hashes an address: its order differs from run to run",
    "g_hash_table_iter_init": "walks in hash order",
    "g_hash_table_iter_next": "walks in hash order",
    "g_hash_table_foreach": "walks in hash order",
    "g_hash_table_foreach_remove": "walks in hash order",
    "g_hash_table_find": "walks in hash order",
    "g_hash_table_get_keys": "walks in hash order",
    "g_hash_table_get_values": "walks in hash order",
    "g_hash_table_get_keys_as_array": "walks in hash order",
    "g_strerror": "depends on the locale",
    "g_strsignal": "depends on the locale",
}

# basic makes text for cores of hamgr; cms and gcs, which hagcd runs, make none.
TEXT_OF_BASIC = "str_buf_printf str_buf_vprintf conf_* format_duration".split()

RULES = {
    "cms": LIBC,
    "gcs": LIBC,
    "state": LIBC + TEXT + GLIB,
    "engine": LIBC + TEXT + GLIB,
}


def matches(symbol, patterns):
    return any(fnmatch.fnmatchcase(symbol, p) for p in patterns)


def judge(core, called, defined):
    """Complaints, one text for each called symbol that a core must not call."""
    makes_text = core in ("state", "engine")
    complaints = []
    for symbol in sorted(called):
        if symbol in REFUSED:
            complaints.append(f"{symbol}: {REFUSED[symbol]}")
        elif symbol in defined:
            if not makes_text and matches(symbol, TEXT_OF_BASIC):
                complaints.append(f"{symbol}: makes text, which this core leaves to its trace file")
        elif not makes_text and matches(symbol, ["*printf*"]):
            complaints.append(f"{symbol}: makes text, which this core leaves to its trace file")
        elif not matches(symbol, RULES[core]):
            complaints.append(f"{symbol}: not in the list of what a core may call")
    return complaints


def symbols(archive, option):
    out = subprocess.run(["nm", "-A", "-P", option, archive], check=True, capture_output=True, text=True).stdout
    # "libcms.a[cms.c.o]: name type value size"; a thin archive names the object's path instead.
    return {line.split(": ", 1)[1].split()[0] for line in out.splitlines() if ": " in line}


def main():
    core, archives = sys.argv[1], sys.argv[2:]
    defined = set()
    for archive in archives:
        defined |= symbols(archive, "--defined-only")
    complaints = judge(core, symbols(archives[0], "--undefined-only"), defined)

    print("1..1")
    for c in complaints:
        print(c, file=sys.stderr)
    print(f"{'not ' if complaints else ''}ok 1 /structure/core-symbols/{core}")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
