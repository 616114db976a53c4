/*
 * t/fuzz/spool.c: any bytes as the content of a file of the spool, finished
 * (*.lp) and left by a dead writer (*.tmp), read at once and in pieces, of
 * which a part is done, with a new process between them.  Every byte must come
 * back once, in its order: in a whole line, or in *.bad.  What is a line is
 * decided here by another way than in spool.c, byte by byte.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -I. -o fuzz-spool \
 *       t/fuzz/spool.c spool.c && ./fuzz-spool [CORPUS]
 */
#include "deliver/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];
static int logged;

#define MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

/* A name, in memory that four of them share. */
static const char *path(const char *name)
{
    static char text[4][320];
    static unsigned n;
    char *p = text[n++ % 4];

    snprintf(p, sizeof text[0], "%s/%s", dir, name);
    return p;
}

static void remove_dir(void)
{
    MUST(rmdir(dir) == 0);
}

static void make_dir(void)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    snprintf(dir, sizeof dir, "%s/imx-fuzz-spool-XXXXXX", base);
    MUST(mkdtemp(dir) != NULL);
    atexit(remove_dir);
}

static void note_log(void *context, imx_log_level_e level, const char *text)
{
    (void)context;
    MUST(level <= IMX_LOG_DEBUG && strncmp(text, "IMX00", 5) == 0);
    logged++;
}

static void make_file(const char *name, const uint8_t *data, size_t size)
{
    int fd = open(path(name), O_WRONLY | O_CREAT | O_EXCL, 0600);

    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
}

/* The length of the whole line that begins at data, or 0. */
static size_t whole_line(const uint8_t *data, size_t size)
{
    size_t i;

    for (i = 0; i < size && data[i] != '\n'; i++) {
        if (data[i] == 0) {
            return 0;
        }
    }
    if (i == size || i == 0 || data[0] == '#' || data[0] <= 32
        || data[0] == 127) {
        return 0;
    }
    return i + 1;
}

typedef struct {
    const imx_spool_piece_t *file;
    size_t lines; /* of the file, seen so far */
    uint8_t *bad;
    size_t bad_size;
} judge_t;

/* What stands at data; returns how long it is. */
static size_t judge_span(judge_t *j, const uint8_t *data, size_t size)
{
    size_t len = whole_line(data, size);
    const struct iovec *line;

    if (len > 0) {
        MUST(j->lines < j->file->count);
        line = &j->file->lines[j->lines];
        MUST(line->iov_len == len && memcmp(line->iov_base, data, len) == 0);
        j->lines++;
        return len;
    }
    while (len < size && data[len++] != '\n') {
    }
    memcpy(j->bad + j->bad_size, data, len);
    j->bad_size += len;
    return len;
}

/* *.bad has exactly these bytes; it is removed. */
static void check_bad(const char *name, const uint8_t *bad, size_t size)
{
    uint8_t *got = malloc(size + 1);
    int fd = open(path(name), O_RDONLY);

    MUST((fd >= 0) == (size > 0));
    if (size > 0) {
        MUST(read(fd, got, size + 1) == (ssize_t)size);
        MUST(memcmp(got, bad, size) == 0);
        close(fd);
        MUST(unlink(path(name)) == 0);
    }
    free(got);
}

/* name becomes, when it has lines ... ; bad is then where the rest is. */
static void check(const uint8_t *data, size_t size, const char *name,
                  const char *bad, const char *bad_format)
{
    char reason[IMX_SPOOL_REASON_MAX], other[64];
    imx_spool_t *s;
    imx_spool_piece_t file = { NULL, 0 };
    imx_spool_totals_t t;
    judge_t j = { &file, 0, malloc(size + 1), 0 };
    size_t at;
    int got;

    make_file(name, data, size);
    logged = 0;
    MUST(imx_spool_open(&s, dir, 0, NULL, note_log, NULL, reason) == 0);
    got = imx_spool_next(s, 1 << 20, 1 << 20, &file);
    MUST(got == (file.count > 0));
    for (at = 0; at < size; at += judge_span(&j, data + at, size - at)) {
    }
    MUST(j.lines == file.count);
    imx_spool_done(s, file.count);
    MUST(imx_spool_next(s, 1 << 20, 1 << 20, &file) == 0);
    t = imx_spool_totals(s);
    MUST(t.files == 0 && t.lines == 0 && t.found == j.lines + t.lost);
    MUST(logged <= 2);
    snprintf(other, sizeof other, bad_format, (unsigned)j.lines);
    check_bad(j.lines ? other : bad, j.bad, j.bad_size);
    imx_spool_close(s);
    free(j.bad);
}

/* ---- in pieces ---- */

/* Removes what is left, which must all be *.bad; returns its bytes. */
static size_t remove_bad(void)
{
    DIR *d = opendir(dir);
    struct dirent *item;
    struct stat st;
    size_t bytes = 0;

    MUST(d != NULL);
    while ((item = readdir(d)) != NULL) {
        if (item->d_name[0] != '.') {
            MUST(strstr(item->d_name, ".bad") != NULL);
            MUST(stat(path(item->d_name), &st) == 0);
            bytes += (size_t)st.st_size;
            MUST(unlink(path(item->d_name)) == 0);
        }
    }
    closedir(d);
    return bytes;
}

/* The lines of the piece are the next ones of data; returns where they end. */
static size_t judge_piece(const imx_spool_piece_t *piece, size_t count,
                          const uint8_t *data, size_t size, size_t at)
{
    size_t i, len;

    for (i = 0; i < count; i++) {
        while ((len = whole_line(data + at, size - at)) == 0) {
            MUST(at < size);
            while (data[at++] != '\n') {
                MUST(at < size);
            }
        }
        MUST(piece->lines[i].iov_len == len);
        MUST(memcmp(piece->lines[i].iov_base, data + at, len) == 0);
        at += len;
    }
    return at;
}

/*
 * The first bytes say how much is read at once, how much of it is done each
 * time, and how often another process goes on.  A piece without a line ends the
 * reading, as spool.h says: the file is then in *.bad, with what was delivered.
 */
static void check_pieces(const uint8_t *data, size_t size, const char *name)
{
    char reason[IMX_SPOOL_REASON_MAX];
    size_t max_bytes = 8 + data[0] % 64, max_lines = 1 + data[1] % 5;
    size_t part = data[2], at = 0, line_bytes = 0, count, bad;
    imx_spool_t *s = NULL;
    imx_spool_piece_t piece;

    make_file(name, data, size);
    MUST(imx_spool_open(&s, dir, 0, NULL, note_log, NULL, reason) == 0);
    while (imx_spool_next(s, max_bytes, max_lines, &piece) == 1) {
        MUST(piece.count >= 1 && piece.count <= max_lines);
        count = part % 3 ? 1 + part % piece.count : piece.count;
        at = judge_piece(&piece, count, data, size, at);
        while (count-- > 0) {
            line_bytes += piece.lines[count].iov_len;
        }
        imx_spool_done(s, part % 3 ? 1 + part % piece.count : piece.count);
        if (part % 2) {
            imx_spool_close(s);
            MUST(imx_spool_open(&s, dir, 0, NULL, note_log, NULL, reason)
                 == 0);
        }
    }
    MUST(imx_spool_totals(s).lines == 0);
    imx_spool_close(s);
    bad = remove_bad();
    if (bad >= size) { /* the whole file is among them */
        return;
    }
    MUST(bad + line_bytes == size);
    for (; at < size; at += count) { /* there is no other line behind */
        MUST(whole_line(data + at, size - at) == 0);
        for (count = 1; at + count < size && data[at + count - 1] != '\n';
             count++) {
        }
    }
}

#define STEM "1700000000000000000-00000001-"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (dir[0] == '\0') {
        make_dir();
    }
    check(data, size, STEM "000003.lp", STEM "000003.bad", STEM "000003.bad");
    check(data, size, STEM "000003.tmp", STEM "000003.bad", STEM "%06u.bad");
    MUST(access(path(STEM "000003.lp"), F_OK) != 0);
    if (size > 3) {
        check_pieces(data, size, STEM "000003.lp");
    }
    return 0;
}
