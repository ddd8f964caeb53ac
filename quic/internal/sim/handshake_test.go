package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

var (
	postQuantum = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.P256}
	classical   = []tlsprovider.Group{tlsprovider.P256}
)

// ms is a path of the interop scenarios' delay.
const oneWay = 15 * time.Millisecond

// TestEveryLossPattern loses each subset of the first ten datagrams, counted over both directions.
// The handshake completes and data arrives whatever is lost, whoever speaks first.
func TestEveryLossPattern(t *testing.T) {
	for _, tc := range []struct {
		name        string
		groups      []tlsprovider.Group
		serverFirst bool
	}{
		{"post-quantum, client first", postQuantum, false},
		{"post-quantum, server first", postQuantum, true},
		{"classical, client first", classical, false},
		{"classical, server first", classical, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for pattern := range 1 << 10 {
				o := options(uint64(pattern), fake.New(fake.Options{Seed: uint64(pattern)}), tc.groups...)
				lossPattern(&o, pattern, tc.serverFirst)
				runPattern(t, o, pattern)
			}
		})
	}
}

// TestEveryLossPatternRealProviders is the same with real messages, a part of it when -short.
func TestEveryLossPatternRealProviders(t *testing.T) {
	for name, p := range realProviders(t) {
		t.Run(name, func(t *testing.T) {
			step := 1
			if testing.Short() {
				step = 37
			}
			for pattern := 0; pattern < 1<<10; pattern += step {
				o := options(uint64(pattern), p, postQuantum...)
				lossPattern(&o, pattern, pattern%2 == 1)
				runPattern(t, o, pattern)
			}
		})
	}
}

func lossPattern(o *Options, pattern int, serverFirst bool) {
	n := 0
	drop := func(int) bool {
		i := n
		n++
		return i < 10 && pattern>>i&1 == 1
	}
	o.Up = Link{Delay: oneWay, Drop: drop}
	o.Down = Link{Delay: oneWay, Drop: drop}
	transfers := []Transfer{{Size: 3000}, {Uni: true, Size: 1000}}
	if serverFirst {
		o.Server = func() *App { return &App{Send: transfers} }
		o.Client.Echo = true
	} else {
		o.Client.Send = transfers
		o.Server = func() *App { return &App{Echo: true} }
	}
}

func runPattern(t *testing.T, o Options, pattern int) {
	t.Helper()
	p, err := NewPair(o)
	require.NoError(t, err)
	_, err = p.RunTransfers(120 * time.Second)
	require.NoError(t, err, "pattern %010b", pattern)
}

// TestHandshakeRoundTrips: without loss the handshake takes one round trip, however large the
// ClientHello.
func TestHandshakeRoundTrips(t *testing.T) {
	for _, groups := range [][]tlsprovider.Group{postQuantum, classical} {
		o := options(1, fake.New(fake.Options{}), groups...)
		o.Up.Delay, o.Down.Delay = oneWay, oneWay
		o.Client.Send = []Transfer{{Size: 10}}
		_, c := run(t, o, time.Minute)
		require.Equal(t, 2*oneWay, c.Stats().HandshakeTime)
	}
}

func TestHelloRetryRequest(t *testing.T) {
	for seed := range uint64(200) {
		o := options(seed, fake.New(fake.Options{Seed: seed, HelloRetry: true}))
		lossy := Link{Delay: oneWay, Loss: 0.2}
		o.Up, o.Down = lossy, lossy
		o.Client.Send = []Transfer{{Size: 1000}}
		_, c := run(t, o, 120*time.Second)
		require.True(t, c.State().HelloRetried)
	}
}

// TestRetry validates the address first, under loss too; with a HelloRetryRequest on top.
func TestRetry(t *testing.T) {
	for seed := range uint64(200) {
		o := options(seed, fake.New(fake.Options{Seed: seed, HelloRetry: seed%2 == 1}))
		o.Up, o.Down = Link{Delay: oneWay, Loss: 0.2}, Link{Delay: oneWay, Loss: 0.2}
		o.Endpoint = requireRetry
		o.Client.Send = []Transfer{{Size: 1000}}
		p, _ := run(t, o, 120*time.Second)
		require.Positive(t, dropCount(p, core.DropRetried))
	}
}

// TestLargeCertificateChain: what is bounded is what TLS has not consumed, not the offset.
func TestLargeCertificateChain(t *testing.T) {
	for seed := range uint64(50) {
		o := options(seed, fake.New(fake.Options{Seed: seed, ChainLen: 40 << 10}))
		o.ServerTLS.Certificates = nil
		o.Up, o.Down = Link{Delay: oneWay, Loss: 0.05}, Link{Delay: oneWay, Loss: 0.05}
		o.Client.Send = []Transfer{{Size: 1000}}
		run(t, o, 120*time.Second)
	}
}

// TestSlowTLS: jobs take up to two seconds of virtual time, and everything else goes on.
func TestSlowTLS(t *testing.T) {
	for seed := range uint64(300) {
		o := options(seed, fake.New(fake.Options{Seed: seed}))
		o.TLSDelay = 2 * time.Second
		o.Up, o.Down = Link{Delay: oneWay, Loss: 0.1}, Link{Delay: oneWay, Loss: 0.1}
		o.Client.Send = []Transfer{{Size: 5000}}
		o.Server = func() *App { return &App{Echo: true} }
		run(t, o, 120*time.Second)
	}
}

// TestHandshakeNeverAboveThreeTimes checks the amplification limit to the byte, before each datagram
// of the server leaves, with flights that need several rounds of credit.
func TestHandshakeNeverAboveThreeTimes(t *testing.T) {
	for seed := range uint64(300) {
		o := options(seed, fake.New(fake.Options{Seed: seed, ChainLen: 1 + int(seed)*131}))
		o.ServerTLS.Certificates = nil
		o.Up, o.Down = Link{Delay: oneWay, Loss: 0.3}, Link{Delay: oneWay, Loss: 0.3}
		o.Client.Send = []Transfer{{Size: 100}}
		p, err := NewPair(o)
		require.NoError(t, err)
		validated := false
		p.Client.Tap = func(_ tapTime, b []byte) { validated = validated || hasHandshakePacket(b) }
		p.Server.Tap = func(_ tapTime, b []byte) {
			if !validated && p.Server.BytesOut > 3*p.Server.BytesIn {
				p.Fail("sent %d bytes for %d", p.Server.BytesOut, p.Server.BytesIn)
			}
		}
		_, err = p.RunTransfers(120 * time.Second)
		require.NoError(t, err)
	}
}

// TestHandshakeOnSmallPaths: nothing larger than 1200 bytes is sent, so a path of 1280 bytes works.
func TestHandshakeOnSmallPaths(t *testing.T) {
	o := options(1, fake.New(fake.Options{}))
	o.Up, o.Down = Link{Delay: oneWay, MTU: 1280 - 48}, Link{Delay: oneWay, MTU: 1280 - 48}
	o.Client.Send = []Transfer{{Size: 1 << 20}}
	o.Server = func() *App { return &App{Echo: true} }
	_, c := run(t, o, time.Minute)
	require.Zero(t, c.Stats().PacketsLost)
}

// TestCorruptedDatagramsCloseNothing: a third of the datagrams have one wrong byte somewhere, header
// included. No unauthenticated datagram may end a connection.
func TestCorruptedDatagramsCloseNothing(t *testing.T) {
	for seed := range uint64(500) {
		o := options(seed, fake.New(fake.Options{Seed: seed}))
		o.Up, o.Down = Link{Delay: oneWay, Corrupt: 0.3}, Link{Delay: oneWay, Corrupt: 0.3}
		o.Client.Send = []Transfer{{Size: 2000}}
		o.Server = func() *App { return &App{Echo: true} }
		run(t, o, 120*time.Second)
	}
}

// TestSplitServerHelloResent loses the second half of the ServerHello and what follows it: it is the
// Initial space that has to be probed, not the Handshake space alone.
func TestSplitServerHelloResent(t *testing.T) {
	for lost := 1; lost < 4; lost++ {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			o := options(1, fake.New(fake.Options{}), postQuantum...)
			o.Up.Delay = oneWay
			o.Down = Link{Delay: oneWay, Drop: func(n int) bool { return n >= 2 && n < 2+lost }}
			o.Client.Send = []Transfer{{Size: 100}}
			_, c := run(t, o, 10*time.Second)
			require.Less(t, c.Stats().HandshakeTime, 5*time.Second)
		})
	}
}
