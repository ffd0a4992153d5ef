/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Questions to a ClusterConf, and its canonical text. */

#include <arpa/inet.h>

#include "basic/str-buf.h"
#include "basic/time-util.h"
#include "shared/cluster-access.h"

const ClusterNode *cluster_conf_node_by_name(const ClusterConf *c, const char *name) {
        FOREACH_ARRAY(n, c->nodes, c->n_nodes)
                if (streq(n->name, name))
                        return n;

        return NULL;
}

const ClusterNode *cluster_conf_node_by_id(const ClusterConf *c, uint32_t id) {
        FOREACH_ARRAY(n, c->nodes, c->n_nodes)
                if (n->id == id)
                        return n;

        return NULL;
}

const char *cluster_conf_node_name(const ClusterConf *c, uint32_t id) {
        const ClusterNode *n = cluster_conf_node_by_id(c, id);

        return n ? n->name : NULL;
}

NodeSet cluster_conf_nodes(const ClusterConf *c) {
        NodeSet set = NODE_SET_EMPTY;

        /* While a file is being checked, a node may still be without an id. */
        FOREACH_ARRAY(n, c->nodes, c->n_nodes)
                if (node_id_is_valid(n->id))
                        node_set_add(&set, n->id);
        return set;
}

NodeSet cluster_conf_enabled_nodes(const ClusterConf *c) {
        NodeSet set = NODE_SET_EMPTY;

        FOREACH_ARRAY(n, c->nodes, c->n_nodes)
                if (n->enabled && node_id_is_valid(n->id))
                        node_set_add(&set, n->id);
        return set;
}

uint32_t cluster_conf_votes(const ClusterConf *c, NodeSet set) {
        uint32_t votes = 0;

        FOREACH_ARRAY(n, c->nodes, c->n_nodes)
                if (n->enabled && node_set_contains(set, n->id))
                        votes += n->votes;
        return votes;
}

NodeSet cluster_conf_fenceable_nodes(const ClusterConf *c) {
        NodeSet set = NODE_SET_EMPTY;

        FOREACH_ARRAY(f, c->fences, c->n_fences)
                FOREACH_ARRAY(n, f->nodes, f->n_nodes)
                        node_set_add(&set, n->node_id);
        return set;
}

bool cluster_conf_has_levels(const ClusterConf *c) {
        for (size_t i = 0; i < c->n_fences; i++)
                if (c->fences[i].level != i + 1)
                        return true;
        return false;
}

const char *cluster_fence_plug(const ClusterFence *f, uint32_t node_id) {
        FOREACH_ARRAY(n, f->nodes, f->n_nodes)
                if (n->node_id == node_id)
                        return n->plug;

        return NULL;
}

uint64_t cluster_conf_fence_usec(const ClusterConf *c, uint32_t node_id) {
        uint64_t sum_usec = 0;

        FOREACH_ARRAY(f, c->fences, c->n_fences)
                if (cluster_fence_plug(f, node_id))
                        sum_usec = usec_add(sum_usec, f->timeout_usec);
        return sum_usec;
}

ClusterOnQuorumLoss cluster_conf_on_quorum_loss_default(const ClusterConf *c) {
        NodeSet fenceable = cluster_conf_fenceable_nodes(c);

        FOREACH_ARRAY(n, c->nodes, c->n_nodes)
                if (n->enabled && n->watchdog != CLUSTER_WATCHDOG_NO && !node_set_contains(fenceable, n->id))
                        return CLUSTER_STOPS;
        return CLUSTER_FREEZES;
}

/* ---- Addresses ---- */

socklen_t cluster_address_length(const ClusterAddress *a) {
        return a->sa.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
}

bool cluster_address_equal(const ClusterAddress *a, const ClusterAddress *b) {
        if (a->sa.sa_family != b->sa.sa_family)
                return false;
        if (a->sa.sa_family == AF_INET)
                return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
        return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
}

uint16_t cluster_address_port(const ClusterAddress *a) {
        return ntohs(a->sa.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
}

const char *cluster_address_format(const ClusterAddress *a, char buf[static CLUSTER_ADDRESS_TEXT_MAX]) {
        const void *p = a->sa.sa_family == AF_INET ? (const void *) &a->in.sin_addr : &a->in6.sin6_addr;
        const char *text = inet_ntop(a->sa.sa_family, p, buf, CLUSTER_ADDRESS_TEXT_MAX);

        return text ? text : memcpy(buf, "?", sizeof("?"));
}

/* ---- Canonical text ---- */

static void write_duration(StrBuf *b, const char *key, uint64_t usec) {
        char text[DURATION_TEXT_MAX];

        str_buf_printf(b, "%s=%s\n", key, format_duration(usec, text));
}

static void write_node(StrBuf *b, const ClusterConf *c, const ClusterNode *n) {
        char text[CLUSTER_ADDRESS_TEXT_MAX];

        str_buf_printf(b, "\n[Node %s]\nId=%u\nAddress=", n->name, n->id);
        for (size_t i = 0; i < c->n_links; i++)
                str_buf_printf(b, "%s%s", i > 0 ? " " : "", cluster_address_format(&n->addresses[i], text));
        str_buf_printf(b, "\nVotes=%u\nEnabled=%s\n", n->votes, yes_no(n->enabled));
        /* Not the default: hamgr of before does not know the keys. */
        if (n->watchdog == CLUSTER_WATCHDOG_NO)
                return;
        str_buf_printf(b, "Watchdog=%s\n", cluster_watchdog_to_string(n->watchdog));
        if (n->watchdog_usec > 0)
                write_duration(b, "WatchdogSec", n->watchdog_usec);
}

static void write_fence(StrBuf *b, const ClusterConf *c, const ClusterFence *f) {
        str_buf_printf(b, "\n[Fence %s]\n", f->name);
        if (f->type == CLUSTER_FENCE_AGENT)
                str_buf_printf(b, "Agent=%s\n", f->agent);
        else
                str_buf_printf(b, "Type=%s\n", cluster_fence_type_to_string(f->type));
        str_buf_add(b, "Nodes=");
        for (size_t i = 0; i < f->n_nodes; i++)
                str_buf_printf(b,
                               "%s%s:%s",
                               i > 0 ? " " : "",
                               cluster_conf_node_name(c, f->nodes[i].node_id),
                               f->nodes[i].plug);
        str_buf_add_char(b, '\n');
        if (cluster_conf_has_levels(c))
                str_buf_printf(b, "Level=%u\n", f->level);

        for (size_t i = 0; i < f->n_parameters; i++)
                str_buf_printf(b, "Parameter=%s\n", f->parameters[i]);
        if (f->parameter_file)
                str_buf_printf(b, "ParameterFile=%s\n", f->parameter_file);
        if (f->credential)
                str_buf_printf(b, "Credential=%s\n", f->credential);
        if (f->ca_file)
                str_buf_printf(b, "CAFile=%s\n", f->ca_file);
        if (f->no_verification)
                str_buf_add(b, "VerifyCertificate=no\n");
        write_duration(b, "TimeoutSec", f->timeout_usec);
        /* Likewise. */
        if (f->check_usec != CLUSTER_FENCE_CHECK_USEC_DEFAULT)
                write_duration(b, "CheckSec", f->check_usec);
        str_buf_printf(b, "PowerOn=%s\n", yes_no(f->power_on));
}

char *cluster_conf_to_text(const ClusterConf *c) {
        _cleanup_(str_buf_done) StrBuf b = {};

        str_buf_printf(&b, "[Cluster]\nName=%s\n", c->name);
        /* With both of them FailoverWithinSec= says nothing more. */
        write_duration(&b, "HeartbeatSec", c->heartbeat_usec);
        write_duration(&b, "FailureSec", c->failure_usec);
        str_buf_printf(&b, "Port=%u\nTieBreaker=%s\n", c->port, cluster_conf_node_name(c, c->tie_breaker));
        write_duration(&b, "UnseenFenceSec", c->unseen_fence_usec);
        write_duration(&b, "FenceDelaySec", c->fence_delay_usec);
        write_duration(&b, "RejoinHoldSec", c->rejoin_hold_usec);
        /* Not the default: hagcd of before does not know the key. */
        if (c->dissemination != CLUSTER_DISSEMINATION_AUTO)
                str_buf_printf(&b, "Dissemination=%s\n", cluster_dissemination_to_string(c->dissemination));
        if (c->on_quorum_loss != cluster_conf_on_quorum_loss_default(c))
                str_buf_printf(&b, "OnQuorumLoss=%s\n", cluster_on_quorum_loss_to_string(c->on_quorum_loss));

        FOREACH_ARRAY(n, c->nodes, c->n_nodes)
                write_node(&b, c, n);
        FOREACH_ARRAY(f, c->fences, c->n_fences)
                write_fence(&b, c, f);
        cluster_access_write(&b, c);

        return str_buf_take(&b);
}
