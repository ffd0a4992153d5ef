/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The sending half, apart: it needs neither keys nor OpenSSL, and has 200 ms. */

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include "hagcd/gasp.h"
#include "shared/file-util.h"

#define GASP_FILE_MAX (256U * 1024U)

static int parse_address(const char *text, uint16_t port, ClusterAddress *ret) {
        *ret = (ClusterAddress){ 0 };
        if (inet_pton(AF_INET, text, &ret->in.sin_addr) == 1) {
                ret->in.sin_family = AF_INET;
                ret->in.sin_port = htons(port);
                return 0;
        }
        if (inet_pton(AF_INET6, text, &ret->in6.sin6_addr) == 1) {
                ret->in6.sin6_family = AF_INET6;
                ret->in6.sin6_port = htons(port);
                return 0;
        }
        return -EINVAL;
}

static int send_one(const ClusterAddress *own, const ClusterAddress *to, const void *data, size_t n) {
        _cleanup_close_ int fd = socket(to->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || bind(fd, &own->sa, cluster_address_length(own)) < 0)
                return -errno;
        return sendto(fd, data, n, MSG_DONTWAIT, &to->sa, cluster_address_length(to)) < 0 ? -errno : 0;
}

static int send_line(const char *line) {
        char own_text[CLUSTER_ADDRESS_TEXT_MAX], to_text[CLUSTER_ADDRESS_TEXT_MAX], hex[2 * GASP_BYTES + 1];
        ClusterAddress own, to;
        uint8_t data[GASP_BYTES];
        unsigned port;

        if (sscanf(line, "%45s %45s %5u %88[0-9a-f]", own_text, to_text, &port, hex) != 4 ||
            port > UINT16_MAX || strlen(hex) != 2 * GASP_BYTES || parse_address(own_text, 0, &own) < 0 ||
            parse_address(to_text, (uint16_t) port, &to) < 0)
                return -EBADMSG;
        for (size_t i = 0; i < GASP_BYTES; i++) {
                unsigned v;

                (void) sscanf(hex + 2 * i, "%2x", &v);
                data[i] = (uint8_t) v;
        }
        return send_one(&own, &to, data, sizeof(data));
}

int gasp_send(const char *path) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r, n = 0;

        r = read_whole_file(path, GASP_FILE_MAX, &text, &size);
        if (r < 0)
                return r;
        for (const char *line = text; line && *line;
             line = strchr(line, '\n'), line = line ? line + 1 : NULL)
                if (send_line(line) >= 0)
                        n++;
        return n;
}
