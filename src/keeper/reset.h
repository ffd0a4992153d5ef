/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The end of this machine, at once and without asking anybody. */

#include "basic/macro.h"

typedef struct Resetter {
        int sysrq_fd;   /* owned; -EBADF in a container, where it would be the end of its host */
        int console_fd; /* owned; the kernel's log, which outlives us where anything does */
} Resetter;

#define RESETTER_NONE ((Resetter){ -EBADF, -EBADF })

/* Opens what it will need. */
void resetter_prepare(Resetter *r);
_noreturn_ void resetter_reset(const Resetter *r, const char *why);
