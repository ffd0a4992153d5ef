/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*   PROBING --no answer--> HOLDING --SIGTERM, carrier lost for longer than the grace, interface gone--> the
 * loop ends |                      ^  | | in use elsewhere     +--+ removed by others: put back; conflict:
 * announced; carrier returned: announced
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
#include "resource-agents/ip/holder.h"
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

typedef enum HolderState {
        HOLDER_PROBING,
        HOLDER_HOLDING,
        HOLDER_RELEASED,
} HolderState;

struct Holder {
        sd_event *event; /* ref */
        HolderOptions options;
        char text[IP_ADDRESS_TEXT_MAX]; /* of the address */
        HolderState state;

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
                const Holder *h, AgentExit status, const char *message_id, const char *format, ...) {
        char text[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);

        log_event(LOG_ERR, message_id, LOG_FIELDS("HAMGR_REASON", text), "%s", text);
        (void) sd_notifyf(false, "STATUS=%s", text);
        return (int) status;
}

static int fail_errno(const Holder *h, int error, const char *what) {
        return refuse(h,
                      AGENT_EXIT_FAILED,
                      NULL,
                      "cannot %s for %s on %s: %s",
                      what,
                      h->text,
                      h->options.interface,
                      strerror(abs(error)));
}

static void tell_status(const Holder *h) {
        if (!h->link.has_carrier)
                (void) sd_notifyf(false, "STATUS=%s has lost its carrier", h->options.interface);
        else if (h->n_conflicts > 0)
                (void) sd_notifyf(
                                false,
                                "STATUS=holding %s on %s; another host used it %" PRIu32 " times",
                                h->text,
                                h->options.interface,
                                h->n_conflicts);
        else
                (void) sd_notifyf(false, "STATUS=holding %s on %s", h->text, h->options.interface);
}

/* A frame that cannot be sent is not the end: the next one follows soon. */
static void send_frame(const Holder *h, FrameKind kind) {
        Frame frame;
        int r;

        if (h->wire_fd < 0)
                return;
        frame_build(kind, &h->options.address, &h->link.mac, &frame);
        r = wire_send(h->wire_fd, &frame);
        if (r < 0)
                log_debug_errno(r, "cannot send on %s: %m", h->options.interface);
}

static void send_announcement(const Holder *h) {
        send_frame(h, FRAME_ANNOUNCE);
        if (h->options.address.family == AF_INET)
                send_frame(h, FRAME_ANNOUNCE_REPLY);
}

static void begin_burst(Holder *h) {
        h->i_burst = 0;
        (void) event_timer_in(h->announce, burst_usec[0]);
}

static int on_announce(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Holder *h = userdata;

        if (h->i_burst >= ELEMENTSOF(burst_usec)) /* a refresh: who else has it shall say so */
                send_frame(h, FRAME_PROBE);
        send_announcement(h);

        if (h->i_burst < ELEMENTSOF(burst_usec))
                h->i_burst++;
        if (h->i_burst < ELEMENTSOF(burst_usec))
                return event_timer_in(h->announce, burst_usec[h->i_burst] - burst_usec[h->i_burst - 1]);
        return event_timer_in(h->announce, REFRESH_USEC);
}

/* ---- Taking the address ---- */

/* Else removing our address, were it the first of its network, would take its neighbours along. */
static void promote_secondaries(const Holder *h) {
        char path[64 + IF_NAMESIZE];
        _cleanup_close_ int fd = -EBADF;

        if (h->options.address.family != AF_INET)
                return;
        (void) snprintf(path,
                        sizeof path,
                        "/proc/sys/net/ipv4/conf/%s/promote_secondaries",
                        h->options.interface);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "1", 1) < 0)
                log_info_errno(errno,
                               "cannot set promote_secondaries on %s, ignoring: %m; removing %s may remove "
                               "other addresses of its network",
                               h->options.interface,
                               h->text);
}

static void hold(Holder *h) {
        h->state = HOLDER_HOLDING;
        h->probe = sd_event_source_disable_unref(h->probe);
        (void) sd_notify(false, "READY=1");
        tell_status(h);
        begin_burst(h);
}

static int claim(Holder *h) {
        int r;

        promote_secondaries(h);
        r = rtnl_address_add(h->rtnl, h->link.ifindex, &h->options.address);
        if (r < 0 && r != -EEXIST)
                return fail_errno(h, r, "add the address");
        hold(h);
        log_info("holding %s on %s", h->text, h->options.interface);
        return 0;
}

static int on_probe(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Holder *h = userdata;
        int status;

        if (h->n_probes < h->options.probe_count) {
                send_frame(h, FRAME_PROBE);
                h->n_probes++;
                return event_timer_in(h->probe, h->options.probe_window_usec / h->options.probe_count);
        }

        status = claim(h);
        return status == 0 ? 0 : sd_event_exit(h->event, status);
}

static int refuse_used(const Holder *h, FrameVerdict verdict, const Mac *other) {
        char mac[MAC_TEXT_MAX];

        return refuse(h,
                      AGENT_EXIT_CONFLICT,
                      HAMGR_MESSAGE_ADDRESS_CONFLICT,
                      verdict == FRAME_USED
                                      ? "%s is in use on the network of %s by another host (%s); not taken. "
                                        "Find that host by its MAC address and take the address from it"
                                      : "%s is just being taken on the network of %s by another host (%s); "
                                        "not taken. Two hosts must not be configured with one address",
                      h->text,
                      h->options.interface,
                      mac_format(other, mac));
}

/* ---- Keeping it ---- */

static void defend(Holder *h, const Mac *other) {
        uint64_t now_usec = now_boottime_usec();
        char mac[MAC_TEXT_MAX];
        uint32_t n_held;

        h->n_conflicts++;
        if (now_usec >= usec_add(h->defended_usec, DEFEND_INTERVAL_USEC) || h->defended_usec == 0) {
                h->defended_usec = now_usec;
                send_announcement(h);
        }
        if (!log_rate_pass(&h->conflict_log, now_usec, &n_held))
                return;
        log_event(LOG_WARNING,
                  HAMGR_MESSAGE_ADDRESS_CONFLICT,
                  LOG_NO_FIELDS,
                  "another host (%s) uses %s, which we hold on %s; announcing it again (%" PRIu32
                  " more since the last report)",
                  mac_format(other, mac),
                  h->text,
                  h->options.interface,
                  n_held);
        tell_status(h);
}

static int on_hear(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Holder *h = userdata;
        uint8_t buf[256];
        Mac other;
        int n;

        while ((n = wire_receive(fd, buf, sizeof buf)) >= 0) {
                FrameVerdict verdict =
                                frame_judge(buf, (size_t) n, &h->options.address, &h->link.mac, &other);

                if (verdict == FRAME_OF_NO_CONCERN)
                        continue;
                if (h->state == HOLDER_PROBING)
                        return sd_event_exit(h->event, refuse_used(h, verdict, &other));
                if (verdict == FRAME_USED) /* a mere probe is answered by the kernel */
                        defend(h, &other);
        }
        return 0;
}

static int on_restore(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Holder *h = userdata;
        uint32_t n_held;
        int r;

        /* The kernel takes IPv6 addresses from a link that is switched off; on_link() comes back to it. */
        if (h->options.address.family == AF_INET6 && !h->link.is_up)
                return 0;

        h->restored_usec = now_boottime_usec();
        r = rtnl_address_add(h->rtnl, h->link.ifindex, &h->options.address);
        if (r == -EEXIST)
                return 0;
        if (r < 0)
                return sd_event_exit(h->event, fail_errno(h, r, "put back the address"));

        if (log_rate_pass(&h->restore_log, h->restored_usec, &n_held))
                log_event(LOG_WARNING,
                          HAMGR_MESSAGE_ADDRESS_RESTORED,
                          LOG_NO_FIELDS,
                          "%s was removed from %s by somebody else; put back (%" PRIu32
                          " more since the last report). To stop it, stop its group or this service",
                          h->text,
                          h->options.interface,
                          n_held);
        begin_burst(h);
        return 0;
}

static void schedule_restore(Holder *h) {
        (void) event_timer_at(h->restore, usec_add(h->restored_usec, RESTORE_INTERVAL_USEC));
}

static int on_grace_over(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Holder *h = userdata;
        char grace[DURATION_TEXT_MAX];

        return sd_event_exit(
                        h->event,
                        refuse(h,
                               AGENT_EXIT_LOST,
                               NULL,
                               "%s has had no carrier for %s; giving up %s. Check cable, switch port and "
                               "\"ip link show %s\"",
                               h->options.interface,
                               format_duration(h->options.carrier_grace_usec, grace),
                               h->text,
                               h->options.interface));
}

static void on_link(Holder *h, const RtnlLink *link) {
        bool had_carrier = h->link.has_carrier;
        bool other_mac = memcmp(&h->link.mac, &link->mac, sizeof link->mac) != 0;

        h->link = *link;
        if (h->link.has_carrier && !had_carrier) {
                log_notice("%s has its carrier again", h->options.interface);
                (void) event_timer_disarm(h->grace);
                tell_status(h);
                schedule_restore(h);
        } else if (!h->link.has_carrier && had_carrier) {
                log_warning("%s has lost its carrier", h->options.interface);
                (void) event_timer_in(h->grace, h->options.carrier_grace_usec);
                tell_status(h);
        }
        if (h->state == HOLDER_HOLDING && h->link.has_carrier && (!had_carrier || other_mac))
                begin_burst(h);
}

static int read_again(Holder *h) {
        RtnlLink link;
        int r = rtnl_link_get(h->rtnl, h->options.interface, &link);

        if (r < 0)
                return sd_event_exit(h->event, fail_errno(h, r, "look at the interface"));
        on_link(h, &link);
        if (h->state == HOLDER_HOLDING)
                schedule_restore(h); /* finds it there, or puts it back */
        return 0;
}

static void on_rtnl_event(const RtnlEvent *event, void *userdata) {
        Holder *h = userdata;

        if (event->type == RTNL_LOST_TRACK) {
                (void) read_again(h);
                return;
        }
        if (event->ifindex != h->link.ifindex)
                return;

        switch (event->type) {
        case RTNL_LINK_CHANGED:
                on_link(h, &event->link);
                break;
        case RTNL_LINK_GONE:
                (void) sd_event_exit(
                                h->event,
                                refuse(h,
                                       AGENT_EXIT_LOST,
                                       NULL,
                                       "the interface %s is gone, and %s with it",
                                       h->options.interface,
                                       h->text));
                break;
        case RTNL_ADDRESS_GONE:
                if (h->state == HOLDER_HOLDING &&
                    ip_address_equal_host(&event->address, &h->options.address) &&
                    event->address.prefix_length == h->options.address.prefix_length)
                        schedule_restore(h);
                break;
        case RTNL_LOST_TRACK:
                break;
        }
}

static int on_watch(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Holder *h = userdata;
        int r = rtnl_watch_dispatch(h->rtnl, on_rtnl_event, h);

        return r < 0 ? sd_event_exit(h->event, fail_errno(h, r, "watch the interface")) : 0;
}

/* ---- Beginning ---- */

static int look_at_link(Holder *h) {
        int r = rtnl_link_get(h->rtnl, h->options.interface, &h->link);

        if (r == -ENODEV)
                return refuse(h,
                              AGENT_EXIT_MISSING,
                              NULL,
                              "there is no interface %s on this node, which is to hold %s; \"ip link\" "
                              "lists those that there are",
                              h->options.interface,
                              h->text);
        if (r < 0)
                return fail_errno(h, r, "look at the interface");
        if (!h->link.is_up)
                return refuse(h,
                              AGENT_EXIT_MISSING,
                              NULL,
                              "the interface %s, which is to hold %s, is switched off; run: ip link set %s "
                              "up",
                              h->options.interface,
                              h->text,
                              h->options.interface);

        if (!h->link.has_carrier)
                return refuse(h,
                              AGENT_EXIT_MISSING,
                              NULL,
                              "the interface %s, which is to hold %s, has no carrier; check its cable and "
                              "switch port",
                              h->options.interface,
                              h->text);
        return 0;
}

/* Is the address on this node already? Ours is adopted; of anybody else's we keep our hands off. */
static int look_at_addresses(Holder *h, bool *ret_adopt) {
        RtnlFound found[RTNL_FOUND_MAX];
        size_t n_found;
        bool adopt = false;
        int r = rtnl_address_find(h->rtnl, &h->options.address, found, &n_found);

        if (r < 0)
                return fail_errno(h, r, "list addresses");

        FOREACH_ARRAY(f, found, n_found) {
                char name[IF_NAMESIZE] = "?";
                bool here = f->ifindex == h->link.ifindex &&
                            f->prefix_length == h->options.address.prefix_length;

                (void) if_indextoname((unsigned) f->ifindex, name);
                if (f->mark != RTNL_ADDRESS_MARK && !(here && !rtnl_keeps_marks()))
                        return refuse(h,
                                      AGENT_EXIT_CONFLICT,
                                      HAMGR_MESSAGE_ADDRESS_CONFLICT,
                                      "%s is on interface %s of this node already, put there by somebody "
                                      "else; take it out of the network configuration and run: ip address "
                                      "del %s/%u dev %s",
                                      h->text,
                                      name,
                                      h->text,
                                      f->prefix_length,
                                      name);
                if (here) {
                        adopt = true;
                        continue;
                }

                IpAddress old = h->options.address;

                old.prefix_length = f->prefix_length;
                r = rtnl_address_remove(h->rtnl, f->ifindex, &old);
                if (r < 0)
                        return fail_errno(h, r, "remove what an earlier run left");
                log_notice("removed %s/%u from %s, left there by an earlier run",
                           h->text,
                           f->prefix_length,
                           name);
        }
        *ret_adopt = adopt;
        return 0;
}

static int open_wire(Holder *h) {
        if (!h->link.has_neighbours)
                return 0;
        h->wire_fd = wire_open(h->link.ifindex, &h->options.address);
        return h->wire_fd < 0 ? h->wire_fd : 0;
}

static int add_sources(Holder *h) {
        sd_event *e = h->event;
        int r;

        r = event_io_new(e, "ip-watch", rtnl_watch_fd(h->rtnl), EPOLLIN, on_watch, h, &h->watch);
        if (r >= 0 && h->wire_fd >= 0)
                r = event_io_new(e, "ip-hear", h->wire_fd, EPOLLIN, on_hear, h, &h->hear);
        if (r >= 0)
                r = event_timer_new(e, "ip-probe", on_probe, h, &h->probe);
        if (r >= 0)
                r = event_timer_new(e, "ip-announce", on_announce, h, &h->announce);
        if (r >= 0)
                r = event_timer_new(e, "ip-restore", on_restore, h, &h->restore);
        if (r >= 0)
                r = event_timer_new(e, "ip-grace", on_grace_over, h, &h->grace);
        return r;
}

int holder_start(sd_event *event, const HolderOptions *options, Holder **ret) {
        _cleanup_(holder_freep) Holder *h = calloc(1, sizeof *h);
        bool adopt = false;
        int r;

        if (!h)
                return AGENT_EXIT_FAILED;
        h->event = sd_event_ref(event);
        h->options = *options;
        h->wire_fd = -EBADF;
        h->conflict_log = (LogRate){ .interval_usec = CONFLICT_LOG_INTERVAL_USEC, .burst = 1 };
        h->restore_log = (LogRate){ .interval_usec = CONFLICT_LOG_INTERVAL_USEC, .burst = 5 };
        (void) ip_address_format_host(&options->address, h->text);

        r = rtnl_new(options->address.family, &h->rtnl);
        if (r < 0)
                return fail_errno(h, r, "open rtnetlink");
        r = look_at_link(h);
        if (r != 0)
                return r;
        r = look_at_addresses(h, &adopt);
        if (r != 0)
                return r;
        r = open_wire(h);
        if (r < 0)
                return fail_errno(h, r, "open a packet socket");
        r = add_sources(h);
        if (r < 0)
                return fail_errno(h, r, "set up the event loop");

        if (h->wire_fd < 0) /* nobody to ask: the window is not waited for */
                h->n_probes = options->probe_count;
        if (adopt) {
                log_info("%s is on %s already, left by an earlier run; holding it",
                         h->text,
                         h->options.interface);
                hold(h);
        } else
                (void) event_timer_in(h->probe, 0);
        *ret = TAKE_PTR(h);
        return 0;
}

int holder_release(Holder *h) {
        int r;

        if (h->state != HOLDER_HOLDING)
                return 0;

        h->state = HOLDER_RELEASED;
        r = rtnl_address_remove(h->rtnl, h->link.ifindex, &h->options.address);
        if (r < 0)
                return refuse(h,
                              AGENT_EXIT_LEFTOVER,
                              NULL,
                              "cannot remove %s from %s: %s; it is still there",
                              h->text,
                              h->options.interface,
                              strerror(-r));
        log_info("removed %s from %s", h->text, h->options.interface);
        return 0;
}

Holder *holder_free(Holder *h) {
        if (!h)
                return NULL;

        sd_event_source_disable_unref(h->watch);
        sd_event_source_disable_unref(h->hear);
        sd_event_source_disable_unref(h->probe);
        sd_event_source_disable_unref(h->announce);
        sd_event_source_disable_unref(h->restore);
        sd_event_source_disable_unref(h->grace);
        (void) safe_close(h->wire_fd);
        rtnl_free(h->rtnl);
        sd_event_unref(h->event);
        free(h);
        return NULL;
}

int holder_remove_leftover(const HolderOptions *options) {
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
