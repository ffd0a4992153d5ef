/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include <glib.h>

#include "basic/string-table.h"
#include "basic/time-util.h"
#include "hamgr/fence/device.h"
#include "shared/event-util.h"
#include "shared/file-util.h"

#define METADATA_TIMEOUT_USEC (15 * USEC_PER_SEC)

static const char *const fence_action_table[_FENCE_ACTION_MAX] = {
        [FENCE_ACTION_OFF] = "off",
        [FENCE_ACTION_STATUS] = "status",
        [FENCE_ACTION_ON] = "on",
};
DEFINE_STRING_TABLE(fence_action, FenceAction);

/* Keys that are ours to set, or that would make an agent do something else and exit with 0. */
static const char *const reserved_keys[] = {
        "action", "option", "plug", "port", "help", "version", "metadata", "nodename",
};

struct FenceDevice {
        sd_event *event;          /* ref */
        const ClusterFence *conf; /* weak */
        FenceDeviceLookedHandler handler;
        void *userdata;

        Child *look;             /* owned: the metadata run */
        sd_event_source *failed; /* ref: tells a look that failed at once, from the loop */

        bool ready;
        char *error;             /* owned: why not */
        FenceMetadata *metadata; /* owned */
        char **secret;           /* owned: "key=value", NULL-terminated; wiped when freed */
};

static char **secret_free(char **secret) {
        if (!secret)
                return NULL;
        for (char **p = secret; *p; p++) {
                explicit_bzero(*p, strlen(*p));
                g_free(*p);
        }
        g_free(secret);
        return NULL;
}

static void device_forget(FenceDevice *d) {
        d->ready = false;
        g_clear_pointer(&d->error, g_free);
        d->metadata = fence_metadata_free(d->metadata);
        d->secret = secret_free(d->secret);
}

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

static char *nearest_parameter(const FenceMetadata *m, const char *key) {
        g_autofree const char **names = g_new0(const char *, m->n_parameters);
        const char *nearest;

        for (size_t i = 0; i < m->n_parameters; i++)
                names[i] = m->parameters[i].name;
        nearest = string_table_nearest(names, m->n_parameters, key);
        return nearest ? g_strdup_printf("; did you mean \"%s\"?", nearest) : g_strdup("");
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
        return NULL;
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
        return NULL;
}

char *
fence_device_check_parameters(const FenceMetadata *m, const ClusterFence *conf, const char *const *secret) {
        char *wrong = check_actions(m, conf);

        for (size_t i = 0; !wrong && i < conf->n_parameters; i++)
                wrong = check_assignment(m, conf->parameters[i], "Parameter=");
        for (size_t i = 0; !wrong && secret && secret[i]; i++)
                wrong = check_assignment(m, secret[i], conf->parameter_file);
        if (wrong)
                return wrong;

        for (size_t i = 0; i < m->n_parameters; i++) {
                const FenceParameter *p = &m->parameters[i];

                if (p->required &&
                    string_table_lookup(reserved_keys, ELEMENTSOF(reserved_keys), p->name) < 0 &&
                    !is_provided(m, conf, secret, p))
                        return g_strdup_printf(
                                        "the agent needs the parameter \"%s\"; set it with Parameter=%s=... "
                                        "or in ParameterFile=",
                                        p->name,
                                        p->name);
        }

        if (!fence_metadata_plug_parameter(m) && conf->n_nodes > 1)
                return g_strdup("the agent takes no plug, so it cannot tell several nodes apart; give each "
                                "node a [Fence] section of its own");
        return NULL;
}

char *fence_device_input(
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

static char *check_program(const char *path) {
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

static char *check_secret_file(const char *path, int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return g_strdup_printf("cannot look at %s: %s", path, g_strerror(errno));
        if (!S_ISREG(st.st_mode))
                return g_strdup_printf("%s is not a regular file", path);
        if (st.st_uid != geteuid())
                return g_strdup_printf("%s belongs to another user; run: chown root: %s", path, path);
        if ((st.st_mode & 07777) != 0600)
                return g_strdup_printf(
                                "%s has mode %04o, others could read or change the secret; run: chmod 0600 "
                                "%s",
                                path,
                                st.st_mode & 07777,
                                path);
        return NULL;
}

/* Lines of key=value; blank lines and lines that begin with # mean nothing. */
static char **split_secret(const char *text) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        GPtrArray *kept = g_ptr_array_new();

        for (char **p = lines; *p; p++) {
                char *line = g_strstrip(*p);

                if (line[0] != '\0' && line[0] != '#')
                        g_ptr_array_add(kept, g_strdup(line));
                explicit_bzero(*p, strlen(*p));
        }
        g_ptr_array_add(kept, NULL);
        return (char **) g_ptr_array_free(kept, FALSE);
}

static char *read_secret(const char *path, char ***ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        _cleanup_free_ char *text = NULL;
        size_t size_bytes;
        int r;

        if (fd < 0)
                return g_strdup_printf(
                                "cannot open ParameterFile=%s: %s%s",
                                path,
                                g_strerror(errno),
                                errno == ELOOP ? " (it must not be a symbolic link)" : "");

        char *wrong = check_secret_file(path, fd);
        if (wrong)
                return wrong;

        r = read_whole_fd(fd, FENCE_SECRET_BYTES_MAX, &text, &size_bytes);
        if (r < 0)
                return g_strdup_printf("cannot read %s: %s", path, g_strerror(-r));

        bool has_zero = strlen(text) != size_bytes;
        if (!has_zero)
                *ret = split_secret(text);
        explicit_bzero(text, size_bytes);
        return has_zero ? g_strdup_printf("%s is not a text file", path) : NULL;
}

/* The sentence of a metadata run that gave nothing to work with, or NULL and the metadata. */
static char *take_metadata(FenceDevice *d, const ChildResult *result) {
        char text[CHILD_TEXT_MAX];
        g_autofree char *why = NULL;

        if (result->end != CHILD_EXITED || result->status != 0)
                return g_strdup_printf(
                                "cannot read the metadata of %s: it %s",
                                d->conf->agent,
                                child_result_format(result, text));
        if (result->output_cut)
                return g_strdup_printf("cannot read the metadata of %s: it is too long", d->conf->agent);
        if (fence_metadata_parse(result->output, &d->metadata, &why) < 0)
                return g_strdup_printf("cannot understand the metadata of %s: %s", d->conf->agent, why);
        return fence_device_check_parameters(d->metadata, d->conf, (const char *const *) d->secret);
}

static void on_metadata(Child *child, const ChildResult *result, void *userdata) {
        FenceDevice *d = userdata;

        d->error = take_metadata(d, result);
        d->ready = !d->error;
        d->look = child_free(d->look);
        d->handler(d, d->userdata);
}

static int on_failed_look(sd_event_source *s, void *userdata) {
        FenceDevice *d = userdata;

        d->handler(d, d->userdata);
        return 0;
}

/* The part of the look that needs no other program. NULL when the metadata run has begun. */
static char *begin_look(FenceDevice *d) {
        const char *const argv[] = { d->conf->agent, "-o", "metadata", NULL };
        char *wrong;
        int r;

        wrong = check_program(d->conf->agent);
        if (!wrong && d->conf->parameter_file)
                wrong = read_secret(d->conf->parameter_file, &d->secret);
        if (wrong)
                return wrong;

        r = child_new(d->event,
                      &(ChildSpec){
                                      .argv = argv,
                                      .timeout_usec = MIN(d->conf->timeout_usec, METADATA_TIMEOUT_USEC),
                      },
                      on_metadata,
                      d,
                      &d->look);
        return r < 0 ? g_strdup_printf("cannot execute the agent %s: %s", d->conf->agent, g_strerror(-r))
                     : NULL;
}

int fence_device_look(FenceDevice *d) {
        if (d->look)
                return 0;

        device_forget(d);
        d->error = begin_look(d);
        if (!d->error)
                return 0;

        if (!d->failed) {
                int r = event_defer_new(d->event, "fence-device-failed", on_failed_look, d, &d->failed);

                if (r < 0)
                        return r;
        }
        return event_defer_arm(d->failed);
}

FenceDevice *fence_device_new(
                sd_event *event,
                const ClusterFence *conf,
                FenceDeviceLookedHandler handler,
                void *userdata) {
        FenceDevice *d = g_new0(FenceDevice, 1);

        d->event = sd_event_ref(event);
        d->conf = conf;
        d->handler = handler;
        d->userdata = userdata;
        return d;
}

FenceDevice *fence_device_free(FenceDevice *d) {
        if (!d)
                return NULL;

        child_free(d->look);
        sd_event_source_disable_unref(d->failed);
        device_forget(d);
        sd_event_unref(d->event);
        g_free(d);
        return NULL;
}

const ClusterFence *fence_device_conf(const FenceDevice *d) {
        return d->conf;
}

bool fence_device_is_ready(const FenceDevice *d) {
        return d->ready;
}

const char *fence_device_error(const FenceDevice *d) {
        return d->error;
}

int fence_device_run(
                FenceDevice *d,
                FenceAction action,
                const char *plug,
                uint64_t timeout_usec,
                ChildHandler handler,
                void *userdata,
                Child **ret) {
        const char *const argv[] = { d->conf->agent, NULL };
        char *input;
        int r;

        assert(d->ready);

        input = fence_device_input(d->metadata, d->conf, (const char *const *) d->secret, plug, action);
        r = child_new(d->event,
                      &(ChildSpec){
                                      .argv = argv,
                                      .input = input,
                                      .input_bytes = strlen(input),
                                      .timeout_usec = timeout_usec,
                      },
                      handler,
                      userdata,
                      ret);
        explicit_bzero(input, strlen(input));
        g_free(input);
        return r;
}
