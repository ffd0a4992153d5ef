/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tests build the core a second time with GCS_BREAKABLE, to see that each fault is caught. */
typedef enum GcsBreak {
        GCS_BREAK_NOTHING,
        GCS_BREAK_SHUT_OUT_DONATES, /* the senior member donates, whatever it holds */
        GCS_BREAK_FLUSH_EARLY,      /* the flush delivers before everybody holds it */
        GCS_BREAK_MINORITY,         /* a set without quorum goes on */
        GCS_BREAK_RING_EARLY,       /* the ring is rebuilt before the membership */
        GCS_BREAK_ACK_BEFORE_STORE,
        GCS_BREAK_NO_STREAM_CHECK,  /* submissions are not filtered by their numbers */
        GCS_BREAK_COMMIT_EARLY,     /* committed when proposed */
        GCS_BREAK_PROPOSAL_DROPPED, /* what was only proposed is forgotten at a change of the membership */
        GCS_BREAK_OLDER_HISTORY,    /* the lowest number that anybody acknowledged is the basis */
        GCS_BREAK_STREAMS_NOT_DONATED, /* a state comes without the last numbers of the senders (R18) */
        GCS_BREAK_FANOUT_IS_LAP,       /* what came from the coordinator is acknowledged for everybody */
} GcsBreak;

#ifdef GCS_BREAKABLE
/* Set by the test before it steps a core. */
extern GcsBreak gcs_break;
#define BROKEN(b) (gcs_break == GCS_BREAK_##b)
#else
#define BROKEN(b) false
#endif
