/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A few membership cores that talk to each other, and somebody among them who holds the key and is mad: what
 * the others said, bent in some places, comes again from whoever it pleases. All that is asked is that no
 * core asserts, that what it sends can be read, and that it comes to rest. */

#include "basic/prng.h"
#include "cms/cms.h"
#include "fuzz/fuzz.h"

#define CMS_WORLD_NODES_MAX 5U
#define CMS_WORLD_QUEUE_MAX 64U
#define CMS_WORLD_PAST_MAX 64U
#define CMS_WORLD_PROPOSALS 12U   /* ways to twist one */
#define CMS_WORLD_STEPS_MAX 4000U /* of all cores; after so many the world stands still */

typedef struct CmsWorldDatagram {
        uint32_t from, to;
        unsigned link;
        size_t size_bytes;
        uint8_t data[CMS_MESSAGE_SIZE_MAX];
} CmsWorldDatagram;

typedef struct CmsWorldNode {
        Cms *core; /* owned */
        uint64_t incarnation;
        CmsRecord record;
        bool has_record;
        uint64_t wanted, stored; /* numbers of STORE and STORED */
        CmsRecord writing;
        Mid flush;      /* groups hold its history and have it written; none: nothing new */
        bool hung;      /* its disk */
        NodeSet cut;    /* whom it does not hear */
        unsigned n_now; /* wake-ups that asked for the next one at once */
} CmsWorldNode;

typedef struct CmsWorld {
        uint64_t now_usec;
        unsigned n_steps, steps_max;
        unsigned n_nodes, n_links;
        CmsConfig config;
        CmsWorldNode nodes[CMS_WORLD_NODES_MAX];

        unsigned n_queued, queue_first;
        CmsWorldDatagram queue[CMS_WORLD_QUEUE_MAX];
        unsigned n_past; /* newest at (n_past - 1) % CMS_WORLD_PAST_MAX */
        CmsWorldDatagram past[CMS_WORLD_PAST_MAX];

        /* The mad one bends what its own core says: so many messages more, of this type (0: any). */
        uint32_t mad;
        unsigned mad_type, n_mad;
        FuzzInput *in;
        Mid forged_mid; /* of its newest proposal, the hash that it has now, and the one that its core knows
                         */
        uint64_t forged_hash, true_hash;

        CmsEffects effects;
        CmsMessage message, again;
        CmsWorldDatagram scratch;

        /* Told of each message and record, for seeds. */
        void (*on_message)(void *userdata, const CmsMessage *m, const void *data, size_t size_bytes);
        void (*on_record)(void *userdata, const CmsRecord *record);
        void *userdata;
} CmsWorld;

CmsWorld *cms_world_new(unsigned n_nodes, unsigned n_links);
CmsWorld *cms_world_free(CmsWorld *w);
DEFINE_TRIVIAL_CLEANUP(CmsWorld *, cms_world_free);

void cms_world_feed(CmsWorld *w, uint32_t id, CmsEvent event);

/* Bytes as they would come out of the transport. */
void cms_world_receive(CmsWorld *w, uint32_t from, uint32_t to, unsigned link, const void *data, size_t n);

/* Changes a message where changed bytes would not be one any more: sets, and what stands for each of their
 * nodes. */
void cms_world_twist(CmsWorld *w, CmsWorldDatagram *d, FuzzInput *in);

/* A proposal has a hash that is right, and what goes with it names that: a mad coordinator can do so. */
void cms_world_mend(CmsWorld *w, CmsWorldDatagram *d);

/* Everything that is sent arrives, everything is written, for so long. */
void cms_world_run(CmsWorld *w, uint64_t usec);

/* The node reads another cluster.conf: one that was changed in some place; all that get the same change have
 * the same file. */
void cms_world_configure(CmsWorld *w, uint32_t id, FuzzInput *in);

void cms_world_restart(CmsWorld *w, uint32_t id, bool keep_record);
