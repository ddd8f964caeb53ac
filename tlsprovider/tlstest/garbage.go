package tlstest

import (
	"math/rand/v2"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// garbage passes invalid, unexpected and truncated messages to both sides, at each level at which they read.
func (su *Suite) garbage(t *testing.T) {
	client, server, _ := Configs(t)
	client.DisableTickets, server.DisableTickets = true, true
	ce, se := su.Endpoints(t, client, server)
	handles, _ := su.Live()
	for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
		for _, level := range []tlsprovider.Level{tlsprovider.LevelInitial, tlsprovider.LevelHandshake, tlsprovider.LevelApp} {
			t.Run(level.String()+" to the "+side.String(), func(t *testing.T) {
				for seed := range uint64(64) {
					p := reading(t, ce, se, side, level)
					feedGarbage(t, p.Session(side), level, junkMessage(rand.New(rand.NewPCG(seed, uint64(level)))))
					p.Client.Close()
					p.Server.Close()
				}
			})
		}
	}
	after, _ := su.Live()
	require.Equal(t, handles, after)

	t.Run("Finished changed", func(t *testing.T) {
		p := PairOf(t, ce, se, "server.test")
		out := p.serverFlight(t)
		last := out[len(out)-1].Data
		last[len(last)-1] ^= 1
		_, err := p.Client.Advance(out)
		su.requireAlert(t, tlsprovider.Client, tlsprovider.AlertDecryptError, err)
	})
	t.Run("a message above every size limit", func(t *testing.T) {
		for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
			for _, level := range []tlsprovider.Level{tlsprovider.LevelInitial, tlsprovider.LevelHandshake} {
				p := reading(t, ce, se, side, level)
				kind := map[tlsprovider.Level][2]byte{tlsprovider.LevelInitial: {2, 1}, tlsprovider.LevelHandshake: {8, 20}}[level][side]
				_, err := p.Session(side).Advance(Crypt(level, []byte{kind, 0xff, 0xff, 0xff}))
				for range 200 {
					if err != nil {
						break
					}
					_, err = p.Session(side).Advance(Crypt(level, make([]byte, 1000)))
				}
				var e *tlsprovider.Error
				require.ErrorAs(t, err, &e, "%v at %v", side, level)
			}
		}
	})
}

// reading runs a handshake until side reads at level.
func reading(t *testing.T, ce, se tlsprovider.Endpoint, side tlsprovider.Side, level tlsprovider.Level) *Pair {
	t.Helper()
	p := PairOf(t, ce, se, "server.test")
	if level == tlsprovider.LevelApp {
		p.MustRun(t)
		return p
	}
	if side == tlsprovider.Server && level == tlsprovider.LevelInitial {
		return p
	}
	if level == tlsprovider.LevelInitial {
		_, err := p.Client.Advance(nil)
		require.NoError(t, err)
		return p
	}
	out := p.serverFlight(t)
	if side == tlsprovider.Client {
		for i, d := range out {
			if d.Level == tlsprovider.LevelHandshake {
				_, err := p.Client.Advance(out[:i]) // the ServerHello
				require.NoError(t, err)
				break
			}
		}
	}
	return p
}

// junkMessage returns random bytes after a random header, which is often that of a valid message type.
func junkMessage(random *rand.Rand) []byte {
	kinds := []byte{0, 1, 2, 4, 5, 8, 11, 13, 15, 20, 24, 254}
	n := random.IntN(600)
	b := make([]byte, 4+n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	if random.IntN(4) > 0 {
		b[0] = kinds[random.IntN(len(kinds))]
		b[1], b[2], b[3] = 0, byte(n>>8), byte(n)
	}
	return b
}

// feedGarbage requires that the session fails, or waits for the rest of a message. It must not accept the message, and
// after a failure each call must fail.
func feedGarbage(t *testing.T, s tlsprovider.Session, level tlsprovider.Level, junk []byte) {
	t.Helper()
	done := s.State().HandshakeDone
	events, err := s.Advance(Crypt(level, junk))
	if err == nil {
		for _, e := range events {
			require.NotEqual(t, tlsprovider.EventHandshakeDone, e.Kind)
			require.NotEqual(t, tlsprovider.EventClientHello, e.Kind)
			require.NotEqual(t, tlsprovider.EventKeys, e.Kind)
		}
		require.Equal(t, done, s.State().HandshakeDone)
		return
	}
	var e *tlsprovider.Error
	require.ErrorAs(t, err, &e)
	require.NotZero(t, e.Alert)
	_, again := s.Advance(nil)
	require.Equal(t, err, again)
	if !done {
		k, _ := s.TakeKeys(tlsprovider.LevelApp, 1)
		require.Nil(t, k.Opener)
		k.Close()
	}
}
