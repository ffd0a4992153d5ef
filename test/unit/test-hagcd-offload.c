/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which datagrams go through the kernel as one, and that they are the same ones at the other end. */

#include <glib.h>
#include <netinet/in.h>

#include "basic/macro.h"
#include "hagcd/offload.h"

#define N_MAX 100U
#define BYTES 1400U

typedef struct Fixture {
        struct sockaddr_in to, other;
        struct iovec iov[N_MAX];
        struct mmsghdr messages[N_MAX];
        struct msghdr joined;
        OffloadControl control;
} Fixture;

static uint8_t data[N_MAX][BYTES];

static void set(Fixture *f, unsigned i, struct sockaddr_in *to, size_t size_bytes) {
        f->iov[i] = (struct iovec){ .iov_base = data[i], .iov_len = size_bytes };
        f->messages[i].msg_hdr = (struct msghdr){
                .msg_name = to,
                .msg_namelen = sizeof(*to),
                .msg_iov = &f->iov[i],
                .msg_iovlen = 1,
        };
}

static unsigned join(Fixture *f, unsigned first, unsigned n) {
        return offload_join(f->messages + first, n, &f->joined, &f->control);
}

static void test_alike(void) {
        Fixture f = { 0 };

        for (unsigned i = 0; i < 5; i++)
                set(&f, i, &f.to, 1000);
        g_assert_cmpuint(join(&f, 0, 1), ==, 1);
        g_assert_cmpuint(f.joined.msg_controllen, ==, 0);
        g_assert_cmpuint(join(&f, 0, 5), ==, 5);
        g_assert_cmpuint(f.joined.msg_iovlen, ==, 5);
        g_assert_cmpuint(f.joined.msg_controllen, >, 0);

        /* A shorter one is the last, a longer one comes too late, another receiver is another packet. */
        set(&f, 2, &f.to, 10);
        g_assert_cmpuint(join(&f, 0, 5), ==, 3);
        set(&f, 2, &f.to, 1001);
        g_assert_cmpuint(join(&f, 0, 5), ==, 2);
        set(&f, 2, &f.other, 1000);
        g_assert_cmpuint(join(&f, 0, 5), ==, 2);
        g_assert_cmpuint(join(&f, 2, 3), ==, 1);
}

static void test_bounds(void) {
        Fixture f = { 0 };

        for (unsigned i = 0; i < N_MAX; i++)
                set(&f, i, &f.to, 100);
        g_assert_cmpuint(join(&f, 0, N_MAX), ==, 64);
        for (unsigned i = 0; i < N_MAX; i++)
                set(&f, i, &f.to, BYTES);
        g_assert_cmpuint(join(&f, 0, N_MAX), ==, 65487 / BYTES);
}

static int socket_at(struct sockaddr_in *ret) {
        socklen_t n = sizeof(*ret);
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        g_assert_cmpint(fd, >=, 0);
        *ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
        g_assert_cmpint(bind(fd, (struct sockaddr *) ret, sizeof(*ret)), ==, 0);
        g_assert_cmpint(getsockname(fd, (struct sockaddr *) ret, &n), ==, 0);
        return fd;
}

/* Over loopback, which does both. */
static void test_there_and_back(void) {
        static uint8_t in[OFFLOAD_PACKET_BYTES_MAX];
        Fixture f = { 0 };
        _cleanup_close_ int to = socket_at(&f.to), from = socket_at(&f.other);
        struct iovec iov = { .iov_base = in, .iov_len = sizeof(in) };
        OffloadControl control;
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
        size_t got = 0;
        ssize_t n;

        offload_receive(to);
        for (unsigned i = 0; i < 4; i++) {
                memset(data[i], (int) i + 1, BYTES);
                set(&f, i, &f.to, i < 3 ? 1000 : 400);
        }
        g_assert_cmpuint(join(&f, 0, 4), ==, 4);
        g_assert_cmpint(sendmsg(from, &f.joined, 0), ==, 3400);
        while (got < 3400) {
                size_t each;

                m.msg_controllen = sizeof(control);
                n = recvmsg(to, &m, 0);
                g_assert_cmpint(n, >, 0);
                each = offload_datagram_bytes(&m, (size_t) n);
                for (size_t k = 0; k < (size_t) n; k++)
                        g_assert_cmpuint(in[k], ==, (got + k) / 1000 + 1);
                g_assert_cmpuint(each, ==, got < 3000 ? 1000 : 400);
                got += (size_t) n;
        }

        /* One that comes alone has no size but its own. */
        g_assert_cmpuint(join(&f, 3, 1), ==, 1);
        g_assert_cmpint(sendmsg(from, &f.joined, 0), ==, 400);
        m.msg_controllen = sizeof(control);
        n = recvmsg(to, &m, 0);
        g_assert_cmpint(n, ==, 400);
        g_assert_cmpuint(offload_datagram_bytes(&m, (size_t) n), ==, 400);
}

static void test_refusals(void) {
        g_assert_true(offload_is_refused(EMSGSIZE));
        g_assert_true(offload_is_refused(EIO));
        g_assert_false(offload_is_refused(EAGAIN));
        g_assert_false(offload_is_refused(ENETUNREACH));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hagcd/offload/alike-go-as-one", test_alike);
        g_test_add_func("/hagcd/offload/within-the-kernels-bounds", test_bounds);
        g_test_add_func("/hagcd/offload/there-and-back", test_there_and_back);
        g_test_add_func("/hagcd/offload/what-one-by-one-may-help-against", test_refusals);
        return g_test_run();
}
