/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <time.h>

#include "basic/str-buf.h"
#include "basic/time-util.h"
#include "hagcd/history.h"
#include "hagcd/link-size.h"
#include "hagcd/start-log.h"
#include "hagcd/status.h"
#include "hagcd/view-frame.h"
#include "shared/log.h"
#include "shared/message-ids.h"

_Static_assert((unsigned) CMS_LINKS_MAX <= PROTO_LINKS_MAX, "all links fit the frame");
_Static_assert((unsigned) CLUSTER_LINKS_MAX <= PROTO_LINKS_MAX, "all links fit the frame");

struct Status {
        const ClusterConf *conf; /* weak */
        uint32_t self;
        uint64_t incarnation;

        CmsView view;
        ProtoCluster cluster;
        uint8_t told[PROTO_FRAME_MAX], now[PROTO_FRAME_MAX];
        ssize_t told_bytes;

        History history;

        uint8_t links_bad[NODE_ID_MAX];                      /* by bit, when looked at last, ... */
        uint8_t links_told[NODE_ID_MAX];                     /* ... and those that were told as bad */
        uint32_t sizes_told[NODE_ID_MAX][CLUSTER_LINKS_MAX]; /* of the longest datagrams */

        bool membership_known;
        bool quorate;
        NodeState states[NODE_ID_MAX];
        uint64_t rejoin_usec[NODE_ID_MAX]; /* CLOCK_REALTIME: when a node that is held off joins */
        LogRate stalled_rate, bad_rate;
        char config_seen[PROTO_TEXT_MAX], config_told[PROTO_TEXT_MAX]; /* why a change waits */
        LogRate hold_rate[NODE_ID_MAX]; /* a hold ends and begins with the quorum that is heard */
        bool hold_told;                 /* our own */
};

int status_new(const ClusterConf *conf, uint32_t self, uint64_t incarnation, Status **ret) {
        Status *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        tzset();
        s->conf = conf;
        s->self = self;
        s->incarnation = incarnation;
        for (unsigned i = 0; i < NODE_ID_MAX; i++)
                for (unsigned link = 0; link < CLUSTER_LINKS_MAX; link++)
                        s->sizes_told[i][link] = LINK_SIZE_LONGEST;
        s->stalled_rate = (LogRate){ .interval_usec = 10 * USEC_PER_SEC, .burst = 3 };
        s->bad_rate = (LogRate){ .interval_usec = 10 * USEC_PER_SEC, .burst = 3 };
        for (unsigned i = 0; i < NODE_ID_MAX; i++)
                s->hold_rate[i] = (LogRate){ .interval_usec = USEC_PER_MINUTE, .burst = 4 };
        *ret = s;
        return 0;
}

Status *status_free(Status *s) {
        free(s);
        return NULL;
}

void status_set_conf(Status *s, const ClusterConf *conf) {
        s->conf = conf;
}

const CmsView *status_look(Status *s, const Cms *cms) {
        cms_view(cms, now_boottime_usec(), &s->view);
        return &s->view;
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
        case TRANSPORT_PROBLEM_NO_NODE:
                return "by its cluster.conf this server is none of the cluster: copy "
                       "/etc/hamgr/cluster.conf from "
                       "there, or stop hagcd here";
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
                       "take it in; of two nodes run \"hactl init --recreate-store\" there, in a new "
                       "cluster "
                       "\"hactl init\" on each, then restart hagcd";
        case CMS_PROBLEM_CANNOT_WRITE:
                return "cannot write its store";
        case CMS_PROBLEM_TWO_INCARNATIONS:
                return "two hagcds run under this id: both are barred";
        case CMS_PROBLEM_HELD:
                return "held off: it crashed too often of late";
        case CMS_PROBLEM_FILE_DIFFERS:
                return "its cluster.conf differs from ours; what is in force counts for both";
        }
        return "";
}

/* What is left is told anew with every heartbeat; the time that people read stays as it is. */
#define REJOIN_GRAIN_USEC (2 * USEC_PER_SEC)

const char *status_held_text(Status *s, uint32_t node, uint64_t left_usec, char buf[static PROTO_TEXT_MAX]) {
        uint64_t at_usec = usec_add(now_realtime_usec(), left_usec), *told = &s->rejoin_usec[node - 1];
        char window[DURATION_TEXT_MAX], at[32] = "";
        struct tm tm;
        time_t t;

        if (at_usec > usec_add(*told, REJOIN_GRAIN_USEC) || *told > usec_add(at_usec, REJOIN_GRAIN_USEC))
                *told = at_usec;
        t = (time_t) (*told / USEC_PER_SEC);
        if (localtime_r(&t, &tm))
                (void) strftime(at, sizeof(at), "%F %T", &tm);
        (void) snprintf(buf,
                        PROTO_TEXT_MAX,
                        "held off: it crashed %u times within %s; joins at %s, or once hagcd.service is "
                        "restarted there",
                        START_LOG_MAX,
                        format_duration(s->conf->rejoin_hold_usec, window),
                        at);
        return buf;
}

static ProtoQuorum quorum_of(const Membership *m) {
        return m->quorate ? PROTO_QUORUM_YES : m->half ? PROTO_QUORUM_HALF : PROTO_QUORUM_NONE;
}

static const char *
node_problem(Status *s, uint32_t id, const Transport *t, char buf[static PROTO_TEXT_MAX]) {
        const CmsPeerView *peer = &s->view.peers[id - 1];

        if (id != s->self && peer->problem == CMS_PROBLEM_HELD)
                return status_held_text(s, id, peer->hold_left_usec, buf);
        if (id != s->self)
                return problem_text(transport_problem(t, id), peer->problem);
        if (s->view.no_record)
                return problem_text(TRANSPORT_PROBLEM_NONE, CMS_PROBLEM_NO_RECORD);
        if (s->view.cannot_write)
                return problem_text(TRANSPORT_PROBLEM_NONE, CMS_PROBLEM_CANNOT_WRITE);
        if (s->view.held)
                return status_held_text(s, id, s->view.hold_left_usec, buf);
        return "";
}

/* By us, or in its newest words by a member that we hear: who is to prove a node dead asks for both (R15).
 */
static bool is_heard(const Status *s, const Membership *m, uint32_t id) {
        if (s->view.peers[id - 1].heard)
                return true;
        NODE_SET_FOREACH(member, m ? node_set_without(m->members, s->self) : NODE_SET_EMPTY) {
                const CmsPeerView *peer = &s->view.peers[member - 1];

                if (peer->heard && node_set_contains(peer->row, id))
                        return true;
        }
        return false;
}

static void
fill_node(Status *s, ProtoNode *p, const ClusterNode *n, const Membership *m, const Transport *t) {
        const CmsPeerView *peer = &s->view.peers[n->id - 1];
        char text[PROTO_TEXT_MAX];

        if (m)
                node_fill_ordered(p, n->id, membership_node(m, n->id));
        else
                *p = (ProtoNode){ .id = n->id, .state = PROTO_NODE_UNKNOWN };
        if (p->state != PROTO_NODE_UP) {
                p->incarnation = peer->newest_incarnation;
                memcpy(p->boot_id, peer->newest_boot_id.bytes, sizeof(p->boot_id));
        }
        p->enabled = n->enabled;
        p->votes = n->votes;
        p->n_links = s->conf->n_links;
        (void) snprintf(p->name, sizeof(p->name), "%s", n->name);
        if (n->id == s->self) {
                p->heard = true;
        } else {
                p->heard = is_heard(s, m, n->id);
                p->proven = peer->proven;
                p->links_heard = transport_links(t, n->id);
        }
        (void) snprintf(p->problem, sizeof(p->problem), "%s", node_problem(s, n->id, t, text));
}

static const char *name_nodes(const Status *s, NodeSet set, StrBuf *b) {
        NODE_SET_FOREACH(id, set) {
                const char *name = cluster_conf_node_name(s->conf, id);

                str_buf_add(b, b->length > 0 ? ", " : "");
                if (name)
                        str_buf_add(b, name);
                else
                        str_buf_printf(b, "node %u", id);
        }
        return str_buf_text(b);
}

/* Why what cluster.conf says is not in force, and what to do about it. */
static void config_text(const Status *s, char buf[static PROTO_TEXT_MAX]) {
        _cleanup_(str_buf_done) StrBuf b = { 0 };
        const char *nodes = name_nodes(s, s->view.config_wait_nodes, &b);

        buf[0] = '\0';
        switch (s->view.config_wait) {
        case CMS_CONFIG_WAIT_NONE:
        case _CMS_CONFIG_WAIT_MAX:
        case _CMS_CONFIG_WAIT_INVALID:
                return;
        case CMS_CONFIG_WAIT_AGREEMENT:
                (void) snprintf(buf, PROTO_TEXT_MAX, "it is being agreed upon");
                return;
        case CMS_CONFIG_WAIT_QUORUM:
                (void) snprintf(buf, PROTO_TEXT_MAX, "there is no quorate membership at rest to decide it");
                return;
        case CMS_CONFIG_WAIT_MEMBERS:
                (void) snprintf(buf,
                                PROTO_TEXT_MAX,
                                "cluster.conf says something else on %s: make the files the same (hactl "
                                "apply "
                                "/etc/hamgr/cluster.conf does it)",
                                nodes);
                return;
        case CMS_CONFIG_WAIT_STOP:
                (void) snprintf(buf,
                                PROTO_TEXT_MAX,
                                "%s must first be stopped (systemctl stop hagcd there), or fenced when it "
                                "is "
                                "lost: what it runs is not known otherwise",
                                nodes);
                return;
        case CMS_CONFIG_WAIT_MAJORITY:
                (void) snprintf(buf,
                                PROTO_TEXT_MAX,
                                "the members hold no more than half of the votes that are in force: start "
                                "the "
                                "nodes that are missing");
                return;
        case CMS_CONFIG_WAIT_MAJORITY_NEW:
                (void) snprintf(buf,
                                PROTO_TEXT_MAX,
                                "the members would hold no more than half of the votes then: start the "
                                "nodes "
                                "that are missing, or change fewer votes at once");
                return;
        }
}

static void fill_configuration(const Status *s, ProtoConfiguration *ret) {
        const CmsView *v = &s->view;

        *ret = (ProtoConfiguration){
                .hash = v->config_hash,
                .mid = { v->config_mid.epoch, v->config_mid.node },
                .wanted = v->config_wanted,
                .waits_for = v->config_wait_nodes,
        };
        if (v->config_wait != CMS_CONFIG_WAIT_NONE)
                (void) snprintf(ret->why,
                                sizeof(ret->why),
                                "%s",
                                strempty(cms_config_wait_to_string(v->config_wait)));
        config_text(s, ret->text);
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
        fill_configuration(s, &c->configuration);
        if (m) {
                c->mid = (ProtoMid){ m->mid.epoch, m->mid.node };
                c->members = m->members;
                c->quorum = quorum_of(m);
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

/* ---- The membership as asked for ---- */

static void fill_link(const Status *s, ProtoLink *l, uint32_t id, unsigned link, const Transport *t) {
        uint64_t age_usec = s->view.peers[id - 1].heard_age_usec[link];
        TransportLinkView seen;

        transport_link_view(t, id, link, &seen);
        *l = (ProtoLink){
                .state = !seen.carrier                            ? PROTO_LINK_NO_CARRIER
                         : seen.heard && seen.size_bytes == 0     ? PROTO_LINK_TOO_NARROW
                         : age_usec > s->conf->failure_usec       ? PROTO_LINK_SILENT
                         : seen.deaf_usec > s->conf->failure_usec ? PROTO_LINK_ONE_WAY
                         : seen.size_bytes < LINK_SIZE_LONGEST    ? PROTO_LINK_NARROW
                                                                  : PROTO_LINK_GOOD,
                .heard_age_usec = age_usec,
                .rtt_usec = seen.rtt_usec,
                .n_received = seen.n_received,
                .n_lost = seen.n_lost,
                .longest_bytes = seen.size_bytes,
        };
}

static void
fill_peer(Status *s, ProtoPeer *p, const ClusterNode *n, const Membership *m, const Transport *t) {
        const CmsPeerView *peer = &s->view.peers[n->id - 1];
        const MembershipNode *settled = m ? membership_node(m, n->id) : NULL;
        const char *reason =
                        settled && settled->state != NODE_UP ? node_reason_to_string(settled->reason) : "";
        char text[PROTO_TEXT_MAX];

        *p = (ProtoPeer){
                .id = n->id,
                .state = (uint8_t) (settled ? settled->state : NODE_UNKNOWN),
                .enabled = n->enabled,
                .votes = n->votes,
                .incarnation = peer->incarnation,
                .heard = peer->heard,
                .hears_us = peer->confirmed,
                .armed = peer->armed,
                .mid = { peer->mid.epoch, peer->mid.node },
                .quorate = peer->quorate,
                .hears = peer->row,
                .hears_age_usec = peer->row_age_usec,
                .heartbeats_lost = peer->heartbeats_lost,
        };
        (void) snprintf(p->name, sizeof(p->name), "%s", n->name);
        (void) snprintf(p->reason, sizeof(p->reason), "%s", strempty(reason));
        (void) snprintf(p->problem, sizeof(p->problem), "%s", node_problem(s, n->id, t, text));
        if (n->id != s->self) {
                p->n_links = s->conf->n_links;
                for (unsigned i = 0; i < p->n_links; i++)
                        fill_link(s, &p->links[i], n->id, i, t);
        }
}

static void fill_own(const Status *s, ProtoPeer *p, const Membership *m) {
        p->incarnation = s->incarnation;
        p->heard = p->hears_us = true;
        p->hears = s->view.row;
        p->hears_age_usec = 0;
        p->mid = (ProtoMid){ s->view.installed.epoch, s->view.installed.node };
        p->quorate = s->view.quorate;
        p->armed = m && membership_node(m, s->self)->armed;
}

/* Whoever called the ballot that was promised has the next word. */
static NodeSet awaited(const CmsView *v, uint32_t self) {
        bool promised = v->phase == CMS_PHASE_PROMISED || v->phase == CMS_PHASE_ACKNOWLEDGED;

        return promised && v->promised.node != self && node_id_is_valid(v->promised.node)
                               ? node_set_of(v->promised.node)
                               : v->missing;
}

void status_membership(Status *s, const Cms *cms, const Transport *transport, ProtoMembership *ret) {
        const Membership *m = cms_membership(cms);
        const CmsView *v = &s->view;

        cms_view(cms, now_boottime_usec(), &s->view);
        *ret = (ProtoMembership){
                .node_id = s->self,
                .incarnation = s->incarnation,
                .mid = { v->installed.epoch, v->installed.node },
                .promised = { v->promised.epoch, v->promised.node },
                .quorum = (uint8_t) (m ? quorum_of(m) : PROTO_QUORUM_NONE),
                .shut_out = v->excluded,
                .no_record = v->no_record,
                .cannot_write = v->cannot_write,
                .members = m ? m->members : NODE_SET_EMPTY,
                .hears = v->row,
                .target = v->target,
                .awaited = awaited(v, s->self),
                .coordinator = m && m->n_members > 0 ? m->rank[0] : 0,
                .tie_breaker = s->conf->tie_breaker,
                .heartbeat_usec = s->conf->heartbeat_usec,
                .failure_usec = s->conf->failure_usec,
        };
        (void) snprintf(ret->name, sizeof(ret->name), "%s", s->conf->name);
        fill_configuration(s, &ret->configuration);
        (void) snprintf(ret->phase, sizeof(ret->phase), "%s", strempty(cms_phase_to_string(v->phase)));
        FOREACH_ARRAY(node, s->conf->nodes, s->conf->n_nodes) {
                ProtoPeer *p = &ret->peers[ret->n_peers++];

                fill_peer(s, p, node, m, transport);
                if (node->id == s->self)
                        fill_own(s, p, m);
        }
        history_fill(&s->history, ret);
}

void status_note(Status *s, const CmsNotification *n) {
        if (n->type == CMS_NOTIFICATION_STABLE)
                history_installed(&s->history, n->stable, now_realtime_usec());
        else if (n->type == CMS_NOTIFICATION_NODE && n->node.change == CMS_NODE_EXCLUDED)
                history_shut_out(&s->history, s->self, now_realtime_usec());
}

/* ---- The journal ---- */

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

void status_log_problem(Status *s, const Cms *cms, uint32_t node, CmsProblem problem) {
        const char *name = strna(cluster_conf_node_name(s->conf, node));
        const char *text = problem_text(TRANSPORT_PROBLEM_NONE, problem);
        bool config = problem == CMS_PROBLEM_CONFIG_CLUSTER || problem == CMS_PROBLEM_CONFIG_NODE ||
                      problem == CMS_PROBLEM_CONFIG_FENCE;
        /* Every start passes through these; if they last, the membership says so. */
        bool transient = problem == CMS_PROBLEM_NOT_HEARD || problem == CMS_PROBLEM_ONE_WAY;
        bool held = problem == CMS_PROBLEM_HELD;
        char buf[PROTO_TEXT_MAX];
        uint32_t n_held;

        if (isempty(text) || (held && !log_rate_pass(&s->hold_rate[node - 1], now_boottime_usec(), &n_held)))
                return;
        if (held) {
                cms_view(cms, now_boottime_usec(), &s->view);
                text = status_held_text(s, node, s->view.peers[node - 1].hold_left_usec, buf);
        }
        log_event(config      ? LOG_ERR
                  : transient ? LOG_INFO
                              : LOG_WARNING,
                  config ? HAMGR_MESSAGE_CONFIG_DIFFERS
                  : held ? HAMGR_MESSAGE_NODE_HELD_OFF
                         : NULL,
                  LOG_FIELDS("HAMGR_NODE", name, "HAMGR_REASON", cms_problem_to_string(problem)),
                  "node %s: %s%s",
                  name,
                  text,
                  config ? "; it cannot join until the files are the same: give the one that is in force to "
                           "the "
                           "other node, and restart hagcd there"
                         : "");
}

void status_log_transport(Status *s, uint32_t node, TransportProblem problem) {
        const char *name = strna(cluster_conf_node_name(s->conf, node));

        if (problem == TRANSPORT_PROBLEM_NONE)
                log_notice("node %s: its seal is good now", name);
        else
                log_event(LOG_ERR,
                          problem == TRANSPORT_PROBLEM_VERSION   ? NULL
                          : problem == TRANSPORT_PROBLEM_NO_NODE ? HAMGR_MESSAGE_CONFIG_DIFFERS
                                                                 : HAMGR_MESSAGE_KEY_REFUSED,
                          LOG_FIELDS("HAMGR_NODE", name),
                          "node %s: %s",
                          name,
                          problem_text(problem, CMS_PROBLEM_NONE));
}

static const char *link_text(ProtoLinkState state) {
        switch (state) {
        case PROTO_LINK_GOOD:
        case PROTO_LINK_NARROW:
                return "carries both ways again";
        case PROTO_LINK_SILENT:
                return "nothing is heard on it any more";
        case PROTO_LINK_ONE_WAY:
                return "the node is heard on it, and says that it does not hear us";
        case PROTO_LINK_NO_CARRIER:
        case PROTO_LINK_TOO_NARROW:
                break;
        }
        return "no carrier, or its address is missing on this node";
}

static void log_link(const Status *s, uint32_t node, unsigned link, ProtoLinkState state) {
        const char *name = strna(cluster_conf_node_name(s->conf, node));
        bool good = state == PROTO_LINK_GOOD || state == PROTO_LINK_NARROW;

        log_event(good ? LOG_NOTICE : LOG_WARNING,
                  good ? HAMGR_MESSAGE_LINK_UP : HAMGR_MESSAGE_LINK_DOWN,
                  LOG_FIELDS("HAMGR_NODE", name),
                  "link %u to node %s: %s%s",
                  link,
                  name,
                  link_text(state),
                  good ? "" : "; going on with what is left");
}

static void log_size(const Status *s, uint32_t node, unsigned link, uint32_t bytes) {
        const char *name = strna(cluster_conf_node_name(s->conf, node));
        const char *const *fields = LOG_FIELDS("HAMGR_NODE", name);

        if (bytes == 0)
                log_event(LOG_WARNING,
                          HAMGR_MESSAGE_LINK_NARROW,
                          fields,
                          "link %u to node %s: heartbeats come through, and of what we send datagrams of %u "
                          "bytes "
                          "are lost; the link counts as dead until they are not; check the MTU on the way",
                          link,
                          name,
                          LINK_SIZE_SHORTEST);
        else if (bytes < LINK_SIZE_LONGEST)
                log_event(LOG_WARNING,
                          HAMGR_MESSAGE_LINK_NARROW,
                          fields,
                          "link %u to node %s: long datagrams that we send are lost; going on with %u bytes "
                          "instead of %u, which come through; check the MTU on the way",
                          link,
                          name,
                          bytes,
                          LINK_SIZE_LONGEST);
        else
                log_event(LOG_NOTICE,
                          HAMGR_MESSAGE_LINK_UP,
                          fields,
                          "link %u to node %s: carries datagrams of %u bytes again",
                          link,
                          name,
                          bytes);
}

/* Once it has come to rest: a way that is narrow is found out in steps. */
static void watch_size(Status *s, uint32_t node, unsigned link, const Transport *t) {
        uint32_t *told = &s->sizes_told[node - 1][link];
        TransportLinkView seen;

        transport_link_view(t, node, link, &seen);
        if (seen.size_bytes == *told || !(seen.size_settled || seen.size_bytes == 0))
                return;
        *told = seen.size_bytes;
        log_size(s, node, link, *told);
}

/* While another link to the node is good: else the node is out, or we were paused and everybody seems to be.
 * A link that was bad twice is told. The loss of our own carrier was told already, and once for all nodes;
 * what is too narrow, watch_size() tells.
 */
static void watch_links(Status *s, uint32_t node, const Transport *t) {
        uint8_t *told = &s->links_told[node - 1], before = s->links_bad[node - 1], bad = 0, dark = 0;
        ProtoLink links[CLUSTER_LINKS_MAX];

        s->links_bad[node - 1] = 0;
        for (unsigned i = 0; i < s->conf->n_links; i++) {
                fill_link(s, &links[i], node, i, t);
                if (links[i].state == PROTO_LINK_NO_CARRIER || links[i].state == PROTO_LINK_TOO_NARROW)
                        dark |= (uint8_t) (1U << i);
                else if (links[i].state != PROTO_LINK_GOOD && links[i].state != PROTO_LINK_NARROW)
                        bad |= (uint8_t) (1U << i);
        }
        if (!s->view.peers[node - 1].heard || (bad | dark) == (1U << s->conf->n_links) - 1)
                return;
        for (unsigned i = 0; i < s->conf->n_links; i++) {
                uint8_t bit = (uint8_t) (1U << i);

                if (*told & bit ? !((bad | dark) & bit) : bad & before & bit) {
                        log_link(s, node, i, (ProtoLinkState) links[i].state);
                        *told ^= bit;
                }
        }
        s->links_bad[node - 1] = bad;
}

void status_log_links(Status *s, const Transport *transport) {
        FOREACH_ARRAY(node, s->conf->nodes, s->conf->n_nodes)
                if (node->id != s->self) {
                        watch_links(s, node->id, transport);
                        for (unsigned i = 0; i < s->conf->n_links; i++)
                                watch_size(s, node->id, i, transport);
                }
}

/* At every change the nodes read their files one after the other: what is seen twice is told. */
void status_log_configuration(Status *s) {
        char now[PROTO_TEXT_MAX];
        bool lasts;

        config_text(s, now);
        lasts = streq(now, s->config_seen);
        memcpy(s->config_seen, now, sizeof(now));
        if (!lasts || streq(now, s->config_told))
                return;
        memcpy(s->config_told, now, sizeof(now));
        if (now[0] != '\0')
                log_event(LOG_WARNING,
                          HAMGR_MESSAGE_CLUSTER_CONF_WAITS,
                          LOG_FIELDS("HAMGR_REASON", now),
                          "what cluster.conf says is not in force yet: %s",
                          now);
}

void status_log_hold(Status *s, const Cms *cms) {
        char text[PROTO_TEXT_MAX] = "held off no more";
        uint32_t n_held;

        cms_view(cms, now_boottime_usec(), &s->view);
        if (s->view.held == s->hold_told ||
            !log_rate_pass(&s->hold_rate[s->self - 1], now_boottime_usec(), &n_held))
                return;
        s->hold_told = s->view.held;
        if (s->view.held)
                (void) status_held_text(s, s->self, s->view.hold_left_usec, text);
        log_notice("%s%s", text, n_held > 0 ? " (this goes to and fro)" : "");
}

void status_log_stalled(Status *s, NodeSet nodes) {
        uint32_t n_held;

        if (!log_rate_pass(&s->stalled_rate, now_boottime_usec(), &n_held))
                return;
        NODE_SET_FOREACH(id, nodes)
                log_warning("node %s is heard, and what is ordered does not get there or is not "
                            "acknowledged; "
                            "if that lasts, it is left out, or this node when it lacks the word of too many",
                            strna(cluster_conf_node_name(s->conf, id)));
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
