/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <glib/gstdio.h>

#include "shared/node-name.h"

static const char text[] = "[Cluster]\nName=shop\n"
                           "[Node n1]\nId=1\nAddress=10.1.0.1\n"
                           "[Node n2.example.org]\nId=2\nAddress=10.1.0.2\n";

typedef struct Fixture {
        ClusterConf *conf;
        char *path;
        char *why;
        const ClusterNode *node;
} Fixture;

static void set_up(Fixture *x) {
        ConfErrors errors = {};
        int fd;

        *x = (Fixture){};
        g_assert_cmpint(cluster_conf_parse("cluster.conf", text, strlen(text), &errors, &x->conf), ==, 0);
        fd = g_file_open_tmp("hamgr-test-XXXXXX", &x->path, NULL);
        g_assert_cmpint(safe_close(fd), ==, -EBADF);
        g_assert_cmpint(g_unlink(x->path), ==, 0);
}

static void tear_down(Fixture *x) {
        cluster_conf_free(x->conf);
        (void) g_unlink(x->path);
        g_free(x->path);
        free(x->why);
}

static int resolve(Fixture *x, const char *option, const char *host_name) {
        x->node = NULL;
        free(TAKE_PTR(x->why));
        return node_name_resolve(x->conf, option, x->path, host_name, &x->node, &x->why);
}

static void test_host_name_and_its_first_part(void) {
        _cleanup_(tear_down) Fixture x;

        set_up(&x);
        g_assert_cmpint(resolve(&x, NULL, "n1"), ==, 0);
        g_assert_cmpuint(x.node->id, ==, 1);
        g_assert_cmpint(resolve(&x, NULL, "n1.example.org"), ==, 0);
        g_assert_cmpuint(x.node->id, ==, 1);
        g_assert_cmpint(resolve(&x, NULL, "n2.example.org"), ==, 0);
        g_assert_cmpuint(x.node->id, ==, 2);
        g_assert_cmpint(resolve(&x, NULL, "n2"), ==, -ENOENT);
}

static void test_file_and_option_come_first(void) {
        _cleanup_(tear_down) Fixture x;

        set_up(&x);
        g_assert_true(g_file_set_contents(x.path, "n2.example.org\n", -1, NULL));
        g_assert_cmpint(resolve(&x, NULL, "n1"), ==, 0);
        g_assert_cmpuint(x.node->id, ==, 2);
        g_assert_cmpint(resolve(&x, "n1", "other"), ==, 0);
        g_assert_cmpuint(x.node->id, ==, 1);

        /* A wrong word is told, never passed over in favour of the host name. */
        g_assert_true(g_file_set_contents(x.path, "n9\n", -1, NULL));
        g_assert_cmpint(resolve(&x, NULL, "n1"), ==, -ENOENT);
        g_assert_cmpint(resolve(&x, "n8", "n1"), ==, -ENOENT);
        g_assert_nonnull(strstr(x.why, "n8"));

        g_assert_true(g_file_set_contents(x.path, "\n", -1, NULL));
        g_assert_cmpint(resolve(&x, NULL, "n1"), ==, 0);
}

static void test_error_says_what_there_is(void) {
        _cleanup_(tear_down) Fixture x;

        set_up(&x);
        g_assert_cmpint(resolve(&x, NULL, "web7"), ==, -ENOENT);
        g_assert_cmpstr(x.why,
                        ==,
                        "this machine's host name is \"web7\", but the configuration has no [Node web7]; "
                        "its nodes are n1, "
                        "n2.example.org. Correct one of them, or write the node's name into "
                        "/etc/hamgr/node-name");
        g_assert_null(x.node);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/shared/node-name/host-name-and-its-first-part", test_host_name_and_its_first_part);
        g_test_add_func("/shared/node-name/file-and-option-come-first", test_file_and_option_come_first);
        g_test_add_func("/shared/node-name/error-says-what-there-is", test_error_says_what_there_is);

        return g_test_run();
}
