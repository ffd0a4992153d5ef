/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A checker that has never failed proves nothing: the core is broken on purpose, one way at a time, and some
 * seed must show it, by the checkers of the history or by the core's own. */

#include <fcntl.h>
#include <inttypes.h>
#include <sys/wait.h>

#include "gcs/gcs-break.h"
#include "sim/gcs/swarm.h"

#define SEEDS_MAX 400U
#define SECONDS_MAX 120U

/* In a process of its own, for the core's checks abort. */
static void search(GcsBreak broken) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        if (null < 0 || dup2(null, STDERR_FILENO) < 0)
                _exit(3);
        (void) alarm(SECONDS_MAX);
        gcs_break = broken;
        for (uint64_t seed = 1; seed <= SEEDS_MAX; seed++)
                if (gcs_swarm_run(seed, NULL, NULL, NULL))
                        _exit(1);
        _exit(0);
}

static void test_caught(const void *data) {
        pid_t pid = fork();
        int status;

        g_assert_cmpint(pid, >=, 0);
        if (pid == 0)
                search((GcsBreak) GPOINTER_TO_INT(data));
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        if (WIFSIGNALED(status))
                g_assert_cmpint(WTERMSIG(status), ==, SIGABRT);
        else
                g_assert_cmpint(WEXITSTATUS(status), ==, 1);
}

int main(int argc, char *argv[]) {
        static const char *const names[] = {
                [GCS_BREAK_SHUT_OUT_DONATES] = "the-shut-out-donates",
                [GCS_BREAK_FLUSH_EARLY] = "flush-delivers-early",
                [GCS_BREAK_MINORITY] = "minority-delivers",
                [GCS_BREAK_RING_EARLY] = "ring-is-rebuilt-before-the-membership",
                [GCS_BREAK_ACK_BEFORE_STORE] = "acknowledged-before-stored",
                [GCS_BREAK_NO_STREAM_CHECK] = "resends-are-not-filtered",
                [GCS_BREAK_COMMIT_EARLY] = "committed-when-proposed",
        };

        g_test_init(&argc, &argv, NULL);
        for (int i = 1; i < (int) G_N_ELEMENTS(names); i++) {
                g_autofree char *path = g_strdup_printf("/gcs/broken/%s-is-caught", names[i]);

                g_test_add_data_func(path, GINT_TO_POINTER(i), test_caught);
        }
        return g_test_run();
}
