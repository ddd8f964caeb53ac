package tlstest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
	"golang.org/x/crypto/cryptobyte"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

// certificateMessage encodes a Certificate message.
func certificateMessage(context string, entries []entry, after string) []byte {
	var b cryptobyte.Builder
	b.AddUint8(hello.TypeCertificate)
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(context)) })
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, e := range entries {
				b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.der) })
				b.AddBytes(e.extensions)
			}
		})
		b.AddBytes([]byte(after))
	})
	return b.BytesOrPanic()
}

// An entry is one certificate of the message.
type entry struct {
	der        []byte
	extensions []byte // including their length
}

func entriesOf(chain [][]byte) (out []entry) {
	for _, der := range chain {
		out = append(out, entry{der, []byte{0, 0}})
	}
	return out
}

// A chainForm is a way to encode a chain. With the invalid ones, a peer could present a chain to the library that
// VerifyPeer does not receive.
type chainForm struct {
	name   string
	good   bool
	encode func(chain [][]byte) []byte
}

func chainForms() []chainForm {
	entries := func(edit func([]entry) []entry) func([][]byte) []byte {
		return func(chain [][]byte) []byte { return certificateMessage("", edit(entriesOf(chain)), "") }
	}
	extended := func(at int, tail string) func([][]byte) []byte {
		return entries(func(es []entry) []entry {
			es[at].der = append(bytes.Clone(es[at].der), tail...)
			return es
		})
	}
	return []chainForm{
		{"as it should be", true, entries(func(es []entry) []entry { return es })},
		{"leaf alone", true, entries(func(es []entry) []entry { return es[:1] })},
		{"a certificate twice", true, entries(func(es []entry) []entry { return append(es, es[0]) })},
		{"bytes after the list", false, func(chain [][]byte) []byte { return certificateMessage("", entriesOf(chain), "\x00") }},
		{"a second list", false, func(chain [][]byte) []byte {
			return certificateMessage("", entriesOf(chain), "\x00\x00\x00")
		}},
		{"context", false, func(chain [][]byte) []byte { return certificateMessage("x", entriesOf(chain), "") }},
		{"last entry without extensions", false, entries(func(es []entry) []entry {
			es[len(es)-1].extensions = nil
			return es
		})},
		{"leaf alone without extensions", false, entries(func(es []entry) []entry {
			es[0].extensions = nil
			return es[:1]
		})},
		{"last entry with half a length of extensions", false, entries(func(es []entry) []entry {
			es[len(es)-1].extensions = []byte{0}
			return es
		})},
		{"extensions longer than the list", false, entries(func(es []entry) []entry {
			es[len(es)-1].extensions = []byte{0, 1}
			return es
		})},
		{"a byte after the leaf", false, extended(0, "\x00")},
		{"three bytes after the leaf", false, extended(0, "\x00\x00\x00")},
		{"a byte after the second", false, extended(1, "\x00")},
		{"a certificate after the second", false, entries(func(es []entry) []entry {
			es[1].der = slices.Concat(es[1].der, es[0].der)
			return es
		})},
		{"no bytes for a certificate", false, entries(func(es []entry) []entry { return append(es, entry{nil, []byte{0, 0}}) })},
	}
}

// peerChains sends chains in valid and invalid forms. VerifyPeer must receive the chain that was sent and verified, or
// the handshake must fail before.
func (su *Suite) peerChains(t *testing.T) {
	groups := []tlsprovider.Group{tlsprovider.P256}
	for _, form := range chainForms() {
		check := func(t *testing.T, cfg *tlsprovider.Config, chain [][]byte, run func(message []byte) (tlsprovider.State, error)) {
			t.Helper()
			var seen [][][]byte
			if su.has(verifiesPeer) {
				cfg.VerifyPeer = func(s *tlsprovider.State) error {
					seen = append(seen, s.PeerChain)
					return nil
				}
			}
			state, err := run(form.encode(chain))
			if !form.good {
				RequireAlert(t, tlsprovider.AlertDecodeError, err)
				require.Empty(t, seen)
				require.Empty(t, state.PeerChain)
				return
			}
			require.NoError(t, err)
			require.True(t, state.HandshakeDone)
			var sent [][]byte
			for list := form.encode(chain)[4+1+3:]; len(list) > 0; {
				n := int(list[0])<<16 | int(list[1])<<8 | int(list[2])
				sent, list = append(sent, list[3:3+n]), list[3+n+2:]
			}
			require.Equal(t, sent, state.PeerChain)
			if su.has(verifiesPeer) {
				require.Equal(t, [][][]byte{sent}, seen)
			}
		}
		for _, skip := range []bool{false, true} {
			name := "server, " + form.name
			if skip {
				name += ", not verified"
			}
			t.Run(name, func(t *testing.T) {
				client, _, ca := Configs(t)
				client.Groups, client.InsecureSkipVerify = groups, skip
				leaf := ca.Leaf(t, nil)
				check(t, client, leaf.Chain, func(message []byte) (tlsprovider.State, error) {
					return su.runScriptedServer(t, client, message, leaf)
				})
			})
		}
		t.Run("client, "+form.name, func(t *testing.T) {
			su.need(t, clientCertificates)
			_, server, ca := Configs(t)
			server.Groups, server.DisableTickets = groups, true
			server.ClientAuth, server.ClientCAs = tlsprovider.VerifyClientCertIfGiven, ca.Roots()
			leaf := ca.Leaf(t, nil)
			check(t, server, leaf.Chain, func(message []byte) (tlsprovider.State, error) {
				return su.runScriptedClient(t, server, message, leaf)
			})
		})
	}
}

// runScriptedServer runs a client of the suite against a scripted server.
func (su *Suite) runScriptedServer(t *testing.T, cfg *tlsprovider.Config, certificate []byte, leaf tlsprovider.Certificate) (tlsprovider.State, error) {
	t.Helper()
	s, err := su.newClient(t, cfg).NewSession(tlsprovider.SessionParams{
		Version: 1, ServerName: "server.test", TransportParameters: []byte(ClientParams)})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	events, err := s.Advance(nil)
	require.NoError(t, err)
	_, err = s.Advance(newScripted(t).serve(bytes.Clone(cryptoOf(events)[0].Data), certificate, privateKey(t, leaf)))
	return s.State(), err
}

// runScriptedClient runs a server of the suite against a scripted client.
func (su *Suite) runScriptedClient(t *testing.T, cfg *tlsprovider.Config, certificate []byte, leaf tlsprovider.Certificate) (tlsprovider.State, error) {
	t.Helper()
	s, err := su.newServer(t, cfg).NewSession(tlsprovider.SessionParams{Version: 1})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	peer := newScripted(t)
	_, err = s.Advance(Crypt(tlsprovider.LevelInitial, peer.hello()))
	require.NoError(t, err)
	events, err := s.Continue(decision(nil))
	require.NoError(t, err)
	_, err = s.Advance(Crypt(tlsprovider.LevelHandshake, peer.answer(cryptoOf(events), certificate, privateKey(t, leaf))))
	return s.State(), err
}
