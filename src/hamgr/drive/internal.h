/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of this room share. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "hamgr/drive/drive.h"
#include "hamgr/drive/link.h"
#include "hamgr/drive/reason.h"
#include "hamgr/drive/sequence.h"

#define DRIVE_GENERATOR_FOLDER "/run/systemd/generator"

typedef struct Group Group;
typedef struct Resource Resource;
typedef struct Question Question;

/* systemd's ActiveState. */
typedef enum UnitActive {
        UNIT_UNKNOWN, /* not read yet */
        UNIT_ACTIVE,  /* reloading and refreshing too */
        UNIT_INACTIVE,
        UNIT_FAILED,
        UNIT_ACTIVATING,
        UNIT_DEACTIVATING,
} UnitActive;

/* A job of the unit that is not ours, since the unit was last seen without one. */
typedef enum ForeignJob {
        FOREIGN_NONE,
        FOREIGN_UNKNOWN, /* ended before it could be asked what it was: only a stop is so fast */
        FOREIGN_STOP,
        FOREIGN_OTHER, /* a restart too: whoever wants one does not want it to be down */
} ForeignJob;

typedef enum Operation {
        OPERATION_NONE,
        OPERATION_START,
        OPERATION_STOP,
} Operation;

struct Resource {
        Group *group; /* weak */
        size_t index;
        HaResource config; /* owned copy */
        char *unit;        /* owned */
        char *path;        /* owned; of the unit's object */

        /* What systemd says. */
        sd_bus_slot *watch; /* owned */
        UnitActive active;
        char *sub;         /* owned, or NULL */
        char *result;      /* owned, or NULL */
        char *status_text; /* owned, or NULL */
        int exec_code;
        int exec_status;
        char *job; /* owned; the Job property, NULL: none */
        ForeignJob foreign;
        LinkCall *ask_job_type;
        Question *ask_leaving; /* owned */

        /* What we do with it. */
        Operation operation;
        bool awaits_job;
        char *own_job; /* owned; of this operation or the last */
        LinkCall *call;
        sd_event_source *limit; /* owned */
        sd_event_source *retry; /* owned */
        unsigned n_tries;
        uint64_t proof_until_usec; /* 0: the unit is not down yet */
        bool killed;               /* SIGKILL was sent to what would not end */
        bool cleaned;              /* the agent's --remove was run once more */

        /* For people. */
        DriveFailure failure;
        DriveResourceState shown;
        uint64_t shown_since_usec;
};

struct Group {
        Drive *drive; /* weak */
        char *name;   /* owned */
        uint64_t resources_hash;
        Resource **resources; /* owned, each too */
        size_t n_resources;

        Sequence sequence;
        uint64_t assignment;
        bool configured; /* in the newest configuration; else it is forgotten when it is STOPPED */
        Group *next;     /* owned; takes its place when it is STOPPED */

        GQueue fed; /* SequenceEvent, owned: what arose during a step */
        bool feeding;

        /* While it is UNREAD. */
        SequencePresence seen[HA_RESOURCES_MAX];
        LinkCall *look_calls[HA_RESOURCES_MAX];
        size_t n_looks;
};

struct Drive {
        sd_event *event; /* ref */
        DriveHandler handler;
        void *userdata;
        char *owned_folder, *guard_list, *agent_folder, *own_unit; /* owned */

        Link *link;        /* owned */
        GPtrArray *groups; /* Group, owned */
        LinkCall *read_call;
        bool read_again;
        sd_event_source *reread; /* owned */

        bool reload_needed;
        bool reloading; /* asked for, and not known to have worked */
        LinkCall *reload_call;
        bool guarded; /* the drop-ins of the newest list are in force */

        GQueue events;                 /* EventCopy, owned */
        sd_event_source *deliver;      /* owned */
        sd_event_source *housekeeping; /* owned: forgets and replaces groups outside of their own steps */

        bool leaving;
        Question *leaving_question; /* owned: of drive_query_leaving() */
        DriveLeavingHandler leaving_handler;
        void *leaving_userdata;

        GQueue validations; /* DriveValidation, weak */
};

/* ---- drive.c ---- */

Group *drive_find_group(const Drive *d, const char *name);

/* Queues an event; the strings are copied. failure may be NULL. */
void drive_tell(Drive *d, DriveEventType type, const char *text);
void group_tell(Group *g, DriveEventType type, const Resource *r, const DriveFailure *failure);
void group_feed(Group *g, SequenceEventType type, size_t index);
Group *group_new(Drive *d, const HaGroup *config);
Group *group_free(Group *g);
char *group_owned_path(const Group *g);

/* ---- resource.c ---- */

Resource *resource_new(Group *g, size_t index, const HaResource *config);
Resource *resource_free(Resource *r);

void resource_start(Resource *r);
void resource_stop(Resource *r);
/* The connection is there and the unit's state was read: goes on with what it was doing, or judges what it
 * sees. */
void resource_resume(Resource *r);
void resource_link_down(Resource *r);
void resource_on_job_removed(Resource *r, const char *job, const char *result);
void resource_on_unit_changed(Resource *r, const char *interface, sd_bus_message *m);

bool resource_is_agent(const Resource *r);
/* The kernel says that its mount or address is gone. 1: it is not, with a sentence. */
int resource_prove(const Resource *r, char **ret_text);
void resource_show(Resource *r, DriveResourceState state);

/* ---- look.c ---- */

/* Reads the state of all units, then resumes all resources, and finds out about UNREAD groups. */
void drive_read_all(Drive *d);
void group_cancel_look(Group *g);

/* One row of ListUnitsByNames(); 0 at the end. Texts are borrowed from the message. */
typedef struct UnitRow {
        const char *name, *load, *active, *sub, *job_type, *job_path;
        uint32_t job_id;
} UnitRow;

int unit_row_read(sd_bus_message *m, UnitRow *ret);
UnitActive unit_active_from_string(const char *s);
void resource_take_row(Resource *r, const UnitRow *row);

/* ---- configure.c ---- */

void drive_reload_if_needed(Drive *d);
/* As well as one that failed, or that a lost connection took with it. */
void drive_reload_again(Drive *d);
void drive_keep_house(Drive *d);
void ha_resource_copy(HaResource *to, const HaResource *from);
void ha_resource_done(HaResource *r);

/* ---- validate.c ---- */

void drive_validations_link_down(Drive *d);

/* ---- leaving.c ---- */

typedef void (*QuestionHandler)(DriveLeaving answer, void *userdata);

Question *question_new(Drive *d, QuestionHandler handler, void *userdata);
Question *question_free(Question *q);
