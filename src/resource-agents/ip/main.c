/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ha-ip: holds one IP address on one interface for as long as it runs. usage() says how it is called,
 * exit-status.h how it ends. In a unit: Type=notify, WatchdogSec= as wished, ExecStopPost=ha-ip --remove ...
 */

#include <getopt.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "basic/parse.h"
#include "basic/time-util.h"
#include "resource-agents/exit-status.h"
#include "resource-agents/ip/keeper.h"
#include "shared/event-util.h"
#include "shared/log.h"

#define PROBE_COUNT_MAX 20U
#define PROBE_WINDOW_USEC_MAX (10 * USEC_PER_SEC)

typedef struct CommandLine {
        KeeperOptions keeper;
        bool has_address;
        bool remove;
} CommandLine;

static void usage(FILE *f) {
        (void) fprintf(f,
                       "ha-ip --address ADDRESS/PREFIX --interface NAME [OPTION...]\n"
                       "\n"
                       "Holds an IP address on an interface for as long as it runs: asks the network "
                       "whether somebody\n"
                       "else has it, adds it, announces it, puts it back when it is removed, and removes it "
                       "at its end.\n"
                       "\n"
                       "  --address ADDRESS/PREFIX  such as 192.0.2.10/24 or 2001:db8::10/64\n"
                       "  --interface NAME          such as eth0\n"
                       "  --probe-count N           how often to ask before taking it, 0 to 20 (default 3)\n"
                       "  --probe-window TIME       within which to ask, and wait for answers (default "
                       "60ms)\n"
                       "  --carrier-grace TIME      end with failure after so long without carrier (default "
                       "1s)\n"
                       "  --remove                  remove what an ended ha-ip left behind, and end; for "
                       "ExecStopPost=\n"
                       "  --help                    show this and end\n"
                       "\n"
                       "Exit status: 0 ended when asked, 1 failed, 2 wrong command line, 3 no such "
                       "interface or no\n"
                       "carrier, 4 the address is in use by somebody else, 5 interface or carrier lost, 6 "
                       "the address\n"
                       "could not be removed.\n");
}

static int wrong(const char *option, const char *value, const char *meant) {
        log_error("--%s %s: %s; see ha-ip --help", option, value, meant);
        return -EINVAL;
}

static int take_address(const char *text, CommandLine *c) {
        int r = ip_address_parse(text, &c->keeper.address);

        if (r == -EADDRNOTAVAIL)
                return wrong("address",
                             text,
                             "no single host can have this address (loopback, multicast, or a network's "
                             "own)");
        if (r < 0)
                return wrong("address",
                             text,
                             "expected an address with its prefix length, such as 192.0.2.10/24");
        c->has_address = true;
        return 0;
}

static int take_option(int option, const char *value, CommandLine *c) {
        switch (option) {
        case 'a':
                return take_address(value, c);
        case 'i':
                if (value[0] == '\0' || strlen(value) >= IF_NAMESIZE || strchr(value, '/') ||
                    streq(value, ".") || streq(value, ".."))
                        return wrong("interface", value, "not the name of an interface");
                c->keeper.interface = value;
                return 0;
        case 'n':
                if (parse_u32(value, 0, PROBE_COUNT_MAX, &c->keeper.probe_count) < 0)
                        return wrong("probe-count", value, "expected a number from 0 to 20");
                return 0;
        case 'w':
                if (parse_duration(value, &c->keeper.probe_window_usec) < 0 ||
                    c->keeper.probe_window_usec > PROBE_WINDOW_USEC_MAX)
                        return wrong("probe-window", value, "expected a time of at most 10s, such as 60ms");
                return 0;
        case 'g':
                if (parse_duration(value, &c->keeper.carrier_grace_usec) < 0)
                        return wrong("carrier-grace", value, "expected a time, such as 1s");
                return 0;
        case 'r':
                c->remove = true;
                return 0;
        default: /* getopt has said what is wrong */
                return -EINVAL;
        }
}

/* 1: go on; 0: help was shown; negative: wrong, and said so. */
static int parse_command_line(int argc, char **argv, CommandLine *ret) {
        static const struct option options[] = {
                { "address", required_argument, NULL, 'a' },
                { "interface", required_argument, NULL, 'i' },
                { "probe-count", required_argument, NULL, 'n' },
                { "probe-window", required_argument, NULL, 'w' },
                { "carrier-grace", required_argument, NULL, 'g' },
                { "remove", no_argument, NULL, 'r' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        CommandLine c = {
                .keeper = {
                        .probe_count = PROBE_COUNT_DEFAULT,
                        .probe_window_usec = PROBE_WINDOW_USEC_DEFAULT,
                        .carrier_grace_usec = CARRIER_GRACE_USEC_DEFAULT,
                },
        };
        int option, r;

        while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (option == 'h') {
                        usage(stdout);
                        return 0;
                }
                r = take_option(option, optarg, &c);
                if (r < 0)
                        return r;
        }
        if (optind < argc) {
                log_error("unexpected argument \"%s\"; see ha-ip --help", argv[optind]);
                return -EINVAL;
        }
        if (!c.has_address || !c.keeper.interface) {
                log_error("--address and --interface are needed; see ha-ip --help");
                return -EINVAL;
        }
        *ret = c;
        return 1;
}

static int hold_until_asked(const KeeperOptions *options) {
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
        if (status != 0)
                return status;

        status = sd_event_loop(event);
        if (status < 0) {
                log_error_errno(status, "the event loop failed: %m");
                status = AGENT_EXIT_FAILED;
        }

        (void) sd_notify(false, "STOPPING=1");
        released = keeper_release(k);
        return released != 0 ? released : status;
}

int main(int argc, char **argv) {
        CommandLine c;
        int r;

        log_init("ha-ip");
        r = parse_command_line(argc, argv, &c);
        if (r <= 0)
                return r < 0 ? AGENT_EXIT_USAGE : AGENT_EXIT_OK;
        return c.remove ? keeper_remove_leftover(&c.keeper) : hold_until_asked(&c.keeper);
}
