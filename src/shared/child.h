/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs another program from the event loop, bounded in time and in output. The program gets a process group
 * of its own, which is killed whole: at the time limit, when the Child is freed, and also after the program
 * has ended by itself, so that nothing it started outlives it. Its input is ready before it starts, so
 * nothing waits for it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "basic/macro.h"

#define CHILD_OUTPUT_MAX (512U * 1024U)
#define CHILD_ERRORS_MAX (8U * 1024U)
#define CHILD_TEXT_MAX 512U

typedef struct Child Child;

typedef struct ChildSpec {
        const char *const *argv; /* argv[0]: absolute path; NULL at the end */
        const void *input;       /* bytes for standard input; NULL: empty */
        size_t input_bytes;
        uint64_t timeout_usec; /* USEC_INFINITY: none */
} ChildSpec;

typedef enum ChildEnd {
        CHILD_EXITED,
        CHILD_SIGNALED,
        CHILD_TIMED_OUT,
} ChildEnd;

/* Texts are zero-terminated and borrowed for the call. Of too much text the last part is kept. */
typedef struct ChildResult {
        ChildEnd end;
        int status; /* exit status, or the signal */
        const char *output;
        const char *errors; /* what came on standard error */
        bool output_cut;
        uint64_t duration_usec;
} ChildResult;

/* Called once, from the loop. May free the child. */
typedef void (*ChildHandler)(Child *child, const ChildResult *result, void *userdata);

/* A program that cannot be executed fails here, with the errno of execve(). */
int child_new(sd_event *event, const ChildSpec *spec, ChildHandler handler, void *userdata, Child **ret);

/* Kills what still runs and does not wait: the loop collects it. The handler is not called any more. */
Child *child_free(Child *c);

/* Says in words how it ended, with the last lines it wrote: "exited with status 1: ImportError: no module".
 */
char *child_result_format(const ChildResult *result, char buf[static CHILD_TEXT_MAX]);

DEFINE_TRIVIAL_CLEANUP(Child *, child_free);
