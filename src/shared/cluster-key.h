/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The cluster key: 32 secret bytes and the id that names them, in a file of one line that only root may
 * read:
 *
 *     hamgr-key-1 <key id, 8 hex digits> <key, 64 hex digits> <check, 8 hex digits>
 *
 * Whoever holds it can be any node. */

#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"

#define CLUSTER_KEY_PATH "/etc/hamgr/cluster.key"
#define CLUSTER_KEY_BYTES 32U

typedef struct ClusterKey {
        uint32_t id; /* never 0 */
        uint8_t bytes[CLUSTER_KEY_BYTES];
} ClusterKey;

/* Draws a new key from the kernel. */
int cluster_key_generate(ClusterKey *ret);

/* Writes it to a new file, 0600 and synced. -EEXIST when the file is there already: a key is never
 * overwritten. *ret_why gets a sentence that says what is wrong and what to do, for free(); may be NULL. */
int cluster_key_create(const char *path, const ClusterKey *key, char **ret_why);

/* Reads it. Refused with a sentence: no file (-ENOENT), a file of somebody else or readable by others
 * (-EPERM), no key in it (-EBADMSG). The owner has to be root, or the user that runs the program. */
int cluster_key_load(const char *path, ClusterKey *ret, char **ret_why);

/* Overwrites the bytes, in a way that the compiler keeps. */
void cluster_key_done(ClusterKey *key);
