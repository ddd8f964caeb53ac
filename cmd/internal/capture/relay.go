package capture

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gopacket/gopacket/layers"
)

// A Relay forwards datagrams between clients and a server and reports them as frames, addressed as if the
// two communicated directly. It serves programs whose sockets cannot be wrapped, where packet sockets are
// not permitted.
type Relay struct {
	front  *net.UDPConn
	server netip.AddrPort
	frame  func(Frame)

	mu      sync.Mutex // also orders the calls of frame
	clients map[netip.AddrPort]*net.UDPConn
	closed  bool
	wait    sync.WaitGroup
}

// maxRelayed bounds the clients of a Relay.
const maxRelayed = 1024

// NewRelay listens on a free port of the server's address.
func NewRelay(server netip.AddrPort, frame func(Frame)) (*Relay, error) {
	front, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(server.Addr(), 0)))
	if err != nil {
		return nil, err
	}
	r := &Relay{front: front, server: server, frame: frame, clients: make(map[netip.AddrPort]*net.UDPConn)}
	r.wait.Go(r.forward)
	return r, nil
}

// Addr returns the address that clients connect to.
func (r *Relay) Addr() netip.AddrPort { return r.front.LocalAddr().(*net.UDPAddr).AddrPort() }

// Close ends the relay. frame is not called after it returns.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	r.front.Close()
	for _, c := range r.clients {
		c.Close()
	}
	r.mu.Unlock()
	r.wait.Wait()
}

func (r *Relay) forward() {
	b := make([]byte, 64<<10)
	for {
		n, from, err := r.front.ReadFromUDPAddrPort(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			continue // an ICMP error caused by an earlier datagram
		}
		if c := r.client(from); c != nil {
			r.show(from, r.server, b[:n])
			_, _ = c.Write(b[:n])
		}
	}
}

// client returns the socket towards the server for a client.
func (r *Relay) client(from netip.AddrPort) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.clients[from]; c != nil || r.closed || len(r.clients) >= maxRelayed {
		return c
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.server))
	if err != nil {
		return nil
	}
	r.clients[from] = c
	r.wait.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, err := c.Read(b)
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil:
				continue
			}
			r.show(r.server, from, b[:n])
			_, _ = r.front.WriteToUDPAddrPort(b[:n], from)
		}
	})
	return c
}

func (r *Relay) show(src, dst netip.AddrPort, payload []byte) {
	data, err := UDPPacket(src, dst, payload)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.frame(Frame{Time: time.Now(), Link: layers.LinkTypeRaw, Data: data, Length: len(data)})
	}
}
