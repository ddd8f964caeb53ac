package core

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Both sides count the flights of a handshake alike, whatever the number of packets, and the bytes that one side
// sends are those that the other receives.
func TestHandshakeFlights(t *testing.T) {
	t.Run("three", func(t *testing.T) {
		r := connected(t, rigOptions{})
		for _, c := range []*Conn{r.client, r.server} {
			require.Equal(t, uint64(3), c.Stats().HandshakeFlights)
		}
		client, server := r.client.Stats(), r.server.Stats()
		require.Positive(t, client.HandshakeBytesSent)
		require.Equal(t, client.HandshakeBytesSent, server.HandshakeBytesReceived)
		require.Equal(t, server.HandshakeBytesSent, client.HandshakeBytesReceived)
	})
	t.Run("Retry", func(t *testing.T) {
		r := newRig(t, rigOptions{})
		r.validation = ValidateAlways
		r.pump()
		require.True(t, r.client.Retried())
		for _, c := range []*Conn{r.client, r.server} {
			require.Equal(t, uint64(5), c.Stats().HandshakeFlights)
		}
	})
	t.Run("loss", func(t *testing.T) { // the first flight is repeated, which makes no flight of its own
		r := newRig(t, rigOptions{})
		dropped := 0
		r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
			if from == tlsprovider.Client && dropped == 0 && wire.LongPacketType(d[0], wire.Version1) == wire.PacketInitial && len(bytes.Trim(d, "\x00")) > 0 {
				dropped++
				return false
			}
			return true
		}
		r.pump()
		for !r.client.tls.confirmed {
			r.wait(r.client.NextTimeout().Sub(r.now))
			r.pump()
		}
		require.Equal(t, 1, dropped)
		require.Equal(t, uint64(3), r.client.Stats().HandshakeFlights)
	})
}
