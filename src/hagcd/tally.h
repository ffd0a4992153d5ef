/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What hagcd counts of the members on this node, and of their groups, for people who look. A message costs a
 * few additions: no memory, no system call, and the time is the one that gcs was given. */

#include "gcs/gcs.h"
#include "libhagcs/proto.h"

/* More than a member may have on its way. */
#define TALLY_ON_ITS_WAY_MAX 256U

/* Of a group, since hagcd started, as long as its slot is not needed for another. */
typedef struct TallyGroup {
        char name[GCS_NAME_MAX + 1];
        Mid mid;
        uint64_t sequence;
        uint64_t used_usec;
        uint64_t messages, bytes, views;
        uint64_t sent_messages, sent_bytes;
        uint64_t n_full, n_expelled;
        uint64_t snapshots_given, snapshots_received;
} TallyGroup;

typedef struct TallyGroups {
        TallyGroup groups[GCS_GROUPS_MAX];
} TallyGroups;

/* Of a member, since it joined. */
typedef struct Tally {
        TallyGroup *group; /* weak; NULL: it is no member */

        uint64_t sent_messages, sent_bytes;
        uint64_t delivered_messages, delivered_bytes;
        uint64_t waiting_messages, waiting_bytes;
        uint64_t n_full;
        uint64_t snapshots_given, snapshots_received;

        uint64_t back_messages, back_bytes; /* of those sent: came back, or never will */

        /* Pieces that gcs was given, and those of them that came back; since when it has the last ones. */
        uint64_t fed_pieces, back_pieces;
        uint64_t fed_usec[TALLY_ON_ITS_WAY_MAX];
} Tally;

/* The slot of the group; another's that no member here is in is given away, the one that was not used for
 * longest. in_use says which are. NULL: all are. */
TallyGroup *
tally_group(TallyGroups *groups,
            const char *name,
            uint64_t now_usec,
            bool (*in_use)(const TallyGroup *group, void *userdata),
            void *userdata);

void tally_begin(Tally *t, TallyGroup *group);

/* Taken from the client; thrown away. */
void tally_sent(Tally *t, size_t size_bytes, bool more);
void tally_lost(Tally *t, size_t size_bytes, bool more);
/* Handed to gcs, from which it may come back within the step; it did not take it. */
void tally_fed(Tally *t, uint64_t since_usec);
void tally_not_fed(Tally *t);
void tally_full(Tally *t);
/* What gcs had is lost; so much was not yet given to it. */
void tally_shut_out(Tally *t, uint64_t kept_messages, uint64_t kept_bytes);

void tally_message(Tally *t, const GcsEffect *e, uint64_t now_usec);
void tally_view(Tally *t, const GcsEffect *e, uint64_t now_usec);
void tally_snapshot(Tally *t, bool given);
void tally_expelled(Tally *t);

/* Put before the client, and taken by it or thrown away. */
void tally_waits(Tally *t, bool message, size_t size_bytes);
void tally_taken(Tally *t, bool message, size_t size_bytes);

void tally_show_member(const Tally *t, uint64_t now_usec, ProtoGroupMember *ret);
void tally_show_group(const TallyGroup *g, ProtoGroup *ret);
