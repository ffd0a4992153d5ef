/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Joins the rooms of hamgr: what the group delivers goes into the replicated state; what the state then asks
 * of this node goes to the drive, the fence devices, the disk and the bus; what they answer becomes an
 * ordered message.
 *
 *     group.c      the connection to hagcd: views, messages and snapshots in, messages out
 *     local.c      the groups on this node: orders to the drive, reports to the others
 *     fence-test.c  what devices say of a node, for hactl fence test
 *     fencing.c    fence orders, and the fencing of the other half when the votes are split evenly
 *     record.c     what must survive power loss, on disk in two slots
 *     apply.c      a configuration proposed to the cluster: is it possible here?
 *     cluster.c    cluster.conf that changes: written here, read by hagcd, in force
 *     requests.c   calls from the bus, until they are answered
 *     membership.c how hagcd sees the others, for whoever asks on the bus (inquiry.c)
 *     lease.c      leases, by the page that hagcd writes
 *     groups.c     what it counts of the groups that talk by libhagcs, likewise
 *     leave.c      what a stop of hamgr means, and draining
 *     awake.c      the machine is not sent to sleep while something may run here */

#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "basic/macro.h"
#include "hamgr/api/api.h"
#include "hamgr/awake.h"
#include "hamgr/drive/drive.h"
#include "hamgr/engine/engine.h"
#include "hamgr/fence/fence.h"
#include "hamgr/state/state.h"
#include "libhagcs/hagcs.h"
#include "shared/budget.h"
#include "shared/cluster-conf.h"

#define MANAGER_GROUP "hamgr"
#define MANAGER_LIVELINESS_USEC (3 * UINT64_C(1000000))
#define MANAGER_GRACE_USEC (5 * UINT64_C(1000000))
#define MANAGER_RECONNECT_USEC (UINT64_C(100000))
#define MANAGER_QUEUE_MAX 1024U /* messages not yet taken by hagcd */
#define MANAGER_TROUBLE_MAX 256U

typedef struct Record Record;
typedef struct Local Local;
typedef struct FenceJob FenceJob;
typedef struct Preparation Preparation;
typedef struct Inquiry Inquiry;
typedef struct ClusterFile ClusterFile;
typedef struct LeasePage LeasePage;

typedef enum ManagerLeaving {
        MANAGER_STAYS,
        MANAGER_ASKS,        /* systemd is asked why we are to stop */
        MANAGER_DRAINS,      /* groups go away; then unregister */
        MANAGER_UNREGISTERS, /* nothing runs here; waiting for hagcd */
} ManagerLeaving;

typedef struct Manager {
        sd_event *event; /* ref */

        ClusterConf *conf; /* owned: in force, as far as this node knows */
        HaNodes nodes;     /* as the state has them, or the same as the cores want it */
        uint32_t self;

        /* group.c */
        hagcs *group;                 /* owned; NULL: not connected */
        sd_event_source *group_io;    /* owned */
        sd_event_source *group_retry; /* owned timer */
        bool registered;
        bool had_quorum;                   /* by the word of this hagcd */
        GQueue *queue;                     /* owned GBytes, to be sent */
        char trouble[MANAGER_TROUBLE_MAX]; /* why this node cannot act; "" when it can */

        const LeasePage *lease_page;    /* owned mapping; NULL: there is none */
        BudgetFacts budget_facts;       /* as of the start */
        sd_event_source *promise_timer; /* owned: do they still hold */

        /* the replicated state */
        State *state; /* owned; the last one known, NULL before the first */
        bool active;  /* state is in use: we are in the group and have its state */
        StateClock clock;
        StateEffects effects; /* of the delivery being carried out */

        /* planning */
        sd_event_source *plan;      /* owned: plans at the end of a turn */
        sd_event_source *plan_wake; /* owned timer */
        bool plan_sent;             /* one of ours is on its way */

        /* local.c */
        Drive *drive;               /* owned */
        GPtrArray *locals;          /* owned Local, by name */
        bool configured;            /* the drive has a configuration: */
        StateVersion driven;        /* this one */
        bool guarded;               /* its guards are in force */
        sd_event_source *act_timer; /* owned: an order waits for the lease */
        bool armed;                 /* as hagcd was told */
        Awake *awake;               /* owned: while it is */

        /* fencing.c */
        Fence *fence;                /* owned */
        ClusterConf *fence_conf;     /* owned: of the devices, when that is none of now; NULL: it is */
        bool fence_is_old;           /* the devices are those of a cluster.conf of before */
        sd_event_source *fence_swap; /* owned: when they are idle, they are made anew */
        GPtrArray *fence_jobs;       /* owned FenceJob */
        GHashTable *fence_errors; /* owned: name of a device to what was wrong with it last, "" when nothing
                                   */
        char *fence_trouble;      /* owned: all of that in one text */
        hagcs_mid half;           /* the membership in which we are a half; epoch 0: we are not */
        uint64_t half_patience_usec; /* until when nodes that are heard are waited for */
        bool half_waits;             /* for such a node, when it was looked at last */
        GPtrArray *fence_tests;      /* owned: fence-test.c */
        GArray *half_words;          /* owned StateMessage: of what it did, to be told */
        sd_event_source *half_timer; /* owned */

        /* record.c */
        Record *record;          /* owned */
        uint64_t asked_serial;   /* newest given to the disk since we have the state */
        uint64_t written_serial; /* newest on disk since then */
        bool record_fails;
        uint64_t told_serial; /* newest that the others were told of */

        /* apply.c: a configuration being checked for the cluster */
        Preparation *preparation; /* owned; the cluster's */
        GPtrArray *checks;        /* owned Preparation; of callers */

        /* cluster.c */
        ClusterFile *cluster_file; /* owned */

        /* requests.c */
        Api *api;            /* owned */
        GPtrArray *requests; /* owned */
        uint64_t request_number;
        unsigned order_timeout_sec; /* then its caller is told what an order waits for */

        Inquiry *membership; /* owned: membership.c */
        Inquiry *groups;     /* owned: groups.c */

        /* leave.c */
        ManagerLeaving leaving;
        bool leaves_alone;                             /* nobody takes the order to empty this node */
        sd_event_source *leave_timer;                  /* owned */
        sd_event_source *leave_sigterm, *leave_sigint; /* owned */
} Manager;

#define MANAGER_ORDER_TIMEOUT_SEC_MAX 50U /* hactl waits a little longer than that for its answer */

int manager_new(ClusterConf *conf_taken, uint32_t self, Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_TRIVIAL_CLEANUP(Manager *, manager_free);
int manager_run(Manager *m);

/* One delivery for the state; carries out what it asks for. */
void manager_feed(Manager *m, const StateInput *input);
/* The group has a state again, or has none. */
void manager_begin(Manager *m, State *state_taken);
void manager_suspend(Manager *m);
void manager_plan_soon(Manager *m);
void manager_update_status(Manager *m);
/* To the disk. An older record than one given already is part of that, and not written any more. */
void manager_store(Manager *m, GBytes *record, uint64_t serial);
/* What is on disk and guarded is told to the others, once. */
void manager_tell_stored(Manager *m);
const char *manager_node_name(const Manager *m, uint32_t id);

/* ---- group.c ---- */
int group_start(Manager *m);
void group_stop(Manager *m);
/* Queues a message for everybody; the time is stamped here. */
void group_send(Manager *m, StateMessage *message);
void group_set_armed(Manager *m, bool armed);
int group_unregister(Manager *m);
/* As soon as the state knows this node. */
void group_say_hello(Manager *m);
void group_hand_over(Manager *m); /* the next hamgr of this node follows at once */
bool group_is_quorate(const Manager *m);
/* As hagcd sees it now; NULL: it does not know it, or is not there. Borrowed. */
const hagcs_node *group_find_node(const Manager *m, uint32_t id);

/* ---- local.c ---- */
int local_start(Manager *m);
void local_stop(Manager *m);
void local_configure(Manager *m);
void local_order(Manager *m, const StateEffect *e);
void local_stop_all(Manager *m);
/* OnQuorumLoss=stop. What is not stopped when the lease ends is ended by the keeper, with the node (R13). */
void local_stop_for_quorum(Manager *m);
bool local_is_empty(const Manager *m);
/* Tell hagcd when nothing runs here any more. */
void local_update_armed(Manager *m);

/* ---- lease.c ---- */
/* That of the hagcd that is there now. */
void lease_open(Manager *m);
void lease_close(Manager *m);
/* R14: acting rests on it, since the others count on its end (OnQuorumLoss=). */
bool lease_is_needed(const Manager *m);
bool lease_holds(const Manager *m);
/* The keeper sees by now that something may run here (R12). */
bool lease_is_armed(const Manager *m);
/* One that was held is over, while nothing ran here. */
bool lease_ended_unarmed(const Manager *m);
/* The end of the lease is the end of this node, while something may run here (R13). */
bool lease_ends_node(const Manager *m);
/* From when on another node can hold none, by CLOCK_BOOTTIME here; USEC_INFINITY: not known. */
uint64_t lease_over_usec(const Manager *m, uint32_t node);

/* ---- fencing.c ---- */
int fencing_start(Manager *m);
void fencing_stop(Manager *m);
/* Devices are those of m->conf from now on; before, which they were made from, is taken over. */
void fencing_configure(Manager *m, ClusterConf *before_taken);
void fencing_order(Manager *m, const StateEffect *e);
void fencing_cancel(Manager *m, const StateBoot *boot);
void fencing_cancel_all(Manager *m);
/* The cluster as hagcd sees it changed: are we a half? */
void fencing_update_half(Manager *m);
/* We are in the group again: what was fenced for quorum. */
void fencing_tell_of_half(Manager *m);

/* ---- fence-test.c ---- */
void fence_test_start(Manager *m);
void fence_test_stop(Manager *m);
void fence_test_begin(Manager *m, ApiCall *call, const char *node);
/* The devices are needed, or are no longer those of m->conf. */
void fence_test_break_off(Manager *m);

/* ---- record.c ---- */
typedef void (*RecordHandler)(uint64_t serial, int error, void *userdata);
/* Reads the slots of the folder; a damaged one is reported and put aside. */
int record_new(sd_event *event, const char *folder, RecordHandler handler, void *userdata, Record **ret);
Record *record_free(Record *r);
DEFINE_TRIVIAL_CLEANUP(Record *, record_free);
/* The newest that could be read; NULL: none. Borrowed. */
GBytes *record_newest(const Record *r);
/* Writes it, not waiting: the handler is told its serial when it is synced. A newer one may take its place.
 */
void record_write(Record *r, GBytes *data, uint64_t serial);

/* ---- apply.c ---- */
void apply_start(Manager *m);
void apply_stop(Manager *m);
void apply_prepare(Manager *m, const StateEffect *e);
/* The same for cluster.conf. */
void apply_prepare_cluster(Manager *m, const StateEffect *e);
void apply_stored(Manager *m, uint64_t serial);
void apply_cancel(Manager *m);
/* Judge files on this node for a caller who wants to know no more. */
void apply_check(Manager *m, ApiCall *call, const HaFile *files, size_t n_files);

/* ---- cluster.c ---- */

#define CLUSTER_CONF_FORMER_PATH CLUSTER_CONF_PATH CLUSTER_CONF_FORMER_SUFFIX

int cluster_start(Manager *m);
void cluster_stop(Manager *m);
/* This text is this node's cluster.conf from now on; hagcd is told to read it. */
void cluster_write(Manager *m, GBytes *text);
/* What hamgr --write-cluster-conf does. An exit status. */
int cluster_write_here(void);
/* The state has other nodes, or text, than before. */
void cluster_take_over(Manager *m);
/* Something changed by which hagcd may have another configuration in force than the state knows. */
void cluster_follow(Manager *m);
/* This node has the state of the others: does its file lag behind, or ahead? */
void cluster_catch_up(Manager *m);
/* What differs, a line for each node and setting; for g_strfreev(). */
char **cluster_changes(const ClusterConf *before, const ClusterConf *now);
/* For a state that begins with nobody: what is in force. */
void cluster_begin_nodes(Manager *m, HaNodes *ret);

/* ---- requests.c ---- */
int requests_start(Manager *m);
void requests_stop(Manager *m);
void requests_answer(Manager *m, const StateEffect *e);
void requests_refuse_all(Manager *m, ApiError error, const char *why);

/* ---- membership.c ---- */
int membership_start(Manager *m);
void membership_stop(Manager *m);
/* Takes over the call and answers it when hagcd has. */
void membership_show(Manager *m, ApiCall *call);

/* ---- groups.c ---- */
int groups_start(Manager *m);
void groups_stop(Manager *m);
/* Likewise. */
void groups_show(Manager *m, ApiCall *call);

/* ---- leave.c ---- */
int leave_start(Manager *m);
void leave_stop(Manager *m);
/* Something changed that draining may have waited for. */
void leave_continue(Manager *m);
void leave_unregistered(Manager *m);
/* The others know us again: what they are told of our leaving was lost. */
void leave_joined(Manager *m);
