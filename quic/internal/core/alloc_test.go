package core

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A step of the handshake takes one allocation. CRYPTO data is copied when it is received, and neither on
// the way to TLS nor on the way from TLS to the packets. Each set of ranges takes one allocation.
func TestHandshakeAllocations(t *testing.T) {
	flight := bytes.Repeat([]byte("flight"), 100)
	c := &Conn{cfg: &Config{}, ext: &noExtensions}
	c.tls.params = []byte{0}
	for i := range c.spaces {
		c.spaces[i] = &space{cryptoStreams: new(cryptoStreams)}
	}
	sp := c.spaces[recovery.SpaceInitial]
	require.EqualValues(t, 1+1+1, testing.AllocsPerRun(100, func() { // data, ranges, job
		sp.in = cryptoRecv{limit: maxInitialCrypto}
		if !sp.in.receive(wire.Crypto{Data: flight}) {
			t.Fatal("CRYPTO data was refused")
		}
		j := c.PollTLS()
		if len(j.in) != 1 || len(j.in[0].Data) != len(flight) {
			t.Fatal("the job has other data")
		}
		for range 6 {
			j.out = append(j.out, tlsOutput{})
		}
		c.tls.busy = false
	}))
	require.EqualValues(t, 2, testing.AllocsPerRun(100, func() { // two sets of ranges
		sp.crypto = cryptoSend{}
		sp.crypto.write(flight)
		sp.crypto.pending.Add(5000, 6000)
	}))
	require.EqualValues(t, 1, testing.AllocsPerRun(100, func() { // the core's queue, which the driver gets
		c.events.addEndpoint(EndpointEvent{Kind: HandshakeComplete})
		if len(c.PollEndpointEvents()) != 1 {
			t.Fatal("the event is lost")
		}
	}))
}
