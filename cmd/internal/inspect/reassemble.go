package inspect

import (
	"errors"
	"slices"
)

// maxPieces bounds the gaps of a stream.
const maxPieces = 512

var errStream = errors.New("too much data out of order")

// stream reassembles a byte stream from pieces that arrive split, reordered and duplicated.
type stream struct {
	head   []byte  // contiguous bytes from the start
	pieces []piece // by offset, beyond head; they may overlap
	waits  int     // bytes in pieces
	limit  int     // of head and pieces together
}

type piece struct {
	off  uint64
	data []byte
}

// size returns the bytes that the stream holds in memory.
func (s *stream) size() int { return len(s.head) + s.waits }

// add adds data at offset off.
func (s *stream) add(off uint64, data []byte) error {
	if end := off + uint64(len(data)); end <= uint64(len(s.head)) || len(data) == 0 {
		return nil
	}
	if off > uint64(len(s.head)) {
		return s.keep(off, data)
	}
	if s.size()+len(data) > s.limit {
		return errStream
	}
	s.head = append(s.head, data[uint64(len(s.head))-off:]...)
	n := 0
	for _, p := range s.pieces {
		if p.off > uint64(len(s.head)) {
			break
		}
		if end := p.off + uint64(len(p.data)); end > uint64(len(s.head)) {
			s.head = append(s.head, p.data[uint64(len(s.head))-p.off:]...)
		}
		s.waits -= len(p.data)
		n++
	}
	s.pieces = slices.Delete(s.pieces, 0, n)
	return nil
}

// keep stores a piece that follows a gap.
func (s *stream) keep(off uint64, data []byte) error {
	i, found := slices.BinarySearchFunc(s.pieces, off, func(p piece, off uint64) int {
		switch {
		case p.off < off:
			return -1
		case p.off > off:
			return 1
		}
		return 0
	})
	if found && len(s.pieces[i].data) >= len(data) {
		return nil
	}
	if s.size()+len(data) > s.limit || len(s.pieces) >= maxPieces {
		return errStream
	}
	s.pieces = slices.Insert(s.pieces, i, piece{off, slices.Clone(data)})
	s.waits += len(data)
	return nil
}

// message returns the handshake message at off of the stream, with its header, if it is complete.
func (s *stream) message(off int) ([]byte, bool) {
	if len(s.head)-off < 4 {
		return nil, false
	}
	h := s.head[off:]
	n := 4 + int(h[1])<<16 + int(h[2])<<8 + int(h[3])
	if len(h) < n {
		return nil, false
	}
	return h[:n], true
}

// drop releases everything.
func (s *stream) drop() { *s = stream{} }
