/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sessions and channels over memory: two ends, and a wire that the test plays with. */

#include <glib.h>

#include "hagcd/channel.h"

#define MSEC UINT64_C(1000)

static const uint8_t key_a[32] = "0123456789abcdef0123456789abcdef",
                     key_b[32] = "another key, also 32 bytes long";

static const DtlsIdentity identity = { .client_id = 1, .server_id = 2, .link = 0, .class = DTLS_CLASS_BULK };

/* Carries flights to and fro until nobody has anything to say. */
static void shake(DtlsSession *client, DtlsSession *server) {
        uint8_t buf[DTLS_FLIGHT_MAX_BYTES];
        bool moved = true;
        size_t n;

        (void) dtls_session_feed(client, NULL, 0);
        while (moved) {
                moved = false;
                while ((n = dtls_session_output(client, buf, sizeof(buf))) > 0) {
                        (void) dtls_session_feed(server, buf, n);
                        moved = true;
                }
                while ((n = dtls_session_output(server, buf, sizeof(buf))) > 0) {
                        (void) dtls_session_feed(client, buf, n);
                        moved = true;
                }
        }
}

static void
make_pair(const uint8_t *client_key,
          const uint8_t *server_key,
          DtlsContext *ret_c[static 2],
          DtlsSession *ret_s[static 2]) {
        g_assert_cmpint(dtls_context_new(client_key, 32, &ret_c[0]), ==, 0);
        g_assert_cmpint(dtls_context_new(server_key, 32, &ret_c[1]), ==, 0);
        g_assert_cmpint(dtls_session_new(ret_c[0], &identity, true, &ret_s[0]), ==, 0);
        g_assert_cmpint(dtls_session_new(ret_c[1], &identity, false, &ret_s[1]), ==, 0);
}

static void drop_pair(DtlsContext *c[static 2], DtlsSession *s[static 2]) {
        for (unsigned i = 0; i < 2; i++) {
                s[i] = dtls_session_free(s[i]);
                c[i] = dtls_context_free(c[i]);
        }
}

static void test_handshake(void) {
        DtlsContext *c[2];
        DtlsSession *s[2];
        uint8_t sealed[256], plain[256];
        int n;

        make_pair(key_a, key_a, c, s);
        g_assert_cmpint(dtls_session_seal(s[0], "x", 1, sealed, sizeof(sealed)), ==, -ENOTCONN);
        shake(s[0], s[1]);
        g_assert_cmpint(dtls_session_state(s[0]), ==, DTLS_ESTABLISHED);
        g_assert_cmpint(dtls_session_state(s[1]), ==, DTLS_ESTABLISHED);

        n = dtls_session_seal(s[0], "hello", 5, sealed, sizeof(sealed));
        g_assert_cmpint(n, ==, 5 + (int) DTLS_OVERHEAD_BYTES);
        g_assert_null(memmem(sealed, (size_t) n, "hello", 5));
        (void) dtls_session_feed(s[1], sealed, (size_t) n);
        g_assert_cmpuint(dtls_session_read(s[1], plain, sizeof(plain)), ==, 5);
        g_assert_cmpmem(plain, 5, "hello", 5);
        g_assert_cmpuint(dtls_session_read(s[1], plain, sizeof(plain)), ==, 0);
        drop_pair(c, s);
}

static void test_wrong_key(void) {
        DtlsContext *c[2];
        DtlsSession *s[2];

        make_pair(key_a, key_b, c, s);
        g_assert_cmpuint(dtls_context_key_id(c[0]), !=, dtls_context_key_id(c[1]));
        shake(s[0], s[1]);
        g_assert_cmpint(dtls_session_state(s[0]), !=, DTLS_ESTABLISHED);
        g_assert_cmpint(dtls_session_state(s[1]), !=, DTLS_ESTABLISHED);
        drop_pair(c, s);
}

static void test_other_identity(void) {
        DtlsContext *c[2];
        DtlsSession *s[2];
        DtlsIdentity other = identity;

        /* Said on link 0, heard on link 1: the same key, but not the same session. */
        other.link = 1;
        make_pair(key_a, key_a, c, s);
        s[1] = dtls_session_free(s[1]);
        g_assert_cmpint(dtls_session_new(c[1], &other, false, &s[1]), ==, 0);
        shake(s[0], s[1]);
        g_assert_cmpint(dtls_session_state(s[0]), !=, DTLS_ESTABLISHED);
        g_assert_cmpint(dtls_session_state(s[1]), !=, DTLS_ESTABLISHED);
        drop_pair(c, s);
}

static void test_replay(void) {
        DtlsContext *c[2];
        DtlsSession *s[2];
        uint8_t sealed[256], plain[256];
        int n;

        make_pair(key_a, key_a, c, s);
        shake(s[0], s[1]);
        n = dtls_session_seal(s[0], "once", 4, sealed, sizeof(sealed));
        (void) dtls_session_feed(s[1], sealed, (size_t) n);
        g_assert_cmpuint(dtls_session_read(s[1], plain, sizeof(plain)), ==, 4);
        for (unsigned i = 0; i < 3; i++) {
                (void) dtls_session_feed(s[1], sealed, (size_t) n);
                g_assert_cmpuint(dtls_session_read(s[1], plain, sizeof(plain)), ==, 0);
        }
        g_assert_cmpint(dtls_session_state(s[1]), ==, DTLS_ESTABLISHED);
        drop_pair(c, s);
}

static void test_garbage(void) {
        static const uint8_t header[11] = { 23, 0xfe, 0xfd, 0, 1 };
        DtlsContext *c[2];
        DtlsSession *s[2];
        uint8_t sealed[256], plain[256], garbage[600];
        int n;

        make_pair(key_a, key_a, c, s);
        shake(s[0], s[1]);
        for (unsigned round = 0; round < 2000; round++) {
                size_t size = (size_t) g_test_rand_int_range(1, sizeof(garbage));

                for (size_t i = 0; i < size; i++)
                        garbage[i] = (uint8_t) g_test_rand_int_range(0, 256);
                /* As channel.c does: only what looks like data comes here. */
                garbage[0] = 23;
                /* Every other one has a header in order, as whoever listens on the wire can write it. */
                if (round % 2 && size >= sizeof(header) + 2) {
                        memcpy(garbage, header, sizeof(header));
                        garbage[10] = (uint8_t) round;
                        garbage[11] = (uint8_t) ((size - 13) >> 8);
                        garbage[12] = (uint8_t) (size - 13);
                }
                (void) dtls_session_feed(s[1], garbage, size);
                g_assert_cmpuint(dtls_session_read(s[1], plain, sizeof(plain)), ==, 0);
        }
        n = dtls_session_seal(s[0], "still", 5, sealed, sizeof(sealed));
        for (int i = 0; i < n; i++) {
                uint8_t bent[256];

                memcpy(bent, sealed, (size_t) n);
                bent[i] ^= 0x10;
                if (bent[0] != 23)
                        continue;
                (void) dtls_session_feed(s[1], bent, (size_t) n);
                g_assert_cmpuint(dtls_session_read(s[1], plain, sizeof(plain)), ==, 0);
        }
        (void) dtls_session_feed(s[1], sealed, (size_t) n);
        g_assert_cmpuint(dtls_session_read(s[1], plain, sizeof(plain)), ==, 5);
        drop_pair(c, s);
}

/* A record that is shorter than its own seal, and of the right epoch: anybody can write one. */
static void test_short_record(void) {
        DtlsContext *c[2];
        DtlsSession *s[2];
        uint8_t sealed[256], plain[256];
        int n;

        make_pair(key_a, key_a, c, s);
        shake(s[0], s[1]);
        for (uint8_t size = 0; size <= 20; size++) {
                uint8_t record[13 + 20] = { 23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 1, size, 0, size };

                (void) dtls_session_feed(s[1], record, 13U + size);
                g_assert_cmpuint(dtls_session_read(s[1], plain, sizeof(plain)), ==, 0);
                g_assert_cmpint(dtls_session_state(s[1]), ==, DTLS_ESTABLISHED);
        }
        n = dtls_session_seal(s[0], "still", 5, sealed, sizeof(sealed));
        (void) dtls_session_feed(s[1], sealed, (size_t) n);
        g_assert_cmpuint(dtls_session_read(s[1], plain, sizeof(plain)), ==, 5);
        drop_pair(c, s);
}

/* ---- Channels ---- */

typedef struct Datagram {
        ChannelOut what;
        uint8_t data[1500];
        size_t size_bytes;
} Datagram;

typedef struct End {
        DtlsContext *context;
        Channel channel;
        GQueue out; /* of Datagram */
} End;

static void on_send(void *userdata, ChannelOut what, const void *datagram, size_t size_bytes) {
        End *e = userdata;
        Datagram *d = g_new0(Datagram, 1);

        d->what = what;
        d->size_bytes = size_bytes;
        if (size_bytes > 0)
                memcpy(d->data, datagram, size_bytes);
        g_queue_push_tail(&e->out, d);
}

static void end_init(End *e, bool client, const uint8_t *key) {
        *e = (End){ 0 };
        g_queue_init(&e->out);
        g_assert_cmpint(dtls_context_new(key, 32, &e->context), ==, 0);
        channel_init(&e->channel, e->context, &identity, client, 400 * MSEC, on_send, e);
}

static void end_done(End *e) {
        g_queue_clear_full(&e->out, g_free);
        channel_done(&e->channel);
        e->context = dtls_context_free(e->context);
}

/* Hands over what was sent; returns the bytes of the last message read at the other end. */
static size_t carry(End *from, End *to, uint64_t now, uint8_t *buf, size_t buf_bytes) {
        size_t last = 0, n;
        Datagram *d;

        while ((d = g_queue_pop_head(&from->out))) {
                if (d->what == CHANNEL_OUT_KNOCK)
                        channel_knocked(&to->channel, now);
                else
                        channel_feed(&to->channel, d->data, d->size_bytes, now);
                while ((n = channel_read(&to->channel, buf, buf_bytes, now)) > 0)
                        last = n;
                g_free(d);
        }
        return last;
}

static void connect_ends(End *a, End *b, uint64_t now) {
        uint8_t buf[64];

        for (unsigned i = 0; i < 10; i++) {
                channel_tick(&a->channel, now);
                channel_tick(&b->channel, now);
                (void) carry(a, b, now, buf, sizeof(buf));
                (void) carry(b, a, now, buf, sizeof(buf));
        }
}

static size_t say(End *from, End *to, const char *text, uint64_t now) {
        uint8_t sealed[256], buf[256];
        int n = channel_seal(&from->channel, text, strlen(text), sealed, sizeof(sealed));

        if (n < 0)
                return 0;
        on_send(from, CHANNEL_OUT_DTLS, sealed, (size_t) n);
        return carry(from, to, now, buf, sizeof(buf));
}

static void test_channel_both_ways(void) {
        End a, b;

        end_init(&a, true, key_a);
        end_init(&b, false, key_a);
        connect_ends(&a, &b, MSEC);
        g_assert_true(channel_is_established(&a.channel) && channel_is_established(&b.channel));
        g_assert_cmpuint(say(&a, &b, "to", MSEC), ==, 2);
        g_assert_cmpuint(say(&b, &a, "fro", MSEC), ==, 3);
        end_done(&a);
        end_done(&b);
}

static void test_channel_lost_flight(void) {
        End a, b;

        end_init(&a, true, key_a);
        end_init(&b, false, key_a);
        channel_tick(&a.channel, MSEC);
        g_queue_clear_full(&a.out, g_free);
        g_queue_init(&a.out);
        channel_tick(&a.channel, 50 * MSEC);
        g_assert_cmpuint(a.out.length, ==, 0);
        /* Its time is over: begun anew, without waiting for a second. */
        g_assert_cmpuint(channel_wakeup_usec(&a.channel), <=, 101 * MSEC);
        for (uint64_t now = 101 * MSEC; now < 500 * MSEC; now += 50 * MSEC)
                connect_ends(&a, &b, now);
        g_assert_true(channel_is_established(&a.channel) && channel_is_established(&b.channel));
        end_done(&a);
        end_done(&b);
}

static void test_channel_restarted_client(void) {
        End a, b, again;

        end_init(&a, true, key_a);
        end_init(&b, false, key_a);
        connect_ends(&a, &b, MSEC);
        end_init(&again, true, key_a);
        connect_ends(&again, &b, 200 * MSEC);
        g_assert_cmpuint(say(&again, &b, "new", 200 * MSEC), ==, 3);
        g_assert_cmpuint(say(&b, &again, "to new", 200 * MSEC), ==, 6);
        /* The old one is void once the new one is in use. */
        g_assert_cmpuint(say(&a, &b, "old", 200 * MSEC), ==, 0);
        end_done(&a);
        end_done(&b);
        end_done(&again);
}

static void test_channel_restarted_server(void) {
        End a, b, again;
        uint8_t buf[64];

        end_init(&a, true, key_a);
        end_init(&b, false, key_a);
        connect_ends(&a, &b, MSEC);
        end_init(&again, false, key_a);
        /* It cannot read what the client says, and knocks. */
        g_assert_cmpuint(say(&a, &again, "lost", 300 * MSEC), ==, 0);
        g_assert_cmpuint(again.out.length, ==, 1);
        (void) carry(&again, &a, 300 * MSEC, buf, sizeof(buf));
        connect_ends(&a, &again, 300 * MSEC);
        g_assert_cmpuint(say(&a, &again, "heard", 300 * MSEC), ==, 5);
        end_done(&a);
        end_done(&b);
        end_done(&again);
}

static void test_channel_forged_hello(void) {
        End a, b, forger;
        uint8_t buf[64];

        end_init(&a, true, key_a);
        end_init(&b, false, key_a);
        end_init(&forger, true, key_b);
        connect_ends(&a, &b, MSEC);
        /* Somebody without the key begins again and again: the session in use goes on. */
        for (uint64_t now = 10 * MSEC; now < 300 * MSEC; now += 10 * MSEC) {
                channel_tick(&forger.channel, now);
                (void) carry(&forger, &b, now, buf, sizeof(buf));
                (void) carry(&b, &forger, now, buf, sizeof(buf));
                g_assert_cmpuint(say(&a, &b, "on", now), ==, 2);
                g_assert_cmpuint(say(&b, &a, "off", now), ==, 3);
        }
        g_assert_false(channel_is_established(&forger.channel));
        g_assert_cmpuint(b.channel.n_established, ==, 1);
        end_done(&a);
        end_done(&b);
        end_done(&forger);
}

/* Somebody knocks in the server's name; the server ends the handshake that follows, and its last flight is
 * lost. Both go on in the session that both have, however often that happens. */
static void test_channel_half_done(void) {
        uint8_t buf[64];
        End a, b;

        end_init(&a, true, key_a);
        end_init(&b, false, key_a);
        connect_ends(&a, &b, MSEC);
        for (unsigned i = 2; i < 5; i++) {
                uint64_t now = i * 200 * MSEC;

                channel_knocked(&a.channel, now);
                while (b.channel.n_established < i) {
                        (void) carry(&b, &a, now, buf, sizeof(buf));
                        (void) carry(&a, &b, now, buf, sizeof(buf));
                }
                g_queue_clear_full(&b.out, g_free);
                g_assert_cmpuint(say(&a, &b, "to", now), ==, 2);
                g_assert_cmpuint(say(&b, &a, "fro", now), ==, 3);
                channel_tick(&a.channel, now + 100 * MSEC);
                g_assert_cmpuint(say(&a, &b, "to", now), ==, 2);
                g_assert_cmpuint(say(&b, &a, "fro", now), ==, 3);
        }
        end_done(&a);
        end_done(&b);
}

/* Whoever begins anew is answered in the new session before it has said anything in it. */
static void test_channel_server_speaks_first(void) {
        End a, b, again;

        end_init(&a, true, key_a);
        end_init(&b, false, key_a);
        connect_ends(&a, &b, MSEC);
        end_init(&again, true, key_a);
        connect_ends(&again, &b, 200 * MSEC);
        g_assert_cmpuint(say(&b, &again, "first", 200 * MSEC), ==, 5);
        g_assert_null(b.channel.previous);
        end_done(&a);
        end_done(&b);
        end_done(&again);
}

/* With alerts that end each at once, knocks and hellos cost a handshake each: at a bounded rate. */
static void test_channel_flood(void) {
        static const uint8_t alert[] = { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40 };
        End client, server, forger;
        Datagram *hello;
        unsigned n = 0;

        end_init(&client, true, key_a);
        end_init(&server, false, key_a);
        end_init(&forger, true, key_b);
        channel_tick(&forger.channel, MSEC);
        hello = g_queue_peek_head(&forger.out);
        for (uint64_t now = 100 * MSEC; now < 200 * MSEC; now += MSEC / 10) {
                channel_knocked(&client.channel, now);
                channel_feed(&client.channel, alert, sizeof(alert), now);
                channel_feed(&server.channel, hello->data, hello->size_bytes, now);
                channel_feed(&server.channel, alert, sizeof(alert), now);
                n += client.out.length + server.out.length;
                g_queue_clear_full(&client.out, g_free);
                g_queue_clear_full(&server.out, g_free);
        }
        g_assert_cmpuint(n, >=, 2);
        g_assert_cmpuint(n, <=, 10);
        end_done(&client);
        end_done(&server);
        end_done(&forger);
}

static void test_channel_spoofed_alert(void) {
        static const uint8_t alert[] = { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40 };
        End a, b;

        end_init(&a, true, key_a);
        end_init(&b, false, key_a);
        connect_ends(&a, &b, MSEC);
        channel_feed(&a.channel, alert, sizeof(alert), MSEC);
        channel_feed(&b.channel, alert, sizeof(alert), MSEC);
        g_assert_cmpuint(say(&a, &b, "to", MSEC), ==, 2);
        g_assert_cmpuint(say(&b, &a, "fro", MSEC), ==, 3);
        end_done(&a);
        end_done(&b);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hagcd/dtls/handshake-then-sealed-both-ways", test_handshake);
        g_test_add_func("/hagcd/dtls/wrong-key-is-refused", test_wrong_key);
        g_test_add_func("/hagcd/dtls/another-link-is-another-session", test_other_identity);
        g_test_add_func("/hagcd/dtls/replay-is-dropped", test_replay);
        g_test_add_func("/hagcd/dtls/garbage-is-dropped", test_garbage);
        g_test_add_func("/hagcd/dtls/record-shorter-than-its-seal-is-dropped", test_short_record);
        g_test_add_func("/hagcd/channel/both-ways", test_channel_both_ways);
        g_test_add_func("/hagcd/channel/lost-flight-is-begun-anew", test_channel_lost_flight);
        g_test_add_func("/hagcd/channel/restarted-client-takes-over", test_channel_restarted_client);
        g_test_add_func("/hagcd/channel/restarted-server-knocks", test_channel_restarted_server);
        g_test_add_func("/hagcd/channel/forged-hello-leaves-the-session", test_channel_forged_hello);
        g_test_add_func("/hagcd/channel/handshake-ended-at-one-end-leaves-the-session",
                        test_channel_half_done);
        g_test_add_func("/hagcd/channel/server-speaks-first-in-a-new-session",
                        test_channel_server_speaks_first);
        g_test_add_func("/hagcd/channel/flood-is-answered-at-a-bounded-rate", test_channel_flood);
        g_test_add_func("/hagcd/channel/spoofed-alert-leaves-the-session", test_channel_spoofed_alert);
        return g_test_run();
}
