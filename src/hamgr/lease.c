/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Leases, as hagcd knows them at this very moment: its page, and not its socket, where an answer would be
 * old when it comes. */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "basic/time-util.h"
#include "hamgr/manager.h"
#include "keeper/page.h"
#include "shared/log.h"

void lease_close(Manager *m) {
        if (m->lease_page)
                (void) munmap((void *) m->lease_page, LEASE_PAGE_BYTES);
        m->lease_page = NULL;
}

static const LeasePage *map_page(void) {
        _cleanup_close_ int fd = open(LEASE_PAGE_PATH, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        const LeasePage *p;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0 || st.st_size != LEASE_PAGE_BYTES)
                return NULL;
        p = mmap(NULL, LEASE_PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return NULL;
        if (p->magic == LEASE_PAGE_MAGIC)
                return p;
        (void) munmap((void *) p, LEASE_PAGE_BYTES);
        return NULL;
}

void lease_open(Manager *m) {
        lease_close(m);
        m->lease_page = map_page();
        if (!m->lease_page)
                log_warning("cannot read this node's lease from " LEASE_PAGE_PATH
                            ": is hagcd of the same version? Nothing is started here that needs one, and "
                            "nothing is taken over by time");
}

/* As hagcd was configured when it started, which is what the keeper acts by; the file may be newer. */
bool lease_is_needed(const Manager *m) {
        return m->lease_page ? atomic_load(&m->lease_page->acts)
                             : m->conf->on_quorum_loss != CLUSTER_FREEZES;
}

bool lease_holds(const Manager *m) {
        return m->lease_page && now_boottime_usec() < atomic_load(&m->lease_page->until_usec);
}

bool lease_is_armed(const Manager *m) {
        return m->lease_page && atomic_load(&m->lease_page->armed);
}

bool lease_ended_unarmed(const Manager *m) {
        return m->lease_page && lease_is_needed(m) && atomic_load(&m->lease_page->until_usec) != 0 &&
               !lease_holds(m) && !lease_is_armed(m);
}

bool lease_ends_node(const Manager *m) {
        return m->lease_page && atomic_load(&m->lease_page->kept) && atomic_load(&m->lease_page->acts);
}

uint64_t lease_over_usec(const Manager *m, uint32_t node) {
        return m->lease_page ? atomic_load(&m->lease_page->over_usec[node - 1]) : USEC_INFINITY;
}
