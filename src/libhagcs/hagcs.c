/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#pragma GCC visibility push(default)
#include "libhagcs/hagcs.h"
#pragma GCC visibility pop

#include "libhagcs/gather.h"
#include "libhagcs/inbox.h"
#include "libhagcs/outbox.h"
#include "libhagcs/proto.h"

_Static_assert(HAGCS_CRITICAL == PROTO_CRITICAL, "flags travel as they are");
_Static_assert(HAGCS_WANT_SNAPSHOT == PROTO_WANT_SNAPSHOT, "flags travel as they are");
_Static_assert((int) HAGCS_NODE_UNKNOWN == (int) PROTO_NODE_UNKNOWN, "states travel as they are");
_Static_assert((int) HAGCS_NODE_UP == (int) PROTO_NODE_UP, "states travel as they are");
_Static_assert((int) HAGCS_NODE_DOWN == (int) PROTO_NODE_DOWN, "states travel as they are");
_Static_assert((int) HAGCS_NODE_INACTIVE == (int) PROTO_NODE_INACTIVE, "states travel as they are");
_Static_assert((int) HAGCS_NODE_DETACHED == (int) PROTO_NODE_DETACHED, "states travel as they are");
_Static_assert((int) HAGCS_QUORUM_NONE == (int) PROTO_QUORUM_NONE, "quorums travel as they are");
_Static_assert((int) HAGCS_QUORUM_HALF == (int) PROTO_QUORUM_HALF, "quorums travel as they are");
_Static_assert((int) HAGCS_QUORUM_YES == (int) PROTO_QUORUM_YES, "quorums travel as they are");
_Static_assert((int) HAGCS_LEFT_UNREGISTERED == (int) PROTO_LEFT_UNREGISTERED, "reasons travel as they are");
_Static_assert((int) HAGCS_LEFT_EXITED == (int) PROTO_LEFT_EXITED, "reasons travel as they are");
_Static_assert((int) HAGCS_LEFT_UNRESPONSIVE == (int) PROTO_LEFT_UNRESPONSIVE, "reasons travel as they are");
_Static_assert((int) HAGCS_LEFT_EXPELLED == (int) PROTO_LEFT_EXPELLED, "reasons travel as they are");
_Static_assert((int) HAGCS_LEFT_NODE_LOST == (int) PROTO_LEFT_NODE_LOST, "reasons travel as they are");
_Static_assert((int) HAGCS_LEFT_SHUT_OUT == (int) PROTO_LEFT_SHUT_OUT, "reasons travel as they are");

_Static_assert((int) HAGCS_LINK_GOOD == (int) PROTO_LINK_GOOD, "states of links travel as they are");
_Static_assert((int) HAGCS_LINK_SILENT == (int) PROTO_LINK_SILENT, "states of links travel as they are");
_Static_assert((int) HAGCS_LINK_ONE_WAY == (int) PROTO_LINK_ONE_WAY, "states of links travel as they are");
_Static_assert((int) HAGCS_LINK_NARROW == (int) PROTO_LINK_NARROW, "states of links travel as they are");
_Static_assert((int) HAGCS_LINK_TOO_NARROW == (int) PROTO_LINK_TOO_NARROW,
               "states of links travel as they are");
_Static_assert((int) HAGCS_LINK_NO_CARRIER == (int) PROTO_LINK_NO_CARRIER,
               "states of links travel as they are");
_Static_assert((int) HAGCS_MOVE_JOINED == (int) PROTO_MOVE_JOINED, "moves travel as they are");
_Static_assert((int) HAGCS_MOVE_LEFT == (int) PROTO_MOVE_LEFT, "moves travel as they are");
_Static_assert((int) HAGCS_MOVE_PROVEN == (int) PROTO_MOVE_PROVEN, "moves travel as they are");
_Static_assert(HAGCS_USEC_UNKNOWN == PROTO_USEC_UNKNOWN, "what is not known travels as it is");
_Static_assert(HAGCS_LINKS_MAX == PROTO_LINKS_MAX, "all links are shown");
_Static_assert(HAGCS_CHANGES_MAX == PROTO_CHANGES_MAX, "all changes are shown");

/* Messages waiting here before hagcs_send() says -EAGAIN; one message always fits. */
#define SEND_QUEUE_BYTES (1024U * 1024U)
#define SEND_QUEUE_LOW_BYTES (SEND_QUEUE_BYTES / 2)
#define REQUESTS_MAX 32U

typedef enum HandleState {
        HANDLE_IDLE,
        HANDLE_REGISTERING,
        HANDLE_MEMBER,
        HANDLE_UNREGISTERING,
} HandleState;

typedef struct SnapshotRequest {
        uint64_t id; /* 0: free */
        ProtoMemberId newcomer;
        uint64_t point;
        void *begun; /* owned: messages under way at that point */
        size_t begun_bytes;
} SnapshotRequest;

struct hagcs {
        int fd;
        HandleState state;
        bool ended;     /* DISCONNECTED was given */
        int ended_with; /* why hagcd said goodbye, */
        char ended_text[PROTO_TEXT_MAX];

        Outbox out;
        uint32_t generation;
        bool want_writable;

        uint64_t *cookies; /* owned: of messages not seen back yet, a ring */
        size_t cookies_first, n_cookies, cookies_allocated;

        uint8_t buf[PROTO_FRAME_MAX];
        GatherReader reader; /* what is left in it */
        ProtoFrame frame;
        bool reset;      /* hagcd has not read all: that is said once, before its last words */
        bool frame_held; /* could not be worked on for lack of memory */

        Inbox in;
        SnapshotRequest requests[REQUESTS_MAX];
        uint64_t last_request;

        ProtoCluster cluster_in;    /* decoded into, */
        ProtoCluster cluster_proto; /* and what the public view below points to */
        ProtoView view_in;
        hagcs_cluster cluster;
        ProtoConfiguration configuration_proto; /* what the next points to */
        hagcs_configuration configuration;
        hagcs_node cluster_nodes[PROTO_NODES_MAX];

        bool membership_known;
        ProtoMembership membership_in;
        hagcs_membership membership; /* and below what it is asked for in parts */
        hagcs_peer membership_peers[PROTO_NODES_MAX];
        hagcs_link membership_links[PROTO_NODES_MAX][PROTO_LINKS_MAX];
        hagcs_change membership_changes[PROTO_CHANGES_MAX];
        hagcs_moved membership_moved[PROTO_CHANGES_MAX][2 * PROTO_NODES_MAX];

        ProtoGroup counted_in;
        hagcs_group group;
        hagcs_member_counts group_members[PROTO_MEMBERS_MAX];

        uint32_t n_members;
        ProtoMember members[PROTO_MEMBERS_MAX]; /* of the last view, for the names of senders */

        hagcs_event event;
        hagcs_member view_members[PROTO_MEMBERS_MAX];
        hagcs_member view_joined[PROTO_MEMBERS_MAX];
        hagcs_member view_left[PROTO_MEMBERS_MAX];
        hagcs_node view_nodes[PROTO_NODES_MAX];
};

static hagcs_mid mid_of(const ProtoMid *m) {
        return (hagcs_mid){ .epoch = m->epoch, .node_id = m->node_id };
}

/* ---- Open and close ---- */

static int put_control(hagcs *h, const ProtoFrame *f) {
        uint8_t scratch[512];

        return out_queue_add(&h->out.control, f, scratch, sizeof(scratch));
}

int hagcs_open_fd(int fd, hagcs **ret) {
        ProtoFrame hello = { .type = PROTO_HELLO };
        hagcs *h;
        int flags, r;

        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;

        h = calloc(1, sizeof(*h));
        if (!h)
                return -ENOMEM;
        h->fd = -EBADF;
        h->frame.cluster = &h->cluster_in;
        h->frame.view = &h->view_in;
        h->frame.membership = &h->membership_in;
        h->frame.counted = &h->counted_in;
        h->cluster.name = "";
        h->cluster.nodes = h->cluster_nodes;
        h->configuration.why = h->configuration.text = "";
        hello.version = PROTO_VERSION;
        r = put_control(h, &hello);
        if (r < 0) {
                (void) hagcs_close(h);
                return r;
        }
        h->fd = fd;
        /* At once and so alone: an older hagcd knows no packets of several, and is to say what it is. */
        (void) outbox_write(&h->out, h->fd);
        *ret = h;
        return 0;
}

int hagcs_open(const char *path, hagcs **ret) {
        _cleanup_close_ int fd = -EBADF;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int r;

        if (!path)
                path = PROTO_SOCKET_PATH;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        r = hagcs_open_fd(fd, ret);
        if (r < 0)
                return r;
        (void) TAKE_FD(fd);
        return 0;
}

static void request_done(SnapshotRequest *q) {
        free(q->begun);
        *q = (SnapshotRequest){ 0 };
}

static void requests_done(hagcs *h) {
        FOREACH_ARRAY(q, h->requests, REQUESTS_MAX)
                request_done(q);
}

hagcs *hagcs_close(hagcs *h) {
        if (!h)
                return NULL;
        requests_done(h);
        outbox_done(&h->out);
        inbox_done(&h->in);
        free(h->cookies);
        (void) safe_close(h->fd);
        free(h);
        return NULL;
}

int hagcs_get_fd(hagcs *h) {
        return h->fd;
}

int hagcs_get_events(hagcs *h) {
        return POLLIN | (h->out.blocked ? POLLOUT : 0);
}

/* ---- What the client asks for ---- */

/* Errors of the socket show when it is read. */
static void flush(hagcs *h) {
        (void) outbox_write(&h->out, h->fd);
}

static int ask(hagcs *h, const ProtoFrame *f) {
        int r;

        if (h->ended)
                return -ENOTCONN;
        r = put_control(h, f);
        if (r < 0)
                return r;
        flush(h);
        return 0;
}

int hagcs_register(hagcs *h, const hagcs_registration *registration) {
        ProtoFrame f = { .type = PROTO_REGISTER };
        int r;

        if (h->state != HANDLE_IDLE)
                return -EALREADY;
        if (!registration->group || !registration->name || strlen(registration->group) > PROTO_NAME_MAX ||
            strlen(registration->name) > PROTO_NAME_MAX ||
            (registration->flags & ~(unsigned) (HAGCS_CRITICAL | HAGCS_WANT_SNAPSHOT)))
                return -EINVAL;
        (void) snprintf(f.group, sizeof(f.group), "%s", registration->group);
        (void) snprintf(f.name, sizeof(f.name), "%s", registration->name);
        f.flags = registration->flags;
        f.liveliness_usec = registration->liveliness_usec;
        f.grace_usec = registration->grace_usec;
        r = ask(h, &f);
        if (r < 0)
                return r;
        h->out.kept_bytes = f.flags & PROTO_WANT_SNAPSHOT ? PROTO_SNAPSHOT_BYTES : 0;
        h->state = HANDLE_REGISTERING;
        return 0;
}

int hagcs_unregister(hagcs *h) {
        OutQueue q = { 0 };
        uint8_t scratch[64];
        int r;

        if (h->ended || (h->state != HANDLE_MEMBER && h->state != HANDLE_REGISTERING))
                return -ENOTCONN;
        /* Behind what was sent before. */
        r = out_queue_add(&q, &(ProtoFrame){ .type = PROTO_UNREGISTER }, scratch, sizeof(scratch));
        if (r < 0)
                return r;
        outbox_put_payload(&h->out, &q);
        h->state = HANDLE_UNREGISTERING;
        flush(h);
        return 0;
}

static int push_cookie(hagcs *h, uint64_t cookie) {
        if (h->n_cookies == h->cookies_allocated) {
                size_t n = h->cookies_allocated ? 2 * h->cookies_allocated : 64;
                uint64_t *p = calloc(n, sizeof(uint64_t));

                if (!p)
                        return -ENOMEM;
                for (size_t i = 0; i < h->n_cookies; i++)
                        p[i] = h->cookies[(h->cookies_first + i) % h->cookies_allocated];
                free(h->cookies);
                h->cookies = p;
                h->cookies_allocated = n;
                h->cookies_first = 0;
        }
        h->cookies[(h->cookies_first + h->n_cookies++) % h->cookies_allocated] = cookie;
        return 0;
}

static uint64_t pop_cookie(hagcs *h) {
        uint64_t cookie;

        if (h->n_cookies == 0)
                return 0;
        cookie = h->cookies[h->cookies_first];
        h->cookies_first = (h->cookies_first + 1) % h->cookies_allocated;
        h->n_cookies--;
        return cookie;
}

/* Cuts data into frames like f at the end of what waits, all or nothing. */
static int put_pieces(hagcs *h, ProtoFrame *f, const void *data, size_t size) {
        _cleanup_free_ uint8_t *scratch = malloc(PROTO_FRAME_MAX);
        OutQueue q = { 0 };
        size_t offset = 0;
        int r;

        if (!scratch)
                return -ENOMEM;
        do {
                f->generation = h->generation;
                f->later = offset > 0;
                f->data = (const uint8_t *) data + offset;
                f->size_bytes = MIN(size - offset, (size_t) PROTO_PIECE_MAX);
                offset += f->size_bytes;
                f->more = offset < size;
                r = out_queue_add(&q, f, scratch, PROTO_FRAME_MAX);
                if (r < 0) {
                        out_queue_clear(&q);
                        return r;
                }
        } while (offset < size);
        if (f->type == PROTO_SEND)
                outbox_put_payload(&h->out, &q);
        else
                outbox_put_snapshot(&h->out, &q);
        return 0;
}

int hagcs_send(hagcs *h, const void *data, size_t size, uint64_t cookie) {
        ProtoFrame f = { .type = PROTO_SEND };
        int r;

        if (h->ended || h->state != HANDLE_MEMBER)
                return -ENOTCONN;
        if (size > HAGCS_MESSAGE_MAX)
                return -EMSGSIZE;
        if (h->out.message_bytes > 0 && h->out.message_bytes + size > SEND_QUEUE_BYTES) {
                h->want_writable = true;
                return -EAGAIN;
        }
        r = push_cookie(h, cookie);
        if (r < 0)
                return r;
        r = put_pieces(h, &f, data, size);
        if (r < 0) {
                h->n_cookies--;
                return r;
        }
        flush(h);
        return 0;
}

int hagcs_give_snapshot(hagcs *h, uint64_t id, const void *data, size_t size) {
        ProtoFrame f = { .type = PROTO_GIVE_SNAPSHOT };
        int r;

        if (h->ended)
                return -ENOTCONN;
        if (size > HAGCS_SNAPSHOT_MAX)
                return -EMSGSIZE;
        FOREACH_ARRAY(q, h->requests, REQUESTS_MAX) {
                _cleanup_free_ uint8_t *whole = NULL;

                if (id == 0 || q->id != id)
                        continue;
                whole = malloc(q->begun_bytes + size);
                if (!whole)
                        return -ENOMEM;
                memcpy(whole, q->begun, q->begun_bytes);
                if (size > 0)
                        memcpy(whole + q->begun_bytes, data, size);
                f.member_id = q->newcomer;
                f.point = q->point;
                r = put_pieces(h, &f, whole, q->begun_bytes + size);
                if (r < 0)
                        return r;
                request_done(q);
                flush(h);
                return 0;
        }
        return -ENOENT;
}

int hagcs_set_armed(hagcs *h, bool armed) {
        ProtoFrame f = { .type = PROTO_ARMED };

        f.armed = armed;
        return ask(h, &f);
}

int hagcs_hand_over(hagcs *h) {
        if (h->ended || h->state != HANDLE_MEMBER)
                return -ENOTCONN;
        return ask(h, &(ProtoFrame){ .type = PROTO_HAND_OVER });
}

int hagcs_confirm_down(hagcs *h, uint32_t node_id, uint64_t incarnation, hagcs_mid mid) {
        ProtoFrame f = { .type = PROTO_CONFIRM_DOWN };

        f.node_id = node_id;
        f.incarnation = incarnation;
        f.mid = (ProtoMid){ .epoch = mid.epoch, .node_id = mid.node_id };
        return ask(h, &f);
}

int hagcs_reload(hagcs *h) {
        return ask(h, &(ProtoFrame){ .type = PROTO_RELOAD });
}

int hagcs_ask_membership(hagcs *h) {
        return ask(h, &(ProtoFrame){ .type = PROTO_ASK_MEMBERSHIP });
}

int hagcs_ask_groups(hagcs *h) {
        return ask(h, &(ProtoFrame){ .type = PROTO_ASK_GROUPS });
}

/* ---- What hagcd says ---- */

static hagcs_event *event_begin(hagcs *h, hagcs_event_type type) {
        h->event = (hagcs_event){ .type = type, .text = "", .sender = { .name = "" } };
        return &h->event;
}

static hagcs_node_state node_state_of(uint8_t state) {
        return state <= HAGCS_NODE_DETACHED ? (hagcs_node_state) state : HAGCS_NODE_UNKNOWN;
}

static hagcs_quorum quorum_of(uint8_t quorum) {
        return quorum <= HAGCS_QUORUM_YES ? (hagcs_quorum) quorum : HAGCS_QUORUM_NONE;
}

static void fill_node(const ProtoNode *n, hagcs_node *ret) {
        *ret = (hagcs_node){
                .id = n->id,
                .name = n->name,
                .state = node_state_of(n->state),
                .enabled = n->enabled,
                .armed = n->armed,
                .heard = n->heard,
                .proven = n->proven,
                .votes = n->votes,
                .n_links = n->n_links,
                .links_heard = n->links_heard,
                .incarnation = n->incarnation,
                .last_mid = mid_of(&n->last_mid),
                .reason = n->reason,
                .problem = n->problem,
        };
        memcpy(ret->boot_id, n->boot_id, sizeof(ret->boot_id));
}

static void take_configuration(hagcs *h, const ProtoConfiguration *p) {
        h->configuration_proto = *p;
        p = &h->configuration_proto;
        h->configuration = (hagcs_configuration){
                .hash = p->hash,
                .mid = mid_of(&p->mid),
                .wanted = p->wanted,
                .why = p->why,
                .waits_for = p->waits_for,
                .text = p->text,
        };
}

static int on_cluster(hagcs *h) {
        hagcs_cluster *c = &h->cluster;
        const ProtoCluster *p;

        h->cluster_proto = h->cluster_in;
        p = &h->cluster_proto;
        for (uint32_t i = 0; i < p->n_nodes; i++)
                fill_node(&p->nodes[i], &h->cluster_nodes[i]);
        *c = (hagcs_cluster){
                .name = p->name,
                .node_id = p->node_id,
                .incarnation = p->incarnation,
                .mid = mid_of(&p->mid),
                .members = p->members,
                .quorum = quorum_of(p->quorum),
                .coordinator = p->coordinator,
                .tie_breaker = p->tie_breaker,
                .frozen = p->frozen,
                .shut_out = p->shut_out,
                .nodes = h->cluster_nodes,
                .n_nodes = p->n_nodes,
        };
        take_configuration(h, &p->configuration);
        event_begin(h, HAGCS_EVENT_CLUSTER);
        return 1;
}

static void fill_link(const ProtoLink *l, uint32_t index, hagcs_link *ret) {
        *ret = (hagcs_link){
                .index = index,
                .state = l->state <= HAGCS_LINK_TOO_NARROW ? (hagcs_link_state) l->state : HAGCS_LINK_SILENT,
                .heard_age_usec = l->heard_age_usec,
                .rtt_usec = l->rtt_usec,
                .n_received = l->n_received,
                .n_lost = l->n_lost,
                .longest_bytes = l->longest_bytes,
        };
}

static void fill_peer(const ProtoPeer *p, hagcs_peer *ret) {
        *ret = (hagcs_peer){
                .id = p->id,
                .name = p->name,
                .state = node_state_of(p->state),
                .reason = p->reason,
                .enabled = p->enabled,
                .votes = p->votes,
                .incarnation = p->incarnation,
                .heard = p->heard,
                .hears_us = p->hears_us,
                .armed = p->armed,
                .mid = mid_of(&p->mid),
                .quorate = p->quorate,
                .hears = p->hears,
                .hears_age_usec = p->hears_age_usec,
                .heartbeats_lost = p->heartbeats_lost,
                .problem = p->problem,
                .n_links = p->n_links,
        };
}

/* Reasons were checked when the frame was decoded. */
static void fill_change(hagcs *h, uint32_t i) {
        const ProtoChange *c = &h->membership_in.changes[i];

        h->membership_changes[i] = (hagcs_change){
                .time_usec = c->time_usec,
                .mid = mid_of(&c->mid),
                .quorum = quorum_of(c->quorum),
                .members = c->members,
                .n_moved = c->n_moved,
        };
        for (uint32_t k = 0; k < c->n_moved; k++)
                h->membership_moved[i][k] = (hagcs_moved){
                        .node_id = c->moved[k].node_id,
                        .move = c->moved[k].move <= HAGCS_MOVE_PROVEN ? (hagcs_move) c->moved[k].move
                                                                      : HAGCS_MOVE_PROVEN,
                        .state = node_state_of(c->moved[k].state),
                        .reason = h->membership_in.reasons[c->moved[k].reason],
                };
}

static int on_membership(hagcs *h) {
        const ProtoMembership *p = &h->membership_in;

        h->membership = (hagcs_membership){
                .cluster = p->name,
                .node_id = p->node_id,
                .incarnation = p->incarnation,
                .phase = p->phase,
                .awaited = p->awaited,
                .mid = mid_of(&p->mid),
                .promised = mid_of(&p->promised),
                .quorum = quorum_of(p->quorum),
                .shut_out = p->shut_out,
                .no_record = p->no_record,
                .cannot_write = p->cannot_write,
                .members = p->members,
                .hears = p->hears,
                .target = p->target,
                .coordinator = p->coordinator,
                .tie_breaker = p->tie_breaker,
                .heartbeat_usec = p->heartbeat_usec,
                .failure_usec = p->failure_usec,
                .n_peers = p->n_peers,
                .n_changes = p->n_changes,
        };
        for (uint32_t i = 0; i < p->n_peers; i++) {
                fill_peer(&p->peers[i], &h->membership_peers[i]);
                for (uint32_t l = 0; l < p->peers[i].n_links; l++)
                        fill_link(&p->peers[i].links[l], l, &h->membership_links[i][l]);
        }
        for (uint32_t i = 0; i < p->n_changes; i++)
                fill_change(h, i);
        take_configuration(h, &p->configuration);
        h->membership_known = true;
        event_begin(h, HAGCS_EVENT_MEMBERSHIP);
        return 1;
}

static void fill_counts(const ProtoGroupMember *m, hagcs_member_counts *ret) {
        *ret = (hagcs_member_counts){
                .node_id = m->id.node_id,
                .incarnation = m->id.incarnation,
                .number = m->id.number,
                .seniority = m->seniority,
                .name = m->name,
                .critical = m->critical,
                .here = m->here,
                .pid = m->pid,
                .sent_messages = m->sent_messages,
                .sent_bytes = m->sent_bytes,
                .delivered_messages = m->delivered_messages,
                .delivered_bytes = m->delivered_bytes,
                .waiting_messages = m->waiting_messages,
                .waiting_bytes = m->waiting_bytes,
                .waiting_usec = m->waiting_usec,
                .window_messages = m->window_messages,
                .window_bytes = m->window_bytes,
                .window_usec = m->window_usec,
                .n_full = m->n_full,
                .snapshots_given = m->snapshots_given,
                .snapshots_received = m->snapshots_received,
        };
}

static int on_group(hagcs *h) {
        const ProtoGroup *g = &h->counted_in;

        h->group = (hagcs_group){
                .name = g->name,
                .mid = mid_of(&g->mid),
                .sequence = g->sequence,
                .messages = g->messages,
                .bytes = g->bytes,
                .views = g->views,
                .sent_messages = g->sent_messages,
                .sent_bytes = g->sent_bytes,
                .n_full = g->n_full,
                .n_expelled = g->n_expelled,
                .snapshots_given = g->snapshots_given,
                .snapshots_received = g->snapshots_received,
                .n_members = g->n_members,
        };
        for (uint32_t i = 0; i < g->n_members; i++)
                fill_counts(&g->members[i], &h->group_members[i]);
        event_begin(h, HAGCS_EVENT_GROUP);
        return 1;
}

static void fill_member(const ProtoMember *m, hagcs_member *ret) {
        *ret = (hagcs_member){
                .node_id = m->id.node_id,
                .incarnation = m->id.incarnation,
                .number = m->id.number,
                .seniority = m->seniority,
                .critical = m->critical,
                .own = m->own,
                .name = m->name,
                .reason = m->reason <= HAGCS_LEFT_SHUT_OUT ? (hagcs_reason) m->reason : HAGCS_LEFT_EXITED,
        };
}

static int on_view(hagcs *h) {
        hagcs_event *e = event_begin(h, HAGCS_EVENT_VIEW);
        ProtoView *v = &h->view_in;

        e->mid = mid_of(&h->frame.mid);
        e->sequence = h->frame.sequence;
        for (uint32_t i = 0; i < v->n_members; i++)
                fill_member(&v->members[i], &h->view_members[i]);
        for (uint32_t i = 0; i < v->n_joined; i++)
                fill_member(&v->joined[i], &h->view_joined[i]);
        for (uint32_t i = 0; i < v->n_left; i++)
                fill_member(&v->left[i], &h->view_left[i]);
        for (uint32_t i = 0; i < v->n_nodes; i++) {
                fill_node(&v->nodes[i], &h->view_nodes[i]);
                /* What is configured, and so not ordered, comes from what was told apart. */
                for (size_t k = 0; k < h->cluster.n_nodes; k++)
                        if (h->cluster_nodes[k].id == v->nodes[i].id) {
                                h->view_nodes[i].name = h->cluster_nodes[k].name;
                                h->view_nodes[i].votes = h->cluster_nodes[k].votes;
                                h->view_nodes[i].n_links = h->cluster_nodes[k].n_links;
                        }
        }
        e->view = (hagcs_view){
                .members = h->view_members,
                .n_members = v->n_members,
                .joined = h->view_joined,
                .n_joined = v->n_joined,
                .left = h->view_left,
                .n_left = v->n_left,
                .node_set = v->node_set,
                .nodes = h->view_nodes,
                .n_nodes = v->n_nodes,
                .formation = v->formation,
                .fresh = v->fresh,
        };
        h->n_members = v->n_members;
        memcpy(h->members, v->members, v->n_members * sizeof(ProtoMember));
        for (uint32_t i = 0; i < v->n_left; i++)
                inbox_forget(&h->in, &v->left[i].id);
        return 1;
}

static int on_message(hagcs *h) {
        const ProtoFrame *f = &h->frame;
        const void *data;
        hagcs_event *e;
        size_t size;
        int r;

        r = inbox_add_message(
                        &h->in, &f->member_id, f->data, f->size_bytes, f->later, f->more, &data, &size);
        if (r <= 0)
                return r;
        e = event_begin(h, HAGCS_EVENT_MESSAGE);
        e->mid = mid_of(&f->mid);
        e->sequence = f->sequence;
        e->data = data;
        e->size = size;
        e->sender.node_id = f->member_id.node_id;
        e->sender.incarnation = f->member_id.incarnation;
        e->sender.number = f->member_id.number;
        for (uint32_t i = 0; i < h->n_members; i++)
                if (proto_member_id_equal(&h->members[i].id, &f->member_id))
                        fill_member(&h->members[i], &e->sender);
        e->sender.own = f->own;
        if (f->own)
                e->cookie = pop_cookie(h);
        return 1;
}

static int on_snapshot_request(hagcs *h) {
        const ProtoFrame *f = &h->frame;
        SnapshotRequest *oldest = &h->requests[0];
        size_t begun_bytes;
        hagcs_event *e;
        void *begun;
        int r;

        r = inbox_save(&h->in, &begun, &begun_bytes);
        if (r < 0)
                return r;

        FOREACH_ARRAY(q, h->requests, REQUESTS_MAX)
                if (q->id < oldest->id)
                        oldest = q;
        request_done(oldest);
        *oldest = (SnapshotRequest){
                .id = ++h->last_request,
                .newcomer = f->member.id,
                .point = f->point,
                .begun = begun,
                .begun_bytes = begun_bytes,
        };
        e = event_begin(h, HAGCS_EVENT_SNAPSHOT_REQUEST);
        e->mid = mid_of(&f->mid);
        e->sequence = f->sequence;
        e->cookie = oldest->id;
        fill_member(&f->member, &e->sender);
        return 1;
}

static int on_snapshot(hagcs *h) {
        const ProtoFrame *f = &h->frame;
        const void *data;
        hagcs_event *e;
        size_t size;
        int r;

        if (f->none) {
                data = "";
                size = 0;
        } else {
                r = inbox_add_snapshot(&h->in, f->data, f->size_bytes, f->first, f->more, &data, &size);
                if (r <= 0)
                        return r;
        }
        e = event_begin(h, HAGCS_EVENT_SNAPSHOT);
        e->mid = mid_of(&f->mid);
        e->sequence = f->sequence;
        e->data = data;
        e->size = size;
        e->error = f->none ? -ENODATA : 0;
        return 1;
}

static int on_registered(hagcs *h) {
        hagcs_event *e = event_begin(h, HAGCS_EVENT_REGISTERED);

        e->error = h->frame.error;
        e->text = h->frame.text;
        h->generation = h->frame.generation;
        if (e->error < 0)
                h->state = HANDLE_IDLE;
        else if (h->state == HANDLE_REGISTERING)
                h->state = HANDLE_MEMBER;
        return 1;
}

static void forget_all(hagcs *h) {
        outbox_drop_payload(&h->out);
        h->n_cookies = 0;
        inbox_clear(&h->in);
        requests_done(h);
        h->n_members = 0;
}

static int on_shut_out(hagcs *h) {
        h->generation = h->frame.generation;
        forget_all(h);
        event_begin(h, HAGCS_EVENT_SHUT_OUT);
        return 1;
}

static int on_unregistered(hagcs *h) {
        h->state = HANDLE_IDLE;
        forget_all(h);
        event_begin(h, HAGCS_EVENT_UNREGISTERED);
        return 1;
}

static int on_ping(hagcs *h) {
        ProtoFrame f = { .type = PROTO_PONG };

        f.number = h->frame.number;
        return put_control(h, &f);
}

static int on_goodbye(hagcs *h) {
        h->ended_with = h->frame.error;
        memcpy(h->ended_text, h->frame.text, sizeof(h->ended_text));
        return 0;
}

static int on_reloaded(hagcs *h) {
        hagcs_event *e = event_begin(h, HAGCS_EVENT_RELOADED);

        e->error = h->frame.error;
        e->text = h->frame.text;
        return 1;
}

/* 1: an event; 0: none from this frame; -ENOMEM: once more later. */
static int on_frame(hagcs *h) {
        switch (h->frame.type) {
        case PROTO_WELCOME:
                if (h->frame.version != PROTO_VERSION)
                        return -EPROTONOSUPPORT;
                h->out.credit = PROTO_WINDOW_BYTES;
                return 0;
        case PROTO_CLUSTER:
                return on_cluster(h);
        case PROTO_MEMBERSHIP:
                return on_membership(h);
        case PROTO_GROUP:
                return on_group(h);
        case PROTO_REGISTERED:
                return on_registered(h);
        case PROTO_UNREGISTERED:
                return on_unregistered(h);
        case PROTO_VIEW:
                return on_view(h);
        case PROTO_MESSAGE:
                return on_message(h);
        case PROTO_SNAPSHOT_REQUEST:
                return on_snapshot_request(h);
        case PROTO_SNAPSHOT:
                return on_snapshot(h);
        case PROTO_FROZEN:
                event_begin(h, HAGCS_EVENT_FROZEN);
                return 1;
        case PROTO_SHUT_OUT:
                return on_shut_out(h);
        case PROTO_CREDIT:
                h->out.credit += h->frame.number;
                return 0;
        case PROTO_PING:
                return on_ping(h);
        case PROTO_GOODBYE:
                return on_goodbye(h);
        case PROTO_RELOADED:
                return on_reloaded(h);
        case PROTO_HELLO:
        case PROTO_REGISTER:
        case PROTO_UNREGISTER:
        case PROTO_SEND:
        case PROTO_GIVE_SNAPSHOT:
        case PROTO_PONG:
        case PROTO_ARMED:
        case PROTO_CONFIRM_DOWN:
        case PROTO_HAND_OVER:
        case PROTO_ASK_MEMBERSHIP:
        case PROTO_ASK_GROUPS:
        case PROTO_RELOAD:
                return -EPROTO;
        }
        return -EPROTO;
}

static int disconnected(hagcs *h, int error) {
        hagcs_event *e = event_begin(h, HAGCS_EVENT_DISCONNECTED);

        h->ended = true;
        outbox_done(&h->out);
        h->out.blocked = false;
        e->error = h->ended_with < 0 ? h->ended_with : error;
        e->text = h->ended_text[0] != '\0'    ? h->ended_text
                  : error == -EPROTONOSUPPORT ? PROTO_OTHER_VERSION_TEXT
                  : error == -EPROTO
                                  ? "hagcd sent what makes no sense; are hagcd and libhagcs of one version?"
                                  : "hagcd closed the connection";
        return 1;
}

/* 1: a packet is there; 0: none now; or what ends the connection. */
static int receive_packet(hagcs *h) {
        ssize_t n;

        do
                n = recv(h->fd, h->buf, sizeof(h->buf), MSG_DONTWAIT | MSG_TRUNC);
        while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !TAKE_GENERIC(h->reset, bool, true))));
        if (n < 0)
                return errno == EAGAIN || errno == ENOMEM ? 0 : -errno;
        if (n == 0)
                return -ECONNRESET;
        if ((size_t) n > sizeof(h->buf))
                return -EPROTO;
        gather_read(&h->reader, h->buf, (size_t) n);
        return 1;
}

/* The same of a frame. */
static int receive(hagcs *h) {
        const void *frame;
        size_t size_bytes;
        int r;

        if (h->frame_held)
                return 1;
        while ((r = gather_next(&h->reader, &frame, &size_bytes)) == 0) {
                r = receive_packet(h);
                if (r <= 0)
                        return r;
        }
        return r < 0 || proto_decode(frame, size_bytes, &h->frame) < 0 ? -EPROTO : 1;
}

/* 1: h->event is one; 0: nothing now; -EAGAIN: go on; -ENOMEM. */
static int dispatch_one(hagcs *h) {
        int r;

        flush(h);
        if (h->want_writable && h->out.message_bytes <= SEND_QUEUE_LOW_BYTES && h->state == HANDLE_MEMBER) {
                h->want_writable = false;
                event_begin(h, HAGCS_EVENT_WRITABLE);
                return 1;
        }
        r = receive(h);
        if (r == 0)
                return 0;
        if (r > 0) {
                r = on_frame(h);
                h->frame_held = r == -ENOMEM;
                if (r == -ENOMEM)
                        return r;
        }
        if (r < 0)
                return disconnected(h, r);
        return r > 0 ? 1 : -EAGAIN;
}

int hagcs_dispatch(hagcs *h, const hagcs_event **ret_event) {
        int r;

        if (h->ended)
                return -ENOTCONN;
        inbox_release(&h->in);
        do
                r = dispatch_one(h);
        while (r == -EAGAIN);
        if (r > 0)
                *ret_event = &h->event;
        return r;
}

const hagcs_cluster *hagcs_get_cluster(hagcs *h) {
        return &h->cluster;
}

const hagcs_configuration *hagcs_get_configuration(hagcs *h) {
        return &h->configuration;
}

const hagcs_membership *hagcs_get_membership(hagcs *h) {
        return h->membership_known ? &h->membership : NULL;
}

const hagcs_group *hagcs_get_group(hagcs *h) {
        return h->group.n_members > 0 ? &h->group : NULL;
}

const hagcs_member_counts *hagcs_group_member(hagcs *h, size_t member) {
        return member < h->group.n_members ? &h->group_members[member] : NULL;
}

const hagcs_peer *hagcs_membership_peer(hagcs *h, size_t peer) {
        return peer < h->membership.n_peers ? &h->membership_peers[peer] : NULL;
}

const hagcs_link *hagcs_membership_link(hagcs *h, size_t peer, size_t link) {
        const hagcs_peer *p = hagcs_membership_peer(h, peer);

        return p && link < p->n_links ? &h->membership_links[peer][link] : NULL;
}

const hagcs_change *hagcs_membership_change(hagcs *h, size_t change) {
        return change < h->membership.n_changes ? &h->membership_changes[change] : NULL;
}

const hagcs_moved *hagcs_membership_moved(hagcs *h, size_t change, size_t moved) {
        const hagcs_change *c = hagcs_membership_change(h, change);

        return c && moved < c->n_moved ? &h->membership_moved[change][moved] : NULL;
}

const char *hagcs_node_state_to_string(hagcs_node_state state) {
        switch (state) {
        case HAGCS_NODE_UNKNOWN:
                return "unknown";
        case HAGCS_NODE_UP:
                return "up";
        case HAGCS_NODE_DOWN:
                return "down";
        case HAGCS_NODE_INACTIVE:
                return "inactive";
        case HAGCS_NODE_DETACHED:
                return "detached";
        }
        return "invalid";
}

const char *hagcs_reason_to_string(hagcs_reason reason) {
        switch (reason) {
        case HAGCS_LEFT_UNREGISTERED:
                return "unregistered";
        case HAGCS_LEFT_EXITED:
                return "exited";
        case HAGCS_LEFT_UNRESPONSIVE:
                return "unresponsive";
        case HAGCS_LEFT_EXPELLED:
                return "expelled";
        case HAGCS_LEFT_NODE_LOST:
                return "node lost";
        case HAGCS_LEFT_SHUT_OUT:
                return "shut out";
        }
        return "invalid";
}

const char *hagcs_link_state_to_string(hagcs_link_state state) {
        switch (state) {
        case HAGCS_LINK_GOOD:
                return "good";
        case HAGCS_LINK_SILENT:
                return "silent";
        case HAGCS_LINK_ONE_WAY:
                return "one-way";
        case HAGCS_LINK_NO_CARRIER:
                return "no-carrier";
        case HAGCS_LINK_NARROW:
                return "narrow";
        case HAGCS_LINK_TOO_NARROW:
                return "too-narrow";
        }
        return "invalid";
}

const char *hagcs_quorum_to_string(hagcs_quorum quorum) {
        switch (quorum) {
        case HAGCS_QUORUM_NONE:
                return "no-quorum";
        case HAGCS_QUORUM_HALF:
                return "half";
        case HAGCS_QUORUM_YES:
                return "quorate";
        }
        return "invalid";
}

const char *hagcs_move_to_string(hagcs_move move) {
        switch (move) {
        case HAGCS_MOVE_JOINED:
                return "joined";
        case HAGCS_MOVE_LEFT:
                return "left";
        case HAGCS_MOVE_PROVEN:
                return "proven";
        }
        return "invalid";
}
