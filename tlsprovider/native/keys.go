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
	approved bool
}

func newSealer(live *counters, p keyParams) (tlsprovider.Sealer, error) {
	return newKey(live, p, packetkeys.SealLimit(p.id), packetkeys.NewSealer)
}

func newOpener(live *counters, p keyParams) (tlsprovider.Opener, error) {
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
	if out.Mask, err = newMask(su, p.version, p.secret); err != nil {
		return out, err
	}
	out.Close = func() { live.keys.Add(-1) }
	if p.app {
		u := &updates{suite: su, version: p.version, secret: append([]byte(nil), p.secret...)}
		out.Next, out.Again = u.next, u.again
		out.Close = func() { clear(u.secret); live.keys.Add(-1) }
	}
	return out, nil
}

// updates derives the keys of one phase after another (RFC 9001, 6.1).
type updates struct {
	suite   *suite
	version *version
	secret  []byte // of the last phase that next returned
}

func (u *updates) next() (packetkeys.Phase, error) {
	secret, err := expandLabel(u.suite.hash, u.secret, u.version.ku, u.suite.hash().Size())
	if err != nil {
		return packetkeys.Phase{}, err
	}
	clear(u.secret)
	u.secret = secret
	return u.again()
}

// again derives the keys of the phase that next returned last.
func (u *updates) again() (packetkeys.Phase, error) {
	return newPhase(u.suite, u.version, u.secret, true)
}
