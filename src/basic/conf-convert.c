/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sections to structs, by tables of keys. */

#include "basic/conf-parser.h"
#include "basic/parse.h"
#include "basic/str-buf.h"
#include "basic/string-table.h"
#include "basic/time-util.h"

/* ---- Which sections there may be ---- */

/* Adds "; did you mean "x"?", or, when nothing is near, "; known are a, b, c". */
static void add_suggestion(StrBuf *b, const char *const *known, size_t n, const char *given) {
        const char *nearest = string_table_nearest(known, n, given);

        if (nearest) {
                str_buf_printf(b, "; did you mean \"%s\"?", nearest);
                return;
        }

        str_buf_add(b, "; known are ");
        for (size_t i = 0; i < n; i++)
                str_buf_printf(b, "%s%s", i > 0 ? ", " : "", known[i]);
}

static int
unknown_section(const ConfSection *s, const ConfSectionType *types, size_t n_types, ConfErrors *errors) {
        _cleanup_(str_buf_done) StrBuf hint = {};
        _cleanup_free_ const char **kinds = calloc(n_types, sizeof(char *));

        if (!kinds)
                return -ENOMEM;
        for (size_t i = 0; i < n_types; i++)
                kinds[i] = types[i].kind;

        add_suggestion(&hint, kinds, n_types, s->kind);
        return conf_errors_add(
                        errors, s->file, s->line, "unknown section [%s]%s", s->kind, str_buf_text(&hint));
}

static int check_naming(const ConfSection *s, ConfNaming naming, ConfErrors *errors) {
        switch (naming) {
        case CONF_UNNAMED:
                if (s->name)
                        return conf_errors_add(
                                        errors,
                                        s->file,
                                        s->line,
                                        "[%s] takes no name; write [%s]",
                                        s->kind,
                                        s->kind);
                return 0;

        case CONF_NAMED:
        case CONF_NODE_NAMED:
        case CONF_PATTERN_NAMED:
                if (!s->name)
                        return conf_errors_add(
                                        errors,
                                        s->file,
                                        s->line,
                                        "[%s] needs a name; write [%s name]",
                                        s->kind,
                                        s->kind);
                if (naming == CONF_NAMED && !name_is_valid(s->name))
                        return conf_errors_add(
                                        errors,
                                        s->file,
                                        s->line,
                                        "\"%s\" is no name for [%s]; names are 1 to %u of a-z 0-9 _",
                                        s->name,
                                        s->kind,
                                        NAME_LENGTH_MAX);
                if (naming == CONF_NODE_NAMED && !node_name_is_valid(s->name))
                        return conf_errors_add(
                                        errors,
                                        s->file,
                                        s->line,
                                        "\"%s\" is no name for [%s]; names are 1 to %u of a-z 0-9 _, and - "
                                        ". inside",
                                        s->name,
                                        s->kind,
                                        NAME_LENGTH_MAX);
                if (naming == CONF_PATTERN_NAMED && !name_pattern_is_valid(s->name))
                        return conf_errors_add(
                                        errors,
                                        s->file,
                                        s->line,
                                        "\"%s\" is no name or pattern for [%s]; they are 1 to %u of a-z 0-9 "
                                        "_ "
                                        "and * ?",
                                        s->name,
                                        s->kind,
                                        NAME_LENGTH_MAX);
                return 0;
        }
        ASSERT_NOT_REACHED();
}

int conf_file_check_sections(
                const ConfFile *f, const ConfSectionType *types, size_t n_types, ConfErrors *errors) {
        int r;

        FOREACH_ARRAY(s, f->sections, f->n_sections) {
                const ConfSectionType *type = NULL;

                FOREACH_ARRAY(t, types, n_types)
                        if (streq(t->kind, s->kind))
                                type = t;

                if (type)
                        r = check_naming(s, type->naming, errors);
                else
                        r = unknown_section(s, types, n_types, errors);
                if (r < 0)
                        return r;
        }

        FOREACH_ARRAY(t, types, n_types) {
                bool found = false;

                FOREACH_ARRAY(s, f->sections, f->n_sections)
                        found = found || streq(t->kind, s->kind);
                if (found || !t->required)
                        continue;

                r =
                                conf_errors_add(errors,
                                                f->n_files > 0 ? f->files[0] : "",
                                                0,
                                                "section [%s%s] is missing",
                                                t->kind,
                                                t->naming == CONF_UNNAMED ? "" : " name");
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- Sections to structs ---- */

int conf_value_error(const ConfEntry *entry, ConfErrors *errors, const char *format, ...) {
        _cleanup_(str_buf_done) StrBuf b = {};
        va_list ap;
        int r;

        va_start(ap, format);
        str_buf_vprintf(&b, format, ap);
        va_end(ap);
        r = str_buf_result(&b);
        if (r < 0)
                return r;

        return conf_errors_add(
                        errors,
                        entry->file,
                        entry->line,
                        "%s=%.100s: %s",
                        entry->key,
                        entry->value,
                        str_buf_text(&b));
}

static const ConfKey *find_key(const ConfKey *keys, size_t n_keys, const char *key) {
        FOREACH_ARRAY(k, keys, n_keys)
                if (streq(k->key, key))
                        return k;

        return NULL;
}

static int
unknown_key(const ConfSection *s,
            const ConfEntry *e,
            const ConfKey *keys,
            size_t n_keys,
            ConfErrors *errors) {
        _cleanup_(str_buf_done) StrBuf hint = {};
        _cleanup_free_ const char **names = calloc(n_keys, sizeof(char *));

        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < n_keys; i++)
                names[i] = keys[i].key;

        add_suggestion(&hint, names, n_keys, e->key);
        return conf_errors_add(
                        errors,
                        e->file,
                        e->line,
                        "unknown key %s= in [%s]%s",
                        e->key,
                        s->kind,
                        str_buf_text(&hint));
}

/* The next entry of the same key, or NULL. */
static const ConfEntry *next_of_key(const ConfSection *s, const ConfEntry *e) {
        for (const ConfEntry *i = e + 1; i < s->entries + s->n_entries; i++)
                if (streq(i->key, e->key))
                        return i;

        return NULL;
}

static int
convert_entry(const ConfSection *s,
              const ConfEntry *e,
              const ConfKey *key,
              void *target,
              ConfErrors *errors) {
        if (!(key->flags & CONF_REPEATABLE)) {
                const ConfEntry *next = next_of_key(s, e);

                if (next && next->file == e->file)
                        return conf_errors_add(
                                        errors,
                                        next->file,
                                        next->line,
                                        "%s= was given already in line %u; it can be given once",
                                        e->key,
                                        e->line);
                if (next || isempty(e->value))
                        return 0;
        }

        return key->convert(key, e, (char *) target + key->offset, errors);
}

int conf_section_convert(
                const ConfSection *s, const ConfKey *keys, size_t n_keys, void *target, ConfErrors *errors) {
        int r;

        FOREACH_ARRAY(e, s->entries, s->n_entries) {
                const ConfKey *key = find_key(keys, n_keys, e->key);

                if (key)
                        r = convert_entry(s, e, key, target, errors);
                else
                        r = unknown_key(s, e, keys, n_keys, errors);
                if (r < 0)
                        return r;
        }

        FOREACH_ARRAY(key, keys, n_keys) {
                const ConfEntry *last = conf_section_find(s, key->key);

                if (!(key->flags & CONF_REQUIRED) || (last && !isempty(last->value)))
                        continue;

                r =
                                conf_errors_add(errors,
                                                s->file,
                                                s->line,
                                                "[%s%s%s] needs %s=",
                                                s->kind,
                                                s->name ? " " : "",
                                                strempty(s->name),
                                                key->key);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- Lists ---- */

void conf_list_done(ConfList *l) {
        for (size_t i = 0; i < l->n_items; i++)
                free(l->items[i]);
        free(l->items);
        *l = (ConfList){};
}

int conf_list_add(ConfList *l, const char *text, size_t length) {
        _cleanup_free_ char *copy = strndup(text, length);
        char **items;

        items = reallocarray(l->items, l->n_items + 1, sizeof(char *));
        if (items)
                l->items = items;
        if (!items || !copy)
                return -ENOMEM;

        l->items[l->n_items++] = TAKE_PTR(copy);
        return 0;
}

/* ---- Converters ---- */

int conf_convert_bool(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        if (parse_bool(entry->value, field) < 0)
                return conf_value_error(entry, errors, "say yes or no");
        return 0;
}

static int
convert_number(const ConfKey *key,
               const ConfEntry *entry,
               uint64_t type_max,
               uint64_t *ret,
               bool *ret_ok,
               ConfErrors *errors) {
        const ConfRange *range = key->limits;
        uint64_t min = range ? range->min : 0, max = range ? range->max : type_max;

        *ret_ok = parse_u64(entry->value, min, max, ret) >= 0;
        if (*ret_ok)
                return 0;
        return conf_value_error(
                        entry,
                        errors,
                        "must be a whole number from %llu to %llu",
                        (unsigned long long) min,
                        (unsigned long long) max);
}

int conf_convert_u32(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        uint64_t v = 0;
        bool ok;
        int r;

        r = convert_number(key, entry, UINT32_MAX, &v, &ok, errors);
        if (ok)
                *(uint32_t *) field = (uint32_t) v;
        return r;
}

int conf_convert_u64(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        bool ok;

        return convert_number(key, entry, UINT64_MAX, field, &ok, errors);
}

int conf_convert_duration(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        const ConfRange *range = key->limits;
        char min[DURATION_TEXT_MAX], max[DURATION_TEXT_MAX];
        uint64_t v;

        if (parse_duration(entry->value, &v) < 0) {
                if (range)
                        return conf_value_error(
                                        entry,
                                        errors,
                                        "must be a duration from %s to %s, such as 400ms, 5s or 10min",
                                        format_duration(range->min, min),
                                        format_duration(range->max, max));
                return conf_value_error(entry, errors, "must be a duration, such as 400ms, 5s or 10min");
        }
        if (range && (v < range->min || v > range->max))
                return conf_value_error(
                                entry,
                                errors,
                                "must be a duration from %s to %s",
                                format_duration(range->min, min),
                                format_duration(range->max, max));

        *(uint64_t *) field = v;
        return 0;
}

static int set_string(void *field, const char *value) {
        char *copy = strdup(value);

        if (!copy)
                return -ENOMEM;
        free(*(char **) field);
        *(char **) field = copy;
        return 0;
}

int conf_convert_string(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        return set_string(field, entry->value);
}

int conf_convert_name(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        if (!name_is_valid(entry->value))
                return conf_value_error(
                                entry,
                                errors,
                                "is no name; names are 1 to %u of a-z 0-9 _",
                                NAME_LENGTH_MAX);
        return set_string(field, entry->value);
}

/* Absolute, no empty, "." or ".." part, no slash at the end. */
static bool path_is_clean(const char *p) {
        if (*p != '/')
                return false;
        if (p[1] == '\0')
                return true;

        while (*p == '/') {
                size_t n = strcspn(++p, "/");

                if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
                        return false;
                p += n;
        }
        return true;
}

int conf_convert_path(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        if (!path_is_clean(entry->value))
                return conf_value_error(
                                entry,
                                errors,
                                "must be a path from / on, without \".\", \"..\", \"//\" or a slash at the "
                                "end");
        return set_string(field, entry->value);
}

int conf_convert_choice(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        const ConfChoice *choice = key->limits;
        _cleanup_(str_buf_done) StrBuf texts = {};
        const char *nearest;
        int i;

        i = string_table_lookup(choice->texts, choice->n_texts, entry->value);
        if (i >= 0) {
                *(int *) field = i;
                return 0;
        }

        for (size_t k = 0; k < choice->n_texts; k++)
                if (choice->texts[k])
                        str_buf_printf(&texts, "%s%s", texts.length > 0 ? ", " : "", choice->texts[k]);
        nearest = string_table_nearest(choice->texts, choice->n_texts, entry->value);

        return conf_value_error(
                        entry,
                        errors,
                        "must be one of %s%s%s%s",
                        str_buf_text(&texts),
                        nearest ? "; did you mean \"" : "",
                        strempty(nearest),
                        nearest ? "\"?" : "");
}

int conf_convert_words(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        const char *p = entry->value, *word;
        ConfList *l = field;
        size_t n;

        if (!(key->flags & CONF_REPEATABLE) || isempty(entry->value))
                conf_list_done(l);

        while ((n = next_word(&p, &word)) > 0) {
                int r = conf_list_add(l, word, n);

                if (r < 0)
                        return r;
        }
        return 0;
}

int conf_convert_lines(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        ConfList *l = field;

        if (isempty(entry->value)) {
                conf_list_done(l);
                return 0;
        }
        return conf_list_add(l, entry->value, strlen(entry->value));
}
