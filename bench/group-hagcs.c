/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "group.h"
#include "libhagcs/hagcs.h"

#define EVENTS_OF_A_TURN 256U

struct Group {
        hagcs *handle; /* owned */
        GroupMessage on_message;
        void *userdata;
        unsigned n_members;
};

int group_join(const char *path, uint32_t node, GroupMessage on_message, void *userdata, Group **ret) {
        _cleanup_(group_leavep) Group *g = NULL;
        char name[HAGCS_NAME_MAX + 1];
        hagcs_registration registration = { .group = "load", .name = name };
        int r;

        g = calloc(1, sizeof(*g));
        if (!g)
                return -ENOMEM;
        g->on_message = on_message;
        g->userdata = userdata;
        r = hagcs_open(path, &g->handle);
        if (r < 0)
                return r;
        (void) snprintf(name, sizeof(name), "n%u", node);
        r = hagcs_register(g->handle, &registration);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(g);
        return 0;
}

Group *group_leave(Group *g) {
        if (!g)
                return NULL;
        (void) hagcs_close(g->handle);
        free(g);
        return NULL;
}

int group_fd(Group *g) {
        return hagcs_get_fd(g->handle);
}

short group_events(Group *g) {
        return (short) hagcs_get_events(g->handle);
}

/* HAGCS_EVENT_WRITABLE comes. */
int group_retry_msec(Group *g) {
        return -1;
}

int group_dispatch(Group *g) {
        const hagcs_event *e;
        int r = 1;

        for (unsigned n = 0; n < EVENTS_OF_A_TURN && r > 0; n++) {
                r = hagcs_dispatch(g->handle, &e);
                if (r <= 0)
                        return r;
                if (e->type == HAGCS_EVENT_MESSAGE)
                        g->on_message(g->userdata, e->sender.node_id, e->data, e->size);
                else if (e->type == HAGCS_EVENT_VIEW)
                        g->n_members = (unsigned) e->view.n_members;
                else if (e->type == HAGCS_EVENT_REGISTERED && e->error < 0)
                        return e->error;
                else if (e->type == HAGCS_EVENT_FROZEN || e->type == HAGCS_EVENT_SHUT_OUT)
                        g->n_members = 0;
                else if (e->type == HAGCS_EVENT_DISCONNECTED) {
                        (void) fprintf(stderr, "disconnected: %s\n", e->text);
                        return -ENOTCONN;
                }
        }
        return 1;
}

unsigned group_n_members(const Group *g) {
        return g->n_members;
}

int group_send(Group *g, const void *data, size_t size_bytes) {
        int r = hagcs_send(g->handle, data, size_bytes, 0);

        return r == -EAGAIN ? 0 : r < 0 ? r : 1;
}
