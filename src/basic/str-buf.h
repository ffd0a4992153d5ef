/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A growing text for rooms without GLib. Running out of memory is a sticky error that the caller asks for
 * once. */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "basic/macro.h"

typedef struct StrBuf {
        char *text; /* owned; NULL as long as it is empty */
        size_t length;
        size_t allocated;
        bool failed;
} StrBuf;

void str_buf_done(StrBuf *b);

void str_buf_add(StrBuf *b, const char *s);
void str_buf_add_bytes(StrBuf *b, const char *s, size_t n);
void str_buf_add_char(StrBuf *b, char c);
void str_buf_printf(StrBuf *b, const char *format, ...) _printf_(2, 3);
void str_buf_vprintf(StrBuf *b, const char *format, va_list ap) _printf_(2, 0);

/* The text so far, "" when there is none. */
static inline const char *str_buf_text(const StrBuf *b) {
        return b->text ? b->text : "";
}

/* 0, or -ENOMEM when something could not be added. */
static inline int str_buf_result(const StrBuf *b) {
        return b->failed ? -ENOMEM : 0;
}

/* Hands the text to the caller, for free(), and leaves an empty buffer; NULL when memory ran out. */
char *str_buf_take(StrBuf *b);
