/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A manager that does only what it is told: for tests of the drive on real systemd. It runs as
 * hamgr.service, takes orders as packets on a socket and tells every event, with the time at which the
 * handler got it.
 *
 *   drive-driver FOLDER SOCKET
 *
 * FOLDER holds *.group files; this node is n1. Orders, answered by "ok" or "error ERRNO":
 *   configure | start GROUP NUMBER | stop GROUP NUMBER | adopt GROUP NUMBER | restart GROUP NUMBER RESOURCE
 *   state GROUP | status GROUP RESOURCE | validate FOLDER | leaving
 * On SIGTERM it asks why, and drains unless its unit is being restarted. */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <glib.h>
#include <systemd/sd-daemon.h>

#include "basic/time-util.h"
#include "hamgr/drive/drive.h"
#include "shared/event-util.h"
#include "shared/file-util.h"
#include "shared/log.h"

#define CLIENTS_MAX 4U
#define PACKET_MAX 65536U
#define DRAIN_NUMBER 1000000U

typedef struct Driver {
        sd_event *event;
        Drive *drive;
        const char *folder;
        HaConfig *config;
        DriveValidation *validation;
        HaConfig *validated;

        int listen_fd;
        sd_event_source *listen;
        int clients[CLIENTS_MAX];
        sd_event_source *client_sources[CLIENTS_MAX];
        bool draining;
} Driver;

static const char *const event_names[] = {
        [DRIVE_EVENT_CONNECTED] = "CONNECTED",
        [DRIVE_EVENT_DISCONNECTED] = "DISCONNECTED",
        [DRIVE_EVENT_GUARDED] = "GUARDED",
        [DRIVE_EVENT_GUARD_FAILED] = "GUARD_FAILED",
        [DRIVE_EVENT_FOUND] = "FOUND",
        [DRIVE_EVENT_STARTED] = "STARTED",
        [DRIVE_EVENT_START_FAILED] = "START_FAILED",
        [DRIVE_EVENT_STOPPED] = "STOPPED",
        [DRIVE_EVENT_STOP_FAILED] = "STOP_FAILED",
        [DRIVE_EVENT_RESOURCE_FAILED] = "RESOURCE_FAILED",
        [DRIVE_EVENT_OPERATOR_STOPPED] = "OPERATOR_STOPPED",
        [DRIVE_EVENT_RESOURCE_CHANGED] = "RESOURCE_CHANGED",
        [DRIVE_EVENT_STRAY] = "STRAY",
};

static const char *const found_names[] = {
        [DRIVE_FOUND_NOTHING] = "nothing",
        [DRIVE_FOUND_PART] = "part",
        [DRIVE_FOUND_ALL] = "all",
};

static const char *const state_names[] = {
        [DRIVE_GROUP_UNREAD] = "unread",           [DRIVE_GROUP_STOPPED] = "stopped",
        [DRIVE_GROUP_STARTING] = "starting",       [DRIVE_GROUP_RUNNING] = "running",
        [DRIVE_GROUP_FAILED] = "failed",           [DRIVE_GROUP_STOPPING] = "stopping",
        [DRIVE_GROUP_STOP_FAILED] = "stop-failed",
};

static const char *const leaving_names[] = {
        [DRIVE_LEAVING_NOT] = "not",         [DRIVE_LEAVING_RESTART] = "restart",
        [DRIVE_LEAVING_STOP] = "stop",       [DRIVE_LEAVING_SHUTDOWN] = "shutdown",
        [DRIVE_LEAVING_UNKNOWN] = "unknown",
};

/* ---- Telling ---- */

static void tell_all(Driver *d, const char *text) {
        log_info("%s", text);
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                if (d->clients[i] >= 0)
                        (void) send(d->clients[i], text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void quit_if_drained(Driver *d) {
        if (d->draining && drive_is_empty(d->drive)) {
                log_info("drained");
                (void) sd_event_exit(d->event, 0);
        }
}

static void on_event(Drive *drive, const DriveEvent *e, void *userdata) {
        Driver *d = userdata;
        g_autofree char *text =
                        g_strdup_printf("event time=%" PRIu64 " type=%s group=%s assignment=%" PRIu64
                                        " resource=%s reason=%s status=%d found=%s owned=%d text=%s",
                                        now_boottime_usec(),
                                        event_names[e->type],
                                        e->group ? e->group : "-",
                                        e->assignment,
                                        e->resource ? e->resource : "-",
                                        drive_reason_to_string(e->reason),
                                        e->status,
                                        found_names[e->found],
                                        e->owned,
                                        e->text);

        tell_all(d, text);
        quit_if_drained(d);
}

/* ---- Configuration ---- */

static int load(const char *folder, HaConfig **ret) {
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        _cleanup_(names_freep) char **names = NULL;
        HaNodes nodes = { .nodes = { { .id = 1, .name = "n1", .enabled = true } }, .n_nodes = 1 };
        HaFile *files;
        size_t n_files = 0;
        int r;

        r = list_folder(folder, ".group", &names, &n_files);
        if (r < 0)
                return r;
        files = g_new0(HaFile, n_files + 1);
        for (size_t i = 0; i < n_files; i++) {
                g_autofree char *path = g_strdup_printf("%s/%s", folder, names[i]);

                files[i].name = g_strdup(names[i]);
                if (!g_file_get_contents(path, &files[i].text, NULL, NULL))
                        return -EIO;
        }
        r = ha_config_parse(&nodes, files, n_files, ret, &errors);
        FOREACH_ARRAY(e, errors.items, errors.n_items)
                log_error("%s:%u: %s", e->file, e->line, e->message);
        (void) ha_files_free(files, n_files);
        return r;
}

static int configure(Driver *d) {
        HaConfig *config;
        int r;

        r = load(d->folder, &config);
        if (r < 0)
                return r;
        r = drive_configure(d->drive, config);
        (void) ha_config_free(d->config);
        d->config = config;
        return r;
}

static void
on_validated(DriveValidation *v, const char *const *errors, const char *const *warnings, void *userdata) {
        Driver *d = userdata;
        g_autofree char *all_errors = g_strjoinv("|", (char **) errors);
        g_autofree char *all_warnings = g_strjoinv("|", (char **) warnings);
        g_autofree char *text = g_strdup_printf("validated errors=%s warnings=%s", all_errors, all_warnings);

        tell_all(d, text);
        d->validation = drive_validation_free(v);
        (void) ha_config_free(d->validated);
        d->validated = NULL;
}

static int validate(Driver *d, const char *folder) {
        int r;

        if (d->validation)
                return -EBUSY;
        r = load(folder, &d->validated);
        if (r < 0)
                return r;
        return drive_validate(d->drive, d->validated, 1, on_validated, d, &d->validation);
}

static void on_leaving(Drive *drive, DriveLeaving leaving, void *userdata) {
        Driver *d = userdata;
        g_autofree char *text = g_strdup_printf("leaving answer=%s", leaving_names[leaving]);

        tell_all(d, text);
}

/* ---- Orders ---- */

static int describe(Driver *d, const char *group, const char *resource) {
        DriveResourceStatus status;
        g_autofree char *text = NULL;
        int r;

        r = drive_resource_status(d->drive, group, resource, &status);
        if (r < 0)
                return r;
        text =
                        g_strdup_printf("status state=%s reason=%s unit=%s text=%s",
                                        drive_resource_state_to_string(status.state),
                                        drive_reason_to_string(status.reason),
                                        status.unit,
                                        status.text);
        tell_all(d, text);
        return 0;
}

static int obey(Driver *d, char **words) {
        size_t n = g_strv_length(words);
        uint64_t number = n > 2 ? g_ascii_strtoull(words[2], NULL, 10) : 0;

        if (n == 1 && streq(words[0], "configure"))
                return configure(d);
        if (n == 1 && streq(words[0], "leaving"))
                return drive_query_leaving(d->drive, on_leaving, d);
        if (n == 2 && streq(words[0], "validate"))
                return validate(d, words[1]);
        if (n == 2 && streq(words[0], "state")) {
                tell_all(d, state_names[drive_group_state(d->drive, words[1])]);
                return 0;
        }
        if (n == 3 && streq(words[0], "status"))
                return describe(d, words[1], words[2]);
        if (n == 3 && streq(words[0], "start"))
                return drive_start(d->drive, words[1], number);
        if (n == 3 && streq(words[0], "stop"))
                return drive_stop(d->drive, words[1], number);
        if (n == 3 && streq(words[0], "adopt"))
                return drive_adopt(d->drive, words[1], number);
        if (n == 4 && streq(words[0], "restart"))
                return drive_restart(d->drive, words[1], words[3], number);
        return -EINVAL;
}

static int on_client(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Driver *d = userdata;
        char packet[PACKET_MAX];
        g_auto(GStrv) words = NULL;
        g_autofree char *answer = NULL;
        ssize_t n = recv(fd, packet, sizeof(packet) - 1, MSG_DONTWAIT);
        int r;

        if (n <= 0) {
                for (size_t i = 0; i < CLIENTS_MAX; i++)
                        if (d->clients[i] == fd) {
                                d->client_sources[i] = sd_event_source_disable_unref(d->client_sources[i]);
                                d->clients[i] = safe_close(fd);
                        }
                return 0;
        }
        packet[n] = '\0';
        words = g_strsplit(packet, " ", 0);
        r = obey(d, words);
        answer = r < 0 ? g_strdup_printf("error %s", strerrorname_np(-r)) : g_strdup("ok");
        (void) send(fd, answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT);
        return 0;
}

static int on_listen(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Driver *d = userdata;
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        for (size_t i = 0; client >= 0 && i < CLIENTS_MAX; i++)
                if (d->clients[i] < 0) {
                        d->clients[i] = client;
                        return event_io_new(
                                        d->event,
                                        "client",
                                        client,
                                        EPOLLIN,
                                        on_client,
                                        d,
                                        &d->client_sources[i]);
                }
        (void) safe_close(client);
        return 0;
}

static int listen_at(Driver *d, const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        (void) g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        (void) unlink(path);
        d->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (d->listen_fd < 0 || bind(d->listen_fd, (struct sockaddr *) &address, sizeof(address)) < 0 ||
            listen(d->listen_fd, 8) < 0)
                return -errno;
        return event_io_new(d->event, "listen", d->listen_fd, EPOLLIN, on_listen, d, &d->listen);
}

/* ---- Leaving ---- */

static void on_why(Drive *drive, DriveLeaving leaving, void *userdata) {
        Driver *d = userdata;

        log_info("leaving: %s", leaving_names[leaving]);
        if (leaving == DRIVE_LEAVING_RESTART) {
                (void) sd_event_exit(d->event, 0);
                return;
        }
        d->draining = true;
        for (size_t i = 0; i < d->config->n_groups; i++)
                (void) drive_stop(d->drive, d->config->groups[i].name, DRAIN_NUMBER);
        quit_if_drained(d);
}

static int on_terminate(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Driver *d = userdata;

        drive_set_leaving(d->drive, true);
        return drive_query_leaving(d->drive, on_why, d);
}

int main(int argc, char *argv[]) {
        Driver d = { .clients = { -EBADF, -EBADF, -EBADF, -EBADF } };
        sd_event_source *terminate = NULL;
        int r;

        if (argc != 3)
                return 2;
        log_init("drive-driver");
        log_set_max_level(LOG_DEBUG);
        d.folder = argv[1];

        r = sd_event_new(&d.event);
        if (r >= 0)
                r = event_signal_new(d.event, SIGTERM, on_terminate, &d, &terminate);
        if (r >= 0)
                r = listen_at(&d, argv[2]);
        if (r >= 0)
                r = drive_new(d.event, NULL, on_event, &d, &d.drive);
        if (r >= 0)
                r = configure(&d);
        if (r < 0)
                return log_error_errno(-r, "cannot start: %m") < 0;

        (void) sd_notify(0, "READY=1");
        r = sd_event_loop(d.event);

        (void) drive_validation_free(d.validation);
        (void) drive_free(d.drive);
        (void) ha_config_free(d.config);
        (void) ha_config_free(d.validated);
        for (size_t i = 0; i < CLIENTS_MAX; i++) {
                sd_event_source_disable_unref(d.client_sources[i]);
                (void) safe_close(d.clients[i]);
        }
        sd_event_source_disable_unref(d.listen);
        (void) safe_close(d.listen_fd);
        sd_event_source_disable_unref(terminate);
        sd_event_unref(d.event);
        return r < 0;
}
