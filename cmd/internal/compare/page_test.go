//go:build unix

package compare

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/browsertest"
)

func pageOf(t *testing.T, r *Result, others ...*Result) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, r.WriteHTML(&out, others...))
	return out.String()
}

func TestPage(t *testing.T) {
	r := sampleResult(t)
	text := pageOf(t, r)
	require.Contains(t, text, "−10.0 %")
	require.Contains(t, text, "2 handshake timeout")
	require.Contains(t, text, "2 × a CPU")
	require.Contains(t, text, "Title &lt;b&gt;")
	require.NotContains(t, text, "<b>")
	require.NotContains(t, text, "<script")
	require.NotContains(t, text, "src=")
	require.NotContains(t, text, "<polyline points=\"52", "one block has no line")
	require.Contains(t, text, "3 rounds of 100 connections each; 2 connections failed")
	require.NotContains(t, text, "ZgotmplZ")

	r.Study.Beside = "figure3"
	require.Contains(t, pageOf(t, r), "run netbench compare figure3")
}

// historicResult returns a result with everything that the study of 2022 has, and one of today.
func historicResult(t *testing.T) (then, now *Result) {
	t.Helper()
	then, now = blocks(t, 10), blocks(t, 10)
	then.Study.Label, now.Study.Label = "2022's algorithms", "Today's algorithms"
	then.Study.Beside, then.Study.Limit, then.Study.Published = "now", 25*time.Second, "Example University"
	then.Study.Configs[1].Published = 0.05
	then.Connections = map[string]int{then.Study.Configs[1].Name: 500}
	then.Datagrams = map[string]*Datagrams{then.Study.Configs[1].Name: {ClientHello: 2, Client: 3, Server: 4}}
	require.NoError(t, then.evaluate(1))
	return then, now
}

func TestPageOfTwoResults(t *testing.T) {
	then, now := historicResult(t)
	text := pageOf(t, then, now)
	for _, want := range []string{"2022&#39;s algorithms: s2n X25519 is 100 %", "Today&#39;s algorithms: s2n X25519 is 100 %", "−95 % published",
		"fewer than 1000", "3 / 4", "ClientHello: 2", "Published rates: Example University."} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "Remarks")
	require.NotContains(t, text, "ZgotmplZ")
}

// In a real browser both pages fit their window, in which no text is too small, and load nothing.
func TestPagesInBrowser(t *testing.T) {
	b := browsertest.Open(t)
	then, now := historicResult(t)
	for name, text := range map[string]string{"short": pageOf(t, sampleResult(t)), "figure3": pageOf(t, now), "figure3-2022": pageOf(t, then, now)} {
		file := filepath.Join(t.TempDir(), "page.html")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		for _, width := range []int{1200, 900, 400} {
			b.Resize(width, 900)
			b.Open(file)
			var wide []string
			b.Evaluate(`[...document.querySelectorAll("body *")].filter(e => !e.closest("details:not([open])") && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 100))`, &wide)
			require.Empty(t, wide, "%s at %d: cut off at the right", name, width)
			var scrolls int
			b.Evaluate(`[...document.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth + 1).length`, &scrolls)
			require.Zero(t, scrolls, "%s at %d: a table does not fit", name, width)
			var small []string
			b.Evaluate(`[...document.querySelectorAll("svg text, td, small, p, span, div")].filter(e => e.textContent.trim() && e.getBoundingClientRect().width > 0).filter(e => {
				const scale = e.closest("svg") ? e.getScreenCTM().a : 1;
				return parseFloat(getComputedStyle(e).fontSize) * scale < 11 }).map(e => e.outerHTML.slice(0, 100))`, &small)
			require.Empty(t, small, "%s at %d: text of less than 11 pixels", name, width)
			var fonts []string
			b.Evaluate(`[...new Set([...document.querySelectorAll("body, td, svg text, .bar")].map(e => getComputedStyle(e).fontFamily))]`, &fonts)
			require.Len(t, fonts, 1, "%s: charts have the page's font", name)
			var overlaps []string
			b.Evaluate(`(() => { const out = [];
				for (const group of document.querySelectorAll("figure svg, .scale, .bar")) {
					const boxes = [...group.querySelectorAll("text, span, .name, strong")].map(e => [e.textContent, e.getBoundingClientRect()]).filter(x => x[1].width > 0);
					boxes.forEach(([s, p], i) => boxes.slice(i + 1).forEach(([u, q]) => {
						if (p.left < q.right && q.left < p.right && p.top + 2 < q.bottom && q.top + 2 < p.bottom) out.push(s + " | " + u) }));
				} return out })()`, &overlaps)
			require.Empty(t, overlaps, "%s at %d: texts overlap", name, width)
			var drawings int
			b.Evaluate(`[...document.querySelectorAll("figure > svg")].filter(e => e.getBoundingClientRect().width > 0).length`, &drawings)
			require.Equal(t, map[string]int{"short": 0, "figure3": 1, "figure3-2022": 2}[name], drawings, "%s at %d", name, width)
			b.WantQuiet(file)
		}
		var colours [2]string
		for i, scheme := range []string{"light", "dark"} {
			b.Scheme(scheme)
			b.Evaluate(`getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).color`, &colours[i])
		}
		require.NotEqual(t, colours[0], colours[1])
	}
}
