/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What this node knows of the cluster, for clients and for the journal. */

#include "cms/cms.h"
#include "hagcd/transport.h"
#include "libhagcs/proto.h"

typedef struct Status Status;

int status_new(const ClusterConf *conf, uint32_t self, uint64_t incarnation, Status **ret);
Status *status_free(Status *s);
DEFINE_TRIVIAL_CLEANUP(Status *, status_free);

/* conf is borrowed. */
void status_set_conf(Status *s, const ClusterConf *conf);

/* What the core shows now; valid until something here is called again. */
const CmsView *status_look(Status *s, const Cms *cms);

/* Looks at all; returns what is to be told, or NULL when nothing changed. */
const ProtoCluster *status_update(Status *s, const Cms *cms, const Transport *transport);

/* How the membership looks from here, whether there is one or not. */
void status_membership(Status *s, const Cms *cms, const Transport *transport, ProtoMembership *ret);

/* Remembered for the above. */
void status_note(Status *s, const CmsNotification *n);

/* Each says what changed since the last time, once. */
void status_log_membership(Status *s, const Membership *m);
void status_log_problem(Status *s, const Cms *cms, uint32_t node, CmsProblem problem);
void status_log_transport(Status *s, uint32_t node, TransportProblem problem);
void status_log_stalled(Status *s, NodeSet nodes);
/* To be asked after status_update(), at an interval: which links to nodes that are heard carry nothing, or
 * again. */
void status_log_links(Status *s, const Transport *transport);
/* Likewise: that a change of cluster.conf waits, and why. */
void status_log_configuration(Status *s);
/* That this node is held off, or no more: at once, or later when it changes all the time, so to be asked at
 * an interval too. */
void status_log_hold(Status *s, const Cms *cms);
/* A message that was sealed well and makes no sense. */
void status_log_bad(Status *s, uint32_t node);

/* Why the node is held off for that much longer, and until when: buf. */
const char *status_held_text(Status *s, uint32_t node, uint64_t left_usec, char buf[static PROTO_TEXT_MAX]);

/* A sentence for people; "" when there is nothing to say. */
const char *problem_text(TransportProblem transport, CmsProblem cms);
