/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Drives resource groups on this node: starts and stops their units, mounts and addresses over sd-bus,
 * watches them, finds what runs after a restart of hamgr, and proves that nothing is left after a stop.
 *
 * The order of calls:
 *
 *     drive_new(event, NULL, handler, m, &d);         // connects; DRIVE_EVENT_CONNECTED follows
 *     drive_configure(d, config);                     // copies it; guards are written: DRIVE_EVENT_GUARDED
 *                                                     // each group is looked at: DRIVE_EVENT_FOUND
 *     drive_adopt() / drive_start() / drive_stop() / drive_restart()
 *
 * All is asynchronous: a call says only whether the order was taken; the end of it is an event. Events come
 * from the loop, never from within a call. Each event of a group carries the assignment number of the order
 * that it belongs to. Orders may be given from within the handler.
 *
 *                     start/adopt                   resource fails, or operator's stop
 *     STOPPED ----------------------> STARTING ----> RUNNING -------------------------------> FAILED
 *        ^                               |              |                                        |
 *        |                               | fails        | stop                      restart -> STARTING
 *        |                               v              v                                        |
 *        +-------- proven gone ------- FAILED ----> STOPPING <-----------------------------------+ stop
 *                                                       | not proven in time
 *                                                       v
 *                                                  STOP_FAILED ---- stop ----> STOPPING */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "hamgr/state/config.h"

/* After StopSec= of a unit it is killed, and this long it may then take to be gone. */
#define DRIVE_KILL_GRACE_USEC (5 * UINT64_C(1000000))

typedef struct Drive Drive;

typedef enum DriveGroupState {
        DRIVE_GROUP_UNREAD,   /* not looked at yet: FOUND follows */
        DRIVE_GROUP_STOPPED,  /* proven: nothing of it is left here */
        DRIVE_GROUP_STARTING, /* also while restarting in place */
        DRIVE_GROUP_RUNNING,  /* all of it */
        DRIVE_GROUP_FAILED,   /* a start, a resource or an operator's stop left a part of it; waits for an
                                 order */
        DRIVE_GROUP_STOPPING,
        DRIVE_GROUP_STOP_FAILED, /* something of it may still run; waits for an order */
} DriveGroupState;

typedef enum DriveResourceState {
        DRIVE_RESOURCE_STOPPED,
        DRIVE_RESOURCE_STARTING,
        DRIVE_RESOURCE_RUNNING,
        DRIVE_RESOURCE_STOPPING,
        DRIVE_RESOURCE_FAILED,
        _DRIVE_RESOURCE_STATE_MAX,
        _DRIVE_RESOURCE_STATE_INVALID = -EINVAL,
} DriveResourceState;

const char *drive_resource_state_to_string(DriveResourceState i) _const_; /* "running" */
DriveResourceState drive_resource_state_from_string(const char *s);

/* Why a resource failed. */
typedef enum DriveReason {
        DRIVE_REASON_NONE,
        DRIVE_REASON_EXIT_CODE, /* exited by itself, with any status */
        DRIVE_REASON_SIGNAL,
        DRIVE_REASON_CORE_DUMP,
        DRIVE_REASON_WATCHDOG,
        DRIVE_REASON_OOM,
        DRIVE_REASON_TIMEOUT,
        DRIVE_REASON_RESOURCES,  /* systemd could not even begin: no memory, bad settings */
        DRIVE_REASON_ASSERT,     /* refused by the guard or another assertion of the unit */
        DRIVE_REASON_DEPENDENCY, /* a unit that it requires did not start */
        DRIVE_REASON_START_LIMIT,
        DRIVE_REASON_NO_UNIT,  /* systemd has no such unit */
        DRIVE_REASON_CANCELED, /* somebody else replaced or cancelled the job */
        DRIVE_REASON_CONFLICT, /* ha-ip: the address is in use elsewhere; ha-mount: the device is */
        DRIVE_REASON_LEFTOVER, /* a process, mount or address is still there after the stop */
        DRIVE_REASON_OPERATOR, /* stopped by hand */
        DRIVE_REASON_SYSTEM,   /* could not ask systemd, or create the ownership file */
        _DRIVE_REASON_MAX,
        _DRIVE_REASON_INVALID = -EINVAL,
} DriveReason;

const char *drive_reason_to_string(DriveReason i) _const_; /* "exit-code", "signal", "watchdog", ... */
DriveReason drive_reason_from_string(const char *s);

typedef enum DriveFound {
        DRIVE_FOUND_NOTHING, /* proven stopped */
        DRIVE_FOUND_PART,
        DRIVE_FOUND_ALL,
} DriveFound;

typedef enum DriveEventType {
        /* ---- Of the drive itself; group is NULL ---- */
        DRIVE_EVENT_CONNECTED,    /* to systemd, also again after a loss; text says how */
        DRIVE_EVENT_DISCONNECTED, /* it reconnects by itself; orders are taken and kept meanwhile */
        DRIVE_EVENT_GUARDED,      /* the guards of the newest configuration are in force */
        DRIVE_EVENT_GUARD_FAILED, /* they are not: start nothing; text says why. drive_configure() tries
                                     again */

        /* ---- Of a group ---- */
        DRIVE_EVENT_FOUND,            /* what runs here of a group that was UNREAD: field found */
        DRIVE_EVENT_STARTED,          /* RUNNING */
        DRIVE_EVENT_START_FAILED,     /* FAILED: resource, reason. Parts may run: stop it */
        DRIVE_EVENT_STOPPED,          /* STOPPED: proven */
        DRIVE_EVENT_STOP_FAILED,      /* STOP_FAILED: resource, reason */
        DRIVE_EVENT_RESOURCE_FAILED,  /* RUNNING -> FAILED: resource, reason */
        DRIVE_EVENT_OPERATOR_STOPPED, /* RUNNING -> FAILED: somebody stopped the resource with systemctl.
                                       * Never told while the machine shuts down or hamgr itself is being
                                       * stopped. STARTED follows when all of it was started again by hand */
        DRIVE_EVENT_RESOURCE_CHANGED, /* for display: drive_resource_status() answers differently now */
        DRIVE_EVENT_STRAY, /* a resource of a STOPPED or UNREAD-and-not-ours group began to run here, asked
                            * by somebody else; the group is FAILED now: stop it */
} DriveEventType;

/* Borrowed for the call. */
typedef struct DriveEvent {
        DriveEventType type;
        const char *group;
        uint64_t assignment; /* of the newest order that was taken; FOUND: of the ownership file, 0: none */

        const char *resource; /* or NULL */
        DriveReason reason;
        int status;       /* EXIT_CODE: the exit status; SIGNAL, CORE_DUMP: the signal */
        const char *text; /* one sentence for people, never NULL: what, where, why */

        DriveFound found;
        bool owned; /* FOUND: the ownership file was there */
} DriveEvent;

typedef void (*DriveHandler)(Drive *d, const DriveEvent *event, void *userdata);

/* For tests and unusual installations; NULL or a NULL field: the default. Copied. */
typedef struct DriveOptions {
        const char *owned_folder; /* /run/hamgr/owned */
        const char *guard_list;   /* /etc/hamgr/guard.list */
        const char *agent_folder; /* /usr/lib/hamgr */
        const char *own_unit; /* the unit this process runs in, from /proc; "hamgr.service" if it is in none
                               */
} DriveOptions;

int drive_new(sd_event *event,
              const DriveOptions *options,
              DriveHandler handler,
              void *userdata,
              Drive **ret);
/* Leaves everything running, and the ownership files in place. */
Drive *drive_free(Drive *d);
DEFINE_TRIVIAL_CLEANUP(Drive *, drive_free);

bool drive_is_connected(const Drive *d);

/* Takes over the groups of a configuration that is in force; it is copied. Groups are matched by name: what
 * stays the same is not touched. New groups become UNREAD and are looked at. A group that is not in the
 * configuration any more is forgotten once it is STOPPED (drive_stop() works on it until then). A resource
 * added to a group that runs is started by the next drive_start(). Writes the guard list when it differs (a
 * small synced write, the only thing here that may wait for a disk) and has systemd read it. Returns 0, or a
 * negative errno when the list could not be written: nothing has changed then. GUARDED or GUARD_FAILED
 * follows. Every node calls it for all groups, in its domain or not (R19). */
int drive_configure(Drive *d, const HaConfig *config);

/* Do the guards of the newest configuration stand? A GUARDED under way may be about the one before. */
bool drive_is_guarded(const Drive *d);

/* May anything have been started here since the machine booted, by this process or one before it? Asks for
 * no configuration, so it is the answer of one that never had any. */
bool drive_was_used(const Drive *d);

/* Orders. 0: taken. -ENOENT: no such group. -EBUSY: it is UNREAD, STOPPING or (start, adopt, restart)
 * STOP_FAILED.
 *
 * Start: the ownership file, then each resource in order; what runs already stays as it is, so an order that
 * repeats itself only ends in STARTED again. START_FAILED leaves the parts that run. Stop: removes the
 * ownership file, ends a start in progress, stops in reverse, proves. STOPPED also when nothing ran. A stop
 * while STOPPING takes only the new assignment number. Adopt: after FOUND; takes what runs as the result of
 * this assignment and restarts nothing. STARTED when all of it runs, else RESOURCE_FAILED with the first
 * that does not, and STARTED when somebody else has started the rest. Watch: the same without the ownership
 * file, for a group that runs here and was given to nobody. Restart: stops what comes after the
 * resource, in reverse, and it (if they run at all), then starts from it on. For a group that is FAILED or
 * RUNNING. Ends in STARTED or START_FAILED; a resource before it that does not run any more is started as
 * well. */
int drive_start(Drive *d, const char *group, uint64_t assignment);
int drive_stop(Drive *d, const char *group, uint64_t assignment);
int drive_adopt(Drive *d, const char *group, uint64_t assignment);
int drive_watch(Drive *d, const char *group, uint64_t assignment);
int drive_restart(Drive *d, const char *group, const char *resource, uint64_t assignment);

/* UNREAD for a group that is not known. */
DriveGroupState drive_group_state(const Drive *d, const char *group);
uint64_t drive_group_assignment(const Drive *d, const char *group);

/* Is every known group STOPPED? */
bool drive_is_empty(const Drive *d);

typedef struct DriveResourceStatus {
        DriveResourceState state;
        DriveReason reason;  /* of the last failure since the group's last start */
        const char *unit;    /* what systemctl knows it by */
        const char *text;    /* one sentence, or "" */
        uint64_t since_usec; /* CLOCK_BOOTTIME of the last change of state */
} DriveResourceStatus;

/* -ENOENT. Texts are valid until the loop goes on. */
int drive_resource_status(const Drive *d, const char *group, const char *resource, DriveResourceStatus *ret);

/* ---- Is a configuration possible here? ---- */

typedef struct DriveValidation DriveValidation;

/* Each line names the place ("web.group:12: ..."). errors refuse the configuration, warnings do not. Both
 * are NULL-terminated and borrowed for the call. Called once, from the loop; may free the validation. */
typedef void (*DriveValidateHandler)(
                DriveValidation *v, const char *const *errors, const char *const *warnings, void *userdata);

/* Looks, for every group that names this node, whether its units, interfaces, devices and mount points exist
 * here, and, for every group, whether something else on this node would start or hold a part of it: an
 * enabled unit, an fstab entry without noauto, an address configured already. Groups that the drive runs now
 * do not count as something else. */
int drive_validate(
                Drive *d,
                const HaConfig *config,
                uint32_t node,
                DriveValidateHandler handler,
                void *userdata,
                DriveValidation **ret);
/* Before the result: the handler is not called any more. */
DriveValidation *drive_validation_free(DriveValidation *v);
DEFINE_TRIVIAL_CLEANUP(DriveValidation *, drive_validation_free);

/* ---- Why are we being stopped? (R20) ---- */

typedef enum DriveLeaving {
        DRIVE_LEAVING_NOT,      /* nobody asked systemd to stop us: a signal by hand */
        DRIVE_LEAVING_RESTART,  /* our unit is being restarted: leave all running, adopt it afterwards */
        DRIVE_LEAVING_STOP,     /* our unit is being stopped: drain */
        DRIVE_LEAVING_SHUTDOWN, /* the machine shuts down: drain */
        DRIVE_LEAVING_UNKNOWN,  /* systemd does not answer: drain */
} DriveLeaving;

typedef void (*DriveLeavingHandler)(Drive *d, DriveLeaving leaving, void *userdata);

/* Asks systemd; answered from the loop within two seconds, by UNKNOWN if need be. One question at a time:
 * -EBUSY. */
int drive_query_leaving(Drive *d, DriveLeavingHandler handler, void *userdata);

/* From now on (we drain) no stop is taken for an operator's wish. */
void drive_set_leaving(Drive *d, bool leaving);

/* ---- Guards, for `hactl check` and tests ---- */

/* The unit that drives a resource: "shop.service", "hamgr-web-vip.service". */
char *drive_unit_name(const char *group, const HaResource *resource);
