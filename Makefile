# Two commands do all the set-up on a fresh machine with Go and make:
# `make run` serves, `make test` tests everything.

GO      ?= go
BIN     := bin/artifactstore
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: help build run check test test-once smoke drill conformance clients bench bench-oci bench-scale bench-s3 bench-verify fuzz fuzz-list lint clean dev-up dev-down

help: ## Show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/artifactstore
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/artifactstore

run: build ## Serve 127.0.0.1:8080 from ./artifactstore-data, with no set-up
	$(BIN) serve

lint: ## gofmt, go vet
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "not gofmt'ed:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...

check: lint ## The fast tests: no servers, no long runs (under two minutes)
	$(GO) test -short ./...

# The race detector makes SQLite ten times slower: it watches the short form of all tests but those that do one thing after
# another (the same request over every fault, damage, long lists) and those of programs that are built without it; and
# PostgreSQL's registry.
RACE_SKIP := ^(TestEachStep.*|TestWeather|TestDamage|TestWalks|TestLists|TestPlans|TestSuite|TestMemory|TestMemoryOfParts|TestThreads|TestReadmeWalk)$$
test: lint build ## Everything, with crash tests, real servers and processes; and the race detector
	deploy/dev/smoke.sh
	deploy/dev/with-servers.sh $(MAKE) --no-print-directory test-once
	deploy/dev/in-memory.sh $(GO) test -race -short -skip '$(RACE_SKIP)' -timeout 20m $$($(GO) list ./... | grep -v /deploy/)
	deploy/dev/in-memory.sh $(GO) test -race -run 'TestRegistry|TestGroups' -skip '/Random' -timeout 20m ./registry/postgres

# Of cas, gateway and registry it is tested what they do where any call fails and at any step a process ends, not what a disk
# does. That is for the rest: the backends, the programs and everything together.
test-once:
	deploy/dev/in-memory.sh $(GO) test -timeout 20m ./cas/... ./gateway/... ./registry/...
	$(GO) test -timeout 20m $$($(GO) list ./... | grep -vE '^artifactstore/(cas|gateway|registry)(/|$$)')

smoke: build ## The same files on local + SQLite and on RGW + PostgreSQL, by configuration only
	deploy/dev/smoke.sh

drill: build ## Back up, lose and restore the database, on local + SQLite and on RGW + PostgreSQL
	deploy/dev/drill.sh

conformance: ## The OCI conformance program, on every registry and backend
	deploy/dev/with-servers.sh $(GO) test -count=1 -v -run TestConformance ./deploy/conformance

clients: ## Real clients (skopeo, docker, helm, ...) against a real gateway; installs them, see deploy/clients/install.sh
	$(GO) test -count=1 -timeout 20m ./deploy/clients

bench: ## The benchmarks, each figure beside its reference in the same run
	deploy/dev/bench.sh

bench-oci: ## The OCI face beside distribution and Debian's docker-registry, as a table
	deploy/dev/bench-oci.sh

bench-s3: ## The gateway before a real RGW beside the SDK, PostgreSQL beside SQLite, as a table
	deploy/dev/bench-s3.sh

bench-verify: build ## storage verify beside sha256sum and BLAKE3; wants 11 GiB of disk, 10 minutes
	$(GO) build -trimpath -o bin/verifybench ./deploy/verifybench
	bin/verifybench $(BIN)

bench-scale: ## A million blobs and 100,000 packages on SQLite and PostgreSQL: list, show, why, seal, collect, with targets
	deploy/dev/bench-scale.sh

# The list is what the tree has: a new target is fuzzed without a word here.
FUZZTIME ?= 60s
fuzz: ## Every fuzz target in turn (FUZZTIME=60s each)
	@set -e; $(MAKE) --no-print-directory -s fuzz-list | while read -r dir target; do \
	  echo "== $$dir $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) ./$$dir </dev/null; \
	done

fuzz-list: # of lines "folder target"
	@grep -r --include='*_test.go' '^func Fuzz' . | sed -E 's,^\./(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*)\(.*,\1 \2,' | LC_ALL=C sort

DEV ?= $(CURDIR)/.dev
dev-up: ## Start a real Ceph RGW, versitygw and PostgreSQL for development; addresses in .dev/*/env
	deploy/dev/rgw.sh up $(DEV)/rgw
	deploy/dev/versitygw.sh up $(DEV)/versitygw
	deploy/dev/postgres.sh up $(DEV)/postgres

dev-down: ## End them and remove their data
	-deploy/dev/rgw.sh down $(DEV)/rgw
	-deploy/dev/versitygw.sh down $(DEV)/versitygw
	-deploy/dev/postgres.sh down $(DEV)/postgres

clean: ## Remove what was built
	rm -rf bin
