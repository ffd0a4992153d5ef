/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* /proc/self/mountinfo: the kernel writes it, but names in it are anybody's. */

#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "resource-agents/mount/mount-table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(mount_table_freep) MountTable *t = NULL;
        char *text = strndup((const char *) data, size);

        assert(text);
        if (mount_table_parse(text, &t) < 0)
                return 0;
        FOREACH_ARRAY(row, t->rows, t->n_rows) {
                const MountRow *top = mount_table_at(t, row->where);

                assert(top && streq(top->where, row->where));
                (void) mount_table_of_device(t, row->device, row->where);
                (void) mount_table_below(t, row->where);
                (void) mount_options_have(row->options, "rw");
                (void) mount_options_have(row->super_options, "ro");
        }
        return 0;
}

void fuzz_seeds(FuzzSeeds *s) {
        static const char text[] =
                        "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
                        "40 21 7:0 / /srv/my\\040shop rw shared:2 master:1 - xfs /dev/loop0 rw\n"
                        "41 40 0:50 / /srv/my\\040shop/sub rw - tmpfs none rw\n";

        fuzz_seed(s, text, strlen(text));
        fuzz_seed(s, "", 0);
}
