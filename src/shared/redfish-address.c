/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <stdio.h>

#include "basic/parse.h"
#include "shared/redfish-address.h"

#define NAME_MAX_LENGTH 253U

/* The pieces of the text, copied; empty where they are not there. */
typedef struct Pieces {
        char name[NAME_MAX_LENGTH + 1];
        char address[INET6_ADDRSTRLEN];
        bool is_v6;
        uint32_t port;
        const char *path; /* borrowed from the text */
} Pieces;

bool redfish_path_is_valid(const char *path) {
        if (path[0] != '/' || strlen(path) > REDFISH_PATH_MAX || strstr(path, ".."))
                return false;
        for (const char *p = path; *p; p++)
                if (*p <= ' ' || *p > '~' || strchr("\"<>\\^`{|}#", *p))
                        return false;
        return true;
}

static bool name_is_good(const char *name) {
        size_t length = strlen(name);

        return length > 0 && name[0] != '-' && name[0] != '.' &&
               strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == length;
}

/* Copies the part before end; false: it does not fit. */
static bool copy_piece(char *to, size_t size, const char *from, const char *end) {
        size_t length = (size_t) (end - from);

        if (length >= size)
                return false;
        memcpy(to, from, length);
        to[length] = '\0';
        return true;
}

static bool split_address(const char *text, const char *end, Pieces *p, const char **ret_rest) {
        uint8_t bytes[16];

        if (*text == '[') {
                const char *close = memchr(text, ']', (size_t) (end - text));

                p->is_v6 = true;
                *ret_rest = close ? close + 1 : end;
                return close && copy_piece(p->address, sizeof(p->address), text + 1, close) &&
                       inet_pton(AF_INET6, p->address, bytes) == 1;
        }
        *ret_rest = memchr(text, ':', (size_t) (end - text)) ?: end;
        return copy_piece(p->address, sizeof(p->address), text, *ret_rest) &&
               inet_pton(AF_INET, p->address, bytes) == 1;
}

static const char *split(const char *text, Pieces *p) {
        const char *slash = strchr(text, '/'), *end = slash ?: text + strlen(text),
                   *at = memchr(text, '@', (size_t) (end - text)), *rest;
        char port[8] = "";

        *p = (Pieces){ .port = REDFISH_PORT_DEFAULT, .path = slash };
        if (*text == '\0')
                return "the address of the management controller is missing";
        if (at && !(copy_piece(p->name, sizeof(p->name), text, at) && name_is_good(p->name)))
                return "what stands before the @ is no host name";
        if (!split_address(at ? at + 1 : text, end, p, &rest))
                return "there is no address in it; write numbers such as 10.9.0.1 or [fd00::1], not names";
        if (rest < end && !(*rest == ':' && copy_piece(port, sizeof(port), rest + 1, end) &&
                            parse_u32(port, 1, UINT16_MAX, &p->port) >= 0))
                return "what follows the address is no port";
        if (slash && !redfish_path_is_valid(slash))
                return "what begins with the slash is no path";
        return NULL;
}

const char *redfish_address_check(const char *text) {
        Pieces p;

        return split(text, &p);
}

static bool path_is_same(const char *a, const char *b) {
        size_t m = strlen(a), n = strlen(b);

        m -= a[m - 1] == '/';
        n -= b[n - 1] == '/';
        return m == n && memcmp(a, b, n) == 0;
}

/* Where one names a server and the other the only one, there is but one. */
bool redfish_address_is_same(const char *a, const char *b) {
        uint8_t x_bytes[16] = {}, y_bytes[16] = {};
        Pieces x, y;

        if (split(a, &x) || split(b, &y) || x.is_v6 != y.is_v6 || x.port != y.port)
                return false;
        (void) inet_pton(x.is_v6 ? AF_INET6 : AF_INET, x.address, x_bytes);
        (void) inet_pton(y.is_v6 ? AF_INET6 : AF_INET, y.address, y_bytes);
        return memcmp(x_bytes, y_bytes, sizeof(x_bytes)) == 0 &&
               (!x.path || !y.path || path_is_same(x.path, y.path));
}

static char *format_authority(const char *host, bool brackets, uint32_t port) {
        char *text;

        return asprintf(&text, "%s%s%s:%u", brackets ? "[" : "", host, brackets ? "]" : "", port) < 0 ? NULL
                                                                                                      : text;
}

int redfish_address_parse(const char *text, RedfishAddress *ret) {
        RedfishAddress a = {};
        Pieces p;

        if (split(text, &p))
                return -EINVAL;
        a.authority = format_authority(p.name[0] ? p.name : p.address, p.name[0] == '\0' && p.is_v6, p.port);
        a.connect_to = p.name[0] ? format_authority(p.address, p.is_v6, p.port) : NULL;
        a.system = p.path ? strdup(p.path) : NULL;
        if (!a.authority || (p.name[0] && !a.connect_to) || (p.path && !a.system)) {
                redfish_address_done(&a);
                return -ENOMEM;
        }
        *ret = a;
        return 0;
}

void redfish_address_done(RedfishAddress *a) {
        free(a->authority);
        free(a->connect_to);
        free(a->system);
        *a = (RedfishAddress){};
}
