// Package relay forwards datagrams between clients and a server over a path with delay, jitter, loss,
// reordering and a bottleneck with a given rate and queue. It runs in user space, so it needs neither root
// nor a kernel with netem. Each client gets its own socket towards the server, as behind a NAT.
package relay

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A Link is one direction of the path. The zero value delivers immediately.
type Link struct {
	Delay   time.Duration // one way
	Jitter  time.Duration // each datagram waits up to this much longer, without overtaking another
	Loss    float64       // share of datagrams dropped, 0 to 1
	Reorder float64       // share of datagrams that wait ReorderBy longer, and so arrive late
	// ReorderBy is how much longer a reordered datagram waits. Zero means Delay.
	ReorderBy time.Duration
	Rate      int64 // of the bottleneck, in bytes a second; 0 means no bottleneck
	Queue     int   // of the bottleneck, in bytes; datagrams beyond it are dropped. 0 means 64 KiB
}

const (
	defaultQueue = 64 << 10
	maxDatagram  = 65535
	maxClients   = 4096 // beyond it, the client that was silent the longest is forgotten
)

// A Relay forwards datagrams until Close.
type Relay struct {
	up, down Link
	front    *net.UDPConn
	server   *net.UDPAddr

	mu      sync.Mutex
	rand    *rand.Rand
	clients map[netip.AddrPort]*client
	pipes   [2]*pipe // to the server, to the clients
	dropped [2]int64
	tap     func(toServer bool, datagram []byte)
	drop    func(datagram []byte) bool
	closed  bool
	wait    sync.WaitGroup
}

// client is one client's socket towards the server.
type client struct {
	addr     netip.AddrPort
	back     *net.UDPConn
	lastSeen time.Time
}

// New starts a relay to server on a free port of the loopback address in the server's family. The same seed
// loses and delays the same datagrams, except for differences in the processes' timing.
func New(server string, up, down Link, seed uint64) (*Relay, error) {
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		return nil, err
	}
	local := net.IPv4(127, 0, 0, 1)
	if to.IP.To4() == nil {
		local = net.IPv6loopback
	}
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: local})
	if err != nil {
		return nil, err
	}
	r := &Relay{
		up: up, down: down, front: front, server: to,
		rand: rand.New(rand.NewPCG(seed, 0)), clients: make(map[netip.AddrPort]*client),
	}
	for i := range r.pipes {
		r.pipes[i] = newPipe(&r.wait)
	}
	r.wait.Go(r.fromClients)
	return r, nil
}

// Addr returns the address that clients send to.
func (r *Relay) Addr() string { return r.front.LocalAddr().String() }

// Dropped returns how many datagrams were dropped towards the server and towards the clients.
func (r *Relay) Dropped() (up, down int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped[0], r.dropped[1]
}

// Tap calls f for each datagram that arrives from now on, one call at a time. f must not keep the datagram.
func (r *Relay) Tap(f func(toServer bool, datagram []byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tap = f
}

// Drop drops each datagram to the server for which f returns true, from now on. f is called for one at a time, and must not
// keep the datagram.
func (r *Relay) Drop(f func(datagram []byte) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop = f
}

// Close stops forwarding and waits until all goroutines have ended. Queued datagrams are lost.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	r.front.Close()
	for _, c := range r.clients {
		c.back.Close()
	}
	for _, p := range r.pipes {
		p.close()
	}
	r.mu.Unlock()
	r.wait.Wait()
}

func (r *Relay) fromClients() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := r.front.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if c := r.client(from); c != nil {
			r.forward(0, &r.up, buf[:n], func(b []byte) { _, _ = c.back.Write(b) })
		}
	}
}

// client finds or creates a client's socket. It returns nil if none can be created.
func (r *Relay) client(from netip.AddrPort) *client {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.clients[from]; c != nil {
		c.lastSeen = time.Now()
		return c
	}
	if r.closed {
		return nil
	}
	if len(r.clients) >= maxClients {
		r.forgetOldest()
	}
	back, err := net.DialUDP("udp", nil, r.server)
	if err != nil {
		return nil
	}
	c := &client{addr: from, back: back, lastSeen: time.Now()}
	r.clients[from] = c
	r.wait.Go(func() { r.fromServer(c) })
	return c
}

func (r *Relay) forgetOldest() {
	var oldest *client
	for _, c := range r.clients {
		if oldest == nil || c.lastSeen.Before(oldest.lastSeen) {
			oldest = c
		}
	}
	oldest.back.Close()
	delete(r.clients, oldest.addr)
}

func (r *Relay) fromServer(c *client) {
	buf := make([]byte, maxDatagram)
	for {
		n, err := c.back.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error: the server is not listening, or not yet
		}
		r.forward(1, &r.down, buf[:n], func(b []byte) { _, _ = r.front.WriteToUDPAddrPort(b, c.addr) })
	}
}

// forward queues a datagram in direction i, or drops it.
func (r *Relay) forward(i int, l *Link, b []byte, send func([]byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if r.tap != nil {
		r.tap(i == 0, b)
	}
	if i == 0 && r.drop != nil && r.drop(b) {
		r.dropped[i]++
		return
	}
	wait := l.Delay
	if l.Jitter > 0 {
		wait += time.Duration(r.rand.Int64N(int64(l.Jitter)))
	}
	late := l.Reorder > 0 && r.rand.Float64() < l.Reorder
	if l.Loss > 0 && r.rand.Float64() < l.Loss || !r.pipes[i].push(l, b, wait, late, send) {
		r.dropped[i]++
	}
}
