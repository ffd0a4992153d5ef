/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What administrators write: taken as they mean it, or refused with file, line and what was meant. */

#include <glib.h>

#include "hamgr/state/config.h"

static const HaNodes nodes = {
        .nodes = {
                { .id = 1, .name = "n1", .enabled = true, .has_fence_device = true },
                { .id = 2, .name = "n2", .enabled = true, .has_fence_device = true },
                { .id = 4, .name = "n4.example.org", .enabled = true },
        },
        .n_nodes = 3,
};

typedef struct Text {
        const char *name;
        const char *text;
} Text;

#define TEXTS_MAX 4

static HaConfig *parse(const Text *texts, char **ret_errors) {
        HaFile files[TEXTS_MAX];
        ConfErrors errors = { 0 };
        HaConfig *c = NULL;
        size_t n = 0;
        char *text;
        int r;

        for (; n < TEXTS_MAX && texts[n].name; n++)
                files[n] = (HaFile){ (char *) texts[n].name, (char *) texts[n].text };
        r = ha_config_parse(&nodes, files, n, &c, &errors);
        text = conf_errors_to_text(&errors);
        g_assert_cmpint(r<0, ==, errors.n_items> 0);
        g_assert_cmpint(r < 0, ==, c == NULL);
        if (ret_errors)
                *ret_errors = text;
        else {
                if (r < 0)
                        g_test_message("%s", text);
                g_assert_cmpint(r, ==, 0);
                free(text);
        }
        conf_errors_done(&errors);
        return c;
}

static void test_all_of_it(void) {
        const Text texts[TEXTS_MAX] = {
                { "web.group",
                  "# the shop\n"
                  "[Group]\nDescription=The shop\nPolicy=mine\nDomain=n2 n1\nStandby=n4.example.org\n"
                  "[Mount "
                  "data]\nWhat=/dev/disk/by-label/shop\nWhere=/srv/"
                  "shop\nType=xfs\nOptions=nouuid\nFsck=yes\n"
                  "[Address vip]\nAddress=192.0.2.10/24\nInterface=eth0\n"
                  "[Address vip6]\nAddress=2001:DB8:0::10/64\nInterface=eth0\n"
                  "[Unit app]\nUnit=shop.service\nWatchdogSec=5\nStartSec=10s\n" },
                { "mine.policy",
                  "[Policy]\nDescription=Ours\nPlacement=ordered\nFailback=controlled\nRestarts=5\n"
                  "RestartWindowSec=2min\nStandbyLoad=0\nOnStopFailure=block\n" },
                { "web.group.d/10-late.conf", "[Unit app]\nStopSec=5s\n" },
        };
        _cleanup_(ha_config_freep) HaConfig *c = parse(texts, NULL);
        const HaGroup *g = ha_config_find_group(c, "web");
        const HaResource *r;

        g_assert_nonnull(g);
        g_assert_cmpstr(g->description, ==, "The shop");
        g_assert_cmpuint(g->n_domain, ==, 2);
        g_assert_cmpuint(g->domain[0], ==, 2);
        g_assert_cmpuint(g->standby[0], ==, 4);
        g_assert_cmpuint(ha_group_rank(g, 2), ==, 0);
        g_assert_cmpuint(ha_group_rank(g, 4), ==, 2);
        g_assert_cmpuint(ha_group_rank(g, 7), ==, SIZE_MAX);
        g_assert_cmpuint(ha_group_nodes(g), ==, node_set_of(1) | node_set_of(2) | node_set_of(4));

        g_assert_cmpstr(g->policy->name, ==, "mine");
        g_assert_cmpint(g->policy->failback, ==, HA_FAILBACK_CONTROLLED);
        g_assert_cmpuint(g->policy->restarts, ==, 5);
        g_assert_cmpuint(g->policy->restart_window_usec, ==, 120000000);
        g_assert_cmpuint(g->policy->standby_load, ==, 0);
        g_assert_cmpint(g->policy->on_stop_failure, ==, HA_STOP_FAILURE_BLOCK);

        g_assert_cmpuint(g->n_resources, ==, 4);
        r = g->resources + 0;
        g_assert_cmpint(r->type, ==, HA_RESOURCE_MOUNT);
        g_assert_cmpstr(r->mount.what, ==, "/dev/disk/by-label/shop");
        g_assert_true(r->mount.fsck);
        g_assert_cmpstr(g->resources[1].address.address, ==, "192.0.2.10");
        g_assert_cmpuint(g->resources[1].address.prefix, ==, 24);
        g_assert_cmpstr(g->resources[2].address.address, ==, "2001:db8::10");
        g_assert_cmpint(g->resources[2].address.family, ==, 6);
        r = ha_group_find_resource(g, "app");
        g_assert_cmpstr(r->unit.unit, ==, "shop.service");
        g_assert_cmpuint(r->unit.watchdog_usec, ==, 5000000);
        g_assert_cmpuint(r->start_usec, ==, 10000000);
        g_assert_cmpuint(r->stop_usec, ==, 5000000);
}

static void test_defaults(void) {
        const Text texts[TEXTS_MAX] = { { "a.group", "[Group]\nDomain=n1\n[Unit u]\nUnit=u.service\n" } };
        _cleanup_(ha_config_freep) HaConfig *c = parse(texts, NULL);

        g_assert_cmpstr(c->groups[0].policy->name, ==, HA_POLICY_DEFAULT);
        g_assert_cmpint(c->groups[0].policy->failback, ==, HA_FAILBACK_CONTROLLED);
        g_assert_cmpuint(c->groups[0].policy->restarts, ==, 3);
        g_assert_cmpuint(c->groups[0].resources[0].start_usec, ==, 30000000);
}

/* Is the fourth line refused? */
static void assert_refused(bool refused, const char *section, const char *value) {
        g_autofree char *errors = NULL;
        _cleanup_(ha_config_freep) HaConfig *c = NULL;
        g_autofree char *text =
                        g_strdup_printf("[Group]\nDomain=n1\n[%s x]\n%s=%s\n%s",
                                        section,
                                        section,
                                        value,
                                        streq(section, "Address") ? "Interface=eth0\n" : "");
        const Text texts[TEXTS_MAX] = { { "a.group", text } };

        c = parse(texts, &errors);
        g_test_message("%s: %s", value, errors);
        g_assert_cmpint(c == NULL, ==, refused);
        g_assert_true(!refused || g_str_has_prefix(errors, "a.group:4: "));
}

static void test_what_is_never_managed(void) {
        static const char *const units[] = {
                "multi-user.target", "shop.target",           "dbus.service",
                "dbus.socket",       "hagcd.service",         "hagcd-store.socket",
                "hamgr.service",     "hamgr-web-vip.service", "systemd-logind.service",
                "init.scope",        "user@1000.service",     "systemd-journald.socket",
        };
        static const char *const good[] = { "user-shop.service", "dbusmonitor.service", "hagcdemo.timer" };
        static const char *const addresses[] = {
                "192.0.2.0/24", "192.0.2.255/24", "127.0.0.1/8", "224.0.0.1/24",
                "0.0.0.0/24",   "::/64",          "::1/128",     "ff02::1/64",
        };

        FOREACH_ARRAY(u, units, ELEMENTSOF(units))
                assert_refused(true, "Unit", *u);
        FOREACH_ARRAY(u, good, ELEMENTSOF(good))
                assert_refused(false, "Unit", *u);
        FOREACH_ARRAY(a, addresses, ELEMENTSOF(addresses))
                assert_refused(true, "Address", *a);
        assert_refused(false, "Address", "192.0.2.0/31");
}

#define GOOD_UNIT "[Unit app]\nUnit=app.service\n"

/* A wrong file, and what its complaint has to say, its place first. */
typedef struct Wrong {
        Text texts[TEXTS_MAX];
        const char *expected[3];
} Wrong;

static const Wrong wrong[] = {
        { { { "a.group", "[Group]\nDomain=n1\nPolcy=x\n" GOOD_UNIT } }, { "a.group:3:", "Policy" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Adress x]\nAddress=192.0.2.1/24\n" GOOD_UNIT } },
          { "a.group:3:", "Address" } },
        { { { "a.group", "[Group]\nDomain=n1\nPolicy=n_by_2\n" GOOD_UNIT },
            { "n_by_1.policy", "[Policy]\n" } },
          { "a.group:3:", "no such policy", "n_by_1" } },
        { { { "a.group", "[Group]\nDomain=n1 n9\n" GOOD_UNIT } }, { "a.group:2:", "n9", "cluster.conf" } },
        { { { "a.group", "[Group]\nDomain=n1,n2\n" GOOD_UNIT } }, { "a.group:2:", "n1,n2", "not commas" } },
        { { { "a.group", "[Group]\nDomain=n1 n1\n" GOOD_UNIT } }, { "a.group:2:", "already" } },
        { { { "a.group", "[Group]\nDomain=n1\nStandby=n1\n" GOOD_UNIT } }, { "a.group:3:", "already" } },
        { { { "a.group", "[Group]\nDomain=\n" GOOD_UNIT } }, { "a.group:", "Domain" } },
        { { { "a.group", "[Group]\nDescription=x\n" GOOD_UNIT } }, { "a.group:", "Domain" } },
        { { { "a.group", GOOD_UNIT } }, { "a.group:", "Group" } },
        { { { "a.group", "[Group]\nDomain=n1\n" } }, { "a.group:1:", "nothing to run" } },
        { { { "a.group", "[Group]\nDomain=n1\n" GOOD_UNIT "[Mount app]\nWhat=/dev/x\nWhere=/x\n" } },
          { "a.group:5:", "taken" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Unit App]\nUnit=app.service\n" } }, { "a.group:3:" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Unit x]\nUnit=app\n" } }, { "a.group:4:", ".service" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Address x]\nAddress=192.0.2.300/24\nInterface=eth0\n" } },
          { "a.group:4:", "192.0.2.10/24" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Address x]\nAddress=192.0.2.3\nInterface=eth0\n" } },
          { "a.group:4:", "prefix" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Address x]\nAddress=192.0.2.3/33\nInterface=eth0\n" } },
          { "a.group:4:", "prefix" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Address x]\nAddress=192.0.2.3/24\n" } },
          { "a.group:", "Interface" } },
        { { { "a.group",
              "[Group]\nDomain=n1\n[Address x]\nAddress=192.0.2.3/24\nInterface=much-too-long-a-name\n" } },
          { "a.group:5:", "15" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Mount x]\nWhat=shop\nWhere=/x\n" } },
          { "a.group:4:", "LABEL=" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Mount x]\nWhat=/dev/x\nWhere=x\n" } }, { "a.group:5:" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Mount x]\nWhat=/etc/passwd\nWhere=/x\nType=xfs\n" } },
          { "a.group:4:", "block device" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Mount x]\nWhat=/srv/y\nWhere=/x\n" } },
          { "a.group:4:", "block device" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Unit x]\nUnit=x.service\nStartSec=soon\n" } },
          { "a.group:5:" } },
        { { { "p.policy", "[Policy]\nFailback=sometimes\n" } }, { "p.policy:2:", "automatic" } },
        { { { "p.policy", "[Policy]\nRestarts=-1\n" } }, { "p.policy:2:" } },
        { { { "p.policy", "[Policies]\n" } }, { "p.policy:1:", "Policy" } },
        { { { "Web.group", "[Group]\nDomain=n1\n" GOOD_UNIT } }, { "Web.group:", "NAME.group" } },
        { { { "../a.group", "[Group]\nDomain=n1\n" GOOD_UNIT } }, { "../a.group:", "NAME.group" } },
        { { { "a.group.d/x.conf", "[Group]\nDomain=n1\n" GOOD_UNIT } }, { "a.group.d/x.conf:", "a.group" } },
        { { { "a.group", "[Group]\nDomain=n1\n" GOOD_UNIT },
            { "b.group", "[Group]\nDomain=n2\n[Unit x]\nUnit=app.service\n" } },
          { "b.group:3:", "unit app.service", "a.group" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Address x]\nAddress=192.0.2.3/24\nInterface=eth0\n" },
            { "b.group", "[Group]\nDomain=n2\n[Address y]\nAddress=192.0.2.3/16\nInterface=eth1\n" } },
          { "b.group:3:", "address 192.0.2.3", "group \"a\"" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Address x]\nAddress=2001:db8::1/64\nInterface=eth0\n" },
            { "b.group", "[Group]\nDomain=n2\n[Address y]\nAddress=2001:DB8:0:0::1/64\nInterface=eth0\n" } },
          { "b.group:3:", "2001:db8::1" } },
        { { { "a.group", "[Group]\nDomain=n1\n[Mount x]\nWhat=/dev/x\nWhere=/srv/x\n" },
            { "b.group", "[Group]\nDomain=n2\n[Mount y]\nWhat=/dev/x\nWhere=/srv/y\n" } },
          { "b.group:3:", "device /dev/x" } },
        { { { "a.group",
              "[Group]\nDomain=n1\n[Mount x]\nWhat=/dev/x\nWhere=/srv/x\n[Mount "
              "y]\nWhat=/dev/y\nWhere=/srv/x\n" } },
          { "a.group:6:", "mount point /srv/x" } },
        { { { "a.group", "[Group]\nDomain=n1\nDomain=n2\n" GOOD_UNIT } }, { "a.group:3:" } },
        { { { "a.group", "Domain=n1\n[Group]\n" GOOD_UNIT } }, { "a.group:1:" } },
};

static void test_wrong(gconstpointer data) {
        const Wrong *w = data;
        char *errors = NULL;
        HaConfig *c = parse(w->texts, &errors);

        g_assert_null(c);
        g_test_message("%s", errors);
        for (size_t i = 0; i < ELEMENTSOF(w->expected) && w->expected[i]; i++)
                if (!strstr(errors, w->expected[i]))
                        g_test_fail_printf("\"%s\" is not in: %s", w->expected[i], errors);
        free(errors);
}

static void test_all_errors_at_once(void) {
        const Text texts[TEXTS_MAX] = {
                { "a.group", "[Group]\nDomain=n9\nPolicy=nix\nFoo=1\n[Unit x]\nUnit=x\n" },
                { "p.policy", "[Policy]\nRestarts=many\n" },
        };
        char *errors = NULL;
        unsigned n = 0;

        g_assert_null(parse(texts, &errors));
        for (const char *p = errors; *p; p++)
                n += *p == '\n';
        g_assert_cmpuint(n, ==, 5);
        free(errors);
}

static void test_form_is_canonical(void) {
        HaFile one[] = { { (char *) "b.group", (char *) "x" }, { (char *) "a.group", (char *) "y" } };
        HaFile two[] = { { (char *) "a.group", (char *) "y" }, { (char *) "b.group", (char *) "x" } };
        g_autoptr(GBytes) x = ha_files_serialize(one, 2), y = ha_files_serialize(two, 2);
        const uint8_t *data = g_bytes_get_data(x, NULL);
        HaFile *files;
        size_t n;

        g_assert_true(g_bytes_equal(x, y));
        g_assert_cmpuint(ha_files_hash(one, 2), ==, ha_files_hash(two, 2));
        two[1].text = (char *) "z";
        g_assert_cmpuint(ha_files_hash(one, 2), !=, ha_files_hash(two, 2));

        g_assert_cmpint(ha_files_deserialize(data, g_bytes_get_size(x), &files, &n), ==, 0);
        g_assert_cmpuint(n, ==, 2);
        g_assert_cmpstr(files[0].name, ==, "a.group");
        g_assert_cmpstr(files[0].text, ==, "y");
        ha_files_free(files, n);
        for (size_t cut = 0; cut < g_bytes_get_size(x); cut++) {
                g_autofree uint8_t *part = g_memdup2(data, cut);

                g_assert_cmpint(ha_files_deserialize(part, cut, &files, &n), ==, -EBADMSG);
        }
}

static void test_what_was_removed(void) {
        const Text before[TEXTS_MAX] = {
                { "a.group",
                  "[Group]\nDomain=n1\n[Mount m]\nWhat=/dev/x\nWhere=/x\n[Unit "
                  "app]\nUnit=app.service\nStartSec=5s\n" },
        };
        const Text after[TEXTS_MAX] = {
                { "a.group",
                  "[Group]\nDomain=n1 n2\n[Mount m]\nWhat=/dev/x\nWhere=/y\n[Unit "
                  "app]\nUnit=app.service\nStartSec=9s\n"
                  "[Unit more]\nUnit=more.service\n" },
        };
        _cleanup_(ha_config_freep) HaConfig *a = parse(before, NULL), *b = parse(after, NULL);
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

        /* Another mount point is another mount; a longer time-out is the same unit; more is no loss. */
        g_assert_cmpuint(ha_group_resources_removed(a->groups, b->groups, lines), ==, 1);
        g_assert_nonnull(strstr(g_ptr_array_index(lines, 0), "[Mount m] is changed"));
        g_assert_cmpuint(ha_group_resources_removed(a->groups, NULL, lines), ==, 2);
        g_assert_cmpuint(ha_group_resources_removed(a->groups, a->groups, lines), ==, 0);
        g_assert_cmpuint(a->groups[0].resources_hash, !=, b->groups[0].resources_hash);
}

static void test_names_of_nodes(void) {
        char buf[NAME_LENGTH_MAX + 1] = "left over";

        /* Always in the caller's buffer too: it is named once and used often. */
        g_assert_cmpstr(ha_nodes_name(&nodes, 4, buf), ==, "n4.example.org");
        g_assert_cmpstr(buf, ==, "n4.example.org");
        g_assert_cmpstr(ha_nodes_name(&nodes, 3, buf), ==, "node 3");
        g_assert_cmpstr(buf, ==, "node 3");
        g_assert_null(ha_nodes_find(&nodes, 3));
        g_assert_cmpuint(ha_nodes_find_name(&nodes, "n2")->id, ==, 2);
        g_assert_null(ha_nodes_find_name(&nodes, "n3"));
}

static void test_sample_policies(void) {
        static const char *const names[] = { "active_standby", "dual_active", "n_by_1", "n_by_n" };
        const char *root = g_getenv("HAMGR_SOURCE_ROOT");

        if (!root) {
                g_test_skip("HAMGR_SOURCE_ROOT is not set");
                return;
        }
        FOREACH_ARRAY(name, names, ELEMENTSOF(names)) {
                g_autofree char *file = g_strdup_printf("%s.policy", *name);
                g_autofree char *path = g_build_filename(root, "policy", file, NULL);
                g_autofree char *text = NULL;
                Text texts[TEXTS_MAX] = { { file, NULL } };
                _cleanup_(ha_config_freep) HaConfig *c = NULL;

                g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
                texts[0].text = text;
                c = parse(texts, NULL);
                g_assert_nonnull(ha_config_find_policy(c, *name));
        }
}

/* The commented group in docs/: it is right, and what it shows as defaults are the defaults. */
static void test_sample_group(void) {
        const char *root = g_getenv("HAMGR_SOURCE_ROOT");
        g_autofree char *path = NULL, *whole = NULL, *text = NULL, *spelled = NULL;
        g_autoptr(GRegex) defaults = g_regex_new("^#([A-Z][A-Za-z]*=.)", G_REGEX_MULTILINE, 0, NULL);
        g_autoptr(GRegex) standby = g_regex_new("^#Standby=.*", G_REGEX_MULTILINE, 0, NULL);
        const HaNodes three = {
                .nodes = { { .id = 1, .name = "n1", .enabled = true },
                           { .id = 2, .name = "n2", .enabled = true },
                           { .id = 3, .name = "n3", .enabled = true } },
                .n_nodes = 3,
        };
        uint64_t hash[2];

        if (!root) {
                g_test_skip("HAMGR_SOURCE_ROOT is not set");
                return;
        }
        path = g_build_filename(root, "docs", "web.group", NULL);
        g_assert_true(g_file_get_contents(path, &whole, NULL, NULL));
        text = g_regex_replace(standby, whole, -1, 0, "", 0, NULL);
        spelled = g_regex_replace(defaults, text, -1, 0, "\\1", 0, NULL);
        g_assert_cmpstr(text, !=, spelled);
        for (unsigned i = 0; i < 2; i++) {
                HaFile file = { (char *) "web.group", i == 0 ? text : spelled };
                _cleanup_(ha_config_freep) HaConfig *c = NULL;
                ConfErrors errors = { 0 };

                g_assert_cmpint(ha_config_parse(&three, &file, 1, &c, &errors), ==, 0);
                g_assert_cmpstr(ha_config_find_group(c, "web")->policy->name, ==, "active_standby");
                hash[i] = ha_config_find_group(c, "web")->resources_hash;
        }
        g_assert_cmpuint(hash[0], ==, hash[1]);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/state/config/all-of-it", test_all_of_it);
        g_test_add_func("/state/config/defaults", test_defaults);
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                g_autofree char *path = g_strdup_printf("/state/config/wrong/%02zu", i + 1);

                g_test_add_data_func(path, wrong + i, test_wrong);
        }
        g_test_add_func("/state/config/what-is-never-managed", test_what_is_never_managed);
        g_test_add_func("/state/config/all-errors-at-once", test_all_errors_at_once);
        g_test_add_func("/state/config/form-is-canonical", test_form_is_canonical);
        g_test_add_func("/state/config/what-was-removed", test_what_was_removed);
        g_test_add_func("/state/config/names-of-nodes", test_names_of_nodes);
        g_test_add_func("/state/config/sample-policies", test_sample_policies);
        g_test_add_func("/state/config/sample-group", test_sample_group);
        return g_test_run();
}
