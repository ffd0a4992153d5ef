/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* CRC-32C finds torn and rotten records; Hash64 (FNV-1a with a final mix) tells contents apart. Neither
 * withstands somebody who means harm: what comes from outside is sealed by DTLS. */

#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"

/* CRC-32C (Castagnoli), as in iSCSI: crc32c(0, "123456789", 9) == 0xe3069283. Feed the result back in to go
 * on. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size_bytes);

typedef struct Hash64 {
        uint64_t state;
} Hash64;

void hash64_init(Hash64 *h);
void hash64_bytes(Hash64 *h, const void *data, size_t size_bytes);
void hash64_u64(Hash64 *h, uint64_t v);

/* Text with its length, so that "ab" + "c" differs from "a" + "bc". NULL differs from "". */
void hash64_string(Hash64 *h, const char *s);

uint64_t hash64_result(const Hash64 *h);

/* All in one. */
uint64_t hash64_of(const void *data, size_t size_bytes);
