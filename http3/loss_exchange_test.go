package http3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/simnet"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// manyBytes is a body of many packets.
var manyBytes = strings.Repeat("0123456789abcdef", 10_000)

// exchangeHandler answers the exchanges.
func exchangeHandler(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Same", "the same in each response")
	switch r.URL.Path {
	case "/echo":
		w.Header().Set("Trailer", "X-Trailer")
		_, err := io.Copy(w, r.Body)
		must(err)
		w.Header().Set("X-Trailer", r.Trailer.Get("X-Number"))
	case "/interim":
		w.WriteHeader(http.StatusEarlyHints)
		_, err := io.WriteString(w, manyBytes)
		must(err)
	case "/abort":
		_, err := io.WriteString(w, manyBytes)
		must(err)
		panic(http.ErrAbortHandler)
	case "/wait":
		<-r.Context().Done()
	case "/none":
		w.WriteHeader(http.StatusNoContent)
	}
}

// exchanges are performed by a Transport, on the host of url. They return an error if the result is not as without loss.
var exchanges = map[string]func(tr *Transport, url string) error{
	"POST with trailers": func(tr *Transport, url string) error {
		req, err := http.NewRequest("POST", url+"/echo", io.MultiReader(strings.NewReader(manyBytes)))
		must(err)
		req.Trailer = http.Header{"X-Number": {"7"}}
		req.Header.Set("X-Same", "the same in each request")
		return wantBody(tr, req, 200, manyBytes, "7")
	},
	"short POST": func(tr *Transport, url string) error {
		req, err := http.NewRequest("POST", url+"/echo", strings.NewReader("short"))
		must(err)
		req.Header.Set("X-Same", "the same in each request")
		return wantBody(tr, req, 200, "short", "")
	},
	"POST that expects 100": func(tr *Transport, url string) error {
		req, err := http.NewRequest("POST", url+"/echo", bytes.NewReader([]byte(manyBytes)))
		must(err)
		req.Header.Set("Expect", "100-continue")
		return wantBody(tr, req, 200, manyBytes, "")
	},
	"interim response": func(tr *Transport, url string) error {
		req, err := http.NewRequest("GET", url+"/interim", nil)
		must(err)
		return wantBody(tr, req, 200, manyBytes, "")
	},
	"HEAD": func(tr *Transport, url string) error {
		req, err := http.NewRequest("HEAD", url+"/interim", nil)
		must(err)
		return wantBody(tr, req, 200, "", "")
	},
	"no content": func(tr *Transport, url string) error {
		req, err := http.NewRequest("GET", url+"/none", nil)
		must(err)
		return wantBody(tr, req, 204, "", "")
	},
	"aborted response": func(tr *Transport, url string) error {
		req, err := http.NewRequest("GET", url+"/abort", nil)
		must(err)
		resp, err := tr.RoundTrip(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		var e *Error
		if !errors.As(err, &e) || !e.Stream || !e.Remote {
			return errors.Join(errors.New("the error is not that of an aborted response"), err)
		}
		return nil
	},
	"canceled request": func(tr *Transport, url string) error {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", url+"/wait", nil)
		must(err)
		_, err = tr.RoundTrip(req)
		if !errors.Is(err, context.DeadlineExceeded) {
			return errors.Join(errors.New("the error is not that of the context"), err)
		}
		return nil
	},
}

// wantBody performs a request, and compares the response.
func wantBody(tr *Transport, req *http.Request, status int, body, trailer string) error {
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != status, string(b) != body, resp.Header.Get("X-Same") == "", resp.Trailer.Get("X-Trailer") != trailer:
		return errors.New("the response differs: " + resp.Status)
	}
	return nil
}

// Whole exchanges of a Transport and a Server have the same results on a network that loses every eighth packet in both directions, in
// virtual time. They are performed at the same time, several times on one connection, so that QPACK's dynamic tables are in use.
func TestExchangesUnderLoss(t *testing.T) {
	seeds := 4
	if testing.Short() {
		seeds = 1
	}
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		testPKI() // outside the bubbles, which it outlives
		for seed := range seeds {
			synctest.Test(t, func(t *testing.T) {
				n := &simnet.Net{Latency: 10 * time.Millisecond}
				rng := rand.New(rand.NewPCG(uint64(seed), 0))
				var lost atomic.Int64
				n.SetDrop(func(_, _ netip.AddrPort, _ []byte) bool {
					isLost := rng.IntN(8) == 0
					if isLost {
						lost.Add(1)
					}
					return isLost
				})
				s := &Server{Provider: p, Handler: http.HandlerFunc(exchangeHandler),
					TLS: &tlsprovider.Config{Certificates: []tlsprovider.Certificate{testPKI().Provider()}}}
				done := make(chan error, 1)
				go func() { done <- s.Serve(n.Listen("10.0.0.1:443")) }()
				ep, err := quic.NewEndpoint(n.Listen("10.0.0.2:1"), &quic.Config{Provider: p, ServerName: "localhost",
					TLS: &tlsprovider.Config{NextProtos: []string{NextProto}, RootCAs: testPKI().Roots()}})
				require.NoError(t, err)
				tr := &Transport{Provider: p, Dial: func(ctx context.Context, addr string, _ *quic.Config) (*quic.Conn, error) {
					return ep.Dial(ctx, addr, nil)
				}}
				for range 3 {
					var wg sync.WaitGroup
					for name, exchange := range exchanges {
						wg.Go(func() {
							if err := exchange(tr, "https://10.0.0.1"); err != nil {
								t.Errorf("seed %d, %s: %v", seed, name, err)
							}
						})
					}
					wg.Wait()
				}
				require.NotZero(t, lost.Load())
				require.NoError(t, tr.Close())
				require.NoError(t, ep.Close())
				require.NoError(t, s.Close())
				require.ErrorIs(t, <-done, ErrServerClosed)
			})
		}
	})
}
