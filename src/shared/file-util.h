/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files: read whole within a bound, written so that after a power cut there is the old or the new content.
 * These block; daemons call them at start, and hagcd never while it serves. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "basic/macro.h"

/* Reads a regular file of at most max_bytes; a zero is put behind it that *ret_size_bytes does not count.
 * For free(). -EFBIG when it is larger, -EISDIR or -EINVAL when it is no regular file. */
int read_whole_file(const char *path, size_t max_bytes, char **ret, size_t *ret_size_bytes);

/* The same at an open descriptor, from its position on. */
int read_whole_fd(int fd, size_t max_bytes, char **ret, size_t *ret_size_bytes);

typedef enum WriteFileFlags {
        WRITE_FILE_NEW = 1 << 0,     /* -EEXIST when it is there already */
        WRITE_FILE_NO_SYNC = 1 << 1, /* for /run, where nothing survives a power cut anyhow */
} WriteFileFlags;

/* Writes beside the path, syncs, renames over it, syncs the folder. */
int write_file_atomic(const char *path, const void *data, size_t size_bytes, mode_t mode, unsigned flags);

/* Writes all bytes; goes on after EINTR and short writes. */
int write_all(int fd, const void *data, size_t size_bytes);

/* Syncs the folder that holds the path. */
int sync_parent_folder(const char *path);

/* Makes the folder and those above it that are missing. 0 also when it is there. */
int make_folders(const char *path, mode_t mode);

/* Removes the file and syncs the folder. 0 also when it is gone already. */
int remove_file(const char *path);

/* Names in a folder that end in suffix (NULL: all), without "." and hidden ones, sorted by bytes;
 * NULL-terminated, each and the array for free() by names_free(). A folder that is not there has none. */
int list_folder(const char *path, const char *suffix, char ***ret, size_t *ret_n);
char **names_free(char **names);
DEFINE_TRIVIAL_CLEANUP(char **, names_free);
