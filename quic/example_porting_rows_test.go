//go:build !pqquic_fips && !pqquic_fips4

package quic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/quic/congestion"
	"github.com/pqquic/pqquic/tlsprovider"
)

// More of the right column of docs/porting-from-quic-go.md: the rows about settings, state, errors and streams. A test in
// the root package checks that every name that the page recommends is used here or in example_porting_test.go.

// quic.Config{…}, the fields that portConfig does not have, and conf.Clone()
func portMoreConfig(cfg *quic.Config, pc *net.UDPConn) (*quic.Endpoint, error) {
	copied := *cfg
	copied.Versions = []quic.Version{quic.Version1, quic.Version2}
	copied.ClientTLS = &tlsprovider.Config{NextProtos: []string{"my-protocol"}} // Transport.Dial of a server
	copied.AddressValidation = quic.ValidateAlways
	var store tlsprovider.ClientStore = tlsprovider.NewClientStore(100, 4) // NewLRUTokenStore(100, 4)
	copied.TokenStore = store
	copied.NonQUICQueue = 32
	copied.MaxIncomingUniStreams = -1
	copied.DisablePathMTUDiscovery = false
	copied.DisableECN = true             // QUIC_GO_DISABLE_ECN=true
	copied.DisableHelloScrambling = true // QUIC_GO_DISABLE_CLIENTHELLO_SCRAMBLING=true
	copied.MaxUDPPayload = 1452
	copied.CongestionControl = congestion.BBR()
	copied.AcceptEarlyData = func(offer quic.EarlyDataOffer) bool { return offer.Own }
	copied.MaxDatagramFrameSize = 65535 // EnableDatagrams
	copied.EnableResetStreamAt = true   // EnableStreamResetPartialDelivery
	copied.ConnIDLength = 20
	copied.GenerateConnID = func(id []byte) error { id[0] = 1; return nil }
	copied.ConnIDLifetime = time.Hour
	copied.EnableHalfRTT = true // ListenEarly
	copied.ConnContext = func(ctx context.Context, client quic.ClientInfo) context.Context {
		return context.WithValue(ctx, clientKey{}, client.ID)
	}
	copied.Logger = slog.Default()
	return quic.NewEndpoint(pc, &copied)
}

type clientKey struct{}

// conn.QlogTrace(), and stream.TryWriteAll(p)
func portLogAndTry(conn *quic.Conn, stream *quic.Stream, p []byte) (int, error) {
	if conn.LogsEvents() {
		conn.LogEvent("my_protocol:message_sent", slog.Int("length", len(p)))
	}
	return stream.TryWrite(p)
}

// a congestion controller of one's own
func portController(newController func() congestion.Controller) congestion.Algorithm {
	return congestion.Custom("mine", newController)
}

// transport.Close(), and keys that are replaced
func portShutdown(ctx context.Context, endpoint *quic.Endpoint, keys [][]byte) error {
	return errors.Join(endpoint.SetTokenSecrets(keys), endpoint.Shutdown(ctx))
}

// conn.AcceptStream(ctx), conn.AcceptUniStream(ctx), conn.CloseWithError(code, reason)
func portAccept(ctx context.Context, conn *quic.Conn) (*quic.ReceiveStream, error) {
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		return nil, conn.CloseWithError(1, "no stream")
	}
	fmt.Println(stream.LocalAddr(), stream.RemoteAddr(), conn.LocalAddr(), conn.RemoteAddr())
	return conn.AcceptUniStream(ctx)
}

// for { stream, err := conn.AcceptStream(ctx); go serve(stream) }
func portHandle(conn *quic.Conn, serve func(*quic.Stream)) {
	conn.HandleStreams(serve, nil)
}

// path, err := conn.AddPath(transport); path.Probe(ctx); path.Switch(); path.Close()
func portPath(ctx context.Context, conn *quic.Conn, pc net.PacketConn) error {
	path, err := conn.AddPath(pc)
	if err != nil {
		return err
	}
	select {
	case <-path.Validated():
		return path.Switch()
	case <-path.Done():
		if errors.Is(path.Err(), quic.ErrPathFailed) {
			fmt.Println("no answer on the path")
		}
		return path.Err()
	case <-ctx.Done():
		return path.Close()
	}
}

// io.Copy, stream.SetDeadline(t) and other calls of a net.Conn
func portCopy(stream *quic.Stream, r io.Reader, w io.Writer, p []byte) error {
	_, err := stream.Read(p)
	_, copyErr := io.Copy(w, stream)
	_, readErr := stream.ReadFrom(r)
	_, writeErr := stream.WriteTo(w)
	_, discardErr := stream.Discard(1)
	_, lendErr := stream.WriteNoCopy(p, func([]byte) {})
	t := time.Now().Add(time.Second)
	return errors.Join(err, copyErr, readErr, writeErr, discardErr, lendErr,
		stream.SetDeadline(t), stream.SetReadDeadline(t), stream.SetWriteDeadline(t))
}

// conn.SendDatagram(p)
func portSendDatagram(conn *quic.Conn, p []byte) (size, largest int) {
	var tooLarge *quic.DatagramTooLargeError
	if errors.As(conn.SendDatagram(p), &tooLarge) {
		return tooLarge.Size, tooLarge.Max
	}
	return len(p), conn.MaxDatagramSize()
}

// conn.ConnectionState(), conn.ConnectionStats()
func portMoreState(conn *quic.Conn) (quic.Version, tlsprovider.State, [3]bool) {
	s := conn.ConnectionState()
	stats := func() quic.ConnStats { return conn.Stats() }()
	fmt.Println(stats.MinRTT, stats.LatestRTT, stats.SmoothedRTT, stats.RTTVariance, stats.CongestionWindow,
		stats.BytesSent, stats.PacketsSent, stats.BytesReceived, stats.PacketsReceived, stats.BytesLost,
		stats.DatagramSize, stats.ECNCapable)
	return s.Version, s.TLS, [3]bool{s.SendsDatagrams, s.ReceivesDatagrams, s.SupportsResetAt}
}

// errors.As(err, &quic.VersionNegotiationError{}) and others
func portMoreErrors(err error) string {
	var versions *quic.VersionNegotiationError
	var transport *quic.TransportError
	switch {
	case errors.As(err, &versions):
		return fmt.Sprint("the server has ", versions.Theirs)
	case errors.Is(err, quic.ErrReadClosed), errors.Is(err, quic.ErrWriteClosed):
		return "the stream is closed"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "deadline"
	case !errors.As(err, &transport):
		return "something else"
	}
	return portCode(transport.Code)
}

// the constants of TransportErrorCode
func portCode(code quic.TransportErrorCode) string {
	if alert, ok := code.Alert(); ok {
		return fmt.Sprint("TLS alert ", alert)
	}
	switch code {
	case quic.NoError, quic.InternalError, quic.ConnectionRefused, quic.FlowControlError, quic.StreamLimitError,
		quic.StreamStateError, quic.FinalSizeError, quic.FrameEncodingError, quic.TransportParameterError,
		quic.ConnectionIDLimitError, quic.ProtocolViolation, quic.InvalidToken, quic.ApplicationErrorCode,
		quic.CryptoBufferExceeded, quic.KeyUpdateError, quic.AEADLimitReached, quic.NoViablePath:
		return code.String()
	}
	return fmt.Sprintf("unknown code %#x", uint64(code))
}

var _ = []any{
	portMoreConfig, portController, portShutdown, portAccept, portHandle, portPath, portCopy, portSendDatagram, portMoreState,
	portMoreErrors, portLogAndTry,
}
