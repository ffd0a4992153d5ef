/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The daemon's objects are held to dbus/org.hamgr1.xml: the manager, a node, a group and a resource are
 * introspected over a connection of our own, and every interface must be the contract's, word for word and
 * nothing beside it. */

#include <glib.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "hamgr/api/api.h"
#include "hamgr/api/fence-history.h"
#include "hamgr/api/fence-test.h"
#include "hamgr/api/groups.h"
#include "hamgr/api/membership.h"

static const HaNodes NODES = {
        .nodes = { { .id = 1, .name = "n-1", .enabled = true, .has_fence_device = true } },
        .n_nodes = 1,
};

static const char GROUP_TEXT[] = "[Group]\nDomain=n-1\n\n[Unit app]\nUnit=shop.service\n";

typedef struct World {
        sd_event *event;
        sd_bus *server, *client;
        Api *api;
        State *state;
        GString *log; /* requests that reached the manager */
        StateResult answer;
} World;

/* ---- A manager that knows one node and one group ---- */

/* Everything is known, once. */
static void show_membership(ApiCall *call) {
        static const ApiLink link = { .state = "good", .heard_age_usec = 1, .rtt_usec = 2, .n_received = 3 };
        static const ApiLink never = { .index = 1,
                                       .state = "silent",
                                       .heard_age_usec = API_USEC_UNKNOWN,
                                       .rtt_usec = API_USEC_UNKNOWN };
        static const ApiPeer peers[] = {
                { .id = 1, .state = "up", .votes = 1, .links = &link, .n_links = 1 },
                { .id = 2,
                  .state = "unknown",
                  .hears_age_usec = API_USEC_UNKNOWN,
                  .links = &never,
                  .n_links = 1 },
        };
        static const ApiMoved moved = { .node = 1, .move = "joined", .state = "up" };
        static const ApiChange change = {
                .mid = { 3, 1 }, .quorum = "yes", .members = 1, .moved = &moved, .n_moved = 1
        };

        api_call_membership(
                        call,
                        &(ApiMembership){ .node = 1,
                                          .phase = "stable",
                                          .mid = { 3, 1 },
                                          .quorum = "yes",
                                          .members = 1,
                                          .coordinator = 1,
                                          .peers = peers,
                                          .n_peers = 2,
                                          .changes = &change,
                                          .n_changes = 1 });
}

static void show_groups(ApiCall *call) {
        static ApiGroupMember members[] = { { .name = "a", .node = 1, .here = true },
                                            { .name = "b", .node = 2 } };
        static const ApiGroup group = {
                .name = (char *) "talk", .mid = { 3, 1 }, .members = members, .n_members = 2
        };
        static const ApiGroup *const groups[] = { &group };

        api_call_groups(call, &(ApiGroups){ .node = 1, .groups = groups, .n_groups = 1 });
}

static void show_fence_history(ApiCall *call) {
        static const StateFenceEntry entry = {
                .boot = { .node = 2 }, .fencer = 1, .outcome = STATE_FENCE_OFF, .device = "power"
        };

        api_call_fence_history(call, &(ApiFenceHistory){ .entries = &entry, .n_entries = 1 });
}

static void show_fence_test(ApiCall *call) {
        api_call_fence_test(
                        call,
                        &(ApiFenceTest){ .devices = { { .device = "power", .state = "on", .error = "" } },
                                         .n_devices = 1 });
}

static void on_request(ApiCall *call, const ApiRequest *request, void *userdata) {
        World *w = userdata;

        if (request->type == API_REQUEST_MEMBERSHIP) {
                show_membership(call);
                return;
        }
        if (request->type == API_REQUEST_GROUPS) {
                show_groups(call);
                return;
        }
        if (request->type == API_REQUEST_FENCE_TEST) {
                show_fence_test(call);
                return;
        }
        if (request->type == API_REQUEST_FENCE_HISTORY) {
                show_fence_history(call);
                return;
        }

        g_string_append_printf(
                        w->log,
                        "%d %s %s %zu;",
                        request->type == API_REQUEST_OPERATE ? (int) request->operation : -1,
                        strempty(request->group),
                        strempty(request->node),
                        request->n_files);
        if (request->type == API_REQUEST_CHECK)
                api_call_checked(call, (char *[]){ (char *) "a warning", NULL });
        else if (request->type == API_REQUEST_APPLY && request->remove)
                api_call_applied(call, 7, (char *[]){ (char *) "group web: removed", NULL });
        else if (request->type == API_REQUEST_APPLY)
                api_call_refuse(call, API_ERROR_WOULD_REMOVE, "web.group is in force");
        else if (w->answer == STATE_RESULT_OK)
                api_call_done(call);
        else
                api_call_refuse(call, API_ERROR_NO_QUORUM, "no quorum on %s", "n-1");
}

static const State *on_state(void *userdata) {
        return ((World *) userdata)->state;
}

static void on_cluster(ApiCluster *ret, void *userdata) {
        *ret = (ApiCluster){ .cluster_name = "shop",
                             .node_name = "n-1",
                             .quorate = true,
                             .trouble = "",
                             .fence_trouble = "n1: no" };
}

static void on_node(uint32_t id, ApiNode *ret, void *userdata) {
        *ret = (ApiNode){ .votes = 1, .state = "up", .managed = true, .note = "" };
}

static void apply(State *s, uint64_t sequence, const StateView *view, const StateMessage *message) {
        StateEffects effects = {};

        state_apply(s,
                    &(StateInput){
                                    .type = view ? STATE_INPUT_VIEW : STATE_INPUT_MESSAGE,
                                    .mid = { 1, 1 },
                                    .sequence = sequence,
                                    .view = view ? *view : (StateView){},
                                    .sender = { 1, 7 },
                                    .message = message,
                    },
                    &effects);
        state_effects_done(&effects);
}

/* One node forms a cluster and takes in one group. */
static State *state_with_group(void) {
        State *s = state_new(&NODES, 1);
        HaFile file = { (char *) "web.group", (char *) GROUP_TEXT };
        g_autoptr(GBytes) files = ha_files_serialize(&file, 1);
        StateVersion version;

        apply(s,
              1,
              &(StateView){
                              .quorate = true,
                              .nodes = &(StateViewNode){ .id = 1, .state = STATE_NODE_UP, .incarnation = 5 },
                              .n_nodes = 1,
                              .members = &(StateViewMember){ 1, 7 },
                              .n_members = 1,
              },
              NULL);
        apply(s, 2, NULL, &(StateMessage){ .type = STATE_MESSAGE_HELLO });
        apply(s,
              3,
              NULL,
              &(StateMessage){ .type = STATE_MESSAGE_APPLY_PREPARE,
                               .apply_prepare = { .request = 1, .files = files } });
        g_assert_true(state_apply_pending(s, &version));
        apply(s,
              4,
              NULL,
              &(StateMessage){ .type = STATE_MESSAGE_APPLY_ANSWER,
                               .apply_answer = { .version = version, .ok = true } });
        g_assert_cmpuint(state_n_groups(s), ==, 1);
        return s;
}

/* ---- Two ends of one connection, on one loop ---- */

static void world_up(World *w, gconstpointer data) {
        static const ApiHandlers handlers = { on_request, on_state, on_cluster, on_node };
        int fds[2];
        sd_id128_t id;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
        g_assert_cmpint(sd_event_new(&w->event), >=, 0);
        g_assert_cmpint(sd_id128_randomize(&id), >=, 0);

        g_assert_cmpint(sd_bus_new(&w->server), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(w->server, fds[0], fds[0]), >=, 0);
        g_assert_cmpint(sd_bus_set_server(w->server, 1, id), >=, 0);
        g_assert_cmpint(sd_bus_start(w->server), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(w->server, w->event, 0), >=, 0);

        g_assert_cmpint(sd_bus_new(&w->client), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(w->client, fds[1], fds[1]), >=, 0);
        g_assert_cmpint(sd_bus_start(w->client), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(w->client, w->event, 0), >=, 0);

        w->log = g_string_new(NULL);
        w->state = state_with_group();
        g_assert_cmpint(api_new(w->event, &NODES, &handlers, w, &w->api), >=, 0);
        g_assert_cmpint(api_attach(w->api, w->server), >=, 0);
}

static void world_down(World *w, gconstpointer data) {
        api_free(w->api);
        state_free(w->state);
        g_string_free(w->log, TRUE);
        sd_bus_flush_close_unref(w->client);
        sd_bus_flush_close_unref(w->server);
        sd_event_unref(w->event);
}

typedef struct Reply {
        sd_bus_message *m;
} Reply;

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ((Reply *) userdata)->m = sd_bus_message_ref(m);
        return 0;
}

/* Calls and turns the loop until the reply is there. */
static sd_bus_message *call(World *w, sd_bus_message *m) {
        Reply reply = {};

        g_assert_cmpint(sd_bus_call_async(w->client, NULL, m, on_reply, &reply, 0), >=, 0);
        sd_bus_message_unref(m);
        while (!reply.m)
                g_assert_cmpint(sd_event_run(w->event, 5000000), >, 0);
        return reply.m;
}

static sd_bus_message *method(World *w, const char *path, const char *interface, const char *member) {
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_method_call(w->client, &m, NULL, path, interface, member), >=, 0);
        return m;
}

/* ---- Introspection to lines that compare ---- */

typedef struct Lines {
        GPtrArray *lines; /* "org.hamgr1.Node property State s read" and the like */
        char *interface;
        GString *member;
} Lines;

static const char *attribute(const char **names, const char **values, const char *name) {
        for (size_t i = 0; names[i]; i++)
                if (g_str_equal(names[i], name))
                        return values[i];
        return NULL;
}

static void
on_element(GMarkupParseContext *context,
           const char *element,
           const char **names,
           const char **values,
           gpointer userdata,
           GError **error) {
        Lines *l = userdata;
        const char *name = attribute(names, values, "name");

        if (g_str_equal(element, "interface")) {
                g_free(l->interface);
                l->interface = g_strdup(name);
        } else if (!l->interface || !g_str_has_prefix(l->interface, "org.hamgr1."))
                return;
        else if (g_str_equal(element, "arg"))
                g_string_append_printf(
                                l->member,
                                " %s:%s:%s",
                                strempty(attribute(names, values, "direction")),
                                strempty(name),
                                attribute(names, values, "type"));
        else if (g_str_equal(element, "annotation"))
                g_string_append_printf(l->member, " %s=%s", name, attribute(names, values, "value"));
        else
                g_string_printf(l->member,
                                "%s %s %s %s %s",
                                l->interface,
                                element,
                                name,
                                strempty(attribute(names, values, "type")),
                                strempty(attribute(names, values, "access")));
}

static void
on_element_end(GMarkupParseContext *context, const char *element, gpointer userdata, GError **error) {
        Lines *l = userdata;

        if ((g_str_equal(element, "method") || g_str_equal(element, "property") ||
             g_str_equal(element, "signal")) &&
            l->interface && g_str_has_prefix(l->interface, "org.hamgr1."))
                g_ptr_array_add(l->lines, g_strdup(l->member->str));
}

static int compare_lines(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static void parse(const char *xml, GPtrArray *lines) {
        static const GMarkupParser parser = { .start_element = on_element, .end_element = on_element_end };
        Lines l = { .lines = lines, .member = g_string_new(NULL) };
        g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&parser, 0, &l, NULL);
        g_autoptr(GError) error = NULL;

        g_markup_parse_context_parse(context, xml, -1, &error);
        g_assert_no_error(error);
        g_string_free(l.member, TRUE);
        g_free(l.interface);
}

static void test_contract(World *w, gconstpointer data) {
        static const char *const paths[] = {
                "/org/hamgr1",
                "/org/hamgr1/node/n_2d1",
                "/org/hamgr1/group/web",
                "/org/hamgr1/resource/web_2fapp",
        };
        g_autoptr(GPtrArray) contract = g_ptr_array_new_with_free_func(g_free),
                             offered = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *file = NULL, *xml = NULL;

        file = g_build_filename(g_getenv("HAMGR_SOURCE_ROOT"), "dbus", "org.hamgr1.xml", NULL);
        g_assert_true(g_file_get_contents(file, &xml, NULL, NULL));
        parse(xml, contract);
        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
                sd_bus_message *reply = call(
                                w, method(w, paths[i], "org.freedesktop.DBus.Introspectable", "Introspect"));
                const char *text;

                g_assert_cmpint(sd_bus_message_read(reply, "s", &text), >, 0);
                parse(text, offered);
                sd_bus_message_unref(reply);
        }
        g_ptr_array_sort(contract, compare_lines);
        g_ptr_array_sort(offered, compare_lines);
        for (size_t i = 0; i < MIN(contract->len, offered->len); i++)
                g_assert_cmpstr(contract->pdata[i], ==, offered->pdata[i]);
        g_assert_cmpuint(contract->len, ==, offered->len);
        g_assert_cmpuint(contract->len, >, 30);
}

/* ---- What is in the dictionaries ---- */

/* Lines such as "Links RttUsec t" of what the contract says beside the method. */
static void parse_comment(const char *xml, const char *method, GPtrArray *lines) {
        g_autofree char *element = g_strdup_printf("<method name=\"%s\">", method);
        const char *end = strstr(xml, element);
        const char *begin = g_strrstr_len(xml, end - xml, "<!--");
        g_autofree char *comment = g_strndup(begin, (gsize) (end - begin));
        g_auto(GStrv) split = g_strsplit(comment, "\n", -1);
        g_autofree char *dictionary = NULL;

        for (char **line = split; *line; line++) {
                g_auto(GStrv) words = g_strsplit(g_strstrip(*line), " ", 3);

                if (g_strv_length(words) == 1 && g_str_has_suffix(words[0], ":")) {
                        g_free(dictionary);
                        dictionary = g_strndup(words[0], strlen(words[0]) - 1);
                } else if (dictionary && g_strv_length(words) == 3 && g_str_has_suffix(words[1], ":"))
                        g_ptr_array_add(lines,
                                        g_strdup_printf("%s %s %.*s",
                                                        dictionary,
                                                        words[0],
                                                        (int) strlen(words[1]) - 1,
                                                        words[1]));
        }
}

/* The same of what is in a dictionary, those inside included. */
static void list_keys(sd_bus_message *m, const char *dictionary, GHashTable *lines) {
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sv}"), >, 0);
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                const char *key, *type;

                g_assert_cmpint(sd_bus_message_read(m, "s", &key), >, 0);
                g_assert_cmpint(sd_bus_message_peek_type(m, NULL, &type), >, 0);
                g_hash_table_add(lines, g_strdup_printf("%s %s %s", dictionary, key, type));
                if (streq(type, "aa{sv}")) {
                        g_assert_cmpint(sd_bus_message_enter_container(m, 'v', type), >, 0);
                        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "a{sv}"), >, 0);
                        while (sd_bus_message_at_end(m, false) == 0)
                                list_keys(m, key, lines);
                        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
                        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
                } else
                        g_assert_cmpint(sd_bus_message_skip(m, "v"), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        }
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
}

static void assert_contract_of(
                World *w,
                const char *name,
                const char *argument,
                const char *dictionary,
                unsigned more_than) {
        sd_bus_message *m = method(w, "/org/hamgr1", "org.hamgr1.Manager", name), *reply;
        g_autoptr(GPtrArray) contract = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GHashTable) offered = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autofree char *file = NULL, *xml = NULL;

        if (argument)
                g_assert_cmpint(sd_bus_message_append(m, "s", argument), >=, 0);
        reply = call(w, m);
        g_assert_false(sd_bus_message_is_method_error(reply, NULL));
        list_keys(reply, dictionary, offered);
        sd_bus_message_unref(reply);

        file = g_build_filename(g_getenv("HAMGR_SOURCE_ROOT"), "dbus", "org.hamgr1.xml", NULL);
        g_assert_true(g_file_get_contents(file, &xml, NULL, NULL));
        parse_comment(xml, name, contract);
        g_assert_cmpuint(contract->len, >, more_than);
        for (size_t i = 0; i < contract->len; i++)
                if (!g_hash_table_remove(offered, contract->pdata[i]))
                        g_error("the contract has %s, and the daemon does not", (char *) contract->pdata[i]);
        g_assert_cmpuint(g_hash_table_size(offered), ==, 0);
}

static void assert_contract(World *w, const char *name, const char *dictionary, unsigned more_than) {
        assert_contract_of(w, name, NULL, dictionary, more_than);
}

static void test_dictionaries(World *w, gconstpointer data) {
        assert_contract(w, "GetMembership", "membership", 40);
        assert_contract(w, "GetMessageGroups", "groups", 30);
        assert_contract(w, "GetFenceHistory", "history", 5);
        assert_contract_of(w, "TestFencing", "n-1", "test", 4);
}

static void test_every_property_can_be_read(World *w, gconstpointer data) {
        sd_bus_message *reply = call(
                        w,
                        method(w, "/org/hamgr1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"));
        size_t n = 0;

        g_assert_false(sd_bus_message_is_method_error(reply, NULL));
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}"), >, 0);
        while (sd_bus_message_at_end(reply, false) == 0) {
                g_assert_cmpint(sd_bus_message_skip(reply, "{oa{sa{sv}}}"), >, 0);
                n++;
        }
        g_assert_cmpuint(n, ==, 3);
        sd_bus_message_unref(reply);
}

static void test_calls_reach_the_manager(World *w, gconstpointer data) {
        sd_bus_message *m = method(w, "/org/hamgr1", "org.hamgr1.Manager", "SetNodeStandby"), *reply;

        g_assert_cmpint(sd_bus_message_append(m, "sb", "n-1", 0), >=, 0);
        reply = call(w, m);
        g_assert_false(sd_bus_message_is_method_error(reply, NULL));
        sd_bus_message_unref(reply);

        m = method(w, "/org/hamgr1", "org.hamgr1.Manager", "MoveGroup");
        g_assert_cmpint(sd_bus_message_append(m, "ss", "web", ""), >=, 0);
        sd_bus_message_unref(call(w, m));

        m = method(w, "/org/hamgr1", "org.hamgr1.Manager", "Check");
        g_assert_cmpint(sd_bus_message_append(m, "a(ss)", 1, "web.group", GROUP_TEXT), >=, 0);
        reply = call(w, m);
        g_assert_true(sd_bus_message_has_signature(reply, "as"));
        sd_bus_message_unref(reply);

        g_assert_cmpstr(w->log->str, ==, "6  n-1 0;3 web  0;-1   1;");
}

static void test_errors_have_names(World *w, gconstpointer data) {
        sd_bus_message *m = method(w, "/org/hamgr1", "org.hamgr1.Manager", "StopGroup"), *reply;

        w->answer = STATE_RESULT_REFUSED;
        g_assert_cmpint(sd_bus_message_append(m, "s", "web"), >=, 0);
        reply = call(w, m);
        g_assert_true(sd_bus_message_is_method_error(reply, "org.hamgr1.Error.NoQuorum"));
        g_assert_cmpstr(sd_bus_message_get_error(reply)->message, ==, "no quorum on n-1");
        sd_bus_message_unref(reply);
}

static void test_apply_says_what_it_changes(World *w, gconstpointer data) {
        sd_bus_message *m = method(w, "/org/hamgr1", "org.hamgr1.Manager", "Apply"), *reply;
        const char *change;
        uint64_t version;

        g_assert_cmpint(sd_bus_message_append(m, "a(ss)b", 0, 0), >=, 0);
        reply = call(w, m);
        g_assert_true(sd_bus_message_is_method_error(reply, "org.hamgr1.Error.WouldRemove"));
        sd_bus_message_unref(reply);

        m = method(w, "/org/hamgr1", "org.hamgr1.Manager", "Apply");
        g_assert_cmpint(sd_bus_message_append(m, "a(ss)b", 0, 1), >=, 0);
        reply = call(w, m);
        g_assert_cmpint(sd_bus_message_read(reply, "tas", &version, 1, &change), >, 0);
        g_assert_cmpuint(version, ==, 7);
        g_assert_cmpstr(change, ==, "group web: removed");
        sd_bus_message_unref(reply);
}

static void test_unknown_objects_are_none(World *w, gconstpointer data) {
        sd_bus_message *m = method(w, "/org/hamgr1/group/mail", "org.freedesktop.DBus.Properties", "GetAll"),
                       *reply;

        g_assert_cmpint(sd_bus_message_append(m, "s", "org.hamgr1.Group"), >=, 0);
        reply = call(w, m);
        g_assert_true(sd_bus_message_is_method_error(reply, SD_BUS_ERROR_UNKNOWN_OBJECT));
        sd_bus_message_unref(reply);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, f) g_test_add("/api/objects/" path, World, NULL, world_up, f, world_down)
        ADD("contract", test_contract);
        ADD("membership-is-as-in-the-contract", test_dictionaries);
        ADD("every-property-can-be-read", test_every_property_can_be_read);
        ADD("calls-reach-the-manager", test_calls_reach_the_manager);
        ADD("errors-have-names", test_errors_have_names);
        ADD("apply-says-what-it-changes", test_apply_says_what_it_changes);
        ADD("unknown-objects-are-none", test_unknown_objects_are_none);
        return g_test_run();
}
