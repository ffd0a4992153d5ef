/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The world of the storm: nodes with power, disks, groups that really run or do not, messages on their way,
 * and the log that orders them. */

#include <inttypes.h>
#include <stdio.h>

#include <glib.h>

#include "basic/checksum.h"
#include "basic/prng.h"
#include "basic/time-util.h"
#include "hamgr/engine/engine.h"
#include "hamgr/state/state-internal.h"

#define NODES_MAX 5U
#define GROUPS_MAX 6U

static bool verbose = false;

/* ---- The world ---- */

typedef enum TaskKind {
        TASK_NONE,
        TASK_START,
        TASK_STOP,
        TASK_PROBE,
} TaskKind;

/* What really happens with one group on one node. */
typedef struct Real {
        bool runs;    /* at least some of it */
        bool partial; /* not all of it */
        TaskKind task;
        bool begun;
        uint64_t number;
        uint64_t due_usec;
        uint32_t n_restarts;
} Real;

typedef struct Letter {
        uint64_t due_usec;
        uint64_t instance;
        GBytes *bytes;
} Letter;

typedef struct FenceTask {
        bool active;
        StateBoot boot;
        uint64_t due_usec;
        bool hit;      /* the power is off, only the result is not sent */
        bool canceled; /* too late, perhaps */
} FenceTask;

typedef struct Write {
        uint64_t due_usec;
        uint64_t serial;
        GBytes *record;
        bool prepare;
        StateVersion version;
} Write;

typedef struct SimNode {
        uint32_t id;
        bool power;
        bool cut;
        bool wants_leave; /* drains */
        bool left;        /* said farewell; hagcd is stopped */
        uint64_t boot;
        uint64_t incarnation;
        uint64_t back_usec; /* boots again then */
        uint64_t clock_offset_usec;

        bool manager; /* hamgr runs */
        uint64_t manager_back_usec;
        uint64_t instance;
        bool in_group;
        State *state;
        StateClock clock;
        size_t next_entry; /* in the log */
        size_t last_entry; /* exclusive: a node that was cut off hears nothing beyond */
        bool hello_sent, leaving_sent;
        bool plan_on_its_way;
        uint64_t wakeup_usec;
        StateEffects effects;

        GQueue *letters; /* of Letter */
        GQueue *late;    /* of Letter: sent out of turn */
        GQueue *ghosts;  /* of Letter: not sent by an instance that is gone */
        GQueue *writes;  /* of Write */
        GBytes *disk;
        FenceTask fences[NODES_MAX + 1];
        Real real[GROUPS_MAX];
} SimNode;

typedef struct Entry {
        StateInputType type;
        HaMid mid;
        uint64_t sequence;

        bool quorate;
        StateViewNode nodes[NODES_MAX];
        StateViewMember members[NODES_MAX];
        size_t n_members;
        bool formation;
        GBytes *snapshot; /* of the state after a view, for newcomers */

        StateViewMember sender;
        GBytes *bytes;

        uint64_t hash; /* of the state after it */
} Entry;

typedef struct Sim {
        uint64_t seed;
        Prng prng;
        uint64_t now_usec;
        HaNodes table;
        uint32_t n_nodes;
        SimNode nodes[NODES_MAX];
        GPtrArray *log;   /* of Entry */
        State *reference; /* takes in everything at once */
        StateEffects effects;

        uint64_t epoch, sequence, next_boot, next_incarnation, next_instance, next_request;
        NodeSet members; /* of the quorate membership; empty: none */
        NodeSet farewells;
        uint64_t member_incarnation[NODES_MAX];
        bool storm;
        uint64_t fault_one_in; /* steps */
        uint64_t acked_serial; /* of a record that some caller was told is stored */
        bool lost_decision;
        unsigned n_faults, n_formations;
        uint64_t n_starts;

        GHashTable *asked; /* request -> StateOperator, for look-ups only */
} Sim;

static const char *const group_names[GROUPS_MAX] = { "a", "b", "c", "d", "e", "f" };

typedef enum Verdict {
        VERDICT_GOOD,
        VERDICT_TWO_OWNERS = 3,
        VERDICT_DIVERGED = 4,
        VERDICT_NOT_LIVE = 5,
        VERDICT_UNSOUND = 6,
        VERDICT_LOST_DECISION = 7,
} Verdict;

static void say(const Sim *s, const char *format, ...) _printf_(2, 3);

static void say(const Sim *s, const char *format, ...) {
        va_list ap;

        if (!verbose)
                return;
        printf("# %9.3f ", (double) s->now_usec / 1000.0);
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        printf("\n");
}

static Verdict fail(const Sim *s, Verdict v, const char *format, ...) _printf_(3, 4);

/* The loudest thing here; the storm of this seed ends. */
static Verdict fail(const Sim *s, Verdict v, const char *format, ...) {
        va_list ap;

        printf("# seed %" PRIu64 " at %.3f ms: ", s->seed, (double) s->now_usec / 1000.0);
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        printf("\n# repeat: test-state-storm --seeds %" PRIu64 "..%" PRIu64 " --verbose\n",
               s->seed,
               s->seed);
        return v;
}

static uint64_t draw(Sim *s, uint64_t low, uint64_t high) {
        return prng_between(&s->prng, low, high);
}

static bool chance(Sim *s, uint64_t one_in) {
        return prng_one_in(&s->prng, one_in);
}

static SimNode *node_of(Sim *s, uint32_t id) {
        return s->nodes + id - 1;
}

static uint64_t local_usec(const Sim *s, const SimNode *n) {
        return s->now_usec + n->clock_offset_usec;
}

static int group_index(const char *name) {
        for (unsigned i = 0; i < GROUPS_MAX; i++)
                if (streq(group_names[i], name))
                        return (int) i;
        return -1;
}

/* ---- Configurations ---- */

/* One of a few: groups over the nodes with changing domains and policies. */
static GBytes *make_files(Sim *s, uint64_t variant) {
        HaFile files[GROUPS_MAX + 2];
        size_t n = 0;
        unsigned n_groups = 2 + (unsigned) (variant % (GROUPS_MAX - 1));
        GBytes *b;

        files[n++] = (HaFile){
                .name = g_strdup("nx1.policy"),
                .text = g_strdup_printf(
                                "[Policy]\nFailback=%s\nRestarts=1\nStandbyLoad=%u\nRestartWindowSec=20s\n",
                                variant % 2 ? "never" : "automatic",
                                (unsigned) (variant % 3)),
        };
        files[n++] = (HaFile){
                .name = g_strdup("keep.policy"),
                .text = g_strdup("[Policy]\nFailback=controlled\nOnStopFailure=block\nRestartWindowSec="
                                 "30s\n"),
        };
        for (unsigned i = 0; i < MIN(n_groups, GROUPS_MAX); i++) {
                g_autoptr(GString) t = g_string_new("[Group]\n");
                unsigned first = (i + (unsigned) (variant / 7)) % s->n_nodes;

                g_string_append_printf(
                                t,
                                "Policy=%s\nDomain=",
                                i % 3 == 0   ? "nx1"
                                : i % 3 == 1 ? "keep"
                                             : "active_standby");
                for (unsigned k = 0; k + (i % 3 == 0 ? 1 : 0) < s->n_nodes; k++)
                        g_string_append_printf(t, "n%u ", (first + k) % s->n_nodes + 1);
                if (i % 3 == 0 && s->n_nodes > 1)
                        g_string_append_printf(
                                        t, "\nStandby=n%u", (first + s->n_nodes - 1) % s->n_nodes + 1);
                g_string_append_printf(t, "\n[Unit app]\nUnit=%s.service\n", group_names[i]);
                if (variant % 5 == 4 && i == 0)
                        g_string_append(t, "[Address ip]\nAddress=192.0.2.7/24\nInterface=eth0\n");
                files[n++] = (HaFile){
                        .name = g_strdup_printf("%s.group", group_names[i]),
                        .text = g_strdup(t->str),
                };
        }
        b = ha_files_serialize(files, n);
        for (size_t i = 0; i < n; i++) {
                g_free(files[i].name);
                g_free(files[i].text);
        }
        return b;
}

/* ---- Sending ---- */

static void send_message(Sim *s, SimNode *n, StateMessage *m) {
        Letter *l;

        m->time_usec = state_clock_now(&n->clock, local_usec(s, n));
        l = g_new0(Letter, 1);
        l->bytes = state_message_encode(m);
        l->instance = n->instance;
        assert(l->bytes);
        l->due_usec = s->now_usec + (chance(s, 12) ? draw(s, 0, 400000) : draw(s, 50, 4000));
        g_queue_push_tail(n->letters, l);
        state_message_done(m);
}

static void letter_free(Letter *l) {
        g_bytes_unref(l->bytes);
        g_free(l);
}

static void write_free(Write *w) {
        g_bytes_unref(w->record);
        g_free(w);
}

static void drop_letters(SimNode *n) {
        Letter *l;

        while ((l = g_queue_pop_head(n->letters)))
                g_queue_push_tail(n->ghosts, l);
}

static void drop_late(SimNode *n) {
        Letter *l;

        while ((l = g_queue_pop_head(n->late)))
                letter_free(l);
}

static void drop_writes(SimNode *n) {
        Write *w;

        while ((w = g_queue_pop_head(n->writes)))
                write_free(w);
}

static void report(Sim *s, SimNode *n, unsigned group, StateReportState state, const char *reason) {
        StateMessage m = { .type = STATE_MESSAGE_REPORT };

        if (!n->state || !n->hello_sent)
                return;
        g_strlcpy(m.report.group, group_names[group], sizeof(m.report.group));
        m.report.number = n->real[group].number;
        m.report.state = state;
        m.report.n_restarts = n->real[group].n_restarts;
        state_text_set(m.report.reason, "%s", reason);
        m.report.n_resources = 1;
        say(s,
            "n%" PRIu32 " says %s %s #%" PRIu64,
            n->id,
            group_names[group],
            state_report_state_to_string(state),
            m.report.number);
        send_message(s, n, &m);
        /* Said twice is no harm. */
        if (s->storm && chance(s, 8))
                send_message(s, n, &m);
}

/* ---- The reference, the log ---- */

static uint64_t hash_of_state(const State *state) {
        g_autoptr(GBytes) b = state_serialize(state);
        gsize size_bytes;
        const void *data = g_bytes_get_data(b, &size_bytes);

        return hash64_of(data, size_bytes);
}

static void input_of(const Entry *e, const StateMessage *m, StateInput *ret) {
        *ret = (StateInput) {
                .type = e->type,
                .mid = e->mid,
                .sequence = e->sequence,
                .view = {
                        .quorate = e->quorate,
                        .nodes = e->nodes,
                        .members = e->members,
                        .n_members = e->n_members,
                },
                .sender = e->sender,
                .message = m,
        };
}

static void apply_entry(const Sim *s, const Entry *e, State *state, StateEffects *effects) {
        StateMessage m = { .type = STATE_MESSAGE_TICK };
        StateInput input;
        gsize size_bytes;
        int r;

        if (e->bytes) {
                const void *data = g_bytes_get_data(e->bytes, &size_bytes);

                r = state_message_decode(data, size_bytes, &m);
                assert(r >= 0);
        }
        input_of(e, &m, &input);
        input.view.n_nodes = s->n_nodes;
        state_apply(state, &input, effects);
        state_message_done(&m);
}

static void entry_free(Entry *e) {
        if (e->snapshot)
                g_bytes_unref(e->snapshot);
        if (e->bytes)
                g_bytes_unref(e->bytes);
        g_free(e);
}

static void append(Sim *s, Entry *e) {
        bool forming;

        e->mid = (HaMid){ s->epoch, 1 };
        e->sequence = ++s->sequence;
        if (e->type == STATE_INPUT_VIEW && e->formation) {
                state_free(s->reference);
                s->reference = state_new(&s->table, 0);
        }
        forming = state_phase(s->reference) == STATE_PHASE_FORMING;
        apply_entry(s, e, s->reference, &s->effects);
        state_check(s->reference);
        if (forming && state_phase(s->reference) == STATE_PHASE_READY &&
            s->reference->best_serial < s->acked_serial)
                s->lost_decision = true;
        if (verbose) {
                char text[STATE_TEXT_MAX];

                FOREACH_ARRAY(f, s->effects.effects, s->effects.n_effects)
                        if (f->type == STATE_EFFECT_EVENT)
                                say(s, "      %s", state_effect_format(f, text));
        }
        state_effects_clear(&s->effects);
        e->hash = hash_of_state(s->reference);
        g_ptr_array_add(s->log, e);
}

/* ---- Groups really running ---- */

static Verdict check_owners(Sim *s) {
        for (unsigned g = 0; g < GROUPS_MAX; g++) {
                unsigned n = 0;

                for (uint32_t i = 0; i < s->n_nodes; i++)
                        n += s->nodes[i].power && s->nodes[i].real[g].runs;
                if (n > 1)
                        return fail(s, VERDICT_TWO_OWNERS, "group %s runs on %u nodes", group_names[g], n);
        }
        return VERDICT_GOOD;
}

static void take_order(Sim *s, SimNode *n, const char *group, TaskKind kind, uint64_t number) {
        int g = group_index(group);
        Real *r;

        assert(g >= 0);
        r = n->real + g;
        r->task = kind;
        r->begun = false;
        r->number = number;
        r->due_usec = s->now_usec + (chance(s, 10) ? draw(s, 0, 200000) : draw(s, 100, 5000));
}

static void run_task(Sim *s, SimNode *n, unsigned g) {
        Real *r = n->real + g;

        switch (r->task) {
        case TASK_NONE:
                break;
        case TASK_START:
                if (!r->begun) {
                        r->begun = true;
                        if (!r->runs) {
                                /* "Nothing runs here", said by a hamgr that is about to carry out the order.
                                 */
                                if (s->storm && chance(s, 20)) {
                                        report(s, n, g, STATE_REPORT_STOPPED, "not yet");
                                }
                                r->runs = r->partial = true;
                                s->n_starts++;
                                say(s,
                                    "n%" PRIu32 " really starts %s #%" PRIu64,
                                    n->id,
                                    group_names[g],
                                    r->number);
                                if (chance(s, 3))
                                        report(s, n, g, STATE_REPORT_STARTING, "");
                        }
                        r->due_usec = s->now_usec + draw(s, 100, 20000);
                        break;
                }
                r->task = TASK_NONE;
                if (s->storm && chance(s, 12))
                        report(s, n, g, STATE_REPORT_FAILED, "it would not start");
                else {
                        r->partial = false;
                        report(s, n, g, STATE_REPORT_RUNNING, "");
                }
                break;
        case TASK_STOP:
                if (!r->begun) {
                        r->begun = true;
                        r->due_usec = s->now_usec + draw(s, 100, 10000);
                        if (chance(s, 3))
                                report(s, n, g, STATE_REPORT_STOPPING, "");
                        break;
                }
                r->task = TASK_NONE;
                if (s->storm && r->runs && chance(s, 15)) {
                        r->partial = true;
                        report(s, n, g, STATE_REPORT_STOP_FAILED, "it would not stop");
                } else {
                        if (r->runs)
                                say(s, "n%" PRIu32 " really stopped %s", n->id, group_names[g]);
                        r->runs = r->partial = false;
                        report(s, n, g, STATE_REPORT_STOPPED, "");
                }
                break;
        case TASK_PROBE:
                r->task = TASK_NONE;
                report(s,
                       n,
                       g,
                       !r->runs     ? STATE_REPORT_STOPPED
                       : r->partial ? STATE_REPORT_PARTIAL
                                    : STATE_REPORT_RUNNING,
                       "");
                break;
        }
}

/* ---- Power ---- */

static void forget_manager(Sim *s, SimNode *n) {
        n->state = state_free(n->state);
        n->clock = (StateClock){ 0 };
        n->instance = 0;
        n->in_group = false;
        n->hello_sent = n->leaving_sent = false;
        n->plan_on_its_way = false;
        drop_letters(n);
        /* What it had asked systemd for may go on, once, without it. */
        FOREACH_ARRAY(r, n->real, GROUPS_MAX) {
                if (r->task == TASK_START && !r->begun && chance(s, 2)) {
                        if (!r->runs)
                                s->n_starts++;
                        r->runs = r->partial = true;
                }
                if (r->task == TASK_STOP && r->begun && chance(s, 2))
                        r->runs = r->partial = false;
                r->task = TASK_NONE;
        }
        /* An agent that was started may still do its work; the result is lost. */
        FOREACH_ARRAY(f, n->fences, NODES_MAX + 1)
                f->canceled = true;
        drop_writes(n);
}

static void power_off(Sim *s, SimNode *n) {
        if (!n->power)
                return;
        say(s, "n%" PRIu32 " loses power", n->id);
        n->power = false;
        forget_manager(s, n);
        n->manager = false;
        n->wants_leave = n->left = false;
        memset(n->real, 0, sizeof(n->real));
        memset(n->fences, 0, sizeof(n->fences));
        n->back_usec = s->now_usec + draw(s, 1000, chance(s, 2) ? 100000 : 3000000);
}

static void power_on(Sim *s, SimNode *n) {
        n->power = true;
        n->boot = s->next_boot++;
        n->incarnation = s->next_incarnation++;
        n->manager = false;
        n->manager_back_usec = s->now_usec + draw(s, 100, 400000);
        say(s, "n%" PRIu32 " boots, boot %" PRIu64, n->id, n->boot);
}

static void kill_manager(Sim *s, SimNode *n) {
        if (!n->manager)
                return;
        say(s, "n%" PRIu32 " loses its hamgr", n->id);
        forget_manager(s, n);
        n->manager = false;
        n->manager_back_usec = s->now_usec + draw(s, 500, 500000);
}
