/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A group of processes, as bench/groups needs it: one member in each node. What differs between the
 * libraries that are compared is behind these functions, and nothing else. */

#include <stddef.h>
#include <stdint.h>

#include "basic/macro.h"

typedef struct Group Group;

typedef void (*GroupMessage)(void *userdata, uint32_t from_node, const void *data, size_t size_bytes);

/* Begins to join; path is that of the daemon's socket, where there is one. */
int group_join(const char *path, uint32_t node, GroupMessage on_message, void *userdata, Group **ret);
Group *group_leave(Group *g);
DEFINE_TRIVIAL_CLEANUP(Group *, group_leave);

int group_fd(Group *g);
short group_events(Group *g);

/* How long to wait for the descriptor at most before a refused message is tried again; -1: for ever, it will
 * tell. */
int group_retry_msec(Group *g);

/* Takes what is there, though not for long: whoever sends has a turn as well. 1: there may be more. */
int group_dispatch(Group *g);

unsigned group_n_members(const Group *g);

/* 1: taken; 0: not now, try again when the descriptor has something. */
int group_send(Group *g, const void *data, size_t size_bytes);
