/*
 * batch.h: finished lines, from the moment a request ends until InfluxDB has
 * acknowledged them, in memory that all children share.
 *
 * The area (one mapping, at the same address in every process):
 *
 *   header | children[] | segments[] | data of segment 0 | of segment 1 ...
 *
 * There is room for more segments than are used: another size after a graceful
 * restart means another number of segments in use, in the same area (see
 * imx_batch_resize()).  Pages that were never written take no memory.
 *
 *   data of a segment:  line line line ->   free   <- slot[2] slot[1] slot[0]
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
 * Append: a compare-and-swap on the word reserves bytes and a slot, only while
 * the segment is FILLING in the generation that the child took; then the line
 * is copied; then one release store of slot[i] = {generation, length, offset}
 * makes it a line.  A line is whole if and only if its slot carries the
 * segment's generation, so nothing is zeroed and a torn line is never guessed
 * at: a sealed segment's word says how many lines were begun, its slots how
 * many were finished.  The generation has 17 bits; when it wraps, the one who
 * settles clears the slots, so a slot never looks fresher than it is.
 *
 * Why this is right:
 *   - Two writers never share bytes: reservations are totally ordered by the
 *     compare-and-swap on the word.
 *   - A late writer cannot hurt: it reserved before the seal, so its slot is
 *     still missing, so the segment is not taken while its owner lives; and
 *     when the owner is dead there is no writer.
 *   - Every change of state is a compare-and-swap that names the generation,
 *     so one that comes too late fails and changes nothing.
 *   - What a dead process held is found by its number in the table of
 *     children, which is in the word: no moment exists in which a segment
 *     belongs to nobody that can be asked.
 *   - Counts are kept with the segment, twice, in turns: settle writes the
 *     copy of the next generation and then moves the word.  Killed in between,
 *     the old copy counts, and the same lines are counted when they are
 *     settled again.  So  recorded = sent + rejected + dropped + pending
 *     holds at every instant, whoever dies.
 *
 * Every index that is read from the area is checked before it is used: the
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
#include <sys/types.h>

#define IMX_BATCH_NOBODY 0xFFFFu    /* the owner is dead, or there is none */
#define IMX_BATCH_LINE_MAX 8192     /* bytes of a line, LF included */
#define IMX_BATCH_SEGMENT_MIN 16384 /* bytes */
#define IMX_BATCH_SEGMENT_MAX 65536

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
    uint32_t segment_size; /* bytes */
    uint32_t children;     /* entries in the table of children */
    uint32_t room;         /* segments there can be; 0: as many as segments */
} imx_batch_geometry_t;

/* The area as a process sees it; private memory, so that nobody can move the
 * bounds by writing into the area. */
typedef struct {
    struct imx_batch_area *area;
    struct imx_batch_entry *entries;
    struct imx_batch_segment *segments;
    char *data;
    imx_batch_geometry_t geometry;
} imx_batch_t;

/* A child's own view, in its private memory; shared by its threads. */
typedef struct {
    const imx_batch_t *batch;
    uint32_t slot;            /* in the table of children */
    _Atomic uint64_t current; /* the segment being filled */
} imx_batch_child_t;

typedef struct {
    uint64_t recorded; /* the sum of all that follow */
    uint64_t fate[IMX_BATCH_FATES];
    uint64_t no_room;                 /* dropped at once: buffer full */
    uint64_t pending;                 /* in the buffer */
    uint32_t segments, segments_free; /* of those in use */
    uint64_t bytes_used;              /* bytes of lines in the buffer */
} imx_batch_totals_t;

/* A segment that the holder has claimed (SENDING). */
typedef struct {
    uint32_t segment;
    uint64_t word;  /* as it was claimed */
    uint32_t lines; /* slots to look at, torn ones too */
} imx_batch_claim_t;

/* Parent: geometry for a buffer of size bytes and at most children children;
 * returns bytes of memory to get.  A buffer that is too small for the children
 * to have three segments each is made larger: compare *raised with 0. */
size_t imx_batch_plan(size_t size, uint32_t children,
                      imx_batch_geometry_t *geometry, int *raised);

/* Parent: makes room in the geometry for a buffer of up to size bytes, for
 * imx_batch_resize(); returns bytes of address space to get. */
size_t imx_batch_reserve(size_t size, imx_batch_geometry_t *geometry);

/* Parent: makes the area in zeroed shared memory at base (64 bytes aligned; the
 * data, its last room * segment_size bytes, should begin at a page) and fills
 * *b.  Returns 0, or the errno value of making the lease. */
int imx_batch_format(imx_batch_t *b, void *base,
                     const imx_batch_geometry_t *geometry);

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

/* Parent: a new configuration is in force; returns its number (from 1). */
uint32_t imx_batch_new_epoch(const imx_batch_t *b);
uint32_t imx_batch_epoch(const imx_batch_t *b);

/* A child, once, before its threads: enters it in the table.  Returns 0, or -1
 * when the table is full (appends are then dropped and counted). */
int imx_batch_join(imx_batch_child_t *c, const imx_batch_t *b, pid_t pid);

/* A child: says that it is ending.  Appends still work.  Returns 1 when no
 * other living child is left in the table (the caller is to flush). */
int imx_batch_leave(imx_batch_child_t *c);

/* A child that left: is there still no living one?  After a graceful restart
 * one can join when the last of the old ones has left. */
int imx_batch_is_last(const imx_batch_child_t *c);

/* Parent: the child with this pid was reaped.  Async-signal-safe. */
void imx_batch_child_died(const imx_batch_t *b, pid_t pid);

/* Any: entries whose process still exists, other than the caller's. */
unsigned imx_batch_children(const imx_batch_t *b);

/* Any: is a child of this epoch or a later one alive? */
int imx_batch_has_child_since(const imx_batch_t *b, uint32_t epoch);

/*
 * Any: appends a whole line, len bytes with its LF.  Returns 1, or 0 when the
 * line was dropped and counted: no free segment, or len out of range.  No lock,
 * no malloc, no system call; waits for nobody.
 */
int imx_batch_append(imx_batch_child_t *c, const char *line, size_t len);

/* Any: now (ns since 1970) or just after the last time given out, whichever is
 * later: unique for the server.  Follows the clock when it was set back by more
 * than a second. */
int64_t imx_batch_unique_time(const imx_batch_t *b, int64_t now);

/*
 * Monitor threads: tries to get the lease; never waits.  Returns 1 when the
 * calling thread now holds it.  After 1 the caller must call
 * imx_batch_recover().  The kernel gives the lease back when its holder dies.
 * slot: the caller's, for imx_batch_holder().
 */
int imx_batch_lease_take(const imx_batch_t *b, uint32_t slot);
void imx_batch_lease_give(const imx_batch_t *b);
uint32_t imx_batch_holder(const imx_batch_t *b); /* slot, or NOBODY */

/* Holder: what the holder before was sending is to be sent again. */
void imx_batch_recover(const imx_batch_t *b);

/* Holder: salvages what dead children left: those that the parent reported,
 * and with look_for_them also those that no longer exist.  Returns how many. */
unsigned imx_batch_reap(const imx_batch_t *b, int look_for_them);

/* Holder: gives back the memory of free segments that are no longer in use. */
void imx_batch_trim(const imx_batch_t *b);

/* Holder: seals what is being filled, in all children. */
void imx_batch_seal_all(const imx_batch_t *b);

/* Holder: how much is sealed, and how many segments are in use and free. */
typedef struct {
    uint32_t segments, sealed_segments, free_segments;
    uint64_t sealed_bytes, sealed_lines;
} imx_batch_load_t;
imx_batch_load_t imx_batch_load(const imx_batch_t *b);

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

/* Holder: done with a claim; fate says how many of its lines ended how (the
 * rest are torn, whatever fate[IMX_BATCH_TORN] says).  The segment is free
 * again. */
void imx_batch_settle(const imx_batch_t *b, const imx_batch_claim_t *claim,
                      const uint64_t fate[IMX_BATCH_FATES]);

/* Holder: not done with it: back to SEALED. */
void imx_batch_put_back(const imx_batch_t *b, const imx_batch_claim_t *claim);

/* Kinds of trouble of which the log tells at most once a minute. */
typedef enum {
    IMX_BATCH_OUTAGE = 0,
    IMX_BATCH_REFUSED,
    IMX_BATCH_FULL,
    IMX_BATCH_NO_ROOM,
    IMX_BATCH_NO_SPOOL,
    IMX_BATCH_TOO_LARGE,
    IMX_BATCH_NO_SECRET,
    IMX_BATCH_SPOOL_FULL,
    IMX_BATCH_CREATED,
    IMX_BATCH_SPOOL_HANGS,
    IMX_BATCH_REMARK,
    IMX_BATCH_TROUBLES
} imx_batch_trouble_e;

typedef struct {
    int64_t quiet_until; /* ns of the monotonic clock */
    uint64_t count;      /* not yet told of */
} imx_batch_trouble_t;

/*
 * What a holder has learned about when to send, and how much at a time; pace.h
 * has the arithmetic.  All zero: nothing was learned yet.  Times are ns of the
 * monotonic clock.
 */
typedef struct {
    uint64_t target;     /* a hash of the InfluxDB that it was learned of */
    int64_t not_before;  /* no body before that time */
    int64_t failed_at;   /* when a body was not taken for the last time */
    uint64_t backoff_ms; /* upper end of the last random wait, 0: none */
    uint64_t answer_ms;  /* how long InfluxDB took for its last good answer */
    uint64_t fits;       /* bytes of a body: more were too large for it */
    uint64_t passes;     /* bytes of a body that can pass in time */
    uint64_t too_large;  /* the first body that was, 0: the log was told */
    uint64_t told;       /* the limit that the log was told of, 0: none */
    int64_t grow_at;     /* when a larger body than fits is to be tried ... */
    int64_t patience;    /* ... and how long after that the next time */
    uint64_t grew;       /* 1: it was, and there is no answer yet */
    uint64_t created;    /* 1: CREATE DATABASE was carried out, and no points
                            were taken since */
} imx_batch_pace_t;

/*
 * What the holder last told of its delivery: for the status page, and for the
 * next holder, so that an outage is one outage whoever delivers.  Lines in the
 * spool, read before the totals t:
 *   t.fate[IMX_BATCH_SPOOLED] + found - delivered - rejected - dropped
 * Each move of lines shows in one of these words, or in those that one tell
 * publishes together, so the sum holds between any two instructions.
 */
#define IMX_BATCH_ERROR_MAX 256
#define IMX_BATCH_SPOOLS 4

/* The account of one directory of files; backlog_account.h has the
 * arithmetic. */
typedef struct {
    uint64_t id;    /* a hash of its path, 0: it was never opened */
    uint64_t lines; /* that are counted and are to be in its files; not for the
                       one in use, which has what is in no other */
    uint64_t is_known; /* 1: all files that were there have been counted */
    uint64_t is_used;  /* 1: the log was told that another process uses it */
} imx_batch_spool_t;

#define IMX_BATCH_REFUSED_MAX 408
typedef struct {
    int64_t last_flush;       /* ns since 1970, 0: none yet */
    int64_t last_status;      /* HTTP status, 0: no answer */
    uint64_t spool_known;     /* 1: the spool was looked at */
    uint64_t spool_lines;     /* in its files now, */
    uint64_t spool_bytes;     /* and bytes */
    uint64_t spool_twice;     /* of these, counted elsewhere (monitor.c) */
    uint64_t spool_found;     /* lines that were not moved there from here */
    uint64_t spool_delivered; /* lines that left it: InfluxDB has them, */
    uint64_t spool_rejected;  /* refused them, */
    uint64_t spool_dropped;   /* or they are lost */
    imx_batch_spool_t spools[IMX_BATCH_SPOOLS]; /* the one in use, and former
                                                   ones */
    int64_t next_tick;        /* ns, monotonic; 0: none yet */
    int64_t down_since;       /* ns, monotonic; 0: delivery works */
    uint64_t down_lost;       /* lines lost before that */
    uint64_t down_said;       /* 1: the log tells of it, */
    int64_t down_again;       /* and does again at that time, ns, monotonic */
    uint64_t repeated;        /* lines that were sent again, or will be, as
                                 InfluxDB may have them already or not */
    int64_t spool_hangs;      /* ns, monotonic: since when a disk does not
                                 answer; 0: it does */
    uint64_t under_way;       /* lines that InfluxDB has no answer to yet */
    imx_batch_pace_t pace;
    uint64_t no_room_seen;    /* no_room, as far as trouble[] has it */
    imx_batch_trouble_t trouble[IMX_BATCH_TROUBLES];
    char last_error[IMX_BATCH_ERROR_MAX]; /* "": the last one worked */
    char refusal[IMX_BATCH_ERROR_MAX];    /* of the last refused line: why, */
    char refused[IMX_BATCH_REFUSED_MAX];  /* and its begin; "": not known */
} imx_batch_delivery_t;

/* Holder: publishes it.  Any: reads it whole, as it was at one moment; what a
 * writer that was killed had not finished is not seen. */
void imx_batch_tell(const imx_batch_t *b, const imx_batch_delivery_t *d);
imx_batch_delivery_t imx_batch_told(const imx_batch_t *b);

/* Holder: is at work at that time, ns of the monotonic clock.  Any: when it was,
 * 0: never; may the caller say now that it is not?  Once in `quiet` ns. */
void imx_batch_beat(const imx_batch_t *b, int64_t now);
int64_t imx_batch_beaten(const imx_batch_t *b);
int imx_batch_may_say_silent(const imx_batch_t *b, int64_t now, int64_t quiet);

/* Any: when the area was made, ns since 1970; the pid of the child that holds
 * the lease, 0 when there is none. */
int64_t imx_batch_made(const imx_batch_t *b);
pid_t imx_batch_holder_pid(const imx_batch_t *b);

/* Any: a snapshot; exact when nobody appends or settles meanwhile. */
imx_batch_totals_t imx_batch_totals(const imx_batch_t *b);

/* Tests: NULL, or a sentence saying what is wrong with the area.  Nobody may
 * be appending. */
const char *imx_batch_validate(const imx_batch_t *b);

#ifdef IMX_FAULTS
/* Tests: called at named points with the name, to be killed there. */
extern void (*imx_batch_fault)(const char *point);
#endif

#endif
