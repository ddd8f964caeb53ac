package s2n

import "errors"

// Error is an error of s2n-tls.
type Error struct {
	Code int32
	// Name is symbolic and stable (S2N_ERR_CERT_UNTRUSTED), Text its explanation.
	Name, Text string
}

func (e *Error) Error() string {
	if e.Text == "" {
		return "s2n-tls: " + e.Name
	}
	return "s2n-tls: " + e.Text + " (" + e.Name + ")"
}

var (
	// ErrRefused means that an argument was wrong or memory ran out, which s2n-tls did not see.
	ErrRefused = errors.New("s2n: an argument was refused")
	errClosed  = errors.New("s2n: closed")
)

// errorOf makes an error of an error number; 0 is a refusal of ours.
func errorOf(code int32) error {
	if code == 0 {
		return ErrRefused
	}
	name, text := errorText(code)
	return &Error{Code: code, Name: name, Text: text}
}
