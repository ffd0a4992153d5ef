/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of the membership core, for its own files:
 *
 *   cms.c          the step: event in, files below, heartbeat, wake-up
 *   detector.c     who is heard, who is suspected, who confirms whom
 *   caller.c       whether a ballot is needed and whose turn it is (R2)
 *   coordinator.c  inquire, propose, commit
 *   acceptor.c     promise, acknowledge, install
 *   voting.c       votes and what they make of a set, pure
 *   config.c       which configuration is in force, and how it changes (R7)
 *   lease.c        echoes, our lease, and when that of others is over (R11)
 *   rejoin.c       who waits after too many crashes (R21)
 *   stall.c        who is heard and holds up what is ordered (R10)
 *   view.c         what status shows, and the assertions
 *
 * A step runs the event's handler, then the detector, the coordinator and the caller, then the heartbeat. */

#include "basic/prng.h"
#include "basic/time-util.h"
#include "cms/best-set.h"
#include "cms/cms.h"

#define CMS_RETIRED_MAX 4U

/* Own ballots up to this much above a stored promise need no write of their own before the first message. */
#define CMS_EPOCH_RESERVE 8U

/* Doublings of retries and of hold-offs. */
#define CMS_BACKOFF_DOUBLINGS_MAX 5U
#define CMS_HOLD_DOUBLINGS_MAX 5U
#define CMS_HOLD_FORGET_USEC (60 * USEC_PER_SEC)

/* So many FailureSec a file may differ before it is told. */
#define CMS_FILE_DIFFERS_FAILURES 10U

/* Heartbeats whose sending is remembered: some are sent early, at most ten in a period. */
#define CMS_SENT_MAX 512U

typedef struct CmsRetired {
        uint64_t incarnation;
        uint64_t number;    /* newest heartbeat when it was retired, or since */
        unsigned n_revived; /* new heartbeats since */
} CmsRetired;

typedef struct CmsPeer {
        /* who it is */
        uint64_t incarnation;
        uint64_t row_incarnation; /* that our row named last */
        CmsRetired retired[CMS_RETIRED_MAX];
        unsigned next_retired;
        CmsRetired candidate;    /* not met before, and perhaps a late datagram */
        uint64_t two_until_usec; /* two incarnations were alive of late */

        /* what it said last */
        CmsHeartbeat heartbeat;
        CmsRow row;        /* the newest, by heartbeat, inquiry or answer */
        uint64_t row_usec; /* when; 0: never */
        uint64_t n_lost;

        /* when it was heard: for people, and on the clock that our own pauses do not advance */
        uint64_t link_number[CMS_LINKS_MAX];
        uint64_t heard_usec[CMS_LINKS_MAX];
        uint64_t sense_usec[CMS_LINKS_MAX];
        bool ever[CMS_LINKS_MAX];

        bool mismatch;               /* version or configuration differs */
        uint64_t file_differs_since; /* R7: its cluster.conf is not ours; 0: it is */
        CmsProblem problem;

        /* suspicion and proof */
        NodeReason suspicion;      /* why it is not in our row */
        uint64_t incarnation_usec; /* when this incarnation was first heard */
        uint64_t gasped;           /* incarnation whose last gasp was taken: once */
        uint64_t deaf_until_usec;  /* its datagrams that were under way then do not count */
        uint64_t left;             /* incarnation that said farewell */
        bool left_running;
        Mid left_mid;

        /* hold-offs */
        unsigned n_silent_answers; /* ballots that it did not answer */
        uint64_t weak_until_usec;  /* left out of ballots while the others suffice */
        unsigned n_outs;           /* times it was lost by silence, connectivity, its disk or a stall */
        uint64_t last_out_usec;
        uint64_t hold_until_usec; /* not taken in before */

        uint64_t adrift_since_usec; /* 0: not adrift */

        /* lease */
        uint64_t echoed_number; /* its heartbeat that we echoed last */
        uint64_t renewed_usec;  /* when we sent the newest heartbeat that it echoed; 0: none */
} CmsPeer;

/* A ballot of our own. */
typedef struct CmsBallot {
        Mid mid;
        CmsWhy why;
        bool sent;             /* INQUIRE has gone out */
        uint64_t number_store; /* its number must be on disk before */
        uint64_t deadline_usec, soft_deadline_usec, resend_usec;

        NodeSet expected; /* asked */
        NodeSet answered;
        NodeSet excluded;  /* refused for good */
        NodeSet responded; /* refused in any way */
        NodeSet acknowledged;

        /* merged from the answers */
        uint64_t incarnation[NODE_ID_MAX];
        NodeSet rows;
        NodeSet confirms[NODE_ID_MAX];
        uint32_t age_msec[NODE_ID_MAX];
        BootId boot_id[NODE_ID_MAX];
        NodeSet armed, no_record, met;
        Mid quorate_mid;
        unsigned n_rank;
        uint8_t rank[NODE_ID_MAX];
        uint64_t rank_incarnation[NODE_ID_MAX];
        NodeSet known;
        MembershipNode nodes[NODE_ID_MAX];
        NodeSet flushed;  /* hold the history of their membership */
        NodeSet same_mid; /* answered from our own membership, */
        NodeSet proven;   /* and know these to be proven dead */

        CmsPropose proposal;
        uint64_t echoed_usec[NODE_ID_MAX]; /* nodes outside: by any of those that acknowledged, the newest */
} CmsBallot;

/* Nodes that GCS says do not go on. */
typedef struct CmsStall {
        NodeSet told;        /* in every one of its words in a row, */
        uint64_t told_usec;  /* the last of them, */
        uint64_t since_usec; /* and the first, on the clock that our own pauses do not advance */
        NodeSet nodes;       /* left out for it, where the others suffice; ourselves among them or not */
        uint64_t until_usec;
} CmsStall;

typedef struct CmsLease {
        NodeSet echoes;                    /* members that no acknowledged proposal left out since */
        uint64_t echoed_usec[NODE_ID_MAX]; /* when we last did so with news; 0: not in this life */
        uint64_t sent_usec[CMS_SENT_MAX];  /* our heartbeats, by number */
        uint64_t until_usec;               /* our own */
        uint64_t longest_usec;           /* R14: the longest that counted or was acknowledged in this life */
        NodeSet met;                     /* members of any membership of this life */
        uint64_t over_usec[NODE_ID_MAX]; /* those of nodes outside */
} CmsLease;

#ifdef CMS_BROKEN_CORES
/* Deliberate faults, for the simulator to catch. */
typedef enum CmsFault {
        CMS_FAULT_NONE,
        CMS_FAULT_ANSWER_BEFORE_WRITE,
        CMS_FAULT_EPOCH_NOT_STORED,
        CMS_FAULT_QUORUM_OFF_BY_ONE,
        CMS_FAULT_HALF_WITHOUT_PROOF,
        CMS_FAULT_PROOF_OUTLIVES_SPLIT,
        CMS_FAULT_LOWER_ACKNOWLEDGED,
        CMS_FAULT_LOWER_INSTALLED,
        CMS_FAULT_CHECKMARK_IGNORED,
        CMS_FAULT_COMMIT_BEFORE_ALL,
        CMS_FAULT_COMMIT_SKIPS_NODE,
        CMS_FAULT_BALLOT_COMPARED_BY_EPOCH,
        CMS_FAULT_NUMBER_USED_TWICE,
        CMS_FAULT_NO_RECORD_COUNTS,
        CMS_FAULT_INCARNATION_IGNORED,
        CMS_FAULT_CALLS_BESIDE_QUORUM,
        CMS_FAULT_LEAVES_INTACT,
        CMS_FAULT_TARGET_IGNORES_ROWS,
        CMS_FAULT_LAST_GASP_IS_DOWN,
        CMS_FAULT_EARLIER_BOOT_PROVES,
        CMS_FAULT_DIFFERENCES_COUNT,
        CMS_FAULT_CANNOT_WRITE_IGNORED,
        CMS_FAULT_ECHOES_ANYBODY,
        CMS_FAULT_ECHOES_AFTER_ACKNOWLEDGING,
        CMS_FAULT_RESTART_FORGETS_ECHOES,
        CMS_FAULT_WAIT_FROM_OWN_RECEIPT,
        CMS_FAULT_LEASE_ON_DISCOUNTED_CLOCK,
        CMS_FAULT_HOLD_IGNORED,
        CMS_FAULT_HELD_WHERE_NEEDED,
        CMS_FAULT_QUORUM_BY_NEW,
        CMS_FAULT_QUORUM_BY_OLD,
        CMS_FAULT_CONFIG_BEFORE_WRITE,
        CMS_FAULT_REMOVES_UNKNOWN,
        CMS_FAULT_STALL_IGNORED,
        CMS_FAULT_STALL_NEVER_OWN,
        CMS_FAULT_STALL_NOT_HELD_OFF,
        CMS_FAULT_CHANGES_BEFORE_FLUSH,
        CMS_FAULT_COUNTS_BEFORE_FLUSH,
        _CMS_FAULT_MAX,
        _CMS_FAULT_INVALID = -EINVAL,
} CmsFault;

const char *cms_fault_to_string(CmsFault f);
void cms_break(Cms *c, CmsFault fault);
#define CMS_BROKEN(c, name) ((c)->fault == CMS_FAULT_##name)
#else
#define CMS_BROKEN(c, name) false
#endif

struct Cms {
        CmsConfig config; /* what is in force */
        NodeSet others;   /* enabled, without ourselves */
        Prng prng;

        uint64_t now_usec;
        uint64_t wakeup_usec;
        uint64_t start_usec;
        uint64_t discount_usec; /* our own pauses, for suspecting others only */
        uint64_t incarnation;
        BootId boot_id;
        bool armed;
        CmsEffects *effects; /* weak; within a step */

        CmsPhase phase;
        CmsWhy phase_why;

        /* rejoin */
        uint64_t rejoin_usec; /* held off until then; 0: no, or no more */
        bool held;            /* it waits right now */

        /* configuration: c->config is what is in force */
        CmsVotings votings; /* what we know; committed is in force */
        CmsVoting wanted;   /* by cluster.conf */
        uint64_t config_hash, wanted_hash;
        unsigned votes_total;   /* of what is in force: it is asked for in every step */
        Mid history;            /* that GCS holds, */
        uint64_t history_store; /* once this is on disk */
        uint64_t config_store;  /* what is acknowledged next rests on this being on disk */

        /* disk */
        bool no_record;
        CmsRecord record;
        uint64_t floor_epoch; /* own ballots of earlier lives are not above it */
        uint64_t durable_used_epoch;
        Mid durable_promised;
        uint64_t store_number, stored_number, used_store;
        uint64_t store_since_usec; /* since when something is unwritten; 0: nothing */
        uint64_t store_retry_usec; /* 0: no */
        bool store_failed;

        /* detector */
        CmsPeer peers[NODE_ID_MAX];
        bool carrier[CMS_LINKS_MAX];
        unsigned n_without_carrier[CMS_LINKS_MAX]; /* heartbeats that came nevertheless */
        uint64_t row_version;
        NodeSet row;                   /* heard */
        NodeSet mutual;                /* heard, and they hear us */
        NodeSet confirms[NODE_ID_MAX]; /* whom each heard node confirms, by the incarnations known here */
        bool view_changed;

        /* heartbeat */
        uint64_t heartbeat_number, heartbeat_due_usec, heartbeat_sent_usec;
        bool heartbeat_wanted;
        bool works; /* in a quorate membership that is still that many, as of the end of a step */

        /* acceptor */
        Mid promised;
        uint32_t promised_to;
        uint64_t promised_incarnation;
        uint64_t promise_store; /* the promise holds once this is on disk */
        bool answer_pending;
        uint64_t promise_deadline_usec;
        bool accepted;
        bool acknowledge_pending;
        uint64_t acknowledge_store;
        CmsPropose acceptance; /* what was acknowledged */

        /* installed */
        bool has_installed, excluded, transition;
        Membership installed;
        uint64_t installed_config; /* what was in force then */
        bool has_quorate;
        Membership quorate; /* the newest quorate one that was installed in this life */
        Mid lineage; /* oldest membership that had all of the present members, as they are (R6: this split)
                      */
        MembershipNode known[NODE_ID_MAX];
        CmsLease lease;
        CmsStall stall;

        /* caller */
        NodeSet target;
        uint64_t target_since_usec;
        uint64_t target_due_usec; /* a hold-off ends: choose again */
        bool target_cannot_write; /* what held when it was chosen */
        CmsWhy need;
        uint64_t need_since_usec;
        uint64_t call_usec; /* USEC_INFINITY: no */
        unsigned n_failures;
        uint64_t retry_usec;  /* not before */
        uint64_t silent_usec; /* handed over: not before */
        NodeSet handed_over;  /* the set we last asked to call in our place, since we installed anything */
        bool handed;          /* a coordinator outside the best set asked us to call */
        CmsBallot ballot;

        /* leaving */
        NodeSet farewell_left; /* who has not heard it yet */
        bool farewell_running;
        uint64_t farewell_deadline_usec, farewell_resend_usec;

#ifdef CMS_BROKEN_CORES
        CmsFault fault;
#endif
};

/* ---- cms.c ---- */

void cms_enter(Cms *c, CmsPhase phase, CmsWhy why);
CmsMessage *cms_message(Cms *c, CmsMessageType type);
void cms_send(Cms *c, NodeSet to, const CmsMessage *m);
void cms_store(Cms *c);
void cms_trace(Cms *c, const CmsTrace *trace);
void cms_notify(Cms *c, const CmsNotification *notification);
void cms_freeze(Cms *c, Mid ballot);
bool cms_cannot_write(const Cms *c);
bool cms_is_durable(const Cms *c, uint64_t number);
int cms_ballot_compare(const Cms *c, Mid a, Mid b);

#define CMS_TRACE(c, ...) cms_trace((c), &(CmsTrace){ __VA_ARGS__ })

/* ---- config.c ---- */

int cms_margin(const Cms *c, const CmsVotings *v, NodeSet set);
bool cms_holds_majority(const Cms *c, const CmsVotings *v, NodeSet set);
bool cms_holds_quorum(const Cms *c, const CmsVotings *v, NodeSet members, NodeSet counted, NodeSet proven);
bool cms_has_majority(const Cms *c, NodeSet set);
bool cms_is_half(const Cms *c, NodeSet set);
void cms_config_to_voting(const CmsConfig *config, CmsVoting *ret);
void cms_config_start(Cms *c);
void cms_config_run(Cms *c);
void cms_configure(Cms *c, const CmsConfig *config);
void cms_give_votings(Cms *c, uint32_t to);
bool cms_learn_votings(Cms *c, const CmsVotings *v);
void cms_fill_config(const Cms *c, CmsHeartbeat *ret);
void cms_judge_config(Cms *c, uint32_t id);
bool cms_file_differs(const Cms *c, uint32_t id);
CmsConfigWait cms_config_wait(const Cms *c, NodeSet *ret_nodes);
bool cms_config_is_due(const Cms *c);
bool cms_is_flushed(const Cms *c);
void cms_fill_votings(const Cms *c, NodeSet members, NodeSet counted, CmsVotings *ret);
bool cms_votings_are_valid(const Cms *c, const CmsPropose *p);
void cms_config_accept(Cms *c, const CmsPropose *p);
bool cms_config_is_durable(const Cms *c);
void cms_config_install(Cms *c, const CmsPropose *p);

/* ---- detector.c ---- */

void cms_on_heartbeat(Cms *c, uint32_t from, unsigned link, const CmsMessage *m);
void cms_on_foreign(Cms *c, uint32_t from, unsigned link);
void cms_on_last_gasp(Cms *c, uint32_t node, uint64_t incarnation);
void cms_on_link(Cms *c, unsigned link, bool carrier);
void cms_on_farewell(Cms *c, uint32_t from, const CmsMessage *m);
void cms_on_confirmed_down(Cms *c, const CmsConfirmation *confirmation);
void cms_detect(Cms *c);
uint64_t cms_detect_due(const Cms *c);
uint64_t cms_newest_life(const Cms *c, uint32_t id, BootId *ret_boot_id);
bool cms_spoke_before_installing(const Cms *c, uint32_t id);
bool cms_hears(const Cms *c, uint32_t id, uint64_t incarnation);
bool cms_is_later_boot(const MembershipNode *known, const CmsHeartbeat *h);
bool cms_hears_members(const Cms *c, const Membership *m);
NodeSet cms_confirmed_by(const Cms *c, uint32_t id);
void cms_take_row(Cms *c, uint32_t from, const CmsRow *row);
void cms_fill_row(const Cms *c, CmsRow *ret);
void cms_hold_no_answer(Cms *c, uint32_t id);
void cms_hold_lost(Cms *c, uint32_t id, NodeReason why);
void cms_node_goes(Cms *c, uint32_t id);
void cms_set_problem(Cms *c, uint32_t id, CmsProblem problem);
NodeSet cms_weak(const Cms *c);

/* ---- caller.c ---- */

void cms_evaluate(Cms *c);
NodeSet
cms_choose(const Cms *c,
           NodeSet candidates,
           const NodeSet confirms[static NODE_ID_MAX],
           NodeSet no_record,
           NodeSet weak,
           NodeSet may_join);
bool cms_is_intact(const Cms *c);
bool cms_may_be_left_for(const Cms *c, NodeSet members, NodeSet target);
bool cms_still_quorate(const Cms *c, NodeSet set);
bool cms_would_lose_quorum(const Cms *c, NodeSet set);
bool cms_hears_foreign_quorum(const Cms *c);
unsigned cms_place(const Cms *c, NodeSet set);
NodeSet cms_peers_no_record(const Cms *c);
NodeSet cms_peers_cannot_write(const Cms *c);
NodeSet cms_proven(const Cms *c);

/* ---- rejoin.c ---- */

bool cms_is_held(const Cms *c);
void cms_fill_hold(const Cms *c, CmsHeartbeat *ret);
NodeSet cms_peers_held(const Cms *c);
bool cms_held_brings_proof(const Cms *c);
void cms_rejoin_run(Cms *c);
uint64_t cms_rejoin_due(const Cms *c);

/* ---- stall.c ---- */

void cms_on_stalled(Cms *c, NodeSet nodes);
NodeSet cms_peers_stalled(const Cms *c);
void cms_stall_run(Cms *c);
void cms_stall_forget(Cms *c);
uint64_t cms_stall_due(const Cms *c);

/* ---- coordinator.c ---- */

void cms_ballot_call(Cms *c, CmsWhy why);
void cms_ballot_abandon(Cms *c, CmsWhy why, uint64_t retry_usec);
void cms_ballot_run(Cms *c);
uint64_t cms_ballot_due(const Cms *c);
uint64_t cms_backoff(Cms *c);
unsigned cms_knowledge_weight(const MembershipNode *n);
void cms_on_answer(Cms *c, uint32_t from, const CmsMessage *m);
void cms_on_acknowledge(Cms *c, uint32_t from, const CmsMessage *m);
void cms_on_refuse(Cms *c, uint32_t from, const CmsMessage *m);

/* ---- acceptor.c ---- */

void cms_promise(Cms *c, Mid ballot, uint32_t to, uint64_t incarnation);
void cms_fill_answer(const Cms *c, CmsAnswer *ret);
void cms_install(Cms *c, const CmsPropose *p, const CmsEchoAges *echoed);
bool cms_proposal_is_valid(const Cms *c, const CmsPropose *p);
void cms_exclude(Cms *c, Mid mid, uint32_t told_by);
void cms_acceptor_run(Cms *c);
void cms_on_inquire(Cms *c, uint32_t from, const CmsMessage *m);
void cms_on_propose(Cms *c, uint32_t from, const CmsMessage *m);
void cms_on_commit(Cms *c, uint32_t from, const CmsMessage *m);
void cms_on_hand_over(Cms *c, uint32_t from, const CmsMessage *m);
void cms_recover_commit(Cms *c, const CmsHeartbeat *h);

/* ---- lease.c ---- */

void cms_lease_fill_heartbeat(Cms *c, CmsHeartbeat *h);
void cms_lease_take_echo(Cms *c, uint32_t from, const CmsHeartbeat *h);
void cms_lease_accept(Cms *c, const Membership *m);
void cms_lease_fill_ages(const Cms *c, const Membership *m, CmsEchoAges *ret);
void cms_lease_merge_ages(Cms *c, const CmsEchoAges *ages);
void cms_lease_fill_youngest(const Cms *c, CmsEchoAges *ret);
void cms_lease_install(Cms *c, const CmsPropose *p, const CmsEchoAges *ages);
