/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>

#include "basic/time-util.h"
#include "hamgr/fence/redfish-answer.h"
#include "hamgr/fence/redfish.h"
#include "shared/event-util.h"
#include "shared/redfish-address.h"
#include "shared/wipe.h"

/* A controller whose network works takes a connection at once, and TLS takes a slow one a second or two. */
#define CONNECT_USEC_MIN (1 * USEC_PER_SEC)
#define CONNECT_USEC_MAX (5 * USEC_PER_SEC)

struct RedfishRun {
        Http *http;    /* weak */
        char *ca_file; /* owned */
        bool no_verification;
        RedfishAddress address;
        char *username, *password; /* owned; wiped when freed */
        RedfishTalk *talk;         /* owned */

        HttpRequest *request;   /* owned */
        sd_event_source *timer; /* ref: the first step, and the end of a wait */

        RedfishHandler handler;
        void *userdata;
};

static void on_answer(HttpRequest *request, const HttpResult *result, void *userdata);

/* Sent, or with nobody waiting for its end. */
static int send_step(RedfishRun *r, const RedfishStep *step, bool forget) {
        g_autofree char *url = g_strdup_printf("https://%s%s", r->address.authority, step->path);
        g_autofree char *token = step->token ? g_strdup_printf("X-Auth-Token: %s", step->token) : NULL;
        const char *headers[5] = { "Accept: application/json", "OData-Version: 4.0" };
        size_t n_headers = 2;
        HttpSpec spec = {
                .method = step->method,
                .url = url,
                .connect_to = r->address.connect_to,
                .headers = headers,
                .body = step->body,
                .username = step->basic ? r->username : NULL,
                .password = step->basic ? r->password : NULL,
                .ca_file = r->ca_file,
                .no_verification = r->no_verification,
                .fresh = step->fresh,
                .connect_timeout_usec = CLAMP_TO(step->timeout_usec / 4, CONNECT_USEC_MIN, CONNECT_USEC_MAX),
                .timeout_usec = step->timeout_usec,
                .answer_bytes_max = REDFISH_ANSWER_BYTES_MAX,
        };
        int k;

        if (step->body)
                headers[n_headers++] = "Content-Type: application/json";
        if (token)
                headers[n_headers++] = token;
        k = forget ? http_request_and_forget(r->http, &spec)
                   : http_request_new(r->http, &spec, on_answer, r, &r->request);
        if (token)
                explicit_bzero(token, strlen(token));
        return k;
}

static void carry_out(RedfishRun *r, const RedfishStep *step) {
        int k = 0;

        switch (step->type) {
        case REDFISH_STEP_SEND:
                k = send_step(r, step, false);
                break;
        case REDFISH_STEP_WAIT:
                k = event_timer_at(r->timer, step->until_usec);
                break;
        case REDFISH_STEP_END:
                r->handler(r, step->verdict, step->text, r->userdata);
                return;
        }
        if (k < 0)
                r->handler(r, FENCE_VERDICT_GAVE_UP, "the request could not be sent", r->userdata);
}

static void on_answer(HttpRequest *request, const HttpResult *result, void *userdata) {
        RedfishRun *r = userdata;
        RedfishAnswer answer = {
                .http = result,
                .token = http_request_header(request, "X-Auth-Token"),
                .location = http_request_header(request, "Location"),
        };
        RedfishStep step;

        /* The result's texts live in the request. */
        _cleanup_(http_request_freep) _unused_ HttpRequest *ended = TAKE_PTR(r->request);

        redfish_talk_take(r->talk, now_boottime_usec(), &answer, &step);
        carry_out(r, &step);
}

static int on_timer(sd_event_source *source, uint64_t due_usec, void *userdata) {
        RedfishRun *r = userdata;
        RedfishStep step;

        redfish_talk_go_on(r->talk, now_boottime_usec(), &step);
        carry_out(r, &step);
        return 0;
}

int redfish_run_new(const RedfishRunSpec *spec, RedfishHandler handler, void *userdata, RedfishRun **ret) {
        _cleanup_(redfish_run_freep) RedfishRun *r = g_new0(RedfishRun, 1);
        int k;

        r->http = spec->http;
        r->ca_file = g_strdup(spec->conf->ca_file);
        r->no_verification = spec->conf->no_verification;
        r->username = g_strdup(spec->username);
        r->password = g_strdup(spec->password);
        r->handler = handler;
        r->userdata = userdata;
        k = redfish_address_parse(spec->plug, &r->address);
        if (k < 0)
                return k;
        r->talk = redfish_talk_new(
                        &(RedfishSettings){
                                        .action = spec->action,
                                        .authority = r->address.authority,
                                        .username = r->username,
                                        .password = r->password,
                                        .system = r->address.system,
                                        .timeout_usec = spec->timeout_usec,
                        },
                        spec->memory,
                        now_boottime_usec());
        k = event_timer_new(spec->event, "redfish", on_timer, r, &r->timer);
        if (k < 0)
                return k;
        k = event_timer_in(r->timer, 0);
        if (k < 0)
                return k;

        *ret = TAKE_PTR(r);
        return 0;
}

RedfishRun *redfish_run_free(RedfishRun *r) {
        RedfishStep step;

        if (!r)
                return NULL;

        http_request_free(r->request);
        if (r->talk && redfish_talk_farewell(r->talk, &step))
                (void) send_step(r, &step, true);
        redfish_talk_free(r->talk);
        sd_event_source_disable_unref(r->timer);
        redfish_address_done(&r->address);
        wipe(r->username);
        wipe(r->password);
        g_free(r->ca_file);
        g_free(r);
        return NULL;
}
