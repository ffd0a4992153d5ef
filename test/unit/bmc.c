/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/macro.h"
#include "bmc.h"

#define DAY_SEC 86400L
/* How often threads look whether they are to end. */
#define TURN_MSEC 10
#define LATE_USEC (400 * 1000)
#define TOKEN "lab-token"

struct Bmc {
        BmcSpec spec;
        SSL_CTX *context;
        int listener;
        unsigned port;

        GMutex lock;
        bool ending, on;
        gint64 off_at_usec; /* of a late one */
        GString *log;
        GThread *acceptor;
        GPtrArray *connections; /* of GThread */
};

typedef struct Connection {
        Bmc *bmc;
        int fd;
} Connection;

/* ---- Certificates ---- */

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value) {
        X509V3_CTX context;
        X509_EXTENSION *e;

        X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
        e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
        g_assert_nonnull(e);
        g_assert_cmpint(X509_add_ext(x, e, -1), ==, 1);
        X509_EXTENSION_free(e);
}

static X509 *make_certificate(
                const char *name,
                EVP_PKEY *key,
                X509 *issuer,
                EVP_PKEY *issuer_key,
                const char *alternative,
                long days) {
        X509 *x = X509_new();
        X509_NAME *subject = X509_get_subject_name(x);

        g_assert_cmpint(X509_set_version(x, 2), ==, 1);
        ASN1_INTEGER_set(X509_get_serialNumber(x), (long) g_random_int_range(1, G_MAXINT32));
        X509_gmtime_adj(X509_getm_notBefore(x), -10 * DAY_SEC);
        X509_gmtime_adj(X509_getm_notAfter(x), days * DAY_SEC);
        X509_set_pubkey(x, key);
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *) name, -1, -1, 0);
        X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : subject);
        if (issuer)
                add_extension(x, issuer, NID_subject_alt_name, alternative);
        else if (!alternative) /* an authority */
                add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE");
        g_assert_cmpint(X509_sign(x, issuer_key, EVP_sha256()), >, 0);
        return x;
}

static void make_context(Bmc *b, const char *ca_path) {
        EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *others_key = EVP_EC_gen("P-256"),
                 *key = EVP_EC_gen("P-256");
        g_autofree char *name = g_strdup_printf("hamgr test CA of %p", (void *) b);
        X509 *ca = make_certificate(name, ca_key, NULL, ca_key, NULL, 1);
        X509 *others = make_certificate("another CA", others_key, NULL, others_key, NULL, 1);
        bool foreign = b->spec.certificate == BMC_CERTIFICATE_OF_OTHERS;
        X509 *own = b->spec.certificate == BMC_CERTIFICATE_OWN
                                    ? make_certificate("bmc-A1B2", key, NULL, key, "", 1)
                                    : make_certificate(
                                                      "bmc",
                                                      key,
                                                      foreign ? others : ca,
                                                      foreign ? others_key : ca_key,
                                                      b->spec.certificate == BMC_CERTIFICATE_NAMED
                                                                      ? "DNS:bmc.lab"
                                                                      : "IP:127.0.0.1",
                                                      b->spec.certificate == BMC_CERTIFICATE_EXPIRED ? -1
                                                                                                     : 1);
        FILE *file = fopen(ca_path, "we");

        g_assert_nonnull(file);
        g_assert_cmpint(PEM_write_X509(file, b->spec.certificate == BMC_CERTIFICATE_OWN ? own : ca), ==, 1);
        fclose(file);

        b->context = SSL_CTX_new(TLS_server_method());
        g_assert_cmpint(SSL_CTX_use_certificate(b->context, own), ==, 1);
        g_assert_cmpint(SSL_CTX_use_PrivateKey(b->context, key), ==, 1);
        X509_free(own);
        X509_free(others);
        X509_free(ca);
        EVP_PKEY_free(key);
        EVP_PKEY_free(others_key);
        EVP_PKEY_free(ca_key);
}

/* ---- What it says ---- */

static bool is_ending(Bmc *b) {
        g_mutex_lock(&b->lock);
        bool ending = b->ending;
        g_mutex_unlock(&b->lock);
        return ending;
}

static char *response(unsigned status, const char *headers, const char *body) {
        return g_strdup_printf(
                        "HTTP/1.1 %u Said\r\nContent-Length: %zu\r\n%s\r\n%s",
                        status,
                        strlen(body),
                        headers,
                        body);
}

/* With the lock held. */
static char *system_body(Bmc *b) {
        if (b->off_at_usec > 0 && g_get_monotonic_time() >= b->off_at_usec)
                b->on = false;
        return g_strdup_printf(
                        "{\"PowerState\":\"%s\",\"Actions\":{\"#ComputerSystem.Reset\":{\"target\":"
                        "\"/redfish/v1/Systems/1/Actions/ComputerSystem.Reset\","
                        "\"ResetType@Redfish.AllowableValues\":[\"On\",\"ForceOff\"]}}}",
                        b->on ? "On" : "Off");
}

static void obey(Bmc *b, const char *body) {
        if (b->spec.fault == BMC_LYING)
                return;
        if (b->spec.fault == BMC_LATE && strstr(body, "ForceOff"))
                b->off_at_usec = g_get_monotonic_time() + LATE_USEC;
        else
                b->on = strstr(body, "\"On\"") != NULL;
}

static char *reset(Bmc *b, const char *body) {
        g_string_truncate(b->log, b->log->len - 1);
        g_string_append_printf(b->log, " %s\n", body);
        obey(b, body);
        return response(204, "", "");
}

static char *login(Bmc *b, const char *body) {
        if (b->spec.no_sessions)
                return response(404, "", "{}");
        if (!streq(body, "{\"UserName\":\"admin\",\"Password\":\"s3cr3t\"}"))
                return response(401, "", "{\"error\":{\"message\":\"no\"}}");
        return response(201,
                        "X-Auth-Token: " TOKEN "\r\nLocation: /redfish/v1/SessionService/Sessions/1\r\n",
                        "{}");
}

static bool is_authorized(const Bmc *b, const char *head) {
        return strstr(head,
                      b->spec.no_sessions ? "Authorization: Basic YWRtaW46czNjcjN0\r\n"
                                          : "X-Auth-Token: " TOKEN "\r\n") != NULL;
}

/* "{}" is not worth compressing; this is that, done. */
static const char gzip_of_root[] =
                "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00";

/* With the lock held: the whole answer to one request, and how long it is. */
static char *answer(Bmc *b, const char *head, const char *body, size_t *ret_length) {
        g_autofree char *line = g_strndup(head, strcspn(head, "\r"));
        g_auto(GStrv) words = g_strsplit(line, " ", 3);
        const char *path = words[1] ?: "";
        char *text;

        g_string_append_printf(b->log, "%s %s\n", words[0], path);
        if (b->spec.fault == BMC_FAILING)
                text = response(500, "", "");
        else if (streq(path, "/redfish/v1/") && b->spec.fault == BMC_COMPRESSING) {
                GString *s = g_string_new(
                                "HTTP/1.1 200 Said\r\nContent-Encoding: gzip\r\nContent-Length: 22\r\n\r\n");

                g_string_append_len(s, gzip_of_root, 22);
                *ret_length = s->len;
                return g_string_free(s, FALSE);
        } else if (streq(path, "/redfish/v1/"))
                text = response(200,
                                "",
                                "{\"Systems\":{\"@odata.id\":\"/redfish/v1/"
                                "Systems\"},\"Links\":{\"Sessions\":"
                                "{\"@odata.id\":\"/redfish/v1/SessionService/Sessions\"}}}");
        else if (streq(words[0], "POST") && strstr(path, "/Sessions"))
                text = login(b, body);
        else if (!is_authorized(b, head))
                text = response(401, "", "");
        else if (streq(words[0], "DELETE"))
                text = response(204, "", "");
        else if (streq(path, "/redfish/v1/Systems"))
                text = response(200, "", "{\"Members\":[{\"@odata.id\":\"/redfish/v1/Systems/1\"}]}");
        else if (streq(path, "/redfish/v1/Systems/1")) {
                g_autofree char *system = system_body(b);

                text = response(200, "", system);
        } else
                text = reset(b, body);
        *ret_length = strlen(text);
        return text;
}

/* ---- Connections ---- */

/* Reads until head and body are whole; NULL: the other side has ended, or we are to. */
static char *read_request(Connection *c, SSL *ssl, char **ret_body) {
        GString *s = g_string_new(NULL);

        while (!is_ending(c->bmc)) {
                char chunk[4096], *end, *length;
                int n = SSL_read(ssl, chunk, sizeof chunk);

                if (n <= 0) {
                        if (SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ)
                                continue;
                        break;
                }
                g_string_append_len(s, chunk, n);
                end = strstr(s->str, "\r\n\r\n");
                length = end ? strstr(s->str, "Content-Length: ") : NULL;
                if (end && strlen(end + 4) >= (length ? strtoul(length + 16, NULL, 10) : 0)) {
                        *ret_body = g_strdup(end + 4);
                        return g_string_free(s, FALSE);
                }
        }
        (void) g_string_free(s, TRUE);
        return NULL;
}

static void write_without_end(Connection *c, SSL *ssl) {
        static const char head[] = "HTTP/1.1 200 Said\r\nContent-Length: 1000000000\r\n\r\n";
        g_autofree char *chunk = g_strnfill(16384, 'x');

        if (SSL_write(ssl, head, sizeof head - 1) <= 0)
                return;
        while (!is_ending(c->bmc) && SSL_write(ssl, chunk, 16384) > 0)
                ;
}

static void serve(Connection *c, SSL *ssl) {
        for (;;) {
                g_autofree char *body = NULL, *head = read_request(c, ssl, &body), *text = NULL;
                size_t length;

                if (!head)
                        return;
                if (c->bmc->spec.fault == BMC_SILENT)
                        continue; /* until the other side gives up */
                if (c->bmc->spec.fault == BMC_ENDLESS) {
                        write_without_end(c, ssl);
                        return;
                }
                g_mutex_lock(&c->bmc->lock);
                text = answer(c->bmc, head, body, &length);
                g_mutex_unlock(&c->bmc->lock);
                if (c->bmc->spec.fault == BMC_BREAKING)
                        length -= 10;
                if (SSL_write(ssl, text, (int) length) <= 0 || c->bmc->spec.fault == BMC_BREAKING ||
                    c->bmc->spec.fault == BMC_CLOSING)
                        return;
        }
}

static void *connection_main(void *userdata) {
        Connection *c = userdata;
        SSL *ssl = SSL_new(c->bmc->context);
        int r = -1;

        SSL_set_fd(ssl, c->fd);
        if (c->bmc->spec.fault == BMC_DEAF)
                while (!is_ending(c->bmc))
                        g_usleep(TURN_MSEC * 1000);
        else
                do
                        r = SSL_accept(ssl);
                while (r <= 0 && SSL_get_error(ssl, r) == SSL_ERROR_WANT_READ && !is_ending(c->bmc));
        if (r > 0)
                serve(c, ssl);
        SSL_free(ssl);
        close(c->fd);
        g_free(c);
        return NULL;
}

static void *acceptor_main(void *userdata) {
        const struct timeval turn = { .tv_usec = TURN_MSEC * 1000 };
        Bmc *b = userdata;

        while (!is_ending(b)) {
                struct pollfd p = { .fd = b->listener, .events = POLLIN };
                Connection *c;
                int fd;

                if (poll(&p, 1, TURN_MSEC) <= 0)
                        continue;
                fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC);
                g_assert_cmpint(fd, >=, 0);
                g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &turn, sizeof turn), ==, 0);
                c = g_new0(Connection, 1);
                c->bmc = b;
                c->fd = fd;
                g_ptr_array_add(b->connections, g_thread_new("bmc-connection", connection_main, c));
        }
        return NULL;
}

Bmc *bmc_new(const BmcSpec *spec, const char *ca_path) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof address;
        Bmc *b = g_new0(Bmc, 1);

        b->spec = *spec;
        b->on = true;
        b->log = g_string_new(NULL);
        b->connections = g_ptr_array_new();
        g_mutex_init(&b->lock);
        make_context(b, ca_path);
        b->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(bind(b->listener, (struct sockaddr *) &address, length), ==, 0);
        g_assert_cmpint(listen(b->listener, 16), ==, 0);
        g_assert_cmpint(getsockname(b->listener, (struct sockaddr *) &address, &length), ==, 0);
        b->port = ntohs(address.sin_port);
        b->acceptor = g_thread_new("bmc", acceptor_main, b);
        return b;
}

void bmc_free(Bmc *b) {
        if (!b)
                return;
        g_mutex_lock(&b->lock);
        b->ending = true;
        g_mutex_unlock(&b->lock);
        g_thread_join(b->acceptor);
        for (guint i = 0; i < b->connections->len; i++)
                g_thread_join(g_ptr_array_index(b->connections, i));
        (void) g_ptr_array_free(b->connections, TRUE);
        close(b->listener);
        SSL_CTX_free(b->context);
        (void) g_string_free(b->log, TRUE);
        g_mutex_clear(&b->lock);
        g_free(b);
}

unsigned bmc_port(const Bmc *b) {
        return b->port;
}

bool bmc_is_on(Bmc *b) {
        g_mutex_lock(&b->lock);
        bool on = b->on;
        g_mutex_unlock(&b->lock);
        return on;
}

char *bmc_log(Bmc *b) {
        g_mutex_lock(&b->lock);
        char *log = g_strdup(b->log->str);
        g_mutex_unlock(&b->lock);
        return log;
}
