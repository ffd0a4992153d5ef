/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hamgr-generator: run by systemd at boot and at each daemon-reload, before any unit starts. Writes a
 * drop-in for each guarded unit, so that no unit that hamgr manages starts where its group is not owned,
 * whoever asks.
 *
 *     hamgr-generator NORMAL-DIR [EARLY-DIR LATE-DIR [GUARD-LIST]]
 *
 * It never fails: a line that cannot be read is told and passed over, the others still guard. */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "basic/macro.h"
#include "hamgr/drive/guard-list.h"

#define LINE_BYTES_MAX (64U * 1024U)

/* The journal may not be there yet. */
static void complain(const char *format, ...) _printf_(1, 2);
static void complain(const char *format, ...) {
        _cleanup_close_ int fd = -EBADF;
        char text[1024], line[1100];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);

        (void) snprintf(line, sizeof(line), "<4>hamgr-generator: %s", text);
        fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 || write(fd, line, strlen(line)) < 0)
                (void) fprintf(stderr, "hamgr-generator: %s\n", text);
}

static int write_drop_in(const char *folder, const Guard *g) {
        _cleanup_free_ char *unit = guard_unit_name(g), *text = guard_drop_in(g, GUARD_OWNED_FOLDER);
        _cleanup_close_ int base = -EBADF, dir = -EBADF, fd = -EBADF;
        char name[GUARD_PATH_MAX * 4 + 16];

        if (!unit || !text)
                return -ENOMEM;
        base = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (base < 0)
                return -errno;
        (void) snprintf(name, sizeof(name), "%s.d", unit);
        if (mkdirat(base, name, 0755) < 0 && errno != EEXIST)
                return -errno;
        dir = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return -errno;
        fd = openat(dir, GUARD_DROP_IN, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;
        for (size_t done = 0, n = strlen(text); done < n;) {
                ssize_t k = write(fd, text + done, n - done);

                if (k < 0 && errno != EINTR)
                        return -errno;
                if (k > 0)
                        done += (size_t) k;
        }
        return 0;
}

static void generate(FILE *list, const char *list_path, const char *folder) {
        static char line[LINE_BYTES_MAX];

        for (unsigned n = 1; fgets(line, sizeof(line), list); n++) {
                _cleanup_(guard_done) Guard g = {};
                size_t length = strlen(line);
                int r;

                if (length > 0 && line[length - 1] == '\n')
                        line[--length] = '\0';
                r = guard_read(line, &g);
                if (r > 0)
                        r = write_drop_in(folder, &g);
                if (r < 0)
                        complain("%s:%u: passed over, the unit named there is not guarded: %s",
                                 list_path,
                                 n,
                                 strerror(-r));
        }
}

int main(int argc, char *argv[]) {
        const char *list_path = argc > 4 ? argv[4] : GUARD_LIST_PATH;
        FILE *list;

        if (argc < 2) {
                complain("run by systemd with the folders to write to");
                return 0;
        }
        (void) umask(0022);

        list = fopen(list_path, "re");
        if (!list) {
                if (errno != ENOENT)
                        complain("cannot read %s, no unit is guarded: %s", list_path, strerror(errno));
                return 0;
        }
        generate(list, list_path, argv[1]);
        (void) fclose(list);
        return 0;
}
