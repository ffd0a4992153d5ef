/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The transport on loopback. Half of the inputs are of a stranger who has no key, with a node's address or
 * with its own: nothing of it may come out above. The other half are of a node that holds the key and is mad
 * about what it seals. */

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/time-util.h"
#include "fuzz/fuzz.h"
#include "hagcd/channel.h"
#include "hagcd/transport.h"
#include "shared/log.h"

#define OPS_MAX 100U
#define DATAGRAM_MAX 1500U
#define SELF 1U
#define PEER 2U
#define CONNECT_TURNS_MAX 200U

typedef enum Op {
        OP_RAW,      /* bytes */
        OP_HEADER,   /* bytes behind a header as it should be, or nearly */
        OP_AGAIN,    /* what the transport itself sent, changed in places */
        OP_SEAL_RAW, /* bytes, sealed */
        OP_SEAL,     /* a segment, its head changed in places, sealed */
        OP_SPEAK,    /* the transport is to say something */
        _OP_MAX,
} Op;

typedef struct Fixture {
        sd_event *event; /* owned */
        ClusterConf *conf;
        Transport *transport;
        ClusterKey key;
        DtlsContext *context;
        Channel channel; /* the peer's end of link 0, membership */
        int peer_fd, stranger_fd;
        bool has_key;
        unsigned n_messages, n_gasps;
        size_t heard_bytes;
        uint8_t heard[DATAGRAM_MAX]; /* the newest of the transport */
} Fixture;

static void on_message(void *userdata, uint32_t from, unsigned link, DtlsClass class, Buffer *buffer) {
        static volatile uint8_t sum;
        Fixture *f = userdata;

        assert(f->has_key);
        assert(from == PEER);
        assert(link == 0);
        assert(class == DTLS_CLASS_MEMBERSHIP);
        assert(buffer->size_bytes <= PACKET_MESSAGE_MAX);
        for (size_t i = 0; i < buffer->size_bytes; i++)
                sum = (uint8_t) (sum + buffer->data[i]);
        f->n_messages++;
}

static void on_carrier(void *userdata, unsigned link, bool carrier) {
}

static void on_last_gasp(void *userdata, uint32_t from, uint64_t incarnation) {
        Fixture *f = userdata;

        assert(f->has_key);
        assert(from == PEER);
        assert(incarnation != 0);
        f->n_gasps++;
}

static void on_problem(void *userdata, uint32_t node, TransportProblem problem) {
        assert(node == PEER);
}

static void on_settle(void *userdata) {
}

static const TransportHandlers handlers = {
        .message = on_message,
        .carrier = on_carrier,
        .last_gasp = on_last_gasp,
        .problem = on_problem,
        .settle = on_settle,
};

static void send_from(Fixture *f, int fd, const void *data, size_t n) {
        const ClusterAddress *to = &cluster_conf_node_by_id(f->conf, SELF)->addresses[0];

        (void) sendto(fd, data, n, MSG_DONTWAIT, &to->sa, cluster_address_length(to));
}

static size_t head(uint8_t *buf, PacketKind kind, DtlsClass class, uint32_t key_id) {
        packet_header_encode(
                        &(PacketHeader){ .kind = kind,
                                         .class = class,
                                         .from = PEER,
                                         .to = SELF,
                                         .key_id = key_id },
                        buf);
        return PACKET_HEADER_BYTES;
}

static void on_channel_send(void *userdata, ChannelOut what, const void *data, size_t n) {
        Fixture *f = userdata;
        uint8_t buf[DATAGRAM_MAX];
        size_t h = head(buf,
                        what == CHANNEL_OUT_KNOCK ? PACKET_KNOCK : PACKET_DTLS,
                        DTLS_CLASS_MEMBERSHIP,
                        dtls_context_key_id(f->context));

        assert(n <= sizeof(buf) - h);
        if (n > 0)
                memcpy(buf + h, data, n);
        send_from(f, f->peer_fd, buf, h + n);
}

/* What the transport said comes to the peer. */
static void hear(Fixture *f) {
        uint8_t buf[DATAGRAM_MAX], plain[DATAGRAM_MAX];
        PacketHeader h;
        ssize_t n;

        while ((n = recv(f->peer_fd, buf, sizeof(buf), MSG_DONTWAIT)) >= 0) {
                assert(packet_header_decode(buf, (size_t) n, &h) == 0);
                memcpy(f->heard, buf, (size_t) n);
                f->heard_bytes = (size_t) n;
                if (!f->has_key || h.kind != PACKET_DTLS || h.class != DTLS_CLASS_MEMBERSHIP)
                        continue;
                channel_feed(&f->channel,
                             buf + PACKET_HEADER_BYTES,
                             (size_t) n - PACKET_HEADER_BYTES,
                             now_boottime_usec());
                while (channel_read(&f->channel, plain, sizeof(plain), now_boottime_usec()) > 0)
                        ;
        }
}

static void turn(Fixture *f) {
        for (unsigned i = 0; i < 20 && sd_event_run(f->event, 0) > 0; i++)
                ;
        hear(f);
}

static void connect_peer(Fixture *f) {
        for (unsigned i = 0; i < CONNECT_TURNS_MAX && !channel_is_established(&f->channel); i++) {
                (void) sd_event_run(f->event, USEC_PER_MSEC);
                hear(f);
        }
        turn(f);
}

static void say_header(Fixture *f, FuzzInput *in, int fd) {
        uint8_t buf[DATAGRAM_MAX];
        uint8_t kind = fuzz_u8(in), twist = fuzz_u8(in);
        size_t n, h = head(buf,
                           (PacketKind) (1 + kind % 3),
                           (DtlsClass) (kind / 3 % 2),
                           dtls_context_key_id(f->context) ^ (twist == 1));
        const uint8_t *data;

        if (twist == 2)
                fuzz_bend(in, buf, &h, PACKET_HEADER_BYTES);
        data = fuzz_blob(in, &n);
        n = MIN(n, sizeof(buf) - h);
        memcpy(buf + h, data, n);
        send_from(f, fd, buf, h + n);
}

static void seal(Fixture *f, const void *plain, size_t n) {
        uint8_t buf[DATAGRAM_MAX];
        size_t h = head(buf, PACKET_DTLS, DTLS_CLASS_MEMBERSHIP, dtls_context_key_id(f->context));
        int r = channel_seal(&f->channel, plain, n, buf + h, sizeof(buf) - h);

        if (r > 0)
                send_from(f, f->peer_fd, buf, h + (size_t) r);
}

static void seal_segment(Fixture *f, FuzzInput *in) {
        static uint8_t plain[PACKET_INSIDE_BYTES + PACKET_PAYLOAD_MAX];
        PacketInside p = {
                .from = PEER,
                .to = SELF,
                .incarnation = 9,
                .links_heard = 1,
                .message = fuzz_below(in, 4),
                .segment = fuzz_below(in, 4),
                .n_segments = (uint16_t) (1 + fuzz_below(in, 4)),
        };
        size_t n = PACKET_INSIDE_BYTES;

        packet_inside_encode(&p, plain);
        if (fuzz_u8(in) % 2)
                fuzz_bend(in, plain, &n, PACKET_INSIDE_BYTES);
        n = fuzz_u8(in) % 2 ? sizeof(plain) : MIN(n + fuzz_u16(in), sizeof(plain));
        seal(f, plain, n);
}

static void one_op(Fixture *f, FuzzInput *in) {
        Op op = (Op) fuzz_below(in, _OP_MAX);
        int fd = fuzz_u8(in) % 4 == 0 ? f->stranger_fd : f->peer_fd;
        uint8_t buf[DATAGRAM_MAX];
        const uint8_t *data;
        size_t n;

        switch (op) {
        case OP_RAW:
                data = fuzz_blob(in, &n);
                send_from(f, fd, data, n);
                break;
        case OP_HEADER:
                say_header(f, in, fd);
                break;
        case OP_AGAIN:
                n = f->heard_bytes;
                memcpy(buf, f->heard, n);
                /* From itself to itself it would be of nobody. */
                if (n > 5) {
                        buf[4] = PEER;
                        buf[5] = SELF;
                }
                fuzz_bend(in, buf, &n, sizeof(buf));
                send_from(f, fd, buf, n);
                break;
        case OP_SEAL_RAW:
                data = fuzz_blob(in, &n);
                if (f->has_key)
                        seal(f, data, n);
                break;
        case OP_SEAL:
                if (f->has_key)
                        seal_segment(f, in);
                break;
        case OP_SPEAK:
                transport_send(f->transport,
                               node_set_of(PEER),
                               (DtlsClass) (fuzz_u8(in) % 2),
                               buf,
                               fuzz_u8(in));
                transport_flush(f->transport);
                break;
        case _OP_MAX:
                break;
        }
        turn(f);
}

static int open_at(const ClusterAddress *own) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert(fd >= 0);
        assert(bind(fd, &own->sa, cluster_address_length(own)) == 0);
        return fd;
}

/* Addresses of this process alone: many may run at once. */
static void configure(Fixture *f) {
        _cleanup_(conf_errors_done) ConfErrors errors = { 0 };
        unsigned pid = (unsigned) getpid(), a = 64 + (pid >> 8) % 64, b = pid % 256;
        char text[256];

        (void) snprintf(text,
                        sizeof(text),
                        "[Cluster]\nName=fuzz\n[Node n1]\nId=1\nAddress=127.%u.%u.1\n"
                        "[Node n2]\nId=2\nAddress=127.%u.%u.2\n",
                        a,
                        b,
                        a,
                        b);
        assert(cluster_conf_parse("cluster.conf", text, strlen(text), &errors, &f->conf) == 0);
}

static Fixture *set_up(bool has_key) {
        static const uint8_t secret[GASP_SECRET_BYTES] = { 1 };
        DtlsIdentity identity = { .client_id = SELF, .server_id = PEER, .class = DTLS_CLASS_MEMBERSHIP };
        Fixture *f = calloc(1, sizeof(*f));
        ClusterAddress nobody;

        assert(f);
        log_set_max_level(LOG_EMERG);
        f->has_key = has_key;
        f->key = (ClusterKey){ .id = 1, .bytes = { 1, 2, 3 } };
        configure(f);
        nobody = f->conf->nodes[1].addresses[0];
        nobody.in.sin_addr.s_addr = htonl(ntohl(nobody.in.sin_addr.s_addr) + 1);
        f->peer_fd = open_at(&f->conf->nodes[1].addresses[0]);
        f->stranger_fd = open_at(&nobody);
        assert(dtls_context_new(f->key.bytes, CLUSTER_KEY_BYTES, &f->context) == 0);
        channel_init(&f->channel, f->context, &identity, false, USEC_PER_SEC, on_channel_send, f);
        assert(sd_event_new(&f->event) >= 0);
        assert(transport_new(f->event,
                             &(TransportConfig){ .conf = f->conf,
                                                 .self = SELF,
                                                 .incarnation = 7,
                                                 .key = &f->key,
                                                 .gasp_secret = secret,
                                                 .handlers = &handlers,
                                                 .userdata = f },
                             &f->transport) >= 0);
        assert(transport_start(f->transport) >= 0);
        return f;
}

static void tear_down(Fixture *f) {
        TransportCounters counters;

        transport_get_counters(f->transport, &counters);
        (void) transport_links(f->transport, PEER);
        f->transport = transport_free(f->transport);
        channel_done(&f->channel);
        (void) dtls_context_free(f->context);
        (void) sd_event_unref(f->event);
        (void) safe_close(f->peer_fd);
        (void) safe_close(f->stranger_fd);
        (void) cluster_conf_free(f->conf);
        free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        FuzzInput in = { .data = data, .size_bytes = size };
        Fixture *f = set_up(fuzz_u8(&in) % 2);

        if (f->has_key)
                connect_peer(f);
        else
                turn(f);
        for (unsigned i = 0; i < OPS_MAX && !fuzz_is_empty(&in); i++)
                one_op(f, &in);
        tear_down(f);
        return 0;
}

void fuzz_seeds(FuzzSeeds *s) {
        for (uint8_t has_key = 0; has_key < 2; has_key++)
                for (uint8_t from = 0; from < 2; from++) {
                        FuzzScript script = { 0 };

                        FUZZ_SAY(&script, has_key, OP_AGAIN, from, 0, 12, 0, 0x40, 1, 2);
                        for (uint8_t kind = 0; kind < 6; kind++) {
                                FUZZ_SAY(&script, OP_HEADER, from, kind, kind % 2, 16, 0, 22, 254, 253);
                                FUZZ_SAY(&script, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0);
                        }
                        for (uint8_t segment = 0; segment < 3; segment++)
                                FUZZ_SAY(&script, OP_SEAL, 1, 1, segment, 2, 0, segment < 2, 5, 0);
                        FUZZ_SAY(&script, OP_SEAL, 1, 2, 0, 0, 0, 0, 9, 0, OP_SPEAK, 1, 0, 20);
                        FUZZ_SAY(&script, OP_SEAL, 1, 2, 0, 0, 1, 0, 8, 0, 0, 3, 0, 0, 9, 0);
                        FUZZ_SAY(&script, OP_SEAL_RAW, 1, 4, 0, 1, 2, 3, 4, OP_RAW, from, 3, 0, 1, 2, 3);
                        fuzz_seed(s, script.data, script.size_bytes);
                }
}
