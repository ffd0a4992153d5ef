/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A target without libFuzzer: takes its seeds and the files of folders, as a test; or writes its seeds out.
 *
 *     replay-x FOLDER...       TAP
 *     replay-x --seeds FOLDER  for libFuzzer to begin with
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

#define INPUT_BYTES_MAX (2U << 20)

/* In memory of exactly its size, so that a step beyond it is seen. */
static void take(const void *data, size_t size_bytes) {
        uint8_t *copy = malloc(size_bytes);

        if (size_bytes > 0) {
                assert(copy);
                memcpy(copy, data, size_bytes);
        }
        (void) LLVMFuzzerTestOneInput(copy, size_bytes);
        free(copy);
}

static void take_seed(FuzzSeeds *s, const void *data, size_t size_bytes) {
        printf("# seed %u\n", s->n);
        take(data, size_bytes);
}

static void write_seed(FuzzSeeds *s, const void *data, size_t size_bytes) {
        char path[PATH_MAX];
        FILE *f;
        bool ok;

        (void) snprintf(path, sizeof(path), "%s/seed-%03u", s->folder, s->n);
        f = fopen(path, "we");
        ok = f && fwrite(data, 1, size_bytes, f) == size_bytes;
        if ((f && fclose(f) != 0) || !ok) {
                (void) fprintf(stderr, "cannot write %s: %m\n", path);
                exit(EXIT_FAILURE);
        }
}

static int take_file(const char *path) {
        static uint8_t data[INPUT_BYTES_MAX];
        FILE *f = fopen(path, "re");
        size_t n;

        if (!f)
                return -errno;
        n = fread(data, 1, sizeof(data), f);
        (void) fclose(f);
        printf("# %s\n", path);
        take(data, n);
        return 0;
}

static int take_folder(const char *folder) {
        struct dirent **names;
        int n = scandir(folder, &names, NULL, alphasort), r = 0, taken = 0;

        if (n < 0)
                return -errno;
        for (int i = 0; i < n; i++) {
                char path[PATH_MAX];

                (void) snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
                if (names[i]->d_name[0] != '.' && r >= 0) {
                        r = take_file(path);
                        taken++;
                }
                free(names[i]);
        }
        free(names);
        return r < 0 ? r : taken;
}

int main(int argc, char *argv[]) {
        FuzzSeeds seeds = { .take = take_seed };
        int n_failed = 0;

        /* Whatever ends us, the input that did it was named. */
        setvbuf(stdout, NULL, _IOLBF, 0);
        if (argc == 3 && streq(argv[1], "--seeds")) {
                seeds = (FuzzSeeds){ .take = write_seed, .folder = argv[2] };
                fuzz_seeds(&seeds);
                return EXIT_SUCCESS;
        }

        printf("1..%d\n", argc);
        fuzz_seeds(&seeds);
        printf("%s 1 - %u seeds\n", seeds.n > 0 ? "ok" : "not ok", seeds.n);
        n_failed += seeds.n == 0;
        for (int i = 1; i < argc; i++) {
                int n = take_folder(argv[i]);

                printf("%s %d - %d inputs of %s\n", n >= 0 ? "ok" : "not ok", i + 1, n, argv[i]);
                n_failed += n < 0;
        }
        return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
