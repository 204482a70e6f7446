# What people type. Everything here works on a fresh machine with Rust; `make test` installs what else it needs, and
# `make lint` builds linters with Go.

.PHONY: run test test-programs soak fuzz mill lint lint-deploy bench bench-parts generate packages test-packages test-image

# Shows the exporter at work on a simulated GREEN-API.
run:
	cargo run --release --locked -- demo

# Runs the whole suite.
test: test-programs
	cargo test --locked

# Installs the programs that the suite tests against.
test-programs:
	tests/install-programs

# Kills the exporter a thousand times and compares its counters with the truth; then lets everything else befall it for
# SOAK_SECONDS: some minutes in all.
SOAK_SECONDS ?= 180
soak:
	KILLS=1000 cargo test --locked --test exporter durability::no_status
	SOAK_SECONDS=$(SOAK_SECONDS) cargo test --locked --test exporter soak:: -- --nocapture

LAWS := accept authorization config exposition fold store web_config
FUZZ_SECONDS ?= 60
# Files are made by the million; what is in memory is faster than a disk and doesn't wear out.
FUZZ_IN := cd fuzz && TMPDIR=/dev/shm

# Looks for what breaks a law, FUZZ_SECONDS for each, led by coverage. It needs a nightly toolchain. There is no sanitizer: the
# exporter forbids `unsafe`.
fuzz:
	cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked --version 0.13.2
	for law in $(LAWS); do \
		mkdir -p fuzz/corpus/$$law && ($(FUZZ_IN) cargo +nightly fuzz run --fuzz-dir . --sanitizer none $$law \
			corpus/$$law seeds/$$law -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096) || exit 1; \
	done

# The same by numbers alone, many times as fast, and with a stable toolchain.
MILL_SEED ?= 1
mill:
	cd fuzz && cargo build --release --locked --bin mill
	for law in $(LAWS); do \
		($(FUZZ_IN) target/release/mill $$law $(FUZZ_SECONDS) $(MILL_SEED) seeds/$$law corpus/$$law) || exit 1; \
	done

# Checks what no test checks: formatting, lints, documentation, licences and origin of the dependencies, rules and
# dashboards. Where CI is set also what takes minutes and root: the packages and the image, built, run and removed.
lint: lint-deploy target/lint/pint target/lint/dashboard-linter $(if $(CI),test-packages test-image)
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --manifest-path fuzz/Cargo.toml --target-dir target --locked --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked --no-deps --document-private-items
	cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked --version 0.20.2
	cargo deny --locked check bans licenses sources
	target/lint/pint --offline --config deploy/prometheus/.pint.hcl lint --min-severity info --fail-on info deploy/prometheus/rules
	for dashboard in dashboards/*.json; do target/lint/dashboard-linter lint --strict $$dashboard || exit 1; done

# Compares the exporter with curl, other exporters and its targets: the tables of docs/performance.md.
bench: target/bench-python
	cargo bench --locked --bench scrape

# Measures the parts alone: the fold, the ledger and the page.
bench-parts:
	cargo bench --locked --bench fold --bench ledger --bench page

# What a user's own exporter would need.
target/bench-python:
	python3 -m venv $@
	$@/bin/pip install --quiet requests prometheus_client

# Linters of others, in the versions that their go.mod pins.
target/lint/%: tests/lint/%/go.mod
	go -C tests/lint/$* build -buildvcs=false -o $(CURDIR)/$@ tool

target/lint/crds: tests/lint/crds/main.go

# Checks what is deployed: chart, manifests, compose file, unit, workflows.
lint-deploy: target/lint/actionlint target/lint/compose target/lint/crds target/lint/helm target/lint/kustomize
	deploy/install-tools lint
	deploy/lint

# Makes anew what is made from one source.
generate:
	deploy/generate > deploy/kubernetes/prometheusrule.yaml

# Builds what a release has, the Debian package and the rpm among it, in target/release-files: for machines of this kind.
TARGET ?= $(shell rustc -vV | sed -n 's/^host: //p')
packages:
	deploy/install-tools packages
	deploy/build-release $(TARGET)

# Installs the Debian package here, runs it as its unit says, and removes it. As root; some minutes.
test-packages: packages
	deploy/test-packages $(TARGET)

# Builds the image without a registry, and runs it as locked up as can be. As root; some minutes.
test-image:
	deploy/install-tools image
	deploy/test-image
