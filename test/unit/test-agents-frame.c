/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <glib.h>

#include "resource-agents/ip/frame.h"

static const Mac own = { { 2, 0, 0, 0, 0, 1 } }, other = { { 2, 0, 0, 0, 0, 2 } };

static IpAddress address(const char *text) {
        IpAddress a = { 0 };

        g_assert_cmpint(ip_address_parse(text, &a), ==, 0);
        return a;
}

static void test_addresses_are_read_strictly(void) {
        static const char *const wrong[] = {
                "",
                "192.0.2.10",
                "192.0.2.10/",
                "192.0.2.10/33",
                "192.0.2.10/0",
                "192.0.2.10/+24",
                "1.2.3/24",
                "192.0.2.10/ 4",
                "2001:db8::/129",
                "eth0/24",
                " 192.0.2.1/24",
        };
        static const char *const nobodys[] = {
                "192.0.2.0/24", "192.0.2.255/24", "127.0.0.1/8", "224.0.0.1/24",
                "0.0.0.0/24",   "::/64",          "::1/128",     "ff02::1/64",
        };
        IpAddress a;
        char text[IP_ADDRESS_TEXT_MAX];
        struct in_addr broadcast;

        FOREACH_ARRAY(w, wrong, ELEMENTSOF(wrong))
                g_assert_cmpint(ip_address_parse(*w, &a), ==, -EINVAL);
        FOREACH_ARRAY(n, nobodys, ELEMENTSOF(nobodys))
                g_assert_cmpint(ip_address_parse(*n, &a), ==, -EADDRNOTAVAIL);

        a = address("192.0.2.10/24");
        g_assert_cmpstr(ip_address_format(&a, text), ==, "192.0.2.10/24");
        g_assert_true(ip_address_broadcast(&a, &broadcast));
        g_assert_cmpuint(ntohl(broadcast.s_addr), ==, 0xc00002ff);
        a = address("192.0.2.0/31");
        g_assert_false(ip_address_broadcast(&a, &broadcast));
        a = address("2001:db8::a/64");
        g_assert_cmpstr(ip_address_format_host(&a, text), ==, "2001:db8::a");
}

static FrameVerdict judge(const Frame *f, const IpAddress *a, const Mac *self, Mac *ret) {
        return frame_judge(f->bytes, f->size_bytes, a, self, ret);
}

static void judge_all_kinds(const IpAddress *a, const IpAddress *elsewhere) {
        Frame f;
        Mac from = { 0 };

        frame_build(FRAME_PROBE, a, &other, &f);
        g_assert_cmpint(judge(&f, a, &own, &from), ==, FRAME_PROBED);
        g_assert_cmpmem(&from, sizeof from, &other, sizeof other);
        g_assert_cmpint(judge(&f, a, &other, &from), ==, FRAME_OF_NO_CONCERN);
        g_assert_cmpint(judge(&f, elsewhere, &own, &from), ==, FRAME_OF_NO_CONCERN);

        for (FrameKind kind = FRAME_ANNOUNCE; kind <= FRAME_ANNOUNCE_REPLY; kind++) {
                frame_build(kind, a, &other, &f);
                from = (Mac){ 0 };
                g_assert_cmpint(judge(&f, a, &own, &from), ==, FRAME_USED);
                g_assert_cmpmem(&from, sizeof from, &other, sizeof other);
                g_assert_cmpint(judge(&f, a, &other, &from), ==, FRAME_OF_NO_CONCERN);
                g_assert_cmpint(judge(&f, elsewhere, &own, &from), ==, FRAME_OF_NO_CONCERN);
                for (size_t n = 0; n < 42; n++)
                        g_assert_cmpint(frame_judge(f.bytes, n, a, &own, &from), ==, FRAME_OF_NO_CONCERN);
        }
}

static void test_arp_is_judged(void) {
        IpAddress a = address("192.0.2.10/24"), b = address("192.0.2.11/24");

        judge_all_kinds(&a, &b);
}

static void test_neighbour_discovery_is_judged(void) {
        IpAddress a = address("2001:db8::10/64"), b = address("2001:db8::11/64");

        judge_all_kinds(&a, &b);
}

/* A switch that tracks devices asks one host whether it is there; that takes nothing from anybody. */
static void test_probe_of_a_single_host_is_no_conflict(void) {
        IpAddress a = address("192.0.2.10/24");
        Frame f;
        Mac from;

        frame_build(FRAME_PROBE, &a, &other, &f);
        memcpy(f.bytes, &own, sizeof own);
        g_assert_cmpint(judge(&f, &a, &own, &from), ==, FRAME_OF_NO_CONCERN);
}

static void test_routed_neighbour_discovery_is_ignored(void) {
        IpAddress a = address("2001:db8::10/64");
        Frame f;
        Mac from;

        frame_build(FRAME_ANNOUNCE, &a, &other, &f);
        f.bytes[21] = 254; /* hop limit */
        g_assert_cmpint(judge(&f, &a, &own, &from), ==, FRAME_OF_NO_CONCERN);
}

static uint32_t sum(const uint8_t *p, size_t n) {
        uint32_t s = 0;

        for (size_t i = 0; i < n; i += 2)
                s += (uint32_t) (p[i] << 8 | p[i + 1]);
        return s;
}

/* Summed with its own checksum, a right message gives all ones. */
static void test_neighbour_discovery_has_a_right_checksum(void) {
        IpAddress a = address("2001:db8:1:2:3:4:5:6/64");

        for (FrameKind kind = FRAME_PROBE; kind <= FRAME_ANNOUNCE; kind++) {
                Frame f;
                uint32_t s;

                frame_build(kind, &a, &own, &f);
                s = sum(f.bytes + 22, 32) + (uint32_t) (f.size_bytes - 54) + 58 +
                    sum(f.bytes + 54, f.size_bytes - 54);
                while (s >> 16)
                        s = (s & 0xffff) + (s >> 16);
                g_assert_cmpuint(s, ==, 0xffff);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/agents/ip-address/read-strictly", test_addresses_are_read_strictly);
        g_test_add_func("/agents/frame/arp-is-judged", test_arp_is_judged);
        g_test_add_func("/agents/frame/neighbour-discovery-is-judged", test_neighbour_discovery_is_judged);
        g_test_add_func("/agents/frame/probe-of-a-single-host-is-no-conflict",
                        test_probe_of_a_single_host_is_no_conflict);
        g_test_add_func("/agents/frame/routed-neighbour-discovery-is-ignored",
                        test_routed_neighbour_discovery_is_ignored);
        g_test_add_func("/agents/frame/right-checksum", test_neighbour_discovery_has_a_right_checksum);
        return g_test_run();
}
