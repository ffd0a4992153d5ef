/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <sys/stat.h>

#include "shared/config-files.h"
#include "shared/file-util.h"

static int fail(int r, char **ret_why, const char *path, const char *what) {
        g_autofree char *why = g_strdup_printf("%s %s", path, what);

        *ret_why = strdup(why);
        return r;
}

static int fail_errno(int r, char **ret_why, const char *path) {
        g_autofree char *what = g_strconcat("cannot be read: ", strerror(-r), NULL);

        return fail(r, ret_why, path, what);
}

static int load_file(const char *path, const char *name, ConfigFile *ret, char **ret_why) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = read_whole_file(path, CONFIG_FILE_BYTES_MAX, &text, &size);
        if (r == -EFBIG)
                return fail(r, ret_why, path, "is larger than 256 KiB; is it a configuration file?");
        if (r == -EISDIR)
                return fail(r, ret_why, path, "is a folder; a file is meant");
        if (r < 0)
                return fail_errno(r, ret_why, path);
        if (memchr(text, 0, size))
                return fail(-EBADMSG, ret_why, path, "contains a NUL byte; is it a text file?");
        if (!g_utf8_validate(text, (gssize) size, NULL))
                return fail(-EILSEQ, ret_why, path, "is not UTF-8 text");
        *ret = (ConfigFile){ .name = strdup(name), .text = TAKE_PTR(text) };
        return ret->name ? 0 : -ENOMEM;
}

/* A file of the same name takes the place of an earlier one. */
static void put(GArray *files, const ConfigFile *file) {
        for (size_t i = 0; i < files->len; i++) {
                ConfigFile *old = &g_array_index(files, ConfigFile, i);

                if (!streq(old->name, file->name))
                        continue;
                free(old->name);
                free(old->text);
                *old = *file;
                return;
        }
        g_array_append_vals(files, file, 1);
}

static int
load_folder(GArray *files, const char *folder, const char *prefix, const char *suffix, char **ret_why) {
        _cleanup_(names_freep) char **names = NULL;
        size_t n;
        int r;

        r = list_folder(folder, suffix, &names, &n);
        if (r < 0)
                return fail_errno(r, ret_why, folder);
        for (size_t i = 0; i < n; i++) {
                g_autofree char *path = g_build_filename(folder, names[i], NULL);
                g_autofree char *name = g_strconcat(prefix, names[i], NULL);
                ConfigFile file;

                r = load_file(path, name, &file, ret_why);
                if (r < 0)
                        return r;
                put(files, &file);
        }
        return 0;
}

static int load_drop_ins(GArray *files, const char *folder, const char *suffix, char **ret_why) {
        _cleanup_(names_freep) char **names = NULL;
        size_t n;
        int r;

        r = list_folder(folder, suffix, &names, &n);
        if (r < 0)
                return fail_errno(r, ret_why, folder);
        for (size_t i = 0; i < n; i++) {
                g_autofree char *path = g_build_filename(folder, names[i], NULL);
                g_autofree char *prefix = g_strconcat(names[i], "/", NULL);

                r = load_folder(files, path, prefix, ".conf", ret_why);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(((const ConfigFile *) a)->name, ((const ConfigFile *) b)->name);
}

static void file_done(void *p) {
        ConfigFile *f = p;

        free(f->name);
        free(f->text);
}

int config_files_load(const char *folder, const char *vendor_folder, ConfigFiles *ret, char **ret_why) {
        g_autoptr(GArray) files = g_array_new(FALSE, TRUE, sizeof(ConfigFile));
        struct stat st;
        gsize n;
        int r;

        *ret_why = NULL;
        g_array_set_clear_func(files, file_done);
        if (stat(folder, &st) < 0)
                return errno == ENOENT ? fail(-errno,
                                              ret_why,
                                              folder,
                                              "does not exist; name the folder that holds the files")
                                       : fail_errno(-errno, ret_why, folder);
        if (!S_ISDIR(st.st_mode))
                return fail(-ENOTDIR, ret_why, folder, "is no folder; name the folder that holds the files");

        r = vendor_folder ? load_folder(files, vendor_folder, "", ".policy", ret_why) : 0;
        if (r >= 0)
                r = load_folder(files, folder, "", ".policy", ret_why);
        if (r >= 0)
                r = load_drop_ins(files, folder, ".policy.d", ret_why);
        if (r >= 0)
                r = load_folder(files, folder, "", ".group", ret_why);
        if (r >= 0)
                r = load_drop_ins(files, folder, ".group.d", ret_why);
        if (r < 0)
                return r;
        g_array_sort(files, compare_names);
        ret->files = (ConfigFile *) g_array_steal(files, &n);
        ret->n_files = n;
        return 0;
}

void config_files_done(ConfigFiles *c) {
        for (size_t i = 0; i < c->n_files; i++)
                file_done(&c->files[i]);
        g_free(c->files);
        *c = (ConfigFiles){};
}
