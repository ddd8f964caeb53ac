package s2n

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// TestFinishedSessionsAreSmall checks that a session frees the 31 KB of s2n-tls after the handshake, or on a client
// after a ticket or IgnoreTickets. The session itself is kept for its exporter until the connection ends.
func TestFinishedSessionsAreSmall(t *testing.T) {
	prov := newProvider(t)
	runtime.LockOSThread() // AWS-LC keeps some memory for each thread
	defer runtime.UnlockOSThread()
	for _, tt := range []struct {
		name    string
		side    tlsprovider.Side
		tickets bool // the server sends one
		ignore  bool // the client would take one
	}{
		{"server", tlsprovider.Server, false, false},
		{"server that sent a ticket", tlsprovider.Server, true, false},
		{"client", tlsprovider.Client, false, false},
		{"client that got a ticket", tlsprovider.Client, true, false},
		{"client that waits no longer", tlsprovider.Client, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.tickets {
				needTickets(t, prov)
			}
			client, server, _ := tlstest.Configs(t)
			client.DisableTickets, server.DisableTickets = !tt.tickets && !tt.ignore, !tt.tickets
			ce, se := newEndpoints(t, prov, client, server)
			const n = 50
			var kept []tlsprovider.Session
			finish := func() {
				p := tlstest.PairOf(t, ce, se, "server.test")
				p.MustRun(t)
				p.Session(tt.side.Peer()).Close()
				require.NoError(t, ce.SetCertificates(nil)) // the cache is not the session's
				if kept = append(kept, p.Session(tt.side)); tt.ignore {
					kept[len(kept)-1].IgnoreTickets()
				}
			}
			finish()
			before := awslc.Live()
			for range n {
				finish()
			}
			after := awslc.Live()
			require.Less(t, (after.TLSBytes-before.TLSBytes)/n, int64(1000))
			require.Less(t, (after.CryptoBytes-before.CryptoBytes)/n, int64(100))
			if c := prov.Capabilities(); c.Exporters {
				_, err := kept[n].Export("EXPORTER-test", nil, 32)
				require.NoError(t, err)
			}
			for _, s := range kept {
				s.Close()
			}
		})
	}
}

// TestClosedEndpointsRefuse checks that the methods of closed endpoints return errors.
func TestClosedEndpointsRefuse(t *testing.T) {
	prov := newProvider(t)
	client, server, ca := tlstest.Configs(t)
	ce, err := prov.NewClient(client)
	require.NoError(t, err)
	se, err := prov.NewServer(server)
	require.NoError(t, err)
	for range 2 {
		ce.Close()
		se.Close()
	}
	_, err = ce.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "server.test"})
	require.ErrorIs(t, err, errEndpointClosed)
	_, err = se.NewSession(tlsprovider.SessionParams{Version: 1})
	require.ErrorIs(t, err, errEndpointClosed)
	require.ErrorIs(t, se.SetCertificates([]tlsprovider.Certificate{ca.Leaf(t, nil)}), errEndpointClosed)
	if c := prov.Capabilities(); c.Tickets {
		require.ErrorIs(t, se.SetTicketKeys([][]byte{make([]byte, 32)}), errEndpointClosed)
	}
}
