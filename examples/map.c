/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A map from keys to values that all who run this share. It lives as long as one of them does: kill any,
 * start it again, and it has the map as of now.
 *
 *     cc map.c $(pkg-config --cflags --libs libhagcs) -o map
 *     ./map [NAME [SOCKET]]
 *
 * Lines of input: "set KEY VALUE", "get KEY". Both are sent to all, and done where they come back: what
 * changes the map does so at everybody in the same order, and what is read is what was true at that point of
 * the order, not some time before. */

#include <errno.h>
#include <hagcs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 256

struct entry {
        struct entry *next;
        char key[LINE_MAX_BYTES];
        char value[LINE_MAX_BYTES];
};

static struct entry *map;
static bool known; /* the map is that of the group */
static bool reading = true;
static bool blocked; /* no room to send */

static struct entry *find(const char *key) {
        struct entry *e = map;

        while (e && strcmp(e->key, key) != 0)
                e = e->next;
        return e;
}

static void forget_all(void) {
        while (map) {
                struct entry *e = map;

                map = e->next;
                free(e);
        }
}

/* A line as it was sent, or as it stands in a snapshot. Who cannot follow must not go on: it would differ.
 */
static int apply(char *line, bool own) {
        char *save, *verb = strtok_r(line, " ", &save), *key = strtok_r(NULL, " ", &save), *value = save;
        struct entry *e = key ? find(key) : NULL;

        if (!verb || !key)
                return 0;
        if (strcmp(verb, "get") == 0 && own)
                printf("%s = %s\n", key, e ? e->value : "(nothing)");
        if (strcmp(verb, "set") != 0 || !value)
                return 0;
        if (!e) {
                e = calloc(1, sizeof(*e));
                if (!e)
                        return -ENOMEM;
                snprintf(e->key, sizeof(e->key), "%s", key);
                e->next = map;
                map = e;
        }
        snprintf(e->value, sizeof(e->value), "%s", value);
        return 0;
}

/* Data from the group need not end with a zero. */
static int apply_bytes(const char *data, size_t size, bool own) {
        char line[LINE_MAX_BYTES];

        snprintf(line, sizeof(line), "%.*s", (int) size, data);
        return apply(line, own);
}

/* The map as the lines that make it. */
static int give_snapshot(hagcs *h, uint64_t id) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        int r;

        if (!f)
                return -ENOMEM;
        for (struct entry *e = map; e; e = e->next)
                fprintf(f, "set %s %s\n", e->key, e->value);
        r = fclose(f) == 0 ? hagcs_give_snapshot(h, id, text, size) : -ENOMEM;
        free(text);
        return r == -ENOENT ? 0 : r; /* not wanted any more */
}

static int take_snapshot(const char *data, size_t size) {
        int r = 0;

        for (const char *line = data, *end;
             r == 0 && (end = memchr(line, '\n', size - (size_t) (line - data)));
             line = end + 1)
                r = apply_bytes(line, (size_t) (end - line), false);
        known = true;
        return r;
}

/* One line of input; kept when there is no room, and sent when there is. */
static int send_line(hagcs *h) {
        static char line[LINE_MAX_BYTES];
        int r;

        if (line[0] == '\0' && !fgets(line, sizeof(line), stdin)) {
                reading = false;
                return hagcs_unregister(h);
        }
        line[strcspn(line, "\n")] = '\0';
        r = hagcs_send(h, line, strlen(line), 0);
        blocked = r == -EAGAIN;
        if (!blocked)
                line[0] = '\0';
        return blocked ? 0 : r;
}

static int on_event(hagcs *h, const hagcs_event *e) {
        switch (e->type) {
        case HAGCS_EVENT_REGISTERED:
                if (e->error < 0)
                        fprintf(stderr, "cannot join: %s\n", e->text);
                return e->error;
        case HAGCS_EVENT_VIEW:
                printf("%zu share the map\n", e->view.n_members);
                if (!e->view.fresh)
                        return 0;
                forget_all(); /* a snapshot follows */
                known = false;
                return 0;
        case HAGCS_EVENT_SNAPSHOT:
                printf("%s\n", e->error < 0 ? "the map is new" : "the map was handed over");
                return take_snapshot(e->data, e->size);
        case HAGCS_EVENT_SNAPSHOT_REQUEST:
                return give_snapshot(h, e->cookie);
        case HAGCS_EVENT_MESSAGE:
                return apply_bytes(e->data, e->size, e->sender.own);
        case HAGCS_EVENT_SHUT_OUT:
                printf("the others went on without us: what was not confirmed may be lost\n");
                return 0;
        case HAGCS_EVENT_WRITABLE:
                return send_line(h);
        case HAGCS_EVENT_UNREGISTERED:
                return -ESHUTDOWN;
        case HAGCS_EVENT_DISCONNECTED:
                fprintf(stderr, "%s\n", e->text);
                return -ENOTCONN;
        default: /* and what later versions may tell */
                return 0;
        }
}

int main(int argc, char *argv[]) {
        hagcs_registration registration = { .group = "map",
                                            .flags = HAGCS_WANT_SNAPSHOT,
                                            .liveliness_usec = 2000000 };
        hagcs *h;
        int r;

        registration.name = argc > 1 ? argv[1] : "map";
        setvbuf(stdin, NULL, _IONBF, 0); /* poll() must see what is left */
        setvbuf(stdout, NULL, _IOLBF, 0);
        r = hagcs_open(argc > 2 ? argv[2] : NULL, &h);
        if (r < 0) {
                fprintf(stderr, "cannot reach hagcd: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        r = hagcs_register(h, &registration);
        while (r >= 0) {
                struct pollfd fds[] = {
                        { .fd = hagcs_get_fd(h), .events = (short) hagcs_get_events(h) },
                        { .fd = known && reading && !blocked ? 0 : -1, .events = POLLIN },
                };
                const hagcs_event *e;

                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        r = -errno;
                while (r >= 0 && (r = hagcs_dispatch(h, &e)) > 0)
                        r = on_event(h, e);
                if (r >= 0 && fds[1].revents)
                        r = send_line(h);
        }
        hagcs_close(h);
        forget_all();
        return r == -ESHUTDOWN ? EXIT_SUCCESS : EXIT_FAILURE;
}
