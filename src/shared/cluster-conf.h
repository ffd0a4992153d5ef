/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* cluster.conf: who the nodes are, how they talk, how they are fenced. The same on every node. Parsed
 * strictly, all errors at once; the canonical form (everything set, fixed order, no comments) is what is
 * hashed and compared. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "basic/conf-parser.h"
#include "basic/macro.h"
#include "basic/node-set.h"
#include "basic/parse.h"

/* Where hagcd keeps what it promised; whether there is one is what others may ask. */
#define CLUSTER_STORE_PATH "/var/lib/hagcd/store"
#define CLUSTER_CONF_PATH "/etc/hamgr/cluster.conf"
/* Beside it: the one before, which is in force while a change waits. */
#define CLUSTER_CONF_FORMER_SUFFIX ".former"

#define CLUSTER_LINKS_MAX 8U
#define CLUSTER_FENCE_DEVICES_MAX 16U
#define CLUSTER_VOTES_MAX 16U
#define CLUSTER_ADDRESS_TEXT_MAX 46U
#define CLUSTER_ACCESSES_MAX 64U
#define CLUSTER_PRINCIPALS_MAX 32U /* in one key */

/* hamgr acts on what is said in its group, and a state is handed over by its oldest member: groups whose
 * names begin so are for root. */
#define CLUSTER_ROOT_GROUPS "hamgr"

#define CLUSTER_PORT_DEFAULT 7700U
#define CLUSTER_UNSEEN_FENCE_USEC_DEFAULT (20 * UINT64_C(1000000))
#define CLUSTER_REJOIN_HOLD_USEC_DEFAULT (300 * UINT64_C(1000000))
#define CLUSTER_FENCE_TIMEOUT_USEC_DEFAULT (10 * UINT64_C(1000000))
/* A management controller takes a second for a session, and some more until a server counts as off. */
#define CLUSTER_REDFISH_TIMEOUT_USEC_DEFAULT (20 * UINT64_C(1000000))

#define CLUSTER_FENCE_CHECK_USEC_DEFAULT (600 * UINT64_C(1000000))
#define CLUSTER_FENCE_CHECK_USEC_MIN (1 * UINT64_C(1000000))

/* Address of a node on one link; the port is set (Port + link). */
typedef union ClusterAddress {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
} ClusterAddress;

/* What a node does that lost quorum (R12). */
typedef enum ClusterOnQuorumLoss {
        CLUSTER_STOPS,   /* stops its groups, and is reset when they still run at the end of its lease */
        CLUSTER_FREEZES, /* goes on, and nothing is taken over from it by time */
        CLUSTER_RESETS,  /* is reset at the end of its lease */
        _CLUSTER_ON_QUORUM_LOSS_MAX,
        _CLUSTER_ON_QUORUM_LOSS_INVALID = -EINVAL,
} ClusterOnQuorumLoss;

/* Whether it has a watchdog that may count as proof. */
typedef enum ClusterWatchdog {
        CLUSTER_WATCHDOG_NO,
        CLUSTER_WATCHDOG_HARDWARE, /* systemd pets it, and this is no virtual machine */
        CLUSTER_WATCHDOG_VOUCHED,  /* an operator vouches that it runs on while the machine is paused */
        _CLUSTER_WATCHDOG_MAX,
        _CLUSTER_WATCHDOG_INVALID = -EINVAL,
} ClusterWatchdog;

typedef struct ClusterNode {
        uint32_t id;
        char name[NAME_LENGTH_MAX + 1];
        uint32_t votes;
        bool enabled;
        ClusterWatchdog watchdog;
        uint64_t watchdog_usec; /* 0: as its driver says */

        ClusterAddress addresses[CLUSTER_LINKS_MAX]; /* the first n_links of the ClusterConf */

        unsigned line, address_line; /* where it stands in its file */
} ClusterNode;

typedef struct ClusterFenceNode {
        uint32_t node_id;
        char name[NAME_LENGTH_MAX + 1];
        char *plug; /* owned; of Redfish: as redfish_address_parse() reads it */
} ClusterFenceNode;

typedef enum ClusterFenceType {
        CLUSTER_FENCE_AGENT,
        CLUSTER_FENCE_REDFISH,
        _CLUSTER_FENCE_TYPE_MAX,
        _CLUSTER_FENCE_TYPE_INVALID = -EINVAL,
} ClusterFenceType;

typedef struct ClusterFence {
        char name[NAME_LENGTH_MAX + 1];
        uint32_t level; /* from 1; of a node, those of one level count together */
        ClusterFenceType type;
        char *agent; /* owned: absolute path; NULL with Redfish */
        uint64_t timeout_usec;
        uint64_t check_usec; /* from one health check to the next; 0: none */
        bool power_on;

        ClusterFenceNode *nodes; /* owned, by ascending node id */
        size_t n_nodes;

        char **parameters; /* owned: "key=value" in file order */
        size_t n_parameters;
        char *parameter_file; /* owned: absolute path, or NULL */
        char *credential;     /* owned: name of a credential of hamgr.service, or NULL */

        char *ca_file; /* owned: absolute path; NULL: the system's */
        bool no_verification;
} ClusterFence;

/* Whom an [Access] section means. */
typedef struct ClusterPrincipal {
        char *text;     /* owned: as it was written */
        bool group;     /* @... */
        bool everybody; /* "*" */
        bool known;     /* always so of numbers; of names when this node has them */
        uint32_t id;
} ClusterPrincipal;

typedef struct ClusterPrincipals {
        ClusterPrincipal *items; /* owned */
        size_t n_items;
        bool given;
} ClusterPrincipals;

/* cluster-access.h */
typedef struct ClusterAccess {
        char pattern[NAME_LENGTH_MAX + 1]; /* of names of groups */
        ClusterPrincipals join;            /* not given: everybody */
        ClusterPrincipals critical;        /* not given: nobody; root may always */
        unsigned line;
} ClusterAccess;

/* How messages of groups go from node to node; gcs.h says what each means. */
typedef enum ClusterDissemination {
        CLUSTER_DISSEMINATION_AUTO,
        CLUSTER_DISSEMINATION_RING,
        CLUSTER_DISSEMINATION_FANOUT,
        _CLUSTER_DISSEMINATION_MAX,
        _CLUSTER_DISSEMINATION_INVALID = -EINVAL,
} ClusterDissemination;

/* The kinds of section that are hashed apart, so that two nodes can say in which they differ. */
typedef enum ClusterConfKind {
        CLUSTER_CONF_CLUSTER,
        CLUSTER_CONF_NODE,
        CLUSTER_CONF_FENCE,
        _CLUSTER_CONF_KIND_MAX,
        _CLUSTER_CONF_KIND_INVALID = -EINVAL,
} ClusterConfKind;

typedef struct ClusterConf {
        char *file; /* owned: as it was named when it was read */
        unsigned name_line, port_line, timers_line, quorum_loss_line;

        char name[NAME_LENGTH_MAX + 1];
        uint64_t heartbeat_usec; /* as given, or as FailoverWithinSec= wants it */
        uint64_t failure_usec;
        uint16_t port;
        uint32_t tie_breaker;       /* node id; 0 when no node is enabled, which is refused */
        uint64_t unseen_fence_usec; /* 0: never */
        uint64_t fence_delay_usec;
        uint64_t rejoin_hold_usec; /* 0: nobody is held off */
        ClusterDissemination dissemination;
        ClusterOnQuorumLoss on_quorum_loss;

        ClusterNode *nodes; /* owned, by ascending id */
        size_t n_nodes;
        uint32_t n_links;

        ClusterFence *fences; /* owned, by level */
        size_t n_fences;

        uint64_t hashes[_CLUSTER_CONF_KIND_MAX];
        uint64_t hash; /* of all */

        ClusterAccess *accesses; /* owned, in file order */
        size_t n_accesses;
        uint64_t access_hash; /* not in that hash: a change of these needs no membership */
} ClusterConf;

/* Parses and validates. 0 and a configuration; or -EINVAL, and errors tell all that is wrong; or -ENOMEM. */
int cluster_conf_parse(
                const char *file,
                const char *text,
                size_t size_bytes,
                ConfErrors *errors,
                ClusterConf **ret);

/* Reads the file, then the same. An unreadable file is told in errors too, and its errno returned. */
int cluster_conf_load(const char *path, ConfErrors *errors, ClusterConf **ret);

ClusterConf *cluster_conf_free(ClusterConf *c);
DEFINE_TRIVIAL_CLEANUP(ClusterConf *, cluster_conf_free);

/* NULL when there is none. */
const ClusterNode *cluster_conf_node_by_name(const ClusterConf *c, const char *name);
const ClusterNode *cluster_conf_node_by_id(const ClusterConf *c, uint32_t id);

/* The name of the node, "node 7" style texts being the caller's business: NULL when there is none. */
const char *cluster_conf_node_name(const ClusterConf *c, uint32_t id);

/* A hash of its name and addresses: whoever has another one under the same id is another node. */
uint32_t cluster_conf_node_identity(const ClusterConf *c, const ClusterNode *n);

/* All configured nodes; those with Enabled=yes. */
NodeSet cluster_conf_nodes(const ClusterConf *c);
NodeSet cluster_conf_enabled_nodes(const ClusterConf *c);

/* Votes of the enabled nodes of the set; all of them with NODE_SET_ALL. */
uint32_t cluster_conf_votes(const ClusterConf *c, NodeSet set);

/* Nodes that at least one fence device can switch off. */
NodeSet cluster_conf_fenceable_nodes(const ClusterConf *c);

/* What a node does that lost quorum, where nothing is said: it stops its groups where one has a watchdog and
 * no device, so that it can be proven dead at all; else it freezes (R12). */
ClusterOnQuorumLoss cluster_conf_on_quorum_loss_default(const ClusterConf *c);

/* The plug of the node at that device, NULL when the device does not serve it. */
const char *cluster_fence_plug(const ClusterFence *f, uint32_t node_id);
/* Not simply one after the other in the order of the file. */
bool cluster_conf_has_levels(const ClusterConf *c);
/* The longest that fencing this node can take: the limits of its devices, summed. 0: it has none. */
uint64_t cluster_conf_fence_usec(const ClusterConf *c, uint32_t node_id);

/* Are they the same server? One of another name or address under the same id is another. */
bool cluster_node_same(const ClusterNode *a, const ClusterNode *b, uint32_t n_links);

/* Nodes that are in one and not, or not as the same server, in the other. */
NodeSet cluster_conf_nodes_missing(const ClusterConf *in, const ClusterConf *from);

/* What hagcd of node self, running with the one, cannot take over from the other without being started anew.
 * Each is an error with its line. 0, or -ENOMEM. */
int cluster_conf_check_change(
                const ClusterConf *running, const ClusterConf *now, uint32_t self, ConfErrors *errors);

/* For cluster_conf_free(); NULL when memory ran out. */
ClusterConf *cluster_conf_copy(const ClusterConf *c);

/* The canonical text, for free(); itself a valid cluster.conf. NULL when memory ran out. */
char *cluster_conf_to_text(const ClusterConf *c);

const char *cluster_dissemination_to_string(ClusterDissemination i);
ClusterDissemination cluster_dissemination_from_string(const char *s);
const char *cluster_fence_type_to_string(ClusterFenceType i);
ClusterFenceType cluster_fence_type_from_string(const char *s);

const char *cluster_on_quorum_loss_to_string(ClusterOnQuorumLoss i);
ClusterOnQuorumLoss cluster_on_quorum_loss_from_string(const char *s);

const char *cluster_watchdog_to_string(ClusterWatchdog i);
ClusterWatchdog cluster_watchdog_from_string(const char *s);

const char *cluster_conf_kind_to_string(ClusterConfKind i);
ClusterConfKind cluster_conf_kind_from_string(const char *s);

/* Length of an address for bind() and sendto(); its text. */
socklen_t cluster_address_length(const ClusterAddress *a);
bool cluster_address_equal(const ClusterAddress *a, const ClusterAddress *b); /* without ports */
uint16_t cluster_address_port(const ClusterAddress *a);
const char *cluster_address_format(const ClusterAddress *a, char buf[static CLUSTER_ADDRESS_TEXT_MAX]);
