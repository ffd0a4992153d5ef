/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The file of the cluster key, also with a check that is right. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/checksum.h"
#include "fuzz/fuzz.h"
#include "shared/cluster-key.h"

#define PATH_TEXT_MAX 64U

static int load(const void *data, size_t size, ClusterKey *ret) {
        _cleanup_close_ int fd = memfd_create("key", MFD_CLOEXEC);
        _cleanup_free_ char *why = NULL;
        char path[PATH_TEXT_MAX];
        int r;

        assert(fd >= 0);
        assert(fchmod(fd, 0600) == 0);
        assert(write(fd, data, size) == (ssize_t) size);
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        r = cluster_key_load(path, ret, &why);
        assert((r < 0) == (why != NULL));
        return r;
}

static size_t line_of(const ClusterKey *key, char *line, size_t line_bytes) {
        uint8_t id[4] = { (uint8_t) key->id,
                          (uint8_t) (key->id >> 8),
                          (uint8_t) (key->id >> 16),
                          (uint8_t) (key->id >> 24) };
        size_t n = (size_t) snprintf(line, line_bytes, "hamgr-key-1 %08x ", key->id);

        for (unsigned i = 0; i < CLUSTER_KEY_BYTES; i++)
                n += (size_t) snprintf(line + n, line_bytes - n, "%02x", key->bytes[i]);
        return n + (size_t) snprintf(
                                   line + n,
                                   line_bytes - n,
                                   " %08x\n",
                                   crc32c(crc32c(0, id, sizeof(id)), key->bytes, CLUSTER_KEY_BYTES));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        ClusterKey key, again;
        char line[256];
        size_t n;

        if (load(data, size, &key) >= 0) {
                /* There is one way to write a key, but for the end of the line. */
                n = line_of(&key, line, sizeof(line));
                assert(size == n || size == n - 1);
                assert(memcmp(line, data, size) == 0);
        }
        if (size < sizeof(key))
                return 0;
        memcpy(&key, data, sizeof(key));
        n = line_of(&key, line, sizeof(line));
        assert(load(line, n, &again) == (key.id == 0 ? -EBADMSG : 0));
        assert(key.id == 0 || memcmp(&key, &again, sizeof(key)) == 0);
        return 0;
}

void fuzz_seeds(FuzzSeeds *s) {
        ClusterKey key = { .id = 0x12345678, .bytes = { 1, 2, 3 } };
        char line[256];
        size_t n = line_of(&key, line, sizeof(line));

        fuzz_seed(s, line, n);
        fuzz_seed(s, line, n - 1);
        fuzz_seed(s, line, n / 2);
        fuzz_seed(s, &key, sizeof(key));
}
