//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"

	quicgo "github.com/quic-go/quic-go"
	xquic "golang.org/x/net/quic"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// goStacks open an endpoint on a new socket.
var goStacks = map[string]func(*settings) (endpoint, error){
	"pqquic-s2n": func(s *settings) (endpoint, error) {
		p, err := s2n.New()
		if err != nil {
			return nil, err
		}
		return openOurs(p, s)
	},
	"pqquic-native": func(s *settings) (endpoint, error) { return openOurs(native.New(), s) },
	"quic-go":       openQuicGo,
	"x/net":         openXNet,
	tlsTCP:          openTLSTCP,
	rawFloor:        openFloor,
}

// rustStacks are the stacks of the driver in Rust.
var rustStacks = []string{"s2n-quic-s2n-tls", "s2n-quic-rustls", "quinn"}

func isRust(stack string) bool { return slices.Contains(rustStacks, stack) }

// stackNames returns all stacks in the order of the report.
func stackNames() []string {
	return append([]string{"pqquic-s2n", "pqquic-native"}, append(slices.Clone(rustStacks),
		"quic-go", "x/net", tlsTCP, rawFloor)...)
}

// baseSuffix is the end of the names of our stacks at the commit that make bench-compare compares with.
const baseSuffix = "@base"

// comparedNames returns the names of our stacks at both commits.
func comparedNames() (names []string) {
	for _, stack := range ours {
		names = append(names, stack, stack+baseSuffix)
	}
	return names
}

// supports reports whether a stack can carry out a workload.
func supports(stack, workload string) bool {
	if workload == locksWorkload {
		return slices.Contains(ours, strings.TrimSuffix(stack, baseSuffix))
	}
	switch stack {
	case tlsTCP: // one stream a connection, whose end closes the connection
		return !slices.Contains([]string{"request", "streams-32", memoryWorkload, jumbo}, workload) && !strings.HasSuffix(workload, "-10")
	case rawFloor: // retransmits nothing
		return workload == "bulk-down-1" || workload == jumbo
	}
	return true
}

var background = context.Background()

// A socket is a UDP socket.
type socket struct{ *net.UDPConn }

func newSocket(s *settings) (socket, error) {
	local, err := netip.ParseAddr(s.bind)
	if err != nil {
		return socket{}, fmt.Errorf("the local address %q: %w", s.bind, err)
	}
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	return socket{c}, err
}

func (s socket) addr() string { return s.LocalAddr().String() }

// ourEndpoint is pqquic.
type ourEndpoint struct {
	socket
	*quic.Endpoint
	*quic.Listener
}

func openOurs(p tlsprovider.Provider, s *settings) (endpoint, error) {
	// pqquic finds out itself what the path carries: 1200 bytes or more, up to packets of 9000 bytes.
	const largest = 9000 - 20 - 8
	cfg := &quic.Config{Provider: p, ServerName: serverName, MaxIdleTimeout: idleTimeout, DisablePathMTUDiscovery: s.datagram < largest, TLS: &tlsprovider.Config{
		Groups: []tlsprovider.Group{tlsprovider.X25519MLKEM768}, NextProtos: []string{alpn}, DisableTickets: true}}
	if s.server() {
		cfg.TLS.Certificates = []tlsprovider.Certificate{{Chain: [][]byte{s.certDER}, KeyDER: s.keyDER}}
	} else {
		cfg.TLS.RootCAs = new(tlsprovider.Roots)
		cfg.TLS.RootCAs.AddDER(s.certDER)
	}
	sock, err := newSocket(s)
	if err != nil {
		return nil, err
	}
	e := ourEndpoint{socket: sock}
	if e.Endpoint, err = quic.NewEndpoint(sock.UDPConn, cfg); err != nil {
		return nil, err
	}
	if s.server() {
		if e.Listener, err = e.Listen(); err != nil {
			return nil, err
		}
	}
	// After NewEndpoint, which sets buffers of a smaller size.
	return e, sock.setBuffers()
}

func (e ourEndpoint) accept() (connection, error) {
	c, err := e.Listener.Accept(background)
	return ourConn{c}, err
}

func (e ourEndpoint) dial(addr string) (connection, error) {
	c, err := e.Endpoint.Dial(background, addr, nil)
	return ourConn{c}, err
}

func (e ourEndpoint) close() {
	e.Endpoint.Close()
	e.UDPConn.Close()
}

type ourConn struct{ *quic.Conn }

func (c ourConn) acceptStream() (stream, error) { return c.AcceptStream(background) }
func (c ourConn) openStream() (stream, error)   { return c.OpenStream(background) }
func (c ourConn) abort()                        { c.CloseWithError(0, "") }

func (c ourConn) negotiated() (group, suite string) {
	state := c.ConnectionState().TLS
	return fmt.Sprint(state.Group), fmt.Sprint(state.CipherSuite)
}

type quicGoEndpoint struct {
	socket
	*quicgo.Transport
	*quicgo.Listener
	tls *tls.Config
	cfg *quicgo.Config
}

func openQuicGo(s *settings) (endpoint, error) {
	sock, err := newSocket(s)
	if err != nil {
		return nil, err
	}
	if err := sock.setBuffers(); err != nil {
		return nil, err
	}
	e := quicGoEndpoint{socket: sock, Transport: &quicgo.Transport{Conn: sock.UDPConn},
		cfg: &quicgo.Config{InitialPacketSize: uint16(s.datagram), DisablePathMTUDiscovery: true,
			MaxIdleTimeout: idleTimeout}}
	if e.tls, err = s.tlsConfig(); err != nil {
		return nil, err
	}
	if s.server() {
		if e.Listener, err = e.Listen(e.tls, e.cfg); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e quicGoEndpoint) accept() (connection, error) {
	c, err := e.Listener.Accept(background)
	return quicGoConn{c}, err
}

func (e quicGoEndpoint) dial(addr string) (connection, error) {
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	c, err := e.Dial(background, to, e.tls, e.cfg)
	return quicGoConn{c}, err
}

func (e quicGoEndpoint) close() {
	e.Transport.Close()
	e.UDPConn.Close()
}

type quicGoConn struct{ *quicgo.Conn }

type quicGoStream struct{ *quicgo.Stream }

// CloseWrite ends our direction, as Close does in this stack.
func (s quicGoStream) CloseWrite() error { return s.Close() }

func (c quicGoConn) acceptStream() (stream, error) {
	s, err := c.AcceptStream(background)
	return quicGoStream{s}, err
}

func (c quicGoConn) openStream() (stream, error) {
	s, err := c.OpenStreamSync(background)
	return quicGoStream{s}, err
}

func (c quicGoConn) abort() { c.CloseWithError(0, "") }

func (c quicGoConn) negotiated() (group, suite string) {
	state := c.ConnectionState().TLS
	return state.CurveID.String(), tls.CipherSuiteName(state.CipherSuite)
}

type xNetEndpoint struct {
	socket
	*xquic.Endpoint
	cfg *xquic.Config
}

// openXNet opens an endpoint of x/net, which always sends datagrams of at most 1200 bytes.
func openXNet(s *settings) (endpoint, error) {
	sock, err := newSocket(s)
	if err != nil {
		return nil, err
	}
	if err := sock.setBuffers(); err != nil {
		return nil, err
	}
	e := xNetEndpoint{socket: sock, cfg: &xquic.Config{MaxIdleTimeout: idleTimeout}}
	if e.cfg.TLSConfig, err = s.tlsConfig(); err != nil {
		return nil, err
	}
	accepts := e.cfg
	if !s.server() {
		accepts = nil
	}
	e.Endpoint, err = xquic.NewEndpoint(sock.UDPConn, accepts)
	return e, err
}

func (e xNetEndpoint) accept() (connection, error) {
	c, err := e.Accept(background)
	return xNetConn{c}, err
}

func (e xNetEndpoint) dial(addr string) (connection, error) {
	c, err := e.Dial(background, "udp", addr, e.cfg)
	return xNetConn{c}, err
}

func (e xNetEndpoint) close() {
	gone, cancel := context.WithCancel(background)
	cancel()
	e.Endpoint.Close(gone)
}

type xNetConn struct{ *xquic.Conn }

type xNetStream struct{ *xquic.Stream }

// Read also closes the direction at its end. Otherwise the stream would count towards the peer's limit forever.
func (s xNetStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if err == io.EOF {
		s.CloseRead()
	}
	return n, err
}

// CloseWrite ends our direction.
func (s xNetStream) CloseWrite() error {
	s.Stream.CloseWrite()
	return nil
}

func (c xNetConn) acceptStream() (stream, error) {
	s, err := c.AcceptStream(background)
	return xNetStream{s}, err
}

func (c xNetConn) openStream() (stream, error) {
	s, err := c.NewStream(background)
	return xNetStream{s}, err
}

func (c xNetConn) abort() { c.Abort(nil) }

func (c xNetConn) negotiated() (group, suite string) {
	state := c.ConnectionState()
	return state.CurveID.String(), tls.CipherSuiteName(state.CipherSuite)
}
