/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From the text of cluster.conf to a ClusterConf in three steps: keys to raw values (by table), raw values
 * to the structs, and then the checks that need more than one section. All of them run even when one failed,
 * so that a file with three errors is corrected once. */

#include <arpa/inet.h>
#include <stdio.h>

#include "basic/checksum.h"
#include "basic/string-table.h"
#include "basic/time-util.h"
#include "shared/cluster-access.h"
#include "shared/cluster-timers.h"
#include "shared/file-util.h"
#include "shared/redfish-address.h"

#define FENCE_AGENT_FOLDER "/usr/sbin"

static const char *const cluster_conf_kind_table[_CLUSTER_CONF_KIND_MAX] = {
        [CLUSTER_CONF_CLUSTER] = "cluster",
        [CLUSTER_CONF_NODE] = "node",
        [CLUSTER_CONF_FENCE] = "fence",
};
DEFINE_STRING_TABLE(cluster_conf_kind, ClusterConfKind);

static const char *const cluster_fence_type_table[_CLUSTER_FENCE_TYPE_MAX] = {
        [CLUSTER_FENCE_AGENT] = "agent",
        [CLUSTER_FENCE_REDFISH] = "redfish",
};
DEFINE_STRING_TABLE(cluster_fence_type, ClusterFenceType);

static const char *const cluster_dissemination_table[_CLUSTER_DISSEMINATION_MAX] = {
        [CLUSTER_DISSEMINATION_AUTO] = "auto",
        [CLUSTER_DISSEMINATION_RING] = "ring",
        [CLUSTER_DISSEMINATION_FANOUT] = "fanout",
};
DEFINE_STRING_TABLE(cluster_dissemination, ClusterDissemination);

static const char *const cluster_on_quorum_loss_table[_CLUSTER_ON_QUORUM_LOSS_MAX] = {
        [CLUSTER_STOPS] = "stop",
        [CLUSTER_FREEZES] = "freeze",
        [CLUSTER_RESETS] = "reset",
};
DEFINE_STRING_TABLE(cluster_on_quorum_loss, ClusterOnQuorumLoss);

static const char *const cluster_watchdog_table[_CLUSTER_WATCHDOG_MAX] = {
        [CLUSTER_WATCHDOG_NO] = "no",
        [CLUSTER_WATCHDOG_HARDWARE] = "hardware",
        [CLUSTER_WATCHDOG_VOUCHED] = "vouched",
};
DEFINE_STRING_TABLE(cluster_watchdog, ClusterWatchdog);

/* ---- Raw values, as the tables fill them in ---- */

typedef struct RawCluster {
        char *name;
        uint64_t failover_usec;  /* USEC_INFINITY: not given; */
        uint64_t heartbeat_usec; /* the same */
        uint64_t failure_usec;
        uint64_t fence_delay_usec;
        uint64_t unseen_fence_usec;
        uint64_t rejoin_hold_usec;
        int on_quorum_loss; /* negative: not given */
        uint32_t port;
        char *tie_breaker;
        int dissemination;
} RawCluster;

typedef struct RawNode {
        uint32_t id;
        uint32_t votes;
        bool enabled;
        int watchdog;
        uint64_t watchdog_usec;
        ConfList addresses;
} RawNode;

typedef struct RawFence {
        int type;
        uint32_t level; /* 0: not given */
        char *agent;
        ConfList nodes;
        ConfList parameters;
        char *parameter_file;
        char *credential;
        char *ca_file;
        bool verify;
        uint64_t timeout_usec; /* USEC_INFINITY: not given */
        uint64_t check_usec;
        bool power_on;
} RawFence;

static const ConfRange failover_range = { CLUSTER_FAILOVER_USEC_MIN, CLUSTER_FAILOVER_USEC_MAX };
static const ConfRange heartbeat_range = { CLUSTER_HEARTBEAT_USEC_MIN, CLUSTER_HEARTBEAT_USEC_MAX };
static const ConfRange failure_range = { 60 * USEC_PER_MSEC, 60 * USEC_PER_SEC };
static const ConfRange delay_range = { 0, USEC_PER_HOUR };
static const ConfRange rejoin_hold_range = { 0, USEC_PER_DAY };
static const ConfRange timeout_range = { 100 * USEC_PER_MSEC, 10 * USEC_PER_MINUTE };
static const ConfRange check_range = { 0, USEC_PER_DAY };
static const ConfRange watchdog_range = { USEC_PER_SEC, USEC_PER_HOUR };
static const ConfRange port_range = { 1, UINT16_MAX - CLUSTER_LINKS_MAX + 1 };
static const ConfRange level_range = { 1, CLUSTER_FENCE_DEVICES_MAX };
static const ConfRange id_range = { NODE_ID_MIN, NODE_ID_MAX };
static const ConfRange votes_range = { 0, CLUSTER_VOTES_MAX };

static const ConfChoice fence_type_choice = { cluster_fence_type_table, _CLUSTER_FENCE_TYPE_MAX };
static const ConfChoice dissemination_choice = { cluster_dissemination_table, _CLUSTER_DISSEMINATION_MAX };

static const ConfChoice on_quorum_loss_choice = { cluster_on_quorum_loss_table,
                                                  _CLUSTER_ON_QUORUM_LOSS_MAX };
static const ConfChoice watchdog_choice = { cluster_watchdog_table, _CLUSTER_WATCHDOG_MAX };

static const ConfSectionType section_types[] = {
        { "Cluster", CONF_UNNAMED, true },
        { "Node", CONF_NODE_NAMED, true },
        { "Fence", CONF_NAMED, false },
        { "Access", CONF_PATTERN_NAMED, false },
};

static const ConfKey cluster_keys[] = {
        { "Name", conf_convert_name, offsetof(RawCluster, name), CONF_REQUIRED, NULL },
        { "FailoverWithinSec",
          conf_convert_duration,
          offsetof(RawCluster, failover_usec),
          0,
          &failover_range },
        { "HeartbeatSec", conf_convert_duration, offsetof(RawCluster, heartbeat_usec), 0, &heartbeat_range },
        { "FailureSec", conf_convert_duration, offsetof(RawCluster, failure_usec), 0, &failure_range },
        { "Port", conf_convert_u32, offsetof(RawCluster, port), 0, &port_range },
        { "TieBreaker", conf_convert_string, offsetof(RawCluster, tie_breaker), 0, NULL },
        { "UnseenFenceSec",
          conf_convert_duration,
          offsetof(RawCluster, unseen_fence_usec),
          0,
          &delay_range },
        { "FenceDelaySec", conf_convert_duration, offsetof(RawCluster, fence_delay_usec), 0, &delay_range },
        { "RejoinHoldSec",
          conf_convert_duration,
          offsetof(RawCluster, rejoin_hold_usec),
          0,
          &rejoin_hold_range },
        { "Dissemination",
          conf_convert_choice,
          offsetof(RawCluster, dissemination),
          0,
          &dissemination_choice },
        { "OnQuorumLoss",
          conf_convert_choice,
          offsetof(RawCluster, on_quorum_loss),
          0,
          &on_quorum_loss_choice },
};

static const ConfKey node_keys[] = {
        { "Id", conf_convert_u32, offsetof(RawNode, id), CONF_REQUIRED, &id_range },
        { "Address", conf_convert_words, offsetof(RawNode, addresses), CONF_REQUIRED, NULL },
        { "Votes", conf_convert_u32, offsetof(RawNode, votes), 0, &votes_range },
        { "Enabled", conf_convert_bool, offsetof(RawNode, enabled), 0, NULL },
        { "Watchdog", conf_convert_choice, offsetof(RawNode, watchdog), 0, &watchdog_choice },
        { "WatchdogSec", conf_convert_duration, offsetof(RawNode, watchdog_usec), 0, &watchdog_range },
};

static const ConfKey fence_keys[] = {
        { "Type", conf_convert_choice, offsetof(RawFence, type), 0, &fence_type_choice },
        { "Agent", conf_convert_string, offsetof(RawFence, agent), 0, NULL },
        { "Nodes", conf_convert_words, offsetof(RawFence, nodes), CONF_REQUIRED, NULL },
        { "Level", conf_convert_u32, offsetof(RawFence, level), 0, &level_range },
        { "Parameter", conf_convert_lines, offsetof(RawFence, parameters), CONF_REPEATABLE, NULL },
        { "ParameterFile", conf_convert_path, offsetof(RawFence, parameter_file), 0, NULL },
        { "Credential", conf_convert_string, offsetof(RawFence, credential), 0, NULL },
        { "CAFile", conf_convert_path, offsetof(RawFence, ca_file), 0, NULL },
        { "VerifyCertificate", conf_convert_bool, offsetof(RawFence, verify), 0, NULL },
        { "TimeoutSec", conf_convert_duration, offsetof(RawFence, timeout_usec), 0, &timeout_range },
        { "CheckSec", conf_convert_duration, offsetof(RawFence, check_usec), 0, &check_range },
        { "PowerOn", conf_convert_bool, offsetof(RawFence, power_on), 0, NULL },
};

static void raw_cluster_done(RawCluster *raw) {
        free(raw->name);
        free(raw->tie_breaker);
}

static void raw_node_done(RawNode *raw) {
        conf_list_done(&raw->addresses);
}

static void raw_fence_done(RawFence *raw) {
        free(raw->agent);
        conf_list_done(&raw->nodes);
        conf_list_done(&raw->parameters);
        free(raw->parameter_file);
        free(raw->credential);
        free(raw->ca_file);
}

/* ---- The object ---- */

typedef struct Loader {
        const ConfFile *f;
        ConfErrors *errors;
        ClusterConf *c;

        /* The section that each node came from, for the lines in messages. */
        const ConfSection *cluster;
        const ConfSection **node_sections;
        size_t *n_addresses; /* given for each node */
        bool has_levels;     /* the first fence device has Level= */
        char *tie_breaker;   /* owned */
        uint64_t failover_usec;
} Loader;

static void loader_done(Loader *l) {
        free(l->node_sections);
        free(l->n_addresses);
        free(l->tie_breaker);
}

ClusterConf *cluster_conf_free(ClusterConf *c) {
        if (!c)
                return NULL;

        FOREACH_ARRAY(f, c->fences, c->n_fences) {
                free(f->agent);
                FOREACH_ARRAY(n, f->nodes, f->n_nodes)
                        free(n->plug);
                free(f->nodes);
                for (size_t i = 0; i < f->n_parameters; i++)
                        free(f->parameters[i]);
                free(f->parameters);
                free(f->parameter_file);
                free(f->credential);
                free(f->ca_file);
        }
        free(c->fences);
        cluster_access_done(c);
        free(c->nodes);
        free(c->file);

        free(c);
        return NULL;
}

/* Reports at the key, or at the section when the key is not given. */
#define report_at(l, section, key, ...)                                                                     \
        ({                                                                                                  \
                const ConfSection *_s = (section);                                                          \
                const ConfEntry *_e = conf_section_find(_s, key);                                           \
                _e ? conf_value_error(_e, (l)->errors, __VA_ARGS__)                                         \
                   : conf_errors_add((l)->errors, _s->file, _s->line, __VA_ARGS__);                         \
        })

/* ---- [Cluster] ---- */

/* Of the last of the keys that is given; else of the section. */
static unsigned line_of_keys(const ConfSection *s, const char *const *keys, size_t n_keys) {
        unsigned line = s->line;

        FOREACH_ARRAY(key, keys, n_keys) {
                const ConfEntry *e = conf_section_find(s, *key);

                line = e ? e->line : line;
        }
        return line;
}
#define line_of(section, ...)                                                                               \
        line_of_keys(section,                                                                               \
                     (const char *const[]){ __VA_ARGS__ },                                                  \
                     ELEMENTSOF(((const char *const[]){ __VA_ARGS__ })))

static int load_cluster(Loader *l) {
        _cleanup_(raw_cluster_done) RawCluster raw = {
                .failover_usec = USEC_INFINITY,
                .heartbeat_usec = USEC_INFINITY,
                .failure_usec = USEC_INFINITY,
                .unseen_fence_usec = CLUSTER_UNSEEN_FENCE_USEC_DEFAULT,
                .fence_delay_usec = USEC_INFINITY,
                .rejoin_hold_usec = CLUSTER_REJOIN_HOLD_USEC_DEFAULT,
                .on_quorum_loss = _CLUSTER_ON_QUORUM_LOSS_INVALID,
                .port = CLUSTER_PORT_DEFAULT,
                .dissemination = CLUSTER_DISSEMINATION_AUTO,
        };
        ClusterConf *c = l->c;
        int r;

        l->cluster = conf_file_find(l->f, "Cluster", NULL);
        if (!l->cluster)
                return 0;

        r = conf_section_convert(l->cluster, cluster_keys, ELEMENTSOF(cluster_keys), &raw, l->errors);
        if (r < 0)
                return r;

        (void) snprintf(c->name, sizeof(c->name), "%s", strempty(raw.name));
        l->failover_usec = raw.failover_usec;
        c->heartbeat_usec = raw.heartbeat_usec;
        c->failure_usec = raw.failure_usec;
        c->unseen_fence_usec = raw.unseen_fence_usec;
        c->fence_delay_usec = raw.fence_delay_usec;
        c->rejoin_hold_usec = raw.rejoin_hold_usec;
        c->dissemination = (ClusterDissemination) raw.dissemination;
        c->on_quorum_loss = (ClusterOnQuorumLoss) raw.on_quorum_loss;
        c->port = (uint16_t) raw.port;
        l->tie_breaker = TAKE_PTR(raw.tie_breaker);
        c->name_line = line_of(l->cluster, "Name");
        c->port_line = line_of(l->cluster, "Port");
        c->timers_line = line_of(l->cluster, "FailoverWithinSec", "HeartbeatSec", "FailureSec");
        c->quorum_loss_line = line_of(l->cluster, "OnQuorumLoss");
        return 0;
}

/* ---- [Node] ---- */

static int parse_address(const char *text, uint16_t port, ClusterAddress *ret) {
        ClusterAddress a = {};

        if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1) {
                a.in.sin_family = AF_INET;
                a.in.sin_port = htons(port);
                if (a.in.sin_addr.s_addr == htonl(INADDR_ANY) || IN_MULTICAST(ntohl(a.in.sin_addr.s_addr)) ||
                    a.in.sin_addr.s_addr == htonl(INADDR_BROADCAST))
                        return -EADDRNOTAVAIL;
        } else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1) {
                a.in6.sin6_family = AF_INET6;
                a.in6.sin6_port = htons(port);
                if (IN6_IS_ADDR_UNSPECIFIED(&a.in6.sin6_addr) || IN6_IS_ADDR_MULTICAST(&a.in6.sin6_addr) ||
                    IN6_IS_ADDR_LINKLOCAL(&a.in6.sin6_addr) || IN6_IS_ADDR_V4MAPPED(&a.in6.sin6_addr))
                        return -EADDRNOTAVAIL;
        } else
                return -EINVAL;

        *ret = a;
        return 0;
}

static int
load_addresses(Loader *l, const ConfSection *s, const ConfList *list, ClusterNode *node, size_t *ret_n) {
        size_t n = 0;

        if (list->n_items > CLUSTER_LINKS_MAX)
                return report_at(
                                l,
                                s,
                                "Address",
                                "at most %u addresses, one for each link",
                                CLUSTER_LINKS_MAX);

        for (size_t i = 0; i < list->n_items; i++) {
                int r = parse_address(list->items[i], (uint16_t) (l->c->port + i), &node->addresses[i]);

                if (r == -EINVAL)
                        r = report_at(l,
                                      s,
                                      "Address",
                                      "\"%s\" is no address; write numbers such as 10.1.0.1 or fd00::1, not "
                                      "names",
                                      list->items[i]);
                else if (r == -EADDRNOTAVAIL)
                        r = report_at(l,
                                      s,
                                      "Address",
                                      "%s cannot be the address of one node on a link",
                                      list->items[i]);
                else
                        n++;
                if (r < 0)
                        return r;
        }

        /* Counted only when all are good, so that one bad address is one error. */
        *ret_n = n == list->n_items ? n : 0;
        return 0;
}

/* With a driver its own time counts; without one nobody else can know it. */
static int check_watchdog(Loader *l, const ConfSection *s, const ClusterNode *node) {
        if (node->watchdog != CLUSTER_WATCHDOG_VOUCHED && node->watchdog_usec != 0)
                return report_at(
                                l,
                                s,
                                "WatchdogSec",
                                "is for Watchdog=vouched, where systemd may not know the watchdog; with "
                                "Watchdog=hardware its driver's time counts");
        if (node->watchdog == CLUSTER_WATCHDOG_VOUCHED && node->watchdog_usec == 0)
                return report_at(
                                l,
                                s,
                                "Watchdog",
                                "WatchdogSec= is missing: after how long without a sign of life the "
                                "watchdog that is vouched for resets this node");
        return 0;
}

static int load_node(Loader *l, const ConfSection *s, ClusterNode *node, size_t *ret_n_addresses) {
        _cleanup_(raw_node_done) RawNode raw = { .votes = 1, .enabled = true };
        int r;

        r = conf_section_convert(s, node_keys, ELEMENTSOF(node_keys), &raw, l->errors);
        if (r < 0)
                return r;

        *node = (ClusterNode){
                .id = raw.id,
                .votes = raw.votes,
                .enabled = raw.enabled,
                .watchdog = (ClusterWatchdog) raw.watchdog,
                .watchdog_usec = raw.watchdog_usec,
                .line = s->line,
                .address_line = line_of(s, "Address"),
        };
        (void) snprintf(node->name, sizeof(node->name), "%s", strempty(s->name));
        r = check_watchdog(l, s, node);
        if (r < 0)
                return r;

        return load_addresses(l, s, &raw.addresses, node, ret_n_addresses);
}

static int load_nodes(Loader *l) {
        size_t n = 0;

        FOREACH_ARRAY(s, l->f->sections, l->f->n_sections)
                n += streq(s->kind, "Node");

        l->c->nodes = calloc(n + 1, sizeof(ClusterNode));
        l->node_sections = calloc(n + 1, sizeof(ConfSection *));
        l->n_addresses = calloc(n + 1, sizeof(size_t));
        if (!l->c->nodes || !l->node_sections || !l->n_addresses)
                return -ENOMEM;

        FOREACH_ARRAY(s, l->f->sections, l->f->n_sections) {
                size_t i = l->c->n_nodes;
                int r;

                if (!streq(s->kind, "Node"))
                        continue;

                r = load_node(l, s, &l->c->nodes[i], &l->n_addresses[i]);
                if (r < 0)
                        return r;
                l->node_sections[i] = s;
                l->c->n_nodes++;
        }
        return 0;
}

/* Reports what node i has in common with a node before it. */
static int check_node_against_earlier(Loader *l, size_t i) {
        const ClusterNode *node = &l->c->nodes[i];
        char text[CLUSTER_ADDRESS_TEXT_MAX];
        int r;

        for (size_t k = 0; k < i; k++) {
                const ClusterNode *other = &l->c->nodes[k];

                if (node->id != 0 && node->id == other->id) {
                        r = report_at(l,
                                      l->node_sections[i],
                                      "Id",
                                      "node %s has this id already (line %u); each node needs its own",
                                      other->name,
                                      l->node_sections[k]->line);
                        if (r < 0)
                                return r;
                }

                for (size_t a = 0; a < l->n_addresses[i]; a++)
                        for (size_t b = 0; b < l->n_addresses[k]; b++) {
                                if (!cluster_address_equal(&node->addresses[a], &other->addresses[b]))
                                        continue;
                                r = report_at(l,
                                              l->node_sections[i],
                                              "Address",
                                              "node %s has %s already (line %u)",
                                              other->name,
                                              cluster_address_format(&node->addresses[a], text),
                                              l->node_sections[k]->line);
                                if (r < 0)
                                        return r;
                        }
        }
        return 0;
}

static int check_own_addresses(Loader *l, size_t i) {
        const ClusterNode *node = &l->c->nodes[i], *first = &l->c->nodes[0];
        size_t n = l->n_addresses[i], n_first = l->n_addresses[0];
        char text[CLUSTER_ADDRESS_TEXT_MAX];
        int r;

        for (size_t a = 0; a < n; a++)
                for (size_t b = 0; b < a; b++)
                        if (cluster_address_equal(&node->addresses[a], &node->addresses[b])) {
                                r = report_at(l,
                                              l->node_sections[i],
                                              "Address",
                                              "%s is given twice; each link needs an address of its own",
                                              cluster_address_format(&node->addresses[a], text));
                                if (r < 0)
                                        return r;
                        }

        if (n == 0 || n_first == 0)
                return 0;
        if (n != n_first)
                return report_at(
                                l,
                                l->node_sections[i],
                                "Address",
                                "%zu addresses, but node %s has %zu; every node has one for each link",
                                n,
                                first->name,
                                n_first);

        for (size_t a = 0; a < n; a++)
                if (node->addresses[a].sa.sa_family != first->addresses[a].sa.sa_family) {
                        r = report_at(l,
                                      l->node_sections[i],
                                      "Address",
                                      "%s and node %s's address of link %zu are not both IPv4 or both IPv6",
                                      cluster_address_format(&node->addresses[a], text),
                                      first->name,
                                      a);
                        if (r < 0)
                                return r;
                }
        return 0;
}

static int check_nodes(Loader *l) {
        int r;

        for (size_t i = 0; i < l->c->n_nodes; i++) {
                r = check_node_against_earlier(l, i);
                if (r < 0)
                        return r;
                r = check_own_addresses(l, i);
                if (r < 0)
                        return r;
        }

        if (l->c->n_nodes > 0 && cluster_conf_votes(l->c, NODE_SET_ALL) == 0 && l->errors->n_items == 0) {
                assert(l->node_sections[0]);
                return report_at(
                                l,
                                l->node_sections[0],
                                "",
                                "no enabled node has a vote, so the cluster could never have quorum; set "
                                "Votes=1 or "
                                "Enabled=yes");
        }
        return 0;
}

/* Names of all nodes, for suggestions; the array is for free(), what is in it is borrowed. */
static const char **node_names(const ClusterConf *c) {
        const char **names = calloc(c->n_nodes + 1, sizeof(char *));

        for (size_t i = 0; names && i < c->n_nodes; i++)
                names[i] = c->nodes[i].name;
        return names;
}

static int report_unknown_node(Loader *l, const ConfSection *s, const char *key, const char *name) {
        _cleanup_free_ const char **names = node_names(l->c);
        const char *nearest;

        if (!names)
                return -ENOMEM;

        nearest = string_table_nearest(names, l->c->n_nodes, name);
        return report_at(
                        l,
                        s,
                        key,
                        "there is no [Node %s]%s%s%s",
                        name,
                        nearest ? "; did you mean \"" : "",
                        strempty(nearest),
                        nearest ? "\"?" : "");
}

/* The key to complain about: the first of them that is given. */
static const char *given_key(const Loader *l, const char *a, const char *b, const char *c) {
        return conf_section_find(l->cluster, a) ? a : conf_section_find(l->cluster, b) ? b : c;
}

/* Where FailoverWithinSec= is given, what is given beside it must keep it. */
static int check_failover(Loader *l) {
        uint64_t needed_usec = cluster_timers_failover(l->c->heartbeat_usec, l->c->failure_usec);
        char given[DURATION_TEXT_MAX], needed[DURATION_TEXT_MAX], heartbeat[DURATION_TEXT_MAX],
                        failure[DURATION_TEXT_MAX];

        if (!conf_section_find(l->cluster, "FailoverWithinSec") || needed_usec <= l->failover_usec)
                return 0;
        return report_at(
                        l,
                        l->cluster,
                        given_key(l, "FailureSec", "HeartbeatSec", "FailoverWithinSec"),
                        "a failover may take twice FailureSec and twice HeartbeatSec, here %s, and "
                        "FailoverWithinSec=%s is less; leave them out, and they are FailureSec=%s and "
                        "HeartbeatSec=%s",
                        format_duration(needed_usec, needed),
                        format_duration(l->failover_usec, given),
                        format_duration(cluster_timers_failure(l->failover_usec), failure),
                        format_duration(cluster_timers_heartbeat(l->failover_usec), heartbeat));
}

static int check_heartbeat(Loader *l, size_t n_links) {
        uint64_t least_usec = cluster_timers_heartbeat_min(l->c->n_nodes, n_links);
        char least[DURATION_TEXT_MAX], failover[DURATION_TEXT_MAX];

        if (l->c->heartbeat_usec >= least_usec)
                return 0;
        return report_at(
                        l,
                        l->cluster,
                        given_key(l, "HeartbeatSec", "FailoverWithinSec", "Name"),
                        "%zu nodes with %zu links need a HeartbeatSec of at least %s, as "
                        "FailoverWithinSec=%s gives it",
                        l->c->n_nodes,
                        n_links,
                        format_duration(least_usec, least),
                        format_duration(cluster_timers_failover_of(least_usec), failover));
}

static int settle_timers(Loader *l) {
        size_t n_links = l->c->n_nodes > 0 ? l->n_addresses[0] : 0;
        ClusterConf *c = l->c;
        char text[DURATION_TEXT_MAX];
        int r;

        if (!l->cluster)
                return 0;
        if (l->failover_usec == USEC_INFINITY)
                l->failover_usec = cluster_timers_failover_default(c->n_nodes, n_links);
        if (c->heartbeat_usec == USEC_INFINITY)
                c->heartbeat_usec = cluster_timers_heartbeat(l->failover_usec);
        if (c->failure_usec == USEC_INFINITY)
                c->failure_usec = cluster_timers_failure(l->failover_usec);

        /* Two heartbeats may be lost without a node being suspected. */
        if (c->failure_usec < 3 * c->heartbeat_usec)
                return report_at(
                                l,
                                l->cluster,
                                given_key(l, "FailureSec", "HeartbeatSec", "FailoverWithinSec"),
                                "FailureSec must be at least three times HeartbeatSec, here %s",
                                format_duration(3 * c->heartbeat_usec, text));
        r = check_failover(l);
        return r < 0 ? r : check_heartbeat(l, n_links);
}

static int settle_tie_breaker(Loader *l) {
        const ClusterNode *node;

        if (!l->tie_breaker) {
                l->c->tie_breaker = node_set_lowest(cluster_conf_enabled_nodes(l->c));
                return 0;
        }

        assert(l->cluster);
        node = cluster_conf_node_by_name(l->c, l->tie_breaker);
        if (!node)
                return report_unknown_node(l, l->cluster, "TieBreaker", l->tie_breaker);
        if (!node->enabled)
                return report_at(
                                l,
                                l->cluster,
                                "TieBreaker",
                                "this node has Enabled=no; name an enabled one");

        l->c->tie_breaker = node->id;
        return 0;
}

/* ---- [Fence] ---- */

/* Another node that has this plug of the device, or this controller of any. */
static const ClusterFenceNode *
find_same_plug(const ClusterConf *c, const ClusterFence *f, uint32_t node_id, const char *plug) {
        bool redfish = f->type == CLUSTER_FENCE_REDFISH;

        FOREACH_ARRAY(g, c->fences, c->n_fences) {
                if (g != f && !(redfish && g->type == CLUSTER_FENCE_REDFISH))
                        continue;
                FOREACH_ARRAY(n, g->nodes, g->n_nodes)
                        if (n->node_id != node_id &&
                            (redfish ? redfish_address_is_same(n->plug, plug) : streq(n->plug, plug)))
                                return n;
        }
        return NULL;
}

static int
add_fence_node(Loader *l,
               const ConfSection *s,
               ClusterFence *f,
               const ClusterNode *node,
               const char *word,
               const char *plug) {
        _cleanup_free_ char *copy = strdup(*plug ? plug : node->name);
        const ClusterFenceNode *other;

        if (!copy)
                return -ENOMEM;
        other = find_same_plug(l->c, f, node->id, copy);
        if (other)
                return report_at(
                                l,
                                s,
                                "Nodes",
                                "\"%s\" is what %s has already; the one would be switched off in the place "
                                "of "
                                "the other, and count as off while it runs",
                                word,
                                other->name);

        f->nodes[f->n_nodes] = (ClusterFenceNode){ .node_id = node->id, .plug = TAKE_PTR(copy) };
        (void) snprintf(f->nodes[f->n_nodes].name, sizeof(f->nodes[0].name), "%s", node->name);
        f->n_nodes++;
        return 0;
}

static int load_fence_node(Loader *l, const ConfSection *s, const char *word, ClusterFence *f) {
        size_t length = strcspn(word, ":");
        const char *plug = word[length] ? word + length + 1 : NULL;
        _cleanup_free_ char *name = strndup(word, length);
        const ClusterNode *node;

        if (!name)
                return -ENOMEM;
        if (plug && *plug == '\0')
                return report_at(
                                l,
                                s,
                                "Nodes",
                                "\"%s\" has no plug after the colon; write node or node:plug",
                                word);

        node = cluster_conf_node_by_name(l->c, name);
        if (!node)
                return report_unknown_node(l, s, "Nodes", name);
        if (node->id != 0 && cluster_fence_plug(f, node->id))
                return report_at(l, s, "Nodes", "node %s is given twice", name);

        if (f->type == CLUSTER_FENCE_REDFISH) {
                const char *wrong = redfish_address_check(strempty(plug));

                if (wrong)
                        return report_at(
                                        l,
                                        s,
                                        "Nodes",
                                        "\"%s\": %s; write node:address of its management controller, such "
                                        "as "
                                        "n1:10.9.0.1, and where needed node:name@address:port/path",
                                        word,
                                        wrong);
        }

        return add_fence_node(l, s, f, node, word, strempty(plug));
}

static int compare_fence_nodes(const void *a, const void *b) {
        const ClusterFenceNode *x = a, *y = b;

        return CMP(x->node_id, y->node_id);
}

/* hamgr itself says what to do and to whom; a parameter that says it too would turn "off" into something
 * else. */
static int check_parameters(Loader *l, const ConfSection *s, const RawFence *raw) {
        static const char *const reserved[] = { "action", "option", "plug", "port", "nodename" };

        FOREACH_ARRAY(e, s->entries, s->n_entries) {
                size_t length = strcspn(e->value, "=");
                int r = 0;

                if (!streq(e->key, "Parameter") || isempty(e->value))
                        continue;

                if (length == 0 || e->value[length] == '\0' || strcspn(e->value, " \t") < length)
                        r = conf_value_error(
                                        e, l->errors, "must be key=value, such as Parameter=ip=10.9.0.1");
                for (size_t i = 0; i < ELEMENTSOF(reserved) && r >= 0; i++)
                        if (strlen(reserved[i]) == length && strncmp(e->value, reserved[i], length) == 0)
                                r = conf_value_error(
                                                e,
                                                l->errors,
                                                "\"%s\" is set by hamgr; plugs belong into Nodes=node:plug",
                                                reserved[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Keys that mean something to one type only would be taken for settings that are in force. */
static int check_keys_of_type(Loader *l, const ConfSection *s, ClusterFenceType type) {
        static const struct {
                ClusterFenceType type;
                const char *key;
        } own_keys[] = {
                { CLUSTER_FENCE_AGENT, "Agent" },
                { CLUSTER_FENCE_AGENT, "Parameter" },
                { CLUSTER_FENCE_REDFISH, "CAFile" },
                { CLUSTER_FENCE_REDFISH, "VerifyCertificate" },
        };

        for (size_t i = 0; i < ELEMENTSOF(own_keys); i++) {
                int r;

                if (own_keys[i].type == type || !conf_section_find(s, own_keys[i].key))
                        continue;
                r = report_at(l,
                              s,
                              own_keys[i].key,
                              "is for Type=%s, and this device is of Type=%s",
                              cluster_fence_type_to_string(own_keys[i].type),
                              cluster_fence_type_to_string(type));
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool credential_name_is_valid(const char *name) {
        size_t length = strlen(name);

        return length <= 255 && name[0] != '.' &&
               strspn(name,
                      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                      "0123456789_.-") == length;
}

static int check_secret_source(Loader *l, const ConfSection *s, const RawFence *raw) {
        if (raw->credential && !credential_name_is_valid(raw->credential))
                return report_at(
                                l,
                                s,
                                "Credential",
                                "must be the name that LoadCredential= of hamgr.service gives it: letters, "
                                "digits, and _ . -");
        if (raw->credential && raw->parameter_file)
                return report_at(l, s, "Credential", "ParameterFile= is given too; secrets have one place");
        if (raw->type == CLUSTER_FENCE_REDFISH && !raw->credential && !raw->parameter_file)
                return conf_errors_add(
                                l->errors,
                                s->file,
                                s->line,
                                "[Fence %s] needs ParameterFile= or Credential=, with lines username=... "
                                "and "
                                "password=...",
                                strempty(s->name));
        return 0;
}

static int check_type(Loader *l, const ConfSection *s, const RawFence *raw) {
        int r;

        r = check_keys_of_type(l, s, (ClusterFenceType) raw->type);
        if (r < 0)
                return r;
        r = check_secret_source(l, s, raw);
        if (r < 0)
                return r;
        if (raw->check_usec > 0 && raw->check_usec < CLUSTER_FENCE_CHECK_USEC_MIN)
                return report_at(l, s, "CheckSec", "must be at least 1s, or 0 for no checks");
        if (raw->ca_file && !raw->verify)
                return report_at(
                                l,
                                s,
                                "CAFile",
                                "says nothing as long as VerifyCertificate=no; take one of them out");
        return 0;
}

static int load_agent(Loader *l, const ConfSection *s, const char *agent, ClusterFence *f) {
        if (f->type != CLUSTER_FENCE_AGENT)
                return 0;
        if (!agent)
                return conf_errors_add(
                                l->errors,
                                s->file,
                                s->line,
                                "[Fence %s] needs Agent=, or Type=redfish",
                                strempty(s->name));

        if (*agent != '/' && strpbrk(agent, "/ \t"))
                return report_at(
                                l,
                                s,
                                "Agent",
                                "must be the name of a program in " FENCE_AGENT_FOLDER
                                " or a path from / on, without arguments");

        if (asprintf(&f->agent, "%s%s", *agent == '/' ? "" : FENCE_AGENT_FOLDER "/", agent) < 0) {
                f->agent = NULL;
                return -ENOMEM;
        }
        return 0;
}

/* By hand for all devices, or for none: one without would stand somewhere by accident. */
static int load_level(Loader *l, const ConfSection *s, uint32_t level, ClusterFence *f) {
        if (l->c->n_fences == 1)
                l->has_levels = level != 0;
        f->level = level != 0 ? level : (uint32_t) l->c->n_fences;
        if (l->has_levels == (level != 0))
                return 0;
        return report_at(
                        l,
                        s,
                        "Level",
                        "[Fence %s] has %s Level=, unlike [Fence %s] before it; give it to all devices or "
                        "to "
                        "none, which are levels in the order of the file then",
                        f->name,
                        level != 0 ? "a" : "no",
                        l->c->fences[0].name);
}

static int load_fence(Loader *l, const ConfSection *s, ClusterFence *f) {
        _cleanup_(raw_fence_done) RawFence raw = {
                .type = CLUSTER_FENCE_AGENT,
                .verify = true,
                .timeout_usec = USEC_INFINITY,
                .check_usec = CLUSTER_FENCE_CHECK_USEC_DEFAULT,
                .power_on = true,
        };
        int r;

        r = conf_section_convert(s, fence_keys, ELEMENTSOF(fence_keys), &raw, l->errors);
        if (r < 0)
                return r;

        (void) snprintf(f->name, sizeof(f->name), "%s", strempty(s->name));
        r = load_level(l, s, raw.level, f);
        if (r < 0)
                return r;
        r = check_type(l, s, &raw);
        if (r < 0)
                return r;

        f->type = (ClusterFenceType) raw.type;
        f->timeout_usec = raw.timeout_usec != USEC_INFINITY  ? raw.timeout_usec
                          : f->type == CLUSTER_FENCE_REDFISH ? CLUSTER_REDFISH_TIMEOUT_USEC_DEFAULT
                                                             : CLUSTER_FENCE_TIMEOUT_USEC_DEFAULT;
        f->check_usec = raw.check_usec;
        f->power_on = raw.power_on;
        f->parameter_file = TAKE_PTR(raw.parameter_file);
        f->credential = TAKE_PTR(raw.credential);
        f->ca_file = TAKE_PTR(raw.ca_file);
        f->no_verification = !raw.verify;

        r = load_agent(l, s, raw.agent, f);
        if (r < 0)
                return r;

        r = check_parameters(l, s, &raw);
        if (r < 0)
                return r;
        f->parameters = TAKE_PTR(raw.parameters.items);
        f->n_parameters = TAKE_GENERIC(raw.parameters.n_items, size_t, 0);

        f->nodes = calloc(raw.nodes.n_items + 1, sizeof(ClusterFenceNode));
        if (!f->nodes)
                return -ENOMEM;
        for (size_t i = 0; i < raw.nodes.n_items; i++) {
                r = load_fence_node(l, s, raw.nodes.items[i], f);
                if (r < 0)
                        return r;
        }
        qsort(f->nodes, f->n_nodes, sizeof(ClusterFenceNode), compare_fence_nodes);
        return 0;
}

/* Those of one level stay in the order of the file. */
static void sort_by_level(ClusterFence *fences, size_t n) {
        for (size_t i = 1; i < n; i++)
                for (size_t k = i; k > 0 && fences[k - 1].level > fences[k].level; k--) {
                        ClusterFence f = fences[k];

                        fences[k] = fences[k - 1];
                        fences[k - 1] = f;
                }
}

static int load_fences(Loader *l) {
        l->c->fences = calloc(CLUSTER_FENCE_DEVICES_MAX, sizeof(ClusterFence));
        if (!l->c->fences)
                return -ENOMEM;

        FOREACH_ARRAY(s, l->f->sections, l->f->n_sections) {
                ClusterFence *f;
                int r;

                if (!streq(s->kind, "Fence"))
                        continue;
                if (l->c->n_fences >= CLUSTER_FENCE_DEVICES_MAX)
                        return conf_errors_add(
                                        l->errors,
                                        s->file,
                                        s->line,
                                        "more than %u fence devices",
                                        CLUSTER_FENCE_DEVICES_MAX);

                f = &l->c->fences[l->c->n_fences++];
                r = load_fence(l, s, f);
                if (r < 0)
                        return r;
        }
        sort_by_level(l->c->fences, l->c->n_fences);
        return 0;
}

/* One and a half times what fencing a node can take: then the tie-breaker's half has tried all and failed.
 */
static uint64_t default_fence_delay(const ClusterConf *c) {
        uint64_t longest = 0;

        FOREACH_ARRAY(n, c->nodes, c->n_nodes)
                longest = MAX(longest, cluster_conf_fence_usec(c, n->id));
        return longest + longest / 2;
}

static int load_accesses(Loader *l) {
        return cluster_access_load(l->f, l->c, l->errors);
}

/* ---- Hashes ---- */

static void hash_address(Hash64 *h, const ClusterAddress *a) {
        hash64_u64(h, a->sa.sa_family);
        if (a->sa.sa_family == AF_INET)
                hash64_bytes(h, &a->in.sin_addr, sizeof(a->in.sin_addr));
        else
                hash64_bytes(h, &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
}

uint32_t cluster_conf_node_identity(const ClusterConf *c, const ClusterNode *n) {
        Hash64 h;

        hash64_init(&h);
        hash64_string(&h, n->name);
        for (size_t i = 0; i < c->n_links; i++)
                hash_address(&h, &n->addresses[i]);
        return (uint32_t) hash64_result(&h);
}

static uint64_t hash_cluster(const ClusterConf *c) {
        Hash64 h;

        hash64_init(&h);
        hash64_string(&h, c->name);
        hash64_u64(&h, c->heartbeat_usec);
        hash64_u64(&h, c->failure_usec);
        hash64_u64(&h, c->port);
        hash64_u64(&h, c->unseen_fence_usec);
        hash64_u64(&h, c->rejoin_hold_usec);

        /* What follows from nodes and devices is told by their hashes. */
        hash64_u64(&h,
                   c->tie_breaker == node_set_lowest(cluster_conf_enabled_nodes(c)) ? 0 : c->tie_breaker);
        hash64_u64(&h, c->fence_delay_usec == default_fence_delay(c) ? USEC_INFINITY : c->fence_delay_usec);
        if (c->on_quorum_loss != cluster_conf_on_quorum_loss_default(c))
                hash64_u64(&h, (uint64_t) c->on_quorum_loss);
        return hash64_result(&h);
}

/* Nothing where no such key is given, so that nodes that do not know them have the same hash. */
static void hash_watchdog(Hash64 *h, const ClusterNode *n) {
        if (n->watchdog == CLUSTER_WATCHDOG_NO)
                return;
        hash64_u64(h, (uint64_t) n->watchdog);
        hash64_u64(h, n->watchdog_usec);
}

static uint64_t hash_nodes(const ClusterConf *c) {
        Hash64 h;

        hash64_init(&h);
        hash64_u64(&h, c->n_nodes);
        hash64_u64(&h, c->n_links);
        FOREACH_ARRAY(n, c->nodes, c->n_nodes) {
                hash64_u64(&h, n->id);
                hash64_string(&h, n->name);
                hash64_u64(&h, n->votes);
                hash64_u64(&h, n->enabled);
                hash_watchdog(&h, n);
                for (size_t i = 0; i < c->n_links; i++)
                        hash_address(&h, &n->addresses[i]);
        }
        return hash64_result(&h);
}

/* Likewise. */
static void hash_fence_type(Hash64 *h, const ClusterFence *f) {
        if (f->type != CLUSTER_FENCE_AGENT) {
                hash64_u64(h, (uint64_t) f->type);
                hash64_string(h, f->ca_file);
                hash64_u64(h, f->no_verification);
        }
        if (f->credential)
                hash64_string(h, f->credential);
        if (f->check_usec != CLUSTER_FENCE_CHECK_USEC_DEFAULT)
                hash64_u64(h, f->check_usec);
}

static uint64_t hash_fences(const ClusterConf *c) {
        Hash64 h;

        hash64_init(&h);
        hash64_u64(&h, c->n_fences);
        FOREACH_ARRAY(f, c->fences, c->n_fences) {
                hash64_string(&h, f->name);
                hash64_string(&h, f->agent);
                hash_fence_type(&h, f);
                if (cluster_conf_has_levels(c))
                        hash64_u64(&h, f->level);
                hash64_u64(&h, f->timeout_usec);
                hash64_u64(&h, f->power_on);
                hash64_string(&h, f->parameter_file);
                hash64_u64(&h, f->n_parameters);
                for (size_t i = 0; i < f->n_parameters; i++)
                        hash64_string(&h, f->parameters[i]);
                hash64_u64(&h, f->n_nodes);
                FOREACH_ARRAY(n, f->nodes, f->n_nodes) {
                        hash64_u64(&h, n->node_id);
                        hash64_string(&h, n->plug);
                }
        }
        return hash64_result(&h);
}

static void compute_hashes(ClusterConf *c) {
        Hash64 h;

        c->hashes[CLUSTER_CONF_CLUSTER] = hash_cluster(c);
        c->hashes[CLUSTER_CONF_NODE] = hash_nodes(c);
        c->hashes[CLUSTER_CONF_FENCE] = hash_fences(c);

        hash64_init(&h);
        for (size_t i = 0; i < ELEMENTSOF(c->hashes); i++)
                hash64_u64(&h, c->hashes[i]);
        c->hash = hash64_result(&h);
        c->access_hash = cluster_access_hash(c);
}

/* ---- All of it ---- */

static int compare_nodes(const void *a, const void *b) {
        const ClusterNode *x = a, *y = b;

        return CMP(x->id, y->id);
}

static int load(Loader *l) {
        static int (*const steps[])(Loader * l) = {
                load_cluster,       load_nodes,  check_nodes,   settle_timers,
                settle_tie_breaker, load_fences, load_accesses,
        };
        int r;

        r = conf_file_check_sections(l->f, section_types, ELEMENTSOF(section_types), l->errors);
        if (r < 0)
                return r;

        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                r = steps[i](l);
                if (r < 0)
                        return r;
        }

        if (l->errors->n_items > 0)
                return -EINVAL;

        if (l->c->fence_delay_usec == USEC_INFINITY)
                l->c->fence_delay_usec = default_fence_delay(l->c);
        if (l->c->on_quorum_loss < 0)
                l->c->on_quorum_loss = cluster_conf_on_quorum_loss_default(l->c);
        l->c->n_links = (uint32_t) l->n_addresses[0];
        qsort(l->c->nodes, l->c->n_nodes, sizeof(ClusterNode), compare_nodes);
        compute_hashes(l->c);
        return 0;
}

int cluster_conf_parse(
                const char *file,
                const char *text,
                size_t size_bytes,
                ConfErrors *errors,
                ClusterConf **ret) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = calloc(1, sizeof(ClusterConf));
        _cleanup_(conf_file_freep) ConfFile *f = NULL;
        _cleanup_(loader_done) Loader l = {};
        int r;

        assert(errors->n_items == 0);

        if (!c)
                return -ENOMEM;
        c->file = strdup(file);
        if (!c->file)
                return -ENOMEM;
        r = conf_file_new(&f);
        if (r < 0)
                return r;
        r = conf_file_parse(f, file, text, size_bytes, errors);
        if (r < 0)
                return r;

        l.f = f;
        l.errors = errors;
        l.c = c;
        r = load(&l);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(c);
        return 0;
}

int cluster_conf_load(const char *path, ConfErrors *errors, ClusterConf **ret) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r;

        r = read_whole_file(path, CONF_FILE_BYTES_MAX, &text, &size);
        if (r == -ENOENT) {
                int k = conf_errors_add(
                                errors,
                                path,
                                0,
                                "there is no such file; it has to list the nodes of the cluster");

                return k < 0 ? k : r;
        }
        if (r < 0) {
                int k = conf_errors_add(errors, path, 0, "cannot be read: %s", strerrordesc_np(-r));

                return k < 0 ? k : r;
        }

        return cluster_conf_parse(path, text, size, errors, ret);
}
