/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/parse.h"
#include "basic/str-buf.h"
#include "hagcd/hagcd.h"
#include "hagcd/realtime.h"
#include "hagcd/reload.h"
#include "hagcd/store-record.h"
#include "shared/cluster-access.h"
#include "shared/file-util.h"
#include "shared/log.h"
#include "shared/node-name.h"

typedef struct Options {
        const char *conf_path, *key_path, *run_folder, *store_path, *store_socket, *node;
        ClientLimits limits;
        bool check_start, init_store, print_config, join, recreate, realtime;
} Options;

typedef struct Settings {
        ClusterConf *conf;   /* owned */
        ClusterConf *former; /* owned; NULL: there is none */
        const ClusterNode *self;
        ClusterKey key;
} Settings;

static void settings_done(Settings *s) {
        s->conf = cluster_conf_free(s->conf);
        s->former = cluster_conf_free(s->former);
        cluster_key_done(&s->key);
}

static int load_conf(const Options *o, Settings *s) {
        _cleanup_(conf_errors_done) ConfErrors errors = { 0 };
        int r;

        r = cluster_conf_load(o->conf_path, &errors, &s->conf);
        for (size_t i = 0; i < errors.n_items; i++)
                if (errors.items[i].line > 0)
                        log_error("%s:%u: %s",
                                  errors.items[i].file,
                                  errors.items[i].line,
                                  errors.items[i].message);
                else
                        log_error("%s: %s", errors.items[i].file, errors.items[i].message);
        if (r < 0 && errors.n_items == 0)
                (void) log_error_errno(r, "cannot read %s: %m", o->conf_path);
        if (r >= 0)
                cluster_access_resolve(s->conf, NULL, NULL);
        return r;
}

/* Only of use when it is what the membership has in force, so it need not even be right. */
static void load_former(const Options *o, Settings *s) {
        _cleanup_(conf_errors_done) ConfErrors errors = { 0 };
        _cleanup_(str_buf_done) StrBuf path = { 0 };

        str_buf_printf(&path, "%s" CLUSTER_CONF_FORMER_SUFFIX, o->conf_path);
        if (str_buf_result(&path) >= 0)
                (void) cluster_conf_load(str_buf_text(&path), &errors, &s->former);
}

static int load_settings(const Options *o, Settings *s) {
        _cleanup_free_ char *why = NULL;
        int r;

        r = load_conf(o, s);
        if (r < 0)
                return r;
        r = node_name_resolve_here(s->conf, o->node, &s->self, &why);
        if (r >= 0)
                r = cluster_key_load(o->key_path, &s->key, &why);
        if (r < 0)
                log_error("%s", why ? why : strerror(-r));
        return r;
}

/* For ExecCondition=: 1 skips the start quietly, which a failed start would not. So all that can make the
 * start fail is tried here. A node without a record starts and waits to be taken in (rule R8). */
static int check_start(const Options *o) {
        _cleanup_(settings_done) Settings s = { 0 };
        StoreRecord record;
        bool valid;
        int r;

        if (load_settings(o, &s) < 0 || transport_probe(s.conf, s.self) < 0)
                return EXIT_FAILURE;
        r = store_client_probe(o->store_socket, &record, &valid);
        if (r < 0) {
                (void) log_error_errno(
                                r,
                                "the store does not answer at %s: %m; look at hagcd-store.socket and "
                                "hagcd-store.service",
                                o->store_socket);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

static int init_store(const Options *o) {
        _cleanup_free_ char *folder = strdup(o->store_path);
        char *slash = folder ? strrchr(folder, '/') : NULL;
        int r;

        if (!folder)
                return EXIT_FAILURE;
        if (slash && slash != folder) {
                *slash = '\0';
                r = make_folders(folder, 0700);
                if (r < 0) {
                        (void) log_error_errno(r, "cannot make %s: %m", folder);
                        return EXIT_FAILURE;
                }
        }
        r = store_init(o->store_path, o->join ? STORE_JOINS : STORE_FOUNDS, o->recreate);
        if (r == -EEXIST) {
                log_info("%s is there already, leaving it as it is", o->store_path);
                return EXIT_SUCCESS;
        }
        if (r == -EBADMSG) {
                log_error("%s is damaged. A node that forgot what it promised can make two memberships out "
                          "of "
                          "one: start hagcd and let the others take it in; only when all nodes have lost "
                          "their "
                          "record, add --recreate",
                          o->store_path);
                return EXIT_FAILURE;
        }
        if (r == -EPROTONOSUPPORT) {
                log_error("%s was written by a newer hamgr, which this one cannot read, leaving it as it "
                          "is. "
                          "Install the newer hamgr again, or start hagcd and let the others take it in; "
                          "only when all nodes are to become older, add --recreate",
                          o->store_path);
                return EXIT_FAILURE;
        }
        if (r < 0) {
                (void) log_error_errno(r, "cannot write %s: %m", o->store_path);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

static int run(const Options *o) {
        _cleanup_(settings_done) Settings s = { 0 };
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(hagcd_freep) Hagcd *d = NULL;
        HagcdConfig config;
        int r;

        r = load_settings(o, &s);
        if (r < 0)
                return EXIT_FAILURE;
        load_former(o, &s);
        config = (HagcdConfig){
                .conf = s.conf,
                .former = s.former,
                .self = s.self,
                .conf_path = o->conf_path,
                .key = &s.key,
                .run_folder = o->run_folder,
                .store_socket = o->store_socket,
                .limits = o->limits,
        };
        (void) umask(0077);
        r = make_folders(o->run_folder, 0755);
        if (r >= 0)
                r = sd_event_new(&event);
        if (r >= 0)
                r = hagcd_new(event, &config, &d);
        if (r < 0) {
                (void) log_error_errno(r, "cannot start: %m");
                return EXIT_FAILURE;
        }
        if (o->realtime)
                realtime_enter();
        r = hagcd_start(d);
        if (r >= 0)
                r = sd_event_loop(event);
        if (r < 0)
                (void) log_error_errno(r, "the event loop failed: %m");
        return r < 0 ? EXIT_FAILURE : r;
}

static bool parse_limit(const char *option, const char *text, uint32_t least, uint32_t *ret) {
        if (parse_u32(text, least, CLIENTS_MOST, ret) >= 0)
                return true;
        log_error("--%s=%s: a number from %u to %u is meant", option, text, least, CLIENTS_MOST);
        return false;
}

static int usage(FILE *f, int status) {
        fputs("hagcd [OPTIONS]\n\n"
              "The group communication daemon: one per server; membership of the cluster and ordered "
              "messages.\n\n"
              "  --check-start        check configuration, key and store, say what is wrong, and end\n"
              "  --init-store         write the first record of the store, and end\n"
              "  --join               ... that of a node which the cluster takes in, and which counts only "
              "then\n"
              "  --recreate           ... also over one that is there, which is moved aside\n"
              "  --print-config       print cluster.conf, and end: what hagcd has done when it is told to "
              "read "
              "it anew\n"
              "  --node=NAME          which node this is (default: /etc/hamgr/node-name, then the host "
              "name)\n"
              "  --config=PATH        default: " CLUSTER_CONF_PATH "\n"
              "  --key=PATH           default: " CLUSTER_KEY_PATH "\n"
              "  --run-folder=PATH    default: /run/hagcd\n"
              "  --store=PATH         default: " STORE_PATH "\n"
              "  --store-socket=PATH  default: " STORE_SOCKET_PATH "\n"
              "  --max-clients=N      processes that may be connected, default: 256, of which 32 are kept "
              "for root\n"
              "  --max-clients-per-user=N  the same of each user but root, default: 32\n"
              "  --no-realtime        do not ask for locked memory and real-time priority\n"
              "  -h --help            this text\n"
              "  --version            the version\n",
              f);
        return status;
}

int main(int argc, char *argv[]) {
        enum {
                OPT_CHECK = 1,
                OPT_INIT,
                OPT_JOIN,
                OPT_RECREATE,
                OPT_PRINT,
                OPT_NODE,
                OPT_CONFIG,
                OPT_KEY,
                OPT_RUN,
                OPT_STORE,
                OPT_SOCKET,
                OPT_NO_REALTIME,
                OPT_MAX_CLIENTS,
                OPT_MAX_PER_USER,
                OPT_VERSION,
                OPT_HELP
        };
        static const struct option options[] = {
                { "check-start", no_argument, NULL, OPT_CHECK },
                { "init-store", no_argument, NULL, OPT_INIT },
                { "join", no_argument, NULL, OPT_JOIN },
                { "recreate", no_argument, NULL, OPT_RECREATE },
                { "print-config", no_argument, NULL, OPT_PRINT },
                { "node", required_argument, NULL, OPT_NODE },
                { "config", required_argument, NULL, OPT_CONFIG },
                { "key", required_argument, NULL, OPT_KEY },
                { "run-folder", required_argument, NULL, OPT_RUN },
                { "store", required_argument, NULL, OPT_STORE },
                { "store-socket", required_argument, NULL, OPT_SOCKET },
                { "no-realtime", no_argument, NULL, OPT_NO_REALTIME },
                { "max-clients", required_argument, NULL, OPT_MAX_CLIENTS },
                { "max-clients-per-user", required_argument, NULL, OPT_MAX_PER_USER },
                { "version", no_argument, NULL, OPT_VERSION },
                { "help", no_argument, NULL, OPT_HELP },
                { NULL, 0, NULL, 0 },
        };
        Options o = {
                .conf_path = CLUSTER_CONF_PATH,
                .key_path = CLUSTER_KEY_PATH,
                .run_folder = "/run/hagcd",
                .store_path = STORE_PATH,
                .store_socket = STORE_SOCKET_PATH,
                .realtime = true,
                .limits = { CLIENTS_MAX, CLIENTS_PER_USER_MAX },
        };
        int c;

        log_init("hagcd");
        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case OPT_CHECK:
                        o.check_start = true;
                        break;
                case OPT_INIT:
                        o.init_store = true;
                        break;
                case OPT_JOIN:
                        o.join = true;
                        break;
                case OPT_RECREATE:
                        o.recreate = true;
                        break;
                case OPT_PRINT:
                        o.print_config = true;
                        break;
                case OPT_NODE:
                        o.node = optarg;
                        break;
                case OPT_CONFIG:
                        o.conf_path = optarg;
                        break;
                case OPT_KEY:
                        o.key_path = optarg;
                        break;
                case OPT_RUN:
                        o.run_folder = optarg;
                        break;
                case OPT_STORE:
                        o.store_path = optarg;
                        break;
                case OPT_SOCKET:
                        o.store_socket = optarg;
                        break;
                case OPT_NO_REALTIME:
                        o.realtime = false;
                        break;
                case OPT_MAX_CLIENTS:
                        if (!parse_limit("max-clients", optarg, CLIENTS_LEAST, &o.limits.all))
                                return EXIT_FAILURE;
                        break;
                case OPT_MAX_PER_USER:
                        if (!parse_limit("max-clients-per-user", optarg, 1, &o.limits.per_user))
                                return EXIT_FAILURE;
                        break;
                case OPT_VERSION:
                        puts("hagcd " HAMGR_VERSION);
                        return EXIT_SUCCESS;
                case OPT_HELP:
                case 'h':
                        return usage(stdout, EXIT_SUCCESS);
                default:
                        return usage(stderr, EXIT_FAILURE);
                }
        if (optind != argc)
                return usage(stderr, EXIT_FAILURE);
        if (o.print_config)
                return reload_print(o.conf_path);
        if (o.check_start || o.init_store) {
                log_by_stream();
                return o.check_start ? check_start(&o) : init_store(&o);
        }
        return run(&o);
}
