package http3_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/pqquic/pqquic/http3"
	"github.com/pqquic/pqquic/quic"
)

// The right column of docs/http3.md.

// http3.Server{Addr, Port, Handler, …}
func portServer(h http.Handler) *http3.Server {
	return &http3.Server{
		Addr: ":443", Port: 443, Handler: h, TLSConfig: nil, QUIC: &quic.Config{},
		IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 20,
		ConnContext:     func(ctx context.Context, _ *quic.Conn) context.Context { return ctx },
		Logger:          slog.Default(),
		EnableDatagrams: true, AdditionalSettings: map[uint64]uint64{0x2b60_3742: 1},
		UniStreamHijacker: func(uint64, *quic.Conn, *quic.ReceiveStream) bool { return false },
		StreamHijacker:    func(uint64, *quic.Conn, *quic.Stream) bool { return false },
	}
}

// Server.ListenAndServe and the other ways to serve
func portServe(ctx context.Context, srv *http3.Server, pc net.PacketConn, l *quic.Listener, c *quic.Conn, h http.Header) error {
	return errors.Join(srv.ListenAndServe(), srv.ListenAndServeTLS("cert.pem", "key.pem"), srv.Serve(pc), srv.ServeListener(l),
		srv.ServeConn(c), srv.SetAltSvc(h), srv.Shutdown(ctx), srv.Close())
}

// http3.ListenAndServeTLS(addr, cert, key, handler)
func portAll(h http.Handler) error {
	d := &http3.DualServer{TCP: &http.Server{Addr: ":443", Handler: h}, H3: &http3.Server{}}
	return errors.Join(http3.ListenAndServeTLS(":443", "cert.pem", "key.pem", h), d.ListenAndServeTLS("cert.pem", "key.pem"))
}

// w.(http3.HTTPStreamer).HTTPStream() and its datagrams and capsules
func portStream(ctx context.Context, w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if conn, ok := http3.ConnFromContext(r.Context()); ok {
		slog.Info("tunnel", "remote", conn.RemoteAddr())
	}
	var s *http3.RequestStream
	s, err := http3.TakeStream(w)
	if err != nil {
		return nil, err
	}
	_, _, err = http3.NewCapsuleReader(s).Next()
	_, writeErr := s.Write(http3.AppendCapsule(nil, http3.CapsuleDatagram, []byte("x")))
	writeErr = errors.Join(writeErr, s.WriteCapsule(http3.CapsuleDatagram, []byte("y")))
	p, receiveErr := s.ReceiveDatagram(ctx)
	return p, errors.Join(err, writeErr, receiveErr, s.SendDatagram(p))
}

// http3.ErrCode, http3.Error
func portError(err error) (http3.ErrorCode, bool) {
	var e *http3.Error
	if errors.As(err, &e) {
		return e.Code, e.Remote
	}
	return 0, false
}

var _ = []any{portServer, portServe, portAll, portStream, portError}
