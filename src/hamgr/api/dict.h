/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Replies that are dictionaries, so that there can be more in them later. What they hold stands beside their
 * methods in dbus/org.hamgr1.xml, and a test compares the two. */

#include "hamgr/api/api-internal.h"

/* A dictionary being written; after an error nothing more is. */
typedef struct Dict {
        const Api *api;    /* weak */
        sd_bus_message *m; /* weak */
        int r;
} Dict;

void dict_open(Dict *d);
void dict_close(Dict *d);

void dict_put_text(Dict *d, const char *key, const char *text);
void dict_put_bool(Dict *d, const char *key, bool value);
void dict_put_u32(Dict *d, const char *key, uint32_t value);
void dict_put_u64(Dict *d, const char *key, uint64_t value);
void dict_put_usec(Dict *d, const char *key, uint64_t usec);
void dict_put_mid(Dict *d, const char *key, HaMid mid);
void dict_put_node(Dict *d, const char *key, uint32_t id);
void dict_put_set(Dict *d, const char *key, NodeSet set);

/* A list of dictionaries. */
void dict_open_list(Dict *d, const char *key);
void dict_close_list(Dict *d);

/* Answers with one; the call is gone then. */
void dict_reply(ApiCall *call, void (*put)(Dict *d, const void *what), const void *what);
