/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include <glib.h>

#include "basic/string-table.h"
#include "hamgr/fence/agent.h"

/* Keys that are ours to set, or that would make an agent do something else and exit with 0. */
static const char *const reserved_keys[] = {
        "action", "option", "plug", "port", "help", "version", "metadata", "nodename",
};

/* The value of a "key=value" string, or NULL when its key is another one. */
static const char *value_of(const char *assignment, const char *key) {
        const char *rest = startswith(assignment, key);

        return rest && *rest == '=' ? rest + 1 : NULL;
}

static bool is_set(const ClusterFence *conf, const char *const *secret, const char *key) {
        for (size_t i = 0; i < conf->n_parameters; i++)
                if (value_of(conf->parameters[i], key))
                        return true;
        for (size_t i = 0; secret && secret[i]; i++)
                if (value_of(secret[i], key))
                        return true;
        return false;
}

/* A parameter counts as set under its older and its newer name too. */
static bool
is_provided(const FenceMetadata *m,
            const ClusterFence *conf,
            const char *const *secret,
            const FenceParameter *p) {
        if (p->has_default || is_set(conf, secret, p->name))
                return true;
        if (p->obsoletes && is_set(conf, secret, p->obsoletes))
                return true;
        for (size_t i = 0; i < m->n_parameters; i++)
                if (streq_ptr(m->parameters[i].obsoletes, p->name) &&
                    is_set(conf, secret, m->parameters[i].name))
                        return true;
        return false;
}

/* Keys whose values do not belong into a file that everybody may read and "hactl apply" copies about. */
static const char *const secret_keys[] = {
        "password", "passwd", "snmp_priv_passwd", "snmp_priv_password", "secret_key",
        "apikey",   "token",  "hexadecimal_kg",   "community",
};

static char *nearest_parameter(const FenceMetadata *m, const char *key) {
        g_autofree const char **names = g_new0(const char *, m->n_parameters);
        const char *nearest;

        for (size_t i = 0; i < m->n_parameters; i++)
                names[i] = m->parameters[i].name;
        nearest = string_table_nearest(names, m->n_parameters, key);
        return nearest ? g_strdup_printf("; did you mean \"%s\"?", nearest) : g_strdup("");
}

static bool is_no(const char *value) {
        static const char *const words[] = { "0", "no", "off", "false" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (g_ascii_strcasecmp(value, words[i]) == 0)
                        return true;
        return false;
}

static char *join_options(const FenceParameter *p) {
        GString *s = g_string_new(NULL);

        for (size_t i = 0; i < p->n_options; i++)
                g_string_append_printf(s, "%s%s", i > 0 ? ", " : "", p->options[i]);
        return g_string_free(s, FALSE);
}

/* What the agent would ignore with a warning that nobody reads, or refuse when it is needed. */
static char *check_value(const FenceParameter *p, const char *value, const char *where) {
        g_autofree char *options = NULL;

        /* "off" said of a plug that is not there proves nothing: it may be misspelled. */
        if (streq(p->name, "missing_as_off") && !is_no(value))
                return g_strdup_printf(
                                "%s: \"missing_as_off\" must not be set: a node with a misspelled plug "
                                "would count "
                                "as off while it runs",
                                where);
        if (fence_parameter_accepts(p, value))
                return NULL;
        if (p->type == FENCE_PARAMETER_SELECT) {
                options = join_options(p);
                return g_strdup_printf("%s: the value of \"%s\" must be one of %s", where, p->name, options);
        }
        return g_strdup_printf(
                        "%s: the value of \"%s\" must be %s",
                        where,
                        p->name,
                        p->type == FENCE_PARAMETER_BOOLEAN  ? "yes or no"
                        : p->type == FENCE_PARAMETER_SECOND ? "a whole number of seconds, without a unit"
                                                            : "a whole number");
}

/* Never repeats the value: it may be a secret. */
static char *check_assignment(const FenceMetadata *m, const char *assignment, const char *where) {
        const char *equals = strchr(assignment, '=');

        if (!equals || equals == assignment)
                return g_strdup_printf("%s: expected key=value", where);

        g_autofree char *key = g_strndup(assignment, (size_t) (equals - assignment));

        if (string_table_lookup(reserved_keys, ELEMENTSOF(reserved_keys), key) >= 0)
                return g_strdup_printf(
                                "%s: the key \"%s\" must not be set; the action is chosen by hamgr, the "
                                "plug by Nodes=",
                                where,
                                key);
        if (!fence_metadata_parameter(m, key)) {
                g_autofree char *hint = nearest_parameter(m, key);

                return g_strdup_printf("%s: the agent has no parameter \"%s\"%s", where, key, hint);
        }
        for (const char *p = equals; *p; p++)
                if ((unsigned char) *p < ' ')
                        return g_strdup_printf(
                                        "%s: the value of \"%s\" has a control character in it", where, key);
        return check_value(fence_metadata_parameter(m, key), equals + 1, where);
}

/* Secrets have places of their own. */
static char *check_public(const char *assignment) {
        g_autofree char *key = g_strndup(assignment, strcspn(assignment, "="));

        if (string_table_lookup(secret_keys, ELEMENTSOF(secret_keys), key) < 0)
                return NULL;
        return g_strdup_printf(
                        "Parameter=: \"%s\" is a secret; put the line into a file of mode 0600 and name "
                        "that by "
                        "ParameterFile=, or into a credential (Credential=)",
                        key);
}

static char *check_actions(const FenceMetadata *m, const ClusterFence *conf) {
        for (FenceAction a = 0; a < _FENCE_ACTION_MAX; a++) {
                if (a == FENCE_ACTION_ON && !conf->power_on)
                        continue;
                if (!fence_metadata_has_action(m, fence_action_to_string(a)))
                        return g_strdup_printf(
                                        "the agent has no action \"%s\"%s",
                                        fence_action_to_string(a),
                                        a == FENCE_ACTION_ON ? "; set PowerOn=no"
                                                             : "; an outage cannot be proven with it");
        }
        if (m->cuts_only)
                return g_strdup("the agent cuts a node off from a disk or a network and does not switch it "
                                "off, "
                                "so what the node runs would run twice; use one that controls its power");
        return NULL;
}

char *
fence_agent_check_parameters(const FenceMetadata *m, const ClusterFence *conf, const char *const *secret) {
        char *wrong = check_actions(m, conf);

        for (size_t i = 0; !wrong && i < conf->n_parameters; i++)
                wrong = check_assignment(m, conf->parameters[i], "Parameter=")
                                        ?: check_public(conf->parameters[i]);
        for (size_t i = 0; !wrong && secret && secret[i]; i++)
                wrong = check_assignment(m, secret[i], conf->parameter_file ?: "Credential=");
        if (wrong)
                return wrong;

        for (size_t i = 0; i < m->n_parameters; i++) {
                const FenceParameter *p = &m->parameters[i];

                if (p->required &&
                    string_table_lookup(reserved_keys, ELEMENTSOF(reserved_keys), p->name) < 0 &&
                    !is_provided(m, conf, secret, p))
                        return g_strdup_printf(
                                        "the agent needs the parameter \"%s\"; set it with Parameter=%s=... "
                                        "or in ParameterFile= or Credential=",
                                        p->name,
                                        p->name);
        }

        if (!fence_metadata_plug_parameter(m) && conf->n_nodes > 1)
                return g_strdup("the agent takes no plug, so it cannot tell several nodes apart; give each "
                                "node a [Fence] section of its own");
        return NULL;
}

char *fence_agent_input(
                const FenceMetadata *m,
                const ClusterFence *conf,
                const char *const *secret,
                const char *plug,
                FenceAction action) {
        const char *plug_parameter = fence_metadata_plug_parameter(m);
        GString *s = g_string_new(NULL);

        for (size_t i = 0; i < conf->n_parameters; i++)
                g_string_append_printf(s, "%s\n", conf->parameters[i]);
        for (size_t i = 0; secret && secret[i]; i++)
                g_string_append_printf(s, "%s\n", secret[i]);
        if (plug_parameter)
                g_string_append_printf(s, "%s=%s\n", plug_parameter, plug);
        /* Last, so that nothing before it can take its place: an agent without an action reboots. */
        g_string_append_printf(s, "action=%s\n", fence_action_to_string(action));
        return g_string_free(s, FALSE);
}

char *fence_agent_check_program(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0)
                return g_strdup_printf(
                                "cannot find the agent %s: %s; install the package that has it "
                                "(fence-agents) on this node",
                                path,
                                g_strerror(errno));
        if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
                return g_strdup_printf("the agent %s is not a program that can be executed", path);
        return NULL;
}
