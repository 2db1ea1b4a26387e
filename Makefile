# Copyright The Countersign Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Every target builds or installs what it needs, and only what is missing.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .cache/bin
STACK := $(BIN)/stack
APIS := ./pkg/apis/policy/...
CRDS := config/crd/bases
SIGSTORE_APIS := paths=./pkg/apis/sigstore/v1alpha1 paths=./pkg/apis/sigstore/v1beta1
SIGSTORE_CRDS := config/policy.sigstore.dev
BOILERPLATE := pkg/apis/boilerplate.go.txt

# Packages whose coverage is promised in docs/design/testing.md.
COVERED := ./pkg/tlog/... ./pkg/verify/...

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the program: bin/countersign
	go build -trimpath -o bin/ ./cmd/countersign

.PHONY: demo
demo: $(if $(filter v1,$(LOG)),stack-tools,demo-tools) ## show in under a minute what Countersign does, with a Rekor v2 (LOG=v1: a Rekor v1)
	@$(STACK) demo $(LOG)

.PHONY: test
test: test-unit test-oldest e2e ## run all tests: unit and e2e, both with the race detector

.PHONY: test-unit
test-unit: ## run the unit tests with the race detector
	@tools/system-packages.sh race
	go test -race ./...
	go test -tags nokms -run KMS ./cmd/countersign

.PHONY: test-oldest
test-oldest: ## hold the manifests in config/ against the oldest Kubernetes that they are for
	cd tools/oldest && go test -count=1 ./... # the cache would not see that a manifest changed

# How many scenarios run at a time: most of them wait, for polls and for pauses that end.
SCENARIOS ?= 4

.PHONY: e2e
e2e: stack-tools ## run the scenarios against the real components (RUN=regexp for some of them)
	@tools/system-packages.sh race
	CS_RACE=1 go test -race -tags e2e -count=1 -timeout 30m -parallel $(SCENARIOS) $(if $(RUN),-v -run '$(RUN)') ./e2e/

.PHONY: stack
stack: stack-tools ## start the real components and countersign, and leave them running: source .cache/stack/env
	@$(STACK) up

.PHONY: stack-down
stack-down: ## stop what `make stack` started
	@if [[ -x $(STACK) ]]; then $(STACK) down; else echo "no stack is up"; fi

FUZZTIME ?= 10m

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (10m); RUN=regexp for some of them
	@tools/fuzz.sh $(FUZZTIME) '$(RUN)'

.PHONY: bench
bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: cover
cover: ## print the statement coverage of pkg/tlog and pkg/verify by their own tests
	@mkdir -p .cache
	@go test -coverprofile .cache/cover.out $(COVERED)
	@go tool cover -func .cache/cover.out | tail -n 1

.PHONY: generate
generate: ## generate Go code from the API types
	@tools/build.sh controller-gen
	$(BIN)/controller-gen object:headerFile=$(BOILERPLATE) paths=$(APIS)

.PHONY: manifests
manifests: ## generate the CRDs from the API types
	@tools/build.sh controller-gen
	$(BIN)/controller-gen crd paths=$(APIS) output:crd:dir=$(CRDS)
	$(BIN)/controller-gen crd $(SIGSTORE_APIS) output:crd:dir=$(SIGSTORE_CRDS)

.PHONY: lint
lint: ## check style, imports, generated files, go.mod and scripts
	@tools/build.sh controller-gen golangci-lint
	@tools/check-generated.sh
	go vet -tags e2e ./...
	go vet -tags nokms ./cmd/countersign
	GOLANGCI_LINT_CACHE=$(CURDIR)/.cache/golangci-lint $(BIN)/golangci-lint run
	@for script in tools/*.sh .ci/run; do bash -n "$$script"; done

.PHONY: tools
tools: ## build all pinned tools and components (about 15 minutes on 2 cores the first time)
	@tools/system-packages.sh stack
	@tools/build.sh stack controller-gen golangci-lint

.PHONY: clean
clean: stack-down ## stop the stack and remove what was built, except for the pinned tools
	rm -rf bin .cache/run .cache/stack .cache/log .cache/cover.out

# stack-tools is what the e2e harness needs before it can start.
.PHONY: stack-tools
stack-tools:
	@tools/system-packages.sh stack
	@tools/build.sh stack
	@go build -o $(STACK) ./e2e/cmd/stack

# demo-tools is what the demo needs before it can start: no system package.
.PHONY: demo-tools
demo-tools:
	@tools/build.sh demo
	@go build -o $(STACK) ./e2e/cmd/stack
