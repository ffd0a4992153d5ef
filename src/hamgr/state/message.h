/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The ordered messages among hamgrs. Who sent one (node and instance) is told by the group, not by the
 * message.
 *
 * One struct for all, so that it can be built by a designated initialiser; a type uses the fields named in
 * its comment. Encoder and decoder are beside each other in message.c. `time_usec` is the cluster's time
 * (state.h). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "hamgr/state/config.h"

#define STATE_MESSAGE_VERSION 2U
#define STATE_MESSAGE_BYTES_MAX (1U << 20)
#define STATE_TEXT_MAX 512U /* of a reason, with the final zero; longer ones are cut by state_text_set() */
#define STATE_PLAN_STEPS_MAX 1024U
#define STATE_BOOT_ID_BYTES 16U

typedef struct StateBootId {
        uint8_t bytes[STATE_BOOT_ID_BYTES]; /* all zero: not known */
} StateBootId;

static inline bool state_boot_id_equal(StateBootId a, StateBootId b) {
        return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static inline bool state_boot_id_is_null(StateBootId a) {
        return state_boot_id_equal(a, (StateBootId){ 0 });
}

/* Which boot of which node, shut out by which membership, is meant (R15): as a fence order, result or
 * confirmation names it. Both incarnation and boot id are zero for a node that was never seen. */
typedef struct StateBoot {
        uint32_t node;
        uint64_t incarnation;
        StateBootId boot_id;
        HaMid mid;
} StateBoot;

bool state_boot_equal(const StateBoot *a, const StateBoot *b);

typedef enum StateMessageType {
        STATE_MESSAGE_HELLO = 1,     /* hello */
        STATE_MESSAGE_REPORT,        /* report */
        STATE_MESSAGE_PLAN,          /* plan */
        STATE_MESSAGE_FENCE_RESULT,  /* fence_result */
        STATE_MESSAGE_OPERATOR,      /* operator */
        STATE_MESSAGE_NODE_LEAVING,  /* leaving */
        STATE_MESSAGE_APPLY_PREPARE, /* apply_prepare */
        STATE_MESSAGE_APPLY_ANSWER,  /* apply_answer */
        STATE_MESSAGE_STORED,        /* stored */
        STATE_MESSAGE_TICK,          /* nothing but the time: something that the planner waits for is due */
        STATE_MESSAGE_CLUSTER_PREPARE,   /* cluster */
        STATE_MESSAGE_CLUSTER_IN_FORCE,  /* cluster */
        STATE_MESSAGE_FENCED_FOR_QUORUM, /* fence_result: of a half, without an order; for the history */
} StateMessageType;

/* What this node's hamgr can do. */
typedef enum StateCapability {
        STATE_CAPABILITY_FENCE = 1 << 0,  /* runs fence agents */
        STATE_CAPABILITY_RESETS = 1 << 1, /* its node resets itself when its lease ends: reset_usec */
} StateCapability;

/* A chain of resets that takes longer is none; and sums of it stay sums. */
#define STATE_RESET_USEC_MAX (24 * 3600 * UINT64_C(1000000))

/* First message of an instance, sent when it has the state (from a snapshot, or empty as the first). */
typedef struct StateHello {
        uint32_t capabilities;
        uint64_t reset_usec; /* within so long after the end of its lease, something runs there or not; only
                                with STATE_CAPABILITY_RESETS */
        GBytes *record; /* owned; newest durable record found on this disk, as state_durable() gave it; NULL:
                           none */
} StateHello;

typedef enum StateReportState {
        STATE_REPORT_NONE,     /* nothing said yet; never sent */
        STATE_REPORT_STOPPED,  /* proven: nothing of the group runs here */
        STATE_REPORT_STARTING, /* in progress, or restarting in place */
        STATE_REPORT_RUNNING,  /* all of it runs */
        STATE_REPORT_STOPPING, /* in progress */
        STATE_REPORT_PARTIAL,  /* found without an order: some of it runs */
        STATE_REPORT_FAILED,   /* cannot be kept here (start failed, restarts used up); some may still run */
        STATE_REPORT_STOP_FAILED, /* the stop failed after all escalation; some still runs */
        STATE_REPORT_HELD,        /* an operator stopped a unit of it by hand */
        _STATE_REPORT_MAX,
        _STATE_REPORT_INVALID = -EINVAL,
} StateReportState;

const char *state_report_state_to_string(StateReportState i) _const_;
StateReportState state_report_state_from_string(const char *s);

/* What a resource does; the order is that of the group's resources. */
typedef enum StateResourceState {
        STATE_RESOURCE_STOPPED,
        STATE_RESOURCE_STARTING,
        STATE_RESOURCE_RUNNING,
        STATE_RESOURCE_STOPPING,
        STATE_RESOURCE_FAILED,
        _STATE_RESOURCE_MAX,
        _STATE_RESOURCE_INVALID = -EINVAL,
} StateResourceState;

const char *state_resource_state_to_string(StateResourceState i) _const_;

typedef struct StateReport {
        char group[NAME_LENGTH_MAX + 1];
        uint64_t number; /* of the newest order to this node about this group that the sender has seen; 0:
                            none */
        StateReportState state;
        uint32_t n_restarts; /* in place, within the window, so far */
        char reason[STATE_TEXT_MAX];
        uint8_t resources[HA_RESOURCES_MAX]; /* StateResourceState */
        uint32_t n_resources;                /* 0: not told */
} StateReport;

typedef enum StateStepType {
        STATE_STEP_ASSIGN = 1, /* group, node */
        STATE_STEP_RELEASE,    /* group, node; target: where it is meant to go, 0: nowhere */
        STATE_STEP_FENCE,      /* boot, fencer */
} StateStepType;

typedef struct StateStep {
        StateStepType type;

        char group[NAME_LENGTH_MAX + 1];
        uint32_t node;
        uint32_t target;
        uint64_t number; /* the group's newest order number when this was planned; another one now: stale */

        StateBoot boot;
        uint32_t fencer;

        char reason[STATE_TEXT_MAX];
} StateStep;

typedef struct StatePlan {
        HaMid mid; /* of the state it was computed from */
        uint64_t sequence;
        StateStep *steps; /* owned (g_free) */
        size_t n_steps;
} StatePlan;

/* In the place of a device, whose names have no "-" in them: the node has reset itself by now, or runs
 * nothing and starts nothing, since its lease is over. So it is no lie when that same boot is heard again
 * (R15). */
#define STATE_BY_TIME_DEVICE "self-reset"

typedef struct StateFenceResult {
        StateBoot boot;
        bool ok;
        char device[NAME_LENGTH_MAX + 1]; /* "a, b": of one level; what does not fit is cut */
        char text[STATE_TEXT_MAX];
} StateFenceResult;

typedef enum StateOperation {
        STATE_OPERATION_GROUP_START = 1, /* group */
        STATE_OPERATION_GROUP_STOP,      /* group */
        STATE_OPERATION_GROUP_MOVE,      /* group, node (0: home) */
        STATE_OPERATION_GROUP_CLEANUP,   /* group */
        STATE_OPERATION_NODE_STANDBY,    /* node */
        STATE_OPERATION_NODE_UNSTANDBY,  /* node */
        STATE_OPERATION_FENCE_CONFIRM,   /* boot: as state_node() showed it to the operator */
        STATE_OPERATION_NODE_FENCE,      /* node: switch it off now */
} StateOperation;

typedef struct StateOperator {
        uint64_t request; /* chosen by the asking node, not 0; comes back in STATE_EFFECT_ANSWER there */
        StateOperation operation;
        char group[NAME_LENGTH_MAX + 1];
        uint32_t node;
        StateBoot boot;
} StateOperator;

/* A configuration: number of the apply within the state that took it in. */
typedef struct StateVersion {
        HaMid mid;
        uint64_t number;
} StateVersion;

bool state_version_equal(StateVersion a, StateVersion b);

typedef struct StateApplyPrepare {
        uint64_t request;
        GBytes *files; /* owned; ha_files_serialize() */
        bool remove;   /* what is in force and not among the files is meant to go */
} StateApplyPrepare;

/* cluster.conf: its text, and what was read in it. */
typedef struct StateCluster {
        uint64_t request; /* PREPARE */
        HaMid mid;        /* IN_FORCE: since this membership; an older one than what stands is void */
        GBytes *text;     /* owned */
        HaNodes *nodes;   /* owned (g_free) */
} StateCluster;

typedef struct StateApplyAnswer {
        StateVersion version;
        bool ok;       /* validated here, written and synced */
        char *reasons; /* owned; lines; NULL when ok */
} StateApplyAnswer;

#define STATE_REASONS_MAX 8192U /* bytes of apply_answer.reasons */

typedef struct StateStored {
        uint64_t serial; /* this record, or a newer one, is on this node's disk */
} StateStored;

typedef struct StateMessage {
        StateMessageType type;
        uint64_t time_usec; /* cluster time at the sender, state_clock_now() */

        union {
                StateHello hello;
                StateReport report;
                StatePlan plan;
                StateFenceResult fence_result;
                StateOperator operator_;
                StateApplyPrepare apply_prepare;
                StateApplyAnswer apply_answer;
                StateStored stored;
                StateCluster cluster;
        };
} StateMessage;

/* NULL when it is larger than STATE_MESSAGE_BYTES_MAX. */
GBytes *state_message_encode(const StateMessage *m);

/* -EBADMSG: not a message of ours; -EPROTONOSUPPORT: of a version that we do not know. */
int state_message_decode(const void *data, size_t size_bytes, StateMessage *ret);

/* Frees what it owns. */
void state_message_done(StateMessage *m);

/* "report web running #6": for journal and traces. Returns buf. */
char *state_message_format(const StateMessage *m, char buf[static STATE_TEXT_MAX]);

/* Formats into a fixed text; what does not fit is cut at a character and ends in "...". */
void state_text_set(char ret[static STATE_TEXT_MAX], const char *format, ...) _printf_(2, 3);
