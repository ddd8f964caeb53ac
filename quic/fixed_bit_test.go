//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

func greasing(cfg *Config) *Config {
	cfg.GreaseFixedBit = true
	return cfg
}

// A client remembers, with the token of a server, that the server accepts any value of the fixed bit. It forgets it after
// seven days.
//
// "However, a client MUST NOT set the QUIC Bit to 0 unless the Initial packets it sends include a token provided by the
// server in a NEW_TOKEN frame [...], received less than 604800 seconds (7 days) prior on a connection where the server also
// included the grease_quic_bit transport parameter."
// https://www.rfc-editor.org/rfc/rfc9287#section-3.1-3
func TestFixedBitIsRemembered(t *testing.T) {
	for _, accepts := range []bool{false, true} {
		server := serverConfig()
		server.GreaseFixedBit = accepts
		inBubble(t, server, greasing(clientConfig()), func(t *testing.T, w *world) {
			client, conn := w.connect()
			cs, ss := w.stream(client, conn)
			requireTransfer(t, cs, ss, 100_000)
			advance(time.Second)
			require.Equal(t, accepts, client.core.PeerGreases())
			require.Equal(t, accepts, conn.core.PeerGreases())

			store, key := w.client.tokenStore, tokenKeyOf(tokenServer("localhost", netip.MustParseAddrPort("10.0.0.2:4433")), wire.Version1)
			token, greases := w.client.takeToken(store, key, true)
			require.NotEmpty(t, token)
			require.Equal(t, accepts, greases)
			if !accepts {
				return
			}
			put := func(token []byte) { client.storeTokens([][]byte{token}, true) }
			put(token)
			got, greases := w.client.takeToken(store, key, false)
			require.Nil(t, got, "a client that does not use the bit has tokens of its own")
			require.False(t, greases)
			advance(7*24*time.Hour - time.Second)
			got, greases = w.client.takeToken(store, key, true)
			require.True(t, greases)
			require.Equal(t, token, got)
			put(token)
			advance(7 * 24 * time.Hour)
			got, greases = w.client.takeToken(store, key, true)
			require.False(t, greases, "too old")
			require.Equal(t, token, got, "it still proves the address")

			put(make([]byte, core.MaxTokenLen+1))
			got, greases = w.client.takeToken(store, key, true)
			require.Nil(t, got)
			require.False(t, greases)
		})
	}
}

// The token spares the Retry whether or not its connection had a random fixed bit.
func TestFixedBitWithTokens(t *testing.T) {
	server := greasing(serverConfig())
	server.AddressValidation = ValidateAlways
	inBubble(t, server, greasing(clientConfig()), func(t *testing.T, w *world) {
		for i := range 5 {
			conn, err := w.client.Dial(t.Context(), serverAddr, nil)
			require.NoError(t, err)
			advance(time.Second)
			require.NoError(t, conn.Close())
			require.Equal(t, i == 0, conn.core.Retried())
		}
		require.EqualValues(t, 4, w.server.Stats().ValidatedByToken)
		require.Zero(t, w.server.Stats().Drops.Malformed)
	})
}

// With early data and a token, the first packets have a random fixed bit; without a token they have not.
//
// "A client MAY also set the QUIC Bit to 0 in Initial, Handshake, or 0-RTT packets that are sent prior to receiving
// transport parameters from the server."
// https://www.rfc-editor.org/rfc/rfc9287#section-3.1-3
func TestFixedBitOfEarlyData(t *testing.T) {
	for _, tokens := range []bool{false, true} {
		sc, cc := earlyConfigs()
		if !tokens {
			sc.TokenLifetime = -1
		}
		inBubble(t, greasing(sc), greasing(cc), func(t *testing.T, w *world) {
			first, _ := w.connect()
			advance(time.Second)
			require.NoError(t, first.Close())
			var early [2]int // 0-RTT packets, by their fixed bit
			w.net.SetDrop(func(from, _ netip.AddrPort, d []byte) bool {
				for len(d) > 0 {
					h, n := wire.ParseGreasedLongHeader(d)
					if n < 0 {
						break
					}
					if h.Type == wire.Packet0RTT {
						early[d[0]>>6&1]++
					}
					d = d[h.Len:]
				}
				return false
			})
			for range 30 {
				client, _, c, s := w.earlyStream()
				got, err := io.ReadAll(s)
				require.NoError(t, err)
				require.Equal(t, "request", string(got))
				require.NoError(t, s.CloseWrite())
				_, err = io.ReadAll(c)
				require.NoError(t, err)
				advance(time.Second)
				require.NoError(t, client.Close())
			}
			require.Positive(t, early[1])
			require.Equal(t, tokens, early[0] > 0, "%v", early)
		})
	}
}

// An Endpoint that reads packets of other protocols tells them from QUIC by the fixed bit, so none of its connections can
// accept packets without it.
func TestFixedBitExcludesNonQUIC(t *testing.T) {
	_, err := withNonQUIC(greasing(serverConfig()), 1).withDefaults()
	require.ErrorIs(t, err, errGreasedNonQUIC)
	inBubble(t, nil, withNonQUIC(clientConfig(), 1), func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, greasing(clientConfig()))
		require.ErrorIs(t, err, errGreasedNonQUIC)
		_, err = w.client.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
	})
}

// A broken store is no reason to fail, nor are values in it that are too short.
func TestGreasingTokenOfBrokenStore(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		store := tlsprovider.NewClientStore(0, 0)
		for _, value := range []string{"x", "12345678"} {
			store.Put(greasingKey("key"), []byte(value))
			token, greases := w.client.takeToken(store, "key", true)
			require.Nil(t, token)
			require.False(t, greases)
		}
	})
}
