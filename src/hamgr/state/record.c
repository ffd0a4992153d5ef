/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What outlives us all (R17): the configuration in force and the one prepared, what operators decided, and
 * nodes that may run something although no configuration in force would make anyone look there. It is one
 * record with a number, written on every node before whoever asked is told. The formation takes the newest.
 */

#include "hamgr/state/state-internal.h"
#include "hamgr/state/wire.h"

#define RECORD_MAGIC 0x44524148U /* "HARD" */
#define RECORD_VERSION 2U        /* 1 has nothing of cluster.conf, and is read, too */

NodeSet state_detached(const State *s) {
        NodeSet set = NODE_SET_EMPTY;

        FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX)
                if (n->id != 0 && n->state == STATE_NODE_DETACHED)
                        node_set_add(&set, n->id);
        return set;
}

/* ---- Bytes ---- */

static void write_stored_cluster(ByteWriter *w, GBytes *text, const HaNodes *nodes) {
        wire_write_bytes(w, text);
        if (text)
                wire_write_nodes(w, nodes);
}

static GBytes *read_stored_cluster(ByteReader *r, HaNodes *ret_nodes) {
        GBytes *text = wire_read_bytes(r, HA_CLUSTER_BYTES_MAX);

        if (text)
                wire_read_nodes(r, ret_nodes);
        return text;
}

static void write_record(ByteWriter *w, const void *object) {
        const State *s = object;
        NodeSet standby = NODE_SET_EMPTY;

        FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX)
                if (n->id != 0 && n->standby)
                        node_set_add(&standby, n->id);
        byte_writer_u32(w, RECORD_MAGIC);
        byte_writer_u32(w, RECORD_VERSION);
        wire_write_mid(w, s->record_mid);
        byte_writer_u64(w, s->serial);
        wire_write_version(w, s->version);
        wire_write_bytes(w, s->files);
        wire_write_bytes(w, s->prepared.pending ? s->prepared.files : NULL);
        if (s->prepared.pending && s->prepared.files)
                wire_write_version(w, s->prepared.version);
        byte_writer_u64(w, standby);
        byte_writer_u64(w, state_detached(s));
        byte_writer_u32(w, s->groups->len);
        for (guint i = 0; i < s->groups->len; i++) {
                const StateGroup *g = g_ptr_array_index(s->groups, i);

                byte_writer_string(w, g->name);
                byte_writer_bool(w, g->stopped);
                byte_writer_u64(w, node_set_minus(g->may_run, ha_group_nodes(g->config)));
        }
        write_stored_cluster(w, s->cluster_text, &s->node_table);
        write_stored_cluster(w, s->wanted.text, &s->wanted.nodes);
        write_stored_cluster(w, s->prepared.pending ? s->prepared.text : NULL, &s->prepared.nodes);
}

GBytes *state_durable(const State *s) {
        GBytes *b = wire_encode(write_record, s, STATE_MESSAGE_BYTES_MAX - 4096);

        /* The bounds of a configuration are chosen so that two of them fit. */
        assert(b);
        return b;
}

int state_record_read(const void *data, size_t size_bytes, StateRecord *ret) {
        StateRecord rec = { 0 };
        uint32_t version;
        ByteReader r;
        int k;

        byte_reader_init(&r, data, size_bytes);
        if (byte_reader_u32(&r) != RECORD_MAGIC)
                return -EBADMSG;
        version = byte_reader_u32(&r);
        if (version != 1 && version != RECORD_VERSION)
                return -EBADMSG;
        rec.mid = wire_read_mid(&r);
        rec.serial = byte_reader_u64(&r);
        rec.version = wire_read_version(&r);
        rec.files = wire_read_bytes(&r, STATE_MESSAGE_BYTES_MAX);
        rec.prepared_files = wire_read_bytes(&r, STATE_MESSAGE_BYTES_MAX);
        if (rec.prepared_files)
                rec.prepared_version = wire_read_version(&r);
        rec.standby = byte_reader_u64(&r);
        rec.detached = byte_reader_u64(&r);
        rec.n_groups = byte_reader_count(&r, HA_GROUPS_MAX, 11);
        rec.groups = g_malloc0_n(rec.n_groups + 1, sizeof(*rec.groups));
        FOREACH_ARRAY(g, rec.groups, rec.n_groups) {
                wire_read_name(&r, g->name);
                g->stopped = byte_reader_bool(&r);
                g->extra = byte_reader_u64(&r);
        }
        if (version >= 2) {
                rec.cluster_text = read_stored_cluster(&r, &rec.cluster_nodes);
                rec.wanted_text = read_stored_cluster(&r, &rec.wanted_nodes);
                rec.prepared_text = read_stored_cluster(&r, &rec.prepared_nodes);
        }
        k = byte_reader_finish(&r);
        if (k >= 0 && !rec.files)
                k = -EBADMSG;
        if (k < 0) {
                state_record_done(&rec);
                return k;
        }
        *ret = rec;
        return 0;
}

void state_record_done(StateRecord *r) {
        g_clear_pointer(&r->files, g_bytes_unref);
        g_clear_pointer(&r->prepared_files, g_bytes_unref);
        g_clear_pointer(&r->cluster_text, g_bytes_unref);
        g_clear_pointer(&r->wanted_text, g_bytes_unref);
        g_clear_pointer(&r->prepared_text, g_bytes_unref);
        g_clear_pointer(&r->groups, g_free);
        r->n_groups = 0;
}

int state_durable_check(const void *data, size_t size_bytes, HaMid *ret_mid, uint64_t *ret_serial) {
        _cleanup_(state_record_done) StateRecord r = { 0 };
        int k = state_record_read(data, size_bytes, &r);

        if (k < 0)
                return k;
        *ret_mid = r.mid;
        *ret_serial = r.serial;
        return 0;
}

bool state_durable_cluster(const void *data, size_t size_bytes, GBytes **ret_text, HaNodes *ret_nodes) {
        _cleanup_(state_record_done) StateRecord r = { 0 };

        if (state_record_read(data, size_bytes, &r) < 0 || !r.cluster_text)
                return false;
        *ret_text = TAKE_PTR(r.cluster_text);
        *ret_nodes = r.cluster_nodes;
        return true;
}

bool state_durable_unfinished(const void *data, size_t size_bytes, GBytes **ret_text, HaNodes *ret_nodes) {
        _cleanup_(state_record_done) StateRecord r = { 0 };

        if (state_record_read(data, size_bytes, &r) < 0 || (!r.prepared_text && !r.wanted_text))
                return false;
        *ret_nodes = r.prepared_text ? r.prepared_nodes : r.wanted_nodes;
        *ret_text = g_bytes_ref(r.prepared_text ?: r.wanted_text);
        return true;
}

/* ---- Storing, and answering when it is stored ---- */

void state_record_store(State *s, bool in_force) {
        StateEffect *f;

        if (!state_self_acts(s))
                return;
        f = state_effect(s, STATE_EFFECT_STORE);
        f->serial = s->serial;
        f->in_force = in_force;
        f->record = state_durable(s);
        f->version = s->version;
}

void state_prepare_effect(State *s) {
        StateEffect *f = state_effect(
                        s, s->prepared.text ? STATE_EFFECT_PREPARE_CLUSTER : STATE_EFFECT_PREPARE);

        f->serial = s->serial;
        f->record = state_durable(s);
        f->version = s->prepared.version;
        f->files = g_bytes_ref(s->prepared.text ?: s->prepared.files);
}

void state_record_bump(State *s, bool in_force, bool prepare) {
        s->serial++;
        s->record_mid = s->mid;
        s->changed_manager = true;
        if (in_force)
                s->config_serial = s->serial;
        if (!prepare)
                state_record_store(s, in_force);
        else if (state_self_acts(s))
                state_prepare_effect(s);
}

void state_answer(
                State *s,
                const StateViewMember *asker,
                uint64_t request,
                StateResult result,
                const char *text) {
        const StateNode *self = state_node(s, s->self);
        StateEffect *f;

        if (!self || asker->node != s->self || asker->instance != self->instance)
                return;
        f = state_effect(s, STATE_EFFECT_ANSWER);
        f->request = request;
        f->result = result;
        f->text = isempty(text) ? NULL : g_strdup(text);
}

void state_request_free(StateRequest *r) {
        if (!r)
                return;
        g_free(r->text);
        g_free(r);
}

void state_answer_stored(
                State *s,
                const StateViewMember *asker,
                uint64_t request,
                StateResult result,
                const char *text) {
        const StateNode *n = state_node(s, asker->node);
        StateRequest *q;

        /* Whoever asked is gone: it is decided all the same. */
        if (!n || n->instance != asker->instance)
                return;
        q = g_new0(StateRequest, 1);
        *q = (StateRequest){
                .request = request,
                .node = asker->node,
                .instance = asker->instance,
                .serial = s->serial,
                .result = result,
                .text = isempty(text) ? NULL : g_strdup(text),
        };
        g_ptr_array_add(s->requests, q);
}

/* Nodes whose answer, or whose disk, a request of this node waits for. */
static NodeSet request_waits_for(const State *s, uint64_t request) {
        NodeSet nodes = NODE_SET_EMPTY;

        if (s->prepared.pending && s->prepared.node == s->self && s->prepared.request == request)
                return s->prepared.waiting;
        for (guint i = 0; i < s->requests->len; i++) {
                const StateRequest *q = g_ptr_array_index(s->requests, i);

                if (q->node != s->self || q->request != request)
                        continue;
                FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX)
                        if (n->id != 0 && n->state == STATE_NODE_UP && n->stored_serial < q->serial)
                                node_set_add(&nodes, n->id);
        }
        return nodes;
}

void state_request_waits(const State *s, uint64_t request, char ret[static STATE_TEXT_MAX]) {
        g_autoptr(GString) text = g_string_new(NULL);
        char name[NAME_LENGTH_MAX + 1];

        if (s->wanted.text && s->wanted.node == s->self && s->wanted.request == request) {
                state_text_set(ret,
                               "every node has agreed to it, and the membership has not put it in force "
                               "yet");
                return;
        }
        NODE_SET_FOREACH(id, request_waits_for(s, request))
                g_string_append_printf(
                                text,
                                "%s%s (%s)",
                                text->len > 0 ? ", " : "waiting for ",
                                state_node_name(s, id, name),
                                state_node(s, id)->instance == 0
                                                ? "hamgr does not run there; start it: systemctl start hamgr"
                                                : "it has not written it to its disk yet");
        state_text_set(ret, "%s", text->str);
}

void state_requests_settle(State *s) {
        uint64_t stored = UINT64_MAX;

        /* All of the membership (R17), not only the hamgrs that happen to be there: any later quorate set
         * shares a node with it, and finds the record. A missing hamgr is waited for. */
        FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX)
                if (n->id != 0 && n->state == STATE_NODE_UP)
                        stored = MIN(stored, n->stored_serial);
        for (guint i = 0; i < s->requests->len;) {
                StateRequest *q = g_ptr_array_index(s->requests, i);

                if (q->serial > stored) {
                        i++;
                        continue;
                }
                state_answer(s, &(StateViewMember){ q->node, q->instance }, q->request, q->result, q->text);
                state_request_free(g_ptr_array_remove_index(s->requests, i));
        }
}

/* ---- Hello, and the formation (R4) ---- */

void state_take_hello(State *s, const StateViewMember *sender, const StateHello *hello) {
        _cleanup_(state_record_done) StateRecord r = { 0 };
        StateNode *n = state_node_mutable(s, sender->node);
        char name[NAME_LENGTH_MAX + 1];

        if (n->hello)
                return;
        n->hello = true;
        n->capabilities = hello->capabilities;
        n->reset_usec = hello->capabilities & STATE_CAPABILITY_RESETS ? hello->reset_usec : 0;
        state_node_changed(s, n->id);
        s->changed_manager = true;
        state_history_tell_rebooted(s, n);

        if (hello->record) {
                gsize size_bytes;
                const void *data = g_bytes_get_data(hello->record, &size_bytes);
                HaMid newest = s->phase == STATE_PHASE_FORMING ? s->best_mid : s->record_mid;
                uint64_t serial = s->phase == STATE_PHASE_FORMING ? s->best_serial : s->serial;
                bool have = s->phase == STATE_PHASE_READY || s->best;
                int order;

                if (state_record_read(data, size_bytes, &r) < 0) {
                        state_event(s,
                                    STATE_EVENT_RECORD_BAD,
                                    NULL,
                                    n->id,
                                    "the record stored on %s cannot be read and is not used",
                                    state_node_name(s, n->id, name));
                } else {
                        order = ha_mid_compare(r.mid, newest);
                        if (have && (order < 0 || (order == 0 && r.serial <= serial)))
                                ; /* older than ours */
                        else if (s->phase == STATE_PHASE_READY)
                                state_event(s,
                                            STATE_EVENT_RECORD_ASIDE,
                                            NULL,
                                            n->id,
                                            "node %s brought a newer record (%" PRIu64 ".%" PRIu32
                                            "/%" PRIu64 ") than the one this cluster works with; it is kept "
                                            "aside there and not "
                                            "used",
                                            state_node_name(s, n->id, name),
                                            r.mid.epoch,
                                            r.mid.node,
                                            r.serial);
                        else {
                                g_clear_pointer(&s->best, g_bytes_unref);
                                s->best = g_bytes_ref(hello->record);
                                s->best_mid = r.mid;
                                s->best_serial = r.serial;
                        }
                }
        }
        if (s->phase == STATE_PHASE_READY && n->id == s->self) {
                state_record_store(s, true);
                if (node_set_contains(s->prepared.waiting, s->self))
                        state_prepare_effect(s);
                state_cluster_repeat(s);
                state_group_repeat_orders(s);
        }
}

static bool all_have_said_hello(const State *s) {
        size_t n_up = 0;

        FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX) {
                if (n->id == 0 || n->state != STATE_NODE_UP)
                        continue;
                n_up++;
                if (!n->hello && !BROKEN(HASTY_FORMATION))
                        return false;
        }
        return n_up > 0 && state_planner(s) != 0;
}

/* Everything that a group's domain names may run it, until it says otherwise or is proven dead. */
static void form_groups(State *s, const StateRecord *r) {
        for (guint i = 0; i < s->groups->len; i++) {
                StateGroup *g = state_group_mutable(s, i);

                FOREACH_ARRAY(stored, r->groups, r->n_groups) {
                        if (!streq(stored->name, g->name))
                                continue;
                        g->stopped = stored->stopped;
                        NODE_SET_FOREACH(id, stored->extra)
                                if (state_node(s, id))
                                        node_set_add(&g->may_run, id);
                }
        }
        FOREACH_ARRAY(n, s->nodes, NODE_ID_MAX) {
                if (n->id == 0)
                        continue;
                n->standby = node_set_contains(r->standby, n->id);
                if (node_set_contains(r->detached, n->id) && n->state == STATE_NODE_UNKNOWN)
                        state_node_enter(s, n, STATE_NODE_DETACHED);
                if (n->state == STATE_NODE_DOWN || n->state == STATE_NODE_INACTIVE)
                        state_node_proven_dead(s, n);
        }
}

/* A prepared configuration that is completed: until it was in force, a group could be given to whom the one
 * before names. */
static void form_domains_before(State *s, const HaConfig *before) {
        for (guint i = 0; i < s->groups->len; i++) {
                StateGroup *g = state_group_mutable(s, i);
                const HaGroup *old = ha_config_find_group(before, g->name);

                if (old)
                        g->may_run |= ha_group_nodes(old);
        }
}

/* NULL, and why in text, when it does not fit. */
static HaConfig *parse_stored(const State *s, GBytes *files_bytes, char **ret_text) {
        ConfErrors errors = { 0 };
        HaConfig *c = NULL;
        HaFile *files = NULL;
        size_t n_files = 0;
        gsize size_bytes;
        const void *data = g_bytes_get_data(files_bytes, &size_bytes);

        if (ha_files_deserialize(data, size_bytes, &files, &n_files) >= 0 &&
            ha_config_parse(&s->node_table, files, n_files, &c, &errors) < 0) {
                char *text = conf_errors_to_text(&errors);

                *ret_text = g_strdup(strempty(text));
                free(text);
        }
        ha_files_free(files, n_files);
        conf_errors_done(&errors);
        return c;
}

/* What all had agreed to, or may have, is wanted on. What is in force they have said before they began. */
static void form_cluster(State *s, StateRecord *r) {
        GBytes *text = r->prepared_text ?: r->wanted_text;

        if (r->cluster_text && r->cluster_nodes.hash == s->node_table.hash)
                s->cluster_text = TAKE_PTR(r->cluster_text);
        if (!text)
                return;
        s->wanted.text = g_bytes_ref(text);
        s->wanted.nodes = r->prepared_text ? r->prepared_nodes : r->wanted_nodes;
}

void state_form_if_complete(State *s) {
        _cleanup_(state_record_done) StateRecord r = { 0 };
        _cleanup_(ha_config_freep) HaConfig *before = NULL;
        g_autofree char *text = NULL, *ignored = NULL;
        HaConfig *config = NULL;

        if (s->phase != STATE_PHASE_FORMING || !s->quorate || !all_have_said_hello(s))
                return;

        if (s->best) {
                gsize size_bytes;
                const void *data = g_bytes_get_data(s->best, &size_bytes);
                int k = state_record_read(data, size_bytes, &r);
                GBytes *files;

                assert(k >= 0); /* it was read when it came */
                /* What was prepared is completed (R17). */
                files = r.prepared_files ?: r.files;
                s->version = r.prepared_files ? r.prepared_version : r.version;
                s->serial = r.serial;
                g_bytes_unref(s->files);
                s->files = g_bytes_ref(files);
                config = parse_stored(s, files, &text);
                if (text)
                        state_event(s,
                                    STATE_EVENT_CONFIG_DROPPED,
                                    NULL,
                                    0,
                                    "the stored configuration does not fit this cluster.conf; no group is "
                                    "managed until a right one is applied: %s",
                                    text);
                if (r.prepared_files)
                        before = parse_stored(s, r.files, &ignored);
                form_cluster(s, &r);
                g_clear_pointer(&s->best, g_bytes_unref);
        }
        s->phase = STATE_PHASE_READY;
        s->formed_usec = s->time_usec;
        state_cluster_repeat(s);
        state_install_config(s, config ?: ha_config_new_empty());
        if (before)
                form_domains_before(s, before);
        form_groups(s, &r);
        state_record_bump(s, true, false);
        state_event(s,
                    STATE_EVENT_FORMED,
                    NULL,
                    0,
                    "all hamgrs have told what they know; configuration %" PRIu64
                    " with %u groups is in force",
                    s->version.number,
                    s->groups->len);
        for (guint i = 0; i < s->groups->len; i++)
                state_group_probe(s, state_group_mutable(s, i));
}
