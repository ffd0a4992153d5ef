/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sealing of datagrams: DTLS 1.2 with ECDHE-PSK-CHACHA20-POLY1305 over memory. Bytes come in, bytes go out;
 * sockets, clocks and time-outs are the caller's. The one file of the project that includes OpenSSL is
 * dtls.c.
 *
 * A session belongs to one client node, one server node, one link and one class. Its key is derived from the
 * cluster key and these names, so what is said in one session means nothing in another. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"

#define DTLS_KEY_MIN_BYTES 16U

/* A sealed record is longer than what is in it by this much. */
#define DTLS_OVERHEAD_BYTES 29U

/* Handshake datagrams are not longer than this. */
#define DTLS_FLIGHT_MAX_BYTES 1400U

#define DTLS_DIGEST_BYTES 32U

typedef enum DtlsClass {
        DTLS_CLASS_MEMBERSHIP, /* heartbeats and ballots, small and seldom */
        DTLS_CLASS_BULK, /* ordered messages: apart, so that a burst does not push the others out of the
                            window */
} DtlsClass;

#define DTLS_CLASSES_MAX 2U

typedef struct DtlsIdentity {
        uint32_t client_id;
        uint32_t server_id;
        uint32_t link;
        DtlsClass class;
} DtlsIdentity;

typedef enum DtlsState {
        DTLS_HANDSHAKING,
        DTLS_ESTABLISHED, /* the other end has proven that it holds the key */
        DTLS_FAILED,      /* of no use any more */
} DtlsState;

typedef struct DtlsContext DtlsContext;
typedef struct DtlsSession DtlsSession;

int dtls_context_new(const void *key, size_t key_bytes, DtlsContext **ret);
DtlsContext *dtls_context_free(DtlsContext *c);
DEFINE_TRIVIAL_CLEANUP(DtlsContext *, dtls_context_free);

/* A number by which both ends see that their keys differ. It tells nothing else about the key. */
uint32_t dtls_context_key_id(const DtlsContext *c);

/* The context must outlive the session. */
int dtls_session_new(DtlsContext *c, const DtlsIdentity *identity, bool client, DtlsSession **ret);
DtlsSession *dtls_session_free(DtlsSession *s);
DEFINE_TRIVIAL_CLEANUP(DtlsSession *, dtls_session_free);

/* Takes in one datagram (none: size 0, to make a client begin) and goes on with the handshake. What is
 * inside is then taken out with dtls_session_read() before the next datagram. Garbage is dropped. */
DtlsState dtls_session_feed(DtlsSession *s, const void *datagram, size_t size_bytes);
DtlsState dtls_session_state(const DtlsSession *s);

/* True once the cookie came back (server): from here on the handshake has cost us work. */
bool dtls_session_is_engaged(const DtlsSession *s);

/* The next message of the datagram just fed: its size, or 0 when there is none (left). */
size_t dtls_session_read(DtlsSession *s, void *buf, size_t buf_bytes);

/* The next datagram of the handshake to be sent: its size, or 0. buf holds DTLS_FLIGHT_MAX_BYTES at least.
 */
size_t dtls_session_output(DtlsSession *s, void *buf, size_t buf_bytes);

/* Seals a message into buf, size_bytes + DTLS_OVERHEAD_BYTES long. Returns the size, -ENOTCONN or -EMSGSIZE.
 */
int dtls_session_seal(DtlsSession *s, const void *data, size_t size_bytes, void *buf, size_t buf_bytes);

/* Is it the first message of a handshake (a ClientHello without cookie)? */
bool dtls_is_first_hello(const void *datagram, size_t size_bytes);

/* SHA-256, for the hash of the last gasp's secret. */
int dtls_digest(const void *data, size_t size_bytes, uint8_t ret[static DTLS_DIGEST_BYTES]);
