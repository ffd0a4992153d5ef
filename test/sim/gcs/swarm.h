/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One random life of a cluster under one seed: first anything goes, then faults stop and it must become
 * live. */

#include "sim/gcs/cluster.h"

/* NULL if all went well, otherwise what was violated. The trace is appended to, if wanted. */
char *
gcs_swarm_run(uint64_t seed,
              GString *trace,
              const char **ret_check,
              uint64_t *ret_story,
              uint64_t *ret_delivered);
