//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const otherAddr = "10.0.0.3:3478"

func withNonQUIC(cfg *Config, n int) *Config {
	cfg.NonQUICQueue = n
	return cfg
}

// readFrom reads one datagram.
func readFrom(t *testing.T, pc net.PacketConn) string {
	t.Helper()
	b := make([]byte, 2000)
	n, _, err := pc.ReadFrom(b)
	require.NoError(t, err)
	return string(b[:n])
}

// A client and a server exchange packets of another protocol on the sockets of their connection.
func TestNonQUICPackets(t *testing.T) {
	inBubble(t, withNonQUIC(serverConfig(), 10), withNonQUIC(clientConfig(), 10), func(t *testing.T, w *world) {
		client, server := w.connect()
		cs, ss := w.stream(client, server)
		for _, dir := range []struct{ from, to *Endpoint }{{w.client, w.server}, {w.server, w.client}} {
			n, err := dir.from.WriteTo([]byte("\x00\x01binding request"), dir.to.Addr())
			require.NoError(t, err)
			require.Equal(t, 17, n)
			b := make([]byte, 100)
			n, addr, err := dir.to.ReadNonQUICPacket(t.Context(), b)
			require.NoError(t, err)
			require.Equal(t, "\x00\x01binding request", string(b[:n]))
			require.Equal(t, dir.from.Addr().String(), addr.String())
		}
		requireTransfer(t, cs, ss, 100_000)
		for _, e := range []*Endpoint{w.client, w.server} {
			s := e.Stats()
			require.Equal(t, []uint64{1, 0}, []uint64{s.NonQUICReceived, s.NonQUICDropped})
			s.Drops.IncompleteHello = 0 // the first half of the ClientHello
			require.Equal(t, DatagramDrops{}, s.Drops)
		}
	})
}

// The first byte tells the protocols apart (RFC 9443, section 3). A packet that is not QUIC gets no answer.
func TestWhatIsNotQUIC(t *testing.T) {
	inBubble(t, withNonQUIC(serverConfig(), 300), nil, func(t *testing.T, w *world) {
		other := w.net.Listen(otherAddr)
		defer other.Close()
		answers := 0
		w.net.SetDrop(func(_, to netip.AddrPort, _ []byte) bool {
			if to == netip.MustParseAddrPort(otherAddr) {
				answers++
			}
			return false
		})
		var want []string
		for first := range 256 {
			d := string([]byte{byte(first)}) + "the rest, which is long enough for a stateless reset in reply"
			_, err := other.WriteTo([]byte(d), w.server.Addr())
			require.NoError(t, err)
			if first < 64 || 128 <= first && first < 192 {
				want = append(want, d)
			}
			time.Sleep(time.Second) // of the fake clock: the answer has arrived
			if first == 63 {
				require.Zero(t, answers)
			}
		}
		b := make([]byte, 100)
		for _, d := range want {
			n, _, err := w.server.ReadNonQUICPacket(t.Context(), b)
			require.NoError(t, err)
			require.Equal(t, d, string(b[:n]))
		}
		s := w.server.Stats()
		require.Equal(t, uint64(len(want)), s.NonQUICReceived)
		require.Equal(t, uint64(answers), s.Drops.StatelessReset)
		require.NotZero(t, answers, "packets that may be QUIC are answered")
	})
}

// Version Negotiation packets belong to QUIC even if their fixed bit is 0.
func TestVersionNegotiationIsQUIC(t *testing.T) {
	for _, d := range []string{"\x80\x00\x00\x00\x00", "\xbf\x00\x00\x00\x00\x08", "\x80\x00\x00"} {
		require.Equal(t, len(d) < 5, isNonQUIC([]byte(d)), "%x", d)
	}
	require.True(t, isNonQUIC([]byte("\x80\x00\x00\x00\x01")))
}

// Packets that nobody reads are dropped and do not stop connections.
func TestNonQUICQueueIsBounded(t *testing.T) {
	inBubble(t, withNonQUIC(serverConfig(), 3), nil, func(t *testing.T, w *world) {
		other := w.net.Listen(otherAddr)
		defer other.Close()
		for i := range 1000 {
			_, err := other.WriteTo(fmt.Appendf([]byte{0}, "%d", i), w.server.Addr())
			require.NoError(t, err)
		}
		client, server := w.connect()
		cs, ss := w.stream(client, server)
		requireTransfer(t, cs, ss, 100_000)
		s := w.server.Stats()
		require.Equal(t, []uint64{3, 997}, []uint64{s.NonQUICReceived, s.NonQUICDropped})
		b := make([]byte, 2)
		for i := range 3 {
			n, _, err := w.server.ReadNonQUICPacket(t.Context(), b)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("\x00%d", i), string(b[:n]))
		}
	})
}

func TestReadNonQUICPacketEnds(t *testing.T) {
	inBubble(t, withNonQUIC(serverConfig(), 1), nil, func(t *testing.T, w *world) {
		_, _, err := w.server.ReadNonQUICPacket(canceled(), nil)
		require.ErrorIs(t, err, context.Canceled)
		ctx, cancel := context.WithCancelCause(t.Context())
		waiting := start(func() error { _, _, err := w.server.ReadNonQUICPacket(ctx, nil); return err })
		synctest.Wait()
		cancel(context.DeadlineExceeded)
		require.ErrorIs(t, <-waiting, context.DeadlineExceeded)
		require.Empty(t, w.server.nonQUIC.waiting)

		waiting = start(func() error { _, _, err := w.server.ReadNonQUICPacket(t.Context(), nil); return err })
		synctest.Wait()
		require.NoError(t, w.server.Close())
		require.ErrorIs(t, <-waiting, ErrEndpointClosed)
		_, err = w.server.WriteTo([]byte{0}, w.client.Addr())
		require.ErrorIs(t, err, net.ErrClosed)

		_, _, err = w.client.ReadNonQUICPacket(t.Context(), nil)
		require.ErrorContains(t, err, "Config.NonQUICQueue")
	})
}

func TestWriteToErrors(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		_, err := w.client.WriteTo(nil, w.server.Addr())
		require.ErrorContains(t, err, "empty")
		_, err = w.client.WriteTo([]byte{0}, &net.UnixAddr{Name: "socket"})
		require.ErrorContains(t, err, "address")
		_, err = w.client.WriteTo([]byte{0}, nil)
		require.ErrorContains(t, err, "address")
	})
}

// WriteTo waits for room in the send buffer.
func TestWriteToWaits(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		other := w.net.Listen(otherAddr)
		defer other.Close()
		w.net.SetFull(func(netip.AddrPort) bool { return true })
		done := start(func() error { _, err := w.server.WriteTo([]byte("late"), other.LocalAddr()); return err })
		time.Sleep(time.Second) // of the fake clock
		require.Empty(t, done)
		w.net.SetFull(nil)
		require.NoError(t, <-done)
		require.Equal(t, "late", readFrom(t, other))
	})
}

// Packets of another protocol on real sockets, of one loop and of two.
func TestNonQUICOnRealSocket(t *testing.T) {
	for _, loops := range []int{1, 2} {
		if loops > 1 && runtime.GOOS != "linux" {
			continue
		}
		t.Run(fmt.Sprintf("loops=%d", loops), func(t *testing.T) {
			cfg := withNonQUIC(serverConfig(), 100)
			cfg.Loops = loops
			l, err := Listen("udp", "127.0.0.1:0", cfg)
			require.NoError(t, err)
			e := l.Endpoint()
			defer e.Close()
			b := make([]byte, 100)
			for i := range 50 {
				other, err := net.ListenPacket("udp", "127.0.0.1:0")
				require.NoError(t, err)
				defer other.Close()
				want := fmt.Sprintf("\x01packet %d", i)
				_, err = other.WriteTo([]byte(want), e.Addr())
				require.NoError(t, err)
				n, addr, err := e.ReadNonQUICPacket(t.Context(), b)
				require.NoError(t, err)
				require.Equal(t, want, string(b[:n]))
				require.Equal(t, other.LocalAddr().String(), addr.String())
				_, err = e.WriteTo(b[:n], addr)
				require.NoError(t, err)
				require.Equal(t, want, readFrom(t, other))
			}
		})
	}
}
