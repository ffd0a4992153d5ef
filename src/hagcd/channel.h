/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One pair of nodes, one link, one class: at most one session in use, one in the making, and the one before,
 * until the peer has spoken in the new one. The node with the lower id is the client and begins.
 *
 *      client: nothing or silent --try--> hello ... established: the new one takes over
 *      server: nothing --knock--> ...; a first hello makes a fresh session; verified, it takes over
 *
 * A handshake that is not done in time is thrown away and begun anew; OpenSSL's own timer is not used.
 *
 * Anybody can begin a handshake, or make a client begin one, and disturb it; only who has the key can end
 * it. So no handshake may take from us the session that works. The client ends it last: then the server has
 * the new session, and the client speaks in it. The server goes on in the old one until the client has. Both
 * read in the old one as well until something was read in the new one. */

#include "hagcd/dtls.h"

/* A handshake is over after this, or is begun anew. */
#define CHANNEL_HANDSHAKE_USEC (100 * UINT64_C(1000))
#define CHANNEL_RETRY_MAX_USEC (500 * UINT64_C(1000))
/* So often at most: answer a hello or a knock of unproven origin. */
#define CHANNEL_SPARE_USEC (20 * UINT64_C(1000))

typedef enum ChannelOut {
        CHANNEL_OUT_DTLS,
        CHANNEL_OUT_KNOCK,
} ChannelOut;

/* Called to send something; not to call back into the channel. */
typedef void (*ChannelSend)(void *userdata, ChannelOut what, const void *datagram, size_t size_bytes);

typedef struct Channel {
        DtlsContext *context; /* weak */
        DtlsIdentity identity;
        bool client;
        uint64_t silence_usec; /* begin anew when nothing was read for so long */
        ChannelSend send;
        void *userdata;

        DtlsSession *current;  /* owned */
        DtlsSession *previous; /* owned */
        DtlsSession *pending;  /* owned */

        uint64_t pending_since_usec;
        uint64_t read_usec;     /* last time something sealed came in, or the session was made */
        uint64_t next_try_usec; /* client: hello; server: knock */
        uint64_t knocked_usec;  /* last knock sent (server) */
        unsigned n_failed;      /* handshakes in a row that did not end */
        unsigned n_established; /* in all */
} Channel;

void channel_init(
                Channel *c,
                DtlsContext *context,
                const DtlsIdentity *identity,
                bool client,
                uint64_t silence_usec,
                ChannelSend send,
                void *userdata);
void channel_done(Channel *c);

static inline bool channel_is_established(const Channel *c) {
        return c->current != NULL;
}

/* Begins, retries, gives up. To be called when channel_wakeup_usec() has come. */
void channel_tick(Channel *c, uint64_t now_usec);
uint64_t channel_wakeup_usec(const Channel *c);

/* The peer asks us to begin (client). */
void channel_knocked(Channel *c, uint64_t now_usec);

/* Takes in a datagram. Then channel_read() until it returns 0. */
void channel_feed(Channel *c, const void *datagram, size_t size_bytes, uint64_t now_usec);
size_t channel_read(Channel *c, void *buf, size_t buf_bytes, uint64_t now_usec);

/* As dtls_session_seal(). */
int channel_seal(Channel *c, const void *data, size_t size_bytes, void *buf, size_t buf_bytes);
