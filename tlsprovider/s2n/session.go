package s2n

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/cgo/s2n"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
	"github.com/pqquic/pqquic/tlsprovider/messages"
)

// A session is one handshake. It implements tlsprovider.Session. C frees the connection of s2n-tls when the
// handshake is complete.
type session struct {
	ep      *endpoint // a server's Decision may replace it
	signers []crypto.Signer
	conn    *s2n.Conn
	name    string // SessionParams.ServerName

	generation int      // of the client's tickets
	binding    [32]byte // of the client's tickets
	version    uint32   // SessionParams.Version
	storeFault error    // of Config.ClientStore

	ticketPQAuth bool // PQAuth of the handshake that the client's ticket comes from

	events  []tlsprovider.Event
	hello   *hello.ClientHello  // while the server waits for Continue
	offered []tlsprovider.Group // by the client, if this is the server
	alpn    string              // the protocol of the server's Decision
	sign    *tlsprovider.SignRequest
	state   tlsprovider.State
	watch   *watch // nil once tickets are ignored
	post    messages.PostHandshake
	wantPQ  bool // RequirePQ of any endpoint that the session has had
	pqAuth  bool // RequirePQAuth of any endpoint that the session has had
	checked bool // the group was checked for wantPQ
	outside bool // a signature was requested from a Signer
	failed  error
}

func (e *endpoint) NewSession(p tlsprovider.SessionParams) (tlsprovider.Session, error) {
	now, err := e.cfg.CurrentTime() // before the lock, because it calls the program's clock
	if err != nil {
		return nil, err
	}
	e.rotate(now)
	cp, err := e.connParams(p)
	if err != nil {
		return nil, err
	}
	prepared, err := e.use()
	if err != nil {
		return nil, err
	}
	defer prepared.done()
	conn, err := s2n.NewConn(prepared.s2n, cp)
	if err != nil {
		return nil, err
	}
	s := &session{ep: e, signers: prepared.signers, conn: conn, watch: new(watch), name: p.ServerName, wantPQ: e.cfg.RequirePQ, pqAuth: e.cfg.RequirePQAuth}
	s.state = tlsprovider.State{Provider: Name, ServerName: cp.ServerName}
	if e.side == tlsprovider.Client {
		s.state.ServerName = p.ServerName
		s.binding, s.generation, s.version = prepared.binding, prepared.from.generation, p.Version
		if t := s.takeTicket(now); t.ticket != nil {
			// If s2n-tls does not accept the ticket, the handshake is a full one.
			conn.Resume(t.ticket, e.nanoseconds(now))
			t.ticket.Close()
			s.ticketPQAuth = t.pqAuth
		}
	}
	return s, nil
}

// connParams returns the parameters of a connection: the name to send in SNI, which must not be an address, and
// the name to verify.
func (e *endpoint) connParams(p tlsprovider.SessionParams) (s2n.ConnParams, error) {
	if e.side == tlsprovider.Server {
		return s2n.ConnParams{}, nil
	}
	if len(p.TransportParameters) > 0xffff {
		return s2n.ConnParams{}, errors.New("s2n: TransportParameters are too long for an extension")
	}
	name, err := tlsprovider.ParseServerName(p.ServerName)
	if err != nil {
		return s2n.ConnParams{}, fmt.Errorf("s2n: %w", err)
	}
	cp := s2n.ConnParams{
		Params: p.TransportParameters, ServerName: name.SNI, VerifyName: name.Verify, VerifyIP: name.IP,
	}
	if e.cfg.InsecureSkipVerify {
		cp.VerifyName = ""
	}
	return cp, nil
}

// fail ends the session. Later calls return the same error.
func (s *session) fail(alert tlsprovider.Alert, err error) error {
	s.failed = &tlsprovider.Error{Alert: alert, Err: err}
	return s.failed
}

func (s *session) Advance(in []tlsprovider.CryptoData) ([]tlsprovider.Event, error) {
	if s.failed != nil {
		return nil, s.failed
	}
	if s.storeFault != nil {
		return nil, s.fail(tlsprovider.AlertInternalError, s.storeFault)
	}
	clear(s.events) // they refer to bytes that are no longer valid
	s.events = s.events[:0]
	if s.sign != nil && len(in) == 0 {
		if err := s.signed(); err != nil {
			return nil, err
		}
	}
	if len(in) == 0 {
		in = []tlsprovider.CryptoData{{}}
	}
	for i, d := range in {
		if err := s.drive(d, i+1 < len(in)); err != nil {
			return nil, err
		}
	}
	return s.events, nil
}

// signed passes the Signer's signature, if it is ready, to s2n-tls.
func (s *session) signed() error {
	sig, err := s.sign.Result()
	switch {
	case err != nil:
		return s.fail(tlsprovider.AlertInternalError, fmt.Errorf("s2n: signing: %w", err))
	case sig == nil:
		return nil // not yet
	}
	s.sign = nil
	if err := s.conn.Signed(sig); err != nil {
		return s.fail(tlsprovider.AlertInternalError, fmt.Errorf("s2n: the Signer's signature: %w", err))
	}
	return nil
}

// drive makes one call into C and processes its log. If keep is true, the log's bytes stay valid during the next
// call of the same Advance.
func (s *session) drive(d tlsprovider.CryptoData, keep bool) error {
	if len(d.Data) > 0 && s.watch != nil {
		if err := s.watch.peer(s.ep.side.Peer(), d.Level, d.Data); err != nil {
			return s.fail(tlsprovider.AlertDecodeError, err)
		}
	}
	if s.state.HandshakeDone && d.Level == tlsprovider.LevelApp {
		if s.failed = s.post.Check(s.ep.side, d.Data); s.failed != nil {
			return s.failed
		}
	}
	now, err := s.ep.cfg.CurrentTime()
	if err != nil {
		s.failed = err
		return err
	}
	log, err := s.conn.Drive(uint8(d.Level), d.Data, s.ep.nanoseconds(now))
	if err != nil {
		return s.driveError(err)
	}
	if keep {
		log = bytes.Clone(log)
	}
	for e, rest, ok := s2n.NextEvent(log); ok; e, rest, ok = s2n.NextEvent(rest) {
		if err := s.event(e, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) driveError(err error) error {
	var f *s2n.Failure
	if !errors.As(err, &f) {
		return s.fail(tlsprovider.AlertInternalError, err)
	}
	var e *s2n.Error
	if errors.As(f.Err, &e) {
		switch e.Name {
		case "S2N_ERR_CERT_UNTRUSTED": // of an untrusted chain, and in the variant historic of a wrong name
			if tlsprovider.Alert(f.Alert) == tlsprovider.AlertBadCertificate {
				err = fmt.Errorf("s2n: the server's certificate is not valid for %q", s.name)
			}
		case "S2N_ERR_CERT_REJECTED":
			err = fmt.Errorf("s2n: the server's certificate is not valid for %q", s.name)
		case "S2N_ERR_INVALID_SUPPORTED_GROUP_STATE", "S2N_ERR_ECDHE_UNSUPPORTED_CURVE":
			// The text of s2n-tls describes the state of an extension.
			err = fmt.Errorf("s2n: no common key exchange group: the client offers %s, the server takes %s: %w",
				tlsprovider.GroupList(s.offered), s.ep.groupNames(), err)
		}
	}
	return s.fail(tlsprovider.Alert(f.Alert), err)
}

// event processes one record of the log of a call at the time now.
func (s *session) event(e s2n.Event, now time.Time) error {
	level := tlsprovider.Level(e.Level)
	switch e.Kind {
	case s2n.EventWrite:
		if s.watch != nil {
			s.watch.Add(s.ep.side, level, e.Data)
		}
		s.emit(tlsprovider.Event{Kind: tlsprovider.EventWrite, Level: level, Data: e.Data})
	case s2n.EventKeys:
		if err := s.checkGroup(); err != nil {
			return err
		}
		if level == tlsprovider.LevelApp && s.ep.side == tlsprovider.Server && e.Aux&s2n.KeysWrite != 0 {
			if err := s.fillState(s.conn.State()); err != nil {
				return err
			}
		}
		s.emit(tlsprovider.Event{Kind: tlsprovider.EventKeys, Level: level,
			Read: e.Aux&s2n.KeysRead != 0, Write: e.Aux&s2n.KeysWrite != 0})
	case s2n.EventParams:
		s.emit(tlsprovider.Event{Kind: tlsprovider.EventTransportParameters, Level: level, Data: e.Data})
	case s2n.EventClientHello:
		return s.clientHello(e.Data)
	case s2n.EventSign:
		return s.signEvent(int(e.Aux), e.Data)
	case s2n.EventVerified:
		s.watch.path = append(s.watch.path, bytes.Clone(e.Data))
	case s2n.EventDone:
		if err := s.done(); err != nil {
			return err
		}
		s.emit(tlsprovider.Event{Kind: tlsprovider.EventHandshakeDone, Level: level})
	case s2n.EventTicket:
		if t := s.conn.TakeTicket(); t != nil && s.putTicket(t, now) {
			s.emit(tlsprovider.Event{Kind: tlsprovider.EventTicket, Level: level})
		}
		if s.storeFault != nil {
			return s.fail(tlsprovider.AlertInternalError, s.storeFault)
		}
	case s2n.EventKeyLog:
		if w := s.ep.cfg.KeyLogWriter; w != nil {
			err := tlsprovider.Guard("Config.KeyLogWriter", func() error {
				_, err := w.Write(append(bytes.Clone(e.Data), '\n'))
				return err
			})
			if err != nil {
				return s.fail(tlsprovider.AlertInternalError, fmt.Errorf("s2n: key log: %w", err))
			}
		}
	}
	return nil
}

func (s *session) emit(e tlsprovider.Event) {
	if s.events == nil {
		s.events = make([]tlsprovider.Event, 0, 4) // a server's flight has four
	}
	s.events = append(s.events, e)
}

func (s *session) clientHello(body []byte) error {
	ch, err := hello.ParseClientHello(body)
	if err != nil {
		return s.fail(tlsprovider.AlertDecodeError, err)
	}
	if !ch.HasParameters {
		// "Endpoints MUST send the quic_transport_parameters extension; endpoints that
		// receive ClientHello or EncryptedExtensions messages without the
		// quic_transport_parameters extension MUST close the connection with an error of
		// type 0x016d (equivalent to a fatal TLS missing_extension alert, see Section
		// 4.8)."
		// https://www.rfc-editor.org/rfc/rfc9001#section-8.2-5
		return s.fail(tlsprovider.AlertMissingExtension, errors.New("s2n: the client sent no transport parameters"))
	}
	s.hello, s.offered = ch, ch.Groups
	s.state.ServerName = ch.ServerName
	s.emit(tlsprovider.Event{Kind: tlsprovider.EventClientHello, ClientHello: &ch.ClientHello})
	return nil
}

func (s *session) signEvent(index int, data []byte) error {
	if index >= len(s.signers) || s.signers[index] == nil {
		return s.fail(tlsprovider.AlertInternalError, fmt.Errorf("s2n: certificate %d has no Signer", index))
	}
	req, err := signRequest(s.signers[index], data)
	if err != nil {
		return s.fail(tlsprovider.AlertInternalError, err)
	}
	s.sign, s.outside = req, true
	s.emit(tlsprovider.Event{Kind: tlsprovider.EventSign, Sign: req})
	return nil
}

func (s *session) Continue(d tlsprovider.Decision) ([]tlsprovider.Event, error) {
	switch {
	case s.failed != nil:
		return nil, s.failed
	case s.hello == nil:
		return nil, s.fail(tlsprovider.AlertInternalError, errors.New("s2n: Continue without an EventClientHello"))
	case !slices.Contains(s.hello.ALPN, d.ALPN):
		// "[E]ndpoints MUST immediately close a connection (see Section 10.2 of
		// [QUIC-TRANSPORT]) with a no_application_protocol TLS alert (QUIC error code
		// 0x0178; see Section 4.8) if an application protocol is not negotiated."
		// https://www.rfc-editor.org/rfc/rfc9001#section-8.1-2
		return nil, s.fail(tlsprovider.AlertNoApplicationProtocol,
			fmt.Errorf("s2n: Decision.ALPN is %q, but the client offers only %q", d.ALPN, s.hello.ALPN))
	}
	if err := s.decide(d); err != nil {
		return nil, s.fail(tlsprovider.AlertInternalError, err)
	}
	if s.wantPQ && !slices.ContainsFunc(s.offered, tlsprovider.Group.PostQuantum) {
		return nil, s.fail(tlsprovider.AlertInsufficientSecurity,
			fmt.Errorf("s2n: RequirePQ is set, but the client offers only %s", tlsprovider.GroupList(s.offered)))
	}
	s.hello, s.alpn, s.state.ALPN = nil, d.ALPN, d.ALPN
	return s.Advance(nil)
}

func (s *session) decide(d tlsprovider.Decision) error {
	if d.Endpoint == nil && d.Version != version2 {
		if len(s.signers) == 0 {
			return errNoCertificates
		}
		return s.conn.Continue(nil, d.ALPN, d.TransportParameters)
	}
	e, ok := s.ep, true
	if d.Endpoint != nil {
		e, ok = d.Endpoint.(*endpoint)
	}
	if !ok || e.side != tlsprovider.Server {
		return errors.New("s2n: Decision.Endpoint is not a server of this provider")
	}
	prepared, err := e.use()
	if err != nil {
		return err
	}
	defer prepared.done()
	if len(prepared.from.certs) == 0 {
		return errNoCertificates
	}
	s.ep, s.signers, s.wantPQ = e, prepared.signers, s.wantPQ || e.cfg.RequirePQ
	s.pqAuth = s.pqAuth || e.cfg.RequirePQAuth
	cfg := prepared.s2n
	if d.Version == version2 {
		if cfg, err = e.forVersion2(prepared); err != nil {
			return err
		}
	}
	return s.conn.Continue(cfg, d.ALPN, d.TransportParameters)
}

func (s *session) TakeKeys(level tlsprovider.Level, version uint32) (tlsprovider.Keys, error) {
	if s.failed != nil {
		return tlsprovider.Keys{}, s.failed
	}
	if version != version1 && version != version2 {
		return tlsprovider.Keys{}, fmt.Errorf("s2n: QUIC version 0x%08x is not supported", version)
	}
	if s.ep.side == tlsprovider.Client && level != tlsprovider.LevelEarly {
		s.version = version // the server may have chosen another one; the tickets that it sends belong to it
	}
	return keysOf(s.conn.TakeSealer(uint8(level), version), s.conn.TakeOpener(uint8(level), version)), nil
}

func (s *session) Export(label string, context []byte, length int) ([]byte, error) {
	if awslc.Variant == historic {
		return nil, fmt.Errorf("s2n: Export: %w: the s2n-tls of the variant historic has no exporter", tlsprovider.ErrUnsupported)
	}
	out, ok := s.conn.Export(label, context, length)
	if !ok {
		return nil, errors.New("s2n: Export failed: the handshake is not complete, or the label, context or length is too long")
	}
	return out, nil
}

// IgnoreTickets implements tlsprovider.Session. C frees the memory of a server on its own.
func (s *session) IgnoreTickets() {
	if s.failed != nil {
		return
	}
	s.conn.IgnoreTickets()
	if s.state.HandshakeDone {
		s.watch, s.events = nil, nil // the events refer to the bytes of the last flight
	}
}

func (s *session) Close() {
	if s.failed == nil {
		s.failed = errSessionClosed
	}
	s.conn.Close()
	s.hello, s.sign, s.events = nil, nil, nil
}

var errSessionClosed = errors.New("s2n: the session is closed")
