/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hagcd/channel.h"
#include "basic/time-util.h"

#define RECORD_APPLICATION_DATA 23U

/* What a client says first in a new session; no message is so short. */
#define PROOF_BYTES 1U

void channel_init(
                Channel *c,
                DtlsContext *context,
                const DtlsIdentity *identity,
                bool client,
                uint64_t silence_usec,
                ChannelSend send,
                void *userdata) {

        *c = (Channel){
                .context = context,
                .identity = *identity,
                .client = client,
                .silence_usec = silence_usec,
                .send = send,
                .userdata = userdata,
        };
}

void channel_done(Channel *c) {
        c->current = dtls_session_free(c->current);
        c->previous = dtls_session_free(c->previous);
        c->pending = dtls_session_free(c->pending);
}

static uint64_t retry_usec(const Channel *c) {
        return MIN(CHANNEL_HANDSHAKE_USEC << MIN(c->n_failed, 3U), CHANNEL_RETRY_MAX_USEC);
}

static void send_flight(Channel *c) {
        uint8_t buf[DTLS_FLIGHT_MAX_BYTES];
        size_t n;

        while ((n = dtls_session_output(c->pending, buf, sizeof(buf))) > 0)
                c->send(c->userdata, CHANNEL_OUT_DTLS, buf, n);
}

static void drop_pending(Channel *c, uint64_t now_usec) {
        c->pending = dtls_session_free(c->pending);
        c->n_failed++;
        c->next_try_usec = now_usec + retry_usec(c) / 2;
}

static bool begin_pending(Channel *c, uint64_t now_usec) {
        c->pending = dtls_session_free(c->pending);
        if (dtls_session_new(c->context, &c->identity, c->client, &c->pending) < 0) {
                c->next_try_usec = now_usec + CHANNEL_RETRY_MAX_USEC;
                return false;
        }
        c->pending_since_usec = now_usec;
        return true;
}

/* Tells the server that the client, too, has the new session, before there is anything else to say in it. */
static void send_proof(Channel *c) {
        uint8_t buf[PROOF_BYTES + DTLS_OVERHEAD_BYTES];
        int n = dtls_session_seal(
                        c->current, (const uint8_t[PROOF_BYTES]){ 0 }, PROOF_BYTES, buf, sizeof(buf));

        if (n > 0)
                c->send(c->userdata, CHANNEL_OUT_DTLS, buf, (size_t) n);
}

static void feed_pending(Channel *c, const void *datagram, size_t size_bytes, uint64_t now_usec) {
        DtlsState state;

        state = dtls_session_feed(c->pending, datagram, size_bytes);
        send_flight(c);
        switch (state) {
        case DTLS_HANDSHAKING:
                break;
        case DTLS_FAILED:
                drop_pending(c, now_usec);
                break;
        case DTLS_ESTABLISHED:
                if (c->previous)
                        c->current = dtls_session_free(c->current);
                else
                        c->previous = TAKE_PTR(c->current);
                c->current = TAKE_PTR(c->pending);
                if (c->client)
                        send_proof(c);
                c->n_failed = 0;
                c->n_established++;
                c->read_usec = now_usec;
                break;
        }
}

static bool is_too_soon(uint64_t last_usec, uint64_t now_usec) {
        return last_usec > 0 && usec_sub(now_usec, last_usec) < CHANNEL_SPARE_USEC;
}

static void knock(Channel *c, uint64_t now_usec) {
        if (is_too_soon(c->knocked_usec, now_usec))
                return;
        c->knocked_usec = now_usec;
        c->send(c->userdata, CHANNEL_OUT_KNOCK, NULL, 0);
}

static bool is_silent(const Channel *c, uint64_t now_usec) {
        return !c->current || usec_sub(now_usec, c->read_usec) >= c->silence_usec;
}

void channel_tick(Channel *c, uint64_t now_usec) {
        if (c->pending) {
                if (usec_sub(now_usec, c->pending_since_usec) < CHANNEL_HANDSHAKE_USEC)
                        return;
                drop_pending(c, now_usec);
        }
        if (!is_silent(c, now_usec) || now_usec < c->next_try_usec)
                return;
        c->next_try_usec = now_usec + retry_usec(c);
        if (c->client) {
                if (begin_pending(c, now_usec))
                        feed_pending(c, NULL, 0, now_usec);
        } else {
                c->n_failed = MIN(c->n_failed + 1, 3U);
                knock(c, now_usec);
        }
}

uint64_t channel_wakeup_usec(const Channel *c) {
        if (c->pending)
                return c->pending_since_usec + CHANNEL_HANDSHAKE_USEC;
        if (c->current)
                return MAX(c->read_usec + c->silence_usec, c->next_try_usec);
        return c->next_try_usec;
}

void channel_knocked(Channel *c, uint64_t now_usec) {
        if (!c->client)
                return;
        if (c->pending || is_too_soon(c->pending_since_usec, now_usec))
                return;
        /* A session that has just been read does not lack anything: somebody else knocks. */
        if (c->current && usec_sub(now_usec, c->read_usec) < CHANNEL_SPARE_USEC)
                return;
        if (begin_pending(c, now_usec))
                feed_pending(c, NULL, 0, now_usec);
}

static void accept_hello(Channel *c, uint64_t now_usec) {
        if (is_too_soon(c->pending_since_usec, now_usec))
                return;
        /* A hello costs its sender nothing, so it does not end a handshake that came further. */
        if (c->pending && dtls_session_is_engaged(c->pending) &&
            usec_sub(now_usec, c->pending_since_usec) < CHANNEL_HANDSHAKE_USEC)
                return;
        (void) begin_pending(c, now_usec);
}

void channel_feed(Channel *c, const void *datagram, size_t size_bytes, uint64_t now_usec) {
        const uint8_t *p = datagram;

        if (size_bytes == 0)
                return;
        if (p[0] == RECORD_APPLICATION_DATA) {
                if (c->current)
                        (void) dtls_session_feed(c->current, datagram, size_bytes);
                if (c->previous)
                        (void) dtls_session_feed(c->previous, datagram, size_bytes);
                if (!c->current && !c->client)
                        knock(c, now_usec);
                return;
        }

        /* All else belongs to a handshake: nothing in clear ever reaches an established session. */
        if (!c->client && dtls_is_first_hello(datagram, size_bytes))
                accept_hello(c, now_usec);
        if (c->pending)
                feed_pending(c, datagram, size_bytes, now_usec);
}

static size_t read_session(DtlsSession **s, void *buf, size_t buf_bytes) {
        size_t n;

        if (!*s)
                return 0;
        n = dtls_session_read(*s, buf, buf_bytes);
        if (n == 0 && dtls_session_state(*s) == DTLS_FAILED)
                *s = dtls_session_free(*s);
        return n;
}

size_t channel_read(Channel *c, void *buf, size_t buf_bytes, uint64_t now_usec) {
        size_t n;

        do {
                n = read_session(&c->current, buf, buf_bytes);
                if (n > 0)
                        c->previous = dtls_session_free(c->previous);
                else
                        n = read_session(&c->previous, buf, buf_bytes);
                if (n > 0)
                        c->read_usec = now_usec;
        } while (n == PROOF_BYTES);
        return n;
}

int channel_seal(Channel *c, const void *data, size_t size_bytes, void *buf, size_t buf_bytes) {
        DtlsSession **s = !c->client && c->previous ? &c->previous : &c->current;
        int r;

        if (!*s)
                return -ENOTCONN;
        r = dtls_session_seal(*s, data, size_bytes, buf, buf_bytes);
        if (r == -ENOTCONN)
                *s = dtls_session_free(*s);
        return r;
}
