/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*   PROBING --no answer--> KEEPING --SIGTERM, no carrier beyond the grace, no interface--> the loop ends
 *      |                     |   ^
 *      |                     +---+  removed by others: put back; conflict, carrier returned: announced
 *      | in use elsewhere
 *      v
 *   the loop ends
 *
 * RFC 5227 probing takes 4 to 7 s; ours takes one short window, and in return never ends: while the address
 * is held it is probed for and announced again at an interval, so that a network that was cut and has healed
 * is told. */

#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include "basic/time-util.h"
#include "resource-agents/exit-status.h"
#include "resource-agents/ip/keeper.h"
#include "resource-agents/ip/rtnl.h"
#include "resource-agents/ip/wire.h"
#include "shared/event-util.h"
#include "shared/log.h"
#include "shared/message-ids.h"

#define REFRESH_USEC (10 * USEC_PER_SEC)
#define DEFEND_INTERVAL_USEC (1 * USEC_PER_SEC)
#define CONFLICT_LOG_INTERVAL_USEC (10 * USEC_PER_SEC)
/* Two programs that remove and put back must not fill a processor. The first time is at once. */
#define RESTORE_INTERVAL_USEC (5 * USEC_PER_MSEC)

/* When to announce after taking the address, and after the carrier returned: now, and again for those who
 * missed it. */
static const uint64_t burst_usec[] = { 0, 100 * USEC_PER_MSEC, 1 * USEC_PER_SEC };

typedef enum KeeperState {
        KEEPER_PROBING,
        KEEPER_KEEPING,
        KEEPER_RELEASED,
} KeeperState;

struct Keeper {
        sd_event *event; /* ref */
        KeeperOptions options;
        char text[IP_ADDRESS_TEXT_MAX]; /* of the address */
        KeeperState state;

        Rtnl *rtnl; /* owned */
        RtnlLink link;
        int wire_fd; /* owned; -EBADF: the interface has no neighbours to ask or tell */

        unsigned n_probes, i_burst;
        uint64_t defended_usec, restored_usec;
        uint32_t n_conflicts;
        LogRate conflict_log, restore_log;

        sd_event_source *watch, *hear;                       /* ref */
        sd_event_source *probe, *announce, *restore, *grace; /* ref: timers */
};

/* Logs, tells systemd, and returns the exit status. */
static _printf_(4, 5) int refuse(
                const Keeper *k, AgentExit status, const char *message_id, const char *format, ...) {
        char text[512];
        va_list ap;

        va_start(ap, format);
        /* The analyzer does not see that va_start() sets ap. */
        /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);

        log_event(LOG_ERR, message_id, LOG_FIELDS("HAMGR_REASON", text), "%s", text);
        (void) sd_notifyf(false, "STATUS=%s", text);
        return (int) status;
}

static int fail_errno(const Keeper *k, int error, const char *what) {
        return refuse(k,
                      AGENT_EXIT_FAILED,
                      NULL,
                      "cannot %s for %s on %s: %s",
                      what,
                      k->text,
                      k->options.interface,
                      strerror(abs(error)));
}

static void tell_status(const Keeper *k) {
        if (!k->link.has_carrier)
                (void) sd_notifyf(false, "STATUS=%s has lost its carrier", k->options.interface);
        else if (k->n_conflicts > 0)
                (void) sd_notifyf(
                                false,
                                "STATUS=holding %s on %s; another host used it %" PRIu32 " times",
                                k->text,
                                k->options.interface,
                                k->n_conflicts);
        else
                (void) sd_notifyf(false, "STATUS=holding %s on %s", k->text, k->options.interface);
}

/* A frame that cannot be sent is not the end: the next one follows soon. */
static void send_frame(const Keeper *k, FrameKind kind) {
        Frame frame;
        int r;

        if (k->wire_fd < 0)
                return;
        frame_build(kind, &k->options.address, &k->link.mac, &frame);
        r = wire_send(k->wire_fd, &frame);
        if (r < 0)
                log_debug_errno(r, "cannot send on %s: %m", k->options.interface);
}

static void send_announcement(const Keeper *k) {
        send_frame(k, FRAME_ANNOUNCE);
        if (k->options.address.family == AF_INET)
                send_frame(k, FRAME_ANNOUNCE_REPLY);
}

static void begin_burst(Keeper *k) {
        k->i_burst = 0;
        (void) event_timer_in(k->announce, burst_usec[0]);
}

static int on_announce(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Keeper *k = userdata;

        if (k->i_burst >= ELEMENTSOF(burst_usec)) /* a refresh: who else has it shall say so */
                send_frame(k, FRAME_PROBE);
        send_announcement(k);

        if (k->i_burst < ELEMENTSOF(burst_usec))
                k->i_burst++;
        if (k->i_burst < ELEMENTSOF(burst_usec))
                return event_timer_in(k->announce, burst_usec[k->i_burst] - burst_usec[k->i_burst - 1]);
        return event_timer_in(k->announce, REFRESH_USEC);
}

/* ---- Taking the address ---- */

/* Else removing our address, were it the first of its network, would take its neighbours along. */
static void promote_secondaries(const Keeper *k) {
        char path[64 + IF_NAMESIZE];
        _cleanup_close_ int fd = -EBADF;

        if (k->options.address.family != AF_INET)
                return;
        (void) snprintf(path,
                        sizeof path,
                        "/proc/sys/net/ipv4/conf/%s/promote_secondaries",
                        k->options.interface);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "1", 1) < 0)
                log_info_errno(errno,
                               "cannot set promote_secondaries on %s, ignoring: %m; removing %s may remove "
                               "other addresses of its network",
                               k->options.interface,
                               k->text);
}

static void hold(Keeper *k) {
        k->state = KEEPER_KEEPING;
        k->probe = sd_event_source_disable_unref(k->probe);
        (void) sd_notify(false, "READY=1");
        tell_status(k);
        begin_burst(k);
}

static int claim(Keeper *k) {
        int r;

        promote_secondaries(k);
        r = rtnl_address_add(k->rtnl, k->link.ifindex, &k->options.address);
        if (r < 0 && r != -EEXIST)
                return fail_errno(k, r, "add the address");
        hold(k);
        log_info("holding %s on %s", k->text, k->options.interface);
        return 0;
}

static int on_probe(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Keeper *k = userdata;
        int status;

        if (k->n_probes < k->options.probe_count) {
                send_frame(k, FRAME_PROBE);
                k->n_probes++;
                return event_timer_in(k->probe, k->options.probe_window_usec / k->options.probe_count);
        }

        status = claim(k);
        return status == 0 ? 0 : sd_event_exit(k->event, status);
}

static int refuse_used(const Keeper *k, FrameVerdict verdict, const Mac *other) {
        char mac[MAC_TEXT_MAX];

        return refuse(k,
                      AGENT_EXIT_CONFLICT,
                      HAMGR_MESSAGE_ADDRESS_CONFLICT,
                      verdict == FRAME_USED
                                      ? "%s is in use on the network of %s by another host (%s); not taken. "
                                        "Find that host by its MAC address and take the address from it"
                                      : "%s is just being taken on the network of %s by another host (%s); "
                                        "not taken. Two hosts must not be configured with one address",
                      k->text,
                      k->options.interface,
                      mac_format(other, mac));
}

/* ---- Keeping it ---- */

static void defend(Keeper *k, const Mac *other) {
        uint64_t now_usec = now_boottime_usec();
        char mac[MAC_TEXT_MAX];
        uint32_t n_held;

        k->n_conflicts++;
        if (now_usec >= usec_add(k->defended_usec, DEFEND_INTERVAL_USEC) || k->defended_usec == 0) {
                k->defended_usec = now_usec;
                send_announcement(k);
        }
        if (!log_rate_pass(&k->conflict_log, now_usec, &n_held))
                return;
        log_event(LOG_WARNING,
                  HAMGR_MESSAGE_ADDRESS_CONFLICT,
                  LOG_NO_FIELDS,
                  "another host (%s) uses %s, which we hold on %s; announcing it again (%" PRIu32
                  " more since the last report)",
                  mac_format(other, mac),
                  k->text,
                  k->options.interface,
                  n_held);
        tell_status(k);
}

static int on_hear(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Keeper *k = userdata;
        uint8_t buf[256];
        Mac other;
        int n;

        while ((n = wire_receive(fd, buf, sizeof buf)) >= 0) {
                FrameVerdict verdict =
                                frame_judge(buf, (size_t) n, &k->options.address, &k->link.mac, &other);

                if (verdict == FRAME_OF_NO_CONCERN)
                        continue;
                if (k->state == KEEPER_PROBING)
                        return sd_event_exit(k->event, refuse_used(k, verdict, &other));
                if (verdict == FRAME_USED) /* a mere probe is answered by the kernel */
                        defend(k, &other);
        }
        return 0;
}

static int end_without_interface(Keeper *k) {
        return sd_event_exit(
                        k->event,
                        refuse(k,
                               AGENT_EXIT_LOST,
                               NULL,
                               "the interface %s is gone, and %s with it",
                               k->options.interface,
                               k->text));
}

static int on_restore(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Keeper *k = userdata;
        uint32_t n_held;
        int r;

        /* The kernel takes IPv6 addresses from a link that is switched off; on_link() comes back to it. */
        if (k->options.address.family == AF_INET6 && !k->link.is_up)
                return 0;

        k->restored_usec = now_boottime_usec();
        r = rtnl_address_add(k->rtnl, k->link.ifindex, &k->options.address);
        if (r == -EEXIST)
                return 0;
        if (r == -ENODEV) /* its addresses go first, and we are told of them first */
                return end_without_interface(k);
        if (r < 0)
                return sd_event_exit(k->event, fail_errno(k, r, "put back the address"));

        if (log_rate_pass(&k->restore_log, k->restored_usec, &n_held))
                log_event(LOG_WARNING,
                          HAMGR_MESSAGE_ADDRESS_RESTORED,
                          LOG_NO_FIELDS,
                          "%s was removed from %s by somebody else; put back (%" PRIu32
                          " more since the last report). To stop it, stop its group or this service",
                          k->text,
                          k->options.interface,
                          n_held);
        begin_burst(k);
        return 0;
}

static void schedule_restore(Keeper *k) {
        (void) event_timer_at(k->restore, usec_add(k->restored_usec, RESTORE_INTERVAL_USEC));
}

static int on_grace_over(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Keeper *k = userdata;
        char grace[DURATION_TEXT_MAX];

        return sd_event_exit(
                        k->event,
                        refuse(k,
                               AGENT_EXIT_LOST,
                               NULL,
                               "%s has had no carrier for %s; giving up %s. Check cable, switch port and "
                               "\"ip link show %s\"",
                               k->options.interface,
                               format_duration(k->options.carrier_grace_usec, grace),
                               k->text,
                               k->options.interface));
}

static void on_link(Keeper *k, const RtnlLink *link) {
        bool had_carrier = k->link.has_carrier;
        bool other_mac = memcmp(&k->link.mac, &link->mac, sizeof link->mac) != 0;

        k->link = *link;
        if (k->link.has_carrier && !had_carrier) {
                log_notice("%s has its carrier again", k->options.interface);
                (void) event_timer_disarm(k->grace);
                tell_status(k);
                schedule_restore(k);
        } else if (!k->link.has_carrier && had_carrier) {
                log_warning("%s has lost its carrier", k->options.interface);
                (void) event_timer_in(k->grace, k->options.carrier_grace_usec);
                tell_status(k);
        }
        if (k->state == KEEPER_KEEPING && k->link.has_carrier && (!had_carrier || other_mac))
                begin_burst(k);
}

static int read_again(Keeper *k) {
        RtnlLink link;
        int r = rtnl_link_get(k->rtnl, k->options.interface, &link);

        if (r < 0)
                return sd_event_exit(k->event, fail_errno(k, r, "look at the interface"));
        on_link(k, &link);
        if (k->state == KEEPER_KEEPING)
                schedule_restore(k); /* finds it there, or puts it back */
        return 0;
}

static void on_rtnl_event(const RtnlEvent *event, void *userdata) {
        Keeper *k = userdata;

        if (event->type == RTNL_LOST_TRACK) {
                (void) read_again(k);
                return;
        }
        if (event->ifindex != k->link.ifindex)
                return;

        switch (event->type) {
        case RTNL_LINK_CHANGED:
                on_link(k, &event->link);
                break;
        case RTNL_LINK_GONE:
                (void) end_without_interface(k);
                break;
        case RTNL_ADDRESS_GONE:
                if (k->state == KEEPER_KEEPING &&
                    ip_address_equal_host(&event->address, &k->options.address) &&
                    event->address.prefix_length == k->options.address.prefix_length)
                        schedule_restore(k);
                break;
        case RTNL_LOST_TRACK:
                break;
        }
}

static int on_watch(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Keeper *k = userdata;
        int r = rtnl_watch_dispatch(k->rtnl, on_rtnl_event, k);

        return r < 0 ? sd_event_exit(k->event, fail_errno(k, r, "watch the interface")) : 0;
}

/* ---- Beginning ---- */

static int look_at_link(Keeper *k) {
        int r = rtnl_link_get(k->rtnl, k->options.interface, &k->link);

        if (r == -ENODEV)
                return refuse(k,
                              AGENT_EXIT_MISSING,
                              NULL,
                              "there is no interface %s on this node, which is to hold %s; \"ip link\" "
                              "lists those that there are",
                              k->options.interface,
                              k->text);
        if (r < 0)
                return fail_errno(k, r, "look at the interface");
        if (!k->link.is_up)
                return refuse(k,
                              AGENT_EXIT_MISSING,
                              NULL,
                              "the interface %s, which is to hold %s, is switched off; run: ip link set %s "
                              "up",
                              k->options.interface,
                              k->text,
                              k->options.interface);

        if (!k->link.has_carrier)
                return refuse(k,
                              AGENT_EXIT_MISSING,
                              NULL,
                              "the interface %s, which is to hold %s, has no carrier; check its cable and "
                              "switch port",
                              k->options.interface,
                              k->text);
        return 0;
}

/* Is the address on this node already? Ours is adopted; of anybody else's we keep our hands off. */
static int look_at_addresses(Keeper *k, bool *ret_adopt) {
        RtnlFound found[RTNL_FOUND_MAX];
        size_t n_found;
        bool adopt = false;
        int r = rtnl_address_find(k->rtnl, &k->options.address, found, &n_found);

        if (r < 0)
                return fail_errno(k, r, "list addresses");

        FOREACH_ARRAY(f, found, n_found) {
                char name[IF_NAMESIZE] = "?";
                bool here = f->ifindex == k->link.ifindex &&
                            f->prefix_length == k->options.address.prefix_length;

                (void) if_indextoname((unsigned) f->ifindex, name);
                if (f->mark != RTNL_ADDRESS_MARK && !(here && !rtnl_keeps_marks()))
                        return refuse(k,
                                      AGENT_EXIT_CONFLICT,
                                      HAMGR_MESSAGE_ADDRESS_CONFLICT,
                                      "%s is on interface %s of this node already, put there by somebody "
                                      "else; take it out of the network configuration and run: ip address "
                                      "del %s/%u dev %s",
                                      k->text,
                                      name,
                                      k->text,
                                      f->prefix_length,
                                      name);
                if (here) {
                        adopt = true;
                        continue;
                }

                IpAddress old = k->options.address;

                old.prefix_length = f->prefix_length;
                r = rtnl_address_remove(k->rtnl, f->ifindex, &old);
                if (r < 0)
                        return fail_errno(k, r, "remove what an earlier run left");
                log_notice("removed %s/%u from %s, left there by an earlier run",
                           k->text,
                           f->prefix_length,
                           name);
        }
        *ret_adopt = adopt;
        return 0;
}

static int open_wire(Keeper *k) {
        if (!k->link.has_neighbours)
                return 0;
        k->wire_fd = wire_open(k->link.ifindex, &k->options.address);
        return k->wire_fd < 0 ? k->wire_fd : 0;
}

static int add_sources(Keeper *k) {
        sd_event *e = k->event;
        int r;

        r = event_io_new(e, "ip-watch", rtnl_watch_fd(k->rtnl), EPOLLIN, on_watch, k, &k->watch);
        if (r >= 0 && k->wire_fd >= 0)
                r = event_io_new(e, "ip-hear", k->wire_fd, EPOLLIN, on_hear, k, &k->hear);
        if (r >= 0)
                r = event_timer_new(e, "ip-probe", on_probe, k, &k->probe);
        if (r >= 0)
                r = event_timer_new(e, "ip-announce", on_announce, k, &k->announce);
        if (r >= 0)
                r = event_timer_new(e, "ip-restore", on_restore, k, &k->restore);
        if (r >= 0)
                r = event_timer_new(e, "ip-grace", on_grace_over, k, &k->grace);
        return r;
}

int keeper_start(sd_event *event, const KeeperOptions *options, Keeper **ret) {
        _cleanup_(keeper_freep) Keeper *k = calloc(1, sizeof *k);
        bool adopt = false;
        int r;

        if (!k)
                return AGENT_EXIT_FAILED;
        k->event = sd_event_ref(event);
        k->options = *options;
        k->wire_fd = -EBADF;
        k->conflict_log = (LogRate){ .interval_usec = CONFLICT_LOG_INTERVAL_USEC, .burst = 1 };
        k->restore_log = (LogRate){ .interval_usec = CONFLICT_LOG_INTERVAL_USEC, .burst = 5 };
        (void) ip_address_format_host(&options->address, k->text);

        r = rtnl_new(options->address.family, &k->rtnl);
        if (r < 0)
                return fail_errno(k, r, "open rtnetlink");
        r = look_at_link(k);
        if (r != 0)
                return r;
        r = look_at_addresses(k, &adopt);
        if (r != 0)
                return r;
        r = open_wire(k);
        if (r < 0)
                return fail_errno(k, r, "open a packet socket");
        r = add_sources(k);
        if (r < 0)
                return fail_errno(k, r, "set up the event loop");

        if (k->wire_fd < 0) /* nobody to ask: the window is not waited for */
                k->n_probes = options->probe_count;
        if (adopt) {
                log_info("%s is on %s already, left by an earlier run; holding it",
                         k->text,
                         k->options.interface);
                hold(k);
        } else
                (void) event_timer_in(k->probe, 0);
        *ret = TAKE_PTR(k);
        return 0;
}

int keeper_release(Keeper *k) {
        int r;

        if (k->state != KEEPER_KEEPING)
                return 0;

        k->state = KEEPER_RELEASED;
        r = rtnl_address_remove(k->rtnl, k->link.ifindex, &k->options.address);
        if (r < 0)
                return refuse(k,
                              AGENT_EXIT_LEFTOVER,
                              NULL,
                              "cannot remove %s from %s: %s; it is still there",
                              k->text,
                              k->options.interface,
                              strerror(-r));
        log_info("removed %s from %s", k->text, k->options.interface);
        return 0;
}

Keeper *keeper_free(Keeper *k) {
        if (!k)
                return NULL;

        sd_event_source_disable_unref(k->watch);
        sd_event_source_disable_unref(k->hear);
        sd_event_source_disable_unref(k->probe);
        sd_event_source_disable_unref(k->announce);
        sd_event_source_disable_unref(k->restore);
        sd_event_source_disable_unref(k->grace);
        (void) safe_close(k->wire_fd);
        rtnl_free(k->rtnl);
        sd_event_unref(k->event);
        free(k);
        return NULL;
}

int keeper_remove_leftover(const KeeperOptions *options) {
        _cleanup_(rtnl_freep) Rtnl *rtnl = NULL;
        RtnlFound found[RTNL_FOUND_MAX];
        char text[IP_ADDRESS_TEXT_MAX];
        size_t n_found;
        int r;

        (void) ip_address_format_host(&options->address, text);
        r = rtnl_new(options->address.family, &rtnl);
        if (r >= 0)
                r = rtnl_address_find(rtnl, &options->address, found, &n_found);
        if (r < 0) {
                log_error_errno(r, "cannot find out whether %s is still here: %m", text);
                return AGENT_EXIT_LEFTOVER;
        }

        FOREACH_ARRAY(f, found, n_found) {
                IpAddress old = options->address;
                char name[IF_NAMESIZE] = "?";

                (void) if_indextoname((unsigned) f->ifindex, name);
                if (f->mark != RTNL_ADDRESS_MARK && rtnl_keeps_marks()) {
                        log_warning("%s is on %s, but was not put there by ha-ip; left there", text, name);
                        continue;
                }
                old.prefix_length = f->prefix_length;
                r = rtnl_address_remove(rtnl, f->ifindex, &old);
                if (r < 0) {
                        log_error_errno(r, "cannot remove %s from %s: %m; it is still there", text, name);
                        return AGENT_EXIT_LEFTOVER;
                }
                log_info("removed %s from %s", text, name);
        }
        return AGENT_EXIT_OK;
}
