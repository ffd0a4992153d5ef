/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The client side of hagcd as it is: the core of gcs on a node that is alone, its sockets, and libhagcs at
 * the other end of them. Where a client has to misbehave it speaks the protocol by hand. */

#include <glib.h>
#include <glib/gstdio.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/time-util.h"
#include "hagcd/client.h"
#include "libhagcs/gather.h"
#include "libhagcs/hagcs.h"

#define NOBODY 65534

typedef struct World {
        sd_event *event; /* owned */
        Gcs *gcs;        /* owned */
        Clients *clients;
        char *folder, *path; /* owned */
        uint64_t store_number, stored_number;
        uint64_t ahead_usec; /* of the clock */
        unsigned n_shown;    /* memberships */
        unsigned n_reloads;
        bool failed;
} World;

static void carry_out(World *w, const GcsEffects *effects) {
        for (size_t i = 0; i < effects->n_effects; i++) {
                const GcsEffect *e = &effects->effects[i];

                switch (e->type) {
                case GCS_EFFECT_STORE:
                        w->store_number = e->store.number;
                        break;
                case GCS_EFFECT_RESET_NODE:
                        w->failed = true;
                        break;
                case GCS_EFFECT_SEND:
                case GCS_EFFECT_STALLED:
                case GCS_EFFECT_TRACE:
                        break;
                case GCS_EFFECT_REGISTERED:
                case GCS_EFFECT_REFUSED:
                case GCS_EFFECT_UNREGISTERED:
                case GCS_EFFECT_EXPELLED:
                case GCS_EFFECT_CREDIT:
                case GCS_EFFECT_VIEW:
                case GCS_EFFECT_MESSAGE:
                case GCS_EFFECT_SNAPSHOT_REQUEST:
                case GCS_EFFECT_SNAPSHOT:
                case GCS_EFFECT_RELEASE:
                case GCS_EFFECT_DROP_HELD:
                case GCS_EFFECT_FROZEN:
                case GCS_EFFECT_SHUT_OUT:
                        clients_effect(w->clients, e);
                        break;
                }
        }
}

static GcsVerdict feed(void *userdata, GcsEvent *event) {
        World *w = userdata;
        GcsEffects effects;

        event->now_usec = now_boottime_usec() + w->ahead_usec;
        if (w->clients)
                clients_set_now(w->clients, event->now_usec);
        gcs_step(w->gcs, event, &effects);
        gcs_check(w->gcs);
        carry_out(w, &effects);
        return effects.verdict;
}

static void on_armed(void *userdata, bool armed) {
}

static void on_confirmed(void *userdata, const CmsConfirmation *confirmation) {
}

static void on_membership(void *userdata, ProtoMembership *ret) {
        World *w = userdata;

        *ret = (ProtoMembership){ .name = "shop", .phase = "stable", .n_peers = 1 };
        ret->peers[0] = (ProtoPeer){ .id = 1, .name = "n1", .n_links = PROTO_LINKS_MAX };
        ret->peers[0].hears = ++w->n_shown;
}

static size_t on_group(void *userdata, unsigned slot, const char **ret_name, const GcsMember **ret_members) {
        World *w = userdata;

        return gcs_get_group(w->gcs, slot, ret_name, ret_members);
}

static void on_reload(void *userdata) {
        World *w = userdata;

        w->n_reloads++;
}

static void on_fail(void *userdata, const char *why) {
        World *w = userdata;

        w->failed = true;
}

static void on_settle(void *userdata) {
        World *w = userdata;

        clients_settle(w->clients);
}

static const ClientsHandlers handlers = {
        .feed = feed,
        .armed = on_armed,
        .confirmed_down = on_confirmed,
        .membership = on_membership,
        .group = on_group,
        .reload = on_reload,
        .fail = on_fail,
        .settle = on_settle,
};

/* All that is to be done now. */
static void turn(World *w) {
        for (unsigned i = 0; i < 4; i++) {
                while (sd_event_run(w->event, 0) > 0)
                        ;
                if (w->store_number != w->stored_number) {
                        w->stored_number = w->store_number;
                        (void) feed(w,
                                    &(GcsEvent){ .type = GCS_EVENT_STORED, .stored = { w->store_number } });
                }
                (void) feed(w, &(GcsEvent){ .type = GCS_EVENT_TIMEOUT });
                clients_settle(w->clients);
        }
}

static Membership membership(uint64_t epoch, uint32_t first, uint32_t second) {
        Membership m = { .mid = { epoch, first }, .quorate = true };

        for (uint32_t id = first; id != 0; id = id == first ? second : 0) {
                m.rank[m.n_members++] = (uint8_t) id;
                node_set_add(&m.members, id);
                m.nodes[id - 1] = (MembershipNode){ .state = NODE_UP, .incarnation = 100 + id };
        }
        m.configured = m.members;
        return m;
}

static void set_up(World *w, const void *data) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Membership m = membership(1, 1, 0);

        w->folder = g_dir_make_tmp("hagcd-clients-XXXXXX", NULL);
        g_assert_nonnull(w->folder);
        w->path = g_build_filename(w->folder, "sock", NULL);
        g_assert_cmpuint(strlen(w->path), <, sizeof(address.sun_path));
        memcpy(address.sun_path, w->path, strlen(w->path));
        g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof(address)), ==, 0);
        g_assert_cmpint(listen(fd, 64), ==, 0);
        g_assert_cmpint(g_chmod(w->path, 0666), ==, 0);
        g_assert_cmpint(g_chmod(w->folder, 0755), ==, 0);

        g_assert_cmpint(sd_event_new(&w->event), >=, 0);
        g_assert_cmpint(gcs_new(&(GcsConfig){ .node = 1, .incarnation = 101 }, &w->gcs), ==, 0);
        g_assert_cmpint(clients_new(w->event, fd, &handlers, w, &w->clients), ==, 0);
        (void) TAKE_FD(fd);
        (void) feed(w, &(GcsEvent){ .type = GCS_EVENT_STABLE, .stable = { &m } });
        turn(w);
}

static void tear_down(World *w, const void *data) {
        w->clients = clients_free(w->clients);
        w->gcs = gcs_free(w->gcs);
        w->event = sd_event_unref(w->event);
        (void) g_unlink(w->path);
        (void) g_rmdir(w->folder);
        g_free(w->path);
        g_free(w->folder);
}

static hagcs *connected_as(World *w, uid_t uid) {
        hagcs *h;

        if (uid != 0)
                g_assert_cmpint(seteuid(uid), ==, 0);
        g_assert_cmpint(hagcs_open(w->path, &h), ==, 0);
        if (uid != 0)
                g_assert_cmpint(seteuid(0), ==, 0);
        turn(w);
        return h;
}

/* The next event of this type; others before it are skipped. */
static const hagcs_event *wait_for(World *w, hagcs *h, hagcs_event_type type) {
        const hagcs_event *e;

        for (unsigned i = 0; i < 1000; i++) {
                int r = hagcs_dispatch(h, &e);

                g_assert_cmpint(r, >=, 0);
                if (r > 0 && e->type == type)
                        return e;
                if (r == 0)
                        turn(w);
        }
        g_assert_not_reached();
}

static int ask_in(World *w, hagcs *h, const char *group, const char *name, unsigned flags) {
        hagcs_registration r = { .group = group, .name = name, .flags = flags };

        g_assert_cmpint(hagcs_register(h, &r), ==, 0);
        return wait_for(w, h, HAGCS_EVENT_REGISTERED)->error;
}

static hagcs *join(World *w, const char *name, unsigned flags) {
        hagcs *h = connected_as(w, 0);

        g_assert_cmpint(ask_in(w, h, "talk", name, flags), ==, 0);
        return h;
}

/* ---- Snapshots ---- */

/* Turns until the newcomer has its state, and the donor takes what comes. */
static const hagcs_event *wait_for_snapshot(World *w, hagcs *donor, hagcs *newcomer) {
        const hagcs_event *e = NULL, *other;

        for (unsigned i = 0; i < 1000 && (!e || e->type != HAGCS_EVENT_SNAPSHOT); i++) {
                while (hagcs_dispatch(donor, &other) > 0)
                        ;
                turn(w);
                g_assert_cmpint(hagcs_dispatch(newcomer, &e), >=, 0);
        }
        g_assert_nonnull(e);
        g_assert_cmpint(e->type, ==, HAGCS_EVENT_SNAPSHOT);
        return e;
}

/* All of it comes, and none of it counts for ever as not taken. */
static void test_long_snapshot(World *w, const void *data) {
        g_autofree uint8_t *state = g_malloc(5 << 20);
        hagcs *a = join(w, "a", HAGCS_WANT_SNAPSHOT), *b = join(w, "b", HAGCS_WANT_SNAPSHOT);
        const hagcs_event *e;

        for (size_t i = 0; i < 5 << 20; i++)
                state[i] = (uint8_t) (i * 7 % 251);
        e = wait_for(w, a, HAGCS_EVENT_SNAPSHOT_REQUEST);
        g_assert_cmpint(hagcs_give_snapshot(a, e->cookie, state, 5 << 20), ==, 0);
        e = wait_for_snapshot(w, a, b);
        g_assert_cmpmem(e->data, e->size, state, 5 << 20);
        hagcs_close(a);
        hagcs_close(b);
}

/* The donor's messages wait because the newcomer takes none, which waits for its state: this must not wait
 * behind them. What the donor was asked to do before it leaves is done. */
static void test_snapshot_before_messages(World *w, const void *data) {
        const size_t size_bytes = 300 * 1024;
        g_autofree uint8_t *state = g_malloc0(size_bytes);
        hagcs *a = join(w, "a", HAGCS_WANT_SNAPSHOT), *b = join(w, "b", HAGCS_WANT_SNAPSHOT);
        unsigned n_sent = 0, n_seen = 0;
        const hagcs_event *e;
        uint64_t id;

        id = wait_for(w, a, HAGCS_EVENT_SNAPSHOT_REQUEST)->cookie;
        while (hagcs_send(a, state, 8192, 0) >= 0) {
                g_assert_cmpuint(++n_sent, <, 10000);
                turn(w);
                while (hagcs_dispatch(a, &e) > 0)
                        ;
        }
        g_assert_cmpint(hagcs_give_snapshot(a, id, state, size_bytes), ==, 0);
        g_assert_cmpint(hagcs_unregister(a), ==, 0);
        e = wait_for_snapshot(w, a, b);
        g_assert_cmpint(e->error, ==, 0);
        g_assert_cmpuint(e->size, ==, size_bytes);
        /* All that was sent comes, and only then does the sender leave. */
        for (unsigned i = 0; i < 100000 && n_seen <= n_sent; i++) {
                while (hagcs_dispatch(a, &e) > 0)
                        ;
                if (hagcs_dispatch(b, &e) <= 0)
                        turn(w);
                else if (e->type == HAGCS_EVENT_MESSAGE)
                        n_seen++;
                else if (e->type == HAGCS_EVENT_VIEW && e->view.n_left == 1)
                        break;
        }
        g_assert_cmpuint(n_seen, ==, n_sent);
        hagcs_close(a);
        hagcs_close(b);
}

/* Also when it is more than may be under way at once. */
static void test_leaving_after_giving(World *w, const void *data) {
        g_autofree uint8_t *state = g_malloc0(1 << 20);
        hagcs *a = join(w, "a", HAGCS_WANT_SNAPSHOT), *b = join(w, "b", HAGCS_WANT_SNAPSHOT);
        uint64_t id = wait_for(w, a, HAGCS_EVENT_SNAPSHOT_REQUEST)->cookie;
        const hagcs_event *e;

        g_assert_cmpint(hagcs_give_snapshot(a, id, state, 1 << 20), ==, 0);
        g_assert_cmpint(hagcs_unregister(a), ==, 0);
        e = wait_for_snapshot(w, a, b);
        g_assert_cmpint(e->error, ==, 0);
        g_assert_cmpuint(e->size, ==, 1 << 20);
        hagcs_close(a);
        hagcs_close(b);
}

/* Who joins in the middle of a long message gets all of it, or, having no state to begin with, nothing. */
static void test_join_within_message(World *w, const void *data) {
        hagcs *a = join(w, "a", HAGCS_WANT_SNAPSHOT), *b = connected_as(w, 0), *d = connected_as(w, 0);
        hagcs_registration rb = { .group = "talk", .name = "b", .flags = HAGCS_WANT_SNAPSHOT };
        hagcs_registration rd = { .group = "talk", .name = "d" };
        g_autofree uint8_t *text = g_malloc(600000);
        const hagcs_event *e;

        for (size_t i = 0; i < 600000; i++)
                text[i] = (uint8_t) (i * 7 % 251);
        g_assert_cmpint(hagcs_send(a, text, 600000, 0), ==, 0);
        turn(w); /* the credit suffices for some of it */
        g_assert_cmpint(hagcs_register(b, &rb), ==, 0);
        g_assert_cmpint(hagcs_register(d, &rd), ==, 0);
        turn(w);
        e = wait_for(w, a, HAGCS_EVENT_SNAPSHOT_REQUEST);
        g_assert_cmpint(hagcs_give_snapshot(a, e->cookie, "state", 5), ==, 0);
        e = wait_for(w, a, HAGCS_EVENT_MESSAGE);
        g_assert_cmpmem(e->data, e->size, text, 600000);
        g_assert_cmpint(hagcs_send(a, "next", 4, 0), ==, 0);

        e = wait_for(w, b, HAGCS_EVENT_SNAPSHOT);
        g_assert_cmpmem(e->data, e->size, "state", 5);
        e = wait_for(w, b, HAGCS_EVENT_MESSAGE);
        g_assert_cmpmem(e->data, e->size, text, 600000);
        e = wait_for(w, b, HAGCS_EVENT_MESSAGE);
        g_assert_cmpmem(e->data, e->size, "next", 4);
        e = wait_for(w, d, HAGCS_EVENT_MESSAGE);
        g_assert_cmpmem(e->data, e->size, "next", 4);
        hagcs_close(a);
        hagcs_close(b);
        hagcs_close(d);
}

/* ---- Who may do what ---- */

static bool is_root(void) {
        if (geteuid() == 0)
                return true;
        g_test_skip("needs root");
        return false;
}

static void test_groups_for_root(World *w, const void *data) {
        hagcs *h;

        if (!is_root())
                return;
        h = connected_as(w, NOBODY);
        g_assert_cmpint(ask_in(w, h, "hamgr", "hamgr", HAGCS_WANT_SNAPSHOT), ==, -EPERM);
        g_assert_cmpint(ask_in(w, h, "hamgr_more", "a", 0), ==, -EPERM);
        g_assert_cmpint(ask_in(w, h, "talk", "a", HAGCS_CRITICAL), ==, -EPERM);
        g_assert_cmpint(ask_in(w, h, "talk", "a", 0), ==, 0);
        hagcs_close(h);

        h = connected_as(w, 0);
        g_assert_cmpint(ask_in(w, h, "hamgr", "hamgr", 0), ==, 0);
        hagcs_close(h);
}

/* What changes holds for joins after it. */
static void test_access_by_sections(World *w, const void *data) {
        static const char text[] = "[Cluster]\nName=shop\n[Node n1]\nId=1\nAddress=10.1.0.1\n"
                                   "[Access talk]\nJoin=0\n[Access watch]\nCritical=65534\n";
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        _cleanup_(cluster_conf_freep) ClusterConf *conf = NULL;
        const hagcs_event *e;
        hagcs *inside, *late;

        if (!is_root())
                return;
        g_assert_cmpint(cluster_conf_parse("c", text, strlen(text), &errors, &conf), ==, 0);
        inside = connected_as(w, NOBODY);
        g_assert_cmpint(ask_in(w, inside, "talk", "a", 0), ==, 0);
        clients_set_conf(w->clients, conf);
        late = connected_as(w, NOBODY);
        g_assert_cmpint(hagcs_register(late, &(hagcs_registration){ .group = "talk", .name = "b" }), ==, 0);
        e = wait_for(w, late, HAGCS_EVENT_REGISTERED);
        g_assert_cmpint(e->error, ==, -EACCES);
        g_assert_cmpstr(e->text,
                        ==,
                        "user 65534 may not join group talk: [Access talk] of cluster.conf has Join=0");
        /* It may try again elsewhere; and who was in is in. */
        g_assert_cmpint(ask_in(w, late, "watch", "b", HAGCS_CRITICAL), ==, 0);
        g_assert_cmpint(hagcs_send(inside, "still", 5, 0), ==, 0);
        wait_for(w, inside, HAGCS_EVENT_MESSAGE);
        /* Its end is this node's, as that of root's is. */
        hagcs_close(late);
        turn(w);
        g_assert_true(w->failed);
        hagcs_close(inside);
        clients_set_conf(w->clients, NULL);
}

/* ---- Looking at the membership ---- */

static void test_membership_for_anybody(World *w, const void *data) {
        hagcs *h = connected_as(w, geteuid() == 0 ? NOBODY : 0);
        const hagcs_membership *m;

        g_assert_null(hagcs_get_membership(h));
        g_assert_cmpint(hagcs_ask_membership(h), ==, 0);
        wait_for(w, h, HAGCS_EVENT_MEMBERSHIP);
        m = hagcs_get_membership(h);
        g_assert_cmpstr(m->cluster, ==, "shop");
        g_assert_cmpuint(m->n_peers, ==, 1);
        g_assert_cmpstr(hagcs_membership_peer(h, 0)->name, ==, "n1");
        g_assert_cmpuint(hagcs_membership_link(h, 0, 7)->index, ==, 7);
        g_assert_null(hagcs_membership_link(h, 0, 8));
        g_assert_null(hagcs_membership_peer(h, 1));
        g_assert_null(hagcs_membership_change(h, 0));
        g_assert_null(hagcs_membership_moved(h, 0, 0));
        /* A member may as well, and is one afterwards. */
        g_assert_cmpint(ask_in(w, h, "talk", "a", 0), ==, 0);
        g_assert_cmpint(hagcs_ask_membership(h), ==, 0);
        wait_for(w, h, HAGCS_EVENT_MEMBERSHIP);
        g_assert_cmpint(hagcs_send(h, "still", 5, 0), ==, 0);
        wait_for(w, h, HAGCS_EVENT_MESSAGE);
        hagcs_close(h);
}

/* ---- What is counted ---- */

/* The n-th group of the answer, which is all of it. */
static const hagcs_group *shown(World *w, hagcs *h, unsigned n, unsigned n_all) {
        const hagcs_group *g = NULL;

        g_assert_cmpint(hagcs_ask_groups(h), ==, 0);
        for (unsigned i = 0; i < n_all; i++) {
                wait_for(w, h, HAGCS_EVENT_GROUP);
                g_assert_nonnull(hagcs_get_group(h));
                if (i == n) {
                        g = hagcs_get_group(h);
                        break;
                }
        }
        return g;
}

static void end_of_groups(World *w, hagcs *h) {
        do
                wait_for(w, h, HAGCS_EVENT_GROUP);
        while (hagcs_get_group(h));
}

/* Sent by a, and given to a and b; b has taken nothing yet. */
static void test_counts(World *w, const void *data) {
        g_autofree uint8_t *payload = g_malloc0(150000);
        hagcs *a = join(w, "a", HAGCS_WANT_SNAPSHOT), *b = join(w, "b", HAGCS_WANT_SNAPSHOT),
              *look = connected_as(w, geteuid() == 0 ? NOBODY : 0);
        const hagcs_member_counts *m;
        const hagcs_group *g;
        const hagcs_event *e;

        e = wait_for(w, a, HAGCS_EVENT_SNAPSHOT_REQUEST);
        g_assert_cmpint(hagcs_give_snapshot(a, e->cookie, "state", 5), ==, 0);
        wait_for(w, b, HAGCS_EVENT_SNAPSHOT);
        /* Longer than a piece: one message. */
        g_assert_cmpint(hagcs_send(a, payload, 150000, 0), ==, 0);
        wait_for(w, a, HAGCS_EVENT_MESSAGE);
        for (unsigned i = 0; i < 9; i++)
                g_assert_cmpint(hagcs_send(a, payload, 100, 0), ==, 0);
        for (unsigned i = 0; i < 9; i++)
                e = wait_for(w, a, HAGCS_EVENT_MESSAGE);
        turn(w);

        g = shown(w, look, 0, 1);
        g_assert_cmpstr(g->name, ==, "talk");
        g_assert_cmpuint(g->n_members, ==, 2);
        g_assert_cmpuint(g->messages, ==, 10);
        g_assert_cmpuint(g->bytes, ==, 150900);
        g_assert_cmpuint(g->views, ==, 2);
        g_assert_cmpuint(g->sent_messages, ==, 10);
        g_assert_cmpuint(g->snapshots_given, ==, 1);
        g_assert_cmpuint(g->snapshots_received, ==, 1);
        g_assert_cmpuint(g->n_expelled, ==, 0);
        g_assert_cmpuint(g->sequence, >=, e->sequence);

        m = hagcs_group_member(look, 0);
        g_assert_cmpstr(m->name, ==, "a");
        g_assert_true(m->here);
        g_assert_cmpuint(m->pid, ==, (uint32_t) getpid());
        g_assert_cmpuint(m->sent_messages, ==, 10);
        g_assert_cmpuint(m->sent_bytes, ==, 150900);
        g_assert_cmpuint(m->delivered_messages, ==, 10);
        g_assert_cmpuint(m->window_messages, ==, 0);
        g_assert_cmpuint(m->window_bytes, ==, 0);
        g_assert_cmpuint(m->window_usec, ==, 0);
        g_assert_cmpuint(m->snapshots_given, ==, 1);
        m = hagcs_group_member(look, 1);
        g_assert_cmpuint(m->sent_messages, ==, 0);
        g_assert_cmpuint(m->delivered_bytes, ==, 150900);
        g_assert_cmpuint(m->snapshots_received, ==, 1);
        g_assert_null(hagcs_group_member(look, 2));
        end_of_groups(w, look);

        /* Who leaves is counted on in the sums. */
        hagcs_close(a);
        turn(w);
        g = shown(w, look, 0, 1);
        g_assert_cmpuint(g->n_members, ==, 1);
        g_assert_cmpuint(g->sent_messages, ==, 10);
        end_of_groups(w, look);
        hagcs_close(b);
        turn(w);
        g_assert_cmpint(hagcs_ask_groups(look), ==, 0);
        wait_for(w, look, HAGCS_EVENT_GROUP);
        g_assert_null(hagcs_get_group(look));
        hagcs_close(look);
}

/* What it does not take is seen to wait, and for how long. */
static void test_counts_of_a_slow_one(World *w, const void *data) {
        g_autofree uint8_t *payload = g_malloc0(8192);
        hagcs *a = join(w, "a", 0), *b = join(w, "b", 0), *look = connected_as(w, 0);
        const hagcs_member_counts *m;
        const hagcs_event *e;
        int r = 0;

        for (unsigned n = 0; n < 10000 && r >= 0; n++) {
                r = hagcs_send(a, payload, 8192, 0);
                turn(w);
                while (hagcs_dispatch(a, &e) > 0)
                        ;
        }
        g_assert_cmpint(r, ==, -EAGAIN);
        (void) shown(w, look, 0, 1);
        m = hagcs_group_member(look, 0);
        g_assert_cmpstr(m->name, ==, "a");
        g_assert_cmpuint(m->n_full, >, 0);
        g_assert_cmpuint(m->window_messages, >, 0);
        g_assert_cmpuint(m->window_bytes, ==, m->window_messages * 8192);
        g_assert_cmpuint(m->window_usec, >, 0);
        m = hagcs_group_member(look, 1);
        g_assert_cmpuint(m->waiting_messages, >, 0);
        g_assert_cmpuint(m->waiting_bytes, ==, m->waiting_messages * 8192);
        g_assert_cmpuint(m->waiting_usec, >, 0);
        g_assert_cmpuint(m->waiting_messages, <, m->delivered_messages);
        end_of_groups(w, look);
        /* It catches up. */
        for (unsigned i = 0; i < 200; i++) {
                while (hagcs_dispatch(b, &e) > 0)
                        ;
                while (hagcs_dispatch(a, &e) > 0)
                        ;
                turn(w);
        }
        (void) shown(w, look, 0, 1);
        for (unsigned i = 0; i < 2; i++) {
                m = hagcs_group_member(look, i);
                g_assert_cmpuint(m->waiting_messages, ==, 0);
                g_assert_cmpuint(m->waiting_bytes, ==, 0);
                g_assert_cmpuint(m->waiting_usec, ==, 0);
                g_assert_cmpuint(m->window_messages, ==, 0);
        }
        end_of_groups(w, look);
        hagcs_close(a);
        hagcs_close(b);
        hagcs_close(look);
}

/* As the membership: none for somebody who takes nothing, and all of it later. */
static void test_counts_not_taken(World *w, const void *data) {
        hagcs *members[20], *look = connected_as(w, 0);
        unsigned n = 0;

        for (unsigned i = 0; i < ELEMENTSOF(members); i++) {
                g_autofree char *group = g_strdup_printf("g%u", i);

                members[i] = connected_as(w, 0);
                g_assert_cmpint(ask_in(w, members[i], group, "a", 0), ==, 0);
        }
        for (unsigned i = 0; i < 50; i++) {
                g_assert_cmpint(hagcs_ask_groups(look), ==, 0);
                turn(w);
        }
        for (Client *i = w->clients->first; i; i = i->next)
                g_assert_cmpuint(i->queued_bytes, <, 1000);
        do {
                wait_for(w, look, HAGCS_EVENT_GROUP);
                n += !!hagcs_get_group(look);
        } while (hagcs_get_group(look));
        g_assert_cmpuint(n, ==, ELEMENTSOF(members));
        FOREACH_ARRAY(m, members, ELEMENTSOF(members))
                hagcs_close(*m);
        hagcs_close(look);
}

/* Whoever left, and is still connected, holds no slot of those that are counted. */
static void test_counts_after_leaving(World *w, const void *data) {
        hagcs *gone, *members[GCS_GROUPS_MAX], *last = NULL;
        const hagcs_group *g;

        if (!is_root())
                return;
        gone = connected_as(w, 0);
        g_assert_cmpint(ask_in(w, gone, "gone", "a", 0), ==, 0);
        g_assert_cmpint(hagcs_unregister(gone), ==, 0);
        wait_for(w, gone, HAGCS_EVENT_UNREGISTERED);
        for (unsigned i = 0; i < ELEMENTSOF(members); i++) {
                g_autofree char *group = g_strdup_printf("g%u", i);

                last = members[i] = connected_as(w, 0);
                g_assert_cmpint(ask_in(w, last, group, "a", HAGCS_CRITICAL), ==, 0);
        }
        g_assert_cmpint(hagcs_send(last, "hello", 5, 0), ==, 0);
        wait_for(w, last, HAGCS_EVENT_MESSAGE);
        g_assert_cmpint(hagcs_ask_groups(gone), ==, 0);
        do {
                wait_for(w, gone, HAGCS_EVENT_GROUP);
                g = hagcs_get_group(gone);
                g_assert_nonnull(g);
        } while (!g_str_equal(g->name, "g63"));
        g_assert_cmpuint(g->messages, ==, 1);
        FOREACH_ARRAY(m, members, ELEMENTSOF(members))
                hagcs_close(*m);
        hagcs_close(gone);
}

/* ---- Having cluster.conf read anew ---- */

static void test_reload_for_root(World *w, const void *data) {
        hagcs *root = connected_as(w, 0), *second = connected_as(w, 0), *nobody;
        const hagcs_event *e;

        if (geteuid() != 0) {
                g_test_skip("needs root");
                return;
        }
        nobody = connected_as(w, NOBODY);
        g_assert_cmpint(hagcs_reload(nobody), ==, 0);
        g_assert_cmpint(wait_for(w, nobody, HAGCS_EVENT_RELOADED)->error, ==, -EPERM);
        g_assert_cmpuint(w->n_reloads, ==, 0);

        /* Whoever asked is told, once, and nobody else. */
        g_assert_cmpint(hagcs_reload(root), ==, 0);
        turn(w);
        g_assert_cmpuint(w->n_reloads, ==, 1);
        clients_reloaded(w->clients, -EINVAL, "cluster.conf:7: what is this?");
        e = wait_for(w, root, HAGCS_EVENT_RELOADED);
        g_assert_cmpint(e->error, ==, -EINVAL);
        g_assert_cmpstr(e->text, ==, "cluster.conf:7: what is this?");

        g_assert_cmpint(hagcs_reload(second), ==, 0);
        turn(w);
        clients_reloaded(w->clients, 0, "");
        g_assert_cmpint(wait_for(w, second, HAGCS_EVENT_RELOADED)->error, ==, 0);
        turn(w);
        g_assert_cmpint(hagcs_dispatch(root, &e), ==, 0);
        g_assert_cmpint(hagcs_dispatch(nobody, &e), ==, 0);
        hagcs_close(root);
        hagcs_close(second);
        hagcs_close(nobody);
}

/* ---- A critical member that is shut out ---- */

/* Another node becomes the coordinator and knows a newer history: what we have is none any more. Its state
 * never comes. */
static void shut_out(World *w) {
        Membership m = membership(7, 2, 1);
        g_autofree GcsMessage *plan = g_new0(GcsMessage, 1);

        *plan = (GcsMessage){
                .type = GCS_MESSAGE_FLUSH_PLAN,
                .mid = m.mid,
                .plan = { .basis = { 6, 2 }, .donor = 2, .held = 10 },
                .change = { .membership = m, .formation = { 5, 2 }, .survivors = node_set_of(2) },
        };
        (void) feed(w, &(GcsEvent){ .type = GCS_EVENT_TRANSITION });
        (void) feed(w, &(GcsEvent){ .type = GCS_EVENT_STABLE, .stable = { &m } });
        (void) feed(w,
                    &(GcsEvent){ .type = GCS_EVENT_RECEIVED, .received = { .from = 2, .message = plan } });
        turn(w);
}

static void test_death_while_shut_out(World *w, const void *data) {
        hagcs *h = is_root() ? join(w, "a", HAGCS_CRITICAL) : NULL;

        if (!h)
                return;
        shut_out(w);
        wait_for(w, h, HAGCS_EVENT_SHUT_OUT);
        g_assert_false(w->failed);
        hagcs_close(h);
        turn(w);
        g_assert_true(w->failed);
}

static void test_leaving_while_shut_out(World *w, const void *data) {
        hagcs *h = is_root() ? join(w, "a", HAGCS_CRITICAL) : NULL;

        if (!h)
                return;
        shut_out(w);
        wait_for(w, h, HAGCS_EVENT_SHUT_OUT);
        g_assert_cmpint(hagcs_unregister(h), ==, 0);
        hagcs_close(h);
        turn(w);
        g_assert_false(w->failed);
}

/* The socket says first that the other end was closed with something unread, and then what it had sent. */
static void test_leaving_without_reading(World *w, const void *data) {
        hagcs *h = is_root() ? join(w, "a", HAGCS_CRITICAL) : NULL;

        if (!h)
                return;
        g_assert_cmpint(hagcs_send(h, "hello", 5, 1), ==, 0);
        turn(w);
        g_assert_cmpint(hagcs_unregister(h), ==, 0);
        hagcs_close(h);
        turn(w);
        g_assert_false(w->failed);
}

/* What was delivered to it before it left is its own, however much it is: nobody slows down for it. */
static void test_leaving_with_much_to_take(World *w, const void *data) {
        g_autofree uint8_t *payload = g_malloc0(50000);
        hagcs *a = join(w, "a", 0), *b = join(w, "b", 0);

        for (unsigned i = 0; i < 40; i++) {
                g_assert_cmpint(hagcs_send(a, payload, 50000, 0), ==, 0);
                wait_for(w, a, HAGCS_EVENT_MESSAGE);
        }
        g_assert_cmpint(hagcs_unregister(b), ==, 0);
        turn(w);
        for (unsigned i = 0; i < 40; i++)
                wait_for(w, b, HAGCS_EVENT_MESSAGE);
        wait_for(w, b, HAGCS_EVENT_UNREGISTERED);
        hagcs_close(a);
        hagcs_close(b);
}

/* It is the process of this test that would be killed. */
static void test_hand_over(World *w, const void *data) {
        hagcs *h = is_root() ? connected_as(w, 0) : NULL;
        hagcs_registration r = {
                .group = "talk", .name = "a", .flags = HAGCS_CRITICAL, .grace_usec = 5 * USEC_PER_SEC
        };

        if (!h)
                return;
        g_assert_cmpint(hagcs_hand_over(h), ==, -ENOTCONN);
        g_assert_cmpint(hagcs_register(h, &r), ==, 0);
        g_assert_cmpint(wait_for(w, h, HAGCS_EVENT_REGISTERED)->error, ==, 0);
        g_assert_cmpint(hagcs_hand_over(h), ==, 0);
        hagcs_close(h);
        turn(w);
        g_assert_false(w->failed);
}

/* ---- What a client costs ---- */

/* A client without manners: frames by hand, nothing is read. */
static int rude_connect(World *w) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        memcpy(address.sun_path, w->path, strlen(w->path));
        g_assert_cmpint(connect(fd, (struct sockaddr *) &address, sizeof(address)), ==, 0);
        turn(w);
        return fd;
}

/* False: hagcd has closed the connection. */
static bool rude_say(World *w, int fd, const ProtoFrame *f) {
        static uint8_t buf[PROTO_FRAME_MAX];
        ssize_t n = proto_encode(f, buf, sizeof(buf));

        g_assert_cmpint(n, >, 0);
        while (send(fd, buf, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                if (errno != EAGAIN)
                        return false;
                turn(w);
        }
        return true;
}

/* One packet of n times the same frame, as far as it has room. */
static bool rude_say_often(World *w, int fd, const ProtoFrame *f, unsigned n) {
        static uint8_t buf[PROTO_FRAME_MAX];
        size_t size_bytes = 1;

        buf[0] = GATHER_SEVERAL;
        for (; n > 0 && size_bytes + GATHER_LENGTH_BYTES < sizeof(buf); n--) {
                uint8_t *length = buf + size_bytes, *frame = length + GATHER_LENGTH_BYTES;
                ssize_t k = proto_encode(f, frame, sizeof(buf) - size_bytes - GATHER_LENGTH_BYTES);

                if (k < 0)
                        break;
                g_assert_cmpint(k, <, 256);
                memcpy(length, (const uint8_t[GATHER_LENGTH_BYTES]){ (uint8_t) k }, GATHER_LENGTH_BYTES);
                size_bytes += GATHER_LENGTH_BYTES + (size_t) k;
        }
        while (send(fd, buf, size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                if (errno != EAGAIN)
                        return false;
                turn(w);
        }
        return true;
}

/* Takes what is there; counts the frames. */
static unsigned rude_hear(int fd, ProtoType type) {
        static uint8_t buf[PROTO_FRAME_MAX];
        ProtoFrame f = { 0 };
        const void *frame;
        GatherReader r;
        unsigned n = 0;
        size_t size;
        ssize_t k;

        while ((k = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
                gather_read(&r, buf, (size_t) k);
                while (gather_next(&r, &frame, &size) > 0)
                        n += proto_decode(frame, size, &f) == 0 && f.type == type;
        }
        return n;
}

static const Client *only_client(const World *w) {
        g_assert_nonnull(w->clients->first);
        g_assert_null(w->clients->first->next);
        return w->clients->first;
}

static size_t n_in(const Client *i) {
        size_t n = 0;

        for (const InFrame *f = i->sent.first; f; f = f->next)
                n++;
        for (const InFrame *f = i->given.first; f; f = f->next)
                n++;
        return n;
}

static size_t n_out(const Client *i) {
        size_t n = 0;

        for (const ClientFrame *f = i->urgent.first; f; f = f->next)
                n++;
        for (const ClientFrame *f = i->out.first; f; f = f->next)
                n++;
        return n;
}

/* Payload that is nobody's waits, and what waits behind it must not add up. */
static void test_leaving_again_and_again(World *w, const void *data) {
        _cleanup_close_ int fd = rude_connect(w);
        bool open = rude_say(w, fd, &(ProtoFrame){ .type = PROTO_HELLO, .version = PROTO_VERSION }) &&
                    rude_say(w, fd, &(ProtoFrame){ .type = PROTO_SEND });

        turn(w);
        g_assert_true(open);
        for (unsigned n = 0; n < 10000 && open; n++)
                open = rude_say(w, fd, &(ProtoFrame){ .type = PROTO_UNREGISTER });
        turn(w);
        if (w->clients->first)
                g_assert_cmpuint(n_in(only_client(w)), <, 10);
}

/* A handle by hand may ask to join before that; then it would add up. */
static void test_joining_with_much_to_take(World *w, const void *data) {
        const ProtoFrame join_again = { .type = PROTO_REGISTER, .group = "talk", .name = "rude" };
        _cleanup_close_ int fd = rude_connect(w);
        g_autofree uint8_t *payload = g_malloc0(50000);
        hagcs *a = join(w, "a", 0);

        g_assert_true(rude_say(w, fd, &(ProtoFrame){ .type = PROTO_HELLO, .version = PROTO_VERSION }));
        g_assert_true(rude_say(w, fd, &join_again));
        turn(w);
        for (unsigned i = 0; i < 40; i++) {
                g_assert_cmpint(hagcs_send(a, payload, 50000, 0), ==, 0);
                wait_for(w, a, HAGCS_EVENT_MESSAGE);
        }
        g_assert_true(rude_say(w, fd, &(ProtoFrame){ .type = PROTO_UNREGISTER }));
        turn(w);
        g_assert_cmpuint(w->clients->n_clients, ==, 2);
        g_assert_true(rude_say(w, fd, &join_again));
        turn(w);
        g_assert_cmpuint(w->clients->n_clients, ==, 1);
        hagcs_close(a);
}

/* Credit is given back in one sum. */
static void test_credit_not_taken(World *w, const void *data) {
        _cleanup_close_ int fd = rude_connect(w);

        g_assert_true(rude_say(w, fd, &(ProtoFrame){ .type = PROTO_HELLO, .version = PROTO_VERSION }));
        for (unsigned n = 0; n < 100000; n++)
                g_assert_true(rude_say(w, fd, &(ProtoFrame){ .type = PROTO_SEND, .generation = 9 }));
        turn(w);
        g_assert_cmpuint(n_out(only_client(w)), <, 10);
}

/* A little of it is not worth a packet and a wake-up, and goes with what is written anyway. */
static void test_little_credit(World *w, const void *data) {
        _cleanup_close_ int fd = rude_connect(w);
        const ProtoFrame send = { .type = PROTO_SEND, .generation = 9 };
        const unsigned worth_it = PROTO_WINDOW_BYTES / 4 / PROTO_PIECE_COST;

        g_assert_true(rude_say(w, fd, &(ProtoFrame){ .type = PROTO_HELLO, .version = PROTO_VERSION }));
        turn(w);
        for (unsigned n = 0; n < worth_it - 1; n++)
                g_assert_true(rude_say(w, fd, &send));
        turn(w);
        g_assert_cmpuint(rude_hear(fd, PROTO_CREDIT), ==, 0);
        g_assert_true(rude_say(w, fd, &send));
        turn(w);
        g_assert_cmpuint(rude_hear(fd, PROTO_CREDIT), ==, 1);

        g_assert_true(rude_say(w, fd, &send));
        turn(w);
        g_assert_cmpuint(rude_hear(fd, PROTO_CREDIT), ==, 0);
        g_assert_true(rude_say(w, fd, &(ProtoFrame){ .type = PROTO_REGISTER, .group = "+" }));
        turn(w);
        g_assert_cmpuint(rude_hear(fd, PROTO_CREDIT), ==, 1);
}

/* One that reads no answers is let go before they are many. */
static void test_answers_not_taken(World *w, const void *data) {
        _cleanup_close_ int fd = rude_connect(w);
        bool open = rude_say(w, fd, &(ProtoFrame){ .type = PROTO_HELLO, .version = PROTO_VERSION });

        for (unsigned n = 0; n < 50000 && open; n++)
                open = rude_say(w, fd, &(ProtoFrame){ .type = PROTO_REGISTER, .group = "+" });
        g_assert_false(open);
}

/* However many frames there are, the others, and heartbeats, have their turn. */
static void test_many_frames(World *w, const void *data) {
        _cleanup_close_ int fd = is_root() ? rude_connect(w) : -EBADF;
        const ProtoFrame reload = { .type = PROTO_RELOAD };

        if (fd < 0)
                return;
        g_assert_true(rude_say(w, fd, &(ProtoFrame){ .type = PROTO_HELLO, .version = PROTO_VERSION }));
        turn(w);
        for (unsigned n = 0; n < 30; n++)
                g_assert_true(rude_say_often(w, fd, &reload, GATHER_FRAMES_MAX));
        while (w->n_reloads < 30 * GATHER_FRAMES_MAX) {
                unsigned before = w->n_reloads;

                g_assert_cmpint(sd_event_run(w->event, 0), >, 0);
                g_assert_cmpuint(w->n_reloads - before, <, 500);
        }

        /* More of them in a packet are no packet of ours. */
        g_assert_true(rude_say_often(w, fd, &reload, 10000));
        turn(w);
        g_assert_cmpuint(w->n_reloads, <=, 31 * GATHER_FRAMES_MAX);
        g_assert_false(rude_say(w, fd, &reload));
}

/* A ping is not seen before what the socket holds, and who takes a while for each message is not dead. */
static void test_ping_behind_few(World *w, const void *data) {
        _cleanup_close_ int fd = rude_connect(w);
        const ProtoFrame message = { .type = PROTO_SEND, .data = "x", .size_bytes = 1 };

        g_assert_true(rude_say(w, fd, &(ProtoFrame){ .type = PROTO_HELLO, .version = PROTO_VERSION }));
        g_assert_true(rude_say(
                        w, fd, &(ProtoFrame){ .type = PROTO_REGISTER, .group = "talk", .name = "a" }));
        turn(w);
        for (unsigned n = 0; n < 1000 && !only_client(w)->blocked; n++) {
                g_assert_true(rude_say_often(w, fd, &message, GATHER_FRAMES_MAX));
                turn(w);
        }
        g_assert_true(only_client(w)->blocked);
        g_assert_cmpuint(rude_hear(fd, PROTO_MESSAGE), <, 5000);
}

static void
count_line(int level, const char *message_id, const char *const *fields, const char *text, void *userdata) {
        unsigned *n = userdata;

        (*n)++;
}

/* The journal drops what comes too fast, and would drop what others have to say. */
static void test_losses_are_told_at_a_bounded_rate(World *w, const void *data) {
        unsigned n = 0;

        log_set_sink(count_line, &n);
        for (unsigned k = 0; k < 300; k++) {
                hagcs_close(join(w, "a", 0));
                turn(w);
        }
        log_set_sink(NULL, NULL);
        g_assert_cmpuint(n, ==, 100);
}

/* Asking costs work only as far as the answers are taken. */
static void test_membership_not_taken(World *w, const void *data) {
        _cleanup_close_ int fd = rude_connect(w);

        g_assert_true(rude_say(w, fd, &(ProtoFrame){ .type = PROTO_HELLO, .version = PROTO_VERSION }));
        for (unsigned n = 0; n < 100000; n++)
                g_assert_true(rude_say(w, fd, &(ProtoFrame){ .type = PROTO_ASK_MEMBERSHIP }));
        turn(w);
        g_assert_cmpuint(n_out(only_client(w)), <=, 1);
        g_assert_cmpuint(w->n_shown, >, 0);
        /* As many as fit its socket, and one more. */
        g_assert_cmpuint(w->n_shown, <, 3000);
}

/* Whatever the others do, there is room for one who matters. */
static void test_room_for_root(World *w, const void *data) {
        struct rlimit limit = { 4096, 4096 };
        int fds[CLIENTS_MAX];
        hagcs *h;

        if (!is_root())
                return;
        clients_set_limits(w->clients, &(ClientLimits){ CLIENTS_MAX, CLIENTS_MAX });
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        g_assert_cmpint(seteuid(NOBODY), ==, 0);
        FOREACH_ARRAY(fd, fds, ELEMENTSOF(fds))
                *fd = rude_connect(w);
        g_assert_cmpint(seteuid(0), ==, 0);
        g_assert_cmpuint(w->clients->n_clients, ==, CLIENTS_MAX - CLIENTS_FOR_ROOT);
        h = join(w, "a", 0);
        hagcs_close(h);
        FOREACH_ARRAY(fd, fds, ELEMENTSOF(fds))
                (void) safe_close(*fd);
}

/* What one user has too much of is told to it, and takes nothing from others. */
static void test_room_for_other_users(World *w, const void *data) {
        hagcs *h[CLIENTS_PER_USER_MAX + 3], *other, *late;
        const hagcs_event *e;

        if (!is_root())
                return;
        FOREACH_ARRAY(i, h, ELEMENTSOF(h))
                *i = connected_as(w, NOBODY);
        g_assert_cmpuint(w->clients->n_clients, ==, CLIENTS_PER_USER_MAX);
        e = wait_for(w, h[CLIENTS_PER_USER_MAX], HAGCS_EVENT_DISCONNECTED);
        g_assert_cmpint(e->error, ==, -EUSERS);
        g_assert_cmpstr(e->text,
                        ==,
                        "user 65534 has 32 connections to hagcd, and no user may have more; root can raise "
                        "that "
                        "by the option --max-clients-per-user= of hagcd");
        other = connected_as(w, 1);
        g_assert_cmpint(ask_in(w, other, "talk", "a", 0), ==, 0);
        g_assert_cmpint(ask_in(w, h[0], "talk", "b", 0), ==, 0);
        /* One goes, and another may come. */
        hagcs_close(h[1]);
        turn(w);
        h[1] = connected_as(w, NOBODY);
        g_assert_cmpint(ask_in(w, h[1], "talk", "c", 0), ==, 0);
        /* The same of all but root. */
        clients_set_limits(
                        w->clients,
                        &(ClientLimits){ w->clients->n_clients + CLIENTS_FOR_ROOT, CLIENTS_PER_USER_MAX });
        late = connected_as(w, 2);
        e = wait_for(w, late, HAGCS_EVENT_DISCONNECTED);
        g_assert_cmpint(e->error, ==, -EUSERS);
        g_assert_nonnull(strstr(e->text, "hagcd has 33 connections, and only root may have more"));
        hagcs_close(late);
        late = join(w, "d", 0);
        hagcs_close(late);
        FOREACH_ARRAY(i, h, ELEMENTSOF(h))
                hagcs_close(*i);
        hagcs_close(other);
}

static void test_room_for_critical(World *w, const void *data) {
        hagcs *h;

        if (!is_root())
                return;
        for (unsigned k = 0; k < GCS_CLIENTS_MAX; k++) {
                g_autofree char *group = g_strdup_printf("g%u", k / 100), *name = g_strdup_printf("m%u", k);

                (void) feed(w,
                            &(GcsEvent){ .type = GCS_EVENT_REGISTER,
                                         .reg = { .client = 1000 + k, .group = group, .member = name } });
        }
        h = connected_as(w, 0);
        g_assert_cmpint(ask_in(w, h, "talk", "a", 0), ==, -EUSERS);
        g_assert_cmpint(ask_in(w, h, "talk", "a", HAGCS_CRITICAL), ==, 0);
        g_assert_cmpint(hagcs_unregister(h), ==, 0);
        hagcs_close(h);
}

/* A user with a few connections on each of two nodes can fill the table of groups. */
static void test_room_for_critical_groups(World *w, const void *data) {
        hagcs *h;

        if (!is_root())
                return;
        for (unsigned k = 0; k < GCS_GROUPS_MAX; k++) {
                g_autofree char *group = g_strdup_printf("g%u", k);

                (void) feed(w,
                            &(GcsEvent){ .type = GCS_EVENT_REGISTER,
                                         .reg = { .client = 1000 + k, .group = group, .member = "a" } });
        }
        turn(w);
        h = connected_as(w, 0);
        g_assert_cmpint(ask_in(w, h, "talk", "a", 0), ==, -ENOSPC);
        g_assert_cmpint(ask_in(w, h, "hamgr", "a", HAGCS_CRITICAL), ==, 0);
        g_assert_cmpint(hagcs_unregister(h), ==, 0);
        hagcs_close(h);
}

/* A slow member is told of at an interval, not without end, also where nobody else is to be told. */
static void test_slow_alone(World *w, const void *data) {
        hagcs *a = join(w, "a", 0), *b = join(w, "b", 0);
        uint8_t payload[1024] = { 0 };
        const hagcs_event *e;
        int r = 0;

        for (unsigned n = 0; n < 10000 && r >= 0; n++) {
                r = hagcs_send(a, payload, sizeof(payload), 0);
                turn(w);
                while (hagcs_dispatch(a, &e) > 0)
                        ;
        }
        g_assert_cmpint(r, ==, -EAGAIN);
        for (unsigned n = 0; n < 5; n++) {
                w->ahead_usec += 200 * USEC_PER_MSEC;
                (void) feed(w, &(GcsEvent){ .type = GCS_EVENT_TIMEOUT });
                g_assert_cmpuint(gcs_wakeup_usec(w->gcs), >, now_boottime_usec() + w->ahead_usec);
        }
        hagcs_close(a);
        hagcs_close(b);
}

int main(int argc, char *argv[]) {
        _cleanup_close_ int pidfd = pidfd_open(getpid(), 0);

        if (pidfd < 0 && errno == ENOSYS) { /* Valgrind before 3.20; the sanitizers look for leaks here */
                g_print("1..0 # SKIP there is no pidfd_open() here\n");
                return 0;
        }
        g_test_init(&argc, &argv, NULL);
#define ADD(path, f) g_test_add("/hagcd/clients/" path, World, NULL, set_up, f, tear_down)
        ADD("long-snapshot-arrives-whole", test_long_snapshot);
        ADD("snapshot-does-not-wait-behind-messages", test_snapshot_before_messages);
        ADD("snapshot-is-given-before-leaving", test_leaving_after_giving);
        ADD("newcomer-gets-the-message-under-way", test_join_within_message);
        ADD("groups-of-hamgr-are-for-root", test_groups_for_root);
        ADD("sections-say-who-may-join", test_access_by_sections);
        ADD("critical-member-that-is-shut-out-matters", test_death_while_shut_out);
        ADD("critical-member-that-is-shut-out-may-leave", test_leaving_while_shut_out);
        ADD("critical-member-may-leave-without-reading", test_leaving_without_reading);
        ADD("who-leaves-takes-what-was-delivered", test_leaving_with_much_to_take);
        ADD("critical-member-may-hand-over", test_hand_over);
        ADD("leaving-again-and-again-costs-nothing", test_leaving_again_and_again);
        ADD("joining-with-much-to-take-does-not-add-up", test_joining_with_much_to_take);
        ADD("credit-not-taken-adds-up-in-one-frame", test_credit_not_taken);
        ADD("a-little-credit-goes-with-something-else", test_little_credit);
        ADD("who-takes-no-answers-is-let-go", test_answers_not_taken);
        ADD("many-frames-leave-turns-to-others", test_many_frames);
        ADD("losses-are-told-at-a-bounded-rate", test_losses_are_told_at_a_bounded_rate);
        ADD("ping-is-behind-few-messages", test_ping_behind_few);
        ADD("anybody-may-look-at-the-membership", test_membership_for_anybody);
        ADD("messages-are-counted", test_counts);
        ADD("what-waits-is-counted", test_counts_of_a_slow_one);
        ADD("counts-that-are-not-taken-cost-nothing", test_counts_not_taken);
        ADD("who-left-is-counted-no-more", test_counts_after_leaving);
        ADD("root-may-have-the-file-read-anew", test_reload_for_root);
        ADD("membership-that-is-not-taken-costs-nothing", test_membership_not_taken);
        ADD("room-is-kept-for-root", test_room_for_root);
        ADD("room-is-kept-for-other-users", test_room_for_other_users);
        ADD("room-is-kept-for-critical-members", test_room_for_critical);
        ADD("room-is-kept-for-groups-of-critical-members", test_room_for_critical_groups);
        ADD("slow-member-keeps-nobody-busy", test_slow_alone);
        return g_test_run();
}
