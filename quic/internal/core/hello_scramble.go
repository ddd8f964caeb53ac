package core

import (
	"encoding/binary"

	"github.com/pqquic/pqquic/quic/internal/recovery"
)

// Scrambled ClientHellos
//
// Initial packets can be read by everyone, and there are middleboxes that find the server's name in them. Those that
// expect the name in one piece in the first packet become a rule for all clients sooner or later. A client therefore cuts
// its ClientHello within the name, and within the type of the encrypted_client_hello extension, and sends what is behind
// the last cut first. No frame contains the name then, and if the ClientHello takes several datagrams, usually none of
// them does. This hides nothing from those who put the pieces together. docs/real-networks.md has the details.

const (
	extServerName           = 0
	extEncryptedClientHello = 0xfe0d
)

// helloCuts are offsets in a CRYPTO stream at which frames end, in ascending order; 0 stands for none.
type helloCuts [2]int64

// scramble returns where to cut a ClientHello that begins at an offset of its stream. random chooses the place within the
// name.
func scramble(hello []byte, base int64, random byte) (cuts helloCuts) {
	helloExtensions(hello, func(id uint16, start, end int) {
		at := 0
		switch id {
		case extServerName:
			// The name follows the length of the list, the type of the name, and its length.
			if start += 2 + 1 + 2; end-start >= 2 {
				at = start + 1 + int(random)%(end-start-1)
			}
		case extEncryptedClientHello:
			at = start - 3 // between the two bytes of the type
		}
		if at > 0 { // extensions come in ascending order
			cuts = helloCuts{cuts[1], base + int64(at)}
		}
	})
	return cuts
}

// helloExtensions calls f for each extension of a ClientHello, with the offsets of its contents. It stops where the
// message is incomplete or malformed: TLS has made it, so it is neither.
func helloExtensions(b []byte, f func(id uint16, start, end int)) {
	at := 4 + 2 + 32                      // type and length, legacy_version, random
	for _, size := range []int{1, 2, 1} { // legacy_session_id, cipher_suites, legacy_compression_methods
		if at = skipVector(b, at, size); at < 0 {
			return
		}
	}
	for at += 2; at+4 <= len(b); {
		start := at + 4
		end := start + int(binary.BigEndian.Uint16(b[at+2:]))
		if end > len(b) {
			return
		}
		f(binary.BigEndian.Uint16(b[at:]), start, end)
		at = end
	}
}

// skipVector returns the offset behind a vector whose length takes size bytes, or -1.
func skipVector(b []byte, at, size int) int {
	if at+size > len(b) {
		return -1
	}
	n := int(b[at])
	if size == 2 {
		n = int(binary.BigEndian.Uint16(b[at:]))
	}
	return at + size + n
}

// next returns the pending range to send next. It crosses no cut. What is behind the last cut comes first.
func (s *cryptoSend) next() recovery.Range[int64] {
	if s.cuts == (helloCuts{}) {
		return s.pending.Range(0)
	}
	end := s.pending.End()
	for _, cut := range [...]int64{s.cuts[1], s.cuts[0], 0} {
		for i := range s.pending.NumRanges() {
			r := s.pending.Range(i)
			if r = (recovery.Range[int64]{Start: max(r.Start, cut), End: min(r.End, end)}); r.Start < r.End {
				return r
			}
		}
		end = cut
	}
	return s.pending.Range(0)
}
