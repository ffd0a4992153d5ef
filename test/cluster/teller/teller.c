/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A member of a group that sends numbered messages all the time, and writes down what it was told so that
 * others can compare: at each change of the group, and every so many messages, how many were delivered so
 * far and a hash over all of them in their order.
 *
 *     teller [OPTION...] GROUP NAME FILE
 *
 * A newcomer goes on from the count and the hash in its snapshot, so that it has the same as everybody, or
 * missed or repeated something. What one member can see to be wrong by itself it says at once: a message
 * that is lost, repeated, invented, damaged, or from nobody in the group.
 *
 * SIGUSR1: send nothing until SIGUSR2. SIGTERM: see what was sent back, and leave.
 *
 * Lines of FILE begin with the time and end with a point. PLACE is that of the last view:
 * (epoch.node/sequence).
 *
 *     start PID GROUP NAME           a life begins
 *     begin PLACE COUNT HASH MEMBERS FROM    it has the state of the group: from a snapshot, or from nothing
 *     view PLACE COUNT HASH MEMBERS LEFT
 *     mark PLACE COUNT HASH
 *     sum COUNT SENT SEEN REFUSED BYTES    four times a second: SEEN of those SENT came back, BYTES were
 * told frozen, shut-out, disconnected TEXT, wrong TEXT, end COUNT HASH SENT SEEN
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <hagcs.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_SEC UINT64_C(1000000000)
#define SUM_NSEC (NSEC_PER_SEC / 4)
#define MIX UINT64_C(0x9e3779b97f4a7c15)
#define SENDERS_MAX 128U
#define SENDS_OF_A_TURN 32U
#define LINE_MAX_BYTES 16384U
#define MIXED 0U

/* What a message begins with. */
struct head {
        uint64_t number; /* of this member, from 1 */
        uint64_t sum;    /* of all, with 0 in this place */
};

struct sender {
        uint64_t node_id, incarnation, member;
        uint64_t number; /* of its last message */
};

/* What all members have in common, and a snapshot begins with. */
struct state {
        uint64_t count, hash;
        uint64_t n_senders;
        struct sender senders[SENDERS_MAX];
};

struct teller {
        hagcs *h;
        const char *group, *name;
        int file;
        size_t size_bytes, state_bytes;
        uint64_t interval_nsec, mark_every;
        uint64_t diverge_at; /* counts a message that was not delivered, so that the comparison has something
                                to find */

        struct state state;
        bool known; /* the state is that of the group */
        bool from_nothing;
        char place[64], members[LINE_MAX_BYTES / 2];

        bool silent, leaving, unregistering, refused;
        uint64_t sent, seen, n_refused, n_told, told_bytes;
        uint64_t next_nsec, sum_nsec;

        uint8_t *out;       /* the next message, */
        size_t ready_bytes; /* when there is one */
        uint8_t *snapshot;
};

static uint64_t now_nsec(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_BOOTTIME, &t);
        return (uint64_t) t.tv_sec * NSEC_PER_SEC + (uint64_t) t.tv_nsec;
}

/* One write for each line, and a mark at its end: what a kill cut short is known by it. */
__attribute__((format(printf, 2, 3))) static void note(struct teller *t, const char *format, ...) {
        static char line[LINE_MAX_BYTES], text[LINE_MAX_BYTES - 64];
        uint64_t now = now_nsec();
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        if (n < 0 || (size_t) n >= sizeof(text)) {
                (void) fprintf(stderr, "a line is too long\n");
                exit(EXIT_FAILURE);
        }
        n = snprintf(line,
                     sizeof(line),
                     "%" PRIu64 ".%06" PRIu64 " %s .\n",
                     now / NSEC_PER_SEC,
                     now % NSEC_PER_SEC / 1000,
                     text);
        if (write(t->file, line, (size_t) n) < 0) {
                perror("cannot write down what happens");
                exit(EXIT_FAILURE);
        }
}

static void wrong(struct teller *t, const char *what, const hagcs_event *e, uint64_t is, uint64_t due) {
        note(t,
             "wrong %s: from %s@%" PRIu32 " number %" PRIu64 ", not %" PRIu64 ", at %" PRIu64 ".%" PRIu32
             "/%" PRIu64,
             what,
             e->sender.name,
             e->sender.node_id,
             is,
             due,
             e->mid.epoch,
             e->mid.node_id,
             e->sequence);
}

/* ---- What is delivered ---- */

static uint64_t mix(uint64_t hash, uint64_t word) {
        return ((hash ^ hash >> 29) + word) * MIX;
}

static uint64_t sum_of(const uint8_t *data, size_t size_bytes) {
        uint64_t sum = size_bytes, word;

        for (size_t i = 0; i < size_bytes; i += sizeof(word)) {
                word = 0;
                memcpy(&word, data + i, size_bytes - i < sizeof(word) ? size_bytes - i : sizeof(word));
                if (i != offsetof(struct head, sum))
                        sum = mix(sum, word);
        }
        return sum;
}

static struct sender *find_sender(struct state *s, const hagcs_member *m) {
        for (size_t i = 0; i < s->n_senders; i++) {
                struct sender *one = &s->senders[i];

                if (one->node_id == m->node_id && one->incarnation == m->incarnation &&
                    one->member == m->number)
                        return one;
        }
        return NULL;
}

/* Exactly the members of the view are known, each with what it sent last. */
static void take_members(struct teller *t, const hagcs_view *v) {
        struct state next = { .count = t->state.count, .hash = t->state.hash };

        for (size_t i = 0; i < v->n_members && i < SENDERS_MAX; i++) {
                const hagcs_member *m = &v->members[i];
                const struct sender *old = find_sender(&t->state, m);

                next.senders[next.n_senders++] = (struct sender){
                        .node_id = m->node_id,
                        .incarnation = m->incarnation,
                        .member = m->number,
                        .number = old ? old->number : 0,
                };
        }
        t->state = next;
}

static void on_message(struct teller *t, const hagcs_event *e) {
        struct sender *s = find_sender(&t->state, &e->sender);
        struct head head = { 0 };

        if (!t->known) {
                wrong(t, "a message before the state", e, 0, 0);
                return;
        }
        if (e->size < sizeof(head)) {
                wrong(t, "invented", e, 0, 0);
                return;
        }
        memcpy(&head, e->data, sizeof(head));
        if (!s) {
                wrong(t, "from nobody in the group", e, head.number, 0);
                return;
        }
        if (head.sum != sum_of(e->data, e->size))
                wrong(t, "not what was sent", e, head.number, s->number + 1);
        if (head.number != s->number + 1)
                wrong(t,
                      head.number > s->number ? "something is missing" : "repeated",
                      e,
                      head.number,
                      s->number + 1);
        s->number = head.number;
        if (e->sender.own && ++t->seen != e->cookie)
                wrong(t, "not the cookie of this message", e, e->cookie, t->seen);

        t->told_bytes += e->size;
        t->state.count++;
        t->state.hash = mix(mix(mix(mix(t->state.hash, s->node_id), s->incarnation), s->member), head.sum);
        if (++t->n_told == t->diverge_at)
                t->state.hash = mix(t->state.hash, 1);
        if (t->state.count % t->mark_every == 0)
                note(t, "mark %s %" PRIu64 " %016" PRIx64, t->place, t->state.count, t->state.hash);
}

/* ---- Views and snapshots ---- */

static void
print_members(char *text, size_t size, const hagcs_member *members, size_t n_members, bool reasons) {
        size_t n = 0;

        text[0] = '\0';
        for (size_t i = 0; i < n_members && n < size; i++) {
                const hagcs_member *m = &members[i];
                const char *reason = reasons ? hagcs_reason_to_string(m->reason) : "";

                n += (size_t) snprintf(
                                text + n,
                                size - n,
                                "%s%s@%" PRIu32 ":%" PRIu64 "%s%s",
                                i > 0 ? "," : "",
                                m->name,
                                m->node_id,
                                m->number,
                                reasons ? "=" : "",
                                reason);
        }
        for (char *c = text; *c != '\0'; c++)
                if (*c == ' ')
                        *c = '-';
        if (n == 0)
                (void) snprintf(text, size, "none");
}

static void on_view(struct teller *t, const hagcs_event *e) {
        static char left[LINE_MAX_BYTES / 4];

        (void) snprintf(t->place,
                        sizeof(t->place),
                        "%" PRIu64 ".%" PRIu32 "/%" PRIu64,
                        e->mid.epoch,
                        e->mid.node_id,
                        e->sequence);
        print_members(t->members, sizeof(t->members), e->view.members, e->view.n_members, false);
        if (e->view.fresh) {
                /* What was its own is of a member that is no more. */
                t->known = false;
                t->sent = t->seen = 0;
                t->ready_bytes = 0;
        }
        take_members(t, &e->view);
        if (!t->known)
                return; /* written down when the state is there */
        print_members(left, sizeof(left), e->view.left, e->view.n_left, true);
        note(t,
             "view %s %" PRIu64 " %016" PRIx64 " %s %s",
             t->place,
             t->state.count,
             t->state.hash,
             t->members,
             left);
}

static void on_snapshot(struct teller *t, const hagcs_event *e) {
        struct state view = t->state;

        t->state = (struct state){ 0 };
        if (e->error == 0 && e->size >= sizeof(t->state))
                memcpy(&t->state, e->data, sizeof(t->state));
        else if (e->error != -ENODATA)
                wrong(t, "no snapshot", e, e->size, sizeof(t->state));
        for (size_t i = 0; i < view.n_senders; i++) {
                const struct sender *s = &view.senders[i];
                hagcs_member m = { .node_id = (uint32_t) s->node_id,
                                   .incarnation = s->incarnation,
                                   .number = s->member };
                const struct sender *old = find_sender(&t->state, &m);

                if (old)
                        view.senders[i].number = old->number;
        }
        view.count = t->state.count;
        view.hash = t->state.hash;
        t->state = view;
        t->known = true;
        note(t,
             "begin %s %" PRIu64 " %016" PRIx64 " %s %s",
             t->place,
             t->state.count,
             t->state.hash,
             t->members,
             e->error == 0 ? "snapshot" : "nothing");
}

static int give_snapshot(struct teller *t, uint64_t id) {
        int r;

        memcpy(t->snapshot, &t->state, sizeof(t->state));
        r = hagcs_give_snapshot(t->h, id, t->snapshot, t->state_bytes);
        return r == -ENOENT ? 0 : r; /* not wanted any more */
}

static int on_event(struct teller *t, const hagcs_event *e) {
        switch (e->type) {
        case HAGCS_EVENT_REGISTERED:
                if (e->error < 0)
                        (void) fprintf(stderr, "cannot join: %s\n", e->text);
                return e->error;
        case HAGCS_EVENT_VIEW:
                on_view(t, e);
                return 0;
        case HAGCS_EVENT_SNAPSHOT:
                on_snapshot(t, e);
                return 0;
        case HAGCS_EVENT_SNAPSHOT_REQUEST:
                return give_snapshot(t, e->cookie);
        case HAGCS_EVENT_MESSAGE:
                on_message(t, e);
                return 0;
        case HAGCS_EVENT_FROZEN:
                note(t, "frozen");
                return 0;
        case HAGCS_EVENT_SHUT_OUT:
                note(t, "shut-out");
                t->known = false;
                return 0;
        case HAGCS_EVENT_WRITABLE:
                t->refused = false;
                return 0;
        case HAGCS_EVENT_UNREGISTERED:
                return -ESHUTDOWN;
        case HAGCS_EVENT_DISCONNECTED:
                note(t, "disconnected %s", e->text);
                return -ENOTCONN;
        default:
                return 0;
        }
}

/* ---- What is sent ---- */

static void make_message(struct teller *t) {
        struct head head = { .number = t->sent + 1 };
        uint64_t draw = mix(mix(1, head.number), (uint64_t) getpid());
        size_t size = t->size_bytes;

        if (size == MIXED)
                size = draw % 2048 == 0 ? 300000 : draw % 64 == 0 ? 20000 + draw % 10000 : 24 + draw % 400;
        for (size_t i = sizeof(head); i < size; i++)
                t->out[i] = (uint8_t) (draw >> (i & 31));
        memcpy(t->out, &head, sizeof(head));
        head.sum = sum_of(t->out, size);
        memcpy(t->out, &head, sizeof(head));
        t->ready_bytes = size;
}

static bool may_send(const struct teller *t) {
        return t->known && !t->silent && !t->leaving && !t->refused;
}

static int send_some(struct teller *t) {
        for (unsigned i = 0; i < SENDS_OF_A_TURN && may_send(t); i++) {
                int r;

                if (t->interval_nsec > 0 && now_nsec() < t->next_nsec)
                        return 0;
                if (t->ready_bytes == 0)
                        make_message(t);
                r = hagcs_send(t->h, t->out, t->ready_bytes, t->sent + 1);
                if (r == -EAGAIN) {
                        t->refused = true;
                        t->n_refused++;
                        return 0;
                }
                if (r == -ENOTCONN)
                        return 0; /* an event says why */
                if (r < 0)
                        return r;
                t->sent++;
                t->ready_bytes = 0;
                t->next_nsec = now_nsec() + t->interval_nsec;
        }
        return 0;
}

static int leave_when_seen(struct teller *t) {
        if (!t->leaving || t->unregistering || !t->known || t->seen < t->sent)
                return 0;
        t->unregistering = true;
        note(t,
             "end %" PRIu64 " %016" PRIx64 " %" PRIu64 " %" PRIu64,
             t->state.count,
             t->state.hash,
             t->sent,
             t->seen);
        return hagcs_unregister(t->h);
}

static void sum_up(struct teller *t) {
        uint64_t now = now_nsec();

        if (now < t->sum_nsec)
                return;
        t->sum_nsec = now + SUM_NSEC;
        note(t,
             "sum %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
             t->state.count,
             t->sent,
             t->seen,
             t->n_refused,
             t->told_bytes);
}

static void on_signal(struct teller *t, int fd) {
        struct signalfd_siginfo info;

        if (read(fd, &info, sizeof(info)) != sizeof(info))
                return;
        if (info.ssi_signo == SIGTERM)
                t->leaving = true;
        else
                t->silent = info.ssi_signo == SIGUSR1;
}

static struct timespec patience(const struct teller *t, bool more) {
        uint64_t now = now_nsec(), due = t->sum_nsec;

        if (may_send(t) && t->next_nsec < due)
                due = t->next_nsec;
        if (more || due < now)
                due = now;
        return (struct timespec){ .tv_nsec = (long) (due - now) };
}

#define EVENTS_OF_A_TURN 256U

static int turn(struct teller *t, int signal_fd, bool *more) {
        struct pollfd fds[] = {
                { .fd = hagcs_get_fd(t->h), .events = (short) hagcs_get_events(t->h) },
                { .fd = signal_fd, .events = POLLIN },
        };
        struct timespec wait = patience(t, *more);
        const hagcs_event *e;
        int r = 1;

        if (ppoll(fds, 2, &wait, NULL) < 0 && errno != EINTR)
                return -errno;
        if (fds[1].revents != 0)
                on_signal(t, signal_fd);
        for (unsigned i = 0; r > 0 && i < EVENTS_OF_A_TURN; i++) {
                r = hagcs_dispatch(t->h, &e);
                if (r > 0) {
                        int k = on_event(t, e);

                        if (k < 0)
                                return k;
                }
        }
        if (r < 0)
                return r;
        *more = r > 0;
        sum_up(t);
        r = leave_when_seen(t);
        return r < 0 ? r : send_some(t);
}

/* ---- Start ---- */

static int open_signals(void) {
        sigset_t set;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) sigaddset(&set, SIGUSR1);
        (void) sigaddset(&set, SIGUSR2);
        (void) sigprocmask(SIG_BLOCK, &set, NULL);
        return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int parse(struct teller *t, int argc, char *argv[]) {
        static const struct option options[] = {
                { "size", required_argument, NULL, 's' },
                { "state", required_argument, NULL, 't' },
                { "interval", required_argument, NULL, 'i' },
                { "diverge", required_argument, NULL, 'd' },
                { "mark", required_argument, NULL, 'm' },
                { "silent", no_argument, NULL, 'q' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 's':
                        t->size_bytes = strtoul(optarg, NULL, 10);
                        break;
                case 't':
                        t->state_bytes = strtoul(optarg, NULL, 10);
                        break;
                case 'i':
                        t->interval_nsec = strtoul(optarg, NULL, 10) * 1000;
                        break;
                case 'd':
                        t->diverge_at = strtoul(optarg, NULL, 10);
                        break;
                case 'm':
                        t->mark_every = strtoul(optarg, NULL, 10);
                        break;
                case 'q':
                        t->silent = true;
                        break;
                default:
                        return -EINVAL;
                }
        if (argc - optind != 3 || t->size_bytes > HAGCS_MESSAGE_MAX || t->state_bytes > HAGCS_SNAPSHOT_MAX ||
            (t->size_bytes != MIXED && t->size_bytes < sizeof(struct head)) || t->mark_every == 0)
                return -EINVAL;
        if (t->state_bytes < sizeof(struct state))
                t->state_bytes = sizeof(struct state);
        t->group = argv[optind];
        t->name = argv[optind + 1];
        t->file = open(argv[optind + 2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        t->out = malloc(HAGCS_MESSAGE_MAX);
        t->snapshot = calloc(1, t->state_bytes);
        return t->file < 0 ? -errno : t->out && t->snapshot ? 0 : -ENOMEM;
}

int main(int argc, char *argv[]) {
        static struct teller t = { .mark_every = 256 };
        hagcs_registration registration = { .flags = HAGCS_WANT_SNAPSHOT };
        int signal_fd = open_signals(), r = parse(&t, argc, argv);
        bool more = false;

        if (r < 0) {
                (void) fprintf(stderr,
                               "teller [--size BYTES] [--state BYTES] [--interval USEC] [--diverge COUNT] "
                               "[--mark COUNT] [--silent] GROUP NAME FILE\n");
                return EXIT_FAILURE;
        }
        (void) !write(t.file, "\n", 1); /* behind what the last life may have left unfinished */
        note(&t, "start %d %s %s", getpid(), t.group, t.name);
        registration.group = t.group;
        registration.name = t.name;
        r = hagcs_open(NULL, &t.h);
        if (r >= 0)
                r = hagcs_register(t.h, &registration);
        while (r >= 0)
                r = turn(&t, signal_fd, &more);
        if (r != -ESHUTDOWN)
                (void) fprintf(stderr, "%s: %s\n", t.name, strerror(-r));
        (void) hagcs_close(t.h);
        free(t.out);
        free(t.snapshot);
        (void) close(t.file);
        return r == -ESHUTDOWN ? EXIT_SUCCESS : EXIT_FAILURE;
}
