# psyche: the commands people need. `make help` lists them.
SHELL := /bin/bash
BIN := target/debug/psyche

.PHONY: help run test chaos bench bench-live bench-replicas bench-web check web build weights clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: build weights ## build everything, fetch the model once, start, and print the address
	@$(BIN) serve

test: ## install what the tests need, run all of them, print the time of each suite
	@cargo run --locked --quiet --package xtask -- test

chaos: ## put replicas under every fault at full length, five rounds
	@cargo run --locked --quiet --package xtask -- chaos

check: ## fmt, clippy, tidy and the supply chain
	@cargo run --locked --quiet --package xtask -- check

bench: build weights ## measure what the project promises, in a release build
	@cargo build --locked --release --workspace --examples
	@echo "== measures"; target/release/examples/bench_measures
	@echo "== store, against bare SQLite"; target/release/examples/bench_store target
	@echo "== engine"; target/release/examples/bench_engine
	@echo "== measures of whole sessions"; target/release/examples/bench_analysis
	@echo "== analysis"; target/release/examples/bench_session_analysis
	@echo "== embedded model"; target/release/examples/bench data/models/SmolLM2-135M-Instruct.Q4_1.gguf
	@echo "== one utterance in all"; target/release/examples/bench_utterance data/models/all-MiniLM-L6-v2.int8.onnx
	@echo "== sentence encoder"; target/release/examples/bench_encoder data/models/all-MiniLM-L6-v2.int8.onnx

bench-live: web ## measure live delivery against its floors, every row of its table
	@cargo run --locked --quiet --package xtask -- load

bench-replicas: ## turns a second in PostgreSQL by one replica and two, beside pgbench with the same statements
	@cargo build --locked --release --workspace --example bench_replicas
	@target/release/examples/bench_replicas

bench-web: web ## measure the dashboard: 200 and 1,000 events a second through the server, and what a visit weighs
	@cargo build --locked --release --workspace
	@cd web && PSYCHE_BIN=../target/release/psyche npm run --silent bench && npm run --silent budgets

build: web
	@cargo build --locked --workspace

web: web/dist/index.html

web/dist/index.html: web/package-lock.json web/index.html web/vite.config.ts $(shell find web/src web/public -type f 2>/dev/null)
	@command -v npm >/dev/null || { echo "Node.js 20 with npm is needed to build the dashboard"; exit 1; }
	@cd web && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && npm run --silent build
	@touch web/dist/index.html

weights:
	@$(BIN) model fetch || echo "Without the weights psyche starts all the same and offers the scripted model, labelled as such."

clean: ## remove what the builds made; sessions in data/ stay
	@rm -rf target web/dist web/node_modules
