/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "resource-agents/mount/mount-table.h"

#define FIELDS_BEFORE_OPTIONAL 6U

/* Blanks, tabs, line ends and backslashes in names are written as \ooo. */
static void unescape(char *s) {
        char *to = s;

        for (const char *p = s; *p; p++) {
                if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
                    p[3] >= '0' && p[3] <= '7') {
                        *to++ = (char) ((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
                        p += 3;
                } else
                        *to++ = *p;
        }
        *to = '\0';
}

/* "36 35 98:0 /root /where rw,noatime shared:1 master:2 - ext4 /dev/sda rw,errors=continue" */
static int parse_row(char *line, MountRow *ret) {
        char *fields[FIELDS_BEFORE_OPTIONAL], *rest, *word;
        MountRow row = { 0 };
        unsigned major_number, minor_number;

        for (size_t i = 0; i < FIELDS_BEFORE_OPTIONAL; i++) {
                fields[i] = strsep(&line, " ");
                if (!fields[i] || !line)
                        return -EBADMSG;
        }
        rest = line;
        while ((word = strsep(&rest, " ")) && !streq(word, "-"))
                ;
        row.type = strsep(&rest, " ");
        row.source = strsep(&rest, " ");
        row.super_options = rest;
        if (!row.super_options)
                return -EBADMSG;

        if (sscanf(fields[0], "%u", &row.id) != 1 ||
            sscanf(fields[2], "%u:%u", &major_number, &minor_number) != 2)
                return -EBADMSG;
        row.device = makedev(major_number, minor_number);
        row.root = fields[3];
        row.where = fields[4];
        row.options = fields[5];
        unescape(row.root);
        unescape(row.where);
        unescape(row.source);
        *ret = row;
        return 0;
}

int mount_table_parse(char *text, MountTable **ret) {
        _cleanup_(mount_table_freep) MountTable *t = calloc(1, sizeof *t);
        size_t n_lines = 0;
        char *rest = text, *line;
        int r;

        assert(text);
        if (!t) {
                free(text);
                return -ENOMEM;
        }
        t->text = text;

        for (const char *p = text; *p; p++)
                n_lines += *p == '\n';
        t->rows = calloc(n_lines + 1, sizeof *t->rows);
        if (!t->rows)
                return -ENOMEM;

        while ((line = strsep(&rest, "\n"))) {
                if (line[0] == '\0')
                        continue;
                r = parse_row(line, &t->rows[t->n_rows]);
                if (r < 0)
                        return r;
                t->n_rows++;
        }
        *ret = TAKE_PTR(t);
        return 0;
}

/* Reads to the end: files in /proc do not know their size. */
static int read_text(const char *path, char **ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        _cleanup_free_ char *text = NULL;
        size_t size_bytes = 0, allocated_bytes = 0;

        if (fd < 0)
                return -errno;
        for (;;) {
                ssize_t n;

                if (allocated_bytes - size_bytes < 4096) {
                        char *p;

                        allocated_bytes = MAX(2 * allocated_bytes, (size_t) 16384);
                        if (allocated_bytes > MOUNT_TABLE_BYTES_MAX)
                                return -EFBIG;
                        p = realloc(text, allocated_bytes);
                        if (!p)
                                return -ENOMEM;
                        text = p;
                }
                n = read(fd, text + size_bytes, allocated_bytes - size_bytes - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size_bytes += (size_t) n;
        }
        text[size_bytes] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}

int mount_table_read(pid_t pid, MountTable **ret) {
        char path[64] = "/proc/self/mountinfo";
        char *text = NULL;
        int r;

        if (pid != 0)
                (void) snprintf(path, sizeof path, "/proc/%d/mountinfo", pid);
        r = read_text(path, &text);
        return r < 0 ? r : mount_table_parse(text, ret);
}

MountTable *mount_table_free(MountTable *t) {
        if (!t)
                return NULL;
        free(t->rows);
        free(t->text);
        free(t);
        return NULL;
}

const MountRow *mount_table_at(const MountTable *t, const char *where) {
        for (size_t i = t->n_rows; i > 0; i--)
                if (streq(t->rows[i - 1].where, where))
                        return &t->rows[i - 1];
        return NULL;
}

const MountRow *mount_table_of_device(const MountTable *t, dev_t device, const char *except) {
        FOREACH_ARRAY(row, t->rows, t->n_rows)
                if (row->device == device && !(except && streq(row->where, except)))
                        return row;
        return NULL;
}

const MountRow *mount_table_below(const MountTable *t, const char *where) {
        FOREACH_ARRAY(row, t->rows, t->n_rows) {
                const char *rest = startswith(row->where, where);

                if (rest && rest[0] == '/' && rest[1] != '\0')
                        return row;
        }
        return NULL;
}

bool mount_options_have(const char *options, const char *option) {
        size_t n = strlen(option);

        for (const char *p = options; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
                if (strncmp(p, option, n) == 0 && (p[n] == ',' || p[n] == '\0'))
                        return true;
        return false;
}
