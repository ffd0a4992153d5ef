/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The words that every room uses: cleanup attributes, ownership transfer, assertions that stay in release
 * builds. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef NDEBUG
#error "assertions stay in release builds: configure with b_ndebug=false"
#endif
#include <assert.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))
#define _pure_ __attribute__((pure))
#define _const_ __attribute__((const))
#define _warn_unused_ __attribute__((warn_unused_result))
#define _noreturn_ __attribute__((noreturn))

#define ELEMENTSOF(x)                                                                                       \
        (__builtin_choose_expr(                                                                             \
                        !__builtin_types_compatible_p(__typeof__(x), __typeof__(&*(x))),                    \
                        sizeof(x) / sizeof((x)[0]),                                                         \
                        (void) 0))

#define CONTAINER_OF(ptr, type, member) ((type *) ((char *) (ptr) -offsetof(type, member)))

/* Each use gets its own names, so that they nest without shadowing. */
#define _CONCAT(a, b) a##b
#define _UNIQUE(prefix, n) _CONCAT(prefix, n)

#define _PICK(n, a, op, b)                                                                                  \
        __extension__({                                                                                     \
                __typeof__(a) _UNIQUE(_pick_a, n) = (a);                                                    \
                __typeof__(b) _UNIQUE(_pick_b, n) = (b);                                                    \
                _UNIQUE(_pick_a, n) op _UNIQUE(_pick_b, n) ? _UNIQUE(_pick_a, n) : _UNIQUE(_pick_b, n);     \
        })

#undef MIN
#undef MAX
#define MIN(a, b) _PICK(__COUNTER__, a, <, b)
#define MAX(a, b) _PICK(__COUNTER__, a, >, b)
#define CLAMP_TO(x, low, high) MAX(low, MIN(x, high))

#define _CMP(n, a, b)                                                                                       \
        __extension__({                                                                                     \
                __typeof__(a) _UNIQUE(_cmp_a, n) = (a);                                                     \
                __typeof__(b) _UNIQUE(_cmp_b, n) = (b);                                                     \
                (_UNIQUE(_cmp_a, n) > _UNIQUE(_cmp_b, n)) - (_UNIQUE(_cmp_a, n) < _UNIQUE(_cmp_b, n));      \
        })

/* -1, 0 or 1, for comparison functions; never overflows. */
#define CMP(a, b) _CMP(__COUNTER__, a, b)

/* NOLINTBEGIN(bugprone-macro-parentheses): these take types, names and variables to be, which take no
 * brackets. */

/* Takes the value out of a variable and leaves the empty value behind: ownership moves on. */
#define TAKE_GENERIC(var, type, empty)                                                                      \
        ({                                                                                                  \
                type *_take_p = &(var);                                                                     \
                type _take_v = *_take_p;                                                                    \
                *_take_p = (empty);                                                                         \
                _take_v;                                                                                    \
        })
#define TAKE_PTR(ptr) TAKE_GENERIC(ptr, __typeof__(ptr), NULL)
#define TAKE_FD(fd) TAKE_GENERIC(fd, int, -EBADF)

/* Defines funcp() for use in _cleanup_(funcp), from a destructor func(type) that accepts the empty value. */
#define DEFINE_TRIVIAL_CLEANUP(type, func)                                                                  \
        static inline void func##p(type *p) {                                                               \
                if (*p)                                                                                     \
                        (void) func(*p);                                                                    \
        }                                                                                                   \
        struct func##p_wants_a_semicolon

/* Loops over n elements at array; i is a pointer declared here. */
#define FOREACH_ARRAY(i, array, n)                                                                          \
        for (__typeof__((array)[0]) *i = (array), *i##_end = i ? i + (n) : i; i < i##_end; i++)

/* NOLINTEND(bugprone-macro-parentheses) */

/* Says that a place cannot be reached. It is an assertion, so it holds in release builds too. */
#define ASSERT_NOT_REACHED()                                                                                \
        __extension__({                                                                                     \
                assert(false);                                                                              \
                __builtin_unreachable();                                                                    \
        })

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

/* Like streq(), but NULL equals NULL and nothing else. */
static inline bool streq_ptr(const char *a, const char *b) {
        return a && b ? streq(a, b) : a == b;
}

static inline bool isempty(const char *s) {
        return !s || s[0] == '\0';
}

static inline const char *strempty(const char *s) {
        return s ? s : "";
}

static inline const char *strna(const char *s) {
        return s ? s : "n/a";
}

static inline const char *yes_no(bool b) {
        return b ? "yes" : "no";
}

/* What follows the prefix, or NULL when s does not begin with it. */
static inline const char *startswith(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/* Where the suffix begins in s, or NULL when s does not end in it. */
static inline const char *endswith(const char *s, const char *suffix) {
        size_t n = strlen(s), m = strlen(suffix);

        return n >= m && streq(s + n - m, suffix) ? s + n - m : NULL;
}

/* free() that hands back NULL, so that "p = free_null(p)" leaves nothing dangling. */
static inline void *free_null(void *p) {
        free(p);
        return NULL;
}

/* Frees what *p, itself a pointer variable, points to. For memory of malloc(); GLib's has g_autofree. */
static inline void freep(void *p) {
        free(*(void **) p);
}
#define _cleanup_free_ _cleanup_(freep)

/* Closes, keeps errno, and returns the empty descriptor. */
static inline int safe_close(int fd) {
        if (fd >= 0) {
                int saved = errno;

                (void) close(fd);
                errno = saved;
        }
        return -EBADF;
}

static inline void closep(int *fd) {
        (void) safe_close(*fd);
}
#define _cleanup_close_ _cleanup_(closep)
