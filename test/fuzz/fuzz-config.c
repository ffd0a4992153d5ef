/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Group and policy files, as an administrator applies them and as they travel: an input is several files, or
 * their serial form. */

#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "hamgr/state/config.h"

#define FILES_MAX 6U

static const HaNodes nodes = {
        .nodes = { { .id = 1, .name = "n1", .enabled = true, .has_fence_device = true },
                   { .id = 2, .name = "n2", .enabled = true },
                   { .id = 4, .name = "n4.example.org", .enabled = false } },
        .n_nodes = 3,
};

static const char *const names[FILES_MAX] = {
        "web.group", "mine.policy", "web.group.d/10-late.conf", "db.group", "n_by_1.policy", "odd",
};

static void take_files(const HaFile *files, size_t n_files) {
        _cleanup_(ha_config_freep) HaConfig *c = NULL, *none = ha_config_new_empty();
        g_autoptr(GBytes) bytes = ha_files_serialize(files, n_files);
        g_autoptr(GPtrArray) changes = NULL, missing = NULL;
        ConfErrors errors = { 0 };
        int r = ha_config_parse(&nodes, files, n_files, &c, &errors);

        assert((r < 0) == (errors.n_items > 0));
        free(conf_errors_to_text(&errors));
        conf_errors_done(&errors);
        assert(bytes);
        if (r < 0)
                return;
        changes = ha_config_changes(none, c);
        missing = ha_config_missing(c, none);
        assert(changes && missing);
}

static void take_serial(const uint8_t *data, size_t size) {
        HaFile *files = NULL;
        size_t n_files = 0;

        if (ha_files_deserialize(data, size, &files, &n_files) < 0)
                return;
        {
                g_autoptr(GBytes) again = ha_files_serialize(files, n_files);

                assert(g_bytes_get_size(again) == size);
                assert(memcmp(g_bytes_get_data(again, NULL), data, size) == 0);
        }
        take_files(files, n_files);
        (void) ha_files_hash(files, n_files);
        ha_files_free(files, n_files);
}

/* Texts, each after a zero. */
static void take_texts(const uint8_t *data, size_t size) {
        g_autofree char *text = g_strndup((const char *) data, size);
        HaFile files[FILES_MAX];
        size_t n_files = 0;

        for (size_t at = 0; at < size && n_files < FILES_MAX; n_files++) {
                g_autofree char *bytes = g_malloc(size - at + 1);
                size_t n = strnlen((const char *) data + at, size - at);

                memcpy(bytes, data + at, n);
                bytes[n] = '\0';
                files[n_files] =
                                (HaFile){ .name = (char *) names[n_files], .text = g_steal_pointer(&bytes) };
                at += n + 1;
        }
        take_files(files, n_files);
        for (size_t i = 0; i < n_files; i++)
                g_free(files[i].text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size == 0)
                return 0;
        if (data[0] == '#')
                take_serial(data + 1, size - 1);
        else
                take_texts(data, size);
        return 0;
}

#define WEB                                                                                                 \
        "[Group]\nDescription=The shop\nPolicy=mine\nDomain=n2 n1\nStandby=n4.example.org\n"                \
        "[Mount data]\nWhat=/dev/disk/by-label/shop\nWhere=/srv/shop\nType=xfs\nOptions=nouuid\nFsck=yes\n" \
        "[Address vip]\nAddress=192.0.2.10/24\nInterface=eth0\n"                                            \
        "[Address vip6]\nAddress=2001:DB8:0::10/64\nInterface=eth0\n"                                       \
        "[Unit app]\nUnit=shop.service\nWatchdogSec=5\nStartSec=10s\n"
#define MINE                                                                                                \
        "[Policy]\nDescription=Ours\nPlacement=ordered\nFailback=controlled\nRestarts=5\n"                  \
        "RestartWindowSec=2min\nStandbyLoad=0\nOnStopFailure=block\n"
#define LATE "[Unit app]\nStopSec=5s\n"

void fuzz_seeds(FuzzSeeds *s) {
        static const char all[] = WEB "\0" MINE "\0" LATE;
        static const HaFile files[] = {
                { (char *) "mine.policy", (char *) MINE },
                { (char *) "web.group", (char *) WEB },
                { (char *) "web.group.d/10-late.conf", (char *) LATE },
        };
        g_autoptr(GBytes) bytes = ha_files_serialize(files, ELEMENTSOF(files));
        g_autofree uint8_t *serial = g_malloc(g_bytes_get_size(bytes) + 1);

        serial[0] = '#';
        memcpy(serial + 1, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
        fuzz_seed(s, all, sizeof(all));
        fuzz_seed(s, WEB, sizeof(WEB));
        fuzz_seed(s, serial, g_bytes_get_size(bytes) + 1);
}
