//go:build !pqquic_fips && !pqquic_fips4

package quic

import "github.com/pqquic/pqquic/tlsprovider"

// A steppedProvider calls functions around the steps of the TLS sessions of one side. Nil functions are not called.
type steppedProvider struct {
	tlsprovider.Provider
	side           tlsprovider.Side
	beforeAdvance  func([]tlsprovider.CryptoData)
	beforeContinue func()
	afterClose     func()
}

type steppedEndpoint struct {
	tlsprovider.Endpoint
	p *steppedProvider
}

type steppedSession struct {
	tlsprovider.Session
	p *steppedProvider
}

func (p *steppedProvider) wrap(side tlsprovider.Side, e tlsprovider.Endpoint, err error) (tlsprovider.Endpoint, error) {
	if err != nil || side != p.side {
		return e, err
	}
	return steppedEndpoint{e, p}, nil
}

func (p *steppedProvider) NewClient(c *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	e, err := p.Provider.NewClient(c)
	return p.wrap(tlsprovider.Client, e, err)
}

func (p *steppedProvider) NewServer(c *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	e, err := p.Provider.NewServer(c)
	return p.wrap(tlsprovider.Server, e, err)
}

func (e steppedEndpoint) NewSession(sp tlsprovider.SessionParams) (tlsprovider.Session, error) {
	s, err := e.Endpoint.NewSession(sp)
	if err != nil {
		return nil, err
	}
	return steppedSession{s, e.p}, nil
}

func (s steppedSession) Advance(in []tlsprovider.CryptoData) ([]tlsprovider.Event, error) {
	if s.p.beforeAdvance != nil {
		s.p.beforeAdvance(in)
	}
	return s.Session.Advance(in)
}

func (s steppedSession) Continue(d tlsprovider.Decision) ([]tlsprovider.Event, error) {
	if s.p.beforeContinue != nil {
		s.p.beforeContinue()
	}
	return s.Session.Continue(d)
}

func (s steppedSession) Close() {
	s.Session.Close()
	if s.p.afterClose != nil {
		s.p.afterClose()
	}
}
