/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The sending half, apart: it needs neither keys nor OpenSSL, and its users have no time. */

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include "hagcd/gasp.h"
#include "shared/file-util.h"

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

/* The socket of one of our addresses, which may come later. */
static int find_socket(GaspTable *t, const ClusterAddress *own, unsigned *ret) {
        _cleanup_close_ int fd = -EBADF;
        const int yes = 1;

        for (size_t i = 0; i < t->n_fds; i++)
                if (cluster_address_equal(&t->addresses[i], own)) {
                        *ret = (unsigned) i;
                        return 0;
                }
        if (t->n_fds >= ELEMENTSOF(t->fds))
                return -ENOBUFS;
        fd = socket(own->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (own->sa.sa_family == AF_INET)
                (void) setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof(yes));
        else
                (void) setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &yes, sizeof(yes));
        if (bind(fd, &own->sa, cluster_address_length(own)) < 0)
                return -errno;
        *ret = (unsigned) t->n_fds;
        t->addresses[t->n_fds] = *own;
        t->fds[t->n_fds++] = TAKE_FD(fd);
        return 0;
}

static int parse_line(GaspTable *t, const char *line, GaspDatagram *ret) {
        char own_text[CLUSTER_ADDRESS_TEXT_MAX], to_text[CLUSTER_ADDRESS_TEXT_MAX], hex[2 * GASP_BYTES + 1];
        unsigned port;

        if (sscanf(line, "%45s %45s %5u %88[0-9a-f]", own_text, to_text, &port, hex) != 4 ||
            port > UINT16_MAX || strlen(hex) != 2 * GASP_BYTES ||
            parse_address(own_text, 0, &ret->own) < 0 ||
            parse_address(to_text, (uint16_t) port, &ret->to) < 0)
                return -EBADMSG;
        for (size_t i = 0; i < GASP_BYTES; i++) {
                unsigned v;

                (void) sscanf(hex + 2 * i, "%2x", &v);
                ret->data[i] = (uint8_t) v;
        }
        return find_socket(t, &ret->own, &ret->socket);
}

void gasp_table_load(GaspTable *t, const char *text) {
        gasp_table_done(t);
        for (const char *line = text; *line && t->n_datagrams < ELEMENTSOF(t->datagrams);) {
                const char *end = strchr(line, '\n');

                if (parse_line(t, line, &t->datagrams[t->n_datagrams]) >= 0)
                        t->n_datagrams++;
                line = end ? end + 1 : "";
        }
}

void gasp_table_done(GaspTable *t) {
        for (size_t i = 0; i < t->n_fds; i++)
                (void) safe_close(t->fds[i]);
        t->n_fds = t->n_datagrams = 0;
}

int gasp_table_send(const GaspTable *t) {
        int n = 0;

        FOREACH_ARRAY(d, t->datagrams, t->n_datagrams)
                if (sendto(t->fds[d->socket],
                           d->data,
                           sizeof(d->data),
                           MSG_DONTWAIT,
                           &d->to.sa,
                           cluster_address_length(&d->to)) >= 0)
                        n++;
        return n;
}

int gasp_send(const char *path) {
        _cleanup_free_ char *text = NULL;
        _cleanup_free_ GaspTable *t = calloc(1, sizeof(GaspTable));
        size_t size;
        int r;

        if (!t)
                return -ENOMEM;
        r = read_whole_file(path, GASP_FILE_MAX, &text, &size);
        if (r < 0)
                return r;
        gasp_table_load(t, text);
        r = gasp_table_send(t);
        gasp_table_done(t);
        return r;
}
