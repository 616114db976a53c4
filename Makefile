# Building
#   make               the module, build/mod_influx_metrics.so
#   make install       into httpd's module directory, influx-metrics-top into
#                      PREFIX/bin (DESTDIR is heeded)
#   make uninstall     takes it away again; a changed influx_metrics.conf stays
#   make dist          mod_influx_metrics-VERSION.tar.gz
#   make clean
#   make deps          installs what building and testing need (Debian, Ubuntu);
#                      make alone installs nothing and names what is missing
# Tests
#   make check         what a change must pass first, in a few minutes: style,
#                      gcc and clang without a warning, gcc -fanalyzer, cppcheck,
#                      guards (t/guard-*.t) and units (t/unit-*.t)
#   make test          check, and all of t/
#   make test-asan     all of t/ under AddressSanitizer and UBSan
#   make test-tsan     units and storms under ThreadSanitizer
#   make soak          ten minutes of all that can go wrong (tools/soak.pl)
#   make storms        half an hour of it while another user's process writes
#                      random words into the shared memory (tools/storms.pl);
#                      storms-asan, storms-tsan: under a sanitizer
#   make test-restarts, test-holders     a hundred of each
#   make test-ticks    who delivers is killed 200 times at each step of that
#   make simulate      delivery in a simulated world: SEEDS=N (1000) of them from
#                      FIRST=n on; SEED=n V=1 tells what happens in one
#   make test-engines  real engines beside Debian's InfluxDB and VictoriaMetrics
#   make test-package  Debian's package as Debian builds it, twice, with lintian
#   make record-cost   writes t/cost.txt, what t/cost.t compares with, after a
#                      change that is meant to cost more or less
#   make compat APXS="PATH..."   builds the module with each apxs, and tries it
#   make fuzz          libFuzzer on the parsers
#   make httpd-suite SUITE=DIR...        httpd's own tests, without and with it
#   make dashboards    makes dashboards/ from the tables in tools/dashboards;
#                      pictures-dashboards its pictures, in five minutes
#   make format        brings all C into the form that make check wants
# Demo and benchmarks
#   make demo          a private httpd and InfluxDB under load; make demo-stop
#   make pictures      docs/pictures, of the status page: twelve minutes
#   make bench         throughput with and without; bench-instructions,
#                      bench-fields, bench-vhosts, bench-idle,
#                      bench-counted, bench-scrape, bench-write,
#                      bench-flusher, bench-buffer, bench-hung, bench-append,
#                      bench-growth, bench-beat, bench-bytes;
#                      bench-peers: beside others that do the same;
#                      bench-encoder: beside other encoders: see
#                      docs/performance.md; bench-all: all of these that are
#                      about time; bench-cardinality: a bot that asks for
#                      400,000 paths
#
# One test by hand:     make all units && prove -It/lib t/status.t
#   all units of one:   make units && build/unit/words
#   under a sanitizer:  make BUILD=build/asan SANITIZE="-fsanitize=address" \
#                           all units && IMX_BUILD=build/asan \
#                           IMX_PRELOAD=$(cc -print-file-name=libasan.so) \
#                           prove -It/lib t/status.t
#
# Variables: BUILD (build), CC, CPPFLAGS, CFLAGS (-O2 -g),
# LDFLAGS, APXS, SANITIZE (flags
# of a sanitizer), LTO, DESTDIR, PREFIX (/usr/local); FUZZ_SECONDS (60), SOAK_SECONDS (600),
# STORM_SECONDS (1800), ROUNDS (20), GROWTH_REQUESTS (10000000) and BEAT_MORE (5)
# of benchmarks,
# NGINX_MODULES and QUESTDB_C (checkouts of their peers that no registry has), and
# those of tools/soak.pl and tools/storms.pl.  Tests and benchmarks find the build
# by IMX_BUILD;
# IMX_KEEP=1 keeps their directories.

BUILD ?= build
APXS ?= $(shell command -v apxs || command -v apxs2)
CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Wconversion -Wshadow
SANITIZE ?=
LIB_CFLAGS = -std=c11 -D_DEFAULT_SOURCE -fPIC -fno-plt -fvisibility=hidden -pthread \
    $(WARNINGS) -Werror=implicit-function-declaration $(SANITIZE) $(CPPFLAGS) $(CFLAGS) -I. \
    -Isrc -I$(BUILD)/made
HTTPD_FLAGS = -isystem $(shell $(APXS) -q INCLUDEDIR) \
    -isystem $(shell $(APXS) -q APR_INCLUDEDIR) -DLINUX -D_REENTRANT -D_GNU_SOURCE
MOD_CFLAGS = $(LIB_CFLAGS) $(HTTPD_FLAGS)
LIBS = $(shell curl-config --libs 2>/dev/null || echo -lcurl) -lz -lm -pthread

# What a request calls is optimized as one: calls between the files cost as much
# as what they do.  (gcc's way; clang's needs its own linker.)
HOT = lineproto src/shared/batch src/shared/stats src/record/counted \
    src/record/line src/record/marks src/record/request src/record/getters
LTO ?= $(if $(SANITIZE),,$(shell $(CC) --version 2>/dev/null | \
    grep -q 'Free Software Foundation' && echo -flto))
$(HOT:%=$(BUILD)/o/%.o): private LTO_CFLAGS = $(LTO)

# The rooms that link without httpd, and a parser that could be in one; then
# those that know it.  A new file needs no line here.
LIB = lineproto $(patsubst %.c,%,$(wildcard src/base/*.c src/shared/*.c \
    src/deliver/*.c)) src/intake/parse
MOD = $(filter-out $(LIB),mod_influx_metrics $(patsubst %.c,%,$(wildcard \
    src/config/*.c src/record/*.c src/report/*.c src/intake/*.c src/show/*.c \
    src/server/*.c)))
LIB_OBJECTS = $(LIB:%=$(BUILD)/o/%.o)
MOD_OBJECTS = $(MOD:%=$(BUILD)/o/%.o)
MODULE = $(BUILD)/mod_influx_metrics.so

all: $(MODULE)

# Names what is missing, and installs nothing.
needs:
	@APXS="$(APXS)" CC="$(CC)" CPPFLAGS="$(CPPFLAGS)" \
	    sh tools/install-deps.sh --check build

# Installs what is missing.  A recipe begins with it: as prerequisites, two such
# steps would run at once under -j.
DEPS = @sh tools/install-deps.sh

deps:
	$(DEPS) build test check

$(MODULE): $(LIB_OBJECTS) $(MOD_OBJECTS)
	$(CC) -shared $(SANITIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# The documents of the status page, with their style, their scripts and the
# hashes of these.
PAGE = $(BUILD)/made/show/page_made.h

$(PAGE): tools/make-page.pl $(wildcard src/show/page/*.* src/show/page/*/*)
	@mkdir -p $(@D)
	perl tools/make-page.pl src/show/page $@

$(patsubst %,$(BUILD)/%/src/show/page.o,o check/gcc check/clang): $(PAGE)

$(LIB_OBJECTS): $(BUILD)/o/%.o: %.c | $(BUILD)/unit
	@mkdir -p $(@D)
	$(CC) $(LIB_CFLAGS) $(LTO_CFLAGS) -MMD -MP -c -o $@ $<

$(MOD_OBJECTS): $(BUILD)/o/%.o: %.c | $(BUILD)/unit
	@mkdir -p $(@D)
	$(CC) $(MOD_CFLAGS) $(LTO_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/unit: | needs
	mkdir -p $@

-include $(shell find $(BUILD) -name "*.d" 2>/dev/null)

# ---- tests ----

# A unit test is a program of t/unit that has a .t beside the folder.
UNITS = $(patsubst t/unit-%.t,%,$(wildcard t/unit-*.t))
UNIT_PARTS = $(BUILD)/unit/standin.o $(BUILD)/unit/judge.o \
    $(BUILD)/unit/delivery.o
# The rooms below httpd once more, with points at which a test can interrupt or
# kill (FAULT() in the sources).
UNIT_LIB = $(LIB:%=$(BUILD)/unit/o/%.o)

$(BUILD)/unit/%.o: t/unit/%.c | $(BUILD)/unit
	$(CC) $(LIB_CFLAGS) -DIMX_FAULTS -MMD -MP -c -o $@ $<

$(UNIT_LIB): $(BUILD)/unit/o/%.o: %.c | $(BUILD)/unit
	@mkdir -p $(@D)
	$(CC) $(LIB_CFLAGS) -DIMX_FAULTS -MMD -MP -c -o $@ $<

$(UNITS:%=$(BUILD)/unit/%): %: %.o $(UNIT_PARTS) $(UNIT_LIB)
	$(CC) $(SANITIZE) $(LDFLAGS) -o $@ $^ -lcmocka -lm $(LIBS)

# The units of a room that knows httpd: with APR, and a stand-in for httpd.
SHOW_UNITS = t/unit/json_history t/unit/objectives
$(SHOW_UNITS:t/%=$(BUILD)/%.o): private LIB_CFLAGS += $(HTTPD_FLAGS)
$(BUILD)/unit/objectives: $(addprefix $(BUILD)/o/src/,show/objectives.o \
    config/objective.o)
$(BUILD)/unit/json_history: $(addprefix $(BUILD)/o/src/show/,json_history.o \
    columns.o hosts.o compact.o)
$(SHOW_UNITS:t/%=$(BUILD)/%): private LIBS += \
    $(shell $$($(APXS) -q APR_CONFIG) --link-ld)

# Two files of rooms that know httpd, but know nothing of it themselves.
$(BUILD)/unit/rows: $(addprefix $(BUILD)/o/src/,intake/rows.o config/typed.o)

# As after a package upgrade that changed the layout of the memory.
$(BUILD)/unit/runtime-other.o: src/server/runtime.c | $(BUILD)/unit
	$(CC) $(MOD_CFLAGS) -DIMX_LAYOUT='"other"' -MMD -MP -c -o $@ $<

$(BUILD)/unit/mod_other_layout.so: $(BUILD)/unit/runtime-other.o \
    $(LIB_OBJECTS) $(filter-out %/runtime.o,$(MOD_OBJECTS))
	$(CC) -shared $(SANITIZE) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# Preloaded beside a sanitizer, which calls it before it has begun itself: never
# built with one.
$(BUILD)/unit/clock.o: private override SANITIZE :=

$(BUILD)/unit/clock.so: $(BUILD)/unit/clock.o
	$(CC) -shared -o $@ $^

# Preloaded beside ThreadSanitizer, and built for it.
$(BUILD)/unit/atomics.so: t/lib/atomics.c | $(BUILD)/unit
	$(CC) -shared $(MOD_CFLAGS) -o $@ $<

units: $(UNITS:%=$(BUILD)/unit/%) $(BUILD)/unit/mod_other_layout.so \
    $(BUILD)/unit/clock.so $(BUILD)/sim/simulate $(BUILD)/bench-flusher \
    $(BUILD)/bench-steps

PROVE = IMX_BUILD=$(BUILD) prove --timer -It/lib

# Writes what t/cost.t compares with, on this machine and with this compiler.
record-cost:
	$(DEPS) build test
	@$(MAKE) --no-print-directory $(JOBS) all units
	IMX_RECORD=1 $(PROVE) -v t/cost.t

# Two jobs or more, unless make was told how many.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

test:
	$(DEPS) build test check
	@$(MAKE) --no-print-directory $(JOBS) all units replays check-sources
	@sh tools/build-influxd.sh >$(BUILD)/influxd2.txt </dev/null || \
	    cat $(BUILD)/influxd2.txt
	@$(MAKE) --no-print-directory run-tests

ASAN = -fsanitize=address,undefined -fno-sanitize-recover=undefined \
    -fno-omit-frame-pointer
TSAN = -fsanitize=thread

test-asan:
	$(DEPS) build test
	@$(MAKE) --no-print-directory $(JOBS) BUILD=build/asan \
	    SANITIZE="$(ASAN)" all units replays
	IMX_PRELOAD="$(PRELOAD_asan)" \
	$(MAKE) --no-print-directory BUILD=build/asan run-tests

# ThreadSanitizer sees a race when it happens: the units that have threads, and
# the storm of everything at once.  It cannot follow fork(): the units leave out
# their processes.
TSAN_UNITS = $(patsubst t/unit/%.c,t/unit-%.t,$(shell grep -lE 'pthread_create|imx_thread_' \
    $(UNITS:%=t/unit/%.c)))
TSAN_TESTS = t/sections.t t/cardinality.t t/soak.t t/slow.t t/status.t \
    t/openmetrics.t t/write.t
PRELOAD_tsan = $$($(CC) -print-file-name=libtsan.so) \
    $(CURDIR)/build/tsan/unit/atomics.so
PRELOAD_asan = $$($(CC) -print-file-name=libasan.so)

test-tsan:
	$(DEPS) build test
	@$(MAKE) --no-print-directory $(JOBS) BUILD=build/tsan \
	    SANITIZE="$(TSAN)" all units build/tsan/unit/atomics.so
	IMX_THREADS_ONLY=1 $(MAKE) --no-print-directory BUILD=build/tsan \
	    run-tests TESTS="$(TSAN_UNITS)"
	IMX_PRELOAD="$(PRELOAD_tsan)" \
	$(MAKE) --no-print-directory BUILD=build/tsan run-tests \
	    TESTS="$(TSAN_TESTS)"

# Those that take longest begin first.
LONG = $(addprefix t/,spool-hang.t package.t judge.t counted.t dashboards.t \
    percentiles.t answers.t judge-write.t reload.t stop-hung.t own-recipes.t \
    soak.t stop.t engines.t spool-hand.t outage-log.t openmetrics.t)
TESTS = $(LONG) $(filter-out $(LONG),$(sort $(wildcard t/*.t)))

# Most tests wait more than they work, so three files run at once.  A file that
# fails beside others runs once more, alone, and tells all it does: where three
# share two processors, a bound of time can be missed.  It fails if it fails
# again; what it said at first stands above.
run-tests:
	@rm -f $(BUILD)/prove.state
	$(PROVE) -j3 --state=save --statefile=$(BUILD)/prove.state $(TESTS) || \
	    { test -s $(BUILD)/prove.state && \
	    echo "Once more, alone: the files that failed" && \
	    $(PROVE) -v --state=failed --statefile=$(BUILD)/prove.state; }

# ---- what a change must pass first ----

CHECKED = $(LIB) $(MOD) $(patsubst %.c,%,$(wildcard t/*/*.c bench/*.c))
# What needs a library that is not there everywhere is not compiled here.
CHECKED_FILES = $(CHECKED:%=%.c) $(wildcard *.h src/*/*.h t/*/*.h bench/*.h) \
    $(wildcard bench/*/*.c)
CHECK_FLAGS = -Werror $(if $(filter $(MOD) t/lib/mod_% t/lib/atomics \
    $(SHOW_UNITS),$*),$(MOD_CFLAGS), \
    $(LIB_CFLAGS) \
    -It/unit $(if $(filter t/%,$*),-DIMX_FAULTS))
# Not for tests: what they leak ends with them.
ANALYZE = $(if $(filter t/% bench/%,$*),,-fanalyzer)

check:
	$(DEPS) build check
	@$(MAKE) --no-print-directory $(JOBS) all units check-sources
	$(PROVE) t/guard-*.t t/unit-*.t

check-sources: check-style check-gcc check-clang check-cppcheck
	@echo 'style, gcc, clang, cppcheck: nothing found'

check-style: $(BUILD)/check/style
check-gcc: $(CHECKED:%=$(BUILD)/check/gcc/%.o)
check-clang: $(CHECKED:%=$(BUILD)/check/clang/%.o)
check-cppcheck: $(BUILD)/check/cppcheck

$(BUILD)/check/style: $(CHECKED_FILES) .clang-format | $(BUILD)/unit
	@clang-format --dry-run -Werror $(CHECKED_FILES)
	@! grep -nE '.{81,}' $(CHECKED_FILES)
	@mkdir -p $(@D) && touch $@

format:
	clang-format -i $(CHECKED_FILES)

$(CHECKED:%=$(BUILD)/check/gcc/%.o): $(BUILD)/check/gcc/%.o: %.c | $(BUILD)/unit
	@mkdir -p $(@D)
	@gcc $(CHECK_FLAGS) $(ANALYZE) -MMD -MP -c -o $@ $<

$(CHECKED:%=$(BUILD)/check/clang/%.o): $(BUILD)/check/clang/%.o: %.c \
    | $(BUILD)/unit
	@mkdir -p $(@D)
	@clang $(CHECK_FLAGS) -MMD -MP -c -o $@ $<

# Without httpd's headers: what it needs of them is said here.
$(BUILD)/check/cppcheck: $(CHECKED_FILES) tools/cppcheck.txt | $(BUILD)/unit
	@cppcheck -j2 -q --error-exitcode=1 --inline-suppr --std=c11 \
	    --enable=warning,performance,portability --library=posix \
	    --suppressions-list=tools/cppcheck.txt -I. -Isrc -It/unit -DLINUX \
	    -D_GNU_SOURCE -DMODULE_MAGIC_NUMBER_MAJOR=20120211 \
	    '-DAPR_STRINGIFY(x)=#x' $(CHECKED:%=%.c)
	@mkdir -p $(@D) && touch $@

# ---- longer forms of tests ----

SOAK_SECONDS ?= 600

# Everything that can happen, at random; see tools/soak.pl.
soak:
	$(DEPS) build test
	@$(MAKE) --no-print-directory all $(BUILD)/unit/clock.so
	IMX_BUILD=$(BUILD) SOAK_SECONDS=$(SOAK_SECONDS) perl tools/soak.pl

STORM_SECONDS ?= 1800

# As root: what other users' processes can do to the shared memory.
storms:
	$(DEPS) build test
	@$(MAKE) --no-print-directory $(JOBS) all $(BUILD)/unit/atomics.so
	IMX_BUILD=$(BUILD) STORM_SECONDS=$(STORM_SECONDS) perl tools/storms.pl

STORMS_asan = $(ASAN)
STORMS_tsan = $(TSAN)

storms-asan storms-tsan: storms-%:
	IMX_PRELOAD="$(PRELOAD_$*)" \
	    $(MAKE) --no-print-directory BUILD=build/$* SANITIZE="$(STORMS_$*)" storms

# Real engines beside Debian's, which it builds or fetches: minutes, once.
ENGINES ?= questdb victoria-metrics vmagent telegraf kafka influxd1

test-engines:
	$(DEPS) build test
	@$(MAKE) --no-print-directory all
	IMX_ENGINES="$(ENGINES)" $(PROVE) -v t/engines.t

# Debian's package as Debian builds it, twice; make test has a shorter form.
test-package:
	$(DEPS) build test package
	@$(MAKE) --no-print-directory all
	IMX_PACKAGE=1 $(PROVE) -v t/package.t

# Each apxs in a build directory of its own.
compat:
	@APXS="$(APXS)" MAKE="$(MAKE)" BUILD="$(BUILD)" sh tools/compat.sh

# A hundred graceful restarts under load, a hundred holders killed.
test-restarts test-holders:
	$(DEPS) build test
	@$(MAKE) --no-print-directory all
	IMX_TIMES=100 $(PROVE) -v t/$(@:test-%=%).t

# The module with points at which it can be killed (FAULT() in the sources).
test-ticks:
	$(DEPS) build test
	@mkdir -p build/faults
	$(CC) -fPIC -DIMX_FAULTS -D_GNU_SOURCE -Isrc $(WARNINGS) -c \
	    -o build/faults/strike.o t/lib/strike.c
	@$(MAKE) --no-print-directory $(JOBS) BUILD=build/faults \
	    CFLAGS="$(CFLAGS) -DIMX_FAULTS" \
	    LIBS="build/faults/strike.o $(LIBS)" all
	IMX_BUILD=build/faults prove --timer -v t/long/killed-ticks.t

# SUITE: checkouts of httpd, mod_h2 or httpd-tests. SUITE_FLAGS: see the script.
httpd-suite:
	$(DEPS) build suite
	@$(MAKE) --no-print-directory all
	IMX_BUILD=$(BUILD) perl -It/lib tools/httpd-suite.pl $(SUITE_FLAGS) \
	    $(or $(SUITE),$(error SUITE=DIR, a checkout of httpd, is missing))

# ---- dashboards ----

dashboards:
	perl tools/dashboards/generate.pl

# ---- demo and benchmarks ----

demo:
	$(DEPS) build demo
	@$(MAKE) --no-print-directory all
	@perl -It/lib tools/demo.pl start

demo-stop:
	@perl -It/lib tools/demo.pl stop

# The pictures in dashboards/README.md, out of some minutes of real data.
pictures-dashboards:
	$(DEPS) build pictures
	@$(MAKE) --no-print-directory all
	IMX_BUILD=$(BUILD) perl tools/pictures/boards.pl

pictures:
	$(DEPS) build pictures
	@$(MAKE) --no-print-directory all
	IMX_BUILD=$(BUILD) perl -It/lib tools/pictures.pl

# Rounds of a benchmark that compares: ROUNDS=3 to try it.
ROUNDS ?= 20
# Of its long run, which takes a quarter of an hour.
GROWTH_REQUESTS ?= 10000000
BENCH = BENCH_ROUNDS=$(ROUNDS) GROWTH_REQUESTS=$(GROWTH_REQUESTS) \
    IMX_BUILD=$(BUILD)

# All that are about time, on a machine that does nothing else: two hours.
TIMED = bench-encoder bench-flusher bench-append bench-buffer bench bench-peers \
    bench-growth bench-hung bench-write bench-idle bench-scrape bench-vhosts \
    bench-beat

bench-all:
	for name in $(TIMED); do \
	    $(MAKE) --no-print-directory -j1 $$name || exit 1; done

bench:
	$(DEPS) build bench
	@$(MAKE) --no-print-directory all $(BENCH_PROGRAMS)
	$(BENCH) perl -It/lib bench/bench.pl

bench-instructions:
	$(DEPS) build bench
	@$(MAKE) --no-print-directory all $(BUILD)/bench-steps
	perl -It/lib bench/instructions.pl

bench-cardinality:
	$(DEPS) build test
	@$(MAKE) --no-print-directory all
	IMX_PATHS=400000 $(PROVE) -v t/cardinality.t

bench-fields:
	$(DEPS) build bench
	@$(MAKE) --no-print-directory all
	perl -It/lib bench/fields.pl

bench-vhosts bench-idle bench-counted bench-scrape bench-write bench-hung \
    bench-growth bench-bytes:
	$(DEPS) build bench
	@$(MAKE) --no-print-directory all $(BENCH_PROGRAMS)
	$(BENCH) perl bench/section.pl $(@:bench-%=%) perl -It/lib \
	    bench/$(@:bench-%=%).pl

# NGINX_MODULES="DIR...": checkouts of github.com/vozlt/nginx-module-vts and
# github.com/influxdata/nginx-influxdb-module, which no registry has.
bench-peers:
	$(DEPS) build bench peers
	@$(MAKE) --no-print-directory all $(BENCH_PROGRAMS)
	$(BENCH) NGINX_MODULES="$(NGINX_MODULES)" perl -It/lib bench/peers.pl

# Two cores of its own, and 40 minutes.  BEAT_MORE: runs for p99.9 alone, of four
# minutes each; its range is half as wide with four times as many turns.
BEAT_MORE ?= 5

bench-beat:
	$(DEPS) build bench
	@$(MAKE) --no-print-directory all $(BUILD)/bench-flusher
	$(BENCH) BEAT_MORE=$(BEAT_MORE) perl bench/section.pl beat perl -It/lib \
	    bench/beat.pl

BENCH_PROGRAMS = $(addprefix $(BUILD)/bench-,encoder flusher steps append load \
    buffer)

$(BUILD)/bench-flusher: $(addprefix bench/,sink.c sink.h flushed.c flushed.h cases.c \
    cases.h counting.c counting.h delay.c delay.h common.h)
$(BENCH_PROGRAMS): $(BUILD)/bench-%: bench/%.c $(LIB_OBJECTS)
	$(CC) $(LIB_CFLAGS) -o $@ $(filter-out %.h,$^) $(LIBS)

bench-flusher bench-append bench-buffer: bench-%:
	$(DEPS) build
	@$(MAKE) --no-print-directory $(BUILD)/bench-$*
	$(BENCH) perl bench/section.pl $* $(BUILD)/bench-$*

# QUESTDB_C=DIR: a checkout of github.com/questdb/c-questdb-client.  The other peers are built from
# registries, those that can be.
bench-encoder:
	$(DEPS) build
	@$(MAKE) --no-print-directory $(BUILD)/bench-encoder
	$(BENCH) QUESTDB_C="$(QUESTDB_C)" perl bench/section.pl encoder perl \
	    -It/lib bench/encoders.pl

# ---- simulation: delivery in a world of its own (t/sim) ----

# The rooms below httpd as one object whose system calls are the simulation's:
# of all but what talks to InfluxDB, what is needed.
SIM_LIB = $(filter-out %/influx.o,$(UNIT_LIB))
SIM_OBJECTS = $(patsubst t/sim/%.c,$(BUILD)/sim/%.o,$(wildcard t/sim/*.c))
SEEDS ?= 1000
FIRST ?= 1

$(BUILD)/sim/%.o: t/sim/%.c
	@mkdir -p $(@D)
	$(CC) $(LIB_CFLAGS) -DIMX_FAULTS -MMD -c -o $@ $<

SIM_USES = $(BUILD)/sim/product.o $(BUILD)/sim/client.o

$(BUILD)/sim/product-under-test.o: $(SIM_LIB) $(SIM_USES) t/sim/calls.txt
	@mkdir -p $(@D)
	rm -f $@.a
	$(AR) rcs $@.a $(SIM_LIB)
	$(LD) -r -o $@.all \
	    $$(nm -u $(SIM_USES) | sed -n 's/ *U \(imx_\)/-u \1/p') $@.a
	sed 's/.*/& sim_&/' t/sim/calls.txt >$@.names
	objcopy --redefine-syms=$@.names $@.all $@

$(BUILD)/sim/simulate: $(SIM_OBJECTS) $(BUILD)/sim/product-under-test.o
	$(CC) $(SANITIZE) $(LDFLAGS) -o $@ $^ -pthread

simulate:
	$(DEPS) build
	@$(MAKE) --no-print-directory $(BUILD)/sim/simulate
	$(BUILD)/sim/simulate $(if $(V),-v) $(if $(SEED),$(SEED) 1,$(FIRST) $(SEEDS))

# ---- fuzzing: t/fuzz/NAME.c attacks NAME.c ----

FUZZERS = $(patsubst t/fuzz/%.c,%,$(wildcard t/fuzz/*.c))
FUZZ_SECONDS ?= 60
FUZZ_CFLAGS = $(LIB_CFLAGS) -O1 -It/unit
FUZZ_OBJECTS = $(LIB:%=$(BUILD)/fuzz/o/%.o) $(BUILD)/fuzz/o/t/unit/judge.o
REPLAY_OBJECTS = $(LIB:%=$(BUILD)/replay/o/%.o) \
    $(BUILD)/replay/o/t/unit/judge.o $(BUILD)/replay/o/t/lib/replay.o

$(BUILD)/fuzz/o/%.o: %.c
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c \
	    -o $@ $<

$(FUZZERS:%=$(BUILD)/fuzz/%): $(BUILD)/fuzz/%: $(BUILD)/fuzz/o/t/fuzz/%.o \
    $(FUZZ_OBJECTS)
	mkdir -p $(BUILD)/fuzz/corpus-$*
	clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS)

# The same without libFuzzer, for make test: t/fuzz-replay.t.  The sanitizers
# come with gcc, but not everywhere.
SANITIZE_IF_CAN = $(shell echo 'int main(void) { return 0; }' | $(CC) $(ASAN) \
    -x c - -o /dev/null 2>/dev/null && echo '$(ASAN)')
$(BUILD)/replay/%: private SANITIZE := $(SANITIZE_IF_CAN)

$(BUILD)/replay/o/%.o: %.c | $(BUILD)/unit
	@mkdir -p $(@D)
	$(CC) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(FUZZERS:%=$(BUILD)/replay/%): $(BUILD)/replay/%: \
    $(BUILD)/replay/o/t/fuzz/%.o $(REPLAY_OBJECTS)
	$(CC) $(SANITIZE) -o $@ $^ $(LIBS)

replays: $(FUZZERS:%=$(BUILD)/replay/%)

fuzz:
	$(DEPS) clang
	@$(MAKE) --no-print-directory $(FUZZERS:%=$(BUILD)/fuzz/%)
	for name in $(FUZZERS); do \
	    $(BUILD)/fuzz/$$name -max_total_time=$(FUZZ_SECONDS) \
	        -artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/corpus-$$name \
	        $$(ls -d t/fuzz/corpus/$$name 2>/dev/null) || exit 1; \
	done

# ---- the rest ----

# apxs does not make the directory.
LIBEXECDIR = $(DESTDIR)$(shell $(APXS) -q LIBEXECDIR)
PREFIX ?= /usr/local
BINDIR = $(DESTDIR)$(PREFIX)/bin
MAN1DIR = $(DESTDIR)$(PREFIX)/share/man/man1
MAN8DIR = $(DESTDIR)$(PREFIX)/share/man/man8

install: all
	mkdir -p $(LIBEXECDIR) $(BINDIR) $(MAN1DIR) $(MAN8DIR)
	$(APXS) -S LIBEXECDIR=$(LIBEXECDIR) -i -n influx_metrics $(MODULE)
	install -m 755 top/influx-metrics-top $(BINDIR)
	install -m 644 top/influx-metrics-top.1 $(MAN1DIR)
	install -m 644 man/mod_influx_metrics.8 $(MAN8DIR)
	@DESTDIR=$(DESTDIR) APXS=$(APXS) sh tools/install-conf.sh

uninstall:
	rm -f $(LIBEXECDIR)/mod_influx_metrics.so $(BINDIR)/influx-metrics-top \
	    $(MAN1DIR)/influx-metrics-top.1 $(MAN8DIR)/mod_influx_metrics.8
	@DESTDIR=$(DESTDIR) APXS=$(APXS) sh tools/install-conf.sh --remove

VERSION = $(shell sed -n 's/^.define IMX_VERSION "\(.*\)"/\1/p' \
    src/base/version.h)

dist:
	sh tools/dist.sh mod_influx_metrics-$(VERSION).tar.gz
	@echo mod_influx_metrics-$(VERSION).tar.gz

clean:
	rm -rf $(BUILD)

.PHONY: all needs deps units replays simulate test test-asan test-tsan run-tests \
    soak storms storms-asan storms-tsan test-restarts test-holders test-ticks \
    test-engines httpd-suite fuzz demo demo-stop pictures pictures-dashboards \
    dashboards bench bench-instructions bench-fields bench-vhosts bench-idle \
    bench-counted bench-scrape bench-write bench-bytes bench-encoder bench-flusher \
    bench-hung bench-cardinality bench-append bench-growth bench-peers bench-all \
    bench-buffer bench-beat record-cost \
    install uninstall dist compat test-package check check-sources check-style check-gcc check-clang \
    check-cppcheck format clean
