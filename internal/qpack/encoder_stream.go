package qpack

import "slices"

// An outstanding section has references to the dynamic table and is not acknowledged yet.
type outstanding struct{ stream, least, required uint64 }

// track notes that a section has been encoded.
//
// "In order to avoid this, an encoder that uses the dynamic table has to keep track of each dynamic table entry referenced
// by each field section until those representations are acknowledged by the decoder".
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1.1-3
func (e *Encoder) track(stream uint64, s *section) {
	e.outstanding = slices.Insert(e.outstanding, e.first(stream+1), outstanding{stream, s.least, s.required})
	e.index.link(s.least).pins++
	if s.required > e.known {
		e.blocking++
	}
}

// first returns the position of the first outstanding section whose stream is not below a given one. It is a binary
// search, because a peer can make us search with every byte that it sends.
func (e *Encoder) first(stream uint64) int {
	i, end := 0, len(e.outstanding)
	for i < end {
		if middle := (i + end) / 2; e.outstanding[middle].stream < stream {
			i = middle + 1
		} else {
			end = middle
		}
	}
	return i
}

// mayBlock reports whether a stream has a section that the peer may not be able to decode yet.
func (e *Encoder) mayBlock(stream uint64) bool {
	for i := e.first(stream); i < len(e.outstanding) && e.outstanding[i].stream == stream; i++ {
		if e.outstanding[i].required > e.known {
			return true
		}
	}
	return false
}

// remove forgets an outstanding section.
func (e *Encoder) remove(i int) {
	o := e.outstanding[i]
	e.index.link(o.least).pins--
	if o.required > e.known {
		e.blocking--
	}
	e.outstanding = slices.Delete(e.outstanding, i, i+1)
	if len(e.outstanding) == 0 && cap(e.outstanding) > 64 {
		e.outstanding = nil
	}
}

// learn increases the Known Received Count.
func (e *Encoder) learn(count uint64) {
	if count <= e.known {
		return
	}
	e.known = count
	e.blocking = 0
	for _, o := range e.outstanding {
		if o.required > e.known {
			e.blocking++
		}
	}
}

// AppendInstructions appends what is to be written to the encoder stream. It must reach the peer before the sections
// that AppendSection has returned since the last call, or with them. A caller that cannot write should not call it:
// the Encoder then stops inserting, and references only entries that it has returned already.
//
// "To avoid these deadlocks, an encoder SHOULD NOT write an instruction unless sufficient stream and connection
// flow-control credit is available for the entire instruction."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1.3-4
func (e *Encoder) AppendInstructions(b []byte) []byte {
	b = append(b, e.out...)
	if e.out = e.out[:0]; cap(e.out) > maxScratch {
		e.out = nil
	}
	e.sent = e.table.inserted
	return b
}

// HandleDecoderStream reads what has arrived of the peer's decoder stream: p continues what the earlier calls had. It
// does not keep p.
func (e *Encoder) HandleDecoderStream(p []byte) error {
	b := p
	if len(e.rest) > 0 {
		b = append(e.rest, p...) // at most one instruction and p
	}
	for len(b) > 0 {
		n, err := e.handleInstruction(b)
		if err != nil {
			return err
		}
		if n == incomplete {
			break
		}
		b = b[n:]
	}
	e.rest = append([]byte(nil), b...) // at most maxContinuation bytes
	return nil
}

// handleInstruction reads an instruction of the decoder stream. It returns its length, or incomplete.
func (e *Encoder) handleInstruction(b []byte) (n int, err error) {
	bits := uint8(6)
	isAck, isCancel := b[0]&0x80 != 0, b[0]&0x40 != 0
	if isAck {
		bits = 7
	}
	v, n, err := instructionInt(b, bits, decoderStreamError)
	switch {
	case n == incomplete || err != nil:
		return incomplete, err
	case isAck:
		err = e.acknowledge(v)
	case isCancel:
		e.cancel(v)
	default:
		err = e.increment(v)
	}
	return n, err
}

// acknowledge handles a Section Acknowledgment.
//
// "If an encoder receives a Section Acknowledgment instruction referring to a stream on which every encoded field section
// with a non-zero Required Insert Count has already been acknowledged, this MUST be treated as a connection error of type
// QPACK_DECODER_STREAM_ERROR."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.4.1-4
func (e *Encoder) acknowledge(stream uint64) error {
	i := e.first(stream)
	if i == len(e.outstanding) || e.outstanding[i].stream != stream {
		return decoderStreamError("stream %d has no field section to acknowledge", stream)
	}
	required := e.outstanding[i].required
	e.remove(i)
	e.learn(required)
	return nil
}

// cancel handles a Stream Cancellation.
//
// "An encoder cannot infer from this instruction that any updates to the dynamic table have been received."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.2-1
func (e *Encoder) cancel(stream uint64) {
	for i := e.first(stream); i < len(e.outstanding) && e.outstanding[i].stream == stream; {
		e.remove(i)
	}
}

// increment handles an Insert Count Increment.
//
// "An encoder that receives an Increment field equal to zero, or one that increases the Known Received Count beyond what the
// encoder has sent, MUST treat this as a connection error of type QPACK_DECODER_STREAM_ERROR."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.4.3-3
func (e *Encoder) increment(n uint64) error {
	if n == 0 || n > e.sent-min(e.sent, e.known) {
		return decoderStreamError("an increment by %d: %d insertions were sent, and %d are known to be received", n, e.sent, e.known)
	}
	e.learn(e.known + n)
	return nil
}
