/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sets of nodes. Node ids run from 1 to 64; bit id-1 stands for node id, so a set compares, copies and
 * travels as one integer, and is always walked from the lowest id up. */

#include <stdbool.h>
#include <stdint.h>

#include "basic/macro.h"

#define NODE_ID_MIN 1U
#define NODE_ID_MAX 64U

typedef uint64_t NodeSet;

#define NODE_SET_EMPTY ((NodeSet) 0)
#define NODE_SET_ALL (~(NodeSet) 0)

/* Longest text that node_set_format() writes: "{1 2 ... 64}" and the final zero. */
#define NODE_SET_TEXT_MAX 200U

static inline bool node_id_is_valid(uint32_t id) {
        return id >= NODE_ID_MIN && id <= NODE_ID_MAX;
}

static inline NodeSet node_set_of(uint32_t id) {
        assert(node_id_is_valid(id));
        return UINT64_C(1) << (id - 1);
}

static inline bool node_set_contains(NodeSet set, uint32_t id) {
        return node_id_is_valid(id) && (set & node_set_of(id)) != 0;
}

static inline NodeSet node_set_with(NodeSet set, uint32_t id) {
        return set | node_set_of(id);
}

static inline NodeSet node_set_without(NodeSet set, uint32_t id) {
        return set & ~node_set_of(id);
}

static inline void node_set_add(NodeSet *set, uint32_t id) {
        *set |= node_set_of(id);
}

static inline void node_set_remove(NodeSet *set, uint32_t id) {
        *set &= ~node_set_of(id);
}

static inline bool node_set_is_empty(NodeSet set) {
        return set == 0;
}

static inline unsigned node_set_count(NodeSet set) {
        return (unsigned) __builtin_popcountll(set);
}

/* What a has and b has not. */
static inline NodeSet node_set_minus(NodeSet a, NodeSet b) {
        return a & ~b;
}

static inline bool node_set_is_subset(NodeSet inner, NodeSet outer) {
        return (inner & ~outer) == 0;
}

/* The lowest, or highest, id of the set; 0 when it is empty. */
static inline uint32_t node_set_lowest(NodeSet set) {
        return set ? (uint32_t) __builtin_ctzll(set) + 1 : 0;
}

static inline uint32_t node_set_highest(NodeSet set) {
        return set ? 64U - (uint32_t) __builtin_clzll(set) : 0;
}

/* The lowest id of the set that is above id; 0 when there is none. node_set_next(set, 0) is the lowest. */
static inline uint32_t node_set_next(NodeSet set, uint32_t id) {
        return id >= NODE_ID_MAX ? 0 : node_set_lowest(set & (NODE_SET_ALL << id));
}

/* NOLINTBEGIN(bugprone-macro-parentheses): id is a name to be. */
/* Walks the ids upward. The set is read once, so the body may change the variable it came from. */
#define NODE_SET_FOREACH(id, set)                                                                           \
        for (NodeSet id##_left = (set), id##_once = 1; id##_once; id##_once = 0)                            \
                for (uint32_t id; (id = node_set_lowest(id##_left)) != 0; id##_left &= id##_left - 1)
/* NOLINTEND(bugprone-macro-parentheses) */

/* Writes "{1 2 5}" and returns buf, which holds NODE_SET_TEXT_MAX bytes. */
char *node_set_format(NodeSet set, char buf[static NODE_SET_TEXT_MAX]);
