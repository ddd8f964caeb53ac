package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// An exchange is what a scripted peer sends to a connection in 1-RTT packets, and what must follow. Tests put the
// sentence of the RFC that asks for it beside each.
type exchange struct {
	name string
	to   tlsprovider.Side
	sent []byte // the frames of one packet
	want outcome
}

// An outcome checks what a connection has done with a packet. answer contains the frames that it has sent since.
type outcome func(r *rig, to tlsprovider.Side, answer []wire.Frame)

// packed returns the payload of a packet with these frames.
func packed(frames ...wire.Frame) (b []byte) {
	for _, f := range frames {
		b = f.Append(b)
	}
	return b
}

// closes wants the connection to close with an error and to send it.
func closes(code wire.ErrorCode) outcome {
	return func(r *rig, to tlsprovider.Side, answer []wire.Frame) {
		r.t.Helper()
		r.requireClosed(to, code, answer)
	}
}

// answers wants the connection to send all of these frames and to stay open.
func answers(frames ...wire.Frame) outcome {
	return func(r *rig, to tlsprovider.Side, answer []wire.Frame) {
		r.t.Helper()
		c, _ := r.side(to)
		require.NoError(r.t, errOf(c))
		for _, f := range frames {
			require.Contains(r.t, answer, f)
		}
	}
}

// then adds checks of the connection's state to an outcome in which it stays open.
func then(check func(r *rig, answer []wire.Frame)) outcome {
	return func(r *rig, to tlsprovider.Side, answer []wire.Frame) {
		r.t.Helper()
		answers()(r, to, answer)
		check(r, answer)
	}
}

// play plays each exchange with a pair of connections of its own. prepare, if it is not nil, is called first.
func play(t *testing.T, o rigOptions, prepare func(*rig), exchanges []exchange) {
	for _, e := range exchanges {
		t.Run(e.name, func(t *testing.T) {
			r := connected(t, o)
			if prepare != nil {
				prepare(r)
			}
			e.want(r, e.to, r.sayBytes(e.to, recovery.SpaceApp, e.sent))
		})
	}
}

// framesOf returns the frames of one type.
func framesOf[F wire.Frame](all []wire.Frame) (out []F) {
	for _, f := range all {
		if f, ok := f.(F); ok {
			out = append(out, f)
		}
	}
	return out
}

// expire advances to the next timeout of a side and returns the frames that it sends then.
func (r *rig) expire(side tlsprovider.Side) []wire.Frame {
	r.t.Helper()
	c, puppet := r.side(side)
	require.False(r.t, c.NextTimeout().IsZero(), "no timer is running")
	r.now = max(r.now, c.NextTimeout())
	c.HandleTimeout(r.now)
	require.NoError(r.t, c.CheckInvariants())
	return r.heard(c, puppet)
}
