/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a management controller's JSON says of what we ask for. Pure, and suspicious: links must be paths on
 * the same controller, texts are short and of printable characters. */

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "basic/macro.h"

#define REDFISH_ANSWER_BYTES_MAX (256U * 1024U)
#define REDFISH_WORD_MAX 32U
#define REDFISH_WORDS_MAX 32U

typedef enum RedfishPower {
        REDFISH_POWER_UNKNOWN, /* not said, or a word that nobody defined */
        REDFISH_POWER_OFF,
        REDFISH_POWER_ON,
        REDFISH_POWER_CHANGING, /* PoweringOff, PoweringOn, Paused: not off */
} RedfishPower;

/* Words of ResetType that a controller allows; none: it does not say. */
typedef struct RedfishWords {
        char words[REDFISH_WORDS_MAX][REDFISH_WORD_MAX];
        size_t n_words;
} RedfishWords;

typedef struct RedfishSystem {
        RedfishPower power;
        char power_word[REDFISH_WORD_MAX]; /* as it was said; "" */
        char *reset;                       /* owned: path of the action; NULL: not said */
        char *action_info;                 /* owned: path of what describes it; NULL: not said */
        RedfishWords allowed;
} RedfishSystem;

/* NULL when it is no JSON object. For json_decref(). */
json_t *redfish_answer_parse(const char *body, size_t body_bytes);

/* The path in object[key][key]...["@odata.id"], for g_free(); NULL when there is none. Keys end with NULL.
 */
char *redfish_answer_link(const json_t *object, const char *const *keys);
/* A link or a Location, also one with the controller's own scheme and host in front; NULL: it is no path. */
char *redfish_answer_path(const char *link);

/* The paths of a collection, up to max, for g_free() each; returns how many members there are at least,
 * which may be more: some are not listed, or have no path. */
size_t redfish_answer_members(const json_t *collection, char **ret_paths, size_t max);

void redfish_answer_system(const json_t *object, RedfishSystem *ret);
void redfish_system_done(RedfishSystem *s);
void redfish_answer_action_info(const json_t *object, RedfishWords *ret);

bool redfish_words_contain(const RedfishWords *words, const char *word);
/* "On, ForceOff", for g_free(). */
char *redfish_words_to_text(const RedfishWords *words);

/* What it says about an error, short and printable, for g_free(); NULL: nothing. */
char *redfish_answer_complaint(const char *body, size_t body_bytes);
