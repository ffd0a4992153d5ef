/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Two ends of a channel that works, and a third that hears all of it, has no key, and sends what it likes to
 * either. At every moment each end must understand the other: nothing that stranger sends may take from them
 * the session that they have. */

#include <stdlib.h>

#include "basic/time-util.h"
#include "fuzz/fuzz.h"
#include "hagcd/channel.h"

#define OPS_MAX 60U
#define PAST_MAX 64U
#define DATAGRAM_MAX 1600U
#define SILENCE_USEC (400 * USEC_PER_MSEC)

typedef enum Op {
        OP_BEND, /* something heard before, changed in places */
        OP_AGAIN,
        OP_RAW,
        OP_KNOCK,
        OP_TIME,
        OP_RESTART, /* an end loses all that it knew */
        _OP_MAX,
} Op;

typedef struct Datagram {
        size_t size_bytes;
        uint8_t data[DATAGRAM_MAX];
} Datagram;

typedef struct Fixture Fixture;

typedef struct End {
        Fixture *f;
        Channel channel;
} End;

struct Fixture {
        DtlsContext *context;
        End ends[2];
        uint64_t now_usec;
        unsigned n_past;
        Datagram past[PAST_MAX];
        unsigned depth;
        /* Sent and not there yet: a channel is not called back into. */
        unsigned n_queued;
        struct {
                unsigned to;
                ChannelOut what;
                Datagram datagram;
        } queue[PAST_MAX];
};

static const DtlsIdentity identity = { .client_id = 1, .server_id = 2 };

static void on_send(void *userdata, ChannelOut what, const void *data, size_t size_bytes) {
        End *e = userdata;
        Fixture *f = e->f;
        Datagram d = { .size_bytes = size_bytes };

        assert(size_bytes <= sizeof(d.data));
        if (size_bytes > 0)
                memcpy(d.data, data, size_bytes);
        if (what == CHANNEL_OUT_DTLS)
                f->past[f->n_past++ % PAST_MAX] = d;
        if (f->n_queued == PAST_MAX)
                return;
        f->queue[f->n_queued].to = e == &f->ends[0];
        f->queue[f->n_queued].what = what;
        f->queue[f->n_queued++].datagram = d;
}

static size_t read_all(Fixture *f, unsigned to, uint8_t *buf, size_t buf_bytes) {
        size_t n, last = 0;
        uint8_t plain[DATAGRAM_MAX];

        while ((n = channel_read(&f->ends[to].channel, plain, sizeof(plain), f->now_usec)) > 0) {
                last = n;
                memcpy(buf, plain, MIN(n, buf_bytes));
        }
        return last;
}

static void deliver(Fixture *f) {
        uint8_t plain[DATAGRAM_MAX];

        for (unsigned i = 0; i < f->n_queued; i++) {
                unsigned to = f->queue[i].to;
                Datagram d = f->queue[i].datagram;

                if (f->queue[i].what == CHANNEL_OUT_KNOCK)
                        channel_knocked(&f->ends[to].channel, f->now_usec);
                else {
                        channel_feed(&f->ends[to].channel, d.data, d.size_bytes, f->now_usec);
                        /* Only what one of the two said comes out, and here nobody says a thing. */
                        assert(read_all(f, to, plain, sizeof(plain)) == 0);
                }
        }
        f->n_queued = 0;
}

static void tick(Fixture *f) {
        for (unsigned i = 0; i < 2; i++)
                if (channel_wakeup_usec(&f->ends[i].channel) <= f->now_usec)
                        channel_tick(&f->ends[i].channel, f->now_usec);
        deliver(f);
}

static void pass_time(Fixture *f, uint64_t usec) {
        for (uint64_t until_usec = f->now_usec + usec; f->now_usec < until_usec;
             f->now_usec += 20 * USEC_PER_MSEC)
                tick(f);
}

static bool talks(Fixture *f, unsigned from) {
        uint8_t sealed[DATAGRAM_MAX], plain[DATAGRAM_MAX];
        int n = channel_seal(&f->ends[from].channel, "sealed", 6, sealed, sizeof(sealed));

        if (n < 0)
                return false;
        channel_feed(&f->ends[!from].channel, sealed, (size_t) n, f->now_usec);
        return read_all(f, !from, plain, sizeof(plain)) == 6 && memcmp(plain, "sealed", 6) == 0;
}

static void init_end(Fixture *f, unsigned i) {
        channel_init(&f->ends[i].channel, f->context, &identity, i == 0, SILENCE_USEC, on_send, &f->ends[i]);
}

/* From nothing: within the time that a handshake, repeated, takes. */
static void connect_ends(Fixture *f) {
        for (unsigned i = 0; i < 100 && !(talks(f, 0) && talks(f, 1)); i++)
                pass_time(f, 20 * USEC_PER_MSEC);
        assert(talks(f, 0) && talks(f, 1));
}

static void inject(Fixture *f, unsigned to, const Datagram *d) {
        uint8_t plain[DATAGRAM_MAX];

        channel_feed(&f->ends[to].channel, d->data, d->size_bytes, f->now_usec);
        assert(read_all(f, to, plain, sizeof(plain)) == 0);
        deliver(f);
}

static void one_op(Fixture *f, FuzzInput *in) {
        Op op = (Op) fuzz_below(in, _OP_MAX);
        unsigned to = fuzz_u8(in) % 2, back;
        Datagram d = { 0 };
        const uint8_t *data;
        size_t n;

        switch (op) {
        case OP_BEND:
        case OP_AGAIN:
                back = fuzz_below(in, MIN(f->n_past, PAST_MAX));
                d = f->past[(f->n_past - 1 - back) % PAST_MAX];
                if (op == OP_BEND)
                        fuzz_bend(in, d.data, &d.size_bytes, sizeof(d.data));
                inject(f, to, &d);
                break;
        case OP_RAW:
                data = fuzz_blob(in, &n);
                d.size_bytes = MIN(n, sizeof(d.data));
                memcpy(d.data, data, d.size_bytes);
                inject(f, to, &d);
                break;
        case OP_KNOCK:
                if (to == 0)
                        channel_knocked(&f->ends[0].channel, f->now_usec);
                deliver(f);
                break;
        case OP_TIME:
                pass_time(f, fuzz_u8(in) * USEC_PER_MSEC);
                break;
        case OP_RESTART:
                channel_done(&f->ends[to].channel);
                init_end(f, to);
                connect_ends(f);
                break;
        case _OP_MAX:
                break;
        }
        /* At once, whatever came. */
        assert(talks(f, 0));
        assert(talks(f, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        FuzzInput in = { .data = data, .size_bytes = size };
        Fixture *f = calloc(1, sizeof(*f));

        assert(f);
        f->now_usec = USEC_PER_SEC;
        assert(dtls_context_new("0123456789abcdef", 16, &f->context) == 0);
        for (unsigned i = 0; i < 2; i++) {
                f->ends[i].f = f;
                init_end(f, i);
        }
        connect_ends(f);
        for (unsigned i = 0; i < OPS_MAX && !fuzz_is_empty(&in); i++)
                one_op(f, &in);
        for (unsigned i = 0; i < 2; i++)
                channel_done(&f->ends[i].channel);
        (void) dtls_context_free(f->context);
        free(f);
        return 0;
}

void fuzz_seeds(FuzzSeeds *s) {
        for (uint8_t to = 0; to < 2; to++)
                for (uint8_t back = 0; back < 8; back++) {
                        FuzzScript script = { 0 };

                        FUZZ_SAY(&script, OP_KNOCK, 0, OP_AGAIN, to, back, OP_TIME, 0, 30);
                        FUZZ_SAY(&script, OP_BEND, to, back, 0, (uint8_t) (20 * back), 0, 0x42, 0xff);
                        FUZZ_SAY(&script, OP_RAW, to, 20, 0, 23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 7);
                        FUZZ_SAY(&script, 1, 2, 3, 4, 5, 6, 7, OP_RESTART, to, OP_AGAIN, !to, back);
                        fuzz_seed(s, script.data, script.size_bytes);
                }
}
