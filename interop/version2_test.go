package interop

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic"
)

// TestVersion2 connects in QUIC version 2, in both roles, with and without Retry. quic-go has no version_information, so
// both sides must begin with version 2. x/net has version 1 only.
func TestVersion2(t *testing.T) {
	for _, retry := range []bool{false, true} {
		name := "plain"
		if retry {
			name = "with Retry"
		}
		t.Run(name, func(t *testing.T) {
			impaired(t, func(t *testing.T, client, server stack, loss float64) {
				for _, s := range []stack{client, server} {
					if _, ok := s.(xNet); ok {
						t.Skip("x/net has no version 2")
					}
				}
				o := options{groups: pq, alpn: alpn, version2: true}
				co, so := o, o
				co.via, so.retry = newRelay(t, loss).via, retry
				cc, sc := connect(t, client, server, co, so)
				for _, c := range []conn{cc, sc} {
					if c, ok := c.(ourConn); ok {
						require.Equal(t, quic.Version2, c.ConnectionState().Version)
					}
				}
				if postQuantum(client) && postQuantum(server) {
					require.True(t, cc.group().PostQuantum(), "%v", cc.group())
				}
				exchange(t, cc, sc, 3, 200_000)
			})
		})
	}
}

// TestVersionNegotiationWithoutInformation dials a quic-go server of version 2 from version 1. The server's Version
// Negotiation packet cannot be verified, because quic-go sends no version_information, so the client gives up.
//
// "If a client has reacted to a Version Negotiation packet and the server's Version Information was missing, the client
// MUST close the connection with a version negotiation error."
// https://www.rfc-editor.org/rfc/rfc9368#section-4-8
func TestVersionNegotiationWithoutInformation(t *testing.T) {
	c := newCreds()
	for _, p := range providers(t) {
		l, err := quicGo{c}.listen(options{groups: pq, alpn: alpn, version2: true})
		require.NoError(t, err)
		cfg := ours{p, c}.config(options{groups: pq, alpn: alpn})
		cfg.Versions = []quic.Version{quic.Version1, quic.Version2}
		_, err = quic.Dial(t.Context(), "udp", l.addr(), cfg)
		var te *quic.TransportError
		require.ErrorAs(t, err, &te)
		require.Equal(t, quic.VersionNegotiationFailed, te.Code)
		l.close()
	}
}
