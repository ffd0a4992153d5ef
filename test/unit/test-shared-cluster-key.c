/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "shared/cluster-key.h"
#include "shared/file-util.h"

typedef struct Fixture {
        char *folder;
        char *path;
        char *why;
        ClusterKey key;
} Fixture;

static void set_up(Fixture *x) {
        *x = (Fixture){ .folder = g_dir_make_tmp("hamgr-test-XXXXXX", NULL) };
        x->path = g_build_filename(x->folder, "cluster.key", NULL);
        g_assert_cmpint(cluster_key_generate(&x->key), ==, 0);
        g_assert_cmpint(cluster_key_create(x->path, &x->key, &x->why), ==, 0);
        g_assert_null(x->why);
}

static void tear_down(Fixture *x) {
        (void) g_unlink(x->path);
        (void) g_rmdir(x->folder);
        g_free(x->path);
        g_free(x->folder);
        free(x->why);
}

static int load(Fixture *x, ClusterKey *ret) {
        free(TAKE_PTR(x->why));
        return cluster_key_load(x->path, ret, &x->why);
}

static void test_what_is_made_is_read(void) {
        _cleanup_(tear_down) Fixture x;
        ClusterKey other = {}, key = {};
        struct stat st;

        set_up(&x);
        g_assert_cmpint(load(&x, &key), ==, 0);
        g_assert_cmpuint(key.id, ==, x.key.id);
        g_assert_cmpuint(key.id, !=, 0);
        g_assert_cmpmem(key.bytes, sizeof(key.bytes), x.key.bytes, sizeof(x.key.bytes));
        g_assert_cmpint(stat(x.path, &st), ==, 0);
        g_assert_cmphex(st.st_mode & 07777, ==, 0600);

        g_assert_cmpint(cluster_key_generate(&other), ==, 0);
        g_assert_true(memcmp(other.bytes, key.bytes, sizeof(key.bytes)) != 0);
}

static void test_key_is_never_overwritten(void) {
        _cleanup_(tear_down) Fixture x;
        ClusterKey other, key;

        set_up(&x);
        g_assert_cmpint(cluster_key_generate(&other), ==, 0);
        g_assert_cmpint(cluster_key_create(x.path, &other, &x.why), ==, -EEXIST);
        g_assert_nonnull(strstr(x.why, "not overwritten"));
        g_assert_cmpint(load(&x, &key), ==, 0);
        g_assert_cmpuint(key.id, ==, x.key.id);
}

static void test_key_that_others_may_read_is_refused(void) {
        static const unsigned modes[] = { 0640, 0604, 0644, 0620, 0700, 0601 };
        _cleanup_(tear_down) Fixture x;
        ClusterKey key = { .id = 7 };

        set_up(&x);
        for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
                g_assert_cmpint(g_chmod(x.path, (int) modes[i]), ==, 0);
                g_assert_cmpint(load(&x, &key), ==, -EPERM);
                g_assert_nonnull(strstr(x.why, "chmod 0600"));
                g_assert_cmpuint(key.id, ==, 7);
        }

        g_assert_cmpint(g_chmod(x.path, 0400), ==, 0);
        g_assert_cmpint(load(&x, &key), ==, 0);
}

static void test_key_of_another_user_is_refused(void) {
        _cleanup_(tear_down) Fixture x;
        ClusterKey key;

        set_up(&x);
        if (chown(x.path, 12345, (gid_t) -1) < 0) {
                g_test_skip("needs root to give the file away");
                return;
        }
        g_assert_cmpint(load(&x, &key), ==, -EPERM);
        g_assert_nonnull(strstr(x.why, "chown root:root"));
}

static void test_missing_key_says_how_to_make_one(void) {
        _cleanup_(tear_down) Fixture x;
        ClusterKey key;

        set_up(&x);
        g_assert_cmpint(g_unlink(x.path), ==, 0);
        g_assert_cmpint(load(&x, &key), ==, -ENOENT);
        g_assert_nonnull(strstr(x.why, "hactl init"));
}

/* Each character of the line changed, and each shorter line. */
static void test_damaged_key_is_refused(void) {
        _cleanup_(tear_down) Fixture x;
        _cleanup_free_ char *text = NULL;
        ClusterKey key;
        size_t n = 0;

        set_up(&x);
        g_assert_cmpint(read_whole_file(x.path, 1000, &text, &n), ==, 0);
        for (size_t i = 0; i < n - 1; i++) {
                char good = text[i];

                text[i] = good == '0' ? '1' : '0';
                g_assert_cmpint(write_file_atomic(x.path, text, n, 0600, WRITE_FILE_NO_SYNC), ==, 0);
                g_assert_cmpint(load(&x, &key), ==, -EBADMSG);
                text[i] = good;

                g_assert_cmpint(write_file_atomic(x.path, text, i, 0600, WRITE_FILE_NO_SYNC), ==, 0);
                g_assert_cmpint(load(&x, &key), ==, -EBADMSG);
        }

        g_assert_cmpint(write_file_atomic(x.path, text, n, 0600, WRITE_FILE_NO_SYNC), ==, 0);
        g_assert_cmpint(load(&x, &key), ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/shared/cluster-key/what-is-made-is-read", test_what_is_made_is_read);
        g_test_add_func("/shared/cluster-key/key-is-never-overwritten", test_key_is_never_overwritten);
        g_test_add_func("/shared/cluster-key/readable-by-others-is-refused",
                        test_key_that_others_may_read_is_refused);
        g_test_add_func("/shared/cluster-key/key-of-another-user-is-refused",
                        test_key_of_another_user_is_refused);
        g_test_add_func("/shared/cluster-key/missing-key", test_missing_key_says_how_to_make_one);
        g_test_add_func("/shared/cluster-key/damaged-key-is-refused", test_damaged_key_is_refused);

        return g_test_run();
}
