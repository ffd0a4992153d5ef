/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The replicated state of all hamgrs. It changes only by what the group delivers, in that order: views and
 * messages. Replicas that took in the same inputs hold the same bytes (state_serialize).
 *
 * Safety lives here and not in the planner: a step of a plan is checked again against the state at its
 * delivery, and a group is ordered to start only when nobody else may run something of it
 * (StateGroup.may_run).
 *
 * How the manager uses it:
 *  - on a view that makes this hamgr a fresh member: if a snapshot follows, state_deserialize() it (it
 * includes the view) and state_set_self(); else (formation, or first member) state_new() and state_apply()
 * the view. In both cases send HELLO then, and nothing before it.
 *  - on every later view and message: state_apply(), carry out the effects in their order.
 *  - then, if state_is_planner() and no plan of ours is on its way: engine_plan(), and send what it says.
 *  - on SHUT_OUT: forget the state, cancel fences, keep what runs. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "hamgr/state/config.h"
#include "hamgr/state/message.h"

#define STATE_REQUESTS_MAX 64U /* of operators, not answered yet; more are refused */
#define STATE_FENCE_TEXT_MAX 160U
#define STATE_FENCE_HISTORY_MAX 32U /* fencings that are remembered */
#define STATE_LOST_TEXT_MAX 32U
#define STATE_REBOOTED_TEXT_MAX 320U
#define STATE_FENCE_RETRY_MIN_USEC (UINT64_C(500000)) /* after a first failure; doubles */
#define STATE_FENCE_RETRY_MAX_USEC (UINT64_C(30000000))
/* A fencer that is silent for longer is given up; it gets more for devices that may take longer. */
#define STATE_FENCE_ANSWER_USEC (UINT64_C(120000000))
/* In which a member that its device called off is lost, beside four times FailureSec=; or the device lied.
 */
#define STATE_FENCE_LOSS_USEC (UINT64_C(10000000))

typedef struct State State;

/* ---- What is delivered
 * ------------------------------------------------------------------------------------------ */

typedef enum StateNodeState {
        STATE_NODE_UNKNOWN,  /* out, and not proven dead; also: never seen */
        STATE_NODE_UP,       /* in the membership */
        STATE_NODE_DOWN,     /* out, and proven dead */
        STATE_NODE_INACTIVE, /* out by a farewell with nothing left running, or disabled */
        STATE_NODE_DETACHED, /* out by a farewell with groups left running */
        _STATE_NODE_MAX,
        _STATE_NODE_INVALID = -EINVAL,
} StateNodeState;

const char *state_node_state_to_string(StateNodeState i) _const_;
StateNodeState state_node_state_from_string(const char *s);

/* One configured node, as the membership service tells at this point of the order. */
typedef struct StateViewNode {
        uint32_t id;
        StateNodeState state;
        uint64_t incarnation; /* 0: never heard */
        StateBootId boot_id;
        char reason[STATE_LOST_TEXT_MAX]; /* why it is in that state, for people; "" */
} StateViewNode;

/* A hamgr in the group. The instance is new for each registration with the group, also on the same node, and
 * not 0. */
typedef struct StateViewMember {
        uint32_t node;
        uint64_t instance;
} StateViewMember;

typedef struct StateView {
        bool quorate;
        const StateViewNode *nodes; /* borrowed; every configured node */
        size_t n_nodes;
        const StateViewMember *members; /* borrowed; oldest first */
        size_t n_members;
} StateView;

typedef enum StateInputType {
        STATE_INPUT_VIEW,
        STATE_INPUT_MESSAGE,
} StateInputType;

typedef struct StateInput {
        StateInputType type;
        HaMid mid; /* (mid, sequence) of the delivery; only grows */
        uint64_t sequence;

        StateView view;

        StateViewMember sender;
        const StateMessage *message; /* borrowed */
} StateInput;

/* ---- What this replica has to do then
 * ---------------------------------------------------------------------------- */

typedef enum StateResult {
        STATE_RESULT_OK,
        STATE_RESULT_NOTHING_TO_DO, /* it is so already: a success */
        STATE_RESULT_NO_SUCH_GROUP,
        STATE_RESULT_NO_SUCH_NODE,
        STATE_RESULT_REFUSED,      /* the text says why */
        STATE_RESULT_BUSY,         /* an apply is under way, too many requests, still forming: try again */
        STATE_RESULT_INVALID,      /* the configuration; the text has a line for each error */
        STATE_RESULT_WOULD_REMOVE, /* groups or policies for which there is no file; a line for each */
        _STATE_RESULT_MAX,
        _STATE_RESULT_INVALID = -EINVAL,
} StateResult;

const char *state_result_to_string(StateResult i) _const_;
StateResult state_result_from_string(const char *s);

/* What happened, for the journal and D-Bus. Every replica announces it, each once. */
typedef enum StateEventKind {
        STATE_EVENT_FORMED,          /* all members have said hello; work begins */
        STATE_EVENT_NODE_UP,         /* node */
        STATE_EVENT_NODE_LOST,       /* node: left the membership, state in text */
        STATE_EVENT_NODE_LEFT,       /* node: left it with a farewell, state in text */
        STATE_EVENT_NODE_DOWN,       /* node: proven dead */
        STATE_EVENT_NODE_LEAVING,    /* node: drains */
        STATE_EVENT_NODE_REBOOTED,   /* node: why its boot before this one ended */
        STATE_EVENT_NODE_STANDBY,    /* node */
        STATE_EVENT_NODE_UNSTANDBY,  /* node */
        STATE_EVENT_MANAGER_LOST,    /* node: up, but its hamgr left */
        STATE_EVENT_FENCE_STARTED,   /* node */
        STATE_EVENT_FENCE_OK,        /* node */
        STATE_EVENT_FENCE_FAILED,    /* node */
        STATE_EVENT_FENCE_WITHDRAWN, /* node */
        STATE_EVENT_FENCE_CONFIRMED, /* node, by an operator */
        STATE_EVENT_FENCE_VOID,      /* node: a result about another boot, incarnation or time */
        STATE_EVENT_FENCE_LIED,      /* node: a boot declared down is back */
        STATE_EVENT_GROUP_ASSIGNED,  /* group, node */
        STATE_EVENT_GROUP_RELEASED,  /* group, node */
        STATE_EVENT_GROUP_STATE,     /* group, node (0: none): run state changed */
        STATE_EVENT_GROUP_CONFLICT,  /* group, node: found running on two nodes */
        STATE_EVENT_STEP_DROPPED,    /* group or node: a step of a plan did not hold any more */
        STATE_EVENT_CONFIG_PREPARED,
        STATE_EVENT_CONFIG_IN_FORCE,
        STATE_EVENT_CONFIG_DROPPED,
        STATE_EVENT_CLUSTER_WANTED,   /* every hamgr has agreed to a cluster.conf */
        STATE_EVENT_CLUSTER_IN_FORCE, /* the membership has */
        STATE_EVENT_RECORD_ASIDE,     /* node: brought a newer stored record after the formation; not used */
        STATE_EVENT_RECORD_BAD,       /* node: brought a record that cannot be read */
        STATE_EVENT_OPERATOR,         /* group or node: an operator's order was taken in */
        _STATE_EVENT_MAX,
        _STATE_EVENT_INVALID = -EINVAL,
} StateEventKind;

const char *state_event_kind_to_string(StateEventKind i) _const_;

typedef enum StateEffectType {
        STATE_EFFECT_STORE,   /* serial, record, in_force: write and sync; then send STORED{serial} */
        STATE_EFFECT_PREPARE, /* version, config, serial, record: validate here, write and sync, then send
                               * APPLY_ANSWER (and STORED); refused: APPLY_ANSWER with the reasons, write
                               * nothing */
        STATE_EFFECT_PREPARE_CLUSTER, /* the same for cluster.conf: text */
        STATE_EFFECT_WRITE_CLUSTER,   /* text: is this node's cluster.conf from now on; have hagcd read it */
        STATE_EFFECT_CLUSTER,         /* state_nodes() and state_cluster_text() are others now */
        STATE_EFFECT_START, /* group, number: start here; what runs already is adopted, not restarted */
        STATE_EFFECT_STOP,  /* group, number: stop here and report STOPPED when it is proven */
        STATE_EFFECT_PROBE, /* group, number: change nothing, look, and report what runs here. Replaces an
                             * older order: an unfinished start of it is ended before the report */
        STATE_EFFECT_FENCE, /* boot, attempt: switch it off now; the answer is FENCE_RESULT */
        STATE_EFFECT_FENCE_CANCEL, /* boot: kill the agent if it still runs; no answer is needed */
        STATE_EFFECT_ANSWER,       /* request, result, text: a caller of this node has its answer */
        STATE_EFFECT_EVENT,        /* event, group, node, text */
        STATE_EFFECT_CHANGED,      /* group, or node, or neither (the manager object): properties changed */
        STATE_EFFECT_OBJECTS,      /* groups or resources came or went: compare with state_config() */
} StateEffectType;

typedef struct StateEffect {
        StateEffectType type;

        char group[NAME_LENGTH_MAX + 1]; /* "" when not used */
        uint32_t node;
        uint64_t number;

        StateBoot boot;
        uint32_t attempt;

        uint64_t serial;
        bool in_force;  /* STORE: the configuration changed: write the guard list, daemon-reload, before
                           STORED */
        GBytes *record; /* owned */
        StateVersion version;
        GBytes *files; /* owned; PREPARE: ha_files_serialize() form */

        uint64_t request;
        StateResult result;
        StateEventKind event;
        char *text; /* owned; NULL when there is none */
} StateEffect;

typedef struct StateEffects {
        StateEffect *effects; /* owned */
        size_t n_effects;
        size_t n_allocated;
} StateEffects;

/* Empties it and keeps the memory. */
void state_effects_clear(StateEffects *e);
void state_effects_done(StateEffects *e);

/* "start web #6": for journal and traces. Returns buf. */
char *state_effect_format(const StateEffect *e, char buf[static STATE_TEXT_MAX]);

/* ---- The state itself: read only outside of this room
 * ------------------------------------------------------------ */

typedef struct StateFence {
        bool active;
        bool live;           /* ordered while the node is a member, because a stop failed there */
        bool confirmed;      /* live: the device said off, the loss is not delivered yet */
        uint32_t fencer;     /* node that does it */
        uint32_t n_attempts; /* failed ones, for this loss */
        NodeSet tried;       /* fencers that failed since the last success */
        uint64_t started_usec;
        uint64_t retry_usec; /* not before this; confirmed: the loss is overdue then */
        char device[NAME_LENGTH_MAX + 1];
        char text[STATE_FENCE_TEXT_MAX]; /* of the last result */
} StateFence;

typedef enum StateFenceOutcome {
        STATE_FENCE_UNDER_WAY,
        STATE_FENCE_OFF,       /* a device proved it */
        STATE_FENCE_CONFIRMED, /* an operator vouched for it */
        STATE_FENCE_FAILED,
        STATE_FENCE_WITHDRAWN, /* it was proven dead otherwise, or is a member again */
        _STATE_FENCE_OUTCOME_MAX,
        _STATE_FENCE_OUTCOME_INVALID = -EINVAL,
} StateFenceOutcome;

const char *state_fence_outcome_to_string(StateFenceOutcome i) _const_;
StateFenceOutcome state_fence_outcome_from_string(const char *s);

typedef struct StateFenceEntry {
        StateBoot boot;
        uint32_t fencer; /* node that did it; 0: an operator */
        StateFenceOutcome outcome;
        uint64_t begun_usec, ended_usec; /* the cluster's time */
        char device[STATE_FENCE_TEXT_MAX];
        char reason[STATE_FENCE_TEXT_MAX]; /* why it was begun */
        char text[STATE_FENCE_TEXT_MAX];   /* what went wrong */
} StateFenceEntry;

typedef struct StateNode {
        uint32_t id;
        StateNodeState state;
        uint64_t incarnation; /* the last seen; 0: never seen */
        StateBootId boot_id;
        HaMid mid; /* out: the membership that shut it out; a live fence: the one it was ordered in */
        uint64_t since_usec; /* in this state */

        uint64_t instance; /* of its hamgr in the group; 0: none */
        bool hello;        /* that instance has said hello */
        uint32_t capabilities;
        uint64_t reset_usec; /* R12, R13: in its own words, it has reset itself so long after the end of its
                                lease; stays when the node is lost. 0: it said nothing of that kind */
        uint64_t stored_serial; /* newest record known to be on its disk */

        bool leaving; /* drains; groups go away, none comes */
        bool standby; /* operator's decision, stored */
        bool lied;    /* a boot of it that was declared down came back: its device is not believed */
        StateFence fence;
        bool fence_ordered; /* by an operator, once */

        char lost[STATE_LOST_TEXT_MAX];         /* why it was, last */
        char rebooted[STATE_REBOOTED_TEXT_MAX]; /* why its boot before this one ended; "": in good order, or
                                                   not known */
        bool rebooted_is_told;
} StateNode;

typedef enum StateOrder {
        STATE_ORDER_NONE,
        STATE_ORDER_START,
        STATE_ORDER_STOP,
} StateOrder;

/* What one group has to do with one node. */
typedef struct StateGroupNode {
        StateOrder order; /* the newest to this node */
        uint64_t number;  /* of that order; 0: never ordered since the node was last proven dead */

        StateReportState report; /* the newest valid one of the current instance, for that number */
        uint32_t n_restarts;
        char *reason; /* owned; of the report; NULL: none */
        uint8_t resources[HA_RESOURCES_MAX];
        uint32_t n_resources;

        bool failed; /* within the policy's window */
        uint32_t n_failures;
        uint64_t failed_usec; /* the newest */
        char *failed_reason;  /* owned */
} StateGroupNode;

typedef struct StateGroup {
        char name[NAME_LENGTH_MAX + 1];
        const HaGroup *config; /* weak: of the configuration in force */

        NodeSet may_run;       /* R14: nodes not proven to run nothing of it */
        uint64_t number;       /* of the newest order, to whatever node */
        uint32_t preferred;    /* an operator moved it there; 0: none */
        bool stopped;          /* operator's decision, stored */
        uint32_t held;         /* node where a unit of it was stopped by hand; 0: none */
        NodeSet conflict;      /* found running on these at once; an operator must say which */
        NodeSet stop_failed;   /* a stop failed there and it is not proven stopped since */
        uint64_t ordered_hash; /* resources_hash of what the newest start order asked for */
        char *placed_reason;   /* owned; why the newest start order went where it went; NULL: none yet */
        bool stop_fenced;      /* a node was fenced because of its stop, at */
        uint64_t stop_fenced_usec;

        StateGroupNode nodes[NODE_ID_MAX]; /* by id - 1 */
} StateGroup;

typedef enum StatePhase {
        STATE_PHASE_FORMING, /* nobody survived: waiting until every member has said hello */
        STATE_PHASE_READY,
} StatePhase;

/* What a group is, in one word, and why. */
typedef enum StateRun {
        STATE_RUN_STOPPED,
        STATE_RUN_STARTING,
        STATE_RUN_RUNNING,
        STATE_RUN_STOPPING,
        STATE_RUN_FAILED,  /* no node is left that could run it */
        STATE_RUN_BLOCKED, /* it must not start or cannot stop; somebody or something must act first */
        STATE_RUN_HELD,    /* an operator stopped a unit of it by hand */
        _STATE_RUN_MAX,
        _STATE_RUN_INVALID = -EINVAL,
} StateRun;

const char *state_run_to_string(StateRun i) _const_;
StateRun state_run_from_string(const char *s);

typedef struct StateGroupStatus {
        StateRun run;
        uint32_t node;               /* that runs, starts or stops it; 0: none */
        char reason[STATE_TEXT_MAX]; /* a sentence for people; "" when there is nothing to say */
} StateGroupStatus;

/* `self` is this replica's node; its instance comes with the views. The nodes are those of the cluster.conf
 * in force: all who begin at once give the same. */
State *state_new(const HaNodes *nodes, uint32_t self);
State *state_free(State *s);
DEFINE_TRIVIAL_CLEANUP(State *, state_free);
void state_set_self(State *s, uint32_t self);

/* Takes in one delivery. Effects are appended; they are valid until the caller clears them. Cannot fail. */
void state_apply(State *s, const StateInput *input, StateEffects *effects);

/* All that is replicated. Equal states give equal bytes. */
GBytes *state_serialize(const State *s);
int state_deserialize(uint32_t self, const void *data, size_t size_bytes, State **ret);

/* The durable part as of now: configurations, operator decisions, nodes left that may run what. */
GBytes *state_durable(const State *s);
/* Is this a record that can be read? 0, and its number; -EBADMSG. For the shell that finds one on its disk.
 */
int state_durable_check(const void *data, size_t size_bytes, HaMid *ret_mid, uint64_t *ret_serial);

/* The cluster.conf that was in force by that record, for a hamgr whose file says something else. False:
 * there is none in it. */
bool state_durable_cluster(const void *data, size_t size_bytes, GBytes **ret_text, HaNodes *ret_nodes);

/* One that was agreed to, or asked about, when that record was written, and not in force then. False: none.
 */
bool state_durable_unfinished(const void *data, size_t size_bytes, GBytes **ret_text, HaNodes *ret_nodes);

/* Asserts every invariant that one replica can see. */
void state_check(const State *s);

/* Reading. Pointers are valid until the next state_apply(). */
StatePhase state_phase(const State *s);
/* Why it is still forming: "waiting for hamgr on n3". "" when ready. */
void state_phase_reason(const State *s, char ret[static STATE_TEXT_MAX]);
/* Why a request of this node has no answer yet: "waiting for n3 (hamgr does not run there; start it:
 * systemctl start hamgr)". "" when it is not known. */
void state_request_waits(const State *s, uint64_t request, char ret[static STATE_TEXT_MAX]);
HaMid state_mid(const State *s);
uint64_t state_sequence(const State *s);
bool state_is_quorate(const State *s);
NodeSet state_members(const State *s);  /* nodes in the membership */
NodeSet state_managers(const State *s); /* those whose hamgr is in the group and has said hello */
uint32_t state_planner(const State *s); /* node of the oldest hamgr; 0: none */
bool state_is_planner(const State *s);
uint32_t state_self(const State *s);
/* The hamgrs of the group, oldest first. */
size_t state_view_members(const State *s, const StateViewMember **ret);

const HaNodes *state_nodes(const State *s);
/* The text of cluster.conf in force, as far as anybody said it; NULL: the same as when this began. Borrowed.
 */
GBytes *state_cluster_text(const State *s);
/* One that all hamgrs have agreed to and that is not in force yet; NULL: none. Borrowed. */
GBytes *state_cluster_wanted(const State *s, const HaNodes **ret_nodes);
const HaConfig *state_config(const State *s); /* in force; never NULL */
StateVersion state_config_version(const State *s);
bool state_apply_pending(const State *s, StateVersion *ret_version);
const StateNode *state_node(const State *s, uint32_t id); /* NULL: not configured */
/* Fencings, oldest first; borrowed. */
size_t state_fence_history(const State *s, const StateFenceEntry **ret);
size_t state_n_groups(const State *s);
const StateGroup *state_group_at(const State *s, size_t i); /* by name, ascending */
const StateGroup *state_group(const State *s, const char *name);

void state_group_status(const State *s, const StateGroup *g, StateGroupStatus *ret);
/* The node with the start order in effect; 0: none. */
uint32_t state_group_owner(const StateGroup *g);
/* May this node keep the group: in its domain, up, not in standby, not leaving? If not, ret_reason says why.
 */
bool state_group_node_allowed(
                const State *s, const StateGroup *g, uint32_t node, char ret_reason[static STATE_TEXT_MAX]);
/* May it be given the group, as far as the node is concerned? Also: its hamgr is there, it did not fail
 * there, a standby node has not taken its load. */
bool state_group_node_usable(
                const State *s, const StateGroup *g, uint32_t node, char ret_reason[static STATE_TEXT_MAX]);
/* Groups other than this one that a standby node has. */
uint32_t state_standby_load(const State *s, uint32_t node, const StateGroup *except_or_null);
/* Which boot a fence order, result or confirmation about this node has to name now. */
StateBoot state_node_boot(const StateNode *n);
/* It can be proven dead without an operator: by a device, or, once it is lost, by time. */
bool state_node_is_fenceable(const State *s, const StateNode *n);
/* Its hamgr is there, and has devices to switch the other one off with. */
bool state_node_can_fence(const StateNode *n, const StateNode *target);
/* When an attempt under way is given up. */
uint64_t state_fence_end_usec(const State *s, const StateNode *n);
/* Why this group must not start now; false: nothing is in the way of this target. */
bool state_group_blocked(
                const State *s,
                const StateGroup *g,
                uint32_t target,
                char ret_reason[static STATE_TEXT_MAX]);

/* ---- The cluster's time
 * ------------------------------------------------------------------------------------------ */

/* Time that all replicas agree on: it moves only by the stamps in messages. Starts at 0 with the formation.
 */
uint64_t state_time_usec(const State *s);

uint64_t state_formed_usec(const State *s); /* when the formation was complete */

/* Each replica runs on between deliveries by its own clock. Observe after every state_apply(); stamp
 * messages with state_clock_now(). */
typedef struct StateClock {
        uint64_t offset_usec; /* cluster time minus boot time, modulo 2^64 */
        bool valid;
} StateClock;

void state_clock_observe(StateClock *c, const State *s, uint64_t now_boottime_usec);
uint64_t state_clock_now(const StateClock *c, uint64_t now_boottime_usec);
