//go:build unix

package report

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// browser is a headless Chromium, controlled through two pipes with the DevTools protocol.
type browser struct {
	t       *testing.T
	cmd     *exec.Cmd
	in      *os.File
	out     *bufio.Reader
	next    int
	session string
	events  []event
}

type event struct {
	ID        int             `json:"id"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     json.RawMessage `json:"error"`
	SessionID string          `json:"sessionId"`
}

// openBrowser starts Chromium. If it is not installed, the test is skipped, or with CI=true fails.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		require.NotEqual(t, "true", os.Getenv("CI"), "Chromium is not installed: run scripts/bootstrap test")
		t.Skip("Chromium is not installed")
	}
	theirIn, ourIn, err := os.Pipe()
	require.NoError(t, err)
	ourOut, theirOut, err := os.Pipe()
	require.NoError(t, err)
	b := &browser{t: t, in: ourIn, out: bufio.NewReader(ourOut)}
	b.cmd = exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	b.cmd.ExtraFiles = []*os.File{theirIn, theirOut} // descriptors 3 and 4
	require.NoError(t, b.cmd.Start())
	theirIn.Close()
	theirOut.Close()
	require.NoError(t, ourOut.SetReadDeadline(time.Now().Add(2*time.Minute)))
	t.Cleanup(func() {
		b.call("Browser.close", nil, nil)
		b.cmd.Wait()
		ourIn.Close()
		ourOut.Close()
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", object{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", object{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Runtime", "Log", "Network", "Page"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// call calls a method and keeps the events that arrive before its answer.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.next++
	id := b.next
	if params == nil {
		params = object{}
	}
	m := object{"id": id, "method": method, "params": params}
	if b.session != "" && !strings.HasPrefix(method, "Browser.") {
		m["sessionId"] = b.session
	}
	text, err := json.Marshal(m)
	require.NoError(b.t, err)
	_, err = b.in.Write(append(text, 0))
	require.NoError(b.t, err)
	for {
		e := b.read()
		if e.ID != id {
			b.events = append(b.events, e)
			continue
		}
		require.Empty(b.t, string(e.Error), "%s", method)
		if result != nil {
			require.NoError(b.t, json.Unmarshal(e.Result, result))
		}
		return
	}
}

func (b *browser) read() (e event) {
	b.t.Helper()
	text, err := b.out.ReadBytes(0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.t.Fatal("the browser does not answer")
	}
	require.NoError(b.t, err)
	require.NoError(b.t, json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &e))
	return e
}

// open opens a file and waits until it is loaded.
func (b *browser) open(file string) {
	b.t.Helper()
	b.events = nil
	b.call("Page.navigate", object{"url": (&url.URL{Scheme: "file", Path: file}).String()}, nil)
	for _, e := range b.events {
		if e.Method == "Page.loadEventFired" {
			return
		}
	}
	for {
		e := b.read()
		b.events = append(b.events, e)
		if e.Method == "Page.loadEventFired" {
			return
		}
	}
}

// evaluate evaluates an expression in the page.
func (b *browser) evaluate(expression string, result any) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", object{"expression": expression, "returnByValue": true}, &r)
	require.Empty(b.t, string(r.ExceptionDetails), "%s", expression)
	require.NoError(b.t, json.Unmarshal(r.Result.Value, result), "%s", expression)
}

// wantQuiet fails if the page logged an error or requested anything but itself.
func (b *browser) wantQuiet(file string) {
	b.t.Helper()
	for _, e := range b.events {
		switch e.Method {
		case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening":
			b.t.Errorf("%s: %s", e.Method, e.Params)
		case "Network.requestWillBeSent":
			var p struct{ Request struct{ URL string } }
			require.NoError(b.t, json.Unmarshal(e.Params, &p))
			require.Equal(b.t, (&url.URL{Scheme: "file", Path: file}).String(), p.Request.URL, "the page loads something")
		}
	}
}

func (b *browser) screenshot(file string) {
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", object{"captureBeyondViewport": true}, &shot)
	text, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(file, text, 0o600))
}

// In a real browser the page has no errors, its charts have a size, it does not scroll sideways, runs can
// be hidden and values are shown beside the pointer.
func TestPageInBrowser(t *testing.T) {
	b := openBrowser(t)
	for name, inputs := range map[string][]Input{"samples": samples(t), "hostile": {hostile(t), hostile(t), theirs(t, "b.json")}} {
		file := t.TempDir() + "/report.html"
		var page bytes.Buffer
		require.NoError(t, WritePage(&page, inputs, "test"))
		require.NoError(t, os.WriteFile(file, page.Bytes(), 0o600))
		for _, width := range []int{1280, 360} {
			b.call("Emulation.setDeviceMetricsOverride", object{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
			b.open(file)
			var sizes []struct{ W, H, Lines float64 }
			b.evaluate(`[...document.querySelectorAll("figure svg")].map(s => { const r = s.getBoundingClientRect();
				return {w: r.width, h: r.height, lines: [...s.querySelectorAll("polyline, circle")].filter(l => l.getBoundingClientRect().width > 0).length}})`, &sizes)
			require.Len(t, sizes, len(figures(makeSeries(inputs))))
			for i, s := range sizes {
				require.Greater(t, s.W, float64(width)*0.3, "%s: chart %d", name, i)
				require.Greater(t, s.H, s.W/4, "%s: chart %d", name, i)
				require.Positive(t, s.Lines, "%s: chart %d", name, i)
			}
			var scroll int
			b.evaluate("document.documentElement.scrollWidth", &scroll)
			var wide []string
			b.evaluate(`[...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, svg") && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 100))`, &wide)
			require.LessOrEqual(t, scroll, width, "%s: the page does not scroll sideways, as by %q", name, wide)
			var owned bool
			b.evaluate(`document.title === "owned" || document.querySelector("img, main b, main i, main u") !== null`, &owned)
			require.False(t, owned, "a file's text became a part of the page")
			b.wantQuiet(file)
		}
	}
}

func TestPageInteraction(t *testing.T) {
	b := openBrowser(t)
	file := t.TempDir() + "/report.html"
	var page bytes.Buffer
	require.NoError(t, WritePage(&page, samples(t), "test"))
	require.NoError(t, os.WriteFile(file, page.Bytes(), 0o600))
	b.call("Emulation.setDeviceMetricsOverride", object{"width": 1280, "height": 4000, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.open(file)
	var tip string
	b.evaluate(`(() => { const s = document.querySelector("figure svg"), r = s.getBoundingClientRect();
		s.dispatchEvent(new PointerEvent("pointermove", {clientX: r.left + r.width / 2, clientY: r.top + r.height / 2, bubbles: true}));
		return document.querySelector("figure output").textContent })()`, &tip)
	require.Regexp(t, `^\d+\.\d s\npqquic s2n X25519 client: [\d.]+ /s\n`, tip)
	var shown int
	b.evaluate(`(() => { document.querySelector(".legend button").click();
		return [...document.querySelectorAll("figure [data-series='0']")].filter(g => getComputedStyle(g).display !== "none").length })()`, &shown)
	require.Zero(t, shown, "the clicked run is hidden in all charts")
	b.evaluate(`(() => { document.querySelector(".legend button").click();
		return [...document.querySelectorAll("figure [data-series='0']")].filter(g => getComputedStyle(g).display !== "none").length })()`, &shown)
	require.Greater(t, shown, 5, "and shown again")
	var unnamed int
	b.evaluate(`[...document.querySelectorAll("figure svg, button")].filter(e => e.tagName === "BUTTON" ? !e.textContent.trim() : !document.getElementById(e.getAttribute("aria-labelledby").split(" ")[0])).length`, &unnamed)
	require.Zero(t, unnamed, "charts and buttons have names for those who do not see them")

	var colours [2]string
	for i, scheme := range []string{"light", "dark"} {
		b.call("Emulation.setEmulatedMedia", object{"features": list{object{"name": "prefers-color-scheme", "value": scheme}}}, nil)
		b.evaluate(`getComputedStyle(document.body).backgroundColor`, &colours[i])
		if dir := os.Getenv("NETBENCH_TEST_OUT"); dir != "" {
			b.screenshot(dir + "/" + scheme + ".png")
		}
	}
	require.NotEqual(t, colours[0], colours[1])
	b.wantQuiet(file)
}

func TestTreeInBrowser(t *testing.T) {
	b := openBrowser(t)
	out := writeSampleTree(t)
	b.open(out + "/index.html")
	var links []string
	b.evaluate(`[...document.querySelectorAll("a")].map(a => a.href)`, &links)
	require.Len(t, links, 2)
	b.wantQuiet(out + "/index.html")
	for _, link := range links {
		u, err := url.Parse(link)
		require.NoError(t, err)
		b.open(u.Path)
		var charts int
		b.evaluate(`document.querySelectorAll("figure svg").length`, &charts)
		require.Positive(t, charts)
	}
}
