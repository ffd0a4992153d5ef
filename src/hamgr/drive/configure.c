/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Taking over a configuration: which groups there are, and the guards of all of them. The list for the
 * generator is written, and known to systemd, before anything of a new group can be started. */

#include <errno.h>

#include "basic/str-buf.h"
#include "basic/time-util.h"
#include "hamgr/drive/guard-list.h"
#include "hamgr/drive/internal.h"
#include "shared/event-util.h"
#include "shared/file-util.h"
#include "shared/log.h"

/* systemd answers when it has read everything anew. */
#define RELOAD_TIMEOUT_USEC (90 * USEC_PER_SEC)
#define RELOAD_RETRY_USEC (2 * USEC_PER_SEC)

void ha_resource_copy(HaResource *to, const HaResource *from) {
        *to = *from;
        to->where_text = g_strdup(from->where_text);
        to->mount.what = g_strdup(from->mount.what);
        to->mount.where = g_strdup(from->mount.where);
        to->mount.type = g_strdup(from->mount.type);
        to->mount.options = g_strdup(from->mount.options);
        to->address.address = g_strdup(from->address.address);
        to->address.interface = g_strdup(from->address.interface);
        to->unit.unit = g_strdup(from->unit.unit);
}

void ha_resource_done(HaResource *r) {
        g_free(r->where_text);
        g_free(r->mount.what);
        g_free(r->mount.where);
        g_free(r->mount.type);
        g_free(r->mount.options);
        g_free(r->address.address);
        g_free(r->address.interface);
        g_free(r->unit.unit);
        *r = (HaResource){};
}

static bool resource_equal(const HaResource *a, const HaResource *b) {
        return a->type == b->type && streq(a->name, b->name) && streq_ptr(a->mount.what, b->mount.what) &&
               streq_ptr(a->mount.where, b->mount.where) && streq_ptr(a->mount.type, b->mount.type) &&
               streq_ptr(a->mount.options, b->mount.options) && a->mount.fsck == b->mount.fsck &&
               streq_ptr(a->address.address, b->address.address) && a->address.prefix == b->address.prefix &&
               streq_ptr(a->address.interface, b->address.interface) &&
               streq_ptr(a->unit.unit, b->unit.unit) && a->unit.watchdog_usec == b->unit.watchdog_usec &&
               a->start_usec == b->start_usec && a->stop_usec == b->stop_usec;
}

/* ---- The guard list ---- */

static void write_guard(StrBuf *text, const char *group, const Resource *const *resources, size_t index) {
        const HaResource *config = &resources[index]->config;
        Guard g = {};

        (void) g_strlcpy(g.group, group, sizeof(g.group));
        if (config->type == HA_RESOURCE_MOUNT) {
                g.kind = GUARD_MOUNT;
                g.name = config->mount.where;
        } else {
                g.kind = GUARD_UNIT;
                g.name = config->unit.unit;
                g.watchdog_usec = config->unit.watchdog_usec;
                for (size_t i = 0; i < index; i++) {
                        const HaResource *earlier = &resources[i]->config;

                        if (earlier->type == HA_RESOURCE_MOUNT)
                                g.mounts[g.n_mounts++] = earlier->mount.where;
                        else if (earlier->type == HA_RESOURCE_UNIT)
                                g.after[g.n_after++] = earlier->unit.unit;
                }
        }
        guard_write(&g, text); /* which only borrows */
}

static void write_guards(StrBuf *text, const Group *g) {
        for (size_t i = 0; i < g->n_resources; i++)
                if (g->resources[i]->config.type != HA_RESOURCE_ADDRESS)
                        write_guard(text, g->name, (const Resource *const *) g->resources, i);
}

/* Of a group that changes when it is stopped, the guards of both are wanted. */
static char *guard_list_text(const Drive *d) {
        _cleanup_(str_buf_done) StrBuf text = {};

        str_buf_add(&text,
                    "# Written by hamgr(8) for hamgr-generator at each `hactl apply`. Changes are lost.\n");
        for (guint i = 0; i < d->groups->len; i++) {
                const Group *g = d->groups->pdata[i];

                write_guards(&text, g);
                if (g->next)
                        write_guards(&text, g->next);
        }
        return str_buf_take(&text);
}

static bool drop_in_exists(const char *line) {
        _cleanup_(guard_done) Guard g = {};
        _cleanup_free_ char *unit = NULL;
        g_autofree char *path = NULL;

        if (guard_read(line, &g) <= 0)
                return true;
        unit = guard_unit_name(&g);
        path = g_strdup_printf("%s/%s.d/%s", DRIVE_GENERATOR_FOLDER, strempty(unit), GUARD_DROP_IN);
        return access(path, F_OK) >= 0;
}

/* The line of the first guard that the generator did not write, for g_free(); NULL: all stand. */
static char *missing_guard(const Drive *d) {
        _cleanup_free_ char *text = guard_list_text(d);
        g_auto(GStrv) lines = g_strsplit(strempty(text), "\n", 0);

        for (char **line = lines; *line; line++)
                if (!drop_in_exists(*line))
                        return g_strdup(*line);
        return NULL;
}

/* 1: the file was written anew; 0: it was so already. */
static int store_guard_list(const Drive *d) {
        _cleanup_free_ char *text = guard_list_text(d), *old = NULL;
        g_autofree char *folder = g_path_get_dirname(d->guard_list);
        size_t old_size;
        int r;

        if (!text)
                return -ENOMEM;
        if (read_whole_file(d->guard_list, GUARD_LIST_BYTES_MAX, &old, &old_size) >= 0 && streq(old, text))
                return 0;
        r = make_folders(folder, 0755);
        if (r < 0)
                return r;
        r = write_file_atomic(d->guard_list, text, strlen(text), 0644, 0);
        return r < 0 ? r : 1;
}

/* ---- systemd reads it ---- */

static void tell_guarded(Drive *d) {
        g_autofree char *missing = missing_guard(d), *text = NULL;

        d->guarded = !missing;
        if (!missing) {
                drive_tell(d, DRIVE_EVENT_GUARDED, "the guards of all groups stand");
                return;
        }
        text =
                        g_strdup_printf("systemd has no guard for \"%s\": is hamgr-generator installed in "
                                        "/usr/lib/systemd/system-generators?",
                                        missing);
        drive_tell(d, DRIVE_EVENT_GUARD_FAILED, text);
}

static void on_reloaded(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Drive *d = userdata;

        if (d->reload_needed) { /* changed again meanwhile */
                drive_reload_if_needed(d);
                return;
        }
        if (error) {
                g_autofree char *text = g_strdup_printf(
                                "systemd did not reload, asking again: %s", strna(error->message));

                drive_tell(d, DRIVE_EVENT_GUARD_FAILED, text);
                (void) event_timer_in(d->reread, RELOAD_RETRY_USEC);
                return;
        }
        d->reloading = false;
        tell_guarded(d);
}

bool drive_is_guarded(const Drive *d) {
        return d->guarded;
}

/* It does no harm twice. */
void drive_reload_again(Drive *d) {
        if (d->reloading && !d->reload_call)
                d->reload_needed = true;
        drive_reload_if_needed(d);
}

void drive_reload_if_needed(Drive *d) {
        if (!d->reload_needed || d->reload_call || !link_is_up(d->link))
                return;
        if (link_call(d->link, &d->reload_call, on_reloaded, d, RELOAD_TIMEOUT_USEC, "Reload", "") >= 0) {
                d->reload_needed = false;
                d->reloading = true;
        }
}

static int guard(Drive *d) {
        g_autofree char *missing = NULL;
        int r;

        d->guarded = false;
        r = store_guard_list(d);
        if (r < 0)
                return r;
        missing = missing_guard(d);
        if (r > 0 || missing)
                d->reload_needed = true;

        if (!d->reload_needed && !d->reloading)
                tell_guarded(d);
        drive_reload_if_needed(d);
        return 0;
}

/* ---- Groups ---- */

/* Every resource of old is in new, unchanged and in the same order among themselves. */
static bool only_adds(const Group *old, const HaGroup *new) {
        size_t k = 0;

        for (size_t i = 0; i < new->n_resources &&k < old->n_resources; i++)
                k += resource_equal(&old->resources[k]->config, &new->resources[i]);
        return k == old->n_resources;
}

/* Moves the resources of old, with all that is known of them, into their places in a new group. */
static void inherit(Group *new, Group *old) {
        size_t k = 0;

        new->assignment = old->assignment;
        new->sequence.state = old->sequence.state;
        new->sequence.found = old->sequence.found;
        for (size_t i = 0; i < new->n_resources; i++) {
                new->sequence.presence[i] = SEQUENCE_DOWN;
                if (k >= old->n_resources ||
                    !resource_equal(&old->resources[k]->config, &new->resources[i]->config))
                        continue;
                if (old->sequence.doing != SEQUENCE_DOING_NOTHING && old->sequence.doing_index == k) {
                        new->sequence.doing = old->sequence.doing;
                        new->sequence.doing_index = i;
                }
                if (old->sequence.down_to == k)
                        new->sequence.down_to = i;
                new->sequence.presence[i] = old->sequence.presence[k];

                (void) resource_free(new->resources[i]);
                new->resources[i] = TAKE_PTR(old->resources[k]);
                new->resources[i]->group = new;
                new->resources[i]->index = i;
                k++;
        }
        old->n_resources = 0;
}

static void take_group(Drive *d, guint position, const HaGroup *config) {
        Group *old = d->groups->pdata[position], *new;

        old->configured = true;
        old->next = group_free(old->next);
        if (old->resources_hash == config->resources_hash && old->n_resources == config->n_resources &&
            only_adds(old, config))
                return;

        new = group_new(d, config);
        if (!new)
                return;
        if (old->sequence.state != DRIVE_GROUP_STOPPED && old->sequence.state != DRIVE_GROUP_UNREAD) {
                if (!only_adds(old, config)) {
                        log_warning("group %s changes here when it is stopped", old->name);
                        old->next = new;
                        return;
                }
                inherit(new, old);
        }
        d->groups->pdata[position] = new;
        (void) group_free(old);
}

static const HaGroup *find_config(const HaConfig *config, const char *name) {
        for (size_t i = 0; i < config->n_groups; i++)
                if (streq(config->groups[i].name, name))
                        return &config->groups[i];
        return NULL;
}

static bool is_gone(const Group *g) {
        return !g->configured && (g->sequence.state == DRIVE_GROUP_STOPPED);
}

/* What was waiting for a group to be stopped. */
static bool settle(Drive *d) {
        bool changed = false;

        for (guint i = d->groups->len; i-- > 0;) {
                Group *g = d->groups->pdata[i];

                if (is_gone(g)) {
                        (void) g_ptr_array_remove_index(d->groups, i);
                        changed = true;
                } else if (g->next && g->sequence.state == DRIVE_GROUP_STOPPED) {
                        d->groups->pdata[i] = TAKE_PTR(g->next);
                        (void) group_free(g);
                        changed = true;
                }
        }
        return changed;
}

void drive_keep_house(Drive *d) {
        int r;

        if (!settle(d))
                return;
        r = guard(d);
        if (r < 0)
                (void) log_warning_errno(
                                r, "cannot write %s, it still has the guards of before: %m", d->guard_list);
        drive_read_all(d);
}

int drive_configure(Drive *d, const HaConfig *config) {
        int r;

        for (guint i = 0; i < d->groups->len; i++) {
                Group *g = d->groups->pdata[i];
                const HaGroup *new = find_config(config, g->name);

                g->configured = new;
                if (new)
                        take_group(d, i, new);
        }
        for (size_t i = 0; i < config->n_groups; i++) {
                Group *g;

                if (drive_find_group(d, config->groups[i].name))
                        continue;
                g = group_new(d, &config->groups[i]);
                if (!g)
                        return -ENOMEM;
                g_ptr_array_add(d->groups, g);
        }
        (void) settle(d);

        r = guard(d);
        drive_read_all(d);
        return r;
}
