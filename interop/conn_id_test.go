package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// ourIDs is our stack with connection IDs of another length.
type ourIDs struct {
	ours
	length int // Config.ConnIDLength
}

func (s ourIDs) dial(ctx context.Context, addr string, o options) (conn, error) {
	cfg := s.config(o)
	cfg.ConnIDLength = s.length
	c, err := quic.Dial(ctx, "udp", addr, cfg)
	if err != nil {
		return nil, err
	}
	return ourConn{c}, nil
}

func (s ourIDs) listen(o options) (listener, error) {
	cfg := s.config(o)
	cfg.TLS.Certificates = []tlsprovider.Certificate{s.c.Provider()}
	cfg.TLS.RootCAs = nil
	cfg.ConnIDLength = s.length
	if o.retry {
		cfg.AddressValidation = quic.ValidateAlways
	}
	l, err := quic.Listen("udp", "127.0.0.1:0", cfg)
	return ourListener{l, make(endings, 16)}, err
}

// TestConnIDLengths transfers data with connection IDs of each length, as the client, as the server, and as a server that
// sends Retry.
func TestConnIDLengths(t *testing.T) {
	pairs(t, func(t *testing.T, client, server stack) {
		for _, length := range []int{-1, 1, 4, 20} {
			for _, retry := range []bool{false, true} {
				us, dials := client.(ours)
				if !dials && length < 0 || dials && retry {
					continue // a server needs IDs; our Retry packets are what is tested
				}
				t.Run(fmt.Sprintf("length %d, Retry %t", length, retry), func(t *testing.T) {
					client, server := client, server
					if dials {
						client = ourIDs{us, length}
					} else {
						server = ourIDs{server.(ours), length}
					}
					o := options{groups: pq, alpn: alpn, retry: retry}
					cc, sc := connect(t, client, server, o, o)
					echoOnce(t, cc, sc)
					echoOnce(t, cc, sc)
				})
			}
		}
	})
}

// echoOnce sends data from the client to the server and back on a new stream.
func echoOnce(t *testing.T, cc, sc conn) {
	t.Helper()
	ctx := deadline(t)
	data := bytes.Repeat([]byte("there and back "), 20_000)
	echoed := make(chan error, 1)
	go func() {
		s, err := sc.accept(ctx)
		if err != nil {
			echoed <- err
			return
		}
		if _, err = io.Copy(s, s); err == nil {
			err = s.closeWrite()
		}
		echoed <- err
	}()
	s, err := cc.open(ctx)
	require.NoError(t, err)
	written := make(chan error, 1)
	go func() {
		_, err := s.Write(data)
		if err == nil {
			err = s.closeWrite()
		}
		written <- err
	}()
	got, err := io.ReadAll(s)
	require.NoError(t, err)
	require.NoError(t, <-written)
	require.NoError(t, <-echoed)
	require.True(t, bytes.Equal(data, got))
}
