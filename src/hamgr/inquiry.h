/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A question to hagcd for whoever asks on the bus: on a connection of its own, so that neither an old hagcd
 * that does not know the question nor a full window gets in the way of the group, and so that there is an
 * answer while the group has none. All who ask meanwhile are answered by one. */

#include "hamgr/manager.h"

typedef struct InquiryType {
        const char *name;
        int (*ask)(hagcs *h);
        /* True: it is complete, and inquiry_take_asker() has those who are to have it. */
        bool (*heard)(Inquiry *q, hagcs *h, const hagcs_event *e);
        /* What was heard so far is void. NULL: there is never anything. */
        void (*forget)(Inquiry *q);
} InquiryType;

int inquiry_new(Manager *m, const InquiryType *type, Inquiry **ret);
Inquiry *inquiry_free(Inquiry *q);

/* Takes over the call. */
void inquiry_put(Inquiry *q, ApiCall *call);

/* NULL: no more. */
ApiCall *inquiry_take_asker(Inquiry *q);

/* Of the answer, while it is heard. */
GPtrArray *inquiry_parts(Inquiry *q);
