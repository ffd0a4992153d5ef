/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Time is uint64_t microseconds. Points in time are of CLOCK_BOOTTIME, which goes on in suspend; only shells
 * read it. */

#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define NSEC_PER_USEC UINT64_C(1000)
#define NSEC_PER_SEC UINT64_C(1000000000)

/* "Never", as a due time. */
#define USEC_INFINITY UINT64_MAX

#define DURATION_TEXT_MAX 64U

/* Reads CLOCK_BOOTTIME. Not for cores: their time comes with the event. */
uint64_t now_boottime_usec(void);

/* Reads CLOCK_REALTIME, for stamps that people read, and for those of starts, which are compared across
 * boots (R21); nothing else is decided by it. */
uint64_t now_realtime_usec(void);

/* Addition that stops at USEC_INFINITY, subtraction that stops at 0. */
static inline uint64_t usec_add(uint64_t a, uint64_t b) {
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}

static inline uint64_t usec_sub(uint64_t a, uint64_t b) {
        return a > b ? a - b : 0;
}

/* Reads "100ms", "5s", "10min", "1min 30s", "1.5s", "0"; units us ms s (sec) m (min) h (hr) d (day), a plain
 * number is seconds. "infinity" is USEC_INFINITY. -EINVAL: not a duration; -ERANGE: too long. */
int parse_duration(const char *text, uint64_t *ret_usec);

/* Writes a duration as parse_duration() reads it, such as "1min 30s", "400ms", "0" or "infinity", and
 * returns buf. */
char *format_duration(uint64_t usec, char buf[static DURATION_TEXT_MAX]);
