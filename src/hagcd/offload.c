/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include "basic/macro.h"
#include "hagcd/offload.h"

/* Both are the kernel's: UDP_MAX_SEGMENTS, and what an IPv6 packet has room for. */
#define DATAGRAMS_MAX 64U
#define BYTES_MAX (65535U - 40U - 8U)

static size_t bytes_of(const struct mmsghdr *m) {
        return m->msg_hdr.msg_iov->iov_len;
}

unsigned
offload_join(const struct mmsghdr *messages, unsigned n, struct msghdr *ret, OffloadControl *control) {
        size_t each = bytes_of(&messages[0]), all = each;
        uint16_t size = (uint16_t) each;
        struct cmsghdr *c;
        unsigned k = 1;

        *ret = messages[0].msg_hdr;
        /* Only the last one may be shorter, and none is longer. */
        while (k < MIN(n, DATAGRAMS_MAX) && messages[k].msg_hdr.msg_name == ret->msg_name &&
               bytes_of(&messages[k - 1]) == each && bytes_of(&messages[k]) <= each &&
               all + bytes_of(&messages[k]) <= BYTES_MAX)
                all += bytes_of(&messages[k++]);
        if (k == 1)
                return 1;

        *control = (OffloadControl){ 0 };
        ret->msg_iovlen = k;
        ret->msg_control = control->bytes;
        ret->msg_controllen = CMSG_SPACE(sizeof(size));
        c = CMSG_FIRSTHDR(ret);
        c->cmsg_level = SOL_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof(size));
        memcpy(CMSG_DATA(c), &size, sizeof(size));
        return k;
}

bool offload_is_refused(int error) {
        return error == EINVAL || error == EMSGSIZE || error == EIO || error == EOPNOTSUPP ||
               error == ENOPROTOOPT;
}

void offload_receive(int fd) {
        int one = 1;

        (void) setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof(one));
}

size_t offload_datagram_bytes(struct msghdr *received, size_t received_bytes) {
        int size;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(received); c; c = CMSG_NXTHDR(received, c)) {
                if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
                        continue;
                memcpy(&size, CMSG_DATA(c), sizeof(size));
                if (size > 0)
                        return (size_t) size;
        }
        return received_bytes;
}
