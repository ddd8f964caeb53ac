// Package packetkeys implements the Sealer and the Opener of a TLS provider on an AEAD and a function that
// makes header protection masks. It is for authors of providers: they supply the cryptography, and this
// package adds trains of packets, packet numbers, key phases and the checks of RFC 9001.
package packetkeys

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"

	"github.com/pqquic/pqquic/tlsprovider"
)

var (
	errDesc   = errors.New("packetkeys: Seal: invalid descriptor, or a packet number that does not increase")
	errUpdate = errors.New("packetkeys: Update: only 1-RTT keys can be updated")
	errRest   = errors.New("packetkeys: the keys cannot be derived again after a rest")
	errClosed = errors.New("packetkeys: the keys are closed")
	errPhase  = errors.New("packetkeys: a key phase has no AEAD, an AEAD with a tag other than 16 bytes, or one with a nonce of a wrong length")
	errParams = errors.New("packetkeys: Params without a Mask or without a limit")
)

// A Phase protects the payloads of one direction in one key phase.
type Phase struct {
	// AEAD is the cipher with the key of the phase. Its tags have 16 bytes. Its nonces have 12 bytes, or 8
	// if it is Counted.
	AEAD cipher.AEAD
	// IV is combined with each packet number to form a nonce (RFC 9001, 5.3). It is not used if the AEAD is
	// Counted.
	IV [12]byte
	// Counted describes an AEAD as FIPS 140-3 requires it. Its nonce is the packet number in 8 bytes; it
	// applies the IV itself, treats the number of its first seal as 0, and requires that numbers increase.
	Counted bool

	primed bool // a Counted AEAD has sealed its first packet
}

// A Mask writes the header protection mask for a sample of 16 bytes (RFC 9001, 5.4). The first five bytes of
// mask count.
type Mask func(mask *[16]byte, sample []byte)

// BlockMask returns the Mask of a block cipher, such as AES with the header protection key (RFC 9001, 5.4.3).
func BlockMask(b cipher.Block) Mask {
	return func(mask *[16]byte, sample []byte) { b.Encrypt(mask[:], sample) }
}

// Params describe the keys of one direction.
type Params struct {
	// First is the first key phase, which is the only one of Initial and Handshake keys.
	First Phase
	// Mask computes header protection masks. It is the same in all phases.
	Mask Mask
	// Next derives the phase after the one that it returned last, or after First (RFC 9001, 6.1). It is nil
	// for keys that are not 1-RTT keys. An Opener calls it in advance, so that the first packet of a key
	// update takes no longer than any other; a Sealer calls it in Update.
	Next func() (Phase, error)
	// Again derives once more what keys free when they rest (tlsprovider.RestingOpener and RestingSealer): the
	// phase in use, for an Opener also the phase that Next returned last, and the Mask. The phase in use is the
	// one that Next returned last for a Sealer, and the one before that for an Opener. If Again is nil, keys do
	// not rest.
	Again func() (current, next Phase, mask Mask, err error)
	// Limit is the number of packets after which the keys must no longer be used (RFC 9001, 6.6): those that
	// one phase of a Sealer may seal, or that may fail to open in all phases of an Opener. [SealLimit] and
	// [OpenLimit] return it for a cipher suite.
	Limit uint64
	// Close is called once, when the keys are closed. It may be nil.
	Close func()
}

// SealLimit returns the confidentiality limit of a cipher suite.
//
// "For AEAD_AES_128_GCM and AEAD_AES_256_GCM, the confidentiality limit is 2^23 encrypted
// packets; see Appendix B.1.  For AEAD_CHACHA20_POLY1305, the confidentiality limit is greater
// than the number of possible packets (2^62) and so can be disregarded."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-5
func SealLimit(suite tlsprovider.CipherSuite) uint64 {
	if suite == tlsprovider.ChaCha20Poly1305 {
		return 1 << 62
	}
	return 1 << 23
}

// OpenLimit returns the integrity limit of a cipher suite.
//
// "For AEAD_AES_128_GCM and AEAD_AES_256_GCM, the integrity limit is 2^52 invalid packets; see
// Appendix B.1.  For AEAD_CHACHA20_POLY1305, the integrity limit is 2^36 invalid packets [...]"
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-7
func OpenLimit(suite tlsprovider.CipherSuite) uint64 {
	if suite == tlsprovider.ChaCha20Poly1305 {
		return 1 << 36
	}
	return 1 << 52
}

func (p *Params) check() error {
	if p.Mask == nil || p.Limit == 0 {
		return errParams
	}
	return p.First.check()
}

// A source is the part of Params that keys need later.
type source struct {
	next  func() (Phase, error)
	again func() (current, next Phase, mask Mask, err error)
	limit uint64
	done  func() // Params.Close
}

func (p *Params) source() source { return source{p.Next, p.Again, p.Limit, p.Close} }

// derive returns the phase after the one that it returned last.
func (s *source) derive() (Phase, error) {
	k, err := s.next()
	if err != nil {
		return Phase{}, err
	}
	return k, k.check()
}

func (s *source) close() {
	if s.done != nil {
		s.done()
	}
	*s = source{}
}

func (k *Phase) check() error {
	nonce := len(k.IV)
	if k.Counted {
		nonce = 8
	}
	if k.AEAD == nil || k.AEAD.Overhead() != tlsprovider.TagLen || k.AEAD.NonceSize() != nonce {
		return errPhase
	}
	return nil
}

// nonce returns the XOR of the IV and the packet number (RFC 9001, 5.3).
func (k *Phase) nonce(buf *[12]byte, pn uint64) []byte {
	if k.Counted {
		binary.BigEndian.PutUint64(buf[:], pn)
		return buf[:8]
	}
	*buf = k.IV
	binary.BigEndian.PutUint64(buf[4:], binary.BigEndian.Uint64(buf[4:])^pn)
	return buf[:]
}

// prime makes a Counted AEAD count from 0. QUIC's packet numbers do not start at 0 after a key update or a
// Retry, so the AEAD first seals an empty plaintext with the number 0, and prime drops the result.
func (k *Phase) prime(buf *[12]byte, pn uint64) {
	if k.Counted && !k.primed {
		k.primed = true
		if pn != 0 {
			k.AEAD.Seal(nil, k.nonce(buf, 0), nil, nil)
		}
	}
}

// A header applies and removes header protection (RFC 9001, 5.4).
type header struct {
	make Mask
	mask [16]byte
}

// protect masks or unmasks the first byte. The rest of the mask, for the packet number, stays in h.mask.
func (h *header) protect(first *byte, sample []byte) {
	h.make(&h.mask, sample)
	if *first&0x80 != 0 {
		*first ^= h.mask[0] & 0x0f
	} else {
		*first ^= h.mask[0] & 0x1f
	}
}

// unmask applies the rest of the mask to a packet number.
func (h *header) unmask(pn []byte) {
	for i := range pn {
		pn[i] ^= h.mask[1+i]
	}
}
