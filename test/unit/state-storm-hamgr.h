/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The storm's membership service and its hamgrs: views, deliveries, plans, fences, writes and farewells, as
 * the real ones make them. */

#include "state-storm-world.h"

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
                .prepare = f->type != STATE_EFFECT_STORE,
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
                case STATE_EFFECT_PREPARE_CLUSTER:
                        queue_write(s, n, f);
                        break;
                case STATE_EFFECT_ANSWER:
                        if (f->result == STATE_RESULT_OK)
                                s->acked_serial = MAX(s->acked_serial, everywhere_stored(n->state));
                        break;
                case STATE_EFFECT_EVENT:
                case STATE_EFFECT_CHANGED:
                case STATE_EFFECT_OBJECTS:
                case STATE_EFFECT_WRITE_CLUSTER:
                case STATE_EFFECT_CLUSTER:
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

                if (state_deserialize(n->id, data, size_bytes, &n->state) < 0)
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
