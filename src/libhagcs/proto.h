/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What libhagcs and hagcd say to each other over a seqpacket socket, a frame or several (gather.h) in a
 * packet of at most PROTO_FRAME_MAX bytes.
 *
 * A client first says HELLO and is WELCOMEd. Payload (SEND, SNAPSHOT) is sent only against credit:
 * PROTO_WINDOW_BYTES at first, given back by CREDIT, so that hagcd can always read on and a pong is never
 * stuck behind a full window. A message longer than a frame goes in pieces. Payload carries the generation
 * that REGISTERED or SHUT_OUT named last: what was sent before the client knew that it was shut out is
 * dropped. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "basic/macro.h"

#define PROTO_VERSION 4U
/* Whichever end finds out says so. */
#define PROTO_OTHER_VERSION_TEXT                                                                            \
        "hagcd and this program speak different versions of the protocol: install hagcd and libhagcs of "   \
        "one "                                                                                              \
        "version, then restart what still runs the old one"
#define PROTO_SOCKET_PATH "/run/hagcd/hagcd.sock"
#define PROTO_FRAME_MAX (64U * 1024U)
#define PROTO_PIECE_MAX (60U * 1024U)
#define PROTO_WINDOW_BYTES (256U * 1024U)

/* What a frame of payload costs in credit. */
#define PROTO_PIECE_COST 64U
/* Of the credit of a member that may be asked for a snapshot, so much is for that alone: messages wait for a
 * group that may itself be waiting for the snapshot. */
#define PROTO_SNAPSHOT_BYTES (PROTO_PIECE_MAX + PROTO_PIECE_COST)

#define PROTO_NAME_MAX 32U
#define PROTO_TEXT_MAX 256U
#define PROTO_MEMBERS_MAX 128U
#define PROTO_NODES_MAX 64U
#define PROTO_LINKS_MAX 8U
#define PROTO_CHANGES_MAX 32U
#define PROTO_REASONS_MAX 32U

/* A time or duration that is not known, or never was. */
#define PROTO_USEC_UNKNOWN UINT64_MAX

/* Flags of REGISTER, as in hagcs.h. */
#define PROTO_CRITICAL (1U << 0)
#define PROTO_WANT_SNAPSHOT (1U << 1)

/* The same values as in hagcs.h, and in the cores: they travel as they are. */
typedef enum ProtoNodeState {
        PROTO_NODE_UNKNOWN,
        PROTO_NODE_UP,
        PROTO_NODE_DOWN,
        PROTO_NODE_INACTIVE,
        PROTO_NODE_DETACHED,
} ProtoNodeState;

typedef enum ProtoQuorum {
        PROTO_QUORUM_NONE,
        PROTO_QUORUM_HALF,
        PROTO_QUORUM_YES,
} ProtoQuorum;

typedef enum ProtoReason {
        PROTO_LEFT_UNREGISTERED,
        PROTO_LEFT_EXITED,
        PROTO_LEFT_UNRESPONSIVE,
        PROTO_LEFT_EXPELLED,
        PROTO_LEFT_NODE_LOST,
        PROTO_LEFT_SHUT_OUT,
} ProtoReason;

typedef enum ProtoLinkState {
        PROTO_LINK_GOOD,
        PROTO_LINK_SILENT,     /* not heard for FailureSec */
        PROTO_LINK_ONE_WAY,    /* heard, and for FailureSec the node says that it does not hear us */
        PROTO_LINK_NO_CARRIER, /* at our own end */
        PROTO_LINK_NARROW, /* carries both ways, and loses long datagrams of ours: shorter ones are sent */
        PROTO_LINK_TOO_NARROW, /* it loses all but the shortest, and counts as dead */
} ProtoLinkState;

typedef enum ProtoMove {
        PROTO_MOVE_JOINED,
        PROTO_MOVE_LEFT,
        PROTO_MOVE_PROVEN, /* was out before and is so in another state now */
} ProtoMove;

typedef enum ProtoType {
        /* client to hagcd */
        PROTO_HELLO = 1,
        PROTO_REGISTER,
        PROTO_UNREGISTER,
        PROTO_SEND,
        PROTO_GIVE_SNAPSHOT,
        PROTO_PONG,
        PROTO_ARMED,
        PROTO_CONFIRM_DOWN,
        PROTO_HAND_OVER,
        PROTO_ASK_MEMBERSHIP, /* of any client: how the membership looks from here */
        PROTO_RELOAD,         /* of root: read cluster.conf anew */
        PROTO_ASK_GROUPS,     /* of any client: what is counted of each group */

        /* hagcd to client */
        PROTO_WELCOME = 64,
        PROTO_CLUSTER,
        PROTO_REGISTERED,
        PROTO_UNREGISTERED,
        PROTO_VIEW,
        PROTO_MESSAGE,
        PROTO_SNAPSHOT_REQUEST,
        PROTO_SNAPSHOT,
        PROTO_FROZEN,
        PROTO_SHUT_OUT,
        PROTO_CREDIT,
        PROTO_PING,
        PROTO_GOODBYE,    /* the connection ends, because ... */
        PROTO_MEMBERSHIP, /* one for all that were asked for since the last */
        PROTO_RELOADED,   /* likewise */
        PROTO_GROUP,      /* each group that has members; one without a name is behind the last */
} ProtoType;

typedef struct ProtoMid {
        uint64_t epoch;
        uint32_t node_id;
} ProtoMid;

typedef struct ProtoMemberId {
        uint32_t node_id;
        uint64_t incarnation;
        uint64_t number;
} ProtoMemberId;

typedef struct ProtoMember {
        ProtoMemberId id;
        uint64_t seniority;
        bool critical;
        bool own;
        uint8_t reason; /* ProtoReason, of those that left */
        char name[PROTO_NAME_MAX + 1];
} ProtoMember;

/* In CLUSTER all of it; in VIEW what is ordered: the first part. */
typedef struct ProtoNode {
        uint32_t id;
        uint8_t state; /* ProtoNodeState */
        bool enabled;
        bool armed;
        uint64_t incarnation;
        uint8_t boot_id[16];
        ProtoMid last_mid;
        char reason[PROTO_NAME_MAX + 1];

        char name[PROTO_NAME_MAX + 1];
        bool heard;
        bool proven;
        uint32_t votes;
        uint32_t n_links;
        uint64_t links_heard;
        char problem[PROTO_TEXT_MAX];
} ProtoNode;

/* cluster.conf: what is in force, and what the file of this node wants. */
typedef struct ProtoConfiguration {
        uint64_t hash; /* of the one in force */
        ProtoMid mid;  /* of the membership that put it in force; epoch 0: that of the file */
        uint64_t wanted;
        char why[PROTO_NAME_MAX + 1]; /* it waits, in a word or two; "" when it does not */
        uint64_t waits_for;           /* nodes that have to do something first */
        char text[PROTO_TEXT_MAX];    /* the same for people */
} ProtoConfiguration;

typedef struct ProtoCluster {
        char name[PROTO_NAME_MAX + 1];
        uint32_t node_id;
        uint64_t incarnation;
        ProtoMid mid;
        uint64_t members;
        uint8_t quorum; /* ProtoQuorum */
        uint32_t coordinator;
        uint32_t tie_breaker;
        bool frozen;
        bool shut_out;
        ProtoConfiguration configuration;
        uint32_t n_nodes;
        ProtoNode nodes[PROTO_NODES_MAX];
} ProtoCluster;

typedef struct ProtoView {
        uint32_t n_members, n_joined, n_left;
        ProtoMember members[PROTO_MEMBERS_MAX];
        ProtoMember joined[PROTO_MEMBERS_MAX];
        ProtoMember left[PROTO_MEMBERS_MAX];
        uint64_t node_set;
        uint32_t n_nodes;
        ProtoNode nodes[PROTO_NODES_MAX];
        bool formation;
        bool fresh;
} ProtoView;

typedef struct ProtoLink {
        uint8_t state; /* ProtoLinkState */
        uint64_t heard_age_usec;
        uint64_t rtt_usec;
        uint64_t n_received, n_lost;
        uint32_t longest_bytes; /* of a datagram that we send on it; 0: it is too narrow */
} ProtoLink;

/* A configured node as this one sees it. */
typedef struct ProtoPeer {
        uint32_t id;
        char name[PROTO_NAME_MAX + 1];
        uint8_t state; /* ProtoNodeState */
        char reason[PROTO_NAME_MAX + 1];
        bool enabled;
        uint32_t votes;
        uint64_t incarnation;
        bool heard;
        bool hears_us;
        bool armed;
        ProtoMid mid;   /* it says that it is in, */
        bool quorate;   /* and that this is quorate */
        uint64_t hears; /* whom it hears, by its newest words, */
        uint64_t hears_age_usec;
        uint64_t heartbeats_lost; /* on all links */
        char problem[PROTO_TEXT_MAX];
        uint32_t n_links; /* 0: this node itself */
        ProtoLink links[PROTO_LINKS_MAX];
} ProtoPeer;

typedef struct ProtoMoved {
        uint8_t node_id;
        uint8_t move;   /* ProtoMove */
        uint8_t state;  /* ProtoNodeState that it is in since */
        uint8_t reason; /* place in the reasons of the frame */
} ProtoMoved;

/* A membership that was installed here, or (mid 0) that this node was shut out of the one before. */
typedef struct ProtoChange {
        uint64_t time_usec; /* CLOCK_REALTIME */
        ProtoMid mid;
        uint8_t quorum; /* ProtoQuorum */
        uint64_t members;
        uint32_t n_moved;
        ProtoMoved moved[2 * PROTO_NODES_MAX];
} ProtoChange;

typedef struct ProtoMembership {
        char name[PROTO_NAME_MAX + 1];
        uint32_t node_id;
        uint64_t incarnation;
        char phase[PROTO_NAME_MAX + 1];
        ProtoMid mid, promised;
        uint8_t quorum; /* ProtoQuorum */
        bool shut_out, no_record, cannot_write;
        uint64_t members;
        uint64_t hears;   /* whom this node hears, */
        uint64_t target;  /* the set that it would form, */
        uint64_t awaited; /* and who has yet to answer it */
        uint32_t coordinator, tie_breaker;
        uint64_t heartbeat_usec, failure_usec;
        ProtoConfiguration configuration;
        uint32_t n_peers;
        ProtoPeer peers[PROTO_NODES_MAX];
        uint32_t n_reasons;
        char reasons[PROTO_REASONS_MAX][PROTO_NAME_MAX + 1];
        uint32_t n_changes;
        ProtoChange changes[PROTO_CHANGES_MAX]; /* the oldest first */
} ProtoMembership;

/* Counted of a member of this node since it joined; of another node's only who it is. */
typedef struct ProtoGroupMember {
        ProtoMemberId id;
        uint64_t seniority;
        bool critical;
        bool here;
        char name[PROTO_NAME_MAX + 1];

        uint32_t pid;
        uint64_t sent_messages, sent_bytes;
        uint64_t delivered_messages, delivered_bytes;
        uint64_t waiting_messages, waiting_bytes, waiting_usec; /* of these, what it has not taken yet */
        uint64_t window_messages, window_bytes, window_usec;    /* sent, and not yet delivered back to it */
        uint64_t n_full;
        uint64_t snapshots_given, snapshots_received;
} ProtoGroupMember;

typedef struct ProtoGroup {
        char name[PROTO_NAME_MAX + 1];
        ProtoMid mid; /* the last that was delivered to a member here; epoch 0: nothing */
        uint64_t sequence;
        uint64_t messages, bytes, views; /* delivered here, each once */
        uint64_t sent_messages, sent_bytes;
        uint64_t n_full, n_expelled;
        uint64_t snapshots_given, snapshots_received;
        uint32_t n_members;
        ProtoGroupMember members[PROTO_MEMBERS_MAX];
} ProtoGroup;

/* Data borrows from the bytes it was decoded from. */
typedef struct ProtoFrame {
        ProtoType type;

        uint32_t version;    /* HELLO, WELCOME */
        uint32_t generation; /* REGISTERED, SHUT_OUT, SEND, GIVE_SNAPSHOT */
        uint64_t number;     /* PING, PONG; CREDIT: bytes */
        int error;           /* REGISTERED, RELOADED, GOODBYE: 0 or a negative errno */
        char text[PROTO_TEXT_MAX];

        ProtoMid mid; /* VIEW, MESSAGE, SNAPSHOT_REQUEST, SNAPSHOT, CONFIRM_DOWN */
        uint64_t sequence;

        /* REGISTER */
        char group[PROTO_NAME_MAX + 1];
        char name[PROTO_NAME_MAX + 1];
        uint32_t flags;
        uint64_t liveliness_usec;
        uint64_t grace_usec;

        bool armed;           /* ARMED */
        uint32_t node_id;     /* CONFIRM_DOWN */
        uint64_t incarnation; /* CONFIRM_DOWN */

        ProtoMemberId member_id; /* REGISTERED, MESSAGE: sender; GIVE_SNAPSHOT: newcomer */
        ProtoMember member;      /* SNAPSHOT_REQUEST: newcomer */
        uint64_t point;          /* SNAPSHOT_REQUEST, GIVE_SNAPSHOT */
        bool own;                /* MESSAGE */
        bool later;              /* SEND, MESSAGE: not the first piece */
        bool more;               /* SEND, MESSAGE, GIVE_SNAPSHOT, SNAPSHOT: goes on in the next piece */
        bool first;              /* SNAPSHOT: what came of an earlier one is void */
        bool none;               /* SNAPSHOT: nobody could give one */
        const void *data;        /* SEND, MESSAGE, GIVE_SNAPSHOT, SNAPSHOT */
        size_t size_bytes;

        /* Tens of kilobytes: room that the caller gives, also for decoding. NULL: such a frame is refused.
         */
        ProtoCluster *cluster;       /* borrowed */
        ProtoView *view;             /* borrowed */
        ProtoMembership *membership; /* borrowed */
        ProtoGroup *counted;         /* borrowed */
} ProtoFrame;

/* Bytes written, or -ENOBUFS. PROTO_FRAME_MAX always suffices. */
ssize_t proto_encode(const ProtoFrame *f, void *buf, size_t buf_bytes);

/* 0, or -EBADMSG. All that is not in the frame is zero, but the four pointers, which are kept. */
int proto_decode(const void *data, size_t size_bytes, ProtoFrame *ret);

/* Frames that cost credit. */
static inline bool proto_type_is_payload(ProtoType t) {
        return t == PROTO_SEND || t == PROTO_GIVE_SNAPSHOT;
}

static inline bool proto_member_id_equal(const ProtoMemberId *a, const ProtoMemberId *b) {
        return a->node_id == b->node_id && a->incarnation == b->incarnation && a->number == b->number;
}
