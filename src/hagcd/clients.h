/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The processes connected to this hagcd: their sockets, existence and liveliness, the graces of critical
 * ones. Turns their frames into events of gcs and its effects into frames. */

#include <systemd/sd-event.h>

#include "cms/message.h"
#include "gcs/gcs.h"
#include "libhagcs/proto.h"
#include "shared/cluster-conf.h"

typedef struct Clients Clients;

/* None of these is called from within clients_effect(). */
typedef struct ClientsHandlers {
        GcsVerdict (*feed)(void *userdata, GcsEvent *event);
        void (*armed)(void *userdata, bool armed);
        void (*confirmed_down)(void *userdata, const CmsConfirmation *confirmation);
        /* Somebody wants to look. */
        void (*membership)(void *userdata, ProtoMembership *ret);
        /* As gcs_get_group(). */
        size_t (*group)(void *userdata, unsigned slot, const char **ret_name, const GcsMember **ret_members);
        /* cluster.conf is to be read anew; clients_reloaded() is the answer. */
        void (*reload)(void *userdata);
        /* A critical member is lost for good: this node must be reset. */
        void (*fail)(void *userdata, const char *why);
        /* Frames came in and may have changed what the cores wait for. */
        void (*settle)(void *userdata);
} ClientsHandlers;

/* Takes over a listening socket. */
int clients_new(sd_event *event,
                int listen_fd,
                const ClientsHandlers *handlers,
                void *userdata,
                Clients **ret);
Clients *clients_free(Clients *c);
DEFINE_TRIVIAL_CLEANUP(Clients *, clients_free);

/* The time that gcs was given last. */
void clients_set_now(Clients *c, uint64_t now_usec);

/* Carries out one effect that is meant for a client. */
void clients_effect(Clients *c, const GcsEffect *effect);

/* Writes what waits, takes in what gcs has room for again, says to gcs who is gone. After each carrying out
 * of effects. */
void clients_settle(Clients *c);

/* Tells everybody; remembered for those who come later. */
void clients_set_cluster(Clients *c, const ProtoCluster *cluster);

/* Who may join, from now on: who is in stays in. Weak. Before the first: root may all, others what they may
 * where no section is for a group. */
void clients_set_conf(Clients *c, const ClusterConf *conf);

/* Tells whoever asked for it what came of it: 0, or why not. */
void clients_reloaded(Clients *c, int error, const char *text);

/* A critical member is here, or its successor is waited for: it may be about to do what it was told in
 * order, and what it says of that, as by hagcs_set_armed(), may be on its way. */
bool clients_have_critical(const Clients *c);

/* From now on nobody's death matters. */
void clients_stop(Clients *c, const char *why);
