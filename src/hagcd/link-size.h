/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Core: how long the datagrams may be that go to one node on one link (R10). A path may pass heartbeats and
 * lose what is longer, without a word of it and one way only. So now and then a message of membership is
 * padded to the longest segment in use there, and the echoes tell which ones came.
 *
 *      in use --so many in a row lost, and shorter ones came--> the shortest
 *      the shortest --so many lost likewise--> dead: it carries nothing of use, though it be heard
 *      dead --one came--> the shortest
 *      in use --so many of the next longer size came--> that one
 *
 * To go down at once and up step by step costs the least: what is short gets through at once. Loss that
 * takes short ones too is no matter of size. A first doubt is enough to prefer another link. */

#include <stdbool.h>
#include <stdint.h>

#include "basic/macro.h"

/* Bytes of a datagram inside UDP, the longest first. They fit paths of 1500 bytes (over IPv6, and so over
 * IPv4 too), of 1420 (most tunnels), 1280 (what IPv6 promises), 1024 and 576 (what IPv4 promises). */
#define LINK_SIZES_MAX 5U
#define LINK_SIZE_LONGEST 1452U
#define LINK_SIZE_SHORTEST 528U

/* The fate of older ones is not told. */
#define LINK_SIZE_SENT_MAX 32U

/* Of messages of membership one in so many is padded at rest; more of them while shorter segments are in
 * use, and one in two while anything is in doubt, or while long segments are sent. */
#define LINK_SIZE_PAD_EVERY 20U
#define LINK_SIZE_PAD_EVERY_NARROW 5U
#define LINK_SIZE_PAD_EVERY_BUSY 2U

typedef struct LinkSize {
        unsigned step; /* the size in use */
        bool dead;
        unsigned n_lost; /* of the size in use, in a row */
        unsigned n_came; /* of the next longer one, in a row */

        unsigned n_since;  /* messages since one was padded */
        unsigned n_hasty;  /* so many more are padded as when busy: something has just changed */
        bool busy;         /* long segments were sent since */
        bool tried_longer; /* by the last one that was padded */

        uint32_t sent;                           /* the newest number, */
        uint32_t judged;                         /* and the newest of which the fate is known */
        uint16_t sent_bytes[LINK_SIZE_SENT_MAX]; /* by number; 0: it never left */
} LinkSize;

void link_size_init(LinkSize *l);

/* The node runs as another incarnation: what it had of the former ones, nobody will tell. */
void link_size_forget(LinkSize *l);

/* How long the datagrams of the next message of membership are to be, which has so many bytes by itself:
 * when that is less it is padded, when it is more it goes in segments. */
uint32_t link_size_next(LinkSize *l, uint32_t bytes);

/* In the order of numbers. For one in segments: the length of its first. */
void link_size_sent(LinkSize *l, uint32_t number, uint32_t bytes);

/* Segments of that length were sent of other messages. */
void link_size_busy(LinkSize *l, uint32_t bytes);

/* The newest one that came there, and bit i: the one i + 1 before it came. True: what is in use changed. */
bool link_size_echoed(LinkSize *l, uint32_t newest, uint32_t came);

/* The longest that may be sent now. */
uint32_t link_size_bytes(const LinkSize *l);

/* The last one that was padded was lost, and the next ones decide. */
static inline bool link_size_is_doubtful(const LinkSize *l) {
        return l->n_lost > 0;
}

/* Nothing has changed of late: it may be told to people. */
static inline bool link_size_is_settled(const LinkSize *l) {
        return l->n_hasty == 0 && l->n_lost == 0 && l->n_came == 0;
}
