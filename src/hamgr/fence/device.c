/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include <glib.h>

#include "basic/string-table.h"
#include "basic/time-util.h"
#include "hamgr/fence/agent.h"
#include "hamgr/fence/device.h"
#include "hamgr/fence/redfish.h"
#include "hamgr/fence/secret.h"
#include "shared/child.h"
#include "shared/event-util.h"
#include "shared/file-util.h"
#include "shared/wipe.h"

#define METADATA_TIMEOUT_USEC (15 * USEC_PER_SEC)
#define PROBE_TIMEOUT_USEC (15 * USEC_PER_SEC)
#define CA_FILE_BYTES_MAX (4U * 1024U * 1024U)

static const char *const fence_action_table[_FENCE_ACTION_MAX] = {
        [FENCE_ACTION_OFF] = "off",
        [FENCE_ACTION_STATUS] = "status",
        [FENCE_ACTION_ON] = "on",
};
DEFINE_STRING_TABLE(fence_action, FenceAction);

struct FenceDevice {
        sd_event *event;          /* ref */
        const ClusterFence *conf; /* weak */
        FenceDeviceLookedHandler handler;
        void *userdata;

        Child *look;             /* owned: the metadata run */
        sd_event_source *looked; /* ref: tells a look that needed no program, from the loop */

        bool ready;
        char *error;             /* owned: why not */
        FenceMetadata *metadata; /* owned; of an agent */
        char **secret;           /* owned: "key=value", NULL-terminated; wiped when freed */

        Http *http;              /* owned; of Redfish */
        RedfishMemory *memories; /* owned: as many as the device has nodes */

        GPtrArray *probes; /* of owned FenceRun */
        bool probing;
        size_t n_probed;  /* nodes that were asked, or are */
        GString *trouble; /* owned */
        FenceDeviceIsUp is_up;
        FenceDeviceProbedHandler on_probed;
        void *probed_userdata;
        sd_event_source *probed; /* ref */
};

struct FenceRun {
        FenceAction action;
        const FenceDevice *device; /* weak */
        Child *child;              /* owned */
        RedfishRun *redfish;       /* owned */

        FenceRunHandler handler;
        void *userdata;

        FenceDevice *probed;          /* weak: whose probe it is; NULL: none */
        const ClusterFenceNode *node; /* borrowed from the configuration; of a probe */
};

static void device_forget(FenceDevice *d) {
        d->ready = false;
        g_clear_pointer(&d->error, g_free);
        d->metadata = fence_metadata_free(d->metadata);
        d->secret = fence_secret_free(d->secret);
}

static const char *const *secret_of(const FenceDevice *d) {
        return (const char *const *) d->secret;
}

/* ---- Looking at an agent ---- */

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
        return fence_agent_check_parameters(d->metadata, d->conf, secret_of(d));
}

static void on_metadata(Child *child, const ChildResult *result, void *userdata) {
        FenceDevice *d = userdata;

        d->error = take_metadata(d, result);
        d->ready = !d->error;
        d->look = child_free(d->look);
        d->handler(d, d->userdata);
}

static char *begin_metadata(FenceDevice *d) {
        const char *const argv[] = { d->conf->agent, "-o", "metadata", NULL };
        int r;

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

/* ---- Looking at files ---- */

/* Whoever may write it says who is believed. */
static char *check_ca_file(const char *path) {
        _cleanup_free_ char *text = NULL;
        size_t size_bytes;
        struct stat st;
        int r;

        if (stat(path, &st) >= 0 && (st.st_uid != geteuid() || (st.st_mode & 0022) != 0))
                return g_strdup_printf(
                                "CAFile=%s can be changed by others, who could let anybody stand in for a "
                                "controller; run: chown root: %s && chmod go-w %s",
                                path,
                                path,
                                path);
        r = read_whole_file(path, CA_FILE_BYTES_MAX, &text, &size_bytes);
        if (r < 0)
                return g_strdup_printf("cannot read CAFile=%s: %s", path, g_strerror(-r));
        if (!strstr(text, "-----BEGIN CERTIFICATE-----") &&
            !strstr(text, "-----BEGIN TRUSTED CERTIFICATE-----"))
                return g_strdup_printf("CAFile=%s has no certificate in PEM format in it", path);
        return NULL;
}

/* ---- The look ---- */

static int on_looked(sd_event_source *s, void *userdata) {
        FenceDevice *d = userdata;

        d->handler(d, d->userdata);
        return 0;
}

static char *look_at_files(const ClusterFence *conf, char ***ret_secret) {
        char *wrong = conf->type == CLUSTER_FENCE_AGENT ? fence_agent_check_program(conf->agent) : NULL;

        if (!wrong && conf->ca_file)
                wrong = check_ca_file(conf->ca_file);
        if (!wrong)
                wrong = fence_secret_read(conf, ret_secret);
        if (!wrong && conf->type == CLUSTER_FENCE_REDFISH)
                wrong = fence_secret_check_redfish(conf, (const char *const *) *ret_secret);
        return wrong;
}

char *fence_device_check_files(const ClusterFence *conf) {
        char **secret = NULL;
        char *wrong = look_at_files(conf, &secret);

        fence_secret_free(secret);
        return wrong;
}

static char *make_http(FenceDevice *d) {
        int r;

        if (d->http)
                return NULL;
        d->memories = g_new0(RedfishMemory, d->conf->n_nodes);
        r = http_new(d->event, &d->http);
        return r < 0 ? g_strdup_printf("cannot set up HTTP: %s", g_strerror(-r)) : NULL;
}

/* What is wrong, or NULL; then an agent may be telling its metadata. */
static char *begin_look(FenceDevice *d) {
        char *wrong = look_at_files(d->conf, &d->secret);

        if (wrong)
                return wrong;
        return d->conf->type == CLUSTER_FENCE_AGENT ? begin_metadata(d) : make_http(d);
}

int fence_device_look(FenceDevice *d) {
        if (d->look)
                return 0;

        (void) fence_device_stop_probe(d); /* what it needs is forgotten now */
        device_forget(d);
        d->error = begin_look(d);
        if (d->look)
                return 0;

        d->ready = !d->error;
        if (!d->looked) {
                int r = event_defer_new(d->event, "fence-device-looked", on_looked, d, &d->looked);

                if (r < 0)
                        return r;
        }
        return event_defer_arm(d->looked);
}

void fence_device_reread(FenceDevice *d) {
        char **secret = NULL, *wrong = look_at_files(d->conf, &secret);

        assert(d->ready);

        fence_secret_free(d->secret);
        d->secret = secret;
        if (!wrong && d->conf->type == CLUSTER_FENCE_AGENT)
                wrong = fence_agent_check_parameters(d->metadata, d->conf, secret_of(d));
        if (!wrong)
                return;
        device_forget(d);
        d->error = wrong;
}

/* ---- Runs ---- */

/* Some agents repeat what they were given, passwords too, and hamgr shows it to everybody. */
static char *agent_text(const FenceRun *run, const ChildResult *result) {
        g_autofree char *output = g_strdup(result->output), *errors = g_strdup(result->errors);
        ChildResult shown = *result;
        char ended[CHILD_TEXT_MAX];

        fence_secret_hide(secret_of(run->device), output);
        fence_secret_hide(secret_of(run->device), errors);
        shown.output = output;
        shown.errors = errors;
        return g_strdup_printf(
                        "\"%s\" %s",
                        fence_action_to_string(run->action),
                        child_result_format(&shown, ended));
}

static void on_child(Child *child, const ChildResult *result, void *userdata) {
        FenceRun *run = userdata;
        bool exited = result->end == CHILD_EXITED, asked = run->action == FENCE_ACTION_STATUS;
        FenceVerdict verdict = exited && result->status == 0
                                               ? (asked ? FENCE_VERDICT_IS_ON : FENCE_VERDICT_DONE)
                               : exited && asked && result->status == 2 ? FENCE_VERDICT_IS_OFF
                               : result->end == CHILD_TIMED_OUT         ? FENCE_VERDICT_GAVE_UP
                                                                        : FENCE_VERDICT_FAILED;
        g_autofree char *text = agent_text(run, result);

        run->handler(run, verdict, text, run->userdata);
}

static void on_redfish(RedfishRun *redfish, FenceVerdict verdict, const char *said, void *userdata) {
        FenceRun *run = userdata;
        g_autofree char *text = g_strdup_printf("\"%s\": %s", fence_action_to_string(run->action), said);

        fence_secret_hide(secret_of(run->device), text);
        run->handler(run, verdict, text, run->userdata);
}

static int run_agent(FenceDevice *d, FenceRun *run, const char *plug, uint64_t timeout_usec) {
        const char *const argv[] = { d->conf->agent, NULL };
        char *input = fence_agent_input(d->metadata, d->conf, secret_of(d), plug, run->action);
        int r;

        r = child_new(d->event,
                      &(ChildSpec){
                                      .argv = argv,
                                      .input = input,
                                      .input_bytes = strlen(input),
                                      .timeout_usec = timeout_usec,
                      },
                      on_child,
                      run,
                      &run->child);
        wipe(input);
        return r;
}

static int run_redfish(FenceDevice *d, FenceRun *run, const ClusterFenceNode *node, uint64_t timeout_usec) {
        return redfish_run_new(
                        &(RedfishRunSpec){
                                        .event = d->event,
                                        .http = d->http,
                                        .conf = d->conf,
                                        .plug = node->plug,
                                        .username = fence_secret_value_for(
                                                        secret_of(d), "username", node->name),
                                        .password = fence_secret_value_for(
                                                        secret_of(d), "password", node->name),
                                        .action = run->action,
                                        .timeout_usec = timeout_usec,
                                        .memory = &d->memories[node - d->conf->nodes],
                        },
                        on_redfish,
                        run,
                        &run->redfish);
}

static const ClusterFenceNode *find_node(const ClusterFence *conf, uint32_t node_id) {
        FOREACH_ARRAY(n, conf->nodes, conf->n_nodes)
                if (n->node_id == node_id)
                        return n;
        return NULL;
}

int fence_device_run(
                FenceDevice *d,
                FenceAction action,
                uint32_t node_id,
                uint64_t timeout_usec,
                FenceRunHandler handler,
                void *userdata,
                FenceRun **ret) {
        _cleanup_(fence_run_freep) FenceRun *run = g_new0(FenceRun, 1);
        const ClusterFenceNode *node = find_node(d->conf, node_id);
        int r;

        assert(d->ready);
        assert(node);

        run->action = action;
        run->device = d;
        run->handler = handler;
        run->userdata = userdata;
        r = d->conf->type == CLUSTER_FENCE_AGENT ? run_agent(d, run, node->plug, timeout_usec)
                                                 : run_redfish(d, run, node, timeout_usec);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(run);
        return 0;
}

FenceRun *fence_run_free(FenceRun *run) {
        if (!run)
                return NULL;

        child_free(run->child);
        redfish_run_free(run->redfish);
        g_free(run);
        return NULL;
}

/* ---- Probes ---- */

static void probe_free(void *p) {
        fence_run_free(p);
}

static void add_trouble(FenceDevice *d, const char *node, const char *what) {
        g_string_append_printf(d->trouble, "%s%s: %s", d->trouble->len > 0 ? "; " : "", node, what);
}

static void begin_probes(FenceDevice *d);

static int on_probed(sd_event_source *s, void *userdata) {
        FenceDevice *d = userdata;

        begin_probes(d);
        if (d->probes->len == 0) {
                d->probing = false;
                d->on_probed(d, d->trouble->len > 0 ? d->trouble->str : NULL, d->probed_userdata);
        }
        return 0;
}

static void on_probe_end(FenceRun *run, FenceVerdict verdict, const char *text, void *userdata) {
        FenceDevice *d = run->probed;

        if (verdict != FENCE_VERDICT_IS_ON && verdict != FENCE_VERDICT_IS_OFF)
                add_trouble(d, run->node->name, text);
        else if (verdict == FENCE_VERDICT_IS_OFF && d->is_up(run->node->node_id, d->probed_userdata))
                add_trouble(d,
                            run->node->name,
                            "it says that the node is off, but the node is up: does Nodes= name its own "
                            "plug "
                            "or controller? Whatever it switches off now is no proof");
        (void) g_ptr_array_remove(d->probes, run);
        (void) event_defer_arm(d->probed);
}

static void begin_probe(FenceDevice *d, const ClusterFenceNode *node) {
        FenceRun *run = NULL;
        int r;

        r = fence_device_run(
                        d,
                        FENCE_ACTION_STATUS,
                        node->node_id,
                        MIN(d->conf->timeout_usec, PROBE_TIMEOUT_USEC),
                        on_probe_end,
                        NULL,
                        &run);
        if (r < 0) {
                add_trouble(d, node->name, g_strerror(-r));
                return;
        }
        run->probed = d;
        run->node = node;
        g_ptr_array_add(d->probes, run);
}

/* Those whose turn it is. */
static void begin_probes(FenceDevice *d) {
        size_t at_once = d->conf->type == CLUSTER_FENCE_AGENT ? 1 : d->conf->n_nodes;

        while (d->n_probed < d->conf->n_nodes && d->probes->len < at_once)
                begin_probe(d, &d->conf->nodes[d->n_probed++]);
}

bool fence_device_stop_probe(FenceDevice *d) {
        if (!d->probing)
                return false;
        d->probing = false;
        g_ptr_array_set_size(d->probes, 0);
        (void) sd_event_source_set_enabled(d->probed, SD_EVENT_OFF);
        return true;
}

int fence_device_probe(
                FenceDevice *d, FenceDeviceIsUp is_up, FenceDeviceProbedHandler handler, void *userdata) {
        assert(d->ready);

        if (!d->probed) {
                int r = event_defer_new(d->event, "fence-device-probed", on_probed, d, &d->probed);

                if (r < 0)
                        return r;
        }
        d->is_up = is_up;
        d->on_probed = handler;
        d->probed_userdata = userdata;
        g_ptr_array_set_size(d->probes, 0);
        (void) g_string_truncate(d->trouble, 0);
        d->n_probed = 0;
        d->probing = true;
        return event_defer_arm(d->probed);
}

bool fence_device_is_quiet(const FenceDevice *d) {
        return !d->http || http_is_idle(d->http);
}

/* ---- The device ---- */

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
        d->probes = g_ptr_array_new_with_free_func(probe_free);
        d->trouble = g_string_new(NULL);
        return d;
}

FenceDevice *fence_device_free(FenceDevice *d) {
        if (!d)
                return NULL;

        (void) g_ptr_array_free(d->probes, TRUE);
        (void) g_string_free(d->trouble, TRUE);
        sd_event_source_disable_unref(d->probed);
        child_free(d->look);
        sd_event_source_disable_unref(d->looked);
        device_forget(d);
        http_free(d->http);
        for (size_t i = 0; d->memories && i < d->conf->n_nodes; i++)
                redfish_memory_forget(&d->memories[i]);
        g_free(d->memories);
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
