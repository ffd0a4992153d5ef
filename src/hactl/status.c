/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl status: the cluster on one screen, the same on every node; of one group or node, all there is to
 * know. */

#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "basic/macro.h"
#include "hactl/hactl.h"
#include "hactl/table.h"

/* Add to each node the names of the groups it holds: what the bus tells from the group's side. */
static void add_runs(json_t *cluster) {
        json_t *node, *group;
        size_t i, j;

        json_array_foreach(json_object_get(cluster, "nodes"), i, node) {
                json_t *runs = json_array();

                json_array_foreach(
                                json_object_get(cluster, "groups"),
                                j,
                                group) if (streq(hactl_text(group, "node"), hactl_text(node, "name")))
                                json_array_append(runs, json_object_get(group, "name"));
                json_object_set_new(node, "runs", runs);
        }
}

static char *join(const json_t *names) {
        GString *s = g_string_new(NULL);
        size_t i;
        json_t *name;

        json_array_foreach(names, i, name)
                        g_string_append_printf(s, "%s%s", i > 0 ? " " : "", json_string_value(name));
        return g_string_free(s, FALSE);
}

/* What this server shows of the cluster may then be old, or nothing. */
static bool is_out(const json_t *cluster) {
        return hactl_text(cluster, "trouble")[0] != '\0';
}

static void print_configuration(const json_t *cluster) {
        json_int_t version = json_integer_value(json_object_get(cluster, "configuration_version"));

        if (!is_out(cluster))
                printf("Configuration %" JSON_INTEGER_FORMAT ", planned by %s\n",
                       version,
                       hactl_text(cluster, "planner")[0] ? hactl_text(cluster, "planner") : "nobody");
        else if (version > 0)
                printf("Configuration %" JSON_INTEGER_FORMAT " as last known here\n", version);
        else
                puts("Configuration not known here");
}

static void print_head(const json_t *cluster) {
        json_int_t votes = 0, all = 0;
        size_t i;
        json_t *node;

        json_array_foreach(json_object_get(cluster, "nodes"), i, node) {
                json_int_t v = json_integer_value(json_object_get(node, "votes"));

                all += v;
                if (streq(hactl_text(node, "state"), "up"))
                        votes += v;
        }
        printf("Cluster %s: %s, %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " votes, membership %s\n",
               hactl_text(cluster, "cluster_name"),
               json_is_true(json_object_get(cluster, "quorate")) ? "quorate" : "NOT QUORATE",
               votes,
               all,
               hactl_text(cluster, "membership")[0] ? hactl_text(cluster, "membership") : "none");
        print_configuration(cluster);
        if (hactl_text(cluster, "cluster_conf_waits")[0])
                printf("cluster.conf as it is on %s is not in force: %s\n",
                       hactl_text(cluster, "node_name"),
                       hactl_text(cluster, "cluster_conf_waits"));
        if (hactl_text(cluster, "fence_trouble")[0])
                printf("Fence devices, as %s finds them: %s\n",
                       hactl_text(cluster, "node_name"),
                       hactl_text(cluster, "fence_trouble"));
        if (is_out(cluster))
                printf("This server (%s) cannot act: %s\n",
                       hactl_text(cluster, "node_name"),
                       hactl_text(cluster, "trouble"));
}

/* Of the members only: why another is out stands in the table. */
static void print_link_note(Hactl *h, const json_t *cluster) {
        json_auto_t *membership = NULL;
        g_autofree char *note = NULL;

        if (hactl_read_membership(h, false, &membership) != HACTL_OK)
                return;
        note = hactl_link_note(membership);
        if (note)
                printf("As %s sees it, %s; see \"hactl membership\"\n",
                       hactl_text(cluster, "node_name"),
                       note);
}

static void print_nodes(const json_t *cluster) {
        _cleanup_(table_freep) Table *t = table_new(5);
        size_t i;
        json_t *node;

        table_row(t, ROW("NODE", "STATE", "VOTES", "RUNS", "NOTE"));
        json_array_foreach(json_object_get(cluster, "nodes"), i, node) {
                g_autofree char *runs = join(json_object_get(node, "runs")), *state = NULL, *votes = NULL;

                state = g_strdup_printf(
                                "%s%s",
                                hactl_text(node, "state"),
                                json_is_true(json_object_get(node, "standby")) ? ", standby" : "");
                votes = g_strdup_printf(
                                "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(node, "votes")));
                table_row(t, ROW(hactl_text(node, "name"), state, votes, runs, hactl_text(node, "note")));
        }
        table_print(t);
}

static void group_row(Table *t, json_t *group) {
        table_row(t,
                  ROW(hactl_text(group, "name"),
                      hactl_text(group, "state"),
                      hactl_text(group, "node"),
                      hactl_text(group, "policy"),
                      hactl_text(group, "reason")));
}

static void print_groups(const json_t *cluster) {
        _cleanup_(table_freep) Table *t = table_new(5);
        size_t i;
        json_t *group;

        if (json_array_size(json_object_get(cluster, "groups")) == 0) {
                if (is_out(cluster) &&
                    json_integer_value(json_object_get(cluster, "configuration_version")) == 0)
                        puts("Which groups there are is not known here; ask another server.");
                else
                        puts("No groups are configured; write /etc/hamgr/NAME.group and run \"hactl "
                             "apply\".");
                return;
        }
        if (is_out(cluster))
                puts("Groups as last known here; another server may know better:");
        table_row(t, ROW("GROUP", "STATE", "NODE", "POLICY", "REASON"));
        json_array_foreach(json_object_get(cluster, "groups"), i, group) group_row(t, group);
        table_print(t);
}

static void print_group(json_t *group) {
        g_autofree char *domain = join(json_object_get(group, "domain")),
                        *standby = join(json_object_get(group, "standby_nodes")),
                        *may_run = join(json_object_get(group, "may_run_on"));
        _cleanup_(table_freep) Table *t = table_new(4);
        size_t i;
        json_t *resource;

        printf("Group %s: %s\n", hactl_text(group, "name"), hactl_text(group, "description"));
        printf("      State: %s%s%s (%s)\n",
               hactl_text(group, "state"),
               hactl_text(group, "node")[0] ? " on " : "",
               hactl_text(group, "node"),
               hactl_text(group, "reason"));
        printf("     Wanted: %s\n", hactl_text(group, "wanted"));
        printf("     Policy: %s\n", hactl_text(group, "policy"));
        printf("     Domain: %s%s%s\n", domain, standby[0] ? ", standby " : "", standby);
        printf(" May run on: %s\n\n", may_run[0] ? may_run : "nowhere");

        table_row(t, ROW("RESOURCE", "TYPE", "STATE", "UNIT"));
        json_array_foreach(json_object_get(group, "resources"), i, resource)
                        table_row(t,
                                  ROW(hactl_text(resource, "name"),
                                      hactl_text(resource, "type"),
                                      hactl_text(resource, "state"),
                                      hactl_text(resource, "unit")));
        table_print(t);
}

static int print_one(json_t *cluster, const char *name, bool json) {
        json_t *o = hactl_find(json_object_get(cluster, "groups"), name);

        if (o && !json) {
                print_group(o);
                return HACTL_OK;
        }
        if (!o)
                o = hactl_find(json_object_get(cluster, "nodes"), name);
        if (!o) {
                hactl_error("there is no group and no node named \"%s\"; \"hactl status\" shows all", name);
                (void) hactl_tell_not_applied(name);
                return HACTL_FAILED;
        }
        if (json)
                hactl_print_json(o);
        else {
                const char *key;
                json_t *v;

                json_object_foreach(o, key, v) {
                        _cleanup_free_ char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

                        printf("%12s: %s\n", key, json_is_string(v) ? json_string_value(v) : text);
                }
        }
        return HACTL_OK;
}

int verb_status(Hactl *h, int argc, char **argv) {
        json_auto_t *cluster = NULL;
        int r;

        if (argc > 1) {
                hactl_error("usage: hactl status [GROUP|NODE]");
                return HACTL_USAGE;
        }
        r = hactl_read(h, &cluster);
        if (r != HACTL_OK)
                return r;
        add_runs(cluster);
        if (argc == 1)
                return print_one(cluster, argv[0], h->json);
        if (h->json) {
                hactl_print_json(cluster);
                return HACTL_OK;
        }
        print_head(cluster);
        print_link_note(h, cluster);
        putchar('\n');
        print_nodes(cluster);
        putchar('\n');
        print_groups(cluster);
        return HACTL_OK;
}
