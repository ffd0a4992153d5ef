/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The reply to GetMembership: dictionaries, so that there can be more in them later. What they hold stands
 * beside the method in dbus/org.hamgr1.xml, and a test compares the two. */

#include <inttypes.h>

#include "hamgr/api/api-internal.h"
#include "hamgr/api/membership.h"

/* A dictionary being written; after an error nothing more is. */
typedef struct Dict {
        const Api *api;    /* weak */
        sd_bus_message *m; /* weak */
        int r;
} Dict;

static void open_value(Dict *d, const char *key, const char *type) {
        if (d->r >= 0)
                d->r = sd_bus_message_open_container(d->m, 'e', "sv");
        if (d->r >= 0)
                d->r = sd_bus_message_append(d->m, "s", key);
        if (d->r >= 0)
                d->r = sd_bus_message_open_container(d->m, 'v', type);
}

static void close_container(Dict *d) {
        if (d->r >= 0)
                d->r = sd_bus_message_close_container(d->m);
}

static void close_value(Dict *d) {
        close_container(d);
        close_container(d);
}

static void put_text(Dict *d, const char *key, const char *text) {
        open_value(d, key, "s");
        if (d->r >= 0)
                d->r = sd_bus_message_append(d->m, "s", strempty(text));
        close_value(d);
}

static void put_bool(Dict *d, const char *key, bool value) {
        open_value(d, key, "b");
        if (d->r >= 0)
                d->r = sd_bus_message_append(d->m, "b", (int) value);
        close_value(d);
}

static void put_u32(Dict *d, const char *key, uint32_t value) {
        open_value(d, key, "u");
        if (d->r >= 0)
                d->r = sd_bus_message_append(d->m, "u", value);
        close_value(d);
}

static void put_u64(Dict *d, const char *key, uint64_t value) {
        open_value(d, key, "t");
        if (d->r >= 0)
                d->r = sd_bus_message_append(d->m, "t", value);
        close_value(d);
}

static void put_usec(Dict *d, const char *key, uint64_t usec) {
        if (usec != API_USEC_UNKNOWN)
                put_u64(d, key, usec);
}

static void put_mid(Dict *d, const char *key, HaMid mid) {
        char text[64] = "";

        if (mid.epoch > 0)
                (void) g_snprintf(text, sizeof(text), "%" PRIu64 ".%" PRIu32, mid.epoch, mid.node);
        put_text(d, key, text);
}

static void put_node(Dict *d, const char *key, uint32_t id) {
        char name[NAME_LENGTH_MAX + 1];

        put_text(d, key, id > 0 ? ha_nodes_name(d->api->nodes, id, name) : "");
}

static void put_set(Dict *d, const char *key, NodeSet set) {
        open_value(d, key, "as");
        if (d->r >= 0)
                d->r = api_append_node_set(d->m, d->api->nodes, set);
        close_value(d);
}

/* A list of dictionaries, each between open_dict() and close_container(). */
static void open_list(Dict *d, const char *key) {
        open_value(d, key, "aa{sv}");
        if (d->r >= 0)
                d->r = sd_bus_message_open_container(d->m, 'a', "a{sv}");
}

static void close_list(Dict *d) {
        close_container(d);
        close_value(d);
}

static void open_dict(Dict *d) {
        if (d->r >= 0)
                d->r = sd_bus_message_open_container(d->m, 'a', "{sv}");
}

/* ---- What is in them ---- */

static void put_link(Dict *d, const ApiLink *l) {
        open_dict(d);
        put_u32(d, "Link", l->index);
        put_text(d, "State", l->state);
        put_usec(d, "HeardAgeUsec", l->heard_age_usec);
        put_usec(d, "RttUsec", l->rtt_usec);
        put_u64(d, "Received", l->n_received);
        put_u64(d, "Lost", l->n_lost);
        put_u32(d, "LongestBytes", l->longest_bytes);
        close_container(d);
}

static void put_peer(Dict *d, const ApiPeer *p) {
        open_dict(d);
        put_node(d, "Name", p->id);
        put_u32(d, "Id", p->id);
        put_text(d, "State", p->state);
        put_text(d, "Reason", p->reason);
        put_text(d, "Problem", p->problem);
        put_bool(d, "Enabled", p->enabled);
        put_u32(d, "Votes", p->votes);
        put_bool(d, "Heard", p->heard);
        put_bool(d, "HearsUs", p->hears_us);
        put_bool(d, "Armed", p->armed);
        put_mid(d, "Membership", p->mid);
        put_bool(d, "Quorate", p->quorate);
        put_set(d, "Hears", p->hears);
        put_usec(d, "HearsAgeUsec", p->hears_age_usec);
        put_u64(d, "HeartbeatsLost", p->heartbeats_lost);
        open_list(d, "Links");
        FOREACH_ARRAY(l, p->links, p->n_links)
                put_link(d, l);
        close_list(d);
        close_container(d);
}

static void put_moved(Dict *d, const ApiMoved *m) {
        open_dict(d);
        put_node(d, "Node", m->node);
        put_text(d, "Move", m->move);
        put_text(d, "State", m->state);
        put_text(d, "Reason", m->reason);
        close_container(d);
}

static void put_change(Dict *d, const ApiChange *c) {
        open_dict(d);
        put_u64(d, "TimeUsec", c->time_usec);
        put_mid(d, "Membership", c->mid);
        put_text(d, "Quorum", c->quorum);
        put_set(d, "Members", c->members);
        open_list(d, "Moved");
        FOREACH_ARRAY(moved, c->moved, c->n_moved)
                put_moved(d, moved);
        close_list(d);
        close_container(d);
}

static void put_membership(Dict *d, const ApiMembership *m) {
        open_dict(d);
        put_text(d, "Cluster", m->cluster);
        put_node(d, "Node", m->node);
        put_text(d, "Phase", m->phase);
        put_set(d, "AwaitedFrom", m->awaited);
        put_mid(d, "Membership", m->mid);
        put_mid(d, "Promised", m->promised);
        put_text(d, "Quorum", m->quorum);
        put_bool(d, "ShutOut", m->shut_out);
        put_bool(d, "NoRecord", m->no_record);
        put_bool(d, "CannotWrite", m->cannot_write);
        put_set(d, "Members", m->members);
        put_set(d, "Hears", m->hears);
        put_set(d, "Target", m->target);
        put_node(d, "Coordinator", m->coordinator);
        put_node(d, "TieBreaker", m->tie_breaker);
        put_u64(d, "HeartbeatUsec", m->heartbeat_usec);
        put_u64(d, "FailureUsec", m->failure_usec);
        put_u64(d, "ConfHash", m->conf_hash);
        put_mid(d, "ConfMembership", m->conf_mid);
        put_u64(d, "ConfWanted", m->conf_wanted);
        put_text(d, "ConfWhy", m->conf_why);
        put_text(d, "ConfWaits", m->conf_waits);
        put_set(d, "ConfWaitsFor", m->conf_waits_for);
        open_list(d, "Nodes");
        FOREACH_ARRAY(p, m->peers, m->n_peers)
                put_peer(d, p);
        close_list(d);
        open_list(d, "Changes");
        FOREACH_ARRAY(c, m->changes, m->n_changes)
                put_change(d, c);
        close_list(d);
        close_container(d);
}

void api_call_membership(ApiCall *call, const ApiMembership *membership) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Dict d = { .api = call->api };

        d.r = sd_bus_message_new_method_return(call->m, &reply);
        d.m = reply;
        put_membership(&d, membership);
        if (d.r < 0) {
                api_call_refuse(call,
                                API_ERROR_NOT_READY,
                                "the answer could not be written: %s",
                                strerror(-d.r));
                return;
        }
        (void) sd_bus_send(NULL, reply, NULL);
        api_call_free(call);
}
