/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inside the GCS core. One log of numbered items runs through all memberships of nodes: each flush ends with
 * a NODE_CHANGE item, so "which history" is the mid of a node's last NODE_CHANGE and "how much of it" is the
 * number of its last item (R4). What an item does to groups happens when it is delivered, in deliver.c, and
 * nowhere else.
 *
 *     gcs.c       events, freezing, time
 *     flush.c     R4: from a new membership to one history
 *     order.c     the Delta protocol: submit, propose, commit
 *     deliver.c   what a delivered item does to groups and clients
 *     client.c    local clients: windows, backlogs
 *     snapshot.c  a member's state on its way to a newcomer
 *     log.c       items, references, effects */

#include "basic/time-util.h"
#include "gcs/gcs-break.h"
#include "gcs/gcs.h"

#define GCS_LOG_MAX 4096U   /* items held; a power of two */
#define GCS_LOG_RESERVE 64U /* of these for NODE_CHANGE items */
#define GCS_CHANGES_MAX 32U /* NODE_CHANGE items held and not delivered */
#define GCS_OUT_MAX 64U     /* messages sent in one step */
#define GCS_OUT_RESERVE 16U /* loops that send stop when fewer are left */
#define GCS_EFFECTS_RESERVE 64U
#define GCS_BATCHES_MAX 16U /* of GcsConfig.pipeline */
#define GCS_CONTROL_MAX                                                                                     \
        (GCS_CLIENTS_MAX * 4U) /* JOIN, READY, LEAVE of all clients: they are never refused */
#define GCS_RING_MAX 2048U     /* pending items: GCS_PENDING_MAX + GCS_CONTROL_MAX */
#define GCS_SNAPSHOT_WINDOW 4U /* pieces on their way to one newcomer */
#define GCS_SNAPSHOT_BACKLOG_BYTES (1024U * 1024U) /* pieces that a newcomer's client may leave untaken */

/* What this node does in the present membership.
 *
 *     IDLE -> WAITING -> FETCHING -> STORING -> HOLDING -> ACTIVE
 *               ^           |           |          |         |
 *               +-----------+-----------+----------+---------+   a new quorate membership
 *     and from any of them to IDLE: one without quorum. */
typedef enum GcsPhase {
        GCS_PHASE_IDLE,     /* no quorate membership */
        GCS_PHASE_WAITING,  /* told the coordinator what we have; waiting for its plan */
        GCS_PHASE_FETCHING, /* what we lack of the history is on its way */
        GCS_PHASE_STORING,  /* all is here; the number is being written */
        GCS_PHASE_HOLDING,  /* acknowledged; waiting for the commit */
        GCS_PHASE_ACTIVE,
} GcsPhase;

typedef enum GcsClientState {
        GCS_CLIENT_FREE,
        GCS_CLIENT_JOINING, /* its JOIN is on its way */
        GCS_CLIENT_MEMBER,
        GCS_CLIENT_LEAVING, /* its LEAVE is on its way; it still gets what comes before */
        GCS_CLIENT_LOST,    /* the same, but nobody is there any more */
        GCS_CLIENT_EXPELLED,
} GcsClientState;

/* What the item just delivered means for a client's snapshot, once it has its view. */
typedef enum GcsSnapshotDue {
        GCS_SNAPSHOT_DUE_NOTHING,
        GCS_SNAPSHOT_DUE_WAIT, /* somebody is asked for one */
        GCS_SNAPSHOT_DUE_NONE, /* nobody can be asked */
} GcsSnapshotDue;

typedef struct GcsClient {
        GcsClientState state;
        uint64_t id;
        char group_name[GCS_NAME_MAX + 1];
        char member_name[GCS_NAME_MAX + 1];
        uint8_t flags;

        uint64_t member; /* our number for it */
        bool joined;     /* its JOIN was delivered: it is in the group of slot */
        uint8_t slot;
        GcsReason reason; /* why it leaves */
        bool fresh;       /* it has not seen a view */

        /* The window: sent, and not delivered back. */
        uint32_t n_window;
        uint64_t window_bytes;
        bool blocked; /* was told window full, */
        bool sending; /* at a SEND, */
        bool giving;  /* or a SNAPSHOT */

        /* The backlog: delivered, and not consumed. Of it, what waits behind the snapshot. */
        uint32_t n_backlog;
        uint64_t backlog_bytes;
        uint32_t n_held;
        uint64_t held_bytes;
        bool slow;
        uint64_t progress_usec; /* when it began to be slow, or had last taken a fair amount */
        uint32_t n_taken;       /* since then */
        uint64_t taken_bytes;

        bool rejoining; /* it was a member before it was shut out */

        bool awaiting;           /* its snapshot */
        uint32_t piece;          /* of it, the next one */
        bool complete;           /* it has come, and READY was submitted, */
        uint64_t complete_point; /* as of here */
        GcsSnapshotDue due;
} GcsClient;

typedef struct GcsGroup {
        char name[GCS_NAME_MAX + 1];
        unsigned n_members; /* 0: the slot is free */
        GcsMember members[GCS_GROUP_MEMBERS_MAX];
} GcsGroup;

/* A snapshot given by a client of ours. */
typedef struct GcsTransfer {
        bool used;
        uint64_t client;
        GcsMemberId newcomer;
        uint64_t point;

        uint32_t first; /* number of the first piece that is not acknowledged */
        uint32_t n_pieces;
        uint32_t n_sent;                       /* of these */
        Slice pieces[GCS_TRANSFER_PIECES_MAX]; /* ref */
        bool complete;                         /* the last of these is the last of all */
        uint64_t sent_usec;
} GcsTransfer;

/* The last number of what a node submitted. */
typedef struct GcsStream {
        uint64_t incarnation;
        uint64_t number;
} GcsStream;

typedef struct GcsInfo {
        Mid history;
        Mid formation;
        bool memory;
        uint64_t held;
} GcsInfo;

struct Gcs {
        GcsConfig config;
        uint64_t now_usec;

        /* What the present step says. */
        GcsEffect *effects; /* owned */
        size_t n_effects;
        GcsMessage *out; /* owned */
        size_t n_out;
        GcsVerdict verdict;
        bool again;            /* there was not room for all of it */
        bool viewed;           /* it has views, which point into the groups */
        GcsDeparted *departed; /* owned; of the views of this step */
        size_t n_departed;

        /* The membership that CMS gave us. */
        Membership membership; /* mid none: none yet */
        bool frozen;           /* it is being replaced */
        bool told_frozen;      /* the clients know */
        unsigned rank;
        uint32_t coordinator;
        uint32_t next, previous; /* in the ring; ourselves when alone */
        GcsPhase phase;

        /* R4 */
        Mid history;   /* last flush acknowledged */
        bool memory;   /* what it led to is in the log below */
        Mid formation; /* where this history began */
        uint64_t store_number;
        uint64_t store_usec;
        bool store_done; /* that number is written */

        bool planned; /* the plan of this membership */
        Mid basis;
        uint32_t donor;
        uint64_t plan_held;
        GcsNodeChange change;
        bool fetching_state;
        uint64_t fetch_next;
        uint64_t flush_held;   /* what we held when this flush began: the most we donate */
        uint64_t flush_usec;   /* sent last */
        uint64_t waiting_usec; /* since when the coordinator waits for the same nodes */
        NodeSet informed, done;
        GcsInfo infos[NODE_ID_MAX];

        /* The log: items base to held; base is the first one that is kept. */
        GcsItem *log; /* owned */
        uint64_t base, held, commit, settled, delivered;
        GcsNodeChange *changes;          /* owned */
        uint32_t changes_used;           /* bits */
        GcsStream proposed[NODE_ID_MAX]; /* as of held */
        GcsStream ordered[NODE_ID_MAX];  /* as of delivered */
        Membership nodes;                /* as of delivered */
        GcsGroup *groups;                /* owned; as of delivered */
        unsigned request_slot,
                        request_index; /* snapshots asked for by the last item: the next one to look at */

        /* Submitted by us and not seen proposed. */
        GcsItem *pending;                    /* owned; a ring */
        uint64_t pending_first, pending_end; /* numbers */
        uint64_t pending_sent;
        unsigned n_submits;
        uint64_t submits[GCS_BATCHES_MAX]; /* last number of each batch on its way */
        uint64_t submit_usec;              /* of the last progress, or resend */
        uint64_t gap_usec;                 /* when a gap was last told of; 0: never */

        /* Coordinator: accepted, and not proposed; then the batches on their way. */
        GcsItem *queue; /* owned; a ring */
        uint64_t queue_first, queue_end;
        GcsStream queued[NODE_ID_MAX];
        unsigned n_batches;
        uint64_t batches[GCS_BATCHES_MAX]; /* last item of each */
        uint64_t held_by[NODE_ID_MAX], committed_by[NODE_ID_MAX];
        bool fanout;           /* the way of the newest proposal, when that is chosen for each */
        uint64_t announced;    /* commit sent around */
        uint64_t order_usec;   /* of the last progress, or resend */
        unsigned n_resends;    /* since the last progress */
        uint64_t stuck_usec;   /* since when the last of all makes no progress */
        uint64_t stalled_usec; /* last time somebody was reported as stalled; 0: not yet */

        /* Groups with a slow member: ours; all, as the coordinator says; of each node, as it says. They
         * expire. */
        uint64_t slow_own, slow_told, slow_all;
        uint64_t slow_all_usec, slow_sent_usec;
        uint64_t slow_by[NODE_ID_MAX], slow_by_usec[NODE_ID_MAX];

        GcsClient *clients; /* owned */
        unsigned n_clients;
        unsigned n_blocked;
        uint64_t next_member;
        GcsTransfer transfers[GCS_TRANSFERS_MAX];

        uint64_t n_resent, n_stale, n_bad;
};

static inline bool gcs_is_coordinator(const Gcs *g) {
        return g->coordinator == g->config.node;
}

/* Nothing of this membership goes on while the next one is being formed. */
static inline bool gcs_is_active(const Gcs *g) {
        return g->phase == GCS_PHASE_ACTIVE && !g->frozen;
}

static inline NodeSet gcs_others(const Gcs *g) {
        return node_set_without(g->membership.members, g->config.node);
}

static inline uint64_t gcs_incarnation_of(const Gcs *g, uint32_t node) {
        return g->membership.nodes[node - 1].incarnation;
}

/* log.c */
GcsEffect *gcs_effect(Gcs *g, GcsEffectType type);
bool gcs_effects_room(Gcs *g);
GcsMessage *gcs_out(Gcs *g, GcsMessageType type);
bool gcs_out_room(const Gcs *g);
void gcs_send(Gcs *g, GcsMessage *m, NodeSet to);
void gcs_trace(Gcs *g, GcsTrace trace);
void gcs_begin_step(Gcs *g);

void gcs_item_done(GcsItem *i);
size_t gcs_item_bytes(const GcsItem *i);
GcsItem *gcs_log_at(const Gcs *g, uint64_t sequence);
bool gcs_log_room(const Gcs *g);
unsigned gcs_n_changes(const Gcs *g);
void gcs_log_append(Gcs *g, const GcsItem *item);
void gcs_streams_change(GcsStream streams[static NODE_ID_MAX], const GcsNodeChange *c);
void gcs_change_done(Gcs *g, const GcsNodeChange *c);
void gcs_log_trim(Gcs *g);
void gcs_log_clear(Gcs *g, uint64_t held);
uint32_t gcs_copy_items(Gcs *g, GcsMessage *m, uint64_t first, uint64_t last);

/* gcs.c */
void gcs_enter(Gcs *g, GcsPhase phase);
void gcs_bad(Gcs *g, uint32_t from);

/* flush.c */
void gcs_flush_begin(Gcs *g);
void gcs_flush_received(Gcs *g, uint32_t from, const GcsMessage *m);
void gcs_flush_stored(Gcs *g, uint64_t number);
void gcs_flush_commit(Gcs *g);
void gcs_flush_timeout(Gcs *g);
uint64_t gcs_flush_wakeup(const Gcs *g);

/* order.c */
void gcs_order_begin(Gcs *g);
void gcs_order_received(Gcs *g, uint32_t from, const GcsMessage *m);
void gcs_order_pump(Gcs *g);
void gcs_order_timeout(Gcs *g);
uint64_t gcs_order_wakeup(const Gcs *g);
GcsItem *gcs_pending_add(Gcs *g, GcsItemType type);
void gcs_pending_clear(Gcs *g);
void gcs_pending_seen(Gcs *g, uint64_t number);
uint64_t gcs_n_pending(const Gcs *g);

/* deliver.c */
bool gcs_deliver_due(const Gcs *g);
void gcs_deliver(Gcs *g);
GcsMember *gcs_find_member(const Gcs *g, unsigned slot, GcsMemberId id);
GcsMember *gcs_find_member_anywhere(const Gcs *g, GcsMemberId id, unsigned *ret_slot);
void gcs_groups_clear(Gcs *g);

/* client.c */
GcsClient *gcs_client_find(const Gcs *g, uint64_t id);
GcsClient *gcs_client_of_member(const Gcs *g, GcsMemberId id);
GcsMemberId gcs_client_member_id(const Gcs *g, const GcsClient *c);
void gcs_client_forget(Gcs *g, GcsClient *c);
void gcs_client_account(Gcs *g, GcsClient *c, GcsEffect *e, uint64_t n_bytes);
void gcs_clients_freeze(Gcs *g, bool quorate);
void gcs_clients_shut_out(Gcs *g);
void gcs_client_event(Gcs *g, const GcsEvent *e);
void gcs_client_left(Gcs *g, GcsClient *c, GcsReason reason);
void gcs_clients_credit(Gcs *g);
void gcs_clients_timeout(Gcs *g);
uint64_t gcs_clients_wakeup(const Gcs *g);
bool gcs_client_gets(const GcsClient *c);
void gcs_client_block(Gcs *g, GcsClient *c);

/* snapshot.c */
void gcs_snapshot_give(Gcs *g, const GcsEvent *e);
void gcs_snapshot_received(Gcs *g, uint32_t from, const GcsMessage *m);
void gcs_snapshot_release(Gcs *g, GcsClient *c);
void gcs_snapshot_restart(Gcs *g, GcsClient *c);
void gcs_snapshot_none(Gcs *g, GcsClient *c);
void gcs_snapshots_prune(Gcs *g);
void gcs_snapshot_pump(Gcs *g);
bool gcs_snapshot_open(const Gcs *g, const GcsClient *c);
uint64_t gcs_snapshot_wakeup(const Gcs *g);
