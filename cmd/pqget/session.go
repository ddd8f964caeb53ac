package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/cli"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A sessionFile is a store of sessions and tokens that a file keeps between runs.
type sessionFile struct {
	*tlsprovider.ClientCache
	name string
	// arrived has a value if a session was put.
	arrived chan struct{}
}

// Put implements tlsprovider.ClientStore, for sessions. Tokens go to the ClientCache.
func (s *sessionFile) Put(key string, value []byte) {
	s.ClientCache.Put(key, value)
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// await waits until a session has arrived. A server may send it after its response, or never.
func (s *sessionFile) await() {
	const longest = time.Second
	select {
	case <-s.arrived:
	case <-time.After(longest):
	}
}

// openSessions reads a file, which need not exist.
func openSessions(name string) (*sessionFile, error) {
	s := &sessionFile{tlsprovider.NewClientStore(0, 0), name, make(chan struct{}, 1)}
	b, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, cli.Usagef("--session: %w", err)
	}
	if err := s.UnmarshalBinary(b); err != nil {
		return nil, cli.Usagef("--session %s: %w; delete the file", name, err)
	}
	return s, nil
}

// save writes the file in one step, readable only by the user.
func (s *sessionFile) save() (err error) {
	b, err := s.MarshalBinary()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(s.name), filepath.Base(s.name)+"-*") // mode 0600
	if err != nil {
		return cli.Usagef("--session: %w", err)
	}
	defer func() {
		if err != nil {
			err = cli.Usagef("--session: %w", errors.Join(err, os.Remove(tmp.Name())))
		}
	}()
	if _, err := tmp.Write(b); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), s.name)
}
