/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One member of a group that is measured: sends what it is told to and checks all that is delivered.
 *
 *     group-load-... NODE MEMBERS [PATH]
 *
 * It prints "ready" once all members are there. Then each line of input is a task:
 *
 *     RUN MODE SIZE SENDERS USEC INTERVAL_NSEC
 *
 * to send messages of this size for so long: without pause (flood), each when the one before is back
 * (single), or each at its time (paced). The last one says so. A member that has nothing to send is told
 * nothing: messages say what run they are of, and how many senders it has. When the last one of all of these
 * is delivered, each member prints a line of what it saw. */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#include "group.h"

#define NODES_MAX 64U
#define SIZE_MAX_BYTES (1024U * 1024U)
#define NSEC_PER_SEC UINT64_C(1000000000)
#define SENDS_OF_A_TURN 64U
#define LATENCIES_MAX (1024U * 1024U)
#define TEXT_MAX 160U
#define MIX UINT64_C(0x9e3779b97f4a7c15)
/* A body begins somewhere in so many words more than the longest one has: each differs from its neighbours.
 */
#define SHIFTS 61U

/* What a message begins with. */
typedef struct Head {
        uint32_t run;
        uint8_t sender;
        uint8_t n_senders;
        uint8_t last;
        uint8_t unused;
        uint64_t number;    /* of this sender in this run, from 1 */
        uint64_t time_nsec; /* when it was sent, or, paced, should have been */
        uint64_t sum;       /* of all, with 0 in this place */
} Head;

_Static_assert(sizeof(Head) == 32, "no padding");

typedef enum Mode {
        MODE_FLOOD,
        MODE_SINGLE,
        MODE_PACED,
} Mode;

static const char *const mode_names[] = { "flood", "single", "paced" };

typedef struct Task {
        bool active;
        bool made; /* the next message stands in Load.out, */
        bool refused;
        Mode mode;
        uint32_t run, n_senders;
        size_t size_bytes;
        uint64_t begin_nsec, end_nsec, interval_nsec;
        uint64_t n_sent;
} Task;

/* What was delivered of one run. */
typedef struct Run {
        uint32_t id; /* 0: none yet */
        unsigned n_ended;
        uint64_t n, own;
        uint64_t numbers[NODES_MAX + 1];
        uint64_t order; /* of everything, in its order */
        uint64_t first_nsec, last_nsec;
        size_t n_latencies;
        char wrong[TEXT_MAX];
} Run;

typedef struct Load {
        uint32_t node;
        unsigned n_members;
        bool ready;
        bool more;    /* than was taken of what is delivered */
        Group *group; /* owned */
        Task task;
        Run run;
        uint64_t *pool;          /* owned: what bodies are taken from */
        uint8_t *out;            /* owned */
        uint32_t *latency_nsecs; /* owned */
} Load;

static uint64_t now_nsec(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * NSEC_PER_SEC + (uint64_t) t.tv_nsec;
}

/* ---- Contents ---- */

/* In four lanes, so that it costs little beside what is measured. */
static uint64_t sum_of(uint64_t start, const uint8_t *data, size_t size_bytes) {
        uint64_t lane[4] = { start, start + 1, start + 2, start + 3 }, word;

        for (size_t i = 0; i < size_bytes / sizeof(word); i++) {
                memcpy(&word, data + i * sizeof(word), sizeof(word));
                lane[i % 4] = (lane[i % 4] ^ word) * MIX;
        }
        for (unsigned i = 1; i < 4; i++)
                lane[0] = ((lane[0] ^ lane[0] >> 29) + lane[i]) * MIX;
        return lane[0];
}

static uint64_t sum_of_message(const Head *head, const uint8_t *body, size_t body_bytes) {
        Head h = *head;

        h.sum = 0;
        return sum_of(sum_of(1, (const uint8_t *) &h, sizeof(h)), body, body_bytes);
}

static void fill_pool(Load *l) {
        uint64_t x = 1;

        for (size_t i = 0; i < SIZE_MAX_BYTES / sizeof(uint64_t) + SHIFTS; i++) {
                x = (x ^ x >> 31) * MIX + 1;
                l->pool[i] = x;
        }
}

static void make_message(Load *l, uint64_t time_nsec, bool last) {
        Task *t = &l->task;
        Head head = {
                .run = t->run,
                .sender = (uint8_t) l->node,
                .n_senders = (uint8_t) t->n_senders,
                .last = last,
                .number = t->n_sent + 1,
                .time_nsec = time_nsec,
        };
        size_t body_bytes = t->size_bytes - sizeof(head);

        memcpy(l->out + sizeof(head), l->pool + head.number % SHIFTS, body_bytes);
        head.sum = sum_of_message(&head, l->out + sizeof(head), body_bytes);
        memcpy(l->out, &head, sizeof(head));
        t->made = true;
}

/* ---- Received ---- */

static void set_wrong(Run *r, const char *what, const Head *h) {
        if (r->wrong[0] == '\0')
                (void) snprintf(r->wrong,
                                sizeof(r->wrong),
                                "%s: %u, number %" PRIu64,
                                what,
                                h->sender,
                                h->number);
}

static int compare(const void *a, const void *b) {
        return CMP(*(const uint32_t *) a, *(const uint32_t *) b);
}

/* A part of 1000 of the latencies is no longer than this. */
static double latency_usec(const Load *l, unsigned per_mille) {
        size_t n = l->run.n_latencies;

        return n == 0 ? 0 : l->latency_nsecs[(n - 1) * per_mille / 1000] / 1000.0;
}

static void report(Load *l) {
        const Run *r = &l->run;

        qsort(l->latency_nsecs, r->n_latencies, sizeof(l->latency_nsecs[0]), compare);
        (void) printf("{\"run\": %u, \"n\": %" PRIu64 ", \"order\": \"%016" PRIx64 "\", \"first\": %" PRIu64
                      ", \"last\": %" PRIu64 ", \"own\": %" PRIu64
                      ", \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"wrong\": \"%s\"}\n",
                      r->id,
                      r->n,
                      r->order,
                      r->first_nsec,
                      r->last_nsec,
                      r->own,
                      latency_usec(l, 500),
                      latency_usec(l, 990),
                      latency_usec(l, 999),
                      r->wrong);
        (void) fflush(stdout);
}

static void check(Run *r, uint32_t from_node, const Head *h, const uint8_t *body, size_t body_bytes) {
        if (h->sender != from_node)
                set_wrong(r, "not from whom it says", h);
        if (h->run != r->id)
                set_wrong(r, "of another run", h);
        if (h->number != r->numbers[from_node] + 1)
                set_wrong(r, "lost, repeated or out of order", h);
        if (sum_of_message(h, body, body_bytes) != h->sum)
                set_wrong(r, "not what was sent", h);
}

static void on_message(void *userdata, uint32_t from_node, const void *data, size_t size_bytes) {
        Load *l = userdata;
        Run *r = &l->run;
        uint64_t now = now_nsec();
        Head h = { 0 };

        if (size_bytes >= sizeof(h))
                memcpy(&h, data, sizeof(h));
        if (h.run > r->id)
                *r = (Run){ .id = h.run, .first_nsec = h.time_nsec };
        if (from_node > NODES_MAX || size_bytes < sizeof(h)) {
                set_wrong(r, "not a message of ours", &h);
                return;
        }
        check(r, from_node, &h, (const uint8_t *) data + sizeof(h), size_bytes - sizeof(h));

        r->n++;
        r->numbers[from_node] = h.number;
        r->order = (r->order ^ h.sum) * MIX;
        r->first_nsec = MIN(r->first_nsec, h.time_nsec);
        r->last_nsec = now;
        if (from_node == l->node) {
                r->own++;
                if (r->n_latencies < LATENCIES_MAX)
                        l->latency_nsecs[r->n_latencies++] =
                                        (uint32_t) MIN(now - MIN(h.time_nsec, now), (uint64_t) UINT32_MAX);
        }
        if (h.last && ++r->n_ended == h.n_senders)
                report(l);
}

/* ---- Sent ---- */

static uint64_t due_nsec(const Task *t) {
        return t->begin_nsec + t->n_sent * t->interval_nsec;
}

/* Is it the next one's turn? */
static bool is_due(const Load *l, uint64_t now) {
        const Task *t = &l->task;

        switch (t->mode) {
        case MODE_FLOOD:
                return true;
        case MODE_SINGLE:
                return t->n_sent == 0 || (l->run.id == t->run && l->run.own == t->n_sent);
        case MODE_PACED:
                return now >= due_nsec(t);
        }
        return false;
}

static int send_some(Load *l) {
        Task *t = &l->task;

        t->refused = false;
        for (unsigned n = 0; n < SENDS_OF_A_TURN && t->active; n++) {
                uint64_t now = now_nsec();
                bool last = now >= t->end_nsec;
                int r;

                if (!t->made) {
                        if (!is_due(l, now))
                                return 0;
                        make_message(l, t->mode == MODE_PACED ? due_nsec(t) : now, last);
                }
                r = group_send(l->group, l->out, t->size_bytes);
                if (r < 0)
                        return r;
                if (r == 0) {
                        t->refused = true;
                        return 0;
                }
                t->made = false;
                t->n_sent++;
                t->active = !((const Head *) l->out)->last;
        }
        return 0;
}

static int take_task(Load *l) {
        Task t = { .active = true };
        char line[256], mode[16];
        uint64_t usec;
        int r;

        if (!fgets(line, sizeof(line), stdin))
                return 1;
        r = sscanf(line,
                   "%u %15s %zu %u %" SCNu64 " %" SCNu64,
                   &t.run,
                   mode,
                   &t.size_bytes,
                   &t.n_senders,
                   &usec,
                   &t.interval_nsec);
        if (r != 6 || t.size_bytes < sizeof(Head) || t.size_bytes > SIZE_MAX_BYTES ||
            t.size_bytes % 8 != 0) {
                (void) fprintf(stderr, "not a task: %s", line);
                return -EINVAL;
        }
        for (t.mode = MODE_FLOOD; t.mode < MODE_PACED && !streq(mode, mode_names[t.mode]);)
                t.mode++;
        t.begin_nsec = now_nsec();
        t.end_nsec = t.begin_nsec + usec * 1000;
        l->task = t;
        return 0;
}

/* ---- Time ---- */

/* How long to wait for something to come, at most; -1: for ever. */
static int64_t patience_nsec(Load *l) {
        const Task *t = &l->task;
        uint64_t now = now_nsec();

        if (l->more)
                return 0;
        if (!t->active)
                return -1;
        if (t->refused) {
                int msec = group_retry_msec(l->group);

                return msec < 0 ? -1 : (int64_t) msec * 1000000;
        }
        if (t->made || is_due(l, now))
                return 0;
        return t->mode == MODE_PACED ? (int64_t) (due_nsec(t) - now) : -1;
}

static int turn(Load *l) {
        struct pollfd fds[] = {
                { .fd = group_fd(l->group), .events = group_events(l->group) },
                { .fd = STDIN_FILENO, .events = POLLIN },
        };
        int64_t nsec = patience_nsec(l);
        struct timespec t = { .tv_sec = nsec / (int64_t) NSEC_PER_SEC,
                              .tv_nsec = nsec % (int64_t) NSEC_PER_SEC };
        int r;

        if (ppoll(fds, ELEMENTSOF(fds), nsec < 0 ? NULL : &t, NULL) < 0 && errno != EINTR)
                return -errno;
        if (fds[1].revents != 0) {
                r = take_task(l);
                if (r != 0)
                        return r;
        }
        r = group_dispatch(l->group);
        if (r < 0)
                return r;
        l->more = r > 0;
        if (!l->ready && group_n_members(l->group) == l->n_members) {
                l->ready = true;
                (void) printf("ready\n");
                (void) fflush(stdout);
        }
        if (l->ready && group_n_members(l->group) != l->n_members) {
                (void) fprintf(stderr, "%u members are left\n", group_n_members(l->group));
                return -ENOTCONN;
        }
        return send_some(l);
}

int main(int argc, char *argv[]) {
        struct sched_param priority = { .sched_priority = 1 };
        Load l = { 0 };
        int r;

        if (argc < 3) {
                (void) fprintf(stderr, "%s NODE MEMBERS [PATH]\n", argv[0]);
                return EXIT_FAILURE;
        }
        l.node = (uint32_t) atoi(argv[1]);
        l.n_members = (unsigned) atoi(argv[2]);
        l.pool = malloc(SIZE_MAX_BYTES + SHIFTS * sizeof(uint64_t));
        l.out = malloc(SIZE_MAX_BYTES);
        l.latency_nsecs = malloc(LATENCIES_MAX * sizeof(uint32_t));
        if (!l.pool || !l.out || !l.latency_nsecs)
                return EXIT_FAILURE;
        fill_pool(&l);
        /* What else the machine does is not measured; the daemons go first all the same. */
        (void) sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &priority);

        r = group_join(argc > 3 ? argv[3] : NULL, l.node, on_message, &l, &l.group);
        while (r == 0)
                r = turn(&l);
        if (r < 0)
                (void) fprintf(stderr, "%s: %s\n", argv[0], strerror(-r));
        (void) group_leave(l.group);
        free(l.pool);
        free(l.out);
        free(l.latency_nsecs);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
