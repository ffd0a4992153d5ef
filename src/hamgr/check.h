/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* hamgr --check: judge all files of this server without starting anything. */

#include "basic/conf-parser.h"
#include "hamgr/state/config.h"
#include "shared/cluster-conf.h"

/* Returns an exit status; errors and warnings go to stderr, a line each. */
int check_run(const char *folder, const char *node_option);

void check_print_errors(const ConfErrors *errors);

/* cluster.conf as the cores want it. */
void nodes_from_conf(const ClusterConf *conf, HaNodes *ret);
