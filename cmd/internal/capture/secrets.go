package capture

import (
	"encoding/binary"
	"io"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng).
const (
	blockSection = 0x0a0d0d0a
	blockSecrets = 0x0000000a

	secretsTLS    = 0x544c534b // "TLSK": TLS key log lines
	byteOrderMark = 0x1a2b3c4d

	// maxSecrets bounds the secrets that are kept from one block.
	maxSecrets = 16 << 20
)

// secretsReader copies a pcapng stream and keeps the TLS key log lines of its Decryption Secrets Blocks,
// which pcapgo reads but does not return. Since the reader above it buffers, secrets are known before the
// packets that follow them.
type secretsReader struct {
	r     io.Reader
	order binary.ByteOrder
	head  []byte // of the current block, until its type, length and first words are known
	want  int    // length of head needed for the decision
	left  uint64 // bytes of the current block after head
	keep  uint64 // how many of these are secrets
	found []byte
	lost  bool // the stream is invalid; the rest is only copied
}

func (s *secretsReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if !s.lost {
		s.watch(p[:n])
	}
	return n, err
}

func (s *secretsReader) watch(p []byte) {
	for len(p) > 0 && !s.lost {
		if s.left > 0 {
			n := min(uint64(len(p)), s.left)
			if k := min(n, s.keep); k > 0 {
				s.found = append(s.found, p[:k]...)
				s.keep -= k
			}
			s.left -= n
			p = p[n:]
			continue
		}
		if s.want == 0 {
			s.want = 12
		}
		n := min(s.want-len(s.head), len(p))
		s.head = append(s.head, p[:n]...)
		p = p[n:]
		if len(s.head) == s.want {
			s.block()
		}
	}
}

// block examines a block's first bytes.
func (s *secretsReader) block() {
	if binary.BigEndian.Uint32(s.head) == blockSection {
		s.order = binary.LittleEndian
		if binary.BigEndian.Uint32(s.head[8:]) == byteOrderMark {
			s.order = binary.BigEndian
		}
	}
	if s.order == nil {
		s.lost = true
		return
	}
	kind, length := s.order.Uint32(s.head), uint64(s.order.Uint32(s.head[4:]))
	if kind == blockSecrets && s.want == 12 && length >= 20 {
		s.want = 16 // the length of the secrets follows their type
		return
	}
	if length < uint64(len(s.head)) || length%4 != 0 {
		s.lost = true
		return
	}
	s.left = length - uint64(len(s.head))
	if s.want == 16 && s.order.Uint32(s.head[8:]) == secretsTLS {
		s.keep = min(uint64(s.order.Uint32(s.head[12:])), s.left, uint64(max(0, maxSecrets-len(s.found))))
	} else {
		s.keep = 0
	}
	s.head, s.want = s.head[:0], 0
}
