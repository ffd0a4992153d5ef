/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* cluster.conf: what is taken has a canonical text that means the same; what is refused is refused with a
 * reason. */

#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "shared/cluster-conf.h"

static ClusterConf *parse(const char *text, size_t size) {
        _cleanup_(conf_errors_done) ConfErrors errors = { 0 };
        ClusterConf *c = NULL;
        int r = cluster_conf_parse("cluster.conf", text, size, &errors, &c);

        assert((r < 0) == (errors.n_items > 0));
        assert((r < 0) == (c == NULL));
        if (r < 0)
                free(conf_errors_to_text(&errors));
        return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse((const char *) data, size), *again = NULL;
        _cleanup_free_ char *text = NULL, *second = NULL;

        if (!c)
                return 0;
        text = cluster_conf_to_text(c);
        assert(text);
        again = parse(text, strlen(text));
        assert(again);
        assert(again->hash == c->hash);
        second = cluster_conf_to_text(again);
        assert(second);
        assert(streq(text, second));
        FOREACH_ARRAY(n, c->nodes, c->n_nodes)
                (void) cluster_conf_fence_usec(c, n->id);
        return 0;
}

void fuzz_seeds(FuzzSeeds *s) {
        static const char *const texts[] = {
                "[Cluster]\nName=shop\n[Node n1]\nId=1\nAddress=10.1.0.1 10.2.0.1\n"
                "[Node n2]\nId=2\nAddress=10.1.0.2 10.2.0.2\n",
                "[Cluster]\nName=shop\nHeartbeatSec=50ms\nFailureSec=300ms\nPort=7800\nTieBreaker=n2\n"
                "UnseenFenceSec=infinity\nFenceDelaySec=2s\n"
                "[Node n1]\nId=1\nVotes=2\nAddress=fd00::1\n[Node n2]\nId=2\nEnabled=no\nAddress=fd00::2\n"
                "[Node n3.example.org]\nId=64\nAddress=fd00::3\n"
                "[Fence power]\nAgent=fence_lab\nNodes=n1:plug1 n2 n3.example.org\nParameter=ip=10.9.0.1\n"
                "TimeoutSec=4s\nParameterFile=/etc/hamgr/power.secret\nPowerOn=no\n",
                "# comment\n; another\n[Cluster]\nName=a\\\nb\n[Unknown]\nKey=1\n[Node]\n[Node "
                "n1]\nId=0\nId=1\n",
        };

        FOREACH_ARRAY(text, texts, ELEMENTSOF(texts))
                fuzz_seed(s, *text, strlen(*text));
}
