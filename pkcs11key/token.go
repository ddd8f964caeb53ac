package pkcs11key

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/pkcs11"
)

// Config names a token and limits its use.
type Config struct {
	// Library is the path of the token's PKCS #11 library. The library is loaded into the process, so it must come from a
	// trusted place.
	Library string
	// Token is the label of the token, and Serial its serial number. If both are set, both must match. If none is set, the
	// library must have one token only.
	Token, Serial string
	// PIN returns the user's PIN: see PINFromFile and PINFromEnv. It is called for each session, and the PIN is not kept. Nil
	// is for tokens that need none.
	PIN func() (string, error)

	// MaxSessions is the number of signatures that the token makes at a time. 0 means 8. It is reduced to what the token
	// reports as its maximum.
	MaxSessions int
	// SessionTimeout bounds how long Sign waits for a session that is free. 0 means 5 s.
	SessionTimeout time.Duration
	// RetryInterval is the time after a failed attempt to open a session in which Sign fails at once. 0 means 1 s.
	RetryInterval time.Duration
}

// PINFromFile returns a function for Config.PIN that reads a file. A line break at its end does not belong to the PIN.
func PINFromFile(path string) func() (string, error) {
	return func() (string, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		defer clear(b)
		return strings.TrimRight(string(b), "\r\n"), nil
	}
}

// PINFromEnv returns a function for Config.PIN that reads an environment variable.
func PINFromEnv(name string) func() (string, error) {
	return func() (string, error) {
		pin, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return pin, nil
	}
}

// A Token is a token that is open. Its methods may be called concurrently.
type Token struct {
	cfg  Config
	lib  *library
	free chan *session // the sessions that are not in use; those with epoch 0 are not open
	quit chan struct{} // closed by Close
	once sync.Once

	opening sync.Mutex // held while a session is opened
	refused error      // of the PIN: no other attempt is made
	failed  error      // of the last attempt
	retryAt time.Time  // when the next one is made
}

// A session is used by one call at a time.
type session struct {
	handle pkcs11.SessionHandle
	epoch  uint64 // library.epoch+1 of the time when it was opened; 0 if it is not open
	keys   map[*Key]pkcs11.ObjectHandle
}

// Open loads the library, finds the token and logs in.
func Open(cfg Config) (*Token, error) {
	switch {
	case cfg.MaxSessions < 0:
		return nil, fmt.Errorf("pkcs11key: Config.MaxSessions is negative: %d", cfg.MaxSessions)
	case cfg.SessionTimeout < 0 || cfg.RetryInterval < 0:
		return nil, errors.New("pkcs11key: Config.SessionTimeout or RetryInterval is negative")
	case cfg.MaxSessions == 0:
		cfg.MaxSessions = 8
	}
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = 5 * time.Second
	}
	if cfg.RetryInterval == 0 {
		cfg.RetryInterval = time.Second
	}
	lib, err := openLibrary(cfg.Library)
	if err != nil {
		return nil, err
	}
	t := &Token{cfg: cfg, lib: lib, quit: make(chan struct{})}
	first := new(session)
	most, err := t.openSession(first)
	if err != nil {
		lib.release()
		return nil, t.named(err)
	}
	t.cfg.MaxSessions = min(cfg.MaxSessions, most)
	t.free = make(chan *session, t.cfg.MaxSessions)
	t.free <- first
	for len(t.free) < cap(t.free) {
		t.free <- new(session)
	}
	return t, nil
}

// named adds the name of the token to an error.
func (t *Token) named(err error) error {
	return fmt.Errorf("pkcs11key: %s: %w", t.cfg.name(), explain(err))
}

func (c *Config) name() string {
	switch {
	case c.Token != "" && c.Serial != "":
		return fmt.Sprintf("token %q with the serial number %q", c.Token, c.Serial)
	case c.Token != "":
		return fmt.Sprintf("token %q", c.Token)
	case c.Serial != "":
		return fmt.Sprintf("token with the serial number %q", c.Serial)
	}
	return "the only token"
}

// Close waits until no call is inside of the library, ends the sessions, and unloads the library if no other Token uses
// it. Later calls of the token's keys return ErrClosed.
func (t *Token) Close() {
	t.once.Do(func() {
		close(t.quit)
		for range cap(t.free) {
			t.closeSession(<-t.free)
		}
		t.lib.release()
	})
}

// use calls f with a session. If the session turns out to be lost, it calls f once more with a new one.
func (t *Token) use(f func(*pkcs11.Ctx, *session) error) error {
	s, err := t.take()
	if err != nil {
		return err
	}
	defer func() { t.free <- s }()
	for again := false; ; again = true {
		if err := t.ensureOpen(s); err != nil {
			return t.named(err)
		}
		err := t.call(s, f)
		switch {
		case err == nil:
			return nil
		case again || !isLost(err):
			return t.named(err)
		}
		t.closeSession(s)
	}
}

// take returns a session that is not in use.
func (t *Token) take() (*session, error) {
	select {
	case <-t.quit:
		return nil, ErrClosed
	default:
	}
	select {
	case s := <-t.free:
		return s, nil
	default:
	}
	timer := time.NewTimer(t.cfg.SessionTimeout)
	defer timer.Stop()
	select {
	case s := <-t.free:
		return s, nil
	case <-timer.C:
		return nil, t.named(fmt.Errorf("%w (%d) for %v (Config.SessionTimeout): the token is too slow or does not answer",
			ErrBusy, t.cfg.MaxSessions, t.cfg.SessionTimeout))
	case <-t.quit:
		return nil, ErrClosed
	}
}

// call calls f while the library cannot be initialized again.
func (t *Token) call(s *session, f func(*pkcs11.Ctx, *session) error) error {
	t.lib.calls.RLock()
	defer t.lib.calls.RUnlock()
	if s.epoch != t.lib.epoch+1 {
		return pkcs11.Error(pkcs11.CKR_SESSION_HANDLE_INVALID)
	}
	return f(t.lib.ctx, s)
}

// closeSession ends a session, if it is open.
func (t *Token) closeSession(s *session) {
	t.lib.calls.RLock()
	defer t.lib.calls.RUnlock()
	if s.epoch == t.lib.epoch+1 {
		_ = t.lib.ctx.CloseSession(s.handle)
	}
	*s = session{}
}
