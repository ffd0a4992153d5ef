/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "shared/log.h"
#include "shared/message-ids.h"

typedef struct Seen {
        unsigned n;
        int level;
        char text[256];
        char message_id[64];
        char fields[256];
} Seen;

static void
see(int level, const char *message_id, const char *const *fields, const char *text, void *userdata) {
        Seen *s = userdata;

        s->n++;
        s->level = level;
        g_strlcpy(s->text, text, sizeof(s->text));
        g_strlcpy(s->message_id, strempty(message_id), sizeof(s->message_id));
        s->fields[0] = '\0';
        for (; fields[0]; fields += 2)
                if (fields[1]) {
                        g_strlcat(s->fields, fields[0], sizeof(s->fields));
                        g_strlcat(s->fields, "=", sizeof(s->fields));
                        g_strlcat(s->fields, fields[1], sizeof(s->fields));
                        g_strlcat(s->fields, " ", sizeof(s->fields));
                }
}

static void test_event_carries_id_and_fields(void) {
        const char *absent = NULL;
        Seen s = {};

        log_set_sink(see, &s);
        log_event(LOG_NOTICE,
                  HAMGR_MESSAGE_NODE_DOWN,
                  LOG_FIELDS("HAMGR_NODE", "n2", "HAMGR_GROUP", absent, "HAMGR_REASON", "fenced"),
                  "node %s is down",
                  "n2");
        log_set_sink(NULL, NULL);

        g_assert_cmpuint(s.n, ==, 1);
        g_assert_cmpint(s.level, ==, LOG_NOTICE);
        g_assert_cmpstr(s.text, ==, "node n2 is down");
        g_assert_cmpstr(s.message_id, ==, HAMGR_MESSAGE_NODE_DOWN);
        g_assert_cmpstr(s.fields, ==, "HAMGR_NODE=n2 HAMGR_REASON=fenced ");
}

static void test_errno_is_named_and_returned(void) {
        Seen s = {};

        log_set_sink(see, &s);
        errno = EBUSY;
        g_assert_cmpint(log_error_errno(-ENOENT, "cannot open %s: %m", "x"), ==, -ENOENT);
        g_assert_cmpint(errno, ==, EBUSY);
        g_assert_cmpint(log_warning_errno(ENOENT, "again"), ==, -ENOENT);
        log_set_sink(NULL, NULL);

        g_assert_cmpuint(s.n, ==, 2);
        g_assert_cmpstr(s.fields, ==, "ERRNO=2 ");

        log_set_sink(see, &s);
        (void) log_error_errno(ENOENT, "cannot open %s: %m", "x");
        log_set_sink(NULL, NULL);
        g_assert_cmpstr(s.text, ==, "cannot open x: No such file or directory");
}

static void test_level_decides(void) {
        Seen s = {};

        log_set_sink(see, &s);
        log_debug("not seen");
        g_assert_cmpuint(s.n, ==, 0);
        log_set_max_level(LOG_DEBUG);
        log_debug("seen");
        g_assert_cmpuint(s.n, ==, 1);
        log_set_max_level(LOG_ERR);
        log_warning("not seen");
        g_assert_cmpuint(s.n, ==, 1);
        log_set_max_level(LOG_INFO);
        log_set_sink(NULL, NULL);
}

static void test_level_names(void) {
        g_assert_cmpint(log_level_from_string("debug"), ==, LOG_DEBUG);
        g_assert_cmpint(log_level_from_string("3"), ==, LOG_ERR);
        g_assert_cmpint(log_level_from_string("err"), ==, LOG_ERR);
        g_assert_cmpint(log_level_from_string("8"), ==, -EINVAL);
        g_assert_cmpint(log_level_from_string("loud"), ==, -EINVAL);
}

static void test_terminal_lines_name_program_and_level(void) {
        if (g_test_subprocess()) {
                (void) g_unsetenv("JOURNAL_STREAM");
                log_init("hagcd");
                log_info("started");
                log_warning("disk %d", 3);
                return;
        }

        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        g_test_trap_assert_stderr("hagcd: started\nhagcd: warning: disk 3\n");
}

static void test_rate(void) {
        LogRate rate = { .interval_usec = 1000, .burst = 2 };
        uint32_t held = 99;

        g_assert_true(log_rate_pass(&rate, 10, &held));
        g_assert_cmpuint(held, ==, 0);
        g_assert_true(log_rate_pass(&rate, 20, &held));
        g_assert_false(log_rate_pass(&rate, 30, &held));
        g_assert_false(log_rate_pass(&rate, 1009, &held));
        g_assert_true(log_rate_pass(&rate, 1010, &held));
        g_assert_cmpuint(held, ==, 2);
        g_assert_true(log_rate_pass(&rate, 1011, &held));
        g_assert_cmpuint(held, ==, 0);
        g_assert_false(log_rate_pass(&rate, 1012, &held));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/shared/log/event-carries-id-and-fields", test_event_carries_id_and_fields);
        g_test_add_func("/shared/log/errno-is-named-and-returned", test_errno_is_named_and_returned);
        g_test_add_func("/shared/log/level-decides", test_level_decides);
        g_test_add_func("/shared/log/level-names", test_level_names);
        g_test_add_func("/shared/log/terminal-lines", test_terminal_lines_name_program_and_level);
        g_test_add_func("/shared/log/rate", test_rate);

        return g_test_run();
}
