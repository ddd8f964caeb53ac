package main

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/pqquic/pqquic/internal/qpack"
)

// encoderStream is the stream of the blocks that have instructions.
const encoderStream = 0

// blockHeader is the length of what precedes the data of a block: the stream and the length of the data.
const blockHeader = 8 + 4

// appendBlock appends a block, unless it has no data.
func appendBlock(b []byte, stream uint64, data []byte) []byte {
	if len(data) == 0 {
		return b
	}
	b = binary.BigEndian.AppendUint64(b, stream)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

// encode encodes lists for a decoder with these settings. If isAcked is set, the decoder acknowledges each section before
// the next one is encoded.
func encode(lists []list, size, blocked int, isAcked bool) (out []byte, err error) {
	e, d := qpack.NewEncoder(size), qpack.NewDecoder(size, blocked)
	if err := e.SetLimits(uint64(size), uint64(blocked)); err != nil {
		return nil, err
	}
	for _, l := range lists {
		section := e.AppendSection(nil, l.stream, l.fields)
		instructions := e.AppendInstructions(nil)
		out = appendBlock(out, encoderStream, instructions)
		out = appendBlock(out, l.stream, section)
		if !isAcked {
			continue
		}
		if err := d.HandleEncoderStream(instructions); err != nil {
			return nil, err
		}
		if err := d.Decode(l.stream, section, func(qpack.Field) error { return nil }); err != nil {
			return nil, err
		}
		if err := e.HandleDecoderStream(d.AppendInstructions(nil)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// A reader decodes the blocks of a file.
type reader struct {
	d       *qpack.Decoder
	blocked map[uint64][]byte // the sections of blocked streams
	lists   []list
}

// decode decodes the blocks of a file with the decoder's settings. It returns the lists in the order of their streams.
// Unless isStrict is set, the dynamic table has its largest capacity from the start, as in the draft whose format many
// files have.
func decode(b []byte, size, blocked int, isStrict bool) ([]list, error) {
	r := &reader{d: qpack.NewDecoder(size, blocked), blocked: make(map[uint64][]byte)}
	if !isStrict {
		if err := r.d.HandleEncoderStream(qpack.AppendSetCapacity(nil, uint64(size))); err != nil {
			return nil, err
		}
	}
	for n := 1; len(b) > 0; n++ {
		if len(b) < blockHeader {
			return nil, fmt.Errorf("block %d is truncated: %d bytes are left, and its header has %d", n, len(b), blockHeader)
		}
		stream, length := binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])
		b = b[blockHeader:]
		if uint64(length) > uint64(len(b)) {
			return nil, fmt.Errorf("block %d is truncated: %d of its %d bytes are left", n, len(b), length)
		}
		if err := r.read(stream, b[:length]); err != nil {
			return nil, fmt.Errorf("block %d, stream %d: %w", n, stream, err)
		}
		b = b[length:]
	}
	for stream := range r.blocked {
		return nil, fmt.Errorf("stream %d waits for instructions that the file does not have (%d streams do)", stream, len(r.blocked))
	}
	slices.SortStableFunc(r.lists, func(a, b list) int { return cmp.Compare(a.stream, b.stream) })
	return r.lists, nil
}

// read reads a block.
func (r *reader) read(stream uint64, data []byte) error {
	if stream != encoderStream {
		return r.section(stream, data)
	}
	if err := r.d.HandleEncoderStream(data); err != nil {
		return err
	}
	for _, stream := range r.d.Unblocked() {
		data := r.blocked[stream]
		delete(r.blocked, stream)
		if err := r.section(stream, data); err != nil {
			return fmt.Errorf("the section of stream %d: %w", stream, err)
		}
	}
	return nil
}

// section decodes a field section, or keeps it until it can be decoded.
func (r *reader) section(stream uint64, data []byte) error {
	if r.blocked[stream] != nil {
		return errors.New("a second section on a stream that is blocked")
	}
	l := list{stream: stream}
	err := r.d.Decode(stream, data, func(f qpack.Field) error {
		l.fields = append(l.fields, f)
		return nil
	})
	switch {
	case errors.Is(err, qpack.ErrBlocked):
		r.blocked[stream] = data
		return nil
	case err != nil:
		return err
	}
	r.d.AppendInstructions(nil) // there is no encoder to send them to
	r.lists = append(r.lists, l)
	return nil
}
