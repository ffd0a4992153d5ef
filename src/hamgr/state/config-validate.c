/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What must hold across sections and files, and what may change under a group that runs. */

#include "basic/string-table.h"
#include "hamgr/state/config-internal.h"

int ha_group_compare(const void *a, const void *b) {
        return strcmp(((const HaGroup *) a)->name, ((const HaGroup *) b)->name);
}

int ha_group_validate(
                const HaConfig *c, const ConfFile *f, HaGroup *g, const char *policy, ConfErrors *errors) {
        const ConfSection *s = conf_file_find(f, "Group", NULL);
        const ConfEntry *entry = s ? conf_section_find(s, "Policy") : NULL;
        int r = 0;

        g->policy = ha_config_find_policy(c, policy);
        if (!g->policy) {
                g_autofree const char **names = g_new0(const char *, c->n_policies);
                const char *nearest;

                for (size_t i = 0; i < c->n_policies; i++)
                        names[i] = c->policies[i].name;
                nearest = string_table_nearest(names, c->n_policies, policy);
                r =
                                conf_errors_add(errors,
                                                entry ? entry->file : f->files[0],
                                                entry ? entry->line : 0,
                                                "Policy=%s: there is no such policy (no %s.policy)%s%s%s",
                                                policy,
                                                policy,
                                                nearest ? "; is \"" : "",
                                                nearest ?: "",
                                                nearest ? "\" meant?" : "");
        }
        if (r >= 0 && s && g->n_resources == 0)
                r = conf_errors_add(
                                errors,
                                s->file,
                                s->line,
                                "the group has nothing to run: at least one [Unit ...], [Mount ...] or "
                                "[Address ...] is meant");
        return r;
}

typedef enum Claim {
        CLAIM_DEVICE,
        CLAIM_MOUNT_POINT,
        CLAIM_ADDRESS,
        CLAIM_UNIT,
        _CLAIM_MAX,
} Claim;

static const char *const claim_words[_CLAIM_MAX] = {
        [CLAIM_DEVICE] = "device",
        [CLAIM_MOUNT_POINT] = "mount point",
        [CLAIM_ADDRESS] = "address",
        [CLAIM_UNIT] = "unit",
};

/* What the resource takes for itself, of that kind; "" when nothing. */
static const char *resource_claim(const HaResource *r, Claim claim) {
        switch (claim) {
        case CLAIM_DEVICE:
                return r->mount.what;
        case CLAIM_MOUNT_POINT:
                return r->mount.where;
        case CLAIM_ADDRESS:
                return r->address.address;
        default:
                return r->unit.unit;
        }
}

static int
check_pair(const HaGroup *ga,
           const HaResource *a,
           const HaGroup *gb,
           const HaResource *b,
           ConfErrors *errors) {
        if (a->type != b->type)
                return 0;
        for (Claim claim = 0; claim < _CLAIM_MAX; claim++) {
                const char *x = resource_claim(a, claim), *y = resource_claim(b, claim);
                const char *colon = strrchr(b->where_text, ':');
                g_autofree char *file = g_strndup(b->where_text, (gsize) (colon - b->where_text));
                unsigned line = (unsigned) g_ascii_strtoull(colon + 1, NULL, 10);
                int r;

                if (x[0] == '\0' || !streq(x, y))
                        continue;
                r =
                                conf_errors_add(errors,
                                                file,
                                                line,
                                                "[%s %s] of group \"%s\" has the %s %s, which [%s %s] of "
                                                "group \"%s\" has too (%s); "
                                                "one of them only can have it",
                                                ha_resource_kind(b->type),
                                                b->name,
                                                gb->name,
                                                claim_words[claim],
                                                y,
                                                ha_resource_kind(a->type),
                                                a->name,
                                                ga->name,
                                                a->where_text);
                if (r < 0)
                        return r;
        }
        return 0;
}

typedef struct ClaimEntry {
        const HaGroup *group;
        const HaResource *resource;
        const char *key;
        Claim claim;
        size_t position;
} ClaimEntry;

static int compare_claims(gconstpointer a, gconstpointer b) {
        const ClaimEntry *x = a, *y = b;
        int c = x->claim != y->claim ? CMP(x->claim, y->claim) : strcmp(x->key, y->key);

        return c != 0 ? c : CMP(x->position, y->position);
}

int ha_config_validate(const HaConfig *c, ConfErrors *errors) {
        g_autoptr(GArray) claims = g_array_new(false, false, sizeof(ClaimEntry));
        size_t position = 0;

        FOREACH_ARRAY(g, c->groups, c->n_groups)
                FOREACH_ARRAY(r, g->resources, g->n_resources)
                        for (Claim claim = 0; claim < _CLAIM_MAX; claim++) {
                                ClaimEntry e = { g, r, resource_claim(r, claim), claim, position++ };

                                if (e.key[0] != '\0')
                                        g_array_append_val(claims, e);
                        }
        g_array_sort(claims, compare_claims);
        for (guint i = 1; i < claims->len; i++) {
                const ClaimEntry *a = &g_array_index(claims, ClaimEntry, i - 1);
                const ClaimEntry *b = &g_array_index(claims, ClaimEntry, i);
                int r;

                if (a->claim != b->claim || !streq(a->key, b->key))
                        continue;
                r = check_pair(a->group, a->resource, b->group, b->resource, errors);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Does the new resource stand for the same running thing, so that what was started by the old one is stopped
 * by it? */
static bool resource_is_same(const HaResource *a, const HaResource *b) {
        return a->type == b->type && streq(a->mount.what, b->mount.what) &&
               streq(a->mount.where, b->mount.where) && streq(a->address.address, b->address.address) &&
               a->address.prefix == b->address.prefix && streq(a->address.interface, b->address.interface) &&
               streq(a->unit.unit, b->unit.unit);
}

size_t ha_group_resources_removed(const HaGroup *old, const HaGroup *new_or_null, GPtrArray *lines) {
        size_t n = 0;

        FOREACH_ARRAY(r, old->resources, old->n_resources) {
                const HaResource *now = new_or_null ? ha_group_find_resource(new_or_null, r->name) : NULL;

                if (now && resource_is_same(r, now))
                        continue;
                n++;
                g_ptr_array_add(lines,
                                g_strdup_printf("group \"%s\": [%s %s] is %s",
                                                old->name,
                                                ha_resource_kind(r->type),
                                                r->name,
                                                now ? "changed" : "removed"));
        }
        return n;
}
