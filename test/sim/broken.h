/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The broken cores: each of them must be caught within the seeds that its line of the table states. */

#include "sim/runner.h"

typedef struct BrokenCore BrokenCore;

const BrokenCore *broken_core_find(const char *name);
/* How its seeds are run, and what breaks it. */
void broken_core_prepare(const BrokenCore *b, Run *run);

/* The table: fault, seeds, check. False: not all were caught. */
bool broken_cores_run(unsigned n_jobs);
