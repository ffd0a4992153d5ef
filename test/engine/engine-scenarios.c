/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Plays the scenarios of this folder: each is a text that a person can read, with what is done and what the
 * engine has to plan then, and why.
 *
 *     engine-scenarios FILE...           TAP, one test a file
 *     engine-scenarios --show FILE       the file with the lines that it should have now
 *
 * The lines:
 *     nodes 3 [without-device n2 ...]    names are n1, n2, ...
 *     policy NAME                        takes policy/NAME.policy in
 *     file NAME, then lines with "| "    takes that file in
 *     form                               all nodes come up, the files come into force, everything starts
 *     apply                              the files as they are now come into force
 *     cold n1 n2                         only these are up, after a power cut of all; nothing is settled yet
 *     lose n1 [inactive|detached|down]   leaves the membership; "unknown" if nothing else is said
 *     boot n1 / heal n1                  comes back with a new boot / as the same
 *     manager n1 gone|back               its hamgr
 *     resets n1                          from its next hello on, it says that it resets itself (R12)
 *     leaving n1
 *     report GROUP n1 STATE[: reason]
 *     fenced n1 ok|ok by time|failed[: reason]   the answer of the fencer
 *     operator group start|stop|move|cleanup GROUP [n1]; operator node standby|unstandby n1
 *     wait 30s
 *     settle                             every hamgr obeys, plans are delivered, until there is rest
 *     obey                               every hamgr obeys, once
 *     plan                               the next plan is made, compared with the "> " lines after it, and
 * delivered decisions / status                 about each group: compared in the same way */

#include <stdio.h>

#include "basic/time-util.h"
#include "state-scene.h"

typedef struct Player {
        Scene scene;
        bool ready; /* the scene is initialised */
        GString *output;
        GString *seen; /* the lines that are to be compared, as they are now */
} Player;

static const char *node_name(const Player *p, uint32_t id) {
        static char buf[NAME_LENGTH_MAX + 1];

        return ha_nodes_name(&p->scene.table, id, buf);
}

static uint32_t node_id(const Player *p, const char *name) {
        const HaNode *n = name ? ha_nodes_find_name(&p->scene.table, name) : NULL;

        return n ? n->id : 0;
}

/* ---- What is compared ---- */

static void show_plan(Player *p) {
        EnginePlan plan;

        scene_plan(&p->scene, &plan);
        FOREACH_ARRAY(s, plan.plan.steps, plan.plan.n_steps)
                switch (s->type) {
                case STATE_STEP_ASSIGN:
                        g_string_append_printf(
                                        p->seen,
                                        "> assign %s to %s: %s\n",
                                        s->group,
                                        node_name(p, s->node),
                                        s->reason);
                        break;
                case STATE_STEP_RELEASE:
                        g_string_append_printf(
                                        p->seen, "> release %s from %s", s->group, node_name(p, s->node));
                        if (s->target != 0)
                                g_string_append_printf(p->seen, " for %s", node_name(p, s->target));
                        g_string_append_printf(p->seen, ": %s\n", s->reason);
                        break;
                case STATE_STEP_FENCE:
                        g_string_append_printf(p->seen, "> fence %s", node_name(p, s->boot.node));
                        g_string_append_printf(p->seen, " by %s: %s\n", node_name(p, s->fencer), s->reason);
                        break;
                }
        if (plan.plan.n_steps == 0) {
                char text[DURATION_TEXT_MAX];

                g_string_append(p->seen, "> nothing");
                if (plan.tick)
                        g_string_append(p->seen, ", but to let the time pass");
                else if (plan.wakeup_usec != UINT64_MAX)
                        g_string_append_printf(
                                        p->seen,
                                        ", again in %s",
                                        format_duration(plan.wakeup_usec - p->scene.now_usec, text));
                g_string_append(p->seen, "\n");
        } else
                scene_deliver_plan(&p->scene, &plan.plan);
        engine_plan_done(&plan);
}

static void show_decisions(Player *p) {
        EnginePlan plan;

        scene_plan(&p->scene, &plan);
        FOREACH_ARRAY(d, plan.decisions, plan.n_decisions)
                g_string_append_printf(
                                p->seen,
                                "> %s %s: %s\n",
                                d->group,
                                d->node != 0 ? node_name(p, d->node) : "nowhere",
                                d->reason);
        engine_plan_done(&plan);
}

static void show_status(Player *p) {
        State *s = scene_state(&p->scene);

        for (size_t i = 0; i < state_n_groups(s); i++) {
                StateGroupStatus status;

                state_group_status(s, state_group_at(s, i), &status);
                g_string_append_printf(
                                p->seen,
                                "> %s %s",
                                state_group_at(s, i)->name,
                                state_run_to_string(status.run));
                if (status.node != 0)
                        g_string_append_printf(p->seen, " on %s", node_name(p, status.node));
                g_string_append_printf(p->seen, "%s%s\n", status.reason[0] ? ": " : "", status.reason);
        }
}

/* ---- What is done ---- */

static bool do_policy(Player *p, const char *name) {
        g_autofree char *file = g_strdup_printf("%s.policy", name);
        g_autofree char *path =
                        g_build_filename(strempty(g_getenv("HAMGR_SOURCE_ROOT")), "policy", file, NULL);
        g_autofree char *text = NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return false;
        scene_file(&p->scene, file, text);
        return true;
}

static bool do_lose(Player *p, uint32_t id, const char *how) {
        StateNodeState state = how ? state_node_state_from_string(how) : STATE_NODE_UNKNOWN;

        if ((int) state < 0 || state == STATE_NODE_UP)
                return false;
        scene_lose(&p->scene, id, state);
        return true;
}

static bool do_report(Player *p, const char *group, uint32_t id, char *what) {
        char *colon = what ? strstr(what, ": ") : NULL;
        StateReportState state;

        if (!what || !group || id == 0)
                return false;
        if (colon)
                *colon = '\0';
        state = state_report_state_from_string(what);
        if ((int) state <= 0)
                return false;
        scene_report_now(&p->scene, id, group, state, colon ? colon + 2 : "");
        return true;
}

static bool do_fenced(Player *p, uint32_t id, const char *what) {
        const StateNode *n = state_node(scene_state(&p->scene), id);
        const char *colon = what ? strstr(what, ": ") : NULL;

        if (!n || !n->fence.active || !what)
                return false;
        scene_fence_result_by(
                        &p->scene,
                        n->fence.fencer,
                        state_node_boot(n),
                        g_str_has_prefix(what, "ok"),
                        streq(what, "ok by time") ? STATE_BY_TIME_DEVICE : "power",
                        colon ? colon + 2 : "");
        return true;
}

static bool do_operator(Player *p, char **w) {
        static const struct {
                const char *words;
                StateOperation operation;
        } table[] = {
                { "group start", STATE_OPERATION_GROUP_START },
                { "group stop", STATE_OPERATION_GROUP_STOP },
                { "group move", STATE_OPERATION_GROUP_MOVE },
                { "group cleanup", STATE_OPERATION_GROUP_CLEANUP },
                { "node standby", STATE_OPERATION_NODE_STANDBY },
                { "node unstandby", STATE_OPERATION_NODE_UNSTANDBY },
        };
        g_autofree char *words = w[1] && w[2] ? g_strdup_printf("%s %s", w[1], w[2]) : NULL;

        for (size_t i = 0; words && w[3] && i < ELEMENTSOF(table); i++)
                if (streq(table[i].words, words)) {
                        bool group = g_str_has_prefix(words, "group");
                        uint32_t id = node_id(p, group ? w[4] : w[3]);

                        scene_group_operation(
                                        &p->scene,
                                        state_planner(scene_state(&p->scene)),
                                        table[i].operation,
                                        group ? w[3] : "",
                                        id);
                        return true;
                }
        return false;
}

static bool do_nodes(Player *p, char **w) {
        if (p->ready || !w[1])
                return false;
        scene_init(&p->scene, (unsigned) MIN(g_ascii_strtoull(w[1], NULL, 10), SCENE_NODES_MAX));
        p->ready = true;
        for (size_t i = 3; w[2] && w[i]; i++) {
                uint32_t id = node_id(p, w[i]);

                if (id == 0)
                        return false;
                p->scene.table.nodes[id - 1].has_fence_device = false;
        }
        return true;
}

/* Everybody lost power; the disks are what is left. */
static void do_cold(Player *p, char **w) {
        Scene *s = &p->scene;

        for (uint32_t id = 1; id <= s->table.n_nodes; id++) {
                s->nodes[id].state = STATE_NODE_UNKNOWN;
                s->nodes[id].instance = 0;
                s->nodes[id].incarnation = s->nodes[id].boot = 0;
        }
        for (size_t i = 1; w[i]; i++) {
                scene_boot(s, node_id(p, w[i]));
                scene_manager(s, node_id(p, w[i]), true);
        }
        scene_view(s, true);
        for (size_t i = 1; w[i]; i++)
                scene_hello(s, node_id(p, w[i]));
        s->now_usec = 0;
}

static bool do_line(Player *p, const char *line) {
        g_auto(GStrv) w = g_strsplit(line, " ", -1);
        Scene *s = &p->scene;
        uint32_t id = p->ready && w[0] && w[1] ? node_id(p, w[1]) : 0;
        const char *verb = w[0];
        uint64_t usec;

        if (!verb)
                return false;
        if (streq(verb, "nodes"))
                return do_nodes(p, w);
        if (!p->ready)
                return false;
        if (streq(verb, "policy") && w[1])
                return do_policy(p, w[1]);
        if (streq(verb, "form"))
                scene_form(s);
        else if (streq(verb, "apply")) {
                scene_send_files(s, state_planner(scene_state(s)));
                (void) scene_obey(s);
                (void) scene_obey(s);
        } else if (streq(verb, "cold") && w[1])
                do_cold(p, w);
        else if (streq(verb, "lose") && id != 0)
                return do_lose(p, id, w[2]);
        else if (streq(verb, "boot") && id != 0) {
                scene_boot(s, id);
                scene_rejoin(s, id);
        } else if (streq(verb, "heal") && id != 0)
                scene_rejoin(s, id);
        else if (streq(verb, "manager") && id != 0 && w[2]) {
                scene_manager(s, id, streq(w[2], "back"));
                scene_view(s, false);
                if (streq(w[2], "back"))
                        scene_hello(s, id);
        } else if (streq(verb, "resets") && id != 0)
                s->nodes[id].reset_usec = USEC_PER_SEC;
        else if (streq(verb, "leaving") && id != 0)
                scene_message(s, id, (StateMessage){ .type = STATE_MESSAGE_NODE_LEAVING });
        else if (streq(verb, "report") && w[1] && w[2] && w[3]) {
                g_autofree char *rest = g_strjoinv(" ", w + 3);

                return do_report(p, w[1], node_id(p, w[2]), rest);
        } else if (streq(verb, "fenced") && id != 0 && w[2]) {
                g_autofree char *rest = g_strjoinv(" ", w + 2);

                return do_fenced(p, id, rest);
        } else if (streq(verb, "operator"))
                return do_operator(p, w);
        else if (streq(verb, "wait") && w[1] && parse_duration(w[1], &usec) >= 0) {
                s->now_usec += usec;
                scene_message(s,
                              state_planner(scene_state(s)),
                              (StateMessage){ .type = STATE_MESSAGE_TICK });
        } else if (streq(verb, "settle"))
                scene_settle(s);
        else if (streq(verb, "obey"))
                (void) scene_obey(s);
        else if (streq(verb, "plan"))
                show_plan(p);
        else if (streq(verb, "decisions"))
                show_decisions(p);
        else if (streq(verb, "status"))
                show_status(p);
        else
                return false;
        return true;
}

/* Takes the file's "| " lines in and returns the first line that is none. */
static char **take_file(Player *p, char **line, const char *name) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (; *line && (g_str_has_prefix(*line, "| ") || streq(*line, "|")); line++) {
                g_string_append_printf(text, "%s\n", streq(*line, "|") ? "" : *line + 2);
                g_string_append_printf(p->output, "%s\n", *line);
        }
        scene_file(&p->scene, name, text->str);
        return line;
}

/* NULL, or the line that cannot be understood. */
static const char *play(Player *p, char **lines) {
        for (char **line = lines; *line;) {
                const char *now = *line++;

                if (g_str_has_prefix(now, "> "))
                        continue; /* said again below, as it is now */
                if (!*line && now[0] == '\0')
                        break;
                g_string_append_printf(p->output, "%s\n", now);
                if (now[0] == '#' || now[0] == '\0')
                        continue;
                if (g_str_has_prefix(now, "file ") && p->ready) {
                        line = take_file(p, line, now + 5);
                        continue;
                }
                g_string_truncate(p->seen, 0);
                if (!do_line(p, now))
                        return now;
                g_string_append(p->output, p->seen->str);
        }
        return NULL;
}

static char *play_text(const char *text, char **ret_bad_line) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        Player p = { .output = g_string_new(NULL), .seen = g_string_new(NULL) };
        const char *bad = play(&p, lines);

        *ret_bad_line = bad ? g_strdup(bad) : NULL;
        if (p.ready)
                scene_done(&p.scene);
        g_string_free(p.seen, true);
        return g_string_free(p.output, false);
}

static void tell_difference(const char *expected, const char *actual) {
        g_auto(GStrv) e = g_strsplit(expected, "\n", -1), a = g_strsplit(actual, "\n", -1);
        size_t i = 0;

        while (e[i] && a[i] && streq(e[i], a[i]))
                i++;
        g_test_fail_printf("line %zu\nexpected: %s\nit is:    %s", i + 1, e[i] ?: "(end)", a[i] ?: "(end)");
}

static void test_scenario(gconstpointer data) {
        g_autofree char *text = NULL, *actual = NULL, *bad = NULL;

        g_assert_true(g_file_get_contents(data, &text, NULL, NULL));
        actual = play_text(text, &bad);
        if (bad)
                g_test_fail_printf("cannot be understood: %s", bad);
        else if (!streq(text, actual))
                tell_difference(text, actual);
}

int main(int argc, char **argv) {
        if (argc == 3 && streq(argv[1], "--show")) {
                g_autofree char *text = NULL, *actual = NULL, *bad = NULL;

                if (!g_file_get_contents(argv[2], &text, NULL, NULL)) {
                        fprintf(stderr, "cannot read %s\n", argv[2]);
                        return 1;
                }
                actual = play_text(text, &bad);
                fputs(actual, stdout);
                if (bad)
                        fprintf(stderr, "cannot be understood: %s\n", bad);
                return bad ? 1 : 0;
        }
        g_test_init(&argc, &argv, NULL);
        for (int i = 1; i < argc; i++) {
                g_autofree char *base = g_path_get_basename(argv[i]);
                g_autofree char *path = g_strdup_printf("/engine/scenario/%s", base);

                g_test_add_data_func(path, argv[i], test_scenario);
        }
        return g_test_run();
}
