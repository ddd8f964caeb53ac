package streams

import "sync"

// Buffers hold what a handshake receives and sends: datagrams of a ClientHello and CRYPTO data. They are pooled, because
// a post-quantum handshake needs three times as much of them as another one, and because the garbage of short
// connections costs more than their packets. (The workload tls of bench/peers shows the difference.) They are not cleared
// between uses, as chunks are not, and they never hold keys.
const (
	smallBuffer = 1536 // a datagram, a ClientHello or a ServerHello with ML-KEM-768
	largeBuffer = 4096 // a server's flight with a chain of two ECDSA certificates
)

var (
	smallBuffers sync.Pool // of *[smallBuffer]byte
	largeBuffers sync.Pool // of *[largeBuffer]byte
)

// NewBuffer returns an empty buffer with room for n bytes. It is pooled if n is at most largeBuffer.
func NewBuffer(n int) []byte {
	switch {
	case n <= smallBuffer:
		if b, ok := smallBuffers.Get().(*[smallBuffer]byte); ok {
			return b[:0]
		}
		return make([]byte, 0, smallBuffer)
	case n <= largeBuffer:
		if b, ok := largeBuffers.Get().(*[largeBuffer]byte); ok {
			return b[:0]
		}
		return make([]byte, 0, largeBuffer)
	}
	return make([]byte, 0, n)
}

// FreeBuffer returns the memory of a buffer to its pool. Nothing may refer to it any more. It does nothing with memory of
// another size.
func FreeBuffer(b []byte) {
	switch cap(b) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(b[:smallBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(b[:largeBuffer]))
	}
}

// GrowBuffer returns a buffer with room for n bytes and the contents of b, which it frees if it returns another.
func GrowBuffer(b []byte, n int) []byte {
	if n <= cap(b) {
		return b
	}
	grown := append(NewBuffer(n), b...)
	FreeBuffer(b)
	return grown
}
