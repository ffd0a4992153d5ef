/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>

#include "hamgr/fence/agent.h"
#include "hamgr/fence/metadata.h"

#define ACTIONS "<actions><action name=\"on\"/><action name=\"off\"/><action name=\"status\"/></actions>"

static const char xml[] =
                "<?xml version=\"1.0\" ?>\n"
                "<resource-agent name=\"fence_lab\" shortdesc=\"Lab\">\n"
                "<longdesc>A &lt;parameter name=\"not_me\"&gt; and more.</longdesc>\n"
                "<parameters>\n"
                "<parameter name=\"action\" required=\"1\"><content type=\"string\" "
                "default=\"reboot\"/></parameter>\n"
                "<parameter name=\"ip\" required=\"1\" obsoletes=\"ipaddr\"><content "
                "type=\"string\"/></parameter>\n"
                "<parameter name=\"ipaddr\" required=\"1\" deprecated=\"1\"><content "
                "type=\"string\"/></parameter>\n"
                "<parameter name=\"plug\" required=\"1\" obsoletes=\"port\"><content "
                "type=\"string\"/></parameter>\n"
                "<parameter name=\"port\" required=\"1\" deprecated=\"1\"><content "
                "type=\"string\"/></parameter>\n"
                "<parameter name=\"password\" required=\"0\"><content type=\"string\"/></parameter>\n"
                "<parameter name=\"delay\" required=\"1\"><content type=\"second\" "
                "default=\"0\"/></parameter>\n"
                "<parameter name=\"lanplus\" required=\"0\"><content type=\"boolean\"/></parameter>\n"
                "<parameter name=\"ipport\" required=\"0\"><content type=\"integer\"/></parameter>\n"
                "<parameter name=\"missing_as_off\" required=\"0\"><content type=\"boolean\"/></parameter>\n"
                "<parameter name=\"auth\" required=\"0\"><content type=\"select\"><option value=\"md5\"/>"
                "<option value=\"none\"/></content></parameter>\n"
                "</parameters>\n" ACTIONS "</resource-agent>\n";

static FenceMetadata *parse(const char *text) {
        g_autofree char *error = NULL;
        FenceMetadata *m = NULL;
        int r = fence_metadata_parse(text, &m, &error);

        g_assert_cmpint(r, ==, 0);
        return m;
}

static void test_parameters_and_actions_are_read(void) {
        FenceMetadata *m = parse(xml);

        g_assert_cmpuint(m->n_parameters, ==, 11);
        g_assert_cmpuint(m->n_actions, ==, 3);
        g_assert_nonnull(fence_metadata_parameter(m, "ip"));
        g_assert_true(fence_metadata_parameter(m, "ip")->required);
        g_assert_true(fence_metadata_parameter(m, "delay")->has_default);
        g_assert_false(fence_metadata_parameter(m, "password")->required);
        g_assert_cmpint(fence_metadata_parameter(m, "password")->type, ==, FENCE_PARAMETER_STRING);
        g_assert_cmpint(fence_metadata_parameter(m, "delay")->type, ==, FENCE_PARAMETER_SECOND);
        g_assert_cmpint(fence_metadata_parameter(m, "lanplus")->type, ==, FENCE_PARAMETER_BOOLEAN);
        g_assert_cmpint(fence_metadata_parameter(m, "auth")->type, ==, FENCE_PARAMETER_SELECT);
        g_assert_cmpuint(fence_metadata_parameter(m, "auth")->n_options, ==, 2);
        g_assert_null(fence_metadata_parameter(m, "not_me"));
        g_assert_true(fence_metadata_has_action(m, "off"));
        g_assert_false(fence_metadata_has_action(m, "reboot"));
        g_assert_cmpstr(fence_metadata_plug_parameter(m), ==, "plug");
        fence_metadata_free(m);
}

static void test_nonsense_is_refused(void) {
        static const char *const texts[] = {
                "",
                "Traceback (most recent call last):",
                "<html/>",
                "<resource-agent><parameters></parameters></resource-agent>",
                "<resource-agent><parameters><parameter/></parameters></resource-agent>",
                "<resource-agent><parameters><parameter name=\"a\"></parameters></resource-agent>",
                "<resource-agent><parameters><parameter name=\"a\"/>",
        };

        FOREACH_ARRAY(text, texts, ELEMENTSOF(texts)) {
                g_autofree char *error = NULL;
                FenceMetadata *m = NULL;

                g_assert_cmpint(fence_metadata_parse(*text, &m, &error), ==, -EBADMSG);
                g_assert_nonnull(error);
                g_assert_null(m);
        }
}

static void check(size_t n_nodes, const char *const *parameters, size_t n, const char *expected) {
        FenceMetadata *m = parse(xml);
        ClusterFence conf = {
                .name = "power",
                .n_nodes = n_nodes,
                .parameters = (char **) parameters,
                .n_parameters = n,
                .power_on = true,
        };
        g_autofree char *wrong = fence_agent_check_parameters(m, &conf, NULL);

        if (!expected)
                g_assert_cmpstr(wrong, ==, NULL);
        else if (!wrong || !strstr(wrong, expected))
                g_error("\"%s\" is not in \"%s\"", expected, strna(wrong));
        fence_metadata_free(m);
}

static void test_parameters_are_checked(void) {
        check(1, (const char *const[]){ "ip=10.9.0.1" }, 1, NULL);
        check(1, (const char *const[]){ "ipaddr=10.9.0.1" }, 1, NULL);
        check(1, NULL, 0, "needs the parameter \"ip\"");
        check(1, (const char *const[]){ "ip=1", "pasword=x" }, 2, "did you mean \"password\"");
        check(1, (const char *const[]){ "ip=1", "action=status" }, 2, "must not be set");
        check(1, (const char *const[]){ "ip=1", "plug=9" }, 2, "must not be set");
        check(1, (const char *const[]){ "ip=1", "version=1" }, 2, "must not be set");
        check(1, (const char *const[]){ "ip=1\naction=on" }, 1, "control character");
        check(1, (const char *const[]){ "ip=1", "password" }, 2, "expected key=value");
}

/* What an agent ignores, or refuses when it is needed. */
static void test_values_are_checked(void) {
        check(1,
              (const char *const[]){ "ip=1", "lanplus=Yes", "ipport=623", "delay=5", "auth=MD5" },
              5,
              NULL);
        check(1, (const char *const[]){ "ip=1", "lanplus=ja" }, 2, "\"lanplus\" must be yes or no");
        check(1, (const char *const[]){ "ip=1", "lanplus=" }, 2, "\"lanplus\" must be yes or no");
        check(1, (const char *const[]){ "ip=1", "ipport=-1" }, 2, "\"ipport\" must be a whole number");
        check(1,
              (const char *const[]){ "ip=1", "delay=5s" },
              2,
              "\"delay\" must be a whole number of seconds");
        check(1, (const char *const[]){ "ip=1", "auth=sha" }, 2, "\"auth\" must be one of md5, none");
        check(1, (const char *const[]){ "ip=1", "missing_as_off=0" }, 2, NULL);
        check(1, (const char *const[]){ "ip=1", "missing_as_off=1" }, 2, "would count as off while it runs");
}

static void test_secrets_have_a_place_of_their_own(void) {
        FenceMetadata *m = parse(xml);
        const char *parameters[] = { "ip=1" }, *secret[] = { "password=s3", NULL };
        ClusterFence conf = {
                .name = "power",
                .n_nodes = 1,
                .parameters = (char **) parameters,
                .n_parameters = 1,
                .parameter_file = (char *) "/etc/hamgr/x.secret",
        };
        g_autofree char *wrong = fence_agent_check_parameters(m, &conf, secret);

        g_assert_cmpstr(wrong, ==, NULL);
        check(1,
              (const char *const[]){ "ip=1", "password=s3" },
              2,
              "Parameter=: \"password\" is a secret; put the line into a file");
        fence_metadata_free(m);
}

static void test_agent_without_plug_serves_one_node(void) {
        FenceMetadata *m = parse("<resource-agent><parameters><parameter name=\"ip\"/></parameters>" ACTIONS
                                 "</resource-agent>");
        ClusterFence one = { .name = "one", .n_nodes = 1 }, two = { .name = "two", .n_nodes = 2 };
        g_autofree char *right = fence_agent_check_parameters(m, &one, NULL);
        g_autofree char *wrong = fence_agent_check_parameters(m, &two, NULL);

        g_assert_null(right);
        g_assert_nonnull(strstr(wrong, "cannot tell several nodes apart"));
        fence_metadata_free(m);
}

static void test_agent_that_cannot_prove_is_refused(void) {
        FenceMetadata *m = parse("<resource-agent><parameters><parameter name=\"plug\"/></parameters>"
                                 "<actions><action name=\"off\"/></actions></resource-agent>");
        ClusterFence conf = { .name = "x", .n_nodes = 1 };
        g_autofree char *wrong = fence_agent_check_parameters(m, &conf, NULL);

        g_assert_nonnull(strstr(wrong, "no action \"status\""));
        fence_metadata_free(m);
}

/* As fence_scsi and others that take a disk or a network away. */
static void test_agent_that_only_cuts_off_is_refused(void) {
        FenceMetadata *m =
                        parse("<resource-agent><parameters><parameter name=\"plug\"/></parameters>"
                              "<actions><action name=\"on\" on_target=\"1\" automatic=\"1\"/>"
                              "<action name=\"off\"/><action name=\"status\"/></actions></resource-agent>");
        ClusterFence conf = { .name = "x", .n_nodes = 1 };
        g_autofree char *wrong = fence_agent_check_parameters(m, &conf, NULL);

        g_assert_nonnull(strstr(strempty(wrong), "does not switch it off"));
        fence_metadata_free(m);
}

static void test_action_comes_last(void) {
        FenceMetadata *m = parse(xml);
        const char *parameters[] = { "ip=10.9.0.1", "delay=1" }, *secret[] = { "password=s3", NULL };
        ClusterFence conf = { .name = "power", .parameters = (char **) parameters, .n_parameters = 2 };
        g_autofree char *off = fence_agent_input(m, &conf, secret, "plug7", FENCE_ACTION_OFF);
        g_autofree char *status = fence_agent_input(m, &conf, NULL, "plug7", FENCE_ACTION_STATUS);

        g_assert_cmpstr(off, ==, "ip=10.9.0.1\ndelay=1\npassword=s3\nplug=plug7\naction=off\n");
        g_assert_cmpstr(status, ==, "ip=10.9.0.1\ndelay=1\nplug=plug7\naction=status\n");
        fence_metadata_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/fence/metadata/parameters-and-actions-are-read",
                        test_parameters_and_actions_are_read);
        g_test_add_func("/fence/metadata/nonsense-is-refused", test_nonsense_is_refused);
        g_test_add_func("/fence/device/parameters-are-checked", test_parameters_are_checked);
        g_test_add_func("/fence/device/values-are-checked", test_values_are_checked);
        g_test_add_func("/fence/device/secrets-have-a-place-of-their-own",
                        test_secrets_have_a_place_of_their_own);
        g_test_add_func("/fence/device/agent-without-plug-serves-one-node",
                        test_agent_without_plug_serves_one_node);
        g_test_add_func("/fence/device/agent-that-cannot-prove-is-refused",
                        test_agent_that_cannot_prove_is_refused);
        g_test_add_func("/fence/device/agent-that-only-cuts-off-is-refused",
                        test_agent_that_only_cuts_off_is_refused);
        g_test_add_func("/fence/device/action-comes-last", test_action_comes_last);
        return g_test_run();
}
