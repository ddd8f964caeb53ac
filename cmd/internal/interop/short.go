package interop

import (
	"fmt"

	"github.com/pqquic/pqquic/cmd/internal/inspect"
)

// A shortPacket is what a 1-RTT packet contains that the checks look at.
type shortPacket struct {
	keyPhase   bool
	reportsECN bool // it has an ACK frame with ECN counts
	challenges []string
	responses  []string
}

// openShort opens the 1-RTT packets that both ends have sent, in a case with one connection.
func (e *evidence) openShort(keys *inspect.KeyLog) error {
	if len(e.connections) != 1 {
		return fmt.Errorf("%d connections were seen instead of 1", len(e.connections))
	}
	for end, name := range []string{"client", "server"} {
		version, connIDLen := uint32(1), 0 // of the destination connection IDs, which the other end has chosen
		e.trace.packets(1-end, func(_ *record, p *longPacket) {
			if p.kind == typeHandshake {
				version, connIDLen = p.version, len(p.scid)
			}
		})
		opener, err := keys.ShortOpener(e.connections[0], end == server, version)
		if err != nil {
			return err
		}
		for i := range e.trace.records {
			r := &e.trace.records[i]
			if r.from != end || r.arrived || r.short == 0 {
				continue
			}
			payload, phase, ok := opener.Open(r.packet[len(r.packet)-r.short:], connIDLen)
			if !ok {
				return fmt.Errorf("a 1-RTT packet of the %s cannot be opened", name)
			}
			r.opened = &shortPacket{keyPhase: phase}
			if !r.opened.parse(payload) {
				return fmt.Errorf("a 1-RTT packet of the %s has a frame that cannot be parsed", name)
			}
		}
	}
	return nil
}

// parse reads the frames of a packet. It reports false if it finds one that it cannot parse.
func (s *shortPacket) parse(payload []byte) bool {
	r := reader{b: payload, ok: true}
	for r.ok && len(r.b) > 0 {
		switch kind := r.varint(); kind {
		case 0x00, 0x01, 0x1e, 0x1f: // PADDING, PING, HANDSHAKE_DONE, IMMEDIATE_ACK
		case 0x02, 0x03:
			s.reportsECN = s.reportsECN || kind == 0x03
			r.skipACK(kind == 0x03)
		case 0x1a:
			s.challenges = append(s.challenges, string(r.take(8)))
		case 0x1b:
			s.responses = append(s.responses, string(r.take(8)))
		case 0x06: // CRYPTO
			r.varint()
			r.skipData()
		case 0x07: // NEW_TOKEN
			r.skipData()
		case 0x18: // NEW_CONNECTION_ID
			r.skip(2)
			r.take(int(r.byte()) + 16)
		case 0x1c, 0x1d: // CONNECTION_CLOSE
			r.skip(2 - int(kind&1))
			r.skipData()
		case 0x30: // DATAGRAM
			r.b = nil
		case 0x31:
			r.skipData()
		default:
			r.skipOther(kind)
		}
	}
	return r.ok
}

// numbers has the number of variable-length integers of the frames that consist of them.
var numbers = map[uint64]int{
	0x04: 3, 0x05: 2, // RESET_STREAM, STOP_SENDING
	0x10: 1, 0x11: 2, 0x12: 1, 0x13: 1, 0x14: 1, 0x15: 2, 0x16: 1, 0x17: 1, // MAX_DATA to STREAMS_BLOCKED
	0x19: 1,          // RETIRE_CONNECTION_ID
	0x24: 4, 0xaf: 4, // RESET_STREAM_AT, ACK_FREQUENCY
}

// skipOther skips a STREAM frame, or one that consists of numbers.
func (r *reader) skipOther(kind uint64) {
	if kind >= 0x08 && kind <= 0x0f {
		const offset, length = 4, 2
		r.varint()
		if kind&offset != 0 {
			r.varint()
		}
		if kind&length != 0 {
			r.skipData()
		} else {
			r.b = nil
		}
		return
	}
	n, known := numbers[kind]
	r.ok = r.ok && known
	r.skip(n)
}

// skip skips variable-length integers.
func (r *reader) skip(n int) {
	for range n {
		r.varint()
	}
}

// skipData skips a length and as many bytes.
func (r *reader) skipData() { r.take(int(r.varint())) }

func (r *reader) skipACK(ecn bool) {
	r.skip(2)
	ranges := r.varint()
	if ranges > uint64(len(r.b)) {
		r.ok = false
		return
	}
	r.skip(1 + 2*int(ranges))
	if ecn {
		r.skip(3)
	}
}
