/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* pet: pets the lab's watchdog, a socket that stands for the device. When it is stopped it says so, as
 * whoever closes a device with the magic character does; when it is killed, or frozen with all the rest, it
 * does not.
 *
 * Process 1 does not have a say in it, as it has where systemd pets a device: on a machine on which four
 * labs run side by side it may take seconds to reload its units, and none of the tests hangs process 1
 * alone. */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define INTERVAL_MSEC 100

static volatile sig_atomic_t stopped;

static void on_signal(int number) {
        (void) number;
        stopped = 1;
}

static int connect_to(const char *path) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || strlen(path) >= sizeof sa.sun_path)
                return -1;
        strcpy(sa.sun_path, path);
        return connect(fd, (struct sockaddr *) &sa, sizeof sa) < 0 ? -1 : fd;
}

int main(int argc, char **argv) {
        struct sigaction sa = { .sa_handler = on_signal };
        int device = argc > 1 ? connect_to(argv[1]) : -1;

        if (device < 0) {
                fprintf(stderr, "pet: there is no watchdog\n");
                return 1;
        }
        sigaction(SIGTERM, &sa, NULL);
        while (!stopped) {
                if (send(device, "p", 1, MSG_NOSIGNAL) < 0)
                        return 1;
                (void) poll(NULL, 0, INTERVAL_MSEC);
        }
        (void) send(device, "V", 1, MSG_NOSIGNAL);
        return 0;
}
