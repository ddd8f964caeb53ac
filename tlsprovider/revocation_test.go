package tlsprovider_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// revocationProviders returns the providers of this build that have VerifyPeer and staples.
func revocationProviders(t *testing.T) map[string]tlsprovider.Provider {
	out := map[string]tlsprovider.Provider{native.Name: native.New()}
	p, err := s2n.New(s2n.AllowClassical())
	if errors.Is(err, awslc.ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") != "1" {
		t.Log(err)
		return out
	}
	require.NoError(t, err)
	if p.Capabilities().OCSPStaples {
		out[s2n.Name] = p
	}
	return out
}

// An issued is a leaf under an intermediate authority.
type issued struct {
	root, inner *tlstest.Authority
	cert        tlsprovider.Certificate
	leaf        *x509.Certificate
}

func issue(t *testing.T, edit func(*x509.Certificate)) *issued {
	t.Helper()
	w := &issued{root: tlstest.NewAuthority(t)}
	w.inner = w.root.Certify(t, "test intermediate", nil)
	w.cert = w.inner.Leaf(t, edit)
	leaf, err := x509.ParseCertificate(w.cert.Chain[0])
	require.NoError(t, err)
	w.leaf = leaf
	return w
}

// requireOutcome runs a handshake in which one side presents w's certificate and the other has verify for its VerifyPeer.
func (w *issued) requireOutcome(t *testing.T, p tlsprovider.Provider, verifier tlsprovider.Side, verify func(*tlsprovider.State) error,
	want tlsprovider.Alert, text string) {
	t.Helper()
	client, server, ca := tlstest.Configs(t)
	client.DisableTickets = true
	if verifier == tlsprovider.Client {
		server.Certificates, client.RootCAs = []tlsprovider.Certificate{w.cert}, w.root.Roots()
		client.VerifyPeer = verify
	} else {
		client.Certificates, client.RootCAs = []tlsprovider.Certificate{w.cert}, ca.Roots()
		server.ClientAuth, server.ClientCAs = tlsprovider.RequireClientCert, w.root.Roots()
		server.VerifyPeer = verify
	}
	ce, err := p.NewClient(client)
	require.NoError(t, err)
	defer ce.Close()
	se, err := p.NewServer(server)
	require.NoError(t, err)
	defer se.Close()
	pair := tlstest.PairOf(t, ce, se, "server.test")
	if want == 0 {
		pair.MustRun(t)
		return
	}
	side, err := pair.Run(t)
	require.Equal(t, verifier, side)
	tlstest.RequireAlert(t, want, err)
	require.ErrorContains(t, err, text)
}

// crl writes a list of an authority to a file.
func crl(t *testing.T, a *tlstest.Authority, thisUpdate time.Time, revoked ...*x509.Certificate) string {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: thisUpdate, NextUpdate: thisUpdate.Add(time.Hour)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: thisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.Cert, a.Key)
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "crl")
	require.NoError(t, os.WriteFile(name, der, 0o600))
	return name
}

// TestRevocationLists runs the example of State.VerifiedChains on both sides with each provider.
func TestRevocationLists(t *testing.T) {
	w := issue(t, nil)
	now := time.Now()
	forger := tlstest.NewAuthority(t).Certify(t, "test intermediate", nil) // has the issuer's name and another key
	bystander := w.root.Certify(t, "test bystander", nil)
	fresh := now.Add(-time.Minute)
	for _, tt := range []struct {
		name  string
		lists []string
		want  tlsprovider.Alert // 0: the handshake succeeds
		text  string
	}{
		{"nothing revoked", []string{crl(t, w.root, fresh), crl(t, w.inner, fresh)}, 0, ""},
		{"another leaf", []string{crl(t, w.root, fresh, bystander.Cert), crl(t, w.inner, fresh, bystander.Cert)}, 0, ""},
		{"leaf revoked", []string{crl(t, w.root, fresh), crl(t, w.inner, fresh, w.leaf)}, tlsprovider.AlertCertificateRevoked, "CN=test leaf was revoked"},
		{"intermediate revoked", []string{crl(t, w.root, fresh, w.inner.Cert), crl(t, w.inner, fresh)}, tlsprovider.AlertCertificateRevoked,
			"CN=test intermediate was revoked"},
		{"out of date", []string{crl(t, w.root, fresh), crl(t, w.inner, now.Add(-2*time.Hour))}, tlsprovider.AlertCertificateUnknown, "is valid from"},
		{"not valid yet", []string{crl(t, w.root, fresh), crl(t, w.inner, now.Add(time.Hour))}, tlsprovider.AlertCertificateUnknown, "is valid from"},
		{"old and new", []string{crl(t, w.root, fresh), crl(t, w.inner, now.Add(-30*time.Minute)), crl(t, w.inner, fresh, w.leaf)},
			tlsprovider.AlertCertificateRevoked, "was revoked"},
		{"missing", []string{crl(t, w.root, fresh)}, tlsprovider.AlertCertificateUnknown, "there is no revocation list of CN=test intermediate"},
		{"none", nil, tlsprovider.AlertCertificateUnknown, "there is no revocation list"},
		{"of another authority", []string{crl(t, w.root, fresh), crl(t, bystander, fresh)}, tlsprovider.AlertCertificateUnknown,
			"there is no revocation list"},
		{"forged", []string{crl(t, w.root, fresh), crl(t, forger, fresh)}, tlsprovider.AlertCertificateUnknown, "there is no revocation list"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lists := new(crlSet)
			require.NoError(t, lists.Load(tt.lists...))
			for name, p := range revocationProviders(t) {
				for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
					t.Run(name+" "+side.String(), func(t *testing.T) {
						w.requireOutcome(t, p, side, lists.VerifyPeer, tt.want, tt.text)
					})
				}
			}
		})
	}
	require.Error(t, new(crlSet).Load(filepath.Join(t.TempDir(), "none")))
	require.ErrorContains(t, new(crlSet).VerifyPeer(new(tlsprovider.State)), "no verified chain")
}

// responder returns a certificate of the intermediate authority for a usage, and its key.
func (w *issued) responder(t *testing.T, usage x509.ExtKeyUsage, notAfter time.Time) (*x509.Certificate, crypto.Signer) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	chain := w.inner.Issue(t, key, func(c *x509.Certificate) {
		c.ExtKeyUsage, c.NotAfter, c.Subject.CommonName = []x509.ExtKeyUsage{usage}, notAfter, "test responder"
	})
	cert, err := x509.ParseCertificate(chain[0])
	require.NoError(t, err)
	return cert, key
}

// staple returns a good response about the leaf, changed by edit unless that is nil. It is signed by a responder, or by the authority
// if by is nil.
func (w *issued) staple(t *testing.T, now time.Time, edit func(*ocsp.Response), by *x509.Certificate, key crypto.Signer) []byte {
	r := ocsp.Response{
		Status: ocsp.Good, SerialNumber: w.leaf.SerialNumber, IssuerHash: crypto.SHA256,
		ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour),
	}
	if edit != nil {
		edit(&r)
	}
	if by == nil {
		by, key = w.inner.Cert, w.inner.Key
	} else {
		r.Certificate = by
	}
	der, err := ocsp.CreateResponse(w.inner.Cert, by, r, key)
	require.NoError(t, err)
	return der
}

// TestOCSPResponses runs the example of State.OCSPStaple on both sides with each provider.
func TestOCSPResponses(t *testing.T) {
	now := time.Now()
	w := issue(t, nil)
	always := issue(t, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}}
	})
	sign := func(w *issued, edit func(*ocsp.Response), by *x509.Certificate, key crypto.Signer) []byte {
		return w.staple(t, now, edit, by, key)
	}
	delegate, delegateKey := w.responder(t, x509.ExtKeyUsageOCSPSigning, now.Add(time.Hour))
	expired, expiredKey := w.responder(t, x509.ExtKeyUsageOCSPSigning, now.Add(-time.Minute))
	leafKey, err := x509.ParsePKCS8PrivateKey(w.cert.KeyDER)
	require.NoError(t, err)
	stranger := tlstest.NewAuthority(t)
	revoked := func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, now.Add(-time.Hour) }

	const bad = tlsprovider.AlertBadCertificateStatusResponse
	for _, tt := range []struct {
		name   string
		of     *issued
		staple []byte
		want   tlsprovider.Alert // 0: the handshake succeeds
		text   string
	}{
		{"good", w, sign(w, nil, nil, nil), 0, ""},
		{"good, of a delegated responder", w, sign(w, nil, delegate, delegateKey), 0, ""},
		{"none", w, nil, 0, ""},
		{"none, but required", always, nil, bad, "requires an OCSP response"},
		{"good and required", always, sign(always, nil, nil, nil), 0, ""},
		{"revoked", w, sign(w, revoked, nil, nil), tlsprovider.AlertCertificateRevoked, "CN=test leaf was revoked"},
		{"unknown", w, sign(w, func(r *ocsp.Response) { r.Status = ocsp.Unknown }, nil, nil), bad, "does not know"},
		{"out of date", w, sign(w, func(r *ocsp.Response) { r.NextUpdate = now.Add(-time.Second) }, nil, nil), bad, "is valid from"},
		{"not valid yet", w, sign(w, func(r *ocsp.Response) { r.ThisUpdate = now.Add(time.Hour) }, nil, nil), bad, "is valid from"},
		{"valid for ever", w, sign(w, func(r *ocsp.Response) { r.NextUpdate = time.Time{} }, nil, nil), bad, "is valid from"},
		{"of another certificate", w, sign(w, func(r *ocsp.Response) { r.SerialNumber = big.NewInt(99) }, nil, nil), bad, ""},
		{"signed by a stranger", w, sign(w, nil, stranger.Cert, stranger.Key), bad, ""},
		{"signed by the leaf itself", w, sign(w, nil, w.leaf, leafKey.(crypto.Signer)), bad, "may not sign OCSP responses"},
		{"of a responder that has expired", w, sign(w, nil, expired, expiredKey), bad, "certificate of the responder"},
		{"an error of the responder", w, ocsp.TryLaterErrorResponse, bad, "try later"},
		{"junk", w, []byte("junk"), bad, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, p := range revocationProviders(t) {
				for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
					t.Run(name+" "+side.String(), func(t *testing.T) {
						w := *tt.of
						w.cert.OCSPStaple = tt.staple
						w.requireOutcome(t, p, side, verifyStaple, tt.want, tt.text)
					})
				}
			}
		})
	}
	require.ErrorContains(t, verifyStaple(new(tlsprovider.State)), "no issuer")
}
