/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files that make up the cluster's configuration, as an administrator edits them: every *.policy,
 * *.group and
 * *.group.d/ drop-in of a folder, and those policies of the vendor that the folder does not replace. */

#include <stddef.h>

#include "basic/macro.h"

#define CONFIG_FILES_FOLDER "/etc/hamgr"
#define CONFIG_FILES_VENDOR_FOLDER "/usr/lib/hamgr/policy"

/* A configuration file is written by hand: a larger one is a mistake. */
#define CONFIG_FILE_BYTES_MAX (256U * 1024U)

typedef struct ConfigFile {
        char *name; /* owned: "web.group", "web.group.d/10-local.conf", "n_by_1.policy" */
        char *text; /* owned: UTF-8 */
} ConfigFile;

typedef struct ConfigFiles {
        ConfigFile *files; /* owned, by name */
        size_t n_files;
} ConfigFiles;

/* vendor_folder may be NULL. A file that cannot be used: a negative errno, and *ret_why says which and why,
 * for free().
 */
int config_files_load(const char *folder, const char *vendor_folder, ConfigFiles *ret, char **ret_why);

void config_files_done(ConfigFiles *c);
