package interop

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"
	xquic "golang.org/x/net/quic"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

const alpn = "interop"

var (
	pq       = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.X25519}
	x25519   = []tlsprovider.Group{tlsprovider.X25519}
	onlyP384 = []tlsprovider.Group{tlsprovider.P384}
	all      = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384}
)

// pairs calls f for each of our providers with each peer, in both roles.
func pairs(t *testing.T, f func(t *testing.T, client, server stack)) {
	eachPair(t, func(name string, client, server stack) {
		t.Run(name, func(t *testing.T) { f(t, client, server) })
	})
}

func eachPair(t *testing.T, run func(name string, client, server stack)) {
	c := newCreds()
	for name, p := range providers(t) {
		us := ours{p, c}
		for peer, them := range map[string]stack{"quic-go": quicGo{c}, "x-net": xNet{c}} {
			run(fmt.Sprintf("%s client, %s server", name, peer), us, them)
			run(fmt.Sprintf("%s client, %s server", peer, name), them, us)
		}
	}
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// connect makes a connection between two stacks.
func connect(t *testing.T, client, server stack, co, so options) (cc, sc conn) {
	t.Helper()
	ctx := deadline(t)
	l, err := server.listen(so)
	require.NoError(t, err)
	t.Cleanup(l.close)
	type accepted struct {
		c   conn
		err error
	}
	ch := make(chan accepted, 1)
	go func() {
		c, err := l.accept(ctx)
		ch <- accepted{c, err}
	}()
	addr := l.addr()
	if co.via != nil {
		addr = co.via(addr)
	}
	cc, err = client.dial(ctx, addr, co)
	require.NoError(t, err)
	t.Cleanup(func() { cc.closeCode(0, "") })
	a := <-ch
	require.NoError(t, a.err)
	return cc, a.c
}

// TestGroups checks that both ends report the expected group, negotiated through a HelloRetryRequest if the
// client's key shares do not fit.
func TestGroups(t *testing.T) {
	for _, tc := range []struct {
		name           string
		client, server []tlsprovider.Group
		want           tlsprovider.Group
	}{
		{"post-quantum", pq, pq, tlsprovider.X25519MLKEM768},
		{"client classical", x25519, pq, tlsprovider.X25519},
		{"server classical", pq, x25519, tlsprovider.X25519},
		{"hello retry request", all, onlyP384, tlsprovider.P384},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pairs(t, func(t *testing.T, client, server stack) {
				cc, sc := connect(t, client, server, options{groups: tc.client, alpn: alpn}, options{groups: tc.server, alpn: alpn})
				want := tc.want
				if want.PostQuantum() && !(postQuantum(client) && postQuantum(server)) {
					want = tlsprovider.X25519
				}
				require.Equal(t, want, cc.group())
				require.Equal(t, want, sc.group())
				exchange(t, cc, sc, 1, 1000)
			})
		})
	}
}

func TestTenMegabytesEachWay(t *testing.T) {
	pairs(t, func(t *testing.T, client, server stack) {
		cc, sc := connect(t, client, server, options{groups: pq, alpn: alpn}, options{groups: pq, alpn: alpn})
		exchange(t, cc, sc, 1, 10<<20)
	})
}

func TestHundredStreams(t *testing.T) {
	pairs(t, func(t *testing.T, client, server stack) {
		cc, sc := connect(t, client, server, options{groups: pq, alpn: alpn}, options{groups: pq, alpn: alpn})
		exchange(t, cc, sc, 100, 20_000)
	})
}

func TestRetry(t *testing.T) {
	impaired(t, func(t *testing.T, client, server stack, loss float64) {
		cc, sc := connect(t, client, server, options{groups: pq, alpn: alpn, via: newRelay(t, loss).via}, options{groups: pq, alpn: alpn, retry: true})
		exchange(t, cc, sc, 1, 1000)
	})
}

// exchange echoes size bytes on each of n streams that a opens, and compares the result.
func exchange(t *testing.T, a, b conn, n, size int) {
	t.Helper()
	ctx := deadline(t)
	var wg sync.WaitGroup
	errs := make(chan error, 2*n)
	wg.Go(func() {
		var echoes sync.WaitGroup
		defer echoes.Wait()
		for range n {
			s, err := b.accept(ctx)
			if err != nil {
				errs <- err
				return
			}
			echoes.Go(func() {
				if _, err := io.Copy(s, s); err != nil {
					errs <- err
				}
				_ = s.closeWrite()
			})
		}
	})
	for i := range n {
		wg.Go(func() { errs <- roundTrip(ctx, a, i, size) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}

func roundTrip(ctx context.Context, c conn, seed, size int) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*31 + i>>9 + seed)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := s.Write(data)
		sent <- errors.Join(err, s.closeWrite())
	}()
	got, err := io.ReadAll(s)
	if err := errors.Join(err, <-sent); err != nil {
		return err
	}
	if sha256.Sum256(got) != sha256.Sum256(data) {
		return fmt.Errorf("stream %d: %d of %d bytes came back, or other ones", seed, len(got), size)
	}
	return nil
}

// TestCloseWithCode checks that the peer sees the code and the reason.
func TestCloseWithCode(t *testing.T) {
	pairs(t, func(t *testing.T, client, server stack) {
		cc, sc := connect(t, client, server, options{groups: pq, alpn: alpn}, options{groups: pq, alpn: alpn})
		exchange(t, cc, sc, 1, 100)
		cc.closeCode(0x1234, "had enough")
		code, reason := applicationError(t, sc.gone(deadline(t)))
		require.EqualValues(t, 0x1234, code)
		require.Equal(t, "had enough", reason)

		cc, sc = connect(t, client, server, options{groups: pq, alpn: alpn}, options{groups: pq, alpn: alpn})
		exchange(t, cc, sc, 1, 100)
		sc.closeCode(1<<62-1, "too")
		code, reason = applicationError(t, cc.gone(deadline(t)))
		require.EqualValues(t, 1<<62-1, code)
		require.Equal(t, "too", reason)
	})
}

func applicationError(t *testing.T, err error) (uint64, string) {
	t.Helper()
	var a *quic.ApplicationError
	var b *quicgo.ApplicationError
	var c *xquic.ConnectionCloseError
	switch {
	case errors.As(err, &a):
		return a.Code, a.Reason
	case errors.As(err, &b):
		return uint64(b.ErrorCode), b.ErrorMessage
	case errors.As(err, &c):
		return c.Code, c.Reason
	}
	t.Fatalf("not an application error: %v", err)
	return 0, ""
}

// TestALPNMismatch and TestUntrusted fail on both sides, with the code of the alert.
func TestALPNMismatch(t *testing.T) {
	pairs(t, func(t *testing.T, client, server stack) {
		_, early := server.(quicGo) // its Accept never reports it
		fails(t, client, server, options{groups: pq, alpn: "one"}, options{groups: pq, alpn: "other"}, failure{0x178, true, !early})
	})
}

func TestUntrusted(t *testing.T) {
	pairs(t, func(t *testing.T, client, server stack) {
		want := uint64(0x130) // unknown_ca
		if _, we := client.(ours); !we {
			want = 0x12a // crypto/tls uses bad_certificate
		}
		fails(t, client, server, options{groups: pq, alpn: alpn, noRoots: true}, options{groups: pq, alpn: alpn}, failure{want, false, true})
	})
}

// A failure describes how a handshake ends.
type failure struct {
	code         uint64
	byServer     bool // the server sends the alert, and the client receives it
	serverSpeaks bool // the server reports the failure
}

func fails(t *testing.T, client, server stack, co, so options, want failure) {
	t.Helper()
	ctx := deadline(t)
	l, err := server.listen(so)
	require.NoError(t, err)
	defer l.close()
	ended := make(chan error, 1)
	if want.serverSpeaks {
		go func() { ended <- l.failed(ctx) }()
	}
	_, err = client.dial(ctx, l.addr(), co)
	requireCode(t, err, want.code, want.byServer)
	if !want.serverSpeaks {
		return
	}
	err = <-ended
	if _, x := server.(xNet); x {
		require.NoError(t, err)
		return
	}
	requireCode(t, err, want.code, !want.byServer)
}

// requireCode checks the code and the origin of an error. x/net exports no transport error. The text of an error that it
// received has the code; that of its own has not.
func requireCode(t *testing.T, err error, code uint64, remote bool) {
	t.Helper()
	var a *quic.TransportError
	var b *quicgo.TransportError
	switch {
	case errors.As(err, &a):
		require.EqualValues(t, code, a.Code)
		require.Equal(t, remote, a.Remote)
	case errors.As(err, &b):
		require.EqualValues(t, code, b.ErrorCode)
		require.Equal(t, remote, b.Remote)
	case remote:
		require.ErrorContains(t, err, fmt.Sprintf("peer closed connection: CRYPTO_ERROR(%d)", code-0x100))
	default:
		require.ErrorContains(t, err, "tls: ")
	}
}
