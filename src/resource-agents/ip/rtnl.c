/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/utsname.h>

#include "resource-agents/ip/rtnl.h"

/* The kernel answers within the call; this only bounds what must never happen. */
#define ANSWER_TIMEOUT_SEC 3

/* Older headers have it not; the number is part of the kernel's interface. */
#define ATTRIBUTE_PROTOCOL 11U

#define RECEIVE_BYTES (32U * 1024U)

struct Rtnl {
        struct mnl_socket *requests; /* owned */
        struct mnl_socket *watch;    /* owned */
        unsigned sequence;
        uint8_t buf[RECEIVE_BYTES];
};

typedef struct AddressRow {
        IpAddress address;
        int ifindex;
        uint8_t mark;
} AddressRow;

static int open_socket(unsigned groups, struct mnl_socket **ret) {
        struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
        int r = 0;

        if (!s)
                return -errno;
        if (mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) < 0) {
                r = -errno;
                (void) mnl_socket_close(s);
                return r;
        }
        *ret = s;
        return 0;
}

int rtnl_new(int family, Rtnl **ret) {
        const struct timeval limit = { .tv_sec = ANSWER_TIMEOUT_SEC };
        _cleanup_(rtnl_freep) Rtnl *r = calloc(1, sizeof *r);
        int k;

        if (!r)
                return -ENOMEM;

        k = open_socket(RTMGRP_LINK | (family == AF_INET ? RTMGRP_IPV4_IFADDR : RTMGRP_IPV6_IFADDR),
                        &r->watch);
        if (k < 0)
                return k;
        if (fcntl(mnl_socket_get_fd(r->watch), F_SETFL, O_NONBLOCK) < 0)
                return -errno;

        k = open_socket(0, &r->requests);
        if (k < 0)
                return k;
        if (setsockopt(mnl_socket_get_fd(r->requests), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
                return -errno;

        *ret = TAKE_PTR(r);
        return 0;
}

Rtnl *rtnl_free(Rtnl *r) {
        if (!r)
                return NULL;

        if (r->requests)
                (void) mnl_socket_close(r->requests);
        if (r->watch)
                (void) mnl_socket_close(r->watch);
        free(r);
        return NULL;
}

bool rtnl_keeps_marks(void) {
        struct utsname u;
        unsigned major, minor;

        if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
                return false;
        return major > 5 || (major == 5 && minor >= 18);
}

/* Sends a request and takes its answers, to the last. */
static int transact(Rtnl *r, struct nlmsghdr *request, mnl_cb_t callback, void *userdata) {
        unsigned port = mnl_socket_get_portid(r->requests);

        request->nlmsg_seq = ++r->sequence;
        if (mnl_socket_sendto(r->requests, request, request->nlmsg_len) < 0)
                return -errno;

        for (;;) {
                ssize_t n = mnl_socket_recvfrom(r->requests, r->buf, sizeof r->buf);
                int k;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? -ETIMEDOUT : -errno;
                k = mnl_cb_run(r->buf, (size_t) n, request->nlmsg_seq, port, callback, userdata);
                if (k == MNL_CB_ERROR)
                        return -errno;
                if (k == MNL_CB_STOP)
                        return 0;
        }
}

static void read_link(const struct nlmsghdr *h, RtnlLink *ret) {
        const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
        const struct nlattr *attribute;

        *ret = (RtnlLink){
                .ifindex = m->ifi_index,
                .is_up = m->ifi_flags & IFF_UP,
                .has_carrier = (m->ifi_flags & IFF_UP) && (m->ifi_flags & IFF_LOWER_UP),
                .has_neighbours = m->ifi_type == ARPHRD_ETHER && !(m->ifi_flags & IFF_NOARP),
        };
        mnl_attr_for_each(attribute, h, sizeof *m) if (
                        mnl_attr_get_type(attribute) == IFLA_ADDRESS &&
                        mnl_attr_get_payload_len(attribute) == MAC_BYTES)
                        memcpy(&ret->mac, mnl_attr_get_payload(attribute), MAC_BYTES);
}

static bool read_address(const struct nlmsghdr *h, AddressRow *ret) {
        const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
        const struct nlattr *attribute;
        AddressRow row = {
                .address = { .family = m->ifa_family, .prefix_length = m->ifa_prefixlen },
                .ifindex = (int) m->ifa_index,
        };
        bool is_local = false, is_there = false;

        if (m->ifa_family != AF_INET && m->ifa_family != AF_INET6)
                return false;

        /* IFA_LOCAL is the interface's own; without it (IPv6), IFA_ADDRESS is. */
        mnl_attr_for_each(attribute, h, sizeof *m) {
                unsigned type = mnl_attr_get_type(attribute);

                if (type == ATTRIBUTE_PROTOCOL && mnl_attr_get_payload_len(attribute) == 1)
                        row.mark = mnl_attr_get_u8(attribute);
                else if ((type == IFA_LOCAL || (type == IFA_ADDRESS && !is_local)) &&
                         mnl_attr_get_payload_len(attribute) == ip_address_size(&row.address)) {
                        memcpy(row.address.bytes,
                               mnl_attr_get_payload(attribute),
                               ip_address_size(&row.address));
                        is_local = is_local || type == IFA_LOCAL;
                        is_there = true;
                }
        }
        if (is_there)
                *ret = row;
        return is_there;
}

static int take_link(const struct nlmsghdr *h, void *userdata) {
        if (h->nlmsg_type == RTM_NEWLINK)
                read_link(h, userdata);
        return MNL_CB_OK;
}

int rtnl_link_get(Rtnl *r, const char *name, RtnlLink *ret) {
        uint8_t buf[512] = { 0 };
        struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
        struct ifinfomsg *m;
        RtnlLink link = { 0 };
        int k;

        h->nlmsg_type = RTM_GETLINK;
        h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
        m = mnl_nlmsg_put_extra_header(h, sizeof *m);
        m->ifi_family = AF_UNSPEC;
        mnl_attr_put_strz(h, IFLA_IFNAME, name);

        k = transact(r, h, take_link, &link);
        if (k < 0)
                return k;
        if (link.ifindex == 0)
                return -ENODEV;
        *ret = link;
        return 0;
}

typedef struct FindContext {
        const IpAddress *address;
        RtnlFound *found;
        size_t n_found;
} FindContext;

static int take_address(const struct nlmsghdr *h, void *userdata) {
        FindContext *c = userdata;
        AddressRow row;

        if (h->nlmsg_type == RTM_NEWADDR && read_address(h, &row) &&
            ip_address_equal_host(&row.address, c->address) && c->n_found < RTNL_FOUND_MAX)
                c->found[c->n_found++] = (RtnlFound){
                        .ifindex = row.ifindex,
                        .prefix_length = row.address.prefix_length,
                        .mark = row.mark,
                };
        return MNL_CB_OK;
}

int rtnl_address_find(Rtnl *r, const IpAddress *a, RtnlFound ret[static RTNL_FOUND_MAX], size_t *ret_n) {
        uint8_t buf[64] = { 0 };
        struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
        struct ifaddrmsg *m;
        FindContext context = { .address = a, .found = ret };
        int k;

        h->nlmsg_type = RTM_GETADDR;
        h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
        m = mnl_nlmsg_put_extra_header(h, sizeof *m);
        m->ifa_family = (uint8_t) a->family;

        k = transact(r, h, take_address, &context);
        if (k < 0)
                return k;
        *ret_n = context.n_found;
        return 0;
}

static struct nlmsghdr *
put_address(void *buf, uint16_t type, uint16_t flags, int ifindex, const IpAddress *a) {
        struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
        struct ifaddrmsg *m;

        h->nlmsg_type = type;
        h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        m = mnl_nlmsg_put_extra_header(h, sizeof *m);
        m->ifa_family = (uint8_t) a->family;
        m->ifa_prefixlen = a->prefix_length;
        m->ifa_index = (unsigned) ifindex;
        m->ifa_scope = RT_SCOPE_UNIVERSE;
        mnl_attr_put(h, IFA_LOCAL, ip_address_size(a), a->bytes);
        mnl_attr_put(h, IFA_ADDRESS, ip_address_size(a), a->bytes);
        return h;
}

int rtnl_address_add(Rtnl *r, int ifindex, const IpAddress *a) {
        uint8_t buf[512] = { 0 };
        struct nlmsghdr *h = put_address(buf, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, a);
        struct in_addr broadcast;

        if (ip_address_broadcast(a, &broadcast))
                mnl_attr_put(h, IFA_BROADCAST, sizeof broadcast, &broadcast);
        if (a->family == AF_INET6) /* we have probed; the kernel's own probe takes a second */
                mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_NODAD);
        mnl_attr_put_u8(h, ATTRIBUTE_PROTOCOL, RTNL_ADDRESS_MARK);
        return transact(r, h, NULL, NULL);
}

int rtnl_address_remove(Rtnl *r, int ifindex, const IpAddress *a) {
        uint8_t buf[512] = { 0 };
        int k = transact(r, put_address(buf, RTM_DELADDR, 0, ifindex, a), NULL, NULL);

        return k == -EADDRNOTAVAIL || k == -ENODEV ? 0 : k;
}

int rtnl_watch_fd(const Rtnl *r) {
        return mnl_socket_get_fd(r->watch);
}

typedef struct WatchContext {
        RtnlHandler handler;
        void *userdata;
} WatchContext;

static int take_event(const struct nlmsghdr *h, void *userdata) {
        const WatchContext *c = userdata;
        RtnlEvent event = { 0 };
        AddressRow row;

        switch (h->nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK:
                /* A bridge tells of its ports in the same words: leaving one is no end of the link. */
                if (((const struct ifinfomsg *) mnl_nlmsg_get_payload(h))->ifi_family != AF_UNSPEC)
                        return MNL_CB_OK;
                event.type = h->nlmsg_type == RTM_NEWLINK ? RTNL_LINK_CHANGED : RTNL_LINK_GONE;
                read_link(h, &event.link);
                event.ifindex = event.link.ifindex;
                break;
        case RTM_DELADDR:
                if (!read_address(h, &row))
                        return MNL_CB_OK;
                event.type = RTNL_ADDRESS_GONE;
                event.address = row.address;
                event.ifindex = row.ifindex;
                break;
        default:
                return MNL_CB_OK;
        }
        c->handler(&event, c->userdata);
        return MNL_CB_OK;
}

int rtnl_watch_dispatch(Rtnl *r, RtnlHandler handler, void *userdata) {
        WatchContext context = { .handler = handler, .userdata = userdata };
        /* Its own: the handler may send requests, whose answers use the other buffer. */
        uint8_t buf[RECEIVE_BYTES];

        for (;;) {
                ssize_t n = mnl_socket_recvfrom(r->watch, buf, sizeof buf);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
                        handler(&(RtnlEvent){ .type = RTNL_LOST_TRACK }, userdata);
                        continue;
                }
                if (n < 0)
                        return -errno;
                if (mnl_cb_run(buf, (size_t) n, 0, 0, take_event, &context) < 0)
                        return -errno;
        }
}
