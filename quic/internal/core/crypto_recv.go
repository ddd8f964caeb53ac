package core

import (
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// How many bytes of CRYPTO beyond those that TLS has consumed are buffered at each level. The buffer is
// bounded, not the offset: a certificate chain of 40 KB passes through.
//
// "Implementations MUST support buffering at least 4096 bytes of data received in out-of-order
// CRYPTO frames."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.5-2
const (
	maxInitialCrypto   = 16 << 10
	maxHandshakeCrypto = 64 << 10
	maxAppCrypto       = 16 << 10

	// maxCryptoGaps bounds the work per frame. A flight of 64 KiB in packets, every other one of
	// them lost, has fewer gaps, and so has a ClientHello in shuffled pieces.
	maxCryptoGaps = 128
)

// cryptoRecv is the receiving half of one level's CRYPTO stream.
type cryptoRecv struct {
	limit int64
	base  int64  // TLS has consumed everything below
	buf   []byte // from base on; with holes
	have  recovery.RangeSet[int64]
}

// receive stores a frame. It returns false if that exceeds the bounds.
func (r *cryptoRecv) receive(f wire.Crypto) bool {
	start, end := int64(f.Offset), int64(f.Offset)+int64(len(f.Data))
	if end <= r.base {
		return true
	}
	if end-r.base > r.limit {
		return false
	}
	data := f.Data
	if start < r.base {
		data = data[r.base-start:]
		start = r.base
	}
	if need := int(end - r.base); need > len(r.buf) {
		r.grow(need)
	}
	copy(r.buf[start-r.base:], data)
	if start < end {
		r.have.Add(start, end)
	}
	return r.have.NumRanges() <= maxCryptoGaps
}

func (r *cryptoRecv) grow(n int) {
	if n > cap(r.buf) {
		r.buf = append(make([]byte, 0, max(n, min(2*cap(r.buf), int(r.limit)))), r.buf...)
	}
	r.buf = r.buf[:n]
}

// ready reports whether bytes can go to TLS.
func (r *cryptoRecv) ready() bool {
	return r.have.NumRanges() > 0 && r.have.Range(0).Start == r.base
}

// take copies the contiguous bytes out.
func (r *cryptoRecv) take() []byte {
	if !r.ready() {
		return nil
	}
	end := r.have.Range(0).End
	n := int(end - r.base)
	out := append([]byte(nil), r.buf[:n]...)
	r.have.Sub(r.base, end)
	r.base = end
	if rest := copy(r.buf, r.buf[n:]); rest > 0 {
		r.buf = r.buf[:rest]
	} else {
		r.buf = nil
	}
	return out
}

// buffered is the number of bytes held.
func (r *cryptoRecv) buffered() int { return len(r.buf) }
