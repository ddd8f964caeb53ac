package core

import (
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// The maximum amount of CRYPTO data, beyond what TLS has consumed, that is buffered at each level. The
// limit applies to the buffer and not to the offset, so a certificate chain of 40 KB can pass through.
//
// "Implementations MUST support buffering at least 4096 bytes of data received in out-of-order
// CRYPTO frames."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.5-2
const (
	maxInitialCrypto   = 16 << 10
	maxHandshakeCrypto = 64 << 10
	maxAppCrypto       = 16 << 10

	// maxCryptoGaps bounds the work per frame. A flight of 64 KiB with every other packet lost has fewer
	// gaps, and so has a ClientHello in shuffled pieces.
	maxCryptoGaps = 128
)

// cryptoRecv is the receiving side of one level's CRYPTO stream.
type cryptoRecv struct {
	limit int64
	base  int64  // TLS has consumed everything below this offset
	buf   []byte // a streams.Buffer with the data from base on, with gaps
	have  recovery.RangeSet[int64]
}

// receive stores the data of a frame. It returns false if a limit is exceeded.
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
		r.buf = streams.GrowBuffer(r.buf, max(n, min(2*cap(r.buf), int(r.limit))))
	}
	r.buf = r.buf[:n]
}

// ready reports whether there is data for TLS.
func (r *cryptoRecv) ready() bool {
	return r.have.NumRanges() > 0 && r.have.Range(0).Start == r.base
}

// take removes the contiguous data at the front and returns it. The caller owns it and frees it by streams.FreeBuffer.
func (r *cryptoRecv) take() []byte {
	if !r.ready() {
		return nil
	}
	end := r.have.Range(0).End
	n := int(end - r.base)
	r.have.Sub(r.base, end)
	r.base = end
	out, rest := r.buf[:n], r.buf[n:]
	r.buf = nil
	if len(rest) > 0 { // data behind a gap
		r.buf = append(streams.NewBuffer(len(rest)), rest...)
	}
	return out
}

// buffered returns the size of the buffer in bytes.
func (r *cryptoRecv) buffered() int { return len(r.buf) }
