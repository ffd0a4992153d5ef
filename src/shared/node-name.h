/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which node am I? In this order: what the command line said, the first line of /etc/hamgr/node-name, the
 * host name, the host name up to its first dot. */

#include "shared/cluster-conf.h"

#define NODE_NAME_PATH "/etc/hamgr/node-name"

/* Finds this node in the configuration. option is --node= or NULL; path is NODE_NAME_PATH except in tests.
 * When none fits: -ENOENT, and *ret_why says what was looked for, what there is, and what to do; for free().
 */
int node_name_resolve(
                const ClusterConf *conf,
                const char *option,
                const char *path,
                const char *host_name,
                const ClusterNode **ret_node,
                char **ret_why);

/* The same with NODE_NAME_PATH and the host name of this machine. */
int node_name_resolve_here(
                const ClusterConf *conf, const char *option, const ClusterNode **ret_node, char **ret_why);
