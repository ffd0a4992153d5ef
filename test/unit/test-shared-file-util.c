/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>

#include "shared/file-util.h"

static char *folder; /* removed at the end */

static char *in_folder(const char *name) {
        return g_build_filename(folder, name, NULL);
}

static void test_written_file_reads_back(void) {
        g_autofree char *path = in_folder("a");
        _cleanup_free_ char *text = NULL;
        size_t n = 0;
        struct stat st;

        g_assert_cmpint(write_file_atomic(path, "one", 3, 0640, 0), ==, 0);
        g_assert_cmpint(write_file_atomic(path, "two\0x", 5, 0600, WRITE_FILE_NO_SYNC), ==, 0);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmphex(st.st_mode & 07777, ==, 0600);
        g_assert_cmpint(read_whole_file(path, 5, &text, &n), ==, 0);
        g_assert_cmpmem(text, n, "two\0x", 5);
        g_assert_cmpint(text[5], ==, '\0');
}

static void test_new_file_takes_nobodys_place(void) {
        g_autofree char *path = in_folder("new");
        _cleanup_free_ char *text = NULL;
        size_t n = 0;

        g_assert_cmpint(write_file_atomic(path, "one", 3, 0600, WRITE_FILE_NEW), ==, 0);
        g_assert_cmpint(write_file_atomic(path, "two", 3, 0600, WRITE_FILE_NEW), ==, -EEXIST);
        g_assert_cmpint(read_whole_file(path, 100, &text, &n), ==, 0);
        g_assert_cmpstr(text, ==, "one");
}

/* What is left behind after a failure would be read, or fill the disk, one day. */
static void test_failure_leaves_nothing_behind(void) {
        g_autofree char *sub = in_folder("sub"), *path = in_folder("sub/target"),
                        *missing = in_folder("no/file");
        GDir *d;

        g_assert_cmpint(make_folders(path, 0700), ==, 0); /* a folder in the file's place */
        g_assert_cmpint(write_file_atomic(path, "x", 1, 0600, 0), <, 0);
        g_assert_cmpint(write_file_atomic(missing, "x", 1, 0600, 0), ==, -ENOENT);

        d = g_dir_open(sub, 0, NULL);
        g_assert_cmpstr(g_dir_read_name(d), ==, "target");
        g_assert_null(g_dir_read_name(d));
        g_dir_close(d);
}

static void test_reading_is_bounded(void) {
        g_autofree char *path = in_folder("big"), *missing = in_folder("missing"), *fifo = in_folder("fifo");
        g_autofree char *big = g_strnfill(100000, 'x');
        _cleanup_free_ char *text = NULL;
        size_t n = 0;

        g_assert_cmpint(write_file_atomic(path, big, 100000, 0600, 0), ==, 0);
        g_assert_cmpint(read_whole_file(path, 99999, &text, &n), ==, -EFBIG);
        g_assert_null(text);
        g_assert_cmpint(read_whole_file(path, 100000, &text, &n), ==, 0);
        g_assert_cmpmem(text, n, big, 100000);

        free(TAKE_PTR(text));
        g_assert_cmpint(read_whole_file(missing, 10, &text, &n), ==, -ENOENT);
        g_assert_cmpint(read_whole_file(folder, 10, &text, &n), ==, -EISDIR);
        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        g_assert_cmpint(read_whole_file(fifo, 10, &text, &n), ==, -EINVAL);
        g_assert_cmpint(read_whole_file("/proc/self/status", 65536, &text, &n), ==, 0);
        g_assert_cmpuint(n, >, 0);
}

static void test_folders(void) {
        g_autofree char *deep = in_folder("d/e/f"), *file = in_folder("d/e/file"),
                        *under = in_folder("d/e/file/x");

        g_assert_cmpint(make_folders(deep, 0755), ==, 0);
        g_assert_cmpint(make_folders(deep, 0755), ==, 0);
        g_assert_true(g_file_test(deep, G_FILE_TEST_IS_DIR));
        g_assert_cmpint(write_file_atomic(file, "", 0, 0600, 0), ==, 0);
        g_assert_cmpint(make_folders(file, 0755), ==, -ENOTDIR);
        g_assert_cmpint(make_folders(under, 0755), ==, -ENOTDIR);
        g_assert_cmpint(remove_file(file), ==, 0);
        g_assert_cmpint(remove_file(file), ==, 0);
        g_assert_false(g_file_test(file, G_FILE_TEST_EXISTS));
}

static void test_listing_is_sorted_and_filtered(void) {
        static const char *const files[] = { "l/b.group", "l/a.group", "l/c.policy", "l/.hidden.group" };
        g_autofree char *list = in_folder("l"), *missing = in_folder("missing");
        _cleanup_(names_freep) char **names = NULL, **none = NULL;
        size_t n = 99;

        g_assert_cmpint(make_folders(list, 0755), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                g_autofree char *path = in_folder(files[i]);

                g_assert_cmpint(write_file_atomic(path, "", 0, 0600, WRITE_FILE_NO_SYNC), ==, 0);
        }
        g_assert_cmpint(list_folder(list, ".group", &names, &n), ==, 0);
        g_assert_cmpuint(n, ==, 2);
        g_assert_cmpstr(names[0], ==, "a.group");
        g_assert_cmpstr(names[1], ==, "b.group");
        g_assert_null(names[2]);

        g_assert_cmpint(list_folder(missing, NULL, &none, &n), ==, 0);
        g_assert_cmpuint(n, ==, 0);
        g_assert_null(none[0]);
}

int main(int argc, char *argv[]) {
        g_autofree char *remove = NULL;
        int status;

        g_test_init(&argc, &argv, NULL);
        folder = g_dir_make_tmp("hamgr-test-XXXXXX", NULL);
        g_assert_nonnull(folder);

        g_test_add_func("/shared/file-util/written-file-reads-back", test_written_file_reads_back);
        g_test_add_func("/shared/file-util/new-file-takes-nobodys-place", test_new_file_takes_nobodys_place);
        g_test_add_func("/shared/file-util/failure-leaves-nothing-behind",
                        test_failure_leaves_nothing_behind);
        g_test_add_func("/shared/file-util/reading-is-bounded", test_reading_is_bounded);
        g_test_add_func("/shared/file-util/folders", test_folders);
        g_test_add_func("/shared/file-util/listing-is-sorted-and-filtered",
                        test_listing_is_sorted_and_filtered);

        status = g_test_run();
        remove = g_strdup_printf("rm -rf '%s'", folder);
        g_assert_true(g_spawn_command_line_sync(remove, NULL, NULL, NULL, NULL));
        g_free(folder);
        return status;
}
