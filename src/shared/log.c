/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The journal is written to directly, by its native protocol, and not through sd_journal_send(): that one
 * waits when journald does not read, and a daemon that waits for journald stops sending heartbeats. A line
 * that the journal has no room for is dropped and counted, and the count is told with the next line that
 * gets through. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "basic/parse.h"
#include "basic/string-table.h"
#include "shared/log.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define LINE_BYTES_MAX 2048U

/* The only mutable data of a process that is not in an object: where its words go. */
static struct {
        char program[64];
        int max_level;
        int journal_fd; /* -EBADF: write to stderr */
        bool stream;    /* ... and that is the journal */
        unsigned n_lost;

        LogSink sink;
        void *sink_userdata;
} logger = {
        .max_level = LOG_INFO,
        .journal_fd = -EBADF,
};

static const char *const level_table[] = {
        [LOG_EMERG] = "emerg",     [LOG_ALERT] = "alert",   [LOG_CRIT] = "crit", [LOG_ERR] = "error",
        [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice", [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

int log_level_from_string(const char *text) {
        uint32_t level;

        if (parse_u32(text, LOG_EMERG, LOG_DEBUG, &level) >= 0)
                return (int) level;
        if (streq(text, "err"))
                return LOG_ERR;
        return string_table_lookup(level_table, ELEMENTSOF(level_table), text);
}

/* Is stderr the stream that systemd connected to the journal? */
static bool stderr_is_journal(void) {
        const char *e = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        if (!e || sscanf(e, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &st) < 0)
                return false;
        return st.st_dev == device && st.st_ino == inode;
}

static int connect_journal(void) {
        static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

void log_init(const char *program) {
        static const char *const variables[] = { "SYSTEMD_LOG_LEVEL", "HAMGR_LOG_LEVEL" };

        (void) snprintf(logger.program, sizeof(logger.program), "%s", program);

        for (size_t i = 0; i < ELEMENTSOF(variables); i++) {
                const char *e = getenv(variables[i]);
                int level = e ? log_level_from_string(e) : -EINVAL;

                if (level >= 0)
                        logger.max_level = level;
        }

        logger.journal_fd = safe_close(logger.journal_fd);
        logger.stream = false;
        if (stderr_is_journal()) {
                int fd = connect_journal();

                logger.journal_fd = fd < 0 ? -EBADF : fd;
        }
}

void log_by_stream(void) {
        if (logger.journal_fd < 0)
                return;
        logger.journal_fd = safe_close(logger.journal_fd);
        logger.stream = true;
}

void log_set_max_level(int level) {
        assert(level >= LOG_EMERG);
        assert(level <= LOG_DEBUG);
        logger.max_level = level;
}

int log_max_level(void) {
        return logger.max_level;
}

void log_set_sink(LogSink sink, void *userdata) {
        logger.sink = sink;
        logger.sink_userdata = userdata;
}

/* ---- The journal's native protocol ---- */

#define PACKET_PARTS_MAX ((LOG_FIELDS_MAX + 4) * 5)

typedef struct Packet {
        struct iovec parts[PACKET_PARTS_MAX];
        size_t n_parts;
        uint64_t lengths[LOG_FIELDS_MAX + 4]; /* little endian, of values with newlines */
        size_t n_lengths;
} Packet;

static void add_part(Packet *p, const void *data, size_t n) {
        assert(p->n_parts < PACKET_PARTS_MAX);
        p->parts[p->n_parts++] = (struct iovec){ .iov_base = (void *) data, .iov_len = n };
}

static void add_field(Packet *p, const char *name, const char *value) {
        size_t n = strlen(value);

        add_part(p, name, strlen(name));
        if (strchr(value, '\n')) {
                assert(p->n_lengths < ELEMENTSOF(p->lengths));
                p->lengths[p->n_lengths] = htole64(n);
                add_part(p, "\n", 1);
                add_part(p, &p->lengths[p->n_lengths++], sizeof(uint64_t));
        } else
                add_part(p, "=", 1);
        add_part(p, value, n);
        add_part(p, "\n", 1);
}

static bool send_to_journal(int level, const char *message_id, const char *const *fields, const char *text) {
        char priority[2] = { (char) ('0' + level), '\0' };
        Packet p = {};

        add_field(&p, "MESSAGE", text);
        add_field(&p, "PRIORITY", priority);
        add_field(&p, "SYSLOG_IDENTIFIER", logger.program);
        if (message_id)
                add_field(&p, "MESSAGE_ID", message_id);

        for (size_t n = 0; fields[0]; fields += 2, n++) {
                assert(n < LOG_FIELDS_MAX);
                if (fields[1])
                        add_field(&p, fields[0], fields[1]);
        }

        return sendmsg(logger.journal_fd,
                       &(struct msghdr){ .msg_iov = p.parts, .msg_iovlen = p.n_parts },
                       MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void
write_to_journal(int level, const char *message_id, const char *const *fields, const char *text) {
        char lost[80];

        if (logger.n_lost > 0) {
                (void) snprintf(lost,
                                sizeof(lost),
                                "%u lines were lost, the journal did not take them",
                                logger.n_lost);
                if (send_to_journal(LOG_WARNING, NULL, LOG_NO_FIELDS, lost))
                        logger.n_lost = 0;
        }

        if (send_to_journal(level, message_id, fields, text))
                return;
        logger.n_lost++;

        /* journald was restarted behind our back: its new socket takes the next line. */
        if (errno == ECONNREFUSED || errno == ENOTCONN) {
                int fd = connect_journal();

                if (fd >= 0) {
                        (void) safe_close(logger.journal_fd);
                        logger.journal_fd = fd;
                        if (send_to_journal(level, message_id, fields, text))
                                logger.n_lost--;
                }
        }
}

/* ---- Lines ---- */

void log_eventv(int level,
                const char *message_id,
                const char *const *fields,
                const char *format,
                va_list ap) {
        char text[LINE_BYTES_MAX];
        int saved = errno;

        assert(level >= LOG_EMERG);
        assert(level <= LOG_DEBUG);

        if (level > logger.max_level)
                return;

        (void) vsnprintf(text, sizeof(text), format, ap);

        if (logger.sink)
                logger.sink(level, message_id, fields, text, logger.sink_userdata);
        else if (logger.journal_fd >= 0)
                write_to_journal(level, message_id, fields, text);
        else if (logger.stream)
                (void) fprintf(stderr, "<%d>%s\n", level, text);
        else if (level <= LOG_WARNING)
                (void) fprintf(stderr, "%s: %s: %s\n", logger.program, level_table[level], text);
        else
                (void) fprintf(stderr, "%s: %s\n", logger.program, text);

        errno = saved;
}

void log_event(int level, const char *message_id, const char *const *fields, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        log_eventv(level, message_id, fields, format, ap);
        va_end(ap);
}

void log_line(int level, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        log_eventv(level, NULL, LOG_NO_FIELDS, format, ap);
        va_end(ap);
}

int log_line_errno(int level, int error, const char *format, ...) {
        int saved = errno, e = abs(error);
        char number[16];
        va_list ap;

        (void) snprintf(number, sizeof(number), "%d", e);
        errno = e;

        va_start(ap, format);
        log_eventv(level, NULL, LOG_FIELDS("ERRNO", number), format, ap);
        va_end(ap);

        errno = saved;
        return -e;
}

/* ---- At a bounded rate ---- */

bool log_rate_pass(LogRate *rate, uint64_t now_usec, uint32_t *ret_held) {
        if (rate->n_passed == 0 || now_usec - rate->begin_usec >= rate->interval_usec) {
                rate->begin_usec = now_usec;
                rate->n_passed = 0;
        }

        if (rate->n_passed >= rate->burst) {
                rate->n_held++;
                return false;
        }

        rate->n_passed++;
        *ret_held = rate->n_held;
        rate->n_held = 0;
        return true;
}
