package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path"
	"time"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// client downloads the files of requests, which are URLs.
func (s *setup) client(ctx context.Context, requests []string) error {
	if s.testCase.noClient != "" {
		return &unsupportedError{s.name, s.testCase.noClient}
	}
	if err := s.trust(); err != nil {
		return err
	}
	root, err := os.OpenRoot(s.at.downloads)
	if err != nil {
		return err
	}
	defer root.Close()
	urls := make([]*url.URL, len(requests))
	for i, r := range requests {
		if urls[i], err = url.Parse(r); err != nil {
			return fmt.Errorf("REQUESTS: %w", err)
		}
		if urls[i].Host == "" || urls[i].Host != urls[0].Host {
			return fmt.Errorf("REQUESTS: %s: the URLs must name one server", r)
		}
	}
	if len(urls) == 0 {
		return errors.New("REQUESTS has no URLs")
	}
	c := client{s.cfg, root}
	switch s.testCase.download {
	case separately:
		for i := range urls {
			if err := c.connect(ctx, quic.Dial, urls[i:i+1]); err != nil {
				return fmt.Errorf("connection %d: %w", i+1, err)
			}
		}
		return nil
	case resumed:
		return c.returning(ctx, quic.Dial, urls)
	case early:
		return c.returning(ctx, quic.DialEarly, urls)
	}
	return c.connect(ctx, quic.Dial, urls)
}

// A client downloads files to a directory.
type client struct {
	cfg       *quic.Config
	downloads *os.Root
}

// A dialer is quic.Dial or quic.DialEarly.
type dialer func(ctx context.Context, network, addr string, cfg *quic.Config) (*quic.Conn, error)

// returning downloads the first file, and when it has a session, the others on a second connection.
func (c client) returning(ctx context.Context, dial dialer, urls []*url.URL) error {
	if len(urls) < 2 {
		return errors.New("REQUESTS has no file for the second connection")
	}
	if err := c.connect(ctx, quic.Dial, urls[:1]); err != nil {
		return fmt.Errorf("first connection: %w", err)
	}
	if err := c.connect(ctx, dial, urls[1:]); err != nil {
		return fmt.Errorf("second connection: %w", err)
	}
	return nil
}

// connect downloads files on one connection, all at the same time.
func (c client) connect(ctx context.Context, dial dialer, urls []*url.URL) error {
	addr := urls[0].Host
	if urls[0].Port() == "" {
		addr = net.JoinHostPort(urls[0].Hostname(), "443")
	}
	conn, err := dial(ctx, "udp", addr, c.cfg)
	if err != nil {
		return err
	}
	get := oldGet(conn)
	if isHTTP3(c.cfg) {
		if get, err = httpGet(conn); err != nil {
			return err
		}
	}
	results := make(chan error)
	for _, u := range urls {
		go func() { results <- c.download(ctx, get, u) }()
	}
	for range urls {
		err = errors.Join(err, <-results)
	}
	if err == nil {
		err = c.finish(ctx, conn)
	}
	if err != nil {
		return errors.Join(err, conn.CloseWithError(1, "a download failed"))
	}
	// The client has what it wants. Close would wait until the server has acknowledged everything.
	return conn.CloseWithError(0, "")
}

// finish checks that a connection has resumed if the client had a session, and else waits for one if the client
// keeps sessions.
func (c client) finish(ctx context.Context, conn *quic.Conn) error {
	store, ok := c.cfg.TLS.ClientStore.(*notifyingStore)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	select {
	case <-conn.HandshakeComplete(): // early data may be answered before
	case <-ctx.Done():
		return ctx.Err()
	}
	state := conn.ConnectionState().TLS
	switch {
	case store.taken.Load() && !state.Resumed:
		return errors.New("the server did not resume the session")
	case state.Resumed && c.cfg.TLS.EarlyData && state.EarlyData != tlsprovider.EarlyDataAccepted:
		return fmt.Errorf("the early data were not accepted: %v", state.EarlyData)
	case state.Resumed:
		return nil
	}
	select {
	case <-store.put:
		return nil
	case <-ctx.Done():
		return errors.New("the server sent no session ticket within 10 s")
	}
}

// A getter requests a file and returns its content.
type getter func(ctx context.Context, u *url.URL) (io.ReadCloser, error)

// oldGet returns a getter of files for a connection that speaks HTTP/0.9.
func oldGet(conn *quic.Conn) getter {
	return func(ctx context.Context, u *url.URL) (io.ReadCloser, error) {
		s, err := conn.OpenStream(ctx)
		if err != nil {
			return nil, err
		}
		if _, err = fmt.Fprintf(s, "GET %s\r\n", u.EscapedPath()); err == nil {
			err = s.CloseWrite()
		}
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return s, nil
	}
}

// download downloads a file.
func (c client) download(ctx context.Context, get getter, u *url.URL) (err error) {
	body, err := get(ctx, u)
	if err != nil {
		return err
	}
	defer body.Close()
	name := path.Clean("/" + u.EscapedPath())[1:]
	f, err := c.downloads.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	_, err = io.Copy(w, body)
	if err = errors.Join(err, w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
