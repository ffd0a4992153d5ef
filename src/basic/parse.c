/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <strings.h>

#include "basic/parse.h"

int parse_bool(const char *text, bool *ret) {
        static const char *const yes[] = { "yes", "true", "on", "1" };
        static const char *const no[] = { "no", "false", "off", "0" };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                if (strcasecmp(text, yes[i]) == 0) {
                        *ret = true;
                        return 0;
                }
                if (strcasecmp(text, no[i]) == 0) {
                        *ret = false;
                        return 0;
                }
        }

        return -EINVAL;
}

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t v = 0;
        bool overflow = false;

        if (*text == '\0')
                return -EINVAL;

        for (const char *p = text; *p; p++) {
                if (*p < '0' || *p > '9')
                        return -EINVAL;
                if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
                    __builtin_add_overflow(v, (uint64_t) (*p - '0'), &v))
                        overflow = true;
        }
        if (overflow || v < min || v > max)
                return -ERANGE;

        *ret = v;
        return 0;
}

int parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret) {
        uint64_t v;
        int r;

        r = parse_u64(text, min, max, &v);
        if (r < 0)
                return r;

        *ret = (uint32_t) v;
        return 0;
}

static bool is_name_character(char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

bool name_is_valid(const char *name) {
        size_t n;

        for (n = 0; name[n]; n++)
                if (n >= NAME_LENGTH_MAX || !is_name_character(name[n]))
                        return false;

        return n > 0;
}

bool name_pattern_is_valid(const char *pattern) {
        size_t n;

        for (n = 0; pattern[n]; n++)
                if (n >= NAME_LENGTH_MAX ||
                    !(is_name_character(pattern[n]) || pattern[n] == '*' || pattern[n] == '?'))
                        return false;

        return n > 0;
}

bool node_name_is_valid(const char *name) {
        size_t n;

        for (n = 0; name[n]; n++) {
                bool inside = n > 0 && name[n + 1] && name[n - 1] != '.';

                if (n >= NAME_LENGTH_MAX)
                        return false;
                if (!is_name_character(name[n]) && !(inside && (name[n] == '-' || name[n] == '.')))
                        return false;
        }

        return n > 0;
}

size_t next_word(const char **p, const char **ret_word) {
        size_t n;

        *p += strspn(*p, " \t\n");
        n = strcspn(*p, " \t\n");
        *ret_word = *p;
        *p += n;

        return n;
}
