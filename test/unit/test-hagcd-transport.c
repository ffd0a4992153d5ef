/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The transport on loopback, and a peer that is a socket, two sessions and nothing else, so that it is seen
 * in which packets the kernel got what was sent. */

#include <glib.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/time-util.h"
#include "hagcd/channel.h"
#include "hagcd/offload.h"
#include "hagcd/transport.h"
#include "shared/log.h"

#define SELF 1U
#define PEER 2U
#define TURNS_MAX 1000U

typedef struct Fixture {
        sd_event *event; /* owned */
        ClusterConf *conf;
        Transport *transport;
        ClusterKey key;
        DtlsContext *context;
        Channel channels[DTLS_CLASSES_MAX]; /* the peer's ends */
        int peer_fd;
        uint32_t n_said;
        size_t passes_bytes; /* longer ones are lost on their way to it; 0: none */
        uint32_t came;       /* bit i: message i of membership */

        unsigned n_messages, n_settled;
        unsigned n_packets[DTLS_CLASSES_MAX], n_datagrams[DTLS_CLASSES_MAX]; /* that the peer got */
} Fixture;

static void on_message(void *userdata, uint32_t from, unsigned link, DtlsClass class, Buffer *buffer) {
        Fixture *f = userdata;

        f->n_messages++;
}

static void on_carrier(void *userdata, unsigned link, bool carrier) {
}

static void on_last_gasp(void *userdata, uint32_t from, uint64_t incarnation) {
}

static void on_problem(void *userdata, uint32_t node, TransportProblem problem) {
}

static void on_settle(void *userdata) {
        Fixture *f = userdata;

        f->n_settled++;
}

static const TransportHandlers handlers = {
        .message = on_message,
        .carrier = on_carrier,
        .last_gasp = on_last_gasp,
        .problem = on_problem,
        .settle = on_settle,
};

/* ---- The peer ---- */

static size_t head(Fixture *f, PacketKind kind, DtlsClass class, uint8_t *buf) {
        packet_header_encode(
                        &(PacketHeader){ .kind = kind,
                                         .class = class,
                                         .from = PEER,
                                         .to = SELF,
                                         .key_id = dtls_context_key_id(f->context) },
                        buf);
        return PACKET_HEADER_BYTES;
}

static void peer_send(Fixture *f, const void *data, size_t n) {
        const ClusterAddress *to = &f->conf->nodes[0].addresses[0];

        g_assert_cmpint(sendto(f->peer_fd, data, n, 0, &to->sa, cluster_address_length(to)),
                        ==,
                        (ssize_t) n);
}

static void channel_sends(Fixture *f, DtlsClass class, ChannelOut what, const void *data, size_t n) {
        uint8_t buf[PACKET_BYTES_MAX];
        size_t h = head(f, what == CHANNEL_OUT_KNOCK ? PACKET_KNOCK : PACKET_DTLS, class, buf);

        g_assert_cmpuint(n, <=, sizeof(buf) - h);
        if (n > 0)
                memcpy(buf + h, data, n);
        peer_send(f, buf, h + n);
}

static void on_membership_send(void *userdata, ChannelOut what, const void *data, size_t n) {
        channel_sends(userdata, DTLS_CLASS_MEMBERSHIP, what, data, n);
}

static void on_bulk_send(void *userdata, ChannelOut what, const void *data, size_t n) {
        channel_sends(userdata, DTLS_CLASS_BULK, what, data, n);
}

/* The newest message of membership that came, and which of those before it did. */
static PacketEcho echo_of(const Fixture *f) {
        PacketEcho echo = PACKET_NO_ECHO;

        for (uint32_t i = 0; i < 32; i++)
                if (f->came & UINT32_C(1) << i)
                        echo = (PacketEcho){ .message = i };
        for (uint32_t i = 0; i < echo.message; i++)
                if (f->came & UINT32_C(1) << i)
                        echo.came |= UINT32_C(1) << (echo.message - i - 1);
        return echo;
}

/* A datagram of membership without content; returns its size. */
static size_t peer_seals(Fixture *f, uint8_t buf[static PACKET_BYTES_MAX]) {
        uint8_t plain[PACKET_INSIDE_BYTES];
        PacketInside inside = {
                .from = PEER,
                .to = SELF,
                .class = DTLS_CLASS_MEMBERSHIP,
                .incarnation = 9,
                .links_heard = 1,
                .message = ++f->n_said,
                .n_segments = 1,
                .full_bytes = PACKET_PAYLOAD_MIN,
                .echo = echo_of(f),
        };
        size_t h = head(f, PACKET_DTLS, DTLS_CLASS_MEMBERSHIP, buf);
        int r;

        packet_inside_encode(&inside, plain);
        r =
                        channel_seal(&f->channels[DTLS_CLASS_MEMBERSHIP],
                                     plain,
                                     sizeof(plain),
                                     buf + h,
                                     PACKET_BYTES_MAX - h);
        g_assert_cmpint(r, >, 0);
        return h + (size_t) r;
}

static void peer_says(Fixture *f) {
        uint8_t buf[PACKET_BYTES_MAX];
        size_t n = peer_seals(f, buf);

        peer_send(f, buf, n);
}

static void hear_plain(Fixture *f, DtlsClass class, const uint8_t *plain, size_t n) {
        PacketInside inside;

        g_assert_cmpint(packet_inside_decode(plain, n, &inside), ==, 0);
        if (class == DTLS_CLASS_MEMBERSHIP && inside.message < 32)
                f->came |= UINT32_C(1) << inside.message;
}

static void hear_datagram(Fixture *f, const uint8_t *data, size_t n) {
        uint8_t plain[PACKET_BYTES_MAX];
        uint64_t now_usec = now_boottime_usec();
        PacketHeader h;
        size_t k;

        g_assert_cmpint(packet_header_decode(data, n, &h), ==, 0);
        f->n_datagrams[h.class]++;
        if (h.kind != PACKET_DTLS || (f->passes_bytes != 0 && n > f->passes_bytes))
                return;
        channel_feed(&f->channels[h.class], data + PACKET_HEADER_BYTES, n - PACKET_HEADER_BYTES, now_usec);
        while ((k = channel_read(&f->channels[h.class], plain, sizeof(plain), now_usec)) > 0)
                hear_plain(f, h.class, plain, k);
}

static void hear(Fixture *f) {
        static uint8_t data[OFFLOAD_PACKET_BYTES_MAX];
        struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
        OffloadControl control;
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
        ssize_t n;

        while (m.msg_controllen = sizeof(control), (n = recvmsg(f->peer_fd, &m, MSG_DONTWAIT)) > 0) {
                size_t each = offload_datagram_bytes(&m, (size_t) n);
                PacketHeader h;

                g_assert_cmpint(packet_header_decode(data, (size_t) n, &h), ==, 0);
                f->n_packets[h.class]++;
                for (size_t at = 0; at < (size_t) n; at += each)
                        hear_datagram(f, data + at, MIN(each, (size_t) n - at));
        }
}

/* ---- The world ---- */

static bool is_connected(const Fixture *f) {
        for (unsigned class = 0; class < DTLS_CLASSES_MAX; class ++)
                if (!channel_is_established(&f->channels[class]))
                        return false;
        return true;
}

static void turn(Fixture *f) {
        while (sd_event_run(f->event, 0) > 0)
                ;
        hear(f);
}

/* Until the transport, too, knows that all is there, and that it is heard. */
static void connect_peer(Fixture *f) {
        for (unsigned i = 0; i < TURNS_MAX && !is_connected(f); i++) {
                (void) sd_event_run(f->event, 10 * USEC_PER_MSEC);
                hear(f);
        }
        g_assert_true(is_connected(f));
        turn(f);
        peer_says(f);
        turn(f);
        g_assert_cmpuint(transport_links(f->transport, PEER), ==, 1);
        memset(f->n_packets, 0, sizeof(f->n_packets));
        memset(f->n_datagrams, 0, sizeof(f->n_datagrams));
}

static int open_at(const ClusterAddress *own) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(bind(fd, &own->sa, cluster_address_length(own)), ==, 0);
        offload_receive(fd);
        return fd;
}

/* An address that this machine has, or the link had no carrier, and a port of this process alone: many may
 * run at once. */
static void configure(Fixture *f) {
        _cleanup_(conf_errors_done) ConfErrors errors = { 0 };
        char text[256];

        (void) snprintf(text,
                        sizeof(text),
                        "[Cluster]\nName=shop\nPort=%u\n"
                        "[Node n1]\nId=1\nAddress=127.0.0.1\n[Node n2]\nId=2\nAddress=127.0.0.2\n",
                        20000 + (unsigned) getpid() % 10000);
        g_assert_cmpint(cluster_conf_parse("cluster.conf", text, strlen(text), &errors, &f->conf), ==, 0);
}

static void set_up(Fixture *f, gconstpointer data) {
        static const uint8_t secret[GASP_SECRET_BYTES] = { 1 };
        static const ChannelSend senders[DTLS_CLASSES_MAX] = {
                [DTLS_CLASS_MEMBERSHIP] = on_membership_send,
                [DTLS_CLASS_BULK] = on_bulk_send,
        };

        log_set_max_level(LOG_EMERG);
        f->key = (ClusterKey){ .id = 1, .bytes = { 1, 2, 3 } };
        configure(f);
        f->peer_fd = open_at(&f->conf->nodes[1].addresses[0]);
        g_assert_cmpint(dtls_context_new(f->key.bytes, CLUSTER_KEY_BYTES, &f->context), ==, 0);
        for (unsigned class = 0; class < DTLS_CLASSES_MAX; class ++)
                channel_init(&f->channels[class],
                             f->context,
                             &(DtlsIdentity){ .client_id = SELF,
                                              .server_id = PEER,
                                              .class = (DtlsClass) class },
                             false,
                             USEC_PER_SEC,
                             senders[class],
                             f);
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(transport_new(f->event,
                                      &(TransportConfig){ .conf = f->conf,
                                                          .self = SELF,
                                                          .incarnation = 7,
                                                          .key = &f->key,
                                                          .gasp_secret = secret,
                                                          .handlers = &handlers,
                                                          .userdata = f },
                                      &f->transport),
                        >=,
                        0);
        g_assert_cmpint(transport_start(f->transport), >=, 0);
}

static void tear_down(Fixture *f, gconstpointer data) {
        f->transport = transport_free(f->transport);
        for (unsigned class = 0; class < DTLS_CLASSES_MAX; class ++)
                channel_done(&f->channels[class]);
        f->context = dtls_context_free(f->context);
        f->event = sd_event_unref(f->event);
        f->peer_fd = safe_close(f->peer_fd);
        f->conf = cluster_conf_free(f->conf);
}

/* ---- Tests ---- */

/* What all of them bring about goes out together. */
static void test_settle(Fixture *f, gconstpointer data) {
        connect_peer(f);
        f->n_messages = f->n_settled = 0;
        for (unsigned i = 0; i < 10; i++)
                peer_says(f);
        turn(f);
        g_assert_cmpuint(f->n_messages, ==, 10);
        g_assert_cmpuint(f->n_settled, ==, 1);
}

static TransportCounters counters_of(const Fixture *f) {
        TransportCounters counters;

        transport_get_counters(f->transport, &counters);
        return counters;
}

/* Of a packet of several each is judged for itself: one that was forged, and one that is cut, cost no other.
 */
static void test_bad_among_good(Fixture *f, gconstpointer data) {
        const ClusterAddress *to = &f->conf->nodes[0].addresses[0];
        uint8_t datagrams[5][PACKET_BYTES_MAX];
        struct mmsghdr messages[5];
        struct iovec iov[5];
        OffloadControl control;
        struct msghdr joined;
        uint64_t n_bad;

        connect_peer(f);
        /* Whoever sends looks at the links, and of one that lacks nothing a bad datagram is noted. */
        transport_send(f->transport, node_set_of(PEER), DTLS_CLASS_MEMBERSHIP, "x", 1);
        f->n_messages = 0;
        n_bad = counters_of(f).n_bad;
        for (unsigned i = 0; i < 5; i++) {
                iov[i] = (struct iovec){ .iov_base = datagrams[i], .iov_len = peer_seals(f, datagrams[i]) };
                messages[i].msg_hdr = (struct msghdr){ .msg_name = (void *) to,
                                                       .msg_namelen = cluster_address_length(to),
                                                       .msg_iov = &iov[i],
                                                       .msg_iovlen = 1 };
        }
        datagrams[1][0] ^= 1;
        datagrams[2][iov[2].iov_len - 1] ^= 1;
        iov[4].iov_len = PACKET_HEADER_BYTES - 1;
        g_assert_cmpuint(offload_join(messages, 5, &joined, &control), ==, 5);
        g_assert_cmpint(sendmsg(f->peer_fd, &joined, 0), >, 0);
        turn(f);
        g_assert_cmpuint(f->n_messages, ==, 2);
        g_assert_cmpuint(counters_of(f).n_bad - n_bad, ==, 3);
}

static unsigned n_packets_of_one(Fixture *f) {
        static const uint8_t message[20000];

        f->n_packets[DTLS_CLASS_BULK] = f->n_datagrams[DTLS_CLASS_BULK] = 0;
        transport_send(f->transport, node_set_of(PEER), DTLS_CLASS_BULK, message, sizeof(message));
        transport_flush(f->transport);
        hear(f);
        g_assert_cmpuint(f->n_datagrams[DTLS_CLASS_BULK], >, 10);
        return f->n_packets[DTLS_CLASS_BULK];
}

static void set_loopback(int mtu) {
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP };

        g_assert_cmpint(ioctl(fd, SIOCSIFFLAGS, &r), ==, 0);
        r.ifr_mtu = mtu;
        g_assert_cmpint(ioctl(fd, SIOCSIFMTU, &r), ==, 0);
}

/* In a network of its own. */
static void set_up_apart(Fixture *f, gconstpointer data) {
        g_assert_cmpint(unshare(CLONE_NEWNET), ==, 0);
        set_loopback(65536);
        set_up(f, data);
}

/* A path that is narrower for a moment: nothing is lost, and later they go together again. */
static void test_refused_for_a_moment(Fixture *f, gconstpointer data) {
        connect_peer(f);
        g_assert_cmpuint(n_packets_of_one(f), ==, 1);
        set_loopback(1000);
        g_assert_cmpuint(n_packets_of_one(f), ==, f->n_datagrams[DTLS_CLASS_BULK]);
        set_loopback(65536);
        g_usleep(OFFLOAD_RETRY_USEC); /* what is waited for is the time itself */
        g_assert_cmpuint(n_packets_of_one(f), ==, 1);
}

/* R10: those of membership find out what passes a path, and of a packet of several a bridge looks at none.
 */
static void test_membership_goes_alone(Fixture *f, gconstpointer data) {
        static const uint8_t message[100];

        connect_peer(f);
        for (unsigned i = 0; i < 6; i++)
                transport_send(f->transport,
                               node_set_of(PEER),
                               DTLS_CLASS_MEMBERSHIP,
                               message,
                               sizeof(message));
        transport_send(f->transport, node_set_of(PEER), DTLS_CLASS_BULK, message, sizeof(message));
        transport_flush(f->transport);
        hear(f);
        g_assert_cmpuint(f->n_datagrams[DTLS_CLASS_MEMBERSHIP], ==, 6);
        g_assert_cmpuint(f->n_packets[DTLS_CLASS_MEMBERSHIP], ==, 6);
        g_assert_cmpuint(f->n_packets[DTLS_CLASS_BULK], ==, 1);
}

static uint32_t longest_bytes(const Fixture *f) {
        TransportLinkView view;

        transport_link_view(f->transport, PEER, 0, &view);
        return view.size_bytes;
}

/* R10: on a narrow path only what is alone is known to pass. */
static void test_narrow_goes_alone(Fixture *f, gconstpointer data) {
        connect_peer(f);
        g_assert_cmpuint(n_packets_of_one(f), ==, 1);
        f->passes_bytes = 1100;
        for (unsigned i = 0; i < 30 && longest_bytes(f) == LINK_SIZE_LONGEST; i++) {
                transport_send(f->transport, node_set_of(PEER), DTLS_CLASS_MEMBERSHIP, "x", 1);
                transport_flush(f->transport);
                hear(f);
                peer_says(f);
                turn(f);
        }
        g_assert_cmpuint(longest_bytes(f), <, f->passes_bytes);
        g_assert_cmpuint(n_packets_of_one(f), ==, f->n_datagrams[DTLS_CLASS_BULK]);
}

static void flood(Fixture *f, unsigned n_packets) {
        static uint8_t datagrams[64][PACKET_HEADER_BYTES];
        struct mmsghdr messages[64];
        struct iovec iov[64];

        for (unsigned i = 0; i < 64; i++) {
                (void) head(f, PACKET_KNOCK, DTLS_CLASS_MEMBERSHIP, datagrams[i]);
                iov[i] = (struct iovec){ .iov_base = datagrams[i], .iov_len = PACKET_HEADER_BYTES };
                messages[i] = (struct mmsghdr){
                        .msg_hdr = { .msg_name = &f->conf->nodes[0].addresses[0],
                                     .msg_namelen = sizeof(struct sockaddr_in),
                                     .msg_iov = &iov[i],
                                     .msg_iovlen = 1 },
                };
        }
        for (unsigned i = 0; i < n_packets; i++) {
                OffloadControl control;
                struct msghdr joined;

                g_assert_cmpuint(offload_join(messages, 64, &joined, &control), ==, 64);
                g_assert_cmpint(sendmsg(f->peer_fd, &joined, 0), ==, 64 * PACKET_HEADER_BYTES);
        }
}

/* However much is there: heartbeats are sent in between. */
static void test_flood(Fixture *f, gconstpointer data) {
        uint64_t before, all = 200 * 64;
        unsigned n_turns = 0;

        connect_peer(f);
        before = counters_of(f).n_received;
        flood(f, 200);
        while (counters_of(f).n_received - before < all) {
                uint64_t so_far = counters_of(f).n_received;

                g_assert_cmpint(sd_event_run(f->event, 0), >, 0);
                g_assert_cmpuint(counters_of(f).n_received - so_far, <, 2000);
                n_turns++;
        }
        g_assert_cmpuint(n_turns, <, 100);
}

#define ADD(path, f) g_test_add("/hagcd/transport/" path, Fixture, NULL, set_up, f, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("datagrams-settle-together", test_settle);
        ADD("bad-among-good-costs-only-itself", test_bad_among_good);
        ADD("membership-goes-alone", test_membership_goes_alone);
        ADD("narrow-goes-alone", test_narrow_goes_alone);
        ADD("flood-leaves-turns-to-others", test_flood);
        if (geteuid() == 0)
                g_test_add("/hagcd/transport/segments-go-together-but-when-refused",
                           Fixture,
                           NULL,
                           set_up_apart,
                           test_refused_for_a_moment,
                           tear_down);
        return g_test_run();
}
