/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/voting.h"

#include "basic/checksum.h"
#include "basic/time-util.h"

#define HEARTBEAT_USEC_MIN USEC_PER_MSEC
#define LEASE_USEC_MAX USEC_PER_DAY

uint64_t cms_config_hash(const uint64_t hash[static _CMS_CONFIG_KIND_MAX]) {
        Hash64 h;

        hash64_init(&h);
        for (unsigned i = 0; i < _CMS_CONFIG_KIND_MAX; i++)
                hash64_u64(&h, hash[i]);
        return hash64_result(&h);
}

bool cms_voting_is_valid(const CmsVoting *v) {
        if (v->enabled == NODE_SET_EMPTY || !node_set_is_subset(v->enabled, v->configured) ||
            !node_set_contains(v->enabled, v->tie_breaker))
                return false;
        if (v->heartbeat_usec < HEARTBEAT_USEC_MIN || v->lease_usec > LEASE_USEC_MAX)
                return false;
        return v->failure_usec >= 3 * v->heartbeat_usec &&
               v->lease_usec / CMS_LEASE_FAILURES_MIN >= v->failure_usec;
}

bool cms_voting_same(const CmsVoting *a, const CmsVoting *b) {
        return memcmp(a->hash, b->hash, sizeof(a->hash)) == 0 && a->configured == b->configured &&
               a->enabled == b->enabled && a->tie_breaker == b->tie_breaker &&
               memcmp(a->votes, b->votes, sizeof(a->votes)) == 0 &&
               memcmp(a->identity, b->identity, sizeof(a->identity)) == 0 &&
               a->heartbeat_usec == b->heartbeat_usec && a->failure_usec == b->failure_usec &&
               a->lease_usec == b->lease_usec;
}

/* ---- votes ---- */

unsigned cms_voting_votes(const CmsVoting *v, NodeSet set) {
        unsigned sum = 0;

        NODE_SET_FOREACH(id, set & v->enabled)
                sum += v->votes[id - 1];
        return sum;
}

int cms_voting_margin(const CmsVoting *v, NodeSet set) {
        int margin = 0;

        NODE_SET_FOREACH(id, v->enabled)
                margin += node_set_contains(set, id) ? v->votes[id - 1] : -v->votes[id - 1];
        return margin;
}

int cms_votings_margin(const CmsVotings *v, NodeSet set) {
        int margin = cms_voting_margin(&v->committed, set);

        if (!cms_votings_are_pending(v))
                return margin;
        return MIN(margin, cms_voting_margin(&v->proposed, set));
}

bool cms_voting_is_quorate(const CmsVoting *v, NodeSet members, NodeSet counted, NodeSet proven) {
        if (cms_voting_margin(v, counted) > 0)
                return true;
        return counted == members && cms_voting_margin(v, members) == 0 &&
               node_set_is_subset(node_set_minus(v->enabled, members), proven);
}

bool cms_votings_are_quorate(const CmsVotings *v, NodeSet members, NodeSet counted, NodeSet proven) {
        return cms_voting_is_quorate(&v->committed, members, counted, proven) &&
               (!cms_votings_are_pending(v) ||
                cms_voting_is_quorate(&v->proposed, members, counted, proven));
}

NodeSet cms_votings_eligible(const CmsVotings *v) {
        if (!cms_votings_are_pending(v))
                return v->committed.enabled;
        return node_set_minus(v->committed.enabled, cms_voting_gone(&v->committed, &v->proposed));
}

/* Where both count only one half can say so, and perhaps none. */
bool cms_votings_break_tie(const CmsVotings *v, NodeSet members) {
        return node_set_contains(members, v->committed.tie_breaker) &&
               (!cms_votings_are_pending(v) || node_set_contains(members, v->proposed.tie_breaker));
}

/* ---- older and newer ---- */

const CmsVoting *cms_votings_after(const CmsVotings *v, Mid mid) {
        return cms_votings_are_pending(v) && mid_equal(v->proposed.mid, mid) ? &v->proposed : &v->committed;
}

void cms_votings_merge(CmsVotings *v, const CmsVotings *other) {
        if (mid_compare(other->committed.mid, v->committed.mid) > 0)
                v->committed = other->committed;
        if (cms_votings_are_pending(other) &&
            (!cms_votings_are_pending(v) || mid_compare(other->proposed.mid, v->proposed.mid) > 0))
                v->proposed = other->proposed;
        if (mid_compare(v->proposed.mid, v->committed.mid) <= 0)
                v->proposed = (CmsVoting){ 0 };
}

bool cms_votings_contain(const CmsVotings *v, const CmsVotings *known) {
        int newer = mid_compare(v->committed.mid, known->committed.mid);

        if (newer < 0 || (newer == 0 && !cms_voting_same(&v->committed, &known->committed)))
                return false;
        if (!cms_votings_are_pending(known) || mid_compare(known->proposed.mid, v->committed.mid) <= 0)
                return true;
        newer = mid_compare(v->proposed.mid, known->proposed.mid);
        return newer > 0 || (newer == 0 && cms_voting_same(&v->proposed, &known->proposed));
}

NodeSet cms_voting_kept(const CmsVoting *from, const CmsVoting *to) {
        NodeSet kept = from->configured & to->configured;

        NODE_SET_FOREACH(id, kept)
                if (from->identity[id - 1] != to->identity[id - 1])
                        node_set_remove(&kept, id);
        return kept;
}

NodeSet cms_voting_gone(const CmsVoting *from, const CmsVoting *to) {
        return node_set_minus(from->enabled, cms_voting_kept(from, to) & to->enabled);
}

/* ---- in messages and records ---- */

static void encode(const CmsVoting *v, ByteWriter *w) {
        byte_writer_u64(w, v->mid.epoch);
        byte_writer_u8(w, (uint8_t) v->mid.node);
        byte_writer_u64(w, v->configured);
        byte_writer_u64(w, v->enabled);
        byte_writer_u8(w, (uint8_t) v->tie_breaker);
        for (unsigned i = 0; i < _CMS_CONFIG_KIND_MAX; i++)
                byte_writer_u64(w, v->hash[i]);
        byte_writer_u64(w, v->heartbeat_usec);
        byte_writer_u64(w, v->failure_usec);
        byte_writer_u64(w, v->lease_usec);
        NODE_SET_FOREACH(id, v->configured) {
                byte_writer_u8(w, v->votes[id - 1]);
                byte_writer_u32(w, v->identity[id - 1]);
        }
}

static void decode(ByteReader *r, CmsVoting *ret) {
        ret->mid.epoch = byte_reader_u64(r);
        ret->mid.node = byte_reader_u8_max(r, NODE_ID_MAX);
        ret->configured = byte_reader_u64(r);
        ret->enabled = byte_reader_u64(r);
        ret->tie_breaker = byte_reader_u8_max(r, NODE_ID_MAX);
        for (unsigned i = 0; i < _CMS_CONFIG_KIND_MAX; i++)
                ret->hash[i] = byte_reader_u64(r);
        ret->heartbeat_usec = byte_reader_u64(r);
        ret->failure_usec = byte_reader_u64(r);
        ret->lease_usec = byte_reader_u64(r);
        NODE_SET_FOREACH(id, ret->configured) {
                ret->votes[id - 1] = byte_reader_u8(r);
                ret->identity[id - 1] = byte_reader_u32(r);
        }
        if ((ret->mid.epoch == 0) != (ret->mid.node == 0) || ret->mid.epoch > MID_EPOCH_MAX ||
            !cms_voting_is_valid(ret))
                byte_reader_fail(r);
}

void cms_votings_encode(const CmsVotings *v, ByteWriter *w) {
        uint8_t n = cms_voting_is_none(&v->committed) ? 0 : !cms_votings_are_pending(v) ? 1 : 2;

        byte_writer_u8(w, n);
        if (n > 0)
                encode(&v->committed, w);
        if (n > 1)
                encode(&v->proposed, w);
}

void cms_votings_decode(ByteReader *r, CmsVotings *ret) {
        uint8_t n = byte_reader_u8_max(r, 2);

        *ret = (CmsVotings){ 0 };
        if (n > 0)
                decode(r, &ret->committed);
        if (n > 1)
                decode(r, &ret->proposed);
        if (n > 1 && mid_compare(ret->proposed.mid, ret->committed.mid) <= 0)
                byte_reader_fail(r);
}
