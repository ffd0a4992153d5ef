/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Talks with a controller that the test plays itself, in virtual time: what is sent is compared, answers are
 * made up. */

#include <glib.h>

#include "basic/time-util.h"
#include "hamgr/fence/redfish-talk.h"

#define ROOT                                                                                                \
        "{\"Systems\":{\"@odata.id\":\"/redfish/v1/Systems\"},\"Links\":{\"Sessions\":{\"@odata.id\":"      \
        "\"/redfish/v1/SessionService/Sessions\"}}}"
#define SYSTEMS "{\"Members\":[{\"@odata.id\":\"/redfish/v1/Systems/1\"}]}"
#define SYSTEM_WITH(power, more)                                                                            \
        "{\"PowerState\":\"" power "\",\"Actions\":{\"#ComputerSystem.Reset\":{\"target\":"                 \
        "\"/redfish/v1/Systems/1/Actions/ComputerSystem.Reset\"" more "}}}"
#define SYSTEM(power) SYSTEM_WITH(power, "")
#define SYSTEM_PATH "GET /redfish/v1/Systems/1"
#define RESET_PATH "POST /redfish/v1/Systems/1/Actions/ComputerSystem.Reset"
#define LOGIN_PATH "POST /redfish/v1/SessionService/Sessions"
#define LIMIT_USEC (10 * USEC_PER_SEC)

typedef struct Scene {
        RedfishMemory memory;
        RedfishTalk *talk;
        RedfishStep step;
        uint64_t now_usec;
} Scene;

static void begin(Scene *s, FenceAction action, const char *system) {
        s->now_usec = usec_add(s->now_usec, USEC_PER_SEC);
        s->talk = redfish_talk_new(
                        &(RedfishSettings){
                                        .action = action,
                                        .authority = "10.9.0.1:443",
                                        .username = "admin",
                                        .password = "s3\"cret",
                                        .system = system,
                                        .timeout_usec = LIMIT_USEC,
                        },
                        &s->memory,
                        s->now_usec);
        redfish_talk_go_on(s->talk, s->now_usec, &s->step);
}

static void done(Scene *s) {
        s->talk = redfish_talk_free(s->talk);
}

static void scene_done(Scene *s) {
        done(s);
        redfish_memory_forget(&s->memory);
}

/* Waits as long as it is told to. */
static void skip_wait(Scene *s) {
        while (s->step.type == REDFISH_STEP_WAIT) {
                g_assert_cmpuint(s->step.until_usec, >=, s->now_usec);
                s->now_usec = s->step.until_usec;
                redfish_talk_go_on(s->talk, s->now_usec, &s->step);
        }
}

static void expect(Scene *s, const char *request) {
        g_autofree char *sent = NULL;

        skip_wait(s);
        if (s->step.type == REDFISH_STEP_END)
                g_error("it ended instead of sending %s: %s", request, s->step.text);
        sent = g_strdup_printf("%s %s", s->step.method, s->step.path);
        g_assert_cmpstr(sent, ==, request);
}

static void give(Scene *s, const HttpResult *http, const char *token, const char *location) {
        RedfishAnswer answer = { .http = http, .token = token, .location = location };

        s->now_usec = usec_add(s->now_usec, 10 * USEC_PER_MSEC);
        redfish_talk_take(s->talk, s->now_usec, &answer, &s->step);
}

static void
answer_with(Scene *s, unsigned status, const char *body, const char *token, const char *location) {
        give(s,
             &(HttpResult){ .end = HTTP_ANSWERED,
                            .status = status,
                            .body = body,
                            .body_bytes = strlen(body) },
             token,
             location);
}

static void answer(Scene *s, const char *request, unsigned status, const char *body) {
        expect(s, request);
        answer_with(s, status, body, NULL, NULL);
}

static void fail_with(Scene *s, const char *request, HttpEnd end, const char *error) {
        expect(s, request);
        give(s, &(HttpResult){ .end = end, .error = error }, NULL, NULL);
}

/* This state, as often as it is asked for before the order is given again. */
static void say_until_ordered(Scene *s, const char *body) {
        do
                answer(s, SYSTEM_PATH, 200, body);
        while (skip_wait(s), s->step.type == REDFISH_STEP_SEND && streq(s->step.method, "GET"));
}

static void login(Scene *s) {
        expect(s, LOGIN_PATH);
        answer_with(s, 201, "{}", "T1", "https://bmc/redfish/v1/SessionService/Sessions/7");
}

/* Up to the first question for the state. */
static void arrive(Scene *s) {
        answer(s, "GET /redfish/v1/", 200, ROOT);
        login(s);
        answer(s, "GET /redfish/v1/Systems", 200, SYSTEMS);
        expect(s, SYSTEM_PATH);
}

static void expect_end(Scene *s, FenceVerdict verdict, const char *part) {
        skip_wait(s);
        g_assert_cmpint(s->step.type, ==, REDFISH_STEP_END);
        if (!strstr(s->step.text, part))
                g_error("\"%s\" is not in \"%s\"", part, s->step.text);
        g_assert_cmpint(s->step.verdict, ==, verdict);
        g_assert_null(strstr(s->step.text, "s3"));
}

static void test_state_is_asked_until_it_says_off(void) {
        Scene s = {};
        RedfishStep farewell;

        begin(&s, FENCE_ACTION_OFF, NULL);
        g_assert_true(s.step.fresh);
        g_assert_null(s.step.token);
        arrive(&s);
        g_assert_cmpstr(s.step.token, ==, "T1");
        g_assert_false(s.step.basic);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        expect(&s, RESET_PATH);
        g_assert_cmpstr(s.step.body, ==, "{\"ResetType\":\"ForceOff\"}");
        answer_with(&s, 204, "", NULL, NULL);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        answer(&s, SYSTEM_PATH, 200, SYSTEM("PoweringOff"));
        answer(&s, SYSTEM_PATH, 200, SYSTEM(" Off "));
        expect_end(&s, FENCE_VERDICT_IS_OFF, "Off");
        g_assert_true(redfish_talk_farewell(s.talk, &farewell));
        g_assert_cmpstr(farewell.method, ==, "DELETE");
        g_assert_cmpstr(farewell.path, ==, "/redfish/v1/SessionService/Sessions/7");
        g_assert_cmpstr(farewell.token, ==, "T1");
        scene_done(&s);
}

/* A controller that has just started may call everything off. */
static void test_one_that_is_off_is_ordered_off_and_asked_again(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        arrive(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("Off"));
        answer(&s, RESET_PATH, 409, "{\"error\":{\"message\":\"already off\"}}");
        answer(&s, SYSTEM_PATH, 200, SYSTEM("Off"));
        expect_end(&s, FENCE_VERDICT_IS_OFF, "Off");
        scene_done(&s);
}

static void test_yes_and_nothing_done_is_no_proof(void) {
        Scene s = {};
        unsigned n_orders = 0;

        begin(&s, FENCE_ACTION_OFF, NULL);
        arrive(&s);
        while (s.step.type != REDFISH_STEP_END) {
                bool order = streq(s.step.method, "POST");

                n_orders += order;
                answer_with(&s, order ? 204 : 200, order ? "" : SYSTEM("On"), NULL, NULL);
                skip_wait(&s);
        }
        expect_end(&s,
                   FENCE_VERDICT_GAVE_UP,
                   "said yes (HTTP 204) to the order ForceOff, and PowerState is still \"On\" after 10s");
        g_assert_cmpuint(n_orders, ==, 2); /* at once and after 3 s; after another 6 s the time is over */
        scene_done(&s);
}

/* As when hamgr was paused meanwhile, and others have given it up. */
static void test_answer_after_a_minute_is_no_proof(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        arrive(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        answer(&s, RESET_PATH, 204, "");
        expect(&s, SYSTEM_PATH);
        s.now_usec = usec_add(s.now_usec, USEC_PER_MINUTE);
        answer_with(&s, 200, SYSTEM("Off"), NULL, NULL);
        g_assert_cmpint(s.step.type, ==, REDFISH_STEP_END);
        expect_end(&s,
                   FENCE_VERDICT_GAVE_UP,
                   "PowerState is still \"Off\", which it said too late, after 10s");
        scene_done(&s);
}

static void test_what_is_remembered_is_not_asked_again(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_STATUS, NULL);
        arrive(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        expect_end(&s, FENCE_VERDICT_IS_ON, "On");
        done(&s);

        begin(&s, FENCE_ACTION_STATUS, NULL);
        login(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("Off"));
        expect_end(&s, FENCE_VERDICT_IS_OFF, "Off");
        done(&s);

        /* New firmware, other links. */
        begin(&s, FENCE_ACTION_STATUS, NULL);
        login(&s);
        expect(&s, SYSTEM_PATH);
        answer_with(&s, 308, "", NULL, "/redfish/v1/Systems/1/");
        answer(&s, SYSTEM_PATH "/", 404, "");
        answer(&s, "GET /redfish/v1/", 200, ROOT);
        answer(&s,
               "GET /redfish/v1/Systems",
               200,
               "{\"Members\":[{\"@odata.id\":\"/redfish/v1/Systems/Self\"}]}");
        answer(&s, "GET /redfish/v1/Systems/Self", 200, SYSTEM("Off"));
        expect_end(&s, FENCE_VERDICT_IS_OFF, "Off");
        done(&s);

        /* One that does not answer has its links still; */
        begin(&s, FENCE_ACTION_STATUS, NULL);
        while (skip_wait(&s), s.step.type != REDFISH_STEP_END)
                fail_with(&s, LOGIN_PATH, HTTP_NOT_CONNECTED, "refused");
        done(&s);

        /* but one that has said nothing useful for so long may have others, in whatever words it says so. */
        begin(&s, FENCE_ACTION_STATUS, NULL);
        login(&s);
        while (skip_wait(&s), s.step.type != REDFISH_STEP_END)
                answer(&s, "GET /redfish/v1/Systems/Self", 500, "");
        done(&s);
        begin(&s, FENCE_ACTION_STATUS, NULL);
        expect(&s, "GET /redfish/v1/");
        scene_done(&s);
}

/* And nothing said of the action, as with the simplest of controllers. */
static void test_system_with_a_slash_at_the_end(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, "/redfish/v1/Systems/1/");
        login(&s);
        answer(&s, SYSTEM_PATH "/", 200, "{\"PowerState\":\"On\"}");
        expect(&s, RESET_PATH);
        scene_done(&s);
}

static void test_without_sessions_name_and_password_go_along(void) {
        Scene s = {};
        RedfishStep farewell;

        begin(&s, FENCE_ACTION_STATUS, NULL);
        answer(&s, "GET /redfish/v1/", 200, "{\"Systems\":{\"@odata.id\":\"/redfish/v1/Systems\"}}");
        expect(&s, "GET /redfish/v1/Systems");
        g_assert_true(s.step.basic);
        done(&s);
        redfish_memory_forget(&s.memory);

        begin(&s, FENCE_ACTION_STATUS, NULL);
        answer(&s, "GET /redfish/v1/", 200, ROOT);
        answer(&s, LOGIN_PATH, 404, "");
        expect(&s, "GET /redfish/v1/Systems");
        g_assert_true(s.step.basic);
        g_assert_false(redfish_talk_farewell(s.talk, &farewell));
        answer_with(&s, 401, "", NULL, NULL);
        /* What it was told about sessions was of this talk, so there is nothing to ask again. */
        expect_end(&s, FENCE_VERDICT_GAVE_UP, "does not take this username and password");
        scene_done(&s);
}

static void test_controller_without_a_free_session(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_STATUS, "/redfish/v1/Systems/1");
        answer(&s, LOGIN_PATH, 503, "");
        answer(&s, LOGIN_PATH, 503, "");
        expect(&s, SYSTEM_PATH);
        g_assert_true(s.step.basic);
        answer_with(&s, 401, "", NULL, NULL);
        expect_end(&s,
                   FENCE_VERDICT_GAVE_UP,
                   "it gave no session, and does not take name and password without one");
        scene_done(&s);
}

static void test_session_that_ends_is_made_anew(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        arrive(&s);
        answer(&s, SYSTEM_PATH, 401, "");
        login(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        answer(&s, RESET_PATH, 401, "");
        login(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        answer(&s, RESET_PATH, 204, "");
        answer(&s, SYSTEM_PATH, 401, "");
        expect_end(&s, FENCE_VERDICT_GAVE_UP, "new sessions are not accepted either");
        scene_done(&s);
}

/* Trying again would lock the account. */
static void test_wrong_password_is_tried_once(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        answer(&s, "GET /redfish/v1/", 200, ROOT);
        expect(&s, LOGIN_PATH);
        g_assert_cmpstr(s.step.body, ==, "{\"UserName\":\"admin\",\"Password\":\"s3\\\"cret\"}");
        answer_with(&s, 401, "{\"error\":{\"message\":\"s3\\\"cret is wrong\"}}", NULL, NULL);
        expect_end(&s, FENCE_VERDICT_GAVE_UP, "HTTP 401: it does not take this username and password");
        scene_done(&s);
}

static void test_missing_right_is_told(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        arrive(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        answer(&s,
               RESET_PATH,
               403,
               "{\"error\":{\"@Message.ExtendedInfo\":[{\"Message\":\"no\\nright\"}]}}");
        expect_end(&s, FENCE_VERDICT_GAVE_UP, "may not do that; it needs the role Operator (\"no right\")");
        scene_done(&s);
}

static void test_refused_order_ends_it_while_the_server_is_on(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        arrive(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        answer(&s, RESET_PATH, 400, "{\"error\":{\"message\":\"bad ResetType\"}}");
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        expect_end(&s, FENCE_VERDICT_GAVE_UP, "said no (HTTP 400: bad ResetType) to the order ForceOff");
        scene_done(&s);
}

static void test_busy_controller_is_ordered_again(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        arrive(&s);
        answer(&s, SYSTEM_PATH, 503, "");
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        answer(&s, RESET_PATH, 500, "");
        say_until_ordered(&s, SYSTEM("On"));
        answer(&s, RESET_PATH, 204, "");
        answer(&s, SYSTEM_PATH, 200, SYSTEM("Off"));
        expect_end(&s, FENCE_VERDICT_IS_OFF, "Off");
        scene_done(&s);
}

/* It may have been carried out, or have been lost with a controller that starts anew and calls everything
 * off by then. */
static void test_order_whose_answer_does_not_come(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        arrive(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        expect(&s, RESET_PATH);
        g_assert_cmpuint(s.step.timeout_usec, <=, LIMIT_USEC / 2);
        g_assert_false(s.step.fresh);
        fail_with(&s, RESET_PATH, HTTP_TIMED_OUT, "nothing came");
        expect(&s, SYSTEM_PATH);
        g_assert_true(s.step.fresh);
        say_until_ordered(&s, SYSTEM("Off"));
        answer(&s, RESET_PATH, 409, "");
        answer(&s, SYSTEM_PATH, 200, SYSTEM("Off"));
        expect_end(&s, FENCE_VERDICT_IS_OFF, "Off");
        scene_done(&s);
}

/* One that has just started: its services do not all work yet, and it does not know better than "Off". */
static void test_off_is_no_proof_before_an_order_was_taken(void) {
        static const unsigned statuses[] = { 0, 404, 429, 502, 503, 504 };

        FOREACH_ARRAY(status, statuses, ELEMENTSOF(statuses)) {
                Scene s = {};

                begin(&s, FENCE_ACTION_OFF, "/redfish/v1/Systems/1");
                login(&s);
                expect(&s, SYSTEM_PATH);
                while (s.step.type != REDFISH_STEP_END) {
                        if (streq(s.step.method, "GET"))
                                answer_with(&s, 200, SYSTEM("Off"), NULL, NULL);
                        else if (*status > 0)
                                answer_with(&s, *status, "", NULL, NULL);
                        else
                                give(&s,
                                     &(HttpResult){ .end = HTTP_NOT_CONNECTED, .error = "x" },
                                     NULL,
                                     NULL);
                        skip_wait(&s);
                }
                expect_end(&s,
                           FENCE_VERDICT_GAVE_UP,
                           "PowerState is still \"Off\", which proves nothing before it has taken one, "
                           "after");
                scene_done(&s);
        }
}

/* It was on and busy when it refused; then it started anew. */
static void test_refusal_while_on_does_not_make_off_a_proof(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        arrive(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        answer(&s, RESET_PATH, 409, "");
        say_until_ordered(&s, SYSTEM("Off"));
        answer(&s, RESET_PATH, 204, "");
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        skip_wait(&s);
        g_assert_cmpint(s.step.type, ==, REDFISH_STEP_SEND);
        scene_done(&s);
}

static void test_state_that_is_lost_after_the_order_is_no_proof(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        arrive(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        answer(&s, RESET_PATH, 204, "");
        while (skip_wait(&s), s.step.type != REDFISH_STEP_END)
                fail_with(&s, SYSTEM_PATH, HTTP_NOT_CONNECTED, "refused");
        expect_end(&s,
                   FENCE_VERDICT_GAVE_UP,
                   "there is no connection to the controller: GET /redfish/v1/Systems/1: refused (gave up "
                   "after "
                   "10s, without a state since the order ForceOff)");
        scene_done(&s);
}

static void test_words_of_the_action_are_honoured(void) {
#define ALLOWED(words) ",\"ResetType@Redfish.AllowableValues\":[" words "]"
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        arrive(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM_WITH("On", ALLOWED("\"On\",\"ForceRestart\"")));
        expect_end(&s,
                   FENCE_VERDICT_GAVE_UP,
                   "the reset action of /redfish/v1/Systems/1 knows no ForceOff, only On, ForceRestart");
        done(&s);

        begin(&s, FENCE_ACTION_ON, NULL);
        login(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM_WITH("Off", ALLOWED("\"ForceOff\",\"ForceOn\"")));
        expect(&s, RESET_PATH);
        g_assert_cmpstr(s.step.body, ==, "{\"ResetType\":\"ForceOn\"}");
        answer_with(&s, 204, "", NULL, NULL);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("Off"));
        answer(&s, SYSTEM_PATH, 200, SYSTEM("PoweringOn"));
        expect_end(&s, FENCE_VERDICT_DONE, "PoweringOn");
        done(&s);

        /* One that lists only what can be done now. */
        begin(&s, FENCE_ACTION_OFF, NULL);
        login(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM_WITH("Off", ALLOWED("\"On\"")));
        answer(&s, RESET_PATH, 400, "");
        answer(&s, SYSTEM_PATH, 200, SYSTEM_WITH("Off", ALLOWED("\"On\"")));
        expect_end(&s, FENCE_VERDICT_IS_OFF, "Off");
        scene_done(&s);
}

static void test_words_may_stand_in_action_info(void) {
#define INFO ",\"@Redfish.ActionInfo\":\"/redfish/v1/Systems/1/ResetActionInfo\""
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        arrive(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM_WITH("On", INFO));
        answer(&s,
               "GET /redfish/v1/Systems/1/ResetActionInfo",
               200,
               "{\"Parameters\":[{\"Name\":\"ResetType\",\"AllowableValues\":[\"On\",\"Nmi\"]}]}");
        expect_end(&s, FENCE_VERDICT_GAVE_UP, "knows no ForceOff, only On, Nmi");
        done(&s);

        begin(&s, FENCE_ACTION_OFF, NULL);
        login(&s);
        answer(&s, SYSTEM_PATH, 200, SYSTEM_WITH("On", INFO));
        answer(&s, "GET /redfish/v1/Systems/1/ResetActionInfo", 404, "");
        expect(&s, RESET_PATH);
        scene_done(&s);
}

static void test_answers_that_say_nothing(void) {
        static const struct {
                const char *body, *part;
        } answers[] = {
                { "", "the answer is empty" },
                { "<html/>", "the answer is no JSON object" },
                { "[]", "the answer is no JSON object" },
                { "{}", "PowerState is missing, which says neither on nor off" },
                { "{\"PowerState\":null}", "PowerState is missing" },
                { SYSTEM("off"), "PowerState is \"off\", which says neither on nor off" },
        };

        FOREACH_ARRAY(a, answers, ELEMENTSOF(answers)) {
                Scene s = {};
                unsigned n = 0;

                begin(&s, FENCE_ACTION_STATUS, "/redfish/v1/Systems/1");
                login(&s);
                while (skip_wait(&s), s.step.type != REDFISH_STEP_END) {
                        answer(&s, SYSTEM_PATH, 200, a->body);
                        n++;
                }
                expect_end(&s, FENCE_VERDICT_GAVE_UP, a->part);
                g_assert_cmpuint(n, >=, 5); /* and with pauses that grow */
                g_assert_cmpuint(n, <=, 12);
                scene_done(&s);
        }
}

static void test_redirections_stay_on_the_controller(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_STATUS, NULL);
        expect(&s, "GET /redfish/v1/");
        answer_with(&s, 308, "", NULL, "/redfish/v1/root");
        answer(&s, "GET /redfish/v1/root", 200, ROOT);
        login(&s);
        expect(&s, "GET /redfish/v1/Systems");
        answer_with(&s, 302, "", NULL, "https://elsewhere/redfish/v1/Systems");
        expect_end(&s, FENCE_VERDICT_GAVE_UP, "HTTP 302: it sends us elsewhere, which is not followed");
        scene_done(&s);

        s = (Scene){};
        begin(&s, FENCE_ACTION_STATUS, NULL);
        for (int i = 0; i < 4; i++) {
                expect(&s, "GET /redfish/v1/");
                answer_with(&s, 301, "", NULL, "/redfish/v1/");
        }
        expect_end(&s, FENCE_VERDICT_GAVE_UP, "which is not followed");
        scene_done(&s);
}

static void test_redirections_of_each_kind(void) {
        static const char *const own[] = {
                "/redfish/v1/Systems/1/",
                "https://10.9.0.1/redfish/v1/Systems/1/",
                "https://10.9.0.1:443/redfish/v1/Systems/1/",
        };
        static const char *const others[] = {
                "//10.9.0.2/redfish/v1/Systems/1",  "http://10.9.0.1/redfish/v1/Systems/1",
                "https://10.9.0.1:8443/redfish/v1", "https://10.9.0.11/redfish/v1",
                "https://10.9.0.1@10.9.0.2/x",      "Systems/1",
        };

        FOREACH_ARRAY(location, own, ELEMENTSOF(own)) {
                Scene s = {};

                begin(&s, FENCE_ACTION_STATUS, "/redfish/v1/Systems/1");
                login(&s);
                expect(&s, SYSTEM_PATH);
                answer_with(&s, 308, "", NULL, *location);
                answer(&s, SYSTEM_PATH "/", 200, SYSTEM("On"));
                expect_end(&s, FENCE_VERDICT_IS_ON, "On");
                scene_done(&s);
        }
        FOREACH_ARRAY(location, others, ELEMENTSOF(others)) {
                Scene s = {};

                begin(&s, FENCE_ACTION_STATUS, "/redfish/v1/Systems/1");
                login(&s);
                expect(&s, SYSTEM_PATH);
                answer_with(&s, 302, "", NULL, *location);
                expect_end(&s, FENCE_VERDICT_GAVE_UP, "HTTP 302: it sends us elsewhere");
                scene_done(&s);
        }
}

/* As one does that wants a slash at the end: each time that it is asked, and of posts too. */
static void test_redirections_that_lead_somewhere(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, "/redfish/v1/Systems/1");
        expect(&s, LOGIN_PATH);
        answer_with(&s, 308, "", NULL, "/redfish/v1/SessionService/Sessions/");
        expect(&s, LOGIN_PATH "/");
        g_assert_nonnull(strstr(s.step.body, "\"Password\""));
        answer_with(&s, 201, "{}", "T1", "/redfish/v1/SessionService/Sessions/7/");
        expect(&s, SYSTEM_PATH);
        answer_with(&s, 301, "", NULL, "/redfish/v1/Systems/1/");
        answer(&s, SYSTEM_PATH "/", 401, "");
        expect(&s, LOGIN_PATH "/");
        answer_with(&s, 201, "{}", "T1", NULL);
        answer(&s, SYSTEM_PATH "/", 200, SYSTEM("On"));
        expect(&s, RESET_PATH);
        answer_with(&s, 308, "", NULL, "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset/");
        expect(&s, RESET_PATH "/");
        g_assert_cmpstr(s.step.body, ==, "{\"ResetType\":\"ForceOff\"}");
        answer_with(&s, 204, "", NULL, NULL);
        for (int i = 0; i < 5; i++)
                answer(&s, SYSTEM_PATH "/", 200, SYSTEM("PoweringOff"));
        answer(&s, SYSTEM_PATH "/", 200, SYSTEM("Off"));
        expect_end(&s, FENCE_VERDICT_IS_OFF, "Off");
        scene_done(&s);
}

/* What one request is sent to is not asked for what the next one wants. */
static void test_redirection_is_for_its_request_only(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_STATUS, NULL);
        expect(&s, "GET /redfish/v1/");
        answer_with(&s, 301, "", NULL, "/redfish/v1/root");
        answer(&s, "GET /redfish/v1/root", 401, "");
        login(&s);
        answer(&s, "GET /redfish/v1/Systems", 200, SYSTEMS);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        expect_end(&s, FENCE_VERDICT_IS_ON, "On");
        scene_done(&s);
}

static void test_systems_are_told_apart(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_STATUS, NULL);
        answer(&s, "GET /redfish/v1/", 200, ROOT);
        login(&s);
        answer(&s,
               "GET /redfish/v1/Systems",
               200,
               "{\"Members\":[{\"@odata.id\":\"/redfish/v1/Systems/a\"},{\"@odata.id\":\"/redfish/v1/"
               "Systems/b\"}]}");
        expect_end(&s,
                   FENCE_VERDICT_GAVE_UP,
                   "the controller has 2 systems; name one by Nodes=node:address/path: "
                   "/redfish/v1/Systems/a, "
                   "/redfish/v1/Systems/b");
        done(&s);

        begin(&s, FENCE_ACTION_STATUS, "/redfish/v1/Systems/c");
        login(&s);
        answer(&s, "GET /redfish/v1/Systems/c", 404, "");
        answer(&s, "GET /redfish/v1/Systems/c", 404, "");
        expect_end(&s, FENCE_VERDICT_GAVE_UP, "HTTP 404: there is no such system; see Nodes=");
        scene_done(&s);
}

/* The one that can be read is not the only one: it may be another node's server. */
static void test_one_of_several_is_never_taken_for_the_only_one(void) {
#define ONE "\"Members\":[{\"@odata.id\":\"/redfish/v1/Systems/a\"}"
        static const struct {
                const char *body, *part;
        } answers[] = {
                { "{" ONE "],\"Members@odata.count\":2}", "the controller has 2 systems; name one" },
                { "{" ONE "],\"Members@odata.nextLink\":\"/x\"}", "the controller has 2 systems; name one" },
                { "{" ONE ",{\"@odata.id\":\"/redfish/v1/Systems/b|2\"}]}", "the controller has 2 systems" },
                { "{" ONE ",{}]}", "the controller has 2 systems; name one" },
                { "{\"Members\":[{\"@odata.id\":\"b\"}]}", "the link of the system" },
                { "{\"Members\":[]}", "the controller has no system in /redfish/v1/Systems" },
        };

        FOREACH_ARRAY(a, answers, ELEMENTSOF(answers)) {
                Scene s = {};

                begin(&s, FENCE_ACTION_OFF, NULL);
                answer(&s, "GET /redfish/v1/", 200, ROOT);
                login(&s);
                answer(&s, "GET /redfish/v1/Systems", 200, a->body);
                expect_end(&s, FENCE_VERDICT_GAVE_UP, a->part);
                scene_done(&s);
        }
#undef ONE
}

static void test_certificates_are_not_tried_again(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_OFF, NULL);
        fail_with(&s, "GET /redfish/v1/", HTTP_UNTRUSTED, "certificate has expired");
        g_assert_cmpint(s.step.type, ==, REDFISH_STEP_END);
        expect_end(&s,
                   FENCE_VERDICT_GAVE_UP,
                   "the controller's certificate is not trusted: GET /redfish/v1/: certificate has expired");
        scene_done(&s);
}

static void test_root_that_wants_a_password(void) {
        Scene s = {};

        begin(&s, FENCE_ACTION_STATUS, NULL);
        answer(&s, "GET /redfish/v1/", 401, "");
        login(&s);
        answer(&s, "GET /redfish/v1/Systems", 200, SYSTEMS);
        answer(&s, SYSTEM_PATH, 200, SYSTEM("On"));
        expect_end(&s, FENCE_VERDICT_IS_ON, "On");
        scene_done(&s);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/fence/redfish-talk/state-is-asked-until-it-says-off",
                        test_state_is_asked_until_it_says_off);
        g_test_add_func("/fence/redfish-talk/one-that-is-off-is-ordered-off-and-asked-again",
                        test_one_that_is_off_is_ordered_off_and_asked_again);
        g_test_add_func("/fence/redfish-talk/yes-and-nothing-done-is-no-proof",
                        test_yes_and_nothing_done_is_no_proof);
        g_test_add_func("/fence/redfish-talk/answer-after-a-minute-is-no-proof",
                        test_answer_after_a_minute_is_no_proof);
        g_test_add_func("/fence/redfish-talk/what-is-remembered-is-not-asked-again",
                        test_what_is_remembered_is_not_asked_again);
        g_test_add_func("/fence/redfish-talk/system-with-a-slash-at-the-end",
                        test_system_with_a_slash_at_the_end);
        g_test_add_func("/fence/redfish-talk/without-sessions-name-and-password-go-along",
                        test_without_sessions_name_and_password_go_along);
        g_test_add_func("/fence/redfish-talk/controller-without-a-free-session",
                        test_controller_without_a_free_session);
        g_test_add_func("/fence/redfish-talk/session-that-ends-is-made-anew",
                        test_session_that_ends_is_made_anew);
        g_test_add_func("/fence/redfish-talk/wrong-password-is-tried-once",
                        test_wrong_password_is_tried_once);
        g_test_add_func("/fence/redfish-talk/missing-right-is-told", test_missing_right_is_told);
        g_test_add_func("/fence/redfish-talk/refused-order-ends-it-while-the-server-is-on",
                        test_refused_order_ends_it_while_the_server_is_on);
        g_test_add_func("/fence/redfish-talk/busy-controller-is-ordered-again",
                        test_busy_controller_is_ordered_again);
        g_test_add_func("/fence/redfish-talk/order-whose-answer-does-not-come",
                        test_order_whose_answer_does_not_come);
        g_test_add_func("/fence/redfish-talk/off-is-no-proof-before-an-order-was-taken",
                        test_off_is_no_proof_before_an_order_was_taken);
        g_test_add_func("/fence/redfish-talk/refusal-while-on-does-not-make-off-a-proof",
                        test_refusal_while_on_does_not_make_off_a_proof);
        g_test_add_func("/fence/redfish-talk/state-that-is-lost-after-the-order-is-no-proof",
                        test_state_that_is_lost_after_the_order_is_no_proof);
        g_test_add_func("/fence/redfish-talk/words-of-the-action-are-honoured",
                        test_words_of_the_action_are_honoured);
        g_test_add_func("/fence/redfish-talk/words-may-stand-in-action-info",
                        test_words_may_stand_in_action_info);
        g_test_add_func("/fence/redfish-talk/answers-that-say-nothing", test_answers_that_say_nothing);
        g_test_add_func("/fence/redfish-talk/redirections-stay-on-the-controller",
                        test_redirections_stay_on_the_controller);
        g_test_add_func("/fence/redfish-talk/redirections-of-each-kind", test_redirections_of_each_kind);
        g_test_add_func("/fence/redfish-talk/redirections-that-lead-somewhere",
                        test_redirections_that_lead_somewhere);
        g_test_add_func("/fence/redfish-talk/redirection-is-for-its-request-only",
                        test_redirection_is_for_its_request_only);
        g_test_add_func("/fence/redfish-talk/systems-are-told-apart", test_systems_are_told_apart);
        g_test_add_func("/fence/redfish-talk/one-of-several-is-never-taken-for-the-only-one",
                        test_one_of_several_is_never_taken_for_the_only_one);
        g_test_add_func("/fence/redfish-talk/certificates-are-not-tried-again",
                        test_certificates_are_not_tried_again);
        g_test_add_func("/fence/redfish-talk/root-that-wants-a-password", test_root_that_wants_a_password);
        return g_test_run();
}
