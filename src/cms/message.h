/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What membership services say to each other. Every message goes out on every link; the transport vouches
 * for who sent it. Little endian; the version stands first, so that a node of another version can at least
 * be named. */

#include <stddef.h>

#include "basic/byte-reader.h"
#include "basic/byte-writer.h"
#include "cms/membership.h"
#include "cms/voting.h"

#define CMS_PROTOCOL_VERSION 3U

/* No encoded message is longer; with few nodes they are far shorter (3 nodes: below 400 bytes, 16: below
 * 1400). */
#define CMS_MESSAGE_SIZE_MAX 8192U

typedef enum CmsMessageType {
        CMS_MESSAGE_HEARTBEAT = 1,
        CMS_MESSAGE_INQUIRE,
        CMS_MESSAGE_ANSWER,
        CMS_MESSAGE_PROPOSE,
        CMS_MESSAGE_ACKNOWLEDGE,
        CMS_MESSAGE_COMMIT,
        CMS_MESSAGE_REFUSE,
        CMS_MESSAGE_HAND_OVER,
        CMS_MESSAGE_FAREWELL,
        CMS_MESSAGE_FAREWELL_HEARD,
        CMS_MESSAGE_CONFIGURATION,
        CMS_MESSAGE_FOREIGN = 255, /* never sent: what decoding makes of another protocol version */
} CmsMessageType;

/* Why an INQUIRE or PROPOSE is not answered by consent. */
typedef enum CmsRefusal {
        CMS_REFUSAL_PROMISED,      /* promised a higher ballot, named in the message */
        CMS_REFUSAL_NOT_HEARD,     /* one of the two ends does not hear the other, or not this incarnation */
        CMS_REFUSAL_LOSS_NOT_SEEN, /* the loss that is named is neither seen here nor confirmed by FailureSec
                                    */
        CMS_REFUSAL_INTACT,        /* here is an intact membership that the caller would break */
        CMS_REFUSAL_CANNOT_WRITE,
        CMS_REFUSAL_INVALID, /* the proposal contradicts itself or the configuration here */
        _CMS_REFUSAL_MAX,
        _CMS_REFUSAL_INVALID = -EINVAL,
} CmsRefusal;

const char *cms_refusal_to_string(CmsRefusal i);

/* The view row: which incarnations a node hears (within FailureSec), and so confirms. */
typedef struct CmsRow {
        uint64_t version; /* grows by one with each change, so that the newest is known however it came */
        NodeSet heard;
        uint64_t incarnation[NODE_ID_MAX]; /* by id - 1, zero where not heard */
} CmsRow;

/* A node confirmed down, as hamgr handed it down (R6, R15). */
typedef struct CmsConfirmation {
        uint32_t node;
        uint64_t incarnation; /* zero: never seen */
        Mid mid;              /* of the membership that excluded it */
} CmsConfirmation;

typedef struct CmsHeartbeat {
        uint64_t number; /* grows by one with each heartbeat of this incarnation */
        BootId boot_id;

        /* R7. Hashes of cluster.conf. */
        Mid config_mid;
        uint64_t config_hash[_CMS_CONFIG_KIND_MAX]; /* in force */
        uint64_t config_proposed;                   /* acknowledged, and may be in force; 0: none */
        uint64_t config_wanted;                     /* of its file */

        Mid mid; /* installed; none while shut out or starting */
        uint64_t mid_hash;
        NodeSet members;
        Mid promised;   /* and written: a later boot has promised no less */
        bool quorate;   /* the installed membership is quorate, and the members still heard hold quorum */
        bool settled;   /* nothing is promised above the installed membership */
        bool no_record; /* no valid stored record: does not count until it was taken in, history and all (R8)
                         */
        bool cannot_write; /* the last write failed or hangs: no candidate (R3) */
        bool armed;
        bool stalled; /* it coordinates, and lacks the word of so many that it must be its own fault (R10) */
        bool flushed; /* GCS holds the history of the installed membership, and that is written (R4) */
        uint32_t hold_left_msec; /* it waits, after too many crashes, for so much longer (R21); 0: no */

        NodeSet proven; /* nodes outside, proven dead in this split */
        CmsRow row;

        /* R11: the newest heartbeat of each of these, which are in the row, by its number there. */
        NodeSet echoed;
        uint64_t echo_number[NODE_ID_MAX];
} CmsHeartbeat;

typedef struct CmsInquire {
        Mid ballot;
        NodeSet target; /* what the caller expects to form */
        NodeSet lost;   /* members of its membership that it misses ... */
        NodeSet silent; /* ... and those of them that were silent for FailureSec or said farewell */
        Mid mid;        /* installed at the caller */
        bool quorate;
        CmsRow row;
} CmsInquire;

typedef struct CmsAnswer {
        Mid ballot;
        uint64_t coordinator_incarnation;
        Mid mid;         /* installed at the answering node */
        Mid quorate_mid; /* newest quorate membership it remembers in memory, */
        bool no_record;
        bool flushed;
        CmsVotings votings; /* R7: what it has stored */
        NodeSet met;

        /* Seniority in that membership. */
        unsigned n_rank;
        uint8_t rank[NODE_ID_MAX];
        uint64_t rank_incarnation[NODE_ID_MAX]; /* by place in rank */

        /* All rows it has. A row is a set of ids; it holds for the incarnations of this node's own row. */
        CmsRow row;
        NodeSet confirms[NODE_ID_MAX]; /* by id - 1 */
        uint32_t age_msec[NODE_ID_MAX];

        /* What it knows of each configured node from the last membership with it. */
        NodeSet known;
        MembershipNode nodes[NODE_ID_MAX];
        BootId boot_id; /* its own */
        bool armed;
} CmsAnswer;

typedef struct CmsPropose {
        Membership membership; /* ranks, members with their incarnations, the state of all others */
        NodeSet no_record;     /* members that do not count for quorum (R8) */

        /* R7: what it needs quorum under. A proposed one with the number of this membership is what it puts
         * in force. */
        CmsVotings votings;
        NodeSet met; /* nodes that were in any quorate membership, or are in this one */
} CmsPropose;

/* How long ago nodes outside a membership were last echoed (R11). */
typedef struct CmsEchoAges {
        NodeSet nodes;
        uint32_t msec[NODE_ID_MAX]; /* rounded down */
} CmsEchoAges;

typedef struct CmsAcknowledge {
        Mid ballot;
        uint64_t hash;
        uint64_t coordinator_incarnation;
        CmsEchoAges echoed; /* by the sender, or by a life of it that ended before it started */
} CmsAcknowledge;

typedef struct CmsCommit {
        Mid ballot;
        uint64_t hash;
        CmsEchoAges echoed; /* by any member */
} CmsCommit;

typedef struct CmsRefuse {
        Mid ballot; /* that is refused */
        uint64_t coordinator_incarnation;
        CmsRefusal why;
        Mid promised;
} CmsRefuse;

typedef struct CmsHandOver {
        Mid ballot;
        NodeSet set; /* the best set; its lowest rank is to call a ballot */
} CmsHandOver;

typedef struct CmsFarewell {
        Mid mid;
        bool running; /* groups were left running: detached, not inactive */
} CmsFarewell;

typedef struct CmsFarewellHeard {
        uint64_t incarnation; /* of the leaving node */
} CmsFarewellHeard;

/* R7: to a node that works with an older one. */
typedef struct CmsConfiguration {
        CmsVotings votings;
} CmsConfiguration;

typedef struct CmsMessage {
        uint8_t version;
        CmsMessageType type;
        uint64_t incarnation; /* of the sender */
        union {
                CmsHeartbeat heartbeat;
                CmsInquire inquire;
                CmsAnswer answer;
                CmsPropose propose;
                CmsAcknowledge acknowledge;
                CmsCommit commit;
                CmsRefuse refuse;
                CmsHandOver hand_over;
                CmsFarewell farewell;
                CmsFarewellHeard farewell_heard;
                CmsConfiguration configuration;
        };
} CmsMessage;

const char *cms_message_type_to_string(CmsMessageType i);

/* Clears what a message of this type has: most are heartbeats, which are far shorter than an answer. */
void cms_message_clear(CmsMessage *m, CmsMessageType type);

/* Writes the message; ask the writer for the result. The buffer needs CMS_MESSAGE_SIZE_MAX bytes at most. */
void cms_message_encode(const CmsMessage *m, ByteWriter *w);

/* Reads one whole datagram. 0, or -EBADMSG. A message of another version decodes to CMS_MESSAGE_FOREIGN. */
int cms_message_decode(const void *data, size_t size_bytes, CmsMessage *ret);
