/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A request walks over the devices of its node, level by level:
 *
 *     LOOK (only if the device is not ready) -> OFF, one device of the level after the other
 *       -> STATUS, one after the other again  -> all are off: confirmed off
 *     a device failed: on with the next level; none left: failed
 *
 * A server with two power supplies is off when both are, so that what was asked about one before the other
 * was ordered off would prove nothing.
 *
 * STATUS is passed over where OFF itself has asked for the state, after the order, as Redfish does, and the
 * device is alone in its level. OFF and
 * STATUS are tried again after a pause while the device's time limit allows it. An `on` that follows is a
 * job of its own: the request is over by then. */

#include <glib.h>

#include "basic/time-util.h"
#include "hamgr/fence/device.h"
#include "hamgr/fence/fence.h"
#include "shared/event-util.h"

#define OFF_ATTEMPTS_MAX 2U
#define STATUS_ATTEMPTS_MAX 3U
#define RETRY_USEC (200 * USEC_PER_MSEC)

typedef enum Phase {
        PHASE_NEXT_DEVICE,
        PHASE_LOOK,
        PHASE_OFF,
        PHASE_STATUS,
        PHASE_DONE,
} Phase;

/* Asks the device at an interval. */
typedef struct HealthCheck {
        Fence *fence;           /* weak */
        FenceDevice *device;    /* weak */
        sd_event_source *timer; /* ref */
        bool due;               /* an agent is asked only then, and not when hamgr starts */
        bool failed;            /* it was needed, and did not do it: its files may be of before */
} HealthCheck;

struct Fence {
        sd_event *event;         /* ref */
        const ClusterConf *conf; /* weak */
        GPtrArray *devices;      /* of owned FenceDevice, by level */
        HealthCheck *checks;     /* owned, one for each of them */
        GPtrArray *requests;     /* of weak FenceRequest */
        GPtrArray *power_ons;    /* of owned PowerOn */

        FenceDeviceHandler on_device;
        FencePowerOnHandler on_power_on;
        FenceIsUpHandler is_up;
        void *userdata;
};

struct FenceRequest {
        Fence *fence; /* weak */
        uint32_t node_id;
        FenceResultHandler handler;
        void *userdata;

        Phase phase;
        size_t i_level;   /* first device of the level, */
        size_t i_device;  /* and the one being tried, or to be tried */
        bool asking;      /* all of the level were ordered off */
        uint32_t ordered; /* bits of the devices that took the order, in whatever level */
        unsigned n_off, n_status;
        uint64_t started_usec, deadline_usec;          /* the deadline is that of this device, */
        uint64_t left_usec[CLUSTER_FENCE_DEVICES_MAX]; /* which has so much left when it is asked */

        FenceRun *run;          /* owned */
        sd_event_source *timer; /* ref: begins the phase, now or after a pause */
        GString *reason;        /* owned */
};

typedef struct PowerOn {
        Fence *fence;        /* weak */
        FenceDevice *device; /* weak */
        uint32_t node_id;

        FenceRun *run;          /* owned */
        sd_event_source *begin; /* ref: after the result has been told */
} PowerOn;

/* ---- Switching on again ---- */

static void power_on_free(void *p) {
        PowerOn *job = p;

        fence_run_free(job->run);
        sd_event_source_disable_unref(job->begin);
        g_free(job);
}

static void power_on_finish(PowerOn *job, const char *error) {
        Fence *f = job->fence;
        uint32_t node_id = job->node_id;
        const char *device = fence_device_conf(job->device)->name;

        (void) g_ptr_array_remove(f->power_ons, job);
        if (f->on_power_on)
                f->on_power_on(node_id, device, error, f->userdata);
}

static void on_power_on_end(FenceRun *run, FenceVerdict verdict, const char *text, void *userdata) {
        power_on_finish(userdata, verdict == FENCE_VERDICT_DONE ? NULL : text);
}

static int on_power_on_begin(sd_event_source *s, void *userdata) {
        PowerOn *job = userdata;
        const ClusterFence *conf = fence_device_conf(job->device);
        int r = -EAGAIN;

        if (fence_device_is_ready(job->device))
                r = fence_device_run(
                                job->device,
                                FENCE_ACTION_ON,
                                job->node_id,
                                conf->timeout_usec,
                                on_power_on_end,
                                job,
                                &job->run);
        if (r < 0) {
                g_autofree char *error = g_strdup_printf("cannot begin \"on\": %s", g_strerror(-r));

                power_on_finish(job, error);
        }
        return 0;
}

static void power_on_schedule(Fence *f, FenceDevice *device, uint32_t node_id) {
        PowerOn *job = g_new0(PowerOn, 1);

        job->fence = f;
        job->device = device;
        job->node_id = node_id;
        g_ptr_array_add(f->power_ons, job);

        if (event_defer_new(f->event, "fence-power-on", on_power_on_begin, job, &job->begin) < 0 ||
            event_defer_arm(job->begin) < 0)
                (void) g_ptr_array_remove(f->power_ons, job);
}

/* A node about to be switched off must not be switched on by what was begun before. */
static void power_on_cancel(Fence *f, uint32_t node_id) {
        for (guint i = f->power_ons->len; i > 0; i--) {
                PowerOn *job = g_ptr_array_index(f->power_ons, i - 1);

                if (job->node_id == node_id)
                        (void) g_ptr_array_remove_index(f->power_ons, i - 1);
        }
}

/* ---- Health checks ---- */

/* Up to a quarter sooner, so that nodes that started together do not ask together. */
static void schedule_check(HealthCheck *c) {
        uint64_t interval_usec = fence_device_conf(c->device)->check_usec;

        c->due = false;
        if (interval_usec > 0)
                (void) event_timer_in(
                                c->timer,
                                interval_usec - (uint64_t) (g_random_double() * (double) interval_usec / 4));
}

static HealthCheck *check_of(Fence *f, const FenceDevice *d) {
        for (guint i = 0; i < f->devices->len; i++)
                if (f->checks[i].device == d)
                        return &f->checks[i];
        ASSERT_NOT_REACHED();
}

static void tell_device(Fence *f, FenceDevice *d, const char *error) {
        schedule_check(check_of(f, d));
        if (f->on_device)
                f->on_device(fence_device_conf(d)->name, error, f->userdata);
}

/* ---- Requests ---- */

static FenceDevice *request_device(const FenceRequest *r) {
        return g_ptr_array_index(r->fence->devices, r->i_device);
}

static const ClusterFence *device_conf_at(const FenceRequest *r, size_t i) {
        return fence_device_conf(g_ptr_array_index(r->fence->devices, i));
}

/* The next device of the node, from i on; the number of devices: there is none. */
static size_t find_device(const FenceRequest *r, size_t i) {
        while (i < r->fence->devices->len && !cluster_fence_plug(device_conf_at(r, i), r->node_id))
                i++;
        return i;
}

/* What find_device() found. */
static bool is_in_level(const FenceRequest *r, size_t i) {
        return i < r->fence->devices->len &&
               device_conf_at(r, i)->level == device_conf_at(r, r->i_level)->level;
}

static bool is_alone_in_level(const FenceRequest *r) {
        return r->i_device == r->i_level && !is_in_level(r, find_device(r, r->i_device + 1));
}

/* Those of a level that failed in its middle, too: a server gets both its supplies back. */
static void power_on_what_was_ordered_off(const FenceRequest *r) {
        for (size_t i = 0; i < r->fence->devices->len; i++)
                if (r->ordered & (UINT32_C(1) << i) && device_conf_at(r, i)->power_on)
                        power_on_schedule(r->fence, g_ptr_array_index(r->fence->devices, i), r->node_id);
}

static void request_finish(FenceRequest *r, bool confirmed_off) {
        g_autoptr(GString) devices = g_string_new(NULL);
        FenceResult result = {
                .node_id = r->node_id,
                .confirmed_off = confirmed_off,
                .reason = r->reason->str,
                .duration_usec = usec_sub(now_boottime_usec(), r->started_usec),
        };

        r->phase = PHASE_DONE;
        r->timer = sd_event_source_disable_unref(r->timer);
        if (confirmed_off) {
                for (size_t i = r->i_level; is_in_level(r, i); i = find_device(r, i + 1))
                        g_string_append_printf(
                                        devices,
                                        "%s%s",
                                        devices->len > 0 ? ", " : "",
                                        device_conf_at(r, i)->name);
                result.device = devices->str;
                power_on_what_was_ordered_off(r);
        }
        r->handler(r, &result, r->userdata);
}

/* Goes on with the phase after the delay. The loop calls us then, so handlers never run inside a caller of
 * ours. */
static void request_go(FenceRequest *r, Phase phase, uint64_t delay_usec) {
        r->phase = phase;
        (void) event_timer_in(r->timer, delay_usec);
}

static _printf_(2, 3) void request_device_failed(FenceRequest *r, const char *format, ...) {
        va_list ap;

        if (r->reason->len > 0)
                g_string_append(r->reason, "; ");
        g_string_append_printf(r->reason, "%s: ", fence_device_conf(request_device(r))->name);
        va_start(ap, format);
        g_string_append_vprintf(r->reason, format, ap);
        va_end(ap);

        r->fence->checks[r->i_device].failed = true;
        do
                r->i_device = find_device(r, r->i_device + 1);
        while (is_in_level(r, r->i_device));
        r->i_level = r->i_device;
        r->asking = false;
        request_go(r, PHASE_NEXT_DEVICE, 0);
}

/* This device has done what it was there for. */
static void request_go_on(FenceRequest *r) {
        r->left_usec[r->i_device] = usec_sub(r->deadline_usec, now_boottime_usec());
        r->i_device = find_device(r, r->i_device + 1);
        if (!is_in_level(r, r->i_device)) {
                if (r->asking) {
                        request_finish(r, true);
                        return;
                }
                r->asking = true;
                r->i_device = r->i_level;
        }
        request_go(r, PHASE_NEXT_DEVICE, 0);
}

/* Is there time for a pause and another attempt on this device? */
static bool request_may_retry(const FenceRequest *r) {
        return usec_add(now_boottime_usec(), 2 * RETRY_USEC) < r->deadline_usec;
}

static void on_off_end(FenceRequest *r, FenceVerdict verdict, const char *text) {
        if (verdict == FENCE_VERDICT_IS_OFF || verdict == FENCE_VERDICT_DONE) {
                r->ordered |= UINT32_C(1) << r->i_device;
                if (verdict == FENCE_VERDICT_IS_OFF && is_alone_in_level(r))
                        request_finish(r, true);
                else
                        request_go_on(r);
        } else if (verdict == FENCE_VERDICT_FAILED && r->n_off < OFF_ATTEMPTS_MAX && request_may_retry(r))
                request_go(r, PHASE_OFF, RETRY_USEC);
        else
                request_device_failed(r, "%s", text);
}

static void on_status_end(FenceRequest *r, FenceVerdict verdict, const char *text) {
        if (verdict == FENCE_VERDICT_IS_OFF)
                request_go_on(r);
        else if (verdict != FENCE_VERDICT_GAVE_UP && r->n_status < STATUS_ATTEMPTS_MAX &&
                 request_may_retry(r))
                request_go(r, PHASE_STATUS, RETRY_USEC);
        else if (verdict == FENCE_VERDICT_IS_ON)
                request_device_failed(
                                r,
                                "\"off\" said that it worked, but \"status\" says that the node is still on "
                                "(asked %u times)",
                                r->n_status);
        else
                request_device_failed(
                                r, "\"off\" said that it worked, but it cannot be confirmed: %s", text);
}

static void on_action_end(FenceRun *run, FenceVerdict verdict, const char *text, void *userdata) {
        FenceRequest *r = userdata;

        /* The handler of the request may free it, and text lives in what called us. */
        _cleanup_(fence_run_freep) _unused_ FenceRun *ended = TAKE_PTR(r->run);

        if (r->phase == PHASE_OFF)
                on_off_end(r, verdict, text);
        else
                on_status_end(r, verdict, text);
}

static void request_run(FenceRequest *r, FenceAction action) {
        FenceDevice *d = request_device(r);
        uint64_t left_usec = usec_sub(r->deadline_usec, now_boottime_usec());
        int k;

        if (left_usec == 0) {
                request_device_failed(
                                r,
                                "its time limit passed before \"%s\" could run",
                                fence_action_to_string(action));
                return;
        }
        if (!fence_device_is_ready(d)) { /* looked at again meanwhile, and found unusable */
                request_device_failed(r, "%s", strna(fence_device_error(d)));
                return;
        }

        k = fence_device_run(d, action, r->node_id, left_usec, on_action_end, r, &r->run);
        if (k < 0)
                request_device_failed(
                                r,
                                "cannot begin \"%s\": %s",
                                fence_action_to_string(action),
                                g_strerror(-k));
}

/* After a failure, and not each time: nothing waits for a disk while what is known works. False: it cannot
 * be used any more. */
static bool request_reread(FenceRequest *r, FenceDevice *d) {
        HealthCheck *c = &r->fence->checks[r->i_device];

        if (!c->failed || !fence_device_is_ready(d))
                return true;
        c->failed = false;
        fence_device_reread(d);
        if (fence_device_is_ready(d))
                return true;
        tell_device(r->fence, d, fence_device_error(d));
        request_device_failed(r, "%s", fence_device_error(d));
        return false;
}

static void request_try_device(FenceRequest *r) {
        FenceDevice *d;
        int k;

        if (r->i_device >= r->fence->devices->len) {
                if (r->reason->len == 0)
                        g_string_append_printf(
                                        r->reason,
                                        "no fence device is configured for node %s",
                                        strna(cluster_conf_node_name(r->fence->conf, r->node_id)));
                request_finish(r, false);
                return;
        }

        r->n_off = r->n_status = 0;
        if (r->asking) {
                r->deadline_usec = usec_add(now_boottime_usec(), r->left_usec[r->i_device]);
                request_go(r, PHASE_STATUS, 0);
                return;
        }
        d = request_device(r);
        if (fence_device_stop_probe(d))
                schedule_check(&r->fence->checks[r->i_device]);
        if (!request_reread(r, d))
                return;
        r->deadline_usec = usec_add(now_boottime_usec(), fence_device_conf(d)->timeout_usec);
        if (fence_device_is_ready(d)) {
                request_go(r, PHASE_OFF, 0);
                return;
        }

        r->phase = PHASE_LOOK;
        k = fence_device_look(d);
        if (k < 0)
                request_device_failed(r, "cannot look at the device: %s", g_strerror(-k));
}

static int on_request_timer(sd_event_source *s, uint64_t due_usec, void *userdata) {
        FenceRequest *r = userdata;

        switch (r->phase) {
        case PHASE_NEXT_DEVICE:
                request_try_device(r);
                break;
        case PHASE_OFF:
                r->n_off++;
                request_run(r, FENCE_ACTION_OFF);
                break;
        case PHASE_STATUS:
                r->n_status++;
                request_run(r, FENCE_ACTION_STATUS);
                break;
        case PHASE_LOOK:
        case PHASE_DONE:
                break;
        }
        return 0;
}

int fence_request_new(
                Fence *f, uint32_t node_id, FenceResultHandler handler, void *userdata, FenceRequest **ret) {
        _cleanup_(fence_request_freep) FenceRequest *r = NULL;
        int k;

        for (guint i = 0; i < f->requests->len; i++) {
                const FenceRequest *other = g_ptr_array_index(f->requests, i);

                if (other->node_id == node_id && other->phase != PHASE_DONE)
                        return -EBUSY;
        }

        r = g_new0(FenceRequest, 1);
        r->fence = f;
        r->node_id = node_id;
        r->handler = handler;
        r->userdata = userdata;
        r->started_usec = now_boottime_usec();
        r->reason = g_string_new(NULL);
        r->i_level = r->i_device = find_device(r, 0);
        g_ptr_array_add(f->requests, r);

        k = event_timer_new(f->event, "fence-request", on_request_timer, r, &r->timer);
        if (k < 0)
                return k;

        power_on_cancel(f, node_id);
        request_go(r, PHASE_NEXT_DEVICE, 0);
        *ret = TAKE_PTR(r);
        return 0;
}

FenceRequest *fence_request_free(FenceRequest *r) {
        if (!r)
                return NULL;

        (void) g_ptr_array_remove(r->fence->requests, r);
        fence_run_free(r->run);
        sd_event_source_disable_unref(r->timer);
        (void) g_string_free(r->reason, TRUE);
        g_free(r);
        return NULL;
}

/* ---- All devices ---- */

static void on_device_probed(FenceDevice *d, const char *trouble, void *userdata) {
        tell_device(userdata, d, trouble);
}

static bool is_up(uint32_t node_id, void *userdata) {
        const Fence *f = userdata;

        return f->is_up && f->is_up(node_id, f->userdata);
}

static bool is_to_be_asked(const HealthCheck *c) {
        return fence_device_is_ready(c->device) &&
               (c->due || fence_device_conf(c->device)->type == CLUSTER_FENCE_REDFISH);
}

static bool is_in_use(const Fence *f, const FenceDevice *d) {
        for (guint i = 0; i < f->power_ons->len; i++) {
                const PowerOn *job = g_ptr_array_index(f->power_ons, i);

                if (job->device == d)
                        return true;
        }
        for (guint i = 0; i < f->requests->len; i++) {
                const FenceRequest *r = g_ptr_array_index(f->requests, i);

                if (r->phase != PHASE_DONE && r->i_device < f->devices->len && request_device(r) == d)
                        return true;
        }
        return false;
}

/* Nobody in need is kept waiting by a probe. */
static void on_device_looked(FenceDevice *d, void *userdata) {
        Fence *f = userdata;
        bool needed = is_in_use(f, d);

        for (guint i = 0; i < f->requests->len; i++) {
                FenceRequest *r = g_ptr_array_index(f->requests, i);

                if (r->phase != PHASE_LOOK || request_device(r) != d)
                        continue;
                if (fence_device_is_ready(d))
                        request_go(r, PHASE_OFF, 0);
                else
                        request_device_failed(r, "%s", fence_device_error(d));
        }

        if (needed || !is_to_be_asked(check_of(f, d)) ||
            fence_device_probe(d, is_up, on_device_probed, f) < 0)
                tell_device(f, d, fence_device_error(d));
}

/* An agent that is ready stays so while it is asked, if its files are; what Redfish needs is looked at in no
 * time. */
static int begin_check(HealthCheck *c) {
        FenceDevice *d = c->device;

        c->due = true;
        if (!fence_device_is_ready(d) || fence_device_conf(d)->type != CLUSTER_FENCE_AGENT)
                return fence_device_look(d);
        fence_device_reread(d);
        if (fence_device_is_ready(d))
                return fence_device_probe(d, is_up, on_device_probed, c->fence);
        tell_device(c->fence, d, fence_device_error(d));
        return 0;
}

static int on_check_timer(sd_event_source *source, uint64_t due_usec, void *userdata) {
        HealthCheck *c = userdata;

        if (is_in_use(c->fence, c->device) || begin_check(c) < 0)
                schedule_check(c);
        return 0;
}

static void device_destroy(void *p) {
        fence_device_free(p);
}

int fence_new(sd_event *event, const ClusterConf *conf, Fence **ret) {
        _cleanup_(fence_freep) Fence *f = g_new0(Fence, 1);
        int r;

        f->event = sd_event_ref(event);
        f->conf = conf;
        f->devices = g_ptr_array_new_with_free_func(device_destroy);
        f->requests = g_ptr_array_new();
        f->power_ons = g_ptr_array_new_with_free_func(power_on_free);
        f->checks = g_new0(HealthCheck, conf->n_fences);
        for (size_t i = 0; i < conf->n_fences; i++) {
                HealthCheck *c = &f->checks[i];

                g_ptr_array_add(f->devices, fence_device_new(event, &conf->fences[i], on_device_looked, f));
                c->fence = f;
                c->device = g_ptr_array_index(f->devices, i);
                r = event_timer_new(event, "fence-check", on_check_timer, c, &c->timer);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(f);
        return 0;
}

Fence *fence_free(Fence *f) {
        if (!f)
                return NULL;

        assert(f->requests->len == 0);
        (void) g_ptr_array_free(f->requests, TRUE);
        (void) g_ptr_array_free(f->power_ons, TRUE);
        for (guint i = 0; i < f->devices->len; i++)
                sd_event_source_disable_unref(f->checks[i].timer);
        g_free(f->checks);
        (void) g_ptr_array_free(f->devices, TRUE);
        sd_event_unref(f->event);
        g_free(f);
        return NULL;
}

bool fence_is_idle(const Fence *f) {
        return f->requests->len == 0 && f->power_ons->len == 0;
}

void fence_set_handlers(
                Fence *f,
                FenceDeviceHandler on_device,
                FencePowerOnHandler on_power_on,
                FenceIsUpHandler is_node_up,
                void *userdata) {
        f->on_device = on_device;
        f->on_power_on = on_power_on;
        f->is_up = is_node_up;
        f->userdata = userdata;
}

int fence_load(Fence *f) {
        for (guint i = 0; i < f->devices->len; i++) {
                int r = fence_device_look(g_ptr_array_index(f->devices, i));

                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- hactl check ---- */

typedef struct Check {
        uint32_t self;
        char *error; /* owned */
        bool done;
        uint64_t farewell_usec; /* sessions are ended until then, and no longer */
} Check;

#define CHECK_FAREWELL_USEC (2 * USEC_PER_SEC)

static void check_end(Check *c, const char *error) {
        c->error = g_strdup(error);
        c->done = true;
        c->farewell_usec = usec_add(now_boottime_usec(), CHECK_FAREWELL_USEC);
}

static bool is_self(uint32_t node_id, void *userdata) {
        const Check *c = userdata;

        return node_id == c->self;
}

static void on_check_probed(FenceDevice *d, const char *trouble, void *userdata) {
        check_end(userdata, trouble);
}

static void on_checked(FenceDevice *d, void *userdata) {
        if (!fence_device_is_ready(d))
                check_end(userdata, fence_device_error(d));
        else if (fence_device_probe(d, is_self, on_check_probed, userdata) < 0)
                check_end(userdata, "the device could not be asked");
}

static int check_on(sd_event *event, FenceDevice *d, Check *c) {
        int r = fence_device_look(d);

        while (r >= 0 && !c->done)
                r = sd_event_run(event, UINT64_MAX);
        while (r >= 0 && !fence_device_is_quiet(d) && now_boottime_usec() < c->farewell_usec)
                r = sd_event_run(event, CHECK_FAREWELL_USEC);
        return MIN(r, 0);
}

char *fence_check_files(const ClusterFence *device) {
        return fence_device_check_files(device);
}

int fence_check(const ClusterFence *device, uint32_t self, char error[static FENCE_ERROR_MAX]) {
        sd_event *event = NULL;
        FenceDevice *d = NULL;
        Check c = { .self = self };
        int r;

        r = sd_event_new(&event);
        if (r < 0)
                return r;

        d = fence_device_new(event, device, on_checked, &c);
        r = check_on(event, d, &c);
        if (r >= 0 && c.error) {
                (void) g_snprintf(error, FENCE_ERROR_MAX, "fence device %s: %s", device->name, c.error);
                r = -EINVAL;
        }
        g_free(c.error);
        fence_device_free(d);
        sd_event_unref(event);
        return r;
}
