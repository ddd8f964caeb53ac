//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// datagramConfigs returns configurations of both sides, which accept datagrams.
func datagramConfigs() (server, client *Config) {
	server, client = serverConfig(), clientConfig()
	server.MaxDatagramFrameSize, client.MaxDatagramFrameSize = 65535, 65535
	return server, client
}

func TestDatagrams(t *testing.T) {
	sc, cc := datagramConfigs()
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		client, server := w.connect()
		for _, c := range []*Conn{client, server} {
			require.True(t, c.ConnectionState().SendsDatagrams)
			require.True(t, c.ConnectionState().ReceivesDatagrams)
		}
		largest := client.MaxDatagramSize()
		require.Greater(t, largest, 1100)
		want := bytes.Repeat([]byte{7}, largest)
		require.NoError(t, client.SendDatagram(want))
		got, err := server.ReceiveDatagram(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, got)

		received := start(func() error {
			b, err := client.ReceiveDatagram(t.Context())
			if err == nil && len(b) > 0 {
				err = errors.New("not empty")
			}
			return err
		})
		require.NoError(t, server.SendDatagram(nil))
		require.NoError(t, <-received)

		err = client.SendDatagram(make([]byte, largest+1))
		var tooLarge *DatagramTooLargeError
		require.ErrorAs(t, err, &tooLarge)
		require.Equal(t, largest, tooLarge.Max)
		require.EqualError(t, err, "quic: the datagram has 1171 bytes; the largest that can be sent now has 1170")
		require.EqualValues(t, 1, client.Stats().Datagrams.Sent)

		// Close delivers what waits to be sent.
		require.NoError(t, client.SendDatagram([]byte("last")))
		require.NoError(t, client.Close())
		got, err = server.ReceiveDatagram(t.Context())
		require.NoError(t, err)
		require.Equal(t, "last", string(got))
		_, err = server.ReceiveDatagram(t.Context())
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, client.SendDatagram(nil), net.ErrClosed)
		require.Zero(t, client.MaxDatagramSize())
	})
}

func TestDatagramsNotAccepted(t *testing.T) {
	cc := clientConfig()
	cc.MaxDatagramFrameSize = 65535
	inBubble(t, nil, cc, func(t *testing.T, w *world) {
		client, server := w.connect()
		require.ErrorIs(t, client.SendDatagram(nil), ErrDatagramsUnsupported)
		require.ErrorIs(t, client.SendDatagramWait(t.Context(), nil), ErrDatagramsUnsupported)
		require.False(t, client.ConnectionState().SendsDatagrams)
		require.NoError(t, server.SendDatagram([]byte("one way")))
		_, err := client.ReceiveDatagram(t.Context())
		require.NoError(t, err)
	})
}

// SendDatagram reports a full queue, and SendDatagramWait waits for room.
func TestDatagramQueueFull(t *testing.T) {
	sc, cc := datagramConfigs()
	cc.DatagramSendQueue, sc.DatagramReceiveQueue = 5, 5000
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		client, server := w.connect()
		b := make([]byte, 1000)
		n := 0
		// Without acknowledgements the congestion window and the queue stay full.
		w.net.SetDrop(func(from, _ netip.AddrPort, _ []byte) bool { return from.String() == serverAddr })
		for client.SendDatagram(b) == nil {
			n++
			require.Less(t, n, 1000)
			synctest.Wait()
		}
		require.ErrorIs(t, client.SendDatagram(b), ErrDatagramQueueFull)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		err := client.SendDatagramWait(ended, b)
		require.ErrorIs(t, err, ErrDatagramQueueFull)
		require.ErrorIs(t, err, context.Canceled)
		w.net.SetDrop(nil)
		for range 100 {
			require.NoError(t, client.SendDatagramWait(t.Context(), b))
			n++
		}
		for range n {
			_, err := server.ReceiveDatagram(t.Context())
			require.NoError(t, err)
		}
		require.EqualValues(t, n, server.Stats().Datagrams.Received)
		require.Positive(t, client.Stats().Datagrams.SendQueueOverflow)
	})
}

// Calls that wait return when the connection or their context ends.
func TestDatagramCallsEnd(t *testing.T) {
	sc, cc := datagramConfigs()
	cc.DatagramSendQueue = 1
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		client, server := w.connect()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := server.ReceiveDatagram(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		receiving := start(func() error { _, err := server.ReceiveDatagram(t.Context()); return err })
		var sending <-chan error
		for client.SendDatagram(make([]byte, 1000)) == nil {
		}
		sending = start(func() error {
			for {
				if err := client.SendDatagramWait(t.Context(), make([]byte, 1000)); err != nil {
					return err
				}
			}
		})
		require.NoError(t, <-receiving)
		require.NoError(t, client.CloseWithError(7, "enough"))
		require.ErrorIs(t, <-sending, net.ErrClosed)
		for err == nil || errors.Is(err, context.DeadlineExceeded) {
			_, err = server.ReceiveDatagram(t.Context())
		}
		var app *ApplicationError
		require.ErrorAs(t, err, &app)
		require.EqualValues(t, 7, app.Code)
	})
}

func TestDatagramConfig(t *testing.T) {
	for _, cfg := range []*Config{{MaxDatagramFrameSize: -1}, {DatagramSendQueue: -1}, {DatagramReceiveQueue: -1}} {
		_, err := cfg.withDefaults()
		require.ErrorContains(t, err, "Datagram")
	}
}
