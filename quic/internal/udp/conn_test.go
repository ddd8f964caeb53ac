package udp

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/stretchr/testify/require"
)

func listen(t testing.TB, network, addr string) *Conn {
	t.Helper()
	return newConn(t, listenPacket(t, network, addr), slog.DiscardHandler)
}

// listenPacket is net.ListenPacket. It skips the test if the address is IPv6 and the machine has no IPv6.
func listenPacket(t testing.TB, network, addr string) net.PacketConn {
	t.Helper()
	pc, err := net.ListenPacket(network, addr)
	if err != nil && strings.Contains(addr, "::") {
		t.Skipf("needs IPv6: %v", err)
	}
	require.NoError(t, err)
	return pc
}

func newConn(t testing.TB, pc net.PacketConn, log slog.Handler) *Conn {
	t.Helper()
	c, err := New(pc, slog.New(log))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// listenPlain returns a Conn whose *net.UDPConn is hidden, so that it is used like any other
// net.PacketConn.
func listenPlain(t testing.TB, network, addr string) *Conn {
	t.Helper()
	return newConn(t, struct{ net.PacketConn }{listenPacket(t, network, addr)}, slog.DiscardHandler)
}

func newTrains(c *Conn) []datagram.Train {
	ts := make([]datagram.Train, c.BatchSize())
	for i := range ts {
		ts[i].Slab = make([]byte, c.SlabSize())
	}
	return ts
}

// readDatagrams reads until n datagrams have arrived and returns copies of them.
func readDatagrams(t testing.TB, c *Conn, n int) (datagrams [][]byte, last datagram.Train) {
	t.Helper()
	ts := newTrains(c)
	for len(datagrams) < n {
		k, err := c.Read(ts)
		require.NoError(t, err)
		for _, tr := range ts[:k] {
			last = tr
			for d := tr.Data; len(d) > 0; {
				size := min(tr.SegmentSize, len(d))
				datagrams = append(datagrams, bytes.Clone(d[:size]))
				d = d[size:]
			}
		}
	}
	return datagrams, last
}

func TestRoundTrip(t *testing.T) {
	for _, tc := range []struct{ network, server, client string }{
		{"udp4", "127.0.0.1:0", "127.0.0.1:0"},
		{"udp4", "0.0.0.0:0", "0.0.0.0:0"},
		{"udp6", "[::1]:0", "[::]:0"},
		{"udp", ":0", ":0"},
	} {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%s/plain=%v", tc.network, tc.server, plain), func(t *testing.T) {
				open := listen
				if plain {
					open = listenPlain
				}
				server, client := open(t, tc.network, tc.server), open(t, tc.network, tc.client)
				loopback := netip.MustParseAddr("127.0.0.1")
				if tc.network == "udp6" {
					loopback = netip.IPv6Loopback()
				}
				to := datagram.Path{Remote: netip.AddrPortFrom(loopback, server.LocalAddr().Port())}
				data := bytes.Repeat([]byte("0123456789"), 25)
				tx := datagram.Transmit{Data: data, SegmentSize: 100, Path: to, ECN: 0b10}
				require.NoError(t, client.Write(&tx))
				require.Empty(t, tx.Data, "Write advances past what it sent")

				got, last := readDatagrams(t, server, 3)
				require.Equal(t, [][]byte{data[:100], data[100:200], data[200:]}, got)
				require.Equal(t, netip.AddrPortFrom(loopback, client.LocalAddr().Port()), last.Path.Remote)
				if runtime.GOOS == "linux" && !plain {
					require.Equal(t, datagram.ECN(0b10), last.ECN)
					require.Equal(t, to.Remote, last.Path.Local, "pktinfo contains the destination address")
				}

				// The answer is sent from the address that received the datagram.
				tx = datagram.Transmit{Data: []byte("answer"), Path: last.Path}
				require.NoError(t, server.Write(&tx))
				got, last = readDatagrams(t, client, 1)
				require.Equal(t, [][]byte{[]byte("answer")}, got)
				require.Equal(t, to.Remote, last.Path.Remote)
				require.Equal(t, datagram.ECN(0), last.ECN)

				tx = datagram.Transmit{Data: []byte("waited"), Path: to, ECN: 0b01}
				require.NoError(t, client.WriteWait(&tx))
				got, _ = readDatagrams(t, server, 1)
				require.Equal(t, [][]byte{[]byte("waited")}, got)
			})
		}
	}
}

func TestRequestedSourceAddress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs 127.0.0.2, which is a local address on Linux only")
	}
	server, client := listen(t, "udp4", "0.0.0.0:0"), listen(t, "udp4", "127.0.0.1:0")
	second := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), server.LocalAddr().Port())
	require.NoError(t, client.Write(&datagram.Transmit{Data: []byte("?"), Path: datagram.Path{Remote: second}}))
	_, train := readDatagrams(t, server, 1)
	require.Equal(t, second, train.Path.Local)
	require.NoError(t, server.Write(&datagram.Transmit{Data: []byte("!"), Path: train.Path}))
	_, train = readDatagrams(t, client, 1)
	require.Equal(t, second, train.Path.Remote)
}

func TestOneRefusedDatagramDoesNotStopTheNext(t *testing.T) {
	server, client := listen(t, "udp4", "127.0.0.1:0"), listen(t, "udp4", "127.0.0.1:0")
	// 70,000 bytes do not fit in a datagram.
	tx := datagram.Transmit{
		Data: append(make([]byte, 70_000), "after"...), SegmentSize: 70_000,
		Path: datagram.Path{Remote: server.LocalAddr()},
	}
	require.Equal(t, ClassTooLarge, Classify(client.Write(&tx)))
	require.Empty(t, tx.Data)
	got, _ := readDatagrams(t, server, 1)
	require.Equal(t, [][]byte{[]byte("after")}, got)
}

func TestEmptyAndTruncatedDatagramsAreSkipped(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs the kernel to report truncated datagrams, which we read on Linux only")
	}
	t.Setenv(disableGRO, "1") // a slab for trains has room for every datagram
	server, client := listen(t, "udp4", "127.0.0.1:0"), listen(t, "udp4", "127.0.0.1:0")
	for _, d := range [][]byte{{}, make([]byte, slabSize+1), []byte("whole")} {
		_, err := client.pc.WriteTo(d, net.UDPAddrFromAddrPort(server.LocalAddr()))
		require.NoError(t, err)
	}
	got, _ := readDatagrams(t, server, 1)
	require.Equal(t, [][]byte{[]byte("whole")}, got)
}

// The send buffer of a fullSocket is full for the first few datagrams.
type fullSocket struct {
	net.PacketConn
	refusals int
	sent     []string
}

func (s *fullSocket) WriteTo(p []byte, _ net.Addr) (int, error) {
	if s.refusals > 0 {
		s.refusals--
		return 0, syscall.EAGAIN
	}
	s.sent = append(s.sent, string(p))
	return len(p), nil
}

func TestPacketConnWithoutRoom(t *testing.T) {
	inner, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer inner.Close()
	s := &fullSocket{PacketConn: inner, refusals: 3}
	c := newConn(t, s, slog.DiscardHandler)
	tx := datagram.Transmit{Data: []byte("aabbc"), SegmentSize: 2, Path: datagram.Path{Remote: c.LocalAddr()}}
	require.ErrorIs(t, c.Write(&tx), ErrWouldBlock)
	require.Equal(t, "aabbc", string(tx.Data))
	require.NoError(t, c.WriteWait(&tx))
	require.Equal(t, []string{"aa", "bb", "c"}, s.sent)
}

func TestCloseEndsRead(t *testing.T) {
	c := listen(t, "udp4", "127.0.0.1:0")
	done := make(chan error)
	go func() {
		_, err := c.Read(newTrains(c))
		done <- err
	}()
	require.NoError(t, c.Close())
	require.Equal(t, ClassClosed, Classify(<-done))
	require.Equal(t, ClassClosed, Classify(c.Write(&datagram.Transmit{Data: []byte("x"), Path: datagram.Path{Remote: c.LocalAddr()}})))
}

func TestConnectedSocketIsRefused(t *testing.T) {
	server := listen(t, "udp4", "127.0.0.1:0")
	uc, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(server.LocalAddr()))
	require.NoError(t, err)
	defer uc.Close()
	_, err = New(uc, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "connected")
}

func TestWrongFamilyIsAnError(t *testing.T) {
	c := listen(t, "udp4", "127.0.0.1:0")
	tx := datagram.Transmit{Data: []byte("x"), Path: datagram.Path{Remote: netip.MustParseAddrPort("[::1]:9")}}
	require.Error(t, c.Write(&tx))
	require.Empty(t, tx.Data)
}

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want Class
	}{
		{nil, ClassNone},
		{ErrWouldBlock, ClassWouldBlock},
		{fmt.Errorf("wrapped: %w", net.ErrClosed), ClassClosed},
		{os.NewSyscallError("sendmsg", errsTooLarge[0]), ClassTooLarge},
		{&net.OpError{Op: "write", Err: os.NewSyscallError("sendmsg", errsRefused[0])}, ClassRefused},
		{errsNoBuffers[0], ClassNoBuffers},
		{syscall.EINVAL, ClassOther},
		{errors.New("anything"), ClassOther},
	} {
		require.Equal(t, tc.want, Classify(tc.err), "%v", tc.err)
	}
}

func TestNoAllocations(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			server, client := listen(t, "udp", addr), listen(t, "udp", addr)
			ts := newTrains(server)
			data := make([]byte, 2400)
			path := datagram.Path{Remote: server.LocalAddr()}
			tx := new(datagram.Transmit)
			require.Zero(t, testing.AllocsPerRun(100, func() {
				*tx = datagram.Transmit{Data: data, SegmentSize: 1200, Path: path, ECN: 0b10}
				if client.Write(tx) != nil {
					t.Fatal("write failed")
				}
				for got := 0; got < len(data); got += len(ts[0].Data) {
					if _, err := server.Read(ts); err != nil {
						t.Fatal(err)
					}
				}
			}))
		})
	}
}

func BenchmarkLoopback(b *testing.B) {
	for _, segments := range []int{1, 2, 8, 50} {
		b.Run(fmt.Sprintf("segments=%d", segments), func(b *testing.B) {
			server, client := listen(b, "udp4", "127.0.0.1:0"), listen(b, "udp4", "127.0.0.1:0")
			ts := newTrains(server)
			data := make([]byte, segments*1200)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				tx := datagram.Transmit{Data: data, SegmentSize: 1200, Path: datagram.Path{Remote: server.LocalAddr()}}
				if err := client.Write(&tx); err != nil {
					b.Fatal(err)
				}
				for got := 0; got < len(data); got += len(ts[0].Data) {
					if _, err := server.Read(ts); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
