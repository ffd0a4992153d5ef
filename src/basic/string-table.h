/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tables between enums and their texts. The enum ends in _FOO_MAX, _FOO_INVALID = -EINVAL. */

#include <stddef.h>

#include "basic/macro.h"

/* Index of the text in the table; -EINVAL when it is not there (NULL entries are passed over). */
int string_table_lookup(const char *const *table, size_t n, const char *text);

/* The entry of the table nearest to the text, when it is near enough to have been meant; else NULL. */
const char *string_table_nearest(const char *const *table, size_t n, const char *text);

/* Number of single-character insertions, deletions, replacements and neighbour swaps between two texts,
 * ASCII case ignored. SIZE_MAX when one is longer than 64 characters. */
size_t string_distance(const char *a, const char *b);

/* NOLINTBEGIN(bugprone-macro-parentheses): type and scope take no brackets. */
#define _DEFINE_STRING_TABLE(name, type, scope)                                                             \
        scope const char *name##_to_string(type i) {                                                        \
                if ((int) (i) < 0 || (size_t) (i) >= ELEMENTSOF(name##_table))                              \
                        return NULL;                                                                        \
                return name##_table[i];                                                                     \
        }                                                                                                   \
        scope type name##_from_string(const char *s) {                                                      \
                return (type) string_table_lookup(name##_table, ELEMENTSOF(name##_table), s);               \
        }                                                                                                   \
        struct name##_wants_a_semicolon
/* NOLINTEND(bugprone-macro-parentheses) */

/* From static const char *const foo_table[_FOO_MAX], defines what a header declares as
 * const char *foo_to_string(Foo i); Foo foo_from_string(const char *s); */
#define DEFINE_STRING_TABLE(name, type) _DEFINE_STRING_TABLE(name, type, )
#define DEFINE_STRING_TABLE_STATIC(name, type) _DEFINE_STRING_TABLE(name, type, static _unused_)
