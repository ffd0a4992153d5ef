/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The agents that are installed here, every one: what each says of itself is read, and parameters are
 * checked by it. And one of them, fence_dummy, is driven as hamgr drives it. */

#include <glib.h>
#include <glib/gstdio.h>
#include <sys/pidfd.h>

#include "basic/time-util.h"
#include "hamgr/fence/agent.h"
#include "hamgr/fence/fence.h"
#include "shared/child.h"
#include "shared/file-util.h"

#define FOLDER "/usr/sbin"
#define AT_ONCE 2U
/* Debian's package (4.12.1) has so many that can be asked; fewer mean that Python or a library is broken
 * here.
 */
#define READ_MIN 83U
#define DUMMY FOLDER "/fence_dummy"

/* ---- Every agent ---- */

typedef struct Agent {
        char *path;    /* owned */
        Child *child;  /* owned */
        char *output;  /* owned: what it says of itself; NULL: nothing */
        char *trouble; /* owned: why not */
} Agent;

typedef struct Survey {
        sd_event *event;
        Agent *agents;
        size_t n_agents, n_begun, n_running, n_read;
} Survey;

static void begin_agents(Survey *s);

static void on_metadata(Child *child, const ChildResult *result, void *userdata) {
        char text[CHILD_TEXT_MAX];
        Agent *a = userdata;

        if (result->end == CHILD_EXITED && result->status == 0 && !result->output_cut)
                a->output = g_strdup(result->output);
        else
                a->trouble = g_strdup(child_result_format(result, text));
}

static void begin(Survey *s, Agent *a) {
        const char *const argv[] = { a->path, "-o", "metadata", NULL };

        g_assert_cmpint(child_new(s->event,
                                  &(ChildSpec){ .argv = argv, .timeout_usec = 30 * USEC_PER_SEC },
                                  on_metadata,
                                  a,
                                  &a->child),
                        ==,
                        0);
}

/* A few at a time: each is an interpreter that loads its libraries. */
static void begin_agents(Survey *s) {
        s->n_running = 0;
        for (size_t i = 0; i < s->n_begun; i++)
                s->n_running += !s->agents[i].output && !s->agents[i].trouble;
        while (s->n_running < AT_ONCE && s->n_begun < s->n_agents) {
                begin(s, &s->agents[s->n_begun++]);
                s->n_running++;
        }
}

static void survey(Survey *s) {
        char **names = NULL;
        size_t n;

        g_assert_cmpint(sd_event_new(&s->event), >=, 0);
        g_assert_cmpint(list_folder(FOLDER, NULL, &names, &n), ==, 0);
        s->agents = g_new0(Agent, n + 1);
        for (size_t i = 0; i < n; i++)
                if (startswith(names[i], "fence_"))
                        s->agents[s->n_agents++].path = g_build_filename(FOLDER, names[i], NULL);
        names_free(names);
        for (begin_agents(s); s->n_running > 0; begin_agents(s))
                g_assert_cmpint(sd_event_run(s->event, UINT64_MAX), >=, 0);
        for (size_t i = 0; i < s->n_agents; i++)
                s->n_read += s->agents[i].output != NULL;
}

static void survey_done(Survey *s) {
        for (size_t i = 0; i < s->n_agents; i++) {
                child_free(s->agents[i].child);
                g_free(s->agents[i].path);
                g_free(s->agents[i].output);
                g_free(s->agents[i].trouble);
        }
        g_free(s->agents);
        sd_event_unref(s->event);
}

static bool is_ours(const char *name) {
        static const char *const names[] = { "action", "plug", "port", "nodename" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(names[i], name))
                        return true;
        return false;
}

/* Something for every parameter that has to be given. */
static char **required_parameters(const FenceMetadata *m) {
        GPtrArray *all = g_ptr_array_new();

        FOREACH_ARRAY(p, m->parameters, m->n_parameters)
                if (p->required && !p->has_default && !is_ours(p->name))
                        g_ptr_array_add(all,
                                        g_strdup_printf("%s=%s",
                                                        p->name,
                                                        p->n_options > 0 ? p->options[0] : "1"));
        g_ptr_array_add(all, NULL);
        return (char **) g_ptr_array_free(all, FALSE);
}

static char *check(const FenceMetadata *m, const char *const *lines, const char *parameter) {
        const char *parameters[] = { parameter };
        ClusterFence conf = {
                .name = "x",
                .n_nodes = 1,
                .parameters = parameter ? (char **) parameters : NULL,
                .n_parameters = parameter ? 1 : 0,
                .parameter_file = (char *) "the file",
        };

        return fence_agent_check_parameters(m, &conf, lines);
}

static void
assert_refused(const char *agent,
               const FenceMetadata *m,
               const char *const *lines,
               const char *parameter,
               const char *part) {
        g_autofree char *wrong = check(m, lines, parameter);

        if (!wrong || !strstr(wrong, part))
                g_error("%s, %s: \"%s\" is not in \"%s\"", agent, parameter, part, strna(wrong));
}

/* A value that is none of its type is refused for every parameter of every agent. */
static void check_types(const char *agent, const FenceMetadata *m, const char *const *lines) {
        FOREACH_ARRAY(p, m->parameters, m->n_parameters) {
                g_autofree char *bad = g_strdup_printf("%s=no such value", p->name);

                if (p->type != FENCE_PARAMETER_STRING && !is_ours(p->name) && !streq(p->name, "help") &&
                    !streq(p->name, "version") && !streq(p->name, "missing_as_off"))
                        assert_refused(agent, m, lines, bad, "must be ");
        }
}

/* By what they are called: whatever is a secret has no place in cluster.conf. */
static bool sounds_secret(const char *name) {
        static const char *const parts[] = { "passw", "secret", "token", "apikey", "community", "_kg" };

        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                if (strstr(name, parts[i]))
                        return !g_str_has_suffix(name, "_script") && !g_str_has_suffix(name, "_file");
        return false;
}

static void check_secrets(const char *agent, const FenceMetadata *m, const char *const *lines) {
        FOREACH_ARRAY(p, m->parameters, m->n_parameters) {
                g_autofree char *line = g_strdup_printf("%s=x", p->name);

                if (sounds_secret(p->name))
                        assert_refused(agent, m, lines, line, "is a secret; put the line into a file");
        }
}

static bool can_prove(const FenceMetadata *m) {
        return fence_metadata_has_action(m, "off") && fence_metadata_has_action(m, "status");
}

/* By name, so that nothing else is refused for it, nor let through. */
static bool cuts_only(const char *name) {
        static const char *const names[] = {
                "fence_brocade", "fence_cisco_mds", "fence_compute", "fence_ifmib",
                "fence_mpath",   "fence_sanbox2",   "fence_scsi",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(names[i], name))
                        return true;
        return false;
}

static void test_agent(const void *data) {
        const Agent *a = data;
        const char *name = strrchr(a->path, '/') + 1;
        _cleanup_(fence_metadata_freep) FenceMetadata *m = NULL;
        g_autofree char *error = NULL, *wrong = NULL;
        char **lines;

        if (!a->output) {
                g_autofree char *why = g_strdup_printf("cannot run here: it %s", a->trouble);

                g_test_skip(streq(name, "fence_ack_manual") ? "asks a person, and speaks no protocol" : why);
                return;
        }
        if (fence_metadata_parse(a->output, &m, &error) < 0)
                g_error("%s: %s", name, error);
        g_assert_true(m->n_parameters > 0 && m->n_actions > 0);

        lines = required_parameters(m);
        wrong = check(m, (const char *const *) lines, NULL);
        if (cuts_only(name))
                g_assert_nonnull(strstr(strempty(wrong), "does not switch it off"));
        else if (can_prove(m)) {
                g_assert_cmpstr(wrong, ==, NULL);
                assert_refused(name,
                               m,
                               (const char *const *) lines,
                               "no_such_key=1",
                               "has no parameter \"no_such_key\"");
                assert_refused(name, m, (const char *const *) lines, "action=on", "must not be set");
                check_types(name, m, (const char *const *) lines);
                check_secrets(name, m, (const char *const *) lines);
                if (lines[0])
                        assert_refused(name, m, NULL, NULL, "the agent needs the parameter");
        } else
                g_assert_nonnull(strstr(wrong, "an outage cannot be proven with it"));
        g_strfreev(lines);
}

static void test_enough_were_read(const void *data) {
        const Survey *s = data;

        if (access(DUMMY, X_OK) < 0) {
                g_test_skip("fence-agents is not installed");
                return;
        }
        g_assert_cmpuint(s->n_read, >=, READ_MIN);
}

/* ---- fence_dummy ---- */

typedef struct Fixture {
        char *folder, *power; /* owned */
        sd_event *event;
        ClusterConf conf;
        ClusterNode node;
        ClusterFence device;
        ClusterFenceNode fence_node;
        Fence *fence;
        FenceRequest *request;
        const char *spoilt; /* a file that is made a folder once the node is proven off */
        bool done, confirmed, power_on_done;
        char *reason, *power_on_error;
} Fixture;

static void on_result(FenceRequest *request, const FenceResult *result, void *userdata) {
        Fixture *f = userdata;

        f->done = true;
        f->confirmed = result->confirmed_off;
        f->reason = g_strdup(result->reason);
        f->request = fence_request_free(f->request);
        if (f->spoilt)
                g_assert_true(g_unlink(f->spoilt) == 0 && g_mkdir(f->spoilt, 0700) == 0);
}

static void on_power_on(uint32_t node_id, const char *device, const char *error, void *userdata) {
        Fixture *f = userdata;

        f->power_on_done = true;
        f->power_on_error = g_strdup(error);
}

static void run_until(Fixture *f, const bool *flag) {
        uint64_t limit_usec = now_boottime_usec() + 30 * USEC_PER_SEC;

        while (!*flag && now_boottime_usec() < limit_usec)
                g_assert_cmpint(sd_event_run(f->event, 100 * USEC_PER_MSEC), >=, 0);
        g_assert_true(*flag);
}

/* Fences a node by fence_dummy with these parameters. False: it is not here. */
static bool
fence_by_dummy(Fixture *f, const char *const *parameters, size_t n, uint64_t timeout_usec, bool power_on) {
        if (access(DUMMY, X_OK) < 0) {
                g_test_skip("fence-agents is not installed");
                return false;
        }
        f->node = (ClusterNode){ .id = 1, .name = "n1", .enabled = true };
        f->fence_node = (ClusterFenceNode){ .node_id = 1, .name = "n1", .plug = (char *) "n1" };
        f->device = (ClusterFence){
                .name = "dummy",
                .level = 1,
                .agent = (char *) DUMMY,
                .timeout_usec = timeout_usec,
                .power_on = power_on,
                .nodes = &f->fence_node,
                .n_nodes = 1,
                .parameters = (char **) parameters,
                .n_parameters = n,
        };
        f->conf = (ClusterConf){
                .name = "t", .nodes = &f->node, .n_nodes = 1, .fences = &f->device, .n_fences = 1
        };
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(fence_new(f->event, &f->conf, &f->fence), ==, 0);
        fence_set_handlers(f->fence, NULL, on_power_on, NULL, f);
        g_assert_cmpint(fence_request_new(f->fence, 1, on_result, f, &f->request), ==, 0);
        run_until(f, &f->done);
        return true;
}

static void fixture_done(Fixture *f) {
        fence_free(f->fence);
        /* What was killed last is collected by the loop. */
        for (int i = 0; f->event && i < 20; i++)
                g_assert_cmpint(sd_event_run(f->event, 5 * USEC_PER_MSEC), >=, 0);
        sd_event_unref(f->event);
        g_free(f->reason);
        g_free(f->power_on_error);
}

static void assert_fails(const char *const *parameters, size_t n, uint64_t timeout_usec, const char *part) {
        Fixture f = {};

        if (!fence_by_dummy(&f, parameters, n, timeout_usec, false))
                return;
        g_assert_false(f.confirmed);
        if (!strstr(f.reason, part))
                g_error("\"%s\" is not in \"%s\"", part, f.reason);
        fixture_done(&f);
}

static void test_dummy_off_status_on(void) {
        g_autofree char *folder = g_dir_make_tmp("hamgr-dummy-XXXXXX", NULL);
        g_autofree char *path = g_build_filename(folder, "power", NULL);
        g_autofree char *parameter = g_strdup_printf("status_file=%s", path);
        g_autofree char *text = NULL;
        const char *parameters[] = { parameter };
        Fixture f = {};

        g_assert_true(g_file_set_contents(path, "on", -1, NULL));
        if (fence_by_dummy(&f, parameters, 1, 20 * USEC_PER_SEC, true)) {
                g_assert_cmpstr(f.reason, ==, "");
                g_assert_true(f.confirmed);
                g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
                g_assert_cmpstr(text, ==, "off");
                run_until(&f, &f.power_on_done);
                g_assert_cmpstr(f.power_on_error, ==, NULL);
                g_clear_pointer(&text, g_free);
                g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
                g_assert_cmpstr(text, ==, "on");
                fixture_done(&f);
        }
        (void) g_unlink(path);
        (void) g_rmdir(folder);
}

/* The health check: what it asks changes nothing. */
static void test_dummy_is_asked(void) {
        g_autofree char *folder = g_dir_make_tmp("hamgr-dummy-XXXXXX", NULL);
        g_autofree char *path = g_build_filename(folder, "power", NULL);
        g_autofree char *parameter = g_strdup_printf("status_file=%s", path);
        g_autofree char *text = NULL;
        char error[FENCE_ERROR_MAX] = "", *parameters[] = { parameter, (char *) "power_timeout=1" };
        ClusterFenceNode node = { .node_id = 1, .name = "n1", .plug = (char *) "n1" };
        ClusterFence device = {
                .name = "dummy",
                .agent = (char *) DUMMY,
                .timeout_usec = 20 * USEC_PER_SEC,
                .nodes = &node,
                .n_nodes = 1,
                .parameters = parameters,
                .n_parameters = 2,
        };

        if (access(DUMMY, X_OK) < 0) {
                g_test_skip("fence-agents is not installed");
                return;
        }
        g_assert_true(g_file_set_contents(path, "on", -1, NULL));
        g_assert_cmpint(fence_check(&device, 0, error), ==, 0);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "on");
        g_assert_true(g_file_set_contents(path, "no state", -1, NULL));
        g_assert_cmpint(fence_check(&device, 0, error), ==, -EINVAL);
        g_assert_nonnull(strstr(error, "fence device dummy: n1: \"status\" exited with status 1: "));
        (void) g_unlink(path);
        (void) g_rmdir(folder);
}

/* Proven off all the same. */
static void test_dummy_whose_on_fails(void) {
        g_autofree char *folder = g_dir_make_tmp("hamgr-dummy-XXXXXX", NULL);
        g_autofree char *path = g_build_filename(folder, "power", NULL);
        g_autofree char *parameter = g_strdup_printf("status_file=%s", path);
        const char *parameters[] = { parameter, "power_timeout=1" };
        Fixture f = { .spoilt = path };

        g_assert_true(g_file_set_contents(path, "on", -1, NULL));
        if (fence_by_dummy(&f, parameters, 2, 20 * USEC_PER_SEC, true)) {
                g_assert_true(f.confirmed);
                run_until(&f, &f.power_on_done);
                g_assert_nonnull(strstr(strempty(f.power_on_error), "\"on\" exited with status 1: "));
                fixture_done(&f);
        }
        (void) g_remove(path);
        (void) g_rmdir(folder);
}

/* Whose outlet stays on. */
static void test_dummy_that_fails(void) {
        const char *parameters[] = { "type=fail", "power_timeout=1" };

        assert_fails(parameters, 2, 20 * USEC_PER_SEC, "dummy: \"off\" exited with status 1: ");
}

/* Asks for ever for a state that it cannot read. */
static void test_dummy_that_hangs(void) {
        const char *parameters[] = { "status_file=/dev/full" };

        assert_fails(parameters,
                     1,
                     1500 * USEC_PER_MSEC,
                     "dummy: \"off\" did not end in time and was killed");
}

static void test_dummy_without_a_state(void) {
        const char *parameters[] = { "status_file=/dev/null", "power_timeout=1" };

        assert_fails(parameters, 2, 20 * USEC_PER_SEC, "Unable to obtain correct plug status");
}

/* Never run: its metadata says that it would not understand. */
static void test_dummy_with_wrong_parameters(void) {
        const char *misspelled[] = { "stauts_file=/nonexistent/power" }, *no_number[] = { "delay=5s" };

        assert_fails(misspelled,
                     1,
                     20 * USEC_PER_SEC,
                     "has no parameter \"stauts_file\"; did you mean \"status_file\"?");
        assert_fails(no_number, 1, 20 * USEC_PER_SEC, "\"delay\" must be a whole number of seconds");
}

int main(int argc, char **argv) {
        _cleanup_close_ int pidfd = pidfd_open(getpid(), 0);
        Survey s = {};
        int status;

        if (pidfd < 0 && errno == ENOSYS) { /* Valgrind before 3.20 */
                g_print("1..0 # SKIP there is no pidfd_open() here\n");
                return 0;
        }
        g_test_init(&argc, &argv, NULL);
        survey(&s);
        for (size_t i = 0; i < s.n_agents; i++) {
                g_autofree char *path =
                                g_strdup_printf("/fence/agents/%s", strrchr(s.agents[i].path, '/') + 1);

                g_test_add_data_func(path, &s.agents[i], test_agent);
        }
        g_test_add_data_func("/fence/agents/enough-were-read", &s, test_enough_were_read);
        g_test_add_func("/fence/agents/dummy-off-status-on", test_dummy_off_status_on);
        g_test_add_func("/fence/agents/dummy-is-asked", test_dummy_is_asked);
        g_test_add_func("/fence/agents/dummy-whose-on-fails", test_dummy_whose_on_fails);
        g_test_add_func("/fence/agents/dummy-that-fails", test_dummy_that_fails);
        g_test_add_func("/fence/agents/dummy-that-hangs", test_dummy_that_hangs);
        g_test_add_func("/fence/agents/dummy-without-a-state", test_dummy_without_a_state);
        g_test_add_func("/fence/agents/dummy-with-wrong-parameters", test_dummy_with_wrong_parameters);
        status = g_test_run();
        survey_done(&s);
        return status;
}
