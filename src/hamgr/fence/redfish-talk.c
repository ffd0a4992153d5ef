/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is asked next follows from what is not known yet, so that after a lost session or a link that leads
 * nowhere the talk goes on from there:
 *
 *     ROOT (links) -> LOGIN (session, else basic) -> SYSTEMS (the only one) -> SYSTEM (PowerState)
 *                                                                               |  ^
 *                                                    ACTION_INFO <- not ordered +  | wait
 *                                                              \-> RESET ----------+
 *
 * What is named or remembered is passed over. */

#include <glib.h>

#include "basic/time-util.h"
#include "hamgr/fence/redfish-answer.h"
#include "hamgr/fence/redfish-talk.h"
#include "shared/wipe.h"

#define ROOT_PATH "/redfish/v1/"
#define SESSIONS_PATH "/redfish/v1/SessionService/Sessions"
#define SYSTEMS_PATH "/redfish/v1/Systems"

#define RETRY_MIN_USEC (200 * USEC_PER_MSEC)
#define RETRY_MAX_USEC (2 * USEC_PER_SEC)
#define ASK_MIN_USEC (100 * USEC_PER_MSEC)
#define ASK_MAX_USEC (1 * USEC_PER_SEC)
/* A server that is still on after so long may never have got the order. Doubles. */
#define ORDER_AGAIN_USEC (3 * USEC_PER_SEC)
/* For the answer to an order at least, since it proves nothing and the rest is needed for asking. */
#define ORDER_TIMEOUT_MIN_USEC (1 * USEC_PER_SEC)
#define LOGINS_MAX 3U
#define LOGIN_ERRORS_MAX 2U
#define REDIRECTIONS_MAX 3U
#define SYSTEMS_SHOWN_MAX 4U
#define SHOWN_USEC (100 * USEC_PER_MSEC)
#define FAREWELL_TIMEOUT_USEC (5 * USEC_PER_SEC)

typedef enum Phase {
        PHASE_ROOT,
        PHASE_LOGIN,
        PHASE_SYSTEMS,
        PHASE_SYSTEM,
        PHASE_ACTION_INFO,
        PHASE_RESET,
} Phase;

#define N_PHASES (PHASE_RESET + 1U)

struct RedfishTalk {
        RedfishSettings settings;
        RedfishMemory *memory; /* weak */
        uint64_t started_usec, deadline_usec;

        Phase phase;
        char *request; /* owned: path of the request under way */
        char *body;    /* owned; wiped when freed */
        bool answered; /* the request before was, so there is a connection to go on with */

        char *systems; /* owned: path of the collection */
        bool root_seen, memory_used;
        unsigned n_redirections;      /* since something was answered */
        char *redirections[N_PHASES]; /* owned: where requests of a phase go instead */

        char *token, *session; /* owned; the session is the path that ends it */
        bool basic;            /* instead of a session */
        unsigned n_logins, n_login_errors;

        RedfishSystem system; /* owned; as it was read last */
        bool system_read;     /* since the last wait or order */
        unsigned n_asked;     /* since the first order, if there was one */
        RedfishWords allowed; /* from ActionInfo */
        bool action_info_read;

        bool ordered;
        bool order_counts;     /* it was taken, or refused by one that said "Off" before */
        unsigned order_status; /* of the answer; 0: there was none */
        char *order_complaint; /* owned: why it was refused; NULL: it was not */
        bool order_is_final;   /* the refusal will not change */
        uint64_t order_again_usec, order_pause_usec, refusal_pause_usec;

        uint64_t retry_pause_usec, ask_pause_usec;
        char *trouble; /* owned: what went wrong last */
        char *text;    /* owned: of the end */
};

void redfish_memory_forget(RedfishMemory *m) {
        g_free(m->sessions);
        g_free(m->system);
        *m = (RedfishMemory){};
}

RedfishTalk *redfish_talk_new(const RedfishSettings *settings, RedfishMemory *memory, uint64_t now_usec) {
        RedfishTalk *t = g_new0(RedfishTalk, 1);

        t->settings = *settings;
        t->memory = memory;
        t->memory_used = memory->sessions || memory->system || memory->no_sessions;
        t->basic = memory->no_sessions;
        t->started_usec = now_usec;
        t->deadline_usec = usec_add(now_usec, settings->timeout_usec);
        t->order_pause_usec = ORDER_AGAIN_USEC;
        t->retry_pause_usec = t->refusal_pause_usec = RETRY_MIN_USEC;
        t->ask_pause_usec = ASK_MIN_USEC;
        return t;
}

static void forget_redirections(RedfishTalk *t) {
        FOREACH_ARRAY(path, t->redirections, N_PHASES)
                g_clear_pointer(path, g_free);
}

RedfishTalk *redfish_talk_free(RedfishTalk *t) {
        if (!t)
                return NULL;

        wipe(t->body);
        wipe(t->token);
        g_free(t->request);
        g_free(t->systems);
        forget_redirections(t);
        g_free(t->session);
        redfish_system_done(&t->system);
        g_free(t->order_complaint);
        g_free(t->trouble);
        g_free(t->text);
        g_free(t);
        return NULL;
}

static void set_text(char **text, char *value) {
        g_free(*text);
        *text = value;
}

/* ---- The end ---- */

static void end(RedfishTalk *t, FenceVerdict verdict, char *text, RedfishStep *ret) {
        set_text(&t->text, text);
        *ret = (RedfishStep){ .type = REDFISH_STEP_END, .verdict = verdict, .text = t->text };
}

static bool is_off(const RedfishTalk *t) {
        return t->settings.action == FENCE_ACTION_OFF && t->system.power == REDFISH_POWER_OFF;
}

/* It says so, and no order has reached it. */
static bool is_off_unproven(const RedfishTalk *t) {
        return is_off(t) && !t->order_counts;
}

/* One that answers, and nothing useful, may have other links by now, or sessions. */
static void forget_if_answered(RedfishTalk *t) {
        if (t->answered)
                redfish_memory_forget(t->memory);
}

static const char *wanted_word(const RedfishTalk *t) {
        return t->settings.action == FENCE_ACTION_OFF ? "ForceOff" : "On";
}

/* What is left of a device's limit is an odd number. */
static uint64_t rounded(uint64_t usec) {
        return MAX((usec + SHOWN_USEC / 2) / SHOWN_USEC, UINT64_C(1)) * SHOWN_USEC;
}

/* Out of time. The most telling thing is said: that the order changed nothing, or else what kept going
 * wrong.
 */
static void end_late(RedfishTalk *t, RedfishStep *ret) {
        const char *doubt = is_off_unproven(t) ? ", which proves nothing before it has taken one,"
                            : is_off(t)        ? ", which it said too late,"
                                               : "";
        char limit[DURATION_TEXT_MAX];
        g_autofree char *order = NULL;

        (void) format_duration(rounded(t->settings.timeout_usec), limit);
        if (!t->ordered || t->n_asked == 0 || t->system.power == REDFISH_POWER_UNKNOWN) {
                forget_if_answered(t);
                end(t,
                    FENCE_VERDICT_GAVE_UP,
                    g_strdup_printf("%s (gave up after %s%s%s)",
                                    t->trouble ?: "nothing was answered",
                                    limit,
                                    t->ordered ? ", without a state since the order " : "",
                                    t->ordered ? wanted_word(t) : ""),
                    ret);
                return;
        }
        order = t->order_complaint    ? g_strdup_printf("%s to", t->order_complaint)
                : t->order_status > 0 ? g_strdup_printf("said yes (HTTP %u) to", t->order_status)
                                      : g_strdup("did not answer");
        end(t,
            FENCE_VERDICT_GAVE_UP,
            g_strdup_printf("the controller %s the order %s, and PowerState is still \"%s\"%s after %s "
                            "(asked %u times)%s%s",
                            order,
                            wanted_word(t),
                            t->system.power_word,
                            doubt,
                            limit,
                            t->n_asked,
                            t->trouble ? "; last: " : "",
                            strempty(t->trouble)),
            ret);
}

/* ---- What is sent ---- */

static void
send(RedfishTalk *t, uint64_t now_usec, Phase phase, const char *usual_path, char *body, RedfishStep *ret) {
        const char *path = t->redirections[phase] ?: usual_path;
        bool with_session = phase != PHASE_ROOT && phase != PHASE_LOGIN;
        uint64_t left_usec = usec_sub(t->deadline_usec, now_usec);

        t->phase = phase;
        set_text(&t->request, g_strdup(path));
        wipe(t->body);
        t->body = body;
        *ret = (RedfishStep){
                .type = REDFISH_STEP_SEND,
                .method = body ? "POST" : "GET",
                .path = t->request,
                .body = t->body,
                .token = with_session ? t->token : NULL,
                .basic = with_session && t->basic,
                .fresh = !t->answered,
                .timeout_usec = phase == PHASE_RESET
                                                ? MIN(left_usec, MAX(left_usec / 2, ORDER_TIMEOUT_MIN_USEC))
                                                : left_usec,
        };
}

static char *json_to_body(json_t *object) {
        char *json = json_dumps(object, JSON_COMPACT);
        char *body = g_strdup(strempty(json));

        if (json) {
                explicit_bzero(json, strlen(json));
                free(json);
        }
        json_decref(object);
        return body;
}

static void wait_until(RedfishTalk *t, uint64_t until_usec, RedfishStep *ret) {
        t->system_read = false;
        *ret = (RedfishStep){ .type = REDFISH_STEP_WAIT, .until_usec = MIN(until_usec, t->deadline_usec) };
}

static const char *system_path(const RedfishTalk *t) {
        return t->settings.system ?: t->memory->system;
}

static const RedfishWords *allowed_words(const RedfishTalk *t) {
        return t->system.allowed.n_words > 0 ? &t->system.allowed : &t->allowed;
}

/* The word for what is wanted among those allowed; NULL: there is none. One that lists only what can be done
 * now has no ForceOff for a server that is off, and is ordered all the same. */
static const char *order_word(const RedfishTalk *t) {
        const RedfishWords *allowed = allowed_words(t);

        if (allowed->n_words == 0 || redfish_words_contain(allowed, wanted_word(t)))
                return wanted_word(t);
        if (t->settings.action == FENCE_ACTION_OFF && t->system.power == REDFISH_POWER_OFF)
                return wanted_word(t);
        if (t->settings.action == FENCE_ACTION_ON && redfish_words_contain(allowed, "ForceOn"))
                return "ForceOn";
        return NULL;
}

static void send_order(RedfishTalk *t, uint64_t now_usec, RedfishStep *ret) {
        const char *system = system_path(t);
        g_autofree char *path = t->system.reset ? g_strdup(t->system.reset)
                                                : g_strdup_printf("%s%sActions/ComputerSystem.Reset",
                                                                  system,
                                                                  g_str_has_suffix(system, "/") ? "" : "/");

        t->order_again_usec = usec_add(now_usec, t->order_pause_usec);
        t->order_pause_usec = usec_add(t->order_pause_usec, t->order_pause_usec);
        send(t,
             now_usec,
             PHASE_RESET,
             path,
             json_to_body(json_pack("{s:s}", "ResetType", order_word(t))),
             ret);
}

/* ---- What to do about the state ---- */

static void end_without_word(RedfishTalk *t, RedfishStep *ret) {
        g_autofree char *words = redfish_words_to_text(allowed_words(t));

        end(t,
            FENCE_VERDICT_GAVE_UP,
            g_strdup_printf("the reset action of %s knows no %s, only %s",
                            system_path(t),
                            wanted_word(t),
                            words),
            ret);
}

/* The state is what was wanted, or all that was wanted was to know it. */
static bool end_if_reached(RedfishTalk *t, RedfishStep *ret) {
        RedfishPower power = t->system.power;
        FenceVerdict verdict;

        switch (t->settings.action) {
        case FENCE_ACTION_STATUS:
                verdict = power == REDFISH_POWER_OFF ? FENCE_VERDICT_IS_OFF : FENCE_VERDICT_IS_ON;
                break;
        case FENCE_ACTION_ON:
                if (power != REDFISH_POWER_ON && !streq(t->system.power_word, "PoweringOn"))
                        return false;
                verdict = FENCE_VERDICT_DONE;
                break;
        default:
                /* Right after a controller has started its "Off" may be a default, and the order not have
                 * come further than to a controller that was about to end. */
                if (power != REDFISH_POWER_OFF || !t->order_counts)
                        return false;
                verdict = FENCE_VERDICT_IS_OFF;
        }
        end(t, verdict, g_strdup(t->system.power_word), ret);
        return true;
}

static void end_refused(RedfishTalk *t, RedfishStep *ret) {
        end(t,
            FENCE_VERDICT_GAVE_UP,
            g_strdup_printf("the controller %s to the order %s, and PowerState is \"%s\"",
                            strempty(t->order_complaint),
                            wanted_word(t),
                            t->system.power_word),
            ret);
}

/* As it was read just now. */
static void act_on_state(RedfishTalk *t, uint64_t now_usec, RedfishStep *ret) {
        bool words_are_elsewhere =
                        t->system.allowed.n_words == 0 && t->system.action_info && !t->action_info_read;

        if (!t->ordered && words_are_elsewhere)
                send(t, now_usec, PHASE_ACTION_INFO, t->system.action_info, NULL, ret);
        else if (!order_word(t))
                end_without_word(t, ret);
        else if (t->ordered && t->order_is_final && !is_off_unproven(t))
                end_refused(t, ret);
        else if (!t->ordered || now_usec >= t->order_again_usec)
                send_order(t, now_usec, ret);
        else {
                wait_until(t, usec_add(now_usec, t->ask_pause_usec), ret);
                t->ask_pause_usec = MIN(2 * t->ask_pause_usec, ASK_MAX_USEC);
        }
}

static void send_login(RedfishTalk *t, uint64_t now_usec, RedfishStep *ret) {
        json_t *object = json_pack(
                        "{s:s, s:s}", "UserName", t->settings.username, "Password", t->settings.password);

        if (!object) {
                end(t, FENCE_VERDICT_GAVE_UP, g_strdup("username or password is not UTF-8 text"), ret);
                return;
        }
        send(t, now_usec, PHASE_LOGIN, t->memory->sessions ?: SESSIONS_PATH, json_to_body(object), ret);
}

static bool needs_root(const RedfishTalk *t) {
        return !t->root_seen &&
               (!system_path(t) || (!t->memory->sessions && !t->basic && !t->settings.system));
}

void redfish_talk_go_on(RedfishTalk *t, uint64_t now_usec, RedfishStep *ret) {
        if (t->system_read && now_usec <= t->deadline_usec && end_if_reached(t, ret))
                return;
        if (now_usec >= t->deadline_usec)
                end_late(t, ret);
        else if (needs_root(t))
                send(t, now_usec, PHASE_ROOT, ROOT_PATH, NULL, ret);
        else if (!t->token && !t->basic)
                send_login(t, now_usec, ret);
        else if (!system_path(t))
                send(t, now_usec, PHASE_SYSTEMS, t->systems ?: SYSTEMS_PATH, NULL, ret);
        else if (!t->system_read)
                send(t, now_usec, PHASE_SYSTEM, system_path(t), NULL, ret);
        else
                act_on_state(t, now_usec, ret);
}

/* ---- What went wrong ---- */

static void try_again(RedfishTalk *t, uint64_t now_usec, RedfishStep *ret) {
        wait_until(t, usec_add(now_usec, t->retry_pause_usec), ret);
        t->retry_pause_usec = MIN(2 * t->retry_pause_usec, RETRY_MAX_USEC);
}

static const char *request_name(const RedfishTalk *t) {
        return t->phase == PHASE_LOGIN || t->phase == PHASE_RESET ? "POST" : "GET";
}

/* Links that were remembered may lead nowhere since the controller has new firmware. */
static bool forget_what_was_remembered(RedfishTalk *t) {
        if (!t->memory_used)
                return false;
        redfish_memory_forget(t->memory);
        forget_redirections(t);
        t->memory_used = false;
        t->root_seen = false;
        t->basic = false;
        return true;
}

/* Taken, or refused because the server is so already; not by one that is starting, busy, or not there. */
static bool order_counts(const RedfishTalk *t, unsigned status) {
        static const unsigned refusals[] = { 400, 405, 409, 412, 422, 500 };

        for (size_t i = 0; i < ELEMENTSOF(refusals); i++)
                if (status == refusals[i])
                        return t->system.power == REDFISH_POWER_OFF;
        return status >= 200 && status < 300;
}

static void note_order(RedfishTalk *t, unsigned status) {
        if (!t->ordered)
                t->n_asked = 0;
        t->ordered = true;
        t->order_counts = t->order_counts || order_counts(t, status);
        t->order_status = status;
        t->order_is_final = false;
        g_clear_pointer(&t->order_complaint, g_free);
        t->system_read = false;
}

static void order_again_soon(RedfishTalk *t, uint64_t now_usec) {
        t->order_again_usec = usec_add(now_usec, t->refusal_pause_usec);
        t->refusal_pause_usec = MIN(2 * t->refusal_pause_usec, RETRY_MAX_USEC);
}

/* By the words of OpenSSL and libcurl; where they change, the hint is missing and nothing else. */
static const char *untrusted_hint(const char *error) {
        static const struct {
                const char *part, *hint;
        } hints[] = {
                { "expired", "; give the controller a new one" },
                { "issuer", "; name the certificate of who issued it by CAFile=" },
                { "self-signed", "; where it is the controller's own, name it by CAFile=" },
                { "self signed", "; where it is the controller's own, name it by CAFile=" },
                { "host name", "; say what name it is for by Nodes=node:name@address" },
        };

        for (size_t i = 0; i < ELEMENTSOF(hints); i++)
                if (strstr(error, hints[i].part))
                        return hints[i].hint;
        return "";
}

static void take_no_answer(RedfishTalk *t, uint64_t now_usec, const HttpResult *http, RedfishStep *ret) {
        static const char *const sentences[] = {
                [HTTP_NOT_CONNECTED] = "there is no connection to the controller",
                [HTTP_UNTRUSTED] = "the controller's certificate is not trusted",
                [HTTP_TLS_FAILED] = "no TLS with the controller",
                [HTTP_TIMED_OUT] = "the controller did not answer in time",
                [HTTP_TOO_LARGE] = "the controller's answer is too large",
                [HTTP_BROKEN] = "the controller's answer broke off",
                [HTTP_IMPOSSIBLE] = "the request could not be sent",
        };
        bool is_final = http->end == HTTP_UNTRUSTED || http->end == HTTP_IMPOSSIBLE ||
                        http->end == HTTP_TOO_LARGE;

        /* What was cut short by the limit says less than what was wrong before. */
        if (!t->trouble || is_final || now_usec < t->deadline_usec)
                set_text(&t->trouble,
                         g_strdup_printf("%s: %s %s: %s%s",
                                         sentences[http->end],
                                         request_name(t),
                                         t->request,
                                         strempty(http->error),
                                         http->end == HTTP_UNTRUSTED ? untrusted_hint(strempty(http->error))
                                                                     : ""));
        if (is_final)
                end(t, FENCE_VERDICT_GAVE_UP, g_strdup(t->trouble), ret);
        else if (t->phase == PHASE_RESET) {
                note_order(t, 0); /* it may have been carried out */
                order_again_soon(t, now_usec);
                redfish_talk_go_on(t, now_usec, ret);
        } else
                try_again(t, now_usec, ret);
}

static bool is_transient(unsigned status) {
        return status >= 500 || status == 408 || status == 409 || status == 423 || status == 425 ||
               status == 429;
}

static void set_http_trouble(RedfishTalk *t, const HttpResult *http, const char *what) {
        /* What is said about a login could repeat what was sent. */
        g_autofree char *said = t->phase == PHASE_LOGIN
                                                ? NULL
                                                : redfish_answer_complaint(http->body, http->body_bytes);

        set_text(&t->trouble,
                 g_strdup_printf("%s %s: HTTP %u%s%s%s%s%s",
                                 request_name(t),
                                 t->request,
                                 http->status,
                                 what ? ": " : "",
                                 strempty(what),
                                 said ? " (\"" : "",
                                 strempty(said),
                                 said ? "\")" : ""));
}

static void give_up(RedfishTalk *t, RedfishStep *ret) {
        forget_if_answered(t);
        end(t, FENCE_VERDICT_GAVE_UP, g_strdup(t->trouble), ret);
}

/* The path, where it is on this very controller, said with its address or without; for g_free(). */
static char *own_path(const RedfishTalk *t, const char *location) {
        const char *authority = t->settings.authority, *rest = startswith(location, "https://");
        size_t n = strcspn(authority, "/");

        if (location[0] == '/')
                return location[1] == '/' ? NULL : redfish_answer_path(location);
        if (!rest)
                return NULL;
        if (g_ascii_strncasecmp(rest, authority, n) != 0 || rest[n] != '/') {
                if (!g_str_has_suffix(authority, ":443"))
                        return NULL;
                n -= strlen(":443");
        }
        return g_ascii_strncasecmp(rest, authority, n) == 0 && rest[n] == '/' ? redfish_answer_path(rest + n)
                                                                              : NULL;
}

static void
take_redirection(RedfishTalk *t, uint64_t now_usec, const RedfishAnswer *answer, RedfishStep *ret) {
        unsigned status = answer->http->status;
        bool is_post = t->phase == PHASE_LOGIN || t->phase == PHASE_RESET;
        char *path = own_path(t, strempty(answer->location));

        /* Only within the controller: name and password go nowhere else. */
        if (!path || (is_post && status != 307 && status != 308) || ++t->n_redirections > REDIRECTIONS_MAX) {
                set_http_trouble(
                                t,
                                answer->http,
                                "it sends us elsewhere, which is not followed; is this the address of the "
                                "controller itself?");
                g_free(path);
                give_up(t, ret);
                return;
        }
        set_text(&t->redirections[t->phase], path);
        redfish_talk_go_on(t, now_usec, ret);
}

static void
take_unauthorized(RedfishTalk *t, uint64_t now_usec, const RedfishAnswer *answer, RedfishStep *ret) {
        if (t->token && t->n_logins < LOGINS_MAX) {
                /* The session is over: controllers end them when they restart, or have too many. */
                set_http_trouble(t, answer->http, "the session was not accepted any more");
                wipe(TAKE_PTR(t->token));
                g_clear_pointer(&t->session, g_free);
                t->system_read = false;
                redfish_talk_go_on(t, now_usec, ret);
                return;
        }
        if (t->basic && forget_what_was_remembered(t)) {
                redfish_talk_go_on(t, now_usec, ret);
                return;
        }
        set_http_trouble(
                        t,
                        answer->http,
                        t->token                ? "new sessions are not accepted either"
                        : t->n_login_errors > 0 ? "it gave no session, and does not take name and password "
                                                  "without one"
                                                : "it does not take this username and password");
        give_up(t, ret);
}

static void take_error(RedfishTalk *t, uint64_t now_usec, const RedfishAnswer *answer, RedfishStep *ret) {
        const HttpResult *http = answer->http;

        if (http->status >= 300 && http->status < 400)
                take_redirection(t, now_usec, answer, ret);
        else if (http->status == 401)
                take_unauthorized(t, now_usec, answer, ret);
        else if (http->status == 403) {
                set_http_trouble(t, http, "this account may not do that; it needs the role Operator");
                give_up(t, ret);
        } else if (is_transient(http->status)) {
                set_http_trouble(t, http, NULL);
                try_again(t, now_usec, ret);
        } else if (http->status == 404 && forget_what_was_remembered(t)) {
                t->system_read = false;
                redfish_talk_go_on(t, now_usec, ret);
        } else {
                set_http_trouble(
                                t,
                                http,
                                http->status != 404      ? NULL
                                : t->phase == PHASE_ROOT ? "there is no Redfish at this address"
                                : t->settings.system     ? "there is no such system; see Nodes="
                                                         : NULL);
                give_up(t, ret);
        }
}

/* ---- What came ---- */

static void take_root(RedfishTalk *t, const json_t *object) {
        char *sessions = redfish_answer_link(object, (const char *const[]){ "Links", "Sessions", NULL });
        g_autofree char *service =
                        redfish_answer_link(object, (const char *const[]){ "SessionService", NULL });

        t->root_seen = true;
        set_text(&t->systems, redfish_answer_link(object, (const char *const[]){ "Systems", NULL }));
        t->memory->no_sessions = t->basic = !sessions && !service;
        set_text(&t->memory->sessions, sessions ?: g_strdup(SESSIONS_PATH));
}

static void take_systems(RedfishTalk *t, uint64_t now_usec, const json_t *object, RedfishStep *ret) {
        char *paths[SYSTEMS_SHOWN_MAX] = {};
        size_t n = redfish_answer_members(object, paths, ELEMENTSOF(paths));
        GString *shown = g_string_new(NULL);

        for (size_t i = 0; i < ELEMENTSOF(paths) && paths[i]; i++)
                g_string_append_printf(shown, "%s%s", i > 0 ? ", " : "", paths[i]);
        if (n == 1 && paths[0]) {
                set_text(&t->memory->system, TAKE_PTR(paths[0]));
                redfish_talk_go_on(t, now_usec, ret);
        } else
                end(t,
                    FENCE_VERDICT_GAVE_UP,
                    n == 0   ? g_strdup_printf("the controller has no system in %s", t->request)
                    : n == 1 ? g_strdup_printf("the link of the system in %s is no path", t->request)
                             : g_strdup_printf("the controller has %zu systems; name one by "
                                               "Nodes=node:address/path: %s%s",
                                               n,
                                               shown->str,
                                               n > SYSTEMS_SHOWN_MAX ? ", ..." : ""),
                    ret);
        for (size_t i = 0; i < ELEMENTSOF(paths); i++)
                g_free(paths[i]);
        (void) g_string_free(shown, TRUE);
}

static void take_system(RedfishTalk *t, uint64_t now_usec, const json_t *object, RedfishStep *ret) {
        redfish_system_done(&t->system);
        redfish_answer_system(object, &t->system);
        t->n_asked++;
        if (t->system.power == REDFISH_POWER_UNKNOWN) {
                set_text(&t->trouble,
                         g_strdup_printf("GET %s: PowerState is %s%s%s, which says neither on nor off",
                                         t->request,
                                         t->system.power_word[0] ? "\"" : "",
                                         t->system.power_word[0] ? t->system.power_word : "missing",
                                         t->system.power_word[0] ? "\"" : ""));
                try_again(t, now_usec, ret);
                return;
        }
        g_clear_pointer(&t->trouble, g_free);
        t->retry_pause_usec = RETRY_MIN_USEC;
        t->system_read = true;
        redfish_talk_go_on(t, now_usec, ret);
}

static void take_object(RedfishTalk *t, uint64_t now_usec, const HttpResult *http, RedfishStep *ret) {
        json_t *object = redfish_answer_parse(http->body, http->body_bytes);

        if (!object) {
                set_text(&t->trouble,
                         g_strdup_printf("GET %s: HTTP %u, but %s",
                                         t->request,
                                         http->status,
                                         http->body_bytes == 0 ? "the answer is empty"
                                                               : "the answer is no JSON object"));
                try_again(t, now_usec, ret);
                return;
        }
        t->n_redirections = 0;
        if (t->phase != PHASE_SYSTEM)
                t->retry_pause_usec = RETRY_MIN_USEC;
        switch (t->phase) {
        case PHASE_ROOT:
                take_root(t, object);
                redfish_talk_go_on(t, now_usec, ret);
                break;
        case PHASE_SYSTEMS:
                take_systems(t, now_usec, object, ret);
                break;
        case PHASE_SYSTEM:
                take_system(t, now_usec, object, ret);
                break;
        case PHASE_ACTION_INFO:
                redfish_answer_action_info(object, &t->allowed);
                t->action_info_read = true;
                redfish_talk_go_on(t, now_usec, ret);
                break;
        case PHASE_LOGIN:
        case PHASE_RESET:
                ASSERT_NOT_REACHED();
        }
        json_decref(object);
}

static void take_session(RedfishTalk *t, uint64_t now_usec, const RedfishAnswer *answer, RedfishStep *ret) {
        json_t *object = redfish_answer_parse(answer->http->body, answer->http->body_bytes);

        t->n_logins++;
        t->token = g_strdup(answer->token);
        set_text(&t->session,
                 redfish_answer_path(answer->location)
                                 ?: redfish_answer_path(json_string_value(
                                                    json_object_get(object, "@odata.id"))));
        json_decref(object);
        t->basic = !t->token;
        redfish_talk_go_on(t, now_usec, ret);
}

/* A controller without sessions, or one that has none left, may take name and password with each request.
 * Where those are wrong, trying again would lock the account. */
static void take_login(RedfishTalk *t, uint64_t now_usec, const RedfishAnswer *answer, RedfishStep *ret) {
        unsigned status = answer->http->status;

        if (status >= 200 && status < 300) {
                take_session(t, now_usec, answer, ret);
                return;
        }
        if (status == 401 || (status >= 300 && status < 400)) {
                take_error(t, now_usec, answer, ret);
                return;
        }
        set_http_trouble(t, answer->http, "no session was made");
        if (status == 404 || status == 405 || status == 501)
                t->memory->no_sessions = true;
        else if (++t->n_login_errors < LOGIN_ERRORS_MAX && is_transient(status)) {
                try_again(t, now_usec, ret);
                return;
        }
        t->basic = true;
        redfish_talk_go_on(t, now_usec, ret);
}

/* Whatever it says, the state is asked next. */
static void take_order(RedfishTalk *t, uint64_t now_usec, const RedfishAnswer *answer, RedfishStep *ret) {
        const HttpResult *http = answer->http;
        unsigned status = http->status;
        g_autofree char *said = NULL;

        if (status == 401 || status == 403 || (status >= 300 && status < 400) ||
            (status == 404 && t->memory_used)) {
                take_error(t, now_usec, answer, ret);
                return;
        }
        note_order(t, status);
        if (status < 300) {
                t->ask_pause_usec = ASK_MIN_USEC;
                redfish_talk_go_on(t, now_usec, ret);
                return;
        }
        said = redfish_answer_complaint(http->body, http->body_bytes);
        set_text(&t->order_complaint,
                 g_strdup_printf("said no (HTTP %u%s%s)", status, said ? ": " : "", strempty(said)));
        t->order_is_final = !is_transient(status);
        order_again_soon(t, now_usec);
        redfish_talk_go_on(t, now_usec, ret);
}

void redfish_talk_take(RedfishTalk *t, uint64_t now_usec, const RedfishAnswer *answer, RedfishStep *ret) {
        const HttpResult *http = answer->http;

        t->answered = http->end == HTTP_ANSWERED;
        if (!t->answered)
                take_no_answer(t, now_usec, http, ret);
        else if (t->phase == PHASE_LOGIN)
                take_login(t, now_usec, answer, ret);
        else if (t->phase == PHASE_RESET)
                take_order(t, now_usec, answer, ret);
        else if (t->phase == PHASE_ROOT && (http->status == 401 || http->status == 403)) {
                /* It should be open to all, and is not with some; then the links are where they always are.
                 */
                t->root_seen = true;
                set_text(&t->memory->sessions, g_strdup(SESSIONS_PATH));
                redfish_talk_go_on(t, now_usec, ret);
        } else if (t->phase == PHASE_ACTION_INFO && http->status >= 400 && http->status != 401) {
                t->action_info_read = true; /* the usual words, then */
                redfish_talk_go_on(t, now_usec, ret);
        } else if (http->status >= 200 && http->status < 300)
                take_object(t, now_usec, http, ret);
        else
                take_error(t, now_usec, answer, ret);
}

bool redfish_talk_farewell(RedfishTalk *t, RedfishStep *ret) {
        if (!t->token || !t->session)
                return false;
        *ret = (RedfishStep){
                .type = REDFISH_STEP_SEND,
                .method = "DELETE",
                .path = t->session,
                .token = t->token,
                .timeout_usec = FAREWELL_TIMEOUT_USEC,
        };
        return true;
}
