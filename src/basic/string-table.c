/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/string-table.h"

#define DISTANCE_LENGTH_MAX 64U

int string_table_lookup(const char *const *table, size_t n, const char *text) {
        if (!text)
                return -EINVAL;

        for (size_t i = 0; i < n; i++)
                if (table[i] && streq(table[i], text))
                        return (int) i;

        return -EINVAL;
}

static char fold(char c) {
        return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

size_t string_distance(const char *a, const char *b) {
        size_t n = strlen(a), m = strlen(b);
        size_t rows[3][DISTANCE_LENGTH_MAX + 1];
        size_t *before = rows[0], *last = rows[1], *row = rows[2];

        if (n > DISTANCE_LENGTH_MAX || m > DISTANCE_LENGTH_MAX)
                return SIZE_MAX;

        for (size_t j = 0; j <= m; j++)
                last[j] = j;

        for (size_t i = 1; i <= n; i++) {
                size_t *t;

                row[0] = i;
                for (size_t j = 1; j <= m; j++) {
                        size_t replace = last[j - 1] + (fold(a[i - 1]) == fold(b[j - 1]) ? 0 : 1);

                        row[j] = MIN(replace, MIN(last[j], row[j - 1]) + 1);
                        if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                            fold(a[i - 2]) == fold(b[j - 1]))
                                row[j] = MIN(row[j], before[j - 2] + 1);
                }

                t = before;
                before = last;
                last = row;
                row = t;
        }

        return last[m];
}

const char *string_table_nearest(const char *const *table, size_t n, const char *text) {
        const char *nearest = NULL;
        size_t best = SIZE_MAX;

        for (size_t i = 0; i < n; i++) {
                size_t d;

                if (!table[i])
                        continue;
                d = string_distance(table[i], text);
                if (d < best) {
                        best = d;
                        nearest = table[i];
                }
        }

        /* A third of the letters may be wrong, and one always. */
        return nearest && best <= MAX(strlen(nearest) / 3, (size_t) 1) ? nearest : NULL;
}
