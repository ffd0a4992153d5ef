/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <string.h>

#include <glib.h>

/* g_free() for what holds a secret: nothing of it is left to whoever gets that memory next. NULL is fine. */
static inline void wipe(char *text) {
        if (text)
                explicit_bzero(text, strlen(text));
        g_free(text);
}
