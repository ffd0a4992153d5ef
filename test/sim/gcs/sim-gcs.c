/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Many random lives of the group communication core, over memberships of a script:
 *
 *     sim-gcs [--seeds=N] [--first=SEED]     N seeds from SEED on
 *     sim-gcs --seed=SEED --trace            one, and everything that happened in it */

#include <inttypes.h>
#include <stdio.h>

#include "gcs/gcs-break.h"
#include "sim/gcs/swarm.h"

int main(int argc, char *argv[]) {
        gint64 n_seeds = 200, first = 1, seed = -1, limit_sec = 0, n = 0, end;
        gboolean trace = FALSE;
        int broken = 0;
        GOptionEntry options[] = {
                { "seeds", 0, 0, G_OPTION_ARG_INT64, &n_seeds, "How many", "N" },
                { "first", 0, 0, G_OPTION_ARG_INT64, &first, "The first one", "SEED" },
                { "limit-sec",
                  0,
                  0,
                  G_OPTION_ARG_INT64,
                  &limit_sec,
                  "Begin no other one after so long",
                  "SECONDS" },
                { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "This one only", "SEED" },
                { "trace", 0, 0, G_OPTION_ARG_NONE, &trace, "Tell everything", NULL },
                { "break", 0, 0, G_OPTION_ARG_INT, &broken, "A fault to build in", "NUMBER" },
                { NULL, 0, 0, 0, NULL, NULL, NULL },
        };
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        uint64_t n_delivered = 0;
        unsigned n_failed = 0;

        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, NULL))
                return 2;
        gcs_break = (GcsBreak) broken;
        if (seed >= 0) {
                first = seed;
                n_seeds = 1;
        }

        end = limit_sec > 0 ? g_get_monotonic_time() + limit_sec * G_USEC_PER_SEC : G_MAXINT64;
        for (gint64 i = first; i < first + n_seeds && g_get_monotonic_time() < end; i++) {
                n++;
                g_autoptr(GString) text = trace ? g_string_new(NULL) : NULL;
                uint64_t story, delivered;
                g_autofree char *failure = gcs_swarm_run((uint64_t) i, text, NULL, &story, &delivered);

                n_delivered += delivered;
                if (text)
                        (void) fputs(text->str, stdout);
                if (failure) {
                        n_failed++;
                        printf("seed %" PRIi64 ": %s\n    sim-gcs --seed=%" PRIi64 " --trace\n",
                               i,
                               failure,
                               i);
                }
        }
        printf("%" PRIi64 " seeds, %u failed, %" PRIu64 " deliveries\n", n, n_failed, n_delivered);
        return n_failed > 0;
}
