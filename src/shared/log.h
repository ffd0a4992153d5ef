/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Logging for shells and tools: to the journal with fields when stderr is the journal, else as lines on
 * stderr.
 *
 *     log_info("started");
 *     return log_error_errno(r, "cannot bind %s: %m", address);         // errno is set for %m; returns r
 *     log_event(LOG_NOTICE, HAMGR_MESSAGE_NODE_FENCED,
 *               LOG_FIELDS("HAMGR_NODE", name, "HAMGR_REASON", why), "node %s is down: %s", name, why);
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "basic/macro.h"

/* Fields of one event, in all. */
#define LOG_FIELDS_MAX 24U

/* Chooses where to write to (journal or stderr) and reads SYSTEMD_LOG_LEVEL / HAMGR_LOG_LEVEL. Call once,
 * first. The name stands in front of lines on a terminal. */
void log_init(const char *program);

/* For a program that ends as soon as it has spoken: lines on stderr, also where that is the journal. A
 * datagram of a process that is gone is kept, but "systemctl status" and "journalctl -u" no longer find it:
 * the journal asks the process for its unit. What comes by the unit's stream is known to be the unit's. */
void log_by_stream(void);

/* Lines above this level (LOG_ERR .. LOG_DEBUG) are dropped. Default: LOG_INFO. */
void log_set_max_level(int level);
int log_max_level(void);

/* Level from a name such as "debug" or a number 0..7; -EINVAL. */
int log_level_from_string(const char *text);

/* One line without further fields. */
void log_line(int level, const char *format, ...) _printf_(2, 3);

/* The same with errno set to |error| for %m, and ERRNO= in the journal. Returns -|error|. */
int log_line_errno(int level, int error, const char *format, ...) _printf_(3, 4);

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)

#define log_debug_errno(error, ...) log_line_errno(LOG_DEBUG, error, __VA_ARGS__)
#define log_info_errno(error, ...) log_line_errno(LOG_INFO, error, __VA_ARGS__)
#define log_warning_errno(error, ...) log_line_errno(LOG_WARNING, error, __VA_ARGS__)
#define log_error_errno(error, ...) log_line_errno(LOG_ERR, error, __VA_ARGS__)

/* Names and values in turn, ended by NULL. A field whose value is NULL is left out. */
#define LOG_FIELDS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define LOG_NO_FIELDS ((const char *const[]){ NULL })

/* An event that a person may wait for. message_id is 32 hex digits from shared/message-ids.h, or NULL. */
void log_event(int level, const char *message_id, const char *const *fields, const char *format, ...)
                _printf_(4, 5);
void log_eventv(int level, const char *message_id, const char *const *fields, const char *format, va_list ap)
                _printf_(4, 0);

/* ---- At a bounded rate ---- */

typedef struct LogRate {
        uint64_t interval_usec;
        uint32_t burst;

        uint64_t begin_usec;
        uint32_t n_passed;
        uint32_t n_held;
} LogRate;

/* May this be logged now? ret_held gets how many were held back since the last that passed (0: none). */
bool log_rate_pass(LogRate *rate, uint64_t now_usec, uint32_t *ret_held);

/* ---- For tests ---- */

/* Hands every line that passes the level to the function instead of writing it; NULL ends that. */
typedef void (*LogSink)(
                int level,
                const char *message_id,
                const char *const *fields,
                const char *text,
                void *userdata);
void log_set_sink(LogSink sink, void *userdata);
