/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <unistd.h>

#include "basic/str-buf.h"
#include "hagcd/reload.h"
#include "shared/child.h"
#include "shared/cluster-access.h"
#include "shared/file-util.h"

struct Reload {
        sd_event *event; /* weak */
        char *path;      /* owned */
        ReloadHandler handler;
        void *userdata;

        Child *child; /* owned; NULL: nothing is being read */
        bool again;   /* somebody asked since it was begun */
};

static void refuse(Reload *r, const char *why) {
        _cleanup_(conf_errors_done) ConfErrors errors = { 0 };

        (void) conf_errors_add(&errors, r->path, 0, "%s", why);
        r->handler(r->userdata, NULL, &errors);
}

static void take_conf(Reload *r, ClusterConf *conf_taken, const char *text, const ConfErrors *errors) {
        if (conf_taken)
                cluster_access_accounts_from_text(conf_taken, text);
        r->handler(r->userdata, conf_taken, errors);
}

static void take_text(Reload *r, const ChildResult *result) {
        _cleanup_(conf_errors_done) ConfErrors errors = { 0 };
        char why[CHILD_TEXT_MAX];
        ClusterConf *conf = NULL;
        int k;

        if (result->end != CHILD_EXITED || result->status != 0) {
                refuse(r, isempty(result->errors) ? child_result_format(result, why) : result->errors);
                return;
        }
        if (result->output_cut) {
                refuse(r, "is too large to be read while hagcd runs");
                return;
        }
        k = cluster_conf_parse(r->path, result->output, strlen(result->output), &errors, &conf);
        if (k == -ENOMEM)
                refuse(r, "out of memory");
        else
                take_conf(r, conf, result->output, &errors);
}

static void begin(Reload *r);

static void on_child(Child *child, const ChildResult *result, void *userdata) {
        Reload *r = userdata;
        _cleanup_(child_freep) Child *done = TAKE_PTR(r->child);

        if (TAKE_GENERIC(r->again, bool, false))
                begin(r);
        else
                take_text(r, result);
}

static void begin(Reload *r) {
        _cleanup_(str_buf_done) StrBuf option = { 0 };
        const char *argv[] = { "/proc/self/exe", "--print-config", NULL, NULL };
        ChildSpec spec = { .argv = argv, .timeout_usec = RELOAD_USEC };
        int k;

        str_buf_printf(&option, "--config=%s", r->path);
        argv[2] = str_buf_text(&option);
        k = str_buf_result(&option);
        if (k >= 0)
                k = child_new(r->event, &spec, on_child, r, &r->child);
        if (k < 0)
                refuse(r, strerrordesc_np(-k));
}

void reload_begin(Reload *r) {
        if (r->child)
                r->again = true;
        else
                begin(r);
}

int reload_new(sd_event *event, const char *path, ReloadHandler handler, void *userdata, Reload **ret) {
        _cleanup_(reload_freep) Reload *r = calloc(1, sizeof(*r));

        if (!r)
                return -ENOMEM;
        r->event = event;
        r->handler = handler;
        r->userdata = userdata;
        r->path = strdup(path);
        if (!r->path)
                return -ENOMEM;
        *ret = TAKE_PTR(r);
        return 0;
}

Reload *reload_free(Reload *r) {
        if (!r)
                return NULL;
        (void) child_free(r->child);
        free(r->path);
        free(r);
        return NULL;
}

/* Users and groups that it names are looked up here, too. What is wrong with the file, the reader says. */
static char *read_accounts(const char *path, const char *text, size_t size_bytes) {
        _cleanup_(conf_errors_done) ConfErrors errors = { 0 };
        _cleanup_(cluster_conf_freep) ClusterConf *conf = NULL;

        if (cluster_conf_parse(path, text, size_bytes, &errors, &conf) < 0 || conf->n_accesses == 0)
                return NULL;
        cluster_access_resolve(conf, NULL, NULL);
        return cluster_access_accounts_to_text(conf);
}

int reload_print(const char *path) {
        _cleanup_free_ char *text = NULL, *accounts = NULL;
        size_t size;
        int r;

        r = read_whole_file(path, CONF_FILE_BYTES_MAX, &text, &size);
        if (r < 0) {
                fprintf(stderr, "cannot be read: %s", strerrordesc_np(-r));
                return EXIT_FAILURE;
        }
        if (memchr(text, '\0', size)) {
                fputs("is no text: there is a zero byte in it", stderr);
                return EXIT_FAILURE;
        }
        accounts = read_accounts(path, text, size);
        r = write_all(STDOUT_FILENO, text, size);
        if (r >= 0 && accounts)
                r = write_all(STDOUT_FILENO, accounts, strlen(accounts));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
