package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	quicgo "github.com/quic-go/quic-go"
	xquic "golang.org/x/net/quic"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A stack is an implementation that does the same work over loopback: a client opens a stream, requests a
// number of bytes and ends its direction; the server sends them and ends the other direction.
type stack struct {
	name string
	// listen starts a server that runs until stop.
	listen func(*creds) (addr string, stop func(), err error)
	// client returns a function that makes requests, on one socket for all connections, and one that closes
	// the socket.
	client func(*creds) (ask func(addr string, n uint64) error, stop func(), err error)
}

func stacks() ([]stack, error) {
	ps, err := providers()
	if err != nil {
		return nil, err
	}
	var out []stack
	for _, p := range ps {
		out = append(out, ours(p))
	}
	return append(out, quicGo(), xNet()), nil
}

// request encodes the number of requested bytes.
func request(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// answer serves one stream.
func answer(s io.ReadWriter) error {
	var req [8]byte
	if _, err := io.ReadFull(s, req[:]); err != nil {
		return err
	}
	chunk := make([]byte, 64<<10)
	for left := binary.BigEndian.Uint64(req[:]); left > 0; {
		n, err := s.Write(chunk[:min(left, uint64(len(chunk)))])
		if err != nil {
			return err
		}
		left -= uint64(n)
	}
	return nil
}

// serve passes each connection to handle, with the function that ends a stream, until accept fails.
func serve[S, C any](accept func(context.Context) (C, error), handle func(C, func(S) error), end func(S) error) {
	for {
		conn, err := accept(context.Background())
		if err != nil {
			return
		}
		go handle(conn, end)
	}
}

// An acceptor is a connection of any stack that accepts streams of type S.
type acceptor[S any] interface {
	AcceptStream(context.Context) (S, error)
}

// answerFirst answers the first stream of a connection.
func answerFirst[S io.ReadWriter, C acceptor[S]](conn C, end func(S) error) {
	s, err := conn.AcceptStream(context.Background())
	if err == nil && answer(s) == nil {
		end(s)
	}
}

// answerAll answers all streams of a connection. It reads each to its end, which releases the stream.
func answerAll[S io.ReadWriter, C acceptor[S]](conn C, end func(S) error) {
	for {
		s, err := conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		go func() {
			if answer(s) == nil && end(s) == nil {
				_, _ = io.Copy(io.Discard, s)
			}
		}()
	}
}

// expect reads the requested bytes.
func expect(s io.Reader, n uint64) error {
	got, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{s}, make([]byte, 64<<10))
	if err == nil && uint64(got) != n {
		err = fmt.Errorf("received %d of %d bytes", got, n)
	}
	return err
}

func ours(p tlsprovider.Provider) stack {
	bg := context.Background()
	return stack{
		name: p.Name(),
		listen: func(c *creds) (string, func(), error) {
			l, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{Provider: p, TLS: &tlsprovider.Config{
				NextProtos: []string{alpn}, Certificates: []tlsprovider.Certificate{c.Provider()}, DisableTickets: true}})
			if err != nil {
				return "", nil, err
			}
			go serve(l.Accept, answerFirst, (*quic.Stream).CloseWrite)
			return l.Addr().String(), func() { l.Endpoint().Close() }, nil
		},
		client: func(c *creds) (func(string, uint64) error, func(), error) {
			cfg := &quic.Config{Provider: p, ServerName: serverName,
				TLS: &tlsprovider.Config{NextProtos: []string{alpn}, RootCAs: c.Roots(), DisableTickets: true}}
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				return nil, nil, err
			}
			e, err := quic.NewEndpoint(pc, cfg)
			if err != nil {
				return nil, nil, err
			}
			return func(addr string, n uint64) error {
				conn, err := e.Dial(bg, addr, cfg)
				if err != nil {
					return err
				}
				defer conn.CloseWithError(0, "")
				s, err := conn.OpenStream(bg)
				if err != nil {
					return err
				}
				if _, err := s.Write(request(n)); err != nil {
					return err
				}
				if err := s.CloseWrite(); err != nil {
					return err
				}
				return expect(s, n)
			}, func() { e.Close(); pc.Close() }, nil
		},
	}
}

func (c *creds) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}, ServerName: serverName, RootCAs: c.Pool(),
		Certificates: []tls.Certificate{c.TLS()}, SessionTicketsDisabled: true}
}

func quicGo() stack {
	bg := context.Background()
	socket := func() (*net.UDPConn, *quicgo.Transport, error) {
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		return pc, &quicgo.Transport{Conn: pc}, err
	}
	return stack{
		name: "quic-go",
		listen: func(c *creds) (string, func(), error) {
			pc, tr, err := socket()
			if err != nil {
				return "", nil, err
			}
			l, err := tr.Listen(c.tlsConfig(), &quicgo.Config{})
			if err != nil {
				return "", nil, err
			}
			go serve(l.Accept, answerFirst, (*quicgo.Stream).Close)
			return l.Addr().String(), func() { tr.Close(); pc.Close() }, nil
		},
		client: func(c *creds) (func(string, uint64) error, func(), error) {
			pc, tr, err := socket()
			if err != nil {
				return nil, nil, err
			}
			return func(addr string, n uint64) error {
				to, err := net.ResolveUDPAddr("udp", addr)
				if err != nil {
					return err
				}
				conn, err := tr.Dial(bg, to, c.tlsConfig(), &quicgo.Config{})
				if err != nil {
					return err
				}
				defer conn.CloseWithError(0, "")
				s, err := conn.OpenStream()
				if err != nil {
					return err
				}
				if _, err := s.Write(request(n)); err != nil {
					return err
				}
				if err := s.Close(); err != nil {
					return err
				}
				return expect(s, n)
			}, func() { tr.Close(); pc.Close() }, nil
		},
	}
}

func xNet() stack {
	bg := context.Background()
	gone, cancel := context.WithCancel(bg)
	cancel()
	return stack{
		name: "xnet",
		listen: func(c *creds) (string, func(), error) {
			e, err := xquic.Listen("udp", "127.0.0.1:0", &xquic.Config{TLSConfig: c.tlsConfig()})
			if err != nil {
				return "", nil, err
			}
			go serve(e.Accept, answerFirst, func(s *xquic.Stream) error { s.CloseWrite(); return nil })
			return e.LocalAddr().String(), func() { e.Close(gone) }, nil
		},
		client: func(c *creds) (func(string, uint64) error, func(), error) {
			e, err := xquic.Listen("udp", "127.0.0.1:0", nil)
			if err != nil {
				return nil, nil, err
			}
			cfg := &xquic.Config{TLSConfig: c.tlsConfig()}
			return func(addr string, n uint64) error {
				conn, err := e.Dial(bg, "udp", addr, cfg)
				if err != nil {
					return err
				}
				defer conn.Abort(nil)
				s, err := conn.NewStream(bg)
				if err != nil {
					return err
				}
				if _, err := s.Write(request(n)); err != nil {
					return err
				}
				s.CloseWrite()
				return expect(s, n)
			}, func() { e.Close(gone) }, nil
		},
	}
}
