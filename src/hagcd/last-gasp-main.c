/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hagcd-last-gasp: ExecStopPost= of hagcd.service. When hagcd did not end on purpose, the others learn it
 * now and not only from its silence. Bounded: an alarm ends it whatever happens, since the reset waits for
 * it. */

#include <stdio.h>
#include <sys/time.h>

#include "basic/macro.h"
#include "hagcd/gasp.h"

int main(int argc, char *argv[]) {
        const struct itimerval limit = { .it_value = { .tv_usec = 200 * 1000 } };
        const char *result = getenv("SERVICE_RESULT"), *path = argc > 1 ? argv[1] : GASP_PATH;

        (void) setitimer(ITIMER_REAL, &limit, NULL);
        if (result && !streq(result, "success"))
                (void) gasp_send(path);
        (void) unlink(path);
        return EXIT_SUCCESS;
}
