/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Durations are read and written here with integers only, so that what is written reads back as the same
 * number. */

#include <stdio.h>
#include <time.h>

#include "basic/time-util.h"

typedef struct Unit {
        const char *name;
        uint64_t usec;
} Unit;

static const Unit units[] = {
        { "us", 1 },
        { "usec", 1 },
        { "ms", USEC_PER_MSEC },
        { "msec", USEC_PER_MSEC },
        { "s", USEC_PER_SEC },
        { "sec", USEC_PER_SEC },
        { "m", USEC_PER_MINUTE },
        { "min", USEC_PER_MINUTE },
        { "h", USEC_PER_HOUR },
        { "hr", USEC_PER_HOUR },
        { "d", USEC_PER_DAY },
        { "day", USEC_PER_DAY },
        { "days", USEC_PER_DAY },
};

static uint64_t read_clock(clockid_t clock) {
        struct timespec ts;
        int r;

        r = clock_gettime(clock, &ts);
        assert(r == 0);

        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / NSEC_PER_USEC;
}

uint64_t now_boottime_usec(void) {
        return read_clock(CLOCK_BOOTTIME);
}

uint64_t now_realtime_usec(void) {
        return read_clock(CLOCK_REALTIME);
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* Reads a unit and moves behind it; NULL when there is none. */
static const Unit *read_unit(const char **p) {
        size_t n = 0;

        while ((*p)[n] >= 'a' && (*p)[n] <= 'z')
                n++;

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].name) == n && strncmp(units[i].name, *p, n) == 0) {
                        *p += n;
                        return &units[i];
                }

        return NULL;
}

/* Reads "12" or "12.5" and gives the whole part and the fraction as so many of scale. */
static int read_number(const char **p, uint64_t *ret_whole, uint64_t *ret_fraction, uint64_t *ret_scale) {
        uint64_t whole = 0, fraction = 0, scale = 1;
        bool overflow = false;

        if (!is_digit(**p))
                return -EINVAL;

        for (; is_digit(**p); (*p)++)
                if (__builtin_mul_overflow(whole, UINT64_C(10), &whole) ||
                    __builtin_add_overflow(whole, (uint64_t) (**p - '0'), &whole))
                        overflow = true;

        if (**p == '.') {
                (*p)++;
                if (!is_digit(**p))
                        return -EINVAL;
                for (; is_digit(**p); (*p)++) {
                        if (scale >= USEC_PER_SEC)
                                continue;
                        fraction = fraction * 10 + (uint64_t) (**p - '0');
                        scale *= 10;
                }
        }
        if (overflow)
                return -ERANGE;

        *ret_whole = whole;
        *ret_fraction = fraction;
        *ret_scale = scale;
        return 0;
}

int parse_duration(const char *text, uint64_t *ret_usec) {
        const char *p = text;
        uint64_t sum = 0;

        if (streq(text, "infinity")) {
                *ret_usec = USEC_INFINITY;
                return 0;
        }

        for (unsigned n = 0;; n++) {
                uint64_t whole, fraction, scale, part;
                const Unit *unit;
                int r;

                p += strspn(p, " ");
                if (*p == '\0' && n > 0)
                        break;

                r = read_number(&p, &whole, &fraction, &scale);
                if (r < 0)
                        return r;

                p += strspn(p, " ");
                if (*p == '\0') {
                        /* "1min 30" is as likely 30 minutes as 30 seconds: refused. */
                        if (n > 0)
                                return -EINVAL;
                        part = USEC_PER_SEC;
                } else {
                        unit = read_unit(&p);
                        if (!unit)
                                return -EINVAL;
                        part = unit->usec;
                }

                /* fraction < 10^6 and part <= 8.64 * 10^10, so the product holds in 64 bits. */
                fraction = fraction * part / scale;
                if (__builtin_mul_overflow(whole, part, &part) ||
                    __builtin_add_overflow(part, fraction, &part) ||
                    __builtin_add_overflow(sum, part, &sum) || sum == USEC_INFINITY)
                        return -ERANGE;
        }

        *ret_usec = sum;
        return 0;
}

char *format_duration(uint64_t usec, char buf[static DURATION_TEXT_MAX]) {
        static const Unit written[] = {
                { "d", USEC_PER_DAY }, { "h", USEC_PER_HOUR },  { "min", USEC_PER_MINUTE },
                { "s", USEC_PER_SEC }, { "ms", USEC_PER_MSEC }, { "us", 1 },
        };
        size_t length = 0;

        if (usec == USEC_INFINITY)
                return memcpy(buf, "infinity", sizeof("infinity"));
        if (usec == 0)
                return memcpy(buf, "0", sizeof("0"));

        for (size_t i = 0; i < ELEMENTSOF(written); i++) {
                uint64_t n = usec / written[i].usec;
                int k;

                if (n == 0)
                        continue;
                usec %= written[i].usec;

                k = snprintf(buf + length,
                             DURATION_TEXT_MAX - length,
                             "%s%llu%s",
                             length > 0 ? " " : "",
                             (unsigned long long) n,
                             written[i].name);
                assert(k > 0);
                assert((size_t) k < DURATION_TEXT_MAX - length);
                length += (size_t) k;
        }

        return buf;
}
