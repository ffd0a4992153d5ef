/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connection to the bus, made again whenever it was lost, since hamgr goes on without; and signals:
 * changes are gathered and go out once at the end of a turn of the loop. */

#include "basic/time-util.h"
#include "hamgr/api/api-internal.h"
#include "shared/bus-util.h"
#include "shared/event-util.h"
#include "shared/log.h"

#define RETRY_USEC USEC_PER_SEC

static void slot_free(void *slot) {
        sd_bus_slot_unref(slot);
}

static int on_flush(sd_event_source *source, void *userdata) {
        api_flush_changes(userdata);
        return 0;
}

/* ---- The connection ---- */

/* Calls that the manager has are answered into the void when they are; those not yet checked end here. */
static void detach(Api *a) {
        for (GList *i = a->calls, *next; i; i = next) {
                ApiCall *call = i->data;

                next = i->next;
                if (call->slot)
                        api_call_free(call);
        }
        g_ptr_array_set_size(a->slots, 0);
        a->bus = sd_bus_close_unref(a->bus);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Api *a = userdata;

        log_warning("the system bus closed the connection, hactl cannot reach hamgr until it is there "
                    "again");
        a->absent = true;
        return event_timer_in(a->retry, 0);
}

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e)
                log_error("cannot own the bus name org.hamgr1: %s; is another hamgr running?", e->message);
        return 0;
}

int api_attach(Api *a, sd_bus *bus) {
        sd_bus_slot *slot;
        int r;

        a->bus = sd_bus_ref(bus);
        r = sd_bus_match_signal_async(
                        bus,
                        &slot,
                        NULL,
                        NULL,
                        "org.freedesktop.DBus.Local",
                        "Disconnected",
                        on_disconnected,
                        NULL,
                        a);
        if (r < 0)
                return r;
        g_ptr_array_add(a->slots, slot);
        return api_add_objects(a);
}

static int connect_now(Api *a) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        sd_bus_slot *slot;
        int r;

        r = bus_open_system(a->event, "hamgr", &bus);
        if (r < 0)
                return r;
        r = api_attach(a, bus);
        if (r < 0)
                return r;
        r = sd_bus_request_name_async(bus, &slot, "org.hamgr1", 0, on_name, a);
        if (r >= 0)
                g_ptr_array_add(a->slots, slot);
        return r;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Api *a = userdata;
        int r;

        detach(a);
        r = connect_now(a);
        if (r < 0) {
                detach(a);
                if (!a->absent)
                        log_warning_errno(
                                        r,
                                        "cannot connect to the system bus, hactl cannot reach hamgr until "
                                        "it "
                                        "works: %m");
                a->absent = true;
                return event_timer_in(a->retry, RETRY_USEC);
        }
        if (a->absent)
                log_notice("connected to the system bus again");
        a->absent = false;
        return 0;
}

int api_start(Api *a) {
        return event_timer_in(a->retry, 0);
}

/* ---- The object ---- */

int api_new(sd_event *event, const HaNodes *nodes, const ApiHandlers *handlers, void *userdata, Api **ret) {
        _cleanup_(api_freep) Api *a = g_new0(Api, 1);
        int r;

        a->event = sd_event_ref(event);
        a->nodes = nodes;
        a->handlers = *handlers;
        a->userdata = userdata;
        a->slots = g_ptr_array_new_with_free_func(slot_free);
        a->groups_changed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        a->paths = g_ptr_array_new_with_free_func(g_free);
        r = event_defer_new(event, "api-changes", on_flush, a, &a->flush);
        if (r < 0)
                return r;
        r = event_timer_new(event, "api-bus-retry", on_retry, a, &a->retry);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

Api *api_free(Api *a) {
        if (!a)
                return NULL;
        while (a->calls)
                api_call_refuse(a->calls->data, API_ERROR_NOT_READY, "hamgr is stopping on this node");
        sd_event_source_disable_unref(a->flush);
        sd_event_source_disable_unref(a->retry);
        if (a->bus && sd_bus_is_ready(a->bus) > 0)
                (void) sd_bus_flush(a->bus);
        detach(a);
        g_ptr_array_unref(a->slots);
        g_hash_table_unref(a->groups_changed);
        g_ptr_array_unref(a->paths);
        sd_event_unref(a->event);
        g_free(a);
        return NULL;
}

/* ---- Signals ---- */

static void arm(Api *a) {
        (void) event_defer_arm(a->flush);
}

void api_cluster_changed(Api *a) {
        a->cluster_changed = true;
        arm(a);
}

void api_node_changed(Api *a, uint32_t id) {
        node_set_add(&a->nodes_changed, id);
        arm(a);
}

void api_group_changed(Api *a, const char *group) {
        g_hash_table_add(a->groups_changed, g_strdup(group));
        arm(a);
}

void api_everything_changed(Api *a) {
        a->all_changed = true;
        arm(a);
}

void api_objects_changed(Api *a) {
        a->objects_changed = true;
        arm(a);
}

void api_event(Api *a, const char *kind, const char *group, const char *node, const char *text) {
        if (!a->bus)
                return;
        (void) sd_bus_emit_signal(
                        a->bus,
                        API_PATH,
                        API_MANAGER_INTERFACE,
                        "Event",
                        "ssss",
                        kind,
                        strempty(group),
                        strempty(node),
                        strempty(text));
}

static int compare_paths(const void *x, const void *y) {
        return strcmp(*(char *const *) x, *(char *const *) y);
}

static bool path_known(GPtrArray *paths, const char *path) {
        return bsearch(&path, paths->pdata, paths->len, sizeof(char *), compare_paths);
}

/* InterfacesAdded and InterfacesRemoved for what came and went since the last time. */
static void flush_objects(Api *a) {
        g_autoptr(GPtrArray) old = a->paths;

        a->paths = g_ptr_array_new_with_free_func(g_free);
        api_list_nodes(a, a->paths);
        api_list_groups(a, a->paths);
        api_list_resources(a, a->paths);
        g_ptr_array_sort(a->paths, compare_paths);
        for (size_t i = 0; i < old->len; i++)
                if (!path_known(a->paths, old->pdata[i]))
                        (void) sd_bus_emit_object_removed(a->bus, old->pdata[i]);
        for (size_t i = 0; i < a->paths->len; i++)
                if (!path_known(old, a->paths->pdata[i]))
                        (void) sd_bus_emit_object_added(a->bus, a->paths->pdata[i]);
}

static void emit_manager(Api *a) {
        (void) sd_bus_emit_properties_changed(
                        a->bus,
                        API_PATH,
                        API_MANAGER_INTERFACE,
                        "Membership",
                        "Quorate",
                        "Trouble",
                        "FenceTrouble",
                        "ClusterConfWaits",
                        "Planner",
                        "ConfigurationVersion",
                        NULL);
}

static void emit_node(Api *a, const char *name) {
        g_autofree char *path = api_node_path(name);

        (void) sd_bus_emit_properties_changed(
                        a->bus,
                        path,
                        API_NODE_INTERFACE,
                        "Votes",
                        "State",
                        "Standby",
                        "Managed",
                        "Note",
                        NULL);
}

static void emit_group(Api *a, const HaGroup *g) {
        g_autofree char *path = api_group_path(g->name);

        (void) sd_bus_emit_properties_changed(
                        a->bus,
                        path,
                        API_GROUP_INTERFACE,
                        "Description",
                        "Policy",
                        "Domain",
                        "StandbyNodes",
                        "State",
                        "Wanted",
                        "Node",
                        "Reason",
                        "Assignment",
                        "MayRunOn",
                        "Resources",
                        NULL);
        for (size_t i = 0; i < g->n_resources; i++) {
                g_autofree char *resource = api_resource_path(g->name, g->resources[i].name);

                (void) sd_bus_emit_properties_changed(
                                a->bus, resource, API_RESOURCE_INTERFACE, "Unit", "State", NULL);
        }
}

void api_flush_changes(Api *a) {
        const State *s = a->handlers.state(a->userdata);

        if (!a->bus)
                return; /* whoever comes to the next one reads all */
        if (a->objects_changed)
                flush_objects(a);
        if (a->cluster_changed || a->all_changed)
                emit_manager(a);
        for (size_t i = 0; i < a->nodes->n_nodes; i++)
                if (a->all_changed || node_set_contains(a->nodes_changed, a->nodes->nodes[i].id))
                        emit_node(a, a->nodes->nodes[i].name);
        for (size_t i = 0; s && i < state_n_groups(s); i++) {
                const StateGroup *g = state_group_at(s, i);

                if (a->all_changed || g_hash_table_contains(a->groups_changed, g->name))
                        emit_group(a, g->config);
        }
        a->cluster_changed = a->all_changed = a->objects_changed = false;
        a->nodes_changed = 0;
        g_hash_table_remove_all(a->groups_changed);
}
