/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms-trace.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const quorum_table[] = { "without quorum", "half", "quorate" };

static const char *describe_quorum(uint64_t value) {
        return value < ELEMENTSOF(quorum_table) ? quorum_table[value] : "?";
}

char *cms_trace_format(const CmsTrace *t, char buf[static CMS_TRACE_TEXT_MAX]) {
        char mid[MID_TEXT_MAX], set[NODE_SET_TEXT_MAX];
        const size_t n = CMS_TRACE_TEXT_MAX;

        (void) mid_format(t->mid, mid);
        (void) node_set_format(t->set, set);
        switch (t->type) {
        case CMS_TRACE_STARTED:
                (void) snprintf(buf, n, "started %s", t->value ? "with a record" : "without a valid record");
                break;
        case CMS_TRACE_PHASE:
                (void) snprintf(buf,
                                n,
                                "is %s%s%s",
                                strna(cms_phase_to_string((CmsPhase) t->value)),
                                t->why == CMS_WHY_NONE ? "" : ": ",
                                t->why == CMS_WHY_NONE ? "" : strna(cms_why_to_string(t->why)));
                break;
        case CMS_TRACE_HEARD:
                (void) snprintf(buf, n, "hears %" PRIu32 " (incarnation %016" PRIx64 ")", t->node, t->value);
                break;
        case CMS_TRACE_SUSPECTED:
                (void) snprintf(buf,
                                n,
                                "misses %" PRIu32 ": %s",
                                t->node,
                                strna(node_reason_to_string((NodeReason) t->value)));
                break;
        case CMS_TRACE_PROBLEM:
                (void) snprintf(buf,
                                n,
                                "problem of %" PRIu32 ": %s",
                                t->node,
                                strna(cms_problem_to_string((CmsProblem) t->value)));
                break;
        case CMS_TRACE_BALLOT:
                (void) snprintf(buf, n, "calls %s for %s: %s", mid, set, strna(cms_why_to_string(t->why)));
                break;
        case CMS_TRACE_PROMISED:
                (void) snprintf(buf, n, "promises %s to %" PRIu32, mid, t->node);
                break;
        case CMS_TRACE_ANSWERED:
                (void) snprintf(buf, n, "%s is answered by %" PRIu32, mid, t->node);
                break;
        case CMS_TRACE_PROPOSED:
                (void) snprintf(buf, n, "proposes %s %s", mid, set);
                break;
        case CMS_TRACE_ACKNOWLEDGED:
                (void) snprintf(buf, n, "acknowledges %s to %" PRIu32, mid, t->node);
                break;
        case CMS_TRACE_ACKNOWLEDGEMENT:
                (void) snprintf(buf, n, "%s is acknowledged by %" PRIu32, mid, t->node);
                break;
        case CMS_TRACE_COMMITTED:
                (void) snprintf(buf, n, "commits %s %s", mid, set);
                break;
        case CMS_TRACE_INSTALLED:
                (void) snprintf(buf, n, "installs %s %s %s", mid, set, describe_quorum(t->value));
                break;
        case CMS_TRACE_REFUSED:
                (void) snprintf(buf,
                                n,
                                "refuses %s of %" PRIu32 ": %s",
                                mid,
                                t->node,
                                strna(cms_refusal_to_string((CmsRefusal) t->value)));
                break;
        case CMS_TRACE_REFUSAL:
                (void) snprintf(buf,
                                n,
                                "%s is refused by %" PRIu32 ": %s",
                                mid,
                                t->node,
                                strna(cms_refusal_to_string((CmsRefusal) t->value)));
                break;
        case CMS_TRACE_ABANDONED:
                (void) snprintf(buf, n, "abandons %s: %s", mid, strna(cms_why_to_string(t->why)));
                break;
        case CMS_TRACE_HANDED_OVER:
                (void) snprintf(buf, n, "hands %s over to %" PRIu32 " for %s", mid, t->node, set);
                break;
        case CMS_TRACE_EXCLUDED:
                (void) snprintf(buf, n, "is shut out: %" PRIu32 " works in %s", t->node, mid);
                break;
        case CMS_TRACE_CONFIGURED:
                (void) snprintf(buf, n, "works with configuration %016" PRIx64 " of %s", t->value, mid);
                break;
        case CMS_TRACE_HELD_OFF:
                (void) snprintf(buf,
                                n,
                                "holds %" PRIu32 " off for %" PRIu64 " ms",
                                t->node,
                                t->value / 1000);
                break;
        case CMS_TRACE_HELD:
                if (t->value > 0)
                        (void) snprintf(buf, n, "is held off for %" PRIu64 " ms more", t->value / 1000);
                else
                        (void) snprintf(buf, n, "is held off no more");
                break;
        case CMS_TRACE_CONFIRMED:
                (void) snprintf(buf,
                                n,
                                "%" PRIu32 " is confirmed down (incarnation %016" PRIx64 ")",
                                t->node,
                                t->value);
                break;
        case CMS_TRACE_STALLED:
                if (t->set == NODE_SET_EMPTY)
                        (void) snprintf(buf, n, "leaves nobody out as stalled any more");
                else
                        (void) snprintf(buf, n, "leaves %s out as stalled", set);
                break;
        case CMS_TRACE_STORE_FAILED:
                (void) snprintf(buf, n, "could not write record %" PRIu64, t->value);
                break;
        case CMS_TRACE_PAUSED:
                (void) snprintf(buf, n, "was not running for %" PRIu64 " ms", t->value / 1000);
                break;
        }
        return buf;
}
