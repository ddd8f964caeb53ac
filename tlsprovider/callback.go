package tlsprovider

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// A PanicError reports that one of the program's own functions panicked during a handshake. The handshake
// fails with internal_error; other connections are not affected.
type PanicError struct {
	// Callback is the field that the function was set in, such as "Config.VerifyPeer".
	Callback string
	// Value is the argument of panic.
	Value any
	// Stack is the stack of the goroutine that panicked.
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic in %s: %v", e.Callback, e.Value) }

// Guard is for providers. It calls f, which calls one of the program's functions, and returns its error. If
// f panics, the error is an [*Error] with internal_error that wraps a [*PanicError]. The error is never a nil
// *Error: an interface that holds one is not nil, so Guard returns an *Error with internal_error instead.
func Guard(callback string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &Error{Alert: AlertInternalError, Err: &PanicError{callback, v, debug.Stack()}}
		}
	}()
	err = f()
	var own *Error
	if errors.As(err, &own) && own == nil {
		return &Error{Alert: AlertInternalError,
			Err: fmt.Errorf("%s returned a nil *tlsprovider.Error as its error; return nil instead", callback)}
	}
	return err
}

// CurrentTime is for providers. It returns the result of Time, or the system's time if Time is nil. The error is
// that of [Guard].
func (c *Config) CurrentTime() (now time.Time, err error) {
	if c.Time == nil {
		return time.Now(), nil
	}
	err = Guard("Config.Time", func() error { now = c.Time(); return nil })
	return now, err
}

// RunVerifyPeer is for providers. It calls VerifyPeer, if it is set, with a copy of st. An error is an
// [*Error]: the one that VerifyPeer returned, or one that wraps its error, with bad_certificate or with the
// alert of the *Error that it wraps.
func (c *Config) RunVerifyPeer(st *State) error {
	if c.VerifyPeer == nil {
		return nil
	}
	copied := *st
	copied.HandshakeDone = true
	err := Guard("Config.VerifyPeer", func() error { return c.VerifyPeer(&copied) })
	if err == nil {
		return nil
	}
	var own *Error
	switch {
	case !errors.As(err, &own):
		return &Error{Alert: AlertBadCertificate, Err: err}
	case err == error(own):
		return own
	}
	return &Error{Alert: own.Alert, Err: err}
}
