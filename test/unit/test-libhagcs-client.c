/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The library against a server made of a socket pair and the test's own hands. */

#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <sys/socket.h>

#include "libhagcs/gather.h"
#include "libhagcs/hagcs.h"
#include "libhagcs/proto.h"

typedef struct Fixture {
        hagcs *h;
        int server;
        uint8_t buf[PROTO_FRAME_MAX];
        GatherReader reader;
        ProtoFrame in;
        ProtoView view;
        ProtoCluster cluster;
} Fixture;

static void say(Fixture *f, const ProtoFrame *frame) {
        static uint8_t out[PROTO_FRAME_MAX];
        ssize_t n = proto_encode(frame, out, sizeof(out));

        g_assert_cmpint(n, >, 0);
        g_assert_cmpint(send(f->server, out, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL), ==, n);
}

static bool hear(Fixture *f) {
        const void *frame;
        size_t size;
        int r = gather_next(&f->reader, &frame, &size);

        if (r == 0) {
                ssize_t n = recv(f->server, f->buf, sizeof(f->buf), MSG_DONTWAIT);

                if (n <= 0)
                        return false;
                gather_read(&f->reader, f->buf, (size_t) n);
                r = gather_next(&f->reader, &frame, &size);
        }
        g_assert_cmpint(r, ==, 1);
        g_assert_cmpint(proto_decode(frame, size, &f->in), ==, 0);
        return true;
}

static const hagcs_event *expect(Fixture *f, hagcs_event_type type) {
        const hagcs_event *e;

        g_assert_cmpint(hagcs_dispatch(f->h, &e), ==, 1);
        g_assert_cmpint(e->type, ==, type);
        return e;
}

static void expect_nothing(Fixture *f) {
        const hagcs_event *e;

        g_assert_cmpint(hagcs_dispatch(f->h, &e), ==, 0);
}

static void set_up(Fixture *f, const void *data) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(hagcs_open_fd(fds[0], &f->h), ==, 0);
        g_assert_cmpint(hagcs_get_fd(f->h), ==, fds[0]);
        f->server = fds[1];
        f->in.cluster = &f->cluster;
        f->in.view = &f->view;
        expect_nothing(f);
        g_assert_true(hear(f));
        g_assert_cmpint(f->in.type, ==, PROTO_HELLO);
        g_assert_cmpuint(f->in.version, ==, PROTO_VERSION);
        say(f, &(ProtoFrame){ .type = PROTO_WELCOME, .version = PROTO_VERSION });
        expect_nothing(f);
}

static void tear_down(Fixture *f, const void *data) {
        f->h = hagcs_close(f->h);
        f->server = safe_close(f->server);
}

/* A hagcd of before there were packets of several frames understands so much, and says what is wrong. */
static void test_hello_goes_alone(void) {
        hagcs_registration r = { .group = "talk", .name = "me" };
        uint8_t buf[PROTO_FRAME_MAX];
        ProtoFrame in = { 0 };
        ssize_t n;
        int fds[2];
        hagcs *h;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(hagcs_open_fd(fds[0], &h), ==, 0);
        g_assert_cmpint(hagcs_register(h, &r), ==, 0);
        n = recv(fds[1], buf, sizeof(buf), MSG_DONTWAIT);
        g_assert_cmpint(n, >, 0);
        g_assert_cmpint(proto_decode(buf, (size_t) n, &in), ==, 0);
        g_assert_cmpint(in.type, ==, PROTO_HELLO);
        hagcs_close(h);
        (void) safe_close(fds[1]);
}

static void become_member(Fixture *f) {
        hagcs_registration r = { .group = "talk", .name = "me", .flags = HAGCS_WANT_SNAPSHOT };

        g_assert_cmpint(hagcs_register(f->h, &r), ==, 0);
        g_assert_cmpint(hagcs_register(f->h, &r), ==, -EALREADY);
        g_assert_true(hear(f));
        g_assert_cmpint(f->in.type, ==, PROTO_REGISTER);
        g_assert_cmpstr(f->in.group, ==, "talk");
        say(f, &(ProtoFrame){ .type = PROTO_REGISTERED });
        g_assert_cmpint(expect(f, HAGCS_EVENT_REGISTERED)->error, ==, 0);
}

static void show_view(Fixture *f) {
        g_autofree ProtoView *v = g_new0(ProtoView, 1);
        const hagcs_event *e;

        v->n_members = v->n_joined = 2;
        v->members[0] = (ProtoMember){ .id = { 1, 10, 1 }, .name = "other", .seniority = 3 };
        v->members[1] = (ProtoMember){ .id = { 2, 20, 1 }, .name = "me", .own = true, .seniority = 4 };
        memcpy(v->joined, v->members, sizeof(v->joined));
        v->node_set = 3;
        v->n_nodes = 1;
        v->nodes[0] = (ProtoNode){
                .id = 1, .state = HAGCS_NODE_UP, .incarnation = 10, .last_mid = { 5, 1 }
        };
        say(f, &(ProtoFrame){ .type = PROTO_VIEW, .mid = { 5, 1 }, .sequence = 7, .view = v });
        e = expect(f, HAGCS_EVENT_VIEW);
        g_assert_cmpuint(e->mid.epoch, ==, 5);
        g_assert_cmpuint(e->sequence, ==, 7);
        g_assert_cmpuint(e->view.n_members, ==, 2);
        g_assert_cmpstr(e->view.members[0].name, ==, "other");
        g_assert_true(e->view.members[1].own);
        g_assert_cmpuint(e->view.node_set, ==, 3);
        g_assert_cmpint(e->view.nodes[0].state, ==, HAGCS_NODE_UP);
        g_assert_cmpuint(e->view.nodes[0].last_mid.epoch, ==, 5);
}

static void test_messages(Fixture *f, const void *data) {
        const hagcs_event *e;

        g_assert_cmpint(hagcs_send(f->h, "early", 5, 0), ==, -ENOTCONN);
        become_member(f);
        show_view(f);
        g_assert_cmpint(hagcs_send(f->h, "one", 3, 11), ==, 0);
        g_assert_cmpint(hagcs_send(f->h, "two", 3, 22), ==, 0);
        g_assert_true(hear(f));
        g_assert_cmpmem(f->in.data, f->in.size_bytes, "one", 3);
        g_assert_false(f->in.more);
        say(f,
            &(ProtoFrame){ .type = PROTO_MESSAGE,
                           .member_id = { 1, 10, 1 },
                           .data = "hi",
                           .size_bytes = 2 });
        say(f,
            &(ProtoFrame){ .type = PROTO_MESSAGE,
                           .member_id = { 2, 20, 1 },
                           .own = true,
                           .data = "one",
                           .size_bytes = 3 });
        say(f,
            &(ProtoFrame){ .type = PROTO_MESSAGE,
                           .member_id = { 2, 20, 1 },
                           .own = true,
                           .data = "two",
                           .size_bytes = 3 });
        e = expect(f, HAGCS_EVENT_MESSAGE);
        g_assert_cmpstr(e->sender.name, ==, "other");
        g_assert_false(e->sender.own);
        g_assert_cmpuint(expect(f, HAGCS_EVENT_MESSAGE)->cookie, ==, 11);
        g_assert_cmpuint(expect(f, HAGCS_EVENT_MESSAGE)->cookie, ==, 22);
}

/* Echoes a frame of payload as a message, giving its credit back; returns the frames seen. */
static unsigned echo(Fixture *f) {
        unsigned n = 0;

        if (hear(f)) {
                g_assert_cmpint(f->in.type, ==, PROTO_SEND);
                n++;
                say(f, &(ProtoFrame){ .type = PROTO_CREDIT, .number = f->in.size_bytes + PROTO_PIECE_COST });
                say(f,
                    &(ProtoFrame){ .type = PROTO_MESSAGE,
                                   .member_id = { 2, 20, 1 },
                                   .own = true,
                                   .later = f->in.later,
                                   .more = f->in.more,
                                   .data = f->in.data,
                                   .size_bytes = f->in.size_bytes });
        }
        return n;
}

static void test_long_message(Fixture *f, const void *data) {
        g_autofree uint8_t *text = g_malloc(HAGCS_MESSAGE_MAX + 1);
        const hagcs_event *e = NULL;
        unsigned n = 0;

        for (size_t i = 0; i <= HAGCS_MESSAGE_MAX; i++)
                text[i] = (uint8_t) (i * 31 >> 3);
        become_member(f);
        show_view(f);
        g_assert_cmpint(hagcs_send(f->h, text, HAGCS_MESSAGE_MAX + 1, 0), ==, -EMSGSIZE);
        g_assert_cmpint(hagcs_send(f->h, text, HAGCS_MESSAGE_MAX, 5), ==, 0);
        g_assert_cmpint(hagcs_send(f->h, text, HAGCS_MESSAGE_MAX, 6), ==, -EAGAIN);
        for (unsigned round = 0; round < 1000; round++) {
                int r;

                n += echo(f);
                r = hagcs_dispatch(f->h, &e);
                g_assert_cmpint(r, >=, 0);
                if (r == 1 && e->type == HAGCS_EVENT_MESSAGE)
                        break;
        }
        g_assert_cmpint(e->type, ==, HAGCS_EVENT_MESSAGE);
        g_assert_cmpmem(e->data, e->size, text, HAGCS_MESSAGE_MAX);
        g_assert_cmpuint(e->cookie, ==, 5);
        g_assert_cmpuint(n, ==, (HAGCS_MESSAGE_MAX + PROTO_PIECE_MAX - 1) / PROTO_PIECE_MAX);
}

static void test_credit(Fixture *f, const void *data) {
        static uint8_t piece[PROTO_PIECE_MAX];
        uint64_t sent = 0;
        unsigned n_taken = 0, n_writable = 0;
        const hagcs_event *e;

        become_member(f);
        show_view(f);
        while (hagcs_send(f->h, piece, sizeof(piece), n_taken) == 0)
                n_taken++;
        g_assert_cmpuint(n_taken, >, 4);
        while (hear(f))
                sent += f->in.size_bytes + PROTO_PIECE_COST;
        /* Without credit nothing more comes, whatever waits. */
        expect_nothing(f);
        g_assert_false(hear(f));
        g_assert_cmpuint(sent, <=, PROTO_WINDOW_BYTES);
        g_assert_cmpint(hagcs_get_events(f->h), ==, POLLIN);
        for (unsigned round = 0; round < 50 && n_writable == 0; round++) {
                say(f, &(ProtoFrame){ .type = PROTO_CREDIT, .number = sizeof(piece) + PROTO_PIECE_COST });
                while (hagcs_dispatch(f->h, &e) == 1)
                        n_writable += e->type == HAGCS_EVENT_WRITABLE;
                while (hear(f))
                        ;
        }
        g_assert_cmpuint(n_writable, ==, 1);
        g_assert_cmpint(hagcs_send(f->h, piece, sizeof(piece), 0), ==, 0);
}

static void test_ping(Fixture *f, const void *data) {
        say(f, &(ProtoFrame){ .type = PROTO_PING, .number = 42 });
        g_assert_false(hear(f));
        expect_nothing(f);
        g_assert_true(hear(f));
        g_assert_cmpint(f->in.type, ==, PROTO_PONG);
        g_assert_cmpuint(f->in.number, ==, 42);
}

static void test_snapshot(Fixture *f, const void *data) {
        const hagcs_event *e;
        uint64_t id;

        become_member(f);
        show_view(f);
        say(f,
            &(ProtoFrame){ .type = PROTO_SNAPSHOT_REQUEST,
                           .member = { .id = { 3, 30, 1 }, .name = "third" },
                           .point = 9 });
        e = expect(f, HAGCS_EVENT_SNAPSHOT_REQUEST);
        g_assert_cmpstr(e->sender.name, ==, "third");
        id = e->cookie;
        g_assert_cmpint(hagcs_give_snapshot(f->h, id + 1, "s", 1), ==, -ENOENT);
        g_assert_cmpint(hagcs_give_snapshot(f->h, id, "state", 5), ==, 0);
        g_assert_cmpint(hagcs_give_snapshot(f->h, id, "state", 5), ==, -ENOENT);
        g_assert_true(hear(f));
        g_assert_cmpint(f->in.type, ==, PROTO_GIVE_SNAPSHOT);
        g_assert_cmpuint(f->in.point, ==, 9);
        g_assert_cmpuint(f->in.member_id.node_id, ==, 3);
        g_assert_false(f->in.more);

        say(f,
            &(ProtoFrame){ .type = PROTO_SNAPSHOT,
                           .first = true,
                           .more = true,
                           .data = "old",
                           .size_bytes = 3 });
        say(f,
            &(ProtoFrame){ .type = PROTO_SNAPSHOT,
                           .first = true,
                           .more = true,
                           .data = "\0\0\0\0ne", /* no message is under way */
                           .size_bytes = 6 });
        say(f, &(ProtoFrame){ .type = PROTO_SNAPSHOT, .data = "w", .size_bytes = 1 });
        e = expect(f, HAGCS_EVENT_SNAPSHOT);
        g_assert_cmpmem(e->data, e->size, "new", 3);
        g_assert_cmpint(e->error, ==, 0);
        say(f, &(ProtoFrame){ .type = PROTO_SNAPSHOT, .first = true, .none = true });
        e = expect(f, HAGCS_EVENT_SNAPSHOT);
        g_assert_cmpint(e->error, ==, -ENODATA);
        g_assert_cmpuint(e->size, ==, 0);
}

/* A newcomer is given what was under way, and leaves out what it has not seen the beginning of. */
static void test_under_way(Fixture *f, const void *data) {
        ProtoFrame message = { .type = PROTO_MESSAGE, .member_id = { 1, 10, 1 }, .size_bytes = 3 };
        g_autofree uint8_t *given = NULL;
        const hagcs_event *e;
        size_t n;

        become_member(f);
        show_view(f);
        message.more = true;
        message.data = "one";
        say(f, &message);
        say(f,
            &(ProtoFrame){ .type = PROTO_SNAPSHOT_REQUEST, .member = { .id = { 3, 30, 1 } }, .point = 9 });
        e = expect(f, HAGCS_EVENT_SNAPSHOT_REQUEST);
        message.later = true;
        message.data = "two";
        say(f, &message);
        expect_nothing(f);
        g_assert_cmpint(hagcs_give_snapshot(f->h, e->cookie, "state", 5), ==, 0);
        g_assert_true(hear(f));
        given = g_memdup2(f->in.data, f->in.size_bytes);
        n = f->in.size_bytes;

        /* The same handle begins afresh with it. */
        say(f, &(ProtoFrame){ .type = PROTO_SHUT_OUT, .generation = 1 });
        expect(f, HAGCS_EVENT_SHUT_OUT);
        show_view(f);
        message.more = false;
        message.member_id.number = 2;
        message.data = "???";
        say(f, &message);
        expect_nothing(f);
        say(f, &(ProtoFrame){ .type = PROTO_SNAPSHOT, .first = true, .data = given, .size_bytes = n });
        e = expect(f, HAGCS_EVENT_SNAPSHOT);
        g_assert_cmpmem(e->data, e->size, "state", 5);
        message.member_id.number = 1;
        message.data = "two";
        say(f, &message);
        e = expect(f, HAGCS_EVENT_MESSAGE);
        g_assert_cmpmem(e->data, e->size, "onetwo", 6);
        message.later = false;
        say(f, &message);
        e = expect(f, HAGCS_EVENT_MESSAGE);
        g_assert_cmpmem(e->data, e->size, "two", 3);

        /* One who gives what makes no sense cannot be followed. */
        for (size_t i = 0; i < 4; i++)
                given[i] = 0xff;
        say(f, &(ProtoFrame){ .type = PROTO_SNAPSHOT, .first = true, .data = given, .size_bytes = n });
        g_assert_cmpint(expect(f, HAGCS_EVENT_DISCONNECTED)->error, ==, -EPROTO);
}

/* A message longer than may be is left out; it is no reason to end the connection of who receives it. */
static void test_too_long(Fixture *f, const void *data) {
        static uint8_t piece[PROTO_PIECE_MAX];
        ProtoFrame message = { .type = PROTO_MESSAGE,
                               .member_id = { 1, 10, 1 },
                               .more = true,
                               .data = piece,
                               .size_bytes = sizeof(piece) };

        become_member(f);
        show_view(f);
        for (size_t i = 0; i < 2 * HAGCS_MESSAGE_MAX / sizeof(piece); i++) {
                say(f, &message);
                message.later = true;
                expect_nothing(f);
        }
        message.more = false;
        say(f, &message);
        expect_nothing(f);
        message.later = false;
        say(f, &message);
        expect(f, HAGCS_EVENT_MESSAGE);
}

static void test_shut_out(Fixture *f, const void *data) {
        static uint8_t piece[PROTO_PIECE_MAX];

        become_member(f);
        show_view(f);
        for (unsigned i = 0; i < 8; i++)
                g_assert_cmpint(hagcs_send(f->h, piece, sizeof(piece), i), ==, 0);
        while (hear(f))
                g_assert_cmpuint(f->in.generation, ==, 0);
        say(f, &(ProtoFrame){ .type = PROTO_SHUT_OUT, .generation = 1 });
        expect(f, HAGCS_EVENT_SHUT_OUT);
        say(f, &(ProtoFrame){ .type = PROTO_CREDIT, .number = PROTO_WINDOW_BYTES });
        expect_nothing(f);
        /* What waited is gone; what comes now is of the new order. */
        g_assert_false(hear(f));
        g_assert_cmpint(hagcs_send(f->h, "new", 3, 77), ==, 0);
        g_assert_true(hear(f));
        g_assert_cmpuint(f->in.generation, ==, 1);
        show_view(f);
        say(f,
            &(ProtoFrame){ .type = PROTO_MESSAGE,
                           .member_id = { 2, 20, 1 },
                           .own = true,
                           .data = "new",
                           .size_bytes = 3 });
        g_assert_cmpuint(expect(f, HAGCS_EVENT_MESSAGE)->cookie, ==, 77);
}

static void test_cluster(Fixture *f, const void *data) {
        g_autofree ProtoCluster *c = g_new0(ProtoCluster, 1);
        const hagcs_cluster *seen;

        g_assert_cmpuint(hagcs_get_cluster(f->h)->n_nodes, ==, 0);
        *c = (ProtoCluster){ .name = "shop",
                             .node_id = 2,
                             .mid = { 4, 1 },
                             .members = 3,
                             .quorum = HAGCS_QUORUM_YES,
                             .coordinator = 1,
                             .n_nodes = 1 };
        c->nodes[0] = (ProtoNode){
                .id = 1, .name = "n1", .state = HAGCS_NODE_DOWN, .problem = "key mismatch", .links_heard = 2
        };
        say(f, &(ProtoFrame){ .type = PROTO_CLUSTER, .cluster = c });
        expect(f, HAGCS_EVENT_CLUSTER);
        seen = hagcs_get_cluster(f->h);
        g_assert_cmpstr(seen->name, ==, "shop");
        g_assert_cmpuint(seen->mid.epoch, ==, 4);
        g_assert_cmpint(seen->quorum, ==, HAGCS_QUORUM_YES);
        g_assert_cmpstr(seen->nodes[0].name, ==, "n1");
        g_assert_cmpint(seen->nodes[0].state, ==, HAGCS_NODE_DOWN);
        g_assert_cmpstr(seen->nodes[0].problem, ==, "key mismatch");
}

static void test_orders(Fixture *f, const void *data) {
        g_assert_cmpint(hagcs_set_armed(f->h, true), ==, 0);
        g_assert_true(hear(f));
        g_assert_cmpint(f->in.type, ==, PROTO_ARMED);
        g_assert_true(f->in.armed);
        g_assert_cmpint(hagcs_confirm_down(f->h, 3, 99, (hagcs_mid){ 8, 1 }), ==, 0);
        g_assert_true(hear(f));
        g_assert_cmpint(f->in.type, ==, PROTO_CONFIRM_DOWN);
        g_assert_cmpuint(f->in.node_id, ==, 3);
        g_assert_cmpuint(f->in.incarnation, ==, 99);
        g_assert_cmpuint(f->in.mid.epoch, ==, 8);
}

static void test_refused(Fixture *f, const void *data) {
        hagcs_registration r = { .group = "talk", .name = "me" };
        const hagcs_event *e;

        g_assert_cmpint(hagcs_register(f->h, &r), ==, 0);
        say(f, &(ProtoFrame){ .type = PROTO_REGISTERED, .error = -EPERM, .text = "because" });
        e = expect(f, HAGCS_EVENT_REGISTERED);
        g_assert_cmpint(e->error, ==, -EPERM);
        g_assert_cmpstr(e->text, ==, "because");
        /* It may try again. */
        become_member(f);
        g_assert_cmpint(hagcs_unregister(f->h), ==, 0);
        say(f, &(ProtoFrame){ .type = PROTO_UNREGISTERED });
        expect(f, HAGCS_EVENT_UNREGISTERED);
}

static void test_goodbye(Fixture *f, const void *data) {
        const hagcs_event *e;

        say(f, &(ProtoFrame){ .type = PROTO_GOODBYE, .error = -ENOBUFS, .text = "too slow" });
        f->server = safe_close(f->server);
        e = expect(f, HAGCS_EVENT_DISCONNECTED);
        g_assert_cmpint(e->error, ==, -ENOBUFS);
        g_assert_cmpstr(e->text, ==, "too slow");
        g_assert_cmpint(hagcs_dispatch(f->h, &e), ==, -ENOTCONN);
        g_assert_cmpint(hagcs_set_armed(f->h, true), ==, -ENOTCONN);
}

static void test_garbage(Fixture *f, const void *data) {
        const hagcs_event *e;

        g_assert_cmpint(send(f->server, "\xff\xff\xff", 3, 0), ==, 3);
        e = expect(f, HAGCS_EVENT_DISCONNECTED);
        g_assert_cmpint(e->error, ==, -EPROTO);
        g_assert_nonnull(strstr(e->text, "makes no sense"));
}

static void test_other_version(Fixture *f, const void *data) {
        const hagcs_event *e;

        say(f, &(ProtoFrame){ .type = PROTO_WELCOME, .version = PROTO_VERSION + 1 });
        e = expect(f, HAGCS_EVENT_DISCONNECTED);
        g_assert_cmpint(e->error, ==, -EPROTONOSUPPORT);
        g_assert_cmpstr(e->text, ==, PROTO_OTHER_VERSION_TEXT);
}

/* Each value has a word of its own, and what is none has one too. */
/* It had more to say than hagcd wanted to read: that it was not read is said by the kernel before what hagcd
 * said at last. */
static void test_last_words_before_what_was_not_read(Fixture *f, const void *data) {
        const hagcs_event *e;

        g_assert_cmpint(hagcs_ask_membership(f->h), ==, 0);
        say(f, &(ProtoFrame){ .type = PROTO_GOODBYE, .error = -EUSERS, .text = "too many" });
        f->server = safe_close(f->server);
        e = expect(f, HAGCS_EVENT_DISCONNECTED);
        g_assert_cmpint(e->error, ==, -EUSERS);
        g_assert_cmpstr(e->text, ==, "too many");
}

static void test_words(void) {
#define TEST_WORDS(to_string, last)                                                                         \
        ({                                                                                                  \
                for (int i = 0; i <= (int) (last); i++)                                                     \
                        for (int k = i + 1; k <= (int) (last) + 1; k++)                                     \
                                g_assert_cmpstr(to_string(i), !=, to_string(k));                            \
                g_assert_cmpstr(to_string((int) (last) + 1), ==, "invalid");                                \
        })

        TEST_WORDS(hagcs_node_state_to_string, HAGCS_NODE_DETACHED);
        TEST_WORDS(hagcs_reason_to_string, HAGCS_LEFT_SHUT_OUT);
        TEST_WORDS(hagcs_link_state_to_string, HAGCS_LINK_TOO_NARROW);
        TEST_WORDS(hagcs_quorum_to_string, HAGCS_QUORUM_YES);
        TEST_WORDS(hagcs_move_to_string, HAGCS_MOVE_PROVEN);
#undef TEST_WORDS
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/libhagcs/hello-goes-alone", test_hello_goes_alone);
        g_test_add("/libhagcs/messages-and-cookies", Fixture, NULL, set_up, test_messages, tear_down);
        g_test_add("/libhagcs/long-message-is-cut-and-whole-again",
                   Fixture,
                   NULL,
                   set_up,
                   test_long_message,
                   tear_down);
        g_test_add("/libhagcs/nothing-without-credit", Fixture, NULL, set_up, test_credit, tear_down);
        g_test_add("/libhagcs/ping-is-answered-by-dispatch", Fixture, NULL, set_up, test_ping, tear_down);
        g_test_add("/libhagcs/snapshot-both-ways", Fixture, NULL, set_up, test_snapshot, tear_down);
        g_test_add("/libhagcs/newcomer-is-given-what-is-under-way",
                   Fixture,
                   NULL,
                   set_up,
                   test_under_way,
                   tear_down);
        g_test_add("/libhagcs/too-long-message-is-left-out",
                   Fixture,
                   NULL,
                   set_up,
                   test_too_long,
                   tear_down);
        g_test_add("/libhagcs/shut-out-drops-what-waits", Fixture, NULL, set_up, test_shut_out, tear_down);
        g_test_add("/libhagcs/cluster-is-remembered", Fixture, NULL, set_up, test_cluster, tear_down);
        g_test_add("/libhagcs/armed-and-confirmed-down", Fixture, NULL, set_up, test_orders, tear_down);
        g_test_add("/libhagcs/refused-then-again", Fixture, NULL, set_up, test_refused, tear_down);
        g_test_add("/libhagcs/goodbye-tells-why", Fixture, NULL, set_up, test_goodbye, tear_down);
        g_test_add("/libhagcs/last-words-before-what-was-not-read",
                   Fixture,
                   NULL,
                   set_up,
                   test_last_words_before_what_was_not_read,
                   tear_down);
        g_test_add_func("/libhagcs/words", test_words);
        g_test_add("/libhagcs/garbage-ends-the-connection", Fixture, NULL, set_up, test_garbage, tear_down);
        g_test_add("/libhagcs/other-version-is-told", Fixture, NULL, set_up, test_other_version, tear_down);
        return g_test_run();
}
