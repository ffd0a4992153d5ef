/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the cores say, as frames for clients. */

#include "cms/cms.h"
#include "gcs/gcs.h"
#include "libhagcs/proto.h"
#include "shared/cluster-conf.h"

/* Clears all but the two pointers, and returns it. */
ProtoFrame *frame_begin(ProtoFrame *f, ProtoType type);

void frame_fill_view(ProtoFrame *f, const GcsEffect *e, const GcsMemberId *own);
void frame_fill_message(ProtoFrame *f, const GcsEffect *e);
void frame_fill_snapshot_request(ProtoFrame *f, const GcsEffect *e);
void frame_fill_snapshot(ProtoFrame *f, const GcsEffect *e);

/* The state of the node, all but what only the transport knows. */
void node_fill_ordered(ProtoNode *n, uint32_t id, const MembershipNode *m);
