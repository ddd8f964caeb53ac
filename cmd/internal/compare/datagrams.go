package compare

import (
	"cmp"
	"encoding/binary"
	"sync"
)

// Datagrams counts the datagrams of a handshake that begin with an Initial or Handshake packet.
type Datagrams struct {
	ClientHello int `json:"client_hello"` // of the client, before the server's first
	Client      int `json:"client"`       // of the client, including those of the ClientHello
	Server      int `json:"server"`
}

// A datagramCounter counts the datagrams of the handshakes that it sees. It distinguishes connections by the
// client's connection ID, and ignores those without one.
type datagramCounter struct {
	mu          sync.Mutex
	connections map[string]*Datagrams
}

// see counts a datagram.
func (c *datagramCounter) see(toServer bool, b []byte) {
	destination, source, ok := handshakePacket(b)
	client := destination
	if toServer {
		client = source
	}
	if !ok || len(client) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.connections[string(client)]
	if d == nil {
		if !toServer {
			return
		}
		d = new(Datagrams)
		if c.connections == nil {
			c.connections = make(map[string]*Datagrams)
		}
		c.connections[string(client)] = d
	}
	switch {
	case !toServer:
		d.Server++
	case d.Server == 0:
		d.ClientHello++
		d.Client++
	default:
		d.Client++
	}
}

// fewest returns the counts of the connection with the fewest datagrams, which repeated none because of a delay. It
// returns nil if there was no connection.
func (c *datagramCounter) fewest() *Datagrams {
	c.mu.Lock()
	defer c.mu.Unlock()
	var least *Datagrams
	for _, d := range c.connections {
		if d.Server > 0 && (least == nil || d.less(least)) {
			least = d
		}
	}
	return least
}

func (d *Datagrams) less(o *Datagrams) bool {
	return cmp.Or(cmp.Compare(d.Client+d.Server, o.Client+o.Server), cmp.Compare(d.ClientHello, o.ClientHello), cmp.Compare(d.Client, o.Client)) < 0
}

// handshakePacket returns the connection IDs of the Initial or Handshake packet of QUIC version 1 with which a
// datagram begins. ok is false for any other datagram.
func handshakePacket(b []byte) (destination, source []byte, ok bool) {
	const (
		longHeader         = 0x80
		initial, handshake = 0, 2
		version1           = 1
		maxID              = 20
	)
	if len(b) < 7 || b[0]&longHeader == 0 || binary.BigEndian.Uint32(b[1:]) != version1 {
		return nil, nil, false
	}
	if kind := b[0] >> 4 & 3; kind != initial && kind != handshake {
		return nil, nil, false
	}
	ids := b[5:]
	for _, id := range []*[]byte{&destination, &source} {
		if len(ids) == 0 || ids[0] > maxID || len(ids) <= int(ids[0]) {
			return nil, nil, false
		}
		*id, ids = ids[1:1+ids[0]], ids[1+ids[0]:]
	}
	return destination, source, true
}
