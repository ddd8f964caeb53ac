package s2n

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A chain of 40 KB, longer than any flight that fits an amplification limit.
func TestLongChain(t *testing.T) {
	prov := newProvider(t)
	client, server, ca := configs(t)
	leaf := ca.leaf(t, nil)
	total := 0
	for total < 40<<10 {
		extra := newAuthority(t).leaf(t, func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: strings.Repeat("padding ", 7), OrganizationalUnit: []string{strings.Repeat("x", 1000)}}
		})
		leaf.Chain = append(leaf.Chain, extra.Chain[0])
		total += len(extra.Chain[0])
	}
	server.Certificates = []tlsprovider.Certificate{leaf}
	cs, _ := newPair(t, prov, client, server).mustRun(t)
	require.Equal(t, leaf.Chain, cs.PeerChain)
}

// Handshakes go on while certificates and ticket keys change, and while the endpoint closes.
func TestConcurrentUse(t *testing.T) {
	prov := newProvider(t)
	client, server, ca := configs(t)
	ce, err := prov.NewClient(client)
	require.NoError(t, err)
	se, err := prov.NewServer(server)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if err := lean(ce, se); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			if err := se.SetCertificates([]tlsprovider.Certificate{ca.leaf(t, nil)}); err != nil {
				t.Error(err)
			}
			key := make([]byte, 32)
			key[0] = byte(i)
			if err := se.SetTicketKeys([][]byte{key}); err != nil {
				t.Error(err)
			}
			_ = prov.Capabilities()
		}
	})
	wg.Wait()
	for range 4 {
		wg.Go(func() {
			for range 10 {
				_ = lean(ce, se) // fails once the endpoints are closed, and does nothing worse
			}
		})
	}
	ce.Close()
	se.Close()
	wg.Wait()
	require.Error(t, lean(ce, se))
}

// fuzzEndpoints are made once: a fuzz worker starts many sessions.
var fuzzEndpoints = sync.OnceValues(func() (ends [2]tlsprovider.Endpoint, err error) {
	prov, err := New()
	if err != nil {
		return ends, err
	}
	cfg := &tlsprovider.Config{NextProtos: []string{"test"}, InsecureSkipVerify: true}
	if ends[tlsprovider.Client], err = prov.NewClient(cfg); err != nil {
		return ends, err
	}
	server := &tlsprovider.Config{NextProtos: []string{"test"}, Certificates: []tlsprovider.Certificate{fuzzCert}}
	ends[tlsprovider.Server], err = prov.NewServer(server)
	return ends, err
})

var fuzzCert tlsprovider.Certificate

// FuzzPeerBytes gives a session what a peer might send: any bytes at any level, in pieces.
func FuzzPeerBytes(f *testing.F) {
	newProvider(f)
	fuzzCert = newAuthority(f).leaf(f, nil)
	ends, err := fuzzEndpoints()
	require.NoError(f, err)
	client, server, _ := configs(f)
	client.InsecureSkipVerify = true
	prov := newProvider(f)
	p := newPair(f, prov, client, server)
	p.mustRun(f)
	for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
		for level, data := range p.flights[side] {
			f.Add(uint8(side.Peer()), uint8(level), uint16(len(data)), data)
			f.Add(uint8(side.Peer()), uint8(level), uint16(7), data)
		}
	}
	f.Fuzz(func(t *testing.T, side, level uint8, piece uint16, data []byte) {
		s, err := ends[side&1].NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "server.test", TransportParameters: []byte{1}})
		require.NoError(t, err)
		defer s.Close()
		_, err = s.Advance(nil)
		require.NoError(t, err)
		for len(data) > 0 {
			n := min(len(data), int(piece)+1)
			events, err := s.Advance([]tlsprovider.CryptoData{{Level: tlsprovider.Level(level & 3), Data: data[:n]}})
			if err == nil && len(events) > 0 && events[0].Kind == tlsprovider.EventClientHello {
				_, err = s.Continue(tlsprovider.Decision{ALPN: "test", TransportParameters: []byte{1}})
			}
			if err != nil {
				var e *tlsprovider.Error
				require.ErrorAs(t, err, &e)
				require.NotZero(t, e.Alert)
				return
			}
			data = data[n:]
		}
	})
}
