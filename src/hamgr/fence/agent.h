/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Programs of the fence-agents protocol: what goes to one, and what is wrong with what it is to be given.
 * secret is "key=value" strings ended by NULL, or NULL. Sentences are for g_free(); NULL: nothing is wrong.
 */

#include "hamgr/fence/action.h"
#include "hamgr/fence/metadata.h"
#include "shared/cluster-conf.h"

/* Is it there, and a program? */
char *fence_agent_check_program(const char *path);

char *
fence_agent_check_parameters(const FenceMetadata *m, const ClusterFence *conf, const char *const *secret);

/* What goes to its standard input, for g_free(). */
char *fence_agent_input(
                const FenceMetadata *m,
                const ClusterFence *conf,
                const char *const *secret,
                const char *plug,
                FenceAction action);
