//go:build !pqquic_fips && !pqquic_fips4

package quic_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/quic/congestion"
	"github.com/pqquic/pqquic/quic/qlog"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/certwatch"
)

// The right column of docs/porting-from-quic-go.md, row by row, so that it is compiled.

// quic.DialAddr(ctx, addr, tlsConf, conf)
func portDialAddr(ctx context.Context, addr string, tlsConf *tls.Config) (*quic.Conn, error) {
	cfg, err := tlsprovider.FromTLSConfig(tlsConf)
	if err != nil {
		return nil, err
	}
	return quic.Dial(ctx, "udp", addr, &quic.Config{TLS: cfg})
}

// quic.ListenAddr(addr, tlsConf, conf)
func portListenAddr(addr string, tlsConf *tls.Config) (*quic.Listener, error) {
	cfg, err := tlsprovider.FromTLSConfig(tlsConf)
	if err != nil {
		return nil, err
	}
	return quic.Listen("udp", addr, &quic.Config{TLS: cfg})
}

// tr := quic.Transport{Conn: pc}; tr.Dial(…); tr.Listen(…)
func portTransport(ctx context.Context, pc net.PacketConn, cfg *quic.Config) error {
	endpoint, err := quic.NewEndpoint(pc, cfg)
	if err != nil {
		return err
	}
	defer endpoint.Close()
	if _, err := endpoint.Listen(); err != nil {
		return err
	}
	_, err = endpoint.Dial(ctx, "example.com:4433", nil)
	return err
}

// quic.Config{…}
func portConfig(tlsConf *tlsprovider.Config) *quic.Config {
	return &quic.Config{
		CongestionControl:  congestion.BBR(),
		TLS:                tlsConf,
		HandshakeTimeout:   5 * time.Second,
		MaxIdleTimeout:     30 * time.Second,
		KeepAlivePeriod:    15 * time.Second,
		Qlog:               &qlog.Config{Open: qlog.Dir("/var/log/qlog")}, // Tracer
		StreamWindow:       512 << 10,
		MaxStreamWindow:    6 << 20,
		ConnWindow:         512 << 10,
		MaxConnWindow:      15 << 20,
		MaxIncomingStreams: 100,
		RequireAddressValidation: func(netip.AddrPort) bool {
			return true
		},
	}
}

// transport.ReadNonQUICPacket(ctx, b), transport.WriteTo(b, addr)
func portNonQUIC(ctx context.Context, endpoint *quic.Endpoint, b []byte) error {
	n, addr, err := endpoint.ReadNonQUICPacket(ctx, b) // with Config.NonQUICQueue
	if err != nil {
		return err
	}
	_, err = endpoint.WriteTo(b[:n], addr)
	return err
}

// stream.SetPriority(urgency, incremental); stream.SetReliableBoundary(), stream.CancelWrite(code)
func portResetAt(stream *quic.Stream, header []byte) error {
	stream.SetPriority(1, false)
	n, err := stream.Write(header)
	if err != nil {
		return err
	}
	return stream.ResetAt(7, int64(n))
}

// conn.SendDatagram(p), conn.ReceiveDatagram(ctx)
func portDatagrams(ctx context.Context, conn *quic.Conn, p []byte) ([]byte, error) {
	if err := conn.SendDatagramWait(ctx, p); err != nil { // conn.SendDatagram(p) does not wait
		var tooLarge *quic.DatagramTooLargeError
		if !errors.As(err, &tooLarge) {
			return nil, err
		}
		fmt.Println("at most", tooLarge.Max, "bytes, now", conn.MaxDatagramSize())
	}
	return conn.ReceiveDatagram(ctx)
}

// conn.OpenStreamSync(ctx), conn.OpenUniStreamSync(ctx), conn.AcceptStream(ctx)
func portStreams(ctx context.Context, conn *quic.Conn) error {
	stream, err := conn.OpenStream(ctx)
	if err != nil {
		return err
	}
	// In quic-go, stream.Close() ends only the sending side.
	if err := stream.CloseWrite(); err != nil {
		return err
	}
	// stream.CancelRead(code), stream.CancelWrite(code)
	if err := errors.Join(stream.StopSending(1), stream.Reset(1)); err != nil {
		return err
	}
	uni, err := conn.OpenUniStream(ctx)
	if err != nil {
		return err
	}
	_, err = io.WriteString(uni, "hello")
	return errors.Join(err, uni.Close())
}

// conn.OpenStream() and conn.OpenUniStream(), which do not wait
func portOpenWithoutWaiting(conn *quic.Conn) (*quic.Stream, *quic.SendStream, error) {
	stream, err := conn.TryOpenStream()
	if errors.Is(err, quic.ErrStreamLimit) { // *quic.StreamLimitReachedError
		return nil, nil, err
	}
	uni, uniErr := conn.TryOpenUniStream()
	return stream, uni, errors.Join(err, uniErr)
}

// stream.StreamID(), stream.Context(), and a Stream as a net.Conn
func portStream(stream *quic.Stream) (quic.StreamID, net.Conn, bool) {
	stopped := errors.Is(context.Cause(stream.Context()), quic.ErrWriteClosed)
	return stream.ID(), stream, stopped
}

// stream.Peek(b), which returns io.EOF if the stream has fewer bytes
func portPeek(stream *quic.Stream, b []byte) (int, error) {
	peeked, err := stream.Peek(len(b))
	return copy(b, peeked), err
}

// quic.Transport{StatelessResetKey: …, TokenGeneratorKey: …}, conf.GetConfigForClient,
// conf.AllowConnectionWindowIncrease
func portServer(cfg *quic.Config, resetKey, tokenKey []byte, choose func(name string) *tlsprovider.Config) {
	cfg.ResetSecret, cfg.TokenSecrets = resetKey, [][]byte{tokenKey}
	cfg.TokenLifetime = time.Hour // Transport.MaxTokenAge
	cfg.MaxReceiveMemory = 64 << 20
	cfg.Accept = func(info quic.ClientInfo) error {
		if !info.AddrValidated && info.RemoteAddr.Addr().IsMulticast() {
			return &quic.RefusedError{Reason: "not you"}
		}
		return nil
	}
	cfg.GetConfigForClient = func(info quic.ClientInfo) (*quic.Config, error) {
		slog.Info("client", "addr", info.RemoteAddr, "id", info.ID)
		if info.AddrValidated {
			return nil, nil // the Endpoint's own
		}
		return &quic.Config{MaxIncomingStreams: 1}, nil
	}
	cfg.GetTLSConfig = func(hello *tlsprovider.ClientHello) (*tlsprovider.Config, error) {
		return choose(hello.ServerName), nil
	}
}

// tls.Config{GetCertificate: …} that reads files again
func portReload(l *quic.Listener, files certwatch.Config) (*certwatch.Watcher, error) {
	w, err := certwatch.Open(files)
	if err != nil {
		return nil, err
	}
	w.Watch(func(cfg *tlsprovider.Config) error { return l.Endpoint().SetTLS(cfg) })
	return w, nil
}

// transport.Close(), listener.Close()
func portClose(ctx context.Context, l *quic.Listener) error {
	return errors.Join(l.Close(), l.Endpoint().ShutdownWithError(ctx, 0x100, "restart"), l.Endpoint().Close())
}

// conn.ConnectionStats()
func portStats(conn *quic.Conn) (time.Duration, uint64) {
	stats := conn.Stats()
	return stats.SmoothedRTT, stats.PacketsLost
}

// errors.As(err, &quic.ApplicationError{}) and similar
func portErrors(err error) string {
	var app *quic.ApplicationError
	var transport *quic.TransportError
	var stream *quic.StreamError
	switch {
	case errors.As(err, &app):
		return fmt.Sprint("application ", app.Code, app.Remote)
	case errors.As(err, &transport):
		return fmt.Sprint("transport ", transport.Code)
	case errors.As(err, &stream):
		return fmt.Sprint("stream ", stream.ID, stream.Code)
	case errors.Is(err, quic.ErrListenerClosed), errors.Is(err, quic.ErrEndpointClosed):
		return "the server is closed"
	case errors.Is(err, quic.ErrStatelessReset):
		return "stateless reset"
	case errors.Is(err, quic.ErrIdleTimeout), errors.Is(err, quic.ErrHandshakeTimeout):
		return "timeout"
	case errors.Is(err, net.ErrClosed):
		return "closed"
	}
	return "something else"
}

// conn.ConnectionState().TLS.{CurveID, NegotiatedProtocol, DidResume, PeerCertificates}
func portState(conn *quic.Conn) (tlsprovider.Group, string, bool, []*x509.Certificate) {
	state := conn.ConnectionState().TLS
	chain, err := conn.ConnectionState().TLS.PeerCertificates()
	if err != nil {
		return 0, "", false, nil
	}
	return state.Group, state.ALPN, state.Resumed, chain
}

// conn.ConnectionState().TLS.{ECHAccepted, VerifiedChains, OCSPResponse}
func portVerification(cfg *tlsprovider.Config, check func([][]*x509.Certificate, []byte) error) (echAccepted func(*quic.Conn) bool) {
	cfg.VerifyPeer = func(state *tlsprovider.State) error {
		chains, err := state.VerifiedChains()
		if err != nil {
			return err
		}
		return check(chains, state.OCSPStaple())
	}
	return func(conn *quic.Conn) bool { return conn.ConnectionState().TLS.ECHAccepted }
}

var _ = []any{
	portDialAddr, portListenAddr, portTransport, portNonQUIC, portConfig, portResetAt, portDatagrams, portStreams, portOpenWithoutWaiting, portStream,
	portPeek,
	portServer, portReload, portEarly, portClose, portStats, portErrors, portState, portVerification,
}

// quic.DialAddrEarly(…), conn.ConnectionState().Used0RTT
func portEarly(ctx context.Context, cfg *quic.Config) (bool, error) {
	cfg.TLS.EarlyData = true
	conn, err := quic.DialEarly(ctx, "udp", "example.com:4433", cfg)
	if err != nil {
		return false, err
	}
	<-conn.HandshakeComplete()
	return conn.ConnectionState().TLS.EarlyData == tlsprovider.EarlyDataAccepted, conn.Close()
}
