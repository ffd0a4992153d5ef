/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/node-set.h"

char *node_set_format(NodeSet set, char buf[static NODE_SET_TEXT_MAX]) {
        char *p = buf;

        /* By hand, since cores link this and print nothing. */
        *p++ = '{';
        NODE_SET_FOREACH(id, set) {
                if (p[-1] != '{')
                        *p++ = ' ';
                if (id >= 10)
                        *p++ = (char) ('0' + id / 10);
                *p++ = (char) ('0' + id % 10);
        }
        *p++ = '}';
        *p = '\0';

        return buf;
}
