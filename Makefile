# The commands for users and developers. VARIANT is default, fips, fips4, asan, openssl or historic; see docs/c-build.md.
VARIANT ?= default
PREFIX  ?= /usr/local

# OUT contains the variant's archive and its CMake folder.
OUT = build/out/$(shell go env GOOS)_$(shell go env GOARCH)/$(VARIANT)
BIN = $(CURDIR)/build/out/bin
# Programs of a FIPS variant also run Go's own module in its FIPS 140-3 mode.
TAGS = $(if $(filter-out default,$(VARIANT)),-tags pqquic_$(VARIANT))
FIPS = $(if $(filter fips%,$(VARIANT)),GOFIPS140=$${GOFIPS140:-certified})
CMAKE_BUILD = cmake --build $(OUT)/cmake --parallel $(shell nproc)

.PHONY: build bootstrap demo pcap-demo probe-demo hsm-demo h3-demo h3-interop tools test test-all test-native ctest lint bench bench-peers bench-aims bench-h3 bench-compare netbench-peers curves figure3 figure3-2022 install clean interop ledger qifs qpack-interop fuzz sim soak fips-report cross-arm64

build:
	scripts/build $(VARIANT)

bootstrap:
	scripts/bootstrap build $(VARIANT)

demo: bootstrap build
	scripts/demo $(VARIANT)

pcap-demo: bootstrap build
	scripts/pcap-demo $(VARIANT)

# Probes pq_server directly and through a middlebox that drops post-quantum ClientHellos. Needs Go only.
probe-demo:
	scripts/probe-demo

# Shows servers whose private keys are in a token of SoftHSM, which it installs.
hsm-demo: bootstrap build
	scripts/hsm-demo

# Shows what pqget and a headless Chromium negotiate with the HTTP/3 server of the examples.
h3-demo: bootstrap build
	scripts/h3-demo

# pqget, pqinspect, pqprobe, netbench, netbench's drivers for other stacks, qif and pqcert.
tools: bootstrap build
	mkdir -p "$(BIN)"
	export GOWORK="$$(scripts/workspace)" && \
	(cd cmd && $(FIPS) go build $(TAGS) -o "$(BIN)/" ./pqget ./pqinspect ./pqprobe ./netbench ./qif ./pqcert) && \
	(cd cmd/peers && $(FIPS) go build -o "$(BIN)/" ./netbench-driver-quic-go ./netbench-driver-xnet)
	@echo built pqget, pqinspect, pqprobe, netbench, its drivers, qif and pqcert in build/out/bin

test:
	scripts/bootstrap test
	scripts/test

test-all:
	scripts/bootstrap test
	scripts/test --all

# The tests that need only Go: the native provider, without the C library.
test-native: export CGO_ENABLED = 0
test-native:
	go vet ./...
	go test -short -timeout 30m ./...

# Shows which operations of connections of each kind the FIPS module counts as approved, in Markdown. VARIANT is fips or
# fips4. It fails if one is not approved for no known reason. See docs/fips.md.
fips-report: VARIANT = fips
fips-report: bootstrap
	scripts/build $(VARIANT) --report >&2
	cd cmd && GOWORK="$$(../scripts/workspace)" go build -tags pqquic_$(VARIANT),pqquic_report \
		-o "$(BIN)/fipsreport-$(VARIANT)" ./fipsreport
	@"$(BIN)/fipsreport-$(VARIANT)"

# Cross-compiles the variants default and fips for Linux on arm64, and runs their tests and pq_server and pq_client under QEMU.
# VARIANTS= selects variants.
cross-arm64: build
	scripts/bootstrap cross
	scripts/cross-arm64 $(VARIANTS)

# The C tests of a variant, which must have been built.
ctest:
	$(CMAKE_BUILD) --target check-programs
	ctest --test-dir $(OUT)/cmake --output-on-failure

lint:
	scripts/lint

# Measures the providers and the transport together with a C program, crypto/tls, quic-go and x/net, in Go's
# benchmark format, and prints the ratios. ROUNDS= and TIME= set its length, RUN= selects benchmarks by name.
bench: bootstrap build
	$(CMAKE_BUILD) --target pqq-bench
	cd bench && GOWORK=off go run $(TAGS) . -c "$(CURDIR)/$(OUT)/cmake/pqq-bench" \
		-rounds "$${ROUNDS:-5}" -time "$${TIME:-250ms}" -run "$${RUN:-}"

# Measures pqquic side by side with quic-go, x/net, s2n-quic and quinn, in separate processes, and writes the figures,
# the ratios and the aims to build/out/bench-peers.md. What cannot be built is reported and left out. ROUNDS=, TIME= and
# DATAGRAM= set its length and the largest datagram, CONNECTIONS= and IDLE= are those of the workload memory, STACKS=
# and WORKLOADS= select by name. RESULTS= is a JSON file with which several runs, each of some workloads, make one
# report. DOCUMENT= is a document in which the summary is replaced: docs/performance.md. SECTION= names its marks.
# QUICHE= is the driver of quiche, which has HTTP only.
bench-peers:
	$(MAKE) bootstrap build || echo "bench-peers: the C library is not built: the s2n provider is not measured" >&2
	cd bench && GOWORK=off go build $(TAGS) -o "$(BIN)/bench-peers" ./peers
	"$(BIN)/bench-peers" -rust bench/peers/rust -target build/out/rust -o build/out/bench-peers.md \
		-rounds "$${ROUNDS:-5}" -time "$${TIME:-1s}" -datagram "$${DATAGRAM:-1200}" \
		-connections "$${CONNECTIONS:-1000}" -idle "$${IDLE:-1s}" -stacks "$${STACKS:-}" -workloads "$${WORKLOADS:-}" \
		-results "$${RESULTS:-}" -document "$${DOCUMENT:-}" -quiche "$${QUICHE:-}" \
		-section "$${SECTION:-bench-peers}"

# All aims of the transport as they are defined, in the summary of docs/performance.md: the workloads with 7 rounds, and
# memory with 10,000 connections that are idle for 30 s with 3. Takes about an hour.
bench-aims: export RESULTS = build/out/bench-aims.json
bench-aims: export DOCUMENT = docs/performance.md
bench-aims:
	$(MAKE) bench-peers ROUNDS="$${ROUNDS:-7}" WORKLOADS="$${WORKLOADS:--memory,-h3-*}"
	$(MAKE) bench-peers ROUNDS="$${MEMORY_ROUNDS:-3}" WORKLOADS=memory CONNECTIONS=10000 IDLE=30s

# The aims of HTTP/3, in a section of their own in docs/performance.md, with 7 rounds. Takes about a quarter of an hour, and a few
# minutes more when it builds quiche's BoringSSL.
bench-h3: export RESULTS = build/out/bench-h3.json
bench-h3: export DOCUMENT = docs/performance.md
bench-h3: export SECTION = bench-h3
bench-h3: export QUICHE = build/out/rust/release/quiche-driver
bench-h3:
	scripts/build-quiche bench/peers/quiche build/out/rust || echo "bench-h3: quiche is not measured" >&2
	$(MAKE) bench-peers ROUNDS="$${ROUNDS:-7}" \
		STACKS="$${STACKS:-pqquic-s2n,pqquic-native,quinn,quiche,quic-go,http2-tcp}" WORKLOADS="$${WORKLOADS:-h3-*}"

# Measures pqquic of this tree beside that of the commit BASE, as bench-peers does, and writes the figures and ratios
# to build/out/bench-compare.md. The other variables are those of bench-peers.
bench-compare: bootstrap build
	scripts/bench-compare "$(BASE)" -o build/out/bench-compare.md \
		-rounds "$${ROUNDS:-9}" -time "$${TIME:-1s}" -connections "$${CONNECTIONS:-1000}" -idle "$${IDLE:-1s}" \
		-stacks "$${STACKS:-}" -workloads "$${WORKLOADS:-}"

# Measures the cost of post-quantum key exchange in connections per second: AWS's study of s2n-quic in 2022, with
# today's algorithms. Writes build/out/figure3.{html,svg,json} and prints the relative rates. CONNECTIONS= and
# ROUNDS= set its length.
figure3: bootstrap build
	cd cmd && GOWORK="$$(../scripts/workspace)" go build $(TAGS) -o "$(BIN)/" ./netbench
	"$(BIN)/netbench" compare figure3 -o build/out --connections "$${CONNECTIONS:-10000}" --rounds "$${ROUNDS:-5}"

# Draws how the congestion window, the bytes in flight and the round-trip time of each congestion controller develop in
# some situations, in build/out/curves.
curves:
	go test ./quic/internal/recovery -run TestCurves -count 1 -plot-curves "$(CURDIR)/build/out/curves"
	@echo build/out/curves

# Shows pqquic beside quic-go, x/net, s2n-quic, quinn and TLS over TCP in netbench's own reports, in
# build/out/netbench-peers: rates, CPU time, memory and latencies. CONNECTIONS= and ROUNDS= set its length, and
# CONCURRENCY= the number of connections at a time. Without cargo it says that s2n-quic and quinn are left out.
netbench-peers: tools
	scripts/netbench-peers

# The same study with the key exchanges of 2022, which only the variant historic has. Writes
# build/out/figure3-2022.{html,svg,json}; the page also shows today's algorithms. If `make figure3` has not measured
# them, a shorter run does so here. A key exchange that would take longer than 40 s in a round makes fewer
# connections.
figure3-2022: VARIANT = historic
figure3-2022: bootstrap build
	[ -e build/out/figure3.json ] || $(MAKE) figure3 VARIANT=default CONNECTIONS="$${CONNECTIONS:-2000}"
	cd cmd && GOWORK="$$(../scripts/workspace)" go build $(TAGS) -o "$(BIN)/netbench-historic" ./netbench
	"$(BIN)/netbench-historic" compare figure3-2022 -o build/out --connections "$${CONNECTIONS:-10000}" \
		--rounds "$${ROUNDS:-5}"

# Runs every fuzz target for TIME (10s), one after the other. TARGETS= selects them by a regular expression.
fuzz:
	scripts/fuzz "$${TIME:-10s}" "$${TARGETS:-.}"

# Runs SEEDS (100,000) random worlds of the simulator. A failure prints the line that replays its seed. FIRST= is the
# first seed.
sim:
	PQQUIC_SIM_SEEDS="$${SEEDS:-100000}" PQQUIC_SIM_FIRST="$${FIRST:-0}" go test ./quic/internal/sim \
		-run '^TestRandomWorlds' -count 1 -timeout 0 -v

# Opens and closes connections for MINUTES (10) and checks that nothing grows: the heap, the memory and objects of the
# providers, goroutines.
soak:
	PQQUIC_SOAK_MINUTES="$${MINUTES:-10}" go test ./quic -run '^TestSoak$$' -count 1 -timeout 0 -v

install: build
	scripts/install $(VARIANT) "$(PREFIX)"

clean:
	rm -rf build/out cgo/*/zlinked_*.go

# Runs the test cases of the QUIC interop runner without containers, ours with ours and with other stacks, and prints a
# matrix: see docs/interop.md. CASES= and PAIRS= select some, such as CASES=handshake,retry PAIRS=native-s2n. PEERS=
# selects the stacks beside quic-go, such as PEERS=quinn; "none" leaves them out. Needs root.
interop: bootstrap build
	PEERS="$${PEERS:-all}" scripts/interop -cases "$${CASES:-}" -pairs "$${PAIRS:-}" -parallel "$${PARALLEL:-8}"

# Encodes and decodes the published files of the QPACK interoperability tests. QIFS_DIR is a checkout of
# https://github.com/qpackers/qifs.
qifs:
	@[ -d "$(QIFS_DIR)" ] || { echo "qifs: set QIFS_DIR to a checkout of https://github.com/qpackers/qifs" >&2; exit 1; }
	cd cmd && GOWORK="$$(../scripts/workspace)" QIFS_DIR="$(abspath $(QIFS_DIR))" go test -count 1 -v -run Published ./qif

# Tests HTTP/3 against quic-go, aioquic, quinn with h3, quiche, ngtcp2 and Chromium, in both roles where they have both.
h3-interop: bootstrap build
	scripts/h3-interop

# Tests QPACK against ls-qpack, which it installs from PyPI below build/out.
qpack-interop:
	scripts/qpack-interop

# Lists the normative sentences of the RFCs with the code and tests that quote them. RFC_DIR has their texts.
ledger:
	cd cmd && GOWORK="$$(../scripts/workspace)" go run ./rfcledger -root .. \
		-reasons ../docs/conformance-reasons.txt -out ../docs
