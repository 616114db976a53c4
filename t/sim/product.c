/*
 * product.c owns how the simulation drives the module (see product.h).
 * Entered by the tasks of simulated processes; the counts are read between
 * them.
 * The arena survives simulated processes, and goes with the server.
 */
#include "product.h"

#include "calls.h"
#include "ledger.h"
#include "process.h"

#include "deliver/monitor.h"
#include "shared/arena.h"
#include "shared/fault.h"

#include <stdlib.h>
#include <string.h>

struct product_child {
    imx_arena_t arena; /* its view, as it was when it was forked */
    imx_batch_child_t child;
    imx_monitor_t *monitor;
};

static imx_arena_t arena;
static void *memory;
static size_t memory_room;
static int is_made;

static void at_fault(const char *point)
{
    process_point(point);
}

static void log_text(void *context, imx_log_level_e level, const char *text)
{
    (void)context;
    trace_log((int)level, text);
}

static void make_room(size_t size)
{
    if (size > memory_room) {
        free(memory);
        memory_room = (size + 4095) & ~(size_t)4095;
        memory = aligned_alloc(4096, memory_room);
        if (memory == NULL) {
            abort();
        }
    }
    memset(memory, 0, size);
}

void product_make_arena(const product_size_t *size)
{
    static const char key[IMX_VALUES_KEY_LEN] = "no secret";
    imx_arena_spec_t spec = { .batch = { .segments = size->segments,
                                         .segment_size = size->segment_size,
                                         .children = size->rows,
                                         .room = 2 * size->segments,
                                         .page = 4096 },
                              .key = key };

    imx_fault = at_fault;
    make_room(imx_arena_size(&spec));
    imx_arena_format(&arena, memory, &spec);
    is_made = 1;
}

void product_free_arena(void)
{
    is_made = 0;
}

int product_has_arena(void)
{
    return is_made;
}

void product_resize(uint32_t segments)
{
    int raised;

    imx_batch_resize(&arena.batch,
                     (size_t)segments * arena.batch.geometry.segment_size,
                     &raised);
}

uint32_t product_new_epoch(void)
{
    return imx_children_new_epoch(&arena.children);
}

void product_child_died(pid_t pid)
{
    imx_arena_died(&arena, pid);
}

unsigned product_children(void)
{
    return imx_children_count(&arena.children);
}

product_totals_t product_totals(void)
{
    imx_board_t d = imx_board_told(&arena.board);
    imx_batch_totals_t t = imx_batch_totals(&arena.batch);

    return (product_totals_t){
        .recorded = t.recorded,
        .sent = t.fate[IMX_BATCH_SENT],
        .rejected = t.fate[IMX_BATCH_REJECTED],
        .dropped = t.fate[IMX_BATCH_DROPPED],
        .torn = t.fate[IMX_BATCH_TORN],
        .spooled = t.fate[IMX_BATCH_SPOOLED],
        .no_room = t.no_room,
        .pending = t.pending,
        .found = d.spool_found,
        .delivered = d.spool_delivered,
        .spool_rejected = d.spool_rejected,
        .spool_dropped = d.spool_dropped,
        .twice = d.spool_twice,
        .in_spool = t.fate[IMX_BATCH_SPOOLED] + d.spool_found
                    - d.spool_delivered - d.spool_rejected - d.spool_dropped,
    };
}

const char *product_validate(void)
{
    const char *wrong = imx_arena_validate(&arena);

    return wrong != NULL ? wrong : imx_batch_validate(&arena.batch);
}

int product_has_holder(void)
{
    return imx_lease_holder(&arena.lease) != IMX_CHILDREN_NOBODY;
}

static imx_monitor_options_t monitor_options(
    const product_options_t *o, imx_arena_t *view, imx_batch_child_t *child)
{
    imx_monitor_options_t m = {
        .arena = view,
        .child = child,
        .influx = o->influx,
        .create_database = o->create_database,
        .interval_ms = o->interval_ms,
        .shutdown_ms = o->shutdown_ms,
        .max_bytes = o->max_bytes,
        .max_lines = o->max_lines,
        .spool_dir = o->spool,
        .spool_max = o->spool_max,
        .log = log_text
    };

    m.spool_before[0] = o->spool_before;
    return m;
}

product_child_t *product_join(const product_options_t *options)
{
    product_child_t *c = sim_calloc(1, sizeof *c);
    imx_children_self_t self;
    imx_monitor_options_t o;

    if (c == NULL) {
        return NULL;
    }
    c->arena = arena;
    c->arena.children.epoch = options->epoch;
    o = monitor_options(options, &c->arena, &c->child);
    imx_children_join(&c->arena.children, &self, sim_getpid());
    imx_batch_open(&c->child, &c->arena.batch, &self);
    c->monitor = imx_monitor_create(&o);
    return c;
}

int product_start(product_child_t *c)
{
    return c->monitor != NULL && imx_monitor_start(c->monitor) == 0;
}

int product_append(product_child_t *c, const char *line, size_t len)
{
    return imx_batch_append(&c->child, line, len);
}

void product_leave(product_child_t *c)
{
    imx_monitor_leave(c->monitor);
}

int product_stop(product_child_t *c)
{
    return imx_monitor_stop(c->monitor);
}

void product_destroy(product_child_t *c)
{
    if (c->monitor != NULL) {
        imx_monitor_destroy(c->monitor);
    }
    sim_free(c);
}

void product_end_server(const product_options_t *options)
{
    imx_children_self_t self = imx_children_outsider(&arena.children,
                                                     sim_getpid());
    imx_batch_child_t child;
    imx_monitor_options_t o = monitor_options(options, &arena, &child);
    imx_monitor_t *m;

    imx_batch_open(&child, &arena.batch, &self);
    m = imx_monitor_create(&o);
    if (m != NULL) {
        imx_monitor_end_server(m);
        imx_monitor_destroy(m);
    }
}
