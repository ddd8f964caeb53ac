package main

import (
	"fmt"
	"slices"
)

// A ratio is what a comparison aims at.
type ratio struct {
	what   string
	of, to string
	atMost float64 // 0: it is only shown
}

var ratios = []ratio{
	{"PQ handshake pair, s2n provider / C", "Handshake/s2n/X25519MLKEM768", "Handshake/c/X25519MLKEM768", 1.2},
	// The same work by crypto/tls: the native provider derives packet keys as the s2n one does. Bare
	// crypto/tls hands secrets out and leaves that to its caller.
	{"PQ handshake pair, s2n / native (crypto/tls) provider", "Handshake/s2n/X25519MLKEM768", "Handshake/native/X25519MLKEM768", 0.5},
	{"PQ handshake pair, s2n / crypto/tls without keys", "Handshake/s2n/X25519MLKEM768", "Handshake/cryptotls/X25519MLKEM768", 0},
	{"PQ handshake pair, native / crypto/tls without keys", "Handshake/native/X25519MLKEM768", "Handshake/cryptotls/X25519MLKEM768", 0},
	{"PQ / X25519 handshake pair, s2n provider", "Handshake/s2n/X25519MLKEM768", "Handshake/s2n/X25519", 0},
	{"PQ / X25519 handshake pair, native provider", "Handshake/native/X25519MLKEM768", "Handshake/native/X25519", 0},
	{"seal 32 x 1200 bytes, s2n provider / C", "Seal/s2n/1200x32", "Seal/c/1200x32", 1.1},
	{"open 32 x 1200 bytes, s2n provider / C", "Open/s2n/1200x32", "Open/c/1200x32", 1.1},
	{"seal 32 x 1200 bytes, native / s2n provider", "Seal/native/1200x32", "Seal/s2n/1200x32", 0},
	{"connections one by one, s2n provider / quic-go", "Connect/s2n/1", "Connect/quic-go/1", 0},
	{"connections one by one, native provider / quic-go", "Connect/native/1", "Connect/quic-go/1", 0},
	{"connections 32 at a time, s2n provider / quic-go", "Connect/s2n/32", "Connect/quic-go/32", 0},
	{"connections 32 at a time, native provider / quic-go", "Connect/native/32", "Connect/quic-go/32", 0},
	{"connections 32 at a time, s2n provider / x/net", "Connect/s2n/32", "Connect/xnet/32", 0},
	{"one stream, s2n provider / quic-go", "Stream/s2n", "Stream/quic-go", 0},
	{"one stream, native provider / quic-go", "Stream/native", "Stream/quic-go", 0},
	{"one stream, s2n provider / x/net", "Stream/s2n", "Stream/xnet", 0},
}

// ratios prints time ratios: the median of the rounds, each round's two figures taken side by side.
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
		m := all[len(all)/2]
		aim := ""
		if r.atMost > 0 {
			aim = fmt.Sprintf("at most %.1f: %s", r.atMost, verdict(m <= r.atMost))
		}
		fmt.Printf("%-54s %6.2f %6.2f  %.2f – %-7.2f %s\n", r.what, m, cpus[len(cpus)/2], all[0], all[len(all)-1], aim)
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
