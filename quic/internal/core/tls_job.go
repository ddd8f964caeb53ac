package core

import (
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A TLSJob is one step of a handshake: it consumes CRYPTO data and produces events. It holds copies of all
// it needs, so it can run on any goroutine while its Conn continues. It has one owner at a time.
type TLSJob struct {
	cfg           *Config
	session       tlsprovider.Session
	version       wire.Version // changes if a server chooses another one
	original      wire.Version // of the first packets, and of 0-RTT packets
	params        []byte       // our encoded transport parameters
	halfRTT       bool         // tlsState.halfRTT, which a decision may clear
	in            []tlsprovider.CryptoData
	ignoreTickets bool // call Session.IgnoreTickets once the handshake is complete

	signing *tlsprovider.SignRequest
	out     []tlsOutput
	err     error

	// The arrays of in and out, which suffice for all jobs but unusual ones.
	inBuf  [2]tlsprovider.CryptoData
	outBuf [6]tlsOutput
}

// A tlsOutput is an event of a session that stays valid after the next call of the session.
type tlsOutput struct {
	kind  tlsprovider.EventKind
	level tlsprovider.Level
	data  []byte
	keys  tlsprovider.Keys
	state *tlsprovider.State
}

// Run runs the job until the session waits for the peer or for a private key operation: see Signing. It may
// take milliseconds, and it calls code of the application (SelectTLS, VerifyPeer). If that code or the
// provider panics or calls runtime.Goexit, which ends the goroutine, the handshake fails: see Err.
func (j *TLSJob) Run() {
	returned := false
	defer func() {
		if !returned {
			j.abandon(errGoexit)
		}
	}()
	err := tlsprovider.Guard("the TLS provider", func() error {
		j.step()
		if j.ignoreTickets && j.err == nil {
			j.session.IgnoreTickets()
		}
		return nil
	})
	returned = true
	if err != nil {
		j.abandon(err)
	}
}

// errGoexit is the error of a callback that called runtime.Goexit, as testing.T.FailNow does.
var errGoexit = errors.New("a callback called runtime.Goexit")

// Err returns why the handshake failed, or nil.
func (j *TLSJob) Err() error { return j.err }

// abandon ends a job that was interrupted. The state of the session is unknown, so it is closed here and
// not handed back. The keys from earlier events stay valid: CONNECTION_CLOSE may need them.
func (j *TLSJob) abandon(err error) {
	j.err, j.signing = err, nil
	if s := j.session; s != nil {
		j.session = nil
		// Close may panic as well, because the session's state is unknown.
		_ = tlsprovider.Guard("the TLS provider", func() error { s.Close(); return nil })
	}
}

func (j *TLSJob) step() {
	switch {
	case j.signing != nil:
		j.signing = nil
		j.handle(j.session.Advance(nil))
	case j.session == nil:
		s, err := j.cfg.TLS.NewSession(tlsprovider.SessionParams{
			Version:             uint32(j.version),
			ServerName:          j.cfg.ServerName,
			TransportParameters: j.clientParams(),
		})
		if err != nil {
			j.err = err
			return
		}
		j.session = s
		j.handle(j.session.Advance(j.in))
	case len(j.in) > 0 || !j.ignoreTickets:
		j.handle(j.session.Advance(j.in))
	}
}

// Signing returns the private key operation that the job waits for, or nil. The owner of the job runs it
// outside any pool that other handshakes need, and then calls Run again.
func (j *TLSJob) Signing() *tlsprovider.SignRequest { return j.signing }

func (j *TLSJob) clientParams() []byte {
	if j.cfg.Side == tlsprovider.Client {
		return j.params
	}
	return nil
}

func (j *TLSJob) handle(events []tlsprovider.Event, err error) {
	for err == nil {
		var hello *tlsprovider.ClientHello
		for i := range events {
			ev := &events[i]
			switch ev.Kind {
			case tlsprovider.EventClientHello:
				hello = ev.ClientHello
				j.add(ev.Kind, ev.Level, hello.TransportParameters)
			case tlsprovider.EventSign:
				j.signing = ev.Sign
			case tlsprovider.EventKeys:
				err = j.takeKeys(ev.Level)
			case tlsprovider.EventHandshakeDone:
				state := j.session.State()
				j.out = append(j.out, tlsOutput{kind: ev.Kind, state: &state})
				// A client waits for tickets: see ticketWait.
				j.ignoreTickets = j.ignoreTickets || j.cfg.Side == tlsprovider.Server
			case tlsprovider.EventWrite: // cryptoSend frees the buffer
				j.out = append(j.out, tlsOutput{kind: ev.Kind, level: ev.Level,
					data: append(streams.NewBuffer(len(ev.Data)), ev.Data...)})
			default:
				j.add(ev.Kind, ev.Level, ev.Data)
			}
		}
		if hello == nil || err != nil {
			break
		}
		events, err = j.answer(hello)
	}
	j.err = err
}

// answer decides about a ClientHello and continues the handshake.
func (j *TLSJob) answer(hello *tlsprovider.ClientHello) ([]tlsprovider.Event, error) {
	d, done, err := j.decide(hello)
	if done != nil {
		defer done() // also if the provider panics
	}
	if err != nil {
		return nil, err
	}
	return j.session.Continue(d)
}

func (j *TLSJob) add(kind tlsprovider.EventKind, level tlsprovider.Level, data []byte) {
	j.out = append(j.out, tlsOutput{kind: kind, level: level, data: append([]byte(nil), data...)})
}

func (j *TLSJob) takeKeys(level tlsprovider.Level) error {
	v := j.version
	if level == tlsprovider.LevelEarly {
		v = j.original
	}
	keys, err := j.session.TakeKeys(level, uint32(v))
	if err == nil {
		o := tlsOutput{kind: tlsprovider.EventKeys, level: level, keys: keys}
		if level == tlsprovider.LevelEarly || level == tlsprovider.LevelApp && j.halfRTT {
			state := j.session.State()
			o.state = &state
		}
		j.out = append(j.out, o)
	}
	return err
}

// decide chooses the configuration for a ClientHello. done, if not nil, must be called after Continue.
func (j *TLSJob) decide(hello *tlsprovider.ClientHello) (d tlsprovider.Decision, done func(), err error) {
	j.version, j.params = j.cfg.chooseVersion(j.version, hello.TransportParameters, j.params)
	d = tlsprovider.Decision{TransportParameters: j.params, Version: uint32(j.version)}
	if j.cfg.AcceptEarlyData != nil {
		d.TicketData = j.cfg.ticketData(j.params)
		d.AcceptEarlyData = func(o *tlsprovider.EarlyDataOffer) bool { return j.cfg.acceptEarlyData(o, d.TicketData) }
	}
	protos := j.cfg.NextProtos
	if j.cfg.SelectTLS != nil {
		choice, err := j.cfg.SelectTLS(hello)
		if err != nil {
			return d, nil, selectionError(err)
		}
		d.Endpoint, done = choice.TLS, choice.Done
		j.halfRTT = j.halfRTT && !choice.VerifiesClients
		if choice.NextProtos != nil {
			protos = choice.NextProtos
		}
	}
	for _, ours := range protos {
		for _, theirs := range hello.ALPN {
			if ours == theirs {
				d.ALPN = ours
				return d, done, nil
			}
		}
	}
	// "When using ALPN, endpoints MUST immediately close a connection [...] with a
	// no_application_protocol TLS alert [...] if an application protocol is not negotiated."
	// https://www.rfc-editor.org/rfc/rfc9001#section-8.1-2
	return d, done, &tlsprovider.Error{Alert: tlsprovider.AlertNoApplicationProtocol,
		Err: fmt.Errorf("no common application protocol: the client offers %q, the server has %q", hello.ALPN, protos)}
}

// selectionError returns the error of a handshake for which SelectTLS failed: with the Alert of err if it
// has one, and otherwise with internal_error, because the client did nothing wrong.
func selectionError(err error) error {
	var own *tlsprovider.Error
	if errors.As(err, &own) {
		return err
	}
	return &tlsprovider.Error{Alert: tlsprovider.AlertInternalError, Err: err}
}

// freeInput frees the CRYPTO data that the session has consumed. After an error the state of the session is not known, so
// the data is left to the garbage collection.
func (j *TLSJob) freeInput() {
	if j.err == nil {
		for i := range j.in {
			streams.FreeBuffer(j.in[i].Data)
		}
	}
	clear(j.in)
	j.in = nil
}

// discard frees the results of a job whose Conn has closed.
func (j *TLSJob) discard() {
	for i := range j.out {
		j.out[i].keys.Close()
	}
	j.out = nil
	if j.session != nil {
		j.session.Close()
	}
}
