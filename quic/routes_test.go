//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// len returns the number of connection IDs.
func (r *routes) len() (n int) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		n += len(s.conns)
		s.mu.Unlock()
	}
	r.remotes.mu.Lock()
	defer r.remotes.mu.Unlock()
	return n + len(r.remotes.conns)
}

// A routesModel is a core.Endpoint with the routes that it reports. Connections receive random events, with so few
// connection IDs that IDs collide.
type routesModel struct {
	*testing.T
	*rand.Rand
	now    monotime.Time
	core   *core.Endpoint
	routes routes
	conns  map[core.ConnRef]*Conn
	ids    []wire.ConnID
	last   core.ConnRef
}

func newRoutesModel(t *testing.T, seed uint64, idLen int) *routesModel {
	m := &routesModel{routes: routes{idLen: idLen}, T: t, Rand: rand.New(rand.NewPCG(seed, 0)), now: 1, conns: map[core.ConnRef]*Conn{}}
	for range 24 {
		b := make([]byte, idLen)
		for i := range b {
			b[i] = byte(m.Uint32())
		}
		id, _ := wire.MakeConnID(b)
		m.ids = append(m.ids, id)
	}
	m.core = core.NewEndpoint(&core.EndpointConfig{
		Provider:      native.New(),
		MaxHandshakes: 100,
		ConnIDLen:     idLen,
		SetRoute:      func(id wire.ConnID, ref core.ConnRef) { m.routes.set(id, m.conns[ref]) },
	})
	return m
}

func (m *routesModel) id() wire.ConnID { return m.ids[m.IntN(len(m.ids))] }

// step makes one random change.
func (m *routesModel) step() {
	ref := m.last - core.ConnRef(m.IntN(8))
	switch m.IntN(8) {
	case 0:
		m.last++
		m.conns[m.last] = &Conn{ref: m.last}
		m.core.Add(m.now, m.last, nil)
	case 1, 2, 3:
		m.core.HandleConnEvent(m.now, ref, core.EndpointEvent{Kind: core.AddConnID, ConnID: m.id()})
	case 4:
		m.core.HandleConnEvent(m.now, ref, core.EndpointEvent{Kind: core.RetireConnID, ConnID: m.id()})
	case 5:
		ev := core.EndpointEvent{Kind: core.ConnClosed}
		if m.IntN(3) > 0 {
			ev.Remnant.Expires = m.now.Add(time.Duration(1 + m.IntN(1e9)))
		}
		m.core.HandleConnEvent(m.now, ref, ev)
	case 6: // a remnant of a client that was refused
		m.core.Ignore(m.now, &core.Incoming{LocalID: m.id(), DstID: m.id(), Sent: 1})
	case 7:
		m.now = m.now.Add(time.Duration(m.IntN(1e9)))
		m.core.HandleTimeout(m.now)
	}
}

// train returns datagrams to random IDs, in runs. Some do not have a short header, and the last may be too short.
func (m *routesModel) train() datagram.Train {
	const size = 40
	t := datagram.Train{SegmentSize: size, Path: datagram.Path{Remote: netip.MustParseAddrPort(clientAddr)}}
	for id := m.id(); len(t.Data) < 12*size; {
		if m.IntN(3) == 0 {
			id = m.id()
		}
		first := byte(0x40)
		if m.IntN(8) == 0 {
			first = 0xc0
		}
		d := id.AppendTo([]byte{first})
		t.Data = append(append(t.Data, d...), make([]byte, size-len(d))...)
	}
	t.Data = t.Data[:len(t.Data)-m.IntN(size)]
	return t
}

// destinations returns the connection of each datagram of a train, or nil. fast is set if routes are asked first.
func (m *routesModel) destinations(t datagram.Train, fast bool) (to []*Conn) {
	reply := make([]byte, core.MaxUnknownSize)
	for len(t.Data) > 0 {
		before := t.Data
		var c *Conn
		var run datagram.Train
		if fast {
			c, run = m.routes.take(&t)
		}
		if c == nil {
			require.Equal(m, len(before), len(t.Data))
			r := m.core.Receive(m.now, &t, core.ValidateUnderLoad, reply)
			c, run = nil, r.Train
			if r.Kind == core.RouteConn {
				c = m.conns[r.Conn]
				require.NotNil(m, c)
			}
		}
		taken := before[:len(before)-len(t.Data)]
		if c != nil {
			require.Equal(m, taken, run.Data)
			require.Equal(m, len(taken), cap(run.Data), "the run must not reach into the next one")
			require.Equal(m, t.SegmentSize, run.SegmentSize)
			require.Equal(m, t.Path, run.Path)
		}
		for range (&datagram.Train{Data: taken, SegmentSize: t.SegmentSize}).Segments() {
			to = append(to, c)
		}
	}
	return to
}

// Whatever happens to connections and their IDs, the routes find a connection for the packets with a short header for
// which the core finds it, and for no others.
func TestRoutesAgreeWithCore(t *testing.T) {
	for seed := range uint64(20) {
		m := newRoutesModel(t, seed, []int{4, 8, 20}[seed%3])
		found := 0
		for range 1000 {
			m.step()
			for _, id := range m.ids {
				d := append(id.AppendTo([]byte{0x40}), 0)
				r := m.core.Receive(m.now, &datagram.Train{Data: d}, core.ValidateUnderLoad, make([]byte, core.MaxUnknownSize))
				got := m.routes.find(id)
				require.Equal(t, r.Kind == core.RouteConn, got != nil)
				if got != nil {
					require.Equal(t, r.Conn, got.ref)
					found++
				}
			}
			train := m.train()
			require.Equal(t, m.destinations(train, false), m.destinations(train, true))
		}
		require.Greater(t, found, 1000)
		for ref := range m.conns {
			m.core.HandleConnEvent(m.now, ref, core.EndpointEvent{Kind: core.ConnClosed})
		}
		require.Zero(t, m.routes.len(), "closed connections have no routes")
	}
}

// A datagram that no connection may receive is left to the core, although a connection has its ID.
func TestRoutesTakeNoBadDatagram(t *testing.T) {
	r := routes{idLen: core.ConnIDLen}
	id, _ := wire.MakeConnID([]byte("01234567"))
	r.set(id, &Conn{})
	for _, tt := range []struct {
		name    string
		d       []byte
		segment int
		want    bool
	}{
		{"short header", []byte("\x4001234567"), 0, true},
		{"long header", []byte("\xc001234567"), 0, false},
		{"another ID", []byte("\x4001234568"), 0, false},
		{"no whole ID", []byte("\x400123456"), 0, false},
		{"no whole ID in the first segment", []byte("\x4001234567"), 8, false},
		{"empty", nil, 0, false},
		{"the largest", append([]byte("\x4001234567"), make([]byte, core.MaxDatagramSize-9)...), 0, true},
		{"too large", append([]byte("\x4001234567"), make([]byte, core.MaxDatagramSize-8)...), 0, false},
	} {
		c, _ := r.take(&datagram.Train{Data: tt.d, SegmentSize: tt.segment})
		require.Equal(t, tt.want, c != nil, tt.name)
	}
}

// Connection IDs come and go while packets are routed. A packet reaches its connection or none. The race detector
// checks the locks.
func TestRoutesAtTheSameTime(t *testing.T) {
	const owners, rounds = 4, 2000
	r := routes{idLen: core.ConnIDLen}
	conns := make([]*Conn, owners)
	ids := make([][]wire.ConnID, owners)
	owner := map[wire.ConnID]*Conn{}
	var all []wire.ConnID
	for i := range owners {
		conns[i] = &Conn{}
		for j := range 8 {
			id, _ := wire.MakeConnID(fmt.Appendf(nil, "conn %d %c", i, j))
			ids[i], owner[id], all = append(ids[i], id), conns[i], append(all, id)
		}
	}
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for i := range owners {
		writers.Go(func() {
			for n := range rounds {
				r.set(ids[i][n%8], conns[i])
				r.set(ids[i][(n+3)%8], nil)
			}
			for _, id := range ids[i] {
				r.set(id, nil)
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for n := 0; !isClosed(done); n++ {
				id := all[n%len(all)]
				if c := r.find(id); c != nil && c != owner[id] {
					t.Errorf("the connection of %v is another's", id)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	require.Zero(t, r.len())
}

// Packets of established connections do not need the Endpoint's lock.
func TestEstablishedConnectionsDoNotNeedTheEndpoint(t *testing.T) {
	l := echoServer(t)
	client, err := Dial(t.Context(), "udp", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	defer client.CloseWithError(0, "")
	s, err := client.OpenStream(t.Context())
	require.NoError(t, err)
	// The limit is for a failure only: it ends the wait for a lock that the test holds.
	require.NoError(t, s.SetDeadline(time.Now().Add(20*time.Second)))
	buf := make([]byte, 100_000)
	for _, locked := range []bool{false, true} { // first, the connection's IDs become known
		if locked {
			for _, e := range []*Endpoint{l.Endpoint(), client.ep} {
				e.mu.Lock()
				defer e.mu.Unlock()
			}
		}
		written := start(func() error {
			_, err := s.Write(buf)
			return err
		})
		_, err = io.ReadFull(s, buf)
		require.NoError(t, err, "locked: %v", locked)
		require.NoError(t, <-written)
	}
}

// With empty connection IDs, the routes find connections by the peer's address where the core does, and take the whole
// train.
func TestRemoteRoutesAgreeWithCore(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var r routes
		conns := map[core.ConnRef]*Conn{}
		e := core.NewEndpoint(&core.EndpointConfig{
			Provider:  native.New(),
			SetRemote: func(remote netip.AddrPort, ref core.ConnRef) { r.remotes.set(remote, conns[ref]) },
		})
		now, last, found := monotime.Time(1), core.ConnRef(0), 0
		remote := func() netip.AddrPort { return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10}), uint16(1+rng.IntN(12))) }
		for range 2000 {
			ref := last - core.ConnRef(rng.IntN(8))
			switch path := (datagram.Path{Remote: remote()}); rng.IntN(6) {
			case 0:
				last++
				conns[last] = &Conn{ref: last}
				e.Add(now, last, nil)
			case 1, 2:
				e.HandleConnEvent(now, ref, core.EndpointEvent{Kind: core.AddConnID, Path: path})
			case 3:
				e.HandleConnEvent(now, ref, core.EndpointEvent{Kind: core.RetireConnID, Path: path})
			case 4:
				ev := core.EndpointEvent{Kind: core.ConnClosed, Remnant: core.Remnant{Expires: now.Add(time.Duration(1 + rng.IntN(1e9)))}}
				e.HandleConnEvent(now, ref, ev)
			case 5:
				now = now.Add(time.Duration(rng.IntN(1e9)))
				e.HandleTimeout(now)
			}
			require.NoError(t, e.CheckInvariants())
			train := datagram.Train{Path: datagram.Path{Remote: remote()}, Data: make([]byte, 100), SegmentSize: 40}
			if rng.IntN(4) == 0 {
				train.Data[80] = 0xc0
			}
			if rng.IntN(8) == 0 {
				train.Data[0] = 0xc0
				c, _ := r.take(&train)
				require.Nil(t, c)
				require.Len(t, train.Data, 100)
				continue
			}
			fast := train
			c, run := r.take(&fast)
			got := e.Receive(now, &train, core.ValidateUnderLoad, make([]byte, core.MaxUnknownSize))
			require.Equal(t, got.Kind == core.RouteConn, c != nil)
			if c != nil {
				require.Equal(t, got.Conn, c.ref)
				require.Len(t, run.Data, 100-len(fast.Data))
				require.Contains(t, []int{0, 20}, len(fast.Data), "all but a long header at the end")
				found++
			}
		}
		require.Greater(t, found, 100)
		for ref := range conns {
			e.HandleConnEvent(now, ref, core.EndpointEvent{Kind: core.ConnClosed})
		}
		e.HandleTimeout(now.Add(time.Hour))
		require.Zero(t, r.len())
	}
}
