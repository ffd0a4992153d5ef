/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hagcs: talk in a group from a shell. Lines of standard input are sent, what is delivered is printed. With
 * --status it is in no group: who only looks is no member whose end the cluster is told. */

#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>

#include "basic/macro.h"
#include "basic/time-util.h"
#include "libhagcs/hagcs.h"

#define STATE_MAX (64U * 1024U)

typedef struct Tool {
        hagcs *h;                        /* owned */
        hagcs_registration registration; /* no group: only looks */
        bool quiet_status;
        bool registered;
        bool leaving;
        bool done;
        int status;

        bool input_open;
        bool blocked; /* -EAGAIN: no reading until WRITABLE */
        char line[HAGCS_MESSAGE_MAX];
        size_t line_bytes;

        /* With --snapshot the state is the last message, which a newcomer is given. */
        char state[STATE_MAX];
        size_t state_bytes;
} Tool;

static void print_mid(const hagcs_event *e) {
        printf("%llu.%u/%llu ",
               (unsigned long long) e->mid.epoch,
               e->mid.node_id,
               (unsigned long long) e->sequence);
}

static const char *node_name(Tool *t, uint32_t id) {
        const hagcs_cluster *c = hagcs_get_cluster(t->h);
        const hagcs_peer *p;

        for (size_t i = 0; i < c->n_nodes; i++)
                if (c->nodes[i].id == id)
                        return c->nodes[i].name;
        for (size_t i = 0; (p = hagcs_membership_peer(t->h, i)); i++)
                if (p->id == id)
                        return p->name;
        return "?";
}

static void print_members(Tool *t, const char *what, const hagcs_member *members, size_t n, bool reasons) {
        if (n == 0)
                return;
        printf(" %s", what);
        for (size_t i = 0; i < n; i++) {
                printf(" %s@%s", members[i].name, node_name(t, members[i].node_id));
                if (reasons)
                        printf("(%s)", hagcs_reason_to_string(members[i].reason));
        }
}

static void on_view(Tool *t, const hagcs_event *e) {
        const hagcs_view *v = &e->view;

        print_mid(e);
        printf("view");
        print_members(t, "members", v->members, v->n_members, false);
        print_members(t, "joined", v->joined, v->n_joined, false);
        print_members(t, "left", v->left, v->n_left, true);
        printf(" nodes");
        for (size_t i = 0; i < v->n_nodes; i++)
                printf(" %s=%s", v->nodes[i].name, hagcs_node_state_to_string(v->nodes[i].state));
        printf("%s\n", v->formation ? " formation" : "");
}

static void on_cluster(Tool *t) {
        const hagcs_cluster *c = hagcs_get_cluster(t->h);

        if (t->quiet_status)
                return;
        printf("cluster %s node %s mid %llu.%u %s%s%s",
               c->name,
               node_name(t, c->node_id),
               (unsigned long long) c->mid.epoch,
               c->mid.node_id,
               hagcs_quorum_to_string(c->quorum),
               c->frozen ? " frozen" : "",
               c->shut_out ? " shut-out" : "");
        for (size_t i = 0; i < c->n_nodes; i++) {
                const hagcs_node *n = &c->nodes[i];

                printf(" %s=%s", n->name, hagcs_node_state_to_string(n->state));
                if (n->problem[0] != '\0')
                        printf("(%s)", n->problem);
        }
        printf("\n");
}

static void on_message(Tool *t, const hagcs_event *e) {
        print_mid(e);
        printf("message %s@%s ", e->sender.name, node_name(t, e->sender.node_id));
        fwrite(e->data, 1, e->size, stdout);
        printf("\n");
        t->state_bytes = MIN(e->size, (size_t) STATE_MAX);
        memcpy(t->state, e->data, t->state_bytes);
}

static void on_snapshot(Tool *t, const hagcs_event *e) {
        print_mid(e);
        if (e->error < 0) {
                printf("snapshot none\n");
                return;
        }
        printf("snapshot ");
        fwrite(e->data, 1, e->size, stdout);
        printf("\n");
        t->state_bytes = MIN(e->size, (size_t) STATE_MAX);
        memcpy(t->state, e->data, t->state_bytes);
}

static void finish(Tool *t, int status) {
        t->done = true;
        t->status = status;
}

static void on_event(Tool *t, const hagcs_event *e) {
        switch (e->type) {
        case HAGCS_EVENT_REGISTERED:
                if (e->error < 0) {
                        fprintf(stderr, "hagcs: cannot join %s: %s\n", t->registration.group, e->text);
                        finish(t, EXIT_FAILURE);
                        return;
                }
                t->registered = true;
                printf("registered\n");
                break;
        case HAGCS_EVENT_VIEW:
                on_view(t, e);
                break;
        case HAGCS_EVENT_MESSAGE:
                on_message(t, e);
                break;
        case HAGCS_EVENT_SNAPSHOT_REQUEST:
                if (hagcs_give_snapshot(t->h, e->cookie, t->state, t->state_bytes) < 0)
                        fprintf(stderr, "hagcs: cannot give a snapshot\n");
                break;
        case HAGCS_EVENT_SNAPSHOT:
                on_snapshot(t, e);
                break;
        case HAGCS_EVENT_FROZEN:
                printf("frozen\n");
                break;
        case HAGCS_EVENT_SHUT_OUT:
                printf("shut out\n");
                break;
        case HAGCS_EVENT_CLUSTER:
                on_cluster(t);
                break;
        case HAGCS_EVENT_WRITABLE:
                t->blocked = false;
                break;
        case HAGCS_EVENT_MEMBERSHIP:
        case HAGCS_EVENT_RELOADED:
        case HAGCS_EVENT_GROUP:
                break; /* not asked for by a member */
        case HAGCS_EVENT_UNREGISTERED:
                finish(t, EXIT_SUCCESS);
                break;
        case HAGCS_EVENT_DISCONNECTED:
                fprintf(stderr, "hagcs: %s\n", e->text);
                finish(t, EXIT_FAILURE);
                break;
        }
}

static int dispatch(Tool *t) {
        const hagcs_event *e;
        int r = 0;

        while (!t->done && (r = hagcs_dispatch(t->h, &e)) > 0)
                on_event(t, e);
        fflush(stdout);
        return r < 0 ? r : 0;
}

static void leave(Tool *t) {
        /* Asked twice: without quorum nobody answers. */
        if (t->leaving || hagcs_unregister(t->h) < 0)
                finish(t, EXIT_SUCCESS);
        t->leaving = true;
}

/* Sends the whole lines; stops at the first that finds no room. */
static void send_lines(Tool *t) {
        while (t->registered && !t->blocked && !t->leaving) {
                char *end = memchr(t->line, '\n', t->line_bytes);
                size_t n;
                int r;

                /* The last line of the input may lack its end. */
                if (!end && t->line_bytes < sizeof(t->line) && (t->input_open || t->line_bytes == 0))
                        break;
                n = end ? (size_t) (end - t->line) : t->line_bytes;
                r = hagcs_send(t->h, t->line, n, 0);
                if (r == -EAGAIN) {
                        t->blocked = true;
                        break;
                }
                if (r < 0) {
                        fprintf(stderr, "hagcs: cannot send: %s\n", strerror(-r));
                        finish(t, EXIT_FAILURE);
                        return;
                }
                n += end ? 1 : 0;
                t->line_bytes -= n;
                memmove(t->line, t->line + n, t->line_bytes);
        }
}

static void read_input(Tool *t) {
        ssize_t n = read(STDIN_FILENO, t->line + t->line_bytes, sizeof(t->line) - t->line_bytes);

        if (n > 0)
                t->line_bytes += (size_t) n;
        else if (n == 0 || errno != EINTR)
                t->input_open = false;
        send_lines(t);
}

/* Blocks the signals before anybody can see the member join: SIGTERM then is a leave, never a death. */
static int run(Tool *t, bool stay) {
        _cleanup_close_ int signals = -EBADF;
        sigset_t set;
        int r;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signals = signalfd(-1, &set, SFD_CLOEXEC);
        if (signals < 0)
                return -errno;
        r = t->registration.group ? hagcs_register(t->h, &t->registration) : 0;
        if (r < 0)
                return r;

        t->input_open = !!t->registration.group;
        while (!t->done) {
                bool reading = t->input_open && t->registered && !t->blocked && !t->leaving;
                struct pollfd fds[] = {
                        { .fd = hagcs_get_fd(t->h), .events = (short) hagcs_get_events(t->h) },
                        { .fd = signals, .events = POLLIN },
                        { .fd = reading ? STDIN_FILENO : -1, .events = POLLIN },
                };

                if (poll(fds, ELEMENTSOF(fds), -1) < 0 && errno != EINTR)
                        return -errno;
                if (fds[1].revents) {
                        struct signalfd_siginfo info;

                        (void) read(signals, &info, sizeof(info));
                        leave(t);
                }
                r = dispatch(t);
                if (r < 0)
                        return r;
                send_lines(t);
                if (!t->done && fds[2].revents)
                        read_input(t);
                if (!t->done && !t->input_open && !t->leaving && t->line_bytes == 0 && !stay)
                        leave(t);
        }
        return 0;
}

/* ---- --membership ---- */

static void print_set(Tool *t, const char *what, uint64_t set) {
        printf(" %s", what);
        for (uint32_t id = 1; id <= HAGCS_NODES_MAX; id++)
                if (set & (UINT64_C(1) << (id - 1)))
                        printf(" %s", node_name(t, id));
}

static void print_usec(const char *what, uint64_t usec) {
        if (usec == HAGCS_USEC_UNKNOWN)
                printf(" %s -", what);
        else
                printf(" %s %llu", what, (unsigned long long) usec);
}

static void print_peer(Tool *t, const hagcs_peer *p, size_t i) {
        printf("node %s %s %s%s%s",
               p->name,
               hagcs_node_state_to_string(p->state),
               p->reason,
               p->heard ? " heard" : "",
               p->hears_us ? " hears-us" : "");
        print_set(t, "hears", p->hears);
        printf("%s%s\n", p->problem[0] ? " problem " : "", p->problem);
        for (uint32_t l = 0; l < p->n_links; l++) {
                const hagcs_link *link = hagcs_membership_link(t->h, i, l);

                printf("link %s %u %s", p->name, l, hagcs_link_state_to_string(link->state));
                print_usec("age", link->heard_age_usec);
                print_usec("rtt", link->rtt_usec);
                printf(" received %llu lost %llu longest %u\n",
                       (unsigned long long) link->n_received,
                       (unsigned long long) link->n_lost,
                       link->longest_bytes);
        }
}

static void print_change(Tool *t, const hagcs_change *c, size_t i) {
        if (c->mid.epoch == 0)
                printf("change shut-out");
        else
                printf("change %llu.%u", (unsigned long long) c->mid.epoch, c->mid.node_id);
        for (uint32_t k = 0; k < c->n_moved; k++) {
                const hagcs_moved *m = hagcs_membership_moved(t->h, i, k);

                printf(" %s %s(%s)", node_name(t, m->node_id), hagcs_move_to_string(m->move), m->reason);
        }
        printf("\n");
}

static void print_configuration(Tool *t, const hagcs_configuration *c) {
        printf("configuration %016llx", (unsigned long long) c->hash);
        if (c->why[0]) {
                printf(" wanted %016llx waits %s", (unsigned long long) c->wanted, c->why);
                print_set(t, "for", c->waits_for);
        }
        printf("\n");
}

static void print_membership(Tool *t) {
        const hagcs_membership *m = hagcs_get_membership(t->h);

        printf("membership %llu.%u %s%s",
               (unsigned long long) m->mid.epoch,
               m->mid.node_id,
               m->phase,
               m->shut_out ? " shut-out" : "");
        print_set(t, "members", m->members);
        print_set(t, "awaited", m->awaited);
        printf("\n");
        print_configuration(t, hagcs_get_configuration(t->h));
        for (size_t i = 0; i < m->n_peers; i++)
                print_peer(t, hagcs_membership_peer(t->h, i), i);
        for (size_t i = 0; i < m->n_changes; i++)
                print_change(t, hagcs_membership_change(t->h, i), i);
}

/* ---- --groups ---- */

static void print_count(const char *what, uint64_t n) {
        printf(" %s %llu", what, (unsigned long long) n);
}

static void print_counts(Tool *t, const hagcs_member_counts *m) {
        printf("member %s@%s%s", m->name, node_name(t, m->node_id), m->critical ? " critical" : "");
        if (m->here) {
                print_count("pid", m->pid);
                print_count("sent", m->sent_messages);
                print_count("bytes", m->sent_bytes);
                print_count("delivered", m->delivered_messages);
                print_count("bytes", m->delivered_bytes);
                print_count("waiting", m->waiting_messages);
                print_count("bytes", m->waiting_bytes);
                print_count("usec", m->waiting_usec);
                print_count("window", m->window_messages);
                print_count("bytes", m->window_bytes);
                print_count("usec", m->window_usec);
                print_count("full", m->n_full);
                print_count("gave", m->snapshots_given);
                print_count("got", m->snapshots_received);
        }
        printf("\n");
}

static void print_group(Tool *t, const hagcs_group *g) {
        printf("group %s members %zu last %llu.%u/%llu",
               g->name,
               g->n_members,
               (unsigned long long) g->mid.epoch,
               g->mid.node_id,
               (unsigned long long) g->sequence);
        print_count("messages", g->messages);
        print_count("bytes", g->bytes);
        print_count("views", g->views);
        print_count("sent", g->sent_messages);
        print_count("bytes", g->sent_bytes);
        print_count("full", g->n_full);
        print_count("expelled", g->n_expelled);
        print_count("gave", g->snapshots_given);
        print_count("got", g->snapshots_received);
        printf("\n");
        for (size_t i = 0; i < g->n_members; i++)
                print_counts(t, hagcs_group_member(t->h, i));
}

/* Asks one thing, and waits for the answer. */
static int ask_hagcd(Tool *t, const char *path, int (*ask)(hagcs *h), hagcs_event_type answer) {
        const hagcs_event *e;
        int r;

        r = hagcs_open(path, &t->h);
        if (r >= 0)
                r = ask(t->h);
        while (r >= 0) {
                struct pollfd fd = { .fd = hagcs_get_fd(t->h), .events = (short) hagcs_get_events(t->h) };

                r = hagcs_dispatch(t->h, &e);
                if (r > 0 && e->type == HAGCS_EVENT_GROUP && hagcs_get_group(t->h)) {
                        print_group(t, hagcs_get_group(t->h));
                        continue;
                }
                if (r > 0 && e->type == answer) {
                        if (answer == HAGCS_EVENT_MEMBERSHIP)
                                print_membership(t);
                        else if (e->error < 0)
                                fprintf(stderr, "%s\n", e->text[0] ? e->text : strerror(-e->error));
                        r = e->error;
                        t->h = hagcs_close(t->h);
                        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
                }
                if (r > 0 && e->type == HAGCS_EVENT_DISCONNECTED)
                        r = e->error < 0 ? e->error : -ECONNRESET;
                if (r == 0 && poll(&fd, 1, -1) < 0)
                        r = -errno;
        }
        t->h = hagcs_close(t->h);
        fprintf(stderr, "hagcs: cannot ask hagcd: %s; is hagcd.service running?\n", strerror(-r));
        return EXIT_FAILURE;
}

static int usage(FILE *f, int status) {
        fputs("hagcs [OPTIONS] GROUP\n"
              "hagcs --status\n"
              "hagcs --membership\n"
              "hagcs --groups\n"
              "hagcs --reload\n\n"
              "Join a group: lines of standard input are sent to all its members, what is delivered is "
              "printed.\n"
              "Leaves at the end of input, or on SIGTERM.\n\n"
              "  --name=NAME         name of the member (default: shell)\n"
              "  --critical          reset this node when this program dies (for root)\n"
              "  --grace=TIME        ... unless a successor of the same name comes within this time\n"
              "  --liveliness=TIME   be watched: answer within this time\n"
              "  --snapshot          get the last message when joining, and give it to newcomers\n"
              "  --stay              do not leave at the end of input\n"
              "  --no-status         do not print changes of the cluster's status\n"
              "  --reload            have hagcd read cluster.conf anew, as \"systemctl reload hagcd\" does, "
              "and end\n"
              "  --status            print the cluster's status and its changes, and join no group\n"
              "  --membership        print how the membership looks from this node, and end\n"
              "  --groups            print what is counted of each group and its members here, and end\n"
              "  --socket=PATH       of hagcd\n"
              "  -h --help           this text\n",
              f);
        return status;
}

int main(int argc, char *argv[]) {
        enum {
                OPT_NAME = 1,
                OPT_CRITICAL,
                OPT_GRACE,
                OPT_LIVE,
                OPT_SNAPSHOT,
                OPT_STAY,
                OPT_NO_STATUS,
                OPT_STATUS,
                OPT_SOCKET,
                OPT_MEMBERSHIP,
                OPT_RELOAD,
                OPT_GROUPS,
                OPT_HELP
        };
        static const struct option options[] = {
                { "name", required_argument, NULL, OPT_NAME },
                { "critical", no_argument, NULL, OPT_CRITICAL },
                { "grace", required_argument, NULL, OPT_GRACE },
                { "liveliness", required_argument, NULL, OPT_LIVE },
                { "snapshot", no_argument, NULL, OPT_SNAPSHOT },
                { "stay", no_argument, NULL, OPT_STAY },
                { "no-status", no_argument, NULL, OPT_NO_STATUS },
                { "status", no_argument, NULL, OPT_STATUS },
                { "socket", required_argument, NULL, OPT_SOCKET },
                { "membership", no_argument, NULL, OPT_MEMBERSHIP },
                { "reload", no_argument, NULL, OPT_RELOAD },
                { "groups", no_argument, NULL, OPT_GROUPS },
                { "help", no_argument, NULL, OPT_HELP },
                { NULL, 0, NULL, 0 },
        };
        bool membership = false, groups = false, reload = false, status = false;
        _cleanup_free_ Tool *t = calloc(1, sizeof(Tool));
        const char *path = NULL;
        bool stay = false;
        int c, r;

        if (!t)
                return EXIT_FAILURE;
        t->registration.name = "shell";
        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case OPT_NAME:
                        t->registration.name = optarg;
                        break;
                case OPT_CRITICAL:
                        t->registration.flags |= HAGCS_CRITICAL;
                        break;
                case OPT_GRACE:
                case OPT_LIVE:
                        r =
                                        parse_duration(optarg,
                                                       c == OPT_GRACE ? &t->registration.grace_usec
                                                                      : &t->registration.liveliness_usec);
                        if (r < 0) {
                                fprintf(stderr, "hagcs: %s is not a duration such as 500ms or 5s\n", optarg);
                                return EXIT_FAILURE;
                        }
                        break;
                case OPT_SNAPSHOT:
                        t->registration.flags |= HAGCS_WANT_SNAPSHOT;
                        break;
                case OPT_STAY:
                        stay = true;
                        break;
                case OPT_NO_STATUS:
                        t->quiet_status = true;
                        break;
                case OPT_STATUS:
                        status = true;
                        break;
                case OPT_SOCKET:
                        path = optarg;
                        break;
                case OPT_MEMBERSHIP:
                        membership = true;
                        break;
                case OPT_RELOAD:
                        reload = true;
                        break;
                case OPT_GROUPS:
                        groups = true;
                        break;
                case OPT_HELP:
                case 'h':
                        return usage(stdout, EXIT_SUCCESS);
                default:
                        return usage(stderr, EXIT_FAILURE);
                }
        if (membership + groups + reload + status > 1 ||
            optind + (membership || groups || reload || status ? 0 : 1) != argc)
                return usage(stderr, EXIT_FAILURE);
        if (membership)
                return ask_hagcd(t, path, hagcs_ask_membership, HAGCS_EVENT_MEMBERSHIP);
        if (groups)
                return ask_hagcd(t, path, hagcs_ask_groups, HAGCS_EVENT_GROUP);
        if (reload)
                return ask_hagcd(t, path, hagcs_reload, HAGCS_EVENT_RELOADED);
        t->registration.group = argv[optind]; /* with --status the end of the list */

        r = hagcs_open(path, &t->h);
        if (r < 0) {
                fprintf(stderr, "hagcs: cannot reach hagcd: %s; is hagcd.service running?\n", strerror(-r));
                return EXIT_FAILURE;
        }
        r = run(t, stay || status);
        t->h = hagcs_close(t->h);
        if (r < 0) {
                fprintf(stderr, "hagcs: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        return t->status;
}
