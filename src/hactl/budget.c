/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl budget: after how long this server has reset itself for certain, link by link. By what systemd says,
 * and the function by which hamgr tells the others. */

#include <stdio.h>

#include "basic/macro.h"
#include "basic/time-util.h"
#include "hactl/hactl.h"
#include "shared/budget.h"
#include "shared/node-name.h"

static int load(ClusterConf **ret_conf, const ClusterNode **ret_self) {
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        _cleanup_(cluster_conf_freep) ClusterConf *c = NULL;
        _cleanup_free_ char *why = NULL;

        if (cluster_conf_load(CLUSTER_CONF_PATH, &errors, &c) < 0) {
                _cleanup_free_ char *text = conf_errors_to_text(&errors);

                fputs(text ?: "out of memory\n", stderr);
                return HACTL_FAILED;
        }
        if (node_name_resolve_here(c, NULL, ret_self, &why) < 0) {
                hactl_error("%s", why ?: "it is not known which node this is");
                return HACTL_FAILED;
        }
        *ret_conf = TAKE_PTR(c);
        return HACTL_OK;
}

static int print_json(const ClusterNode *self, const Budget *b) {
        json_auto_t *links = json_array();
        json_auto_t *o = NULL;

        for (BudgetLink i = 0; i < _BUDGET_LINK_MAX; i++)
                (void) json_array_append_new(
                                links,
                                json_pack("{s:s, s:I, s:s}",
                                          "link",
                                          budget_link_to_string(i),
                                          "usec",
                                          (json_int_t) b->usec[i],
                                          "origin",
                                          b->origin[i]));
        o = json_pack("{s:s, s:O, s:I, s:b, s:s}",
                      "node",
                      self->name,
                      "links",
                      links,
                      "sum_usec",
                      (json_int_t) b->sum_usec,
                      "counts",
                      (int) isempty(b->refusal),
                      "reason",
                      b->refusal);
        if (!o || json_dumpf(o, stdout, JSON_INDENT(2)) < 0)
                return HACTL_FAILED;
        putchar('\n');
        return HACTL_OK;
}

static void print_table(const ClusterNode *self, const Budget *b) {
        char text[DURATION_TEXT_MAX];

        printf("When %s loses quorum or hangs, it has reset itself, after the last heartbeat that was "
               "echoed:\n\n",
               self->name);
        for (BudgetLink i = 0; i < _BUDGET_LINK_MAX; i++)
                printf("  %-13s %8s  %s\n",
                       budget_link_to_string(i),
                       format_duration(b->usec[i], text),
                       b->origin[i]);
        printf("  %-13s %8s\n\n", "all", format_duration(b->sum_usec, text));
        if (isempty(b->refusal))
                printf("Where no fence device can switch it off, the others wait as long, and then take "
                       "over from "
                       "it.\n");
        else
                printf("Nobody counts on it, and nothing is taken over from %s without a fence "
                       "device:\n%s.\n",
                       self->name,
                       b->refusal);
}

int verb_budget(Hactl *h, int argc, char **argv) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = NULL;
        const ClusterNode *self;
        BudgetFacts facts;
        Budget b;
        int r;

        if (argc > 0) {
                hactl_error("usage: hactl budget");
                return HACTL_USAGE;
        }
        r = load(&c, &self);
        if (r != HACTL_OK)
                return r;
        budget_ask(&facts);
        budget_compute(c, self, &facts, &b);
        if (h->json)
                return print_json(self, &b);
        print_table(self, &b);
        return HACTL_OK;
}
