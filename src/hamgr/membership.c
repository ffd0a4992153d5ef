/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* GetMembership: asks hagcd on a connection of its own, so that neither an old hagcd that does not know the
 * question nor a full window gets in the way of the group, and so that there is an answer while the group
 * has none. All who ask meanwhile are answered by one. */

#include <poll.h>
#include <sys/epoll.h>

#include "basic/time-util.h"
#include "hamgr/api/membership.h"
#include "hamgr/manager.h"
#include "shared/event-util.h"

/* hagcd answers from its memory. */
#define ANSWER_USEC (3 * USEC_PER_SEC)

/* Anybody may ask: those who wait must not fill the room for calls. */
#define ASKERS_MAX 32U

struct Question {
        hagcs *hagcd;              /* owned; NULL: nobody asks */
        sd_event_source *io;       /* owned */
        sd_event_source *deadline; /* owned timer */
        GPtrArray *askers;         /* ApiCalls, owned until answered */
};

static ApiCall *take_asker(Question *q) {
        return q->askers->len > 0 ? g_ptr_array_steal_index(q->askers, 0) : NULL;
}

static void hang_up(Question *q) {
        q->io = sd_event_source_disable_unref(q->io);
        q->hagcd = hagcs_close(q->hagcd);
        if (q->deadline)
                (void) event_timer_disarm(q->deadline);
}

static void refuse(Question *q, const char *why) {
        ApiCall *call;

        hang_up(q);
        while ((call = take_asker(q)))
                api_call_refuse(call, API_ERROR_NOT_READY, "%s", why);
}

/* ---- From hagcd's words to the bus's ---- */

static HaMid mid_of(hagcs_mid mid) {
        return (HaMid){ mid.epoch, mid.node_id };
}

static const char *quorum_text(hagcs_quorum quorum) {
        switch (quorum) {
        case HAGCS_QUORUM_YES:
                return "yes";
        case HAGCS_QUORUM_HALF:
                return "half";
        case HAGCS_QUORUM_NONE:
                break;
        }
        return "none";
}

static void fill_peer(hagcs *h, size_t i, ApiPeer *ret, ApiLink *links) {
        const hagcs_peer *p = hagcs_membership_peer(h, i);

        *ret = (ApiPeer){
                .id = p->id,
                .state = hagcs_node_state_to_string(p->state),
                .reason = p->reason,
                .problem = p->problem,
                .enabled = p->enabled,
                .votes = p->votes,
                .heard = p->heard,
                .hears_us = p->hears_us,
                .armed = p->armed,
                .mid = mid_of(p->mid),
                .quorate = p->quorate,
                .hears = p->hears,
                .hears_age_usec = p->hears_age_usec,
                .heartbeats_lost = p->heartbeats_lost,
                .links = links,
                .n_links = p->n_links,
        };
        for (size_t l = 0; l < p->n_links; l++) {
                const hagcs_link *link = hagcs_membership_link(h, i, l);

                links[l] = (ApiLink){
                        .index = link->index,
                        .state = hagcs_link_state_to_string(link->state),
                        .heard_age_usec = link->heard_age_usec,
                        .rtt_usec = link->rtt_usec,
                        .n_received = link->n_received,
                        .n_lost = link->n_lost,
                        .longest_bytes = link->longest_bytes,
                };
        }
}

static void fill_change(hagcs *h, size_t i, ApiChange *ret, ApiMoved *moved) {
        const hagcs_change *c = hagcs_membership_change(h, i);

        *ret = (ApiChange){
                .time_usec = c->time_usec,
                .mid = mid_of(c->mid),
                .quorum = quorum_text(c->quorum),
                .members = c->members,
                .moved = moved,
                .n_moved = c->n_moved,
        };
        for (size_t k = 0; k < c->n_moved; k++) {
                const hagcs_moved *one = hagcs_membership_moved(h, i, k);

                moved[k] = (ApiMoved){
                        .node = one->node_id,
                        .move = hagcs_move_to_string(one->move),
                        .state = hagcs_node_state_to_string(one->state),
                        .reason = one->reason,
                };
        }
}

static void answer(Question *q) {
        const hagcs_membership *m = hagcs_get_membership(q->hagcd);
        const hagcs_configuration *conf = hagcs_get_configuration(q->hagcd);
        g_autofree ApiPeer *peers = g_new0(ApiPeer, m->n_peers);
        g_autofree ApiLink *links = g_new0(ApiLink, m->n_peers * HAGCS_LINKS_MAX);
        g_autofree ApiChange *changes = g_new0(ApiChange, m->n_changes);
        g_autofree ApiMoved *moved = g_new0(ApiMoved, m->n_changes * 2 * HAGCS_NODES_MAX);
        ApiMembership shown = {
                .cluster = m->cluster,
                .node = m->node_id,
                .phase = m->phase,
                .awaited = m->awaited,
                .mid = mid_of(m->mid),
                .promised = mid_of(m->promised),
                .quorum = quorum_text(m->quorum),
                .shut_out = m->shut_out,
                .no_record = m->no_record,
                .cannot_write = m->cannot_write,
                .members = m->members,
                .hears = m->hears,
                .target = m->target,
                .coordinator = m->coordinator,
                .tie_breaker = m->tie_breaker,
                .heartbeat_usec = m->heartbeat_usec,
                .failure_usec = m->failure_usec,
                .conf_hash = conf->hash,
                .conf_wanted = conf->wanted,
                .conf_mid = mid_of(conf->mid),
                .conf_why = conf->why,
                .conf_waits = conf->text,
                .conf_waits_for = conf->waits_for,
                .peers = peers,
                .n_peers = m->n_peers,
                .changes = changes,
                .n_changes = m->n_changes,
        };
        ApiCall *call;

        for (size_t i = 0; i < m->n_peers; i++)
                fill_peer(q->hagcd, i, &peers[i], links + i * HAGCS_LINKS_MAX);
        for (size_t i = 0; i < m->n_changes; i++)
                fill_change(q->hagcd, i, &changes[i], moved + i * 2 * HAGCS_NODES_MAX);
        while ((call = take_asker(q)))
                api_call_membership(call, &shown);
        hang_up(q);
}

/* ---- The question ---- */

static void update_io(Question *q) {
        (void) sd_event_source_set_io_events(
                        q->io, EPOLLIN | (hagcs_get_events(q->hagcd) & POLLOUT ? (uint32_t) EPOLLOUT : 0));
}

/* One that does not know the question takes it for nonsense. */
static void on_disconnected(Question *q, const hagcs_event *e) {
        g_autofree char *why = g_strdup_printf(
                        "hagcd ended the connection: %s; %s",
                        e->text,
                        e->error == -EPROTO
                                        ? "it is older than hamgr: restart it by \"systemctl restart hagcd\""
                                        : "see \"systemctl status hagcd\"");

        refuse(q, why);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Question *q = userdata;
        const hagcs_event *e;
        int r;

        while ((r = hagcs_dispatch(q->hagcd, &e)) > 0)
                if (e->type == HAGCS_EVENT_MEMBERSHIP) {
                        answer(q);
                        return 0;
                } else if (e->type == HAGCS_EVENT_DISCONNECTED) {
                        on_disconnected(q, e);
                        return 0;
                }
        if (r < 0 && r != -ENOMEM)
                refuse(q, "hagcd's answer is not understood");
        else
                update_io(q);
        return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        refuse(userdata, "hagcd did not answer within 3 s; see \"systemctl status hagcd\"");
        return 0;
}

static int ask(Manager *m, Question *q) {
        int r;

        r = hagcs_open(NULL, &q->hagcd);
        if (r < 0)
                return r;
        r = event_io_new(m->event, "membership", hagcs_get_fd(q->hagcd), EPOLLIN, on_io, q, &q->io);
        if (r < 0)
                return r;
        r = hagcs_ask_membership(q->hagcd);
        if (r < 0)
                return r;
        update_io(q);
        return event_timer_in(q->deadline, ANSWER_USEC);
}

void membership_show(Manager *m, ApiCall *call) {
        Question *q = m->question;

        if (q->askers->len >= ASKERS_MAX) {
                api_call_refuse(call,
                                API_ERROR_NOT_READY,
                                "%u callers are waiting for hagcd's answer already; try again later",
                                ASKERS_MAX);
                return;
        }
        g_ptr_array_add(q->askers, call);
        if (!q->hagcd && ask(m, q) < 0)
                refuse(q, "hagcd is not reachable; see \"systemctl status hagcd\"");
}

int membership_start(Manager *m) {
        m->question = g_new0(Question, 1);
        m->question->askers = g_ptr_array_new();
        return event_timer_new(
                        m->event, "membership-deadline", on_deadline, m->question, &m->question->deadline);
}

void membership_stop(Manager *m) {
        Question *q = m->question;

        if (!q)
                return;
        refuse(q, "hamgr is stopping on this node");
        sd_event_source_disable_unref(q->deadline);
        g_ptr_array_unref(q->askers);
        m->question = NULL;
        g_free(q);
}
