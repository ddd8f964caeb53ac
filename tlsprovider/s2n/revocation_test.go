package s2n

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// TestIssuersAreNotTriedInTurn records a limit of libcrypto that docs/revocation.md describes: of several certificates of an
// intermediate authority it follows the first, even if only another one leads to a root.
func TestIssuersAreNotTriedInTurn(t *testing.T) {
	one, two := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	inner := one.Certify(t, "test intermediate", nil)
	crossed := two.Certify(t, "test intermediate", inner.Key)
	client, server, _ := tlstest.Configs(t)
	server.Certificates[0] = inner.Leaf(t, nil)
	server.Certificates[0].Chain = append(server.Certificates[0].Chain, crossed.DER)
	client.RootCAs = two.Roots()
	_, err := newPair(t, newProvider(t), client, server).Run(t)
	tlstest.RequireAlert(t, tlsprovider.AlertUnknownCA, err)
	newPair(t, native.New(), client, server).MustRun(t)
}

// TestStaplesAreRequestedForVerifyPeer checks that a client asks for a staple only if VerifyPeer can look at it, so that servers
// send no more than needed before the client's address is validated.
func TestStaplesAreRequestedForVerifyPeer(t *testing.T) {
	prov := newProvider(t)
	if !prov.Capabilities().OCSPStaples {
		t.Skip("this variant has no staples")
	}
	for _, want := range []bool{false, true} {
		client, server, _ := tlstest.Configs(t)
		if want {
			client.VerifyPeer = func(*tlsprovider.State) error { return nil }
		}
		server.Certificates[0].OCSPStaple = []byte("some OCSP response")
		p := newPair(t, prov, client, server)
		cs, _ := p.MustRun(t)
		sent := p.Flights[tlsprovider.Server][tlsprovider.LevelHandshake]
		require.Equal(t, want, bytes.Contains(sent, server.Certificates[0].OCSPStaple))
		require.Equal(t, want, bytes.Equal(cs.OCSPStaple(), server.Certificates[0].OCSPStaple))
		// "Implementations MUST NOT send extension responses if the remote endpoint did not send the corresponding extension
		// requests"
		// https://www.rfc-editor.org/rfc/rfc8446#section-4.2
		first := p.Flights[tlsprovider.Client][tlsprovider.LevelInitial]
		require.Equal(t, want, bytes.Contains(first, []byte{0, hello.ExtStatusRequest, 0, 5, 1, 0, 0, 0, 0}))
	}
}

// TestPathsShareMemory checks that the paths of a state have no memory of their own for certificates that the peer has sent and
// for roots.
func TestPathsShareMemory(t *testing.T) {
	if awslc.Variant == historic {
		t.Skip("this variant has no VerifyPeer")
	}
	ca := tlstest.NewAuthority(t)
	inner := ca.Certify(t, "test intermediate", nil)
	client, server, _ := tlstest.Configs(t)
	client.VerifyPeer = func(*tlsprovider.State) error { return nil }
	client.RootCAs = ca.Roots()
	server.Certificates[0] = inner.Leaf(t, nil)
	p := newPair(t, newProvider(t), client, server)
	p.MustRun(t)
	s := p.Client.(*session)
	path := [][]byte{bytes.Clone(server.Certificates[0].Chain[0]), bytes.Clone(inner.DER), bytes.Clone(ca.DER)}
	s.shareMemory([][][]byte{path})
	require.Same(t, &s.state.PeerChain[0][0], &path[0][0])
	require.Same(t, &s.state.PeerChain[1][0], &path[1][0])
	require.Same(t, &client.RootCAs.DER()[0][0], &path[2][0])
}
