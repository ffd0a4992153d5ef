/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One action on one server's management controller, as a core: it is given what came of the last step and
 * the time, and says what to send next, how long to wait, or how it ended.
 *
 * A server is off when its PowerState says so after the controller took the order for that, or refused it
 * having said so before; what was answered to the order proves nothing by itself. Whatever cannot change
 * within the time limit (a wrong certificate, a wrong password, a missing right) ends the talk at once, so
 * that the next device is tried sooner and no account is locked; all else is tried again, after pauses that
 * double, until the limit. */

#include <stdbool.h>
#include <stdint.h>

#include "hamgr/fence/action.h"
#include "shared/http.h"

typedef struct RedfishTalk RedfishTalk;

/* What was found out about a controller, for the next talk with it. Zero at first. */
typedef struct RedfishMemory {
        char *sessions; /* owned: where sessions are made */
        char *system;   /* owned: the one ComputerSystem */
        bool no_sessions;
} RedfishMemory;

void redfish_memory_forget(RedfishMemory *m);

/* All borrowed, for as long as the talk lasts. */
typedef struct RedfishSettings {
        FenceAction action;
        const char *authority; /* host and port of the controller, as in URLs */
        const char *username, *password;
        const char *system; /* path; NULL: the only one */
        uint64_t timeout_usec;
} RedfishSettings;

typedef enum RedfishStepType {
        REDFISH_STEP_SEND,
        REDFISH_STEP_WAIT,
        REDFISH_STEP_END,
} RedfishStepType;

/* Texts live until the next call. */
typedef struct RedfishStep {
        RedfishStepType type;

        const char *method, *path, *body; /* send; the body holds the password when a session is made */
        const char *token;                /* of the session; NULL: none */
        bool basic;                       /* with name and password */
        bool fresh;                       /* on a new connection */
        uint64_t timeout_usec;

        uint64_t until_usec; /* wait */

        FenceVerdict verdict; /* end */
        const char *text;     /* what it found, or what went wrong */
} RedfishStep;

typedef struct RedfishAnswer {
        const HttpResult *http;
        const char *token, *location; /* headers; NULL: not there */
} RedfishAnswer;

/* memory is borrowed. */
RedfishTalk *redfish_talk_new(const RedfishSettings *settings, RedfishMemory *memory, uint64_t now_usec);
RedfishTalk *redfish_talk_free(RedfishTalk *t);
DEFINE_TRIVIAL_CLEANUP(RedfishTalk *, redfish_talk_free);

/* The first step, and the one after a wait. */
void redfish_talk_go_on(RedfishTalk *t, uint64_t now_usec, RedfishStep *ret);
/* The step after an answer, or after a request that came to nothing. */
void redfish_talk_take(RedfishTalk *t, uint64_t now_usec, const RedfishAnswer *answer, RedfishStep *ret);

/* The request that ends the session, if one is open: controllers have few of them. */
bool redfish_talk_farewell(RedfishTalk *t, RedfishStep *ret);
