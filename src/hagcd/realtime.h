/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Memory that is never paged out and a priority that other work cannot take away, as far as the system
 * grants them; what it refuses is logged once and lived with. */

void realtime_enter(void);
