package pq

import (
	"errors"
	"fmt"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/driver"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

var (
	errSendOnly    = errors.New("cannot receive on a send-only stream")
	errReceiveOnly = errors.New("cannot send on a receive-only stream")
)

// wrap marks the errors that the driver distinguishes.
func wrap(err error) error {
	var app *quic.ApplicationError
	var stream *quic.StreamError
	var transport *quic.TransportError
	switch {
	case errors.As(err, &app) && app.Remote && app.Code == 0,
		errors.As(err, &transport) && transport.Remote && transport.Code == quic.NoError:
		return fmt.Errorf("%w: %w", driver.ErrClosedCleanly, err)
	case errors.As(err, &stream) && stream.Remote && stream.Code == 0:
		return fmt.Errorf("%w: %w", driver.ErrStopped, err)
	}
	return err
}

type stream struct{ *quic.Stream }

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	if err != nil {
		err = wrap(err)
	}
	return n, err
}

func (s *stream) Read(p []byte) (int, error) { return read(s.Stream.Read(p)) }

func read(n int, err error) (int, error) {
	// A reset stream is not one that the peer stopped reading.
	var stream *quic.StreamError
	if err != nil && !errors.As(err, &stream) {
		err = wrap(err)
	}
	return n, err
}

func (s *stream) Flush() error       { return nil }
func (s *stream) CloseWrite() error  { return wrap(s.Stream.CloseWrite()) }
func (s *stream) StopReading() error { return wrap(s.Stream.StopSending(0)) }

type sendStream struct{ *quic.SendStream }

func (s *sendStream) Write(p []byte) (int, error) {
	n, err := s.SendStream.Write(p)
	if err != nil {
		err = wrap(err)
	}
	return n, err
}

func (s *sendStream) Read([]byte) (int, error)        { return 0, errSendOnly }
func (s *sendStream) Flush() error                    { return nil }
func (s *sendStream) CloseWrite() error               { return wrap(s.SendStream.Close()) }
func (s *sendStream) StopReading() error              { return errSendOnly }
func (s *sendStream) SetReadDeadline(time.Time) error { return errSendOnly }

type receiveStream struct{ *quic.ReceiveStream }

func (s *receiveStream) Read(p []byte) (int, error)       { return read(s.ReceiveStream.Read(p)) }
func (s *receiveStream) Write([]byte) (int, error)        { return 0, errReceiveOnly }
func (s *receiveStream) Flush() error                     { return nil }
func (s *receiveStream) CloseWrite() error                { return errReceiveOnly }
func (s *receiveStream) StopReading() error               { return wrap(s.ReceiveStream.StopSending(0)) }
func (s *receiveStream) SetWriteDeadline(time.Time) error { return errReceiveOnly }

// classify returns the class of an error of package quic.
func classify(err error) string {
	var tls *tlsprovider.Error
	var transport *quic.TransportError
	var stream *quic.StreamError
	switch {
	case errors.Is(err, quic.ErrHandshakeTimeout):
		return driver.ClassHandshake
	case errors.Is(err, quic.ErrIdleTimeout):
		return driver.ClassIdle
	case errors.As(err, new(*quic.VersionNegotiationError)):
		return driver.ClassVersion
	case errors.As(err, &transport):
		if alert, ok := transport.Code.Alert(); ok {
			return fmt.Sprintf("tls alert %v", tlsprovider.Alert(alert))
		}
		if transport.Code == quic.ConnectionRefused {
			return driver.ClassRefused
		}
		return fmt.Sprintf("transport error %v", transport.Code)
	case errors.As(err, &tls):
		return fmt.Sprintf("tls alert %v", tls.Alert)
	case errors.As(err, &stream):
		return driver.ClassReset
	case errors.As(err, new(*quic.ApplicationError)), errors.Is(err, quic.ErrStatelessReset):
		return driver.ClassPeerClosed
	}
	return ""
}
