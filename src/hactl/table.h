/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Text in aligned columns. */

#include <stddef.h>

#include "basic/macro.h"

#define TABLE_COLUMNS_MAX 10

typedef struct Table Table;

Table *table_new(size_t n_columns);
Table *table_free(Table *t);
DEFINE_TRIVIAL_CLEANUP(Table *, table_free);

/* Add a row of n_columns texts; they are copied. NULL is shown as "-". */
void table_row(Table *t, const char *const *cells);
#define ROW(...) ((const char *const[]){ __VA_ARGS__ })

/* On a terminal, lines are cut at its width. */
void table_print(const Table *t);
