package core

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// inSpace returns a rig whose sides both have the keys of a space and have not discarded them.
func inSpace(t *testing.T, s recovery.Space) *rig {
	t.Helper()
	if s == recovery.SpaceApp {
		return connected(t, rigOptions{})
	}
	r := newRig(t, rigOptions{})
	answered := false
	r.onDatagram = func(from tlsprovider.Side, _ []byte) bool {
		answered = answered || from == server
		// The first answer does not arrive if the client is to keep its Initial keys. Otherwise, the client gets the
		// Handshake keys, but nothing of what it answers arrives.
		return from == client && !answered || from == server && s == recovery.SpaceHandshake
	}
	r.pump()
	require.NotNil(t, r.server)
	for _, c := range []*Conn{r.client, r.server} {
		require.NoError(t, errOf(c))
		require.NotNil(t, c.spaces[s].seal)
		require.NotNil(t, c.spaces[s].open)
	}
	return r
}

// fuzzPacket sends a side a packet of a space that is protected correctly and has any bytes in place of frames.
//
// The reference for the outcome are the frames one by one. If one is malformed, unknown or not permitted in the packet,
// the connection must be closed. Otherwise it may also be closed because of what the frames say. If it is open, the
// packet was processed as a whole, so it will be acknowledged if one of its frames asks for that.
func fuzzPacket(t *testing.T, to tlsprovider.Side, s recovery.Space, frames []byte) {
	r := inSpace(t, s)
	for len(frames) < 4 {
		frames = append(frames, 0)
	}
	if to == server && s == recovery.SpaceInitial && len(frames) < MinInitialSize {
		frames = append(frames, make([]byte, MinInitialSize-len(frames))...)
	}
	malformed, eliciting, closes := readFrames(frames, packetTypeOf[s])
	c, _ := r.side(to)
	received := c.Stats().PacketsReceived
	d := r.packet(to, s, bytes.Clone(frames), nil)
	pn := r.pn[s] - 1
	c.HandleTrain(r.now, Train{Path: c.path, Data: d, SegmentSize: len(d)})
	require.NoError(t, c.CheckInvariants())
	require.Equal(t, received+1, c.Stats().PacketsReceived, "the packet was not opened")
	switch err := c.Err(); {
	case err != nil:
		require.True(t, err.Remote == closes || !err.Remote, "%v", err)
	case malformed:
		require.NotNil(t, c.closing.deferred, "frames that are not valid were accepted")
	case eliciting:
		require.Equal(t, pn, c.spaces[s].acks.Largest())
		require.True(t, c.spaces[s].acks.HasUnacked())
	}
	if s == recovery.SpaceApp {
		r.heard(c, r.other(to)) // in the other spaces, the fake TLS may have been given half a message
		require.LessOrEqual(t, len(c.ids.retiring), maxRetiring+1)
		require.LessOrEqual(t, len(c.ids.remote), activeConnIDLimit+1)
	}
	require.NoError(t, c.CheckInvariants())
}

// other returns the connection opposite to a side.
func (r *rig) other(s tlsprovider.Side) *Conn {
	_, c := r.side(s)
	return c
}

// readFrames reports whether a payload has a frame that packets of a type must not have, and, up to that frame, whether
// there is a frame that asks for an acknowledgement and one that closes the connection.
func readFrames(b []byte, p wire.PacketType) (malformed, eliciting, closes bool) {
	for len(b) > 0 {
		typ, _ := wire.ConsumeFrameType(b)
		_, n := wire.ParseFrame(b)
		if n < 0 || !wire.FrameAllowed(typ, p) {
			return true, eliciting, closes
		}
		eliciting = eliciting || wire.AckEliciting(typ)
		closes = closes || typ == wire.FrameConnectionClose || typ == wire.FrameConnectionCloseApp
		b = b[n:]
	}
	return false, eliciting, closes
}

// addFrames adds seeds for each side: every frame, alone and twice.
func addFrames(f *testing.F) {
	for _, frame := range []wire.Frame{
		wire.Ping{}, wire.Stream{ID: 0, Data: []byte("data"), Fin: true}, wire.ResetStream{ID: 0, Code: 1, FinalSize: 4},
		wire.StopSending{ID: 0}, wire.MaxData{Max: 1 << 30}, wire.MaxStreams{Max: 100}, wire.Crypto{Data: []byte{4, 0, 0, 1, 0}},
		wire.NewConnectionID{Seq: 4, RetirePriorTo: 4, ConnID: testID("12345678")},
		wire.RetireConnectionID{Seq: 1}, wire.PathChallenge{}, wire.ConnectionClose{Code: 1}, wire.HandshakeDone{},
		wire.Crypto{Offset: 5000, Data: []byte{1}}, wire.NewToken{Token: []byte("token")}, wire.Datagram{Data: []byte("data")},
	} {
		f.Add(uint8(0), frame.Append(nil))
		f.Add(uint8(1), append(frame.Append(nil), frame.Append(nil)...))
	}
	f.Add(uint8(0), []byte{0x02, 0, 0, 0, 0})
	f.Add(uint8(1), []byte{0x03, 0, 0, 0, 0, 1, 0, 0})
	f.Add(uint8(0), []byte{0x01, 0x40, 0x52})
}

// FuzzFrames sends any frames in 1-RTT packets. The connection stays consistent and bounded, or closes.
func FuzzFrames(f *testing.F) { fuzzSpace(f, recovery.SpaceApp) }

// FuzzInitialFrames sends any frames in Initial packets.
func FuzzInitialFrames(f *testing.F) { fuzzSpace(f, recovery.SpaceInitial) }

// FuzzHandshakeFrames sends any frames in Handshake packets.
func FuzzHandshakeFrames(f *testing.F) { fuzzSpace(f, recovery.SpaceHandshake) }

func fuzzSpace(f *testing.F, s recovery.Space) {
	addFrames(f)
	f.Fuzz(func(t *testing.T, to uint8, frames []byte) {
		if len(frames) <= 1000 {
			fuzzPacket(t, tlsprovider.Side(to&1), s, frames)
		}
	})
}

// FuzzCryptoReassembly compares the buffer for CRYPTO data with a set of offsets. Each step is three bytes: two of an
// offset and one of a length, whose highest bit lets TLS take the data.
func FuzzCryptoReassembly(f *testing.F) {
	f.Add([]byte{0, 0, 5, 0, 5, 0x85})
	f.Add([]byte{0, 5, 5, 0, 0, 5, 0, 3, 0x89, 0, 9, 0x82})
	f.Add([]byte{0, 1, 1, 0, 3, 1, 0, 5, 1, 0, 0, 0x8f, 1, 0xf0, 127})
	f.Add([]byte{0x0f, 0xff, 0x7f, 0x10, 0, 1})
	var gaps []byte
	for i := range 130 {
		gaps = append(gaps, byte(i>>6), byte(i<<2), 1)
	}
	f.Add(gaps)
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 4096
		r := cryptoRecv{limit: limit}
		have := make(map[int]bool) // offsets that arrived and that TLS has not taken
		base := 0
		for ; len(b) >= 3; b = b[3:] {
			offset, n := int(b[0])<<8|int(b[1]), int(b[2]&0x7f)
			data := make([]byte, n)
			for i := range data {
				data[i] = cryptoByte(offset + i)
			}
			fits := offset+n <= base || offset+n-base <= limit
			for i := max(base, offset); fits && i < offset+n; i++ {
				have[i] = true
			}
			runs := 0
			for i := range have {
				if !have[i-1] {
					runs++
				}
			}
			ok := r.receive(wire.Crypto{Offset: uint64(offset), Data: data})
			require.Equal(t, fits && (offset+n <= base || runs <= maxCryptoGaps), ok)
			require.LessOrEqual(t, r.buffered(), limit)
			if !ok {
				return // the connection closes
			}
			if b[2]&0x80 == 0 {
				continue
			}
			for _, got := range r.take() {
				require.True(t, have[base])
				require.Equal(t, cryptoByte(base), got, "offset %d", base)
				delete(have, base)
				base++
			}
			require.False(t, have[base], "TLS has not got everything that it can")
		}
	})
}

// cryptoByte returns the byte at an offset of the CRYPTO stream.
func cryptoByte(offset int) byte { return byte(offset*7 + offset>>8*13) }

// FuzzTokens changes a token, its sender or the time. It is valid if nothing was changed, it is not too old, and it was
// not used before; the reference is this sentence.
func FuzzTokens(f *testing.F) {
	f.Add(false, uint16(0), uint8(0), uint16(0), uint8(0))
	f.Add(true, uint16(3), uint8(1), uint16(0), uint8(0))
	f.Add(true, uint16(0), uint8('R'^'N'), uint16(0), uint8(0))
	f.Add(false, uint16(0), uint8(0), uint16(59), uint8(1))
	f.Add(true, uint16(0), uint8(0), uint16(61), uint8(2))
	f.Add(false, uint16(20), uint8(0x80), uint16(9), uint8(3))
	f.Fuzz(func(t *testing.T, retry bool, at uint16, flip uint8, age uint16, from uint8) {
		const lifetime = time.Minute
		o := withTokens(func(c *EndpointConfig) { c.TokenLifetime, c.RetryLifetime = lifetime, lifetime })
		r := connected(t, o)
		in := &Incoming{Path: Path{Remote: clientAddr}, Version: wire.Version1, OriginalDstID: testID("original"), DstID: testID("retry-id")}
		token, err := r.server.sealNewToken()
		if retry {
			r.endpoint.now = r.now
			token, err = r.endpoint.sealRetryToken(in, in.DstID)
		}
		require.NoError(t, err)
		changed := flip != 0 && int(at) < 2*len(token)
		if changed {
			token[int(at)%len(token)] ^= flip
		}
		in.Path.Remote = []netip.AddrPort{clientAddr, otherPort, otherAddr, serverAddr}[from&3]
		sameSender := from&3 == 0 || !retry && from&3 == 1
		r.endpoint.now = r.now.Add(time.Duration(age) * time.Second)
		valid := !changed && sameSender && time.Duration(age)*time.Second <= lifetime
		before := *in
		accept := func(*Incoming, []byte) bool { return false }
		switch tokenMark(token[0]) { // as the Endpoint does
		case retryToken:
			accept = r.endpoint.openRetryToken
		case newToken:
			accept = r.endpoint.acceptNewToken
		}
		require.Equal(t, valid, accept(in, token))
		require.Equal(t, valid, in.Validated)
		if retry && valid {
			require.Equal(t, before.OriginalDstID, in.OriginalDstID)
			require.Equal(t, before.DstID, in.RetrySrcID)
		}
		if !retry {
			require.False(t, accept(in, token), "a second time")
		}
	})
}
