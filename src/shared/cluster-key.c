/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "basic/byte-writer.h"
#include "basic/checksum.h"
#include "shared/cluster-key.h"
#include "shared/file-util.h"

#define KEY_TAG "hamgr-key-1"
#define KEY_FILE_BYTES_MAX 256U

void cluster_key_done(ClusterKey *key) {
        explicit_bzero(key, sizeof(*key));
}

/* Makes the sentence, returns r. Without memory for it there is none. */
static int _printf_(3, 4) refuse(char **ret_why, int r, const char *format, ...) {
        va_list ap;

        if (!ret_why)
                return r;

        va_start(ap, format);
        if (vasprintf(ret_why, format, ap) < 0)
                *ret_why = NULL;
        va_end(ap);
        return r;
}

static int draw(void *data, size_t n) {
        ssize_t k;

        do
                k = getrandom(data, n, 0);
        while (k < 0 && errno == EINTR);

        if (k < 0)
                return -errno;
        return (size_t) k == n ? 0 : -EIO;
}

int cluster_key_generate(ClusterKey *ret) {
        _cleanup_(cluster_key_done) ClusterKey key = {};
        int r;

        do {
                r = draw(&key.id, sizeof(key.id));
                if (r < 0)
                        return r;
        } while (key.id == 0);

        r = draw(key.bytes, sizeof(key.bytes));
        if (r < 0)
                return r;

        *ret = key;
        return 0;
}

/* The check finds a mistyped or half-copied line; it is no secret. */
static uint32_t check_of(const ClusterKey *key) {
        uint8_t id[4];
        ByteWriter w;

        byte_writer_init(&w, id, sizeof(id));
        byte_writer_u32(&w, key->id);
        return crc32c(crc32c(0, id, sizeof(id)), key->bytes, sizeof(key->bytes));
}

int cluster_key_create(const char *path, const ClusterKey *key, char **ret_why) {
        char line[KEY_FILE_BYTES_MAX];
        size_t n;
        int r;

        n = (size_t) snprintf(line, sizeof(line), KEY_TAG " %08x ", key->id);
        for (size_t i = 0; i < sizeof(key->bytes); i++)
                n += (size_t) snprintf(line + n, sizeof(line) - n, "%02x", key->bytes[i]);
        n += (size_t) snprintf(line + n, sizeof(line) - n, " %08x\n", check_of(key));

        r = write_file_atomic(path, line, n, 0600, WRITE_FILE_NEW);
        explicit_bzero(line, sizeof(line));

        if (r == -EEXIST)
                return refuse(ret_why,
                              r,
                              "%s exists already and is not overwritten; nodes with another key cannot "
                              "join. To start "
                              "with a new key, move it away on every node first",
                              path);
        if (r < 0)
                return refuse(ret_why, r, "cannot write %s: %s", path, strerrordesc_np(-r));
        return 0;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

/* Reads n bytes as hex digits and moves behind them. */
static bool read_hex(const char **p, uint8_t *ret, size_t n) {
        for (size_t i = 0; i < n; i++) {
                int high = hex_digit((*p)[0]), low = high < 0 ? -1 : hex_digit((*p)[1]);

                if (low < 0)
                        return false;
                ret[i] = (uint8_t) (high << 4 | low);
                *p += 2;
        }
        return true;
}

static uint32_t big_endian(const uint8_t *p) {
        return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static bool parse_line(const char *line, ClusterKey *ret) {
        _cleanup_(cluster_key_done) ClusterKey key = {};
        const char *p = startswith(line, KEY_TAG " ");
        uint8_t id[4], check[4];

        if (!p || !read_hex(&p, id, sizeof(id)) || *p++ != ' ')
                return false;
        if (!read_hex(&p, key.bytes, sizeof(key.bytes)) || *p++ != ' ')
                return false;
        if (!read_hex(&p, check, sizeof(check)) || (*p && !streq(p, "\n")))
                return false;

        key.id = big_endian(id);
        if (key.id == 0 || big_endian(check) != check_of(&key))
                return false;

        *ret = key;
        return true;
}

int cluster_key_load(const char *path, ClusterKey *ret, char **ret_why) {
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        size_t size = 0;
        bool ok;
        int r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 && errno == ENOENT)
                return refuse(ret_why,
                              -ENOENT,
                              "there is no cluster key at %s; make one with \"hactl init\" on one node and "
                              "copy it to the "
                              "others",
                              path);
        if (fd < 0 || fstat(fd, &st) < 0) {
                r = -errno;
                return refuse(ret_why,
                              r,
                              "cannot read %s: %s%s",
                              path,
                              strerrordesc_np(-r),
                              r == -EACCES ? "; only root may know the cluster key" : "");
        }

        if (!S_ISREG(st.st_mode))
                return refuse(ret_why, -EBADMSG, "%s is no regular file", path);
        if (st.st_uid != 0 && st.st_uid != geteuid())
                return refuse(ret_why,
                              -EPERM,
                              "%s belongs to user %u, who could read the key; run \"chown root:root %s\"",
                              path,
                              st.st_uid,
                              path);
        if ((st.st_mode & 0177) != 0)
                return refuse(ret_why,
                              -EPERM,
                              "%s has mode %04o, so others may know the key; run \"chmod 0600 %s\", and "
                              "make a new key if "
                              "somebody may have read it",
                              path,
                              st.st_mode & 07777,
                              path);

        r = read_whole_fd(fd, KEY_FILE_BYTES_MAX, &text, &size);
        if (r < 0 && r != -EFBIG)
                return refuse(ret_why, r, "cannot read %s: %s", path, strerrordesc_np(-r));

        ok = r >= 0 && strlen(text) == size && parse_line(text, ret);
        if (text)
                explicit_bzero(text, size);
        if (!ok)
                return refuse(ret_why,
                              -EBADMSG,
                              "%s holds no whole cluster key; copy it again from a node that works, byte by "
                              "byte",
                              path);
        return 0;
}
