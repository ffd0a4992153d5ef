/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What goes over the socket between libhagcs and hagcd in one packet: one frame, or, behind the byte
 * GATHER_SEVERAL, several, each behind its length. A frame costs both ends less the more of them wait. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "basic/macro.h"

#define GATHER_SEVERAL 255U    /* no type of a frame */
#define GATHER_LENGTH_BYTES 4U /* of the length, in front of each frame */
#define GATHER_FRAMES_MAX 64U  /* in one packet */

typedef struct Gather {
        struct iovec iov[1 + GATHER_FRAMES_MAX];
        unsigned n_frames;
        size_t size_bytes;
} Gather;

void gather_begin(Gather *g);

/* A frame behind room for its length, which is written; size_bytes is that of both. It is borrowed until it
 * is sent. False: it does not fit any more. */
bool gather_add(Gather *g, uint8_t *data, size_t size_bytes);

/* All of it, or -errno. Does not block. */
int gather_send(Gather *g, int fd);

/* The other way: the frames of a packet that was received. */
typedef struct GatherReader {
        const uint8_t *data; /* borrowed */
        size_t left_bytes;
        bool several;
        unsigned n_frames; /* so far */
} GatherReader;

void gather_read(GatherReader *r, const void *data, size_t size_bytes);

/* 1: a frame, which borrows from the packet; 0: there is none any more; -EBADMSG: what is left makes no
 * sense, or is more than anybody puts into one. */
int gather_next(GatherReader *r, const void **ret_frame, size_t *ret_size_bytes);
