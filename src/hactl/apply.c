/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl apply: hand the whole directory, or cluster.conf, to the cluster; it is in force on all nodes, or on
 * none. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "basic/conf-parser.h"
#include "basic/macro.h"
#include "hactl/hactl.h"
#include "shared/config-files.h"
#include "shared/file-util.h"

static int append_files(sd_bus_message *m, const ConfigFiles *files) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(ss)");
        for (size_t i = 0; r >= 0 && i < files->n_files; i++)
                r = sd_bus_message_append(m, "(ss)", files->files[i].name, files->files[i].text);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* One line each: what changed. */
static json_t *read_changes(sd_bus_message *reply) {
        json_t *changes = json_array();
        const char *change;

        while (sd_bus_message_read(reply, "s", &change) > 0)
                json_array_append_new(changes, json_string(change));
        return changes;
}

static void print_changes(uint64_t version, const json_t *changes) {
        size_t i;
        json_t *change;

        json_array_foreach(changes, i, change) puts(json_string_value(change));
        if (json_array_size(changes) > 0)
                printf("Configuration %" PRIu64 " is in force on the whole cluster.\n", version);
        else
                printf("Configuration %" PRIu64 " is in force on the whole cluster already.\n", version);
}

/* ---- cluster.conf ---- */

static void print_cluster_changes(const json_t *changes) {
        size_t i;
        json_t *change;

        json_array_foreach(changes, i, change) puts(json_string_value(change));
        printf("cluster.conf is in force on the whole cluster%s.\n",
               json_array_size(changes) > 0 ? "" : " already");
}

static int apply_cluster(Hactl *h, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *text = NULL;
        json_auto_t *changes = NULL, *answer = NULL;
        size_t size;
        int r;

        r = read_whole_file(path, CONF_FILE_BYTES_MAX, &text, &size);
        if (r < 0 || strlen(text) != size) {
                hactl_error("cannot read %s: %s", path, r < 0 ? strerror(-r) : "there is a zero byte in it");
                return HACTL_FAILED;
        }
        r = hactl_call(h, "ApplyCluster", &reply, "ss", path, text);
        if (r != HACTL_OK)
                return r;
        if (sd_bus_message_enter_container(reply, 'a', "s") < 0) {
                hactl_error("hamgr's answer is not understood");
                return HACTL_FAILED;
        }
        changes = read_changes(reply);
        if (!h->json) {
                print_cluster_changes(changes);
                return HACTL_OK;
        }
        answer = json_pack("{s:O}", "changes", changes);
        json_dumpf(answer, stdout, JSON_SORT_KEYS);
        putchar('\n');
        return HACTL_OK;
}

/* ---- Policies and groups ---- */

static bool is_file(const char *path) {
        struct stat st;

        return stat(path, &st) >= 0 && S_ISREG(st.st_mode);
}

/* Of the rest there is always a whole directory: a single one could be meant to be added, or to be all. */
static bool is_of_a_folder(const char *path) {
        return endswith(path, ".group") || endswith(path, ".policy");
}

int verb_apply(Hactl *h, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(config_files_done) ConfigFiles files = {};
        const char *folder = argc > 0 ? argv[0] : CONFIG_FILES_FOLDER;
        _cleanup_free_ char *why = NULL;
        json_auto_t *changes = NULL, *answer = NULL;
        uint64_t version;
        int r;

        if (argc > 1 || (is_file(folder) && (h->remove || is_of_a_folder(folder)))) {
                hactl_error("usage: hactl apply [DIR] [--remove], or: hactl apply FILE, a cluster.conf");
                return HACTL_USAGE;
        }
        if (is_file(folder))
                return apply_cluster(h, folder);
        r = config_files_load(folder, CONFIG_FILES_VENDOR_FOLDER, &files, &why);
        if (r < 0) {
                hactl_error("%s", why ?: strerror(-r));
                return HACTL_FAILED;
        }
        if (!hactl_bus(h))
                return HACTL_UNREACHABLE;
        r = sd_bus_message_new_method_call(
                        h->bus, &call, "org.hamgr1", "/org/hamgr1", "org.hamgr1.Manager", "Apply");
        if (r >= 0)
                r = append_files(call, &files);
        if (r >= 0)
                r = sd_bus_message_append(call, "b", (int) h->remove);
        if (r < 0) {
                hactl_error("cannot make the message: %s", strerror(-r));
                return HACTL_FAILED;
        }
        r = hactl_send(h, call, &reply);
        if (r == HACTL_FAILED && h->error && streq(h->error, "org.hamgr1.Error.WouldRemove"))
                hactl_error("nothing was changed: put the missing files into %s (\"hactl cat\" shows them, "
                            "\"hactl cat --write\" writes them to " CONFIG_FILES_FOLDER
                            "), or remove them from the cluster with --remove",
                            folder);
        if (r != HACTL_OK)
                return r;
        r = sd_bus_message_read(reply, "t", &version);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "s");
        if (r < 0) {
                hactl_error("hamgr's answer is not understood: %s", strerror(-r));
                return HACTL_FAILED;
        }
        changes = read_changes(reply);
        if (!h->json) {
                print_changes(version, changes);
                return HACTL_OK;
        }
        answer = json_pack("{s:I, s:O}", "configuration_version", (json_int_t) version, "changes", changes);
        json_dumpf(answer, stdout, JSON_SORT_KEYS);
        putchar('\n');
        return HACTL_OK;
}
