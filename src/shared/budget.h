/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* After how long a node that lost quorum, or hangs, has reset itself for certain (R13): the chain of
 * docs/self-fencing.md, link by link. What hactl shows and what the others wait for is computed here. */

#include <stdbool.h>
#include <stdint.h>

#include "shared/cluster-conf.h"

#define BUDGET_TEXT_MAX 256U

typedef enum BudgetLink {
        BUDGET_LEASE,
        BUDGET_CLOCKS,
        BUDGET_KEEPER,
        BUDGET_KEEPER_HANGS,
        BUDGET_SYSTEMD,
        BUDGET_WATCHDOG,
        _BUDGET_LINK_MAX,
        _BUDGET_LINK_INVALID = -EINVAL,
} BudgetLink;

/* "lease", "clocks", ... */
const char *budget_link_to_string(BudgetLink i);
BudgetLink budget_link_from_string(const char *s);

/* What systemd and the kernel of this node say. */
typedef struct BudgetFacts {
        char error[BUDGET_TEXT_MAX];          /* they could not be asked; "" */
        char virtualization[BUDGET_TEXT_MAX]; /* as systemd-detect-virt has it; "": none */
        bool keeper_runs;
        bool keeper_resets;                    /* FailureAction= of its unit */
        uint64_t keeper_watchdog_usec;         /* WatchdogSec= of it; 0: none */
        bool service_watchdogs_off;            /* systemd heeds no such time of any service */
        bool pets;                             /* systemd pets a watchdog, */
        char identity[BUDGET_TEXT_MAX];        /* this one, */
        uint64_t watchdog_usec;                /* which resets after so long, */
        bool driver_told;                      /* by the word of its driver, */
        char watchdog_folder[BUDGET_TEXT_MAX]; /* here; */
        bool lapsed;                           /* and not any more */
} BudgetFacts;

typedef struct Budget {
        uint64_t usec[_BUDGET_LINK_MAX];
        char origin[_BUDGET_LINK_MAX][BUDGET_TEXT_MAX]; /* where each comes from */
        uint64_t sum_usec;
        uint64_t reset_usec;               /* of it, what follows on the end of the lease */
        char refusal[2 * BUDGET_TEXT_MAX]; /* why nobody counts on it; "": others do */
        bool is_stopped;                   /* only for hagcd not being started */
        bool is_wrong;                     /* it is refused although a Watchdog= is configured */
} Budget;

/* Asks, and waits for the answers: for tools, and for daemons when they start. */
void budget_ask(BudgetFacts *ret);

/* Of what a node said, as long as another one waits by its own clock, whose rate differs by 1 % (R11). */
uint64_t budget_wait_usec(uint64_t reset_usec);

/* False: the watchdog is not what was asked for any more. Reads two files of the kernel. */
bool budget_watchdog_holds(const BudgetFacts *facts);

void budget_compute(const ClusterConf *conf, const ClusterNode *self, const BudgetFacts *facts, Budget *ret);
