/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One frame of each type, and packets of several, for seeds. */

#include "libhagcs/proto.h"

typedef void (*ProtoFrameSink)(void *userdata, const void *data, size_t size_bytes);
void proto_frames_all(ProtoFrameSink sink, void *userdata);
void proto_packet(const ProtoType *types, size_t n, ProtoFrameSink sink, void *userdata);
