/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <corosync/cpg.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"

#define EVENTS_OF_A_TURN 256U

struct Group {
        cpg_handle_t handle;
        bool open;
        int fd;
        GroupMessage on_message;
        void *userdata;
        unsigned n_members;
};

static Group *group_of(cpg_handle_t handle) {
        void *context = NULL;

        (void) cpg_context_get(handle, &context);
        return context;
}

static void
on_deliver(cpg_handle_t handle,
           const struct cpg_name *name,
           uint32_t node,
           uint32_t pid,
           void *data,
           size_t size_bytes) {
        Group *g = group_of(handle);

        g->on_message(g->userdata, node, data, size_bytes);
}

static void
on_change(cpg_handle_t handle,
          const struct cpg_name *name,
          const struct cpg_address *members,
          size_t n_members,
          const struct cpg_address *left,
          size_t n_left,
          const struct cpg_address *joined,
          size_t n_joined) {
        group_of(handle)->n_members = (unsigned) n_members;
}

static int errno_of(const char *what, cs_error_t error) {
        (void) fprintf(stderr, "%s: %s\n", what, cs_strerror(error));
        return -EIO;
}

int group_join(const char *path, uint32_t node, GroupMessage on_message, void *userdata, Group **ret) {
        _cleanup_(group_leavep) Group *g = NULL;
        cpg_model_v1_data_t model = { .cpg_deliver_fn = on_deliver, .cpg_confchg_fn = on_change };
        struct cpg_name name = { .length = 4, .value = "load" };
        cs_error_t error;

        g = calloc(1, sizeof(*g));
        if (!g)
                return -ENOMEM;
        g->on_message = on_message;
        g->userdata = userdata;
        error = cpg_model_initialize(&g->handle, CPG_MODEL_V1, (cpg_model_data_t *) &model, g);
        if (error != CS_OK)
                return errno_of("cpg_model_initialize", error);
        g->open = true;
        error = cpg_fd_get(g->handle, &g->fd);
        if (error != CS_OK)
                return errno_of("cpg_fd_get", error);
        /* Refused while the daemons agree; there is nothing that tells when they have. */
        while ((error = cpg_join(g->handle, &name)) == CS_ERR_TRY_AGAIN)
                (void) poll(NULL, 0, 10);
        if (error != CS_OK)
                return errno_of("cpg_join", error);
        *ret = TAKE_PTR(g);
        return 0;
}

Group *group_leave(Group *g) {
        if (!g)
                return NULL;
        if (g->open)
                (void) cpg_finalize(g->handle);
        free(g);
        return NULL;
}

int group_fd(Group *g) {
        return g->fd;
}

short group_events(Group *g) {
        return POLLIN;
}

/* There is no event for it. What was taken before comes back, and then there is room again; when nothing is
 * on its way, only trying shows. */
int group_retry_msec(Group *g) {
        return 1;
}

int group_dispatch(Group *g) {
        for (unsigned n = 0; n < EVENTS_OF_A_TURN; n++) {
                cs_error_t error = cpg_dispatch(g->handle, CS_DISPATCH_ONE_NONBLOCKING);

                if (error == CS_ERR_TRY_AGAIN)
                        return 0;
                if (error != CS_OK)
                        return errno_of("cpg_dispatch", error);
        }
        return 1;
}

unsigned group_n_members(const Group *g) {
        return g->n_members;
}

int group_send(Group *g, const void *data, size_t size_bytes) {
        struct iovec iov = { .iov_base = (void *) data, .iov_len = size_bytes };
        cs_error_t error = cpg_mcast_joined(g->handle, CPG_TYPE_AGREED, &iov, 1);

        if (error == CS_ERR_TRY_AGAIN)
                return 0;
        return error == CS_OK ? 1 : errno_of("cpg_mcast_joined", error);
}
