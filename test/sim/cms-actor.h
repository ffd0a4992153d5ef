/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The membership core on the nodes of a world, and the checker that looks at all of them after every step.
 * Whatever is sent goes through the encoder and the decoder. */

#include "cms/cms-internal.h"
#include "sim/world.h"

#define CMS_SIM_MIDS_MAX 16384U

/* What the world remembers of one number. */
typedef struct CmsSimMid {
        Mid mid;
        uint64_t hash;
        NodeSet members;
        uint64_t incarnation[NODE_ID_MAX];
        NodeSet acknowledged; /* who said so, with that incarnation */
        NodeSet no_record;
        bool used, proposed, installed, quorate;
        uint64_t first_usec;
} CmsSimMid;

typedef struct CmsSimNode {
        Cms *cms;      /* owned; NULL while it is down */
        Mid promised;  /* highest that it ever answered or acknowledged, since its storage was last wiped */
        Mid installed; /* newest that it ever installed */
        bool wiped;    /* and not taken in again */
        uint64_t n_installed;
        uint64_t last_install_usec;
        uint64_t second_usec; /* that is counted, */
        unsigned n_in_second; /* and what was installed in it */
        bool leaving;
        uint64_t left_usec;                       /* when it last was asked to leave */
        uint64_t held_since_usec, held_last_usec; /* it waits, after too many crashes; 0: it does not */
} CmsSimNode;

typedef struct CmsSim CmsSim;

/* Told of every notification, after the checks; for stories, and for the actor above. */
typedef void (*CmsSimListener)(World *w, uint32_t node, const CmsNotification *notification, void *userdata);

struct CmsSim {
        CmsConfig config; /* self is filled in for each node */
        CmsSimNode nodes[NODE_ID_MAX];
        CmsEffects effects; /* of the step at hand */
        CmsMessage message;
        CmsSimMid *mids; /* owned; a hash table for look-ups only */
        unsigned n_mids;
        unsigned fault; /* CmsFault of the broken build */

        bool fencing; /* halves fence those outside, out of band */
        uint64_t fence_usec;
        uint64_t fence_delay_usec;   /* of the half without the tie-breaker */
        uint64_t fence_told_usec;    /* success is known at most so much later */
        unsigned fence_fails_one_in; /* 0: never */
        unsigned n_fenced;
        bool device_lies; /* in this story */

        CmsSimListener listener;
        void *listener_userdata;
        uint64_t config_hash_of[NODE_ID_MAX]; /* by id - 1; differs: another configuration there */
        uint64_t hold_usec_of[NODE_ID_MAX];   /* by id - 1: what its next starts are told (R21) */
        bool holds;                           /* every second start is one crash too many, and for long */
        uint64_t n_memberships;
};

CmsSim *cms_sim_new(World *w, uint64_t heartbeat_usec, uint64_t failure_usec);
CmsSim *cms_sim_free(CmsSim *s);
DEFINE_TRIVIAL_CLEANUP(CmsSim *, cms_sim_free);

/* Writes the first record on every node, as `hactl init` does. */
void cms_sim_init_stores(World *w, CmsSim *s);

void cms_sim_feed(World *w, CmsSim *s, uint32_t node, CmsEvent event);
uint64_t cms_sim_incarnation(const World *w, uint32_t node);

/* The node dies and, as its unit's ExecStopPost would, says so to all that it reaches. */
void cms_sim_crash_with_gasp(World *w, CmsSim *s, uint32_t node, bool keep_last_write);

/* Every node of the set has installed one membership of exactly this set, it is quorate and settled. */
bool cms_sim_is_settled(const World *w, const CmsSim *s, NodeSet set);
