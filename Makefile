# What people type. Everything here works on a fresh machine with Rust; `make test` installs what else it needs.

.PHONY: run test test-programs soak lint bench bench-parts

# Shows the exporter at work on a simulated GREEN-API.
run:
	cargo run --release --locked -- demo

# Runs the whole suite.
test: test-programs
	cargo test --locked

# Installs the programs that the suite tests against.
test-programs:
	tests/install-programs

# Kills the exporter a thousand times and compares its counters with the truth: some minutes.
soak:
	KILLS=1000 cargo test --locked --test exporter durability::no_status

# Checks what no test checks: form, lints, documentation, licences and origin of the dependencies.
lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked --no-deps --document-private-items
	cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked --version 0.20.2
	cargo deny --locked check bans licenses sources

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
