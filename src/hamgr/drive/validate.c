/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Could this configuration work on this node, and would anything else here start or hold a part of it? What
 * the node itself knows is looked at when asked; the units are asked of systemd, all at once. */

#include <errno.h>
#include <mntent.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "hamgr/drive/internal.h"
#include "hamgr/drive/proof.h"
#include "shared/bus-util.h"
#include "shared/event-util.h"

#define FSTAB_PATH "/etc/fstab"

typedef struct UnitCheck {
        DriveValidation *validation; /* weak */
        char *place;                 /* owned */
        char *unit;                  /* owned */
        bool wanted;                 /* the node is in the domain */
        LinkCall *call;

        /* What is collected of the unit's properties; owned. */
        char *path, *id, *load_state, *file_state, *type;
        bool remain_after_exit;
        bool triggered;
} UnitCheck;

struct DriveValidation {
        Drive *drive; /* weak */
        DriveValidateHandler handler;
        void *userdata;
        GPtrArray *errors, *warnings; /* char *, owned */
        GPtrArray *checks;            /* UnitCheck, owned */
        size_t n_open;
        sd_event_source *done; /* owned */
};

static void _printf_(3, 4) add_line(GPtrArray *lines, const char *place, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_ptr_array_add(lines, g_strdup_printf("%s: %s", place, text));
}

/* ---- What the node itself knows ---- */

/* Is the group hamgr's business here now? Then what is found here is ours. The ownership file also speaks
 * for another process, as with `hactl check`. */
static bool is_ours(const DriveValidation *v, const HaGroup *g) {
        const Group *known = drive_find_group(v->drive, g->name);
        g_autofree char *owned = g_strdup_printf("%s/%s", v->drive->owned_folder, g->name);

        return (known && known->sequence.state != DRIVE_GROUP_STOPPED) || access(owned, F_OK) >= 0;
}

static void check_fstab(DriveValidation *v, const HaResource *r) {
        FILE *f = setmntent(FSTAB_PATH, "re");
        struct mntent entry;
        char buffer[4096];

        if (!f)
                return;
        while (getmntent_r(f, &entry, buffer, sizeof(buffer))) {
                if (!streq(entry.mnt_dir, r->mount.where) &&
                    !(r->mount.what[0] == '/' && streq(entry.mnt_fsname, r->mount.what)))
                        continue;
                if (!hasmntopt(&entry, "noauto") || hasmntopt(&entry, "x-systemd.automount"))
                        add_line(v->errors,
                                 r->where_text,
                                 "%s mounts %s at %s at boot: remove the line or give it the option noauto",
                                 FSTAB_PATH,
                                 entry.mnt_fsname,
                                 entry.mnt_dir);
        }
        (void) endmntent(f);
}

static void check_mount(DriveValidation *v, const HaGroup *g, const HaResource *r, bool wanted) {
        g_autofree char *device = proof_device_path(r->mount.what), *text = NULL;
        struct stat st;

        check_fstab(v, r);
        if (is_ours(v, g))
                return; /* neither may be asked for: a sick disk would hold us up */
        if (proof_mount(r->mount.what, r->mount.where, &text) > 0)
                add_line(v->errors,
                         r->where_text,
                         "%s on this node already, and not by this group: unmount it first, or name another "
                         "device",
                         text);
        if (!wanted)
                return;
        if (device && stat(device, &st) < 0)
                add_line(v->errors,
                         r->where_text,
                         "What=%s: %s: %s; every node of the group must see this device",
                         r->mount.what,
                         device,
                         g_strerror(errno));
        else if (device && !S_ISBLK(st.st_mode))
                add_line(v->errors, r->where_text, "What=%s: %s is no block device", r->mount.what, device);
        if (stat(r->mount.where, &st) < 0)
                add_line(v->errors,
                         r->where_text,
                         "Where=%s: %s: make the folder on every node of the group",
                         r->mount.where,
                         g_strerror(errno));
        else if (!S_ISDIR(st.st_mode))
                add_line(v->errors, r->where_text, "Where=%s is no folder", r->mount.where);
}

static void check_address(DriveValidation *v, const HaGroup *g, const HaResource *r, bool wanted) {
        g_autofree char *interface = NULL;

        if (wanted && if_nametoindex(r->address.interface) == 0)
                add_line(v->errors,
                         r->where_text,
                         "Interface=%s: this node has no such interface; name one that every node of the "
                         "group has",
                         r->address.interface);
        if (!is_ours(v, g) && proof_address(r->address.family, r->address.address, &interface) > 0)
                add_line(v->errors,
                         r->where_text,
                         "Address=%s is configured on %s of this node already, and not by hamgr: remove it "
                         "there",
                         r->address.address,
                         interface);
}

/* ---- What systemd knows ---- */

static void check_unit_facts(UnitCheck *c) {
        DriveValidation *v = c->validation;
        const char *load = strempty(c->load_state), *file = strempty(c->file_state);

        if (streq(load, "not-found")) {
                if (c->wanted)
                        add_line(v->errors,
                                 c->place,
                                 "Unit=%s: this node has no such unit; install it here, or leave this node "
                                 "out of the group",
                                 c->unit);
                return;
        }
        if (!streq(load, "loaded")) {
                if (c->wanted)
                        add_line(v->errors,
                                 c->place,
                                 "Unit=%s cannot be used, it is \"%s\": see systemctl status %s",
                                 c->unit,
                                 load,
                                 c->unit);
                return;
        }
        if (c->id && !streq(c->id, c->unit))
                add_line(v->errors, c->place, "Unit=%s is another name of %s: use that", c->unit, c->id);
        if (streq(file, "enabled") || streq(file, "enabled-runtime"))
                add_line(v->errors,
                         c->place,
                         "Unit=%s is enabled, so that systemd would start it at boot: systemctl disable %s",
                         c->unit,
                         c->unit);
        if (streq_ptr(c->type, "oneshot") && !c->remain_after_exit)
                add_line(v->errors,
                         c->place,
                         "Unit=%s has Type=oneshot without RemainAfterExit=yes: it would count as failed at "
                         "once",
                         c->unit);
        if (c->triggered)
                add_line(v->warnings,
                         c->place,
                         "Unit=%s is triggered by a socket, timer or path unit, which will fail where the "
                         "group is not",
                         c->unit);
}

static void close_check(UnitCheck *c) {
        check_unit_facts(c);
        if (--c->validation->n_open == 0)
                (void) event_defer_arm(c->validation->done);
}

static void refuse(UnitCheck *c, const sd_bus_error *error) {
        if (c->wanted)
                add_line(c->validation->errors,
                         c->place,
                         "Unit=%s: systemd says: %s",
                         c->unit,
                         error ? strna(error->message) : "something not understood");
        g_free(c->load_state);
        c->load_state = g_strdup("not-found");
        c->wanted = false; /* said already */
        close_check(c);
}

static int take_text(char **text, sd_bus_message *m) {
        const char *s;
        int r = sd_bus_message_read(m, "v", "s", &s);

        if (r >= 0) {
                g_free(*text);
                *text = g_strdup(s);
        }
        return r;
}

static int take_triggered(UnitCheck *c, sd_bus_message *m) {
        const char *s;
        int r;

        r = sd_bus_message_enter_container(m, 'v', "as");
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(m, 'a', "s");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "s", &s)) > 0)
                c->triggered = true;
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int take_fact(UnitCheck *c, const char *name, sd_bus_message *m) {
        int r, b;

        if (streq(name, "Id"))
                return take_text(&c->id, m);
        if (streq(name, "LoadState"))
                return take_text(&c->load_state, m);
        if (streq(name, "UnitFileState"))
                return take_text(&c->file_state, m);
        if (streq(name, "Type"))
                return take_text(&c->type, m);
        if (streq(name, "TriggeredBy"))
                return take_triggered(c, m);
        if (!streq(name, "RemainAfterExit"))
                return sd_bus_message_skip(m, "v");
        r = sd_bus_message_read(m, "v", "b", &b);
        c->remain_after_exit = b;
        return r;
}

static int take_facts(UnitCheck *c, sd_bus_message *m) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *name;

                r = sd_bus_message_read(m, "s", &name);
                if (r < 0)
                        return r;
                r = take_fact(c, name, m);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r;
}

static int ask_facts(UnitCheck *c, const char *interface, LinkReplyHandler handler) {
        Link *l = c->validation->drive->link;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = link_message_new(l, c->path, BUS_PROPERTIES, "GetAll", &m);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", interface);
        if (r < 0)
                return r;
        return link_send(l, m, &c->call, handler, c, BUS_CALL_TIMEOUT_USEC);
}

static void on_service_facts(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        UnitCheck *c = userdata;

        if (error || take_facts(c, reply) < 0)
                refuse(c, error);
        else
                close_check(c);
}

static void on_unit_facts(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        UnitCheck *c = userdata;

        if (error || take_facts(c, reply) < 0) {
                refuse(c, error);
                return;
        }
        if (!streq_ptr(c->load_state, "loaded") || !endswith(c->unit, ".service")) {
                close_check(c);
                return;
        }
        if (ask_facts(c, SYSTEMD_SERVICE, on_service_facts) < 0)
                refuse(c, NULL);
}

static void on_loaded(sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        UnitCheck *c = userdata;
        const char *path;

        if (error || sd_bus_message_read(reply, "o", &path) < 0) {
                refuse(c, error);
                return;
        }
        c->path = g_strdup(path);
        if (ask_facts(c, SYSTEMD_UNIT, on_unit_facts) < 0)
                refuse(c, NULL);
}

static void check_unit(DriveValidation *v, const HaResource *r, bool wanted) {
        UnitCheck *c = g_new(UnitCheck, 1);
        int k;

        *c = (UnitCheck){
                .validation = v,
                .place = g_strdup(r->where_text),
                .unit = g_strdup(r->unit.unit),
                .wanted = wanted,
        };
        g_ptr_array_add(v->checks, c);
        k = link_call(v->drive->link,
                      &c->call,
                      on_loaded,
                      c,
                      BUS_CALL_TIMEOUT_USEC,
                      "LoadUnit",
                      "s",
                      c->unit);
        if (k < 0)
                add_line(v->errors,
                         c->place,
                         "Unit=%s: systemd cannot be asked: %s",
                         c->unit,
                         g_strerror(-k));
        else
                v->n_open++;
}

/* ---- All of it ---- */

static int on_done(sd_event_source *s, void *userdata) {
        DriveValidation *v = userdata;

        g_ptr_array_add(v->errors, NULL);
        g_ptr_array_add(v->warnings, NULL);
        v->handler(v,
                   (const char *const *) v->errors->pdata,
                   (const char *const *) v->warnings->pdata,
                   v->userdata);
        return 0;
}

void drive_validations_link_down(Drive *d) {
        for (GList *i = d->validations.head; i; i = i->next) {
                DriveValidation *v = i->data;

                if (v->n_open == 0)
                        continue;
                v->n_open = 0;
                add_line(v->errors,
                         "systemd",
                         "the connection was lost while units were checked: try again");
                (void) event_defer_arm(v->done);
        }
}

static void check_group(DriveValidation *v, const HaGroup *g, uint32_t node) {
        bool wanted = ha_group_rank(g, node) != SIZE_MAX;

        FOREACH_ARRAY(r, g->resources, g->n_resources)
                switch (r->type) {
                case HA_RESOURCE_MOUNT:
                        check_mount(v, g, r, wanted);
                        break;
                case HA_RESOURCE_ADDRESS:
                        check_address(v, g, r, wanted);
                        break;
                case HA_RESOURCE_UNIT:
                        check_unit(v, r, wanted);
                        break;
                case _HA_RESOURCE_TYPE_MAX:
                case _HA_RESOURCE_TYPE_INVALID:
                        ASSERT_NOT_REACHED();
                }
}

static void check_free(void *p) {
        UnitCheck *c = p;

        link_cancel(&c->call);
        g_free(c->place);
        g_free(c->unit);
        g_free(c->path);
        g_free(c->id);
        g_free(c->load_state);
        g_free(c->file_state);
        g_free(c->type);
        g_free(c);
}

int drive_validate(
                Drive *d,
                const HaConfig *config,
                uint32_t node,
                DriveValidateHandler handler,
                void *userdata,
                DriveValidation **ret) {

        _cleanup_(drive_validation_freep) DriveValidation *v = g_new(DriveValidation, 1);
        int r;

        *v = (DriveValidation){
                .drive = d,
                .handler = handler,
                .userdata = userdata,
                .errors = g_ptr_array_new_with_free_func(g_free),
                .warnings = g_ptr_array_new_with_free_func(g_free),
                .checks = g_ptr_array_new_with_free_func(check_free),
        };
        g_queue_push_tail(&d->validations, v);
        r = event_defer_new(d->event, "drive-validation", on_done, v, &v->done);
        if (r < 0)
                return r;

        for (size_t i = 0; i < config->n_groups; i++)
                check_group(v, &config->groups[i], node);
        if (v->n_open == 0)
                (void) event_defer_arm(v->done);

        *ret = TAKE_PTR(v);
        return 0;
}

DriveValidation *drive_validation_free(DriveValidation *v) {
        if (!v)
                return NULL;
        (void) g_queue_remove(&v->drive->validations, v);
        g_ptr_array_free(v->checks, TRUE);
        g_ptr_array_free(v->errors, TRUE);
        g_ptr_array_free(v->warnings, TRUE);
        sd_event_source_disable_unref(v->done);
        g_free(v);
        return NULL;
}
