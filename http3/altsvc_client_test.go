package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic"
)

func TestParseAltSvc(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	day := now.Add(24 * time.Hour)
	for name, tt := range map[string]struct {
		lines   []string
		want    []alternative
		isClear bool
	}{
		"one":          {[]string{`h3=":443"`}, []alternative{{":443", day, false}}, false},
		"parameters":   {[]string{`h3="a.example:8443"; ma=60; persist=1; x="y\"z"`}, []alternative{{"a.example:8443", now.Add(time.Minute), true}}, false},
		"several":      {[]string{`h2=":443", h3=":1";ma=1`, `h3=":2"`}, []alternative{{":1", now.Add(time.Second), false}, {":2", day, false}}, false},
		"not persist":  {[]string{`h3=":443"; persist=2`}, []alternative{{":443", day, false}}, false},
		"IPv6":         {[]string{`h3="[::1]:443"`}, []alternative{{"[::1]:443", day, false}}, false},
		"clear":        {[]string{"clear"}, nil, true},
		"clear behind": {[]string{`h3=":443"`, "clear"}, nil, true},
		"drafts":       {[]string{`h3-29=":443"`}, nil, false},
		"no port":      {[]string{`h3="host"`}, nil, false},
		"port 0":       {[]string{`h3=":0"`}, nil, false},
		"large port":   {[]string{`h3=":65536"`}, nil, false},
		"unclosed":     {[]string{`h3=":443`}, nil, false},
		"escape":       {[]string{`h3="\`}, nil, false},
		"no value":     {[]string{`h3`}, nil, false},
		"long":         {[]string{`h3=":443"; ma=99999999999999`}, []alternative{{":443", now.Add(longestMaxAge), false}}, false},
		"many":         {[]string{strings.Repeat(`h3=":443", `, 100)}, []alternative{{":443", day, false}, {":443", day, false}, {":443", day, false}, {":443", day, false}}, false},
		"empty":        {[]string{""}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, isClear, isPresent := parseAltSvc(http.Header{"Alt-Svc": tt.lines}, now)
			require.True(t, isPresent)
			require.Equal(t, tt.isClear, isClear)
			require.Equal(t, tt.want, got)
		})
	}
	_, _, isPresent := parseAltSvc(http.Header{}, now)
	require.False(t, isPresent)
	got, _, _ := parseAltSvc(http.Header{"Alt-Svc": {`h3=":443"; ma=60`}, "Age": {"30"}}, now)
	require.Equal(t, now.Add(30*time.Second), got[0].expires)
}

func FuzzAltSvc(f *testing.F) {
	f.Add(`h3=":443"; ma=60; persist=1, clear, h2="a\"b:1"`)
	f.Fuzz(func(t *testing.T, s string) {
		alts, _, _ := parseAltSvc(http.Header{"Alt-Svc": {s}}, time.Now())
		require.LessOrEqual(t, len(alts), maxAlternatives)
	})
}

// An altWorld is a server of HTTP/2 that advertises one of HTTP/3, and a client.
type altWorld struct {
	t      *testing.T
	h3     *testServer
	h2     *httptest.Server
	altSvc atomic.Value // what the server of HTTP/2 sends
	status atomic.Int32 // of responses over HTTP/3; 0 means 200
	clock  atomic.Int64
	client *AltSvc
}

func newAltWorld(t *testing.T, change func(*AltSvc)) *altWorld {
	w := &altWorld{t: t}
	w.altSvc.Store("")
	handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if s := w.altSvc.Load().(string); s != "" {
			rw.Header().Set("Alt-Svc", s)
		}
		if s := w.status.Load(); s != 0 && r.ProtoMajor == 3 {
			rw.WriteHeader(int(s))
		}
		b, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprint(rw, r.Proto, " ", r.Header.Get("Alt-Used") != "", " ", string(b))
	})
	w.h3 = serve(t, nil, handler, nil)
	w.h2 = httptest.NewUnstartedServer(handler)
	w.h2.EnableHTTP2 = true
	w.h2.TLS = &tls.Config{Certificates: []tls.Certificate{testPKI().TLS()}}
	w.h2.StartTLS()
	t.Cleanup(w.h2.Close)
	fallback := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: testPKI().Pool()}}
	t.Cleanup(fallback.CloseIdleConnections)
	w.client = &AltSvc{
		H3: newTransport(t, nil, nil), Fallback: fallback, RaceDelay: time.Hour,
		now: func() time.Time { return time.Unix(w.clock.Load(), 0) },
	}
	if change != nil {
		change(w.client)
	}
	return w
}

// alternative is the alternative as Alt-Svc has it.
func (w *altWorld) alternative() string { return fmt.Sprintf("h3=%q; ma=100", w.h3.addr) }

func (w *altWorld) get() string {
	w.t.Helper()
	_, body := do(w.t, w.client, newRequest(w.t, "GET", w.h2.URL, nil))
	return strings.TrimSpace(body)
}

// The client uses HTTP/3 once the server has advertised it, until that expires or is withdrawn.
func TestAltSvc(t *testing.T) {
	w := newAltWorld(t, nil)
	require.Equal(t, "HTTP/2.0 false", w.get())
	w.altSvc.Store(w.alternative())
	require.Equal(t, "HTTP/2.0 false", w.get())
	require.Equal(t, "HTTP/3.0 true", w.get())
	resp, body := do(t, w.client, newRequest(t, "POST", w.h2.URL, strings.NewReader("body")))
	require.Equal(t, "HTTP/3.0 true body", body)
	require.Empty(t, resp.Request.Header.Get("Alt-Used"), "the request of the user is unchanged")
	w.clock.Add(100)
	require.Equal(t, "HTTP/2.0 false", w.get(), "expired")
	require.Equal(t, "HTTP/3.0 true", w.get())
	w.altSvc.Store("clear")
	require.Equal(t, "HTTP/3.0 true", w.get())
	require.Equal(t, "HTTP/2.0 false", w.get(), "withdrawn")
	w.altSvc.Store(w.alternative())
	w.get()
	require.Equal(t, "HTTP/3.0 true", w.get())
	w.client.NetworkChanged()
	require.Equal(t, "HTTP/2.0 false", w.get(), "not meant for other networks")
	w.altSvc.Store(w.alternative() + "; persist=1")
	require.Equal(t, "HTTP/3.0 true", w.get())
	w.client.NetworkChanged()
	require.Equal(t, "HTTP/3.0 true", w.get(), "persistent")
	w.client.Forget()
	require.Equal(t, "HTTP/2.0 false", w.get())
	w.client.CloseIdleConnections()
}

// An alternative that fails is not used again for some time, which doubles, and the request is performed by the fallback.
func TestAltSvcBroken(t *testing.T) {
	var dials atomic.Int32
	isBroken := true
	w := newAltWorld(t, func(a *AltSvc) {
		a.H3.Dial = func(ctx context.Context, addr string, cfg *quic.Config) (*quic.Conn, error) {
			dials.Add(1)
			if isBroken {
				return nil, errors.New("unreachable")
			}
			return quic.Dial(ctx, "udp", addr, cfg)
		}
	})
	w.altSvc.Store(fmt.Sprintf("h3=%q; ma=1000000", w.h3.addr))
	w.get()
	for i, breaks := range []time.Duration{shortestBreak, 2 * shortestBreak, 4 * shortestBreak} {
		_, body := do(t, w.client, newRequest(t, "POST", w.h2.URL, strings.NewReader("body")))
		require.Equal(t, "HTTP/2.0 false body", body)
		require.Equal(t, int32(i+1), dials.Load())
		w.get()
		w.clock.Add(int64(breaks/time.Second) - 1)
		w.get()
		require.Equal(t, int32(i+1), dials.Load())
		w.clock.Add(1)
	}
	isBroken = false
	require.Equal(t, "HTTP/3.0 true", w.get())
	addr, _ := w.client.cache.get(strings.TrimPrefix(w.h2.URL, "https://"), w.client.now())
	require.Equal(t, w.h3.addr, addr)
}

// If the server of HTTP/3 is gone, requests on its connections are performed by the fallback.
func TestAltSvcServerGone(t *testing.T) {
	w := newAltWorld(t, nil)
	w.altSvc.Store(w.alternative())
	w.get()
	require.Equal(t, "HTTP/3.0 true", w.get())
	require.NoError(t, w.h3.Close())
	require.Equal(t, "HTTP/2.0 false", w.get())
	_, isKnown := w.client.cache.get(strings.TrimPrefix(w.h2.URL, "https://"), w.client.now())
	require.True(t, isKnown)
}

// A request does not wait longer than RaceDelay for the connection, which is used once it is there.
func TestAltSvcRace(t *testing.T) {
	proceed := make(chan struct{})
	w := newAltWorld(t, func(a *AltSvc) {
		a.RaceDelay = time.Nanosecond
		a.H3.Dial = func(ctx context.Context, addr string, cfg *quic.Config) (*quic.Conn, error) {
			<-proceed
			return quic.Dial(ctx, "udp", addr, cfg)
		}
	})
	w.altSvc.Store(w.alternative())
	w.get()
	_, body := do(t, w.client, newRequest(t, "POST", w.h2.URL, io.MultiReader(strings.NewReader("body"))))
	require.Equal(t, "HTTP/2.0 false body", body)
	close(proceed)
	origin := strings.TrimPrefix(w.h2.URL, "https://")
	<-w.client.H3.warm(t.Context(), route{origin, w.h3.addr}).done
	require.Equal(t, "HTTP/3.0 true", w.get())
}

// 421 (Misdirected Request) removes the alternative, and the request is sent to the origin.
func TestAltSvcMisdirected(t *testing.T) {
	w := newAltWorld(t, nil)
	w.altSvc.Store(w.alternative())
	w.get()
	w.altSvc.Store("")
	w.status.Store(http.StatusMisdirectedRequest)
	require.Equal(t, "HTTP/2.0 false", w.get())
	w.status.Store(0)
	require.Equal(t, "HTTP/2.0 false", w.get())
}

// HTTP/3 is not used for requests by a proxy or without TLS.
func TestAltSvcProxy(t *testing.T) {
	a := &AltSvc{Fallback: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return &url.URL{Scheme: "http", Host: "p"}, nil }}}
	a.init()
	require.True(t, a.hasProxy(newRequest(t, "GET", "https://localhost/", nil)))
	require.False(t, (&AltSvc{Fallback: &http.Transport{}}).hasProxy(newRequest(t, "GET", "https://localhost/", nil)))
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Alt-Svc", `h3=":1"`) }))
	t.Cleanup(plain.Close)
	fallback := &http.Transport{}
	t.Cleanup(fallback.CloseIdleConnections)
	a = &AltSvc{Fallback: fallback}
	do(t, a, newRequest(t, "GET", plain.URL, nil))
	require.Empty(t, a.cache.origins)
}

// HTTPS records are looked up once, before the first request.
func TestAltSvcHTTPSRecords(t *testing.T) {
	lookups := 0
	var record HTTPSRecord
	w := newAltWorld(t, func(a *AltSvc) {
		a.LookupHTTPS = func(_ context.Context, host string) ([]HTTPSRecord, error) {
			lookups++
			require.Equal(t, "127.0.0.1", host)
			return []HTTPSRecord{{ALPN: []string{"h2"}}, record}, nil
		}
	})
	u, err := url.Parse("https://" + w.h3.addr)
	require.NoError(t, err)
	port := 0
	_, _ = fmt.Sscan(u.Port(), &port)
	record = HTTPSRecord{Target: ".", Port: uint16(port), ALPN: []string{"h2", "h3"}, TTL: time.Hour}
	require.Equal(t, "HTTP/3.0 true", w.get())
	require.Equal(t, "HTTP/3.0 true", w.get())
	require.Equal(t, 1, lookups)
}

// The cache is bounded: what expires first gives way.
func TestAltCacheBound(t *testing.T) {
	c := &altCache{max: 3}
	now := time.Unix(0, 0)
	for i := range 10 {
		c.put(fmt.Sprint(i), []alternative{{addr: "a:1", expires: now.Add(time.Duration(20-i) * time.Hour)}}, now)
		require.LessOrEqual(t, len(c.origins), 3)
	}
	addr, isKnown := c.get("9", now)
	require.True(t, isKnown)
	require.Equal(t, "a:1", addr)
	_, isKnown = c.get("8", now)
	require.False(t, isKnown)
}
