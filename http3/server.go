package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// NextProto is the name of HTTP/3 in ALPN.
const NextProto = "h3"

// A Server serves HTTP/3. Its fields must not be changed once it serves.
type Server struct {
	// Addr is the UDP address to listen on. Empty means ":443".
	Addr string
	// Handler handles requests. Nil means http.DefaultServeMux.
	Handler http.Handler

	// TLSConfig configures TLS like http.Server.TLSConfig. With every provider, GetCertificate and GetConfigForClient work; see
	// tlsprovider.FromTLSConfig for other fields. Its NextProtos are not used.
	TLSConfig *tls.Config
	// TLS is the alternative to TLSConfig. Its NextProtos are not used.
	TLS *tlsprovider.Config
	// Provider is the TLS implementation; nil means that of QUIC, or crypto/tls.
	Provider tlsprovider.Provider
	// QUIC configures the transport. Its fields TLS and Provider are not used if those above are set. Nil means the defaults,
	// with 256 streams for each connection. MaxIncomingUniStreams must be at least 3, if it is set. ServeListener and
	// ServeConn use the configuration that their argument has.
	QUIC *quic.Config

	// ReadHeaderTimeout bounds the time that a request's header section may take to arrive after the stream was opened. 0 means
	// 10 seconds, and a negative value no limit.
	ReadHeaderTimeout time.Duration
	// ReadTimeout and WriteTimeout bound the time from the beginning of a request until its body was read and its response was
	// written. Handlers can change them with http.ResponseController. 0 means no limit.
	ReadTimeout, WriteTimeout time.Duration
	// IdleTimeout ends a connection on which there was no request for this time. 0 means 3 minutes, and a negative value no limit.
	// quic.Config.MaxIdleTimeout ends connections on which nothing at all arrives.
	IdleTimeout time.Duration
	// MaxHeaderBytes is the size of the largest header section that is accepted (RFC 9114, 4.2.2). 0 means
	// http.DefaultMaxHeaderBytes, which is 1 MiB.
	MaxHeaderBytes int
	// MaxTableCapacity and MaxBlockedStreams bound QPACK's dynamic tables: that of requests, which the client may fill, and that of
	// responses have at most MaxTableCapacity bytes, and MaxBlockedStreams requests of a connection may wait for their entries.
	// 0 means 4096 and 16. A negative value means that dynamic tables are not used.
	MaxTableCapacity, MaxBlockedStreams int

	// EarlyData accepts requests in early data (0-RTT), which can be replays: see IsEarly and RequireHandshake. Only providers with
	// Capabilities.ZeroRTT support it. The Server's settings must then not become stricter while its tickets are valid: by default,
	// a Server accepts early data only with tickets that it has issued itself.
	EarlyData bool

	// EnableDatagrams accepts HTTP datagrams (RFC 9297), for HTTPStreamer. Each connection then has a goroutine.
	EnableDatagrams bool
	// AdditionalSettings are sent in SETTINGS, for extensions.
	AdditionalSettings map[uint64]uint64
	// StreamHijacker, if set, is called for streams of a client that begin with a frame of a type that this package does not know,
	// which WebTransport has. The type has not been read. It returns false for those that it does not take, which are requests.
	// Its calls may wait: each has a goroutine. If one panics, this is logged, and the stream is reset.
	StreamHijacker func(typ uint64, conn *quic.Conn, s *quic.Stream) bool
	// UniStreamHijacker, if set, is called for unidirectional streams of types that this package does not know, after the type was
	// read. It returns false for those that it does not take. If a call panics, this is logged, and the client is asked to stop sending.
	UniStreamHijacker func(typ uint64, conn *quic.Conn, s *quic.ReceiveStream) bool

	// ConnContext, if set, changes the context that a connection's requests inherit from. If it panics or returns nil, this is logged, and
	// the connection is closed.
	ConnContext func(ctx context.Context, conn *quic.Conn) context.Context

	// Logger receives messages about handlers that panic or misuse their ResponseWriter. Nil means ErrorLog, or, if that is nil,
	// the standard logger of package log.
	Logger   *slog.Logger
	ErrorLog *log.Logger

	// Port is the port in SetAltSvc. 0 means the ports on which the Server listens.
	Port int

	once   sync.Once
	config *connConfig

	changing  sync.Mutex // held while SetTLS replaces configurations: those of two calls must not be mixed
	mu        sync.Mutex
	isClosing bool                    // Shutdown or Close was called
	listeners map[*quic.Listener]bool // true for those that the Server has made
	replaced  *tlsprovider.Config     // by SetTLS
	conns     map[*serverConn]struct{}
	empty     chan struct{} // closed when a closing server has no connection; nil before
}

// ErrServerClosed is returned by the methods that serve after Shutdown or Close. It is http.ErrServerClosed.
var ErrServerClosed = http.ErrServerClosed

type contextKey string

// ServerContextKey is the key of the *Server in the context of requests. http.LocalAddrContextKey is that of the local net.Addr.
var ServerContextKey any = contextKey("http3-server")

// connContextKey is the key of the *quic.Conn.
const connContextKey = contextKey("quic-conn")

// ConnFromContext returns the QUIC connection of a request from its context.
func ConnFromContext(ctx context.Context) (*quic.Conn, bool) {
	c, ok := ctx.Value(connContextKey).(*quic.Conn)
	return c, ok
}

// ListenAndServe listens on Addr and serves until Shutdown or Close is called. It then returns http.ErrServerClosed.
func (s *Server) ListenAndServe() error {
	if s.closing() {
		return ErrServerClosed // the address may be in use again
	}
	cfg, err := s.quicConfig()
	if err != nil {
		return err
	}
	addr := s.Addr
	if addr == "" {
		addr = ":443"
	}
	l, err := quic.Listen("udp", addr, cfg)
	if err != nil {
		return err
	}
	return s.serveOwn(l)
}

// ListenAndServeTLS is ListenAndServe with a certificate from files.
func (s *Server) ListenAndServeTLS(certFile, keyFile string) error {
	if err := s.loadCertificate(certFile, keyFile); err != nil {
		return err
	}
	return s.ListenAndServe()
}

// loadCertificate replaces the certificates of the configuration by one from files.
func (s *Server) loadCertificate(certFile, keyFile string) error {
	if s.TLS != nil {
		cert, err := tlsprovider.LoadCertificate(certFile, keyFile)
		if err != nil {
			return err
		}
		own := *s.TLS
		own.Certificates = []tlsprovider.Certificate{cert}
		s.TLS = &own
		return nil
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	own := &tls.Config{}
	if s.TLSConfig != nil {
		own = s.TLSConfig.Clone()
	}
	own.Certificates = []tls.Certificate{cert}
	s.TLSConfig = own
	return nil
}

// Serve serves on a socket until Shutdown or Close is called. It closes the socket, as http.Server.Serve closes its listener.
func (s *Server) Serve(pc net.PacketConn) error {
	l, err := s.listen(pc)
	if err != nil {
		return err
	}
	return s.serveOwn(l)
}

// listen makes a Listener on a socket, which it closes if it fails.
func (s *Server) listen(pc net.PacketConn) (*quic.Listener, error) {
	cfg, err := s.quicConfig()
	if err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	ep, err := quic.NewEndpoint(pc, cfg)
	if err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	l, err := ep.Listen()
	if err != nil {
		return nil, errors.Join(err, ep.Close())
	}
	return l, nil
}

// serveOwn serves the connections of a Listener that the Server has made.
func (s *Server) serveOwn(l *quic.Listener) error {
	s.addListener(l, true)
	s.useReplaced(l)
	err := s.ServeListener(l)
	if s.closing() {
		<-s.drained() // Shutdown and Close end the connections; the socket is theirs until then
	}
	return errors.Join(err, l.Endpoint().Close())
}

// ServeListener serves the connections of a Listener, whose configuration must have the protocol "h3". It returns when the Listener
// or the Server is closed. Shutdown and Close close the Listener, but not its Endpoint.
func (s *Server) ServeListener(l *quic.Listener) error {
	if !s.addListener(l, false) {
		return errors.Join(ErrServerClosed, l.Close())
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, l)
	}()
	for {
		qc, err := l.Accept(context.Background())
		if err != nil {
			if s.closing() {
				return ErrServerClosed
			}
			return err
		}
		if _, err := s.startConn(qc); err != nil {
			s.logf("http3: connection from %v: %v", qc.RemoteAddr(), err)
		}
	}
}

// addListener notes that the Server listens on l, and reports whether it may. It may be called again for the same Listener. isOwn
// means that the Server has made l.
func (s *Server) addListener(l *quic.Listener, isOwn bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosing {
		return false
	}
	if s.listeners == nil {
		s.listeners = make(map[*quic.Listener]bool)
	}
	s.listeners[l] = s.listeners[l] || isOwn
	return true
}

// ServeConn serves a QUIC connection whose protocol is "h3", and returns when it has ended.
func (s *Server) ServeConn(qc *quic.Conn) error {
	sc, err := s.startConn(qc)
	if err != nil {
		return err
	}
	<-qc.Context().Done()
	err = sc.closeError(context.Cause(qc.Context()))
	var e *Error
	if errors.As(err, &e) && (e.Code == ErrCodeNoError || e.Remote && e.Code.isNoError()) {
		return nil
	}
	return err
}

// startConn begins to serve a connection. It does not wait.
func (s *Server) startConn(qc *quic.Conn) (*serverConn, error) {
	if p := qc.ConnectionState().TLS.ALPN; p != NextProto {
		err := fmt.Errorf("http3: the connection has the application protocol %q instead of %q", p, NextProto)
		return nil, errors.Join(err, qc.CloseWithError(uint64(ErrCodeVersionFallback), "not HTTP/3"))
	}
	sc, err := newServerConn(s, qc)
	if err != nil {
		return nil, errors.Join(err, qc.CloseWithError(uint64(ErrCodeInternalError), ""))
	}
	if !s.add(sc) {
		sc.stopIdle()
		return nil, errors.Join(ErrServerClosed, qc.CloseWithError(uint64(ErrCodeNoError), ""))
	}
	return sc, sc.start()
}

// add adds a connection until it ends, and reports whether the server still accepts any.
func (s *Server) add(sc *serverConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosing {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[*serverConn]struct{})
	}
	s.conns[sc] = struct{}{}
	sc.qc.WhenEnded(func() { s.remove(sc) })
	return true
}

// remove removes a connection that has ended.
func (s *Server) remove(sc *serverConn) {
	sc.stopIdle()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, sc)
	s.checkEmpty()
}

// checkEmpty closes empty if a closing server has no connection. mu is held.
func (s *Server) checkEmpty() {
	if s.empty != nil && len(s.conns) == 0 {
		select {
		case <-s.empty:
		default:
			close(s.empty)
		}
	}
}

func (s *Server) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isClosing
}

// drained returns a channel that is closed when a closing server has no connection.
func (s *Server) drained() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty == nil {
		s.empty = make(chan struct{})
		s.checkEmpty()
	}
	return s.empty
}

// stop stops accepting, and returns the connections.
func (s *Server) stop() (conns []*serverConn, err error) {
	s.mu.Lock()
	s.isClosing = true
	var ls []*quic.Listener
	for l := range s.listeners {
		ls = append(ls, l)
	}
	for sc := range s.conns {
		conns = append(conns, sc)
	}
	s.mu.Unlock()
	for _, l := range ls {
		err = errors.Join(err, l.Close())
	}
	return conns, err
}

// Shutdown stops accepting connections, tells clients to send no further requests, waits for the requests in progress and closes
// the connections. If ctx ends first, it returns its cause, and the remaining connections stay open: call Close to end them.
func (s *Server) Shutdown(ctx context.Context) error {
	conns, err := s.stop()
	for _, sc := range conns {
		go sc.shutdown(ctx)
	}
	select {
	case <-s.drained():
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close closes the Server's connections at once.
func (s *Server) Close() error {
	conns, err := s.stop()
	for _, sc := range conns {
		_ = sc.qc.CloseWithError(uint64(ErrCodeNoError), "server closed") // fails only for codes that do not exist
	}
	<-s.drained()
	return err
}

func (s *Server) handler() http.Handler {
	if s.Handler == nil {
		return http.DefaultServeMux
	}
	return s.Handler
}

func (s *Server) logf(format string, args ...any) {
	switch {
	case s.Logger != nil:
		s.Logger.Error(fmt.Sprintf(format, args...))
	case s.ErrorLog != nil:
		s.ErrorLog.Printf(format, args...)
	default:
		log.Printf(format, args...)
	}
}

// headerDeadline returns until when the header section of a request that begins now must have arrived.
func (s *Server) headerDeadline() time.Time {
	switch d := s.ReadHeaderTimeout; {
	case d == 0:
		return time.Now().Add(10 * time.Second)
	case d > 0:
		return time.Now().Add(d)
	}
	return time.Time{}
}

func (s *Server) idleTimeout() time.Duration {
	if s.IdleTimeout == 0 {
		return 3 * time.Minute
	}
	return s.IdleTimeout
}

// connConfig returns what the connections have in common.
func (s *Server) connConfig() *connConfig {
	s.once.Do(func() {
		c := &connConfig{maxHeader: s.MaxHeaderBytes}
		if c.maxHeader <= 0 {
			c.maxHeader = http.DefaultMaxHeaderBytes
		}
		capacity := withDefault(s.MaxTableCapacity, 4096)
		c.encoderCapacity = capacity
		c.settings = frame.List{
			MaxFieldSectionSize: uint64(c.maxHeader), EnableConnectProtocol: true, Datagrams: s.EnableDatagrams,
			QPACKMaxTableCapacity: uint64(capacity),
		}
		if capacity > 0 {
			c.settings.QPACKBlockedStreams = uint64(withDefault(s.MaxBlockedStreams, 16))
		}
		for id, v := range s.AdditionalSettings {
			c.settings.Other = append(c.settings.Other, frame.Setting{ID: id, Value: v})
		}
		s.config = c
	})
	return s.config
}

// withDefault returns the value of a limit, of which 0 means the default and a negative value 0.
func withDefault(v, otherwise int) int {
	switch {
	case v == 0:
		return otherwise
	case v < 0:
		return 0
	}
	return v
}
