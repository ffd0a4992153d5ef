/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Parts of messages and records, each writer beside its reader in message.c. Readers give something valid
 * even when they set the error. */

#include <glib.h>
#include <inttypes.h>

#include "basic/byte-reader.h"
#include "basic/byte-writer.h"
#include "hamgr/state/message.h"

typedef void (*WireWrite)(ByteWriter *w, const void *object);

/* Writes into as much memory as it takes; NULL when that is more than max_bytes. */
GBytes *wire_encode(WireWrite write, const void *object, size_t max_bytes);

void wire_write_mid(ByteWriter *w, HaMid mid);
HaMid wire_read_mid(ByteReader *r);
void wire_write_boot_id(ByteWriter *w, StateBootId id);
StateBootId wire_read_boot_id(ByteReader *r);
void wire_write_boot(ByteWriter *w, const StateBoot *b);
void wire_read_boot(ByteReader *r, StateBoot *b);
void wire_write_version(ByteWriter *w, StateVersion v);
StateVersion wire_read_version(ByteReader *r);

/* The nodes by ascending id, or the reader fails. */
void wire_write_nodes(ByteWriter *w, const HaNodes *nodes);
void wire_read_nodes(ByteReader *r, HaNodes *ret);

uint32_t wire_read_node(ByteReader *r);
uint32_t wire_read_node_or_none(ByteReader *r);
void wire_read_name(ByteReader *r, char name[static NAME_LENGTH_MAX + 1]);
void wire_read_name_or_none(ByteReader *r, char name[static NAME_LENGTH_MAX + 1]);

/* With a mark for NULL. The readers give memory of their own. */
void wire_write_bytes(ByteWriter *w, GBytes *b);
GBytes *wire_read_bytes(ByteReader *r, size_t max_bytes);
void wire_write_text(ByteWriter *w, const char *text);
char *wire_read_text(ByteReader *r, size_t max_bytes);
