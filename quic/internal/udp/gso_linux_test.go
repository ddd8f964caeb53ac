package udp

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// requireGSO skips the test if the kernel does not support UDP_SEGMENT, and requires that the Conn uses it otherwise.
func requireGSO(t *testing.T, c *Conn) {
	t.Helper()
	needOption(t, "UDP_SEGMENT", unix.UDP_SEGMENT)
	require.True(t, c.os.gso.available)
}

// requireGRO does the same for UDP_GRO.
func requireGRO(t *testing.T, c *Conn) {
	t.Helper()
	needOption(t, "UDP_GRO", unix.UDP_GRO)
	require.True(t, c.os.gro)
}

// needOption skips the test if UDP sockets do not have an option.
func needOption(t *testing.T, name string, option int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_UDP, option, 1); err != nil {
		t.Skipf("needs a kernel with %s: %v", name, err)
	}
}

// randomTransmit returns a run of up to 150 datagrams. A few runs have tiny datagrams, and a few fill
// system calls up to their limits.
func randomTransmit(r *rand.Rand, to netip.AddrPort) datagram.Transmit {
	size := []int{1, 29, 1200, 1252, 1452, 9000, 32753, 32754}[r.IntN(8)]
	n := 1 + r.IntN(min(150, 100_000/size))*size + r.IntN(size)
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return datagram.Transmit{
		Data: data, SegmentSize: size, Path: datagram.Path{Remote: to}, ECN: datagram.ECN(r.IntN(3)),
	}
}

func datagramsOf(tx datagram.Transmit) (all [][]byte) {
	for ; len(tx.Data) > 0; tx.Advance() {
		all = append(all, bytes.Clone(tx.First()))
	}
	return all
}

// The same datagrams arrive in the same order, whether or not either side uses segmentation offload.
func TestOffloadMovesTheSameDatagrams(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		for i := range 4 {
			gso, gro := i&1 != 0, i&2 != 0
			t.Run(fmt.Sprintf("%s/gso=%v/gro=%v", addr, gso, gro), func(t *testing.T) {
				if !gso {
					t.Setenv(disableGSO, "1")
				}
				if !gro {
					t.Setenv(disableGRO, "1")
				}
				server, client := listen(t, "udp", addr), listen(t, "udp", addr)
				if gso {
					requireGSO(t, client)
					require.Equal(t, maxSegments, client.MaxSegments())
				} else {
					require.Equal(t, 1, client.MaxSegments())
				}
				if gro {
					requireGRO(t, server)
				} else {
					// Datagrams larger than the slab are dropped.
					server.os.gro = true
				}
				r := rand.New(rand.NewPCG(1, 2))
				for range 100 {
					tx := randomTransmit(r, server.LocalAddr())
					want, ecn := datagramsOf(tx), tx.ECN
					write := client.Write
					if r.IntN(2) == 0 {
						write = client.WriteWait
					}
					require.NoError(t, write(&tx))
					require.Empty(t, tx.Data)
					got, last := readDatagrams(t, server, len(want))
					require.True(t, slicesEqual(want, got), "datagrams differ")
					require.Equal(t, ecn, last.ECN)
					require.Equal(t, client.LocalAddr(), last.Path.Remote)
				}
			})
		}
	}
}

func slicesEqual(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// A train arrives in one read if both sides use segmentation offload.
func TestTrainArrivesInOneRead(t *testing.T) {
	server, client := listen(t, "udp4", "127.0.0.1:0"), listen(t, "udp4", "127.0.0.1:0")
	requireGSO(t, client)
	requireGRO(t, server)
	tx := datagram.Transmit{Data: make([]byte, 50*1200-1), SegmentSize: 1200, Path: datagram.Path{Remote: server.LocalAddr()}}
	require.NoError(t, client.Write(&tx))
	ts := newTrains(server)
	_, err := server.Read(ts)
	require.NoError(t, err)
	require.Equal(t, 1200, ts[0].SegmentSize)
	require.Equal(t, 50, ts[0].Segments())
}

// calls counts system calls and makes some of them fail.
type calls struct {
	runs, singles int
	fail          func(p []byte, isRun bool) error
}

func (c *calls) intercept(conn *Conn) {
	conn.os.sendmsg = func(fd int, p, oob []byte, to *sockaddr) error {
		isRun := false
		for b := oob; len(b) > 0; {
			h, _, rest, err := unix.ParseOneSocketControlMessage(b)
			if err != nil {
				return err
			}
			isRun = isRun || h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_SEGMENT
			b = rest
		}
		if isRun {
			c.runs++
		} else {
			c.singles++
		}
		if err := c.fail(p, isRun); err != nil {
			return err
		}
		return sendmsg(fd, p, oob, to)
	}
}

func (c *calls) reset() { c.runs, c.singles = 0, 0 }

func offloadPair(t *testing.T, log slog.Handler) (server, client *Conn) {
	t.Helper()
	server = listen(t, "udp4", "0.0.0.0:0")
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	client = newConn(t, pc, log)
	requireGSO(t, client)
	return server, client
}

func transmitTo(server *Conn, addr string, n int) datagram.Transmit {
	data := make([]byte, n*100)
	for i := range data {
		data[i] = byte(i / 100)
	}
	return datagram.Transmit{Data: data, SegmentSize: 100, Path: datagram.Path{
		Remote: netip.AddrPortFrom(netip.MustParseAddr(addr), server.LocalAddr().Port())}}
}

func TestRefusedOffloadLosesNothing(t *testing.T) {
	for _, refusal := range []error{unix.EIO, unix.EINVAL, unix.EMSGSIZE} {
		t.Run(refusal.Error(), func(t *testing.T) {
			var log bytes.Buffer
			server, client := offloadPair(t, slog.NewTextHandler(&log, nil))
			c := calls{fail: func(_ []byte, isRun bool) error {
				if isRun {
					return refusal
				}
				return nil
			}}
			c.intercept(client)
			for _, tc := range []struct {
				to            string
				runs, singles int
			}{
				{"127.0.0.1", 1, 70},
				{"127.0.0.1", 0, 70}, // recorded
				{"127.0.0.2", 1, 70},
				{"127.0.0.2", 0, 70},
			} {
				c.reset()
				tx := transmitTo(server, tc.to, 70)
				want := datagramsOf(tx)
				require.NoError(t, client.Write(&tx))
				got, _ := readDatagrams(t, server, len(want))
				require.Equal(t, want, got)
				require.Equal(t, tc.runs, c.runs)
				require.Equal(t, tc.singles, c.singles)
			}
			require.Equal(t, 1, strings.Count(log.String(), "segmentation offload"), log.String())
		})
	}
}

// An error that does not concern segmentation offload is reported and disables nothing.
func TestOtherErrorsKeepOffload(t *testing.T) {
	server, client := offloadPair(t, slog.DiscardHandler)
	var pending error
	c := calls{fail: func([]byte, bool) error {
		err := pending
		pending = nil
		return err
	}}
	c.intercept(client)
	for _, pending = range []error{unix.ECONNREFUSED, unix.ENOBUFS} {
		want := pending
		tx := transmitTo(server, "127.0.0.1", 70)
		datagrams := datagramsOf(tx)
		require.ErrorIs(t, client.Write(&tx), want)
		got, _ := readDatagrams(t, server, 70)
		require.Equal(t, datagrams, got, "the error concerns an earlier datagram")
		c.reset()
		tx = transmitTo(server, "127.0.0.1", 70)
		require.NoError(t, client.Write(&tx))
		readDatagrams(t, server, 70)
		require.Equal(t, 2, c.runs)
	}
}

// If single datagrams are too large, segmentation offload stays enabled.
func TestTooLargeIsNotRefused(t *testing.T) {
	server, client := offloadPair(t, slog.DiscardHandler)
	tooLarge := true
	c := calls{fail: func(p []byte, _ bool) error {
		if tooLarge && len(p) > 99 {
			return unix.EMSGSIZE
		}
		return nil
	}}
	c.intercept(client)
	tx := transmitTo(server, "127.0.0.1", 10)
	tx.Data = tx.Data[:len(tx.Data)-1] // the last datagram is sent
	require.ErrorIs(t, client.Write(&tx), unix.EMSGSIZE)
	require.Empty(t, tx.Data)
	tooLarge = false
	c.reset()
	tx = transmitTo(server, "127.0.0.1", 10)
	require.NoError(t, client.Write(&tx))
	require.Equal(t, 1, c.runs)
}

// If there is no room, the rest of a Transmit is exactly what has not been sent, for runs and for the
// single datagrams that follow a refusal.
func TestNoRoomBetweenRuns(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		server, client := offloadPair(t, slog.DiscardHandler)
		room := 1
		c := calls{fail: func(_ []byte, isRun bool) error {
			switch {
			case isRun && refuse:
				return unix.EIO
			case room == 0:
				return unix.EAGAIN
			}
			room--
			return nil
		}}
		c.intercept(client)
		tx := transmitTo(server, "127.0.0.1", 70)
		want := datagramsOf(tx)
		require.ErrorIs(t, client.Write(&tx), ErrWouldBlock)
		left := 70 - maxSegments
		if refuse {
			left = 69
		}
		require.Equal(t, left, tx.Segments())
		room = 1000
		require.NoError(t, client.WriteWait(&tx))
		require.Empty(t, tx.Data)
		got, _ := readDatagrams(t, server, 70)
		require.Equal(t, want, got)
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	g := gso{available: true, log: slog.New(slog.DiscardHandler)}
	addr := netip.MustParseAddr("10.0.0.0")
	for range 3 * maxRefused {
		addr = addr.Next()
		g.refuse(addr, unix.EIO)
		require.Equal(t, 1, g.segments(addr))
		require.LessOrEqual(t, len(g.refused), maxRefused)
	}
	require.Equal(t, maxSegments, g.segments(netip.MustParseAddr("192.0.2.1")))
}
