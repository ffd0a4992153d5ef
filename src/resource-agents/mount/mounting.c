/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <systemd/sd-daemon.h>

#include "basic/time-util.h"
#include "resource-agents/mount/mounting.h"
#include "shared/log.h"
#include "shared/message-ids.h"

/* How long a holder may take to end by itself: half of the stop's time, and no more than this. */
#define TERM_GRACE_USEC_MAX (2 * USEC_PER_SEC)
/* The kernel lets go of the last file some moments after the process is gone, and tells nobody. */
#define RETRY_USEC (10 * USEC_PER_MSEC)
#define WAIT_USEC (100 * USEC_PER_MSEC)
#define WAIT_HOLDERS_MAX 64U

void mounting_init(Mounting *m, const MountOptions *wanted) {
        *m = (Mounting){ .wanted = wanted };
}

void mounting_done(Mounting *m) {
        free(m->where);
        free(m->source);
}

static _printf_(3, 4) AgentExit refuse(Mounting *m, AgentExit status, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        /* The analyzer does not see that va_start() sets ap. */
        /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
        (void) vsnprintf(m->error, sizeof m->error, format, ap);
        va_end(ap);
        return status;
}

static AgentExit out_of_memory(Mounting *m) {
        return refuse(m, AGENT_EXIT_FAILED, "out of memory");
}

/* ---- What is to be mounted, and where ---- */

static bool names_a_device(const char *what) {
        return what[0] == '/' || startswith(what, "LABEL=") || startswith(what, "UUID=") ||
               startswith(what, "PARTLABEL=") || startswith(what, "PARTUUID=") || startswith(what, "ID=");
}

static AgentExit find_source(Mounting *m) {
        const char *what = m->wanted->what;
        struct libmnt_cache *cache = NULL;
        struct stat st;

        if (!names_a_device(what)) {
                m->source = strdup(what);
                return m->source ? AGENT_EXIT_OK : out_of_memory(m);
        }

        if (what[0] == '/')
                m->source = realpath(what, NULL);
        else {
                char *found;

                cache = mnt_new_cache();
                found = cache ? mnt_resolve_spec(what, cache) : NULL; /* the cache's */
                m->source = found ? strdup(found) : NULL;
                mnt_unref_cache(cache);
                errno = ENOENT;
        }
        if (!m->source)
                return refuse(m,
                              AGENT_EXIT_MISSING,
                              "cannot find %s on this node: %s; is the disk connected? \"lsblk -f\" lists "
                              "those that are",
                              what,
                              strerror(errno));

        if (stat(m->source, &st) < 0)
                return refuse(m, AGENT_EXIT_MISSING, "cannot look at %s: %s", m->source, strerror(errno));
        if (!S_ISBLK(st.st_mode))
                return refuse(m,
                              AGENT_EXIT_MISSING,
                              "%s is not a block device; files and folders of this node cannot be moved to "
                              "another one",
                              m->source);
        m->is_device = true;
        m->device_number = st.st_rdev;
        return AGENT_EXIT_OK;
}

static AgentExit find_target(Mounting *m) {
        const char *where = m->wanted->where;
        struct stat st;

        m->where = realpath(where, NULL);
        if (!m->where)
                return refuse(m,
                              AGENT_EXIT_MISSING,
                              "cannot find the mount point %s on this node: %s; run: mkdir -p %s",
                              where,
                              strerror(errno),
                              where);
        if (stat(m->where, &st) < 0 || !S_ISDIR(st.st_mode))
                return refuse(m, AGENT_EXIT_MISSING, "the mount point %s is not a directory", where);
        if (streq(m->where, "/"))
                return refuse(m, AGENT_EXIT_CONFLICT, "/ cannot be a mount point of a resource");
        return AGENT_EXIT_OK;
}

static bool is_ours(const Mounting *m, const MountRow *row) {
        return (m->is_device && row->device == m->device_number) || streq(row->source, m->source);
}

/* ---- May it be mounted? ---- */

static AgentExit read_table(Mounting *m, MountTable **ret) {
        int r = mount_table_read(0, ret);

        return r < 0 ? refuse(m, AGENT_EXIT_FAILED, "cannot read /proc/self/mountinfo: %s", strerror(-r))
                     : AGENT_EXIT_OK;
}

/* An exclusive opening succeeds only when neither a mount, in whatever namespace, nor swap, LVM, RAID or
 * multipath of this node uses the device. Of other hosts it knows nothing. */
static AgentExit check_exclusive(Mounting *m) {
        _cleanup_close_ int fd = open(m->source, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);

        if (fd >= 0)
                return AGENT_EXIT_OK;
        if (errno == EBUSY)
                return refuse(m,
                              AGENT_EXIT_CONFLICT,
                              "%s is in use on this node (a mount in another namespace, swap, LVM, RAID or "
                              "multipath); not mounted. \"lsblk %s\" shows by what",
                              m->source,
                              m->source);
        return refuse(m, AGENT_EXIT_MISSING, "cannot open %s: %s", m->source, strerror(errno));
}

static void remember(Mounting *m, const MountRow *row) {
        struct stat st;

        m->superblock = (Superblock){ .device = row->device, .file_device = row->device };
        if (stat(m->where, &st) >= 0)
                m->superblock.file_device = st.st_dev;
        m->is_writable = !mount_options_have(row->options, "ro") &&
                         !mount_options_have(row->super_options, "ro");
}

AgentExit mounting_check(Mounting *m, bool *ret_adopt) {
        _cleanup_(mount_table_freep) MountTable *table = NULL;
        const MountRow *row;
        AgentExit status;

        if (m->wanted->options && (mount_options_have(m->wanted->options, "bind") ||
                                   mount_options_have(m->wanted->options, "rbind")))
                return refuse(m,
                              AGENT_EXIT_USAGE,
                              "bind mounts cannot be held: they share their file system with others, which "
                              "would be cut off with it");
        status = find_target(m);
        if (status == AGENT_EXIT_OK)
                status = find_source(m);
        if (status == AGENT_EXIT_OK)
                status = read_table(m, &table);
        if (status != AGENT_EXIT_OK)
                return status;

        row = mount_table_at(table, m->where);
        if (row && is_ours(m, row)) {
                remember(m, row);
                *ret_adopt = true;
                return AGENT_EXIT_OK;
        }
        if (row)
                return refuse(m,
                              AGENT_EXIT_CONFLICT,
                              "%s (%s) is mounted at %s already; %s not mounted over it. Unmount it: umount "
                              "%s",
                              row->source,
                              row->type,
                              m->where,
                              m->source,
                              m->where);

        row = m->is_device ? mount_table_of_device(table, m->device_number, NULL) : NULL;
        if (row)
                return refuse(m,
                              AGENT_EXIT_CONFLICT,
                              "%s is mounted on this node already, at %s; not mounted at %s. Unmount it: "
                              "umount %s",
                              m->source,
                              row->where,
                              m->where,
                              row->where);

        *ret_adopt = false;
        return m->is_device ? check_exclusive(m) : AGENT_EXIT_OK;
}

/* ---- Mounting ---- */

static const char *advice(int error) {
        switch (error) {
        case EBUSY:
                return "; the device is in use, on this node or (ext4 with multiple mount protection) on "
                       "another host, which must be stopped or fenced first";
        case EUCLEAN:
        case EIO:
                return "; the file system may be damaged: look at \"journalctl -k\", and check it with fsck "
                       "or xfs_repair while it is mounted nowhere";
        case ENODEV:
                return "; this kernel has no such file system: load or install its module";
        default:
                return "; \"journalctl -k\" may say more";
        }
}

static AgentExit mount_it(Mounting *m, struct libmnt_context *context) {
        char text[512] = "";
        int r, error;

        /* /etc/fstab has no say: what is mounted and how is the group's. */
        if (mnt_context_set_optsmode(context, MNT_OMODE_NOTAB) != 0 ||
            mnt_context_set_source(context, m->source) != 0 ||
            mnt_context_set_target(context, m->where) != 0 ||
            (m->wanted->type && mnt_context_set_fstype(context, m->wanted->type) != 0) ||
            (m->wanted->options && mnt_context_set_options(context, m->wanted->options) != 0))
                return refuse(m,
                              AGENT_EXIT_FAILED,
                              "libmount takes the options \"%s\" not",
                              strna(m->wanted->options));

        r = mnt_context_mount(context);
        error = mnt_context_syscall_called(context) ? mnt_context_get_syscall_errno(context)
                                                    : (r < 0 ? -r : 0);
        if (mnt_context_get_excode(context, r, text, sizeof text) == 0)
                return AGENT_EXIT_OK;
        return refuse(m,
                      error == EBUSY ? AGENT_EXIT_CONFLICT : AGENT_EXIT_FAILED,
                      "cannot mount %s at %s: %s%s",
                      m->source,
                      m->where,
                      text[0] ? text : strerror(error),
                      advice(error));
}

AgentExit mounting_mount(Mounting *m) {
        _cleanup_(mount_table_freep) MountTable *table = NULL;
        struct libmnt_context *context = mnt_new_context();
        const MountRow *row;
        AgentExit status;

        if (!context)
                return out_of_memory(m);
        status = mount_it(m, context);
        mnt_free_context(context);
        if (status != AGENT_EXIT_OK)
                return status;

        status = read_table(m, &table);
        if (status != AGENT_EXIT_OK)
                return status;
        row = mount_table_at(table, m->where);
        if (!row || !is_ours(m, row))
                return refuse(m, AGENT_EXIT_FAILED, "%s was mounted, but is not at %s", m->source, m->where);
        remember(m, row);
        return AGENT_EXIT_OK;
}

AgentExit mounting_look(Mounting *m) {
        _cleanup_(mount_table_freep) MountTable *table = NULL;
        AgentExit status = read_table(m, &table);
        const MountRow *row;

        if (status != AGENT_EXIT_OK)
                return status;

        row = mount_table_at(table, m->where);
        if (!row)
                return refuse(m,
                              AGENT_EXIT_LOST,
                              "%s was unmounted from %s by somebody else",
                              m->source,
                              m->where);
        if (row->device != m->superblock.device)
                return refuse(m,
                              AGENT_EXIT_LOST,
                              "somebody else mounted %s over %s, which hides %s",
                              row->source,
                              m->where,
                              m->source);
        if (mount_options_have(row->super_options, "shutdown"))
                return refuse(m,
                              AGENT_EXIT_LOST,
                              "the file system of %s at %s was shut down",
                              m->source,
                              m->where);
        if (m->is_writable &&
            (mount_options_have(row->options, "ro") || mount_options_have(row->super_options, "ro") ||
             mount_options_have(row->super_options, "emergency_ro")))
                return refuse(m,
                              AGENT_EXIT_LOST,
                              "%s at %s has become read-only, most likely after an error of the disk; "
                              "\"journalctl -k\" says more",
                              m->source,
                              m->where);
        return AGENT_EXIT_OK;
}

/* ---- Getting rid of it ---- */

/* 0, or a negative errno. */
static int unmount_once(const char *where) {
        struct libmnt_context *context = mnt_new_context();
        int r;

        if (!context)
                return -ENOMEM;
        r = mnt_context_set_target(context, where);
        if (r == 0)
                r = mnt_context_umount(context);
        if (r != 0 && mnt_context_syscall_called(context))
                r = -mnt_context_get_syscall_errno(context);
        else if (r > 0) /* an umount.<type> program that failed */
                r = -EIO;
        mnt_free_context(context);
        return r;
}

/* Until one of the holders has ended, or for a moment. */
static void wait_for_holders(const Holders *h) {
        struct pollfd fds[WAIT_HOLDERS_MAX];
        nfds_t n = 0;

        for (size_t i = 0; i < h->n_entries && n < WAIT_HOLDERS_MAX; i++) {
                int fd = pidfd_open(h->entries[i].pid, 0);

                if (fd >= 0)
                        fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
        }
        (void) poll(fds, n, (int) ((n > 0 ? WAIT_USEC : RETRY_USEC) / USEC_PER_MSEC));
        FOREACH_ARRAY(p, fds, n)
                (void) safe_close(p->fd);
}

typedef struct Release {
        uint64_t kill_usec, deadline_usec;
        int sent; /* the strongest signal sent so far */
        pid_t except;
} Release;

static void free_of(Mounting *m, Release *r, const Holders *holders) {
        int signal = now_boottime_usec() >= r->kill_usec ? SIGKILL : SIGTERM;
        char text[512];

        if (holders->n_entries == 0 || (signal == SIGTERM && r->sent != 0))
                return;
        if (r->sent != signal)
                log_event(LOG_WARNING,
                          HAMGR_MESSAGE_MOUNT_BUSY,
                          LOG_NO_FIELDS,
                          "%s is held by %s; sending %s",
                          m->where,
                          holders_format(holders, text, sizeof text),
                          signal == SIGTERM ? "SIGTERM" : "SIGKILL");
        (void) holders_signal(holders, &m->superblock, signal);
        r->sent = signal;
}

static AgentExit refuse_busy(Mounting *m, const MountTable *table, const Holders *holders) {
        const MountRow *below = mount_table_below(table, m->where);
        char text[512];

        if (below)
                return refuse(m,
                              AGENT_EXIT_LEFTOVER,
                              "cannot unmount %s: %s is mounted below it, at %s; unmount that first",
                              m->where,
                              below->source,
                              below->where);
        if (holders->n_entries > 0)
                return refuse(m,
                              AGENT_EXIT_LEFTOVER,
                              "cannot unmount %s: it is still held by %s",
                              m->where,
                              holders_format(holders, text, sizeof text));
        return refuse(m,
                      AGENT_EXIT_LEFTOVER,
                      "cannot unmount %s: it is busy, but no process holds it; an NFS export, a loop device "
                      "or a swap file on it may",
                      m->where);
}

/* One attempt. EXIT_LEFTOVER with an empty error: try again. */
static AgentExit release_step(Mounting *m, Release *r) {
        _cleanup_(mount_table_freep) MountTable *table = NULL;
        _cleanup_(holders_done) Holders holders = { 0 };
        AgentExit status = read_table(m, &table);
        const MountRow *row;
        int k;

        if (status != AGENT_EXIT_OK)
                return AGENT_EXIT_LEFTOVER;
        row = mount_table_at(table, m->where);
        if (!row || row->device != m->superblock.device) {
                row = mount_table_of_device(table, m->superblock.device, NULL);
                if (row && streq(row->where, m->where))
                        return refuse(m,
                                      AGENT_EXIT_LEFTOVER,
                                      "cannot unmount %s: something else is mounted over it; unmount that "
                                      "first",
                                      m->where);
                return AGENT_EXIT_OK;
        }

        k = unmount_once(m->where);
        if (k == 0 || k == -EINVAL) /* look again: it may have been mounted there twice */
                return AGENT_EXIT_LEFTOVER;
        if (k != -EBUSY)
                return refuse(m, AGENT_EXIT_LEFTOVER, "cannot unmount %s: %s", m->where, strerror(-k));

        (void) holders_find(&m->superblock, r->except, &holders);
        if (now_boottime_usec() >= r->deadline_usec)
                return refuse_busy(m, table, &holders);
        free_of(m, r, &holders);
        wait_for_holders(&holders);
        return AGENT_EXIT_LEFTOVER;
}

/* Unmounted here, it may live on in another mount namespace, and would be mounted twice when another node
 * takes it. */
static AgentExit await_superblock_gone(Mounting *m, const Release *r) {
        char name[HOLDER_NAME_MAX + 1] = "?";
        pid_t pid;

        for (;;) {
                _cleanup_close_ int fd = open(m->source, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);

                if (fd >= 0 || errno != EBUSY)
                        return AGENT_EXIT_OK;
                if (now_boottime_usec() >= r->deadline_usec)
                        break;
                (void) poll(NULL, 0, (int) (RETRY_USEC / USEC_PER_MSEC));
        }

        pid = holders_find_namespace(m->superblock.device, name);
        if (pid > 0)
                return refuse(m,
                              AGENT_EXIT_LEFTOVER,
                              "%s was unmounted from %s, but the mount namespace of %s (process %d) still "
                              "has it mounted",
                              m->source,
                              m->where,
                              name,
                              pid);
        return refuse(m,
                      AGENT_EXIT_LEFTOVER,
                      "%s was unmounted from %s, but something on this node still uses it (swap, LVM, "
                      "RAID); \"lsblk %s\" shows what",
                      m->source,
                      m->where,
                      m->source);
}

AgentExit mounting_release(Mounting *m, pid_t except) {
        uint64_t now_usec = now_boottime_usec(), limit_usec = m->wanted->stop_timeout_usec;
        Release r = {
                .kill_usec = usec_add(now_usec, MIN(limit_usec / 2, TERM_GRACE_USEC_MAX)),
                .deadline_usec = usec_add(now_usec, limit_usec),
                .except = except,
        };
        AgentExit status;

        m->error[0] = '\0';
        while ((status = release_step(m, &r)) == AGENT_EXIT_LEFTOVER && m->error[0] == '\0')
                (void) sd_notify(false, "WATCHDOG=1");
        if (status == AGENT_EXIT_OK && m->is_device)
                status = await_superblock_gone(m, &r);
        return status;
}

AgentExit mounting_find_leftover(Mounting *m, bool *ret_found) {
        _cleanup_(mount_table_freep) MountTable *table = NULL;
        const MountRow *row;
        AgentExit status;
        bool known;

        /* Without a target there is no mount; a source that is gone may have left one. */
        if (find_target(m) != AGENT_EXIT_OK && !m->where) {
                *ret_found = false;
                return AGENT_EXIT_OK;
        }
        known = find_source(m) == AGENT_EXIT_OK;
        status = read_table(m, &table);
        if (status != AGENT_EXIT_OK)
                return AGENT_EXIT_LEFTOVER;

        row = mount_table_at(table, m->where);
        *ret_found = row && (!known || is_ours(m, row));
        if (!*ret_found)
                return AGENT_EXIT_OK;
        if (!known) {
                free(m->source);
                m->source = strdup(row->source);
                if (!m->source)
                        return out_of_memory(m);
        }
        remember(m, row);
        return AGENT_EXIT_OK;
}
