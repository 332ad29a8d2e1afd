# These targets need Go and make. Missing programs are installed with apt when run as
# root, otherwise the command to run is printed.

include build.env
export GOFLAGS CGO_ENABLED

CODE := contracts pkg services e2e lab tools
AXE := axe-core@4.14.1
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help demo test test-console alerts chaos chaos-events simulate bench up down lint contracts fmt build stack

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

demo: stack ## run the five-step demo
	@bin/stack demo

test: stack ## run all tests, with the race detector
	@bin/stack test

test-console: stack ## drive the console with Chromium; needs npm; IMAGES=docs/images writes the pictures
	@command -v npm >/dev/null || { echo "npm is missing, which installs axe-core for the test"; exit 1; }
	@npm install --silent --no-save --prefix bin/axe $(AXE)
	@STACK_BIN=$(CURDIR)/bin/stack go test -tags browser -count=1 -v ./e2e/browser \
		-axe $(CURDIR)/bin/axe/node_modules/axe-core/axe.min.js $(if $(IMAGES),-write $(CURDIR)/$(IMAGES))

alerts: stack ## each fault of docs/runbook.md fires its alert, about six minutes; needs prometheus and promtool
	@promtool test rules deploy/observability/rules_test.yml
	@STACK_BIN=$(CURDIR)/bin/stack GOFLAGS="$$(go env GOFLAGS | sed s/-tags=/-tags=alerts,/)" \
		go test -count=1 -timeout 30m -v ./lab/alerts

chaos-events: stack ## faults under writers, about half an hour; KILLS, FREEZES, CRASHES, OUTAGE, SEED, ROUNDS
	@CGO_ENABLED=1 STACK_BIN=$(CURDIR)/bin/stack go test -race -count=1 -timeout 30m -v ./lab/durability -users 1000 \
		-kills $(or $(KILLS),20) -freezes $(or $(FREEZES),3) -frozen 30s -crashes 5 -outage $(or $(OUTAGE),60s) \
		-wipes 5 -seed $(or $(SEED),0)
	@CGO_ENABLED=1 go test -race -count=1 -timeout 60m -v ./lab/faults -rounds $(or $(ROUNDS),5)
	@CGO_ENABLED=1 go test -race -count=1 -timeout 60m -v ./lab/faults -rounds $(or $(CRASHES),34) \
		-run 'FaultsOfTheirServers/publisher.s_Postgres_crashes' # three crashes a round

# Without the race detector, which would use the CPU that is measured.
chaos: stack ## faults under callers, about six minutes, into docs/resilience.md; RUN
	@go test -c -o bin/resilience.test ./lab/resilience
	@cd lab/resilience && STACK_BIN=$(CURDIR)/bin/stack $(CURDIR)/bin/resilience.test -test.timeout 30m -long \
		-write $(CURDIR)/docs/resilience.md $(if $(RUN),-test.run '$(RUN)')

simulate: ## deterministic simulation of relay and consumer, about twenty minutes; HISTORIES, SEED
	@cd pkg/events/simulation && GOGC=400 go test -count=1 -timeout 60m -v . -plant \
		-histories $(or $(HISTORIES),1000000) -seed $(or $(SEED),1)
	@go test -count=1 -timeout 30m ./pkg/events/interleaving -switches 2

bench: stack ## run benchmarks beside other libraries, about six minutes, into docs/performance.md
	@eval "$$(bin/stack infra --detach)" && go run ./lab/bench/cmd/events -write docs/performance.md && \
		go run ./lab/bench/cmd/services -write docs/performance.md; \
		status=$$?; bin/stack down --name troika-infra; exit $$status

up: stack ## run everything in the background
	@bin/stack up --detach

down: stack ## stop it
	@bin/stack down

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $(CODE)); \
	if [ -n "$$unformatted" ]; then echo "gofmt these (make fmt):"; echo "$$unformatted"; exit 1; fi
	go vet work
	go vet -tags browser ./e2e/browser
	go run $(STATICCHECK) work

contracts: ## lint the API documents, and compare APIs and events with the last release
	@.ci/contracts lint
	@.ci/contracts release

scan: ## look for secrets, unsafe code and known vulnerabilities
	@.ci/scan

fmt: ## format all code
	@gofmt -w $(CODE)

build: ## compile the driver and the services into bin/
	go build -o bin/ ./tools/stack $(addprefix ./,$(wildcard services/*))

stack:
	@[ -x bin/stack ] || echo "compiling the driver; with the services that is about 2 minutes of CPU from an empty cache"
	@go build -o bin/stack ./tools/stack
