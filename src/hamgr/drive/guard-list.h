/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What hamgr tells the generator: a list of units and mount points that are guarded, one a line. It stands
 * in /etc, since generators run before /var is mounted. No GLib, no libsystemd: the generator has to be
 * tiny.
 *
 *     # comment
 *     unit shop.service web watchdog=5000000 mount=/srv/shop after=db.service
 *     mount /srv/shop web
 *
 * First the kind, then the unit or the mount point, then the group, then for units any number of settings.
 * Bytes that are not plain stand as \xNN. */

#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"
#include "basic/parse.h"
#include "basic/str-buf.h"

#define GUARD_LIST_PATH "/etc/hamgr/guard.list"
#define GUARD_OWNED_FOLDER "/run/hamgr/owned"
#define GUARD_MANAGER_UNIT "hamgr.service"
/* What stands between hamgr and all that it manages: stopped after the one and before the others at
 * shutdown, and never in the way of a start. */
#define GUARD_MANAGED_UNIT "hamgr-managed.target"
/* Sorts behind the "override.conf" of systemctl edit: Restart= of it must not stand against ours. */
#define GUARD_DROP_IN "zz-hamgr-guard.conf"

#define GUARD_LIST_BYTES_MAX (4U * 1024U * 1024U)
#define GUARD_NAME_MAX 255U  /* of a unit */
#define GUARD_PATH_MAX 4096U /* of a mount point, with the final zero */
#define GUARD_WORDS_MAX 64U  /* mounts, and units it comes after, of one unit */

typedef enum GuardKind {
        GUARD_UNIT,
        GUARD_MOUNT,
} GuardKind;

typedef struct Guard {
        GuardKind kind;
        char *name; /* owned; unit, or mount point */
        char group[NAME_LENGTH_MAX + 1];

        uint64_t watchdog_usec;        /* 0: the unit's own */
        char *mounts[GUARD_WORDS_MAX]; /* owned */
        size_t n_mounts;
        char *after[GUARD_WORDS_MAX]; /* owned */
        size_t n_after;
} Guard;

void guard_done(Guard *g);

/* Adds the guard's line. */
void guard_write(const Guard *g, StrBuf *text);

/* Reads one line, without its end. 1: a guard; 0: empty or a comment; -EINVAL: not such a line; -ENOMEM. */
int guard_read(const char *line, Guard *ret);

/* Is it a unit name, as a file name: no slash, a suffix that systemd knows, not too long? */
bool guard_unit_name_is_valid(const char *name);

/* The .mount unit of a mount point: "/srv/my-shop" is "srv-my\x2dshop.mount". For free(); NULL when memory
 * ran out. */
char *guard_mount_unit(const char *where);

/* The unit that the guard is for, and the text of its drop-in. For free(). */
char *guard_unit_name(const Guard *g);
char *guard_drop_in(const Guard *g, const char *owned_folder);
