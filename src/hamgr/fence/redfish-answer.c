/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>

#include "hamgr/fence/redfish-answer.h"
#include "shared/redfish-address.h"

#define COMPLAINT_LENGTH_MAX 160U

json_t *redfish_answer_parse(const char *body, size_t body_bytes) {
        json_t *object = json_loadb(body, body_bytes, 0, NULL);

        if (object && !json_is_object(object)) {
                json_decref(object);
                return NULL;
        }
        return object;
}

char *redfish_answer_path(const char *link) {
        const char *rest = link ? startswith(link, "https://") ?: startswith(link, "http://") : NULL;
        const char *path = rest ? strchr(rest, '/') : link;

        return path && redfish_path_is_valid(path) ? g_strdup(path) : NULL;
}

char *redfish_answer_link(const json_t *object, const char *const *keys) {
        for (; *keys; keys++)
                object = json_object_get(object, *keys);
        return redfish_answer_path(json_string_value(json_object_get(object, "@odata.id")));
}

/* Members whose links are no paths count too, and so do those that are said to be there and are not listed:
 * whoever takes the only one must not take one of several. */
size_t redfish_answer_members(const json_t *collection, char **ret_paths, size_t max) {
        const json_t *members = json_object_get(collection, "Members"),
                     *count = json_object_get(collection, "Members@odata.count");
        size_t n_listed = json_array_size(members), n_paths = 0;
        bool there_is_more = json_object_get(collection, "Members@odata.nextLink") != NULL;

        for (size_t i = 0; i < n_listed; i++) {
                char *path = redfish_answer_path(
                                json_string_value(json_object_get(json_array_get(members, i), "@odata.id")));

                if (path && n_paths < max)
                        ret_paths[n_paths++] = path;
                else
                        g_free(path);
        }
        if (json_integer_value(count) > (json_int_t) n_listed)
                return (size_t) json_integer_value(count);
        return n_listed + (there_is_more ? 1 : 0);
}

/* Letters and digits only, so that it can be repeated anywhere. */
static bool copy_word(const json_t *text, char ret[static REDFISH_WORD_MAX]) {
        g_autofree char *word = g_strdup(json_string_value(text));

        if (!word)
                return false;
        (void) g_strstrip(word);
        if (word[0] == '\0' || strlen(word) >= REDFISH_WORD_MAX)
                return false;
        for (const char *p = word; *p; p++)
                if (!g_ascii_isalnum(*p))
                        return false;
        (void) g_strlcpy(ret, word, REDFISH_WORD_MAX);
        return true;
}

static void copy_words(const json_t *array, RedfishWords *ret) {
        ret->n_words = 0;
        for (size_t i = 0; i < json_array_size(array) && ret->n_words < REDFISH_WORDS_MAX; i++)
                if (copy_word(json_array_get(array, i), ret->words[ret->n_words]))
                        ret->n_words++;
}

bool redfish_words_contain(const RedfishWords *words, const char *word) {
        for (size_t i = 0; i < words->n_words; i++)
                if (streq(words->words[i], word))
                        return true;
        return false;
}

char *redfish_words_to_text(const RedfishWords *words) {
        GString *s = g_string_new(NULL);

        for (size_t i = 0; i < words->n_words; i++)
                g_string_append_printf(s, "%s%s", i > 0 ? ", " : "", words->words[i]);
        return g_string_free(s, FALSE);
}

static RedfishPower power_of(const char *word) {
        static const char *const changing[] = { "PoweringOff", "PoweringOn", "Paused" };

        if (streq(word, "Off"))
                return REDFISH_POWER_OFF;
        if (streq(word, "On"))
                return REDFISH_POWER_ON;
        for (size_t i = 0; i < ELEMENTSOF(changing); i++)
                if (streq(word, changing[i]))
                        return REDFISH_POWER_CHANGING;
        return REDFISH_POWER_UNKNOWN;
}

void redfish_answer_system(const json_t *object, RedfishSystem *ret) {
        const json_t *reset = json_object_get(json_object_get(object, "Actions"), "#ComputerSystem.Reset");
        RedfishSystem s = {};

        if (copy_word(json_object_get(object, "PowerState"), s.power_word))
                s.power = power_of(s.power_word);
        s.reset = redfish_answer_path(json_string_value(json_object_get(reset, "target")));
        copy_words(json_object_get(reset, "ResetType@Redfish.AllowableValues"), &s.allowed);
        s.action_info = redfish_answer_path(
                        json_string_value(json_object_get(reset, "@Redfish.ActionInfo")));
        *ret = s;
}

void redfish_system_done(RedfishSystem *s) {
        g_free(s->reset);
        g_free(s->action_info);
        *s = (RedfishSystem){};
}

void redfish_answer_action_info(const json_t *object, RedfishWords *ret) {
        const json_t *parameters = json_object_get(object, "Parameters");

        ret->n_words = 0;
        for (size_t i = 0; i < json_array_size(parameters); i++) {
                const json_t *parameter = json_array_get(parameters, i);

                if (streq(strempty(json_string_value(json_object_get(parameter, "Name"))), "ResetType"))
                        copy_words(json_object_get(parameter, "AllowableValues"), ret);
        }
}

/* Controllers put it into error, or beside it, and the general sentence into error.message. */
static const char *complaint_of(const json_t *object) {
        const json_t *error = json_object_get(object, "error") ?: object;
        const json_t *info = json_object_get(error, "@Message.ExtendedInfo");
        const char *message = json_string_value(json_object_get(json_array_get(info, 0), "Message"));

        return message ?: json_string_value(json_object_get(error, "message"));
}

char *redfish_answer_complaint(const char *body, size_t body_bytes) {
        json_t *object = redfish_answer_parse(body, body_bytes);
        const char *said = complaint_of(object);
        char *text = NULL;

        if (!isempty(said)) {
                text = g_strndup(said, COMPLAINT_LENGTH_MAX);
                for (char *p = text; *p; p++)
                        if (!g_ascii_isprint(*p))
                                *p = ' ';
                (void) g_strstrip(text);
                if (text[0] == '\0')
                        g_clear_pointer(&text, g_free);
        }
        json_decref(object);
        return text;
}
