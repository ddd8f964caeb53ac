package quic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/udp"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// nonQUIC has the packets that are not QUIC and wait for ReadNonQUICPacket. All loops of an Endpoint share it.
type nonQUIC struct {
	limit             int // of packets; 0 if the program does not want them
	received, dropped atomic.Uint64

	mu      sync.Mutex // nothing is locked while it is held
	queue   []nonQUICPacket
	waiting waitList
}

type nonQUICPacket struct {
	from netip.AddrPort
	data []byte
}

// quicBit is set in the first byte of every QUIC packet.
//
// "Fixed Bit: The next bit (0x40) of byte 0 is set to 1, unless the packet is a Version Negotiation packet.
// Packets containing a zero value for this bit are not valid packets in this version and MUST be discarded. A
// value of 1 for this bit allows QUIC to coexist with other protocols; see [RFC7983]."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2-3.4
const quicBit = wire.FixedBit

var errGreasedNonQUIC = errors.New("quic: Config.GreaseFixedBit and NonQUICQueue exclude each other: packets of other protocols are recognized by their fixed bit, which GreaseFixedBit makes random: set one of them")

// isNonQUIC reports whether the first of the datagrams in data belongs to another protocol. A Version Negotiation
// packet may have the fixed bit or not: it is one if its version is 0, and belongs to QUIC.
func isNonQUIC(data []byte) bool {
	if data[0]&quicBit != 0 {
		return false
	}
	return data[0]&0x80 == 0 || len(data) < 5 || data[1]|data[2]|data[3]|data[4] != 0
}

// takeNonQUIC removes the first datagram from t if it is not QUIC and the program wants such packets.
func (e *Endpoint) takeNonQUIC(t *datagram.Train) bool {
	if e.nonQUIC.limit == 0 || !isNonQUIC(t.Data) {
		return false
	}
	e.nonQUIC.put(t.Path.Remote, t.Next())
	return true
}

// put queues a copy of a packet, or drops the packet if the queue is full. It does not wait.
func (q *nonQUIC) put(from netip.AddrPort, d []byte) {
	q.mu.Lock()
	if len(q.queue) >= q.limit {
		q.mu.Unlock()
		q.dropped.Add(1)
		return
	}
	q.queue = append(q.queue, nonQUICPacket{from, append([]byte(nil), d...)})
	var w wakeSet
	q.waiting.addAll(&w)
	q.mu.Unlock()
	q.received.Add(1)
	w.wake()
}

// take removes the first packet. If there is none, it returns a waker that is woken when one arrives.
func (q *nonQUIC) take() (nonQUICPacket, waker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		q.queue = nil
		return nonQUICPacket{}, q.waiting.enter()
	}
	p := q.queue[0]
	q.queue[0] = nonQUICPacket{}
	q.queue = q.queue[1:]
	return p, nil
}

func (q *nonQUIC) leave(w waker) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting.leave(w)
}

// ReadNonQUICPacket waits for a packet of another protocol that shares the socket, copies it into p and returns its
// length and its source. If p is too small, the rest of the packet is lost. Config.NonQUICQueue enables it.
//
// A packet is not QUIC if the bit 0x40 of its first byte is 0 and it is not a Version Negotiation packet, unless it
// has the connection ID of a connection. STUN, ZRTP, DTLS, RTP and RTCP (RFC 9443), and WireGuard are not QUIC. The
// channel messages of TURN cannot be told from QUIC.
func (e *Endpoint) ReadNonQUICPacket(ctx context.Context, p []byte) (int, net.Addr, error) {
	q := &e.nonQUIC
	if q.limit == 0 {
		return 0, nil, errors.New("quic: packets that are not QUIC are dropped: set Config.NonQUICQueue to read them")
	}
	for {
		if isClosed(e.closed) {
			return 0, nil, ErrEndpointClosed
		}
		if ctx.Err() != nil {
			return 0, nil, context.Cause(ctx)
		}
		packet, w := q.take()
		if w == nil {
			return copy(p, packet.data), net.UDPAddrFromAddrPort(packet.from), nil
		}
		select {
		case <-w:
			continue
		case <-ctx.Done():
		case <-e.closed:
		}
		q.leave(w)
	}
}

// WriteTo sends a packet of another protocol from the Endpoint's socket. It waits while the socket's send buffer is
// full. Connections share the buffer, and WriteTo has no congestion control: a program that sends much slows
// them down. The receiver should be able to tell the packet from QUIC: see ReadNonQUICPacket. The system does not
// fragment the packet, except on systems where path MTU discovery does not work.
func (e *Endpoint) WriteTo(p []byte, addr net.Addr) (int, error) {
	if isClosed(e.closed) {
		return 0, ErrEndpointClosed
	}
	if len(p) == 0 {
		return 0, errors.New("quic: WriteTo: the packet is empty")
	}
	to, err := udp.AddrPort(addr)
	if err != nil {
		return 0, fmt.Errorf("quic: WriteTo: address: %w", err)
	}
	tx := datagram.Transmit{Data: p, SegmentSize: len(p), Path: datagram.Path{Remote: to}}
	switch err := e.sock.WriteWait(&tx); {
	case err == nil:
		return len(p), nil
	case udp.Classify(err) == udp.ClassClosed:
		return 0, ErrEndpointClosed
	default:
		return 0, fmt.Errorf("quic: WriteTo %v: %w", to, err)
	}
}
