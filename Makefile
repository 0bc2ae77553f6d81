# `make help` says what there is.

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
APT = $(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends
BROWSER_DEPS := tests/browser/node_modules/.package-lock.json
INTEROP_DEPS := tests/interop/node/node_modules/.package-lock.json
VUE_DEPS := examples/vue/node_modules/.package-lock.json
PYTHON_DEPS := tests/interop/python/.venv/installed
BENCH_DEPS := tests/bench/node/node_modules/.package-lock.json

.DEFAULT_GOAL := help

##@ Run

.PHONY: run
run: ## Start the server
	cargo run --locked --release -- serve

.PHONY: check-config
check-config: ## Say what the configuration amounts to
	cargo run --locked --release -- check

##@ Test

.PHONY: test
test: ## Unit tests, the commands, and the server against peers on loopback
	cargo test --locked --lib --bins --test commands --test readme --test loopback

.PHONY: interop
interop: $(INTEROP_DEPS) $(PYTHON_DEPS) $(BROWSER_DEPS) ## With coturn's, matchbox's, aiortc's and npm's clients, behind nginx, and with an ACME authority (see deps-interop)
	cargo test --locked --test interop
	cargo build --locked
	cd tests/interop/node && LANTURN_BIN=$(CURDIR)/target/debug/lanturn npm test --silent
	cd tests/browser && LANTURN_BIN=$(CURDIR)/target/debug/lanturn npm run clients --silent
	@if [ "$$(id -u)" = 0 ]; then \
		cargo test --locked --test nat -- avahi && cargo test --locked --test nat -- router_lets_in; \
		else echo "interop: avahi and miniupnpd NOT RUN: their network namespaces need root"; fi

.PHONY: browser
browser: types $(VUE_DEPS) ## Against Chromium and Firefox (see deps-browser)
	cargo build --locked
	cd tests/browser && LANTURN_BIN=$(CURDIR)/target/debug/lanturn npm test --silent

.PHONY: nat
nat: $(BROWSER_DEPS) ## Across NATs, in network namespaces, with Chromium too (needs root; see deps-nat)
	cargo test --locked --test nat

.PHONY: fuzz
fuzz: ## Hostile input, FUZZ_SECONDS for each target (10)
	tests/fuzz/run

.PHONY: bench
bench: ## What a packet and a message cost, beside other servers (see deps-bench; or BENCH_ROWS=signaling)
	tests/bench/run

##@ Check

.PHONY: check
check: fmt clippy doc architecture types deny advisories ## All of the below

.PHONY: fmt
fmt: ## Formatting
	cargo fmt --check

.PHONY: clippy
clippy: ## Lints
	cargo clippy --locked --all-targets --test interop --test nat -- -D warnings

.PHONY: doc
doc: ## The documentation builds without a warning
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

.PHONY: architecture
architecture: ## The dependency rules between modules
	cargo test --locked --test architecture

.PHONY: types
types: $(BROWSER_DEPS) ## The types of the page, of lanturn.js and of the tests in browsers
	cd tests/browser && npm run types --silent

.PHONY: deny
deny: deps-check ## Licences and sources of the dependencies
	cargo deny --locked check licenses bans sources

.PHONY: advisories
advisories: deps-check ## Known holes of the dependencies, if their list can be fetched
	@if cargo deny --locked fetch db; then cargo deny --locked check --disable-fetch advisories; \
		else echo "advisories: NOT CHECKED, because their list cannot be fetched"; fi

##@ Setup

.PHONY: deps-check
deps-check: ## What `check` needs: rustfmt, clippy, cargo-deny, Node.js with TypeScript
	@cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
	@cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny
	@command -v node >/dev/null && command -v npm >/dev/null || { $(APT) nodejs npm; }
	@$(MAKE) --no-print-directory $(BROWSER_DEPS)

.PHONY: deps-interop
deps-interop: deps-browser deps-nat ## What `interop` needs: that of `nat`, coturn, nginx, Pebble, Python and Node.js with the clients, Chromium
	@command -v turnutils_uclient >/dev/null && command -v turnserver >/dev/null && command -v nginx >/dev/null && \
		command -v pebble >/dev/null && command -v pebble-challtestsrv >/dev/null || \
		{ $(APT) coturn nginx-light pebble; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { $(APT) python3 python3-venv; }
	@$(MAKE) --no-print-directory $(INTEROP_DEPS) $(PYTHON_DEPS)

$(INTEROP_DEPS): tests/interop/node/package-lock.json
	cd tests/interop/node && npm ci --no-audit --no-fund

$(PYTHON_DEPS): tests/interop/python/requirements.txt
	cd tests/interop/python && python3 -m venv --clear .venv && \
		.venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt && touch .venv/installed

.PHONY: deps-bench
deps-bench: ## What `bench` needs: coturn, Node.js with socket.io and PeerServer
	@command -v turnutils_uclient >/dev/null && command -v turnserver >/dev/null || { $(APT) coturn; }
	@command -v node >/dev/null && command -v npm >/dev/null || { $(APT) nodejs npm; }
	@$(MAKE) --no-print-directory $(BENCH_DEPS)

$(BENCH_DEPS): tests/bench/node/package-lock.json
	cd tests/bench/node && npm ci --no-audit --no-fund

.PHONY: deps-browser
deps-browser: ## What `browser` needs: Chromium, Firefox, a Korean font, Node.js
	@command -v node >/dev/null && command -v npm >/dev/null || { $(APT) nodejs npm; }
	@command -v chromium >/dev/null && command -v firefox-esr >/dev/null && command -v certutil >/dev/null && \
		command -v openssl >/dev/null && \
		fc-list :lang=ko | grep -q . || \
		{ $(APT) chromium firefox-esr libnss3-tools openssl fonts-noto-cjk; }
	@$(MAKE) --no-print-directory $(BROWSER_DEPS) $(VUE_DEPS)

$(BROWSER_DEPS): tests/browser/package-lock.json
	cd tests/browser && PUPPETEER_SKIP_DOWNLOAD=1 npm ci --no-audit --no-fund

$(VUE_DEPS): examples/vue/package-lock.json
	cd examples/vue && npm ci --no-audit --no-fund

.PHONY: deps-nat
deps-nat: deps-browser ## What `nat` needs: nft, ip, avahi, miniupnpd, coturn and Chromium
	@command -v nft >/dev/null && command -v ip >/dev/null && command -v avahi-browse >/dev/null && \
		command -v dbus-daemon >/dev/null && command -v miniupnpd >/dev/null && \
		command -v turnutils_natdiscovery >/dev/null || \
		{ $(APT) nftables iproute2 avahi-daemon avahi-utils dbus miniupnpd-nftables coturn; }

.PHONY: help
help: ## This
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
