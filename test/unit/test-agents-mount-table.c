/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <sys/sysmacros.h>

#include "resource-agents/mount/mount-table.h"

static const char text[] =
                "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
                "40 21 7:0 / /srv/my\\040shop rw,noatime shared:2 master:1 - xfs /dev/loop0 rw,attr2\n"
                "41 40 0:50 / /srv/my\\040shop/sub rw - tmpfs none rw\n"
                "42 21 7:1 / /srv/two rw - ext4 /dev/loop1 ro,emergency_ro\n"
                "43 42 7:2 / /srv/two ro - ext4 /dev/loop2 rw\n";

static MountTable *parse(const char *s) {
        MountTable *t = NULL;

        g_assert_cmpint(mount_table_parse(strdup(s), &t), ==, 0);
        return t;
}

static void test_rows_are_found(void) {
        MountTable *t = parse(text);
        const MountRow *row;

        g_assert_cmpuint(t->n_rows, ==, 5);
        row = mount_table_at(t, "/srv/my shop");
        g_assert_nonnull(row);
        g_assert_cmpstr(row->source, ==, "/dev/loop0");
        g_assert_cmpstr(row->type, ==, "xfs");
        g_assert_cmpstr(row->super_options, ==, "rw,attr2");
        g_assert_true(row->device == makedev(7, 0));
        g_assert_null(mount_table_at(t, "/srv/my"));

        row = mount_table_at(t, "/srv/two"); /* the one on top */
        g_assert_cmpstr(row->source, ==, "/dev/loop2");

        g_assert_cmpstr(mount_table_of_device(t, makedev(7, 0), NULL)->where, ==, "/srv/my shop");
        g_assert_null(mount_table_of_device(t, makedev(7, 0), "/srv/my shop"));
        g_assert_null(mount_table_of_device(t, makedev(7, 9), NULL));

        g_assert_cmpstr(mount_table_below(t, "/srv/my shop")->where, ==, "/srv/my shop/sub");
        g_assert_null(mount_table_below(t, "/srv/tw"));
        g_assert_null(mount_table_below(t, "/srv/two"));
        mount_table_free(t);
}

static void test_options_are_whole_words(void) {
        g_assert_true(mount_options_have("rw,noatime", "noatime"));
        g_assert_true(mount_options_have("rw,noatime", "rw"));
        g_assert_false(mount_options_have("rw,noatime", "atime"));
        g_assert_false(mount_options_have("rw,errors=remount-ro", "ro"));
        g_assert_false(mount_options_have("rw,norecovery", "no"));
        g_assert_false(mount_options_have("", "ro"));
}

static void test_other_text_is_refused(void) {
        static const char *const wrong[] = { "hello\n",
                                             "1 2 3:4 / /x rw - ext4 /dev/a\n",
                                             "1 2 x / /x rw - ext4 /dev/a rw\n" };

        FOREACH_ARRAY(w, wrong, ELEMENTSOF(wrong)) {
                MountTable *t = NULL;

                g_assert_cmpint(mount_table_parse(strdup(*w), &t), ==, -EBADMSG);
                g_assert_null(t);
        }
}

static void test_own_table_is_read(void) {
        MountTable *t = NULL;

        g_assert_cmpint(mount_table_read(0, &t), ==, 0);
        g_assert_nonnull(mount_table_at(t, "/"));
        mount_table_free(t);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/agents/mount-table/rows-are-found", test_rows_are_found);
        g_test_add_func("/agents/mount-table/options-are-whole-words", test_options_are_whole_words);
        g_test_add_func("/agents/mount-table/other-text-is-refused", test_other_text_is_refused);
        g_test_add_func("/agents/mount-table/own-table-is-read", test_own_table_is_read);
        return g_test_run();
}
