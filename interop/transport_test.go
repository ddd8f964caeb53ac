package interop

import (
	"errors"
	"math/rand/v2"
	"testing"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic"
)

// ourSide returns our connection of a pair, and the direction in which a relay sees what it sends.
func ourSide(cc, sc conn) (c ourConn, direction int) {
	if c, ok := cc.(ourConn); ok {
		return c, toServer
	}
	return sc.(ourConn), toClient
}

func isXNet(s stack) bool { _, is := s.(xNet); return is }

// Both sides update their keys. The peers do so by themselves after 100 packets.
func TestKeyUpdate(t *testing.T) {
	impaired(t, func(t *testing.T, client, server stack, loss float64) {
		r := newRelay(t, loss)
		cc, sc := connect(t, client, server, options{groups: pq, alpn: alpn, via: r.via}, options{groups: pq, alpn: alpn})
		us, _ := ourSide(cc, sc)
		until(t, cc, sc, func() bool { return us.Stats().KeyUpdates > 0 }, "the peer does not update its keys")
		for range 3 {
			before := us.Stats().KeyUpdates
			until(t, cc, sc, func() bool {
				err := us.UpdateKeys()
				if !errors.Is(err, quic.ErrKeyUpdate) { // it is not permitted at any time
					require.NoError(t, err)
				}
				return err == nil
			}, "our side may not update its keys")
			exchange(t, cc, sc, 1, 50_000)
			require.Greater(t, us.Stats().KeyUpdates, before)
		}
	})
}

// ECN marks reach the peer, which reports them. Our side stops marking if the network removes the marks or the peer does
// not report them, and slows down for CE.
func TestECN(t *testing.T) {
	if !hasTOS {
		t.Skip("the relay passes on ECN marks on Linux only")
	}
	for name, remark := range map[string]func(field byte, r *rand.Rand) byte{
		"passed on": func(field byte, _ *rand.Rand) byte { return field },
		"CE": func(field byte, r *rand.Rand) byte {
			if field != 0 && r.IntN(20) == 0 {
				return ce
			}
			return field
		},
		"removed": func(byte, *rand.Rand) byte { return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			impaired(t, func(t *testing.T, client, server stack, loss float64) {
				r := newRelay(t, loss)
				random := rand.New(rand.NewPCG(1, 1))
				r.remark = func(_ int, field byte) byte { return remark(field, random) }
				cc, sc := connect(t, client, server, options{groups: pq, alpn: alpn, via: r.via}, options{groups: pq, alpn: alpn})
				us, direction := ourSide(cc, sc)
				exchange(t, cc, sc, 1, 200_000)
				marks := func(direction int) (n int) { r.set(func() { n = r.marked[direction] }); return n }
				require.Positive(t, marks(direction), "marked datagrams of our side")
				if !isXNet(client) && !isXNet(server) { // x/net reports marks, but sets none
					require.Positive(t, marks(1-direction), "marked datagrams of the peer")
				}
				switch name {
				case "passed on":
					until(t, cc, sc, func() bool { return us.Stats().ECNCapable }, "our side does not trust a path that passes marks on")
				case "CE":
					until(t, cc, sc, func() bool { return us.Stats().PacketsMarked > 0 }, "the peer does not report CE")
					require.True(t, us.Stats().ECNCapable)
					require.Positive(t, us.Stats().CongestionEvents)
				case "removed":
					until(t, cc, sc, func() bool {
						before := marks(direction)
						exchange(t, cc, sc, 1, 50_000)
						return marks(direction) == before
					}, "our side marks on a path that removes the marks")
					require.False(t, us.Stats().ECNCapable)
				}
			})
		})
	}
}

// Datagrams grow to what the path carries, and shrink when it carries less.
func TestPathMTU(t *testing.T) {
	impaired(t, func(t *testing.T, client, server stack, loss float64) {
		const limit, less = 1400, 1230
		r := newRelay(t, loss)
		r.limit = [2]int{limit, limit}
		cc, sc := connect(t, client, server, options{groups: pq, alpn: alpn, via: r.via}, options{groups: pq, alpn: alpn})
		us, direction := ourSide(cc, sc)
		until(t, cc, sc, func() bool { return us.Stats().DatagramSize > 1300 }, "our datagrams do not grow")
		require.LessOrEqual(t, us.Stats().DatagramSize, limit)
		if isXNet(client) || isXNet(server) {
			t.Log("x/net has no discovery of the path's MTU")
		} else {
			largest := func() (n int) { r.set(func() { n = r.largest[1-direction] }); return n }
			until(t, cc, sc, func() bool { return largest() > 1300 }, "the peer's datagrams do not grow")
		}
		r.set(func() { r.limit[direction] = less })
		exchange(t, cc, sc, 1, 200_000)
		require.LessOrEqual(t, us.Stats().DatagramSize, less)
	})
}

// A server that has lost its state answers its client with a stateless reset, because it has kept its key.
func TestStatelessReset(t *testing.T) {
	impaired(t, func(t *testing.T, client, server stack, loss float64) {
		if isXNet(server) {
			t.Skip("x/net's server sends no stateless reset token for the connection ID of the handshake")
		}
		r := newRelay(t, loss)
		o := options{groups: pq, alpn: alpn, resetKey: true}
		l, err := server.listen(o)
		require.NoError(t, err)
		ctx := deadline(t)
		accepted := make(chan conn, 1)
		go func() {
			sc, err := l.accept(ctx)
			if err != nil {
				t.Error(err)
			}
			accepted <- sc
		}()
		cc, err := client.dial(ctx, r.via(l.addr()), options{groups: pq, alpn: alpn})
		require.NoError(t, err)
		t.Cleanup(func() { cc.closeCode(0, "") })
		sc := <-accepted
		require.NotNil(t, sc)
		exchange(t, cc, sc, 1, 50_000)

		r.set(func() { r.dark = true })
		l.close()
		r.rebind() // what the server has sent at its end is lost
		again, err := server.listen(o)
		require.NoError(t, err)
		t.Cleanup(again.close)
		r.via(again.addr())
		r.set(func() { r.dark = false })
		s, err := cc.open(ctx)
		require.NoError(t, err)
		_, _ = s.Write(make([]byte, 1000)) // it is sent again until a stateless reset arrives
		err = cc.gone(ctx)
		var theirs *quicgo.StatelessResetError
		if !errors.Is(err, quic.ErrStatelessReset) && !errors.As(err, &theirs) {
			require.ErrorContains(t, err, "stateless reset") // x/net
		}
	})
}
