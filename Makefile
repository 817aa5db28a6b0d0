# Cairn. `make help` lists what can be asked for.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
FUZZTIME ?= 10s
UI := web/dashboard

export FILE ONCE FUZZTIME

.PHONY: all build dashboard binary demo test lint fuzz cross bench clean help

all: build

## build: dashboard and static binary bin/cairn, version stamped
build: dashboard
	@$(MAKE) --no-print-directory binary

## binary: bin/cairn with whatever dashboard is built
binary:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/cairn ./cmd/cairn

# Without Node the binary is built all the same; its dashboard is then a page that says so.
ifneq ($(shell command -v npm 2>/dev/null),)
dashboard: $(UI)/dist/index.html
else
dashboard:
	@echo "no Node (20.19 or newer) here: the binary gets a placeholder in the place of the dashboard"
endif

$(UI)/node_modules/.package-lock.json: $(UI)/package-lock.json
	cd $(UI) && npm ci --no-audit --no-fund
	@touch $@

UI_SOURCES := $(shell find $(UI)/src $(UI)/public $(UI)/index.html $(UI)/*.ts $(UI)/*.js -type f 2>/dev/null)

$(UI)/dist/index.html: $(UI)/node_modules/.package-lock.json $(UI_SOURCES)
	cd $(UI) && npm run --silent build

## demo: three peers on this machine move a file (FILE=path, ONCE=1 to end after the comparison)
demo: build
	@CAIRN_BIN=bin/cairn go run ./testnet/demo

## test: everything that must hold; what could not run is named at the end
test:
	@testnet/ci/run.sh

## lint: gofmt, vet, staticcheck, layer rules
lint:
	@testnet/ci/run.sh gofmt vet staticcheck layers

## fuzz: every fuzz target for FUZZTIME (10s)
fuzz:
	@testnet/ci/fuzz.sh

## cross: build for linux, macOS and Windows on amd64 and arm64
cross:
	@testnet/ci/run.sh cross

## bench: the numbers, with the limits of this machine beside them (BENCH="-quick -only swarm,get": one run each, of these)
bench: build
	@CAIRN_BIN=bin/cairn go run ./testnet/bench $(BENCH)

## clean: remove what was built
clean:
	rm -rf bin artefacts $(UI)/dist/assets $(UI)/dist/index.html

## help: this list
help:
	@sed -n 's/^## /  make /p' Makefile
