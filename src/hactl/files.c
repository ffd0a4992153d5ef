/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "basic/macro.h"
#include "hactl/files.h"
#include "hactl/hactl.h"

/* A configuration file is written by hand: one of this size is a mistake. */
#define CONFIG_FILE_BYTES_MAX (256 * 1024)

static bool has_suffix(const char *s, const char *suffix) {
        size_t n = strlen(s), k = strlen(suffix);

        return n > k && streq(s + n - k, suffix);
}

static int read_text(const char *path, json_t **ret) {
        _cleanup_free_ char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
        FILE *f;
        size_t n;
        bool failed;

        if (!text)
                return -ENOMEM;
        f = fopen(path, "re");
        if (!f)
                return -errno;
        n = fread(text, 1, CONFIG_FILE_BYTES_MAX + 1, f);
        failed = ferror(f);
        fclose(f);
        if (failed)
                return -EIO;
        if (n > CONFIG_FILE_BYTES_MAX)
                return -EFBIG;
        if (memchr(text, 0, n))
                return -EBADMSG;
        /* NULL: not UTF-8 */
        *ret = json_stringn(text, n);
        return *ret ? 0 : -EILSEQ;
}

static const char *reason(int r) {
        return r == -EFBIG     ? "is larger than 256 KiB; is it a configuration file?"
               : r == -EBADMSG ? "contains a NUL byte; is it a text file?"
               : r == -EILSEQ  ? "is not UTF-8 text"
                               : strerror(-r);
}

static int is_wanted(const struct dirent *e) {
        return e->d_name[0] != '.';
}

/* Read the files of one directory whose names have the suffix, named with the prefix. */
static int read_dir(json_t *files, const char *dir, const char *prefix, const char *suffix) {
        struct dirent **entries;
        int n, r = HACTL_OK;

        n = scandir(dir, &entries, is_wanted, alphasort);
        if (n < 0 && errno == ENOENT)
                return HACTL_OK;
        if (n < 0) {
                hactl_error("cannot read %s: %s", dir, strerror(errno));
                return HACTL_FAILED;
        }
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL, *name = NULL;
                json_t *text;
                int k;

                if (r == HACTL_OK && has_suffix(entries[i]->d_name, suffix)) {
                        if (asprintf(&path, "%s/%s", dir, entries[i]->d_name) < 0 ||
                            asprintf(&name, "%s%s", prefix, entries[i]->d_name) < 0)
                                abort();
                        k = read_text(path, &text);
                        if (k < 0) {
                                hactl_error("%s %s", path, reason(k));
                                r = HACTL_FAILED;
                        } else
                                json_object_set_new(files, name, text);
                }
                free(entries[i]);
        }
        free(entries);
        return r;
}

/* web.group.d/: drop-ins of web.group. */
static int read_drop_ins(json_t *files, const char *dir) {
        struct dirent **entries;
        int n, r = HACTL_OK;

        n = scandir(dir, &entries, is_wanted, alphasort);
        if (n < 0)
                return HACTL_OK; /* told by read_dir() */
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL, *prefix = NULL;

                if (r == HACTL_OK && has_suffix(entries[i]->d_name, ".group.d")) {
                        if (asprintf(&path, "%s/%s", dir, entries[i]->d_name) < 0 ||
                            asprintf(&prefix, "%s/", entries[i]->d_name) < 0)
                                abort();
                        r = read_dir(files, path, prefix, ".conf");
                }
                free(entries[i]);
        }
        free(entries);
        return r;
}

int config_files_read(const char *dir, json_t **ret) {
        json_auto_t *files = json_object();
        struct stat st;
        int r;

        if (stat(dir, &st) < 0) {
                hactl_error("cannot read %s: %s", dir, strerror(errno));
                return HACTL_FAILED;
        }
        r = read_dir(files, VENDOR_POLICY_DIR, "", ".policy");
        if (r == HACTL_OK)
                r = read_dir(files, dir, "", ".policy");
        if (r == HACTL_OK)
                r = read_dir(files, dir, "", ".group");
        if (r == HACTL_OK)
                r = read_drop_ins(files, dir);
        if (r == HACTL_OK)
                *ret = TAKE_PTR(files);
        return r;
}

int config_files_append(json_t *files, sd_bus_message *m) {
        const char *name;
        json_t *text;
        int r;

        r = sd_bus_message_open_container(m, 'a', "(ss)");
        if (r < 0)
                return r;
        json_object_foreach(files, name, text) {
                r = sd_bus_message_append(m, "(ss)", name, json_string_value(text));
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}
