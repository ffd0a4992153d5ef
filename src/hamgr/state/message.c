/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ordered messages: each type's writer and reader are beside each other and name the fields in the same
 * order. An older hamgr refuses a version that it does not know; the version grows when a field is added. */

#include "hamgr/state/message.h"

#include <stdarg.h>
#include <stdio.h>

#include "basic/byte-reader.h"
#include "basic/byte-writer.h"
#include "basic/string-table.h"
#include "hamgr/state/wire.h"

#define MESSAGE_MAGIC 0x484dU /* "MH" */

static const char *const state_report_state_table[_STATE_REPORT_MAX] = {
        [STATE_REPORT_NONE] = "none",         [STATE_REPORT_STOPPED] = "stopped",
        [STATE_REPORT_STARTING] = "starting", [STATE_REPORT_RUNNING] = "running",
        [STATE_REPORT_STOPPING] = "stopping", [STATE_REPORT_PARTIAL] = "partial",
        [STATE_REPORT_FAILED] = "failed",     [STATE_REPORT_STOP_FAILED] = "stop_failed",
        [STATE_REPORT_HELD] = "held",
};
DEFINE_STRING_TABLE(state_report_state, StateReportState);

static const char *const state_resource_state_table[_STATE_RESOURCE_MAX] = {
        [STATE_RESOURCE_STOPPED] = "stopped", [STATE_RESOURCE_STARTING] = "starting",
        [STATE_RESOURCE_RUNNING] = "running", [STATE_RESOURCE_STOPPING] = "stopping",
        [STATE_RESOURCE_FAILED] = "failed",
};

const char *state_resource_state_to_string(StateResourceState i) {
        return (unsigned) i < _STATE_RESOURCE_MAX ? state_resource_state_table[i] : NULL;
}

bool state_boot_equal(const StateBoot *a, const StateBoot *b) {
        return a->node == b->node && a->incarnation == b->incarnation &&
               state_boot_id_equal(a->boot_id, b->boot_id) && ha_mid_compare(a->mid, b->mid) == 0;
}

bool state_version_equal(StateVersion a, StateVersion b) {
        return ha_mid_compare(a.mid, b.mid) == 0 && a.number == b.number;
}

void state_text_set(char ret[static STATE_TEXT_MAX], const char *format, ...) {
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(ret, STATE_TEXT_MAX, format, ap);
        va_end(ap);

        if (n < 0)
                ret[0] = '\0';
        else if ((size_t) n >= STATE_TEXT_MAX) {
                size_t end = STATE_TEXT_MAX - 4;

                while (end > 0 && ((unsigned char) ret[end] & 0xc0) == 0x80)
                        end--;
                memcpy(ret + end, "...", 4);
        }
}

/* ---- Parts that several messages and the state share ---- */

void wire_write_mid(ByteWriter *w, HaMid mid) {
        byte_writer_u64(w, mid.epoch);
        byte_writer_u32(w, mid.node);
}

HaMid wire_read_mid(ByteReader *r) {
        HaMid mid;

        mid.epoch = byte_reader_u64(r);
        mid.node = byte_reader_u32_max(r, NODE_ID_MAX);
        return mid;
}

void wire_write_boot_id(ByteWriter *w, StateBootId id) {
        byte_writer_bytes(w, id.bytes, sizeof(id.bytes));
}

StateBootId wire_read_boot_id(ByteReader *r) {
        StateBootId id = { 0 };

        byte_reader_copy(r, id.bytes, sizeof(id.bytes));
        return id;
}

void wire_write_version(ByteWriter *w, StateVersion v) {
        wire_write_mid(w, v.mid);
        byte_writer_u64(w, v.number);
}

StateVersion wire_read_version(ByteReader *r) {
        StateVersion v;

        v.mid = wire_read_mid(r);
        v.number = byte_reader_u64(r);
        return v;
}

void wire_write_nodes(ByteWriter *w, const HaNodes *nodes) {
        byte_writer_u64(w, nodes->hash);
        byte_writer_u64(w, nodes->failure_usec);
        byte_writer_u64(w, nodes->unseen_fence_usec);
        byte_writer_u32(w, (uint32_t) nodes->n_nodes);
        FOREACH_ARRAY(n, nodes->nodes, nodes->n_nodes) {
                byte_writer_u32(w, n->id);
                byte_writer_string(w, n->name);
                byte_writer_bool(w, n->enabled);
                byte_writer_bool(w, n->has_fence_device);
                byte_writer_u64(w, n->fence_timeout_usec);
                byte_writer_u32(w, n->identity);
                byte_writer_bool(w, n->gone);
        }
}

void wire_read_nodes(ByteReader *r, HaNodes *ret) {
        uint32_t before = 0;

        *ret = (HaNodes){ 0 };
        ret->hash = byte_reader_u64(r);
        ret->failure_usec = byte_reader_u64(r);
        ret->unseen_fence_usec = byte_reader_u64(r);
        ret->n_nodes = byte_reader_count(r, NODE_ID_MAX, 20);
        FOREACH_ARRAY(n, ret->nodes, ret->n_nodes) {
                n->id = wire_read_node(r);
                byte_reader_string(r, n->name, sizeof(n->name));
                n->enabled = byte_reader_bool(r);
                n->has_fence_device = byte_reader_bool(r);
                n->fence_timeout_usec = byte_reader_u64(r);
                n->identity = byte_reader_u32(r);
                n->gone = byte_reader_bool(r);
                if (n->id <= before || !node_name_is_valid(n->name))
                        byte_reader_fail(r);
                before = n->id;
        }
}

uint32_t wire_read_node(ByteReader *r) {
        uint32_t id = byte_reader_u32(r);

        if (!node_id_is_valid(id)) {
                byte_reader_fail(r);
                return NODE_ID_MIN;
        }
        return id;
}

uint32_t wire_read_node_or_none(ByteReader *r) {
        return byte_reader_u32_max(r, NODE_ID_MAX);
}

void wire_read_name(ByteReader *r, char name[static NAME_LENGTH_MAX + 1]) {
        byte_reader_string(r, name, NAME_LENGTH_MAX + 1);
        if (!name_is_valid(name)) {
                byte_reader_fail(r);
                name[0] = '\0';
        }
}

void wire_read_name_or_none(ByteReader *r, char name[static NAME_LENGTH_MAX + 1]) {
        byte_reader_string(r, name, NAME_LENGTH_MAX + 1);
        if (name[0] != '\0' && !name_is_valid(name)) {
                byte_reader_fail(r);
                name[0] = '\0';
        }
}

void wire_write_bytes(ByteWriter *w, GBytes *b) {
        size_t size_bytes = 0;
        const void *data = b ? g_bytes_get_data(b, &size_bytes) : NULL;

        byte_writer_bool(w, b);
        if (b)
                byte_writer_blob(w, data ?: "", size_bytes);
}

GBytes *wire_read_bytes(ByteReader *r, size_t max_bytes) {
        const uint8_t *data;
        size_t size_bytes;

        if (!byte_reader_bool(r))
                return NULL;
        data = byte_reader_blob(r, max_bytes, &size_bytes);
        return data ? g_bytes_new(data, size_bytes) : NULL;
}

void wire_write_text(ByteWriter *w, const char *text) {
        byte_writer_bool(w, text);
        if (text)
                byte_writer_blob(w, text, strlen(text));
}

char *wire_read_text(ByteReader *r, size_t max_bytes) {
        const uint8_t *data;
        size_t size_bytes;

        if (!byte_reader_bool(r))
                return NULL;
        data = byte_reader_blob(r, max_bytes, &size_bytes);
        if (!data)
                return NULL;
        if (memchr(data, '\0', size_bytes)) {
                byte_reader_fail(r);
                return NULL;
        }
        return g_strndup((const char *) data, size_bytes);
}

GBytes *wire_encode(WireWrite write, const void *object, size_t max_bytes) {
        for (size_t capacity = 4096;; capacity *= 4) {
                g_autofree uint8_t *data = g_malloc(capacity);
                ByteWriter w;

                byte_writer_init(&w, data, capacity);
                write(&w, object);
                if (byte_writer_result(&w) >= 0)
                        return w.size_bytes <= max_bytes ? g_bytes_new(data, w.size_bytes) : NULL;
                if (capacity > max_bytes)
                        return NULL;
        }
}

void wire_write_boot(ByteWriter *w, const StateBoot *b) {
        byte_writer_u32(w, b->node);
        byte_writer_u64(w, b->incarnation);
        wire_write_boot_id(w, b->boot_id);
        wire_write_mid(w, b->mid);
}

void wire_read_boot(ByteReader *r, StateBoot *b) {
        b->node = wire_read_node(r);
        b->incarnation = byte_reader_u64(r);
        b->boot_id = wire_read_boot_id(r);
        b->mid = wire_read_mid(r);
}

/* ---- One pair for each type ---- */

static void write_hello(ByteWriter *w, const StateHello *h) {
        byte_writer_u32(w, h->capabilities);
        if (h->capabilities & STATE_CAPABILITY_RESETS)
                byte_writer_u64(w, h->reset_usec);
        wire_write_bytes(w, h->record);
}

static void read_hello(ByteReader *r, StateHello *h) {
        h->capabilities = byte_reader_u32(r);
        /* An older hamgr does not know this one, and drops the message of whoever has it. */
        if (h->capabilities & STATE_CAPABILITY_RESETS) {
                h->reset_usec = byte_reader_u64(r);
                if (h->reset_usec == 0 || h->reset_usec > STATE_RESET_USEC_MAX)
                        byte_reader_fail(r);
        }
        h->record = wire_read_bytes(r, STATE_MESSAGE_BYTES_MAX);
}

static void write_report(ByteWriter *w, const StateReport *p) {
        byte_writer_string(w, p->group);
        byte_writer_u64(w, p->number);
        byte_writer_u8(w, (uint8_t) p->state);
        byte_writer_u32(w, p->n_restarts);
        byte_writer_string(w, p->reason);
        byte_writer_blob(w, p->resources, p->n_resources);
}

static void read_report(ByteReader *r, StateReport *p) {
        const uint8_t *resources;
        size_t n;

        wire_read_name(r, p->group);
        p->number = byte_reader_u64(r);
        p->state = (StateReportState) byte_reader_u8_max(r, _STATE_REPORT_MAX - 1);
        if (p->state == STATE_REPORT_NONE)
                byte_reader_fail(r);
        p->n_restarts = byte_reader_u32(r);
        byte_reader_string(r, p->reason, sizeof(p->reason));
        resources = byte_reader_blob(r, HA_RESOURCES_MAX, &n);
        if (!resources)
                return;
        for (size_t i = 0; i < n; i++)
                if (resources[i] >= _STATE_RESOURCE_MAX) {
                        byte_reader_fail(r);
                        return;
                }
        memcpy(p->resources, resources, n);
        p->n_resources = (uint32_t) n;
}

static void write_plan(ByteWriter *w, const StatePlan *p) {
        wire_write_mid(w, p->mid);
        byte_writer_u64(w, p->sequence);
        byte_writer_u32(w, (uint32_t) p->n_steps);
        FOREACH_ARRAY(s, p->steps, p->n_steps) {
                byte_writer_u8(w, (uint8_t) s->type);
                switch (s->type) {
                case STATE_STEP_ASSIGN:
                case STATE_STEP_RELEASE:
                        byte_writer_string(w, s->group);
                        byte_writer_u32(w, s->node);
                        byte_writer_u32(w, s->target);
                        byte_writer_u64(w, s->number);
                        break;
                case STATE_STEP_FENCE:
                        wire_write_boot(w, &s->boot);
                        byte_writer_u32(w, s->fencer);
                        break;
                }
                byte_writer_string(w, s->reason);
        }
}

static void read_plan(ByteReader *r, StatePlan *p) {
        uint32_t n;

        p->mid = wire_read_mid(r);
        p->sequence = byte_reader_u64(r);
        n = byte_reader_count(r, STATE_PLAN_STEPS_MAX, 3);
        p->steps = g_new0(StateStep, n);
        p->n_steps = n;
        FOREACH_ARRAY(s, p->steps, n) {
                s->type = (StateStepType) byte_reader_u8(r);
                switch (s->type) {
                case STATE_STEP_ASSIGN:
                case STATE_STEP_RELEASE:
                        wire_read_name(r, s->group);
                        s->node = wire_read_node(r);
                        s->target = wire_read_node_or_none(r);
                        s->number = byte_reader_u64(r);
                        break;
                case STATE_STEP_FENCE:
                        wire_read_boot(r, &s->boot);
                        s->fencer = wire_read_node(r);
                        break;
                default:
                        byte_reader_fail(r);
                        return;
                }
                byte_reader_string(r, s->reason, sizeof(s->reason));
        }
}

static void write_fence_result(ByteWriter *w, const StateFenceResult *f) {
        wire_write_boot(w, &f->boot);
        byte_writer_bool(w, f->ok);
        byte_writer_string(w, f->device);
        byte_writer_string(w, f->text);
}

static void read_fence_result(ByteReader *r, StateFenceResult *f) {
        wire_read_boot(r, &f->boot);
        f->ok = byte_reader_bool(r);
        byte_reader_string(r, f->device, sizeof(f->device));
        byte_reader_string(r, f->text, sizeof(f->text));
}

static void write_operator(ByteWriter *w, const StateOperator *o) {
        byte_writer_u64(w, o->request);
        byte_writer_u8(w, (uint8_t) o->operation);
        byte_writer_string(w, o->group);
        byte_writer_u32(w, o->node);
        byte_writer_bool(w, o->operation == STATE_OPERATION_FENCE_CONFIRM);
        if (o->operation == STATE_OPERATION_FENCE_CONFIRM)
                wire_write_boot(w, &o->boot);
}

static void read_operator(ByteReader *r, StateOperator *o) {
        o->request = byte_reader_u64(r);
        o->operation = (StateOperation) byte_reader_u8_max(r, STATE_OPERATION_NODE_FENCE);
        if (o->operation < STATE_OPERATION_GROUP_START)
                byte_reader_fail(r);
        wire_read_name_or_none(r, o->group);
        o->node = wire_read_node_or_none(r);
        if (byte_reader_bool(r) != (o->operation == STATE_OPERATION_FENCE_CONFIRM))
                byte_reader_fail(r);
        if (o->operation == STATE_OPERATION_FENCE_CONFIRM)
                wire_read_boot(r, &o->boot);
}

static void write_apply_prepare(ByteWriter *w, const StateApplyPrepare *a) {
        byte_writer_u64(w, a->request);
        wire_write_bytes(w, a->files);
        byte_writer_bool(w, a->remove);
}

static void read_apply_prepare(ByteReader *r, StateApplyPrepare *a) {
        a->request = byte_reader_u64(r);
        a->files = wire_read_bytes(r, STATE_MESSAGE_BYTES_MAX);
        if (!a->files)
                byte_reader_fail(r);
        a->remove = byte_reader_bool(r);
}

static void write_apply_answer(ByteWriter *w, const StateApplyAnswer *a) {
        wire_write_version(w, a->version);
        byte_writer_bool(w, a->ok);
        wire_write_text(w, a->reasons);
}

static void read_apply_answer(ByteReader *r, StateApplyAnswer *a) {
        a->version = wire_read_version(r);
        a->ok = byte_reader_bool(r);
        a->reasons = wire_read_text(r, STATE_REASONS_MAX);
}

static void write_cluster(ByteWriter *w, const StateCluster *c) {
        byte_writer_u64(w, c->request);
        wire_write_mid(w, c->mid);
        wire_write_bytes(w, c->text);
        wire_write_nodes(w, c->nodes);
}

static void read_cluster(ByteReader *r, StateCluster *c) {
        c->request = byte_reader_u64(r);
        c->mid = wire_read_mid(r);
        c->text = wire_read_bytes(r, HA_CLUSTER_BYTES_MAX);
        c->nodes = g_new0(HaNodes, 1);
        wire_read_nodes(r, c->nodes);
        if (!c->text || c->nodes->n_nodes == 0)
                byte_reader_fail(r);
}

static void write_message(ByteWriter *w, const void *object) {
        const StateMessage *m = object;

        byte_writer_u16(w, MESSAGE_MAGIC);
        byte_writer_u16(w, STATE_MESSAGE_VERSION);
        byte_writer_u8(w, (uint8_t) m->type);
        byte_writer_u64(w, m->time_usec);
        switch (m->type) {
        case STATE_MESSAGE_HELLO:
                write_hello(w, &m->hello);
                break;
        case STATE_MESSAGE_REPORT:
                write_report(w, &m->report);
                break;
        case STATE_MESSAGE_PLAN:
                write_plan(w, &m->plan);
                break;
        case STATE_MESSAGE_FENCE_RESULT:
        case STATE_MESSAGE_FENCED_FOR_QUORUM:
                write_fence_result(w, &m->fence_result);
                break;
        case STATE_MESSAGE_OPERATOR:
                write_operator(w, &m->operator_);
                break;
        case STATE_MESSAGE_APPLY_PREPARE:
                write_apply_prepare(w, &m->apply_prepare);
                break;
        case STATE_MESSAGE_APPLY_ANSWER:
                write_apply_answer(w, &m->apply_answer);
                break;
        case STATE_MESSAGE_STORED:
                byte_writer_u64(w, m->stored.serial);
                break;
        case STATE_MESSAGE_CLUSTER_PREPARE:
        case STATE_MESSAGE_CLUSTER_IN_FORCE:
                write_cluster(w, &m->cluster);
                break;
        case STATE_MESSAGE_NODE_LEAVING:
        case STATE_MESSAGE_TICK:
                break;
        }
}

GBytes *state_message_encode(const StateMessage *m) {
        return wire_encode(write_message, m, STATE_MESSAGE_BYTES_MAX);
}

int state_message_decode(const void *data, size_t size_bytes, StateMessage *ret) {
        StateMessage m = { 0 };
        ByteReader r;
        int k;

        byte_reader_init(&r, data, size_bytes);
        if (byte_reader_u16(&r) != MESSAGE_MAGIC)
                return -EBADMSG;
        if (byte_reader_u16(&r) != STATE_MESSAGE_VERSION)
                return byte_reader_result(&r) < 0 ? -EBADMSG : -EPROTONOSUPPORT;
        m.type = (StateMessageType) byte_reader_u8(&r);
        m.time_usec = byte_reader_u64(&r);
        switch (m.type) {
        case STATE_MESSAGE_HELLO:
                read_hello(&r, &m.hello);
                break;
        case STATE_MESSAGE_REPORT:
                read_report(&r, &m.report);
                break;
        case STATE_MESSAGE_PLAN:
                read_plan(&r, &m.plan);
                break;
        case STATE_MESSAGE_FENCE_RESULT:
        case STATE_MESSAGE_FENCED_FOR_QUORUM:
                read_fence_result(&r, &m.fence_result);
                break;
        case STATE_MESSAGE_OPERATOR:
                read_operator(&r, &m.operator_);
                break;
        case STATE_MESSAGE_APPLY_PREPARE:
                read_apply_prepare(&r, &m.apply_prepare);
                break;
        case STATE_MESSAGE_APPLY_ANSWER:
                read_apply_answer(&r, &m.apply_answer);
                break;
        case STATE_MESSAGE_STORED:
                m.stored.serial = byte_reader_u64(&r);
                break;
        case STATE_MESSAGE_CLUSTER_PREPARE:
        case STATE_MESSAGE_CLUSTER_IN_FORCE:
                read_cluster(&r, &m.cluster);
                break;
        case STATE_MESSAGE_NODE_LEAVING:
        case STATE_MESSAGE_TICK:
                break;
        default:
                return -EBADMSG;
        }

        k = byte_reader_finish(&r);
        if (k < 0) {
                state_message_done(&m);
                return k;
        }
        *ret = m;
        return 0;
}

void state_message_done(StateMessage *m) {
        switch (m->type) {
        case STATE_MESSAGE_HELLO:
                g_clear_pointer(&m->hello.record, g_bytes_unref);
                break;
        case STATE_MESSAGE_PLAN:
                g_clear_pointer(&m->plan.steps, g_free);
                m->plan.n_steps = 0;
                break;
        case STATE_MESSAGE_APPLY_PREPARE:
                g_clear_pointer(&m->apply_prepare.files, g_bytes_unref);
                break;
        case STATE_MESSAGE_APPLY_ANSWER:
                g_clear_pointer(&m->apply_answer.reasons, g_free);
                break;
        case STATE_MESSAGE_CLUSTER_PREPARE:
        case STATE_MESSAGE_CLUSTER_IN_FORCE:
                g_clear_pointer(&m->cluster.text, g_bytes_unref);
                g_clear_pointer(&m->cluster.nodes, g_free);
                break;
        case STATE_MESSAGE_REPORT:
        case STATE_MESSAGE_FENCE_RESULT:
        case STATE_MESSAGE_FENCED_FOR_QUORUM:
        case STATE_MESSAGE_OPERATOR:
        case STATE_MESSAGE_NODE_LEAVING:
        case STATE_MESSAGE_STORED:
        case STATE_MESSAGE_TICK:
                break;
        }
}

static const char *operation_name(StateOperation o) {
        switch (o) {
        case STATE_OPERATION_GROUP_START:
                return "group start";
        case STATE_OPERATION_GROUP_STOP:
                return "group stop";
        case STATE_OPERATION_GROUP_MOVE:
                return "group move";
        case STATE_OPERATION_GROUP_CLEANUP:
                return "group cleanup";
        case STATE_OPERATION_NODE_STANDBY:
                return "node standby";
        case STATE_OPERATION_NODE_UNSTANDBY:
                return "node unstandby";
        case STATE_OPERATION_FENCE_CONFIRM:
                return "fence confirm";
        case STATE_OPERATION_NODE_FENCE:
                return "fence node";
        }
        return "?";
}

char *state_message_format(const StateMessage *m, char buf[static STATE_TEXT_MAX]) {
        switch (m->type) {
        case STATE_MESSAGE_HELLO:
                state_text_set(buf, "hello%s", m->hello.record ? " with a record" : "");
                break;
        case STATE_MESSAGE_REPORT:
                state_text_set(buf,
                               "report %s %s #%" G_GUINT64_FORMAT "%s%s",
                               m->report.group,
                               state_report_state_to_string(m->report.state),
                               m->report.number,
                               m->report.reason[0] ? ": " : "",
                               m->report.reason);
                break;
        case STATE_MESSAGE_PLAN:
                state_text_set(buf,
                               "plan of %zu steps from %" G_GUINT64_FORMAT ".%" PRIu32 "/%" G_GUINT64_FORMAT,
                               m->plan.n_steps,
                               m->plan.mid.epoch,
                               m->plan.mid.node,
                               m->plan.sequence);
                break;
        case STATE_MESSAGE_FENCE_RESULT:
        case STATE_MESSAGE_FENCED_FOR_QUORUM:
                state_text_set(buf,
                               "fence result node %" PRIu32 " %s%s%s",
                               m->fence_result.boot.node,
                               m->fence_result.ok ? "ok" : "failed",
                               m->fence_result.text[0] ? ": " : "",
                               m->fence_result.text);
                break;
        case STATE_MESSAGE_OPERATOR:
                state_text_set(buf,
                               "operator: %s %s node %" PRIu32,
                               operation_name(m->operator_.operation),
                               m->operator_.group,
                               m->operator_.operation == STATE_OPERATION_FENCE_CONFIRM
                                               ? m->operator_.boot.node
                                               : m->operator_.node);
                break;
        case STATE_MESSAGE_NODE_LEAVING:
                state_text_set(buf, "node leaving");
                break;
        case STATE_MESSAGE_APPLY_PREPARE:
                state_text_set(buf, "apply prepare");
                break;
        case STATE_MESSAGE_APPLY_ANSWER:
                state_text_set(buf,
                               "apply answer %s%s%s",
                               m->apply_answer.ok ? "prepared" : "refused",
                               m->apply_answer.reasons ? ": " : "",
                               strempty(m->apply_answer.reasons));
                break;
        case STATE_MESSAGE_STORED:
                state_text_set(buf, "stored %" G_GUINT64_FORMAT, m->stored.serial);
                break;
        case STATE_MESSAGE_TICK:
                state_text_set(buf, "tick");
                break;
        case STATE_MESSAGE_CLUSTER_PREPARE:
                state_text_set(buf, "cluster.conf of %zu nodes: prepare", m->cluster.nodes->n_nodes);
                break;
        case STATE_MESSAGE_CLUSTER_IN_FORCE:
                state_text_set(buf, "cluster.conf of %zu nodes: in force", m->cluster.nodes->n_nodes);
                break;
        }
        return buf;
}
