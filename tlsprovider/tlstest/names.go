package tlstest

import (
	"fmt"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

// alpnAndSNI runs handshakes with every combination of the protocols and names of a client and a server.
func (su *Suite) alpnAndSNI(t *testing.T) {
	client, server, _ := Configs(t)
	for _, offered := range [][]string{{"test"}, {"h3"}, {"h3", "test"}, {"aa", "test", "bb"}} {
		for _, known := range [][]string{{"test"}, {"test", "h3"}, {"xx"}} {
			for _, name := range []string{"server.test", "127.0.0.1", "other.test"} {
				t.Run(fmt.Sprint(offered, known, name), func(t *testing.T) {
					c, s := *client, *server
					c.NextProtos, s.NextProtos = offered, known
					c.InsecureSkipVerify = name == "other.test"
					ce, se := su.Endpoints(t, &c, &s)
					p := PairOf(t, ce, se, name)
					p.ALPN = firstCommon(offered, known)
					if p.ALPN == "" {
						side, err := p.Run(t)
						require.Equal(t, tlsprovider.Server, side)
						RequireAlert(t, tlsprovider.AlertNoApplicationProtocol, err)
						require.Empty(t, p.Flights[tlsprovider.Server], "no ServerHello is sent")
						return
					}
					cs, ss := p.MustRun(t)
					require.Equal(t, p.ALPN, cs.ALPN)
					sni := name
					if name == "127.0.0.1" {
						sni = ""
					}
					require.Equal(t, sni, p.Hello.ServerName)
					require.Equal(t, sni, ss.ServerName)
					require.Equal(t, name, cs.ServerName)
					require.Equal(t, offered, p.Hello.ALPN)
				})
			}
		}
	}
}

// firstCommon returns the protocol that the transport selects: the server's first one that the client offers.
func firstCommon(offered, known []string) string {
	for _, k := range known {
		for _, o := range offered {
			if o == k {
				return k
			}
		}
	}
	return ""
}

// transportParameters checks that arbitrary bytes arrive unchanged as transport parameters.
func (su *Suite) transportParameters(t *testing.T) {
	client, server, _ := Configs(t)
	ce, se := su.Endpoints(t, client, server)
	for _, n := range []int{0, 1, 63, 255, 256, 1000, 10000} {
		params := make([]byte, n)
		for i := range params {
			params[i] = byte(i)
		}
		cs, err := ce.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "server.test", TransportParameters: params})
		require.NoError(t, err)
		p := PairOf(t, ce, se, "server.test")
		p.Client.Close()
		p.Client, p.ServerParams = cs, params
		p.MustRun(t)
		require.Equal(t, params, append([]byte{}, p.Hello.TransportParameters...), n)
		require.Equal(t, params, append([]byte{}, p.Params...), n)
		cs.Close()
	}
}

// versionsOfClients reads the versions that a client offers.
//
// "Clients MUST NOT offer TLS versions older than 1.3."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.2-3
// "Endpoints MUST send the quic_transport_parameters extension"
// https://www.rfc-editor.org/rfc/rfc9001#section-8.2-5
func (su *Suite) versionsOfClients(t *testing.T) {
	cfg, _, _ := Configs(t)
	s, err := su.newClient(t, cfg).NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "server.test",
		TransportParameters: []byte(ClientParams)})
	require.NoError(t, err)
	defer s.Close()
	events, err := s.Advance(nil)
	require.NoError(t, err)
	data := cryptoOf(events)[0].Data
	ch, err := hello.ParseClientHello(data[hello.HeaderLen:])
	require.NoError(t, err)
	require.Equal(t, []uint16{hello.VersionTLS13}, ch.Versions)
	require.True(t, ch.HasParameters)
}
