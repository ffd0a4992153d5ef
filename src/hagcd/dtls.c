/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "hagcd/dtls.h"

#define CIPHER "ECDHE-PSK-CHACHA20-POLY1305"
#define PSK_BYTES 32U
#define COOKIE_BYTES 32U
#define IDENTITY_TEXT_MAX 64U

#define RECORD_HEADER_BYTES 13U
#define RECORD_HANDSHAKE 22U
#define RECORD_APPLICATION_DATA 23U
#define SEAL_BYTES 16U /* of CHACHA20-POLY1305, behind what is sealed */
#define HANDSHAKE_CLIENT_HELLO 1U

struct DtlsContext {
        SSL_CTX *ssl; /* owned */
        uint32_t key_id;
        size_t key_bytes;
        uint8_t key[64];
        uint8_t cookie_secret[32];
};

struct DtlsSession {
        DtlsContext *context; /* weak */
        SSL *ssl;             /* owned, and the two BIOs with it */
        BIO *in;
        BIO *out;
        DtlsIdentity identity;
        bool client;
        bool engaged;
        DtlsState state;
};

static int derive(const DtlsContext *c, const char *info, uint8_t *ret, size_t n) {
        static const char salt[] = "hamgr dtls 1";
        EVP_KDF *kdf;
        EVP_KDF_CTX *ctx;
        int r;

        kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
        if (!kdf)
                return -ENOTSUP;
        ctx = EVP_KDF_CTX_new(kdf);
        EVP_KDF_free(kdf);
        if (!ctx)
                return -ENOMEM;

        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *) "SHA256", 0),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *) c->key, c->key_bytes),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *) salt, sizeof(salt) - 1),
                OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *) info, strlen(info)),
                OSSL_PARAM_construct_end(),
        };
        r = EVP_KDF_derive(ctx, ret, n, params) > 0 ? 0 : -ENOTSUP;
        EVP_KDF_CTX_free(ctx);
        return r;
}

/* The identity names the key and both ends; it travels in clear and both ends compare it with their own. */
static void identity_format(const DtlsSession *s, char buf[static IDENTITY_TEXT_MAX]) {
        (void) snprintf(buf,
                        IDENTITY_TEXT_MAX,
                        "%08x:%u>%u/%u/%u",
                        s->context->key_id,
                        s->identity.client_id,
                        s->identity.server_id,
                        s->identity.link,
                        (unsigned) s->identity.class);
}

static unsigned session_psk(const DtlsSession *s, unsigned char *psk, unsigned max_bytes) {
        char identity[IDENTITY_TEXT_MAX];

        if (max_bytes < PSK_BYTES)
                return 0;
        identity_format(s, identity);
        return derive(s->context, identity, psk, PSK_BYTES) < 0 ? 0 : PSK_BYTES;
}

static unsigned
on_psk_client(SSL *ssl,
              const char *hint,
              char *identity,
              unsigned identity_max_bytes,
              unsigned char *psk,
              unsigned psk_max_bytes) {
        const DtlsSession *s = SSL_get_app_data(ssl);

        if (identity_max_bytes < IDENTITY_TEXT_MAX)
                return 0;
        identity_format(s, identity);
        return session_psk(s, psk, psk_max_bytes);
}

static unsigned on_psk_server(SSL *ssl, const char *identity, unsigned char *psk, unsigned psk_max_bytes) {
        const DtlsSession *s = SSL_get_app_data(ssl);
        char own[IDENTITY_TEXT_MAX];

        identity_format(s, own);
        if (!identity || !streq(identity, own))
                return 0;
        return session_psk(s, psk, psk_max_bytes);
}

static int make_cookie(const DtlsSession *s, uint8_t ret[static COOKIE_BYTES]) {
        char identity[IDENTITY_TEXT_MAX];
        unsigned n = COOKIE_BYTES;

        identity_format(s, identity);
        return HMAC(EVP_sha256(),
                    s->context->cookie_secret,
                    sizeof(s->context->cookie_secret),
                    (const unsigned char *) identity,
                    strlen(identity),
                    ret,
                    &n) && n == COOKIE_BYTES
                               ? 1
                               : 0;
}

static int on_cookie_generate(SSL *ssl, unsigned char *cookie, unsigned *ret_size) {
        const DtlsSession *s = SSL_get_app_data(ssl);

        *ret_size = COOKIE_BYTES;
        return make_cookie(s, cookie);
}

static int on_cookie_verify(SSL *ssl, const unsigned char *cookie, unsigned size) {
        DtlsSession *s = SSL_get_app_data(ssl);
        uint8_t own[COOKIE_BYTES];

        if (size != COOKIE_BYTES || !make_cookie(s, own) || CRYPTO_memcmp(own, cookie, COOKIE_BYTES) != 0)
                return 0;
        s->engaged = true;
        return 1;
}

/* OpenSSL's own timer runs on the time of day; the caller starts a new session instead of waiting for it. */
static unsigned on_timer(SSL *ssl, unsigned timer_usec) {
        return UINT32_C(3600) * 1000000;
}

/* Clearing goes through all of OpenSSL's queue, which hardly ever has anything in it. */
static void clear_errors(void) {
        if (ERR_peek_error() != 0)
                ERR_clear_error();
}

int dtls_context_new(const void *key, size_t key_bytes, DtlsContext **ret) {
        _cleanup_(dtls_context_freep) DtlsContext *c = NULL;
        uint8_t id[4];
        int r;

        if (key_bytes < DTLS_KEY_MIN_BYTES || key_bytes > sizeof(c->key))
                return -EINVAL;
        if (!OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
                return -ENOMEM;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        memcpy(c->key, key, key_bytes);
        c->key_bytes = key_bytes;
        r = derive(c, "key id", id, sizeof(id));
        if (r < 0)
                return r;
        c->key_id = (uint32_t) id[0] | (uint32_t) id[1] << 8 | (uint32_t) id[2] << 16 |
                    (uint32_t) id[3] << 24;
        if (RAND_bytes(c->cookie_secret, sizeof(c->cookie_secret)) != 1)
                return -EIO;

        c->ssl = SSL_CTX_new(DTLS_method());
        if (!c->ssl)
                return -ENOMEM;
        if (!SSL_CTX_set_min_proto_version(c->ssl, DTLS1_2_VERSION) ||
            !SSL_CTX_set_max_proto_version(c->ssl, DTLS1_2_VERSION) ||
            !SSL_CTX_set_cipher_list(c->ssl, CIPHER))
                return -ENOTSUP;
        SSL_CTX_set_options(
                        c->ssl,
                        SSL_OP_COOKIE_EXCHANGE | SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET |
                                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
        SSL_CTX_set_quiet_shutdown(c->ssl, 1);
        SSL_CTX_set_psk_client_callback(c->ssl, on_psk_client);
        SSL_CTX_set_psk_server_callback(c->ssl, on_psk_server);
        SSL_CTX_set_cookie_generate_cb(c->ssl, on_cookie_generate);
        SSL_CTX_set_cookie_verify_cb(c->ssl, on_cookie_verify);

        *ret = TAKE_PTR(c);
        return 0;
}

DtlsContext *dtls_context_free(DtlsContext *c) {
        if (!c)
                return NULL;
        SSL_CTX_free(c->ssl);
        OPENSSL_cleanse(c, sizeof(*c));
        free(c);
        return NULL;
}

uint32_t dtls_context_key_id(const DtlsContext *c) {
        return c->key_id;
}

int dtls_session_new(DtlsContext *c, const DtlsIdentity *identity, bool client, DtlsSession **ret) {
        _cleanup_(dtls_session_freep) DtlsSession *s = NULL;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->context = c;
        s->identity = *identity;
        s->client = client;
        s->engaged = client;
        s->ssl = SSL_new(c->ssl);
        if (!s->ssl)
                return -ENOMEM;
        s->in = BIO_new(BIO_s_mem());
        s->out = BIO_new(BIO_s_mem());
        if (!s->in || !s->out) {
                BIO_free(s->in);
                BIO_free(s->out);
                return -ENOMEM;
        }
        /* An empty BIO means "not yet", never "the end". */
        BIO_set_mem_eof_return(s->in, -1);
        BIO_set_mem_eof_return(s->out, -1);
        SSL_set_bio(s->ssl, s->in, s->out);
        (void) SSL_set_app_data(s->ssl, s);
        SSL_set_mtu(s->ssl, DTLS_FLIGHT_MAX_BYTES);
        DTLS_set_timer_cb(s->ssl, on_timer);
        if (client)
                SSL_set_connect_state(s->ssl);
        else
                SSL_set_accept_state(s->ssl);

        *ret = TAKE_PTR(s);
        return 0;
}

DtlsSession *dtls_session_free(DtlsSession *s) {
        if (!s)
                return NULL;
        SSL_free(s->ssl);
        free(s);
        return NULL;
}

DtlsState dtls_session_state(const DtlsSession *s) {
        return s->state;
}

bool dtls_session_is_engaged(const DtlsSession *s) {
        return s->engaged;
}

/* Whole records only, and none that is shorter than its own seal: OpenSSL takes such a one, which anybody
 * can write, for an error of its own and gives the session up. Of an established session a datagram is one
 * record of data. */
static bool is_sound(const DtlsSession *s, const uint8_t *p, size_t left) {
        while (left > 0) {
                size_t n;

                if (left < RECORD_HEADER_BYTES)
                        return false;
                n = (size_t) p[11] << 8 | p[12];
                if (n > left - RECORD_HEADER_BYTES)
                        return false;
                if ((p[3] != 0 || p[4] != 0) && n <= SEAL_BYTES)
                        return false;
                if (s->state == DTLS_ESTABLISHED &&
                    (p[0] != RECORD_APPLICATION_DATA || RECORD_HEADER_BYTES + n != left))
                        return false;
                p += RECORD_HEADER_BYTES + n;
                left -= RECORD_HEADER_BYTES + n;
        }
        return true;
}

DtlsState dtls_session_feed(DtlsSession *s, const void *datagram, size_t size_bytes) {
        int r, error;

        if (s->state == DTLS_FAILED || !is_sound(s, datagram, size_bytes))
                return s->state;

        /* A memory BIO has no borders between datagrams: what the last one left behind goes first. */
        if (BIO_ctrl_pending(s->in) > 0)
                (void) BIO_reset(s->in);
        if (size_bytes > 0 && (size_bytes > INT_MAX || BIO_write(s->in, datagram, (int) size_bytes) <= 0))
                return s->state;
        if (s->state == DTLS_ESTABLISHED)
                return s->state;

        clear_errors();
        r = SSL_do_handshake(s->ssl);
        if (r == 1) {
                s->state = DTLS_ESTABLISHED;
                return s->state;
        }
        error = SSL_get_error(s->ssl, r);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
                s->state = DTLS_FAILED;
        clear_errors();
        return s->state;
}

size_t dtls_session_read(DtlsSession *s, void *buf, size_t buf_bytes) {
        int r, error;

        if (s->state != DTLS_ESTABLISHED)
                return 0;
        /* Asked for more than there is, OpenSSL takes as long to say so as to open a record. */
        if (BIO_ctrl_pending(s->in) == 0 && !SSL_has_pending(s->ssl))
                return 0;
        clear_errors();
        r = SSL_read(s->ssl, buf, (int) MIN(buf_bytes, (size_t) INT_MAX));
        if (r > 0)
                return (size_t) r;
        error = SSL_get_error(s->ssl, r);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
                s->state = DTLS_FAILED;
        clear_errors();
        return 0;
}

size_t dtls_session_output(DtlsSession *s, void *buf, size_t buf_bytes) {
        char *p;
        long left = BIO_get_mem_data(s->out, &p);
        size_t n = 0;

        /* Whole records, as many as fit: the length stands in the last two bytes of each header. */
        while ((size_t) left >= n + RECORD_HEADER_BYTES) {
                const uint8_t *h = (const uint8_t *) p + n;
                size_t record = RECORD_HEADER_BYTES + ((size_t) h[11] << 8 | h[12]);

                if (n + record > (size_t) left || n + record > buf_bytes)
                        break;
                if (n > 0 && n + record > DTLS_FLIGHT_MAX_BYTES)
                        break;
                n += record;
        }
        if (n == 0) {
                (void) BIO_reset(s->out);
                return 0;
        }
        return BIO_read(s->out, buf, (int) n) == (int) n ? n : 0;
}

int dtls_session_seal(DtlsSession *s, const void *data, size_t size_bytes, void *buf, size_t buf_bytes) {
        int r;

        if (s->state != DTLS_ESTABLISHED)
                return -ENOTCONN;
        if (size_bytes == 0 || size_bytes > SSL3_RT_MAX_PLAIN_LENGTH ||
            buf_bytes < size_bytes + DTLS_OVERHEAD_BYTES)
                return -EMSGSIZE;
        clear_errors();
        r = SSL_write(s->ssl, data, (int) size_bytes);
        if (r != (int) size_bytes) {
                clear_errors();
                (void) BIO_reset(s->out);
                s->state = DTLS_FAILED;
                return -ENOTCONN;
        }
        r = BIO_read(s->out, buf, (int) MIN(buf_bytes, (size_t) INT_MAX));
        return r > 0 ? r : -ENOTCONN;
}

bool dtls_is_first_hello(const void *datagram, size_t size_bytes) {
        const uint8_t *p = datagram;

        /* Record: type, version, epoch 0; then the handshake header: type, length, message_seq 0. */
        return size_bytes > RECORD_HEADER_BYTES + 12 && p[0] == RECORD_HANDSHAKE && p[3] == 0 && p[4] == 0 &&
               p[RECORD_HEADER_BYTES] == HANDSHAKE_CLIENT_HELLO && p[RECORD_HEADER_BYTES + 4] == 0 &&
               p[RECORD_HEADER_BYTES + 5] == 0;
}

int dtls_digest(const void *data, size_t size_bytes, uint8_t ret[static DTLS_DIGEST_BYTES]) {
        unsigned n = DTLS_DIGEST_BYTES;

        return EVP_Digest(data, size_bytes, ret, &n, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}
