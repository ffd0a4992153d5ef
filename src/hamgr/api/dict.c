/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "hamgr/api/dict.h"

static void open_value(Dict *d, const char *key, const char *type) {
        if (d->r >= 0)
                d->r = sd_bus_message_open_container(d->m, 'e', "sv");
        if (d->r >= 0)
                d->r = sd_bus_message_append(d->m, "s", key);
        if (d->r >= 0)
                d->r = sd_bus_message_open_container(d->m, 'v', type);
}

void dict_close(Dict *d) {
        if (d->r >= 0)
                d->r = sd_bus_message_close_container(d->m);
}

static void close_value(Dict *d) {
        dict_close(d);
        dict_close(d);
}

void dict_put_text(Dict *d, const char *key, const char *text) {
        open_value(d, key, "s");
        if (d->r >= 0)
                d->r = sd_bus_message_append(d->m, "s", strempty(text));
        close_value(d);
}

void dict_put_bool(Dict *d, const char *key, bool value) {
        open_value(d, key, "b");
        if (d->r >= 0)
                d->r = sd_bus_message_append(d->m, "b", (int) value);
        close_value(d);
}

void dict_put_u32(Dict *d, const char *key, uint32_t value) {
        open_value(d, key, "u");
        if (d->r >= 0)
                d->r = sd_bus_message_append(d->m, "u", value);
        close_value(d);
}

void dict_put_u64(Dict *d, const char *key, uint64_t value) {
        open_value(d, key, "t");
        if (d->r >= 0)
                d->r = sd_bus_message_append(d->m, "t", value);
        close_value(d);
}

void dict_put_usec(Dict *d, const char *key, uint64_t usec) {
        if (usec != API_USEC_UNKNOWN)
                dict_put_u64(d, key, usec);
}

void dict_put_mid(Dict *d, const char *key, HaMid mid) {
        char text[64] = "";

        if (mid.epoch > 0)
                (void) g_snprintf(text, sizeof(text), "%" PRIu64 ".%" PRIu32, mid.epoch, mid.node);
        dict_put_text(d, key, text);
}

void dict_put_node(Dict *d, const char *key, uint32_t id) {
        char name[NAME_LENGTH_MAX + 1];

        dict_put_text(d, key, id > 0 ? ha_nodes_name(d->api->nodes, id, name) : "");
}

void dict_put_set(Dict *d, const char *key, NodeSet set) {
        open_value(d, key, "as");
        if (d->r >= 0)
                d->r = api_append_node_set(d->m, d->api->nodes, set);
        close_value(d);
}

/* A list of dictionaries, each between dict_open() and dict_close(). */
void dict_open_list(Dict *d, const char *key) {
        open_value(d, key, "aa{sv}");
        if (d->r >= 0)
                d->r = sd_bus_message_open_container(d->m, 'a', "a{sv}");
}

void dict_close_list(Dict *d) {
        dict_close(d);
        close_value(d);
}

void dict_open(Dict *d) {
        if (d->r >= 0)
                d->r = sd_bus_message_open_container(d->m, 'a', "{sv}");
}

void dict_reply(ApiCall *call, void (*put)(Dict *d, const void *what), const void *what) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Dict d = { .api = call->api };

        d.r = sd_bus_message_new_method_return(call->m, &reply);
        d.m = reply;
        put(&d, what);
        if (d.r < 0) {
                api_call_refuse(call,
                                API_ERROR_NOT_READY,
                                "the answer could not be written: %s",
                                strerror(-d.r));
                return;
        }
        (void) sd_bus_send(NULL, reply, NULL);
        api_call_free(call);
}
