/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each device in turn: look, then status. */

#include "hamgr/fence/ask.h"

#include <glib.h>

#include "basic/time-util.h"
#include "hamgr/fence/device.h"
#include "shared/event-util.h"

/* Whoever asked sits there and waits. */
#define ASK_TIMEOUT_USEC (10 * USEC_PER_SEC)

struct FenceAsk {
        sd_event *event;         /* ref */
        const ClusterConf *conf; /* weak */
        uint32_t node_id;
        FenceAskHandler handler;
        void *userdata;

        size_t i_device; /* in conf: the one being asked */
        uint64_t begun_usec;
        FenceDevice *device;   /* owned: of it */
        FenceRun *run;         /* owned */
        sd_event_source *next; /* ref: the next is begun, outside of what the last one called */
        FenceAnswer answers[CLUSTER_FENCE_DEVICES_MAX];
        size_t n_answers;
};

static void forget_device(FenceAsk *a) {
        a->run = fence_run_free(a->run);
        a->device = fence_device_free(a->device);
}

static void answer(FenceAsk *a, const char *state, const char *error) {
        const ClusterFence *conf = &a->conf->fences[a->i_device];

        a->answers[a->n_answers++] = (FenceAnswer){
                .device = conf->name,
                .level = conf->level,
                .state = state,
                .error = g_strdup(error),
                .taken_usec = usec_sub(now_boottime_usec(), a->begun_usec),
        };
        a->i_device++;
        (void) event_defer_arm(a->next);
}

static void on_status(FenceRun *run, FenceVerdict verdict, const char *text, void *userdata) {
        FenceAsk *a = userdata;

        if (verdict == FENCE_VERDICT_IS_OFF)
                answer(a, "off", "");
        else if (verdict == FENCE_VERDICT_IS_ON)
                answer(a, "on", "");
        else
                answer(a, "", text);
}

static void on_looked(FenceDevice *d, void *userdata) {
        FenceAsk *a = userdata;
        int r;

        if (!fence_device_is_ready(d)) {
                answer(a, "", fence_device_error(d));
                return;
        }
        r = fence_device_run(
                        d,
                        FENCE_ACTION_STATUS,
                        a->node_id,
                        MIN(fence_device_conf(d)->timeout_usec, ASK_TIMEOUT_USEC),
                        on_status,
                        a,
                        &a->run);
        if (r < 0)
                answer(a, "", g_strerror(-r));
}

static int on_next(sd_event_source *source, void *userdata) {
        FenceAsk *a = userdata;
        int r;

        forget_device(a);
        while (a->i_device < a->conf->n_fences &&
               !cluster_fence_plug(&a->conf->fences[a->i_device], a->node_id))
                a->i_device++;
        if (a->i_device >= a->conf->n_fences) {
                a->handler(a, a->answers, a->n_answers, a->userdata);
                return 0;
        }
        a->begun_usec = now_boottime_usec();
        a->device = fence_device_new(a->event, &a->conf->fences[a->i_device], on_looked, a);
        r = fence_device_look(a->device);
        if (r < 0)
                answer(a, "", g_strerror(-r));
        return 0;
}

int fence_ask_new(
                sd_event *event,
                const ClusterConf *conf,
                uint32_t node_id,
                FenceAskHandler handler,
                void *userdata,
                FenceAsk **ret) {
        _cleanup_(fence_ask_freep) FenceAsk *a = g_new0(FenceAsk, 1);
        int r;

        a->event = sd_event_ref(event);
        a->conf = conf;
        a->node_id = node_id;
        a->handler = handler;
        a->userdata = userdata;
        r = event_defer_new(event, "fence-ask", on_next, a, &a->next);
        if (r >= 0)
                r = event_defer_arm(a->next);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

FenceAsk *fence_ask_free(FenceAsk *a) {
        if (!a)
                return NULL;
        forget_device(a);
        sd_event_source_disable_unref(a->next);
        FOREACH_ARRAY(i, a->answers, a->n_answers)
                g_free((char *) i->error);
        sd_event_unref(a->event);
        g_free(a);
        return NULL;
}
