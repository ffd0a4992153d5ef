/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ha-mount: keeps one file system mounted for as long as it runs. usage() says how it is called,
 * exit-status.h how it ends. In a unit: Type=notify, WatchdogSec= as wished, ExecStopPost=ha-mount --remove
 * ..., and no sandboxing options (Protect*=, Private*=, ReadOnlyPaths=), which would hide the mount from the
 * host. */

#include <getopt.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "basic/time-util.h"
#include "resource-agents/mount/keeper.h"
#include "shared/event-util.h"
#include "shared/log.h"

static void usage(FILE *f) {
        (void) fprintf(f,
                       "ha-mount --what SOURCE --where DIRECTORY [OPTION...]\n"
                       "\n"
                       "Keeps a file system mounted for as long as it runs: refuses what is in use "
                       "elsewhere, mounts,\n"
                       "watches mount and disk, and at its end frees the file system of those who hold it "
                       "and unmounts.\n"
                       "\n"
                       "  --what SOURCE          a block device, LABEL=, UUID=, PARTLABEL=, PARTUUID=, or "
                       "host:/export\n"
                       "  --where DIRECTORY      an absolute path; the directory must exist\n"
                       "  --type TYPE            such as xfs (default: found out)\n"
                       "  --options OPTIONS      as for mount -o\n"
                       "  --fsck                 check the file system before mounting (fsck -a)\n"
                       "  --fsck-timeout TIME    give up checking after so long (default 60s)\n"
                       "  --stop-timeout TIME    give up unmounting after so long (default 10s)\n"
                       "  --check-interval TIME  how often to ask the disk (default 1s)\n"
                       "  --check-timeout TIME   how long the disk may take to answer (default 10s)\n"
                       "  --remove               unmount what an ended ha-mount left, and end; for "
                       "ExecStopPost=\n"
                       "  --help                 show this and end\n"
                       "\n"
                       "Exit status: 0 ended when asked, 1 failed, 2 wrong command line, 3 source or "
                       "directory missing,\n"
                       "4 in use elsewhere, or something else is mounted there, 5 the disk failed, or the "
                       "file system\n"
                       "was unmounted or became read-only, 6 could not be unmounted.\n");
}

static int wrong(const char *option, const char *value, const char *meant) {
        log_error("--%s %s: %s; see ha-mount --help", option, value, meant);
        return -EINVAL;
}

static int take_duration(const char *option, const char *value, uint64_t *ret_usec) {
        uint64_t usec;

        if (parse_duration(value, &usec) < 0 || usec == 0 || usec == USEC_INFINITY)
                return wrong(option, value, "expected a time, such as 10s");
        *ret_usec = usec;
        return 0;
}

static int take_text(const char *option, const char *value, const char **ret) {
        if (value[0] == '\0')
                return wrong(option, "\"\"", "must not be empty");
        *ret = value;
        return 0;
}

static int take_option(int option, const char *name, const char *value, MountOptions *m, bool *remove_only) {
        switch (option) {
        case 'w':
                return take_text(name, value, &m->what);
        case 'd':
                if (value[0] != '/')
                        return wrong(name, value, "expected an absolute path");
                m->where = value;
                return 0;
        case 't':
                return take_text(name, value, &m->type);
        case 'o':
                return take_text(name, value, &m->options);
        case 'f':
                m->fsck = true;
                return 0;
        case 'F':
                return take_duration(name, value, &m->fsck_timeout_usec);
        case 'S':
                return take_duration(name, value, &m->stop_timeout_usec);
        case 'I':
                return take_duration(name, value, &m->check_interval_usec);
        case 'T':
                return take_duration(name, value, &m->check_timeout_usec);
        case 'r':
                *remove_only = true;
                return 0;
        default: /* getopt has said what is wrong */
                return -EINVAL;
        }
}

/* 1: go on; 0: help was shown; negative: wrong, and said so. */
static int parse_command_line(int argc, char **argv, MountOptions *ret, bool *ret_remove) {
        static const struct option options[] = {
                { "what", required_argument, NULL, 'w' },
                { "where", required_argument, NULL, 'd' },
                { "type", required_argument, NULL, 't' },
                { "options", required_argument, NULL, 'o' },
                { "fsck", no_argument, NULL, 'f' },
                { "fsck-timeout", required_argument, NULL, 'F' },
                { "stop-timeout", required_argument, NULL, 'S' },
                { "check-interval", required_argument, NULL, 'I' },
                { "check-timeout", required_argument, NULL, 'T' },
                { "remove", no_argument, NULL, 'r' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        MountOptions m = {
                .fsck_timeout_usec = 60 * USEC_PER_SEC,
                .stop_timeout_usec = 10 * USEC_PER_SEC,
                .check_interval_usec = 1 * USEC_PER_SEC,
                .check_timeout_usec = 10 * USEC_PER_SEC,
        };
        int option, index = 0, r;

        while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
                if (option == 'h') {
                        usage(stdout);
                        return 0;
                }
                r = take_option(option, options[index].name, optarg, &m, ret_remove);
                if (r < 0)
                        return r;
        }
        if (optind < argc) {
                log_error("unexpected argument \"%s\"; see ha-mount --help", argv[optind]);
                return -EINVAL;
        }
        if (!m.what || !m.where) {
                log_error("--what and --where are needed; see ha-mount --help");
                return -EINVAL;
        }
        *ret = m;
        return 1;
}

static int keep_until_asked(const MountOptions *options) {
        _cleanup_(keeper_freep) Keeper *k = NULL;
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        int status, released, r;

        r = sd_event_default(&event);
        if (r >= 0)
                r = event_exit_on_signals(event);
        if (r >= 0)
                r = sd_event_set_watchdog(event, true);
        if (r < 0) {
                log_error_errno(r, "cannot set up the event loop: %m");
                return AGENT_EXIT_FAILED;
        }

        status = keeper_start(event, options, &k);
        if (status == 0)
                status = sd_event_loop(event);
        if (status < 0) {
                log_error_errno(status, "the event loop failed: %m");
                status = AGENT_EXIT_FAILED;
        }
        if (!k)
                return status;

        (void) sd_notify(false, "STOPPING=1");
        released = keeper_release(k);
        return released != 0 ? released : status;
}

int main(int argc, char **argv) {
        MountOptions options;
        bool remove_only = false;
        int r;

        log_init("ha-mount");
        r = parse_command_line(argc, argv, &options, &remove_only);
        if (r <= 0)
                return r < 0 ? AGENT_EXIT_USAGE : AGENT_EXIT_OK;
        return remove_only ? keeper_remove_leftover(&options) : keep_until_asked(&options);
}
