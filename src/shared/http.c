/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libcurl says which descriptors it waits for and when it wants to be woken; both become event sources. What
 * it tells from inside (a request has ended) is handed on from a deferred source, so that no handler runs
 * within a call to libcurl. */

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <curl/curl.h>
#include <glib.h>

#include "basic/time-util.h"
#include "shared/event-util.h"
#include "shared/http.h"
#include "shared/wipe.h"

/* A connection that was idle for longer is not used again: the other side may have been restarted. */
#define IDLE_SEC_MAX 5L
/* curl's own time is in milliseconds, and 0 would be "no limit". */
#define LONG_MSEC(usec) ((long) MAX((usec) / USEC_PER_MSEC, UINT64_C(1)))

struct Http {
        sd_event *event;           /* ref */
        CURLM *multi;              /* owned */
        sd_event_source *timer;    /* ref */
        sd_event_source *finished; /* ref: looks for requests that have ended */
        GPtrArray *sockets;        /* of owned Socket */
        GPtrArray *forgotten;      /* of owned HttpRequest */
        unsigned n_requests;
};

typedef struct Socket {
        Http *http; /* weak */
        curl_socket_t fd;
        sd_event_source *source; /* ref */
} Socket;

struct HttpRequest {
        Http *http;                 /* weak */
        CURL *easy;                 /* owned */
        struct curl_slist *headers; /* owned */
        struct curl_slist *connect; /* owned */
        char *body;                 /* owned; wiped when freed */
        size_t answer_bytes_max;
        GString *answer; /* owned */
        size_t headers_bytes;
        bool too_large;
        char error[CURL_ERROR_SIZE];

        HttpHandler handler;
        void *userdata;
};

/* ---- libcurl on the loop ---- */

static void socket_free(void *p) {
        Socket *s = p;

        sd_event_source_disable_unref(s->source);
        g_free(s);
}

static void look_for_finished(Http *h) {
        (void) event_defer_arm(h->finished);
}

static int on_socket(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Socket *s = userdata;
        Http *h = s->http;
        int what = 0, n_running;

        what |= revents & (EPOLLIN | EPOLLHUP | EPOLLRDHUP) ? CURL_CSELECT_IN : 0;
        what |= revents & EPOLLOUT ? CURL_CSELECT_OUT : 0;
        what |= revents & EPOLLERR ? CURL_CSELECT_ERR : 0;
        (void) curl_multi_socket_action(h->multi, fd, what, &n_running); /* may free s */
        look_for_finished(h);
        return 0;
}

static int on_curl_timer(sd_event_source *source, uint64_t due_usec, void *userdata) {
        Http *h = userdata;
        int n_running;

        (void) curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &n_running);
        look_for_finished(h);
        return 0;
}

static uint32_t events_of(int what) {
        return (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket_userdata) {
        Http *h = userdata;
        Socket *s = socket_userdata;

        if (what == CURL_POLL_REMOVE) {
                if (s)
                        (void) g_ptr_array_remove(h->sockets, s);
                return 0;
        }
        if (s)
                return sd_event_source_set_io_events(s->source, events_of(what)) < 0 ? -1 : 0;

        s = g_new0(Socket, 1);
        s->http = h;
        s->fd = fd;
        if (event_io_new(h->event, "http", fd, events_of(what), on_socket, s, &s->source) < 0) {
                socket_free(s);
                return -1;
        }
        g_ptr_array_add(h->sockets, s);
        (void) curl_multi_assign(h->multi, fd, s);
        return 0;
}

static int set_curl_timer(CURLM *multi, long timeout_msec, void *userdata) {
        Http *h = userdata;
        int r = timeout_msec < 0 ? event_timer_disarm(h->timer)
                                 : event_timer_in(h->timer, (uint64_t) timeout_msec * USEC_PER_MSEC);

        return r < 0 ? -1 : 0;
}

/* ---- What comes in ---- */

static size_t on_body(char *data, size_t size, size_t n, void *userdata) {
        HttpRequest *r = userdata;

        if (size * n > r->answer_bytes_max - r->answer->len) {
                r->too_large = true;
                return 0; /* ends it */
        }
        g_string_append_len(r->answer, data, (gssize) (size * n));
        return size * n;
}

static size_t on_header(char *data, size_t size, size_t n, void *userdata) {
        HttpRequest *r = userdata;

        r->headers_bytes += size * n;
        r->too_large = r->too_large || r->headers_bytes > HTTP_HEADERS_BYTES_MAX;
        return r->too_large ? 0 : size * n;
}

const char *http_request_header(const HttpRequest *r, const char *name) {
        struct curl_header *header;

        return curl_easy_header(r->easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value
                                                                                          : NULL;
}

static HttpEnd end_of(const HttpRequest *r, CURLcode code) {
        double connected_sec = 0;

        if (r->too_large)
                return HTTP_TOO_LARGE;
        switch (code) {
        case CURLE_OK:
                return HTTP_ANSWERED;
        case CURLE_COULDNT_CONNECT:
        case CURLE_COULDNT_RESOLVE_HOST:
                return HTTP_NOT_CONNECTED;
        case CURLE_PEER_FAILED_VERIFICATION:
                return HTTP_UNTRUSTED;
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CIPHER:
                return HTTP_TLS_FAILED;
        case CURLE_OPERATION_TIMEDOUT:
                (void) curl_easy_getinfo(r->easy, CURLINFO_CONNECT_TIME, &connected_sec);
                return connected_sec > 0 ? HTTP_TIMED_OUT : HTTP_NOT_CONNECTED;
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_OUT_OF_MEMORY:
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
                return HTTP_IMPOSSIBLE;
        default:
                return HTTP_BROKEN;
        }
}

/* libcurl's words where they are the same each time: it puts milliseconds into others. */
static const char *error_of(const HttpRequest *r, CURLcode code, HttpEnd end) {
        long os_error = 0;

        switch (code) {
        case CURLE_COULDNT_CONNECT:
                (void) curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &os_error);
                return os_error != 0 ? g_strerror((int) os_error) : "nobody takes the connection";
        case CURLE_OPERATION_TIMEDOUT:
                return end == HTTP_TIMED_OUT ? "nothing, or not all of it, came within the time"
                                             : "none was made within the time";
        default:
                return r->error[0] ? r->error : curl_easy_strerror(code);
        }
}

static void finish(HttpRequest *r, CURLcode code) {
        HttpResult result = { .end = end_of(r, code) };
        long status = 0;

        (void) curl_multi_remove_handle(r->http->multi, r->easy);
        if (result.end == HTTP_ANSWERED) {
                (void) curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
                result.status = (unsigned) status;
                result.body = r->answer->str;
                result.body_bytes = r->answer->len;
        } else
                result.error = error_of(r, code, result.end);

        if (r->handler)
                r->handler(r, &result, r->userdata);
        else
                (void) g_ptr_array_remove(r->http->forgotten, r);
}

/* One at a time: a handler may free other requests, and libcurl forgets their messages with them. */
static int on_finished(sd_event_source *source, void *userdata) {
        Http *h = userdata;
        CURLMsg *message;
        int n_left;

        while ((message = curl_multi_info_read(h->multi, &n_left))) {
                HttpRequest *r = NULL;

                if (message->msg != CURLMSG_DONE)
                        continue;
                (void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &r);
                if (r)
                        finish(r, message->data.result);
        }
        return 0;
}

/* ---- Requests ---- */

static struct curl_slist *add_line(struct curl_slist *list, const char *line) {
        struct curl_slist *longer = curl_slist_append(list, line);

        if (!longer)
                g_error("out of memory");
        return longer;
}

static CURLcode set_request(HttpRequest *r, const HttpSpec *spec) {
        CURL *e = r->easy;
        CURLcode code = CURLE_OK;

#define SET(option, value) code = code ?: curl_easy_setopt(e, option, value)
        SET(CURLOPT_URL, spec->url);
        SET(CURLOPT_CUSTOMREQUEST, spec->method);
        SET(CURLOPT_HTTPHEADER, r->headers);
        if (r->connect)
                SET(CURLOPT_CONNECT_TO, r->connect);
        if (r->body) {
                SET(CURLOPT_POSTFIELDS, r->body);
                SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) strlen(r->body));
        }
        if (spec->username) {
                SET(CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
                SET(CURLOPT_USERNAME, spec->username);
                SET(CURLOPT_PASSWORD, strempty(spec->password));
        }
        SET(CURLOPT_FRESH_CONNECT, (long) spec->fresh);
        SET(CURLOPT_CONNECTTIMEOUT_MS, LONG_MSEC(spec->connect_timeout_usec));
        SET(CURLOPT_TIMEOUT_MS, LONG_MSEC(spec->timeout_usec));
        SET(CURLOPT_SSL_VERIFYPEER, spec->no_verification ? 0L : 1L);
        SET(CURLOPT_SSL_VERIFYHOST, spec->no_verification ? 0L : 2L);
        if (spec->ca_file) {
                SET(CURLOPT_CAINFO, spec->ca_file);
                SET(CURLOPT_CAPATH, NULL);
        }
        /* What the file says now, and not a day ago: whom it names may have been replaced. */
        SET(CURLOPT_CA_CACHE_TIMEOUT, 0L);
        return code;
}

/* Children get none of them: a program that hangs would keep the controller's connection open. */
static curl_socket_t open_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *address) {
        return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* What is the same for all. */
static CURLcode set_manners(HttpRequest *r) {
        CURL *e = r->easy;
        CURLcode code = CURLE_OK;

        SET(CURLOPT_PRIVATE, r);
        SET(CURLOPT_ERRORBUFFER, r->error);
        SET(CURLOPT_WRITEFUNCTION, on_body);
        SET(CURLOPT_WRITEDATA, r);
        SET(CURLOPT_HEADERFUNCTION, on_header);
        SET(CURLOPT_HEADERDATA, r);
        SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_PROTOCOLS_STR, "http,https");
        SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        SET(CURLOPT_MAXAGE_CONN, IDLE_SEC_MAX);
        SET(CURLOPT_PROXY, "");
        SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
        /* Some controllers compress whatever was asked for. What comes out of it is what is bounded. */
        SET(CURLOPT_ACCEPT_ENCODING, "");
        SET(CURLOPT_USERAGENT, "hamgr/" HAMGR_VERSION);
#undef SET
        return code;
}

int http_request_new(Http *h, const HttpSpec *spec, HttpHandler handler, void *userdata, HttpRequest **ret) {
        _cleanup_(http_request_freep) HttpRequest *r = g_new0(HttpRequest, 1);

        r->http = h;
        h->n_requests++;
        r->handler = handler;
        r->userdata = userdata;
        r->answer_bytes_max = spec->answer_bytes_max;
        r->answer = g_string_new(NULL);
        r->body = g_strdup(spec->body);
        r->headers = add_line(NULL, "Expect:");
        for (size_t i = 0; spec->headers && spec->headers[i]; i++)
                r->headers = add_line(r->headers, spec->headers[i]);
        if (spec->connect_to) {
                g_autofree char *line = g_strdup_printf("::%s", spec->connect_to);

                r->connect = add_line(NULL, line);
        }

        r->easy = curl_easy_init();
        if (!r->easy || set_manners(r) != CURLE_OK || set_request(r, spec) != CURLE_OK ||
            curl_multi_add_handle(h->multi, r->easy) != CURLM_OK)
                return -ENOMEM;

        if (ret)
                *ret = TAKE_PTR(r);
        else
                g_ptr_array_add(h->forgotten, TAKE_PTR(r));
        return 0;
}

HttpRequest *http_request_free(HttpRequest *r) {
        if (!r)
                return NULL;

        if (r->easy) {
                (void) curl_multi_remove_handle(r->http->multi, r->easy);
                curl_easy_cleanup(r->easy);
        }
        curl_slist_free_all(r->headers);
        curl_slist_free_all(r->connect);
        wipe(r->body);
        if (r->answer)
                (void) g_string_free(r->answer, TRUE);
        r->http->n_requests--;
        g_free(r);
        return NULL;
}

int http_request_and_forget(Http *h, const HttpSpec *spec) {
        return http_request_new(h, spec, NULL, NULL, NULL);
}

/* ---- All of them ---- */

bool http_is_idle(const Http *h) {
        return h->n_requests == 0;
}

static void forgotten_free(void *p) {
        http_request_free(p);
}

int http_new(sd_event *event, Http **ret) {
        _cleanup_(http_freep) Http *h = g_new0(Http, 1);
        struct sigaction old;
        int r;

        /* TLS writes into sockets that the other side may have closed. */
        if (sigaction(SIGPIPE, NULL, &old) < 0)
                return -errno;
        if (old.sa_handler == SIG_DFL && signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;

        h->event = sd_event_ref(event);
        h->sockets = g_ptr_array_new_with_free_func(socket_free);
        h->forgotten = g_ptr_array_new_with_free_func(forgotten_free);
        r = event_timer_new(event, "http-timer", on_curl_timer, h, &h->timer);
        if (r < 0)
                return r;
        r = event_defer_new(event, "http-finished", on_finished, h, &h->finished);
        if (r < 0)
                return r;

        /* Counted by libcurl, so each object may say it. */
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -ENOMEM;
        h->multi = curl_multi_init();
        if (!h->multi || curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) != CURLM_OK ||
            curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h) != CURLM_OK ||
            curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_curl_timer) != CURLM_OK ||
            curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h) != CURLM_OK)
                return -ENOMEM;

        *ret = TAKE_PTR(h);
        return 0;
}

Http *http_free(Http *h) {
        if (!h)
                return NULL;

        (void) g_ptr_array_free(h->forgotten, TRUE);
        assert(h->n_requests == 0);
        if (h->multi) {
                (void) curl_multi_cleanup(h->multi); /* tells watch_socket() of each that it closes */
                curl_global_cleanup();
        }
        (void) g_ptr_array_free(h->sockets, TRUE);
        sd_event_source_disable_unref(h->timer);
        sd_event_source_disable_unref(h->finished);
        sd_event_unref(h->event);
        g_free(h);
        return NULL;
}
