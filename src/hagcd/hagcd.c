/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>

#include "basic/str-buf.h"
#include "basic/time-util.h"
#include "cms/cms-trace.h"
#include "hagcd/access.h"
#include "hagcd/gasp.h"
#include "hagcd/hagcd.h"
#include "hagcd/keeping.h"
#include "hagcd/notify.h"
#include "hagcd/reload.h"
#include "hagcd/status.h"
#include "shared/cluster-access.h"
#include "shared/cluster-timers.h"
#include "shared/event-util.h"
#include "shared/log.h"
#include "shared/message-ids.h"

/* A farewell that nobody answers holds the stop up for no longer than this. */
#define LEAVE_USEC (300 * USEC_PER_MSEC)

/* gcs asks cms anew, and status is compared, at this interval. */
#define ASK_USEC (500 * USEC_PER_MSEC)

struct Hagcd {
        sd_event *event;    /* weak */
        HagcdConfig config; /* as of the start */
        uint64_t incarnation;

        const ClusterConf *conf;     /* weak: in force, as far as this node knows */
        ClusterConf *taken_over;     /* owned: the same, when it is not that of the start */
        ClusterConf *wanted;         /* owned: read since, and not in force yet; NULL: none */
        uint64_t wanted_hash;        /* as cms knows it */
        Reload *reload;              /* owned */
        sd_event_source *reload_due; /* owned: of it, at the end of the turn */
        sd_event_source *trim;       /* owned: peers are told apart anew at the end of the turn */

        Cms *cms;             /* owned */
        Gcs *gcs;             /* owned */
        CmsEffects *effects;  /* owned */
        CmsMessage *message;  /* owned: decoded */
        GcsMessage *gcs_in;   /* owned: decoded */
        Transport *transport; /* owned */
        StoreClient *store;   /* owned */
        Clients *clients;     /* owned */
        Status *status;       /* owned */
        Notify *notify;       /* owned */
        Keeping *keeping;     /* owned: what the keeper and hamgr see */
        bool in_cms, in_gcs;  /* a core is not fed from within its own effects */
        bool status_dirty;
        bool record_dirty; /* gcs put its part in: cms has yet to have it written */
        NodeSet stalled;   /* gcs said so: cms has yet to be told */
        Mid gcs_history;   /* that part */

        sd_event_source *cms_timer;   /* owned */
        sd_event_source *gcs_timer;   /* owned */
        uint64_t gcs_due_usec;        /* of it */
        sd_event_source *ask_timer;   /* owned */
        sd_event_source *leave_timer; /* owned */
        sd_event_source *sigterm;     /* owned */
        sd_event_source *sigint;      /* owned */
        sd_event_source *sighup;      /* owned */

        bool armed;       /* hamgr runs something here, or may */
        char *armed_path; /* owned: the mark of it in /run */
        bool stopping;
        uint8_t gasp_secret[GASP_SECRET_BYTES];
        char *gasp_path;                                           /* owned */
        uint8_t buf[CMS_MESSAGE_SIZE_MAX + GCS_MESSAGE_BYTES_MAX]; /* enough for either */
};

static GcsVerdict feed_gcs(Hagcd *d, GcsEvent *event);
static void settle(Hagcd *d);

/* ---- The end ---- */

static void stop(Hagcd *d, const char *why) {
        log_event(LOG_NOTICE, HAMGR_MESSAGE_HAGCD_STOPPED, LOG_NO_FIELDS, "stopped: %s", why);
        clients_stop(d->clients, "hagcd was stopped");
        store_client_end(d->store);
        transport_flush(d->transport);
        (void) unlink(d->gasp_path);
        (void) sd_event_exit(d->event, EXIT_SUCCESS);
}

/* Our unit's FailureAction= resets the node. After SIGTERM nothing is a failure any more. */
static void fail(Hagcd *d, const char *why) {
        if (d->stopping) {
                stop(d, why);
                return;
        }
        log_event(LOG_ERR,
                  HAMGR_MESSAGE_NODE_RESET,
                  LOG_FIELDS("HAMGR_NODE", d->config.self->name, "HAMGR_REASON", why),
                  "%s: this node must be reset; exiting with failure, on which systemd resets it",
                  why);
        (void) sd_event_exit(d->event, EXIT_FAILURE);
}

/* ---- cms ---- */

static void tell_gcs(Hagcd *d, const CmsNotification *n) {
        switch (n->type) {
        case CMS_NOTIFICATION_TRANSITION:
                (void) feed_gcs(d, &(GcsEvent){ .type = GCS_EVENT_TRANSITION });
                break;
        case CMS_NOTIFICATION_NODE:
                if (n->node.change == CMS_NODE_CONFIRMED)
                        break;
                (void) feed_gcs(d,
                                &(GcsEvent){
                                                .type = GCS_EVENT_NODE,
                                                .node = { .node = n->node.node,
                                                          .up = n->node.change == CMS_NODE_COMING },
                                });
                break;
        case CMS_NOTIFICATION_STABLE:
                (void) feed_gcs(d, &(GcsEvent){ .type = GCS_EVENT_STABLE, .stable = { n->stable } });
                break;
        }
}

/* What is in force, of what counts at once. */
static void use_conf(Hagcd *d) {
        static const GcsDissemination dissemination[_CLUSTER_DISSEMINATION_MAX] = {
                [CLUSTER_DISSEMINATION_AUTO] = GCS_DISSEMINATION_AUTO,
                [CLUSTER_DISSEMINATION_RING] = GCS_DISSEMINATION_RING,
                [CLUSTER_DISSEMINATION_FANOUT] = GCS_DISSEMINATION_FANOUT,
        };

        clients_set_conf(d->clients, d->conf);
        gcs_set_dissemination(d->gcs, dissemination[d->conf->dissemination]);
}

/* What the file says is in force: names are those of it from here on. */
static void take_over_if_in_force(Hagcd *d) {
        ClusterConf *before = d->taken_over;

        if (!d->wanted || status_look(d->status, d->cms)->config_hash != d->wanted_hash)
                return;
        d->conf = d->taken_over = TAKE_PTR(d->wanted);
        use_conf(d);
        status_set_conf(d->status, d->conf);
        (void) cluster_conf_free(before);
        (void) event_defer_arm(d->trim);
        log_event(LOG_NOTICE,
                  HAMGR_MESSAGE_CLUSTER_CONF_IN_FORCE,
                  LOG_NO_FIELDS,
                  "cluster.conf as it was read last is in force: %zu nodes, %u votes",
                  d->conf->n_nodes,
                  cluster_conf_votes(d->conf, NODE_SET_ALL));
}

static void on_notification(Hagcd *d, const CmsNotification *n) {
        d->status_dirty = true;
        if (n->type == CMS_NOTIFICATION_STABLE) {
                take_over_if_in_force(d);
                status_log_membership(d->status, n->stable);
                notify_membership(d->notify, n->stable);
        }
        tell_gcs(d, n);
}

static void send_cms(Hagcd *d, NodeSet to, const CmsMessage *m) {
        ByteWriter w;

        byte_writer_init(&w, d->buf, sizeof(d->buf));
        cms_message_encode(m, &w);
        if (byte_writer_result(&w) < 0)
                log_error("a membership message does not fit its buffer, dropping it");
        else
                transport_send(d->transport, to, DTLS_CLASS_MEMBERSHIP, d->buf, w.size_bytes);
}

/* Since when this node waits, or that it waits no more. */
static void tell_hold(Hagcd *d, uint64_t left_usec) {
        const Membership *m = cms_membership(d->cms);
        char text[PROTO_TEXT_MAX];

        d->status_dirty = true;
        status_log_hold(d->status, d->cms);
        if (left_usec > 0)
                notify_status(d->notify, status_held_text(d->status, d->config.self->id, left_usec, text));
        else if (m)
                notify_membership(d->notify, m);
        else
                notify_status(d->notify, "Waiting for a membership");
}

static void on_cms_trace(Hagcd *d, const CmsTrace *t) {
        char text[CMS_TRACE_TEXT_MAX];

        if (t->type == CMS_TRACE_PROBLEM || t->type == CMS_TRACE_HEARD || t->type == CMS_TRACE_SUSPECTED)
                d->status_dirty = true;
        if (t->type == CMS_TRACE_PROBLEM)
                status_log_problem(d->status, d->cms, t->node, (CmsProblem) t->value);
        if (t->type == CMS_TRACE_HELD)
                tell_hold(d, t->value);
        if (log_max_level() >= LOG_DEBUG)
                log_debug("cms: %s", cms_trace_format(t, text));
}

/* From the farewell on cms hears nobody anew, so those whom it hears still are of those it told. */
static bool has_told_quorum(const Hagcd *d) {
        CmsView v;

        cms_view(d->cms, now_boottime_usec(), &v);
        return keeping_quorum_knows(cms_membership(d->cms), d->config.self->id, v.row);
}

static void feed_cms(Hagcd *d, CmsEvent *event) {
        assert(!d->in_cms);

        d->in_cms = true;
        event->now_usec = now_boottime_usec();
        cms_step(d->cms, event, d->effects);
        for (unsigned i = 0; i < d->effects->n; i++) {
                const CmsEffect *e = &d->effects->items[i];

                switch (e->type) {
                case CMS_EFFECT_SEND:
                        send_cms(d, e->send.to, e->send.message);
                        break;
                case CMS_EFFECT_STORE:
                        store_client_put_cms(d->store, e->store.number, e->store.record);
                        break;
                case CMS_EFFECT_NOTIFY:
                        status_note(d->status, &e->notify);
                        on_notification(d, &e->notify);
                        break;
                case CMS_EFFECT_LEFT:
                        if (e->left.heard && has_told_quorum(d))
                                keeping_release(d->keeping);
                        stop(d,
                             e->left.heard ? "all others know that this node left"
                                           : "nobody answered the farewell");
                        break;
                case CMS_EFFECT_TRACE:
                        on_cms_trace(d, &e->trace);
                        break;
                }
        }
        d->in_cms = false;
}

/* ---- gcs ---- */

static void send_gcs(Hagcd *d, NodeSet to, const GcsMessage *m) {
        ssize_t n = gcs_message_encode(m, d->buf, sizeof(d->buf));

        if (n < 0)
                log_error("a message of gcs does not fit its buffer, dropping it");
        else
                transport_send(d->transport, to, DTLS_CLASS_BULK, d->buf, (size_t) n);
}

static void on_gcs_trace(const GcsTrace *t) {
        char text[GCS_TRACE_TEXT_MAX];

        if (log_max_level() >= LOG_DEBUG)
                log_debug("gcs: %s", gcs_trace_format(t, text));
}

static GcsVerdict feed_gcs(Hagcd *d, GcsEvent *event) {
        GcsEffects effects;

        assert(!d->in_gcs);

        d->in_gcs = true;
        event->now_usec = now_boottime_usec();
        clients_set_now(d->clients, event->now_usec);
        gcs_step(d->gcs, event, &effects);
        for (size_t i = 0; i < effects.n_effects; i++) {
                const GcsEffect *e = &effects.effects[i];

                switch (e->type) {
                case GCS_EFFECT_SEND:
                        send_gcs(d, e->send.to, e->send.message);
                        break;
                case GCS_EFFECT_STORE:
                        store_client_put_gcs(d->store, e->store.number, e->store.history);
                        d->gcs_history = e->store.history;
                        d->record_dirty = true;
                        break;
                case GCS_EFFECT_RESET_NODE:
                        fail(d, "a critical member took too slowly what was delivered to it");
                        break;
                case GCS_EFFECT_STALLED:
                        d->stalled = e->stalled.nodes;
                        status_log_stalled(d->status, e->stalled.nodes);
                        break;
                case GCS_EFFECT_TRACE:
                        on_gcs_trace(&e->trace);
                        break;
                case GCS_EFFECT_REGISTERED:
                case GCS_EFFECT_REFUSED:
                case GCS_EFFECT_UNREGISTERED:
                case GCS_EFFECT_EXPELLED:
                case GCS_EFFECT_CREDIT:
                case GCS_EFFECT_VIEW:
                case GCS_EFFECT_MESSAGE:
                case GCS_EFFECT_SNAPSHOT_REQUEST:
                case GCS_EFFECT_SNAPSHOT:
                case GCS_EFFECT_RELEASE:
                case GCS_EFFECT_DROP_HELD:
                case GCS_EFFECT_FROZEN:
                case GCS_EFFECT_SHUT_OUT:
                        clients_effect(d->clients, e);
                        break;
                }
        }
        d->in_gcs = false;
        return effects.verdict;
}

/* ---- After each turn ---- */

static void tell_status(Hagcd *d) {
        const ProtoCluster *cluster;

        d->status_dirty = false;
        take_over_if_in_force(d);
        cluster = status_update(d->status, d->cms, d->transport);
        if (cluster)
                clients_set_cluster(d->clients, cluster);
}

/* R10: heard, and what is ordered does not go on for them. */
static void tell_stalled(Hagcd *d) {
        NodeSet nodes = TAKE_GENERIC(d->stalled, NodeSet, NODE_SET_EMPTY);

        if (nodes != NODE_SET_EMPTY)
                feed_cms(d, &(CmsEvent){ .type = CMS_EVENT_STALLED, .stalled = { nodes } });
}

/* A time that moves away, as it does with every acknowledgement, is not set anew: to come early does no
 * harm. */
static void arm_gcs(Hagcd *d) {
        uint64_t due_usec = gcs_wakeup_usec(d->gcs);

        if (due_usec < d->gcs_due_usec && event_timer_at(d->gcs_timer, due_usec) >= 0)
                d->gcs_due_usec = due_usec;
}

static void settle(Hagcd *d) {
        while (TAKE_GENERIC(d->record_dirty, bool, false))
                feed_cms(d, &(CmsEvent){ .type = CMS_EVENT_STORE, .store = { d->gcs_history } });
        tell_stalled(d);
        if (d->status_dirty)
                tell_status(d);
        keeping_publish(d->keeping, d->cms, cluster_conf_nodes(d->conf));
        clients_settle(d->clients);
        transport_flush(d->transport);
        (void) event_timer_at(d->cms_timer, cms_wakeup_usec(d->cms));
        arm_gcs(d);
}

/* ---- What happens in the world ---- */

static int on_cms_timer(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Hagcd *d = userdata;

        feed_cms(d, &(CmsEvent){ .type = CMS_EVENT_TIMEOUT });
        settle(d);
        return 0;
}

static int on_gcs_timer(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Hagcd *d = userdata;

        d->gcs_due_usec = USEC_INFINITY;
        (void) feed_gcs(d, &(GcsEvent){ .type = GCS_EVENT_TIMEOUT });
        settle(d);
        return 0;
}

/* A notification that was lost between the cores is found here (design.md 4). */
static int on_ask_timer(sd_event_source *s, uint64_t due_usec, void *userdata) {
        Hagcd *d = userdata;
        CmsNotification n;

        cms_ask(d->cms, &n);
        tell_gcs(d, &n);
        tell_status(d);
        keeping_connect(d->keeping);
        status_log_links(d->status, d->transport);
        status_log_configuration(d->status);
        status_log_hold(d->status, d->cms);
        settle(d);
        return event_timer_in(d->ask_timer, ASK_USEC);
}

/* hamgr waits for whom the others hear, and every moment of that is one without service. */
static bool rows_matter(const Hagcd *d) {
        const Membership *m = cms_membership(d->cms);

        return m && m->half && !m->quorate;
}

static void on_message(void *userdata, uint32_t from, unsigned link, DtlsClass class, Buffer *buffer) {
        Hagcd *d = userdata;

        if (class == DTLS_CLASS_MEMBERSHIP) {
                if (cms_message_decode(buffer->data, buffer->size_bytes, d->message) < 0) {
                        status_log_bad(d->status, from);
                        return;
                }
                feed_cms(d,
                         &(CmsEvent){
                                         .type = CMS_EVENT_RECEIVED,
                                         .received = { .from = from, .link = link, .message = d->message },
                         });
                if (rows_matter(d))
                        d->status_dirty = true;
        } else {
                if (gcs_message_decode(buffer, 0, buffer->size_bytes, d->gcs_in) < 0) {
                        status_log_bad(d->status, from);
                        return;
                }
                (void) feed_gcs(d,
                                &(GcsEvent){
                                                .type = GCS_EVENT_RECEIVED,
                                                .received = { .from = from, .message = d->gcs_in },
                                });
        }
}

static void on_carrier(void *userdata, unsigned link, bool carrier) {
        Hagcd *d = userdata;

        log_event(carrier ? LOG_NOTICE : LOG_WARNING,
                  carrier ? HAMGR_MESSAGE_LINK_UP : HAMGR_MESSAGE_LINK_DOWN,
                  LOG_FIELDS("HAMGR_NODE", d->config.self->name),
                  "link %u: %s",
                  link,
                  carrier ? "carrier is here" : "no carrier, or its address is missing on this node");
        feed_cms(d, &(CmsEvent){ .type = CMS_EVENT_LINK, .link = { .link = link, .carrier = carrier } });
        settle(d);
}

static void on_last_gasp(void *userdata, uint32_t from, uint64_t incarnation) {
        Hagcd *d = userdata;

        feed_cms(d,
                 &(CmsEvent){
                                 .type = CMS_EVENT_LAST_GASP,
                                 .last_gasp = { .node = from, .incarnation = incarnation },
                 });
        settle(d);
}

static void on_problem(void *userdata, uint32_t node, TransportProblem problem) {
        Hagcd *d = userdata;

        status_log_transport(d->status, node, problem);
        d->status_dirty = true;
}

static void on_stored(void *userdata, uint64_t cms_number, uint64_t gcs_number, int error) {
        Hagcd *d = userdata;

        if (cms_number > 0)
                feed_cms(d,
                         &(CmsEvent){
                                         .type = error < 0 ? CMS_EVENT_STORE_FAILED : CMS_EVENT_STORED,
                                         .stored = { .number = cms_number },
                         });
        /* gcs waits: every write is one of cms, which tries again, and says that this node cannot write so
         * that the others go on without it (R3). */
        if (gcs_number > 0 && error == 0)
                (void) feed_gcs(d, &(GcsEvent){ .type = GCS_EVENT_STORED, .stored = { gcs_number } });
        settle(d);
}

static GcsVerdict on_client_event(void *userdata, GcsEvent *event) {
        return feed_gcs(userdata, event);
}

/* The mark outlives us, but no boot (R12): a hagcd that is started again while groups run, and stopped
 * before hamgr has come back to it, must not say that nothing runs here. */
static void mark_armed(const Hagcd *d, bool armed) {
        int fd;

        if (!armed) {
                if (unlink(d->armed_path) < 0 && errno != ENOENT)
                        log_warning_errno(
                                        errno,
                                        "cannot remove %s: %m, ignoring; until hamgr is back after a "
                                        "restart this "
                                        "node counts as running something",
                                        d->armed_path);
                return;
        }
        fd = open(d->armed_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                log_error_errno(errno,
                                "cannot make %s: %m; when hagcd is restarted, do not stop it again before "
                                "hamgr is "
                                "back",
                                d->armed_path);
        (void) safe_close(fd);
}

static void on_armed(void *userdata, bool armed) {
        Hagcd *d = userdata;

        mark_armed(d, armed);
        d->armed = armed;
        keeping_armed(d->keeping, armed);
        feed_cms(d, &(CmsEvent){ .type = CMS_EVENT_ARMED, .armed = { armed } });
}

/* ---- cluster.conf changes (R7) ---- */

static void log_errors(const ConfErrors *errors) {
        FOREACH_ARRAY(e, errors->items, errors->n_items) {
                char line[16] = "";

                if (e->line > 0)
                        (void) snprintf(line, sizeof(line), ":%u", e->line);
                log_event(LOG_ERR,
                          HAMGR_MESSAGE_CLUSTER_CONF_REFUSED,
                          LOG_FIELDS("HAMGR_REASON", e->message),
                          "%s%s: %s; going on with the configuration of before",
                          e->file,
                          line,
                          e->message);
        }
}

/* For whoever asked: the first thing that is wrong. The journal has them all. */
static void answer_reload(Hagcd *d, int error, const ConfErrors *errors) {
        const ConfError *first = errors->n_items > 0 ? errors->items : NULL;
        _cleanup_(str_buf_done) StrBuf text = { 0 };

        if (first && first->line > 0)
                str_buf_printf(&text, "%s:%u: %s", first->file, first->line, first->message);
        else if (first)
                str_buf_printf(&text, "%s: %s", first->file, first->message);
        clients_reloaded(d->clients, error, str_buf_text(&text));
        notify_reloaded(d->notify);
}

_Static_assert(CLUSTER_TIMERS_FAILURES_IN_LEASE == CMS_LEASE_FAILURES_DEFAULT, "a lease is as long for all");

static CmsConfig cms_config(const ClusterConf *conf, uint32_t self) {
        CmsConfig c = {
                .self = self,
                .configured = cluster_conf_nodes(conf),
                .enabled = cluster_conf_enabled_nodes(conf),
                .tie_breaker = conf->tie_breaker,
                .n_links = conf->n_links,
                .hash = {
                        [CMS_CONFIG_CLUSTER] = conf->hashes[CLUSTER_CONF_CLUSTER],
                        [CMS_CONFIG_NODE] = conf->hashes[CLUSTER_CONF_NODE],
                        [CMS_CONFIG_FENCE] = conf->hashes[CLUSTER_CONF_FENCE],
                },
                .heartbeat_usec = conf->heartbeat_usec,
                .failure_usec = conf->failure_usec,
                .lease_usec = cluster_timers_lease(conf->failure_usec),
        };

        FOREACH_ARRAY(n, conf->nodes, conf->n_nodes) {
                c.votes[n->id - 1] = (uint8_t) n->votes;
                c.identity[n->id - 1] = cluster_conf_node_identity(conf, n);
        }
        return c;
}

/* The file says what this node wants; the membership says when it is in force. */
static void want(Hagcd *d, ClusterConf *conf_taken, const CmsConfig *config) {
        (void) cluster_conf_free(d->wanted);
        d->wanted = conf_taken;
        d->wanted_hash = cms_config_hash(config->hash);
        if (transport_set_peers(d->transport, d->conf, d->wanted) < 0)
                log_error("out of memory: a node that is new is not heard");
        d->status_dirty = true;
        feed_cms(d, &(CmsEvent){ .type = CMS_EVENT_CONFIGURE, .configure = { config } });
        settle(d);
}

static void on_reloaded(void *userdata, ClusterConf *conf_taken, const ConfErrors *read_errors) {
        _cleanup_(cluster_conf_freep) ClusterConf *conf = conf_taken;
        _cleanup_(conf_errors_done) ConfErrors errors = { 0 };
        Hagcd *d = userdata;
        CmsConfig config;
        int r;

        if (!conf) {
                log_errors(read_errors);
                answer_reload(d, -EINVAL, read_errors);
                settle(d);
                return;
        }
        config = cms_config(conf, d->config.self->id);
        r = cluster_conf_check_change(d->conf, conf, d->config.self->id, &errors);
        if (r >= 0 && errors.n_items == 0 && !cms_may_configure(d->cms, &config))
                r = conf_errors_add(&errors, conf->file, 0, "makes no sense to the membership");
        if (r >= 0 && errors.n_items > 0)
                r = -EPERM;
        log_errors(&errors);
        if (r >= 0)
                access_warn_unknown(conf);
        if (r >= 0)
                want(d, TAKE_PTR(conf), &config);
        answer_reload(d, r, &errors);
        settle(d);
}

static void write_gasp(Hagcd *d) {
        int r = gasp_write(d->gasp_path, d->conf, d->config.self, d->config.key, d->gasp_secret);

        if (r < 0)
                log_warning_errno(
                                r,
                                "cannot write %s, ignoring it; our sudden death is seen later: %m",
                                d->gasp_path);
        keeping_gasp_written(d->keeping);
}

/* Started again while a change waits: what is in force is the file of before, and its nodes are to be heard.
 */
static void go_on_with_former(Hagcd *d) {
        const ClusterConf *former = d->config.former;
        _cleanup_(conf_errors_done) ConfErrors errors = { 0 };
        CmsConfig file = cms_config(d->config.conf, d->config.self->id);

        if (!former || status_look(d->status, d->cms)->config_hash == cms_config_hash(file.hash) ||
            status_look(d->status, d->cms)->config_hash != former->hash ||
            !cluster_conf_node_by_id(former, d->config.self->id) ||
            cluster_conf_check_change(former, d->config.conf, d->config.self->id, &errors) < 0 ||
            errors.n_items > 0)
                return;
        d->taken_over = cluster_conf_copy(former);
        d->wanted = cluster_conf_copy(d->config.conf);
        if (!d->taken_over || !d->wanted) {
                log_error("out of memory: nodes that cluster.conf does not name any more are not heard");
                d->taken_over = cluster_conf_free(d->taken_over);
                d->wanted = cluster_conf_free(d->wanted);
                return;
        }
        cluster_access_resolve(d->taken_over, NULL, NULL);
        cluster_access_resolve(d->wanted, NULL, NULL);
        d->conf = d->taken_over;
        use_conf(d);
        d->wanted_hash = cms_config_hash(file.hash);
        status_set_conf(d->status, d->conf);
        (void) transport_set_peers(d->transport, d->conf, d->wanted);
        write_gasp(d);
}

/* What cannot even begin is answered at once. So not from within a handler of the clients, one of which it
 * may end. */
static int on_reload_due(sd_event_source *s, void *userdata) {
        Hagcd *d = userdata;

        if (d->stopping)
                return 0;
        notify_reloading(d->notify);
        reload_begin(d->reload);
        return 0;
}

static void on_client_reload(void *userdata) {
        Hagcd *d = userdata;

        (void) event_defer_arm(d->reload_due);
}

static int on_sighup(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata) {
        on_client_reload(userdata);
        return 0;
}

/* Not from within a handler of the transport, whose peers go. */
static int on_trim(sd_event_source *s, void *userdata) {
        Hagcd *d = userdata;

        (void) transport_set_peers(d->transport, d->conf, d->wanted);
        write_gasp(d);
        return 0;
}

static void on_confirmed_down(void *userdata, const CmsConfirmation *confirmation) {
        feed_cms(userdata, &(CmsEvent){ .type = CMS_EVENT_CONFIRMED_DOWN, .confirmed_down = *confirmation });
}

static void on_client_membership(void *userdata, ProtoMembership *ret) {
        Hagcd *d = userdata;

        status_membership(d->status, d->cms, d->transport, ret);
}

static size_t
on_client_group(void *userdata, unsigned slot, const char **ret_name, const GcsMember **ret_members) {
        Hagcd *d = userdata;

        return gcs_get_group(d->gcs, slot, ret_name, ret_members);
}

static void on_client_fail(void *userdata, const char *why) {
        fail(userdata, why);
}

static void on_settle(void *userdata) {
        settle(userdata);
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata) {
        Hagcd *d = userdata;
        bool running;

        if (d->stopping)
                return 0;
        d->stopping = true;
        /* R9: whoever is asked in the right order finds nobody here: hamgr is stopped first. */
        running = d->armed || clients_have_critical(d->clients);
        keeping_leave(d->keeping);
        notify_stopping(d->notify);
        log_info("asked to stop: saying farewell, %s",
                 d->armed  ? "with groups left running"
                 : running ? "with a critical member that may start something (to leave in good order: "
                             "systemctl "
                             "stop hagcd)"
                           : "nothing runs here");
        (void) event_timer_in(d->leave_timer, LEAVE_USEC);
        feed_cms(d, &(CmsEvent){ .type = CMS_EVENT_LEAVE, .leave = { .running = running } });
        settle(d);
        return 0;
}

static int on_leave_timer(sd_event_source *s, uint64_t due_usec, void *userdata) {
        stop(userdata, "the farewell was not answered in time");
        return 0;
}

/* ---- Coming back from crashes (R21) ---- */

/* For how long this start is held off. A node that runs something is never: the mark of that is of this
 * boot, and older than this start. That hamgr arms the node when it comes says nothing: it does so until it
 * knows what runs, and after a boot nothing does. */
static uint64_t begin_life(Hagcd *d, StartLog *starts) {
        uint64_t hold = start_log_begin(starts, now_realtime_usec(), d->conf->rejoin_hold_usec);
        char text[DURATION_TEXT_MAX];

        store_client_put_starts(d->store, starts);
        if (hold == 0 || d->armed)
                return 0;
        log_event(LOG_WARNING,
                  HAMGR_MESSAGE_NODE_HELD_OFF,
                  LOG_FIELDS("HAMGR_NODE", d->config.self->name),
                  "this node crashed %u times within RejoinHoldSec=%s: while it hears a quorate membership "
                  "it "
                  "waits before it joins; to end that sooner, restart hagcd.service",
                  START_LOG_MAX,
                  format_duration(hold, text));
        return hold;
}

/* ---- Making ---- */

static const TransportHandlers transport_handlers = {
        .message = on_message,
        .carrier = on_carrier,
        .last_gasp = on_last_gasp,
        .problem = on_problem,
        .settle = on_settle,
};

static const ClientsHandlers clients_handlers = {
        .feed = on_client_event,
        .armed = on_armed,
        .confirmed_down = on_confirmed_down,
        .membership = on_client_membership,
        .group = on_client_group,
        .reload = on_client_reload,
        .fail = on_client_fail,
        .settle = on_settle,
};

static int draw(void *ret, size_t n) {
        return getrandom(ret, n, 0) == (ssize_t) n ? 0 : -EIO;
}

static int read_boot_id(BootId *ret) {
        _cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        char text[37] = "";
        unsigned n = 0;

        if (fd < 0)
                return -errno;
        if (read(fd, text, sizeof(text) - 1) != sizeof(text) - 1)
                return -EIO;
        for (const char *p = text; *p && n < sizeof(ret->bytes);) {
                unsigned v;

                if (*p == '-') {
                        p++;
                        continue;
                }
                if (sscanf(p, "%2x", &v) != 1)
                        return -EBADMSG;
                ret->bytes[n++] = (uint8_t) v;
                p += 2;
        }
        return n == sizeof(ret->bytes) ? 0 : -EBADMSG;
}

static char *join_path(const char *folder, const char *name) {
        _cleanup_(str_buf_done) StrBuf b = { 0 };

        str_buf_printf(&b, "%s/%s", folder, name);
        return str_buf_take(&b);
}

static int make_timers(Hagcd *d) {
        int r;

        r = event_timer_new(d->event, "cms", on_cms_timer, d, &d->cms_timer);
        if (r >= 0)
                r = event_timer_new(d->event, "gcs", on_gcs_timer, d, &d->gcs_timer);
        if (r >= 0)
                r = event_timer_new(d->event, "ask", on_ask_timer, d, &d->ask_timer);
        if (r >= 0)
                r = event_timer_new(d->event, "leave", on_leave_timer, d, &d->leave_timer);
        if (r >= 0)
                r = event_signal_new(d->event, SIGTERM, on_signal, d, &d->sigterm);
        if (r >= 0)
                r = event_signal_new(d->event, SIGINT, on_signal, d, &d->sigint);
        if (r >= 0)
                r = event_signal_new(d->event, SIGHUP, on_sighup, d, &d->sighup);
        if (r >= 0)
                r = event_defer_new(d->event, "trim", on_trim, d, &d->trim);
        if (r >= 0)
                r = event_defer_new(d->event, "reload", on_reload_due, d, &d->reload_due);
        if (r >= 0)
                r = sd_event_source_set_priority(d->cms_timer, SD_EVENT_PRIORITY_NORMAL - 10);
        return r;
}

static int make_cores(Hagcd *d, const StoreRecord *record, bool record_valid) {
        CmsConfig cms = cms_config(d->config.conf, d->config.self->id);
        GcsConfig gcs = {
                .node = d->config.self->id,
                .incarnation = d->incarnation,
                .stored_history = record_valid ? record->gcs_history : MID_NONE,
                .silence_usec = d->config.conf->failure_usec,
        };
        int r;

        r = cms_new(&cms, &d->cms);
        if (r < 0)
                return r;
        return gcs_new(&gcs, &d->gcs);
}

static int make_transport(Hagcd *d) {
        TransportConfig config = {
                .conf = d->config.conf,
                .self = d->config.self->id,
                .incarnation = d->incarnation,
                .key = d->config.key,
                .gasp_secret = d->gasp_secret,
                .handlers = &transport_handlers,
                .userdata = d,
        };

        return transport_new(d->event, &config, &d->transport);
}

static int make_clients(Hagcd *d) {
        _cleanup_free_ char *path = join_path(d->config.run_folder, "hagcd.sock");
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (!path)
                return -ENOMEM;
        fd = admission_listen(path);
        if (fd < 0)
                return log_error_errno(fd, "cannot listen at %s: %m", path);
        r = clients_new(d->event, fd, &clients_handlers, d, &d->clients);
        if (r < 0)
                return r;
        (void) TAKE_FD(fd);
        clients_set_limits(d->clients, &d->config.limits);
        use_conf(d);
        access_warn_unknown(d->conf);
        return 0;
}

int hagcd_new(sd_event *event, const HagcdConfig *config, Hagcd **ret) {
        _cleanup_(hagcd_freep) Hagcd *d = NULL;
        StoreRecord record = { 0 };
        bool record_valid = false;
        CmsEvent start = { .type = CMS_EVENT_START };
        int r;

        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        d->event = event;
        d->config = *config;
        d->conf = config->conf;
        d->gcs_due_usec = USEC_INFINITY;
        d->effects = calloc(1, sizeof(CmsEffects));
        d->message = calloc(1, sizeof(CmsMessage));
        d->gcs_in = calloc(1, sizeof(GcsMessage));
        d->gasp_path = join_path(config->run_folder, "last-gasp");
        d->armed_path = join_path(config->run_folder, "armed");
        if (!d->effects || !d->message || !d->gcs_in || !d->gasp_path || !d->armed_path)
                return -ENOMEM;
        d->armed = access(d->armed_path, F_OK) >= 0 || errno != ENOENT;
        r = draw(&d->incarnation, sizeof(d->incarnation));
        if (r >= 0)
                r = draw(d->gasp_secret, sizeof(d->gasp_secret));
        if (r >= 0)
                r = draw(&start.start.seed, sizeof(start.start.seed));
        if (r >= 0)
                r = read_boot_id(&start.start.boot_id);
        if (r < 0)
                return log_error_errno(r, "cannot draw random numbers or read the boot id: %m");
        d->incarnation = MAX(d->incarnation, UINT64_C(1));

        r = store_client_new(event, config->store_socket, on_stored, d, &record, &record_valid, &d->store);
        if (r < 0)
                return log_error_errno(
                                r,
                                "cannot read the store from %s: %m; is hagcd-store.socket running?",
                                config->store_socket);
        if (!record_valid)
                log_warning("no stored record: this node votes only after a quorate membership has taken it "
                            "in; "
                            "in a new cluster run \"hactl init\" first");
        r = keeping_new(config->run_folder,
                        config->conf->on_quorum_loss != CLUSTER_FREEZES,
                        d->armed,
                        &d->keeping);
        if (r < 0)
                return log_error_errno(r, "cannot make the lease's page in %s: %m", config->run_folder);
        r = make_timers(d);
        if (r >= 0)
                r = make_cores(d, &record, record_valid);
        if (r >= 0)
                r = make_transport(d);
        if (r >= 0)
                r = make_clients(d);
        if (r >= 0)
                r = status_new(config->conf, config->self->id, d->incarnation, &d->status);
        if (r >= 0)
                r = notify_new(event, &d->notify);
        if (r >= 0)
                r = reload_new(event, config->conf_path, on_reloaded, d, &d->reload);
        if (r < 0)
                return r;
        start.start.hold_usec = begin_life(d, &record.starts);
        write_gasp(d);
        keeping_connect(d->keeping);

        start.start.record = record_valid ? &record.cms : NULL;
        start.start.incarnation = d->incarnation;
        feed_cms(d, &start);
        go_on_with_former(d);
        if (d->armed)
                feed_cms(d, &(CmsEvent){ .type = CMS_EVENT_ARMED, .armed = { true } });
        *ret = TAKE_PTR(d);
        return 0;
}

int hagcd_start(Hagcd *d) {
        int r;

        r = transport_start(d->transport);
        if (r < 0)
                return r;
        settle(d);
        r = event_timer_in(d->ask_timer, ASK_USEC);
        if (r < 0)
                return r;
        log_event(LOG_INFO,
                  HAMGR_MESSAGE_HAGCD_STARTED,
                  LOG_FIELDS("HAMGR_NODE", d->config.self->name),
                  "started as node %s (%u) of cluster %s",
                  d->config.self->name,
                  d->config.self->id,
                  d->config.conf->name);
        notify_ready(d->notify);
        return 0;
}

Hagcd *hagcd_free(Hagcd *d) {
        if (!d)
                return NULL;
        (void) clients_free(d->clients);
        (void) transport_free(d->transport);
        (void) store_client_free(d->store);
        (void) notify_free(d->notify);
        (void) keeping_free(d->keeping);
        (void) status_free(d->status);
        (void) sd_event_source_disable_unref(d->cms_timer);
        (void) sd_event_source_disable_unref(d->gcs_timer);
        (void) sd_event_source_disable_unref(d->ask_timer);
        (void) sd_event_source_disable_unref(d->leave_timer);
        (void) sd_event_source_disable_unref(d->sigterm);
        (void) sd_event_source_disable_unref(d->sigint);
        (void) sd_event_source_disable_unref(d->sighup);
        (void) sd_event_source_disable_unref(d->trim);
        (void) sd_event_source_disable_unref(d->reload_due);
        (void) reload_free(d->reload);
        (void) gcs_free(d->gcs);
        (void) cms_free(d->cms);
        free(d->effects);
        free(d->message);
        free(d->gcs_in);
        free(d->gasp_path);
        free(d->armed_path);
        (void) cluster_conf_free(d->wanted);
        (void) cluster_conf_free(d->taken_over);
        free(d);
        return NULL;
}
