//go:build !pqquic_fips && !pqquic_fips4

package http3

import (
	"crypto"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// SetTLS of a Server and of a Transport applies to new connections. Requests in progress are completed on the old ones, and a
// configuration that is not valid changes nothing.
func TestSetTLS(t *testing.T) {
	old, fresh := testPKI(), testcert.New("another subject", "localhost", "127.0.0.1")
	both := old.Roots()
	both.AddDER(fresh.X509.Raw)
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		begun, proceed := make(chan struct{}), make(chan struct{})
		s := serve(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				close(begun)
				<-proceed
			}
			_, _ = io.WriteString(w, "ok")
		}), nil)
		tr := newTransport(t, p, func(tr *Transport) { tr.TLS.RootCAs = both })
		requireServer := func(tr *Transport, want *testcert.Certificate, why string) {
			t.Helper()
			resp, body := do(t, tr, newRequest(t, "GET", s.url("/"), nil))
			require.Equal(t, "ok", body)
			require.Len(t, resp.TLS.PeerCertificates, 1, why)
			require.Equal(t, want.X509.Raw, resp.TLS.PeerCertificates[0].Raw, why)
		}
		requireServer(tr, old, "at first")
		slow := make(chan error, 1)
		go func() {
			resp, err := tr.RoundTrip(newRequest(t, "GET", s.url("/slow"), nil))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
			}
			slow <- err
		}()
		<-begun

		require.NoError(t, s.SetTLS(&tlsprovider.Config{Certificates: []tlsprovider.Certificate{fresh.Provider()}}))
		requireServer(tr, old, "the connection goes on")
		requireServer(newTransport(t, p, func(tr *Transport) { tr.TLS.RootCAs = both }), fresh, "a new connection")

		require.ErrorContains(t, s.SetTLS(&tlsprovider.Config{Certificates: []tlsprovider.Certificate{{
			Chain: old.Provider().Chain, KeyDER: fresh.KeyDER,
		}}}), "does not belong")
		require.ErrorContains(t, tr.SetTLS(&tlsprovider.Config{RootCAs: new(tlsprovider.Roots)}), "the set is empty")
		require.Error(t, s.SetTLS(nil))
		require.Error(t, tr.SetTLS(nil))
		requireServer(tr, old, "nothing has changed")

		require.NoError(t, tr.SetTLS(&tlsprovider.Config{RootCAs: fresh.Roots()}))
		requireServer(tr, fresh, "with other roots, another connection is dialed")
		close(proceed)
		require.NoError(t, <-slow)
		require.NoError(t, tr.SetTLS(&tlsprovider.Config{RootCAs: old.Roots()}))
		_, err := tr.RoundTrip(newRequest(t, "GET", s.url("/"), nil))
		require.Error(t, err, "the Transport does not trust the authority any more")
		require.NoError(t, tr.SetTLS(&tlsprovider.Config{RootCAs: both}))

		// Sockets that are opened later have the configuration of SetTLS, too.
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		addr, served := pc.LocalAddr().String(), make(chan error, 1)
		go func() { served <- s.Serve(pc) }()
		require.Eventually(t, func() bool {
			conn, err := quic.Dial(t.Context(), "udp", addr, &quic.Config{
				Provider: p, ServerName: "localhost", TLS: &tlsprovider.Config{NextProtos: []string{NextProto}, RootCAs: fresh.Roots(), DisableTickets: true},
			})
			if err != nil {
				return false // the socket was open before the Server knew of it
			}
			_ = conn.Close()
			return true
		}, 10*time.Second, time.Millisecond)
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-served, ErrServerClosed)
		require.ErrorIs(t, s.SetTLS(s.TLS), net.ErrClosed)
		require.ErrorIs(t, s.SetTLS(s.TLS), ErrServerClosed)
	})
	require.ErrorContains(t, new(Server).SetTLS(&tlsprovider.Config{}), "does not serve")
}

// An interruptedSigner calls a function when its public key is asked for the nth time.
type interruptedSigner struct {
	crypto.Signer
	left int
	f    func()
}

func (s *interruptedSigner) Public() crypto.PublicKey {
	if s.left--; s.left == 0 {
		s.f()
	}
	return s.Signer.Public()
}

// Two calls of SetTLS at a time leave all sockets of a Server with the same configuration, whichever comes first.
func TestSetTLSTwiceAtOnce(t *testing.T) {
	one, two := testcert.New("one", "localhost"), testcert.New("two", "localhost")
	roots := one.Roots()
	roots.AddDER(two.X509.Raw)
	for n := 1; n <= 6; n++ { // the calls for both sockets
		s := serve(t, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil)
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		go func() { _ = s.Serve(pc) }()
		for listeners := 0; listeners < 2; runtime.Gosched() {
			s.mu.Lock()
			listeners = len(s.listeners)
			s.mu.Unlock()
		}
		second := make(chan error, 1)
		signer := &interruptedSigner{Signer: one.Key, left: n, f: func() {
			go func() {
				second <- s.SetTLS(&tlsprovider.Config{Certificates: []tlsprovider.Certificate{two.Provider()}})
			}()
			for i := 0; i < 1000 && len(second) == 0; i++ { // it may have to wait for the first call
				runtime.Gosched()
			}
		}}
		require.NoError(t, s.SetTLS(&tlsprovider.Config{
			Certificates: []tlsprovider.Certificate{{Chain: one.Provider().Chain, Signer: signer}},
		}))
		if signer.left > 0 {
			continue // it was asked less often
		}
		require.NoError(t, <-second)
		var chains [][][]byte
		for _, addr := range []string{s.addr, pc.LocalAddr().String()} {
			qc, err := quic.Dial(t.Context(), "udp", addr, &quic.Config{
				ServerName: "localhost", TLS: &tlsprovider.Config{NextProtos: []string{NextProto}, RootCAs: roots},
			})
			require.NoError(t, err)
			chains = append(chains, qc.ConnectionState().TLS.PeerChain)
			require.NoError(t, qc.CloseWithError(0, ""))
		}
		require.Equal(t, chains[0], chains[1], "interrupted at call %d", n)
	}
}
