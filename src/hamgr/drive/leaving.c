/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Two things are asked: whether the machine shuts down (systemd says "stopping" as soon as the job for it is
 * queued), and what the job of our own unit is. */

#include <errno.h>

#include "basic/time-util.h"
#include "hamgr/drive/internal.h"
#include "shared/bus-util.h"
#include "shared/event-util.h"

#define QUESTION_TIMEOUT_USEC (2 * USEC_PER_SEC)

struct Question {
        Drive *drive; /* weak */
        QuestionHandler handler;
        void *userdata;

        LinkCall *ask_state;
        LinkCall *ask_job;
        bool has_state, has_job;
        bool failed;
        bool stopping;
        DriveLeaving by_job;
        sd_event_source *timer; /* owned */
};

Question *question_free(Question *q) {
        if (!q)
                return NULL;
        link_cancel(&q->ask_state);
        link_cancel(&q->ask_job);
        sd_event_source_disable_unref(q->timer);
        g_free(q);
        return NULL;
}

static int on_answer_due(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Question *q = userdata;
        DriveLeaving answer = DRIVE_LEAVING_UNKNOWN;

        if (q->stopping)
                answer = DRIVE_LEAVING_SHUTDOWN;
        else if (!q->failed && q->has_state && q->has_job)
                answer = q->by_job;
        q->handler(answer, q->userdata);
        return 0;
}

/* The answer is given by the timer, always: never from within the call that asked. */
static void answer_if_complete(Question *q) {
        if (q->stopping || q->failed || (q->has_state && q->has_job))
                (void) event_timer_in(q->timer, 0);
}

static void on_state(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Question *q = userdata;
        const char *state;

        if (error || sd_bus_message_read(reply, "v", "s", &state) < 0)
                q->failed = true;
        else
                q->stopping = streq(state, "stopping");
        q->has_state = true;
        answer_if_complete(q);
}

static void on_job(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Question *q = userdata;
        UnitRow row;

        q->has_job = true;
        q->by_job = DRIVE_LEAVING_NOT;
        if (error || sd_bus_message_enter_container(reply, 'a', "(ssssssouso)") < 0)
                q->failed = true;
        else if (unit_row_read(reply, &row) > 0 && row.job_id != 0) {
                if (streq(row.job_type, "stop"))
                        q->by_job = DRIVE_LEAVING_STOP;
                else if (streq(row.job_type, "restart") || streq(row.job_type, "try-restart"))
                        q->by_job = DRIVE_LEAVING_RESTART;
        }
        answer_if_complete(q);
}

static int ask(Question *q) {
        Link *l = q->drive->link;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = link_call(l,
                      &q->ask_job,
                      on_job,
                      q,
                      BUS_CALL_TIMEOUT_USEC,
                      "ListUnitsByNames",
                      "as",
                      1,
                      q->drive->own_unit);
        if (r < 0)
                return r;
        r = link_message_new(l, SYSTEMD_PATH, BUS_PROPERTIES, "Get", &m);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "ss", SYSTEMD_MANAGER, "SystemState");
        if (r < 0)
                return r;
        return link_send(l, m, &q->ask_state, on_state, q, BUS_CALL_TIMEOUT_USEC);
}

Question *question_new(Drive *d, QuestionHandler handler, void *userdata) {
        Question *q = g_new(Question, 1);

        *q = (Question){ .drive = d, .handler = handler, .userdata = userdata };
        if (event_timer_new(d->event, "drive-question", on_answer_due, q, &q->timer) < 0)
                return question_free(q);
        if (ask(q) < 0)
                q->failed = true;
        (void) event_timer_in(q->timer, q->failed ? 0 : QUESTION_TIMEOUT_USEC);
        return q;
}

/* ---- What others may ask ---- */

static void on_leaving_answered(DriveLeaving answer, void *userdata) {
        Drive *d = userdata;

        d->leaving_question = question_free(d->leaving_question);
        d->leaving_handler(d, answer, d->leaving_userdata);
}

int drive_query_leaving(Drive *d, DriveLeavingHandler handler, void *userdata) {
        if (d->leaving_question)
                return -EBUSY;
        d->leaving_handler = handler;
        d->leaving_userdata = userdata;
        d->leaving_question = question_new(d, on_leaving_answered, d);
        return d->leaving_question ? 0 : -ENOMEM;
}

void drive_set_leaving(Drive *d, bool leaving) {
        d->leaving = leaving;
}
