# Everything that is built, checked and tested starts here; `make` lists it.
# Each module is checked and tested alone (GOWORK=off), as its users get it.

CORE       := .
MODULES    := $(CORE) $(patsubst ./%/go.mod,%,$(shell find . -mindepth 2 -name go.mod -not -path '*/node_modules/*' | sort))
GO_FILES    = $(shell find . -name '*.go' -not -path '*/node_modules/*')
# The oldest Go that the core promises to work with; the go command fetches it.
OLDEST_GO  := 1.25.8
COVER_MIN  := 90
FUZZTIME   ?= 30s

BIN        := $(CURDIR)/bin
GOTESTSUM  := $(BIN)/gotestsum --format pkgname
# The race detector needs a C compiler. Asked late: `make deps` may bring one.
RACE        = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
TEST_FLAGS  = $(RACE) -shuffle=on -count=1

export GOWORK := off
.NOTPARALLEL:
.PHONY: help check test newest caddy deps tools fmt gofmt vet staticcheck tidy docs fuzz cover bench bench-scale bench-report bench-check bench-core stress

# each runs a command in every module and stops at the first that fails.
each = @set -e; for m in $(MODULES); do (cd $$m && $(1)) || { echo "$@ failed in module $$m" >&2; exit 1; }; done

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: gofmt vet staticcheck tidy docs ## format, vet, staticcheck, go.mod, doc comments

test: check deps caddy ## check, then all tests of all modules, on the newest and the oldest Go
	@rm -f $(BIN)/*.json
	@echo "== Go $(OLDEST_GO), the oldest supported"
	@GOTOOLCHAIN=go$(OLDEST_GO) $(GOTESTSUM) --jsonfile $(BIN)/oldest.json -- $(TEST_FLAGS) ./...
	@set -e; for m in $(filter-out $(CORE),$(MODULES)); do cd $(CURDIR)/$$m; \
		needs=$$(go list -m -f '{{.GoVersion}}'); \
		if printf '%s\n' $$needs $(OLDEST_GO) | sort -CV; \
		then echo "vet $$m"; GOTOOLCHAIN=go$(OLDEST_GO) go vet ./...; \
		else echo "$$m needs Go $$needs"; fi; done
	@echo "== $$(go env GOVERSION)"
	@# One gotestsum over all modules, so that its summary is the summary.
	@# Allocations are counted without the race detector, which adds its own.
	@$(GOTESTSUM) --jsonfile $(BIN)/newest.json --raw-command -- sh -c '\
		for m in $(MODULES); do cd $(CURDIR)/$$m; \
			! grep -rq "^func Test.*Alloc" --include=*_test.go . || go test -json -count=1 -run Alloc ./... || failed=1; \
			go test -json $(TEST_FLAGS) ./... || failed=1; done; exit $${failed:-0}' || failed=1; \
	$(MAKE) --no-print-directory newest || failed=1; \
	$(BIN)/skipped $(if $(RACE),,-also "race detector: missing: C compiler") $(BIN)/*.json || failed=1; \
	exit $${failed:-0}

# redisstore/go.mod names the oldest go-redis that will do, so that nobody has to
# upgrade; most people have the newest.
newest: tools ## test redisstore with the newest go-redis, whatever its go.mod says
	@cp redisstore/go.mod $(BIN)/newest.mod && cp redisstore/go.sum $(BIN)/newest.sum
	@cd redisstore && GOFLAGS=-mod=mod go get -modfile=$(BIN)/newest.mod github.com/redis/go-redis/v9@latest
	@cd redisstore && $(GOTESTSUM) --jsonfile $(BIN)/go-redis.json -- -count=1 -modfile=$(BIN)/newest.mod -run 'Contract|Follow|Lookups' .

# Debian's Caddy is old; the tests run it and this one.
CADDY := v2.11.9
caddy: ## build the newest Caddy for the tests of gateway
	@GOBIN=$(BIN) go install github.com/caddyserver/caddy/v2/cmd/caddy@$(CADDY)

deps: ## get the programs that tests start, or say what is missing
	@sh tools/deps.sh

tools: # built, not `go run`: they work on modules other than their own
	@cd tools && go build -o $(BIN)/ tool ./...

fmt: ## format all Go files
	@gofmt -w $(GO_FILES)

gofmt:
	@files=$$(gofmt -l $(GO_FILES)) && [ -z "$$files" ] || { echo "make fmt would change:"; echo "$$files"; exit 1; } >&2

vet:
	$(call each,go vet ./...)

# ST1000 and ST1020 to ST1022, off by default, are about the form of doc comments.
CHECKS := inherit,ST1000,ST1020,ST1021,ST1022
staticcheck: tools
	$(call each,$(BIN)/staticcheck -checks $(CHECKS) ./...)

tidy:
	$(call each,go mod tidy -diff)

docs: tools
	$(call each,$(BIN)/doccheck -test=false ./...)

fuzz: ## run each fuzz test of the core for FUZZTIME (30s)
	@set -e; for p in $$(go list ./...); do \
		list=$$(go test -list '^Fuzz' $$p); \
		for f in $$(echo "$$list" | grep '^Fuzz'); do \
			echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; done; done

COVERING = . $(wildcard ./memstore ./storetest) $(addsuffix /...,$(wildcard ./internal))
cover: ## statement coverage of the root package; fails below 90 %
	@go test -count=1 -coverpkg=. -coverprofile=cover.out $(COVERING)
	@go tool cover -func=cover.out | awk '/^total:/ { print; exit $$NF + 0 < $(COVER_MIN) }' \
		|| { echo "below $(COVER_MIN) %; see: go tool cover -html=cover.out" >&2; exit 1; }

# What is measured stays in bin/: bench and bench-scale complete each other's report.
ROUNDS      ?= 35
WINDOW      ?= 100ms
# 64 clients and a server that wait for each other take longer to settle.
LONG_ROUNDS ?= 9
LONG_WINDOW ?= 1s
HTTP_ROUNDS ?= 9
SIZES       ?= 10000,100000,1000000,5000000
REDIS_SIZES ?= 10000,100000,1000000
MEASURE      = cd benchmarks && go test -count=1 -timeout 3h . > $(BIN)/bench.log 2>&1 -results
FAILED       = { tail -30 $(BIN)/bench.log >&2; exit 1; }

bench: $(BIN) ## measure beside other libraries: tables, plots, docs/performance.md
	@rm -f $(BIN)/bench-requests.txt
	@$(MEASURE) $(BIN)/bench-requests.txt -run 'Versions|Counts|Probes|Herd' -bench 'Memory(Serial|Parallel)|RedisSerial' -benchtime $(ROUNDS)x -window $(WINDOW) || $(FAILED)
	@$(MEASURE) $(BIN)/bench-requests.txt -run '^$$' -bench RedisParallel -benchtime $(LONG_ROUNDS)x -window $(LONG_WINDOW) || $(FAILED)
	@$(MEASURE) $(BIN)/bench-requests.txt -run '^$$' -bench HTTP -benchtime $(HTTP_ROUNDS)x || $(FAILED)
	@$(MAKE) -s bench-report

bench-scale: $(BIN) ## the same by number of sessions, up to 5 million: some 10 GB of memory
	@rm -f $(BIN)/bench-scale.txt
	@$(MEASURE) $(BIN)/bench-scale.txt -run Versions -bench Scale -benchtime 1x -sizes $(SIZES) -redis-sizes $(REDIS_SIZES) || $(FAILED)
	@$(MAKE) -s bench-report

bench-report: # from what bench and bench-scale measured last
	@cd benchmarks && go run ./report -docs ../docs/performance.md,../README.md -svg ../docs $(wildcard $(BIN)/bench-*.txt)

bench-check: ## allocations, store calls and cookies against the committed baselines; never time
	@go test -count=1 -run Alloc ./...
	@cd benchmarks && go test -count=1 -run 'Alloc|Herd|Probes|Commands' .

bench-core: ## benchmarks of the root package and the in-memory store
	@go test -run '^$$' -bench . -benchmem . $(wildcard ./memstore ./storetest)

$(BIN):
	@mkdir -p $@

PKG   ?= .
RUN   ?= .
COUNT ?= 200
stress: ## run tests many times: make stress PKG=./memstore RUN=TestX COUNT=200
	@GOWORK= go test $(RACE) -shuffle=on -failfast -timeout 1h -count $(COUNT) -run '$(RUN)' $(PKG)
