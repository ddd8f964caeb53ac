package probe

import (
	"sync/atomic"

	"github.com/pqquic/pqquic/tlsprovider"
)

// An observer is a provider that notes whether a Retry packet was checked, which a client does when it receives one.
type observer struct {
	tlsprovider.Provider
	retried atomic.Bool
}

func (o *observer) RetryTag(version uint32, originalDCID, retryWithoutTag []byte) ([16]byte, error) {
	o.retried.Store(true)
	return o.Provider.RetryTag(version, originalDCID, retryWithoutTag)
}

// A helloProvider is a provider whose clients send an offer and end the handshake with the server's answer. Packets are
// protected by the provider that it is made from.
type helloProvider struct {
	tlsprovider.Provider
	offer *offer
}

func (p *helloProvider) NewClient(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	e, err := p.Provider.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	return &helloEndpoint{e, p.offer, cfg.NextProtos}, nil
}

type helloEndpoint struct {
	tlsprovider.Endpoint
	offer *offer
	alpn  []string
}

func (e *helloEndpoint) NewSession(p tlsprovider.SessionParams) (tlsprovider.Session, error) {
	s, err := e.Endpoint.NewSession(p)
	if err != nil {
		return nil, err
	}
	hello, err := e.offer.clientHello(helloKind{p.ServerName, e.alpn, p.TransportParameters})
	if err != nil {
		s.Close()
		return nil, err
	}
	return &helloSession{Session: s, hello: hello}, nil
}

// A helloSession sends its ClientHello and waits for a ServerHello. The other methods are those of a session that has
// not begun.
type helloSession struct {
	tlsprovider.Session
	hello    []byte
	begun    bool
	received []byte
}

// alertUserCanceled ends a handshake for a reason that is not a failure of the protocol (RFC 8446, section 6.1).
const alertUserCanceled tlsprovider.Alert = 90

func (s *helloSession) Advance(in []tlsprovider.CryptoData) ([]tlsprovider.Event, error) {
	if !s.begun {
		s.begun = true
		return []tlsprovider.Event{{Kind: tlsprovider.EventWrite, Level: tlsprovider.LevelInitial, Data: s.hello}}, nil
	}
	for _, d := range in {
		if d.Level == tlsprovider.LevelInitial {
			s.received = append(s.received, d.Data...)
		}
	}
	r, err := parseReply(s.received)
	switch {
	case err != nil:
		return nil, &tlsprovider.Error{Alert: tlsprovider.AlertUnexpectedMessage, Err: err}
	case r != nil:
		return nil, &tlsprovider.Error{Alert: alertUserCanceled, Err: &answered{*r}}
	}
	return nil, nil
}

// answered is the error of a helloSession that has the server's answer.
type answered struct{ reply reply }

func (*answered) Error() string { return "the server has answered the probe" }
