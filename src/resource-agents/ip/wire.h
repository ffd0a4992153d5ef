/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A packet socket on one interface that hears what concerns one address, and sends frames about it. */

#include "resource-agents/ip/frame.h"

/* A descriptor that does not block. */
int wire_open(int ifindex, const IpAddress *address);

int wire_send(int fd, const Frame *frame);

/* The next frame that another host sent: its size, or -EAGAIN. */
int wire_receive(int fd, uint8_t *buf, size_t buf_bytes);
