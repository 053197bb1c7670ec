# remsim for OpenWrt. `make` prints the targets.

GO       ?= go
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TAGS     := nethttpomithttp2
LDFLAGS  := -s -w -X main.version=$(VERSION)
BUILD    := build
TOOLS    := $(CURDIR)/$(BUILD)/tools
STATICCHECK_VERSION := v0.8.2
FUZZTIME ?= 10s
ARGS     ?=
PICTURES := overview-light-1280 overview-dark-360 modems-light-1280 failover-light-1280 diagnose-light-1280 settings-dark-1280

export CGO_ENABLED = 0

.PHONY: help build demo test vm-test lint fuzz bench bench-failover bench-month size packages-debian packages-npm bench-luci screenshots clean

help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build remsim and remsim-demo for this machine into build/
	@mkdir -p $(BUILD)
	$(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $(BUILD)/ ./daemon/cmd/...

demo: build ## the whole product on fakes, with the LuCI app: prints an address (ARGS=--once plays the tour and ends)
	@$(BUILD)/remsim-demo $(or $(ARGS),--world tests/worlds/failover.txt)

test: packages-npm ## install what the tests need and run all of them
	@tests/run.sh

vm-test: packages-npm ## only the tests in a virtual machine (gpio-sim and USB in the kernel)
	VMTEST=require $(GO) test -count=1 -v ./tests/vm

lint: packages-debian $(TOOLS)/staticcheck ## gofmt, vet, staticcheck, shellcheck, module tidiness
	@STATICCHECK=$(TOOLS)/staticcheck tests/lint.sh

fuzz: ## run every fuzz target for FUZZTIME (10s)
	@FUZZTIME=$(FUZZTIME) tests/fuzz.sh

bench: build ## speed: codec, relay, ubus, as ratios where a machine matters
	@tests/bench.sh

bench-luci: packages-npm build ## the pages' figures in a browser, and whether an open page grows (MINUTES=10)
	@cd tests/luci && REMSIM_BUILD=$(CURDIR)/$(BUILD) REMSIM_FIGURES=strict node --test --test-reporter=spec browser/live.test.mjs
	@cd tests/luci && REMSIM_BUILD=$(CURDIR)/$(BUILD) node heap.mjs

screenshots: packages-npm build ## walk every page in a browser and renew the pictures of README and docs/img
	@cd tests/luci && REMSIM_BUILD=$(CURDIR)/$(BUILD) node --test --test-reporter=dot browser/walk.test.mjs
	@mkdir -p docs/img
	@for name in $(PICTURES); do cp $(BUILD)/screenshots/$$name.png docs/img/; done

ROUNDS ?= 100
bench-failover: build ## cut paths under traffic in network namespaces, ROUNDS of each kind (root): how long control was away
	@REMSIM_BUILD="$(CURDIR)/$(BUILD)" REMSIM_FAILOVER_ROUNDS=$(ROUNDS) $(GO) test -count=1 -timeout 12h -v -run '^TestBench(Failover|StockPace)$$' ./tests/netns \
		>$(BUILD)/bench-failover.log 2>&1; status=$$?; grep -v '^=== ' $(BUILD)/bench-failover.log; exit $$status

bench-month: ## what an idle month costs, against ten minutes of the real daemon (root)
	REMSIM_MONTH_RUN=10m $(GO) test -count=1 -timeout 30m -v -run 'TestMonth$$' ./daemon/internal/app

size: ## size of the router program per architecture, memory and wake-ups when idle
	@tests/size.sh

packages-debian: ## install the Debian packages of tests/packages.txt (as root; else name what is missing)
	@tests/packages.sh

packages-npm: packages-debian ## install the npm packages of tests/luci (without npm: its tests skip with the reason)
	@if command -v npm >/dev/null; then cd tests/luci && { cmp -s package-lock.json node_modules/.lock || { npm ci --silent --no-audit --no-fund && cp package-lock.json node_modules/.lock; }; }; else echo "no npm: the tests of the LuCI app skip" >&2; fi

$(TOOLS)/staticcheck:
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) $(GO) install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)

clean: ## remove build/
	rm -rf $(BUILD)
