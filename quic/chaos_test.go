//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Applications make random calls on a bad network until their endpoints are closed. Every call returns data
// or a documented error. The bubble checks that no goroutine is left, and -race checks the locks.
func TestChaos(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			cfg := serverConfig()
			cfg.MaxIncomingStreams, cfg.MaxIncomingUniStreams = 5, 2
			cfg.StreamWindow, cfg.MaxStreamWindow = 20_000, 50_000
			cfg.CloseTimeout = 300 * time.Millisecond
			inBubble(t, cfg, nil, func(t *testing.T, w *world) { chaos(t, w, seed) })
		})
	}
}

func chaos(t *testing.T, w *world, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2)) // guarded by the network's lock from here on
	pause := time.Duration(100+r.IntN(400)) * time.Millisecond
	w.net.SetDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return r.IntN(20) == 0 })
	w.net.SetFull(func(netip.AddrPort) bool { return r.IntN(10) == 0 })
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := uint64(0); ; n++ {
			conn, err := w.listener.Accept(context.Background())
			if err != nil {
				require.ErrorIs(t, err, net.ErrClosed)
				return
			}
			wg.Go(func() { misbehave(&wg, conn, seed<<16|n<<1) })
		}
	})
	for n := range uint64(6) {
		wg.Go(func() {
			for i := range uint64(5) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(5+i*20)*time.Millisecond)
				conn, err := w.client.Dial(ctx, serverAddr, nil)
				cancel()
				if err == nil {
					misbehave(&wg, conn, seed<<16|n<<8|i<<1|1)
				}
			}
		})
	}
	advance(pause)
	if seed%2 == 0 {
		require.NoError(t, w.client.Close())
		require.NoError(t, w.server.Close())
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if w.server.Shutdown(ctx) != nil {
			require.NoError(t, w.server.Close())
		}
		require.NoError(t, w.client.Close())
	}
	wg.Wait()
	require.Zero(t, w.server.Stats().Conns)
	require.Zero(t, w.client.Stats().Conns)
}

// misbehave uses a connection at random and closes it.
func misbehave(wg *sync.WaitGroup, conn *Conn, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 3))
	for range 3 {
		deal := rand.New(rand.NewPCG(r.Uint64(), 4))
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(deal.IntN(200))*time.Millisecond)
			defer cancel()
			switch deal.IntN(4) {
			case 0, 1:
				if s, err := conn.OpenStream(ctx); err == nil {
					useStream(s, deal)
				}
			case 2:
				if s, err := conn.AcceptStream(ctx); err == nil {
					useStream(s, deal)
				}
			case 3:
				if s, err := conn.OpenUniStream(ctx); err == nil {
					s.Write(make([]byte, deal.IntN(30_000)))
					s.Close()
				}
			}
		})
	}
	time.Sleep(time.Duration(r.IntN(150)) * time.Millisecond)
	conn.Stats()
	if r.IntN(2) == 0 {
		conn.Close()
	} else {
		conn.CloseWithError(uint64(r.IntN(100)), "chaos")
	}
}

func useStream(s *Stream, r *rand.Rand) {
	s.SetDeadline(time.Now().Add(time.Duration(r.IntN(300)) * time.Millisecond))
	size, end := r.IntN(100_000), r.IntN(4)
	writer := start(func() error {
		_, err := s.Write(make([]byte, size))
		return err
	})
	io.CopyN(io.Discard, s, 10_000)
	switch end {
	case 0:
		s.Reset(1)
	case 1:
		s.StopSending(2)
	}
	<-writer
	s.Close()
}
