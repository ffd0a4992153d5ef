/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "shared/cluster-conf.h"

#define NODE_1 "[Node n1]\nId=1\nAddress=10.1.0.1 10.2.0.1\n"
#define NODE_2 "[Node n2]\nId=2\nAddress=10.1.0.2 10.2.0.2\n"
#define NODE_3 "[Node n3]\nId=3\nAddress=10.1.0.3 10.2.0.3\n"
#define NODE_4 "[Node n4]\nId=4\nAddress=10.1.0.4 10.2.0.4\n"
#define FENCE "[Fence power]\nAgent=fence_lab\nNodes=n1 n2 n3\n"
#define RUNNING "[Cluster]\nName=shop\n" NODE_1 NODE_2 NODE_3

static ClusterConf *parse(const char *text) {
        ConfErrors errors = {};
        ClusterConf *c = NULL;

        if (cluster_conf_parse("new", text, strlen(text), &errors, &c) < 0)
                g_error("%s: %s", text, conf_errors_to_text(&errors));
        conf_errors_done(&errors);
        return c;
}

/* As node 1 sees it. */
static void assert_change_from(const char *before, const char *text, const char *expected) {
        _cleanup_(cluster_conf_freep) ClusterConf *running = parse(before), *now = parse(text);
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        _cleanup_free_ char *all = NULL;

        g_assert_cmpint(cluster_conf_check_change(running, now, 1, &errors), ==, 0);
        all = conf_errors_to_text(&errors);
        g_assert_cmpstr(all, ==, expected);
}

static void assert_change(const char *text, const char *expected) {
        assert_change_from(RUNNING, text, expected);
}

/* R14: the others wait as long as it takes the watchdog that a node joined with. */
static void test_watchdog_that_is_counted_on_stays(void) {
#define CLUSTER "[Cluster]\nName=shop\nOnQuorumLoss=stop\n" NODE_1 NODE_2
        const char *vouched = CLUSTER NODE_3 "Watchdog=vouched\nWatchdogSec=1s\n";

        assert_change_from(vouched, vouched, "");
        assert_change_from(CLUSTER NODE_3, vouched, "");
        assert_change_from(vouched, CLUSTER, "");
        assert_change_from(
                        vouched,
                        CLUSTER NODE_3 "Watchdog=vouched\nWatchdogSec=10s\n",
                        "new:10: the cluster runs with Watchdog=vouched and WatchdogSec=1s in [Node n3], "
                        "and "
                        "counts on it; put that back, or stop hagcd on every node first\n");
        assert_change_from(
                        CLUSTER NODE_3 "Watchdog=hardware\n",
                        CLUSTER NODE_3,
                        "new:10: the cluster runs with Watchdog=hardware in [Node n3], and "
                        "counts on it; put that back, or stop hagcd on every node first\n");
}

static void test_what_may_change(void) {
        assert_change(RUNNING, "");
        assert_change(RUNNING NODE_4 FENCE, "");
        assert_change("[Cluster]\nName=shop\n" NODE_1 NODE_2, "");
        assert_change("[Cluster]\nName=shop\nTieBreaker=n2\nRejoinHoldSec=0\nFenceDelaySec=1s\n" NODE_3
                      "Enabled=no\n" NODE_1 "Votes=3\n" NODE_2,
                      "");
        /* Another server under an id that is used: whether it may is a question to the membership. */
        assert_change("[Cluster]\nName=shop\n" NODE_1 NODE_2 "[Node n9]\nId=3\nAddress=10.1.0.9 10.2.0.9\n",
                      "");
        /* And this very node, which is only taken out when it is stopped. */
        assert_change("[Cluster]\nName=shop\n" NODE_1 "Enabled=no\n" NODE_2 NODE_3, "");
}

static void test_what_the_cluster_runs_with_stays(void) {
        assert_change("[Cluster]\nName=store\n" NODE_1 NODE_2 NODE_3,
                      "new:2: Name=store: the cluster that runs is named shop; put that name back, or stop "
                      "hagcd on every node first\n");
        assert_change("[Cluster]\nName=shop\n\nPort=7800\n" NODE_1 NODE_2 NODE_3,
                      "new:4: Port=7800: the nodes talk over port 7700; put that back, or stop hagcd on "
                      "every "
                      "node first\n");
        assert_change("[Cluster]\nName=shop\nPort=7700\nFailoverWithinSec=2s\n" NODE_1 NODE_2 NODE_3,
                      "new:4: this gives other timers than those that the cluster runs with; write "
                      "HeartbeatSec=100ms and FailureSec=400ms, or stop hagcd on every node first\n");
        assert_change("[Cluster]\nName=shop\nOnQuorumLoss=stop\n" NODE_1 NODE_2 NODE_3,
                      "new:3: this gives OnQuorumLoss=stop, and the cluster runs with OnQuorumLoss=freeze; "
                      "write OnQuorumLoss=freeze, or stop hagcd on every node first\n");
        /* A default that another key changes is no less. */
        assert_change("[Cluster]\nName=shop\n" NODE_1 NODE_2 NODE_3 "Watchdog=hardware\n",
                      "new:1: this gives OnQuorumLoss=stop, and the cluster runs with OnQuorumLoss=freeze; "
                      "write OnQuorumLoss=freeze, or stop hagcd on every node first\n");
        assert_change("[Cluster]\nName=shop\n[Node n1]\nId=1\nAddress=10.1.0.1\n[Node "
                      "n2]\nId=2\nAddress=10.1.0.2\n",
                      "new:5: Address=: 1 for each node, and the cluster runs with 2 links; put that back, "
                      "or "
                      "stop hagcd on every node first\n");
}

static void test_what_this_node_is_stays(void) {
        assert_change("[Cluster]\nName=shop\n" NODE_2 NODE_3,
                      "new: there is no [Node n1], and hagcd runs on it; to take it out of the cluster, "
                      "stop "
                      "hagcd there first: systemctl stop hagcd\n");
        assert_change("[Cluster]\nName=shop\n[Node n9]\nId=1\nAddress=10.1.0.1 10.2.0.1\n" NODE_2,
                      "new:3: there is no [Node n1], and hagcd runs on it; to take it out of the cluster, "
                      "stop "
                      "hagcd there first: systemctl stop hagcd\n");
        assert_change("[Cluster]\nName=shop\n" NODE_2 "[Node n1]\nId=9\nAddress=10.1.0.1 10.2.0.1\n",
                      "new:6: node n1 has Id=9, and runs as 1; put that back, or stop hagcd there first\n");
        assert_change("[Cluster]\nName=shop\n[Node n1]\nId=1\n\nAddress=10.1.0.1 10.2.0.9\n" NODE_2,
                      "new:6: node n1 runs with the address 10.2.0.1 on link 1; put that back, or stop "
                      "hagcd "
                      "there first\n");
}

static void test_all_of_it_is_told_at_once(void) {
        assert_change("[Cluster]\nName=store\nPort=7800\n" NODE_2 NODE_3,
                      "new:2: Name=store: the cluster that runs is named shop; put that name back, or stop "
                      "hagcd on every node first\n"
                      "new:3: Port=7800: the nodes talk over port 7700; put that back, or stop hagcd on "
                      "every "
                      "node first\n"
                      "new: there is no [Node n1], and hagcd runs on it; to take it out of the cluster, "
                      "stop "
                      "hagcd there first: systemctl stop hagcd\n");
}

static void test_missing_nodes_are_those_of_another_server(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *before = parse(RUNNING), *after = NULL, *renamed = NULL,
                                                  *moved = NULL, *fewer_links = NULL;

        after = parse("[Cluster]\nName=shop\n" NODE_1 NODE_2 "Votes=4\nEnabled=no\n" NODE_4);
        renamed = parse("[Cluster]\nName=shop\n" NODE_1 NODE_2
                        "[Node n9]\nId=3\nAddress=10.1.0.3 10.2.0.3\n");
        moved = parse("[Cluster]\nName=shop\n" NODE_1 NODE_2 "[Node n3]\nId=3\nAddress=10.1.0.3 10.2.0.9\n");
        fewer_links = parse("[Cluster]\nName=shop\n[Node n1]\nId=1\nAddress=10.1.0.1\n");

        g_assert_cmpuint(cluster_conf_nodes_missing(after, before), ==, node_set_of(3));
        g_assert_cmpuint(cluster_conf_nodes_missing(before, after), ==, node_set_of(4));
        g_assert_cmpuint(cluster_conf_nodes_missing(renamed, before), ==, node_set_of(3));
        g_assert_cmpuint(cluster_conf_nodes_missing(moved, before), ==, node_set_of(3));
        g_assert_cmpuint(
                        cluster_conf_nodes_missing(fewer_links, before),
                        ==,
                        node_set_of(1) | node_set_of(2) | node_set_of(3));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/shared/cluster-conf-change/watchdog-that-is-counted-on-stays",
                        test_watchdog_that_is_counted_on_stays);
        g_test_add_func("/shared/cluster-conf-change/what-may-change", test_what_may_change);
        g_test_add_func("/shared/cluster-conf-change/what-the-cluster-runs-with-stays",
                        test_what_the_cluster_runs_with_stays);
        g_test_add_func("/shared/cluster-conf-change/what-this-node-is-stays", test_what_this_node_is_stays);
        g_test_add_func("/shared/cluster-conf-change/all-of-it-is-told-at-once",
                        test_all_of_it_is_told_at_once);
        g_test_add_func("/shared/cluster-conf-change/missing-nodes-are-those-of-another-server",
                        test_missing_nodes_are_those_of_another_server);

        return g_test_run();
}
