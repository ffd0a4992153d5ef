/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the scripted stories of the membership core share: a small cluster in virtual time, with the checker
 * of the swarm looking on. Each file of stories adds its own to the test program. */

#include <glib.h>

#include "sim/cms-actor.h"

#define MSEC USEC_PER_MSEC
#define SET3 ((NodeSet) 7)

typedef struct Heard {
        uint64_t at_usec;
        uint32_t at_node;
        CmsNotification n;
        Membership stable;
} Heard;

typedef struct Story {
        World *w;
        CmsSim *s;
        CmsMessageType lost_type; /* by story_lose() */
        NodeSet lost_from, lost_to;
        Heard heard[512];
        unsigned n_heard;
} Story;

Story *story_new_links(unsigned n_nodes, unsigned n_links);
Story *story_new(unsigned n_nodes);
void story_free(Story *t);
void story_run(Story *t, uint64_t usec);
void story_start_all(Story *t);
Story *story_settled(unsigned n_nodes);
Cms *story_cms(Story *t, uint32_t node);
const Membership *story_membership(Story *t, uint32_t node);
NodeSet story_members(Story *t, uint32_t node);
void story_feed(Story *t, uint32_t node, CmsEvent event);
/* How long until the set is settled; fails when it takes longer than the limit. */
uint64_t story_settle(Story *t, NodeSet set, uint64_t limit_usec);
void story_cut(Story *t, NodeSet a, NodeSet b);
CmsPeerView story_peer_view(Story *t, uint32_t at, uint32_t of);

/* From here on messages of this type get lost between these nodes, until something else does. */
#define STORY_ANY_MESSAGE ((CmsMessageType) 0)
void story_lose(Story *t, CmsMessageType type, NodeSet from, NodeSet to);
void story_lose_nothing(Story *t);

/* The memberships that were told of, from the one after h; NULL: from the first, and after the last. */
const Heard *story_next_stable(const Story *t, const Heard *h);
/* NOLINTBEGIN(bugprone-macro-parentheses): h is a name to be. */
#define STORY_FOREACH_STABLE(h, t)                                                                          \
        for (const Heard *h = story_next_stable((t), NULL); h; h = story_next_stable((t), h))
/* NOLINTEND(bugprone-macro-parentheses) */

void story_add_form(void);
void story_add_detect(void);
void story_add_quorum(void);
void story_add_mesh(void);
void story_add_disk(void);
void story_add_ballot(void);
void story_add_faults(void);
void story_add_lease(void);
void story_add_rejoin(void);
void story_add_half(void);
void story_add_config(void);
