/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Is a configuration possible on this node? For an apply, which every node must agree to before it is in
 * force: judged, written to disk, and only then answered. And for a caller who wants to know no more. */

#include <unistd.h>

#include "hamgr/manager.h"
#include "shared/log.h"

struct Preparation {
        Manager *manager;            /* weak */
        HaConfig *config;            /* owned */
        DriveValidation *validation; /* owned */

        /* for the cluster */
        StateVersion version;
        GBytes *record; /* owned */
        uint64_t serial;
        bool writing; /* judged possible; answered when the record is on disk */

        /* for a caller */
        ApiCall *call; /* owned until answered */
};

static Preparation *preparation_free(Preparation *p) {
        if (!p)
                return NULL;
        drive_validation_free(p->validation);
        ha_config_free(p->config);
        if (p->record)
                g_bytes_unref(p->record);
        if (p->call)
                api_call_refuse(p->call, API_ERROR_NOT_READY, "hamgr is stopping on this node");
        g_free(p);
        return NULL;
}

static char *join_lines(const char *const *lines) {
        return g_strjoinv("\n", (char **) lines);
}

static void answer(Manager *m, StateVersion version, bool ok, const char *reasons) {
        g_autofree char *cut = reasons ? g_strndup(reasons, STATE_REASONS_MAX - 1) : NULL;

        group_send(m,
                   &(StateMessage){
                                   .type = STATE_MESSAGE_APPLY_ANSWER,
                                   .apply_answer = { .version = version, .ok = ok, .reasons = cut },
                   });
}

static int parse(Manager *m, const HaFile *files, size_t n_files, HaConfig **ret, char **ret_reasons) {
        ConfErrors errors = {};
        int r;

        r = ha_config_parse(&m->nodes, files, n_files, ret, &errors);
        if (r < 0)
                *ret_reasons = conf_errors_to_text(&errors);
        conf_errors_done(&errors);
        return r;
}

/* ---- For the cluster ---- */

static void
on_validated(DriveValidation *v, const char *const *errors, const char *const *warnings, void *userdata) {
        Preparation *p = userdata;
        Manager *m = p->manager;

        for (const char *const *w = warnings; *w; w++)
                log_warning("%s", *w);
        if (*errors) {
                g_autofree char *lines = join_lines(errors);

                answer(m, p->version, false, lines);
                m->preparation = preparation_free(m->preparation);
                return;
        }
        p->writing = true;
        manager_store(m, p->record, p->serial);
        apply_stored(m, m->written_serial); /* a newer record may hold it already */
}

static Preparation *begin(Manager *m, const StateEffect *e) {
        Preparation *p = m->preparation = g_new0(Preparation, 1);

        p->manager = m;
        p->version = e->version;
        p->record = g_bytes_ref(e->record);
        p->serial = e->serial;
        return p;
}

void apply_prepare(Manager *m, const StateEffect *e) {
        g_autofree char *reasons = NULL;
        Preparation *p;
        HaFile *files;
        size_t n_files;
        int r;

        apply_cancel(m);
        r = ha_files_deserialize(
                        g_bytes_get_data(e->files, NULL), g_bytes_get_size(e->files), &files, &n_files);
        if (r < 0) {
                answer(m,
                       e->version,
                       false,
                       "the files could not be read; is another version of hamgr running?");
                return;
        }
        p = begin(m, e);
        r = parse(m, files, n_files, &p->config, &reasons);
        ha_files_free(files, n_files);
        if (r >= 0) {
                r = drive_validate(m->drive, p->config, m->self, on_validated, p, &p->validation);
                if (r < 0)
                        reasons =
                                        g_strdup_printf("%s: cannot look at its units: %s",
                                                        manager_node_name(m, m->self),
                                                        strerror(-r));
        }
        if (r < 0) {
                answer(m, p->version, false, reasons);
                apply_cancel(m);
        }
}

/* What this node has against that cluster.conf, for free(); NULL: nothing. */
static char *judge_cluster(const Manager *m, const char *text, size_t size_bytes) {
        _cleanup_(conf_errors_done) ConfErrors errors = {};
        _cleanup_(cluster_conf_freep) ClusterConf *conf = NULL;

        if (cluster_conf_parse("cluster.conf", text, size_bytes, &errors, &conf) >= 0)
                (void) cluster_conf_check_change(m->conf, conf, m->self, &errors);
        FOREACH_ARRAY(f, conf ? conf->fences : NULL, conf ? conf->n_fences : 0) {
                g_autofree char *wrong = fence_check_files(f);

                if (wrong)
                        (void) conf_errors_add(
                                        &errors, "cluster.conf", 0, "[Fence %s] here: %s", f->name, wrong);
        }
        return errors.n_items > 0 ? conf_errors_to_text(&errors) : NULL;
}

void apply_prepare_cluster(Manager *m, const StateEffect *e) {
        _cleanup_free_ char *reasons = NULL;
        Preparation *p;

        apply_cancel(m);
        reasons = judge_cluster(m, g_bytes_get_data(e->files, NULL), g_bytes_get_size(e->files));
        if (reasons) {
                answer(m, e->version, false, reasons);
                return;
        }
        p = begin(m, e);
        p->writing = true;
        manager_store(m, p->record, p->serial);
        apply_stored(m, m->written_serial); /* a newer record may hold it already */
}

void apply_stored(Manager *m, uint64_t serial) {
        Preparation *p = m->preparation;

        if (!p || !p->writing || serial < p->serial)
                return;
        answer(m, p->version, true, NULL);
        m->preparation = preparation_free(p);
}

void apply_cancel(Manager *m) {
        m->preparation = preparation_free(m->preparation);
}

/* ---- For a caller ---- */

static void
on_checked(DriveValidation *v, const char *const *errors, const char *const *warnings, void *userdata) {
        Preparation *p = userdata;
        ApiCall *call = TAKE_PTR(p->call);

        if (*errors) {
                g_autofree char *lines = join_lines(errors);

                api_call_refuse(call, API_ERROR_INVALID_CONFIGURATION, "%s", lines);
        } else
                api_call_checked(call, (char *const *) warnings);
        g_ptr_array_remove(p->manager->checks, p);
}

void apply_check(Manager *m, ApiCall *call, const HaFile *files, size_t n_files) {
        g_autofree char *reasons = NULL;
        Preparation *p = g_new0(Preparation, 1);
        int r;

        p->manager = m;
        p->call = call;
        r = parse(m, files, n_files, &p->config, &reasons);
        if (r >= 0)
                r = drive_validate(m->drive, p->config, m->self, on_checked, p, &p->validation);
        if (r >= 0) {
                g_ptr_array_add(m->checks, p);
                return;
        }
        api_call_refuse(TAKE_PTR(p->call), API_ERROR_INVALID_CONFIGURATION, "%s", reasons ?: strerror(-r));
        preparation_free(p);
}

static void check_free(void *p) {
        preparation_free(p);
}

void apply_start(Manager *m) {
        m->checks = g_ptr_array_new_with_free_func(check_free);
}

void apply_stop(Manager *m) {
        apply_cancel(m);
        if (m->checks)
                g_ptr_array_unref(m->checks);
}
