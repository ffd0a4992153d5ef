/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* sim [--seeds A..B] [--nodes A..B] [--jobs N]   runs the swarm: clusters of both cores, a random life each
 *     [--only-membership]                         without groups on top
 *     [--faults KIND=RATE,...]                    these kinds of faults, in place of each seed's own
 *     [--faults-sec S]                            so long, in place of 5 to 30 s of each seed's own
 *     [--limit-sec S]                             begins no more seeds after so long
 *     [--trace]                                   tells everything of the first seed
 *     [--fault NAME]                              with a broken core
 * sim --broken [--jobs N]                         each broken core must be caught
 *
 * A failure prints the seed, the command that repeats it, and the trace. */

#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>

#include "basic/parse.h"
#include "basic/time-util.h"
#include "sim/broken.h"

static bool parse_range(const char *text, uint64_t *ret_low, uint64_t *ret_high) {
        return sscanf(text, "%" SCNu64 "..%" SCNu64, ret_low, ret_high) == 2 && *ret_low <= *ret_high;
}

static bool parse_arguments(int argc, char *argv[], Run *run, const char **ret_fault, bool *ret_broken) {
        static const struct option long_options[] = {
                { "seeds", required_argument, NULL, 's' },
                { "nodes", required_argument, NULL, 'n' },
                { "jobs", required_argument, NULL, 'j' },
                { "only-membership", no_argument, NULL, 'm' },
                { "faults", required_argument, NULL, 'F' },
                { "fault", required_argument, NULL, 'f' },
                { "broken", no_argument, NULL, 'b' },
                { "trace", no_argument, NULL, 't' },
                { "limit-sec", required_argument, NULL, 'l' },
                { "faults-sec", required_argument, NULL, 'S' },
                { 0 },
        };
        static unsigned weight[_FAULT_MAX];
        uint64_t low, high, number;
        int c;

        while ((c = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
                switch (c) {
                case 's':
                        if (!parse_range(optarg, &run->first, &run->last))
                                return false;
                        break;
                case 'n':
                        if (!parse_range(optarg, &low, &high) || low < 1 || high > NODE_ID_MAX)
                                return false;
                        run->options.nodes_min = (unsigned) low;
                        run->options.nodes_max = (unsigned) high;
                        break;
                case 'j':
                        run->n_jobs = (unsigned) strtoul(optarg, NULL, 10);
                        if (run->n_jobs < 1 || run->n_jobs > RUNNER_JOBS_MAX)
                                return false;
                        break;
                case 'm':
                        run->options.only_membership = true;
                        break;
                case 'F':
                        if (!faults_parse(optarg, weight))
                                return false;
                        run->options.weight = weight;
                        break;
                case 'S':
                        if (parse_u64(optarg, 1, 7 * 24 * UINT64_C(3600), &number) < 0)
                                return false;
                        run->options.faults_usec = number * USEC_PER_SEC;
                        break;
                case 'f':
                        *ret_fault = optarg;
                        break;
                case 'b':
                        *ret_broken = true;
                        break;
                case 't':
                        run->options.trace = true;
                        break;
                case 'l':
                        run->limit_sec = strtod(optarg, NULL);
                        break;
                default:
                        return false;
                }
        return optind == argc;
}

/* What else a command must say to repeat a seed. */
static char *arguments_kept(int argc, char *argv[]) {
        static char text[1024];
        size_t n = 0;

        for (int i = 1; i < argc; i++) {
                bool valued = streq(argv[i], "--faults") || streq(argv[i], "--fault") ||
                              streq(argv[i], "--faults-sec");

                if (!valued && !streq(argv[i], "--only-membership"))
                        continue;
                n += (size_t) snprintf(
                                text + n,
                                sizeof(text) - n,
                                " %s%s%s",
                                argv[i],
                                valued ? " " : "",
                                valued && i + 1 < argc ? argv[i + 1] : "");
                if (n >= sizeof(text))
                        break;
        }
        return text;
}

static int usage(const char *name) {
        (void) fprintf(stderr,
                       "usage: %s [--seeds A..B] [--nodes A..B] [--jobs N] [--only-membership] "
                       "[--faults KIND=RATE,...] [--faults-sec S] [--limit-sec S] [--fault NAME] [--trace]\n"
                       "       %s --broken [--jobs N]\n",
                       name,
                       name);
        return EXIT_FAILURE;
}

int main(int argc, char *argv[]) {
        Run run = {
                .seed = swarm_run,
                .options = { .nodes_min = 1, .nodes_max = 8 },
                .first = 1,
                .last = 100,
                .n_jobs = 1,
        };
        const char *fault = NULL;
        bool broken = false;
        Totals t = { 0 };
        char more[1024];

        /* A core's large tables come from the kernel, zeroed where they are touched: most of them never are.
         */
        (void) mallopt(M_MMAP_THRESHOLD, 128 * 1024);

        (void) snprintf(more, sizeof(more), "%s", arguments_kept(argc, argv));
        run.more = more;
        if (!parse_arguments(argc, argv, &run, &fault, &broken))
                return usage(argv[0]);
        if (broken)
                return broken_cores_run(run.n_jobs) ? EXIT_SUCCESS : EXIT_FAILURE;
        if (fault) {
                const BrokenCore *b = broken_core_find(fault);

                if (!b)
                        return usage(argv[0]);
                broken_core_prepare(b, &run);
        }
        if (run.options.trace)
                return run_traced(&run, run.first, WORLD_TRACE_LINES) ? EXIT_SUCCESS : EXIT_FAILURE;
        /* Large clusters take seconds each. */
        run.batch = run.options.nodes_max > 16 ? 1 : 20;
        run_all(&run, &t);
        print_totals(&t);
        return t.n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
