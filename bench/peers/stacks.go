//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"

	quicgo "github.com/quic-go/quic-go"
	xquic "golang.org/x/net/quic"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/quic/congestion"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// goStacks open an endpoint on a new socket.
var goStacks = map[string]func(*settings) (endpoint, error){
	"pqquic-s2n":                openOurs,
	"pqquic-native":             openOurs,
	"pqquic-s2n" + bbrSuffix:    openOurs,
	"pqquic-native" + bbrSuffix: openOurs,
	"quic-go":                   openQuicGo,
	"x/net":                     openXNet,
	tlsTCP:                      openTLSTCP,
	http2TCP:                    openTLSTCP,
	rawFloor:                    openFloor,
}

// groups are the key exchanges that the runner asks for.
var groups = map[string]tlsprovider.Group{wantGroup: tlsprovider.X25519MLKEM768, classicalGroup: tlsprovider.X25519}

// rustStacks are the stacks of the driver in Rust. quiche has another one.
var rustStacks = []string{"s2n-quic-s2n-tls", "s2n-quic-rustls", "quinn"}

func isRust(stack string) bool { return stack == quiche || slices.Contains(rustStacks, stack) }

// bbrSuffix is the end of the names of our stacks with BBR instead of CUBIC, for the emulated links.
const bbrSuffix = "-bbr"

// stackNames returns all stacks in the order of the report.
func stackNames() []string {
	return slices.Concat(ours, []string{ours[0] + bbrSuffix, ours[1] + bbrSuffix}, rustStacks,
		[]string{quiche, "quic-go", "x/net", tlsTCP, http2TCP, rawFloor})
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
	if strings.HasPrefix(workload, httpPrefix) {
		return slices.Contains(httpStacks, strings.TrimSuffix(stack, baseSuffix)) &&
			(workload != httpAllocationsName || !isRust(stack))
	}
	link := strings.HasPrefix(workload, "link-")
	if strings.HasSuffix(stack, bbrSuffix) {
		return link
	}
	if httpOnly(stack) {
		return false
	}
	switch workload {
	case locks:
		return slices.Contains(ours, strings.TrimSuffix(stack, baseSuffix))
	case allocations:
		return !isRust(stack) && stack != rawFloor && stack != tlsTCP // whose connections have one stream
	}
	switch stack {
	case tlsTCP: // one stream a connection, whose end closes the connection
		return slices.Contains([]string{"connect-1", "connect-32", "bulk-down-1", "bulk-up-1"}, workload) || link
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

// provider returns the TLS provider of one of our stacks.
func (s *settings) provider() (tlsprovider.Provider, error) {
	switch {
	case strings.TrimSuffix(s.stack, bbrSuffix) == "pqquic-native":
		return native.New(), nil
	case s.group == classicalGroup:
		return s2n.New(s2n.AllowClassical())
	default:
		return s2n.New()
	}
}

// providerConfig returns the TLS configuration of one of our stacks for both ends.
func (s *settings) providerConfig() *tlsprovider.Config {
	c := &tlsprovider.Config{Groups: []tlsprovider.Group{groups[s.group]}, NextProtos: []string{s.protocol()}, DisableTickets: true,
		RootCAs: new(tlsprovider.Roots)}
	c.RootCAs.AddDER(s.certDER)
	if s.server() {
		c.Certificates = []tlsprovider.Certificate{{Chain: [][]byte{s.certDER}, KeyDER: s.keyDER}}
	}
	return c
}

func openOurs(s *settings) (endpoint, error) {
	p, err := s.provider()
	if err != nil {
		return nil, err
	}
	// pqquic finds out itself what the path carries: 1200 bytes or more, up to packets of 9000 bytes.
	const largest = 9000 - 20 - 8
	cfg := &quic.Config{Provider: p, ServerName: serverName, MaxIdleTimeout: idleTimeout,
		DisablePathMTUDiscovery: s.datagram < largest, TLS: s.providerConfig()}
	if s.http {
		cfg.MaxIncomingStreams = 256 // the default of http3.Server
	}
	if strings.HasSuffix(s.stack, bbrSuffix) {
		cfg.CongestionControl = congestion.BBR()
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

func (e ourEndpoint) dial(ctx context.Context, addr string) (connection, error) {
	c, err := e.Endpoint.Dial(ctx, addr, nil)
	var closed *quic.TransportError
	if errors.As(err, &closed) && closed.Code == quic.ConnectionRefused {
		err = errRefusedByServer
	}
	return ourConn{c}, err
}

func (e ourEndpoint) refusals() (refused, validated int64) {
	stats := e.Stats()
	return int64(stats.Refused + stats.Ignored), int64(stats.Drops.Retried)
}

func (e ourEndpoint) close() {
	e.Endpoint.Close()
	e.UDPConn.Close()
}

type ourConn struct{ *quic.Conn }

func (c ourConn) acceptStream() (stream, error) { return c.AcceptStream(background) }
func (c ourConn) openStream() (stream, error)   { return c.OpenStream(background) }
func (c ourConn) handleStreams(f func(stream))  { c.HandleStreams(func(s *quic.Stream) { f(s) }, nil) }
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

func (e quicGoEndpoint) dial(ctx context.Context, addr string) (connection, error) {
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	c, err := e.Dial(ctx, to, e.tls, e.cfg)
	var closed *quicgo.TransportError
	if errors.As(err, &closed) && closed.ErrorCode == quicgo.ConnectionRefused {
		err = errRefusedByServer
	}
	return quicGoConn{c}, err
}

func (e quicGoEndpoint) refusals() (refused, validated int64) { return -1, -1 }

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

func (e xNetEndpoint) dial(ctx context.Context, addr string) (connection, error) {
	c, err := e.Dial(ctx, "udp", addr, e.cfg)
	return xNetConn{c}, err
}

func (e xNetEndpoint) refusals() (refused, validated int64) { return -1, -1 }

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
