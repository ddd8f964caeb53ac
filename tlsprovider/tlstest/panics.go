package tlstest

import (
	"crypto"
	"io"
	"testing"
	"time"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// panics makes each function of a Config panic. The handshake that called it must fail with internal_error and a
// PanicError, and the next one with the same endpoints must succeed.
func (su *Suite) panics(t *testing.T) {
	key := NewAuthority(t).Key
	for _, tt := range []struct {
		name string
		side tlsprovider.Side
		set  func(cfg *tlsprovider.Config, ca *Authority, run func())
		need []feature
	}{
		{"Config.VerifyPeer", tlsprovider.Client, verifyPeerRuns, needs(verifiesPeer)},
		{"Config.VerifyPeer", tlsprovider.Server, verifyPeerRuns, needs(verifiesPeer)},
		{"Certificate.Signer", tlsprovider.Server, func(cfg *tlsprovider.Config, ca *Authority, run func()) {
			cfg.Certificates = []tlsprovider.Certificate{{Chain: ca.Issue(t, key, nil), Signer: before{key, run}}}
		}, needs(signers)},
		{"Config.KeyLogWriter", tlsprovider.Client, keyLogRuns, needs(keyLog)},
		{"Config.KeyLogWriter", tlsprovider.Server, keyLogRuns, needs(keyLog)},
	} {
		t.Run(tt.name+" of the "+tt.side.String(), func(t *testing.T) {
			su.need(t, tt.need...)
			client, server, ca := Configs(t)
			client.DisableTickets, server.DisableTickets = true, true
			cfg := client
			if tt.side == tlsprovider.Server {
				cfg = server
			}
			armed := true
			tt.set(cfg, ca, func() {
				if armed {
					panic("a mistake of the program")
				}
			})
			ce, se := su.Endpoints(t, client, server)
			p := PairOf(t, ce, se, "server.test")
			side, err := p.Run(t)
			require.Equal(t, tt.side, side)
			RequireAlert(t, tlsprovider.AlertInternalError, err)
			var pe *tlsprovider.PanicError
			require.ErrorAs(t, err, &pe)
			require.Equal(t, tt.name, pe.Callback)
			require.Equal(t, "a mistake of the program", pe.Value)
			require.Contains(t, string(pe.Stack), "tlstest/panics.go")
			require.NotContains(t, err.Error(), "\n", "the stack is not part of the text")
			require.False(t, p.Session(side).State().HandshakeDone)
			armed = false
			PairOf(t, ce, se, "server.test").MustRun(t)
		})
	}
	t.Run("empty signature", func(t *testing.T) {
		su.need(t, signers)
		client, server, ca := Configs(t)
		server.Certificates = []tlsprovider.Certificate{{Chain: ca.Issue(t, key, nil), Signer: silent{key}}}
		side, err := su.NewPair(t, client, server).Run(t)
		require.Equal(t, tlsprovider.Server, side)
		RequireAlert(t, tlsprovider.AlertInternalError, err)
		require.ErrorContains(t, err, "empty signature")
	})
}

// clockPanics lets each call of Config.Time panic in its turn: the first, the second, and so on. The session that
// called it fails with internal_error, and leaves nothing behind.
func (su *Suite) clockPanics(t *testing.T) {
	for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
		t.Run(side.String(), func(t *testing.T) {
			client, server, _ := Configs(t)
			cfg := client
			if side == tlsprovider.Server {
				cfg = server
			}
			calls := -1 // that return before one panics; negative if none does
			cfg.Time = func() time.Time {
				if calls--; calls == -1 {
					panic("a mistake of the program")
				}
				return time.Now()
			}
			ce, se := su.Endpoints(t, client, server)
			for n := 0; ; n++ {
				before, _ := su.Live()
				calls = n
				err := handshakeOf(t, ce, se)
				if calls >= 0 {
					require.NoError(t, err)
					require.NotZero(t, n, "the clock is never read")
					return
				}
				RequireAlert(t, tlsprovider.AlertInternalError, err)
				var pe *tlsprovider.PanicError
				require.ErrorAs(t, err, &pe)
				require.Equal(t, "Config.Time", pe.Callback)
				after, _ := su.Live()
				require.Equal(t, before, after, "call %d", n)
			}
		})
	}
}

// handshakeOf runs a handshake, closes its sessions, and returns the error of a session or of NewSession.
func handshakeOf(t *testing.T, ce, se tlsprovider.Endpoint) error {
	cs, err := ce.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "server.test", TransportParameters: []byte(ClientParams)})
	if err != nil {
		return err
	}
	defer cs.Close()
	ss, err := se.NewSession(tlsprovider.SessionParams{Version: 1})
	if err != nil {
		return err
	}
	defer ss.Close()
	p := &Pair{Client: cs, Server: ss, ALPN: "test", ServerParams: []byte(ServerParams)}
	_, err = p.Run(t)
	return err
}

func verifyPeerRuns(cfg *tlsprovider.Config, _ *Authority, run func()) {
	cfg.VerifyPeer = func(*tlsprovider.State) error { run(); return nil }
}

func keyLogRuns(cfg *tlsprovider.Config, _ *Authority, run func()) {
	cfg.KeyLogWriter = writer(func([]byte) { run() })
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

// before is a signer that calls a function first.
type before struct {
	crypto.Signer
	run func()
}

func (s before) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.run()
	return s.Signer.Sign(random, digest, opts)
}

// silent is a signer that returns neither a signature nor an error.
type silent struct{ crypto.Signer }

func (silent) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }
