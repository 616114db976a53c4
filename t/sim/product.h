/*
 * product.h owns how the simulation drives the module: it makes the arena,
 * starts and stops the monitors, and reads the counts.  When the module's own
 * functions change, this is the place to follow.
 */
#ifndef SIM_PRODUCT_H
#define SIM_PRODUCT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "deliver/influx.h"

typedef struct {
    uint32_t segments, segment_size, rows;
} product_size_t;

typedef struct {
    imx_influx_options_t influx;
    int create_database, interval_ms, shutdown_ms;
    uint64_t max_bytes, max_lines, spool_max;
    const char *spool, *spool_before;
    uint32_t epoch; /* of this configuration */
} product_options_t;

/* Lines, over the life of the arena. */
typedef struct {
    uint64_t recorded, sent, rejected, dropped, torn, spooled, no_room,
        pending; /* of the batch; recorded is the sum */
    uint64_t found, delivered, spool_rejected, spool_dropped,
        twice;         /* board */
    uint64_t in_spool; /* what the board says is in files */
} product_totals_t;

/* Parent: a new arena, and the end of it. */
void product_make_arena(const product_size_t *size);
void product_free_arena(void);
int product_has_arena(void);

void product_resize(uint32_t segments);
uint32_t product_new_epoch(void);
void product_child_died(pid_t pid);
unsigned product_children(void); /* of the table that live */
product_totals_t product_totals(void);
const char *product_validate(void); /* NULL: all is well */
int product_has_holder(void);

/* A child: one for each process, freed with it. */
typedef struct product_child product_child_t;
product_child_t *product_join(const product_options_t *options);
int product_start(product_child_t *c); /* 1: its thread runs */
int product_append(product_child_t *c, const char *line, size_t len);
void product_leave(product_child_t *c);
int product_stop(product_child_t *c); /* 1: its thread has ended */
void product_destroy(product_child_t *c);

/* The parent's helper at the end of a server. */
void product_end_server(const product_options_t *options);

#endif
