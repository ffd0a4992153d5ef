/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/time-util.h"
#include "hagcd/status.h"
#include "hagcd/view-frame.h"
#include "shared/log.h"
#include "shared/message-ids.h"

struct Status {
        const ClusterConf *conf; /* weak */
        uint32_t self;
        uint64_t incarnation;

        CmsView view;
        ProtoCluster cluster;
        uint8_t told[PROTO_FRAME_MAX], now[PROTO_FRAME_MAX];
        ssize_t told_bytes;

        bool membership_known;
        bool quorate;
        NodeState states[NODE_ID_MAX];
        LogRate stalled_rate, bad_rate;
};

int status_new(const ClusterConf *conf, uint32_t self, uint64_t incarnation, Status **ret) {
        Status *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        s->conf = conf;
        s->self = self;
        s->incarnation = incarnation;
        s->stalled_rate = (LogRate){ .interval_usec = 10 * USEC_PER_SEC, .burst = 3 };
        s->bad_rate = (LogRate){ .interval_usec = 10 * USEC_PER_SEC, .burst = 3 };
        *ret = s;
        return 0;
}

Status *status_free(Status *s) {
        free(s);
        return NULL;
}

const char *problem_text(TransportProblem transport, CmsProblem cms) {
        switch (transport) {
        case TRANSPORT_PROBLEM_NONE:
                break;
        case TRANSPORT_PROBLEM_KEY:
                return "key mismatch: its cluster key is not ours; copy /etc/hamgr/cluster.key from one "
                       "node to all";
        case TRANSPORT_PROBLEM_VERSION:
                return "speaks another version of the protocol; install the same version of hamgr on all "
                       "nodes";
        case TRANSPORT_PROBLEM_HANDSHAKE:
                return "it answers, but the handshake fails: compare the cluster keys and the versions";
        }
        switch (cms) {
        case CMS_PROBLEM_NONE:
        case CMS_PROBLEM_LEFT:
        case _CMS_PROBLEM_MAX:
        case _CMS_PROBLEM_INVALID:
                break;
        case CMS_PROBLEM_NOT_HEARD:
                return "not heard on any link";
        case CMS_PROBLEM_ONE_WAY:
                return "heard, but it does not hear this node";
        case CMS_PROBLEM_VERSION:
                return "speaks another version of the protocol";
        case CMS_PROBLEM_CONFIG_CLUSTER:
                return "its cluster.conf differs from ours in [Cluster]";
        case CMS_PROBLEM_CONFIG_NODE:
                return "its cluster.conf differs from ours in a [Node] section";
        case CMS_PROBLEM_CONFIG_FENCE:
                return "its cluster.conf differs from ours in a [Fence] section";
        case CMS_PROBLEM_DISABLED:
                return "disabled in cluster.conf";
        case CMS_PROBLEM_NO_RECORD:
                return "has no stored record and waits until more than half of the votes, without its own, "
                       "take it "
                       "in; of two nodes, run \"hactl init --recreate-store\" on it";
        case CMS_PROBLEM_CANNOT_WRITE:
                return "cannot write its store";
        case CMS_PROBLEM_TWO_INCARNATIONS:
                return "two hagcds run under this id: both are barred";
        }
        return "";
}

static void
fill_node(Status *s, ProtoNode *p, const ClusterNode *n, const Membership *m, const Transport *t) {
        const CmsPeerView *peer = &s->view.peers[n->id - 1];
        const char *problem = "";

        if (m) {
                node_fill_ordered(p, n->id, membership_node(m, n->id));
        } else {
                *p = (ProtoNode){ .id = n->id,
                                  .state = PROTO_NODE_UNKNOWN,
                                  .incarnation = peer->incarnation };
                memcpy(p->boot_id, peer->boot_id.bytes, sizeof(p->boot_id));
        }
        p->enabled = n->enabled;
        p->votes = n->votes;
        p->n_links = s->conf->n_links;
        (void) snprintf(p->name, sizeof(p->name), "%s", n->name);
        if (n->id == s->self) {
                p->heard = true;
                if (s->view.no_record)
                        problem = problem_text(TRANSPORT_PROBLEM_NONE, CMS_PROBLEM_NO_RECORD);
                else if (s->view.cannot_write)
                        problem = problem_text(TRANSPORT_PROBLEM_NONE, CMS_PROBLEM_CANNOT_WRITE);
        } else {
                p->heard = peer->heard;
                p->links_heard = transport_links(t, n->id);
                problem = problem_text(transport_problem(t, n->id), peer->problem);
        }
        (void) snprintf(p->problem, sizeof(p->problem), "%s", problem);
}

const ProtoCluster *status_update(Status *s, const Cms *cms, const Transport *transport) {
        const Membership *m = cms_membership(cms);
        ProtoCluster *c = &s->cluster;
        ProtoFrame frame = { .type = PROTO_CLUSTER, .cluster = c };
        ssize_t n;

        cms_view(cms, now_boottime_usec(), &s->view);
        *c = (ProtoCluster){
                .node_id = s->self,
                .incarnation = s->incarnation,
                .tie_breaker = s->conf->tie_breaker,
                .frozen = cms_in_transition(cms),
                .shut_out = s->view.excluded || !m || !m->quorate,
        };
        (void) snprintf(c->name, sizeof(c->name), "%s", s->conf->name);
        if (m) {
                c->mid = (ProtoMid){ m->mid.epoch, m->mid.node };
                c->members = m->members;
                c->quorum = m->quorate ? PROTO_QUORUM_YES : m->half ? PROTO_QUORUM_HALF : PROTO_QUORUM_NONE;
                c->coordinator = m->n_members > 0 ? m->rank[0] : 0;
        }
        FOREACH_ARRAY(node, s->conf->nodes, s->conf->n_nodes)
                fill_node(s, &c->nodes[c->n_nodes++], node, m, transport);

        n = proto_encode(&frame, s->now, sizeof(s->now));
        if (n < 0 || (n == s->told_bytes && memcmp(s->now, s->told, (size_t) n) == 0))
                return NULL;
        memcpy(s->told, s->now, (size_t) n);
        s->told_bytes = n;
        return c;
}

static void log_node(Status *s, uint32_t id, const MembershipNode *n) {
        const char *name = strna(cluster_conf_node_name(s->conf, id)),
                   *reason = node_reason_to_string(n->reason);
        const char *const *fields = LOG_FIELDS("HAMGR_NODE", name, "HAMGR_REASON", reason);

        switch (n->state) {
        case NODE_UP:
                log_event(LOG_NOTICE, HAMGR_MESSAGE_NODE_JOINED, fields, "node %s is up", name);
                break;
        case NODE_UNKNOWN:
                if (n->reason == NODE_REASON_NEVER_SEEN) {
                        log_notice("node %s was not seen yet; what it runs is not known", name);
                        break;
                }
                log_event(LOG_WARNING,
                          HAMGR_MESSAGE_NODE_LOST,
                          fields,
                          "node %s is lost (%s); what it runs is not known until it is fenced or returns",
                          name,
                          reason);
                break;
        case NODE_DOWN:
                log_event(LOG_NOTICE, HAMGR_MESSAGE_NODE_DOWN, fields, "node %s is down (%s)", name, reason);
                break;
        case NODE_INACTIVE:
        case NODE_DETACHED:
                log_event(LOG_NOTICE,
                          HAMGR_MESSAGE_NODE_LEFT,
                          fields,
                          "node %s is %s (%s)",
                          name,
                          node_state_to_string(n->state),
                          reason);
                break;
        case _NODE_STATE_MAX:
        case _NODE_STATE_INVALID:
                break;
        }
}

void status_log_membership(Status *s, const Membership *m) {
        char mid[MID_TEXT_MAX], set[NODE_SET_TEXT_MAX];

        mid_format(m->mid, mid);
        log_event(LOG_NOTICE,
                  HAMGR_MESSAGE_MEMBERSHIP_CHANGED,
                  LOG_FIELDS("HAMGR_MID", mid),
                  "membership %s: nodes %s, %s",
                  mid,
                  node_set_format(m->members, set),
                  m->quorate ? "quorate"
                  : m->half  ? "exactly half"
                             : "not quorate");
        if (s->membership_known && s->quorate != m->quorate)
                log_event(m->quorate ? LOG_NOTICE : LOG_ERR,
                          m->quorate ? HAMGR_MESSAGE_QUORUM_GAINED : HAMGR_MESSAGE_QUORUM_LOST,
                          LOG_FIELDS("HAMGR_MID", mid),
                          m->quorate ? "quorum is regained" : "quorum is lost: nothing is started here");
        NODE_SET_FOREACH(id, m->configured) {
                if (!s->membership_known || s->states[id - 1] != m->nodes[id - 1].state)
                        log_node(s, id, membership_node(m, id));
                s->states[id - 1] = m->nodes[id - 1].state;
        }
        s->membership_known = true;
        s->quorate = m->quorate;
}

void status_log_problem(Status *s, uint32_t node, CmsProblem problem) {
        const char *name = strna(cluster_conf_node_name(s->conf, node));
        const char *text = problem_text(TRANSPORT_PROBLEM_NONE, problem);
        bool config = problem == CMS_PROBLEM_CONFIG_CLUSTER || problem == CMS_PROBLEM_CONFIG_NODE ||
                      problem == CMS_PROBLEM_CONFIG_FENCE;
        /* Every start passes through these; if they last, the membership says so. */
        bool transient = problem == CMS_PROBLEM_NOT_HEARD || problem == CMS_PROBLEM_ONE_WAY;

        if (isempty(text))
                return;
        log_event(config      ? LOG_ERR
                  : transient ? LOG_INFO
                              : LOG_WARNING,
                  config ? HAMGR_MESSAGE_CONFIG_DIFFERS : NULL,
                  LOG_FIELDS("HAMGR_NODE", name, "HAMGR_REASON", cms_problem_to_string(problem)),
                  "node %s: %s%s",
                  name,
                  text,
                  config ? "; it cannot join until the files are the same (compare them, then restart hagcd "
                           "where it was wrong)"
                         : "");
}

void status_log_transport(Status *s, uint32_t node, TransportProblem problem) {
        const char *name = strna(cluster_conf_node_name(s->conf, node));

        if (problem == TRANSPORT_PROBLEM_NONE)
                log_notice("node %s: its seal is good now", name);
        else
                log_event(LOG_ERR,
                          problem == TRANSPORT_PROBLEM_VERSION ? NULL : HAMGR_MESSAGE_KEY_REFUSED,
                          LOG_FIELDS("HAMGR_NODE", name),
                          "node %s: %s",
                          name,
                          problem_text(problem, CMS_PROBLEM_NONE));
}

void status_log_stalled(Status *s, uint32_t node) {
        uint32_t n_held;

        if (log_rate_pass(&s->stalled_rate, now_boottime_usec(), &n_held))
                log_warning("node %s is heard but holds up ordered messages",
                            strna(cluster_conf_node_name(s->conf, node)));
}

void status_log_bad(Status *s, uint32_t node) {
        uint32_t n_held;

        if (log_rate_pass(&s->bad_rate, now_boottime_usec(), &n_held))
                log_warning("node %s sent a message that makes no sense (and %u more), dropping it; do all "
                            "nodes "
                            "run the same version?",
                            strna(cluster_conf_node_name(s->conf, node)),
                            n_held);
}
