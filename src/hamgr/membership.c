/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* GetMembership: how hagcd sees the others. */

#include "hamgr/api/membership.h"
#include "hamgr/inquiry.h"

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

static void answer(Inquiry *q, hagcs *h) {
        const hagcs_membership *m = hagcs_get_membership(h);
        const hagcs_configuration *conf = hagcs_get_configuration(h);
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
                fill_peer(h, i, &peers[i], links + i * HAGCS_LINKS_MAX);
        for (size_t i = 0; i < m->n_changes; i++)
                fill_change(h, i, &changes[i], moved + i * 2 * HAGCS_NODES_MAX);
        while ((call = inquiry_take_asker(q)))
                api_call_membership(call, &shown);
}

static bool heard(Inquiry *q, hagcs *h, const hagcs_event *e) {
        if (e->type != HAGCS_EVENT_MEMBERSHIP)
                return false;
        answer(q, h);
        return true;
}

static const InquiryType question = { "membership", hagcs_ask_membership, heard, NULL };

void membership_show(Manager *m, ApiCall *call) {
        inquiry_put(m->membership, call);
}

int membership_start(Manager *m) {
        return inquiry_new(m, &question, &m->membership);
}

void membership_stop(Manager *m) {
        m->membership = inquiry_free(m->membership);
}
