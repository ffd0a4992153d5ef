/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hactl cat: the files that are in force, as hamgr holds them; shown, or written back into the folder that
 * "hactl apply" reads. */

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "basic/macro.h"
#include "hactl/hactl.h"
#include "shared/config-files.h"
#include "shared/file-util.h"

/* "web" and "web.group" are web.group and its drop-ins. */
static bool belongs_to(const char *file, const char *object) {
        const char *rest = startswith(file, object);

        return rest && (rest[0] == '\0' || rest[0] == '.');
}

static bool has_text(const char *path, const char *text) {
        _cleanup_free_ char *there = NULL;
        size_t size;

        return read_whole_file(path, CONFIG_FILE_BYTES_MAX, &there, &size) >= 0 && streq(there, text);
}

/* Nobody's edits are lost unasked, and what the packages bring is left to them. */
static int write_file(const Hactl *h, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(CONFIG_FILES_FOLDER, name, NULL);
        g_autofree char *vendor = g_build_filename(CONFIG_FILES_VENDOR_FOLDER, name, NULL);
        g_autofree char *folder = g_path_get_dirname(path);
        int r;

        if (has_text(path, text) || (!g_file_test(path, G_FILE_TEST_EXISTS) && has_text(vendor, text)))
                return HACTL_OK;
        r = make_folders(folder, 0755);
        if (r >= 0)
                r = write_file_atomic(path, text, strlen(text), 0644, h->yes ? 0 : WRITE_FILE_NEW);
        if (r == -EEXIST) {
                hactl_error("%s is there and differs from what is in force; it is left as it is (--yes: "
                            "write "
                            "over it)",
                            path);
                return HACTL_FAILED;
        }
        if (r < 0) {
                hactl_error("%s cannot be written: %s", path, strerror(-r));
                return HACTL_FAILED;
        }
        if (!h->json)
                printf("%s written\n", path);
        return HACTL_OK;
}

static void print_file(const char *name, const char *text, bool first) {
        size_t n = strlen(text);

        printf("%s# %s\n%s%s", first ? "" : "\n", name, text, n > 0 && text[n - 1] != '\n' ? "\n" : "");
}

int verb_cat(Hactl *h, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *shown = json_object();
        const char *name, *text;
        int r, result = HACTL_OK;

        if (argc > 1) {
                hactl_error("usage: hactl cat [GROUP|POLICY] [--write]");
                return HACTL_USAGE;
        }
        result = hactl_call(h, "GetConfiguration", &reply, "");
        if (result != HACTL_OK)
                return result;
        r = sd_bus_message_skip(reply, "t");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(ss)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(ss)", &name, &text)) > 0) {
                if (argc == 1 && !belongs_to(name, argv[0]))
                        continue;
                if (h->write)
                        result = MAX(result, write_file(h, name, text));
                else if (!h->json)
                        print_file(name, text, json_object_size(shown) == 0);
                json_object_set_new(shown, name, json_string(text));
        }
        if (r < 0) {
                hactl_error("hamgr's answer is not understood: %s", strerror(-r));
                return HACTL_FAILED;
        }
        if (argc == 1 && json_object_size(shown) == 0) {
                hactl_error("no group and no policy \"%s\" is in force; \"hactl cat\" shows all", argv[0]);
                return HACTL_FAILED;
        }
        if (h->json && !h->write) {
                hactl_print_json(shown);
        }
        return result;
}
