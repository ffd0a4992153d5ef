/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

#include "basic/time-util.h"
#include "hagcd/client.h"
#include "hagcd/view-frame.h"
#include "libhagcs/gather.h"
#include "shared/event-util.h"

/* ---- Queues ---- */

static void queue_append(ClientQueue *q, ClientFrame *f) {
        if (q->last)
                q->last->next = f;
        else
                q->first = f;
        q->last = f;
}

static ClientFrame *queue_take(ClientQueue *q) {
        ClientFrame *f = q->first;

        assert(f);
        q->first = f->next;
        if (!q->first)
                q->last = NULL;
        f->next = NULL;
        return f;
}

/* What it takes of our memory. */
static size_t frame_bytes(const ClientFrame *f) {
        return sizeof(*f) + f->size_bytes;
}

static void consumed(Client *i, const ClientFrame *f) {
        tally_taken(&i->tally, f->message, f->payload_bytes);
        i->queued_bytes -= frame_bytes(f);
        if (f->delivery) {
                i->consumed_messages++;
                i->consumed_bytes += f->payload_bytes;
        }
}

static void queue_clear(Client *i, ClientQueue *q) {
        while (q->first) {
                ClientFrame *f = queue_take(q);

                consumed(i, f);
                free(f);
        }
}

static void put(Client *i, ClientQueue *q, const ProtoFrame *f, bool delivery, size_t payload_bytes) {
        ClientFrame *frame;
        ssize_t n;

        if (i->state == CLIENT_LOST)
                return;
        n = proto_encode(f, i->clients->out_buf, sizeof(i->clients->out_buf));
        frame = n < 0 ? NULL : malloc(sizeof(ClientFrame) + GATHER_LENGTH_BYTES + (size_t) n);
        client_mark_dirty(i);
        if (!frame) {
                i->no_memory = true;
                return;
        }
        *frame = (ClientFrame){
                .delivery = delivery,
                .payload_bytes = (uint32_t) payload_bytes,
                .size_bytes = GATHER_LENGTH_BYTES + (size_t) n,
        };
        memcpy(frame->data + GATHER_LENGTH_BYTES, i->clients->out_buf, (size_t) n);
        i->queued_bytes += frame_bytes(frame);
        queue_append(q, frame);
        frame->since_usec = i->clients->now_usec;
        frame->message = f->type == PROTO_MESSAGE && !f->more;
        tally_waits(&i->tally, frame->message, payload_bytes);
}

void client_put(Client *i, const ProtoFrame *f) {
        put(i, &i->out, f, false, 0);
}

void client_deliver(Client *i, const ProtoFrame *f, bool held, size_t payload_bytes) {
        put(i, held ? &i->held : &i->out, f, true, payload_bytes);
}

void client_release_held(Client *i) {
        while (i->held.first)
                queue_append(&i->out, queue_take(&i->held));
}

/* gcs counts what is held apart, so it is not told that this was consumed. */
void client_drop_held(Client *i) {
        while (i->held.first) {
                ClientFrame *f = queue_take(&i->held);

                tally_taken(&i->tally, f->message, f->payload_bytes);
                i->queued_bytes -= frame_bytes(f);
                free(f);
        }
}

void client_welcome(Client *i) {
        ProtoFrame *f = frame_begin(&i->clients->frame, PROTO_WELCOME);

        f->version = PROTO_VERSION;
        client_put(i, f);
        if (i->clients->cluster_known)
                client_put(i, &(ProtoFrame){ .type = PROTO_CLUSTER, .cluster = &i->clients->cluster });
}

void client_registered(Client *i, int error, const char *text) {
        ProtoFrame *f = frame_begin(&i->clients->frame, PROTO_REGISTERED);

        f->error = error;
        f->generation = i->generation;
        f->member_id = (ProtoMemberId){ i->id.node, i->id.incarnation, i->id.number };
        (void) snprintf(f->text, sizeof(f->text), "%s", text);
        client_put(i, f);
}

void client_not_member(Client *i) {
        i->state = CLIENT_CONNECTED;
        i->critical = false;
        i->registered = false;
        i->left_bytes = i->queued_bytes;
        i->tally.group = NULL;
}

void client_unregistered(Client *i) {
        client_not_member(i);
        i->pinging = false;
        client_drop_held(i);
        client_put(i, frame_begin(&i->clients->frame, PROTO_UNREGISTERED));
}

static void shut_out_tally(Client *i) {
        uint64_t n_messages = 0, n_bytes = 0;

        for (const InFrame *in = i->sent.first; in; in = in->next)
                if (in->type == PROTO_SEND) {
                        n_messages += !in->more;
                        n_bytes += in->payload->size_bytes;
                }
        tally_shut_out(&i->tally, n_messages, n_bytes);
}

void client_shut_out(Client *i) {
        ProtoFrame *f = frame_begin(&i->clients->frame, PROTO_SHUT_OUT);

        /* What comes with the old number was sent for an order that is no more. */
        i->generation++;
        i->sent.full = i->given.full = false;
        shut_out_tally(i);
        if (i->state == CLIENT_MEMBER)
                i->state = CLIENT_REGISTERING;
        client_drop_held(i);
        f->generation = i->generation;
        client_put(i, f);
}

void client_ping(Client *i) {
        ProtoFrame *f = frame_begin(&i->clients->frame, PROTO_PING);

        f->number = ++i->ping_number;
        put(i, &i->urgent, f, false, 0);
}

void client_goodbye(Client *i, int error, const char *text) {
        ProtoFrame *f = frame_begin(&i->clients->frame, PROTO_GOODBYE);
        ssize_t n;

        if (i->fd < 0)
                return;
        f->error = error;
        (void) snprintf(f->text, sizeof(f->text), "%s", text);
        n = proto_encode(f, i->clients->out_buf, sizeof(i->clients->out_buf));
        if (n > 0)
                (void) send(i->fd, i->clients->out_buf, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ClientFrame *gather(Gather *g, ClientFrame *first) {
        while (first && gather_add(g, first->data, first->size_bytes))
                first = first->next;
        return first;
}

static void drop_written(Client *i, ClientQueue *q, const ClientFrame *end) {
        while (q->first != end) {
                ClientFrame *f = queue_take(q);

                consumed(i, f);
                free(f);
        }
}

/* As many as go in one packet. */
static int write_some(Client *i) {
        ClientFrame *urgent_end, *out_end = i->out.first;
        Gather g;
        int r;

        gather_begin(&g);
        urgent_end = gather(&g, i->urgent.first);
        if (!urgent_end)
                out_end = gather(&g, i->out.first);
        r = gather_send(&g, i->fd);
        if (r < 0)
                return r;
        drop_written(i, &i->urgent, urgent_end);
        drop_written(i, &i->out, out_end);
        return 0;
}

/* Whoever waits for credit lacks so much that most of it is still to come: no frame costs more than what a
 * client has when only a little is kept back. */
#define CREDIT_WORTH (PROTO_WINDOW_BYTES / 4)
_Static_assert(PROTO_PIECE_MAX + PROTO_PIECE_COST + PROTO_SNAPSHOT_BYTES <=
                               PROTO_WINDOW_BYTES - CREDIT_WORTH,
               "a client must not wait for credit that is kept back");

/* In one sum, once there is room for it: who gives no room could make many of them. A little is not worth a
 * packet and a wake-up of its own; it goes with what is written anyway. */
static void put_credit(Client *i) {
        ProtoFrame *f;

        if (i->credit_back == 0 || i->urgent.first ||
            (i->credit_back < CREDIT_WORTH && !i->out.first && !i->credit_awaited))
                return;
        i->credit_awaited = false;
        f = frame_begin(&i->clients->frame, PROTO_CREDIT);
        f->number = TAKE_GENERIC(i->credit_back, uint64_t, 0);
        put(i, &i->urgent, f, false, 0);
        i->dirty = i->no_memory; /* it is written right now */
}

int client_write(Client *i) {
        bool was_blocked = i->blocked;
        int r = 0;

        i->blocked = false;
        put_credit(i);
        while ((i->urgent.first || i->out.first) && !i->blocked && r == 0) {
                r = write_some(i);
                if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM) {
                        i->blocked = true;
                        r = 0;
                } else if (r == 0)
                        put_credit(i);
        }
        if (r >= 0 && i->blocked != was_blocked)
                r = sd_event_source_set_io_events(i->source, EPOLLIN | (i->blocked ? EPOLLOUT : 0));
        return r;
}

/* ---- In ---- */

int client_take_in(Client *i, const ProtoFrame *f) {
        InQueue *q = f->type == PROTO_GIVE_SNAPSHOT ? &i->given : &i->sent;
        InFrame *in;

        /* It costs no credit, and so comes once. */
        if (f->type == PROTO_UNREGISTER && client_asked_to_leave(i))
                return -EPROTO;
        in = calloc(1, sizeof(*in));
        if (!in)
                return -ENOMEM;
        in->type = f->type;
        if (proto_type_is_payload(f->type)) {
                in->cost = (uint32_t) f->size_bytes + PROTO_PIECE_COST;
                in->generation = f->generation;
                in->later = f->later;
                in->more = f->more;
                in->newcomer = (GcsMemberId){ f->member_id.node_id,
                                              f->member_id.incarnation,
                                              f->member_id.number };
                in->point = f->point;
                in->payload = buffer_new_copy(f->data, f->size_bytes);
        }
        if (i->in_cost + in->cost > PROTO_WINDOW_BYTES || (in->cost > 0 && !in->payload)) {
                (void) buffer_unref(in->payload);
                free(in);
                return -EPROTO;
        }
        if (q->last)
                q->last->next = in;
        else
                q->first = in;
        q->last = in;
        i->in_cost += in->cost;
        client_mark_dirty(i);
        if (f->type == PROTO_SEND) {
                in->since_usec = now_boottime_usec();
                tally_sent(&i->tally, f->size_bytes, f->more);
        }
        return 0;
}

void client_drop_in(Client *i, InQueue *q) {
        InFrame *in = q->first;

        q->first = in->next;
        if (!q->first)
                q->last = NULL;
        i->in_cost -= in->cost;
        i->credit_back += in->cost;
        i->credit_awaited |= in->type == PROTO_GIVE_SNAPSHOT;
        (void) buffer_unref(in->payload);
        free(in);
}

bool client_asked_to_leave(const Client *i) {
        for (const InFrame *in = i->sent.first; in; in = in->next)
                if (in->type == PROTO_UNREGISTER)
                        return true;
        return false;
}

/* ---- Making ---- */

void client_mark_dirty(Client *i) {
        i->dirty = true;
}

/* The control group stands for the systemd unit; "" where it cannot be read, which then matches only the
 * same. */
static void read_unit(pid_t pid, char ret[static GRACE_UNIT_MAX]) {
        _cleanup_close_ int fd = -EBADF;
        char path[64], *line, *end;
        char text[1024];
        ssize_t n;

        ret[0] = '\0';
        (void) snprintf(path, sizeof(path), "/proc/%d/cgroup", (int) pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        n = read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return;
        text[n] = '\0';
        line = strstr(text, "0::");
        if (!line)
                return;
        line += 3;
        end = strchr(line, '\n');
        if (end)
                *end = '\0';
        (void) snprintf(ret, GRACE_UNIT_MAX, "%s", line);
}

static bool still_connected(int fd) {
        struct pollfd p = { .fd = fd };

        return poll(&p, 1, 0) >= 0 && !(p.revents & (POLLHUP | POLLERR));
}

/* For a few long frames. Many short ones fit too, and a ping comes behind them: so it is not more, or a
 * member that takes a while for each of them would seem to be dead. */
#define SEND_BUFFER_BYTES (128 * 1024)

int client_new(Clients *c,
               int fd,
               sd_event_io_handler_t on_io,
               sd_event_io_handler_t on_exit,
               Client **ret) {
        struct ucred cred;
        socklen_t n = sizeof(cred);
        int size = SEND_BUFFER_BYTES;
        Client *i;
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
                return -errno;
        i = calloc(1, sizeof(*i));
        if (!i)
                return -ENOMEM;
        i->clients = c;
        i->fd = -EBADF;
        i->pid = cred.pid;
        i->identity.uid = cred.uid;
        i->next = c->first;
        if (i->next)
                i->next->previous = i;
        c->first = i;
        c->n_clients++;

        /* The number may have been given to another process since it connected; a peer that is still
         * connected after the pidfd was made has kept it. */
        i->pidfd = pidfd_open(cred.pid, 0);
        r = i->pidfd < 0 ? -errno : 0;
        if (r >= 0 && !still_connected(fd))
                r = -ECONNRESET;
        if (r >= 0)
                r = event_pidfd_new(c->event, "client process", i->pidfd, on_exit, i, &i->pidfd_source);
        if (r >= 0)
                r = event_io_new(c->event, "client", fd, EPOLLIN, on_io, i, &i->source);
        if (r < 0) {
                client_free(i);
                return r;
        }
        read_unit(cred.pid, i->identity.unit);
        (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
        i->fd = fd;
        *ret = i;
        return 0;
}

void client_disconnect(Client *i) {
        i->source = sd_event_source_disable_unref(i->source);
        i->fd = safe_close(i->fd);
        queue_clear(i, &i->urgent);
        queue_clear(i, &i->out);
        queue_clear(i, &i->held);
        while (i->sent.first)
                client_drop_in(i, &i->sent);
        while (i->given.first)
                client_drop_in(i, &i->given);
}

Client *client_free(Client *i) {
        if (!i)
                return NULL;
        client_disconnect(i);
        (void) sd_event_source_disable_unref(i->pidfd_source);
        (void) safe_close(i->pidfd);
        if (i->previous)
                i->previous->next = i->next;
        else
                i->clients->first = i->next;
        if (i->next)
                i->next->previous = i->previous;
        i->clients->n_clients--;
        free(i);
        return NULL;
}
