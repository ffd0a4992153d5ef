/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The membership service as a state machine. The shell feeds events, each stamped with the time at which it
 * is fed, and carries out the effects in the order given. The core opens nothing, reads no clock and
 * allocates nothing after cms_new(). */

#include "basic/byte-reader.h"
#include "basic/byte-writer.h"
#include "cms/membership.h"
#include "cms/message.h"

#define CMS_LINKS_MAX 8U

typedef struct Cms Cms;

/* ---- configuration ---- */

typedef struct CmsConfig {
        uint32_t self;
        NodeSet configured; /* every [Node], */
        NodeSet enabled;    /* and those with Enabled=yes */
        uint8_t votes[NODE_ID_MAX];
        uint32_t identity[NODE_ID_MAX]; /* of name and addresses: what differs in it is another node (R14) */
        uint32_t tie_breaker;           /* 0: lowest enabled id */
        unsigned n_links;
        uint64_t hash[_CMS_CONFIG_KIND_MAX];

        uint64_t heartbeat_usec;
        uint64_t failure_usec;
        uint64_t lease_usec; /* at least CMS_LEASE_FAILURES_MIN times failure_usec */
} CmsConfig;

/* ---- stored record ---- */

#define CMS_RECORD_SIZE_MAX 1024U

/* What must survive a crash. GCS has a part of its own; the shell keeps both in one record (two slots,
 * checksums). */
typedef struct CmsRecord {
        Mid promised;        /* nothing lower is answered any more */
        uint64_t used_epoch; /* own ballots up to this epoch may have been used */
        Mid installed;       /* newest membership known to be installed here, written after the fact */
        Mid quorate;         /* newest quorate one, likewise */
        NodeSet detached;    /* nodes that left groups running, as of that membership */
        CmsVotings votings;  /* R7; none before this node first acknowledged a quorate membership: its file's
                              */
        NodeSet met;         /* nodes that were in a quorate membership, as far as this one knows */
        bool taken_in; /* false: written while a quorate membership takes in a node without record (R8),
                          which does not hold its history yet */
} CmsRecord;

/* The record that `hactl init` writes, and nobody else (R8). */
#define CMS_RECORD_FIRST ((CmsRecord){ .taken_in = true })

void cms_record_encode(const CmsRecord *record, ByteWriter *w);
void cms_record_decode(ByteReader *r, CmsRecord *ret); /* ask the reader for the result */

/* One of the time when no configuration was in it. */
void cms_record_decode_former(ByteReader *r, CmsRecord *ret);

/* ---- events ---- */

typedef enum CmsEventType {
        CMS_EVENT_START,          /* first of all, once */
        CMS_EVENT_RECEIVED,       /* a datagram that was decoded */
        CMS_EVENT_TIMEOUT,        /* cms_wakeup_usec() has come */
        CMS_EVENT_STORED,         /* the record with this number, and so all before it, is on disk */
        CMS_EVENT_STORE_FAILED,   /* it could not be written */
        CMS_EVENT_STORE,          /* GCS put its part into the record: have it written, too (R4) */
        CMS_EVENT_LAST_GASP,      /* this incarnation's hagcd died, it says */
        CMS_EVENT_LINK,           /* carrier of a link here changed */
        CMS_EVENT_ARMED,          /* hamgr said whether something may run here */
        CMS_EVENT_CONFIRMED_DOWN, /* hamgr handed down a confirmed fencing (R6) */
        CMS_EVENT_CONFIGURE,      /* cluster.conf was read anew: this is wanted from now on (R7) */
        CMS_EVENT_STALLED,        /* GCS, which coordinates here, says who does not go on (R10) */
        CMS_EVENT_LEAVE,          /* say farewell; ends with CMS_EFFECT_LEFT */
} CmsEventType;

typedef struct CmsEvent {
        CmsEventType type;
        uint64_t now_usec; /* CLOCK_BOOTTIME, read just now; never goes back */
        union {
                struct {
                        const CmsRecord *record; /* NULL: there is no valid one (R8) */
                        uint64_t incarnation;    /* random, not zero */
                        BootId boot_id;
                        uint64_t seed;
                        uint64_t hold_usec; /* it crashed too often of late: wait this long (R21); 0: no */
                } start;
                struct {
                        uint32_t from;
                        unsigned link;
                        const CmsMessage *message;
                } received;
                struct {
                        uint64_t number;
                } stored; /* and store_failed */
                struct {
                        Mid history; /* of the membership whose history is held here, all of it */
                } store;
                struct {
                        uint32_t node;
                        uint64_t incarnation;
                } last_gasp;
                struct {
                        unsigned link;
                        bool carrier;
                } link;
                struct {
                        bool armed;
                } armed;
                CmsConfirmation confirmed_down;
                struct {
                        const CmsConfig *config; /* one that cms_may_configure() */
                } configure;
                struct {
                        NodeSet nodes;
                } stalled;
                struct {
                        bool running; /* groups are left running on purpose (detached) */
                } leave;
        };
} CmsEvent;

/* ---- effects ---- */

typedef enum CmsEffectType {
        CMS_EFFECT_SEND,   /* to each node of a set, on every link */
        CMS_EFFECT_STORE,  /* write and sync, then feed STORED; a newer one may take an older one's place */
        CMS_EFFECT_NOTIFY, /* for GCS and hamgr */
        CMS_EFFECT_LEFT,   /* the farewell is done; the shell may exit */
        CMS_EFFECT_TRACE,
} CmsEffectType;

/* The three kinds of notification (design.md section 4). */
typedef enum CmsNotificationType {
        CMS_NOTIFICATION_TRANSITION, /* a new membership is being formed, or we were shut out: stop
                                        delivering */
        CMS_NOTIFICATION_NODE,       /* a single node comes or goes, before that is settled */
        CMS_NOTIFICATION_STABLE,     /* the new membership is installed */
} CmsNotificationType;

typedef enum CmsNodeChange {
        CMS_NODE_COMING,    /* is heard */
        CMS_NODE_GOING,     /* is suspected, or left */
        CMS_NODE_CONFIRMED, /* was confirmed down */
        CMS_NODE_EXCLUDED,  /* this node itself: a quorate membership goes on without it */
} CmsNodeChange;

typedef struct CmsNotification {
        CmsNotificationType type;
        union {
                struct {
                        Mid ballot; /* none: shut out, or quorum not in sight */
                } transition;
                struct {
                        uint32_t node;
                        CmsNodeChange change;
                        NodeReason reason;
                        uint64_t incarnation;
                        BootId boot_id;
                } node;
                const Membership *stable; /* borrowed until the next step; cms_membership() has it for longer
                                           */
        };
} CmsNotification;

/* Why a ballot is called, or abandoned. */
typedef enum CmsWhy {
        CMS_WHY_NONE,
        CMS_WHY_START,  /* there is no membership here */
        CMS_WHY_LOSS,   /* a member was lost */
        CMS_WHY_JOIN,   /* somebody can be taken in */
        CMS_WHY_BETTER, /* not quorate, and a better set is possible */
        CMS_WHY_PROOF,  /* half, and all others are proven dead; or one that is held off shows that it is up
                           anew */
        CMS_WHY_ADRIFT, /* a member did not install, and cannot any more */
        CMS_WHY_REFORM, /* a ballot came to nothing */
        CMS_WHY_CONFIG, /* another configuration is wanted, or it is not known whether one is in force */
        CMS_WHY_HAND_OVER, /* asked by a coordinator outside the best set */
        CMS_WHY_TIMEOUT,
        CMS_WHY_REFUSED,
        CMS_WHY_OVERTAKEN,
        CMS_WHY_LEAVE,
        _CMS_WHY_MAX,
        _CMS_WHY_INVALID = -EINVAL,
} CmsWhy;

const char *cms_why_to_string(CmsWhy i);

/* Traces are typed; cms-trace.h turns them into text. */
typedef enum CmsTraceType {
        CMS_TRACE_STARTED,         /* value: 1 with a record */
        CMS_TRACE_PHASE,           /* value: CmsPhase, why: CmsWhy */
        CMS_TRACE_HEARD,           /* node, value: incarnation */
        CMS_TRACE_SUSPECTED,       /* node, value: NodeReason */
        CMS_TRACE_PROBLEM,         /* node, value: CmsProblem */
        CMS_TRACE_BALLOT,          /* mid, set: target */
        CMS_TRACE_PROMISED,        /* mid, node */
        CMS_TRACE_ANSWERED,        /* mid, node: an answer came in */
        CMS_TRACE_PROPOSED,        /* mid, set */
        CMS_TRACE_ACKNOWLEDGED,    /* mid, node: the coordinator */
        CMS_TRACE_ACKNOWLEDGEMENT, /* mid, node: one came in */
        CMS_TRACE_COMMITTED,       /* mid, set */
        CMS_TRACE_INSTALLED,       /* mid, set, value: 0 no quorum, 1 half, 2 quorate */
        CMS_TRACE_REFUSED,         /* mid, node: the caller, value: CmsRefusal */
        CMS_TRACE_REFUSAL,         /* mid, node: who refused us, value: CmsRefusal */
        CMS_TRACE_ABANDONED,       /* mid, why */
        CMS_TRACE_HANDED_OVER,     /* mid, node: to whom, set */
        CMS_TRACE_EXCLUDED,        /* mid: of the membership without us, node: who told */
        CMS_TRACE_CONFIGURED,      /* mid: of what is in force now, value: its hash */
        CMS_TRACE_HELD_OFF,        /* node, value: for how long, usec */
        CMS_TRACE_HELD,            /* value: for how long, usec; 0: no more */
        CMS_TRACE_CONFIRMED,       /* node, value: incarnation */
        CMS_TRACE_STALLED, /* set: who is left out for it, where the others suffice; none: nobody any more */
        CMS_TRACE_STORE_FAILED, /* value: number */
        CMS_TRACE_PAUSED,       /* value: for how long we slept beyond what was asked, usec */
} CmsTraceType;

typedef struct CmsTrace {
        CmsTraceType type;
        uint32_t node;
        CmsWhy why;
        Mid mid;
        NodeSet set;
        uint64_t value;
} CmsTrace;

typedef struct CmsEffect {
        CmsEffectType type;
        union {
                struct {
                        NodeSet to;
                        const CmsMessage *message; /* in the same CmsEffects */
                } send;
                struct {
                        uint64_t number;
                        const CmsRecord *record; /* in the same CmsEffects: as it is after the step */
                } store;
                CmsNotification notify;
                struct {
                        bool heard; /* everybody who was up has heard it */
                } left;
                CmsTrace trace;
        };
} CmsEffect;

#define CMS_EFFECTS_MAX 512U
#define CMS_EFFECT_MESSAGES_MAX 12U

/* Big (tens of kilobytes): one per daemon, not on the stack. */
typedef struct CmsEffects {
        unsigned n;
        CmsEffect items[CMS_EFFECTS_MAX];

        unsigned n_messages;
        CmsMessage messages[CMS_EFFECT_MESSAGES_MAX];
        CmsRecord record;      /* what STORE points to */
        Membership membership; /* what STABLE points to */
} CmsEffects;

/* ---- what status shows ---- */

typedef enum CmsPhase {
        CMS_PHASE_IDLE,         /* not started */
        CMS_PHASE_WAITING,      /* no membership: listening, or asking to be taken in */
        CMS_PHASE_STABLE,       /* a membership is installed and nothing is promised above it */
        CMS_PHASE_INQUIRING,    /* coordinator: waiting for answers */
        CMS_PHASE_PROPOSING,    /* coordinator: waiting for acknowledgements */
        CMS_PHASE_PROMISED,     /* promised somebody else's ballot */
        CMS_PHASE_ACKNOWLEDGED, /* acknowledged its proposal */
        CMS_PHASE_LEAVING,
        CMS_PHASE_LEFT,
        _CMS_PHASE_MAX,
        _CMS_PHASE_INVALID = -EINVAL,
} CmsPhase;

const char *cms_phase_to_string(CmsPhase i);

typedef enum CmsProblem {
        CMS_PROBLEM_NONE,
        CMS_PROBLEM_NOT_HEARD,
        CMS_PROBLEM_ONE_WAY, /* heard, but it does not hear us */
        CMS_PROBLEM_VERSION,
        CMS_PROBLEM_CONFIG_CLUSTER, /* its cluster.conf differs, in this kind of section */
        CMS_PROBLEM_CONFIG_NODE,
        CMS_PROBLEM_CONFIG_FENCE,
        CMS_PROBLEM_DISABLED,
        CMS_PROBLEM_NO_RECORD,
        CMS_PROBLEM_CANNOT_WRITE,
        CMS_PROBLEM_TWO_INCARNATIONS, /* two live incarnations of one id */
        CMS_PROBLEM_LEFT,
        CMS_PROBLEM_HELD,         /* it crashed too often of late, and waits (R21) */
        CMS_PROBLEM_FILE_DIFFERS, /* its cluster.conf is not ours, for long; what is in force counts (R7) */
        _CMS_PROBLEM_MAX,
        _CMS_PROBLEM_INVALID = -EINVAL,
} CmsProblem;

const char *cms_problem_to_string(CmsProblem i);

/* Why what cluster.conf says here is not in force (R7). */
typedef enum CmsConfigWait {
        CMS_CONFIG_WAIT_NONE,         /* it is in force */
        CMS_CONFIG_WAIT_AGREEMENT,    /* nothing is in the way: it is being agreed upon */
        CMS_CONFIG_WAIT_QUORUM,       /* here is no quorate membership at rest, which could decide it */
        CMS_CONFIG_WAIT_MEMBERS,      /* cluster.conf of these members says something else */
        CMS_CONFIG_WAIT_STOP,         /* these nodes go, and are not proven stopped (R14) */
        CMS_CONFIG_WAIT_MAJORITY,     /* the members are no more than half of the votes in force */
        CMS_CONFIG_WAIT_MAJORITY_NEW, /* they would be no more than half of the votes then */
        _CMS_CONFIG_WAIT_MAX,
        _CMS_CONFIG_WAIT_INVALID = -EINVAL,
} CmsConfigWait;

const char *cms_config_wait_to_string(CmsConfigWait i);

typedef struct CmsPeerView {
        uint64_t incarnation; /* last heard; zero: never */
        BootId boot_id;
        Mid mid;
        bool quorate;
        bool heard;     /* in our row */
        bool confirmed; /* and we are in its row */
        bool armed;
        CmsProblem problem;
        uint64_t hold_left_usec;                /* with CMS_PROBLEM_HELD: by its newest heartbeat */
        NodeSet row;                            /* whom it hears, by its newest heartbeat */
        uint64_t row_age_usec;                  /* USEC_INFINITY: never */
        uint64_t heard_age_usec[CMS_LINKS_MAX]; /* USEC_INFINITY: never */
        uint64_t heartbeats_lost;               /* numbers missing on all links, of this incarnation */

        /* Its newest life, heard or known from a membership: what a confirmation has to name. Zero: never
         * seen. */
        uint64_t newest_incarnation;
        BootId newest_boot_id;
        bool proven; /* dead, in this split (R6) */
} CmsPeerView;

typedef struct CmsView {
        CmsPhase phase;
        Mid installed, promised;
        bool quorate, half, no_record, cannot_write, excluded, held;
        uint64_t lease_usec;       /* until when we hold the lease; 0: we never did */
        uint64_t hold_left_usec;   /* while it is held */
        NodeSet row;               /* whom we hear */
        NodeSet target;            /* the set that we would form */
        NodeSet missing;           /* whose answer or acknowledgement we wait for: who blocks */
        Mid config_mid;            /* newest quorate membership that had what is in force; none: never */
        uint64_t config_hash;      /* of what is in force, */
        uint64_t config_wanted;    /* and of what cluster.conf says here: see cms_config_hash() */
        CmsConfigWait config_wait; /* why they differ, */
        NodeSet config_wait_nodes; /* and on account of whom */
        NodeSet configured;        /* every [Node] of what is in force, */
        NodeSet enabled;           /* and those with Enabled=yes */
        CmsPeerView peers[NODE_ID_MAX]; /* by id - 1; zero for ourselves */
} CmsView;

/* ---- the core ---- */

/* Whether it makes sense, and is of the same node with as many links: nothing else can change at run time.
 */
bool cms_may_configure(const Cms *c, const CmsConfig *config);

/* -EINVAL: the configuration makes no sense; -ENOMEM. */
int cms_new(const CmsConfig *config, Cms **ret);
Cms *cms_free(Cms *c);
DEFINE_TRIVIAL_CLEANUP(Cms *, cms_free);

/* Feed one event. Carry out the effects in the order given. They are valid until the next step. */
void cms_step(Cms *c, const CmsEvent *event, CmsEffects *ret_effects);

/* When to send CMS_EVENT_TIMEOUT; USEC_INFINITY: never. */
uint64_t cms_wakeup_usec(const Cms *c);

/* Asserts what one node can see of the invariants. */
void cms_check(const Cms *c);

/* The installed membership; NULL when there is none, or when we were shut out of it. */
const Membership *cms_membership(const Cms *c);

/* Something is promised above it: deliver nothing. */
bool cms_in_transition(const Cms *c);

/* R11. Until when this node holds its lease, by CLOCK_BOOTTIME; 0: it never did. It runs from this node's
 * own sending of what a quorum of its membership has echoed, and counts on while the node is paused. */
uint64_t cms_lease_usec(const Cms *c);

/* From when on a node outside can hold no lease any more, by the clock here; USEC_INFINITY: that is not
 * known, as of a node that anybody of the membership hears, of a member, of whom was in no membership with
 * us in this life, in an even split (R6) and during agreement. Another membership may already stand that we
 * have not heard of: what follows from it counts once it was ordered in ours (R11). */
uint64_t cms_lease_over_usec(const Cms *c, uint32_t node);

/* What was told last of whether a membership stands, TRANSITION or STABLE: for whoever asks at an interval,
 * so that a notification that was lost on the way to it is made up for. */
void cms_ask(const Cms *c, CmsNotification *ret);

void cms_view(const Cms *c, uint64_t now_usec, CmsView *ret);
