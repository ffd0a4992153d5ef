/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Datagrams between the hagcds: a UDP socket a link, every message sealed, long ones in segments. Nothing is
 * kept for sending again: cms repeats by its heartbeats, gcs by its time-outs. */

#include <systemd/sd-event.h>

#include "basic/buffer.h"
#include "basic/node-set.h"
#include "hagcd/packet.h"
#include "shared/cluster-conf.h"
#include "shared/cluster-key.h"

typedef struct Transport Transport;

typedef enum TransportProblem {
        TRANSPORT_PROBLEM_NONE,
        TRANSPORT_PROBLEM_KEY,       /* its datagrams name another cluster key */
        TRANSPORT_PROBLEM_VERSION,   /* its datagrams are of another version of hagcd */
        TRANSPORT_PROBLEM_HANDSHAKE, /* it answers, but no handshake ends well */
        TRANSPORT_PROBLEM_NO_NODE,   /* it says that this node is none of its cluster */
} TransportProblem;

typedef struct TransportHandlers {
        /* A whole message. The buffer is borrowed. */
        void (*message)(void *userdata, uint32_t from, unsigned link, DtlsClass class, Buffer *buffer);
        void (*carrier)(void *userdata, unsigned link, bool carrier);
        void (*last_gasp)(void *userdata, uint32_t from, uint64_t incarnation);
        void (*problem)(void *userdata, uint32_t node, TransportProblem problem);
        /* After some of the above: nothing more is there at the moment, or it is time to answer. */
        void (*settle)(void *userdata);
} TransportHandlers;

typedef struct TransportConfig {
        const ClusterConf *conf; /* copied, as far as it is needed */
        uint32_t self;
        uint64_t incarnation;
        const ClusterKey *key; /* copied */
        const uint8_t *gasp_secret;
        const TransportHandlers *handlers; /* weak */
        void *userdata;
} TransportConfig;

/* Opens the sockets: -EADDRINUSE when another hagcd runs. An address that this machine does not have yet is
 * fine. */
int transport_new(sd_event *event, const TransportConfig *config, Transport **ret);
/* Opens the sockets and closes them again: would transport_new() succeed? Says why not. */
int transport_probe(const ClusterConf *conf, const ClusterNode *self);

Transport *transport_free(Transport *t);
DEFINE_TRIVIAL_CLEANUP(Transport *, transport_free);

/* Whom we talk to: the nodes of the configuration that is in force, and those that are new in the one that
 * wants to be (NULL: none), of as many links. Sessions with peers that stay go on; one that is another
 * server under the same id begins anew. Not to be called from within a handler. -ENOMEM: the others are
 * done. */
int transport_set_peers(Transport *t, const ClusterConf *running, const ClusterConf *wanted);

/* Tells the carrier of each link for the first time, and begins the handshakes. */
int transport_start(Transport *t);

/* Membership goes out on every link, bulk on the best one. What cannot be sent now is lost.
 * transport_flush() makes it leave. */
void transport_send(Transport *t, NodeSet to, DtlsClass class, const void *data, size_t size_bytes);
void transport_flush(Transport *t);

/* Bit i: link i carries both ways between here and the node. */
uint64_t transport_links(const Transport *t, uint32_t node);
TransportProblem transport_problem(const Transport *t, uint32_t node);

/* One link between here and a node, for people. */
typedef struct TransportLinkView {
        bool carrier;        /* of our own end */
        bool heard;          /* of late, anything at all */
        uint64_t deaf_usec;  /* for how long the node has said that it does not hear us on it; 0: it does */
        uint64_t rtt_usec;   /* from hagcd to hagcd and back; USEC_INFINITY: not known */
        uint64_t n_received; /* messages of membership, ... */
        uint64_t n_lost;     /* ... and those that did not come, of the node's present incarnation */
        uint32_t size_bytes; /* the longest datagram that we send there; 0: what is longer than heartbeats is
                                lost, and it counts as dead */
        bool size_settled;   /* and that has not changed of late */
} TransportLinkView;

void transport_link_view(const Transport *t, uint32_t node, unsigned link, TransportLinkView *ret);

typedef struct TransportCounters {
        uint64_t n_sent, n_received;
        uint64_t n_send_failed;
        uint64_t n_bad;     /* not ours, or from an address that is not the sender's */
        uint64_t n_dropped; /* sealed well and of no use */
} TransportCounters;

void transport_get_counters(const Transport *t, TransportCounters *ret);
