/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "shared/file-util.h"

#define READ_BYTES_FIRST 4096U

int read_whole_fd(int fd, size_t max_bytes, char **ret, size_t *ret_size_bytes) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0, allocated = 0;

        assert(max_bytes < SIZE_MAX / 4);

        for (;;) {
                ssize_t n;

                /* Room for one byte more than allowed, to see that there is one, and for the zero. */
                if (allocated - size < 2) {
                        char *p;

                        allocated = MIN(MAX(allocated * 2, (size_t) READ_BYTES_FIRST), max_bytes + 2);
                        p = realloc(text, allocated);
                        if (!p)
                                return -ENOMEM;
                        text = p;
                }

                n = read(fd, text + size, allocated - size - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;

                size += (size_t) n;
                if (size > max_bytes)
                        return -EFBIG;
        }

        text[size] = '\0';
        *ret = TAKE_PTR(text);
        if (ret_size_bytes)
                *ret_size_bytes = size;
        return 0;
}

int read_whole_file(const char *path, size_t max_bytes, char **ret, size_t *ret_size_bytes) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        /* O_NONBLOCK: a FIFO in place of the file must not hold us up. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;

        return read_whole_fd(fd, max_bytes, ret, ret_size_bytes);
}

int write_all(int fd, const void *data, size_t size_bytes) {
        const char *p = data;

        while (size_bytes > 0) {
                ssize_t n = write(fd, p, size_bytes);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EIO;
                p += n;
                size_bytes -= (size_t) n;
        }
        return 0;
}

/* The folder of a path, for free(): "/a" of "/a/b", "." of "b". */
static char *parent_folder(const char *path) {
        const char *slash = strrchr(path, '/');

        if (!slash)
                return strdup(".");
        return strndup(path, slash == path ? 1 : (size_t) (slash - path));
}

int sync_parent_folder(const char *path) {
        _cleanup_free_ char *folder = parent_folder(path);
        _cleanup_close_ int fd = -EBADF;

        if (!folder)
                return -ENOMEM;

        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return -errno;
        return 0;
}

/* Writes, and syncs unless told not to, an open file that nobody else knows yet. */
static int fill_file(int fd, const void *data, size_t size_bytes, mode_t mode, unsigned flags) {
        int r;

        if (fchmod(fd, mode) < 0)
                return -errno;

        r = write_all(fd, data, size_bytes);
        if (r < 0)
                return r;

        if (!(flags & WRITE_FILE_NO_SYNC) && fsync(fd) < 0)
                return -errno;
        return 0;
}

int write_file_atomic(const char *path, const void *data, size_t size_bytes, mode_t mode, unsigned flags) {
        _cleanup_free_ char *folder = parent_folder(path), *temporary = NULL;
        const char *slash = strrchr(path, '/');
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (!folder)
                return -ENOMEM;
        if (asprintf(&temporary, "%s/.%s.XXXXXX", folder, slash ? slash + 1 : path) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }

        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return -errno;

        r = fill_file(fd, data, size_bytes, mode, flags);
        if (r >= 0 &&
            renameat2(AT_FDCWD, temporary, AT_FDCWD, path, flags & WRITE_FILE_NEW ? RENAME_NOREPLACE : 0) <
                            0)
                r = -errno;
        if (r < 0) {
                (void) unlink(temporary);
                return r;
        }

        return flags & WRITE_FILE_NO_SYNC ? 0 : sync_parent_folder(path);
}

int make_folders(const char *path, mode_t mode) {
        _cleanup_free_ char *p = strdup(path);
        struct stat st;

        if (!p)
                return -ENOMEM;

        for (char *slash = strchr(p + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                if (mkdir(p, mode) < 0 && errno != EEXIST)
                        return -errno;
                *slash = '/';
        }

        if (mkdir(p, mode) < 0 && errno != EEXIST)
                return -errno;
        if (stat(p, &st) < 0)
                return -errno;
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int remove_file(const char *path) {
        if (unlink(path) < 0)
                return errno == ENOENT ? 0 : -errno;

        return sync_parent_folder(path);
}

/* ---- Folders ---- */

char **names_free(char **names) {
        if (names)
                for (char **n = names; *n; n++)
                        free(*n);
        free(names);
        return NULL;
}

static void close_folder(DIR **d) {
        if (*d)
                (void) closedir(*d);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

int list_folder(const char *path, const char *suffix, char ***ret, size_t *ret_n) {
        _cleanup_(names_freep) char **names = calloc(1, sizeof(char *));
        _cleanup_(close_folder) DIR *d = NULL;
        size_t n = 0;

        if (!names)
                return -ENOMEM;

        d = opendir(path);
        if (!d && errno != ENOENT)
                return -errno;

        while (d) {
                struct dirent *e;
                char **grown;

                errno = 0;
                e = readdir(d);
                if (!e && errno != 0)
                        return -errno;
                if (!e)
                        break;
                if (e->d_name[0] == '.' || (suffix && !endswith(e->d_name, suffix)))
                        continue;

                grown = reallocarray(names, n + 2, sizeof(char *));
                if (!grown)
                        return -ENOMEM;
                names = grown;
                names[n + 1] = NULL;
                names[n] = strdup(e->d_name);
                if (!names[n])
                        return -ENOMEM;
                n++;
        }

        qsort(names, n, sizeof(char *), compare_names);
        *ret = TAKE_PTR(names);
        if (ret_n)
                *ret_n = n;
        return 0;
}
