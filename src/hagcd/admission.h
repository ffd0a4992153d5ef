/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who may connect to hagcd: so many processes in all, and so many of one user, so that one that opens
 * connection after connection takes them from nobody else. Root is not counted apart, and has some that
 * nobody else gets: hamgr must come in. */

#include "hagcd/clients.h"

typedef struct ClientLimits {
        uint32_t all;
        uint32_t per_user; /* of each but root */
} ClientLimits;

#define CLIENTS_MAX 256U         /* in all, by default, */
#define CLIENTS_PER_USER_MAX 32U /* and of a user */
#define CLIENTS_FOR_ROOT 32U     /* of all */
/* What may be asked for instead: each of them takes descriptors, and gcs has room for so many members. */
#define CLIENTS_LEAST 64U
#define CLIENTS_MOST 400U

/* A socket that root and the group of its folder may connect to; the unit gives the folder to the group
 * hagcs. Or a negative errno. */
int admission_listen(const char *path);

/* Before it serves. */
void clients_set_limits(Clients *c, const ClientLimits *limits);

/* Takes over the descriptor of somebody who connects. True: it may, and the descriptor is still there.
 * False: it was told why not, and closed. */
bool admission_judge(Clients *c, int fd);
