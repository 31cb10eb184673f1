# Culvert: every entry point. "make help" lists them.
#
# Objects stand out of the tree in build/FLAVOUR/: release, asan, tsan, fuzz.
# Sources are found by wildcard; header dependencies come from -MMD.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
JOBS ?= $(shell nproc)
ifeq (,$(filter -j% --jobserver%,$(MAKEFLAGS)))
MAKEFLAGS += -j$(JOBS)
endif

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
T ?= 60
N ?=
K ?=
ONCE ?=
SCENARIO ?=

# Targets that compile nothing need no dependencies.
OFFLINE := clean help
GOALS := $(filter-out $(OFFLINE),$(or $(MAKECMDGOALS),all))

# --- dependencies --------------------------------------------------------
# Packages that the goals need, and wolfSSL, before anything is compiled.
# Both are quick and silent when all is there.
NEEDS := build
NEEDS += $(if $(filter demo,$(GOALS)),demo)
NEEDS += $(if $(filter test test-unit test-integration tsan fault kills \
	soak soak-% tests-%,$(GOALS)),test)
NEEDS += $(if $(filter lint,$(GOALS)),lint)
NEEDS += $(if $(filter fuzz,$(GOALS)),fuzz)
NEEDS += $(if $(filter bench,$(GOALS)),bench)

ifneq (,$(GOALS))
ifndef CULVERT_WOLFSSL
DEPS_DONE := $(shell packaging/deps.sh $(NEEDS) >&2 && \
	packaging/wolfssl.sh >&2 && echo yes)
ifneq (yes,$(DEPS_DONE))
$(error dependencies are missing (the reason is above))
endif
endif
WOLFSSL := $(shell packaging/wolfssl.sh --print-prefix)
WOLFSSL_VERSION := $(shell packaging/wolfssl.sh --print-version)
endif

# --- version -------------------------------------------------------------
# A tagged commit is its tag; between tags the changelog's version, and which
# commit, so that a later one is also the greater one for dpkg.
RELEASED := $(shell sed -n 's/^\#\# \[\([0-9][0-9.]*\)\].*/\1/p' \
	CHANGELOG.md 2>/dev/null | head -n 1)
TAG := $(shell git describe --exact-match --match 'v[0-9]*' 2>/dev/null)
REVISION := $(shell git rev-list --count HEAD 2>/dev/null).$(shell \
	git describe --always --dirty --exclude '*' 2>/dev/null)
VERSION := $(or $(TAG:v%=%),$(or $(RELEASED),0.1.0)$(if \
	$(filter-out .,$(REVISION)),+git$(REVISION)))

# --- sources -------------------------------------------------------------
SRC := $(filter-out proxy/main.c,$(wildcard proxy/*.c proxy/*/*.c \
	policy/*.c store/*.c web-status/*.c))
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_HELP := $(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c))
FUZZ := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
# In tests/fault every file with a main is a program, every shim_X.c an object
# for LD_PRELOAD, the others are linked into each program.
SHIM := $(wildcard tests/fault/shim_*.c)
FAULT := $(shell grep -lE '^int main[[:punct:]]' tests/fault/*.c 2>/dev/null)
FAULT_HELP := $(filter-out $(FAULT) $(SHIM),$(wildcard tests/fault/*.c))
# Bench programs that are made of our own code: they fill and ask a ledger.
STORED := fill views
FILL_PARTS := $(wildcard tests/bench/fill_*.c)
# Only these are compiled again when the version changes.
VERSIONED := $(shell grep -lE 'CULVERT_(WOLFSSL_)?VERSION' proxy/*.c \
	proxy/*/*.c policy/*.c store/*.c web-status/*.c 2>/dev/null)

# --- flags ---------------------------------------------------------------
WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Werror
CPPFLAGS_ALL := -D_GNU_SOURCE -I. -isystem $(WOLFSSL)/include \
	-DCULVERT_VERSION='"$(VERSION)"' \
	-DCULVERT_WOLFSSL_VERSION='"$(WOLFSSL_VERSION)"' $(CPPFLAGS)
CFLAGS_ALL := -std=c11 -g -pthread -fno-common $(WARN)
LIBS := $(WOLFSSL)/lib/libwolfssl.a -luv -lyaml -lsqlite3 -lmicrohttpd \
	-ljansson -largon2 -lz -lm
LDFLAGS_ALL := -pthread -Wl,--as-needed -Wl,-z,relro,-z,now,-z,noexecstack

CF_PROTECTION := $(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
UBSAN := undefined
CC_release := $(if $(filter default,$(origin CC)),gcc,$(CC))
CFLAGS_release := -O2 -fPIE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 \
	-fstack-protector-strong -fstack-clash-protection $(CF_PROTECTION)
LDFLAGS_release := -pie
# CULVERT_TEST_HOOKS: faults that tests ask for by the environment.
CC_asan := gcc
CFLAGS_asan := -DCULVERT_TEST_HOOKS -O1 -fno-omit-frame-pointer -fPIE \
	-fsanitize=address,$(UBSAN) -fno-sanitize-recover=all
LDFLAGS_asan := -pie -fsanitize=address,$(UBSAN)
CC_tsan := gcc
CFLAGS_tsan := -DCULVERT_TEST_HOOKS -O1 -fno-omit-frame-pointer -fPIE -fsanitize=thread
LDFLAGS_tsan := -pie -fsanitize=thread
CC_fuzz := clang
CFLAGS_fuzz := -O1 -fno-omit-frame-pointer \
	-fsanitize=fuzzer-no-link,address,$(UBSAN) -fno-sanitize-recover=all
LDFLAGS_fuzz := -fsanitize=fuzzer,address,$(UBSAN)

# --- goals ---------------------------------------------------------------
.PHONY: all demo spreadsheet kills soak soak-link test test-unit test-integration tests-build tsan \
	lint fuzz fault bench bench-build fault-build install deb clean help \
	FORCE

all: build/release/culvert
	@echo "built: build/release/culvert ($(VERSION), wolfSSL" \
		"$(WOLFSSL_VERSION))"

help:
	@echo 'make                   release build: build/release/culvert'
	@echo 'make demo [ONCE=1]     edge and archive on this machine, one study'
	@echo 'make test              ASan+UBSan: unit, corpora, integration'
	@echo 'make test-unit [K=x]   only unit tests (whose name contains x)'
	@echo 'make test-integration [K=expr]  only pytest, with -k expr'
	@echo 'make tsan              unit and marked integration tests, TSan'
	@echo 'make lint              format, warnings, analysers, rules'
	@echo 'make fuzz [T=60] [K=x] each fuzz target for T seconds'
	@echo 'make fault [N=n]       crash and power-loss programs, n rounds'
	@echo 'make kills [N=2000]    kill -9 at N random moments, under load'
	@echo 'make spreadsheet       what LibreOffice makes of exported CSV'
	@echo 'make soak [MINUTES=10] 500 devices with all services, under ASan'
	@echo 'make soak-link [MINUTES=10] [MB=2000]  three edges in trouble for so'
	@echo '                       long, one object of that size, cut and killed'
	@echo 'make bench [SCENARIO=name]  the table of ratios, bench.json'
	@echo 'make install [DESTDIR=] [PREFIX=/usr/local] [SYSCONFDIR=/etc]'
	@echo 'make deb               build/culvert_VERSION_ARCH.deb'
	@echo 'make clean'
	@echo 'Anything missing is installed with apt first (sudo if not root).'

demo: build/release/culvert
	@ONCE='$(ONCE)' packaging/demo.sh

# $(call unit_bins,FLAVOUR), $(call replay_bins,FLAVOUR)
unit_bins = $(UNIT:%=build/$(1)/unit/%)
replay_bins = $(FUZZ:%=build/$(1)/replay/%)

tests-build: build/asan/culvert $(call unit_bins,asan) \
	$(call replay_bins,asan) fault-build bench-build

test: tests-build
	@tests/run.sh asan unit corpus integration

test-unit: $(call unit_bins,asan) $(call replay_bins,asan)
	@K='$(K)' tests/run.sh asan unit corpus

test-integration: build/asan/culvert fault-build bench-build
	@K='$(K)' tests/run.sh asan integration

tsan: build/tsan/culvert $(call unit_bins,tsan) fault-build bench-build
	@K='$(K)' tests/run.sh tsan unit integration

lint:
	@packaging/lint.sh $(CPPFLAGS_ALL)

fuzz: $(FUZZ:%=build/fuzz/%)
	@T='$(T)' K='$(K)' tests/fuzz/run.sh

fault-build: build/release/culvert $(FAULT:tests/fault/%.c=build/release/fault/%) \
	$(SHIM:tests/fault/%.c=build/release/fault/%.so)

fault: fault-build
	@if [ -x tests/fault/run ]; then N='$(N)' tests/fault/run; \
	else echo 'fault: tests/fault/run is not there' >&2; exit 1; fi

# kill -9 at random moments, N of them (20 run with every "make test").
kills: build/release/culvert
	@CULVERT=build/release/culvert CULVERT_KILLS='$(or $(N),2000)' \
		CULVERT_GAP=0.35 CULVERT_PACE=0.03 /usr/bin/python3 -m pytest \
		-p no:cacheprovider -q -s --timeout=0 \
		tests/integration/test_kill.py

# What LibreOffice, which must be installed, makes of the CSV.
spreadsheet: build/release/culvert
	@CULVERT=build/release/culvert CULVERT_SPREADSHEET=1 /usr/bin/python3 \
		-m pytest -p no:cacheprovider -q -s --timeout=0 \
		tests/integration/test_spreadsheet.py

# 500 devices at once, under ASan (for two minutes with every "make test").
soak: build/asan/culvert
	@CULVERT_SOAK='$(or $(MINUTES),10)' K='five_hundred_devices' \
		tests/run.sh asan integration

# Three edges and a cloud in trouble, and one large object over a line that is
# cut (two minutes and 200 MB with every "make test").
soak-link: build/asan/culvert bench-build
	@CULVERT_LINK_MINUTES='$(or $(MINUTES),10)' \
		CULVERT_LINK_MB='$(or $(MB),2000)' \
		K='edges_in_trouble or survives_cuts_and_kills' \
		tests/run.sh asan integration

# The load generator and the sink share no code with Culvert.
bench-build: $(STORED:%=build/release/bench/%)
	@if [ -f tests/bench/Makefile ]; then \
		$(MAKE) -s -C tests/bench OUT='$(CURDIR)/build/bench'; fi

bench: build/release/culvert bench-build
	@if [ -x tests/bench/run ]; then SCENARIO='$(SCENARIO)' tests/bench/run; \
	else echo 'bench: tests/bench/run is not there' >&2; exit 1; fi

install: build/release/culvert
	@PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' DESTDIR='$(DESTDIR)' \
		packaging/install.sh

deb: build/release/culvert
	@VERSION='$(VERSION)' packaging/deb.sh

clean:
	rm -rf build

# --- rules ---------------------------------------------------------------
build/version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION) $(WOLFSSL_VERSION)' | cmp -s - $@ || \
		echo '$(VERSION) $(WOLFSSL_VERSION)' >$@

# Other flags or another wolfSSL compiles everything again.
build/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(WOLFSSL) $(CFLAGS) $(LDFLAGS)' | cmp -s - $@ || \
		echo '$(WOLFSSL) $(CFLAGS) $(LDFLAGS)' >$@

FORCE:

# What the browser fetches, as one C file.
build/assets/assets_data.c: packaging/assets.sh packaging/notices \
		web-status/package-lock.json \
		web-status/assets $(wildcard web-status/assets/*)
	@echo "  assets $@"
	@packaging/assets.sh $@

# $(call flavour,NAME)
define flavour
build/$(1)/obj/%.o: %.c Makefile build/flags
	@mkdir -p $$(@D)
	@echo "  cc $(1) $$<"
	@$$(CC_$(1)) $$(CPPFLAGS_ALL) $$(CFLAGS_ALL) $$(CFLAGS_$(1)) \
		$$(CFLAGS) -MMD -MP -c $$< -o $$@

$(VERSIONED:%.c=build/$(1)/obj/%.o): build/version

build/$(1)/obj/web-status/assets_data.o: build/assets/assets_data.c Makefile \
		build/flags
	@mkdir -p $$(@D)
	@echo "  cc $(1) $$<"
	@$$(CC_$(1)) $$(CPPFLAGS_ALL) $$(CFLAGS_ALL) $$(CFLAGS_$(1)) \
		$$(CFLAGS) -MMD -MP -c $$< -o $$@

build/$(1)/libculvert.a: $(SRC:%.c=build/$(1)/obj/%.o) \
		build/$(1)/obj/web-status/assets_data.o
	@rm -f $$@
	@ar rcs $$@ $$^

build/$(1)/culvert: build/$(1)/obj/proxy/main.o build/$(1)/libculvert.a
	@echo "  ld $$@"
	@$$(CC_$(1)) $$(LDFLAGS_ALL) $$(LDFLAGS_$(1)) $$(LDFLAGS) $$^ \
		$$(LIBS) -o $$@

build/$(1)/unit/%: build/$(1)/obj/tests/unit/%.o build/$(1)/libculvert.a \
		$(UNIT_HELP:%.c=build/$(1)/obj/%.o)
	@mkdir -p $$(@D)
	@echo "  ld $$@"
	@$$(CC_$(1)) $$(LDFLAGS_ALL) $$(LDFLAGS_$(1)) $$(LDFLAGS) $$< \
		$$$$(tests/helpers.sh build/$(1)/obj $$*) \
		build/$(1)/libculvert.a -lcmocka $$(LIBS) -o $$@

build/$(1)/replay/%: build/$(1)/obj/tests/fuzz/%.o \
		build/$(1)/obj/tests/fuzz/replay_main.o build/$(1)/libculvert.a
	@mkdir -p $$(@D)
	@echo "  ld $$@"
	@$$(CC_$(1)) $$(LDFLAGS_ALL) $$(LDFLAGS_$(1)) $$(LDFLAGS) $$^ \
		$$(LIBS) -o $$@

build/$(1)/bench/fill: $(FILL_PARTS:%.c=build/$(1)/obj/%.o)
build/$(1)/bench/%: build/$(1)/obj/tests/bench/%.o \
		build/$(1)/obj/tests/bench/args.o build/$(1)/libculvert.a
	@mkdir -p $$(@D)
	@echo "  ld $$@"
	@$$(CC_$(1)) $$(LDFLAGS_ALL) $$(LDFLAGS_$(1)) $$(LDFLAGS) \
		$$(filter %.o,$$^) $$(filter %.a,$$^) $$(LIBS) -o $$@

build/$(1)/fault/%: build/$(1)/obj/tests/fault/%.o \
		$(FAULT_HELP:%.c=build/$(1)/obj/%.o) build/$(1)/libculvert.a
	@mkdir -p $$(@D)
	@echo "  ld $$@"
	@$$(CC_$(1)) $$(LDFLAGS_ALL) $$(LDFLAGS_$(1)) $$(LDFLAGS) $$^ \
		$$(LIBS) -o $$@
endef
FLAVOURS := release asan tsan fuzz
$(foreach f,$(FLAVOURS),$(eval $(call flavour,$(f))))
.SECONDARY:

build/fuzz/fuzz_%: build/fuzz/obj/tests/fuzz/fuzz_%.o build/fuzz/libculvert.a
	@echo "  ld $@"
	@$(CC_fuzz) $(LDFLAGS_ALL) $(LDFLAGS_fuzz) $^ $(LIBS) -o $@

# Preloaded into other programs: no sanitizer, no library of ours.
build/release/fault/%.so: tests/fault/%.c Makefile build/flags
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC_release) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -O2 -fPIC -shared \
		-MMD -MP -MF $(@:.so=.d) -MT $@ $< -ldl -o $@

-include $(shell find build/*/obj build/*/fault -type f -name '*.d' 2>/dev/null)
