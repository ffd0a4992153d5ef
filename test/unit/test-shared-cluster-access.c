/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <glib/gstdio.h>

#include "shared/cluster-access.h"

#define CONF "[Cluster]\nName=shop\n[Node n1]\nId=1\nAddress=10.1.0.1\n"

static ClusterConf *parse(const char *sections) {
        g_autofree char *text = g_strconcat(CONF, sections, NULL);
        ConfErrors errors = {};
        ClusterConf *c = NULL;

        if (cluster_conf_parse("c", text, strlen(text), &errors, &c) < 0) {
                _cleanup_free_ char *all = conf_errors_to_text(&errors);

                g_error("%s", all);
        }
        conf_errors_done(&errors);
        return c;
}

static void assert_error(const char *sections, const char *expected) {
        g_autofree char *text = g_strconcat(CONF, sections, NULL);
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        _cleanup_free_ char *all = NULL;
        ClusterConf *c = NULL;

        g_assert_cmpint(cluster_conf_parse("c", text, strlen(text), &errors, &c), ==, -EINVAL);
        g_assert_null(c);
        all = conf_errors_to_text(&errors);
        g_assert_cmpstr(all, ==, expected);
}

/* ---- The file ---- */

static void test_keys(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse("[Access db_*]\n"
                                                             "Join=postgres @dba 1001 @1002\n"
                                                             "Critical=postgres\n"
                                                             "[Access chat]\n"
                                                             "Join=*\n"
                                                             "[Access none]\n"
                                                             "Join=\n");
        const ClusterAccess *db = &c->accesses[0];

        g_assert_cmpuint(c->n_accesses, ==, 3);
        g_assert_cmpuint(db->join.n_items, ==, 4);
        g_assert_false(db->join.items[0].known);
        g_assert_true(db->join.items[1].group);
        g_assert_true(db->join.items[2].known);
        g_assert_cmpuint(db->join.items[2].id, ==, 1001);
        g_assert_true(db->join.items[3].group);
        g_assert_cmpuint(db->join.items[3].id, ==, 1002);
        g_assert_true(db->critical.given);
        g_assert_true(c->accesses[1].join.items[0].everybody);
        g_assert_false(c->accesses[1].critical.given);
        g_assert_false(c->accesses[2].join.given);
}

static void test_errors(void) {
        g_autoptr(GString) many = g_string_new("[Access a]\nJoin=");

        assert_error("[Access]\nJoin=a\n", "c:6: [Access] needs a name; write [Access name]\n");
        assert_error("[Access a-b]\nJoin=a\n",
                     "c:6: \"a-b\" is no name or pattern for [Access]; they are 1 to 32 of a-z 0-9 _ and * "
                     "?\n");
        assert_error("[Access hamgr*]\nJoin=a\n",
                     "c:6: groups named hamgr... are for root, and no [Access] section changes that; take "
                     "it "
                     "out\n");
        assert_error("[Access a]\nJion=b\n", "c:7: unknown key Jion= in [Access]; did you mean \"Join\"?\n");
        assert_error("[Access a]\nCritical=*\n",
                     "c:7: Critical=*: \"*\" would let anybody reset the node by ending a process; name "
                     "users "
                     "or @groups\n");
        assert_error("[Access a]\nJoin=b @\n",
                     "c:7: Join=b @: \"@\" is neither a user nor a group; write user, @group, a number or "
                     "@number, or * for everybody\n");
        assert_error("[Access a]\nCritical=b,c\n",
                     "c:7: Critical=b,c: \"b,c\" is neither a user nor a group; write user, @group, a "
                     "number "
                     "or @number\n");
        assert_error("[Access a]\nJoin=4294967295\n",
                     "c:7: Join=4294967295: 4294967295 is too large for the number of an account\n");
        for (unsigned i = 0; i <= CLUSTER_PRINCIPALS_MAX; i++)
                g_string_append_printf(many, "%s%u", i > 0 ? " \\\n" : "", 10 + i);
        g_string_append_c(many, '\n');
        {
                g_autofree char *text = g_strconcat(CONF, many->str, NULL);
                _cleanup_(conf_errors_done) ConfErrors errors = {};
                ClusterConf *c;

                g_assert_cmpint(cluster_conf_parse("c", text, strlen(text), &errors, &c), ==, -EINVAL);
                g_assert_cmpuint(errors.n_items, ==, 1);
                g_assert_nonnull(strstr(errors.items[0].message, "more than 32 users and groups"));
        }
}

static void test_too_many_sections(void) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (unsigned i = 0; i <= CLUSTER_ACCESSES_MAX; i++)
                g_string_append_printf(text, "[Access g%u]\n", i);
        assert_error(text->str,
                     "c:70: more than 64 [Access] sections; use patterns such as [Access web_*]\n");
}

static void test_canonical_text_reads_back(void) {
        _cleanup_(cluster_conf_freep) ClusterConf
                        *c = parse("[Access web_*]\nJoin=www @7\nCritical=8\n[Access *]\nJoin=root\n"),
                        *copy = cluster_conf_copy(c);
        _cleanup_free_ char *text = cluster_conf_to_text(c);

        g_assert_nonnull(strstr(
                        text, "\n[Access web_*]\nJoin=www @7\nCritical=8\n\n[Access *]\nJoin=root\n"));
        g_assert_nonnull(copy);
        g_assert_cmpuint(copy->access_hash, ==, c->access_hash);
}

/* R7: no node's vote depends on it, so no membership is needed for a change of it. */
static void test_memberships_do_not_ask(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *none = parse(""), *some = parse("[Access a]\nJoin=b\n"),
                                                  *more = parse("[Access a]\nCritical=b\n");

        g_assert_cmpuint(none->hash, ==, some->hash);
        g_assert_cmpuint(none->access_hash, !=, some->access_hash);
        g_assert_cmpuint(some->access_hash, !=, more->access_hash);
}

/* ---- Which section counts ---- */

static void assert_found(const ClusterConf *c, const char *group, const char *pattern) {
        const ClusterAccess *a = cluster_access_find(c, group);

        g_assert_cmpstr(a ? a->pattern : NULL, ==, pattern);
}

static void test_most_specific(void) {
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse("[Access *]\n"
                                                             "[Access web_*]\n"
                                                             "[Access web_shop_*]\n"
                                                             "[Access web_shop_eu]\n"
                                                             "[Access *_log]\n"
                                                             "[Access x?z]\n");
        _cleanup_(cluster_conf_freep) ClusterConf *narrow = parse("[Access a?]\n");

        assert_found(c, "mail", "*");
        assert_found(c, "web_", "web_*");
        assert_found(c, "web_shop_us", "web_shop_*");
        assert_found(c, "web_shop_eu", "web_shop_eu");
        assert_found(c, "xyz", "x?z");
        /* As close: the first. */
        assert_found(c, "web_log", "web_*");
        assert_found(c, "mail_log", "*_log");
        assert_found(narrow, "a", NULL);
        assert_found(narrow, "ab", "a?");
}

/* ---- Names ---- */

typedef struct Files {
        char *folder, *passwd, *group; /* owned */
} Files;

static void files_done(Files *f) {
        (void) g_unlink(f->passwd);
        (void) g_unlink(f->group);
        (void) g_rmdir(f->folder);
        g_free(f->passwd);
        g_free(f->group);
        g_free(f->folder);
}

static Files files(const char *passwd, const char *group) {
        Files f = { .folder = g_dir_make_tmp("cluster-access-XXXXXX", NULL) };

        f.passwd = g_build_filename(f.folder, "passwd", NULL);
        f.group = g_build_filename(f.folder, "group", NULL);
        g_assert_true(g_file_set_contents(f.passwd, passwd, -1, NULL));
        g_assert_true(g_file_set_contents(f.group, group, -1, NULL));
        return f;
}

#define PASSWD                                                                                              \
        "root:x:0:0::/root:/bin/sh\nnonsense\npostgres:x:113:120::/:/bin/sh\npostgres:x:9:9::/:/bin/sh\n"
#define GROUP "root:x:0:\ndba:x:27:postgres,other\npostgres:x:120:\n"
#define NAMED "[Access db]\nJoin=postgres @dba ghost\nCritical=@postgres @ghosts\n"

static void assert_known(const ClusterConf *c) {
        const ClusterPrincipals *join = &c->accesses[0].join, *critical = &c->accesses[0].critical;
        const ClusterAccess *section;
        size_t i = 0;

        g_assert_true(join->items[0].known);
        g_assert_cmpuint(join->items[0].id, ==, 113);
        g_assert_cmpuint(join->items[1].id, ==, 27);
        g_assert_cmpuint(critical->items[0].id, ==, 120);
        g_assert_cmpstr(cluster_access_next_unknown(c, &i, &section)->text, ==, "ghost");
        g_assert_cmpstr(section->pattern, ==, "db");
        g_assert_cmpstr(cluster_access_next_unknown(c, &i, &section)->text, ==, "@ghosts");
        g_assert_null(cluster_access_next_unknown(c, &i, &section));
}

static void test_names(void) {
        _cleanup_(files_done) Files f = files(PASSWD, GROUP);
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse(NAMED);

        cluster_access_resolve(c, f.passwd, f.group);
        assert_known(c);
        /* Gone since. */
        cluster_access_resolve(c, "/nonexistent", f.group);
        g_assert_false(c->accesses[0].join.items[0].known);
        g_assert_true(c->accesses[0].join.items[1].known);
}

static void test_names_by_text(void) {
        _cleanup_(files_done) Files f = files(PASSWD, GROUP);
        _cleanup_(cluster_conf_freep) ClusterConf *c = parse(NAMED), *other = NULL;
        _cleanup_free_ char *accounts = NULL;
        g_autofree char *text = NULL;

        cluster_access_resolve(c, f.passwd, f.group);
        accounts = cluster_access_accounts_to_text(c);
        /* The file itself cannot say whom it means. */
        text = g_strconcat(NAMED "# Accounts of this node:\n# ghost=0\n", accounts, NULL);
        other = parse(text);
        cluster_access_accounts_from_text(other, text);
        assert_known(other);
        cluster_access_accounts_from_text(other, NAMED);
        g_assert_false(other->accesses[0].join.items[0].known);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/shared/cluster-access/keys", test_keys);
        g_test_add_func("/shared/cluster-access/errors", test_errors);
        g_test_add_func("/shared/cluster-access/too-many-sections", test_too_many_sections);
        g_test_add_func("/shared/cluster-access/canonical-text-reads-back", test_canonical_text_reads_back);
        g_test_add_func("/shared/cluster-access/memberships-do-not-ask", test_memberships_do_not_ask);
        g_test_add_func("/shared/cluster-access/most-specific-counts", test_most_specific);
        g_test_add_func("/shared/cluster-access/names-of-this-node", test_names);
        g_test_add_func("/shared/cluster-access/names-by-text", test_names_by_text);
        return g_test_run();
}
