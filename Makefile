# One vocabulary for people, hook, and CI. `make help` lists it.
#
# Everything builds in the dev profile and in one target directory outside the tree, so that the dependencies are
# compiled once, whichever command comes first.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(HOME)/.cache/tidemill/target
TIDEMILL := $(CARGO_TARGET_DIR)/debug/tidemill
LEFT_BEHIND := $(CARGO_TARGET_DIR)/left-behind
ARGS ?=

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup-build setup-test
setup-build:
	@scripts/setup.sh build
setup-test:
	@scripts/setup.sh test

.PHONY: build
build: setup-build ## the binary, at $CARGO_TARGET_DIR/debug/tidemill
	cargo build --workspace --bin tidemill

.PHONY: demo
demo: build ## the server with an event generator and two running queries; ARGS="--rate 5000 --seconds 30"
	@exec $(TIDEMILL) demo $(ARGS)

.PHONY: check
check: setup-build ## formatting, lints, and the repository's own rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo test --workspace --test tidy

# The compatibility tests come last and one at a time: the last of them runs Kafka's dump tool over every segment and
# index that any test before it left behind. What they print is what each client checked.
.PHONY: test
test: setup-test ## every test
	rm -rf $(LEFT_BEHIND)
	cargo build --workspace --all-targets
	cargo test --workspace --lib --bins --test it --test tidy
	cargo test --workspace --doc
	cargo test --workspace --test compat -- --test-threads=1 --show-output

.PHONY: compat
compat: setup-test ## real clients only; ARGS=kcat runs one of them
	cargo build --workspace --bin tidemill
	cargo test --workspace --test compat -- --test-threads=1 --show-output $(ARGS)

.PHONY: ci
ci: setup-test ## what must pass before a change lands
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	$(MAKE) --no-print-directory test

# Not part of `ci`: the tool takes minutes to build, and the advisories change when the tree does not.
.PHONY: deny
deny: ## licences, sources and known faults of the dependencies, by cargo-deny; ARGS="licenses bans sources"
	@command -v cargo-deny > /dev/null || cargo install --locked cargo-deny@0.20.2
	cargo deny check $(ARGS)

# The dependencies are those of every other build; only our own code is compiled again, fully optimised.
.PHONY: bench-build
bench-build: setup-build ## the binaries that benchmarks measure, at $CARGO_TARGET_DIR/bench
	CARGO_PROFILE_DEV_OPT_LEVEL=3 CARGO_PROFILE_DEV_DEBUG_ASSERTIONS=false CARGO_PROFILE_DEV_OVERFLOW_CHECKS=false \
		cargo build --workspace --bin tidemill --bin bids
	install -D -t $(CARGO_TARGET_DIR)/bench $(TIDEMILL) $(CARGO_TARGET_DIR)/debug/bids

.PHONY: bench
bench: bench-build setup-test ## the load of benches/README.md against Tidemill and Apache Kafka; RECORDS=300000 EVENTS=3000000
	benches/broker.sh $(RECORDS)
	benches/stream.sh $(EVENTS)

.PHONY: docs
docs: ## writes the generated pages; then links lead somewhere, and commands that pages name exist
	TIDEMILL_UPDATE_DOCS=1 cargo test --workspace --lib pages::
	cargo test --workspace --test tidy docs
