package pkcs11key

import (
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"
)

func TestOpenErrors(t *testing.T) {
	s := newSoftToken(t)
	text := filepath.Join(t.TempDir(), "text.so")
	require.NoError(t, os.WriteFile(text, []byte("no library"), 0o600))
	t.Setenv("PKCS11KEY_TEST_PIN", "1357")
	for _, tt := range []struct {
		name string
		set  func(*Config)
		want string
	}{
		{"no library", func(c *Config) { c.Library = "" }, "Config.Library is empty: set it to the path"},
		{"missing library", func(c *Config) { c.Library = "/none/lib.so" }, "no such file or directory: install the token's PKCS #11 library"},
		{"folder", func(c *Config) { c.Library = t.TempDir() }, "is a folder: name the file in it"},
		{"no shared object", func(c *Config) { c.Library = text }, "cannot be loaded: it is not a PKCS #11 library for"},
		{"another shared object", func(c *Config) { c.Library = "libc.so.6" }, "cannot be loaded: it is not a PKCS #11 library for"},
		{"missing token", func(c *Config) { c.Token = "none" }, `token "none": the library has no such token: `},
		{"list", func(c *Config) { c.Token = "none" }, `has "test" (serial number `},
		{"serial number", func(c *Config) { c.Serial = "0" }, `token "test" with the serial number "0": the library has no such token`},
		{"wrong PIN", func(c *Config) { c.PIN = PINFromEnv("PKCS11KEY_TEST_PIN") }, `token "test": pkcs11: 0xA0: CKR_PIN_INCORRECT: the PIN is wrong; it is not tried again`},
		{"no PIN", func(c *Config) { c.PIN = nil }, "the token requires a PIN: set Config.PIN"},
		{"no variable", func(c *Config) { c.PIN = PINFromEnv("PKCS11KEY_NONE") }, "Config.PIN: the environment variable PKCS11KEY_NONE is not set"},
		{"no file", func(c *Config) { c.PIN = PINFromFile("/none") }, "Config.PIN: open /none: no such file or directory"},
		{"sessions", func(c *Config) { c.MaxSessions = -1 }, "Config.MaxSessions is negative: -1"},
		{"timeout", func(c *Config) { c.SessionTimeout = -1 }, "is negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := s.cfg
			tt.set(&cfg)
			_, err := Open(cfg)
			require.ErrorContains(t, err, tt.want)
			require.Empty(t, libraries.byPath, "the library is unloaded")
		})
	}
	require.NoError(t, os.RemoveAll(s.dir))
	require.NoError(t, os.Mkdir(s.dir, 0o700))
	_, err := Open(s.cfg)
	require.ErrorContains(t, err, "the library has no such token, and no other: ")
	require.ErrorContains(t, err, "SOFTHSM2_CONF")
}

func TestPINs(t *testing.T) {
	s := newSoftToken(t)
	file := filepath.Join(t.TempDir(), "pin")
	require.NoError(t, os.WriteFile(file, []byte(testPIN+"\n"), 0o600))
	s.cfg.PIN = PINFromFile(file)
	s.open()
	t.Setenv("PKCS11KEY_TEST_PIN", testPIN)
	s.cfg.PIN = PINFromEnv("PKCS11KEY_TEST_PIN")
	s.open()
}

func TestPINFlags(t *testing.T) {
	require.NoError(t, checkPINFlags(pkcs11.CKF_USER_PIN_COUNT_LOW))
	require.ErrorContains(t, checkPINFlags(pkcs11.CKF_USER_PIN_COUNT_LOW|pkcs11.CKF_USER_PIN_FINAL_TRY), "one more wrong PIN would lock the token")
	require.True(t, isPIN(checkPINFlags(pkcs11.CKF_USER_PIN_LOCKED)))
}

func TestMaxSessions(t *testing.T) {
	require.Equal(t, 4, maxSessions(4))
	require.Equal(t, 1<<31, maxSessions(0), "no limit")
	require.Equal(t, 1<<31, maxSessions(^uint(0)), "unknown")
}

// signOnce makes and discards a signature.
func signOnce(t testing.TB, key *Key) error {
	_, err := key.Sign(nil, digestOf(t, crypto.SHA256), crypto.SHA256)
	return err
}

// However many goroutines sign, the token has no more sessions than MaxSessions, and each is used by one at a time.
func TestSessionsAreBounded(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "key", 1)
	s.cfg.MaxSessions, s.cfg.SessionTimeout = 3, time.Minute
	token := s.open()
	key, err := token.Key("key", nil)
	require.NoError(t, err)
	var all sync.WaitGroup
	var mu sync.Mutex
	inUse, seen := make(map[pkcs11.SessionHandle]bool), make(map[pkcs11.SessionHandle]bool)
	for range 30 {
		all.Go(func() {
			for range 10 {
				err := token.use(func(_ *pkcs11.Ctx, s *session) error {
					mu.Lock()
					if inUse[s.handle] {
						t.Error("two goroutines use a session")
					}
					inUse[s.handle], seen[s.handle] = true, true
					mu.Unlock()
					runtime.Gosched()
					mu.Lock()
					defer mu.Unlock()
					inUse[s.handle] = false
					return nil
				})
				if err := errors.Join(err, signOnce(t, key)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.Len(t, seen, 3)
}

// hold occupies a session until release is called.
func hold(t testing.TB, token *Token) (release func()) {
	inside, leave, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- token.use(func(*pkcs11.Ctx, *session) error {
			close(inside)
			<-leave
			return nil
		})
	}()
	<-inside
	return func() {
		close(leave)
		require.NoError(t, <-done)
	}
}

func TestBusyToken(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "key", 1)
	s.cfg.MaxSessions, s.cfg.SessionTimeout = 1, time.Millisecond
	token := s.open()
	key, err := token.Key("key", nil)
	require.NoError(t, err)
	release := hold(t, token)
	err = signOnce(t, key)
	require.ErrorIs(t, err, ErrBusy)
	require.ErrorContains(t, err, `token "test": all sessions are in use (1) for 1ms (Config.SessionTimeout)`)
	release()
	token.cfg.SessionTimeout = time.Minute
	require.NoError(t, signOnce(t, key))
}

func TestCloseWaits(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "key", 1)
	token := s.open()
	key, err := token.Key("key", nil)
	require.NoError(t, err)
	release := hold(t, token)
	var released atomic.Bool
	closed := make(chan bool)
	go func() {
		token.Close()
		closed <- released.Load()
	}()
	<-token.quit
	require.ErrorIs(t, signOnce(t, key), ErrClosed)
	require.NotEmpty(t, libraries.byPath)
	released.Store(true)
	release()
	require.True(t, <-closed, "Close waits for the call")
	require.Empty(t, libraries.byPath)
	token.Close()
}

// Two tokens of a library share it until both are closed.
func TestTokensShareLibrary(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "key", 1)
	s.addToken("another")
	cfg := s.cfg
	cfg.Token = "another"
	another, err := Open(cfg)
	require.NoError(t, err)
	token := s.open()
	require.Same(t, another.lib, token.lib)
	another.Close()
	key, err := token.Key("key", nil)
	require.NoError(t, err)
	require.NoError(t, signOnce(t, key))

	cfg.Token = ""
	_, err = Open(cfg)
	require.ErrorContains(t, err, "the only token: ")
	require.ErrorContains(t, err, "has 2 such tokens")
}

// Sessions that have ended behind our back, as when an HSM restarts, are opened again.
func TestLostSessions(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "key", 1)
	logins := 0
	s.cfg.PIN = func() (string, error) { logins++; return testPIN, nil }
	token := s.open()
	key, err := token.Key("key", nil)
	require.NoError(t, err)
	for i := range 3 {
		slot, _, err := token.findToken(token.lib.ctx)
		require.NoError(t, err)
		require.NoError(t, token.lib.ctx.CloseAllSessions(slot)) // and logs out
		require.NoError(t, signOnce(t, key))
		require.Equal(t, 2+i, logins)
	}
}

// A PIN that the token rejects is tried once, because tokens lock after a few wrong PINs.
func TestWrongPINIsTriedOnce(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "key", 1)
	tries, pin := 0, testPIN
	s.cfg.PIN = func() (string, error) { tries++; return pin, nil }
	s.cfg.RetryInterval = 1
	token := s.open()
	key, err := token.Key("key", nil)
	require.NoError(t, err)
	slot, _, err := token.findToken(token.lib.ctx)
	require.NoError(t, err)
	require.NoError(t, token.lib.ctx.CloseAllSessions(slot))
	pin = "8642"
	for range 5 {
		require.ErrorIs(t, signOnce(t, key), pkcs11.Error(pkcs11.CKR_PIN_INCORRECT))
	}
	require.Equal(t, 2, tries)
}

// A token that vanishes fails calls of Sign with an error that says so, and works again when it is back.
func TestTokenVanishes(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "key", 1)
	s.cfg.RetryInterval = time.Hour
	token := s.open()
	key, err := token.Key("key", nil)
	require.NoError(t, err)

	require.NoError(t, os.Rename(s.dir, s.dir+"-away"))
	require.NoError(t, os.Mkdir(s.dir, 0o700))
	require.True(t, token.lib.reinitialize(), "SoftHSM looks for tokens at this time only")
	err = signOnce(t, key)
	require.ErrorIs(t, err, errNoToken)
	require.ErrorContains(t, err, `token "test": the library has no such token, and no other: `)
	epoch := token.lib.epoch
	err = signOnce(t, key)
	require.ErrorIs(t, err, errNoToken)
	require.ErrorContains(t, err, "the next attempt is made 1h0m0s after the last one")
	require.Equal(t, epoch, token.lib.epoch, "no attempt was made")

	require.NoError(t, os.RemoveAll(s.dir))
	require.NoError(t, os.Rename(s.dir+"-away", s.dir))
	token.retryAt = time.Time{}
	require.NoError(t, signOnce(t, key), "the library is initialized again")
	require.Equal(t, epoch+1, token.lib.epoch)
}

// The library is not initialized again while a call is inside of it, for it may not return.
func TestNoInitializationDuringCalls(t *testing.T) {
	s := newSoftToken(t)
	token := s.open()
	release := hold(t, token)
	require.False(t, token.lib.reinitialize())
	release()
	require.True(t, token.lib.reinitialize())
}

// A key that is deleted while it is in use fails with an error that says so.
func TestKeyIsDeleted(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "key", 1)
	token := s.open()
	key, err := token.Key("key", nil)
	require.NoError(t, err)
	require.NoError(t, signOnce(t, key))
	s.destroy(token, pkcs11.CKO_PRIVATE_KEY, "key")
	require.ErrorContains(t, signOnce(t, key), `there is no private key "key"`)
}

func TestExplain(t *testing.T) {
	err := explain(pkcs11.Error(pkcs11.CKR_DEVICE_REMOVED))
	require.ErrorIs(t, err, pkcs11.Error(pkcs11.CKR_DEVICE_REMOVED))
	require.ErrorContains(t, err, "connect it again")
	plain := errors.New("plain")
	require.Equal(t, plain, explain(plain))
	require.False(t, is(plain, pkcs11.CKR_DEVICE_REMOVED))
	for code := range advice {
		require.Contains(t, code.Error(), "CKR_", "%#x", uint(code))
	}
}
