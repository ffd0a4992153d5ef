/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The set of files as bytes: sorted by name, so that the same set gives the same bytes and the same hash. */

#include "basic/checksum.h"
#include "hamgr/state/config.h"
#include "hamgr/state/wire.h"

typedef struct FileSet {
        const HaFile **files; /* sorted */
        size_t n_files;
} FileSet;

static int compare_file_pointers(const void *a, const void *b) {
        return strcmp((*(const HaFile *const *) a)->name, (*(const HaFile *const *) b)->name);
}

static const HaFile **sort_files(const HaFile *files, size_t n_files) {
        const HaFile **sorted = g_new0(const HaFile *, n_files + 1);

        for (size_t i = 0; i < n_files; i++)
                sorted[i] = files + i;
        qsort(sorted, n_files, sizeof(*sorted), compare_file_pointers);
        return sorted;
}

static void write_files(ByteWriter *w, const void *object) {
        const FileSet *set = object;

        byte_writer_u32(w, (uint32_t) set->n_files);
        for (size_t i = 0; i < set->n_files; i++) {
                byte_writer_string(w, set->files[i]->name);
                byte_writer_blob(w, set->files[i]->text, strlen(set->files[i]->text));
        }
}

GBytes *ha_files_serialize(const HaFile *files, size_t n_files) {
        g_autofree const HaFile **sorted = sort_files(files, n_files);

        return wire_encode(write_files, &(FileSet){ sorted, n_files }, STATE_MESSAGE_BYTES_MAX - 1024);
}

int ha_files_deserialize(const void *data, size_t size_bytes, HaFile **ret_files, size_t *ret_n_files) {
        HaFile *files;
        ByteReader r;
        uint32_t n;
        int k;

        byte_reader_init(&r, data, size_bytes);
        n = byte_reader_count(&r, HA_FILES_MAX, 6);
        files = g_new0(HaFile, n);
        for (uint32_t i = 0; i < n; i++) {
                char name[HA_FILE_NAME_MAX];
                const uint8_t *text;
                size_t text_bytes;

                byte_reader_string(&r, name, sizeof(name));
                text = byte_reader_blob(&r, HA_CONFIG_BYTES_MAX, &text_bytes);
                if (!text)
                        text_bytes = 0;
                if (text_bytes > 0 && memchr(text, '\0', text_bytes))
                        byte_reader_fail(&r);
                files[i].name = g_strdup(name);
                files[i].text = g_strndup((const char *) text ?: "", text_bytes);
        }
        k = byte_reader_finish(&r);
        if (k < 0) {
                ha_files_free(files, n);
                return k;
        }
        *ret_files = files;
        *ret_n_files = n;
        return 0;
}

HaFile *ha_files_free(HaFile *files, size_t n_files) {
        FOREACH_ARRAY(f, files, n_files) {
                g_free(f->name);
                g_free(f->text);
        }
        g_free(files);
        return NULL;
}

uint64_t ha_files_hash(const HaFile *files, size_t n_files) {
        g_autofree const HaFile **sorted = sort_files(files, n_files);
        Hash64 h;

        hash64_init(&h);
        hash64_u64(&h, n_files);
        for (size_t i = 0; i < n_files; i++) {
                hash64_string(&h, sorted[i]->name);
                hash64_string(&h, sorted[i]->text);
        }
        return hash64_result(&h);
}
