/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of this room share. */

#include <glib.h>

#include "hamgr/api/api.h"

#define API_PATH "/org/hamgr1"
#define API_NODE_PREFIX "/org/hamgr1/node"
#define API_GROUP_PREFIX "/org/hamgr1/group"
#define API_RESOURCE_PREFIX "/org/hamgr1/resource"

#define API_MANAGER_INTERFACE "org.hamgr1.Manager"
#define API_NODE_INTERFACE "org.hamgr1.Node"
#define API_GROUP_INTERFACE "org.hamgr1.Group"
#define API_RESOURCE_INTERFACE "org.hamgr1.Resource"

struct Api {
        sd_event *event;        /* ref */
        sd_bus *bus;            /* ref; NULL between two tries */
        sd_event_source *retry; /* owned: to connect again, outside of the bus's own handlers */
        bool absent;            /* the bus cannot be reached, and that was said */

        const HaNodes *nodes; /* weak */
        ApiHandlers handlers;
        void *userdata;

        GPtrArray *slots; /* owned: what is registered on the bus */
        GList *calls;     /* owned ApiCalls */
        unsigned n_calls;

        /* changes not yet signalled */
        sd_event_source *flush; /* owned */
        bool cluster_changed;
        bool objects_changed;
        bool all_changed;
        NodeSet nodes_changed;
        GHashTable *groups_changed; /* owned: names; for look-up only, signals go in the order of the state
                                     */
        GPtrArray *paths;           /* owned: node, group and resource objects last announced, sorted */
};

struct ApiCall {
        Api *api;           /* weak */
        sd_bus_message *m;  /* ref */
        sd_bus_slot *slot;  /* owned: the check under way */
        const char *action; /* static; what polkit is asked for */
        ApiRequest request;
};

/* Manager methods: parse, then api_call_check_access(). */
int api_method_operate(sd_bus_message *m, void *userdata, sd_bus_error *error);
int api_method_apply(sd_bus_message *m, void *userdata, sd_bus_error *error);
int api_method_apply_cluster(sd_bus_message *m, void *userdata, sd_bus_error *error);
int api_method_check(sd_bus_message *m, void *userdata, sd_bus_error *error);
int api_method_get_configuration(sd_bus_message *m, void *userdata, sd_bus_error *error);
int api_method_get_membership(sd_bus_message *m, void *userdata, sd_bus_error *error);
int api_method_test_fencing(sd_bus_message *m, void *userdata, sd_bus_error *error);
int api_method_get_fence_history(sd_bus_message *m, void *userdata, sd_bus_error *error);
int api_method_get_message_groups(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* Hands the call to the manager when its sender may do it, else answers it with an error. Takes it over. */
void api_call_check_access(ApiCall *call);
ApiCall *api_call_free(ApiCall *call);

/* Objects: what the paths name now. */
char *api_node_path(const char *name);
char *api_group_path(const char *name);
char *api_resource_path(const char *group, const char *resource);
/* Append the paths of all there are now; for g_free(). */
void api_list_nodes(const Api *a, GPtrArray *paths);
void api_list_groups(const Api *a, GPtrArray *paths);
void api_list_resources(const Api *a, GPtrArray *paths);
int api_append_node_set(sd_bus_message *reply, const HaNodes *nodes, NodeSet set);
int api_add_objects(Api *a);
void api_flush_changes(Api *a);
