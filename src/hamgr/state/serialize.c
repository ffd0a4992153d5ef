/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The whole state as bytes: the snapshot for a newcomer, and what replicas compare. */

#include "hamgr/state/state-internal.h"
#include "hamgr/state/wire.h"

#define SNAPSHOT_MAGIC 0x4e534148U /* "HASN" */
#define SNAPSHOT_VERSION 3U

/* Of what is read by number: so many bytes each has at least. */
#define SEEN_NODE_BYTES_MIN 31U
#define HISTORY_ENTRY_BYTES_MIN 67U

static void write_node(ByteWriter *w, const StateNode *n) {
        byte_writer_u32(w, n->id);
        byte_writer_u8(w, (uint8_t) n->state);
        byte_writer_u64(w, n->incarnation);
        wire_write_boot_id(w, n->boot_id);
        wire_write_mid(w, n->mid);
        byte_writer_u64(w, n->since_usec);
        byte_writer_u64(w, n->instance);
        byte_writer_bool(w, n->hello);
        byte_writer_u32(w, n->capabilities);
        byte_writer_u64(w, n->reset_usec);
        byte_writer_u64(w, n->stored_serial);
        byte_writer_bool(w, n->leaving);
        byte_writer_bool(w, n->standby);
        byte_writer_bool(w, n->lied);
        byte_writer_bool(w, n->fence.active);
        byte_writer_bool(w, n->fence.live);
        byte_writer_bool(w, n->fence.confirmed);
        byte_writer_u32(w, n->fence.fencer);
        byte_writer_u32(w, n->fence.n_attempts);
        byte_writer_u64(w, n->fence.tried);
        byte_writer_u64(w, n->fence.started_usec);
        byte_writer_u64(w, n->fence.retry_usec);
        byte_writer_string(w, n->fence.device);
        byte_writer_string(w, n->fence.text);
        byte_writer_bool(w, n->fence_ordered);
        byte_writer_string(w, n->lost);
        byte_writer_string(w, n->rebooted);
        byte_writer_bool(w, n->rebooted_is_told);
}

static void read_node(ByteReader *r, State *s) {
        uint32_t id = wire_read_node(r);
        StateNode *n = state_node_mutable(s, id);
        StateNode nobody = { .id = id };

        if (!n) {
                byte_reader_fail(r);
                n = &nobody;
        }
        n->state = (StateNodeState) byte_reader_u8_max(r, _STATE_NODE_MAX - 1);
        n->incarnation = byte_reader_u64(r);
        n->boot_id = wire_read_boot_id(r);
        n->mid = wire_read_mid(r);
        n->since_usec = byte_reader_u64(r);
        n->instance = byte_reader_u64(r);
        n->hello = byte_reader_bool(r);
        n->capabilities = byte_reader_u32(r);
        n->reset_usec = byte_reader_u64(r);
        n->stored_serial = byte_reader_u64(r);
        n->leaving = byte_reader_bool(r);
        n->standby = byte_reader_bool(r);
        n->lied = byte_reader_bool(r);
        n->fence.active = byte_reader_bool(r);
        n->fence.live = byte_reader_bool(r);
        n->fence.confirmed = byte_reader_bool(r);
        n->fence.fencer = wire_read_node_or_none(r);
        n->fence.n_attempts = byte_reader_u32(r);
        n->fence.tried = byte_reader_u64(r);
        n->fence.started_usec = byte_reader_u64(r);
        n->fence.retry_usec = byte_reader_u64(r);
        byte_reader_string(r, n->fence.device, sizeof(n->fence.device));
        byte_reader_string(r, n->fence.text, sizeof(n->fence.text));
        n->fence_ordered = byte_reader_bool(r);
        byte_reader_string(r, n->lost, sizeof(n->lost));
        byte_reader_string(r, n->rebooted, sizeof(n->rebooted));
        n->rebooted_is_told = byte_reader_bool(r);
}

static void write_history(ByteWriter *w, const State *s) {
        byte_writer_u32(w, (uint32_t) s->n_history);
        FOREACH_ARRAY(e, s->history, s->n_history) {
                wire_write_boot(w, &e->boot);
                byte_writer_u32(w, e->fencer);
                byte_writer_u8(w, (uint8_t) e->outcome);
                byte_writer_u64(w, e->begun_usec);
                byte_writer_u64(w, e->ended_usec);
                byte_writer_string(w, e->device);
                byte_writer_string(w, e->reason);
                byte_writer_string(w, e->text);
        }
}

static void read_history(ByteReader *r, State *s) {
        s->n_history = byte_reader_count(r, STATE_FENCE_HISTORY_MAX, HISTORY_ENTRY_BYTES_MIN);
        FOREACH_ARRAY(e, s->history, s->n_history) {
                wire_read_boot(r, &e->boot);
                e->fencer = wire_read_node_or_none(r);
                e->outcome = (StateFenceOutcome) byte_reader_u8_max(r, _STATE_FENCE_OUTCOME_MAX - 1);
                e->begun_usec = byte_reader_u64(r);
                e->ended_usec = byte_reader_u64(r);
                byte_reader_string(r, e->device, sizeof(e->device));
                byte_reader_string(r, e->reason, sizeof(e->reason));
                byte_reader_string(r, e->text, sizeof(e->text));
        }
}

static bool group_node_is_blank(const StateGroupNode *gn) {
        return gn->order == STATE_ORDER_NONE && gn->report == STATE_REPORT_NONE && !gn->failed;
}

static void write_group_node(ByteWriter *w, uint32_t id, const StateGroupNode *gn) {
        byte_writer_u32(w, id);
        byte_writer_u8(w, (uint8_t) gn->order);
        byte_writer_u64(w, gn->number);
        byte_writer_u8(w, (uint8_t) gn->report);
        byte_writer_u32(w, gn->n_restarts);
        wire_write_text(w, gn->reason);
        byte_writer_blob(w, gn->resources, gn->n_resources);
        byte_writer_bool(w, gn->failed);
        byte_writer_u32(w, gn->n_failures);
        byte_writer_u64(w, gn->failed_usec);
        wire_write_text(w, gn->failed_reason);
}

static void read_group_node(ByteReader *r, StateGroup *g) {
        StateGroupNode *gn = group_node(g, wire_read_node(r));
        const uint8_t *resources;
        size_t n;

        if (!group_node_is_blank(gn)) {
                byte_reader_fail(r);
                return;
        }
        gn->order = (StateOrder) byte_reader_u8_max(r, STATE_ORDER_STOP);
        gn->number = byte_reader_u64(r);
        gn->report = (StateReportState) byte_reader_u8_max(r, _STATE_REPORT_MAX - 1);
        gn->n_restarts = byte_reader_u32(r);
        gn->reason = wire_read_text(r, STATE_TEXT_MAX);
        resources = byte_reader_blob(r, HA_RESOURCES_MAX, &n);
        if (resources) {
                memcpy(gn->resources, resources, n);
                gn->n_resources = (uint32_t) n;
        }
        gn->failed = byte_reader_bool(r);
        gn->n_failures = byte_reader_u32(r);
        gn->failed_usec = byte_reader_u64(r);
        gn->failed_reason = wire_read_text(r, STATE_TEXT_MAX);
}

static void write_group(ByteWriter *w, const StateGroup *g) {
        uint32_t n = 0;

        byte_writer_string(w, g->name);
        byte_writer_u64(w, g->may_run);
        byte_writer_u64(w, g->number);
        byte_writer_u32(w, g->preferred);
        byte_writer_bool(w, g->stopped);
        byte_writer_u32(w, g->held);
        byte_writer_u64(w, g->conflict);
        byte_writer_u64(w, g->stop_failed);
        byte_writer_u64(w, g->ordered_hash);
        wire_write_text(w, g->placed_reason);
        byte_writer_bool(w, g->stop_fenced);
        byte_writer_u64(w, g->stop_fenced_usec);
        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++)
                n += !group_node_is_blank(group_node_const(g, id));
        byte_writer_u32(w, n);
        for (uint32_t id = NODE_ID_MIN; id <= NODE_ID_MAX; id++)
                if (!group_node_is_blank(group_node_const(g, id)))
                        write_group_node(w, id, group_node_const(g, id));
}

static void read_group(ByteReader *r, State *s) {
        char name[NAME_LENGTH_MAX + 1];
        StateGroup *g;
        uint32_t n;

        wire_read_name(r, name);
        g = state_group_find(s, name);
        if (!g) {
                byte_reader_fail(r);
                return;
        }
        g->may_run = byte_reader_u64(r);
        g->number = byte_reader_u64(r);
        g->preferred = wire_read_node_or_none(r);
        g->stopped = byte_reader_bool(r);
        g->held = wire_read_node_or_none(r);
        g->conflict = byte_reader_u64(r);
        g->stop_failed = byte_reader_u64(r);
        g->ordered_hash = byte_reader_u64(r);
        g_free(g->placed_reason);
        g->placed_reason = wire_read_text(r, STATE_TEXT_MAX);
        g->stop_fenced = byte_reader_bool(r);
        g->stop_fenced_usec = byte_reader_u64(r);
        n = byte_reader_count(r, NODE_ID_MAX, 37);
        for (uint32_t i = 0; i < n; i++)
                read_group_node(r, g);
}

static void write_seen(ByteWriter *w, const State *s) {
        uint32_t n = 0;

        FOREACH_ARRAY(v, s->seen, NODE_ID_MAX)
                n += v->id != 0;
        byte_writer_u32(w, n);
        FOREACH_ARRAY(v, s->seen, NODE_ID_MAX) {
                if (v->id == 0)
                        continue;
                byte_writer_u32(w, v->id);
                byte_writer_u8(w, (uint8_t) v->state);
                byte_writer_u64(w, v->incarnation);
                wire_write_boot_id(w, v->boot_id);
                byte_writer_string(w, v->reason);
        }
}

static void read_seen(ByteReader *r, State *s) {
        uint32_t n = byte_reader_count(r, NODE_ID_MAX, SEEN_NODE_BYTES_MIN);

        for (uint32_t i = 0; i < n; i++) {
                uint32_t id = wire_read_node(r);

                StateViewNode *v = &s->seen[id - 1];

                v->id = id;
                v->state = (StateNodeState) byte_reader_u8_max(r, _STATE_NODE_MAX - 1);
                v->incarnation = byte_reader_u64(r);
                v->boot_id = wire_read_boot_id(r);
                byte_reader_string(r, v->reason, sizeof(v->reason));
        }
}

static void write_cluster_state(ByteWriter *w, const State *s) {
        wire_write_nodes(w, &s->node_table);
        wire_write_bytes(w, s->cluster_text);
        wire_write_mid(w, s->cluster_mid);
        wire_write_bytes(w, s->wanted.text);
        if (!s->wanted.text)
                return;
        wire_write_nodes(w, &s->wanted.nodes);
        byte_writer_u64(w, s->wanted.request);
        byte_writer_u32(w, s->wanted.node);
        byte_writer_u64(w, s->wanted.instance);
}

static void read_cluster_state(ByteReader *r, State *s) {
        wire_read_nodes(r, &s->node_table);
        FOREACH_ARRAY(n, s->node_table.nodes, s->node_table.n_nodes)
                s->nodes[n->id - 1].id = n->id;
        s->cluster_text = wire_read_bytes(r, HA_CLUSTER_BYTES_MAX);
        s->cluster_mid = wire_read_mid(r);
        s->wanted.text = wire_read_bytes(r, HA_CLUSTER_BYTES_MAX);
        if (!s->wanted.text)
                return;
        wire_read_nodes(r, &s->wanted.nodes);
        s->wanted.request = byte_reader_u64(r);
        s->wanted.node = wire_read_node_or_none(r);
        s->wanted.instance = byte_reader_u64(r);
}

static void write_state(ByteWriter *w, const void *object) {
        const State *s = object;

        byte_writer_u32(w, SNAPSHOT_MAGIC);
        byte_writer_u32(w, SNAPSHOT_VERSION);
        wire_write_mid(w, s->mid);
        byte_writer_u64(w, s->sequence);
        byte_writer_u64(w, s->time_usec);
        byte_writer_u64(w, s->formed_usec);
        byte_writer_u8(w, (uint8_t) s->phase);
        byte_writer_bool(w, s->quorate);

        byte_writer_u32(w, (uint32_t) s->n_members);
        FOREACH_ARRAY(m, s->members, s->n_members) {
                byte_writer_u32(w, m->node);
                byte_writer_u64(w, m->instance);
        }
        write_seen(w, s);
        write_cluster_state(w, s);
        FOREACH_ARRAY(n, s->node_table.nodes, s->node_table.n_nodes)
                write_node(w, state_node(s, n->id));
        write_history(w, s);

        wire_write_bytes(w, s->files);
        wire_write_version(w, s->version);
        byte_writer_u64(w, s->config_serial);
        wire_write_version(w, s->prepared.version);
        byte_writer_bool(w, s->prepared.pending);
        if (s->prepared.pending) {
                wire_write_bytes(w, s->prepared.files);
                wire_write_bytes(w, s->prepared.text);
                if (s->prepared.text)
                        wire_write_nodes(w, &s->prepared.nodes);
                byte_writer_u64(w, s->prepared.waiting);
                byte_writer_u64(w, s->prepared.request);
                byte_writer_u32(w, s->prepared.node);
                byte_writer_u64(w, s->prepared.instance);
        }
        wire_write_mid(w, s->record_mid);
        byte_writer_u64(w, s->serial);
        wire_write_bytes(w, s->best);
        wire_write_mid(w, s->best_mid);
        byte_writer_u64(w, s->best_serial);

        byte_writer_u32(w, s->groups->len);
        for (guint i = 0; i < s->groups->len; i++)
                write_group(w, g_ptr_array_index(s->groups, i));
        byte_writer_u32(w, s->requests->len);
        for (guint i = 0; i < s->requests->len; i++) {
                const StateRequest *q = g_ptr_array_index(s->requests, i);

                byte_writer_u64(w, q->request);
                byte_writer_u32(w, q->node);
                byte_writer_u64(w, q->instance);
                byte_writer_u64(w, q->serial);
                byte_writer_u8(w, (uint8_t) q->result);
                wire_write_text(w, q->text);
        }
}

GBytes *state_serialize(const State *s) {
        return wire_encode(write_state, s, 64U << 20);
}

/* Groups come from the files, by the same parser as everywhere. */
static void read_config(ByteReader *r, State *s) {
        _cleanup_(ha_config_freep) HaConfig *c = NULL;
        ConfErrors errors = { 0 };
        HaFile *files = NULL;
        size_t n_files = 0;
        gsize size_bytes;
        const void *data;

        g_clear_pointer(&s->files, g_bytes_unref);
        s->files = wire_read_bytes(r, STATE_MESSAGE_BYTES_MAX);
        if (!s->files) {
                s->files = ha_files_serialize(NULL, 0);
                byte_reader_fail(r);
                return;
        }
        data = g_bytes_get_data(s->files, &size_bytes);
        if (ha_files_deserialize(data, size_bytes, &files, &n_files) < 0) {
                byte_reader_fail(r);
                return;
        }
        /* While forming there are no groups yet. Files that do not fit this cluster.conf made none
         * (formation). */
        if (ha_config_parse(&s->node_table, files, n_files, &c, &errors) >= 0 &&
            s->phase == STATE_PHASE_READY)
                state_install_config(s, TAKE_PTR(c));
        else
                state_install_config(s, ha_config_new_empty());
        conf_errors_done(&errors);
        ha_files_free(files, n_files);
}

static void read_requests(ByteReader *r, State *s) {
        uint32_t n = byte_reader_count(r, STATE_REQUESTS_MAX + 8, 30);

        for (uint32_t i = 0; i < n; i++) {
                StateRequest *q = g_new0(StateRequest, 1);

                q->request = byte_reader_u64(r);
                q->node = wire_read_node(r);
                q->instance = byte_reader_u64(r);
                q->serial = byte_reader_u64(r);
                q->result = (StateResult) byte_reader_u8_max(r, _STATE_RESULT_MAX - 1);
                q->text = wire_read_text(r, STATE_REASONS_MAX + STATE_TEXT_MAX);
                g_ptr_array_add(s->requests, q);
        }
}

static void read_state(ByteReader *r, State *s) {
        uint32_t n;

        if (byte_reader_u32(r) != SNAPSHOT_MAGIC || byte_reader_u32(r) != SNAPSHOT_VERSION)
                byte_reader_fail(r);
        s->mid = wire_read_mid(r);
        s->sequence = byte_reader_u64(r);
        s->time_usec = byte_reader_u64(r);
        s->formed_usec = byte_reader_u64(r);
        s->phase = (StatePhase) byte_reader_u8_max(r, STATE_PHASE_READY);
        s->quorate = byte_reader_bool(r);

        n = byte_reader_count(r, NODE_ID_MAX, 12);
        s->n_members = n;
        FOREACH_ARRAY(m, s->members, n) {
                m->node = wire_read_node(r);
                m->instance = byte_reader_u64(r);
        }
        read_seen(r, s);
        read_cluster_state(r, s);
        for (size_t i = 0; i < s->node_table.n_nodes && byte_reader_result(r) >= 0; i++)
                read_node(r, s);
        read_history(r, s);

        read_config(r, s);
        s->version = wire_read_version(r);
        s->config_serial = byte_reader_u64(r);
        s->prepared.version = wire_read_version(r);
        s->prepared.pending = byte_reader_bool(r);
        if (s->prepared.pending) {
                s->prepared.files = wire_read_bytes(r, STATE_MESSAGE_BYTES_MAX);
                s->prepared.text = wire_read_bytes(r, HA_CLUSTER_BYTES_MAX);
                if (s->prepared.text)
                        wire_read_nodes(r, &s->prepared.nodes);
                s->prepared.waiting = byte_reader_u64(r);
                s->prepared.request = byte_reader_u64(r);
                s->prepared.node = wire_read_node(r);
                s->prepared.instance = byte_reader_u64(r);
                if (!s->prepared.files == !s->prepared.text)
                        byte_reader_fail(r);
        }
        s->record_mid = wire_read_mid(r);
        s->serial = byte_reader_u64(r);
        s->best = wire_read_bytes(r, STATE_MESSAGE_BYTES_MAX);
        s->best_mid = wire_read_mid(r);
        s->best_serial = byte_reader_u64(r);

        n = byte_reader_count(r, HA_GROUPS_MAX, 50);
        if (n != s->groups->len)
                byte_reader_fail(r);
        for (uint32_t i = 0; i < n && byte_reader_result(r) >= 0; i++)
                read_group(r, s);
        read_requests(r, s);
}

/* What the formation will take as it was read when it came. */
static bool best_is_sound(const State *s) {
        HaMid mid = { 0 };
        uint64_t serial = 0;
        gsize size_bytes;
        const void *data;

        if (!s->best)
                return true;
        data = g_bytes_get_data(s->best, &size_bytes);
        return state_durable_check(data, size_bytes, &mid, &serial) >= 0 &&
               ha_mid_compare(mid, s->best_mid) == 0 && serial == s->best_serial;
}

int state_deserialize(uint32_t self, const void *data, size_t size_bytes, State **ret) {
        _cleanup_(state_freep) State *s = state_new(&(HaNodes){ 0 }, self);
        ByteReader r;
        int k;

        byte_reader_init(&r, data, size_bytes);
        read_state(&r, s);
        k = byte_reader_finish(&r);
        if (k < 0)
                return k;
        if (!state_is_sound(s) || !best_is_sound(s))
                return -EBADMSG;

        /* What the others have announced is not announced again. */
        for (guint i = 0; i < s->groups->len; i++)
                state_group_status(s, state_group_at(s, i), s->last + i);
        *ret = TAKE_PTR(s);
        return 0;
}
