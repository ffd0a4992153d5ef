/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* sim --seeds A..B --nodes A..B [--jobs N] [--fault NAME] [--trace]
 *
 * Runs the swarm, each batch of seeds in a process of its own, so that an assertion in a core is a finding
 * like any other. A failure prints the seed, the command that repeats it, and the trace. */

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "sim/swarm.h"

#define BATCH 20U
#define JOBS_MAX 64U

typedef struct Job {
        pid_t pid;
        int fd;
        uint64_t next, last; /* seeds */
} Job;

typedef struct Totals {
        uint64_t n_seeds, n_failed, simulated_usec, n_memberships, n_fenced, longest_calm_usec;
        uint64_t first_failed;
        WorldCounts counts;
} Totals;

static void run_batch(const SwarmOptions *options, uint64_t first, uint64_t last, int fd) {
        for (uint64_t seed = first; seed <= last; seed++) {
                SwarmResult r;

                swarm_run(options, seed, &r);
                if (write(fd, &r, sizeof(r)) != (ssize_t) sizeof(r))
                        _exit(2);
        }
        _exit(0);
}

static void job_start(Job *j, const SwarmOptions *options, uint64_t first, uint64_t last) {
        int fds[2];

        if (pipe(fds) < 0)
                abort();
        (void) fflush(NULL);
        j->next = first;
        j->last = last;
        j->pid = fork();
        if (j->pid < 0)
                abort();
        if (j->pid == 0) {
                (void) close(fds[0]);
                run_batch(options, first, last, fds[1]);
        }
        (void) close(fds[1]);
        j->fd = fds[0];
}

static void add_counts(WorldCounts *sum, const WorldCounts *c) {
        sum->n_datagrams += c->n_datagrams;
        sum->n_lost += c->n_lost;
        sum->n_duplicated += c->n_duplicated;
        sum->n_cut += c->n_cut;
        sum->n_steps += c->n_steps;
        sum->n_crashes += c->n_crashes;
        sum->n_restarts += c->n_restarts;
        sum->n_pauses += c->n_pauses;
        sum->n_cuts += c->n_cuts;
        sum->n_writes += c->n_writes;
        sum->n_write_failures += c->n_write_failures;
}

static void report_failure(const SwarmOptions *options, const char *name, uint64_t seed, const char *text) {
        printf("seed %" PRIu64 " failed: %s\n", seed, text);
        printf("repeat: %s --seeds %" PRIu64 "..%" PRIu64 " --nodes %u..%u%s%s --trace\n",
               program_invocation_name,
               seed,
               seed,
               options->nodes_min,
               options->nodes_max,
               name ? " --fault " : "",
               name ? name : "");
}

static void take(Totals *t, const SwarmOptions *options, const char *name, const SwarmResult *r) {
        t->n_seeds++;
        t->simulated_usec += r->simulated_usec;
        t->n_memberships += r->n_memberships;
        t->n_fenced += r->n_fenced;
        t->longest_calm_usec = MAX(t->longest_calm_usec, r->longest_calm_usec);
        add_counts(&t->counts, &r->counts);
        if (!r->failed)
                return;
        if (t->n_failed++ == 0)
                t->first_failed = r->seed;
        if (t->n_failed <= 10 && !options->quiet)
                report_failure(options, name, r->seed, r->failure);
}

/* Reads one result; at the end of the batch, or when the process died, goes on with what is left of it. */
static bool job_run(Job *j, Totals *t, const SwarmOptions *options, const char *name) {
        SwarmResult r;
        size_t n = 0;
        ssize_t k;
        int status;

        while (n < sizeof(r) && (k = read(j->fd, (char *) &r + n, sizeof(r) - n)) > 0)
                n += (size_t) k;
        if (n == sizeof(r)) {
                take(t, options, name, &r);
                j->next = r.seed + 1;
                return true;
        }
        (void) close(j->fd);
        (void) waitpid(j->pid, &status, 0);
        if (j->next > j->last)
                return false;
        r = (SwarmResult){ .seed = j->next, .failed = true };
        (void) snprintf(r.failure,
                        sizeof(r.failure),
                        "an assertion of the core (signal %d)",
                        WTERMSIG(status));
        take(t, options, name, &r);
        if (j->next == j->last)
                return false;
        job_start(j, options, j->next + 1, j->last);
        return true;
}

static double seconds(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

static void
run_all(const SwarmOptions *options,
        const char *name,
        uint64_t first,
        uint64_t last,
        unsigned n_jobs,
        bool stop_at_first,
        double limit_sec,
        Totals *t) {
        Job jobs[JOBS_MAX] = { 0 };
        uint64_t next = first;
        double begin = seconds();
        bool any = true;

        while (any) {
                any = false;
                for (unsigned i = 0; i < n_jobs; i++) {
                        bool enough = (stop_at_first && t->n_failed > 0) ||
                                      (limit_sec > 0 && seconds() - begin > limit_sec);

                        if (jobs[i].pid == 0 && next <= last && !enough) {
                                /* Large clusters take seconds each. */
                                uint64_t batch = options->nodes_max > 16 ? 1 : BATCH;
                                uint64_t end = MIN(next + batch - 1, last);

                                job_start(&jobs[i], options, next, end);
                                next = end + 1;
                        }
                        if (jobs[i].pid == 0)
                                continue;
                        any = true;
                        if (!job_run(&jobs[i], t, options, name))
                                jobs[i].pid = 0;
                }
        }
}

static void print_totals(const Totals *t, double took) {
        const WorldCounts *c = &t->counts;

        printf("%" PRIu64 " seeds, %" PRIu64
               " failed, %.1f simulated hours in %.1f s (%.0f cluster seconds a second)\n",
               t->n_seeds,
               t->n_failed,
               (double) t->simulated_usec / 3.6e9,
               took,
               (double) t->simulated_usec / 1e6 / took);
        printf("%" PRIu64 " memberships, longest way back to peace %.2f s\n",
               t->n_memberships,
               (double) t->longest_calm_usec / 1e6);
        printf("steps %" PRIu64 ", datagrams %" PRIu64 ": lost %" PRIu64 ", doubled %" PRIu64
               ", cut %" PRIu64 "\n",
               c->n_steps,
               c->n_datagrams,
               c->n_lost,
               c->n_duplicated,
               c->n_cut);
        printf("crashes %" PRIu64 ", starts %" PRIu64 ", fenced %" PRIu64 ", pauses %" PRIu64
               ", cuts %" PRIu64 ", writes %" PRIu64 ", failed %" PRIu64 "\n",
               c->n_crashes,
               c->n_restarts,
               t->n_fenced,
               c->n_pauses,
               c->n_cuts,
               c->n_writes,
               c->n_write_failures);
}

static bool parse_range(const char *text, uint64_t *ret_low, uint64_t *ret_high) {
        return sscanf(text, "%" SCNu64 "..%" SCNu64, ret_low, ret_high) == 2 && *ret_low <= *ret_high;
}

#ifdef CMS_BROKEN_CORES
static unsigned fault_from_name(const char *name) {
        for (unsigned f = 0; f < _CMS_FAULT_MAX; f++)
                if (streq(cms_fault_to_string((CmsFault) f), name))
                        return f;
        return _CMS_FAULT_MAX;
}

/* Each deliberate fault must be caught; prints after how many seeds, and by which check. */
static int run_broken(SwarmOptions options, uint64_t first, uint64_t last, unsigned n_jobs) {
        unsigned n_missed = 0, n_caught = 0;

        options.quiet = true;
        (void) freopen("/dev/null", "w", stderr); /* assertions */

        for (unsigned f = CMS_FAULT_NONE + 1; f < _CMS_FAULT_MAX; f++) {
                Totals t = { 0 };

                options.fault = f;
                run_all(&options, cms_fault_to_string((CmsFault) f), first, last, n_jobs, true, 0, &t);
                if (t.n_failed > 0) {
                        n_caught++;
                        printf("caught %-28s after %" PRIu64 " seeds\n",
                               cms_fault_to_string((CmsFault) f),
                               t.first_failed - first + 1);
                } else {
                        n_missed++;
                        printf("MISSED %-28s in %" PRIu64 " seeds\n",
                               cms_fault_to_string((CmsFault) f),
                               t.n_seeds);
                }
        }
        printf("%u broken cores caught, %u missed\n", n_caught, n_missed);
        return n_missed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
#endif

int main(int argc, char *argv[]) {
        static const struct option long_options[] = {
                { "seeds", required_argument, NULL, 's' },     { "nodes", required_argument, NULL, 'n' },
                { "jobs", required_argument, NULL, 'j' },      { "fault", required_argument, NULL, 'f' },
                { "broken", no_argument, NULL, 'b' },          { "trace", no_argument, NULL, 't' },
                { "limit-sec", required_argument, NULL, 'l' }, { 0 },
        };
        SwarmOptions options = { .nodes_min = 1, .nodes_max = 8 };
        uint64_t first = 1, last = 100, low, high;
        const char *fault = NULL;
        unsigned n_jobs = 1;
        double begin = seconds(), limit_sec = 0;
        bool broken = false;
        Totals t = { 0 };
        int c;

        while ((c = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
                switch (c) {
                case 's':
                        if (!parse_range(optarg, &first, &last))
                                goto usage;
                        break;
                case 'n':
                        if (!parse_range(optarg, &low, &high) || low < 1 || high > NODE_ID_MAX)
                                goto usage;
                        options.nodes_min = (unsigned) low;
                        options.nodes_max = (unsigned) high;
                        break;
                case 'j':
                        n_jobs = (unsigned) strtoul(optarg, NULL, 10);
                        if (n_jobs < 1 || n_jobs > JOBS_MAX)
                                goto usage;
                        break;
                case 'f':
                        fault = optarg;
                        break;
                case 'b':
                        broken = true;
                        break;
                case 't':
                        options.trace = true;
                        break;
                case 'l':
                        limit_sec = strtod(optarg, NULL);
                        break;
                default:
                        goto usage;
                }
#ifdef CMS_BROKEN_CORES
        if (fault && (options.fault = fault_from_name(fault)) == _CMS_FAULT_MAX)
                goto usage;
        if (broken)
                return run_broken(options, first, last, n_jobs);
#else
        if (fault || broken)
                goto usage;
#endif
        if (options.trace) {
                SwarmResult r;

                swarm_run(&options, first, &r);
                printf("seed %" PRIu64 ": %s\n", first, r.failed ? r.failure : "passed");
                return r.failed ? EXIT_FAILURE : EXIT_SUCCESS;
        }
        run_all(&options, fault, first, last, n_jobs, false, limit_sec, &t);
        print_totals(&t, seconds() - begin);
        return t.n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;

usage:
        (void) fprintf(stderr,
                       "usage: %s [--seeds A..B] [--nodes A..B] [--jobs N] [--limit-sec S] [--fault NAME] "
                       "[--broken] "
                       "[--trace]\n",
                       argv[0]);
        return EXIT_FAILURE;
}
