package pkcs11key

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// ErrClosed is returned after Token.Close.
var ErrClosed = errors.New("pkcs11key: the token is closed")

// ErrBusy is wrapped by the error of a call that got no session within Config.SessionTimeout.
var ErrBusy = errors.New("all sessions are in use")

// is reports whether err is the return value code of a PKCS #11 function.
func is(err error, codes ...pkcs11.Error) bool {
	var e pkcs11.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e == code {
			return true
		}
	}
	return false
}

// isLost reports whether err means that a session, its login or its handles are gone, or that the device has failed, so
// that another session may work.
func isLost(err error) bool {
	return is(err, pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_USER_NOT_LOGGED_IN,
		pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_TOKEN_NOT_RECOGNIZED,
		pkcs11.CKR_SLOT_ID_INVALID, pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OBJECT_HANDLE_INVALID,
		pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_OPERATION_ACTIVE)
}

// isPIN reports whether err means that the token rejects the PIN.
func isPIN(err error) bool {
	return is(err, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_PIN_LOCKED)
}

// advice says what to do about the return values that have a likely cause.
var advice = map[pkcs11.Error]string{
	pkcs11.CKR_PIN_INCORRECT:              "the PIN is wrong; it is not tried again, because tokens lock after a few wrong PINs: correct it and call Open again",
	pkcs11.CKR_PIN_INVALID:                "the PIN has characters that the token does not accept: correct it and call Open again",
	pkcs11.CKR_PIN_LEN_RANGE:              "the PIN is too short or too long: correct it and call Open again",
	pkcs11.CKR_PIN_EXPIRED:                "the PIN has expired: set another one with the token's tools",
	pkcs11.CKR_PIN_LOCKED:                 "the PIN is locked after wrong attempts: the token's security officer must unlock it",
	pkcs11.CKR_USER_PIN_NOT_INITIALIZED:   "the token has no user PIN: set one with the token's tools",
	pkcs11.CKR_SESSION_COUNT:              "the token has no more sessions: decrease Config.MaxSessions, or end other programs that use it",
	pkcs11.CKR_DEVICE_REMOVED:             "the token has been removed: connect it again",
	pkcs11.CKR_TOKEN_NOT_PRESENT:          "the token has been removed: connect it again",
	pkcs11.CKR_DEVICE_ERROR:               "the token, or the connection to it, has failed: see its logs",
	pkcs11.CKR_KEY_HANDLE_INVALID:         "the key has been deleted, or the token has been replaced",
	pkcs11.CKR_OBJECT_HANDLE_INVALID:      "the key has been deleted, or the token has been replaced",
	pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED: "the key may not sign: make it with CKA_SIGN (pkcs11-tool: --usage-sign)",
	pkcs11.CKR_KEY_TYPE_INCONSISTENT:      "the key may not be used with this mechanism",
	pkcs11.CKR_MECHANISM_INVALID:          "the token does not have this mechanism",
	pkcs11.CKR_MECHANISM_PARAM_INVALID:    "the token does not have this hash function or length of salt",
	pkcs11.CKR_KEY_SIZE_RANGE:             "the key is too short for this signature",
}

// explain adds advice to an error of the library.
func explain(err error) error {
	var code pkcs11.Error
	if errors.As(err, &code) {
		if text := advice[code]; text != "" {
			return fmt.Errorf("%w: %s", err, text)
		}
	}
	return err
}
