/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The reply to TestFencing. */

#include "hamgr/api/fence-test.h"
#include "hamgr/api/dict.h"

static void put_test(Dict *d, const void *what) {
        const ApiFenceTest *t = what;

        dict_open(d);
        dict_open_list(d, "Devices");
        FOREACH_ARRAY(i, t->devices, t->n_devices) {
                dict_open(d);
                dict_put_text(d, "Device", i->device);
                dict_put_u32(d, "Level", i->level);
                dict_put_text(d, "State", i->state);
                dict_put_text(d, "Error", i->error);
                dict_put_u64(d, "TookUsec", i->taken_usec);
                dict_close(d);
        }
        dict_close_list(d);
        dict_close(d);
}

void api_call_fence_test(ApiCall *call, const ApiFenceTest *test) {
        dict_reply(call, put_test, test);
}
