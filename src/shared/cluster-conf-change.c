/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What may change in cluster.conf while the cluster runs. Most of it may (R7); what a running hagcd has
 * built upon may not: its sockets, its own place, the name that everybody knows the cluster by. */

#include "basic/time-util.h"
#include "shared/cluster-conf.h"

bool cluster_node_same(const ClusterNode *a, const ClusterNode *b, uint32_t n_links) {
        if (a->id != b->id || !streq(a->name, b->name))
                return false;
        for (uint32_t i = 0; i < n_links; i++)
                if (!cluster_address_equal(&a->addresses[i], &b->addresses[i]))
                        return false;
        return true;
}

NodeSet cluster_conf_nodes_missing(const ClusterConf *in, const ClusterConf *from) {
        NodeSet set = NODE_SET_EMPTY;

        FOREACH_ARRAY(n, from->nodes, from->n_nodes) {
                const ClusterNode *other = cluster_conf_node_by_id(in, n->id);

                if (!other || in->n_links != from->n_links || !cluster_node_same(n, other, from->n_links))
                        node_set_add(&set, n->id);
        }
        return set;
}

ClusterConf *cluster_conf_copy(const ClusterConf *c) {
        _cleanup_(conf_errors_done) ConfErrors errors = { 0 };
        _cleanup_free_ char *text = cluster_conf_to_text(c);
        ClusterConf *copy = NULL;

        if (text)
                (void) cluster_conf_parse(c->file, text, strlen(text), &errors, &copy);
        return copy;
}

static int check_cluster(const ClusterConf *running, const ClusterConf *now, ConfErrors *errors) {
        int r = 0;

        if (!streq(running->name, now->name))
                r =
                                conf_errors_add(errors,
                                                now->file,
                                                now->name_line,
                                                "Name=%s: the cluster that runs is named %s; put that name "
                                                "back, or stop hagcd "
                                                "on every node first",
                                                now->name,
                                                running->name);
        if (r >= 0 && running->port != now->port)
                r =
                                conf_errors_add(errors,
                                                now->file,
                                                now->port_line,
                                                "Port=%u: the nodes talk over port %u; put that back, or "
                                                "stop hagcd on every "
                                                "node first",
                                                now->port,
                                                running->port);
        if (r >= 0 && running->n_links != now->n_links)
                r =
                                conf_errors_add(errors,
                                                now->file,
                                                now->nodes[0].address_line,
                                                "Address=: %u for each node, and the cluster runs with %u "
                                                "links; put that back, "
                                                "or stop hagcd on every node first",
                                                now->n_links,
                                                running->n_links);
        return r;
}

/* Leases and the waits for their end are as long as the timers of the nodes that wait (R14). */
static int check_timers(const ClusterConf *running, const ClusterConf *now, ConfErrors *errors) {
        char heartbeat[DURATION_TEXT_MAX], failure[DURATION_TEXT_MAX];

        if (running->heartbeat_usec == now->heartbeat_usec && running->failure_usec == now->failure_usec)
                return 0;
        return conf_errors_add(
                        errors,
                        now->file,
                        now->timers_line,
                        "this gives other timers than those that the cluster runs with; write "
                        "HeartbeatSec=%s "
                        "and FailureSec=%s, or stop hagcd on every node first",
                        format_duration(running->heartbeat_usec, heartbeat),
                        format_duration(running->failure_usec, failure));
}

/* The others count on what a node said of itself when it joined (R14). */
static int check_quorum_loss(const ClusterConf *running, const ClusterConf *now, ConfErrors *errors) {
        const char *runs = cluster_on_quorum_loss_to_string(running->on_quorum_loss);

        if (running->on_quorum_loss == now->on_quorum_loss)
                return 0;
        return conf_errors_add(
                        errors,
                        now->file,
                        now->quorum_loss_line,
                        "this gives OnQuorumLoss=%s, and the cluster runs with OnQuorumLoss=%s; write "
                        "OnQuorumLoss=%s, or stop hagcd on every node first",
                        cluster_on_quorum_loss_to_string(now->on_quorum_loss),
                        runs,
                        runs);
}

/* Likewise: whoever waits would do so by the watchdog of before. One more is no matter. */
static int check_watchdogs(const ClusterConf *running, const ClusterConf *now, ConfErrors *errors) {
        char text[DURATION_TEXT_MAX];

        FOREACH_ARRAY(was, running->nodes, running->n_nodes) {
                const ClusterNode *is = cluster_conf_node_by_id(now, was->id);
                int r;

                if (!is || was->watchdog == CLUSTER_WATCHDOG_NO ||
                    (is->watchdog == was->watchdog && is->watchdog_usec == was->watchdog_usec))
                        continue;
                r = conf_errors_add(
                                errors,
                                now->file,
                                is->line,
                                "the cluster runs with Watchdog=%s%s%s in [Node %s], and "
                                "counts on it; put that back, or stop hagcd on every node "
                                "first",
                                cluster_watchdog_to_string(was->watchdog),
                                was->watchdog_usec > 0 ? " and WatchdogSec=" : "",
                                was->watchdog_usec > 0 ? format_duration(was->watchdog_usec, text) : "",
                                was->name);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_self(const ClusterConf *running, const ClusterConf *now, uint32_t id, ConfErrors *errors) {
        const ClusterNode *self = cluster_conf_node_by_id(running, id), *named, *numbered;
        char text[CLUSTER_ADDRESS_TEXT_MAX];

        assert(self);

        named = cluster_conf_node_by_name(now, self->name);
        numbered = cluster_conf_node_by_id(now, id);
        if (!named)
                return conf_errors_add(
                                errors,
                                now->file,
                                numbered ? numbered->line : 0,
                                "there is no [Node %s], and hagcd runs on it; to take it out of the "
                                "cluster, "
                                "stop hagcd there first: systemctl stop hagcd",
                                self->name);
        if (named != numbered)
                return conf_errors_add(
                                errors,
                                now->file,
                                named->line,
                                "node %s has Id=%u, and runs as %u; put that back, or stop hagcd there "
                                "first",
                                self->name,
                                named->id,
                                id);
        for (uint32_t i = 0; i < MIN(running->n_links, now->n_links); i++)
                if (!cluster_address_equal(&self->addresses[i], &named->addresses[i]))
                        return conf_errors_add(
                                        errors,
                                        now->file,
                                        named->address_line,
                                        "node %s runs with the address %s on link %u; put that back, or "
                                        "stop "
                                        "hagcd there first",
                                        self->name,
                                        cluster_address_format(&self->addresses[i], text),
                                        i);
        return 0;
}

int cluster_conf_check_change(
                const ClusterConf *running, const ClusterConf *now, uint32_t self, ConfErrors *errors) {
        int r;

        r = check_cluster(running, now, errors);
        if (r >= 0)
                r = check_timers(running, now, errors);
        if (r >= 0)
                r = check_quorum_loss(running, now, errors);
        if (r >= 0)
                r = check_watchdogs(running, now, errors);
        if (r >= 0)
                r = check_self(running, now, self, errors);
        return r;
}
