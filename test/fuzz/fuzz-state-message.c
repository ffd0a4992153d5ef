/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ordered messages of hamgr: what is taken is written again as the same bytes, and can be told in a
 * line. */

#include "fuzz/fuzz.h"
#include "fuzz/state-messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) again = NULL;
        char text[STATE_TEXT_MAX];
        StateMessage m;

        if (state_message_decode(data, size, &m) < 0)
                return 0;
        again = state_message_encode(&m);
        assert(again);
        assert(g_bytes_get_size(again) == size);
        assert(memcmp(g_bytes_get_data(again, NULL), data, size) == 0);
        assert(strlen(state_message_format(&m, text)) > 0);
        state_message_done(&m);
        return 0;
}

static void seed(void *userdata, const void *data, size_t size_bytes) {
        fuzz_seed(userdata, data, size_bytes);
}

void fuzz_seeds(FuzzSeeds *s) {
        state_messages_all(seed, s);
}
