/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/reset.h"

/* The inode of the process namespace that a kernel begins with: PROC_PID_INIT_INO of its sources. */
#define INITIAL_PID_NAMESPACE 0xEFFFFFFCU

/* Sysrq knows no containers: it resets the machine that they run on. So both must say that this is none. */
static bool is_machine(void) {
        struct stat st;

        return stat("/proc/self/ns/pid", &st) >= 0 && st.st_ino == INITIAL_PID_NAMESPACE &&
               access("/run/systemd/container", F_OK) < 0 && access("/.dockerenv", F_OK) < 0 &&
               access("/run/.containerenv", F_OK) < 0;
}

void resetter_prepare(Resetter *r) {
        r->console_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        r->sysrq_fd = is_machine() ? open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC) : -EBADF;
}

void resetter_reset(const Resetter *r, const char *why) {
        /* Not louder: a serial line of 9600 baud needs a tenth of a second for this, and the kernel waits
         * for it unless it was told to be quiet. */
        if (r->console_fd >= 0)
                (void) dprintf(r->console_fd, "<5>hagcd-keeper: %s: resetting this node\n", why);
        /* Writes nothing to any disk, asks no driver, and needs kernel.sysrq= for nothing. */
        if (r->sysrq_fd >= 0)
                (void) !write(r->sysrq_fd, "b", 1);
        (void) reboot(LINUX_REBOOT_CMD_RESTART);
        /* Not allowed here: our unit's FailureAction= is the next link. */
        _exit(EXIT_FAILURE);
}
