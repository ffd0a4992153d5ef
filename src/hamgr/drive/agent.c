/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* No sandboxing settings here: they would give the agent a mount namespace of its own and hide its mount
 * from the host.
 *
 * The ordering names units on disk only. An agent that another agent is ordered against stays loaded as long
 * as that one runs, and a name that is loaded cannot be made anew. For the same reason no reference is
 * taken: the result of an agent that ends comes with the signal of its end. */

#include <inttypes.h>

#include <glib.h>

#include "basic/macro.h"
#include "basic/time-util.h"
#include "hamgr/drive/agent.h"
#include "hamgr/drive/drive.h"
#include "hamgr/drive/guard-list.h"

#define AGENT_WATCHDOG_USEC (10 * USEC_PER_SEC)

char *drive_unit_name(const char *group, const HaResource *resource) {
        if (resource->type == HA_RESOURCE_UNIT)
                return g_strdup(resource->unit.unit);
        return g_strdup_printf("hamgr-%s-%s.service", group, resource->name);
}

static void add_argument(GPtrArray *argv, const char *format, ...) _printf_(2, 3);
static void add_argument(GPtrArray *argv, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_ptr_array_add(argv, g_strdup_vprintf(format, ap));
        va_end(ap);
}

static void add_mount_arguments(GPtrArray *argv, const HaResource *r, bool remove) {
        add_argument(argv, "--what=%s", r->mount.what);
        add_argument(argv, "--where=%s", r->mount.where);
        /* Once in the agent's stop and once in ExecStopPost=, and then there is time left to report it. */
        add_argument(argv,
                     "--stop-timeout=%" PRIu64 "ms",
                     MAX(r->stop_usec * 4 / 10 / USEC_PER_MSEC, UINT64_C(1)));
        if (remove)
                return;
        if (!isempty(r->mount.type))
                add_argument(argv, "--type=%s", r->mount.type);
        if (!isempty(r->mount.options))
                add_argument(argv, "--options=%s", r->mount.options);
        if (r->mount.fsck) {
                add_argument(argv, "--fsck");
                add_argument(argv,
                             "--fsck-timeout=%" PRIu64 "ms",
                             MAX(r->start_usec / USEC_PER_MSEC, UINT64_C(1)));
        }
}

char **agent_command(const HaResource *resource, const char *folder, bool remove) {
        GPtrArray *argv = g_ptr_array_new();

        switch (resource->type) {
        case HA_RESOURCE_MOUNT:
                add_argument(argv, "%s/ha-mount", folder);
                if (remove)
                        add_argument(argv, "--remove");
                add_mount_arguments(argv, resource, remove);
                break;
        case HA_RESOURCE_ADDRESS:
                add_argument(argv, "%s/ha-ip", folder);
                if (remove)
                        add_argument(argv, "--remove");
                add_argument(argv,
                             "--address=%s/%" PRIu32,
                             resource->address.address,
                             resource->address.prefix);
                add_argument(argv, "--interface=%s", resource->address.interface);
                break;
        case HA_RESOURCE_UNIT:
        case _HA_RESOURCE_TYPE_MAX:
        case _HA_RESOURCE_TYPE_INVALID:
                ASSERT_NOT_REACHED();
        }
        g_ptr_array_add(argv, NULL);
        return (char **) g_ptr_array_free(argv, FALSE);
}

static int append_command(sd_bus_message *m, const char *property, char **argv) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", property);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'v', "a(sasb)");
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'a', "(sasb)");
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'r', "sasb");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", argv[0]);
        if (r < 0)
                return r;
        r = sd_bus_message_append_strv(m, argv);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "b", false);
        for (int depth = 0; r >= 0 && depth < 4; depth++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_names(sd_bus_message *m, const char *property, const char *const *names) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", property);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'v', "as");
        if (r < 0)
                return r;
        r = sd_bus_message_append_strv(m, (char **) names);
        for (int depth = 0; r >= 0 && depth < 2; depth++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_common(sd_bus_message *m, const AgentUnit *a) {
        g_autofree char *description =
                        g_strdup_printf("hamgr group %s: %s %s",
                                        a->group,
                                        ha_resource_type_to_string(a->resource->type),
                                        a->resource->name);
        int r;

        r = sd_bus_message_append(
                        m,
                        "(sv)(sv)(sv)(sv)(sv)(sv)(sv)",
                        "Description",
                        "s",
                        description,
                        "SyslogIdentifier",
                        "s",
                        a->resource->type == HA_RESOURCE_MOUNT ? "ha-mount" : "ha-ip",
                        "Restart",
                        "s",
                        "no",
                        "TimeoutStartUSec",
                        "t",
                        a->resource->start_usec,
                        "TimeoutStopUSec",
                        "t",
                        a->resource->stop_usec,
                        "IgnoreOnIsolate",
                        "b",
                        true,
                        "OOMScoreAdjust",
                        "i",
                        -900);
        if (r < 0)
                return r;
        r = append_names(m, "Before", (const char *const[]){ GUARD_MANAGED_UNIT, NULL });
        if (r < 0)
                return r;
        r = append_names(m, "Before", a->before);
        if (r < 0)
                return r;
        return append_names(m, "After", a->after);
}

static int append_running(sd_bus_message *m, const AgentUnit *a) {
        g_auto(GStrv) remove = agent_command(a->resource, a->folder, true);
        int r;

        r = sd_bus_message_append(
                        m,
                        "(sv)(sv)(sv)(sv)",
                        "Type",
                        "s",
                        "notify",
                        "NotifyAccess",
                        "s",
                        "main",
                        "WatchdogUSec",
                        "t",
                        AGENT_WATCHDOG_USEC,
                        "Asserts",
                        "a(sbbs)",
                        1,
                        "AssertPathExists",
                        false,
                        false,
                        a->owned_path);
        if (r < 0)
                return r;
        return append_command(m, "ExecStopPost", remove);
}

int agent_append(sd_bus_message *m, const AgentUnit *a, bool cleanup) {
        g_auto(GStrv) command = agent_command(a->resource, a->folder, cleanup);
        int r;

        r = sd_bus_message_append(m, "ss", a->unit, cleanup ? "ignore-dependencies" : "replace");
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r < 0)
                return r;
        r = append_common(m, a);
        if (r < 0)
                return r;
        r = cleanup ? sd_bus_message_append(m, "(sv)", "Type", "s", "oneshot") : append_running(m, a);
        if (r < 0)
                return r;
        r = append_command(m, "ExecStart", command);
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(m);
        if (r < 0)
                return r;
        return sd_bus_message_append(m, "a(sa(sv))", 0);
}
