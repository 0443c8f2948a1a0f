# What each target does is said by `make help`.

ARGS  ?=
TEMPL := go run github.com/a-h/templ/cmd/templ@v0.3.977

.DEFAULT_GOAL := help
.PHONY: help demo test test-clients bench soak lint generate screenshots

help: ## what can be made here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## the whole product on one port with seeded data (ARGS="--listen 127.0.0.1:9090")
	@scripts/check-go
	@echo "Building Tollbook (the first time takes a minute or two)"
	@go build -buildvcs=false -o bin/tollbook .
	@exec bin/tollbook demo $(ARGS)

test: ## every test, with the race detector; installs what it needs and says so
	@scripts/setup-test
	go test -race -timeout 45m ./...

test-clients: ## real API clients, among them Claude Code, through the gateway
	@scripts/check-go
	clients="$$(scripts/setup-clients)" && eval "$$clients" && \
		go test -tags clients ./e2e/... -run Clients -count=1 -v -timeout 20m

bench: ## load comparisons and reports (ARGS=...)
	@scripts/check-go
	go run ./bench $(ARGS)

soak: ## the long ones: hundreds of kills, ten minutes without a database, an hour of fuzz
	@scripts/setup-test
	go test -tags soak ./e2e/... -run Soak -count=1 -v -timeout 3h
	scripts/fuzz 4m

lint: ## formatting, vet and golangci-lint
	@scripts/check-go
	scripts/check-format
	go vet ./...
	go vet -tags 'clients soak' ./...
	scripts/golangci-lint run ./...

generate: ## templ components to Go
	@scripts/check-go
	$(TEMPL) generate

screenshots: ## pictures of every page, by the browser tests
	@scripts/setup-test
	scripts/screenshots
