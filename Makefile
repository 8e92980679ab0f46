# Two commands matter: `make run` and `make test`. `make help` lists the others.
SHELL := /bin/sh
SWIFT_BUILD := swift build -c release --static-swift-stdlib --explicit-target-dependency-import-check error
BINARY := .build/release/penstock

.DEFAULT_GOAL := help
.PHONY: help run test build release lint format soak image bench fuzz clean install

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

run: install build ## Build what is missing and start the gateway with its built-in simulated engines
	@exec $(BINARY) serve --simulate

test: install-test build ## Build and run all tests on a bare machine; ends with "N passed, N failed"
	@.ci/test

install: ## Install the Debian packages that a build needs
	@.ci/install build

.PHONY: install-test
install-test:
	@.ci/install test

build: ## Build the program: .build/release/penstock
	@$(SWIFT_BUILD) --product penstock

release: install build ## Build the program and strip it: .build/penstock
	@strip -o .build/penstock $(BINARY)
	@ls -l .build/penstock | awk '{ printf "%s, %.1f MB\n", $$NF, $$5 / 1e6 }'

lint: ## Check layout and house rules
	@.ci/test lint

format: ## Put the layout right
	@swift format -i -r Package.swift Sources Tests

soak: install-test build ## Mixed load with aborts and faults, SOAK_MINUTES (10)
	@SOAK_MINUTES=$${SOAK_MINUTES:-10} .ci/test soak

bench: ## How to measure against other proxies
	@echo 'Measure with the project-independent driver bench.py, which puts every peer before the same engine:'
	@echo '  PENSTOCK_BIN=$(CURDIR)/$(BINARY) PENSTOCK_CONFIG_IN=$(CURDIR)/Tests/Benchmarks/bench.yaml.in \'
	@echo '    bench.py --peers direct,penstock,nghttpx --scenarios U1,U2,S2'

fuzz: ## Fuzz the parsers, FUZZ_SECONDS (600) each
	@for target in $$(ls Fuzz/corpus); do Fuzz/run $$target $${FUZZ_SECONDS:-600} || exit 1; done

image: ## Build the container image
	@docker build -t penstock .

clean: ## Remove what was built
	@rm -rf .build
