package inspect

import "encoding/binary"

// tcpState is the state for finding the hellos at the start of a TCP connection.
type tcpState struct {
	side [2]tcpSide
	done bool // the hellos are complete, or this is not TLS
	tls  bool // the client's bytes began as TLS does
}

// tcpSide is one direction: its bytes, and how far its TLS records have been read.
type tcpSide struct {
	known   bool   // base is known
	base    uint32 // sequence number of the first byte
	stream  stream
	records int // bytes of stream that have been read
	plain   int // bytes of handshake messages found in them
	ended   bool
}

// TLS record types (RFC 8446, 5.1).
const (
	recordCipherSpec = 20
	recordAlert      = 21
	recordHandshake  = 22

	recordHeader = 5
)

func (t *tcpState) size() int { return t.side[0].stream.size() + t.side[1].stream.size() }

// tcp examines a segment. It reports whether it belongs to the unencrypted part of a TLS handshake, or may.
func (in *Inspector) tcp(d *datagram) bool {
	c, dir := in.findTCP(d)
	if c == nil {
		return false
	}
	if c.tcp.done {
		in.touch(c, d.time)
		if d.end {
			in.remove(c)
		}
		return false
	}
	side := &c.tcp.side[dir]
	if d.syn {
		side.known, side.base = true, d.seq+1
		in.touch(c, d.time)
		return true
	}
	if len(d.payload) > 0 {
		if !side.known {
			if !looksLikeTLS(d.payload) {
				return false
			}
			side.known, side.base = true, d.seq
		}
		if dir == fromClient && d.seq == side.base && isClientHello(d.payload) {
			c.tcp.tls = true
		}
		c.readTCP(dir, d)
	}
	if c.tcp.done {
		in.emit(c)
		c.tcp.side = [2]tcpSide{}
	}
	in.touch(c, d.time)
	if d.end && (c.tcp.done || c.report.Hello == nil) {
		in.remove(c)
	}
	return true
}

// findTCP returns a segment's connection. A SYN or a ClientHello creates one.
func (in *Inspector) findTCP(d *datagram) (*conn, int) {
	key := connKey{client: d.src, server: d.dst, tcp: true}
	back := connKey{client: d.dst, server: d.src, tcp: true}
	if c := in.conns[back]; c != nil {
		return c, fromServer
	}
	c := in.conns[key]
	if c != nil && d.syn && c.tcp.side[fromClient].base != d.seq+1 {
		in.remove(c) // a new connection on the same ports
		c = nil
	}
	dir := fromClient
	switch {
	case c != nil:
	case d.syn && d.ack: // the client's SYN is missing
		key, dir = back, fromServer
		fallthrough
	case d.syn, isClientHello(d.payload):
		c = in.add(d, key, "tcp")
		c.tcp = &tcpState{}
	}
	return c, dir
}

// looksLikeTLS reports whether b may be the start of a TLS connection's first record.
func looksLikeTLS(b []byte) bool {
	return len(b) >= recordHeader && (b[0] == recordHandshake || b[0] == recordAlert) && b[1] == 3
}

func isClientHello(b []byte) bool {
	return looksLikeTLS(b) && len(b) > recordHeader && b[recordHeader] == typeClientHello
}

// readTCP adds a segment's bytes and reads the complete records.
func (c *conn) readTCP(dir int, d *datagram) {
	side := &c.tcp.side[dir]
	side.stream.limit = maxHello
	off := int64(int32(d.seq - side.base))
	if off < 0 {
		return
	}
	if d.cut {
		c.report.problem("a segment was cut short by the capture")
	}
	if err := side.stream.add(uint64(off), d.payload); err != nil {
		c.abandon(err.Error())
		return
	}
	for !side.ended && !c.tcp.done {
		b := side.stream.head[side.records:]
		if len(b) < recordHeader {
			return
		}
		if b[0] < recordCipherSpec || b[0] > 24 || b[1] != 3 {
			c.abandon("not TLS")
			return
		}
		n := recordHeader + int(binary.BigEndian.Uint16(b[3:]))
		if len(b) < n {
			return
		}
		side.records += n
		c.record(dir, b[0], b[recordHeader:n])
	}
}

// abandon ends the examination of a connection.
func (c *conn) abandon(why string) {
	c.report.problem(why)
	c.tcp.done = true
}

// record reads one TLS record.
func (c *conn) record(dir int, kind byte, body []byte) {
	side := &c.tcp.side[dir]
	switch kind {
	case recordHandshake:
		var err error
		if dir == fromClient {
			err = c.client.add(uint64(side.plain), body, c.fromClient)
		} else {
			err = c.server.add(uint64(side.plain), body, c.fromServer)
		}
		side.plain += len(body)
		if err != nil {
			c.abandon(err.Error())
		}
	case recordCipherSpec:
		// TLS 1.3 sends this record only for compatibility with middleboxes, also between the hellos. In
		// TLS 1.2 everything after it is encrypted.
		if sh := c.report.ServerHello; sh != nil && sh.version < tls13 {
			side.ended = true
		}
	case recordAlert:
		if len(body) == 2 && c.report.Close == "" {
			c.report.Close = (&closeFrame{code: 0x100 | uint64(body[1])}).String()
		}
		c.tcp.done = true
	default:
		side.ended = true
	}
	sh := c.report.ServerHello
	if sh != nil {
		c.report.Version = sh.Version
	}
	if sh != nil && (sh.version >= tls13 || c.report.Selected != nil || side.ended) {
		c.tcp.done = true
	}
}
