/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <sys/sysmacros.h>

#include <glib.h>

#include "hamgr/drive/proof.h"
#include "hamgr/drive/reason.h"

static void results(void) {
        static const struct {
                const char *result;
                int code, status;
                bool agent;
                const char *said;
                DriveReason reason;
                const char *text;
        } cases[] = {
                { "signal",
                  CLD_KILLED,
                  9,
                  false,
                  "serving",
                  DRIVE_REASON_SIGNAL,
                  "x.service was killed by signal 9 (KILL)" },
                { "core-dump",
                  CLD_DUMPED,
                  11,
                  false,
                  "",
                  DRIVE_REASON_CORE_DUMP,
                  "x.service was killed by signal 11 (SEGV) and dumped core" },
                { "exit-code",
                  CLD_EXITED,
                  3,
                  false,
                  "",
                  DRIVE_REASON_EXIT_CODE,
                  "x.service exited with status 3" },
                { "exit-code",
                  CLD_EXITED,
                  3,
                  true,
                  "no such interface",
                  DRIVE_REASON_EXIT_CODE,
                  "x.service exited with status 3: no such interface" },
                { "exit-code",
                  CLD_EXITED,
                  4,
                  true,
                  "",
                  DRIVE_REASON_CONFLICT,
                  "x.service exited with status 4" },
                { "exit-code",
                  CLD_EXITED,
                  4,
                  false,
                  "",
                  DRIVE_REASON_EXIT_CODE,
                  "x.service exited with status 4" },
                { "success",
                  CLD_EXITED,
                  0,
                  false,
                  "",
                  DRIVE_REASON_EXIT_CODE,
                  "x.service exited with status 0" },
                { "success",
                  CLD_KILLED,
                  15,
                  false,
                  "",
                  DRIVE_REASON_SIGNAL,
                  "x.service was killed by signal 15 (TERM)" },
                { "watchdog",
                  CLD_DUMPED,
                  6,
                  false,
                  "",
                  DRIVE_REASON_WATCHDOG,
                  "x.service did not answer its watchdog in time and was killed" },
                { "oom-kill",
                  CLD_KILLED,
                  9,
                  false,
                  "",
                  DRIVE_REASON_OOM,
                  "x.service was killed by the kernel because memory ran out" },
                { "protocol",
                  CLD_EXITED,
                  0,
                  false,
                  "",
                  DRIVE_REASON_EXIT_CODE,
                  "x.service ended before it said that it was ready" },
                { NULL, 0, 0, false, NULL, DRIVE_REASON_EXIT_CODE, "x.service ended" },
        };

        FOREACH_ARRAY(c, cases, ELEMENTSOF(cases)) {
                DriveFailure f = {};

                drive_failure_from_result(&f, "x.service", c->agent, c->result, c->code, c->status, c->said);
                g_assert_cmpint(f.reason, ==, c->reason);
                g_assert_cmpstr(f.text, ==, c->text);
                drive_failure_done(&f);
        }
}

static void names(void) {
        for (DriveReason r = 0; r < _DRIVE_REASON_MAX; r++)
                g_assert_cmpint(drive_reason_from_string(drive_reason_to_string(r)), ==, r);
        for (DriveResourceState s = 0; s < _DRIVE_RESOURCE_STATE_MAX; s++)
                g_assert_cmpint(drive_resource_state_from_string(drive_resource_state_to_string(s)), ==, s);
        g_assert_cmpint(drive_reason_from_job("assert"), ==, DRIVE_REASON_ASSERT);
        g_assert_cmpint(drive_reason_from_job("failed"), ==, DRIVE_REASON_NONE);
        g_assert_cmpint(drive_reason_from_error("org.freedesktop.systemd1.NoSuchUnit"),
                        ==,
                        DRIVE_REASON_NO_UNIT);
        g_assert_cmpint(drive_reason_from_error(NULL), ==, DRIVE_REASON_SYSTEM);
}

static const char mountinfo[] =
                "21 28 0:19 / /sys rw shared:7 - sysfs sysfs rw\n"
                "90 28 7:3 / /srv/my\\040shop rw,noatime shared:9 master:2 - ext4 /dev/shared rw\n"
                "91 28 7:4 /sub /mnt rw - ext4 /dev/loop4 rw\n"
                "cut 28\n";

static void mounts(void) {
        const struct {
                const char *what, *where;
                dev_t device;
                const char *text; /* NULL: not there */
        } cases[] = {
                { "/dev/other", "/srv/my shop", 0, "/dev/shared is mounted at /srv/my shop" },
                { "/dev/shared", "/elsewhere", 0, "/dev/shared is mounted at /srv/my shop" },
                { "LABEL=x", "/elsewhere", makedev(7, 4), "/dev/loop4 is mounted at /mnt" },
                { "sysfs", "/elsewhere", 0, NULL },
                { "/dev/nothing", "/srv", makedev(8, 1), NULL },
        };

        FOREACH_ARRAY(c, cases, ELEMENTSOF(cases)) {
                g_autofree char *text = NULL;

                g_assert_cmpint(proof_find_mount(mountinfo, c->what, c->where, c->device, &text),
                                ==,
                                c->text ? 1 : 0);
                g_assert_cmpstr(text, ==, c->text);
        }
}

static void devices(void) {
        static const struct {
                const char *what, *path;
        } cases[] = {
                { "/dev/sdb1", "/dev/sdb1" },
                { "LABEL=my shop", "/dev/disk/by-label/my\\x20shop" },
                { "UUID=12-34", "/dev/disk/by-uuid/12-34" },
                { "PARTLABEL=a/b", "/dev/disk/by-partlabel/a\\x2fb" },
                { "server:/export", NULL },
                { "tmpfs", NULL },
        };

        FOREACH_ARRAY(c, cases, ELEMENTSOF(cases)) {
                g_autofree char *path = proof_device_path(c->what);

                g_assert_cmpstr(path, ==, c->path);
        }
}

static void addresses(void) {
        g_autofree char *interface = NULL, *none = NULL;

        g_assert_cmpint(proof_address(4, "127.0.0.1", &interface), ==, 1);
        g_assert_cmpstr(interface, ==, "lo");
        g_assert_cmpint(proof_address(4, "192.0.2.213", &none), ==, 0);
        g_assert_cmpint(proof_address(6, "192.0.2.213", &none), ==, -EINVAL);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/drive/reason/results", results);
        g_test_add_func("/drive/reason/names", names);
        g_test_add_func("/drive/proof/mounts", mounts);
        g_test_add_func("/drive/proof/devices", devices);
        g_test_add_func("/drive/proof/addresses", addresses);
        return g_test_run();
}
