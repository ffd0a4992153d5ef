/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Join a group of processes on a cluster: everybody in it sees the same messages and the same changes of
 * membership, in one order, also when servers die.
 *
 * One handle is one connection to the hagcd of this node and at most one member of one group. Nothing here
 * blocks, logs, exits or starts a thread; a handle belongs to one thread at a time, and to the process that
 * opened it: a child that was forked off is not a member and leaves the handle alone. Poll hagcs_get_fd()
 * for hagcs_get_events() and call hagcs_dispatch() until it returns 0. All functions return 0 or positive on
 * success and a negative errno otherwise; -EAGAIN means "wait for HAGCS_EVENT_WRITABLE". */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAGCS_NAME_MAX 32    /* bytes in the name of a group or member, [a-z0-9_]+, node names also [-.] */
#define HAGCS_NODES_MAX 64   /* configured nodes; ids are 1..64 */
#define HAGCS_LINKS_MAX 8    /* networks between them */
#define HAGCS_CHANGES_MAX 32 /* of the membership that hagcd remembers */
#define HAGCS_USEC_UNKNOWN UINT64_MAX  /* a time that is not known, or never was */
#define HAGCS_MESSAGE_MAX (1U << 20)   /* bytes in a message */
#define HAGCS_SNAPSHOT_MAX (16U << 20) /* bytes in a snapshot */

typedef struct hagcs hagcs;

/* A membership of nodes. Compared by epoch, then node; only grows. */
typedef struct hagcs_mid {
        uint64_t epoch;
        uint32_t node_id;
} hagcs_mid;

enum hagcs_flags {
        HAGCS_CRITICAL = 1 << 0,     /* my death or silence resets this node; for root, and whom
                                [Access] of cluster.conf names */
        HAGCS_WANT_SNAPSHOT = 1 << 1 /* give me the state when I join; I give mine when asked */
};

typedef enum hagcs_node_state {
        HAGCS_NODE_UNKNOWN,  /* out of the membership and not proven dead */
        HAGCS_NODE_UP,       /* in the membership */
        HAGCS_NODE_DOWN,     /* out and proven dead */
        HAGCS_NODE_INACTIVE, /* out by a farewell with nothing left running, or disabled */
        HAGCS_NODE_DETACHED  /* out by a farewell with groups left running */
} hagcs_node_state;

typedef enum hagcs_quorum {
        HAGCS_QUORUM_NONE,
        HAGCS_QUORUM_HALF, /* exactly half of the votes: waits until all outside are confirmed down */
        HAGCS_QUORUM_YES
} hagcs_quorum;

typedef enum hagcs_reason {
        HAGCS_LEFT_UNREGISTERED, /* asked to leave */
        HAGCS_LEFT_EXITED,       /* its process ended without asking: state unknown */
        HAGCS_LEFT_UNRESPONSIVE, /* it did not answer pings in time: state unknown */
        HAGCS_LEFT_EXPELLED,     /* it took what was delivered too slowly: state unknown */
        HAGCS_LEFT_NODE_LOST,    /* its node left the membership: state unknown */
        HAGCS_LEFT_SHUT_OUT      /* its node was away from the quorate membership and joins afresh */
} hagcs_reason;

/* One configured node. `incarnation` is that of its hagcd (0: never heard), `boot_id` that of its kernel: in
 * a view as the node last was a member, in a hagcs_cluster as it was last heard. */
typedef struct hagcs_node {
        uint32_t id;
        const char *name;
        hagcs_node_state state;
        bool enabled;
        bool armed;  /* in its own last words it runs, or may run, something */
        bool heard;  /* here or by another member it is heard right now, whatever its state */
        bool proven; /* dead since this half of the votes split off: counts for its quorum. In a view: false
                      */
        uint32_t votes;
        uint32_t n_links;     /* configured */
        uint64_t links_heard; /* bit i: link i carries both ways */
        uint64_t incarnation;
        uint8_t boot_id[16];
        hagcs_mid last_mid;  /* the last membership that it was in; epoch 0: never seen in one */
        const char *reason;  /* why it is in that state, in a word or two; "" when it is up */
        const char *problem; /* why it cannot join, for people; "" when there is nothing to say */
} hagcs_node;

/* cluster.conf. Made by the library only; later versions may have more members at its end. */
typedef struct hagcs_configuration {
        uint64_t hash;      /* of what is in force, */
        hagcs_mid mid;      /* since this membership; epoch 0: since the cluster was formed */
        uint64_t wanted;    /* of what the file of this node said when it was read last */
        const char *why;    /* the two differ: a word or two; "" when they do not */
        uint64_t waits_for; /* nodes that have to do something first, bit (id - 1) */
        const char *text;   /* the same for people */
} hagcs_configuration;

/* What this node knows now. Not ordered with messages: for status and for decisions without quorum only. */
typedef struct hagcs_cluster {
        const char *name;
        uint32_t node_id; /* this node */
        uint64_t incarnation;
        hagcs_mid mid;    /* epoch 0: none yet */
        uint64_t members; /* bit (id - 1) */
        hagcs_quorum quorum;
        uint32_t coordinator; /* the senior of the members; 0: no membership */
        uint32_t tie_breaker;
        bool frozen;   /* a new membership is being formed */
        bool shut_out; /* a quorate membership exists or existed without us, or we are not in a quorate one
                        */
        const hagcs_node *nodes; /* every configured node, by id */
        size_t n_nodes;
} hagcs_cluster;

/* ---- The membership as hagcs_ask_membership() shows it ----
 *
 * Structs from here to hagcs_membership are made by the library only, and are reached by pointers that it
 * hands out, never by adding to a pointer: later versions may have more members at their ends. */

typedef enum hagcs_link_state {
        HAGCS_LINK_GOOD,       /* carries both ways */
        HAGCS_LINK_SILENT,     /* nothing was heard on it for FailureSec */
        HAGCS_LINK_ONE_WAY,    /* the node is heard on it, and says that it does not hear us */
        HAGCS_LINK_NO_CARRIER, /* at our own end */
        HAGCS_LINK_NARROW, /* carries both ways, and loses long datagrams from here: shorter ones are sent */
        HAGCS_LINK_TOO_NARROW /* it loses all but the shortest from here, and counts as dead */
} hagcs_link_state;

/* One link between here and another node. Messages and losses are those of the node's present incarnation.
 */
typedef struct hagcs_link {
        uint32_t index; /* from 0, in the order of Address= */
        hagcs_link_state state;
        uint64_t heard_age_usec; /* since the last heartbeat on it; HAGCS_USEC_UNKNOWN: never heard */
        uint64_t rtt_usec;       /* from hagcd to hagcd and back, smoothed; HAGCS_USEC_UNKNOWN */
        uint64_t n_received;     /* messages of the membership service that came on it, */
        uint64_t n_lost;         /* and that did not */
        uint32_t longest_bytes;  /* of a datagram that is sent on it from here; 0: it is too narrow */
} hagcs_link;

/* A configured node, this one too. */
typedef struct hagcs_peer {
        uint32_t id;
        const char *name;
        hagcs_node_state state;
        const char *reason; /* why it is in that state; "" when it is up */
        bool enabled;
        uint32_t votes;
        uint64_t incarnation;     /* 0: never heard */
        bool heard;               /* within FailureSec, on any link, */
        bool hears_us;            /* and so are we there */
        bool armed;               /* it says that it runs, or may run, something */
        hagcs_mid mid;            /* the membership that it says it is in, */
        bool quorate;             /* and whether that is quorate */
        uint64_t hears;           /* whom it hears, bit (id - 1), in its newest words */
        uint64_t hears_age_usec;  /* and how old these are; HAGCS_USEC_UNKNOWN: it never said */
        uint64_t heartbeats_lost; /* that came on no link */
        const char *problem;      /* why it cannot join, for people; "" when there is nothing to say */
        uint32_t n_links;         /* 0 for this node itself */
} hagcs_peer;

typedef enum hagcs_move {
        HAGCS_MOVE_JOINED,
        HAGCS_MOVE_LEFT,
        HAGCS_MOVE_PROVEN /* it was out already, and is so in another state now */
} hagcs_move;

/* What a change of the membership was for one node. */
typedef struct hagcs_moved {
        uint32_t node_id;
        hagcs_move move;
        hagcs_node_state state; /* that it is in since */
        const char *reason;     /* a word: "silence", "farewell", "last-gasp", ...; "" for one that joined */
} hagcs_moved;

/* A membership that was installed on this node. mid.epoch 0: this node was shut out, the others went on
 * without it. */
typedef struct hagcs_change {
        uint64_t time_usec; /* CLOCK_REALTIME */
        hagcs_mid mid;
        hagcs_quorum quorum;
        uint64_t members; /* bit (id - 1) */
        uint32_t n_moved;
} hagcs_change;

typedef struct hagcs_membership {
        const char *cluster;
        uint32_t node_id; /* this node */
        uint64_t incarnation;
        const char *phase;  /* "stable", or what the agreement is at: "waiting", "inquiring", "proposing",
                             * "promised", "acknowledged", "leaving" */
        uint64_t awaited;   /* whose answer it waits for, bit (id - 1) */
        hagcs_mid mid;      /* installed; epoch 0: none */
        hagcs_mid promised; /* nothing lower is answered any more */
        hagcs_quorum quorum;
        bool shut_out;     /* a quorate membership goes on without this node */
        bool no_record;    /* this node's store is empty, so it does not count yet */
        bool cannot_write; /* and this one's cannot be written */
        uint64_t members;  /* of the installed one */
        uint64_t hears;    /* whom this node hears */
        uint64_t target;   /* whom it would form the next membership with */
        uint32_t coordinator;
        uint32_t tie_breaker;
        uint64_t heartbeat_usec, failure_usec; /* as configured */
        size_t n_peers;                        /* configured nodes, by id */
        size_t n_changes;                      /* the last ones, the oldest first */
} hagcs_membership;

/* A member of the group. (node_id, incarnation, number) names it for ever; the smallest `seniority` is the
 * oldest. */
typedef struct hagcs_member {
        uint32_t node_id;
        uint64_t incarnation; /* of the node's hagcd */
        uint64_t number;
        uint64_t seniority;
        bool critical;
        bool own; /* this very handle */
        const char *name;
        hagcs_reason reason; /* of those that left */
} hagcs_member;

/* ---- A group as hagcs_ask_groups() shows it ----
 *
 * These two are made by the library only, too, and later versions may have more at their ends. What is
 * counted is so by the hagcd of this node: of a member since it joined, of a group since hagcd started. A
 * message counts whole, however many pieces it goes in. */

typedef struct hagcs_member_counts {
        uint32_t node_id;
        uint64_t incarnation;
        uint64_t number;
        uint64_t seniority;
        const char *name;
        bool critical;
        bool here; /* on this node: of others nothing more is known here */

        uint32_t pid;
        uint64_t sent_messages, sent_bytes; /* that hagcd took from it */
        uint64_t delivered_messages, delivered_bytes;
        uint64_t waiting_messages, waiting_bytes; /* of these: it has not taken them from its socket's other
                                                     end yet; */
        uint64_t waiting_usec;                    /* since when the oldest waits; 0: none does */
        uint64_t window_messages, window_bytes;   /* of those sent: not delivered back to it yet; */
        uint64_t window_usec;                     /* since when the oldest is on its way; 0: none is */
        uint64_t n_full; /* times that gcs had no room for more of it, too much being under way or a member
                            of the group being slow: then hagcs_send() is -EAGAIN sooner or later */
        uint64_t snapshots_given, snapshots_received;
} hagcs_member_counts;

typedef struct hagcs_group {
        const char *name;
        hagcs_mid mid; /* the place in the order of the last that a member here was given; epoch 0: none */
        uint64_t sequence;
        uint64_t messages, bytes, views;            /* given to members here, each counted once */
        uint64_t sent_messages, sent_bytes, n_full; /* sums over members here, also those that left, */
        uint64_t snapshots_given, snapshots_received;
        uint64_t n_expelled; /* and how many of them were expelled */
        size_t n_members;    /* on all nodes */
} hagcs_group;

typedef enum hagcs_event_type {
        HAGCS_EVENT_REGISTERED =
                        1,   /* registration was accepted or refused (`error`); a VIEW follows if accepted */
        HAGCS_EVENT_VIEW,    /* ordered: who is in the group from here on */
        HAGCS_EVENT_MESSAGE, /* ordered: a message, own ones too */
        HAGCS_EVENT_SNAPSHOT_REQUEST, /* ordered: save your state as of now, hand it over by
                                         hagcs_give_snapshot() */
        HAGCS_EVENT_SNAPSHOT,     /* ordered: the state as of the `fresh` VIEW just seen, before any later
                                   * message; or another `fresh` VIEW comes in its place */
        HAGCS_EVENT_FROZEN,       /* nothing is delivered until the next VIEW or SHUT_OUT */
        HAGCS_EVENT_SHUT_OUT,     /* the others went on without this node: what was sent and not seen back is
                                   * lost, or only they have seen it; the next VIEW is a fresh start */
        HAGCS_EVENT_CLUSTER,      /* not ordered: hagcs_get_cluster() changed */
        HAGCS_EVENT_WRITABLE,     /* hagcs_send() may be tried again after -EAGAIN */
        HAGCS_EVENT_UNREGISTERED, /* left cleanly; the handle may be closed or register again */
        HAGCS_EVENT_DISCONNECTED, /* hagcd is gone or threw us out (`error`, `text`); nothing comes after it
                                   */
        HAGCS_EVENT_MEMBERSHIP,   /* not ordered: hagcs_get_membership() is there */
        HAGCS_EVENT_RELOADED,     /* not ordered: the answer to hagcs_reload() (`error`, `text`) */
        HAGCS_EVENT_GROUP /* not ordered: hagcs_get_group() is another group, or NULL after the last */
} hagcs_event_type;

typedef struct hagcs_view {
        const hagcs_member *members; /* by seniority, the oldest first */
        size_t n_members;
        const hagcs_member *joined;
        size_t n_joined;
        const hagcs_member *left; /* with reasons */
        size_t n_left;

        uint64_t node_set;       /* the node membership at this point of the order, bit (id - 1) */
        const hagcs_node *nodes; /* every configured node at this point of the order */
        size_t n_nodes;

        bool formation; /* no state survived anywhere: every member starts from its own records */
        bool fresh;     /* first view of this handle since it registered, was shut out, or had to wait for
                         * another snapshot: begin here */
} hagcs_view;

/* What hagcs_dispatch() hands out; valid until its next call. Fields that a type does not use are zero. */
typedef struct hagcs_event {
        hagcs_event_type type;

        hagcs_mid mid; /* VIEW, MESSAGE, SNAPSHOT, SNAPSHOT_REQUEST: (mid, sequence) only grows */
        uint64_t sequence;

        hagcs_view view; /* VIEW */

        hagcs_member sender; /* MESSAGE: who sent it; SNAPSHOT_REQUEST: the newcomer */
        uint64_t cookie; /* MESSAGE with sender.own: what hagcs_send() was given; SNAPSHOT_REQUEST: its id */
        const void *data; /* MESSAGE, SNAPSHOT */
        size_t size;

        int error; /* REGISTERED, DISCONNECTED, RELOADED: 0 or a negative errno; SNAPSHOT: -ENODATA when
                    * nobody was left who could give one: start from nothing */
        const char *text; /* a sentence for people, never NULL */
} hagcs_event;

/* Members that are not named are to be zero. */
typedef struct hagcs_registration {
        const char *group;        /* names beginning with "hamgr" are for root */
        const char *name;         /* of the member; a successor after a grace carries the same */
        unsigned flags;           /* HAGCS_CRITICAL | HAGCS_WANT_SNAPSHOT */
        uint64_t liveliness_usec; /* answer a ping within this time, 0: not watched (existence always is) */
        uint64_t grace_usec; /* critical: how long a successor may take to come before the node is reset */
} hagcs_registration;

/* Connect to hagcd. `path` NULL: /run/hagcd/hagcd.sock. -ENOENT, -ECONNREFUSED: hagcd does not run; -EACCES:
 * only root and the system group hagcs may; -EAGAIN: too many are connecting, try again later. */
int hagcs_open(const char *path, hagcs **ret);

/* Take over a connected seqpacket socket instead. The descriptor is the handle's on success. It becomes
 * non-blocking in any case. */
int hagcs_open_fd(int fd, hagcs **ret);

/* Closing a critical member's handle without having unregistered counts as its death. NULL is fine. Returns
 * NULL. */
hagcs *hagcs_close(hagcs *h);

int hagcs_get_fd(hagcs *h);
int hagcs_get_events(hagcs *h); /* POLLIN, and POLLOUT while something waits to be written */

/* Take the next event. 1: *ret_event is set; 0: nothing now. Several may have come at once, of which the
 * descriptor shows nothing any more when the first was taken: call it until it returns 0, or go on soon.
 * Answers pings and writes what waits. After DISCONNECTED it returns -ENOTCONN. -ENOMEM leaves the event to
 * be taken by a later call. */
int hagcs_dispatch(hagcs *h, const hagcs_event **ret_event);

/* The answer is HAGCS_EVENT_REGISTERED. -EALREADY: this handle is a member. */
int hagcs_register(hagcs *h, const hagcs_registration *registration);

/* Leave cleanly, also while registering; the answer is HAGCS_EVENT_UNREGISTERED. It is ordered like
 * everything else and so comes only with quorum; closing the handle without waiting for it is clean as well.
 */
int hagcs_unregister(hagcs *h);

/* This critical member is about to end on purpose, and a successor takes its place within the grace that was
 * asked for (a restart, an upgrade): close the handle next, and exit. The end then counts as none of the
 * losses that the node is reset for when they are too many; without a successor it is reset all the same.
 * -ENOTCONN: not a member. */
int hagcs_hand_over(hagcs *h);

/* Send to all members, oneself too. All of it is taken or nothing. -EAGAIN: the window is full; -EMSGSIZE;
 * -ENOTCONN: not a member. Success is not delivery: the message is ordered when it is seen back. */
int hagcs_send(hagcs *h, const void *data, size_t size, uint64_t cookie);

/* Answer the SNAPSHOT_REQUEST with this id, now or later, with the state as of that event. Size 0 is a state
 * too. */
int hagcs_give_snapshot(hagcs *h, uint64_t id, const void *data, size_t size);

/* This node runs something (true), or is proven to run nothing: carried in heartbeats and in the farewell.
 * Root only. */
int hagcs_set_armed(hagcs *h, bool armed);

/* A fence device confirmed that this incarnation, outside of membership `mid`, is off. Void for any other.
 * Counts for the quorum of a half at once; the state of the node becomes HAGCS_NODE_DOWN with the next
 * change of the membership, so tell who has to know by a message. Root only. */
int hagcs_confirm_down(hagcs *h, uint32_t node_id, uint64_t incarnation, hagcs_mid mid);

/* Never NULL; n_nodes is 0 until hagcd has told. Valid until the next hagcs_dispatch(). */
const hagcs_cluster *hagcs_get_cluster(hagcs *h);

/* How the membership looks from this node now: who hears whom on which link, and what changed of late. For
 * people and monitoring; it works without quorum and without being a member of a group. The answer is
 * HAGCS_EVENT_MEMBERSHIP; several askings at once may be answered by one. A hagcd older than this function
 * ends the connection instead: have one of its own for it when the other matters. */
int hagcs_ask_membership(hagcs *h);

/* NULL until HAGCS_EVENT_MEMBERSHIP came. It and what is reached through it are valid until the next
 * hagcs_dispatch(). */
const hagcs_membership *hagcs_get_membership(hagcs *h);

/* What is counted of each group, for people and monitoring; as hagcs_ask_membership(). The answer is an
 * HAGCS_EVENT_GROUP for each group that has members, and one more. */
int hagcs_ask_groups(hagcs *h);

/* The group of the HAGCS_EVENT_GROUP just seen, and one of its n_members, the oldest first; NULL: that was
 * all. Valid until the next hagcs_dispatch(). */
const hagcs_group *hagcs_get_group(hagcs *h);
const hagcs_member_counts *hagcs_group_member(hagcs *h, size_t member);

/* One of its n_peers, one of the peer's n_links, one of its n_changes, one of the change's n_moved; NULL:
 * there are not so many. */
const hagcs_peer *hagcs_membership_peer(hagcs *h, size_t peer);
const hagcs_link *hagcs_membership_link(hagcs *h, size_t peer, size_t link);
const hagcs_change *hagcs_membership_change(hagcs *h, size_t change);
const hagcs_moved *hagcs_membership_moved(hagcs *h, size_t change, size_t moved);

/* Have hagcd read cluster.conf anew. The answer is HAGCS_EVENT_RELOADED: error 0 says that the file makes
 * sense and that this node wants it from now on, when it is in force says hagcs_get_configuration().
 * Otherwise text says what is wrong, and nothing changed. Root only. A hagcd older than this function ends
 * the connection. */
int hagcs_reload(hagcs *h);

/* Never NULL; it changes with HAGCS_EVENT_CLUSTER and HAGCS_EVENT_MEMBERSHIP, and is valid until the next
 * hagcs_dispatch(). */
const hagcs_configuration *hagcs_get_configuration(hagcs *h);

/* Words for people: "up", "node lost", ... Never NULL. */
const char *hagcs_node_state_to_string(hagcs_node_state state);
const char *hagcs_reason_to_string(hagcs_reason reason);
const char *hagcs_link_state_to_string(hagcs_link_state state);
const char *hagcs_quorum_to_string(hagcs_quorum quorum);
const char *hagcs_move_to_string(hagcs_move move);

#ifdef __cplusplus
}
#endif
