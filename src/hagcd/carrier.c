/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "hagcd/carrier.h"
#include "shared/event-util.h"

struct Carrier {
        CarrierHandler handler;
        void *userdata;
        unsigned n_links;
        ClusterAddress addresses[CLUSTER_LINKS_MAX];
        bool carrier[CLUSTER_LINKS_MAX];
        int fd;
        sd_event_source *source; /* owned */
};

void carrier_check(Carrier *c) {
        struct ifaddrs *all;
        bool now[CLUSTER_LINKS_MAX] = { 0 };

        /* The kernel answers this in one go; a failure changes nothing, silence will tell. */
        if (getifaddrs(&all) < 0)
                return;
        for (struct ifaddrs *i = all; i; i = i->ifa_next) {
                const unsigned up = IFF_UP | IFF_RUNNING;

                if (!i->ifa_addr ||
                    (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
                        continue;
                for (unsigned link = 0; link < c->n_links; link++)
                        if (cluster_address_equal((const ClusterAddress *) i->ifa_addr, &c->addresses[link]))
                                now[link] = now[link] || (i->ifa_flags & up) == up;
        }
        freeifaddrs(all);

        for (unsigned link = 0; link < c->n_links; link++)
                if (now[link] != c->carrier[link]) {
                        c->carrier[link] = now[link];
                        c->handler(c->userdata, link, now[link]);
                }
}

static int on_netlink(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        char buf[8192];
        ssize_t n;

        /* What changed does not matter, and neither does a lost message: everything is looked at again. */
        do
                n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        while (n > 0 || (n < 0 && (errno == ENOBUFS || errno == EINTR)));
        carrier_check(userdata);
        return 0;
}

int carrier_new(sd_event *event,
                const ClusterAddress *addresses,
                unsigned n_links,
                CarrierHandler handler,
                void *userdata,
                Carrier **ret) {
        _cleanup_(carrier_freep) Carrier *c = NULL;
        struct sockaddr_nl address = {
                .nl_family = AF_NETLINK,
                .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
        };
        int r;

        assert(n_links <= CLUSTER_LINKS_MAX);

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->handler = handler;
        c->userdata = userdata;
        c->n_links = n_links;
        memcpy(c->addresses, addresses, n_links * sizeof(ClusterAddress));
        for (unsigned i = 0; i < n_links; i++)
                c->carrier[i] = true;
        c->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
        if (c->fd < 0)
                return -errno;
        if (bind(c->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        r = event_io_new(event, "carrier", c->fd, EPOLLIN, on_netlink, c, &c->source);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(c);
        return 0;
}

Carrier *carrier_free(Carrier *c) {
        if (!c)
                return NULL;
        (void) sd_event_source_disable_unref(c->source);
        c->fd = safe_close(c->fd);
        free(c);
        return NULL;
}
