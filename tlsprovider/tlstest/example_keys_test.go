package tlstest_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/packetkeys"
)

// A secret is one direction's traffic secret. Its keys follow from it (RFC 9001, 5.1).
type secret struct {
	suite tlsprovider.CipherSuite
	bytes []byte
}

func (s *secret) hash() hash.Hash {
	if s.suite == tlsprovider.AES256GCM {
		return sha512.New384()
	}
	return sha256.New()
}

// expand is HKDF-Expand-Label (RFC 8446, 7.1). Its only errors are wrong lengths.
func (s *secret) expand(label string, n int) []byte {
	label = "tls13 " + label
	info := string([]byte{byte(n >> 8), byte(n), byte(len(label))}) + label + "\x00"
	out, err := hkdf.Expand(s.hash, s.bytes, info, n)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return out
}

func (s *secret) keyLen() int {
	if s.suite == tlsprovider.AES128GCM {
		return 16
	}
	return 32
}

func (s *secret) phase() (k packetkeys.Phase, err error) {
	key := s.expand("quic key", s.keyLen())
	copy(k.IV[:], s.expand("quic iv", len(k.IV)))
	if s.suite == tlsprovider.ChaCha20Poly1305 {
		k.AEAD, err = chacha20poly1305.New(key)
		return k, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return k, err
	}
	k.AEAD, err = cipher.NewGCM(block)
	return k, err
}

func (s *secret) mask() (packetkeys.Mask, error) {
	key := s.expand("quic hp", s.keyLen())
	if s.suite == tlsprovider.ChaCha20Poly1305 {
		return func(mask *[16]byte, sample []byte) {
			*mask = [16]byte{}
			if c, err := chacha20.NewUnauthenticatedCipher(key, sample[4:]); err == nil { // the lengths are right
				c.SetCounter(binary.LittleEndian.Uint32(sample))
				c.XORKeyStream(mask[:], mask[:])
			}
		}, nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return packetkeys.BlockMask(block), nil
}

// params returns what packetkeys needs. 1-RTT keys can be updated.
func (p *provider) params(s *secret, limit uint64, app bool) (out packetkeys.Params, err error) {
	if out.First, err = s.phase(); err != nil {
		return out, err
	}
	if out.Mask, err = s.mask(); err != nil {
		return out, err
	}
	out.Limit, out.Close = limit, func() { p.live.Add(-1) }
	if app {
		now := *s
		out.Next = func() (packetkeys.Phase, error) {
			now.bytes = now.expand("quic ku", len(now.bytes))
			return now.phase()
		}
	}
	return out, nil
}

// keys makes the keys of both directions, of which either may be nil.
func (p *provider) keys(read, write *secret, app bool) (k tlsprovider.Keys, err error) {
	if write != nil {
		params, err := p.params(write, packetkeys.SealLimit(write.suite), app)
		if err != nil {
			return k, err
		}
		if k.Sealer, err = packetkeys.NewSealer(params); err != nil {
			return tlsprovider.Keys{}, err
		}
		p.live.Add(1)
	}
	if read != nil {
		params, err := p.params(read, packetkeys.OpenLimit(read.suite), app)
		if err == nil {
			k.Opener, err = packetkeys.NewOpener(params)
		}
		if err != nil {
			k.Opener = nil
			k.Close()
			return tlsprovider.Keys{}, err
		}
		p.live.Add(1)
	}
	return k, nil
}

func (s *session) TakeKeys(level tlsprovider.Level, version uint32) (tlsprovider.Keys, error) {
	if s.failed == errClosed || version != 1 {
		return tlsprovider.Keys{}, errors.New("example: TakeKeys after Close, or for another version than 1")
	}
	k, err := s.e.p.keys(s.secrets[level][0], s.secrets[level][1], level == tlsprovider.LevelApp)
	s.secrets[level] = [2]*secret{}
	return k, err
}

// initialSecret returns the secret of the Initial packets that a side sends (RFC 9001, 5.2).
func initialSecret(version uint32, dcid []byte, side tlsprovider.Side) (*secret, error) {
	if version != 1 || len(dcid) > 20 {
		return nil, fmt.Errorf("example: no Initial keys for version %#x and a connection ID of %d bytes", version, len(dcid))
	}
	salt := []byte("\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a")
	b, err := hkdf.Extract(sha256.New, dcid, salt)
	if err != nil {
		return nil, err
	}
	common := &secret{tlsprovider.AES128GCM, b}
	return &secret{tlsprovider.AES128GCM, common.expand(side.String()+" in", sha256.Size)}, nil
}

func (p *provider) InitialKeys(version uint32, dcid []byte, side tlsprovider.Side) (tlsprovider.Keys, error) {
	write, err := initialSecret(version, dcid, side)
	if err != nil {
		return tlsprovider.Keys{}, err
	}
	read, err := initialSecret(version, dcid, side.Peer())
	if err != nil {
		return tlsprovider.Keys{}, err
	}
	return p.keys(read, write, false)
}

func (p *provider) OpenInitial(version uint32, dcid, pkt []byte, pnOffset int) (out tlsprovider.InitialPacket, ok bool) {
	s, err := initialSecret(version, dcid, tlsprovider.Client)
	if err != nil {
		return out, false
	}
	key, err := s.phase()
	if err != nil {
		return out, false
	}
	mask, err := s.mask()
	if err != nil {
		return out, false
	}
	return packetkeys.OpenInitial(key, mask, pkt, pnOffset)
}

// RetryTag seals nothing, with the Retry Pseudo-Packet as associated data (RFC 9001, 5.8).
func (p *provider) RetryTag(version uint32, originalDCID, retry []byte) (tag [16]byte, err error) {
	if version != 1 || len(originalDCID) > 20 {
		return tag, fmt.Errorf("example: no Retry tag for version %#x and a connection ID of %d bytes", version, len(originalDCID))
	}
	block, err := aes.NewCipher([]byte("\xbe\x0c\x69\x0b\x9f\x66\x57\x5a\x1d\x76\x6b\x54\xe3\x68\xc8\x4e"))
	if err != nil {
		return tag, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return tag, err
	}
	pseudo := append(append([]byte{byte(len(originalDCID))}, originalDCID...), retry...)
	aead.Seal(tag[:0], []byte("\x46\x15\x99\xd3\x5d\x63\x2b\xf2\x23\x98\x25\xbb"), nil, pseudo)
	return tag, nil
}

type tokenKey struct{ cipher.AEAD }

func (p *provider) NewTokenKey(secret []byte) (tlsprovider.TokenKey, error) {
	key, err := derive(secret, "example token key")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return tokenKey{aead}, err
}

// derive makes a key from a secret that the program supplies.
func derive(secret []byte, label string) ([]byte, error) {
	if len(secret) < 32 {
		return nil, fmt.Errorf("example: a secret of %d bytes; it needs 32", len(secret))
	}
	return hkdf.Key(sha256.New, secret, nil, label, 32)
}

func (k tokenKey) Seal(dst, plaintext, aad []byte) ([]byte, error) {
	return k.AEAD.Seal(dst, nil, plaintext, aad), nil
}

func (k tokenKey) Open(dst, sealed, aad []byte) ([]byte, bool) {
	out, err := k.AEAD.Open(dst, nil, sealed, aad)
	return out, err == nil
}

func (k tokenKey) Close() {}

type resetKey []byte

func (p *provider) NewResetKey(secret []byte) (tlsprovider.ResetKey, error) {
	key, err := derive(secret, "example reset key")
	return resetKey(key), err
}

func (k resetKey) Token(connID []byte) [16]byte {
	h := hmac.New(sha256.New, k)
	h.Write(connID)
	return [16]byte(h.Sum(nil))
}

func (k resetKey) Close() {}
