/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl node: standby empties a node and keeps it a member; unstandby lets it run groups again. */

#include <stdio.h>
#include <string.h>

#include "basic/macro.h"
#include "hactl/hactl.h"

/* Empty when no group is on the node any more. */
static WaitVerdict judge_empty(json_t *cluster, const void *what, char **ret_text) {
        const char *node = what;
        size_t i;
        json_t *group;

        json_array_foreach(json_object_get(cluster, "groups"), i, group) {
                if (!streq(hactl_text(group, "node"), node))
                        continue;
                if (streq(hactl_text(group, "state"), "blocked")) {
                        if (asprintf(ret_text,
                                     "group %s is blocked: %s",
                                     hactl_text(group, "name"),
                                     hactl_text(group, "reason")) < 0)
                                *ret_text = NULL;
                        return WAIT_BLOCKED;
                }
                return WAIT_MORE;
        }
        if (asprintf(ret_text, "Node %s is in standby and runs nothing.", node) < 0)
                *ret_text = NULL;
        return WAIT_REACHED;
}

int verb_node(Hactl *h, int argc, char **argv) {
        bool standby = argc == 2 && streq(argv[0], "standby");
        int r;

        if (argc != 2 || (!standby && !streq(argv[0], "unstandby"))) {
                hactl_error("usage: hactl node standby|unstandby NODE");
                return HACTL_USAGE;
        }
        r = hactl_call(h, "SetNodeStandby", NULL, "sb", argv[1], (int) standby);
        if (r != HACTL_OK || h->no_block || !standby)
                return r;
        return hactl_wait(h, judge_empty, argv[1]);
}
