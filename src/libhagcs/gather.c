/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/socket.h>

#include "libhagcs/gather.h"
#include "libhagcs/proto.h"

static const uint8_t several = GATHER_SEVERAL;

void gather_begin(Gather *g) {
        g->iov[0] = (struct iovec){ .iov_base = (void *) &several, .iov_len = sizeof(several) };
        g->n_frames = 0;
        g->size_bytes = sizeof(several);
}

bool gather_add(Gather *g, uint8_t *data, size_t size_bytes) {
        size_t n = size_bytes - GATHER_LENGTH_BYTES;

        /* The first one fits always: alone it goes without its length. */
        if (g->n_frames > 0 &&
            (g->n_frames == GATHER_FRAMES_MAX || g->size_bytes + size_bytes > PROTO_FRAME_MAX))
                return false;
        for (unsigned i = 0; i < GATHER_LENGTH_BYTES; i++)
                data[i] = (uint8_t) (n >> 8 * i);
        g->iov[1 + g->n_frames++] = (struct iovec){ .iov_base = data, .iov_len = size_bytes };
        g->size_bytes += size_bytes;
        return true;
}

int gather_send(Gather *g, int fd) {
        struct msghdr m = { .msg_iov = g->iov, .msg_iovlen = 1 + g->n_frames };
        struct iovec alone;
        ssize_t n;

        if (g->n_frames == 0)
                return 0;
        if (g->n_frames == 1) {
                alone = (struct iovec){
                        .iov_base = (uint8_t *) g->iov[1].iov_base + GATHER_LENGTH_BYTES,
                        .iov_len = g->iov[1].iov_len - GATHER_LENGTH_BYTES,
                };
                m.msg_iov = &alone;
                m.msg_iovlen = 1;
        }
        do
                n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

void gather_read(GatherReader *r, const void *data, size_t size_bytes) {
        *r = (GatherReader){ .data = data, .left_bytes = size_bytes };
        r->several = size_bytes > 1 && r->data[0] == GATHER_SEVERAL;
        if (r->several) {
                r->data++;
                r->left_bytes--;
        }
}

int gather_next(GatherReader *r, const void **ret_frame, size_t *ret_size_bytes) {
        size_t n = r->left_bytes;

        if (n == 0)
                return 0;
        if (r->several) {
                n = 0;
                if (r->n_frames++ == GATHER_FRAMES_MAX || r->left_bytes < GATHER_LENGTH_BYTES)
                        return -EBADMSG;
                for (unsigned i = 0; i < GATHER_LENGTH_BYTES; i++)
                        n |= (size_t) r->data[i] << 8 * i;
                r->data += GATHER_LENGTH_BYTES;
                r->left_bytes -= GATHER_LENGTH_BYTES;
                if (n == 0 || n > r->left_bytes)
                        return -EBADMSG;
        }
        *ret_frame = r->data;
        *ret_size_bytes = n;
        r->data += n;
        r->left_bytes -= n;
        return 1;
}
