/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What hagcd tells the keeper, and hamgr: the page with this node's lease (keeper/page.h). The keeper has it
 * from us over its socket; hamgr finds it in the run folder. */

#include "cms/cms.h"

typedef struct Keeping Keeping;

/* Makes the page, with no lease in it yet. */
int keeping_new(const char *run_folder, bool acts, bool armed, Keeping **ret);
Keeping *keeping_free(Keeping *k);
DEFINE_TRIVIAL_CLEANUP(Keeping *, keeping_free);

/* Hands it to the keeper, unless the keeper has it; said when that changes. Waits a moment for its answer.
 */
void keeping_connect(Keeping *k);

/* Written anew: this node's lease, and the ends of those of others. */
void keeping_publish(Keeping *k, const Cms *cms, NodeSet configured);
void keeping_armed(Keeping *k, bool armed);
void keeping_gasp_written(Keeping *k);

/* Asked to stop: that we end is no failure. */
void keeping_leave(Keeping *k);
/* The others know that groups are left running here, and wait for their end. */
void keeping_release(Keeping *k);

/* They do, when these have heard the farewell. Whoever takes over from us has quorum, and so shares a member
 * with our membership, if that has quorum, too: all of it has to know. cms tells it to those whom it hears,
 * which are fewer, or none, when we are cut off. */
bool keeping_quorum_knows(const Membership *m, uint32_t self, NodeSet told);
