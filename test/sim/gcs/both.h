/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Both cores together, in the world that the membership core is tested in: what GCS is told comes from real
 * agreement. */

#include <stdbool.h>
#include <stdint.h>

char *gcs_both_run(uint64_t seed, bool trace, uint64_t *ret_story, uint64_t *ret_delivered);
