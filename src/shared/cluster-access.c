/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fnmatch.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#include "basic/checksum.h"
#include "basic/str-buf.h"
#include "shared/cluster-access.h"

#define ACCOUNT_NAME_MAX 64U
#define WILDCARDS "*?"

/* Above the accounts of this node, in a text that one process gives to another. */
#define ACCOUNTS_HEADER "# Accounts of this node:\n"

typedef struct RawAccess {
        ConfList join, critical;
} RawAccess;

static const ConfKey access_keys[] = {
        { "Join", conf_convert_words, offsetof(RawAccess, join), 0, NULL },
        { "Critical", conf_convert_words, offsetof(RawAccess, critical), 0, NULL },
};

static void raw_access_done(RawAccess *raw) {
        conf_list_done(&raw->join);
        conf_list_done(&raw->critical);
}

/* ---- From the file ---- */

static bool account_name_is_valid(const char *name) {
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-$";
        size_t n = strspn(name, letters);

        return n > 0 && n <= ACCOUNT_NAME_MAX && name[n] == '\0' && name[0] != '-';
}

/* Numbers have an answer here and now; (uint32_t) -1 is nobody's. */
static int load_principal(const ConfEntry *e, const char *word, ClusterPrincipal *ret, ConfErrors *errors) {
        const char *name = word + (word[0] == '@');
        bool number = *name && strspn(name, "0123456789") == strlen(name);
        ClusterPrincipal p = { .group = word[0] == '@', .everybody = streq(word, "*") };

        if (p.everybody && streq(e->key, "Critical"))
                return conf_value_error(
                                e,
                                errors,
                                "\"*\" would let anybody reset the node by ending a process; name users or "
                                "@groups");
        if (!p.everybody && !number && !account_name_is_valid(name))
                return conf_value_error(
                                e,
                                errors,
                                "\"%s\" is neither a user nor a group; write user, @group, a number or "
                                "@number%s",
                                word,
                                streq(e->key, "Join") ? ", or * for everybody" : "");
        if (number && parse_u32(name, 0, UINT32_MAX - 1, &p.id) < 0)
                return conf_value_error(e, errors, "%s is too large for the number of an account", name);
        p.known = p.everybody || number;
        p.text = strdup(word);
        if (!p.text)
                return -ENOMEM;
        *ret = p;
        return 0;
}

static int
load_principals(const ConfSection *s,
                const char *key,
                const ConfList *words,
                ClusterPrincipals *ret,
                ConfErrors *errors) {
        const ConfEntry *e = conf_section_find(s, key);

        ret->given = words->n_items > 0;
        if (!e || !ret->given)
                return 0;
        if (words->n_items > CLUSTER_PRINCIPALS_MAX)
                return conf_value_error(
                                e,
                                errors,
                                "more than %u users and groups; put them into one @group",
                                CLUSTER_PRINCIPALS_MAX);
        ret->items = calloc(words->n_items, sizeof(*ret->items));
        if (!ret->items)
                return -ENOMEM;
        for (size_t i = 0; i < words->n_items; i++) {
                int r = load_principal(e, words->items[i], &ret->items[ret->n_items], errors);

                if (r < 0)
                        return r;
                ret->n_items += !!ret->items[ret->n_items].text;
        }
        return 0;
}

/* No section of its own can open what is root's alone; a wider one leaves it out. */
static int check_pattern(const ConfSection *s, ConfErrors *errors) {
        if (!startswith(s->name, CLUSTER_ROOT_GROUPS))
                return 0;
        return conf_errors_add(
                        errors,
                        s->file,
                        s->line,
                        "groups named " CLUSTER_ROOT_GROUPS
                        "... are for root, and no [Access] section changes "
                        "that; take it out");
}

static int load_section(const ConfSection *s, ClusterAccess *a, ConfErrors *errors) {
        _cleanup_(raw_access_done) RawAccess raw = { 0 };
        int r;

        (void) snprintf(a->pattern, sizeof(a->pattern), "%s", strempty(s->name));
        a->line = s->line;
        r = conf_section_convert(s, access_keys, ELEMENTSOF(access_keys), &raw, errors);
        if (r >= 0 && s->name)
                r = check_pattern(s, errors);
        if (r >= 0)
                r = load_principals(s, "Join", &raw.join, &a->join, errors);
        if (r >= 0)
                r = load_principals(s, "Critical", &raw.critical, &a->critical, errors);
        return r;
}

int cluster_access_load(const ConfFile *f, ClusterConf *c, ConfErrors *errors) {
        size_t n = 0;

        FOREACH_ARRAY(s, f->sections, f->n_sections)
                n += streq(s->kind, "Access");
        c->accesses = calloc(MIN(n, CLUSTER_ACCESSES_MAX) + 1, sizeof(ClusterAccess));
        if (!c->accesses)
                return -ENOMEM;
        FOREACH_ARRAY(s, f->sections, f->n_sections) {
                int r;

                if (!streq(s->kind, "Access"))
                        continue;
                if (c->n_accesses >= CLUSTER_ACCESSES_MAX)
                        return conf_errors_add(
                                        errors,
                                        s->file,
                                        s->line,
                                        "more than %u [Access] sections; use patterns such as [Access "
                                        "web_*]",
                                        CLUSTER_ACCESSES_MAX);
                r = load_section(s, &c->accesses[c->n_accesses++], errors);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void principals_done(ClusterPrincipals *p) {
        FOREACH_ARRAY(i, p->items, p->n_items)
                free(i->text);
        free(p->items);
}

void cluster_access_done(ClusterConf *c) {
        FOREACH_ARRAY(a, c->accesses, c->n_accesses) {
                principals_done(&a->join);
                principals_done(&a->critical);
        }
        free(c->accesses);
}

/* ---- To text and to a number ---- */

static void write_principals(StrBuf *b, const char *key, const ClusterPrincipals *p) {
        if (!p->given)
                return;
        str_buf_printf(b, "%s=", key);
        for (size_t i = 0; i < p->n_items; i++)
                str_buf_printf(b, "%s%s", i > 0 ? " " : "", p->items[i].text);
        str_buf_add_char(b, '\n');
}

void cluster_access_write(StrBuf *b, const ClusterConf *c) {
        FOREACH_ARRAY(a, c->accesses, c->n_accesses) {
                str_buf_printf(b, "\n[Access %s]\n", a->pattern);
                write_principals(b, "Join", &a->join);
                write_principals(b, "Critical", &a->critical);
        }
}

static void hash_principals(Hash64 *h, const ClusterPrincipals *p) {
        hash64_u64(h, p->n_items);
        FOREACH_ARRAY(i, p->items, p->n_items)
                hash64_string(h, i->text);
}

uint64_t cluster_access_hash(const ClusterConf *c) {
        Hash64 h;

        hash64_init(&h);
        hash64_u64(&h, c->n_accesses);
        FOREACH_ARRAY(a, c->accesses, c->n_accesses) {
                hash64_string(&h, a->pattern);
                hash_principals(&h, &a->join);
                hash_principals(&h, &a->critical);
        }
        return hash64_result(&h);
}

/* ---- Which one counts ---- */

/* How closely the pattern says which group is meant; 0: not this one. */
static size_t closeness(const char *pattern, const char *group) {
        size_t n = 1;

        if (streq(pattern, group))
                return SIZE_MAX;
        if (fnmatch(pattern, group, FNM_NOESCAPE) != 0)
                return 0;
        for (const char *p = pattern; *p; p++)
                n += !strchr(WILDCARDS, *p);
        return n;
}

const ClusterAccess *cluster_access_find(const ClusterConf *c, const char *group) {
        const ClusterAccess *best = NULL;
        size_t best_closeness = 0;

        FOREACH_ARRAY(a, c->accesses, c->n_accesses) {
                size_t n = closeness(a->pattern, group);

                if (n > best_closeness) {
                        best = a;
                        best_closeness = n;
                }
        }
        return best;
}

/* ---- Names ---- */

/* All words of all sections by number; NULL behind the last. */
static ClusterPrincipal *principal_at(const ClusterConf *c, size_t i, const ClusterAccess **ret_section) {
        FOREACH_ARRAY(a, c->accesses, c->n_accesses) {
                if (ret_section)
                        *ret_section = a;
                if (i < a->join.n_items)
                        return &a->join.items[i];
                i -= a->join.n_items;
                if (i < a->critical.n_items)
                        return &a->critical.items[i];
                i -= a->critical.n_items;
        }
        return NULL;
}

static bool is_name(const ClusterPrincipal *p) {
        const char *name = p->text + p->group;

        return !p->everybody && strspn(name, "0123456789") != strlen(name);
}

/* The first of a name in the file is the one, as everywhere. */
static void account_seen(ClusterConf *c, bool group, const char *name, uint32_t id) {
        ClusterPrincipal *p;

        for (size_t i = 0; (p = principal_at(c, i, NULL)); i++)
                if (!p->known && p->group == group && streq(p->text + group, name)) {
                        p->known = true;
                        p->id = id;
                }
}

static void forget_accounts(ClusterConf *c) {
        ClusterPrincipal *p;

        for (size_t i = 0; (p = principal_at(c, i, NULL)); i++)
                if (is_name(p))
                        p->known = false;
}

/* Room for a line: those of groups are as long as groups are large. */
#define LINE_BYTES_MAX (1024U * 1024U)

static void read_passwd(ClusterConf *c, FILE *f, char *buf) {
        struct passwd entry, *found;

        while (fgetpwent_r(f, &entry, buf, LINE_BYTES_MAX, &found) == 0)
                account_seen(c, false, found->pw_name, found->pw_uid);
}

static void read_group(ClusterConf *c, FILE *f, char *buf) {
        struct group entry, *found;

        while (fgetgrent_r(f, &entry, buf, LINE_BYTES_MAX, &found) == 0)
                account_seen(c, true, found->gr_name, found->gr_gid);
}

static void
read_accounts(ClusterConf *c, const char *path, void (*read_file)(ClusterConf *c, FILE *f, char *buf)) {
        _cleanup_free_ char *buf = malloc(LINE_BYTES_MAX);
        FILE *f = fopen(path, "re");

        if (f && buf)
                read_file(c, f, buf);
        if (f)
                (void) fclose(f);
}

void cluster_access_resolve(ClusterConf *c, const char *passwd_path, const char *group_path) {
        forget_accounts(c);
        if (c->n_accesses == 0)
                return;
        read_accounts(c, passwd_path ? passwd_path : "/etc/passwd", read_passwd);
        read_accounts(c, group_path ? group_path : "/etc/group", read_group);
}

char *cluster_access_accounts_to_text(const ClusterConf *c) {
        _cleanup_(str_buf_done) StrBuf b = { 0 };
        const ClusterPrincipal *p;

        str_buf_add(&b, "\n" ACCOUNTS_HEADER);
        for (size_t i = 0; (p = principal_at(c, i, NULL)); i++)
                if (p->known && is_name(p))
                        str_buf_printf(&b, "# %s=%u\n", p->text, p->id);
        return str_buf_take(&b);
}

void cluster_access_accounts_from_text(ClusterConf *c, const char *text) {
        const char *header, *accounts = NULL;
        char word[ACCOUNT_NAME_MAX + 2];
        uint32_t id;

        forget_accounts(c);
        /* The file may have such a comment of its own; what counts was put behind it. */
        for (header = text; (header = strstr(header, ACCOUNTS_HEADER)); accounts = header)
                header += strlen(ACCOUNTS_HEADER);
        for (; accounts && sscanf(accounts, "# %65[^= \n]=%u", word, &id) == 2;
             accounts = strchr(accounts, '\n'), accounts += !!accounts)
                account_seen(c, word[0] == '@', word + (word[0] == '@'), id);
}

const ClusterPrincipal *
cluster_access_next_unknown(const ClusterConf *c, size_t *i, const ClusterAccess **ret_section) {
        const ClusterPrincipal *p;

        while ((p = principal_at(c, (*i)++, ret_section)))
                if (!p->known)
                        return p;
        return NULL;
}
