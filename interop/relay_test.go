package interop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The directions of a relay.
const (
	toServer = 0
	toClient = 1
)

// A relay forwards datagrams between clients and a server. The server sees each socket of a client at an address of the
// relay. Its fields change what the network does.
type relay struct {
	t     *testing.T
	front *net.UDPConn
	wait  sync.WaitGroup

	mu     sync.Mutex
	server netip.AddrPort
	flows  map[netip.AddrPort]*flow // by the client's address
	rand   *rand.Rand
	// loss is the probability with which a datagram is lost, but never more than maxRun in a row.
	loss float64
	run  [2]int
	// After holeAfter datagrams there is a black hole, in which the next hole datagrams are lost. dark loses all.
	holeAfter, hole int
	dark            bool
	limit           [2]int // of the size of datagrams; 0 means none
	largest         [2]int // datagram that was delivered
	// remark changes the ECN field of the datagrams of a direction, or is nil. marked counts those that had ECT(0) or ECT(1).
	remark func(direction int, field byte) byte
	marked [2]int
}

// A flow is a socket of a client.
type flow struct {
	client netip.AddrPort
	back   *net.UDPConn
}

// maxRun is the largest number of datagrams in a row that are lost by chance, as in the scenarios of the interop runner.
const maxRun = 3

// newRelay starts a relay. Its method via is meant for options.
func newRelay(t *testing.T, loss float64) *relay {
	t.Helper()
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	require.NoError(t, receiveTOS(front))
	r := &relay{t: t, front: front, loss: loss, flows: make(map[netip.AddrPort]*flow), rand: rand.New(rand.NewPCG(1, uint64(loss*1000)))}
	r.wait.Go(r.readClients)
	t.Cleanup(func() {
		front.Close()
		r.mu.Lock()
		for _, f := range r.flows {
			f.back.Close()
		}
		r.mu.Unlock()
		r.wait.Wait()
	})
	return r
}

// via puts the relay in front of a server and returns its address. It may be called again, for another server.
func (r *relay) via(server string) string {
	to, err := netip.ParseAddrPort(server)
	require.NoError(r.t, err)
	r.set(func() { r.server = to })
	return r.front.LocalAddr().String()
}

// set changes fields.
func (r *relay) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// rebind gives all clients new addresses. What is on the way to the old ones is lost.
func (r *relay) rebind() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.flows {
		f.back.Close()
		require.NoError(r.t, r.open(f))
	}
}

// outside returns the address at which a server sees a client's socket.
func (r *relay) outside(client net.Addr) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.flows[client.(*net.UDPAddr).AddrPort()]
	if f == nil {
		return fmt.Sprintf("the relay has received nothing from %v", client)
	}
	return f.back.LocalAddr().String()
}

// client returns the address of the only client.
func (r *relay) client() net.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(r.t, r.flows, 1)
	for client := range r.flows {
		return net.UDPAddrFromAddrPort(client)
	}
	return nil
}

// open gives a flow a new socket. mu is held.
func (r *relay) open(f *flow) error {
	back, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	if err := receiveTOS(back); err != nil {
		return err
	}
	f.back = back
	client := f.client
	r.wait.Go(func() { r.readServer(back, client) })
	return nil
}

func (r *relay) readClients() {
	in := newMarkedReader(r.front)
	for {
		b, field, from, err := in.read()
		if err != nil {
			return
		}
		r.mu.Lock()
		f := r.flows[from]
		if f == nil {
			f = &flow{client: from}
			if r.open(f) != nil { // the test has ended
				r.mu.Unlock()
				return
			}
			r.flows[from] = f
		}
		if field, ok := r.pass(toServer, len(b), field); ok {
			writeMarked(f.back, b, field, r.server)
		}
		r.mu.Unlock()
	}
}

func (r *relay) readServer(back *net.UDPConn, client netip.AddrPort) {
	in := newMarkedReader(back)
	for {
		b, field, _, err := in.read()
		if err != nil {
			return
		}
		r.mu.Lock()
		if r.flows[client].back == back { // or it was on the way to an old address
			if field, ok := r.pass(toClient, len(b), field); ok {
				writeMarked(r.front, b, field, client)
			}
		}
		r.mu.Unlock()
	}
}

// pass reports whether a datagram is delivered, and with which ECN field. mu is held.
func (r *relay) pass(direction, size int, field byte) (byte, bool) {
	if field == ect0 || field == ect1 {
		r.marked[direction]++
	}
	switch {
	case r.dark, r.limit[direction] > 0 && size > r.limit[direction]:
		return 0, false
	case r.holeAfter > 0:
		r.holeAfter--
	case r.hole > 0:
		r.hole--
		return 0, false
	case r.run[direction] < maxRun && r.rand.Float64() < r.loss:
		r.run[direction]++
		return 0, false
	}
	r.run[direction] = 0
	r.largest[direction] = max(r.largest[direction], size)
	if r.remark != nil {
		field = r.remark(direction, field)
	}
	return field, true
}

// The values of the ECN field.
const (
	ect1 = 1
	ect0 = 2
	ce   = 3
)

// A markedReader reads datagrams with their ECN fields.
type markedReader struct {
	c        *net.UDPConn
	buf, oob []byte
}

func newMarkedReader(c *net.UDPConn) *markedReader {
	return &markedReader{c, make([]byte, 65535), make([]byte, 128)}
}

// read returns the next datagram, which is valid until the following call.
func (m *markedReader) read() (b []byte, field byte, from netip.AddrPort, err error) {
	for {
		n, oobn, _, from, err := m.c.ReadMsgUDPAddrPort(m.buf, m.oob)
		if err == nil {
			return m.buf[:n], ecnField(m.oob[:oobn]), from, nil
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, 0, from, err
		}
		// A server that has gone is reported as ECONNREFUSED.
	}
}

// losses are the loss rates of the tests.
var losses = []float64{0, 0.02, 0.1}

// impaired calls f for each pair at each loss rate. All pairs of a rate run at the same time, because they mostly wait for
// lost packets.
func impaired(t *testing.T, f func(t *testing.T, client, server stack, loss float64)) {
	for _, loss := range losses {
		t.Run(fmt.Sprintf("loss %v %%", 100*loss), func(t *testing.T) {
			var wait sync.WaitGroup
			eachPair(t, func(name string, client, server stack) {
				wait.Go(func() { t.Run(name, func(t *testing.T) { f(t, client, server, loss) }) })
			})
			wait.Wait()
		})
	}
}

// until repeats an exchange until ok reports true.
func until(t *testing.T, cc, sc conn, ok func() bool, unless string) {
	t.Helper()
	ctx := deadline(t)
	for !ok() {
		require.NoError(t, ctx.Err(), unless)
		exchange(t, cc, sc, 1, 50_000)
	}
}
