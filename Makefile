# The commands of this project. Each one installs what it needs first (`tools/install`), and does no set-up work when all is there.
# Tools that are built for us live in $HOME/.cache/tidegate, keyed by version; nothing is kept in the checkout but `target`.

.DEFAULT_GOAL := help
.PHONY: help demo test check tools bench bench-load bench-kafka bench-sources bench-flink mutants vectors format lint lint-minimal docs dependencies layers generated

CARGO ?= cargo
# A lock file that is out of date is an error in CI; on a desk cargo brings it up to date.
LOCKED := $(if $(filter true,$(CI)),--locked)
STAGE := tools/stage

help: ## print these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The demo needs a compiler and nothing else: no Redis, no cargo-deny. A debug build starts soonest, and speed is not what it shows.
demo: ## watch workers go 0 -> N -> 0; needs no server
	@tools/install compiler
	@$(CARGO) run $(LOCKED) --bin tidegate -- demo $(ARGS)

test: ## all tests, with a real Redis, RabbitMQ, Prometheus, Kafka and Flink, a real control plane and the demo itself
	@tools/install compiler redis rabbitmq prometheus kafka mongodb flink control-plane
	@$(STAGE) test $(CARGO) test $(LOCKED) --workspace

check: format lint lint-minimal docs dependencies layers generated ## everything that can be said without running tests

tools: ## install what is missing for check, test and demo
	@tools/install compiler redis rabbitmq prometheus kafka mongodb flink control-plane deny

bench: ## all benchmarks, see docs/benchmarks.md
	@tools/install compiler
	@$(CARGO) bench $(LOCKED) --workspace --bench '*'
	@$(MAKE) --no-print-directory bench-load bench-kafka bench-sources bench-flink

# The tests are built for release, and with them the program that they run.
bench-load: ## the load benchmark alone; TIDEGATE_BENCH_OBJECTS=100,1000 leaves out the longest part
	@tools/install compiler redis control-plane
	@$(STAGE) bench-load $(CARGO) test $(LOCKED) --release --test integration -- --ignored --exact --nocapture cluster::load

bench-kafka: ## the Kafka benchmark alone: 500 consumer groups on one broker
	@tools/install compiler kafka control-plane
	@$(STAGE) bench-kafka $(CARGO) test $(LOCKED) --release --test integration -- --ignored --exact --nocapture cluster::kafka::load

bench-sources: ## the benchmark of sources alone: 1,000 triggers on one server each of Redis, Kafka, RabbitMQ and Prometheus
	@tools/install compiler redis kafka rabbitmq prometheus control-plane
	@$(STAGE) bench-sources $(CARGO) test $(LOCKED) --release --test integration -- --ignored --exact --nocapture cluster::load::sources

bench-flink: ## the benchmark of Flink alone: what a change of TaskManagers costs a job; TIDEGATE_BENCH_ROUNDS=1 makes each once
	@tools/install compiler flink control-plane
	@$(STAGE) bench-flink $(CARGO) test $(LOCKED) --release --test integration -- --ignored --exact --nocapture cluster::flink::figures

# Each mutant runs all tests: the properties are tried less often than usual, or this would take a day. Exit code 3 says that some
# tests did not end within their time, which is as red as a test can be.
mutants: ## change the calculator in every way its tests should notice; fails when one survives
	@tools/install compiler mutants
	@PROPTEST_CASES=100 tools/with-tools $(CARGO) mutants --package tidegate-calculator $(ARGS) || [ $$? -eq 3 ]

vectors: ## the HPA's conformance cases alone; TIDEGATE_VECTORS names another directory of them
	@tools/install compiler
	@$(CARGO) test $(LOCKED) -p tidegate-calculator --test vectors -- --nocapture

# The parts of `check`, one by one.

format: ## check: the code is formatted
	@tools/install compiler
	@$(STAGE) format $(CARGO) fmt --all --check

lint: ## check: clippy with all features
	@tools/install compiler
	@$(STAGE) lint $(CARGO) clippy $(LOCKED) --workspace --all-targets --all-features -- -D warnings

# With no features at all: a trigger module that another one needs by accident shows up here.
lint-minimal: ## check: clippy with no features
	@tools/install compiler
	@$(STAGE) lint-minimal $(CARGO) clippy $(LOCKED) --workspace --all-targets --no-default-features -- -D warnings

# Whoever reads it works on it: private items are documented too, and may be linked to.
docs: ## check: the code's documentation has no broken link
	@tools/install compiler
	@$(STAGE) docs env RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' $(CARGO) doc $(LOCKED) --workspace --all-features --no-deps --document-private-items --quiet

dependencies: ## check: licences, sources and banned crates (deny.toml)
	@tools/install compiler deny
	@$(STAGE) dependencies tools/with-tools $(CARGO) deny --workspace --all-features check --hide-inclusion-graph bans licenses sources

layers: ## check: who may depend on what
	@tools/install compiler
	@$(STAGE) layers tools/check-layers

generated: ## check: the files that are printed by the code are what it prints
	@tools/install compiler
	@$(STAGE) generated tools/check-generated
