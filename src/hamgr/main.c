/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hamgr: options, the configuration of this server, and the manager. */

#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "basic/parse.h"
#include "hamgr/check.h"
#include "hamgr/manager.h"
#include "shared/log.h"
#include "shared/node-name.h"

static void help(void) {
        printf("hamgr [OPTIONS]\n\n"
               "The high-availability cluster resource manager; started by hamgr.service.\n\n"
               "     --node=NAME    which node this is (default: /etc/hamgr/node-name, then the host name)\n"
               "     --order-timeout=SEC\n"
               "                    tell whoever ordered something what it waits for after so long (1 to "
               "%u, default: %u)\n"
               "     --check=DIR    check cluster.conf, the key, fence devices, and the policies and groups "
               "in DIR\n"
               "     --write-cluster-conf\n"
               "                    make standard input this server's cluster.conf and keep the one of "
               "before: "
               "what hamgr has done when one is applied\n"
               "  -h --help         this text\n"
               "     --version      the version\n",
               MANAGER_ORDER_TIMEOUT_SEC_MAX,
               MANAGER_ORDER_TIMEOUT_SEC_MAX);
}

static int run(const char *node_option, unsigned order_timeout_sec) {
        ConfErrors errors = {};
        _cleanup_(cluster_conf_freep) ClusterConf *conf = NULL;
        _cleanup_(manager_freep) Manager *m = NULL;
        _cleanup_free_ char *why = NULL;
        const ClusterNode *self;
        int r;

        r = cluster_conf_load(CLUSTER_CONF_PATH, &errors, &conf);
        if (r < 0) {
                check_print_errors(&errors);
                conf_errors_done(&errors);
                return EX_CONFIG;
        }
        conf_errors_done(&errors);
        r = node_name_resolve_here(conf, node_option, &self, &why);
        if (r < 0) {
                log_error("%s", why ?: strerror(-r));
                return EX_CONFIG;
        }
        r = manager_new(TAKE_PTR(conf), self->id, &m);
        if (r < 0)
                return EXIT_FAILURE;
        m->order_timeout_sec = order_timeout_sec;
        r = manager_run(m);
        if (r < 0) {
                log_error_errno(r, "the event loop failed: %m");
                return EXIT_FAILURE;
        }
        return r;
}

int main(int argc, char **argv) {
        enum { OPT_NODE = 0x100, OPT_ORDER_TIMEOUT, OPT_CHECK, OPT_WRITE, OPT_VERSION };
        static const struct option options[] = {
                { "node", required_argument, NULL, OPT_NODE },
                { "order-timeout", required_argument, NULL, OPT_ORDER_TIMEOUT },
                { "check", required_argument, NULL, OPT_CHECK },
                { "write-cluster-conf", no_argument, NULL, OPT_WRITE },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPT_VERSION },
                {},
        };
        const char *node = NULL, *check = NULL;
        uint32_t order_timeout_sec = MANAGER_ORDER_TIMEOUT_SEC_MAX;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case OPT_NODE:
                        node = optarg;
                        break;
                case OPT_ORDER_TIMEOUT:
                        if (parse_u32(optarg, 1, MANAGER_ORDER_TIMEOUT_SEC_MAX, &order_timeout_sec) < 0) {
                                fprintf(stderr,
                                        "hamgr: --order-timeout=%s: a number of seconds from 1 to %u is "
                                        "meant\n",
                                        optarg,
                                        MANAGER_ORDER_TIMEOUT_SEC_MAX);
                                return EX_USAGE;
                        }
                        break;
                case OPT_CHECK:
                        check = optarg;
                        break;
                case OPT_WRITE:
                        return cluster_write_here();
                case 'h':
                        help();
                        return EXIT_SUCCESS;
                case OPT_VERSION:
                        puts("hamgr " HAMGR_VERSION);
                        return EXIT_SUCCESS;
                default:
                        return EX_USAGE;
                }
        if (optind < argc) {
                fprintf(stderr, "hamgr takes no arguments; see hamgr --help\n");
                return EX_USAGE;
        }
        log_init("hamgr");
        return check ? check_run(check, node) : run(node, order_timeout_sec);
}
