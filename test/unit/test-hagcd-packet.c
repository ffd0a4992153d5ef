/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/time-util.h"
#include "gcs/message.h"
#include "hagcd/link-choice.h"
#include "hagcd/link-meter.h"
#include "hagcd/packet.h"
#include "hagcd/reassembly.h"

static void test_header(void) {
        PacketHeader h = { .kind = PACKET_KNOCK,
                           .class = DTLS_CLASS_BULK,
                           .from = 3,
                           .to = 64,
                           .link = 7,
                           .key_id = 0xdeadbeef },
                     g;
        uint8_t buf[PACKET_HEADER_BYTES];

        packet_header_encode(&h, buf);
        g_assert_cmpint(packet_header_decode(buf, sizeof(buf), &g), ==, 0);
        g_assert_cmpint(g.kind, ==, h.kind);
        g_assert_cmpint(g.class, ==, h.class);
        g_assert_cmpuint(g.from, ==, 3);
        g_assert_cmpuint(g.to, ==, 64);
        g_assert_cmpuint(g.link, ==, 7);
        g_assert_cmpuint(g.key_id, ==, 0xdeadbeef);

        for (size_t n = 0; n < sizeof(buf); n++)
                g_assert_cmpint(packet_header_decode(buf, n, &g), ==, -EBADMSG);
        for (unsigned i = 0; i < 6; i++) {
                uint8_t bad[PACKET_HEADER_BYTES];

                memcpy(bad, buf, sizeof(bad));
                bad[i] = 0xff;
                g_assert_cmpint(packet_header_decode(bad, sizeof(bad), &g), ==, -EBADMSG);
        }
        /* Nobody speaks to himself. */
        h.to = h.from;
        packet_header_encode(&h, buf);
        g_assert_cmpint(packet_header_decode(buf, sizeof(buf), &g), ==, -EBADMSG);
}

/* Whatever comes after the first two bytes. */
static void test_other_version(void) {
        uint8_t buf[PACKET_HEADER_BYTES] = { 0x48, PACKET_VERSION };

        g_assert_false(packet_is_of_other_version(buf, sizeof(buf)));
        buf[1]++;
        g_assert_true(packet_is_of_other_version(buf, sizeof(buf)));
        g_assert_false(packet_is_of_other_version(buf, sizeof(buf) - 1));
        buf[0]++;
        g_assert_false(packet_is_of_other_version(buf, sizeof(buf)));
}

static void test_inside(void) {
        PacketInside p = { .from = 1,
                           .to = 2,
                           .link = 1,
                           .class = DTLS_CLASS_BULK,
                           .incarnation = 99,
                           .links_heard = 3,
                           .message = 7,
                           .segment = 1,
                           .n_segments = 2,
                           .full_bytes = PACKET_PAYLOAD_MAX,
                           .echo = { 40, 250, 0x80000005 } },
                     q;
        uint8_t buf[PACKET_INSIDE_BYTES + PACKET_PAYLOAD_MAX + 1] = { 0 };

        packet_inside_encode(&p, buf);
        g_assert_cmpint(packet_inside_decode(buf, PACKET_INSIDE_BYTES + 5, &q), ==, 0);
        g_assert_cmpuint(q.incarnation, ==, 99);
        g_assert_cmpuint(q.message, ==, 7);
        g_assert_cmpuint(q.segment, ==, 1);
        g_assert_cmpuint(q.links_heard, ==, 3);
        g_assert_cmpuint(q.echo.message, ==, 40);
        g_assert_cmpuint(q.echo.held_usec, ==, 250);
        g_assert_cmpuint(q.echo.came, ==, 0x80000005);
        g_assert_cmpuint(q.full_bytes, ==, PACKET_PAYLOAD_MAX);
        g_assert_cmpint(packet_inside_decode(buf, PACKET_INSIDE_BYTES - 1, &q), ==, -EBADMSG);
        g_assert_cmpint(packet_inside_decode(buf, sizeof(buf), &q), ==, -EBADMSG);

        /* Only the last segment may be short, or it would leave a hole. */
        p.segment = 0;
        packet_inside_encode(&p, buf);
        g_assert_cmpint(packet_inside_decode(buf, PACKET_INSIDE_BYTES + 5, &q), ==, -EBADMSG);
        g_assert_cmpint(packet_inside_decode(buf, PACKET_INSIDE_BYTES + PACKET_PAYLOAD_MAX, &q), ==, 0);
        p.segment = 2;
        packet_inside_encode(&p, buf);
        g_assert_cmpint(packet_inside_decode(buf, PACKET_INSIDE_BYTES + 5, &q), ==, -EBADMSG);
        p.n_segments = 0;
        packet_inside_encode(&p, buf);
        g_assert_cmpint(packet_inside_decode(buf, PACKET_INSIDE_BYTES + 5, &q), ==, -EBADMSG);
}

static int decode(const PacketInside *p, size_t payload_bytes) {
        uint8_t buf[PACKET_INSIDE_BYTES + PACKET_PAYLOAD_MAX] = { 0 };
        PacketInside q;

        packet_inside_encode(p, buf);
        return packet_inside_decode(buf, PACKET_INSIDE_BYTES + payload_bytes, &q);
}

/* How long a segment is, the sender says; what it leads to stays within bounds. */
static void test_lengths(void) {
        PacketInside p = { .from = 1, .to = 2, .n_segments = 3, .full_bytes = PACKET_PAYLOAD_MIN };

        g_assert_cmpint(decode(&p, PACKET_PAYLOAD_MIN), ==, 0);
        g_assert_cmpint(decode(&p, PACKET_PAYLOAD_MIN - 1), ==, -EBADMSG);
        g_assert_cmpint(decode(&p, PACKET_PAYLOAD_MIN + 1), ==, -EBADMSG);
        p.segment = 2;
        g_assert_cmpint(decode(&p, 0), ==, 0);
        g_assert_cmpint(decode(&p, PACKET_PAYLOAD_MIN + 1), ==, -EBADMSG);
        p.full_bytes = PACKET_PAYLOAD_MIN - 1;
        g_assert_cmpint(decode(&p, 0), ==, -EBADMSG);
        p.full_bytes = PACKET_PAYLOAD_MAX + 1;
        g_assert_cmpint(decode(&p, 0), ==, -EBADMSG);
        p.full_bytes = PACKET_PAYLOAD_MAX;
        p.n_segments = PACKET_SEGMENTS_MAX; /* of the longest: more than a message may have */
        p.segment = PACKET_SEGMENTS_MAX - 1;
        g_assert_cmpint(decode(&p, 10), ==, -EBADMSG);
        p.full_bytes = PACKET_PAYLOAD_MIN;
        g_assert_cmpint(decode(&p, PACKET_PAYLOAD_MIN), ==, 0);

        /* Padding is a part of what came, and only where there is one segment. */
        p = (PacketInside){
                .from = 1, .to = 2, .n_segments = 1, .full_bytes = PACKET_PAYLOAD_MIN, .padding_bytes = 700
        };
        g_assert_cmpint(decode(&p, 700), ==, 0);
        g_assert_cmpint(decode(&p, 699), ==, -EBADMSG);
        p.n_segments = 2;
        g_assert_cmpint(decode(&p, PACKET_PAYLOAD_MIN), ==, -EBADMSG);
}

static int
add_short(Reassembly *r,
          uint32_t message,
          const uint8_t *text,
          size_t size,
          uint32_t segment,
          uint16_t full,
          Buffer **ret) {
        uint32_t n = packet_segments(size, full);
        size_t offset = (size_t) segment * full;
        PacketInside p = { .message = message,
                           .segment = (uint16_t) segment,
                           .n_segments = (uint16_t) n,
                           .full_bytes = full,
                           .incarnation = 1 };

        return reassembly_add(r, &p, text + offset, MIN(size - offset, (size_t) full), ret);
}

static int
add(Reassembly *r, uint32_t message, const uint8_t *text, size_t size, uint32_t segment, Buffer **ret) {
        return add_short(r, message, text, size, segment, PACKET_PAYLOAD_MAX, ret);
}

static void test_reassembly(void) {
        const size_t size = 5 * PACKET_PAYLOAD_MAX - 100;
        g_autofree uint8_t *text = g_malloc(size);
        Reassembly r = { 0 };
        Buffer *b = NULL;

        for (size_t i = 0; i < size; i++)
                text[i] = (uint8_t) (i * 7);
        g_assert_cmpuint(packet_segments(size, PACKET_PAYLOAD_MAX), ==, 5);
        for (uint32_t i = 0; i < 4; i++) {
                g_assert_cmpint(add(&r, 1, text, size, 4 - i, &b), ==, 0);
                g_assert_cmpint(add(&r, 1, text, size, 4 - i, &b), ==, 0);
        }
        g_assert_cmpint(add(&r, 1, text, size, 0, &b), ==, 1);
        g_assert_cmpmem(b->data, b->size_bytes, text, size);
        b = buffer_unref(b);

        /* Unfinished messages push each other out, and none is put together from parts of two. */
        for (uint32_t m = 10; m < 30; m++)
                g_assert_cmpint(add(&r, m, text, size, 0, &b), ==, 0);
        for (uint32_t i = 1; i < 4; i++)
                g_assert_cmpint(add(&r, 29, text, size, i, &b), ==, 0);
        g_assert_cmpint(add(&r, 29, text, size, 4, &b), ==, 1);
        b = buffer_unref(b);

        /* In shorter segments, each message as its sender says. */
        for (uint32_t i = 0; i < packet_segments(size, 500); i++)
                g_assert_cmpint(add_short(&r, 40, text, size, i, 500, &b),
                                ==,
                                i + 1 == packet_segments(size, 500));
        g_assert_cmpmem(b->data, b->size_bytes, text, size);
        b = buffer_unref(b);
        reassembly_done(&r);
}

static void test_segments(void) {
        g_assert_cmpuint(packet_segments(0, PACKET_PAYLOAD_MAX), ==, 1);
        g_assert_cmpuint(packet_segments(PACKET_PAYLOAD_MAX, PACKET_PAYLOAD_MAX), ==, 1);
        g_assert_cmpuint(packet_segments(PACKET_PAYLOAD_MAX + 1, PACKET_PAYLOAD_MAX), ==, 2);
        g_assert_cmpuint(packet_segments(PACKET_MESSAGE_MAX, PACKET_PAYLOAD_MIN), ==, PACKET_SEGMENTS_MAX);
        g_assert_cmpuint(packet_segments(PACKET_MESSAGE_MAX + 1, PACKET_PAYLOAD_MAX), ==, 0);
        /* What the cores say fits. */
        g_assert_cmpuint(PACKET_MESSAGE_MAX, >=, GCS_MESSAGE_BYTES_MAX);
}

static void test_choice(void) {
        LinkFacts l[3] = {
                { .usable = true, .heard_by_peer = true, .heard_usec = 1000 },
                { .usable = true, .heard_by_peer = true, .heard_usec = 1000 },
                { .usable = false },
        };

        g_assert_cmpint(link_choose(l, 3, 1100, 200), ==, 0);
        /* Deaf in one direction is of no use. */
        l[0].heard_by_peer = false;
        g_assert_cmpint(link_choose(l, 3, 1100, 200), ==, 1);
        l[0].heard_by_peer = true;
        l[0].heard_usec = 500;
        g_assert_cmpint(link_choose(l, 3, 1100, 200), ==, 1);
        /* Nothing fresh: what was heard last. */
        g_assert_cmpint(link_choose(l, 3, 9000, 200), ==, 1);
        /* What is in doubt comes after what is certain, and before what is not heard. */
        l[0] = l[1];
        l[0].doubtful = true;
        g_assert_cmpint(link_choose(l, 3, 1100, 200), ==, 1);
        l[1].doubtful = true;
        g_assert_cmpint(link_choose(l, 3, 1100, 200), ==, 0);
        l[0].doubtful = false;
        l[0].dead = true;
        g_assert_cmpint(link_choose(l, 3, 1100, 200), ==, 1);
        l[0].usable = l[1].usable = false;
        g_assert_cmpint(link_choose(l, 3, 1100, 200), ==, -1);
}

/* ---- The size of segments ---- */

/* A path that passes so many bytes, and a message on it every 100 ms; each echo names all of it. */
typedef struct Path {
        LinkSize l;
        uint32_t limit_bytes, short_bytes;
        uint32_t number, newest, came;
        unsigned n_sent, n_padded, n_changes;
} Path;

static void path_init(Path *p, uint32_t limit_bytes) {
        *p = (Path){ .limit_bytes = limit_bytes, .short_bytes = 300 };
        link_size_init(&p->l);
}

static uint32_t path_say(Path *p, bool lost) {
        uint32_t bytes = link_size_next(&p->l, p->short_bytes), number = p->number++;

        p->n_sent++;
        p->n_padded += bytes > p->short_bytes;
        link_size_sent(&p->l, number, bytes);
        if (!lost && bytes <= p->limit_bytes) {
                uint32_t ahead = number - p->newest;

                p->came = ahead >= 32 ? 0 : p->came << ahead | (ahead > 0 ? 1U << (ahead - 1) : 0);
                p->newest = number;
                p->n_changes += link_size_echoed(&p->l, p->newest, p->came);
        }
        return bytes;
}

/* How many messages until that size is in use. */
static unsigned path_until(Path *p, uint32_t bytes, bool dead) {
        unsigned n = 0;

        while (link_size_bytes(&p->l) != bytes || p->l.dead != dead) {
                (void) path_say(p, false);
                g_assert_cmpuint(++n, <, 200);
        }
        return n;
}

static void test_size_at_rest(void) {
        Path p;

        path_init(&p, 1500);
        for (unsigned i = 0; i < 1000; i++)
                g_assert_cmpuint(path_say(&p, false), <=, LINK_SIZE_LONGEST);
        g_assert_cmpuint(p.n_padded, ==, 50);
        g_assert_cmpuint(p.n_changes, ==, 0);
        g_assert_true(link_size_is_settled(&p.l));
        /* While long segments are sent, every second one. */
        p.n_padded = 0;
        for (unsigned i = 0; i < 100; i++) {
                link_size_busy(&p.l, LINK_SIZE_LONGEST);
                (void) path_say(&p, false);
        }
        g_assert_cmpuint(p.n_padded, ==, 50);
}

/* Down at once, and up to what the path passes; nothing more is changed then. */
static void test_size_narrow(void) {
        static const uint32_t passes[][2] = { { 1400, 1372 }, { 1300, 1232 }, { 1000, 976 }, { 600, 528 } };

        for (unsigned i = 0; i < G_N_ELEMENTS(passes); i++) {
                unsigned changes;
                Path p;

                path_init(&p, passes[i][0]);
                link_size_busy(&p.l, LINK_SIZE_LONGEST);
                g_assert_cmpuint(path_until(&p, LINK_SIZE_SHORTEST, false), <=, 5);
                (void) path_until(&p, passes[i][1], false);
                for (unsigned n = 0; n < 50; n++)
                        (void) path_say(&p, false);
                changes = p.n_changes;
                g_assert_true(link_size_is_settled(&p.l));
                for (unsigned n = 0; n < 1000; n++)
                        (void) path_say(&p, false);
                g_assert_cmpuint(p.n_changes, ==, changes);
                g_assert_cmpuint(link_size_bytes(&p.l), ==, passes[i][1]);

                /* The path is repaired. */
                p.limit_bytes = 1500;
                g_assert_cmpuint(path_until(&p, LINK_SIZE_LONGEST, false), <=, 60);
        }
}

static void test_size_dead(void) {
        Path p;

        path_init(&p, 400);
        link_size_busy(&p.l, LINK_SIZE_LONGEST);
        g_assert_false(link_size_is_doubtful(&p.l));
        for (unsigned n = 0; !link_size_is_doubtful(&p.l); n++) {
                g_assert_cmpuint(n, <, 4);
                (void) path_say(&p, false);
        }
        g_assert_cmpuint(path_until(&p, LINK_SIZE_SHORTEST, true), <=, 12);
        for (unsigned n = 0; n < 100; n++)
                (void) path_say(&p, false);
        g_assert_true(p.l.dead);
        p.limit_bytes = 600;
        g_assert_cmpuint(path_until(&p, LINK_SIZE_SHORTEST, false), <=, 3);
        p.limit_bytes = 1500;
        (void) path_until(&p, LINK_SIZE_LONGEST, false);
}

/* What is lost whatever its length is no matter of length; and one in a row is chance. */
static void test_size_other_losses(void) {
        Path p;

        path_init(&p, 1500);
        for (unsigned i = 0; i < 20; i++) {
                for (unsigned n = 0; n < 50; n++)
                        (void) path_say(&p, false);
                for (unsigned n = 0; n < 2 + 3 * i; n++)
                        (void) path_say(&p, true);
        }
        for (unsigned i = 0; i < 100; i++) {
                unsigned padded = p.n_padded;

                p.limit_bytes = 1000;
                while (p.n_padded == padded)
                        (void) path_say(&p, false);
                p.limit_bytes = 1500;
                for (unsigned n = 0; n < 10; n++)
                        (void) path_say(&p, false);
        }
        g_assert_cmpuint(p.n_changes, ==, 0);
}

/* Who is restarted knows nothing of what it was sent, and no echo of it is worth anything. */
static void test_size_restart(void) {
        LinkSize l;

        link_size_init(&l);
        for (uint32_t n = 0; n < 25; n++)
                link_size_sent(&l, n, LINK_SIZE_LONGEST);
        link_size_forget(&l);
        g_assert_false(link_size_echoed(&l, 24, 0));
        g_assert_false(link_size_is_doubtful(&l));
        g_assert_false(link_size_echoed(&l, 1000, 0));
        link_size_sent(&l, 25, 300);
        g_assert_false(link_size_echoed(&l, 25, 0));
        g_assert_false(link_size_is_doubtful(&l));
}

/* What was sent since stands in the place of what was sent long ago; and what could not be sent was not
 * lost. */
static void test_size_late_echo(void) {
        LinkSize l;

        link_size_init(&l);
        for (uint32_t n = 0; n <= 60; n++)
                link_size_sent(&l, n, n > 50 ? LINK_SIZE_LONGEST : n > 40 ? 0 : 300);
        g_assert_false(link_size_echoed(&l, 50, 0));
        g_assert_false(link_size_is_doubtful(&l));
        g_assert_false(link_size_echoed(&l, 52, 1));
        g_assert_false(link_size_echoed(&l, 50, 0)); /* overtaken */
        g_assert_false(link_size_is_doubtful(&l));
        g_assert_true(link_size_echoed(&l, 56, 0)); /* 53, 54 and 55 are lost */
}

/* Of many nodes even heartbeats are longer than the shortest segments: a longer one is tried all the same.
 */
static void test_size_long_heartbeats(void) {
        Path p;

        path_init(&p, 600);
        link_size_busy(&p.l, LINK_SIZE_LONGEST);
        (void) path_until(&p, LINK_SIZE_SHORTEST, false);
        p.short_bytes = 1200;
        p.limit_bytes = 1500;
        (void) path_until(&p, LINK_SIZE_LONGEST, false);
}

/* ---- The meter ---- */

static void test_meter_came(void) {
        LinkMeter m;

        link_meter_init(&m);
        link_meter_received(&m, 10, 1000);
        g_assert_cmpuint(link_meter_echo(&m, 1000).came, ==, 0);
        link_meter_received(&m, 11, 1000);
        g_assert_cmpuint(link_meter_echo(&m, 1000).came, ==, 1);
        link_meter_received(&m, 14, 1000);
        g_assert_cmphex(link_meter_echo(&m, 1000).came, ==, 0x0c); /* 11 and 10 */
        link_meter_received(&m, 12, 1000);                         /* overtaken */
        g_assert_cmphex(link_meter_echo(&m, 1000).came, ==, 0x0e);
        link_meter_received(&m, 14 + 32, 1000);
        g_assert_cmphex(link_meter_echo(&m, 1000).came, ==, 0x80000000);
        link_meter_received(&m, 14 + 32 + 33, 1000);
        g_assert_cmphex(link_meter_echo(&m, 1000).came, ==, 0);
        link_meter_forget(&m);
        link_meter_received(&m, 1, 1000);
        g_assert_cmphex(link_meter_echo(&m, 1000).came, ==, 0);
}

static void test_meter_losses(void) {
        static const uint32_t came[] = { 7, 8, 11, 9, 12 };
        LinkMeter m;

        link_meter_init(&m);
        FOREACH_ARRAY(n, came, ELEMENTSOF(came))
                link_meter_received(&m, *n, 1);
        g_assert_cmpuint(m.n_received, ==, 5);
        g_assert_cmpuint(m.n_lost, ==, 1); /* 10 */
        link_meter_forget(&m);
        link_meter_received(&m, 2, 1);
        g_assert_cmpuint(m.n_lost, ==, 0);
        /* They go round. */
        link_meter_forget(&m);
        link_meter_received(&m, UINT32_MAX, 1);
        link_meter_received(&m, 1, 1);
        g_assert_cmpuint(m.n_lost, ==, 1);
}

/* Two ends whose clocks have nothing to do with each other, 150 us apart both ways. */
static void test_meter_round_trips(void) {
        LinkMeter here, there;
        PacketEcho echo;

        link_meter_init(&here);
        link_meter_init(&there);
        g_assert_cmpuint(link_meter_echo(&there, 5).held_usec, ==, UINT32_MAX);
        link_meter_echoed(&here, link_meter_echo(&there, 5), 1000);
        g_assert_cmpuint(here.rtt_usec, ==, USEC_INFINITY);

        for (uint32_t n = 1; n < 40; n++) {
                link_meter_sent(&here, n, n * 1000);
                link_meter_received(&there, n, 77000000 + n * 1000 + 150);
                echo = link_meter_echo(&there, 77000000 + n * 1000 + 150 + 400);
                g_assert_cmpuint(echo.held_usec, ==, 400);
                link_meter_echoed(&here, echo, n * 1000 + 150 + 400 + 150);
                g_assert_cmpuint(here.rtt_usec, ==, 300);
        }
        /* The same one once more, and held: nothing new. */
        link_meter_echoed(&here, echo, 100000);
        g_assert_cmpuint(here.rtt_usec, ==, 300);
        /* A slower one counts for an eighth. */
        link_meter_sent(&here, 40, 40000);
        link_meter_echoed(&here, (PacketEcho){ .message = 40, .held_usec = 0 }, 40000 + 1100);
        g_assert_cmpuint(here.rtt_usec, ==, 400);
}

/* Whatever a peer echoes, it is no round trip that was none. */
static void test_meter_nonsense(void) {
        LinkMeter m;

        link_meter_init(&m);
        link_meter_echoed(&m, (PacketEcho){ .message = 0, .held_usec = 0 }, 5000);
        for (uint32_t n = 0; n < 50; n++)
                link_meter_sent(&m, n, 1000 * n);
        link_meter_echoed(&m, (PacketEcho){ .message = 50, .held_usec = 0 }, 50000); /* not sent yet */
        link_meter_echoed(&m, (PacketEcho){ .message = 33, .held_usec = 0 }, 50000); /* forgotten */
        link_meter_echoed(
                        &m,
                        (PacketEcho){ .message = 49, .held_usec = 90000 },
                        50000); /* held for longer than it was away */
        link_meter_echoed(&m, (PacketEcho){ .message = 49, .held_usec = UINT32_MAX }, 50000);
        link_meter_echoed(&m, (PacketEcho){ .message = UINT32_MAX }, 50000);
        g_assert_cmpuint(m.rtt_usec, ==, USEC_INFINITY);
        link_meter_echoed(&m, (PacketEcho){ .message = 34, .held_usec = 0 }, 50000);
        g_assert_cmpuint(m.rtt_usec, ==, 16000);
        /* What came long ago is not echoed: clocks run apart. */
        link_meter_received(&m, 1, 1000);
        g_assert_cmpuint(link_meter_echo(&m, 1000 + 2 * USEC_PER_SEC).held_usec, ==, UINT32_MAX);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hagcd/packet/other-version-is-told-apart", test_other_version);
        g_test_add_func("/hagcd/packet/lengths-are-bounded", test_lengths);
        g_test_add_func("/hagcd/link-size/at-rest", test_size_at_rest);
        g_test_add_func("/hagcd/link-size/narrow-path", test_size_narrow);
        g_test_add_func("/hagcd/link-size/dead-and-back", test_size_dead);
        g_test_add_func("/hagcd/link-size/other-losses", test_size_other_losses);
        g_test_add_func("/hagcd/link-size/restart", test_size_restart);
        g_test_add_func("/hagcd/link-size/late-echo", test_size_late_echo);
        g_test_add_func("/hagcd/link-size/long-heartbeats", test_size_long_heartbeats);
        g_test_add_func("/hagcd/meter/which-ones-came", test_meter_came);
        g_test_add_func("/hagcd/meter/gaps-are-losses", test_meter_losses);
        g_test_add_func("/hagcd/meter/echoes-are-round-trips", test_meter_round_trips);
        g_test_add_func("/hagcd/meter/nonsense-measures-nothing", test_meter_nonsense);
        g_test_add_func("/hagcd/packet/header", test_header);
        g_test_add_func("/hagcd/packet/inside", test_inside);
        g_test_add_func("/hagcd/packet/segments", test_segments);
        g_test_add_func("/hagcd/reassembly/out-of-order-and-bounded", test_reassembly);
        g_test_add_func("/hagcd/link-choice/first-that-carries-both-ways", test_choice);
        return g_test_run();
}
