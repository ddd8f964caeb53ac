package fake

import (
	"encoding/hex"
	"errors"
	"io"

	"github.com/pqquic/pqquic/tlsprovider"
)

// secret returns the secret for the packets that one side sends at a level.
func (s *session) secret(level tlsprovider.Level, from tlsprovider.Side, version uint32) uint64 {
	base := s.handshake
	if level == tlsprovider.LevelApp {
		base = s.app
	}
	return mum(mum(base, uint64(from)+1), uint64(version))
}

// TakeKeys implements tlsprovider.Session.
func (s *session) TakeKeys(level tlsprovider.Level, version uint32) (k tlsprovider.Keys, err error) {
	s.enter(s.p, "Session")
	defer s.leave()
	switch {
	case s.closed:
		return k, s.p.misuse("TakeKeys after Close")
	case s.failed != nil:
		return k, s.failed
	case !knownVersion(version):
		return k, errVersion
	case level > tlsprovider.LevelApp:
		return k, s.p.misuse("TakeKeys of level %d", level)
	}
	app := level == tlsprovider.LevelApp
	if s.ready[level][0] {
		k.Sealer = s.p.newSealer(s.secret(level, s.side, version), app)
	}
	if s.ready[level][1] {
		k.Opener = s.p.newOpener(s.secret(level, s.side.Peer(), version), app)
	}
	s.ready[level] = [2]bool{}
	return k, nil
}

// Export implements tlsprovider.Session.
func (s *session) Export(label string, context []byte, length int) ([]byte, error) {
	s.enter(s.p, "Session")
	defer s.leave()
	switch {
	case s.closed:
		return nil, s.p.misuse("Export after Close")
	case s.state != done || s.failed != nil:
		return nil, errors.New("fake: the handshake is not complete")
	case length <= 0 || length > 255*32:
		return nil, errors.New("fake: length out of bounds")
	}
	out := make([]byte, length)
	fill(out, sum(sum(mum(s.app, m2), []byte(label)), context))
	return out, nil
}

// keyLog writes a secret in the format of SSLKEYLOGFILE, extended to the length of a real one.
func (s *session) keyLog(label string, secret uint64) error {
	w := s.ep.cfg.KeyLogWriter
	if w == nil {
		return nil
	}
	var random, value [32]byte
	if s.side == tlsprovider.Client {
		fill(random[:], s.random)
	} else {
		copy(random[:], s.hello.Random)
	}
	fill(value[:], secret)
	line := label + " " + hex.EncodeToString(random[:]) + " " + hex.EncodeToString(value[:]) + "\n"
	err := tlsprovider.Guard("Config.KeyLogWriter", func() error {
		_, err := io.WriteString(w, line)
		return err
	})
	if err != nil {
		return s.fail(tlsprovider.AlertInternalError, "key log: %w", err)
	}
	return nil
}
