package pkcs11key

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/miekg/pkcs11"
)

// A library is a PKCS #11 library in this process. Its tokens share it, because it is initialized once for a process.
type library struct {
	path  string
	ctx   *pkcs11.Ctx
	owned bool // initialized by us, and not by other code of the process
	refs  int  // guarded by libraries.mu

	// calls is held for reading during each call, and for writing while the library is initialized again.
	calls sync.RWMutex
	epoch uint64 // number of initializations; sessions of earlier ones are gone
}

var libraries struct {
	mu     sync.Mutex
	byPath map[string]*library
}

// openLibrary loads and initializes a library, or returns the one that is in use.
func openLibrary(path string) (*library, error) {
	if path == "" {
		return nil, errors.New("pkcs11key: Config.Library is empty: set it to the path of the token's PKCS #11 library, " +
			"such as /usr/lib/softhsm/libsofthsm2.so")
	}
	if strings.ContainsRune(path, filepath.Separator) { // otherwise the system searches for it
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return nil, fmt.Errorf("pkcs11key: Config.Library: %w: install the token's PKCS #11 library (for SoftHSM: apt-get install softhsm2)", err)
		}
		path = real
	}
	libraries.mu.Lock()
	defer libraries.mu.Unlock()
	if l := libraries.byPath[path]; l != nil {
		l.refs++
		return l, nil
	}
	ctx := pkcs11.New(path)
	if ctx == nil {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return nil, fmt.Errorf("pkcs11key: Config.Library: %s is a folder: name the file in it", path)
		}
		return nil, fmt.Errorf("pkcs11key: Config.Library: %s cannot be loaded: it is not a PKCS #11 library for %s/%s, or a library that it needs is missing",
			path, runtime.GOOS, runtime.GOARCH)
	}
	l := &library{path: path, ctx: ctx, owned: true, refs: 1}
	switch err := ctx.Initialize(); {
	case is(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED):
		l.owned = false
	case err != nil:
		ctx.Destroy()
		return nil, fmt.Errorf("pkcs11key: %s cannot be initialized: %w", path, explain(err))
	}
	if libraries.byPath == nil {
		libraries.byPath = make(map[string]*library)
	}
	libraries.byPath[path] = l
	return l, nil
}

// release ends a use of the library. The last one finalizes it.
func (l *library) release() {
	libraries.mu.Lock()
	defer libraries.mu.Unlock()
	if l.refs--; l.refs > 0 {
		return
	}
	delete(libraries.byPath, l.path)
	if l.owned {
		_ = l.ctx.Finalize()
	}
	l.ctx.Destroy()
}

// reinitialize initializes the library again, which makes some libraries see tokens that have come back. All sessions
// end. It returns false if a call is inside of the library, or if other code of the process has initialized it.
func (l *library) reinitialize() bool {
	if !l.owned || !l.calls.TryLock() {
		return false
	}
	defer l.calls.Unlock()
	l.epoch++
	_ = l.ctx.Finalize() // fails if the last attempt to initialize it did
	return l.ctx.Initialize() == nil
}
