/*
 * t/lib/replay.c: main() for the fuzz targets where there is no libFuzzer.
 *
 *   NAME [-r COUNT] DIRECTORY...
 *
 * Feeds every file of the directories to the target, each in memory of exactly
 * its size; then COUNT inputs that are made of pieces of these files and of
 * random bytes, the same ones in every run.  A target that finds something
 * aborts; the input is then in the file `crash` of the working directory.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX (1 << 20)
#define FILES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    uint8_t *data;
    size_t size;
} input_t;

static input_t files[FILES_MAX], current;
static size_t file_count;

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "%s: ", name);
    perror(what);
    exit(1);
}

/* In a signal handler: what the sanitizers and MUST() end with. */
static void keep_current(int sig)
{
    int fd = open("crash", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd >= 0 && write(fd, current.data, current.size) >= 0) {
        close(fd);
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

static void run(const uint8_t *data, size_t size)
{
    current.data = malloc(size ? size : 1);
    current.size = size;
    memcpy(current.data, data, size);
    LLVMFuzzerTestOneInput(current.data, size);
    free(current.data);
}

static void read_file(const char *path)
{
    static uint8_t buffer[INPUT_MAX];
    FILE *f = fopen(path, "rb");
    input_t *in = &files[file_count++];

    if (f == NULL || file_count == FILES_MAX) {
        fail("cannot read it", path);
    }
    in->size = fread(buffer, 1, sizeof buffer, f);
    fclose(f);
    in->data = malloc(in->size + 1);
    memcpy(in->data, buffer, in->size);
}

static void read_directory(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *item;
    char name[4096];

    if (d == NULL) {
        fail("cannot read it", path);
    }
    while ((item = readdir(d)) != NULL) {
        if (item->d_name[0] != '.') {
            snprintf(name, sizeof name, "%s/%s", path, item->d_name);
            read_file(name);
        }
    }
    closedir(d);
}

/* The same order whatever the directory's is. */
static int by_content(const void *a, const void *b)
{
    const input_t *left = a, *right = b;
    size_t n = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->data, right->data, n);

    return order ? order
                 : (left->size > right->size) - (left->size < right->size);
}

static uint32_t below(uint32_t n)
{
    static uint64_t seed = 88172645463325252u;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed * 0x2545F4914F6CDD1Du) >> 33) % n;
}

static size_t random_piece(uint8_t *to)
{
    const input_t *f = &files[below((uint32_t)file_count)];
    size_t at = below((uint32_t)f->size + 1), n = 1 + below(64), i;

    if (below(2)) {
        n = n < f->size - at ? n : f->size - at;
        memcpy(to, f->data + at, n);
        return n;
    }
    n %= 8;
    for (i = 0; i < n; i++) {
        to[i] = (uint8_t)below(256);
    }
    return n;
}

/* The beginning of a file, often, so that the first byte makes sense. */
static void run_random(void)
{
    uint8_t data[1024];
    const input_t *f = &files[below((uint32_t)file_count)];
    size_t size = f->size < 64 ? f->size : 64, pieces = 1 + below(6);

    size = below(4) ? below((uint32_t)size + 1) : 0;
    memcpy(data, f->data, size);
    while (pieces-- > 0) {
        size += random_piece(data + size);
    }
    run(data, size);
}

int main(int argc, char **argv)
{
    long i, count = 0;
    int arg = 1;

    if (argc > 2 && strcmp(argv[1], "-r") == 0) {
        count = atol(argv[2]);
        arg = 3;
    }
    signal(SIGABRT, keep_current);
    for (; arg < argc; arg++) {
        read_directory(argv[arg]);
    }
    if (file_count == 0) {
        fprintf(stderr, "no input\n");
        return 1;
    }
    qsort(files, file_count, sizeof *files, by_content);
    for (i = 0; i < (long)file_count; i++) {
        run(files[i].data, files[i].size);
    }
    for (i = 0; i < count; i++) {
        run_random();
    }
#ifdef __SANITIZE_ADDRESS__
    printf("with AddressSanitizer: ");
#endif
    printf("%zu files, %ld random inputs\n", file_count, count);
    return 0;
}
