/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "basic/parse.h"
#include "resource-agents/mount/holders.h"
#include "resource-agents/mount/mount-table.h"

#define HOLDERS_SHOWN_MAX 8U

static void closedirp(DIR **d) {
        if (*d)
                (void) closedir(*d);
}

/* Asks the kernel's memory only: a network file system that does not answer must not hold us up. */
static bool is_on(int dir_fd, const char *name, const Superblock *superblock) {
        struct statx x;

        if (statx(dir_fd, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &x) < 0)
                return false;

        dev_t device = makedev(x.stx_dev_major, x.stx_dev_minor);
        return device == superblock->file_device || device == superblock->device;
}

static bool has_open_file(int proc_fd, const Superblock *superblock) {
        int fd = openat(proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *entry;

        if (!d) {
                (void) safe_close(fd);
                return false;
        }
        while ((entry = readdir(d)))
                if (entry->d_name[0] != '.' && is_on(dirfd(d), entry->d_name, superblock))
                        return true;
        return false;
}

static bool has_mapping(int proc_fd, const Superblock *superblock) {
        int fd = openat(proc_fd, "maps", O_RDONLY | O_CLOEXEC);
        FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
        char *line = NULL;
        size_t allocated = 0;
        bool found = false;

        if (!f) {
                (void) safe_close(fd);
                return false;
        }
        while (!found && getline(&line, &allocated, f) > 0) {
                unsigned major_number, minor_number;

                /* "7f00-7f01 r-xp 00000000 08:01 4711 /path" */
                if (sscanf(line, "%*s %*s %*s %x:%x", &major_number, &minor_number) == 2) {
                        dev_t device = makedev(major_number, minor_number);

                        found = device == superblock->device || device == superblock->file_device;
                }
        }
        free(line);
        (void) fclose(f);
        return found;
}

/* How the process behind the /proc/PID directory holds it; NULL: not at all. */
static const char *how_it_holds(int proc_fd, const Superblock *superblock) {
        char target[8];

        /* Kernel threads and what has ended have no program. */
        if (readlinkat(proc_fd, "exe", target, sizeof target) < 0)
                return NULL;
        return is_on(proc_fd, "cwd", superblock)    ? "working directory"
               : is_on(proc_fd, "root", superblock) ? "root directory"
               : is_on(proc_fd, "exe", superblock)  ? "program"
               : has_open_file(proc_fd, superblock) ? "open file"
               : has_mapping(proc_fd, superblock)   ? "mapping"
                                                    : NULL;
}

static void read_name(int proc_fd, char name[static HOLDER_NAME_MAX + 1]) {
        _cleanup_close_ int fd = openat(proc_fd, "comm", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, name, HOLDER_NAME_MAX);

        name[MAX(n, 0)] = '\0';
        name[strcspn(name, "\n")] = '\0';
}

static int add(Holders *h, const Holder *holder) {
        Holder *p = realloc(h->entries, (h->n_entries + 1) * sizeof *p);

        if (!p)
                return -ENOMEM;
        h->entries = p;
        h->entries[h->n_entries++] = *holder;
        return 0;
}

/* The next process of /proc that is neither process 1 nor ours; 0 at the end. */
static pid_t next_process(DIR *proc) {
        const struct dirent *entry;
        uint32_t pid;

        while ((entry = readdir(proc)))
                if (parse_u32(entry->d_name, 2, INT32_MAX, &pid) >= 0 && (pid_t) pid != getpid())
                        return (pid_t) pid;
        return 0;
}

static int open_process(int proc_fd, pid_t pid) {
        char name[16];

        (void) snprintf(name, sizeof name, "%d", pid);
        return openat(proc_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int holders_find(const Superblock *superblock, pid_t except, Holders *ret) {
        _cleanup_(closedirp) DIR *proc = opendir("/proc");
        _cleanup_(holders_done) Holders h = { 0 };
        pid_t pid;
        int r;

        if (!proc)
                return -errno;
        while (h.n_entries < HOLDERS_MAX && (pid = next_process(proc)) != 0) {
                _cleanup_close_ int fd = pid == except ? -EBADF : open_process(dirfd(proc), pid);
                Holder holder = { .pid = pid };

                if (fd < 0)
                        continue;
                holder.how = how_it_holds(fd, superblock);
                if (!holder.how)
                        continue;
                read_name(fd, holder.name);
                r = add(&h, &holder);
                if (r < 0)
                        return r;
        }
        *ret = h;
        h = (Holders){ 0 };
        return 0;
}

void holders_done(Holders *h) {
        free(h->entries);
        *h = (Holders){ 0 };
}

int holders_signal(const Holders *h, const Superblock *superblock, int signal) {
        _cleanup_close_ int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        int n_signalled = 0;

        FOREACH_ARRAY(holder, h->entries, h->n_entries) {
                /* Pinned first and then asked again: the number may belong to another process by now. */
                _cleanup_close_ int pidfd = pidfd_open(holder->pid, 0);
                _cleanup_close_ int fd = open_process(proc_fd, holder->pid);

                if (pidfd >= 0 && fd >= 0 && how_it_holds(fd, superblock) &&
                    pidfd_send_signal(pidfd, signal, NULL, 0) >= 0)
                        n_signalled++;
        }
        return n_signalled;
}

char *holders_format(const Holders *h, char *buf, size_t size_bytes) {
        size_t n = 0;

        buf[0] = '\0';
        for (size_t i = 0; i < MIN(h->n_entries, (size_t) HOLDERS_SHOWN_MAX) && n < size_bytes; i++)
                n += (size_t) snprintf(
                                buf + n,
                                size_bytes - n,
                                "%s%s (%d, %s)",
                                i == 0 ? "" : ", ",
                                h->entries[i].name,
                                h->entries[i].pid,
                                h->entries[i].how);
        if (h->n_entries > HOLDERS_SHOWN_MAX && n < size_bytes)
                (void) snprintf(buf + n, size_bytes - n, " and %zu more", h->n_entries - HOLDERS_SHOWN_MAX);
        return buf;
}

pid_t holders_find_namespace(dev_t device, char name[static HOLDER_NAME_MAX + 1]) {
        _cleanup_(closedirp) DIR *proc = opendir("/proc");
        pid_t pid;

        while (proc && (pid = next_process(proc)) != 0) {
                _cleanup_(mount_table_freep) MountTable *table = NULL;
                _cleanup_close_ int fd = open_process(dirfd(proc), pid);

                if (fd < 0 || mount_table_read(pid, &table) < 0 ||
                    !mount_table_of_device(table, device, NULL))
                        continue;
                read_name(fd, name);
                return pid;
        }
        return 0;
}
