/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Texts to typed groups and policies. What has to be right across files is in config-validate.c. */

#include "hamgr/state/config.h"

#include <arpa/inet.h>
#include <inttypes.h>

#include "basic/checksum.h"
#include "basic/host-address.h"
#include "basic/string-table.h"
#include "basic/time-util.h"
#include "hamgr/state/config-internal.h"

static const char *const ha_placement_table[_HA_PLACEMENT_MAX] = {
        [HA_PLACEMENT_ORDERED] = "ordered",
};
DEFINE_STRING_TABLE(ha_placement, HaPlacement);

static const char *const ha_failback_table[_HA_FAILBACK_MAX] = {
        [HA_FAILBACK_AUTOMATIC] = "automatic",
        [HA_FAILBACK_CONTROLLED] = "controlled",
        [HA_FAILBACK_NEVER] = "never",
};
DEFINE_STRING_TABLE(ha_failback, HaFailback);

static const char *const ha_stop_failure_table[_HA_STOP_FAILURE_MAX] = {
        [HA_STOP_FAILURE_FENCE] = "fence",
        [HA_STOP_FAILURE_BLOCK] = "block",
};
DEFINE_STRING_TABLE(ha_stop_failure, HaStopFailure);

static const char *const ha_resource_type_table[_HA_RESOURCE_TYPE_MAX] = {
        [HA_RESOURCE_MOUNT] = "mount",
        [HA_RESOURCE_ADDRESS] = "address",
        [HA_RESOURCE_UNIT] = "unit",
};
DEFINE_STRING_TABLE(ha_resource_type, HaResourceType);

static const char *const resource_kind_table[_HA_RESOURCE_TYPE_MAX] = {
        [HA_RESOURCE_MOUNT] = "Mount",
        [HA_RESOURCE_ADDRESS] = "Address",
        [HA_RESOURCE_UNIT] = "Unit",
};

const char *ha_resource_kind(HaResourceType t) {
        assert((unsigned) t < _HA_RESOURCE_TYPE_MAX);
        return resource_kind_table[t];
}

const HaNode *ha_nodes_find(const HaNodes *nodes, uint32_t id) {
        FOREACH_ARRAY(n, nodes->nodes, nodes->n_nodes)
                if (n->id == id)
                        return n;
        return NULL;
}

const HaNode *ha_nodes_find_name(const HaNodes *nodes, const char *name) {
        const HaNode *gone = NULL;

        FOREACH_ARRAY(n, nodes->nodes, nodes->n_nodes)
                if (streq(n->name, name)) {
                        if (!n->gone)
                                return n;
                        gone = n;
                }
        return gone;
}

const char *ha_nodes_name(const HaNodes *nodes, uint32_t id, char buf[static NAME_LENGTH_MAX + 1]) {
        const HaNode *n = ha_nodes_find(nodes, id);

        /* Always into buf: callers name it once and use it often. */
        if (n)
                g_strlcpy(buf, n->name, NAME_LENGTH_MAX + 1);
        else
                g_snprintf(buf, NAME_LENGTH_MAX + 1, "node %" PRIu32, id);
        return buf;
}

/* ---- Values that only groups have ---- */

typedef struct RawGroup {
        char *description;
        char *policy;
        ConfList domain, standby;
} RawGroup;

static void raw_group_done(RawGroup *g) {
        free(g->description);
        free(g->policy);
        conf_list_done(&g->domain);
        conf_list_done(&g->standby);
}

typedef struct RawResource {
        char *what, *where, *type, *options;
        bool fsck;
        char *address, *interface;
        char *unit;
        uint64_t watchdog_usec, start_usec, stop_usec;
} RawResource;

static void raw_resource_done(RawResource *r) {
        free(r->what);
        free(r->where);
        free(r->type);
        free(r->options);
        free(r->address);
        free(r->interface);
        free(r->unit);
}

/* "/dev/..." or what mount(8) finds by itself: LABEL=, UUID=, PARTUUID=, PARTLABEL=. */
static int convert_device(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        static const char *const prefixes[] = { "LABEL=", "UUID=", "PARTUUID=", "PARTLABEL=" };

        FOREACH_ARRAY(p, prefixes, ELEMENTSOF(prefixes))
                if (startswith(entry->value, *p) && entry->value[strlen(*p)] != '\0')
                        return conf_convert_string(key, entry, field, errors);
        if (entry->value[0] != '/')
                return conf_value_error(
                                entry,
                                errors,
                                "a device is meant: an absolute path such as /dev/disk/by-label/shop, or "
                                "LABEL=, UUID=, PARTLABEL=, PARTUUID=");
        return conf_convert_path(key, entry, field, errors);
}

/* A word of a shell-like kind: file system types, interfaces. */
static int convert_token(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        size_t max = *(const size_t *) key->limits;

        if (strlen(entry->value) > max || strpbrk(entry->value, " \t/"))
                return conf_value_error(
                                entry,
                                errors,
                                "one word without \"/\" of at most %zu characters is meant",
                                max);
        return conf_convert_string(key, entry, field, errors);
}

/* systemd's own units, the bus and we ourselves: stopping one takes the server down, and not the group. */
static bool unit_is_reserved(const char *unit) {
        static const char *const names[] = { "dbus",  "dbus-broker", "emergency", "hagcd",
                                             "hamgr", "init",        "rescue",    "user" };
        static const char *const prefixes[] = { "systemd-", "hagcd-", "hamgr-" };
        size_t n = strcspn(unit, ".@");

        FOREACH_ARRAY(name, names, ELEMENTSOF(names))
                if (strlen(*name) == n && startswith(unit, *name))
                        return true;
        FOREACH_ARRAY(prefix, prefixes, ELEMENTSOF(prefixes))
                if (startswith(unit, *prefix))
                        return true;
        return false;
}

static int convert_unit(const ConfKey *key, const ConfEntry *entry, void *field, ConfErrors *errors) {
        static const char *const suffixes[] = { ".service", ".socket", ".timer", ".path" };
        const char *v = entry->value;

        if (endswith(v, ".target"))
                return conf_value_error(
                                entry,
                                errors,
                                "a target is not managed, since what it pulls in would not be: name the "
                                "services themselves");
        if (unit_is_reserved(v))
                return conf_value_error(
                                entry,
                                errors,
                                "this unit belongs to the server itself and is not managed: name a unit of "
                                "the application");

        if (strlen(v) < 256 && !strpbrk(v, "/ \t%")) {
                FOREACH_ARRAY(s, suffixes, ELEMENTSOF(suffixes))
                        if (endswith(v, *s) && v[0] != '.' && !endswith(v, "@.service"))
                                return conf_convert_string(key, entry, field, errors);
        }
        return conf_value_error(
                        entry,
                        errors,
                        "the full name of a unit is meant, such as shop.service "
                        "(.service, .socket, .timer or .path; file systems belong into [Mount])");
}

static const size_t token_max = 31, interface_max = 15;
static const ConfRange job_range = { USEC_PER_MSEC, USEC_PER_HOUR };
static const ConfRange watchdog_range = { 0, USEC_PER_HOUR };
static const ConfRange restarts_range = { 0, 1000 };
static const ConfRange window_range = { USEC_PER_SEC, 30 * USEC_PER_DAY };
static const ConfRange load_range = { 0, HA_GROUPS_MAX };
static const ConfChoice placement_choice = { ha_placement_table, _HA_PLACEMENT_MAX };
static const ConfChoice failback_choice = { ha_failback_table, _HA_FAILBACK_MAX };
static const ConfChoice stop_failure_choice = { ha_stop_failure_table, _HA_STOP_FAILURE_MAX };

static const ConfKey group_keys[] = {
        { "Description", conf_convert_string, offsetof(RawGroup, description), 0, NULL },
        { "Policy", conf_convert_name, offsetof(RawGroup, policy), 0, NULL },
        { "Domain", conf_convert_words, offsetof(RawGroup, domain), CONF_REQUIRED, NULL },
        { "Standby", conf_convert_words, offsetof(RawGroup, standby), 0, NULL },
};

#define JOB_KEYS                                                                                            \
        { "StartSec", conf_convert_duration, offsetof(RawResource, start_usec), 0, &job_range }, {          \
                "StopSec", conf_convert_duration, offsetof(RawResource, stop_usec), 0, &job_range           \
        }

static const ConfKey mount_keys[] = {
        { "What", convert_device, offsetof(RawResource, what), CONF_REQUIRED, NULL },
        { "Where", conf_convert_path, offsetof(RawResource, where), CONF_REQUIRED, NULL },
        { "Type", convert_token, offsetof(RawResource, type), 0, &token_max },
        { "Options", conf_convert_string, offsetof(RawResource, options), 0, NULL },
        { "Fsck", conf_convert_bool, offsetof(RawResource, fsck), 0, NULL },
        JOB_KEYS,
};

static const ConfKey address_keys[] = {
        { "Address", conf_convert_string, offsetof(RawResource, address), CONF_REQUIRED, NULL },
        { "Interface", convert_token, offsetof(RawResource, interface), CONF_REQUIRED, &interface_max },
        JOB_KEYS,
};

static const ConfKey unit_keys[] = {
        { "Unit", convert_unit, offsetof(RawResource, unit), CONF_REQUIRED, NULL },
        { "WatchdogSec", conf_convert_duration, offsetof(RawResource, watchdog_usec), 0, &watchdog_range },
        JOB_KEYS,
};

typedef struct RawPolicy {
        char *description;
        int placement, failback, on_stop_failure;
        uint32_t restarts, standby_load;
        uint64_t restart_window_usec;
} RawPolicy;

static const ConfKey policy_keys[] = {
        { "Description", conf_convert_string, offsetof(RawPolicy, description), 0, NULL },
        { "Placement", conf_convert_choice, offsetof(RawPolicy, placement), 0, &placement_choice },
        { "Failback", conf_convert_choice, offsetof(RawPolicy, failback), 0, &failback_choice },
        { "Restarts", conf_convert_u32, offsetof(RawPolicy, restarts), 0, &restarts_range },
        { "RestartWindowSec",
          conf_convert_duration,
          offsetof(RawPolicy, restart_window_usec),
          0,
          &window_range },
        { "StandbyLoad", conf_convert_u32, offsetof(RawPolicy, standby_load), 0, &load_range },
        { "OnStopFailure",
          conf_convert_choice,
          offsetof(RawPolicy, on_stop_failure),
          0,
          &stop_failure_choice },
};

static const RawPolicy policy_defaults = {
        .placement = HA_PLACEMENT_ORDERED,
        .failback = HA_FAILBACK_CONTROLLED, /* a node that returns causes no second outage */
        .on_stop_failure = HA_STOP_FAILURE_FENCE,
        .restarts = 3,
        .standby_load = 1,
        .restart_window_usec = 10 * USEC_PER_MINUTE,
};

static const ConfSectionType policy_sections[] = {
        { "Policy", CONF_UNNAMED, true },
};

static const ConfSectionType group_sections[] = {
        { "Group", CONF_UNNAMED, true },
        { "Mount", CONF_NAMED, false },
        { "Address", CONF_NAMED, false },
        { "Unit", CONF_NAMED, false },
};

/* ---- One file to one object ---- */

static int convert_policy(const ConfFile *f, const char *name, HaPolicy *ret, ConfErrors *errors) {
        RawPolicy raw = policy_defaults;
        const ConfSection *s = conf_file_find(f, "Policy", NULL);
        int r = 0;

        if (s)
                r = conf_section_convert(s, policy_keys, ELEMENTSOF(policy_keys), &raw, errors);
        *ret = (HaPolicy){
                .description = g_strdup(strempty(raw.description)),
                .placement = (HaPlacement) raw.placement,
                .failback = (HaFailback) raw.failback,
                .restarts = raw.restarts,
                .restart_window_usec = raw.restart_window_usec,
                .standby_load = raw.standby_load,
                .on_stop_failure = (HaStopFailure) raw.on_stop_failure,
        };
        g_strlcpy(ret->name, name, sizeof(ret->name));
        free(raw.description);
        return r;
}

static int convert_node_list(
                const HaNodes *nodes,
                const ConfEntry *entry,
                const ConfList *names,
                uint32_t *ret_ids,
                size_t *n,
                NodeSet *set,
                ConfErrors *errors) {
        for (size_t i = 0; i < names->n_items; i++) {
                const HaNode *node = ha_nodes_find_name(nodes, names->items[i]);
                int r = 0;

                if (!node)
                        r = conf_errors_add(
                                        errors,
                                        entry->file,
                                        entry->line,
                                        "%s= names \"%s\", which is no node of cluster.conf%s",
                                        entry->key,
                                        names->items[i],
                                        strchr(names->items[i], ',') ? "; blanks divide names, not commas"
                                                                     : "");
                else if (node_set_contains(*set, node->id))
                        r = conf_errors_add(
                                        errors,
                                        entry->file,
                                        entry->line,
                                        "%s= names node \"%s\", which is already given; once is enough",
                                        entry->key,
                                        names->items[i]);
                else {
                        ret_ids[(*n)++] = node->id;
                        node_set_add(set, node->id);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

static int convert_address(const ConfEntry *entry, const char *text, HaResource *res, ConfErrors *errors) {
        g_autofree char *address = NULL;
        const char *slash = strchr(text, '/');
        char canonical[INET6_ADDRSTRLEN];
        uint8_t bytes[16];
        int family;

        address = slash ? g_strndup(text, (gsize) (slash - text)) : g_strdup(text);
        family = strchr(address, ':') ? AF_INET6 : AF_INET;
        if (inet_pton(family, address, bytes) != 1)
                return conf_value_error(
                                entry, errors, "an address with its prefix is meant, such as 192.0.2.10/24");
        if (!slash || parse_u32(slash + 1, 1, family == AF_INET ? 32 : 128, &res->address.prefix) < 0)
                return conf_value_error(
                                entry,
                                errors,
                                "the length of the prefix is missing or wrong: %s/%d or the like is meant",
                                address,
                                family == AF_INET ? 24 : 64);
        if (!host_address_is_usable(family, bytes, res->address.prefix))
                return conf_value_error(
                                entry,
                                errors,
                                "no host can have this address (unspecified, loopback, multicast, or the "
                                "network's own or its broadcast address)");
        assert(inet_ntop(family, bytes, canonical, sizeof(canonical)));
        res->address.address = g_strdup(canonical);
        res->address.family = family == AF_INET ? 4 : 6;
        return 0;
}

/* Those that are mounted from something else, or from nothing; all others from a block device. */
static bool mount_needs_device(const RawResource *raw) {
        static const char *const without[] = { "9p",     "bind", "ceph",  "cifs",    "glusterfs",
                                               "lustre", "nfs",  "nfs4",  "none",    "overlay",
                                               "ramfs",  "smb3", "tmpfs", "virtiofs" };
        g_auto(GStrv) options = g_strsplit(strempty(raw->options), ",", -1);

        FOREACH_ARRAY(type, without, ELEMENTSOF(without))
                if (streq(strempty(raw->type), *type))
                        return false;
        return !startswith(strempty(raw->type), "fuse") &&
               !g_strv_contains((const char *const *) options, "bind") &&
               !g_strv_contains((const char *const *) options, "rbind");
}

static int check_device(const ConfSection *s, const RawResource *raw, ConfErrors *errors) {
        const ConfEntry *what = conf_section_find(s, "What");

        if (!what || !raw->what || raw->what[0] != '/' || startswith(raw->what, "/dev/") ||
            !mount_needs_device(raw))
                return 0;
        return conf_value_error(
                        what,
                        errors,
                        "this file system needs a block device: a path below /dev, or LABEL=, UUID=, "
                        "PARTLABEL=, PARTUUID=");
}

static int convert_resource(const ConfSection *s, HaResourceType type, HaResource *res, ConfErrors *errors) {
        RawResource raw = {
                .start_usec = 30 * USEC_PER_SEC,
                .stop_usec = 30 * USEC_PER_SEC,
        };
        const ConfEntry *address;
        int r;

        switch (type) {
        case HA_RESOURCE_MOUNT:
                r = conf_section_convert(s, mount_keys, ELEMENTSOF(mount_keys), &raw, errors);
                if (r >= 0)
                        r = check_device(s, &raw, errors);
                break;
        case HA_RESOURCE_ADDRESS:
                r = conf_section_convert(s, address_keys, ELEMENTSOF(address_keys), &raw, errors);
                break;
        default:
                r = conf_section_convert(s, unit_keys, ELEMENTSOF(unit_keys), &raw, errors);
                break;
        }

        *res = (HaResource) {
                .type = type,
                .where_text = g_strdup_printf("%s:%u", s->file, s->line),
                .mount = {
                        .what = g_strdup(strempty(raw.what)),
                        .where = g_strdup(strempty(raw.where)),
                        .type = g_strdup(strempty(raw.type)),
                        .options = g_strdup(strempty(raw.options)),
                        .fsck = raw.fsck,
                },
                .address.interface = g_strdup(strempty(raw.interface)),
                .unit = {
                        .unit = g_strdup(strempty(raw.unit)),
                        .watchdog_usec = raw.watchdog_usec,
                },
                .start_usec = raw.start_usec,
                .stop_usec = raw.stop_usec,
        };
        g_strlcpy(res->name, strempty(s->name), sizeof(res->name));

        address = conf_section_find(s, "Address");
        if (r >= 0 && raw.address && address)
                r = convert_address(address, raw.address, res, errors);
        if (!res->address.address)
                res->address.address = g_strdup("");
        raw_resource_done(&raw);
        return r;
}

static uint64_t resources_hash(const HaGroup *g) {
        Hash64 h;

        hash64_init(&h);
        FOREACH_ARRAY(r, g->resources, g->n_resources) {
                hash64_u64(&h, r->type);
                hash64_string(&h, r->name);
                hash64_string(&h, r->mount.what);
                hash64_string(&h, r->mount.where);
                hash64_string(&h, r->address.address);
                hash64_u64(&h, r->address.prefix);
                hash64_string(&h, r->address.interface);
                hash64_string(&h, r->unit.unit);
        }
        return hash64_result(&h);
}

static int convert_resources(const ConfFile *f, HaGroup *g, ConfErrors *errors) {
        g_autoptr(GArray) resources = g_array_new(false, true, sizeof(HaResource));
        int r = 0;

        for (size_t i = 0; i < f->n_sections && r >= 0; i++) {
                const ConfSection *s = f->sections + i;
                int type = string_table_lookup(resource_kind_table, _HA_RESOURCE_TYPE_MAX, s->kind);
                HaResource res;

                if (type < 0 || !s->name)
                        continue;
                if (resources->len >= HA_RESOURCES_MAX) {
                        r =
                                        conf_errors_add(errors,
                                                        s->file,
                                                        s->line,
                                                        "more than %u resources",
                                                        HA_RESOURCES_MAX);
                        break;
                }
                for (guint k = 0; k < resources->len && r >= 0; k++) {
                        const HaResource *other = &g_array_index(resources, HaResource, k);

                        if (streq(other->name, s->name))
                                r = conf_errors_add(
                                                errors,
                                                s->file,
                                                s->line,
                                                "[%s %s]: the name is taken by the resource at %s; names of "
                                                "resources are unique within a group, whatever their kind",
                                                s->kind,
                                                s->name,
                                                other->where_text);
                }
                if (r < 0)
                        break;
                r = convert_resource(s, (HaResourceType) type, &res, errors);
                g_array_append_val(resources, res);
        }
        g->n_resources = resources->len;
        g->resources = (HaResource *) (void *) g_array_free(g_steal_pointer(&resources), false);
        g->resources_hash = resources_hash(g);
        return r;
}

static int
convert_group(const HaNodes *nodes,
              const ConfFile *f,
              const char *name,
              HaGroup *ret,
              char **ret_policy,
              ConfErrors *errors) {
        _cleanup_(raw_group_done) RawGroup raw = { 0 };
        const ConfSection *s = conf_file_find(f, "Group", NULL);
        NodeSet given = NODE_SET_EMPTY;
        int r = 0;

        *ret = (HaGroup){ 0 };
        g_strlcpy(ret->name, name, sizeof(ret->name));
        if (s) {
                const ConfEntry *domain = conf_section_find(s, "Domain");
                const ConfEntry *standby = conf_section_find(s, "Standby");

                r = conf_section_convert(s, group_keys, ELEMENTSOF(group_keys), &raw, errors);
                if (r >= 0 && domain)
                        r = convert_node_list(
                                        nodes,
                                        domain,
                                        &raw.domain,
                                        ret->domain,
                                        &ret->n_domain,
                                        &given,
                                        errors);
                ret->domain_set = given;
                if (r >= 0 && standby)
                        r = convert_node_list(
                                        nodes,
                                        standby,
                                        &raw.standby,
                                        ret->standby,
                                        &ret->n_standby,
                                        &given,
                                        errors);
                ret->standby_set = node_set_minus(given, ret->domain_set);
        }
        ret->description = g_strdup(strempty(raw.description));
        *ret_policy = g_strdup(isempty(raw.policy) ? HA_POLICY_DEFAULT : raw.policy);
        return r < 0 ? r : convert_resources(f, ret, errors);
}

/* ---- File names ---- */

typedef enum FileKind {
        FILE_POLICY,
        FILE_GROUP,
        _FILE_KIND_MAX,
} FileKind;

static const char *const file_suffix[_FILE_KIND_MAX] = { ".policy", ".group" };

/* "web.group" or "web.group.d/10-test.conf" to kind and name. */
static bool file_name_split(const char *file, FileKind *ret_kind, char *ret_name, bool *ret_drop_in) {
        for (FileKind k = 0; k < _FILE_KIND_MAX; k++) {
                const char *at = strstr(file, file_suffix[k]);
                const char *rest;
                size_t n;

                if (!at)
                        continue;
                n = (size_t) (at - file);
                rest = at + strlen(file_suffix[k]);
                if (n > NAME_LENGTH_MAX)
                        continue;
                memcpy(ret_name, file, n);
                ret_name[n] = '\0';
                if (!name_is_valid(ret_name))
                        continue;
                *ret_kind = k;
                *ret_drop_in = rest[0] != '\0';
                if (!*ret_drop_in)
                        return true;
                rest = startswith(rest, ".d/");
                if (rest && !strchr(rest, '/') && endswith(rest, ".conf") && strlen(rest) > 5 &&
                    rest[0] != '.')
                        return true;
        }
        return false;
}

static int compare_files(const void *a, const void *b) {
        return strcmp(((const HaFile *) a)->name, ((const HaFile *) b)->name);
}

static HaFile *copy_files_sorted(const HaFile *files, size_t n_files) {
        HaFile *copy = g_new0(HaFile, n_files);

        for (size_t i = 0; i < n_files; i++)
                copy[i] = (HaFile){ .name = g_strdup(files[i].name), .text = g_strdup(files[i].text) };
        if (n_files > 0)
                qsort(copy, n_files, sizeof(*copy), compare_files);
        return copy;
}

/* Collects one object's file and drop-ins; drop-ins follow their file in the order of names. */
static int
parse_object(const HaConfig *c,
             size_t main_index,
             FileKind kind,
             const char *name,
             ConfFile *f,
             ConfErrors *errors) {
        int r;

        r =
                        conf_file_parse(f,
                                        c->files[main_index].name,
                                        c->files[main_index].text,
                                        strlen(c->files[main_index].text),
                                        errors);
        for (size_t i = 0; i < c->n_files && r >= 0; i++) {
                char other[NAME_LENGTH_MAX + 1];
                FileKind k;
                bool drop_in;

                if (!file_name_split(c->files[i].name, &k, other, &drop_in) || !drop_in || k != kind ||
                    !streq(other, name))
                        continue;
                r = conf_file_parse(f, c->files[i].name, c->files[i].text, strlen(c->files[i].text), errors);
        }
        return r;
}

static bool file_exists(const HaConfig *c, const char *name, const char *suffix) {
        g_autofree char *full = g_strconcat(name, suffix, NULL);

        FOREACH_ARRAY(f, c->files, c->n_files)
                if (streq(f->name, full))
                        return true;
        return false;
}

static int check_files(const HaConfig *c, ConfErrors *errors) {
        size_t size_bytes = 0;
        int r = 0;

        for (size_t i = 0; i < c->n_files && r >= 0; i++) {
                const HaFile *f = c->files + i;
                char name[NAME_LENGTH_MAX + 1];
                FileKind kind;
                bool drop_in;

                size_bytes += strlen(f->name) + strlen(f->text);
                if (strlen(f->name) >= HA_FILE_NAME_MAX || !file_name_split(f->name, &kind, name, &drop_in))
                        r = conf_errors_add(
                                        errors,
                                        f->name,
                                        0,
                                        "not the name of a configuration file: NAME.group, NAME.policy or "
                                        "NAME.group.d/ANY.conf is meant, NAME being of a-z, 0-9 and _, at "
                                        "most %u "
                                        "characters",
                                        NAME_LENGTH_MAX);
                else if (drop_in && !file_exists(c, name, file_suffix[kind]))
                        r =
                                        conf_errors_add(errors,
                                                        f->name,
                                                        0,
                                                        "a drop-in for %s%s, which does not exist",
                                                        name,
                                                        file_suffix[kind]);
                else if (i > 0 && streq(f->name, c->files[i - 1].name))
                        r = conf_errors_add(errors, f->name, 0, "given twice");
        }
        if (r >= 0 && (c->n_files > HA_FILES_MAX || size_bytes > HA_CONFIG_BYTES_MAX))
                r = conf_errors_add(
                                errors,
                                "configuration",
                                0,
                                "%zu files of together %zu bytes; at most %u and %u are possible",
                                c->n_files,
                                size_bytes,
                                HA_FILES_MAX,
                                HA_CONFIG_BYTES_MAX);
        return r;
}

static int compare_policies(const void *a, const void *b) {
        return strcmp(((const HaPolicy *) a)->name, ((const HaPolicy *) b)->name);
}

static int load_policies(HaConfig *c, ConfErrors *errors) {
        c->policies = g_new0(HaPolicy, c->n_files + 1);
        for (size_t i = 0; i < c->n_files; i++) {
                _cleanup_(conf_file_freep) ConfFile *f = NULL;
                char name[NAME_LENGTH_MAX + 1];
                FileKind kind;
                bool drop_in;
                int r;

                if (!file_name_split(c->files[i].name, &kind, name, &drop_in) || kind != FILE_POLICY ||
                    drop_in)
                        continue;
                r = conf_file_new(&f);
                if (r >= 0)
                        r = parse_object(c, i, kind, name, f, errors);
                if (r >= 0)
                        r = conf_file_check_sections(
                                        f, policy_sections, ELEMENTSOF(policy_sections), errors);
                if (r >= 0)
                        r = convert_policy(f, name, c->policies + c->n_policies++, errors);
                if (r < 0)
                        return r;
        }
        if (!ha_config_find_policy(c, HA_POLICY_DEFAULT)) {
                HaPolicy *p = c->policies + c->n_policies++;

                *p = (HaPolicy){
                        .name = HA_POLICY_DEFAULT,
                        .description = g_strdup("One node runs the group, the next ones wait"),
                        .placement = (HaPlacement) policy_defaults.placement,
                        .failback = (HaFailback) policy_defaults.failback,
                        .restarts = policy_defaults.restarts,
                        .restart_window_usec = policy_defaults.restart_window_usec,
                        .standby_load = policy_defaults.standby_load,
                        .on_stop_failure = (HaStopFailure) policy_defaults.on_stop_failure,
                };
        }
        qsort(c->policies, c->n_policies, sizeof(*c->policies), compare_policies);
        return c->n_policies > HA_POLICIES_MAX ? conf_errors_add(errors,
                                                                 "configuration",
                                                                 0,
                                                                 "more than %u policies",
                                                                 HA_POLICIES_MAX)
                                               : 0;
}

static int load_groups(HaConfig *c, const HaNodes *nodes, ConfErrors *errors) {
        c->groups = g_new0(HaGroup, c->n_files);
        for (size_t i = 0; i < c->n_files; i++) {
                _cleanup_(conf_file_freep) ConfFile *f = NULL;
                g_autofree char *policy = NULL;
                char name[NAME_LENGTH_MAX + 1];
                FileKind kind;
                bool drop_in;
                HaGroup *g;
                int r;

                if (!file_name_split(c->files[i].name, &kind, name, &drop_in) || kind != FILE_GROUP ||
                    drop_in)
                        continue;
                r = conf_file_new(&f);
                if (r >= 0)
                        r = parse_object(c, i, kind, name, f, errors);
                if (r >= 0)
                        r = conf_file_check_sections(f, group_sections, ELEMENTSOF(group_sections), errors);
                if (r < 0)
                        return r;
                g = c->groups + c->n_groups++;
                r = convert_group(nodes, f, name, g, &policy, errors);
                if (r >= 0)
                        r = ha_group_validate(c, f, g, policy, errors);
                if (r < 0)
                        return r;
        }
        /* Files are sorted, but "a.group" and "a_b.group" sort otherwise than "a" and "a_b". */
        if (c->n_groups > 0)
                qsort(c->groups, c->n_groups, sizeof(*c->groups), ha_group_compare);
        return c->n_groups > HA_GROUPS_MAX ? conf_errors_add(errors,
                                                             "configuration",
                                                             0,
                                                             "more than %u groups",
                                                             HA_GROUPS_MAX)
                                           : 0;
}

int ha_config_parse(
                const HaNodes *nodes,
                const HaFile *files,
                size_t n_files,
                HaConfig **ret,
                ConfErrors *errors) {
        _cleanup_(ha_config_freep) HaConfig *c = g_new0(HaConfig, 1);
        size_t n_before = errors->n_items;
        int r;

        c->files = copy_files_sorted(files, n_files);
        c->n_files = n_files;
        c->hash = ha_files_hash(c->files, c->n_files);

        r = check_files(c, errors);
        if (r >= 0)
                r = load_policies(c, errors);
        if (r >= 0)
                r = load_groups(c, nodes, errors);
        if (r >= 0)
                r = ha_config_validate(c, errors);
        if (r < 0)
                return r;
        if (errors->n_items > n_before || errors->n_left_out > 0)
                return -EINVAL;
        *ret = TAKE_PTR(c);
        return 0;
}

HaConfig *ha_config_new_empty(void) {
        static const HaNodes none = { 0 };
        ConfErrors errors = { 0 };
        HaConfig *c = NULL;
        int r;

        r = ha_config_parse(&none, NULL, 0, &c, &errors);
        assert(r >= 0);
        return c;
}

static void resource_done(HaResource *r) {
        g_free(r->where_text);
        g_free(r->mount.what);
        g_free(r->mount.where);
        g_free(r->mount.type);
        g_free(r->mount.options);
        g_free(r->address.address);
        g_free(r->address.interface);
        g_free(r->unit.unit);
}

HaConfig *ha_config_free(HaConfig *c) {
        if (!c)
                return NULL;
        ha_files_free(c->files, c->n_files);
        FOREACH_ARRAY(p, c->policies, c->n_policies)
                g_free(p->description);
        FOREACH_ARRAY(g, c->groups, c->n_groups) {
                g_free(g->description);
                FOREACH_ARRAY(r, g->resources, g->n_resources)
                        resource_done(r);
                g_free(g->resources);
        }
        g_free(c->policies);
        g_free(c->groups);
        g_free(c);
        return NULL;
}

const HaGroup *ha_config_find_group(const HaConfig *c, const char *name) {
        FOREACH_ARRAY(g, c->groups, c->n_groups)
                if (streq(g->name, name))
                        return g;
        return NULL;
}

const HaPolicy *ha_config_find_policy(const HaConfig *c, const char *name) {
        FOREACH_ARRAY(p, c->policies, c->n_policies)
                if (streq(p->name, name))
                        return p;
        return NULL;
}

const HaResource *ha_group_find_resource(const HaGroup *g, const char *name) {
        FOREACH_ARRAY(r, g->resources, g->n_resources)
                if (streq(r->name, name))
                        return r;
        return NULL;
}

/* The files are sorted by name: an object's drop-ins follow its file. */
static size_t object_n_files(const HaConfig *c, size_t first) {
        g_autofree char *folder = g_strconcat(c->files[first].name, ".d/", NULL);
        size_t n = 1;

        while (first + n < c->n_files && startswith(c->files[first + n].name, folder))
                n++;
        return n;
}

static bool objects_are_equal(const HaFile *a, size_t n_a, const HaFile *b, size_t n_b) {
        if (n_a != n_b)
                return false;
        for (size_t i = 0; i < n_a; i++)
                if (!streq(a[i].name, b[i].name) || !streq(a[i].text, b[i].text))
                        return false;
        return true;
}

typedef void (*ObjectHandler)(GPtrArray *found, const char *file, const char *what);

static GPtrArray *compare_objects(const HaConfig *old, const HaConfig *now, ObjectHandler handler) {
        GPtrArray *found = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0, k = 0; i < old->n_files || k < now->n_files;) {
                int c = i == old->n_files   ? 1
                        : k == now->n_files ? -1
                                            : strcmp(old->files[i].name, now->files[k].name);
                size_t n_old = c <= 0 ? object_n_files(old, i) : 0;
                size_t n_now = c >= 0 ? object_n_files(now, k) : 0;

                if (c < 0)
                        handler(found, old->files[i].name, "removed");
                else if (c > 0)
                        handler(found, now->files[k].name, "added");
                else if (!objects_are_equal(old->files + i, n_old, now->files + k, n_now))
                        handler(found, now->files[k].name, "changed");
                i += n_old;
                k += n_now;
        }
        return found;
}

static void add_line(GPtrArray *found, const char *file, const char *what) {
        const char *dot = strchr(file, '.');

        if (dot)
                g_ptr_array_add(found,
                                g_strdup_printf("%s %.*s: %s", dot + 1, (int) (dot - file), file, what));
}

static void add_if_removed(GPtrArray *found, const char *file, const char *what) {
        if (streq(what, "removed"))
                g_ptr_array_add(found, g_strdup(file));
}

GPtrArray *ha_config_changes(const HaConfig *old, const HaConfig *now) {
        return compare_objects(old, now, add_line);
}

GPtrArray *ha_config_missing(const HaConfig *old, const HaConfig *now) {
        return compare_objects(old, now, add_if_removed);
}

size_t ha_group_rank(const HaGroup *g, uint32_t node) {
        for (size_t i = 0; i < g->n_domain; i++)
                if (g->domain[i] == node)
                        return i;
        for (size_t i = 0; i < g->n_standby; i++)
                if (g->standby[i] == node)
                        return g->n_domain + i;
        return SIZE_MAX;
}
