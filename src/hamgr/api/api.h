/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.hamgr1 on the bus (dbus/org.hamgr1.xml is the contract). Reading is answered here, from the replicated
 * state and what the manager tells of nodes; what changes something becomes an ApiCall, checked for its
 * right first, that the manager answers once. Nothing here blocks. */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "basic/macro.h"
#include "hamgr/state/state.h"

#define API_CALLS_MAX 128U /* waiting for their answer; more are refused */

typedef struct Api Api;
typedef struct ApiCall ApiCall;

typedef enum ApiError {
        API_ERROR_NO_QUORUM,
        API_ERROR_NOT_READY, /* joining, forming, or something of the kind: try again */
        API_ERROR_NO_SUCH_GROUP,
        API_ERROR_NO_SUCH_NODE,
        API_ERROR_INVALID_CONFIGURATION,
        API_ERROR_WOULD_REMOVE,
        API_ERROR_REFUSED,
        API_ERROR_TIMED_OUT,
        API_ERROR_ACCESS_DENIED,
        _API_ERROR_MAX,
        _API_ERROR_INVALID = -EINVAL,
} ApiError;

/* "org.hamgr1.Error.NoQuorum" */
const char *api_error_name(ApiError e) _const_;

#define API_USEC_UNKNOWN UINT64_MAX /* left out of replies */

typedef enum ApiRequestType {
        API_REQUEST_OPERATE,
        API_REQUEST_APPLY,
        API_REQUEST_APPLY_CLUSTER,
        API_REQUEST_CHECK,
        API_REQUEST_FENCE_TEST,    /* node */
        API_REQUEST_MEMBERSHIP,    /* of anybody */
        API_REQUEST_GROUPS,        /* likewise */
        API_REQUEST_FENCE_HISTORY, /* likewise */
} ApiRequestType;

typedef struct ApiRequest {
        ApiRequestType type;

        /* operate */
        StateOperation operation;
        const char *group; /* borrowed from the call; NULL: none */
        const char *node;  /* by name; "" or NULL: none. Of a test, too */

        /* apply, check */
        HaFile *files; /* owned by the call */
        size_t n_files;
        bool remove; /* apply only */

        /* apply_cluster: borrowed from the call */
        const char *file_name; /* for messages about its lines */
        const char *text;
} ApiRequest;

/* What the bus shows of this node's view of the cluster and of one node, beside the replicated state. */
typedef struct ApiCluster {
        const char *cluster_name; /* never changes, like the next */
        const char *node_name;
        char membership[64]; /* "12.1" or "" */
        bool quorate;
        const char *planner;
        const char *trouble;       /* never NULL */
        const char *fence_trouble; /* of the fence devices, as this node finds them; never NULL */
        const char *conf_waits;    /* why what cluster.conf says here is not in force; never NULL */
} ApiCluster;

typedef struct ApiNode {
        uint32_t votes;
        const char *state; /* never NULL */
        bool standby;
        bool managed;
        char note[STATE_TEXT_MAX];
        const char *rebooted; /* why its boot before this one ended; "" */
} ApiNode;

typedef struct ApiHandlers {
        /* Take over a call and answer it, now or later. */
        void (*request)(ApiCall *call, const ApiRequest *request, void *userdata);

        /* NULL: none yet. */
        const State *(*state)(void *userdata);
        void (*cluster)(ApiCluster *ret, void *userdata);
        void (*node)(uint32_t id, ApiNode *ret, void *userdata);
} ApiHandlers;

/* The nodes are those of cluster.conf; borrowed. api_objects_changed() when there are others. */
int api_new(sd_event *event, const HaNodes *nodes, const ApiHandlers *handlers, void *userdata, Api **ret);
Api *api_free(Api *a);
DEFINE_TRIVIAL_CLEANUP(Api *, api_free);

/* Goes to the system bus as org.hamgr1, as soon as there is one and again whenever it was lost. */
int api_start(Api *a);

/* Offers the objects on this connection. */
int api_attach(Api *a, sd_bus *bus);

/* Every call ends by exactly one of these; the call is gone then. */
void api_call_done(ApiCall *call);
void api_call_applied(ApiCall *call, uint64_t version, char *const *changes);
void api_call_cluster_applied(ApiCall *call, char *const *changes);
void api_call_checked(ApiCall *call, char *const *warnings);
void api_call_refuse(ApiCall *call, ApiError error, const char *format, ...) _printf_(3, 4);

/* What is asked; valid as long as the call. */
const ApiRequest *api_call_request(const ApiCall *call);

/* For people: the name the caller has on the bus, or "". */
const char *api_call_sender(const ApiCall *call);

/* Something changed; signals go out at the end of this turn of the loop, once each. */
void api_cluster_changed(Api *a);
void api_node_changed(Api *a, uint32_t id);
void api_group_changed(Api *a, const char *group);
void api_everything_changed(Api *a); /* properties of all objects */
void api_objects_changed(Api *a);    /* nodes, groups or resources came or went */

void api_event(Api *a, const char *kind, const char *group, const char *node, const char *text);
