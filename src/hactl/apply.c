/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl apply: hand the whole directory to the cluster; it is in force on all nodes, or on none. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "basic/macro.h"
#include "hactl/hactl.h"
#include "shared/config-files.h"

static int append_files(sd_bus_message *m, const ConfigFiles *files) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(ss)");
        for (size_t i = 0; r >= 0 && i < files->n_files; i++)
                r = sd_bus_message_append(m, "(ss)", files->files[i].name, files->files[i].text);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int verb_apply(Hactl *h, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(config_files_done) ConfigFiles files = {};
        _cleanup_free_ char *why = NULL;
        const char *warning;
        uint64_t version;
        int r;

        if (argc > 1) {
                hactl_error("usage: hactl apply [DIR]");
                return HACTL_USAGE;
        }
        r = config_files_load(
                        argc > 0 ? argv[0] : CONFIG_FILES_FOLDER, CONFIG_FILES_VENDOR_FOLDER, &files, &why);
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
        if (r < 0) {
                hactl_error("cannot make the message: %s", strerror(-r));
                return HACTL_FAILED;
        }
        r = hactl_send(h, call, &reply);
        if (r != HACTL_OK)
                return r;
        r = sd_bus_message_read(reply, "t", &version);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "s");
        if (r < 0) {
                hactl_error("hamgr's answer is not understood: %s", strerror(-r));
                return HACTL_FAILED;
        }
        while (sd_bus_message_read(reply, "s", &warning) > 0)
                fprintf(stderr, "Warning: %s\n", warning);
        if (h->json)
                printf("{\"configuration_version\": %" PRIu64 "}\n", version);
        else
                printf("Configuration %" PRIu64 " is in force on the whole cluster.\n", version);
        return HACTL_OK;
}
