/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <glib.h>

#include "basic/time-util.h"
#include "shared/cluster-conf.h"
#include "shared/redfish-address.h"

#define CLUSTER "[Cluster]\nName=shop\n"
#define NODE_1 "[Node n1]\nId=1\nAddress=10.1.0.1 10.2.0.1\n"
#define NODE_2 "[Node n2]\nId=2\nAddress=10.1.0.2 10.2.0.2\n"
#define NODE_3 "[Node n3]\nId=3\nAddress=10.1.0.3 10.2.0.3\n"
#define NODES NODE_1 NODE_2 NODE_3
#define FENCE                                                                                               \
        "[Fence power]\nAgent=fence_lab\nNodes=n1:plug1 n2:plug2 "                                          \
        "n3\nParameter=ip=10.9.0.1\nTimeoutSec=4s\n"

static ClusterConf *parse_good(const char *text) {
        ConfErrors errors = {};
        ClusterConf *c = NULL;
        int r;

        r = cluster_conf_parse("c", text, strlen(text), &errors, &c);
        if (r < 0) {
                _cleanup_free_ char *all = conf_errors_to_text(&errors);

                g_error("%s", all);
        }
        conf_errors_done(&errors);
        return c;
}

static void assert_errors(const char *text, const char *expected) {
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        _cleanup_free_ char *all = NULL;
        ClusterConf *c = NULL;

        g_assert_cmpint(cluster_conf_parse("c", text, strlen(text), &errors, &c), ==, -EINVAL);
        g_assert_null(c);
        all = conf_errors_to_text(&errors);
        g_assert_cmpstr(all, ==, expected);
}

static void test_defaults(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse_good(CLUSTER NODES);

        g_assert_cmpstr(c->name, ==, "shop");
        g_assert_cmpuint(c->heartbeat_usec, ==, 100 * USEC_PER_MSEC);
        g_assert_cmpuint(c->failure_usec, ==, 400 * USEC_PER_MSEC);
        g_assert_cmpuint(c->port, ==, 7700);
        g_assert_cmpuint(c->tie_breaker, ==, 1);
        g_assert_cmpuint(c->unseen_fence_usec, ==, 20 * USEC_PER_SEC);
        g_assert_cmpuint(c->fence_delay_usec, ==, 0);
        g_assert_cmpuint(c->rejoin_hold_usec, ==, 5 * USEC_PER_MINUTE);
        g_assert_cmpint(c->dissemination, ==, CLUSTER_DISSEMINATION_AUTO);
        g_assert_cmpuint(c->n_nodes, ==, 3);
        g_assert_cmpuint(c->n_links, ==, 2);
        g_assert_cmpuint(c->nodes[0].votes, ==, 1);
        g_assert_true(c->nodes[0].enabled);
        g_assert_cmpuint(cluster_conf_fenceable_nodes(c), ==, NODE_SET_EMPTY);
}

static void test_everything_given(void) {
        static const char text[] =
                        "[Cluster]\nName=shop\nHeartbeatSec=50ms\nFailureSec=200ms\nPort=9000\nTieBreaker="
                        "n3\n"
                        "UnseenFenceSec=0\nFenceDelaySec=9s\nRejoinHoldSec=0\nDissemination=ring\n"
                        "[Node n3]\nId=7\nAddress=fd00::3\nVotes=2\n"
                        "[Node n1]\nId=2\nAddress=fd00::1\nEnabled=no\n"
                        "[Fence "
                        "a]\nAgent=/opt/fence\nNodes=n3\nPowerOn=no\nParameterFile=/etc/hamgr/s\n" FENCE;
        _cleanup_(cluster_conf_freep) ClusterConf *c = NULL;
        g_autofree char *two = g_strdup(text);

        /* The second device is for n1 and n3 here. */
        memcpy(strstr(two, "n1:plug1 n2:plug2 n3"), "n1:plug1 n3:plug2   ", 20);
        c = parse_good(two);

        g_assert_cmpuint(c->heartbeat_usec, ==, 50 * USEC_PER_MSEC);
        g_assert_cmpuint(c->unseen_fence_usec, ==, 0);
        g_assert_cmpuint(c->fence_delay_usec, ==, 9 * USEC_PER_SEC);
        g_assert_cmpuint(c->rejoin_hold_usec, ==, 0);
        g_assert_cmpint(c->dissemination, ==, CLUSTER_DISSEMINATION_RING);
        g_assert_cmpuint(c->tie_breaker, ==, 7);

        g_assert_cmpuint(c->nodes[0].id, ==, 2);
        g_assert_cmpuint(c->nodes[1].id, ==, 7);
        g_assert_cmpuint(cluster_conf_nodes(c), ==, node_set_of(2) | node_set_of(7));
        g_assert_cmpuint(cluster_conf_enabled_nodes(c), ==, node_set_of(7));
        g_assert_cmpuint(cluster_conf_votes(c, NODE_SET_ALL), ==, 2);
        g_assert_cmpuint(ntohs(c->nodes[0].addresses[0].in6.sin6_port), ==, 9000);

        g_assert_cmpuint(c->n_fences, ==, 2);
        g_assert_cmpuint(c->fences[0].level, ==, 1);
        g_assert_cmpstr(c->fences[0].agent, ==, "/opt/fence");
        g_assert_cmpstr(c->fences[0].parameter_file, ==, "/etc/hamgr/s");
        g_assert_false(c->fences[0].power_on);
        g_assert_cmpstr(c->fences[1].agent, ==, "/usr/sbin/fence_lab");
        g_assert_cmpstr(c->fences[1].parameters[0], ==, "ip=10.9.0.1");
        g_assert_cmpstr(cluster_fence_plug(&c->fences[1], 7), ==, "plug2");
        g_assert_cmpstr(cluster_fence_plug(&c->fences[0], 7), ==, "n3");
        g_assert_null(cluster_fence_plug(&c->fences[0], 2));
        g_assert_cmpuint(cluster_conf_fenceable_nodes(c), ==, node_set_of(2) | node_set_of(7));

        g_assert_cmpuint(cluster_conf_node_by_name(c, "n3")->id, ==, 7);
        g_assert_null(cluster_conf_node_by_name(c, "n2"));
        g_assert_cmpstr(cluster_conf_node_name(c, 2), ==, "n1");
        g_assert_null(cluster_conf_node_name(c, 64));
}

static void test_links_have_ports_of_their_own(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse_good(CLUSTER NODES);
        char text[CLUSTER_ADDRESS_TEXT_MAX];

        g_assert_cmpuint(ntohs(c->nodes[0].addresses[0].in.sin_port), ==, 7700);
        g_assert_cmpuint(ntohs(c->nodes[0].addresses[1].in.sin_port), ==, 7701);
        g_assert_cmpstr(cluster_address_format(&c->nodes[1].addresses[1], text), ==, "10.2.0.2");
}

static void test_default_delay_outlasts_the_devices(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse_good(CLUSTER NODES FENCE);

        g_assert_cmpuint(c->fence_delay_usec, ==, 6 * USEC_PER_SEC);
}

/* The tie-breaker's half may come to the last device of a node; the other half does not shoot before. */
static void test_default_delay_outlasts_all_levels(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse_good(
                        CLUSTER NODES FENCE "[Fence pdu]\nAgent=fence_apc\nNodes=n2\nTimeoutSec=6s\n");

        g_assert_cmpuint(cluster_conf_fence_usec(c, 1), ==, 4 * USEC_PER_SEC);
        g_assert_cmpuint(cluster_conf_fence_usec(c, 2), ==, 10 * USEC_PER_SEC);
        g_assert_cmpuint(cluster_conf_fence_usec(c, 4), ==, 0);
        g_assert_cmpuint(c->fence_delay_usec, ==, 15 * USEC_PER_SEC);
}

static void test_tie_breaker_is_the_lowest_enabled(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *c =
                        parse_good(CLUSTER NODE_1 "Enabled=no\n" NODE_3 NODE_2);

        g_assert_cmpuint(c->tie_breaker, ==, 2);
}

static ClusterOnQuorumLoss quorum_loss_of(const char *text) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse_good(text);

        return c->on_quorum_loss;
}

/* R12: a switch that is out for five seconds resets nobody who can be fenced. */
static void test_quorum_loss_freezes_who_can_be_fenced(void) {
        g_assert_cmpint(quorum_loss_of(CLUSTER NODES), ==, CLUSTER_FREEZES);
        g_assert_cmpint(quorum_loss_of(CLUSTER NODES "Watchdog=hardware\n" FENCE), ==, CLUSTER_FREEZES);
        g_assert_cmpint(quorum_loss_of(CLUSTER NODES "Watchdog=hardware\n"), ==, CLUSTER_STOPS);
        g_assert_cmpint(quorum_loss_of(CLUSTER NODES "Watchdog=hardware\nEnabled=no\n"),
                        ==,
                        CLUSTER_FREEZES);
        g_assert_cmpint(quorum_loss_of(CLUSTER "OnQuorumLoss=reset\n" NODES FENCE), ==, CLUSTER_RESETS);
        g_assert_cmpint(quorum_loss_of(CLUSTER "OnQuorumLoss=freeze\n" NODES "Watchdog=hardware\n"),
                        ==,
                        CLUSTER_FREEZES);
}

static void test_watchdogs(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *c =
                        parse_good(CLUSTER NODES "Watchdog=vouched\nWatchdogSec=2s\n");

        g_assert_cmpint(c->nodes[0].watchdog, ==, CLUSTER_WATCHDOG_NO);
        g_assert_cmpint(c->nodes[2].watchdog, ==, CLUSTER_WATCHDOG_VOUCHED);
        g_assert_cmpuint(c->nodes[2].watchdog_usec, ==, 2 * USEC_PER_SEC);
        assert_errors(CLUSTER NODE_1 "Watchdog=hardware\nWatchdogSec=1s\n",
                      "c:7: WatchdogSec=1s: is for Watchdog=vouched, where systemd may not know the "
                      "watchdog; "
                      "with Watchdog=hardware its driver's time counts\n");
        assert_errors(CLUSTER NODE_1 "Watchdog=vouched\n",
                      "c:6: Watchdog=vouched: WatchdogSec= is missing: after how long without a sign of "
                      "life "
                      "the watchdog that is vouched for resets this node\n");
}

static void test_duplicates_are_refused(void) {
        assert_errors(CLUSTER NODE_1 "[Node n2]\nId=1\nAddress=10.1.0.2 10.2.0.2\n",
                      "c:7: Id=1: node n1 has this id already (line 3); each node needs its own\n");
        assert_errors(CLUSTER NODE_1 NODE_1,
                      "c:6: section [Node n1] was given already in line 3; put both together\n");
        assert_errors(CLUSTER NODE_1 "[Node n2]\nId=2\nAddress=10.1.0.2 10.1.0.1\n",
                      "c:8: Address=10.1.0.2 10.1.0.1: node n1 has 10.1.0.1 already (line 3)\n");
        assert_errors(CLUSTER "[Node n1]\nId=1\nAddress=10.1.0.1 10.1.0.1\n",
                      "c:5: Address=10.1.0.1 10.1.0.1: 10.1.0.1 is given twice; each link needs an address "
                      "of its own\n");
        assert_errors(CLUSTER NODES FENCE FENCE,
                      "c:17: section [Fence power] was given already in line 12; put both together\n");
        assert_errors(CLUSTER NODES "[Fence a]\nAgent=x\nNodes=n1 n1:b\n",
                      "c:14: Nodes=n1 n1:b: node n1 is given twice\n");
}

/* The default gives the timers that it always had. */
static void test_timers_follow_from_failover(void) {
        static const struct {
                const char *text;
                uint64_t heartbeat_msec, failure_msec;
        } cases[] = {
                { "", 100, 400 },
                { "FailoverWithinSec=1s\n", 100, 400 },
                { "FailoverWithinSec=500ms\n", 50, 200 },
                { "FailoverWithinSec=50s\n", 5000, 20000 },
                { "FailoverWithinSec=2s\nHeartbeatSec=100ms\n", 100, 800 },
                { "FailoverWithinSec=2s\nFailureSec=600ms\n", 200, 600 },
                { "FailoverWithinSec=2s\nFailureSec=900ms\nHeartbeatSec=100ms\n", 100, 900 },
                { "FailureSec=5s\n", 100, 5000 },
                { "HeartbeatSec=20ms\nFailureSec=60ms\n", 20, 60 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *text = g_strdup_printf(CLUSTER "%s" NODES, cases[i].text);
                _cleanup_(cluster_conf_freep) ClusterConf *c = parse_good(text);

                g_test_message("%s", cases[i].text);
                g_assert_cmpuint(c->heartbeat_usec, ==, cases[i].heartbeat_msec * USEC_PER_MSEC);
                g_assert_cmpuint(c->failure_usec, ==, cases[i].failure_msec * USEC_PER_MSEC);
        }
}

/* However it was said, the same timers are the same configuration. */
static void test_hash_sees_timers_only(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *a = parse_good(CLUSTER "FailoverWithinSec=2s\n" NODES);
        _cleanup_(cluster_conf_freep) ClusterConf *b =
                        parse_good(CLUSTER "FailureSec=800ms\nHeartbeatSec=200ms\n" NODES);
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse_good(CLUSTER "FailoverWithinSec=3s\n" NODES);

        g_assert_cmphex(a->hash, ==, b->hash);
        g_assert_cmphex(a->hash, !=, c->hash);
}

static void test_unsafe_timers_are_refused(void) {
        assert_errors(CLUSTER "FailoverWithinSec=400ms\n" NODES,
                      "c:3: FailoverWithinSec=400ms: must be a duration from 500ms to 50s\n");
        assert_errors(CLUSTER "FailoverWithinSec=2s\nFailureSec=500ms\n" NODES,
                      "c:4: FailureSec=500ms: FailureSec must be at least three times HeartbeatSec, here "
                      "600ms\n");
        assert_errors(CLUSTER "FailoverWithinSec=1s\nHeartbeatSec=110ms\n" NODES,
                      "c:4: HeartbeatSec=110ms: a failover may take twice FailureSec and twice "
                      "HeartbeatSec, "
                      "here 1s 20ms, and FailoverWithinSec=1s is less; leave them out, and they are "
                      "FailureSec=400ms and HeartbeatSec=100ms\n");
        assert_errors(CLUSTER "FailureSec=2s\nFailoverWithinSec=2s\n" NODES,
                      "c:3: FailureSec=2s: a failover may take twice FailureSec and twice HeartbeatSec, "
                      "here 4s 400ms, and FailoverWithinSec=2s is less; leave them out, and they are "
                      "FailureSec=800ms and HeartbeatSec=200ms\n");
}

static char *many_nodes(const char *cluster, unsigned n_nodes, unsigned n_links) {
        GString *s = g_string_new(CLUSTER);

        g_string_append(s, cluster);
        for (unsigned i = 1; i <= n_nodes; i++) {
                g_string_append_printf(s, "[Node n%u]\nId=%u\nAddress=", i, i);
                for (unsigned k = 1; k <= n_links; k++)
                        g_string_append_printf(s, "10.%u.0.%u ", k, i);
                g_string_append_c(s, '\n');
        }
        return g_string_free(s, FALSE);
}

static void test_many_nodes_and_links_take_longer(void) {
        static const struct {
                unsigned n_nodes, n_links;
                uint64_t heartbeat_msec;
        } cases[] = { { 64, 1, 100 }, { 64, 3, 100 }, { 64, 4, 128 }, { 64, 8, 256 }, { 2, 8, 100 } };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *text = many_nodes("", cases[i].n_nodes, cases[i].n_links);
                _cleanup_(cluster_conf_freep) ClusterConf *c = parse_good(text);

                g_assert_cmpuint(c->heartbeat_usec, ==, cases[i].heartbeat_msec * USEC_PER_MSEC);
                g_assert_cmpuint(c->failure_usec, ==, 4 * cases[i].heartbeat_msec * USEC_PER_MSEC);
        }
        {
                g_autofree char *a = many_nodes("HeartbeatSec=50ms\n", 64, 2),
                                *b = many_nodes("FailoverWithinSec=1s\n", 64, 4);

                assert_errors(a,
                              "c:3: HeartbeatSec=50ms: 64 nodes with 2 links need a HeartbeatSec of at "
                              "least "
                              "64ms, as FailoverWithinSec=640ms gives it\n");
                assert_errors(b,
                              "c:3: FailoverWithinSec=1s: 64 nodes with 4 links need a HeartbeatSec of at "
                              "least 128ms, as FailoverWithinSec=1s 280ms gives it\n");
        }
}

static void test_bad_values_are_refused(void) {
        assert_errors(CLUSTER "HeartbeatSec=10ms\n" NODES,
                      "c:3: HeartbeatSec=10ms: must be a duration from 20ms to 5s\n");
        assert_errors(CLUSTER "FailureSec=200ms\n" NODES,
                      "c:3: FailureSec=200ms: FailureSec must be at least three times HeartbeatSec, here "
                      "300ms\n");
        assert_errors(CLUSTER "HeartbeatSec=1s\n" NODES,
                      "c:3: HeartbeatSec=1s: FailureSec must be at least three times HeartbeatSec, here "
                      "3s\n");
        assert_errors(CLUSTER "RejoinHoldSec=2d\n" NODES,
                      "c:3: RejoinHoldSec=2d: must be a duration from 0 to 1d\n");
        assert_errors(CLUSTER "Heartbeat=1s\n" NODES,
                      "c:3: unknown key Heartbeat= in [Cluster]; did you mean \"HeartbeatSec\"?\n");
        assert_errors(CLUSTER "TieBreaker=n4\n" NODES,
                      "c:3: TieBreaker=n4: there is no [Node n4]; did you mean \"n1\"?\n");
        assert_errors(CLUSTER "TieBreaker=n1\n" NODE_1 "Enabled=no\n" NODE_2,
                      "c:3: TieBreaker=n1: this node has Enabled=no; name an enabled one\n");
        assert_errors(CLUSTER NODE_1 "[Node n2]\nId=65\nAddress=10.1.0.2 10.2.0.2\n",
                      "c:7: Id=65: must be a whole number from 1 to 64\n");
        assert_errors(CLUSTER NODE_1 "Votes=17\n", "c:6: Votes=17: must be a whole number from 0 to 16\n");
        assert_errors(CLUSTER NODE_1 "Votes=0\n",
                      "c:3: no enabled node has a vote, so the cluster could never have quorum; set Votes=1 "
                      "or "
                      "Enabled=yes\n");
}

static void test_bad_addresses_are_refused(void) {
        assert_errors(CLUSTER "[Node n1]\nId=1\nAddress=node1\n",
                      "c:5: Address=node1: \"node1\" is no address; write numbers such as 10.1.0.1 or "
                      "fd00::1, not names\n");
        assert_errors(CLUSTER "[Node n1]\nId=1\nAddress=224.0.0.1\n",
                      "c:5: Address=224.0.0.1: 224.0.0.1 cannot be the address of one node on a link\n");
        assert_errors(CLUSTER "[Node n1]\nId=1\nAddress=fe80::1\n",
                      "c:5: Address=fe80::1: fe80::1 cannot be the address of one node on a link\n");
        assert_errors(CLUSTER NODE_1 "[Node n2]\nId=2\nAddress=10.1.0.2\n",
                      "c:8: Address=10.1.0.2: 1 addresses, but node n1 has 2; every node has one for each "
                      "link\n");
        assert_errors(CLUSTER "[Node n1]\nId=1\nAddress=10.1.0.1\n[Node n2]\nId=2\nAddress=fd00::2\n",
                      "c:8: Address=fd00::2: fd00::2 and node n1's address of link 0 are not both IPv4 or "
                      "both IPv6\n");
        assert_errors(CLUSTER "[Node n1]\nId=1\nAddress=10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 "
                              "10.0.0.6 10.0.0.7 "
                              "10.0.0.8 10.0.0.9\n",
                      "c:5: Address=10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 "
                      "10.0.0.9: at "
                      "most 8 addresses, one for each link\n");
}

static void test_bad_fence_devices_are_refused(void) {
        assert_errors(CLUSTER NODES "[Fence a]\nAgent=x\nNodes=n1\nCheckSec=0.5s\n",
                      "c:15: CheckSec=0.5s: must be at least 1s, or 0 for no checks\n");
        assert_errors(CLUSTER NODES "[Fence a]\n",
                      "c:12: [Fence a] needs Nodes=\nc:12: [Fence a] needs Agent=, or Type=redfish\n");
        assert_errors(CLUSTER NODES "[Fence a]\nAgent=x\nNodes=n7:1\n",
                      "c:14: Nodes=n7:1: there is no [Node n7]; did you mean \"n1\"?\n");
        assert_errors(CLUSTER NODES "[Fence a]\nAgent=x\nNodes=n1:\n",
                      "c:14: Nodes=n1:: \"n1:\" has no plug after the colon; write node or node:plug\n");
        assert_errors(CLUSTER NODES "[Fence a]\nAgent=sbin/x\nNodes=n1\n",
                      "c:13: Agent=sbin/x: must be the name of a program in /usr/sbin or a path from / on, "
                      "without "
                      "arguments\n");
        assert_errors(CLUSTER NODES
                      "[Fence a]\nAgent=x\nNodes=n1\nParameter=action=reboot\nParameter=verbose\n",
                      "c:15: Parameter=action=reboot: \"action\" is set by hamgr; plugs belong into "
                      "Nodes=node:plug\n"
                      "c:16: Parameter=verbose: must be key=value, such as Parameter=ip=10.9.0.1\n");
}

#define PDU(name, more) "[Fence " name "]\nAgent=fence_apc\nNodes=n1\n" more

static void test_levels_of_fence_devices(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse_good(CLUSTER NODES PDU("b", "Level=2\n") PDU(
                        "left", "Level=1\n") PDU("right", "Level=1\n"));
        _cleanup_(cluster_conf_freep) ClusterConf *copy = cluster_conf_copy(c);
        _cleanup_(cluster_conf_freep) ClusterConf *lone =
                        parse_good(CLUSTER NODES PDU("left", "") PDU("right", "") PDU("b", ""));

        g_assert_true(cluster_conf_has_levels(c));
        g_assert_cmpstr(c->fences[0].name, ==, "left");
        g_assert_cmpuint(c->fences[0].level, ==, 1);
        g_assert_cmpstr(c->fences[1].name, ==, "right");
        g_assert_cmpuint(c->fences[1].level, ==, 1);
        g_assert_cmpstr(c->fences[2].name, ==, "b");
        g_assert_cmpuint(c->fences[2].level, ==, 2);
        g_assert_cmpuint(copy->hash, ==, c->hash);

        g_assert_false(cluster_conf_has_levels(lone));
        g_assert_cmpuint(lone->fences[1].level, ==, 2);
        g_assert_cmpuint(lone->hash, !=, c->hash);

        assert_errors(CLUSTER NODES PDU("left", "Level=1\n") PDU("right", ""),
                      "c:16: [Fence right] has no Level=, unlike [Fence left] before it; give it to all "
                      "devices "
                      "or to none, which are levels in the order of the file then\n");
        assert_errors(CLUSTER NODES PDU("left", "") PDU("right", "Level=1\n"),
                      "c:18: Level=1: [Fence right] has a Level=, unlike [Fence left] before it; give it to "
                      "all "
                      "devices or to none, which are levels in the order of the file then\n");
}

#define REDFISH "[Fence bmc]\nType=redfish\nParameterFile=/etc/hamgr/bmc.secret\n"

static void test_redfish_devices_are_read(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse_good(
                        CLUSTER NODES
                        "[Fence bmc]\nType=redfish\nNodes=n1:10.9.0.1 n2:bmc2.lan@[fd00::2]:8443/redfish/v1/"
                        "Systems/2\nCredential=bmc\nCAFile=/etc/hamgr/bmc-ca.pem\nCheckSec=30s\n" FENCE);
        _cleanup_(cluster_conf_freep) ClusterConf *again = NULL;
        _cleanup_free_ char *text = cluster_conf_to_text(c);
        RedfishAddress a = {};

        g_assert_cmpint(c->fences[0].type, ==, CLUSTER_FENCE_REDFISH);
        g_assert_null(c->fences[0].agent);
        g_assert_cmpuint(c->fences[0].timeout_usec, ==, 20 * USEC_PER_SEC);
        g_assert_cmpuint(c->fences[0].check_usec, ==, 30 * USEC_PER_SEC);
        g_assert_cmpuint(c->fences[1].check_usec, ==, 10 * USEC_PER_MINUTE);
        g_assert_cmpstr(c->fences[0].credential, ==, "bmc");
        g_assert_cmpstr(c->fences[0].ca_file, ==, "/etc/hamgr/bmc-ca.pem");
        g_assert_false(c->fences[0].no_verification);
        g_assert_cmpstr(c->fences[0].nodes[0].name, ==, "n1");
        g_assert_cmpint(c->fences[1].type, ==, CLUSTER_FENCE_AGENT);

        g_assert_cmpint(redfish_address_parse(cluster_fence_plug(&c->fences[0], 1), &a), ==, 0);
        g_assert_cmpstr(a.authority, ==, "10.9.0.1:443");
        g_assert_null(a.connect_to);
        g_assert_null(a.system);
        redfish_address_done(&a);
        g_assert_cmpint(redfish_address_parse(cluster_fence_plug(&c->fences[0], 2), &a), ==, 0);
        g_assert_cmpstr(a.authority, ==, "bmc2.lan:8443");
        g_assert_cmpstr(a.connect_to, ==, "[fd00::2]:8443");
        g_assert_cmpstr(a.system, ==, "/redfish/v1/Systems/2");
        redfish_address_done(&a);

        again = parse_good(text);
        g_assert_cmpuint(again->hash, ==, c->hash);
}

static void test_verification_changes_the_hash(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *a =
                        parse_good(CLUSTER NODES REDFISH "Nodes=n1:10.9.0.1\n");
        _cleanup_(cluster_conf_freep) ClusterConf *b =
                        parse_good(CLUSTER NODES REDFISH "Nodes=n1:10.9.0.1\nVerifyCertificate=no\n");

        g_assert_true(b->fences[0].no_verification);
        g_assert_cmpuint(a->hashes[CLUSTER_CONF_FENCE], !=, b->hashes[CLUSTER_CONF_FENCE]);
}

static void test_bad_redfish_devices_are_refused(void) {
        static const struct {
                const char *plug, *wrong;
        } plugs[] = {
                { "", "the address of the management controller is missing" },
                { ":bmc1",
                  "there is no address in it; write numbers such as 10.9.0.1 or [fd00::1], not names" },
                { ":fd00::1",
                  "there is no address in it; write numbers such as 10.9.0.1 or [fd00::1], not names" },
                { ":[fd00::1",
                  "there is no address in it; write numbers such as 10.9.0.1 or [fd00::1], not names" },
                { ":-x@10.9.0.1", "what stands before the @ is no host name" },
                { ":10.9.0.1:0", "what follows the address is no port" },
                { ":10.9.0.1:65536", "what follows the address is no port" },
                { ":[fd00::1]x", "what follows the address is no port" },
                { ":10.9.0.1/a/../b", "what begins with the slash is no path" },
        };

        for (size_t i = 0; i < ELEMENTSOF(plugs); i++) {
                g_autofree char *text = g_strdup_printf(CLUSTER NODES REDFISH "Nodes=n1%s\n", plugs[i].plug);
                g_autofree char *expected = g_strdup_printf(
                                "c:15: Nodes=n1%s: \"n1%s\": %s; write node:address of its management "
                                "controller, "
                                "such as n1:10.9.0.1, and where needed node:name@address:port/path\n",
                                plugs[i].plug,
                                plugs[i].plug,
                                plugs[i].wrong);

                assert_errors(text, expected);
        }
        assert_errors(CLUSTER NODES "[Fence a]\nType=redfish\nNodes=n1:10.9.0.1\n",
                      "c:12: [Fence a] needs ParameterFile= or Credential=, with lines username=... and "
                      "password=...\n");
        assert_errors(CLUSTER NODES REDFISH "Nodes=n1:10.9.0.1\nAgent=fence_ipmilan\nParameter=ip=1\n",
                      "c:16: Agent=fence_ipmilan: is for Type=agent, and this device is of Type=redfish\n"
                      "c:17: Parameter=ip=1: is for Type=agent, and this device is of Type=redfish\n");
        assert_errors(CLUSTER NODES "[Fence a]\nAgent=x\nNodes=n1\nVerifyCertificate=no\n",
                      "c:15: VerifyCertificate=no: is for Type=redfish, and this device is of Type=agent\n");
        assert_errors(CLUSTER NODES REDFISH "Nodes=n1:10.9.0.1\nCredential=bmc\n",
                      "c:16: Credential=bmc: ParameterFile= is given too; secrets have one place\n");
        assert_errors(CLUSTER NODES "[Fence a]\nAgent=x\nNodes=n1\nCredential=../key\n",
                      "c:15: Credential=../key: must be the name that LoadCredential= of hamgr.service "
                      "gives it: "
                      "letters, digits, and _ . -\n");
        assert_errors(CLUSTER NODES REDFISH "Nodes=n1:10.9.0.1\nCAFile=/c\nVerifyCertificate=no\n",
                      "c:16: CAFile=/c: says nothing as long as VerifyCertificate=no; take one of them "
                      "out\n");
}

/* Copied from one node to the next: it would switch off the one and count the other as off. */
static void test_plug_of_two_nodes_is_refused(void) {
        static const char *const same[][2] = {
                { "10.9.0.1", "10.9.0.1" },
                { "10.9.0.1", "10.9.0.1:443" },
                { "a@10.9.0.1", "b@10.9.0.1" },
                { "[fd00::1]", "[fd00:0::1]" },
                { "10.9.0.1", "10.9.0.1/redfish/v1/Systems/2" },
                { "10.9.0.1/redfish/v1/Systems/2", "10.9.0.1/redfish/v1/Systems/2/" },
        };
        static const char *const different[][2] = {
                { "10.9.0.1", "10.9.0.1:444" },
                { "a@10.9.0.1", "a@10.9.0.2" },
                { "10.9.0.1/redfish/v1/Systems/1", "10.9.0.1/redfish/v1/Systems/2" },
        };

        FOREACH_ARRAY(pair, same, ELEMENTSOF(same)) {
                g_autofree char *text = g_strdup_printf(
                                CLUSTER NODES REDFISH "Nodes=n1:%s n2:%s\n", (*pair)[0], (*pair)[1]);
                g_autofree char *expected = g_strdup_printf(
                                "c:15: Nodes=n1:%s n2:%s: \"n2:%s\" is what n1 has already; the one would "
                                "be "
                                "switched off in the place of the other, and count as off while it runs\n",
                                (*pair)[0],
                                (*pair)[1],
                                (*pair)[1]);

                assert_errors(text, expected);
        }
        FOREACH_ARRAY(pair, different, ELEMENTSOF(different)) {
                g_autofree char *text = g_strdup_printf(
                                CLUSTER NODES REDFISH "Nodes=n1:%s n2:%s\n", (*pair)[0], (*pair)[1]);

                cluster_conf_free(parse_good(text));
        }
        /* Of agents within a device, since another one may count its plugs from 1, too. */
        cluster_conf_free(parse_good(CLUSTER NODES
                                     "[Fence a]\nAgent=x\nNodes=n1:1\n[Fence b]\nAgent=x\nNodes=n2:1\n"));
        assert_errors(CLUSTER NODES "[Fence a]\nAgent=x\nNodes=n1:1 n2:1\n",
                      "c:14: Nodes=n1:1 n2:1: \"n2:1\" is what n1 has already; the one would be switched "
                      "off in "
                      "the place of the other, and count as off while it runs\n");
        assert_errors(CLUSTER NODES REDFISH "Nodes=n1:10.9.0.1\n[Fence b]\nType=redfish\nCredential=b\n"
                                            "Nodes=n1:10.9.0.1 n2:10.9.0.1\n",
                      "c:19: Nodes=n1:10.9.0.1 n2:10.9.0.1: \"n2:10.9.0.1\" is what n1 has already; the one "
                      "would be switched off in the place of the other, and count as off while it runs\n");
}

static void test_all_errors_at_once(void) {
        assert_errors("[Cluster]\nPort=0\n[Nodes n1]\n" NODE_2 "Enabled=perhaps\n",
                      "c:3: unknown section [Nodes]; did you mean \"Node\"?\n"
                      "c:2: Port=0: must be a whole number from 1 to 65528\n"
                      "c:1: [Cluster] needs Name=\n"
                      "c:7: Enabled=perhaps: say yes or no\n");
        assert_errors("", "c: section [Cluster] is missing\nc: section [Node name] is missing\n");
}

static void test_hashes_see_meaning_only(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *a = parse_good(CLUSTER NODES FENCE);
        _cleanup_(cluster_conf_freep) ClusterConf *b = parse_good(
                        "# the same\n" FENCE NODE_3 NODE_1 NODE_2 "[Cluster]\nTieBreaker=n1\nName = "
                        "shop\nPort=7700\nHeartbeatSec=0.1\nFenceDelaySec=6s\n");

        g_assert_cmphex(a->hash, ==, b->hash);
        for (size_t i = 0; i < G_N_ELEMENTS(a->hashes); i++)
                g_assert_cmphex(a->hashes[i], ==, b->hashes[i]);
}

/* Votes may change; a name or an address of another one is of another node. */
static void test_identity_is_name_and_addresses(void) {
        static const char *const texts[] = {
                "Id=1\nAddress=10.0.0.1\n",
                "Id=1\nAddress=10.0.0.1\nVotes=3\nEnabled=no\n",
                "Id=1\nAddress=10.0.0.9\n",
        };
        uint32_t identity[G_N_ELEMENTS(texts) + 1];

        for (size_t i = 0; i < G_N_ELEMENTS(identity); i++) {
                _cleanup_free_ char *text = g_strdup_printf(
                                "[Cluster]\nName=c\n[Node %s]\n%s[Node b]\nId=2\nAddress=10.0.0.2\n",
                                i < G_N_ELEMENTS(texts) ? "a" : "other",
                                texts[i % G_N_ELEMENTS(texts)]);
                _cleanup_(cluster_conf_freep) ClusterConf *c = parse_good(text);

                identity[i] = cluster_conf_node_identity(c, cluster_conf_node_by_id(c, 1));
                g_assert_cmphex(identity[i],
                                !=,
                                cluster_conf_node_identity(c, cluster_conf_node_by_id(c, 2)));
        }
        g_assert_cmphex(identity[0], ==, identity[1]);
        g_assert_cmphex(identity[0], !=, identity[2]);
        g_assert_cmphex(identity[0], !=, identity[3]);
}

static void test_hashes_tell_which_kind_differs(void) {
        static const struct {
                const char *text;
                ClusterConfKind differs;
        } others[] = {
                { CLUSTER "FailureSec=500ms\n" NODES FENCE, CLUSTER_CONF_CLUSTER },
                { CLUSTER "TieBreaker=n2\n" NODES FENCE, CLUSTER_CONF_CLUSTER },
                { CLUSTER "FenceDelaySec=7s\n" NODES FENCE, CLUSTER_CONF_CLUSTER },
                { CLUSTER "RejoinHoldSec=1min\n" NODES FENCE, CLUSTER_CONF_CLUSTER },
                { CLUSTER "OnQuorumLoss=stop\n" NODES FENCE, CLUSTER_CONF_CLUSTER },
                { CLUSTER NODES "Watchdog=hardware\n" FENCE, CLUSTER_CONF_NODE },
                { CLUSTER NODES "Votes=2\n" FENCE, CLUSTER_CONF_NODE },
                { CLUSTER NODES "Enabled=no\n" FENCE, CLUSTER_CONF_NODE },
                { CLUSTER NODE_1 NODE_2 "[Node n3]\nId=3\nAddress=10.1.0.3 10.2.0.4\n" FENCE,
                  CLUSTER_CONF_NODE },
                { CLUSTER NODES FENCE "PowerOn=no\n", CLUSTER_CONF_FENCE },
                { CLUSTER NODES FENCE "Parameter=x=1\n", CLUSTER_CONF_FENCE },
                { CLUSTER NODES, CLUSTER_CONF_FENCE },
        };
        _cleanup_(cluster_conf_freep) ClusterConf *a = parse_good(CLUSTER NODES FENCE);

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                _cleanup_(cluster_conf_freep) ClusterConf *b = parse_good(others[i].text);

                g_test_message("%zu", i);
                g_assert_cmphex(a->hash, !=, b->hash);
                for (size_t k = 0; k < _CLUSTER_CONF_KIND_MAX; k++)
                        g_assert_true((a->hashes[k] != b->hashes[k]) == (k == (size_t) others[i].differs));
        }
        g_assert_cmpstr(cluster_conf_kind_to_string(CLUSTER_CONF_FENCE), ==, "fence");
}

static void test_canonical_text_reads_back(void) {
        _cleanup_(cluster_conf_freep)
                        ClusterConf *a = parse_good(CLUSTER "OnQuorumLoss=reset\n" NODES "Watchdog=vouched\n"
                                                            "WatchdogSec=2s\n" FENCE),
                                    *b = NULL;
        _cleanup_free_ char *text = cluster_conf_to_text(a), *again = NULL;

        g_assert_nonnull(strstr(text, "OnQuorumLoss=reset\n"));
        g_assert_nonnull(strstr(text, "Watchdog=vouched\nWatchdogSec=2s\n"));
        b = parse_good(text);
        again = cluster_conf_to_text(b);
        g_assert_cmpstr(text, ==, again);
        g_assert_cmphex(a->hash, ==, b->hash);
}

static void test_missing_file_is_told(void) {
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        _cleanup_free_ char *text = NULL;
        ClusterConf *c = NULL;

        g_assert_cmpint(cluster_conf_load("/nonexistent/cluster.conf", &errors, &c), ==, -ENOENT);
        text = conf_errors_to_text(&errors);
        g_assert_cmpstr(text,
                        ==,
                        "/nonexistent/cluster.conf: there is no such file; it has to list the nodes of the "
                        "cluster\n");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/shared/cluster-conf/defaults", test_defaults);
        g_test_add_func("/shared/cluster-conf/everything-given", test_everything_given);
        g_test_add_func("/shared/cluster-conf/links-have-ports", test_links_have_ports_of_their_own);
        g_test_add_func("/shared/cluster-conf/default-delay", test_default_delay_outlasts_the_devices);
        g_test_add_func("/shared/cluster-conf/default-delay-outlasts-all-levels",
                        test_default_delay_outlasts_all_levels);
        g_test_add_func("/shared/cluster-conf/default-tie-breaker", test_tie_breaker_is_the_lowest_enabled);
        g_test_add_func("/shared/cluster-conf/who-can-be-fenced-freezes",
                        test_quorum_loss_freezes_who_can_be_fenced);
        g_test_add_func("/shared/cluster-conf/watchdogs", test_watchdogs);
        g_test_add_func("/shared/cluster-conf/duplicates-are-refused", test_duplicates_are_refused);
        g_test_add_func("/shared/cluster-conf/bad-values-are-refused", test_bad_values_are_refused);
        g_test_add_func("/shared/cluster-conf/bad-addresses-are-refused", test_bad_addresses_are_refused);
        g_test_add_func("/shared/cluster-conf/redfish-devices-are-read", test_redfish_devices_are_read);
        g_test_add_func("/shared/cluster-conf/verification-changes-the-hash",
                        test_verification_changes_the_hash);
        g_test_add_func("/shared/cluster-conf/plug-of-two-nodes-is-refused",
                        test_plug_of_two_nodes_is_refused);
        g_test_add_func("/shared/cluster-conf/bad-redfish-devices-are-refused",
                        test_bad_redfish_devices_are_refused);
        g_test_add_func("/shared/cluster-conf/levels-of-fence-devices", test_levels_of_fence_devices);
        g_test_add_func("/shared/cluster-conf/bad-fence-devices-are-refused",
                        test_bad_fence_devices_are_refused);
        g_test_add_func("/shared/cluster-conf/all-errors-at-once", test_all_errors_at_once);
        g_test_add_func("/shared/cluster-conf/timers-follow-from-failover",
                        test_timers_follow_from_failover);
        g_test_add_func("/shared/cluster-conf/hash-sees-timers-only", test_hash_sees_timers_only);
        g_test_add_func("/shared/cluster-conf/unsafe-timers-are-refused", test_unsafe_timers_are_refused);
        g_test_add_func("/shared/cluster-conf/many-nodes-and-links-take-longer",
                        test_many_nodes_and_links_take_longer);
        g_test_add_func("/shared/cluster-conf/hashes-see-meaning-only", test_hashes_see_meaning_only);
        g_test_add_func("/shared/cluster-conf/hashes-tell-which-kind-differs",
                        test_hashes_tell_which_kind_differs);
        g_test_add_func("/shared/cluster-conf/identity-is-name-and-addresses",
                        test_identity_is_name_and_addresses);
        g_test_add_func("/shared/cluster-conf/canonical-text-reads-back", test_canonical_text_reads_back);
        g_test_add_func("/shared/cluster-conf/missing-file-is-told", test_missing_file_is_told);

        return g_test_run();
}
