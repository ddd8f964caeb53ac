package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/cli"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A result is what --json prints of a URL. The names and meanings of its fields do not change.
type result struct {
	URL             string `json:"url"`              // of the last response, after redirects
	Status          int    `json:"status"`           // 0 without a response
	Protocol        string `json:"protocol"`         // as in ALPN: h3, h2 or http/1.1
	Group           string `json:"group"`            // of the key exchange
	GroupID         uint16 `json:"group_id"`         // its code point
	CipherSuite     string `json:"cipher_suite"`     //
	SignatureScheme string `json:"signature_scheme"` // of the server's handshake; empty if it resumed, and over TCP
	Resumed         bool   `json:"resumed"`
	EarlyData       bool   `json:"early_data"`   // the request was sent as early data, and accepted
	HandshakeMicros int64  `json:"handshake_us"` // of QUIC, or of TLS over TCP
	TTFBMicros      int64  `json:"ttfb_us"`      // from the beginning of the request, with the handshake, to the response's first byte
	Bytes           int64  `json:"bytes"`        // of the content
	Provider        string `json:"provider"`
	Retries         int    `json:"retries"`
	Redirects       int    `json:"redirects"`
	Error           string `json:"error,omitempty"`
}

// A view shows a URL's requests and responses.
type view struct {
	*options
	result
	bytes int64
	began time.Time

	mu        sync.Mutex // the trace runs on goroutines of the transports
	handshake [2]time.Time
	firstByte time.Time
	sent      int // header sections that were sent
	bar       *bar
	connOf    func(addr string) *dialed

	// The connection of the last request: dialed for HTTP/3, overTCP otherwise.
	addr, remote string
	isReused     bool
	dialed       *dialed
	overTCP      tls.ConnectionState
	shown        bool // it has been shown
}

func newView(o *options, connOf func(addr string) *dialed) *view {
	return &view{options: o, bar: newBar(o), connOf: connOf}
}

type viewKey struct{}

// viewOf returns the view of a request's context.
func viewOf(ctx context.Context) *view {
	v, _ := ctx.Value(viewKey{}).(*view)
	return v
}

// say prints a line of -v.
func (v *view) say(mark, format string, args ...any) {
	if v.verbose {
		fmt.Fprintf(v.stderr, "%s %s\n", mark, cli.Printable(fmt.Sprintf(format, args...)))
	}
}

// begin begins an attempt.
func (v *view) begin() { v.began, v.bytes = time.Now(), 0 }

// trace returns a context with which the transports report their progress.
func (v *view) trace(ctx context.Context) context.Context {
	locked := func(f func()) { v.mu.Lock(); defer v.mu.Unlock(); f() }
	return httptrace.WithClientTrace(context.WithValue(ctx, viewKey{}, v), &httptrace.ClientTrace{
		GetConn:           func(addr string) { locked(func() { v.addr = addr }) },
		GotConn:           func(i httptrace.GotConnInfo) { locked(func() { v.gotConn(i) }) },
		TLSHandshakeStart: func() { locked(func() { v.handshake[0] = time.Now() }) },
		TLSHandshakeDone:  func(tls.ConnectionState, error) { locked(func() { v.handshake[1] = time.Now() }) },
		WroteHeaderField: func(name string, values []string) {
			locked(func() { v.say(">", "%s: %s", strings.ToLower(name), strings.Join(values, ", ")) })
		},
		WroteHeaders:         func() { locked(func() { v.sent++ }) },
		GotFirstResponseByte: func() { locked(func() { v.firstByte = time.Now() }) },
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			locked(func() { v.showHeader(fmt.Sprintf("%d %s", code, http.StatusText(code)), http.Header(h)) })
			return nil
		},
	})
}

// gotConn is called when a request has a connection.
func (v *view) gotConn(i httptrace.GotConnInfo) {
	v.isReused, v.remote, v.shown, v.dialed = i.Reused, i.Conn.RemoteAddr().String(), false, nil
	if c, ok := i.Conn.(*tls.Conn); ok {
		v.overTCP = c.ConnectionState()
	} else {
		v.dialed = v.connOf(v.addr)
	}
	v.connection()
	v.showConnection()
}

// response shows the beginning of a response.
func (v *view) response(resp *http.Response) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.URL, v.Status = resp.Request.URL.String(), resp.StatusCode
	v.TTFBMicros = v.firstByte.Sub(v.began).Microseconds()
	v.connection()
	v.showConnection()
	v.showHeader(resp.Proto+" "+resp.Status, resp.Header)
}

// connection sets the fields of the result about the connection.
func (v *view) connection() {
	if d := v.dialed; d != nil {
		s := d.ConnectionState().TLS
		v.Protocol, v.Provider, v.Resumed = s.ALPN, s.Provider, s.Resumed
		v.Group, v.GroupID, v.CipherSuite = s.Group.String(), uint16(s.Group), s.CipherSuite.String()
		v.SignatureScheme = ""
		if s.SignatureScheme != 0 {
			v.SignatureScheme = s.SignatureScheme.String()
		}
		v.EarlyData = !v.isReused && d.isEarly && s.EarlyData == tlsprovider.EarlyDataAccepted
		v.HandshakeMicros = d.Stats().HandshakeTime.Microseconds()
		return
	}
	s := v.overTCP
	v.Protocol, v.Provider, v.Resumed = s.NegotiatedProtocol, "native", s.DidResume
	if v.Protocol == "" {
		v.Protocol = "http/1.1"
	}
	v.Group, v.GroupID, v.CipherSuite = tlsprovider.Group(s.CurveID).String(), uint16(s.CurveID), tls.CipherSuiteName(s.CipherSuite)
	v.SignatureScheme, v.EarlyData = "", false
	v.HandshakeMicros = v.handshake[1].Sub(v.handshake[0]).Microseconds()
}

// showConnection shows what was negotiated, once, when it is known: with early data, that is after the first request.
func (v *view) showConnection() {
	if v.shown || v.dialed != nil && !v.dialed.ConnectionState().TLS.HandshakeDone {
		return
	}
	v.shown = true
	if v.isReused {
		v.say("*", "the connection to %s is used again", v.remote)
		return
	}
	verdict, shares, early := "classical", "", ""
	if tlsprovider.Group(v.GroupID).PostQuantum() {
		verdict = "post-quantum"
	}
	transport := tls.VersionName(v.overTCP.Version) + " over TCP"
	chain := v.overTCP.PeerCertificates
	if v.dialed != nil {
		s := v.dialed.ConnectionState()
		transport = "QUIC " + s.Version.String()
		shares = fmt.Sprintf("; key shares of %d and %d bytes", s.TLS.ClientShareLen, s.TLS.ServerShareLen)
		if s.TLS.HelloRetried {
			shares += ", after a HelloRetryRequest"
		}
		chain, _ = s.TLS.PeerCertificates() // one that crypto/x509 cannot parse is not shown
		if v.dialed.isEarly {
			early = ", early data " + s.TLS.EarlyData.String()
		}
	}
	v.say("*", "connected to %s, %s; provider %s", v.remote, transport, v.Provider)
	v.say("*", "key exchange %s (0x%04X), %s%s", v.Group, v.GroupID, verdict, shares)
	v.say("*", "cipher suite %s, protocol %s", v.CipherSuite, v.Protocol)
	v.showCertificate(chain)
	v.say("*", "session %s%s", resumedText(v.Resumed), early)
}

func resumedText(resumed bool) string {
	if resumed {
		return "resumed"
	}
	return "new"
}

// showCertificate shows the server's certificate and what it has signed with.
func (v *view) showCertificate(chain []*x509.Certificate) {
	if len(chain) == 0 {
		return
	}
	leaf := chain[0]
	v.say("*", "certificate %s, issued by %s, until %s", leaf.Subject, leaf.Issuer, leaf.NotAfter.Format(time.DateOnly))
	text := fmt.Sprintf("its signature is %s, and its key %s", leaf.SignatureAlgorithm, leaf.PublicKeyAlgorithm)
	if v.SignatureScheme != "" {
		text += ", with which the handshake was signed as " + v.SignatureScheme
	}
	v.say("*", "%s", text)
}

func (v *view) showHeader(first string, h http.Header) {
	v.say("<", "%s", first)
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			v.say("<", "%s: %s", strings.ToLower(name), value)
		}
	}
}

// redirected is called before a redirect is followed.
func (v *view) redirected(resp *http.Response, next *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.Redirects++
	v.sent-- // the next request is no retry
	if resp != nil {
		v.showHeader(resp.Proto+" "+resp.Status, resp.Header)
	}
	v.say("*", "redirected to %s", next.URL)
}

// retrying is called before a request is repeated.
func (v *view) retrying(err error) { v.say("*", "trying again: %v", err) }

// complete is called when a response is complete.
func (v *view) complete(resp *http.Response) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.connection() // with early data, the handshake may have been completed since
	if len(resp.Trailer) > 0 {
		v.showHeader("trailers", resp.Trailer)
	}
	v.say("*", "handshake %v, first byte after %v, all after %v; %d bytes", micros(v.HandshakeMicros), micros(v.TTFBMicros),
		time.Since(v.began).Round(time.Microsecond), v.bytes)
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// progress returns a body that shows a progress bar while it is read.
func (v *view) progress(r io.ReadCloser, size int64, what string) io.ReadCloser {
	return v.bar.reader(r, size, what)
}

// finish prints the result. err is that of the URL.
func (v *view) finish(r request, err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bar.finish()
	if v.Retries = max(0, v.sent-1); v.Retries > 0 {
		v.say("*", "the request was sent %d times", v.sent)
	}
	if !v.json {
		return err
	}
	v.Bytes = v.bytes
	if v.URL == "" {
		v.URL = r.url.String()
	}
	if err != nil {
		v.Error = explain(err)
	}
	if werr := json.NewEncoder(v.stdout).Encode(v.result); werr != nil {
		return errors.Join(err, cli.Usagef("the result cannot be written: %w", werr))
	}
	return err
}
