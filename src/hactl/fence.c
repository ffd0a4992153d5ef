/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl fence: an operator's word takes the place of a fence device. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "basic/macro.h"
#include "hactl/hactl.h"

/* Before anybody is asked to vouch for it. */
static int find_node(Hactl *h, const char *node) {
        json_auto_t *cluster = NULL;
        int r = hactl_read(h, &cluster);

        if (r == HACTL_OK && !hactl_find(json_object_get(cluster, "nodes"), node)) {
                hactl_error("there is no node \"%s\" in cluster.conf", node);
                r = HACTL_FAILED;
        }
        return r;
}

static bool sure(const Hactl *h, const char *node) {
        char answer[8] = "";

        if (h->yes)
                return true;
        if (!isatty(STDIN_FILENO)) {
                hactl_error("not confirmed: this needs a terminal to ask on, or --yes");
                return false;
        }
        printf("You are about to vouch that %s is switched off, and runs nothing, until it boots anew.\n"
               "Its groups start elsewhere at once. If %s still runs, two servers will write the same\n"
               "file systems and DATA WILL BE DESTROYED. Look at the machine, not at a screen that shows "
               "it.\n"
               "Is %s off? Type \"yes\": ",
               node,
               node,
               node);
        fflush(stdout);
        if (fgets(answer, sizeof answer, stdin) && streq(answer, "yes\n"))
                return true;
        hactl_error("not confirmed: nothing was done");
        return false;
}

int verb_fence(Hactl *h, int argc, char **argv) {
        int r;

        if (argc != 2 || !streq(argv[0], "confirm")) {
                hactl_error("usage: hactl fence confirm NODE");
                return HACTL_USAGE;
        }
        r = find_node(h, argv[1]);
        if (r != HACTL_OK)
                return r;
        if (!sure(h, argv[1]))
                return HACTL_FAILED;
        r = hactl_call(h, "ConfirmNodeDown", NULL, "s", argv[1]);
        if (r == HACTL_OK && !h->json)
                printf("Node %s is confirmed down.\n", argv[1]);
        return r;
}
