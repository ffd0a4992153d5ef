/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a fence agent says of itself with `-o metadata`: its parameters and actions. Pure. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "basic/macro.h"

#define FENCE_METADATA_PARAMETERS_MAX 512U
#define FENCE_METADATA_ACTIONS_MAX 64U

#define FENCE_METADATA_OPTIONS_MAX 64U

/* What an agent takes for a value; of other types everything. */
typedef enum FenceParameterType {
        FENCE_PARAMETER_STRING,
        FENCE_PARAMETER_BOOLEAN,
        FENCE_PARAMETER_INTEGER,
        FENCE_PARAMETER_SECOND,
        FENCE_PARAMETER_SELECT, /* one of its options, in any case */
        _FENCE_PARAMETER_TYPE_MAX,
        _FENCE_PARAMETER_TYPE_INVALID = -EINVAL,
} FenceParameterType;

typedef struct FenceParameter {
        char *name;      /* owned */
        char *obsoletes; /* owned: the older name of the same, or NULL */
        bool required;
        bool has_default;
        FenceParameterType type;
        char **options; /* owned, each too */
        size_t n_options;
} FenceParameter;

typedef struct FenceMetadata {
        FenceParameter *parameters; /* owned */
        size_t n_parameters;
        char **actions; /* owned */
        size_t n_actions;
        bool cuts_only; /* its "on" is for each node to do when it comes up: it cuts off, and switches
                           nothing */
} FenceMetadata;

/* -EBADMSG and a sentence in *ret_error, for free(), when it is not what an agent must say. */
int fence_metadata_parse(const char *xml, FenceMetadata **ret, char **ret_error);
FenceMetadata *fence_metadata_free(FenceMetadata *m);
DEFINE_TRIVIAL_CLEANUP(FenceMetadata *, fence_metadata_free);

const char *fence_parameter_type_to_string(FenceParameterType i);
FenceParameterType fence_parameter_type_from_string(const char *s);

/* Would the agent take this value for the parameter? It ignores a boolean that is none, and goes on. */
bool fence_parameter_accepts(const FenceParameter *p, const char *value);

const FenceParameter *fence_metadata_parameter(const FenceMetadata *m, const char *name);
bool fence_metadata_has_action(const FenceMetadata *m, const char *action);

/* The parameter that names the outlet or machine: "plug", "port" with older agents; NULL when the agent has
 * none and always means the one thing it is connected to. */
const char *fence_metadata_plug_parameter(const FenceMetadata *m);
