/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The generator's list: what is taken is written again so that it means the same, and the drop-in that comes
 * of it is a text. */

#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "hamgr/drive/guard-list.h"

static char *line_of(const Guard *g) {
        _cleanup_(str_buf_done) StrBuf b = { 0 };
        char *line;

        guard_write(g, &b);
        line = str_buf_take(&b);
        assert(line);
        line[strcspn(line, "\n")] = '\0';
        return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *line = strndup((const char *) data, size), *first = NULL, *second = NULL,
                            *unit = NULL, *drop_in = NULL;
        Guard g = { 0 }, again = { 0 };

        assert(line);
        if (guard_read(line, &g) <= 0)
                return 0;
        first = line_of(&g);
        assert(guard_read(first, &again) == 1);
        second = line_of(&again);
        assert(streq(first, second));
        unit = guard_unit_name(&g);
        drop_in = guard_drop_in(&g, GUARD_OWNED_FOLDER);
        assert(unit && drop_in);
        assert(!strchr(unit, '/') && !strchr(unit, '\n'));
        guard_done(&g);
        guard_done(&again);
        return 0;
}

void fuzz_seeds(FuzzSeeds *s) {
        static const char *const texts[] = {
                "# comment",
                "unit shop.service web watchdog=5000000 mount=/srv/shop after=db.service",
                "mount /srv/my\\x20shop web",
                "unit shop@1.service web mount=/a mount=/b after=c.mount after=d.target",
        };

        FOREACH_ARRAY(text, texts, ELEMENTSOF(texts))
                fuzz_seed(s, *text, strlen(*text));
}
