/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/membership.h"

#include "basic/checksum.h"
#include "basic/string-table.h"

static const char *const node_state_table[_NODE_STATE_MAX] = {
        [NODE_UNKNOWN] = "unknown",   [NODE_UP] = "up", [NODE_DOWN] = "down", [NODE_INACTIVE] = "inactive",
        [NODE_DETACHED] = "detached",
};

DEFINE_STRING_TABLE(node_state, NodeState);

static const char *const node_reason_table[_NODE_REASON_MAX] = {
        [NODE_REASON_NONE] = "none",
        [NODE_REASON_NEVER_SEEN] = "never-seen",
        [NODE_REASON_SILENCE] = "silence",
        [NODE_REASON_CONNECTIVITY] = "connectivity",
        [NODE_REASON_NO_ANSWER] = "no-answer",
        [NODE_REASON_LAST_GASP] = "last-gasp",
        [NODE_REASON_NEW_INCARNATION] = "new-incarnation",
        [NODE_REASON_FAREWELL] = "farewell",
        [NODE_REASON_NEW_BOOT] = "new-boot",
        [NODE_REASON_CONFIRMED] = "confirmed",
        [NODE_REASON_HEARD_AGAIN] = "heard-again",
        [NODE_REASON_DISABLED] = "disabled",
        [NODE_REASON_STALLED] = "stalled",
};

DEFINE_STRING_TABLE(node_reason, NodeReason);

unsigned membership_rank_of(const Membership *m, uint32_t id) {
        for (unsigned i = 0; i < m->n_members; i++)
                if (m->rank[i] == id)
                        return i;
        return m->n_members;
}

uint64_t membership_hash(const Membership *m) {
        Hash64 h;

        hash64_init(&h);
        hash64_u64(&h, m->mid.epoch);
        hash64_u64(&h, m->mid.node);
        hash64_u64(&h, m->quorate_mid.epoch);
        hash64_u64(&h, m->quorate_mid.node);
        hash64_u64(&h,
                   (uint64_t) m->quorate << 3 | (uint64_t) m->half << 2 | (uint64_t) m->tie_breaker << 1 |
                                   m->first);
        hash64_u64(&h, m->members);
        hash64_u64(&h, m->n_members);
        hash64_bytes(&h, m->rank, m->n_members);
        hash64_u64(&h, m->configured);
        NODE_SET_FOREACH(id, m->configured) {
                const MembershipNode *n = membership_node(m, id);

                hash64_u64(&h,
                           (uint64_t) n->state << 16 | (uint64_t) n->reason << 8 | (uint64_t) n->armed << 1 |
                                           n->proven);
                hash64_u64(&h, n->incarnation);
                hash64_bytes(&h, n->boot_id.bytes, sizeof(n->boot_id.bytes));
                hash64_u64(&h, n->last_mid.epoch);
                hash64_u64(&h, n->last_mid.node);
        }
        return hash64_result(&h);
}

/* Cores do not print, so the digits are written by hand. */
static char *put_decimal(char *p, uint64_t v) {
        char digits[20];
        unsigned n = 0;

        do
                digits[n++] = (char) ('0' + v % 10);
        while ((v /= 10) != 0);
        while (n > 0)
                *p++ = digits[--n];
        return p;
}

char *mid_format(Mid mid, char buf[static MID_TEXT_MAX]) {
        char *p = buf;

        if (mid_is_none(mid))
                return memcpy(buf, "none", sizeof("none"));
        p = put_decimal(p, mid.epoch);
        *p++ = '.';
        p = put_decimal(p, mid.node);
        *p = '\0';
        return buf;
}
