/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hagcd/access.h"
#include "shared/cluster-access.h"

#define CONF "[Cluster]\nName=shop\n[Node n1]\nId=1\nAddress=10.1.0.1\n"

static ClusterConf *parse(const char *sections) {
        g_autofree char *text = g_strconcat(CONF, sections, NULL);
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        ClusterConf *c = NULL;

        g_assert_cmpint(cluster_conf_parse("c", text, strlen(text), &errors, &c), ==, 0);
        return c;
}

static int judge(const ClusterConf *c, const AccessPeer *peer, const char *group, bool critical) {
        char why[PROTO_TEXT_MAX] = "";
        int r = access_check(c, peer, group, critical, why);

        g_assert_cmpint(r < 0, ==, why[0] != '\0');
        return r;
}

static gid_t more_groups[] = { 5, 27 };
static const AccessPeer root = { 0 };
static const AccessPeer app = { .uid = 1001, .gid = 1001 };
static const AccessPeer dba = { .uid = 1002, .gid = 1002, .groups = more_groups, .n_groups = 2 };
static const AccessPeer own_group = { .uid = 1003, .gid = 27 };

/* Without a section: ordinary groups for whoever can open the socket, and nobody but root is critical. */
static void test_defaults(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *none = parse(""), *all = parse("[Access *]\nJoin=*\n");
        const ClusterConf *confs[] = { NULL, none, all };

        FOREACH_ARRAY(c, confs, ELEMENTSOF(confs)) {
                g_assert_cmpint(judge(*c, &app, "talk", false), ==, 0);
                g_assert_cmpint(judge(*c, &app, "talk", true), ==, -EPERM);
                g_assert_cmpint(judge(*c, &app, "hamgr", false), ==, -EPERM);
                g_assert_cmpint(judge(*c, &app, "hamgr_more", false), ==, -EPERM);
                g_assert_cmpint(judge(*c, &root, "talk", true), ==, 0);
                g_assert_cmpint(judge(*c, &root, "hamgr", true), ==, 0);
        }
}

static void test_sections(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse("[Access db_*]\nJoin=@27\nCritical=1003\n"
                                                             "[Access db_open]\nCritical=@27\n"
                                                             "[Access *]\nJoin=0 nobody_here\n"
                                                             "Critical=1001\n");

        g_assert_cmpint(judge(c, &app, "db_main", false), ==, -EACCES);
        g_assert_cmpint(judge(c, &dba, "db_main", false), ==, 0);
        g_assert_cmpint(judge(c, &own_group, "db_main", false), ==, 0);
        g_assert_cmpint(judge(c, &dba, "db_main", true), ==, -EPERM);
        g_assert_cmpint(judge(c, &own_group, "db_main", true), ==, 0);
        /* One section counts, all of it. */
        g_assert_cmpint(judge(c, &app, "db_open", false), ==, 0);
        g_assert_cmpint(judge(c, &app, "db_open", true), ==, -EPERM);
        g_assert_cmpint(judge(c, &dba, "db_open", true), ==, 0);
        g_assert_cmpint(judge(c, &dba, "web", false), ==, -EACCES);
        /* Whoever may be critical may join. */
        g_assert_cmpint(judge(c, &app, "web", false), ==, 0);
        g_assert_cmpint(judge(c, &app, "web", true), ==, 0);
        g_assert_cmpint(judge(c, &app, "hamgr", true), ==, -EPERM);
        g_assert_cmpint(judge(c, &root, "web", true), ==, 0);
}

static void assert_said(const ClusterConf *c, const char *group, bool critical, const char *expected) {
        char why[PROTO_TEXT_MAX];

        g_assert_cmpint(access_check(c, &app, group, critical, why), <, 0);
        g_assert_cmpstr(why, ==, expected);
}

static void test_words(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse("[Access db_*]\nJoin=postgres @dba\n");

        assert_said(c,
                    "db_main",
                    false,
                    "user 1001 may not join group db_main: [Access db_*] of cluster.conf has Join=postgres "
                    "@dba");
        assert_said(c,
                    "db_main",
                    true,
                    "user 1001 may not be a critical member of group db_main: [Access db_*] of cluster.conf "
                    "has no Critical=");
        assert_said(c,
                    "web",
                    true,
                    "user 1001 may not be a critical member of group web: only root may, no [Access] "
                    "section "
                    "of cluster.conf being for this group");
        assert_said(c,
                    "hamgr",
                    false,
                    "user 1001 may not join group hamgr: groups named hamgr... are for root");
}

/* ---- The process at the other end ---- */

/* Another process connects, with other groups than it has when it is looked at. */
static void connect_as(int listen_fd, const char *path, int go) {
        static const gid_t groups[] = { 27, 5, 70000 };
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        char c;

        g_assert_cmpint(setgroups(ELEMENTSOF(groups), groups), ==, 0);
        g_assert_cmpint(setresgid(1002, 1002, 0), ==, 0);
        g_assert_cmpint(setresuid(1001, 1001, 0), ==, 0);
        memcpy(address.sun_path, path, strlen(path));
        g_assert_cmpint(connect(fd, (struct sockaddr *) &address, sizeof(address)), ==, 0);
        g_assert_cmpint(setresuid(0, 0, 0), ==, 0);
        g_assert_cmpint(setgroups(0, NULL), ==, 0);
        (void) read(go, &c, 1);
        _exit(0);
}

static void test_peer(void) {
        g_autofree char *folder = g_dir_make_tmp("hagcd-access-XXXXXX", NULL),
                        *path = g_build_filename(folder, "sock", NULL);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd = -EBADF;
        _cleanup_(access_peer_done) AccessPeer peer = { 0 };
        int go[2];
        pid_t pid;

        if (geteuid() != 0) {
                g_test_skip("needs root");
                return;
        }
        memcpy(address.sun_path, path, strlen(path));
        g_assert_cmpint(bind(listen_fd, (struct sockaddr *) &address, sizeof(address)), ==, 0);
        g_assert_cmpint(listen(listen_fd, 1), ==, 0);
        g_assert_cmpint(chmod(path, 0666), ==, 0);
        g_assert_cmpint(chmod(folder, 0755), ==, 0);
        g_assert_cmpint(pipe(go), ==, 0);
        pid = fork();
        if (pid == 0) {
                /* Its end is seen by the other, however it comes. */
                (void) close(go[1]);
                connect_as(listen_fd, path, go[0]);
        }
        fd = accept(listen_fd, NULL, NULL);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(access_peer_read(fd, &peer), ==, 0);
        g_assert_cmpuint(peer.uid, ==, 1001);
        g_assert_cmpuint(peer.gid, ==, 1002);
        g_assert_cmpuint(peer.n_groups, ==, 3);
        {
                _cleanup_(cluster_conf_freep) ClusterConf *c = parse("[Access a]\nJoin=@70000\n"
                                                                     "[Access b]\nJoin=@1002\n"
                                                                     "[Access c]\nJoin=@1001\n");

                g_assert_cmpint(judge(c, &peer, "a", false), ==, 0);
                g_assert_cmpint(judge(c, &peer, "b", false), ==, 0);
                g_assert_cmpint(judge(c, &peer, "c", false), ==, -EACCES);
        }
        g_assert_cmpint(write(go[1], "", 1), ==, 1);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        (void) close(go[0]);
        (void) close(go[1]);
        (void) unlink(path);
        (void) rmdir(folder);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hagcd/access/defaults-are-safe", test_defaults);
        g_test_add_func("/hagcd/access/sections", test_sections);
        g_test_add_func("/hagcd/access/refusals-name-the-section", test_words);
        g_test_add_func("/hagcd/access/peer-is-as-it-connected", test_peer);
        return g_test_run();
}
