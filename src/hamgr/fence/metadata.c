/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include <glib.h>

#include "basic/string-table.h"
#include "hamgr/fence/metadata.h"

static const char *const fence_parameter_type_table[_FENCE_PARAMETER_TYPE_MAX] = {
        [FENCE_PARAMETER_STRING] = "string",   [FENCE_PARAMETER_BOOLEAN] = "boolean",
        [FENCE_PARAMETER_INTEGER] = "integer", [FENCE_PARAMETER_SECOND] = "second",
        [FENCE_PARAMETER_SELECT] = "select",
};
DEFINE_STRING_TABLE(fence_parameter_type, FenceParameterType);

/* Where in the document we are. Only these elements mean something; what is inside others is passed over. */
typedef enum Place {
        PLACE_OUTSIDE,
        PLACE_AGENT,
        PLACE_PARAMETERS,
        PLACE_PARAMETER,
        PLACE_CONTENT,
        PLACE_ACTIONS,
} Place;

typedef struct Scan {
        FenceMetadata *metadata;
        Place place;
        unsigned n_skipped; /* depth inside elements that mean nothing */
        bool seen_agent;
} Scan;

static const char *attribute(const char **names, const char **values, const char *name) {
        for (size_t i = 0; names[i]; i++)
                if (streq(names[i], name))
                        return values[i];
        return NULL;
}

static void refuse(GError **error, const char *what) {
        g_set_error_literal(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT, what);
}

static void add_parameter(FenceMetadata *m, const char **names, const char **values, GError **error) {
        const char *name = attribute(names, values, "name"),
                   *required = attribute(names, values, "required");

        if (isempty(name)) {
                refuse(error, "a parameter has no name");
                return;
        }
        if (m->n_parameters >= FENCE_METADATA_PARAMETERS_MAX) {
                refuse(error, "there are too many parameters");
                return;
        }

        m->parameters = g_renew(FenceParameter, m->parameters, m->n_parameters + 1);
        m->parameters[m->n_parameters++] = (FenceParameter){
                .name = g_strdup(name),
                .obsoletes = g_strdup(attribute(names, values, "obsoletes")),
                .required = required && streq(required, "1"),
        };
}

/* A type that nobody defined takes anything. */
static void set_content(FenceParameter *p, const char **names, const char **values) {
        FenceParameterType type =
                        fence_parameter_type_from_string(strempty(attribute(names, values, "type")));

        p->has_default = attribute(names, values, "default") != NULL;
        p->type = type >= 0 ? type : FENCE_PARAMETER_STRING;
}

static void add_option(FenceParameter *p, const char **names, const char **values, GError **error) {
        const char *value = attribute(names, values, "value");

        if (p->n_options >= FENCE_METADATA_OPTIONS_MAX) {
                refuse(error, "a parameter has too many options");
                return;
        }
        p->options = g_renew(char *, p->options, p->n_options + 1);
        p->options[p->n_options++] = g_strdup(strempty(value));
}

static void add_action(FenceMetadata *m, const char **names, const char **values, GError **error) {
        const char *name = attribute(names, values, "name"),
                   *automatic = attribute(names, values, "automatic");

        if (isempty(name)) {
                refuse(error, "an action has no name");
                return;
        }
        if (m->n_actions >= FENCE_METADATA_ACTIONS_MAX) {
                refuse(error, "there are too many actions");
                return;
        }

        m->actions = g_renew(char *, m->actions, m->n_actions + 1);
        m->actions[m->n_actions++] = g_strdup(name);
        m->cuts_only = m->cuts_only || (streq(name, "on") && streq(strempty(automatic), "1"));
}

static FenceParameter *last_parameter(const Scan *s) {
        return &s->metadata->parameters[s->metadata->n_parameters - 1];
}

static void
on_start(GMarkupParseContext *context,
         const char *element,
         const char **names,
         const char **values,
         void *userdata,
         GError **error) {
        Scan *s = userdata;

        if (s->n_skipped > 0) {
                s->n_skipped++;
                return;
        }

        if (s->place == PLACE_OUTSIDE) {
                if (!streq(element, "resource-agent")) {
                        refuse(error, "the outermost element is not <resource-agent>");
                        return;
                }
                s->seen_agent = true;
                s->place = PLACE_AGENT;
        } else if (s->place == PLACE_AGENT && streq(element, "parameters"))
                s->place = PLACE_PARAMETERS;
        else if (s->place == PLACE_AGENT && streq(element, "actions"))
                s->place = PLACE_ACTIONS;
        else if (s->place == PLACE_PARAMETERS && streq(element, "parameter")) {
                add_parameter(s->metadata, names, values, error);
                s->place = PLACE_PARAMETER;
        } else if (s->place == PLACE_PARAMETER && streq(element, "content")) {
                set_content(last_parameter(s), names, values);
                s->place = PLACE_CONTENT;
        } else {
                if (s->place == PLACE_CONTENT && streq(element, "option"))
                        add_option(last_parameter(s), names, values, error);
                else if (s->place == PLACE_ACTIONS && streq(element, "action"))
                        add_action(s->metadata, names, values, error);
                s->n_skipped = 1;
        }
}

static void on_end(GMarkupParseContext *context, const char *element, void *userdata, GError **error) {
        static const Place outer[] = {
                [PLACE_OUTSIDE] = PLACE_OUTSIDE,      [PLACE_AGENT] = PLACE_OUTSIDE,
                [PLACE_PARAMETERS] = PLACE_AGENT,     [PLACE_ACTIONS] = PLACE_AGENT,
                [PLACE_PARAMETER] = PLACE_PARAMETERS, [PLACE_CONTENT] = PLACE_PARAMETER,
        };
        Scan *s = userdata;

        if (s->n_skipped > 0)
                s->n_skipped--;
        else
                s->place = outer[s->place];
}

int fence_metadata_parse(const char *xml, FenceMetadata **ret, char **ret_error) {
        static const GMarkupParser parser = { .start_element = on_start, .end_element = on_end };
        _cleanup_(fence_metadata_freep) FenceMetadata *m = g_new0(FenceMetadata, 1);
        Scan scan = { .metadata = m };
        g_autoptr(GError) error = NULL;
        g_autoptr(GMarkupParseContext) context =
                        g_markup_parse_context_new(&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, &scan, NULL);

        if (!g_markup_parse_context_parse(context, xml, -1, &error) ||
            !g_markup_parse_context_end_parse(context, &error)) {
                *ret_error = g_strdup(error->message);
                return -EBADMSG;
        }
        if (!scan.seen_agent || m->n_parameters == 0) {
                *ret_error = g_strdup("no parameters are described in it");
                return -EBADMSG;
        }

        *ret = TAKE_PTR(m);
        return 0;
}

FenceMetadata *fence_metadata_free(FenceMetadata *m) {
        if (!m)
                return NULL;

        for (size_t i = 0; i < m->n_parameters; i++) {
                g_free(m->parameters[i].name);
                g_free(m->parameters[i].obsoletes);
                for (size_t k = 0; k < m->parameters[i].n_options; k++)
                        g_free(m->parameters[i].options[k]);
                g_free(m->parameters[i].options);
        }
        for (size_t i = 0; i < m->n_actions; i++)
                g_free(m->actions[i]);
        g_free(m->parameters);
        g_free(m->actions);
        g_free(m);
        return NULL;
}

static bool is_boolean(const char *value) {
        static const char *const words[] = { "1", "yes", "on", "true", "0", "no", "off", "false" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (g_ascii_strcasecmp(value, words[i]) == 0)
                        return true;
        return false;
}

static bool is_integer(const char *value) {
        size_t length = strspn(value, "0123456789");

        return length > 0 && length <= 18 && value[length] == '\0';
}

bool fence_parameter_accepts(const FenceParameter *p, const char *value) {
        switch (p->type) {
        case FENCE_PARAMETER_BOOLEAN:
                return is_boolean(value);
        case FENCE_PARAMETER_INTEGER:
        case FENCE_PARAMETER_SECOND:
                return is_integer(value);
        case FENCE_PARAMETER_SELECT:
                for (size_t i = 0; i < p->n_options; i++)
                        if (g_ascii_strcasecmp(value, p->options[i]) == 0)
                                return true;
                return p->n_options == 0;
        default:
                return true;
        }
}

const FenceParameter *fence_metadata_parameter(const FenceMetadata *m, const char *name) {
        for (size_t i = 0; i < m->n_parameters; i++)
                if (streq(m->parameters[i].name, name))
                        return &m->parameters[i];
        return NULL;
}

bool fence_metadata_has_action(const FenceMetadata *m, const char *action) {
        for (size_t i = 0; i < m->n_actions; i++)
                if (streq(m->actions[i], action))
                        return true;
        return false;
}

const char *fence_metadata_plug_parameter(const FenceMetadata *m) {
        return fence_metadata_parameter(m, "plug")   ? "plug"
               : fence_metadata_parameter(m, "port") ? "port"
                                                     : NULL;
}
