package packetkeys_test

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/packetkeys"
)

func block(t *testing.T) cipher.Block {
	t.Helper()
	b, err := aes.NewCipher(make([]byte, 16))
	require.NoError(t, err)
	return b
}

func phase(t *testing.T) packetkeys.Phase {
	t.Helper()
	aead, err := cipher.NewGCM(block(t))
	require.NoError(t, err)
	return packetkeys.Phase{AEAD: aead}
}

func params(t *testing.T) packetkeys.Params {
	t.Helper()
	return packetkeys.Params{First: phase(t), Mask: packetkeys.BlockMask(block(t)), Limit: 1}
}

func TestParamsAreChecked(t *testing.T) {
	shortTag, err := cipher.NewGCMWithTagSize(block(t), 12)
	require.NoError(t, err)
	longNonce, err := cipher.NewGCMWithNonceSize(block(t), 16)
	require.NoError(t, err)
	failing := errors.New("no entropy")
	for name, edit := range map[string]func(p *packetkeys.Params){
		"no AEAD":                      func(p *packetkeys.Params) { p.First.AEAD = nil },
		"no mask":                      func(p *packetkeys.Params) { p.Mask = nil },
		"no limit":                     func(p *packetkeys.Params) { p.Limit = 0 },
		"tag of 12 bytes":              func(p *packetkeys.Params) { p.First.AEAD = shortTag },
		"nonce of 16 bytes":            func(p *packetkeys.Params) { p.First.AEAD = longNonce },
		"12-byte nonce of a counted":   func(p *packetkeys.Params) { p.First.Counted = true },
		"next phase without an AEAD":   func(p *packetkeys.Params) { p.Next = func() (k packetkeys.Phase, err error) { return k, nil } },
		"next phase cannot be derived": func(p *packetkeys.Params) { p.Next = func() (packetkeys.Phase, error) { return phase(t), failing } },
		"tag of 12 bytes in next phase": func(p *packetkeys.Params) {
			p.Next = func() (k packetkeys.Phase, err error) { k.AEAD = shortTag; return }
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := params(t)
			edit(&p)
			s, err := packetkeys.NewSealer(p)
			if p.Next != nil {
				require.NoError(t, err, "a Sealer derives the next phase in Update")
				err = s.Update()
			} else {
				require.Nil(t, s)
			}
			require.Error(t, err)
			o, err := packetkeys.NewOpener(p)
			require.Error(t, err)
			require.Nil(t, o)
		})
	}
}

// TestFailedUpdate checks that keys stay in their phase if an update fails.
func TestFailedUpdate(t *testing.T) {
	p := params(t)
	failing, calls := errors.New("no entropy"), 0
	p.Next = func() (packetkeys.Phase, error) {
		if calls++; calls > 1 { // one for the opener
			return packetkeys.Phase{}, failing
		}
		return phase(t), nil
	}
	s, err := packetkeys.NewSealer(p)
	require.NoError(t, err)
	o, err := packetkeys.NewOpener(p)
	require.NoError(t, err)
	require.ErrorIs(t, s.Update(), failing)
	require.ErrorIs(t, o.Update(0), failing)
	slab := append([]byte("\x43destcid!\x00\x00\x00\x07payload"), make([]byte, tlsprovider.TagLen)...)
	require.NoError(t, s.Seal(slab, []tlsprovider.SealDesc{{HeaderLen: 13, PayloadLen: 7, PacketNumber: 7}}))
	train := []tlsprovider.OpenDesc{{Len: uint32(len(slab)), PNOffset: 9}}
	require.Equal(t, 1, o.Open(slab, train, -1))
	require.Equal(t, tlsprovider.OpenOK, train[0].Status)
}

func TestCloseIsCalledOnce(t *testing.T) {
	p := params(t)
	closed := 0
	p.Close = func() { closed++ }
	s, err := packetkeys.NewSealer(p)
	require.NoError(t, err)
	o, err := packetkeys.NewOpener(p)
	require.NoError(t, err)
	s.Close()
	s.Close()
	require.Equal(t, 1, closed)
	o.Close()
	o.Close()
	require.Equal(t, 2, closed)
	require.Error(t, s.Update())
	require.Error(t, o.Update(0))
}

// sealed returns a packet with the number pn and its descriptor for opening it.
func sealed(t *testing.T, s tlsprovider.Sealer, pn uint64) (slab []byte, open []tlsprovider.OpenDesc, err error) {
	t.Helper()
	slab = append([]byte("\x43destcid!\x00\x00\x00"), byte(pn))
	slab = append(append(slab, "payload"...), make([]byte, tlsprovider.TagLen)...)
	err = s.Seal(slab, []tlsprovider.SealDesc{{HeaderLen: 13, PayloadLen: 7, PacketNumber: pn}})
	return slab, []tlsprovider.OpenDesc{{Len: uint32(len(slab)), PNOffset: 9}}, err
}

// Keys that rest derive again what they have freed, once, and try again later if that fails.
func TestRest(t *testing.T) {
	var failing error
	again := 0
	p := params(t)
	p.Next = func() (packetkeys.Phase, error) { return phase(t), nil }
	p.Again = func() (current, next packetkeys.Phase, mask packetkeys.Mask, err error) {
		again++
		return phase(t), phase(t), packetkeys.BlockMask(block(t)), failing
	}
	s, err := packetkeys.NewSealer(p)
	require.NoError(t, err)
	o, err := packetkeys.NewOpener(p)
	require.NoError(t, err)
	exchange := func(pn uint64) {
		slab, open, err := sealed(t, s, pn)
		require.NoError(t, err)
		require.Equal(t, 1, o.Open(slab, open, int64(pn)-1))
		require.Equal(t, tlsprovider.OpenOK, open[0].Status)
	}
	exchange(0)
	require.Zero(t, again)
	s.(tlsprovider.RestingSealer).Rest()
	o.(tlsprovider.RestingOpener).Rest()
	exchange(1)
	exchange(2)
	require.Equal(t, 2, again)

	slab, open, err := sealed(t, s, 3)
	require.NoError(t, err)
	s.(tlsprovider.RestingSealer).Rest()
	o.(tlsprovider.RestingOpener).Rest()
	failing = errors.New("no entropy")
	_, _, err = sealed(t, s, 4)
	require.Error(t, err)
	require.Error(t, o.Update(4))
	require.Equal(t, 1, o.Open(slab, open, 2))
	require.Equal(t, tlsprovider.OpenFailed, open[0].Status)
	failing = nil
	exchange(5)
}

// A Sealer that rests does not free an AEAD that counts packets, because another one would count from zero.
func TestCountedSealersKeepTheirKey(t *testing.T) {
	counted := &countedAEAD{}
	p := params(t)
	p.First = packetkeys.Phase{AEAD: counted, Counted: true}
	p.Next = func() (packetkeys.Phase, error) { return packetkeys.Phase{}, errors.New("not needed") }
	p.Again = func() (current, next packetkeys.Phase, mask packetkeys.Mask, err error) {
		return packetkeys.Phase{AEAD: new(countedAEAD), Counted: true}, next, packetkeys.BlockMask(block(t)), nil
	}
	s, err := packetkeys.NewSealer(p)
	require.NoError(t, err)
	for pn := range uint64(3) {
		_, _, err := sealed(t, s, pn)
		require.NoError(t, err)
		s.(tlsprovider.RestingSealer).Rest()
	}
	require.Equal(t, 3, counted.seals)
}

// A countedAEAD takes 8-byte nonces, as an AEAD of FIPS 140-3 does, and only counts.
type countedAEAD struct{ seals int }

func (a *countedAEAD) NonceSize() int { return 8 }
func (a *countedAEAD) Overhead() int  { return tlsprovider.TagLen }
func (a *countedAEAD) Seal(dst, _, plaintext, _ []byte) []byte {
	a.seals++
	return append(append(dst, plaintext...), make([]byte, tlsprovider.TagLen)...)
}
func (a *countedAEAD) Open(_, _, _, _ []byte) ([]byte, error) { return nil, errors.New("not needed") }
