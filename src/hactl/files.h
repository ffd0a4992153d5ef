/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The configuration files an administrator edits: which there are, and their texts. */

#include <jansson.h>
#include <systemd/sd-bus.h>

#define VENDOR_POLICY_DIR "/usr/lib/hamgr/policy"

/* Read every *.group, drop-in and *.policy of dir, and those vendor policies that dir does not replace, as a
 * JSON object from file name to text. Tells what is wrong; an exit status. */
int config_files_read(const char *dir, json_t **ret);

/* Append it as a(ss). */
int config_files_append(json_t *files, sd_bus_message *m);
