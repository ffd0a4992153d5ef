/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The replicated state of hamgr against a mad hamgr: an input is a script of what is delivered, views (which
 * hagcd makes) and messages and snapshots (which anybody among the hamgrs may have made). */

#include "fuzz/fuzz.h"
#include "fuzz/state-messages.h"
#include "hamgr/engine/engine.h"

#define OPS_MAX 300U
#define BANK_MAX 64U
#define MESSAGE_MAX 8192U
#define SNAPSHOT_MAX 65536U

typedef enum Op {
        OP_SAY,      /* a message as it should be */
        OP_BEND,     /* the same, changed in places */
        OP_RAW,      /* bytes */
        OP_VIEW,     /* nodes come and go */
        OP_PLAN,     /* what the engine makes of it, also bent */
        OP_SNAPSHOT, /* the state of a mad donor takes the place of ours */
        OP_TIME,
        _OP_MAX,
} Op;

typedef struct Bytes {
        size_t size_bytes;
        uint8_t data[MESSAGE_MAX];
} Bytes;

typedef struct Fixture {
        HaNodes table;
        State *state; /* owned */
        StateEffects effects;
        HaMid mid;
        uint64_t sequence, time_usec;
        StateViewMember members[STATE_MESSAGES_NODES];
        size_t n_members;
        uint64_t incarnation[STATE_MESSAGES_NODES];

        size_t n_bank;
        Bytes bank[BANK_MAX];
} Fixture;

static void bank(void *userdata, const void *data, size_t size_bytes) {
        Fixture *f = userdata;

        assert(f->n_bank < BANK_MAX);
        assert(size_bytes <= MESSAGE_MAX);
        memcpy(f->bank[f->n_bank].data, data, size_bytes);
        f->bank[f->n_bank++].size_bytes = size_bytes;
}

static void check(Fixture *f) {
        char text[STATE_TEXT_MAX];

        state_check(f->state);
        FOREACH_ARRAY(e, f->effects.effects, f->effects.n_effects)
                (void) state_effect_format(e, text);
        state_effects_clear(&f->effects);
}

static void apply(Fixture *f, StateInput *input) {
        input->mid = f->mid;
        input->sequence = ++f->sequence;
        state_apply(f->state, input, &f->effects);
        check(f);
}

static void deliver(Fixture *f, FuzzInput *in, const void *data, size_t size) {
        StateMessage m;

        if (f->n_members == 0 || state_message_decode(data, size, &m) < 0)
                return;
        apply(f,
              &(StateInput){ .type = STATE_INPUT_MESSAGE,
                             .sender = f->members[fuzz_u8(in) % f->n_members],
                             .message = &m });
        state_message_done(&m);
}

static void say(Fixture *f, FuzzInput *in, bool bend) {
        Bytes b = f->bank[fuzz_u8(in) % f->n_bank];

        if (bend)
                fuzz_bend(in, b.data, &b.size_bytes, sizeof(b.data));
        deliver(f, in, b.data, b.size_bytes);
}

/* Bits: which nodes are up, which have a hamgr; what became of the others. */
static void view(Fixture *f, FuzzInput *in) {
        uint8_t up = fuzz_u8(in) | 1, with_hamgr = fuzz_u8(in) | 1, others = fuzz_u8(in),
                again = fuzz_u8(in);
        StateViewNode nodes[STATE_MESSAGES_NODES];

        f->mid.epoch++;
        f->sequence = 0;
        f->n_members = 0;
        for (uint32_t i = 0; i < STATE_MESSAGES_NODES; i++) {
                bool is_up = up & (1U << i);

                if (again & (1U << i))
                        f->incarnation[i]++;
                nodes[i] = (StateViewNode){
                        .id = i + 1,
                        .state = is_up ? STATE_NODE_UP
                                       : (StateNodeState[]){ STATE_NODE_UNKNOWN,
                                                             STATE_NODE_DOWN,
                                                             STATE_NODE_INACTIVE,
                                                             STATE_NODE_DETACHED }[(others >> (2 * i)) % 4],
                        .incarnation = f->incarnation[i],
                        .boot_id = { { (uint8_t) f->incarnation[i] } },
                };
                if (is_up && (with_hamgr & (1U << i)))
                        f->members[f->n_members++] = (StateViewMember){ i + 1, f->incarnation[i] };
        }
        apply(f,
              &(StateInput){ .type = STATE_INPUT_VIEW,
                             .view = { .quorate = node_set_count(up & 7) >= 2,
                                       .nodes = nodes,
                                       .n_nodes = STATE_MESSAGES_NODES,
                                       .members = f->members,
                                       .n_members = f->n_members } });
}

static void plan(Fixture *f, FuzzInput *in) {
        EnginePlan p = { 0 };

        engine_plan(f->state, f->time_usec, &p);
        if (p.plan.n_steps > 0) {
                StateMessage m = { .type = STATE_MESSAGE_PLAN, .time_usec = f->time_usec, .plan = p.plan };
                g_autoptr(GBytes) bytes = state_message_encode(&m);
                Bytes b = { .size_bytes = g_bytes_get_size(bytes) };

                if (b.size_bytes <= sizeof(b.data)) {
                        memcpy(b.data, g_bytes_get_data(bytes, NULL), b.size_bytes);
                        if (fuzz_u8(in) % 2)
                                fuzz_bend(in, b.data, &b.size_bytes, sizeof(b.data));
                        deliver(f, in, b.data, b.size_bytes);
                }
        }
        engine_plan_done(&p);
}

static void snapshot(Fixture *f, FuzzInput *in) {
        static uint8_t data[SNAPSHOT_MAX];
        g_autoptr(GBytes) bytes = state_serialize(f->state), again = NULL;
        size_t size = g_bytes_get_size(bytes);
        State *other;

        if (size > sizeof(data))
                return;
        memcpy(data, g_bytes_get_data(bytes, NULL), size);
        fuzz_bend(in, data, &size, sizeof(data));
        if (state_deserialize(1, data, size, &other) < 0)
                return;
        (void) state_free(f->state);
        f->state = other;
        check(f);
        again = state_serialize(f->state);
        assert(again);
}

static void one_op(Fixture *f, FuzzInput *in) {
        const uint8_t *data;
        size_t n;

        switch ((Op) fuzz_below(in, _OP_MAX)) {
        case OP_SAY:
                say(f, in, false);
                break;
        case OP_BEND:
                say(f, in, true);
                break;
        case OP_RAW:
                data = fuzz_blob(in, &n);
                deliver(f, in, data, n);
                break;
        case OP_VIEW:
                view(f, in);
                break;
        case OP_PLAN:
                plan(f, in);
                break;
        case OP_SNAPSHOT:
                snapshot(f, in);
                break;
        case OP_TIME:
                f->time_usec += (uint64_t) fuzz_u16(in) * 10000;
                break;
        case _OP_MAX:
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const uint8_t all_up[] = { 7, 7, 0, 0 };
        FuzzInput in = { .data = data, .size_bytes = size }, first = { all_up, sizeof(all_up), 0 };
        Fixture *f = g_new0(Fixture, 1);

        f->table = state_messages_nodes();
        f->state = state_new(&f->table, 1);
        f->mid = (HaMid){ 0, 1 };
        for (unsigned i = 0; i < STATE_MESSAGES_NODES; i++)
                f->incarnation[i] = 10 * (i + 1);
        state_messages_all(bank, f);
        view(f, &first);
        for (unsigned i = 0; i < OPS_MAX && !fuzz_is_empty(&in); i++)
                one_op(f, &in);
        (void) state_free(f->state);
        state_effects_done(&f->effects);
        g_free(f);
        return 0;
}

/* Places in the bank of what forms a cluster and brings a configuration into force. */
#define BANK_HELLO 0
#define BANK_PREPARE 2
#define BANK_ANSWER 3
#define BANK_STORED 5

static void say_from_all(FuzzScript *s, uint8_t message) {
        for (uint8_t i = 0; i < STATE_MESSAGES_NODES; i++)
                FUZZ_SAY(s, OP_SAY, message, i);
}

void fuzz_seeds(FuzzSeeds *s) {
        static const uint8_t views[][4] = {
                { 3, 7, 0, 0 }, { 5, 7, 4, 0 }, { 7, 3, 0, 0 }, { 3, 3, 0x20, 4 }
        };
        FuzzScript formed = { 0 };

        say_from_all(&formed, BANK_HELLO);
        FUZZ_SAY(&formed, OP_SAY, BANK_PREPARE, 0);
        say_from_all(&formed, BANK_STORED);
        say_from_all(&formed, BANK_ANSWER);
        FUZZ_SAY(&formed, OP_PLAN, 0, 0, OP_PLAN, 1, 0, 10, 0, 0, 9);
        fuzz_seed(s, formed.data, formed.size_bytes);

        FOREACH_ARRAY(v, views, ELEMENTSOF(views)) {
                FuzzScript script = formed;

                for (uint8_t i = 0; i < 34; i += 2)
                        FUZZ_SAY(&script, OP_SAY, i, i, OP_BEND, (uint8_t) (i + 1), 0, 20, 0, 1, 1, i);
                FUZZ_SAY(&script, OP_VIEW);
                fuzz_say(&script, *v, sizeof(*v));
                FUZZ_SAY(&script, OP_TIME, 0, 20, OP_PLAN, 0, 0, OP_PLAN, 1, 0, 30, 0, 0x40, 7, 7);
                for (uint8_t i = 0; i < 8; i++)
                        FUZZ_SAY(&script,
                                 OP_SNAPSHOT,
                                 0,
                                 (uint8_t) (80 * i),
                                 i,
                                 1,
                                 1,
                                 7,
                                 7,
                                 0,
                                 0,
                                 OP_PLAN,
                                 0,
                                 0);
                fuzz_seed(s, script.data, script.size_bytes);
        }
}
