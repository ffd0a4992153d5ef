#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A checker that has never failed proves nothing: each one here is given something wrong and has to say so."""

import ctypes
import importlib.util
import pathlib
import sys
import traceback
import types


def load(name):
    path = pathlib.Path(__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


symbols = load("check-core-symbols")
includes = load("check-includes")
behaviours = load("check-behaviours")
counting = load("count-results")
catalog = load("check-catalog")
libhagcs = load("check-libhagcs")
man = load("check-man")
programs = load("check-man-programs")
binding = load("check-python")


def core_symbols_refuses_what_cores_must_not_call():
    basic = {"now_boottime_usec", "str_buf_printf", "node_set_format"}
    for bad in ("clock_gettime", "open", "printf", "rand", "getrandom", "snprintf", "now_boottime_usec", "time",
                "str_buf_printf", "__printf_chk", "sd_journal_send", "g_hash_table_new", "write"):
        assert symbols.judge("cms", {bad}, basic), bad
    for bad in ("clock_gettime", "fopen", "g_print", "g_random_int", "g_hash_table_iter_init", "g_get_monotonic_time",
                "g_direct_hash", "g_file_get_contents", "now_boottime_usec"):
        assert symbols.judge("engine", {bad}, basic), bad


def core_symbols_lets_pass_what_they_may():
    assert not symbols.judge("cms", {"memcpy", "calloc", "__assert_fail", "node_set_format"}, {"node_set_format"})
    assert not symbols.judge("engine", {"g_hash_table_lookup", "g_strdup_printf", "g_ptr_array_add"}, set())


def includes_refuses_the_wrong_room():
    for path, line in (("cms/a.c", '#include "gcs/gcs.h"'), ("gcs/a.c", '#include "cms/cms.h"'),
                       ("basic/a.c", "#include <glib.h>"), ("hagcd/a.c", '#include "libhagcs/hagcs.h"'),
                       ("hactl/a.c", '#include "hamgr/state/state.h"'), ("cms/a.c", '#include "cms.h"'),
                       ("hamgr/drive/a.c", '#include "hamgr/fence/fence.h"'), ("cms/a.c", "#include <systemd/sd-bus.h>"),
                       ("nowhere/a.c", "")):
        assert includes.judge(path, line, {}), (path, line)
    for path, line in (("gcs/a.c", '#include "cms/membership.h"'), ("hagcd/a.c", '#include "libhagcs/proto.h"'),
                       ("cms/a.c", "#include <string.h>"), ("hamgr/a.c", '#include "hamgr/fence/fence.h"')):
        assert not includes.judge(path, line, {}), (path, line)


def includes_refuses_openssl_in_two_files():
    seen = {}
    for file in ("hagcd/dtls.c", "hagcd/main.c"):
        assert not includes.judge(file, "#include <openssl/ssl.h>", seen)
    assert includes.judge_seen(seen)


def table(text):
    rows, complaints = behaviours.read_table(text)
    return rows, complaints + behaviours.judge(rows, lambda kind, test: test != "/absent")


def behaviours_refuses_gaps():
    full = [f"{b}\tunit\t/x" for b in behaviours.behaviours()]
    assert len(full) == 89
    assert len(behaviours.DUE) == 49
    assert not table("\n".join(full))[1]
    assert table("\n".join(full[1:]))[1] == ["A01 has no line"]
    assert table("\n".join(["A01\tunit\t/absent", *full[1:]]))[1]
    assert table("\n".join(["A01\tunit\t\tlater", *full[1:]]))[1] == ["A01 is due and no test shows it"]
    assert table("\n".join([*full, "Z99\tunit\t/x"]))[1]
    assert table("\n".join([*full, "A01\tguess\t/x"]))[1]
    assert table("\n".join([*full, "A04\tunit\t/x\tand a reason"]))[1]
    assert not table("\n".join(f"{b}\t\t\tlater" if b == "A22" else f"{b}\tunit\t/x" for b in behaviours.behaviours()))[1]


def behaviours_refuses_skipped_tests():
    rows, _ = table("A01\tcluster\ttest_a.py::test_b\nA02\tunit\t/x")
    good = {"test_a.py::test_b": "passed", "/x": "passed"}
    assert not behaviours.judge_results(rows, good, True)
    assert behaviours.judge_results(rows, {**good, "test_a.py::test_b": "skipped"}, True)
    assert behaviours.judge_results(rows, {**good, "/x": "skipped"}, True)
    assert behaviours.judge_results(rows, {"/x": "passed"}, True)
    assert not behaviours.judge_results(rows, {"/x": "passed"}, False)


def catalog_refuses_gaps():
    one, two = "1" * 32, "2" * 32
    header = f'#define HAMGR_MESSAGE_A "{one}"\n'
    text = f"-- {one}\nSubject: a\n\nWhat happened.\nWhat to do.\n"
    assert not catalog.judge(header, text)
    assert catalog.judge(header, "")
    assert catalog.judge(header, text + text.replace(one, two))
    assert catalog.judge(header, f"-- {one}\nSubject: a\n")
    assert catalog.judge(header + header.replace("_A", "_B"), text)
    assert catalog.judge(header.replace(one, "12"), "")


HAGCS_H = """
#define HAGCS_MAX 3 /* not int hagcs_comment(void); */
typedef struct hagcs_pair {
        const char *one, *two;
        uint8_t three[HAGCS_MAX];
} hagcs_pair;
typedef enum hagcs_way { HAGCS_UP
} hagcs_way;
int hagcs_a(hagcs *h,
            const char *text);
const char *hagcs_b(void);
"""


def hagcs_h_is_understood():
    header = libhagcs.Header(HAGCS_H)
    assert header.functions == {"hagcs_a": ("int", ["hagcs *h", "const char *text"]), "hagcs_b": ("const char *", [])}
    assert header.structs == {"hagcs_pair": ["one", "two", "three"]}
    assert header.constants == ["HAGCS_MAX", "HAGCS_UP"]


def libhagcs_refuses_what_ends_the_process():
    for bad in ("exit@GLIBC_2.2.5", "abort", "__assert_fail@GLIBC_2.2.5", "pthread_create", "fprintf", "syslog",
                "__fprintf_chk", "sleep", "signal"):
        assert libhagcs.judge_calls([bad]), bad
    assert libhagcs.judge_variables(["000000000000a0a8 b last_handle"])
    assert not libhagcs.judge_variables(["000000000000a0a8 b completed.0", "0000000000001f50 T hagcs_dispatch"])
    assert not libhagcs.judge_calls(["malloc@GLIBC_2.2.5", "__memcpy_chk@GLIBC_2.3.4", "__asan_load8", "__gmon_start__"])


def libhagcs_refuses_functions_without_a_test():
    assert not libhagcs.judge_tests(["hagcs_a", "hagcs_b", "hagcs_c"], "x = hagcs_a(h); CALL(hagcs_b, 1)", "h.c()")
    assert libhagcs.judge_tests(["hagcs_a"], "hagcs_ab(h); /* hagcs_a */", "h.aa()")


def libhagcs_refuses_symbols_without_a_version():
    script = "HAGCS_0 {\nglobal:\n        hagcs_a;\nlocal:\n        *;\n};\nHAGCS_1 {\nglobal:\n        hagcs_b;\n} HAGCS_0;\n"
    both = ["hagcs_a@@HAGCS_0", "hagcs_b@@HAGCS_1"]
    assert not libhagcs.judge_exports(["hagcs_a", "hagcs_b"], script, both)
    assert libhagcs.judge_exports(["hagcs_a"], script, both)
    assert libhagcs.judge_exports(["hagcs_a", "hagcs_b", "hagcs_c"], script, both)
    assert libhagcs.judge_exports(["hagcs_a", "hagcs_b"], script, both[:1])
    assert libhagcs.judge_exports(["hagcs_a", "hagcs_b"], script, ["hagcs_a@@HAGCS_0", "hagcs_b@@HAGCS_0"])
    assert libhagcs.judge_exports(["hagcs_a", "hagcs_b"], script, [*both, "byte_reader_init@@HAGCS_0"])
    assert libhagcs.judge_exports(["hagcs_a", "hagcs_b"], script.replace("hagcs_a", "hagcs_*"), both)


PAGE = """
.Dt HAGCS_A 3
.Sh NAME
.Nm hagcs_a ,
.Nm hagcs_b
.Nd letters
.Sh SYNOPSIS
.Ft int
.Fn hagcs_a "hagcs *h" "const char *text"
.Ft const char *
.Fn hagcs_b
.Sh DESCRIPTION
.Fa one , Fa two , Fa three
.Dv HAGCS_MAX , HAGCS_UP
.Xr hagcs_b 3
"""


def pages_are_held_to_the_header():
    header, installed = libhagcs.Header(HAGCS_H), {"hagcs_a": ["hagcs_b"]}
    assert man.installed_by("x = {\n    'hagcs_a' : [\n        'hagcs_b',\n    ],\n    'p' : [],\n}") == {**installed, "p": []}
    assert not man.judge_functions(header, {"hagcs_a": PAGE}, installed)
    for old, new in (('"hagcs *h"', '"hagcs *g"'), (".Ft int", ".Ft void"), (".Nm hagcs_b\n", ""), (' "const char *text"', ""),
                     (".Xr hagcs_b", ".Xr hagcs_c"), (".Ft const char *\n.Fn hagcs_b\n", "")):
        assert man.judge_functions(header, {"hagcs_a": PAGE.replace(old, new)}, installed), new
    assert man.judge_functions(header, {"hagcs_a": PAGE}, {"hagcs_a": []})
    assert man.judge_functions(header, {"hagcs_a": PAGE}, {})
    assert not man.judge_words(header, {"hagcs_a": PAGE})
    for old in (" , HAGCS_UP", " , Fa three", "HAGCS_MAX"):
        assert man.judge_words(header, {"hagcs_a": PAGE.replace(old, "")}), old
    assert man.judge_words(header, {"hagcs_a": PAGE + ".Dv HAGCS_DOWN"})


TOOL_HELP = """tool [OPTIONS] VERB

Talk to high-availability tools.

Verbs:
  show    [GROUP] [--all] | FILE      what is there
  group   start|stop GROUP, move      operate one

Options:
     --all        all of it
     --node=NAME  which one; without --node this one
  -h --help       this text
"""
TOOL_SOURCE = '{ "all", no_argument, NULL, 1 }, { "node", required_argument, NULL, 2 }, { "help", no_argument, NULL, \'h\' },'
TOOL_PAGE = """
.It Ic show Op Ar GROUP
With
.Fl -all .
.It Ic group start Ar GROUP
.It Ic group stop Ar GROUP
.It Ic group move
.It Fl -all
.It Fl -node Ns = Ns Ar NAME
.It Fl h , Fl -help
"""


def pages_are_held_to_programs():
    def judge(page=TOOL_PAGE, text=TOOL_HELP, source=TOOL_SOURCE):
        return programs.judge_program("tool", {"tool.8": page}, text, source)

    assert not judge()
    assert programs.judge_program("tool", {"other.8": TOOL_PAGE}, TOOL_HELP, TOOL_SOURCE)
    for old, new in ((".It Fl -all\n", ""), (".It Fl h , ", ".It "), (" Ns = Ns Ar NAME", ""), ("Ar NAME", "Ar PATH"),
                     (".It Fl h", ".It Fl -old\n.It Fl h"), (".Fl -all", ".Fl -old"), (".It Ic show Op Ar GROUP", ""),
                     (".It Ic group stop Ar GROUP\n", ""), ("group move", "group drop"), ("Ic group move", "Ic group")):
        assert judge(page=TOOL_PAGE.replace(old, new, 1)), new
    assert judge(text=TOOL_HELP.replace("start|stop", "start|stop|hold"))
    assert judge(text=TOOL_HELP + "     --new   an option\n")
    assert judge(source=TOOL_SOURCE + '{ "new", no_argument, NULL, 3 },')
    assert judge(source=TOOL_SOURCE.replace('"all"', '"everything"'))


PARSER = """
static const ConfSectionType types[] = {
        { "Node", CONF_NAMED, true },
        { "Job", CONF_NAMED, false },
};
#define TIME_KEYS                                                    \\
        { "StartSec", duration, offsetof(Raw, start), 0, &time_range }, {  \\
                "StopSec", duration, offsetof(Raw, stop), 0, &time_range   \\
        }

static const ConfKey node_keys[] = {
        { "Id", convert_u32, offsetof(Raw, id), CONF_REQUIRED, &id_range },
        { "Address",
          convert, offsetof(Raw, address), 0, NULL },
};
static const ConfKey job_keys[] = {
        { "Unit", convert, offsetof(Raw, unit), 0, &unit_choice },
        TIME_KEYS,
};
static const ConfRange id_range = { 1, UINT16_MAX - ID_LEFT + 1 };
static const ConfRange time_range = { 0, 90 * USEC_PER_SEC };
static const ConfChoice unit_choice = { unit_table, _UNIT_MAX };
static const char *const unit_table[_UNIT_MAX] = {
        [UNIT_A] = "old",
        [UNIT_B] = "new",
};
"""
PARSER_HEADERS = """
#define USEC_PER_SEC (1000 * USEC_PER_MSEC)
#define USEC_PER_MSEC UINT64_C(1000)
#define ID_LEFT 8U /* of ids */
"""
SETTINGS_PAGE = """
.Ss [Node NAME]
.It Li Id=
Required.
As
.Li Address= , Unit= .
1 to 65528.
.It Li Address=
.Ss Times
.It Li StartSec= , StopSec=
Up to 90s.
.Ss [Job NAME]
.It Li Unit=
.Li old
or new.
.It Li StartSec= , StopSec=
As above.
.Sh FILES
.It Li NONE=
"""


def pages_are_held_to_parsers():
    known, complaints = programs.known_settings(PARSER)
    keys = {"Id", "Address", "Unit", "StartSec", "StopSec"}
    assert known == {"Node": {"Id", "Address"}, "Job": {"Unit", "StartSec", "StopSec"}}
    assert not complaints
    assert programs.known_settings(PARSER.replace("job_keys", "work_keys"))[1]
    assert not programs.judge_settings("p.5", SETTINGS_PAGE, known)
    assert not programs.judge_names({"p.5": SETTINGS_PAGE}, keys)
    for old, new in ((".It Li Id=\n", ""), (" , StopSec=\nAs", "\nAs"), ("Li Id=", "Li Ids="), (".Ss [Job NAME]\n", ""),
                     ("[Job", "[Work"), (".Sh FILES", ".Ss [Work NAME]")):
        assert programs.judge_settings("p.5", SETTINGS_PAGE.replace(old, new), known), new
    assert programs.judge_settings("p.5", SETTINGS_PAGE, {**known, "Access": {"Join"}})
    assert programs.judge_settings("p.5", SETTINGS_PAGE, {**known, "Node": {*known["Node"], "Votes"}})
    assert programs.judge_names({"p.5": SETTINGS_PAGE.replace("Unit= .", "Units= .")}, keys)


def pages_are_held_to_limits():
    limits = programs.known_limits(PARSER, PARSER_HEADERS)
    assert limits == {("Node", "Id"): (True, ["1", "65528"]), ("Node", "Address"): (False, []),
                      ("Job", "Unit"): (False, ["old", "new"]), ("Job", "StartSec"): (False, ["90s"]),
                      ("Job", "StopSec"): (False, ["90s"])}
    assert [programs.duration(n) for n in (1500, 60_000, 60_000_000, 2_592_000_000_000)] == ["1500us", "60ms", "1min", "30d"]
    assert not programs.judge_limits("p.5", SETTINGS_PAGE, limits)
    assert not programs.judge_understood("p.5", {"Node": {"Id"}}, limits)
    assert programs.judge_understood("p.5", {"Node": {"Id", "Votes"}}, limits)
    for old, new in (("Required.\n", ""), ("1 to", "2 to"), ("65528", "65529"), ("90s", "90.5s"), ("90s", "190s"), (".Li old", ".Li older"),
                     ("or new", ""), (".It Li Address=\n", ".It Li Address=\nRequired.\n")):
        assert programs.judge_limits("p.5", SETTINGS_PAGE.replace(old, new), limits), new


def pages_are_held_to_messages_and_to_each_other():
    one, two = "1" * 32, "2" * 32
    header = f'#define HAMGR_MESSAGE_A "{one}"\n#define HAMGR_MESSAGE_AB "{two}"\n'
    logged = programs.messages_logged(header, "log_event(HAMGR_MESSAGE_AB)")
    assert logged == {two}
    assert not programs.judge_messages("p.8", f".It Li {two}\n", logged)
    assert programs.judge_messages("p.8", "", logged)
    assert programs.judge_messages("p.8", f".It Li {two}\n.It Li {one}\n", logged)

    pages = {"hagcd.8": ".Xr hactl 1 ,\n.Xr poll 2", "hactl.1": ".Xr hagcd 8"}
    assert not programs.judge_references(pages, [], {"a.service": "Documentation=man:hagcd(8) man:hactl(1)\n"})
    for more in ("Documentation=man:hamgr(8)", "Documentation=man:other(7)", "see hamgr-generator(8)", "hactl(8)"):
        assert programs.judge_references(pages, [], {"a.service": more}), more
    assert programs.judge_references({**pages, "hactl.1": ".Xr hagcd 1"}, [], {})
    assert not programs.judge_references(pages, ["hamgr.policy.5"], {"README.md": "hamgr.policy(5) and hash(1)"})

    meson = "install_man(page + '.3')\ninstall_man('a.1',\n    'b.conf.5')\ninstall_symlink('c.5',\n    pointing_to : 'b.conf.5')"
    assert not programs.judge_installed(meson, ["a.1", "b.conf.5"])
    assert programs.judge_installed(meson, ["a.1"])
    assert programs.judge_installed(meson, ["a.1", "b.conf.5", "d.8"])
    assert programs.links_in(meson) == ["c.5"]


def binding_is_held_to_the_header():
    def module(**changes):
        class Pair(ctypes.Structure):
            _fields_ = changes.pop("fields", [("one", ctypes.c_char_p), ("two", ctypes.c_char_p),
                                              ("three", ctypes.c_uint8 * 3)])

        functions = {"a": (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p), "b": (ctypes.c_char_p,)}
        return types.SimpleNamespace(**{"_pair": Pair, "_FUNCTIONS": functions, "MAX": 3, "UP": 0,
                                        "Hagcs": types.SimpleNamespace(a=print), "b": print, **changes})

    header = libhagcs.Header(HAGCS_H)
    facts = {"hagcs_pair": 24, "HAGCS_MAX": 3, "HAGCS_UP": 0}
    for field, offset, size in (("one", 0, 8), ("two", 8, 8), ("three", 16, 3)):
        facts.update({f"hagcs_pair.{field} offset": offset, f"hagcs_pair.{field} size": size})
    assert not binding.judge_functions(module(), header)
    assert not binding.judge_structs(module(), header, facts)
    assert not binding.judge_constants(module(), header, facts)
    good = module()._FUNCTIONS
    for bad in ({"a": good["a"]}, {**good, "c": good["a"]}, {**good, "a": (ctypes.c_int, ctypes.c_void_p)},
                {**good, "b": (ctypes.c_void_p,)}):
        assert binding.judge_functions(module(_FUNCTIONS=bad), header), bad
    assert binding.judge_functions(module(Hagcs=types.SimpleNamespace()), header)
    for bad in ([("one", ctypes.c_char_p), ("three", ctypes.c_uint8 * 3)],
                [("two", ctypes.c_char_p), ("one", ctypes.c_char_p), ("three", ctypes.c_uint8 * 3)],
                [("one", ctypes.c_char_p), ("two", ctypes.c_char_p), ("three", ctypes.c_uint8 * 4)]):
        assert binding.judge_structs(module(fields=bad), header, facts), bad
    assert binding.judge_constants(module(UP=1), header, facts)
    assert binding.judge_constants(module(MAX=None), header, facts)


def results_are_counted():
    tap = "== TAP of all tests ==\nok 1 /a\nnot ok 2 /b\nok 3 /c # SKIP no\nok 4 /d\n"
    assert counting.count(tap, 1) == (2, 1)
    assert counting.count("ok 1 /shown-in-the-error-log\n" + tap, 1) == (2, 1)
    assert counting.count("1 failed, 3 passed, 2 errors in 4.56s", 1) == (3, 3)
    assert counting.count("5 passed, 1 skipped in 61.20s (0:01:01)", 0) == (5, 0)
    assert counting.count("1 failed in 1s\n" + tap + "1 failed, 4 passed in 1.00s\n2 passed in 3.00s\n", 1) == (8, 2)
    assert counting.count("anything", 0) == (1, 0)
    assert counting.count("anything", 7) == (0, 1)
    # Everything passed and yet it ended with a failure, such as a leak.
    assert counting.count("== TAP of all tests ==\nok 1 /a\n", 1) == (1, 1)


TESTS = [core_symbols_refuses_what_cores_must_not_call, core_symbols_lets_pass_what_they_may,
         includes_refuses_the_wrong_room, includes_refuses_openssl_in_two_files, behaviours_refuses_gaps,
         behaviours_refuses_skipped_tests, catalog_refuses_gaps, hagcs_h_is_understood,
         pages_are_held_to_the_header, pages_are_held_to_programs, pages_are_held_to_parsers, pages_are_held_to_limits,
         pages_are_held_to_messages_and_to_each_other, binding_is_held_to_the_header, libhagcs_refuses_what_ends_the_process,
         libhagcs_refuses_functions_without_a_test, libhagcs_refuses_symbols_without_a_version, results_are_counted]


def main():
    failed = False
    print(f"1..{len(TESTS)}")
    for i, test in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {i} /structure/checks/{test.__name__.replace('_', '-')}")
        except Exception:
            failed = True
            traceback.print_exc()
            print(f"not ok {i} /structure/checks/{test.__name__.replace('_', '-')}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
