/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hamgr/state/config.h"

const char *ha_resource_kind(HaResourceType t); /* "Mount" of [Mount data] */

int ha_group_compare(const void *a, const void *b);

/* One group by itself: its policy, that it has something to run. */
int ha_group_validate(
                const HaConfig *c, const ConfFile *f, HaGroup *g, const char *policy, ConfErrors *errors);

/* All groups together: nothing belongs to two. */
int ha_config_validate(const HaConfig *c, ConfErrors *errors);
