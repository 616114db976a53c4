/*
 * ledger.h owns what is known of each line: that it was appended, how often
 * InfluxDB stored it, who was told so; and what must hold.  The module's own
 * counts are held against it.
 *
 * A line's number makes all of its bytes, so each byte that arrives anywhere is
 * checked.
 */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include "disk.h"
#include "process.h"
#include "product.h"
#include "trace.h"

#define LEDGER_LINES 40000
#define LEDGER_LINE_MAX 400

typedef enum {
    LINE_GOOD = 0,
    LINE_CONFLICT, /* refused, the others of its body are stored */
    LINE_MALFORMED /* cannot be parsed */
} line_kind_e;

/* What one seed comes to. */
typedef struct {
    uint64_t lines, stored, refused, lost, repeated, searched, kills, posts;
} ledger_sums_t;

void ledger_reset(uint64_t seed);

/* ---- lines ---- */

void ledger_set_size(size_t most); /* bytes of a line */

/* A new line; returns its number. */
uint32_t ledger_make(char *text, size_t *len, line_kind_e kind);
void ledger_appended(uint32_t number, int was_taken);

/* The same for a line of a file that somebody puts into the spool. */
uint32_t ledger_bring(char *text, size_t *len);

/* The number of a line that came somewhere, LEDGER_LINES when it is none. */
uint32_t ledger_number(const char *text, size_t len);
line_kind_e ledger_kind(uint32_t number);

/* InfluxDB: a line is in a body that arrived; it was stored; it was refused
 * in a body that was refused as a whole. */
void ledger_arrived(uint32_t number);
void ledger_stored(uint32_t number);
void ledger_may_be_refused(uint32_t number);

/* The client has been told what became of these lines, for good.  is_unnamed:
 * but not which of them were refused: then it may send halves of them again, to
 * find one. */
void ledger_acknowledged(sim_process_t *p, const uint32_t *numbers, size_t n,
                         int is_unnamed);
/* It begins another body, whose first line has this number. */
void ledger_post(sim_process_t *p, uint32_t first, size_t count);
/* A body that was begun at that time was not taken.  asked_ms: the Retry-After,
 * -1: none, so that the least wait is a second. */
void ledger_not_before(sim_process_t *p, int64_t began, int64_t asked_ms);
/* One was taken: it is over. */
void ledger_taken(int64_t began);
/* It was not taken, and may come again at once. */
void ledger_failed(void);

/* ---- deaths and files ---- */

void ledger_died(sim_process_t *p);
void ledger_file_made(sim_process_t *p, const disk_node_t *node);
void ledger_file_named(sim_process_t *p, const disk_node_t *dir,
                       const disk_node_t *node, const char *name);
void ledger_file_removed(sim_process_t *p, const disk_node_t *node);
/* It could not be renamed or removed, or its bytes were not durable. */
void ledger_file_stuck(const disk_node_t *node);
void ledger_power_cut(const disk_node_t *node);
/* From now on the disk does its work, or does not. */
void ledger_disk(int is_in_trouble);
void ledger_set_quota(const disk_node_t *dir, uint64_t bytes);

/* ---- accounts ---- */

/* An arena begins; it ends, and what is pending in it is given up.  in_files:
 * lines in the spools, as the names of the files say. */
void ledger_begin_arena(void);
void ledger_end_arena(const product_totals_t *t, uint64_t in_files);

/* Between any two steps. */
void ledger_check(const product_totals_t *t);

/* Everything has been delivered, and the last arena has ended. */
void ledger_check_end(uint64_t in_files);

ledger_sums_t ledger_sums(void);

#endif
