/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One resource is worked on at a time, always the one that advance() finds: while something has to be down,
 * the last that is not; then the first that is not up. What happens meanwhile only changes what advance()
 * finds, so that no order of happenings needs a case of its own. A stop trusts nothing that was known
 * before: each resource is proven afresh. */

#include <assert.h>
#include <errno.h>
#include <stdint.h>

#include "basic/macro.h"
#include "hamgr/drive/sequence.h"

void sequence_init(Sequence *s, size_t n_resources) {
        assert(n_resources <= HA_RESOURCES_MAX);

        *s = (Sequence){
                .state = DRIVE_GROUP_UNREAD,
                .n_resources = n_resources,
                .down_to = SIZE_MAX,
        };
        for (size_t i = 0; i < n_resources; i++)
                s->presence[i] = SEQUENCE_UNCLEAR;
}

int sequence_accepts(const Sequence *s, SequenceEventType order) {
        switch (s->state) {
        case DRIVE_GROUP_UNREAD:
                return -EBUSY;
        case DRIVE_GROUP_STOPPED:
        case DRIVE_GROUP_STARTING:
        case DRIVE_GROUP_RUNNING:
        case DRIVE_GROUP_FAILED:
                return 0;
        case DRIVE_GROUP_STOPPING:
        case DRIVE_GROUP_STOP_FAILED:
                return order == SEQUENCE_ORDER_STOP ? 0 : -EBUSY;
        }
        ASSERT_NOT_REACHED();
}

static void add(SequenceEffects *effects, SequenceEffectType type, size_t index, DriveEventType tell) {
        assert(effects->n_items < SEQUENCE_EFFECTS_MAX);
        effects->items[effects->n_items++] = (SequenceEffect){ .type = type, .index = index, .tell = tell };
}

static void tell(SequenceEffects *effects, DriveEventType what, size_t index) {
        add(effects, SEQUENCE_TELL, index, what);
}

static void begin(Sequence *s, SequenceDoing doing, size_t index, SequenceEffects *effects) {
        s->doing = doing;
        s->doing_index = index;
        s->presence[index] = SEQUENCE_UNCLEAR;
        add(effects,
            doing == SEQUENCE_DOING_START ? SEQUENCE_START : SEQUENCE_STOP,
            index,
            DRIVE_EVENT_FOUND);
}

/* The last resource from down_to on that is not proven down, or SIZE_MAX. */
static size_t last_not_down(const Sequence *s) {
        if (s->down_to == SIZE_MAX)
                return SIZE_MAX;
        for (size_t i = s->n_resources; i-- > s->down_to;)
                if (s->presence[i] != SEQUENCE_DOWN)
                        return i;
        return SIZE_MAX;
}

static size_t first_not_up(const Sequence *s) {
        for (size_t i = 0; i < s->n_resources; i++)
                if (s->presence[i] != SEQUENCE_UP)
                        return i;
        return SIZE_MAX;
}

static void advance(Sequence *s, SequenceEffects *effects) {
        size_t i;

        if (s->state != DRIVE_GROUP_STARTING && s->state != DRIVE_GROUP_STOPPING)
                return;

        if (s->doing == SEQUENCE_DOING_START && s->down_to != SIZE_MAX && s->doing_index >= s->down_to) {
                begin(s, SEQUENCE_DOING_STOP, s->doing_index, effects);
                return;
        }
        if (s->doing != SEQUENCE_DOING_NOTHING)
                return;

        i = last_not_down(s);
        if (i != SIZE_MAX) {
                begin(s, SEQUENCE_DOING_STOP, i, effects);
                return;
        }
        s->down_to = SIZE_MAX;

        if (s->state == DRIVE_GROUP_STOPPING) {
                s->state = DRIVE_GROUP_STOPPED;
                tell(effects, DRIVE_EVENT_STOPPED, SIZE_MAX);
                return;
        }

        i = first_not_up(s);
        if (i != SIZE_MAX) {
                begin(s, SEQUENCE_DOING_START, i, effects);
                return;
        }
        s->state = DRIVE_GROUP_RUNNING;
        tell(effects, DRIVE_EVENT_STARTED, SIZE_MAX);
}

static void
fail(Sequence *s, DriveGroupState state, DriveEventType what, size_t index, SequenceEffects *effects) {
        s->state = state;
        s->down_to = SIZE_MAX;
        tell(effects, what, index);
}

/* ---- Orders ---- */

static void order_start(Sequence *s, SequenceEffects *effects) {
        add(effects, SEQUENCE_OWN, SIZE_MAX, DRIVE_EVENT_FOUND);
        s->state = DRIVE_GROUP_STARTING;
        advance(s, effects);
}

static void order_stop(Sequence *s, SequenceEffects *effects) {
        add(effects, SEQUENCE_DISOWN, SIZE_MAX, DRIVE_EVENT_FOUND);
        if (s->state == DRIVE_GROUP_STOPPING)
                return;

        for (size_t i = 0; i < s->n_resources; i++)
                s->presence[i] = SEQUENCE_UNCLEAR;
        s->state = DRIVE_GROUP_STOPPING;
        s->down_to = 0;
        advance(s, effects);
}

static void order_adopt(Sequence *s, bool own, SequenceEffects *effects) {
        size_t i = first_not_up(s);

        if (own)
                add(effects, SEQUENCE_OWN, SIZE_MAX, DRIVE_EVENT_FOUND);
        if (s->state == DRIVE_GROUP_STARTING)
                return;
        if (i != SIZE_MAX) {
                fail(s, DRIVE_GROUP_FAILED, DRIVE_EVENT_RESOURCE_FAILED, i, effects);
                s->held = true;
                return;
        }
        s->state = DRIVE_GROUP_RUNNING;
        tell(effects, DRIVE_EVENT_STARTED, SIZE_MAX);
}

static void order_restart(Sequence *s, size_t index, SequenceEffects *effects) {
        assert(index < s->n_resources);

        add(effects, SEQUENCE_OWN, SIZE_MAX, DRIVE_EVENT_FOUND);
        s->state = DRIVE_GROUP_STARTING;
        s->down_to = MIN(s->down_to, index);
        advance(s, effects);
}

/* ---- Ends of effects, and what was seen ---- */

static void ended(Sequence *s, const SequenceEvent *event, SequenceEffects *effects) {
        bool of_start = event->type == SEQUENCE_STARTED || event->type == SEQUENCE_START_FAILED;

        if (s->doing != (of_start ? SEQUENCE_DOING_START : SEQUENCE_DOING_STOP) ||
            s->doing_index != event->index)
                return; /* replaced meanwhile */
        s->doing = SEQUENCE_DOING_NOTHING;

        switch (event->type) {
        case SEQUENCE_STARTED:
                s->presence[event->index] = SEQUENCE_UP;
                break;
        case SEQUENCE_STOPPED:
                s->presence[event->index] = SEQUENCE_DOWN;
                break;
        case SEQUENCE_START_FAILED:
                s->presence[event->index] = SEQUENCE_UNCLEAR;
                if (s->state == DRIVE_GROUP_STARTING)
                        fail(s, DRIVE_GROUP_FAILED, DRIVE_EVENT_START_FAILED, event->index, effects);
                return;
        case SEQUENCE_STOP_FAILED:
                s->presence[event->index] = SEQUENCE_UNCLEAR;
                if (s->state == DRIVE_GROUP_STOPPING)
                        fail(s, DRIVE_GROUP_STOP_FAILED, DRIVE_EVENT_STOP_FAILED, event->index, effects);
                else if (s->state == DRIVE_GROUP_STARTING)
                        fail(s, DRIVE_GROUP_FAILED, DRIVE_EVENT_START_FAILED, event->index, effects);
                return;
        case SEQUENCE_ORDER_START:
        case SEQUENCE_ORDER_STOP:
        case SEQUENCE_ORDER_ADOPT:
        case SEQUENCE_ORDER_WATCH:
        case SEQUENCE_ORDER_RESTART:
        case SEQUENCE_LOOKED:
        case SEQUENCE_WENT_DOWN:
        case SEQUENCE_OPERATOR_STOPPED:
        case SEQUENCE_CAME_UP:
                ASSERT_NOT_REACHED();
        }
        advance(s, effects);
}

static void looked(Sequence *s, const SequencePresence *presence, SequenceEffects *effects) {
        size_t n_up = 0, n_down = 0;

        assert(s->state == DRIVE_GROUP_UNREAD);

        for (size_t i = 0; i < s->n_resources; i++) {
                s->presence[i] = presence[i];
                n_up += presence[i] == SEQUENCE_UP;
                n_down += presence[i] == SEQUENCE_DOWN;
        }
        if (n_down == s->n_resources) {
                s->found = DRIVE_FOUND_NOTHING;
                s->state = DRIVE_GROUP_STOPPED;
        } else {
                s->found = n_up == s->n_resources ? DRIVE_FOUND_ALL : DRIVE_FOUND_PART;
                s->state = DRIVE_GROUP_FAILED;
        }
        tell(effects, DRIVE_EVENT_FOUND, SIZE_MAX);
}

static void went_down(Sequence *s, size_t index, DriveEventType what, SequenceEffects *effects) {
        if (s->doing != SEQUENCE_DOING_NOTHING && s->doing_index == index)
                return; /* its own end tells */
        s->presence[index] = SEQUENCE_UNCLEAR;

        if (s->state == DRIVE_GROUP_RUNNING) {
                fail(s, DRIVE_GROUP_FAILED, what, index, effects);
                s->held = what == DRIVE_EVENT_OPERATOR_STOPPED;
        } else if (s->state == DRIVE_GROUP_STARTING && (s->down_to == SIZE_MAX || index < s->down_to))
                fail(s, DRIVE_GROUP_FAILED, DRIVE_EVENT_START_FAILED, index, effects);
}

static void came_up(Sequence *s, size_t index, SequenceEffects *effects) {
        if (s->doing != SEQUENCE_DOING_NOTHING && s->doing_index == index)
                return;
        if (s->state == DRIVE_GROUP_UNREAD)
                return;

        s->presence[index] = SEQUENCE_UP;
        if (s->state == DRIVE_GROUP_STOPPED)
                fail(s, DRIVE_GROUP_FAILED, DRIVE_EVENT_STRAY, index, effects);
        else if (s->state == DRIVE_GROUP_FAILED && s->held && first_not_up(s) == SIZE_MAX) {
                s->held = false;
                s->state = DRIVE_GROUP_RUNNING;
                tell(effects, DRIVE_EVENT_STARTED, SIZE_MAX);
        }
}

void sequence_step(Sequence *s, const SequenceEvent *event, SequenceEffects *ret_effects) {
        *ret_effects = (SequenceEffects){};

        if (event->type <= SEQUENCE_ORDER_RESTART)
                s->held = false;
        switch (event->type) {
        case SEQUENCE_ORDER_START:
                order_start(s, ret_effects);
                return;
        case SEQUENCE_ORDER_STOP:
                order_stop(s, ret_effects);
                return;
        case SEQUENCE_ORDER_ADOPT:
                order_adopt(s, true, ret_effects);
                return;
        case SEQUENCE_ORDER_WATCH:
                order_adopt(s, false, ret_effects);
                return;
        case SEQUENCE_ORDER_RESTART:
                order_restart(s, event->index, ret_effects);
                return;
        case SEQUENCE_STARTED:
        case SEQUENCE_START_FAILED:
        case SEQUENCE_STOPPED:
        case SEQUENCE_STOP_FAILED:
                ended(s, event, ret_effects);
                return;
        case SEQUENCE_LOOKED:
                looked(s, event->presence, ret_effects);
                return;
        case SEQUENCE_WENT_DOWN:
                went_down(s, event->index, DRIVE_EVENT_RESOURCE_FAILED, ret_effects);
                return;
        case SEQUENCE_OPERATOR_STOPPED:
                went_down(s, event->index, DRIVE_EVENT_OPERATOR_STOPPED, ret_effects);
                return;
        case SEQUENCE_CAME_UP:
                came_up(s, event->index, ret_effects);
                return;
        }
        ASSERT_NOT_REACHED();
}
