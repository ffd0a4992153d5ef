/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connection to hagcd. All hamgrs are critical members of one group; what it delivers is the only thing
 * that changes the replicated state. A hamgr that begins gets the state from the oldest member, or begins a
 * new one when there is nobody to ask; then, and not before, it says hello. */

#include <poll.h>
#include <sys/epoll.h>

#include "basic/checksum.h"
#include "basic/time-util.h"
#include "hamgr/manager.h"
#include "shared/event-util.h"
#include "shared/log.h"
#include "shared/message-ids.h"

/* How often it is looked at whether what the others were told of this node still holds. */
#define PROMISE_LOOK_USEC (5 * USEC_PER_SEC)

static void disconnect(Manager *m, const char *why);

static void set_trouble(Manager *m, const char *format, ...) _printf_(2, 3);

static void set_trouble(Manager *m, const char *format, ...) {
        char text[MANAGER_TROUBLE_MAX];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (streq(text, m->trouble))
                return;
        (void) g_strlcpy(m->trouble, text, sizeof(m->trouble));
        if (text[0])
                log_notice("this node cannot act: %s", text);
        else
                log_info("this node can act");
        manager_update_status(m);
        api_everything_changed(m->api);
}

bool group_is_quorate(const Manager *m) {
        return m->group && hagcs_get_cluster(m->group)->quorum == HAGCS_QUORUM_YES;
}

const hagcs_node *group_find_node(const Manager *m, uint32_t id) {
        const hagcs_cluster *c = m->group ? hagcs_get_cluster(m->group) : NULL;

        for (size_t i = 0; c && i < c->n_nodes; i++)
                if (c->nodes[i].id == id)
                        return &c->nodes[i];
        return NULL;
}

/* What an administrator who looks at a node that does not act should read. */
static void update_trouble(Manager *m) {
        const hagcs_cluster *c;

        if (!m->group) {
                set_trouble(m, "hagcd is not reachable; see \"systemctl status hagcd\"");
                return;
        }
        if (m->active) {
                if (state_phase(m->state) == STATE_PHASE_FORMING) {
                        char reason[STATE_TEXT_MAX];

                        state_phase_reason(m->state, reason);
                        set_trouble(m, "the cluster is forming: %s", reason);
                } else
                        set_trouble(m, "%s", "");
                return;
        }
        c = hagcs_get_cluster(m->group);
        if (c->n_nodes == 0 || c->quorum == HAGCS_QUORUM_YES) {
                set_trouble(m, "joining the other managers");
                return;
        }
        for (size_t i = 0; i < c->n_nodes; i++)
                if (c->nodes[i].state == HAGCS_NODE_DETACHED && !c->nodes[i].heard) {
                        set_trouble(m,
                                    "no quorum%s; %s left with groups running: start its hagcd, or make "
                                    "sure that it is off, then: hactl fence confirm %s",
                                    c->quorum == HAGCS_QUORUM_HALF ? " (exactly half of the votes)" : "",
                                    c->nodes[i].name,
                                    c->nodes[i].name);
                        return;
                }
        for (size_t i = 0; i < c->n_nodes; i++)
                if (c->nodes[i].id != c->node_id && !isempty(c->nodes[i].problem)) {
                        set_trouble(m,
                                    "no quorum%s; %s: %s",
                                    c->quorum == HAGCS_QUORUM_HALF ? " (exactly half of the votes)" : "",
                                    c->nodes[i].name,
                                    c->nodes[i].problem);
                        return;
                }
        set_trouble(m, "no quorum%s", c->quorum == HAGCS_QUORUM_HALF ? " (exactly half of the votes)" : "");
}

/* ---- Out ---- */

static void update_io(Manager *m) {
        uint32_t events = 0;
        int wanted = hagcs_get_events(m->group);

        if (wanted & POLLIN)
                events |= EPOLLIN;
        if (wanted & POLLOUT)
                events |= EPOLLOUT;
        (void) sd_event_source_set_io_events(m->group_io, events);
}

static void flush(Manager *m) {
        GBytes *bytes;

        while (m->group && m->registered && (bytes = g_queue_peek_head(m->queue))) {
                int r = hagcs_send(m->group, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), 0);

                if (r == -EAGAIN)
                        break; /* until WRITABLE */
                if (r < 0) {
                        /* The others wait for what is lost here: begin anew, unless we are leaving them. */
                        log_warning_errno(
                                        r,
                                        "cannot send a message of %zu bytes to the other managers: %m%s",
                                        g_bytes_get_size(bytes),
                                        m->leaving == MANAGER_UNREGISTERS ? "" : "; connecting anew");
                        if (m->leaving != MANAGER_UNREGISTERS)
                                (void) event_timer_in(m->group_retry, 0);
                        break;
                }
                g_bytes_unref(g_queue_pop_head(m->queue));
        }
        if (m->group)
                update_io(m);
}

static void drop_queue(Manager *m) {
        g_queue_clear_full(m->queue, (GDestroyNotify) g_bytes_unref);
}

void group_send(Manager *m, StateMessage *message) {
        GBytes *bytes;

        if (!m->active)
                return; /* what is said to nobody is said again when we are back: the state asks for it */
        message->time_usec = state_clock_now(&m->clock, now_boottime_usec());
        bytes = state_message_encode(message);
        if (!bytes) {
                log_error("a message to the other managers is larger than %u bytes, dropping it",
                          STATE_MESSAGE_BYTES_MAX);
                return;
        }
        if (g_queue_get_length(m->queue) >= MANAGER_QUEUE_MAX) {
                /* hagcd has not taken anything for long: begin anew rather than lose one in the middle. Not
                 * from here: a delivery may be under way. */
                log_error("hagcd has taken none of %u messages; connecting anew", MANAGER_QUEUE_MAX);
                g_bytes_unref(bytes);
                (void) event_timer_in(m->group_retry, 0);
                return;
        }
        g_queue_push_tail(m->queue, bytes);
        flush(m);
}

void group_set_armed(Manager *m, bool armed) {
        if (m->armed == armed)
                return;
        m->armed = armed;
        awake_want(m->awake, armed);
        if (m->group && hagcs_set_armed(m->group, armed) >= 0)
                update_io(m);
}

void group_hand_over(Manager *m) {
        if (m->group && m->registered)
                (void) hagcs_hand_over(m->group);
}

int group_unregister(Manager *m) {
        int r;

        if (!m->group || !m->registered)
                return -ENOTCONN;
        r = hagcs_unregister(m->group);
        if (r >= 0)
                update_io(m);
        return r;
}

/* ---- In ---- */

/* New for each registration, the same on all nodes, never 0. */
static uint64_t member_instance(const hagcs_member *member) {
        Hash64 h;
        uint64_t v;

        hash64_init(&h);
        hash64_u64(&h, member->incarnation);
        hash64_u64(&h, member->number);
        v = hash64_result(&h);
        return v ?: 1;
}

static StateNodeState node_state(hagcs_node_state s) {
        switch (s) {
        case HAGCS_NODE_UP:
                return STATE_NODE_UP;
        case HAGCS_NODE_DOWN:
                return STATE_NODE_DOWN;
        case HAGCS_NODE_INACTIVE:
                return STATE_NODE_INACTIVE;
        case HAGCS_NODE_DETACHED:
                return STATE_NODE_DETACHED;
        case HAGCS_NODE_UNKNOWN:
                return STATE_NODE_UNKNOWN;
        }
        ASSERT_NOT_REACHED();
}

static void feed_view(Manager *m, const hagcs_event *e) {
        g_autofree StateViewNode *nodes = g_new0(StateViewNode, e->view.n_nodes);
        g_autofree StateViewMember *members = g_new0(StateViewMember, e->view.n_members);

        for (size_t i = 0; i < e->view.n_nodes; i++) {
                const hagcs_node *n = &e->view.nodes[i];

                nodes[i] = (StateViewNode){
                        .id = n->id,
                        .state = node_state(n->state),
                        .incarnation = n->incarnation,
                };
                memcpy(nodes[i].boot_id.bytes, n->boot_id, sizeof(nodes[i].boot_id.bytes));
                (void) g_strlcpy(nodes[i].reason, n->reason, sizeof(nodes[i].reason));
        }
        for (size_t i = 0; i < e->view.n_members; i++)
                members[i] = (StateViewMember){
                        .node = e->view.members[i].node_id,
                        .instance = member_instance(&e->view.members[i]),
                };
        manager_feed(m,
                     &(StateInput){
                                     .type = STATE_INPUT_VIEW,
                                     .mid = { e->mid.epoch, e->mid.node_id },
                                     .sequence = e->sequence,
                                     .view = { .quorate = true,
                                               .nodes = nodes,
                                               .n_nodes = e->view.n_nodes,
                                               .members = members,
                                               .n_members = e->view.n_members },
                     });
}

/* R12: what the others may count on, should this node be lost. */
static void promise_reset(Manager *m, StateHello *hello) {
        const ClusterNode *self = cluster_conf_node_by_id(m->conf, m->self);
        Budget b;

        if (!self)
                return;
        /* hamgr may have come first; and hagcd may have been started with another file than we were. */
        m->budget_facts.keeper_runs = lease_ends_node(m);
        budget_compute(m->conf, self, &m->budget_facts, &b);
        if (b.is_wrong)
                log_warning("nothing is taken over from this node by time: %s", b.refusal);
        if (!isempty(b.refusal))
                return;
        hello->capabilities |= STATE_CAPABILITY_RESETS;
        hello->reset_usec = b.reset_usec;
        (void) event_timer_in(m->promise_timer, PROMISE_LOOK_USEC);
}

void group_say_hello(Manager *m) {
        StateMessage hello = {
                .type = STATE_MESSAGE_HELLO,
                .hello = { .capabilities = STATE_CAPABILITY_FENCE },
        };

        /* The others may not know yet that cluster.conf names us: it is heard only when they do. */
        if (!state_node(m->state, m->self))
                return;
        promise_reset(m, &hello.hello);
        hello.hello.record = record_newest(m->record);
        group_send(m, &hello);
        fencing_tell_of_half(m);
        leave_joined(m);
}

static void on_view(Manager *m, const hagcs_event *e) {
        if (!e->view.fresh) {
                if (m->active)
                        feed_view(m, e);
                return;
        }
        /* Alone, or all of us begin at once: there is nobody to get the state from. */
        if (e->view.formation || e->view.n_members == 1) {
                cluster_begin_nodes(m, &m->nodes);
                manager_begin(m, state_new(&m->nodes, m->self));
                feed_view(m, e);
                group_say_hello(m);
        }
}

static void on_snapshot(Manager *m, const hagcs_event *e) {
        State *s;
        int r;

        if (m->active)
                return;
        if (e->error < 0) {
                disconnect(m, "every manager that could hand over the state has left; joining anew");
                return;
        }
        r = state_deserialize(m->self, e->data, e->size, &s);
        if (r < 0) {
                log_error_errno(r,
                                "the state that another manager handed over is not understood: %m; is its "
                                "version of "
                                "hamgr newer than this one?");
                disconnect(m, "the state of the others is not understood");
                return;
        }
        manager_begin(m, s);
        cluster_catch_up(m);
        group_say_hello(m);
}

static void on_message(Manager *m, const hagcs_event *e) {
        StateMessage message;
        int r;

        if (!m->active)
                return;
        r = state_message_decode(e->data, e->size, &message);
        if (r < 0) {
                /* All replicas drop it alike. */
                log_error_errno(r,
                                "a message of the manager on %s is not understood: %m, dropping it",
                                manager_node_name(m, e->sender.node_id));
                return;
        }
        if (message.type == STATE_MESSAGE_PLAN && e->sender.own)
                m->plan_sent = false;
        manager_feed(m,
                     &(StateInput){
                                     .type = STATE_INPUT_MESSAGE,
                                     .mid = { e->mid.epoch, e->mid.node_id },
                                     .sequence = e->sequence,
                                     .sender = { e->sender.node_id, member_instance(&e->sender) },
                                     .message = &message,
                     });
        state_message_done(&message);
}

static void give_snapshot(Manager *m, const hagcs_event *e) {
        g_autoptr(GBytes) bytes = NULL;
        int r;

        if (!m->active)
                return;
        bytes = state_serialize(m->state);
        r = hagcs_give_snapshot(m->group, e->cookie, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
        if (r < 0)
                log_error_errno(r,
                                "cannot hand the state to the manager on %s: %m",
                                manager_node_name(m, e->sender.node_id));
}

static void suspend(Manager *m, const char *why) {
        if (m->active)
                log_notice("%s; starting nothing", why);
        drop_queue(m);
        manager_suspend(m);
        update_trouble(m);
}

/* Out of the membership, or in one that has no quorum: the lease is not renewed any more. Who has none yet,
 * after a start, has lost nothing. */
static void follow_quorum(Manager *m) {
        const hagcs_cluster *c = hagcs_get_cluster(m->group);
        bool lost = m->had_quorum && c->shut_out;

        m->had_quorum = c->quorum == HAGCS_QUORUM_YES || (m->had_quorum && !lost);
        if (lost && m->conf->on_quorum_loss == CLUSTER_STOPS)
                local_stop_for_quorum(m);
}

static void on_registered(Manager *m, const hagcs_event *e) {
        /* The service goes on trying: its predecessor may not be quite gone. By hand, beside it, that is no
         * use. */
        if (e->error == -EEXIST && !getenv("NOTIFY_SOCKET")) {
                log_error("hamgr runs on this server already; it is started by systemctl start hamgr, and "
                          "only "
                          "once");
                (void) sd_event_exit(m->event, EXIT_FAILURE);
                return;
        }
        if (e->error < 0) {
                log_error_errno(e->error, "hagcd refuses this manager as a member: %s", e->text);
                disconnect(m, e->text);
                return;
        }
        m->registered = true;
}

static void on_event(Manager *m, const hagcs_event *e) {
        switch (e->type) {
        case HAGCS_EVENT_REGISTERED:
                on_registered(m, e);
                break;
        case HAGCS_EVENT_VIEW:
                on_view(m, e);
                break;
        case HAGCS_EVENT_MESSAGE:
                on_message(m, e);
                break;
        case HAGCS_EVENT_SNAPSHOT_REQUEST:
                give_snapshot(m, e);
                break;
        case HAGCS_EVENT_SNAPSHOT:
                on_snapshot(m, e);
                break;
        case HAGCS_EVENT_SHUT_OUT:
                suspend(m, "the cluster went on without this node, or has no quorum");
                break;
        case HAGCS_EVENT_WRITABLE:
                break; /* flushed after each turn */
        case HAGCS_EVENT_MEMBERSHIP:
        case HAGCS_EVENT_GROUP:
        case HAGCS_EVENT_RELOADED:
                break; /* not asked for here: see membership.c */
        case HAGCS_EVENT_FROZEN:
                break; /* nothing is delivered, so nothing changes */
        case HAGCS_EVENT_CLUSTER:
                follow_quorum(m);
                fencing_update_half(m);
                cluster_follow(m);
                api_everything_changed(m->api);
                break;
        case HAGCS_EVENT_UNREGISTERED:
                m->registered = false;
                leave_unregistered(m);
                break;
        case HAGCS_EVENT_DISCONNECTED:
                disconnect(m, e->text);
                break;
        }
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Manager *m = userdata;
        const hagcs_event *e;
        int r;

        while (m->group && (r = hagcs_dispatch(m->group, &e)) != 0) {
                if (r == -ENOMEM || r == -EINTR)
                        return 0; /* later */
                if (r < 0) {
                        disconnect(m, strerror(-r));
                        break;
                }
                on_event(m, e);
        }
        local_update_armed(m);
        flush(m);
        update_trouble(m);
        leave_continue(m);
        return 0;
}

/* ---- The connection ---- */

static void disconnect(Manager *m, const char *why) {
        if (m->group)
                log_warning("the connection to hagcd ended: %s", why);
        m->group_io = sd_event_source_disable_unref(m->group_io);
        m->group = hagcs_close(m->group);
        m->registered = false;
        suspend(m, "not connected to hagcd");
        (void) event_timer_in(m->group_retry, MANAGER_RECONNECT_USEC);
}

/* R14: what the others count on is what was said to them last. So it is said anew, which takes a new
 * instance of ours. */
static int on_promise_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *m = userdata;

        if (budget_watchdog_holds(&m->budget_facts))
                return event_timer_in(m->promise_timer, PROMISE_LOOK_USEC);
        m->budget_facts.lapsed = true;
        if (m->group)
                disconnect(m, "the watchdog is not as the others were told; telling them anew");
        update_trouble(m);
        return 0;
}

/* Until we know what runs here, something may. But when the lease is over and nobody was reset by that, then
 * the hamgr before had proven that nothing does, and nothing may be started: to be armed now would reset the
 * node for nothing. */
static int arm_at_first(Manager *m) {
        m->armed = !lease_ended_unarmed(m);
        awake_want(m->awake, m->armed);
        return m->armed ? hagcs_set_armed(m->group, true) : 0;
}

static int connect_group(Manager *m) {
        static const hagcs_registration registration = {
                .group = MANAGER_GROUP,
                .name = MANAGER_GROUP,
                .flags = HAGCS_CRITICAL | HAGCS_WANT_SNAPSHOT,
                .liveliness_usec = MANAGER_LIVELINESS_USEC,
                .grace_usec = MANAGER_GRACE_USEC,
        };
        int r;

        r = hagcs_open(NULL, &m->group);
        if (r < 0)
                return r;
        lease_open(m);
        m->had_quorum = false;
        r =
                        event_io_new(m->event,
                                     "group",
                                     hagcs_get_fd(m->group),
                                     (uint32_t) hagcs_get_events(m->group),
                                     on_io,
                                     m,
                                     &m->group_io);
        if (r < 0)
                return r;
        r = hagcs_register(m->group, &registration);
        if (r < 0)
                return r;
        r = arm_at_first(m);
        if (r < 0)
                return r;
        update_io(m);
        return 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *m = userdata;

        if (m->group)
                disconnect(m, "it takes no messages");
        else if (connect_group(m) < 0) {
                m->group_io = sd_event_source_disable_unref(m->group_io);
                m->group = hagcs_close(m->group);
                (void) event_timer_in(m->group_retry, MANAGER_RECONNECT_USEC);
        }
        update_trouble(m);
        return 0;
}

int group_start(Manager *m) {
        int r;

        m->queue = g_queue_new();
        r = event_timer_new(m->event, "group-reconnect", on_retry, m, &m->group_retry);
        if (r >= 0)
                r = event_timer_new(m->event, "promise", on_promise_timer, m, &m->promise_timer);
        if (r < 0)
                return r;
        return event_timer_in(m->group_retry, 0);
}

void group_stop(Manager *m) {
        sd_event_source_disable_unref(m->group_retry);
        sd_event_source_disable_unref(m->promise_timer);
        sd_event_source_disable_unref(m->group_io);
        hagcs_close(m->group);
        lease_close(m);
        if (m->queue)
                g_queue_free_full(m->queue, (GDestroyNotify) g_bytes_unref);
}
