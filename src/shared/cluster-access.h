/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* [Access PATTERN] of cluster.conf: which users and groups of this node's system may join which groups of
 * the cluster, and be critical there. Of the sections that match a group exactly one counts: the one of its
 * very name, else the one whose pattern has most characters beside "*" and "?", else the one that stands
 * first.
 *
 * It is no part of the hash by which memberships agree (R7): nobody's vote depends on it, and whom a node
 * lets in is that node's own affair. hamgr brings it to all nodes with the rest of the file. */

#include "shared/cluster-conf.h"

typedef struct StrBuf StrBuf;

/* For cluster-conf.c. 0 or -ENOMEM; what is wrong is in errors. */
int cluster_access_load(const ConfFile *f, ClusterConf *c, ConfErrors *errors);
void cluster_access_done(ClusterConf *c);
void cluster_access_write(StrBuf *b, const ClusterConf *c);
uint64_t cluster_access_hash(const ClusterConf *c);

/* The section that counts for the group, or NULL. */
const ClusterAccess *cluster_access_find(const ClusterConf *c, const char *group);

/* Looks the names up in the two files, and nowhere else: a directory service that does not answer must not
 * hold hagcd up, nor make a node another than it was. NULL: /etc/passwd and /etc/group. Blocks. A file that
 * cannot be read has no names. */
void cluster_access_resolve(ClusterConf *c, const char *passwd_path, const char *group_path);

/* The same knowledge as comments that may be put behind the text of the file, by one process for another.
 * NULL when memory ran out; for free(). */
char *cluster_access_accounts_to_text(const ClusterConf *c);
void cluster_access_accounts_from_text(ClusterConf *c, const char *text);

/* Names that were not found here, one after the other: begin with *i = 0. NULL: no more. */
const ClusterPrincipal *
cluster_access_next_unknown(const ClusterConf *c, size_t *i, const ClusterAccess **ret_section);
