/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may change the cluster: root; everybody else is asked of polkit. Where polkit is not installed, nobody
 * else. Both questions are asynchronous: the bus for the user of the sender, then polkit. */

#include <stdio.h>

#include "hamgr/api/api-internal.h"
#include "shared/bus-util.h"

/* A person may have to type a password. */
#define POLKIT_TIMEOUT_USEC (120 * UINT64_C(1000000))
#define POLKIT_ALLOW_USER_INTERACTION 1U

static void grant(ApiCall *call) {
        call->slot = sd_bus_slot_unref(call->slot);
        call->api->handlers.request(call, &call->request, call->api->userdata);
}

static int on_polkit(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ApiCall *call = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int authorized, challenge, r;

        if (e) {
                if (bus_error_is(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
                    bus_error_is(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                        api_call_refuse(call,
                                        API_ERROR_ACCESS_DENIED,
                                        "only root may do this: polkit, which could allow it to others, is "
                                        "not installed");
                else
                        api_call_refuse(call,
                                        API_ERROR_ACCESS_DENIED,
                                        "polkit could not be asked: %s",
                                        bus_error_sentence(e, -EIO));
                return 0;
        }
        r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
        if (r >= 0)
                r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
        if (r < 0)
                api_call_refuse(call, API_ERROR_ACCESS_DENIED, "polkit's answer is not understood");
        else if (!authorized)
                api_call_refuse(call,
                                API_ERROR_ACCESS_DENIED,
                                "polkit does not allow you %s; root may do it, and a polkit rule can allow "
                                "it",
                                call->action);
        else
                grant(call);
        return 0;
}

static void ask_polkit(ApiCall *call) {
        bool interactive = sd_bus_message_get_allow_interactive_authorization(call->m) > 0;
        int r;

        call->slot = sd_bus_slot_unref(call->slot);
        r =
                        bus_call_async(call->api->bus,
                                       &call->slot,
                                       "org.freedesktop.PolicyKit1",
                                       "/org/freedesktop/PolicyKit1/Authority",
                                       "org.freedesktop.PolicyKit1.Authority",
                                       "CheckAuthorization",
                                       on_polkit,
                                       call,
                                       POLKIT_TIMEOUT_USEC,
                                       "(sa{sv})sa{ss}us",
                                       "system-bus-name",
                                       1,
                                       "name",
                                       "s",
                                       sd_bus_message_get_sender(call->m),
                                       call->action,
                                       0,
                                       interactive ? POLKIT_ALLOW_USER_INTERACTION : 0U,
                                       "");
        if (r < 0)
                api_call_refuse(call,
                                API_ERROR_ACCESS_DENIED,
                                "polkit could not be asked: %s",
                                strerror(-r));
}

static int on_user(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ApiCall *call = userdata;
        uint32_t uid;
        int r;

        r = bus_reply_errno(reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "u", &uid);
        if (r < 0) {
                api_call_refuse(call, API_ERROR_ACCESS_DENIED, "the bus does not say who you are");
                return 0;
        }
        if (uid == 0)
                grant(call);
        else
                ask_polkit(call);
        return 0;
}

/* On a connection without a bus the peer is the process at its other end. */
static bool peer_is_root(sd_bus *bus) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        uid_t uid;

        return sd_bus_get_owner_creds(bus, SD_BUS_CREDS_EUID, &creds) >= 0 &&
               sd_bus_creds_get_euid(creds, &uid) >= 0 && uid == 0;
}

void api_call_check_access(ApiCall *call) {
        const char *sender = sd_bus_message_get_sender(call->m);
        int r;

        if (!sender) {
                if (peer_is_root(call->api->bus))
                        grant(call);
                else
                        api_call_refuse(call, API_ERROR_ACCESS_DENIED, "only root may do this");
                return;
        }
        r =
                        bus_call_async(call->api->bus,
                                       &call->slot,
                                       "org.freedesktop.DBus",
                                       "/org/freedesktop/DBus",
                                       "org.freedesktop.DBus",
                                       "GetConnectionUnixUser",
                                       on_user,
                                       call,
                                       BUS_CALL_TIMEOUT_USEC,
                                       "s",
                                       sender);
        if (r < 0)
                api_call_refuse(call,
                                API_ERROR_ACCESS_DENIED,
                                "the bus could not be asked: %s",
                                strerror(-r));
}
