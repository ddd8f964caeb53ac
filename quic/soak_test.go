//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// soakVariable is the number of minutes that TestSoak takes with each provider.
const soakVariable = "PQQUIC_SOAK_MINUTES"

// A footprint is what a process holds while no connection is open.
type footprint struct {
	heap       uint64
	goroutines int
	handles    int64 // of the native provider
	c          awslc.LiveCounts
}

// measure waits until the connections of both endpoints have ended and returns what is left.
func measure(t *testing.T, p tlsprovider.Provider, endpoints ...*Endpoint) (f footprint) {
	t.Helper()
	for _, e := range endpoints {
		require.Eventually(t, func() bool { return e.Stats().Conns == 0 }, time.Minute, time.Millisecond)
	}
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.heap, f.goroutines, f.c = m.HeapAlloc, runtime.NumGoroutine(), awslc.Live()
	if n, ok := p.(*native.Provider); ok {
		f.handles, _ = n.Live()
	}
	return f
}

// TestSoak opens and ends connections in many ways, and checks that this leaves nothing: the heap, the memory and the
// objects of C, the providers' objects and the goroutines are as many as after the first rounds.
func TestSoak(t *testing.T) {
	minutes := 0
	if s := os.Getenv(soakVariable); s != "" {
		var err error
		minutes, err = strconv.Atoi(s)
		require.NoError(t, err, soakVariable)
	}
	t.Run("native", func(t *testing.T) {
		p := native.New()
		server, client := serverConfig(), clientConfig()
		server.Provider, client.Provider = p, p
		soak(t, p, server, client, time.Duration(minutes)*time.Minute)
	})
	t.Run("s2n", func(t *testing.T) {
		p, err := s2n.New()
		if err != nil && os.Getenv("PQQUIC_REQUIRE_LINKED") == "" {
			t.Skip(err)
		}
		require.NoError(t, err)
		server, client := serverConfig(), clientConfig()
		server.Provider, client.Provider = p, p
		soak(t, p, server, client, time.Duration(minutes)*time.Minute)
	})
}

func soak(t *testing.T, p tlsprovider.Provider, server, client *Config, d time.Duration) {
	const warmUp, least = 3, 6 // rounds
	l, err := Listen("udp", "127.0.0.1:0", server)
	require.NoError(t, err)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	dialer, err := NewEndpoint(pc, client)
	require.NoError(t, err)
	var wg sync.WaitGroup
	serveConns(&wg, l, echoConn)
	var base, last footprint
	end := time.Now().Add(d)
	round := 0
	for ; round < warmUp+least || time.Now().Before(end); round++ {
		churn(t, dialer, l.Addr().String(), round)
		last = measure(t, p, dialer, l.Endpoint())
		if round == warmUp {
			base = last
		}
		if round%100 == warmUp {
			t.Logf("round %d: %+v", round, last)
		}
	}
	require.NoError(t, dialer.Close())
	require.NoError(t, l.Endpoint().Close())
	wg.Wait()
	t.Logf("%d rounds: %+v, then %+v", round, base, last)
	require.LessOrEqual(t, last.handles, base.handles)
	require.LessOrEqual(t, last.c.Handles, base.c.Handles+1, "the client has a session for the next connection, unless the last one took it")
	require.LessOrEqual(t, last.goroutines, base.goroutines+2, "the runtime's own vary")
	// Pools and caches fill up to their limits, which are far below what the connections use in all.
	const slack = 8 << 20
	require.LessOrEqual(t, last.heap, base.heap+slack)
	require.LessOrEqual(t, last.c.TLSBytes, base.c.TLSBytes+slack)
	require.LessOrEqual(t, last.c.CryptoBytes, base.c.CryptoBytes+slack)
}

// churn makes some connections at a time: some transfer, some are closed at once or in the middle of a transfer, and
// some are given up during the handshake.
func churn(t *testing.T, dialer *Endpoint, addr string, round int) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i == 7 {
				go cancel()
			}
			conn, err := dialer.Dial(ctx, addr, nil)
			if err != nil {
				if i != 7 {
					t.Errorf("dial: %v", err)
				}
				return
			}
			switch i % 4 {
			case 0, 1:
				if err := echo(conn, 20_000, byte(round)); err != nil {
					t.Errorf("echo: %v", err)
				}
			case 2:
				s, err := conn.OpenStream(ctx)
				if err == nil {
					_, _ = s.Write(make([]byte, 50_000))
				}
			}
			conn.CloseWithError(uint64(i), "done")
		})
	}
	wg.Wait()
}
