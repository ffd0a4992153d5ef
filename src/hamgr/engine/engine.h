/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where groups should run: a pure function of the state. It proposes; state_apply() decides, step by step,
 * when the plan is delivered. A state at rest gives an empty plan. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "hamgr/state/state.h"

/* One decision about a group, also when it is "stay": for hactl explain and for the scenario tests. */
typedef struct EngineDecision {
        char group[NAME_LENGTH_MAX + 1];
        uint32_t node; /* where it should be; 0: nowhere */
        char reason[STATE_TEXT_MAX];
} EngineDecision;

typedef struct EnginePlan {
        StatePlan plan;       /* to be sent, if it has steps */
        uint64_t wakeup_usec; /* cluster time at which to plan again even if nothing is delivered;
                                 UINT64_MAX: never */
        bool tick;            /* no steps, but the state waits for the time to pass: send TICK */

        EngineDecision *decisions; /* owned; one for each group, by name */
        size_t n_decisions;
} EnginePlan;

/* `now_usec` is cluster time (state_clock_now). */
void engine_plan(const State *s, uint64_t now_usec, EnginePlan *ret);
void engine_plan_done(EnginePlan *p);
