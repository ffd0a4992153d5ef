/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*   start --> CHECKING (fsck) --> KEEPING --SIGTERM, unmounted, read-only, disk fails--> the loop ends
 *     |                             ^   |
 *     +--- no fsck, or adopted -----+   +--disk hangs--> ABANDONED: the loop ends
 *
 * While it is kept, two things are watched: the mount table, which wakes us at each change, and the disk,
 * which a child asks (see disk-probe.h). A disk that hangs ends us too, without an attempt to unmount, which
 * would hang. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include "basic/time-util.h"
#include "resource-agents/mount/disk-probe.h"
#include "resource-agents/mount/keeper.h"
#include "shared/child.h"
#include "shared/event-util.h"
#include "shared/log.h"

/* Bits of the exit status of fsck(8). */
#define FSCK_CORRECTED 1
#define FSCK_REBOOT 2
#define FSCK_UNCORRECTED 4

typedef enum KeeperState {
        KEEPER_CHECKING,
        KEEPER_KEEPING,
        KEEPER_ABANDONED, /* mounted, but the disk hangs */
} KeeperState;

struct Keeper {
        sd_event *event; /* ref */
        Mounting mounting;
        KeeperState state;

        Child *fsck;            /* owned */
        DiskProbe *disk;        /* owned */
        int table_fd;           /* owned: /proc/self/mountinfo */
        sd_event_source *table; /* ref */
};

static int tell(AgentExit status, const char *text) {
        log_event(LOG_ERR, NULL, LOG_FIELDS("HAMGR_REASON", text), "%s", text);
        (void) sd_notifyf(false, "STATUS=%s", text);
        return (int) status;
}

static int end_with(Keeper *k, AgentExit status, const char *text) {
        return sd_event_exit(k->event, tell(status, text));
}

static int end_if_wrong(Keeper *k, AgentExit status) {
        return status == AGENT_EXIT_OK ? 0 : end_with(k, status, k->mounting.error);
}

/* ---- Keeping ---- */

static int on_table_changed(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Keeper *k = userdata;

        return end_if_wrong(k, mounting_look(&k->mounting));
}

static void on_disk_verdict(DiskVerdict verdict, int error, void *userdata) {
        Keeper *k = userdata;
        char text[MOUNTING_ERROR_MAX], duration[DURATION_TEXT_MAX];

        switch (verdict) {
        case DISK_ANSWERS: /* some file systems become read-only without a word: look at the table too */
                (void) end_if_wrong(k, mounting_look(&k->mounting));
                break;
        case DISK_FAILS:
                (void) snprintf(text,
                                sizeof text,
                                "%s at %s fails: %s; \"journalctl -k\" says more",
                                k->mounting.source,
                                k->mounting.where,
                                strerror(error));
                (void) end_with(k, AGENT_EXIT_LOST, text);
                break;
        case DISK_HANGS:
                k->state = KEEPER_ABANDONED;
                (void) snprintf(text,
                                sizeof text,
                                "%s at %s has not answered for %s; left mounted, since unmounting would "
                                "hang too",
                                k->mounting.source,
                                k->mounting.where,
                                format_duration(k->mounting.wanted->check_timeout_usec, duration));
                (void) end_with(k, AGENT_EXIT_LOST, text);
                break;
        case DISK_PROBE_BROKEN:
                (void) end_with(k,
                                AGENT_EXIT_FAILED,
                                "the process that asks the disk was killed by somebody else");
                break;
        }
}

static int keep(Keeper *k) {
        const MountOptions *wanted = k->mounting.wanted;
        char text[128];
        int r;

        k->state = KEEPER_KEEPING;
        r =
                        disk_probe_new(k->event,
                                       k->mounting.where,
                                       k->mounting.is_device ? k->mounting.source : NULL,
                                       wanted->check_interval_usec,
                                       wanted->check_timeout_usec,
                                       on_disk_verdict,
                                       k,
                                       &k->disk);
        if (r >= 0)
                r =
                                event_io_new(k->event,
                                             "mount-table",
                                             k->table_fd,
                                             EPOLLPRI,
                                             on_table_changed,
                                             k,
                                             &k->table);
        if (r < 0) {
                (void) snprintf(text, sizeof text, "cannot watch the mount: %s", strerror(-r));
                return tell(AGENT_EXIT_FAILED, text);
        }
        (void) sd_notifyf(
                        false, "READY=1\nSTATUS=%s is mounted at %s", k->mounting.source, k->mounting.where);
        return 0;
}

static int mount_and_keep(Keeper *k) {
        AgentExit status = mounting_mount(&k->mounting);

        if (status != AGENT_EXIT_OK)
                return tell(status, k->mounting.error);
        log_info("mounted %s at %s", k->mounting.source, k->mounting.where);
        return keep(k);
}

/* ---- fsck ---- */

static void on_fsck_end(Child *child, const ChildResult *result, void *userdata) {
        Keeper *k = userdata;
        _cleanup_(child_freep) _unused_ Child *ended = TAKE_PTR(k->fsck);
        char how[CHILD_TEXT_MAX], text[MOUNTING_ERROR_MAX];
        bool usable = result->end == CHILD_EXITED && (result->status & ~(FSCK_CORRECTED | FSCK_REBOOT)) == 0;
        int status;

        (void) child_result_format(result, how);
        if (!usable) {
                bool damaged = result->end == CHILD_EXITED && result->status == FSCK_UNCORRECTED;

                (void) snprintf(text,
                                sizeof text,
                                "%s is not mounted: fsck %s%s",
                                k->mounting.source,
                                how,
                                damaged ? "; it found errors that it does not correct by itself: run fsck "
                                          "by hand, while the file system is mounted nowhere"
                                        : "");
                (void) end_with(k, AGENT_EXIT_FAILED, text);
                return;
        }
        if (result->status != 0)
                log_warning("fsck corrected errors of %s: it %s", k->mounting.source, how);

        status = mount_and_keep(k);
        if (status != 0)
                (void) sd_event_exit(k->event, status);
}

static int begin_fsck(Keeper *k) {
        const MountOptions *wanted = k->mounting.wanted;
        const char *argv[7] = { "/sbin/fsck", "-T", "-a" };
        size_t n = 3;
        char text[MOUNTING_ERROR_MAX];
        int r;

        if (wanted->type) {
                argv[n++] = "-t";
                argv[n++] = wanted->type;
        }
        argv[n++] = k->mounting.source;

        (void) sd_notifyf(
                        false,
                        "EXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=checking %s",
                        usec_add(wanted->fsck_timeout_usec, USEC_PER_SEC),
                        k->mounting.source);
        r = child_new(k->event,
                      &(ChildSpec){ .argv = argv, .timeout_usec = wanted->fsck_timeout_usec },
                      on_fsck_end,
                      k,
                      &k->fsck);
        if (r >= 0)
                return 0;
        (void) snprintf(text,
                        sizeof text,
                        "cannot run %s: %s; install util-linux, or set Fsck=no",
                        argv[0],
                        strerror(-r));
        return tell(AGENT_EXIT_FAILED, text);
}

/* ---- Beginning and end ---- */

int keeper_start(sd_event *event, const MountOptions *options, Keeper **ret) {
        Keeper *k = calloc(1, sizeof *k);
        bool adopt = false;
        int status;

        if (!k)
                return tell(AGENT_EXIT_FAILED, "out of memory");
        *ret = k; /* also when it is not to be: what is mounted already must be released */
        k->event = sd_event_ref(event);
        mounting_init(&k->mounting, options);

        k->table_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        if (k->table_fd < 0)
                return tell(AGENT_EXIT_FAILED, "cannot open /proc/self/mountinfo");

        status = (int) mounting_check(&k->mounting, &adopt);
        if (status != AGENT_EXIT_OK)
                return tell((AgentExit) status, k->mounting.error);
        if (adopt) {
                log_info("%s is mounted at %s already; keeping it", k->mounting.source, k->mounting.where);
                return keep(k);
        }
        return options->fsck && k->mounting.is_device ? begin_fsck(k) : mount_and_keep(k);
}

int keeper_release(Keeper *k) {
        pid_t probe = k->disk ? disk_probe_pid(k->disk) : 0;
        AgentExit status;

        if (k->state != KEEPER_KEEPING)
                return 0;
        k->table = sd_event_source_disable_unref(k->table);
        k->disk = disk_probe_free(k->disk);
        status = mounting_release(&k->mounting, probe);
        if (status != AGENT_EXIT_OK)
                return tell(status, k->mounting.error);
        log_info("unmounted %s from %s", k->mounting.source, k->mounting.where);
        return 0;
}

Keeper *keeper_free(Keeper *k) {
        if (!k)
                return NULL;

        child_free(k->fsck);
        disk_probe_free(k->disk);
        sd_event_source_disable_unref(k->table);
        (void) safe_close(k->table_fd);
        mounting_done(&k->mounting);
        sd_event_unref(k->event);
        free(k);
        return NULL;
}

int keeper_remove_leftover(const MountOptions *options) {
        Mounting m;
        AgentExit status;
        bool found = false;

        mounting_init(&m, options);
        status = mounting_find_leftover(&m, &found);
        if (status == AGENT_EXIT_OK && found)
                status = mounting_release(&m, 0);
        if (status != AGENT_EXIT_OK)
                (void) tell(status, m.error);
        else if (found)
                log_info("unmounted %s from %s", m.source, m.where);
        mounting_done(&m);
        return (int) status;
}
