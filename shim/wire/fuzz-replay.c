/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Replay: gives a fuzz target its corpus, without a fuzzer, so that what was once found stays
 * found. As replay-NAME it takes the files of $srcdir/compat-tests/corpus/NAME; or else those it is
 * told.
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int replay(const char *path)
{
        FILE *f = fopen(path, "r");
        uint8_t *data = malloc(1 << 20), *exact;
        size_t n;

        if (!f || !data) {
                perror(path);
                exit(EXIT_FAILURE);
        }
        n = fread(data, 1, 1 << 20, f);
        fclose(f);
        exact = malloc(n ? n : 1); /* so that a sanitizer sees a step too far */
        if (!exact)
                exit(EXIT_FAILURE);
        memcpy(exact, data, n);
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
        free(data);
        return 1;
}

static int replay_directory(const char *name)
{
        const char *top = getenv("srcdir");
        struct dirent *entry;
        char path[4096];
        int n = 0;
        DIR *dir;

        snprintf(path, sizeof(path), "%s/compat-tests/corpus/%s", top ? top : ".", name);
        dir = opendir(path);
        if (!dir) {
                perror(path);
                exit(EXIT_FAILURE);
        }
        while ((entry = readdir(dir))) {
                if (entry->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), "%s/compat-tests/corpus/%s/%s", top ? top : ".", name,
                         entry->d_name);
                n += replay(path);
        }
        closedir(dir);
        return n;
}

int main(int argc, char **argv)
{
        const char *name = strstr(argv[0], "replay-");
        int n = 0;

        for (int i = 1; i < argc; i++)
                n += replay(argv[i]);
        if (argc == 1 && name)
                n = replay_directory(name + strlen("replay-"));
        printf("%d inputs\n", n);
        return n ? EXIT_SUCCESS : EXIT_FAILURE;
}
