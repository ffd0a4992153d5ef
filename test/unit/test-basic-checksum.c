/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/checksum.h"

static void test_crc32c_known_values(void) {
        uint8_t zeros[32] = {}, ones[32];

        memset(ones, 0xff, sizeof(ones));

        /* RFC 3720, B.4 */
        g_assert_cmphex(crc32c(0, "123456789", 9), ==, 0xe3069283);
        g_assert_cmphex(crc32c(0, zeros, sizeof(zeros)), ==, 0x8a9136aa);
        g_assert_cmphex(crc32c(0, ones, sizeof(ones)), ==, 0x62a8ab43);
        g_assert_cmphex(crc32c(0, "", 0), ==, 0);
}

static void test_crc32c_in_pieces(void) {
        g_assert_cmphex(crc32c(crc32c(0, "1234", 4), "56789", 5), ==, 0xe3069283);
}

static void test_crc32c_sees_each_bit(void) {
        uint8_t data[64] = { 1, 2, 3 };
        uint32_t good = crc32c(0, data, sizeof(data));

        for (size_t bit = 0; bit < sizeof(data) * 8; bit++) {
                data[bit / 8] ^= (uint8_t) (1U << bit % 8);
                g_assert_cmphex(crc32c(0, data, sizeof(data)), !=, good);
                data[bit / 8] ^= (uint8_t) (1U << bit % 8);
        }
}

static uint64_t hash_of_two(const char *a, const char *b) {
        Hash64 h;

        hash64_init(&h);
        hash64_string(&h, a);
        hash64_string(&h, b);
        return hash64_result(&h);
}

static void test_hash64_knows_borders(void) {
        g_assert_cmphex(hash_of_two("ab", "c"), ==, hash_of_two("ab", "c"));
        g_assert_cmphex(hash_of_two("ab", "c"), !=, hash_of_two("a", "bc"));
        g_assert_cmphex(hash_of_two("", "x"), !=, hash_of_two("x", ""));
        g_assert_cmphex(hash_of_two("", ""), !=, hash_of_two(NULL, ""));
}

/* It travels in heartbeats between versions: its values may never change. */
static void test_hash64_stays_what_it_was(void) {
        g_assert_cmphex(hash64_of("", 0), ==, UINT64_C(0xefd01f60ba992926));
        g_assert_cmphex(hash64_of("hamgr", 5), ==, UINT64_C(0x5a71c1367d6ec71f));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/basic/checksum/crc32c-known-values", test_crc32c_known_values);
        g_test_add_func("/basic/checksum/crc32c-in-pieces", test_crc32c_in_pieces);
        g_test_add_func("/basic/checksum/crc32c-sees-each-bit", test_crc32c_sees_each_bit);
        g_test_add_func("/basic/checksum/hash64-knows-borders", test_hash64_knows_borders);
        g_test_add_func("/basic/checksum/hash64-stays-what-it-was", test_hash64_stays_what_it_was);

        return g_test_run();
}
