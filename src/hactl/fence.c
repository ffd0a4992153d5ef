/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl fence: what fencing did; what devices say; an operator's order to fence; and an operator's word that
 * takes the place of a fence device. */

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "basic/macro.h"
#include "basic/time-util.h"
#include "hactl/hactl.h"
#include "hactl/table.h"

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

/* The question ends with a newline; "yes" is the one answer that counts. */
static bool sure(const Hactl *h, const char *question) {
        char answer[8] = "";

        if (h->yes)
                return true;
        if (!isatty(STDIN_FILENO)) {
                hactl_error("not confirmed: this needs a terminal to ask on, or --yes");
                return false;
        }
        printf("%s", question);
        fflush(stdout);
        if (fgets(answer, sizeof answer, stdin) && streq(answer, "yes\n"))
                return true;
        hactl_error("not confirmed: nothing was done");
        return false;
}

/* ---- confirm ---- */

static int confirm(Hactl *h, const char *node) {
        g_autofree char *question =
                        g_strdup_printf("You are about to vouch that %s is switched off, and runs nothing, "
                                        "until it boots anew.\n"
                                        "Its groups start elsewhere at once. If %s still runs, two servers "
                                        "will write the same\n"
                                        "file systems and DATA WILL BE DESTROYED. Look at the machine, not "
                                        "at a screen that shows "
                                        "it.\n"
                                        "Is %s off? Type \"yes\": ",
                                        node,
                                        node,
                                        node);
        int r;

        if (!sure(h, question))
                return HACTL_FAILED;
        r = hactl_call(h, "ConfirmNodeDown", NULL, "s", node);
        if (r == HACTL_OK && !h->json)
                printf("Node %s is confirmed down.\n", node);
        return r;
}

/* ---- history ---- */

static json_int_t begun_usec(const json_t *entry) {
        return json_integer_value(json_object_get(entry, "begun_usec"));
}

static char *duration_text(const json_t *entry) {
        json_int_t begun = begun_usec(entry),
                   ended = json_integer_value(json_object_get(entry, "ended_usec"));

        return ended > 0 ? g_strdup_printf("%.1f s", (double) MAX(ended - begun, 0) / USEC_PER_SEC) : NULL;
}

static char *why_text(const json_t *entry) {
        const char *text = hactl_text(entry, "text");

        return g_strdup_printf("%s%s%s", hactl_text(entry, "reason"), text[0] ? "; " : "", text);
}

static int history(Hactl *h) {
        _cleanup_(table_freep) Table *t = table_new(7);
        json_auto_t *document = NULL;
        const json_t *entries;
        json_t *entry;
        size_t i;
        int r;

        r = hactl_read_fence_history(h, &document);
        if (r != HACTL_OK)
                return r;
        if (h->json) {
                hactl_print_json(document);
                return HACTL_OK;
        }
        entries = json_object_get(document, "fencings");
        if (json_array_size(entries) == 0) {
                puts("Nothing was fenced since this cluster was started.");
                return HACTL_OK;
        }
        table_row(t, ROW("BEGUN", "NODE", "OUTCOME", "BY", "DEVICE", "TOOK", "WHY"));
        json_array_foreach(entries, i, entry) {
                g_autofree char *time = hactl_time_text(begun_usec(entry)), *took = duration_text(entry),
                                *why = why_text(entry);
                const char *fencer = hactl_text(entry, "fencer"), *device = hactl_text(entry, "device");

                table_row(t,
                          ROW(time,
                              hactl_text(entry, "node"),
                              hactl_text(entry, "outcome"),
                              fencer[0] ? fencer : NULL,
                              device[0] ? device : NULL,
                              took,
                              why));
        }
        table_print(t);
        return HACTL_OK;
}

/* ---- test ---- */

/* A device that calls a member off looks at another machine. */
static const char *trouble_of(const json_t *node, const json_t *device) {
        const char *error = hactl_text(device, "error");

        if (error[0])
                return error;
        if (streq(hactl_text(node, "state"), "up") && streq(hactl_text(device, "state"), "off"))
                return "it says that the node is off, but the node is up: does Nodes= name its own plug or "
                       "controller? Whatever it switches off now is no proof";
        return "";
}

static bool add_devices(Table *t, const json_t *node, const json_t *devices) {
        bool good = true;
        json_t *device;
        size_t i;

        if (json_array_size(devices) == 0)
                table_row(t,
                          ROW(hactl_text(node, "name"), NULL, NULL, NULL, NULL, "it has no fence device"));
        json_array_foreach(devices, i, device) {
                const char *state = hactl_text(device, "state"), *trouble = trouble_of(node, device);
                json_int_t usec = json_integer_value(json_object_get(device, "took_usec"));
                g_autofree char *level = NULL, *took = NULL;

                level =
                                g_strdup_printf("%" JSON_INTEGER_FORMAT,
                                                json_integer_value(json_object_get(device, "level")));
                took = g_strdup_printf("%.2f s", (double) usec / USEC_PER_SEC);
                table_row(t,
                          ROW(hactl_text(node, "name"),
                              level,
                              hactl_text(device, "device"),
                              state[0] ? state : NULL,
                              took,
                              trouble));
                good = good && !trouble[0];
        }
        return good;
}

static int test(Hactl *h, const char *only) {
        _cleanup_(table_freep) Table *t = table_new(6);
        json_auto_t *cluster = NULL, *all = json_object();
        json_t *node;
        bool good = true;
        size_t i;
        int r;

        r = hactl_read(h, &cluster);
        if (r != HACTL_OK)
                return r;
        table_row(t, ROW("NODE", "LEVEL", "DEVICE", "STATE", "TOOK", "TROUBLE"));
        json_array_foreach(json_object_get(cluster, "nodes"), i, node) {
                json_auto_t *document = NULL;
                const char *name = hactl_text(node, "name");

                if (only && !streq(only, name))
                        continue;
                r = hactl_read_fence_test(h, name, &document);
                if (r != HACTL_OK)
                        return r;
                good = add_devices(t, node, json_object_get(document, "devices")) && good;
                json_object_set(all, name, json_object_get(document, "devices"));
        }
        if (h->json) {
                hactl_print_json(all);
        } else
                table_print(t);
        return good ? HACTL_OK : HACTL_FAILED;
}

/* ---- node ---- */

typedef struct Ordered {
        Hactl *h;
        const char *node;
        json_int_t after_usec; /* the fencing that was ordered was begun after that */
} Ordered;

static const json_t *find_newest(const json_t *document, const char *node) {
        const json_t *entry;
        size_t i;

        json_array_foreach(
                        json_object_get(document, "fencings"), i, entry) if (streq(hactl_text(entry, "node"),
                                                                                   node)) return entry;
        return NULL;
}

static WaitVerdict judge(json_t *cluster, const void *what, char **ret_text) {
        const Ordered *o = what;
        json_auto_t *document = NULL;
        const json_t *entry;
        const char *outcome;

        (void) cluster;
        if (hactl_read_fence_history(o->h, &document) != HACTL_OK)
                return WAIT_MORE;
        entry = find_newest(document, o->node);
        outcome = hactl_text(entry, "outcome");
        if (!entry || begun_usec(entry) <= o->after_usec || streq(outcome, "under-way"))
                return WAIT_MORE;
        if (streq(outcome, "off")) {
                *ret_text = g_strdup_printf(
                                "Node %s is off, %s confirms it.", o->node, hactl_text(entry, "device"));
                return WAIT_REACHED;
        }
        *ret_text = g_strdup_printf("%s was not switched off: %s", o->node, hactl_text(entry, "text"));
        return WAIT_FAILED;
}

static int fence_node(Hactl *h, const char *node) {
        g_autofree char *question =
                        g_strdup_printf("You are about to switch %s off by its fence device, whatever runs "
                                        "there. Its groups are cut\n"
                                        "off as by a power failure, and start elsewhere. To empty it first: "
                                        "hactl node standby %s\n"
                                        "Switch %s off? Type \"yes\": ",
                                        node,
                                        node,
                                        node);
        Ordered o = { .h = h, .node = node };
        json_auto_t *document = NULL;
        const json_t *newest;
        int r;

        if (!sure(h, question))
                return HACTL_FAILED;
        r = hactl_read_fence_history(h, &document);
        if (r != HACTL_OK)
                return r;
        newest = find_newest(document, node);
        /* The daemon's clocks are read anew for each answer. */
        o.after_usec = newest ? begun_usec(newest) + USEC_PER_SEC / 10 : 0;
        r = hactl_call(h, "FenceNode", NULL, "s", node);
        if (r != HACTL_OK || h->no_block)
                return r;
        return hactl_wait(h, judge, &o);
}

int verb_fence(Hactl *h, int argc, char **argv) {
        bool is_confirm = argc == 2 && streq(argv[0], "confirm"),
             is_node = argc == 2 && streq(argv[0], "node"), is_test = argc == 2 && streq(argv[0], "test");
        int r;

        if (argc == 1 && streq(argv[0], "history"))
                return history(h);
        if (argc == 1 && streq(argv[0], "test"))
                return test(h, NULL);
        if (!is_confirm && !is_node && !is_test) {
                hactl_error("usage: hactl fence history, hactl fence test [NODE], hactl fence node|confirm "
                            "NODE");
                return HACTL_USAGE;
        }
        r = find_node(h, argv[1]);
        if (r != HACTL_OK)
                return r;
        if (is_test)
                return test(h, argv[1]);
        return is_confirm ? confirm(h, argv[1]) : fence_node(h, argv[1]);
}
