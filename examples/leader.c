/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One of all who run this leads, and never two: not while a server hangs, a network is cut, or a process is
 * stopped.
 *
 *     cc leader.c $(pkg-config --cflags --libs libhagcs) -o leader
 *     ./leader NAME [SOCKET]
 *
 * The oldest member leads until it leaves. It is a critical member, so that its server is reset when it dies
 * or hangs, and with it what it may have left half done. Others take over when that is certain: when the
 * leader left by itself, or its node is proven dead or back after its reset, and not merely when it is not
 * heard any more. Who leads follows from what all see in one order, so nobody is asked: each has the same
 * answer.
 *
 * As a service it has Requires= and After=hagcd.service: it has stopped before hagcd says farewell. */

#include <errno.h>
#include <hagcs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const char stopped[] = "I stopped"; /* the only message */

/* What all agree on. A newcomer is given it. */
static struct {
        uint64_t version;
        uint64_t node_id, incarnation, number; /* who leads; node_id 0: nobody */
        uint64_t lost;                         /* it left, and may lead still */
        uint64_t past_unknown;                 /* nobody was left who knew who led before */
} state;

static bool known;   /* the state is that of the group */
static bool leading; /* here and now */

/* The last view. */
static hagcs_member oldest, self;
static hagcs_node nodes[HAGCS_NODES_MAX + 1]; /* by id; their texts are not kept */

/* The member that this process was when it began to lead. */
static hagcs_member led_as;

static bool is_leader(const hagcs_member *m) {
        return m->node_id == state.node_id && m->incarnation == state.incarnation &&
               m->number == state.number;
}

static void set_leading(bool on, const char *why) {
        if (on != leading)
                printf("%s: %s\n", on ? "leading" : "stopped", why);
        leading = on;
        if (on)
                led_as = self;
}

/* Nothing that ran under this incarnation of hagcd runs there any more. hagcd begins anew after a reset. */
static bool node_is_gone(uint64_t id, uint64_t incarnation) {
        const hagcs_node *n = &nodes[id];

        return n->state == HAGCS_NODE_DOWN || n->state == HAGCS_NODE_INACTIVE ||
               (n->state == HAGCS_NODE_UP && n->incarnation != incarnation);
}

static bool any_node_is_doubtful(void) {
        for (unsigned id = 1; id <= HAGCS_NODES_MAX; id++)
                if (nodes[id].last_mid.epoch > 0 &&
                    (nodes[id].state == HAGCS_NODE_UNKNOWN || nodes[id].state == HAGCS_NODE_DETACHED))
                        return true;
        return false;
}

/* From what is ordered alone: all come to the same. */
static void decide(void) {
        if (!known)
                return;
        if (state.node_id > 0 && state.lost && node_is_gone(state.node_id, state.incarnation))
                state.node_id = 0;
        if (state.past_unknown && !any_node_is_doubtful())
                state.past_unknown = 0;
        if (state.node_id == 0 && !state.past_unknown) {
                state.node_id = oldest.node_id;
                state.incarnation = oldest.incarnation;
                state.number = oldest.number;
                state.lost = 0;
        }
        set_leading(is_leader(&self) && !state.lost, "by the order of seniority");
        if (state.node_id > 0 && state.lost)
                printf("waiting: node %u is neither proven dead nor back\n", (unsigned) state.node_id);
        else if (state.past_unknown)
                printf("waiting: not every node that is away is proven dead\n");
        else if (!leading)
                printf("following node %u\n", (unsigned) state.node_id);
}

static void on_view(const hagcs_view *v) {
        oldest = v->members[0];
        for (size_t i = 0; i < v->n_members; i++)
                if (v->members[i].own)
                        self = v->members[i];
        memset(nodes, 0, sizeof(nodes));
        for (size_t i = 0; i < v->n_nodes; i++)
                nodes[v->nodes[i].id] = v->nodes[i];
        for (size_t i = 0; i < v->n_left; i++)
                if (is_leader(&v->left[i])) {
                        state.lost = 1;
                        if (v->left[i].reason == HAGCS_LEFT_UNREGISTERED)
                                state.node_id = 0;
                }
        if (v->fresh)
                known = false; /* a snapshot follows */
        decide();
}

static int on_snapshot(hagcs *h, const hagcs_event *e) {
        memset(&state, 0, sizeof(state));
        state.version = state.past_unknown = 1;
        if (e->error == 0 && e->size == sizeof(state))
                memcpy(&state, e->data, sizeof(state));
        known = true;
        decide();
        /* The others went on without this process, and wait for it to say that it leads no more. */
        if (led_as.node_id > 0 && is_leader(&led_as) && state.lost)
                return hagcs_send(h, stopped, sizeof(stopped), 0);
        return 0;
}

static int on_event(hagcs *h, const hagcs_event *e) {
        int r;

        switch (e->type) {
        case HAGCS_EVENT_REGISTERED:
                if (e->error < 0)
                        fprintf(stderr, "cannot join: %s\n", e->text);
                return e->error;
        case HAGCS_EVENT_VIEW:
                on_view(&e->view);
                return 0;
        case HAGCS_EVENT_SNAPSHOT:
                return on_snapshot(h, e);
        case HAGCS_EVENT_SNAPSHOT_REQUEST:
                r = hagcs_give_snapshot(h, e->cookie, &state, sizeof(state));
                return r == -ENOENT ? 0 : r;
        case HAGCS_EVENT_MESSAGE:
                if (state.lost && e->sender.node_id == state.node_id &&
                    e->sender.incarnation == state.incarnation)
                        state.node_id = 0;
                decide();
                return 0;
        case HAGCS_EVENT_FROZEN:
                set_leading(false, "it is not certain that the others are with us");
                return 0;
        case HAGCS_EVENT_SHUT_OUT:
                set_leading(false, "the others went on without us");
                return 0;
        case HAGCS_EVENT_UNREGISTERED:
                return -ESHUTDOWN;
        case HAGCS_EVENT_DISCONNECTED:
                set_leading(false, e->text);
                return -ENOTCONN;
        default: /* and what later versions may tell */
                return 0;
        }
}

/* SIGTERM: stop leading, and only then leave. */
static int watch_signals(void) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        return signalfd(-1, &set, SFD_CLOEXEC);
}

int main(int argc, char *argv[]) {
        hagcs_registration registration = { .group = "leader",
                                            .flags = HAGCS_CRITICAL | HAGCS_WANT_SNAPSHOT,
                                            .liveliness_usec = 1000000 };
        int r, signals = watch_signals();
        hagcs *h;

        if (argc < 2) {
                fprintf(stderr, "usage: leader NAME [SOCKET]\n");
                return EXIT_FAILURE;
        }
        registration.name = argv[1];
        setvbuf(stdout, NULL, _IOLBF, 0);
        r = hagcs_open(argv[2], &h);
        if (r < 0) {
                fprintf(stderr, "cannot reach hagcd: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        r = hagcs_register(h, &registration);
        while (r >= 0) {
                struct pollfd fds[] = {
                        { .fd = hagcs_get_fd(h), .events = (short) hagcs_get_events(h) },
                        { .fd = signals, .events = POLLIN },
                };
                const hagcs_event *e;

                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        r = -errno;
                while (r >= 0 && (r = hagcs_dispatch(h, &e)) > 0)
                        r = on_event(h, e);
                if (r >= 0 && fds[1].revents) {
                        set_leading(false, "asked to");
                        close(signals);
                        signals = -1;
                        r = hagcs_unregister(h); /* closing before the answer would be clean as well */
                }
        }
        hagcs_close(h);
        return r == -ESHUTDOWN ? EXIT_SUCCESS : EXIT_FAILURE;
}
