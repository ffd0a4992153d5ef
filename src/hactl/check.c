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
#include "hactl/hactl.h"
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

int verb_check(Hactl *h, int argc, char **argv) {
        int r;

        if (argc > 1) {
                hactl_error("usage: hactl check [DIR]");
                return HACTL_USAGE;
        }
        r = check_offline(argc > 0 ? argv[0] : CONFIG_FILES_FOLDER);
        if (r == HACTL_OK && !h->json)
                puts("No errors found.");
        return r;
}
