/*
 * t/unit/monitor.c: the lease, threads, and processes that are
 * killed; against the stand-in server (delivery.h).
 */
#define _GNU_SOURCE
#include "delivery.h"

#include "shared/fault.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    pid_t pid;
    int pipe; /* its end ends the process */
} process_t;

static void stay_until_told(int fd)
{
    char c;

    while (read(fd, &c, 1) < 0) {
    }
}

/* Runs as a child of httpd: joins, appends, delivers until told to end. */
static void live(fixture_t *f, int i, int lines, int with_monitor, int fd)
{
    imx_batch_child_t *c = &f->child[i];
    imx_monitor_t *m = NULL;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(TEST_LIMIT);
    if (join_here(c, &f->arena) != 0) {
        _exit(2);
    }
    append_to(f, c, lines);
    if (with_monitor) {
        f->o.child = c;
        f->o.now = NULL;
        m = imx_monitor_create(&f->o);
        if (m == NULL || imx_monitor_start(m) != 0) {
            _exit(3);
        }
    }
    atomic_store(&f->shared->slot[i], c->self.slot + 1);
    stay_until_told(fd);
    _exit(m ? !imx_monitor_stop(m) : 0);
}

static process_t spawn(fixture_t *f, int i, int lines, int with_monitor)
{
    process_t p;
    int fd[2];

    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
        close(fd[1]);
        live(f, i, lines, with_monitor, fd[0]);
    }
    close(fd[0]);
    p.pipe = fd[1];
    AWAIT(atomic_load(&f->shared->slot[i]) > 0);
    return p;
}

static void slay(process_t *p)
{
    kill(p->pid, SIGKILL);
    assert_int_equal(waitpid(p->pid, NULL, 0), p->pid);
    close(p->pipe);
}

/* Tells it to end; returns its exit status, 0 when stop() said 1. */
static int end_process(process_t *p)
{
    int status = -1;

    close(p->pipe);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return status;
}

static uint32_t slot_of(fixture_t *f, int i)
{
    return atomic_load(&f->shared->slot[i]) - 1;
}

/* What others wait at most until they look for the lease: see try_lease(). */
static int64_t takeover_ms(fixture_t *f)
{
    return 2 * (500 + 2 * (int64_t)f->arena.batch.geometry.children);
}

static void test_kill_the_holder(void **state)
{
    fixture_t *f = *state;
    process_t p[3];
    int64_t begun;
    int i, heir;

    f->o.interval_ms = 100;
    hang(f);
    for (i = 0; i < 3; i++) {
        p[i] = spawn(f, i, 500, 1);
        AWAIT(imx_lease_holder(&f->arena.lease) == slot_of(f, 0));
    }
    AWAIT(writes(f) == 1);
    slay(&p[0]); /* while it sends */
    begun = real_ms();
    AWAIT(writes(f) == 2);
    print_message("# the lease was taken over after %d ms\n",
                  (int)(real_ms() - begun));
    assert_true(real_ms() - begun < takeover_ms(f) + SLACK_MS);
    heir = imx_lease_holder(&f->arena.lease) == slot_of(f, 1) ? 1 : 2;
    assert_int_equal(imx_lease_holder(&f->arena.lease), slot_of(f, heir));
    heal(f);
    slay(&p[heir]);
    AWAIT(fate(f, IMX_BATCH_SENT) == 1500);
    assert_int_equal(imx_lease_holder(&f->arena.lease), slot_of(f, 3 - heir));
    assert_int_equal(stored(f), 1500);
    assert_int_equal(stored_again(f), 0);
    assert_int_equal(end_process(&p[3 - heir]), 0);
}

/* Stored, but killed before it could be told: the same bytes again. */
static void test_kill_after_store(void **state)
{
    fixture_t *f = *state;
    process_t p;

    say(f, STANDIN_HANG, OK_204); /* stores, says nothing */
    f->o.interval_ms = 100;
    p = spawn(f, 1, 700, 1);
    AWAIT(stored(f) == 700);
    heal(f);
    f->m = make_monitor(f);
    imx_monitor_step(f->m);
    slay(&p);
    later(f, 10000);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[0].self.slot);
    deliver(f);
    assert_int_equal(stored(f), 700);
    assert_int_equal(stored_again(f), 700);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 700);
}

static void die(const char *point)
{
    if (strcmp(point, "reserved") == 0) {
        raise(SIGKILL);
    }
}

/* A child that appends so many lines and is killed while it copies one more. */
static void tear(fixture_t *f, int i, int lines)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(TEST_LIMIT);
        join_here(&f->child[i], &f->arena);
        append_to(f, &f->child[i], lines);
        imx_fault = die;
        append_to(f, &f->child[i], 1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    if (i == 2) {
        imx_arena_died(&f->arena, pid);
    }
}

static void test_torn(void **state)
{
    fixture_t *f = *state;

    tear(f, 1, 10); /* found at the start */
    begin(f);
    append(f, 5);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_SENT), 15);
    assert_int_equal(fate(f, IMX_BATCH_TORN), 1);
    tear(f, 2, 300); /* told by the parent */
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_TORN), 2);
    tear(f, 3, 0); /* found by a look every 2 s */
    later(f, 2000);
    imx_monitor_step(f->m);
    deliver(f);
    assert_int_equal(fate(f, IMX_BATCH_TORN), 3);
    assert_int_equal(stored(f), 315);
}

/* A body's worth of torn lines must not pass for an empty buffer. */
static void test_torn_only(void **state)
{
    fixture_t *f = *state;

    f->o.max_lines = 1;
    f->o.interval_ms = 3600000;
    tear(f, 1, 0);
    tear(f, 3, 0);
    append(f, 3);
    begin(f);
    run_clock(f);
    imx_monitor_finish(f->m);
    assert_int_equal(fate(f, IMX_BATCH_TORN), 2);
    assert_int_equal(stored(f), 3);
}

static void test_wait_for_lease(void **state)
{
    fixture_t *f = *state;
    int64_t least = takeover_ms(f) / 2, hurried = 0, ms;
    int i;

    assert_true(take_lease(f));
    f->m = make_monitor(f);
    append(f, 1);
    while (hurried < 3000) { /* a child that begins */
        ms = imx_monitor_step(f->m);
        assert_in_range(ms, least / 5, 2 * (least / 5) + 1);
        later(f, ms);
        hurried += ms;
    }
    for (i = 0; i < 20; i++) {
        ms = imx_monitor_step(f->m);
        assert_in_range(ms, least, 2 * least + 1);
        later(f, ms);
    }
    ms = imx_monitor_step(f->m);
    give_lease(f);
    later(f, ms - 2); /* not before its time */
    assert_in_range(imx_monitor_step(f->m), 1, 2);
    assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
    later(f, 1);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[0].self.slot);
    deliver(f);
}

static int patrols, looks;

static int count_patrol(void *context, int64_t now)
{
    fixture_t *f = context;

    assert_int_equal(now, clock_ns(f));
    patrols++;
    return 1000;
}

static void count_look(void *context, int64_t now)
{
    (void)context;
    (void)now;
    looks++;
}

/* Each child's monitor goes on patrol, the holder's too; only the holder
 * looks. */
static void test_patrol_and_look(void **state)
{
    fixture_t *f = *state;
    int i, most = 0;

    patrols = looks = 0;
    f->o.patrol = count_patrol;
    f->o.look = count_look;
    f->o.patrol_context = f;
    f->m = make_monitor(f);
    assert_true(take_lease(f));
    for (i = 0; i < 50; i++) {
        int ms = imx_monitor_step(f->m);

        most = ms > most ? ms : most;
        later(f, 100);
    }
    assert_int_equal(patrols, 5);
    assert_int_equal(looks, 0);
    assert_in_range(most, 500, 1001);
    give_lease(f);
    UNTIL((later(f, 100), looks > 0));
    patrols = looks = 0;
    for (i = 0; i < 50; i++) {
        imx_monitor_step(f->m);
        later(f, 100);
    }
    assert_int_equal(patrols, 5);
    assert_int_equal(looks, 50);
}

static void test_superseded(void **state)
{
    fixture_t *f = *state;
    process_t p;

    append(f, 10);
    begin(f);
    imx_children_new_epoch(&f->arena.children);
    deliver(f); /* nobody else could */
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[0].self.slot);

    refuse(f, 503, "", "busy"); /* with lines in its hands */
    append(f, 10);
    tick(f);
    until_refused(f, 2, 10);
    p = spawn(f, 1, 5, 0);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
    heal(f);
    later(f, 60000);
    imx_monitor_step(f->m);
    later(f, 60000);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
    assert_int_equal(pending(f), 15);
    assert_int_equal(logged(f, "IMX0029"), 1); /* not even for a moment */

    slay(&p); /* the last newer child */
    later(f, takeover_ms(f));
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[0].self.slot);
    deliver(f);
    assert_int_equal(stored(f), 25);
    assert_int_equal(stored_again(f), 0);
}

/* Forked before a restart, and it begins its work behind it. */
static void test_forked_before(void **state)
{
    fixture_t *f = *state;
    imx_arena_t view = f->arena;
    imx_batch_child_t late;
    process_t newer;

    imx_children_new_epoch(&f->arena.children);
    newer = spawn(f, 1, 5, 0);
    assert_int_equal(join_here(&late, &view), 0);
    f->o.arena = &view;
    f->o.child = &late;
    f->m = make_monitor(f);
    later(f, 60000);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);

    slay(&newer);
    later(f, takeover_ms(f));
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), late.self.slot);
    deliver(f);
    assert_int_equal(stored(f), 5);
    end_monitor(f);
}

/* The newer child gets the lease and the lines, while it is being sent. */
static void test_handover(void **state)
{
    fixture_t *f = *state;
    imx_monitor_t *old;
    int i;

    f->o.max_lines = 100;
    append(f, 300);
    begin(f);
    then(f, 1, STANDIN_ANSWER, OK_204);
    tick(f);
    imx_children_new_epoch(&f->arena.children);
    UNTIL(writes(f) >= 1);
    old = f->m;
    f->o.child = &f->child[second_child(f)];
    f->m = make_monitor(f);
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[0].self.slot);
    for (i = 0; i < 1000
                && imx_lease_holder(&f->arena.lease) == f->child[0].self.slot;
         i++) {
        if (imx_monitor_step(old) > 0) {
            imx_monitor_wait(old, 5);
        }
    }
    later(f, takeover_ms(f));
    imx_monitor_step(f->m);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[1].self.slot);
    imx_monitor_destroy(old);
    assert_int_equal(imx_lease_holder(&f->arena.lease), f->child[1].self.slot);
    deliver(f);
    assert_int_equal(stored(f), 300);
    assert_in_range(stored_again(f), 0, 256);
}

static void start(fixture_t *f)
{
    f->o.now = NULL;
    f->m = make_monitor(f);
    assert_int_equal(imx_monitor_start(f->m), 0);
}

static void test_start_stop(void **state)
{
    fixture_t *f = *state;
    int i;

    f->o.interval_ms = 100;
    for (i = 0; i < 50; i++) {
        append(f, 20);
        start(f);
        append(f, 20);
        if (i % 10 == 0) {
            AWAIT(stored(f) > (uint64_t)i * 40);
        }
        assert_int_equal(imx_monitor_stop(f->m), 1);
        assert_int_equal(pending(f), 0);
        assert_int_equal(imx_lease_holder(&f->arena.lease), IMX_BATCH_NOBODY);
        end_monitor(f);
    }
    assert_int_equal(stored(f), 2000);
    assert_int_equal(stored_again(f), 0);
}

/* Four threads append all the time; what is left goes with the last stop. */
typedef struct {
    fixture_t *f;
    _Atomic int *stop;
} writer_t;

static void *write_lines(void *data)
{
    writer_t *w = data;

    while (!atomic_load(w->stop)
           && atomic_load(&w->f->shared->next) < LINES - 100) {
        append(w->f, 10);
        sched_yield();
    }
    return NULL;
}

static void test_writers(void **state)
{
    fixture_t *f = *state;
    pthread_t threads[4];
    _Atomic int stop = 0;
    writer_t w = { f, &stop };
    int i;

    f->o.interval_ms = 100;
    f->o.shutdown_ms = LIMIT_MS; /* for all that they have written */
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &w),
                         0);
    }
    for (i = 0; i < 10; i++) {
        start(f);
        AWAIT(writes(f) > 2 * i || f->shared->next >= LINES - 100);
        assert_int_equal(imx_monitor_stop(f->m), 1);
        end_monitor(f);
    }
    atomic_store(&stop, 1);
    for (i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    start(f);
    assert_int_equal(imx_monitor_stop(f->m), 1);
    assert_int_equal(pending(f), 0);
    assert_int_equal(stored(f), f->shared->next - f->shared->refused
                                    - fate(f, IMX_BATCH_DROPPED));
    assert_int_equal(stored_again(f), 0);
}

static void test_stop_hanging(void **state)
{
    fixture_t *f = *state;
    int64_t begun;

    f->o.interval_ms = 100;
    second_child(f);
    append(f, 10);
    hang(f);
    start(f);
    AWAIT(writes(f) == 1);
    begun = real_ms(); /* not the last one */
    assert_int_equal(imx_monitor_stop(f->m), 1);
    assert_true(real_ms() - begun < SLACK_MS);
    end_monitor(f);
    imx_children_leave(&f->arena.children, &f->child[1].self);
    f->o.shutdown_ms = 300;
    start(f);
    AWAIT(writes(f) == 2);
    begun = real_ms();
    assert_int_equal(imx_monitor_stop(f->m), 1);
    assert_in_range(real_ms() - begun, 300, 300 + SLACK_MS);
    assert_int_equal(pending(f), 10);
}

/* Waiting for the lease is interrupted as well. */
static void test_stop_waiting(void **state)
{
    fixture_t *f = *state;
    int64_t begun;
    int i;

    second_child(f);
    assert_true(imx_lease_take(&f->arena.lease, &f->child[1].self));
    run_clock(f);
    begun = real_ms();
    for (i = 0; i < 10; i++) {
        f->m = make_monitor(f);
        atomic_store(&f->clock_calls, 0);
        assert_int_equal(imx_monitor_start(f->m), 0);
        AWAIT(atomic_load(&f->clock_calls) >= 3); /* goes to wait now */
        assert_int_equal(imx_monitor_stop(f->m), 1);
        end_monitor(f);
    }
    assert_true(real_ms() - begun < SLACK_MS);
    give_lease(f);
}

/* Also for one that had it, and has curl to wait with. */
static void test_stop_superseded(void **state)
{
    fixture_t *f = *state;
    int64_t begun, ms, least = INT64_MAX;
    int i;

    run_clock(f);
    f->o.interval_ms = 100;
    for (i = 1; i <= 3; i++) { /* the machine may be busy */
        append(f, 10);
        f->m = make_monitor(f);
        assert_int_equal(imx_monitor_start(f->m), 0);
        AWAIT(pending(f) == 0);
        imx_children_new_epoch(&f->arena.children);
        assert_int_equal(join_here(&f->child[i], &f->arena), 0);
        AWAIT(imx_lease_holder(&f->arena.lease) == IMX_BATCH_NOBODY);
        atomic_store(&f->clock_calls, 0);
        AWAIT(atomic_load(&f->clock_calls) >= 3);
        begun = real_ms();
        assert_int_equal(imx_monitor_stop(f->m), 1);
        ms = real_ms() - begun;
        least = ms < least ? ms : least;
        end_monitor(f);
    }
    assert_true(least < 300);
    assert_int_equal(stored(f), 30);
}

/* A thread that does not end: stop() gives up, and says so. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void log_at_gate(void *context, imx_log_level_e level, const char *text)
{
    log_text(context, level, text);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static void test_stop_stuck(void **state)
{
    fixture_t *f = *state;
    int64_t begun;

    f->o.shutdown_ms = 1000;
    f->o.log = log_at_gate;
    pthread_mutex_lock(&gate);
    append(f, 10);
    start(f);
    AWAIT(logged(f, "IMX0029") == 1);
    begun = real_ms();
    assert_int_equal(imx_monitor_stop(f->m), 0);
    assert_in_range(real_ms() - begun, 3000, 3500 + SLACK_MS);
    pthread_mutex_unlock(&gate);
    AWAIT(imx_monitor_stop(f->m) == 1);
    assert_int_equal(stored(f), 10);
}

/* One that has nothing to flush is not waited for as long. */
static void test_stop_stuck_leaving(void **state)
{
    fixture_t *f = *state;
    int64_t begun;

    f->o.shutdown_ms = 8000;
    f->o.log = log_at_gate;
    pthread_mutex_lock(&gate);
    start(f);
    AWAIT(logged(f, "IMX0029") == 1);
    begun = real_ms();
    imx_monitor_leave(f->m);
    assert_int_equal(imx_monitor_stop(f->m), 0);
    assert_in_range(real_ms() - begun, 500, 500 + 4 * SLACK_MS);
    pthread_mutex_unlock(&gate);
    AWAIT(imx_monitor_stop(f->m) == 1);
}

/* As prefork does it: in a signal handler, whatever was interrupted. */
static struct {
    imx_monitor_t *m;
    fixture_t *f;
    pthread_t main;
    int writes;
    volatile sig_atomic_t result;
} handled;

static void stop_in_handler(int signal)
{
    (void)signal;
    handled.result = imx_monitor_stop(handled.m);
}

static void *send_signal(void *unused)
{
    int64_t limit = real_ms() + LIMIT_MS;

    while (writes(handled.f) == handled.writes && real_ms() < limit) {
        poll(NULL, 0, 1);
    }
    pthread_kill(handled.main, SIGUSR1);
    return unused;
}

static void test_stop_in_handler(void **state)
{
    struct sigaction action = { .sa_handler = stop_in_handler };
    fixture_t *f = *state;
    pthread_t sender;
    int i;

    sigaction(SIGUSR1, &action, NULL);
    f->o.interval_ms = 100;
    f->o.shutdown_ms = LIMIT_MS;
    for (i = 0; i < 20; i++) {
        volatile size_t size = 16;
        void *block[64] = { NULL };

        append(f, 600);
        handled.f = f;
        handled.writes = writes(f);
        handled.main = pthread_self();
        handled.result = -1;
        start(f);
        handled.m = f->m;
        assert_int_equal(pthread_create(&sender, NULL, send_signal, NULL), 0);
        while (handled.result < 0) {
            size = (size * 7 + 13) % 4000;
#ifndef __SANITIZE_ADDRESS__ /* whose malloc() has locks for all threads */
            free(block[size % 64]);
            block[size % 64] = malloc(size * (size % 9));
#endif
        }
        for (size = 0; size < 64; size++) {
            free(block[size]);
        }
        pthread_join(sender, NULL);
        assert_int_equal(handled.result, 1);
        assert_int_equal(pending(f), 0);
        end_monitor(f);
    }
    assert_int_equal(stored(f), 20 * 600);
    assert_int_equal(stored_again(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_wait_for_lease),   TEST(test_patrol_and_look),
        TEST(test_handover),         TEST(test_start_stop),
        TEST(test_writers),          TEST(test_stop_hanging),
        TEST(test_stop_stuck),       TEST(test_stop_stuck_leaving),
        TEST(test_stop_waiting),     TEST(test_stop_superseded),
        TEST(test_stop_in_handler),  TEST(test_kill_the_holder),
        TEST(test_kill_after_store), TEST(test_torn),
        TEST(test_torn_only),        TEST(test_superseded),
        TEST(test_forked_before),
    };

    return run_delivery_tests("monitor", tests, sizeof tests / sizeof tests[0],
                              5);
}
