/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl groups: what this server counts of the groups of processes that talk by libhagcs. Not to be mixed up
 * with "hactl group": resource groups, which hamgr keeps running. */

#include <glib.h>
#include <stdio.h>

#include "basic/macro.h"
#include "hactl/hactl.h"
#include "hactl/table.h"

#define N JSON_INTEGER_FORMAT

static json_int_t number(const json_t *object, const char *key) {
        return json_integer_value(json_object_get(object, key));
}

static bool is(const json_t *object, const char *key) {
        return json_is_true(json_object_get(object, key));
}

static char *count_text(const json_t *object, const char *key) {
        return g_strdup_printf("%" N, number(object, key));
}

/* "12 (3.4 kB)" */
static char *messages_text(const json_t *object, const char *messages, const char *bytes) {
        g_autofree char *size = g_format_size((guint64) number(object, bytes));

        return g_strdup_printf("%" N " (%s)", number(object, messages), size);
}

/* NULL: nothing is there to be old. */
static char *age_text(json_int_t usec) {
        return usec > 0 ? hactl_age_text(usec) : NULL;
}

static char *last_text(const json_t *group) {
        const char *membership = hactl_text(group, "membership");

        return membership[0] ? g_strdup_printf("%s/%" N, membership, number(group, "sequence")) : NULL;
}

/* ---- All of them ---- */

typedef struct Sum {
        json_int_t here, waiting, oldest_usec;
} Sum;

static Sum sum_of(const json_t *group) {
        Sum sum = {};
        size_t i;
        json_t *m;

        json_array_foreach(json_object_get(group, "members"), i, m) {
                if (!is(m, "here"))
                        continue;
                sum.here++;
                sum.waiting += number(m, "waiting_messages");
                sum.oldest_usec = MAX(sum.oldest_usec, number(m, "waiting_usec"));
        }
        return sum;
}

static void group_row(Table *t, const json_t *group) {
        Sum sum = sum_of(group);
        g_autofree char *members = g_strdup_printf(
                                        "%zu", json_array_size(json_object_get(group, "members"))),
                        *here = g_strdup_printf("%" N, sum.here),
                        *waiting = g_strdup_printf("%" N, sum.waiting), *oldest = age_text(sum.oldest_usec),
                        *given = messages_text(group, "messages", "bytes"),
                        *sent = messages_text(group, "sent_messages", "sent_bytes"),
                        *full = count_text(group, "window_full"), *expelled = count_text(group, "expelled"),
                        *last = last_text(group);

        table_row(t,
                  ROW(hactl_text(group, "name"),
                      members,
                      here,
                      sum.here > 0 ? given : NULL,
                      sum.here > 0 ? sent : NULL,
                      sum.here > 0 ? waiting : NULL,
                      oldest,
                      full,
                      expelled,
                      last));
}

static void print_groups(const json_t *document) {
        _cleanup_(table_freep) Table *t = table_new(10);
        const json_t *groups = json_object_get(document, "groups");
        size_t i;
        json_t *group;

        if (json_array_size(groups) == 0) {
                printf("No group has members, as %s sees it.\n", hactl_text(document, "node"));
                return;
        }
        printf("Groups as %s sees them:\n\n", hactl_text(document, "node"));
        table_row(t,
                  ROW("GROUP",
                      "MEMBERS",
                      "HERE",
                      "DELIVERED",
                      "SENT",
                      "WAITING",
                      "OLDEST",
                      "FULL",
                      "EXPELLED",
                      "LAST"));
        json_array_foreach(groups, i, group) group_row(t, group);
        table_print(t);
}

/* ---- One of them ---- */

static void member_row(Table *t, const json_t *m) {
        g_autofree char *pid = count_text(m, "pid"), *sent = messages_text(m, "sent_messages", "sent_bytes"),
                        *delivered = messages_text(m, "delivered_messages", "delivered_bytes"),
                        *waiting = messages_text(m, "waiting_messages", "waiting_bytes"),
                        *oldest = age_text(number(m, "waiting_usec")),
                        *window = messages_text(m, "window_messages", "window_bytes"),
                        *window_age = age_text(number(m, "window_usec")),
                        *full = count_text(m, "window_full"), *name = NULL;
        bool here = is(m, "here");

        name = g_strdup_printf("%s%s", hactl_text(m, "name"), is(m, "critical") ? " (critical)" : "");
        table_row(t,
                  ROW(name,
                      hactl_text(m, "node"),
                      here ? pid : NULL,
                      here ? sent : NULL,
                      here ? window : NULL,
                      window_age,
                      here ? full : NULL,
                      here ? delivered : NULL,
                      here ? waiting : NULL,
                      oldest));
}

static void print_group(const json_t *document, const json_t *group) {
        _cleanup_(table_freep) Table *t = table_new(10);
        const json_t *members = json_object_get(group, "members");
        g_autofree char *last = last_text(group), *delivered = messages_text(group, "messages", "bytes"),
                        *sent = messages_text(group, "sent_messages", "sent_bytes");
        size_t i;
        json_t *m;

        printf("Group %s as %s sees it: %zu members, last %s\n",
               hactl_text(group, "name"),
               hactl_text(document, "node"),
               json_array_size(members),
               last ? last : "-");
        printf("Members here: delivered %s and %" N " views, sent %s, window full %" N " times, %" N
               " expelled, snapshots %" N " given and %" N " received\n\n",
               delivered,
               number(group, "views"),
               sent,
               number(group, "window_full"),
               number(group, "expelled"),
               number(group, "snapshots_given"),
               number(group, "snapshots_received"));
        table_row(t,
                  ROW("MEMBER",
                      "NODE",
                      "PID",
                      "SENT",
                      "UNDER WAY",
                      "OLDEST",
                      "FULL",
                      "DELIVERED",
                      "WAITING",
                      "OLDEST"));
        json_array_foreach(members, i, m) member_row(t, m);
        table_print(t);
}

int verb_groups(Hactl *h, int argc, char **argv) {
        json_auto_t *document = NULL;
        const json_t *group = NULL;
        int r;

        if (argc > 1) {
                hactl_error("usage: hactl groups [GROUP]");
                return HACTL_USAGE;
        }
        r = hactl_read_groups(h, &document);
        if (r != HACTL_OK)
                return r;
        if (argc == 1) {
                group = hactl_find(json_object_get(document, "groups"), argv[0]);
                if (!group) {
                        hactl_error("no process is in a group named \"%s\", as %s sees it; resource groups "
                                    "are "
                                    "shown by \"hactl status\"",
                                    argv[0],
                                    hactl_text(document, "node"));
                        return HACTL_FAILED;
                }
        }
        if (h->json) {
                hactl_print_json(group ? group : document);
        } else if (group)
                print_group(document, group);
        else
                print_groups(document);
        return HACTL_OK;
}
