/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The page in which hagcd says, with every renewal, until when this node holds its lease (R11), and what the
 * keeper is to make of its end (R12, R13). The keeper and hamgr see it as it is at that very moment: an
 * answer over a socket would be old when it comes. Each field is one word, written whole. Times are of
 * CLOCK_BOOTTIME, which counts on while the machine sleeps. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "basic/node-set.h"

#define LEASE_PAGE_BYTES 4096U
#define LEASE_PAGE_MAGIC UINT64_C(0x31657361656c6168) /* "halease1": of this layout */
#define LEASE_PAGE_NAME "lease"
#define LEASE_PAGE_PATH "/run/hagcd/" LEASE_PAGE_NAME
#define KEEPER_SOCKET_NAME "keeper.sock"
#define KEEPER_SOCKET_PATH "/run/hagcd/" KEEPER_SOCKET_NAME

/* What the keeper answers to whoever handed it a page. */
#define KEEPER_ANSWER "kept"

typedef struct LeasePage {
        uint64_t magic;
        _Atomic(uint64_t) until_usec; /* the lease ends; 0: none was ever held */
        _Atomic(uint32_t) armed;      /* something runs here, or may */
        _Atomic(uint32_t) acts;     /* the end of the lease is the end of the node: OnQuorumLoss= says so */
        _Atomic(uint32_t) leaving;  /* hagcd was asked to stop: that it is gone means nothing */
        _Atomic(uint32_t) released; /* and all others know that groups are left running here */
        _Atomic(uint32_t) kept;     /* the keeper has this page */
        _Atomic(uint32_t) gasps;    /* counts how often the last gasp was written anew */

        /* By id - 1: from when on that node can hold no lease any more; USEC_INFINITY: not known (R11). */
        _Atomic(uint64_t) over_usec[NODE_ID_MAX];
} LeasePage;

_Static_assert(sizeof(LeasePage) <= LEASE_PAGE_BYTES, "a page is more than enough");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "a lock of one process is none of another");
