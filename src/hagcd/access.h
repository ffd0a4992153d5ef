/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who may join which group, and be critical in it: the user and groups of a process against the [Access]
 * sections of cluster.conf (shared/cluster-access.h says which of them counts). A critical member's end
 * resets the node, so nobody but root may be one whom no section names. */

#include <sys/types.h>

#include "libhagcs/proto.h"
#include "shared/cluster-conf.h"

/* The process at the other end of a socket, as it was when it connected. */
typedef struct AccessPeer {
        uint32_t uid, gid;
        gid_t *groups; /* owned: the supplementary ones */
        size_t n_groups;
} AccessPeer;

/* 0, or a negative errno. When memory is short the supplementary groups are missing, and so nothing is
 * granted by them. */
int access_peer_read(int fd, AccessPeer *ret);
void access_peer_done(AccessPeer *p);

/* 0: it may. -EACCES: not join; -EPERM: not be critical, or in a group that is root's. Then ret_why says who
 * wanted what, and which section is against it. conf may be NULL: no sections. */
int access_check(
                const ClusterConf *conf,
                const AccessPeer *peer,
                const char *group,
                bool critical,
                char ret_why[static PROTO_TEXT_MAX]);

/* Names in the file that this node does not have: they match nobody, and the journal says so. */
void access_warn_unknown(const ClusterConf *conf);
