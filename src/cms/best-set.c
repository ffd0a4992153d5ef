/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/best-set.h"

/* Branch and bound over the nodes that are in conflict with somebody: what confirms everybody left is always
 * taken, so a full mesh costs one step and each broken link at most doubles the work. */

typedef struct Search {
        const BestSetInput *in;
        NodeSet best;
        unsigned steps;
        bool exhausted;
} Search;

static unsigned votes_of(const BestSetInput *in, NodeSet set) {
        unsigned sum = 0;

        NODE_SET_FOREACH(id, set)
                sum += in->votes[id - 1];
        return sum;
}

int best_set_compare(const BestSetInput *in, NodeSet a, NodeSet b) {
        unsigned va = votes_of(in, a), vb = votes_of(in, b), ca, cb;

        if (a == b)
                return 0;
        if (va != vb)
                return va > vb ? -1 : 1;
        if (node_set_contains(a, in->tie_breaker) != node_set_contains(b, in->tie_breaker))
                return node_set_contains(a, in->tie_breaker) ? -1 : 1;
        ca = node_set_count(a & in->current);
        cb = node_set_count(b & in->current);
        if (ca != cb)
                return ca > cb ? -1 : 1;
        ca = node_set_count(a);
        cb = node_set_count(b);
        if (ca != cb)
                return ca > cb ? -1 : 1;
        return node_set_contains(a, node_set_lowest(a ^ b)) ? -1 : 1;
}

bool best_set_is_complete(const BestSetInput *in, NodeSet set) {
        NODE_SET_FOREACH(id, set)
                if (!node_set_is_subset(node_set_without(set, id), in->mutual[id - 1]))
                        return false;
        return true;
}

/* Bit b of row a becomes bit a of row b: halves of blocks change places, then quarters, down to single bits.
 */
static void transpose(NodeSet rows[static NODE_ID_MAX]) {
        NodeSet low = UINT64_C(0xffffffff);

        for (unsigned half = NODE_ID_MAX / 2; half > 0; half /= 2, low ^= low << half)
                for (unsigned i = 0; i < NODE_ID_MAX; i = (i + half + 1) & ~half) {
                        NodeSet moved = ((rows[i] >> half) ^ rows[i + half]) & low;

                        rows[i] ^= moved << half;
                        rows[i + half] ^= moved;
                }
}

/* This runs at every change that is seen, in clusters of all sizes. */
void best_set_fill_mutual(BestSetInput *in, const NodeSet confirms[static NODE_ID_MAX]) {
        NodeSet confirmed_by[NODE_ID_MAX] = { 0 };

        NODE_SET_FOREACH(id, in->candidates)
                confirmed_by[id - 1] = confirms[id - 1] & in->candidates;
        transpose(confirmed_by);
        NODE_SET_FOREACH(id, in->candidates)
                in->mutual[id - 1] = node_set_without(confirms[id - 1] & confirmed_by[id - 1], id);
}

/* The node of the set that confirms the fewest others of it, lowest id first; 0 when the set is complete. */
static uint32_t most_conflicting(const BestSetInput *in, NodeSet set) {
        unsigned most = 0;
        uint32_t found = 0;

        NODE_SET_FOREACH(id, set) {
                unsigned n = node_set_count(node_set_minus(node_set_without(set, id), in->mutual[id - 1]));

                if (n > most) {
                        most = n;
                        found = id;
                }
        }
        return found;
}

static void search(Search *s, NodeSet chosen, NodeSet left) {
        uint32_t id;

        if (s->exhausted)
                return;
        if (++s->steps > BEST_SET_STEPS_MAX) {
                s->exhausted = true;
                return;
        }
        if (votes_of(s->in, chosen | left) < votes_of(s->in, s->best))
                return;
        id = most_conflicting(s->in, left);
        if (id == 0) {
                if (best_set_compare(s->in, chosen | left, s->best) < 0)
                        s->best = chosen | left;
                return;
        }
        search(s, node_set_with(chosen, id), left & s->in->mutual[id - 1]);
        search(s, chosen, node_set_without(left, id));
}

/* Drops the node with the fewest confirmed votes, highest id first, until the rest is complete. */
static NodeSet drop_worst(const BestSetInput *in, NodeSet must, NodeSet left) {
        while (!best_set_is_complete(in, left)) {
                unsigned fewest = UINT32_MAX;
                uint32_t worst = 0;

                NODE_SET_FOREACH(id, left) {
                        unsigned v = votes_of(in, left & in->mutual[id - 1]);

                        if (v <= fewest) {
                                fewest = v;
                                worst = id;
                        }
                }
                node_set_remove(&left, worst);
        }
        return must | left;
}

NodeSet best_set(const BestSetInput *in) {
        Search s = { .in = in };
        NodeSet must = in->must & in->candidates, left, dropped;

        if (must != in->must || !best_set_is_complete(in, must))
                must = NODE_SET_EMPTY;
        left = node_set_minus(in->candidates, must);
        NODE_SET_FOREACH(id, must)
                left &= in->mutual[id - 1];

        s.best = must;
        search(&s, must, left);
        if (!s.exhausted)
                return s.best;
        dropped = drop_worst(in, must, left);
        return best_set_compare(in, dropped, s.best) < 0 ? dropped : s.best;
}
