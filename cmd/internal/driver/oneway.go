package driver

import (
	"errors"
	"io"
	"time"
)

var (
	errSendOnly    = errors.New("cannot receive on a send-only stream")
	errReceiveOnly = errors.New("cannot send on a receive-only stream")
)

// Sender is a transport's unidirectional stream for sending.
type Sender interface {
	io.WriteCloser
	SetWriteDeadline(time.Time) error
}

// SendOnly makes a Stream of a Sender. Receiving on it is an error.
type SendOnly struct{ Sender }

func (s SendOnly) Read([]byte) (int, error)        { return 0, errSendOnly }
func (s SendOnly) Flush() error                    { return nil }
func (s SendOnly) CloseWrite() error               { return s.Sender.Close() }
func (s SendOnly) StopReading() error              { return errSendOnly }
func (s SendOnly) SetReadDeadline(time.Time) error { return errSendOnly }

// Receiver is a transport's unidirectional stream for receiving.
type Receiver interface {
	io.Reader
	StopReading() error
	SetReadDeadline(time.Time) error
}

// ReceiveOnly makes a Stream of a Receiver. Sending on it is an error.
type ReceiveOnly struct{ Receiver }

func (s ReceiveOnly) Write([]byte) (int, error)        { return 0, errReceiveOnly }
func (s ReceiveOnly) Flush() error                     { return nil }
func (s ReceiveOnly) CloseWrite() error                { return errReceiveOnly }
func (s ReceiveOnly) SetWriteDeadline(time.Time) error { return errReceiveOnly }
