package driver

import (
	"errors"
	"io"
	"time"
)

var (
	errSendOnly    = errors.New("nothing can be received on a stream that is for sending")
	errReceiveOnly = errors.New("nothing can be sent on a stream that is the peer's to send on")
)

// Sender is what a stack has for a stream that only we send on.
type Sender interface {
	io.WriteCloser
	SetWriteDeadline(time.Time) error
}

// SendOnly makes a Stream of it.
type SendOnly struct{ Sender }

func (s SendOnly) Read([]byte) (int, error)        { return 0, errSendOnly }
func (s SendOnly) Flush() error                    { return nil }
func (s SendOnly) CloseWrite() error               { return s.Sender.Close() }
func (s SendOnly) StopReading() error              { return errSendOnly }
func (s SendOnly) SetReadDeadline(time.Time) error { return errSendOnly }

// Receiver is what a stack has for a stream that only the peer sends on.
type Receiver interface {
	io.Reader
	StopReading() error
	SetReadDeadline(time.Time) error
}

// ReceiveOnly makes a Stream of it.
type ReceiveOnly struct{ Receiver }

func (s ReceiveOnly) Write([]byte) (int, error)        { return 0, errReceiveOnly }
func (s ReceiveOnly) Flush() error                     { return nil }
func (s ReceiveOnly) CloseWrite() error                { return errReceiveOnly }
func (s ReceiveOnly) SetWriteDeadline(time.Time) error { return errReceiveOnly }
