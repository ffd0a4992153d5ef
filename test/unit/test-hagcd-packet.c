/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/time-util.h"
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
                           .echo = { 40, 250 } },
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

static int
add(Reassembly *r, uint32_t message, const uint8_t *text, size_t size, uint32_t segment, Buffer **ret) {
        uint32_t n = packet_segments(size);
        size_t offset = (size_t) segment * PACKET_PAYLOAD_MAX;
        PacketInside p = { .message = message,
                           .segment = (uint16_t) segment,
                           .n_segments = (uint16_t) n,
                           .incarnation = 1 };

        return reassembly_add(r, &p, text + offset, MIN(size - offset, (size_t) PACKET_PAYLOAD_MAX), ret);
}

static void test_reassembly(void) {
        const size_t size = 5 * PACKET_PAYLOAD_MAX - 100;
        g_autofree uint8_t *text = g_malloc(size);
        Reassembly r = { 0 };
        Buffer *b = NULL;

        for (size_t i = 0; i < size; i++)
                text[i] = (uint8_t) (i * 7);
        g_assert_cmpuint(packet_segments(size), ==, 5);
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
        reassembly_done(&r);
}

static void test_segments(void) {
        g_assert_cmpuint(packet_segments(0), ==, 1);
        g_assert_cmpuint(packet_segments(PACKET_PAYLOAD_MAX), ==, 1);
        g_assert_cmpuint(packet_segments(PACKET_PAYLOAD_MAX + 1), ==, 2);
        g_assert_cmpuint(packet_segments(PACKET_MESSAGE_MAX), ==, PACKET_SEGMENTS_MAX);
        g_assert_cmpuint(packet_segments(PACKET_MESSAGE_MAX + 1), ==, 0);
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
        l[0].usable = l[1].usable = false;
        g_assert_cmpint(link_choose(l, 3, 1100, 200), ==, -1);
}

/* ---- The meter ---- */

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
        link_meter_echoed(&here, (PacketEcho){ 40, 0 }, 40000 + 1100);
        g_assert_cmpuint(here.rtt_usec, ==, 400);
}

/* Whatever a peer echoes, it is no round trip that was none. */
static void test_meter_nonsense(void) {
        LinkMeter m;

        link_meter_init(&m);
        link_meter_echoed(&m, (PacketEcho){ 0, 0 }, 5000);
        for (uint32_t n = 0; n < 50; n++)
                link_meter_sent(&m, n, 1000 * n);
        link_meter_echoed(&m, (PacketEcho){ 50, 0 }, 50000);     /* not sent yet */
        link_meter_echoed(&m, (PacketEcho){ 33, 0 }, 50000);     /* forgotten */
        link_meter_echoed(&m, (PacketEcho){ 49, 90000 }, 50000); /* held for longer than it was away */
        link_meter_echoed(&m, (PacketEcho){ 49, UINT32_MAX }, 50000);
        link_meter_echoed(&m, (PacketEcho){ UINT32_MAX, 0 }, 50000);
        g_assert_cmpuint(m.rtt_usec, ==, USEC_INFINITY);
        link_meter_echoed(&m, (PacketEcho){ 34, 0 }, 50000);
        g_assert_cmpuint(m.rtt_usec, ==, 16000);
        /* What came long ago is not echoed: clocks run apart. */
        link_meter_received(&m, 1, 1000);
        g_assert_cmpuint(link_meter_echo(&m, 1000 + 2 * USEC_PER_SEC).held_usec, ==, UINT32_MAX);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hagcd/packet/other-version-is-told-apart", test_other_version);
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
