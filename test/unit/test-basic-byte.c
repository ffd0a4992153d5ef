/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "basic/byte-reader.h"
#include "basic/byte-writer.h"

static void test_round_trip(void) {
        uint8_t buf[128];
        char text[16];
        const uint8_t *blob;
        size_t n;
        ByteWriter w;
        ByteReader r;

        byte_writer_init(&w, buf, sizeof(buf));
        byte_writer_u8(&w, 0xab);
        byte_writer_u16(&w, 0x1234);
        byte_writer_u32(&w, 0xdeadbeef);
        byte_writer_u64(&w, UINT64_C(0x0123456789abcdef));
        byte_writer_bool(&w, true);
        byte_writer_string(&w, "n1");
        byte_writer_string(&w, NULL);
        byte_writer_blob(&w, "xyz", 3);
        g_assert_cmpint(byte_writer_result(&w), ==, 0);

        byte_reader_init(&r, buf, w.size_bytes);
        g_assert_cmpuint(byte_reader_u8(&r), ==, 0xab);
        g_assert_cmpuint(byte_reader_u16(&r), ==, 0x1234);
        g_assert_cmpuint(byte_reader_u32(&r), ==, 0xdeadbeef);
        g_assert_cmpuint(byte_reader_u64(&r), ==, UINT64_C(0x0123456789abcdef));
        g_assert_true(byte_reader_bool(&r));
        byte_reader_string(&r, text, sizeof(text));
        g_assert_cmpstr(text, ==, "n1");
        byte_reader_string(&r, text, sizeof(text));
        g_assert_cmpstr(text, ==, "");
        blob = byte_reader_blob(&r, 3, &n);
        g_assert_cmpmem(blob, n, "xyz", 3);
        g_assert_cmpint(byte_reader_finish(&r), ==, 0);
}

static void test_bytes_are_little_endian(void) {
        uint8_t buf[4];
        ByteWriter w;

        byte_writer_init(&w, buf, sizeof(buf));
        byte_writer_u32(&w, 0x01020304);
        g_assert_cmpmem(buf, 4, "\x04\x03\x02\x01", 4);
}

/* Every shorter cut of a good message is an error, never a read beyond the end. */
static void test_every_cut_is_an_error(void) {
        uint8_t buf[64];
        ByteWriter w;

        byte_writer_init(&w, buf, sizeof(buf));
        byte_writer_u32(&w, 7);
        byte_writer_string(&w, "name");
        byte_writer_blob(&w, "abcdef", 6);
        byte_writer_u64(&w, 1);

        for (size_t cut = 0; cut <= w.size_bytes; cut++) {
                g_autofree uint8_t *exact = g_memdup2(buf, cut); /* so that Valgrind sees a read beyond it */
                char text[8];
                size_t n;
                ByteReader r;

                byte_reader_init(&r, exact, cut);
                (void) byte_reader_u32(&r);
                byte_reader_string(&r, text, sizeof(text));
                (void) byte_reader_blob(&r, 16, &n);
                (void) byte_reader_u64(&r);
                g_assert_cmpint(byte_reader_finish(&r), ==, cut == w.size_bytes ? 0 : -EBADMSG);
        }
}

static void test_error_is_sticky_and_reads_zero(void) {
        static const uint8_t data[] = { 1, 2, 3 };
        ByteReader r;

        byte_reader_init(&r, data, sizeof(data));
        g_assert_cmpuint(byte_reader_u32(&r), ==, 0);
        g_assert_cmpuint(byte_reader_u8(&r), ==, 0);
        g_assert_cmpuint(byte_reader_left(&r), ==, 0);
        g_assert_null(byte_reader_bytes(&r, 0));
        g_assert_cmpint(byte_reader_result(&r), ==, -EBADMSG);
}

static void test_counts_are_checked_against_what_is_left(void) {
        uint8_t buf[12];
        ByteWriter w;
        ByteReader r;

        byte_writer_init(&w, buf, sizeof(buf));
        byte_writer_u32(&w, 2);
        byte_writer_u64(&w, 0);

        byte_reader_init(&r, buf, sizeof(buf));
        g_assert_cmpuint(byte_reader_count(&r, 10, 4), ==, 2);
        g_assert_cmpint(byte_reader_result(&r), ==, 0);

        byte_reader_init(&r, buf, sizeof(buf));
        g_assert_cmpuint(byte_reader_count(&r, 10, 5), ==, 0);
        g_assert_cmpint(byte_reader_result(&r), ==, -EBADMSG);

        byte_reader_init(&r, buf, sizeof(buf));
        g_assert_cmpuint(byte_reader_count(&r, 1, 4), ==, 0);
        g_assert_cmpint(byte_reader_result(&r), ==, -EBADMSG);
}

static void test_huge_lengths_do_not_wrap(void) {
        static const uint8_t data[] = { 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4 };
        size_t n = 99;
        ByteReader r;

        byte_reader_init(&r, data, sizeof(data));
        g_assert_null(byte_reader_blob(&r, SIZE_MAX, &n));
        g_assert_cmpuint(n, ==, 0);

        byte_reader_init(&r, data, sizeof(data));
        g_assert_null(byte_reader_bytes(&r, SIZE_MAX));
}

static void test_strings_that_lie_are_refused(void) {
        static const uint8_t with_zero[] = { 3, 0, 'a', 0, 'b' }, long_one[] = { 4, 0, 'a', 'b', 'c', 'd' };
        char text[4] = "old";
        ByteReader r;

        byte_reader_init(&r, with_zero, sizeof(with_zero));
        byte_reader_string(&r, text, sizeof(text));
        g_assert_cmpstr(text, ==, "");
        g_assert_cmpint(byte_reader_result(&r), ==, -EBADMSG);

        byte_reader_init(&r, long_one, sizeof(long_one));
        byte_reader_string(&r, text, sizeof(text));
        g_assert_cmpstr(text, ==, "");
        g_assert_cmpint(byte_reader_result(&r), ==, -EBADMSG);
}

static void test_values_outside_their_range_are_refused(void) {
        static const uint8_t data[] = { 2, 0, 0, 0 };
        ByteReader r;

        byte_reader_init(&r, data, sizeof(data));
        g_assert_false(byte_reader_bool(&r));
        g_assert_cmpint(byte_reader_result(&r), ==, -EBADMSG);

        byte_reader_init(&r, data, sizeof(data));
        g_assert_cmpuint(byte_reader_u32_max(&r, 1), ==, 0);
        g_assert_cmpint(byte_reader_result(&r), ==, -EBADMSG);

        byte_reader_init(&r, data, sizeof(data));
        g_assert_cmpuint(byte_reader_u8_max(&r, 2), ==, 2);
        g_assert_cmpint(byte_reader_result(&r), ==, 0);
        g_assert_cmpint(byte_reader_finish(&r), ==, -EBADMSG);
}

static void test_writer_stops_at_its_end(void) {
        uint8_t buf[6] = { 0, 0, 0, 0, 0x55, 0x55 };
        ByteWriter w;

        byte_writer_init(&w, buf, 4);
        byte_writer_u16(&w, 0xffff);
        byte_writer_u32(&w, 0xffffffff);
        byte_writer_u8(&w, 0xff);
        g_assert_cmpint(byte_writer_result(&w), ==, -ENOBUFS);
        g_assert_cmpuint(w.size_bytes, ==, 2);
        g_assert_cmpmem(buf, 6, "\xff\xff\0\0\x55\x55", 6);
}

static void test_reserved_place_is_filled_in(void) {
        uint8_t buf[8];
        ByteWriter w;
        size_t place;

        byte_writer_init(&w, buf, sizeof(buf));
        place = byte_writer_reserve(&w, 4);
        byte_writer_u32(&w, 5);
        byte_writer_patch_u32(&w, place, 0x01020304);
        g_assert_cmpint(byte_writer_result(&w), ==, 0);
        g_assert_cmpmem(buf, 8, "\x04\x03\x02\x01\x05\0\0\0", 8);
}

/* The reader and the writer are in libhagcs too, which ends no process. */
static void test_misuse_is_an_error(void) {
        uint8_t buf[4] = { 0 };
        ByteReader r;
        ByteWriter w;

        byte_reader_init(&r, NULL, 4);
        g_assert_cmpint(byte_reader_result(&r), ==, -EBADMSG);
        g_assert_cmpuint(byte_reader_u32(&r), ==, 0);
        byte_reader_init(&r, buf, sizeof(buf));
        byte_reader_string(&r, NULL, 0);
        g_assert_cmpint(byte_reader_result(&r), ==, -EBADMSG);

        byte_writer_init(&w, NULL, 4);
        byte_writer_u8(&w, 1);
        g_assert_cmpint(byte_writer_result(&w), ==, -ENOBUFS);
        byte_writer_init(&w, buf, sizeof(buf));
        byte_writer_patch_u32(&w, 0, 1);
        g_assert_cmpint(byte_writer_result(&w), ==, -ENOBUFS);
        byte_writer_init(&w, buf, sizeof(buf));
        byte_writer_patch_u32(&w, SIZE_MAX, 1);
        g_assert_cmpint(byte_writer_result(&w), ==, -ENOBUFS);
        g_assert_cmpmem(buf, 4, "\0\0\0\0", 4);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/basic/byte/round-trip", test_round_trip);
        g_test_add_func("/basic/byte/bytes-are-little-endian", test_bytes_are_little_endian);
        g_test_add_func("/basic/byte/every-cut-is-an-error", test_every_cut_is_an_error);
        g_test_add_func("/basic/byte/error-is-sticky-and-reads-zero", test_error_is_sticky_and_reads_zero);
        g_test_add_func("/basic/byte/counts-are-checked", test_counts_are_checked_against_what_is_left);
        g_test_add_func("/basic/byte/huge-lengths-do-not-wrap", test_huge_lengths_do_not_wrap);
        g_test_add_func("/basic/byte/strings-that-lie-are-refused", test_strings_that_lie_are_refused);
        g_test_add_func("/basic/byte/values-outside-are-refused",
                        test_values_outside_their_range_are_refused);
        g_test_add_func("/basic/byte/writer-stops-at-its-end", test_writer_stops_at_its_end);
        g_test_add_func("/basic/byte/reserved-place-is-filled-in", test_reserved_place_is_filled_in);
        g_test_add_func("/basic/byte/misuse-is-an-error", test_misuse_is_an_error);

        return g_test_run();
}
