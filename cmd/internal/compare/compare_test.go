package compare

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

func TestStudiesAreValid(t *testing.T) {
	names := make(map[string]bool)
	for _, s := range Studies([]string{"s2n", "native"}) {
		require.NoError(t, s.Validate())
		require.False(t, names[s.Name], "%s is there twice", s.Name)
		names[s.Name] = true
		require.GreaterOrEqual(t, s.Rounds, 5)
		require.NotEmpty(t, s.About)
	}
	fig := Studies([]string{"s2n", "native"})[0]
	require.Equal(t, "figure3", fig.Name)
	require.Len(t, fig.Configs, 8)
	require.True(t, fig.CountDatagrams)
	require.Equal(t, 10_000, fig.Connections)
	require.Equal(t, "s2n X25519", fig.Configs[1].Baseline)
	require.Equal(t, []string{"--provider", "native", "--groups", "SecP384r1MLKEM1024"}, fig.Configs[7].Client)
}

func TestValidate(t *testing.T) {
	ok := Study{Name: "x", Configs: []Config{{Name: "a"}}, Connections: 1, Rounds: 1}
	require.NoError(t, ok.Validate())
	for want, edit := range map[string]func(*Study){
		"has no configurations":   func(s *Study) { s.Configs = nil },
		"at least one":            func(s *Study) { s.Rounds = 0 },
		`two configurations`:      func(s *Study) { s.Configs = []Config{{Name: "a"}, {Name: "a"}} },
		`refers to "b", which is`: func(s *Study) { s.Configs = []Config{{Name: "a", Baseline: "b"}} },
	} {
		s := ok
		edit(&s)
		require.ErrorContains(t, s.Validate(), want)
	}
}

func TestParseConfig(t *testing.T) {
	c, err := ParseConfig("mine=--provider native server: --retry client: --concurrency 8 --driver=/bin/x")
	require.NoError(t, err)
	require.Equal(t, Config{Name: "mine", Driver: "/bin/x", Server: []string{"--provider", "native", "--retry"},
		Client: []string{"--provider", "native", "--concurrency", "8"}}, c)
	for _, bad := range []string{"", "x", "=--provider s2n"} {
		_, err := ParseConfig(bad)
		require.Error(t, err)
	}
}

// sampleResult returns a result whose second configuration is 10 % slower than the first one in each round.
func sampleResult(t *testing.T) *Result {
	t.Helper()
	r := &Result{Began: time.Unix(1_800_000_000, 0).UTC(), Study: Study{Name: "s", Title: "Title <b>", About: "About.", Connections: 100, Rounds: 3, Blocks: 1,
		Configs: []Config{{Name: "base", Server: []string{"--provider", "native"}}, {Name: "other", Baseline: "base"}}}}
	for round, rate := range []float64{100, 50, 200} {
		for i, c := range r.Study.Configs {
			got := rate * (1 - 0.1*float64(i))
			o := Outcome{Config: c.Name, Round: round + 1, Block: 1, ServerCPU: 1, Client: &stats.Summary{Connections: 100, Seconds: 100 / got, CPUSeconds: 1,
				Rates: []int64{int64(got), int64(got)}, Provenance: &stats.Provenance{Go: "go1", CPU: "a CPU", CPUs: 2, Group: "G"},
				Latency: map[string]stats.Percentiles{"connect": {P50: 900, P99: 1500}}}}
			if i == 1 && round == 1 {
				o.Client.Failed = map[string]int64{"handshake timeout": 2}
			}
			r.Outcomes = append(r.Outcomes, o)
		}
	}
	require.NoError(t, r.evaluate(1))
	return r
}

func TestEvaluate(t *testing.T) {
	r := sampleResult(t)
	require.Len(t, r.Rows, 2)
	require.Nil(t, r.Rows[0].RelativeRate)
	require.InDelta(t, 350.0/3, r.Rows[0].Rate.Value, 1e-6)
	other := r.Rows[1]
	require.InDelta(t, 0.9, other.RelativeRate.Value, 1e-6, "the interval is narrow although the rounds differ by a factor of four")
	require.InDelta(t, 0.9, other.RelativeRate.Low, 1e-6)
	require.InDelta(t, 0.9, other.RelativeRate.High, 1e-6)
	require.InDelta(t, 1, other.RelativeCPU.Value, 1e-6)
	require.InDelta(t, 20_000, other.CPU.Value, 1e-6)
	require.Equal(t, map[string]int64{"handshake timeout": 2}, other.Failed)
	require.EqualValues(t, 2, r.Failures())
	require.Equal(t, 900.0, other.P50)
	require.Equal(t, "G", other.Group)
}

// The result survives its file, which is all that --page-only has.
func TestRead(t *testing.T) {
	r := sampleResult(t)
	r.Connections = map[string]int{"other": 30}
	r.Datagrams = map[string]*Datagrams{"base": {ClientHello: 2, Client: 3, Server: 4}}
	r.Study.Configs[1].Published = 0.92
	require.NoError(t, r.evaluate(r.Seed))
	var raw bytes.Buffer
	require.NoError(t, r.WriteJSON(&raw))
	back, err := Read(bytes.NewReader(raw.Bytes()))
	require.NoError(t, err)
	require.Equal(t, r, back)
	for text, want := range map[string]string{
		"":   "EOF",
		"{}": "has no configurations",
		`{"study":{"name":"s","configs":[{"name":"a"}],"connections":1,"rounds":1}}`:                             "a has no outcome",
		`{"study":{"name":"s","configs":[{"name":"a"}],"connections":1,"rounds":1},"outcomes":[{"config":"a"}]}`: "without figures",
	} {
		_, err := Read(strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
}
