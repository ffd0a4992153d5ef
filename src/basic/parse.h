/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Strict parsing of single values. Nothing is skipped, guessed or trimmed: no blanks, no sign where none
 * belongs. All return 0, or -EINVAL (not such a value) or -ERANGE (outside the limits), and then leave the
 * result alone. */

#include <stdbool.h>
#include <stdint.h>

#include "basic/macro.h"

/* Longest name of a group, resource, policy or node, without the final zero. */
#define NAME_LENGTH_MAX 32U

/* yes no true false on off 1 0, in any case. */
int parse_bool(const char *text, bool *ret);

/* Decimal digits only. */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);
int parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret);

/* [a-z0-9_]+, at most NAME_LENGTH_MAX characters: groups, resources, policies. */
bool name_is_valid(const char *name);

/* Like name_is_valid(), and '*' and '?' for what is left open. */
bool name_pattern_is_valid(const char *pattern);

/* Like name_is_valid(), and '-' and '.' inside, as host names have them. */
bool node_name_is_valid(const char *name);

/* The next word of *p, words being divided by blanks; moves *p behind it. Returns the word's length and
 * where it begins in *ret_word, or 0 at the end of the text. */
size_t next_word(const char **p, const char **ret_word);
