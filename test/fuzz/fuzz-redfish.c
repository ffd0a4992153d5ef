/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a management controller answers: each line of the input is one answer, its first bytes being the
 * status and whether it is an answer at all. Whatever it says, the talk ends, in time, and no state is made
 * up. */

#include <stdlib.h>
#include <string.h>

#include "basic/time-util.h"
#include "fuzz/fuzz.h"
#include "hamgr/fence/redfish-talk.h"

#define STEPS_MAX 100000U

typedef struct Answers {
        const char *text;
        size_t left;
} Answers;

/* A server is proven off only when the controller has taken an order, or refused it in so many words. */
static bool takes_order(const RedfishStep *step, unsigned status) {
        static const unsigned statuses[] = { 200, 201, 204, 400, 409, 500 };

        if (!step->body || !strstr(step->body, "ForceOff"))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(statuses); i++)
                if (statuses[i] == status)
                        return true;
        return false;
}

/* The next line; an empty one when there is none. */
static const char *next_line(Answers *a, size_t *ret_length) {
        const char *line = a->text, *end = memchr(line, '\n', a->left);

        *ret_length = end ? (size_t) (end - line) : a->left;
        a->text += *ret_length + (end ? 1 : 0);
        a->left -= *ret_length + (end ? 1 : 0);
        return line;
}

/* Returns whether it was the answer of one that took the order. */
static bool take_line(RedfishTalk *t, Answers *a, uint64_t now_usec, RedfishStep *step) {
        static const unsigned statuses[] = { 200, 201, 204, 301, 400, 401, 403, 404, 409, 500, 503 };
        size_t length;
        const char *line = next_line(a, &length);
        unsigned kind = length > 0 ? (unsigned char) line[0] : 0;
        _cleanup_free_ char *body = strndup(length > 0 ? line + 1 : "", length > 0 ? length - 1 : 0);
        HttpResult http = { .end = HTTP_ANSWERED, .status = statuses[kind % ELEMENTSOF(statuses)] };
        RedfishAnswer answer = { .http = &http };
        bool taken;

        assert(body);
        http.body = body;
        http.body_bytes = strlen(body);
        if (kind >= 'a')
                answer.token = answer.location = body;
        if (kind < ' ')
                http = (HttpResult){ .end = HTTP_NOT_CONNECTED + kind % HTTP_IMPOSSIBLE, .error = "failed" };
        taken = http.end == HTTP_ANSWERED && takes_order(step, http.status);
        redfish_talk_take(t, now_usec, &answer, step);
        return taken;
}

static void talk(FenceAction action, const char *text, size_t size) {
        const RedfishSettings settings = {
                .action = action,
                .authority = "10.9.0.1:443",
                .username = "admin",
                .password = "s3cr3t",
                .timeout_usec = 10 * USEC_PER_SEC,
        };
        /* In plain letters, or escaped. */
        bool says_off = memmem(text, size, "Off", 3) || memchr(text, '\\', size);
        Answers a = { .text = text, .left = size };
        uint64_t now_usec = 1, end_usec = usec_add(now_usec, settings.timeout_usec);
        RedfishMemory memory = {};
        RedfishTalk *t = redfish_talk_new(&settings, &memory, now_usec);
        RedfishStep step;
        bool taken = false;

        redfish_talk_go_on(t, now_usec, &step);
        for (unsigned i = 0; step.type != REDFISH_STEP_END; i++) {
                assert(i < STEPS_MAX);
                assert(now_usec <= end_usec);
                if (step.type == REDFISH_STEP_SEND) {
                        assert(step.path[0] == '/');
                        now_usec = MIN(usec_add(now_usec, USEC_PER_MSEC), end_usec);
                        taken = take_line(t, &a, now_usec, &step) || taken;
                } else {
                        assert(step.until_usec >= now_usec);
                        now_usec = step.until_usec;
                        redfish_talk_go_on(t, now_usec, &step);
                }
        }
        assert(step.verdict != FENCE_VERDICT_IS_OFF || says_off);
        assert(step.verdict != FENCE_VERDICT_IS_OFF || action != FENCE_ACTION_OFF || taken);
        assert(action != FENCE_ACTION_STATUS || step.verdict != FENCE_VERDICT_DONE);
        assert(strlen(step.text) > 0);
        (void) redfish_talk_farewell(t, &step);
        redfish_talk_free(t);
        redfish_memory_forget(&memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        for (FenceAction action = 0; action < _FENCE_ACTION_MAX; action++)
                talk(action, (const char *) data, size);
        return 0;
}

/* ',' is 200, '-' 201, '.' 204, '1' 401. */
void fuzz_seeds(FuzzSeeds *s) {
        static const char *const texts[] = {
                ",{\"Systems\":{\"@odata.id\":\"/redfish/v1/"
                "Systems\"},\"Links\":{\"Sessions\":{\"@odata.id\":"
                "\"/redfish/v1/SessionService/Sessions\"}}}\n"
                "c/redfish/v1/SessionService/Sessions/1\n"
                ",{\"Members\":[{\"@odata.id\":\"/redfish/v1/Systems/1\"}]}\n"
                ",{\"PowerState\":\"On\",\"Actions\":{\"#ComputerSystem.Reset\":{\"target\":\"/x\","
                "\"@Redfish.ActionInfo\":\"/y\"}}}\n"
                ",{\"Parameters\":[{\"Name\":\"ResetType\",\"AllowableValues\":[\"On\",\"ForceOff\"]}]}\n"
                ".\n"
                "1{\"error\":{\"message\":\"over\"}}\n"
                "c/redfish/v1/SessionService/Sessions/2\n"
                ",{\"PowerState\":\"Off\"}\n",
                "",
                "\x01\n\x02\n/{}\n",
        };

        FOREACH_ARRAY(text, texts, ELEMENTSOF(texts))
                fuzz_seed(s, *text, strlen(*text));
}
