package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A puppet is a client with keys and a TLS session but without a transport: the test writes each datagram.
type puppet struct {
	t        *testing.T
	pair     *Pair
	session  tlsprovider.Session
	keys     [3]tlsprovider.Keys // Initial, Handshake, 1-RTT
	dst, src wire.ConnID
	pn       [3]wire.PacketNumber
	out      [3][]byte // CRYPTO data to send
	in       [3][]byte // CRYPTO data received, from offset 0
	have     [3]recovery.RangeSet[int64]
	fed      [3]int
	seen     [3]recovery.RangeSet[wire.PacketNumber]
	done     bool // HANDSHAKE_DONE has been received
	acked    recovery.RangeSet[wire.PacketNumber]
	received [][]byte
}

// newPuppet returns a puppet that has a ClientHello for the server of a pair.
func newPuppet(t *testing.T, pair *Pair, p tlsprovider.Provider, cfg *tlsprovider.Config, dstLen, srcLen int) *puppet {
	t.Helper()
	id := func(n int) wire.ConnID {
		b := make([]byte, n)
		pair.fill(b)
		out, ok := wire.MakeConnID(b)
		require.True(t, ok)
		return out
	}
	u := &puppet{t: t, pair: pair, dst: id(dstLen), src: id(srcLen)}
	pair.Server.link.Drop = func(int) bool { return true } // u reads the datagrams when they are sent
	pair.Server.Tap = func(_ monotime.Time, b []byte) { u.received = append(u.received, append([]byte(nil), b...)) }
	params := wire.DefaultTransportParameters()
	params.InitialSrcConnID, params.HasInitialSrcConnID = u.src, true
	ep, err := p.NewClient(cfg)
	require.NoError(t, err)
	u.session, err = ep.NewSession(tlsprovider.SessionParams{
		Version: uint32(wire.Version1), ServerName: ServerName, TransportParameters: params.Append(nil),
	})
	require.NoError(t, err)
	u.keys[0], err = p.InitialKeys(uint32(wire.Version1), u.dst.Bytes(), tlsprovider.Client)
	require.NoError(t, err)
	t.Cleanup(u.close)
	u.advance(nil)
	require.NotEmpty(t, u.out[0])
	return u
}

func (u *puppet) close() {
	for _, k := range u.keys {
		k.Close()
	}
	u.session.Close()
}

// advance runs the TLS session with the given input.
func (u *puppet) advance(in []tlsprovider.CryptoData) {
	u.t.Helper()
	events, err := u.session.Advance(in)
	require.NoError(u.t, err)
	for _, ev := range events {
		s := spaceOf(ev.Level)
		switch ev.Kind {
		case tlsprovider.EventWrite:
			u.out[s] = append(u.out[s], ev.Data...)
		case tlsprovider.EventKeys:
			k, err := u.session.TakeKeys(ev.Level, uint32(wire.Version1))
			require.NoError(u.t, err)
			if k.Opener != nil {
				u.keys[s].Opener = k.Opener
			}
			if k.Sealer != nil {
				u.keys[s].Sealer = k.Sealer
			}
		}
	}
}

func spaceOf(l tlsprovider.Level) recovery.Space {
	switch l {
	case tlsprovider.LevelInitial:
		return recovery.SpaceInitial
	case tlsprovider.LevelHandshake:
		return recovery.SpaceHandshake
	}
	return recovery.SpaceApp
}

var longTypes = [2]wire.PacketType{wire.PacketInitial, wire.PacketHandshake}

// packet seals a payload as the next packet of a space with long headers.
func (u *puppet) packet(s recovery.Space, payload []byte) []byte {
	u.t.Helper()
	const pnLen = 4
	pn := u.pn[s]
	u.pn[s]++
	b := wire.AppendLongHeader(nil, longTypes[s], wire.Version1, u.dst, u.src, nil, pn, pnLen)
	headerLen := len(b)
	b = append(append(b, payload...), make([]byte, tlsprovider.TagLen)...)
	wire.PatchLength(b, headerLen, len(payload)+tlsprovider.TagLen)
	d := []tlsprovider.SealDesc{{HeaderLen: uint32(headerLen), PayloadLen: uint32(len(payload)), PacketNumber: uint64(pn)}}
	require.NoError(u.t, u.keys[s].Sealer.Seal(b, d))
	return b
}

// send delivers a datagram to the server and lets a millisecond pass.
func (u *puppet) send(datagram []byte) {
	u.t.Helper()
	u.pair.Server.validated = u.pair.Server.validated || validates(datagram, datagram)
	u.pair.Server.receive(append([]byte(nil), datagram...), u.pair.Client.Addr)
	require.NoError(u.t, u.pair.RunFor(time.Millisecond))
}

// ack returns an ACK frame for all received packets of a space.
func (u *puppet) ack(s recovery.Space) []byte {
	var ranges []wire.PNRange
	for i := range u.seen[s].NumRanges() {
		ranges = append(ranges, wire.PNRange(u.seen[s].Range(i)))
	}
	return wire.AppendAck(nil, ranges, 0, nil, 200)
}

// read opens all packets that the server has sent and passes their data to TLS.
func (u *puppet) read() {
	u.t.Helper()
	received := u.received
	u.received = nil
	for _, d := range received {
		for len(d) > 0 {
			s, off, n := recovery.SpaceApp, 1+u.src.Len(), len(d)
			if d[0]&0x80 != 0 {
				h, size := wire.ParseLongHeader(d)
				require.Positive(u.t, size)
				require.Equal(u.t, u.src, h.DstID)
				s, off, n = recovery.SpaceInitial, h.PNOffset, h.Len
				if h.Type == wire.PacketHandshake {
					s = recovery.SpaceHandshake
				} else if u.seen[0].NumRanges() == 0 {
					u.dst = h.SrcID
				}
			}
			u.open(s, d[:n], off)
			d = d[n:]
		}
	}
}

func (u *puppet) open(s recovery.Space, pkt []byte, off int) {
	u.t.Helper()
	require.NotNil(u.t, u.keys[s].Opener, "%v packet before its keys", s)
	largest := int64(-1)
	if n := u.seen[s].NumRanges(); n > 0 {
		largest = int64(u.seen[s].Range(n-1).End) - 1
	}
	desc := []tlsprovider.OpenDesc{{Len: uint32(len(pkt)), PNOffset: uint32(off)}}
	u.keys[s].Opener.Open(pkt, desc, largest)
	require.Equal(u.t, tlsprovider.OpenOK, desc[0].Status, "%v packet", s)
	pn := wire.PacketNumber(desc[0].PacketNumber)
	u.seen[s].Add(pn, pn+1)
	for b := pkt[desc[0].HeaderLen:][:desc[0].PayloadLen]; len(b) > 0; {
		f, n := wire.ParseFrame(b)
		require.Positive(u.t, n)
		b = b[n:]
		switch f := f.(type) {
		case wire.Crypto:
			u.crypto(s, f)
		case wire.Ack:
			if s == recovery.SpaceInitial {
				f.Ranges(func(r wire.PNRange) bool { u.acked.Add(r.Start, r.End); return true })
			}
		case wire.HandshakeDone:
			u.done = true
		case wire.ConnectionClose:
			require.Fail(u.t, "closed", "%+v", f)
		}
	}
}

func (u *puppet) crypto(s recovery.Space, f wire.Crypto) {
	u.t.Helper()
	end := int(f.Offset) + len(f.Data)
	if end > len(u.in[s]) {
		u.in[s] = append(u.in[s], make([]byte, end-len(u.in[s]))...)
	}
	copy(u.in[s][f.Offset:], f.Data)
	u.have[s].Add(int64(f.Offset), int64(end))
	for n := u.fed[s]; n < len(u.in[s]) && u.have[s].Contains(int64(n)); n = u.fed[s] {
		r := u.have[s].Range(0)
		u.fed[s] = int(r.End)
		u.advance([]tlsprovider.CryptoData{{Level: tlsprovider.Level(levelOf[s]), Data: u.in[s][n:r.End]}})
	}
}

var levelOf = [3]tlsprovider.Level{tlsprovider.LevelInitial, tlsprovider.LevelHandshake, tlsprovider.LevelApp}

// finish sends the client's second flight and reads the server's response.
func (u *puppet) finish() {
	u.t.Helper()
	u.read()
	require.NotEmpty(u.t, u.out[1], "the server's flight is not complete")
	flight := append(u.ack(recovery.SpaceHandshake), wire.Crypto{Data: u.out[1]}.Append(nil)...)
	u.send(u.packet(recovery.SpaceHandshake, flight))
	u.read()
}
