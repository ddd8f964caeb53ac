package inspect

import (
	"errors"
	"slices"
)

// A ShortOpener opens the 1-RTT packets of one direction of a connection, in the order in which they were sent. It
// follows key updates.
type ShortOpener struct {
	keys   *opener
	secret []byte
	phase  bool
}

// ShortOpener returns an opener for the packets of a connection's server or client. version is that of its Handshake
// packets.
func (k *KeyLog) ShortOpener(c *Connection, server bool, version uint32) (*ShortOpener, error) {
	dir := fromClient
	if server {
		dir = fromServer
	}
	if c.Hello == nil || c.Suite == nil {
		return nil, errors.New("the handshake is incomplete")
	}
	all := k.secrets[c.lastHello().random]
	if all == nil || all.application[dir] == nil {
		return nil, errors.New("the key log has no application secrets of the connection")
	}
	keys, err := newOpener(version, c.Suite.ID, all.application[dir])
	if err != nil {
		return nil, err
	}
	return &ShortOpener{keys: keys, secret: all.application[dir]}, nil
}

// Open returns the payload of a packet whose destination connection ID has a length, and its key phase bit.
func (o *ShortOpener) Open(packet []byte, connIDLen int) (payload []byte, phase, ok bool) {
	b := slices.Clone(packet)
	if payload, ok := o.keys.open(b, 1+connIDLen); ok {
		return payload, o.phase, true
	}
	next, err := o.next()
	if err != nil {
		return nil, false, false
	}
	b = slices.Clone(packet)
	if payload, ok = next.keys.open(b, 1+connIDLen); !ok {
		return nil, false, false
	}
	*o = *next
	return payload, o.phase, true
}

// next returns the opener after a key update (RFC 9001, section 6.1).
func (o *ShortOpener) next() (*ShortOpener, error) {
	secret, err := o.keys.expand(o.secret, "ku", len(o.secret))
	if err != nil {
		return nil, err
	}
	keys := *o.keys // the key for headers stays
	return &ShortOpener{&keys, secret, !o.phase}, keys.setKey(secret)
}
