/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Against a peer in the same process, over a socket pair: no bus is needed. */

#include <glib.h>
#include <sys/socket.h>

#include "shared/bus-util.h"

typedef struct World {
        sd_event *event;
        sd_bus *client, *server;
        sd_bus_slot *vtable;

        bool answered;
        char error[128];
        int error_number;
        uint32_t sum;
} World;

static int on_add(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        uint32_t a, b;
        int r;

        r = sd_bus_message_read(m, "uu", &a, &b);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(m, "u", a + b);
}

static int on_refuse(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_error_set(ret_error, "org.hamgr1.Error.NoQuorum", "there is no quorum");
}

/* Never answers. */
static int on_hang(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return 1;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Add", "uu", "u", on_add, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Refuse", "", "", on_refuse, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Hang", "", "", on_hang, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static sd_bus *open_end(World *w, int fd, bool server) {
        sd_bus *bus = NULL;
        sd_id128_t id = { .bytes = { 1 } };

        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus, fd, fd), >=, 0);
        if (server)
                g_assert_cmpint(sd_bus_set_server(bus, 1, id), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(bus, w->event, 0), >=, 0);
        return bus;
}

static void world_up(World *w) {
        int fds[2];

        *w = (World){};
        g_assert_cmpint(sd_event_new(&w->event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
        w->server = open_end(w, fds[0], true);
        w->client = open_end(w, fds[1], false);
        g_assert_cmpint(sd_bus_add_object_vtable(w->server, &w->vtable, "/t", "t.T", vtable, w), >=, 0);
}

static void world_down(World *w) {
        sd_bus_slot_unref(w->vtable);
        sd_bus_close_unref(w->client);
        sd_bus_close_unref(w->server);
        sd_event_unref(w->event);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        World *w = userdata;
        const char *error = bus_reply_error(m);

        w->answered = true;
        w->error_number = bus_reply_errno(m);
        g_strlcpy(w->error, strempty(error), sizeof(w->error));
        if (!error && sd_bus_message_read(m, "u", &w->sum) < 0)
                w->sum = 0;
        return sd_event_exit(w->event, 0);
}

static void test_reply_comes(void) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        _cleanup_(world_down) World w;
        const char *name;

        world_up(&w);
        g_assert_cmpint(bus_call_async(w.client,
                                       &slot,
                                       NULL,
                                       "/t",
                                       "t.T",
                                       "Add",
                                       on_reply,
                                       &w,
                                       BUS_CALL_TIMEOUT_USEC,
                                       "uu",
                                       2U,
                                       3U),
                        ==,
                        0);
        g_assert_cmpint(sd_bus_slot_get_description(slot, &name), >=, 0);
        g_assert_cmpstr(name, ==, "Add");
        g_assert_cmpint(sd_event_loop(w.event), ==, 0);
        g_assert_cmpuint(w.sum, ==, 5);
        g_assert_cmpint(w.error_number, ==, 0);
}

static void test_error_is_a_sentence(void) {
        _cleanup_(world_down) World w;

        world_up(&w);
        g_assert_cmpint(bus_call_async(w.client,
                                       NULL,
                                       NULL,
                                       "/t",
                                       "t.T",
                                       "Refuse",
                                       on_reply,
                                       &w,
                                       BUS_CALL_TIMEOUT_USEC,
                                       ""),
                        ==,
                        0);
        g_assert_cmpint(sd_event_loop(w.event), ==, 0);
        g_assert_cmpstr(w.error, ==, "there is no quorum");
        g_assert_cmpint(w.error_number, <, 0);
}

static void test_silence_times_out(void) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        _cleanup_(world_down) World w;

        world_up(&w);
        g_assert_cmpint(bus_call_async(w.client,
                                       &slot,
                                       NULL,
                                       "/t",
                                       "t.T",
                                       "Hang",
                                       on_reply,
                                       &w,
                                       20000,
                                       NULL),
                        ==,
                        0);
        g_assert_cmpint(sd_event_loop(w.event), ==, 0);
        g_assert_true(w.answered);
        g_assert_cmpint(w.error_number, ==, -ETIMEDOUT);
}

static void test_unref_of_the_slot_cancels(void) {
        sd_bus_slot *slot = NULL;
        _cleanup_(world_down) World w;

        world_up(&w);
        g_assert_cmpint(bus_call_async(w.client,
                                       &slot,
                                       NULL,
                                       "/t",
                                       "t.T",
                                       "Add",
                                       on_reply,
                                       &w,
                                       20000,
                                       "uu",
                                       1U,
                                       1U),
                        ==,
                        0);
        sd_bus_slot_unref(slot);

        /* The next call is answered, the cancelled one before it is not. */
        g_assert_cmpint(bus_call_async(w.client,
                                       NULL,
                                       NULL,
                                       "/t",
                                       "t.T",
                                       "Add",
                                       on_reply,
                                       &w,
                                       0,
                                       "uu",
                                       20U,
                                       2U),
                        ==,
                        0);
        g_assert_cmpint(sd_event_loop(w.event), ==, 0);
        g_assert_cmpuint(w.sum, ==, 22);
}

static void test_sentences(void) {
        sd_bus_error nameless = { .name = "x.Y" };

        g_assert_cmpstr(bus_error_sentence(NULL, -ENOENT), ==, "No such file or directory");
        g_assert_cmpstr(bus_error_sentence(NULL, 0), ==, "unknown error");
        g_assert_cmpstr(bus_error_sentence(&nameless, 0), ==, "x.Y");
        g_assert_true(bus_error_is(&nameless, "x.Y"));
        g_assert_false(bus_error_is(&nameless, "x.Z"));
        g_assert_false(bus_error_is(NULL, "x.Y"));
        g_assert_null(bus_systemd_destination(true));
        g_assert_cmpstr(bus_systemd_destination(false), ==, "org.freedesktop.systemd1");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/shared/bus-util/reply-comes", test_reply_comes);
        g_test_add_func("/shared/bus-util/error-is-a-sentence", test_error_is_a_sentence);
        g_test_add_func("/shared/bus-util/silence-times-out", test_silence_times_out);
        g_test_add_func("/shared/bus-util/unref-of-the-slot-cancels", test_unref_of_the_slot_cancels);
        g_test_add_func("/shared/bus-util/sentences", test_sentences);

        return g_test_run();
}
