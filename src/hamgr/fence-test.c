/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* TestFencing: the devices of a node are asked from here, as they would be to fence it. A fencing that
 * begins meanwhile needs them more. */

#include "hamgr/api/fence-test.h"
#include "hamgr/fence/ask.h"
#include "hamgr/manager.h"

typedef struct FenceTest {
        Manager *manager; /* weak */
        ApiCall *call;    /* owned until answered */
        FenceAsk *ask;    /* owned */
} FenceTest;

static void test_free(void *p) {
        FenceTest *t = p;

        if (t->call)
                api_call_refuse(t->call, API_ERROR_NOT_READY, "broken off: the fence devices are needed");
        fence_ask_free(t->ask);
        g_free(t);
}

static void on_answers(FenceAsk *a, const FenceAnswer *answers, size_t n_answers, void *userdata) {
        FenceTest *t = userdata;
        ApiFenceTest api = { .n_devices = n_answers };

        for (size_t i = 0; i < n_answers; i++)
                api.devices[i] = (ApiFenceTestDevice){
                        .device = answers[i].device,
                        .level = answers[i].level,
                        .state = answers[i].state,
                        .error = answers[i].error,
                        .taken_usec = answers[i].taken_usec,
                };
        api_call_fence_test(TAKE_PTR(t->call), &api);
        g_ptr_array_remove(t->manager->fence_tests, t);
}

void fence_test_begin(Manager *m, ApiCall *call, const char *node) {
        const ClusterNode *n = cluster_conf_node_by_name(m->conf, node);
        FenceTest *t;

        if (!n) {
                api_call_refuse(call,
                                API_ERROR_NO_SUCH_NODE,
                                "there is no node \"%s\" in cluster.conf",
                                node);
                return;
        }
        if (m->fence_jobs->len > 0) {
                api_call_refuse(call, API_ERROR_NOT_READY, "a node is being fenced from here; try again");
                return;
        }
        t = g_new0(FenceTest, 1);
        t->manager = m;
        t->call = call;
        g_ptr_array_add(m->fence_tests, t);
        if (fence_ask_new(m->event, m->conf, n->id, on_answers, t, &t->ask) < 0)
                g_ptr_array_remove(m->fence_tests, t);
}

void fence_test_break_off(Manager *m) {
        g_ptr_array_set_size(m->fence_tests, 0);
}

void fence_test_start(Manager *m) {
        m->fence_tests = g_ptr_array_new_with_free_func(test_free);
}

void fence_test_stop(Manager *m) {
        if (m->fence_tests)
                g_ptr_array_unref(m->fence_tests);
}
