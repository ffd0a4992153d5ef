/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Text to sections: the syntax of unit files, but nothing is ignored. What systemd warns of is an error
 * here. What the sections mean is in conf-convert.c. */

#include "basic/conf-parser.h"
#include "basic/str-buf.h"

#define BLANKS " \t"

/* ---- Errors ---- */

int conf_errors_add(ConfErrors *errors, const char *file, unsigned line, const char *format, ...) {
        _cleanup_(str_buf_done) StrBuf message = {};
        _cleanup_free_ char *name = NULL, *text = NULL;
        ConfError *items;
        va_list ap;

        if (errors->n_items >= CONF_ERRORS_MAX) {
                errors->n_left_out++;
                return 0;
        }

        va_start(ap, format);
        str_buf_vprintf(&message, format, ap);
        va_end(ap);

        text = str_buf_take(&message);
        name = strdup(file);
        items = reallocarray(errors->items, errors->n_items + 1, sizeof(ConfError));
        if (items)
                errors->items = items;
        if (!text || !name || !items)
                return -ENOMEM;

        errors->items[errors->n_items++] = (ConfError){
                .file = TAKE_PTR(name),
                .line = line,
                .message = TAKE_PTR(text),
        };
        return 0;
}

char *conf_errors_to_text(const ConfErrors *errors) {
        _cleanup_(str_buf_done) StrBuf b = {};

        FOREACH_ARRAY(e, errors->items, errors->n_items) {
                if (e->line > 0)
                        str_buf_printf(&b, "%s:%u: %s\n", e->file, e->line, e->message);
                else
                        str_buf_printf(&b, "%s: %s\n", e->file, e->message);
        }
        if (errors->n_left_out > 0)
                str_buf_printf(&b, "and %zu more\n", errors->n_left_out);

        return str_buf_take(&b);
}

void conf_errors_done(ConfErrors *errors) {
        FOREACH_ARRAY(e, errors->items, errors->n_items) {
                free(e->file);
                free(e->message);
        }
        free(errors->items);
        *errors = (ConfErrors){};
}

/* ---- The tree ---- */

int conf_file_new(ConfFile **ret) {
        ConfFile *f = calloc(1, sizeof(ConfFile));

        if (!f)
                return -ENOMEM;
        *ret = f;
        return 0;
}

ConfFile *conf_file_free(ConfFile *f) {
        if (!f)
                return NULL;

        FOREACH_ARRAY(s, f->sections, f->n_sections) {
                FOREACH_ARRAY(e, s->entries, s->n_entries) {
                        free(e->key);
                        free(e->value);
                }
                free(s->entries);
                free(s->kind);
                free(s->name);
        }
        free(f->sections);

        for (size_t i = 0; i < f->n_files; i++)
                free(f->files[i]);
        free(f->files);

        free(f);
        return NULL;
}

const ConfSection *conf_file_find(const ConfFile *f, const char *kind, const char *name) {
        FOREACH_ARRAY(s, f->sections, f->n_sections)
                if (streq(s->kind, kind) && streq_ptr(s->name, name))
                        return s;

        return NULL;
}

const ConfEntry *conf_section_find(const ConfSection *s, const char *key) {
        for (size_t i = s->n_entries; i > 0; i--)
                if (streq(s->entries[i - 1].key, key))
                        return &s->entries[i - 1];

        return NULL;
}

static int add_file(ConfFile *f, const char *file, const char **ret) {
        _cleanup_free_ char *name = strdup(file);
        char **files;

        files = reallocarray(f->files, f->n_files + 1, sizeof(char *));
        if (files)
                f->files = files;
        if (!files || !name)
                return -ENOMEM;

        *ret = name;
        f->files[f->n_files++] = TAKE_PTR(name);
        return 0;
}

static int add_section(ConfFile *f, const char *kind, const char *name, const char *file, unsigned line) {
        _cleanup_free_ char *k = strdup(kind), *n = name ? strdup(name) : NULL;
        ConfSection *sections;

        sections = reallocarray(f->sections, f->n_sections + 1, sizeof(ConfSection));
        if (sections)
                f->sections = sections;
        if (!sections || !k || (name && !n))
                return -ENOMEM;

        f->sections[f->n_sections++] = (ConfSection){
                .kind = TAKE_PTR(k),
                .name = TAKE_PTR(n),
                .file = file,
                .line = line,
        };
        return 0;
}

static int add_entry(ConfSection *s, const char *key, const char *value, const char *file, unsigned line) {
        _cleanup_free_ char *k = strdup(key), *v = strdup(value);
        ConfEntry *entries;

        entries = reallocarray(s->entries, s->n_entries + 1, sizeof(ConfEntry));
        if (entries)
                s->entries = entries;
        if (!entries || !k || !v)
                return -ENOMEM;

        s->entries[s->n_entries++] = (ConfEntry){
                .key = TAKE_PTR(k),
                .value = TAKE_PTR(v),
                .file = file,
                .line = line,
        };
        return 0;
}

/* ---- One text ---- */

typedef enum Where {
        BEFORE_SECTIONS,
        IN_SECTION,
        IN_REFUSED_SECTION, /* its header was reported; its entries are not, one at a time */
} Where;

typedef struct Parser {
        ConfFile *f;
        ConfErrors *errors;
        const char *file; /* borrowed from f */

        Where where;
        size_t section; /* index into f->sections while IN_SECTION */

        unsigned line;       /* being read, from 1 */
        unsigned first_line; /* where the logical line began */
        bool continued;
        StrBuf logical; /* the logical line so far */

        /* Line of this text's header of each section, 0 when it is only in files before: for "given
         * already". */
        unsigned header_lines[CONF_SECTIONS_MAX];
} Parser;

static void parser_free(Parser *p) {
        if (!p)
                return;
        str_buf_done(&p->logical);
        free(p);
}
DEFINE_TRIVIAL_CLEANUP(Parser *, parser_free);

/* Removes blanks at both ends, in place. */
static char *strip(char *s) {
        size_t n;

        s += strspn(s, BLANKS);
        n = strlen(s);
        while (n > 0 && strchr(BLANKS, s[n - 1]))
                n--;
        s[n] = '\0';
        return s;
}

static bool is_letter(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word(const char *s) {
        if (!is_letter(*s))
                return false;
        while (is_letter(*s) || (*s >= '0' && *s <= '9'))
                s++;
        return *s == '\0';
}

static int parse_header(Parser *p, char *line) {
        char *kind, *name, *end;
        size_t i;

        p->where = IN_REFUSED_SECTION;

        end = line + strlen(line) - 1;
        if (*end != ']')
                return conf_errors_add(
                                p->errors,
                                p->file,
                                p->first_line,
                                "\"%s\" has no closing bracket; a section begins with [Kind] or [Kind name]",
                                line);
        *end = '\0';

        kind = strip(line + 1);
        name = kind + strcspn(kind, BLANKS);
        if (*name) {
                *name++ = '\0';
                name = strip(name);
        } else
                name = NULL;

        if (!is_word(kind) || (name && strpbrk(name, BLANKS "[]")))
                return conf_errors_add(
                                p->errors,
                                p->file,
                                p->first_line,
                                "this is no section header; write [Kind] or [Kind name]");

        for (i = 0; i < p->f->n_sections; i++)
                if (streq(p->f->sections[i].kind, kind) && streq_ptr(p->f->sections[i].name, name))
                        break;

        if (i < p->f->n_sections && p->header_lines[i] > 0)
                return conf_errors_add(
                                p->errors,
                                p->file,
                                p->first_line,
                                "section [%s%s%s] was given already in line %u; put both together",
                                kind,
                                name ? " " : "",
                                strempty(name),
                                p->header_lines[i]);

        if (i == p->f->n_sections) {
                int r;

                if (i >= CONF_SECTIONS_MAX)
                        return conf_errors_add(
                                        p->errors,
                                        p->file,
                                        p->first_line,
                                        "more than %u sections",
                                        CONF_SECTIONS_MAX);

                r = add_section(p->f, kind, name, p->file, p->first_line);
                if (r < 0)
                        return r;
        }

        p->header_lines[i] = p->first_line;
        p->section = i;
        p->where = IN_SECTION;
        return 0;
}

static int parse_assignment(Parser *p, char *line) {
        char *equals = strchr(line, '='), *key, *value;

        if (p->where == IN_REFUSED_SECTION)
                return 0;

        if (!equals)
                return conf_errors_add(
                                p->errors,
                                p->file,
                                p->first_line,
                                "\"%.60s\" is neither Key=value, nor [Section], nor a comment",
                                line);

        *equals = '\0';
        key = strip(line);
        value = strip(equals + 1);

        if (!is_word(key))
                return conf_errors_add(
                                p->errors,
                                p->file,
                                p->first_line,
                                "\"%.60s\" is no key; keys are letters and digits",
                                key);
        if (p->where == BEFORE_SECTIONS)
                return conf_errors_add(
                                p->errors,
                                p->file,
                                p->first_line,
                                "%s= stands before the first [Section]",
                                key);
        if (p->f->n_entries >= CONF_ENTRIES_MAX) {
                p->where = IN_REFUSED_SECTION;
                return conf_errors_add(
                                p->errors,
                                p->file,
                                p->first_line,
                                "more than %u settings",
                                CONF_ENTRIES_MAX);
        }

        p->f->n_entries++;
        return add_entry(&p->f->sections[p->section], key, value, p->file, p->first_line);
}

static int parse_logical_line(Parser *p) {
        char *text = p->logical.text ? strip(p->logical.text) : NULL;
        int r = 0;

        if (text && *text == '[')
                r = parse_header(p, text);
        else if (text && *text)
                r = parse_assignment(p, text);

        str_buf_done(&p->logical);
        p->continued = false;
        return r;
}

/* Length of the valid UTF-8 character at s, 0 when there is none. */
static size_t utf8_length(const char *s, size_t left) {
        static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        const uint8_t *u = (const uint8_t *) s;
        size_t n = u[0] < 0x80             ? 1
                   : (u[0] & 0xe0) == 0xc0 ? 2
                   : (u[0] & 0xf0) == 0xe0 ? 3
                   : (u[0] & 0xf8) == 0xf0 ? 4
                                           : 0;
        uint32_t c;

        if (n <= 1)
                return n;
        if (n > left)
                return 0;

        c = u[0] & (0x7fU >> n);
        for (size_t i = 1; i < n; i++) {
                if ((u[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (u[i] & 0x3fU);
        }

        return c < lowest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}

/* Reports bytes that belong in no configuration. *ret_ok says whether there were none. */
static int check_bytes(Parser *p, const char *s, size_t n, bool *ret_ok) {
        *ret_ok = false;

        for (size_t i = 0; i < n;) {
                size_t k = utf8_length(s + i, n - i);
                unsigned char c = (unsigned char) s[i];

                if (k == 0)
                        return conf_errors_add(
                                        p->errors, p->file, p->line, "byte 0x%02x is not UTF-8 text", c);
                if (c == '\r')
                        return conf_errors_add(
                                        p->errors,
                                        p->file,
                                        p->line,
                                        "the line ends in a carriage return; save the file with Unix line "
                                        "ends");
                if ((c < ' ' && c != '\t') || c == 0x7f)
                        return conf_errors_add(
                                        p->errors,
                                        p->file,
                                        p->line,
                                        "control character 0x%02x in the text",
                                        c);
                i += k;
        }

        *ret_ok = true;
        return 0;
}

static int parse_physical_line(Parser *p, const char *s, size_t n) {
        size_t begin = 0, end = n;
        bool ok, more;
        int r;

        r = check_bytes(p, s, n, &ok);
        if (r < 0 || !ok)
                return r;

        while (begin < n && strchr(BLANKS, s[begin]))
                begin++;
        while (end > begin && strchr(BLANKS, s[end - 1]))
                end--;

        /* A comment, which may also stand between the lines of a continued value. */
        if (begin < end && (s[begin] == '#' || s[begin] == ';'))
                return 0;

        more = end > begin && s[end - 1] == '\\';
        if (more && end < n)
                return conf_errors_add(
                                p->errors,
                                p->file,
                                p->line,
                                "blanks after the backslash; it continues the line only as its last "
                                "character");

        if (!p->continued)
                p->first_line = p->line;
        else
                str_buf_add_char(&p->logical, ' ');
        str_buf_add_bytes(&p->logical, s + begin, end - begin - (more ? 1 : 0));
        r = str_buf_result(&p->logical);
        if (r < 0)
                return r;

        p->continued = more;
        return more ? 0 : parse_logical_line(p);
}

static bool ends_in_crlf(const char *text, size_t size_bytes) {
        const char *newline = memchr(text, '\n', size_bytes);

        return newline && newline > text && newline[-1] == '\r';
}

int conf_file_parse(ConfFile *f, const char *file, const char *text, size_t size_bytes, ConfErrors *errors) {
        _cleanup_(parser_freep) Parser *p = NULL;
        int r;

        if (size_bytes > CONF_FILE_BYTES_MAX)
                return conf_errors_add(
                                errors, file, 0, "the file is larger than %u bytes", CONF_FILE_BYTES_MAX);

        p = calloc(1, sizeof(Parser));
        if (!p)
                return -ENOMEM;
        p->f = f;
        p->errors = errors;

        r = add_file(f, file, &p->file);
        if (r < 0)
                return r;

        /* Said once, and not of each line. */
        if (ends_in_crlf(text, size_bytes))
                return conf_errors_add(
                                errors,
                                file,
                                1,
                                "the lines end in CR LF; save the file with Unix line ends (LF)");

        for (size_t begin = 0; begin < size_bytes;) {
                const char *newline = memchr(text + begin, '\n', size_bytes - begin);
                size_t n = newline ? (size_t) (newline - text) - begin : size_bytes - begin;

                p->line++;
                r = parse_physical_line(p, text + begin, n);
                if (r < 0)
                        return r;
                begin += n + 1;
        }

        if (p->continued) {
                r =
                                conf_errors_add(p->errors,
                                                p->file,
                                                p->first_line,
                                                "the file ends in the middle of a continued line");
                if (r < 0)
                        return r;
        }
        return 0;
}
