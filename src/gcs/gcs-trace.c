/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The core's traces as text, built apart from it. */

#include <inttypes.h>
#include <stdio.h>

#include "gcs/gcs.h"

const char *gcs_message_type_to_string(GcsMessageType type) {
        switch (type) {
        case GCS_MESSAGE_SUBMIT:
                return "SUBMIT";
        case GCS_MESSAGE_PROPOSE:
                return "PROPOSE";
        case GCS_MESSAGE_COMMIT:
                return "COMMIT";
        case GCS_MESSAGE_ACK:
                return "ACK";
        case GCS_MESSAGE_RESEND:
                return "RESEND";
        case GCS_MESSAGE_FLUSH_ASK:
                return "FLUSH_ASK";
        case GCS_MESSAGE_FLUSH_INFO:
                return "FLUSH_INFO";
        case GCS_MESSAGE_FLUSH_PLAN:
                return "FLUSH_PLAN";
        case GCS_MESSAGE_FLUSH_FETCH:
                return "FLUSH_FETCH";
        case GCS_MESSAGE_FLUSH_STATE:
                return "FLUSH_STATE";
        case GCS_MESSAGE_FLUSH_ITEMS:
                return "FLUSH_ITEMS";
        case GCS_MESSAGE_FLUSH_DONE:
                return "FLUSH_DONE";
        case GCS_MESSAGE_SNAPSHOT:
                return "SNAPSHOT";
        case GCS_MESSAGE_SNAPSHOT_ACK:
                return "SNAPSHOT_ACK";
        }
        return "?";
}

const char *gcs_item_type_to_string(GcsItemType type) {
        switch (type) {
        case GCS_ITEM_MESSAGE:
                return "message";
        case GCS_ITEM_JOIN:
                return "join";
        case GCS_ITEM_LEAVE:
                return "leave";
        case GCS_ITEM_READY:
                return "ready";
        case GCS_ITEM_NODE_CHANGE:
                return "node change";
        }
        return "?";
}

const char *gcs_reason_to_string(GcsReason reason) {
        switch (reason) {
        case GCS_REASON_UNREGISTERED:
                return "unregistered";
        case GCS_REASON_EXITED:
                return "exited";
        case GCS_REASON_UNRESPONSIVE:
                return "unresponsive";
        case GCS_REASON_EXPELLED:
                return "expelled: too slow";
        case GCS_REASON_NODE_LOST:
                return "node lost";
        case GCS_REASON_SHUT_OUT:
                return "node was shut out";
        }
        return "?";
}

const char *gcs_refusal_to_string(GcsRefusal refusal) {
        switch (refusal) {
        case GCS_REFUSAL_NAME:
                return "a name of a group or member is not of [a-z0-9_]+, or too long";
        case GCS_REFUSAL_CLIENTS_FULL:
                return "this node has as many members as it can serve";
        case GCS_REFUSAL_NAME_IN_USE:
                return "the group has a member of this name on this node";
        case GCS_REFUSAL_GROUPS_FULL:
                return "there are as many groups as the cluster can serve";
        case GCS_REFUSAL_GROUP_FULL:
                return "the group has as many members as it can have";
        }
        return "?";
}

static void mid_text(Mid mid, char buf[static 40]) {
        if (mid_is_none(mid))
                (void) snprintf(buf, 40, "none");
        else
                (void) snprintf(buf, 40, "%" PRIu64 ".%u", mid.epoch, mid.node);
}

char *gcs_trace_format(const GcsTrace *trace, char buf[static GCS_TRACE_TEXT_MAX]) {
        const GcsTrace *t = trace;
        char mid[40];

        mid_text(t->mid, mid);
#define FORMAT(...) (void) snprintf(buf, GCS_TRACE_TEXT_MAX, __VA_ARGS__)
        switch (t->type) {
        case GCS_TRACE_FROZEN:
                FORMAT("frozen: membership %s is being replaced", mid);
                break;
        case GCS_TRACE_NO_QUORUM:
                FORMAT("membership %s has no quorum: nothing is ordered or delivered", mid);
                break;
        case GCS_TRACE_FLUSH_BEGIN:
                FORMAT("flush %s begins, led by node %u, members %#" PRIx64, mid, t->node, t->nodes);
                break;
        case GCS_TRACE_FLUSH_INFO:
                FORMAT("node %u has history %s%s up to %" PRIu64,
                       t->node,
                       mid,
                       t->flag ? "" : " (stored number only)",
                       t->sequence);
                break;
        case GCS_TRACE_FLUSH_PLAN:
                if (t->node == 0)
                        FORMAT("nobody has history %s in memory: a formation", mid);
                else
                        FORMAT("history %s up to %" PRIu64 " goes on, from node %u, survivors %#" PRIx64,
                               mid,
                               t->sequence,
                               t->node,
                               t->nodes);
                break;
        case GCS_TRACE_FLUSH_HELD:
                FORMAT("flush %s: everything up to %" PRIu64 " is held and stored", mid, t->sequence);
                break;
        case GCS_TRACE_FLUSH_END:
                FORMAT("flush %s is complete up to %" PRIu64, mid, t->sequence);
                break;
        case GCS_TRACE_SHUT_OUT:
                FORMAT("history %s went on without this node: joining it afresh", mid);
                break;
        case GCS_TRACE_FORGOTTEN:
                FORMAT("history %s is let go: no room for another flush", mid);
                break;
        case GCS_TRACE_PROPOSE:
                FORMAT("proposes %u items from %" PRIu64, t->count, t->sequence);
                break;
        case GCS_TRACE_RESEND:
                if (t->node == 0)
                        FORMAT("sends again from %" PRIu64 " around the ring", t->sequence);
                else
                        FORMAT("sends again from %" PRIu64 " to node %u", t->sequence, t->node);
                break;
        case GCS_TRACE_GAP:
                FORMAT("item %" PRIu64 " is missing, asks node %u", t->sequence, t->node);
                break;
        case GCS_TRACE_STALE:
                FORMAT("message of node %u is of membership %s, dropped", t->node, mid);
                break;
        case GCS_TRACE_BAD:
                FORMAT("message of node %u makes no sense, dropped", t->node);
                break;
        case GCS_TRACE_SLOW:
                FORMAT("client %" PRIu64 " is %s", t->client, t->flag ? "slow" : "not slow any more");
                break;
        case GCS_TRACE_DONOR:
                FORMAT("member %u/%" PRIu64 " gets its snapshot as of %" PRIu64 " from node %u",
                       t->member.node,
                       t->member.number,
                       t->sequence,
                       t->node);
                break;
        }
#undef FORMAT
        return buf;
}
