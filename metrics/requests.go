package metrics

import (
	"crypto/tls"
	"io"
	"net/http"
	"strconv"

	"github.com/pqquic/pqquic/tlsprovider"
)

// requests is the metric of HTTP requests.
var requests = Family{Name: "pqquic_http_requests_total", Labels: []string{"dir", "protocol", "status", "group", "post_quantum"},
	Help: "HTTP requests by protocol, status of the final response and key exchange of the connection."}

// requestKind has the labels of requests after dir.
type requestKind struct {
	protocol, status, group string
	postQuantum             bool
}

// Statuses of requests that have no status code.
const (
	statusAborted = "aborted" // the server's handler has panicked
	statusFailed  = "failed"  // the client has no response
)

// countRequest counts a request. protoMajor is that of the request or response, or 0 without a response. state is nil
// without TLS.
func (m *Monitor) countRequest(dir int, protoMajor int, status string, state *tls.ConnectionState) {
	k := requestKind{protocol: "http/1.1", status: status, group: "none"}
	switch protoMajor {
	case 0:
		k.protocol = "none"
	case 2:
		k.protocol = "h2"
	case 3:
		k.protocol = "h3"
	}
	if state != nil {
		g := tlsprovider.Group(state.CurveID)
		k.group, k.postQuantum = g.String(), g.PostQuantum()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirs[dir].requests[k]++
}

// statusLabel returns the label of a status code. Codes that do not exist in HTTP share one, so that a server cannot make a client
// keep any number of them.
func statusLabel(code int) string {
	if code < 100 || code > 599 {
		return "other"
	}
	return strconv.Itoa(code)
}

// Handler returns a handler that counts the requests which next handles, over every version of HTTP. Optional methods of the
// ResponseWriter work through http.ResponseController and http3.TakeStream.
func (m *Monitor) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cw, status := &countingWriter{ResponseWriter: w}, statusAborted
		defer func() { m.countRequest(0, r.ProtoMajor, status, r.TLS) }()
		next.ServeHTTP(cw, r)
		cw.begin()
		status = statusLabel(cw.code)
	})
}

// A countingWriter remembers the status of a response.
type countingWriter struct {
	http.ResponseWriter
	code int // of the final response; 0 before its header section
}

// Unwrap is for http.ResponseController.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *countingWriter) WriteHeader(code int) {
	// Informational responses, other than 101, precede the final one.
	if w.code == 0 && (code >= 200 || code == http.StatusSwitchingProtocols) {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// begin notes that the response begins without WriteHeader, which makes its status 200.
func (w *countingWriter) begin() {
	if w.code == 0 {
		w.code = http.StatusOK
	}
}

// Write implements http.ResponseWriter.
func (w *countingWriter) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

// WriteString implements io.StringWriter.
func (w *countingWriter) WriteString(s string) (int, error) {
	w.begin()
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom implements io.ReaderFrom, which sends files without copying them.
func (w *countingWriter) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	return io.Copy(w.ResponseWriter, r)
}

// Flush implements http.Flusher.
func (w *countingWriter) Flush() {
	w.begin()
	_ = http.NewResponseController(w.ResponseWriter).Flush() // http.Flusher has no error
}

// RoundTripper returns an http.RoundTripper that counts the requests which next sends.
func (m *Monitor) RoundTripper(next http.RoundTripper) http.RoundTripper {
	return roundTripper{m, next}
}

type roundTripper struct {
	m    *Monitor
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		t.m.countRequest(1, 0, statusFailed, nil)
		return nil, err
	}
	t.m.countRequest(1, resp.ProtoMajor, statusLabel(resp.StatusCode), resp.TLS)
	return resp, nil
}
