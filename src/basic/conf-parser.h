/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Unit-file syntax, strictly: text in, sections with line numbers out, and all errors at once. It opens no
 * file.
 *
 *     ConfErrors errors = {};                          // everything that is wrong is collected here
 *     r = conf_file_new(&f);
 *     r = conf_file_parse(f, "web.group", text, size, &errors);         // again for each drop-in, in order
 *     r = conf_file_check_sections(f, types, ELEMENTSOF(types), &errors);
 *     for each section: r = conf_section_convert(s, keys, ELEMENTSOF(keys), &target, &errors);
 *     if (errors.n_items > 0) refuse, show errors;
 *
 * r is -ENOMEM or 0 only: what a file says wrong is never an errno. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"

/* Bounds of one text; beyond them parsing stops with an error. */
#define CONF_FILE_BYTES_MAX (1024U * 1024U)
#define CONF_SECTIONS_MAX 1024U
#define CONF_ENTRIES_MAX 8192U
#define CONF_ERRORS_MAX 100U

typedef struct ConfError {
        char *file;    /* owned */
        unsigned line; /* 0: the file as a whole */
        char *message; /* owned */
} ConfError;

/* All that is wrong, in the order found. Beyond CONF_ERRORS_MAX errors are only counted. */
typedef struct ConfErrors {
        ConfError *items; /* owned */
        size_t n_items;
        size_t n_left_out;
} ConfErrors;

typedef struct ConfEntry {
        char *key;        /* owned */
        char *value;      /* owned; blanks at both ends removed, continuation lines joined by a blank */
        const char *file; /* borrowed from the ConfFile */
        unsigned line;
} ConfEntry;

typedef struct ConfSection {
        char *kind;       /* owned: "Node" of [Node n1] */
        char *name;       /* owned: "n1" of [Node n1]; NULL in [Cluster] */
        const char *file; /* borrowed from the ConfFile */
        unsigned line;

        ConfEntry *entries; /* owned, in the order of the files; repeated keys are all kept */
        size_t n_entries;
} ConfSection;

typedef struct ConfFile {
        ConfSection *sections; /* owned, in file order; a drop-in continues the section of the same kind and
                                  name */
        size_t n_sections;

        char **files; /* owned: the names given to conf_file_parse() */
        size_t n_files;
        size_t n_entries;
} ConfFile;

/* ---- Errors ---- */

/* Adds "file:line: message". Returns 0, or -ENOMEM. */
int conf_errors_add(ConfErrors *errors, const char *file, unsigned line, const char *format, ...)
                _printf_(4, 5);

/* All errors, each "file:line: message\n", for free(); NULL when memory ran out. */
char *conf_errors_to_text(const ConfErrors *errors);

void conf_errors_done(ConfErrors *errors);

/* ---- Text to sections ---- */

int conf_file_new(ConfFile **ret);
ConfFile *conf_file_free(ConfFile *f);
DEFINE_TRIVIAL_CLEANUP(ConfFile *, conf_file_free);

/* Adds the text of one file. The file name is used in messages only. Text need not end in a zero. */
int conf_file_parse(ConfFile *f, const char *file, const char *text, size_t size_bytes, ConfErrors *errors);

/* The section, or NULL. A name of NULL is the section without a name. */
const ConfSection *conf_file_find(const ConfFile *f, const char *kind, const char *name);

/* The last entry of that key, or NULL. */
const ConfEntry *conf_section_find(const ConfSection *s, const char *key);

/* ---- Which sections there may be ---- */

typedef enum ConfNaming {
        CONF_UNNAMED,      /* [Cluster] */
        CONF_NAMED,        /* [Mount data]: name_is_valid() */
        CONF_NODE_NAMED,   /* [Node n1.example.org]: node_name_is_valid() */
        CONF_PATTERN_NAMED /* [Access web_*]: name_pattern_is_valid() */
} ConfNaming;

typedef struct ConfSectionType {
        const char *kind;
        ConfNaming naming;
        bool required; /* at least one */
} ConfSectionType;

/* Reports unknown kinds (with the nearest known one), names where none belong, missing and bad names,
 * missing required sections. */
int conf_file_check_sections(
                const ConfFile *f, const ConfSectionType *types, size_t n_types, ConfErrors *errors);

/* ---- Sections to structs ---- */

typedef struct ConfKey ConfKey;

/* Converts one value into field (target + offset of the key). A wrong value is reported with
 * conf_value_error() and leaves the field alone. Returns 0 or -ENOMEM. An empty value means "as if not
 * given" and is not passed here, except to keys with CONF_REPEATABLE, where it empties the list. */
typedef int (*ConfConvert)(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors);

typedef enum ConfKeyFlags {
        CONF_REQUIRED = 1 << 0,   /* must be given and not be empty */
        CONF_REPEATABLE = 1 << 1, /* each occurrence is converted; without it a second one in a file is an
                                   * error, and one in a drop-in takes the place of the first */
} ConfKeyFlags;

struct ConfKey {
        const char *key;
        ConfConvert convert;
        size_t offset;
        unsigned flags;
        const void *limits; /* what the converter needs: ConfRange, ConfChoice, or NULL */
};

int conf_section_convert(
                const ConfSection *s, const ConfKey *keys, size_t n_keys, void *target, ConfErrors *errors);

/* Reports "file:line: Key=value: what was meant". */
int conf_value_error(const ConfEntry *entry, ConfErrors *errors, const char *format, ...) _printf_(3, 4);

typedef struct ConfRange {
        uint64_t min;
        uint64_t max;
} ConfRange;

/* Texts of an enum, as for string-table.h. */
typedef struct ConfChoice {
        const char *const *texts;
        size_t n_texts;
} ConfChoice;

typedef struct ConfList {
        char **items; /* owned */
        size_t n_items;
} ConfList;

void conf_list_done(ConfList *l);
int conf_list_add(ConfList *l, const char *text, size_t length);

/* Converters; the words say the type of the field and what the limits are. */

/* bool */
int conf_convert_bool(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors);

/* uint32_t; limits: ConfRange or NULL */
int conf_convert_u32(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors);

/* uint64_t; limits: ConfRange or NULL */
int conf_convert_u64(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors);

/* uint64_t microseconds; limits: ConfRange or NULL */
int conf_convert_duration(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors);

/* char *, owned by the struct */
int conf_convert_string(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors);

/* char *, name_is_valid() */
int conf_convert_name(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors);

/* char *, absolute and without ".." */
int conf_convert_path(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors);

/* int, an enum; limits: ConfChoice */
int conf_convert_choice(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors);

/* ConfList of words; with CONF_REPEATABLE adds */
int conf_convert_words(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors);

/* ConfList, each value whole; with CONF_REPEATABLE adds */
int conf_convert_lines(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors);
