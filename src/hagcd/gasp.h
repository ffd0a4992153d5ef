/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The last gasp: hagcd writes beforehand what hagcd-last-gasp is to send should it die, one line a datagram:
 *
 *     <own address> <peer's address> <peer's port> <hex bytes>
 *
 * It raises suspicion of exactly this incarnation, and proves nothing. */

#include "hagcd/packet.h"
#include "shared/cluster-conf.h"
#include "shared/cluster-key.h"

#define GASP_PATH "/run/hagcd/last-gasp"
#define GASP_BYTES (PACKET_HEADER_BYTES + GASP_SECRET_BYTES)

int gasp_write(const char *path,
               const ClusterConf *conf,
               const ClusterNode *self,
               const ClusterKey *key,
               const uint8_t secret[static GASP_SECRET_BYTES]);

/* Sends all of the file once; does not wait for anything. Returns how many left, or the errno of reading. */
int gasp_send(const char *path);
