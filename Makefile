# The few commands a person types. VARIANT is default, fips, fips4 or asan; see docs/c-build.md.
VARIANT ?= default
PREFIX  ?= /usr/local

.PHONY: build demo pcap-demo tools test test-all bench figure3 install clean bootstrap

build:
	scripts/build $(VARIANT)

bootstrap:
	scripts/bootstrap

demo: bootstrap build
	scripts/demo $(VARIANT)

pcap-demo: bootstrap build
	scripts/pcap-demo $(VARIANT)

tools: bootstrap build
	scripts/tools $(VARIANT)

test: bootstrap
	scripts/test

test-all: bootstrap
	scripts/test --all

bench: bootstrap build
	scripts/bench

figure3: bootstrap build
	scripts/figure3

install: build
	scripts/install $(VARIANT) "$(PREFIX)"

clean:
	rm -rf build/out cgo/*/zlinked_*.go
