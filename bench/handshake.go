package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// providers returns the two providers. The s2n provider must be linked.
func providers() ([]tlsprovider.Provider, error) {
	p, err := s2n.New(s2n.AllowClassical()) // groups that it lacks are omitted
	if err != nil {
		return nil, err
	}
	return []tlsprovider.Provider{p, native.New()}, nil
}

// measured lists the groups that every stack here supports and that servers on the Internet use.
var measured = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.SecP256r1MLKEM768,
	tlsprovider.SecP384r1MLKEM1024, tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384}

// hasGroup reports whether a provider has a group. In the variant openssl s2n has only classical ones.
func hasGroup(p tlsprovider.Provider, g tlsprovider.Group) bool {
	c := p.Capabilities()
	_, ok := c.Group(g)
	return ok
}

// handshakes measures handshakes in memory. A measurement includes both sides, the verification of chain and name,
// and the derivation of packet keys, without tickets.
func (b *bench) handshakes() (out []subject, err error) {
	ps, err := providers()
	if err != nil {
		return nil, err
	}
	creds, err := newCreds()
	if err != nil {
		return nil, err
	}
	for _, g := range measured {
		if b.c != "" && hasGroup(ps[0], g) {
			policy := "pqquic_" + strings.ToLower(g.String())
			out = append(out, subject{name: "Handshake/c/" + g.String(), run: b.cProgram("handshake", policy, creds.certFile, creds.keyFile)})
		}
		for _, p := range ps {
			if !hasGroup(p, g) {
				continue
			}
			s, err := pairOf(p, creds, g)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		out = append(out, subject{name: "Handshake/cryptotls/" + g.String(), run: loop(cryptoTLS(creds, g))})
	}
	out[len(out)-1].close = creds.remove
	return out, nil
}

// cProgram runs the C program, which measures itself.
func (b *bench) cProgram(args ...string) func(time.Duration) (result, error) {
	return func(d time.Duration) (r result, err error) {
		out, err := exec.Command(b.c, append(args, fmt.Sprint(d.Milliseconds()))...).CombinedOutput()
		if err != nil {
			return r, fmt.Errorf("%w: %s", err, out)
		}
		r.allocs = -1
		_, err = fmt.Sscan(string(out), &r.n, &r.ns, &r.cpu)
		return r, err
	}
}

// endpoints returns a client and a server for one group.
func endpoints(p tlsprovider.Provider, c *creds, g tlsprovider.Group) (ce, se tlsprovider.Endpoint, err error) {
	groups := []tlsprovider.Group{g}
	ce, err = p.NewClient(&tlsprovider.Config{Groups: groups, NextProtos: []string{alpn}, RootCAs: c.Roots(), DisableTickets: true})
	if err != nil {
		return nil, nil, err
	}
	se, err = p.NewServer(&tlsprovider.Config{Groups: groups, NextProtos: []string{alpn},
		Certificates: []tlsprovider.Certificate{c.Provider()}, DisableTickets: true})
	return ce, se, err
}

func pairOf(p tlsprovider.Provider, c *creds, g tlsprovider.Group) (s subject, err error) {
	ce, se, err := endpoints(p, c, g)
	if err != nil {
		return s, err
	}
	return subject{
		name:  "Handshake/" + p.Name() + "/" + g.String(),
		close: func() { ce.Close(); se.Close() },
		run: loop(func(n int) error {
			for range n {
				if err := pair(ce, se); err != nil {
					return err
				}
			}
			return nil
		}),
	}, nil
}

var params = []byte("transport parameters of a connection")

// handshake runs a handshake between two new sessions.
func handshake(c, s tlsprovider.Session) error {
	up, err := c.Advance(nil)
	if err != nil {
		return err
	}
	if _, err = s.Advance(crypto(up)); err != nil {
		return err
	}
	down, err := s.Continue(tlsprovider.Decision{ALPN: alpn, TransportParameters: params, Version: 1})
	if err != nil {
		return err
	}
	if up, err = c.Advance(crypto(down)); err != nil {
		return err
	}
	if _, err = s.Advance(crypto(up)); err != nil {
		return err
	}
	return nil
}

func pair(ce, se tlsprovider.Endpoint) error {
	c, err := ce.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: serverName, TransportParameters: params})
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := se.NewSession(tlsprovider.SessionParams{Version: 1})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := handshake(c, s); err != nil {
		return err
	}
	for _, session := range []tlsprovider.Session{c, s} {
		for _, level := range []tlsprovider.Level{tlsprovider.LevelHandshake, tlsprovider.LevelApp} {
			k, err := session.TakeKeys(level, 1)
			if err != nil {
				return err
			}
			k.Close()
		}
		if !session.State().HandshakeDone {
			return errors.New("the handshake did not complete")
		}
	}
	return nil
}

func crypto(events []tlsprovider.Event) (out []tlsprovider.CryptoData) {
	for _, e := range events {
		if e.Kind == tlsprovider.EventWrite {
			out = append(out, tlsprovider.CryptoData{Level: e.Level, Data: e.Data})
		}
	}
	return out
}

// cryptoTLS measures the same handshake with crypto/tls alone, without packet keys. It is the base cost of any QUIC
// stack in Go.
func cryptoTLS(c *creds, g tlsprovider.Group) func(n int) error {
	client := &tls.Config{RootCAs: c.Pool(), ServerName: serverName, NextProtos: []string{alpn}, MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.CurveID(g)}, SessionTicketsDisabled: true}
	server := client.Clone()
	server.Certificates = []tls.Certificate{c.TLS()}
	return func(n int) error {
		for range n {
			qc := tls.QUICClient(&tls.QUICConfig{TLSConfig: client})
			qs := tls.QUICServer(&tls.QUICConfig{TLSConfig: server})
			qc.SetTransportParameters(params)
			qs.SetTransportParameters(params)
			if err := errors.Join(qc.Start(context.Background()), qs.Start(context.Background())); err != nil {
				return err
			}
			var done [2]bool
			for range 4 {
				if err := errors.Join(move(qc, qs, &done[0]), move(qs, qc, &done[1])); err != nil {
					return err
				}
			}
			if !done[0] || !done[1] {
				return errors.New("the handshake did not complete")
			}
			qc.Close()
			qs.Close()
		}
		return nil
	}
}

func move(from, to *tls.QUICConn, done *bool) error {
	for {
		switch e := from.NextEvent(); e.Kind {
		case tls.QUICNoEvent:
			return nil
		case tls.QUICHandshakeDone:
			*done = true
		case tls.QUICWriteData:
			if err := to.HandleData(e.Level, bytes.Clone(e.Data)); err != nil {
				return err
			}
		}
	}
}
