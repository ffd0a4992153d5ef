/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "basic/macro.h"
#include "hagcd/realtime.h"
#include "shared/log.h"
#include "shared/message-ids.h"

#define KEPT_BYTES (8 * 1024 * 1024)
#define TOP_BYTES (256 * 1024)

static void refused(const char *what, int error) {
        log_event(LOG_NOTICE,
                  HAMGR_MESSAGE_NO_REALTIME,
                  LOG_NO_FIELDS,
                  "%s: %s; going on without, a busy machine may delay heartbeats",
                  what,
                  strerror(error));
}

/* Whoever holds CAP_IPC_LOCK is not bound by the limit, as in containers that may not raise it. */
static bool may_lock_all(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

        return syscall(SYS_capget, &header, data) >= 0 &&
               (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK));
}

/* With MCL_FUTURE under a small limit, later allocations fail; so all or nothing. */
static void lock_memory(void) {
        struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

        if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 && getrlimit(RLIMIT_MEMLOCK, &limit) < 0) {
                refused("cannot raise the limit of locked memory", errno);
                return;
        }
        if (limit.rlim_cur != RLIM_INFINITY && !may_lock_all()) {
                refused("locked memory is limited, not locking any", EPERM);
                return;
        }
        if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
                refused("cannot lock memory", errno);
}

static void raise_priority(void) {
        struct sched_param param = { .sched_priority = 10 };

        if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &param) >= 0)
                return;
        refused("no real-time priority", errno);
        if (setpriority(PRIO_PROCESS, 0, -20) < 0)
                log_info("no higher priority either: %s", strerror(errno));
}

static void spare_from_oom_killer(void) {
        _cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        if (fd < 0 || write(fd, "-1000", 5) != 5)
                log_info("cannot lower the OOM score: %s", strerror(errno));
}

/* What was freed stays: taken back from the kernel it would have to be cleared and locked again, and that
 * with every long message. */
static void keep_memory(void) {
        (void) mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
        (void) mallopt(M_TOP_PAD, TOP_BYTES);
}

void realtime_enter(void) {
        keep_memory();
        lock_memory();
        raise_priority();
        spare_from_oom_killer();
}
