/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The last gasp: hagcd writes beforehand what is to be sent should it die, one line a datagram:
 *
 *     <own address> <peer's address> <peer's port> <hex bytes>
 *
 * The keeper sends it, which resets the node in the next moment, or else hagcd-last-gasp. It raises
 * suspicion of exactly this incarnation, and proves nothing. */

#include "hagcd/packet.h"
#include "shared/cluster-conf.h"
#include "shared/cluster-key.h"

#define GASP_PATH "/run/hagcd/last-gasp"
#define GASP_BYTES (PACKET_HEADER_BYTES + GASP_SECRET_BYTES)
#define GASP_FILE_MAX (256U * 1024U)
#define GASP_DATAGRAMS_MAX (NODE_ID_MAX * CLUSTER_LINKS_MAX)

typedef struct GaspDatagram {
        ClusterAddress own, to;
        unsigned socket; /* index */
        uint8_t data[GASP_BYTES];
} GaspDatagram;

/* Ready to be sent: nothing is allocated or opened any more. */
typedef struct GaspTable {
        GaspDatagram datagrams[GASP_DATAGRAMS_MAX];
        size_t n_datagrams;
        ClusterAddress addresses[CLUSTER_LINKS_MAX]; /* own ones, */
        int fds[CLUSTER_LINKS_MAX];                  /* owned: and their sockets */
        size_t n_fds;
} GaspTable;

int gasp_write(const char *path,
               const ClusterConf *conf,
               const ClusterNode *self,
               const ClusterKey *key,
               const uint8_t secret[static GASP_SECRET_BYTES]);

/* Takes what gasp_write() wrote; lines that make no sense, or whose address is gone, are left out. Closes
 * what was there before: start with {}. */
void gasp_table_load(GaspTable *t, const char *text);
void gasp_table_done(GaspTable *t);

/* Waits for nothing. Returns how many went out. */
int gasp_table_send(const GaspTable *t);

/* All of the file, at once. Returns how many went out, or the errno of reading. */
int gasp_send(const char *path);
