/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A storm over the replicated state and the engine. Several nodes, each with a replica, are fed by one
 * ordered log at their own pace, while nodes crash, reboot, are cut off and heal, hamgrs die and come back
 * without memory, devices fail, applications fail, stops fail, operators act and configurations change. A
 * small model knows what really runs where.
 *
 * Always: no group runs on two nodes; equal prefixes give equal bytes; every replica's invariants hold; what
 * was answered as stored outlives everything. In the end the faults stop, and then every group runs.
 *
 * With -DSTATE_BROKEN one rule at a time is broken on purpose, and the storm must notice.
 *
 *     test-state-storm --seeds 1..10000 [--verbose] */

#include <inttypes.h>
#include <stdio.h>
#include <sys/wait.h>

#include <glib.h>

#include "basic/checksum.h"
#include "basic/prng.h"
#include "basic/time-util.h"
#include "hamgr/engine/engine.h"
#include "hamgr/state/state-internal.h"

#define NODES_MAX 5U
#define GROUPS_MAX 6U
#define STORM_STEPS 12000U
#define CALM_STEPS 60000U

#ifdef STATE_BROKEN
StateBroken state_broken = STATE_BROKEN_NOTHING;
#endif

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

/* ---- Membership ---- */

static StateBootId boot_id_of(uint64_t boot) {
        StateBootId id = { 0 };

        memcpy(id.bytes, &boot, sizeof(boot));
        return id;
}

static NodeSet connected(const Sim *s) {
        NodeSet set = NODE_SET_EMPTY;

        for (uint32_t i = 0; i < s->n_nodes; i++)
                if (s->nodes[i].power && !s->nodes[i].cut && !s->nodes[i].left)
                        node_set_add(&set, i + 1);
        return set;
}

/* A node that hears no quorum any more: its members forget, what runs runs on. */
static void shut_out(Sim *s, SimNode *n) {
        if (!n->in_group && !n->state)
                return;
        say(s, "n%" PRIu32 " is shut out", n->id);
        n->state = state_free(n->state);
        n->clock = (StateClock){ 0 };
        n->instance = 0;
        n->in_group = false;
        n->hello_sent = n->leaving_sent = false;
        n->plan_on_its_way = false;
        n->wants_leave = false;
        drop_letters(n);
        FOREACH_ARRAY(f, n->fences, NODES_MAX + 1)
                f->canceled = true;
        drop_writes(n);
}

static bool update_views(Sim *s) {
        NodeSet now = connected(s);
        bool node_change = now != s->members, manager_change = false, survivors = false;
        Entry *e;

        NODE_SET_FOREACH(id, now)
                if (node_set_contains(s->members, id) &&
                    s->member_incarnation[id - 1] != node_of(s, id)->incarnation)
                        node_change = true;
        if (2 * node_set_count(now) <= s->n_nodes) {
                if (s->members == NODE_SET_EMPTY)
                        return false;
                say(s, "quorum is lost");
                for (uint32_t i = 0; i < s->n_nodes; i++)
                        if (node_set_contains(s->members, i + 1) && s->nodes[i].power)
                                shut_out(s, s->nodes + i);
                s->members = NODE_SET_EMPTY;
                return true;
        }
        for (uint32_t i = 0; i < s->n_nodes; i++) {
                SimNode *n = s->nodes + i;
                bool in = node_set_contains(now, n->id) && n->manager;

                if (in && n->instance == 0)
                        manager_change = true;
                if (in && n->in_group && n->instance != 0)
                        survivors = true;
        }
        if (s->reference) {
                const StateViewMember *members;
                size_t n_members = state_view_members(s->reference, &members);

                FOREACH_ARRAY(m, members, n_members)
                        if (node_of(s, m->node)->instance != m->instance)
                                manager_change = true;
        }
        if (!node_change && !manager_change)
                return false;

        e = g_new0(Entry, 1);
        e->type = STATE_INPUT_VIEW;
        e->quorate = true;
        if (node_change) {
                s->epoch++;
                s->sequence = 0;
        }
        /* Members that stay keep their seniority; a node that was cut and heals within one change is new. */
        if (survivors && s->reference) {
                const StateViewMember *members;
                size_t n_members = state_view_members(s->reference, &members);

                FOREACH_ARRAY(m, members, n_members)
                        if (node_set_contains(now, m->node) && node_of(s, m->node)->instance == m->instance)
                                e->members[e->n_members++] = *m;
        }
        e->formation = e->n_members == 0;
        for (uint32_t i = 0; i < s->n_nodes; i++) {
                SimNode *n = s->nodes + i;
                StateViewNode *v = e->nodes + i;

                v->id = n->id;
                if (node_set_contains(now, n->id)) {
                        v->state = STATE_NODE_UP;
                        v->incarnation = n->incarnation;
                        v->boot_id = boot_id_of(n->boot);
                        s->member_incarnation[i] = n->incarnation;
                } else {
                        const StateNode *known = s->reference && !e->formation
                                                                 ? state_node(s->reference, n->id)
                                                                 : NULL;

                        v->state = node_set_contains(s->farewells, n->id) ? STATE_NODE_INACTIVE
                                                                          : STATE_NODE_UNKNOWN;
                        v->incarnation = known ? known->incarnation : 0;
                        v->boot_id = known ? known->boot_id : (StateBootId){ 0 };
                        /* Hears no more than was ordered before; some of it perhaps late. */
                        if (n->in_group && n->last_entry > s->log->len)
                                n->last_entry = s->log->len;
                }
        }
        for (uint32_t i = 0; i < s->n_nodes; i++) {
                SimNode *n = s->nodes + i;

                if (!node_set_contains(now, n->id) || !n->manager)
                        continue;
                if (n->in_group && n->instance != 0 && !e->formation)
                        continue;
                shut_out(s, n);
                n->instance = s->next_instance++;
                n->in_group = true;
                n->next_entry = s->log->len;
                n->last_entry = SIZE_MAX;
                e->members[e->n_members++] = (StateViewMember){ n->id, n->instance };
        }
        s->farewells &= ~now;
        if (e->formation) {
                s->n_formations++;
                say(s, "formation");
        }
        s->members = now;
        if (e->n_members == 0) {
                /* hagcds alone: nobody sees this view. */
                state_free(s->reference);
                s->reference = NULL;
                entry_free(e);
                return true;
        }
        if (verbose) {
                char text[NODE_SET_TEXT_MAX];

                say(s,
                    "view %" PRIu64 " of %s with %zu hamgrs",
                    s->epoch,
                    node_set_format(now, text),
                    e->n_members);
        }
        append(s, e);
        e->snapshot = state_serialize(s->reference);
        return true;
}

/* ---- What a hamgr does ---- */

static void start_fence(Sim *s, SimNode *n, const StateEffect *f) {
        FenceTask *t = n->fences + f->boot.node;

        *t = (FenceTask){
                .active = true,
                .boot = f->boot,
                .due_usec = s->now_usec + draw(s, 500, 60000),
        };
}

static void fence_result(Sim *s, SimNode *n, const FenceTask *t, bool ok) {
        StateMessage m = { .type = STATE_MESSAGE_FENCE_RESULT };

        if (!n->state || !n->hello_sent || (t->canceled && !t->hit))
                return;
        m.fence_result.boot = t->boot;
        m.fence_result.ok = ok;
        g_strlcpy(m.fence_result.device, "power", sizeof(m.fence_result.device));
        state_text_set(m.fence_result.text, "%s", ok ? "off" : "no answer");
        send_message(s, n, &m);
}

static void run_fence(Sim *s, SimNode *n, FenceTask *t) {
        SimNode *target = node_of(s, t->boot.node);

        if (!t->hit) {
                if (t->canceled && chance(s, 2)) {
                        t->active = false;
                        return;
                }
                if (s->storm && chance(s, 4)) {
                        t->active = false;
                        fence_result(s, n, t, false);
                        return;
                }
                say(s, "n%" PRIu32 " switches n%" PRIu32 " off", n->id, target->id);
                power_off(s, target);
                t->hit = true;
                t->due_usec = s->now_usec + draw(s, 100, chance(s, 3) ? 3000000 : 100000);
                return;
        }
        t->active = false;
        fence_result(s, n, t, true);
}

static void queue_write(Sim *s, SimNode *n, const StateEffect *f) {
        Write *w = g_new0(Write, 1);

        *w = (Write){
                .due_usec = s->now_usec + draw(s, 100, chance(s, 10) ? 200000 : 8000),
                .serial = f->serial,
                .record = g_bytes_ref(f->record),
                .prepare = f->type == STATE_EFFECT_PREPARE,
                .version = f->version,
        };
        g_queue_push_tail(n->writes, w);
}

static void finish_write(Sim *s, SimNode *n, Write *w) {
        StateMessage m = { .type = STATE_MESSAGE_STORED, .stored.serial = w->serial };

        if (w->prepare && s->storm && chance(s, 4)) {
                StateMessage no = { .type = STATE_MESSAGE_APPLY_ANSWER };

                no.apply_answer.version = w->version;
                no.apply_answer.reasons = g_strdup("no such interface");
                send_message(s, n, &no);
                return;
        }
        if (n->disk)
                g_bytes_unref(n->disk);
        n->disk = g_bytes_ref(w->record);
        send_message(s, n, &m);
        if (w->prepare) {
                StateMessage yes = { .type = STATE_MESSAGE_APPLY_ANSWER };

                yes.apply_answer.version = w->version;
                yes.apply_answer.ok = true;
                send_message(s, n, &yes);
        }
}

/* The newest record that is on the disk of every hamgr. */
static uint64_t everywhere_stored(const State *state) {
        uint64_t serial = UINT64_MAX;

        NODE_SET_FOREACH(id, state_members(state))
                serial = MIN(serial, state_node(state, id)->stored_serial);
        return serial == UINT64_MAX ? 0 : serial;
}

static void carry_out(Sim *s, SimNode *n) {
        FOREACH_ARRAY(f, n->effects.effects, n->effects.n_effects) {
                switch (f->type) {
                case STATE_EFFECT_START:
                        take_order(s, n, f->group, TASK_START, f->number);
                        break;
                case STATE_EFFECT_STOP:
                        take_order(s, n, f->group, TASK_STOP, f->number);
                        break;
                case STATE_EFFECT_PROBE:
                        take_order(s, n, f->group, TASK_PROBE, f->number);
                        break;
                case STATE_EFFECT_FENCE:
                        start_fence(s, n, f);
                        break;
                case STATE_EFFECT_FENCE_CANCEL:
                        n->fences[f->boot.node].canceled = true;
                        break;
                case STATE_EFFECT_STORE:
                case STATE_EFFECT_PREPARE:
                        queue_write(s, n, f);
                        break;
                case STATE_EFFECT_ANSWER:
                        if (f->result == STATE_RESULT_OK)
                                s->acked_serial = MAX(s->acked_serial, everywhere_stored(n->state));
                        break;
                case STATE_EFFECT_EVENT:
                case STATE_EFFECT_CHANGED:
                case STATE_EFFECT_OBJECTS:
                        break;
                }
        }
        state_effects_clear(&n->effects);
}

static void say_hello(Sim *s, SimNode *n) {
        StateMessage m = { .type = STATE_MESSAGE_HELLO };

        m.hello.capabilities = STATE_CAPABILITY_FENCE;
        m.hello.record = n->disk ? g_bytes_ref(n->disk) : NULL;
        send_message(s, n, &m);
        n->hello_sent = true;
}

static void send_plan(Sim *s, SimNode *n, StateMessage *m) {
        Letter *first;

        send_message(s, n, m);
        /* The same once more, at any later time: what it was made for is past. */
        if (s->storm && chance(s, 6)) {
                Letter *again = g_new0(Letter, 1);

                first = g_queue_peek_tail(n->letters);
                *again = *first;
                g_bytes_ref(again->bytes);
                again->due_usec = s->now_usec + draw(s, 1000, 300000);
                g_queue_push_tail(n->late, again);
        }
}

static void plan(Sim *s, SimNode *n) {
        uint64_t now_usec = state_clock_now(&n->clock, local_usec(s, n));
        StateMessage m;
        EnginePlan p;

        n->wakeup_usec = UINT64_MAX;
        if (!n->state || !state_is_planner(n->state) || n->plan_on_its_way)
                return;
        engine_plan(n->state, now_usec, &p);
        if (p.wakeup_usec != UINT64_MAX)
                n->wakeup_usec = s->now_usec + (p.wakeup_usec - now_usec) + 1;
        if (p.plan.n_steps > 0) {
                m = (StateMessage){ .type = STATE_MESSAGE_PLAN, .plan = p.plan };
                p.plan.steps = NULL;
                p.plan.n_steps = 0;
                send_plan(s, n, &m);
                n->plan_on_its_way = true;
        } else if (p.tick) {
                m = (StateMessage){ .type = STATE_MESSAGE_TICK };
                send_message(s, n, &m);
                n->plan_on_its_way = true;
        }
        engine_plan_done(&p);
}

static Verdict deliver(Sim *s, SimNode *n) {
        const Entry *e = g_ptr_array_index(s->log, n->next_entry);
        bool first = !n->state;
        uint64_t hash;

        n->next_entry++;
        if (first && e->formation) {
                n->state = state_new(&s->table, n->id);
                apply_entry(s, e, n->state, &n->effects);
        } else if (first) {
                gsize size_bytes;
                const void *data = g_bytes_get_data(e->snapshot, &size_bytes);

                if (state_deserialize(&s->table, n->id, data, size_bytes, &n->state) < 0)
                        return fail(s, VERDICT_UNSOUND, "a snapshot was refused");
        } else
                apply_entry(s, e, n->state, &n->effects);
        state_check(n->state);
        state_clock_observe(&n->clock, n->state, local_usec(s, n));

        hash = hash_of_state(n->state);
        if (hash != e->hash)
                return fail(s,
                            VERDICT_DIVERGED,
                            "n%" PRIu32 " differs after entry %zu of the log",
                            n->id,
                            n->next_entry - 1);
        if (e->bytes && e->sender.node == n->id) {
                StateMessage m;
                gsize size_bytes;
                const void *data = g_bytes_get_data(e->bytes, &size_bytes);
                int r = state_message_decode(data, size_bytes, &m);

                assert(r >= 0);
                if (m.type == STATE_MESSAGE_PLAN || m.type == STATE_MESSAGE_TICK)
                        n->plan_on_its_way = false;
                state_message_done(&m);
        }
        carry_out(s, n);
        if (first)
                say_hello(s, n);
        /* A node that was cut off hears late what was ordered before, and plans nothing any more. */
        if (n->last_entry == SIZE_MAX && (chance(s, 2) || !s->storm))
                plan(s, n);
        else
                n->wakeup_usec = s->now_usec + draw(s, 0, 20000);
        return VERDICT_GOOD;
}

static void order_letter(Sim *s, SimNode *n) {
        Letter *l = g_queue_peek_head(n->late);
        bool late = l && l->due_usec <= s->now_usec && l->instance == n->instance;
        Entry *e;

        if (l && l->instance != n->instance)
                drop_late(n);
        if (!late)
                l = g_queue_peek_head(n->letters);
        /* What an older instance said, as a group that is not careful would deliver it. */
        if (s->storm && !g_queue_is_empty(n->ghosts) && s->reference && chance(s, 20)) {
                Letter *ghost = g_queue_pop_head(n->ghosts);

                e = g_new0(Entry, 1);
                e->type = STATE_INPUT_MESSAGE;
                e->sender = (StateViewMember){ n->id, ghost->instance };
                e->bytes = g_bytes_ref(ghost->bytes);
                append(s, e);
                letter_free(ghost);
        }
        if (!l || l->due_usec > s->now_usec || !n->in_group || !node_set_contains(s->members, n->id) ||
            !node_set_contains(connected(s), n->id) || !s->reference)
                return;
        (void) g_queue_pop_head(late ? n->late : n->letters);
        e = g_new0(Entry, 1);
        e->type = STATE_INPUT_MESSAGE;
        e->sender = (StateViewMember){ n->id, n->instance };
        e->bytes = g_bytes_ref(l->bytes);
        if (verbose) {
                char text[STATE_TEXT_MAX];
                StateMessage m;
                gsize size_bytes;
                const void *data = g_bytes_get_data(e->bytes, &size_bytes);

                if (state_message_decode(data, size_bytes, &m) >= 0) {
                        say(s,
                            "ordered %u: n%" PRIu32 ": %s",
                            s->log->len,
                            n->id,
                            state_message_format(&m, text));
                        state_message_done(&m);
                }
        }
        append(s, e);
        letter_free(l);
}

/* Drained: nothing runs here, and everybody knows. */
static void leave_if_drained(Sim *s, SimNode *n) {
        const StateNode *me = n->state ? state_node(n->state, n->id) : NULL;

        if (!n->wants_leave || !me || !n->hello_sent)
                return;
        if (!n->leaving_sent) {
                StateMessage m = { .type = STATE_MESSAGE_NODE_LEAVING };

                send_message(s, n, &m);
                n->leaving_sent = true;
                return;
        }
        if (!me->leaving || n->last_entry != SIZE_MAX)
                return;
        for (size_t i = 0; i < state_n_groups(n->state); i++)
                if (node_set_contains(state_group_at(n->state, i)->may_run, n->id))
                        return;
        FOREACH_ARRAY(r, n->real, GROUPS_MAX)
                if (r->runs || r->task == TASK_START)
                        return;
        say(s, "n%" PRIu32 " says farewell", n->id);
        forget_manager(s, n);
        n->manager = false;
        n->wants_leave = false;
        n->left = true;
        node_set_add(&s->farewells, n->id);
        n->back_usec = s->now_usec + draw(s, 1000, 2000000);
}

/* ---- Faults and people ---- */

static void operator_acts(Sim *s, SimNode *n, StateOperation operation, const char *group, uint32_t node) {
        StateMessage m = { .type = STATE_MESSAGE_OPERATOR };

        if (!n->state || !n->hello_sent)
                return;
        m.operator_.request = s->next_request++;
        m.operator_.operation = operation;
        if (group)
                g_strlcpy(m.operator_.group, group, sizeof(m.operator_.group));
        m.operator_.node = node;
        send_message(s, n, &m);
}

static void apply_config(Sim *s, SimNode *n, uint64_t variant) {
        StateMessage m = { .type = STATE_MESSAGE_APPLY_PREPARE };

        if (!n->state || !n->hello_sent)
                return;
        m.apply_prepare.request = s->next_request++;
        m.apply_prepare.files = make_files(s, variant);
        send_message(s, n, &m);
}

static void random_operator(Sim *s, SimNode *n) {
        const char *group = group_names[draw(s, 0, GROUPS_MAX - 1)];
        uint32_t node = (uint32_t) draw(s, 1, s->n_nodes);

        switch (draw(s, 0, 9)) {
        case 0:
                operator_acts(s, n, STATE_OPERATION_GROUP_STOP, group, 0);
                break;
        case 1:
        case 2:
                operator_acts(s, n, STATE_OPERATION_GROUP_START, group, 0);
                break;
        case 3:
        case 4:
                operator_acts(s, n, STATE_OPERATION_GROUP_MOVE, group, chance(s, 3) ? 0 : node);
                break;
        case 5:
                operator_acts(s, n, STATE_OPERATION_NODE_STANDBY, NULL, node);
                break;
        case 6:
                operator_acts(s, n, STATE_OPERATION_NODE_UNSTANDBY, NULL, node);
                break;
        case 7:
                operator_acts(s, n, STATE_OPERATION_GROUP_CLEANUP, group, 0);
                break;
        case 8:
                /* The operator looked at the node, found it off, and said so; by then it may be back. */
                if (n->state && !node_of(s, node)->power &&
                    state_node(n->state, node)->state == STATE_NODE_UNKNOWN) {
                        StateMessage m = { .type = STATE_MESSAGE_OPERATOR };

                        m.operator_.request = s->next_request++;
                        m.operator_.operation = STATE_OPERATION_FENCE_CONFIRM;
                        m.operator_.boot = state_node_boot(state_node(n->state, node));
                        if (n->hello_sent)
                                send_message(s, n, &m);
                }
                break;
        default:
                apply_config(s, n, draw(s, 0, 40));
                break;
        }
}

/* Quorum is lost now and then only; nothing happens without it. */
static bool may_take_away(Sim *s, const SimNode *n) {
        NodeSet left = node_set_without(connected(s), n->id);

        return 2 * node_set_count(left) > s->n_nodes || chance(s, 6);
}

/* Aimed at R15: cut off a node that has booted and runs something while the result of its last fence is
 * still on its way. */
static bool cut_behind_a_fence(Sim *s) {
        for (uint32_t i = 0; i < s->n_nodes; i++)
                FOREACH_ARRAY(f, s->nodes[i].fences, NODES_MAX + 1) {
                        SimNode *target = f->active && f->hit ? node_of(s, f->boot.node) : NULL;

                        if (!target || !target->power || target->cut || !may_take_away(s, target))
                                continue;
                        for (unsigned g = 0; g < GROUPS_MAX; g++)
                                if (target->real[g].runs) {
                                        target->cut = true;
                                        say(s, "n%" PRIu32 " is cut off behind its fence", target->id);
                                        return true;
                                }
                }
        return false;
}

static void random_fault(Sim *s) {
        SimNode *n = s->nodes + draw(s, 0, s->n_nodes - 1);

        s->n_faults++;
        if (chance(s, 3) && cut_behind_a_fence(s))
                return;
        switch (draw(s, 0, 11)) {
        case 0:
                if (may_take_away(s, n))
                        power_off(s, n);
                break;
        case 1:
        case 2:
                if (!n->cut && !may_take_away(s, n))
                        break;
                n->cut = !n->cut;
                say(s, "n%" PRIu32 " is %s", n->id, n->cut ? "cut off" : "connected");
                break;
        case 3:
        case 4:
                kill_manager(s, n);
                break;
        case 5:
                if (n->manager && n->state) {
                        say(s, "n%" PRIu32 " is to leave", n->id);
                        n->wants_leave = true;
                }
                break;
        case 6: {
                /* An application fails where it runs. */
                Real *r = n->real + draw(s, 0, GROUPS_MAX - 1);

                if (n->power && r->runs && !r->partial && r->task == TASK_NONE) {
                        r->partial = true;
                        r->n_restarts++;
                        report(s, n, (unsigned) (r - n->real), STATE_REPORT_FAILED, "killed");
                }
                break;
        }
        case 7: {
                Real *r = n->real + draw(s, 0, GROUPS_MAX - 1);

                if (n->power && r->runs && !r->partial && r->task == TASK_NONE && chance(s, 3)) {
                        r->partial = true;
                        report(s, n, (unsigned) (r - n->real), STATE_REPORT_HELD, "systemctl stop");
                }
                break;
        }
        default:
                random_operator(s, n);
                break;
        }
}

/* ---- One seed ---- */

static Verdict step_node(Sim *s, SimNode *n) {
        Write *w;

        if (!n->power) {
                if (n->back_usec <= s->now_usec)
                        power_on(s, n);
                return VERDICT_GOOD;
        }
        if (n->left && n->back_usec <= s->now_usec) {
                n->left = false;
                n->incarnation = s->next_incarnation++;
                n->manager_back_usec = s->now_usec;
        }
        if (!n->manager && !n->left && n->manager_back_usec <= s->now_usec)
                n->manager = true;
        for (unsigned g = 0; g < GROUPS_MAX; g++)
                if (n->real[g].task != TASK_NONE && n->real[g].due_usec <= s->now_usec && chance(s, 2))
                        run_task(s, n, g);
        for (uint32_t id = 1; id <= s->n_nodes; id++)
                if (n->fences[id].active && n->fences[id].due_usec <= s->now_usec)
                        run_fence(s, n, n->fences + id);
        if (!n->power)
                return VERDICT_GOOD;
        w = g_queue_peek_head(n->writes);
        if (w && w->due_usec <= s->now_usec) {
                (void) g_queue_pop_head(n->writes);
                finish_write(s, n, w);
                write_free(w);
        }
        order_letter(s, n);
        if (n->in_group && n->next_entry < MIN(n->last_entry, (size_t) s->log->len) &&
            (chance(s, 2) || !s->storm)) {
                Verdict v = deliver(s, n);

                if (v != VERDICT_GOOD)
                        return v;
        }
        /* A cut node learns at some time that it is out. */
        if (n->in_group && n->last_entry != SIZE_MAX && chance(s, 40))
                shut_out(s, n);
        if (n->state && n->wakeup_usec <= s->now_usec && n->last_entry == SIZE_MAX)
                plan(s, n);
        leave_if_drained(s, n);
        return VERDICT_GOOD;
}

static Verdict run_steps(Sim *s, unsigned n_steps, bool (*done)(Sim *s)) {
        for (unsigned i = 0; i < n_steps; i++) {
                Verdict v;

                s->now_usec += draw(s, 0, chance(s, 30) ? 20000 : 1500);
                if (s->storm && chance(s, s->fault_one_in))
                        random_fault(s);
                if (chance(s, s->storm ? 10 : 4))
                        (void) update_views(s);
                v = step_node(s, s->nodes + draw(s, 0, s->n_nodes - 1));
                if (v != VERDICT_GOOD)
                        return v;
                v = check_owners(s);
                if (v != VERDICT_GOOD)
                        return v;
                if (s->lost_decision)
                        return fail(s,
                                    VERDICT_LOST_DECISION,
                                    "the formation missed a record that was acknowledged");
                if (done && i % 64 == 0 && done(s))
                        return VERDICT_GOOD;
        }
        return done ? VERDICT_NOT_LIVE : VERDICT_GOOD;
}

static bool all_quiet(Sim *s) {
        if (!s->reference || state_phase(s->reference) != STATE_PHASE_READY ||
            node_set_count(state_managers(s->reference)) != s->n_nodes)
                return false;
        for (uint32_t i = 0; i < s->n_nodes; i++) {
                const SimNode *n = s->nodes + i;

                if (!n->state || n->next_entry < s->log->len || !g_queue_is_empty(n->letters) ||
                    !g_queue_is_empty(n->late) || !g_queue_is_empty(n->writes) || n->plan_on_its_way ||
                    n->wants_leave)
                        return false;
                /* A fence of the storm's last moments may still switch somebody off. */
                FOREACH_ARRAY(f, n->fences, NODES_MAX + 1)
                        if (f->active)
                                return false;
                FOREACH_ARRAY(r, n->real, GROUPS_MAX)
                        if (r->task != TASK_NONE)
                                return false;
        }
        return true;
}

static bool all_run(Sim *s) {
        EnginePlan p;
        bool rest;

        if (!all_quiet(s))
                return false;
        engine_plan(s->reference, state_time_usec(s->reference), &p);
        rest = p.plan.n_steps == 0;
        engine_plan_done(&p);
        if (!rest)
                return false;
        for (size_t i = 0; i < state_n_groups(s->reference); i++) {
                const StateGroup *g = state_group_at(s->reference, i);
                int index = group_index(g->name);
                StateGroupStatus status;

                state_group_status(s->reference, g, &status);
                if (status.run != STATE_RUN_RUNNING || !node_of(s, status.node)->real[index].runs)
                        return false;
        }
        return true;
}

static void calm_down(Sim *s) {
        s->storm = false;
        for (uint32_t i = 0; i < s->n_nodes; i++) {
                s->nodes[i].cut = false;
                s->nodes[i].wants_leave = false;
                if (s->nodes[i].leaving_sent)
                        kill_manager(s, s->nodes + i);
        }
}

static void repair(Sim *s) {
        SimNode *n = s->nodes;

        for (uint32_t id = 1; id <= s->n_nodes; id++)
                operator_acts(s, n, STATE_OPERATION_NODE_UNSTANDBY, NULL, id);
        for (unsigned g = 0; g < GROUPS_MAX; g++) {
                operator_acts(s, n, STATE_OPERATION_GROUP_CLEANUP, group_names[g], 0);
                operator_acts(s, n, STATE_OPERATION_GROUP_START, group_names[g], 0);
        }
}

static Verdict tell_not_live(Sim *s) {
        if (s->reference)
                for (size_t i = 0; i < state_n_groups(s->reference); i++) {
                        const StateGroup *g = state_group_at(s->reference, i);
                        StateGroupStatus status;

                        state_group_status(s->reference, g, &status);
                        printf("# %s is %s on %" PRIu32 ": %s\n",
                               g->name,
                               state_run_to_string(status.run),
                               status.node,
                               status.reason);
                }
        return fail(s, VERDICT_NOT_LIVE, "the faults have stopped, and not all groups run");
}

static void sim_init(Sim *s, uint64_t seed) {
        *s = (Sim){ .seed = seed,
                    .storm = true,
                    .next_boot = 1,
                    .next_incarnation = 1,
                    .next_instance = 1,
                    .next_request = 1 };
        prng_init(&s->prng, seed);
        s->n_nodes = chance(s, 8) ? 2 : (uint32_t) draw(s, 3, NODES_MAX);
        s->fault_one_in = draw(s, 1, 3) * draw(s, 1, 3) * 40;
        s->table.n_nodes = s->n_nodes;
        s->table.unseen_fence_usec = chance(s, 2) ? 200000 : 20 * USEC_PER_SEC;
        s->log = g_ptr_array_new_with_free_func((GDestroyNotify) (void (*)(void)) entry_free);
        for (uint32_t i = 0; i < s->n_nodes; i++) {
                SimNode *n = s->nodes + i;
                HaNode *t = s->table.nodes + i;

                t->id = n->id = i + 1;
                g_snprintf(t->name, sizeof(t->name), "n%" PRIu32, t->id);
                t->enabled = t->has_fence_device = true;
                n->letters = g_queue_new();
                n->late = g_queue_new();
                n->ghosts = g_queue_new();
                n->writes = g_queue_new();
                n->clock_offset_usec = draw(s, 0, 1000000000);
                n->back_usec = draw(s, 0, 100000);
        }
}

static void sim_done(Sim *s) {
        for (uint32_t i = 0; i < s->n_nodes; i++) {
                SimNode *n = s->nodes + i;

                state_free(n->state);
                state_effects_done(&n->effects);
                drop_letters(n);
                drop_writes(n);
                drop_late(n);
                g_queue_free(n->late);
                g_queue_free_full(n->ghosts, (GDestroyNotify) (void (*)(void)) letter_free);
                g_queue_free(n->letters);
                g_queue_free(n->writes);
                if (n->disk)
                        g_bytes_unref(n->disk);
        }
        state_free(s->reference);
        state_effects_done(&s->effects);
        g_ptr_array_unref(s->log);
}

typedef struct Totals {
        uint64_t n_seeds, n_faults, n_formations, n_starts, n_entries, virtual_usec;
} Totals;

static Verdict run_seed(uint64_t seed, Totals *totals) {
        Verdict v;
        Sim s;

        sim_init(&s, seed);
        /* Let it come up, and give it something to run. */
        s.storm = false;
        v = run_steps(&s, CALM_STEPS, all_quiet);
        apply_config(&s, s.nodes, draw(&s, 0, 40));
        if (v == VERDICT_GOOD)
                v = run_steps(&s, CALM_STEPS, all_run);
        s.storm = true;
        if (v == VERDICT_GOOD)
                v = run_steps(&s, STORM_STEPS, NULL);
        else if (v == VERDICT_NOT_LIVE)
                v = tell_not_live(&s);
        if (v == VERDICT_GOOD) {
                calm_down(&s);
                v = run_steps(&s, CALM_STEPS, all_quiet);
                /* Whoever repairs says it again when the node that was told dies of the storm's last fence.
                 */
                for (unsigned i = 0; i < 3 && v == VERDICT_GOOD; i++) {
                        repair(&s);
                        v = run_steps(&s, CALM_STEPS, all_run);
                        if (v != VERDICT_NOT_LIVE)
                                break;
                        if (i < 2)
                                v = VERDICT_GOOD;
                }
                if (v == VERDICT_NOT_LIVE)
                        v = tell_not_live(&s);
        }
        totals->n_seeds++;
        totals->n_faults += s.n_faults;
        totals->n_formations += s.n_formations;
        totals->n_starts += s.n_starts;
        totals->n_entries += s.log->len;
        totals->virtual_usec += s.now_usec;
        sim_done(&s);
        return v;
}

static Verdict run_seeds(uint64_t first, uint64_t last, Totals *totals) {
        for (uint64_t seed = first; seed <= last; seed++) {
                Verdict v = run_seed(seed, totals);

                if (v != VERDICT_GOOD)
                        return v;
        }
        return VERDICT_GOOD;
}

#ifndef STATE_BROKEN
static void test_storm(void) {
        uint64_t n_seeds = g_getenv("HAMGR_TEST_SLOW") ? 5 : 150;
        Totals totals = { 0 };

        g_assert_cmpint(run_seeds(1, n_seeds, &totals), ==, VERDICT_GOOD);
        g_assert_cmpuint(totals.n_starts, >, n_seeds);
        g_assert_cmpuint(totals.n_formations, >, n_seeds);
}
#else
typedef struct Fault {
        const char *name;
        StateBroken what;
        uint64_t n_seeds; /* caught within */
} Fault;

static const Fault faults[] = {
        { "takeover-from-unknown", STATE_BROKEN_TAKEOVER_FROM_UNKNOWN, 50 },
        { "stale-report", STATE_BROKEN_STALE_REPORT, 400 },
        { "stop-failure-ignored", STATE_BROKEN_STOP_FAILURE, 100 },
        { "result-of-another-boot", STATE_BROKEN_OTHER_BOOT, 800 },
        { "no-recheck", STATE_BROKEN_NO_RECHECK, 400 },
        { "stopped-while-ordered", STATE_BROKEN_STOPPED_WHILE_ORDERED, 400 },
        { "hasty-formation", STATE_BROKEN_HASTY_FORMATION, 400 },
};

/* In a process of its own: it may be an assertion that notices. */
static void test_broken(gconstpointer data) {
        const Fault *f = data;

        if (g_getenv("HAMGR_TEST_SLOW")) {
                g_test_skip("thousands of processes under Valgrind take too long");
                return;
        }
        for (uint64_t seed = 1; seed <= f->n_seeds; seed++) {
                pid_t pid;
                int status;

                fflush(stdout);
                pid = fork();
                g_assert_cmpint(pid, >=, 0);
                if (pid == 0) {
                        Totals totals = { 0 };

                        state_broken = f->what;
                        _exit(run_seed(seed, &totals));
                }
                g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
                if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                        continue;
                g_test_message("%s: caught by seed %" PRIu64 ", %s",
                               f->name,
                               seed,
                               WIFSIGNALED(status)                            ? "an assertion"
                               : WEXITSTATUS(status) == VERDICT_TWO_OWNERS    ? "two owners"
                               : WEXITSTATUS(status) == VERDICT_DIVERGED      ? "replicas differ"
                               : WEXITSTATUS(status) == VERDICT_LOST_DECISION ? "a decision lost"
                                                                              : "not live");
                return;
        }
        g_test_fail_printf("%s was not noticed in %" PRIu64 " seeds", f->name, f->n_seeds);
}
#endif

int main(int argc, char **argv) {
        Totals totals = { 0 };
        uint64_t first, last;

        for (int i = 1; i < argc; i++)
                if (streq(argv[i], "--verbose"))
                        verbose = true;
        if (argc >= 3 && streq(argv[1], "--seeds") &&
            sscanf(argv[2], "%" SCNu64 "..%" SCNu64, &first, &last) == 2) {
                Verdict v = run_seeds(first, last, &totals);

                printf("# %" PRIu64 " seeds, %" PRIu64 " faults and operations, %" PRIu64
                       " formations, %" PRIu64 " starts, %" PRIu64
                       " deliveries ordered, %.0f virtual seconds: %s\n",
                       totals.n_seeds,
                       totals.n_faults,
                       totals.n_formations,
                       totals.n_starts,
                       totals.n_entries,
                       (double) totals.virtual_usec / 1e6,
                       v == VERDICT_GOOD ? "good" : "FAILED");
                return v;
        }

        g_test_init(&argc, &argv, NULL);
#ifndef STATE_BROKEN
        g_test_add_func("/state/storm/seeds", test_storm);
#else
        FOREACH_ARRAY(f, faults, ELEMENTSOF(faults)) {
                g_autofree char *path = g_strdup_printf("/state/storm/broken/%s", f->name);

                g_test_add_data_func(path, f, test_broken);
        }
#endif
        return g_test_run();
}
