/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The objects that can be read: what their paths name, and what their properties say. Nothing is copied:
 * each answer is read from the replicated state when it is asked for. */

#include "hamgr/api/api-internal.h"

typedef struct ResourceRef {
        const HaGroup *group;
        const HaResource *resource;
        size_t index;
} ResourceRef;

static const State *api_state(const Api *a) {
        return a->handlers.state(a->userdata);
}

static char *path_new(const char *prefix, const char *name) {
        _cleanup_free_ char *path = NULL;

        if (sd_bus_path_encode(prefix, name, &path) < 0)
                g_error("out of memory");
        return g_strdup(path);
}

char *api_node_path(const char *name) {
        return path_new(API_NODE_PREFIX, name);
}

char *api_group_path(const char *name) {
        return path_new(API_GROUP_PREFIX, name);
}

char *api_resource_path(const char *group, const char *resource) {
        g_autofree char *both = g_strdup_printf("%s/%s", group, resource);

        return path_new(API_RESOURCE_PREFIX, both);
}

static const HaNode *node_by_path(const Api *a, const char *path) {
        _cleanup_free_ char *name = NULL;

        if (sd_bus_path_decode(path, API_NODE_PREFIX, &name) <= 0)
                return NULL;
        return ha_nodes_find_name(a->nodes, name);
}

static const StateGroup *group_by_path(const Api *a, const char *path) {
        _cleanup_free_ char *name = NULL;
        const State *s = api_state(a);

        if (!s || sd_bus_path_decode(path, API_GROUP_PREFIX, &name) <= 0)
                return NULL;
        return state_group(s, name);
}

static bool resource_by_path(const Api *a, const char *path, ResourceRef *ret) {
        _cleanup_free_ char *name = NULL;
        const State *s = api_state(a);
        const StateGroup *g;
        char *slash;

        if (!s || sd_bus_path_decode(path, API_RESOURCE_PREFIX, &name) <= 0)
                return false;
        slash = strchr(name, '/');
        if (!slash)
                return false;
        *slash = '\0';
        g = state_group(s, name);
        if (!g)
                return false;
        for (size_t i = 0; i < g->config->n_resources; i++)
                if (streq(g->config->resources[i].name, slash + 1)) {
                        *ret = (ResourceRef){ g->config, &g->config->resources[i], i };
                        return true;
                }
        return false;
}

/* ---- Manager ---- */

static int
get_manager(sd_bus *bus,
            const char *path,
            const char *interface,
            const char *property,
            sd_bus_message *reply,
            void *userdata,
            sd_bus_error *error) {
        Api *a = userdata;
        const State *s = api_state(a);
        ApiCluster c = {};

        a->handlers.cluster(&c, a->userdata);
        if (streq(property, "Version"))
                return sd_bus_message_append(reply, "s", HAMGR_VERSION);
        if (streq(property, "ClusterName"))
                return sd_bus_message_append(reply, "s", c.cluster_name);
        if (streq(property, "NodeName"))
                return sd_bus_message_append(reply, "s", c.node_name);
        if (streq(property, "Membership"))
                return sd_bus_message_append(reply, "s", c.membership);
        if (streq(property, "Quorate"))
                return sd_bus_message_append(reply, "b", (int) c.quorate);
        if (streq(property, "Trouble"))
                return sd_bus_message_append(reply, "s", c.trouble);
        if (streq(property, "FenceTrouble"))
                return sd_bus_message_append(reply, "s", c.fence_trouble);
        if (streq(property, "ClusterConfWaits"))
                return sd_bus_message_append(reply, "s", c.conf_waits);
        if (streq(property, "Planner"))
                return sd_bus_message_append(reply, "s", strempty(c.planner));
        assert(streq(property, "ConfigurationVersion"));
        return sd_bus_message_append(reply, "t", s ? state_config_version(s).number : UINT64_C(0));
}

#define PROPERTY_CONST(name, type, get) SD_BUS_PROPERTY(name, type, get, 0, SD_BUS_VTABLE_PROPERTY_CONST)
#define PROPERTY(name, type, get) SD_BUS_PROPERTY(name, type, get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
#define METHOD(name, in, in_names, out, out_names, handler)                                                 \
        SD_BUS_METHOD_WITH_NAMES(name, in, in_names, out, out_names, handler, SD_BUS_VTABLE_UNPRIVILEGED)
#define ONE(name) SD_BUS_PARAM(name)

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("Apply",
               "a(ss)b",
               ONE(files) ONE(remove),
               "tas",
               ONE(version) ONE(changes),
               api_method_apply),
        METHOD("ApplyCluster", "ss", ONE(name) ONE(text), "as", ONE(changes), api_method_apply_cluster),
        METHOD("Check", "a(ss)", ONE(files), "as", ONE(warnings), api_method_check),
        METHOD("GetConfiguration", NULL, , "ta(ss)", ONE(version) ONE(files), api_method_get_configuration),
        METHOD("GetMembership", NULL, , "a{sv}", ONE(membership), api_method_get_membership),
        METHOD("GetMessageGroups", NULL, , "a{sv}", ONE(groups), api_method_get_message_groups),
        METHOD("GetFenceHistory", NULL, , "a{sv}", ONE(history), api_method_get_fence_history),
        METHOD("StartGroup", "s", ONE(group), NULL, , api_method_operate),
        METHOD("StopGroup", "s", ONE(group), NULL, , api_method_operate),
        METHOD("MoveGroup", "ss", ONE(group) ONE(node), NULL, , api_method_operate),
        METHOD("CleanupGroup", "s", ONE(group), NULL, , api_method_operate),
        METHOD("SetNodeStandby", "sb", ONE(node) ONE(standby), NULL, , api_method_operate),
        METHOD("TestFencing", "s", ONE(node), "a{sv}", ONE(test), api_method_test_fencing),
        METHOD("FenceNode", "s", ONE(node), NULL, , api_method_operate),
        METHOD("ConfirmNodeDown", "s", ONE(node), NULL, , api_method_operate),
        SD_BUS_SIGNAL_WITH_NAMES("Event", "ssss", ONE(kind) ONE(group) ONE(node) ONE(text), 0),
        PROPERTY_CONST("Version", "s", get_manager),
        PROPERTY_CONST("ClusterName", "s", get_manager),
        PROPERTY_CONST("NodeName", "s", get_manager),
        PROPERTY("Membership", "s", get_manager),
        PROPERTY("Quorate", "b", get_manager),
        PROPERTY("Trouble", "s", get_manager),
        PROPERTY("FenceTrouble", "s", get_manager),
        PROPERTY("ClusterConfWaits", "s", get_manager),
        PROPERTY("Planner", "s", get_manager),
        PROPERTY("ConfigurationVersion", "t", get_manager),
        SD_BUS_VTABLE_END,
};

/* ---- Node ---- */

static int
find_node(sd_bus *bus,
          const char *path,
          const char *interface,
          void *userdata,
          void **ret_found,
          sd_bus_error *error) {
        if (!node_by_path(userdata, path))
                return 0;
        *ret_found = userdata;
        return 1;
}

static int
get_node(sd_bus *bus,
         const char *path,
         const char *interface,
         const char *property,
         sd_bus_message *reply,
         void *userdata,
         sd_bus_error *error) {
        Api *a = userdata;
        const HaNode *node = node_by_path(a, path);
        ApiNode n = {};

        if (!node)
                return -ENOENT;
        a->handlers.node(node->id, &n, a->userdata);
        if (streq(property, "Name"))
                return sd_bus_message_append(reply, "s", node->name);
        if (streq(property, "Id"))
                return sd_bus_message_append(reply, "u", node->id);
        if (streq(property, "Votes"))
                return sd_bus_message_append(reply, "u", n.votes);
        if (streq(property, "State"))
                return sd_bus_message_append(reply, "s", n.state);
        if (streq(property, "Standby"))
                return sd_bus_message_append(reply, "b", (int) n.standby);
        if (streq(property, "Managed"))
                return sd_bus_message_append(reply, "b", (int) n.managed);
        if (streq(property, "Rebooted"))
                return sd_bus_message_append(reply, "s", strempty(n.rebooted));
        assert(streq(property, "Note"));
        return sd_bus_message_append(reply, "s", n.note);
}

static const sd_bus_vtable node_vtable[] = {
        SD_BUS_VTABLE_START(0),
        PROPERTY_CONST("Name", "s", get_node),
        PROPERTY_CONST("Id", "u", get_node),
        PROPERTY("Votes", "u", get_node),
        PROPERTY("State", "s", get_node),
        PROPERTY("Standby", "b", get_node),
        PROPERTY("Managed", "b", get_node),
        PROPERTY("Note", "s", get_node),
        PROPERTY("Rebooted", "s", get_node),
        SD_BUS_VTABLE_END,
};

/* ---- Group ---- */

static int
find_group(sd_bus *bus,
           const char *path,
           const char *interface,
           void *userdata,
           void **ret_found,
           sd_bus_error *error) {
        if (!group_by_path(userdata, path))
                return 0;
        *ret_found = userdata;
        return 1;
}

static int append_node_names(sd_bus_message *reply, const HaNodes *nodes, const uint32_t *ids, size_t n) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; r >= 0 && i < n; i++) {
                char name[NAME_LENGTH_MAX + 1];

                r = sd_bus_message_append(reply, "s", ha_nodes_name(nodes, ids[i], name));
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int api_append_node_set(sd_bus_message *reply, const HaNodes *nodes, NodeSet set) {
        uint32_t ids[NODE_ID_MAX];
        size_t n = 0;

        for (size_t i = 0; i < nodes->n_nodes; i++)
                if (node_set_contains(set, nodes->nodes[i].id))
                        ids[n++] = nodes->nodes[i].id;
        return append_node_names(reply, nodes, ids, n);
}

static int append_resources(sd_bus_message *reply, const HaGroup *g) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; r >= 0 && i < g->n_resources; i++) {
                g_autofree char *path = api_resource_path(g->name, g->resources[i].name);

                r = sd_bus_message_append(reply, "o", path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int
get_group(sd_bus *bus,
          const char *path,
          const char *interface,
          const char *property,
          sd_bus_message *reply,
          void *userdata,
          sd_bus_error *error) {
        Api *a = userdata;
        const StateGroup *g = group_by_path(a, path);
        StateGroupStatus status;

        if (!g)
                return -ENOENT;
        if (streq(property, "Name"))
                return sd_bus_message_append(reply, "s", g->name);
        if (streq(property, "Description"))
                return sd_bus_message_append(reply, "s", g->config->description);
        if (streq(property, "Policy"))
                return sd_bus_message_append(reply, "s", g->config->policy->name);
        if (streq(property, "Domain"))
                return append_node_names(reply, a->nodes, g->config->domain, g->config->n_domain);
        if (streq(property, "StandbyNodes"))
                return append_node_names(reply, a->nodes, g->config->standby, g->config->n_standby);
        if (streq(property, "Wanted"))
                return sd_bus_message_append(reply, "s", g->stopped ? "stopped" : "started");
        if (streq(property, "Assignment"))
                return sd_bus_message_append(reply, "t", g->number);
        if (streq(property, "MayRunOn"))
                return api_append_node_set(reply, a->nodes, g->may_run);
        if (streq(property, "Resources"))
                return append_resources(reply, g->config);

        state_group_status(api_state(a), g, &status);
        if (streq(property, "State"))
                return sd_bus_message_append(reply, "s", state_run_to_string(status.run));
        if (streq(property, "Node")) {
                char name[NAME_LENGTH_MAX + 1];

                return sd_bus_message_append(
                                reply, "s", status.node ? ha_nodes_name(a->nodes, status.node, name) : "");
        }
        assert(streq(property, "Reason"));
        return sd_bus_message_append(reply, "s", status.reason);
}

static const sd_bus_vtable group_vtable[] = {
        SD_BUS_VTABLE_START(0),
        PROPERTY_CONST("Name", "s", get_group),
        PROPERTY("Description", "s", get_group),
        PROPERTY("Policy", "s", get_group),
        PROPERTY("Domain", "as", get_group),
        PROPERTY("StandbyNodes", "as", get_group),
        PROPERTY("State", "s", get_group),
        PROPERTY("Wanted", "s", get_group),
        PROPERTY("Node", "s", get_group),
        PROPERTY("Reason", "s", get_group),
        PROPERTY("Assignment", "t", get_group),
        PROPERTY("MayRunOn", "as", get_group),
        PROPERTY("Resources", "ao", get_group),
        SD_BUS_VTABLE_END,
};

/* ---- Resource ---- */

static int
find_resource(sd_bus *bus,
              const char *path,
              const char *interface,
              void *userdata,
              void **ret_found,
              sd_bus_error *error) {
        ResourceRef ref;

        if (!resource_by_path(userdata, path, &ref))
                return 0;
        *ret_found = userdata;
        return 1;
}

/* As the node that the group is on reported it. */
static const char *resource_state(const State *s, const ResourceRef *ref) {
        const StateGroup *g = state_group(s, ref->group->name);
        StateGroupStatus status;
        const StateGroupNode *n;

        state_group_status(s, g, &status);
        if (status.node == 0)
                return state_resource_state_to_string(STATE_RESOURCE_STOPPED);
        /* Nobody is there to tell, be it that the node is out or that its hamgr is away. */
        if (state_node(s, status.node)->state != STATE_NODE_UP || !state_node(s, status.node)->hello)
                return "unknown";
        n = &g->nodes[status.node - 1];
        if (ref->index >= n->n_resources)
                return state_resource_state_to_string(STATE_RESOURCE_STOPPED);
        return state_resource_state_to_string(n->resources[ref->index]);
}

static int
get_resource(sd_bus *bus,
             const char *path,
             const char *interface,
             const char *property,
             sd_bus_message *reply,
             void *userdata,
             sd_bus_error *error) {
        Api *a = userdata;
        ResourceRef ref;

        if (!resource_by_path(a, path, &ref))
                return -ENOENT;
        if (streq(property, "Name"))
                return sd_bus_message_append(reply, "s", ref.resource->name);
        if (streq(property, "Group")) {
                g_autofree char *group = api_group_path(ref.group->name);

                return sd_bus_message_append(reply, "o", group);
        }
        if (streq(property, "Type"))
                return sd_bus_message_append(reply, "s", ha_resource_type_to_string(ref.resource->type));
        if (streq(property, "Unit")) {
                g_autofree char *agent =
                                g_strdup_printf("hamgr-%s-%s.service", ref.group->name, ref.resource->name);

                return sd_bus_message_append(
                                reply,
                                "s",
                                ref.resource->type == HA_RESOURCE_UNIT ? ref.resource->unit.unit : agent);
        }
        assert(streq(property, "State"));
        return sd_bus_message_append(reply, "s", resource_state(api_state(a), &ref));
}

static const sd_bus_vtable resource_vtable[] = {
        SD_BUS_VTABLE_START(0),
        PROPERTY_CONST("Name", "s", get_resource),
        PROPERTY_CONST("Group", "o", get_resource),
        PROPERTY_CONST("Type", "s", get_resource),
        PROPERTY("Unit", "s", get_resource),
        PROPERTY("State", "s", get_resource),
        SD_BUS_VTABLE_END,
};

/* ---- What there is ---- */

/* The prefix that sd-bus hands to an enumerator is where it was asked, not where it was registered: hence
 * one function for each kind. */
static int take_paths(GPtrArray *paths, char ***ret_nodes) {
        g_ptr_array_add(paths, NULL);
        *ret_nodes = (char **) g_ptr_array_free(paths, FALSE);
        return 0;
}

void api_list_nodes(const Api *a, GPtrArray *paths) {
        for (size_t i = 0; i < a->nodes->n_nodes; i++)
                g_ptr_array_add(paths, api_node_path(a->nodes->nodes[i].name));
}

static int
list_nodes(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        GPtrArray *paths = g_ptr_array_new();

        api_list_nodes(userdata, paths);
        return take_paths(paths, ret_nodes);
}

void api_list_groups(const Api *a, GPtrArray *paths) {
        const State *s = api_state(a);

        for (size_t i = 0; s && i < state_n_groups(s); i++)
                g_ptr_array_add(paths, api_group_path(state_group_at(s, i)->name));
}

void api_list_resources(const Api *a, GPtrArray *paths) {
        const State *s = api_state(a);

        for (size_t i = 0; s && i < state_n_groups(s); i++) {
                const HaGroup *g = state_group_at(s, i)->config;

                for (size_t j = 0; j < g->n_resources; j++)
                        g_ptr_array_add(paths, api_resource_path(g->name, g->resources[j].name));
        }
}

static int
list_groups(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        GPtrArray *paths = g_ptr_array_new();

        api_list_groups(userdata, paths);
        return take_paths(paths, ret_nodes);
}

static int
list_resources(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        GPtrArray *paths = g_ptr_array_new();

        api_list_resources(userdata, paths);
        return take_paths(paths, ret_nodes);
}

static const struct {
        const char *prefix;
        const char *interface;
        const sd_bus_vtable *vtable;
        sd_bus_object_find_t find;
        sd_bus_node_enumerator_t list;
} KINDS[] = {
        { API_NODE_PREFIX, API_NODE_INTERFACE, node_vtable, find_node, list_nodes },
        { API_GROUP_PREFIX, API_GROUP_INTERFACE, group_vtable, find_group, list_groups },
        { API_RESOURCE_PREFIX, API_RESOURCE_INTERFACE, resource_vtable, find_resource, list_resources },
};

int api_add_objects(Api *a) {
        sd_bus_slot *slot;
        int r;

        r = sd_bus_add_object_manager(a->bus, &slot, API_PATH);
        if (r < 0)
                return r;
        g_ptr_array_add(a->slots, slot);
        r = sd_bus_add_object_vtable(a->bus, &slot, API_PATH, API_MANAGER_INTERFACE, manager_vtable, a);
        if (r < 0)
                return r;
        g_ptr_array_add(a->slots, slot);
        FOREACH_ARRAY(k, KINDS, ELEMENTSOF(KINDS)) {
                r = sd_bus_add_fallback_vtable(
                                a->bus, &slot, k->prefix, k->interface, k->vtable, k->find, a);
                if (r < 0)
                        return r;
                g_ptr_array_add(a->slots, slot);
                r = sd_bus_add_node_enumerator(a->bus, &slot, k->prefix, k->list, a);
                if (r < 0)
                        return r;
                g_ptr_array_add(a->slots, slot);
        }
        return 0;
}
