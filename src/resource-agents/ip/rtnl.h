/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Links and addresses of this node over rtnetlink. */

#include "resource-agents/ip/frame.h"

/* Addresses that we add carry this protocol number (`ip -d address` shows "proto 0x68"), so that ours can be
 * told from others'. Kernels before 5.18 do not keep it: rtnl_keeps_marks(). */
#define RTNL_ADDRESS_MARK 0x68U

#define RTNL_FOUND_MAX 16U

typedef struct Rtnl Rtnl;

typedef struct RtnlLink {
        int ifindex;
        bool is_up;
        bool has_carrier;
        bool has_neighbours; /* Ethernet with ARP; others are neither asked nor told */
        Mac mac;
} RtnlLink;

/* One place where the address was found; the prefix length may be another one. */
typedef struct RtnlFound {
        int ifindex;
        uint8_t prefix_length;
        uint8_t mark;
} RtnlFound;

typedef enum RtnlEventType {
        RTNL_LINK_CHANGED,
        RTNL_LINK_GONE,
        RTNL_ADDRESS_GONE,
        RTNL_LOST_TRACK, /* something was missed: read all again */
} RtnlEventType;

typedef struct RtnlEvent {
        RtnlEventType type;
        RtnlLink link;     /* LINK_CHANGED, LINK_GONE */
        IpAddress address; /* ADDRESS_GONE */
        int ifindex;
} RtnlEvent;

typedef void (*RtnlHandler)(const RtnlEvent *event, void *userdata);

/* Begins to watch at once, so that nothing is missed between the first look and the first event. */
int rtnl_new(int family, Rtnl **ret);
Rtnl *rtnl_free(Rtnl *r);
DEFINE_TRIVIAL_CLEANUP(Rtnl *, rtnl_free);

bool rtnl_keeps_marks(void);

/* -ENODEV: no such interface. */
int rtnl_link_get(Rtnl *r, const char *name, RtnlLink *ret);

/* Where this node has the address: at most RTNL_FOUND_MAX places. */
int rtnl_address_find(Rtnl *r, const IpAddress *a, RtnlFound ret[static RTNL_FOUND_MAX], size_t *ret_n);

/* -EEXIST: it is there. */
int rtnl_address_add(Rtnl *r, int ifindex, const IpAddress *a);

/* 0 also when it, or the interface, is not there. */
int rtnl_address_remove(Rtnl *r, int ifindex, const IpAddress *a);

int rtnl_watch_fd(const Rtnl *r);
/* Hands over all events that are there; does not block. */
int rtnl_watch_dispatch(Rtnl *r, RtnlHandler handler, void *userdata);
