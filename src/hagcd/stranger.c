/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "hagcd/stranger.h"
#include "shared/message-ids.h"

Stranger stranger_make(unsigned link) {
        LogRate rate = { .interval_usec = STRANGER_INTERVAL_USEC, .burst = 1 };

        return (Stranger){ .link = link, .rate = rate, .forged_rate = rate };
}

void stranger_seen(Stranger *s, const ClusterAddress *from, bool other_version, uint64_t now_usec) {
        char address[CLUSTER_ADDRESS_TEXT_MAX];
        uint32_t n_held;

        if (!log_rate_pass(&s->rate, now_usec, &n_held))
                return;
        (void) cluster_address_format(from, address);
        log_event(LOG_WARNING,
                  HAMGR_MESSAGE_STRANGER,
                  LOG_FIELDS("HAMGR_ADDRESS", address),
                  "link %u: a datagram (and %u before) came from %s, port %u, which is no node of this "
                  "cluster%s; "
                  "dropping what comes from there",
                  s->link,
                  n_held,
                  address,
                  cluster_address_port(from),
                  other_version ? " and speaks another version of the protocol than this node" : "");
}

void stranger_forged(Stranger *s, const char *node, const ClusterAddress *from, uint64_t now_usec) {
        char address[CLUSTER_ADDRESS_TEXT_MAX];
        uint32_t n_held;

        if (s->n_forged == 0 || now_usec - s->begin_usec >= STRANGER_INTERVAL_USEC) {
                s->begin_usec = now_usec;
                s->n_forged = 0;
        }
        s->n_forged++;
        s->n_untold++;
        if (s->n_forged < STRANGER_FORGED_MIN || !log_rate_pass(&s->forged_rate, now_usec, &n_held))
                return;
        (void) cluster_address_format(from, address);
        log_event(LOG_WARNING,
                  HAMGR_MESSAGE_FORGED,
                  LOG_FIELDS("HAMGR_NODE", node, "HAMGR_ADDRESS", address),
                  "link %u: %" PRIu64
                  " datagrams came from %s, the address of node %s, that are no part of what it "
                  "says: made up, sent again, or asked for by somebody in our name; dropping them",
                  s->link,
                  TAKE_GENERIC(s->n_untold, uint64_t, 0),
                  address,
                  node);
}
