/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The object: feeds the sequence of each group and carries out its effects; events for the owner wait in a
 * queue and are delivered from the loop, so that orders may be given from within the handler. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include <systemd/sd-login.h>

#include "basic/parse.h"
#include "basic/time-util.h"
#include "hamgr/drive/guard-list.h"
#include "hamgr/drive/internal.h"
#include "shared/event-util.h"
#include "shared/file-util.h"
#include "shared/log.h"

#define AGENT_FOLDER "/usr/lib/hamgr"
#define OWNERSHIP_BYTES_MAX 64U

typedef struct EventCopy {
        DriveEvent event;
        char *group, *resource, *text; /* owned */
} EventCopy;

/* ---- Events for the owner ---- */

static void event_copy_free(EventCopy *e) {
        g_free(e->group);
        g_free(e->resource);
        g_free(e->text);
        g_free(e);
}

static EventCopy *
event_copy_new(Drive *d, DriveEventType type, const char *group, const char *resource, const char *text) {
        EventCopy *e = g_new(EventCopy, 1);

        *e = (EventCopy){
                .group = g_strdup(group),
                .resource = g_strdup(resource),
                .text = g_strdup(strempty(text)),
        };
        e->event = (DriveEvent){ .type = type, .group = e->group, .resource = e->resource, .text = e->text };
        g_queue_push_tail(&d->events, e);
        (void) event_defer_arm(d->deliver);
        return e;
}

void drive_tell(Drive *d, DriveEventType type, const char *text) {
        (void) event_copy_new(d, type, NULL, NULL, text);
}

void group_tell(Group *g, DriveEventType type, const Resource *r, const DriveFailure *failure) {
        EventCopy *e = event_copy_new(
                        g->drive, type, g->name, r ? r->config.name : NULL, failure ? failure->text : NULL);

        e->event.assignment = g->assignment;
        if (failure) {
                e->event.reason = failure->reason;
                e->event.status = failure->status;
        }
}

/* One at a time: what the handler causes comes after it. */
static int on_deliver(sd_event_source *s, void *userdata) {
        Drive *d = userdata;
        EventCopy *e = g_queue_pop_head(&d->events);

        if (!e)
                return 0;
        if (!g_queue_is_empty(&d->events))
                (void) event_defer_arm(d->deliver);
        d->handler(d, &e->event, d->userdata);
        event_copy_free(e);
        return 0;
}

/* ---- Ownership ---- */

char *group_owned_path(const Group *g) {
        return g_strdup_printf("%s/%s", g->drive->owned_folder, g->name);
}

/* Holds the assignment number, for whoever adopts. */
static int own(Group *g) {
        g_autofree char *path = group_owned_path(g);
        _cleanup_close_ int fd = -EBADF;
        char text[OWNERSHIP_BYTES_MAX];
        int n, r;

        r = make_folders(g->drive->owned_folder, 0755);
        if (r < 0)
                return r;
        n = snprintf(text, sizeof(text), "%" PRIu64 "\n", g->assignment);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;
        return write_all(fd, text, (size_t) n);
}

static void disown(Group *g) {
        g_autofree char *path = group_owned_path(g);

        if (unlink(path) < 0 && errno != ENOENT)
                (void) log_error_errno(
                                errno,
                                "cannot remove %s, systemd does not refuse the units of group %s here: %m",
                                path,
                                g->name);
}

/* 0 when there is no such file, or nothing in it. */
static bool read_ownership(Group *g, uint64_t *ret_assignment) {
        g_autofree char *path = group_owned_path(g);
        _cleanup_free_ char *text = NULL;
        size_t size;

        *ret_assignment = 0;
        if (read_whole_file(path, OWNERSHIP_BYTES_MAX, &text, &size) < 0 || !text)
                return access(path, F_OK) >= 0;
        text[strcspn(text, "\n")] = '\0';
        (void) parse_u64(text, 0, UINT64_MAX, ret_assignment);
        return true;
}

/* ---- A group's steps ---- */

static void tell_found(Group *g) {
        EventCopy *e = event_copy_new(g->drive, DRIVE_EVENT_FOUND, g->name, NULL, NULL);
        uint64_t assignment;

        e->event.owned = read_ownership(g, &assignment);
        e->event.found = g->sequence.found;
        e->event.assignment = assignment;
        g->assignment = assignment;
        if (!g->configured || g->next)
                (void) event_defer_arm(g->drive->housekeeping);
        for (size_t i = 0; i < g->n_resources; i++)
                resource_show(g->resources[i],
                              g->sequence.presence[i] == SEQUENCE_UP     ? DRIVE_RESOURCE_RUNNING
                              : g->sequence.presence[i] == SEQUENCE_DOWN ? DRIVE_RESOURCE_STOPPED
                                                                         : DRIVE_RESOURCE_FAILED);
}

static void tell(Group *g, const SequenceEffect *effect) {
        Resource *r = effect->index < g->n_resources ? g->resources[effect->index] : NULL;

        if (effect->tell == DRIVE_EVENT_FOUND) {
                tell_found(g);
                return;
        }
        if (effect->tell == DRIVE_EVENT_RESOURCE_FAILED && r && !r->failure.text)
                drive_failure_set(
                                &r->failure,
                                DRIVE_REASON_EXIT_CODE,
                                0,
                                "%s does not run (%s)",
                                r->unit,
                                strna(r->sub));
        if (effect->tell == DRIVE_EVENT_STRAY && r)
                drive_failure_set(
                                &r->failure,
                                DRIVE_REASON_OPERATOR,
                                0,
                                "%s runs here, and its group was not started here",
                                r->unit);
        group_tell(g, effect->tell, r, r ? &r->failure : NULL);
        if (effect->tell == DRIVE_EVENT_STOPPED && (!g->configured || g->next))
                (void) event_defer_arm(g->drive->housekeeping);
}

static void carry_out(Group *g, const SequenceEffect *effect) {
        int r;

        switch (effect->type) {
        case SEQUENCE_OWN:
                r = own(g);
                if (r < 0)
                        (void) log_error_errno(
                                        r,
                                        "cannot create the ownership file of group %s, its start fails: %m",
                                        g->name);
                return;
        case SEQUENCE_DISOWN:
                disown(g);
                return;
        case SEQUENCE_START:
                resource_start(g->resources[effect->index]);
                return;
        case SEQUENCE_STOP:
                resource_stop(g->resources[effect->index]);
                return;
        case SEQUENCE_TELL:
                tell(g, effect);
                return;
        }
        ASSERT_NOT_REACHED();
}

void group_feed(Group *g, SequenceEventType type, size_t index) {
        SequenceEvent *event = g_new(SequenceEvent, 1);

        *event = (SequenceEvent){ .type = type, .index = index, .presence = g->seen };
        g_queue_push_tail(&g->fed, event);
        if (g->feeding)
                return;

        g->feeding = true;
        while ((event = g_queue_pop_head(&g->fed))) {
                SequenceEffects effects;

                sequence_step(&g->sequence, event, &effects);
                g_free(event);
                FOREACH_ARRAY(effect, effects.items, effects.n_items)
                        carry_out(g, effect);
        }
        g->feeding = false;
}

/* ---- Orders ---- */

static int
order(Drive *d, const char *group, SequenceEventType type, const char *resource, uint64_t assignment) {
        Group *g = drive_find_group(d, group);
        size_t index = 0;
        int r;

        if (!g)
                return -ENOENT;
        r = sequence_accepts(&g->sequence, type);
        if (r < 0)
                return r;
        if (resource) {
                while (index < g->n_resources && !streq(g->resources[index]->config.name, resource))
                        index++;
                if (index >= g->n_resources)
                        return -ENOENT;
        }
        g->assignment = assignment;
        group_feed(g, type, index);
        return 0;
}

int drive_start(Drive *d, const char *group, uint64_t assignment) {
        return order(d, group, SEQUENCE_ORDER_START, NULL, assignment);
}

int drive_stop(Drive *d, const char *group, uint64_t assignment) {
        return order(d, group, SEQUENCE_ORDER_STOP, NULL, assignment);
}

int drive_adopt(Drive *d, const char *group, uint64_t assignment) {
        return order(d, group, SEQUENCE_ORDER_ADOPT, NULL, assignment);
}

int drive_watch(Drive *d, const char *group, uint64_t assignment) {
        return order(d, group, SEQUENCE_ORDER_WATCH, NULL, assignment);
}

int drive_restart(Drive *d, const char *group, const char *resource, uint64_t assignment) {
        return order(d, group, SEQUENCE_ORDER_RESTART, resource, assignment);
}

/* ---- Questions ---- */

Group *drive_find_group(const Drive *d, const char *name) {
        for (guint i = 0; i < d->groups->len; i++) {
                Group *g = d->groups->pdata[i];

                if (streq(g->name, name))
                        return g;
        }
        return NULL;
}

DriveGroupState drive_group_state(const Drive *d, const char *group) {
        const Group *g = drive_find_group(d, group);

        return g ? g->sequence.state : DRIVE_GROUP_UNREAD;
}

uint64_t drive_group_assignment(const Drive *d, const char *group) {
        const Group *g = drive_find_group(d, group);

        return g ? g->assignment : 0;
}

bool drive_is_empty(const Drive *d) {
        for (guint i = 0; i < d->groups->len; i++)
                if (((const Group *) d->groups->pdata[i])->sequence.state != DRIVE_GROUP_STOPPED)
                        return false;
        return true;
}

/* The folder is made with the first ownership file, and only a boot takes it away. */
bool drive_was_used(const Drive *d) {
        return access(d->owned_folder, F_OK) >= 0 || errno != ENOENT;
}

bool drive_is_connected(const Drive *d) {
        return link_is_up(d->link);
}

int drive_resource_status(
                const Drive *d, const char *group, const char *resource, DriveResourceStatus *ret) {
        const Group *g = drive_find_group(d, group);

        if (!g)
                return -ENOENT;
        for (size_t i = 0; i < g->n_resources; i++) {
                const Resource *r = g->resources[i];

                if (!streq(r->config.name, resource))
                        continue;
                *ret = (DriveResourceStatus){
                        .state = r->shown,
                        .reason = r->failure.reason,
                        .unit = r->unit,
                        .text = strempty(r->failure.text),
                        .since_usec = r->shown_since_usec,
                };
                return 0;
        }
        return -ENOENT;
}

/* ---- What the connection brings ---- */

static void for_each_resource(Drive *d, void (*f)(Resource *r)) {
        for (guint i = 0; i < d->groups->len; i++) {
                Group *g = d->groups->pdata[i];

                for (size_t k = 0; k < g->n_resources; k++)
                        f(g->resources[k]);
        }
}

static void on_up(Link *l, bool direct, void *userdata) {
        Drive *d = userdata;

        drive_tell(d,
                   DRIVE_EVENT_CONNECTED,
                   direct ? "connected to systemd directly, without the system bus"
                          : "connected to systemd over the system bus");
        drive_read_all(d);
        drive_reload_again(d);
}

static void on_down(Link *l, const char *why, void *userdata) {
        Drive *d = userdata;

        for_each_resource(d, resource_link_down);
        drive_validations_link_down(d);
        drive_tell(d, DRIVE_EVENT_DISCONNECTED, why);
}

static void
on_job_removed(Link *l, const char *job_path, const char *unit, const char *result, void *userdata) {
        Drive *d = userdata;

        for (guint i = 0; i < d->groups->len; i++) {
                Group *g = d->groups->pdata[i];

                for (size_t k = 0; k < g->n_resources; k++)
                        resource_on_job_removed(g->resources[k], job_path, result);
        }
}

/* Each unit has one watch, and configurations with a unit in two groups are refused. */
static void
on_unit_changed(Link *l, const char *unit_path, const char *interface, sd_bus_message *m, void *userdata) {
        Drive *d = userdata;

        for (guint i = 0; i < d->groups->len; i++) {
                Group *g = d->groups->pdata[i];

                for (size_t k = 0; k < g->n_resources; k++)
                        if (streq(g->resources[k]->path, unit_path)) {
                                resource_on_unit_changed(g->resources[k], interface, m);
                                return;
                        }
        }
}

/* ---- Objects ---- */

Group *group_new(Drive *d, const HaGroup *config) {
        Group *g = g_new(Group, 1);

        *g = (Group){
                .drive = d,
                .name = g_strdup(config->name),
                .resources_hash = config->resources_hash,
                .resources = g_new0(Resource *, config->n_resources + 1),
                .configured = true,
                .fed = G_QUEUE_INIT,
        };
        for (size_t i = 0; i < config->n_resources; i++) {
                g->resources[i] = resource_new(g, i, &config->resources[i]);
                if (!g->resources[i])
                        return group_free(g);
                g->n_resources++;
        }
        sequence_init(&g->sequence, g->n_resources);
        return g;
}

Group *group_free(Group *g) {
        if (!g)
                return NULL;
        group_cancel_look(g);
        for (size_t i = 0; i < g->n_resources; i++)
                (void) resource_free(g->resources[i]);
        g_free(g->resources);
        g_queue_clear_full(&g->fed, g_free);
        (void) group_free(g->next);
        g_free(g->name);
        g_free(g);
        return NULL;
}

static void group_free_item(void *g) {
        (void) group_free(g);
}

static int on_reread(sd_event_source *s, uint64_t due_usec, void *userdata) {
        drive_read_all(userdata);
        drive_reload_again(userdata);
        return 0;
}

static int on_housekeeping(sd_event_source *s, void *userdata) {
        drive_keep_house(userdata);
        return 0;
}

static char *find_own_unit(void) {
        _cleanup_free_ char *unit = NULL;

        return g_strdup(sd_pid_get_unit(0, &unit) >= 0 ? unit : GUARD_MANAGER_UNIT);
}

static const char *option(const char *given, const char *otherwise) {
        return given ? given : otherwise;
}

int drive_new(sd_event *event,
              const DriveOptions *options,
              DriveHandler handler,
              void *userdata,
              Drive **ret) {
        static const DriveOptions no_options = {};
        static const LinkHandlers handlers = {
                .on_up = on_up,
                .on_down = on_down,
                .on_job_removed = on_job_removed,
                .on_unit_changed = on_unit_changed,
        };
        _cleanup_(drive_freep) Drive *d = NULL;
        int r;

        if (!options)
                options = &no_options;

        d = g_new(Drive, 1);
        *d = (Drive){
                .event = sd_event_ref(event),
                .handler = handler,
                .userdata = userdata,
                .owned_folder = g_strdup(option(options->owned_folder, GUARD_OWNED_FOLDER)),
                .guard_list = g_strdup(option(options->guard_list, GUARD_LIST_PATH)),
                .agent_folder = g_strdup(option(options->agent_folder, AGENT_FOLDER)),
                .own_unit = options->own_unit ? g_strdup(options->own_unit) : find_own_unit(),
                .groups = g_ptr_array_new_with_free_func(group_free_item),
                .events = G_QUEUE_INIT,
                .validations = G_QUEUE_INIT,
        };

        r = event_defer_new(event, "drive-deliver", on_deliver, d, &d->deliver);
        if (r < 0)
                return r;
        r = event_defer_new(event, "drive-housekeeping", on_housekeeping, d, &d->housekeeping);
        if (r < 0)
                return r;
        r = event_timer_new(event, "drive-reread", on_reread, d, &d->reread);
        if (r < 0)
                return r;
        r = link_new(event, &handlers, d, &d->link);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(d);
        return 0;
}

Drive *drive_free(Drive *d) {
        if (!d)
                return NULL;
        while (!g_queue_is_empty(&d->validations))
                (void) drive_validation_free(g_queue_peek_head(&d->validations));
        (void) question_free(d->leaving_question);
        link_cancel(&d->read_call);
        link_cancel(&d->reload_call);
        g_ptr_array_free(d->groups, TRUE);
        (void) link_free(d->link);
        for (EventCopy *e; (e = g_queue_pop_head(&d->events));)
                event_copy_free(e);
        sd_event_source_disable_unref(d->deliver);
        sd_event_source_disable_unref(d->housekeeping);
        sd_event_source_disable_unref(d->reread);
        g_free(d->owned_folder);
        g_free(d->guard_list);
        g_free(d->agent_folder);
        g_free(d->own_unit);
        sd_event_unref(d->event);
        g_free(d);
        return NULL;
}
