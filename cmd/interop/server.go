package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path"
	"path/filepath"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// listen opens a server's socket.
func (s *setup) listen() (*quic.Listener, error) {
	cert, err := tlsprovider.LoadCertificate(filepath.Join(s.at.certs, "cert.pem"), filepath.Join(s.at.certs, "priv.key"))
	if err != nil {
		return nil, err
	}
	s.cfg.TLS.Certificates = []tlsprovider.Certificate{cert}
	return quic.Listen("udp", s.at.listen, s.cfg)
}

// serve serves files until ctx ends.
func (s *setup) serve(ctx context.Context, l *quic.Listener) error {
	defer l.Endpoint().Close()
	root, err := os.OpenRoot(s.at.www)
	if err != nil {
		return err
	}
	defer root.Close()
	s.cfg.Logger.Info("listening", "addr", l.Addr(), "test case", s.name, "provider", s.cfg.Provider.Name())
	if isHTTP3(s.cfg) {
		return s.serveHTTP3(ctx, l, root)
	}
	srv := server{root, s.cfg.Logger}
	for {
		c, err := l.Accept(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		go srv.serve(ctx, c)
	}
}

// A server answers HTTP/0.9 requests with the files of a directory.
type server struct {
	www *os.Root
	log *slog.Logger
}

// serve answers the requests of a connection, each on a goroutine. The connection's limit of streams bounds them.
func (s server) serve(ctx context.Context, c *quic.Conn) {
	for {
		stream, err := c.AcceptStream(ctx)
		if err != nil {
			return
		}
		go func() {
			defer stream.Close()
			if err := s.answer(stream); err != nil {
				s.log.Warn("a request failed", "connection", c.ID(), "stream", stream.ID(), "error", err)
				_ = stream.Reset(1)
			}
		}()
	}
}

// answer sends the file that the client requests on a stream.
func (s server) answer(stream *quic.Stream) error {
	name, err := readRequest(stream)
	if err != nil {
		return err
	}
	f, err := s.www.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(stream, f); err != nil {
		return err
	}
	return stream.CloseWrite()
}

// readRequest reads a request of HTTP/0.9, "GET /path", and returns the path without its first slash. The end of the
// line is optional.
func readRequest(r io.Reader) (string, error) {
	const maxRequest = 4096
	line, err := io.ReadAll(io.LimitReader(r, maxRequest))
	if err != nil {
		return "", fmt.Errorf("reading the request: %w", err)
	}
	if len(line) == maxRequest {
		return "", fmt.Errorf("the request is longer than %d bytes", maxRequest)
	}
	target, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r\n "), []byte("GET /"))
	if !ok {
		return "", fmt.Errorf("the request %.40q does not begin with GET /", line)
	}
	name, err := url.PathUnescape(string(target))
	if err != nil {
		return "", err
	}
	return path.Clean("/" + name)[1:], nil
}
