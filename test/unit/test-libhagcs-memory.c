/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Memory runs out at each allocation of the library in turn, in a session that passes through all of them.
 * Each time the call that needed it says so, nothing is lost or done twice, and the same call succeeds
 * later. */

#include <dirent.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "libhagcs/gather.h"
#include "libhagcs/hagcs.h"
#include "libhagcs/proto.h"

/* ---- Memory that runs out ---- */

#define ALLOCATIONS_MAX 1000U

typedef enum Shortage {
        SHORTAGE_NONE,
        SHORTAGE_ONCE,  /* one allocation fails */
        SHORTAGE_LASTS, /* and all that follow, until the library has said so */
} Shortage;

static struct {
        Shortage shortage;
        unsigned at; /* the first that fails, from 1 */
        unsigned n_asked;
        bool failing;
        bool noticed;
        size_t sizes[ALLOCATIONS_MAX]; /* that were asked for */
} memory;

void *scarce_malloc(size_t size);
void *scarce_calloc(size_t n, size_t size);
void *scarce_realloc(void *p, size_t size);

static bool short_of_memory(size_t size) {
        g_assert_cmpuint(memory.n_asked, <, ALLOCATIONS_MAX);
        memory.sizes[memory.n_asked++] = size;
        if (memory.shortage != SHORTAGE_NONE && memory.n_asked == memory.at)
                memory.failing = true;
        else if (memory.shortage == SHORTAGE_ONCE)
                memory.failing = false;
        return memory.failing;
}

void *scarce_malloc(size_t size) {
        return short_of_memory(size) ? NULL : malloc(size);
}

void *scarce_calloc(size_t n, size_t size) {
        return short_of_memory(n * size) ? NULL : calloc(n, size);
}

void *scarce_realloc(void *p, size_t size) {
        return short_of_memory(size) ? NULL : realloc(p, size);
}

static bool no_memory(int r) {
        if (r != -ENOMEM)
                return false;
        g_assert_cmpint(memory.shortage, !=, SHORTAGE_NONE);
        g_assert_false(memory.noticed);
        memory.noticed = true;
        memory.failing = false;
        return true;
}

/* A call that is made again when memory was short. */
#define TRY(call)                                                                                           \
        ({                                                                                                  \
                int _r;                                                                                     \
                                                                                                            \
                do                                                                                          \
                        _r = (call);                                                                        \
                while (no_memory(_r));                                                                      \
                _r;                                                                                         \
        })

/* ---- The session ---- */

#define LONG_BYTES (2U * PROTO_PIECE_MAX + 5U)

typedef struct Session {
        hagcs *h;
        int server;
        uint8_t buf[PROTO_FRAME_MAX];
        ProtoFrame in;
        uint8_t text[LONG_BYTES];
        uint8_t given[LONG_BYTES + 2 * PROTO_PIECE_MAX]; /* the snapshot, as it was given */
        size_t given_bytes;
        GString *story; /* owned: what each side saw */
} Session;

static void say(Session *s, const ProtoFrame *frame) {
        ssize_t n = proto_encode(frame, s->buf, sizeof(s->buf));

        g_assert_cmpint(n, >, 0);
        g_assert_cmpint(send(s->server, s->buf, (size_t) n, MSG_NOSIGNAL | MSG_DONTWAIT), ==, n);
}

/* False: there is none any more. */
static bool hear(Session *s, GatherReader *reader) {
        const void *frame;
        size_t size;
        int r = gather_next(reader, &frame, &size);

        if (r == 0) {
                ssize_t n = recv(s->server, s->buf, sizeof(s->buf), MSG_DONTWAIT);

                if (n <= 0)
                        return false;
                gather_read(reader, s->buf, (size_t) n);
                r = gather_next(reader, &frame, &size);
        }
        g_assert_cmpint(r, ==, 1);
        g_assert_cmpint(proto_decode(frame, size, &s->in), ==, 0);
        return true;
}

static void hear_all(Session *s) {
        GatherReader reader = { 0 };

        while (hear(s, &reader)) {
                g_string_append_printf(
                                s->story,
                                "heard %d, %zu bytes, %d %d\n",
                                (int) s->in.type,
                                s->in.size_bytes,
                                s->in.later,
                                s->in.more);
                if (s->in.type == PROTO_GIVE_SNAPSHOT) {
                        g_assert_cmpuint(s->given_bytes + s->in.size_bytes, <=, sizeof(s->given));
                        memcpy(s->given + s->given_bytes, s->in.data, s->in.size_bytes);
                        s->given_bytes += s->in.size_bytes;
                }
        }
}

/* All events that are there; the id of the last snapshot that was asked for. */
static uint64_t see_all(Session *s) {
        const hagcs_event *e;
        uint64_t id = 0;

        while (TRY(hagcs_dispatch(s->h, &e)) > 0) {
                g_string_append_printf(
                                s->story,
                                "seen %d, error %d, cookie %u, %zu bytes, sum %08x\n",
                                (int) e->type,
                                e->error,
                                (unsigned) e->cookie,
                                e->size,
                                g_str_hash(e->text));
                if (e->size == LONG_BYTES)
                        g_assert_cmpmem(e->data, e->size, s->text, LONG_BYTES);
                if (e->type == HAGCS_EVENT_SNAPSHOT_REQUEST)
                        id = e->cookie;
        }
        hear_all(s);
        return id;
}

static int accept_client(int listener) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

static void connect_to(Session *s, int listener, const char *path) {
        int r;

        /* Each connection that failed for lack of memory was made, and is closed. */
        while (no_memory(r = hagcs_open(path, &s->h))) {
                int fd = accept_client(listener);

                g_assert_cmpint(recv(fd, s->buf, 1, 0), ==, 0);
                (void) safe_close(fd);
        }
        g_assert_cmpint(r, ==, 0);
        s->server = accept_client(listener);
        say(s, &(ProtoFrame){ .type = PROTO_WELCOME, .version = PROTO_VERSION });
        (void) see_all(s);
}

static void join(Session *s) {
        const hagcs_registration registration = { .group = "talk",
                                                  .name = "me",
                                                  .flags = HAGCS_WANT_SNAPSHOT };
        g_autofree ProtoView *view = g_new0(ProtoView, 1);

        g_assert_cmpint(TRY(hagcs_register(s->h, &registration)), ==, 0);
        hear_all(s);
        say(s, &(ProtoFrame){ .type = PROTO_REGISTERED });
        view->n_members = 2;
        view->members[0] = (ProtoMember){ .id = { 1, 10, 1 }, .name = "other" };
        view->members[1] = (ProtoMember){ .id = { 2, 20, 1 }, .name = "me", .own = true };
        say(s, &(ProtoFrame){ .type = PROTO_VIEW, .mid = { 5, 1 }, .sequence = 1, .view = view });
        (void) see_all(s);
}

/* More messages than the ring of cookies holds at first, a long one among them. */
static void send_messages(Session *s) {
        ProtoFrame echo = { .type = PROTO_MESSAGE, .member_id = { 2, 20, 1 }, .own = true };

        for (uint64_t i = 1; i <= 70; i++)
                g_assert_cmpint(TRY(hagcs_send(s->h, "short", 5, i)), ==, 0);
        g_assert_cmpint(TRY(hagcs_send(s->h, s->text, LONG_BYTES, 71)), ==, 0);
        hear_all(s);
        say(s, &(ProtoFrame){ .type = PROTO_CREDIT, .number = PROTO_WINDOW_BYTES });
        (void) see_all(s);
        echo.data = "short";
        echo.size_bytes = 5;
        for (unsigned i = 1; i <= 70; i++) {
                say(s, &echo);
                (void) see_all(s);
        }
}

static void long_message(Session *s, size_t from, size_t to) {
        for (size_t at = from; at < to; at += PROTO_PIECE_MAX) {
                say(s,
                    &(ProtoFrame){ .type = PROTO_MESSAGE,
                                   .member_id = { 1, 10, 1 },
                                   .later = at > 0,
                                   .more = at + PROTO_PIECE_MAX < LONG_BYTES,
                                   .data = s->text + at,
                                   .size_bytes = MIN((size_t) PROTO_PIECE_MAX, LONG_BYTES - at) });
                (void) see_all(s);
        }
}

/* A snapshot is asked for while a message is under way, and is then given to this very member. */
static void exchange_snapshots(Session *s) {
        uint64_t id;

        long_message(s, 0, PROTO_PIECE_MAX);
        say(s,
            &(ProtoFrame){ .type = PROTO_SNAPSHOT_REQUEST, .member = { .id = { 3, 30, 1 } }, .point = 9 });
        id = see_all(s);
        long_message(s, PROTO_PIECE_MAX, LONG_BYTES);
        g_assert_cmpint(TRY(hagcs_give_snapshot(s->h, id, s->text, LONG_BYTES)), ==, 0);
        say(s, &(ProtoFrame){ .type = PROTO_CREDIT, .number = 2 * PROTO_WINDOW_BYTES });
        (void) see_all(s);
        g_assert_cmpuint(s->given_bytes, >, LONG_BYTES);

        for (size_t at = 0; at < s->given_bytes; at += PROTO_PIECE_MAX) {
                say(s,
                    &(ProtoFrame){ .type = PROTO_SNAPSHOT,
                                   .first = at == 0,
                                   .more = at + PROTO_PIECE_MAX < s->given_bytes,
                                   .data = s->given + at,
                                   .size_bytes = MIN((size_t) PROTO_PIECE_MAX, s->given_bytes - at) });
                (void) see_all(s);
        }
        /* What was under way goes on from there. */
        long_message(s, PROTO_PIECE_MAX, LONG_BYTES);
}

static void ask_for_things(Session *s) {
        say(s, &(ProtoFrame){ .type = PROTO_PING, .number = 42 });
        (void) see_all(s);
        g_assert_cmpint(TRY(hagcs_set_armed(s->h, true)), ==, 0);
        g_assert_cmpint(TRY(hagcs_confirm_down(s->h, 3, 99, (hagcs_mid){ 8, 1 })), ==, 0);
        g_assert_cmpint(TRY(hagcs_ask_membership(s->h)), ==, 0);
        g_assert_cmpint(TRY(hagcs_ask_groups(s->h)), ==, 0);
        g_assert_cmpint(TRY(hagcs_hand_over(s->h)), ==, 0);
        g_assert_cmpint(TRY(hagcs_unregister(s->h)), ==, 0);
        hear_all(s);
        say(s, &(ProtoFrame){ .type = PROTO_UNREGISTERED });
        (void) see_all(s);
}

static unsigned open_descriptors(void) {
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        g_assert_nonnull(d);
        while (readdir(d))
                n++;
        (void) closedir(d);
        return n;
}

/* Returns what was seen, for g_free(). */
static char *live(int listener, const char *path, Shortage shortage, unsigned at) {
        g_autofree Session *s = g_new0(Session, 1);
        unsigned n_open = open_descriptors();

        memory = (typeof(memory)){ .shortage = shortage, .at = at };
        s->story = g_string_new(NULL);
        for (size_t i = 0; i < LONG_BYTES; i++)
                s->text[i] = (uint8_t) (i * 31 >> 3);
        connect_to(s, listener, path);
        join(s);
        send_messages(s);
        exchange_snapshots(s);
        ask_for_things(s);
        /* Something is half received, and something waits, when it is closed. */
        join(s);
        long_message(s, 0, PROTO_PIECE_MAX);
        g_assert_cmpint(TRY(hagcs_send(s->h, s->text, LONG_BYTES, 72)), ==, 0);
        s->h = hagcs_close(s->h);
        (void) safe_close(s->server);
        g_assert_cmpuint(open_descriptors(), ==, n_open);
        return g_string_free(s->story, FALSE);
}

static void assert_same_story(const char *story, const char *expected, unsigned at) {
        g_auto(GStrv) a = g_strsplit(story, "\n", -1), b = g_strsplit(expected, "\n", -1);

        for (size_t i = 0; a[i] || b[i]; i++)
                if (g_strcmp0(a[i], b[i]) != 0)
                        g_error("after allocation %u had failed: '%s' in place of '%s'", at, a[i], b[i]);
}

static void test_each_allocation(void) {
        g_autofree char *folder = g_dir_make_tmp("hagcs-memory-XXXXXX", NULL), *expected = NULL,
                        *path = NULL;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        size_t sizes[ALLOCATIONS_MAX];
        /* Valgrind looks for what is lost; what is said is the same without it, and quicker. */
        Shortage last = g_getenv("HAMGR_TEST_SLOW") ? SHORTAGE_ONCE : SHORTAGE_LASTS;
        unsigned n, n_failed = 0;

        g_assert_nonnull(folder);
        path = g_build_filename(folder, "socket", NULL);
        g_assert_cmpuint(
                        g_strlcpy(address.sun_path, path, sizeof(address.sun_path)),
                        <,
                        sizeof(address.sun_path));
        g_assert_cmpint(bind(listener, (struct sockaddr *) &address, sizeof(address)), ==, 0);
        g_assert_cmpint(listen(listener, 5), ==, 0);

        expected = live(listener, path, SHORTAGE_NONE, 0);
        n = memory.n_asked;
        memcpy(sizes, memory.sizes, sizeof(sizes));
        for (unsigned at = 1; at <= n; at++) {
                /* Short messages follow each other, with the same two allocations each. */
                if (at > 4 && sizes[at - 1] == sizes[at - 3] && sizes[at - 2] == sizes[at - 4])
                        continue;
                for (Shortage shortage = SHORTAGE_ONCE; shortage <= last; shortage++) {
                        g_autofree char *story = live(listener, path, shortage, at);

                        if (!memory.noticed)
                                g_error("allocation %u failed, and no call said so", at);
                        assert_same_story(story, expected, at);
                }
                n_failed++;
        }
        g_test_message("%u of %u allocations failed", n_failed, n);
        g_assert_cmpuint(n_failed, >, 30);
        (void) g_unlink(path);
        (void) g_rmdir(folder);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/libhagcs/memory/each-allocation-may-fail", test_each_allocation);
        return g_test_run();
}
