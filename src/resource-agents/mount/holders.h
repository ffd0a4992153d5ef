/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The processes that keep one superblock from being unmounted: by an open file, the working or root
 * directory, the program or a mapping. Never ourselves, process 1 or a kernel thread. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "basic/macro.h"

#define HOLDERS_MAX 4096U
#define HOLDER_NAME_MAX 16U

/* A superblock has two numbers where a file system gives each subvolume its own (btrfs); else they are the
 * same. */
typedef struct Superblock {
        dev_t device;      /* in mountinfo and in maps */
        dev_t file_device; /* st_dev of its files */
} Superblock;

typedef struct Holder {
        pid_t pid;
        char name[HOLDER_NAME_MAX + 1];
        const char *how; /* "open file", ... */
} Holder;

typedef struct Holders {
        Holder *entries; /* owned */
        size_t n_entries;
} Holders;

/* except: a process of our own, 0: none. */
int holders_find(const Superblock *superblock, pid_t except, Holders *ret);
void holders_done(Holders *h);

/* Sends the signal to those that still hold it when their process is pinned. Returns to how many. */
int holders_signal(const Holders *h, const Superblock *superblock, int signal);

/* "postgres (4711, open file), bash (812, working directory) and 3 more" */
char *holders_format(const Holders *h, char *buf, size_t size_bytes);

/* The first process, other than ours, whose mount namespace has the superblock mounted; 0: none. */
pid_t holders_find_namespace(dev_t device, char name[static HOLDER_NAME_MAX + 1]);
