/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl: options and the table of verbs. */

#include <getopt.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "basic/macro.h"
#include "hactl/hactl.h"

#ifndef HAMGR_VERSION
#define HAMGR_VERSION "unknown"
#endif

typedef struct Verb {
        const char *name;
        int (*run)(Hactl *h, int argc, char **argv);
        const char *arguments;
        const char *help;
} Verb;

static const Verb VERBS[] = {
        { "status", verb_status, "[GROUP|NODE]", "what the cluster is doing, on one screen" },
        { "membership",
          verb_membership,
          "[--all]",
          "who hears whom on which link, and what changed of late" },
        { "groups",
          verb_groups,
          "[GROUP]",
          "groups of processes that talk by libhagcs, and what is counted of them" },
        { "init", verb_init, "[--join] [--recreate-store]", "make this server's cluster key and its store" },
        { "check", verb_check, "[DIR]", "check cluster.conf, policies and groups; changes nothing" },
        { "apply",
          verb_apply,
          "[DIR] [--remove] | FILE",
          "put policies and groups, or a cluster.conf, in force everywhere" },
        { "cat", verb_cat, "[GROUP|POLICY]", "show the files in force; --write: into /etc/hamgr" },
        { "group", verb_group, "start|stop|cleanup GROUP, move GROUP [NODE]", "operate a resource group" },
        { "node", verb_node, "standby|unstandby NODE", "empty a node, or let it run groups again" },
        { "fence",
          verb_fence,
          "history, test [NODE], node|confirm NODE",
          "past fencings; ask the devices; switch a node off, or vouch that it is" },
        { "budget", verb_budget, "[--json]", "after how long this server has reset itself, link by link" },
};

static void help(void) {
        printf("hactl [OPTIONS] VERB ...\n\n"
               "Operate a hamgr high-availability cluster.\n\n"
               "Verbs:\n");
        for (size_t i = 0; i < ELEMENTSOF(VERBS); i++)
                printf("  %-10s %-45s %s\n", VERBS[i].name, VERBS[i].arguments, VERBS[i].help);
        printf("\nOptions:\n"
               "     --json      print JSON for programs\n"
               "     --all       membership: also who hears whom when all do, and older changes\n"
               "     --join      init: this server is added to a cluster that is there; it waits to be "
               "taken in\n"
               "     --no-block  return when the order stands, do not wait until it is carried out\n"
               "     --remove    apply: also remove what is in force and has no file in DIR\n"
               "     --write     cat: write the files to /etc/hamgr; with --yes over others there\n"
               "  -y --yes       do not ask before dangerous acts\n"
               "  -h --help      this text\n"
               "     --version   the version\n\n"
               "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 hamgr is not reachable, 4 the "
               "order\n"
               "stands, but is not carried out yet.\n");
}

/* The verb that has the word among its own: "stop" is meant as "group stop". */
static const Verb *verb_around(const char *word) {
        for (size_t i = 0; i < ELEMENTSOF(VERBS); i++) {
                size_t n;

                for (const char *p = VERBS[i].arguments; *p; p += n + (p[n] ? 1 : 0)) {
                        n = strcspn(p, "| ,[]");
                        if (g_ascii_islower(word[0]) && n == strlen(word) && memcmp(p, word, n) == 0)
                                return &VERBS[i];
                }
        }
        return NULL;
}

static int run_verb(Hactl *h, int argc, char **argv) {
        const char *name = argc > 0 ? argv[0] : "status";
        const Verb *around;

        for (size_t i = 0; i < ELEMENTSOF(VERBS); i++)
                if (streq(VERBS[i].name, name))
                        return VERBS[i].run(h, MAX(argc - 1, 0), argv + MIN(argc, 1));

        around = verb_around(name);
        if (around)
                hactl_error("there is no verb \"%s\"; is \"hactl %s %s\" meant?", name, around->name, name);
        else
                hactl_error("there is no verb \"%s\"; \"hactl --help\" shows them all", name);
        return HACTL_USAGE;
}

/* Options are welcome anywhere, before and after the verb. True: a verb is to be run; else *ret_status is
 * all there is. */
static bool parse_options(Hactl *h, int argc, char **argv, int *ret_status) {
        enum {
                OPT_ALL = 0x100,
                OPT_JOIN,
                OPT_JSON,
                OPT_NO_BLOCK,
                OPT_RECREATE_STORE,
                OPT_REMOVE,
                OPT_VERSION,
                OPT_WRITE
        };
        static const struct option options[] = {
                { "all", no_argument, NULL, OPT_ALL },
                { "join", no_argument, NULL, OPT_JOIN },
                { "json", no_argument, NULL, OPT_JSON },
                { "no-block", no_argument, NULL, OPT_NO_BLOCK },
                { "recreate-store", no_argument, NULL, OPT_RECREATE_STORE },
                { "remove", no_argument, NULL, OPT_REMOVE },
                { "write", no_argument, NULL, OPT_WRITE },
                { "yes", no_argument, NULL, 'y' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPT_VERSION },
                {},
        };
        int c;

        *ret_status = HACTL_OK;
        while ((c = getopt_long(argc, argv, "hy", options, NULL)) >= 0)
                switch (c) {
                case OPT_ALL:
                        h->all = true;
                        break;
                case OPT_JOIN:
                        h->join = true;
                        break;
                case OPT_JSON:
                        h->json = true;
                        break;
                case OPT_NO_BLOCK:
                        h->no_block = true;
                        break;
                case OPT_RECREATE_STORE:
                        h->recreate_store = true;
                        break;
                case OPT_REMOVE:
                        h->remove = true;
                        break;
                case OPT_WRITE:
                        h->write = true;
                        break;
                case 'y':
                        h->yes = true;
                        break;
                case 'h':
                        help();
                        return false;
                case OPT_VERSION:
                        puts("hactl " HAMGR_VERSION);
                        return false;
                default:
                        hactl_error("\"hactl --help\" shows all options");
                        *ret_status = HACTL_USAGE;
                        return false;
                }
        return true;
}

int main(int argc, char **argv) {
        Hactl h = {};
        int r;

        if (!parse_options(&h, argc, argv, &r))
                return r;
        r = run_verb(&h, argc - optind, argv + optind);
        sd_bus_flush_close_unref(h.bus);
        free(h.error);
        return r;
}
