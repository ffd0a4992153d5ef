/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/str-buf.h"

void str_buf_done(StrBuf *b) {
        free(b->text);
        *b = (StrBuf){};
}

/* Makes room for n more characters and the final zero. */
static bool make_room(StrBuf *b, size_t n) {
        size_t need, size;
        char *p;

        if (b->failed)
                return false;
        if (__builtin_add_overflow(b->length, n, &need) || __builtin_add_overflow(need, 1, &need))
                goto fail;
        if (need <= b->allocated)
                return true;

        size = b->allocated > SIZE_MAX / 2 ? need : MAX(MAX(need, b->allocated * 2), (size_t) 64);
        p = realloc(b->text, size);
        if (!p)
                goto fail;

        b->text = p;
        b->allocated = size;
        return true;

fail:
        b->failed = true;
        return false;
}

void str_buf_add_bytes(StrBuf *b, const char *s, size_t n) {
        if (!make_room(b, n))
                return;

        if (n > 0)
                memcpy(b->text + b->length, s, n);
        b->length += n;
        b->text[b->length] = '\0';
}

void str_buf_add(StrBuf *b, const char *s) {
        str_buf_add_bytes(b, s, strlen(s));
}

void str_buf_add_char(StrBuf *b, char c) {
        str_buf_add_bytes(b, &c, 1);
}

void str_buf_vprintf(StrBuf *b, const char *format, va_list ap) {
        va_list copy;
        int n;

        va_copy(copy, ap);
        n = vsnprintf(NULL, 0, format, copy);
        va_end(copy);

        if (n < 0) {
                b->failed = true;
                return;
        }
        if (!make_room(b, (size_t) n))
                return;

        (void) vsnprintf(b->text + b->length, (size_t) n + 1, format, ap);
        b->length += (size_t) n;
}

void str_buf_printf(StrBuf *b, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        str_buf_vprintf(b, format, ap);
        va_end(ap);
}

char *str_buf_take(StrBuf *b) {
        char *text;

        /* An empty text is a text, not a failure. */
        str_buf_add_bytes(b, "", 0);
        if (b->failed) {
                str_buf_done(b);
                return NULL;
        }

        text = TAKE_PTR(b->text);
        *b = (StrBuf){};
        return text;
}
