//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"log/slog"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fill sets each counter of a struct to a number of its own, times factor.
func fill(v reflect.Value, factor uint64, n *uint64) {
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct {
			fill(f, factor, n)
		} else {
			*n++
			f.SetUint(*n * factor)
		}
	}
}

// A sum has every counter.
func TestTrafficIsAdded(t *testing.T) {
	var sum, one, want TrafficStats
	for factor, s := range map[uint64]*TrafficStats{1: &sum, 10: &one, 11: &want} {
		fill(reflect.ValueOf(s).Elem(), factor, new(uint64))
	}
	sum.Add(&one)
	require.Equal(t, want, sum)
}

// An Endpoint counts the traffic of all connections, those that have ended included, and lists those that it has.
func TestEndpointTraffic(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		var want TrafficStats
		for n := range 3 {
			client, server := w.connect()
			w.stream(client, server)
			advance(time.Second) // no packet is under way, which would count between two calls
			require.Equal(t, []*Conn{client}, w.client.Conns())
			require.Equal(t, []*Conn{server}, w.server.Conns())
			live := client.Stats().TrafficStats
			live.Add(&want)
			require.Equal(t, live, w.client.Traffic())
			require.NoError(t, client.CloseWithError(0, ""))
			synctest.Wait()
			require.Empty(t, w.client.Conns())
			ended := client.Stats().TrafficStats
			require.Positive(t, ended.BytesSent)
			require.Equal(t, uint64(3), ended.HandshakeFlights)
			want.Add(&ended)
			require.Equal(t, want, w.client.Traffic(), "after %d connections", n+1)
			advance(time.Second)
		}
	})
}

// OnConn is called when a connection begins, is established and ends, and a panic in it is only logged.
func TestOnConn(t *testing.T) {
	type call struct {
		id string
		ev ConnEvent
	}
	record := func(calls *[]call) func(*Conn, ConnEvent) {
		return func(c *Conn, ev ConnEvent) {
			*calls = append(*calls, call{c.ID(), ev})
			if ev == ConnEnded && context.Cause(c.Context()) == nil {
				panic("no cause")
			}
			if ev == ConnEstablished {
				panic("established")
			}
		}
	}
	var atServer, atClient []call
	var book logBook
	sc, cc := serverConfig(), clientConfig()
	sc.OnConn, cc.OnConn, sc.Logger = record(&atServer), record(&atClient), slog.New(&book)
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		client, _ := w.connect()
		require.NoError(t, client.CloseWithError(0, ""))
		advance(time.Second)
		want := []call{{client.ID(), ConnBegun}, {client.ID(), ConnEstablished}, {client.ID(), ConnEnded}}
		require.Equal(t, want, atClient)
		require.Equal(t, want, atServer)
		lines := book.at(slog.LevelError)
		require.Len(t, lines, 1)
		require.Contains(t, lines[0], "Config.OnConn")

		atServer, atClient = nil, nil
		bad := clientConfig()
		bad.TLS.NextProtos, bad.OnConn = []string{"other"}, cc.OnConn
		_, err := w.client.Dial(t.Context(), serverAddr, bad)
		require.Error(t, err)
		advance(time.Second)
		for _, calls := range [][]call{atServer, atClient} {
			require.Len(t, calls, 2)
			require.Equal(t, ConnBegun, calls[0].ev)
			require.Equal(t, ConnEnded, calls[1].ev)
		}
	})
}
