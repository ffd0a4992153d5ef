/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl check: everything that can be known to be wrong before it matters. cluster.conf and the key are this
 * server's own files; policies and groups are judged by hamgr, running or not, so that there is one judge.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/macro.h"
#include "basic/time-util.h"
#include "hactl/hactl.h"
#include "shared/cluster-conf.h"
#include "shared/cluster-timers.h"
#include "shared/config-files.h"

#define HAMGR_PROGRAM "/usr/sbin/hamgr"

/* hamgr judges cluster.conf, the key, fence devices and, from files, policies and groups, without starting.
 */
static int check_offline(const char *dir) {
        int status;
        pid_t pid;

        pid = fork();
        if (pid < 0) {
                hactl_error("cannot start %s: %s", HAMGR_PROGRAM, strerror(errno));
                return HACTL_FAILED;
        }
        if (pid == 0) {
                execl(HAMGR_PROGRAM, HAMGR_PROGRAM, "--check", dir, NULL);
                hactl_error("cannot start %s: %s", HAMGR_PROGRAM, strerror(errno));
                _exit(HACTL_FAILED);
        }
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return HACTL_FAILED;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? HACTL_OK : HACTL_FAILED;
}

static void print_timer(const char *key, uint64_t usec) {
        char text[DURATION_TEXT_MAX];

        printf(" %s=%s", key, format_duration(usec, text));
}

/* Those that may follow from others, as they are in force. */
static void print_timers(void) {
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        _cleanup_(cluster_conf_freep) ClusterConf *c = NULL;

        if (cluster_conf_load(CLUSTER_CONF_PATH, &errors, &c) < 0)
                return;
        fputs("cluster.conf gives:", stdout);
        print_timer("FailoverWithinSec", cluster_timers_failover(c->heartbeat_usec, c->failure_usec));
        print_timer("FailureSec", c->failure_usec);
        print_timer("HeartbeatSec", c->heartbeat_usec);
        print_timer("RejoinHoldSec", c->rejoin_hold_usec);
        putchar('\n');
}

int verb_check(Hactl *h, int argc, char **argv) {
        int r;

        if (argc > 1) {
                hactl_error("usage: hactl check [DIR]");
                return HACTL_USAGE;
        }
        r = check_offline(argc > 0 ? argv[0] : CONFIG_FILES_FOLDER);
        if (r == HACTL_OK && !h->json) {
                print_timers();
                puts("No errors found.");
        }
        return r;
}
