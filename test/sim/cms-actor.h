/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The membership core on the nodes of a world, and the checker that looks at all of them after every step.
 * Whatever is sent goes through the encoder and the decoder. */

#include "cms/cms-internal.h"
#include "sim/world.h"

#define CMS_SIM_FILES_MAX 64U

/* What the world remembers of one number. */
typedef struct CmsSimMid {
        Mid mid;
        uint64_t hash;
        NodeSet members;
        uint64_t incarnation[NODE_ID_MAX];
        NodeSet acknowledged; /* who said so, with that incarnation */
        NodeSet no_record;
        bool proposed, installed, quorate;
        uint64_t first_usec;

        /* R7: numbers of files. What was in force before it, may have been in force, and is in force after
         * it. */
        unsigned file, file_proposed, file_after;
        bool has_proposed;
} CmsSimMid;

typedef struct CmsSimNode {
        Cms *cms;      /* owned; NULL while it is down */
        Mid promised;  /* highest that it ever answered or acknowledged, since its storage was last wiped */
        Mid installed; /* newest that it ever installed */
        bool wiped;    /* and does not hold the history of who took it in */
        uint64_t worked_boot, worked_usec; /* its newest quorate membership */
        bool left_running;
        Mid flushed; /* whose history is held here */
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
        CmsConfig config;                   /* the first cluster.conf; self is filled in for each node */
        CmsConfig files[CMS_SIM_FILES_MAX]; /* those that were written later, see cms_sim_file() */
        unsigned n_files;
        unsigned file_of[NODE_ID_MAX]; /* by id - 1: number of the one that lies there; 0: the first */
        bool files_differ;             /* from the beginning, in nothing that counts: nobody changes any */
        NodeSet gone;                  /* machines that were taken out of the cluster: they stay off */
        CmsSimNode nodes[NODE_ID_MAX];
        CmsEffects effects; /* of the step at hand */
        CmsMessage message;
        CmsSimMid **mids; /* owned, and its entries: a hash table for look-ups only, of mids_size places */
        size_t n_mids, mids_size;
        CmsSimMid **decided; /* owned, not its entries: quorate ones that were installed, by number */
        unsigned n_decided;
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
        uint64_t hold_usec_of[NODE_ID_MAX]; /* by id - 1: what its next starts are told (R21) */
        bool holds;                         /* every second start is one crash too many, and for long */
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

/* Files are numbered as they are written; each has a hash of its own. */
const CmsConfig *cms_sim_file(const CmsSim *s, unsigned number);
unsigned cms_sim_write_file(CmsSim *s, const CmsConfig *config);
unsigned cms_sim_file_of_hash(const CmsSim *s, const uint64_t hash[static _CMS_CONFIG_KIND_MAX]);

/* The node has a record that lets it vote and was in no quorate membership: it goes by its file. Files that
 * differ at such nodes are two clusters, as two votes of the same people; where one has formed, whoever
 * comes to it has to join (R8). */
bool cms_sim_goes_by_file(World *w, uint32_t node);

/* Lays it on the node's disk, unless the node is not in it or goes by the one that is there; and tells its
 * hagcd, or that will read it when it starts again. */
void cms_sim_give_file(World *w, CmsSim *s, uint32_t node, unsigned number, bool tell);

/* Writes a record of a node that no membership has taken in (R8). */
void cms_sim_init_store_to_join(World *w, uint32_t node);

/* What is in force by the newest membership that decided anything. */
unsigned cms_sim_file_in_force(const CmsSim *s);

/* Every node of the set has installed one membership of exactly this set, it is quorate and settled. */
bool cms_sim_is_settled(const World *w, const CmsSim *s, NodeSet set);
