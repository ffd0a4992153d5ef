/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the GCS cores of two nodes say to each other, and its bytes.
 *
 * Every message carries the mid it was sent in, and is refused in any other. The transport seals, names
 * sender and receiver, and cuts to the path's size; it may lose, repeat and reorder. A decoded message
 * borrows its payloads from the buffer it was decoded from. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/buffer.h"
#include "basic/node-set.h"
#include "cms/membership.h"

#define GCS_WIRE_VERSION 1U

#define GCS_NAME_MAX 32U                    /* characters in the name of a group or member */
#define GCS_PAYLOAD_MAX (64U * 1024U)       /* bytes in one message or one piece of a longer one */
#define GCS_MESSAGE_BYTES_MAX (80U * 1024U) /* bytes of an encoded GcsMessage, whatever it holds */
#define GCS_BATCH_MAX 64U                   /* items in one message */
#define GCS_GROUPS_MAX 64U
#define GCS_RECORDS_MAX 64U /* records in one FLUSH_STATE */

/* ---- Items: what is put in order ---- */

/* Names a member for ever. */
typedef struct GcsMemberId {
        uint32_t node;
        uint64_t incarnation; /* of the node's hagcd */
        uint64_t number;      /* counted by that hagcd */
} GcsMemberId;

typedef enum GcsReason {
        GCS_REASON_UNREGISTERED, /* left cleanly */
        GCS_REASON_EXITED,       /* this and all below: in an unknown state */
        GCS_REASON_UNRESPONSIVE,
        GCS_REASON_EXPELLED,  /* took what was delivered too slowly */
        GCS_REASON_NODE_LOST, /* its node is not in the membership, or restarted */
        GCS_REASON_SHUT_OUT,  /* its node was away from the quorate membership and joins afresh */
} GcsReason;
#define GCS_REASON_LAST GCS_REASON_SHUT_OUT

typedef enum GcsItemType {
        GCS_ITEM_MESSAGE = 1,
        GCS_ITEM_JOIN,
        GCS_ITEM_LEAVE,
        GCS_ITEM_READY,       /* the member has its snapshot and can give one */
        GCS_ITEM_NODE_CHANGE, /* a new membership of nodes: the last item of each flush */
} GcsItemType;

enum {
        GCS_JOIN_CRITICAL = 1 << 0,
        GCS_JOIN_SNAPSHOT = 1 << 1, /* wants a snapshot, and gives one when asked */
        GCS_JOIN_FLAGS = (1 << 2) - 1,
};

/* One node of a membership, and what GCS makes of it. */
typedef struct GcsNodeChange {
        Membership membership;
        Mid formation;     /* the membership in which this history began */
        NodeSet survivors; /* those of its members whose memory is the history (R4); the others join afresh
                            */
} GcsNodeChange;

typedef struct GcsItem {
        GcsItemType type;

        /* Who submitted it, and its place among all that this incarnation submitted (R18). 0 in NODE_CHANGE.
         */
        uint32_t node;
        uint64_t incarnation;
        uint64_t number;

        uint64_t member; /* the member's number */
        uint8_t group;   /* the group's slot; not in JOIN */

        union {
                struct {
                        Slice payload;
                        bool later; /* not the first piece of its message */
                        bool more;  /* a longer message goes on in the member's next item */
                } message;
                struct {
                        char group_name[GCS_NAME_MAX + 1];
                        char member_name[GCS_NAME_MAX + 1];
                        uint8_t flags;
                } join;
                struct {
                        GcsReason reason;
                } leave;
                struct {
                        uint64_t point; /* of the order, that its snapshot is as of */
                } ready;
                struct {
                        const GcsNodeChange *change; /* borrowed: of the message, or of the core */
                } node_change;
        };
} GcsItem;

/* ---- Messages ---- */

typedef enum GcsMessageType {
        GCS_MESSAGE_SUBMIT = 1,   /* to the coordinator: put these in order */
        GCS_MESSAGE_PROPOSE,      /* hold these; carries the commit too */
        GCS_MESSAGE_COMMIT,       /* deliver these */
        GCS_MESSAGE_ACK,          /* to the coordinator: I, or all of the ring, hold and know */
        GCS_MESSAGE_RESEND,       /* to the coordinator: a proposal is missing */
        GCS_MESSAGE_FLUSH_ASK,    /* coordinator: what do you have? */
        GCS_MESSAGE_FLUSH_INFO,   /* the answer, also sent unasked */
        GCS_MESSAGE_FLUSH_PLAN,   /* coordinator: this is the history */
        GCS_MESSAGE_FLUSH_FETCH,  /* to the donor: what I lack of it */
        GCS_MESSAGE_FLUSH_STATE,  /* donor: the groups, as of the point where its items begin */
        GCS_MESSAGE_FLUSH_ITEMS,  /* donor: items */
        GCS_MESSAGE_FLUSH_DONE,   /* to the coordinator: I hold all of it, stored */
        GCS_MESSAGE_SNAPSHOT,     /* a member's state, piece by piece, to a newcomer's node */
        GCS_MESSAGE_SNAPSHOT_ACK, /* which piece comes next */
} GcsMessageType;
#define GCS_MESSAGE_TYPE_LAST GCS_MESSAGE_SNAPSHOT_ACK

typedef enum GcsRecordType {
        GCS_RECORD_STREAM = 1, /* the last number of a node's submissions (R18) */
        GCS_RECORD_MEMBER,     /* a member of a group, in order of seniority */
} GcsRecordType;

/* A member, as every node knows it. */
typedef struct GcsMember {
        GcsMemberId id;
        uint64_t seniority; /* the sequence of its JOIN; the smallest is the oldest */
        char name[GCS_NAME_MAX + 1];
        bool critical;
        bool snapshot; /* wants a snapshot and gives one */
        bool ready;    /* has its state */

        /* While it waits for a snapshot: from whom, and the point of the order it is made at. */
        GcsMemberId donor; /* node 0: nobody */
        uint64_t point;

        uint64_t lineage; /* where its state began, with a member that nobody could give one */
} GcsMember;

typedef struct GcsRecord {
        GcsRecordType type;
        union {
                struct {
                        uint32_t node;
                        uint64_t incarnation;
                        uint64_t number;
                } stream;
                struct {
                        uint8_t group;
                        char group_name[GCS_NAME_MAX + 1];
                        GcsMember member;
                } member;
        };
} GcsRecord;

typedef struct GcsMessage {
        GcsMessageType type;
        Mid mid;

        union {
                struct {                  /* SUBMIT, PROPOSE, COMMIT, FLUSH_ITEMS */
                        bool fanout;      /* do not pass it on; acknowledge to the coordinator yourself */
                        uint64_t commit;  /* everybody holds all up to here */
                        uint64_t settled; /* everybody knows the commit up to here */
                        uint64_t slow;    /* slots of groups with a slow member */
                        uint64_t first;   /* sequence of the first item; PROPOSE and FLUSH_ITEMS */
                        uint32_t n_items; /* 0 in COMMIT */
                        GcsItem items[GCS_BATCH_MAX];
                } order;
                struct {
                        bool lap;           /* the ring is once around: it holds for all */
                        uint64_t held;      /* all items up to here */
                        uint64_t committed; /* the commit I, or all, know of */
                        uint64_t slow;
                } ack;
                struct {
                        uint64_t first;
                } resend;
                struct {
                        /* Of the last quorate membership whose flush was acknowledged; epoch 0: none. */
                        Mid history;
                        Mid formation;
                        bool memory;   /* it is in memory, */
                        uint64_t held; /* up to this item */
                } info;
                struct {
                        Mid basis;      /* epoch 0 or nobody's memory: a formation */
                        uint32_t donor; /* 0: a formation */
                        uint64_t held;  /* the last item of the history; the change is the one after it */
                } plan;
                struct {
                        bool state; /* records from `next`; otherwise items from sequence `next` */
                        uint64_t next;
                } fetch;
                struct {
                        uint64_t delivered; /* the records are as of here */
                        uint32_t first;
                        uint32_t total;
                        uint32_t n_records;
                        GcsRecord records[GCS_RECORDS_MAX];
                } state;
                struct { /* SNAPSHOT and SNAPSHOT_ACK */
                        GcsMemberId newcomer;
                        uint64_t point;
                        uint32_t piece;
                        bool last;
                        Slice payload; /* not in SNAPSHOT_ACK */
                } snapshot;
        };

        GcsNodeChange change; /* of FLUSH_PLAN, and of the one NODE_CHANGE item that FLUSH_ITEMS may have */
} GcsMessage;

/* Returns the number of bytes, or -ENOBUFS: it does not fit. GCS_MESSAGE_BYTES_MAX always suffices for what
 * a core sends. */
ssize_t gcs_message_encode(const GcsMessage *m, void *buf, size_t buf_bytes);

/* 0, or -EBADMSG. Payloads borrow from the buffer. A message that decodes obeys every bound above. */
int gcs_message_decode(Buffer *buffer, size_t offset, size_t size_bytes, GcsMessage *ret);

const char *gcs_message_type_to_string(GcsMessageType type);
const char *gcs_item_type_to_string(GcsItemType type);
const char *gcs_reason_to_string(GcsReason reason);
bool gcs_member_id_equal(GcsMemberId a, GcsMemberId b);
