/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

#include "basic/time-util.h"
#include "hagcd/access.h"
#include "hagcd/client.h"
#include "hagcd/view-frame.h"
#include "libhagcs/gather.h"
#include "shared/event-util.h"
#include "shared/log.h"
#include "shared/message-ids.h"

/* Frames taken in of one client before the others have their turn. A packet is taken in as a whole. */
#define READ_ROUND 128U
/* The same, when its process has ended: more than it had credit for. Another process may hold its other end,
 * and go on filling it. */
#define READ_LAST (2U * PROTO_WINDOW_BYTES / PROTO_PIECE_COST)

/* A timer that comes later than this means that we were paused: nobody else is to blame for it. */
#define LATE_USEC (50 * USEC_PER_MSEC)

/* Connections taken in before those that are there have their turn. */
#define ACCEPT_ROUND 32U

static Client *find(Clients *c, uint64_t gcs_id) {
        for (Client *i = c->first; i; i = i->next)
                if (i->gcs_id == gcs_id && i->state != CLIENT_NEW && i->state != CLIENT_LOST)
                        return i;
        return NULL;
}

/* ---- Loss, kill, grace ---- */

static void fail(Clients *c, const char *format, const Client *i) {
        char why[PROTO_TEXT_MAX];

        if (c->stopped)
                return;
        (void) snprintf(why,
                        sizeof(why),
                        "critical member %s of group %s %s",
                        i->identity.name,
                        i->identity.group,
                        format);
        c->handlers->fail(c->userdata, why);
}

static void begin_grace(Clients *c, Client *i, bool planned) {
        uint64_t now_usec = now_boottime_usec();

        if (c->stopped)
                return;
        switch (grace_begin(
                        &c->graces, i->gcs_id, &i->identity, i->grace_usec, i->exited, planned, now_usec)) {
        case GRACE_BEGUN:
                break;
        case GRACE_REFUSED_NONE:
                fail(c, "is lost", i);
                return;
        case GRACE_REFUSED_TOO_MANY:
                fail(c, "was lost too often", i);
                return;
        }
        if (!planned && !i->exited && i->pidfd >= 0)
                (void) pidfd_send_signal(i->pidfd, SIGKILL, NULL, 0);
}

/* Its loss is this node's. A member that was shut out still is one, though gcs has not taken it in again. */
static bool client_matters(const Client *i) {
        return i->critical && (i->registered || i->successor);
}

/* Whoever joins and goes again and again is not to fill the journal. */
static void tell_lost(Clients *c, const Client *i, bool planned, const char *why) {
        uint32_t n_held = 0;

        if (!i->critical && !log_rate_pass(&c->lost_rate, now_boottime_usec(), &n_held))
                return;
        log_event(planned ? LOG_INFO : LOG_WARNING,
                  HAMGR_MESSAGE_MEMBER_LOST,
                  LOG_FIELDS("HAMGR_REASON", why, "HAMGR_GROUP", i->identity.group),
                  "member %s of group %s (process %d): %s%s",
                  i->identity.name,
                  i->identity.group,
                  (int) i->pid,
                  why,
                  n_held > 0 ? " (others before it were held back)" : "");
}

/* The connection is over: tells gcs, and decides what it means. */
static void lose(Clients *c, Client *i, GcsReason reason, const char *why) {
        bool member = i->state == CLIENT_MEMBER || i->state == CLIENT_REGISTERING;
        bool leaving = i->state == CLIENT_UNREGISTERING;
        bool matters = !leaving && client_matters(i);
        bool planned = i->hands_over && reason == GCS_REASON_EXITED;

        if (i->state == CLIENT_LOST)
                return;
        if (member && client_asked_to_leave(i)) {
                (void) c->handlers->feed(
                                c->userdata,
                                &(GcsEvent){ .type = GCS_EVENT_UNREGISTER,
                                             .unregister = { .client = i->gcs_id } });
                member = false;
                leaving = true;
                matters = false;
        }
        if (planned)
                why = "hands over to a successor";
        if (member)
                tell_lost(c, i, planned, why);
        /* Also of one that asked to leave: gcs is not to wait for it to take anything any more. */
        if (member || leaving)
                (void) c->handlers->feed(
                                c->userdata,
                                &(GcsEvent){
                                                .type = GCS_EVENT_MEMBER_LOST,
                                                .member_lost = { .client = i->gcs_id, .reason = reason },
                                });
        i->state = CLIENT_LOST;
        client_disconnect(i);
        if (matters)
                begin_grace(c, i, planned);
}

/* Unexpected: says why on the wire, then as above. */
static void expel(Clients *c, Client *i, int error, GcsReason reason, const char *why) {
        tally_expelled(&i->tally);
        client_goodbye(i, error, why);
        lose(c, i, reason, why);
}

static void reap(Clients *c) {
        for (Client *i = c->first, *next; i; i = next) {
                bool keep;

                next = i->next;
                /* One that is being killed is kept until its process has exited. */
                keep = i->state != CLIENT_LOST || (i->critical && !i->exited && i->pidfd >= 0);
                if (keep)
                        continue;
                client_free(i);
        }
}

/* ---- Frames of clients ---- */

static void refuse(Client *i, int error, const char *text) {
        client_not_member(i);
        client_registered(i, error, text);
}

static void start_registration(Clients *c, Client *i) {
        switch (grace_match(&c->graces, &i->identity)) {
        case GRACE_MATCH_NONE:
                i->successor = false;
                break;
        case GRACE_MATCH_SUCCESSOR:
                i->successor = i->critical;
                break;
        case GRACE_MATCH_NOT_YET:
                i->state = CLIENT_WAITING;
                return;
        case GRACE_MATCH_STRANGER:
                refuse(i, -EPERM, "a successor must run as the same user and in the same unit");
                return;
        }
        i->gcs_id = ++c->last_gcs_id;
        tally_begin(&i->tally, NULL);
        i->state = CLIENT_REGISTERING;
        i->ping_due_usec = 0;
        (void) c->handlers->feed(
                        c->userdata,
                        &(GcsEvent){
                                        .type = GCS_EVENT_REGISTER,
                                        .reg = {
                                                .client = i->gcs_id,
                                                .group = i->identity.group,
                                                .member = i->identity.name,
                                                .critical = i->critical,
                                                .snapshot = i->snapshot,
                                        },
                        });
}

/* Else it is told why not, and so is the journal: a client can ask as often as it likes, so not each time.
 */
static bool may_register(Clients *c, Client *i, const ProtoFrame *f) {
        bool critical = f->flags & PROTO_CRITICAL;
        char why[PROTO_TEXT_MAX];
        AccessPeer peer;
        uint32_t n_held;
        int r;

        r = access_peer_read(i->fd, &peer);
        if (r < 0) {
                client_registered(i, r, "hagcd cannot see who this process is");
                return false;
        }
        r = access_check(c->conf, &peer, f->group, critical, why);
        access_peer_done(&peer);
        if (r >= 0)
                return true;
        client_registered(i, r, why);
        if (log_rate_pass(&c->access_rate, now_boottime_usec(), &n_held))
                log_event(LOG_WARNING,
                          HAMGR_MESSAGE_ACCESS_REFUSED,
                          LOG_FIELDS("HAMGR_REASON", why, "HAMGR_GROUP", f->group),
                          "process %d, as member %s: %s%s",
                          (int) i->pid,
                          f->name,
                          why,
                          n_held > 0 ? " (others before it were held back)" : "");
        return false;
}

static void on_register(Clients *c, Client *i, const ProtoFrame *f) {
        if (i->state != CLIENT_CONNECTED) {
                expel(c, i, -EALREADY, GCS_REASON_EXPELLED, "registered twice");
                return;
        }
        /* Or joining and leaving in turns would add up. The library waits for the end of it. */
        if (i->queued_bytes > CLIENT_ANSWERS_BYTES_MAX) {
                expel(c, i, -ENOBUFS, GCS_REASON_EXPELLED, "joins without having taken what was delivered");
                return;
        }
        if (!name_is_valid(f->group) || !name_is_valid(f->name) ||
            f->flags > (PROTO_CRITICAL | PROTO_WANT_SNAPSHOT)) {
                client_registered(i, -EINVAL, "not a valid name: [a-z0-9_]+, at most 32 characters");
                return;
        }
        if (!may_register(c, i, f))
                return;
        memcpy(i->identity.group, f->group, sizeof(i->identity.group));
        memcpy(i->identity.name, f->name, sizeof(i->identity.name));
        i->critical = f->flags & PROTO_CRITICAL;
        i->snapshot = f->flags & PROTO_WANT_SNAPSHOT;
        i->liveliness_usec = f->liveliness_usec == 0 ? 0 : MAX(f->liveliness_usec, 50 * USEC_PER_MSEC);
        i->grace_usec = MIN(f->grace_usec, USEC_PER_MINUTE);
        start_registration(c, i);
}

static void put_reloaded(Client *i, int error, const char *text) {
        ProtoFrame f = { .type = PROTO_RELOADED, .error = error };

        (void) snprintf(f.text, sizeof(f.text), "%s", text);
        client_put(i, &f);
}

static void on_reload(Clients *c, Client *i) {
        if (i->identity.uid != 0) {
                put_reloaded(i, -EPERM, "only root may have cluster.conf read anew");
                return;
        }
        i->reload_asked = true;
        c->handlers->reload(c->userdata);
}

void clients_reloaded(Clients *c, int error, const char *text) {
        for (Client *i = c->first; i; i = i->next)
                if (i->state != CLIENT_LOST && TAKE_GENERIC(i->reload_asked, bool, false))
                        put_reloaded(i, error, text);
}

static void on_frame(Clients *c, Client *i, const ProtoFrame *f) {
        if (i->state == CLIENT_NEW && f->type != PROTO_HELLO) {
                expel(c, i, -EPROTO, GCS_REASON_EXPELLED, "did not say hello");
                return;
        }
        switch (f->type) {
        case PROTO_HELLO:
                if (i->state != CLIENT_NEW || f->version != PROTO_VERSION) {
                        expel(c, i, -EPROTONOSUPPORT, GCS_REASON_EXPELLED, PROTO_OTHER_VERSION_TEXT);
                        return;
                }
                i->state = CLIENT_CONNECTED;
                client_welcome(i);
                return;
        case PROTO_REGISTER:
                on_register(c, i, f);
                return;
        case PROTO_UNREGISTER:
        case PROTO_SEND:
        case PROTO_GIVE_SNAPSHOT:
                if (client_take_in(i, f) < 0)
                        expel(c, i, -EPROTO, GCS_REASON_EXPELLED, "sent more than it had credit for");
                return;
        case PROTO_PONG:
                if (i->pinging && f->number == i->ping_number) {
                        i->pinging = false;
                        i->ping_due_usec = now_boottime_usec() + i->liveliness_usec / 4;
                }
                return;
        case PROTO_ARMED:
                if (i->identity.uid == 0)
                        c->handlers->armed(c->userdata, f->armed);
                return;
        case PROTO_CONFIRM_DOWN:
                if (i->identity.uid == 0)
                        c->handlers->confirmed_down(
                                        c->userdata,
                                        &(CmsConfirmation){
                                                        .node = f->node_id,
                                                        .incarnation = f->incarnation,
                                                        .mid = { f->mid.epoch, f->mid.node_id },
                                        });
                return;
        case PROTO_HAND_OVER:
                i->hands_over = true;
                return;
        case PROTO_ASK_MEMBERSHIP:
                i->membership_asked = true;
                return;
        case PROTO_RELOAD:
                on_reload(c, i);
                return;
        case PROTO_ASK_GROUPS:
                i->groups_asked = true;
                return;
        case PROTO_WELCOME:
        case PROTO_CLUSTER:
        case PROTO_REGISTERED:
        case PROTO_UNREGISTERED:
        case PROTO_VIEW:
        case PROTO_MESSAGE:
        case PROTO_SNAPSHOT_REQUEST:
        case PROTO_SNAPSHOT:
        case PROTO_FROZEN:
        case PROTO_SHUT_OUT:
        case PROTO_CREDIT:
        case PROTO_PING:
        case PROTO_GOODBYE:
        case PROTO_MEMBERSHIP:
        case PROTO_RELOADED:
        case PROTO_GROUP:
                expel(c, i, -EPROTO, GCS_REASON_EXPELLED, "sent what only hagcd sends");
                return;
        }
}

/* Returns how many frames it was. */
static unsigned on_packet(Clients *c, Client *i, size_t size_bytes) {
        GatherReader reader;
        const void *frame;
        unsigned n = 0;
        int r = 1;

        gather_read(&reader, c->buf, size_bytes);
        while (i->state != CLIENT_LOST && (r = gather_next(&reader, &frame, &size_bytes)) > 0) {
                if (proto_decode(frame, size_bytes, &c->in) < 0) {
                        r = -EBADMSG;
                        break;
                }
                on_frame(c, i, &c->in);
                n++;
        }
        if (r < 0)
                expel(c, i, -EPROTO, GCS_REASON_EXPELLED, "sent a frame that makes no sense");
        return n;
}

/* 0: there may be more; 1: nothing more now; negative: the connection is over. */
static int read_packet(Clients *c, Client *i, unsigned *n_frames) {
        ssize_t n;

        n = recv(i->fd, c->buf, sizeof(c->buf), MSG_DONTWAIT | MSG_TRUNC);
        /* Said once, and before what it sent, when it closed without having read all that we sent. */
        if (n < 0 && errno == ECONNRESET) {
                ++*n_frames;
                return 0;
        }
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 1 : -errno;
        if (n == 0)
                return -ECONNRESET;
        if ((size_t) n > sizeof(c->buf))
                expel(c, i, -EPROTO, GCS_REASON_EXPELLED, "sent a packet that is too long");
        else
                *n_frames += on_packet(c, i, (size_t) n);
        return i->state == CLIENT_LOST ? 1 : 0;
}

/* All that it sent before it went away: a wish to leave may be among it. */
static void read_rest(Clients *c, Client *i) {
        unsigned n = 0;
        int r = 0;

        while (n < READ_LAST && r == 0 && i->state != CLIENT_LOST)
                r = read_packet(c, i, &n);
}

static int on_client_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Client *i = userdata;
        Clients *c = i->clients;
        unsigned n = 0;
        int r = 0;

        if (revents & EPOLLOUT)
                client_mark_dirty(i);
        /* What it sent before it went away is still there to be read. */
        while (n < READ_ROUND && r == 0)
                r = read_packet(c, i, &n);
        if (r < 0)
                lose(c, i, GCS_REASON_EXITED, "closed its connection");
        client_mark_dirty(i);
        c->handlers->settle(c->userdata);
        return 0;
}

static int on_client_exit(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Client *i = userdata;
        Clients *c = i->clients;

        i->exited = true;
        (void) sd_event_source_set_enabled(s, SD_EVENT_OFF);
        read_rest(c, i);
        lose(c, i, GCS_REASON_EXITED, "its process ended");
        grace_exited(&c->graces, i->gcs_id);
        for (Client *k = c->first; k; k = k->next)
                if (k->state == CLIENT_WAITING)
                        start_registration(c, k);
        c->handlers->settle(c->userdata);
        return 0;
}

static void take_in(Clients *c, int fd_taken) {
        uint32_t n_held;
        Client *i;
        int r;

        if (c->stopped) {
                (void) safe_close(fd_taken);
                return;
        }
        if (!admission_judge(c, fd_taken))
                return;
        r = client_new(c, fd_taken, on_client_io, on_client_exit, &i);
        if (r >= 0)
                return;
        (void) safe_close(fd_taken);
        /* It is gone already. */
        if (r == -ECONNRESET || r == -ESRCH)
                return;
        if (log_rate_pass(&c->admission_rate, now_boottime_usec(), &n_held))
                log_warning_errno(r, "cannot take in a client, ignoring it: %m");
}

/* Several at a time: who connects again and again is not to keep others waiting before us. */
static int on_listen(sd_event_source *s, int listen_fd, uint32_t revents, void *userdata) {
        Clients *c = userdata;

        for (unsigned n = 0; n < ACCEPT_ROUND; n++) {
                int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd < 0)
                        return 0;
                take_in(c, fd);
        }
        return 0;
}

/* ---- Settling: towards gcs and the sockets ---- */

static GcsVerdict feed_payload(Clients *c, Client *i, const InFrame *f) {
        if (f->type == PROTO_SEND)
                return c->handlers->feed(
                                c->userdata,
                                &(GcsEvent){
                                                .type = GCS_EVENT_SEND,
                                                .send = { .client = i->gcs_id,
                                                          .payload = slice_of(f->payload),
                                                          .later = f->later,
                                                          .more = f->more },
                                });
        return c->handlers->feed(
                        c->userdata,
                        &(GcsEvent){
                                        .type = GCS_EVENT_SNAPSHOT,
                                        .snapshot = {
                                                .client = i->gcs_id,
                                                .newcomer = f->newcomer,
                                                .point = f->point,
                                                .payload = slice_of(f->payload),
                                                .last = !f->more,
                                        },
                        });
}

/* The step may drop the frame. */
static GcsVerdict feed_counted(Clients *c, Client *i, const InFrame *f) {
        bool send = f->type == PROTO_SEND, more = f->more;
        size_t size_bytes = f->payload->size_bytes;
        GcsVerdict verdict;

        if (send)
                tally_fed(&i->tally, f->since_usec);
        verdict = feed_payload(c, i, f);
        if (send && verdict != GCS_VERDICT_QUEUED)
                tally_not_fed(&i->tally);
        switch (verdict) {
        case GCS_VERDICT_QUEUED:
                if (!send && !more)
                        tally_snapshot(&i->tally, true);
                break;
        case GCS_VERDICT_WINDOW_FULL:
                tally_full(&i->tally);
                break;
        case GCS_VERDICT_NOT_MEMBER:
        case GCS_VERDICT_TOO_LONG:
                if (send)
                        tally_lost(&i->tally, size_bytes, more);
                break;
        }
        return verdict;
}

static void unregister(Clients *c, Client *i) {
        client_drop_in(i, &i->sent);
        if (i->state == CLIENT_WAITING)
                client_unregistered(i);
        if (i->state != CLIENT_REGISTERING && i->state != CLIENT_MEMBER)
                return;
        i->state = CLIENT_UNREGISTERING;
        (void) c->handlers->feed(
                        c->userdata,
                        &(GcsEvent){
                                        .type = GCS_EVENT_UNREGISTER,
                                        .unregister = { .client = i->gcs_id },
                        });
}

static void pump(Clients *c, Client *i, InQueue *q) {
        InFrame *f;

        while ((f = q->first) && !q->full) {
                if (f->type == PROTO_UNREGISTER) {
                        if (i->given.first)
                                return;
                        unregister(c, i);
                        continue;
                }
                if (f->generation == i->generation) {
                        GcsVerdict verdict;

                        if (i->state != CLIENT_MEMBER)
                                return; /* registering, or shut out: until it is a member again */
                        verdict = feed_counted(c, i, f);
                        if (verdict == GCS_VERDICT_WINDOW_FULL) {
                                q->full = true;
                                return;
                        }
                        /* The effects of this very step may have dropped the frame. */
                        if (q->first != f)
                                continue;
                        if (verdict == GCS_VERDICT_TOO_LONG) {
                                expel(c, i, -EMSGSIZE, GCS_REASON_EXPELLED, "sent a piece that is too long");
                                return;
                        }
                } else if (f->type == PROTO_SEND)
                        tally_lost(&i->tally, f->payload->size_bytes, f->more);
                client_drop_in(i, q);
        }
}

static size_t queue_bytes_max(const Client *i) {
        return i->registered ? CLIENT_QUEUE_BYTES_MAX : i->left_bytes + CLIENT_ANSWERS_BYTES_MAX;
}

/* However often it was asked for, there is one at a time, and none for somebody who takes nothing. */
static int answer_membership(Clients *c, Client *i) {
        if (!i->membership_asked || i->out.first || i->urgent.first)
                return 0;
        i->membership_asked = false;
        c->handlers->membership(c->userdata, &c->membership);
        client_put(i, &(ProtoFrame){ .type = PROTO_MEMBERSHIP, .membership = &c->membership });
        return client_write(i);
}

static void show_member(const Client *i, uint64_t now_usec, ProtoGroup *g) {
        FOREACH_ARRAY(m, g->members, g->n_members)
                if (m->id.node_id == i->id.node && m->id.incarnation == i->id.incarnation &&
                    m->id.number == i->id.number) {
                        m->pid = (uint32_t) i->pid;
                        tally_show_member(&i->tally, now_usec, m);
                        if (m->window_usec == 0 && i->sent.first && i->sent.first->type == PROTO_SEND)
                                m->window_usec = usec_sub(now_usec, i->sent.first->since_usec);
                        if (i->held.first)
                                m->waiting_usec = usec_sub(now_usec, i->held.first->since_usec);
                        if (i->out.first)
                                m->waiting_usec = usec_sub(now_usec, i->out.first->since_usec);
                }
}

static bool is_group_of_client(const Client *i, const char *name) {
        return i->state != CLIENT_LOST && i->tally.group && streq(i->tally.group->name, name);
}

/* False: the slot is free. */
static bool show_group(Clients *c, unsigned slot, ProtoGroup *ret) {
        uint64_t now_usec = now_boottime_usec();
        const GcsMember *members;
        const char *name;
        size_t n;

        *ret = (ProtoGroup){ 0 };
        n = c->handlers->group(c->userdata, slot, &name, &members);
        if (n == 0)
                return false;
        (void) snprintf(ret->name, sizeof(ret->name), "%s", name);
        FOREACH_ARRAY(m, members, MIN(n, (size_t) PROTO_MEMBERS_MAX)) {
                ProtoGroupMember *p = &ret->members[ret->n_members++];

                p->id = (ProtoMemberId){ m->id.node, m->id.incarnation, m->id.number };
                p->seniority = m->seniority;
                p->critical = m->critical;
                (void) snprintf(p->name, sizeof(p->name), "%s", m->name);
        }
        FOREACH_ARRAY(g, c->tally.groups, GCS_GROUPS_MAX)
                if (streq(g->name, name))
                        tally_show_group(g, ret);
        for (const Client *i = c->first; i; i = i->next)
                if (is_group_of_client(i, name))
                        show_member(i, now_usec, ret);
        return true;
}

/* As the membership: one group at a time, and none for somebody who takes nothing. */
static int answer_groups(Clients *c, Client *i) {
        while (i->groups_asked && !i->out.first && !i->urgent.first) {
                int r;

                while (i->groups_told < GCS_GROUPS_MAX && !show_group(c, i->groups_told, &c->counted))
                        i->groups_told++;
                i->groups_asked = i->groups_told++ < GCS_GROUPS_MAX;
                if (!i->groups_asked) {
                        i->groups_told = 0;
                        c->counted = (ProtoGroup){ 0 };
                }
                client_put(i, &(ProtoFrame){ .type = PROTO_GROUP, .counted = &c->counted });
                r = client_write(i);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void settle_client(Clients *c, Client *i) {
        if (i->state == CLIENT_LOST)
                return;
        if (i->no_memory || i->queued_bytes > queue_bytes_max(i)) {
                expel(c, i, -ENOBUFS, GCS_REASON_EXPELLED, "took too slowly what was delivered");
                return;
        }
        pump(c, i, &i->given);
        if (i->state != CLIENT_LOST)
                pump(c, i, &i->sent);
        if (i->state == CLIENT_LOST)
                return;
        if (client_write(i) < 0 || answer_membership(c, i) < 0 || answer_groups(c, i) < 0) {
                read_rest(c, i);
                lose(c, i, GCS_REASON_EXITED, "closed its connection");
                return;
        }
        if (i->consumed_messages > 0) {
                GcsEvent e = {
                        .type = GCS_EVENT_CONSUMED,
                        .consumed = {
                                .client = i->gcs_id,
                                .n_messages = TAKE_GENERIC(i->consumed_messages, uint32_t, 0),
                                .n_bytes = TAKE_GENERIC(i->consumed_bytes, uint64_t, 0),
                        },
                };

                (void) c->handlers->feed(c->userdata, &e);
        }
}

static bool is_watched(const Client *i) {
        return i->liveliness_usec > 0 && (i->state == CLIENT_REGISTERING || i->state == CLIENT_MEMBER);
}

static void clients_arm(Clients *c) {
        uint64_t due_usec = grace_wakeup_usec(&c->graces), now_usec = now_boottime_usec();

        for (Client *i = c->first; i; i = i->next)
                if (is_watched(i))
                        due_usec = MIN(due_usec, i->ping_due_usec == 0 ? now_usec : i->ping_due_usec);
        if (due_usec == c->due_usec)
                return;
        c->due_usec = due_usec;
        (void) event_timer_at(c->timer, due_usec);
}

/* Feeding makes clients dirty again, so it is gone round until nobody is; what a client can take is bounded.
 */
void clients_settle(Clients *c) {
        bool again = true;

        for (unsigned round = 0; again && round < 1000; round++) {
                again = false;
                for (Client *i = c->first; i; i = i->next) {
                        if (!i->dirty)
                                continue;
                        i->dirty = false;
                        again = true;
                        settle_client(c, i);
                }
        }
        reap(c);
        clients_arm(c);
}

bool clients_have_critical(const Clients *c) {
        for (const Client *i = c->first; i; i = i->next)
                if (client_matters(i))
                        return true;
        return false;
}

/* ---- Effects of gcs ---- */

static const char *refusal_text(GcsRefusal refusal, int *ret_error) {
        switch (refusal) {
        case GCS_REFUSAL_NAME:
                *ret_error = -EINVAL;
                return "not a valid name";
        case GCS_REFUSAL_CLIENTS_FULL:
                *ret_error = -EUSERS;
                return "too many members on this node";
        case GCS_REFUSAL_NAME_IN_USE:
                *ret_error = -EEXIST;
                return "another member of this group on this node has this name";
        case GCS_REFUSAL_GROUPS_FULL:
                *ret_error = -ENOSPC;
                return "too many groups in the cluster";
        case GCS_REFUSAL_GROUP_FULL:
                *ret_error = -ENOSPC;
                return "too many members in the group";
        }
        *ret_error = -EPROTO;
        return "refused";
}

static void on_refused(Clients *c, Client *i, GcsRefusal refusal) {
        const char *text;
        int error;

        text = refusal_text(refusal, &error);
        if (client_matters(i)) {
                i->successor = false;
                begin_grace(c, i, false);
        }
        refuse(i, error, text);
}

static bool is_counted(const TallyGroup *group, void *userdata) {
        Clients *c = userdata;

        for (const Client *i = c->first; i; i = i->next)
                if (i->state != CLIENT_LOST && i->tally.group == group)
                        return true;
        return false;
}

static void on_registered(Client *i, const GcsMemberId *id) {
        Clients *c = i->clients;
        bool again = i->registered;

        if (!again)
                tally_begin(&i->tally,
                            tally_group(&c->tally, i->identity.group, c->now_usec, is_counted, c));

        i->id = *id;
        if (i->state == CLIENT_REGISTERING)
                i->state = CLIENT_MEMBER;
        i->registered = true;
        if (!again)
                client_registered(i, 0, "");
}

void clients_effect(Clients *c, const GcsEffect *e) {
        Client *i = find(c, e->client);

        if (!i)
                return;
        switch (e->type) {
        case GCS_EFFECT_REGISTERED:
                on_registered(i, &e->registered.id);
                break;
        case GCS_EFFECT_REFUSED:
                on_refused(c, i, e->refused.reason);
                break;
        case GCS_EFFECT_UNREGISTERED:
                client_unregistered(i);
                break;
        case GCS_EFFECT_EXPELLED:
                tally_expelled(&i->tally);
                /* gcs has forgotten it already; with a critical one RESET_NODE comes too. */
                client_goodbye(i, -ENOBUFS, "took too slowly what was delivered");
                i->state = CLIENT_LOST;
                client_disconnect(i);
                break;
        case GCS_EFFECT_CREDIT:
                i->sent.full = i->given.full = false;
                break;
        case GCS_EFFECT_VIEW:
                frame_fill_view(&c->frame, e, &i->id);
                client_deliver(i, &c->frame, e->held, 0);
                tally_view(&i->tally, e, c->now_usec);
                break;
        case GCS_EFFECT_MESSAGE:
                frame_fill_message(&c->frame, e);
                client_deliver(i, &c->frame, e->held, e->message.payload.size_bytes);
                tally_message(&i->tally, e, c->now_usec);
                break;
        case GCS_EFFECT_SNAPSHOT_REQUEST:
                frame_fill_snapshot_request(&c->frame, e);
                client_put(i, &c->frame);
                break;
        case GCS_EFFECT_SNAPSHOT:
                frame_fill_snapshot(&c->frame, e);
                client_deliver(i, &c->frame, false, e->snapshot.payload.size_bytes);
                if (e->snapshot.last && !e->snapshot.none)
                        tally_snapshot(&i->tally, false);
                break;
        case GCS_EFFECT_RELEASE:
                client_release_held(i);
                break;
        case GCS_EFFECT_DROP_HELD:
                client_drop_held(i);
                break;
        case GCS_EFFECT_FROZEN:
                client_put(i, frame_begin(&c->frame, PROTO_FROZEN));
                break;
        case GCS_EFFECT_SHUT_OUT:
                client_shut_out(i);
                break;
        case GCS_EFFECT_SEND:
        case GCS_EFFECT_STORE:
        case GCS_EFFECT_RESET_NODE:
        case GCS_EFFECT_STALLED:
        case GCS_EFFECT_TRACE:
                break;
        }
        client_mark_dirty(i);
}

/* ---- Time ---- */

static void check_liveliness(Clients *c, Client *i, uint64_t now_usec) {
        if (!is_watched(i))
                return;
        if (i->ping_due_usec == 0)
                i->ping_due_usec = now_usec + i->liveliness_usec / 4;
        if (now_usec < i->ping_due_usec)
                return;
        if (i->pinging) {
                expel(c, i, -ETIMEDOUT, GCS_REASON_UNRESPONSIVE, "did not answer in time");
                return;
        }
        i->pinging = true;
        i->ping_due_usec = now_usec + i->liveliness_usec;
        client_ping(i);
}

static int on_timer(sd_event_source *s, uint64_t unused, void *userdata) {
        Clients *c = userdata;
        uint64_t now_usec = now_boottime_usec(), late_usec = usec_sub(now_usec, c->due_usec);
        const Grace *g;

        c->due_usec = USEC_INFINITY;
        for (Client *i = c->first; i; i = i->next) {
                if (late_usec > LATE_USEC && i->pinging)
                        i->ping_due_usec += late_usec;
                check_liveliness(c, i, now_usec);
        }
        g = grace_expired(&c->graces, now_usec);
        if (g && !c->stopped) {
                char why[PROTO_TEXT_MAX];

                (void) snprintf(why,
                                sizeof(why),
                                "critical member %s of group %s is lost and no successor came in time",
                                g->identity.name,
                                g->identity.group);
                c->handlers->fail(c->userdata, why);
        }
        c->handlers->settle(c->userdata);
        return 0;
}

/* ---- Making ---- */

void clients_set_cluster(Clients *c, const ProtoCluster *cluster) {
        c->cluster = *cluster;
        c->cluster_known = true;
        for (Client *i = c->first; i; i = i->next)
                if (i->state != CLIENT_NEW && i->state != CLIENT_LOST)
                        client_put(i, &(ProtoFrame){ .type = PROTO_CLUSTER, .cluster = &c->cluster });
}

void clients_set_now(Clients *c, uint64_t now_usec) {
        c->now_usec = now_usec;
}

void clients_set_conf(Clients *c, const ClusterConf *conf) {
        c->conf = conf;
}

void clients_stop(Clients *c, const char *why) {
        c->stopped = true;
        for (Client *i = c->first; i; i = i->next)
                if (i->state != CLIENT_LOST)
                        client_goodbye(i, -ESHUTDOWN, why);
}

int clients_new(sd_event *event,
                int listen_fd,
                const ClientsHandlers *handlers,
                void *userdata,
                Clients **ret) {
        _cleanup_(clients_freep) Clients *c = NULL;
        int r;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->listen_fd = -EBADF;
        c->event = event;
        c->handlers = handlers;
        c->userdata = userdata;
        c->due_usec = USEC_INFINITY;
        c->frame.view = &c->view;
        c->limits = (ClientLimits){ CLIENTS_MAX, CLIENTS_PER_USER_MAX };
        c->admission_rate = (LogRate){ .interval_usec = USEC_PER_MINUTE, .burst = 5 };
        c->lost_rate = (LogRate){ .interval_usec = USEC_PER_MINUTE, .burst = 100 };
        c->access_rate = (LogRate){ .interval_usec = USEC_PER_MINUTE, .burst = 5 };
        r = event_timer_new(event, "clients", on_timer, c, &c->timer);
        if (r < 0)
                return r;
        r = event_io_new(event, "listen", listen_fd, EPOLLIN, on_listen, c, &c->source);
        if (r < 0)
                return r;
        c->listen_fd = listen_fd;
        *ret = TAKE_PTR(c);
        return 0;
}

Clients *clients_free(Clients *c) {
        if (!c)
                return NULL;
        while (c->first)
                client_free(c->first);
        (void) sd_event_source_disable_unref(c->source);
        (void) sd_event_source_disable_unref(c->timer);
        (void) safe_close(c->listen_fd);
        free(c);
        return NULL;
}
