/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Group communication: the core that puts messages and changes of groups in one order on all nodes
 * (design.md 5, protocol.md R4 R5 R16 R18). Feed it one event, carry out the effects in the order given.
 *
 * A *client* is one local registration of the shell: one socket that is, or wants to be, one member of one
 * group. The shell chooses its id and never uses one twice. */

#include "gcs/message.h"

#define GCS_GROUP_MEMBERS_MAX 128U /* in one group; a JOIN beyond it is refused */
#define GCS_CLIENTS_MAX 256U       /* local; a REGISTER beyond it is refused */
#define GCS_CLIENTS_CRITICAL 32U   /* of these for critical ones */
#define GCS_GROUPS_CRITICAL 8U     /* of GCS_GROUPS_MAX: only a critical member begins one of the last */
#define GCS_PENDING_MAX                                                                                     \
        1024U /* submitted by this node and not yet proposed; beyond it SEND says window full */
#define GCS_PENDING_CRITICAL 128U /* of these for critical ones */
#define GCS_QUEUE_MAX                                                                                       \
        2048U                /* at the coordinator, not yet proposed; beyond it submissions are sent again  \
                              */
#define GCS_FLIGHT_MAX 1024U /* proposed and not yet settled; beyond it the coordinator waits */
#define GCS_EFFECTS_MAX                                                                                     \
        2048U /* of one step; what is left goes on at the next wake-up, which is then at once */
#define GCS_TRANSFERS_MAX 16U      /* snapshots given by this node at one time; others wait their turn */
#define GCS_TRANSFER_PIECES_MAX 8U /* of one snapshot waiting here; beyond it SNAPSHOT says window full */

/* Of a membership in which auto fans out: beyond it the coordinator's work outweighs the shorter way
 * (docs/performance.md). */
#define GCS_FANOUT_NODES_MAX 8U

typedef struct Gcs Gcs;

typedef enum GcsDissemination {
        GCS_DISSEMINATION_AUTO,   /* fan-out while there is little to do, among few nodes; else the ring */
        GCS_DISSEMINATION_RING,   /* from node to node: the way is long, and the work is everybody's */
        GCS_DISSEMINATION_FANOUT, /* to all at once: the way is short, and the work is the coordinator's */
} GcsDissemination;

typedef struct GcsConfig {
        uint32_t node;
        uint64_t incarnation;
        Mid stored_history; /* what the last STORE before this start wrote; epoch 0: nothing */

        GcsDissemination dissemination;

        /* 0: the default, given behind. */
        uint64_t resend_usec;      /* 20 ms: without progress, send again */
        uint64_t stall_usec;       /* 5 s: a client that takes nothing for so long, having much to take, is
                                      expelled */
        uint64_t silence_usec;     /* 400 ms: a node that holds everybody up so long is reported as stalled,
                                      in a flush twice as long */
        uint32_t pipeline;         /* 4: proposals in flight before they are batched */
        uint32_t batch_bytes;      /* 16 KiB: payload in one batch; a larger message goes alone */
        uint32_t window_messages;  /* 128: of one client, not yet delivered back to it */
        uint32_t window_bytes;     /* 256 KiB: the same; one message always fits */
        uint32_t backlog_messages; /* 512: delivered to a client and not consumed, from which it counts as
                                      slow */
        uint32_t backlog_bytes;    /* 2 MiB: the same */
} GcsConfig;

/* ---- Events ---- */

typedef enum GcsEventType {
        GCS_EVENT_TIMEOUT,

        /* The three notifications of CMS. */
        GCS_EVENT_TRANSITION, /* a membership is being formed: nothing of the old one goes on */
        GCS_EVENT_NODE,       /* a node seen coming or going before that is settled */
        GCS_EVENT_STABLE,     /* the new membership; telling it again is harmless */

        GCS_EVENT_RECEIVED,
        GCS_EVENT_STORED,

        GCS_EVENT_REGISTER,
        GCS_EVENT_UNREGISTER,
        GCS_EVENT_SEND,
        GCS_EVENT_MEMBER_LOST,
        GCS_EVENT_SNAPSHOT,
        GCS_EVENT_CONSUMED,
} GcsEventType;

/* All pointers and slices are borrowed for the call; the core takes references to what it keeps. */
typedef struct GcsEvent {
        GcsEventType type;
        uint64_t now_usec; /* of every event; never goes back */

        union {
                struct {
                        uint32_t node;
                        bool up; /* our own node with up == false: the others go on without us */
                } node;
                struct {
                        const Membership *membership;
                } stable;
                struct {
                        uint32_t from;
                        const GcsMessage *message;
                } received;
                struct {
                        uint64_t number; /* of the STORE effect */
                } stored;

                struct {
                        uint64_t client;
                        const char *group;  /* [a-z0-9_]+, at most GCS_NAME_MAX characters */
                        const char *member; /* the same; one name once per node and group */
                        bool critical;
                        bool snapshot; /* wants one, and gives one when asked */
                } reg;
                struct {
                        uint64_t client;
                } unregister;
                struct {
                        uint64_t client;
                        Slice payload; /* at most GCS_PAYLOAD_MAX bytes */
                        bool later;    /* not the first piece of a longer message */
                        bool more;     /* it goes on in this client's next SEND */
                } send;
                struct {
                        uint64_t client;  /* gone: gets no effect any more */
                        GcsReason reason; /* EXITED or UNRESPONSIVE */
                } member_lost;
                struct { /* pieces in order; an empty last piece is fine */
                        uint64_t client;
                        GcsMemberId newcomer; /* both as in SNAPSHOT_REQUEST */
                        uint64_t point;
                        Slice payload; /* at most GCS_PAYLOAD_MAX bytes */
                        bool last;
                } snapshot;
                struct {
                        uint64_t client;
                        uint32_t n_messages; /* MESSAGE, VIEW (of no bytes) and SNAPSHOT effects now out of
                                                our hands */
                        uint64_t n_bytes;
                } consumed;
        };
} GcsEvent;

/* ---- Effects ---- */

typedef enum GcsEffectType {
        GCS_EFFECT_SEND,  /* to each node of the set; never our own */
        GCS_EFFECT_STORE, /* write and sync, then feed STORED; a later STORE may overtake and replace an
                             earlier */

        GCS_EFFECT_REGISTERED, /* the client is a member; a VIEW follows. Again after SHUT_OUT: joined afresh
                                */
        GCS_EFFECT_REFUSED,    /* the client is none and is forgotten */
        GCS_EFFECT_UNREGISTERED, /* the client has left, and is forgotten; in an order of its own: nothing
                                    follows */
        GCS_EFFECT_EXPELLED,     /* the same, against its will: too slow */
        GCS_EFFECT_CREDIT,       /* after a window full: send again */

        GCS_EFFECT_VIEW,             /* to the client */
        GCS_EFFECT_MESSAGE,          /* to the client */
        GCS_EFFECT_SNAPSHOT_REQUEST, /* to the client: give your state as of here */
        GCS_EFFECT_SNAPSHOT,         /* to the client: a piece of the state as of the last VIEW not held */
        GCS_EFFECT_RELEASE,          /* of the client: after the last piece: what was held may go */
        GCS_EFFECT_DROP_HELD, /* of the client: what is held is in the snapshot asked for now: forget it */
        GCS_EFFECT_FROZEN,    /* to the client: nothing is delivered until a VIEW or SHUT_OUT */
        GCS_EFFECT_SHUT_OUT,  /* to the client: the others went on without us; it is joined afresh by itself
                               */

        GCS_EFFECT_RESET_NODE, /* a critical member was expelled */
        GCS_EFFECT_STALLED,    /* nodes are heard by CMS and do not go on: raise suspicion (R10) */

        GCS_EFFECT_TRACE,
} GcsEffectType;

typedef enum GcsRefusal {
        GCS_REFUSAL_NAME,         /* not a valid name */
        GCS_REFUSAL_CLIENTS_FULL, /* GCS_CLIENTS_MAX on this node, those included whose LEAVE is on its way
                                   */
        GCS_REFUSAL_NAME_IN_USE,  /* by another member on this node in this group */
        GCS_REFUSAL_GROUPS_FULL,  /* GCS_GROUPS_MAX */
        GCS_REFUSAL_GROUP_FULL,   /* GCS_GROUP_MEMBERS_MAX */
} GcsRefusal;

typedef struct GcsDeparted {
        GcsMember member;
        GcsReason reason;
} GcsDeparted;

/* Who is in the group from here on, and the nodes at this point of the order. All pointers: until the next
 * step. */
typedef struct GcsView {
        const char *group;
        const GcsMember *members; /* the oldest first */
        size_t n_members;
        const GcsMember *joined;
        size_t n_joined;
        const GcsDeparted *left;
        size_t n_left;

        const Membership *nodes; /* as ordered, so the same everywhere: mid, quorate, states */
        Mid formation;           /* the membership in which the history began */
        bool formed;             /* it began with the present membership: nobody brought any state into it */
        bool fresh; /* the client begins here: it registered, was shut out, or has to wait for another
                       snapshot */
} GcsView;

typedef enum GcsTraceType {
        GCS_TRACE_FROZEN,      /* mid: of the old membership */
        GCS_TRACE_NO_QUORUM,   /* mid */
        GCS_TRACE_FLUSH_BEGIN, /* mid, node: the coordinator */
        GCS_TRACE_FLUSH_INFO,  /* mid: its history, node, sequence: last item it holds, flag: in memory */
        GCS_TRACE_FLUSH_PLAN,  /* mid: the basis, node: donor or 0, sequence: last item, nodes: survivors */
        GCS_TRACE_FLUSH_HELD,  /* mid, sequence: holds all, is stored, acknowledges */
        GCS_TRACE_FLUSH_END,   /* mid, sequence */
        GCS_TRACE_SHUT_OUT,    /* mid: the basis we do not have */
        GCS_TRACE_FORGOTTEN,   /* mid: the history that had to be let go, its tables being full */
        GCS_TRACE_PROPOSE,     /* sequence: first, count: items */
        GCS_TRACE_RESEND,      /* sequence: from, node: to, or 0: around the ring */
        GCS_TRACE_GAP,         /* sequence: missing, node: asked */
        GCS_TRACE_STALE,       /* a message of another mid; node: sender, mid: its mid */
        GCS_TRACE_BAD,         /* a message that no correct core sends; node: sender */
        GCS_TRACE_SLOW,        /* client: counts as slow now (flag) or no more */
        GCS_TRACE_DONOR,       /* member: newcomer, node: donor's node or 0, sequence: the point */
} GcsTraceType;

typedef struct GcsTrace {
        GcsTraceType type;
        Mid mid;
        uint32_t node;
        uint64_t sequence;
        uint64_t client;
        NodeSet nodes;
        uint32_t count;
        bool flag;
        GcsMemberId member;
} GcsTrace;

typedef struct GcsEffect {
        GcsEffectType type;
        uint64_t client; /* of effects that concern a client */

        /* VIEW, MESSAGE, SNAPSHOT_REQUEST, SNAPSHOT: the place in the order. (mid, sequence) only grows. */
        Mid mid;
        uint64_t sequence;

        /* VIEW, MESSAGE: keep it behind the snapshot, until RELEASE, or DROP_HELD. */
        bool held;

        union {
                struct {
                        NodeSet to;
                        const GcsMessage *message;
                } send;
                struct {
                        uint64_t number;
                        Mid history;
                } store;
                struct {
                        GcsMemberId id;
                } registered;
                struct {
                        GcsRefusal reason;
                } refused;
                GcsView view;
                struct {
                        GcsMemberId sender;
                        bool own; /* the client's own: in the order of its SENDs */
                        bool later, more;
                        Slice payload;
                } message;
                struct {
                        GcsMember newcomer;
                        uint64_t point;
                } snapshot_request;
                struct {
                        Slice payload;
                        bool first; /* anything received of an earlier snapshot is void */
                        bool last;
                        bool none; /* nobody was left who could give one: the client starts from nothing */
                } snapshot;
                struct {
                        bool quorate; /* false: this node is in no quorate membership */
                } frozen;
                struct {
                        NodeSet nodes; /* all whose word the coordinator, this node, lacks */
                } stalled;
                GcsTrace trace;
        };
} GcsEffect;

/* What became of a SEND or SNAPSHOT. */
typedef enum GcsVerdict {
        GCS_VERDICT_QUEUED,
        GCS_VERDICT_WINDOW_FULL, /* CREDIT will follow */
        GCS_VERDICT_NOT_MEMBER,  /* or no such snapshot is wanted (any more) */
        GCS_VERDICT_TOO_LONG,
} GcsVerdict;

typedef struct GcsEffects {
        const GcsEffect *effects; /* until the next step */
        size_t n_effects;
        GcsVerdict verdict;
} GcsEffects;

/* Returns 0 or -ENOMEM: all memory is taken here. */
int gcs_new(const GcsConfig *config, Gcs **ret);
Gcs *gcs_free(Gcs *g);
DEFINE_TRIVIAL_CLEANUP(Gcs *, gcs_free);

/* Feed one event. Carry out the effects in the order given. They are valid until the next step. */
void gcs_step(Gcs *g, const GcsEvent *event, GcsEffects *ret_effects);

/* From the next proposal on. Nodes may differ in it: the coordinator's counts. */
void gcs_set_dissemination(Gcs *g, GcsDissemination dissemination);

/* When to send TIMEOUT; UINT64_MAX: never. In the past or now: at once. */
uint64_t gcs_wakeup_usec(const Gcs *g);

/* Asserts all that one node can know to be true. */
void gcs_check(const Gcs *g);

/* For status: counters and where this node stands. */
typedef struct GcsStatus {
        Mid mid;     /* the membership in use; epoch 0: none */
        Mid history; /* last acknowledged flush in memory; epoch 0: none */
        Mid formation;
        bool active; /* messages flow */
        bool coordinator;
        uint64_t kept; /* the first item that is still held: no older one is needed by anybody */
        uint64_t held; /* the last one; one before the first: none */
        uint64_t commit;
        uint64_t delivered;
        uint32_t n_pending;
        uint64_t n_resent;
        uint64_t n_stale;
        uint64_t n_bad;
} GcsStatus;

void gcs_get_status(const Gcs *g, GcsStatus *ret);

/* The groups as this node has delivered them: slots 0 to GCS_GROUPS_MAX - 1. Returns the number of members,
 * 0 for a slot that is free. */
size_t gcs_get_group(const Gcs *g, unsigned slot, const char **ret_name, const GcsMember **ret_members);

/* gcs-trace.c: one line of text without a line feed; returns buf. */
#define GCS_TRACE_TEXT_MAX 256U
const char *gcs_refusal_to_string(GcsRefusal refusal);
char *gcs_trace_format(const GcsTrace *trace, char buf[static GCS_TRACE_TEXT_MAX]);
