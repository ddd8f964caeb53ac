//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// rawFloor is what a bulk transfer costs at least: AES-128-GCM (crypto/aes) over packets of the size of a datagram,
// and UDP with GSO and GRO. There is no handshake and nothing is retransmitted. The receiver acknowledges each train
// of packets with one datagram, so that the socket buffer never overflows. Datagrams may overtake each other, which
// they do on loopback when a thread that sends moves to the other CPU: each packet carries its number.
const rawFloor = "raw-floor"

const (
	trainBytes  = 64000 // of UDP payload that one system call sends at most
	trainsAhead = 16    // that are not acknowledged
	numberBytes = 8     // of the packet's number, in front of each packet
	tagBytes    = 16

	acknowledgement = 0xff // a datagram of this byte; messages begin with another
)

type floorEndpoint struct {
	socket
	aead   cipher.AEAD
	packet int // size of a UDP payload
	free   chan struct{}
	next   *floorConn // of a message that overtook the last acknowledgement of the one before
}

func openFloor(s *settings) (endpoint, error) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		return nil, err
	}
	e := &floorEndpoint{packet: s.datagram, free: make(chan struct{}, 1)}
	e.free <- struct{}{}
	if e.aead, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	if e.socket, err = newSocket(s); err != nil {
		return nil, err
	}
	if err := e.setBuffers(); err != nil {
		return nil, err
	}
	return e, e.control(func(fd int) error {
		// The kernel otherwise remembers a small path MTU for minutes, which tests with forged ICMP messages can leave.
		return errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE),
			unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, e.packet),
			unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1))
	})
}

// accept waits for a message after the one before was answered.
func (e *floorEndpoint) accept() (connection, error) {
	<-e.free
	if c := e.next; c != nil {
		e.next = nil
		return c, nil
	}
	in := make([]byte, trainBytes)
	for {
		n, peer, err := e.ReadFromUDPAddrPort(in)
		if err != nil {
			return nil, err
		}
		if in[0] != acknowledgement {
			return e.newConn(peer, in[:n]), nil
		}
	}
}

// newConn returns the server's side of a connection.
func (e *floorEndpoint) newConn(peer netip.AddrPort, message []byte) *floorConn {
	return &floorConn{floorEndpoint: e, peer: peer, message: bytes.Clone(message), in: make([]byte, trainBytes)}
}

func (e *floorEndpoint) dial(_ context.Context, addr string) (connection, error) {
	peer, err := netip.ParseAddrPort(addr)
	return &floorConn{floorEndpoint: e, peer: peer, in: make([]byte, trainBytes)}, err
}

func (e *floorEndpoint) refusals() (refused, validated int64) { return -1, -1 }
func (e *floorEndpoint) close()                               { e.UDPConn.Close() }

// A floorConn is a connection and its only stream.
type floorConn struct {
	*floorEndpoint
	peer     netip.AddrPort
	message  []byte // of the client
	in, out  []byte
	sent     uint64 // packets sealed
	ahead    int    // trains that are not acknowledged
	got      int64
	want     int64 // bytes of the answer
	accepted bool
}

func (c *floorConn) openStream() (stream, error) { return c, nil }

func (c *floorConn) acceptStream() (stream, error) {
	if c.accepted {
		return nil, net.ErrClosed
	}
	c.accepted = true
	return &floorAnswer{floorConn: c}, nil
}

func (c *floorConn) negotiated() (group, suite string) { return "none", wantSuite }
func (c *floorConn) abort()                            {}

// Write adds to the message.
func (c *floorConn) Write(p []byte) (int, error) {
	c.message = append(c.message, p...)
	return len(p), nil
}

// CloseWrite sends the message.
func (c *floorConn) CloseWrite() error {
	switch {
	case c.message[0] == answerCount && len(c.message) == headerSize:
		c.want = int64(binary.BigEndian.Uint64(c.message[1:]))
	case c.message[0] == answerByte && len(c.message) == 1:
		c.want = 1
	default:
		return fmt.Errorf("%s cannot send a message of %d bytes", rawFloor, len(c.message))
	}
	_, err := c.WriteToUDPAddrPort(c.message, c.peer)
	return err
}

// nonce returns the nonce of a packet, which begins with its number.
func nonce(buf *[12]byte, packet []byte) []byte {
	copy(buf[4:], packet[:numberBytes])
	return buf[:]
}

// Read receives a train of packets, which fits in p, and opens it.
func (c *floorConn) Read(p []byte) (int, error) {
	if c.got == c.want {
		return 0, io.EOF
	}
	n, _, err := c.ReadFromUDPAddrPort(c.in)
	if err != nil {
		return 0, err
	}
	var buf [12]byte
	out := p[:0]
	for train := c.in[:n]; len(train) > 0; {
		packet := train[:min(c.packet, len(train))]
		train = train[len(packet):]
		if len(packet) < numberBytes {
			return 0, fmt.Errorf("%s: a packet of %d bytes has no number", rawFloor, len(packet))
		}
		number := packet[:numberBytes]
		if out, err = c.aead.Open(out, nonce(&buf, number), packet[numberBytes:], number); err != nil {
			return 0, err
		}
	}
	if _, err := c.WriteToUDPAddrPort([]byte{acknowledgement}, c.peer); err != nil {
		return 0, err
	}
	c.got += int64(len(out))
	return len(out), nil
}

// A floorAnswer is the server's side of the stream.
type floorAnswer struct {
	*floorConn
	rest []byte // plaintext that does not fill a packet
}

func (a *floorAnswer) Read(p []byte) (int, error) {
	if a.message == nil {
		return 0, io.EOF
	}
	n := copy(p, a.message)
	a.message = nil
	return n, nil
}

// Write seals p as packets and sends them in trains. It keeps what does not fill a packet or a train.
func (a *floorAnswer) Write(p []byte) (int, error) {
	payload := a.packet - numberBytes - tagBytes
	for left := p; len(left) > 0; {
		packet := left
		if len(a.rest) > 0 || len(left) < payload {
			n := min(payload-len(a.rest), len(left))
			a.rest = append(a.rest, left[:n]...)
			left = left[n:]
			packet = a.rest
			if len(packet) < payload {
				break
			}
			a.rest = a.rest[:0]
		} else {
			packet, left = left[:payload], left[payload:]
		}
		if err := a.seal(packet); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// seal adds a packet to the train.
func (a *floorAnswer) seal(packet []byte) error {
	if len(a.out)+a.packet > trainBytes {
		if err := a.send(); err != nil {
			return err
		}
	}
	var buf [12]byte
	start := len(a.out)
	a.out = binary.BigEndian.AppendUint64(a.out, a.sent)
	number := a.out[start:]
	a.out = a.aead.Seal(a.out, nonce(&buf, number), packet, number)
	a.sent++
	return nil
}

// send sends a train when few enough are not acknowledged.
func (a *floorAnswer) send() error {
	for a.ahead >= trainsAhead {
		if err := a.acknowledged(); err != nil {
			return err
		}
	}
	_, err := a.WriteToUDPAddrPort(a.out, a.peer)
	a.out = a.out[:0]
	a.ahead++
	return err
}

// acknowledged waits for an acknowledgement. GRO may join several. The client sends its next message after the last
// acknowledgement, but the message may arrive first.
func (a *floorAnswer) acknowledged() error {
	n, peer, err := a.ReadFromUDPAddrPort(a.in)
	if err != nil {
		return err
	}
	if a.in[0] != acknowledgement {
		a.next = a.newConn(peer, a.in[:n])
		return nil
	}
	a.ahead -= n
	return nil
}

// CloseWrite sends the rest, waits until everything has arrived, and makes way for the next message.
func (a *floorAnswer) CloseWrite() error {
	if len(a.rest) > 0 {
		if err := a.seal(a.rest); err != nil {
			return err
		}
	}
	if err := a.send(); err != nil {
		return err
	}
	for a.ahead > 0 {
		if err := a.acknowledged(); err != nil {
			return err
		}
	}
	a.free <- struct{}{}
	return nil
}
