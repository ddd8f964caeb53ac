package native

import (
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/packetkeys"
)

// keyParams are the inputs from which the keys of one direction are derived.
type keyParams struct {
	id       tlsprovider.CipherSuite
	version  *version
	secret   []byte
	app      bool // 1-RTT keys, which can be updated
	opens    bool // keys of an Opener
	approved bool
}

func newSealer(live *counters, p keyParams) (tlsprovider.Sealer, error) {
	return newKey(live, p, packetkeys.SealLimit(p.id), packetkeys.NewSealer)
}

func newOpener(live *counters, p keyParams) (tlsprovider.Opener, error) {
	p.opens = true
	return newKey(live, p, packetkeys.OpenLimit(p.id), packetkeys.NewOpener)
}

// newKey makes a Sealer or an Opener and counts it.
func newKey[K any](live *counters, p keyParams, limit uint64, make func(packetkeys.Params) (K, error)) (key K, err error) {
	params, err := p.packetKeys(live)
	if err != nil {
		return key, err
	}
	params.Limit = limit
	if key, err = make(params); err == nil {
		live.keys.Add(1)
	}
	return key, err
}

// packetKeys returns the parameters of the keys, without Limit.
func (p keyParams) packetKeys(live *counters) (out packetkeys.Params, err error) {
	su := suites[p.id]
	if out.First, err = newPhase(su, p.version, p.secret, p.approved); err != nil {
		return out, err
	}
	hp, err := headerKey(su, p.version, p.secret)
	if err != nil {
		return out, err
	}
	defer clear(hp)
	if out.Mask, err = newMask(su, hp); err != nil {
		return out, err
	}
	if !p.app {
		out.Close = func() { live.keys.Add(-1) }
		return out, nil
	}
	s := &schedule{suite: su, version: p.version, opens: p.opens, live: live}
	copy(s.header[:], hp)
	copy(s.last[:], p.secret)
	out.Next, out.Again, out.Close = s.next, s.again, s.close
	return out, nil
}

// maxHashLen is the length of the longest traffic secret.
const maxHashLen = 48

// A schedule derives the 1-RTT keys of one direction: one phase after another (RFC 9001, 6.1), and once more after a
// rest. While the keys rest it is all that is left of them.
type schedule struct {
	suite   *suite
	version *version
	live    *counters
	opens   bool
	header  [32]byte         // header protection key
	last    [maxHashLen]byte // secret of the last phase that next returned, or of the first phase
	before  [maxHashLen]byte // secret of the phase before that
}

// next derives the keys of the next phase.
func (s *schedule) next() (packetkeys.Phase, error) {
	secret, err := expandLabel(s.suite, s.last[:s.suite.hashLen], s.version.ku, s.suite.hashLen)
	if err != nil {
		return packetkeys.Phase{}, err
	}
	var following [maxHashLen]byte
	copy(following[:], secret)
	clear(secret)
	k, err := s.phase(&following)
	if err == nil {
		s.before, s.last = s.last, following
	}
	return k, err
}

func (s *schedule) phase(secret *[maxHashLen]byte) (packetkeys.Phase, error) {
	return newPhase(s.suite, s.version, secret[:s.suite.hashLen], true)
}

// again derives keys once more, as packetkeys.Params.Again describes.
func (s *schedule) again() (current, next packetkeys.Phase, mask packetkeys.Mask, err error) {
	if mask, err = newMask(s.suite, s.header[:s.suite.keyLen]); err != nil {
		return current, next, nil, err
	}
	if !s.opens {
		current, err = s.phase(&s.last)
		return current, next, mask, err
	}
	if current, err = s.phase(&s.before); err == nil {
		next, err = s.phase(&s.last)
	}
	return current, next, mask, err
}

func (s *schedule) close() {
	clear(s.header[:])
	clear(s.last[:])
	clear(s.before[:])
	s.live.keys.Add(-1)
}
