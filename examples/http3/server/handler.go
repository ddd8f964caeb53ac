package main

import (
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/pqquic/pqquic/http3"
	"github.com/pqquic/pqquic/tlsprovider"
)

// newHandler returns the handler of the server's paths. If root is empty, there are no files.
func newHandler(root string) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("/whoami", whoami)
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/bytes/{n}", sendBytes)
	if root == "" {
		mux.HandleFunc("/{$}", whoami)
		return mux, nil
	}
	dir, err := os.OpenRoot(root) // links cannot lead out of it
	if err != nil {
		return nil, fmt.Errorf("--root: %w", err)
	}
	mux.Handle("/", http.FileServerFS(dir.FS()))
	return mux, nil
}

// echo returns the body of the request, while it arrives.
func echo(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 and HTTP/3 are full duplex, and need no call
	if t := r.Header.Get("Content-Type"); t != "" {
		w.Header().Set("Content-Type", t)
	}
	// The body is what the client has written, so a browser must not take it for a page.
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "sandbox")
	if r.ContentLength > 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	if _, err := io.Copy(w, r.Body); err != nil {
		panic(http.ErrAbortHandler) // the client learns that the response is not complete
	}
}

// sendBytes sends as many bytes as the path says.
func sendBytes(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseUint(r.PathValue("n"), 10, 63)
	if err != nil {
		http.Error(w, fmt.Sprintf("%q is not a number of bytes from 0 to %d", r.PathValue("n"), int64(1<<63-1)), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatUint(n, 10))
	if r.Method == http.MethodHead {
		return
	}
	for n > 0 {
		part := pattern[:min(n, uint64(len(pattern)))]
		if _, err := w.Write(part); err != nil {
			return // the client has gone away
		}
		n -= uint64(len(part))
	}
}

// pattern is what sendBytes repeats.
var pattern = []byte(strings.Repeat("0123456789abcdef", 4096))

// A connection is what was negotiated for the connection of a request.
type connection struct {
	Protocol    string `json:"protocol"` // as in ALPN
	Version     string `json:"version"`  // of QUIC, or of TLS over TCP
	Group       string `json:"group"`
	GroupID     uint16 `json:"group_id"`
	CipherSuite string `json:"cipher_suite"`
	Provider    string `json:"provider"`
	Resumed     bool   `json:"resumed"`
	EarlyData   bool   `json:"early_data"` // the request arrived before the handshake was complete
}

// PostQuantum reports whether the key exchange is post-quantum.
func (c connection) PostQuantum() bool { return tlsprovider.Group(c.GroupID).PostQuantum() }

// GroupHex returns the code point of the group as IANA's registry writes it.
func (c connection) GroupHex() string { return fmt.Sprintf("0x%04X", c.GroupID) }

// connectionOf returns what was negotiated for a request's connection.
func connectionOf(r *http.Request) connection {
	if qc, ok := http3.ConnFromContext(r.Context()); ok {
		s := qc.ConnectionState()
		return connection{
			Protocol: s.TLS.ALPN, Version: "QUIC " + s.Version.String(), Group: s.TLS.Group.String(), GroupID: uint16(s.TLS.Group),
			CipherSuite: s.TLS.CipherSuite.String(), Provider: s.TLS.Provider, Resumed: s.TLS.Resumed, EarlyData: http3.IsEarly(r),
		}
	}
	t := r.TLS
	protocol := t.NegotiatedProtocol
	if protocol == "" {
		protocol = "http/1.1" // without ALPN
	}
	return connection{
		Protocol: protocol, Version: tls.VersionName(t.Version), Group: tlsprovider.Group(t.CurveID).String(), GroupID: uint16(t.CurveID),
		CipherSuite: tls.CipherSuiteName(t.CipherSuite), Provider: "native", Resumed: t.DidResume,
	}
}

//go:embed whoami.html
var whoamiPage string

var whoamiTemplate = template.Must(template.New("whoami").Parse(whoamiPage))

// whoami sends what was negotiated: JSON, or a page for clients that accept HTML.
func whoami(w http.ResponseWriter, r *http.Request) {
	c := connectionOf(r)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Accept")
	if acceptsHTML(r) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = whoamiTemplate.Execute(w, c) // fails only if the client has gone away
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c)
}

// acceptsHTML reports whether a client names HTML among the types that it accepts, as browsers do.
func acceptsHTML(r *http.Request) bool {
	for _, field := range r.Header.Values("Accept") {
		for accepted := range strings.SplitSeq(field, ",") {
			if t, params, err := mime.ParseMediaType(accepted); err == nil && t == "text/html" && params["q"] != "0" {
				return true
			}
		}
	}
	return false
}
