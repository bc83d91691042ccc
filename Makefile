# Sallyport needs Go and make to build, run and test; nothing else.
SHELL   := /bin/sh
PORT    ?= 8443
DATA    ?= var
GO      ?= go
FUZZTIME ?= 30s
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)
LDFLAGS := -s -w -X main.version=$(VERSION)
# RACE=1 runs the tests under the race detector, which needs a C compiler.
ifeq ($(RACE),1)
RACEFLAG := -race
TESTENV  := CGO_ENABLED=1
else
TESTENV  := CGO_ENABLED=0
endif

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -e 's/:.*## /\t/' | expand -t 12

.PHONY: build
build: ## build bin/sallyport and bin/sallyport-agent (static, no cgo)
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: run
run: build ## the whole story: server, sample organisation, a software iPhone, a software Android phone (PORT=8443 DATA=var)
	@PORT='$(PORT)' DATA='$(DATA)' exec sh deploy/demo/run.sh

# The packages that test longest, which begin first. They start servers and wait for
# them: three packages at once, and four tests of each, keep two processors busy.
LONGEST := ./internal/app ./internal/store ./cmd/sallyport

.PHONY: test
test: ## every test; tells loudly what was skipped and how to get it (RACE=1: race detector; AGAIN=1: one or two that fail run once more, alone)
	@$(GO) -C tools build -buildvcs=false -o bin/testsum ./testsum
	@$(GO) -C tools test ./testsum
	@$(TESTENV) tools/bin/testsum $(if $(AGAIN),-again) $(GO) test -json $(RACEFLAG) -timeout 14m -p 3 -parallel 4 $(LONGEST) ./...

.PHONY: race
race: ## the race detector over rooms where things run at once, and phones through the whole house (all scenarios, both engines: make soak)
	CGO_ENABLED=1 $(GO) test -race -timeout 10m -run 'InParallel|AtOnce|ParallelUses' ./certs/...
	CGO_ENABLED=1 $(GO) test -race -timeout 10m ./access ./compliance ./enroll/... ./internal/auth ./internal/cms ./internal/server/... ./internal/work ./mdm/apple/...
	CGO_ENABLED=1 $(GO) test -race -timeout 10m -run '^(TestStory|TestTemplateChange|TestLeave)$$' ./internal/app

.PHONY: bench
bench: ## CPU time: poll and delivery beside a bare handler on both engines, decision, render, signing, check of 10,000 users, preview, enrolment, a certificate by SCEP, a notification of Google's up to the decision, 10,000 Android policies
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: lint
lint: ## gofmt, vet, staticcheck
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './var/*' -not -path './.git/*')); \
	if [ -n "$$unformatted" ]; then echo "gofmt: run 'gofmt -w' on"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) -C tools vet ./...
	@$(GO) -C tools build -buildvcs=false -o bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	tools/bin/staticcheck ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s) each
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed -e 's/:func / /' | sort | \
	while read -r file name; do \
		echo "fuzz $$(dirname $$file) $$name"; \
		CGO_ENABLED=0 $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime '$(FUZZTIME)' -fuzzminimizetime 5x "$$(dirname $$file)" || exit 1; \
	done

# What anybody may send without being asked: CMS, and of SCEP the request in it and
# the whole message.
ANYBODYS := internal/cms:FuzzVerify internal/cms:FuzzParseEnvelope certs/scep:FuzzParseRequest certs/scep:FuzzDo

.PHONY: fuzz-ci
fuzz-ci: ## the fuzz targets of CMS, CSR and SCEP message for FUZZTIME (30s) each, side by side
	@mkdir -p bin/fuzz
	@for dir in $$(printf '%s\n' $(ANYBODYS) | cut -d: -f1 | sort -u); do \
		CGO_ENABLED=0 $(GO) test -c -fuzz . -o "bin/fuzz/$$(basename $$dir)" "./$$dir" || exit 1; \
	done
	@cache=$$($(GO) env GOCACHE)/fuzz; all=; failed=0; \
	for target in $(ANYBODYS); do \
		dir=$${target%:*}; \
		( cd "$$dir" && exec "$(CURDIR)/bin/fuzz/$$(basename $$dir)" -test.run '^$$' -test.fuzz "^$${target#*:}\$$" -test.fuzztime '$(FUZZTIME)' \
			-test.fuzzminimizetime 5x -test.parallel 1 -test.fuzzcachedir "$$cache/$$($(GO) list -m)/$$dir" ) >"bin/fuzz/$${target#*:}.log" 2>&1 & \
		all="$$all $$!:$$target"; \
	done; \
	for one in $$all; do \
		target=$${one#*:}; log="bin/fuzz/$${target#*:}.log"; \
		if wait "$${one%%:*}"; then echo "fuzz $$target $$(tail -n 2 "$$log" | head -n 1)"; else failed=1; echo "fuzz $$target"; cat "$$log"; fi; \
	done; exit $$failed

.PHONY: soak
soak: ## what takes hours: fuzz (an hour of what anybody may send), 1,000 templates x 1,000 users, a million decisions against the reference, 1,000 kills, 1,000 phones renewed, 1,000 phones refused at nginx, 6,000 requests that try to erase, deaths at every commit on PostgreSQL, an enrolment replayed 1,000 times, order on disk, 50,000 phones, every test thrice with -race
	$(MAKE) fuzz
	$(MAKE) fuzz-ci FUZZTIME=1h
	CGO_ENABLED=0 SALLYPORT_SOAK=1 $(GO) test -run '^TestRandomTemplates$$' -count 1 -timeout 60m -v ./templates
	CGO_ENABLED=0 SALLYPORT_SOAK=1 $(GO) test -run '^TestDecideAgainstReference$$' -count 1 -timeout 30m -v ./access
	CGO_ENABLED=0 SALLYPORT_SOAK=1 $(GO) test -run '^TestSerials$$' -count 1 -timeout 30m -v ./certs
	CGO_ENABLED=0 SALLYPORT_SOAK=1 $(GO) test -run '^TestKilledAtRandom$$' -count 1 -timeout 3h -v ./internal/app
	CGO_ENABLED=0 SALLYPORT_SOAK=1 E2E_ENGINE=postgres $(GO) test -run '^TestKilledAtRandom$$' -count 1 -timeout 1h -v ./internal/app
	CGO_ENABLED=0 SALLYPORT_SOAK=1 $(GO) test -run '^TestRenewalSoak$$' -count 1 -timeout 1h -v ./internal/app
	CGO_ENABLED=0 SALLYPORT_SOAK=1 E2E_ENGINE=postgres $(GO) test -run '^TestRenewalSoak$$' -count 1 -timeout 1h -v ./internal/app
	CGO_ENABLED=0 E2E_ENGINE=postgres $(GO) test -run '^TestCrash$$' -count 1 -timeout 1h -v ./internal/app
	CGO_ENABLED=0 SALLYPORT_SOAK=1 $(GO) test -run '^(TestNeverErased|TestNeverResets)$$' -count 1 -timeout 1h -v ./internal/app
	CGO_ENABLED=0 E2E_ENGINE=postgres $(GO) test -run '^(TestAndroidWays|TestAndroidPage|TestReportsAnothersTicket)$$' -count 1 -timeout 10m -v ./internal/app
	CGO_ENABLED=0 SALLYPORT_SOAK=1 $(GO) test -run '^TestReplayedEnrolmentChangesNothing$$' -count 1 -timeout 10m -v ./internal/app
	CGO_ENABLED=0 SALLYPORT_SOAK=1 $(GO) test -run '^TestOnDiskBeforeTheAnswer$$' -count 1 -timeout 10m -v ./internal/app
	CGO_ENABLED=0 SALLYPORT_SOAK=1 $(GO) test -run '^(TestChangeReachesTheGate|TestAndroidGate)$$' -count 1 -timeout 1h -v ./internal/app
	CGO_ENABLED=0 SALLYPORT_SOAK=1 $(GO) test -run '^TestFleetMemory$$' -count 1 -timeout 2h -v ./internal/app
	CGO_ENABLED=1 $(GO) test -race -count 3 -timeout 60m ./...

.PHONY: ci
ci: ## what .ci/run runs after its installs
	$(MAKE) test
	$(MAKE) fuzz-ci
	$(MAKE) race
	$(MAKE) lint

.PHONY: clean
clean: ## remove what was built; DATA is kept, it holds the fleet
	rm -rf bin tools/bin
