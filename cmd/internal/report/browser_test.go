//go:build unix

package report

import (
	"bytes"
	"net/url"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/browsertest"
)

// In a real browser the page has no errors, its charts have a size, it does not scroll sideways, runs can
// be hidden and values are shown beside the pointer.
func TestPageInBrowser(t *testing.T) {
	b := browsertest.Open(t)
	for name, inputs := range map[string][]Input{"samples": samples(t), "hostile": {hostile(t), hostile(t), theirs(t, "b.json")}} {
		file := t.TempDir() + "/report.html"
		var page bytes.Buffer
		require.NoError(t, WritePage(&page, inputs, "test"))
		require.NoError(t, os.WriteFile(file, page.Bytes(), 0o600))
		for _, width := range []int{1280, 360} {
			b.Resize(width, 900)
			b.Open(file)
			var sizes []struct{ W, H, Lines float64 }
			b.Evaluate(`[...document.querySelectorAll("figure svg")].map(s => { const r = s.getBoundingClientRect();
				return {w: r.width, h: r.height, lines: [...s.querySelectorAll("polyline, circle")].filter(l => l.getBoundingClientRect().width > 0).length}})`, &sizes)
			require.Len(t, sizes, len(figures(makeSeries(inputs))))
			for i, s := range sizes {
				require.Greater(t, s.W, float64(width)*0.3, "%s: chart %d", name, i)
				require.Greater(t, s.H, s.W/4, "%s: chart %d", name, i)
				require.Positive(t, s.Lines, "%s: chart %d", name, i)
			}
			var scroll int
			b.Evaluate("document.documentElement.scrollWidth", &scroll)
			var wide []string
			b.Evaluate(`[...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, svg") && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 100))`, &wide)
			require.LessOrEqual(t, scroll, width, "%s: the page does not scroll sideways, as by %q", name, wide)
			var owned bool
			b.Evaluate(`document.title === "owned" || document.querySelector("img, main b, main i, main u") !== null`, &owned)
			require.False(t, owned, "a file's text became a part of the page")
			b.WantQuiet(file)
		}
	}
}

func TestPageInteraction(t *testing.T) {
	b := browsertest.Open(t)
	file := t.TempDir() + "/report.html"
	var page bytes.Buffer
	require.NoError(t, WritePage(&page, samples(t), "test"))
	require.NoError(t, os.WriteFile(file, page.Bytes(), 0o600))
	b.Resize(1280, 4000)
	b.Open(file)
	var tip string
	b.Evaluate(`(() => { const s = document.querySelector("figure svg"), r = s.getBoundingClientRect();
		s.dispatchEvent(new PointerEvent("pointermove", {clientX: r.left + r.width / 2, clientY: r.top + r.height / 2, bubbles: true}));
		return document.querySelector("figure output").textContent })()`, &tip)
	require.Regexp(t, `^\d+\.\d s\npqquic s2n X25519 client: [\d.]+ /s\n`, tip)
	var shown int
	b.Evaluate(`(() => { document.querySelector(".legend button").click();
		return [...document.querySelectorAll("figure [data-series='0']")].filter(g => getComputedStyle(g).display !== "none").length })()`, &shown)
	require.Zero(t, shown, "the clicked run is hidden in all charts")
	b.Evaluate(`(() => { document.querySelector(".legend button").click();
		return [...document.querySelectorAll("figure [data-series='0']")].filter(g => getComputedStyle(g).display !== "none").length })()`, &shown)
	require.Greater(t, shown, 5, "and shown again")
	var unnamed int
	b.Evaluate(`[...document.querySelectorAll("figure svg, button")].filter(e => e.tagName === "BUTTON" ? !e.textContent.trim() : !document.getElementById(e.getAttribute("aria-labelledby").split(" ")[0])).length`, &unnamed)
	require.Zero(t, unnamed, "charts and buttons have accessible names")

	var colours [2]string
	for i, scheme := range []string{"light", "dark"} {
		b.Scheme(scheme)
		b.Evaluate(`getComputedStyle(document.body).backgroundColor`, &colours[i])
		if dir := os.Getenv("NETBENCH_TEST_OUT"); dir != "" {
			b.Screenshot(dir + "/" + scheme + ".png")
		}
	}
	require.NotEqual(t, colours[0], colours[1])
	b.WantQuiet(file)
}

func TestTreeInBrowser(t *testing.T) {
	b := browsertest.Open(t)
	out := writeSampleTree(t)
	b.Open(out + "/index.html")
	var links []string
	b.Evaluate(`[...document.querySelectorAll("a")].map(a => a.href)`, &links)
	require.Len(t, links, 2)
	b.WantQuiet(out + "/index.html")
	for _, link := range links {
		u, err := url.Parse(link)
		require.NoError(t, err)
		b.Open(u.Path)
		var charts int
		b.Evaluate(`document.querySelectorAll("figure svg").length`, &charts)
		require.Positive(t, charts)
	}
}
