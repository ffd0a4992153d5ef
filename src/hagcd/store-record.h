/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What hagcd keeps over a crash: the records of its two cores and its own of its starts in one, in two slots
 * that are written in turn, so that a write torn by a power cut leaves the one before. */

#include <stdbool.h>

#include "cms/cms.h"
#include "hagcd/start-log.h"

#define STORE_PATH "/var/lib/hagcd/store"
#define STORE_SLOT_BYTES 4096U
#define STORE_PAYLOAD_MAX 2048U

typedef struct StoreRecord {
        CmsRecord cms;
        Mid gcs_history;
        StartLog starts;
} StoreRecord;

/* Returns the size. buf_bytes: STORE_PAYLOAD_MAX. */
size_t store_record_encode(const StoreRecord *record, uint8_t buf[static STORE_PAYLOAD_MAX]);
/* 0; -EBADMSG: it makes no sense; -EPROTONOSUPPORT: a newer hagcd wrote it. */
int store_record_decode(const void *data, size_t size_bytes, StoreRecord *ret);

/* ---- Slots. These block. ---- */

typedef struct StoreSlots {
        uint64_t sequence; /* of the newest valid slot; 0: none */
        bool damaged[2];   /* something stands there that is no valid slot */
        bool cut_short; /* the file lost its end: no torn write does that, so what is left may be too old */
        uint8_t payload[STORE_PAYLOAD_MAX];
        size_t payload_bytes;
} StoreSlots;

/* 0, also when nothing valid is there; or the errno of reading. */
int store_slots_read(int fd, StoreSlots *ret);

/* What was read: 0: a payload that can be used; -ENODATA: nothing was ever there; -EBADMSG: damaged. */
int store_slots_verdict(const StoreSlots *slots);

/* Writes sequence + 1 over the slot that is not the newest, and syncs. */
int store_slots_write(int fd, StoreSlots *slots, const void *payload, size_t payload_bytes);

/* Opens the file and reads it. 0; -ENOENT, -ENODATA: there is none; -EBADMSG: damaged; -EPROTONOSUPPORT: a
 * newer hagcd wrote it. */
int store_load(const char *path, StoreRecord *ret);

typedef enum StoreBirth {
        STORE_FOUNDS, /* this node begins a cluster with others that do: its record counts at once */
        STORE_JOINS,  /* the cluster is there already: it counts when that has taken this node in (R8) */
} StoreBirth;

/* Writes the first record. 0; -EEXIST: a valid record is there already; -EBADMSG, -EPROTONOSUPPORT: one that
 * cannot be used is. With recreate, what is there is moved aside first. */
int store_init(const char *path, StoreBirth birth, bool recreate);
