/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "shared/cluster-timers.h"
#include "basic/macro.h"

#define HEARTBEATS_IN_FAILOVER 10U
#define HEARTBEATS_IN_FAILURE 4U
#define USEC_FOR_NODE_AND_LINK 500U

uint64_t cluster_timers_heartbeat(uint64_t failover_usec) {
        return failover_usec / HEARTBEATS_IN_FAILOVER;
}

uint64_t cluster_timers_failure(uint64_t failover_usec) {
        return HEARTBEATS_IN_FAILURE * cluster_timers_heartbeat(failover_usec);
}

uint64_t cluster_timers_failover_of(uint64_t heartbeat_usec) {
        return HEARTBEATS_IN_FAILOVER * heartbeat_usec;
}

uint64_t cluster_timers_failover(uint64_t heartbeat_usec, uint64_t failure_usec) {
        return 2 * failure_usec + 2 * heartbeat_usec;
}

uint64_t cluster_timers_lease(uint64_t failure_usec) {
        return CLUSTER_TIMERS_FAILURES_IN_LEASE * failure_usec;
}

uint64_t cluster_timers_heartbeat_min(size_t n_nodes, size_t n_links) {
        return MAX(CLUSTER_HEARTBEAT_USEC_MIN, (uint64_t) USEC_FOR_NODE_AND_LINK * n_nodes * n_links);
}

uint64_t cluster_timers_failover_default(size_t n_nodes, size_t n_links) {
        return MAX(CLUSTER_FAILOVER_USEC_DEFAULT,
                   cluster_timers_failover_of(cluster_timers_heartbeat_min(n_nodes, n_links)));
}
