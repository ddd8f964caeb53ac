package interop

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/quic/netconn"
	"github.com/pqquic/pqquic/tlsprovider"
)

// The connections of package netconn behave as nettest requires of a net.Conn.
func TestNetConn(t *testing.T) {
	c := newCreds()
	const closeTimeout = 100 * time.Millisecond // some tests close connections whose peer does not read
	nettest.TestConn(t, func() (client, server net.Conn, stop func(), err error) {
		l, err := netconn.Listen("udp", "127.0.0.1:0", &quic.Config{Provider: nativeProvider, CloseTimeout: closeTimeout, TLS: &tlsprovider.Config{
			NextProtos: []string{"nettest"}, Certificates: []tlsprovider.Certificate{c.Provider()},
		}})
		if err != nil {
			return nil, nil, nil, err
		}
		client, err = netconn.Dial(context.Background(), "udp", l.Addr().String(), &quic.Config{
			Provider: nativeProvider, ServerName: serverName, CloseTimeout: closeTimeout,
			TLS: &tlsprovider.Config{NextProtos: []string{"nettest"}, RootCAs: c.Roots()},
		})
		if err != nil {
			return nil, nil, nil, errors.Join(err, l.Endpoint().Close())
		}
		server, err = l.Accept()
		return client, server, func() {
			client.Close()
			server.Close()
			l.Close()
			l.Endpoint().Close()
		}, err
	})
}
