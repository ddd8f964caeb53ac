package s2n

import "errors"

// Error is an error of s2n-tls.
type Error struct {
	Code int32
	// Name is the symbolic name, such as S2N_ERR_CERT_UNTRUSTED, which is stable. Text explains it.
	Name, Text string
}

func (e *Error) Error() string {
	if e.Text == "" {
		return "s2n-tls: " + e.Name
	}
	return "s2n-tls: " + e.Text + " (" + e.Name + ")"
}

var (
	// ErrRefused means that the C library, rather than s2n-tls, has rejected an argument or has no memory.
	ErrRefused = errors.New("s2n: invalid argument, or out of memory")
	errClosed  = errors.New("s2n: closed")
)

// errorOf returns the error for an error number of s2n-tls, or ErrRefused for 0.
func errorOf(code int32) error {
	if code == 0 {
		return ErrRefused
	}
	name, text := errorText(code)
	return &Error{Code: code, Name: name, Text: text}
}
