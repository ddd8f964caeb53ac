package certwatch

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
)

// DefaultInterval is Config.Interval if that is 0.
const DefaultInterval = 5 * time.Second

// A Config names files and says what becomes of them.
type Config struct {
	// Base has the other fields of the configuration. Certificates, RootCAs, ClientCAs and TicketKeys are replaced if
	// there are files for them. Nil means the zero value.
	Base *tlsprovider.Config
	// Certificates are the files of Base.Certificates.
	Certificates []Certificate
	// RootCAsFile and ClientCAsFile have certificates in PEM.
	RootCAsFile, ClientCAsFile string
	// TicketKeysFile has ticket keys, one a line in hexadecimal ("openssl rand -hex 32"). The first seals new tickets, and
	// all open tickets. Empty lines and lines that begin with # are ignored. Servers that share the file, and whose
	// certificates have the same key and names, resume each other's sessions.
	TicketKeysFile string

	// Interval is the time between two looks at the files. A change takes effect after two of them. 0 means
	// DefaultInterval.
	Interval time.Duration
	// Report, if set, is called on the goroutine of Watch: with each error, once until it changes, and with nil when a
	// configuration has been replaced or the files of the present one are back. It must not call Close. Nil means that
	// slog.Default gets messages.
	Report func(error)
}

// A Watcher watches files. Its methods are safe for concurrent use.
type Watcher struct {
	cfg  Config
	stop chan struct{}
	done sync.WaitGroup

	current atomic.Pointer[tlsprovider.Config]

	mu       sync.Mutex // held by one look, and while set is called
	set      func(*tlsprovider.Config) error
	isClosed bool
	applied  contents // those of current
	seen     contents // at the last look; nil if they could not be read
	unread   int      // looks in a row at which they could not be read
	reported string
}

// Open reads the files. It returns an error if one of them cannot be read or parsed.
func Open(cfg Config) (*Watcher, error) {
	if cfg.Interval < 0 {
		return nil, fmt.Errorf("certwatch: Config.Interval is negative: %v", cfg.Interval)
	}
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	for i, c := range cfg.Certificates {
		if c.CertFile == "" || (c.KeyFile == "") == (c.Signer == nil) {
			return nil, fmt.Errorf("certwatch: Config.Certificates[%d] needs CertFile, and either KeyFile or Signer", i)
		}
	}
	w := &Watcher{cfg: cfg, stop: make(chan struct{})}
	in, err := cfg.read()
	if err != nil {
		return nil, fmt.Errorf("certwatch: %w", err)
	}
	first, err := cfg.parse(in)
	if err != nil {
		in.wipe()
		return nil, fmt.Errorf("certwatch: %w", err)
	}
	w.current.Store(first)
	w.applied, w.seen = in, in
	return w, nil
}

// TLS returns the present configuration.
func (w *Watcher) TLS() *tlsprovider.Config { return w.current.Load() }

// Watch passes new configurations to set until Close, or until set returns an error that wraps net.ErrClosed, as
// quic.ErrEndpointClosed does. If set returns another error, the present configuration stays, and the next look tries
// again. set is called on one goroutine, or that of Reload, and must not call the Watcher. Watch does not wait, and must be called at most once.
func (w *Watcher) Watch(set func(*tlsprovider.Config) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set != nil {
		panic("certwatch: Watch was called twice")
	}
	w.set = set
	if w.isClosed {
		return
	}
	w.done.Go(func() {
		ticker := time.NewTicker(w.cfg.Interval)
		defer ticker.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-ticker.C:
			}
			if !w.look() {
				return
			}
		}
	})
}

// Close ends Watch. When it returns, set is not called any more.
func (w *Watcher) Close() {
	w.mu.Lock()
	first := !w.isClosed
	w.isClosed = true
	w.mu.Unlock()
	if first {
		close(w.stop)
	}
	w.done.Wait()
}

// Reload reads the files now, for example because of SIGHUP, and passes them to set if they have changed. It returns an error
// if the configuration stays although they have changed.
func (w *Watcher) Reload() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isClosed || w.set == nil {
		return errors.New("certwatch: Reload before Watch or after Close")
	}
	in, err := w.cfg.read()
	switch {
	case err != nil:
	case in.equal(w.applied):
		in.wipe()
	default:
		err = w.apply(in)
	}
	if err != nil {
		return fmt.Errorf("certwatch: %w", err)
	}
	w.reported = ""
	return nil
}

// look looks at the files and reports what has come of it. It returns false if the set of Watch is of no use any more.
func (w *Watcher) look() bool {
	err, isNews := w.compare()
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	switch {
	case !isNews:
	case w.cfg.Report != nil:
		w.cfg.Report(err)
	case err != nil:
		slog.Default().Error("TLS configuration not replaced", "err", err)
	default:
		slog.Default().Info("TLS configuration replaced")
	}
	return true
}

// compare reads the files and applies a change that was there at the last look, too. It returns what has come of it, and
// whether that must be reported.
func (w *Watcher) compare() (err error, isNews bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isClosed {
		return net.ErrClosed, false
	}
	in, err := w.cfg.read()
	if w.unread++; err == nil {
		w.unread = 0
	}
	before := w.seen
	switch {
	case err != nil:
		w.see(nil)
	case in.equal(w.applied):
		in.wipe()
		w.see(w.applied)
		isNews = w.reported != ""
	case in.equal(before):
		in.wipe()
		err = w.apply(before)
		isNews = err == nil
	default:
		w.see(in)
		return nil, false
	}
	if err == nil {
		w.reported = ""
		return nil, isNews
	}
	err = fmt.Errorf("certwatch: the configuration stays: %w", err)
	// A file that is being replaced may be missing for a moment.
	if w.unread == 1 || err.Error() == w.reported {
		return err, false
	}
	w.reported = err.Error()
	return err, true
}

// see keeps what a look has found, and overwrites what the last one has, unless it is in use. mu is held.
func (w *Watcher) see(in contents) {
	if !w.seen.is(w.applied) {
		w.seen.wipe()
	}
	w.seen = in
}

// apply passes the contents of the files to set, and keeps them if that succeeds. mu is held.
func (w *Watcher) apply(in contents) error {
	cfg, err := w.cfg.parse(in)
	if err == nil {
		err = w.set(cfg)
	}
	if err != nil {
		if !in.is(w.seen) {
			in.wipe()
		}
		return err
	}
	w.current.Store(cfg)
	if !w.seen.is(w.applied) && !w.seen.is(in) {
		w.seen.wipe()
	}
	w.applied.wipe()
	w.applied, w.seen = in, in
	return nil
}
