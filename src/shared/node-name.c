/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <limits.h>
#include <stdio.h>

#include "basic/str-buf.h"
#include "shared/file-util.h"
#include "shared/node-name.h"

#define NODE_NAME_FILE_BYTES_MAX 4096U

/* Builds the sentence and returns -ENOENT. */
static int unknown_node(const ClusterConf *conf, const char *whence, const char *name, char **ret_why) {
        _cleanup_(str_buf_done) StrBuf b = {};

        str_buf_printf(&b,
                       "%s \"%s\", but the configuration has no [Node %s]; its nodes are",
                       whence,
                       name,
                       name);
        FOREACH_ARRAY(n, conf->nodes, conf->n_nodes)
                str_buf_printf(&b, "%s %s", n > conf->nodes ? "," : "", n->name);
        str_buf_add(&b, ". Correct one of them, or write the node's name into " NODE_NAME_PATH);

        if (ret_why)
                *ret_why = str_buf_take(&b);
        return -ENOENT;
}

/* The first line of the file, for free(); NULL when there is no file or nothing in it. */
static int read_name(const char *path, char **ret) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = read_whole_file(path, NODE_NAME_FILE_BYTES_MAX, &text, NULL);
        if (r == -ENOENT) {
                *ret = NULL;
                return 0;
        }
        if (r < 0)
                return r;

        text[strcspn(text, " \t\r\n")] = '\0';
        *ret = *text ? TAKE_PTR(text) : NULL;
        return 0;
}

int node_name_resolve(
                const ClusterConf *conf,
                const char *option,
                const char *path,
                const char *host_name,
                const ClusterNode **ret_node,
                char **ret_why) {
        _cleanup_free_ char *written = NULL, *label = NULL;
        const char *whence, *name;
        const ClusterNode *node;
        int r;

        r = option ? 0 : read_name(path, &written);
        if (r < 0) {
                if (ret_why && asprintf(ret_why, "cannot read %s: %s", path, strerrordesc_np(-r)) < 0)
                        *ret_why = NULL;
                return r;
        }

        if (option) {
                whence = "the node was named by --node= as";
                name = option;
        } else if (written) {
                whence = "this node's name was written into " NODE_NAME_PATH " as";
                name = written;
        } else {
                whence = "this machine's host name is";
                name = host_name;
        }

        node = cluster_conf_node_by_name(conf, name);
        if (!node && name == host_name) {
                label = strndup(host_name, strcspn(host_name, "."));
                if (!label)
                        return -ENOMEM;
                node = cluster_conf_node_by_name(conf, label);
        }
        if (!node)
                return unknown_node(conf, whence, name, ret_why);

        *ret_node = node;
        return 0;
}

int node_name_resolve_here(
                const ClusterConf *conf, const char *option, const ClusterNode **ret_node, char **ret_why) {
        char host_name[HOST_NAME_MAX + 1] = "";

        if (gethostname(host_name, sizeof(host_name) - 1) < 0)
                return -errno;

        return node_name_resolve(conf, option, NODE_NAME_PATH, host_name, ret_node, ret_why);
}
