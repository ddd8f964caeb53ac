package qpack

import "golang.org/x/net/http2/hpack"

// HandleEncoderStream reads what has arrived of the peer's encoder stream: p continues what the earlier calls had. It
// does not keep p.
func (d *Decoder) HandleEncoderStream(p []byte) error {
	d.unblocked = d.unblocked[:0]
	b := p
	if len(d.rest) > 0 {
		d.rest = append(d.rest, p...)
		b = d.rest
	}
	read := 0
	for read < len(b) {
		n, err := d.handleInstruction(b[read:])
		if err != nil {
			return err
		}
		if n == incomplete {
			break
		}
		read += n
	}
	switch {
	case read == len(b) && cap(d.rest) > maxScratch:
		d.rest = nil
	case read > 0 || len(d.rest) == 0:
		d.rest = append(d.rest[:0], b[read:]...)
	}
	d.trim()
	d.findUnblocked()
	return nil
}

// findUnblocked moves the streams whose entries have arrived to unblocked.
//
// "A stream becomes unblocked when the Insert Count becomes greater than or equal to the Required Insert Count for all
// encoded field sections the decoder has started reading from the stream."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.1-2
func (d *Decoder) findUnblocked() {
	waiting := d.blocked[:0]
	for _, b := range d.blocked {
		if b.required > d.table.inserted {
			waiting = append(waiting, b)
		} else {
			d.unblocked = append(d.unblocked, b.stream)
		}
	}
	d.blocked = waiting
}

// Unblocked returns the streams whose field sections the last call of HandleEncoderStream has made decodable. The
// slice is valid until the next call.
func (d *Decoder) Unblocked() []uint64 { return d.unblocked }

// handleInstruction reads an instruction of the encoder stream. It returns its length, or incomplete.
func (d *Decoder) handleInstruction(b []byte) (n int, err error) {
	switch c := b[0]; {
	case c&0x80 != 0: // Insert with Name Reference
		return d.insertWithNameReference(b, c&0x40 != 0)
	case c&0x40 != 0: // Insert with Literal Name
		return d.insertWithLiteralName(b)
	case c&0x20 != 0: // Set Dynamic Table Capacity
		capacity, n, err := instructionInt(b, 5, encoderStreamError)
		if n == incomplete || err != nil {
			return 0, err
		}
		// "The decoder MUST treat a new dynamic table capacity value that exceeds this limit as a connection error of type
		// QPACK_ENCODER_STREAM_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9204#section-4.3.1-3
		if capacity > d.maxCapacity {
			return 0, encoderStreamError("the capacity %d is larger than the limit, %d", capacity, d.maxCapacity)
		}
		d.table.setCapacity(capacity)
		return n, nil
	default: // Duplicate
		index, n, err := instructionInt(b, 5, encoderStreamError)
		if n == incomplete || err != nil {
			return 0, err
		}
		e, err := d.relative(index)
		if err != nil {
			return 0, err
		}
		// "The dynamic table can contain duplicate entries (i.e., entries with the same name and same value). Therefore,
		// duplicate entries MUST NOT be treated as an error by the decoder."
		// https://www.rfc-editor.org/rfc/rfc9204#section-3.2-2
		return n, d.insert(e.name, e.value)
	}
}

func (d *Decoder) insertWithNameReference(b []byte, isStatic bool) (int, error) {
	index, n, err := instructionInt(b, 6, encoderStreamError)
	if n == incomplete || err != nil {
		return 0, err
	}
	var e entry
	if !isStatic {
		if e, err = d.relative(index); err != nil {
			return 0, err
		}
	} else {
		// "If this index is received on the encoder stream, this MUST be treated as a connection error of type
		// QPACK_ENCODER_STREAM_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9204#section-3.1-4
		if index >= uint64(len(staticTable)) {
			return 0, encoderStreamError("the static table has no entry %d", index)
		}
		e = staticTable[index]
	}
	l, size, err := d.instructionString(b[n:], 7, uint64(len(e.name)))
	if size == incomplete || err != nil {
		return 0, err
	}
	value, err := d.decode(l, false)
	if err != nil {
		return 0, err
	}
	return n + size, d.insert(e.name, value)
}

func (d *Decoder) insertWithLiteralName(b []byte) (int, error) {
	first, n, err := d.instructionString(b, 5, 0)
	if n == incomplete || err != nil {
		return 0, err
	}
	second, size, err := d.instructionString(b[n:], 7, minLen(uint64(len(first.data)), first.huffman))
	if size == incomplete || err != nil {
		return 0, err
	}
	name, err := d.decode(first, true)
	if err != nil {
		return 0, err
	}
	value, err := d.decode(second, false)
	if err != nil {
		return 0, err
	}
	return n + size, d.insert(name, value)
}

// insert adds an entry to the table.
//
// "It is an error if the encoder attempts to add an entry that is larger than the dynamic table capacity; the decoder
// MUST treat this as a connection error of type QPACK_ENCODER_STREAM_ERROR."
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.2-2
func (d *Decoder) insert(name, value string) error {
	if size := sizeOf(name, value); size > d.table.capacity {
		return encoderStreamError("an entry of %d bytes is larger than the capacity, %d", size, d.table.capacity)
	}
	d.table.insert(name, value)
	return nil
}

// relative returns the entry that an instruction of the encoder stream references.
//
// "If the decoder encounters a reference in an encoder instruction to a dynamic table entry that has already been
// evicted, it MUST treat this as a connection error of type QPACK_ENCODER_STREAM_ERROR."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.3-2
func (d *Decoder) relative(index uint64) (entry, error) {
	if have := d.table.inserted - d.table.dropped; index >= have {
		return entry{}, encoderStreamError("the entry with the relative index %d is not in the table, which has %d", index, have)
	}
	return d.table.at(d.table.inserted - 1 - index), nil
}

// instructionInt reads an integer of an instruction. fault makes the error for one that is too large.
func instructionInt(b []byte, n uint8, fault func(string, ...any) error) (v uint64, size int, err error) {
	v, size = consumeInt(b, n)
	if size == tooLarge {
		// "[T]his MUST be treated as a stream error of type QPACK_DECOMPRESSION_FAILED if on a request stream or a connection
		// error of the appropriate type if on the encoder or decoder stream."
		// https://www.rfc-editor.org/rfc/rfc9204#section-7.4-3
		return 0, incomplete, fault("an integer has more than 62 bits")
	}
	return v, size, nil
}

// instructionString reads a string of an insertion. It fails as soon as its length shows that an entry with it, and with
// other bytes besides, does not fit into the table: the Decoder does not wait for such a string, nor store its beginning.
func (d *Decoder) instructionString(b []byte, n uint8, other uint64) (l literal, size int, err error) {
	l, declared, size := consumeString(b, n)
	if size == tooLarge {
		return l, incomplete, encoderStreamError("the length of a string has more than 62 bits")
	}
	if least := minLen(declared, l.huffman) + other + entryOverhead; least > d.table.capacity {
		return l, incomplete, encoderStreamError("an entry of at least %d bytes is larger than the capacity, %d", least, d.table.capacity)
	}
	return l, size, nil
}

// decode returns the string of an entry. It has memory of its own, so that an evicted entry leaves nothing behind.
// Names that the static table has need no memory.
func (d *Decoder) decode(l literal, isName bool) (string, error) {
	data := l.data
	if l.huffman {
		d.scratch.Reset()
		if _, err := hpack.HuffmanDecode(&d.scratch, l.data); err != nil {
			return "", encoderStreamError("a string is not a Huffman code")
		}
		data = d.scratch.Bytes()
	}
	if isName {
		if s, ok := internName(data); ok {
			return s, nil
		}
	}
	return string(data), nil
}

// acknowledge notes that a field section with references to the dynamic table was decoded.
//
// "After the decoder finishes decoding a field section encoded using representations containing dynamic table references,
// it MUST emit a Section Acknowledgment instruction (Section 4.4.1)."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.1-1
func (d *Decoder) acknowledge(stream, required uint64) {
	d.out = appendInt(d.out, 0x80, 7, stream)
	d.known = max(d.known, required)
}

// CancelStream must be called when a stream is reset or no longer read before all its field sections were decoded. It may
// be called for any stream.
//
// "When an endpoint receives a stream reset before the end of a stream or before all encoded field sections are processed
// on that stream, or when it abandons reading of a stream, it generates a Stream Cancellation instruction".
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.2-1
func (d *Decoder) CancelStream(stream uint64) {
	d.unblock(stream)
	// "A decoder with a maximum dynamic table capacity (Section 3.2.3) equal to zero MAY omit sending Stream Cancellations,
	// because the encoder cannot have any dynamic table references."
	// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.2-1
	//
	// A peer that does not read them does not get more: Decode will fail.
	if d.maxCapacity > 0 && len(d.out) <= maxPending {
		d.out = appendInt(d.out, 0x40, 6, stream)
	}
}

// AppendInstructions appends what is to be written to the decoder stream. A caller that cannot write should not call
// it, so that the Decoder knows how much waits: Decode fails when that is too much.
//
// "By delaying an Insert Count Increment instruction, the decoder might be able to coalesce multiple Insert Count Increment
// instructions or replace them entirely with Section Acknowledgments".
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.3-1
func (d *Decoder) AppendInstructions(b []byte) []byte {
	b = append(b, d.out...)
	if d.out = d.out[:0]; cap(d.out) > maxScratch {
		d.out = nil
	}
	if d.table.inserted > d.known {
		b = appendInt(b, 0, 6, d.table.inserted-d.known)
		d.known = d.table.inserted
	}
	return b
}
