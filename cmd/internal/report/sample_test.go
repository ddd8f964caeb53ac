package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// ours is a run as our collector writes it.
func ours(t *testing.T, file, provider, group, role string, rate float64, seed uint64) Input {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	require.NoError(t, w.Encode(stats.Header{
		PID: 7, Driver: "/usr/local/bin/netbench", Scenario: "out/request_response.json", Role: role,
		StartTime: stats.Time{Secs: 1790000000}, Collector: "netbench collect v1.0.0", Traces: []string{"lbl"},
		Provenance: &stats.Provenance{Version: "v1.0.0", Go: "go1.26", OS: "linux/amd64", Kernel: "6.1.0-18", CPU: "An Example CPU @ 2.60GHz",
			CPUs: 2, Transport: "pqquic", Provider: provider, Group: group, CipherSuite: "TLS_AES_128_GCM_SHA256",
			Certificate: "ecdsa-p256", Flags: []string{role, "--groups", group}},
	}))
	require.NoError(t, w.Encode(stats.Sample{Memory: 9 << 20}))
	last := int64(0)
	for i := range 24 {
		now := int64(i+1)*1000 + random.Int64N(12)
		n := int64(rate * float64(now-last) / 1e3 * (1 + 0.05*random.NormFloat64()))
		if i == 23 {
			now, n = last+150, n/7
		}
		s := stats.Sample{
			T: now, CPU: 85, CPUTime: int64(0.85 * float64(now-last) * 1e3 * (1 + 0.03*random.NormFloat64())),
			Memory: (14 << 20) + int64(i)*90_000, Connections: n, Completed: n, ConnectTime: stats.Stat{Count: n, Total: n * int64(1e6/rate)},
			Send: map[string]stats.Stat{"0:0": {Count: n, Total: n}}, Receive: map[string]stats.Stat{"0:0": {Count: n, Total: n}},
			Latency: map[string]*stats.Profile{},
		}
		if i == 10 {
			s.Failed = map[string]int64{"timeout": 2}
		}
		for name, scale := range map[string]float64{"connect": 0.8, "ttfb": 0.9, "request": 0.15} {
			p := new(stats.Profile)
			counts := make(map[int64]int64)
			for range n {
				v := int64(scale * 1e6 / rate * math.Exp(0.25*random.NormFloat64()))
				p.Stat.Add(v)
				counts[v/16*16]++
			}
			for _, lower := range slices.Sorted(maps.Keys(counts)) {
				p.Buckets = append(p.Buckets, stats.Bucket{Lower: lower, Upper: lower + 16, Count: counts[lower]})
			}
			s.Latency[name] = p
		}
		require.NoError(t, w.Encode(s))
		last = now
	}
	return read(t, file, b.String())
}

// theirs is a run as s2n-netbench's collector writes it.
func theirs(t *testing.T, file string) Input {
	t.Helper()
	var b strings.Builder
	b.WriteString(`{"pid":4242,"driver":"./target/release/s2n-netbench-driver-client-s2n-quic","scenario":"./target/s2n-netbench/request_response.json","start_time":{"secs_since_epoch":1720807509,"nanos_since_epoch":123456789},"traces":["lbl","request","response"]}` + "\n")
	b.WriteString(`{"t":0,"memory":12288000000,"virtual_memory":90112000000}` + "\n")
	for i := 1; i < 20; i++ {
		fmt.Fprintf(&b, `{"t":%d,"cpu":%d.5,"memory":%d,"virtual_memory":90112000000,"connect_time":{"count":%d,"total":%d},"profiles":{"0":{"stat":{"count":812,"total":1234567},"buckets":[{"lower":1000,"upper":2000,"count":800},{"lower":2000,"upper":4000,"count":12}]}}}`+"\n",
			i*1000, 60+i%5, 4096000*(3000+int64(i)), 700+i, 700_000)
	}
	return read(t, file, b.String())
}

func read(t *testing.T, file, text string) Input {
	t.Helper()
	run, err := stats.Read(strings.NewReader(text))
	require.NoError(t, err)
	return Input{Name: file, Run: run}
}

// hostile is a file in which every text tries to become markup.
func hostile(t *testing.T) Input {
	t.Helper()
	const evil = `</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"'&\u202e\u0000`
	return read(t, `a"><script>alert(2)</script>.json`, `{"pid":1,"driver":"`+strings.ReplaceAll(evil, `"'`, `\"'`)+`","scenario":"x/`+strings.ReplaceAll(evil, `"'`, `\"'`)+
		`","traces":["`+strings.ReplaceAll(evil, `"'`, `\"'`)+`"],"role":"</style><b>","provenance":{"cpu":"</td><script>1</script>","kernel":"{{.}}","flags":["<b>"]},"start_time":{"secs_since_epoch":99999999999999}}
{"t":1000,"cpu":50,"connections":5,"failed":{"<i>class</i>":3},"notes":["<u>note</u>"],"profiles":{"0":{"stat":{"count":1,"total":5},"buckets":[{"lower":1,"upper":9,"count":1}]},"<7>":{"stat":{"count":1,"total":5},"buckets":[{"lower":1,"upper":9,"count":1}]}}}
{"t":2000,"cpu":50,"memory":9223372036854775807,"connections":9223372036854775807,"cpu_time_us":9223372036854775807,"send":{"0:0":{"count":1,"total":9223372036854775807}}}
{"t":9223372036854775807,"connections":1,"latency":{"connect":{"stat":{"count":1,"total":1},"buckets":[{"lower":0,"upper":9223372036854775807,"count":9223372036854775807},{"lower":0,"upper":0,"count":9223372036854775807}]}}}
`)
}
