/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How the membership looks from this node, as GetMembership shows it: what hagcd told, with the manager in
 * between. All texts and arrays are borrowed. */

#include "basic/node-set.h"
#include "hamgr/api/api.h"

typedef struct ApiLink {
        uint32_t index;
        const char *state;
        uint64_t heard_age_usec;
        uint64_t rtt_usec;
        uint64_t n_received, n_lost;
        uint32_t longest_bytes;
} ApiLink;

typedef struct ApiPeer {
        uint32_t id;
        const char *state, *reason, *problem;
        bool enabled;
        uint32_t votes;
        bool heard, hears_us, armed;
        HaMid mid; /* epoch 0: none */
        bool quorate;
        NodeSet hears;
        uint64_t hears_age_usec;
        uint64_t heartbeats_lost;

        const ApiLink *links;
        size_t n_links;
} ApiPeer;

typedef struct ApiMoved {
        uint32_t node;
        const char *move, *state, *reason;
} ApiMoved;

typedef struct ApiChange {
        uint64_t time_usec; /* CLOCK_REALTIME */
        HaMid mid;
        const char *quorum;
        NodeSet members;

        const ApiMoved *moved;
        size_t n_moved;
} ApiChange;

typedef struct ApiMembership {
        const char *cluster;
        uint32_t node;
        const char *phase;
        NodeSet awaited;
        HaMid mid, promised; /* epoch 0: none */
        const char *quorum;
        bool shut_out, no_record, cannot_write;
        NodeSet members, hears, target;
        uint32_t coordinator, tie_breaker; /* 0: none */
        uint64_t heartbeat_usec, failure_usec;
        uint64_t conf_hash, conf_wanted;   /* cluster.conf in force, and as it is on this node */
        HaMid conf_mid;                    /* since when; epoch 0: since the cluster was formed */
        const char *conf_why, *conf_waits; /* they differ: a word, and for people */
        NodeSet conf_waits_for;

        const ApiPeer *peers;
        size_t n_peers;
        const ApiChange *changes; /* the oldest first */
        size_t n_changes;
} ApiMembership;

/* Answers API_REQUEST_MEMBERSHIP; the call is gone then. */
void api_call_membership(ApiCall *call, const ApiMembership *membership);
