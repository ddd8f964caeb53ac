package core

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A step of the handshake takes one allocation. CRYPTO data is copied into a pooled buffer when it is received, and
// neither on the way to TLS nor on the way from TLS to the packets. Each set of ranges takes one allocation.
func TestHandshakeAllocations(t *testing.T) {
	flight := bytes.Repeat([]byte("flight"), 100)
	c := &Conn{cfg: &Config{}, ext: &noExtensions}
	c.tls.params = []byte{0}
	for i := range c.spaces {
		c.spaces[i] = &space{cryptoStreams: new(cryptoStreams)}
	}
	sp := c.spaces[recovery.SpaceInitial]
	require.EqualValues(t, 1+1, testing.AllocsPerRun(100, func() { // ranges, job
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
		j.freeInput()
		c.tls.busy = false
	}))
	require.EqualValues(t, 2, testing.AllocsPerRun(100, func() { // two sets of ranges
		sp.crypto = cryptoSend{}
		sp.crypto.write(flight)
		sp.crypto.pending.Add(5000, 6000)
	}))
	j := new(TLSJob)
	require.Zero(t, testing.AllocsPerRun(100, func() { // a flight in two events, from TLS until it is acknowledged
		j.out = j.outBuf[:0]
		events := []tlsprovider.Event{{Kind: tlsprovider.EventWrite, Data: flight}, {Kind: tlsprovider.EventWrite, Data: flight}}
		j.handle(events, nil)
		for i := range j.out {
			sp.crypto.write(j.out[i].data)
		}
		sp.crypto.fate(sp.crypto.base, int64(len(sp.crypto.buf)), recovery.Acked)
		if sp.crypto.buf != nil {
			t.Fatal("the flight is not acknowledged")
		}
	}))
	require.EqualValues(t, 1, testing.AllocsPerRun(100, func() { // the core's queue, which the driver gets
		c.events.addEndpoint(EndpointEvent{Kind: HandshakeComplete})
		if len(c.PollEndpointEvents()) != 1 {
			t.Fatal("the event is lost")
		}
	}))
}
