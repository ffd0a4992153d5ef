/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Scripted stories of the membership core: each tells a behaviour or a rule. */

#include "sim/story.h"

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        story_add_form();
        story_add_detect();
        story_add_quorum();
        story_add_mesh();
        story_add_disk();
        story_add_ballot();
        story_add_faults();
        story_add_lease();
        story_add_rejoin();
        story_add_half();
        story_add_config();
        return g_test_run();
}
