/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "basic/time-util.h"
#include "hagcd/carrier.h"
#include "hagcd/channel.h"
#include "hagcd/link-choice.h"
#include "hagcd/link-meter.h"
#include "hagcd/link-out.h"
#include "hagcd/link-size.h"
#include "hagcd/reassembly.h"
#include "hagcd/stranger.h"
#include "hagcd/transport.h"
#include "shared/event-util.h"
#include "shared/log.h"

#define SOCKET_BUFFER_BYTES (8 * 1024 * 1024)
#define RECEIVE_BATCH 16U
#define RECEIVE_ROUNDS_MAX 8U
/* Enough for one turn of the loop: heartbeats are to be sent in time, however much is there. */
#define RECEIVE_DATAGRAMS_MAX 512U
/* Handshakes that fail in a row, while the peer answers, before it is told as a problem. */
#define HANDSHAKES_FAILED_MAX 5U
/* Channels that fail at once must not make their timer a busy loop. */
#define TICK_MIN_USEC (10 * USEC_PER_MSEC)

/* A socket that is not made to have more memory by the kernel's limit loses segments in bursts, no more. */

typedef struct TransportLink {
        Transport *transport; /* weak */
        unsigned index;
        int fd;
        sd_event_source *source; /* owned */
        bool carrier;
        LogRate log_rate;
        Stranger stranger;
        uint64_t answered_usec; /* a node that is none of ours, last */

        LinkOut out;
} TransportLink;

typedef struct TransportChannel {
        Transport *transport; /* weak */
        uint32_t node;
        unsigned link;
        DtlsClass class;
        Channel channel;
        uint32_t next_message;
        LinkMeter meter; /* of class membership */
        Reassembly reassembly;
} TransportChannel;

typedef struct TransportPeer {
        ClusterNode conf;
        TransportProblem problem;
        uint64_t answered_usec; /* something came from its address */
        uint64_t incarnation;
        uint8_t gasp_hash[GASP_HASH_BYTES];
        LinkFacts links[CLUSTER_LINKS_MAX];
        LinkSize sizes[CLUSTER_LINKS_MAX];
        uint64_t deaf_since_usec[CLUSTER_LINKS_MAX]; /* since when it says so; 0: it hears us */
        TransportChannel *channels;                  /* owned: n_links * DTLS_CLASSES_MAX */
} TransportPeer;

struct Transport {
        sd_event *event; /* weak */
        TransportConfig config;
        DtlsContext *dtls; /* owned */
        uint8_t gasp_hash[GASP_HASH_BYTES];
        uint64_t failure_usec, fresh_usec;

        unsigned n_links;
        TransportLink *links; /* owned */
        TransportPeer peers[NODE_ID_MAX];
        NodeSet peer_set;

        Carrier *carrier;       /* owned */
        sd_event_source *timer; /* owned */
        uint64_t due_usec;      /* of the timer */
        TransportCounters counters;

        struct mmsghdr in[RECEIVE_BATCH];
        struct iovec in_iov[RECEIVE_BATCH];
        struct sockaddr_storage in_address[RECEIVE_BATCH];
        OffloadControl in_control[RECEIVE_BATCH];
        uint8_t in_data[RECEIVE_BATCH][OFFLOAD_PACKET_BYTES_MAX];
};

static TransportPeer *peer_of(Transport *t, uint32_t id) {
        return node_set_contains(t->peer_set, id) ? &t->peers[id - 1] : NULL;
}

static TransportChannel *channel_of(Transport *t, TransportPeer *p, unsigned link, DtlsClass class) {
        return &p->channels[link * DTLS_CLASSES_MAX + class];
}

static void set_problem(Transport *t, uint32_t node, TransportProblem problem) {
        TransportPeer *p = peer_of(t, node);

        if (p->problem == problem)
                return;
        p->problem = problem;
        t->config.handlers->problem(t->config.userdata, node, problem);
}

/* ---- Out ---- */

static void link_flush(TransportLink *l) {
        LinkOutResult result = link_out_flush(&l->out, l->fd);
        uint32_t n_held;

        l->transport->counters.n_sent += result.n_sent;
        l->transport->counters.n_send_failed += result.n_failed;
        if (result.n_failed > 0 && log_rate_pass(&l->log_rate, now_boottime_usec(), &n_held))
                log_line_errno(LOG_WARNING,
                               result.error,
                               "cannot send on link %u: %m (and %u times more), going on with what is left",
                               l->index,
                               n_held);
}

void transport_flush(Transport *t) {
        for (unsigned i = 0; i < t->n_links; i++)
                link_flush(&t->links[i]);
}

/* Room for one datagram to the node, with its outer header written. Those of membership are never joined
 * with others: they find out what passes the path, of which a packet of several tells nothing (R10). So
 * where something does not pass, all go alone. */
static uint8_t *link_queue(Transport *t, TransportChannel *c, PacketKind kind) {
        TransportLink *l = &t->links[c->link];
        const TransportPeer *p = &t->peers[c->node - 1];
        bool alone = c->class == DTLS_CLASS_MEMBERSHIP ||
                     link_size_bytes(&p->sizes[c->link]) < LINK_SIZE_LONGEST;
        uint8_t *data;

        if (l->out.n == LINK_OUT_MAX)
                link_flush(l);
        data = link_out_begin(&l->out, &p->conf.addresses[c->link], alone);
        packet_header_encode(
                        &(PacketHeader){
                                        .kind = kind,
                                        .class = c->class,
                                        .from = t->config.self,
                                        .to = c->node,
                                        .link = c->link,
                                        .key_id = dtls_context_key_id(t->dtls),
                        },
                        data);
        return data;
}

static void on_channel_send(void *userdata, ChannelOut what, const void *datagram, size_t size_bytes) {
        TransportChannel *c = userdata;
        Transport *t = c->transport;
        uint8_t *data;

        data = link_queue(t, c, what == CHANNEL_OUT_KNOCK ? PACKET_KNOCK : PACKET_DTLS);
        if (size_bytes > 0)
                memcpy(data + PACKET_HEADER_BYTES, datagram, size_bytes);
        link_out_commit(&t->links[c->link].out, PACKET_HEADER_BYTES + size_bytes);
}

static uint8_t links_heard(const Transport *t, const TransportPeer *p, uint64_t now_usec) {
        uint8_t heard = 0;

        for (unsigned i = 0; i < t->n_links; i++)
                if (link_is_heard(&p->links[i], now_usec, t->fresh_usec))
                        heard |= (uint8_t) (1U << i);
        return heard;
}

/* What we want to be heard on: not where what we send is lost, since both ends have to confirm a link. */
static uint8_t links_offered(const Transport *t, const TransportPeer *p, uint64_t now_usec) {
        uint8_t heard = links_heard(t, p, now_usec);

        for (unsigned i = 0; i < t->n_links; i++)
                if (p->sizes[i].dead)
                        heard &= (uint8_t) ~(1U << i);
        return heard;
}

/* Of the longest datagram of a message. Only those of membership are padded, whose echoes tell what became
 * of them. */
static uint32_t datagram_bytes(TransportChannel *c, size_t size_bytes) {
        LinkSize *size = &c->transport->peers[c->node - 1].sizes[c->link];
        uint32_t bytes = (uint32_t) MIN(size_bytes + PACKET_OVERHEAD_BYTES, (size_t) LINK_SIZE_LONGEST);

        return c->class == DTLS_CLASS_MEMBERSHIP ? link_size_next(size, bytes)
                                                 : MIN(bytes, link_size_bytes(size));
}

static void channel_send(TransportChannel *c, const void *data, size_t size_bytes, uint64_t now_usec) {
        Transport *t = c->transport;
        TransportPeer *p = &t->peers[c->node - 1];
        uint32_t longest = datagram_bytes(c, size_bytes), full = longest - PACKET_OVERHEAD_BYTES;
        uint32_t n_segments, sent_bytes = 0;
        PacketInside inside = {
                .from = t->config.self,
                .to = c->node,
                .link = c->link,
                .class = c->class,
                .incarnation = t->config.incarnation,
                .links_heard = links_offered(t, p, now_usec),
                .message = c->next_message++,
                .echo = link_meter_echo(&c->meter, now_usec),
        };

        /* Padded: there is less in it than its datagram was to hold. */
        if (full > size_bytes)
                inside.padding_bytes = (uint16_t) (full - size_bytes);
        inside.full_bytes = (uint16_t) MAX(full, PACKET_PAYLOAD_MIN);
        n_segments = packet_segments(size_bytes, inside.full_bytes);
        inside.n_segments = (uint16_t) n_segments;
        memcpy(inside.gasp_hash, t->gasp_hash, GASP_HASH_BYTES);
        link_meter_sent(&c->meter, inside.message, now_usec);
        for (uint32_t i = 0; i < n_segments; i++) {
                size_t offset = (size_t) i * inside.full_bytes,
                       n = MIN(size_bytes - offset, (size_t) inside.full_bytes);
                uint8_t plain[PACKET_INSIDE_BYTES + PACKET_PAYLOAD_MAX], *out;
                int r;

                inside.segment = (uint16_t) i;
                packet_inside_encode(&inside, plain);
                if (n > 0)
                        memcpy(plain + PACKET_INSIDE_BYTES, (const uint8_t *) data + offset, n);
                memset(plain + PACKET_INSIDE_BYTES + n, 0, inside.padding_bytes);
                out = link_queue(t, c, PACKET_DTLS);
                r =
                                channel_seal(&c->channel,
                                             plain,
                                             PACKET_INSIDE_BYTES + n + inside.padding_bytes,
                                             out + PACKET_HEADER_BYTES,
                                             PACKET_BYTES_MAX - PACKET_HEADER_BYTES);
                if (r < 0)
                        break;
                link_out_commit(&t->links[c->link].out, PACKET_HEADER_BYTES + (size_t) r);
                sent_bytes = MAX(sent_bytes, PACKET_HEADER_BYTES + (uint32_t) r);
        }
        if (c->class == DTLS_CLASS_MEMBERSHIP)
                link_size_sent(&p->sizes[c->link], inside.message, sent_bytes);
        else
                link_size_busy(&p->sizes[c->link], sent_bytes);
}

static void refresh_usable(Transport *t, TransportPeer *p) {
        for (unsigned i = 0; i < t->n_links; i++) {
                p->links[i].usable =
                                t->links[i].carrier &&
                                channel_is_established(&channel_of(t, p, i, DTLS_CLASS_MEMBERSHIP)->channel);
                p->links[i].dead = p->sizes[i].dead;
                p->links[i].doubtful = link_size_is_doubtful(&p->sizes[i]);
        }
}

void transport_send(Transport *t, NodeSet to, DtlsClass class, const void *data, size_t size_bytes) {
        uint64_t now_usec = now_boottime_usec();

        assert(size_bytes <= PACKET_MESSAGE_MAX);

        NODE_SET_FOREACH(id, to & t->peer_set) {
                TransportPeer *p = peer_of(t, id);

                refresh_usable(t, p);
                if (class == DTLS_CLASS_MEMBERSHIP) {
                        /* The clock is read anew: sealing for the others takes longer than a fast link. */
                        for (unsigned i = 0; i < t->n_links; i++)
                                channel_send(channel_of(t, p, i, class),
                                             data,
                                             size_bytes,
                                             now_boottime_usec());
                } else {
                        int link = link_choose(p->links, t->n_links, now_usec, t->fresh_usec);
                        if (link >= 0)
                                channel_send(channel_of(t, p, (unsigned) link, class),
                                             data,
                                             size_bytes,
                                             now_usec);
                }
        }
}

/* ---- In ---- */

/* A handshake that a datagram began is over sooner than anything the timer was set for. */
static void wake_for(Transport *t, const TransportChannel *c, uint64_t now_usec) {
        uint64_t usec = MAX(channel_wakeup_usec(&c->channel), now_usec + TICK_MIN_USEC);

        if (usec >= t->due_usec)
                return;
        t->due_usec = usec;
        (void) event_timer_at(t->timer, usec);
}

static void take_incarnation(Transport *t, TransportPeer *p, uint64_t incarnation) {
        if (p->incarnation == incarnation)
                return;
        p->incarnation = incarnation;
        for (unsigned i = 0; i < t->n_links; i++) {
                link_meter_forget(&channel_of(t, p, i, DTLS_CLASS_MEMBERSHIP)->meter);
                link_size_forget(&p->sizes[i]);
        }
}

static void take_links_heard(Transport *t, TransportPeer *p, uint8_t links_heard, uint64_t now_usec) {
        for (unsigned i = 0; i < t->n_links; i++) {
                p->links[i].heard_by_peer = links_heard & (1U << i);
                if (p->links[i].heard_by_peer)
                        p->deaf_since_usec[i] = 0;
                else if (p->deaf_since_usec[i] == 0)
                        p->deaf_since_usec[i] = now_usec;
        }
}

/* By the first segment of each: every message has one, and the seal lets none in twice. */
static void measure(TransportChannel *c, const PacketInside *inside, uint64_t now_usec) {
        if (c->class != DTLS_CLASS_MEMBERSHIP || inside->segment != 0)
                return;
        link_meter_received(&c->meter, inside->message, now_usec);
        link_meter_echoed(&c->meter, inside->echo, now_usec);
        if (inside->echo.held_usec != UINT32_MAX)
                (void) link_size_echoed(
                                &c->transport->peers[c->node - 1].sizes[c->link],
                                inside->echo.message,
                                inside->echo.came);
}

static void deliver(TransportChannel *c, const uint8_t *plain, size_t size_bytes, uint64_t now_usec) {
        Transport *t = c->transport;
        TransportPeer *p = &t->peers[c->node - 1];
        _cleanup_(buffer_unrefp) Buffer *buffer = NULL;
        PacketInside inside;
        const uint8_t *payload = plain + PACKET_INSIDE_BYTES;

        /* The seal vouches for the session; that it is the right session stands inside once more. */
        if (packet_inside_decode(plain, size_bytes, &inside) < 0 || inside.from != c->node ||
            inside.to != t->config.self || inside.link != c->link || inside.class != c->class) {
                t->counters.n_dropped++;
                return;
        }
        size_bytes -= PACKET_INSIDE_BYTES + inside.padding_bytes;

        p->links[c->link].heard_usec = now_usec;
        take_incarnation(t, p, inside.incarnation);
        memcpy(p->gasp_hash, inside.gasp_hash, GASP_HASH_BYTES);
        take_links_heard(t, p, inside.links_heard, now_usec);
        measure(c, &inside, now_usec);
        set_problem(t, c->node, TRANSPORT_PROBLEM_NONE);
        /* What passes it one way only, and only when it is short, is no link between members (R10). */
        if (c->class == DTLS_CLASS_MEMBERSHIP && p->sizes[c->link].dead)
                return;

        if (inside.n_segments == 1) {
                buffer = buffer_new_copy(payload, size_bytes);
                if (!buffer)
                        return;
        } else if (reassembly_add(&c->reassembly, &inside, payload, size_bytes, &buffer) <= 0) {
                return;
        }
        t->config.handlers->message(t->config.userdata, c->node, c->link, c->class, buffer);
}

/* Was it this peer's? */
static bool
on_gasp(Transport *t, TransportPeer *p, uint32_t node, const uint8_t *secret, size_t size_bytes) {
        uint8_t digest[DTLS_DIGEST_BYTES];

        if (size_bytes != GASP_SECRET_BYTES || p->incarnation == 0 ||
            dtls_digest(secret, size_bytes, digest) < 0 ||
            memcmp(digest, p->gasp_hash, GASP_HASH_BYTES) != 0)
                return false;
        /* Once for each incarnation: what is known of it is void now. */
        memset(p->gasp_hash, 0, sizeof(p->gasp_hash));
        t->config.handlers->last_gasp(t->config.userdata, node, TAKE_GENERIC(p->incarnation, uint64_t, 0));
        return true;
}

/* Whose address on this link it is, or NULL. */
static TransportPeer *peer_at(Transport *t, unsigned link, const ClusterAddress *address) {
        NODE_SET_FOREACH(id, t->peer_set)
                if (cluster_address_equal(address, &t->peers[id - 1].conf.addresses[link]))
                        return &t->peers[id - 1];
        return NULL;
}

static void on_bad(TransportLink *l, const struct sockaddr_storage *address, uint64_t now_usec) {
        const ClusterAddress *from = (const ClusterAddress *) address;
        const TransportPeer *p = peer_at(l->transport, l->index, from);

        l->transport->counters.n_bad++;
        if (p)
                stranger_forged(&l->stranger, p->conf.name, from, now_usec);
        else
                stranger_seen(&l->stranger, from, false, now_usec);
}

static void
on_other_key(TransportLink *l,
             TransportPeer *p,
             TransportChannel *c,
             const struct sockaddr_storage *address,
             uint64_t now_usec) {
        Transport *t = l->transport;

        /* Whoever is heard has our key: somebody else said this. */
        if (links_heard(t, p, now_usec) != 0) {
                on_bad(l, address, now_usec);
                return;
        }
        set_problem(t, c->node, TRANSPORT_PROBLEM_KEY);
        /* The answer names our key, so that the other end can say so as well. */
        if (usec_sub(now_usec, c->channel.knocked_usec) < CHANNEL_RETRY_MAX_USEC)
                return;
        c->channel.knocked_usec = now_usec;
        on_channel_send(c, CHANNEL_OUT_KNOCK, NULL, 0);
}

/* Nothing of it is understood but that it is there. Of one who is heard somebody else said it; and who says
 * now this and now that is told of once. */
static void on_other_version(TransportLink *l, const struct sockaddr_storage *address, uint64_t now_usec) {
        Transport *t = l->transport;
        const ClusterAddress *from = (const ClusterAddress *) address;
        TransportPeer *p = peer_at(t, l->index, from);

        if (p && links_heard(t, p, now_usec) != 0) {
                on_bad(l, address, now_usec);
                return;
        }
        t->counters.n_bad++;
        if (!p)
                stranger_seen(&l->stranger, from, true, now_usec);
        else if (p->problem == TRANSPORT_PROBLEM_NONE)
                set_problem(t, p->conf.id, TRANSPORT_PROBLEM_VERSION);
}

/* Whoever has our key and is no node (any more) has an older cluster.conf, and would wait for ever without a
 * word. Anybody can send what asks for this: it is as short as that, and rare. */
static void
answer_stranger(TransportLink *l,
                const struct sockaddr_storage *address,
                const PacketHeader *h,
                uint64_t now_usec) {
        const ClusterAddress *to = (const ClusterAddress *) address;
        uint8_t data[PACKET_HEADER_BYTES];

        if (h->key_id != dtls_context_key_id(l->transport->dtls) || h->kind == PACKET_NO_NODE ||
            h->kind == PACKET_LAST_GASP || usec_sub(now_usec, l->answered_usec) < CHANNEL_RETRY_MAX_USEC)
                return;
        l->answered_usec = now_usec;
        packet_header_encode(
                        &(PacketHeader){
                                        .kind = PACKET_NO_NODE,
                                        .class = h->class,
                                        .from = l->transport->config.self,
                                        .to = h->from,
                                        .link = l->index,
                                        .key_id = h->key_id,
                        },
                        data);
        (void) sendto(l->fd,
                      data,
                      sizeof(data),
                      MSG_DONTWAIT | MSG_NOSIGNAL,
                      &to->sa,
                      cluster_address_length(to));
}

/* From the peer's own socket, which another process there cannot send from. hagcd is dead when its last gasp
 * comes, and that has its secret. */
static bool is_from(const struct sockaddr_storage *address, const ClusterAddress *peer, PacketKind kind) {
        const ClusterAddress *a = (const ClusterAddress *) address;

        return cluster_address_equal(a, peer) &&
               (kind == PACKET_LAST_GASP || cluster_address_port(a) == cluster_address_port(peer));
}

/* True: some of it could be opened. */
static bool on_dtls(Transport *t, TransportChannel *c, const uint8_t *data, size_t n, uint64_t now_usec) {
        uint8_t plain[PACKET_BYTES_MAX];
        size_t k, n_read = 0;

        channel_feed(&c->channel, data, n, now_usec);
        wake_for(t, c, now_usec);
        while ((k = channel_read(&c->channel, plain, sizeof(plain), now_usec)) > 0) {
                deliver(c, plain, k, now_usec);
                n_read++;
        }
        return n_read > 0 || c->channel.read_usec == now_usec;
}

static void
on_datagram(TransportLink *l, const struct sockaddr_storage *address, const uint8_t *data, size_t n) {
        Transport *t = l->transport;
        uint64_t now_usec = now_boottime_usec();
        PacketHeader h;
        TransportPeer *p;
        TransportChannel *c;
        bool lacks_nothing, good = true;

        if (packet_is_of_other_version(data, n)) {
                on_other_version(l, address, now_usec);
                return;
        }
        if (packet_header_decode(data, n, &h) < 0 || h.to != t->config.self || h.link != l->index ||
            !node_id_is_valid(h.from)) {
                on_bad(l, address, now_usec);
                return;
        }
        p = peer_of(t, h.from);
        if (!p || !is_from(address, &p->conf.addresses[l->index], h.kind)) {
                on_bad(l, address, now_usec);
                answer_stranger(l, address, &h, now_usec);
                return;
        }
        c = channel_of(t, p, l->index, h.class);
        data += PACKET_HEADER_BYTES;
        n -= PACKET_HEADER_BYTES;
        p->answered_usec = now_usec;

        if (h.key_id != dtls_context_key_id(t->dtls)) {
                on_other_key(l, p, c, address, now_usec);
                return;
        }
        /* Then it has no reason to begin anew, and what it says can be opened. */
        lacks_nothing = channel_is_established(&c->channel) && links_heard(t, p, now_usec) != 0;
        switch (h.kind) {
        case PACKET_KNOCK:
                good = !lacks_nothing;
                channel_knocked(&c->channel, now_usec);
                wake_for(t, c, now_usec);
                break;
        case PACKET_NO_NODE:
                /* Of one who is heard somebody else said it. */
                good = links_heard(t, p, now_usec) == 0;
                if (good && p->problem == TRANSPORT_PROBLEM_NONE)
                        set_problem(t, h.from, TRANSPORT_PROBLEM_NO_NODE);
                break;
        case PACKET_LAST_GASP:
                good = on_gasp(t, p, h.from, data, n);
                break;
        case PACKET_DTLS:
                good = on_dtls(t, c, data, n, now_usec) || !lacks_nothing;
                break;
        }
        if (!good)
                on_bad(l, address, now_usec);
}

/* Once: at rest a node is woken for one datagram at a time, many times a second. */
static void prepare_receive(Transport *t) {
        for (unsigned i = 0; i < RECEIVE_BATCH; i++) {
                t->in_iov[i] = (struct iovec){ .iov_base = t->in_data[i], .iov_len = sizeof(t->in_data[i]) };
                t->in[i].msg_hdr = (struct msghdr){
                        .msg_name = &t->in_address[i],
                        .msg_namelen = sizeof(t->in_address[i]),
                        .msg_iov = &t->in_iov[i],
                        .msg_iovlen = 1,
                        .msg_control = &t->in_control[i],
                        .msg_controllen = sizeof(t->in_control[i]),
                };
        }
}

/* One packet, or several that came as one. */
static void on_received(TransportLink *l, unsigned i) {
        Transport *t = l->transport;
        struct msghdr *m = &t->in[i].msg_hdr;
        size_t left = t->in[i].msg_len, each = offload_datagram_bytes(m, left);
        const uint8_t *data = t->in_data[i];

        do {
                size_t n = MIN(left, each);

                t->counters.n_received++;
                if (n > PACKET_BYTES_MAX || (m->msg_flags & MSG_TRUNC))
                        on_bad(l, &t->in_address[i], now_boottime_usec());
                else
                        on_datagram(l, &t->in_address[i], data, n);
                data += n;
                left -= n;
        } while (left > 0);
        /* All that recvmmsg() changes of what it is given. */
        m->msg_namelen = sizeof(t->in_address[i]);
        m->msg_controllen = sizeof(t->in_control[i]);
}

static int on_readable(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        TransportLink *l = userdata;
        Transport *t = l->transport;
        uint64_t before = t->counters.n_received;

        for (unsigned round = 0;
             round < RECEIVE_ROUNDS_MAX && t->counters.n_received - before < RECEIVE_DATAGRAMS_MAX;
             round++) {
                int n = recvmmsg(fd, t->in, RECEIVE_BATCH, MSG_DONTWAIT, NULL);

                if (n <= 0)
                        break; /* an error of an earlier send, or nothing there */
                for (int i = 0; i < n; i++)
                        on_received(l, (unsigned) i);
                /* Once for all of them: what they bring about goes out together. */
                t->config.handlers->settle(t->config.userdata);
                if (n < (int) RECEIVE_BATCH)
                        break;
        }
        transport_flush(t);
        return 0;
}

/* ---- Time, carrier ---- */

static void check_handshakes(Transport *t, uint32_t id, TransportPeer *p, uint64_t now_usec) {
        if (p->problem != TRANSPORT_PROBLEM_NONE || usec_sub(now_usec, p->answered_usec) > USEC_PER_SEC)
                return;
        for (unsigned i = 0; i < t->n_links * DTLS_CLASSES_MAX; i++)
                if (channel_is_established(&p->channels[i].channel) ||
                    p->channels[i].channel.n_failed < HANDSHAKES_FAILED_MAX ||
                    !p->channels[i].channel.client)
                        return;
        set_problem(t, id, TRANSPORT_PROBLEM_HANDSHAKE);
}

static int on_timer(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Transport *t = userdata;
        uint64_t now_usec = now_boottime_usec(), next_usec = now_usec + USEC_PER_SEC;

        NODE_SET_FOREACH(id, t->peer_set) {
                TransportPeer *p = peer_of(t, id);

                for (unsigned i = 0; i < t->n_links * DTLS_CLASSES_MAX; i++) {
                        channel_tick(&p->channels[i].channel, now_usec);
                        next_usec = MIN(next_usec, channel_wakeup_usec(&p->channels[i].channel));
                }
                check_handshakes(t, id, p, now_usec);
        }
        transport_flush(t);
        t->due_usec = MAX(next_usec, now_usec + TICK_MIN_USEC);
        return event_timer_at(t->timer, t->due_usec);
}

static void on_carrier(void *userdata, unsigned link, bool carrier) {
        Transport *t = userdata;

        t->links[link].carrier = carrier;
        t->config.handlers->carrier(t->config.userdata, link, carrier);
}

/* ---- Making ---- */

static int set_buffer(int fd, int forced, int plain) {
        int n = SOCKET_BUFFER_BYTES;

        if (setsockopt(fd, SOL_SOCKET, forced, &n, sizeof(n)) >= 0)
                return 0;
        return setsockopt(fd, SOL_SOCKET, plain, &n, sizeof(n)) < 0 ? -errno : 0;
}

static int open_socket(const ClusterAddress *own, int *ret) {
        _cleanup_close_ int fd = -EBADF;
        bool v6 = own->sa.sa_family == AF_INET6;
        int one = 1, r;

        fd = socket(own->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        r = set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
        if (r >= 0)
                r = set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
        if (r < 0)
                return r;
        if (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
                return -errno;
        /* At boot the address may come later than we do. */
        if (setsockopt(fd,
                       v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                       v6 ? IPV6_FREEBIND : IP_FREEBIND,
                       &one,
                       sizeof(one)) < 0)
                return -errno;
        if (bind(fd, &own->sa, cluster_address_length(own)) < 0)
                return -errno;
        offload_receive(fd);
        *ret = TAKE_FD(fd);
        return 0;
}

static int open_link_socket(const ClusterConf *conf, const ClusterNode *self, unsigned link, int *ret) {
        char text[CLUSTER_ADDRESS_TEXT_MAX];
        int r;

        r = open_socket(&self->addresses[link], ret);
        if (r < 0)
                return log_error_errno(
                                r,
                                "cannot open link %u at %s, port %u: %m%s",
                                link,
                                cluster_address_format(&self->addresses[link], text),
                                conf->port + link,
                                r == -EADDRINUSE ? "; does another hagcd run?" : "");
        return 0;
}

int transport_probe(const ClusterConf *conf, const ClusterNode *self) {
        for (unsigned i = 0; i < conf->n_links; i++) {
                _cleanup_close_ int fd = -EBADF;
                int r = open_link_socket(conf, self, i, &fd);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int link_open(Transport *t, unsigned i, const ClusterNode *self) {
        TransportLink *l = &t->links[i];
        int r;

        r = open_link_socket(t->config.conf, self, i, &l->fd);
        if (r < 0)
                return r;
        return event_io_new(t->event, "link", l->fd, EPOLLIN, on_readable, l, &l->source);
}

static void channel_begin(Transport *t, TransportPeer *p, unsigned link, DtlsClass class) {
        TransportChannel *c = channel_of(t, p, link, class);
        uint32_t self = t->config.self, node = p->conf.id;
        DtlsIdentity identity = {
                .client_id = MIN(self, node),
                .server_id = MAX(self, node),
                .link = link,
                .class = class,
        };

        *c = (TransportChannel){ .transport = t, .node = node, .link = link, .class = class };
        link_meter_init(&c->meter);
        /* Bulk may be silent for long; only heartbeats show that a session died. */
        channel_init(&c->channel,
                     t->dtls,
                     &identity,
                     self < node,
                     class == DTLS_CLASS_MEMBERSHIP ? t->failure_usec : USEC_INFINITY / 2,
                     on_channel_send,
                     c);
}

static int add_peer(Transport *t, const ClusterNode *node) {
        TransportPeer *p = &t->peers[node->id - 1];

        assert(node->id != t->config.self);
        assert(!node_set_contains(t->peer_set, node->id));

        *p = (TransportPeer){ .conf = *node };
        p->channels = calloc(t->n_links * DTLS_CLASSES_MAX, sizeof(TransportChannel));
        if (!p->channels)
                return -ENOMEM;
        for (unsigned link = 0; link < t->n_links; link++)
                link_size_init(&p->sizes[link]);
        node_set_add(&t->peer_set, node->id);
        for (unsigned link = 0; link < t->n_links; link++)
                for (unsigned class = 0; class < DTLS_CLASSES_MAX; class ++)
                        channel_begin(t, p, link, (DtlsClass) class);
        return 0;
}

static void remove_peer(Transport *t, uint32_t id) {
        TransportPeer *p = peer_of(t, id);

        if (!p)
                return;
        transport_flush(t); /* what was said to it before */
        for (unsigned i = 0; i < t->n_links * DTLS_CLASSES_MAX; i++) {
                channel_done(&p->channels[i].channel);
                reassembly_done(&p->channels[i].reassembly);
        }
        free(p->channels);
        *p = (TransportPeer){ 0 };
        node_set_remove(&t->peer_set, id);
}

static const ClusterNode *peer_in(const ClusterConf *running, const ClusterConf *wanted, uint32_t id) {
        const ClusterNode *node = cluster_conf_node_by_id(running, id);

        return node || !wanted ? node : cluster_conf_node_by_id(wanted, id);
}

int transport_set_peers(Transport *t, const ClusterConf *running, const ClusterConf *wanted) {
        int r = 0;

        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++) {
                const ClusterNode *node = peer_in(running, wanted, id);
                const TransportPeer *p = peer_of(t, id);

                if (id == t->config.self)
                        continue;
                if (p && (!node || !cluster_node_same(&p->conf, node, t->n_links)))
                        remove_peer(t, id);
                if (node && !peer_of(t, id)) {
                        int k = add_peer(t, node);

                        r = k < 0 ? k : r;
                }
        }
        if (!t->timer)
                return r;
        t->due_usec = now_boottime_usec();
        (void) event_timer_at(t->timer, t->due_usec);
        return r;
}

int transport_new(sd_event *event, const TransportConfig *config, Transport **ret) {
        _cleanup_(transport_freep) Transport *t = NULL;
        const ClusterNode *self = cluster_conf_node_by_id(config->conf, config->self);
        uint8_t digest[DTLS_DIGEST_BYTES];
        int r;

        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->event = event;
        t->config = *config;
        t->config.key = NULL;
        t->n_links = config->conf->n_links;
        t->failure_usec = config->conf->failure_usec;
        prepare_receive(t);
        t->fresh_usec =
                        MAX(config->conf->failure_usec / 2,
                            2 * config->conf->heartbeat_usec + 20 * USEC_PER_MSEC);
        r = dtls_context_new(config->key->bytes, CLUSTER_KEY_BYTES, &t->dtls);
        if (r < 0)
                return r;
        r = dtls_digest(config->gasp_secret, GASP_SECRET_BYTES, digest);
        if (r < 0)
                return r;
        memcpy(t->gasp_hash, digest, GASP_HASH_BYTES);
        t->config.gasp_secret = NULL;

        t->links = calloc(t->n_links, sizeof(TransportLink));
        if (!t->links)
                return -ENOMEM;
        for (unsigned i = 0; i < t->n_links; i++)
                t->links[i] = (TransportLink){
                        .transport = t,
                        .index = i,
                        .fd = -EBADF,
                        .carrier = true,
                        .log_rate = { .interval_usec = 10 * USEC_PER_SEC, .burst = 1 },
                        .stranger = stranger_make(i),
                };
        for (unsigned i = 0; i < t->n_links; i++) {
                r = link_open(t, i, self);
                if (r < 0)
                        return r;
        }
        r = transport_set_peers(t, config->conf, NULL);
        if (r < 0)
                return r;
        r = event_timer_new(event, "transport", on_timer, t, &t->timer);
        if (r < 0)
                return r;
        r = carrier_new(event, self->addresses, t->n_links, on_carrier, t, &t->carrier);
        if (r < 0)
                return log_error_errno(r, "cannot watch the network interfaces: %m");
        t->config.conf = NULL;

        *ret = TAKE_PTR(t);
        return 0;
}

int transport_start(Transport *t) {
        carrier_check(t->carrier);
        return event_timer_in(t->timer, 0);
}

Transport *transport_free(Transport *t) {
        if (!t)
                return NULL;
        (void) carrier_free(t->carrier);
        (void) sd_event_source_disable_unref(t->timer);
        NODE_SET_FOREACH(id, t->peer_set)
                remove_peer(t, id);
        for (unsigned i = 0; t->links && i < t->n_links; i++) {
                (void) sd_event_source_disable_unref(t->links[i].source);
                t->links[i].fd = safe_close(t->links[i].fd);
        }
        free(t->links);
        (void) dtls_context_free(t->dtls);
        free(t);
        return NULL;
}

/* ---- Status ---- */

uint64_t transport_links(const Transport *t, uint32_t node) {
        uint64_t now_usec = now_boottime_usec(), links = 0;

        if (!node_set_contains(t->peer_set, node))
                return 0;
        for (unsigned i = 0; i < t->n_links; i++) {
                LinkFacts facts = t->peers[node - 1].links[i];

                facts.usable = t->links[i].carrier;
                facts.dead = t->peers[node - 1].sizes[i].dead;
                if (link_carries(&facts, now_usec, t->fresh_usec))
                        links |= UINT64_C(1) << i;
        }
        return links;
}

void transport_link_view(const Transport *t, uint32_t node, unsigned link, TransportLinkView *ret) {
        const TransportPeer *p = &t->peers[node - 1];
        LinkFacts facts = p->links[link];
        const LinkMeter *meter = &p->channels[link * DTLS_CLASSES_MAX + DTLS_CLASS_MEMBERSHIP].meter;
        uint64_t now_usec = now_boottime_usec();

        assert(node_set_contains(t->peer_set, node));
        assert(link < t->n_links);

        facts.usable = t->links[link].carrier;
        *ret = (TransportLinkView){
                .carrier = t->links[link].carrier,
                .deaf_usec = p->deaf_since_usec[link] == 0 ? 0
                                                           : usec_sub(now_usec, p->deaf_since_usec[link]),
                .rtt_usec = link_is_heard(&facts, now_usec, t->fresh_usec) ? meter->rtt_usec : USEC_INFINITY,
                .n_received = meter->n_received,
                .n_lost = meter->n_lost,
                .heard = link_is_heard(&facts, now_usec, t->fresh_usec),
                .size_bytes = p->sizes[link].dead ? 0 : link_size_bytes(&p->sizes[link]),
                .size_settled = link_size_is_settled(&p->sizes[link]),
        };
}

TransportProblem transport_problem(const Transport *t, uint32_t node) {
        return node_set_contains(t->peer_set, node) ? t->peers[node - 1].problem : TRANSPORT_PROBLEM_NONE;
}

void transport_get_counters(const Transport *t, TransportCounters *ret) {
        *ret = t->counters;
}
