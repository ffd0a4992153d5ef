/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What /proc/self/mountinfo says, which is the truth about mounts (systemd's view of it may be late or
 * wrong). Pure but for mount_table_read(). */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "basic/macro.h"

#define MOUNT_TABLE_BYTES_MAX (4U * 1024U * 1024U)

typedef struct MountRow {
        unsigned id;
        dev_t device; /* of the superblock */
        char *root;   /* all texts: in MountTable.text, unescaped */
        char *where;
        char *options; /* of the mount */
        char *type;
        char *source;
        char *super_options; /* of the superblock */
} MountRow;

typedef struct MountTable {
        char *text;     /* owned */
        MountRow *rows; /* owned; a later row covers an earlier one at the same place */
        size_t n_rows;
} MountTable;

/* Takes the text over. -EBADMSG: not a mount table. */
int mount_table_parse(char *text, MountTable **ret);
/* pid 0: our own. */
int mount_table_read(pid_t pid, MountTable **ret);
MountTable *mount_table_free(MountTable *t);
DEFINE_TRIVIAL_CLEANUP(MountTable *, mount_table_free);

/* The topmost mount at exactly this place, or NULL. */
const MountRow *mount_table_at(const MountTable *t, const char *where);
/* The first place where this superblock is mounted, other than except (which may be NULL); or NULL. */
const MountRow *mount_table_of_device(const MountTable *t, dev_t device, const char *except);
/* The first mount somewhere below this place, or NULL. */
const MountRow *mount_table_below(const MountTable *t, const char *where);

/* "rw,noatime" has "noatime", and not "atime". */
bool mount_options_have(const char *options, const char *option);
