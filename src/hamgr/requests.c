/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls from the bus. What changes the cluster becomes an ordered message with a number; the replicated
 * state answers it here, on the node that asked, when it stands and is stored. What is only shown is put
 * together here from the replicated state and from what hagcd tells. */

#include <inttypes.h>

#include "basic/parse.h"
#include "basic/time-util.h"
#include "hamgr/api/fence-history.h"
#include "hamgr/check.h"
#include "hamgr/manager.h"
#include "shared/event-util.h"
#include "shared/log.h"

typedef struct Request {
        Manager *manager; /* weak */
        uint64_t number;
        ApiCall *call;          /* owned until answered */
        char **changes;         /* owned: what an apply of cluster.conf changes; NULL: something else */
        sd_event_source *timer; /* owned */
} Request;

static void request_free(void *p) {
        Request *r = p;

        if (r->call)
                api_call_refuse(r->call, API_ERROR_NOT_READY, "hamgr is stopping on this node");
        sd_event_source_disable_unref(r->timer);
        g_strfreev(r->changes);
        g_free(r);
}

static Request *request_find(Manager *m, uint64_t number) {
        for (size_t i = 0; i < m->requests->len; i++) {
                Request *r = m->requests->pdata[i];

                if (r->number == number)
                        return r;
        }
        return NULL;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Request *r = userdata;
        const Manager *m = r->manager;
        char waits[STATE_TEXT_MAX] = "";

        if (m->active)
                state_request_waits(m->state, r->number, waits);
        if (r->changes && m->group && !isempty(hagcs_get_configuration(m->group)->text))
                state_text_set(waits, "%s", hagcs_get_configuration(m->group)->text);
        api_call_refuse(TAKE_PTR(r->call),
                        API_ERROR_TIMED_OUT,
                        "the cluster did not confirm it within %u s%s%s; it may still come about: see "
                        "\"hactl status\"",
                        m->order_timeout_sec,
                        waits[0] ? ": " : "",
                        waits);
        g_ptr_array_remove(r->manager->requests, r);
        return 0;
}

static Request *request_new(Manager *m, ApiCall *call) {
        Request *r = g_new0(Request, 1);

        r->manager = m;
        r->call = call;
        r->number = ++m->request_number;
        if (event_timer_new(m->event, "request", on_timeout, r, &r->timer) >= 0)
                (void) event_timer_in(r->timer, m->order_timeout_sec * USEC_PER_SEC);
        g_ptr_array_add(m->requests, r);
        return r;
}

static ApiError error_of(StateResult r) {
        switch (r) {
        case STATE_RESULT_NO_SUCH_GROUP:
                return API_ERROR_NO_SUCH_GROUP;
        case STATE_RESULT_NO_SUCH_NODE:
                return API_ERROR_NO_SUCH_NODE;
        case STATE_RESULT_BUSY:
                return API_ERROR_NOT_READY;
        case STATE_RESULT_INVALID:
                return API_ERROR_INVALID_CONFIGURATION;
        case STATE_RESULT_WOULD_REMOVE:
                return API_ERROR_WOULD_REMOVE;
        default:
                return API_ERROR_REFUSED;
        }
}

void requests_answer(Manager *m, const StateEffect *e) {
        Request *r = request_find(m, e->request);
        g_auto(GStrv) cluster_changes = NULL;
        ApiCall *call;

        if (!r)
                return; /* it has timed out */
        call = TAKE_PTR(r->call);
        cluster_changes = TAKE_PTR(r->changes);
        g_ptr_array_remove(m->requests, r);
        if (e->result == STATE_RESULT_OK || e->result == STATE_RESULT_NOTHING_TO_DO) {
                if (api_call_request(call)->type == API_REQUEST_APPLY) {
                        bool changed = e->result == STATE_RESULT_OK && e->text;
                        g_auto(GStrv) changes = g_strsplit(changed ? e->text : "", "\n", -1);

                        api_call_applied(call, state_config_version(m->state).number, changes);
                } else if (cluster_changes)
                        api_call_cluster_applied(call, cluster_changes);
                else
                        api_call_done(call);
                return;
        }
        api_call_refuse(call, error_of(e->result), "%s", e->text ?: state_result_to_string(e->result));
}

void requests_refuse_all(Manager *m, ApiError error, const char *why) {
        for (size_t i = 0; i < m->requests->len; i++) {
                Request *r = m->requests->pdata[i];

                api_call_refuse(TAKE_PTR(r->call), error, "%s", why);
        }
        g_ptr_array_set_size(m->requests, 0);
}

/* ---- What changes the cluster ---- */

/* An empty node in a move: the first that may take the group and does not have it. */
static uint32_t choose_target(const Manager *m, const StateGroup *g) {
        uint32_t owner = state_group_owner(g);
        char reason[STATE_TEXT_MAX];

        for (size_t i = 0; i < g->config->n_domain + g->config->n_standby; i++) {
                uint32_t id = i < g->config->n_domain ? g->config->domain[i]
                                                      : g->config->standby[i - g->config->n_domain];

                if (id != owner && state_group_node_usable(m->state, g, id, reason))
                        return id;
        }
        return 0;
}

/* Without a quorate group an operator's word can still give a half its quorum (protocol R6). */
static bool confirm_for_half(Manager *m, ApiCall *call, const HaNode *node) {
        const hagcs_cluster *c = m->group ? hagcs_get_cluster(m->group) : NULL;

        if (m->active || !c || c->quorum != HAGCS_QUORUM_HALF)
                return false;
        for (size_t i = 0; i < c->n_nodes; i++) {
                const hagcs_node *n = &c->nodes[i];

                if (n->id != node->id)
                        continue;
                if (n->heard || n->state == HAGCS_NODE_UP) {
                        api_call_refuse(call,
                                        API_ERROR_REFUSED,
                                        "%s is heard right now, so it is not off",
                                        node->name);
                        return true;
                }
                if (hagcs_confirm_down(m->group, n->id, n->incarnation, c->mid) < 0)
                        return false;
                log_notice("an operator confirms that %s is off", node->name);
                api_call_done(call);
                return true;
        }
        return false;
}

static void operate(Manager *m, ApiCall *call, const ApiRequest *request) {
        StateMessage message = { .type = STATE_MESSAGE_OPERATOR };
        StateOperator *o = &message.operator_;
        const HaNode *node = NULL;

        o->operation = request->operation;
        /* What could be no name would not even be an order that the others understand. */
        if (request->group && !name_is_valid(request->group)) {
                api_call_refuse(call, API_ERROR_NO_SUCH_GROUP, "there is no group \"%s\"", request->group);
                return;
        }
        if (request->group)
                (void) g_strlcpy(o->group, request->group, sizeof(o->group));
        if (!isempty(request->node) || !request->group) {
                node = ha_nodes_find_name(&m->nodes, request->node);
                if (!node) {
                        api_call_refuse(call,
                                        API_ERROR_NO_SUCH_NODE,
                                        "there is no node \"%s\" in cluster.conf",
                                        request->node);
                        return;
                }
                o->node = node->id;
        }
        if (request->operation == STATE_OPERATION_FENCE_CONFIRM && node && confirm_for_half(m, call, node))
                return;
        if (!m->active) {
                api_call_refuse(call,
                                group_is_quorate(m) ? API_ERROR_NOT_READY : API_ERROR_NO_QUORUM,
                                "%s cannot order anything now: %s",
                                manager_node_name(m, m->self),
                                m->trouble);
                return;
        }
        if (node)
                o->boot = state_node_boot(state_node(m->state, node->id));
        if (request->operation == STATE_OPERATION_GROUP_MOVE && !node) {
                const StateGroup *g = state_group(m->state, request->group);

                o->node = g ? choose_target(m, g) : 0;
                if (g && o->node == 0) {
                        api_call_refuse(call,
                                        API_ERROR_REFUSED,
                                        "there is no other node that could run group %s now",
                                        request->group);
                        return;
                }
        }
        o->request = request_new(m, call)->number;
        group_send(m, &message);
}

static bool refuse_apply(const Manager *m, ApiCall *call) {
        if (m->active)
                return false;
        api_call_refuse(call,
                        group_is_quorate(m) ? API_ERROR_NOT_READY : API_ERROR_NO_QUORUM,
                        "%s cannot apply a configuration now: %s",
                        manager_node_name(m, m->self),
                        m->trouble);
        return true;
}

static void apply_cluster(Manager *m, ApiCall *call, const ApiRequest *request) {
        StateMessage message = { .type = STATE_MESSAGE_CLUSTER_PREPARE };
        _cleanup_(cluster_conf_freep) ClusterConf *conf = NULL;
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        g_autoptr(GBytes) text = NULL;
        HaNodes nodes;
        Request *r;

        if (refuse_apply(m, call))
                return;
        (void) cluster_conf_parse(request->file_name, request->text, strlen(request->text), &errors, &conf);
        if (conf)
                (void) cluster_conf_check_change(m->conf, conf, m->self, &errors);
        if (errors.n_items > 0 || !conf) {
                _cleanup_free_ char *lines = conf_errors_to_text(&errors);

                api_call_refuse(call, API_ERROR_INVALID_CONFIGURATION, "%s", strempty(lines));
                return;
        }
        nodes_from_conf(conf, &nodes);
        text = g_bytes_new(request->text, strlen(request->text));
        r = request_new(m, call);
        r->changes = cluster_changes(m->conf, conf);
        message.cluster = (StateCluster){ .request = r->number, .text = text, .nodes = &nodes };
        group_send(m, &message);
}

static void apply(Manager *m, ApiCall *call, const ApiRequest *request) {
        StateMessage message = { .type = STATE_MESSAGE_APPLY_PREPARE };
        g_autoptr(GBytes) files = NULL;

        if (refuse_apply(m, call))
                return;
        files = ha_files_serialize(request->files, request->n_files);
        message.apply_prepare.files = files;
        message.apply_prepare.remove = request->remove;
        message.apply_prepare.request = request_new(m, call)->number;
        group_send(m, &message);
}

static void show_fence_history(Manager *m, ApiCall *call) {
        ApiFenceHistory history = {};

        if (!m->state) {
                api_call_refuse(call, API_ERROR_NOT_READY, "nothing is known here: %s", m->trouble);
                return;
        }
        history.n_entries = state_fence_history(m->state, &history.entries);
        history.epoch_usec = now_realtime_usec() - state_clock_now(&m->clock, now_boottime_usec());
        api_call_fence_history(call, &history);
}

static void on_request(ApiCall *call, const ApiRequest *request, void *userdata) {
        Manager *m = userdata;

        switch (request->type) {
        case API_REQUEST_OPERATE:
                operate(m, call, request);
                break;
        case API_REQUEST_APPLY:
                apply(m, call, request);
                break;
        case API_REQUEST_APPLY_CLUSTER:
                apply_cluster(m, call, request);
                break;
        case API_REQUEST_FENCE_TEST:
                fence_test_begin(m, call, request->node);
                break;
        case API_REQUEST_CHECK:
                apply_check(m, call, request->files, request->n_files);
                break;
        case API_REQUEST_MEMBERSHIP:
                membership_show(m, call);
                break;
        case API_REQUEST_GROUPS:
                groups_show(m, call);
                break;
        case API_REQUEST_FENCE_HISTORY:
                show_fence_history(m, call);
                break;
        }
}

/* ---- What is shown ---- */

static const State *shown_state(void *userdata) {
        const Manager *m = userdata;

        return m->state;
}

static void shown_cluster(ApiCluster *ret, void *userdata) {
        Manager *m = userdata;
        const hagcs_cluster *c = m->group ? hagcs_get_cluster(m->group) : NULL;

        *ret = (ApiCluster){
                .cluster_name = m->conf->name,
                .node_name = manager_node_name(m, m->self),
                .quorate = group_is_quorate(m),
                .planner = m->active && state_planner(m->state)
                                           ? manager_node_name(m, state_planner(m->state))
                                           : "",
                .trouble = m->trouble,
                .fence_trouble = strempty(m->fence_trouble),
                .conf_waits = m->group ? hagcs_get_configuration(m->group)->text : "",
        };
        if (c && c->mid.epoch > 0)
                (void) g_snprintf(
                                ret->membership,
                                sizeof(ret->membership),
                                "%" PRIu64 ".%" PRIu32,
                                c->mid.epoch,
                                c->mid.node_id);
}

/* For as long as somebody may be about to ask. */
static bool is_recent(const Manager *m, const StateNode *n) {
        return state_clock_now(&m->clock, now_boottime_usec()) < n->since_usec + USEC_PER_HOUR;
}

/* What is replicated comes first, so that all nodes say the same of it. */
static void note_node(const Manager *m, const StateNode *n, const hagcs_node *seen, ApiNode *ret) {
        if (n && n->fence.active)
                state_text_set(ret->note, "being fenced by %s", manager_node_name(m, n->fence.fencer));
        else if (n && n->fence.n_attempts > 0 && n->state == STATE_NODE_UNKNOWN)
                state_text_set(ret->note, "fencing failed %u times: %s", n->fence.n_attempts, n->fence.text);
        else if (n && n->leaving)
                state_text_set(ret->note,
                               "%s",
                               n->instance != 0 ? "is being emptied to stop" : "hamgr is stopped there");
        else if (n && n->state == STATE_NODE_UP && !n->hello)
                state_text_set(ret->note, "hamgr is not running there");
        /* It is there, and not let in: another cluster.conf, for one. */
        else if (seen && seen->state != HAGCS_NODE_UP && (seen->heard || seen->links_heard != 0) &&
                 !isempty(seen->problem))
                state_text_set(ret->note, "%s", seen->problem);
        else if (n && n->state == STATE_NODE_DOWN && n->fence.device[0])
                state_text_set(ret->note, "fenced by %s", n->fence.device);
        else if (seen && seen->state != HAGCS_NODE_UP && !isempty(seen->problem))
                state_text_set(ret->note, "%s", seen->problem);
        else if (n && n->state == STATE_NODE_UP && n->rebooted[0] && is_recent(m, n))
                state_text_set(ret->note, "was rebooted: %s", n->rebooted);
}

static void shown_node(uint32_t id, ApiNode *ret, void *userdata) {
        Manager *m = userdata;
        const ClusterNode *conf = cluster_conf_node_by_id(m->conf, id);
        const hagcs_node *seen = group_find_node(m, id);
        const StateNode *n = m->active ? state_node(m->state, id) : NULL;

        ret->votes = conf ? conf->votes : 0;
        ret->state = n      ? state_node_state_to_string(n->state)
                     : seen ? hagcs_node_state_to_string(seen->state)
                            : state_node_state_to_string(STATE_NODE_UNKNOWN);
        ret->standby = n && n->standby;
        ret->managed = n && n->hello;
        ret->rebooted = n ? n->rebooted : "";
        note_node(m, n, seen, ret);
}

int requests_start(Manager *m) {
        static const ApiHandlers handlers = {
                .request = on_request,
                .state = shown_state,
                .cluster = shown_cluster,
                .node = shown_node,
        };
        int r;

        m->requests = g_ptr_array_new_with_free_func(request_free);
        /* Numbers of an earlier life of this manager must not be answered in this one. */
        m->request_number = now_boottime_usec();
        r = api_new(m->event, &m->nodes, &handlers, m, &m->api);
        if (r < 0)
                return log_error_errno(r, "cannot offer org.hamgr1 on the bus: %m");
        return api_start(m->api);
}

void requests_stop(Manager *m) {
        if (m->requests)
                g_ptr_array_unref(m->requests);
        m->api = api_free(m->api);
}
