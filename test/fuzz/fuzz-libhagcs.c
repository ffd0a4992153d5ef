/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The library with a mad hagcd at the other end of its socket. */

#include <stdlib.h>
#include <sys/socket.h>

#include "fuzz/fuzz.h"
#include "fuzz/proto-frames.h"
#include "libhagcs/hagcs.h"

#define OPS_MAX 300U

typedef enum Op {
        OP_RAW, /* a frame */
        OP_REGISTER,
        OP_SEND,
        OP_GIVE,
        OP_UNREGISTER,
        OP_READ, /* what it wrote */
        _OP_MAX,
} Op;

typedef struct Fixture {
        hagcs *h;
        int server;
        uint64_t snapshot_id;
} Fixture;

/* What it points to is there. */
static void look(Fixture *f, const hagcs_event *e) {
        static volatile uint8_t sum;

        if (e->type == HAGCS_EVENT_SNAPSHOT_REQUEST)
                f->snapshot_id = e->cookie;
        for (size_t i = 0; i < e->size; i++)
                sum = (uint8_t) (sum + ((const uint8_t *) e->data)[i]);
        for (size_t i = 0; i < e->view.n_members; i++)
                sum = (uint8_t) (sum + strlen(e->view.members[i].name));
        for (size_t i = 0; i < e->view.n_nodes; i++)
                sum = (uint8_t) (sum + strlen(e->view.nodes[i].reason));
        if (e->text)
                sum = (uint8_t) (sum + strlen(e->text));
        (void) hagcs_get_cluster(f->h);
}

static void dispatch(Fixture *f) {
        const hagcs_event *e;

        while (hagcs_dispatch(f->h, &e) > 0)
                look(f, e);
}

static void hear(Fixture *f) {
        static uint8_t buf[PROTO_FRAME_MAX];

        while (recv(f->server, buf, sizeof(buf), MSG_DONTWAIT) > 0)
                ;
}

static void one_op(Fixture *f, FuzzInput *in) {
        static uint8_t zeros[300000];
        const uint8_t *data;
        size_t n;

        switch ((Op) fuzz_below(in, _OP_MAX)) {
        case OP_RAW:
                data = fuzz_blob(in, &n);
                (void) send(f->server, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
                break;
        case OP_REGISTER:
                (void) hagcs_register(
                                f->h,
                                &(hagcs_registration){ .group = "talk",
                                                       .name = "me",
                                                       .flags = fuzz_u8(in) % 2 ? HAGCS_WANT_SNAPSHOT : 0 });
                break;
        case OP_SEND:
                (void) hagcs_send(f->h, zeros, fuzz_u8(in) % 4 ? fuzz_u8(in) : sizeof(zeros), fuzz_u8(in));
                break;
        case OP_GIVE:
                (void) hagcs_give_snapshot(f->h, f->snapshot_id, zeros, fuzz_u16(in));
                break;
        case OP_UNREGISTER:
                (void) hagcs_unregister(f->h);
                break;
        case OP_READ:
                hear(f);
                break;
        case _OP_MAX:
                break;
        }
        dispatch(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        FuzzInput in = { .data = data, .size_bytes = size };
        Fixture f = { 0 };
        int fds[2];

        assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
        assert(hagcs_open_fd(fds[0], &f.h) == 0);
        f.server = fds[1];
        for (unsigned i = 0; i < OPS_MAX && !fuzz_is_empty(&in); i++)
                one_op(&f, &in);
        f.h = hagcs_close(f.h);
        (void) safe_close(f.server);
        return 0;
}

typedef struct Collector {
        FuzzSeeds *seeds;
        FuzzScript all; /* up to where it is a member */
} Collector;

/* Welcomed, a member, and then one of each. */
static void collect(void *userdata, const void *data, size_t size_bytes) {
        Collector *c = userdata;
        FuzzScript script = c->all;

        FUZZ_SAY(&script, OP_RAW);
        fuzz_say_blob(&script, data, size_bytes);
        FUZZ_SAY(&script, OP_SEND, 1, 9, 1, OP_GIVE, 9, 0, OP_READ, OP_RAW);
        fuzz_say_blob(&script, data, size_bytes);
        fuzz_seed(c->seeds, script.data, script.size_bytes);
}

static void say_frame(FuzzScript *s, const ProtoFrame *f) {
        uint8_t buf[512];
        ssize_t n = proto_encode(f, buf, sizeof(buf));

        assert(n > 0);
        FUZZ_SAY(s, OP_RAW);
        fuzz_say_blob(s, buf, (size_t) n);
}

void fuzz_seeds(FuzzSeeds *s) {
        Collector c = { .seeds = s };

        say_frame(&c.all, &(ProtoFrame){ .type = PROTO_WELCOME, .version = PROTO_VERSION });
        FUZZ_SAY(&c.all, OP_REGISTER, 1);
        say_frame(&c.all, &(ProtoFrame){ .type = PROTO_REGISTERED, .member_id = { 1, 10, 1 } });
        proto_frames_all(collect, &c);
        proto_packet((ProtoType[]){ PROTO_PING, PROTO_MESSAGE, PROTO_CREDIT }, 3, collect, &c);
}
