/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A chat of all who run this, on whichever server. Everybody reads the same lines in the same order, and who
 * comes and goes between the same lines.
 *
 *     cc chat.c $(pkg-config --cflags --libs libhagcs) -o chat
 *     ./chat NAME [SOCKET]
 */

#include <errno.h>
#include <hagcs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool member;  /* only then can anything be sent */
static bool blocked; /* no room: nothing more is read until there is */

static char input[4096]; /* that makes no whole line yet */
static size_t input_bytes;

static void show_members(const char *what, const hagcs_member *members, size_t n, bool why) {
        for (size_t i = 0; i < n; i++)
                printf("* %s %s%s%s\n",
                       members[i].name,
                       what,
                       why ? ": " : "",
                       why ? hagcs_reason_to_string(members[i].reason) : "");
}

static void on_view(const hagcs_view *v) {
        if (v->fresh) {
                show_members("is here", v->members, v->n_members, false);
                return;
        }
        show_members("left", v->left, v->n_left, true);
        show_members("came", v->joined, v->n_joined, false);
}

static int on_event(const hagcs_event *e) {
        switch (e->type) {
        case HAGCS_EVENT_REGISTERED:
                if (e->error < 0)
                        fprintf(stderr, "cannot join: %s\n", e->text);
                member = e->error == 0;
                return e->error;
        case HAGCS_EVENT_VIEW:
                on_view(&e->view);
                return 0;
        case HAGCS_EVENT_MESSAGE:
                printf("<%s> %.*s\n", e->sender.name, (int) e->size, (const char *) e->data);
                return 0;
        case HAGCS_EVENT_FROZEN:
                printf("* waiting for the other servers\n");
                return 0;
        case HAGCS_EVENT_SHUT_OUT:
                printf("* the others went on without us, and may not have seen what we said last\n");
                return 0;
        case HAGCS_EVENT_WRITABLE:
                blocked = false;
                return 0;
        case HAGCS_EVENT_UNREGISTERED:
                return -ESHUTDOWN;
        case HAGCS_EVENT_DISCONNECTED:
                fprintf(stderr, "%s\n", e->text);
                return -ENOTCONN;
        default: /* and what later versions may tell */
                return 0;
        }
}

/* Sends whole lines as long as there is room. */
static int send_lines(hagcs *h) {
        char *end;
        int r = 0;

        while (!blocked && (end = memchr(input, '\n', input_bytes))) {
                size_t n = (size_t) (end - input);

                r = hagcs_send(h, input, n, 0);
                if (r == -EAGAIN) {
                        blocked = true;
                        return 0;
                }
                if (r < 0)
                        return r;
                input_bytes -= n + 1;
                memmove(input, end + 1, input_bytes);
        }
        return 0;
}

/* 0: it goes on; 1: the input has ended. */
static int read_input(hagcs *h) {
        ssize_t n = read(STDIN_FILENO, input + input_bytes, sizeof(input) - 1 - input_bytes);

        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        input_bytes += (size_t) n;
        if ((n == 0 && input_bytes > 0) || input_bytes == sizeof(input) - 1)
                input[input_bytes++] = '\n'; /* the last line, or one that is too long: cut */
        return n == 0;
}

int main(int argc, char *argv[]) {
        hagcs_registration registration = { .group = "chat", .liveliness_usec = 2000000 };
        bool ended = false, leaving = false;
        hagcs *h;
        int r;

        if (argc < 2) {
                fprintf(stderr, "usage: chat NAME [SOCKET]\n");
                return EXIT_FAILURE;
        }
        registration.name = argv[1];
        setvbuf(stdout, NULL, _IOLBF, 0);
        r = hagcs_open(argv[2], &h);
        if (r < 0) {
                fprintf(stderr, "cannot reach hagcd: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        r = hagcs_register(h, &registration);
        while (r >= 0) {
                struct pollfd fds[] = {
                        { .fd = hagcs_get_fd(h), .events = (short) hagcs_get_events(h) },
                        { .fd = member && !blocked && !ended ? STDIN_FILENO : -1, .events = POLLIN },
                };
                const hagcs_event *e;

                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        r = -errno;
                while (r >= 0 && (r = hagcs_dispatch(h, &e)) > 0)
                        r = on_event(e);
                if (r >= 0 && fds[1].revents) {
                        r = read_input(h);
                        ended = r > 0;
                }
                if (r >= 0 && member && !leaving)
                        r = send_lines(h);
                if (r >= 0 && ended && !blocked && !leaving) {
                        r = hagcs_unregister(h); /* behind all that was said */
                        leaving = true;
                }
        }
        hagcs_close(h);
        return r == -ESHUTDOWN ? EXIT_SUCCESS : EXIT_FAILURE;
}
