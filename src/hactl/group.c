/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl group: start, stop, move, cleanup. Each gives its order and, unless --no-block, waits until it is
 * carried out or cannot be. */

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "basic/macro.h"
#include "hactl/hactl.h"
#include "shared/config-files.h"

typedef struct Wanted {
        const char *group;
        const char *state; /* running or stopped */
        const char *node;  /* and there; NULL: anywhere */
        const char *left;  /* and no longer there; NULL: does not matter */
} Wanted;

static WaitVerdict judge(json_t *cluster, const void *what, char **ret_text) {
        const Wanted *w = what;
        json_t *group = hactl_find(json_object_get(cluster, "groups"), w->group);
        const char *state, *node, *reason;
        int r;

        if (!group) {
                if (asprintf(ret_text, "group %s is no longer configured", w->group) < 0)
                        *ret_text = NULL;
                return WAIT_FAILED;
        }
        state = hactl_text(group, "state");
        node = hactl_text(group, "node");
        reason = hactl_text(group, "reason");

        if (streq(state, w->state) && (!w->node || streq(node, w->node)) &&
            (!w->left || !streq(node, w->left))) {
                r = streq(state, "running")
                                    ? asprintf(ret_text, "Group %s is running on %s.", w->group, node)
                                    : asprintf(ret_text, "Group %s is %s.", w->group, state);
                if (r < 0)
                        *ret_text = NULL;
                return WAIT_REACHED;
        }
        if (streq(state, "failed") || streq(state, "blocked")) {
                if (asprintf(ret_text, "group %s is %s: %s", w->group, state, strempty(reason)) < 0)
                        *ret_text = NULL;
                return streq(state, "blocked") ? WAIT_BLOCKED : WAIT_FAILED;
        }
        return WAIT_MORE;
}

bool hactl_tell_not_applied(const char *group) {
        g_autofree char *path = g_strconcat(CONFIG_FILES_FOLDER "/", group, ".group", NULL);

        if (strchr(group, '/') || access(path, F_OK) < 0)
                return false;
        hactl_error("%s is not in force yet; to put it in force: hactl apply", path);
        return true;
}

static int call(Hactl *h, const char *method, const char *group, const char *node) {
        int r = node ? hactl_call(h, method, NULL, "ss", group, node)
                     : hactl_call(h, method, NULL, "s", group);

        if (r == HACTL_FAILED && h->error && streq(h->error, "org.hamgr1.Error.NoSuchGroup") &&
            !hactl_tell_not_applied(group))
                hactl_error("\"hactl status\" shows all groups");
        return r;
}

static int order(Hactl *h, const char *method, const char *group, const Wanted *w) {
        int r;

        r = call(h, method, group, NULL);
        if (r != HACTL_OK || h->no_block)
                return r;
        return hactl_wait(h, judge, w);
}

static int move(Hactl *h, const char *group, const char *node) {
        json_auto_t *cluster = NULL;
        _cleanup_free_ char *from = NULL;
        json_t *o;
        int r;

        r = hactl_read(h, &cluster);
        if (r != HACTL_OK)
                return r;
        o = hactl_find(json_object_get(cluster, "groups"), group);
        from = strdup(o ? hactl_text(o, "node") : "");
        if (!from)
                return HACTL_FAILED;
        if (!o && node && hactl_find(json_object_get(cluster, "nodes"), group)) {
                hactl_error("%s is a node; the group comes first: hactl group move %s %s",
                            group,
                            node,
                            group);
                return HACTL_USAGE;
        }
        r = call(h, "MoveGroup", group, node ?: "");
        if (r != HACTL_OK || h->no_block)
                return r;
        return hactl_wait(
                        h,
                        judge,
                        &(Wanted){ .group = group,
                                   .state = "running",
                                   .node = node,
                                   .left = node || !from[0] ? NULL : from });
}

int verb_group(Hactl *h, int argc, char **argv) {
        const char *verb = argc > 0 ? argv[0] : "";

        if (argc == 2 && streq(verb, "start"))
                return order(h, "StartGroup", argv[1], &(Wanted){ .group = argv[1], .state = "running" });
        if (argc == 2 && streq(verb, "stop"))
                return order(h, "StopGroup", argv[1], &(Wanted){ .group = argv[1], .state = "stopped" });
        if (argc == 2 && streq(verb, "cleanup"))
                return call(h, "CleanupGroup", argv[1], NULL);
        if ((argc == 2 || argc == 3) && streq(verb, "move"))
                return move(h, argv[1], argc == 3 ? argv[2] : NULL);

        hactl_error("usage: hactl group start|stop|cleanup GROUP, hactl group move GROUP [NODE]");
        return HACTL_USAGE;
}
