/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hagcd/link-out.h"
#include "basic/time-util.h"

uint8_t *link_out_begin(LinkOut *o, const ClusterAddress *to, bool alone) {
        assert(o->n < LINK_OUT_MAX);

        o->alone[o->n] = alone;
        o->messages[o->n].msg_hdr = (struct msghdr){
                .msg_name = (void *) to,
                .msg_namelen = cluster_address_length(to),
                .msg_iov = &o->iov[o->n],
                .msg_iovlen = 1,
        };
        return o->data[o->n];
}

void link_out_commit(LinkOut *o, size_t size_bytes) {
        o->iov[o->n] = (struct iovec){ .iov_base = o->data[o->n], .iov_len = size_bytes };
        o->n++;
}

/* So many from the first one on may be joined. */
static unsigned alike(const LinkOut *o, unsigned first, uint64_t now_usec) {
        unsigned end = first;

        if (o->refused_usec != 0 && usec_sub(now_usec, o->refused_usec) < OFFLOAD_RETRY_USEC)
                return 1;
        while (end < o->n && !o->alone[end])
                end++;
        return MAX(end - first, 1U);
}

/* Of those from the first one on: returns how many are left to be sent. */
static unsigned join(LinkOut *o, unsigned first, uint64_t now_usec) {
        unsigned n = 0;

        while (first < o->n) {
                o->n_parts[n] =
                                offload_join(o->messages + first,
                                             alike(o, first, now_usec),
                                             &o->joined[n].msg_hdr,
                                             &o->control[n]);
                first += o->n_parts[n++];
        }
        return n;
}

LinkOutResult link_out_flush(LinkOut *o, int fd) {
        uint64_t now_usec = o->n > 0 ? now_boottime_usec() : 0;
        LinkOutResult result = { 0 };
        unsigned done = 0;

        while (done < o->n) {
                unsigned n_joined = join(o, done, now_usec);
                int n = sendmmsg(fd, o->joined, n_joined, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n > 0) {
                        for (int i = 0; i < n; i++)
                                done += o->n_parts[i];
                } else if (n < 0 && errno == EINTR) {
                        continue;
                } else if (n < 0 && o->n_parts[0] > 1 && offload_is_refused(errno)) {
                        o->refused_usec = now_usec;
                } else {
                        result.error = n < 0 ? errno : EIO;
                        result.n_failed += o->n_parts[0];
                        done += o->n_parts[0];
                }
        }
        result.n_sent = done - result.n_failed;
        o->n = 0;
        return result;
}
