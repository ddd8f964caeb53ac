package core

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// The addresses of clients in tests of migration: the first one with another port, and others.
var (
	otherPort  = netip.MustParseAddrPort("192.0.2.1:2222")
	otherAddr  = netip.MustParseAddrPort("198.51.100.7:1111")
	thirdAddr  = netip.MustParseAddrPort("198.51.100.8:1111")
	fullOrMore = MinInitialSize
)

// sentOn is a datagram that a connection has sent.
type sentOn struct {
	to     netip.AddrPort
	dst    wire.ConnID
	size   int
	frames []wire.Frame
}

// sayFrom sends frames to the server as its client, from an address, and returns what the server sends.
func (r *rig) sayFrom(from netip.AddrPort, frames ...wire.Frame) []sentOn {
	r.t.Helper()
	var b []byte
	for _, f := range frames {
		b = f.Append(b)
	}
	return r.giveFrom(from, r.packet(tlsprovider.Server, recovery.SpaceApp, b, nil))
}

// sayFull is like sayFrom with a datagram of MinInitialSize.
func (r *rig) sayFull(from netip.AddrPort, frames ...wire.Frame) []sentOn {
	r.t.Helper()
	return r.giveFrom(from, r.padded(frames, nil))
}

// padded returns a packet of MinInitialSize for the server.
func (r *rig) padded(frames []wire.Frame, edit func([]byte)) []byte {
	r.t.Helper()
	var b []byte
	for _, f := range frames {
		b = f.Append(b)
	}
	padding := MinInitialSize - len(b) - 1 - ConnIDLen - 4 - tlsprovider.TagLen
	return r.packet(tlsprovider.Server, recovery.SpaceApp, append(b, make([]byte, padding)...), edit)
}

// giveFrom passes a datagram from an address to the server and returns what the server sends.
func (r *rig) giveFrom(from netip.AddrPort, datagram []byte) []sentOn {
	r.t.Helper()
	r.server.HandleTrain(r.now, Train{Path: Path{Remote: from}, Data: datagram, SegmentSize: len(datagram)})
	require.NoError(r.t, r.server.CheckInvariants())
	return r.serverSends()
}

// serverSends returns what the server sends now.
func (r *rig) serverSends() (out []sentOn) {
	r.t.Helper()
	for {
		expected := r.server.HasTransmit(r.now)
		tx, ok := r.server.PollTransmit(r.now, r.buf)
		if !ok {
			break
		}
		require.True(r.t, expected, "HasTransmit")
		require.NoError(r.t, r.server.CheckInvariants())
		t := Train{Data: bytes.Clone(tx.Data), SegmentSize: tx.SegmentSize}
		for d := t.Next(); len(d) > 0; d = t.Next() {
			id, _ := wire.MakeConnID(d[1 : 1+ConnIDLen])
			out = append(out, sentOn{tx.Path.Remote, id, len(d), r.read(r.client, d)})
		}
	}
	r.events(r.server, tlsprovider.Server)
	return out
}

// expireServer advances to the server's next timeout and returns what the server sends then.
func (r *rig) expireServer() []sentOn {
	r.t.Helper()
	r.now = max(r.now, r.server.NextTimeout())
	r.server.HandleTimeout(r.now)
	require.NoError(r.t, r.server.CheckInvariants())
	return r.serverSends()
}

// challengeOn returns the PATH_CHALLENGE frame that was sent to an address, and its datagram.
func challengeOn(t *testing.T, to netip.AddrPort, sent []sentOn) (wire.PathChallenge, sentOn) {
	t.Helper()
	for _, d := range sent {
		for _, f := range d.frames {
			if ch, ok := f.(wire.PathChallenge); ok && d.to == to {
				return ch, d
			}
		}
	}
	require.Fail(t, "no PATH_CHALLENGE", "to %v: %v", to, sent)
	return wire.PathChallenge{}, sentOn{}
}

// bytesTo returns the number of bytes that were sent to an address.
func bytesTo(to netip.AddrPort, sent []sentOn) (n int) {
	for _, d := range sent {
		if d.to == to {
			n += d.size
		}
	}
	return n
}

// serverWrites has the server's application write n bytes on a new stream.
func (r *rig) serverWrites(n int) {
	r.t.Helper()
	id, err := r.server.OpenStream(r.now, true)
	require.NoError(r.t, err)
	_, err = r.server.Write(r.now, id, make([]byte, n))
	require.NoError(r.t, err)
}

// unusedID returns an edit of a packet that sends it to a connection ID that the server has issued and that was not
// used yet.
func (r *rig) unusedID() func(header []byte) {
	r.t.Helper()
	for _, l := range r.server.ids.local {
		if !l.used {
			return func(h []byte) { copy(h[1:], l.id.Bytes()) }
		}
	}
	require.Fail(r.t, "every connection ID was used")
	return nil
}

// ackFrame returns an ACK frame for one packet.
func ackFrame(pn wire.PacketNumber) []byte {
	return append(varint.Append([]byte{byte(wire.FrameAck)}, uint64(pn)), 0, 0, 0)
}
