/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From one setting to the timers of the membership. FailoverWithinSec= is the time from the failure of a
 * node to the moment at which a takeover starts, beside what the fence device and the application take:
 *
 *     FailureSec         the node is silent, at the longest since its very last heartbeat
 *   + FailureSec         a ballot that comes to nothing, as when a second node dies while it is agreed
 *   + 2 * HeartbeatSec   the ballot that is agreed upon, the flush, and the orders up to the start
 *
 * HeartbeatSec is a tenth of it and FailureSec four tenths, so that three heartbeats in a row may be late or
 * lost. Measured with real nodes on two busy cores: a kill is in the new membership of all up to 32 ms after
 * FailureSec with 3 to 16 nodes and 41 ms with 32, of the 200 ms that the default leaves.
 *
 * A heartbeat costs a node 34 to 67 us of one core for each other node and link (the same measurement). At
 * half a millisecond for each node and link, heartbeats take about a tenth of a core at rest; below that
 * HeartbeatSec is refused. */

#include <stddef.h>
#include <stdint.h>

#define CLUSTER_FAILOVER_USEC_DEFAULT (1000 * UINT64_C(1000))
#define CLUSTER_FAILOVER_USEC_MIN (500 * UINT64_C(1000))
#define CLUSTER_FAILOVER_USEC_MAX (50 * UINT64_C(1000000))

/* Range of HeartbeatSec= when it is given. */
#define CLUSTER_HEARTBEAT_USEC_MIN (20 * UINT64_C(1000))
#define CLUSTER_HEARTBEAT_USEC_MAX (5 * UINT64_C(1000000))

uint64_t cluster_timers_heartbeat(uint64_t failover_usec);
uint64_t cluster_timers_failure(uint64_t failover_usec);

/* The setting that gives this HeartbeatSec. */
uint64_t cluster_timers_failover_of(uint64_t heartbeat_usec);

/* What these two allow to promise. */
uint64_t cluster_timers_failover(uint64_t heartbeat_usec, uint64_t failure_usec);

#define CLUSTER_TIMERS_FAILURES_IN_LEASE 5U

/* How long a lease is (R11). The least that the membership takes: the longest agreement under a single
 * fault, during which nobody renews one, has to end within half of it. */
uint64_t cluster_timers_lease(uint64_t failure_usec);

/* The least that so many nodes and links allow. */
uint64_t cluster_timers_heartbeat_min(size_t n_nodes, size_t n_links);

/* FailoverWithinSec where nothing is said: more than a second only for more nodes and links than it allows.
 */
uint64_t cluster_timers_failover_default(size_t n_nodes, size_t n_links);
