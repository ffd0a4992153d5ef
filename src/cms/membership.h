/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the membership service agrees on, as GCS and the shells see it: numbers, members, and the state of
 * every configured node. A Membership is the same, byte for byte, on every node that installs its mid. */

#include <stdbool.h>
#include <stdint.h>

#include "basic/macro.h"
#include "basic/node-set.h"

/* The number of a membership, and of the ballot that made it: compared by epoch, then by node. Zero: none.
 */
typedef struct Mid {
        uint64_t epoch;
        uint32_t node; /* the coordinator that called the ballot */
} Mid;

#define MID_NONE ((Mid){ 0, 0 })

/* No cluster counts so far. What claims more comes from nobody sane, and adding one to it must not begin
 * anew. */
#define MID_EPOCH_MAX (UINT64_C(1) << 62)

/* Longest text of mid_format(), with the final zero. */
#define MID_TEXT_MAX 32U

static inline int mid_compare(Mid a, Mid b) {
        return a.epoch != b.epoch ? CMP(a.epoch, b.epoch) : CMP(a.node, b.node);
}

static inline bool mid_equal(Mid a, Mid b) {
        return a.epoch == b.epoch && a.node == b.node;
}

static inline bool mid_is_none(Mid m) {
        return m.epoch == 0;
}

/* One boot of one machine, as /proc/sys/kernel/random/boot_id names it. All zero: not known. */
typedef struct BootId {
        uint8_t bytes[16];
} BootId;

static inline bool boot_id_equal(const BootId *a, const BootId *b) {
        return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static inline bool boot_id_is_none(const BootId *a) {
        return boot_id_equal(a, &(BootId){ { 0 } });
}

typedef enum NodeState {
        NODE_UNKNOWN,  /* out, and not proven dead */
        NODE_UP,       /* in the membership */
        NODE_DOWN,     /* out, and proven dead: exactly the boot that is named beside it */
        NODE_INACTIVE, /* out by a farewell with nothing left running, or disabled */
        NODE_DETACHED, /* out by a farewell with groups left running */
        _NODE_STATE_MAX,
        _NODE_STATE_INVALID = -EINVAL,
} NodeState;

/* Why a node is in the state that it is in. */
typedef enum NodeReason {
        NODE_REASON_NONE,            /* it is up */
        NODE_REASON_NEVER_SEEN,      /* never a member of any membership that somebody here remembers */
        NODE_REASON_SILENCE,         /* not heard for FailureSec */
        NODE_REASON_CONNECTIVITY,    /* heard, but not by everybody, or it does not hear everybody */
        NODE_REASON_NO_ANSWER,       /* heard, but did not acknowledge in time, or cannot write */
        NODE_REASON_LAST_GASP,       /* its hagcd died */
        NODE_REASON_NEW_INCARNATION, /* it was started again and is not a member yet */
        NODE_REASON_FAREWELL,        /* it left on purpose */
        NODE_REASON_NEW_BOOT,        /* its machine came up anew: what ran on it before is gone */
        NODE_REASON_CONFIRMED,       /* its fencing was confirmed */
        NODE_REASON_HEARD_AGAIN,     /* it had been confirmed down, and the same boot was heard again */
        NODE_REASON_DISABLED,        /* not enabled in the configuration */
        NODE_REASON_STALLED,         /* heard, and what is ordered does not reach it, or not from it (R10) */
        _NODE_REASON_MAX,
        _NODE_REASON_INVALID = -EINVAL,
} NodeReason;

/* One configured node. For a node that is not up, incarnation, boot_id and last_mid are those of the last
 * membership that it was in (zero: never), so (node, incarnation, boot_id, mid) names what a fence order is
 * about. */
typedef struct MembershipNode {
        NodeState state;
        NodeReason reason;
        uint64_t incarnation;
        BootId boot_id;
        Mid last_mid;
        bool armed;  /* it said that something may run there (hamgr armed it) */
        bool proven; /* proven dead within the present split: counts for a half (rule R6) */
} MembershipNode;

typedef struct Membership {
        Mid mid;
        uint64_t hash;    /* of the proposal: the same mid always has the same hash */
        Mid quorate_mid;  /* newest quorate membership that any member had installed before this one */
        bool quorate;     /* may flush, order and deliver */
        bool half;        /* exactly half of the votes are in it (whether quorate by proof or not) */
        bool tie_breaker; /* the tie-breaker is in it */
        bool first; /* quorate, and no member remembers a quorate membership in memory (R4: a formation) */

        NodeSet members;
        unsigned n_members;
        uint8_t rank[NODE_ID_MAX]; /* members, the senior first: rank[0] coordinates */

        NodeSet configured;
        MembershipNode nodes[NODE_ID_MAX]; /* by id - 1; zero for ids that are not configured */
} Membership;

static inline const MembershipNode *membership_node(const Membership *m, uint32_t id) {
        return &m->nodes[id - 1];
}

/* Exactly this incarnation of the node is a member. */
static inline bool membership_has(const Membership *m, uint32_t id, uint64_t incarnation) {
        return node_set_contains(m->members, id) && m->nodes[id - 1].incarnation == incarnation;
}

/* Place of a member in the rank order; n_members when it is none. */
unsigned membership_rank_of(const Membership *m, uint32_t id);

/* 64 bits over everything that the members must agree on (all but hash itself). */
uint64_t membership_hash(const Membership *m);

/* Writes "17.2" (epoch 17, called by node 2) or "none", and returns buf. */
char *mid_format(Mid mid, char buf[static MID_TEXT_MAX]);

const char *node_state_to_string(NodeState i);
NodeState node_state_from_string(const char *s);
const char *node_reason_to_string(NodeReason i);
NodeReason node_reason_from_string(const char *s);
