package udp

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// arrival is a datagram and the number of the socket that received it.
type arrival struct {
	data   []byte
	socket int
}

// openGroup opens a group and returns its address and what its sockets receive.
func openGroup(t *testing.T, network, addr string, sel Selector) (net.Addr, <-chan arrival) {
	pcs, err := ListenGroup(network, addr, sel, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Len(t, pcs, sel.Sockets)
	return pcs[0].LocalAddr(), receiveAll(t, pcs)
}

// receiveAll returns what sockets receive until the end of the test, when it closes them.
func receiveAll(t *testing.T, pcs []net.PacketConn) <-chan arrival {
	arrivals := make(chan arrival, 1)
	for i, pc := range pcs {
		t.Cleanup(func() { pc.Close() })
		require.Equal(t, pcs[0].LocalAddr().String(), pc.LocalAddr().String())
		go func() {
			for {
				b := make([]byte, 2048)
				n, _, err := pc.ReadFrom(b)
				if err != nil {
					return
				}
				arrivals <- arrival{b[:n], i}
			}
		}()
	}
	return arrivals
}

func receiveOne(t *testing.T, arrivals <-chan arrival, want []byte) int {
	t.Helper()
	select {
	case a := <-arrivals:
		require.True(t, bytes.Equal(want, a.data))
		return a.socket
	case <-time.After(10 * time.Second):
		require.FailNow(t, "a datagram was lost")
	}
	return 0
}

// The kernel's program and Select agree on every short header, from any source and in both address families.
// Long headers and datagrams that are too short are distributed by the kernel's hash, which depends on the
// source only.
func TestGroupSelects(t *testing.T) {
	for _, sockets := range []int{2, 3, MaxGroup} {
		sel := Selector{Key: rand.Uint32() | 1, Sockets: sockets, Offset: sockets % 4}
		local, arrivals := openGroup(t, "udp", "[::]:0", sel)
		byHash := map[int]bool{}
		for i := range 200 {
			host := net.IPv4(127, 0, 0, 1)
			if i%2 == 1 {
				host = net.IPv6loopback
			}
			c, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: host, Port: local.(*net.UDPAddr).Port})
			require.NoError(t, err)
			send := func(b []byte) int {
				_, err := c.Write(b)
				require.NoError(t, err)
				return receiveOne(t, arrivals, b)
			}
			hash := -1
			at := 1 + sel.Offset
			for _, size := range []int{at + 4, 21, 1200} {
				b := make([]byte, size)
				for j := range b {
					b[j] = byte(rand.Uint32())
				}
				b[0] &= 0x7f
				require.Equal(t, sel.Select(binary.BigEndian.Uint32(b[at:])), send(b), "%x of %+v", b[:at+4], sel)
				for _, other := range [][]byte{append([]byte{b[0] | 0x80}, b[1:]...), b[:1], b[:at+3]} {
					got := send(other)
					if hash < 0 {
						hash = got
					}
					require.Equal(t, hash, got, "the packets of one client")
				}
			}
			byHash[hash] = true
			require.NoError(t, c.Close())
		}
		require.Greater(t, len(byHash), 1)
	}
}

// Without the program, all datagrams of a client reach one socket, and the log contains a warning.
func TestGroupWithoutBPF(t *testing.T) {
	t.Setenv(disableBPF, "1")
	var log bytes.Buffer
	pcs, err := ListenGroup("udp4", "127.0.0.1:0", Selector{Key: 1, Sockets: 2}, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	closeAll(pcs)
	require.Contains(t, log.String(), disableBPF)

	local, arrivals := openGroup(t, "udp4", "127.0.0.1:0", Selector{Key: 1, Sockets: 2})
	used := map[int]bool{}
	for range 64 {
		c, err := net.Dial("udp", local.String())
		require.NoError(t, err)
		first := -1
		for i := range 8 {
			b := binary.BigEndian.AppendUint32([]byte{0x40}, uint32(i)<<16)
			_, err := c.Write(b)
			require.NoError(t, err)
			got := receiveOne(t, arrivals, b)
			if first < 0 {
				first = got
			}
			require.Equal(t, first, got)
		}
		used[first] = true
		require.NoError(t, c.Close())
	}
	require.Len(t, used, 2)
}

// A group does not join sockets that use the address already, whether or not they share it, and leaves no
// socket open if it fails.
func TestGroupNeedsFreeAddress(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	sel := Selector{Key: 1, Sockets: 2}
	pcs, err := ListenGroup("udp4", "127.0.0.1:0", sel, log)
	require.NoError(t, err)
	defer closeAll(pcs)
	addr := pcs[0].LocalAddr().String()
	_, err = ListenGroup("udp4", addr, sel, log)
	require.ErrorIs(t, err, unix.EADDRINUSE)
	_, err = net.ListenPacket("udp4", addr)
	require.ErrorIs(t, err, unix.EADDRINUSE)
	closeAll(pcs)
	again, err := ListenGroup("udp4", addr, sel, log)
	require.NoError(t, err)
	closeAll(again)
}

// A socket of a group that is not complete receives nothing.
func TestPausedSocket(t *testing.T) {
	pc, err := listenPaused("udp4", "127.0.0.1:0", true)
	require.NoError(t, err)
	defer pc.Close()
	c, err := net.Dial("udp", pc.LocalAddr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("before"))
	require.NoError(t, err)
	require.NoError(t, control(pc, resume))
	require.NoError(t, control(pc, resume), "nothing to detach")
	_, err = c.Write([]byte("after"))
	require.NoError(t, err)
	b := make([]byte, 100)
	n, _, err := pc.ReadFrom(b)
	require.NoError(t, err)
	require.Equal(t, "after", string(b[:n]))
}

// Short headers reach the first socket, and long headers and what is no QUIC packet the second one.
func TestSplit(t *testing.T) {
	for _, network := range []string{"udp4", "udp6", "udp"} {
		t.Run(network, func(t *testing.T) {
			host := "127.0.0.1"
			if network == "udp6" {
				host = "[::1]"
			}
			pcs, err := ListenSplit(network, host+":0")
			require.NoError(t, err)
			require.Len(t, pcs, 2)
			arrivals := receiveAll(t, pcs)
			for range 10 { // from various ports
				c, err := net.Dial(network, pcs[0].LocalAddr().String())
				require.NoError(t, err)
				for first, want := range map[byte]int{0x40: 0, 0x7f: 0, 0: 0, 0x80: 1, 0xc0: 1, 0xff: 1} {
					for _, b := range [][]byte{{first}, bytes.Repeat([]byte{first}, 1200)} {
						_, err := c.Write(b)
						require.NoError(t, err)
						require.Equal(t, want, receiveOne(t, arrivals, b), "first byte %#x", first)
					}
				}
				_, err = c.Write(nil)
				require.NoError(t, err)
				require.Equal(t, 1, receiveOne(t, arrivals, []byte{}))
				require.NoError(t, c.Close())
			}
			_, err = ListenSplit(network, pcs[0].LocalAddr().String())
			require.ErrorIs(t, err, unix.EADDRINUSE)
		})
	}
}
