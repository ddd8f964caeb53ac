//go:build unix

// Package browsertest opens pages in a headless Chromium for tests.
package browsertest

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

// A Browser is a headless Chromium, controlled through two pipes with the DevTools protocol.
type Browser struct {
	t       *testing.T
	cmd     *exec.Cmd
	in      *os.File
	out     *bufio.Reader
	next    int
	session string
	events  []event
}

// Object and List are JSON values for the parameters of a method.
type (
	Object map[string]any
	List   []any
)

type event struct {
	ID        int             `json:"id"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     json.RawMessage `json:"error"`
	SessionID string          `json:"sessionId"`
}

// Open starts Chromium. If it is not installed, the test is skipped, or with CI=true fails.
func Open(t *testing.T) *Browser {
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
		t.Skip("needs Chromium: run scripts/bootstrap test")
	}
	theirIn, ourIn, err := os.Pipe()
	require.NoError(t, err)
	ourOut, theirOut, err := os.Pipe()
	require.NoError(t, err)
	b := &Browser{t: t, in: ourIn, out: bufio.NewReader(ourOut)}
	b.cmd = exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	b.cmd.ExtraFiles = []*os.File{theirIn, theirOut} // descriptors 3 and 4
	require.NoError(t, b.cmd.Start())
	theirIn.Close()
	theirOut.Close()
	require.NoError(t, ourOut.SetReadDeadline(time.Now().Add(2*time.Minute)))
	t.Cleanup(func() {
		b.Call("Browser.close", nil, nil)
		b.cmd.Wait()
		ourIn.Close()
		ourOut.Close()
	})
	var target struct{ TargetID string }
	b.Call("Target.createTarget", Object{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.Call("Target.attachToTarget", Object{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Runtime", "Log", "Network", "Page"} {
		b.Call(domain+".enable", nil, nil)
	}
	return b
}

// Call calls a method and keeps the events that arrive before its answer.
func (b *Browser) Call(method string, params, result any) {
	b.t.Helper()
	b.next++
	id := b.next
	if params == nil {
		params = Object{}
	}
	m := Object{"id": id, "method": method, "params": params}
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

func (b *Browser) read() (e event) {
	b.t.Helper()
	text, err := b.out.ReadBytes(0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.t.Fatal("the browser does not answer")
	}
	require.NoError(b.t, err)
	require.NoError(b.t, json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &e))
	return e
}

// Resize sets the size of the window.
func (b *Browser) Resize(width, height int) {
	b.t.Helper()
	b.Call("Emulation.setDeviceMetricsOverride", Object{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// Scheme sets the preferred colour scheme, "light" or "dark".
func (b *Browser) Scheme(name string) {
	b.t.Helper()
	b.Call("Emulation.setEmulatedMedia", Object{"features": List{Object{"name": "prefers-color-scheme", "value": name}}}, nil)
}

// fileURL returns the URL of a file.
func fileURL(file string) string { return (&url.URL{Scheme: "file", Path: file}).String() }

// Open opens a file and waits until it is loaded.
func (b *Browser) Open(file string) {
	b.t.Helper()
	b.Visit(fileURL(file))
}

// Visit opens a URL and waits until it is loaded.
func (b *Browser) Visit(url string) {
	b.t.Helper()
	b.events = nil
	b.Call("Page.navigate", Object{"url": url}, nil)
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

// Evaluate evaluates an expression in the page.
func (b *Browser) Evaluate(expression string, result any) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.Call("Runtime.evaluate", Object{"expression": expression, "returnByValue": true}, &r)
	require.Empty(b.t, string(r.ExceptionDetails), "%s", expression)
	require.NoError(b.t, json.Unmarshal(r.Result.Value, result), "%s", expression)
}

// WantQuiet fails if the page logged an error or requested anything but the file.
func (b *Browser) WantQuiet(file string) {
	b.t.Helper()
	b.WantQuietAt(fileURL(file))
}

// WantQuietAt fails if the page logged an error or requested anything but its URL and data that it contains.
func (b *Browser) WantQuietAt(url string) {
	b.t.Helper()
	for _, e := range b.events {
		switch e.Method {
		case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening":
			b.t.Errorf("%s: %s", e.Method, e.Params)
		case "Network.requestWillBeSent":
			var p struct{ Request struct{ URL string } }
			require.NoError(b.t, json.Unmarshal(e.Params, &p))
			if !strings.HasPrefix(p.Request.URL, "data:") {
				require.Equal(b.t, url, p.Request.URL, "the page loads something")
			}
		}
	}
}

// Screenshot writes what the page shows as a PNG file.
func (b *Browser) Screenshot(file string) {
	var shot struct{ Data string }
	b.Call("Page.captureScreenshot", Object{"captureBeyondViewport": true}, &shot)
	text, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(file, text, 0o600))
}
