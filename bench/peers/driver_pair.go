//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"crypto/tls"

	"github.com/pqquic/pqquic/tlsprovider"
)

// drivePair runs a driver that makes handshakes in memory.
func drivePair(s *settings) error {
	handshake, err := s.memoryPair()
	if err != nil {
		return err
	}
	if err := handshake(); err != nil {
		return err
	}
	fmt.Println("ready")
	return answerRequests(os.Stdin, os.Stdout, func(line string) (string, error) {
		word, ok := strings.CutPrefix(line, "pair ")
		if !ok {
			return "", fmt.Errorf("unknown request %q", line)
		}
		n, err := positive([]string{word})
		if err != nil {
			return "", err
		}
		d := done{amount: n[0]}
		began := time.Now()
		for range n[0] {
			if err := handshake(); err != nil {
				return "", err
			}
		}
		d.elapsed = time.Since(began)
		return d.String(), nil
	})
}

// memoryPair returns a function that makes one handshake between a client and a server of the stack's TLS library, as
// QUIC uses it.
func (s *settings) memoryPair() (func() error, error) {
	switch s.stack {
	case "pqquic-s2n", "pqquic-native":
		p, err := s.provider()
		if err != nil {
			return nil, err
		}
		client, err := p.NewClient(s.providerConfig())
		if err != nil {
			return nil, err
		}
		server, err := p.NewServer(s.providerConfig())
		return func() error { return providerPair(client, server) }, err
	case "quic-go", "x/net":
		config, err := s.tlsConfig()
		return func() error { return cryptoTLSPair(config) }, err
	}
	return nil, fmt.Errorf("%q has no handshake in memory", s.stack)
}

var memoryParameters = []byte("transport parameters of a connection")

// providerPair makes a handshake between two sessions and takes the packet keys.
func providerPair(client, server tlsprovider.Endpoint) error {
	c, err := client.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: serverName, TransportParameters: memoryParameters})
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := server.NewSession(tlsprovider.SessionParams{Version: 1})
	if err != nil {
		return err
	}
	defer s.Close()
	up, err := c.Advance(nil)
	if err != nil {
		return err
	}
	if _, err = s.Advance(written(up)); err != nil {
		return err
	}
	down, err := s.Continue(tlsprovider.Decision{ALPN: alpn, TransportParameters: memoryParameters, Version: 1})
	if err != nil {
		return err
	}
	if up, err = c.Advance(written(down)); err != nil {
		return err
	}
	if _, err = s.Advance(written(up)); err != nil {
		return err
	}
	for _, session := range []tlsprovider.Session{c, s} {
		for _, level := range []tlsprovider.Level{tlsprovider.LevelHandshake, tlsprovider.LevelApp} {
			keys, err := session.TakeKeys(level, 1)
			if err != nil {
				return err
			}
			keys.Close()
		}
		if !session.State().HandshakeDone {
			return errors.New("the handshake in memory does not complete")
		}
	}
	return nil
}

// written returns what the events send.
func written(events []tlsprovider.Event) (out []tlsprovider.CryptoData) {
	for _, e := range events {
		if e.Kind == tlsprovider.EventWrite {
			out = append(out, tlsprovider.CryptoData{Level: e.Level, Data: e.Data})
		}
	}
	return out
}

// cryptoTLSPair makes a handshake with crypto/tls, which hands the traffic secrets over. The stacks derive the packet
// keys from them.
func cryptoTLSPair(config *tls.Config) error {
	ends := [2]*tls.QUICConn{tls.QUICClient(&tls.QUICConfig{TLSConfig: config}), tls.QUICServer(&tls.QUICConfig{TLSConfig: config})}
	for _, end := range ends {
		defer end.Close()
		end.SetTransportParameters(memoryParameters)
		if err := end.Start(background); err != nil {
			return err
		}
	}
	var complete [2]bool
	for moved := true; moved; {
		moved = false
		for i, from := range ends {
			for e := from.NextEvent(); e.Kind != tls.QUICNoEvent; e = from.NextEvent() {
				moved = true
				switch e.Kind {
				case tls.QUICHandshakeDone:
					complete[i] = true
				case tls.QUICWriteData:
					if err := ends[1-i].HandleData(e.Level, bytes.Clone(e.Data)); err != nil {
						return err
					}
				}
			}
		}
	}
	if complete != [2]bool{true, true} {
		return errors.New("the handshake in memory does not complete")
	}
	return nil
}
