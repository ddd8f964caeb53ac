package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

var (
	postQuantum = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.P256}
	classical   = []tlsprovider.Group{tlsprovider.P256}
)

// oneWay is the delay of the interop scenarios' path in each direction.
const oneWay = 15 * time.Millisecond

// patterns is the number of subsets of ten datagrams.
const patterns = 1 << 10

// TestEveryLossPattern loses each subset of the first ten datagrams of both directions together. The
// handshake completes and data arrives whatever is lost, whichever side sends first, and whatever lengthens
// the handshake. With -short it tests a fifth of the subsets.
func TestEveryLossPattern(t *testing.T) {
	for variant := range 16 {
		groups, name := postQuantum, "post-quantum"
		if variant&1 != 0 {
			groups, name = classical, "classical"
		}
		serverFirst, helloRetry, retry := variant&2 != 0, variant&4 != 0, variant&8 != 0
		t.Run(fmt.Sprintf("%s server first %t HelloRetryRequest %t Retry %t", name, serverFirst, helloRetry, retry), func(t *testing.T) {
			for pattern := range seeds(t, patterns) {
				if testing.Short() && pattern%5 != 0 {
					continue
				}
				o := options(pattern, fake.New(fake.Options{Seed: pattern, HelloRetry: helloRetry}), groups...)
				if retry {
					o.Validation = core.ValidateAlways
				}
				lossPattern(&o, pattern, serverFirst)
				c := runPattern(t, o, pattern)
				require.Equal(t, helloRetry, c.State().HelloRetried)
				require.Equal(t, groups[0], c.State().Group)
			}
		})
	}
}

// TestEveryLossPatternRealProviders does the same with the messages of real providers. With -short it tests
// a part of the subsets.
func TestEveryLossPatternRealProviders(t *testing.T) {
	for name, p := range realProviders(t) {
		for _, groups := range [][]tlsprovider.Group{postQuantum, classical} {
			for _, serverFirst := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %v server first %t", name, groups[0], serverFirst), func(t *testing.T) {
					for pattern := range seeds(t, patterns) {
						if testing.Short() && pattern%37 != 0 {
							continue
						}
						o := options(pattern, p, groups...)
						lossPattern(&o, pattern, serverFirst)
						c := runPattern(t, o, pattern)
						require.Equal(t, groups[0], c.State().Group)
					}
				})
			}
		}
	}
}

// TestScrambledHellosUnderLoss loses each subset of the first six datagrams while clients send their ClientHellos in
// pieces, with a Retry, with a HelloRetryRequest, whose answer is in pieces too, and with neither. Without loss, they
// cost no round trip. With -short it tests a fifth of the subsets.
func TestScrambledHellosUnderLoss(t *testing.T) {
	providers := realProviders(t)
	providers["fake"] = fake.New(fake.Options{})
	for provider, p := range providers {
		for _, variant := range []string{"post-quantum", "classical", "Retry", "HelloRetryRequest"} {
			t.Run(provider+" "+variant, func(t *testing.T) {
				for pattern := range seeds(t, 1<<6) {
					if testing.Short() && pattern%5 != 0 {
						continue
					}
					o := options(pattern, p)
					switch variant {
					case "classical":
						o.ClientTLS.Groups, o.ServerTLS.Groups = classical, classical
					case "Retry":
						o.Validation = core.ValidateAlways
					case "HelloRetryRequest":
						if provider == "fake" {
							o.ClientProvider = fake.New(fake.Options{HelloRetry: true})
							o.ServerProvider = o.ClientProvider
							break
						}
						o.ServerTLS.Groups = []tlsprovider.Group{tlsprovider.SecP256r1MLKEM768}
					}
					lossPattern(&o, pattern, false)
					pair, err := NewPair(o)
					require.NoError(t, err)
					pair.ClientConfig.ScrambleHello = true
					c, err := pair.RunTransfers(120 * time.Second)
					require.NoError(t, err, "pattern %06b", pattern)
					require.Equal(t, variant == "HelloRetryRequest", c.State().HelloRetried)
					if pattern == 0 && o.Validation != core.ValidateAlways && !c.State().HelloRetried {
						require.Equal(t, 2*oneWay, c.Stats().HandshakeTime)
					}
				}
			})
		}
	}
}

func lossPattern(o *Options, pattern uint64, serverFirst bool) {
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

func runPattern(t *testing.T, o Options, pattern uint64) *Conn {
	t.Helper()
	p, err := NewPair(o)
	require.NoError(t, err)
	c, err := p.RunTransfers(120 * time.Second)
	require.NoError(t, err, "pattern %010b", pattern)
	return c
}

// Without loss the handshake takes one round trip, however large the ClientHello is.
func TestHandshakeRoundTrips(t *testing.T) {
	for _, groups := range [][]tlsprovider.Group{postQuantum, classical} {
		o := options(1, fake.New(fake.Options{}), groups...)
		o.Up.Delay, o.Down.Delay = oneWay, oneWay
		o.Client.Send = []Transfer{{Size: 10}}
		_, c := run(t, o, time.Minute)
		require.Equal(t, 2*oneWay, c.Stats().HandshakeTime)
	}
}

// Retry and HelloRetryRequest cost one round trip each and no timeout.
func TestLongerHandshakeRoundTrips(t *testing.T) {
	for variant := range 4 {
		helloRetry, retry := variant&1, variant>>1
		o := options(1, fake.New(fake.Options{HelloRetry: helloRetry == 1}), postQuantum...)
		o.Up.Delay, o.Down.Delay = oneWay, oneWay
		if retry == 1 {
			o.Validation = core.ValidateAlways
		}
		o.Client.Send = []Transfer{{Size: 10}}
		_, c := run(t, o, time.Minute)
		require.Equal(t, time.Duration(1+helloRetry+retry)*2*oneWay, c.Stats().HandshakeTime, "variant %d", variant)
	}
}

func TestHelloRetryRequest(t *testing.T) {
	for seed := range seeds(t, 200) {
		o := options(seed, fake.New(fake.Options{Seed: seed, HelloRetry: true}))
		lossy := Link{Delay: oneWay, Loss: 0.2}
		o.Up, o.Down = lossy, lossy
		o.Client.Send = []Transfer{{Size: 1000}}
		_, c := run(t, o, 120*time.Second)
		require.True(t, c.State().HelloRetried)
	}
}

// TestRetry validates the address first, without and with loss and HelloRetryRequest.
func TestRetry(t *testing.T) {
	for seed := range seeds(t, 200) {
		o := options(seed, fake.New(fake.Options{Seed: seed, HelloRetry: seed%2 == 1}))
		o.Up, o.Down = Link{Delay: oneWay, Loss: 0.2}, Link{Delay: oneWay, Loss: 0.2}
		o.Validation = core.ValidateAlways
		o.Client.Send = []Transfer{{Size: 1000}}
		p, _ := run(t, o, 120*time.Second)
		require.Positive(t, dropCount(p, core.DropRetried))
	}
}

// TestHelloRetryRequestRealProviders uses the messages of real providers, with and without Retry. The server has none
// of the groups for which the client sends shares. The second ClientHello is post-quantum and takes
// two datagrams as well, or it is classical.
func TestHelloRetryRequestRealProviders(t *testing.T) {
	for name, p := range realProviders(t) {
		for _, group := range []tlsprovider.Group{tlsprovider.SecP256r1MLKEM768, tlsprovider.P384} {
			for _, validation := range []core.Validation{core.ValidateNever, core.ValidateAlways} {
				t.Run(fmt.Sprintf("%s %v Retry %t", name, group, validation == core.ValidateAlways), func(t *testing.T) {
					for seed := range seeds(t, 50) {
						o := options(seed, p)
						o.ServerTLS.Groups = []tlsprovider.Group{group}
						o.Validation = validation
						o.Up, o.Down = Link{Delay: oneWay, Loss: 0.2}, Link{Delay: oneWay, Loss: 0.2}
						o.Client.Send = []Transfer{{Size: 1000}}
						p, c := run(t, o, 120*time.Second)
						require.True(t, c.State().HelloRetried)
						require.Equal(t, group, c.State().Group)
						require.Equal(t, validation == core.ValidateAlways, dropCount(p, core.DropRetried) > 0)
					}
				})
			}
		}
	}
}

// The limit on CRYPTO data applies to what TLS has not consumed, and not to the offset.
func TestLargeCertificateChain(t *testing.T) {
	for seed := range seeds(t, 50) {
		o := options(seed, fake.New(fake.Options{Seed: seed, ChainLen: 40 << 10}))
		o.Up, o.Down = Link{Delay: oneWay, Loss: 0.05}, Link{Delay: oneWay, Loss: 0.05}
		o.Client.Send = []Transfer{{Size: 1000}}
		run(t, o, 120*time.Second)
	}
}

// TLS jobs take no time, some time, or far longer than any timer of the transport. The rest of the
// transport continues.
func TestSlowTLS(t *testing.T) {
	for _, limit := range []time.Duration{0, 50 * time.Millisecond, 2 * time.Second, 10 * time.Second} {
		t.Run(limit.String(), func(t *testing.T) {
			for seed := range seeds(t, 200) {
				o := options(seed, fake.New(fake.Options{Seed: seed, HelloRetry: seed%3 == 0}))
				o.TLSDelay = limit
				o.Up, o.Down = Link{Delay: oneWay, Loss: 0.1}, Link{Delay: oneWay, Loss: 0.1}
				o.Client.Send = []Transfer{{Size: 5000}}
				o.Server = func() *App { return &App{Echo: true} }
				run(t, o, 120*time.Second)
			}
		})
	}
}

// TestHandshakeNeverAboveThreeTimes uses flights that need several rounds of credit, with every size of the
// last datagram that fits. Each Node checks the exact limit before it sends a datagram.
func TestHandshakeNeverAboveThreeTimes(t *testing.T) {
	closest := 0.0
	for seed := range seeds(t, 400) {
		o := options(seed, fake.New(fake.Options{Seed: seed, ChainLen: 1 + int(seed)*131}))
		o.Up, o.Down = Link{Delay: oneWay, Loss: 0.3}, Link{Delay: oneWay, Loss: 0.3}
		o.Client.Send = []Transfer{{Size: 100}}
		p, err := NewPair(o)
		require.NoError(t, err)
		p.Server.Tap = func(monotime.Time, []byte) {
			if !p.Server.validated {
				closest = max(closest, float64(p.Server.BytesOut)/float64(p.Server.BytesIn))
			}
		}
		_, err = p.RunTransfers(120 * time.Second)
		require.NoError(t, err)
	}
	if !replaying() {
		require.Greater(t, closest, 2.9, "no run came close to the limit")
	}
}

// No datagram is larger than 1200 bytes, so a path with an MTU of 1280 bytes works.
func TestHandshakeOnSmallPaths(t *testing.T) {
	o := options(1, fake.New(fake.Options{}))
	o.Up, o.Down = Link{Delay: oneWay, MTU: 1280 - 48}, Link{Delay: oneWay, MTU: 1280 - 48}
	o.Client.Send = []Transfer{{Size: 1 << 20}}
	o.Server = func() *App { return &App{Echo: true} }
	_, c := run(t, o, time.Minute)
	require.Zero(t, c.Stats().PacketsLost)
}

// A third of the datagrams have one wrong byte, possibly in the header. An unauthenticated datagram must
// not end a connection.
func TestCorruptedDatagramsCloseNothing(t *testing.T) {
	for seed := range seeds(t, 500) {
		o := options(seed, fake.New(fake.Options{Seed: seed}))
		o.Up, o.Down = Link{Delay: oneWay, Corrupt: 0.3}, Link{Delay: oneWay, Corrupt: 0.3}
		o.Client.Send = []Transfer{{Size: 2000}}
		o.Server = func() *App { return &App{Echo: true} }
		run(t, o, 120*time.Second)
	}
}
