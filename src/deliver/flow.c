/*
 * flow.c owns how much of a body may have gone out by now (see flow.h).
 * Pure arithmetic, for the thread that holds the lease.
 * Nothing survives a crash.
 */
#include "deliver/flow.h"

#include "base/least.h"

#define STEP_MS (IMX_FLOW_STEP / 1000000)
#define LATE 4 /* pieces that are made up for, when steps come late */

uint64_t imx_flow_piece(uint64_t waiting, int64_t spread_ms)
{
    int64_t steps = spread_ms / STEP_MS;
    uint64_t piece = waiting / (uint64_t)(steps > 0 ? steps : 1) + 1;

    return piece > IMX_FLOW_LEAST ? piece : IMX_FLOW_LEAST;
}

static void lift(imx_flow_t *f, int64_t now)
{
    f->piece = f->allowed = IMX_FLOW_ANY;
    f->at = now;
    f->rest = 0;
}

void imx_flow_begin(imx_flow_t *f, int64_t now)
{
    lift(f, now);
    f->held = f->held_from = f->held_until = 0;
}

void imx_flow_limit(imx_flow_t *f, uint64_t piece, int64_t now)
{
    if (piece == IMX_FLOW_ANY) {
        lift(f, now);
    }
    else if (f->piece == IMX_FLOW_ANY) {
        f->piece = f->allowed = piece;
        f->at = now;
    }
    else if (piece > f->piece) {
        f->piece = piece;
    }
}

void imx_flow_wait(imx_flow_t *f, int64_t now)
{
    f->at = now;
}

uint64_t imx_flow_allow(imx_flow_t *f, int64_t now)
{
    int64_t steps = (now - f->at) / IMX_FLOW_STEP;

    f->held += imx_least_signed(now, f->held_until) - f->held_from;
    f->held_from = f->held_until = 0;
    if (f->piece != IMX_FLOW_ANY && steps > 0) {
        f->allowed += (uint64_t)imx_least_signed(steps, LATE) * f->piece;
        f->at = steps > LATE ? now : f->at + steps * IMX_FLOW_STEP;
    }
    return f->allowed;
}

int64_t imx_flow_until(const imx_flow_t *f, uint64_t out, int64_t now)
{
    int is_late = out < f->allowed && f->allowed - out > LATE * f->piece;

    return f->piece == IMX_FLOW_ANY || is_late ? 0 : now + IMX_FLOW_AT_ONCE;
}

void imx_flow_rest(imx_flow_t *f, uint64_t done, int64_t now)
{
    if (f->piece != IMX_FLOW_ANY && done < f->piece) {
        f->rest = now
                  + (int64_t)((double)done / (double)f->piece
                              * (double)IMX_FLOW_STEP);
    }
}

int64_t imx_flow_next(const imx_flow_t *f, uint64_t out, int64_t now)
{
    int64_t more = out < f->allowed ? now : f->at + IMX_FLOW_STEP;

    return more > f->rest ? more : f->rest;
}

/* A thread that wakes up too late for the next piece had no longer pause. */
void imx_flow_pause(imx_flow_t *f, uint64_t out, int64_t now)
{
    int64_t next = imx_flow_next(f, out, now);

    if (next > now) {
        f->held_from = now;
        f->held_until = next;
    }
}
