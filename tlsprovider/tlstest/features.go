package tlstest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// A feature is an optional part of a provider, as in a field of its Capabilities.
type feature struct {
	name string // the field's name
	has  func(*tlsprovider.Capabilities) bool
}

var (
	tickets            = feature{"Tickets", func(c *tlsprovider.Capabilities) bool { return c.Tickets }}
	savedTickets       = feature{"SavedTickets", func(c *tlsprovider.Capabilities) bool { return c.SavedTickets }}
	zeroRTT            = feature{"ZeroRTT", func(c *tlsprovider.Capabilities) bool { return c.ZeroRTT }}
	exporters          = feature{"Exporters", func(c *tlsprovider.Capabilities) bool { return c.Exporters }}
	verifiesPeer       = feature{"VerifyPeer", func(c *tlsprovider.Capabilities) bool { return c.VerifyPeer }}
	purposes           = feature{"CertificatePurposes", func(c *tlsprovider.Capabilities) bool { return c.CertificatePurposes }}
	ocspStaples        = feature{"OCSPStaples", func(c *tlsprovider.Capabilities) bool { return c.OCSPStaples }}
	signers            = feature{"Signers", func(c *tlsprovider.Capabilities) bool { return c.Signers }}
	clientCertificates = feature{"ClientCertificates", func(c *tlsprovider.Capabilities) bool { return c.ClientCertificates }}
	certificatesByName = feature{"CertificatesByName", func(c *tlsprovider.Capabilities) bool { return c.CertificatesByName }}
	decisionEndpoint   = feature{"DecisionEndpoint", func(c *tlsprovider.Capabilities) bool { return c.DecisionEndpoint }}
	keyLog             = feature{"KeyLog", func(c *tlsprovider.Capabilities) bool { return c.KeyLog }}
	quicVersion2       = feature{"Version2", func(c *tlsprovider.Capabilities) bool { return c.Version2 }}
	handshakeDetails   = feature{"HandshakeDetails", func(c *tlsprovider.Capabilities) bool { return c.HandshakeDetails }}
)

// postQuantumAuth is the feature of supporting a post-quantum signature scheme.
var postQuantumAuth = feature{"SignatureSchemes with a post-quantum one", (*tlsprovider.Capabilities).PQAuth}

// group returns the feature of supporting a key exchange group.
func group(g tlsprovider.Group) feature {
	return feature{"Groups with " + g.String(), func(c *tlsprovider.Capabilities) bool { _, ok := c.Group(g); return ok }}
}

// scheme returns the feature of supporting a signature scheme.
func scheme(s tlsprovider.SignatureScheme) feature {
	return feature{"SignatureSchemes with " + s.String(), func(c *tlsprovider.Capabilities) bool {
		return slices.Contains(c.SignatureSchemes, s)
	}}
}

// The signature schemes of the certificates in tests (RFC 8446, 4.2.3).
const (
	ecdsaP256 tlsprovider.SignatureScheme = 0x0403
	ecdsaP384 tlsprovider.SignatureScheme = 0x0503
	rsaPSS    tlsprovider.SignatureScheme = 0x0804
)

// missing returns a description of the first feature in needs that a provider lacks, or "" if both have all of them.
func (su *Suite) missing(needs ...feature) string {
	for _, p := range []tlsprovider.Provider{su.Client, su.Server} {
		c := p.Capabilities()
		for _, f := range needs {
			if !f.has(&c) {
				return fmt.Sprintf("%s's Capabilities lack %s", p.Name(), f.name)
			}
		}
	}
	return ""
}

// has reports whether both providers have a feature.
func (su *Suite) has(f feature) bool { return su.missing(f) == "" }

// need skips the test if one of the two providers lacks a feature.
func (su *Suite) need(t testing.TB, needs ...feature) {
	t.Helper()
	if why := su.missing(needs...); why != "" {
		t.Skip(why)
	}
}

// requireAlert checks that err is a *tlsprovider.Error with an alert. If the provider of the side that failed has no
// SpecificAlerts, any alert will do.
func (su *Suite) requireAlert(t testing.TB, side tlsprovider.Side, want tlsprovider.Alert, err error) {
	t.Helper()
	p := su.Client
	if side == tlsprovider.Server {
		p = su.Server
	}
	if !p.Capabilities().SpecificAlerts {
		var e *tlsprovider.Error
		require.ErrorAs(t, err, &e)
		require.NotZero(t, e.Alert)
		return
	}
	RequireAlert(t, want, err)
}

// versions returns the versions of QUIC that both providers have keys for.
func (su *Suite) versions() []uint32 {
	if su.has(quicVersion2) {
		return []uint32{version1, version2}
	}
	return []uint32{version1}
}

// groups returns the groups that both providers have, in the client's order of preference.
func (su *Suite) groups() (out []tlsprovider.Group) {
	server := su.Server.Capabilities()
	for _, g := range su.Client.Capabilities().Groups {
		if _, ok := server.Group(g.ID); ok {
			out = append(out, g.ID)
		}
	}
	return out
}

// postQuantum reports whether the providers have a post-quantum group in common.
func (su *Suite) postQuantum() bool {
	return slices.ContainsFunc(su.groups(), tlsprovider.Group.PostQuantum)
}

// firstGroup returns the first group that both providers have and that is, or is not, post-quantum. It skips
// the test if there is none.
func (su *Suite) firstGroup(t testing.TB, postQuantum bool) tlsprovider.Group {
	t.Helper()
	for _, g := range su.groups() {
		if g.PostQuantum() == postQuantum {
			return g
		}
	}
	kind := "classical"
	if postQuantum {
		kind = "post-quantum"
	}
	t.Skipf("%s and %s have no %s group in common", su.Client.Name(), su.Server.Name(), kind)
	return 0
}

// retryGroup returns a group that the client offers by default without a key share and that the server supports. If a
// server supports no other group, it sends a HelloRetryRequest. retryGroup returns 0 if there is no such group.
func (su *Suite) retryGroup(t testing.TB) (retry tlsprovider.Group) {
	t.Helper()
	client, server, _ := Configs(t)
	p := su.NewPair(t, client, server)
	p.MustRun(t)
	common := su.groups()
	for _, g := range p.Hello.Groups {
		if !slices.Contains(p.Hello.KeyShares, g) && slices.Contains(common, g) && (retry == 0 || g.PostQuantum()) {
			retry = g
		}
	}
	return retry
}

// shareLens are the lengths of the client's and the server's key share of each group, in bytes.
var shareLens = map[tlsprovider.Group][2]int{
	tlsprovider.X25519MLKEM768: {1216, 1120}, tlsprovider.SecP256r1MLKEM768: {1249, 1153},
	tlsprovider.SecP384r1MLKEM1024: {1665, 1665}, tlsprovider.X25519: {32, 32},
	tlsprovider.P256: {65, 65}, tlsprovider.P384: {97, 97}, tlsprovider.P521: {133, 133},
	tlsprovider.MLKEM1024: {1568, 1568},
}

// requireShares checks the lengths of key shares in a state, if they are known.
func (su *Suite) requireShares(t testing.TB, st tlsprovider.State) {
	t.Helper()
	if want, ok := shareLens[st.Group]; ok && su.has(handshakeDetails) {
		require.Equal(t, want, [2]int{st.ClientShareLen, st.ServerShareLen})
	}
}

// absentFeatures checks that a provider refuses configurations and calls that need a feature that it lacks.
func (su *Suite) absentFeatures(t *testing.T) {
	for _, p := range []tlsprovider.Provider{su.Client, su.Server} {
		su := &Suite{Client: p, Server: p, Live: su.Live}
		for _, tt := range []struct {
			lacks feature
			ask   func(client, server *tlsprovider.Config, ca *Authority) error
		}{
			{tickets, func(_, s *tlsprovider.Config, _ *Authority) error {
				s.TicketKeys = [][]byte{make([]byte, 32)}
				return refusal(p.NewServer, s)
			}},
			{verifiesPeer, func(c, _ *tlsprovider.Config, _ *Authority) error {
				c.VerifyPeer = func(*tlsprovider.State) error { return nil }
				return refusal(p.NewClient, c)
			}},
			{ocspStaples, func(_, s *tlsprovider.Config, _ *Authority) error {
				s.Certificates[0].OCSPStaple = []byte{1}
				return refusal(p.NewServer, s)
			}},
			{signers, func(_, s *tlsprovider.Config, ca *Authority) error {
				s.Certificates = []tlsprovider.Certificate{{Chain: ca.Issue(t, ca.Key, nil), Signer: remote{ca.Key, nil}}}
				return refusal(p.NewServer, s)
			}},
			{clientCertificates, func(_, s *tlsprovider.Config, ca *Authority) error {
				s.ClientAuth, s.ClientCAs = tlsprovider.RequireClientCert, ca.Roots()
				return refusal(p.NewServer, s)
			}},
			{clientCertificates, func(c, _ *tlsprovider.Config, ca *Authority) error {
				c.Certificates = []tlsprovider.Certificate{ca.Leaf(t, nil)}
				return refusal(p.NewClient, c)
			}},
			{certificatesByName, func(_, s *tlsprovider.Config, ca *Authority) error {
				s.Certificates = append(s.Certificates, ca.Leaf(t, nil))
				return refusal(p.NewServer, s)
			}},
			{decisionEndpoint, func(_, s *tlsprovider.Config, _ *Authority) error {
				return refusal(p.NewServer, &tlsprovider.Config{DeferCertificates: true})
			}},
			{keyLog, func(c, _ *tlsprovider.Config, _ *Authority) error {
				c.KeyLogWriter = writer(func([]byte) {})
				return refusal(p.NewClient, c)
			}},
			{feature{"Policies", func(c *tlsprovider.Capabilities) bool { return c.Policies }},
				func(c, _ *tlsprovider.Config, _ *Authority) error {
					c.Policy = "default_pq"
					return refusal(p.NewClient, c)
				}},
			{postQuantumAuth, func(c, _ *tlsprovider.Config, _ *Authority) error {
				c.RequirePQAuth = true
				return refusal(p.NewClient, c)
			}},
			{exporters, func(c, s *tlsprovider.Config, _ *Authority) error {
				pair := su.NewPair(t, c, s)
				pair.MustRun(t)
				_, err := pair.Client.Export("EXPORTER-test", nil, 32)
				return err
			}},
		} {
			t.Run(p.Name()+" "+tt.lacks.name, func(t *testing.T) {
				if su.has(tt.lacks) {
					t.Skip("the provider supports it")
				}
				client, server, ca := Configs(t)
				require.ErrorIs(t, tt.ask(client, server, ca), tlsprovider.ErrUnsupported)
			})
		}
		t.Run(p.Name()+" Version2", func(t *testing.T) {
			if su.has(quicVersion2) {
				t.Skip("the provider supports it")
			}
			_, err := p.InitialKeys(version2, rfcDCID, tlsprovider.Client)
			require.Error(t, err)
			_, err = p.RetryTag(version2, rfcDCID, nil)
			require.Error(t, err)
			_, ok := p.OpenInitial(version2, rfcDCID, make([]byte, 1200), 18)
			require.False(t, ok)
		})
	}
}

// refusal returns the error of making an endpoint. If there is none, it closes the endpoint.
func refusal(newEndpoint func(*tlsprovider.Config) (tlsprovider.Endpoint, error), cfg *tlsprovider.Config) error {
	e, err := newEndpoint(cfg)
	if err == nil {
		e.Close()
	}
	return err
}
