/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages among hamgrs, and a configuration that they are about, for seeds. */

#include "hamgr/state/state.h"

#define STATE_MESSAGES_NODES 3U

typedef void (*StateMessageSink)(void *userdata, const void *data, size_t size_bytes);
void state_messages_all(StateMessageSink sink, void *userdata);

HaNodes state_messages_nodes(void);
