/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Runs whole requests against agents that are small shell programs. Each logs what it was asked, in order,
 * and keeps its "power" in a file, so that what was said can be held against what was done. */

#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "basic/time-util.h"
#include "hamgr/fence/ask.h"
#include "hamgr/fence/fence.h"

#define WAIT_LIMIT_USEC (20 * USEC_PER_SEC)

/* $D is the folder of the test. "hang" leaves a grandchild, whose number it notes. */
static const char agent_begin[] =
                "#!/bin/sh\n"
                "if [ \"$1\" = -o ]; then\n"
                "  echo 'import warning' >&2\n"
                "  echo '<resource-agent name=\"x\"><parameters>'\n"
                "  for p in plug ip password; do echo \"<parameter name=\\\"$p\\\" required=\\\"0\\\"/>\"; "
                "done\n"
                "  echo '</parameters><actions><action name=\"on\"/><action name=\"off\"/><action "
                "name=\"status\"/>'\n"
                "  echo '</actions></resource-agent>'\n"
                "  exit 0\n"
                "fi\n"
                "while read -r line; do\n"
                "  case $line in action=*) action=${line#action=};; plug=*) plug=${line#plug=};; esac\n"
                "  echo \"$line\" >> $D/input\n"
                "done\n"
                "echo \"$action $plug\" >> $D/log\n"
                "tr '\\0' ' ' < /proc/$$/cmdline >> $D/cmdline\n";

static const char agent_good[] = "case $action in\n"
                                 "off) echo off > $D/power;; on) echo on > $D/power;;\n"
                                 "status) [ \"$(cat $D/power)\" = off ] && exit 2;; esac; exit 0\n";
/* One of two supplies, each with its own outlet. */
static const char agent_supply[] = "case $action in\n"
                                   "off) echo off > $D/power-$plug;; on) echo on > $D/power-$plug;;\n"
                                   "status) [ \"$(cat $D/power-$plug)\" = off ] && exit 2;; esac; exit 0\n";
/* Switching this one off gives the other its current back. */
static const char agent_swapping[] =
                "case $action in\n"
                "off) echo off > $D/power-$plug; echo on > $D/power-left;;\n"
                "status) [ \"$(cat $D/power-$plug)\" = off ] && exit 2;; esac; exit 0\n";
static const char agent_failing[] = "echo first >&2; echo 'the outlet is stuck' >&2; exit 1\n";
static const char agent_lying[] = "exit 0\n";
static const char agent_hanging[] = "sleep 60 & echo $! > $D/grandchild; wait\n";
static const char agent_import_error[] =
                "echo 'Traceback (most recent call last):' >&2\n"
                "echo \"ModuleNotFoundError: No module named 'pexpect'\" >&2; exit 1\n";
static const char agent_no_power_on[] =
                "case $action in on) echo 'no current' >&2; exit 1;; status) exit 2;; esac; exit 0\n";

typedef struct Fixture {
        char *folder;
        sd_event *event;
        ClusterConf conf;
        ClusterNode nodes[2];
        ClusterFence fences[3];
        ClusterFenceNode fence_nodes[2];
        Fence *fence;
        FenceRequest *request;

        bool done, confirmed, power_on_done;
        char *device, *reason, *power_on_error, *device_error;
} Fixture;

static char *in_folder(const Fixture *f, const char *name) {
        return g_build_filename(f->folder, name, NULL);
}

static char *content(const Fixture *f, const char *name) {
        g_autofree char *path = in_folder(f, name);
        char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

static char *write_agent(const Fixture *f, const char *name, const char *body) {
        char *path = in_folder(f, name);
        g_autofree char *setting = g_strdup_printf("\nD=%s\n", f->folder);
        g_autofree char *rest = g_strconcat(strchr(agent_begin, '\n') + 1, body, NULL);
        g_autofree char *text = g_strconcat("#!/bin/sh", setting, rest, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
        g_assert_cmpint(g_chmod(path, 0755), ==, 0);
        return path;
}

static void fixture_init(Fixture *f) {
        *f = (Fixture){
                .folder = g_dir_make_tmp("hamgr-fence-XXXXXX", NULL),
                .nodes = { { .id = 1, .name = "n1", .enabled = true },
                           { .id = 2, .name = "n2", .enabled = true } },
                .fence_nodes = { { .node_id = 1, .name = "n1", .plug = (char *) "outlet1" } },
        };
        g_assert_nonnull(f->folder);
        f->conf = (ClusterConf){ .name = "t", .nodes = f->nodes, .n_nodes = 2, .fences = f->fences };
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
}

static ClusterFence *add_device(Fixture *f, const char *name, const char *body) {
        ClusterFence *d = &f->fences[f->conf.n_fences++];

        *d = (ClusterFence){
                .level = (uint32_t) f->conf.n_fences,
                .agent = write_agent(f, name, body),
                .timeout_usec = 5 * USEC_PER_SEC,
                .nodes = f->fence_nodes,
                .n_nodes = 1,
        };
        g_strlcpy(d->name, name, sizeof d->name);
        return d;
}

static void fixture_done(Fixture *f) {
        g_autofree char *command = g_strdup_printf("rm -r '%s'", f->folder);

        fence_request_free(f->request);
        fence_free(f->fence);
        for (size_t i = 0; i < f->conf.n_fences; i++)
                g_free(f->fences[i].agent);
        /* What was killed last is collected by the loop. */
        for (int i = 0; i < 20; i++)
                g_assert_cmpint(sd_event_run(f->event, 5 * USEC_PER_MSEC), >=, 0);
        sd_event_unref(f->event);
        g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
        g_free(f->folder);
        g_free(f->device);
        g_free(f->reason);
        g_free(f->power_on_error);
        g_free(f->device_error);
}

static void on_result(FenceRequest *request, const FenceResult *result, void *userdata) {
        Fixture *f = userdata;

        g_assert_true(request == f->request);
        g_assert_false(f->done);
        f->done = true;
        f->confirmed = result->confirmed_off;
        f->device = g_strdup(result->device);
        f->reason = g_strdup(result->reason);
        f->request = fence_request_free(f->request);
}

static void on_power_on(uint32_t node_id, const char *device, const char *error, void *userdata) {
        Fixture *f = userdata;

        f->power_on_done = true;
        f->power_on_error = g_strdup(error);
}

static void on_device(const char *device, const char *error, void *userdata) {
        Fixture *f = userdata;

        g_free(f->device_error);
        f->device_error = g_strdup(error ?: "ready");
}

static void run_until(Fixture *f, const bool *flag) {
        uint64_t limit_usec = now_boottime_usec() + WAIT_LIMIT_USEC;

        while (!*flag && now_boottime_usec() < limit_usec)
                g_assert_cmpint(sd_event_run(f->event, 100 * USEC_PER_MSEC), >=, 0);
        g_assert_true(*flag);
}

static void begin(Fixture *f, uint32_t node_id) {
        g_assert_cmpint(fence_new(f->event, &f->conf, &f->fence), ==, 0);
        fence_set_handlers(f->fence, on_device, on_power_on, NULL, f);
        g_assert_cmpint(fence_request_new(f->fence, node_id, on_result, f, &f->request), ==, 0);
        g_assert_false(f->done);
}

static void fence(Fixture *f, uint32_t node_id) {
        begin(f, node_id);
        run_until(f, &f->done);
}

static void assert_reason(const Fixture *f, const char *part) {
        if (!strstr(f->reason, part))
                g_error("\"%s\" is not in \"%s\"", part, f->reason);
}

static void test_off_is_confirmed_by_status(void) {
        Fixture f;
        g_autofree char *log = NULL, *input = NULL;

        fixture_init(&f);
        add_device(&f, "good", agent_good);
        fence(&f, 1);
        g_assert_true(f.confirmed);
        g_assert_cmpstr(f.device, ==, "good");
        g_assert_cmpstr(f.reason, ==, "");
        log = content(&f, "log");
        g_assert_cmpstr(log, ==, "off outlet1\nstatus outlet1\n");
        input = content(&f, "input");
        g_assert_cmpstr(input, ==, "plug=outlet1\naction=off\nplug=outlet1\naction=status\n");
        fixture_done(&f);
}

static void test_on_comes_after_the_result(void) {
        Fixture f;
        g_autofree char *log = NULL;

        fixture_init(&f);
        add_device(&f, "good", agent_good)->power_on = true;
        fence(&f, 1);
        g_assert_true(f.confirmed);
        g_assert_false(f.power_on_done);
        run_until(&f, &f.power_on_done);
        g_assert_null(f.power_on_error);
        log = content(&f, "log");
        g_assert_cmpstr(log, ==, "off outlet1\nstatus outlet1\non outlet1\n");
        fixture_done(&f);
}

static void test_failing_on_does_not_unmake_the_success(void) {
        Fixture f;

        fixture_init(&f);
        add_device(&f, "half", agent_no_power_on)->power_on = true;
        fence(&f, 1);
        g_assert_true(f.confirmed);
        run_until(&f, &f.power_on_done);
        g_assert_nonnull(strstr(f.power_on_error, "no current"));
        fixture_done(&f);
}

static void test_new_request_kills_a_running_on(void) {
        static const char body[] =
                        "case $action in on) echo begun >> $D/on; sleep 1; echo on > $D/power;;\n"
                        "off) echo off > $D/power;; status) [ \"$(cat $D/power)\" = off ] && exit 2;; esac\n"
                        "exit 0\n";
        Fixture f;
        g_autofree char *power = NULL;

        fixture_init(&f);
        add_device(&f, "slow", body)->power_on = true;
        fence(&f, 1);
        for (int i = 0; i < 500; i++) {
                g_autofree char *on = content(&f, "on");

                if (on[0])
                        break;
                g_assert_cmpint(sd_event_run(f.event, 10 * USEC_PER_MSEC), >=, 0);
        }
        f.done = false;
        f.fences[0].power_on = false;
        g_clear_pointer(&f.device, g_free);
        g_clear_pointer(&f.reason, g_free);
        g_assert_cmpint(fence_request_new(f.fence, 1, on_result, &f, &f.request), ==, 0);
        run_until(&f, &f.done);
        g_assert_true(f.confirmed);
        g_assert_false(f.power_on_done);
        for (uint64_t end = now_boottime_usec() + 1200 * USEC_PER_MSEC; now_boottime_usec() < end;)
                g_assert_cmpint(sd_event_run(f.event, 50 * USEC_PER_MSEC), >=, 0);
        power = content(&f, "power");
        g_assert_cmpstr(power, ==, "off\n");
        fixture_done(&f);
}

static void test_failing_agent_fails_with_its_words(void) {
        Fixture f;

        fixture_init(&f);
        add_device(&f, "failing", agent_failing);
        fence(&f, 1);
        g_assert_false(f.confirmed);
        g_assert_null(f.device);
        assert_reason(&f, "failing: \"off\" exited with status 1");
        assert_reason(&f, "the outlet is stuck");
        fixture_done(&f);
}

static void test_import_error_is_a_failure(void) {
        Fixture f;

        fixture_init(&f);
        add_device(&f, "broken", agent_import_error);
        fence(&f, 1);
        g_assert_false(f.confirmed);
        assert_reason(&f, "No module named 'pexpect'");
        fixture_done(&f);
}

static void test_lying_agent_is_caught(void) {
        Fixture f;

        fixture_init(&f);
        add_device(&f, "lying", agent_lying);
        fence(&f, 1);
        g_assert_false(f.confirmed);
        assert_reason(&f, "\"status\" says that the node is still on");
        fixture_done(&f);
}

static bool is_alive(const char *number) {
        pid_t pid = (pid_t) g_ascii_strtoll(number, NULL, 10);

        g_assert_cmpint(pid, >, 1);
        return kill(pid, 0) == 0;
}

/* The grandchild is nobody's child any more when its group is killed; process 1 may take a moment to collect
 * it. */
static void assert_ends(const char *number) {
        for (int i = 0; i < 200; i++) {
                g_autofree char *path =
                                g_strdup_printf("/proc/%d/stat", (int) g_ascii_strtoll(number, NULL, 10));
                g_autofree char *stat = NULL;

                if (!is_alive(number) || !g_file_get_contents(path, &stat, NULL, NULL) ||
                    strstr(stat, ") Z "))
                        return;
                g_usleep(10000);
        }
        g_error("process %s is still there", number);
}

static void test_hanging_agent_is_killed_with_its_children(void) {
        Fixture f;
        uint64_t begin_usec = now_boottime_usec();
        g_autofree char *grandchild = NULL;

        fixture_init(&f);
        add_device(&f, "hanging", agent_hanging)->timeout_usec = 500 * USEC_PER_MSEC;
        fence(&f, 1);
        g_assert_cmpuint(now_boottime_usec() - begin_usec, <, 3 * USEC_PER_SEC);
        g_assert_false(f.confirmed);
        assert_reason(&f, "did not end in time and was killed");
        grandchild = content(&f, "grandchild");
        assert_ends(grandchild);
        fixture_done(&f);
}

/* Of an agent that hangs; it is alive. */
static char *await_grandchild(const Fixture *f) {
        char *grandchild = NULL;

        for (int i = 0; i < 500 && (!grandchild || !grandchild[0]); i++) {
                g_assert_cmpint(sd_event_run(f->event, 10 * USEC_PER_MSEC), >=, 0);
                g_free(grandchild);
                grandchild = content(f, "grandchild");
        }
        g_assert_true(is_alive(grandchild));
        return grandchild;
}

static void test_freeing_a_request_kills_its_agent(void) {
        Fixture f;
        g_autofree char *grandchild = NULL;

        fixture_init(&f);
        add_device(&f, "hanging", agent_hanging);
        begin(&f, 1);
        grandchild = await_grandchild(&f);
        f.request = fence_request_free(f.request);
        assert_ends(grandchild);
        g_assert_false(f.done);
        fixture_done(&f);
}

static void test_next_level_is_tried(void) {
        Fixture f;

        fixture_init(&f);
        add_device(&f, "failing", agent_failing);
        add_device(&f, "good", agent_good);
        fence(&f, 1);
        g_assert_true(f.confirmed);
        g_assert_cmpstr(f.device, ==, "good");
        assert_reason(&f, "failing: ");
        fixture_done(&f);
}

static ClusterFenceNode supplies[] = {
        { .node_id = 1, .name = "n1", .plug = (char *) "left" },
        { .node_id = 1, .name = "n1", .plug = (char *) "right" },
};

static void add_supplies(Fixture *f, const char *left, const char *right) {
        const char *const agents[] = { left, right };

        for (size_t i = 0; i < ELEMENTSOF(agents); i++) {
                ClusterFence *d = add_device(f, supplies[i].plug, agents[i]);

                d->level = 1;
                d->nodes = &supplies[i];
                d->power_on = true;
        }
}

/* Switched on again at once, in whatever order. */
static void wait_for_power_on(Fixture *f, const char *log, const char *on_1, const char *on_2) {
        g_autofree char *said = NULL;

        for (unsigned i = 0; i < 2000 && !(said && strstr(said, on_1) && strstr(said, on_2)); i++) {
                g_assert_cmpint(sd_event_run(f->event, 10 * USEC_PER_MSEC), >=, 0);
                g_free(said);
                said = content(f, "log");
        }
        g_assert_true(g_str_has_prefix(said, log));
        g_assert_cmpuint(strlen(said), ==, strlen(log) + strlen(on_1) + strlen(on_2));
}

/* Asked only when all were ordered off. */
static void test_level_is_off_when_all_of_it_are(void) {
        Fixture f;

        fixture_init(&f);
        add_supplies(&f, agent_supply, agent_supply);
        fence(&f, 1);
        g_assert_true(f.confirmed);
        g_assert_cmpstr(f.device, ==, "left, right");
        wait_for_power_on(&f, "off left\noff right\nstatus left\nstatus right\n", "on left\n", "on right\n");
        fixture_done(&f);
}

static void test_level_fails_with_one_of_it(void) {
        Fixture f;

        fixture_init(&f);
        add_supplies(&f, agent_supply, agent_failing);
        fence(&f, 1);
        g_assert_false(f.confirmed);
        assert_reason(&f, "right: ");
        assert_reason(&f, "the outlet is stuck");
        fixture_done(&f);
}

static void test_level_that_failed_gets_its_current_back(void) {
        Fixture f;
        ClusterFence *d;

        fixture_init(&f);
        add_supplies(&f, agent_supply, agent_failing);
        d = add_device(&f, "good", agent_good);
        d->level = 2;
        fence(&f, 1);
        g_assert_true(f.confirmed);
        g_assert_cmpstr(f.device, ==, "good");
        wait_for_power_on(
                        &f,
                        "off left\noff right\noff right\noff outlet1\nstatus outlet1\n",
                        "on left\n",
                        "");
        fixture_done(&f);
}

static void test_level_is_asked_after_all_orders(void) {
        Fixture f;

        fixture_init(&f);
        add_supplies(&f, agent_supply, agent_swapping);
        fence(&f, 1);
        g_assert_false(f.confirmed);
        assert_reason(&f,
                      "left: \"off\" said that it worked, but \"status\" says that the node is still on");
        fixture_done(&f);
}

typedef struct Asked {
        bool done;
        char *text;
} Asked;

static void on_asked(FenceAsk *a, const FenceAnswer *answers, size_t n_answers, void *userdata) {
        g_autoptr(GString) text = g_string_new(NULL);
        Asked *asked = userdata;

        FOREACH_ARRAY(i, answers, n_answers)
                g_string_append_printf(text, "%s %u %s%.30s\n", i->device, i->level, i->state, i->error);
        asked->text = g_strdup(text->str);
        asked->done = true;
}

static char *ask(Fixture *f, uint32_t node_id) {
        _cleanup_(fence_ask_freep) FenceAsk *a = NULL;
        Asked asked = {};

        g_assert_cmpint(fence_ask_new(f->event, &f->conf, node_id, on_asked, &asked, &a), ==, 0);
        g_assert_false(asked.done);
        run_until(f, &asked.done);
        return asked.text;
}

static void test_all_devices_are_asked(void) {
        g_autofree char *of_1 = NULL, *of_2 = NULL, *log = NULL;
        Fixture f;

        fixture_init(&f);
        add_device(&f, "good", agent_good);
        add_device(&f, "failing", agent_failing);
        of_1 = ask(&f, 1);
        g_assert_cmpstr(of_1, ==, "good 1 on\nfailing 2 \"status\" exited with status 1:\n");
        of_2 = ask(&f, 2);
        g_assert_cmpstr(of_2, ==, "");
        log = content(&f, "log");
        g_assert_cmpstr(log, ==, "status outlet1\nstatus outlet1\n");
        fixture_done(&f);
}

static void test_asking_is_broken_off(void) {
        g_autofree char *grandchild = NULL;
        FenceAsk *a = NULL;
        Asked asked = {};
        Fixture f;

        fixture_init(&f);
        add_device(&f, "hanging", agent_hanging);
        g_assert_cmpint(fence_ask_new(f.event, &f.conf, 1, on_asked, &asked, &a), ==, 0);
        grandchild = await_grandchild(&f);
        a = fence_ask_free(a);
        assert_ends(grandchild);
        g_assert_false(asked.done);
        fixture_done(&f);
}

static void test_node_without_a_device_fails(void) {
        Fixture f;

        fixture_init(&f);
        add_device(&f, "good", agent_good);
        fence(&f, 2);
        g_assert_false(f.confirmed);
        assert_reason(&f, "no fence device is configured for node n2");
        fixture_done(&f);
}

static void test_misspelled_key_never_reaches_the_agent(void) {
        Fixture f;
        const char *parameters[] = { "actoin=status" };
        ClusterFence *d;
        char error[FENCE_ERROR_MAX] = "";
        g_autofree char *log = NULL;

        fixture_init(&f);
        d = add_device(&f, "good", agent_good);
        d->parameters = (char **) parameters;
        d->n_parameters = 1;
        fence(&f, 1);
        g_assert_false(f.confirmed);
        assert_reason(&f, "no parameter \"actoin\"");
        log = content(&f, "log");
        g_assert_cmpstr(log, ==, "");

        g_assert_cmpint(fence_check(d, 0, error), ==, -EINVAL);
        g_assert_nonnull(strstr(error, "actoin"));
        fixture_done(&f);
}

static void test_secret_goes_by_input_only(void) {
        Fixture f;
        ClusterFence *d;
        char error[FENCE_ERROR_MAX] = "";
        g_autofree char *cmdline = NULL, *input = NULL;

        fixture_init(&f);
        d = add_device(&f, "good", agent_good);
        d->parameter_file = in_folder(&f, "secret");
        g_assert_cmpint(fence_check(d, 0, error), ==, -EINVAL);
        g_assert_nonnull(strstr(error, "ParameterFile=: cannot open"));

        g_assert_true(g_file_set_contents(d->parameter_file, "# the lab's\n\npassword=s3cr3t\n", -1, NULL));
        g_assert_cmpint(g_chmod(d->parameter_file, 0640), ==, 0);
        g_assert_cmpint(fence_check(d, 0, error), ==, -EINVAL);
        g_assert_nonnull(strstr(error, "has mode 0640"));
        g_assert_null(strstr(error, "s3cr3t"));
        g_assert_cmpint(g_chmod(d->parameter_file, 0400), ==, 0);
        g_assert_cmpint(fence_check(d, 0, error), ==, -EINVAL);
        g_assert_nonnull(strstr(error, "has mode 0400 and must have 0600; run: chmod 0600 "));

        g_assert_cmpint(g_chmod(d->parameter_file, 0600), ==, 0);
        g_assert_cmpint(fence_check(d, 0, error), ==, 0);
        fence(&f, 1);
        g_assert_true(f.confirmed);
        input = content(&f, "input");
        g_assert_nonnull(strstr(input, "password=s3cr3t\nplug=outlet1\naction=off\n"));
        cmdline = content(&f, "cmdline");
        g_assert_null(strstr(cmdline, "s3cr3t"));
        g_free(d->parameter_file);
        fixture_done(&f);
}

static void test_missing_agent_is_told(void) {
        Fixture f;
        ClusterFence *d;
        char error[FENCE_ERROR_MAX] = "";

        fixture_init(&f);
        d = add_device(&f, "good", agent_good);
        g_assert_cmpint(g_unlink(d->agent), ==, 0);
        g_assert_cmpint(fence_check(d, 0, error), ==, -EINVAL);
        g_assert_nonnull(strstr(error, "cannot find the agent"));
        g_assert_cmpint(fence_new(f.event, &f.conf, &f.fence), ==, 0);
        fence_set_handlers(f.fence, on_device, on_power_on, NULL, &f);
        g_assert_cmpint(fence_load(f.fence), ==, 0);
        for (int i = 0; i < 100 && !f.device_error; i++)
                g_assert_cmpint(sd_event_run(f.event, 10 * USEC_PER_MSEC), >=, 0);
        g_assert_nonnull(strstr(f.device_error, "cannot find the agent"));
        fixture_done(&f);
}

static void await_device_error(Fixture *f, const char *part) {
        uint64_t limit_usec = now_boottime_usec() + WAIT_LIMIT_USEC;

        while (!f->device_error || !strstr(f->device_error, part)) {
                if (now_boottime_usec() > limit_usec)
                        g_error("\"%s\" is not in \"%s\"", part, strna(f->device_error));
                g_assert_cmpint(sd_event_run(f->event, 10 * USEC_PER_MSEC), >=, 0);
        }
}

/* A fault is known before the device is needed, and so is its end; and the state is all that is asked for.
 */
static void test_device_is_checked_at_an_interval(void) {
        static const char body[] = "[ -e $D/fault ] && { echo 'the cable is out' >&2; exit 1; }\nexit 0\n";
        Fixture f;
        g_autofree char *fault = NULL, *log = NULL;

        fixture_init(&f);
        add_device(&f, "checked", body)->check_usec = 100 * USEC_PER_MSEC;
        fault = in_folder(&f, "fault");
        g_assert_cmpint(fence_new(f.event, &f.conf, &f.fence), ==, 0);
        fence_set_handlers(f.fence, on_device, on_power_on, NULL, &f);
        g_assert_cmpint(fence_load(f.fence), ==, 0);
        await_device_error(&f, "ready");
        g_assert_true(g_file_set_contents(fault, "", -1, NULL));
        await_device_error(&f, "n1: \"status\" exited with status 1: the cable is out");
        g_assert_cmpint(g_unlink(fault), ==, 0);
        await_device_error(&f, "ready");
        log = content(&f, "log");
        g_assert_nonnull(strstr(log, "status outlet1\n"));
        g_assert_null(strstr(log, "off"));
        g_assert_null(strstr(log, "on "));
        fixture_done(&f);
}

static void test_secret_may_be_a_credential(void) {
        g_autofree char *path = NULL, *cmdline = NULL, *input = NULL;
        Fixture f;

        fixture_init(&f);
        add_device(&f, "good", agent_good)->credential = (char *) "outlets";
        path = in_folder(&f, "outlets");
        g_assert_true(g_file_set_contents(path, "password=s3cr3t\n", -1, NULL));
        g_assert_cmpint(g_chmod(path, 0400), ==, 0);
        g_setenv("CREDENTIALS_DIRECTORY", f.folder, TRUE);
        fence(&f, 1);
        g_unsetenv("CREDENTIALS_DIRECTORY");
        g_assert_true(f.confirmed);
        input = content(&f, "input");
        g_assert_nonnull(strstr(input, "password=s3cr3t\nplug=outlet1\naction=off\n"));
        cmdline = content(&f, "cmdline");
        g_assert_null(strstr(cmdline, "s3cr3t"));
        fixture_done(&f);
}

/* As fence_apc_snmp, which says what it cannot run with all its arguments. */
static void test_secret_is_not_repeated(void) {
        static const char body[] =
                        "echo \"cannot run x -A '$(sed -n 's/^password=//p;q' $D/input)' -u 'admin'\" "
                        ">&$([ $action = off ] && echo 2 || echo 1); exit 1\n";
        char error[FENCE_ERROR_MAX] = "";
        Fixture f;
        ClusterFence *d;

        fixture_init(&f);
        d = add_device(&f, "talking", body);
        d->parameter_file = in_folder(&f, "secret");
        g_assert_true(g_file_set_contents(d->parameter_file, "password=s3cr3t\n", -1, NULL));
        g_assert_cmpint(g_chmod(d->parameter_file, 0600), ==, 0);
        fence(&f, 1);
        g_assert_false(f.confirmed);
        assert_reason(&f, "cannot run x -A '******' -u 'admin'");
        g_assert_cmpint(fence_check(d, 0, error), ==, -EINVAL);
        g_assert_nonnull(strstr(error, "cannot run x -A '******"));
        g_assert_null(strstr(error, "s3cr3t"));
        g_free(d->parameter_file);
        fixture_done(&f);
}

/* Of an agent, whose metadata is not asked for each time. */
static void test_check_reads_the_secret_again(void) {
        static const char body[] =
                        "grep -q password=new $D/input && exit 0\necho 'wrong password' >&2; exit 1\n";
        Fixture f;
        ClusterFence *d;

        fixture_init(&f);
        d = add_device(&f, "checked", body);
        d->check_usec = 100 * USEC_PER_MSEC;
        d->parameter_file = in_folder(&f, "secret");
        g_assert_true(g_file_set_contents(d->parameter_file, "password=old\n", -1, NULL));
        g_assert_cmpint(g_chmod(d->parameter_file, 0600), ==, 0);
        g_assert_cmpint(fence_new(f.event, &f.conf, &f.fence), ==, 0);
        fence_set_handlers(f.fence, on_device, on_power_on, NULL, &f);
        g_assert_cmpint(fence_load(f.fence), ==, 0);
        await_device_error(&f, "wrong password");
        g_assert_cmpint(g_chmod(d->parameter_file, 0640), ==, 0);
        await_device_error(&f, "has mode 0640");
        g_assert_true(g_file_set_contents(d->parameter_file, "password=new\n", -1, NULL));
        g_assert_cmpint(g_chmod(d->parameter_file, 0600), ==, 0);
        await_device_error(&f, "ready");
        g_free(d->parameter_file);
        fixture_done(&f);
}

static bool first_is_up(uint32_t node_id, void *userdata) {
        return node_id == 1;
}

/* It looks at another machine, and would prove a node off that runs. */
static void test_off_said_of_a_node_that_is_up_is_a_fault(void) {
        static const char told[] =
                        "outlet: n1: it says that the node is off, but the node is up: does Nodes= ";
        Fixture f;
        ClusterFence *d;
        char error[FENCE_ERROR_MAX] = "";
        g_autofree char *power = NULL;

        fixture_init(&f);
        d = add_device(&f, "outlet", agent_good);
        d->check_usec = 50 * USEC_PER_MSEC;
        power = in_folder(&f, "power");
        g_assert_true(g_file_set_contents(power, "off\n", -1, NULL));
        g_assert_cmpint(fence_check(d, 2, error), ==, 0);
        g_assert_cmpint(fence_check(d, 1, error), ==, -EINVAL);
        g_assert_nonnull(strstr(error, told));

        g_assert_cmpint(fence_new(f.event, &f.conf, &f.fence), ==, 0);
        fence_set_handlers(f.fence, on_device, on_power_on, first_is_up, &f);
        g_assert_cmpint(fence_load(f.fence), ==, 0);
        await_device_error(&f, strstr(told, "n1"));
        g_assert_true(g_file_set_contents(power, "on\n", -1, NULL));
        await_device_error(&f, "ready");
        fixture_done(&f);
}

/* Some devices serve one at a time. */
static void test_need_ends_a_check(void) {
        static const char body[] =
                        "case $action in\n"
                        "off) echo off > $D/power;;\n"
                        "status) [ \"$(cat $D/power 2>&1)\" = off ] && exit 2; echo $$ > $D/checking; "
                        "sleep 60;; esac; exit 0\n";
        Fixture f;
        g_autofree char *checking = NULL;

        fixture_init(&f);
        add_device(&f, "slow", body)->check_usec = 50 * USEC_PER_MSEC;
        g_assert_cmpint(fence_new(f.event, &f.conf, &f.fence), ==, 0);
        fence_set_handlers(f.fence, on_device, on_power_on, NULL, &f);
        g_assert_cmpint(fence_load(f.fence), ==, 0);
        for (int i = 0; i < 1000 && (!checking || !checking[0]); i++) {
                g_assert_cmpint(sd_event_run(f.event, 10 * USEC_PER_MSEC), >=, 0);
                g_free(checking);
                checking = content(&f, "checking");
        }
        g_assert_true(is_alive(checking));
        g_assert_cmpint(fence_request_new(f.fence, 1, on_result, &f, &f.request), ==, 0);
        run_until(&f, &f.done);
        g_assert_true(f.confirmed);
        assert_ends(checking);
        fixture_done(&f);
}

static void test_one_request_a_node(void) {
        Fixture f;
        FenceRequest *second = NULL;

        fixture_init(&f);
        add_device(&f, "good", agent_good);
        begin(&f, 1);
        g_assert_cmpint(fence_request_new(f.fence, 1, on_result, &f, &second), ==, -EBUSY);
        run_until(&f, &f.done);
        g_assert_true(f.confirmed);
        fixture_done(&f);
}

static void test_real_agent(void) {
        Fixture f;
        ClusterFence *d;
        g_autofree char *parameter = NULL;
        char *parameters[1];

        if (access("/usr/sbin/fence_dummy", X_OK) < 0) {
                g_test_skip("/usr/sbin/fence_dummy is not here; install fence-agents");
                return;
        }
        fixture_init(&f);
        parameter = g_strdup_printf("status_file=%s/power", f.folder);
        parameters[0] = parameter;
        d = add_device(&f, "dummy", agent_good);
        g_free(d->agent);
        d->agent = g_strdup("/usr/sbin/fence_dummy");
        d->parameters = parameters;
        d->n_parameters = 1;
        d->power_on = true;
        fence(&f, 1);
        if (!f.confirmed)
                g_error("%s", f.reason);
        run_until(&f, &f.power_on_done);
        g_assert_null(f.power_on_error);
        fixture_done(&f);
}

int main(int argc, char **argv) {
        _cleanup_close_ int pidfd = pidfd_open(getpid(), 0);

        if (pidfd < 0 && errno == ENOSYS) { /* Valgrind before 3.20; the sanitizers look for leaks here */
                g_print("1..0 # SKIP there is no pidfd_open() here\n");
                return 0;
        }
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/fence/off-is-confirmed-by-status", test_off_is_confirmed_by_status);
        g_test_add_func("/fence/on-comes-after-the-result", test_on_comes_after_the_result);
        g_test_add_func("/fence/failing-on-does-not-unmake-the-success",
                        test_failing_on_does_not_unmake_the_success);
        g_test_add_func("/fence/new-request-kills-a-running-on", test_new_request_kills_a_running_on);
        g_test_add_func("/fence/failing-agent-fails-with-its-words",
                        test_failing_agent_fails_with_its_words);
        g_test_add_func("/fence/import-error-is-a-failure", test_import_error_is_a_failure);
        g_test_add_func("/fence/lying-agent-is-caught", test_lying_agent_is_caught);
        g_test_add_func("/fence/hanging-agent-is-killed-with-its-children",
                        test_hanging_agent_is_killed_with_its_children);
        g_test_add_func("/fence/freeing-a-request-kills-its-agent", test_freeing_a_request_kills_its_agent);
        g_test_add_func("/fence/next-level-is-tried", test_next_level_is_tried);
        g_test_add_func("/fence/level-is-off-when-all-of-it-are", test_level_is_off_when_all_of_it_are);
        g_test_add_func("/fence/all-devices-are-asked", test_all_devices_are_asked);
        g_test_add_func("/fence/asking-is-broken-off", test_asking_is_broken_off);
        g_test_add_func("/fence/level-fails-with-one-of-it", test_level_fails_with_one_of_it);
        g_test_add_func("/fence/level-that-failed-gets-its-current-back",
                        test_level_that_failed_gets_its_current_back);
        g_test_add_func("/fence/level-is-asked-after-all-orders", test_level_is_asked_after_all_orders);
        g_test_add_func("/fence/node-without-a-device-fails", test_node_without_a_device_fails);
        g_test_add_func("/fence/misspelled-key-never-reaches-the-agent",
                        test_misspelled_key_never_reaches_the_agent);
        g_test_add_func("/fence/secret-goes-by-input-only", test_secret_goes_by_input_only);
        g_test_add_func("/fence/missing-agent-is-told", test_missing_agent_is_told);
        g_test_add_func("/fence/device-is-checked-at-an-interval", test_device_is_checked_at_an_interval);
        g_test_add_func("/fence/secret-may-be-a-credential", test_secret_may_be_a_credential);
        g_test_add_func("/fence/secret-is-not-repeated", test_secret_is_not_repeated);
        g_test_add_func("/fence/check-reads-the-secret-again", test_check_reads_the_secret_again);
        g_test_add_func("/fence/off-said-of-a-node-that-is-up-is-a-fault",
                        test_off_said_of_a_node_that_is_up_is_a_fault);
        g_test_add_func("/fence/need-ends-a-check", test_need_ends_a_check);
        g_test_add_func("/fence/one-request-a-node", test_one_request_a_node);
        g_test_add_func("/fence/real-agent", test_real_agent);
        return g_test_run();
}
