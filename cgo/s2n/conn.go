package s2n

import (
	"bytes"
	"encoding/binary"
	"sync"
	"unsafe"

	"github.com/pqquic/pqquic/cgo/awslc"
)

// EventKind is the kind of an [Event]. The values are those of pqquic.h.
type EventKind uint8

const (
	EventWrite       EventKind = iota + 1 // Data is CRYPTO to send at Level
	EventKeys                             // keys of Level are ready; Aux is KeysRead or KeysWrite
	EventParams                           // Data holds the server's transport parameters
	EventClientHello                      // Data is the ClientHello's body; call Continue
	EventSign                             // Aux is the certificate's index, Data is for SignData; call Signed
	EventDone                             // the handshake is complete
	EventTicket                           // TakeTicket returns a ticket
	EventKeyLog                           // Data is a line of the key log
	EventVerified                         // Data is the next certificate of the path from the peer's to a root
)

// Bits of Aux of an EventKeys.
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

// NextEvent returns the first event of a log and the rest of the log. ok is false at its end.
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

// A Conn is one handshake. It must not be used concurrently.
type Conn struct {
	p   unsafe.Pointer
	log []byte
}

// A Failure is the error of a failed handshake.
type Failure struct {
	Alert uint8
	Err   error // the error of s2n-tls; nil if the C library failed the handshake
}

func (f *Failure) Error() string {
	if f.Err == nil {
		return "s2n: unexpected handshake data"
	}
	return f.Err.Error()
}

func (f *Failure) Unwrap() error { return f.Err }

// ConnParams are the parameters of a client's handshake.
type ConnParams struct {
	ServerName string // sent in SNI; "" for none
	VerifyName string // the certificate must be valid for it; "" for no check
	VerifyIP   bool   // VerifyName is an address
	Params     []byte // transport parameters; a server passes its own to Continue
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

// Resume makes a client offer a ticket. The caller still owns the ticket. Resume must be called before the first
// Drive. now is as in Drive. It returns false if the ticket has expired.
func (c *Conn) Resume(t *Ticket, now int64) bool {
	return c.p != nil && t.p != nil && connResume(c.p, t.p, now)
}

// Drive processes CRYPTO bytes of one level and runs the handshake until it waits, fails or completes. After the
// handshake it processes post-handshake messages. now is the time, in nanoseconds since 1970, at which certificates
// must be valid; 0 means the system's time. The log, for [NextEvent], is valid until the next call. If the handshake
// has failed, Drive returns a [*Failure].
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
		// Later logs are small and rare, so the connection keeps no buffer for them.
		log = bytes.Clone(log)
		c.dropLog()
	}
	return log, nil
}

// logLen is sufficient for the log of a handshake, unless its certificate chain is long.
const logLen = 4096

// logs is a pool of buffers, because the log is the largest allocation of a handshake in Go.
var logs = sync.Pool{New: func() any { return new([logLen]byte) }}

func (c *Conn) dropLog() {
	if len(c.log) == logLen {
		clear(c.log) // it may contain lines of the key log
		logs.Put((*[logLen]byte)(c.log))
	}
	c.log = nil
}

// Continue answers EventClientHello. cfg, if not nil, replaces the configuration. The caller calls Drive next.
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

// SignData parses the data of an EventSign: the signature and hash algorithms in s2n-tls's numbers, and the digest.
func SignData(data []byte) (alg, hash uint8, digest []byte) {
	return data[0], data[1], data[2:]
}

// Numbers of signature and hash algorithms in [SignData].
const (
	SigECDSA      = 3
	SigMLDSA      = 9 // the digest is µ, and the hash algorithm is 0
	SigRSAPSSRSAE = 224
	SigRSAPSSPSS  = 225

	HashSHA256 = 4
	HashSHA384 = 5
	HashSHA512 = 6
)

// Signed answers EventSign with a signature, which s2n-tls verifies. The caller calls Drive next.
func (c *Conn) Signed(sig []byte) error {
	if c.p == nil {
		return errClosed
	}
	if code, ok := connSigned(c.p, sig); !ok {
		return errorOf(code)
	}
	return nil
}

// TakeSealer passes the ownership of a level's write keys to the caller. It returns nil unless EventKeys has
// announced them.
func (c *Conn) TakeSealer(level uint8, version uint32) *awslc.Sealer {
	if c.p == nil {
		return nil
	}
	return awslc.SealerOf(connTakeSealer(c.p, level, version))
}

// TakeOpener passes the ownership of a level's read keys to the caller, as TakeSealer does for write keys.
func (c *Conn) TakeOpener(level uint8, version uint32) *awslc.Opener {
	if c.p == nil {
		return nil
	}
	return awslc.OpenerOf(connTakeOpener(c.p, level, version))
}

// State describes what a handshake has negotiated so far. Other fields are zero.
type State struct {
	CipherSuite uint16
	Resumed     bool
	Group       string // the name that s2n-tls uses
	ALPN        string
}

// State returns the state of the handshake.
func (c *Conn) State() State {
	if c.p == nil {
		return State{}
	}
	return connState(c.p)
}

// Export derives keying material (RFC 8446, 7.5). It returns false before the handshake is complete.
func (c *Conn) Export(label string, context []byte, length int) ([]byte, bool) {
	if c.p == nil || length <= 0 || length > 255*32 {
		return nil, false
	}
	out := make([]byte, length)
	return out, connExport(c.p, []byte(label), context, out)
}

// TakeTicket passes the ownership of the last ticket to the caller. It returns nil if there is none.
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

// Close frees the connection, except for keys and tickets that were taken. It is idempotent.
func (c *Conn) Close() {
	connFree(c.p)
	c.p = nil
	c.dropLog()
}

// A Ticket resumes a session. Its secret stays in C, unless Save is called. It is safe for concurrent use until Close.
type Ticket struct{ p unsafe.Pointer }

// Lifetime returns for how many seconds the ticket can be used.
func (t *Ticket) Lifetime() uint32 {
	if t.p == nil {
		return 0
	}
	return ticketLifetime(t.p)
}

// Save returns the ticket with its secret, for RestoreTicket.
func (t *Ticket) Save() []byte {
	if t.p == nil {
		return nil
	}
	out := make([]byte, 256)
	n := ticketSave(t.p, out)
	if n > len(out) {
		out = make([]byte, n)
		ticketSave(t.p, out)
	}
	return out[:n]
}

// RestoreTicket returns a ticket that Save has saved, or nil if there is no memory in C. Conn.Resume checks it.
func RestoreTicket(saved []byte, lifetime uint32) *Ticket {
	if p := ticketRestore(saved, lifetime); p != nil {
		return &Ticket{p}
	}
	return nil
}

// Close frees the ticket. It is idempotent.
func (t *Ticket) Close() {
	ticketFree(t.p)
	t.p = nil
}

// driveResult is the Go form of pqq_result.
type driveResult struct {
	ok      bool
	done    bool
	alert   uint8
	err     int32
	n, more int
}
