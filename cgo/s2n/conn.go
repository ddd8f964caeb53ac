package s2n

import (
	"bytes"
	"encoding/binary"
	"sync"
	"unsafe"

	"github.com/pqquic/pqquic/cgo/awslc"
)

// EventKind says what happened in a handshake. The values are those of pqquic.h.
type EventKind uint8

const (
	EventWrite       EventKind = iota + 1 // Data: CRYPTO to send at Level
	EventKeys                             // Aux: KeysRead, KeysWrite of Level are ready
	EventParams                           // Data: the server's transport parameters
	EventClientHello                      // Data: the ClientHello's body; Continue answers
	EventSign                             // Aux: the certificate's index; Data: see SignData
	EventDone                             // the handshake is complete
	EventTicket                           // TakeTicket has one
	EventKeyLog                           // Data: a line
)

// Bits of an EventKeys's Aux.
const (
	KeysRead = 1 << iota
	KeysWrite
)

// An Event is one record of a connection's log.
type Event struct {
	Kind  EventKind
	Level uint8
	Aux   uint16
	Data  []byte
}

// NextEvent takes the first event off a log. ok is false at its end.
func NextEvent(log []byte) (e Event, rest []byte, ok bool) {
	if len(log) < 8 {
		return Event{}, nil, false
	}
	n := int(binary.NativeEndian.Uint32(log[4:]))
	e = Event{
		Kind:  EventKind(log[0]),
		Level: log[1],
		Aux:   binary.NativeEndian.Uint16(log[2:]),
		Data:  log[8 : 8+n : 8+n],
	}
	return e, log[8+n:], true
}

// A Conn is one handshake. One goroutine at a time.
type Conn struct {
	p   unsafe.Pointer
	log []byte
}

// A Failure ended a handshake.
type Failure struct {
	Alert uint8
	Err   error // of s2n-tls; nil where the binding itself gave up
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return "s2n: unexpected handshake data"
	}
	return f.Err.Error()
}

func (f *Failure) Unwrap() error { return f.Err }

// ConnParams are what a client's handshake needs beyond its Config.
type ConnParams struct {
	ServerName string // sent as SNI; "" for none
	VerifyName string // the certificate has to match it; "" for no check
	VerifyIP   bool   // VerifyName is an address
	Params     []byte // transport parameters; a server gives them in Continue
}

// NewConn starts a handshake.
func NewConn(cfg *Config, p ConnParams) (*Conn, error) {
	if cfg.p == nil {
		return nil, errClosed
	}
	h, code := connNew(cfg.p, &p)
	if h == nil {
		return nil, errorOf(code)
	}
	return &Conn{p: h}, nil
}

// Resume offers a ticket; before the first Drive. The ticket stays the caller's. now is as in Drive: a
// ticket may be too old.
func (c *Conn) Resume(t *Ticket, now int64) bool {
	return c.p != nil && t.p != nil && connResume(c.p, t.p, now)
}

// Drive feeds CRYPTO bytes of one level and runs the handshake until it waits, fails or completes;
// afterwards it takes post-handshake messages. now is the time for certificates in nanoseconds since
// 1970, 0 the system's. The log, for [NextEvent], is valid until the next call. A failed handshake
// returns a [*Failure], and goes on doing so.
func (c *Conn) Drive(level uint8, in []byte, now int64) ([]byte, error) {
	if c.p == nil {
		return nil, errClosed
	}
	if c.log == nil {
		c.log = logs.Get().(*[logLen]byte)[:]
	}
	r := connDrive(c.p, level, in, now, c.log)
	if !r.ok {
		f := &Failure{Alert: r.alert}
		if r.err != 0 {
			f.Err = errorOf(r.err)
		}
		return nil, f
	}
	if r.more > 0 {
		grown := make([]byte, r.n+r.more)
		copy(grown, c.log[:r.n])
		r.n += connLog(c.p, grown[r.n:])
		c.dropLog()
		c.log = grown
	}
	log := c.log[:r.n]
	if r.done {
		// Little follows, and rarely: the connection lives on without a buffer of its own.
		log = bytes.Clone(log)
		c.dropLog()
	}
	return log, nil
}

// logLen holds the log of all but long chains.
const logLen = 4096

// logs are reused: a handshake's log is the largest thing that Go allocates for it.
var logs = sync.Pool{New: func() any { return new([logLen]byte) }}

func (c *Conn) dropLog() {
	if len(c.log) == logLen {
		clear(c.log) // a key log's lines may have been in it
		logs.Put((*[logLen]byte)(c.log))
	}
	c.log = nil
}

// Continue answers EventClientHello; Drive goes on. cfg, when not nil, replaces the configuration.
func (c *Conn) Continue(cfg *Config, alpn string, params []byte) error {
	if c.p == nil || cfg != nil && cfg.p == nil {
		return errClosed
	}
	var p unsafe.Pointer
	if cfg != nil {
		p = cfg.p
	}
	if code, ok := connContinue(c.p, p, []byte(alpn), params); !ok {
		return errorOf(code)
	}
	return nil
}

// SignData takes apart an EventSign's data: a signature and a hash algorithm in s2n-tls's numbers,
// and the digest.
func SignData(data []byte) (alg, hash uint8, digest []byte) {
	return data[0], data[1], data[2:]
}

// Numbers of signature and hash algorithms in [SignData].
const (
	SigECDSA      = 3
	SigRSAPSSRSAE = 224
	SigRSAPSSPSS  = 225

	HashSHA256 = 4
	HashSHA384 = 5
	HashSHA512 = 6
)

// Signed answers EventSign; Drive goes on. s2n-tls verifies the signature.
func (c *Conn) Signed(sig []byte) error {
	if c.p == nil {
		return errClosed
	}
	if code, ok := connSigned(c.p, sig); !ok {
		return errorOf(code)
	}
	return nil
}

// TakeSealer moves a level's write keys to the caller; nil unless EventKeys announced them.
func (c *Conn) TakeSealer(level uint8, version uint32) *awslc.Sealer {
	if c.p == nil {
		return nil
	}
	return awslc.SealerOf(connTakeSealer(c.p, level, version))
}

// TakeOpener is TakeSealer for read keys.
func (c *Conn) TakeOpener(level uint8, version uint32) *awslc.Opener {
	if c.p == nil {
		return nil
	}
	return awslc.OpenerOf(connTakeOpener(c.p, level, version))
}

// State is what a handshake has settled so far; the rest is zero.
type State struct {
	CipherSuite uint16
	Resumed     bool
	Group       string // s2n-tls's name
	ALPN        string
}

// State reads the connection's state.
func (c *Conn) State() State {
	if c.p == nil {
		return State{}
	}
	return connState(c.p)
}

// Export derives keying material (RFC 8446, 7.5), once the handshake is complete.
func (c *Conn) Export(label string, context []byte, length int) ([]byte, bool) {
	if c.p == nil || length <= 0 || length > 255*32 {
		return nil, false
	}
	out := make([]byte, length)
	return out, connExport(c.p, []byte(label), context, out)
}

// TakeTicket moves the last ticket to the caller; nil if there is none.
func (c *Conn) TakeTicket() *Ticket {
	if c.p == nil {
		return nil
	}
	if p := connTakeTicket(c.p); p != nil {
		return &Ticket{p}
	}
	return nil
}

// IgnoreTickets frees the memory that a complete handshake keeps for tickets. Later tickets are checked and
// dropped.
func (c *Conn) IgnoreTickets() {
	if c.p != nil {
		connSettle(c.p)
	}
}

// Close frees everything but what was taken. It is idempotent.
func (c *Conn) Close() {
	connFree(c.p)
	c.p = nil
	c.dropLog()
}

// A Ticket resumes a session. It holds a secret and stays in C. Safe for concurrent use until Close.
type Ticket struct{ p unsafe.Pointer }

// Lifetime is how long the ticket can be used, in seconds.
func (t *Ticket) Lifetime() uint32 {
	if t.p == nil {
		return 0
	}
	return ticketLifetime(t.p)
}

// Close frees the ticket. It is idempotent.
func (t *Ticket) Close() {
	ticketFree(t.p)
	t.p = nil
}

// driveResult is pqq_result in Go.
type driveResult struct {
	ok      bool
	done    bool
	alert   uint8
	err     int32
	n, more int
}
