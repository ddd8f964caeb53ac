package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

func allowProbes(c *Config) { c.MaxProbeSize = MaxDatagramSize }

// grown returns a rig whose client has found a path that carries everything.
func grown(t *testing.T) *rig {
	r := connected(t, rigOptions{client: allowProbes, server: allowProbes})
	r.upload(200_000)
	require.Equal(t, MaxDatagramSize, r.client.Stats().DatagramSize)
	return r
}

// upload sends n bytes from the client to the server.
func (r *rig) upload(n int) {
	r.t.Helper()
	id, err := r.client.OpenStream(r.now, true)
	require.NoError(r.t, err)
	buf := make([]byte, 16<<10)
	for sent, got := 0, 0; got < n; {
		require.NoError(r.t, errOf(r.client))
		m, _ := r.client.Write(r.now, id, buf[:min(len(buf), n-sent)])
		sent += m
		r.pump()
		for {
			k, err := r.server.Read(r.now, id, make([]byte, 16<<10))
			if got += k; err != nil {
				break
			}
		}
		r.wait(100 * time.Millisecond)
	}
	require.NoError(r.t, r.client.CloseWrite(r.now, id))
	r.pump()
}

// The size does not exceed the peer's max_udp_payload_size.
func TestPeerLimitsProbes(t *testing.T) {
	r := connected(t, rigOptions{client: allowProbes})
	r.client.enableMTUSearch(r.client.loss.Path(), r.client.path.Remote.Addr(), 1300)
	r.upload(200_000)
	require.Equal(t, 1300, r.client.Stats().DatagramSize)
	require.Equal(t, MinInitialSize, r.server.Stats().DatagramSize)
}

// A probe needs a buffer that is large enough. Without one, the connection sends what it sends otherwise.
func TestProbeNeedsRoom(t *testing.T) {
	r := connected(t, rigOptions{client: allowProbes})
	r.buf = make([]byte, 1500)
	r.upload(200_000)
	require.Equal(t, usualPayload, r.client.Stats().DatagramSize)
	require.Less(t, r.client.Stats().PacketsSent, uint64(250))
}

// The packet of CONNECTION_CLOSE has the size that every path carries.
func TestCloseHasBaseSize(t *testing.T) {
	r := grown(t)
	reason := make([]byte, 5000)
	r.client.Close(r.now, true, 1, string(reason))
	tx, ok := r.client.PollTransmit(r.now, r.buf)
	require.True(t, ok)
	require.LessOrEqual(t, len(tx.Data), MinInitialSize)
}

// An ICMP message counts if it quotes a 1-RTT packet of the connection.
//
// "ICMP message validation MUST include matching IP addresses and UDP ports [RFC8085] and, when possible, connection
// IDs to an active QUIC session."
// https://www.rfc-editor.org/rfc/rfc9000#section-14.2.1-4
func TestPacketTooBigIsValidated(t *testing.T) {
	header := func(r *rig, id wire.ConnID) []byte { return append(id.AppendTo([]byte{0x40}), "the rest"...) }
	for _, tt := range []struct {
		name   string
		quoted func(r *rig) []byte
		valid  bool
	}{
		{"genuine", func(r *rig) []byte { return header(r, r.client.ids.dst()) }, true},
		{"no more than the connection ID", func(r *rig) []byte { return header(r, r.client.ids.dst())[:1+ConnIDLen] }, true},
		{"empty", func(r *rig) []byte { return nil }, false},
		{"shorter than the connection ID", func(r *rig) []byte { return header(r, r.client.ids.dst())[:ConnIDLen] }, false},
		{"our own connection ID", func(r *rig) []byte { return header(r, r.client.ids.src()) }, false},
		{"a long header", func(r *rig) []byte {
			return wire.AppendLongHeader(nil, wire.PacketHandshake, wire.Version1, r.client.ids.dst(), r.client.ids.src(), nil, 0, 1)
		}, false},
		{"no fixed bit", func(r *rig) []byte { b := header(r, r.client.ids.dst()); b[0] = 0; return b }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := grown(t)
			r.client.HandlePacketTooBig(r.now, 1400, tt.quoted(r))
			require.Equal(t, tt.valid, r.client.Stats().DatagramSize == MinInitialSize)
			require.NoError(t, r.client.CheckInvariants())
			r.upload(100_000)
		})
	}
}

// What the system reports after the end of a connection has no effect.
func TestTooLargeAfterClose(t *testing.T) {
	r := grown(t)
	quoted := r.client.ids.dst().AppendTo([]byte{0x40})
	r.client.Close(r.now, true, 1, "")
	r.pump()
	for _, c := range []*Conn{r.client, r.server} {
		before := c.Stats()
		require.False(t, c.HandleTooLarge(r.now, MaxDatagramSize))
		c.HandlePacketTooBig(r.now, 1400, quoted)
		require.Equal(t, before, c.Stats())
		_, ok := c.PollTransmit(r.now, r.buf)
		require.False(t, ok)
	}
}
