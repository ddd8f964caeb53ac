package fake

import (
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
	"github.com/pqquic/pqquic/tlsprovider/messages"
)

// state is the message that a session waits for.
type state uint8

const (
	start state = iota
	wantServerHello
	wantEncryptedExtensions
	wantCertificate // on a client, CertificateRequest is allowed, too
	wantCertificateVerify
	wantFinished
	wantClientHello
	wantDecision
	wantClientHello2
	done
)

// A session is one handshake of either side.
type session struct {
	guard
	p                      *Provider
	ep                     *endpoint
	side                   tlsprovider.Side
	params                 tlsprovider.SessionParams
	closed, ticketsIgnored bool
	failed                 error

	state     state
	readLevel tlsprovider.Level
	in        []byte
	events    []tlsprovider.Event
	scribble  [][]byte // data of events, which the next call overwrites

	transcript uint64
	random     uint64
	handshake  uint64 // secrets
	app        uint64
	psk        uint64
	suite      tlsprovider.CipherSuite
	offer      helloParams
	hello      *hello.ClientHello
	decision   tlsprovider.Decision
	wantPQ     bool // RequirePQ of any endpoint that the session has had
	generation int  // that of the endpoint when the session began
	certAsked  bool
	sign       *tlsprovider.SignRequest
	resume     func(sig []byte) error // called with a Signer's signature
	ready      [4][2]bool             // level; Sealer, Opener
	watch      hello.Watch
	post       messages.PostHandshake
	st         tlsprovider.State
}

const maxMessage = 1<<20 + 1<<10 // a certificate chain of Options.ChainLen

// NewSession implements tlsprovider.Endpoint.
func (e *endpoint) NewSession(p tlsprovider.SessionParams) (tlsprovider.Session, error) {
	e.mu.Lock()
	closed, generation := e.closed, e.generation
	e.mu.Unlock()
	switch {
	case closed:
		return nil, e.p.misuse("NewSession after Close")
	case !knownVersion(p.Version):
		return nil, errVersion
	case e.side == tlsprovider.Client && p.ServerName == "":
		return nil, errors.New("fake: ServerName is empty: a client needs the name of the server")
	}
	s := &session{p: e.p, ep: e, side: e.side, params: p, random: e.p.next(), transcript: m0, wantPQ: e.cfg.RequirePQ,
		generation: generation}
	s.st = tlsprovider.State{Provider: "fake", ServerName: p.ServerName}
	if e.side == tlsprovider.Server {
		s.state = wantClientHello
	}
	e.p.made()
	return s, nil
}

func (s *session) fail(alert tlsprovider.Alert, format string, args ...any) error {
	if s.failed == nil {
		s.failed = &tlsprovider.Error{Alert: alert, Err: fmt.Errorf("fake: "+format, args...)}
	}
	return s.failed
}

// begin starts a call. It invalidates the events of the last call.
func (s *session) begin(what string) error {
	if s.closed {
		return s.p.misuse("%s after Close", what)
	}
	for _, b := range s.scribble {
		for i := range b {
			b[i] = 0xdb
		}
	}
	s.scribble, s.events = s.scribble[:0], s.events[:0]
	return s.failed
}

// Advance implements tlsprovider.Session.
func (s *session) Advance(in []tlsprovider.CryptoData) ([]tlsprovider.Event, error) {
	s.enter(s.p, "Session")
	defer s.leave()
	if err := s.begin("Advance"); err != nil {
		return nil, err
	}
	if s.state == start {
		s.sendClientHello()
	}
	if s.sign != nil && len(in) == 0 {
		if err := s.signed(); err != nil {
			return nil, err
		}
	}
	for _, d := range in {
		if len(d.Data) == 0 {
			continue
		}
		if d.Level != s.readLevel {
			return nil, s.fail(tlsprovider.AlertUnexpectedMessage, "received %v bytes, expected %v bytes", d.Level, s.readLevel)
		}
		if s.state == done {
			if s.failed = s.post.Check(s.side, d.Data); s.failed != nil {
				return nil, s.failed
			}
		}
		s.in = append(s.in, d.Data...)
		if err := s.run(); err != nil {
			return nil, err
		}
	}
	return s.events, nil
}

// run processes the messages received so far, until there are no more or the session has to wait.
func (s *session) run() error {
	for s.sign == nil && s.state != wantDecision {
		kind, body, rest, declared, ok := hello.Next(s.in)
		if declared > maxMessage {
			return s.fail(tlsprovider.AlertDecodeError, "message of %d bytes", declared)
		}
		if !ok {
			return nil
		}
		raw := s.in[:hello.HeaderLen+declared]
		s.in = rest
		if s.readLevel != tlsprovider.LevelApp {
			s.watch.Add(s.side.Peer(), s.readLevel, raw)
		}
		var err error
		if s.side == tlsprovider.Client {
			err = s.clientMessage(kind, body, raw)
		} else {
			err = s.serverMessage(kind, body, raw)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *session) unexpected(kind uint8) error {
	return s.fail(tlsprovider.AlertUnexpectedMessage, "message %d in state %d", kind, s.state)
}

func (s *session) emit(e tlsprovider.Event) {
	s.events = append(s.events, e)
	if e.Data != nil {
		s.scribble = append(s.scribble, e.Data)
	}
}

// write sends a message and adds it to the transcript.
func (s *session) write(level tlsprovider.Level, msg []byte) {
	s.transcript = sum(s.transcript, msg)
	s.watch.Add(s.side, level, msg)
	if n := len(s.events); n > 0 && s.events[n-1].Kind == tlsprovider.EventWrite && s.events[n-1].Level == level {
		s.events[n-1].Data = append(s.events[n-1].Data, msg...)
		s.scribble[len(s.scribble)-1] = s.events[n-1].Data
		return
	}
	s.emit(tlsprovider.Event{Kind: tlsprovider.EventWrite, Level: level, Data: msg})
}

func (s *session) keysReady(level tlsprovider.Level, read, write bool) {
	s.ready[level] = [2]bool{s.ready[level][0] || write, s.ready[level][1] || read}
	s.emit(tlsprovider.Event{Kind: tlsprovider.EventKeys, Level: level, Read: read, Write: write})
}

// setReadLevel changes the level of the input. All input of the old level must have been processed.
//
// "When TLS provides keys for a higher encryption level, if there is data from a previous encryption
// level that TLS has not consumed, this MUST be treated as a connection error [...]"
// https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3-10.3
func (s *session) setReadLevel(level tlsprovider.Level) error {
	if len(s.in) != 0 {
		return s.fail(tlsprovider.AlertUnexpectedMessage, "%d bytes left at level %v", len(s.in), s.readLevel)
	}
	s.readLevel = level
	return nil
}

// requirePQ enforces Config.RequirePQ.
func (s *session) requirePQ(g tlsprovider.Group) error {
	if s.wantPQ && !g.PostQuantum() {
		return s.fail(tlsprovider.AlertInsufficientSecurity, "RequirePQ is set, but %v is not post-quantum", g)
	}
	return nil
}

// complete ends the handshake.
func (s *session) complete() error {
	s.state = done
	s.st.HelloRetried = s.watch.Retried()
	s.st.ClientShareLen, s.st.ServerShareLen = s.watch.Shares()
	s.st.SignatureScheme = s.watch.Scheme(s.side.Peer())
	s.st.CipherSuite = s.suite
	if err := s.ep.cfg.RunVerifyPeer(&s.st); err != nil {
		s.failed = err
		return err
	}
	s.st.HandshakeDone = true
	s.emit(tlsprovider.Event{Kind: tlsprovider.EventHandshakeDone})
	return nil
}

// State implements tlsprovider.Session.
func (s *session) State() tlsprovider.State {
	s.enter(s.p, "Session")
	defer s.leave()
	return s.st
}

// IgnoreTickets implements tlsprovider.Session. A second call is misuse.
func (s *session) IgnoreTickets() {
	s.enter(s.p, "Session")
	defer s.leave()
	switch {
	case s.closed:
		_ = s.p.misuse("IgnoreTickets after Close")
	case s.ticketsIgnored:
		_ = s.p.misuse("IgnoreTickets called twice")
	case s.state == done && s.failed == nil:
		s.ticketsIgnored = true
		s.p.ticketsIgnored.Add(1)
	}
}

// Close implements tlsprovider.Session.
func (s *session) Close() {
	s.enter(s.p, "Session")
	defer s.leave()
	if s.closed {
		return
	}
	if s.failed == nil {
		s.failed = errors.New("fake: the session is closed")
	}
	s.closed = true
	s.in, s.events, s.scribble = nil, nil, nil
	s.p.gone()
}
