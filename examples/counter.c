/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A counter that all members of the group "counter" share. Each line of input adds a number; everybody
 * applies the same additions in the same order, so all have the same sum, and who joins later is given it.
 *
 *     cc counter.c $(pkg-config --cflags --libs libhagcs) -o counter
 *     ./counter [SOCKET]
 */

#include <errno.h>
#include <hagcs.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t sum;
static bool member; /* only then can anything be sent */
static bool input = true;

static int on_event(hagcs *h, const hagcs_event *e) {
        switch (e->type) {
        case HAGCS_EVENT_REGISTERED:
                if (e->error < 0)
                        fprintf(stderr, "cannot join: %s\n", e->text);
                member = e->error == 0;
                return e->error;
        case HAGCS_EVENT_VIEW:
                printf("%zu members, %zu came, %zu left\n",
                       e->view.n_members,
                       e->view.n_joined,
                       e->view.n_left);
                if (e->view.fresh)
                        sum = 0; /* a snapshot follows; it is an empty one if nobody has a sum */
                return 0;
        case HAGCS_EVENT_MESSAGE:
                if (e->size == sizeof(sum)) {
                        int64_t n;

                        memcpy(&n, e->data, sizeof(n));
                        sum += n;
                        printf("%s adds %" PRId64 ": %" PRId64 "\n", e->sender.name, n, sum);
                }
                return 0;
        case HAGCS_EVENT_SNAPSHOT_REQUEST:
                return hagcs_give_snapshot(h, e->cookie, &sum, sizeof(sum));
        case HAGCS_EVENT_SNAPSHOT:
                if (e->size == sizeof(sum))
                        memcpy(&sum, e->data, sizeof(sum));
                printf("the sum is %" PRId64 "\n", sum);
                return 0;
        case HAGCS_EVENT_FROZEN:
                printf("waiting for a quorate membership\n");
                return 0;
        case HAGCS_EVENT_SHUT_OUT:
                printf("the others went on without us; joining afresh\n");
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

/* One line, one number. The additions of one member arrive in its order, those of all in one order. */
static int on_line(hagcs *h) {
        char line[64];
        int64_t n;
        int r;

        if (!fgets(line, sizeof(line), stdin)) {
                input = false;
                return hagcs_unregister(h);
        }
        n = strtoll(line, NULL, 10);
        r = hagcs_send(h, &n, sizeof(n), 0);
        if (r == -EAGAIN)
                fprintf(stderr, "too fast, dropped\n");
        return r == -EAGAIN ? 0 : r;
}

int main(int argc, char *argv[]) {
        const hagcs_registration registration = {
                .group = "counter",
                .name = "counter",
                .flags = HAGCS_WANT_SNAPSHOT,
                .liveliness_usec = 2000000,
        };
        hagcs *h;
        int r;

        setvbuf(stdin, NULL, _IONBF, 0); /* poll() must see what is left */
        setvbuf(stdout, NULL, _IOLBF, 0);
        r = hagcs_open(argv[1], &h);
        if (r < 0) {
                fprintf(stderr, "cannot reach hagcd: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        r = hagcs_register(h, &registration);
        while (r >= 0) {
                struct pollfd fds[] = {
                        { .fd = hagcs_get_fd(h), .events = (short) hagcs_get_events(h) },
                        { .fd = member && input ? 0 : -1, .events = POLLIN },
                };
                const hagcs_event *e;

                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        r = -errno;
                while (r >= 0 && (r = hagcs_dispatch(h, &e)) > 0)
                        r = on_event(h, e);
                if (r >= 0 && fds[1].revents)
                        r = on_line(h);
        }
        hagcs_close(h);
        return r == -ESHUTDOWN ? EXIT_SUCCESS : EXIT_FAILURE;
}
