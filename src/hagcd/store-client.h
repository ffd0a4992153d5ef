/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* hagcd's end of the store. One write is under way at a time and holds the newest of both cores; a write
 * that another one overtook is stored with it. A store process that dies is connected to again and told
 * anew. */

#include <systemd/sd-event.h>

#include "hagcd/store-proto.h"

typedef struct StoreClient StoreClient;

/* The newest numbers of both cores that are on disk now (0: none yet), or could not be written. */
typedef void (*StoreHandler)(void *userdata, uint64_t cms_number, uint64_t gcs_number, int error);

/* Connects and reads, which blocks, for at most five seconds. *ret_record is set when *ret_valid is true. */
int store_client_new(
                sd_event *event,
                const char *path,
                StoreHandler handler,
                void *userdata,
                StoreRecord *ret_record,
                bool *ret_valid,
                StoreClient **ret);
/* Connects and asks, as the above, and ends: 0 when the store answers, with or without a record. */
int store_client_probe(const char *path, StoreRecord *ret_record, bool *ret_valid);

StoreClient *store_client_free(StoreClient *s);
DEFINE_TRIVIAL_CLEANUP(StoreClient *, store_client_free);

void store_client_put_cms(StoreClient *s, uint64_t number, const CmsRecord *record);
/* Goes with the next record of cms, which is the one that watches the disk. */
void store_client_put_gcs(StoreClient *s, uint64_t number, Mid history);

/* What this start adds: on disk with the first promise at the latest, and so before this node is in any
 * membership. A node without a record writes none before it is taken in (R8). */
void store_client_put_starts(StoreClient *s, const StartLog *starts);
/* This life ends on purpose: sends a last record, and waits for nobody. */
void store_client_end(StoreClient *s);
