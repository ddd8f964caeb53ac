package report

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

func samples(t *testing.T) []Input {
	return []Input{
		ours(t, "results/x25519.json", "s2n", "X25519", "client", 700, 1),
		ours(t, "results/x25519mlkem768.json", "s2n", "X25519MLKEM768", "client", 620, 2),
		ours(t, "results/again.json", "s2n", "X25519MLKEM768", "client", 610, 3),
		theirs(t, "results/s2n-quic.json"),
	}
}

func pageOf(t *testing.T, inputs []Input) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, WritePage(&b, inputs, "test"))
	if dir := os.Getenv("NETBENCH_TEST_OUT"); dir != "" { // to look at the page
		require.NoError(t, os.WriteFile(dir+"/"+strings.ReplaceAll(t.Name(), "/", "-")+".html", b.Bytes(), 0o600))
	}
	return b.String()
}

func TestPage(t *testing.T) {
	text := pageOf(t, samples(t))
	for _, want := range []string{
		"Connections completed per second", "Throughput, sent and received", "CPU time per connection",
		"CPU time per byte", "Resident memory", "Handshake: latency by percentile",
		"Time to first byte: latency by percentile", "Request: latency by percentile", "p99.9",
		"95 % confidence intervals", "An Example CPU @ 2.60GHz", "6.1.0-18", "X25519MLKEM768", "--groups X25519",
		"times are nominal", "memory was divided by 1000", "client-s2n-quic", "timeout: 2",
		"pqquic s2n X25519MLKEM768 client (again.json)", "pqquic s2n X25519MLKEM768 client (x25519mlkem768.json)",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "ZgotmplZ", "the template rejected a value")
}

// The page loads nothing: it contains no address, and its policy forbids loading.
func TestPageIsSelfContained(t *testing.T) {
	text := pageOf(t, samples(t))
	require.NotRegexp(t, `(?i)https?://|//[a-z]+\.|\bsrc=|@import|url\(|<link|<iframe|<object|fetch\(|XMLHttp`, text)
	require.NotRegexp(t, `href="[^#]`, text)
	require.Contains(t, text, "default-src &#39;none&#39;")
	require.NotRegexp(t, `style="|\son[a-z]+="`, text, "the policy would refuse them")
}

// Texts from a file are never interpreted as markup.
func TestPageOfHostileFile(t *testing.T) {
	text := pageOf(t, []Input{hostile(t), hostile(t), theirs(t, "b.json")})
	require.Equal(t, 1, strings.Count(text, "<script>"), "only the page's own")
	for _, tag := range []string{"<img", "<b>", "<i>", "<u>", "<7>", "</style><b", "owned</script"} {
		require.NotContains(t, text, tag)
	}
	require.NotContains(t, text, "\u202e", "characters that change the direction of text")
	require.NotContains(t, text, "\x00")
	require.NotRegexp(t, `NaN|Inf\b|\+Inf`, text)
	opened, closed := strings.Count(text, "<script"), strings.Count(text, "</script>")
	require.Equal(t, opened, closed)
}

func TestPageOfEmptyRuns(t *testing.T) {
	text := pageOf(t, []Input{read(t, "a.json", `{"driver":"d"}`), read(t, "b.json", `{"driver":"d"}`+"\n"+`{"t":0}`)})
	require.Equal(t, 1, strings.Count(text, "All runs: the file contains no complete interval"), "reported once")
	require.Contains(t, text, "d (a.json)")
}

// A long run does not make a large page.
func TestPageOfLongRun(t *testing.T) {
	run := &stats.Run{Header: stats.Header{Driver: "d", Collector: "x"}}
	for i := range 100_000 {
		run.Samples = append(run.Samples, stats.Sample{T: int64(i) * 1000, Connections: 100, CPUTime: 500_000, Memory: 1 << 20})
	}
	text := pageOf(t, []Input{{"long.json", run}})
	require.Less(t, len(text), 400_000)
	require.Contains(t, text, "100 /s")
}

// Each colour has the contrast with its background that WCAG requires of text (4.5) or of lines (3).
func TestContrast(t *testing.T) {
	vars := regexp.MustCompile(`--(\w+):#([0-9a-f]{3,6})`)
	light, dark, ok := strings.Cut(Style, "@media (prefers-color-scheme:dark)")
	require.True(t, ok)
	for name, block := range map[string]string{"light": light, "dark": dark} {
		c := make(map[string]string)
		for _, m := range vars.FindAllStringSubmatch(block, -1) {
			c[m[1]] = m[2]
		}
		for _, pair := range [][2]string{{"fg", "bg"}, {"soft", "bg"}, {"soft", "panel"}, {"notefg", "note"}, {"link", "bg"}, {"fg", "panel"}} {
			require.GreaterOrEqual(t, contrast(t, c[pair[0]], c[pair[1]]), 4.5, "%s: %v", name, pair)
		}
		for i := range colours {
			require.GreaterOrEqual(t, contrast(t, c[fmt.Sprint("c", i)], c["bg"]), 3.0, "%s: colour %d", name, i)
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}
