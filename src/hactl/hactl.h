/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* hactl: what its verbs share. A D-Bus client of hamgr and nothing more; one file per verb. */

#include <stdbool.h>

#include <jansson.h>
#include <systemd/sd-bus.h>

#define HACTL_CALL_TIMEOUT_USEC (60 * UINT64_C(1000000))
#define HACTL_WAIT_TIMEOUT_USEC (120 * UINT64_C(1000000))

/* Exit statuses; documented in hactl --help. */
enum {
        HACTL_OK = 0,
        HACTL_FAILED = 1, /* refused, or it did not come about */
        HACTL_USAGE = 2,
        HACTL_UNREACHABLE = 3, /* hamgr is not on the bus */
        HACTL_WAITS = 4, /* the order stands and is not carried out yet; the text says for what it waits */
};

typedef struct Hactl {
        bool json;
        bool no_block;       /* do not wait until the state asked for is reached */
        bool yes;            /* do not ask */
        bool recreate_store; /* hactl init only, */
        bool join;           /* and this */
        bool remove;         /* hactl apply only */
        bool write;          /* hactl cat only */
        bool all;            /* hactl membership only */
        sd_bus *bus;         /* owned; opened by hactl_bus() */
        char *error;         /* owned; the name of the error that hamgr answered last; NULL: none */
} Hactl;

/* The system bus, opened at first use. NULL after telling why. */
sd_bus *hactl_bus(Hactl *h);

/* Call a method of org.hamgr1.Manager whose arguments are of simple types. Tells what went wrong and returns
 * an exit status; on success *ret_reply (if asked for) is the reply. */
int hactl_call(Hactl *h, const char *method, sd_bus_message **ret_reply, const char *types, ...);
int hactl_send(Hactl *h, sd_bus_message *call, sd_bus_message **ret_reply);

/* What the cluster is, as one document: the JSON that --json prints and the tables are made from. An exit
 * status. */
int hactl_read(Hactl *h, json_t **ret);

/* How the membership looks from this server, likewise. With tell_errors false nothing is said of an error.
 */
int hactl_read_membership(Hactl *h, bool tell_errors, json_t **ret);

/* What its fence devices say of a node now, likewise. */
int hactl_read_fence_test(Hactl *h, const char *node, json_t **ret);
/* What became of the latest fencings, likewise. */
int hactl_read_fence_history(Hactl *h, json_t **ret);
/* What this server counts of the groups that talk by libhagcs, likewise. */
int hactl_read_groups(Hactl *h, json_t **ret);

void hactl_print_json(const json_t *document);

/* CLOCK_REALTIME as people read it here. For g_free(). */
char *hactl_time_text(json_int_t usec);

/* How long that is, in its largest unit. For g_free(). */
char *hactl_age_text(json_int_t usec);

/* Of the document of hactl_read_membership(): what is wrong with the links to members, in a line; NULL:
 * nothing. For g_free(). */
char *hactl_link_note(const json_t *membership);

/* Of that document: what is wrong with this server's store, in a sentence; NULL: nothing. */
const char *hactl_store_note(const json_t *membership);

/* True, after telling so: there is a file for a group of that name, which has yet to be applied. For a group
 * that is not in force. */
bool hactl_tell_not_applied(const char *group);

/* The object of that name in an array of objects; NULL if there is none. Borrowed. */
json_t *hactl_find(json_t *array, const char *name);
const char *hactl_text(const json_t *object, const char *key);

/* Wait, told by the bus of each change, until verdict() says other than WAIT_MORE; its text is then what it
 * is about. */
typedef enum WaitVerdict { WAIT_MORE, WAIT_REACHED, WAIT_FAILED, WAIT_BLOCKED } WaitVerdict;
typedef WaitVerdict (*WaitFunc)(json_t *cluster, const void *what, char **ret_text);
int hactl_wait(Hactl *h, WaitFunc verdict, const void *what);

void hactl_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

int verb_init(Hactl *h, int argc, char **argv);
int verb_check(Hactl *h, int argc, char **argv);
int verb_apply(Hactl *h, int argc, char **argv);
int verb_cat(Hactl *h, int argc, char **argv);
int verb_status(Hactl *h, int argc, char **argv);
int verb_membership(Hactl *h, int argc, char **argv);
int verb_groups(Hactl *h, int argc, char **argv);
int verb_group(Hactl *h, int argc, char **argv);
int verb_node(Hactl *h, int argc, char **argv);
int verb_fence(Hactl *h, int argc, char **argv);
int verb_budget(Hactl *h, int argc, char **argv);
