/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The secrets of a fence device: lines of key=value in ParameterFile=, or in a credential that systemd gave
 * hamgr.service (Credential=). Never in arguments, cluster.conf or the journal. */

#include "shared/cluster-conf.h"

#define FENCE_SECRET_BYTES_MAX (16U * 1024U)

/* What is wrong, for g_free(), without a word of what is in it; or NULL and the lines, NULL-terminated. No
 * secret configured: NULL and no lines. */
char *fence_secret_read(const ClusterFence *conf, char ***ret);
/* Wipes. Returns NULL. */
char **fence_secret_free(char **secret);

/* Where a value of a secret stands in what somebody said, asterisks stand then. Names are none, nor are
 * values of less than four letters: they would be found everywhere. */
void fence_secret_hide(const char *const *secret, char *text);

/* The value of a key, NULL when it is not there. */
const char *fence_secret_value(const char *const *secret, const char *key);

/* "password.n1", or "password" for all nodes: what is said of a node. */
const char *fence_secret_value_for(const char *const *secret, const char *key, const char *node);

/* For the management controllers of conf: username and password for each node, nothing else. As above. */
char *fence_secret_check_redfish(const ClusterFence *conf, const char *const *secret);
