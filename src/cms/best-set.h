/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The best set of nodes in which everyone confirms everyone (rule R3), by a search of bounded length. */

#include "basic/node-set.h"

/* Steps after which the search gives up and nodes are dropped one by one instead. */
#define BEST_SET_STEPS_MAX 2000U

typedef struct BestSetInput {
        NodeSet candidates;
        NodeSet mutual[NODE_ID_MAX]; /* by id - 1: who confirms it and is confirmed by it; symmetric */
        const uint8_t *votes;        /* by id - 1 */
        uint32_t tie_breaker;
        NodeSet current; /* members now: preferred among equals */
        NodeSet must;    /* all in the result: complete in itself, or it is ignored */
} BestSetInput;

/* Most votes; then with the tie-breaker; then with more of the current members; then the larger; then lowest
 * ids. */
NodeSet best_set(const BestSetInput *in);

/* -1: a is better, 1: b is better, 0: the same set. */
int best_set_compare(const BestSetInput *in, NodeSet a, NodeSet b);

/* Every two nodes of the set confirm each other. */
bool best_set_is_complete(const BestSetInput *in, NodeSet set);

/* Makes mutual[] from who confirms whom. */
void best_set_fill_mutual(BestSetInput *in, const NodeSet confirms[static NODE_ID_MAX]);
