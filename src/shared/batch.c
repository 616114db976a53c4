/*
 * batch.c owns the shared buffer of finished lines and its table of children.
 * Entered by request threads (append, unique time), by the monitor that holds
 * the lease, and by httpd's parent (format, child_died).
 * Everything in the area survives any process; see batch.h for why.
 */
#include "shared/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

/* The word of a segment. */
#define BYTES_BITS 17
#define LINES_BITS 12
#define GENERATION_BITS 17
#define OWNER_BITS 16
#define LINES_SHIFT BYTES_BITS
#define GENERATION_SHIFT (LINES_SHIFT + LINES_BITS)
#define OWNER_SHIFT (GENERATION_SHIFT + GENERATION_BITS)
#define STATE_SHIFT (OWNER_SHIFT + OWNER_BITS)

#define LINES_MAX ((1u << LINES_BITS) - 1)
#define GENERATION_MASK ((1u << GENERATION_BITS) - 1)

enum { FREE = 0, FILLING, SEALED, SENDING };

/* Whose it is, in which state and generation: all but lines and bytes. */
#define TENURE(word) ((word) >> GENERATION_SHIFT)

/* imx_batch_child_t.current: tenure and index of a segment, or NONE. */
#define INDEX_BITS 24
#define NONE UINT64_MAX

enum { EMPTY = 0, JOINING, LIVING, LEAVING };

typedef struct imx_batch_entry {
    _Alignas(64) _Atomic uint32_t pid; /* 0: the entry is free */
    _Atomic uint32_t reaped; /* equal to pid: the parent saw it die */
    _Atomic uint32_t state;
    _Atomic uint32_t epoch;
    _Atomic uint64_t start_time; /* as in /proc/PID/stat; 0: unknown */
    _Atomic uint64_t no_room;    /* lines, since the area was made */
} entry_t;

typedef struct imx_batch_segment {
    _Alignas(64) _Atomic uint64_t word;
    _Atomic uint64_t ticket; /* order in which they were taken */
    _Alignas(64) _Atomic uint64_t fate[2][IMX_BATCH_FATES];
    /* lines, by the generation's last bit */
} segment_t;

#define DELIVERY_WORDS (sizeof(imx_batch_delivery_t) / sizeof(uint64_t))
_Static_assert(sizeof(imx_batch_delivery_t) % sizeof(uint64_t) == 0,
               "copied by words");

struct imx_batch_area {
    int64_t made; /* ns since 1970 */
    _Atomic uint32_t epoch;
    _Atomic uint32_t holder;
    pthread_mutex_t lease;
    _Alignas(64) _Atomic int64_t last_time;
    _Alignas(64) _Atomic uint64_t tickets;
    _Atomic uint32_t look_here; /* a hint: no segment before it is free */
    _Atomic uint32_t any_free;  /* 0: do not even look */
    _Atomic uint32_t in_use;    /* segments that children may take */
    _Atomic uint32_t begun;     /* segments that were ever in use */
    _Atomic uint64_t homeless;  /* lines of children without an entry */
    _Atomic int64_t beat;       /* when the holder was at work */
    _Atomic int64_t silent;     /* when the log was told that it is not */
    _Atomic uint64_t told;      /* its last bit: the delivery to read */
    _Atomic uint64_t delivery[2][DELIVERY_WORDS];
};

#ifdef IMX_FAULTS
void (*imx_batch_fault)(const char *point);
#define FAULT(point) \
    do { \
        if (imx_batch_fault) \
            imx_batch_fault(point); \
    } while (0)
#else
#define FAULT(point) ((void)0)
#endif

static uint64_t load(const _Atomic uint64_t *p)
{
    return atomic_load_explicit(p, memory_order_acquire);
}

static int swap(_Atomic uint64_t *p, uint64_t *expected, uint64_t desired)
{
    return atomic_compare_exchange_strong_explicit(p, expected, desired,
                                                   memory_order_acq_rel,
                                                   memory_order_acquire);
}

static uint64_t make_word(uint64_t state, uint64_t owner, uint64_t generation)
{
    return state << STATE_SHIFT | owner << OWNER_SHIFT
           | (generation & GENERATION_MASK) << GENERATION_SHIFT;
}

static unsigned state_of(uint64_t word)
{
    return (unsigned)(word >> STATE_SHIFT);
}

static uint32_t owner_of(uint64_t word)
{
    return (uint32_t)(word >> OWNER_SHIFT) & 0xFFFFu;
}

static uint32_t generation_of(uint64_t word)
{
    return (uint32_t)(word >> GENERATION_SHIFT) & GENERATION_MASK;
}

static uint32_t lines_of(uint64_t word)
{
    return (uint32_t)(word >> LINES_SHIFT) & LINES_MAX;
}

static uint32_t bytes_of(uint64_t word)
{
    return (uint32_t)word & ((1u << BYTES_BITS) - 1);
}

static uint64_t with_state(uint64_t word, uint64_t state)
{
    return (word & ((UINT64_C(1) << STATE_SHIFT) - 1)) | state << STATE_SHIFT;
}

static uint64_t with_owner(uint64_t word, uint64_t owner)
{
    return (word & ~(UINT64_C(0xFFFF) << OWNER_SHIFT)) | owner << OWNER_SHIFT;
}

static uint64_t freed(uint64_t word)
{
    return make_word(FREE, IMX_BATCH_NOBODY, generation_of(word) + 1);
}

/* Without having been used: the counts stay those of this generation. */
static uint64_t freed_unused(uint64_t word)
{
    return make_word(FREE, IMX_BATCH_NOBODY, generation_of(word));
}

/* Where things are. */
static size_t up_to_64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static entry_t *entry(const imx_batch_t *b, uint32_t i)
{
    return b->entries + i;
}

static segment_t *segment(const imx_batch_t *b, uint32_t i)
{
    return b->segments + i;
}

static char *data_of(const imx_batch_t *b, uint32_t i)
{
    return b->data + (size_t)i * b->geometry.segment_size;
}

static _Atomic uint64_t *slot_of(const imx_batch_t *b, uint32_t i,
                                 uint32_t line)
{
    return (_Atomic uint64_t *)data_of(b, i + 1) - 1 - line;
}

static uint64_t make_slot(uint64_t word, size_t len)
{
    return (uint64_t)generation_of(word) << 34 | (uint64_t)len << 17
           | bytes_of(word);
}

/* The numbers of segments are in memory that any child can write. */
static uint32_t at_most_room(const imx_batch_t *b, const _Atomic uint32_t *p)
{
    uint32_t n = atomic_load(p);

    return n >= 1 && n <= b->geometry.room ? n : b->geometry.room;
}

uint32_t imx_batch_segments(const imx_batch_t *b)
{
    return at_most_room(b, &b->area->in_use);
}

static uint32_t begun(const imx_batch_t *b)
{
    return at_most_room(b, &b->area->begun);
}

/* ---- making the area ---- */

/* What many children need: three segments each. */
static uint32_t least_segments(uint32_t children)
{
    return 3 * children + 16;
}

static size_t memory_of(const imx_batch_geometry_t *g)
{
    return up_to_64(sizeof(struct imx_batch_area))
           + g->children * sizeof(entry_t)
           + g->room * (sizeof(segment_t) + g->segment_size);
}

size_t imx_batch_plan(size_t size, uint32_t children,
                      imx_batch_geometry_t *geometry, int *raised)
{
    size_t segment_size = IMX_BATCH_SEGMENT_MAX;
    size_t segments, least;

    if (children > 16000) {
        children = 16000;
    }
    least = least_segments(children);
    while (segment_size > IMX_BATCH_SEGMENT_MIN
           && size / segment_size < 4 * least) {
        segment_size /= 2;
    }
    segments = size / segment_size;
    if (segments >= 1u << INDEX_BITS) {
        segments = (1u << INDEX_BITS) - 1;
    }
    *raised = segments < least;
    geometry->segments = (uint32_t)(*raised ? least : segments);
    geometry->segment_size = (uint32_t)segment_size;
    geometry->room = geometry->segments;
    /* While children of two generations overlap, and until the dead are
     * salvaged, there are more entries than children. */
    geometry->children = 2 * children + 16;
    return memory_of(geometry);
}

size_t imx_batch_reserve(size_t size, imx_batch_geometry_t *geometry)
{
    size_t room = size / geometry->segment_size;

    if (room >= 1u << INDEX_BITS) {
        room = (1u << INDEX_BITS) - 1;
    }
    if (room > geometry->room) {
        geometry->room = (uint32_t)room;
    }
    return memory_of(geometry);
}

static int make_lease(pthread_mutex_t *lease)
{
    pthread_mutexattr_t attr;
    int rv = pthread_mutexattr_init(&attr);

    if (rv != 0) {
        return rv;
    }
    rv = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    if (rv == 0) {
        rv = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    }
    if (rv == 0) {
        rv = pthread_mutex_init(lease, &attr);
    }
    pthread_mutexattr_destroy(&attr);
    return rv;
}

/* Only the parent gets here, so nobody else makes them meanwhile. */
static void begin_segments(const imx_batch_t *b, uint32_t n)
{
    uint32_t i;

    for (i = atomic_load(&b->area->begun); i < n; i++) {
        /* Generation 1: the zeroed slots are of generation 0. */
        atomic_store(&segment(b, i)->word,
                     make_word(FREE, IMX_BATCH_NOBODY, 1));
    }
    if (i > atomic_load(&b->area->begun)) {
        atomic_store(&b->area->begun, i);
    }
}

int imx_batch_format(imx_batch_t *b, void *base,
                     const imx_batch_geometry_t *geometry)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    b->area = base;
    b->area->made = now.tv_sec * SECOND + now.tv_nsec;
    b->entries = (entry_t *)((char *)base + up_to_64(sizeof *b->area));
    b->geometry = *geometry;
    if (b->geometry.room < geometry->segments) {
        b->geometry.room = geometry->segments;
    }
    b->segments = (segment_t *)(b->entries + geometry->children);
    b->data = (char *)(b->segments + b->geometry.room);
    atomic_store(&b->area->holder, IMX_BATCH_NOBODY);
    atomic_store(&b->area->any_free, 1);
    begin_segments(b, geometry->segments);
    atomic_store(&b->area->in_use, geometry->segments);
    return make_lease(&b->area->lease);
}

size_t imx_batch_resize(const imx_batch_t *b, size_t size, int *raised)
{
    const imx_batch_geometry_t *g = &b->geometry;
    size_t least = least_segments(
        g->children > 16 ? (g->children - 16) / 2 : 0);
    size_t n = size / g->segment_size;

    *raised = n < least;
    n = *raised ? least : n;
    n = n < g->room ? n : g->room;
    begin_segments(b, (uint32_t)n);
    atomic_store(&b->area->in_use, (uint32_t)n);
    atomic_store(&b->area->any_free, 1);
    return n * g->segment_size;
}

uint32_t imx_batch_new_epoch(const imx_batch_t *b)
{
    return atomic_fetch_add(&b->area->epoch, 1) + 1;
}

uint32_t imx_batch_epoch(const imx_batch_t *b)
{
    return atomic_load(&b->area->epoch);
}

/* ---- the table of children ---- */

/*
 * Fields of /proc/PID/stat behind the command's name: state (1st), threads
 * (18th), start time (20th), proc(5).  Returns 0 when it cannot be read.
 */
static int read_stat(pid_t pid, char *state, long *threads, uint64_t *start)
{
    char path[32], text[1024];
    unsigned long long started;
    const char *p;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    p = strrchr(text, ')');
    if (p == NULL
        || sscanf(p + 1,
                  " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u"
                  " %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu",
                  state, threads, &started)
               != 3) {
        return 0;
    }
    *start = started;
    return 1;
}

static uint64_t start_time_of(pid_t pid)
{
    char state;
    long threads;
    uint64_t start;

    return read_stat(pid, &state, &threads, &start) ? start : 0;
}

/*
 * No thread of the process can run any more.  The parent need not have reaped
 * it (prefork's graceful stop never does): a zombie without further threads is
 * as dead.
 */
static int is_gone(pid_t pid, uint64_t expected_start)
{
    char state;
    long threads;
    uint64_t start;

    if (kill(pid, 0) != 0 && errno == ESRCH) {
        return 1;
    }
    if (!read_stat(pid, &state, &threads, &start)) {
        return 0; /* no /proc here (ChrootDir): be careful */
    }
    if (expected_start != 0 && start != expected_start) {
        return 1;
    }
    return (state == 'Z' || state == 'X') && threads <= 1;
}

/* Segment i became free. */
static void look_from(const imx_batch_t *b, uint32_t i)
{
    _Atomic uint32_t *p = &b->area->look_here;
    uint32_t seen = atomic_load_explicit(p, memory_order_relaxed);

    while (i < seen
           && !atomic_compare_exchange_weak_explicit(p, &seen, i,
                                                     memory_order_relaxed,
                                                     memory_order_relaxed)) {
    }
}

/* The dead child's segments are nobody's; then its entry is free. */
static void salvage(const imx_batch_t *b, uint32_t slot)
{
    entry_t *e = entry(b, slot);
    uint32_t n = begun(b), i;

    for (i = 0; i < n; i++) {
        _Atomic uint64_t *p = &segment(b, i)->word;
        uint64_t word = load(p), next;

        do {
            if (owner_of(word) != slot
                || (state_of(word) != FILLING && state_of(word) != SEALED)) {
                break;
            }
            next = with_owner(with_state(word, SEALED), IMX_BATCH_NOBODY);
            if (lines_of(word) == 0) {
                next = freed_unused(word);
            }
        } while (!swap(p, &word, next));
        if (state_of(load(p)) == FREE) {
            look_from(b, i);
        }
    }
    FAULT("salvaged");
    atomic_store(&e->state, EMPTY);
    atomic_store(&e->start_time, 0);
    atomic_store(&e->reaped, 0);
    atomic_store(&b->area->any_free, 1);
    atomic_store(&e->pid, 0);
}

unsigned imx_batch_reap(const imx_batch_t *b, int look_for_them)
{
    unsigned found = 0;
    uint32_t i;

    for (i = 0; i < b->geometry.children; i++) {
        entry_t *e = entry(b, i);
        uint32_t pid = atomic_load(&e->pid);

        if (pid != 0
            && (atomic_load(&e->reaped) == pid
                || (look_for_them
                    && is_gone((pid_t)pid, atomic_load(&e->start_time))))) {
            salvage(b, i);
            found++;
        }
    }
    return found;
}

static int enter(imx_batch_child_t *c, pid_t pid)
{
    const imx_batch_t *b = c->batch;
    uint32_t i;

    for (i = 0; i < b->geometry.children; i++) {
        entry_t *e = entry(b, i);
        uint32_t none = 0;

        if (atomic_compare_exchange_strong(&e->pid, &none, (uint32_t)pid)) {
            atomic_store(&e->state, JOINING);
            atomic_store(&e->start_time, start_time_of(pid));
            atomic_store(&e->epoch, atomic_load(&b->area->epoch));
            atomic_store(&e->state, LIVING);
            c->slot = i;
            return 0;
        }
    }
    return -1;
}

int imx_batch_join(imx_batch_child_t *c, const imx_batch_t *b, pid_t pid)
{
    c->batch = b;
    c->slot = IMX_BATCH_NOBODY;
    atomic_store(&c->current, NONE);
    return enter(c, pid);
}

int imx_batch_leave(imx_batch_child_t *c)
{
    if (c->slot != IMX_BATCH_NOBODY) {
        atomic_store(&entry(c->batch, c->slot)->state, LEAVING);
    }
    return imx_batch_is_last(c);
}

int imx_batch_is_last(const imx_batch_child_t *c)
{
    const imx_batch_t *b = c->batch;
    uint32_t i;

    for (i = 0; i < b->geometry.children; i++) {
        entry_t *e = entry(b, i);
        uint32_t pid = atomic_load(&e->pid);
        uint32_t state = atomic_load(&e->state);

        if (pid != 0 && (state == LIVING || state == JOINING)
            && !is_gone((pid_t)pid, atomic_load(&e->start_time))) {
            return 0;
        }
    }
    return 1;
}

void imx_batch_child_died(const imx_batch_t *b, pid_t pid)
{
    uint32_t i;

    for (i = 0; i < b->geometry.children; i++) {
        if (atomic_load(&entry(b, i)->pid) == (uint32_t)pid) {
            atomic_store(&entry(b, i)->reaped, (uint32_t)pid);
        }
    }
}

unsigned imx_batch_children(const imx_batch_t *b)
{
    unsigned count = 0;
    uint32_t i;

    for (i = 0; i < b->geometry.children; i++) {
        entry_t *e = entry(b, i);
        uint32_t pid = atomic_load(&e->pid);

        count += pid != 0 && (pid_t)pid != getpid()
                 && !is_gone((pid_t)pid, atomic_load(&e->start_time));
    }
    return count;
}

int imx_batch_has_child_since(const imx_batch_t *b, uint32_t epoch)
{
    uint32_t i;

    for (i = 0; i < b->geometry.children; i++) {
        entry_t *e = entry(b, i);
        uint32_t pid = atomic_load(&e->pid);

        if (pid != 0 && atomic_load(&e->state) == LIVING
            && atomic_load(&e->epoch) >= epoch
            && !is_gone((pid_t)pid, atomic_load(&e->start_time))) {
            return 1;
        }
    }
    return 0;
}

/* ---- appending ---- */

static uint32_t index_of(uint64_t current)
{
    return (uint32_t)current & ((1u << INDEX_BITS) - 1);
}

/* FILLING -> SEALED if the segment is still in that tenure. */
static void seal(const imx_batch_t *b, uint32_t i, uint64_t tenure)
{
    _Atomic uint64_t *p = &segment(b, i)->word;
    uint64_t word = load(p);

    while (TENURE(word) == tenure
           && !swap(p, &word, with_state(word, SEALED))) {
    }
}

/*
 * FREE -> FILLING for this child; NONE when there is no free segment.  Low ones
 * first, so that memory which was never needed is never touched: it would stay
 * the server's for good.
 */
static uint64_t take_free(imx_batch_child_t *c)
{
    const imx_batch_t *b = c->batch;
    uint32_t n = imx_batch_segments(b), tried, i, hint;

    if (!atomic_load_explicit(&b->area->any_free, memory_order_relaxed)) {
        return NONE;
    }
    hint = atomic_load_explicit(&b->area->look_here, memory_order_relaxed);
    i = hint % n;
    for (tried = 0; tried < n; tried++) {
        segment_t *s = segment(b, i);
        uint64_t word = load(&s->word), mine;

        mine = make_word(FILLING, c->slot, generation_of(word));
        if (state_of(word) == FREE && swap(&s->word, &word, mine)) {
            FAULT("taken");
            atomic_store(&s->ticket, atomic_fetch_add(&b->area->tickets, 1));
            /* Not when a lower one became free meanwhile. */
            atomic_compare_exchange_strong_explicit(&b->area->look_here, &hint,
                                                    i + 1,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed);
            return TENURE(mine) << INDEX_BITS | i;
        }
        i = i + 1 < n ? i + 1 : 0;
    }
    atomic_store_explicit(&b->area->any_free, 0, memory_order_relaxed);
    return NONE;
}

static void give_back_unused(const imx_batch_t *b, uint64_t current)
{
    uint32_t i = index_of(current);
    uint64_t word = (current >> INDEX_BITS) << GENERATION_SHIFT;

    if (swap(&segment(b, i)->word, &word, freed_unused(word))) {
        look_from(b, i);
    }
}

/*
 * The segment `seen` has no room, or is not ours any more: seals it and makes
 * another one current.  Several threads of the child may be here; one wins,
 * the others use what it took.  Returns 0 when there is no free segment.
 */
static int next_segment(imx_batch_child_t *c, uint64_t seen)
{
    uint64_t taken;

    if (load(&c->current) != seen) {
        return 1;
    }
    if (seen != NONE) {
        seal(c->batch, index_of(seen), seen >> INDEX_BITS);
        FAULT("sealed");
    }
    taken = take_free(c);
    if (taken == NONE) {
        return load(&c->current) != seen;
    }
    if (!swap(&c->current, &seen, taken)) {
        give_back_unused(c->batch, taken);
    }
    return 1;
}

/*
 * Appends to segment i while it is in the tenure; 0 when it has no room.
 * Inline: this is on every request's way.
 */
static inline __attribute__((always_inline)) int append_to(
    const imx_batch_t *b, uint32_t i, uint64_t tenure, const char *line,
    size_t len)
{
    const int64_t size = b->geometry.segment_size;
    _Atomic uint64_t *p = &segment(b, i)->word;
    uint64_t word = load(p);
    int64_t below; /* where this line's slot begins; a hostile
                                   word may make it negative */
    char *data;

    do {
        below = size - (lines_of(word) + 1) * (int64_t)sizeof(uint64_t);
        if (TENURE(word) != tenure || lines_of(word) == LINES_MAX
            || bytes_of(word) + (int64_t)len > below) {
            return 0;
        }
    } while (!swap(p, &word, word + (UINT64_C(1) << LINES_SHIFT) + len));
    FAULT("reserved");
    data = b->data + i * size;
    memcpy(data + bytes_of(word), line, len);
    FAULT("copied");
    atomic_store_explicit((_Atomic uint64_t *)(data + below),
                          make_slot(word, len), memory_order_release);
    return 1;
}

static int drop(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return 0;
}

/* Out of the way of the usual append: with another segment, or not at all. */
__attribute__((noinline, cold)) static int append_elsewhere(
    imx_batch_child_t *c, const char *line, size_t len)
{
    const imx_batch_t *b = c->batch;
    uint64_t current = load(&c->current);

    if (c->slot == IMX_BATCH_NOBODY || len == 0 || len > IMX_BATCH_LINE_MAX) {
        return drop(&b->area->homeless);
    }
    while (current == NONE
           || !append_to(b, index_of(current), current >> INDEX_BITS, line,
                         len)) {
        if (!next_segment(c, current)) {
            return drop(&entry(b, c->slot)->no_room);
        }
        current = load(&c->current);
    }
    return 1;
}

int imx_batch_append(imx_batch_child_t *c, const char *line, size_t len)
{
    uint64_t current = load(&c->current);

    if (current != NONE && len - 1 < IMX_BATCH_LINE_MAX
        && append_to(c->batch, index_of(current), current >> INDEX_BITS, line,
                     len)) {
        return 1;
    }
    return append_elsewhere(c, line, len);
}

int64_t imx_batch_unique_time(const imx_batch_t *b, int64_t now)
{
    int64_t last = atomic_load_explicit(&b->area->last_time,
                                        memory_order_relaxed);
    int64_t unique;

    do {
        unique = now > last || last - now > SECOND ? now : last + 1;
    } while (
        !atomic_compare_exchange_weak_explicit(&b->area->last_time, &last,
                                               unique, memory_order_relaxed,
                                               memory_order_relaxed));
    return unique;
}

/* ---- the lease ---- */

int imx_batch_lease_take(const imx_batch_t *b, uint32_t slot)
{
    int rv = pthread_mutex_trylock(&b->area->lease);

    if (rv == EOWNERDEAD) {
        rv = pthread_mutex_consistent(&b->area->lease);
    }
    if (rv == 0) {
        atomic_store(&b->area->holder, slot);
    }
    return rv == 0;
}

void imx_batch_lease_give(const imx_batch_t *b)
{
    atomic_store(&b->area->holder, IMX_BATCH_NOBODY);
    pthread_mutex_unlock(&b->area->lease);
}

uint32_t imx_batch_holder(const imx_batch_t *b)
{
    return atomic_load(&b->area->holder);
}

/* ---- the holder's work ---- */

void imx_batch_recover(const imx_batch_t *b)
{
    uint32_t n = begun(b), i;

    for (i = 0; i < n; i++) {
        uint64_t word = load(&segment(b, i)->word);

        if (state_of(word) == SENDING) {
            swap(&segment(b, i)->word, &word, with_state(word, SEALED));
        }
    }
}

void imx_batch_seal_all(const imx_batch_t *b)
{
    uint32_t n = begun(b), i;

    for (i = 0; i < n; i++) {
        uint64_t word = load(&segment(b, i)->word);

        if (state_of(word) == FILLING && lines_of(word) > 0) {
            seal(b, i, TENURE(word));
        }
    }
}

imx_batch_load_t imx_batch_load(const imx_batch_t *b)
{
    imx_batch_load_t sum = { imx_batch_segments(b), 0, 0, 0, 0 };
    uint32_t n = begun(b), i;

    for (i = 0; i < n; i++) {
        uint64_t word = load(&segment(b, i)->word);

        if (state_of(word) == SEALED) {
            sum.sealed_segments++;
            sum.sealed_lines += lines_of(word);
            sum.sealed_bytes += bytes_of(word);
        }
        sum.free_segments += state_of(word) == FREE && i < sum.segments;
    }
    if (sum.free_segments > 0) {
        atomic_store_explicit(&b->area->any_free, 1, memory_order_relaxed);
    }
    return sum;
}

/* The slots are in memory that any child can write: a line outside the data
 * of its segment is no line. */
size_t imx_batch_line(const imx_batch_t *b, const imx_batch_claim_t *claim,
                      uint32_t i, const char **line)
{
    uint64_t slot = load(slot_of(b, claim->segment, i));
    size_t len = (slot >> 17) & ((1u << 17) - 1);
    size_t offset = slot & ((1u << 17) - 1);

    if (slot >> 34 != generation_of(claim->word)
        || offset + len > bytes_of(claim->word)) {
        return 0;
    }
    *line = data_of(b, claim->segment) + offset;
    return len;
}

/* How many slots there are to look at: never more than the segment holds. */
static uint32_t clamped_lines(const imx_batch_t *b, uint64_t word)
{
    uint32_t most = b->geometry.segment_size / (uint32_t)sizeof(uint64_t);

    return lines_of(word) < most ? lines_of(word) : most;
}

static int is_sane(const imx_batch_t *b, uint64_t word)
{
    return bytes_of(word) + lines_of(word) * sizeof(uint64_t)
           <= b->geometry.segment_size;
}

static int is_complete(const imx_batch_t *b, const imx_batch_claim_t *claim)
{
    const char *line;
    uint32_t i;

    for (i = 0; i < claim->lines; i++) {
        if (imx_batch_line(b, claim, i, &line) == 0) {
            return 0;
        }
    }
    return 1;
}

/* A sealed segment that may be taken: SEALED -> SENDING. */
static int claim_one(const imx_batch_t *b, imx_batch_claim_t *claim,
                     uint32_t i)
{
    uint64_t word = load(&segment(b, i)->word);

    if (state_of(word) != SEALED) {
        return 0;
    }
    claim->segment = i;
    claim->word = with_state(word, SENDING);
    claim->lines = is_sane(b, word) ? clamped_lines(b, word) : 0;
    if (owner_of(word) != IMX_BATCH_NOBODY && !is_complete(b, claim)) {
        return 0;
    }
    return swap(&segment(b, i)->word, &word, claim->word);
}

typedef struct {
    uint64_t ticket;
    uint32_t segment;
} queued_t;

static int by_ticket(const void *a, const void *b)
{
    const queued_t *left = a, *right = b;

    return (left->ticket > right->ticket) - (left->ticket < right->ticket);
}

size_t imx_batch_claim(const imx_batch_t *b, imx_batch_claim_t *claims,
                       size_t max, uint64_t max_lines, uint64_t max_bytes)
{
    uint32_t n = begun(b), i;
    queued_t *queue = malloc(n * sizeof *queue);
    uint64_t lines = 0, bytes = 0;
    size_t queued = 0, claimed = 0, next;

    if (queue == NULL) {
        return 0;
    }
    for (i = 0; i < n; i++) {
        if (state_of(load(&segment(b, i)->word)) == SEALED) {
            queue[queued].segment = i;
            queue[queued++].ticket = load(&segment(b, i)->ticket);
        }
    }
    qsort(queue, queued, sizeof *queue, by_ticket);
    for (next = 0; next < queued && claimed < max && lines < max_lines
                   && bytes < max_bytes;
         next++) {
        if (claim_one(b, &claims[claimed], queue[next].segment)) {
            lines += claims[claimed].lines;
            bytes += bytes_of(claims[claimed].word);
            claimed++;
        }
    }
    free(queue);
    return claimed;
}

/*
 * The segment is SENDING, so nobody writes to it.  Its slots read as zero
 * afterwards: length 0, which is no line in any generation.  The kernel would
 * round up to whole pages, and take its neighbour's data.
 */
static void give_memory_back(const imx_batch_t *b, uint32_t i)
{
    const size_t size = b->geometry.segment_size;
    const long page = sysconf(_SC_PAGESIZE);

    if (page > 0 && size % (size_t)page == 0) {
        madvise(data_of(b, i), size, MADV_REMOVE);
    }
}

/* SENDING in between: when the holder dies there, the next one settles it. */
void imx_batch_trim(const imx_batch_t *b)
{
    uint32_t n = begun(b), i;

    for (i = imx_batch_segments(b); i < n; i++) {
        _Atomic uint64_t *p = &segment(b, i)->word;
        uint64_t word = load(p);
        uint64_t mine = with_state(word, SENDING);

        if (state_of(word) == FREE && swap(p, &word, mine)) {
            give_memory_back(b, i);
            FAULT("trimmed");
            swap(p, &mine, freed_unused(mine));
        }
    }
}

void imx_batch_settle(const imx_batch_t *b, const imx_batch_claim_t *claim,
                      const uint64_t fate[IMX_BATCH_FATES])
{
    segment_t *s = segment(b, claim->segment);
    uint64_t word = claim->word;
    uint64_t torn = lines_of(word);
    unsigned now = generation_of(word) & 1;
    int i;

    for (i = 0; i < IMX_BATCH_TORN; i++) {
        atomic_store(&s->fate[!now][i], load(&s->fate[now][i]) + fate[i]);
        torn -= fate[i];
    }
    atomic_store(&s->fate[!now][i], load(&s->fate[now][i]) + torn);
    if (generation_of(word) == GENERATION_MASK) {
        memset(data_of(b, claim->segment), 0xFF, b->geometry.segment_size);
    }
    if (claim->segment >= imx_batch_segments(b)) {
        give_memory_back(b, claim->segment);
    }
    FAULT("counted");
    if (swap(&s->word, &word, freed(word))) {
        look_from(b, claim->segment);
        atomic_store_explicit(&b->area->any_free, 1, memory_order_relaxed);
    }
}

void imx_batch_put_back(const imx_batch_t *b, const imx_batch_claim_t *claim)
{
    uint64_t word = claim->word;

    swap(&segment(b, claim->segment)->word, &word, with_state(word, SEALED));
}

/* ---- figures ---- */

/* The counts that go with the word: read again when it moved meanwhile, but not
 * for ever, as the parent reads, too.  Returns whether it is free. */
static int add_segment(imx_batch_totals_t *t, const segment_t *s)
{
    uint64_t fate[IMX_BATCH_FATES];
    uint64_t word = load(&s->word), before;
    int i, tries = 0;

    do {
        before = word;
        for (i = 0; i < IMX_BATCH_FATES; i++) {
            fate[i] = load(&s->fate[generation_of(word) & 1][i]);
        }
        word = load(&s->word);
    } while (generation_of(word) != generation_of(before) && ++tries < 1000);
    for (i = 0; i < IMX_BATCH_FATES; i++) {
        t->fate[i] += fate[i];
        t->recorded += fate[i];
    }
    t->pending += lines_of(word);
    t->bytes_used += bytes_of(word);
    return state_of(word) == FREE;
}

imx_batch_totals_t imx_batch_totals(const imx_batch_t *b)
{
    imx_batch_totals_t t = { 0 };
    uint32_t n = begun(b), i;

    t.segments = imx_batch_segments(b);
    for (i = 0; i < n; i++) {
        t.segments_free += add_segment(&t, segment(b, i)) && i < t.segments;
    }
    t.no_room = load(&b->area->homeless);
    for (i = 0; i < b->geometry.children; i++) {
        t.no_room += load(&entry(b, i)->no_room);
    }
    t.recorded += t.no_room + t.pending;
    return t;
}

int64_t imx_batch_made(const imx_batch_t *b)
{
    return b->area->made;
}

pid_t imx_batch_holder_pid(const imx_batch_t *b)
{
    uint32_t slot = imx_batch_holder(b);

    return slot < b->geometry.children
               ? (pid_t)atomic_load(&entry(b, slot)->pid)
               : 0;
}

/*
 * One writer, the holder, fills the copy that is not read, and then turns.  Of
 * a writer that was killed in between, the copy that is read tells nothing.
 */
void imx_batch_tell(const imx_batch_t *b, const imx_batch_delivery_t *d)
{
    uint64_t words[DELIVERY_WORDS], turn = load(&b->area->told) + 1;
    size_t i;

    memcpy(words, d, sizeof words);
    for (i = 0; i < DELIVERY_WORDS; i++) {
        atomic_store(&b->area->delivery[turn & 1][i], words[i]);
        FAULT("tell");
    }
    FAULT("told");
    atomic_store(&b->area->told, turn);
    FAULT("turned");
}

/* Read again when the holder has turned meanwhile; it does so a few times a
 * second, so a reader that never comes to an end has been played a trick. */
imx_batch_delivery_t imx_batch_told(const imx_batch_t *b)
{
    imx_batch_delivery_t d;
    uint64_t words[DELIVERY_WORDS], turn;
    int tries = 0;
    size_t i;

    do {
        turn = load(&b->area->told);
        for (i = 0; i < DELIVERY_WORDS; i++) {
            words[i] = load(&b->area->delivery[turn & 1][i]);
        }
    } while (load(&b->area->told) != turn && ++tries < 1000);
    memcpy(&d, words, sizeof d);
    d.last_error[sizeof d.last_error - 1] = '\0';
    d.refusal[sizeof d.refusal - 1] = '\0';
    d.refused[sizeof d.refused - 1] = '\0';
    return d;
}

void imx_batch_beat(const imx_batch_t *b, int64_t now)
{
    atomic_store(&b->area->beat, now);
}

int64_t imx_batch_beaten(const imx_batch_t *b)
{
    return atomic_load(&b->area->beat);
}

int imx_batch_may_say_silent(const imx_batch_t *b, int64_t now, int64_t quiet)
{
    int64_t last = atomic_load(&b->area->silent);

    if (last != 0 && last <= now && now - last < quiet) {
        return 0;
    }
    return atomic_compare_exchange_strong(&b->area->silent, &last, now);
}

/* ---- for the tests ---- */

static const char *validate_lines(const imx_batch_t *b, uint32_t i,
                                  uint64_t word)
{
    imx_batch_claim_t claim = { i, word, lines_of(word) };
    uint32_t line, at = 0;
    const char *text;

    for (line = 0; line < claim.lines; line++) {
        size_t len = imx_batch_line(b, &claim, line, &text);
        uint64_t slot = load(slot_of(b, i, line));

        if (len == 0 && slot >> 34 == generation_of(word)) {
            return "a slot points outside its segment";
        }
        if (len == 0) {
            continue;
        }
        if (text < data_of(b, i) + at) {
            return "two lines share bytes";
        }
        if (text[len - 1] != '\n') {
            return "a whole line has no end";
        }
        at = (uint32_t)(text - data_of(b, i)) + (uint32_t)len;
    }
    return NULL;
}

const char *imx_batch_validate(const imx_batch_t *b)
{
    uint32_t n = begun(b), i;

    for (i = 0; i < n; i++) {
        uint64_t word = load(&segment(b, i)->word);
        uint32_t owner = owner_of(word);
        const char *wrong;

        if (state_of(word) == FREE && (lines_of(word) || bytes_of(word))) {
            return "a free segment has lines";
        }
        if (!is_sane(b, word)) {
            return "lines and slots of a segment overlap";
        }
        if (state_of(word) == FILLING
            && (owner >= b->geometry.children
                || atomic_load(&entry(b, owner)->pid) == 0)) {
            return "a segment is being filled by nobody";
        }
        wrong = validate_lines(b, i, word);
        if (wrong != NULL) {
            return wrong;
        }
    }
    return NULL;
}
