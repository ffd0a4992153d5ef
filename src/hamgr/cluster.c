/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* cluster.conf while the cluster runs (R7). What all hamgrs agreed to is written here as this node's file,
 * and hagcd is told to read it; that it is in force is seen at hagcd, and told to the others by the planner,
 * so that all take over its nodes at one point of the order. What hamgr itself reads in it follows the
 * state. */

#include "basic/time-util.h"
#include "hamgr/check.h"
#include "hamgr/manager.h"
#include "shared/child.h"
#include "shared/event-util.h"
#include "shared/file-util.h"
#include "shared/log.h"

#define HAGCS_PROGRAM "/usr/bin/hagcs"
#define WRITE_USEC (60 * USEC_PER_SEC)
#define RETRY_USEC (5 * USEC_PER_SEC)
/* Whoever is let in knows what the others have sooner. */
#define ALONE_USEC (3 * USEC_PER_SEC)

struct ClusterFile {
        GBytes *text;           /* owned; to be this node's file; NULL: nothing to do */
        Child *child;           /* owned; writes it, or has hagcd read it */
        bool written;           /* the second of the two */
        bool again;             /* text is a newer one than the child has */
        sd_event_source *retry; /* owned timer */
        sd_event_source *alone; /* owned timer: the others do not let this node in */

        uint64_t said; /* hash: the others were told that it is in force */
};

/* ---- Written, and read by hagcd ---- */

static void step(Manager *m);

static void on_child(Child *child, const ChildResult *result, void *userdata) {
        Manager *m = userdata;
        ClusterFile *f = m->cluster_file;
        _cleanup_(child_freep) Child *done = TAKE_PTR(f->child);
        char how[CHILD_TEXT_MAX];

        if (TAKE_GENERIC(f->again, bool, false)) {
                f->written = false;
                step(m);
                return;
        }
        if (result->end != CHILD_EXITED || result->status != 0) {
                log_error("cannot %s: %s; trying again",
                          f->written ? "have hagcd read cluster.conf" : "write " CLUSTER_CONF_PATH,
                          child_result_format(result, how));
                (void) event_timer_in(f->retry, RETRY_USEC);
                return;
        }
        if (!f->written) {
                f->written = true;
                step(m);
                return;
        }
        log_notice("%s was written, the former one is %s, and hagcd has read it",
                   CLUSTER_CONF_PATH,
                   CLUSTER_CONF_FORMER_PATH);
        g_clear_pointer(&f->text, g_bytes_unref);
}

static void step(Manager *m) {
        static const char *const write[] = { "/proc/self/exe", "--write-cluster-conf", NULL };
        static const char *const reload[] = { HAGCS_PROGRAM, "--reload", NULL };
        ClusterFile *f = m->cluster_file;
        ChildSpec spec = { .argv = f->written ? reload : write, .timeout_usec = WRITE_USEC };
        int r;

        if (!f->written)
                spec.input = g_bytes_get_data(f->text, &spec.input_bytes);
        r = child_new(m->event, &spec, on_child, m, &f->child);
        if (r >= 0)
                return;
        log_error_errno(r, "cannot start %s: %m; trying again", spec.argv[0]);
        (void) event_timer_in(f->retry, RETRY_USEC);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *m = userdata;

        if (m->cluster_file->text && !m->cluster_file->child)
                step(m);
        m->cluster_file->said = 0;
        cluster_follow(m);
        return 0;
}

void cluster_write(Manager *m, GBytes *text) {
        ClusterFile *f = m->cluster_file;

        g_clear_pointer(&f->text, g_bytes_unref);
        f->text = g_bytes_ref(text);
        if (f->child) {
                f->again = true;
                return;
        }
        f->written = false;
        step(m);
}

/* The other process: standard input is to be the file, and the one of before is kept. */
int cluster_write_here(void) {
        _cleanup_free_ char *text = NULL, *before = NULL;
        size_t size, before_size = 0;
        int r;

        r = read_whole_fd(STDIN_FILENO, HA_CLUSTER_BYTES_MAX, &text, &size);
        if (r >= 0) {
                r = read_whole_file(CLUSTER_CONF_PATH, CONF_FILE_BYTES_MAX, &before, &before_size);
                if (r >= 0 && before_size == size && memcmp(before, text, size) == 0)
                        return EXIT_SUCCESS;
                if (r >= 0)
                        r = write_file_atomic(CLUSTER_CONF_FORMER_PATH, before, before_size, 0644, 0);
                else if (r == -ENOENT)
                        r = 0;
        }
        if (r >= 0)
                r = write_file_atomic(CLUSTER_CONF_PATH, text, size, 0644, 0);
        if (r < 0)
                fprintf(stderr, "%s", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- What is in force ---- */

static ClusterConf *parse(const void *data, size_t size_bytes) {
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        ClusterConf *conf = NULL;

        (void) cluster_conf_parse(CLUSTER_CONF_PATH, data, size_bytes, &errors, &conf);
        return conf;
}

/* The text with that hash, which is in force, as far as this node has it. */
static GBytes *text_of(const Manager *m, uint64_t hash, HaNodes *ret_nodes) {
        _cleanup_(cluster_conf_freep) ClusterConf *conf = NULL;
        _cleanup_free_ char *text = NULL;
        const HaNodes *wanted;
        size_t size;

        if (state_cluster_wanted(m->state, &wanted) && wanted->hash == hash) {
                *ret_nodes = *wanted;
                return g_bytes_ref(state_cluster_wanted(m->state, &wanted));
        }
        if (read_whole_file(CLUSTER_CONF_PATH, HA_CLUSTER_BYTES_MAX, &text, &size) >= 0)
                conf = parse(text, size);
        if (conf && conf->hash == hash) {
                nodes_from_conf(conf, ret_nodes);
                return g_bytes_new(text, size);
        }
        if (m->conf->hash != hash)
                return NULL;
        nodes_from_conf(m->conf, ret_nodes);
        text = free_null(text);
        text = cluster_conf_to_text(m->conf);
        return text ? g_bytes_new(text, strlen(text)) : NULL;
}

void cluster_follow(Manager *m) {
        StateMessage message = { .type = STATE_MESSAGE_CLUSTER_IN_FORCE };
        const hagcs_configuration *c;
        HaNodes nodes;

        if (!m->active || !m->group || !state_is_planner(m->state))
                return;
        c = hagcs_get_configuration(m->group);
        if (c->hash == 0 || c->hash == m->cluster_file->said ||
            (c->hash == state_nodes(m->state)->hash && state_cluster_text(m->state)))
                return;
        m->cluster_file->said = c->hash;
        message.cluster.text = text_of(m, c->hash, &nodes);
        if (!message.cluster.text) {
                log_warning("%s is not any more what hagcd has read and the cluster has in force; the "
                            "managers go "
                            "on with what they knew before",
                            CLUSTER_CONF_PATH);
                (void) event_timer_in(m->cluster_file->retry, RETRY_USEC);
                return;
        }
        message.cluster.mid = (HaMid){ c->mid.epoch, c->mid.node_id };
        message.cluster.nodes = &nodes;
        group_send(m, &message);
        g_bytes_unref(message.cluster.text);
}

void cluster_take_over(Manager *m) {
        GBytes *text = state_cluster_text(m->state);
        const StateNode *self = state_node(m->state, m->self);
        ClusterConf *conf = NULL;

        m->cluster_file->said = 0;
        m->nodes = *state_nodes(m->state);
        if (text)
                conf = parse(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
        if (conf) {
                fencing_configure(m, m->conf);
                m->conf = conf;
        }
        api_objects_changed(m->api);
        api_everything_changed(m->api);
        if (self && !self->hello)
                group_say_hello(m);
}

/* ---- Power was lost in the middle ---- */

typedef struct Kept {
        GBytes *text;      /* owned; what was not finished; NULL: all was */
        GBytes *before;    /* owned; what was in force; NULL: not known, */
        uint64_t in_force; /* and its hash; 0 */
        HaNodes nodes;
} Kept;

static void kept_done(Kept *k) {
        g_clear_pointer(&k->text, g_bytes_unref);
        g_clear_pointer(&k->before, g_bytes_unref);
}

/* What this node wrote down last. */
static void read_kept(const Manager *m, Kept *ret) {
        GBytes *record = record_newest(m->record);
        const void *data;
        gsize size;

        *ret = (Kept){ 0 };
        if (!record)
                return;
        data = g_bytes_get_data(record, &size);
        if (state_durable_cluster(data, size, &ret->before, &ret->nodes))
                ret->in_force = ret->nodes.hash;
        (void) state_durable_unfinished(data, size, &ret->text, &ret->nodes);
}

/* It had agreed, and the others may have gone on: they let it in only when its file says the same. A file
 * that somebody edited since is left alone. */
static int on_alone(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_(kept_done) Kept kept = {};
        Manager *m = userdata;

        if (m->state || !m->group)
                return 0;
        read_kept(m, &kept);
        if (!kept.text || kept.in_force != hagcs_get_configuration(m->group)->wanted)
                return 0;
        log_notice("%s was being changed when this node ended, and it is not let in: finishing that",
                   CLUSTER_CONF_PATH);
        cluster_write(m, kept.text);
        return 0;
}

static bool has_access_of(GBytes *text, uint64_t access_hash) {
        _cleanup_(cluster_conf_freep) ClusterConf *conf =
                        text ? parse(g_bytes_get_data(text, NULL), g_bytes_get_size(text)) : NULL;

        return conf && conf->access_hash == access_hash;
}

/* Memberships do not compare who may join which group: whoever was away while that changed is let in. */
static void catch_up_access(Manager *m) {
        _cleanup_(cluster_conf_freep) ClusterConf *conf = NULL;
        _cleanup_(kept_done) Kept kept = {};
        _cleanup_free_ char *text = NULL;
        size_t size;

        if (read_whole_file(CLUSTER_CONF_PATH, HA_CLUSTER_BYTES_MAX, &text, &size) >= 0)
                conf = parse(text, size);
        if (!conf || conf->hash != state_nodes(m->state)->hash ||
            has_access_of(state_cluster_text(m->state), conf->access_hash))
                return;
        read_kept(m, &kept);
        if (!has_access_of(kept.before, conf->access_hash) && !has_access_of(kept.text, conf->access_hash)) {
                log_warning("the [Access] sections of %s on this node are neither those that were applied "
                            "to "
                            "the cluster nor those before them; \"hactl apply %s\" on the node that has the "
                            "right ones puts them in force everywhere",
                            CLUSTER_CONF_PATH,
                            CLUSTER_CONF_PATH);
                return;
        }
        log_notice("the [Access] sections of %s changed while this node was away: taking those of the "
                   "others",
                   CLUSTER_CONF_PATH);
        cluster_write(m, state_cluster_text(m->state));
}

void cluster_catch_up(Manager *m) {
        const hagcs_configuration *c = hagcs_get_configuration(m->group);
        _cleanup_(kept_done) Kept kept = {};
        const HaNodes *wanted;

        if (c->hash != state_nodes(m->state)->hash || !state_cluster_text(m->state) ||
            state_cluster_wanted(m->state, &wanted) || state_apply_pending(m->state, NULL))
                return;
        if (c->hash == c->wanted) {
                catch_up_access(m);
                return;
        }
        read_kept(m, &kept);
        if (c->wanted != kept.in_force && !(kept.text && c->wanted == kept.nodes.hash))
                return;
        log_notice("%s on this node is not what the others have: taking theirs", CLUSTER_CONF_PATH);
        cluster_write(m, state_cluster_text(m->state));
}

void cluster_begin_nodes(Manager *m, HaNodes *ret) {
        uint64_t hash = m->group ? hagcs_get_configuration(m->group)->hash : 0;
        GBytes *record = record_newest(m->record);
        g_autoptr(GBytes) text = NULL;
        ClusterConf *conf = NULL;

        nodes_from_conf(m->conf, ret);
        if (hash == 0 || hash == m->conf->hash)
                return;
        if (record &&
            state_durable_cluster(g_bytes_get_data(record, NULL), g_bytes_get_size(record), &text, ret) &&
            ret->hash == hash)
                conf = parse(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
        if (!conf) {
                log_warning("%s says something else than what is in force in the cluster, and this node "
                            "does not "
                            "have that; going on with what it says",
                            CLUSTER_CONF_PATH);
                nodes_from_conf(m->conf, ret);
                return;
        }
        fencing_configure(m, m->conf);
        m->conf = conf;
}

/* ---- What differs, for people ---- */

static void add_line(GPtrArray *lines, const char *format, ...) _printf_(2, 3);

static void add_line(GPtrArray *lines, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_ptr_array_add(lines, g_strdup_vprintf(format, ap));
        va_end(ap);
}

static void compare_node(GPtrArray *lines, const ClusterNode *before, const ClusterNode *now) {
        if (before->votes != now->votes)
                add_line(lines, "node %s: Votes=%u, was %u", now->name, now->votes, before->votes);
        if (before->enabled != now->enabled)
                add_line(lines, "node %s: %s", now->name, now->enabled ? "enabled" : "disabled");
}

char **cluster_changes(const ClusterConf *before, const ClusterConf *now) {
        NodeSet removed = cluster_conf_nodes_missing(now, before),
                added = cluster_conf_nodes_missing(before, now);
        g_autoptr(GPtrArray) lines = g_ptr_array_new();

        NODE_SET_FOREACH(id, removed)
                add_line(lines, "node %s: removed", cluster_conf_node_name(before, id));
        FOREACH_ARRAY(n, now->nodes, now->n_nodes)
                if (node_set_contains(added, n->id))
                        add_line(lines, "node %s: added", n->name);
                else
                        compare_node(lines, cluster_conf_node_by_id(before, n->id), n);
        if (before->tie_breaker != now->tie_breaker)
                add_line(lines,
                         "TieBreaker=%s, was %s",
                         cluster_conf_node_name(now, now->tie_breaker),
                         cluster_conf_node_name(before, before->tie_breaker));
        if (before->hashes[CLUSTER_CONF_FENCE] != now->hashes[CLUSTER_CONF_FENCE])
                add_line(lines, "fence devices: changed");
        if (before->access_hash != now->access_hash)
                add_line(lines, "[Access] sections: changed, for joins from now on");
        if (before->unseen_fence_usec != now->unseen_fence_usec ||
            before->fence_delay_usec != now->fence_delay_usec ||
            before->rejoin_hold_usec != now->rejoin_hold_usec)
                add_line(lines, "times in [Cluster]: changed");
        g_ptr_array_add(lines, NULL);
        return (char **) g_ptr_array_free(TAKE_PTR(lines), FALSE);
}

int cluster_start(Manager *m) {
        int r;

        m->cluster_file = g_new0(ClusterFile, 1);
        r = event_timer_new(m->event, "cluster-conf-retry", on_retry, m, &m->cluster_file->retry);
        if (r >= 0)
                r = event_timer_new(m->event, "cluster-conf-alone", on_alone, m, &m->cluster_file->alone);
        return r < 0 ? r : event_timer_in(m->cluster_file->alone, ALONE_USEC);
}

void cluster_stop(Manager *m) {
        ClusterFile *f = m->cluster_file;

        if (!f)
                return;
        child_free(f->child);
        sd_event_source_disable_unref(f->retry);
        sd_event_source_disable_unref(f->alone);
        g_clear_pointer(&f->text, g_bytes_unref);
        g_free(f);
        m->cluster_file = NULL;
}
