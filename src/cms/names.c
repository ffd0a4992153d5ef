/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cms/cms.h"

/* The enums of this room as text, for traces and status. */

#define DEFINE_TO_STRING(name, type)                                                                        \
        const char *name##_to_string(type i) {                                                              \
                return (int) i >= 0 && (size_t) i < ELEMENTSOF(name##_table) ? name##_table[i] : NULL;      \
        }                                                                                                   \
        struct name##_wants_a_semicolon

static const char *const cms_config_kind_table[_CMS_CONFIG_KIND_MAX] = {
        [CMS_CONFIG_CLUSTER] = "cluster",
        [CMS_CONFIG_NODE] = "node",
        [CMS_CONFIG_FENCE] = "fence",
};
DEFINE_TO_STRING(cms_config_kind, CmsConfigKind);

static const char *const cms_refusal_table[_CMS_REFUSAL_MAX] = {
        [CMS_REFUSAL_PROMISED] = "promised-higher",    [CMS_REFUSAL_NOT_HEARD] = "not-heard",
        [CMS_REFUSAL_LOSS_NOT_SEEN] = "loss-not-seen", [CMS_REFUSAL_INTACT] = "intact-membership",
        [CMS_REFUSAL_CANNOT_WRITE] = "cannot-write",   [CMS_REFUSAL_INVALID] = "invalid",
};
DEFINE_TO_STRING(cms_refusal, CmsRefusal);

static const char *const cms_message_type_table[] = {
        [CMS_MESSAGE_HEARTBEAT] = "heartbeat",
        [CMS_MESSAGE_INQUIRE] = "inquire",
        [CMS_MESSAGE_ANSWER] = "answer",
        [CMS_MESSAGE_PROPOSE] = "propose",
        [CMS_MESSAGE_ACKNOWLEDGE] = "acknowledge",
        [CMS_MESSAGE_COMMIT] = "commit",
        [CMS_MESSAGE_REFUSE] = "refuse",
        [CMS_MESSAGE_HAND_OVER] = "hand-over",
        [CMS_MESSAGE_FAREWELL] = "farewell",
        [CMS_MESSAGE_FAREWELL_HEARD] = "farewell-heard",
        [CMS_MESSAGE_CONFIGURATION] = "configuration",
        [CMS_MESSAGE_FOREIGN] = "foreign",
};
DEFINE_TO_STRING(cms_message_type, CmsMessageType);

static const char *const cms_phase_table[_CMS_PHASE_MAX] = {
        [CMS_PHASE_IDLE] = "idle",
        [CMS_PHASE_WAITING] = "waiting",
        [CMS_PHASE_STABLE] = "stable",
        [CMS_PHASE_INQUIRING] = "inquiring",
        [CMS_PHASE_PROPOSING] = "proposing",
        [CMS_PHASE_PROMISED] = "promised",
        [CMS_PHASE_ACKNOWLEDGED] = "acknowledged",
        [CMS_PHASE_LEAVING] = "leaving",
        [CMS_PHASE_LEFT] = "left",
};
DEFINE_TO_STRING(cms_phase, CmsPhase);

static const char *const cms_problem_table[_CMS_PROBLEM_MAX] = {
        [CMS_PROBLEM_NONE] = "none",
        [CMS_PROBLEM_NOT_HEARD] = "not-heard",
        [CMS_PROBLEM_ONE_WAY] = "one-way",
        [CMS_PROBLEM_VERSION] = "version-differs",
        [CMS_PROBLEM_CONFIG_CLUSTER] = "config-differs-cluster",
        [CMS_PROBLEM_CONFIG_NODE] = "config-differs-node",
        [CMS_PROBLEM_CONFIG_FENCE] = "config-differs-fence",
        [CMS_PROBLEM_DISABLED] = "disabled",
        [CMS_PROBLEM_NO_RECORD] = "no-record",
        [CMS_PROBLEM_CANNOT_WRITE] = "cannot-write",
        [CMS_PROBLEM_TWO_INCARNATIONS] = "two-incarnations",
        [CMS_PROBLEM_LEFT] = "left",
        [CMS_PROBLEM_HELD] = "held",
        [CMS_PROBLEM_FILE_DIFFERS] = "file-differs",
};
DEFINE_TO_STRING(cms_problem, CmsProblem);

static const char *const cms_config_wait_table[_CMS_CONFIG_WAIT_MAX] = {
        [CMS_CONFIG_WAIT_NONE] = "none",
        [CMS_CONFIG_WAIT_AGREEMENT] = "agreement",
        [CMS_CONFIG_WAIT_QUORUM] = "quorum",
        [CMS_CONFIG_WAIT_MEMBERS] = "members-differ",
        [CMS_CONFIG_WAIT_STOP] = "not-stopped",
        [CMS_CONFIG_WAIT_MAJORITY] = "no-majority",
        [CMS_CONFIG_WAIT_MAJORITY_NEW] = "no-majority-then",
};
DEFINE_TO_STRING(cms_config_wait, CmsConfigWait);

static const char *const cms_why_table[_CMS_WHY_MAX] = {
        [CMS_WHY_NONE] = "none",
        [CMS_WHY_START] = "start",
        [CMS_WHY_LOSS] = "loss",
        [CMS_WHY_JOIN] = "join",
        [CMS_WHY_BETTER] = "better-set",
        [CMS_WHY_PROOF] = "proof",
        [CMS_WHY_ADRIFT] = "adrift",
        [CMS_WHY_REFORM] = "reform",
        [CMS_WHY_CONFIG] = "configuration",
        [CMS_WHY_HAND_OVER] = "hand-over",
        [CMS_WHY_TIMEOUT] = "time-out",
        [CMS_WHY_REFUSED] = "refused",
        [CMS_WHY_OVERTAKEN] = "overtaken",
        [CMS_WHY_LEAVE] = "leave",
};
DEFINE_TO_STRING(cms_why, CmsWhy);
