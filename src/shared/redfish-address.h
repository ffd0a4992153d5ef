/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where a server's management controller is, as Nodes= of a Redfish device has it behind the colon:
 *
 *     [NAME@]ADDRESS[:PORT][/PATH]
 *
 * 10.9.0.1    bmc1.example.org@10.9.0.1:8443    [fd00::1]:443    10.9.0.20/redfish/v1/Systems/blade3
 *
 * ADDRESS is a number, since looking names up could block, and a name server is one more thing that fails in
 * the middle of an outage. NAME is what the certificate says instead. PATH is the ComputerSystem, where the
 * controller has several. */

#include <stdbool.h>

#include "basic/macro.h"

#define REDFISH_PORT_DEFAULT 443U
#define REDFISH_PATH_MAX 512U

typedef struct RedfishAddress {
        char *authority;  /* owned: host and port of the URL, which the certificate is held to */
        char *connect_to; /* owned: address and port, where they differ from it; else NULL */
        char *system;     /* owned: path; NULL: the only one there is */
} RedfishAddress;

/* NULL, or what is wrong with it in words. */
const char *redfish_address_check(const char *text);

/* Do two texts that were checked lead to the same server, whatever they call the controller? */
bool redfish_address_is_same(const char *a, const char *b);

/* Of a text that was checked. 0 or -ENOMEM; -EINVAL of one that is wrong. */
int redfish_address_parse(const char *text, RedfishAddress *ret);
void redfish_address_done(RedfishAddress *a);

/* A path such as a controller names: begins with a slash, and can stand in the line of a request as it is.
 */
bool redfish_path_is_valid(const char *path);
