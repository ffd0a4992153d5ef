/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What counts for quorum (R7): which nodes there are, their votes, the tie-breaker, the timers that leases
 * rest on. All uses of votes go through here. Pure functions.
 *
 * A voting configuration is known by the number of the newest quorate proposal that carried it; each quorate
 * membership carries the one that is in force once it is installed. So of two the one with the higher number
 * is the newer one, and a proposed one that is older than what is known as committed came to nothing: the
 * membership in between met nobody who had acknowledged it. */

#include "basic/byte-reader.h"
#include "basic/byte-writer.h"
#include "cms/membership.h"

/* Kinds of sections of cluster.conf that are compared apart. */
typedef enum CmsConfigKind {
        CMS_CONFIG_CLUSTER,
        CMS_CONFIG_NODE,
        CMS_CONFIG_FENCE,
        _CMS_CONFIG_KIND_MAX,
        _CMS_CONFIG_KIND_INVALID = -EINVAL,
} CmsConfigKind;

const char *cms_config_kind_to_string(CmsConfigKind i);

/* R11: a lease is more than twice as long as the longest agreement under a single fault, or it would end at
 * members that nothing is wrong with. That agreement takes less than two FailureSec and a half: see
 * /cms/lease/outlasts-agreement. */
#define CMS_LEASE_FAILURES_MIN 5U
#define CMS_LEASE_FAILURES_DEFAULT CMS_LEASE_FAILURES_MIN /* nobody waits longer than for this */

typedef struct CmsVoting {
        Mid mid;            /* none: it is cluster.conf's, and no membership has carried it yet */
        NodeSet configured; /* empty: there is none */
        NodeSet enabled;
        uint8_t votes[NODE_ID_MAX];
        uint32_t identity[NODE_ID_MAX];
        uint32_t tie_breaker;
        uint64_t hash[_CMS_CONFIG_KIND_MAX]; /* of the cluster.conf that it comes from */
        uint64_t heartbeat_usec, failure_usec, lease_usec;
} CmsVoting;

/* What a node knows: the newest one that was in force anywhere, and a newer one that may be. */
typedef struct CmsVotings {
        CmsVoting committed;
        CmsVoting proposed; /* none, most of the time; or its number is above that of committed */
} CmsVotings;

static inline bool cms_voting_is_none(const CmsVoting *v) {
        return v->configured == NODE_SET_EMPTY;
}

static inline bool cms_votings_are_pending(const CmsVotings *v) {
        return !cms_voting_is_none(&v->proposed);
}

/* One number for all kinds of sections. */
uint64_t cms_config_hash(const uint64_t hash[static _CMS_CONFIG_KIND_MAX]);

bool cms_voting_is_valid(const CmsVoting *v);

/* They come from the same cluster.conf, and say the same: a mad peer may claim one for the other. */
bool cms_voting_same(const CmsVoting *a, const CmsVoting *b);

unsigned cms_voting_votes(const CmsVoting *v, NodeSet set);

/* Votes of the set less those of all others: more than half if positive, exactly half if zero. */
int cms_voting_margin(const CmsVoting *v, NodeSet set);

/* The same where both count: the lesser of the two. */
int cms_votings_margin(const CmsVotings *v, NodeSet set);

/* Members with the votes of the counted ones may be quorate: a majority under each; or else exactly half,
 * everybody counted, and all others proven dead (R6). */
bool cms_voting_is_quorate(const CmsVoting *v, NodeSet members, NodeSet counted, NodeSet proven);
bool cms_votings_are_quorate(const CmsVotings *v, NodeSet members, NodeSet counted, NodeSet proven);

/* Who may be a member while both count. */
NodeSet cms_votings_eligible(const CmsVotings *v);
bool cms_votings_break_tie(const CmsVotings *v, NodeSet members);

/* What is in force once the membership with this number is installed, quorate. */
const CmsVoting *cms_votings_after(const CmsVotings *v, Mid mid);

/* Keeps the newest of both. */
void cms_votings_merge(CmsVotings *v, const CmsVotings *other);

/* R7: whoever proposes knows all that the others knew when they answered. */
bool cms_votings_contain(const CmsVotings *v, const CmsVotings *known);

/* R14: nodes that count for nothing any more, or whose id is somebody else's. */
NodeSet cms_voting_gone(const CmsVoting *from, const CmsVoting *to);

/* Ids that are of the same node in both. */
NodeSet cms_voting_kept(const CmsVoting *from, const CmsVoting *to);

void cms_votings_encode(const CmsVotings *v, ByteWriter *w);
void cms_votings_decode(ByteReader *r, CmsVotings *ret); /* ask the reader for the result */
