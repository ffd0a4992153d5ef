/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "hagcd/keeping.h"

/* R9: that groups are left running here is known to whoever takes over only if all of a membership with
 * quorum has heard it. Those whom we still hear may all be gone with what they know. */
static void test_who_has_to_know(void) {
        Membership m = { .quorate = true, .members = node_set_of(1) | node_set_of(2) | node_set_of(3) };

        g_assert_true(keeping_quorum_knows(&m, 3, node_set_of(1) | node_set_of(2)));
        g_assert_true(keeping_quorum_knows(&m, 3, node_set_of(1) | node_set_of(2) | node_set_of(4)));
        g_assert_false(keeping_quorum_knows(&m, 3, node_set_of(2)));
        g_assert_false(keeping_quorum_knows(&m, 3, NODE_SET_EMPTY));
        g_assert_false(keeping_quorum_knows(NULL, 3, node_set_of(1) | node_set_of(2)));
        m.quorate = false;
        g_assert_false(keeping_quorum_knows(&m, 3, node_set_of(1) | node_set_of(2)));
        /* A cluster of one. */
        m = (Membership){ .quorate = true, .members = node_set_of(3) };
        g_assert_true(keeping_quorum_knows(&m, 3, NODE_SET_EMPTY));
}

static void test_page_is_made_anew(void) {
        g_autofree char *folder = g_dir_make_tmp("keeping-XXXXXX", NULL);
        g_autofree char *page = g_build_filename(folder, "lease", NULL);
        struct stat first, second;

        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(keeping_freep) Keeping *k = NULL;

                g_assert_cmpint(keeping_new(folder, true, false, &k), ==, 0);
                g_assert_cmpint(stat(page, i == 0 ? &first : &second), ==, 0);
                /* Held: an inode that is free may be given out again. */
                if (i == 0)
                        g_assert_cmpint(open(page, O_RDONLY | O_CLOEXEC), >=, 0);
        }
        g_assert_cmpuint(first.st_ino, !=, second.st_ino);
        g_assert_cmpint(g_unlink(page), ==, 0);
        g_assert_cmpint(g_rmdir(folder), ==, 0);
}

/* As when /run is full: a start that fails resets the node, in every boot. hamgr finds nothing there, above
 * all not the leases of others as of a hagcd before. */
static void test_page_that_cannot_be_made(void) {
        g_autofree char *folder = g_dir_make_tmp("keeping-XXXXXX", NULL);
        g_autofree char *page = g_build_filename(folder, "lease", NULL);
        g_autofree char *in_the_way = g_build_filename(folder, "lease.new", NULL);
        _cleanup_(keeping_freep) Keeping *k = NULL;

        g_assert_true(g_file_set_contents(page, "old", -1, NULL));
        g_assert_cmpint(g_mkdir(in_the_way, 0700), ==, 0);
        g_assert_cmpint(keeping_new(folder, true, false, &k), ==, 0);
        g_assert_false(g_file_test(page, G_FILE_TEST_EXISTS));
        keeping_armed(k, true);
        g_assert_cmpint(g_rmdir(in_the_way), ==, 0);
        g_assert_cmpint(g_rmdir(folder), ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hagcd/keeping/all-of-a-quorum-has-to-know", test_who_has_to_know);
        g_test_add_func("/hagcd/keeping/each-life-has-its-own-page", test_page_is_made_anew);
        g_test_add_func("/hagcd/keeping/a-page-that-cannot-be-made-fails-no-start",
                        test_page_that_cannot_be_made);
        return g_test_run();
}
