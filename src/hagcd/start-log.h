/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The starts of hagcd that followed a crash, as they are stored (R21). A start is unclean when the life
 * before it did not end on purpose; its stamp is wall time, the only clock that goes on across a boot. Such
 * a clock lies at times, so a stamp in the future is void: a node is rather let in than kept out. */

#include <stdbool.h>

#include "basic/byte-reader.h"
#include "basic/byte-writer.h"

/* So many unclean starts within RejoinHoldSec= are one too many. */
#define START_LOG_MAX 3U

typedef struct StartLog {
        bool running; /* a life has begun and has not ended on purpose */
        unsigned n_unclean;
        uint64_t unclean_usec[START_LOG_MAX]; /* CLOCK_REALTIME, the newest last */
} StartLog;

/* Puts in the start that happens now. Returns for how long the node is held off; 0: not at all. */
uint64_t start_log_begin(StartLog *log, uint64_t now_usec, uint64_t hold_usec);

/* It ends on purpose. */
void start_log_end(StartLog *log);

void start_log_encode(const StartLog *log, ByteWriter *w);
void start_log_decode(ByteReader *r, StartLog *ret); /* ask the reader for the result */
