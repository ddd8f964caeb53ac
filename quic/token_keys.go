package quic

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider"
)

// ownTokenKeyLife is how long a key that an Endpoint has made seals tokens. It opens tokens for as long again.
const ownTokenKeyLife = 24 * time.Hour

// tokenKeys are the keys of an Endpoint's address tokens. The first seals, and all of them open. It is a
// tlsprovider.TokenKey itself, so that the core needs no rotation.
type tokenKeys struct {
	provider tlsprovider.Provider
	clock    clock

	mu     sync.RWMutex // a key must not be closed while it is used
	keys   []tlsprovider.TokenKey
	closed bool
	own    bool // keys were made here, the first at madeAt
	madeAt monotime.Time
}

var errTokenKeysClosed = errors.New("quic: the endpoint's token keys are closed")

// set replaces the keys by those of secrets or, if there are none, by a random one.
func (t *tokenKeys) set(secrets [][]byte) error {
	own := len(secrets) == 0
	if own {
		secret, err := t.randomSecret()
		if err != nil {
			return err
		}
		defer clear(secret)
		secrets = [][]byte{secret}
	}
	var keys []tlsprovider.TokenKey
	for i, s := range secrets {
		k, err := t.provider.NewTokenKey(s)
		if err != nil {
			closeAll(keys)
			return fmt.Errorf("quic: token key %d: %w", i, err)
		}
		keys = append(keys, k)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		closeAll(keys)
		return errTokenKeysClosed
	}
	old := t.keys
	t.keys, t.own, t.madeAt = keys, own, t.clock.now()
	closeAll(old)
	return nil
}

func (t *tokenKeys) randomSecret() ([]byte, error) {
	secret := make([]byte, minSecret)
	_, err := io.ReadFull(t.provider.Rand(), secret)
	if err != nil {
		err = fmt.Errorf("quic: random generator: %w", err)
	}
	return secret, err
}

// rotate makes a new key if the Endpoint's own key has sealed tokens for long enough.
func (t *tokenKeys) rotate() error {
	now := t.clock.now()
	due := func() bool { return t.own && now.Sub(t.madeAt) >= ownTokenKeyLife }
	t.mu.RLock()
	wanted := due()
	t.mu.RUnlock()
	if !wanted {
		return nil
	}
	secret, err := t.randomSecret()
	if err != nil {
		return err
	}
	defer clear(secret)
	k, err := t.provider.NewTokenKey(secret)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !due() { // another goroutine was faster, or the keys are closed
		k.Close()
		return nil
	}
	closeAll(t.keys[1:])
	t.keys, t.madeAt = []tlsprovider.TokenKey{k, t.keys[0]}, now
	return nil
}

// Seal implements tlsprovider.TokenKey.
func (t *tokenKeys) Seal(dst, plaintext, aad []byte) ([]byte, error) {
	if err := t.rotate(); err != nil {
		return dst, err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.keys) == 0 {
		return dst, errTokenKeysClosed
	}
	return t.keys[0].Seal(dst, plaintext, aad)
}

// Open implements tlsprovider.TokenKey.
func (t *tokenKeys) Open(dst, sealed, aad []byte) ([]byte, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, k := range t.keys {
		if out, ok := k.Open(dst, sealed, aad); ok {
			return out, true
		}
	}
	return dst, false
}

// Close implements tlsprovider.TokenKey.
func (t *tokenKeys) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	closeAll(t.keys)
	t.keys, t.own, t.closed = nil, false, true
}

func closeAll(keys []tlsprovider.TokenKey) {
	for _, k := range keys {
		k.Close()
	}
}
