package fake

import (
	"encoding/binary"
	"errors"

	"github.com/pqquic/pqquic/tlsprovider"
)

// initialSecret returns the secret for the Initial packets that one side sends.
func initialSecret(version uint32, dcid []byte, from tlsprovider.Side) uint64 {
	return mum(sum(mum(m1, uint64(version)), dcid), uint64(from)+1)
}

// OpenInitial implements tlsprovider.Provider.
func (p *Provider) OpenInitial(version uint32, dcid, pkt []byte, pnOffset int) (out tlsprovider.InitialPacket, ok bool) {
	if !knownVersion(version) || pnOffset < 1 || len(pkt) < pnOffset+4+tlsprovider.SampleLen || pkt[0]&0x80 == 0 {
		return out, false
	}
	secret := initialSecret(version, dcid, tlsprovider.Client)
	d := tlsprovider.OpenDesc{Len: uint32(len(pkt)), PNOffset: uint32(pnOffset)}
	unmask(pkt, headerKey(secret), &d, -1)
	if !check(phaseKey(secret, 0), pkt, &d) {
		return out, false
	}
	return tlsprovider.InitialPacket{PacketNumber: d.PacketNumber, HeaderLen: int(d.HeaderLen),
		PayloadLen: int(d.PayloadLen)}, true
}

// InitialKeys implements tlsprovider.Provider.
func (p *Provider) InitialKeys(version uint32, dcid []byte, side tlsprovider.Side) (tlsprovider.Keys, error) {
	if !knownVersion(version) {
		return tlsprovider.Keys{}, errVersion
	}
	return tlsprovider.Keys{
		Sealer: p.newSealer(initialSecret(version, dcid, side), false),
		Opener: p.newOpener(initialSecret(version, dcid, side.Peer()), false),
	}, nil
}

// RetryTag implements tlsprovider.Provider.
func (p *Provider) RetryTag(version uint32, originalDCID, retry []byte) (tag [16]byte, err error) {
	if !knownVersion(version) {
		return tag, errVersion
	}
	fill(tag[:], sum(sum(mum(m2, uint64(version)), originalDCID), retry))
	return tag, nil
}

var errShortSecret = errors.New("fake: the secret must have at least 32 bytes")

type tokenKey struct {
	p   *Provider
	key uint64
}

// NewTokenKey implements tlsprovider.Provider.
func (p *Provider) NewTokenKey(secret []byte) (tlsprovider.TokenKey, error) {
	if len(secret) < 32 {
		return nil, errShortSecret
	}
	return &tokenKey{p, sum(m0, secret)}, nil
}

const tokenOverhead = 8 + 16 // nonce, tag

func (k *tokenKey) tag(nonce uint64, plaintext, aad []byte) (tag [16]byte) {
	fill(tag[:], sum(sum(mum(k.key, nonce), plaintext), aad))
	return tag
}

func (k *tokenKey) Seal(dst, plaintext, aad []byte) ([]byte, error) {
	nonce := k.p.next()
	tag := k.tag(nonce, plaintext, aad)
	dst = binary.BigEndian.AppendUint64(dst, nonce)
	dst = append(dst, plaintext...)
	return append(dst, tag[:]...), nil
}

func (k *tokenKey) Open(dst, sealed, aad []byte) ([]byte, bool) {
	if len(sealed) < tokenOverhead {
		return dst, false
	}
	body := sealed[8 : len(sealed)-16]
	if k.tag(binary.BigEndian.Uint64(sealed), body, aad) != [16]byte(sealed[len(sealed)-16:]) {
		return dst, false
	}
	return append(dst, body...), true
}

func (k *tokenKey) Close() {}

type resetKey struct{ key uint64 }

// NewResetKey implements tlsprovider.Provider.
func (p *Provider) NewResetKey(secret []byte) (tlsprovider.ResetKey, error) {
	if len(secret) < 32 {
		return nil, errShortSecret
	}
	return resetKey{sum(m1, secret)}, nil
}

func (k resetKey) Token(connID []byte) (token [16]byte) {
	fill(token[:], sum(k.key, connID))
	return token
}

func (k resetKey) Close() {}
