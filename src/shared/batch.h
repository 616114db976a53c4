/*
 * batch.h: finished lines, from the moment a request ends until InfluxDB has
 * acknowledged them, in memory that all children share.
 *
 * Two parts of the arena: one with a header and the words of each segment, and
 * one with the data, segment by segment.  There is room for more segments than
 * are used: another size after a graceful restart means another number of
 * segments in use, in the same memory (see imx_batch_resize()).  Pages that
 * were never written take no memory, and those that are not needed any more go
 * back to the system (spare.h).  The holder looks at the batch many times
 * a second: that costs what is in it, and does not grow with its size
 * (group.h).
 *
 *   data of a segment:  line line line -> free <- extent 2, extent 1, extent 0
 *
 *   word of a segment (64 bits, all in one compare-and-swap):
 *     state 2 | owner 16 | generation 17 | lines 12 | bytes 17
 *
 *            take (a child)        seal (anyone)        claim (holder)
 *     FREE ---------------> FILLING ------------> SEALED -------------> SENDING
 *      ^                       |  empty             ^   put back (holder)  |
 *      |<----------------------+                    +----------------------+
 *      +--------- generation + 1 <--------------------- settle (holder) ---+
 *
 * Append: a compare-and-swap on the word reserves bytes and an extent, only
 * while the segment is FILLING in the generation that the child took; then the
 * line is written there; then one release store of the extent {generation,
 * number of the line, offset, length} makes it a line.  A line is whole if and
 * only if its extent carries the segment's generation and its own number.  So
 * nothing has to be zeroed: a sealed segment's word says how many lines were
 * begun, its extents how many were finished.  Before its extent is written,
 * there is in its place one of these:
 *   - zero, or an extent of the same line in another generation.  The
 *     generation has 17 bits; when it wraps, the extents are cleared, so that
 *     none looks fresher than it is.
 *   - 8 bytes of lines of an earlier tenure that had fewer and longer ones.
 *     These pass only if 29 bits are by chance the generation and the number,
 *     and what is left of them lies in the segment: about once in 500 million
 *     lines that are torn, or looked at in the microsecond in which they are
 *     written.
 *
 * Why this is right:
 *   - Two writers never share bytes: the compare-and-swap on the word puts
 *     reservations in one order.
 *   - A late writer cannot hurt: it reserved before the seal, so its extent is
 *     still missing, so the segment is not claimed while its owner lives; and
 *     when the owner is dead there is no writer.
 *   - Every change of state is a compare-and-swap that names the generation,
 *     so one that comes too late fails and changes nothing.
 *   - What a dead process held is found by its slot in the table of children,
 *     which is in the word: at no moment does a segment belong to somebody of
 *     whom nobody can ask whether he lives.
 *   - The fates of lines are kept with the segment, twice, in turns: settle
 *     writes the copy of the next generation and then moves the word.  Killed
 *     in between, the old copy counts, and the same lines are counted when they
 *     are settled again.
 *   - A holder that is done with a part of a claim says so in one word, the
 *     segment's progress: how many extents from the first one are done (the
 *     cursor), and how many of them were rejected, dropped or torn.  Who claims
 *     the segment again begins at the cursor.  Settling adds the progress to
 *     the fates, and as the word then has another generation, the progress says
 *     nothing any more.
 *   - Segments whose extents or pages must be cleared go from SENDING with
 *     lines to SENDING without lines (settled), are cleared, and become FREE.
 *     Killed in between, the next holder clears them.
 *   So  recorded = sent + rejected + dropped + torn + spooled + pending  holds
 *   at every instant, whoever dies.
 *
 * Every index that is read from the arena is checked before it is used: the
 * children can write it, and the parent is root.
 *
 * Threads: "any" may be called by any thread of any child; "holder" only by
 * the monitor that holds the lease; "parent" only by httpd's parent.
 */
#ifndef IMX_BATCH_H
#define IMX_BATCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/children.h"

#define IMX_BATCH_VERSION 3
#define IMX_BATCH_NOBODY IMX_CHILDREN_NOBODY /* a segment without an owner */
#define IMX_BATCH_LINE_MAX 8192              /* bytes of a line, LF included */
#define IMX_BATCH_SEGMENT_MIN 16384          /* bytes */
#define IMX_BATCH_SEGMENT_MAX 65536
#define IMX_BATCH_SEGMENTS_AT_ONCE 1024 /* for an append of many lines */

/* What became of a line. */
typedef enum {
    IMX_BATCH_SENT = 0, /* acknowledged by InfluxDB */
    IMX_BATCH_REJECTED, /* refused for good by InfluxDB */
    IMX_BATCH_DROPPED,  /* given up, oldest first */
    IMX_BATCH_SPOOLED,  /* moved to the spool */
    IMX_BATCH_TORN,     /* begun by a child that was killed */
    IMX_BATCH_FATES
} imx_batch_fate_e;

typedef struct {
    uint32_t segments;     /* in use at first */
    uint32_t segment_size; /* bytes, a power of two */
    uint32_t children;     /* rows in the table of children */
    uint32_t room;         /* segments there can be, as many at least */
    uint32_t page;         /* bytes; 0: the system's */
} imx_batch_geometry_t;

/* A process's own view, in its private memory, so that nobody can move the
 * bounds by writing into the arena. */
typedef struct {
    struct imx_batch_part *part;
    struct imx_batch_segment *segments;
    struct imx_batch_refused *refused; /* one for each child */
    _Atomic uint64_t *marks;           /* of groups of segments: group.h */
    char *data;
    const imx_children_t *children; /* of the same arena */
    imx_batch_geometry_t geometry;
} imx_batch_t;

/* A child's own view, in its private memory; shared by its threads. */
typedef struct {
    const imx_batch_t *batch;
    imx_children_self_t self;
    _Atomic uint64_t current; /* the segment being filled */
} imx_batch_child_t;

typedef struct {
    uint64_t recorded; /* the sum of all that follow */
    uint64_t fate[IMX_BATCH_FATES];
    uint64_t no_room;                 /* dropped at once: buffer full */
    uint64_t pending;                 /* in the buffer */
    uint32_t segments, segments_free; /* of those in use */
    uint64_t bytes_used;              /* of segments with pending lines */
} imx_batch_totals_t;

/* What the holder has taken of one sealed segment (SENDING). */
typedef struct {
    uint32_t segment;
    uint64_t word;     /* as it was claimed */
    uint32_t lines;    /* extents, torn ones too */
    uint32_t first;    /* the cursor: those below it are done already */
    uint64_t progress; /* how they ended; imx_batch_advance() keeps it */
} imx_batch_claim_t;

/*
 * Parent: geometry for a buffer of size bytes and at most children children.  A
 * buffer that is too small for the children to have three segments each is made
 * larger: compare *raised with 0.  page: 0, or bytes of a page; segments are
 * whole pages as long as these have at most IMX_BATCH_SEGMENT_MAX bytes.
 */
void imx_batch_plan(size_t size, uint32_t children, uint32_t page,
                    imx_batch_geometry_t *geometry, int *raised);

/* Parent: makes room in the geometry for a buffer of up to size bytes, for
 * imx_batch_resize(). */
void imx_batch_reserve(size_t size, imx_batch_geometry_t *geometry);

/* Parent: bytes of the two parts; makes them in zeroed memory: the words (64
 * bytes aligned) and the data (at a page) of the segments. */
size_t imx_batch_size(const imx_batch_geometry_t *geometry);
size_t imx_batch_data_size(const imx_batch_geometry_t *geometry);
void imx_batch_format(imx_batch_t *b, void *words, void *data,
                      const imx_batch_geometry_t *geometry,
                      const imx_children_t *children);

/*
 * Parent: from now on the buffer has size bytes, or as much as the children
 * need (*raised is then not 0), or as much as there is room for.  Returns how
 * many bytes it has.
 *
 * All that changes is how many segments, from the first one, a child may take;
 * a child that reads the old number meanwhile takes one of the others, which
 * is as good a segment as any.  What is in the others is delivered as before;
 * then, or with imx_batch_trim(), their memory goes back to the system.  So
 * there is one table, one lease, one unique time and one set of counts, however
 * often the size changes and whoever is killed meanwhile.
 */
size_t imx_batch_resize(const imx_batch_t *b, size_t size, int *raised);

/* Any: how many segments are in use. */
uint32_t imx_batch_segments(const imx_batch_t *b);

/* A child, once, before its threads: appends as this process from now on.  A
 * process without a row has its appends dropped and counted. */
void imx_batch_open(imx_batch_child_t *c, const imx_batch_t *b,
                    const imx_children_self_t *self);

/*
 * Any: appends a whole line, len bytes with its LF.  Returns 1, or 0 when the
 * line was dropped and counted: no free segment, or len out of range.  No lock,
 * no malloc, no system call; waits for nobody.
 */
int imx_batch_append(imx_batch_child_t *c, const char *line, size_t len);

/*
 * Any: the same in two steps, for a line whose length is known before it is
 * written: 1 to IMX_BATCH_LINE_MAX bytes.  reserve gives a place for it (bytes
 * NULL: the line was dropped and counted); the caller writes len bytes there,
 * no more, as the next line begins behind them, and publishes it at once: until
 * then the segment is not delivered.  Who dies in between leaves a torn line.
 */
typedef struct {
    char *bytes;
    _Atomic uint64_t *extent; /* where it is made a line ... */
    uint64_t made;            /* ... and by what */
    struct imx_batch_segment *segment;
} imx_batch_place_t;
imx_batch_place_t imx_batch_reserve_line(imx_batch_child_t *c, size_t len);
void imx_batch_publish(const imx_batch_place_t *place);

/* Any: now (ns since 1970) or just after the last time given out, whichever is
 * later: unique for the server.  Follows the clock when it was set back by more
 * than a second.  times: the first of n in a row, n at least 1. */
int64_t imx_batch_unique_time(const imx_batch_t *b, int64_t now);
int64_t imx_batch_unique_times(const imx_batch_t *b, int64_t now, uint32_t n);

typedef enum {
    IMX_BATCH_TAKEN = 0,
    IMX_BATCH_NO_ROOM, /* now; perhaps later */
    IMX_BATCH_TOO_MANY /* for a buffer of this size, or at once */
} imx_batch_many_e;

/*
 * Any: appends many whole lines that stand one behind the other, or none of
 * them; lengths: of each, 1 to IMX_BATCH_LINE_MAX bytes with its LF.  Lines
 * that are not taken are not counted: the caller still has them.  No lock, no
 * malloc, no system call; waits for nobody.
 *
 * All or none, and nothing that was recorded is pushed out for it:
 *   - At least an eighth of the segments stays free, twice as much as the
 *     holder wants before it gives up the oldest lines.  That is looked at
 *     before segments are taken, and again while they are held: of several
 *     callers who looked at the same time, those that find too few then let
 *     theirs go.
 *   - What fits into half a segment goes where requests' lines go, by one
 *     compare-and-swap for all of it.
 *   - For more, all segments that are needed are taken first.  A held segment
 *     is FILLING without a line and current for no thread, so nobody else
 *     appends to it, and nobody seals it, as only one with lines is sealed.
 *     When one is missing, those that are held become free again, unused.
 *   - Then all bytes are copied; still nothing shows.  Then nothing can fail
 *     any more, and each segment gets its lines and is sealed by one
 *     compare-and-swap, and its extents are written.
 *   - Killed before the first of these, the caller has left nothing: the holder
 *     frees a dead child's segments without lines, and there is no extent in
 *     them yet that could pass for one of the next tenure, which has the same
 *     generation.  Killed behind it, within microseconds, a part of the lines
 *     may be there, and torn ones are counted; nobody was told that they were
 *     taken.
 */
imx_batch_many_e imx_batch_append_many(imx_batch_child_t *c, const char *text,
                                       const uint16_t *lengths, size_t lines);

/* Holder: what the holder before was sending is to be sent again, from its
 * cursors on; what it was clearing is cleared. */
void imx_batch_recover(const imx_batch_t *b);

/* Holder: salvages what dead children left: those that the parent reported,
 * and with look_for_them also those that no longer exist.  Returns how many. */
unsigned imx_batch_reap(const imx_batch_t *b, int look_for_them);

/* Holder: gives back the memory of free segments that are no longer in use; of
 * those in from .. to (not included), which may all be taken again. */
void imx_batch_trim(const imx_batch_t *b);
void imx_batch_give_back(const imx_batch_t *b, uint32_t from, uint32_t to);

/* Holder: segments with memory are below this, as the last one has seen it. */
uint32_t imx_batch_backed(const imx_batch_t *b);
void imx_batch_set_backed(const imx_batch_t *b, uint32_t end);

/* Holder: seals what is being filled, in all children. */
void imx_batch_seal_all(const imx_batch_t *b);

/* Holder: how much is sealed and not done, how many segments are in use and
 * free, and from which one on they all are. */
typedef struct {
    uint32_t segments, sealed_segments, free_segments, end;
    uint64_t sealed_bytes, sealed_lines;
} imx_batch_level_t;
imx_batch_level_t imx_batch_level(const imx_batch_t *b);

/* Any: how many segments were ever taken: since a look at the level that many
 * more, at most, are not free. */
uint64_t imx_batch_taken(const imx_batch_t *b);

/* Any: is a segment free?  Without a look at all of them where there is one. */
int imx_batch_has_room(const imx_batch_t *b);

/*
 * Holder: claims up to max of the sealed segments, oldest first, that are
 * complete or whose owner is dead, until they have max_lines lines or
 * max_bytes bytes (at least one).  Returns how many claims it filled in.
 */
size_t imx_batch_claim(const imx_batch_t *b, imx_batch_claim_t *claims,
                       size_t max, uint64_t max_lines, uint64_t max_bytes);

/* Holder: line i of a claim; returns its length, 0 when it is torn.  The bytes
 * stay until the claim is settled. */
size_t imx_batch_line(const imx_batch_t *b, const imx_batch_claim_t *claim,
                      uint32_t i, const char **line);

/*
 * Holder: the claim is done up to extent `cursor` (not included).  Of the lines
 * from claim->first to there, so many were rejected and dropped; torn ones are
 * counted here, and all others are sent.  Moves claim->first to the cursor.
 * One store: it shows whole, or not at all.
 */
void imx_batch_advance(const imx_batch_t *b, imx_batch_claim_t *claim,
                       uint32_t cursor, uint32_t rejected, uint32_t dropped);

/* Holder: done with a claim; fate says how many of its lines from claim->first
 * on ended how (the rest are torn, whatever fate[IMX_BATCH_TORN] says).  The
 * segment is free again. */
void imx_batch_settle(const imx_batch_t *b, const imx_batch_claim_t *claim,
                      const uint64_t fate[IMX_BATCH_FATES]);

/* Holder: not done with it: back to SEALED.  The next claim of it begins where
 * this one has advanced to. */
void imx_batch_put_back(const imx_batch_t *b, const imx_batch_claim_t *claim);

/* Any: a snapshot; exact when nobody appends or settles meanwhile. */
imx_batch_totals_t imx_batch_totals(const imx_batch_t *b);

/* Tests: NULL, or a sentence saying what is wrong with the batch.  Nobody may
 * be appending. */
const char *imx_batch_validate(const imx_batch_t *b);

#endif
