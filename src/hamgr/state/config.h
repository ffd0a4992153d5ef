/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Groups and policies: from the texts that administrators write to typed values, checked as a whole.
 *
 * The replicated configuration is a set of files (name and text). It is parsed by every replica from the
 * same bytes, so that all hold the same values. What is wrong is collected, each as one line "file:line:
 * what, what was meant". */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "basic/conf-parser.h"
#include "basic/node-set.h"
#include "basic/parse.h"

#define HA_FILES_MAX 1024U
#define HA_FILE_NAME_MAX 128U /* with the final zero */
/* All names and texts together; twice it, in force and prepared, fits into one message. */
#define HA_CONFIG_BYTES_MAX 393216U
/* Of cluster.conf. In force, wanted and prepared, it fits beside them. */
#define HA_CLUSTER_BYTES_MAX 65536U
#define HA_POLICIES_MAX 128U
#define HA_GROUPS_MAX 256U
#define HA_RESOURCES_MAX 64U /* in one group */
#define HA_VALUE_MAX 1024U   /* bytes in one value */
#define HA_POLICY_DEFAULT "active_standby"

/* Number of a membership: compared by epoch, then node. Epoch 0: none. */
typedef struct HaMid {
        uint64_t epoch;
        uint32_t node;
} HaMid;

static inline int ha_mid_compare(HaMid a, HaMid b) {
        return a.epoch != b.epoch ? CMP(a.epoch, b.epoch) : CMP(a.node, b.node);
}

/* What the cores need of cluster.conf. They cannot read it: whoever gives it to them has. */
typedef struct HaNode {
        uint32_t id;
        char name[NAME_LENGTH_MAX + 1];
        bool enabled;
        bool has_fence_device;
        uint64_t fence_timeout_usec; /* of all its devices, one after the other */
        uint32_t identity; /* of name and addresses: with another one, the id is another server's */
        bool gone;         /* cluster.conf does not name it any more, and something here still does */
} HaNode;

typedef struct HaNodes {
        HaNode nodes[NODE_ID_MAX]; /* by id, ascending */
        size_t n_nodes;

        uint64_t failure_usec;      /* FailureSec= */
        uint64_t unseen_fence_usec; /* UnseenFenceSec=; 0: never */

        uint64_t hash; /* of all of cluster.conf, as hagcd has it */
} HaNodes;

const HaNode *ha_nodes_find(const HaNodes *nodes, uint32_t id);
const HaNode *ha_nodes_find_name(const HaNodes *nodes, const char *name);
/* "node 7" is made up for an id that is not configured; never NULL. Valid until the next call with this
 * buffer. */
const char *ha_nodes_name(const HaNodes *nodes, uint32_t id, char buf[static NAME_LENGTH_MAX + 1]);

typedef enum HaPlacement {
        HA_PLACEMENT_ORDERED,
        _HA_PLACEMENT_MAX,
        _HA_PLACEMENT_INVALID = -EINVAL,
} HaPlacement;

typedef enum HaFailback {
        HA_FAILBACK_AUTOMATIC,
        HA_FAILBACK_CONTROLLED,
        HA_FAILBACK_NEVER,
        _HA_FAILBACK_MAX,
        _HA_FAILBACK_INVALID = -EINVAL,
} HaFailback;

typedef enum HaStopFailure {
        HA_STOP_FAILURE_FENCE,
        HA_STOP_FAILURE_BLOCK,
        _HA_STOP_FAILURE_MAX,
        _HA_STOP_FAILURE_INVALID = -EINVAL,
} HaStopFailure;

const char *ha_placement_to_string(HaPlacement i) _const_;
HaPlacement ha_placement_from_string(const char *s);
const char *ha_failback_to_string(HaFailback i) _const_;
HaFailback ha_failback_from_string(const char *s);
const char *ha_stop_failure_to_string(HaStopFailure i) _const_;
HaStopFailure ha_stop_failure_from_string(const char *s);

typedef struct HaPolicy {
        char name[NAME_LENGTH_MAX + 1];
        char *description; /* owned, never NULL */

        HaPlacement placement;
        HaFailback failback;
        uint32_t restarts; /* in place, within restart_window_usec, before a move */
        uint64_t restart_window_usec;
        uint32_t standby_load; /* groups that one Standby= node takes; 0: no limit */
        HaStopFailure on_stop_failure;
} HaPolicy;

typedef enum HaResourceType {
        HA_RESOURCE_MOUNT,
        HA_RESOURCE_ADDRESS,
        HA_RESOURCE_UNIT,
        _HA_RESOURCE_TYPE_MAX,
        _HA_RESOURCE_TYPE_INVALID = -EINVAL,
} HaResourceType;

const char *ha_resource_type_to_string(HaResourceType i) _const_; /* "mount", "address", "unit" */
HaResourceType ha_resource_type_from_string(const char *s);

/* All texts are owned and never NULL; a text that the file does not give is "". */
typedef struct HaResource {
        HaResourceType type;
        char name[NAME_LENGTH_MAX + 1];
        char *where_text; /* "web.group:12", for messages about this resource */

        struct {
                char *what, *where, *type, *options;
                bool fsck;
        } mount;

        struct {
                char *address; /* canonical text, without prefix */
                int family;    /* 4 or 6 */
                uint32_t prefix;
                char *interface;
        } address;

        struct {
                char *unit;             /* with its suffix */
                uint64_t watchdog_usec; /* 0: none */
        } unit;

        uint64_t start_usec, stop_usec; /* how long a start or stop may take */
} HaResource;

typedef struct HaGroup {
        char name[NAME_LENGTH_MAX + 1];
        char *description;      /* owned, never NULL */
        const HaPolicy *policy; /* weak: of the same HaConfig */

        uint32_t domain[NODE_ID_MAX]; /* in the order of preference */
        size_t n_domain;
        uint32_t standby[NODE_ID_MAX];
        size_t n_standby;
        NodeSet domain_set, standby_set;

        HaResource *resources; /* owned; in start order */
        size_t n_resources;
        uint64_t resources_hash; /* differs when what has to run differs */
} HaGroup;

typedef struct HaFile {
        char *name; /* owned */
        char *text; /* owned */
} HaFile;

typedef struct HaConfig {
        HaFile *files; /* owned; by name */
        size_t n_files;
        HaPolicy *policies; /* owned; by name */
        size_t n_policies;
        HaGroup *groups; /* owned; by name */
        size_t n_groups;
        uint64_t hash; /* over the files' names and texts */
} HaConfig;

/* Parses and validates a whole set of files. Names are "x.policy", "x.group", "x.group.d/y.conf",
 * "x.policy.d/y.conf". Policies of /usr/lib/hamgr/policy that a group names are part of the set: whoever
 * collects it adds them. Only active_standby is known without a file. Returns 0, or -EINVAL with at least
 * one line in errors (char *, g_free). */
int ha_config_parse(
                const HaNodes *nodes,
                const HaFile *files,
                size_t n_files,
                HaConfig **ret,
                ConfErrors *errors);
HaConfig *ha_config_free(HaConfig *c);
DEFINE_TRIVIAL_CLEANUP(HaConfig *, ha_config_free);

/* The configuration without a file: no group. */
HaConfig *ha_config_new_empty(void);

const HaGroup *ha_config_find_group(const HaConfig *c, const char *name);
const HaPolicy *ha_config_find_policy(const HaConfig *c, const char *name);
const HaResource *ha_group_find_resource(const HaGroup *g, const char *name);

/* Place of a node among the group's candidates: domain first, then standby; SIZE_MAX when it is neither. */
size_t ha_group_rank(const HaGroup *g, uint32_t node);
static inline NodeSet ha_group_nodes(const HaGroup *g) {
        return g->domain_set | g->standby_set;
}

/* What may not change while the group may run somewhere: resources that are in old and not, or not the same,
 * in new. Appends a line for each. Returns how many. */
size_t ha_group_resources_removed(const HaGroup *old, const HaGroup *new_or_null, GPtrArray *lines);

/* What differs between two configurations, a line for each group and policy that has a file: "group web:
 * removed"; also added and changed. */
GPtrArray *ha_config_changes(const HaConfig *old, const HaConfig *now);

/* The names of the main files ("web.group") of which there are some in old and none in now. */
GPtrArray *ha_config_missing(const HaConfig *old, const HaConfig *now);

/* Canonical form of a file set: sorted by name, each with lengths. */
GBytes *ha_files_serialize(const HaFile *files, size_t n_files);
int ha_files_deserialize(const void *data, size_t size_bytes, HaFile **ret_files, size_t *ret_n_files);
HaFile *ha_files_free(HaFile *files, size_t n_files);
uint64_t ha_files_hash(const HaFile *files, size_t n_files);
