/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>

#include "hamgr/drive/guard-list.h"

static void round_trip(void) {
        static const char line[] =
                        "unit shop@1.service web watchdog=5000000 mount=/srv/a\\x20b mount=/srv/%h "
                        "after=db.service\n";
        g_autofree char *without_end = g_strndup(line, sizeof(line) - 2);
        _cleanup_(str_buf_done) StrBuf text = {};
        _cleanup_(guard_done) Guard g = {};

        g_assert_cmpint(guard_read(without_end, &g), ==, 1);
        g_assert_cmpint(g.kind, ==, GUARD_UNIT);
        g_assert_cmpstr(g.name, ==, "shop@1.service");
        g_assert_cmpstr(g.group, ==, "web");
        g_assert_cmpuint(g.watchdog_usec, ==, 5000000);
        g_assert_cmpuint(g.n_mounts, ==, 2);
        g_assert_cmpstr(g.mounts[0], ==, "/srv/a b");
        g_assert_cmpstr(g.after[0], ==, "db.service");
        guard_write(&g, &text);
        g_assert_cmpstr(str_buf_text(&text), ==, line);
}

static void comments_and_empty_lines(void) {
        Guard g;

        g_assert_cmpint(guard_read("", &g), ==, 0);
        g_assert_cmpint(guard_read("   ", &g), ==, 0);
        g_assert_cmpint(guard_read("# unit a.service b", &g), ==, 0);
}

static void what_is_wrong_is_refused(void) {
        static const char *const wrong[] = {
                "unit",
                "unit a.service",
                "socket a.service web",
                "unit ../../etc/x.service web",
                "unit a.b/c.service web",
                "unit .service web",
                "unit shop web",
                "unit a.service We-b",
                "unit a.service ../web",
                "unit a.service web watchdog=0",
                "unit a.service web watchdog=x",
                "unit a.service web restart=yes",
                "unit a.service web mount=srv",
                "unit a.service web mount=/srv\\x0aRestart=yes",
                "unit a.service web after=a",
                "unit a.service web mount=/a\\x0",
                "unit a.service web mount=/a\\x00",
                "unit a.service web mount=/a\\q",
                "mount srv web",
                "mount /srv web watchdog=1",
        };

        FOREACH_ARRAY(line, wrong, ELEMENTSOF(wrong)) {
                Guard g;

                g_test_message("%s", *line);
                g_assert_cmpint(guard_read(*line, &g), ==, -EINVAL);
        }
}

static void mount_units(void) {
        static const struct {
                const char *where, *unit;
        } cases[] = {
                { "/srv/shop", "srv-shop.mount" },         { "/srv/my-shop", "srv-my\\x2dshop.mount" },
                { "/srv//shop/", "srv-shop.mount" },       { "/", "-.mount" },
                { "/.hidden/.x", "\\x2ehidden-.x.mount" }, { "/srv/a b", "srv-a\\x20b.mount" },
        };

        FOREACH_ARRAY(c, cases, ELEMENTSOF(cases)) {
                _cleanup_free_ char *unit = guard_mount_unit(c->where);

                g_assert_cmpstr(unit, ==, c->unit);
        }
}

static void drop_ins(void) {
        _cleanup_(guard_done) Guard unit = {}, mount = {};
        _cleanup_free_ char *text = NULL, *mount_text = NULL;

        g_assert_cmpint(guard_read("unit shop.service web watchdog=5000000 mount=/srv/100% after=db.service",
                                   &unit),
                        ==,
                        1);
        text = guard_drop_in(&unit, "/run/hamgr/owned");
        g_assert_cmpstr(text,
                        ==,
                        "# Group web of hamgr runs this unit; systemd starts it only where the group is.\n"
                        "[Unit]\n"
                        "AssertPathExists=/run/hamgr/owned/web\n"
                        "AssertPathIsMountPoint=/srv/100%%\n"
                        "Before=hamgr-managed.target\n"
                        "After=db.service\n"
                        "IgnoreOnIsolate=yes\n"
                        "\n"
                        "[Service]\n"
                        "Restart=no\n"
                        "WatchdogSec=5000000us\n");

        g_assert_cmpint(guard_read("mount /srv/shop web", &mount), ==, 1);
        mount_text = guard_drop_in(&mount, "/run/hamgr/owned");
        g_assert_nonnull(strstr(mount_text, "DefaultDependencies=no\nBefore=hamgr-managed.target\n"));
        g_assert_null(strstr(mount_text, "[Service]"));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/drive/guard-list/round-trip", round_trip);
        g_test_add_func("/drive/guard-list/comments-and-empty-lines", comments_and_empty_lines);
        g_test_add_func("/drive/guard-list/what-is-wrong-is-refused", what_is_wrong_is_refused);
        g_test_add_func("/drive/guard-list/mount-units", mount_units);
        g_test_add_func("/drive/guard-list/drop-ins", drop_ins);
        return g_test_run();
}
