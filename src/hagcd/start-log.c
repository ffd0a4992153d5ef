/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hagcd/start-log.h"
#include "basic/time-util.h"

static void drop_void(StartLog *log, uint64_t now_usec) {
        unsigned n = 0;

        for (unsigned i = 0; i < log->n_unclean; i++)
                if (log->unclean_usec[i] <= now_usec)
                        log->unclean_usec[n++] = log->unclean_usec[i];
        log->n_unclean = n;
}

static void add(StartLog *log, uint64_t now_usec) {
        if (log->n_unclean == START_LOG_MAX) {
                memmove(log->unclean_usec,
                        log->unclean_usec + 1,
                        (START_LOG_MAX - 1) * sizeof(log->unclean_usec[0]));
                log->n_unclean--;
        }
        log->unclean_usec[log->n_unclean++] = now_usec;
}

uint64_t start_log_begin(StartLog *log, uint64_t now_usec, uint64_t hold_usec) {
        bool unclean = log->running;

        drop_void(log, now_usec);
        if (unclean)
                add(log, now_usec);
        log->running = true;
        if (!unclean || log->n_unclean < START_LOG_MAX)
                return 0;
        return now_usec - log->unclean_usec[0] <= hold_usec ? hold_usec : 0;
}

void start_log_end(StartLog *log) {
        log->running = false;
}

void start_log_encode(const StartLog *log, ByteWriter *w) {
        byte_writer_bool(w, log->running);
        byte_writer_u8(w, (uint8_t) log->n_unclean);
        for (unsigned i = 0; i < log->n_unclean; i++)
                byte_writer_u64(w, log->unclean_usec[i]);
}

void start_log_decode(ByteReader *r, StartLog *ret) {
        *ret = (StartLog){ .running = byte_reader_bool(r) };
        ret->n_unclean = byte_reader_u8_max(r, START_LOG_MAX);
        for (unsigned i = 0; i < ret->n_unclean; i++)
                ret->unclean_usec[i] = byte_reader_u64(r);
}
