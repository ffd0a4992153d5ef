/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>

#include "hactl/hactl.h"

/* Three nodes of one vote each, as n1 sees them. */
static json_t *document(bool n2_is_heard, bool n3_is_heard) {
        json_t *m = json_pack(
                        "{s:s, s:b, s:[s,s,s], s:[{s:s,s:b,s:i,s:b}, {s:s,s:b,s:i,s:b}, {s:s,s:b,s:i,s:b}]}",
                        "node",
                        "n1",
                        "cannot_write",
                        1,
                        "members",
                        "n1",
                        "n2",
                        "n3",
                        "nodes",
                        "name",
                        "n1",
                        "enabled",
                        1,
                        "votes",
                        1,
                        "heard",
                        1,
                        "name",
                        "n2",
                        "enabled",
                        1,
                        "votes",
                        1,
                        "heard",
                        n2_is_heard,
                        "name",
                        "n3",
                        "enabled",
                        1,
                        "votes",
                        1,
                        "heard",
                        n3_is_heard);

        g_assert_nonnull(m);
        return m;
}

static void expect(json_t *m, const char *words) {
        const char *note = hactl_store_note(m);

        if (words)
                g_assert_nonnull(strstr(note, words));
        else
                g_assert_null(note);
        json_decref(m);
}

/* Nobody goes on without a node whose vote they need. */
static void test_store_that_cannot_be_written(void) {
        json_t *m = document(true, true);

        expect(m, "the others go on without it");
        expect(document(true, false), "have no quorum without it: mend the store, or start the nodes");
        expect(document(false, false), "have no quorum without it");

        /* A disabled node gives nobody quorum, and takes it from nobody. */
        m = document(true, true);
        json_object_set_new(json_array_get(json_object_get(m, "nodes"), 2), "enabled", json_false());
        expect(m, "have no quorum without it");

        m = document(true, true);
        json_object_set_new(m, "cannot_write", json_false());
        expect(m, NULL);
        m = document(true, true);
        json_object_set_new(m, "no_record", json_true());
        expect(m, "is empty");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hactl/membership/store-that-cannot-be-written", test_store_that_cannot_be_written);
        return g_test_run();
}
