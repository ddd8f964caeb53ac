package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/pqquic/pqquic/http3"
	"github.com/pqquic/pqquic/quic"
)

// speakHTTP3 makes both sides use HTTP/3 instead of HTTP/0.9.
func speakHTTP3(s *setup) error {
	s.cfg.TLS.NextProtos = []string{http3.NextProto}
	return nil
}

// isHTTP3 reports whether the test case uses HTTP/3.
func isHTTP3(cfg *quic.Config) bool { return cfg.TLS.NextProtos[0] == http3.NextProto }

// serveHTTP3 serves files over HTTP/3 until ctx ends.
func (s *setup) serveHTTP3(ctx context.Context, l *quic.Listener, www *os.Root) error {
	srv := &http3.Server{Handler: http.FileServerFS(www.FS()), Logger: s.cfg.Logger}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })() // fails only if the Listener is closed already
	if err := srv.ServeListener(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// httpGet returns a getter of files for a connection that speaks HTTP/3.
func httpGet(conn *quic.Conn) (getter, error) {
	cc, err := http3.NewClientConn(conn)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, u *url.URL) (io.ReadCloser, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, err
		}
		resp, err := cc.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			return nil, errors.Join(fmt.Errorf("%s: the status is %s", u.Path, resp.Status), resp.Body.Close())
		}
		return resp.Body, nil
	}, nil
}
