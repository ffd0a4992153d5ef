/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/runner.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define REPORTS_MAX 10U
#define TRACE_LINES 120U

typedef struct Job {
        pid_t pid;
        int fd;              /* results */
        int said_fd;         /* what it wrote to stderr */
        uint64_t next, last; /* seeds */
} Job;

static double seconds(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

/* ---- one process ---- */

_Noreturn static void run_batch(const Run *run, uint64_t first, uint64_t last, int fd) {
        for (uint64_t seed = first; seed <= last; seed++) {
                SwarmResult r;

                run->seed(&run->options, seed, &r);
                if (write(fd, &r, sizeof(r)) != (ssize_t) sizeof(r))
                        _exit(2);
                if (r.failed && run->stop_at_first)
                        break;
        }
        _exit(0);
}

static void job_start(Job *j, const Run *run, uint64_t first, uint64_t last) {
        int fds[2];

        j->said_fd = memfd_create("said", MFD_CLOEXEC);
        if (pipe(fds) < 0 || j->said_fd < 0)
                abort();
        (void) fflush(NULL);
        j->next = first;
        j->last = last;
        j->pid = fork();
        if (j->pid < 0)
                abort();
        if (j->pid == 0) {
                (void) close(fds[0]);
                if (dup2(j->said_fd, STDERR_FILENO) < 0)
                        abort();
                run_batch(run, first, last, fds[1]);
        }
        (void) close(fds[1]);
        j->fd = fds[0];
}

/* ---- what ended a process ---- */

/* "sim: ../src/cms/view.c:72: cms_check: Assertion `...' failed." */
static void name_assertion(const char *said, SwarmResult *r) {
        const char *end = strstr(said, ": Assertion `"), *begin = end;

        if (!end)
                return;
        while (begin > said && begin[-1] != ' ')
                begin--;
        (void) snprintf(r->check, sizeof(r->check), "%.*s", (int) (end - begin), begin);
        (void) snprintf(r->failure, sizeof(r->failure), "an assertion of the core: %.400s", begin);
        r->failure[strcspn(r->failure, "\n")] = '\0';
}

static void describe_death(const Job *j, int status, SwarmResult *r) {
        char said[1024];
        ssize_t n = pread(j->said_fd, said, sizeof(said) - 1, 0);

        (void) snprintf(r->check, sizeof(r->check), "signal %d", WTERMSIG(status));
        (void) snprintf(r->failure, sizeof(r->failure), "killed by signal %d", WTERMSIG(status));
        if (n <= 0)
                return;
        said[n] = '\0';
        name_assertion(said, r);
}

/* ---- sums ---- */

static void add_counts(WorldCounts *sum, const WorldCounts *c) {
        sum->n_datagrams += c->n_datagrams;
        sum->n_lost += c->n_lost;
        sum->n_corrupted += c->n_corrupted;
        sum->n_duplicated += c->n_duplicated;
        sum->n_late += c->n_late;
        sum->n_cut += c->n_cut;
        sum->n_too_long += c->n_too_long;
        sum->n_missed += c->n_missed;
        sum->n_steps += c->n_steps;
        sum->n_crashes += c->n_crashes;
        sum->n_restarts += c->n_restarts;
        sum->n_cuts += c->n_cuts;
        sum->n_writes += c->n_writes;
        sum->n_write_failures += c->n_write_failures;
        sum->n_torn += c->n_torn;
}

static void report(const Run *run, const SwarmResult *r) {
        printf("seed %" PRIu64 " failed: %s: %s\n", r->seed, r->check, r->failure);
        printf("repeat: %s --seeds %" PRIu64 "..%" PRIu64 " --nodes %u..%u%s --trace\n",
               program_invocation_name,
               r->seed,
               r->seed,
               run->options.nodes_min,
               run->options.nodes_max,
               run->more ? run->more : "");
}

static void take(Totals *t, const Run *run, const SwarmResult *r) {
        t->n_seeds++;
        t->simulated_usec += r->simulated_usec;
        t->n_memberships += r->n_memberships;
        t->n_fenced += r->n_fenced;
        t->n_deliveries += r->n_deliveries;
        t->longest_calm_usec = MAX(t->longest_calm_usec, r->calm_usec);
        if (r->failure_usec > 0)
                t->longest_calm_failures = MAX(
                                t->longest_calm_failures, (double) r->calm_usec / (double) r->failure_usec);
        for (FaultKind i = 0; i < _FAULT_MAX; i++)
                t->n_faults[i] += r->n_faults[i];
        add_counts(&t->counts, &r->counts);
        if (!r->failed)
                return;
        if (t->n_failed++ == 0 || r->seed < t->first_failed.seed)
                t->first_failed = *r;
        if (t->n_failed <= REPORTS_MAX && !run->options.quiet)
                report(run, r);
}

/* ---- all of them ---- */

/* Reads one result; at the end of the batch, or when the process died, goes on with what is left of it. */
static bool job_run(Job *j, const Run *run, Totals *t) {
        SwarmResult r;
        size_t n = 0;
        ssize_t k;
        int status;

        while (n < sizeof(r) && (k = read(j->fd, (char *) &r + n, sizeof(r) - n)) > 0)
                n += (size_t) k;
        if (n == sizeof(r)) {
                take(t, run, &r);
                j->next = r.failed && run->stop_at_first ? j->last + 1 : r.seed + 1;
                return true;
        }
        (void) close(j->fd);
        (void) waitpid(j->pid, &status, 0);
        if (j->next <= j->last) {
                r = (SwarmResult){ .seed = j->next, .failed = true };
                describe_death(j, status, &r);
                take(t, run, &r);
        }
        (void) close(j->said_fd);
        if (j->next >= j->last || run->stop_at_first)
                return false;
        job_start(j, run, j->next + 1, j->last);
        return true;
}

void run_all(const Run *run, Totals *ret) {
        Job jobs[RUNNER_JOBS_MAX] = { 0 };
        uint64_t next = run->first;
        double begin = seconds();
        bool any = true;

        while (any) {
                any = false;
                for (unsigned i = 0; i < run->n_jobs; i++) {
                        bool enough = (run->stop_at_first && ret->n_failed > 0) ||
                                      (run->limit_sec > 0 && seconds() - begin > run->limit_sec);

                        if (jobs[i].pid == 0 && next <= run->last && !enough) {
                                uint64_t end = MIN(next + run->batch - 1, run->last);

                                job_start(&jobs[i], run, next, end);
                                next = end + 1;
                        }
                        if (jobs[i].pid == 0)
                                continue;
                        any = true;
                        if (!job_run(&jobs[i], run, ret))
                                jobs[i].pid = 0;
                }
        }
        ret->took_sec = seconds() - begin;
        if (ret->n_failed > 0 && !run->options.quiet) {
                printf("the last lines of seed %" PRIu64 ":\n", ret->first_failed.seed);
                (void) run_traced(run, ret->first_failed.seed, TRACE_LINES);
        }
}

/* ---- one seed, told ---- */

static size_t n_lines_wanted;

static void on_abort(int signal_number) {
        swarm_print_trace(n_lines_wanted);
        (void) fflush(stdout);
}

bool run_traced(const Run *run, uint64_t seed, size_t n_lines) {
        SwarmOptions options = run->options;
        int status;
        pid_t pid;

        options.trace = true;
        options.trace_lines = n_lines;
        n_lines_wanted = n_lines;
        (void) fflush(NULL);
        pid = fork();
        if (pid < 0)
                abort();
        if (pid == 0) {
                SwarmResult r;

                (void) signal(SIGABRT, on_abort);
                run->seed(&options, seed, &r);
                printf("seed %" PRIu64 ": %s\n", seed, r.failed ? r.failure : "passed");
                (void) fflush(stdout);
                _exit(r.failed ? EXIT_FAILURE : EXIT_SUCCESS);
        }
        (void) waitpid(pid, &status, 0);
        return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

/* ---- the report ---- */

static void print_faults(const Totals *t) {
        const WorldCounts *c = &t->counts;

        printf("faults injected by kind:\n");
        for (FaultKind i = 0; i < _FAULT_MAX; i++)
                printf("  %-16s %10" PRIu64 "%s",
                       fault_kind_to_string(i),
                       t->n_faults[i],
                       i % 3 == 2 ? "\n" : "");
        printf("%s  of %" PRIu64 " datagrams: lost %" PRIu64 ", corrupted %" PRIu64 ", doubled %" PRIu64
               ", late %" PRIu64 ", cut %" PRIu64 ", too long for their way %" PRIu64 ", not taken %" PRIu64
               "\n",
               _FAULT_MAX % 3 == 0 ? "" : "\n",
               c->n_datagrams,
               c->n_lost,
               c->n_corrupted,
               c->n_duplicated,
               c->n_late,
               c->n_cut,
               c->n_too_long,
               c->n_missed);
        printf("  of %" PRIu64 " writes: failed %" PRIu64 ", torn %" PRIu64 "\n",
               c->n_writes,
               c->n_write_failures,
               c->n_torn);
        printf("  deaths %" PRIu64 ", starts %" PRIu64 ", fenced %" PRIu64 ", cuts %" PRIu64 "\n",
               c->n_crashes,
               c->n_restarts,
               t->n_fenced,
               c->n_cuts);
}

void print_totals(const Totals *t) {
        printf("%" PRIu64 " seeds, %" PRIu64 " failed, %.1f simulated hours in %.1f s (%.0f cluster seconds "
               "a second, %.1f seeds a second)\n",
               t->n_seeds,
               t->n_failed,
               (double) t->simulated_usec / 3.6e9,
               t->took_sec,
               (double) t->simulated_usec / 1e6 / t->took_sec,
               (double) t->n_seeds / t->took_sec);
        printf("%" PRIu64 " steps, %" PRIu64 " memberships, %" PRIu64 " deliveries to clients\n",
               t->counts.n_steps,
               t->n_memberships,
               t->n_deliveries);
        printf("longest way back to peace %.2f s, or %.1f FailureSec; the bound is %u FailureSec\n",
               (double) t->longest_calm_usec / 1e6,
               t->longest_calm_failures,
               SWARM_BOUND_FAILURES);
        print_faults(t);
}
