package interop

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xquic "golang.org/x/net/quic"

	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// TestEncryptedClientHello dials a server of x/net/quic that decrypts ClientHellos. With a key that the server does not have,
// the error of Dial has the server's list of configurations, and a second Dial with it succeeds.
func TestEncryptedClientHello(t *testing.T) {
	public, secret := testcert.New("public.test"), testcert.New("secret.test")
	key, list := tlstest.ECHKey(t, "public.test")
	_, stale := tlstest.ECHKey(t, "public.test")
	server, err := xquic.Listen("udp", "127.0.0.1:0", &xquic.Config{TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"test"}, Certificates: []tls.Certificate{public.TLS(), secret.TLS()},
		EncryptedClientHelloKeys: []tls.EncryptedClientHelloKey{key},
	}})
	require.NoError(t, err)
	defer func() { _ = server.Close(canceled()) }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	roots := public.Pool()
	roots.AddCert(secret.TLS().Leaf)
	dial := func(list []byte) (*quic.Conn, error) {
		cfg, err := tlsprovider.FromTLSConfig(&tls.Config{
			NextProtos: []string{"test"}, RootCAs: roots, EncryptedClientHelloConfigList: list,
		})
		require.NoError(t, err)
		cfg.RequirePQ = true
		return quic.Dial(ctx, "udp", server.LocalAddr().String(),
			&quic.Config{Provider: nativeProvider, ServerName: "secret.test", TLS: cfg})
	}
	_, err = dial(stale)
	var rejection *tls.ECHRejectionError
	require.ErrorAs(t, err, &rejection)
	require.Equal(t, list, rejection.RetryConfigList)
	var failure *tlsprovider.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, tlsprovider.AlertECHRequired, failure.Alert)

	for _, list := range [][]byte{list, rejection.RetryConfigList} {
		c, err := dial(list)
		require.NoError(t, err)
		st := c.ConnectionState().TLS
		require.True(t, st.ECHAccepted)
		require.Equal(t, "secret.test", st.ServerName)
		require.True(t, st.Group.PostQuantum())
		accepted, err := server.Accept(ctx)
		require.NoError(t, err)
		require.Equal(t, "secret.test", accepted.ConnectionState().ServerName)
		accepted.Abort(nil)
		require.NoError(t, c.Close())
	}
}
