/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl init: what a server needs once before hagcd can start, the cluster key and the first record of its
 * store. What is there already is left as it is. A server that is added to a cluster (--join) brings that
 * cluster's key and cluster.conf, and counts for nothing before the others have taken it in (R8). */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/macro.h"
#include "hactl/hactl.h"
#include "shared/cluster-conf.h"
#include "shared/cluster-key.h"
#include "shared/config-files.h"
#include "shared/file-util.h"
#include "shared/node-name.h"

#define HAGCD_PROGRAM "/usr/sbin/hagcd"

/* A key made here is for all servers: say so, since a second one made elsewhere would keep them apart. */
static int make_key(bool join, bool *ret_made) {
        ClusterKey key;
        _cleanup_free_ char *why = NULL;
        int r;

        *ret_made = false;
        r = cluster_key_load(CLUSTER_KEY_PATH, &key, &why);
        if (r >= 0) {
                cluster_key_done(&key);
                return HACTL_OK;
        }
        if (r != -ENOENT) {
                hactl_error("%s", why ?: strerror(-r));
                return HACTL_FAILED;
        }
        if (join) {
                hactl_error("there is no %s here: copy it from a server of the cluster (mode 0600), and say "
                            "this "
                            "again",
                            CLUSTER_KEY_PATH);
                return HACTL_FAILED;
        }
        why = free_null(why);
        r = make_folders(CONFIG_FILES_FOLDER, 0755);
        if (r < 0) {
                hactl_error("cannot make " CONFIG_FILES_FOLDER ": %s", strerror(-r));
                return HACTL_FAILED;
        }
        r = cluster_key_generate(&key);
        if (r >= 0)
                r = cluster_key_create(CLUSTER_KEY_PATH, &key, &why);
        cluster_key_done(&key);
        if (r < 0) {
                hactl_error("%s", why ?: strerror(-r));
                return HACTL_FAILED;
        }
        *ret_made = true;
        return HACTL_OK;
}

static int make_store(bool join, bool recreate) {
        const char *argv[] = { HAGCD_PROGRAM, "--init-store", NULL, NULL, NULL };
        size_t n = 2;
        int status;
        pid_t pid;

        if (join)
                argv[n++] = "--join";
        if (recreate)
                argv[n++] = "--recreate";
        pid = fork();
        if (pid < 0) {
                hactl_error("cannot start %s: %s", HAGCD_PROGRAM, strerror(errno));
                return HACTL_FAILED;
        }
        if (pid == 0) {
                execv(HAGCD_PROGRAM, (char *const *) argv);
                hactl_error("cannot start %s: %s", HAGCD_PROGRAM, strerror(errno));
                _exit(HACTL_FAILED);
        }
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return HACTL_FAILED;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? HACTL_OK : HACTL_FAILED;
}

static bool sure_to_recreate(const Hactl *h) {
        char answer[8] = "";

        if (h->yes)
                return true;
        if (!isatty(STDIN_FILENO)) {
                hactl_error("not confirmed: this needs a terminal to ask on, or --yes");
                return false;
        }
        printf("The store holds the numbers that this server has promised to the others. A server that "
               "forgets\n"
               "them can agree to two different memberships of one number. Recreate it only when it is lost "
               "or\n"
               "damaged, and while the rest of the cluster is up and has quorum without this server.\n"
               "Recreate it? Type \"yes\": ");
        fflush(stdout);
        if (fgets(answer, sizeof answer, stdin) && streq(answer, "yes\n"))
                return true;
        hactl_error("not confirmed: nothing was done");
        return false;
}

/* Both are the cluster's: what is missing here would be made anew, and differ. */
static int check_joins(void) {
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        _cleanup_(cluster_conf_freep) ClusterConf *conf = NULL;
        _cleanup_free_ char *why = NULL, *lines = NULL;
        const ClusterNode *self;
        int r;

        r = cluster_conf_load(CLUSTER_CONF_PATH, &errors, &conf);
        if (r < 0) {
                lines = conf_errors_to_text(&errors);
                hactl_error("%scopy %s from a server of the cluster, as it is in force there, and say this "
                            "again",
                            strempty(lines),
                            CLUSTER_CONF_PATH);
                return HACTL_FAILED;
        }
        r = node_name_resolve_here(conf, NULL, &self, &why);
        if (r < 0) {
                hactl_error("%s; first have it in cluster.conf of the cluster: hactl apply "
                            "/etc/hamgr/cluster.conf on a server of it, then copy that here",
                            why ?: strerror(-r));
                return HACTL_FAILED;
        }
        return HACTL_OK;
}

/* hagcd reads its store when it starts. */
static void tell_next(bool made_key, bool made_store) {
        if (access(CLUSTER_CONF_PATH, F_OK) < 0)
                printf("Next: write %s, the same on every server (a commented example is in\n"
                       "/usr/share/doc/hamgr/cluster.conf), then check it with \"hactl check\".\n",
                       CLUSTER_CONF_PATH);
        if (made_key)
                printf("A new cluster key was made. Copy %s to the other servers (it must be the\n"
                       "same file on all, mode 0600), then run \"hactl init\" there too.\n",
                       CLUSTER_KEY_PATH);
        printf("Then, on every server: systemctl enable --now hagcd hamgr\n");
        if (made_store)
                printf("Where hagcd runs already, for the store that is new: systemctl restart hagcd\n");
}

int verb_init(Hactl *h, int argc, char **argv) {
        bool made_key, made_store;
        int r;

        (void) argv;
        if (argc > 0) {
                hactl_error("usage: hactl init [--join] [--recreate-store]");
                return HACTL_USAGE;
        }
        if (h->recreate_store && !sure_to_recreate(h))
                return HACTL_FAILED;
        made_store = h->recreate_store || access(CLUSTER_STORE_PATH, F_OK) < 0;
        r = make_key(h->join, &made_key);
        if (r == HACTL_OK && h->join)
                r = check_joins();
        if (r == HACTL_OK)
                r = make_store(h->join, h->recreate_store);
        if (r == HACTL_OK && !h->json && h->join)
                puts("Next: systemctl enable --now hagcd hamgr; the cluster takes this server in when it "
                     "has "
                     "quorum.");
        else if (r == HACTL_OK && !h->json)
                tell_next(made_key, made_store);
        return r;
}
