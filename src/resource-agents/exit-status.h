/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Exit statuses of resource agents: part of their interface, the same for all. systemd's own begin at 200.
 */

typedef enum AgentExit {
        AGENT_EXIT_OK = 0,       /* stopped when asked, or removed */
        AGENT_EXIT_FAILED = 1,   /* any other failure */
        AGENT_EXIT_USAGE = 2,    /* wrong command line */
        AGENT_EXIT_MISSING = 3,  /* what it works on is not there, or not ready */
        AGENT_EXIT_CONFLICT = 4, /* refused: in use by somebody else */
        AGENT_EXIT_LOST = 5,     /* it worked, and then what it works on failed */
        AGENT_EXIT_LEFTOVER = 6, /* could not be stopped: something is left on this node */
} AgentExit;
