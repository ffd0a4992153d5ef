/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keeps the machine from being sent to sleep, by logind. */

#include <systemd/sd-event.h>

#include "basic/macro.h"

typedef struct Awake Awake;

int awake_new(sd_event *event, Awake **ret);
Awake *awake_free(Awake *a);
DEFINE_TRIVIAL_CLEANUP(Awake *, awake_free);

/* Asks for it, or lets go of it. A failure is said once, and tried again. */
void awake_want(Awake *a, bool wanted);
