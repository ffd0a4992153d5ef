/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "shared/budget.h"

#include <stdio.h>

#include "basic/parse.h"
#include "basic/string-table.h"
#include "basic/time-util.h"
#include "shared/bus-util.h"
#include "shared/cluster-timers.h"
#include "shared/file-util.h"

#define KEEPER_UNIT_PATH "/org/freedesktop/systemd1/unit/hagcd_2dkeeper_2eservice"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"

/* Of a softdog: a kernel that hangs takes it along. */
#define SOFTDOG_IDENTITY "Software Watchdog"

/* These two are bounds that were chosen; nothing enforces them. What exceeds them is caught by the next
 * link, and that one by the watchdog, whose time the driver does enforce.
 *
 * From the end of the lease to the reset: a real-time process that has its memory locked wakes up, after 20
 * ms at most when the node was armed just then, and makes one system call; 1 ms is usual. */
#define KEEPER_USEC (50 * USEC_PER_MSEC)

/* sd-event may let the timer of a service's watchdog come 250 ms late; from SIGKILL to reset 78 ms are
 * usual. When process 1 itself takes longer than this, it does not pet the watchdog meanwhile either: it
 * goes on within the time of that, which is in the sum, or is reset. */
#define SYSTEMD_USEC (350 * USEC_PER_MSEC)

static const char *const budget_link_table[_BUDGET_LINK_MAX] = {
        [BUDGET_LEASE] = "lease",     [BUDGET_CLOCKS] = "clocks",
        [BUDGET_KEEPER] = "keeper",   [BUDGET_KEEPER_HANGS] = "keeper-hangs",
        [BUDGET_SYSTEMD] = "systemd", [BUDGET_WATCHDOG] = "watchdog",
};
DEFINE_STRING_TABLE(budget_link, BudgetLink);

/* ---- Computing ---- */

static void set_link(Budget *b, BudgetLink link, uint64_t usec, const char *format, ...) _printf_(4, 5);

static void set_link(Budget *b, BudgetLink link, uint64_t usec, const char *format, ...) {
        va_list ap;

        b->usec[link] = usec;
        va_start(ap, format);
        (void) vsnprintf(b->origin[link], sizeof(b->origin[link]), format, ap);
        va_end(ap);
}

static void refuse(Budget *b, bool is_wrong, const char *format, ...) _printf_(3, 4);

static void refuse(Budget *b, bool is_wrong, const char *format, ...) {
        va_list ap;

        b->is_wrong = is_wrong;
        va_start(ap, format);
        (void) vsnprintf(b->refusal, sizeof(b->refusal), format, ap);
        va_end(ap);
}

/* R12: where it may count at all. */
static void judge_watchdog(Budget *b, const ClusterNode *n, const BudgetFacts *f) {
        if (f->lapsed)
                refuse(b,
                       true,
                       "the watchdog (%s) was switched off, or given a longer time, since hamgr was "
                       "started; "
                       "when it is as it shall stay: systemctl restart hamgr",
                       f->identity);
        else if (f->pets && strstr(f->identity, SOFTDOG_IDENTITY))
                refuse(b, true, "the watchdog (%s) hangs when the kernel does", f->identity);
        else if (n->watchdog == CLUSTER_WATCHDOG_HARDWARE && !isempty(f->virtualization))
                refuse(b,
                       true,
                       "this is no physical machine (%s), and its watchdog may be paused with it: use a "
                       "fence "
                       "device, or vouch for its hypervisor by Watchdog=vouched in [Node %s]",
                       f->virtualization,
                       n->name);
        else if (n->watchdog == CLUSTER_WATCHDOG_HARDWARE && !f->pets)
                refuse(b,
                       true,
                       "systemd pets no watchdog: is there a /dev/watchdog, and RuntimeWatchdogSec= in "
                       "/etc/systemd/system.conf?");
        else if (n->watchdog == CLUSTER_WATCHDOG_HARDWARE && (isempty(f->identity) || !f->driver_told))
                refuse(b,
                       true,
                       "the kernel does not say in /sys/class/watchdog which watchdog systemd pets, and "
                       "with "
                       "which time-out: set WatchdogDevice=/dev/watchdog0 in /etc/systemd/system.conf, or "
                       "use "
                       "a fence device");
}

static void judge_keeper(Budget *b, const BudgetFacts *f) {
        if (!f->keeper_resets)
                refuse(b, true, "hagcd-keeper.service has no FailureAction=reboot-immediate");
        else if (f->service_watchdogs_off)
                refuse(b,
                       true,
                       "systemd watches over no service; switch that on: systemctl service-watchdogs yes");
        else if (f->keeper_watchdog_usec == 0)
                refuse(b, true, "hagcd-keeper.service has no WatchdogSec=");
        else if (!f->keeper_runs) {
                b->is_stopped = true;
                refuse(b,
                       true,
                       "hagcd-keeper.service does not run, or not for the end of a lease: is hagcd started, "
                       "and "
                       "with this cluster.conf?");
        }
}

static void judge(Budget *b, const ClusterConf *c, const ClusterNode *n, const BudgetFacts *f) {
        if (n->watchdog == CLUSTER_WATCHDOG_NO)
                refuse(b, false, "[Node %s] of cluster.conf has no Watchdog=", n->name);
        else if (c->on_quorum_loss == CLUSTER_FREEZES)
                refuse(b, false, "OnQuorumLoss=freeze: a node that loses quorum goes on, and is fenced");
        else if (!isempty(f->error))
                refuse(b, true, "systemd could not be asked: %s", f->error);
        else {
                judge_watchdog(b, n, f);
                if (isempty(b->refusal))
                        judge_keeper(b, f);
        }
}

static void set_watchdog(Budget *b, const ClusterNode *n, const BudgetFacts *f) {
        uint64_t driver_usec = f->pets ? f->watchdog_usec : 0;

        if (driver_usec >= n->watchdog_usec)
                set_link(b,
                         BUDGET_WATCHDOG,
                         driver_usec,
                         "time-out of %s: RuntimeWatchdogSec= of system.conf, as the driver took it",
                         isempty(f->identity) ? "the watchdog" : f->identity);
        else
                set_link(b, BUDGET_WATCHDOG, n->watchdog_usec, "WatchdogSec= of [Node %s]", n->name);
}

uint64_t budget_wait_usec(uint64_t reset_usec) {
        return usec_add(reset_usec, reset_usec / 100);
}

void budget_compute(
                const ClusterConf *conf, const ClusterNode *self, const BudgetFacts *facts, Budget *ret) {
        uint64_t lease_usec = cluster_timers_lease(conf->failure_usec), after_usec = 0;
        Budget b = { 0 };

        set_link(&b,
                 BUDGET_LEASE,
                 lease_usec,
                 "%u times FailureSec= of cluster.conf",
                 CLUSTER_TIMERS_FAILURES_IN_LEASE);
        set_link(&b, BUDGET_KEEPER, KEEPER_USEC, "chosen: the keeper wakes up and resets");
        set_link(&b,
                 BUDGET_KEEPER_HANGS,
                 facts->keeper_watchdog_usec,
                 "it hangs just then: WatchdogSec= of hagcd-keeper.service");
        set_link(&b, BUDGET_SYSTEMD, SYSTEMD_USEC, "chosen: systemd sees that, and resets");
        set_watchdog(&b, self, facts);
        for (BudgetLink i = BUDGET_KEEPER; i < _BUDGET_LINK_MAX; i++)
                after_usec = usec_add(after_usec, b.usec[i]);
        /* As the survivors lengthen their waits: cms by the lease and by the age of an echo, which is no
         * older than half a lease, and a millisecond; hamgr by what follows. */
        set_link(&b,
                 BUDGET_CLOCKS,
                 2 * lease_usec / 100 + USEC_PER_MSEC + (budget_wait_usec(after_usec) - after_usec),
                 "clocks that differ by 1 %%");
        b.reset_usec = after_usec;
        b.sum_usec = usec_add(usec_add(lease_usec, b.usec[BUDGET_CLOCKS]), after_usec);
        judge(&b, conf, self, facts);
        *ret = b;
}

/* ---- Asking ---- */

typedef struct Question {
        sd_bus *bus;
        const char *destination;
        char *error; /* BUDGET_TEXT_MAX */
} Question;

static int
get(const Question *q, const char *path, const char *interface, const char *name, char type, void *ret) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_get_property_trivial(q->bus, q->destination, path, interface, name, &error, type, ret);
        if (r < 0 && isempty(q->error))
                (void) snprintf(q->error, BUDGET_TEXT_MAX, "%s: %s", name, bus_error_sentence(&error, r));
        return r;
}

static void
get_text(const Question *q,
         const char *path,
         const char *interface,
         const char *name,
         char ret[static BUDGET_TEXT_MAX]) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        r = sd_bus_get_property_string(q->bus, q->destination, path, interface, name, &error, &text);
        if (r < 0 && isempty(q->error))
                (void) snprintf(q->error, BUDGET_TEXT_MAX, "%s: %s", name, bus_error_sentence(&error, r));
        (void) snprintf(ret, BUDGET_TEXT_MAX, "%s", strempty(text));
}

static void ask_keeper(const Question *q, BudgetFacts *f) {
        char state[BUDGET_TEXT_MAX], action[BUDGET_TEXT_MAX];
        uint64_t usec = 0;
        int watchdogs = 0;

        (void) get(q, MANAGER_PATH, MANAGER_INTERFACE, "ServiceWatchdogs", 'b', &watchdogs);
        f->service_watchdogs_off = !watchdogs;
        get_text(q, KEEPER_UNIT_PATH, "org.freedesktop.systemd1.Unit", "ActiveState", state);
        get_text(q, KEEPER_UNIT_PATH, "org.freedesktop.systemd1.Unit", "FailureAction", action);
        (void) get(q, KEEPER_UNIT_PATH, "org.freedesktop.systemd1.Service", "WatchdogUSec", 't', &usec);
        f->keeper_runs = streq(state, "active");
        f->keeper_resets = streq(action, "reboot-immediate");
        f->keeper_watchdog_usec = usec == USEC_INFINITY ? 0 : usec;
}

/* A line of the kernel about a watchdog; "" when it says nothing. */
static void read_attribute(const char *folder, const char *name, char ret[static BUDGET_TEXT_MAX]) {
        _cleanup_free_ char *text = NULL;
        char path[2 * BUDGET_TEXT_MAX];
        size_t size;

        ret[0] = '\0';
        (void) snprintf(path, sizeof(path), "%s/%s", folder, name);
        if (read_whole_file(path, BUDGET_TEXT_MAX, &text, &size) < 0)
                return;
        text[strcspn(text, "\n")] = '\0';
        (void) snprintf(ret, BUDGET_TEXT_MAX, "%s", text);
}

/* 0: it does not say. */
static uint64_t read_timeout_usec(const char *folder) {
        char text[BUDGET_TEXT_MAX];
        uint64_t seconds;

        read_attribute(folder, "timeout", text);
        return parse_u64(text, 1, USEC_PER_DAY / USEC_PER_SEC, &seconds) < 0 ? 0 : seconds * USEC_PER_SEC;
}

static void set_folder(BudgetFacts *f, const char *device) {
        const char *slash = strrchr(device, '/');

        device = slash ? slash + 1 : device;
        (void) snprintf(f->watchdog_folder,
                        sizeof(f->watchdog_folder),
                        "/sys/class/watchdog/%.64s",
                        isempty(device) || streq(device, "watchdog") ? "watchdog0" : device);
}

bool budget_watchdog_holds(const BudgetFacts *facts) {
        char state[BUDGET_TEXT_MAX];
        uint64_t usec;

        if (!facts->pets || !facts->driver_told)
                return true;
        read_attribute(facts->watchdog_folder, "state", state);
        usec = read_timeout_usec(facts->watchdog_folder);
        return usec != 0 && usec <= facts->watchdog_usec && (isempty(state) || streq(state, "active"));
}

/* RuntimeWatchdogSec= alone says nothing: it reads 10 s also where there is no device. */
static void ask_watchdog(const Question *q, BudgetFacts *f) {
        char device[BUDGET_TEXT_MAX];
        uint64_t set_usec = 0, pet_usec = 0, driver_usec;

        (void) get(q, MANAGER_PATH, MANAGER_INTERFACE, "RuntimeWatchdogUSec", 't', &set_usec);
        (void) get(q, MANAGER_PATH, MANAGER_INTERFACE, "WatchdogLastPingTimestampMonotonic", 't', &pet_usec);
        get_text(q, MANAGER_PATH, MANAGER_INTERFACE, "WatchdogDevice", device);
        f->pets = pet_usec > 0 && pet_usec != USEC_INFINITY && set_usec > 0 && set_usec != USEC_INFINITY;
        if (!f->pets)
                return;
        set_folder(f, device);
        read_attribute(f->watchdog_folder, "identity", f->identity);
        driver_usec = read_timeout_usec(f->watchdog_folder);
        f->driver_told = driver_usec != 0;
        f->watchdog_usec = MAX(set_usec, driver_usec);
}

void budget_ask(BudgetFacts *ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        bool direct = false;
        Question q;
        int r;

        *ret = (BudgetFacts){ 0 };
        r = bus_open_systemd(NULL, "budget", &bus, &direct);
        if (r < 0) {
                (void) snprintf(ret->error, sizeof(ret->error), "%s", strerror(-r));
                return;
        }
        q = (Question){ bus, bus_systemd_destination(direct), ret->error };
        get_text(&q, MANAGER_PATH, MANAGER_INTERFACE, "Virtualization", ret->virtualization);
        ask_keeper(&q, ret);
        ask_watchdog(&q, ret);
}
