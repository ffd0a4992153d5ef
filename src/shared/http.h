/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* HTTP and HTTPS from the event loop: libcurl's multi interface hangs on it, no thread, nothing that blocks.
 * So hosts of URLs are addresses, or are named with where they are (connect_to); nothing is looked up.
 * Answers are bounded in size and time; redirections are not followed but told; no proxy, no cookies, no
 * ~/.netrc. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "basic/macro.h"

#define HTTP_HEADERS_BYTES_MAX (16U * 1024U)
#define HTTP_ERROR_MAX 512U

/* All requests of one loop share it, and with it their connections. */
typedef struct Http Http;
typedef struct HttpRequest HttpRequest;

typedef struct HttpSpec {
        const char *method;
        const char *url;
        const char *connect_to;     /* "ADDRESS:PORT" in place of the host and port of the URL; or NULL */
        const char *const *headers; /* "Name: value", NULL at the end; or NULL */
        const char *body;           /* text; NULL: none */

        const char *username, *password; /* for basic authentication; or NULL */
        const char *ca_file;             /* NULL: the system's */
        bool no_verification;            /* of the certificate and of its name */
        bool fresh; /* on a connection of its own: an older one may lead nowhere by now */

        uint64_t connect_timeout_usec, timeout_usec; /* the second for all of it */
        size_t answer_bytes_max;
} HttpSpec;

typedef enum HttpEnd {
        HTTP_ANSWERED,
        HTTP_NOT_CONNECTED, /* nobody is there, or nobody answers */
        HTTP_UNTRUSTED,     /* the certificate, or its name */
        HTTP_TLS_FAILED,    /* no common ground for another reason */
        HTTP_TIMED_OUT,     /* connected, and no whole answer within the time */
        HTTP_TOO_LARGE,     /* the answer */
        HTTP_BROKEN,        /* what came is no answer, or it ended in the middle */
        HTTP_IMPOSSIBLE,    /* not sent: the CA file, or memory */
} HttpEnd;

/* Texts are borrowed for the call. */
typedef struct HttpResult {
        HttpEnd end;
        unsigned status;  /* when answered */
        const char *body; /* ended by a zero that is not counted */
        size_t body_bytes;
        const char *error; /* in words, when not answered */
} HttpResult;

/* Called once, from the loop. May free the request. */
typedef void (*HttpHandler)(HttpRequest *request, const HttpResult *result, void *userdata);

int http_new(sd_event *event, Http **ret);
/* Its requests must have been freed before; those that were let go end here. */
Http *http_free(Http *h);
DEFINE_TRIVIAL_CLEANUP(Http *, http_free);

/* No request is under way, none that was let go either. */
bool http_is_idle(const Http *h);

/* What the spec points to is copied. Secrets are wiped where they are ours; libcurl frees its copies. */
int http_request_new(Http *h, const HttpSpec *spec, HttpHandler handler, void *userdata, HttpRequest **ret);
/* Before the result: it is broken off, and whether it was carried out is not known. */
HttpRequest *http_request_free(HttpRequest *r);
DEFINE_TRIVIAL_CLEANUP(HttpRequest *, http_request_free);

/* Sent, and its end is nobody's business. */
int http_request_and_forget(Http *h, const HttpSpec *spec);

/* Of the answer, within the handler: the value of a header, NULL when it is not there. */
const char *http_request_header(const HttpRequest *r, const char *name);
