package inspect

import (
	"bytes"
	"fmt"
)

// maxHello bounds what is kept of one side's hellos.
const maxHello = 64 << 10

// hellos collects the unencrypted handshake messages of one side.
type hellos struct {
	stream stream
	parsed int // bytes of stream that have been parsed
	broken bool
}

func (h *hellos) size() int { return h.stream.size() }

// add adds bytes of the handshake's stream and passes complete messages to f.
func (h *hellos) add(off uint64, data []byte, f func(msg []byte) error) error {
	if h.broken {
		return nil
	}
	h.stream.limit = maxHello
	if err := h.stream.add(off, data); err != nil {
		h.broken = true
		return err
	}
	for {
		msg, ok := h.stream.message(h.parsed)
		if !ok {
			return nil
		}
		h.parsed += len(msg)
		if err := f(msg); err != nil {
			h.broken = true
			return err
		}
	}
}

// fromClient reads a client's message.
func (c *conn) fromClient(msg []byte) error {
	r := c.report
	if msg[0] != typeClientHello {
		return nil
	}
	h, err := parseClientHello(msg)
	if err != nil {
		return fmt.Errorf("ClientHello: %w", err)
	}
	switch {
	case r.Hello == nil:
		r.Hello, r.ServerName, r.ALPN = h, h.ServerName, h.ALPN
	case r.RetryHello == nil:
		r.RetryHello = h
	}
	return nil
}

// fromServer reads a server's message.
func (c *conn) fromServer(msg []byte) error {
	r := c.report
	if msg[0] == typeServerKeyExchange && r.ServerHello != nil && r.Selected == nil {
		r.Selected = curveOf(msg[4:])
		return nil
	}
	if msg[0] != typeServerHello || r.ServerHello != nil {
		return nil
	}
	h, err := ParseServerHello(msg)
	if err != nil {
		return fmt.Errorf("ServerHello: %w", err)
	}
	if h.retry {
		r.RetryRequest = h
		return nil
	}
	r.ServerHello, r.Suite, r.Selected = h, &h.Suite, h.Group
	// TLS 1.2 resumes by repeating the session ID. TLS 1.3 repeats it only for compatibility with
	// middleboxes.
	r.Resumed = h.PSK || h.version < tls13 && len(h.session) > 0 && r.Hello != nil && bytes.Equal(h.session, r.Hello.session)
	return nil
}

// typeServerKeyExchange is a message of TLS 1.2. Its group is not encrypted.
const typeServerKeyExchange = 12

// curveOf reads the named curve of an ECDHE ServerKeyExchange (RFC 8422, 5.4).
func curveOf(b []byte) *Group {
	const namedCurve = 3
	if len(b) < 3 || b[0] != namedCurve {
		return nil
	}
	g := GroupOf(uint16(b[1])<<8 | uint16(b[2]))
	return &g
}
