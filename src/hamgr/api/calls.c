/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls of org.hamgr1.Manager: from the message to a request, and from the answer to a reply. */

#include <stdarg.h>
#include <stdio.h>

#include "basic/string-table.h"
#include "hamgr/api/api-internal.h"

#define ACTION_CONFIGURE "org.hamgr1.configure"
#define ACTION_OPERATE "org.hamgr1.operate"
#define ACTION_CONFIRM "org.hamgr1.confirm"

static const char *const error_names[_API_ERROR_MAX] = {
        [API_ERROR_NO_QUORUM] = "org.hamgr1.Error.NoQuorum",
        [API_ERROR_NOT_READY] = "org.hamgr1.Error.NotReady",
        [API_ERROR_NO_SUCH_GROUP] = "org.hamgr1.Error.NoSuchGroup",
        [API_ERROR_NO_SUCH_NODE] = "org.hamgr1.Error.NoSuchNode",
        [API_ERROR_INVALID_CONFIGURATION] = "org.hamgr1.Error.InvalidConfiguration",
        [API_ERROR_WOULD_REMOVE] = "org.hamgr1.Error.WouldRemove",
        [API_ERROR_REFUSED] = "org.hamgr1.Error.Refused",
        [API_ERROR_TIMED_OUT] = "org.hamgr1.Error.TimedOut",
        [API_ERROR_ACCESS_DENIED] = SD_BUS_ERROR_ACCESS_DENIED,
};

const char *api_error_name(ApiError e) {
        assert(e >= 0);
        assert(e < _API_ERROR_MAX);
        return error_names[e];
}

/* Of those whose sender is being checked, the one that has waited longest: with polkit that may be a
 * password prompt of anybody, and must not keep root out. */
static bool make_room(Api *a) {
        for (GList *i = g_list_last(a->calls); i; i = i->prev) {
                ApiCall *call = i->data;

                if (!call->slot)
                        continue;
                api_call_refuse(call, API_ERROR_NOT_READY, "too many calls are waiting; try again later");
                return true;
        }
        return false;
}

static int call_new(Api *a, sd_bus_message *m, const char *action, sd_bus_error *error, ApiCall **ret) {
        ApiCall *call;

        if (a->n_calls >= API_CALLS_MAX && !make_room(a)) {
                (void) sd_bus_error_setf(
                                error,
                                api_error_name(API_ERROR_NOT_READY),
                                "%u calls are waiting already; try again later",
                                API_CALLS_MAX);
                return -EBUSY;
        }
        call = g_new0(ApiCall, 1);
        call->api = a;
        call->m = sd_bus_message_ref(m);
        call->action = action;
        a->calls = g_list_prepend(a->calls, call);
        a->n_calls++;
        *ret = call;
        return 0;
}

ApiCall *api_call_free(ApiCall *call) {
        if (!call)
                return NULL;
        call->api->calls = g_list_remove(call->api->calls, call);
        call->api->n_calls--;
        sd_bus_slot_unref(call->slot);
        sd_bus_message_unref(call->m);
        ha_files_free(call->request.files, call->request.n_files);
        g_free(call);
        return NULL;
}

DEFINE_TRIVIAL_CLEANUP(ApiCall *, api_call_free);

const ApiRequest *api_call_request(const ApiCall *call) {
        return &call->request;
}

const char *api_call_sender(const ApiCall *call) {
        return strempty(sd_bus_message_get_sender(call->m));
}

void api_call_done(ApiCall *call) {
        (void) sd_bus_reply_method_return(call->m, NULL);
        api_call_free(call);
}

static void reply_lines(ApiCall *call, const uint64_t *version, char *const *lines) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(call->m, &reply);
        if (r >= 0 && version)
                r = sd_bus_message_append(reply, "t", *version);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, (char **) lines);
        if (r >= 0)
                (void) sd_bus_send(NULL, reply, NULL);
        api_call_free(call);
}

void api_call_applied(ApiCall *call, uint64_t version, char *const *changes) {
        reply_lines(call, &version, changes);
}

void api_call_cluster_applied(ApiCall *call, char *const *changes) {
        reply_lines(call, NULL, changes);
}

void api_call_checked(ApiCall *call, char *const *warnings) {
        reply_lines(call, NULL, warnings);
}

void api_call_refuse(ApiCall *call, ApiError error, const char *format, ...) {
        _cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
        g_autofree char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        (void) sd_bus_error_set(&e, api_error_name(error), text);
        (void) sd_bus_reply_method_error(call->m, &e);
        api_call_free(call);
}

typedef struct Method {
        const char *member;
        const char *types;
        const char *action;
        StateOperation operation;
} Method;

/* The first argument names a group or a node, as the operation wants. */
static const Method METHODS[] = {
        { "StartGroup", "s", ACTION_OPERATE, STATE_OPERATION_GROUP_START },
        { "StopGroup", "s", ACTION_OPERATE, STATE_OPERATION_GROUP_STOP },
        { "MoveGroup", "ss", ACTION_OPERATE, STATE_OPERATION_GROUP_MOVE },
        { "CleanupGroup", "s", ACTION_OPERATE, STATE_OPERATION_GROUP_CLEANUP },
        { "SetNodeStandby", "sb", ACTION_OPERATE, STATE_OPERATION_NODE_STANDBY },
        { "FenceNode", "s", ACTION_CONFIRM, STATE_OPERATION_NODE_FENCE },
        { "ConfirmNodeDown", "s", ACTION_CONFIRM, STATE_OPERATION_FENCE_CONFIRM },
};

int api_method_operate(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ApiCall *call = NULL;
        const Method *method = NULL;
        const char *name, *node = NULL;
        int standby = 1, r;

        FOREACH_ARRAY(i, METHODS, ELEMENTSOF(METHODS))
                if (streq(i->member, sd_bus_message_get_member(m)))
                        method = i;
        assert(method);
        r = sd_bus_message_read(m, "s", &name);
        if (r >= 0 && streq(method->types, "ss"))
                r = sd_bus_message_read(m, "s", &node);
        if (r >= 0 && streq(method->types, "sb"))
                r = sd_bus_message_read(m, "b", &standby);
        if (r < 0)
                return r;
        r = call_new(userdata, m, method->action, error, &call);
        if (r < 0)
                return r;

        call->request.type = API_REQUEST_OPERATE;
        call->request.operation = method->operation;
        if (method->operation == STATE_OPERATION_NODE_STANDBY ||
            method->operation == STATE_OPERATION_NODE_FENCE ||
            method->operation == STATE_OPERATION_FENCE_CONFIRM)
                call->request.node = name;
        else {
                call->request.group = name;
                call->request.node = node;
        }
        if (!standby)
                call->request.operation = STATE_OPERATION_NODE_UNSTANDBY;
        api_call_check_access(call);
        return 1;
}

int api_method_test_fencing(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ApiCall *call = NULL;
        const char *node;
        int r;

        r = sd_bus_message_read(m, "s", &node);
        if (r < 0)
                return r;
        r = call_new(userdata, m, ACTION_OPERATE, error, &call);
        if (r < 0)
                return r;
        call->request.type = API_REQUEST_FENCE_TEST;
        call->request.node = node;
        api_call_check_access(call);
        return 1;
}

static int read_files(sd_bus_message *m, ApiRequest *request, sd_bus_error *error) {
        g_autoptr(GArray) files = g_array_new(FALSE, TRUE, sizeof(HaFile));
        const char *name, *text;
        size_t bytes = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(ss)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "(ss)", &name, &text)) > 0) {
                HaFile file = { .name = g_strdup(name), .text = g_strdup(text) };

                g_array_append_val(files, file);
                bytes += strlen(name) + strlen(text) + 2;
        }
        request->n_files = files->len;
        request->files = (HaFile *) (void *) g_array_free(TAKE_PTR(files), FALSE);
        if (r < 0)
                return r;
        if (request->n_files > HA_FILES_MAX || bytes > HA_CONFIG_BYTES_MAX)
                return sd_bus_error_setf(
                                error,
                                api_error_name(API_ERROR_INVALID_CONFIGURATION),
                                "a configuration has at most %u files and %u bytes; this one has %zu and "
                                "%zu",
                                HA_FILES_MAX,
                                HA_CONFIG_BYTES_MAX,
                                request->n_files,
                                bytes);
        return sd_bus_message_exit_container(m);
}

static int configuration_call(sd_bus_message *m, Api *a, ApiRequestType type, sd_bus_error *error) {
        _cleanup_(api_call_freep) ApiCall *call = NULL;
        int remove = 0, r;

        r = call_new(a, m, ACTION_CONFIGURE, error, &call);
        if (r < 0)
                return r;
        call->request.type = type;
        r = read_files(m, &call->request, error);
        if (r >= 0 && type == API_REQUEST_APPLY)
                r = sd_bus_message_read(m, "b", &remove);
        if (r < 0)
                return r;
        call->request.remove = remove;
        api_call_check_access(TAKE_PTR(call));
        return 1;
}

int api_method_apply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return configuration_call(m, userdata, API_REQUEST_APPLY, error);
}

int api_method_apply_cluster(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *text;
        ApiCall *call;
        int r;

        r = sd_bus_message_read(m, "ss", &name, &text);
        if (r < 0)
                return r;
        if (strlen(text) > HA_CLUSTER_BYTES_MAX)
                return sd_bus_error_setf(
                                error,
                                api_error_name(API_ERROR_INVALID_CONFIGURATION),
                                "%s: has %zu bytes; a cluster.conf that is applied has at most %u",
                                name,
                                strlen(text),
                                HA_CLUSTER_BYTES_MAX);
        r = call_new(userdata, m, ACTION_CONFIGURE, error, &call);
        if (r < 0)
                return r;
        call->request.type = API_REQUEST_APPLY_CLUSTER;
        call->request.file_name = name;
        call->request.text = text;
        api_call_check_access(call);
        return 1;
}

int api_method_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return configuration_call(m, userdata, API_REQUEST_CHECK, error);
}

int api_method_get_configuration(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Api *a = userdata;
        const State *s = a->handlers.state(a->userdata);
        const HaConfig *c;
        int r;

        if (!s)
                return sd_bus_error_set(
                                error,
                                api_error_name(API_ERROR_NOT_READY),
                                "this node has not been taken into the cluster yet");
        c = state_config(s);
        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_append(reply, "t", state_config_version(s).number);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "(ss)");
        if (r < 0)
                return r;
        for (size_t i = 0; i < c->n_files; i++) {
                r = sd_bus_message_append(reply, "(ss)", c->files[i].name, c->files[i].text);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}

/* Reading is for everybody, so nobody is asked about the sender. */
static int show(sd_bus_message *m, ApiRequestType type, void *userdata, sd_bus_error *error) {
        ApiCall *call;
        Api *a = userdata;
        int r;

        r = call_new(a, m, NULL, error, &call);
        if (r < 0)
                return r;
        call->request.type = type;
        a->handlers.request(call, &call->request, a->userdata);
        return 1;
}

int api_method_get_membership(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return show(m, API_REQUEST_MEMBERSHIP, userdata, error);
}

int api_method_get_fence_history(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return show(m, API_REQUEST_FENCE_HISTORY, userdata, error);
}

int api_method_get_message_groups(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return show(m, API_REQUEST_GROUPS, userdata, error);
}
