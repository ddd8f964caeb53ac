package main

import (
	"fmt"
	"slices"
	"strings"
)

// A ratio is a comparison of two subjects, with an optional target.
type ratio struct {
	what   string
	of, to string
	atMost float64 // 0 means no target
	byCPU  bool    // compare CPU time instead of elapsed time
}

var ratios = []ratio{
	{what: "PQ handshake pair, s2n provider / C", of: "Handshake/s2n/X25519MLKEM768", to: "Handshake/c/X25519MLKEM768", atMost: 1.2},
	// The native provider does the same work with crypto/tls, including packet keys, which crypto/tls alone does
	// not derive. The target is for CPU time, because garbage is collected on another core here, and a server
	// under load has no spare core.
	{what: "PQ handshake pair, s2n / native (crypto/tls) provider", of: "Handshake/s2n/X25519MLKEM768", to: "Handshake/native/X25519MLKEM768", atMost: 0.5, byCPU: true},
	{what: "PQ handshake pair, s2n / crypto/tls without keys", of: "Handshake/s2n/X25519MLKEM768", to: "Handshake/cryptotls/X25519MLKEM768"},
	{what: "PQ handshake pair, C / crypto/tls without keys", of: "Handshake/c/X25519MLKEM768", to: "Handshake/cryptotls/X25519MLKEM768"},
	{what: "PQ handshake pair, native / crypto/tls without keys", of: "Handshake/native/X25519MLKEM768", to: "Handshake/cryptotls/X25519MLKEM768"},
	{what: "PQ / X25519 handshake pair, s2n provider", of: "Handshake/s2n/X25519MLKEM768", to: "Handshake/s2n/X25519"},
	{what: "PQ / X25519 handshake pair, native provider", of: "Handshake/native/X25519MLKEM768", to: "Handshake/native/X25519"},
	{what: "seal 32 x 1200 bytes, s2n provider / C", of: "Seal/s2n/1200x32", to: "Seal/c/1200x32", atMost: 1.1},
	{what: "open 32 x 1200 bytes, s2n provider / C", of: "Open/s2n/1200x32", to: "Open/c/1200x32", atMost: 1.1},
	{what: "seal 32 x 1200 bytes, native / s2n provider", of: "Seal/native/1200x32", to: "Seal/s2n/1200x32"},
	{what: "connections one by one, s2n provider / quic-go", of: "Connect/s2n/1", to: "Connect/quic-go/1"},
	{what: "connections one by one, native provider / quic-go", of: "Connect/native/1", to: "Connect/quic-go/1"},
	{what: "connections 32 at a time, s2n provider / quic-go", of: "Connect/s2n/32", to: "Connect/quic-go/32"},
	{what: "connections 32 at a time, native provider / quic-go", of: "Connect/native/32", to: "Connect/quic-go/32"},
	{what: "connections 32 at a time, s2n provider / x/net", of: "Connect/s2n/32", to: "Connect/xnet/32"},
	{what: "one stream, s2n provider / quic-go", of: "Stream/s2n", to: "Stream/quic-go"},
	{what: "one stream, native provider / quic-go", of: "Stream/native", to: "Stream/quic-go"},
	{what: "one stream, s2n provider / x/net", of: "Stream/s2n", to: "Stream/xnet"},
	{what: "p99 of 100 pings beside bulk, s2n / quic-go", of: "PingBesideBulk/s2n", to: "PingBesideBulk/quic-go", atMost: 1},
	{what: "p99 of 100 pings beside bulk, native / quic-go", of: "PingBesideBulk/native", to: "PingBesideBulk/quic-go", atMost: 1},
	{what: "p99 of 100 pings beside bulk, quic-go / timers alone", of: "PingBesideBulk/quic-go", to: "PingBesideBulk/timers"},
}

// ratios prints the medians of the rounds' ratios. The two figures of a ratio come from the same round.
func (b *bench) ratios() {
	fmt.Printf("\n%-54s %6s %6s  %-14s %s\n", "medians of the rounds' ratios", "time", "CPU", "range of time", "aim")
	for _, r := range ratios {
		of, to := b.results[r.of], b.results[r.to]
		if len(of) == 0 || len(to) == 0 {
			continue
		}
		var all, cpus []float64
		for i := range of {
			all = append(all, of[i].ns/to[i].ns)
			cpus = append(cpus, of[i].cpu/to[i].cpu)
		}
		slices.Sort(all)
		slices.Sort(cpus)
		m, cpu := all[len(all)/2], cpus[len(cpus)/2]
		aim := ""
		switch {
		case r.byCPU:
			aim = fmt.Sprintf("CPU at most %.1f: %s", r.atMost, verdict(cpu <= r.atMost))
		case r.atMost > 0:
			aim = fmt.Sprintf("time at most %.1f: %s", r.atMost, verdict(m <= r.atMost))
		}
		fmt.Printf("%-54s %6.2f %6.2f  %.2f – %-7.2f %s\n", r.what, m, cpu, all[0], all[len(all)-1], aim)
	}
	for _, name := range []string{"Connect/s2n/1", "Connect/native/1", "Connect/quic-go/1", "Connect/xnet/1"} {
		if rs := b.results[name]; len(rs) > 0 && rs[0].datagrams > 0 {
			var all []float64
			for _, r := range rs {
				all = append(all, r.datagrams)
			}
			slices.Sort(all)
			m, aim := all[len(all)/2], ""
			if !strings.Contains(name, "quic-go") && !strings.Contains(name, "xnet") {
				aim = "aim at most 8: " + verdict(m <= 8)
			}
			fmt.Printf("%-54s %6.1f %6s  %.1f – %-8.1f %s\n", name+", UDP datagrams", m, "", all[0], all[len(all)-1], aim)
		}
	}
	for _, name := range []string{"Seal/s2n/1200x32", "Open/s2n/1200x32", "OpenInitialJunk/s2n"} {
		if rs := b.results[name]; len(rs) > 0 {
			fmt.Printf("%-54s %13.0f  %-14s aim 0: %s\n", name+", allocations", rs[0].allocs, "", verdict(rs[0].allocs == 0))
		}
	}
}

func verdict(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}
