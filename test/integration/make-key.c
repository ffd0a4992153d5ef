/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* make-key PATH: a new cluster key, for tests. */

#include <stdio.h>

#include "shared/cluster-key.h"

int main(int argc, char *argv[]) {
        _cleanup_(cluster_key_done) ClusterKey key;
        _cleanup_free_ char *why = NULL;

        if (argc != 2 || cluster_key_generate(&key) < 0 || cluster_key_create(argv[1], &key, &why) < 0) {
                fprintf(stderr, "make-key: %s\n", why ? why : "cannot make a key");
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
