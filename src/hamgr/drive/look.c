/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading all states again, after a connection and after a configuration: one call for all units, and for
 * each that is not up in a group that nobody knows yet, whether processes, mounts or addresses of it are
 * left. */

#include <errno.h>

#include "basic/time-util.h"
#include "hamgr/drive/internal.h"
#include "shared/bus-util.h"
#include "shared/event-util.h"
#include "shared/log.h"

#define READ_RETRY_USEC USEC_PER_SEC

static const struct {
        const char *name;
        UnitActive active;
} active_names[] = {
        { "active", UNIT_ACTIVE },          { "reloading", UNIT_ACTIVE },
        { "refreshing", UNIT_ACTIVE },      { "inactive", UNIT_INACTIVE },
        { "failed", UNIT_FAILED },          { "activating", UNIT_ACTIVATING },
        { "maintenance", UNIT_ACTIVATING }, { "deactivating", UNIT_DEACTIVATING },
};

UnitActive unit_active_from_string(const char *s) {
        FOREACH_ARRAY(i, active_names, ELEMENTSOF(active_names))
                if (streq(i->name, s))
                        return i->active;
        return UNIT_UNKNOWN;
}

int unit_row_read(sd_bus_message *m, UnitRow *ret) {
        *ret = (UnitRow){};
        return sd_bus_message_read(
                        m,
                        "(ssssssouso)",
                        &ret->name,
                        NULL,
                        &ret->load,
                        &ret->active,
                        &ret->sub,
                        NULL,
                        NULL,
                        &ret->job_id,
                        &ret->job_type,
                        &ret->job_path);
}

void resource_take_row(Resource *r, const UnitRow *row) {
        r->active = unit_active_from_string(row->active);
        g_free(r->sub);
        r->sub = g_strdup(row->sub);
        g_free(r->job);
        r->job = row->job_id != 0 ? g_strdup(row->job_path) : NULL;
}

/* ---- Groups that nobody knows yet ---- */

static void look_ended(Group *g) {
        if (g->n_looks == 0)
                group_feed(g, SEQUENCE_LOOKED, SIZE_MAX);
}

static void look_at_kernel(Group *g, size_t i) {
        g_autofree char *text = NULL;

        if (resource_prove(g->resources[i], &text) != 0)
                g->seen[i] = SEQUENCE_UNCLEAR;
}

static void on_processes(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Resource *r = userdata;
        Group *g = r->group;

        g->seen[r->index] = SEQUENCE_DOWN;
        if (error && !bus_error_is(error, "org.freedesktop.systemd1.NoSuchUnit"))
                g->seen[r->index] = SEQUENCE_UNCLEAR;
        else if (!error && (sd_bus_message_enter_container(reply, 'a', "(sus)") < 0 ||
                            sd_bus_message_at_end(reply, false) == 0))
                g->seen[r->index] = SEQUENCE_UNCLEAR;
        look_at_kernel(g, r->index);
        g->n_looks--;
        look_ended(g);
}

void group_cancel_look(Group *g) {
        for (size_t i = 0; i < g->n_resources; i++)
                link_cancel(&g->look_calls[i]);
        g->n_looks = 0;
}

static void group_look(Group *g) {
        group_cancel_look(g);

        for (size_t i = 0; i < g->n_resources; i++) {
                Resource *r = g->resources[i];

                g->seen[i] = r->active == UNIT_ACTIVE ? SEQUENCE_UP : SEQUENCE_UNCLEAR;
                /* A job that waits may be a start, of a hamgr that ended meanwhile. */
                if ((r->active != UNIT_INACTIVE && r->active != UNIT_FAILED) || r->job)
                        continue;
                if (link_call(g->drive->link,
                              &g->look_calls[i],
                              on_processes,
                              r,
                              BUS_CALL_TIMEOUT_USEC,
                              "GetUnitProcesses",
                              "s",
                              r->unit) >= 0)
                        g->n_looks++;
        }
        look_ended(g);
}

/* ---- All units ---- */

static Resource *find_unit(Drive *d, const char *name, guint *group_index, size_t *index) {
        for (; *group_index < d->groups->len; (*group_index)++, *index = 0) {
                Group *g = d->groups->pdata[*group_index];

                while (*index < g->n_resources) {
                        Resource *r = g->resources[(*index)++];

                        if (streq(r->unit, name))
                                return r;
                }
        }
        return NULL;
}

static void take_all(Drive *d, sd_bus_message *reply) {
        UnitRow row;

        if (sd_bus_message_enter_container(reply, 'a', "(ssssssouso)") < 0)
                return;
        while (unit_row_read(reply, &row) > 0) {
                guint group_index = 0;
                size_t index = 0;

                for (Resource *r; (r = find_unit(d, row.name, &group_index, &index));)
                        resource_take_row(r, &row);
        }
}

static void on_read(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Drive *d = userdata;

        if (d->read_again) {
                d->read_again = false;
                drive_read_all(d);
                return;
        }
        if (error) {
                log_warning("systemd does not tell the state of units, asking again: %s",
                            strna(error->message));
                (void) event_timer_in(d->reread, READ_RETRY_USEC);
                return;
        }
        take_all(d, reply);

        for (guint i = 0; i < d->groups->len; i++) {
                Group *g = d->groups->pdata[i];

                if (g->sequence.state == DRIVE_GROUP_UNREAD)
                        group_look(g);
                else
                        for (size_t k = 0; k < g->n_resources; k++)
                                resource_resume(g->resources[k]);
        }
}

/* A unit on disk is kept loaded, so that its result stays to be read. Refused on a direct connection. */
static void watch(Drive *d, Resource *r) {
        if (r->watch)
                return;
        if (link_watch_unit(d->link, r->path, &r->watch) < 0)
                log_warning("cannot watch %s for changes", r->unit);
        if (!resource_is_agent(r) && !link_is_direct(d->link))
                (void) link_call(d->link, NULL, NULL, NULL, BUS_CALL_TIMEOUT_USEC, "RefUnit", "s", r->unit);
}

static int send_read(Drive *d) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = link_message_new(d->link, SYSTEMD_PATH, SYSTEMD_MANAGER, "ListUnitsByNames", &m);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'a', "s");
        if (r < 0)
                return r;
        for (guint i = 0; i < d->groups->len; i++) {
                Group *g = d->groups->pdata[i];

                for (size_t k = 0; k < g->n_resources; k++) {
                        watch(d, g->resources[k]);
                        r = sd_bus_message_append(m, "s", g->resources[k]->unit);
                        if (r < 0)
                                return r;
                }
        }
        r = sd_bus_message_close_container(m);
        if (r < 0)
                return r;
        return link_send(d->link, m, &d->read_call, on_read, d, BUS_CALL_TIMEOUT_USEC);
}

void drive_read_all(Drive *d) {
        int r;

        if (!link_is_up(d->link))
                return; /* on_up reads */
        if (d->read_call) {
                d->read_again = true;
                return;
        }
        r = send_read(d);
        if (r < 0)
                log_warning_errno(r, "cannot ask systemd for the state of units: %m");
}
