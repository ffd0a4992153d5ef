/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The client side of hagcd with the core of groups behind it, on a node that is alone, and mad clients: an
 * input is a script of the frames that a few of them send, of frames that they read or not, and of how they
 * go away. */

#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/time-util.h"
#include "fuzz/fuzz.h"
#include "fuzz/proto-frames.h"
#include "hagcd/client.h"
#include "shared/log.h"

#define OPS_MAX 200U
#define CLIENTS 4U

typedef enum Op {
        OP_RAW,
        OP_HELLO,
        OP_REGISTER,
        OP_SEND,
        OP_CLOSE,
        OP_READ,
        OP_TIME,
        OP_MEMBERSHIP,
        _OP_MAX,
} Op;

typedef struct Fixture {
        sd_event *event; /* owned */
        Gcs *gcs;        /* owned */
        Clients *clients;
        struct sockaddr_un address;
        socklen_t address_bytes;
        int fds[CLIENTS];
        uint64_t store_number, stored_number, ahead_usec, epoch;
} Fixture;

/* A critical client that falls silent is killed; here all of them are this process. */
int pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags) {
        return 0;
}

static GcsVerdict feed(void *userdata, GcsEvent *event) {
        Fixture *f = userdata;
        GcsEffects effects;

        event->now_usec = now_boottime_usec() + f->ahead_usec;
        gcs_step(f->gcs, event, &effects);
        gcs_check(f->gcs);
        for (size_t i = 0; i < effects.n_effects; i++) {
                const GcsEffect *e = &effects.effects[i];

                if (e->type == GCS_EFFECT_STORE)
                        f->store_number = e->store.number;
                else if (e->client != 0)
                        clients_effect(f->clients, e);
        }
        return effects.verdict;
}

static void on_armed(void *userdata, bool armed) {
}

static void on_confirmed(void *userdata, const CmsConfirmation *confirmation) {
}

static void on_fail(void *userdata, const char *why) {
}

static void on_membership(void *userdata, ProtoMembership *ret) {
        *ret = (ProtoMembership){ .name = "shop", .node_id = 1, .phase = "stable" };
}

static void on_settle(void *userdata) {
        Fixture *f = userdata;

        clients_settle(f->clients);
}

static size_t on_group(void *userdata, unsigned slot, const char **ret_name, const GcsMember **ret_members) {
        Fixture *f = userdata;

        return gcs_get_group(f->gcs, slot, ret_name, ret_members);
}

static void on_reload(void *userdata) {
        Fixture *f = userdata;

        clients_reloaded(f->clients, -EINVAL, "it was not read");
}

static const ClientsHandlers handlers = {
        .feed = feed,
        .armed = on_armed,
        .confirmed_down = on_confirmed,
        .fail = on_fail,
        .membership = on_membership,
        .group = on_group,
        .reload = on_reload,
        .settle = on_settle,
};

static void turn(Fixture *f) {
        for (unsigned i = 0; i < 3; i++) {
                for (unsigned k = 0; k < 50 && sd_event_run(f->event, 0) > 0; k++)
                        ;
                if (f->store_number != f->stored_number) {
                        f->stored_number = f->store_number;
                        (void) feed(f,
                                    &(GcsEvent){ .type = GCS_EVENT_STORED, .stored = { f->store_number } });
                }
                (void) feed(f, &(GcsEvent){ .type = GCS_EVENT_TIMEOUT });
                clients_settle(f->clients);
        }
}

static void install(Fixture *f) {
        Membership m = {
                .mid = { ++f->epoch, 1 }, .quorate = true, .members = 1, .n_members = 1, .configured = 1
        };

        m.rank[0] = 1;
        m.nodes[0] = (MembershipNode){ .state = NODE_UP, .incarnation = 101 };
        (void) feed(f, &(GcsEvent){ .type = GCS_EVENT_TRANSITION });
        (void) feed(f, &(GcsEvent){ .type = GCS_EVENT_STABLE, .stable = { &m } });
}

static int fd_of(Fixture *f, unsigned client) {
        if (f->fds[client] >= 0)
                return f->fds[client];
        f->fds[client] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert(f->fds[client] >= 0);
        if (connect(f->fds[client], (struct sockaddr *) &f->address, f->address_bytes) < 0)
                f->fds[client] = safe_close(f->fds[client]);
        return f->fds[client];
}

static void say(Fixture *f, unsigned client, const void *data, size_t n) {
        int fd = fd_of(f, client);

        if (fd >= 0)
                (void) send(fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say_frame(Fixture *f, unsigned client, const ProtoFrame *frame) {
        static uint8_t buf[PROTO_FRAME_MAX];
        ssize_t n = proto_encode(frame, buf, sizeof(buf));

        assert(n > 0);
        say(f, client, buf, (size_t) n);
}

static void one_op(Fixture *f, FuzzInput *in) {
        static uint8_t payload[PROTO_PIECE_MAX], buf[PROTO_FRAME_MAX];
        Op op = (Op) fuzz_below(in, _OP_MAX);
        unsigned client = fuzz_below(in, CLIENTS), n_frames;
        ProtoFrame frame;
        const uint8_t *data;
        size_t n;

        switch (op) {
        case OP_RAW:
                data = fuzz_blob(in, &n);
                say(f, client, data, n);
                break;
        case OP_HELLO:
                say_frame(f, client, &(ProtoFrame){ .type = PROTO_HELLO, .version = PROTO_VERSION });
                break;
        case OP_REGISTER:
                frame = (ProtoFrame){
                        .type = PROTO_REGISTER,
                        .flags = fuzz_below(in, 4),
                        .liveliness_usec = fuzz_u8(in) * USEC_PER_MSEC,
                        .grace_usec = fuzz_u8(in) % 2 * USEC_PER_SEC,
                };
                (void) snprintf(frame.group, sizeof(frame.group), "g%u", fuzz_below(in, 2));
                (void) snprintf(frame.name, sizeof(frame.name), "m%u", fuzz_below(in, CLIENTS));
                say_frame(f, client, &frame);
                break;
        case OP_SEND:
                n = fuzz_u16(in) % (PROTO_PIECE_MAX + 1);
                n_frames = fuzz_below(in, 8);
                for (unsigned i = 0; i <= n_frames; i++)
                        say_frame(f,
                                  client,
                                  &(ProtoFrame){ .type = PROTO_SEND,
                                                 .data = payload,
                                                 .size_bytes = n,
                                                 .later = i > 0,
                                                 .more = i < n_frames });
                break;
        case OP_CLOSE:
                f->fds[client] = safe_close(f->fds[client]);
                break;
        case OP_READ:
                while (f->fds[client] >= 0 && recv(f->fds[client], buf, sizeof(buf), MSG_DONTWAIT) > 0)
                        ;
                break;
        case OP_TIME:
                f->ahead_usec += fuzz_u16(in) * USEC_PER_MSEC;
                break;
        case OP_MEMBERSHIP:
                install(f);
                break;
        case _OP_MAX:
                break;
        }
        turn(f);
}

static Fixture *set_up(void) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        socklen_t n = sizeof(struct sockaddr_un);
        Fixture *f = calloc(1, sizeof(*f));

        assert(fd >= 0);
        assert(f);
        /* Lines about mad clients are no news here. */
        log_set_max_level(LOG_EMERG);
        for (unsigned i = 0; i < CLIENTS; i++)
                f->fds[i] = -EBADF;
        /* A name of the kernel's choice, without a file. */
        f->address.sun_family = AF_UNIX;
        assert(bind(fd, (struct sockaddr *) &f->address, sizeof(sa_family_t)) == 0);
        assert(getsockname(fd, (struct sockaddr *) &f->address, &n) == 0);
        f->address_bytes = n;
        assert(listen(fd, 64) == 0);
        assert(sd_event_new(&f->event) >= 0);
        assert(gcs_new(&(GcsConfig){ .node = 1, .incarnation = 101 }, &f->gcs) == 0);
        assert(clients_new(f->event, fd, &handlers, f, &f->clients) >= 0);
        (void) TAKE_FD(fd);
        install(f);
        turn(f);
        return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        FuzzInput in = { .data = data, .size_bytes = size };
        Fixture *f = set_up();

        for (unsigned i = 0; i < OPS_MAX && !fuzz_is_empty(&in); i++)
                one_op(f, &in);
        for (unsigned i = 0; i < CLIENTS; i++)
                f->fds[i] = safe_close(f->fds[i]);
        turn(f);
        f->clients = clients_free(f->clients);
        (void) gcs_free(f->gcs);
        (void) sd_event_unref(f->event);
        free(f);
        return 0;
}

/* Two members, and then one of each frame of the first. */
static void collect(void *userdata, const void *data, size_t size_bytes) {
        FuzzScript script = { 0 };

        for (uint8_t client = 0; client < 2; client++)
                FUZZ_SAY(&script, OP_HELLO, client, OP_REGISTER, client, 2, 200, 0, 0, client);
        FUZZ_SAY(&script, OP_SEND, 1, 100, 0, 2, OP_RAW, 0);
        fuzz_say_blob(&script, data, size_bytes);
        FUZZ_SAY(&script,
                 OP_READ,
                 0,
                 OP_SEND,
                 0,
                 0,
                 200,
                 4,
                 OP_MEMBERSHIP,
                 0,
                 OP_TIME,
                 0,
                 44,
                 1,
                 OP_CLOSE,
                 0);
        fuzz_seed(userdata, script.data, script.size_bytes);
}

void fuzz_seeds(FuzzSeeds *s) {
        proto_frames_all(collect, s);
        proto_packet((ProtoType[]){ PROTO_SEND, PROTO_PONG, PROTO_UNREGISTER }, 3, collect, s);
}
