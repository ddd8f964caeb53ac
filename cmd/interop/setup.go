package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/quic/qlog"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// protocol is the application protocol of HTTP/0.9 over QUIC.
const protocol = "hq-interop"

// An unsupportedError says why a test case is not supported.
type unsupportedError struct{ testCase, reason string }

func (e *unsupportedError) Error() string {
	return fmt.Sprintf("test case %q is not supported: %s", e.testCase, e.reason)
}

// A setup is an endpoint of a test case, before it opens a socket.
type setup struct {
	at       places
	name     string
	testCase testCase
	cfg      *quic.Config
	keyLog   *os.File // nil if there is none
}

func newSetup(getenv func(string) string, at places) (*setup, error) {
	s := &setup{at: at, name: getenv("TESTCASE")}
	var ok bool
	if s.testCase, ok = testCases[s.name]; !ok {
		return nil, &unsupportedError{s.name, "it is unknown"}
	}
	provider, err := newProvider(getenv("PQQUIC_PROVIDER"))
	if err != nil {
		return nil, err
	}
	tls := &tlsprovider.Config{NextProtos: []string{protocol}}
	if list := getenv("PQQUIC_GROUPS"); list != "" {
		if tls.Groups, err = tlsprovider.ParseGroups(list); err != nil {
			return nil, err
		}
	}
	s.cfg = &quic.Config{
		Provider: provider, TLS: tls,
		// Test cases with a loss of 30 % need more time than a program would want to wait, above all with servers that repeat
		// only the first packet of a ServerHello for a long time.
		HandshakeTimeout: 2 * time.Minute,
		Logger:           slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if err := s.openLogs(getenv); err != nil {
		return nil, err
	}
	if s.testCase.configure != nil {
		if err := s.testCase.configure(s); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// newProvider returns the provider that PQQUIC_PROVIDER names.
func newProvider(name string) (tlsprovider.Provider, error) {
	switch name {
	case "", "native":
		return native.New(), nil
	case "s2n":
		return s2n.New()
	}
	return nil, fmt.Errorf("PQQUIC_PROVIDER is %q: it must be native or s2n", name)
}

// openLogs opens the key log and the directory of qlogs.
func (s *setup) openLogs(getenv func(string) string) (err error) {
	if dir := getenv("QLOGDIR"); dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("QLOGDIR: %w", err)
		}
		s.cfg.Qlog = &qlog.Config{Open: qlog.Dir(dir)}
	}
	if name := getenv("SSLKEYLOGFILE"); name != "" {
		s.keyLog, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644) // the runner's user must read it
		if err != nil {
			return fmt.Errorf("SSLKEYLOGFILE: %w", err)
		}
		s.cfg.TLS.KeyLogWriter = s.keyLog
	}
	return nil
}

func (s *setup) close() {
	if s.keyLog != nil {
		s.keyLog.Close()
	}
}

// trust makes a client verify servers with ca.pem. The runner's endpoints may also run without certificates: then
// the system's roots apply.
func (s *setup) trust() error {
	pem, err := os.ReadFile(filepath.Join(s.at.certs, "ca.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	s.cfg.TLS.RootCAs, err = tlsprovider.RootsFromPEM(pem)
	return err
}
