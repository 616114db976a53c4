/*
 * judge.h: reads a line of InfluxDB line protocol and says what is in it, or
 * what is wrong with it.  The judge of the tests and of the fuzzer: written
 * from InfluxDB's documents, it shares no code and no table with lineproto.c.
 *
 * It is strict: what some InfluxDB takes and another does not is wrong.
 *   - Names and tag values: a backslash before a comma, a space or (not in
 *     measurements) an equals sign is an escape, any other is itself.  An
 *     escape behind another backslash is refused: InfluxDB 1.x reads such
 *     bytes in pairs when it looks for the end of the line, one by one when it
 *     looks for the end of a tag, and so may take the lines that follow for a
 *     part of this one.
 *   - String fields: \" and \\ are escapes; every other backslash is wrong.
 *   - Valid UTF-8; one LF, at the end; a time, always; no unsigned integers.
 */
#ifndef JUDGE_H
#define JUDGE_H

#include <stddef.h>
#include <stdint.h>

#define JUDGE_PARTS_MAX 64

typedef struct {
    const char *bytes;
    size_t len;
} judge_text_t;

typedef struct {
    judge_text_t key, value;
} judge_tag_t;

typedef struct {
    judge_text_t key;
    char type; /* i, f, b or s: what is set below */
    int64_t i;
    double f;
    int b;
    judge_text_t s;
} judge_field_t;

typedef struct {
    judge_text_t measurement;
    size_t tags, fields;
    judge_tag_t tag[JUDGE_PARTS_MAX];
    judge_field_t field[JUDGE_PARTS_MAX];
    int64_t time;
} judge_line_t;

/*
 * Reads the line, len bytes with its LF, into *out.  The texts lie unescaped
 * in scratch, which has room for len bytes.  Returns NULL, or a sentence.
 */
const char *judge_line(judge_line_t *out, const char *line, size_t len,
                       char *scratch);

/* Bytes of the valid UTF-8 sequence at s (n bytes left), else 0. */
size_t judge_utf8(const char *s, size_t n);

#endif
