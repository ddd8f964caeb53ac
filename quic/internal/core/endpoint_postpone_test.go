package core

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// postponed returns a client whose complete ClientHello waits for room.
func (r *rig) postponed(dst string) *stranger {
	r.t.Helper()
	s := newStranger(r.t, r.serverConfig.Provider, dst)
	got := r.receiveFrom(clientAddr, s.packet(nil, wire.Crypto{Data: []byte{1, 0, 0, 2, 3, 3}}.Append(nil), MinInitialSize))
	require.Equal(r.t, RouteAdmit, got.Kind)
	require.True(r.t, r.endpoint.Postpone(r.now, got.Incoming))
	return s
}

// While the driver decides about a client that was postponed, it uses the Incoming without the Endpoint's
// lock. What the client sends meanwhile must not change the Incoming, and must not free its keys.
func TestIncomingBelongsToTheDriver(t *testing.T) {
	early := func(s *stranger) []byte {
		d := s.packet(nil, []byte{1}, MinInitialSize)
		d[0] = d[0]&^0x30 | 0x10 // 0-RTT
		return d
	}
	for _, tt := range []struct {
		name string
		d    func(*stranger) []byte
	}{
		{"more CRYPTO data", func(s *stranger) []byte {
			return s.packet(nil, wire.Crypto{Offset: 6, Data: []byte{1}}.Append(nil), MinInitialSize)
		}},
		{"CONNECTION_CLOSE", func(s *stranger) []byte {
			return s.packet(nil, wire.ConnectionClose{}.Append(nil), MinInitialSize)
		}},
		{"0-RTT", early},
	} {
		r := newRig(t, rigOptions{})
		live := r.serverConfig.Provider.(*fake.Provider).Live
		before, _ := live()
		s := r.postponed("12345678")
		r.now = r.now.Add(helloAckDelay)
		r.endpoint.HandleTimeout(r.now) // sends an acknowledgement, and keeps the keys
		in := r.endpoint.NextPostponed(r.now)
		require.NotNil(t, in, tt.name)
		handles, _ := live()
		datagrams, largest := len(in.Datagrams), in.hello.acks.Largest()

		r.receiveFrom(clientAddr, tt.d(s))
		after, _ := live()
		require.Equal(t, handles, after, "%s: the keys are the driver's", tt.name)
		require.Equal(t, datagrams, len(in.Datagrams), tt.name)
		require.Equal(t, largest, in.hello.acks.Largest(), tt.name)
		require.NoError(t, r.endpoint.CheckInvariants())

		c, err := NewServerConn(r.now, r.serverConfig, in)
		require.NoError(t, err)
		r.endpoint.Add(r.now, 1, in)
		require.NoError(t, r.endpoint.CheckInvariants())
		c.end(&CloseError{}, Remnant{})
		s.keys.Close()
		handles, _ = live()
		require.Equal(t, before, handles, tt.name)
	}
}

// Clients that give up while they wait must not be kept: the budget for ClientHellos no longer counts them.
func TestPostponedClientsThatGiveUp(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.postponed("the first") // waits for its turn all the time
	for i := range 4 * maxPostponed {
		s := r.postponed(fmt.Sprintf("%08d", i))
		got := r.receiveFrom(clientAddr, s.packet(nil, wire.ConnectionClose{}.Append(nil), MinInitialSize))
		require.Equal(t, DropBadHello, got.Drop)
		s.keys.Close()
		if i%1000 == 0 {
			require.NoError(t, r.endpoint.CheckInvariants())
			r.now = r.now.Add(1)
		}
	}
	require.Equal(t, 1, r.endpoint.hellos.waiting)
	require.Less(t, len(r.endpoint.hellos.postponed), 100)
	require.NotNil(t, r.endpoint.NextPostponed(r.now))
	require.Nil(t, r.endpoint.NextPostponed(r.now))
}

// At most maxPostponed clients wait for room. The driver refuses the others, so an overload makes no longer queue.
func TestPostponedClientsAreLimited(t *testing.T) {
	r := newRig(t, rigOptions{})
	arrive := func(dst string) (in *Incoming, waits bool) {
		s := newStranger(t, r.serverConfig.Provider, dst)
		defer s.keys.Close()
		got := r.receiveFrom(clientAddr, s.packet(nil, wire.Crypto{Data: []byte{1, 0, 0, 2, 3, 3}}.Append(nil), MinInitialSize))
		require.Equal(t, RouteAdmit, got.Kind)
		return got.Incoming, r.endpoint.Postpone(r.now, got.Incoming)
	}
	for i := range maxPostponed {
		_, waits := arrive(fmt.Sprintf("%08d", i))
		require.True(t, waits)
	}
	surplus, waits := arrive("one more")
	require.False(t, waits)
	r.endpoint.Refuse(r.now, surplus, uint64(wire.ConnectionRefused), "", nil)
	require.Equal(t, maxPostponed, r.endpoint.hellos.waiting)

	first := r.endpoint.NextPostponed(r.now)
	require.NotNil(t, first)
	r.endpoint.Refuse(r.now, first, uint64(wire.ConnectionRefused), "", nil)
	_, waits = arrive("the next")
	require.True(t, waits, "there is room for one")
	require.NoError(t, r.endpoint.CheckInvariants())
}
