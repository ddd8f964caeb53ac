package quic

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/udp"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// openLoops opens the sockets of an Endpoint with several loops.
func openLoops(network, addr string, cfg *Config, loops int) ([]net.PacketConn, loopIDs, error) {
	var key [4]byte
	if _, err := io.ReadFull(cfg.Provider.Rand(), key[:]); err != nil {
		return nil, loopIDs{}, fmt.Errorf("quic: random generator: %w", err)
	}
	ids := newLoopIDs(binary.BigEndian.Uint32(key[:]), loops)
	ids.length = cfg.connIDLen()
	if cfg.GenerateConnID != nil {
		ids.Offset = ids.length - namingBytes
	}
	pcs, err := udp.ListenGroup(network, addr, ids.Selector, cfg.Logger)
	if err != nil {
		return nil, loopIDs{}, fmt.Errorf("quic: Config.Loops is %d: %w", loops, err)
	}
	return pcs, ids, nil
}

// namingBytes is the number of bytes of a connection ID that name the loop.
const namingBytes = 4

// loopIDs makes connection IDs that name a loop. Four bytes of an ID are w; loop number (w × Key mod 2^32) >> 16 mod
// Sockets has the connection. They are the first four of a random ID, and the last four of one that
// Config.GenerateConnID writes the rest of.
//
// "Connection IDs MUST NOT contain any information that can be used by an external observer [...] to
// correlate them with other connection IDs for the same connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1-4
//
// The number of the loop is such information, so it is not in the ID as it is. The key is random and known to
// the process and the kernel only. It hides the number, but not from an observer who has the IDs of many
// connections and searches for the key: see docs/several-loops.md.
type loopIDs struct {
	udp.Selector
	inverse uint32 // of Key, modulo 2^32
	length  int    // of the IDs
}

func newLoopIDs(random uint32, loops int) loopIDs {
	key := random | 1 // only odd numbers have an inverse
	inverse := key    // correct in the lowest 3 bits; each step doubles the number of correct bits
	for range 4 {
		inverse *= 2 - key*inverse
	}
	return loopIDs{udp.Selector{Key: key, Sockets: loops}, inverse, core.ConnIDLen}
}

// loopOf returns the number of the loop that an ID names.
func (l *loopIDs) loopOf(id []byte) int { return l.Select(binary.BigEndian.Uint32(id[l.Offset:])) }

// name changes four random bytes of an ID so that it names a loop.
func (l *loopIDs) name(id []byte, loop int) {
	id = id[l.Offset:]
	product := binary.BigEndian.Uint32(id)
	high, n := product>>16, uint32(l.Sockets)
	high = high - high%n + uint32(loop)
	if high > 0xffff {
		high -= n
	}
	binary.BigEndian.PutUint32(id, (high<<16|product&0xffff)*l.inverse)
}

// ownerOf returns the loop that must handle a datagram that e has received. Packets with a short header and
// Handshake packets have a connection ID that this server chose and that names the loop. The client may have
// chosen the ID of other packets. They belong to the loop that received them: the kernel passes all packets of a client to the
// same socket, by a hash of the addresses.
func (e *Endpoint) ownerOf(d []byte) *Endpoint {
	const atID = 6
	n := e.ids.length
	switch {
	case len(d) >= 1+n && d[0]&0x80 == 0:
		return e.loops[e.ids.loopOf(d[1:])]
	case len(d) >= atID+n && int(d[atID-1]) == n && wire.HasLongType(d, wire.PacketHandshake):
		return e.loops[e.ids.loopOf(d[atID:])]
	}
	return e
}
