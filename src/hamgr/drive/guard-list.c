/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "basic/parse.h"
#include "hamgr/drive/guard-list.h"

static const char *const unit_suffixes[] = {
        ".service", ".socket",    ".target", ".timer", ".path",
        ".mount",   ".automount", ".swap",   ".slice", ".scope",
};

void guard_done(Guard *g) {
        free(g->name);
        FOREACH_ARRAY(m, g->mounts, g->n_mounts)
                free(*m);
        FOREACH_ARRAY(a, g->after, g->n_after)
                free(*a);
        *g = (Guard){};
}

bool guard_unit_name_is_valid(const char *name) {
        size_t n = strlen(name);

        if (n > GUARD_NAME_MAX)
                return false;
        for (const char *p = name; *p; p++)
                if (!isalnum((unsigned char) *p) && !strchr(":-_.\\@", *p))
                        return false;
        FOREACH_ARRAY(s, unit_suffixes, ELEMENTSOF(unit_suffixes)) {
                const char *end = endswith(name, *s);

                if (end && end > name)
                        return true;
        }
        return false;
}

/* ---- Lines ---- */

static bool is_plain(char c) {
        return c > ' ' && c < 0x7f && c != '\\';
}

static void write_escaped(StrBuf *text, const char *s) {
        for (; *s; s++)
                if (is_plain(*s))
                        str_buf_add_char(text, *s);
                else
                        str_buf_printf(text, "\\x%02x", (unsigned) (unsigned char) *s);
}

void guard_write(const Guard *g, StrBuf *text) {
        str_buf_add(text, g->kind == GUARD_UNIT ? "unit " : "mount ");
        write_escaped(text, g->name);
        str_buf_printf(text, " %s", g->group);
        if (g->watchdog_usec > 0)
                str_buf_printf(text, " watchdog=%" PRIu64, g->watchdog_usec);
        FOREACH_ARRAY(m, g->mounts, g->n_mounts) {
                str_buf_add(text, " mount=");
                write_escaped(text, *m);
        }
        FOREACH_ARRAY(a, g->after, g->n_after) {
                str_buf_add(text, " after=");
                write_escaped(text, *a);
        }
        str_buf_add_char(text, '\n');
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

/* -EINVAL also for an escaped zero. */
static int unescape(const char *s, size_t n, char **ret) {
        _cleanup_free_ char *out = malloc(n + 1);
        size_t k = 0;

        if (!out)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int high, low;

                if (s[i] != '\\') {
                        if (!is_plain(s[i]))
                                return -EINVAL;
                        out[k++] = s[i];
                        continue;
                }
                if (n - i < 4 || s[i + 1] != 'x')
                        return -EINVAL;
                high = hex_digit(s[i + 2]);
                low = hex_digit(s[i + 3]);
                if (high < 0 || low < 0 || high + low == 0)
                        return -EINVAL;
                out[k++] = (char) (high * 16 + low);
                i += 3;
        }
        out[k] = '\0';
        *ret = TAKE_PTR(out);
        return 0;
}

static bool mount_point_is_valid(const char *path) {
        if (path[0] != '/' || strlen(path) >= GUARD_PATH_MAX)
                return false;
        for (const char *p = path; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        return false; /* would be another line of the drop-in */
        return true;
}

static int read_setting(Guard *g, const char *word) {
        const char *value;

        value = startswith(word, "watchdog=");
        if (value)
                return parse_u64(value, 1, UINT64_MAX - 1, &g->watchdog_usec) < 0 ? -EINVAL : 0;

        value = startswith(word, "mount=");
        if (value) {
                if (g->n_mounts >= GUARD_WORDS_MAX || !mount_point_is_valid(value))
                        return -EINVAL;
                g->mounts[g->n_mounts] = strdup(value);
                return g->mounts[g->n_mounts++] ? 0 : -ENOMEM;
        }

        value = startswith(word, "after=");
        if (value) {
                if (g->n_after >= GUARD_WORDS_MAX || !guard_unit_name_is_valid(value))
                        return -EINVAL;
                g->after[g->n_after] = strdup(value);
                return g->after[g->n_after++] ? 0 : -ENOMEM;
        }
        return -EINVAL;
}

static int read_word(Guard *g, size_t n_before, const char *word) {
        if (n_before == 0) {
                if (streq(word, "unit"))
                        g->kind = GUARD_UNIT;
                else if (streq(word, "mount"))
                        g->kind = GUARD_MOUNT;
                else
                        return -EINVAL;
                return 0;
        }
        if (n_before == 1) {
                if (!(g->kind == GUARD_UNIT ? guard_unit_name_is_valid : mount_point_is_valid)(word))
                        return -EINVAL;
                g->name = strdup(word);
                return g->name ? 0 : -ENOMEM;
        }
        if (n_before == 2) {
                if (!name_is_valid(word))
                        return -EINVAL;
                memcpy(g->group, word, strlen(word) + 1);
                return 0;
        }
        return g->kind == GUARD_UNIT ? read_setting(g, word) : -EINVAL;
}

int guard_read(const char *line, Guard *ret) {
        _cleanup_(guard_done) Guard g = {};
        const char *p = line, *begin;
        size_t n_words = 0, n;

        while ((n = next_word(&p, &begin)) > 0) {
                _cleanup_free_ char *word = NULL;
                int r;

                if (n_words == 0 && *begin == '#')
                        return 0;
                r = unescape(begin, n, &word);
                if (r < 0)
                        return r;
                r = read_word(&g, n_words++, word);
                if (r < 0)
                        return r;
        }
        if (n_words == 0)
                return 0;
        if (n_words < 3)
                return -EINVAL;

        *ret = g;
        g = (Guard){};
        return 1;
}

/* ---- Units and their drop-ins ---- */

char *guard_mount_unit(const char *where) {
        _cleanup_(str_buf_done) StrBuf name = {};
        bool first = true;

        for (const char *p = where; *p;) {
                size_t n;

                p += strspn(p, "/");
                n = strcspn(p, "/");
                if (n == 0)
                        break;
                if (!first)
                        str_buf_add_char(&name, '-');
                for (size_t i = 0; i < n; i++) {
                        bool leading_dot = first && i == 0 && p[i] == '.';

                        if (!leading_dot && (isalnum((unsigned char) p[i]) || strchr(":_.", p[i])))
                                str_buf_add_char(&name, p[i]);
                        else
                                str_buf_printf(&name, "\\x%02x", (unsigned) (unsigned char) p[i]);
                }
                first = false;
                p += n;
        }
        if (first)
                str_buf_add_char(&name, '-');
        str_buf_add(&name, ".mount");
        return str_buf_take(&name);
}

char *guard_unit_name(const Guard *g) {
        return g->kind == GUARD_UNIT ? strdup(g->name) : guard_mount_unit(g->name);
}

/* In unit files % begins a specifier. */
static void add_path(StrBuf *text, const char *path) {
        for (; *path; path++) {
                if (*path == '%')
                        str_buf_add_char(text, '%');
                str_buf_add_char(text, *path);
        }
}

static void add_assertion(StrBuf *text, const Guard *g, const char *owned_folder) {
        str_buf_add(text, "AssertPathExists=");
        add_path(text, owned_folder);
        str_buf_printf(text, "/%s\n", g->group);
}

static void write_unit_drop_in(const Guard *g, const char *owned_folder, StrBuf *text) {
        str_buf_printf(text,
                       "# Group %s of hamgr runs this unit; systemd starts it only where the group "
                       "is.\n[Unit]\n",
                       g->group);
        add_assertion(text, g, owned_folder);
        FOREACH_ARRAY(m, g->mounts, g->n_mounts) {
                str_buf_add(text, "AssertPathIsMountPoint=");
                add_path(text, *m);
                str_buf_add_char(text, '\n');
        }
        str_buf_add(text, "Before=" GUARD_MANAGED_UNIT "\n");
        FOREACH_ARRAY(a, g->after, g->n_after)
                str_buf_printf(text, "After=%s\n", *a);
        str_buf_add(text, "IgnoreOnIsolate=yes\n");

        if (!endswith(g->name, ".service"))
                return;
        str_buf_add(text, "\n[Service]\nRestart=no\n");
        if (g->watchdog_usec > 0)
                str_buf_printf(text, "WatchdogSec=%" PRIu64 "us\n", g->watchdog_usec);
}

static void write_mount_drop_in(const Guard *g, const char *owned_folder, StrBuf *text) {
        str_buf_printf(text,
                       "# Group %s of hamgr mounts this; at shutdown it stays until hamgr has "
                       "stopped.\n[Unit]\n",
                       g->group);
        add_assertion(text, g, owned_folder);
        str_buf_add(text, "DefaultDependencies=no\nBefore=" GUARD_MANAGED_UNIT "\nIgnoreOnIsolate=yes\n");
}

char *guard_drop_in(const Guard *g, const char *owned_folder) {
        _cleanup_(str_buf_done) StrBuf text = {};

        switch (g->kind) {
        case GUARD_UNIT:
                write_unit_drop_in(g, owned_folder, &text);
                break;
        case GUARD_MOUNT:
                write_mount_drop_in(g, owned_folder, &text);
                break;
        }
        return str_buf_take(&text);
}
