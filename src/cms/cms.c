/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms-internal.h"

/* The step: event in, ordered effects out. See cms-internal.h for the other files of this core. */

/* ---- phases ---- */

#define TO(phase) (1U << CMS_PHASE_##phase)

/*
 *             .--------- excluded ----------.
 *             v                             |
 *   IDLE -> WAITING --.                   STABLE <------------.
 *             |       |                     |                 |
 *             |       +---- call -> INQUIRING -> PROPOSING ---+ all acknowledged
 *             |       |                 |           |         |
 *             |       |      overtaken, |  failed   |         |
 *             |       |                 v           v         |
 *             '-------+-- asked -> PROMISED -> ACKNOWLEDGED --' commit, or a heartbeat that shows it
 *
 *   from all: LEAVING -> LEFT
 */
static const unsigned successors[_CMS_PHASE_MAX] = {
        [CMS_PHASE_IDLE] = TO(WAITING),
        [CMS_PHASE_WAITING] = TO(INQUIRING) | TO(PROMISED) | TO(LEAVING),
        [CMS_PHASE_STABLE] = TO(WAITING) | TO(INQUIRING) | TO(PROMISED) | TO(LEAVING),
        [CMS_PHASE_INQUIRING] = TO(PROPOSING) | TO(PROMISED) | TO(LEAVING),
        [CMS_PHASE_PROPOSING] = TO(STABLE) | TO(PROMISED) | TO(LEAVING),
        [CMS_PHASE_PROMISED] = TO(PROMISED) | TO(ACKNOWLEDGED) | TO(INQUIRING) | TO(LEAVING),
        [CMS_PHASE_ACKNOWLEDGED] = TO(STABLE) | TO(PROMISED) | TO(INQUIRING) | TO(LEAVING),
        [CMS_PHASE_LEAVING] = TO(LEFT),
        [CMS_PHASE_LEFT] = 0,
};

void cms_enter(Cms *c, CmsPhase phase, CmsWhy why) {
        /* Left to the simulator's checker when it is broken on purpose. */
        if (!CMS_BROKEN(c, LOWER_ACKNOWLEDGED) && !CMS_BROKEN(c, LOWER_INSTALLED))
                assert(successors[c->phase] & (1U << phase));
        c->phase = phase;
        c->phase_why = why;
        CMS_TRACE(c, .type = CMS_TRACE_PHASE, .value = phase, .why = why);
}

/* ---- effects ---- */

static CmsEffect *add_effect(Cms *c, CmsEffectType type) {
        CmsEffects *e = c->effects;
        CmsEffect *effect;

        assert(e->n < CMS_EFFECTS_MAX);
        effect = &e->items[e->n++];
        effect->type = type;
        return effect;
}

/* Traces give way before anything else could miss its place. */
void cms_trace(Cms *c, const CmsTrace *trace) {
        if (c->effects->n < CMS_EFFECTS_MAX / 2)
                add_effect(c, CMS_EFFECT_TRACE)->trace = *trace;
}

void cms_notify(Cms *c, const CmsNotification *notification) {
        add_effect(c, CMS_EFFECT_NOTIFY)->notify = *notification;
}

CmsMessage *cms_message(Cms *c, CmsMessageType type) {
        CmsEffects *e = c->effects;
        CmsMessage *m;

        assert(e->n_messages < CMS_EFFECT_MESSAGES_MAX);
        m = &e->messages[e->n_messages++];
        cms_message_clear(m, type);
        m->version = CMS_PROTOCOL_VERSION;
        m->type = type;
        m->incarnation = c->incarnation;
        return m;
}

void cms_send(Cms *c, NodeSet to, const CmsMessage *m) {
        CmsEffect *effect;

        to = node_set_without(to, c->config.self) & c->config.configured;
        if (to == NODE_SET_EMPTY)
                return;
        effect = add_effect(c, CMS_EFFECT_SEND);
        effect->send.to = to;
        effect->send.message = m;
}

void cms_store(Cms *c) {
        CmsEffect *effect = add_effect(c, CMS_EFFECT_STORE);

        effect->store.number = ++c->store_number;
        effect->store.record = &c->effects->record;
        if (c->store_since_usec == 0)
                c->store_since_usec = c->now_usec;
}

/* Once for each time that it begins: deliver nothing until STABLE. */
void cms_freeze(Cms *c, Mid ballot) {
        if (c->transition)
                return;
        c->transition = true;
        cms_notify(c,
                   &(CmsNotification){
                                   .type = CMS_NOTIFICATION_TRANSITION,
                                   .transition = { .ballot = ballot },
                   });
}

/* ---- disk ---- */

bool cms_is_durable(const Cms *c, uint64_t number) {
        return c->stored_number >= number || CMS_BROKEN(c, ANSWER_BEFORE_WRITE);
}

static uint64_t hung_usec(const Cms *c) {
        return c->store_since_usec == 0 ? USEC_INFINITY : c->store_since_usec + 2 * c->config.failure_usec;
}

bool cms_cannot_write(const Cms *c) {
        return c->store_failed || c->now_usec >= hung_usec(c);
}

static void on_stored(Cms *c, uint64_t number) {
        if (number > c->store_number || number <= c->stored_number)
                return;
        c->stored_number = number;
        c->store_failed = false;
        c->store_retry_usec = 0;
        c->store_since_usec = number == c->store_number ? 0 : c->now_usec;
        if (c->used_store != 0 && number >= c->used_store)
                c->durable_used_epoch = c->record.used_epoch;
        if (c->promise_store != 0 && number >= c->promise_store)
                c->durable_promised = c->promised;
}

static void on_store_failed(Cms *c, uint64_t number) {
        if (number > c->store_number || number <= c->stored_number)
                return;
        CMS_TRACE(c, .type = CMS_TRACE_STORE_FAILED, .value = number);
        c->store_failed = true;
        c->store_retry_usec = c->now_usec + c->config.failure_usec / 2;
}

static void run_store(Cms *c) {
        if (c->store_retry_usec == 0 || c->now_usec < c->store_retry_usec)
                return;
        c->store_retry_usec = 0;
        cms_store(c);
}

/* ---- heartbeat ---- */

static bool is_working_quorum(const Cms *c) {
        return c->has_installed && !c->excluded && c->installed.quorate && cms_still_quorate(c, c->row);
}

static void fill_heartbeat(const Cms *c, CmsHeartbeat *h) {
        h->number = c->heartbeat_number;
        h->boot_id = c->boot_id;
        cms_fill_config(c, h);
        if (c->has_installed && !c->excluded) {
                h->mid = c->installed.mid;
                h->mid_hash = c->installed.hash;
                h->members = c->installed.members;
                NODE_SET_FOREACH(id, node_set_minus(c->config.enabled, c->installed.members))
                        if (c->known[id - 1].proven)
                                node_set_add(&h->proven, id);
        }
        h->promised = c->durable_promised;
        h->quorate = c->works;
        h->settled = c->phase == CMS_PHASE_STABLE;
        h->no_record = c->no_record;
        h->cannot_write = cms_cannot_write(c);
        h->armed = c->armed;
        h->stalled = node_set_contains(c->stall.nodes, c->config.self);
        h->flushed = cms_is_flushed(c);
        cms_fill_hold(c, h);
        cms_fill_row(c, &h->row);
}

/* At every period, and at once when there is news, but not more often than ten times in one. */
static void run_heartbeat(Cms *c) {
        CmsMessage *m;

        if (c->phase == CMS_PHASE_LEAVING || c->phase == CMS_PHASE_LEFT)
                return;
        if (c->heartbeat_wanted)
                c->heartbeat_due_usec =
                                MIN(c->heartbeat_due_usec,
                                    c->heartbeat_sent_usec + c->config.heartbeat_usec / 10);
        if (c->now_usec < c->heartbeat_due_usec)
                return;
        c->heartbeat_wanted = false;
        c->heartbeat_number++;
        c->heartbeat_sent_usec = c->now_usec;
        c->heartbeat_due_usec = c->now_usec + c->config.heartbeat_usec;
        m = cms_message(c, CMS_MESSAGE_HEARTBEAT);
        fill_heartbeat(c, &m->heartbeat);
        cms_lease_fill_heartbeat(c, &m->heartbeat);
        cms_send(c, node_set_without(c->config.configured, c->config.self), m);
}

/* What peers ought to learn without delay. */
static void notice_news(Cms *c, bool former_cannot_write, bool former_flushed, NodeSet former_mutual) {
        bool works = is_working_quorum(c), flushed = cms_is_flushed(c);

        if (former_cannot_write != cms_cannot_write(c) || c->works != works || former_flushed != flushed ||
            former_mutual != c->mutual)
                c->heartbeat_wanted = true;
        c->works = works;
}

/* ---- leaving ---- */

static void finish_leaving(Cms *c) {
        cms_enter(c, CMS_PHASE_LEFT, CMS_WHY_LEAVE);
        add_effect(c, CMS_EFFECT_LEFT)->left.heard = c->farewell_left == NODE_SET_EMPTY;
}

static void on_leave(Cms *c, bool running) {
        if (c->phase == CMS_PHASE_LEAVING || c->phase == CMS_PHASE_LEFT)
                return;
        cms_ballot_abandon(c, CMS_WHY_LEAVE, 0);
        cms_enter(c, CMS_PHASE_LEAVING, CMS_WHY_LEAVE);
        cms_freeze(c, MID_NONE);
        c->farewell_left = c->row;
        c->farewell_running = running;
        c->farewell_deadline_usec = c->now_usec + 2 * c->config.failure_usec;
        c->farewell_resend_usec = c->now_usec;
}

static void run_leaving(Cms *c) {
        CmsMessage *m;

        if (c->phase != CMS_PHASE_LEAVING)
                return;
        if (c->farewell_left == NODE_SET_EMPTY || c->now_usec >= c->farewell_deadline_usec) {
                finish_leaving(c);
                return;
        }
        if (c->now_usec < c->farewell_resend_usec)
                return;
        m = cms_message(c, CMS_MESSAGE_FAREWELL);
        if (c->has_installed && !c->excluded)
                m->farewell.mid = c->installed.mid;
        m->farewell.running = c->farewell_running;
        cms_send(c, c->farewell_left, m);
        c->farewell_resend_usec = c->now_usec + c->config.heartbeat_usec / 2;
}

static void on_farewell_heard(Cms *c, uint32_t from, const CmsMessage *m) {
        if (m->farewell_heard.incarnation == c->incarnation)
                node_set_remove(&c->farewell_left, from);
}

/* ---- events ---- */

static void on_start(Cms *c, const CmsEvent *event) {
        assert(c->phase == CMS_PHASE_IDLE);
        assert(event->start.incarnation != 0);

        c->incarnation = event->start.incarnation;
        c->boot_id = event->start.boot_id;
        c->start_usec = c->now_usec;
        c->rejoin_usec = event->start.hold_usec == 0 ? 0 : usec_add(c->now_usec, event->start.hold_usec);
        prng_init(&c->prng, event->start.seed);
        c->no_record = !event->start.record || !event->start.record->taken_in;
        if (event->start.record) {
                c->record = *event->start.record;
                c->promised = c->durable_promised = c->record.promised;
                c->floor_epoch = c->durable_used_epoch = c->record.used_epoch;
                cms_config_start(c);
        }
        NODE_SET_FOREACH(id, c->record.detached & c->config.configured)
                if (id != c->config.self)
                        c->known[id - 1] = (MembershipNode){ .state = NODE_DETACHED,
                                                             .reason = NODE_REASON_FAREWELL };
        c->heartbeat_due_usec = c->now_usec;
        c->view_changed = true;
        CMS_TRACE(c, .type = CMS_TRACE_STARTED, .value = !c->no_record);
        cms_enter(c, CMS_PHASE_WAITING, CMS_WHY_START);
}

static void on_received(Cms *c, uint32_t from, unsigned link, const CmsMessage *m) {
        if (!node_set_contains(c->config.configured, from) || from == c->config.self ||
            link >= c->config.n_links)
                return;
        if (c->phase == CMS_PHASE_LEAVING || c->phase == CMS_PHASE_LEFT) {
                if (m->type == CMS_MESSAGE_FAREWELL_HEARD)
                        on_farewell_heard(c, from, m);
                return;
        }
        switch (m->type) {
        case CMS_MESSAGE_HEARTBEAT:
                cms_on_heartbeat(c, from, link, m);
                cms_give_votings(c, from);
                return;
        case CMS_MESSAGE_INQUIRE:
                cms_on_inquire(c, from, m);
                return;
        case CMS_MESSAGE_ANSWER:
                cms_on_answer(c, from, m);
                return;
        case CMS_MESSAGE_PROPOSE:
                cms_on_propose(c, from, m);
                return;
        case CMS_MESSAGE_ACKNOWLEDGE:
                cms_on_acknowledge(c, from, m);
                return;
        case CMS_MESSAGE_COMMIT:
                cms_on_commit(c, from, m);
                return;
        case CMS_MESSAGE_REFUSE:
                cms_on_refuse(c, from, m);
                return;
        case CMS_MESSAGE_HAND_OVER:
                cms_on_hand_over(c, from, m);
                return;
        case CMS_MESSAGE_FAREWELL:
                cms_on_farewell(c, from, m);
                return;
        case CMS_MESSAGE_FAREWELL_HEARD:
                return;
        case CMS_MESSAGE_CONFIGURATION:
                if (cms_hears(c, from, m->incarnation))
                        (void) cms_learn_votings(c, &m->configuration.votings);
                return;
        case CMS_MESSAGE_FOREIGN:
                cms_on_foreign(c, from, link);
                return;
        }
}

/* With all that was promised, which from now on binds. */
static void store_promise(Cms *c) {
        c->record.used_epoch = MAX(c->record.used_epoch, c->promised.epoch + CMS_EPOCH_RESERVE);
        cms_store(c);
        c->promise_store = c->used_store = c->store_number;
}

/* R8, R4: who comes without a record counts when it holds the history of the membership that took it in, and
 * not when it has installed that: until then those who took it in may be the only ones who know how far the
 * history went, and it and the others would go on without. */
static void on_history(Cms *c, Mid history) {
        bool taken_in = c->no_record && c->has_installed && c->installed.quorate &&
                        mid_equal(history, c->installed.mid);

        if (taken_in) {
                c->record.taken_in = true;
                store_promise(c);
        } else
                cms_store(c);
        c->history = history;
        c->history_store = c->store_number;
}

static void count_when_flushed(Cms *c) {
        if (!c->no_record || !c->record.taken_in || !cms_is_flushed(c))
                return;
        /* Promised since, when its word counted for nothing. */
        if (c->promise_store == 0)
                store_promise(c);
        if (!cms_is_durable(c, c->promise_store))
                return;
        c->no_record = false;
        c->view_changed = true;
}

static void dispatch(Cms *c, const CmsEvent *event) {
        switch (event->type) {
        case CMS_EVENT_START:
                on_start(c, event);
                return;
        case CMS_EVENT_RECEIVED:
                on_received(c, event->received.from, event->received.link, event->received.message);
                return;
        case CMS_EVENT_TIMEOUT:
                return;
        case CMS_EVENT_STORED:
                on_stored(c, event->stored.number);
                return;
        case CMS_EVENT_STORE_FAILED:
                on_store_failed(c, event->stored.number);
                return;
        case CMS_EVENT_STORE:
                on_history(c, event->store.history);
                return;
        case CMS_EVENT_LAST_GASP:
                if (node_set_contains(c->others, event->last_gasp.node))
                        cms_on_last_gasp(c, event->last_gasp.node, event->last_gasp.incarnation);
                return;
        case CMS_EVENT_LINK:
                if (event->link.link < c->config.n_links)
                        cms_on_link(c, event->link.link, event->link.carrier);
                return;
        case CMS_EVENT_ARMED:
                c->heartbeat_wanted = c->heartbeat_wanted || c->armed != event->armed.armed;
                c->armed = event->armed.armed;
                return;
        case CMS_EVENT_CONFIRMED_DOWN:
                if (node_id_is_valid(event->confirmed_down.node))
                        cms_on_confirmed_down(c, &event->confirmed_down);
                return;
        case CMS_EVENT_CONFIGURE:
                if (cms_may_configure(c, event->configure.config))
                        cms_configure(c, event->configure.config);
                return;
        case CMS_EVENT_STALLED:
                cms_on_stalled(c, event->stalled.nodes);
                return;
        case CMS_EVENT_LEAVE:
                on_leave(c, event->leave.running);
                return;
        }
}

/* We were to be woken and were not: for so long we could not have heard anybody. */
static void notice_pause(Cms *c) {
        uint64_t late;

        if (c->phase == CMS_PHASE_IDLE || c->wakeup_usec == USEC_INFINITY)
                return;
        late = usec_sub(c->now_usec, c->wakeup_usec);
        if (late <= c->config.heartbeat_usec)
                return;
        c->discount_usec += late;
        c->promise_deadline_usec = usec_add(c->promise_deadline_usec, late);
        c->ballot.deadline_usec = usec_add(c->ballot.deadline_usec, late);
        c->ballot.soft_deadline_usec = usec_add(c->ballot.soft_deadline_usec, late);
        CMS_TRACE(c, .type = CMS_TRACE_PAUSED, .value = late);
}

static uint64_t next_wakeup(const Cms *c) {
        uint64_t due = c->heartbeat_due_usec;

        if (c->phase == CMS_PHASE_IDLE || c->phase == CMS_PHASE_LEFT)
                return USEC_INFINITY;
        if (c->phase == CMS_PHASE_LEAVING)
                return MIN(c->farewell_resend_usec, c->farewell_deadline_usec);
        if (c->heartbeat_wanted)
                due = MIN(due, c->heartbeat_sent_usec + c->config.heartbeat_usec / 10);
        due = MIN(due, cms_detect_due(c));
        due = MIN(due, cms_ballot_due(c));
        due = MIN(due, c->call_usec);
        due = MIN(due, cms_rejoin_due(c));
        due = MIN(due, cms_stall_due(c));
        if (c->store_retry_usec != 0)
                due = MIN(due, c->store_retry_usec);
        if (!cms_cannot_write(c))
                due = MIN(due, hung_usec(c));
        return due;
}

void cms_step(Cms *c, const CmsEvent *event, CmsEffects *ret_effects) {
        bool cannot_write, flushed;
        NodeSet mutual;

        assert(c->phase != CMS_PHASE_IDLE || event->type == CMS_EVENT_START);
        assert(event->now_usec >= c->now_usec);

        ret_effects->n = ret_effects->n_messages = 0;
        c->effects = ret_effects;
        cannot_write = cms_cannot_write(c);
        mutual = c->mutual;
        flushed = cms_is_flushed(c);
        c->now_usec = event->now_usec;
        notice_pause(c);

        dispatch(c, event);
        run_store(c);
        count_when_flushed(c);
        if (c->phase == CMS_PHASE_LEAVING || c->phase == CMS_PHASE_LEFT) {
                run_leaving(c);
        } else {
                cms_config_run(c);
                cms_detect(c);
                cms_stall_run(c);
                cms_acceptor_run(c);
                cms_ballot_run(c);
                cms_evaluate(c);
                cms_ballot_run(c);
                cms_rejoin_run(c);
                notice_news(c, cannot_write, flushed, mutual);
                run_heartbeat(c);
        }
        c->wakeup_usec = next_wakeup(c);
        c->effects->record = c->record;
        c->effects = NULL;
}

uint64_t cms_wakeup_usec(const Cms *c) {
        return c->wakeup_usec;
}

/* ---- life ---- */

int cms_ballot_compare(const Cms *c, Mid a, Mid b) {
        if (CMS_BROKEN(c, BALLOT_COMPARED_BY_EPOCH))
                return a.epoch == b.epoch ? 1 : CMP(a.epoch, b.epoch);
        return mid_compare(a, b);
}

static bool config_is_valid(const CmsConfig *config) {
        CmsVoting v;

        if (!node_id_is_valid(config->self) || !node_set_contains(config->configured, config->self))
                return false;
        if (config->n_links == 0 || config->n_links > CMS_LINKS_MAX)
                return false;
        cms_config_to_voting(config, &v);
        return cms_voting_is_valid(&v);
}

bool cms_may_configure(const Cms *c, const CmsConfig *config) {
        return config_is_valid(config) && config->self == c->config.self &&
               config->n_links == c->config.n_links;
}

int cms_new(const CmsConfig *config, Cms **ret) {
        Cms *c;

        if (!config_is_valid(config))
                return -EINVAL;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->config = *config;
        cms_config_to_voting(config, &c->wanted);
        c->votings.committed = c->wanted;
        c->config.tie_breaker = c->wanted.tie_breaker;
        c->config_hash = c->wanted_hash = cms_config_hash(config->hash);
        c->votes_total = cms_voting_votes(&c->wanted, c->wanted.enabled);
        c->lease.longest_usec = config->lease_usec;
        c->others = node_set_without(config->enabled, config->self);
        c->wakeup_usec = USEC_INFINITY;
        c->call_usec = c->target_due_usec = USEC_INFINITY;
        c->ballot.deadline_usec = c->ballot.soft_deadline_usec = c->ballot.resend_usec = USEC_INFINITY;
        for (unsigned l = 0; l < CMS_LINKS_MAX; l++)
                c->carrier[l] = true;
        for (unsigned i = 0; i < NODE_ID_MAX; i++)
                c->lease.over_usec[i] = USEC_INFINITY;
        NODE_SET_FOREACH(id, config->configured) {
                c->known[id - 1].reason = NODE_REASON_NEVER_SEEN;
                c->peers[id - 1].problem = CMS_PROBLEM_NONE;
        }
        *ret = c;
        return 0;
}

Cms *cms_free(Cms *c) {
        free(c);
        return NULL;
}

const Membership *cms_membership(const Cms *c) {
        return c->has_installed && !c->excluded ? &c->installed : NULL;
}

bool cms_in_transition(const Cms *c) {
        return c->transition;
}

void cms_ask(const Cms *c, CmsNotification *ret) {
        const Membership *m = cms_membership(c);

        if (m && !c->transition)
                *ret = (CmsNotification){ .type = CMS_NOTIFICATION_STABLE, .stable = m };
        else
                *ret = (CmsNotification){ .type = CMS_NOTIFICATION_TRANSITION };
}
