/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ifaddrs.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/time-util.h"
#include "hamgr/check.h"
#include "hamgr/drive/drive.h"
#include "hamgr/fence/fence.h"
#include "shared/budget.h"
#include "shared/cluster-access.h"
#include "shared/cluster-key.h"
#include "shared/config-files.h"
#include "shared/log.h"
#include "shared/node-name.h"

void check_print_errors(const ConfErrors *errors) {
        _cleanup_free_ char *text = conf_errors_to_text(errors);

        fputs(text ?: "out of memory\n", stderr);
}

void nodes_from_conf(const ClusterConf *conf, HaNodes *ret) {
        NodeSet fenceable = cluster_conf_fenceable_nodes(conf);

        *ret = (HaNodes){
                .n_nodes = conf->n_nodes,
                .failure_usec = conf->failure_usec,
                .unseen_fence_usec = conf->unseen_fence_usec,
                .hash = conf->hash,
        };
        for (size_t i = 0; i < conf->n_nodes; i++) {
                HaNode *n = &ret->nodes[i];

                n->id = conf->nodes[i].id;
                n->enabled = conf->nodes[i].enabled;
                n->has_fence_device = node_set_contains(fenceable, n->id);
                n->fence_timeout_usec = cluster_conf_fence_usec(conf, n->id);
                n->identity = cluster_conf_node_identity(conf, &conf->nodes[i]);
                (void) g_strlcpy(n->name, conf->nodes[i].name, sizeof(n->name));
        }
}

static bool check_key(void) {
        _cleanup_free_ char *why = NULL;
        ClusterKey key;

        if (cluster_key_load(CLUSTER_KEY_PATH, &key, &why) < 0) {
                fprintf(stderr, "%s\n", strempty(why));
                return false;
        }
        cluster_key_done(&key);
        return true;
}

static bool is_here(const struct ifaddrs *all, const ClusterAddress *address) {
        for (const struct ifaddrs *i = all; i; i = i->ifa_next)
                if (i->ifa_addr && cluster_address_equal((const ClusterAddress *) i->ifa_addr, address))
                        return true;
        return false;
}

/* It may come later than hagcd at boot; but a server that was given another's cluster.conf, or an old one,
 * hears nothing. */
static void warn_of_addresses(const ClusterConf *conf, const ClusterNode *self) {
        struct ifaddrs *all;

        if (getifaddrs(&all) < 0)
                return;
        for (unsigned i = 0; i < conf->n_links; i++) {
                char text[CLUSTER_ADDRESS_TEXT_MAX];

                if (!is_here(all, &self->addresses[i]))
                        fprintf(stderr,
                                "Warning: this server is %s by its name, but no interface here has %s, its "
                                "address on link %u; nothing is heard on that link until one has\n",
                                self->name,
                                cluster_address_format(&self->addresses[i], text),
                                i);
        }
        freeifaddrs(all);
}

static void warn_of_accounts(ClusterConf *conf) {
        const ClusterAccess *a;
        const ClusterPrincipal *p;
        size_t i = 0;

        cluster_access_resolve(conf, NULL, NULL);
        while ((p = cluster_access_next_unknown(conf, &i, &a)))
                fprintf(stderr,
                        "Warning: %s:%u: [Access %s] names %s, and there is no such %s on this server, so "
                        "that "
                        "it lets nobody here into a group\n",
                        conf->file,
                        a->line,
                        a->pattern,
                        p->text,
                        p->group ? "group" : "user");
}

static void warn_of_store(void) {
        if (access(CLUSTER_STORE_PATH, F_OK) < 0 && errno == ENOENT)
                fputs("Warning: there is no store at " CLUSTER_STORE_PATH
                      ": in a new cluster run \"hactl init\" "
                      "here, or this server is not counted until others with more than half of the votes "
                      "have taken it in\n",
                      stderr);
}

/* Who has no device: can this server be proven dead by time? What it is to be proven by must stand. */
static bool check_watchdog(const ClusterConf *conf, const ClusterNode *self) {
        bool fenceable = node_set_contains(cluster_conf_fenceable_nodes(conf), self->id);
        BudgetFacts facts;
        Budget b;

        if (!self->enabled || (self->watchdog == CLUSTER_WATCHDOG_NO && fenceable))
                return true;
        budget_ask(&facts);
        budget_compute(conf, self, &facts, &b);
        if (isempty(b.refusal)) {
                char text[DURATION_TEXT_MAX];

                printf("Watchdog=%s of %s: it has reset itself within %s; \"hactl budget\" shows why.\n",
                       cluster_watchdog_to_string(self->watchdog),
                       self->name,
                       format_duration(b.sum_usec, text));
                return true;
        }
        /* What only starting hagcd mends is no fault of the files. */
        if (!b.is_wrong || b.is_stopped) {
                if (!fenceable)
                        fprintf(stderr,
                                "Warning: %s has no watchdog that counts: %s. Where it hangs with its "
                                "kernel, "
                                "nothing resets it, and nothing is taken over from it by time\n",
                                self->name,
                                b.refusal);
                return true;
        }
        fprintf(stderr,
                "Watchdog=%s of %s does not count, and nothing is taken over from it by time: %s\n",
                cluster_watchdog_to_string(self->watchdog),
                self->name,
                b.refusal);
        return false;
}

/* Every node that may run something needs a device that can switch it off, or nothing is taken over from it.
 */
static bool check_fences(const ClusterConf *conf, uint32_t self) {
        NodeSet without = cluster_conf_enabled_nodes(conf) & ~cluster_conf_fenceable_nodes(conf);
        bool ok = true;

        for (size_t i = 0; i < conf->n_fences; i++) {
                char error[FENCE_ERROR_MAX];

                if (conf->fences[i].no_verification)
                        fprintf(stderr,
                                "Warning: fence device %s has VerifyCertificate=no: whoever answers at the "
                                "address of a management controller gets its password, and is believed that "
                                "a "
                                "server is off\n",
                                conf->fences[i].name);
                if (fence_check(&conf->fences[i], self, error) < 0) {
                        fprintf(stderr, "%s\n", error);
                        ok = false;
                }
        }
        NODE_SET_FOREACH(id, without)
                if (cluster_conf_node_by_id(conf, id)->watchdog == CLUSTER_WATCHDOG_NO)
                        fprintf(stderr,
                                "Warning: no [Fence] section names %s: when it fails, nothing is taken over "
                                "from it "
                                "until an "
                                "operator confirms that it is off\n",
                                cluster_conf_node_name(conf, id));
        return ok;
}

typedef struct Look {
        sd_event *event; /* weak */
        const HaConfig *config;
        uint32_t node;
        DriveValidation *validation; /* owned */
        bool ok;
} Look;

static void
on_validated(DriveValidation *v, const char *const *errors, const char *const *warnings, void *userdata) {
        Look *look = userdata;

        for (; *warnings; warnings++)
                fprintf(stderr, "Warning: %s\n", *warnings);
        look->ok = !*errors;
        for (; *errors; errors++)
                fprintf(stderr, "%s\n", *errors);
        (void) sd_event_exit(look->event, 0);
}

static void on_drive(Drive *d, const DriveEvent *event, void *userdata) {
        Look *look = userdata;
        int r;

        if (event->type != DRIVE_EVENT_CONNECTED || look->validation)
                return;
        r = drive_validate(d, look->config, look->node, on_validated, look, &look->validation);
        if (r < 0)
                (void) sd_event_exit(look->event, r);
}

/* Do the units, interfaces and devices that this node may have to run exist here? */
static bool look_here(const HaConfig *config, uint32_t node) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(drive_freep) Drive *d = NULL;
        Look look = { .config = config, .node = node };
        int r;

        r = sd_event_new(&event);
        look.event = event;
        if (r >= 0)
                r = drive_new(event, NULL, on_drive, &look, &d);
        if (r >= 0)
                r = sd_event_loop(event);
        drive_validation_free(look.validation);
        if (r < 0)
                fprintf(stderr, "cannot ask systemd about the units of this node: %s\n", strerror(-r));
        return r >= 0 && look.ok;
}

static bool check_groups(const char *folder, const ClusterConf *conf, uint32_t node) {
        _cleanup_(config_files_done) ConfigFiles files = {};
        _cleanup_(ha_config_freep) HaConfig *config = NULL;
        _cleanup_free_ char *why = NULL;
        g_autofree HaFile *borrowed = NULL;
        ConfErrors errors = {};
        HaNodes nodes;
        int r;

        r = config_files_load(folder, CONFIG_FILES_VENDOR_FOLDER, &files, &why);
        if (r < 0) {
                fprintf(stderr, "%s\n", strempty(why));
                return false;
        }
        borrowed = g_new0(HaFile, files.n_files);
        for (size_t i = 0; i < files.n_files; i++)
                borrowed[i] = (HaFile){ files.files[i].name, files.files[i].text };
        nodes_from_conf(conf, &nodes);
        r = ha_config_parse(&nodes, borrowed, files.n_files, &config, &errors);
        check_print_errors(&errors);
        conf_errors_done(&errors);
        return r >= 0 && look_here(config, node);
}

int check_run(const char *folder, const char *node_option) {
        _cleanup_(cluster_conf_freep) ClusterConf *conf = NULL;
        _cleanup_free_ char *why = NULL;
        const ClusterNode *self;
        ConfErrors errors = {};
        bool ok;
        int r;

        r = cluster_conf_load(CLUSTER_CONF_PATH, &errors, &conf);
        check_print_errors(&errors);
        conf_errors_done(&errors);
        if (r < 0)
                return EXIT_FAILURE;
        r = node_name_resolve_here(conf, node_option, &self, &why);
        if (r < 0) {
                fprintf(stderr, "%s\n", why ?: strerror(-r));
                return EXIT_FAILURE;
        }
        warn_of_addresses(conf, self);
        warn_of_accounts(conf);
        warn_of_store();
        ok = check_key();
        ok = check_fences(conf, self->id) && ok;
        ok = check_watchdog(conf, self) && ok;
        ok = check_groups(folder, conf, self->id) && ok;
        return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
