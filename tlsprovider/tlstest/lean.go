package tlstest

import "github.com/pqquic/pqquic/tlsprovider"

// Lean runs a handshake without checks, for benchmarks.
func Lean(ce, se tlsprovider.Endpoint) error {
	c, err := ce.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "server.test", TransportParameters: []byte(ClientParams)})
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := se.NewSession(tlsprovider.SessionParams{Version: 1})
	if err != nil {
		return err
	}
	defer s.Close()
	events, err := c.Advance(nil)
	if err != nil {
		return err
	}
	if _, err = s.Advance(cryptoOf(events)); err != nil {
		return err
	}
	events, err = s.Continue(decision(nil))
	if err != nil {
		return err
	}
	if events, err = c.Advance(cryptoOf(events)); err != nil {
		return err
	}
	if _, err = s.Advance(cryptoOf(events)); err != nil {
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
	}
	return nil
}

func cryptoOf(events []tlsprovider.Event) (out []tlsprovider.CryptoData) {
	for _, e := range events {
		if e.Kind == tlsprovider.EventWrite {
			out = append(out, tlsprovider.CryptoData{Level: e.Level, Data: e.Data})
		}
	}
	return out
}
