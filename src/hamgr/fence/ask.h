/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks all devices of one node for its state, which changes nothing: `hactl fence test`. They are looked at
 * anew, files of secrets included, and asked one after the other, each for its TimeoutSec= at most, and 10
 * s. */

#include <stdint.h>

#include <systemd/sd-event.h>

#include "basic/macro.h"
#include "shared/cluster-conf.h"

typedef struct FenceAsk FenceAsk;

/* Texts are borrowed for the call. */
typedef struct FenceAnswer {
        const char *device;
        uint32_t level;
        const char *state; /* "on" or "off"; "" when there is an error */
        const char *error; /* "" when there is none */
        uint64_t taken_usec;
} FenceAnswer;

/* All have been asked. Called once, from the loop, never from within fence_ask_new(). May free it. */
typedef void (*FenceAskHandler)(FenceAsk *a, const FenceAnswer *answers, size_t n_answers, void *userdata);

/* conf is borrowed and must live as long. No answers: the node has no device. */
int fence_ask_new(
                sd_event *event,
                const ClusterConf *conf,
                uint32_t node_id,
                FenceAskHandler handler,
                void *userdata,
                FenceAsk **ret);
/* Breaks it off. */
FenceAsk *fence_ask_free(FenceAsk *a);
DEFINE_TRIVIAL_CLEANUP(FenceAsk *, fence_ask_free);
