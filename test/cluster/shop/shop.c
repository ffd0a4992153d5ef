/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* shop: the web service that the lab keeps available. GET / is a page with the name of the host and the last
 * orders, GET /orders is all of them, POST /order appends the body to the file of orders, syncs it, and only
 * then answers, with how many there are. One process, one loop; starts in a few milliseconds, so that what a
 * test measures is the cluster. */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define N_CLIENTS_MAX 200
#define REQUEST_MAX 2048
#define CLIENT_MSEC 2000

typedef struct Client {
        int fd; /* owned, -1: free */
        uint64_t since_msec;
        size_t n_request;
        char request[REQUEST_MAX + 1];
} Client;

typedef struct Shop {
        const char *dir; /* weak, NULL: keeps no orders */
        int listen_fd;
        int orders_fd;
        unsigned long n_orders;
        char host[65];
        Client clients[N_CLIENTS_MAX];
} Shop;

static uint64_t now_msec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_BOOTTIME, &ts);
        return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}

/* sd_notify(3) in a few lines, so that this program needs no library. */
static void notify(const char *state) {
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        size_t n;
        int fd;

        if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof sa.sun_path)
                return;
        n = strlen(path);
        memcpy(sa.sun_path, path, n);
        if (sa.sun_path[0] == '@')
                sa.sun_path[0] = '\0';
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return;
        (void) sendto(fd,
                      state,
                      strlen(state),
                      MSG_NOSIGNAL | MSG_DONTWAIT,
                      (struct sockaddr *) &sa,
                      (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n));
        close(fd);
}

static int open_orders(Shop *s) {
        char path[4096];
        char buffer[4096];
        ssize_t n;

        s->orders_fd = -1;
        if (!s->dir)
                return 0;
        snprintf(path, sizeof path, "%s/orders", s->dir);
        s->orders_fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (s->orders_fd < 0) {
                fprintf(stderr, "cannot open %s: %s\n", path, strerror(errno));
                return -errno;
        }
        while ((n = read(s->orders_fd, buffer, sizeof buffer)) > 0)
                for (ssize_t i = 0; i < n; i++)
                        s->n_orders += buffer[i] == '\n';
        return 0;
}

static int open_listener(Shop *s, uint16_t port) {
        struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
        struct sockaddr_in sa4 = { .sin_family = AF_INET, .sin_port = htons(port) };
        int one = 1, zero = 0;

        s->listen_fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (s->listen_fd >= 0) {
                setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
                setsockopt(s->listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
                if (bind(s->listen_fd, (struct sockaddr *) &sa, sizeof sa) >= 0 &&
                    listen(s->listen_fd, 128) >= 0)
                        return 0;
                close(s->listen_fd);
        }
        s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (s->listen_fd < 0)
                return -errno;
        setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(s->listen_fd, (struct sockaddr *) &sa4, sizeof sa4) < 0 || listen(s->listen_fd, 128) < 0) {
                fprintf(stderr, "cannot listen on port %u: %s\n", port, strerror(errno));
                return -errno;
        }
        return 0;
}

static void client_close(Client *c) {
        close(c->fd);
        c->fd = -1;
        c->n_request = 0;
}

static void answer(Client *c, const char *status, const char *type, const char *body, size_t n_body) {
        char head[256];
        int n;

        n = snprintf(head,
                     sizeof head,
                     "HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                     status,
                     type,
                     n_body);
        /* Answers are small against a socket's buffer; who does not read them loses them. */
        if (send(c->fd, head, (size_t) n, MSG_NOSIGNAL | MSG_MORE) == n)
                (void) !send(c->fd, body, n_body, MSG_NOSIGNAL);
}

static size_t read_tail(Shop *s, char *buffer, size_t size) {
        struct stat st;
        off_t from;
        ssize_t n;

        if (s->orders_fd < 0 || fstat(s->orders_fd, &st) < 0)
                return 0;
        from = st.st_size > (off_t) size ? st.st_size - (off_t) size : 0;
        n = pread(s->orders_fd, buffer, size, from);
        if (n < 0)
                return SIZE_MAX;
        return (size_t) n;
}

static void serve_page(Shop *s, Client *c) {
        char tail[1024], page[2048];
        size_t n_tail;
        int n;

        n_tail = read_tail(s, tail, sizeof tail - 1);
        if (n_tail == SIZE_MAX) {
                answer(c, "500 Cannot Read", "text/plain", "the orders cannot be read\n", 26);
                return;
        }
        tail[n_tail] = '\0';
        n = snprintf(page,
                     sizeof page,
                     "<h1>The shop</h1>\n<p>served by: %s</p>\n<p>orders: %lu</p>\n<pre>\n%s</pre>\n",
                     s->host,
                     s->n_orders,
                     tail);
        answer(c, "200 OK", "text/html", page, (size_t) n);
}

static void serve_orders(Shop *s, Client *c) {
        struct stat st;
        char *all;
        size_t n;

        if (s->orders_fd < 0 || fstat(s->orders_fd, &st) < 0) {
                answer(c, "404 Not Found", "text/plain", "", 0);
                return;
        }
        all = malloc((size_t) st.st_size + 1);
        if (!all)
                return;
        n = read_tail(s, all, (size_t) st.st_size);
        if (n == SIZE_MAX) {
                answer(c, "500 Cannot Read", "text/plain", "the orders cannot be read\n", 26);
        } else {
                int size = (int) n + 4096;

                setsockopt(c->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
                answer(c, "200 OK", "text/plain", all, n);
        }
        free(all);
}

static void take_order(Shop *s, Client *c, const char *body) {
        char line[REQUEST_MAX + 2];
        size_t n = strcspn(body, "\r\n");

        memcpy(line, body, n);
        line[n++] = '\n';
        /* The promise to the customer is given after the sync, and only then. */
        if (s->orders_fd < 0 || write(s->orders_fd, line, n) != (ssize_t) n || fdatasync(s->orders_fd) < 0) {
                answer(c, "500 Not Taken", "text/plain", "not taken\n", 10);
                return;
        }
        s->n_orders++;
        n = (size_t) snprintf(line, sizeof line, "taken %lu\n", s->n_orders);
        answer(c, "200 OK", "text/plain", line, n);
}

/* True when the request is complete and answered. */
static bool client_serve(Shop *s, Client *c) {
        const char *body = strstr(c->request, "\r\n\r\n");
        const char *length;

        if (!body)
                return false;
        body += 4;
        if (strncmp(c->request, "GET / ", 6) == 0)
                serve_page(s, c);
        else if (strncmp(c->request, "GET /orders ", 12) == 0)
                serve_orders(s, c);
        else if (strncmp(c->request, "POST /order ", 12) == 0) {
                length = strstr(c->request, "Content-Length: ");
                if (length && strlen(body) < strtoul(length + 16, NULL, 10))
                        return false;
                take_order(s, c, body);
        } else
                answer(c, "404 Not Found", "text/plain", "", 0);
        return true;
}

static void client_read(Shop *s, Client *c) {
        ssize_t n = recv(c->fd, c->request + c->n_request, REQUEST_MAX - c->n_request, MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN)
                return;
        if (n <= 0) {
                client_close(c);
                return;
        }
        c->n_request += (size_t) n;
        c->request[c->n_request] = '\0';
        if (client_serve(s, c) || c->n_request == REQUEST_MAX)
                client_close(c);
}

static void accept_all(Shop *s) {
        for (size_t i = 0; i < N_CLIENTS_MAX; i++) {
                Client *c = s->clients + i;

                if (c->fd >= 0)
                        continue;
                c->fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
                if (c->fd < 0)
                        return;
                c->since_msec = now_msec();
                client_read(s, c);
        }
}

static void drop_slow(Shop *s) {
        uint64_t now = now_msec();

        for (size_t i = 0; i < N_CLIENTS_MAX; i++)
                if (s->clients[i].fd >= 0 && now - s->clients[i].since_msec > CLIENT_MSEC)
                        client_close(s->clients + i);
}

static int run(Shop *s, int signal_fd) {
        const char *watchdog = getenv("WATCHDOG_USEC");
        int period_msec = watchdog ? (int) (strtoul(watchdog, NULL, 10) / 3000) : 1000;
        struct pollfd fds[N_CLIENTS_MAX + 2];
        uint64_t petted = 0;

        for (;;) {
                fds[0] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
                fds[1] = (struct pollfd){ .fd = s->listen_fd, .events = POLLIN };
                for (size_t i = 0; i < N_CLIENTS_MAX; i++)
                        fds[i + 2] = (struct pollfd){ .fd = s->clients[i].fd, .events = POLLIN };
                if (poll(fds, N_CLIENTS_MAX + 2, period_msec) < 0 && errno != EINTR)
                        return EXIT_FAILURE;
                if (fds[0].revents)
                        return EXIT_SUCCESS;
                for (size_t i = 0; i < N_CLIENTS_MAX; i++)
                        if (fds[i + 2].fd >= 0 && fds[i + 2].revents)
                                client_read(s, s->clients + i);
                if (fds[1].revents)
                        accept_all(s);
                drop_slow(s);
                if (watchdog && now_msec() - petted >= (uint64_t) period_msec) {
                        notify("WATCHDOG=1");
                        petted = now_msec();
                }
        }
}

int main(int argc, char **argv) {
        Shop *s = calloc(1, sizeof *s);
        sigset_t stop;
        int signal_fd;

        if (!s || argc < 2 || argc > 3) {
                fprintf(stderr, "usage: shop PORT [DIRECTORY OF THE ORDERS]\n");
                return EXIT_FAILURE;
        }
        s->dir = argv[2];
        for (size_t i = 0; i < N_CLIENTS_MAX; i++)
                s->clients[i].fd = -1;
        gethostname(s->host, sizeof s->host - 1);
        sigemptyset(&stop);
        sigaddset(&stop, SIGTERM);
        sigaddset(&stop, SIGINT);
        sigprocmask(SIG_BLOCK, &stop, NULL);
        signal_fd = signalfd(-1, &stop, SFD_CLOEXEC);
        if (signal_fd < 0 || open_orders(s) < 0 ||
            open_listener(s, (uint16_t) strtoul(argv[1], NULL, 10)) < 0)
                return EXIT_FAILURE;
        notify("READY=1");
        return run(s, signal_fd);
}
