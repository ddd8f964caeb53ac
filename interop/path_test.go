package interop

import (
	"context"
	"errors"
	"net"
	"testing"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic"
)

// An addressed is a connection of a stack whose server follows its clients to other addresses.
type addressed interface{ RemoteAddr() net.Addr }

// A mover is a connection of a client that can move to another socket.
type mover interface {
	move(ctx context.Context, to *net.UDPConn) error
}

func (c ourConn) move(ctx context.Context, to *net.UDPConn) error {
	p, err := c.AddPath(to)
	if err != nil {
		return err
	}
	select {
	case <-p.Validated():
		return p.Switch()
	case <-p.Done():
		return p.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c goConn) move(ctx context.Context, to *net.UDPConn) error {
	tr := &quicgo.Transport{Conn: to}
	context.AfterFunc(c.Context(), func() { tr.Close() })
	p, err := c.AddPath(tr)
	if err != nil {
		return err
	}
	if err := p.Probe(ctx); err != nil {
		return err
	}
	return p.Switch()
}

// A NAT gives the client another port three times. The server follows.
func TestRebinding(t *testing.T) {
	impaired(t, func(t *testing.T, client, server stack, loss float64) {
		r := newRelay(t, loss)
		cc, sc := connect(t, client, server, options{groups: pq, alpn: alpn, via: r.via}, options{groups: pq, alpn: alpn})
		follows, ok := sc.(addressed)
		if !ok {
			t.Skip("x/net's server has no migration: it sends to the first address of its client")
		}
		exchange(t, cc, sc, 1, 50_000)
		for range 3 {
			r.rebind()
			until(t, cc, sc, func() bool { return follows.RemoteAddr().String() == r.outside(r.client()) }, "the server does not follow its client")
		}
		if c, ok := sc.(ourConn); ok {
			require.GreaterOrEqual(t, c.Stats().PathChanges, uint64(3))
		}
	})
}

// maxMoves is how often a client tries to move where datagrams are lost.
const maxMoves = 3

// moveAway moves a client to a new socket. Where datagrams are lost, it tries again with another socket if our client gives up a
// path, as a program would. Our client sends three challenges to a path that does not answer and gives up after 3 s, the time that
// RFC 9000 recommends (section 8.2.4). At a loss of 10 % in both directions, all three fail in 0.7 % of all moves. Three moves at
// most are tried, because quic-go's server remembers three paths at a time, for 5 s.
func moveAway(t *testing.T, client mover, loss float64) (pc *net.UDPConn, err error) {
	for n := 1; ; n++ {
		pc, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		t.Cleanup(func() { pc.Close() })
		err = client.move(deadline(t), pc)
		if !errors.Is(err, quic.ErrPathFailed) || loss == 0 || n == maxMoves {
			return pc, err
		}
		t.Log("move", n, err)
	}
}

// The client moves to another socket and back again, to a third one.
func TestMigration(t *testing.T) {
	impaired(t, func(t *testing.T, client, server stack, loss float64) {
		r := newRelay(t, loss)
		cc, sc := connect(t, client, server, options{groups: pq, alpn: alpn, via: r.via, moves: true}, options{groups: pq, alpn: alpn})
		exchange(t, cc, sc, 1, 50_000)
		moves, ok := cc.(mover)
		if !ok {
			t.Skip("x/net's client has no migration")
		}
		for range 2 {
			pc, err := moveAway(t, moves, loss)
			if _, forbids := server.(xNet); forbids {
				require.ErrorIs(t, err, quic.ErrMigrationDisabled)
				return
			}
			require.NoError(t, err)
			until(t, cc, sc, func() bool { return sc.(addressed).RemoteAddr().String() == r.outside(pc.LocalAddr()) }, "the server does not follow its client")
		}
	})
}

// Nothing arrives for a time, in the middle of a transfer.
func TestBlackHole(t *testing.T) {
	impaired(t, func(t *testing.T, client, server stack, loss float64) {
		r := newRelay(t, loss)
		cc, sc := connect(t, client, server, options{groups: pq, alpn: alpn, via: r.via}, options{groups: pq, alpn: alpn})
		exchange(t, cc, sc, 1, 1000)
		r.set(func() { r.holeAfter, r.hole = 50, 15 })
		exchange(t, cc, sc, 1, 200_000)
		r.set(func() { require.Zero(t, r.hole, "datagrams that were to be lost") })
	})
}
