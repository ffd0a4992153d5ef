/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/conf-parser.h"
#include "basic/time-util.h"

typedef struct Fixture {
        ConfFile *f;
        ConfErrors errors;
        char *text; /* all errors; owned */
} Fixture;

static void set_up(Fixture *x) {
        *x = (Fixture){};
        g_assert_cmpint(conf_file_new(&x->f), ==, 0);
}

static void tear_down(Fixture *x) {
        conf_file_free(x->f);
        conf_errors_done(&x->errors);
        free(x->text);
}

static void parse(Fixture *x, const char *file, const char *text) {
        g_assert_cmpint(conf_file_parse(x->f, file, text, strlen(text), &x->errors), ==, 0);
}

static const char *errors(Fixture *x) {
        free(x->text);
        x->text = conf_errors_to_text(&x->errors);
        return x->text;
}

static void test_sections_keep_order_lines_and_repeats(void) {
        static const char text[] = "# a comment\n"
                                   "[Group]\n"
                                   "Description = The shop, = and all \n"
                                   "\n"
                                   "  ; another\n"
                                   "[Mount data]\n"
                                   "Option=a\n"
                                   "Option=b\n"
                                   "[Mount logs]\n"
                                   "Option=";
        _cleanup_(tear_down) Fixture x;
        const ConfSection *s;

        set_up(&x);
        parse(&x, "web.group", text);
        g_assert_cmpstr(errors(&x), ==, "");
        g_assert_cmpuint(x.f->n_sections, ==, 3);

        s = conf_file_find(x.f, "Group", NULL);
        g_assert_cmpuint(s->line, ==, 2);
        g_assert_cmpstr(conf_section_find(s, "Description")->value, ==, "The shop, = and all");
        g_assert_cmpuint(conf_section_find(s, "Description")->line, ==, 3);

        s = conf_file_find(x.f, "Mount", "data");
        g_assert_cmpuint(s->n_entries, ==, 2);
        g_assert_cmpstr(s->entries[0].value, ==, "a");
        g_assert_cmpstr(conf_section_find(s, "Option")->value, ==, "b");

        s = &x.f->sections[2];
        g_assert_cmpstr(s->name, ==, "logs");
        g_assert_cmpstr(s->entries[0].value, ==, "");
        g_assert_null(conf_file_find(x.f, "Mount", NULL));
        g_assert_null(conf_section_find(s, "option"));
}

static void test_continued_lines_are_joined(void) {
        _cleanup_(tear_down) Fixture x;
        const ConfEntry *e;

        set_up(&x);
        parse(&x, "f", "[A]\nKey=one \\\n# in between\n   two\\\n three\nNext=x\n");
        g_assert_cmpstr(errors(&x), ==, "");
        e = conf_section_find(&x.f->sections[0], "Key");
        g_assert_cmpstr(e->value, ==, "one  two three");
        g_assert_cmpuint(e->line, ==, 2);
        g_assert_cmpuint(conf_section_find(&x.f->sections[0], "Next")->line, ==, 6);
}

static void test_all_errors_are_told_with_their_lines(void) {
        static const char text[] = "Early=1\n"
                                   "[A\n"
                                   "Quiet=1\n"
                                   "[B b c]\n"
                                   "[C]\n"
                                   "no assignment\n"
                                   "Ke y=1\n"
                                   "=1\n"
                                   "[C]\n"
                                   "Quiet=1\n"
                                   "[D]\n"
                                   "Key=a \\ \n"
                                   "Last=x \\\n";
        _cleanup_(tear_down) Fixture x;

        set_up(&x);
        parse(&x, "f", text);
        g_assert_cmpstr(errors(&x),
                        ==,
                        "f:1: Early= stands before the first [Section]\n"
                        "f:2: \"[A\" has no closing bracket; a section begins with [Kind] or [Kind name]\n"
                        "f:4: this is no section header; write [Kind] or [Kind name]\n"
                        "f:6: \"no assignment\" is neither Key=value, nor [Section], nor a comment\n"
                        "f:7: \"Ke y\" is no key; keys are letters and digits\n"
                        "f:8: \"\" is no key; keys are letters and digits\n"
                        "f:9: section [C] was given already in line 5; put both together\n"
                        "f:12: blanks after the backslash; it continues the line only as its last "
                        "character\n"
                        "f:13: the file ends in the middle of a continued line\n");
}

static void test_foreign_line_ends_are_told_once(void) {
        _cleanup_(tear_down) Fixture x;

        set_up(&x);
        parse(&x, "f", "[A]\r\nX=1\r\nY=2\r\n");
        g_assert_cmpstr(errors(&x),
                        ==,
                        "f:1: the lines end in CR LF; save the file with Unix line ends (LF)\n");
}

static void test_bytes_that_are_no_text_are_refused(void) {
        static const char text[] =
                        "[A]\nX=\xff\nY=a\x01\nZ=1\r\nW=\xc0\xaf\nV=\xed\xa0\x80\nGood=\xc3\xa4\n";
        _cleanup_(tear_down) Fixture x;

        set_up(&x);
        parse(&x, "f", text);
        g_assert_cmpstr(errors(&x),
                        ==,
                        "f:2: byte 0xff is not UTF-8 text\n"
                        "f:3: control character 0x01 in the text\n"
                        "f:4: the line ends in a carriage return; save the file with Unix line ends\n"
                        "f:5: byte 0xc0 is not UTF-8 text\n"
                        "f:6: byte 0xed is not UTF-8 text\n");
        g_assert_cmpstr(conf_section_find(&x.f->sections[0], "Good")->value, ==, "\xc3\xa4");

        /* A zero does not end the text. */
        g_assert_cmpint(conf_file_parse(x.f, "g", "[B]\nK=a\0b\n", 10, &x.errors), ==, 0);
        g_assert_true(g_str_has_suffix(errors(&x), "g:2: control character 0x00 in the text\n"));
}

static void test_errors_are_bounded(void) {
        _cleanup_(tear_down) Fixture x;
        g_autoptr(GString) text = g_string_new("[A]\n");

        set_up(&x);
        for (unsigned i = 0; i < CONF_ERRORS_MAX + 7; i++)
                g_string_append(text, "wrong\n");
        parse(&x, "f", text->str);
        g_assert_cmpuint(x.errors.n_items, ==, CONF_ERRORS_MAX);
        g_assert_true(g_str_has_suffix(errors(&x), "and 7 more\n"));
}

static void test_too_much_is_refused(void) {
        _cleanup_(tear_down) Fixture x;
        g_autofree char *big = g_malloc0(CONF_FILE_BYTES_MAX + 1);
        g_autoptr(GString) sections = g_string_new(NULL), entries = g_string_new("[A]\n");

        set_up(&x);
        g_assert_cmpint(conf_file_parse(x.f, "big", big, CONF_FILE_BYTES_MAX + 1, &x.errors), ==, 0);
        g_assert_cmpstr(errors(&x), ==, "big: the file is larger than 1048576 bytes\n");

        for (unsigned i = 0; i <= CONF_SECTIONS_MAX; i++)
                g_string_append_printf(sections, "[S s%u]\n", i);
        parse(&x, "s", sections->str);
        g_assert_true(g_str_has_suffix(errors(&x), "s:1025: more than 1024 sections\n"));

        tear_down(&x);
        set_up(&x);
        for (unsigned i = 0; i <= CONF_ENTRIES_MAX + 5; i++)
                g_string_append_printf(entries, "K%u=\n", i);
        parse(&x, "e", entries->str);
        g_assert_cmpstr(errors(&x), ==, "e:8194: more than 8192 settings\n");
}

/* ---- Sections to structs ---- */

typedef enum Failback {
        FAILBACK_AUTOMATIC,
        FAILBACK_NEVER,
} Failback;

static const char *const failback_texts[] = { "automatic", "never" };
static const ConfChoice failback_choice = { failback_texts, G_N_ELEMENTS(failback_texts) };
static const ConfRange id_range = { 1, 64 };
static const ConfRange time_range = { 20 * USEC_PER_MSEC, 5 * USEC_PER_SEC };

typedef struct Target {
        uint32_t id;
        uint64_t big;
        uint64_t usec;
        bool flag;
        char *text;
        char *name;
        char *path;
        int failback;
        ConfList words;
        ConfList more_words;
        ConfList lines;
} Target;

static const ConfKey keys[] = {
        { "Id", conf_convert_u32, offsetof(Target, id), CONF_REQUIRED, &id_range },
        { "Big", conf_convert_u64, offsetof(Target, big), 0, NULL },
        { "TimeSec", conf_convert_duration, offsetof(Target, usec), 0, &time_range },
        { "Flag", conf_convert_bool, offsetof(Target, flag), 0, NULL },
        { "Text", conf_convert_string, offsetof(Target, text), 0, NULL },
        { "Name", conf_convert_name, offsetof(Target, name), 0, NULL },
        { "Path", conf_convert_path, offsetof(Target, path), 0, NULL },
        { "Failback", conf_convert_choice, offsetof(Target, failback), 0, &failback_choice },
        { "Words", conf_convert_words, offsetof(Target, words), 0, NULL },
        { "MoreWords", conf_convert_words, offsetof(Target, more_words), CONF_REPEATABLE, NULL },
        { "Line", conf_convert_lines, offsetof(Target, lines), CONF_REPEATABLE, NULL },
};

static void target_done(Target *t) {
        free(t->text);
        free(t->name);
        free(t->path);
        conf_list_done(&t->words);
        conf_list_done(&t->more_words);
        conf_list_done(&t->lines);
}

static void convert(Fixture *x, Target *t) {
        g_assert_cmpint(conf_section_convert(&x->f->sections[0], keys, G_N_ELEMENTS(keys), t, &x->errors),
                        ==,
                        0);
}

static void test_convert_good_values(void) {
        static const char text[] =
                        "[T]\n"
                        "Id=64\nBig=18446744073709551615\nTimeSec=400ms\nFlag=yes\nText=a b\nName=n_1\n"
                        "Path=/srv/shop\nFailback=never\nWords=a  b\nMoreWords=a b\nMoreWords=c\n"
                        "Line=x y\nLine=z\n";
        _cleanup_(target_done) Target t = {};
        _cleanup_(tear_down) Fixture x;

        set_up(&x);
        parse(&x, "f", text);
        convert(&x, &t);
        g_assert_cmpstr(errors(&x), ==, "");

        g_assert_cmpuint(t.id, ==, 64);
        g_assert_cmpuint(t.big, ==, UINT64_MAX);
        g_assert_cmpuint(t.usec, ==, 400 * USEC_PER_MSEC);
        g_assert_true(t.flag);
        g_assert_cmpstr(t.text, ==, "a b");
        g_assert_cmpstr(t.name, ==, "n_1");
        g_assert_cmpstr(t.path, ==, "/srv/shop");
        g_assert_cmpint(t.failback, ==, FAILBACK_NEVER);
        g_assert_cmpuint(t.words.n_items, ==, 2);
        g_assert_cmpstr(t.words.items[1], ==, "b");
        g_assert_cmpuint(t.more_words.n_items, ==, 3);
        g_assert_cmpstr(t.more_words.items[2], ==, "c");
        g_assert_cmpuint(t.lines.n_items, ==, 2);
        g_assert_cmpstr(t.lines.items[0], ==, "x y");
}

static void test_convert_tells_what_was_meant(void) {
        static const char text[] = "[T]\n"
                                   "Id=65\n"
                                   "Big=-1\n"
                                   "TimeSec=7s\n"
                                   "Flag=maybe\n"
                                   "Name=Web\n"
                                   "Path=srv/../shop\n"
                                   "Failback=automatik\n"
                                   "Wrods=a\n"
                                   "Xyzzy=1\n"
                                   "Text=1\n"
                                   "Text=2\n";
        _cleanup_(target_done) Target t = { .id = 7, .usec = 1 };
        _cleanup_(tear_down) Fixture x;

        set_up(&x);
        parse(&x, "f", text);
        convert(&x, &t);
        g_assert_cmpstr(errors(&x),
                        ==,
                        "f:2: Id=65: must be a whole number from 1 to 64\n"
                        "f:3: Big=-1: must be a whole number from 0 to 18446744073709551615\n"
                        "f:4: TimeSec=7s: must be a duration from 20ms to 5s\n"
                        "f:5: Flag=maybe: say yes or no\n"
                        "f:6: Name=Web: is no name; names are 1 to 32 of a-z 0-9 _\n"
                        "f:7: Path=srv/../shop: must be a path from / on, without \".\", \"..\", \"//\" or "
                        "a slash at the "
                        "end\n"
                        "f:8: Failback=automatik: must be one of automatic, never; did you mean "
                        "\"automatic\"?\n"
                        "f:9: unknown key Wrods= in [T]; did you mean \"Words\"?\n"
                        "f:10: unknown key Xyzzy= in [T]; known are Id, Big, TimeSec, Flag, Text, Name, "
                        "Path, Failback, "
                        "Words, MoreWords, Line\n"
                        "f:12: Text= was given already in line 11; it can be given once\n");
        g_assert_cmpuint(t.id, ==, 7);
        g_assert_cmpuint(t.usec, ==, 1);
}

static void test_paths(void) {
        static const char *const good[] = { "/", "/a", "/a/b.c", "/..a", "/a b" };
        static const char *const wrong[] = { "a", "/a/", "//", "/a//b", "/a/./b", "/a/..", "/..", "./a" };

        for (size_t i = 0; i < G_N_ELEMENTS(good) + G_N_ELEMENTS(wrong); i++) {
                bool is_good = i < G_N_ELEMENTS(good);
                const char *path = is_good ? good[i] : wrong[i - G_N_ELEMENTS(good)];
                g_autofree char *text = g_strdup_printf("[T]\nId=1\nPath=%s\n", path);
                _cleanup_(target_done) Target t = {};
                _cleanup_(tear_down) Fixture x;

                g_test_message("%s", path);
                set_up(&x);
                parse(&x, "f", text);
                convert(&x, &t);
                g_assert_cmpuint(x.errors.n_items, ==, is_good ? 0 : 1);
                g_assert_cmpstr(t.path, ==, is_good ? path : NULL);
        }
}

static void test_required_and_empty(void) {
        _cleanup_(target_done) Target t = { .usec = 5, .flag = true };
        _cleanup_(tear_down) Fixture x;

        set_up(&x);
        parse(&x, "f", "\n[T here]\nTimeSec=\nFlag=\nId=\n");
        convert(&x, &t);
        g_assert_cmpstr(errors(&x), ==, "f:2: [T here] needs Id=\n");
        g_assert_cmpuint(t.usec, ==, 5);
        g_assert_true(t.flag);
}

static void test_drop_ins_override_and_empty_lists(void) {
        _cleanup_(target_done) Target t = {};
        _cleanup_(tear_down) Fixture x;

        set_up(&x);
        parse(&x, "web.group", "[T]\nId=1\nText=a\nWords=a b\nLine=1\nLine=2\n");
        parse(&x, "web.group.d/10.conf", "[T]\nText=b\nWords=c\nLine=\nLine=3\n[U]\nK=1\n");
        parse(&x, "web.group.d/20.conf", "[T]\nText=\n");
        convert(&x, &t);
        g_assert_cmpstr(errors(&x), ==, "");
        g_assert_cmpuint(x.f->n_sections, ==, 2);

        g_assert_cmpuint(t.id, ==, 1);
        g_assert_null(t.text);
        g_assert_cmpuint(t.words.n_items, ==, 1);
        g_assert_cmpstr(t.words.items[0], ==, "c");
        g_assert_cmpuint(t.lines.n_items, ==, 1);
        g_assert_cmpstr(t.lines.items[0], ==, "3");
}

static void test_error_in_a_drop_in_names_the_drop_in(void) {
        _cleanup_(target_done) Target t = {};
        _cleanup_(tear_down) Fixture x;

        set_up(&x);
        parse(&x, "web.group", "[T]\nId=1\n");
        parse(&x, "web.group.d/10.conf", "[T]\n\nId=99\n");
        convert(&x, &t);
        g_assert_cmpstr(errors(&x),
                        ==,
                        "web.group.d/10.conf:3: Id=99: must be a whole number from 1 to 64\n");
}

static void test_check_sections(void) {
        static const ConfSectionType types[] = {
                { "Cluster", CONF_UNNAMED, true },
                { "Node", CONF_NODE_NAMED, true },
                { "Fence", CONF_NAMED, false },
        };
        _cleanup_(tear_down) Fixture x;

        set_up(&x);
        parse(&x, "f", "[Cluster x]\n[Node]\n[Node n-1.x]\n[Fence A]\n[Fence a-b]\n[Nodes n1]\n[Quux]\n");
        g_assert_cmpint(conf_file_check_sections(x.f, types, G_N_ELEMENTS(types), &x.errors), ==, 0);
        g_assert_cmpstr(errors(&x),
                        ==,
                        "f:1: [Cluster] takes no name; write [Cluster]\n"
                        "f:2: [Node] needs a name; write [Node name]\n"
                        "f:4: \"A\" is no name for [Fence]; names are 1 to 32 of a-z 0-9 _\n"
                        "f:5: \"a-b\" is no name for [Fence]; names are 1 to 32 of a-z 0-9 _\n"
                        "f:6: unknown section [Nodes]; did you mean \"Node\"?\n"
                        "f:7: unknown section [Quux]; known are Cluster, Node, Fence\n");

        tear_down(&x);
        set_up(&x);
        parse(&x, "empty", "# nothing\n");
        g_assert_cmpint(conf_file_check_sections(x.f, types, G_N_ELEMENTS(types), &x.errors), ==, 0);
        g_assert_cmpstr(errors(&x),
                        ==,
                        "empty: section [Cluster] is missing\nempty: section [Node name] is missing\n");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/basic/conf-parser/sections-keep-order",
                        test_sections_keep_order_lines_and_repeats);
        g_test_add_func("/basic/conf-parser/continued-lines-are-joined", test_continued_lines_are_joined);
        g_test_add_func("/basic/conf-parser/all-errors-are-told", test_all_errors_are_told_with_their_lines);
        g_test_add_func("/basic/conf-parser/bytes-that-are-no-text",
                        test_bytes_that_are_no_text_are_refused);
        g_test_add_func("/basic/conf-parser/foreign-line-ends-are-told-once",
                        test_foreign_line_ends_are_told_once);
        g_test_add_func("/basic/conf-parser/errors-are-bounded", test_errors_are_bounded);
        g_test_add_func("/basic/conf-parser/too-much-is-refused", test_too_much_is_refused);
        g_test_add_func("/basic/conf-parser/convert-good-values", test_convert_good_values);
        g_test_add_func("/basic/conf-parser/convert-tells-what-was-meant",
                        test_convert_tells_what_was_meant);
        g_test_add_func("/basic/conf-parser/paths", test_paths);
        g_test_add_func("/basic/conf-parser/required-and-empty", test_required_and_empty);
        g_test_add_func("/basic/conf-parser/drop-ins-override", test_drop_ins_override_and_empty_lists);
        g_test_add_func("/basic/conf-parser/drop-in-is-named", test_error_in_a_drop_in_names_the_drop_in);
        g_test_add_func("/basic/conf-parser/check-sections", test_check_sections);

        return g_test_run();
}
