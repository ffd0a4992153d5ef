/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a fence agent says of itself with `-o metadata`: its parameters and actions. Pure. */

#include <stdbool.h>
#include <stddef.h>

#include "basic/macro.h"

#define FENCE_METADATA_PARAMETERS_MAX 512U
#define FENCE_METADATA_ACTIONS_MAX 64U

typedef struct FenceParameter {
        char *name;      /* owned */
        char *obsoletes; /* owned: the older name of the same, or NULL */
        bool required;
        bool has_default;
} FenceParameter;

typedef struct FenceMetadata {
        FenceParameter *parameters; /* owned */
        size_t n_parameters;
        char **actions; /* owned */
        size_t n_actions;
} FenceMetadata;

/* -EBADMSG and a sentence in *ret_error, for free(), when it is not what an agent must say. */
int fence_metadata_parse(const char *xml, FenceMetadata **ret, char **ret_error);
FenceMetadata *fence_metadata_free(FenceMetadata *m);
DEFINE_TRIVIAL_CLEANUP(FenceMetadata *, fence_metadata_free);

const FenceParameter *fence_metadata_parameter(const FenceMetadata *m, const char *name);
bool fence_metadata_has_action(const FenceMetadata *m, const char *action);

/* The parameter that names the outlet or machine: "plug", "port" with older agents; NULL when the agent has
 * none and always means the one thing it is connected to. */
const char *fence_metadata_plug_parameter(const FenceMetadata *m);
