/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <arpa/inet.h>
#include <glib.h>

#include "basic/macro.h"
#include "hamgr/drive/proof.h"

#define MOUNTINFO_PATH "/proc/self/mountinfo"

static const struct {
        const char *tag, *folder;
} device_tags[] = {
        { "LABEL=", "/dev/disk/by-label/" },
        { "UUID=", "/dev/disk/by-uuid/" },
        { "PARTLABEL=", "/dev/disk/by-partlabel/" },
        { "PARTUUID=", "/dev/disk/by-partuuid/" },
};

/* udev writes what is not plain in a label as \xNN. */
static char *udev_escape(const char *label) {
        GString *out = g_string_new(NULL);

        for (; *label; label++)
                if (g_ascii_isalnum(*label) || strchr("#+-.:=@_", *label) || (unsigned char) *label >= 0x80)
                        g_string_append_c(out, *label);
                else
                        g_string_append_printf(out, "\\x%02x", (unsigned) (unsigned char) *label);
        return g_string_free(out, FALSE);
}

char *proof_device_path(const char *what) {
        FOREACH_ARRAY(t, device_tags, ELEMENTSOF(device_tags)) {
                const char *label = startswith(what, t->tag);
                g_autofree char *escaped = NULL;

                if (!label)
                        continue;
                escaped = udev_escape(label);
                return g_strconcat(t->folder, escaped, NULL);
        }
        return startswith(what, "/dev/") ? g_strdup(what) : NULL;
}

static dev_t device_number(const char *what) {
        g_autofree char *path = proof_device_path(what);
        struct stat st;

        return path && stat(path, &st) >= 0 && S_ISBLK(st.st_mode) ? st.st_rdev : 0;
}

/* Octal escapes of the kernel: \040 and the like. In place. */
static void unescape_octal(char *s) {
        char *out = s;

        while (*s)
                if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
                    s[3] >= '0' && s[3] <= '7') {
                        *out++ = (char) ((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
                        s += 4;
                } else
                        *out++ = *s++;
        *out = '\0';
}

/* "36 35 98:0 /root /mnt/point options optional... - type source superoptions" */
static int match_line(const char *line, const char *what, const char *where, dev_t device, char **ret_text) {
        g_auto(GStrv) fields = g_strsplit(line, " ", 0);
        size_t n = g_strv_length(fields), dash = 6;
        unsigned major_number, minor_number;
        char *point, *source;

        while (dash < n && !streq(fields[dash], "-"))
                dash++;
        if (dash + 2 >= n || sscanf(fields[2], "%u:%u", &major_number, &minor_number) != 2)
                return 0;
        point = fields[4];
        source = fields[dash + 2];
        unescape_octal(point);
        unescape_octal(source);

        if (!streq(point, where) && !(device != 0 && makedev(major_number, minor_number) == device) &&
            !(what[0] == '/' && streq(source, what)))
                return 0;
        *ret_text = g_strdup_printf("%s is mounted at %s", source, point);
        return 1;
}

int proof_find_mount(
                const char *mountinfo, const char *what, const char *where, dev_t device, char **ret_text) {
        g_auto(GStrv) lines = g_strsplit(mountinfo, "\n", 0);

        for (char **line = lines; *line; line++) {
                int r = match_line(*line, what, where, device, ret_text);

                if (r != 0)
                        return r;
        }
        return 0;
}

int proof_mount(const char *what, const char *where, char **ret_text) {
        g_autofree char *text = NULL;

        if (!g_file_get_contents(MOUNTINFO_PATH, &text, NULL, NULL))
                return -EIO;
        return proof_find_mount(text, what, where, device_number(what), ret_text);
}

int proof_device(const char *what, char **ret_text) {
        g_autofree char *path = proof_device_path(what);
        _cleanup_close_ int fd = -EBADF;

        if (!path || device_number(what) == 0)
                return 0;
        fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 || errno != EBUSY)
                return 0;
        *ret_text = g_strdup_printf(
                        "%s is still in use, it may be mounted in another mount namespace", path);
        return 1;
}

static bool same_address(const struct sockaddr *a, int family, const void *wanted) {
        if (!a || a->sa_family != family)
                return false;
        if (family == AF_INET)
                return memcmp(&((const struct sockaddr_in *) a)->sin_addr, wanted, sizeof(struct in_addr)) ==
                       0;
        return memcmp(&((const struct sockaddr_in6 *) a)->sin6_addr, wanted, sizeof(struct in6_addr)) == 0;
}

static void freeifaddrsp(struct ifaddrs **p) {
        if (*p)
                freeifaddrs(*p);
}

int proof_address(int family, const char *address, char **ret_interface) {
        _cleanup_(freeifaddrsp) struct ifaddrs *all = NULL;
        unsigned char wanted[sizeof(struct in6_addr)];
        int af = family == 6 ? AF_INET6 : AF_INET;

        if (inet_pton(af, address, wanted) != 1)
                return -EINVAL;
        if (getifaddrs(&all) < 0)
                return -errno;
        for (struct ifaddrs *a = all; a; a = a->ifa_next)
                if (same_address(a->ifa_addr, af, wanted)) {
                        *ret_interface = g_strdup(a->ifa_name);
                        return 1;
                }
        return 0;
}
