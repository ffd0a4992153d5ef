/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <sys/socket.h>

#include "basic/str-buf.h"
#include "hagcd/access.h"
#include "shared/cluster-access.h"
#include "shared/log.h"

/* ---- The process ---- */

/* SO_PEERGROUPS and not /proc/PID/status: the kernel took both down, with the user, when the process
 * connected, so that they belong together and to it, however many processes had its number since, and
 * whatever it asked for with setgroups() later. */
int access_peer_read(int fd, AccessPeer *ret) {
        struct ucred cred;
        socklen_t n = sizeof(cred), groups_bytes = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
                return -errno;
        *ret = (AccessPeer){ .uid = cred.uid, .gid = cred.gid };
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &groups_bytes) < 0 && errno != ERANGE)
                return 0;
        if (groups_bytes == 0)
                return 0;
        ret->groups = malloc(groups_bytes);
        if (ret->groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, ret->groups, &groups_bytes) >= 0)
                ret->n_groups = groups_bytes / sizeof(gid_t);
        return 0;
}

void access_peer_done(AccessPeer *p) {
        free(p->groups);
}

static bool is_in(const AccessPeer *peer, uint32_t gid) {
        if (peer->gid == gid)
                return true;
        FOREACH_ARRAY(g, peer->groups, peer->n_groups)
                if (*g == gid)
                        return true;
        return false;
}

/* ---- The sections ---- */

static bool names(const ClusterPrincipals *list, const AccessPeer *peer) {
        FOREACH_ARRAY(p, list->items, list->n_items)
                if (p->known && (p->everybody || (p->group ? is_in(peer, p->id) : peer->uid == p->id)))
                        return true;
        return false;
}

static void add_list(StrBuf *b, const ClusterAccess *a, const char *key, const ClusterPrincipals *list) {
        str_buf_printf(b, "[Access %s] of cluster.conf has ", a->pattern);
        if (!list->given) {
                str_buf_printf(b, "no %s=", key);
                return;
        }
        str_buf_printf(b, "%s=", key);
        for (size_t i = 0; i < list->n_items; i++)
                str_buf_printf(b, "%s%s", i > 0 ? " " : "", list->items[i].text);
}

/* What it is that refuses, at last: it may be long. */
static void
explain(const ClusterAccess *a,
        const AccessPeer *peer,
        const char *group,
        bool critical,
        char ret_why[static PROTO_TEXT_MAX]) {
        _cleanup_(str_buf_done) StrBuf b = { 0 };

        str_buf_printf(&b,
                       "user %u may not %s group %s: ",
                       peer->uid,
                       critical ? "be a critical member of" : "join",
                       group);
        if (startswith(group, CLUSTER_ROOT_GROUPS))
                str_buf_add(&b, "groups named " CLUSTER_ROOT_GROUPS "... are for root");
        else if (!a)
                str_buf_add(&b, "only root may, no [Access] section of cluster.conf being for this group");
        else if (critical)
                add_list(&b, a, "Critical", &a->critical);
        else
                add_list(&b, a, "Join", &a->join);
        (void) snprintf(ret_why, PROTO_TEXT_MAX, "%s", str_buf_text(&b));
}

int access_check(
                const ClusterConf *conf,
                const AccessPeer *peer,
                const char *group,
                bool critical,
                char ret_why[static PROTO_TEXT_MAX]) {
        bool reserved = startswith(group, CLUSTER_ROOT_GROUPS);
        const ClusterAccess *a = conf && !reserved ? cluster_access_find(conf, group) : NULL;

        if (peer->uid == 0)
                return 0;
        if (!reserved) {
                /* Whoever may reset the node by it may join, too. */
                if (a && names(&a->critical, peer))
                        return 0;
                if (!critical && (!a || !a->join.given || names(&a->join, peer)))
                        return 0;
        }
        explain(a, peer, group, critical, ret_why);
        return critical || reserved ? -EPERM : -EACCES;
}

void access_warn_unknown(const ClusterConf *conf) {
        const ClusterAccess *a;
        const ClusterPrincipal *p;
        size_t i = 0;

        while ((p = cluster_access_next_unknown(conf, &i, &a)))
                log_warning("%s:%u: [Access %s] names %s, and this node has no such %s in %s: nobody here "
                            "is "
                            "meant by it until hagcd has read the file anew",
                            conf->file,
                            a->line,
                            a->pattern,
                            p->text,
                            p->group ? "group" : "user",
                            p->group ? "/etc/group" : "/etc/passwd");
}
