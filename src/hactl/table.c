/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hactl/table.h"

struct Table {
        size_t n_columns;
        GPtrArray *cells; /* owned; row after row */
};

Table *table_new(size_t n_columns) {
        Table *t = g_new0(Table, 1);

        g_assert(n_columns > 0 && n_columns <= TABLE_COLUMNS_MAX);
        t->n_columns = n_columns;
        t->cells = g_ptr_array_new_with_free_func(g_free);
        return t;
}

Table *table_free(Table *t) {
        if (t)
                g_ptr_array_unref(t->cells);
        g_free(t);
        return NULL;
}

void table_row(Table *t, const char *const *cells) {
        for (size_t i = 0; i < t->n_columns; i++)
                g_ptr_array_add(t->cells, g_strdup(cells[i] && cells[i][0] ? cells[i] : "-"));
}

/* Columns of the terminal; 0: it is none, or does not say. */
static size_t terminal_width(void) {
        struct winsize size = {};

        return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) >= 0 ? size.ws_col : 0;
}

/* The last column is text of any length: on a terminal it is cut where the line would break. */
static void print_last(const char *cell, size_t room) {
        if (room < 4 || (size_t) g_utf8_strlen(cell, -1) <= room)
                printf("%s\n", cell);
        else
                printf("%.*s...\n", (int) (g_utf8_offset_to_pointer(cell, (glong) room - 3) - cell), cell);
}

void table_print(const Table *t) {
        size_t all = terminal_width(), before = 0;
        size_t width[TABLE_COLUMNS_MAX] = {};

        for (size_t i = 0; i < t->cells->len; i++)
                width[i % t->n_columns] =
                                MAX(width[i % t->n_columns], (size_t) g_utf8_strlen(t->cells->pdata[i], -1));

        for (size_t i = 0; i + 1 < t->n_columns; i++)
                before += width[i] + 2;

        for (size_t i = 0; i < t->cells->len; i++) {
                const char *cell = t->cells->pdata[i];
                size_t pad = width[i % t->n_columns] - (size_t) g_utf8_strlen(cell, -1);

                if ((i + 1) % t->n_columns == 0)
                        print_last(cell, all > before ? all - before : 0);
                else
                        printf("%s%*s", cell, (int) pad + 2, "");
        }
}
