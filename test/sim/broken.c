/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/broken.h"

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>

#include "gcs/gcs-break.h"
#include "sim/gcs/swarm.h"

/* A checker that has never failed proves nothing: the cores are broken on purpose, one way at a time. */

struct BrokenCore {
        const char *name;
        CmsFault cms;
        GcsBreak gcs;
        uint64_t within;    /* seeds; with room to spare */
        const char *faults; /* what brings it about; NULL: whatever comes */
        unsigned n_nodes;   /* 0: 2 to 6 */
        bool groups;        /* it shows with groups on top only */
        bool unsafe; /* that a broken core comes to a halt is not enough: it must be seen to do wrong */
};

static const BrokenCore broken_cores[] = {
        { "answer-before-write", .cms = CMS_FAULT_ANSWER_BEFORE_WRITE, .within = 20 },
        { "epoch-not-stored", .cms = CMS_FAULT_EPOCH_NOT_STORED, .within = 20 },
        { "quorum-off-by-one", .cms = CMS_FAULT_QUORUM_OFF_BY_ONE, .within = 20 },
        { "half-without-proof", .cms = CMS_FAULT_HALF_WITHOUT_PROOF, .within = 200 },
        { "proof-outlives-split",
          .cms = CMS_FAULT_PROOF_OUTLIVES_SPLIT,
          .faults = "even-split=4,heal=4,crash=4,leave=6,isolate=2",
          .n_nodes = 4,
          .within = 500 },
        { "lower-acknowledged", .cms = CMS_FAULT_LOWER_ACKNOWLEDGED, .within = 200 },
        { "lower-installed", .cms = CMS_FAULT_LOWER_INSTALLED, .within = 500 },
        { "checkmark-ignored", .cms = CMS_FAULT_CHECKMARK_IGNORED, .within = 400 },
        { "commit-before-all", .cms = CMS_FAULT_COMMIT_BEFORE_ALL, .within = 20 },
        { "commit-skips-node", .cms = CMS_FAULT_COMMIT_SKIPS_NODE, .within = 20 },
        { "ballot-compared-by-epoch", .cms = CMS_FAULT_BALLOT_COMPARED_BY_EPOCH, .within = 50 },
        { "number-used-twice", .cms = CMS_FAULT_NUMBER_USED_TWICE, .within = 50 },
        { "no-record-counts", .cms = CMS_FAULT_NO_RECORD_COUNTS, .within = 200 },
        { "incarnation-ignored", .cms = CMS_FAULT_INCARNATION_IGNORED, .within = 500 },
        { "calls-beside-quorum", .cms = CMS_FAULT_CALLS_BESIDE_QUORUM, .within = 200 },
        { "leaves-intact-membership",
          .cms = CMS_FAULT_LEAVES_INTACT,
          .faults = "mesh=4,cut-two-way=4,heal=4,flap=2",
          .n_nodes = 6,
          .within = 600 },
        { "target-ignores-rows", .cms = CMS_FAULT_TARGET_IGNORES_ROWS, .within = 200 },
        { "last-gasp-is-down", .cms = CMS_FAULT_LAST_GASP_IS_DOWN, .within = 100 },
        { "earlier-boot-proves",
          .cms = CMS_FAULT_EARLIER_BOOT_PROVES,
          .faults = "storm=6,restarts=4",
          .within = 800 },
        { "differences-count", .cms = CMS_FAULT_DIFFERENCES_COUNT, .within = 100 },
        { "cannot-write-ignored", .cms = CMS_FAULT_CANNOT_WRITE_IGNORED, .within = 500 },
        { "echoes-anybody", .cms = CMS_FAULT_ECHOES_ANYBODY, .within = 1000 },
        { "echoes-after-acknowledging",
          .cms = CMS_FAULT_ECHOES_AFTER_ACKNOWLEDGING,
          .faults = "cut-two-way=3,slow-node=3,heal=1",
          .n_nodes = 5,
          .within = 600 },
        { "restart-forgets-echoes",
          .cms = CMS_FAULT_RESTART_FORGETS_ECHOES,
          .faults = "restarts=3,crash=3,isolate=3,cut-two-way=2,heal=2",
          .n_nodes = 5,
          .within = 500 },
        { "wait-from-own-receipt", .cms = CMS_FAULT_WAIT_FROM_OWN_RECEIPT, .within = 100 },
        { "lease-on-discounted-clock", .cms = CMS_FAULT_LEASE_ON_DISCOUNTED_CLOCK, .within = 200 },
        { "hold-ignored", .cms = CMS_FAULT_HOLD_IGNORED, .within = 100 },
        { "held-where-needed", .cms = CMS_FAULT_HELD_WHERE_NEEDED, .within = 200 },
        { "quorum-by-new-configuration",
          .cms = CMS_FAULT_QUORUM_BY_NEW,
          .faults = "config=6,partition=3,isolate=2,heal=2",
          .within = 400 },
        { "quorum-by-old-configuration",
          .cms = CMS_FAULT_QUORUM_BY_OLD,
          .faults = "config=6,partition=3,isolate=2,heal=2",
          .within = 400 },
        { "configuration-before-write",
          .cms = CMS_FAULT_CONFIG_BEFORE_WRITE,
          .faults = "config=4,crash=1",
          .within = 100 },
        { "removes-unknown-node",
          .cms = CMS_FAULT_REMOVES_UNKNOWN,
          .faults = "config=4,isolate=2,heal=1",
          .within = 100 },
        { "stall-ignored", .cms = CMS_FAULT_STALL_IGNORED, .groups = true, .within = 100 },
        { "stall-never-own", .cms = CMS_FAULT_STALL_NEVER_OWN, .groups = true, .within = 200 },
        { "stall-not-held-off", .cms = CMS_FAULT_STALL_NOT_HELD_OFF, .groups = true, .within = 200 },
        { "changes-before-flush",
          .cms = CMS_FAULT_CHANGES_BEFORE_FLUSH,
          .faults = "config=6,crash=2,leave=2",
          .within = 100 },
        { "counts-before-flush",
          .cms = CMS_FAULT_COUNTS_BEFORE_FLUSH,
          .faults = "wipe=6,crash=4,isolate=1,heal=1",
          .within = 100 },
        { "the-oldest-donates", .gcs = GCS_BREAK_SHUT_OUT_DONATES, .within = 1000 },
        { "flush-delivers-early", .gcs = GCS_BREAK_FLUSH_EARLY, .within = 400, .unsafe = true },
        { "minority-delivers", .gcs = GCS_BREAK_MINORITY, .within = 400 },
        { "ring-before-membership", .gcs = GCS_BREAK_RING_EARLY, .within = 400 },
        { "acknowledged-before-stored", .gcs = GCS_BREAK_ACK_BEFORE_STORE, .within = 1000 },
        { "resends-not-filtered", .gcs = GCS_BREAK_NO_STREAM_CHECK, .within = 400 },
        { "committed-when-proposed", .gcs = GCS_BREAK_COMMIT_EARLY, .within = 400, .unsafe = true },
        { "proposal-dropped-at-change", .gcs = GCS_BREAK_PROPOSAL_DROPPED, .within = 400, .unsafe = true },
        { "older-history-survives", .gcs = GCS_BREAK_OLDER_HISTORY, .within = 400 },
        { "streams-not-donated", .gcs = GCS_BREAK_STREAMS_NOT_DONATED, .within = 400 },
        { "fan-out-is-a-lap", .gcs = GCS_BREAK_FANOUT_IS_LAP, .within = 400, .unsafe = true },
};

const BrokenCore *broken_core_find(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(broken_cores); i++)
                if (streq(broken_cores[i].name, name))
                        return &broken_cores[i];
        return NULL;
}

/* Of gcs_swarm_run(), which judges liveness itself. */
#define HALT "gcs_swarm_run"

static bool only_unsafe;

/* Groups alone, over memberships of a script: what is wrong in them shows there after a tenth of the time.
 */
static void run_groups(const SwarmOptions *options, uint64_t seed, SwarmResult *ret) {
        GString *trace = options->trace ? g_string_new(NULL) : NULL;
        const char *check = NULL;
        char *failure = gcs_swarm_run(seed, trace, &check, NULL, NULL);

        *ret = (SwarmResult){ .seed = seed, .failed = failure && !(only_unsafe && streq(check, HALT)) };
        if (ret->failed) {
                (void) snprintf(ret->check, sizeof(ret->check), "%s", check);
                (void) snprintf(ret->failure, sizeof(ret->failure), "%s", failure);
        }
        if (trace) {
                (void) fputs(trace->str, stdout);
                (void) g_string_free(trace, TRUE);
        }
        g_free(failure);
}

void broken_core_prepare(const BrokenCore *b, Run *run) {
        static unsigned weight[_FAULT_MAX];

        run->options.fault = b->cms;
        run->options.nodes_min = b->n_nodes > 0 ? b->n_nodes : 2;
        run->options.nodes_max = b->n_nodes > 0 ? b->n_nodes : 6;
        run->options.weight = NULL;
        if (b->faults) {
                bool valid = faults_parse(b->faults, weight);

                assert(valid);
                run->options.weight = weight;
        }
        run->options.only_membership = !b->groups;
        run->seed = b->gcs != GCS_BREAK_NOTHING ? run_groups : swarm_run;
        gcs_break = b->gcs;
        only_unsafe = b->unsafe;
}

static bool run_one(const BrokenCore *b, unsigned n_jobs) {
        Run run = {
                .options = { .quiet = true },
                .first = 1,
                .last = b->within,
                .n_jobs = n_jobs,
                .batch = 4,
                .stop_at_first = true,
        };
        Totals t = { 0 };

        broken_core_prepare(b, &run);
        run_all(&run, &t);
        gcs_break = GCS_BREAK_NOTHING;
        if (t.n_failed == 0) {
                printf("%-28s MISSED in %" PRIu64 " seeds (%.1f s)\n", b->name, t.n_seeds, t.took_sec);
                return false;
        }
        printf("%-28s %6" PRIu64 " of %-6" PRIu64 " %-28s %.40s\n",
               b->name,
               t.first_failed.seed,
               b->within,
               t.first_failed.check,
               t.first_failed.failure);
        return true;
}

/* A fault that a core has and the table has not would never be tried. */
static bool table_is_complete(void) {
        bool complete = true;

        for (CmsFault f = CMS_FAULT_NONE + 1; f < _CMS_FAULT_MAX; f++) {
                bool found = false;

                for (size_t i = 0; i < ELEMENTSOF(broken_cores); i++)
                        found = found || broken_cores[i].cms == f;
                if (!found)
                        printf("%-28s IS NOT IN THE TABLE\n", cms_fault_to_string(f));
                complete = complete && found;
        }
        return complete;
}

bool broken_cores_run(unsigned n_jobs) {
        unsigned n_missed = table_is_complete() ? 0 : 1;

        printf("%-28s %16s %-28s %s\n", "fault", "caught by seed", "by the check", "which says");
        for (size_t i = 0; i < ELEMENTSOF(broken_cores); i++)
                if (!run_one(&broken_cores[i], n_jobs))
                        n_missed++;
        printf("%zu broken cores, %u missed\n", ELEMENTSOF(broken_cores), n_missed);
        return n_missed == 0;
}
