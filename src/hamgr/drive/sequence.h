/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The order in which one group is started, stopped and restarted: a core. It takes orders and what became of
 * each resource, and says what to do next, one resource at a time. */

#include <stdbool.h>
#include <stddef.h>

#include "hamgr/drive/drive.h"

typedef enum SequencePresence {
        SEQUENCE_DOWN,    /* proven: nothing of it is here */
        SEQUENCE_UP,      /* runs */
        SEQUENCE_UNCLEAR, /* between the two, or not proven */
} SequencePresence;

typedef enum SequenceEventType {
        /* Orders. Ask sequence_accepts() first. */
        SEQUENCE_ORDER_START,
        SEQUENCE_ORDER_STOP,
        SEQUENCE_ORDER_ADOPT,
        SEQUENCE_ORDER_WATCH,   /* the same, but the group is not ours */
        SEQUENCE_ORDER_RESTART, /* index */

        /* How an effect ended: index. */
        SEQUENCE_STARTED,
        SEQUENCE_START_FAILED,
        SEQUENCE_STOPPED,
        SEQUENCE_STOP_FAILED,

        /* What was seen. */
        SEQUENCE_LOOKED,           /* presence of all, for a group that is UNREAD */
        SEQUENCE_WENT_DOWN,        /* index, by itself */
        SEQUENCE_OPERATOR_STOPPED, /* index */
        SEQUENCE_CAME_UP,          /* index, not asked by us */
} SequenceEventType;

typedef struct SequenceEvent {
        SequenceEventType type;
        size_t index;
        const SequencePresence *presence;
} SequenceEvent;

typedef enum SequenceEffectType {
        SEQUENCE_OWN,    /* create the ownership file */
        SEQUENCE_DISOWN, /* remove it */
        SEQUENCE_START,  /* index; STARTED or START_FAILED follows */
        SEQUENCE_STOP,   /* index; takes the place of a START of it; STOPPED or STOP_FAILED follows */
        SEQUENCE_TELL,   /* tell, index or SIZE_MAX */
} SequenceEffectType;

typedef struct SequenceEffect {
        SequenceEffectType type;
        size_t index;
        DriveEventType tell;
} SequenceEffect;

/* Filled by a step, in the order to be carried out. */
#define SEQUENCE_EFFECTS_MAX 4U

typedef struct SequenceEffects {
        SequenceEffect items[SEQUENCE_EFFECTS_MAX];
        size_t n_items;
} SequenceEffects;

typedef enum SequenceDoing {
        SEQUENCE_DOING_NOTHING,
        SEQUENCE_DOING_START,
        SEQUENCE_DOING_STOP,
} SequenceDoing;

typedef struct Sequence {
        DriveGroupState state;
        DriveFound found; /* of LOOKED */

        SequencePresence presence[HA_RESOURCES_MAX];
        size_t n_resources;

        bool held; /* FAILED by somebody's hand, which may also bring it back: RUNNING when all is up again
                    */

        SequenceDoing doing; /* the one effect whose end is awaited */
        size_t doing_index;
        size_t down_to; /* while STARTING or STOPPING: all from here on has to be down first; SIZE_MAX: none
                         */
} Sequence;

void sequence_init(Sequence *s, size_t n_resources);

/* 0, or -EBUSY. */
int sequence_accepts(const Sequence *s, SequenceEventType order);

void sequence_step(Sequence *s, const SequenceEvent *event, SequenceEffects *ret_effects);
