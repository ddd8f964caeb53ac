package core

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// withFixedBit returns options with which each side accepts any value of the fixed bit, or does not.
func withFixedBit(o rigOptions, atClient, atServer bool) rigOptions {
	clientConfig, serverConfig, endpoint := o.client, o.server, o.endpoint
	o.client = func(c *Config) {
		if c.GreaseFixedBit = atClient; clientConfig != nil {
			clientConfig(c)
		}
	}
	o.server = func(c *Config) {
		if c.GreaseFixedBit = atServer; serverConfig != nil {
			serverConfig(c)
		}
	}
	o.endpoint = func(c *EndpointConfig) {
		if c.GreaseFixedBit = atServer; endpoint != nil {
			endpoint(c)
		}
	}
	return o
}

// malformed returns how many packets a connection has dropped because of their header.
func malformed(c *Conn) uint64 {
	return c.Stats().Drops[DropMalformed] + c.Stats().Drops[DropUnexpectedPacket]
}

// A bitCount counts packets by their fixed bit.
type bitCount [2]int

func (n *bitCount) add(first byte) { n[first>>6&1]++ }

// A bitWatch counts the packets of each side and type.
type bitWatch [2]map[wire.PacketType]*bitCount

func watchBits(r *rig) *bitWatch {
	w := new(bitWatch)
	for side := range w {
		w[side] = make(map[wire.PacketType]*bitCount)
	}
	r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
		for len(d) > 0 {
			size, typ := len(d), wire.Packet1RTT
			if d[0]&0x80 != 0 {
				h, n := wire.ParseGreasedLongHeader(d)
				if n < 0 {
					return true // a Retry
				}
				size, typ = h.Len, h.Type
			}
			if w[from][typ] == nil {
				w[from][typ] = new(bitCount)
			}
			w[from][typ].add(d[0])
			d = d[size:]
		}
		return true
	}
	return w
}

// Both sides send a random fixed bit if both have announced that they accept it, as soon as they know. In all other cases
// the bit is 1.
//
// "Endpoints that receive the grease_quic_bit transport parameter from a peer SHOULD set the QUIC Bit to an unpredictable
// value unless another extension assigns specific meaning to the value of the bit."
// https://www.rfc-editor.org/rfc/rfc9287#section-3.1-1
// "A server MUST set the QUIC Bit to 0 only after processing transport parameters from a client."
// https://www.rfc-editor.org/rfc/rfc9287#section-3.1-5
// "An endpoint MUST NOT set the QUIC Bit to 0 without knowing whether the peer supports the extension."
// https://www.rfc-editor.org/rfc/rfc9287#section-3.1-6
func TestFixedBitIsRandom(t *testing.T) {
	for _, tt := range []struct{ client, server bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		r := newRig(t, withFixedBit(rigOptions{}, tt.client, tt.server))
		w := watchBits(r)
		r.pump()
		require.True(t, r.client.tls.confirmed)
		r.upload(200_000)
		r.serverWrites(200_000)
		r.wait(time.Second)
		require.NoError(t, errOf(r.client))
		require.NoError(t, errOf(r.server))
		for side, types := range w {
			for typ, n := range types {
				if typ == wire.Packet1RTT && tt.client && tt.server {
					require.Greater(t, min(n[0], n[1])*3, max(n[0], n[1]), "%v %v: %v", side, typ, n)
				}
				if !tt.client || !tt.server {
					require.Zero(t, n[0], "%v %v", side, typ)
				}
			}
			require.Positive(t, types[wire.Packet1RTT][1])
		}
		require.Equal(t, bitCount{0, w[client][wire.PacketInitial][1]}, *w[client][wire.PacketInitial], "the client does not know yet")
		require.Zero(t, malformed(r.client)+malformed(r.server))
	}
}

// Packets whose fixed bit is 0 are dropped, except by a side that has announced that it accepts them.
//
// "An endpoint that advertises the grease_quic_bit transport parameter MUST accept packets with the QUIC Bit set to a
// value of 0."
// https://www.rfc-editor.org/rfc/rfc9287#section-3-2
// "Packets containing a zero value for this bit are not valid packets in this version and MUST be discarded."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2-3.4.1
func TestFixedBitOfZero(t *testing.T) {
	clear := func(header []byte) { header[0] &^= wire.FixedBit }
	for _, accepts := range []bool{false, true} {
		for _, side := range []tlsprovider.Side{client, server} {
			r := connected(t, withFixedBit(rigOptions{}, accepts && side == client, accepts && side == server))
			c, _ := r.side(side)
			before := c.Stats().PacketsReceived
			r.give(side, r.packet(side, recovery.SpaceApp, wire.Ping{}.Append(nil), clear))
			require.Equal(t, accepts, c.Stats().PacketsReceived == before+1)
			require.Equal(t, accepts, malformed(c) == 0)
			require.NoError(t, errOf(c))
		}
		// Long headers: a client's first packet, and later Initial packets in both directions.
		r := newRig(t, withFixedBit(rigOptions{}, accepts, accepts))
		got := r.receiveFrom(clientAddr, r.editedFirstFlight(testID("12345678"), nil, partOfHello, clear))
		require.Equal(t, !accepts, got.Drop == DropMalformed, "%v", got.Drop)
		r.onDatagram = func(from tlsprovider.Side, _ []byte) bool { return from == client }
		r.pump()
		require.NotNil(t, r.server)
		for _, side := range []tlsprovider.Side{server, client} {
			c, _ := r.side(side)
			before := c.Stats().PacketsReceived
			d := r.packet(side, recovery.SpaceInitial, append(wire.Ping{}.Append(nil), make([]byte, MinInitialSize)...), clear)
			r.give(side, d)
			require.Equal(t, accepts, c.Stats().PacketsReceived == before+1, "%v", side)
			require.Equal(t, accepts, malformed(c) == 0)
			require.NoError(t, errOf(c))
		}
	}
}

// A server can clear the bit in a Retry packet as well.
//
// "Endpoints can set the QUIC Bit to 0 on all packets that are sent after receiving and processing transport parameters.
// This could include Initial, Handshake, and Retry packets."
// https://www.rfc-editor.org/rfc/rfc9287#section-3.1-2
func TestRetryWithFixedBitOfZero(t *testing.T) {
	for _, accepts := range []bool{false, true} {
		r := newRig(t, withFixedBit(rigOptions{}, accepts, false))
		b := wire.AppendRetry(nil, wire.Version1, r.client.ids.src(), testID("otherone"), []byte("token"))
		b[0] &^= wire.FixedBit
		tag, err := r.serverConfig.Provider.RetryTag(uint32(wire.Version1), r.client.ids.originalDst.Bytes(), b)
		require.NoError(t, err)
		r.deliver(server, append(b, tag[:]...))
		require.Equal(t, accepts, r.client.Retried())
	}
}

// A client clears the bit before it knows the server's transport parameters only if its Initial packets have a token of
// a connection in which the server has announced that it accepts the bit. It stops when a Retry replaces the token, and
// when the server no longer announces it.
//
// "However, a client MUST NOT set the QUIC Bit to 0 unless the Initial packets it sends include a token provided by the
// server in a NEW_TOKEN frame [...], received less than 604800 seconds (7 days) prior on a connection where the server also
// included the grease_quic_bit transport parameter."
// https://www.rfc-editor.org/rfc/rfc9287#section-3.1-3
func TestFixedBitBeforeTransportParameters(t *testing.T) {
	for _, tt := range []struct {
		name                           string
		own, token, greases, announces bool
		validation                     Validation
		early, late                    bool // whether packets before and after the transport parameters have a bit of 0
	}{
		{"remembered", true, true, true, true, ValidateUnderLoad, true, true},
		{"not remembered", true, true, false, true, ValidateUnderLoad, false, true},
		{"no token", true, false, true, true, ValidateUnderLoad, false, true},
		{"switched off", false, true, true, true, ValidateUnderLoad, false, false},
		{"Retry", true, true, true, true, ValidateAlways, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			early, late := new(bitCount), new(bitCount)
			for seed := range uint64(12) { // a client sends few Initial packets
				o := withFixedBit(rigOptions{validation: tt.validation}, tt.own, tt.announces)
				more := o.client
				o.client = func(c *Config) {
					if more(c); tt.token {
						c.Token = []byte("a token that the server does not know")
					}
					c.TokenGreases = tt.greases
				}
				r := newRig(t, o)
				r.random += seed << 20
				if r.client.ext.fixedBit != nil {
					*r.client.ext.fixedBit = newNoise(r.fill)
				}
				r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
					if h, n := wire.ParseGreasedLongHeader(d); from == client && n > 0 && h.Type == wire.PacketInitial {
						fromRetry := len(h.Token) > 0 && !bytes.Equal(h.Token, r.client.cfg.Token)
						if !r.client.tls.gotParams && fromRetry == (tt.validation == ValidateAlways) {
							early.add(d[0])
						}
					} else if from == client && n < 0 {
						late.add(d[0])
					}
					return true
				}
				r.pump()
				require.True(t, r.client.tls.confirmed)
				require.NoError(t, errOf(r.client))
				r.upload(20_000)
			}
			require.Positive(t, early[1])
			require.Equal(t, tt.early, early[0] > 0, "%v", early)
			require.Equal(t, tt.late, late[0] > 0, "%v", late)
		})
	}
	r := newRig(t, withFixedBit(rigOptions{client: func(c *Config) { c.Token, c.TokenGreases = []byte("token"), true }}, true, false))
	require.NotNil(t, r.client.ext.fixedBit)
	r.client.setPeerFixedBit(&wire.TransportParameters{})
	require.Nil(t, r.client.ext.fixedBit, "the server's configuration has changed")
}
