/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The bus side of hactl: calls with errors told in sentences, and the whole cluster read as one JSON
 * document, so that the tables and --json cannot disagree. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "basic/macro.h"
#include "hactl/hactl.h"

#define BUS_NAME "org.hamgr1"
#define MANAGER_PATH "/org/hamgr1"
#define MANAGER_INTERFACE "org.hamgr1.Manager"

void hactl_error(const char *format, ...) {
        va_list ap;

        fputs("hactl: ", stderr);
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fputc('\n', stderr);
}

sd_bus *hactl_bus(Hactl *h) {
        int r;

        if (h->bus)
                return h->bus;
        r = sd_bus_open_system(&h->bus);
        if (r < 0) {
                hactl_error("cannot reach the system bus: %s; is dbus.service running?", strerror(-r));
                return NULL;
        }
        /* polkit may ask for a password. */
        (void) sd_bus_set_allow_interactive_authorization(h->bus, true);
        return h->bus;
}

/* Reasons may be several lines, the last one with its end. */
static void tell_lines(const char *text) {
        size_t n = strlen(text);

        while (n > 0 && text[n - 1] == '\n')
                n--;
        hactl_error("%.*s", (int) n, text);
}

static int tell(const sd_bus_error *e, int r, bool ordered) {
        const char *after =
                        ordered ? "the order may still be carried out: see \"hactl status\"" : "try again";

        if (sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
            sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER)) {
                hactl_error("hamgr is not running on this server; start it with \"systemctl start hamgr\", "
                            "or ask "
                            "\"systemctl status hagcd hamgr\" why it does not");
                return HACTL_UNREACHABLE;
        }
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY))
                hactl_error("hamgr ended before it answered; %s", after);
        else if (r == -ETIMEDOUT)
                hactl_error("hamgr did not answer within %d s; %s",
                            (int) (HACTL_CALL_TIMEOUT_USEC / 1000000),
                            after);
        else
                tell_lines(e->message ?: strerror(-r));
        return HACTL_FAILED;
}

int hactl_send(Hactl *h, sd_bus_message *call, sd_bus_message **ret_reply) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_call(h->bus, call, HACTL_CALL_TIMEOUT_USEC, &error, ret_reply);
        if (r >= 0)
                return HACTL_OK;
        free(h->error);
        h->error = strdup(error.name ?: "");
        return tell(&error, r, true);
}

int hactl_call(Hactl *h, const char *method, sd_bus_message **ret_reply, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        va_list ap;
        int r;

        if (!hactl_bus(h))
                return HACTL_UNREACHABLE;
        r = sd_bus_message_new_method_call(h->bus, &call, BUS_NAME, MANAGER_PATH, MANAGER_INTERFACE, method);
        if (r < 0)
                return tell(&SD_BUS_ERROR_NULL, r, true);
        va_start(ap, types);
        r = sd_bus_message_appendv(call, types, ap);
        va_end(ap);
        if (r < 0)
                return tell(&SD_BUS_ERROR_NULL, r, true);
        return hactl_send(h, call, ret_reply);
}

/* One complete D-Bus value to JSON: containers to arrays, dictionaries to objects, variants to what they
 * hold. */
static int value_to_json(sd_bus_message *m, json_t **ret);

static int array_to_json(sd_bus_message *m, const char *contents, json_t **ret) {
        bool dictionary = contents[0] == '{';
        json_auto_t *array = dictionary ? json_object() : json_array();
        int r;

        r = sd_bus_message_enter_container(m, 'a', contents);
        if (r < 0)
                return r;
        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                json_t *v;
                const char *key = NULL;

                if (dictionary) {
                        const char *inner;

                        r = sd_bus_message_peek_type(m, NULL, &inner);
                        if (r < 0)
                                return r;
                        r = sd_bus_message_enter_container(m, 'e', inner);
                        if (r < 0)
                                return r;
                        r = sd_bus_message_read_basic(m, inner[0], &key);
                        if (r < 0)
                                return r;
                }
                r = value_to_json(m, &v);
                if (r < 0)
                        return r;
                if (dictionary) {
                        json_object_set_new(array, key, v);
                        r = sd_bus_message_exit_container(m);
                        if (r < 0)
                                return r;
                } else
                        json_array_append_new(array, v);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(array);
        return sd_bus_message_exit_container(m);
}

static int value_to_json(sd_bus_message *m, json_t **ret) {
        const char *contents, *s;
        uint64_t t;
        uint32_t u;
        char type;
        int b, r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r < 0)
                return r;
        switch (type) {
        case 's':
        case 'o':
                r = sd_bus_message_read_basic(m, type, &s);
                if (r >= 0)
                        *ret = json_string(s);
                return r;
        case 'b':
                r = sd_bus_message_read_basic(m, type, &b);
                if (r >= 0)
                        *ret = json_boolean(b);
                return r;
        case 'u':
                r = sd_bus_message_read_basic(m, type, &u);
                if (r >= 0)
                        *ret = json_integer(u);
                return r;
        case 't':
                r = sd_bus_message_read_basic(m, type, &t);
                if (r >= 0)
                        *ret = json_integer((json_int_t) t);
                return r;
        case 'a':
                return array_to_json(m, contents, ret);
        case 'v':
                r = sd_bus_message_enter_container(m, 'v', contents);
                if (r < 0)
                        return r;
                r = value_to_json(m, ret);
                if (r < 0)
                        return r;
                return sd_bus_message_exit_container(m);
        default:
                return -EPROTO;
        }
}

json_t *hactl_find(json_t *array, const char *name) {
        size_t i;
        json_t *o;

        json_array_foreach(array, i, o) if (streq(hactl_text(o, "name"), name)) return o;
        return NULL;
}

const char *hactl_text(const json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key)) ?: "";
}

#define KEY_MAX 64

/* D-Bus property name to JSON key: MayRunOn -> may_run_on. */
static const char *json_key(const char *name, char key[static KEY_MAX]) {
        size_t n = 0;

        for (const char *p = name; *p && n + 2 < KEY_MAX; p++) {
                if (*p >= 'A' && *p <= 'Z' && p > name)
                        key[n++] = '_';
                key[n++] = *p >= 'A' && *p <= 'Z' ? (char) (*p - 'A' + 'a') : *p;
        }
        key[n] = 0;
        return key;
}

static void copy_properties(json_t *to, json_t *properties) {
        char key[KEY_MAX];
        const char *name;
        json_t *v;

        json_object_foreach(properties, name, v) json_object_set(to, json_key(name, key), v);
}

/* The same for a document of dictionaries within dictionaries. */
static json_t *copy_document(json_t *from) {
        json_t *to, *v;
        const char *name;
        char key[KEY_MAX];
        size_t i;

        if (json_is_array(from)) {
                to = json_array();
                json_array_foreach(from, i, v) json_array_append_new(to, copy_document(v));
        } else if (json_is_object(from)) {
                to = json_object();
                json_object_foreach(from, name, v)
                                json_object_set_new(to, json_key(name, key), copy_document(v));
        } else
                return json_incref(from);
        return to;
}

static int compare_ids(const void *a, const void *b) {
        json_int_t x = json_integer_value(json_object_get(*(json_t *const *) a, "id"));
        json_int_t y = json_integer_value(json_object_get(*(json_t *const *) b, "id"));

        return x < y ? -1 : x > y;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(hactl_text(*(json_t *const *) a, "name"), hactl_text(*(json_t *const *) b, "name"));
}

static void sort(json_t *array, int (*compare)(const void *, const void *)) {
        size_t n = json_array_size(array);
        _cleanup_free_ json_t **v = calloc(n + 1, sizeof(json_t *));

        if (!v)
                return;
        for (size_t i = 0; i < n; i++)
                v[i] = json_incref(json_array_get(array, i));
        qsort(v, n, sizeof(json_t *), compare);
        for (size_t i = 0; i < n; i++)
                json_array_set_new(array, i, v[i]);
}

/* Resources belong under their group, in the order in which they start. */
static void nest_resources(json_t *groups, json_t *objects) {
        size_t i, j;
        json_t *group, *path;

        json_array_foreach(groups, i, group) {
                json_t *resources = json_array();

                json_array_foreach(json_object_get(group, "resources"), j, path) {
                        json_t *o = json_object_get(objects, json_string_value(path));
                        json_t *resource = json_object();

                        copy_properties(resource, json_object_get(o, "org.hamgr1.Resource"));
                        json_object_del(resource, "group");
                        json_array_append_new(resources, resource);
                }
                json_object_set_new(group, "resources", resources);
        }
}

static json_t *document_new(json_t *objects) {
        json_t *cluster = json_object(), *nodes = json_array(), *groups = json_array();
        const char *path;
        json_t *object;

        json_object_foreach(objects, path, object) {
                json_t *properties, *o;

                if ((properties = json_object_get(object, "org.hamgr1.Node")))
                        json_array_append_new(nodes, o = json_object());
                else if ((properties = json_object_get(object, "org.hamgr1.Group")))
                        json_array_append_new(groups, o = json_object());
                else
                        continue;
                copy_properties(o, properties);
        }
        sort(nodes, compare_ids);
        sort(groups, compare_names);
        nest_resources(groups, objects);
        json_object_set_new(cluster, "nodes", nodes);
        json_object_set_new(cluster, "groups", groups);
        return cluster;
}

/* Call a method, and its one value as JSON. argument: a string, or NULL for none. */
static int
call_to_json(Hactl *h,
             const char *interface,
             const char *method,
             const char *argument,
             bool tell_errors,
             json_t **ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        int r;

        if (!hactl_bus(h))
                return HACTL_UNREACHABLE;
        r = sd_bus_message_new_method_call(h->bus, &call, BUS_NAME, MANAGER_PATH, interface, method);
        if (r >= 0 && argument)
                r = sd_bus_message_append(call, "s", argument);
        if (r >= 0)
                r = sd_bus_call(h->bus, call, HACTL_CALL_TIMEOUT_USEC, &error, &reply);
        if (r >= 0)
                r = value_to_json(reply, ret);
        if (r < 0)
                return tell_errors ? tell(&error, r, false) : HACTL_FAILED;
        return HACTL_OK;
}

int hactl_read(Hactl *h, json_t **ret) {
        json_auto_t *objects = NULL, *properties = NULL;
        int r;

        r = call_to_json(h, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL, true, &objects);
        if (r == HACTL_OK)
                r =
                                call_to_json(h,
                                             "org.freedesktop.DBus.Properties",
                                             "GetAll",
                                             MANAGER_INTERFACE,
                                             true,
                                             &properties);
        if (r != HACTL_OK)
                return r;
        *ret = document_new(objects);
        copy_properties(*ret, properties);
        return HACTL_OK;
}

static int
read_document(Hactl *h, const char *method, const char *argument, bool tell_errors, json_t **ret) {
        json_auto_t *document = NULL;
        int r;

        r = call_to_json(h, MANAGER_INTERFACE, method, argument, tell_errors, &document);
        if (r == HACTL_OK)
                *ret = copy_document(document);
        return r;
}

int hactl_read_membership(Hactl *h, bool tell_errors, json_t **ret) {
        return read_document(h, "GetMembership", NULL, tell_errors, ret);
}

int hactl_read_fence_test(Hactl *h, const char *node, json_t **ret) {
        return read_document(h, "TestFencing", node, true, ret);
}

int hactl_read_fence_history(Hactl *h, json_t **ret) {
        return read_document(h, "GetFenceHistory", NULL, true, ret);
}

int hactl_read_groups(Hactl *h, json_t **ret) {
        return read_document(h, "GetMessageGroups", NULL, true, ret);
}

void hactl_print_json(const json_t *document) {
        json_dumpf(document, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
        putchar('\n');
}

static int on_change(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        bool *changed = userdata;

        (void) m;
        (void) error;
        *changed = true;
        return 0;
}

static uint64_t now_usec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}

int hactl_wait(Hactl *h, WaitFunc verdict, const void *what) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        uint64_t end = now_usec() + HACTL_WAIT_TIMEOUT_USEC;
        bool changed = true;
        int r;

        if (!hactl_bus(h))
                return HACTL_UNREACHABLE;
        r = sd_bus_add_match(
                        h->bus,
                        &slot,
                        "type='signal',sender='" BUS_NAME "',path_namespace='" MANAGER_PATH "'",
                        on_change,
                        &changed);
        if (r < 0)
                return tell(&SD_BUS_ERROR_NULL, r, true);

        for (;;) {
                if (changed) {
                        json_auto_t *cluster = NULL;
                        _cleanup_free_ char *text = NULL;

                        changed = false;
                        r = hactl_read(h, &cluster);
                        if (r != HACTL_OK)
                                return r;
                        switch (verdict(cluster, what, &text)) {
                        case WAIT_REACHED:
                                if (text && !h->json)
                                        puts(text);
                                return HACTL_OK;
                        case WAIT_FAILED:
                                hactl_error("%s", text ?: "it did not come about");
                                return HACTL_FAILED;
                        case WAIT_BLOCKED:
                                hactl_error("the order stands, and waits: %s", strempty(text));
                                return HACTL_WAITS;
                        case WAIT_MORE:
                                break;
                        }
                }
                r = sd_bus_process(h->bus, NULL);
                if (r < 0)
                        return tell(&SD_BUS_ERROR_NULL, r, true);
                if (r > 0)
                        continue;
                if (now_usec() >= end) {
                        hactl_error("not reached within %d s; the order stands: see \"hactl status\"",
                                    (int) (HACTL_WAIT_TIMEOUT_USEC / 1000000));
                        return HACTL_WAITS;
                }
                r = sd_bus_wait(h->bus, end - now_usec());
                if (r < 0 && r != -EINTR)
                        return tell(&SD_BUS_ERROR_NULL, r, true);
        }
}
