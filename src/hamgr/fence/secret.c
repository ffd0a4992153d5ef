/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include <glib.h>

#include "hamgr/fence/secret.h"
#include "shared/file-util.h"
#include "shared/wipe.h"

/* Where systemd puts them for hamgr.service; the environment says so to hamgr itself, and to nobody else. */
#define CREDENTIALS_FOLDER "/run/credentials/hamgr.service"

#define SECRET_LENGTH_MIN 4U

/* mode: the one it must have, or 0: none that lets others look. */
static char *check_secret_file(const char *path, int fd, mode_t mode) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return g_strdup_printf("cannot look at %s: %s", path, g_strerror(errno));
        if (!S_ISREG(st.st_mode))
                return g_strdup_printf("%s is not a regular file", path);
        if (st.st_uid != geteuid())
                return g_strdup_printf("%s belongs to another user; run: chown root: %s", path, path);
        if ((st.st_mode & 0077) != 0)
                return g_strdup_printf(
                                "%s has mode %04o, others could read or change the secret; run: chmod 0600 "
                                "%s",
                                path,
                                st.st_mode & 07777,
                                path);
        if (mode != 0 && (st.st_mode & 07777) != mode)
                return g_strdup_printf(
                                "%s has mode %04o and must have %04o; run: chmod %04o %s",
                                path,
                                st.st_mode & 07777,
                                mode,
                                mode,
                                path);
        return NULL;
}

/* Lines of key=value; blank lines and lines that begin with # mean nothing. */
static char **split_secret(const char *text) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        GPtrArray *kept = g_ptr_array_new();

        for (char **p = lines; *p; p++) {
                char *line = g_strstrip(*p);

                if (line[0] != '\0' && line[0] != '#')
                        g_ptr_array_add(kept, g_strdup(line));
                explicit_bzero(*p, strlen(*p));
        }
        g_ptr_array_add(kept, NULL);
        return (char **) g_ptr_array_free(kept, FALSE);
}

static char *read_secret(const char *path, mode_t mode, char ***ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        _cleanup_free_ char *text = NULL;
        size_t size_bytes;
        int r;

        if (fd < 0)
                return g_strdup_printf(
                                "cannot open %s: %s%s",
                                path,
                                g_strerror(errno),
                                errno == ELOOP ? " (it must not be a symbolic link)" : "");

        char *wrong = check_secret_file(path, fd, mode);
        if (wrong)
                return wrong;

        r = read_whole_fd(fd, FENCE_SECRET_BYTES_MAX, &text, &size_bytes);
        if (r < 0)
                return g_strdup_printf("cannot read %s: %s", path, g_strerror(-r));

        bool has_zero = strlen(text) != size_bytes;
        if (!has_zero)
                *ret = split_secret(text);
        explicit_bzero(text, size_bytes);
        return has_zero ? g_strdup_printf("%s is not a text file", path) : NULL;
}

static char *read_credential(const char *name, char ***ret) {
        const char *folder = getenv("CREDENTIALS_DIRECTORY") ?: CREDENTIALS_FOLDER;
        g_autofree char *path = g_build_filename(folder, name, NULL);

        if (access(path, F_OK) < 0 && errno == ENOENT)
                return g_strdup_printf(
                                "there is no credential %s in %s; hamgr.service needs "
                                "LoadCredential=%s:FILE "
                                "in a drop-in, and has it from its next start on and only while it runs",
                                name,
                                folder,
                                name);
        return read_secret(path, 0, ret);
}

char *fence_secret_read(const ClusterFence *conf, char ***ret) {
        g_autofree char *wrong = NULL;

        *ret = NULL;
        if (conf->credential) {
                wrong = read_credential(conf->credential, ret);
                return wrong ? g_strdup_printf("Credential=: %s", wrong) : NULL;
        }
        if (conf->parameter_file) {
                wrong = read_secret(conf->parameter_file, 0600, ret);
                return wrong ? g_strdup_printf("ParameterFile=: %s", wrong) : NULL;
        }
        return NULL;
}

char **fence_secret_free(char **secret) {
        if (!secret)
                return NULL;
        for (char **p = secret; *p; p++)
                wipe(*p);
        g_free(secret);
        return NULL;
}

void fence_secret_hide(const char *const *secret, char *text) {
        for (; secret && *secret; secret++) {
                const char *value = strchr(*secret, '=');
                size_t length = value ? strlen(++value) : 0;

                if (length < SECRET_LENGTH_MIN || startswith(*secret, "username") ||
                    startswith(*secret, "login="))
                        continue;
                for (char *p = text; (p = strstr(p, value)); p += length)
                        memset(p, '*', length);
        }
}

const char *fence_secret_value(const char *const *secret, const char *key) {
        for (; secret && *secret; secret++) {
                const char *rest = startswith(*secret, key);

                if (rest && *rest == '=')
                        return rest + 1;
        }
        return NULL;
}

const char *fence_secret_value_for(const char *const *secret, const char *key, const char *node) {
        g_autofree char *own = g_strdup_printf("%s.%s", key, node);

        return fence_secret_value(secret, own) ?: fence_secret_value(secret, key);
}

static bool is_key_of_redfish(const ClusterFence *conf, const char *line) {
        static const char *const keys[] = { "username", "password" };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                const char *rest = startswith(line, keys[i]);

                if (!rest)
                        continue;
                if (*rest == '=')
                        return true;
                FOREACH_ARRAY(n, conf->nodes, conf->n_nodes) {
                        const char *node = *rest == '.' ? startswith(rest + 1, n->name) : NULL;

                        if (node && *node == '=')
                                return true;
                }
        }
        return false;
}

char *fence_secret_check_redfish(const ClusterFence *conf, const char *const *secret) {
        const char *where = conf->credential ? "Credential=" : "ParameterFile=";

        for (size_t i = 0; secret && secret[i]; i++)
                if (!is_key_of_redfish(conf, secret[i]))
                        return g_strdup_printf(
                                        "%s: line %zu that counts is neither username= nor password=, nor "
                                        "one "
                                        "of them for a node of this device, such as password.%s=",
                                        where,
                                        i + 1,
                                        conf->n_nodes > 0 ? conf->nodes[0].name : "n1");
        FOREACH_ARRAY(n, conf->nodes, conf->n_nodes) {
                bool has_name = !isempty(fence_secret_value_for(secret, "username", n->name));

                if (!has_name || isempty(fence_secret_value_for(secret, "password", n->name)))
                        return g_strdup_printf(
                                        "%s: there is no %s= for %s",
                                        where,
                                        has_name ? "password" : "username",
                                        n->name);
        }
        return NULL;
}
