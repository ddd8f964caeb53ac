package tlstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

var errBroken = errors.New("the key store is broken")

// remote is a signer of another type than *ecdsa.PrivateKey, like a key outside of the process.
type remote struct {
	crypto.Signer
	err error
}

func (r remote) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.Signer.Sign(random, digest, opts)
}

func (su *Suite) signer(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for s, key := range map[tlsprovider.SignatureScheme]crypto.Signer{ecdsaP256: p256, ecdsaP384: p384, rsaPSS: RSAKey(t)} {
		t.Run(s.String(), func(t *testing.T) {
			su.need(t, scheme(s))
			client, server, ca := Configs(t)
			cert := tlsprovider.Certificate{Chain: ca.Issue(t, key, nil), Signer: remote{key, nil}}
			server.Certificates = []tlsprovider.Certificate{cert}
			p := su.NewPair(t, client, server)
			cs, _ := p.MustRun(t)
			require.Equal(t, 1, p.Signs)
			require.Equal(t, cert.Chain, cs.PeerChain)

			su.need(t, clientCertificates)
			server.ClientAuth, server.ClientCAs = tlsprovider.RequireClientCert, ca.Roots()
			client.Certificates = []tlsprovider.Certificate{cert}
			p = su.NewPair(t, client, server)
			_, ss := p.MustRun(t)
			require.Equal(t, 2, p.Signs)
			require.Equal(t, cert.Chain, ss.PeerChain)
		})
	}
	t.Run("fails", func(t *testing.T) {
		client, server, ca := Configs(t)
		server.Certificates = []tlsprovider.Certificate{{Chain: ca.Issue(t, p256, nil), Signer: remote{p256, errBroken}}}
		side, err := su.NewPair(t, client, server).Run(t)
		require.Equal(t, tlsprovider.Server, side)
		RequireAlert(t, tlsprovider.AlertInternalError, err)
		require.ErrorIs(t, err, errBroken)
	})
	t.Run("signs with another key", func(t *testing.T) {
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		client, server, ca := Configs(t)
		server.Certificates = []tlsprovider.Certificate{{Chain: ca.Issue(t, p256, nil), Signer: swapped{p256, other}}}
		side, err := su.NewPair(t, client, server).Run(t)
		// A library may verify its own signature, as a defence against faults. Otherwise the peer detects it.
		if side == tlsprovider.Server {
			RequireAlert(t, tlsprovider.AlertInternalError, err)
		} else {
			RequireAlert(t, tlsprovider.AlertDecryptError, err)
		}
	})
	t.Run("with another certificate that has a key in memory", func(t *testing.T) {
		su.need(t, certificatesByName)
		client, server, ca := Configs(t)
		server.Certificates = append(server.Certificates, tlsprovider.Certificate{
			Chain:  ca.Issue(t, p256, func(c *x509.Certificate) { c.DNSNames = []string{"hsm.test"} }),
			Signer: remote{p256, nil},
		})
		ce, se := su.Endpoints(t, client, server)
		for name, signs := range map[string]int{"server.test": 0, "hsm.test": 1} {
			p := PairOf(t, ce, se, name)
			p.MustRun(t)
			require.Equal(t, signs, p.Signs, name)
		}
	})
}

// swapped is a signer that signs with another key than its public one.
type swapped struct{ claimed, used crypto.Signer }

func (s swapped) Public() crypto.PublicKey { return s.claimed.Public() }

func (s swapped) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.used.Sign(random, digest, opts)
}
