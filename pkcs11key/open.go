package pkcs11key

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/pkcs11"
)

// ensureOpen opens s unless it is open.
func (t *Token) ensureOpen(s *session) error {
	t.lib.calls.RLock()
	open := s.epoch == t.lib.epoch+1
	t.lib.calls.RUnlock()
	if open {
		return nil
	}
	_, err := t.openSession(s)
	return err
}

// openSession opens a session and logs in. It returns the number of sessions that the token has at most.
func (t *Token) openSession(s *session) (most int, err error) {
	t.opening.Lock()
	defer t.opening.Unlock()
	switch {
	case t.refused != nil:
		return 0, t.refused
	case time.Now().Before(t.retryAt):
		return 0, fmt.Errorf("%w (the next attempt is made %v after the last one)", t.failed, t.cfg.RetryInterval)
	}
	most, err = t.attempt(s)
	if (isLost(err) || errors.Is(err, errNoToken)) && t.lib.reinitialize() {
		most, err = t.attempt(s)
	}
	t.failed, t.retryAt = err, time.Time{}
	switch {
	case isPIN(err):
		t.refused = err
	case err != nil:
		t.retryAt = time.Now().Add(t.cfg.RetryInterval)
	}
	return most, err
}

// errNoToken is wrapped by the errors of findToken.
var errNoToken = errors.New("the library has no such token")

// attempt makes one attempt to open a session.
func (t *Token) attempt(s *session) (most int, err error) {
	t.lib.calls.RLock()
	defer t.lib.calls.RUnlock()
	ctx := t.lib.ctx
	slot, info, err := t.findToken(ctx)
	if err != nil {
		return 0, err
	}
	handle, err := ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return 0, err
	}
	if err := t.login(ctx, handle, info.Flags); err != nil {
		_ = ctx.CloseSession(handle)
		return 0, err
	}
	*s = session{handle: handle, epoch: t.lib.epoch + 1, keys: make(map[*Key]pkcs11.ObjectHandle)}
	return maxSessions(info.MaxSessionCount), nil
}

// maxSessions returns the number of sessions that C_GetTokenInfo reports: 0 means no limit, and all ones that the token
// does not know.
func maxSessions(n uint) int {
	if n == 0 || n >= 1<<31 {
		return 1 << 31
	}
	return int(n)
}

// findToken returns the slot of the token.
func (t *Token) findToken(ctx *pkcs11.Ctx) (slot uint, info pkcs11.TokenInfo, err error) {
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		return 0, info, err
	}
	var others, matching []string
	for _, candidate := range slots {
		ti, err := ctx.GetTokenInfo(candidate)
		if err != nil || ti.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			continue // another token may be the right one
		}
		label, serial := strings.TrimRight(ti.Label, " \x00"), strings.TrimRight(ti.SerialNumber, " \x00")
		name := fmt.Sprintf("%q (serial number %s)", label, serial)
		if t.cfg.Token != "" && label != t.cfg.Token || t.cfg.Serial != "" && serial != t.cfg.Serial {
			others = append(others, name)
			continue
		}
		slot, info = candidate, ti
		matching = append(matching, name)
	}
	switch {
	case len(matching) == 1:
		return slot, info, nil
	case len(matching) > 1:
		return 0, info, fmt.Errorf("%s has %d such tokens: %s: set Config.Serial", t.lib.path, len(matching), strings.Join(matching, ", "))
	case len(others) > 0:
		return 0, info, fmt.Errorf("%w: %s has %s", errNoToken, t.lib.path, strings.Join(others, ", "))
	}
	return 0, info, fmt.Errorf("%w, and no other: %s: connect it, or check the library's own configuration (SoftHSM: SOFTHSM2_CONF)", errNoToken, t.lib.path)
}

// login logs in, which holds for all sessions with the token. If another session has logged in already, the token
// does not look at the PIN.
func (t *Token) login(ctx *pkcs11.Ctx, handle pkcs11.SessionHandle, flags uint) error {
	if t.cfg.PIN == nil {
		if flags&pkcs11.CKF_LOGIN_REQUIRED != 0 {
			return errors.New("the token requires a PIN: set Config.PIN")
		}
		return nil
	}
	if err := checkPINFlags(flags); err != nil {
		return err
	}
	pin, err := t.cfg.PIN()
	if err != nil {
		return fmt.Errorf("Config.PIN: %w", err)
	}
	if err := ctx.Login(handle, pkcs11.CKU_USER, pin); err != nil && !is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
		return err
	}
	return nil
}

// checkPINFlags returns an error if an attempt with a wrong PIN would lock the token. A service that restarts after each
// failure would do that.
func checkPINFlags(flags uint) error {
	switch {
	case flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return pkcs11.Error(pkcs11.CKR_PIN_LOCKED)
	case flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return errors.New("one more wrong PIN would lock the token, so none is tried: log in once with the token's tools")
	}
	return nil
}
