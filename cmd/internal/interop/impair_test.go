package interop

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	clientAddr = "10.0.0.1:1000"
	serverAddr = "10.0.0.2:443"
)

func TestDropRate(t *testing.T) {
	const packets = 10000
	impair := dropRate(0.3)(7)
	for from := range 2 {
		dropped, run := 0, 0
		for range packets {
			if impair(from, 0, nil) {
				run = 0
				continue
			}
			dropped++
			run++
			require.LessOrEqual(t, run, maxRun)
		}
		require.InDelta(t, 0.3*packets, dropped, 0.03*packets)
	}
}

// A corrupted datagram has one other byte among the first, and a valid checksum. Version Negotiation is spared.
func TestCorruptRate(t *testing.T) {
	impair, corrupted := corruptRate(0.3)(7), 0
	payload := bytes.Repeat([]byte{0xc1}, 1200)
	negotiation := append([]byte{0x80, 0, 0, 0, 0}, payload...)
	for range 1000 {
		p := parsed(t, clientAddr, serverAddr, payload)
		require.True(t, impair(client, 0, p))
		differs := 0
		for i, b := range p.payload() {
			if b != payload[i] {
				require.Less(t, i, 51)
				differs++
			}
		}
		require.LessOrEqual(t, differs, 1)
		corrupted += differs
		require.Equal(t, datagram(t, clientAddr, serverAddr, 0, p.payload()), p.ip)

		p = parsed(t, serverAddr, clientAddr, negotiation)
		require.True(t, impair(server, 0, p))
		require.Equal(t, negotiation, p.payload())
	}
	require.InDelta(t, 300, corrupted, 60)
}

func TestDropToServer(t *testing.T) {
	impair := dropToServer(2, 4)(0)
	var got []bool
	for range 5 {
		require.True(t, impair(server, 0, nil))
		got = append(got, impair(client, 0, nil))
	}
	require.Equal(t, []bool{true, false, true, false, true}, got)
}

func TestBlackhole(t *testing.T) {
	impair := blackhole(5*time.Second, 2*time.Second)(0)
	for at, want := range map[time.Duration]bool{0: true, 4999: true, 5000: false, 6999: false, 7000: true, 12500: false} {
		require.Equal(t, want, impair(client, at*time.Millisecond, nil), at)
	}
}

// The NAT translates both directions. After a change the client has another address, and what is sent to the old one is
// lost.
func TestRebind(t *testing.T) {
	for _, addr := range []bool{false, true} {
		impair := rebind(time.Second, 5*time.Second, addr)(0)
		var outside []string
		for _, at := range []time.Duration{0, 999 * time.Millisecond, time.Second, 5999 * time.Millisecond, 6 * time.Second} {
			p := parsed(t, clientAddr, serverAddr, []byte("up"))
			require.True(t, impair(client, at, p))
			outside = append(outside, p.src.String())
			require.Equal(t, datagram(t, p.src.String(), serverAddr, 0, []byte("up")), p.ip)

			back := parsed(t, serverAddr, outside[len(outside)-1], []byte("down"))
			require.True(t, impair(server, at, back))
			require.Equal(t, datagram(t, serverAddr, clientAddr, 0, []byte("down")), back.ip)
			require.False(t, impair(server, at, parsed(t, serverAddr, clientAddr, nil)), "not an address of the NAT")
		}
		require.Equal(t, outside[0], outside[1])
		require.Equal(t, outside[2], outside[3])
		require.NotEqual(t, outside[1], outside[2])
		require.NotEqual(t, outside[3], outside[4])
		require.False(t, impair(server, 6*time.Second, parsed(t, serverAddr, outside[3], nil)))
		require.Equal(t, addr, outside[0][:9] != outside[2][:9], "%v", outside)
	}
}

// What is lost was sent and has not arrived.
func TestPathTraces(t *testing.T) {
	h := new(path)
	h.start(dropToServer(1)(0), false)
	for range 2 {
		b := datagram(t, clientAddr, serverAddr, 1, []byte{0x40, 1, 2, 3})
		h.sent(client, time.Now(), b)
		h.arrived(client, time.Now(), b)
	}
	require.True(t, h.arrived(server, time.Now(), []byte("not UDP")))
	var got []bool
	for _, r := range h.trace.records {
		got = append(got, r.arrived)
		require.Equal(t, 4, r.short)
		require.EqualValues(t, 1, r.ecn)
	}
	require.Equal(t, []bool{false, false, true}, got)
}
